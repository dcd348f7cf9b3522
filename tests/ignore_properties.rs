//! Generated ignore files compared with a slow matcher that follows the documentation.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

use proptest::prelude::*;

use layers::base::{RelPath, Source};
use layers::scan::ignore_file::IgnoreFile;

/// Every path of up to three of these parts is tested.
const PARTS: [&str; 6] = ["a", "b", "ab", ".a", "é", "*"];

fn paths() -> Vec<String> {
    let mut paths: Vec<String> = PARTS.iter().map(|&part| part.to_owned()).collect();
    let mut level = paths.clone();
    for _ in 0..2 {
        level = level
            .iter()
            .flat_map(|directory| PARTS.iter().map(move |part| format!("{directory}/{part}")))
            .collect();
        paths.extend(level.clone());
    }
    paths
}

#[derive(Debug, Clone)]
struct Line {
    exception: bool,
    pattern: String,
}

fn line(with_exceptions: bool) -> impl Strategy<Value = Line> {
    let part = prop_oneof![
        4 => proptest::sample::select(&["a", "b", "ab", ".a", "é"][..]),
        3 => proptest::sample::select(&["*", "?", "a*", "*b", "?b", ".*", "*a*", "a?"][..]),
        1 => proptest::sample::select(&["[ab]", "[^a]", "[a-c]*", "\\*", "\\a\\b", "[é]"][..]),
        2 => Just("**"),
    ];
    let end = prop_oneof![4 => Just(""), 1 => Just("**")];
    (any::<bool>(), proptest::collection::vec(part, 1..4), end).prop_map(
        move |(exception, parts, end)| {
            let mut pattern = parts.join("/").replace("\\a\\b", "ab");
            if !pattern.ends_with('*') {
                pattern.push_str(end);
            }
            Line { exception: exception && with_exceptions, pattern }
        },
    )
}

fn text_of(lines: &[Line]) -> String {
    lines.iter().map(|l| format!("{}{}\n", if l.exception { "!" } else { "" }, l.pattern)).collect()
}

fn parse(text: &str) -> IgnoreFile {
    let source = Source::new(RelPath::new(".dockerignore").unwrap(), text);
    let (file, problems) = IgnoreFile::parse(&source);
    assert!(problems.is_empty(), "{text:?}: {problems:?}");
    file
}

/// Go's `filepath.Match` within one name, as documented.
fn name_matches(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skip| name_matches(rest, &name[skip..])),
        ['?', rest @ ..] => !name.is_empty() && name_matches(rest, &name[1..]),
        ['\\', c, rest @ ..] => name.first() == Some(c) && name_matches(rest, &name[1..]),
        ['[', inside @ ..] => {
            let end = inside.iter().position(|c| *c == ']').unwrap();
            let Some(first) = name.first() else { return false };
            let (negated, set) = match &inside[..end] {
                ['^', set @ ..] => (true, set),
                set => (false, set),
            };
            let within = match set {
                [low, '-', high] => low <= first && first <= high,
                set => set.contains(first),
            };
            within != negated && name_matches(&inside[end + 1..], &name[1..])
        }
        [c, rest @ ..] => name.first() == Some(c) && name_matches(rest, &name[1..]),
    }
}

/// Matches whole paths: `**` stands for any number of names, but for at least one at the end; `x**` is a
/// prefix.
fn path_matches(pattern: &[&str], path: &[&str]) -> bool {
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    match pattern {
        [] => path.is_empty(),
        ["**"] => !path.is_empty(),
        ["**", rest @ ..] => (0..=path.len()).any(|skip| path_matches(rest, &path[skip..])),
        [last] if last.len() > 2 && last.ends_with("**") => path.first().is_some_and(|name| {
            let (start, name) = (chars(&last[..last.len() - 2]), chars(name));
            (0..=name.len()).any(|end| name_matches(&start, &name[..end]))
        }),
        [first, rest @ ..] => path.first().is_some_and(|name| {
            name_matches(&chars(first), &chars(name)) && path_matches(rest, &path[1..])
        }),
    }
}

fn line_matches(line: &Line, path: &str) -> bool {
    let pattern: Vec<&str> = line.pattern.split('/').collect();
    path_matches(&pattern, &path.split('/').collect::<Vec<&str>>())
}

/// Returns the path's directories from the root down, then the path.
fn way_to(path: &str) -> Vec<&str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).collect()
}

/// The documented behavior: the last line that matches the path or a directory above decides.
fn documented(lines: &[Line], path: &str) -> bool {
    let matching = |line: &&Line| way_to(path).iter().any(|part| line_matches(line, part));
    lines.iter().rfind(matching).is_some_and(|line| !line.exception)
}

/// BuildKit's behavior: the same while walking down. A line that cannot change the result for a directory is
/// not tried there, and directories that plain `!` lines do not match are skipped.
fn walked(lines: &[Line], path: &str) -> bool {
    let directory_of = |line: &Line| {
        let directory = line.pattern.strip_suffix("/**").unwrap_or(&line.pattern).to_owned();
        directory.strip_suffix("/*").unwrap_or(&directory).to_owned()
    };
    let exceptions: Vec<String> = lines.iter().filter(|l| l.exception).map(directory_of).collect();
    let plain =
        exceptions.iter().all(|directory| !directory.contains(['*', '[', ']', '?', '^', '\\']));
    let mut above = vec![false; lines.len()];
    let mut ignored = false;
    for part in way_to(path) {
        ignored = false;
        for (line, matched) in lines.iter().zip(&mut above) {
            *matched = *matched || (line.exception == ignored && line_matches(line, part));
            if *matched {
                ignored = !line.exception;
            }
        }
        let leads = |directory: &String| format!("{directory}/").starts_with(&format!("{part}/"));
        if ignored && plain && !exceptions.iter().any(leads) {
            return true;
        }
    }
    ignored
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        // A failure becomes a row of a table instead of a stored seed.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn patterns_without_exceptions_match_as_documented(
        lines in proptest::collection::vec(line(false), 0..5)
    ) {
        let text = text_of(&lines);
        let file = parse(&text);
        let mut matcher = file.matcher();
        for path in paths() {
            let expected = documented(&lines, &path);
            prop_assert_eq!(matcher.ignored(&path), expected, "{:?} on {}", text, path);
        }
    }

    #[test]
    fn exceptions_match_as_in_buildkit(lines in proptest::collection::vec(line(true), 1..6)) {
        let text = text_of(&lines);
        let file = parse(&text);
        let mut matcher = file.matcher();
        let paths = paths();
        for path in &paths {
            let expected = walked(&lines, path);
            prop_assert_eq!(matcher.ignored(path), expected, "{:?} on {}", text, path);
            if matcher.can_skip_directory(path) {
                let inside = format!("{path}/");
                for below in paths.iter().filter(|below| below.starts_with(&inside)) {
                    prop_assert!(walked(&lines, below), "{:?} skips {} in {}", text, below, path);
                }
            }
        }
    }
}
