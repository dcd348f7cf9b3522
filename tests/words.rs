//! The language that people read: help, messages, docs, and comments.
//!
//! Fails on phrases of another language in English words, and on private terms for things that have names in Docker's,
//! Cargo's, or Git's documentation. CONTRIBUTING.md says how to write; `scripts/lint.sh` checks the spelling.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::{Regex, RegexSet};

#[path = "common/texts.rs"]
mod texts;

use texts::texts_below;

/// Phrases that are not written, and what is written in their place.
const PHRASES: [(&str, &str); 32] = [
    (r"\b(no|some)body\b", "no one, someone, or the passive"),
    (r"\b(is|are|was|were|be|been|being) told\b", "reported"),
    (r"\btells? of\b", "report, print, show"),
    (r"can't be asked", "unreachable"),
    (r"\bl(ead|eads|ed) (to|there|elsewhere|nowhere)\b", "point to"),
    (r"\blies (in|at|on|below|there|outside|beside)\b", "is in"),
    (r"\bstands? (on|in|at|there|beside)\b", "is based on, is"),
    (r"\bcomes? of\b", "result from"),
    (r"\bwhere there (is|are) (no|none|any|one)\b", "if there is no"),
    (r"\bthat there (is|are) not\b", "unknown, missing"),
    (r"\b(it|this|which|that|value|name|word) is no ([a-km-z]|l[a-np-z])[a-z]+\b", "is not a"),
    (r"(\b(it|this|which|that|value|name|word)|``) is none\b", "does not exist, is not one"),
    (r"\bfolders?\b", "directory"),
    (r"\bmend(s|ed|ing)?\b", "fix"),
    (r"\bcircles?\b", "cycle"),
    (r"\bcolour", "color"),
    (r"\bfor nothing\b", "in vain, without effect"),
    (r"\b(one|two|a) (row|line|job|name|request|question)s? an? [a-z]+\b", "per"),
    (r"\blets? (us|me) not\b", "denies access"),
    (r"\bbeside (it|them|the|its)\b", "next to, in addition to"),
    (r"\bit is so that\b", "(nothing)"),
    (r"\bonce more\b", "again"),
    (r"\b(as|is|are) wished\b", "requested"),
    (r"\bin vain\b", "without success"),
    (r"\bheeded?\b", "use, respect"),
    (r"\bcouriers?\b|\bparcels?\b", "upload queue"),
    (r"\bkitchen\b", "workspace, session"),
    (r"\bnothing to complain\b", "no problems found"),
    (r"\bgoes? to the registry\b", "is pushed"),
    (r"\bas many as there are\b", "all"),
    (r"\bwaited for a place\b", "queued"),
    (r"\bdecided the end\b", "critical path"),
];

/// What may be written all the same: a part of the path, a part of the line, and the reason.
const ALLOWED_IN_PROSE: [(&str, &str, &str); 0] = [];

/// A piece of text, and where it is.
struct Text {
    path: PathBuf,
    line: usize,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Code in backquotes is quoted, and not written here.
fn without_code(line: &str) -> String {
    static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new("`[^`]*`").unwrap());
    CODE.replace_all(line, "``").into_owned()
}

fn lines_of(path: &Path, text: &str, is_meant: impl FnMut(&str) -> bool) -> Vec<Text> {
    let mut is_meant = is_meant;
    let numbered = text.lines().enumerate().filter(|(_, line)| is_meant(line));
    let text = |(at, line): (usize, &str)| Text {
        path: path.to_owned(),
        line: at + 1,
        text: without_code(line),
    };
    numbered.map(text).collect()
}

/// The prose of all pages, without their code blocks.
fn pages() -> Vec<Text> {
    let mut pages = texts_below("docs", "md");
    for name in
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "benches/README.md"]
    {
        pages.push((name.into(), fs::read_to_string(root().join(name)).unwrap()));
    }
    let prose = |(path, text): &(PathBuf, String)| {
        let mut is_code = false;
        lines_of(path, text, |line| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    };
    pages.iter().flat_map(prose).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    ["src", "tests", "benches", "fuzz/fuzz_targets"]
        .iter()
        .flat_map(|it| texts_below(it, "rs"))
        .collect()
}

fn comments() -> Vec<Text> {
    let is_comment = |line: &str| line.trim_start().starts_with("//");
    sources().iter().flat_map(|(path, text)| lines_of(path, text, is_comment)).collect()
}

/// The texts of string literals in the program with more than one word. Unit tests are left out.
fn messages() -> Vec<Text> {
    let literal = Regex::new(r#"(?s)"((?:[^"\\]|\\.)*)""#).unwrap();
    let continued = Regex::new(r"\\\n\s*").unwrap();
    let mut found = Vec::new();
    for (path, text) in texts_below("src", "rs") {
        if path.ends_with("tests.rs") || path.iter().any(|part| part == "tests") {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code: String = code
            .lines()
            .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
            .map(|line| format!("{line}\n"))
            .collect();
        for part in literal.captures_iter(&code) {
            let whole = part.get(1).unwrap();
            let text = continued.replace_all(whole.as_str(), "").into_owned();
            if text.contains(' ') {
                let line = code[..whole.start()].matches('\n').count() + 1;
                found.push(Text { path: path.clone(), line, text: without_code(&text) });
            }
        }
    }
    found
}

/// All lines of the scripts and of the files that configure tools, without their code in backquotes.
fn scripts() -> Vec<Text> {
    let mut files = texts_below("scripts", "sh");
    let names =
        [".ci/run", "Makefile", "action.yml", "benches/run.sh", "Cargo.toml", "fuzz/Cargo.toml"];
    for name in names.into_iter().chain(["clippy.toml", "deny.toml", "rustfmt.toml"]) {
        files.push((name.into(), fs::read_to_string(root().join(name)).unwrap()));
    }
    files.iter().flat_map(|(path, text)| lines_of(path, text, |_| true)).collect()
}

/// The help of all commands, line by line.
fn help() -> Vec<Text> {
    let mut found = Vec::new();
    let mut waiting = vec![layers::cli::program()];
    while let Some(mut command) = waiting.pop() {
        let name = PathBuf::from(format!("{} --help", command.get_bin_name().unwrap_or("layers")));
        let text = command.render_long_help().to_string();
        found.extend(lines_of(&name, &text, |_| true));
        waiting.extend(command.get_subcommands().filter(|it| it.get_name() != "help").cloned());
    }
    found
}

/// The lines in which a phrase is, except those that are allowed.
fn phrases_in(texts: &[Text], allowed: &[(&str, &str, &str)]) -> Vec<String> {
    let all = RegexSet::new(PHRASES.map(|(phrase, _)| format!("(?i){phrase}"))).unwrap();
    let is_allowed = |it: &Text| {
        let path = it.path.to_string_lossy();
        allowed.iter().any(|(file, part, _)| path.contains(file) && it.text.contains(part))
    };
    let found = texts.iter().filter(|it| !is_allowed(it)).filter_map(|it| {
        let which = all.matches(&it.text).iter().next()?;
        let (phrase, instead) = PHRASES[which];
        let place = format!("{}:{}", it.path.display(), it.line);
        Some(format!("{place}: {}\n    `{phrase}`: {instead}", it.text.trim()))
    });
    found.collect()
}

#[track_caller]
fn check(texts: &[Text], least: usize, allowed: &[(&str, &str, &str)]) {
    assert!(texts.len() >= least, "{} texts", texts.len());
    let found = phrases_in(texts, allowed);
    assert!(found.is_empty(), "{} phrases:\n{}", found.len(), found.join("\n"));
}

#[test]
fn pages_are_in_plain_english() {
    check(&pages(), 2_000, &ALLOWED_IN_PROSE);
}

#[test]
fn comments_are_in_plain_english() {
    check(&comments(), 8_000, &ALLOWED_IN_PROSE);
}

#[test]
fn messages_are_in_plain_english() {
    check(&messages(), 1_000, &[]);
}

#[test]
fn scripts_are_in_plain_english() {
    check(&scripts(), 1_000, &[]);
}

#[test]
fn help_is_in_plain_english() {
    check(&help(), 400, &[]);
}

#[test]
fn help_fits_in_80_columns() {
    let wide = help().into_iter().filter(|it| it.text.chars().count() > 80);
    let wide: Vec<String> = wide.map(|it| format!("{}: {}", it.path.display(), it.text)).collect();
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

#[test]
fn forbidden_phrases_are_found() {
    let check = |text: &str, expected: usize| {
        let texts = [Text { path: "x.md".into(), line: 1, text: without_code(text) }];
        assert_eq!(phrases_in(&texts, &[]).len(), expected, "{text}");
        assert_eq!(phrases_in(&texts, &[("x.md", text, "a test")]).len(), 0, "{text}");
    };
    check("Nobody is told.", 1);
    check("two requests per image", 0);
    check("the `folder` of `nobody`", 0);
    check("a directory", 0);
    check("The registry can't be asked.", 1);
}
