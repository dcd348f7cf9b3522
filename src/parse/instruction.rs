//! Parsing of a logical line as an instruction.
//!
//! Owns the syntax of all instructions except the files of `COPY` and `ADD`, the mounts of `RUN`,
//! and `HEALTHCHECK`, which have modules of their own. It determines what an instruction is, not
//! what it does.
//!
//! The rules are those of moby/buildkit `frontend/dockerfile/instructions`.

use crate::base::{Diagnostic, Rule, Source, Spanned, text};

use super::flags::{self, FlagValueKind};
use super::lexer::LogicalLine;
use super::reader::LineReader;
use super::splitting::{
    ByteRange, Json, Parts, read_json, split_blanks, split_instruction, split_quoted,
};
use super::syntax::{CommandForm, Declaration, Instruction, InstructionKind, Onbuild, Pair, Stage};
use super::{files, healthcheck, run, splitting};

/// The keywords of all instructions.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The result of parsing a line.
pub(super) enum ParsedLine {
    /// A `FROM`: a stage that has no instructions yet.
    From(Stage),
    /// Any other instruction.
    Instruction(Instruction),
}

/// Parses a logical line.
pub(super) fn read(
    source: &Source,
    line: LogicalLine,
    escape: char,
    diagnostics: &mut Vec<Diagnostic>,
) -> ParsedLine {
    let mut reader = LineReader { source, line: &line, escape, diagnostics };
    let parts = split_instruction(&line.text, 0..line.text.len(), escape);
    let mut keyword = reader.spanned(parts.keyword.clone());
    keyword.value.make_ascii_uppercase();
    if keyword.value == "FROM" {
        let mut stage = read_from(&mut reader, &parts);
        stage.text = line.text;
        return ParsedLine::From(stage);
    }
    let kind = read_kind(&mut reader, &keyword.value, &parts).unwrap_or(InstructionKind::Invalid);
    let LogicalLine { text, map, span, heredocs, .. } = line;
    ParsedLine::Instruction(Instruction { span, keyword, text, map, heredocs, kind })
}

fn read_kind(reader: &mut LineReader<'_>, keyword: &str, parts: &Parts) -> Option<InstructionKind> {
    let range = parts.arguments.clone();
    // These instructions take no flags. `ARG` and `STOPSIGNAL` take none either, but BuildKit does
    // not check theirs.
    if !matches!(keyword, "ADD" | "COPY" | "RUN" | "HEALTHCHECK" | "ARG" | "STOPSIGNAL")
        && KEYWORDS.contains(&keyword)
    {
        flags::check(reader, &parts.flags, &[])?;
    }
    Some(match keyword {
        "ADD" => InstructionKind::Add(files::read_add(reader, parts)?),
        "ARG" => InstructionKind::Arg(read_declarations(reader, parts)?),
        "CMD" => InstructionKind::Cmd(read_command(reader, range)?),
        "COPY" => InstructionKind::Copy(files::read_copy(reader, parts)?),
        "ENTRYPOINT" => InstructionKind::Entrypoint(read_command(reader, range)?),
        "ENV" => InstructionKind::Env(read_pairs(reader, keyword, parts)?),
        "EXPOSE" => {
            let words = split_blanks(reader.text(), range);
            let words = words.into_iter().map(|word| reader.spanned(word)).collect();
            InstructionKind::Expose(at_least_one(reader, keyword, parts, words)?)
        }
        "HEALTHCHECK" => InstructionKind::Healthcheck(healthcheck::read(reader, parts)?),
        "LABEL" => InstructionKind::Label(read_pairs(reader, keyword, parts)?),
        "MAINTAINER" => InstructionKind::Maintainer(read_text(reader, keyword, parts)?),
        "ONBUILD" => InstructionKind::Onbuild(read_onbuild(reader, parts)?),
        "RUN" => InstructionKind::Run(run::read(reader, parts)?),
        "SHELL" => {
            let command = read_command(reader, range)?;
            if !command.json || command.words.is_empty() {
                let message = "SHELL requires a JSON array of at least one string";
                return reader.fail(message, parts.keyword.start..parts.arguments.end);
            }
            InstructionKind::Shell(command.words)
        }
        "STOPSIGNAL" => InstructionKind::Stopsignal(read_text(reader, keyword, parts)?),
        "USER" => InstructionKind::User(read_text(reader, keyword, parts)?),
        "VOLUME" => InstructionKind::Volume(read_volumes(reader, keyword, parts)?),
        "WORKDIR" => InstructionKind::Workdir(read_text(reader, keyword, parts)?),
        _ => return unknown(reader, keyword, parts),
    })
}

fn unknown<T>(reader: &mut LineReader<'_>, keyword: &str, parts: &Parts) -> Option<T> {
    let shown = &reader.text()[parts.keyword.clone()];
    let message = format!("unknown instruction `{shown}`");
    let mut diagnostic = Diagnostic::new(Rule::UnknownInstruction, message);
    if let Some(near) = text::closest(keyword, KEYWORDS) {
        diagnostic = diagnostic.hint(format!("write `{near}`"));
    }
    reader.report(diagnostic, parts.keyword.clone());
    None
}

/// Parses `FROM [--platform=p] image [AS name]`. An invalid `FROM` still results in a stage, so
/// that the instructions after it belong to one.
fn read_from(reader: &mut LineReader<'_>, parts: &Parts) -> Stage {
    let line = reader.text();
    let words = split_blanks(line, parts.arguments.clone());
    let mut name = None;
    match words.as_slice() {
        [_] => {}
        [_, between, word] if line[between.clone()].eq_ignore_ascii_case("AS") => {
            let mut spanned = reader.spanned(word.clone());
            spanned.value = spanned.value.to_lowercase();
            if is_stage_name(&spanned.value) {
                name = Some(spanned);
            } else {
                let message = format!("`{}` is not a valid stage name", &line[word.clone()]);
                let hint = "start with a letter, and use only letters, digits, `-`, `_`, and `.`";
                let diagnostic = Diagnostic::new(Rule::InvalidStageName, message).hint(hint);
                reader.report(diagnostic, word.clone());
            }
        }
        words => {
            let range = parts.keyword.start..parts.arguments.end.max(parts.keyword.end);
            let comment = words.iter().any(|word| line[word.clone()].starts_with('#'));
            let hint = match comment {
                true => "move the comment to a line of its own",
                false => "write `FROM image` or `FROM image AS name`",
            };
            let message = "FROM requires either one or three arguments";
            reader.report(Diagnostic::new(Rule::ParseError, message).hint(hint), range);
        }
    }
    let flag_values = flags::check(reader, &parts.flags, &[("platform", FlagValueKind::Value)]);
    let end = parts.keyword.end;
    Stage {
        name,
        base: reader.spanned(words.into_iter().next().unwrap_or(end..end)),
        platform: flag_values.and_then(|flag_values| flag_values.value("platform")),
        from: reader.line.span,
        text: String::new(),
        instructions: Vec::new(),
    }
}

fn is_stage_name(name: &str) -> bool {
    let is_later =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    name.bytes().next().is_some_and(|b| b.is_ascii_lowercase()) && name.bytes().all(is_later)
}

/// Returns the rest of the line as one text.
fn read_text(reader: &mut LineReader<'_>, keyword: &str, parts: &Parts) -> Option<Spanned<String>> {
    if parts.arguments.is_empty() {
        let message = format!("{keyword} requires exactly one argument");
        return reader.fail(message, parts.keyword.clone());
    }
    Some(reader.spanned(parts.arguments.clone()))
}

fn at_least_one<T>(
    reader: &mut LineReader<'_>,
    keyword: &str,
    parts: &Parts,
    items: Vec<T>,
) -> Option<Vec<T>> {
    if items.is_empty() {
        let message = format!("{keyword} requires at least one argument");
        return reader.fail(message, parts.keyword.clone());
    }
    Some(items)
}

/// Parses a command in JSON form or as one line for the shell.
pub(super) fn read_command(reader: &mut LineReader<'_>, range: ByteRange) -> Option<CommandForm> {
    match read_json(reader.text(), range.clone()) {
        Json::Words(words) => {
            let words = words.into_iter().map(|(word, _)| word).collect();
            Some(CommandForm { words, json: true })
        }
        Json::NotStrings => not_strings(reader, range),
        Json::No if range.is_empty() => Some(CommandForm::default()),
        Json::No => Some(CommandForm { words: vec![reader.text()[range].to_owned()], json: false }),
    }
}

/// Parses a list in JSON form or as words separated by blanks.
pub(super) fn read_list(
    reader: &mut LineReader<'_>,
    range: ByteRange,
) -> Option<Vec<Spanned<String>>> {
    match read_json(reader.text(), range.clone()) {
        Json::Words(words) => {
            let words = words.into_iter();
            Some(words.map(|(word, range)| Spanned::new(word, reader.span(range))).collect())
        }
        Json::NotStrings => not_strings(reader, range),
        Json::No => {
            let words = split_blanks(reader.text(), range).into_iter();
            Some(words.map(|word| reader.spanned(word)).collect())
        }
    }
}

fn not_strings<T>(reader: &mut LineReader<'_>, range: ByteRange) -> Option<T> {
    reader.fail("the JSON array must contain only strings", range)
}

fn read_volumes(
    reader: &mut LineReader<'_>,
    keyword: &str,
    parts: &Parts,
) -> Option<Vec<Spanned<String>>> {
    let volumes = read_list(reader, parts.arguments.clone())?;
    if volumes.iter().any(|volume| volume.value.trim().is_empty()) {
        return reader.fail("a volume can't be empty", parts.arguments.clone());
    }
    at_least_one(reader, keyword, parts, volumes)
}

fn read_declarations(reader: &mut LineReader<'_>, parts: &Parts) -> Option<Vec<Declaration>> {
    let line = reader.text();
    let mut declarations = Vec::new();
    for word in split_quoted(line, parts.arguments.clone(), reader.escape) {
        let (name, default) = match line[word.clone()].find('=') {
            Some(0) => return reader.fail("the name of an ARG can't be blank", word),
            Some(at) => (word.start..word.start + at, Some(word.start + at + 1..word.end)),
            None => (word, None),
        };
        let default = default.map(|default| reader.spanned(default));
        declarations.push(Declaration { name: reader.spanned(name), default });
    }
    at_least_one(reader, "ARG", parts, declarations)
}

/// Parses `name=value …` or the legacy form `name value`.
fn read_pairs(reader: &mut LineReader<'_>, keyword: &str, parts: &Parts) -> Option<Vec<Pair>> {
    let line = reader.text();
    let range = parts.arguments.clone();
    let words = split_quoted(line, range.clone(), reader.escape);
    let mut pairs = Vec::new();
    if let Some(first) = words.first()
        && !line[first.clone()].contains('=')
    {
        let text = &line[range.clone()];
        let Some(end) = text.find(splitting::is_blank) else {
            let message = format!("{keyword} requires a name and a value");
            return reader.fail_with_hint(message, format!("write `{keyword} {text}=…`"), range);
        };
        let value = text[end..].trim_start_matches(splitting::is_blank);
        let name = reader.spanned(range.start..range.start + end);
        let value = reader.spanned(range.end - value.len()..range.end);
        return Some(vec![Pair { name, value, spaced: true }]);
    }
    for word in words {
        let Some(at) = line[word.clone()].find('=') else {
            let message = format!("missing `=` in `{}`", &line[word.clone()]);
            let hint = "write `name=value`, with quotes around spaces";
            return reader.fail_with_hint(message, hint, word);
        };
        if at == 0 {
            return reader.fail(format!("the name of a {keyword} can't be blank"), word);
        }
        let name = reader.spanned(word.start..word.start + at);
        let value = reader.spanned(word.start + at + 1..word.end);
        pairs.push(Pair { name, value, spaced: false });
    }
    at_least_one(reader, keyword, parts, pairs)
}

/// Returns the offset at which a trigger's text begins, as the image will store it. BuildKit
/// removes the keyword and the characters that `\s` matches in Go, which are fewer than those that
/// separate words, and keeps trailing white space (`instructions/parse.go`, `parseOnBuild`).
fn start_of_trigger(line: &str, keyword_end: usize) -> usize {
    let rest = &line[keyword_end..];
    keyword_end + rest.len() - rest.trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']).len()
}

/// Parses an `ONBUILD`. Checks only what BuildKit's line parser checks; the rest of the trigger is
/// checked when it runs.
fn read_onbuild(reader: &mut LineReader<'_>, parts: &Parts) -> Option<Onbuild> {
    let line = reader.text();
    if parts.arguments.is_empty() {
        return reader.fail("ONBUILD requires an instruction", parts.keyword.clone());
    }
    let trigger = split_instruction(line, parts.arguments.clone(), reader.escape);
    let keyword = line[trigger.keyword.clone()].to_ascii_uppercase();
    match keyword.as_str() {
        "ONBUILD" | "FROM" | "MAINTAINER" => {
            let message = format!("{keyword} isn't allowed as an ONBUILD trigger");
            reader.report(Diagnostic::new(Rule::InvalidTrigger, message), trigger.keyword);
            return None;
        }
        "ENV" | "LABEL" if !trigger.arguments.is_empty() => {
            read_pairs(reader, &keyword, &trigger)?;
        }
        "ADD" | "COPY" | "VOLUME" | "RUN" | "CMD" | "ENTRYPOINT" | "SHELL" => {
            read_command(reader, trigger.arguments.clone())?;
        }
        "HEALTHCHECK" => healthcheck::check_trigger(reader, &trigger)?,
        _ => {}
    }
    let start = start_of_trigger(line, parts.keyword.end);
    let mut expression = format!("{}{}", &line[start..], reader.line.tail);
    for heredoc in &reader.line.heredocs {
        expression.push('\n');
        expression.push_str(&heredoc.content);
        expression.push_str(&heredoc.name);
    }
    Some(Onbuild { expression, map: reader.line.map.without_first(start), keyword })
}
