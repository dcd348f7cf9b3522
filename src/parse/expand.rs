//! Expansion of variables, quotes, and escapes in a word: the source of values, and the errors.
//!
//! Owns the entry points of expansion. Callers supply the variables; `shell` reads the words.

use std::borrow::Cow;
use std::fmt;

use super::shell::{Mode, ShellLexer};

/// A source of values for variables.
pub trait Variables {
    /// Returns the value of a variable, or `None` if it is not set.
    fn value(&self, name: &str) -> Option<&str>;
}

/// A source in which no variable is set.
#[derive(Debug, Clone, Copy)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn value(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// An error in the expansion of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandError {
    /// The word ends within quotes. Contains the quote.
    Unclosed(char),
    /// `${` is not closed.
    MissingBrace,
    /// `${V/a` has no second `/`.
    MissingSlash,
    /// `${}`, `${:…`, or `${{`.
    BadSubstitution,
    /// BuildKit does not support the modifier after the name, such as `^`. Contains the modifier.
    Modifier(String),
    /// `${V:?message}` for a variable that is not set or is empty.
    Required {
        /// The name of the variable.
        name: String,
        /// The message of the word, or a default one.
        message: String,
    },
    /// The pattern after `#`, `%`, or `/` is invalid. Contains the pattern.
    Pattern(String),
    /// The expansion is nested too deep, or its result exceeds the size limit.
    Limit,
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpandError::Unclosed(quote) => write!(f, "missing closing {quote}"),
            ExpandError::MissingBrace => f.write_str("missing closing }"),
            ExpandError::MissingSlash => f.write_str("missing second / in ${…/…/…}"),
            ExpandError::BadSubstitution => f.write_str("missing variable name after ${"),
            ExpandError::Modifier(sign) => write!(f, "unsupported modifier ({sign})"),
            ExpandError::Required { name, message } => write!(f, "{name}: {message}"),
            ExpandError::Pattern(pattern) => write!(f, "invalid pattern ({pattern})"),
            ExpandError::Limit => f.write_str("nested too deeply, or the result is too long"),
        }
    }
}

impl std::error::Error for ExpandError {}

/// Expands the variables in one word and removes its quotes and escapes.
///
/// # Errors
/// Returns an error if the word is malformed or if a variable that it requires is not set.
pub fn expand<'a>(
    word: &'a str,
    escape: char,
    variables: &dyn Variables,
) -> Result<Cow<'a, str>, ExpandError> {
    // Most words need no expansion.
    if !word.contains(['$', '\'', '"', escape, '\u{feff}']) {
        return Ok(Cow::Borrowed(word));
    }
    let mode = Mode { escape, ..Mode::WORD };
    ShellLexer::new(word, mode, variables).run(None, false).map(Cow::Owned)
}

/// Expands the variables in the body of a here-document, where quotes are ordinary text.
///
/// # Errors
/// Returns the same errors as [`expand`].
pub fn expand_body<'a>(
    body: &'a str,
    variables: &dyn Variables,
) -> Result<Cow<'a, str>, ExpandError> {
    if !body.contains(['$', '\\', '\u{feff}']) {
        return Ok(Cow::Borrowed(body));
    }
    let mode = Mode { keep_quotes: true, ..Mode::WORD };
    ShellLexer::new(body, mode, variables).run(None, false).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FewVariables;

    impl Variables for FewVariables {
        fn value(&self, name: &str) -> Option<&str> {
            match name {
                "V" => Some("1.2-beta"),
                "P" => Some("a/b/a"),
                "S" => Some("x*y\\z"),
                "EMPTY" => Some(""),
                "한국" => Some("k"),
                _ => None,
            }
        }
    }

    /// Checks one expansion. `None` expects any error.
    fn check(word: &str, expected: Option<&str>) {
        let expanded = expand(word, '\\', &FewVariables);
        assert_eq!(expanded.as_deref().ok(), expected, "{word}: {expanded:?}");
    }

    #[test]
    fn quotes_and_escapes_are_removed() {
        check("he'll'o", Some("hello"));
        check("he'llo", None);
        check(r"he\'llo", Some("he'llo"));
        check(r"he\\'llo", None);
        check(r"abc\tdef", Some("abctdef"));
        check(r#""abc\tdef""#, Some(r"abc\tdef"));
        check(r#""abc\\tdef""#, Some(r"abc\tdef"));
        check(r"'abc\tdef'", Some(r"abc\tdef"));
        check(r"hello\", Some("hello"));
        check(r#""hello\""#, None);
        check(r#""a\"$V\$V""#, Some(r#"a"1.2-beta$V"#));
        check(r"'$V'", Some("$V"));
        check(r#""'$V'""#, Some("'1.2-beta'"));
        check(r"\$V", Some("$V"));
        check("\u{feff}a", Some("a"));
        check("a <<b", Some("a <<b"));
        assert_eq!(expand(r"`$V\a", '`', &FewVariables).as_deref(), Ok(r"$V\a"));
    }

    #[test]
    fn variable_names_end_like_in_a_shell() {
        check("$V.x", Some("1.2-beta.x"));
        check("$V_x", Some(""));
        check("$.", Some("$."));
        check("a$", Some("a$"));
        check("$1x$12y$@z$*$#$?$-$$$!", Some("xyz"));
        check("$001aaa", Some("aaa"));
        check("$한국", Some("k"));
        check("${V}x", Some("1.2-betax"));
        check("${}", None);
        check("${.}", None);
        check("${V", None);
        check("${{V}", None);
        check("${:-x}", None);
        check("${999:-b}a", Some("ba"));
        check("${@:+b}", Some(""));
    }

    #[test]
    fn modifiers_select_the_default_or_alternative() {
        check("${N:-w}${N-w}", Some("ww"));
        check("${EMPTY:-w}${EMPTY-w}", Some("w"));
        check("${V:-w}${V-w}", Some("1.2-beta1.2-beta"));
        check("${N:+w}${N+w}", Some(""));
        check("${EMPTY:+w}${EMPTY+w}", Some("w"));
        check("${N:-${M:-$V}}", Some("1.2-beta"));
        check("${N:-\\${V}z}x", Some("${Vz}x"));
        check("${V:+$V:}x", Some("1.2-beta:x"));
        check("${N?}", None);
        check("${EMPTY?}", Some(""));
        check("${EMPTY:?}", None);
        check("${V:=x}", None);
        check("${V^^}", None);
        check("${V:0:1}", None);
        check("${!V}", None);
        check("${N:-'a b'}", Some("a b"));
        let required = |message: &str| {
            let message = message.to_owned();
            Err(ExpandError::Required { name: "N".to_owned(), message })
        };
        assert_eq!(expand("${N:?no $V}", '\\', &FewVariables), required("no 1.2-beta"));
        assert_eq!(expand("${N?}", '\\', &FewVariables), required("is not allowed to be unset"));
    }

    #[test]
    fn patterns_remove_and_replace_text() {
        check("${V#1.}", Some("2-beta"));
        check("${V#*[.]}", Some("1.2-beta"));
        check("${V##*-}", Some("beta"));
        check("${V#*?}", Some(".2-beta"));
        check("${V%-*}", Some("1.2"));
        check("${V%%.*}", Some("1"));
        check("${V%b?ta}", Some("1.2-"));
        check("${V:#1}", None);
        check("${N#x}", Some(""));
        check("${P/a/x}", Some("x/b/a"));
        check("${P//a/x}", Some("x/b/x"));
        check(r"${P//\//-}", Some("a-b-a"));
        check("${P/a}", None);
        check("${P/a/", None);
        check("${P/?*/$V}", Some("1.2-beta"));
        check("${P/\u{feff}b/x}", Some("a/x/a"));
        check(r"${S/\*/+}", Some(r"x+y\z"));
        check(r"${S%\\z}", Some("x*y"));
        check(r"${S#x\*}", Some(r"y\z"));
        check(r"${V#\a}", None);
        check(r"${P//a/<$0>}", Some("<>/b/<>"));
        check(r"${V#${N:-1}.}", Some("2-beta"));
    }

    #[test]
    fn heredoc_bodies_keep_their_quotes() {
        let body = "it's \"$V\" \\$V ${N:-x}\n";
        let expanded = expand_body(body, &FewVariables);
        assert_eq!(expanded.as_deref(), Ok("it's \"1.2-beta\" $V x\n"));
    }

    #[test]
    fn expansion_depth_and_size_are_limited() {
        let deep = "${N:-".repeat(100_000);
        assert_eq!(expand(&deep, '\\', &FewVariables), Err(ExpandError::Limit));
        struct LongVariable(String);
        impl Variables for LongVariable {
            fn value(&self, _name: &str) -> Option<&str> {
                Some(&self.0)
            }
        }
        let long = LongVariable("x".repeat(100_000));
        assert_eq!(expand("$A$A$A$A", '\\', &long), Err(ExpandError::Limit));
        assert_eq!(expand("\"$A$A$A$A\"", '\\', &long), Err(ExpandError::Limit));
        assert_eq!(expand("$A", '\\', &long).map(|text| text.len()), Ok(100_000));
    }
}
