//! Builds in shell scripts and Makefiles.
//!
//! Owns what a simple reader can know without running anything: variables that are assigned a literal, loops over
//! literals, calls of functions, and the directory after `cd`.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::RelPath;

use super::command::{self, BuildCommand, ShellCommand};
use super::expand::{expand, name_at_start};
use super::functions::{self, ShellFunction};
use super::partial::{PartialText, UNKNOWN, UNKNOWN_TEXT};
use super::{BuildFileReader, BuildOrigin, DescribedBuild};

/// How deep the directories of scripts are at most.
pub(super) const MAX_DIRECTORIES: usize = 4;

/// How deeply functions call others at most.
const MAX_CALLS: usize = 4;

/// The number of bytes that are read again for what a combination of a loop counts.
const BYTES_PER_COMBINATION: usize = 200;

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
            let script = ShellText { file, line: 1, text: &text, bases: &bases, is_example: false };
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
    /// Whether the text only shows what could be run.
    pub(super) is_example: bool,
}

/// A loop over literals.
#[derive(Clone)]
struct ShellLoop {
    variable: String,
    values: Vec<PartialText>,
}

/// What is known before a command.
#[derive(Clone)]
struct ShellState {
    variables: ShellVariables,
    loops: Vec<ShellLoop>,
    /// The directory relative to the start, with the variables of loops, or `None` if it is unknown.
    directory: Option<String>,
    /// How many functions are being called.
    calls: usize,
}

/// The functions of a script, with the names of those that are called.
struct ScriptFunctions {
    by_name: BTreeMap<String, ShellFunction>,
    called: BTreeSet<String>,
}

impl ShellText<'_> {
    /// Adds the builds of a text that is run with these variables.
    pub(super) fn read(&self, reader: &mut BuildFileReader<'_>, variables: &ShellVariables) {
        let is_relevant = ["build", "bud"].iter().any(|word| self.text.contains(word));
        if !is_relevant {
            return;
        }
        let (by_name, main) = functions::split(self.text);
        let mut functions = ScriptFunctions { by_name, called: BTreeSet::new() };
        let mut variables = variables.clone();
        variables.entry("PWD".to_owned()).or_insert_with(|| ".".into());
        let directory = Some(".".to_owned());
        let mut state = ShellState { variables, loops: Vec::new(), directory, calls: 0 };
        let at_start = state.clone();
        self.run(reader, &mut functions, &mut state, (&main, self.line));
        // What calls these is unknown.
        for (name, function) in functions.by_name.clone() {
            if !functions.called.contains(&name) {
                let mut state = at_start.clone();
                self.run_function(reader, &mut functions, &mut state, &function);
            }
        }
    }

    /// Reads commands that start on a line of the file.
    fn run(
        &self,
        reader: &mut BuildFileReader<'_>,
        functions: &mut ScriptFunctions,
        state: &mut ShellState,
        (text, line): (&str, u32),
    ) {
        for mut command in command::split(text) {
            command.line += line - 1;
            self.step(reader, functions, state, &command);
        }
    }

    fn run_function(
        &self,
        reader: &mut BuildFileReader<'_>,
        functions: &mut ScriptFunctions,
        state: &mut ShellState,
        function: &ShellFunction,
    ) {
        state.calls += 1;
        self.run(reader, functions, state, (&function.body, self.line + function.line - 1));
        state.calls -= 1;
    }

    fn step(
        &self,
        reader: &mut BuildFileReader<'_>,
        functions: &mut ScriptFunctions,
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
            state.assign(name, literal(value, &state.variables));
        } else if let Some(file) = operand(text, &["source ", ". "]) {
            self.source(reader, state, file);
        } else if let Some(directory) = operand(text, &["cd ", "pushd "]) {
            state.change_directory(directory);
        } else if let Some(function) = functions.by_name.get(name_at_start(text)).cloned() {
            functions.called.insert(name_at_start(text).to_owned());
            self.call(reader, functions, state, (text, command.line), &function);
        } else if text.contains("build") || text.contains("bud") || is_body {
            self.build(reader, state, text, command.line);
        }
    }

    /// Reads the variables that another script assigns.
    fn source(&self, reader: &mut BuildFileReader<'_>, state: &mut ShellState, file: &str) {
        let file = literal(file, &state.variables);
        let (Some(directory), Some(file)) = (&state.directory, file.as_known()) else { return };
        let mut paths = self.bases.iter().filter_map(|base| base.join(directory)?.join(file));
        let Some(text) = paths.find(|it| reader.is_file(it)).and_then(|it| reader.read(&it)) else {
            return;
        };
        let origin = BuildOrigin { file: self.file.clone(), line: self.line };
        if !reader.allows(&origin, 1 + text.len() / BYTES_PER_COMBINATION) {
            return;
        }
        for command in command::split(&text) {
            if let Some((name, value)) = assignment(command.text.trim()) {
                state.assign(name, literal(value, &state.variables));
            }
        }
    }

    /// Reads a function with the arguments of a call, for each value of the loops around it.
    fn call(
        &self,
        reader: &mut BuildFileReader<'_>,
        functions: &mut ScriptFunctions,
        state: &ShellState,
        (text, line): (&str, u32),
        function: &ShellFunction,
    ) {
        if state.calls == MAX_CALLS {
            return;
        }
        let origin = BuildOrigin { file: self.file.clone(), line };
        for scope in self.scopes(reader, state, (text, line)) {
            if !reader.allows(&origin, 1 + function.body.len() / BYTES_PER_COMBINATION) {
                return;
            }
            let mut state = state.clone();
            state.variables.extend(scope);
            let expanded = expand(&without_arguments(text, &state.variables), &|name| {
                state.variables.get(name).cloned()
            });
            let words = command::words(expanded.as_marked()).unwrap_or_default();
            state.variables.retain(|name, _| !name.starts_with(|it: char| it.is_ascii_digit()));
            for (number, word) in (1..10).zip(words.into_iter().skip(1)) {
                state.variables.insert(number.to_string(), word.into());
            }
            self.run_function(reader, functions, &mut state, function);
        }
    }

    /// Returns the values of the variables of all loops around a command that are in its text or its directory.
    fn scopes(
        &self,
        reader: &mut BuildFileReader<'_>,
        state: &ShellState,
        (text, line): (&str, u32),
    ) -> Vec<ShellVariables> {
        let origin = BuildOrigin { file: self.file.clone(), line };
        let directory = state.directory.as_deref().unwrap_or_default();
        let is_used =
            |it: &&ShellLoop| text.contains(&it.variable) || directory.contains(&it.variable);
        let mut scopes = vec![ShellVariables::new()];
        for around in state.loops.iter().filter(is_used) {
            let count = scopes.len().saturating_mul(around.values.len());
            if !reader.allows(&origin, count) {
                return Vec::new();
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
        scopes
    }

    /// Adds the builds of a command, for each value of the loops around it.
    fn build(&self, reader: &mut BuildFileReader<'_>, state: &ShellState, text: &str, line: u32) {
        for scope in self.scopes(reader, state, (text, line)) {
            let lookup =
                |name: &str| scope.get(name).or_else(|| state.variables.get(name)).cloned();
            let expanded = expand(&without_arguments(text, &state.variables), &lookup);
            let Some(words) = command::words(expanded.as_marked()) else { continue };
            let Some(arguments) = command::build_arguments(&words) else { continue };
            let build = BuildCommand::parse(arguments);
            let Some(directory) = &state.directory else { continue };
            let directory = expand(directory, &lookup);
            let Some(directory) = directory.as_known() else { continue };
            let origin = BuildOrigin { file: self.file.clone(), line };
            let described = self.bases.iter().find_map(|base| {
                build.clone().describe(reader, &base.join(directory)?, origin.clone())
            });
            if let Some(described) = described {
                reader.add(DescribedBuild { is_example: self.is_example, ..described });
            }
        }
    }
}

impl ShellState {
    /// Sets a variable. Which of several values it has depends on what decides about the assignments.
    fn assign(&mut self, name: &str, value: PartialText) {
        let is_known = self.variables.get(name).is_none_or(|old| *old == value);
        let value = if is_known { value } else { PartialText::unknown() };
        self.variables.insert(name.to_owned(), value);
    }

    fn change_directory(&mut self, directory: &str) {
        let is_loop = |name: &str| self.loops.iter().any(|it| it.variable == name);
        let lookup = |name: &str| match is_loop(name) {
            true => Some(format!("${{{name}}}").into()),
            false => self.variables.get(name).cloned(),
        };
        let expanded = expand(&without_arguments(directory, &self.variables), &lookup);
        let words = command::words(expanded.as_marked());
        let to = words.and_then(|words| words.into_iter().next());
        self.directory = match (&self.directory, to) {
            (Some(at), Some(to))
                if PartialText::from(to.as_str()).as_known().is_some()
                    && !to.starts_with(['/', '-', '~']) =>
            {
                Some(format!("{at}/{to}"))
            }
            _ => None,
        };
    }
}

/// Returns what follows one of some words.
fn operand<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| text.strip_prefix(word)).map(str::trim)
}

/// Replaces the arguments of a script, such as `$1` and `$@`, by their values, or by unknown parts.
fn without_arguments(text: &str, variables: &ShellVariables) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, end) = match after.strip_prefix('{') {
            Some(inside) => (inside.chars().next(), inside.find('}').filter(|at| *at == 1)),
            None => (after.chars().next(), None),
        };
        let is_argument = |c: &char| c.is_ascii_digit() || "@*#?!".contains(*c);
        let is_whole = end.is_some() || !after.starts_with('{');
        match name.filter(|c| is_whole && is_argument(c)) {
            Some(name) => {
                let value = variables.get(name.to_string().as_str());
                out.push_str(value.map_or(UNKNOWN_TEXT, PartialText::as_marked));
                rest = &after[if end.is_some() { 3 } else { name.len_utf8() }..];
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out + rest
}

/// Returns the loop that a command starts, as in `for x in a b`.
fn loop_of(text: &str, variables: &ShellVariables) -> Option<ShellLoop> {
    let rest = text.strip_prefix("for ")?.trim_start();
    let variable = name_at_start(rest).to_owned();
    let values = rest.get(variable.len()..)?.trim_start().strip_prefix("in ")?;
    let values =
        expand(&without_arguments(values, variables), &|name| variables.get(name).cloned());
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
    let expanded =
        expand(&without_arguments(text, variables), &|name| variables.get(name).cloned());
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
        let (line, text) = (*number, expanded.as_marked());
        let text = ShellText { file, line, text, bases: &bases, is_example: false };
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
