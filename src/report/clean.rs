//! Cleans text from elsewhere for a terminal and for the log of a CI system.
//!
//! Owns three rules. The output of a build is shown as it would appear on a terminal, without control
//! sequences ([`line`]). Everything in names, paths, and values is visible ([`visible`]). Finally, all output
//! passes through [`printed`], so that text that was not cleaned earlier has no effect on a terminal or on
//! GitHub Actions.

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;

use crate::base::screen::{BROKEN_COMMAND, COMMAND, ScreenPiece, escaped, is_unseen, scan};
pub use crate::base::screen::{visible, visible_json};

/// Returns the final appearance of a line on a terminal: without escape sequences and without text that a
/// carriage return overwrote. Tabs become spaces.
pub fn line(untrusted: &str) -> String {
    let (mut last, mut current) = (String::new(), String::new());
    scan(untrusted.as_bytes(), |piece, at| match piece {
        ScreenPiece::Shown => current.push_str(untrusted.get(at).unwrap_or_default()),
        ScreenPiece::Tab => current.push_str("    "),
        ScreenPiece::Return => {
            let part = std::mem::take(&mut current);
            if !part.trim().is_empty() {
                last = part;
            }
        }
        ScreenPiece::Left(_) | ScreenPiece::Column(_) => {}
    });
    if current.trim().is_empty() && !last.is_empty() { last } else { current }
}

/// Returns a value as indented JSON with a final line break. Invisible characters are escaped.
///
/// # Errors
/// Returns an error if the value cannot be serialized.
pub fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(visible_json(serde_json::to_string_pretty(value)?) + "\n")
}

/// The program's own control sequences and commands that printed text can contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AllowedOutput {
    /// Colors.
    pub colors: bool,
    /// Lines that GitHub Actions interprets as commands. Set this if the output is not read by GitHub
    /// Actions.
    pub commands: bool,
}

/// Cleans text directly before it is printed. Invisible characters except tabs are escaped, and lines that
/// GitHub Actions would interpret as commands get a backslash. Text that is already clean is not changed.
pub fn printed(text: &str, allowed: AllowedOutput) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '\t') || !is_unseen(c);
    let has_command = !allowed.commands && (text.contains("::") || text.contains(COMMAND));
    if !has_command && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for line in text.split_inclusive('\n') {
        // The runner ignores whitespace of every kind before a command.
        let start = line.trim_start_matches(|c: char| c.is_whitespace() || is_unseen(c));
        if !allowed.commands && start.starts_with("::") {
            push(&line[..line.len() - start.len()], allowed, &mut clean);
            clean.push('\\');
            push(start, allowed, &mut clean);
        } else {
            push(line, allowed, &mut clean);
        }
    }
    if !allowed.commands && clean.contains(COMMAND) {
        clean = clean.replace(COMMAND, BROKEN_COMMAND);
    }
    Cow::Owned(clean)
}

fn push(text: &str, allowed: AllowedOutput, to: &mut String) {
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let color = if allowed.colors { color(rest) } else { 0 };
        if color > 0 {
            to.push_str(&rest[..color]);
            rest = &rest[color..];
            continue;
        }
        match matches!(character, '\n' | '\t') || !is_unseen(character) {
            true => to.push(character),
            false => to.push_str(&escaped(character)),
        }
        rest = &rest[character.len_utf8()..];
    }
}

/// Returns the length of the color sequence at the start of a text, or 0 if there is none.
fn color(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("\x1b[") else { return 0 };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(rest.len());
    if rest[end..].starts_with('m') { 2 + end + 1 } else { 0 }
}

/// A part of a file with all characters visible, and a map of its byte positions.
pub struct VisibleText {
    /// The text, with unchanged line endings and tabs.
    pub text: String,
    /// The position after each escape, in the original part and in the text.
    moved: Vec<(usize, usize)>,
}

impl VisibleText {
    /// Escapes the invisible characters in a part of a file.
    pub fn of(piece: &str) -> VisibleText {
        let mut shown =
            VisibleText { text: String::with_capacity(piece.len()), moved: vec![(0, 0)] };
        let mut characters = piece.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let ends_line =
                character == '\r' && characters.peek().is_some_and(|next| next.1 == '\n');
            if matches!(character, '\n' | '\t') || ends_line || !is_unseen(character) {
                shown.text.push(character);
                continue;
            }
            shown.text.push_str(&escaped(character));
            shown.moved.push((at + character.len_utf8(), shown.text.len()));
        }
        shown
    }

    /// Converts a range in the original part to a range in the text.
    pub fn range(&self, range: Range<usize>) -> Range<usize> {
        let position = |at: usize| {
            let behind = self.moved.partition_point(|(from, _)| *from <= at) - 1;
            let (from, to) = self.moved[behind];
            to + (at - from)
        };
        position(range.start).min(self.text.len())..position(range.end).min(self.text.len())
    }
}

/// Shortens clean text to a width in columns. The end of shortened text is `…`.
pub fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= columns {
        return text.into();
    }
    let mut fitted = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > columns {
            break;
        }
        fitted.push(character);
    }
    if columns > 0 {
        fitted.push('…');
    }
    fitted.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(untrusted: &str, expected: &str) {
        assert_eq!(line(untrusted), expected, "{untrusted:?}");
        assert!(!line(untrusted).chars().any(is_unseen));
    }

    #[test]
    fn escape_sequences_are_removed() {
        check("plain", "plain");
        check("\x1b[31mred\x1b[0m", "red");
        check("\x1b]0;title\x07after", "after");
        check("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link");
        check("a\x1b[2Jb\x1b[1;1Hc", "abc");
        // The 8-bit introducer has the same meaning.
        check("\u{9b}31mx", "x");
        check("bell\x07 back\x08 null\0", "bell back null");
        check("10%\r50%\r100%", "100%");
        check("done\r", "done");
        check("a\tb", "a    b");
        check("\u{202e}evil\u{2028}\u{200b}\u{feff}\u{85}", "evil");
        check("\x1b", "");
        check("größe 漢字", "größe 漢字");
        // An unfinished string hides nothing.
        check("\x1b]0;title and text", "0;title and text");
    }

    #[test]
    fn printed_text_cannot_run_terminal_or_ci_commands() {
        let check = |text: &str, colors: bool, commands: bool, expected: &str| {
            let printed = printed(text, AllowedOutput { colors, commands });
            assert_eq!(printed, expected, "{text:?}");
        };
        check("a é\nb\n", false, false, "a é\nb\n");
        check("a\x1b[1;31mb\x1b[0m\n", true, false, "a\x1b[1;31mb\x1b[0m\n");
        check("a\x1b[1;31mb\x1b[2Jc\x1b[m", true, false, "a\x1b[1;31mb\\u{1b}[2Jc\x1b[m");
        check("a\x1b[1mb", false, false, "a\\u{1b}[1mb");
        check("a\t\rb\u{9b}\u{202e}\u{2028}", true, false, "a\t\\rb\\u{9b}\\u{202e}\\u{2028}");
        check("::error::x\na ::b\n", false, true, "::error::x\na ::b\n");
        check("::error::x\na ::b\n", false, false, "\\::error::x\na ::b\n");
        check(
            "a\n \t\u{3000}::stop-commands::x\n",
            false,
            false,
            "a\n \t\u{3000}\\::stop-commands::x\n",
        );
        check("x ##[group]y", false, false, "x #\\#[group]y");
        check("x ##[group]y", false, true, "x ##[group]y");
    }

    #[test]
    fn positions_map_to_the_escaped_text() {
        let piece = "RUN \u{202e}x\r\n\ta\rb\x1bc é\n";
        let shown = VisibleText::of(piece);
        assert_eq!(shown.text, "RUN \\u{202e}x\r\n\ta\\rb\\u{1b}c é\n");
        for (at, character) in piece.char_indices().filter(|(_, c)| c.is_alphanumeric()) {
            let range = shown.range(at..at + character.len_utf8());
            assert_eq!(shown.text[range], *character.to_string(), "{at}");
        }
        assert_eq!(shown.range(0..piece.len()), 0..shown.text.len());
    }

    #[test]
    fn text_is_truncated_by_display_width() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("漢字漢", 5), "漢字…");
        assert_eq!(fit("漢字漢", 4), "漢…");
        assert_eq!(fit("abc", 0), "");
    }
}
