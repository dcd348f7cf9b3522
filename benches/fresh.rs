//! What it costs to find that there is nothing to do: `layers build --all` beside `docker buildx
//! bake` and `docker compose build` of the same tree on the same engine, in turns; and what is
//! built when one file of the base changes.
//!
//! `cargo bench --bench fresh [-- IMAGES [FILES]]` lays out a base, builders on it, dev images on
//! those, releases that copy from builders, and images that stand alone, in all 300 with 30,000
//! files unless told otherwise. A peer that is not installed is left out.
//!
//! The peers tag under names of their own, since what they build carries no key. Where the engine
//! knows named contexts (Docker 23), their targets are bound to each other by them; an older one
//! refuses them, and there the targets name the images that layers has built. Every base then is
//! in the store before a peer begins, so that the order of its targets does not matter: the peer
//! is spared the binding, and does all else that it would do.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark drives programs and prints what it measured"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Cost, busybox, measure, run, spread};

mod common;

/// How often each peer has its turn, and how often layers has in each of them.
const ROUNDS: usize = 3;
const RUNS_A_ROUND: usize = 15;

/// How many images a peer is given at once.
const AT_ONCE: usize = 30;

/// How many files lie in one folder.
const FILES_A_FOLDER: usize = 20;

/// All images of a benchmark carry this label, so that they can be removed.
const LABEL: &str = "dev.layers.bench";

/// One image of the tree.
struct Image {
    name: String,
    dockerfile: String,
    /// The images whose references the Dockerfile names.
    needs: Vec<String>,
}

fn main() {
    let mut numbers = std::env::args().filter_map(|it| it.parse().ok());
    let count: usize = numbers.next().unwrap_or(300);
    let files: usize = numbers.next().unwrap_or(count * 100);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path();
    let app = format!("bench{}", std::process::id());
    let images = plan(count.max(10), &app);
    lay_out(root, &images, files / images.len());
    let bound = knows_contexts();
    fs::write(root.join("docker-bake.hcl"), bake_file(&images, &app, bound)).expect("written");
    fs::write(root.join("compose.yaml"), compose_file(&images, &app, bound)).expect("written");
    let kind = if bound { "bound by named contexts" } else { "not bound, on images of layers" };
    println!("{} images, {files} files; targets of the peers are {kind}", images.len());
    let made = Images(&app);
    println!("first build: {}", layers(root));
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    measure_nothing_to_do(root, &peers(), &names);
    change_base(root, &images, &app);
    drop(made);
}

/// A base; builders and releases on it; dev images on the builders; others alone.
fn plan(count: usize, app: &str) -> Vec<Image> {
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

fn lay_out(root: &Path, images: &[Image], files: usize) {
    for image in images {
        let folder = root.join("docker").join(&image.name);
        for number in 0..files {
            let below = folder.join(format!("src/part{}", number / FILES_A_FOLDER));
            fs::create_dir_all(&below).expect("a folder can be made");
            let text = format!("file {number} of {}\n", image.name);
            fs::write(below.join(format!("file{number}.txt")), text).expect("written");
        }
        fs::create_dir_all(folder.join("src")).expect("a folder can be made");
        fs::write(folder.join("Dockerfile"), &image.dockerfile).expect("written");
    }
    fs::copy(busybox(), root.join("docker/base/busybox")).expect("busybox can be copied");
}

/// Docker 23 is the first whose frontend knows named contexts.
fn knows_contexts() -> bool {
    let version = run(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]));
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|it| it >= 23)
}

fn bake_file(images: &[Image], app: &str, bound: bool) -> String {
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

fn compose_file(images: &[Image], app: &str, bound: bool) -> String {
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

/// Builds everything; returns what the run counted.
fn layers(root: &Path) -> String {
    let output = run(Command::new(env!("CARGO_BIN_EXE_layers"))
        .args(["build", "--all", "--progress", "quiet", "-C"])
        .arg(root));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.lines().last().unwrap_or_default().to_owned()
}

/// The peers that are installed, with the arguments by which they build everything.
fn peers() -> Vec<(&'static str, &'static [&'static str])> {
    let known: [(&str, &str, &[&str]); 2] = [
        ("docker buildx bake", "buildx", &["bake", "--file=docker-bake.hcl", "--progress=quiet"]),
        ("docker compose build", "compose", &["--progress=quiet", "build"]),
    ];
    let mut peers = Vec::new();
    for (name, plugin, arguments) in known {
        let version = Command::new("docker").args([plugin, "version"]).output();
        match version.ok().filter(|it| it.status.success()) {
            Some(version) => {
                println!("{name}: {}", String::from_utf8_lossy(&version.stdout).trim());
                peers.push((plugin, arguments));
            }
            None => println!("{name}: docker {plugin} is not installed, left out"),
        }
    }
    peers
}

/// What a peer costs for all images, given some at a time: Docker 20.10 loses track of builds (`no
/// such job`) where many begin at once.
fn measure_peer(root: &Path, plugin: &str, arguments: &[&str], names: &[&str]) -> Cost {
    measure(|| {
        for some in names.chunks(AT_ONCE) {
            let mut command = Command::new("docker");
            drop(run(command.arg(plugin).args(arguments).args(some).current_dir(root)));
        }
    })
}

fn measure_nothing_to_do(root: &Path, peers: &[(&str, &[&str])], names: &[&str]) {
    for (plugin, arguments) in peers {
        let first = measure_peer(root, plugin, arguments, names);
        println!("first {plugin} run: {:.1} s", first.wall.as_secs_f64());
    }
    let counted = layers(root);
    println!("then layers: {counted}");
    assert!(counted.starts_with("0 built"), "there is nothing to do");
    let mut ours = Vec::new();
    let mut theirs: Vec<Vec<Cost>> = vec![Vec::new(); peers.len()];
    for _ in 0..ROUNDS {
        ours.extend((0..RUNS_A_ROUND).map(|_| measure(|| drop(layers(root)))));
        for ((plugin, arguments), costs) in peers.iter().zip(&mut theirs) {
            costs.push(measure_peer(root, plugin, arguments, names));
        }
    }
    println!("{:<34} {:>9} {:>9} {:>9}", "nothing to do", "min", "median", "max");
    let (_, fast, _) = print("layers build --all", &ours);
    for ((plugin, arguments), costs) in peers.iter().zip(&theirs) {
        let verb = arguments.iter().find(|it| !it.starts_with('-')).unwrap_or(&"");
        let (_, slow, _) = print(&format!("docker {plugin} {verb}"), costs);
        println!("{:<34} {:>9} {:>9.0} times as long", "", "", slow / fast);
    }
}

fn print(name: &str, costs: &[Cost]) -> (f64, f64, f64) {
    let millis = |pick: fn(&Cost) -> std::time::Duration| {
        spread(costs.iter().map(|cost| pick(cost).as_secs_f64() * 1000.0).collect())
    };
    let (wall, cpu) = (millis(|it| it.wall), millis(|it| it.cpu));
    for (what, (min, median, max)) in [("wall", wall), ("client CPU", cpu)] {
        println!("{:<34} {min:>9.1} {median:>9.1} {max:>9.1} ms", format!("{name}: {what}"));
    }
    wall
}

/// Changes one file of the base, and holds what was built against what needs the base.
fn change_base(root: &Path, images: &[Image], app: &str) {
    let expected = dependents(images);
    let file = root.join("docker/base/src/changed");
    fs::write(&file, "a line more\n").expect("written");
    let before = ids(app);
    println!("one file in base changed: {}", layers(root));
    let after = ids(app);
    let changed: Vec<&String> =
        after.iter().filter(|(name, id)| before.get(*name) != Some(id)).map(|it| it.0).collect();
    let expected: Vec<String> = expected.iter().map(|name| format!("{app}/x-{name}")).collect();
    assert!(changed.iter().copied().eq(&expected), "exactly what needs base is another image");
    println!(
        "base and all {} images that need it are others now, {} are untouched",
        expected.len() - 1,
        images.len() - expected.len()
    );
    println!("again: {}", layers(root));
    fs::remove_file(&file).expect("it can be removed");
    println!("changed back: {}", layers(root));
}

/// The base and all that needs it, however far behind, by name.
fn dependents(images: &[Image]) -> Vec<String> {
    let mut found: Vec<String> = vec!["base".to_owned()];
    // Images come after what they need.
    for image in images {
        if image.needs.iter().any(|need| found.contains(need)) {
            found.push(image.name.clone());
        }
    }
    found.sort();
    found
}

/// The IDs of the images that layers has built, by their names.
fn ids(app: &str) -> BTreeMap<String, String> {
    let filter = format!("reference={app}/x-*");
    let format = "{{.Repository}} {{.ID}}";
    let arguments = ["image", "ls", "--no-trunc", "--filter", &filter, "--format", format];
    let listed = run(Command::new("docker").args(arguments));
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
}

/// The images of a benchmark; they go away with it, whatever became of it.
struct Images<'a>(&'a str);

impl Drop for Images<'_> {
    /// Removes all that was built, also what has lost its name. The engine refuses to remove
    /// what others are made of, hence the rounds.
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
