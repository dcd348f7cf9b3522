//! A plan of an unchanged tree reads no files of a context. A file that was changed without a change of its
//! time and size is read again.
//!
//! The kernel counts how many bytes each process, and the children that it has waited for, have read. So this
//! is a single test in a separate program.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Much more than everything else that a plan reads: programs, Dockerfiles, and the state directory.
const SIZE: usize = 24 << 20;
const LITTLE: u64 = 4 << 20;

/// After this age, a file's times reveal every change, on a disk that stores fractions of seconds.
const SETTLED: Duration = Duration::from_millis(100);

/// Returns the bytes that this process, and the children that it has waited for, have read so far.
fn bytes_read() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").expect("a kernel that counts (TASK_IO)");
    let read = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    read.parse().unwrap()
}

/// Returns the verdict on the only image, and the bytes read for it.
fn plan(root: &Path) -> (String, u64) {
    let before = bytes_read();
    let output = Command::new(env!("CARGO_BIN_EXE_layers"))
        .args(["build", "--all", "--dry-run", "--engine", "fake"])
        .current_dir(root)
        .env("LAYERS_FAKE_SCRIPT", root.join("script.json"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    (printed.lines().next().unwrap_or_default().to_owned(), bytes_read() - before)
}

#[test]
fn a_second_plan_reads_only_changed_files() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir_all(root.join("docker/base")).unwrap();
    fs::write(root.join("docker/base/Dockerfile"), "FROM scratch\nCOPY big /\n").unwrap();
    fs::write(root.join("script.json"), r#"{"store": "store.json"}"#).unwrap();
    let big = root.join("docker/base/big");
    fs::write(&big, vec![b'a'; SIZE]).unwrap();
    let written = Instant::now();
    let read_all = |read: u64| read >= SIZE as u64;
    assert!(read_all(plan(root).1), "what nobody knows is read");
    while written.elapsed() < SETTLED {
        plan(root);
    }
    plan(root);
    let (verdict, read) = plan(root);
    assert!(read < LITTLE, "{read} bytes were read for `{verdict}`");

    let build = Command::new(env!("CARGO_BIN_EXE_layers"))
        .args(["build", "--all", "--engine", "fake", "--progress", "quiet"])
        .current_dir(root)
        .env("LAYERS_FAKE_SCRIPT", root.join("script.json"))
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let (verdict, read) = plan(root);
    assert!(verdict.starts_with("base") && verdict.contains("fresh"), "{verdict}");
    assert!(read < LITTLE, "{read} bytes were read for `{verdict}`");

    // Another byte in the same file, with the same size and time.
    let modified = fs::metadata(&big).unwrap().modified().unwrap();
    let mut file = File::options().write(true).open(&big).unwrap();
    file.write_all(b"b").unwrap();
    file.set_modified(modified).unwrap();
    drop(file);
    assert_eq!(fs::metadata(&big).unwrap().modified().unwrap(), modified);
    let (verdict, read) = plan(root);
    assert!(verdict.contains("docker/base/big changed"), "{verdict}");
    assert!(read_all(read), "{read} bytes were read for `{verdict}`");
}
