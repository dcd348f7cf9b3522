//! The cost per image if all steps are in the engine's cache: `layers build --all` compared with one `docker
//! build` command per image, on the same engine, in turns.
//!
//! `cargo bench --bench per_image [-- IMAGES]` prints the wall time and the client CPU time of both and their
//! ratio per pair. Both run two builds at the same time; the commands run as with `make -j2`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark drives programs and prints what it measured"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Cost, busybox, measure, run, spread};

mod common;

const PAIRS: usize = 5;

fn main() {
    let images = std::env::args().filter_map(|it| it.parse().ok()).next().unwrap_or(20);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let app = format!("bench{}", std::process::id());
    lay_out(directory.path(), &app, images);
    layers(directory.path());
    command_lines(directory.path(), &app, images);
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let ours = measure(|| layers(directory.path()));
        let theirs = measure(|| command_lines(directory.path(), &app, images));
        pairs.push((ours, theirs));
    }
    report(&pairs, images);
    for image in 0..images {
        docker(&["image", "rm", "--force", &format!("{app}/x-i{image:03}:latest")]);
    }
}

/// Creates a base with busybox, a tenth of the images in the middle, and the rest on those.
fn lay_out(root: &Path, app: &str, images: usize) {
    let busybox = busybox();
    for image in 0..images {
        let directory = root.join(format!("docker/i{image:03}"));
        fs::create_dir_all(&directory).expect("a directory can be created");
        let base = match image {
            0 => "scratch".to_owned(),
            image if image <= images / 10 => format!("{app}/x-i000"),
            image => format!("{app}/x-i{:03}", 1 + image % (images / 10).max(1)),
        };
        let copy = if image == 0 { "COPY busybox /bin/\n" } else { "" };
        let text =
            format!("FROM {base}\n{copy}COPY file /f{image}\nRUN [\"/bin/busybox\", \"true\"]\n");
        fs::write(directory.join("Dockerfile"), text).expect("a file can be written");
        fs::write(directory.join("file"), format!("{image}\n")).expect("a file can be written");
        if image == 0 {
            fs::copy(busybox, directory.join("busybox")).expect("busybox can be copied");
        }
    }
}

fn layers(root: &Path) {
    run(Command::new(env!("CARGO_BIN_EXE_layers"))
        .args(["build", "--all", "--force", "-j2", "--progress", "quiet", "-C"])
        .arg(root));
}

/// Runs one command per image in dependency order, two at the same time: the base, the middle, the rest.
fn command_lines(root: &Path, app: &str, images: usize) {
    let (middle, client) = (images / 10, client());
    for part in [0..1, 1..middle + 1, middle + 1..images] {
        let lines = part.map(|image| {
            format!("{client} build -q -t {app}/x-i{image:03}:latest docker/i{image:03}\n")
        });
        let lines: String = lines.collect();
        let script = format!("printf '%s' '{lines}' | xargs -P2 -I{{}} sh -c '{{}} >/dev/null'");
        run(Command::new("sh").args(["-c", &script]).current_dir(root).env("DOCKER_BUILDKIT", "1"));
    }
}

/// Returns a docker command that builds with BuildKit. A newer one needs buildx for that; if it is missing,
/// an older one can do without.
fn client() -> &'static str {
    let has_buildx = Command::new("docker").args(["buildx", "version"]).output();
    let has_buildx = has_buildx.is_ok_and(|output| output.status.success());
    if has_buildx || !Path::new("/usr/bin/docker").exists() { "docker" } else { "/usr/bin/docker" }
}

fn docker(arguments: &[&str]) {
    run(Command::new("docker").args(arguments));
}

fn report(pairs: &[(Cost, Cost)], images: usize) {
    let row = |name: &str, values: Vec<f64>, unit: &str| {
        let (min, median, max) = spread(values);
        println!("{name:<34} {min:>8.3} {median:>8.3} {max:>8.3} {unit}");
    };
    let per_image = images as f64;
    println!("{images} images, all steps cached, 2 at once, {PAIRS} pairs");
    println!("{:<34} {:>8} {:>8} {:>8}", "", "min", "median", "max");
    let of = |pick: fn(&(Cost, Cost)) -> f64| pairs.iter().map(pick).collect::<Vec<_>>();
    row("layers: wall", of(|it| it.0.wall.as_secs_f64()), "s");
    row("command lines: wall", of(|it| it.1.wall.as_secs_f64()), "s");
    row("ratio of wall", of(|it| it.0.wall.as_secs_f64() / it.1.wall.as_secs_f64()), "");
    let cpu = |values: Vec<f64>| values.into_iter().map(|it| it * 1000.0 / per_image).collect();
    row("layers: client CPU an image", cpu(of(|it| it.0.cpu.as_secs_f64())), "ms");
    row("command lines: client CPU an image", cpu(of(|it| it.1.cpu.as_secs_f64())), "ms");
}
