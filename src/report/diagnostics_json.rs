//! Diagnostics as a JSON array.
//!
//! Owns the format, which `docs/rules/README.md` describes. Fields can be added but are not changed or
//! removed.

use serde::Serialize;

use crate::base::{Diagnostic, Label, Level, Location, RelPath, Span};

use super::clean;
use super::diagnostics::sort;

#[derive(Serialize)]
struct DiagnosticJson<'a> {
    code: &'a str,
    level: Level,
    message: &'a str,
    #[serde(flatten)]
    region: RegionJson<'a>,
    labels: Vec<LabelJson<'a>>,
    notes: &'a [String],
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct LabelJson<'a> {
    #[serde(flatten)]
    region: RegionJson<'a>,
    text: &'a str,
}

/// A part of a file in lines and columns, both from 1. The end is one past the last character. All fields are
/// `None` for a diagnostic without a label.
#[derive(Serialize, Default)]
pub(super) struct RegionJson<'a> {
    pub(super) file: Option<&'a RelPath>,
    pub(super) line: Option<u32>,
    pub(super) column: Option<u32>,
    pub(super) end_line: Option<u32>,
    pub(super) end_column: Option<u32>,
}

impl<'a> RegionJson<'a> {
    pub(super) fn of(label: &'a Label) -> RegionJson<'a> {
        let Location { line, column, .. } = label.source.location(label.span);
        let end = Span { start: label.span.end, end: label.span.end };
        let Location { line: end_line, column: end_column, .. } = label.source.location(end);
        RegionJson {
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
    let list: Vec<DiagnosticJson<'_>> = sort(diagnostics).into_iter().map(report).collect();
    clean::json(&list)
}

fn report(diagnostic: &Diagnostic) -> DiagnosticJson<'_> {
    let label = |label| LabelJson { region: RegionJson::of(label), text: &label.text };
    DiagnosticJson {
        code: diagnostic.rule.code(),
        level: diagnostic.level,
        message: &diagnostic.message,
        region: diagnostic.labels.first().map(RegionJson::of).unwrap_or_default(),
        labels: diagnostic.labels.iter().map(label).collect(),
        notes: &diagnostic.notes,
        hint: diagnostic.hint.as_deref(),
    }
}
