//! The guide is correct: its commands produce the shown output in the example, its settings are valid, its
//! pipelines call existing commands, and its links have targets.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layers::base::{RelPath, Source};
use layers::scan::config;
use regex::Regex;

#[path = "common/program.rs"]
mod program;
#[path = "common/shown.rs"]
mod shown;
#[path = "common/texts.rs"]
mod texts;

use program::root;
use shown::{DocumentedCommand, Shop, blocks};
use texts::texts_below;

/// Returns the pages whose examples are tested here. `rules_documented` tests the pages of rules. Pages of
/// decisions have no examples, and mention options of other programs.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = texts_below("docs", "md");
    let is_listed =
        |path: &Path| !["docs/rules", "docs/decisions"].iter().any(|it| path.starts_with(it));
    pages.retain(|(path, _)| is_listed(path) || path.ends_with("README.md"));
    assert!(pages.len() >= 12, "the guide has pages");
    pages
}

#[test]
fn documented_commands_produce_the_documented_output() {
    let mut tried = 0;
    for (path, page) in pages() {
        let shop = Shop::with_store();
        for DocumentedCommand { command, answer, code } in shown::consoles(&page) {
            if let Some(program) = missing(&command) {
                eprintln!("skipped: {program} is not installed: {command}");
                continue;
            }
            tried += 1;
            // A reader sees both streams.
            let output = shop.run(&format!("exec 2>&1\n{command}"));
            let printed = same_everywhere(&String::from_utf8(output.stdout).unwrap(), &shop);
            let place = format!("{}: `{command}`", path.display());
            assert_eq!(output.status.code(), Some(code), "{place} printed:\n{printed}");
            let shown = same_everywhere(&answer, &shop);
            let is_true = answer.is_empty() || answers(&printed, &shown);
            assert!(is_true, "{place} printed:\n{printed}\nand the page shows:\n{shown}");
        }
    }
    assert!(tried >= 40, "{tried} commands");
}

/// Returns a program on a command line that is not installed, among those that a page can call besides
/// layers.
fn missing(command: &str) -> Option<&'static str> {
    let optional = ["jq", "dot"].into_iter();
    let mut used = optional.filter(|program| command.contains(&format!("| {program} ")));
    used.find(|program| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        !found.unwrap().status.success()
    })
}

/// Replaces what varies between runs and machines.
fn same_everywhere(text: &str, shop: &Shop) -> String {
    let home = shop.root().parent().unwrap().to_str().unwrap();
    let mut text = text.replace(home, "/home/you");
    for (pattern, instead) in [
        (r"\b\d{8}-\d{6}-\d+\b", "RUN-ID"),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "TIME"),
        (r"RUN {2,}STARTED +DURATION", "RUN  STARTED  DURATION"),
        (r"\[ *\d+\.\ds\]", "[0.0s]"),
        (r"\b\d+\.\ds\b", "0.0s"),
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (r"\bwith [a-z]+ \d+\.\d+\.\d+, \d+ slots?\b", "with ENGINE, N slots"),
        (r"(-j )\d+(; -j )\d+", "${1}N${2}N"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, instead).into_owned();
    }
    text
}

/// Whether the output is as shown. A line `...` stands for any lines.
fn answers(printed: &str, shown: &str) -> bool {
    let pieces: Vec<&str> = shown.split("...\n").collect();
    let [first, rest @ ..] = pieces.as_slice() else { return false };
    let Some(mut printed) = printed.strip_prefix(first) else { return false };
    for (at, piece) in rest.iter().enumerate() {
        let is_last = at + 1 == rest.len();
        let found = if is_last && !piece.is_empty() {
            printed.strip_suffix(piece).is_some().then_some("")
        } else {
            printed.find(piece).map(|at| &printed[at + piece.len()..])
        };
        let Some(after) = found else { return false };
        printed = after;
    }
    printed.is_empty() || shown.ends_with("...\n")
}

#[test]
fn documented_output_must_match_completely() {
    assert!(answers("a\nb\nc\n", "a\n...\nc\n") && answers("a\nb\n", "a\n...\n"));
    assert!(answers("a\nb\n", "...\nb\n") && answers("a\n", "a\n"));
    assert!(!answers("a\nb\n", "a\n") && !answers("a\nb\nc\n", "a\n...\nb\n"));
    assert!(!answers("a\n", "b\n") && !answers("a\nb\n", "...\na\n"));
}

/// Creates Dockerfiles for all images that examples of `layers.toml` mention.
fn lay_out(shop: &Shop) {
    let stages = "FROM debian:12 AS slim\nFROM slim AS dev\nFROM slim AS release\n";
    for path in [
        "docker/release/Dockerfile",
        "docker/app/Dockerfile",
        "docker/compiler/Dockerfile",
        "docker/product-base/Dockerfile",
        "images/web/app/Dockerfile.dev",
        "images/notebook/Dockerfile",
        "images/notebook/cuda12/Dockerfile",
        "ros/jazzy/ubuntu/noble/core/Dockerfile",
        "Standalone/Dockerfile",
        "NodeChrome/Dockerfile",
        "NodeFirefox/Dockerfile",
        "dockerfiles/app_slim.Dockerfile",
    ] {
        let path = shop.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, stages).unwrap();
    }
    // A named context of the documentation.
    fs::create_dir_all(shop.root().join("shared/assets")).unwrap();
}

#[test]
fn every_documented_layers_toml_is_valid() {
    let shop = Shop::new();
    lay_out(&shop);
    let mut tried = 0;
    for (path, page) in pages().into_iter().chain([page("README.md")]) {
        for text in blocks(&page, "toml") {
            tried += 1;
            fs::write(shop.root().join("layers.toml"), &text).unwrap();
            let output = shop.run("layers list");
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{}:\n{text}\n{printed}", path.display());
        }
    }
    assert!(tried >= 10, "{tried} examples");
}

/// Returns the page at a path.
fn page(path: &str) -> (PathBuf, String) {
    (PathBuf::from(path), fs::read_to_string(root().join(path)).unwrap())
}

#[test]
fn the_reference_documents_every_setting() {
    let page = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let mut seen = BTreeSet::new();
    for table in ["", "[[group]]\n", "[image.x]\n", "[check]\n"] {
        // The error about an unknown setting lists all settings.
        let source =
            Source::new(RelPath::new("layers.toml").unwrap(), format!("{table}xxxxxxxxxxx = 1\n"));
        let (_, problems) = config::parse(&source);
        let hint = problems[0].hint.clone().unwrap();
        let settings: Vec<&str> = hint.split('`').skip(1).step_by(2).collect();
        assert!(settings.len() >= 2, "{table}: {hint}");
        let heading = match table {
            "" => "## Settings of all images",
            "[[group]]\n" => "## Groups",
            "[image.x]\n" => "## Single images",
            _ => "## Checks",
        };
        let section = page.split(&format!("{heading}\n")).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        for setting in settings {
            let spellings = [format!("`{setting}"), format!("[{setting}"), format!(".{setting}")];
            let is_there = spellings.iter().any(|it| section.contains(it));
            assert!(is_there, "`{heading}` does not have `{setting}`");
            seen.insert(setting.to_owned());
        }
    }
    assert!(seen.len() >= 18, "{seen:?}");
}

#[test]
fn pipelines_are_valid_yaml_and_their_commands_exist() {
    let mut tried = 0;
    for (path, page) in pages() {
        for text in blocks(&page, "yaml") {
            let parsed = yaml_rust2::YamlLoader::load_from_str(&text);
            assert!(parsed.is_ok_and(|it| it.len() == 1), "{}:\n{text}", path.display());
            for command in text.lines().filter_map(command_in) {
                tried += 1;
                let place = path.display();
                check_command(&command)
                    .unwrap_or_else(|printed| panic!("{place}: `{command}`: {printed}"));
            }
        }
    }
    assert!(tried >= 10, "{tried} commands");
}

/// Returns the call of the program on a line of a pipeline, without the shell's handling of its output.
fn command_in(line: &str) -> Option<String> {
    let at = line.find("layers ")?;
    let is_word = line[..at].ends_with([' ', '"', '\'']) || at == 0;
    let is_call = is_word && !line.trim_start().starts_with('#') && !line.contains("name:");
    let call = line[at..].split([';', '|', '>', '&', '#']).next()?.trim_end();
    // The end of a string that started before the call.
    let is_open = |quote: char| call.matches(quote).count() % 2 == 1;
    let call = call.trim_end_matches(|last| matches!(last, '"' | '\'') && is_open(last));
    is_call.then(|| call.to_owned())
}

/// Lets the program parse a command line without executing it.
fn check_command(command: &str) -> Result<(), String> {
    // Values that are known only in a pipeline.
    let command = Regex::new(r"\$\{\{.*?\}\}|\$[A-Z_]+").unwrap().replace_all(command, "value");
    let words = command.split_whitespace().skip(1).map(|word| word.trim_matches('"'));
    let output = Command::new(env!("CARGO_BIN_EXE_layers")).args(words).arg("--help").output();
    let output = output.unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(printed) }
}

#[test]
fn pipeline_commands_are_extracted_and_validated() {
    assert_eq!(command_in("  - run: layers plan --check").unwrap(), "layers plan --check");
    assert_eq!(
        command_in("      layers affected --since \"$BASE\" >> out").unwrap(),
        "layers affected --since \"$BASE\""
    );
    assert_eq!(command_in("run: 'layers list'").unwrap(), "layers list");
    assert_eq!(command_in("name: the layers of it"), None);
    assert!(check_command("layers build ${{ matrix.image }} --retries 2").is_ok());
    assert!(check_command("layers plan --check").is_ok());
    assert!(check_command("layers plan --chekc").is_err());
}

/// The options of other programs that the guide mentions.
const OF_OTHERS: [&str; 6] = ["--from", "--mount", "--rm", "--unshallow", "--refetch", "--link"];
#[test]
fn every_documented_option_exists() {
    let directory = tempfile::tempdir().unwrap();
    let written =
        Command::new(env!("CARGO_BIN_EXE_layers")).arg("man").arg(directory.path()).status();
    assert!(written.unwrap().success());
    let pages_written = fs::read_dir(directory.path()).unwrap();
    let manual = pages_written.map(|page| fs::read_to_string(page.unwrap().path()).unwrap());
    let manual = manual.collect::<String>().replace("\\-", "-");
    let option = Regex::new(r"(?:^|[ \[(|])(--[a-z][a-z-]+)").unwrap();
    let mut seen = BTreeSet::new();
    for (path, page) in pages() {
        for code in shown::code(&page) {
            let is_ours = code.starts_with("layers ") || code.starts_with('-');
            for found in option.captures_iter(&code).filter(|_| is_ours) {
                let name = &found[1];
                if !OF_OTHERS.contains(&name) {
                    let place = path.display();
                    assert!(
                        manual.contains(&format!("{name}\\f")),
                        "{place}: `{name}` is no option"
                    );
                    seen.insert(name.to_owned());
                }
            }
        }
    }
    assert!(seen.len() >= 20, "{seen:?}");
}

#[test]
fn every_link_has_a_target() {
    let link = Regex::new(r"\[[^\]]*\]\(([^)\s]+)\)").unwrap();
    let mut tried = 0;
    let mut wrong = Vec::new();
    let others = ["README.md", "ARCHITECTURE.md"].map(page);
    for (path, text) in texts_below("docs", "md").into_iter().chain(others) {
        let prose = shown::prose(&text);
        for found in link.captures_iter(&prose) {
            let target = &found[1];
            if target.starts_with("http://") || target.starts_with("https://") {
                continue;
            }
            tried += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                root().join(&path)
            } else {
                root().join(path.parent().unwrap()).join(file)
            };
            let is_there = match fs::read_to_string(&file) {
                Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                Err(_) => file.is_dir() && anchor.is_empty(),
            };
            if !is_there {
                wrong.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 80, "{tried} links");
}

/// Returns the anchors of a page's headings, as GitHub generates them.
fn anchors(page: &str) -> BTreeSet<String> {
    let prose = shown::prose(page);
    let headings = prose.lines().filter_map(|line| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.trim().to_lowercase())
    });
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|text| text.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_docs_directory_has_a_complete_index() {
    for (path, _) in texts_below("docs", "md") {
        let (_, index) = page(path.parent().unwrap().join("README.md").to_str().unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "README.md" || index.contains(&format!("({name})")),
            "{} is not in the index beside it",
            path.display()
        );
    }
    let (_, index) = page("docs/README.md");
    for part in ["rules", "decisions"] {
        assert!(index.contains(&format!("({part}/README.md)")), "{part} is not named");
    }
}
