//! The flags of an instruction against those that it has.
//!
//! Owns the check of names, repetition and values. What a value means is for `instruction`.

use crate::base::{Diagnostic, Rule, Spanned, text};

use super::reader::Reader;
use super::words::Flag;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, `true` or `false`.
    Switch,
    /// One value.
    Value,
    /// A value each time it is given.
    Values,
}

/// The flags that were given, in the order written.
#[derive(Default)]
pub(super) struct Given {
    values: Vec<(&'static str, Spanned<String>)>,
}

impl Given {
    /// The value of a flag that takes one; nothing where it is not given or empty.
    pub(super) fn value(&self, name: &str) -> Option<Spanned<String>> {
        self.values(name).into_iter().next().filter(|value| !value.value.is_empty())
    }

    /// The values of a flag that may be given several times.
    pub(super) fn values(&self, name: &str) -> Vec<Spanned<String>> {
        let of_name = self.values.iter().filter(|(given, _)| *given == name);
        of_name.map(|(_, value)| value.clone()).collect()
    }

    /// Whether a switch is on; nothing where it is not given.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        let (_, value) = self.values.iter().find(|(given, _)| *given == name)?;
        Some(!value.value.eq_ignore_ascii_case("false"))
    }
}

/// What stands before the first `=`, and what follows it, where there is one.
pub(super) fn split_value(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

/// Whether Go's `strconv.ParseBool` reads a text.
pub fn is_switch(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"]
        .contains(&text)
}

/// Checks the flags of an instruction. Nothing where one is wrong; diagnostics say what.
pub(super) fn check(
    reader: &mut Reader<'_>,
    flags: &[Flag],
    known: &[(&'static str, Takes)],
) -> Option<Given> {
    let mut given = Given::default();
    let mut is_right = true;
    for flag in flags {
        match check_one(reader, flag, known, &given) {
            Ok(value) => given.values.push(value),
            Err(diagnostic) => {
                is_right = false;
                reader.tell(diagnostic, flag.place.clone());
            }
        }
    }
    is_right.then_some(given)
}

fn check_one(
    reader: &Reader<'_>,
    flag: &Flag,
    known: &[(&'static str, Takes)],
    given: &Given,
) -> Result<(&'static str, Spanned<String>), Diagnostic> {
    let (name, value) = split_value(&flag.text);
    let bare = name.strip_prefix("--").unwrap_or(name);
    let Some(&(bare, takes)) = known.iter().find(|(known, _)| *known == bare) else {
        let message = format!("unknown flag `{name}`");
        let diagnostic = Diagnostic::new(Rule::UnknownFlag, message);
        return Err(match text::closest(bare, known.iter().map(|(name, _)| *name)) {
            Some(near) => diagnostic.hint(format!("write `--{near}`")),
            None => diagnostic,
        });
    };
    if takes != Takes::Values && given.values.iter().any(|(given, _)| *given == bare) {
        let message = format!("the flag `{name}` is given twice");
        return Err(Diagnostic::new(Rule::DuplicateFlag, message).hint("remove one of them"));
    }
    let missing = || {
        let message = format!("the flag `{name}` has no value");
        Diagnostic::new(Rule::FlagWithoutValue, message).hint(format!("write `{name}=…`"))
    };
    match (takes, value) {
        (Takes::Switch, None) => {}
        (Takes::Switch, Some("")) | (_, None) => return Err(missing()),
        (Takes::Switch, Some(value)) => {
            if !["true", "false"].iter().any(|word| value.eq_ignore_ascii_case(word)) {
                let message = format!("the flag `{name}` is `true` or `false`, not `{value}`");
                return Err(Diagnostic::new(Rule::InvalidFlag, message));
            }
        }
        (_, Some(_)) => {}
    }
    let start = flag.text.len() - value.unwrap_or_default().len();
    let span = reader.span(flag.place_of(start..flag.text.len()));
    Ok((bare, Spanned::new(value.unwrap_or_default().to_owned(), span)))
}
