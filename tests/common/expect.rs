//! Comparisons of whole texts with expected ones, and the files that contain long expected texts.
//!
//! `LAYERS_BLESS=1` rewrites these files, so that a changed expectation can be reviewed as a diff.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::path::Path;

use similar::TextDiff;

/// Compares a whole text with the expected one. If they differ, fails with the difference and the whole text,
/// from which a new expectation can be copied.
#[track_caller]
pub fn assert_same(found: &str, expected: &str) {
    assert!(found == expected, "{}\nfound:\n{found}", difference(found, expected, "expected"));
}

/// Compares a whole text with a file of the repository. With `LAYERS_BLESS=1`, writes the text to the file
/// instead.
#[track_caller]
pub fn expect_file(path: &str, found: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_blessed = std::env::var_os("LAYERS_BLESS").is_some_and(|value| value == "1");
    if let Err(message) = compare(root, path, found, is_blessed) {
        panic!("{message}");
    }
}

/// Compares a text with a file below a directory, or writes it to the file. The message shows the difference.
pub fn compare(root: &Path, path: &str, found: &str, is_blessed: bool) -> Result<(), String> {
    let file = root.join(path);
    // A missing file differs from everything.
    let expected = fs::read_to_string(&file).unwrap_or_default();
    if found == expected && file.exists() {
        return Ok(());
    }
    if is_blessed {
        fs::write(&file, found).unwrap();
        eprintln!("rewritten: {path}");
        return Ok(());
    }
    let difference = difference(found, &expected, path);
    Err(format!("{difference}hint: if this is right, rewrite the file with LAYERS_BLESS=1"))
}

/// Returns the unified diff of two texts.
fn difference(found: &str, expected: &str, name: &str) -> String {
    let difference = TextDiff::from_lines(expected, found);
    difference.unified_diff().context_radius(3).header(name, "found").to_string()
}
