//! The wording of what an evaluation finds wrong.
//!
//! Owns sentences, rules and hints; who calls says where.

use std::borrow::Cow;

use crate::base::{Diagnostic, Rule, text};
use crate::graph::reference::ReferenceError;
use crate::parse::expand::ExpandError;

/// A word can't be expanded.
pub(super) fn expansion(error: &ExpandError, word: &str) -> Diagnostic {
    let (rule, hint) = match error {
        ExpandError::Unclosed(_) => (Rule::UnclosedQuote, "close the quote, or escape it"),
        ExpandError::MissingBrace | ExpandError::MissingSlash | ExpandError::BadSubstitution => {
            (Rule::BadSubstitution, "write `${NAME}`, or `\\$` for a dollar sign")
        }
        ExpandError::Modifier(_) => (
            Rule::UnsupportedModifier,
            "only `:-`, `-`, `:+`, `+`, `:?`, `?`, `#`, `##`, `%`, `%%`, `/` and `//` may follow \
             the name",
        ),
        ExpandError::Required { .. } => {
            (Rule::RequiredVariable, "give it a value with `--build-arg`")
        }
        ExpandError::Pattern(_) => {
            (Rule::BadPattern, "only `*`, `?` and `\\` can be escaped in a pattern")
        }
        ExpandError::Limit => (Rule::ExpansionTooLong, "break the value into smaller ones"),
    };
    Diagnostic::new(rule, format!("can't expand `{}`: {error}", shorten(word))).hint(hint)
}

/// A text that should name an image does not.
pub(super) fn reference(error: &ReferenceError, written: &str, expanded: &str) -> Diagnostic {
    let message = format!("`{}` names no image: {error}", shorten(expanded));
    let mut diagnostic = Diagnostic::new(Rule::InvalidReference, message);
    if written != expanded {
        diagnostic = diagnostic.note(format!("written as `{}`", shorten(written)));
    }
    match error {
        ReferenceError::UpperCase(_) => {
            diagnostic.hint(format!("write `{}`", shorten(&expanded.to_lowercase())))
        }
        _ => diagnostic,
    }
}

/// A FROM that comes to nothing.
pub(super) fn blank_base(written: &str) -> Diagnostic {
    let message = format!("the base `{}` is blank after expansion", shorten(written));
    Diagnostic::new(Rule::BlankBase, message)
        .hint("declare the ARG before the first FROM with a default, or pass `--build-arg`")
}

/// Says which variables of a FROM are not set, where some are not.
pub(super) fn with_missing(diagnostic: Diagnostic, missing: &[String]) -> Diagnostic {
    if missing.is_empty() {
        return diagnostic;
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let names = text::list(missing);
    diagnostic
        .note(format!("{names} {verb} not set; FROM sees the ARGs before the first FROM only"))
}

/// A `--from` with quotes or a variable.
pub(super) fn variable_in_from(written: &str) -> Diagnostic {
    let message = format!("variables are not replaced in `--from={}`", shorten(written));
    Diagnostic::new(Rule::VariableInFrom, message)
        .hint("name a stage there, and give that stage `FROM` with a global ARG")
}

/// A stage number that no stage has.
pub(super) fn stage_index(written: &str, stages: usize) -> Diagnostic {
    let message = format!("there is no stage with the index `{written}`");
    let count = text::count(stages, "stage");
    Diagnostic::new(Rule::StageIndex, message).note(format!("the file has {count}, from 0 on"))
}

/// A `--from` that names a stage further below.
pub(super) fn later_stage(written: &str) -> Diagnostic {
    let message = format!("the stage `{written}` is only defined further below");
    Diagnostic::new(Rule::LaterStage, message).hint("move that stage up")
}

/// A target that no stage is called.
pub(super) fn target<'a>(name: &str, stages: impl Iterator<Item = &'a str>) -> Diagnostic {
    let diagnostic = Diagnostic::new(Rule::UnknownTarget, format!("there is no stage `{name}`"));
    let stages: Vec<&str> = stages.collect();
    match text::closest(&name.to_lowercase(), stages.iter().copied()) {
        Some(near) => diagnostic.hint(format!("use the target `{near}`")),
        None if stages.is_empty() => diagnostic.note("no stage has a name"),
        None => diagnostic.note(format!("the stages are {}", text::list(stages))),
    }
}

/// What is shown of a text that may be long.
fn shorten(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 200;
    if text.chars().count() <= LONGEST {
        return text.into();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
