//! Every code has a rule, every rule a page, and every page an example that is as it says.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use layers::base::Level;
use layers::lint::rules::{self, RULES};
use regex::Regex;

#[path = "common/program.rs"]
mod program;

use program::root;

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut stack = vec![root().join("src")];
    while let Some(folder) = stack.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn every_code_in_the_sources_has_a_rule() {
    let told = Regex::new(r#"Diagnostic::(error|warning)\(\s*"([a-z0-9-]+)""#).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, text) in sources() {
        // What tests make up is not told to anyone.
        let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        for found in told.captures_iter(text) {
            count += 1;
            let level = if &found[1] == "error" { Level::Error } else { Level::Warning };
            let rule = rules::find(&found[2]);
            if rule.is_none_or(|rule| rule.level != level) {
                wrong.push(format!("{}: {} `{}`", path.display(), &found[1], &found[2]));
            }
        }
    }
    assert!(count > 40, "the search finds only {count} places");
    assert!(
        wrong.is_empty(),
        "add these to src/graph/lint/rules.rs, and a page under docs/rules/:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_rule_is_told_somewhere() {
    let sources = sources();
    let told = |code: &str| {
        let literal = format!("\"{code}\"");
        let told = |(path, text): &(PathBuf, String)| {
            !path.ends_with("lint/rules.rs") && text.contains(&literal)
        };
        sources.iter().any(told)
    };
    let dead: Vec<&str> = RULES.iter().map(|rule| rule.code).filter(|code| !told(code)).collect();
    assert!(dead.is_empty(), "nothing tells {dead:?}");
}

#[test]
fn every_rule_has_a_page_and_every_page_a_rule() {
    let folder = root().join("docs/rules");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    for rule in RULES {
        let code = rule.code;
        let page = read_page(code);
        assert!(page.starts_with(&format!("# {code}\n")), "{code}: the title");
        let level = if rule.level == Level::Error { "*Error" } else { "*Warning" };
        assert!(page.contains(level), "{code}: the level");
        for name in rule.buildkit {
            assert!(page.contains(name), "{code}: BuildKit's name");
        }
        for section in ["Why it matters", "Example", "Mended"] {
            assert!(page.contains(&format!("\n## {section}\n")), "{code}: no section `{section}`");
        }
        assert!(index.contains(&format!("[`{code}`]({code}.md)")), "{code}: not in the index");
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let code = name.strip_suffix(".md").unwrap();
        assert!(code == "README" || rules::find(code).is_some(), "{name}: a page without a rule");
    }
}

fn read_page(code: &str) -> String {
    let path = root().join("docs/rules").join(format!("{code}.md"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files that a section shows: a line with the path, then a block with the text.
fn files(page: &str, section: &str) -> BTreeMap<String, Vec<u8>> {
    let start = page.find(&format!("\n## {section}\n")).unwrap();
    let section = &page[start + 1..];
    let section = &section[..section.find("\n## ").unwrap_or(section.len())];
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

/// The codes that a check of these files tells, with their levels, and the exit code.
fn check(files: &BTreeMap<String, Vec<u8>>) -> (Vec<(String, String)>, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop");
    fs::create_dir_all(shop.join(".git")).unwrap();
    for (path, bytes) in files {
        let path = shop.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let output = program::layers_without_settings()
        .args(["check", "--format", "json"])
        .current_dir(&shop)
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let told = told.as_array().unwrap().iter();
    let told = told.map(|it| (text(&it["code"]), text(&it["level"]))).collect();
    (told, output.status.code())
}

#[test]
fn every_example_does_what_its_page_says() {
    let mut wrong = Vec::new();
    for rule in RULES {
        let page = read_page(rule.code);
        let mut tree = files(&page, "Example");
        let (told, exit) = check(&tree);
        let level = if rule.level == Level::Error { "error" } else { "warning" };
        let expected = (rule.code.to_owned(), level.to_owned());
        let has_error = told.iter().any(|(_, level)| level == "error");
        if !told.contains(&expected) || exit != Some(if has_error { 3 } else { 0 }) {
            wrong.push(format!("{}: the example gives {told:?}, exit {exit:?}", rule.code));
        }
        // A page is about one thing, save where an empty rest has a code of its own.
        if told.iter().any(|it| *it != expected && it.0 != "no-stages") {
            wrong.push(format!("{}: the example gives more: {told:?}", rule.code));
        }
        let mended = files(&page, "Mended");
        // A file may take the place of a folder.
        tree.retain(|path, _| !mended.keys().any(|it| path.starts_with(&format!("{it}/"))));
        tree.extend(mended);
        let (told, exit) = check(&tree);
        if !told.is_empty() || exit != Some(0) {
            wrong.push(format!("{}: mended gives {told:?}, exit {exit:?}", rule.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
