//! The diagnostics of an evaluation.
//!
//! Owns their messages, rules, and hints. The callers add the position.

use std::borrow::Cow;

use crate::base::{Diagnostic, Rule, text};
use crate::graph::reference::ReferenceError;
use crate::parse::expand::ExpandError;

/// Returns the diagnostic for a word that cannot be expanded.
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
        ExpandError::Required { .. } => (Rule::RequiredVariable, "set it with `--build-arg`"),
        ExpandError::Pattern(_) => {
            (Rule::BadPattern, "only `*`, `?` and `\\` can be escaped in a pattern")
        }
        ExpandError::Limit => (Rule::ExpansionTooLong, "split the value into smaller ones"),
    };
    Diagnostic::new(rule, format!("can't expand `{}`: {error}", shorten(word))).hint(hint)
}

/// Returns the diagnostic for a text that is not a valid image reference.
pub(super) fn reference(error: &ReferenceError, written: &str, expanded: &str) -> Diagnostic {
    let message = format!("`{}` is not a valid image name: {error}", shorten(expanded));
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

/// Returns the diagnostic for a base that is blank after expansion, although no declared argument lacks a value.
/// `missing` are the variables of the FROM that are not set.
pub(super) fn blank_base(written: &str, missing: &[String]) -> Diagnostic {
    let message = format!("the base image `{}` is blank after expansion", shorten(written));
    let problem = Diagnostic::new(Rule::BlankBase, message);
    match missing.first() {
        Some(name) => problem.hint(format!("declare it before the first FROM: `ARG {name}=…`")),
        None => problem.hint("name an image after `FROM`"),
    }
}

/// Returns the diagnostic for `--platform` of a FROM that is not one platform. `missing` are the
/// variables of the FROM that are not set, and `declared` the global arguments.
pub(super) fn platform(
    text: &str,
    written: &str,
    missing: &[&str],
    declared: &[&str],
) -> Diagnostic {
    let what = match text {
        "" => "is empty",
        text if text.contains(',') => "is several platforms, but FROM takes one",
        _ => "is not a valid platform",
    };
    let message = match (written == text, text) {
        (true, "") => format!("the platform {what}"),
        (true, _) => format!("`{}` {what}", shorten(text)),
        (false, "") => format!("the platform `{}` {what}", shorten(written)),
        (false, _) => {
            format!("`{}` expands to `{}`, which {what}", shorten(written), shorten(text))
        }
    };
    let problem = Diagnostic::new(Rule::InvalidPlatform, message);
    let used = missing.iter().find(|name| {
        written.contains(&format!("${name}")) || written.contains(&format!("{{{name}"))
    });
    let Some(name) = used else {
        return problem.hint("use one such as `linux/arm64`");
    };
    // The variable may be only a part of the platform.
    let is_whole = written.trim_matches(['$', '{', '}']) == *name;
    let value = if is_whole { "linux/arm64" } else { "…" };
    if declared.contains(name) {
        return problem.note(format!("`{name}` has no value")).hint(format!(
            "pass `--build-arg {name}={value}`, or declare it with a default: `ARG {name}={value}`"
        ));
    }
    let problem = with_missing(problem, &[(*name).to_owned()]);
    let known = declared.iter().copied().chain(["BUILDPLATFORM", "TARGETPLATFORM"]);
    match text::closest(name, known) {
        Some(near) => problem.hint(format!("did you mean `${near}`?")),
        None => problem.hint(format!("declare it before the first FROM: `ARG {name}={value}`")),
    }
}

/// Adds a note about the variables of a FROM that are not set, if there are any.
pub(super) fn with_missing(diagnostic: Diagnostic, missing: &[String]) -> Diagnostic {
    if missing.is_empty() {
        return diagnostic;
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let names = text::list(missing);
    diagnostic.note(format!(
        "{names} {verb} not set; FROM can only use ARGs that are declared before the first FROM"
    ))
}

/// Returns the diagnostic for a `--from` with quotes or a variable.
pub(super) fn variable_in_from(written: &str) -> Diagnostic {
    let message = format!("variables are not supported in `--from={}`", shorten(written));
    Diagnostic::new(Rule::VariableInFrom, message)
        .hint("define a stage with `FROM` and a global ARG, and name that stage here")
}

/// Returns the diagnostic for a stage index that does not exist.
pub(super) fn stage_index(written: &str, stages: usize) -> Diagnostic {
    let message = format!("invalid stage index `{written}`");
    let count = text::count(stages, "stage");
    Diagnostic::new(Rule::StageIndex, message)
        .note(format!("the file has {count}; the first index is 0"))
}

/// Returns the diagnostic for a `--from` that names a later stage.
pub(super) fn later_stage(written: &str) -> Diagnostic {
    let message = format!("stage `{written}` is defined later in the file");
    Diagnostic::new(Rule::LaterStage, message).hint("move that stage before this one")
}

/// Returns the diagnostic for a target that is not the name of a stage.
pub(super) fn target<'a>(name: &str, stages: impl Iterator<Item = &'a str>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Rule::UnknownTarget, format!("target stage `{name}` not found"));
    let stages: Vec<&str> = stages.collect();
    match text::closest(&name.to_lowercase(), stages.iter().copied()) {
        Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
        None if stages.is_empty() => diagnostic.note("no stage has a name"),
        None => diagnostic.note(format!("the named stages are {}", text::list(stages))),
    }
}

/// Truncates a long text.
fn shorten(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 200;
    if text.chars().count() <= LONGEST {
        return text.into();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
