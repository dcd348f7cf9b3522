//! Text that others wrote, in Markdown; and lists that fit a size.
//!
//! Owns the rule that a name, a path or a value is code and nothing else: it ends no cell, no line and no
//! span, opens no tag, and calls nobody (<https://github.github.com/gfm/>).

use std::borrow::Cow;

use crate::report::clean;

use crate::base::text::count;

/// More columns than this no single text takes.
const LONGEST: usize = 120;

/// How many digits of a digest are shown.
const DIGITS: usize = 12;

/// A text as code, in a table or out of it.
pub(super) fn code(text: &str) -> String {
    let text = clean::line(text);
    let text = clean::fit(&text, LONGEST);
    if text.trim().is_empty() {
        return "(nothing)".into();
    }
    if !text.contains(['`', '|', '\\']) {
        return format!("`{text}`");
    }
    // In a code span a backslash is one, and before `|` a table takes it away; in a tag there are entities.
    let mut escaped = String::new();
    for character in text.chars() {
        match character.is_ascii() && !character.is_ascii_alphanumeric() && character != ' ' {
            true => escaped.push_str(&format!("&#{};", u32::from(character))),
            false => escaped.push(character),
        }
    }
    format!("<code>{escaped}</code>")
}

/// Several names; of many the first, and how many more.
pub(super) fn names<S: AsRef<str>>(names: &[S]) -> String {
    super::names_within(names.iter().map(|name| code(name.as_ref())).collect())
}

/// A reference whose digest is cut.
pub(super) fn short_reference(reference: &str) -> Cow<'_, str> {
    match reference.split_once("@sha256:") {
        Some((name, digest)) if digest.len() > DIGITS && digest.is_ascii() => {
            format!("{name}@sha256:{}…", &digest[..DIGITS]).into()
        }
        _ => reference.into(),
    }
}

/// Rows, as many as fit `most` bytes; where some do not, how many, and the command that shows `all`.
pub(super) fn within(rows: &[String], most: usize, noun: &str, all: &str) -> String {
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        if text.len() + row.len() > most {
            let left = count(rows.len() - at, &format!("more {noun}"));
            // A table ends at the empty line.
            text.push_str(&format!("\n… and {left}: {all} has all.\n"));
            break;
        }
        text.push_str(row);
    }
    text
}
