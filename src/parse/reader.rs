//! The line that is being read, with the way back to the file and the diagnostics so far.
//!
//! Owns nothing of the language: it is what the readers of instructions pass each other.

use crate::base::{Diagnostic, Rule, Source, Span, Spanned};

use super::lexer::Logical;
use super::words::Place;

/// One logical line and what is known around it.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) line: &'a Logical,
    pub(super) escape: char,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    /// The text of the line.
    pub(super) fn text(&self) -> &'a str {
        &self.line.text
    }

    /// Where a part of the line stands in the file.
    pub(super) fn span(&self, place: Place) -> Span {
        self.line.map.span(place)
    }

    /// A part of the line with its span.
    pub(super) fn spanned(&self, place: Place) -> Spanned<String> {
        Spanned::new(self.text()[place.clone()].to_owned(), self.span(place))
    }

    /// Adds a diagnostic that points at a part of the line.
    pub(super) fn tell(&mut self, diagnostic: Diagnostic, place: Place) {
        let span = self.span(place);
        self.diagnostics.push(diagnostic.at(self.source, span, ""));
    }

    /// Adds a diagnostic that points at a part of the file, and gives nothing.
    pub(super) fn refuse<T>(&mut self, diagnostic: Diagnostic, span: Span) -> Option<T> {
        self.diagnostics.push(diagnostic.at(self.source, span, ""));
        None
    }

    /// Adds a `parse-error` with a hint that points at a part of the line, and gives nothing.
    pub(super) fn fail_with_hint<T>(
        &mut self,
        message: impl Into<String>,
        hint: impl Into<String>,
        place: Place,
    ) -> Option<T> {
        self.refuse(Diagnostic::new(Rule::ParseError, message).hint(hint), self.span(place))
    }

    /// Adds a `parse-error` that points at a part of the line, and gives nothing.
    pub(super) fn fail<T>(&mut self, message: impl Into<String>, place: Place) -> Option<T> {
        self.refuse(Diagnostic::new(Rule::ParseError, message), self.span(place))
    }
}
