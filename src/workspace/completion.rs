//! What can come next on a command line, for the scripts of `layers completions`.
//!
//! Owns the names that only the repository knows: its images, its runs, and the externals of its graph.json. It looks
//! for Dockerfiles but does not read them, does not use an engine, and does not report problems: a shell that completes
//! a word cannot show them.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::Arg;
use clap::builder::ValueHint;
use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{EnvCompleter, Shells};

use crate::cli::{GlobalArgs, completed};
use crate::exit::Exit;
use crate::graph::images;
use crate::report::printer;
use crate::scan::{config, groups};
use crate::state::{RepositoryState, runs};

use super::environment::Environment;
use super::root::WorkspaceLocation;
use super::{lock, names, root};

/// The variable in which a completion script passes the name of its shell.
pub const VARIABLE: &str = "LAYERS_COMPLETE";

/// Answers a completion script. Returns `None` if the caller is not one: the scripts set a variable and put the words
/// after a leading `--`, which no other command line has, so an exported variable has no effect on its own.
pub fn answer_shell() -> Option<Exit> {
    let shell = std::env::var(VARIABLE).ok()?;
    let mut words = std::env::args_os().skip(1);
    if words.next()? != "--" {
        return None;
    }
    let result = Shells::builtins().completer(&shell).map(|shell| answer(shell, words.collect()));
    let is_answered = result.is_some_and(|result| result.is_ok());
    Some(if is_answered { Exit::Done } else { Exit::Machinery })
}

fn answer(shell: &dyn EnvCompleter, words: Vec<OsString>) -> anyhow::Result<()> {
    let current = std::env::current_dir()?;
    let mut program = with_names(completed(), &location_of(&words, &current)?);
    let mut text = Vec::new();
    shell.write_complete(&mut program, words, Some(&current), &mut text)?;
    printer::data(&String::from_utf8(text)?)
}

/// Adds completers to the command line for values that only the repository knows. The value name in the help decides,
/// so a future option that takes an IMAGE gets one too.
fn with_names(program: clap::Command, location: &WorkspaceLocation) -> clap::Command {
    knowing(program, location)
}

/// Adds completers to a command and its subcommands.
fn knowing(command: clap::Command, location: &WorkspaceLocation) -> clap::Command {
    let with_names = |argument: Arg| {
        let location = location.clone();
        let value = argument.get_value_names().and_then(|names| names.first());
        let argument = match value.map(clap::builder::Str::as_str) {
            Some("IMAGE") => argument.add(ArgValueCompleter::new(CompletionImages(location))),
            Some("ID" | "RUN") => {
                argument.add(ArgValueCandidates::new(move || runs_at(&location.root)))
            }
            Some("EXTERNAL") => {
                argument.add(ArgValueCandidates::new(move || externals_at(&location.root)))
            }
            Some("DIR") => argument.value_hint(ValueHint::DirPath),
            Some("NAME=VALUE") => {
                argument.add(ArgValueCompleter::new(CompletionContexts(location)))
            }
            _ => argument,
        };
        // Hidden options are offered only if nothing else fits: once there is a dash, and not among
        // the names of images.
        let is_option = !argument.is_positional();
        argument.hide(is_option)
    };
    command.mut_args(with_names).mut_subcommands(|command| knowing(command, location))
}

/// Returns where the command line being typed would work, according to its options `-C` and `--file`.
fn location_of(words: &[OsString], current: &Path) -> anyhow::Result<WorkspaceLocation> {
    let start = value_of(&["-C"], words).map_or(current.to_owned(), |it| current.join(it));
    WorkspaceLocation::from(start, value_of(&["-f", "--file"], words).as_deref())
}

/// Returns the value of an option, the last one if it is repeated: `-C dir`, `-Cdir`, `-C=dir`, `--file dir`, or
/// `--file=dir`.
fn value_of(names: &[&str], words: &[OsString]) -> Option<PathBuf> {
    let mut value = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let is_name = |name: &&&str| word == **name;
        if names.iter().any(|name| is_name(&name)) {
            value = words.next().map(PathBuf::from).or(value);
            continue;
        }
        let joined = names.iter().find_map(|name| {
            let rest = word.to_str()?.strip_prefix(name)?;
            let rest = rest.strip_prefix('=').or((!name.starts_with("--")).then_some(rest))?;
            Some(PathBuf::from(rest))
        });
        value = joined.or(value);
    }
    value
}

/// Returns the names of all images, or none if they cannot be determined.
fn images_at(location: &WorkspaceLocation) -> anyhow::Result<Vec<String>> {
    let root = &location.root;
    let (file, _) = config::read(root, &location.settings)?;
    let (found, _) = groups::find(root, &file)?;
    let directory = root::directory_of(root);
    // The names of images do not depend on tags, so git is not needed.
    let environment = Environment::read();
    let (naming, _) = names::read(&GlobalArgs::default(), &environment, &file, directory, None)?;
    let (images, _) = images::collect(&found, &file, &naming);
    Ok(images.into_iter().map(|image| image.name).collect())
}

/// Returns the externals in graph.json.
fn externals_at(root: &Path) -> Vec<CompletionCandidate> {
    lock::externals(root).into_iter().map(CompletionCandidate::new).collect()
}

/// Returns the runs whose logs are kept, newest first.
fn runs_at(root: &Path) -> Vec<CompletionCandidate> {
    let runs = runs::all(&RepositoryState::of(root));
    runs.into_iter().rev().map(|run| CompletionCandidate::new(run.id)).collect()
}

/// Completes names of images, after a `+` ("and its dependencies") if one was typed. After a slash, completes
/// directories, which also select images.
struct CompletionImages(WorkspaceLocation);

impl ValueCompleter for CompletionImages {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some(word) = current.to_str() else { return Vec::new() };
        if word.contains('/') {
            return PathCompleter::dir().current_dir(&self.0.start).complete(current);
        }
        let names = images_at(&self.0).unwrap_or_default();
        let marks = ["", "+"].into_iter().filter(|mark| word.starts_with(mark));
        marks
            .flat_map(|mark| names.iter().map(move |name| format!("{mark}{name}")))
            .filter(|choice| choice.starts_with(word))
            .map(CompletionCandidate::new)
            .collect()
    }
}

/// Completes the directory of a named context, after its name and `=`.
struct CompletionContexts(WorkspaceLocation);

impl ValueCompleter for CompletionContexts {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some((name, path)) = current.to_str().and_then(|word| word.split_once('=')) else {
            return Vec::new();
        };
        let directories = PathCompleter::dir().current_dir(&self.0.start).complete(path.as_ref());
        directories.into_iter().map(|found| found.add_prefix(format!("{name}="))).collect()
    }
}
