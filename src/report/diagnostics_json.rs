//! Diagnostics as a JSON array.
//!
//! Owns the format, which `docs/rules/README.md` describes. Fields can be added but are not changed or
//! removed.

use serde::Serialize;

use crate::base::{Diagnostic, Label, Level, Place, RelPath, Span};

use super::clean;
use super::diagnostics::sort;

#[derive(Serialize)]
struct Told<'a> {
    code: &'a str,
    level: Level,
    message: &'a str,
    #[serde(flatten)]
    place: Region<'a>,
    labels: Vec<ToldLabel<'a>>,
    notes: &'a [String],
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct ToldLabel<'a> {
    #[serde(flatten)]
    place: Region<'a>,
    text: &'a str,
}

/// A part of a file in lines and columns, both from 1. The end is one past the last character. All fields are
/// `None` for a diagnostic without a label.
#[derive(Serialize, Default)]
pub(super) struct Region<'a> {
    pub(super) file: Option<&'a RelPath>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    pub(super) end_line: Option<u32>,
    pub(super) end_column: Option<u32>,
}

impl<'a> Region<'a> {
    pub(super) fn of(label: &'a Label) -> Region<'a> {
        let Place { line, column, .. } = label.source.place(label.span);
        let end = Span { start: label.span.end, end: label.span.end };
        let Place { line: end_line, column: end_column, .. } = label.source.place(end);
        Region {
            file: Some(label.source.path()),
            line: Some(line),
            column: Some(column),
            end_line: Some(end_line),
            end_column: Some(end_column),
        }
    }
}

/// Returns all diagnostics as a JSON array, in the order of the text output.
///
/// # Errors
/// Does not fail in practice: all content is text and numbers.
pub fn render(diagnostics: &[Diagnostic]) -> anyhow::Result<String> {
    let told: Vec<Told<'_>> = sort(diagnostics).into_iter().map(tell).collect();
    clean::json(&told)
}

fn tell(diagnostic: &Diagnostic) -> Told<'_> {
    let label = |label| ToldLabel { place: Region::of(label), text: &label.text };
    Told {
        code: diagnostic.rule.code(),
        level: diagnostic.level,
        message: &diagnostic.message,
        place: diagnostic.labels.first().map(Region::of).unwrap_or_default(),
        labels: diagnostic.labels.iter().map(label).collect(),
        notes: &diagnostic.notes,
        hint: diagnostic.hint.as_deref(),
    }
}
