//! Makes untrusted text fit for a terminal.
//!
//! Owns the rule: no escape sequence and no control character of a build's output is shown, and
//! neither is a character that reorders text.

/// The text of one line as it would stand on the screen in the end: escape sequences are gone,
/// what a carriage return overwrote is gone, tabs are blanks.
pub fn line(untrusted: &str) -> String {
    let visible = anstream::adapter::strip_str(untrusted).to_string();
    let last = visible.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or("");
    let mut clean = String::with_capacity(last.len());
    for character in last.chars() {
        match character {
            '\t' => clean.push_str("    "),
            character if character.is_control() || reorders(character) => {}
            character => clean.push(character),
        }
    }
    clean
}

/// Bidirectional controls, which can make a line read as another
/// (<https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>).
fn reorders(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Cuts a clean text to a width in columns, with `…` where something is gone.
pub fn fit(text: &str, columns: usize) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= columns {
        return text.to_owned();
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
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(untrusted: &str, expected: &str) {
        assert_eq!(line(untrusted), expected, "{untrusted:?}");
        assert!(!line(untrusted).chars().any(char::is_control));
    }

    #[test]
    fn escape_sequences_do_not_pass() {
        check("plain", "plain");
        check("\x1b[31mred\x1b[0m", "red");
        check("\x1b]0;title\x07after", "after");
        check("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link");
        check("a\x1b[2Jb\x1b[1;1Hc", "abc");
        // The eight-bit introducer is gone; what is left of the sequence is plain text.
        check("\u{9b}31mx", "31mx");
        check("bell\x07 back\x08 null\0", "bell back null");
        check("10%\r50%\r100%", "100%");
        check("done\r", "done");
        check("a\tb", "a    b");
        check("\u{202e}evil", "evil");
        check("\x1b", "");
        check("größe 漢字", "größe 漢字");
    }

    #[test]
    fn texts_are_cut_by_columns() {
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("漢字漢", 5), "漢字…");
        assert_eq!(fit("漢字漢", 4), "漢…");
        assert_eq!(fit("abc", 0), "");
    }
}
