//! Text with parts that are unknown until the build.
//!
//! Owns the representation: a noncharacter, which no text contains, is in the place of each unknown part. So texts are
//! split, joined, and trimmed as usual.

use std::fmt;

/// The character in the place of an unknown part. A file that contains it all the same has an unknown part there.
pub(super) const UNKNOWN: char = '\u{FDD0}';

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
