//! The build order on a real engine: arms of images that sleep, with one slow image per arm at varying
//! depths, compared with `make -j` with `docker build`, `docker buildx bake`, and `docker compose build`.
//!
//! `cargo bench --bench order [-- ARMS [DEPTH]]` uses 6 arms of 4 images by default. The engine must support
//! named contexts (Docker 23), which connect the targets of bake and Compose. Before each run, every image
//! gets a file that no engine has seen, so that every step runs. Times are multiples of the longest chain of
//! sleeps, or of all sleeps divided by the slots.
//!
//! The last column is the median without the time of the same run if nothing sleeps. The rest is due to the
//! order.
//!
//! layers and make limit the number of concurrent builds. bake and Compose do not, and run all sleeps at the
//! same time.

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

use crate::common::tree::{Images, LABEL, knows_contexts};
use crate::common::{busybox, measure, run, spread};

mod common;

const ROUNDS: usize = 3;
const SLOW: f64 = 2.0;
const QUICK: f64 = 0.2;

struct Arms {
    app: String,
    arms: usize,
    depth: usize,
}

fn main() {
    let mut numbers = std::env::args().filter_map(|it| it.parse().ok());
    let arms = numbers.next().unwrap_or(6);
    let depth = numbers.next().unwrap_or(4);
    assert!(knows_contexts(), "the engine must be Docker 23 or newer: set DOCKER_HOST");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path();
    let tree = Arms { app: format!("bench{}", std::process::id()), arms, depth };
    let made = Images(&tree.app);
    tree.lay_out(root);
    tree.renew(root, true);
    // From here on, the build times are known.
    drop(run(&mut tree.layers(root, arms)));
    println!("{arms} arms of {depth}: sleeps of {QUICK} s, one of {SLOW} s in each arm");
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9}",
        "times the least that is possible", "min", "median", "max", "order"
    );
    for jobs in [3, arms] {
        let bound = tree.bound(jobs);
        tree.race(root, &format!("layers build --all -j {jobs}"), bound, || {
            tree.layers(root, jobs)
        });
        tree.race(root, &format!("make -j {jobs}, docker build"), bound, || tree.make(root, jobs));
    }
    let bound = tree.bound(arms);
    tree.race(root, "docker buildx bake", bound, || {
        plugin(root, &["buildx", "bake", "--file=docker-bake.hcl", "--progress=quiet"])
    });
    tree.race(root, "docker compose build", bound, || {
        plugin(root, &["compose", "--progress=quiet", "build"])
    });
    drop(made);
}

fn plugin(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments).current_dir(root);
    command
}

impl Arms {
    fn names(&self) -> Vec<(usize, usize, String)> {
        let arms = 0..self.arms;
        arms.flat_map(|arm| {
            (0..self.depth).map(move |at| (arm, at, format!("arm{arm:02}-{at:02}")))
        })
        .collect()
    }

    fn need(&self, arm: usize, at: usize) -> String {
        if at == 0 { "base".to_owned() } else { format!("arm{arm:02}-{:02}", at - 1) }
    }

    fn sleep(&self, arm: usize, at: usize) -> f64 {
        if at == arm % self.depth { SLOW } else { QUICK }
    }

    /// Returns the minimum time for any order.
    fn bound(&self, jobs: usize) -> f64 {
        let chain = SLOW + QUICK * (self.depth - 1) as f64;
        chain.max(chain * self.arms as f64 / jobs as f64)
    }

    fn lay_out(&self, root: &Path) {
        let docker = root.join("docker");
        let app = &self.app;
        let write = |path: &Path, text: &str| fs::write(path, text).expect("written");
        let base = docker.join("base");
        fs::create_dir_all(&base).expect("a directory can be created");
        fs::copy(busybox(), base.join("busybox")).expect("busybox can be copied");
        let text = format!("FROM scratch\nLABEL {LABEL}={app}\nCOPY busybox /bin/\n");
        write(&base.join("Dockerfile"), &text);
        let (mut make, mut bake) = (String::from("all:"), String::new());
        let mut compose = format!("name: {app}\nservices:\n");
        let all = self.names();
        let named: Vec<&str> = all.iter().map(|(.., name)| name.as_str()).collect();
        make.push_str(&format!(" {}\nbase:\n", named.join(" ")));
        let base_target = "  context = \"docker/base\"\n";
        bake.push_str(&format!("target \"base\" {{\n{base_target}}}\n"));
        bake.push_str(&format!("group \"default\" {{\n  targets = {named:?}\n}}\n"));
        compose.push_str("  base:\n    build:\n      context: ./docker/base\n");
        for (arm, at, name) in &all {
            let need = self.need(*arm, *at);
            let directory = docker.join(name);
            fs::create_dir_all(&directory).expect("a directory can be created");
            let text = format!(
                "FROM {app}/x-{need}\nCOPY new /new-{at}\n\
                 RUN [\"/bin/busybox\", \"sh\", \"/new-{at}\"]\n"
            );
            write(&directory.join("Dockerfile"), &text);
            make.push_str(&format!(
                "{name}: {need}\n\tdocker build -q -t {app}/x-{name} docker/{name}\n"
            ));
            bake.push_str(&format!(
                "target \"{name}\" {{\n  context = \"docker/{name}\"\n  tags = [\"{app}/bake-{name}\"]\n  \
                 contexts = {{ \"{app}/x-{need}\" = \"target:{need}\" }}\n}}\n"
            ));
            compose.push_str(&format!(
                "  {name}:\n    image: {app}/compose-{name}\n    build:\n      context: ./docker/{name}\n      \
                 additional_contexts:\n        \"{app}/x-{need}\": \"service:{need}\"\n"
            ));
        }
        write(&root.join("Makefile"), &make);
        write(&root.join("docker-bake.hcl"), &bake);
        write(&root.join("compose.yaml"), &compose);
    }

    /// Gives every image content that no engine has seen, with the time that it sleeps.
    fn renew(&self, root: &Path, sleeps: bool) {
        for (arm, at, name) in self.names() {
            let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
            let time = if sleeps { self.sleep(arm, at) } else { 0.0 };
            let text = format!("#!/bin/busybox sh\n: {name} {now}\nsleep {time}\n");
            fs::write(root.join("docker").join(&name).join("new"), text).expect("written");
        }
    }

    fn layers(&self, root: &Path, jobs: usize) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
        let jobs = jobs.to_string();
        command
            .args(["build", "--all", "--progress", "quiet", "-j", jobs.as_str(), "-C"])
            .arg(root);
        command
    }

    fn make(&self, root: &Path, jobs: usize) -> Command {
        let mut command = Command::new("make");
        command.arg(format!("-j{jobs}")).arg("all").current_dir(root);
        command
    }

    /// Measures one of the programs.
    fn race(&self, root: &Path, name: &str, bound: f64, command: impl Fn() -> Command) {
        let measure = |sleeps: bool| {
            let times = (0..ROUNDS).map(|_| {
                self.renew(root, sleeps);
                // Engines write records of builds some seconds after the builds have ended.
                thread::sleep(Duration::from_secs(5));
                measure(|| drop(run(&mut command()))).wall.as_secs_f64() / bound
            });
            spread(times.collect())
        };
        let (min, median, max) = measure(true);
        let order = median - measure(false).1;
        println!("{name:<34} {min:>9.2} {median:>9.2} {max:>9.2} {order:>9.2}");
        // Makes sure that the last known times are those of a run with sleeps.
        self.renew(root, true);
    }
}
