//! A tree of images for measurements: a base, builders on it, dev images on those, releases that copy from
//! builders, and standalone images. Also the same tree for the compared programs.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{busybox, run};

/// The number of files per directory.
const FILES_A_DIRECTORY: usize = 20;

/// The label of all images of a benchmark, so that they can be removed.
pub const LABEL: &str = "dev.layers.bench";

/// One image of the tree.
pub struct Image {
    /// Its directory.
    pub name: String,
    pub dockerfile: String,
    /// The images whose references the Dockerfile contains.
    pub needs: Vec<String>,
}

/// Plans the tree: a base, builders and releases on it, dev images on the builders, and standalone images.
pub fn plan(count: usize, app: &str) -> Vec<Image> {
    let (builders, alone, releases) = (count.div_ceil(30), count / 10, count / 3);
    let dev = count - 1 - builders - alone - releases;
    let of = |kind: &str, number: usize| format!("{kind}{number:04}");
    let refer = |name: &str| format!("{app}/x-{name}");
    let label = format!("LABEL {LABEL}={app}");
    let mut images = vec![Image {
        name: "base".to_owned(),
        dockerfile: format!("FROM scratch\n{label}\nCOPY busybox /bin/\nCOPY src /base\n"),
        needs: Vec::new(),
    }];
    let mut add = |name: String, dockerfile: String, needs: Vec<String>| {
        images.push(Image { name, dockerfile, needs });
    };
    for number in 0..builders {
        let text = "COPY src /built\nRUN [\"/bin/busybox\", \"touch\", \"/built/done\"]";
        let text = format!("FROM {}\n{text}\n", refer("base"));
        add(of("builder", number), text, vec!["base".to_owned()]);
    }
    for number in 0..dev {
        let builder = of("builder", number % builders);
        let text = format!("FROM {}\nCOPY src /src\n", refer(&builder));
        add(of("dev", number), text, vec![builder]);
    }
    for number in 0..releases {
        let builder = of("builder", number % builders);
        let copy = format!("COPY --from={} /built /app", refer(&builder));
        let text = format!("FROM {}\n{copy}\nCOPY src /src\n", refer("base"));
        add(of("release", number), text, vec!["base".to_owned(), builder]);
    }
    for number in 0..alone {
        let text = format!("FROM scratch\n{label}\nCOPY src /\n");
        add(of("alone", number), text, Vec::new());
    }
    images
}

pub fn lay_out(root: &Path, images: &[Image], files: usize) {
    for image in images {
        let directory = root.join("docker").join(&image.name);
        for number in 0..files {
            let below = directory.join(format!("src/part{}", number / FILES_A_DIRECTORY));
            fs::create_dir_all(&below).expect("a directory can be created");
            let text = format!("file {number} of {}\n", image.name);
            fs::write(below.join(format!("file{number}.txt")), text).expect("written");
        }
        fs::create_dir_all(directory.join("src")).expect("a directory can be created");
        fs::write(directory.join("Dockerfile"), &image.dockerfile).expect("written");
    }
    fs::copy(busybox(), root.join("docker/base/busybox")).expect("busybox can be copied");
}

/// Whether the engine supports named contexts. Docker 23 is the first version whose frontend does.
pub fn knows_contexts() -> bool {
    let version = run(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]));
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|it| it >= 23)
}

pub fn bake_file(images: &[Image], app: &str, bound: bool) -> String {
    let quoted = |name: &String| format!("\"{name}\"");
    let all: Vec<String> = images.iter().map(|image| quoted(&image.name)).collect();
    let mut text = format!("group \"default\" {{\n  targets = [{}]\n}}\n", all.join(", "));
    for Image { name, needs, .. } in images {
        let tag = format!("{app}/bake-{name}:latest");
        let bind = |need: &String| format!("    \"{app}/x-{need}\" = \"target:{need}\"\n");
        let contexts: String = needs.iter().filter(|_| bound).map(bind).collect();
        text.push_str(&format!(
            "target \"{name}\" {{\n  context = \"docker/{name}\"\n  tags = [\"{tag}\"]\n  \
             contexts = {{\n{contexts}  }}\n}}\n"
        ));
    }
    text
}

pub fn compose_file(images: &[Image], app: &str, bound: bool) -> String {
    let mut text = format!("name: {app}\nservices:\n");
    for Image { name, needs, .. } in images {
        let service = format!("  {name}:\n    image: {app}/compose-{name}:latest\n");
        let build = format!("    build:\n      context: ./docker/{name}\n");
        text.extend([service, build]);
        if bound && !needs.is_empty() {
            text.push_str("      additional_contexts:\n");
            for need in needs {
                text.push_str(&format!("        \"{app}/x-{need}\": \"service:{need}\"\n"));
            }
        }
    }
    text
}

/// Returns the base and all its dependents, by name.
pub fn dependents(images: &[Image]) -> Vec<String> {
    let mut found: Vec<String> = vec!["base".to_owned()];
    // Images come after their dependencies.
    for image in images {
        if image.needs.iter().any(|need| found.contains(need)) {
            found.push(image.name.clone());
        }
    }
    found.sort();
    found
}

/// The images of a benchmark. They are removed at its end, even if it fails.
pub struct Images<'a>(pub &'a str);

impl Drop for Images<'_> {
    /// Removes everything that was built, including images that have lost their name. The engine refuses to
    /// remove images that others are based on, hence the rounds.
    fn drop(&mut self) {
        let filter = format!("label={LABEL}={}", self.0);
        for _ in 0..6 {
            let listed =
                Command::new("docker").args(["image", "ls", "-q", "--filter", &filter]).output();
            let listed = listed.map(|it| it.stdout).unwrap_or_default();
            let listed = String::from_utf8_lossy(&listed);
            let ids: BTreeSet<&str> = listed.split_whitespace().collect();
            if ids.is_empty() {
                return;
            }
            drop(Command::new("docker").args(["image", "rm", "--force"]).args(ids).output());
        }
        println!("left behind: images with the label {LABEL}={}", self.0);
    }
}
