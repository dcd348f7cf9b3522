//! What is wrong with the user's files, as data.
//!
//! Owns the shape of a diagnostic. How it looks is `report/`'s affair, and whether it stops a
//! command is the command's.

use super::{Rule, Source, Span};

/// How much a diagnostic matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing; nothing is refused.
    Warning,
    /// The file can't be used as it is.
    Error,
}

/// A piece of a file that a diagnostic points at.
#[derive(Debug, Clone)]
pub struct Label {
    /// The file.
    pub source: Source,
    /// The bytes that are underlined.
    pub span: Span,
    /// What is said beside the underline; may be empty.
    pub text: String,
}

/// One thing that is wrong in the user's files.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The rule that it is about.
    pub rule: Rule,
    /// How much it matters.
    pub level: Level,
    /// What is wrong: lower-case, no full stop, the user's text in backticks.
    pub message: String,
    /// Where; the first label is the main one. Empty where no file can be shown.
    pub labels: Vec<Label>,
    /// Further facts.
    pub notes: Vec<String>,
    /// One command or edit that helps.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// A diagnostic of a rule, at the rule's level and without a place yet.
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

    /// Adds a place with what is said beside it.
    #[must_use]
    pub fn at(mut self, source: &Source, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { source: source.clone(), span, text: text.into() });
        self
    }

    /// Adds a further fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Diagnostic {
        self.notes.push(note.into());
        self
    }

    /// Sets the one thing that helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}
