//! Text with parts that are unknown until the build.
//!
//! Owns the representation: a noncharacter, which no text contains, is in the place of each unknown part. So texts are
//! split, joined, and trimmed as usual.

use std::fmt;

/// The character in the place of an unknown part. A file that contains it all the same has an unknown part there.
pub(super) const UNKNOWN: char = '\u{FDD0}';

/// The character as a text.
pub(super) const UNKNOWN_TEXT: &str = "\u{FDD0}";

/// A text whose parts are known or unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartialText(String);

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextPart<'a> {
    /// Known text, not empty.
    Known(&'a str),
    /// Text of unknown length, which can be empty.
    Unknown,
}

impl PartialText {
    /// Returns a text without any known part.
    pub fn unknown() -> PartialText {
        PartialText(UNKNOWN.to_string())
    }

    /// Returns the text, or `None` if a part is unknown.
    pub fn as_known(&self) -> Option<&str> {
        (!self.0.contains(UNKNOWN)).then_some(&self.0)
    }

    /// Returns the parts in order. No two adjacent parts are of the same kind.
    pub fn parts(&self) -> Vec<TextPart<'_>> {
        let mut parts = Vec::new();
        for (index, text) in self.0.split(UNKNOWN).enumerate() {
            if index > 0 && parts.last() != Some(&TextPart::Unknown) {
                parts.push(TextPart::Unknown);
            }
            if !text.is_empty() {
                parts.push(TextPart::Known(text));
            }
        }
        parts
    }

    /// Returns whether a text could be this one.
    pub fn matches(&self, text: &str) -> bool {
        let known: Vec<&str> = self.0.split(UNKNOWN).collect();
        let [first, middle @ .., last] = known.as_slice() else { return self.0 == text };
        let Some(rest) = text.strip_prefix(first) else { return false };
        let Some(mut rest) = rest.strip_suffix(last) else { return false };
        for part in middle {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }

    /// Splits the name of an image into its repository and its tag.
    pub fn split_tag(&self) -> (PartialText, Option<PartialText>) {
        match self.0.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => {
                (PartialText(repository.to_owned()), Some(PartialText(tag.to_owned())))
            }
            _ => (self.clone(), None),
        }
    }

    /// Returns the part after the last known `/`.
    pub fn last_component(&self) -> PartialText {
        PartialText(self.0.rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// Returns whether the text ends with a known letter or digit.
    pub fn has_known_end(&self) -> bool {
        self.0.ends_with(char::is_alphanumeric)
    }

    /// Returns the text with a noncharacter in the place of each unknown part.
    pub(super) fn as_marked(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for PartialText {
    fn from(text: T) -> PartialText {
        PartialText(text.into())
    }
}

/// Shows unknown parts as `…`.
impl fmt::Display for PartialText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.parts();
        parts.iter().try_for_each(|part| match part {
            TextPart::Known(text) => f.write_str(text),
            TextPart::Unknown => f.write_str("…"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> PartialText {
        text.replace('?', &UNKNOWN.to_string()).into()
    }

    #[test]
    fn unknown_parts_match_any_text() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(text(pattern).matches(name), expected, "{pattern} {name}");
        };
        check("acme/base", "acme/base", true);
        check("?/base", "ghcr.io/acme/base", true);
        check("?/base", "base", false);
        check("acme/?-?", "acme/x-y", true);
        check("acme/?-?", "acme/x", false);
        check("?", "", true);
        check("aa?", "a", false);
        check("aa?aa", "aaa", false);
    }

    #[test]
    fn names_are_split_into_repository_and_tag() {
        let check = |name: &str, expected: &str| {
            let (repository, tag) = text(name).split_tag();
            let tag = tag.map(|it| it.to_string()).unwrap_or_default();
            assert_eq!(format!("{repository} {tag} {}", repository.last_component()), expected);
        };
        check("acme/base:1", "acme/base 1 base");
        check("localhost:5000/base", "localhost:5000/base  base");
        check("?/base:?-x", "…/base …-x base");
        check("acme/base:1-?", "acme/base 1-… base");
        check("?", "…  …");
    }
}
