//! The cost on a machine with an empty engine if another machine has built all images and pushed them to a
//! registry, compared with `docker buildx bake`, which builds them again.
//!
//! `cargo bench --bench shared [-- IMAGES]` creates the same kind of tree as `cold`, by default with 30
//! images. It builds the images, pushes them once to its own `docker-registry`, and removes them and the
//! build cache from the engine before each of five rounds. Each round has a separate checkout, so that no
//! state of an earlier build remains. The engine must support named contexts (Docker 23).

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark drives programs and prints what it measured"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::registry::Registry;
use crate::common::tree::{Images, bake_file, knows_contexts, lay_out, plan};
use crate::common::{Cost, measure, print, print_ratio, run};

mod common;

const ROUNDS: usize = 5;

fn main() {
    let count = std::env::args().find_map(|it| it.parse().ok()).unwrap_or(30);
    assert!(knows_contexts(), "the engine must be Docker 23 or newer: set DOCKER_HOST");
    let registry = Registry::start();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = directory.path().join("first");
    let app = format!("bench{}", std::process::id());
    let images = plan(count, &app);
    lay_out(&first, &images, 10);
    fs::write(first.join("docker-bake.hcl"), bake_file(&images, &app, true)).expect("written");
    let printed = build(&first, &registry.address, &["--push"]);
    assert!(printed.contains(&format!("{count} built of {count} images")), "{printed}");
    let mut costs: [Vec<Cost>; 2] = Default::default();
    for round in 0..ROUNDS {
        for turn in 0..2 {
            empty(&app);
            let checkout = directory.path().join(format!("{round}-{turn}"));
            copy(&first, &checkout);
            let who = (round + turn) % 2;
            costs[who].push(measure(|| match who {
                0 => {
                    let printed = build(&checkout, &registry.address, &[]);
                    assert!(
                        printed.starts_with(&format!("0 built, {count} fresh (in reg")),
                        "{printed}"
                    );
                }
                _ => {
                    let arguments =
                        ["buildx", "bake", "--file=docker-bake.hcl", "--progress=quiet"];
                    drop(run(Command::new("docker").args(arguments).current_dir(&checkout)));
                }
            }));
        }
    }
    empty(&app);
    println!("{count} images, all in the registry, none in the engine");
    println!("{:<34} {:>9} {:>9} {:>9}", "", "min", "median", "max");
    print("layers build --all", &costs[0]);
    print("docker buildx bake", &costs[1]);
    print_ratio(&costs);
}

fn build(root: &Path, registry: &str, more: &[&str]) -> String {
    let output = run(Command::new(env!("CARGO_BIN_EXE_layers"))
        .args(["build", "--all", "--progress", "quiet", "--registry", registry])
        .args(more)
        .arg("-C")
        .arg(root));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Removes the built images and the build cache from the engine.
fn empty(app: &str) {
    drop(Images(app));
    drop(run(Command::new("docker").args(["builder", "prune", "--all", "--force"])));
}

fn copy(from: &Path, to: &Path) {
    drop(run(Command::new("cp").arg("-a").arg(from).arg(to)));
    fs::remove_dir_all(to.join(".layers")).expect("it was built there");
}
