//! The parser directives at the top of a Dockerfile: `# escape=`, `# syntax=`, and `# check=`.
//!
//! Owns both ways of reading directives. BuildKit has two readers that differ. The parser's own
//! reader handles `escape` and allows blanks before `#`. The other reader handles `syntax` and
//! `check`. It allows no blanks before `#` and skips a `#!` line. It also finds `syntax` after `//`
//! and in a file that is JSON.

use crate::base::{Span, Spanned};

use super::flags::is_switch;
use super::splitting::ByteRange;

/// One `# name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive<'a> {
    /// The name in lowercase.
    pub(super) name: &'static str,
    pub(super) value: &'a str,
    /// The position of the value in the line.
    pub(super) range: ByteRange,
}

const NAMES: [&str; 3] = ["syntax", "escape", "check"];

/// The characters that `\s` matches in Go.
const BLANKS: [char; 5] = ['\t', '\n', '\x0c', '\r', ' '];

/// Parses a line that starts with the comment sign. Returns `None` if the line is not a directive.
pub(super) fn read<'a>(line: &'a str, sign: &str) -> Option<Directive<'a>> {
    let text = line.strip_prefix(sign)?.trim_start();
    let length = text.find(|c: char| !c.is_ascii_alphanumeric())?;
    let (name, rest) = text.split_at(length);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let name = NAMES.into_iter().find(|directive| directive.eq_ignore_ascii_case(name))?;
    let value = rest.trim_start_matches(BLANKS).strip_prefix('=')?;
    let value = match value.trim_matches(BLANKS) {
        // If the value consists of blanks only, BuildKit keeps the last one.
        "" => &value[value.len().checked_sub(1)?..],
        value => value,
    };
    let start = value.as_ptr() as usize - line.as_ptr() as usize;
    Some(Directive { name, value, range: start..start + value.len() })
}

/// Returns the frontend that the text requests.
pub(super) fn detect_syntax(text: &str) -> Option<Spanned<String>> {
    let start = after_shebang(text)?;
    let found = find("syntax", text, start, "#").or_else(|| find("syntax", text, start, "//"));
    if found.is_some() || !text[start..].trim_start().starts_with('{') {
        return found;
    }
    let json: serde_json::Value = serde_json::from_str(&text[start..]).ok()?;
    let syntax = json.get("syntax")?.as_str()?.to_owned();
    Some(Spanned::new(syntax, Span::new(start, text.len())))
}

/// Returns the options of the `check` directive.
pub(super) fn detect_check(text: &str) -> Option<Spanned<String>> {
    find("check", text, after_shebang(text)?, "#")
}

/// Returns whether BuildKit accepts these options for the `check` directive.
pub(super) fn is_check(options: &str) -> bool {
    options.trim().is_empty()
        || options.trim().splitn(3, ';').all(|option| match option.split_once('=') {
            Some((name, value)) => match name.trim() {
                "skip" | "experimental" => true,
                "error" => is_switch(value.trim()),
                _ => false,
            },
            None => false,
        })
}

/// Returns the offset after a byte-order mark and a `#!` line.
fn after_shebang(text: &str) -> Option<usize> {
    let start = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    match text[start..].strip_prefix("#!") {
        Some(rest) => Some(text.len() - rest.split_once('\n')?.1.len()),
        None => Some(start),
    }
}

/// Finds the directive `name` with this comment sign.
fn find(name: &str, text: &str, start: usize, sign: &str) -> Option<Spanned<String>> {
    let mut seen = [false; NAMES.len()];
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let directive = read(content.strip_suffix('\r').unwrap_or(content), sign)?;
        let index = NAMES.iter().position(|name| *name == directive.name)?;
        // BuildKit treats a repeated name as an error and stops searching.
        if std::mem::replace(&mut seen[index], true) {
            return None;
        }
        if directive.name == name {
            // Text after a blank is for the frontend.
            let value = directive.value.split(' ').next().unwrap_or_default().to_owned();
            let start = at + directive.range.start;
            let span = Span::new(start, start + value.len());
            return Some(Spanned::new(value, span));
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_parsed_from_a_line() {
        let check = |line: &str, expected: Option<(&str, &str)>| {
            let read = read(line, "#");
            let read = read.as_ref().map(|found| (found.name, found.value));
            assert_eq!(read, expected, "{line:?}");
        };
        check("#escape=`", Some(("escape", "`")));
        check("#  EsCaPe \t = ` ", Some(("escape", "`")));
        check("# syntax=a b=c", Some(("syntax", "a b=c")));
        check("# escape=  ", Some(("escape", " ")));
        check("# escape=", None);
        check("# escape", None);
        check("# other=1", None);
        check("## escape=`", None);
        check("escape=`", None);
    }

    #[test]
    fn check_options_are_validated() {
        let check = |options: &str, expected: bool| assert_eq!(is_check(options), expected);
        check("skip=all", true);
        check("skip=A,B;error=true;experimental=all", true);
        check("error=yes", false);
        check("skip", false);
        check("skip=A;", false);
        check("other=1", false);
    }

    #[test]
    fn syntax_directives_are_found_in_every_supported_format() {
        let check = |text: &str, expected: Option<&str>| {
            let found = detect_syntax(text);
            assert_eq!(found.as_ref().map(|found| found.value.as_str()), expected, "{text:?}");
            if let Some(found) = found.filter(|_| !text.starts_with('{')) {
                assert_eq!(&text[found.span.range()], found.value, "{text:?}");
            }
        };
        check("# syntax=a/b:1\nFROM x", Some("a/b:1"));
        check("\u{feff}# syntax=a x=y\n", Some("a"));
        check("#!/bin/x\n# check=skip=all\n#syntax = a\r\n", Some("a"));
        check(" # syntax=a\n", None);
        check("# x\n# syntax=a\n", None);
        check("# escape=`\n# escape=`\n# syntax=a\n", None);
        check("// syntax=a\n", Some("a"));
        check("{\"syntax\": \"a\"}", Some("a"));
        check("{\"x\": ", None);
        check("", None);
    }
}
