//! The cost of reading a context of 30,000 files: listing it with three ignore files, hashing it, and reading it again
//! to send it.
//!
//! `cargo bench --bench reading [-- FILES]` prints the minimum, the median, and the maximum of each part.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use layers::base::{RelPath, Source};
use layers::engine::{ContextFiles, context_tar};
use layers::inputs::ContextSelection;
use layers::scan::context::Context;
use layers::scan::ignore_file::IgnoreFile;

const ROUNDS: usize = 7;

fn main() {
    let files = std::env::args().filter_map(|it| it.parse().ok()).next().unwrap_or(30_000);
    let directory = tempfile::tempdir().expect("a temporary directory");
    lay_out(directory.path(), files);
    let nothing = IgnoreFile::default();
    let plain = ignore_file(|number| format!("**/skip{number}*/**/*.tmp{number}"));
    // These pass the comparison of their literal ends, so that each one needs its regular expression.
    let slow = ignore_file(|number| format!("**/*{number}x*t"));
    println!("{files} files, {ROUNDS} rounds");
    println!("{:<34} {:>8} {:>8} {:>8}", "", "min", "median", "max");
    let walk =
        |ignore: &IgnoreFile| Context::walk(directory.path(), ignore).expect("it can be read");
    measure("list", || walk(&nothing));
    measure("list, 50 patterns", || walk(&plain));
    measure("list, 50 slow patterns", || walk(&slow));
    let mut selection = ContextSelection::all(walk(&nothing));
    measure("read", || read(&selection));
    measure("digests", || selection.digest_files().expect("it can be read").len());
    measure("read, checked against digests", || read(&selection));
}

fn read(selection: &ContextSelection) {
    let written = context_tar::write(selection, &selection.headers(), &mut io::sink());
    written.expect("nothing changed");
}

/// Creates files of 200 to 4,200 bytes, a hundred per directory.
fn lay_out(root: &Path, files: u32) {
    for number in 0..files {
        let directory = root.join(format!("d{}/e{}", number % 30, number % 300));
        fs::create_dir_all(&directory).expect("a directory can be created");
        let text = vec![b'x'; 200 + (number % 4000) as usize];
        fs::write(directory.join(format!("f{number}.txt")), text).expect("a file can be written");
    }
}

/// Returns an ignore file of fifty lines, none of which matches anything.
fn ignore_file(pattern: impl Fn(u32) -> String) -> IgnoreFile {
    let patterns: Vec<String> = (0..50).map(pattern).collect();
    let path = RelPath::new(".dockerignore").expect("a path");
    IgnoreFile::parse(&Source::new(path, patterns.join("\n"))).0
}

fn measure<T>(what: &str, mut work: impl FnMut() -> T) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            drop(work());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let seconds = |at: usize| times[at].as_secs_f64();
    let (min, median, max) = (seconds(0), seconds(ROUNDS / 2), seconds(ROUNDS - 1));
    println!("{what:<34} {min:>8.3} {median:>8.3} {max:>8.3} s");
}
