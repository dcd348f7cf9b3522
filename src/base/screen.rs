//! What a terminal displays of a text, and what it interprets as control sequences.
//!
//! Owns the parser of control sequences (ECMA-48, 7-bit and 8-bit) and the list of invisible characters that
//! change how text reads. `report` cleans text with it, and secrets are searched for with it, so that both
//! agree on what a reader sees.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

/// A part of a text that has an effect on the display. Everything else is a control sequence or an invisible
/// character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenPiece {
    /// A visible character, or a byte that is not valid UTF-8.
    Shown,
    /// A tab.
    Tab,
    /// Moves to the first column.
    Return,
    /// Moves left by this many columns.
    Left(usize),
    /// Moves to a column, counted from 0.
    Column(usize),
}

/// Calls `each` with each piece of a line and its byte range, in order.
///
/// Returns the start of an unfinished control sequence, or the length of the line. A control string without a
/// terminator is treated as text, so that it cannot hide the rest of a line.
pub fn scan(line: &[u8], mut each: impl FnMut(ScreenPiece, Range<usize>)) -> usize {
    let (mut at, mut unfinished) = (0, None);
    while at < line.len() {
        let (length, character) = decode(&line[at..]);
        let next = at + length;
        let sequence = match character {
            Some('\u{1b}') => escape(line, next),
            Some('\u{9b}') => control(line, next),
            // If one string has no terminator, no later one has: search the line only once.
            Some('\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => match unfinished {
                None => string(line, next),
                Some(_) => Sequence::Ends(next),
            },
            _ => {
                if let Some(piece) = piece(character) {
                    each(piece, at..next);
                }
                at = next;
                continue;
            }
        };
        match sequence {
            Sequence::Ends(end) => at = end,
            Sequence::Moves(piece, end) => {
                each(piece, at..end);
                at = end;
            }
            Sequence::Unfinished => return unfinished.unwrap_or(at),
            Sequence::NoString => {
                unfinished = Some(at);
                // Skip only the introducer.
                at = if character == Some('\u{1b}') { next + 1 } else { next };
            }
        }
    }
    unfinished.unwrap_or(line.len())
}

/// Whether a character is invisible but can change how the surrounding text reads: control characters,
/// bidirectional controls, line and paragraph separators, and zero-width characters
/// (<https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>).
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}' | '\u{1160}'
                | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e00ff}'
                | '\u{e01f0}'..='\u{e0fff}'
        )
}

/// Returns a name, path, or value on one line with everything in it visible. Line breaks and invisible
/// characters are escaped, and so are the commands that CI systems accept anywhere in a line.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) && !text.contains(COMMAND) {
        return Cow::Borrowed(text);
    }
    let mut output = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_unseen(character) {
            true => output.push_str(&escaped(character)),
            false => output.push(character),
        }
    }
    Cow::Owned(output.replace(COMMAND, BROKEN_COMMAND))
}

/// Returns a path on one line, escaped by [`visible`].
pub fn visible_path(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

/// Returns the escape sequence of an invisible character, in the syntax of many programming languages.
pub fn escaped(character: char) -> Cow<'static, str> {
    match character {
        '\n' => "\\n".into(),
        '\r' => "\\r".into(),
        '\t' => "\\t".into(),
        other => format!("\\u{{{:x}}}", u32::from(other)).into(),
    }
}

/// Escapes the invisible characters in JSON without changing its meaning. Outside of strings, JSON contains
/// no such characters except line breaks.
pub fn visible_json(json: String) -> String {
    let is_plain = |c: char| c == '\n' || !is_unseen(c);
    if json.chars().all(is_plain) && !json.contains(COMMAND) {
        return json;
    }
    let mut output = String::with_capacity(json.len() + 8);
    for character in json.chars() {
        if is_plain(character) {
            output.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            output.push_str(&format!("\\u{unit:04x}"));
        }
    }
    output.replace(COMMAND, "#\\u0023[")
}

/// The start of a command in older GitHub Actions and in Azure Pipelines, recognized anywhere in a line.
pub const COMMAND: &str = "##[";

/// The same text, changed so that it is not recognized as a command.
pub const BROKEN_COMMAND: &str = "#\\#[";

enum Sequence {
    Ends(usize),
    Moves(ScreenPiece, usize),
    Unfinished,
    /// A string without a terminator.
    NoString,
}

fn piece(character: Option<char>) -> Option<ScreenPiece> {
    match character {
        None => Some(ScreenPiece::Shown),
        Some('\t') => Some(ScreenPiece::Tab),
        Some('\r') => Some(ScreenPiece::Return),
        Some('\u{8}') => Some(ScreenPiece::Left(1)),
        Some(character) => (!is_unseen(character)).then_some(ScreenPiece::Shown),
    }
}

/// Decodes the first character and returns its length. The character is `None` if the bytes are not valid
/// UTF-8. A byte that is an 8-bit control character is returned as that control character.
fn decode(bytes: &[u8]) -> (usize, Option<char>) {
    let first = bytes[0];
    if first.is_ascii() {
        return (1, Some(char::from(first)));
    }
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    match valid.chars().next() {
        Some(character) => (character.len_utf8(), Some(character)),
        None if (0x80..0xa0).contains(&first) => (1, Some(char::from(first))),
        None => (1, None),
    }
}

/// Parses what follows an escape character.
fn escape(line: &[u8], at: usize) -> Sequence {
    match line.get(at) {
        None => Sequence::Unfinished,
        Some(b'[') => control(line, at + 1),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string(line, at + 1),
        Some(0x20..=0x2f) => {
            let more = line[at..].iter().take_while(|byte| matches!(byte, 0x20..=0x2f)).count();
            match line.get(at + more) {
                None => Sequence::Unfinished,
                Some(0x30..=0x7e) => Sequence::Ends(at + more + 1),
                Some(_) => Sequence::Ends(at + more),
            }
        }
        Some(0x30..=0x7e) => Sequence::Ends(at + 1),
        Some(_) => Sequence::Ends(at),
    }
}

/// Parses what follows a control sequence introducer.
fn control(line: &[u8], at: usize) -> Sequence {
    let count = |from: usize, range: std::ops::RangeInclusive<u8>| {
        line[from..].iter().take_while(|byte| range.contains(byte)).count()
    };
    let parameters = &line[at..at + count(at, 0x30..=0x3f)];
    let end = at + parameters.len();
    let end = end + count(end, 0x20..=0x2f);
    let number = |default: usize| {
        let digits = parameters.iter().take_while(|byte| byte.is_ascii_digit()).take(6);
        let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        if number == 0 { default } else { number }
    };
    match line.get(end) {
        None => Sequence::Unfinished,
        Some(b'D') => Sequence::Moves(ScreenPiece::Left(number(1)), end + 1),
        Some(b'G' | b'`') => Sequence::Moves(ScreenPiece::Column(number(1) - 1), end + 1),
        Some(0x40..=0x7e) => Sequence::Ends(end + 1),
        Some(_) => Sequence::Ends(end),
    }
}

/// Parses what follows the introducer of a string, such as a window title or the target of a link.
fn string(line: &[u8], at: usize) -> Sequence {
    for (offset, byte) in line[at..].iter().enumerate() {
        let end = at + offset;
        match byte {
            7 | 0x18 | 0x1a => return Sequence::Ends(end + 1),
            // Any escape sequence ends the string. The usual one is the string terminator.
            0x1b if line.get(end + 1) == Some(&b'\\') => return Sequence::Ends(end + 2),
            0x1b => return Sequence::Ends(end),
            0x9c if end > 0 && line[end - 1] == 0xc2 => return Sequence::Ends(end + 1),
            0x9c if decode(&line[end..]).1 == Some('\u{9c}') && is_boundary(line, end) => {
                return Sequence::Ends(end + 1);
            }
            _ => {}
        }
    }
    Sequence::NoString
}

/// Whether a continuation byte does not belong to a preceding character.
fn is_boundary(line: &[u8], at: usize) -> bool {
    (1..=3).all(|back| at < back || decode(&line[at - back..]).0 <= back)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(line: &[u8]) -> (String, usize) {
        let mut output = Vec::new();
        let end = scan(line, |piece, at| match piece {
            ScreenPiece::Shown => output.extend_from_slice(&line[at]),
            ScreenPiece::Tab => output.push(b'>'),
            ScreenPiece::Return => output.push(b'|'),
            ScreenPiece::Left(columns) => {
                output.extend_from_slice(format!("<{columns}").as_bytes());
            }
            ScreenPiece::Column(column) => {
                output.extend_from_slice(format!("@{column}").as_bytes());
            }
        });
        (String::from_utf8_lossy(&output).into_owned(), end)
    }

    #[test]
    fn control_sequences_are_not_shown() {
        let check = |line: &[u8], expected: &str| {
            assert_eq!(render(line), (expected.to_owned(), line.len()), "{line:?}");
        };
        check(b"plain", "plain");
        check(b"pa\x1b[31mss\x1b[0mword", "password");
        check(b"a\x1b[1;2 qb\x1b(Bc\x1b=d", "abcd");
        check(b"a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c\x1bPq\x1b[1md", "abcd");
        check("a\u{9b}31mb\u{9d}t\u{9c}c\u{85}d".as_bytes(), "abcd");
        check(b"a\x9b31mb\x9dt\x9cc\x85d", "abcd");
        // The last byte of a multi-byte character does not terminate the string.
        check("a\x1b]0;\u{71c}\x07b".as_bytes(), "ab");
        check("a\u{200b}b\u{feff}c\u{2028}d\u{202e}e\x7f\0".as_bytes(), "abcde");
        check(b"a\tb\rc\x08d\x1b[3De\x1b[Gf\x1b[9`", "a>b|c<1d<3e@0f@8");
        check(b"a\xffb\xc3", "a\u{fffd}b\u{fffd}");
        check("größe 漢字".as_bytes(), "größe 漢字");
    }

    #[test]
    fn invisible_characters_in_names_are_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text), expected);
        check("docker/größe 漢字", "docker/größe 漢字");
        check("a\n::error::b", "a\\n::error::b");
        check("\x1b[31m\t\u{202e}\u{85}\u{2028}", "\\u{1b}[31m\\t\\u{202e}\\u{85}\\u{2028}");
        check("##[error]x ###[", "#\\#[error]x ##\\#[");
    }

    #[test]
    fn escaping_does_not_change_the_meaning_of_json() {
        let value = "a\u{202e}\u{85}\u{7f}\u{e0041}##[x] é";
        let json = visible_json(serde_json::to_string_pretty(&[value]).unwrap());
        assert!(
            !json.chars().any(|c| c != '\n' && is_unseen(c)) && !json.contains("##["),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [value]);
    }

    #[test]
    fn incomplete_control_sequences_do_not_hide_text() {
        let check = |line: &[u8], expected: &str, end: usize| {
            assert_eq!(render(line), (expected.to_owned(), end), "{line:?}");
        };
        check(b"ab\x1b", "ab", 2);
        check(b"ab\x1b[3", "ab", 2);
        check(b"ab\x1b(", "ab", 2);
        check(b"ab\x1b]0;title", "ab0;title", 2);
        check("ab\u{9d}title".as_bytes(), "abtitle", 2);
        check(b"\x1b]a\x1b]b\x1b]c", "c", 6);
    }
}
