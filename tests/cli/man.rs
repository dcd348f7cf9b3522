//! The manual pages: one per command, without warnings from formatters.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::harness::Project;

/// Returns the commands in the program's help and their subcommands, such as `ci-github`.
fn commands() -> BTreeSet<String> {
    let mut commands = listed("--help");
    for command in commands.clone() {
        if command == "help" {
            continue;
        }
        let below = listed(&format!("{command} --help")).into_iter();
        commands.extend(below.filter(|it| it != "help").map(|it| format!("{command}-{it}")));
    }
    assert!(commands.contains("ci-github"), "{commands:?}");
    commands
}

/// Returns the commands that a help text lists.
fn listed(line: &str) -> BTreeSet<String> {
    let help = Project::new().run(line).code(0).out();
    let Some(rest) = help.split("Commands:\n").nth(1) else { return BTreeSet::new() };
    let listed = rest.split("\n\n").next().unwrap();
    let words = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    words.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

fn pages(project: &Project) -> Vec<PathBuf> {
    project.run("man made/man1").code(0).stdout("").stderr("");
    let entries = fs::read_dir(project.root().join("made/man1")).unwrap();
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

#[test]
fn every_command_has_a_man_page() {
    let project = Project::new();
    let names: BTreeSet<String> = pages(&project)
        .iter()
        .map(|page| page.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut commands = commands();
    commands.remove("help");
    let mut expected: BTreeSet<String> =
        commands.iter().map(|command| format!("layers-{command}.1")).collect();
    expected.insert("layers.1".to_owned());
    assert_eq!(names, expected);
    assert!(names.contains("layers-build.1") && names.contains("layers-man.1"), "{names:?}");
    let whole = project.read("made/man1/layers.1");
    for name in names.iter().filter(|name| *name != "layers.1") {
        let written = name.trim_end_matches(".1").replace('-', "\\-");
        assert!(whole.contains(&format!("\\fB{written}\\fR(1)")), "{name} is not mentioned");
    }
}

#[test]
fn a_man_page_documents_options_and_exit_statuses() {
    let project = Project::new();
    pages(&project);
    let page = project.read("made/man1/layers-build.1");
    assert!(page.starts_with(".TH LAYERS-BUILD 1 \"\" \"layers "), "{page}");
    for part in
        ["layers build [OPTIONS] [IMAGE]...", "\\-\\-keep\\-going", "EXIT STATUS", "130, 143"]
    {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    assert!(!page.contains("fake"), "the engine of the tests is nobody's business");
    assert_eq!(page, {
        pages(&project);
        project.read("made/man1/layers-build.1")
    });
}

#[test]
fn a_directory_that_cannot_be_created_is_an_error() {
    let project = Project::new().file("taken", "");
    let printed = project.run("man taken/man1").code(4).stdout("").err();
    assert!(printed.contains("can't create the directory"), "{printed}");
}

#[test]
fn formatters_report_no_errors() {
    let project = Project::new();
    let pages = pages(&project);
    // mandoc's warnings are ignored: they include clap_mangen's breaks before lists.
    let formatters: [(&str, &[&str]); 2] = [
        ("groff", &["-Kutf8", "-man", "-Tutf8", "-ww", "-z"]),
        ("mandoc", &["-T", "lint", "-W", "error"]),
    ];
    for (formatter, arguments) in formatters {
        for page in &pages {
            let ran =
                Command::new(formatter).args(arguments).arg(page).stdin(Stdio::null()).output();
            let Ok(output) = ran else {
                eprintln!("skipped: {formatter} is not installed");
                break;
            };
            let printed = [output.stdout, output.stderr].concat();
            let printed = String::from_utf8_lossy(&printed);
            assert!(output.status.success() && printed.is_empty(), "{formatter}: {printed}");
        }
    }
}
