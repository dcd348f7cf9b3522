//! `layers man DIR`: writes the manual pages, `layers.1` and one per command, including subcommands.
//!
//! Owns the pages: clap_mangen generates the parts that come from the command line; the rest (variables, files, exit
//! codes) is here. Pages have no date, so the same program writes the same pages.

use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::base::screen::visible_path;
use crate::cli;
use crate::exit::Exit;
use crate::report::printer;
use crate::workspace::{Invocation, root};

/// A term and its meaning.
type Term = (&'static str, &'static str);

const ENVIRONMENT: &[Term] = &[
    ("REPO_NS", "namespace for image names, as --namespace"),
    ("IMAGE_NAME, APP_NAME", "application name, the prefix of image names, as --app"),
    ("VERSION, REPO_VERSION", "additional tag for every image, as --tag"),
    ("DOCKER_HOST, DOCKER_CONTEXT", "the engine to use, as for docker"),
    ("DOCKER_DEFAULT_PLATFORM", "platform to build for, as --platform"),
    ("SOURCE_DATE_EPOCH", "the time that images carry, in seconds since 1970"),
    ("DOCKER_CONFIG", "the directory of docker's contexts and credentials"),
    (
        "DOCKER_CERT_PATH, DOCKER_TLS, DOCKER_TLS_VERIFY",
        "TLS settings for an engine at a TCP address",
    ),
    ("SSH_AUTH_SOCK", "the agent that --ssh default uses"),
    ("NO_COLOR, CLICOLOR_FORCE", "disable color, or force it without a terminal"),
    ("GITHUB_ACTIONS", "if true, also print problems and failures as annotations"),
    ("LAYERS_ENGINE", "the engine, as --engine"),
];

const FILES: &[Term] = &[
    ("docker/*/Dockerfile", "the Dockerfiles, unless layers.toml sets other paths"),
    ("layers.toml", "settings, at the root of the repository"),
    ("graph.json", "the lock file: the graph, and the pinned external images"),
    (".layers/", "logs of runs, and data that makes the next plan fast; can be deleted"),
];

const EXIT_STATUS: &[Term] = &[
    ("0", "success"),
    ("1", "an image failed, or a check found something"),
    ("2", "the command line is not valid, or a secret is missing"),
    ("3", "the repository's files have errors"),
    ("4", "the infrastructure failed, such as no engine or a full disk"),
    ("130, 143", "stopped by a signal"),
];

pub fn run(directory: &Path, at: &Invocation) -> anyhow::Result<Exit> {
    let directory = root::start_directory(at)?.join(directory);
    fs::create_dir_all(&directory)
        .with_context(|| format!("can't create the directory `{}`", visible_path(&directory)))?;
    let program = cli::program();
    let commands = below(&program);
    let others: Vec<String> = commands.iter().map(page_of).collect();
    printer::file(&directory.join("layers.1"), &page(program, &others)?)?;
    for (command, name) in commands.into_iter().zip(&others) {
        printer::file(&directory.join(format!("{name}.1")), &page(command, &["layers"])?)?;
    }
    Ok(Exit::Done)
}

/// Returns all commands below one, each before its own subcommands.
fn below(command: &Command) -> Vec<Command> {
    let subcommands = command.get_subcommands();
    let subcommands = subcommands.filter(|it| !it.is_hide_set() && it.get_name() != "help");
    subcommands.flat_map(|it| [it.clone()].into_iter().chain(below(it))).collect()
}

/// Returns `layers-ci-github` for `layers ci github`.
fn page_of(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(mut command: Command, see_also: &[impl AsRef<str>]) -> anyhow::Result<String> {
    let has_commands = command.has_subcommands();
    let is_whole = command.get_display_name().is_none_or(|name| name == "layers");
    let title = title(&command);
    let usage = command.render_usage().to_string();
    let examples = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command);
    let mut text = title.into_bytes();
    man.render_name_section(&mut text)?;
    // As in `--help`: all options and their values follow below.
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([roman(usage.trim_start_matches("Usage: "))]);
    synopsis.to_writer(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    let mut rest = Roff::new();
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    if is_whole {
        describe(&mut rest, "ENVIRONMENT", ENVIRONMENT);
        describe(&mut rest, "FILES", FILES);
    }
    describe(&mut rest, "EXIT STATUS", EXIT_STATUS);
    if let Some(examples) = examples {
        show(&mut rest, "EXAMPLES", examples.lines().skip(1));
    }
    rest.control("SH", ["SEE ALSO"]);
    let mut words = Vec::new();
    for name in see_also {
        if !words.is_empty() {
            words.push(roman(", "));
        }
        words.extend([bold(name.as_ref()), roman("(1)")]);
    }
    rest.text(words);
    rest.to_writer(&mut text)?;
    Ok(String::from_utf8(text)?)
}

/// Returns the first line of a page. clap_mangen's would lose the empty date, and the version would take its place.
fn title(command: &Command) -> String {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_uppercase();
    format!(".TH {name} 1 \"\" \"layers {}\" \"User Commands\"\n", env!("CARGO_PKG_VERSION"))
}

/// Adds a section of lines that are not filled.
fn show<'a>(page: &mut Roff, heading: &str, lines: impl Iterator<Item = &'a str>) {
    page.control("SH", [heading]);
    page.control("nf", []);
    for line in lines {
        page.text([roman(line.trim_start())]);
    }
    page.control("fi", []);
}

fn describe(page: &mut Roff, heading: &str, entries: &[Term]) {
    page.control("SH", [heading]);
    for (term, meaning) in entries {
        page.control("TP", []);
        page.text([bold(*term)]);
        page.text([roman(*meaning)]);
    }
}
