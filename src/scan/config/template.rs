//! Templates in `layers.toml`: text with `{placeholders}`, such as `{parent}-{dir}`.
//!
//! Owns their grammar and what is said of a placeholder that nothing fills. Which values there
//! are is the business of who fills it.
//!
//! A placeholder is a name in braces, with a filter behind a colon where one is wanted: `{dir}`,
//! `{dir:kebab}`. `{{dir}}` is the text `{dir}`; every other brace is itself, so that JSON can be
//! written as it is. Names with a dot belong to git, as `{git.sha}`; in a tag, which holds no brace
//! anyway, every name may have one, so that a slip is told as such.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::{Diagnostic, Rule, Source, Span, text};

use super::{ConfigFile, Setting};

/// The placeholders that need no capture.
pub const BUILT_IN: [&str; 10] =
    ["dir", "parent", "path", "stem", "usual", "target", "namespace", "app", "name", "version"];

/// The placeholders that stand in tags, and nowhere else.
pub const OF_GIT: [&str; 3] = ["git.sha", "git.branch", "git.tag"];

const FILTERS: [&str; 2] = ["lower", "kebab"];

/// A template, cut into text and placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<'a> {
    pieces: Vec<Piece<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Placeholder {
        name: &'a str,
        filter: Option<&'a str>,
        /// Where it stands in the template's text, braces included.
        at: Range<usize>,
    },
}

/// A filled template, or what is wrong with it.
pub type Filled = Result<String, Box<Diagnostic>>;

impl<'a> Template<'a> {
    /// Cuts a template. Every text is one.
    pub fn parse(template: &'a str) -> Template<'a> {
        let is_ours = |name: &str| is_name(name.strip_prefix("git.").unwrap_or(name));
        Template::cut(template, &is_ours)
    }

    /// Cuts the template of a tag.
    pub fn parse_tag(template: &'a str) -> Template<'a> {
        Template::cut(template, &|name: &str| name.split('.').all(is_name))
    }

    fn cut(template: &'a str, is_name: &dyn Fn(&str) -> bool) -> Template<'a> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let at = template.len() - rest.len() + open;
            let (before, braced) = rest.split_at(open);
            pieces.push(Piece::Text(before));
            let doubled = braced.starts_with("{{");
            let inner = &braced[1 + usize::from(doubled)..];
            let found = inner.split_once('}').and_then(|(inside, after)| {
                let (name, filter) = inside
                    .split_once(':')
                    .map_or((inside, None), |(name, filter)| (name, Some(filter)));
                is_name(name).then_some((inside, name, filter, after))
            });
            match found {
                Some((inside, _, _, after)) if doubled && after.starts_with('}') => {
                    pieces.push(Piece::Text(&braced[1..inside.len() + 3]));
                    rest = &after[1..];
                }
                Some((inside, name, filter, after)) if !doubled => {
                    let at = at..at + inside.len() + 2;
                    pieces.push(Piece::Placeholder { name, filter, at });
                    rest = after;
                }
                _ => {
                    pieces.push(Piece::Text("{"));
                    rest = &braced[1..];
                }
            }
        }
        pieces.push(Piece::Text(rest));
        Template { pieces }
    }

    /// Whether a placeholder of that name occurs.
    pub fn mentions(&self, wanted: &str) -> bool {
        self.pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Placeholder { name, .. } if *name == wanted))
    }

    /// Whether any placeholder occurs.
    pub fn has_placeholders(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Placeholder { .. }))
    }

    /// The text with every placeholder filled by `value`, whose error is said at the placeholder.
    ///
    /// # Errors
    /// Where a placeholder has no value, or a filter is unknown; the byte range is that of the
    /// placeholder in the template's text.
    pub fn fill(
        &self,
        value: &dyn Fn(&str) -> Result<String, Unfilled>,
    ) -> Result<String, (Range<usize>, Unfilled)> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Placeholder { name, filter, at } => {
                    let value = value(name).map_err(|unfilled| (at.clone(), unfilled))?;
                    let value = match *filter {
                        None => value,
                        Some("lower") => value.to_lowercase(),
                        Some("kebab") => kebab(&value),
                        Some(other) => {
                            let unfilled = Unfilled::unknown("filter", other, FILTERS);
                            return Err((at.clone(), unfilled));
                        }
                    };
                    filled.push_str(&value);
                }
            }
        }
        Ok(filled)
    }
}

/// Why a placeholder has no value, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfilled {
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub hint: String,
}

impl Unfilled {
    /// What is wrong, and what helps.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Unfilled {
        Unfilled { message: message.into(), hint: hint.into() }
    }

    /// There is nothing of that name.
    pub fn unknown<'a>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Unfilled {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match text::closest(name, known.iter().copied()) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => format!("there are {}", text::list(&known)),
        };
        Unfilled { message: format!("there is no {what} `{name}`"), hint }
    }

    /// It is known and was not set.
    pub fn unset(name: &str, hint: impl Into<String>) -> Unfilled {
        Unfilled { message: format!("`{{{name}}}` is not set"), hint: hint.into() }
    }
}

impl ConfigFile {
    /// Fills the template that a setting is; `captures` come before what `built_in` knows.
    ///
    /// # Errors
    /// Where a placeholder has no value. The diagnostic points at it.
    pub fn fill(
        &self,
        (text, span): (&str, Span),
        captures: &BTreeMap<String, String>,
        built_in: &dyn Fn(&str) -> Option<Result<String, Unfilled>>,
    ) -> Filled {
        let value = |name: &str| match captures.get(name) {
            Some(value) => Ok(value.clone()),
            None => built_in(name).unwrap_or_else(|| {
                let captures = captures.keys().map(String::as_str);
                Err(Unfilled::unknown("placeholder", name, captures.chain(BUILT_IN)))
            }),
        };
        Template::parse(text)
            .fill(&value)
            .map_err(|(at, unfilled)| Box::new(self.describe_unfilled((text, span), at, unfilled)))
    }

    /// What is wrong with the placeholder at a byte range of a setting's text.
    pub fn describe_unfilled(
        &self,
        (text, span): (&str, Span),
        at: Range<usize>,
        unfilled: Unfilled,
    ) -> Diagnostic {
        Diagnostic::new(Rule::Config, unfilled.message)
            .at(&self.source, part_of(&self.source, span, text, at), "")
            .hint(unfilled.hint)
    }

    /// A setting's text and span, as [`ConfigFile::fill`] takes them.
    pub fn said(setting: &Setting) -> (&str, Span) {
        (setting.get_ref(), ConfigFile::span(setting))
    }
}

/// The span of a part of a setting; the whole setting where it is written with escapes.
fn part_of(source: &Source, span: Span, text: &str, part: Range<usize>) -> Span {
    match source.slice(span).find(text) {
        Some(begin) => {
            let begin = span.start as usize + begin;
            Span::new(begin + part.start, begin + part.end)
        }
        None => span,
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// `NodeChrome` and `node_chrome` as `node-chrome`.
fn kebab(text: &str) -> String {
    let mut kebab = String::new();
    let mut before: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let starts_word = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase()
                        && characters.peek().is_some_and(|next| next.is_lowercase()))
            });
        before = Some(character);
        if matches!(character, '_' | ' ') {
            kebab.push('-');
            continue;
        }
        if starts_word {
            kebab.push('-');
        }
        kebab.extend(character.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: &str) {
        let value = |name: &str| match name {
            "dir" => Ok("NodeChrome".to_owned()),
            "name" => Ok("x".to_owned()),
            _ => Err(Unfilled::unknown("placeholder", name, ["dir", "name"])),
        };
        let shown = match Template::parse(template).fill(&value) {
            Ok(filled) => filled,
            Err((at, unfilled)) => {
                format!("{}: {}; {}", &template[at], unfilled.message, unfilled.hint)
            }
        };
        assert_eq!(shown, expected, "{template}");
    }

    #[test]
    fn placeholders_are_filled_and_other_braces_stay() {
        check("", "");
        check("{dir}-{name}", "NodeChrome-x");
        check("a{name}b", "axb");
        check("{dir:kebab}:{dir:lower}", "node-chrome:nodechrome");
        check("{{name}}", "{name}");
        check("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}");
        check("{{name}", "{x");
        check("{", "{");
        check("{}{1}", "{}{1}");
        check("{nmae}", "{nmae}: there is no placeholder `nmae`; did you mean `name`?");
        check("a{what}", "{what}: there is no placeholder `what`; there are `dir` and `name`");
        check("{{git.sha}}{a.b}{{a.b}}", "{git.sha}{a.b}{{a.b}}");
        check(
            "{git.sha}",
            "{git.sha}: there is no placeholder `git.sha`; there are `dir` and `name`",
        );
        check("{dir:lwoer}", "{dir:lwoer}: there is no filter `lwoer`; did you mean `lower`?");
    }

    #[test]
    fn every_name_in_a_tag_may_have_a_dot() {
        let value = |name: &str| Ok(format!("<{name}>"));
        let filled = |template| Template::parse_tag(template).fill(&value).unwrap();
        assert_eq!(filled("v{gti.sha}-{a}{b.c:lower}"), "v<gti.sha>-<a><b.c>");
        assert_eq!(filled("{a.}{.a}{1.a}"), "{a.}{.a}{1.a}");
        assert!(!Template::parse_tag("1.2").has_placeholders());
    }

    #[test]
    fn words_in_any_spelling_become_kebab() {
        for (text, expected) in [
            ("NodeChrome", "node-chrome"),
            ("EventBus", "event-bus"),
            ("HTTPServer", "http-server"),
            ("node_base", "node-base"),
            ("already-so", "already-so"),
            ("Python3Base", "python3-base"),
        ] {
            assert_eq!(kebab(text), expected);
        }
    }
}
