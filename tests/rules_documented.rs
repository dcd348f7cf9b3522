//! Each code has a rule, each rule has a page, and the example on each page is correct.

use std::collections::BTreeMap;
use std::fs;

use layers::base::{Level, Rule};
use regex::Regex;

#[path = "common/program.rs"]
mod program;
#[path = "common/texts.rs"]
mod texts;

use program::root;
use texts::texts_below;

#[test]
fn rule_codes_are_defined_in_one_place() {
    let mut wrong = Vec::new();
    let codes = Rule::ALL.iter().map(|rule| rule.code());
    // A single word can have another meaning.
    let literals: Vec<String> =
        codes.filter(|code| code.contains('-')).map(|code| format!("\"{code}\"")).collect();
    assert!(literals.len() > 50);
    for (path, text) in
        texts_below("src", "rs").iter().filter(|(path, _)| !path.ends_with("base/rule.rs"))
    {
        let found = literals.iter().filter(|literal| text.contains(*literal));
        wrong.extend(found.map(|literal| format!("{}: use `Rule` for {literal}", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_is_used() {
    let sources = texts_below("src", "rs");
    let is_documented = |rule: &Rule| {
        let value = Regex::new(&format!(r"\bRule::{rule:?}\b")).unwrap();
        sources.iter().any(|(path, text)| !path.ends_with("base/rule.rs") && value.is_match(text))
    };
    let dead: Vec<&Rule> = Rule::ALL.iter().filter(|rule| !is_documented(rule)).collect();
    assert!(dead.is_empty(), "nothing tells {dead:?}");
}

#[test]
fn rules_and_documentation_pages_correspond() {
    let directory = root().join("docs/rules");
    let index = fs::read_to_string(directory.join("README.md")).unwrap();
    for rule in Rule::ALL {
        let code = rule.code();
        let page = read_page(*rule);
        assert!(page.starts_with(&format!("# {code}\n")), "{code}: the title");
        let level = if rule.level() == Level::Error { "*Error" } else { "*Warning" };
        assert!(page.contains(level), "{code}: the level");
        for name in rule.buildkit() {
            assert!(page.contains(name), "{code}: BuildKit's name");
        }
        for section in ["Why it matters", "Example", "Fixed"] {
            assert!(page.contains(&format!("\n## {section}\n")), "{code}: no section `{section}`");
        }
        assert!(index.contains(&format!("[`{code}`]({code}.md)")), "{code}: not in the index");
    }
    for entry in fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("docs/rules/{name}");
        let has_rule = name == "README.md" || Rule::ALL.iter().any(|rule| rule.page() == path);
        assert!(has_rule, "{name}: a page without a rule");
    }
}

fn read_page(rule: Rule) -> String {
    let path = root().join(rule.page());
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the text of a page under a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n## {heading}\n")).unwrap();
    let section = &page[start + 1..];
    &section[..section.find("\n## ").unwrap_or(section.len())]
}

/// Returns the files in a section: a line with the path, followed by a block with the text.
fn files(section: &str) -> BTreeMap<String, Vec<u8>> {
    let block = Regex::new(
        r"(?s)\n`([^`\n]+)`(?:, with (\d+) `x` in place of `…`|(, where `\\xNN` stands for one byte))?:\n\n```\w+\n(.*?)```",
    );
    let block = block.unwrap();
    let found = block.captures_iter(section).map(|found| {
        let mut text = found[4].to_owned();
        if let Some(count) = found.get(2) {
            text = text.replace('…', &"x".repeat(count.as_str().parse().unwrap()));
        }
        let bytes = if found.get(3).is_some() { with_bytes(&text) } else { text.into_bytes() };
        (found[1].to_owned(), bytes)
    });
    let files: BTreeMap<String, Vec<u8>> = found.collect();
    assert!(!files.is_empty(), "no files in\n{section}");
    files
}

fn with_bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// Returns the arguments of the command that reports a rule, if it is not `layers check`.
fn command_of(section: &str) -> Option<Vec<String>> {
    let command = Regex::new(r"\nWith `layers ([^`]+)`:\n").unwrap();
    let words = command.captures(section)?.get(1)?.as_str().split(' ');
    Some(words.map(str::to_owned).collect())
}

/// Returns the codes that a command (by default, a check) reports for these files, with their levels, and the
/// exit code.
fn run(
    command: Option<&[String]>,
    files: &BTreeMap<String, Vec<u8>>,
) -> (Vec<(String, String)>, Option<i32>) {
    let directory = tempfile::tempdir().unwrap();
    let shop = directory.path().join("shop");
    fs::create_dir_all(shop.join(".git")).unwrap();
    for (path, bytes) in files {
        let path = shop.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut program = program::layers_without_settings();
    program.current_dir(&shop).env("HOME", directory.path());
    if let Some(words) = command {
        let output = program.args(words).env("LAYERS_ENGINE", "fake").output().unwrap();
        let title = Regex::new(r"(?m)^(error|warning)\[([a-z0-9-]+)\]: ").unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        let findings = title.captures_iter(&printed).map(|it| (it[2].to_owned(), it[1].to_owned()));
        return (findings.collect(), output.status.code());
    }
    let output = program.args(["check", "--format", "json"]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let findings = findings.as_array().unwrap().iter();
    let findings = findings.map(|it| (text(&it["code"]), text(&it["level"]))).collect();
    (findings, output.status.code())
}

#[test]
fn every_example_behaves_as_documented() {
    let mut wrong = Vec::new();
    for rule in Rule::ALL {
        let (page, code) = (read_page(*rule), rule.code());
        let example = section(&page, "Example");
        let command = command_of(example);
        let mut tree = files(example);
        let (findings, exit) = run(command.as_deref(), &tree);
        let level = if rule.level() == Level::Error { "error" } else { "warning" };
        let expected = (code.to_owned(), level.to_owned());
        let has_error = findings.iter().any(|(_, level)| level == "error");
        // What the command line has to provide is not a mistake in a file.
        let is_usage = matches!(rule, Rule::MissingEntitlement | Rule::MissingSecret);
        let failure = if is_usage { 2 } else { 3 };
        if !findings.contains(&expected) || exit != Some(if has_error { failure } else { 0 }) {
            wrong.push(format!("{code}: the example gives {findings:?}, exit {exit:?}"));
        }
        // A page is about one rule, but an empty rest of a file has a code of its own.
        if findings.iter().any(|it| *it != expected && it.0 != "no-stages") {
            wrong.push(format!("{code}: the example gives more: {findings:?}"));
        }
        let fixed = section(&page, "Fixed");
        let command = command_of(fixed);
        let changed = files(fixed);
        // A file can replace a directory.
        tree.retain(|path, _| !changed.keys().any(|it| path.starts_with(&format!("{it}/"))));
        tree.extend(changed);
        let (findings, exit) = run(command.as_deref(), &tree);
        if !findings.is_empty() || exit != Some(0) {
            wrong.push(format!("{code}: the fixed example gives {findings:?}, exit {exit:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
