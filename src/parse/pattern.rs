//! The patterns of `${V#p}`, `${V%p}`, and `${V/p/w}`: `*`, `?`, and `\`, without brackets.
//!
//! Owns the matching. Such words are rare, so each pattern is compiled to a regular expression when
//! it is used. BuildKit does the same, so a choice among several matches always agrees with
//! BuildKit's.

use std::borrow::Cow;

use regex::Regex;

/// The pattern has an invalid escape or is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadPattern;

/// Returns the value without its shortest (or longest) prefix that matches the pattern.
pub(super) fn cut_prefix<'v>(
    pattern: &str,
    value: &'v str,
    longest: bool,
) -> Result<Cow<'v, str>, BadPattern> {
    let regex = compile(pattern, longest, true)?;
    let end = regex.find(value).map_or(0, |found| found.end());
    Ok(value[end..].into())
}

/// Returns the value without its shortest (or longest) suffix that matches the pattern.
pub(super) fn cut_suffix<'v>(
    pattern: &str,
    value: &'v str,
    longest: bool,
) -> Result<Cow<'v, str>, BadPattern> {
    // A search finds the leftmost match. On the reversed value, that is the suffix to remove.
    let value: String = value.chars().rev().collect();
    let rest = cut_prefix(&reverse_pattern(pattern), &value, longest)?;
    Ok(rest.chars().rev().collect())
}

/// Returns the value with its first match, or all matches, replaced.
pub(super) fn replace<'v>(
    pattern: &str,
    value: &'v str,
    word: &str,
    all: bool,
) -> Result<Cow<'v, str>, BadPattern> {
    let regex = compile(pattern, true, false)?;
    if all {
        // As in BuildKit, `$0` in the word is replaced by the match in this form only.
        return Ok(regex.replace_all(value, word));
    }
    Ok(match regex.find(value) {
        Some(found) => [&value[..found.start()], word, &value[found.end()..]].concat().into(),
        None => value.into(),
    })
}

fn compile(pattern: &str, longest: bool, anchored: bool) -> Result<Regex, BadPattern> {
    let mut regex = String::with_capacity(pattern.len() + 8);
    if anchored {
        regex.push('^');
    }
    // BuildKit's scanner drops a byte-order mark.
    let mut chars = pattern.strip_prefix('\u{feff}').unwrap_or(pattern).chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str(if longest { ".*" } else { ".*?" }),
            '?' => regex.push('.'),
            '\\' => match chars.next_if(|next| !matches!(next, '}' | '/')) {
                Some(escaped @ ('*' | '?' | '\\')) => regex.extend(['\\', escaped]),
                Some(_) => return Err(BadPattern),
                // `\}` and `\/` escape these characters within `${…}`. The next iteration adds the
                // character itself.
                None if chars.peek().is_some() => {}
                None => return Err(BadPattern),
            },
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&regex).map_err(|_| BadPattern)
}

/// Reverses a pattern, keeping each escape before the character that it escapes.
fn reverse_pattern(pattern: &str) -> String {
    let mut items: Vec<&str> = Vec::new();
    let mut chars = pattern.char_indices();
    while let Some((start, c)) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        let end = escaped.map_or(start + c.len_utf8(), |(at, c)| at + c.len_utf8());
        items.push(&pattern[start..end]);
    }
    items.into_iter().rev().collect()
}
