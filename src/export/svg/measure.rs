//! The width of text, and the format of text and numbers in XML.
//!
//! Owns an estimate: the reader's font is not known, so widths are a little too large.

use crate::base::screen::is_unseen;
use unicode_width::UnicodeWidthChar;

/// The font size in boxes.
pub const SIZE: f64 = 13.0;

/// The distance from the middle of a line to its baseline.
pub const BASELINE: f64 = 4.5;

/// The gap between a name and the word after it.
pub const GAP: f64 = 8.0;

/// Returns the width of text in a box.
pub fn width(text: &str) -> f64 {
    text.chars().map(ems).sum::<f64>() * SIZE
}

/// Returns the width of a character in ems, as in the widest of the common fonts.
fn ems(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '/' => 0.32,
        'f' | 't' | 'r' | '-' | '(' | ')' | '[' | ']' => 0.41,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' => 0.74,
        c if c.is_ascii() => 0.6,
        c => match c.width() {
            Some(0) | None => 0.0,
            Some(1) => 0.68,
            Some(_) => 1.05,
        },
    }
}

/// Escapes text for XML elements and attributes. Characters that XML does not permit become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if is_unseen(c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Formats a number with at most one decimal digit.
pub fn number(number: f64) -> String {
    let mut text = format!("{number:.1}");
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    if text == "-0" { text.split_off(1) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_most_one_decimal() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(0.0, "0");
        check(-0.01, "0");
        check(12.0, "12");
        check(12.34, "12.3");
        check(-1.96, "-2");
    }

    #[test]
    fn text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(escape(text), expected);
        check("a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;");
        check("a\u{1b}[31m\u{0}é", "a\u{fffd}[31m\u{fffd}é");
    }

    #[test]
    fn text_width_depends_on_the_characters() {
        assert!(width("mm") > width("nn") && width("nn") > width("ii"));
        assert!(width("基") > width("n"));
        assert!(width("e\u{301}") == width("e"));
    }
}
