//! The comparison with files of expected output: it fails if they differ, and rewrites them only on request.

use std::fs;

#[path = "common/expect.rs"]
mod expect;

#[test]
fn differences_fail_and_are_printed() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "same\nold\n").unwrap();
    assert_eq!(expect::compare(root.path(), "file", "same\nold\n", false), Ok(()));
    let message = expect::compare(root.path(), "file", "same\nnew\n", false).unwrap_err();
    for line in ["--- file", "+++ found", " same", "-old", "+new"] {
        assert!(message.lines().any(|it| it == line), "{line}: {message}");
    }
    assert!(message.contains("LAYERS_BLESS=1"), "{message}");
    assert_eq!(fs::read_to_string(root.path().join("file")).unwrap(), "same\nold\n");
    let missing = expect::compare(root.path(), "missing", "", false);
    assert!(missing.is_err(), "an empty text is not a missing file");
}

#[test]
fn files_are_rewritten_only_on_request() {
    let root = tempfile::tempdir().unwrap();
    for text in ["", "first\n", "second\n"] {
        assert!(expect::compare(root.path(), "file", text, false).is_err());
        assert_eq!(expect::compare(root.path(), "file", text, true), Ok(()));
        assert_eq!(fs::read_to_string(root.path().join("file")).unwrap(), text);
        assert_eq!(expect::compare(root.path(), "file", text, false), Ok(()));
    }
}

#[test]
#[should_panic(expected = "-expected")]
fn texts_must_match_completely() {
    expect::assert_same("found\n", "expected\n");
}
