//! Text from elsewhere in Markdown, and lists within a size limit.
//!
//! Owns the rule that names, paths, and values are only code: they cannot end a cell, a line, or a code span,
//! start a tag, or mention a user (<https://github.github.com/gfm/>).

use std::borrow::Cow;

use crate::report::clean;

use crate::base::text::count;

/// The maximum width of a text in columns.
const LONGEST: usize = 120;

/// The number of digits shown of a digest.
const DIGITS: usize = 12;

/// Formats text as code, inside or outside of a table.
pub(super) fn code(text: &str) -> String {
    let text = clean::line(text);
    let text = clean::fit(&text, LONGEST);
    if text.trim().is_empty() {
        return "(empty)".into();
    }
    if !text.contains(['`', '|', '\\']) {
        return format!("`{text}`");
    }
    // A backslash in a code span is literal, but a table removes it before `|`. A `<code>` element permits
    // entities.
    let mut escaped = String::new();
    for character in text.chars() {
        match character.is_ascii() && !character.is_ascii_alphanumeric() && character != ' ' {
            true => escaped.push_str(&format!("&#{};", u32::from(character))),
            false => escaped.push(character),
        }
    }
    format!("<code>{escaped}</code>")
}

/// Formats several names. Of a long list, shows the first ones and the number of the others.
pub(super) fn names<S: AsRef<str>>(names: &[S]) -> String {
    super::names_within(names.iter().map(|name| code(name.as_ref())).collect())
}

/// Shortens the digest of a reference.
pub(super) fn short_reference(reference: &str) -> Cow<'_, str> {
    match reference.split_once("@sha256:") {
        Some((name, digest)) if digest.len() > DIGITS && digest.is_ascii() => {
            format!("{name}@sha256:{}…", &digest[..DIGITS]).into()
        }
        _ => reference.into(),
    }
}

/// Joins as many rows as fit into `most` bytes. If rows are left out, adds their number and the command that
/// shows `all`.
pub(super) fn within(rows: &[String], most: usize, noun: &str, all: &str) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        if text.len() + row.len() > most {
            let remaining = count(rows.len() - at, &format!("more {noun}"));
            // An empty line ends a table.
            text.push_str(&format!("\n… and {remaining}. {all} shows all.\n"));
            break;
        }
        text.push_str(row);
    }
    text
}
