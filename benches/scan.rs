//! The cost of reading a repository with 100 to 100,000 Dockerfiles: `layers graph --json` as a whole
//! process, which finds, parses, links, and prints them.
//!
//! `cargo bench --bench scan [-- IMAGES…]` prints the wall time, CPU time, and peak memory of each size, the
//! ratios between sizes, and then two unusual repositories: a Dockerfile of 1 MB, and a chain of 10,000
//! images.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark drives a program and prints what it measured"
)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
const RUNS: u32 = 7;

/// The medians of several runs on one repository.
struct Cost {
    wall: Duration,
    cpu: Duration,
    /// `None` if the output is too short to observe the process while it is printing.
    peak_kib: Option<u64>,
    output: usize,
}

fn main() {
    let given: Vec<usize> = std::env::args().filter_map(|it| it.parse().ok()).collect();
    let sizes = if given.is_empty() { SIZES.to_vec() } else { given.clone() };
    println!("layers graph --json, the median of {RUNS} runs (CPU: the mean)");
    println!("{:<24} {:>9} {:>9} {:>9} {:>9}", "", "wall s", "CPU s", "peak MB", "output MB");
    let mut last: Option<Cost> = None;
    for size in sizes {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for image in 0..size {
            add(directory.path(), &name_of(image), &dockerfile(image));
        }
        let cost = measure(directory.path());
        print(&format!("{size} images"), &cost);
        if let Some(last) = last {
            let ratio = |new: f64, old: f64| format!("×{:.1}", new / old.max(f64::EPSILON));
            let peak = cost.peak_kib.zip(last.peak_kib);
            println!(
                "{:<24} {:>9} {:>9} {:>9}",
                "",
                ratio(cost.wall.as_secs_f64(), last.wall.as_secs_f64()),
                ratio(cost.cpu.as_secs_f64(), last.cpu.as_secs_f64()),
                peak.map_or("-".to_owned(), |(new, old)| ratio(new as f64, old as f64)),
            );
        }
        last = Some(cost);
    }
    if given.is_empty() {
        measure_odd_ones();
    }
}

fn measure_odd_ones() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    add(directory.path(), "huge", &huge());
    print("one file of 1 MB", &measure(directory.path()));
    let directory = tempfile::tempdir().expect("a temporary directory");
    for image in 0..10_000 {
        let base = match image {
            0 => "debian:bookworm-slim".to_owned(),
            image => format!("acme/shop-i{:05}", image - 1),
        };
        add(directory.path(), &format!("i{image:05}"), &format!("FROM {base}\nRUN true\n"));
    }
    print("a chain of 10,000", &measure(directory.path()));
}

fn add(root: &Path, name: &str, text: &str) {
    let directory = root.join("docker").join(name);
    fs::create_dir_all(&directory).expect("a directory can be created");
    fs::write(directory.join("Dockerfile"), text).expect("a file can be written");
}

/// Of twenty images, one is a base, three are builders, eight are for development, and eight are releases.
fn name_of(image: usize) -> String {
    let kind = match image % 20 {
        0 => "base",
        1..=3 => "build",
        4..=11 => "dev",
        _ => "release",
    };
    format!("{kind}-{:05}", image / 20 * 20 + image % 20)
}

fn dockerfile(image: usize) -> String {
    let group = image / 20 * 20;
    let base = name_of(group);
    let builder = name_of(group + 1 + image % 3);
    let header = "# syntax=docker/dockerfile:1\n#\n# One of many images of a large repository.\n";
    match image % 20 {
        0 => {
            let trigger =
                if group.is_multiple_of(200) { "ONBUILD COPY conf /etc/conf\n" } else { "" };
            format!(
                "{header}ARG DEBIAN=bookworm\nFROM debian:${{DEBIAN}}-slim\n\
                 # What all images have.\n\
                 RUN apt-get update \\\n    && apt-get install -y --no-install-recommends \\\n\
                 \x20       ca-certificates \\\n        curl \\\n    && rm -rf /var/lib/apt/lists/*\n\
                 ENV LANG=C.UTF-8 LC_ALL=C.UTF-8\n{trigger}\
                 COPY entrypoint.sh /usr/local/bin/\nENTRYPOINT [\"entrypoint.sh\"]\n"
            )
        }
        1..=3 => format!(
            "{header}FROM acme/shop-{base}:latest AS tools\nARG PY_VERSION=3.12\n\
             RUN --mount=type=cache,target=/root/.cache \\\n    pip install \"build\" wheel\n\n\
             FROM tools\nARG PY_VERSION\nWORKDIR /src\n\
             # Dependencies first, so that a change of code does not fetch them again.\n\
             COPY pyproject.toml ./\nRUN pip wheel --wheel-dir /wheels .\nCOPY . .\n\
             RUN python -m build --outdir /wheels\n"
        ),
        4..=11 => format!(
            "{header}FROM acme/shop-{builder}:latest\n\
             RUN --mount=type=bind,source=requirements.txt,target=/r.txt pip install -r /r.txt\n\
             COPY tests/ tests/\nENV PYTHONPATH=/src APP_ENV=dev\nUSER 1000:1000\n\
             CMD [\"python\", \"-m\", \"pytest\"]\n"
        ),
        _ => format!(
            "{header}FROM acme/shop-{base}:latest\nARG VERSION=0\n\
             COPY --from=acme/shop-{builder}:latest /wheels /wheels\n\
             RUN pip install --no-index --find-links /wheels shop && rm -r /wheels\n\
             LABEL org.opencontainers.image.version=\"${{VERSION}}\"\n\
             EXPOSE 8000\nHEALTHCHECK --interval=30s CMD curl -f http://localhost:8000/\n\
             USER 1000:1000\nCMD [\"shop\", \"serve\"]\n"
        ),
    }
}

/// Returns a Dockerfile of 1 MB with stages, long continuations, and here-documents.
fn huge() -> String {
    let mut text = String::from("FROM debian:bookworm-slim AS s0\n");
    for stage in 1.. {
        if text.len() >= 1_000_000 {
            return text;
        }
        let below = stage - 1;
        text.push_str(&format!("FROM s{below} AS s{stage}\nARG V{stage}=${{V{below}:-x}}\n"));
        text.push_str(&format!("COPY --from=s{below} /a /b\nENV E{stage}=\"$E{below}\"\n"));
        text.push_str("RUN true \\\n");
        text.push_str(&"    && echo word \\\n".repeat(20));
        text.push_str("    # a comment within\n    && true\nRUN <<END\n");
        text.push_str(&"echo \"$HOME\"\n".repeat(20));
        text.push_str("END\n");
    }
    text
}

fn program(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
    command.args(["graph", "--json", "-C"]).arg(root).stdin(Stdio::null());
    command
}

fn measure(root: &Path) -> Cost {
    let mut walls = Vec::new();
    // The first run loads the files into the system's cache.
    let output = run(root);
    let before = children_cpu();
    for _ in 0..RUNS {
        let start = Instant::now();
        run(root);
        walls.push(start.elapsed());
    }
    walls.sort_unstable();
    let cpu = (children_cpu() - before) / RUNS;
    Cost { wall: walls[walls.len() / 2], cpu, peak_kib: peak_memory(root), output }
}

fn run(root: &Path) -> usize {
    let output = program(root).output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.len()
}

/// Returns the peak of the resident memory (`VmHWM`, proc(5)).
///
/// The system reports it only for a running process, so it is read while the process waits for its output to
/// be consumed: before each read from the pipe. Growth after the last full pipe (64 KiB) is missed, but the
/// whole graph is in memory long before.
fn peak_memory(root: &Path) -> Option<u64> {
    let mut child = program(root).stdout(Stdio::piped()).spawn().expect("it can be started");
    let status = format!("/proc/{}/status", child.id());
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut piece = vec![0; 1 << 16];
    let mut peak = None;
    while stdout.read(&mut piece).expect("a pipe can be read") > 0 {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let seen = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(seen);
    }
    assert!(child.wait().expect("it ends").success());
    peak
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

fn print(what: &str, cost: &Cost) {
    let mega = |bytes: f64| bytes / 1_000_000.0;
    println!(
        "{what:<24} {:>9.3} {:>9.3} {:>9} {:>9.1}",
        cost.wall.as_secs_f64(),
        cost.cpu.as_secs_f64(),
        cost.peak_kib.map_or("-".to_owned(), |kib| format!("{:.1}", mega(kib as f64 * 1024.0))),
        mega(cost.output as f64),
    );
}
