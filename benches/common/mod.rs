//! What the benchmarks on a real engine share: running programs, measuring their cost, and rows of a table.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub mod registry;
pub mod tree;

/// The cost of a program and all its children.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

/// Runs a program that must succeed.
pub fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Measures the cost of `work`.
pub fn measure(work: impl FnOnce()) -> Cost {
    let (start, before) = (Instant::now(), children_cpu());
    work();
    Cost { wall: start.elapsed(), cpu: children_cpu() - before }
}

/// Returns the CPU time of all children that have ended (proc(5), `stat`, fields 16 and 17), in steps of 10
/// ms.
fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> =
        stat.rsplit(')').next().expect("fields follow the name").split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number of ticks");
    Duration::from_millis((ticks(13) + ticks(14)) * 10)
}

/// Builds all images. Returns the counts of the run.
pub fn layers(root: &Path) -> String {
    let output = run(Command::new(env!("CARGO_BIN_EXE_layers"))
        .args(["build", "--all", "--progress", "quiet", "-C"])
        .arg(root));
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    printed.lines().last().unwrap_or_default().to_owned()
}

/// Prints two rows: the wall times and the client's CPU times. Returns the spread of the wall times.
pub fn print(name: &str, costs: &[Cost]) -> (f64, f64, f64) {
    let millis = |pick: fn(&Cost) -> Duration| {
        spread(costs.iter().map(|cost| pick(cost).as_secs_f64() * 1000.0).collect())
    };
    let (wall, cpu) = (millis(|it| it.wall), millis(|it| it.cpu));
    for (what, (min, median, max)) in [("wall", wall), ("client CPU", cpu)] {
        println!("{:<34} {min:>9.1} {median:>9.1} {max:>9.1} ms", format!("{name}: {what}"));
    }
    wall
}

/// Prints a row with the minimum, median, and maximum of the ratios of wall times, in pairs.
pub fn print_ratio(costs: &[Vec<Cost>; 2]) {
    let pairs = costs[0].iter().zip(&costs[1]);
    let ratios = pairs.map(|(a, b)| a.wall.as_secs_f64() / b.wall.as_secs_f64());
    let (min, median, max) = spread(ratios.collect());
    println!("{:<34} {min:>9.3} {median:>9.3} {max:>9.3}", "ratio of wall");
}

/// Returns the minimum, the median, and the maximum of some values.
pub fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[0], values[values.len() / 2], values[values.len() - 1])
}

/// Returns the path of a static busybox, for building images.
pub fn busybox() -> &'static Path {
    let found = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter();
    let mut found = found.filter(|it| it.exists());
    found.next().expect("a static busybox (Debian package busybox-static)")
}
