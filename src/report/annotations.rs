//! Diagnostics as annotations of GitHub Actions, which shows them next to the lines of a change.
//!
//! Owns the format of workflow commands
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).

use std::borrow::Cow;

use crate::base::{Diagnostic, Level, Location, RelPath};

use super::clean::visible;
use super::diagnostics::sort;
use super::diagnostics_json::RegionJson;

/// Formats one line per diagnostic. `directory` is the path of the repository's root relative to the directory
/// that the workflow has checked out; it is empty if they are the same.
pub fn render(diagnostics: &[Diagnostic], directory: &str) -> String {
    sort(diagnostics)
        .into_iter()
        .map(|diagnostic| render_one(diagnostic, directory) + "\n")
        .collect()
}

fn render_one(diagnostic: &Diagnostic, directory: &str) -> String {
    let level = match diagnostic.level {
        Level::Error => "error",
        Level::Warning => "warning",
    };
    let region = diagnostic.labels.first().map(RegionJson::of).unwrap_or_default();
    let mut properties: Vec<(&str, Cow<'_, str>)> = Vec::new();
    if let Some(file) = region.file {
        properties.push(("file", below(directory, file)));
    }
    let is_one_line = region.line == region.end_line;
    // GitHub uses columns only if a region is within one line.
    let numbers = [
        ("line", region.line),
        ("endLine", region.end_line.filter(|_| !is_one_line)),
        ("col", region.column.filter(|_| is_one_line)),
        ("endColumn", region.end_column.filter(|_| is_one_line)),
    ];
    let numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?)));
    properties.extend(numbers.map(|(name, number)| (name, number.to_string().into())));
    properties.push(("title", diagnostic.rule.code().into()));
    command(level, properties, &words(diagnostic))
}

/// Formats an error with a title and a message, at its location if there is one.
pub(super) fn error(
    location: Option<&Location>,
    title: &str,
    message: &str,
    directory: &str,
) -> String {
    let mut properties = Vec::new();
    if let Some(location) = location {
        properties.push(("file", below(directory, &location.file)));
        properties.push(("line", location.line.to_string().into()));
    }
    properties.push(("title", title.into()));
    command("error", properties, message)
}

/// Returns the path of a file of the repository relative to the directory that the workflow has checked out.
fn below<'a>(directory: &str, file: &'a RelPath) -> Cow<'a, str> {
    let file = file.as_str();
    if directory.is_empty() { file.into() } else { format!("{directory}/{file}").into() }
}

fn command(level: &str, properties: Vec<(&str, Cow<'_, str>)>, message: &str) -> String {
    let properties: Vec<String> = properties
        .into_iter()
        .map(|(name, value)| {
            format!("{name}={}", escape(&value).replace(':', "%3A").replace(',', "%2C"))
        })
        .collect();
    format!("::{level} {}::{}", properties.join(","), escape(message))
}

/// Returns the message with its notes and its hint.
fn words(diagnostic: &Diagnostic) -> String {
    let notes = diagnostic.notes.iter().map(|note| format!("\nnote: {note}"));
    let hint = diagnostic.hint.iter().map(|hint| format!("\nhint: {hint}"));
    diagnostic.message.clone() + &notes.chain(hint).collect::<String>()
}

/// Escapes text for the value of a workflow command.
pub(super) fn escape(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    visible(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RelPath, Rule, Source, Span};

    #[test]
    fn special_characters_in_workflow_commands_are_escaped() {
        let source = Source::new(RelPath::new("a,b/100%:/Dockerfile").unwrap(), "FROM x\nRUN a\n");
        let check = |span, directory: &str, expected: &str| {
            let problem = Diagnostic::new(Rule::Cycle, "50%\r: a, b")
                .at(&source, span, "here")
                .note("more")
                .hint("less");
            assert_eq!(render(&[problem], directory), format!("{expected}\n"));
        };
        check(
            Span::new(5, 6),
            "",
            "::error file=a%2Cb/100%25%3A/Dockerfile,line=1,col=6,endColumn=7,title=cycle\
             ::50%25%0D: a, b%0Anote: more%0Ahint: less",
        );
        check(
            Span::new(5, 12),
            "sub/x",
            "::error file=sub/x/a%2Cb/100%25%3A/Dockerfile,line=1,endLine=2,title=cycle\
             ::50%25%0D: a, b%0Anote: more%0Ahint: less",
        );
        let homeless = Diagnostic { level: Level::Warning, ..Diagnostic::new(Rule::Cycle, "x") };
        assert_eq!(render(&[homeless], "sub"), "::warning title=cycle::x\n");
    }
}
