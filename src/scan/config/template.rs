//! Templates in `layers.toml`: text with `{placeholders}`, such as `{parent}-{dir}`.
//!
//! Owns their grammar and the errors about placeholders without a value. The callers define the
//! values.
//!
//! A placeholder is a name in braces with an optional filter after a colon: `{dir}`, `{dir:kebab}`.
//! `{{dir}}` is the text `{dir}`. Every other brace is literal, so that JSON can be written without
//! escapes. Names from git have a dot, such as `{git.sha}`. A tag cannot contain braces, so there
//! every name may have a dot, and a typo is reported as an unknown placeholder.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::base::{Diagnostic, Rule, Source, Span, text};

use super::{ConfigFile, Setting};

/// The placeholders that are always available, in addition to captures.
pub const BUILT_IN: [&str; 10] =
    ["dir", "parent", "path", "stem", "usual", "target", "namespace", "app", "name", "version"];

/// The placeholders that are available only in tags.
pub const OF_GIT: [&str; 3] = ["git.sha", "git.branch", "git.tag"];

const FILTERS: [&str; 2] = ["lower", "kebab"];

/// A template, split into text and placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<'a> {
    pieces: Vec<TemplatePart<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePart<'a> {
    Text(&'a str),
    Placeholder {
        name: &'a str,
        filter: Option<&'a str>,
        /// The byte range in the template, including the braces.
        at: Range<usize>,
    },
}

/// A filled template, or the diagnostic for what is wrong with it.
pub type FillResult = Result<String, Box<Diagnostic>>;

impl<'a> Template<'a> {
    /// Parses a template. Every text is a valid template.
    pub fn parse(template: &'a str) -> Template<'a> {
        let is_ours = |name: &str| is_name(name.strip_prefix("git.").unwrap_or(name));
        Template::cut(template, &is_ours)
    }

    /// Parses the template of a tag.
    pub fn parse_tag(template: &'a str) -> Template<'a> {
        Template::cut(template, &|name: &str| name.split('.').all(is_name))
    }

    fn cut(template: &'a str, is_name: &dyn Fn(&str) -> bool) -> Template<'a> {
        let mut pieces = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let at = template.len() - rest.len() + open;
            let (before, braced) = rest.split_at(open);
            pieces.push(TemplatePart::Text(before));
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
                    pieces.push(TemplatePart::Text(&braced[1..inside.len() + 3]));
                    rest = &after[1..];
                }
                Some((inside, name, filter, after)) if !doubled => {
                    let at = at..at + inside.len() + 2;
                    pieces.push(TemplatePart::Placeholder { name, filter, at });
                    rest = after;
                }
                _ => {
                    pieces.push(TemplatePart::Text("{"));
                    rest = &braced[1..];
                }
            }
        }
        pieces.push(TemplatePart::Text(rest));
        Template { pieces }
    }

    /// Returns whether the template contains a placeholder with this name.
    pub fn mentions(&self, placeholder: &str) -> bool {
        self.pieces.iter().any(
            |piece| matches!(piece, TemplatePart::Placeholder { name, .. } if *name == placeholder),
        )
    }

    /// Returns whether the template contains a placeholder.
    pub fn has_placeholders(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, TemplatePart::Placeholder { .. }))
    }

    /// Fills every placeholder with the result of `value`.
    ///
    /// # Errors
    /// Returns an error if a placeholder has no value or an unknown filter, with the byte range of
    /// the placeholder in the template.
    pub fn fill(
        &self,
        value: &dyn Fn(&str) -> Result<String, PlaceholderError>,
    ) -> Result<String, (Range<usize>, PlaceholderError)> {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                TemplatePart::Text(text) => filled.push_str(text),
                TemplatePart::Placeholder { name, filter, at } => {
                    let value = value(name).map_err(|unfilled| (at.clone(), unfilled))?;
                    let value = match *filter {
                        None => value,
                        Some("lower") => value.to_lowercase(),
                        Some("kebab") => text::kebab(&value),
                        Some(other) => {
                            let unfilled = PlaceholderError::unknown("filter", other, FILTERS);
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

/// The reason why a placeholder has no value, with a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceholderError {
    /// The message.
    pub message: String,
    /// The hint.
    pub hint: String,
}

impl PlaceholderError {
    /// Returns an error with this message and hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> PlaceholderError {
        PlaceholderError { message: message.into(), hint: hint.into() }
    }

    /// Returns the error for an unknown name.
    pub fn unknown<'a>(
        what: &str,
        name: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> PlaceholderError {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        let hint = match text::closest(name, candidates.iter().copied()) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => format!("valid {what}s are {}", text::list(&candidates)),
        };
        PlaceholderError { message: format!("unknown {what} `{name}`"), hint }
    }

    /// Returns the error for a known placeholder that is not set.
    pub fn unset(name: &str, hint: impl Into<String>) -> PlaceholderError {
        PlaceholderError { message: format!("`{{{name}}}` is not set"), hint: hint.into() }
    }
}

impl ConfigFile {
    /// Fills the template of a setting. `captures` take precedence over `built_in`.
    ///
    /// # Errors
    /// Returns a diagnostic that points to a placeholder without a value.
    pub fn fill(
        &self,
        (text, span): (&str, Span),
        captures: &BTreeMap<String, String>,
        built_in: &dyn Fn(&str) -> Option<Result<String, PlaceholderError>>,
    ) -> FillResult {
        let value = |name: &str| match captures.get(name) {
            Some(value) => Ok(value.clone()),
            None => built_in(name).unwrap_or_else(|| {
                let captures = captures.keys().map(String::as_str);
                Err(PlaceholderError::unknown("placeholder", name, captures.chain(BUILT_IN)))
            }),
        };
        Template::parse(text)
            .fill(&value)
            .map_err(|(at, unfilled)| Box::new(self.describe_unfilled((text, span), at, unfilled)))
    }

    /// Returns the diagnostic for the placeholder at a byte range of a setting's text.
    pub fn describe_unfilled(
        &self,
        (text, span): (&str, Span),
        at: Range<usize>,
        unfilled: PlaceholderError,
    ) -> Diagnostic {
        Diagnostic::new(Rule::Config, unfilled.message)
            .at(&self.source, part_of(&self.source, span, text, at), "")
            .hint(unfilled.hint)
    }

    /// Returns the text and the span of a setting, as [`ConfigFile::fill`] takes them.
    pub fn spanned(setting: &Setting) -> (&str, Span) {
        (setting.get_ref(), ConfigFile::span(setting))
    }
}

/// Returns the span of a part of a setting, or that of the whole setting if it is written with
/// escapes.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: &str) {
        let value = |name: &str| match name {
            "dir" => Ok("NodeChrome".to_owned()),
            "name" => Ok("x".to_owned()),
            _ => Err(PlaceholderError::unknown("placeholder", name, ["dir", "name"])),
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
    fn placeholders_are_filled_and_other_braces_are_kept() {
        check("", "");
        check("{dir}-{name}", "NodeChrome-x");
        check("a{name}b", "axb");
        check("{dir:kebab}:{dir:lower}", "node-chrome:nodechrome");
        check("{{name}}", "{name}");
        check("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}");
        check("{{name}", "{x");
        check("{", "{");
        check("{}{1}", "{}{1}");
        check("{nmae}", "{nmae}: unknown placeholder `nmae`; did you mean `name`?");
        check(
            "a{what}",
            "{what}: unknown placeholder `what`; valid placeholders are `dir` and `name`",
        );
        check("{{git.sha}}{a.b}{{a.b}}", "{git.sha}{a.b}{{a.b}}");
        check(
            "{git.sha}",
            "{git.sha}: unknown placeholder `git.sha`; valid placeholders are `dir` and `name`",
        );
        check("{dir:lwoer}", "{dir:lwoer}: unknown filter `lwoer`; did you mean `lower`?");
    }

    #[test]
    fn names_in_tag_templates_may_contain_dots() {
        let value = |name: &str| Ok(format!("<{name}>"));
        let filled = |template| Template::parse_tag(template).fill(&value).unwrap();
        assert_eq!(filled("v{gti.sha}-{a}{b.c:lower}"), "v<gti.sha>-<a><b.c>");
        assert_eq!(filled("{a.}{.a}{1.a}"), "{a.}{.a}{1.a}");
        assert!(!Template::parse_tag("1.2").has_placeholders());
    }
}
