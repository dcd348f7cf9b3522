//! `make install` and `make uninstall` in a DESTDIR of the test.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `make` with the program of this build, so that it is not built again.
fn make(target: &str, destination: &Path) -> String {
    let output = Command::new("make")
        .args(["--no-print-directory", target, "PREFIX=/opt/the prefix"])
        .arg(format!("DESTDIR={}", destination.display()))
        .arg(format!("LAYERS={}", env!("CARGO_BIN_EXE_layers")))
        // If `make test` runs this, its settings must not reach this `make`.
        .env_remove("MAKEFLAGS")
        .env_remove("MFLAGS")
        .env_remove("MAKELEVEL")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && printed.is_empty(), "make {target}: {printed}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns all files below a directory, with relative paths.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut stack = vec![directory.to_owned()];
    while let Some(next) = stack.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else {
                found.insert(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn uninstall_removes_exactly_the_installed_files() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("a folder");
    let prefix = below.join("opt/the prefix");
    let man = prefix.join("share/man/man1");
    fs::create_dir_all(&man).unwrap();
    // A page of an older version, and one of another program with the same name.
    let gone = ".TH LAYERS-GONE 1 \"\" \"layers 0.0.1\" \"User Commands\"\n";
    fs::write(man.join("layers-gone.1"), gone).unwrap();
    fs::write(man.join("layers-of-cake.1"), ".TH LAYERS-OF-CAKE 1\n").unwrap();

    let printed = make("install", &below);
    let mut installed = files(&prefix);
    assert!(installed.remove("share/man/man1/layers-of-cake.1"), "it belongs to somebody else");
    let told: BTreeSet<&str> =
        printed.lines().map(|line| line.split("/the prefix/").nth(1).unwrap()).collect();
    assert_eq!(installed, told.iter().map(|line| (*line).to_owned()).collect());
    for file in [
        "bin/layers",
        "share/bash-completion/completions/layers",
        "share/fish/vendor_completions.d/layers.fish",
        "share/man/man1/layers-build.1",
        "share/man/man1/layers.1",
        "share/zsh/site-functions/_layers",
    ] {
        assert!(installed.contains(file), "{file} is not in {installed:?}");
    }
    assert!(!installed.contains("share/man/man1/layers-gone.1"), "nothing has that command");
    check_content(&prefix, &installed, &below);

    make("install", &below);
    assert_eq!(files(&prefix).len(), installed.len() + 1, "a second time is like the first");
    make("uninstall", &below);
    assert_eq!(
        files(&below),
        BTreeSet::from(["opt/the prefix/share/man/man1/layers-of-cake.1".to_owned()])
    );
    make("uninstall", &below);
}

/// Checks that everything is readable, only the program is executable, no file contains the build path, and
/// the program is this one.
fn check_content(prefix: &Path, installed: &BTreeSet<String>, below: &Path) {
    let version = Command::new(prefix.join("bin/layers")).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(version, format!("layers {}\n", env!("CARGO_PKG_VERSION")));
    for file in installed {
        let path = prefix.join(file);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let is_program = file == "bin/layers";
        assert_eq!(mode, if is_program { 0o755 } else { 0o644 }, "{file}");
        if !is_program {
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(below.to_str().unwrap()), "{file} knows where it was packed");
        }
    }
}
