//! Labels, entitlements, and the error for an option that is not valid.
//!
//! Owns which names labels can have, and the names of entitlements (BuildKit, `util/entitlements`). What they do is
//! the engine's affair.

use std::fmt;
use std::str::FromStr;

use crate::base::screen::visible;

/// The prefix of the labels that this program sets.
pub const OUR_PREFIX: &str = "dev.layers.";

/// What is wrong with the value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOption {
    /// The error message.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl InvalidOption {
    /// Returns the error with its hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> InvalidOption {
        InvalidOption { message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

impl std::error::Error for InvalidOption {}

/// What `RUN` instructions may do beyond the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entitlement {
    /// Use the network of the engine's machine.
    NetworkHost,
    /// Run without isolation, with all capabilities.
    SecurityInsecure,
}

impl Entitlement {
    /// All entitlements.
    pub const ALL: [Entitlement; 2] = [Entitlement::NetworkHost, Entitlement::SecurityInsecure];
}

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Entitlement::NetworkHost => "network.host",
            Entitlement::SecurityInsecure => "security.insecure",
        })
    }
}

/// A label of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

impl FromStr for Label {
    type Err = InvalidOption;

    /// Parses `NAME=VALUE`. As in `docker build`, a name without a value has an empty one.
    fn from_str(text: &str) -> Result<Label, InvalidOption> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        check_label_name(name)?;
        Ok(Label { name: name.to_owned(), value: value.to_owned() })
    }
}

/// Formats the label as on a command line.
impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// Checks that an image can get a label with this name.
///
/// # Errors
/// Returns an error if the name is empty, or if only this program sets it.
pub fn check_label_name(name: &str) -> Result<(), InvalidOption> {
    if name.is_empty() {
        return Err(InvalidOption::new("the name of the label is missing", "write `NAME=VALUE`"));
    }
    if name.starts_with(OUR_PREFIX) {
        let message = format!("the label `{}` is reserved", visible(name));
        let hint = format!("use a name that does not start with `{OUR_PREFIX}`");
        return Err(InvalidOption::new(message, hint));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_parsed_like_docker_build() {
        let check = |text: &str, expected: Result<(&str, &str), &str>| {
            let read = text.parse::<Label>().map_err(|error| error.message);
            let read = read.as_ref().map(|label| (label.name.as_str(), label.value.as_str()));
            assert_eq!(read.map_err(String::as_str), expected, "{text}");
        };
        check("a.b=c=d", Ok(("a.b", "c=d")));
        check("a=", Ok(("a", "")));
        check("a", Ok(("a", "")));
        check("dev.layers=1", Ok(("dev.layers", "1")));
        check("", Err("the name of the label is missing"));
        check("=x", Err("the name of the label is missing"));
        check("dev.layers.key=1", Err("the label `dev.layers.key` is reserved"));
    }
}
