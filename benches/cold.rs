//! The cost of a whole build compared with `docker buildx bake`, for the same tree on the same engine: once
//! without anything in the engine's cache, and once after a change to the base.
//!
//! `cargo bench --bench cold [-- IMAGES [FILES]]` creates a base, builders on it, dev images on those,
//! releases that copy from builders, and standalone images; by default 100 images with 1,000 files in total.
//! The engine must support named contexts (Docker 23, or better 26), which connect the targets of bake.
//!
//! Each build gets a tree that the engine has not seen: before a cold build, a file of every image is
//! rewritten, and before the other, a file of the base, so that no build finds cached steps of another. The
//! two programs take turns, and the one that starts changes in each round.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark drives programs and prints what it measured"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::common::tree::{Image, Images, bake_file, knows_contexts, lay_out, plan};
use crate::common::{Cost, layers, measure, print, run};

mod common;

const ROUNDS: usize = 5;

/// BuildKit writes the trace of a build three seconds after the build ends and is busy with it for seconds,
/// which would slow down the next build.
const SETTLES_WITHIN: Duration = Duration::from_secs(8);

/// The compared programs.
const NAMES: [&str; 2] = ["layers build --all", "docker buildx bake"];

fn main() {
    let mut numbers = std::env::args().filter_map(|it| it.parse().ok());
    let count: usize = numbers.next().unwrap_or(100);
    let files: usize = numbers.next().unwrap_or(count * 10);
    assert!(knows_contexts(), "the engine must be Docker 23 or newer: set DOCKER_HOST");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path();
    let app = format!("bench{}", std::process::id());
    let images = plan(count.max(10), &app);
    lay_out(root, &images, files / images.len());
    fs::write(root.join("docker-bake.hcl"), bake_file(&images, &app, true)).expect("written");
    let version = run(Command::new("docker").args(["buildx", "version"]));
    print!("{} images, {files} files; {}", images.len(), String::from_utf8_lossy(&version.stdout));
    let made = Images(&app);
    let mut costs: [[Vec<Cost>; 2]; 2] = Default::default();
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let who = (round + turn) % 2;
            for (kind, changed) in [&images[..], &images[..1]].into_iter().enumerate() {
                renew(root, changed);
                thread::sleep(SETTLES_WITHIN);
                costs[kind][who].push(measure(|| build(who, root)));
            }
        }
    }
    for (kind, costs) in ["cold", "base changed"].into_iter().zip(&costs) {
        println!("{kind:<34} {:>9} {:>9} {:>9}", "min", "median", "max");
        for (name, costs) in NAMES.iter().zip(costs) {
            print(name, costs);
        }
        ratios(costs);
    }
    drop(made);
}

fn build(who: usize, root: &Path) {
    if who == 0 {
        let counted = layers(root);
        assert!(!counted.starts_with("0 built"), "{counted}");
    } else {
        let arguments = ["buildx", "bake", "--file=docker-bake.hcl", "--progress=quiet"];
        drop(run(Command::new("docker").args(arguments).current_dir(root)));
    }
}

/// Gives images content that no engine has seen.
fn renew(root: &Path, images: &[Image]) {
    for image in images {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
        let text = format!("{} {now}\n", image.name);
        fs::write(root.join("docker").join(&image.name).join("src/new"), text).expect("written");
    }
}

/// Prints the ratios of the rounds, ours to theirs.
fn ratios([ours, theirs]: &[Vec<Cost>; 2]) {
    let row = |what: &str, pick: fn(&Cost) -> Duration| {
        let pairs = ours.iter().zip(theirs);
        let ratio = |(a, b): (&Cost, &Cost)| pick(a).as_secs_f64() / pick(b).as_secs_f64();
        let (min, median, max) = common::spread(pairs.map(ratio).collect());
        println!("{:<34} {min:>9.3} {median:>9.3} {max:>9.3}", format!("ratio of {what}"));
    };
    row("wall", |it| it.wall);
    row("client CPU", |it| it.cpu);
}
