//! The common parts of all generated YAML: indented lines, keys, and lists.
//!
//! Owns the syntax, not the content. `recipe::quoted` quotes values.

use std::borrow::Cow;

use super::recipe::quoted;

/// Adds a line, indented by two spaces per level.
pub(super) fn line(text: &mut String, depth: usize, content: &str) {
    text.push_str(&format!("{:indent$}{content}\n", "", indent = 2 * depth));
}

/// Adds a key with a list of values, one per line. Adds nothing if there are no values.
pub(super) fn list<S: AsRef<str>>(
    text: &mut String,
    depth: usize,
    name: &str,
    values: impl IntoIterator<Item = S>,
) {
    let mut values = values.into_iter().peekable();
    if values.peek().is_some() {
        line(text, depth, &format!("{name}:"));
    }
    values.for_each(|it| line(text, depth + 1, &format!("- {}", it.as_ref())));
}

/// Formats a key, without quotes if it can only be parsed as text.
pub(super) fn key(text: &str) -> Cow<'_, str> {
    const OTHERWISE: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.'))
        && !OTHERWISE.contains(&text.to_lowercase().as_str());
    if is_bare { text.into() } else { quoted(text).into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unambiguous_keys_are_not_quoted() {
        let check = |text: &str, expected: &str| assert_eq!(key(text), expected);
        check("base", "base");
        check("acme/shop-base", "acme/shop-base");
        check("acme/shop-base:1", "\"acme/shop-base:1\"");
        check("no", "\"no\"");
        check("1.5", "\"1.5\"");
        check("", "\"\"");
    }
}
