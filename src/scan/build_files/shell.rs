//! Builds in shell scripts and Makefiles.
//!
//! Owns what a simple reader can know without running anything: variables that are assigned a literal, loops over
//! literals, and the directory after `cd`.

use std::collections::BTreeMap;

use crate::base::RelPath;

use super::command::{self, BuildCommand, ShellCommand};
use super::expand::{expand, name_at_start};
use super::partial::{PartialText, UNKNOWN};
use super::{BuildFileReader, BuildOrigin};

/// How deep the directories of scripts are at most.
const MAX_DIRECTORIES: usize = 4;

/// The length of the longest value of a variable.
const MAX_LENGTH: usize = 1 << 10;

/// The values of variables.
pub(super) type ShellVariables = BTreeMap<String, PartialText>;

/// Reads all shell scripts and Makefiles of a list.
pub(super) fn read(reader: &mut BuildFileReader<'_>, files: &[RelPath]) {
    for file in files.iter().filter(|file| file.parts().count() <= MAX_DIRECTORIES + 1) {
        let name = file.file_name().unwrap_or_default();
        let is_make =
            matches!(name, "Makefile" | "makefile" | "GNUmakefile") || name.ends_with(".mk");
        if !is_make && !name.ends_with(".sh") && !name.ends_with(".bash") {
            continue;
        }
        let Some(text) = reader.read(file) else { continue };
        if is_make {
            read_makefile(reader, file, &text);
        } else {
            // A script is called in its own directory, or in the root.
            let bases = [file.parent(), RelPath::root()];
            let script = ShellText { file, line: 1, text: &text, bases: &bases };
            script.read(reader, &ShellVariables::new());
        }
    }
}

/// A text that a shell runs.
pub(super) struct ShellText<'a> {
    /// The file.
    pub(super) file: &'a RelPath,
    /// The line of the start of the text.
    pub(super) line: u32,
    /// The text.
    pub(super) text: &'a str,
    /// The directories in which it may run, the likeliest first.
    pub(super) bases: &'a [RelPath],
}

/// A loop over literals.
struct ShellLoop {
    variable: String,
    values: Vec<PartialText>,
}

/// What is known before a command.
struct ShellState {
    variables: ShellVariables,
    loops: Vec<ShellLoop>,
    /// The directory relative to the start, or `None` if it is unknown.
    directory: Option<String>,
}

impl ShellText<'_> {
    /// Adds the builds of a text that is run with these variables.
    pub(super) fn read(&self, reader: &mut BuildFileReader<'_>, variables: &ShellVariables) {
        let is_relevant = ["build", "bud"].iter().any(|word| self.text.contains(word));
        if !is_relevant {
            return;
        }
        let variables = variables.clone();
        let directory = Some(".".to_owned());
        let mut state = ShellState { variables, loops: Vec::new(), directory };
        for command in command::split(self.text) {
            self.step(reader, &mut state, &command);
        }
    }

    fn step(
        &self,
        reader: &mut BuildFileReader<'_>,
        state: &mut ShellState,
        command: &ShellCommand,
    ) {
        let text = command.text.trim();
        let (text, is_body) = match text.strip_prefix("do ") {
            Some(body) => (body.trim_start(), true),
            None => (text, false),
        };
        if let Some(found) = loop_of(text, &state.variables) {
            state.variables.insert(found.variable.clone(), PartialText::unknown());
            state.loops.push(found);
        } else if text == "done" || text.starts_with("done ") {
            state.loops.pop();
        } else if let Some((name, value)) = assignment(text) {
            let value = literal(value, &state.variables);
            // Which of several values a variable has depends on what decides about the assignment.
            let known = state.variables.get(name).is_none_or(|old| *old == value);
            let value = if known { value } else { PartialText::unknown() };
            state.variables.insert(name.to_owned(), value);
        } else if let Some(directory) =
            text.strip_prefix("cd ").or_else(|| text.strip_prefix("pushd "))
        {
            let directory = literal(directory.trim(), &state.variables);
            state.directory = match (&state.directory, directory.as_known()) {
                (Some(at), Some(to)) if !to.starts_with(['/', '-', '~']) => {
                    Some(format!("{at}/{to}"))
                }
                _ => None,
            };
        } else if text.contains("build") || text.contains("bud") || is_body {
            self.build(reader, state, text, command.line);
        }
    }

    /// Adds the builds of a command, for each value of the loops around it.
    fn build(&self, reader: &mut BuildFileReader<'_>, state: &ShellState, text: &str, line: u32) {
        let origin = BuildOrigin { file: self.file.clone(), line: self.line + line - 1 };
        let mut scopes = vec![ShellVariables::new()];
        for around in state.loops.iter().filter(|it| text.contains(&it.variable)) {
            let count = scopes.len().saturating_mul(around.values.len());
            if !reader.allows(&origin, count) {
                return;
            }
            let with = |scope: &ShellVariables, value: &PartialText| {
                let mut scope = scope.clone();
                scope.insert(around.variable.clone(), value.clone());
                scope
            };
            scopes = scopes
                .iter()
                .flat_map(|scope| around.values.iter().map(move |value| with(scope, value)))
                .collect();
        }
        for scope in scopes {
            let lookup =
                |name: &str| scope.get(name).or_else(|| state.variables.get(name)).cloned();
            let expanded = expand(&without_arguments(text), &lookup);
            let Some(words) = command::words(expanded.as_marked()) else { continue };
            let Some(arguments) = command::build_arguments(&words) else { continue };
            let build = BuildCommand::parse(arguments);
            let Some(directory) = &state.directory else { continue };
            let described = self.bases.iter().find_map(|base| {
                build.clone().describe(reader, &base.join(directory)?, origin.clone())
            });
            if let Some(described) = described {
                reader.add(described);
            }
        }
    }
}

/// Replaces the arguments of a script, such as `$1` and `$@`, by unknown parts.
fn without_arguments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_argument =
            c == '$' && rest.peek().is_some_and(|c| c.is_ascii_digit() || "@*#?!".contains(*c));
        if is_argument {
            rest.next();
            out.push(UNKNOWN);
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns the loop that a command starts, as in `for x in a b`.
fn loop_of(text: &str, variables: &ShellVariables) -> Option<ShellLoop> {
    let rest = text.strip_prefix("for ")?.trim_start();
    let variable = name_at_start(rest).to_owned();
    let values = rest.get(variable.len()..)?.trim_start().strip_prefix("in ")?;
    let values = expand(&without_arguments(values), &|name| variables.get(name).cloned());
    let words = command::words(values.as_marked())?;
    let is_pattern = |word: &String| word.contains(['*', '?', '[', '{']);
    let value = |word: String| {
        if is_pattern(&word) { PartialText::unknown() } else { word.into() }
    };
    Some(ShellLoop { variable, values: words.into_iter().map(value).collect() })
}

/// Returns the name and the value of an assignment.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let words = ["export ", "local ", "readonly ", "declare "];
    let text = words.iter().find_map(|word| text.strip_prefix(word)).unwrap_or(text).trim_start();
    let name = name_at_start(text);
    let value = text.get(name.len()..)?.strip_prefix('=')?;
    // `X=1 command` sets it for the command only.
    let is_one_word = command::words(value).is_none_or(|words| words.len() <= 1);
    (!name.is_empty() && is_one_word).then_some((name, value))
}

/// Returns the value of one word.
fn literal(text: &str, variables: &ShellVariables) -> PartialText {
    let expanded = expand(&without_arguments(text), &|name| variables.get(name).cloned());
    match text {
        // Quotes in an array are those of its items.
        array if array.starts_with('(') => PartialText::unknown(),
        _ if expanded.as_marked().len() > MAX_LENGTH => PartialText::unknown(),
        _ => {
            let words = command::words(expanded.as_marked());
            words.map_or_else(PartialText::unknown, |words| words.join(" ").into())
        }
    }
}

/// Adds the builds of the recipes of a Makefile. A recipe runs in the directory of the Makefile.
fn read_makefile(reader: &mut BuildFileReader<'_>, file: &RelPath, text: &str) {
    let mut variables = ShellVariables::new();
    let lines = joined_lines(text);
    for (_, line) in &lines {
        if let Some((name, value)) = make_assignment(line) {
            let value = expand_make(value, &variables);
            let is_long = value.as_marked().len() > MAX_LENGTH;
            let value = if is_long { PartialText::unknown() } else { value };
            variables.insert(name.to_owned(), value);
        }
    }
    let bases = [file.parent(), RelPath::root()];
    for (number, line) in &lines {
        let Some(recipe) = line.strip_prefix('\t') else { continue };
        let recipe = recipe.trim_start_matches(['@', '-', '+', ' ']);
        let expanded = expand_make(recipe, &variables);
        let text = ShellText { file, line: *number, text: expanded.as_marked(), bases: &bases };
        text.read(reader, &ShellVariables::new());
    }
}

/// Returns the lines with their numbers. Continued lines are joined.
fn joined_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines: Vec<(u32, String)> = Vec::new();
    let mut is_continued = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (part, continues) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| is_continued) {
            Some((_, joined)) => {
                joined.push(' ');
                joined.push_str(part.trim_start());
            }
            None => lines.push((number, part.to_owned())),
        }
        is_continued = continues;
    }
    lines
}

fn make_assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let name = name_at_start(line);
    let rest = line.get(name.len()..)?.trim_start();
    let value = ["::=", ":=", "?=", "="].iter().find_map(|operator| rest.strip_prefix(operator))?;
    let value = value.split(" #").next().unwrap_or_default();
    (!name.is_empty()).then_some((name, value.trim()))
}

/// Expands the variables of make: `$(X)`, `${X}`, and `$$` for the shell. Functions and automatic variables are unknown.
fn expand_make(text: &str, variables: &ShellVariables) -> PartialText {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let close = match after.chars().next() {
            Some('(') => ')',
            Some('{') => '}',
            Some('$') => {
                out.push('$');
                rest = &after[1..];
                continue;
            }
            other => {
                out.push(UNKNOWN);
                rest = &after[other.map_or(0, char::len_utf8)..];
                continue;
            }
        };
        let Some(end) = closing(after, close) else {
            out.push(UNKNOWN);
            break;
        };
        match variables.get(&after[1..end]) {
            Some(value) if out.len() < 16 * MAX_LENGTH => out.push_str(value.as_marked()),
            _ => out.push(UNKNOWN),
        }
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    out.into()
}

/// Returns the position of the bracket that closes the first character.
fn closing(text: &str, close: char) -> Option<usize> {
    let open = text.chars().next()?;
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}
