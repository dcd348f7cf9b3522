//! Parsing and matching of one pattern of an ignore file.
//!
//! Owns the syntax of patterns. Docker validates a pattern with Go's `filepath.Match` and then
//! matches it with a regular expression made from it (github.com/moby/patternmatcher). The two do
//! not always agree: `\d` is valid as the letter and matches a digit, and `[*]` becomes a class of
//! `[`, `^`, and `/`. The result must agree with what Docker sends, so the same two steps are taken
//! here. It knows neither lines nor their order.

use std::borrow::Cow;
use std::ops::Range;

use regex::Regex;

use super::Problem;
use super::expression::rust_regex;

/// Characters with a special meaning in a pattern, or in the expression made from it.
const SPECIAL: [char; 6] = ['*', '?', '[', ']', '\\', '^'];

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct IgnorePattern {
    text: String,
    kind: PatternKind,
    /// The expression, for the kind that needs one.
    regex: Option<Regex>,
    /// The length in bytes of the literal prefix that every match has.
    head: usize,
    /// The offset of the literal suffix that every match has.
    tail: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternKind {
    /// Matches the text itself.
    Exact,
    /// Matches everything that starts with the text before its `**`: `dir/**`, `x**`.
    Prefix,
    /// Matches everything that ends with the text after its `**`; for `**/x`, also `x`.
    Suffix,
    /// Matches what the expression matches.
    Regex,
}

/// The reason why a pattern is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The invalid byte range of the pattern.
    pub(super) at: Range<usize>,
    /// The message.
    pub(super) message: Problem,
}

impl IgnorePattern {
    /// Compiles a cleaned text without its `!`.
    pub(super) fn new(text: &str) -> Result<IgnorePattern, Fault> {
        check_syntax(text)?;
        let whole = |message| Fault { at: 0..text.len(), message };
        // Docker's scanner drops a byte-order mark only when it creates the expression.
        let scanned = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (kind, go) = translate(scanned);
        let regex = match kind {
            PatternKind::Regex => {
                let rust = rust_regex(&go).map_err(whole)?;
                Some(Regex::new(&rust).map_err(|error| whole(error.to_string().into()))?)
            }
            _ => None,
        };
        // If the text has one of these, no part of it is certain to occur in a match.
        let is_loose = scanned.len() < text.len() || text.contains(['|', '{']);
        let head = if is_loose { 0 } else { text.find(SPECIAL).unwrap_or(text.len()) };
        let tail = if is_loose { Some(text.len()) } else { None };
        let tail = tail.unwrap_or_else(|| {
            text.rfind(SPECIAL).map_or(0, |at| match &text[at..] {
                // `**/` can match nothing, so its slash may not occur in a match.
                rest if rest.starts_with("*/") => at + 2,
                // Skip the escaped character along with its backslash.
                rest if rest.starts_with('\\') => {
                    at + rest.chars().take(2).map(char::len_utf8).sum::<usize>()
                }
                _ => at + 1,
            })
        });
        Ok(IgnorePattern { text: text.to_owned(), kind, regex, head, tail })
    }

    /// Returns whether the pattern matches this exact path. The caller handles parent directories.
    pub(super) fn matches(&self, path: &PathForms<'_>) -> bool {
        let text = self.text.as_bytes();
        match self.kind {
            PatternKind::Exact => path.bytes == text,
            PatternKind::Prefix => path.bytes.starts_with(&text[..text.len() - 2]),
            PatternKind::Suffix => {
                let suffix = &text[2..];
                path.bytes.ends_with(suffix) || suffix.strip_prefix(b"/") == Some(path.bytes)
            }
            PatternKind::Regex => {
                // Most paths fail these two checks, which are cheap.
                path.bytes.starts_with(&text[..self.head])
                    && path.bytes.ends_with(&text[self.tail..])
                    && self.regex.as_ref().is_some_and(|regex| regex.is_match(&path.text))
            }
        }
    }

    /// Returns whether a path below `directory` (which ends in `/`) can match.
    pub(super) fn can_match_below(&self, directory: &[u8]) -> bool {
        let head = &self.text.as_bytes()[..self.head];
        match self.kind {
            PatternKind::Exact => self.text.as_bytes().starts_with(directory),
            PatternKind::Suffix => true,
            PatternKind::Prefix | PatternKind::Regex => {
                head.starts_with(directory) || directory.starts_with(head)
            }
        }
    }

    /// Returns the text without a trailing `/**` and then `/*`. BuildKit's walker treats it as the
    /// directory that an exception re-includes.
    pub(super) fn directory(&self) -> &str {
        let text = self.text.strip_suffix("/**").unwrap_or(&self.text);
        text.strip_suffix("/*").unwrap_or(text)
    }

    /// Returns whether that directory is a plain path, as the walker defines it.
    pub(super) fn directory_is_plain(&self) -> bool {
        !self.directory().contains(SPECIAL)
    }
}

/// A path in the forms that patterns compare.
pub(super) struct PathForms<'a> {
    bytes: &'a [u8],
    text: Cow<'a, str>,
}

impl<'a> PathForms<'a> {
    /// Converts a path. Go's expressions read each byte that is not valid UTF-8 as one U+FFFD.
    pub(super) fn new(bytes: &'a [u8]) -> PathForms<'a> {
        let text = std::str::from_utf8(bytes).map_or_else(
            |_| {
                let mut text = String::with_capacity(bytes.len() + 8);
                for chunk in bytes.utf8_chunks() {
                    text.push_str(chunk.valid());
                    text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
                }
                Cow::Owned(text)
            },
            Cow::Borrowed,
        );
        PathForms { bytes, text }
    }
}

/// Rejects what Go's `filepath.Match` rejects: classes that are empty or not closed, and a trailing
/// backslash.
fn check_syntax(text: &str) -> Result<(), Fault> {
    let fault = |at: Range<usize>, message: &'static str| Fault { at, message: message.into() };
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => {
                return Err(fault(start..text.len(), "trailing `\\`"));
            }
            '[' => {
                let open = || fault(start..text.len(), "unclosed `[`");
                chars.next_if(|(_, c)| *c == '^');
                let mut empty = true;
                loop {
                    if !empty && chars.next_if(|(_, c)| *c == ']').is_some() {
                        break;
                    }
                    empty = false;
                    class_character(&mut chars)?.ok_or_else(open)?;
                    if chars.next_if(|(_, c)| *c == '-').is_some() {
                        class_character(&mut chars)?.ok_or_else(open)?;
                    }
                    chars.peek().ok_or_else(open)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

type CharPositions<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// Reads one character of a class. Returns `None` at the end of the text.
fn class_character(chars: &mut CharPositions<'_>) -> Result<Option<()>, Fault> {
    match chars.next() {
        None => Ok(None),
        Some((at, c @ ('-' | ']'))) => {
            let message = format!("`{c}` is not allowed here in a `[` class; escape it").into();
            Err(Fault { at: at..at + 1, message })
        }
        Some((_, '\\')) => Ok(chars.next().map(|_| ())),
        Some(_) => Ok(Some(())),
    }
}

/// Translates a pattern as Docker does, to one of three literal comparisons or to a regular
/// expression in Go's syntax. The order in which one kind replaces another is Docker's, including
/// its surprises (`**foo` compares the end of the path, `**fo?` needs a whole name).
fn translate(text: &str) -> (PatternKind, String) {
    let mut go = String::from("^");
    let mut shape = PatternKind::Exact;
    let mut chars = text.chars().peekable();
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                chars.next_if_eq(&'/');
                let exact = shape == PatternKind::Exact;
                if chars.peek().is_some() {
                    go.push_str("(.*/)?");
                    shape = PatternKind::Regex;
                } else if exact {
                    shape = PatternKind::Prefix;
                } else {
                    go.push_str(".*");
                    shape = PatternKind::Regex;
                }
                if first {
                    shape = PatternKind::Suffix;
                }
            }
            '*' | '?' | '[' | ']' => {
                match c {
                    '*' => go.push_str("[^/]*"),
                    '?' => go.push_str("[^/]"),
                    c => go.push(c),
                }
                shape = PatternKind::Regex;
            }
            '\\' => {
                go.push('\\');
                if let Some(quoted) = chars.next() {
                    go.push(quoted);
                    shape = PatternKind::Regex;
                }
            }
            // Docker intends to escape `|`, `{`, and `}` too, but does not: `a|b*` is two patterns,
            // and `a{2}*` is a repetition.
            '.' | '+' | '(' | ')' | '$' => go.extend(['\\', c]),
            c => go.push(c),
        }
        first = false;
    }
    (shape, go + "$")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks two lists of paths separated by blanks: `yes` has matches and `no` has none.
    fn check(pattern: &str, yes: &str, no: &str) {
        let compiled =
            IgnorePattern::new(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault:?}"));
        for (paths, expected) in [(yes, true), (no, false)] {
            for path in paths.split(' ').filter(|path| !path.is_empty()) {
                let found = compiled.matches(&PathForms::new(path.as_bytes()));
                assert_eq!(found, expected, "{pattern} on {path}");
            }
        }
    }

    #[test]
    fn wildcards_match_within_one_path_component() {
        check("a.txt", "a.txt", "aXtxt b/a.txt a.txt/b");
        check("*", "a .a [ a\\b", "a/b");
        check("*.log", "a.log .log", "a/b.log a.logs alog");
        check("a?c", "abc aéc", "ac a/c abbc");
        check("?", "é", "ab");
        check("*/*.log", "a/b.log", "b.log a/b/c.log");
        check("a+(b)|{c}$", "a+(b)|{c}$", "aab");
        check("a+(b){c}$*", "a+(b){c}$x", "aab");
    }

    #[test]
    fn bars_and_counts_work_as_in_docker() {
        check("a|b", "a|b", "a b");
        check("a|b?", "a ax a/x xbc bc", "b xa");
        check("*.a|*.b", "x.a x.ay x/y.b", "x/y.a");
        check("x{2}*", "xx xxy", "x xy x{2}y");
        check("x{0,1}?", "x xy y", "xyy");
        check("x{1,}y?", "xya xxya", "ya");
        check("*.{js,ts}", "a.{js,ts}", "a.js a.ts");
        check("x{01}?", "x{01}a", "xa");
        check("\u{feff}a?", "ab", "\u{feff}ab");
        check("\u{feff}a", "\u{feff}a", "a");
    }

    #[test]
    fn double_stars_match_across_directories() {
        check("**", "a a/b .a", "");
        check("**/x", "x a/x a/b/x", "xx/y x/y");
        check("**/*.log", "b.log a/b.log a/b/c.log", "a.logs");
        check("dir/**", "dir/a dir/a/b", "dir dirs/a");
        check("x**", "x xy x/y xy/z", "ax");
        check("a/**/b", "a/b a/c/b a/c/d/b", "ab a/cb");
        check("a**b", "ab a/b ac/b", "acb a");
        check("**foo", "foo xfoo a/xfoo", "foox");
        check("**fo?", "foo a/foo", "xfoo");
        check("***", "a a/b", "");
        check("**/**", "a a/b", "");
        check("**/**/a", "a b/a", "ba");
        check("b**/a", "ba b/a bc/a", "bca");
        check("*a**", "a ba ba/c bac", "b/a");
    }

    #[test]
    fn character_classes_and_escapes_match() {
        check("[ab].*", "a.txt b.log", "c.txt ab.txt");
        check("[^ab]*", "c /", "a");
        check("[a-c]", "a b c", "d -");
        check("[!a]", "! a", "b");
        check("[\\]]", "]", "\\]");
        check("[\\-a]", "- a", "b");
        check("[a&&b]", "a & b", "c");
        check("[[:alpha:]]", "a", ": ]");
        check("[a~~b]", "a ~ b", "c");
        check("\\*", "*", "a");
        check("\\!a", "!a", "\\!a");
        check("a\\[b", "a[b", "a\\[b");
        check("b]", "b]", "b");
        // Surprising results that agree with Docker's.
        check("\\d", "7", "d");
        check("a\\bc", "", "a/bc abc a\\bc");
        check("[*]", "] [] ///]", "* a");
        check("a^*", "", "a^b ab");
        check("a^b", "a^b", "ab");
        check("[*]x[?]", "[]x^]", "*x?");
    }

    #[test]
    fn names_that_are_not_utf8_are_matched() {
        let matches = |pattern: &str, name: &[u8]| {
            IgnorePattern::new(pattern).unwrap().matches(&PathForms::new(name))
        };
        assert!(matches("a?b", b"a\xffb"));
        assert!(!matches("a?b", b"a\xe2\x82b"));
        assert!(matches("a??b", b"a\xe2\x82b"));
        assert!(matches("a*", b"a\xff\xfe"));
        assert!(matches("**/b", b"\xff/b"));
    }

    #[test]
    fn invalid_patterns_report_the_position() {
        let check = |pattern: &str, at: Range<usize>| {
            assert_eq!(IgnorePattern::new(pattern).map(|_| ()).unwrap_err().at, at, "{pattern}");
        };
        check("a[", 1..2);
        check("a[b", 1..3);
        check("[]", 1..2);
        check("[]a]", 1..2);
        check("[-a]", 1..2);
        check("[a-]", 3..4);
        check("[^]", 2..3);
        check("a\\", 1..2);
        check("[a\\", 0..3);
        check("[z-a]", 0..5);
        check("[[:what:]]", 0..10);
        check("src\\public", 0..10);
        check("[a-*]", 0..5);
        check("*{2}", 0..4);
        check("a|{2}?", 0..6);
        check("a{1001}?", 0..8);
        check("a{3,2}?", 0..7);
    }

    #[test]
    fn directories_that_can_contain_matches_are_recognized() {
        let check = |pattern: &str, directory: &str, expected: bool| {
            let pattern = IgnorePattern::new(pattern).unwrap();
            assert_eq!(pattern.can_match_below(directory.as_bytes()), expected, "{directory}");
        };
        check("a/b", "a/", true);
        check("a/b", "a/b/", false);
        check("a", "ab/", false);
        check("a*/x", "ab/", true);
        check("a*/x", "b/", false);
        check("docs/*.md", "node_modules/", false);
        check("docs/**", "docs/deep/", true);
        check("**/x", "any/", true);
        check("*", "any/", true);
    }
}
