//! The cost of large contexts compared with `docker buildx build`, for the same files on the same engine: the first
//! build, a build after a small file was edited, and a build after `docker builder prune`.
//!
//! `cargo bench --bench context [-- ROUNDS]` creates contexts of 300 MB, of 1 GB, and of 30,000 small files. Each is
//! copied to an image by `FROM scratch` and `COPY . /context/`. The two programs take turns, and the one that starts
//! changes in each round. Prints how much the engine's cache grew in the builds after an edit, too.
//!
//! **Removes the build cache and all unused images of the engine in DOCKER_HOST**, which must be set.

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

use crate::common::{Cost, layers, measure, print, print_ratio, run};

mod common;

const ROUNDS: usize = 5;

/// How many builds after an edit each program does per round.
const EDITS: usize = 3;

const NAMES: [&str; 2] = ["layers build --all", "docker buildx build"];
const KINDS: [&str; 3] = ["first build", "small edit", "after a prune"];

/// The name, the number of files, and their size in bytes; the small ones vary from 200 to 4,200.
const CONTEXTS: [(&str, usize, Option<usize>); 3] = [
    ("300 MB in 300 files", 300, Some(1 << 20)),
    ("1 GB in 1,000 files", 1_000, Some(1 << 20)),
    ("30,000 small files", 30_000, None),
];

fn main() {
    assert!(std::env::var_os("DOCKER_HOST").is_some(), "set DOCKER_HOST: its cache is removed");
    let rounds = std::env::args().filter_map(|it| it.parse().ok()).next().unwrap_or(ROUNDS);
    for (name, files, size) in CONTEXTS {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path();
        lay_out(root, files, size);
        println!("\n{name}, {rounds} rounds");
        let mut costs: [[Vec<Cost>; 2]; 3] = Default::default();
        let mut growth = [(0.0, 0.0); 2];
        for round in 0..rounds {
            for turn in 0..2 {
                let who = (round + turn) % 2;
                let [first, edit, pruned] = &mut costs;
                forget(root);
                first[who].push(measure_build(who, root));
                let before = cache_sizes();
                for _ in 0..EDITS {
                    change(root);
                    edit[who].push(measure_build(who, root));
                }
                let after = cache_sizes();
                growth[who].0 += after.0 - before.0;
                growth[who].1 += after.1 - before.1;
                docker(&["builder", "prune", "-af"]);
                change(root);
                pruned[who].push(measure_build(who, root));
            }
        }
        for (kind, costs) in KINDS.into_iter().zip(&costs) {
            println!("{kind:<34} {:>9} {:>9} {:>9}", "min", "median", "max");
            for (name, costs) in NAMES.iter().zip(costs) {
                print(name, costs);
            }
            print_ratio(costs);
        }
        for (name, (copies, all)) in NAMES.iter().zip(growth) {
            let builds = (rounds * EDITS) as f64;
            let (copies, all) = (copies / builds, all / builds);
            println!(
                "{name}: cache grew by {all:.2} MB per edit, copies of contexts by {copies:.2} MB"
            );
        }
        forget(root);
    }
}

fn measure_build(who: usize, root: &Path) -> Cost {
    // What the last build left to do in the engine is not part of this one.
    thread::sleep(Duration::from_secs(1));
    measure(|| build(who, root))
}

fn build(who: usize, root: &Path) {
    if who == 0 {
        let counted = layers(root);
        assert!(counted.starts_with("1 built"), "{counted}");
    } else {
        let context = root.join("docker/context");
        docker(&["buildx", "build", "-q", "-t", "layers-bench:buildx", &context.to_string_lossy()]);
    }
}

fn docker(arguments: &[&str]) -> Vec<u8> {
    run(Command::new("docker").args(arguments)).stdout
}

/// Makes the engine and `layers` forget everything about the context.
fn forget(root: &Path) {
    drop(fs::remove_dir_all(root.join(".layers")));
    docker(&["image", "prune", "-af"]);
    docker(&["builder", "prune", "-af"]);
    // Another context for the engine, too.
    change(root);
}

/// Returns the sizes in MB of the copies of contexts, and of everything in the engine's cache.
fn cache_sizes() -> (f64, f64) {
    let listed = docker(&["system", "df", "-v", "--format", "{{json .BuildCache}}"]);
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed).expect("a list");
    let size = |it: &serde_json::Value| megabytes(it["Size"].as_str().unwrap_or_default());
    let is_copy = |it: &&serde_json::Value| it["CacheType"] == "source.local";
    (listed.iter().filter(is_copy).map(size).sum(), listed.iter().map(size).sum())
}

/// Parses a size such as `1.05GB`.
fn megabytes(text: &str) -> f64 {
    let units = [("GB", 1e3), ("MB", 1.0), ("kB", 1e-3), ("B", 1e-6)];
    let parse = |(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor);
    units.into_iter().find_map(parse).unwrap_or_default()
}

/// Creates files with content that cannot be compressed, a hundred per directory.
fn lay_out(root: &Path, files: usize, size: Option<usize>) {
    let context = root.join("docker/context");
    let mut random = 1_u64;
    for number in 0..files {
        let directory = context.join(format!("d{}", number % files.div_ceil(100)));
        fs::create_dir_all(&directory).expect("a directory can be created");
        let size = size.unwrap_or(200 + number % 4000);
        let mut content = Vec::with_capacity(size + 8);
        while content.len() < size {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            content.extend_from_slice(&(random ^ (random >> 29)).to_le_bytes());
        }
        content.truncate(size);
        fs::write(directory.join(format!("f{number}")), content).expect("a file can be written");
    }
    let text = "FROM scratch\nCOPY . /context/\n";
    fs::write(context.join("Dockerfile"), text).expect("a file can be written");
    let config = "namespace = \"layers-bench\"\napp = \"x\"\n";
    fs::write(root.join("layers.toml"), config).expect("a file can be written");
}

/// Edits a small file.
fn change(root: &Path) {
    let path = root.join("docker/context/small");
    let times = fs::read_to_string(&path).map_or(0, |text| text.len());
    fs::write(path, "x".repeat(times + 1)).expect("a file can be written");
}
