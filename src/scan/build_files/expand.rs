//! Variables in texts: `$X`, `${X}`, `${X:-default}`, and their variants.
//!
//! Owns the syntax that Compose files and shells share (Compose's interpolation, POSIX parameter expansion), and that
//! of make. A variable without a value or a default is unknown.

use super::partial::{PartialText, UNKNOWN};

/// How deeply defaults are nested at most, as in `${A:-${B}}`.
const MAX_DEPTH: usize = 16;

/// The length of the longest text that results from an expansion.
const MAX_LENGTH: usize = 1 << 16;

/// The values of variables. `None` is a variable that the file does not set.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<PartialText>;

/// Expands the variables of a text. `$$` is a dollar sign.
pub(super) fn expand(text: &str, lookup: Lookup<'_>) -> PartialText {
    let mut expanded = String::new();
    expand_into(&mut expanded, text, lookup, 0);
    expanded.into()
}

fn expand_into(out: &mut String, text: &str, lookup: Lookup<'_>, depth: usize) {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if out.len() > MAX_LENGTH {
            out.push(UNKNOWN);
            return;
        }
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let Some(end) = closing_brace(inside) else { return out.push(UNKNOWN) };
            expand_braced(out, &inside[..end], lookup, depth);
            rest = &inside[end + 1..];
        } else {
            let name = name_at_start(after);
            match name {
                "" => out.push('$'),
                name => push_value(out, lookup(name)),
            }
            rest = &after[name.len()..];
        }
    }
    out.push_str(rest);
}

fn push_value(out: &mut String, value: Option<PartialText>) {
    out.push_str(value.unwrap_or_else(PartialText::unknown).as_marked());
}

/// Expands what is between the braces: a name, and what is in its place if it has no value.
fn expand_braced(out: &mut String, inside: &str, lookup: Lookup<'_>, depth: usize) {
    let name = name_at_start(inside);
    let value = lookup(name);
    let operation = &inside[name.len()..];
    let is_empty = value.as_ref().is_some_and(|value| value.as_marked().is_empty());
    let (operator, word) = match operation.strip_prefix(':') {
        Some(operation) => (operation.chars().next(), operation.get(1..)),
        None => (operation.chars().next(), operation.get(1..)),
    };
    let word = word.unwrap_or_default();
    let is_set = value.is_some() && !(is_empty && operation.starts_with(':'));
    match operator {
        _ if name.is_empty() || depth > MAX_DEPTH => out.push(UNKNOWN),
        None | Some('?') => push_value(out, value),
        Some('-' | '=') if is_set => push_value(out, value),
        Some('+') if is_set => expand_into(out, word, lookup, depth + 1),
        Some('-' | '=') => expand_into(out, word, lookup, depth + 1),
        Some(_) => out.push(UNKNOWN),
    }
}

/// Returns the variable name at the start of a text, or an empty text.
pub(super) fn name_at_start(text: &str) -> &str {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

/// Returns the position of the brace that closes the one before the text.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let lookup = |name: &str| match name {
            "X" => Some("x".into()),
            "E" => Some("".into()),
            _ => None,
        };
        assert_eq!(expand(text, &lookup).to_string(), expected);
    }

    #[test]
    fn variables_are_expanded() {
        check("a", "a");
        check("$X-${X}", "x-x");
        check("$$X $", "$X $");
        check("${N:-d}${N-d}${E:-d}${E-d}", "ddd");
        check("${N:-${M:-deep}}!", "deep!");
        check("${X:+set}${X:?needed}", "setx");
        check("a/$N:${M}", "a/…:…");
        check("${X", "…");
        check("${X/a/b} ${N:+a}", "… …");
        check("$1", "$1");
    }
}
