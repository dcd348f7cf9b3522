//! Tests of what is found in whole repositories.

use std::fs;

use super::*;

mod bake;
mod compose;
mod documents;
mod hostile;
mod shell;
mod workflows;

/// Writes files, given as a path and a text each. A text that is empty is a Dockerfile.
pub(super) fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, if text.is_empty() { "FROM scratch\n" } else { text }).unwrap();
    }
    root
}

/// Returns a line per build: where it is described, its name, what it builds, and its options.
pub(super) fn describe(build: &DescribedBuild) -> String {
    let mut line = format!("{} ", build.origin);
    if let Some(name) = &build.name {
        line += &format!("{name}: ");
    }
    line += build.dockerfile.as_str();
    line += &match &build.context {
        Some(context) => format!(" in {context}"),
        None => " in ?".to_owned(),
    };
    line.extend(build.target.iter().map(|target| format!(" target={target}")));
    line.extend(build.args.iter().map(|(name, value)| format!(" {name}={value}")));
    line.extend(build.references.iter().map(|reference| format!(" -t {reference}")));
    line.extend(build.contexts.iter().map(|(name, value)| format!(" {name}:={value}")));
    line.extend(build.platforms.iter().map(|platform| format!(" @{platform}")));
    line += if build.is_example { " (example)" } else { "" };
    line
}

/// Checks the builds and the problems that are found in files.
#[track_caller]
pub(super) fn check(files: &[(&str, &str)], expected: &[&str]) {
    let root = repository(files);
    let (builds, problems) = find(root.path());
    let mut found: Vec<String> = builds.iter().map(describe).collect();
    found.extend(problems.iter().map(|problem| format!("! {problem}")));
    assert_eq!(found, expected);
}

#[test]
fn ignored_and_foreign_directories_are_skipped() {
    let compose = "services:\n  a:\n    build: .\n";
    check(
        &[
            ("a/compose.yaml", compose),
            ("a/Dockerfile", ""),
            ("node_modules/x/compose.yaml", compose),
            ("node_modules/x/Dockerfile", ""),
            ("out/compose.yaml", compose),
            ("out/Dockerfile", ""),
            ("vendor/compose.yaml", compose),
            ("vendor/Dockerfile", ""),
            (".gitignore", "/out\n"),
        ],
        &["a/compose.yaml:2 a: a/Dockerfile in a"],
    );
}

#[test]
fn a_large_file_is_reported() {
    let large = "#".repeat((1 << 20) + 1);
    check(&[("compose.yaml", &large)], &["! compose.yaml:1: not read: it is larger than 1 MiB"]);
}

#[test]
fn texts_have_known_and_unknown_parts() {
    let text = PartialText::from(format!("a{0}{0}b", partial::UNKNOWN));
    assert_eq!(text.parts(), [TextPart::Known("a"), TextPart::Unknown, TextPart::Known("b")]);
    assert_eq!((text.as_known(), text.to_string().as_str()), (None, "a…b"));
    assert_eq!(PartialText::from("a").as_known(), Some("a"));
    assert_eq!(PartialText::default().parts(), []);
}
