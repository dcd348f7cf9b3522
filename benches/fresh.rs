//! The cost of finding that there is nothing to do: `layers build --all` compared with `docker buildx bake`
//! and `docker compose build`, for the same tree on the same engine, in turns. Also what is built after a
//! change to one file of the base.
//!
//! `cargo bench --bench fresh [-- IMAGES [FILES]]` creates a base, builders on it, dev images on those,
//! releases that copy from builders, and standalone images; by default 300 images with 30,000 files in total.
//! A compared program that is not installed is left out.
//!
//! The compared programs use tags of their own because the images that they build have no key. If the engine
//! supports named contexts (Docker 23), these connect their targets. An older engine rejects named contexts,
//! so the targets use the images that layers has built. All bases are then in the store before a compared
//! program starts, so that the order of its targets does not matter: it does everything except connecting the
//! targets.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark drives programs and prints what it measured"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use layers::engine::docker::endpoint::EndpointEnvironment;
use layers::engine::{Builder, ImageStore};
use layers::engine::{LabelFilter, docker::Docker};
use layers::inputs::KEY_LABEL;

use crate::common::tree::{
    Image, Images, bake_file, compose_file, dependents, knows_contexts, lay_out, plan,
};
use crate::common::{Cost, layers, measure, print, run};

mod common;

/// The number of turns of each compared program, and the number of runs of layers in each turn.
const ROUNDS: usize = 3;
const RUNS_A_ROUND: usize = 15;

/// The number of images that a compared program builds at the same time.
const AT_ONCE: usize = 30;

fn main() {
    let mut numbers = std::env::args().filter_map(|it| it.parse().ok());
    let count: usize = numbers.next().unwrap_or(300);
    let files: usize = numbers.next().unwrap_or(count * 100);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path();
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

/// Returns the installed programs to compare with, and the arguments with which they build everything.
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

/// Measures the cost of a program for all images, in groups: Docker 20.10 loses track of builds (`no such
/// job`) if many start at the same time.
fn measure_peer(root: &Path, plugin: &str, arguments: &[&str], names: &[&str]) -> Cost {
    measure(|| {
        for some in names.chunks(AT_ONCE) {
            let mut command = Command::new("docker");
            drop(run(command.arg(plugin).args(arguments).args(some).current_dir(root)));
        }
    })
}

/// Connects to the engine. A request on an open connection for the images with a key is the minimum cost of
/// any program that reads the engine's store.
fn connected() -> Docker {
    let environment = EndpointEnvironment::read(|name| std::env::var_os(name));
    let docker = Docker::find(&environment).expect("there is an engine");
    drop(docker.info().expect("it answers"));
    docker
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
    let mut floor = Vec::new();
    let mut theirs: Vec<Vec<Cost>> = vec![Vec::new(); peers.len()];
    for _ in 0..ROUNDS {
        let docker = connected();
        for _ in 0..RUNS_A_ROUND {
            ours.push(measure(|| drop(layers(root))));
            floor.push(measure(|| {
                drop(docker.list(LabelFilter::named(KEY_LABEL)).expect("it lists its images"));
            }));
        }
        for ((plugin, arguments), costs) in peers.iter().zip(&mut theirs) {
            costs.push(measure_peer(root, plugin, arguments, names));
        }
    }
    println!("{:<34} {:>9} {:>9} {:>9}", "nothing to do", "min", "median", "max");
    let (_, fast, _) = print("layers build --all", &ours);
    let (_, least, _) = print("one images/json request by label", &floor);
    println!("{:<34} {:>9} {:>9.2} times as long as that request", "", "", fast / least);
    for ((plugin, arguments), costs) in peers.iter().zip(&theirs) {
        let verb = arguments.iter().find(|it| !it.starts_with('-')).unwrap_or(&"");
        let (_, slow, _) = print(&format!("docker {plugin} {verb}"), costs);
        println!("{:<34} {:>9} {:>9.0} times as long", "", "", slow / fast);
    }
}

/// Changes a file of the base, and compares the rebuilt images with the dependents of the base.
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

/// Returns the IDs of the images that layers has built, by name.
fn ids(app: &str) -> BTreeMap<String, String> {
    let filter = format!("reference={app}/x-*");
    let format = "{{.Repository}} {{.ID}}";
    let arguments = ["image", "ls", "--no-trunc", "--filter", &filter, "--format", format];
    let listed = run(Command::new("docker").args(arguments));
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let pairs = listed.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect()
}
