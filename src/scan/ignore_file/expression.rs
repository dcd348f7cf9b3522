//! Translation of the regular expressions that Docker makes of patterns from Go's syntax to that of
//! the `regex` crate.
//!
//! Owns the differences between the two: classes (Go has no `&&`, `~~`, and nested `[`), escapes
//! (Go's are ASCII), and braces (in Go, they are literal unless they contain a count). It knows
//! nothing about paths.

use std::str::Chars;

use super::Problem;

/// Translates an expression to the syntax of the `regex` crate, in which classes and escapes
/// differ.
///
/// Supports only those operators of Go that `pattern` writes.
pub(super) fn rust_regex(go: &str) -> Result<String, Problem> {
    let mut rust = String::with_capacity(go.len() + 16);
    let mut chars = go.chars();
    let mut before = PrecedingItem::Nothing;
    while let Some(c) = chars.next() {
        if let Some(count) = repetition(c, chars.as_str())? {
            match before {
                PrecedingItem::Nothing => {
                    return Err(format!("`{{{count}` has nothing to repeat").into());
                }
                PrecedingItem::Repetition => {
                    return Err(format!("`{{{count}` follows another repetition").into());
                }
                PrecedingItem::Item => {}
            }
            rust.extend(["{", count]);
            chars = chars.as_str()[count.len()..].chars();
            before = PrecedingItem::Repetition;
            continue;
        }
        before = match c {
            '(' | '|' => PrecedingItem::Nothing,
            '*' | '?' => PrecedingItem::Repetition,
            _ => PrecedingItem::Item,
        };
        match c {
            '\\' => match escape(&mut chars)? {
                Escape::Literal(c) => push_literal(&mut rust, c),
                Escape::Class(class) => rust.extend(["[", class, "]"]),
                Escape::Assertion(assertion) => rust.push_str(assertion),
            },
            '[' => class(&mut chars, &mut rust)?,
            '.' | '(' | ')' | '*' | '?' | '^' | '$' | '|' => rust.push(c),
            c => push_literal(&mut rust, c),
        }
    }
    Ok(rust)
}

/// The item before a position at which a repetition can occur.
enum PrecedingItem {
    Nothing,
    Item,
    Repetition,
}

/// Returns the `2}`, `2,}`, or `2,5}` after a `{`, or `None` if the brace is literal.
fn repetition(c: char, rest: &str) -> Result<Option<&str>, Problem> {
    const MOST: u32 = 1000;
    let Some(end) = rest.find('}').filter(|_| c == '{') else { return Ok(None) };
    let count = &rest[..end];
    let (low, high) = count.split_once(',').map_or((count, None), |(low, high)| (low, Some(high)));
    let is_number = |text: &str| {
        let is_long = text.len() > 1;
        text.bytes().all(|b| b.is_ascii_digit()) && !(is_long && text.starts_with('0'))
    };
    if low.is_empty() || !is_number(low) || !high.is_none_or(is_number) {
        return Ok(None);
    }
    let too_many = || format!("`{{{}` is not a valid repeat count", &rest[..=end]).into();
    let low: u32 = low.parse().map_err(|_| too_many())?;
    let high = match high {
        None | Some("") => low,
        Some(high) => high.parse().map_err(|_| too_many())?,
    };
    if low > MOST || high > MOST || high < low {
        return Err(too_many());
    }
    Ok(Some(&rest[..=end]))
}

fn push_literal(rust: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || c == '/' || !c.is_ascii() {
        rust.push(c);
    } else {
        rust.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
    }
}

enum Escape {
    Literal(char),
    /// The contents of a class.
    Class(&'static str),
    Assertion(&'static str),
}

/// Returns the meaning of a backslash and the next character in Go's regexp package.
fn escape(chars: &mut Chars<'_>) -> Result<Escape, Problem> {
    let c = chars.next().ok_or("trailing `\\`")?;
    Ok(match c {
        'a' => Escape::Literal('\x07'),
        'f' => Escape::Literal('\x0c'),
        'n' => Escape::Literal('\n'),
        'r' => Escape::Literal('\r'),
        't' => Escape::Literal('\t'),
        'v' => Escape::Literal('\x0b'),
        'd' => Escape::Class("0-9"),
        'D' => Escape::Class("^0-9"),
        's' => Escape::Class("\\t\\n\\f\\r\\x20"),
        'S' => Escape::Class("^\\t\\n\\f\\r\\x20"),
        'w' => Escape::Class("0-9A-Za-z_"),
        'W' => Escape::Class("^0-9A-Za-z_"),
        'A' => Escape::Assertion("\\A"),
        'z' => Escape::Assertion("\\z"),
        'b' => Escape::Assertion("(?-u:\\b)"),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Escape::Literal(c),
        // Go rejects most of these too. The others (`\x41`, `\Q`, `\pL`, …) are certainly mistakes.
        c => return Err(format!("`\\{c}` is not a valid escape; write `{c}` or `/{c}`").into()),
    })
}

const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Translates a class after its `[`, by the rules of Go's regexp package.
fn class(chars: &mut Chars<'_>, rust: &mut String) -> Result<(), Problem> {
    let open = "unclosed `[`";
    rust.push('[');
    if chars.as_str().starts_with('^') {
        chars.next();
        rust.push('^');
    }
    let mut first = true;
    while first || !chars.as_str().starts_with(']') {
        first = false;
        if let Some(named) = named_class(chars.as_str())? {
            rust.push_str(named);
            *chars = chars.as_str()[named.len()..].chars();
            continue;
        }
        let low = match class_item(chars)?.ok_or(open)? {
            Escape::Literal(c) => c,
            Escape::Class(class) => {
                rust.extend(["[", class, "]"]);
                continue;
            }
            Escape::Assertion(_) => return Err("assertions are not allowed in a `[` class".into()),
        };
        let rest = chars.as_str();
        let high = if rest.starts_with('-') && !rest.starts_with("-]") && rest.len() > 1 {
            chars.next();
            match class_item(chars)?.ok_or(open)? {
                Escape::Literal(c) => c,
                _ => return Err("a range in the `[` class has no end".into()),
            }
        } else {
            low
        };
        if high < low {
            return Err(format!("the range `{low}-{high}` is empty").into());
        }
        rust.push_str(&format!("\\x{{{:X}}}-\\x{{{:X}}}", u32::from(low), u32::from(high)));
    }
    chars.next();
    rust.push(']');
    Ok(())
}

/// Reads one item of a class: a character or an escape.
fn class_item(chars: &mut Chars<'_>) -> Result<Option<Escape>, Problem> {
    match chars.next() {
        None => Ok(None),
        Some('\\') => escape(chars).map(Some),
        Some(c) => Ok(Some(Escape::Literal(c))),
    }
}

/// Returns the `[:alpha:]` at the start of `rest`.
fn named_class(rest: &str) -> Result<Option<&str>, Problem> {
    let Some(end) = rest.strip_prefix("[:").and_then(|inside| inside.find(":]")) else {
        return Ok(None);
    };
    let (class, name) = (&rest[..end + 4], &rest[2..end + 2]);
    if NAMED_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        Ok(Some(class))
    } else {
        Err(format!("`{class}` is not a valid character class").into())
    }
}
