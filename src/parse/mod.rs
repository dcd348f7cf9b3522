//! The parser for Dockerfiles, which accepts any text and records the position of every word.
//!
//! Owns the parsing of one file. It never fails or panics, does no I/O, and knows no other file. It
//! reports errors as diagnostics. Variables remain as written; `graph` expands them with
//! [`expand::expand`].
//!
//! The rules are those of the newest version of BuildKit's Dockerfile frontend. Parsing has two
//! steps. `lexer` handles lines (comments, continuations, here-documents) without their meaning.
//! `instruction` and its sibling modules handle meaning without lines.

use std::collections::HashMap;

use crate::base::{Diagnostic, Rule, Source, Span};

mod directive;
pub mod expand;
mod files;
mod flags;
mod healthcheck;
mod heredoc;
mod instruction;
mod lexer;
pub mod logical;
mod pattern;
mod reader;
mod run;
mod shell;
mod splitting;
pub mod syntax;

pub use flags::is_switch;
pub use run::split_csv;
pub use syntax::{
    Add, CommandForm, Copy, Declaration, Directives, Dockerfile, Files, Healthcheck, Heredoc,
    Instruction, InstructionKind, Mount, MountField, Onbuild, Pair, Piece, PieceKind, Run, Stage,
};

use instruction::ParsedLine;

/// Parses a Dockerfile. The result's diagnostics describe everything that is wrong with it.
pub fn parse(source: &Source) -> Dockerfile {
    let lexed = lexer::lex(source);
    let mut file = Dockerfile {
        source: source.clone(),
        directives: lexed.directives,
        globals: Vec::new(),
        stages: Vec::new(),
        diagnostics: lexed.diagnostics,
        pieces: lexed.pieces,
    };
    let is_empty = lexed.lines.is_empty();
    let mut homeless = None;
    for line in lexed.lines {
        let escape = file.directives.escape;
        match instruction::read(source, line, escape, &mut file.diagnostics) {
            ParsedLine::From(stage) => file.stages.push(stage),
            ParsedLine::Instruction(instruction) => match file.stages.last_mut() {
                Some(stage) => stage.instructions.push(instruction),
                None => match instruction.kind {
                    InstructionKind::Arg(_) => file.globals.push(instruction),
                    InstructionKind::Invalid => {}
                    _ => drop(homeless.get_or_insert(instruction.keyword)),
                },
            },
        }
    }
    // Many files are in memory at once, and none of them grows after this point.
    file.stages.iter_mut().for_each(|stage| stage.instructions.shrink_to_fit());
    file.stages.shrink_to_fit();
    file.pieces.shrink_to_fit();
    if let Some(keyword) = homeless {
        let message = format!("{} comes before the first FROM", keyword.value);
        let diagnostic = Diagnostic::new(Rule::InstructionBeforeFrom, message)
            .hint("start with `FROM`; only `ARG` can come before it");
        file.diagnostics.push(diagnostic.at(source, keyword.span, ""));
    }
    report_missing_stages(&mut file, is_empty);
    report_duplicate_stages(&mut file);
    file
}

/// Parses the text of an `ONBUILD` trigger as a file of one instruction with the default escape
/// character. Returns `None` and diagnostics if the text is not a single instruction that can be a
/// trigger.
pub fn parse_trigger(source: &Source) -> (Option<Instruction>, Vec<Diagnostic>) {
    let lexed = lexer::lex(source);
    let mut diagnostics = lexed.diagnostics;
    let escape = lexed.directives.escape;
    let mut lines = lexed.lines.into_iter();
    let read = match (lines.next(), lines.next()) {
        (Some(line), None) => Some(instruction::read(source, line, escape, &mut diagnostics)),
        _ => None,
    };
    if let Some(ParsedLine::Instruction(instruction)) = read {
        return (Some(instruction), diagnostics);
    }
    let message = "the trigger is not a single instruction that can follow ONBUILD";
    let span = Span::new(0, source.text().len());
    diagnostics.push(Diagnostic::new(Rule::InvalidTrigger, message).at(source, span, ""));
    (None, diagnostics)
}

/// Returns a diagnostic if replacements of bytes that are not UTF-8 are in anything but comments.
///
/// BuildKit skips a comment without looking at it. In an instruction, the byte would reach the build
/// unchanged, or fail there (a path in a request is a string of protobuf), and is not known here.
pub fn describe_not_utf8(source: &Source, replaced: &[Span]) -> Option<Diagnostic> {
    if replaced.is_empty() {
        return None;
    }
    let lexed = lexer::lex(source);
    let directives = [&lexed.directives.syntax, &lexed.directives.check];
    let values: Vec<Span> = directives.into_iter().flatten().map(|value| value.span).collect();
    let pieces = lexed.pieces.iter().filter(|piece| piece.kind == PieceKind::Comment);
    let comments: Vec<Span> = pieces.map(|piece| piece.span).chain(lexed.inner_comments).collect();
    let is_in = |span: &Span, outer: &Span| outer.start <= span.start && span.end <= outer.end;
    let matters = |span: &&Span| {
        !comments.iter().any(|comment| is_in(span, comment))
            || values.iter().any(|value| is_in(span, value))
    };
    let first = replaced.iter().find(matters)?;
    let message = format!("`{}` is not valid UTF-8", source.path());
    let problem = Diagnostic::new(Rule::NotUtf8, message).at(source, *first, "invalid byte");
    Some(problem.hint("save the file as UTF-8"))
}

fn report_missing_stages(file: &mut Dockerfile, is_empty: bool) {
    if !file.stages.is_empty() {
        return;
    }
    let text = file.source.text();
    let (rule, message) = match (text.is_empty(), is_empty) {
        (true, _) => (Rule::EmptyFile, "the Dockerfile is empty"),
        (_, true) => (Rule::NoInstructions, "the Dockerfile has no instructions"),
        _ => (Rule::NoStages, "the Dockerfile has no FROM"),
    };
    // Point to the end of the last line, where the missing instruction would be added.
    let end = text.strip_suffix('\n').unwrap_or(text).len();
    let last = Span::new(end, end);
    let diagnostic = Diagnostic::new(rule, message).hint("start with `FROM`");
    file.diagnostics.push(diagnostic.at(&file.source, last, ""));
}

/// Reports stages that share a name. BuildKit allows them, but they are rarely intended.
fn report_duplicate_stages(file: &mut Dockerfile) {
    let mut first: HashMap<&str, Span> = HashMap::new();
    for stage in &file.stages {
        let Some(name) = &stage.name else { continue };
        let earlier = *first.entry(&name.value).or_insert(name.span);
        if earlier == name.span {
            continue;
        }
        let message = format!("duplicate stage name `{}`", name.value);
        let diagnostic = Diagnostic::new(Rule::DuplicateStage, message)
            .at(&file.source, name.span, "used again here")
            .at(&file.source, earlier, "first used here")
            .hint("give each stage its own name");
        file.diagnostics.push(diagnostic);
    }
}
