//! kill -9 at random moments on a real engine: the next run continues from there.
//!
//! In each round, a run is killed while it builds. Images that it reported as built are not built again. The
//! next run succeeds and leaves nothing to do, no step continues in the engine, and no file in `.layers/` is
//! incomplete or blocks anything.
//!
//! `LAYERS_KILLS` sets the number of rounds (50), `LAYERS_SEED` repeats the moments. Needs an engine and
//! Debian's busybox-static. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

mod common;

use common::dice::Dice;
use common::{Name, TEST_LABEL, processes_with, program};

/// The maximum time for a step to end after it is no longer needed.
const STEP_ENDS_WITHIN: Duration = Duration::from_secs(30);

/// The images and their bases.
const IMAGES: [(&str, &str); 4] =
    [("base", "scratch"), ("builder", "base"), ("dev", "builder"), ("agent", "base")];

struct Tree {
    name: Name,
    root: PathBuf,
    _directory: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        let (name, directory) = (Name::new(), tempfile::tempdir().unwrap());
        let root = directory.path().canonicalize().unwrap();
        let config = format!("namespace = \"{}\"\napp = \"x\"\n", name.label());
        fs::write(root.join("layers.toml"), config).unwrap();
        let tree = Tree { name, root, _directory: directory };
        for (image, base) in IMAGES {
            let context = tree.root.join("docker").join(image).join("files");
            fs::create_dir_all(&context).unwrap();
            fs::write(context.join("name"), image).unwrap();
            if base == "scratch" {
                common::Files::with_busybox().write_below(&context);
            }
        }
        tree
    }

    /// Changes every image.
    fn change(&self, round: usize) {
        let label = self.name.label();
        for (image, base) in IMAGES {
            let from = match base {
                "scratch" => "scratch".to_owned(),
                image => format!("{label}/x-{image}"),
            };
            // The label's value is in the command line of the step, to find the step.
            let text = format!(
                "FROM {from}\nLABEL {TEST_LABEL}={label}\nCOPY files /\n\
                 RUN true {label} {round}; sleep 0.05; echo {image} > /out-{image}\n"
            );
            fs::write(self.root.join("docker").join(image).join("Dockerfile"), text).unwrap();
        }
    }

    fn layers(&self, arguments: &[&str]) -> Command {
        let mut command = program::layers();
        command.args(arguments).arg("-C").arg(&self.root);
        command
    }

    /// Kills a build after some time. Returns its output until then.
    fn killed(&self, after: Duration) -> Vec<String> {
        let arguments = ["build", "--all", "-j2", "--progress", "plain"];
        let mut child = self.layers(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (report, reports) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                report.send(line).unwrap_or_default();
            }
        });
        let until = Instant::now() + after;
        let mut printed = Vec::new();
        loop {
            match reports.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => printed.push(line),
                Err(RecvTimeoutError::Timeout) => break,
                // The build ended earlier.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        printed.extend(reports);
        printed
    }

    fn finished(&self) -> Vec<String> {
        let arguments = ["build", "--all", "-j2", "--progress", "plain"];
        let output = self.layers(&arguments).output().unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{printed}");
        let checked = self.layers(&["plan", "--check"]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        printed.lines().map(str::to_owned).collect()
    }
}

/// Returns the images that are reported as built.
fn built(lines: &[String]) -> BTreeSet<&str> {
    let of_line = |line: &'_ String| -> Option<&'static str> {
        let (image, _) = line.split_once("] ")?.1.split_once(": built in ")?;
        IMAGES.iter().map(|(name, _)| *name).find(|name| *name == image)
    };
    lines.iter().filter_map(of_line).collect()
}

/// Returns all files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().flatten();
    entries
        .flat_map(|entry| match entry.path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

#[test]
fn the_run_after_a_kill_rebuilds_only_unfinished_images() {
    if common::engine_or_skip().is_none() {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("LAYERS_SEED").unwrap_or_else(Dice::fresh_seed);
    let kills = number("LAYERS_KILLS").unwrap_or(50);
    println!("LAYERS_SEED={seed} LAYERS_KILLS={kills}");
    let mut dice = Dice::new(seed);
    let tree = Tree::new();
    tree.change(0);
    let begun = Instant::now();
    tree.finished();
    let whole = begun.elapsed().as_millis().try_into().unwrap();
    let mut finished_before = 0;
    for round in 1..=usize::try_from(kills).unwrap() {
        tree.change(round);
        let before = tree.killed(Duration::from_millis(dice.below(whole) as u64));
        let after = tree.finished();
        let again: Vec<&str> = built(&before).intersection(&built(&after)).copied().collect();
        assert!(again.is_empty(), "round {round}: built again: {again:?}\n{before:#?}\n{after:#?}");
        finished_before += built(&before).len();
        for file in files(&tree.root.join(".layers")) {
            let name = file.to_string_lossy().into_owned();
            assert!(!name.ends_with(".tmp") && !name.contains("/claims/"), "left: {name}");
            if name.ends_with(".json") {
                let text = fs::read(&file).unwrap();
                let read: Result<serde_json::Value, _> = serde_json::from_slice(&text);
                assert!(read.is_ok(), "half-written: {name}");
            }
        }
    }
    println!("{finished_before} images were finished before a kill");
    assert!(kills < 20 || finished_before > 0, "every kill came too early to prove anything");
    let since = Instant::now();
    while !processes_with(tree.name.label()).is_empty() {
        assert!(since.elapsed() < STEP_ENDS_WITHIN, "{:?}", processes_with(tree.name.label()));
        std::thread::yield_now();
    }
}
