//! The context for parsing one line: the line, its source, and the diagnostics so far.
//!
//! Owns no syntax; the modules that parse instructions pass this context to each other.

use crate::base::{Diagnostic, Rule, Source, Span, Spanned};

use super::lexer::LogicalLine;
use super::splitting::ByteRange;

/// One logical line and the context that is needed to parse it.
pub(super) struct LineReader<'a> {
    pub(super) source: &'a Source,
    pub(super) line: &'a LogicalLine,
    pub(super) escape: char,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> LineReader<'a> {
    /// Returns the text of the line.
    pub(super) fn text(&self) -> &'a str {
        &self.line.text
    }

    /// Returns the span in the file of a part of the line.
    pub(super) fn span(&self, range: ByteRange) -> Span {
        self.line.map.span(range)
    }

    /// Returns a part of the line with its span.
    pub(super) fn spanned(&self, range: ByteRange) -> Spanned<String> {
        Spanned::new(self.text()[range.clone()].to_owned(), self.span(range))
    }

    /// Adds a diagnostic that points to a part of the line.
    pub(super) fn report(&mut self, diagnostic: Diagnostic, range: ByteRange) {
        let span = self.span(range);
        self.diagnostics.push(diagnostic.at(self.source, span, ""));
    }

    /// Adds a diagnostic that points to a part of the file, and returns `None`.
    pub(super) fn refuse<T>(&mut self, diagnostic: Diagnostic, span: Span) -> Option<T> {
        self.diagnostics.push(diagnostic.at(self.source, span, ""));
        None
    }

    /// Adds a `parse-error` with a hint that points to a part of the line, and returns `None`.
    pub(super) fn fail_with_hint<T>(
        &mut self,
        message: impl Into<String>,
        hint: impl Into<String>,
        range: ByteRange,
    ) -> Option<T> {
        self.refuse(Diagnostic::new(Rule::ParseError, message).hint(hint), self.span(range))
    }

    /// Adds a `parse-error` that points to a part of the line, and returns `None`.
    pub(super) fn fail<T>(&mut self, message: impl Into<String>, range: ByteRange) -> Option<T> {
        self.refuse(Diagnostic::new(Rule::ParseError, message), self.span(range))
    }
}
