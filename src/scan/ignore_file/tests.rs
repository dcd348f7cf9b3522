//! Tests of the lines of ignore files and of verdicts on paths.

use std::os::unix::fs::symlink;

use super::*;

fn parse(text: &str) -> (IgnoreFile, Vec<Diagnostic>) {
    IgnoreFile::parse(&Source::new(RelPath::new("c/.dockerignore").unwrap(), text))
}

/// Checks two lists of paths separated by blanks: those that are kept and those that are left out.
fn check(text: &str, kept: &str, left_out: &str) {
    let (file, problems) = parse(text);
    assert!(problems.is_empty(), "{text}: {problems:?}");
    let mut matcher = file.matcher();
    for (paths, expected) in [(kept, false), (left_out, true)] {
        for path in paths.split(' ').filter(|path| !path.is_empty()) {
            assert_eq!(file.ignored(path), expected, "{text:?} on {path}");
            assert_eq!(matcher.ignored(path), expected, "{text:?} on {path}, remembered");
        }
    }
}

#[test]
fn the_last_matching_line_decides() {
    check("", "a a/b", "");
    check("a", "b ab b/a", "a a/b a/b/c");
    check("*\n!a", "a a/b", "b b/a");
    check("*\n!a\na/b", "a a/c", "a/b a/b/c");
    check("!a\n*", "", "a b");
    check("*\n!a/b/c", "a/b/c a/b/c/d", "a a/b a/x a/b/x");
    check("node_modules\n!**/keep", "node_modules/x/keep", "node_modules/x");
    check("a\n!a/*.md\na/x.md", "a/y.md", "a a/x.md a/b/y.md");
}

#[test]
fn lines_are_normalized() {
    check("\u{feff}a\n", "b", "a");
    check("\u{feff}# a\n", "a", "");
    check("  a  \r\n\tb\t\n", "c", "a b");
    check("/a\n./b\nc/../d\ne//f\ng/\n", "c e", "a b d e/f g");
    check("# a\n #b", "a", "#b");
    check("a\n!  a", "a", "");
    check("a\n!/a", "a", "");
    check(".\n/\n..\n../a\n", "a b/c", "");
    check("*\n!.", "", "a");
    check("a\n!../a", "", "a");
    check("\\#a\n\\!b", "a b", "#a !b");
    assert!(parse("a b").0.ignored("a b"));
}

#[test]
fn surprising_docker_behavior_is_reproduced() {
    // The second cleaning finds another `!`, and blanks that the first one exposed.
    check("a\n/!a", "a", "");
    check("/ a", "b", "a");
    check("a /", "b", "a");
    // A line that could not change the verdict on the directory does not apply in it.
    check("a/x\n!a", "a", "a/x");
    check("!a\na/x", "a a/y", "a/x");
    // The directory `x/a` is not entered, although the `!` line matches in it.
    check("*\n!x/*/**", "", "x/a/f");
    check("*\n!x/*/[f]", "x/a/f", "x/a x/a/g");
}

#[test]
fn excluded_directories_that_no_line_includes_are_skipped() {
    let check = |text: &str, directory: &str, expected: bool| {
        assert_eq!(
            parse(text).0.matcher().can_skip_directory(directory),
            expected,
            "{text:?} on {directory}"
        );
    };
    check("node_modules", "node_modules", true);
    check("node_modules", "node_modules/deep", true);
    check("node_modules", "src", false);
    check("*\n!src", "node_modules", true);
    check("*\n!src", "src", false);
    check("*\n!src/a", "src", false);
    check("*\n!src/a", "src/b", true);
    check("*\n!src*", "srcs", false);
    check("*\n!docs/*.md", "node_modules", true);
    check("*\n!docs/*.md", "docs", false);
    check("*\n!**/keep", "node_modules", false);
    check("!**/keep\nnode_modules", "node_modules", true);
}

#[test]
fn errors_point_at_the_invalid_part_of_a_line() {
    let check = |text: &str, position: &str, token: &str| {
        let (file, problems) = parse(text);
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        let label = &problems[0].labels[0];
        let location = format!("c/.dockerignore:{position}");
        assert_eq!(label.source.location(label.span).to_string(), location, "{text:?}");
        assert_eq!(label.source.slice(label.span), token, "{text:?}");
        assert!(problems[0].is_error());
        assert!(!file.ignored("zz"));
    };
    check("a\n!\n", "2:1", "!");
    check("  !  \n", "1:3", "!");
    check("!/", "1:1", "!/");
    check("a\n  b[c\nd", "2:4", "[c");
    check("!é/[]a]\r\n", "1:5", "]");
    check("/x/../b[", "1:8", "[");
    check("b[/./c", "1:1", "b[/./c");
    check("\u{feff}b[", "1:3", "[");
    check("a\\\n", "1:2", "\\");
}

#[test]
fn lines_over_the_length_limit_are_errors() {
    let long = "x".repeat(LINE_LIMIT);
    assert_eq!(parse(&format!("a\n{long}\nb")).1.len(), 1);
    assert!(parse(&long[1..]).1.is_empty());
}

#[test]
fn the_deciding_line_is_found() {
    let source = Source::new(RelPath::new(".dockerignore").unwrap(), "*\n!a\n");
    let (file, _) = IgnoreFile::parse(&source);
    let line = |path: &str| {
        let verdict = file.judge(path.as_bytes(), None);
        file.deciding_line(&verdict).map(|span| source.slice(span).to_owned())
    };
    assert_eq!(line("a").as_deref(), Some("!a"));
    assert_eq!(line("b").as_deref(), Some("*"));
}

#[test]
fn the_ignore_file_next_to_the_dockerfile_takes_precedence() {
    let directory = tempfile::tempdir().unwrap();
    let dockerfile = directory.path().join("Build.df");
    let context = directory.path().join("context");
    fs::create_dir(&context).unwrap();
    let find = || find_ignore_file(&dockerfile, &context).unwrap();
    assert_eq!(find(), None);
    fs::write(context.join(".dockerignore"), "a").unwrap();
    assert_eq!(find(), Some(context.join(".dockerignore")));
    fs::write(directory.path().join("Build.df.dockerignore"), "").unwrap();
    assert_eq!(find(), Some(directory.path().join("Build.df.dockerignore")));
}

#[test]
fn loading_reports_the_path_and_the_problems() {
    let directory = tempfile::tempdir().unwrap();
    let rel = |path: &str| RelPath::new(path).unwrap();
    let load = || IgnoreFile::load(directory.path(), &rel("docker/a/Dockerfile"), &rel("docker/a"));
    assert!(load().unwrap().0.is_empty());
    let path = directory.path().join("docker/a/.dockerignore");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "x\nb[\n").unwrap();
    let (file, problems) = load().unwrap();
    assert!(file.ignored("x"));
    assert_eq!(problems[0].labels[0].source.path().as_str(), "docker/a/.dockerignore");
    fs::write(&path, b"x\ncaf\xe9\n").unwrap();
    let (_, problems) = load().unwrap();
    let label = &problems[0].labels[0];
    assert_eq!(label.source.location(label.span).to_string(), "docker/a/.dockerignore:2:4");
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    let error = load().unwrap_err().to_string();
    assert!(error.ends_with("docker/a/.dockerignore` is a device"), "{error}");
    fs::remove_file(&path).unwrap();
    symlink("/dev/null", &path).unwrap();
    assert!(load().unwrap().0.is_empty());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(load().unwrap().0.is_empty());
}
