//! Validation of an instruction's flags.
//!
//! Owns the checks of names, repetition, and values. `instruction` interprets the values.

use crate::base::{Diagnostic, Rule, Spanned, text};

use super::reader::LineReader;
use super::splitting::Flag;

/// The kind of value that a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagValueKind {
    /// No value, `true`, or `false`.
    Switch,
    /// One value.
    Value,
    /// One value per occurrence; the flag can be repeated.
    Values,
}

/// The flags of an instruction in source order.
#[derive(Default)]
pub(super) struct FlagValues {
    values: Vec<(&'static str, Spanned<String>)>,
}

impl FlagValues {
    /// Returns the value of a flag that takes one, or `None` if the flag is missing or its value is
    /// empty.
    pub(super) fn value(&self, name: &str) -> Option<Spanned<String>> {
        self.values(name).into_iter().next().filter(|value| !value.value.is_empty())
    }

    /// Returns the values of a flag that can be repeated.
    pub(super) fn values(&self, name: &str) -> Vec<Spanned<String>> {
        let of_name = self.values.iter().filter(|(it, _)| *it == name);
        of_name.map(|(_, value)| value.clone()).collect()
    }

    /// Returns whether a switch is on, or `None` if it is missing.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        let (_, value) = self.values.iter().find(|(it, _)| *it == name)?;
        Some(!value.value.eq_ignore_ascii_case("false"))
    }
}

/// Splits a text at the first `=` into a name and, if there is a `=`, a value.
pub(super) fn split_value(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

/// Returns whether Go's `strconv.ParseBool` accepts a text.
pub fn is_switch(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"]
        .contains(&text)
}

/// Checks the flags of an instruction. Returns `None` after reporting diagnostics if any flag is
/// invalid.
pub(super) fn check(
    reader: &mut LineReader<'_>,
    flags: &[Flag],
    kinds: &[(&'static str, FlagValueKind)],
) -> Option<FlagValues> {
    let mut flag_values = FlagValues::default();
    let mut is_right = true;
    for flag in flags {
        match check_one(reader, flag, kinds, &flag_values) {
            Ok(value) => flag_values.values.push(value),
            Err(diagnostic) => {
                is_right = false;
                reader.report(diagnostic, flag.range.clone());
            }
        }
    }
    is_right.then_some(flag_values)
}

fn check_one(
    reader: &LineReader<'_>,
    flag: &Flag,
    kinds: &[(&'static str, FlagValueKind)],
    flag_values: &FlagValues,
) -> Result<(&'static str, Spanned<String>), Diagnostic> {
    let (name, value) = split_value(&flag.text);
    let bare = name.strip_prefix("--").unwrap_or(name);
    let Some(&(bare, takes)) = kinds.iter().find(|(it, _)| *it == bare) else {
        let message = format!("unknown flag `{name}`");
        let diagnostic = Diagnostic::new(Rule::UnknownFlag, message);
        return Err(match text::closest(bare, kinds.iter().map(|(name, _)| *name)) {
            Some(near) => diagnostic.hint(format!("write `--{near}`")),
            None => diagnostic,
        });
    };
    if takes != FlagValueKind::Values && flag_values.values.iter().any(|(it, _)| *it == bare) {
        let message = format!("duplicate flag `{name}`");
        return Err(Diagnostic::new(Rule::DuplicateFlag, message).hint("remove one of them"));
    }
    let missing = || {
        let message = format!("missing a value for flag `{name}`");
        Diagnostic::new(Rule::FlagWithoutValue, message).hint(format!("write `{name}=…`"))
    };
    match (takes, value) {
        (FlagValueKind::Switch, None) => {}
        (FlagValueKind::Switch, Some("")) | (_, None) => return Err(missing()),
        (FlagValueKind::Switch, Some(value)) => {
            if !["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)) {
                let message = format!("flag `{name}` must be `true` or `false`, not `{value}`");
                return Err(Diagnostic::new(Rule::InvalidFlag, message));
            }
        }
        (_, Some(_)) => {}
    }
    let start = flag.text.len() - value.unwrap_or_default().len();
    let span = reader.span(flag.range_of(start..flag.text.len()));
    Ok((bare, Spanned::new(value.unwrap_or_default().to_owned(), span)))
}
