//! The time to push a base with ten children, all built before, to an empty registry, compared with `docker push` in
//! a loop.
//!
//! `cargo bench --bench push [-- MEGABYTES]`: the base has a layer of 40 MB by default, and each child one of 1 MB, all
//! of random bytes. Five rounds in turns, each with a registry of its own. Counts in the registry's log how often each
//! layer was uploaded.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark drives programs and prints what it measured"
)]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use crate::common::registry::Registry;
use crate::common::tree::Images;
use crate::common::{Cost, measure, print, print_ratio, run};

mod common;

const ROUNDS: usize = 5;
const CHILDREN: usize = 10;

fn main() {
    let megabytes = std::env::args().find_map(|it| it.parse().ok()).unwrap_or(40);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (root, app) = (directory.path(), format!("bench{}", std::process::id()));
    let images = Images(&app);
    fs::write(root.join("layers.toml"), format!("app = \"{app}\"\n")).expect("written");
    write_image(root, "base", "scratch", megabytes);
    for child in 0..CHILDREN {
        write_image(root, &format!("child{child}"), &format!("{app}-base"), 1);
    }
    build(root, &[]);
    let mut costs: [Vec<Cost>; 2] = Default::default();
    let mut repeated = [0, 0];
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let registry = Registry::start();
            let who = (round + turn) % 2;
            costs[who].push(measure(|| match who {
                0 => build(root, &["--push", "--registry", &registry.address]),
                _ => push_in_a_loop(&app, &registry.address),
            }));
            let uploads = registry.uploads();
            assert!(uploads.len() > CHILDREN, "{uploads:?}");
            repeated[who] = uploads.values().filter(|count| **count > 1).count();
        }
    }
    drop(images);
    println!("a base of {megabytes} MB with {CHILDREN} children of 1 MB");
    println!("{:<34} {:>9} {:>9} {:>9}", "", "min", "median", "max");
    print("layers build --all --push", &costs[0]);
    print("docker push in a loop", &costs[1]);
    print_ratio(&costs);
    println!("blobs that were uploaded more than once: {} and {}", repeated[0], repeated[1]);
}

fn write_image(root: &Path, name: &str, base: &str, megabytes: u64) {
    let directory = root.join("docker").join(name);
    fs::create_dir_all(&directory).expect("created");
    let text = format!("FROM {base}\nCOPY noise /{name}\n");
    fs::write(directory.join("Dockerfile"), text).expect("written");
    let mut noise = File::open("/dev/urandom").expect("it exists").take(megabytes * 1_000_000);
    let mut file = File::create(directory.join("noise")).expect("created");
    io::copy(&mut noise, &mut file).expect("written");
}

fn build(root: &Path, more: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
    command.args(["build", "--all", "--progress", "quiet"]).args(more).arg("-C").arg(root);
    drop(run(&mut command));
}

fn push_in_a_loop(app: &str, registry: &str) {
    let children = (0..CHILDREN).map(|child| format!("child{child}"));
    for name in ["base".to_owned()].into_iter().chain(children) {
        let (local, remote) = (format!("{app}-{name}"), format!("{registry}/{app}-{name}"));
        drop(run(Command::new("docker").args(["tag", &local, &remote])));
        drop(run(Command::new("docker").args(["push", "--quiet", &remote])));
        drop(run(Command::new("docker").args(["rmi", &remote])));
    }
}
