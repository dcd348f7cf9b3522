//! Diagnostics: problems in the user's files, as data.
//!
//! Owns the structure of a diagnostic. `report` renders it, and the command decides whether it stops.

use super::{Rule, Source, Span};

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The file is accepted; the problem is worth knowing about.
    Warning,
    /// The file cannot be used as it is.
    Error,
}

/// A part of a file that a diagnostic points to.
#[derive(Debug, Clone)]
pub struct Label {
    /// The file.
    pub source: Source,
    /// The underlined bytes.
    pub span: Span,
    /// The text next to the underline. Can be empty.
    pub text: String,
}

/// A problem in the user's files.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The rule that the file violates.
    pub rule: Rule,
    /// The severity.
    pub level: Level,
    /// What is wrong: lowercase, without a final period, with the user's text in backquotes.
    pub message: String,
    /// The parts of files to show, the main one first. Empty if there is no file to show.
    pub labels: Vec<Label>,
    /// Additional facts.
    pub notes: Vec<String>,
    /// One command or edit that helps.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Creates a diagnostic at the rule's level, with no labels yet.
    pub fn new(rule: Rule, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            rule,
            level: rule.level(),
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            hint: None,
        }
    }

    /// Adds a label: a part of a file and the text next to it.
    #[must_use]
    pub fn at(mut self, source: &Source, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { source: source.clone(), span, text: text.into() });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the diagnostic is an error.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}
