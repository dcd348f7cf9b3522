//! Splitting of an instruction's line into keyword, flags, and arguments.
//!
//! Owns the four ways in which Dockerfiles split words: at blanks, at blanks outside quotes, as
//! leading flags, and as JSON. All results keep their position in the line, and nothing is
//! expanded.
//!
//! The rules are those of moby/buildkit `frontend/dockerfile/parser`.

use std::ops::Range;

/// Returns whether a character separates words. Not all Unicode spaces do: a no-break space is part
/// of a word.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// The byte range of a part of a line.
pub(super) type ByteRange = Range<usize>;

/// Returns `range` without leading and trailing white space.
pub(super) fn trim(line: &str, range: ByteRange) -> ByteRange {
    let text = &line[range.clone()];
    let start = range.start + (text.len() - text.trim_start().len());
    start..start + text.trim().len()
}

/// Returns the offset of the first character in `range` that is not skipped.
fn skip(line: &str, range: ByteRange, is_skipped: fn(char) -> bool) -> usize {
    range.end - line[range].trim_start_matches(is_skipped).len()
}

/// A line split into its parts.
pub(super) struct Parts {
    pub(super) keyword: ByteRange,
    pub(super) flags: Vec<Flag>,
    /// The part after the flags, without leading and trailing white space.
    pub(super) arguments: ByteRange,
}

/// Splits a part of a line into keyword, flags, and arguments.
pub(super) fn split_instruction(line: &str, range: ByteRange, escape: char) -> Parts {
    let range = trim(line, range);
    let text = &line[range.clone()];
    let keyword = range.start..range.start + text.find(is_blank).unwrap_or(text.len());
    let mut flags = Vec::new();
    let start = take_flags(line, keyword.end..range.end, escape, &mut flags);
    Parts { keyword, flags, arguments: trim(line, start..range.end) }
}

/// A word at the start of an instruction that begins with `--`, without quotes and escapes.
pub(super) struct Flag {
    pub(super) text: String,
    /// The range of the flag, including quotes.
    pub(super) range: ByteRange,
    /// For each byte of the text, the range of the character that it comes from. `None` if the text
    /// is as written.
    ranges: Option<Vec<ByteRange>>,
}

impl Flag {
    /// Returns the range of a part of the text.
    pub(super) fn range_of(&self, part: Range<usize>) -> ByteRange {
        let range_at = |at: usize| match &self.ranges {
            None => self.range.start + at..self.range.start + at + 1,
            Some(ranges) => ranges.get(at).cloned().unwrap_or(self.range.end..self.range.end),
        };
        let start = range_at(part.start).start;
        if part.is_empty() { start..start } else { start..range_at(part.end - 1).end }
    }
}

/// Reads the leading flags and returns the offset of the rest.
fn take_flags(line: &str, range: ByteRange, escape: char, flags: &mut Vec<Flag>) -> usize {
    let mut at = range.start;
    loop {
        at = skip(line, at..range.end, is_blank);
        if !line[at..range.end].starts_with("--") {
            return at;
        }
        let (flag, next) = take_flag(line, at..range.end, escape);
        at = next.unwrap_or(range.end);
        if flag.text == "--" {
            return at;
        }
        flags.push(flag);
        if next.is_none() {
            return at;
        }
    }
}

/// Reads one flag. Returns it with the offset at which the line continues, if it does.
///
/// BuildKit treats each byte of a flag as a character: `é` becomes `Ã©`, and a character that
/// contains the byte 0x85 or 0xa0, such as `à`, ends the flag in its middle.
fn take_flag(line: &str, range: ByteRange, escape: char) -> (Flag, Option<usize>) {
    let bytes = line.as_bytes();
    let mut text = String::new();
    let mut ranges: Option<Vec<ByteRange>> = None;
    let mut quote = None;
    let mut at = range.start;
    while at < range.end {
        let c = char::from(bytes[at]);
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && c.is_whitespace() {
            let ByteRange { start: end, end: next } = around(line, at..at);
            return (Flag { text, range: range.start..end, ranges }, Some(next));
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
        } else {
            let is_escape = c == escape;
            at += usize::from(is_escape);
            // BuildKit drops an escape at the end.
            let Some(byte) = bytes[..range.end].get(at) else { break };
            let is_odd = !byte.is_ascii() || at > range.start + text.len();
            if is_odd && ranges.is_none() {
                ranges =
                    Some((range.start..range.start + text.len()).map(|at| at..at + 1).collect());
            }
            let c = char::from(*byte);
            text.push(c);
            if let Some(ranges) = &mut ranges {
                ranges.extend(std::iter::repeat_n(around(line, at..at + 1), c.len_utf8()));
            }
        }
        at += 1;
    }
    (Flag { text, range, ranges }, None)
}

/// Returns the range of the whole characters that contain these bytes, or an empty range between
/// two characters.
fn around(line: &str, bytes: ByteRange) -> ByteRange {
    let start = (0..=bytes.start).rev().find(|at| line.is_char_boundary(*at));
    let end = (bytes.end..=line.len()).find(|at| line.is_char_boundary(*at));
    start.unwrap_or(bytes.start)..end.unwrap_or(bytes.end)
}

/// Splits at blanks.
pub(super) fn split_blanks(line: &str, range: ByteRange) -> Vec<ByteRange> {
    let mut words = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let rest = &line[at..range.end];
        let word = rest.find(is_blank).unwrap_or(rest.len());
        if word > 0 {
            words.push(at..at + word);
        }
        at = skip(line, at + word..range.end, is_blank);
    }
    words
}

/// Splits at white space outside quotes. Keeps quotes and escapes, except for an escape at the end.
pub(super) fn split_quoted(line: &str, range: ByteRange, escape: char) -> Vec<ByteRange> {
    let mut words = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut end = range.end;
    let mut chars = line[range.clone()].char_indices();
    while let Some((at, c)) = chars.next() {
        let at = range.start + at;
        if quote.is_none() && c.is_whitespace() {
            words.extend(start.take().map(|start| start..at));
            continue;
        }
        start.get_or_insert(at);
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
        } else if c == escape && quote != Some('\'') && chars.next().is_none() {
            end = at;
        }
    }
    words.extend(start.map(|start| start..end).filter(|word| !word.is_empty()));
    words
}

/// The result of reading arguments as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// An array of strings, each with its range.
    Words(Vec<(String, ByteRange)>),
    /// An array with other elements, which is an error.
    NotStrings,
    /// Not an array; the arguments are in the other form.
    No,
}

/// Reads the arguments as a JSON array, like Go's `encoding/json`.
pub(super) fn read_json(line: &str, range: ByteRange) -> Json {
    let text = &line[range.clone()];
    if !text.starts_with('[') {
        return Json::No;
    }
    if let Some(words) = json_strings(text) {
        let shift = |word: ByteRange| range.start + word.start..range.start + word.end;
        return Json::Words(words.into_iter().map(|(word, at)| (word, shift(at))).collect());
    }
    match serde_json::from_str::<Vec<serde_json::Value>>(text) {
        Ok(values) if values.iter().all(serde_json::Value::is_string) => Json::No,
        Ok(_) => Json::NotStrings,
        Err(_) => Json::No,
    }
}

/// Returns the strings of an array that contains only strings.
fn json_strings(text: &str) -> Option<Vec<(String, ByteRange)>> {
    let skip = |at| skip(text, at..text.len(), |c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    let mut words = Vec::new();
    let mut at = skip(1);
    if text[at..].starts_with(']') {
        return (skip(at + 1) == text.len()).then_some(words);
    }
    loop {
        let (word, end) = json_string(text, at)?;
        words.push((word, at + 1..end - 1));
        at = skip(end);
        match text.as_bytes().get(at)? {
            b',' => at = skip(at + 1),
            b']' => return (skip(at + 1) == text.len()).then_some(words),
            _ => return None,
        }
    }
}

/// Returns the string that begins at `at`, and its end.
fn json_string(text: &str, at: usize) -> Option<(String, usize)> {
    if !text[at..].starts_with('"') {
        return None;
    }
    let mut word = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Some((word, at + 1 + offset + 1)),
            '\\' => match chars.next()?.1 {
                c @ ('"' | '\\' | '/') => word.push(c),
                'b' => word.push('\x08'),
                'f' => word.push('\x0c'),
                'n' => word.push('\n'),
                'r' => word.push('\r'),
                't' => word.push('\t'),
                'u' => {
                    let unit = hex_unit(&mut chars)?;
                    word.push(code_point(unit, &mut chars)?);
                }
                _ => return None,
            },
            '\0'..='\x1f' => return None,
            c => word.push(c),
        }
    }
    None
}

fn hex_unit(chars: &mut std::str::CharIndices<'_>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit * 16 + chars.next()?.1.to_digit(16)?;
    }
    Some(unit)
}

/// Returns the character of a `\u` escape. An unpaired surrogate becomes the replacement character,
/// as in Go.
fn code_point(unit: u32, chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    if let Some(c) = char::from_u32(unit) {
        return Some(c);
    }
    let mut ahead = chars.clone();
    if unit < 0xdc00
        && ahead.next().is_some_and(|(_, c)| c == '\\')
        && ahead.next().is_some_and(|(_, c)| c == 'u')
    {
        let low = hex_unit(&mut ahead)?;
        if (0xdc00..0xe000).contains(&low) {
            *chars = ahead;
            return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        }
    }
    Some(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(line: &'a str, words: &[ByteRange]) -> Vec<&'a str> {
        words.iter().map(|word| &line[word.clone()]).collect()
    }

    #[test]
    fn quotes_and_escapes_keep_words_together() {
        let check = |line: &str, expected: &[&str]| {
            assert_eq!(texts(line, &split_quoted(line, 0..line.len(), '\\')), expected, "{line}");
        };
        check("A=1  B=2", &["A=1", "B=2"]);
        check(r#"A="x y" B='p q'"#, &[r#"A="x y""#, "B='p q'"]);
        check(r"A=x\ y B=z\", &[r"A=x\ y", "B=z"]);
        check(r#"A="x\"y z" B"#, &[r#"A="x\"y z""#, "B"]);
        check(r"A='x\' B", &[r"A='x\'", "B"]);
        check(r#"A="x y"#, &[r#"A="x y"#]);
        check("A=1\u{a0}B=2", &["A=1", "B=2"]);
        check("\\", &[]);
    }

    #[test]
    fn flags_are_unquoted_and_keep_their_source_span() {
        let line = r#"COPY --from="a b" --x=\-y  -- --z /p"#;
        let parts = split_instruction(line, 0..line.len(), '\\');
        let flags: Vec<&str> = parts.flags.iter().map(|flag| flag.text.as_str()).collect();
        assert_eq!(flags, ["--from=a b", "--x=-y"]);
        assert_eq!(&line[parts.arguments.clone()], "--z /p");
        assert_eq!(&line[parts.flags[0].range_of(7..10)], "a b");
        assert_eq!(&line[parts.flags[1].range_of(4..6)], "-y");
    }

    #[test]
    fn flags_are_parsed_byte_by_byte() {
        let line = "COPY --exclude=é --chown=内部 --link à\u{3000}--x";
        let parts = split_instruction(line, 0..line.len(), '\\');
        let flags: Vec<&str> = parts.flags.iter().map(|flag| flag.text.as_str()).collect();
        assert_eq!(flags, ["--exclude=Ã©", "--chown=å\u{86}"]);
        assert_eq!(&line[parts.arguments.clone()], "部 --link à\u{3000}--x");
        assert_eq!(&line[parts.flags[0].range_of(10..14)], "é");
        assert_eq!(&line[parts.flags[0].range_of(9..10)], "=");
        let line = "RUN \u{3000}--mount=x";
        let parts = split_instruction(line, 0..line.len(), '\\');
        assert!(parts.flags.is_empty());
    }

    #[test]
    fn only_json_arrays_of_strings_are_parsed() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let read = match read_json(text, 0..text.len()) {
                Json::Words(words) => Some(words.into_iter().map(|(word, _)| word).collect()),
                _ => None::<Vec<String>>,
            };
            let expected: Option<Vec<String>> =
                expected.map(|words| words.iter().map(ToString::to_string).collect());
            assert_eq!(read, expected, "{text}");
        };
        check(r#"["a b", "\u00e9\ud83d\ude00\n"]"#, Some(&["a b", "é😀\n"]));
        check(r#"[ "\ud800x" ] "#, Some(&["\u{fffd}x"]));
        check("[]", Some(&[]));
        check("[ ] x", None);
        check("['a']", None);
        check(r#"["a",]"#, None);
        check(r#"["a"] b"#, None);
        assert_eq!(read_json("[1]", 0..3), Json::NotStrings);
        assert_eq!(read_json("[[\"a\"]]", 0..7), Json::NotStrings);
        assert_eq!(read_json("[1", 0..2), Json::No);
    }
}
