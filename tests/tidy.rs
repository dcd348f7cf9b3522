//! The project's rules that a machine can check: which module can import which, files say what they own and
//! are short enough to read in one sitting, and only certain modules print or spawn processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::CommandFactory;
use layers::cli::Cli;

#[path = "common/texts.rs"]
mod texts;

use texts::texts_below;

/// The tiers of modules. A module imports from lower tiers only, not from its own tier or from higher ones.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["process"],
    &["credentials"],
    &["parse", "scan", "engine", "registry"],
    &["graph"],
    &["lint", "export", "inputs"],
    &["state"],
    &["plan"],
    &["event"],
    &["schedule", "report"],
    &["exit", "cli"],
    &["workspace"],
    &["session"],
    &["command"],
];

/// The maximum length of a file that can be read in one sitting.
const MOST_LINES: usize = 500;

/// The directory of the commands.
const VERBS: &str = "src/command";

/// The maximum length of a page's script, which is read together with the other scripts.
const MOST_LINES_OF_SCRIPT: usize = 300;

/// Returns the module of a file in `src/`: its directory or its own name.
fn room(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    let first = below.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Returns the modules that a file refers to as `crate::module`, in code but not in comments.
fn imports(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for part in line.split("crate::").skip(1) {
            let names = match part.strip_prefix('{') {
                Some(group) => group.split('}').next().unwrap().split(',').collect::<Vec<_>>(),
                None => vec![part],
            };
            for name in names {
                let end = name.trim_start().find(|c: char| !c.is_alphanumeric() && c != '_');
                let name = name.trim_start();
                rooms.push(name[..end.unwrap_or(name.len())].to_owned());
            }
        }
    }
    rooms
}

#[test]
fn modules_import_only_from_lower_tiers() {
    let mut wrong = Vec::new();
    for (path, text) in texts_below("src", "rs") {
        let own = room(&path);
        if own == "main" || own == "lib" {
            continue;
        }
        let own_floor = floor(&own).unwrap_or_else(|| panic!("`{own}` has no floor"));
        for other in imports(&text) {
            let Some(other_floor) = floor(&other) else {
                wrong.push(format!("{}: `crate::{other}` is no room", path.display()));
                continue;
            };
            if other != own && other_floor >= own_floor {
                wrong.push(format!("{}: {own} must not import {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the problems of a file in `src/command/` (except `mod.rs`): it must be a command of the command
/// line, export only its `run`, and import nothing from other commands.
fn mistakes_of_verb(path: &Path, text: &str, verbs: &[String]) -> Vec<String> {
    let mut wrong = Vec::new();
    let is_verb = |verb: &String| path == Path::new(VERBS).join(format!("{verb}.rs"));
    if !verbs.iter().any(is_verb) {
        wrong.push("is not a command of the command line");
    }
    let code = text.split("\n#[cfg(test)]").next().unwrap();
    let lines = code.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let is_exported = |line: &&str| line.starts_with("pub ") || line.starts_with("pub(");
    let exported: Vec<&str> = lines.clone().filter(is_exported).collect();
    if !matches!(exported.as_slice(), [only] if only.starts_with("pub fn run(")) {
        wrong.push("must export its `run` and nothing else");
    }
    if lines.clone().any(|line| line.contains("super::") || line.contains("crate::command")) {
        wrong.push("must not import from another verb");
    }
    if lines.clone().any(|line| line.starts_with("mod ")) {
        wrong.push("must be one file");
    }
    wrong.into_iter().map(|what| format!("{}: {what}", path.display())).collect()
}

fn verbs() -> Vec<String> {
    Cli::command()
        .get_subcommands()
        .map(|it| it.get_name().trim_start_matches('_').replace('-', "_"))
        .collect()
}

#[test]
fn command_modules_contain_only_commands() {
    let verbs = verbs();
    let mut files = texts_below(VERBS, "rs");
    files.retain(|(path, _)| !path.ends_with("mod.rs"));
    let wrong = files.iter().flat_map(|(path, text)| mistakes_of_verb(path, text, &verbs));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(files.len(), verbs.len(), "each command has a file of its own");
}

#[test]
fn invalid_command_modules_are_detected() {
    const RUN: &str = "pub fn run() -> Exit {\n    Exit::Done\n}\n";
    let check = |path: &str, text: &str, expected: &[&str]| {
        let wrong = mistakes_of_verb(Path::new(path), text, &verbs());
        let expected: Vec<String> = expected.iter().map(|it| format!("{path}: {it}")).collect();
        assert_eq!(wrong, expected, "{text}");
    };
    let build = "src/command/build.rs";
    check(build, RUN, &[]);
    check(build, &format!("{RUN}\n#[cfg(test)]\nmod tests {{\n    use super::*;\n}}\n"), &[]);
    check("src/command/helper.rs", RUN, &["is not a command of the command line"]);
    check("src/command/graph/marks.rs", RUN, &["is not a command of the command line"]);
    let exports = ["must export its `run` and nothing else"];
    check(build, &format!("{RUN}pub(super) const FILE: &str = \"-\";\n"), &exports);
    check(build, "fn run() {}\n", &exports);
    let imports = ["must not import from another verb"];
    check(build, &format!("use super::plan;\n{RUN}"), &imports);
    check(build, &format!("use crate::command::plan;\n{RUN}"), &imports);
    check(build, &format!("mod words;\n{RUN}"), &["must be one file"]);
}

#[test]
fn every_file_has_a_module_comment_and_is_short() {
    let mut wrong = Vec::new();
    for (path, text) in texts_below("src", "rs").into_iter().chain(texts_below("tests", "rs")) {
        let path = path.display();
        if !text.starts_with("//!") {
            wrong.push(format!("{path}: must open with what it owns"));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{path}: {lines} lines; split it by meaning"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn page_scripts_have_a_header_comment_and_write_no_markup() {
    // Everything that would turn data into markup, make a network request, or store something in the browser.
    let forbidden = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("];
    let forbidden =
        forbidden.into_iter().chain(["fetch(", "XMLHttp", "import", "Storage", "cookie"]);
    let forbidden: Vec<&str> = forbidden.collect();
    let mut wrong = Vec::new();
    for (path, text) in texts_below("src", "js") {
        let path = path.display();
        if !text.starts_with("// ") {
            wrong.push(format!("{path}: must open with what it owns"));
        }
        if text.lines().count() > MOST_LINES_OF_SCRIPT {
            wrong.push(format!("{path}: split it by meaning"));
        }
        let found = forbidden.iter().filter(|word| text.contains(**word));
        wrong.extend(found.map(|word| format!("{path}: `{word}`")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What only some files can contain, and why.
const RESERVED: &[(&str, &[&str], &str)] = &[
    ("Command::new(", &["src/process.rs"], "process.rs is the only spawner"),
    ("petgraph::", &["src/graph/dag.rs"], "petgraph holds the graph, in one file"),
    ("indicatif::", &["src/report/live"], "indicatif draws, in one place"),
    (
        "ureq::",
        &["src/registry/http.rs", "src/registry/tls.rs"],
        "two files know which HTTP client this is",
    ),
    (
        "tokio::",
        &["src/engine/docker/", "src/engine/buildkit/"],
        "only the engines that speak BuildKit know that async exists",
    ),
    ("io::stdout()", &["src/report/printer.rs"], "data is printed in one place"),
    ("SystemTime::now", &["src/base/clock.rs"], "clocks make results differ without cause"),
    ("#[ignore", &[], "a test that does not run proves nothing"),
];

#[test]
fn reserved_apis_are_used_only_in_allowed_modules() {
    let mut wrong = Vec::new();
    for (path, text) in texts_below("src", "rs") {
        for (word, allowed, why) in RESERVED {
            let is_allowed = allowed.iter().any(|start| path.to_string_lossy().starts_with(start));
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            if !is_allowed && code.into_iter().any(|line| line.contains(word)) {
                wrong.push(format!("{}: `{word}`: {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_architecture_lists_every_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut rooms: BTreeMap<String, bool> = BTreeMap::new();
    for (path, _) in texts_below("src", "rs") {
        let own = room(&path);
        rooms.insert(own.clone(), text.contains(&format!("`{own}`")));
    }
    let missing: Vec<_> = rooms.iter().filter(|(_, named)| !**named).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not name {missing:?}");
}

#[test]
fn files_named_in_the_architecture_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let named = text.split('`').filter(|it| it.starts_with("src/") || it.starts_with("docs/"));
    let (there, missing): (Vec<&str>, Vec<&str>) = named.partition(|it| root.join(it).exists());
    assert!(missing.is_empty(), "ARCHITECTURE.md names {missing:?}");
    assert!(there.len() > 20, "the files that a change touches are not found any more");
}

/// Tests that need an engine are in the profile `engine`, with which they run on each engine
/// (scripts/test.sh).
#[test]
fn tests_that_use_an_engine_run_on_every_engine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profiles = fs::read_to_string(root.join(".config/nextest.toml")).unwrap();
    let profile = profiles.split_once("[profile.engine]").unwrap().1;
    let mut named = 0;
    for (path, text) in texts_below("tests", "rs") {
        let mut parts = path.iter().skip(1).map(|part| part.to_str().unwrap());
        let name = parts.find(|part| *part != "cli").unwrap().trim_end_matches(".rs");
        let uses_engine = ["engine_or_skip(", "start_or_skip(", "LAYERS_TEST_NO_ENGINE"];
        if ["common", "tidy"].contains(&name) || !uses_engine.iter().any(|it| text.contains(it)) {
            continue;
        }
        // The profile includes every name that contains `engine`.
        let is_selected = name.contains("engine") || profile.contains(name);
        assert!(is_selected, "{}: name it in the profile `engine`", path.display());
        named += 1;
    }
    assert!(named > 10, "the words that tell such tests are not found any more");
}
