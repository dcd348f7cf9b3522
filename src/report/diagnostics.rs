//! Diagnostics with their source lines and carets, rendered by `annotate-snippets`.
//!
//! Owns the appearance of problems in the user's files. They are in the order of files, then of positions.
//! Each text of a diagnostic is one line: a line break in it comes from a name or a value, and is escaped.

use std::collections::HashMap;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as DrawLevel, Origin, Snippet};

use crate::base::text::{and, count};
use crate::base::{Diagnostic, Label, Level, RelPath, Source, Span};

use super::clean::{VisibleText, visible};
use super::paint::Paint;

/// Formats all diagnostics, followed by a line with their counts. Returns an empty string if there are none.
pub fn draw(diagnostics: &[Diagnostic], paint: Paint) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let drawn = group(sort(diagnostics)).into_iter();
    let drawn = drawn.map(|alike| draw_group(&alike, paint) + "\n\n");
    drawn.collect::<String>() + &counts(diagnostics) + "\n"
}

/// Sorts diagnostics: errors first, then by file and position.
pub(super) fn sort(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_cached_key(|diagnostic| {
        let location = diagnostic.labels.first().map(|label| label.source.location(label.span));
        (std::cmp::Reverse(diagnostic.level), location, diagnostic.rule)
    });
    sorted
}

/// Formats the counts: `2 errors, 1 warning`.
pub fn counts(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    match (errors, warnings) {
        (errors, 0) => count(errors, "error"),
        (0, warnings) => count(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

/// The number of locations that are listed for identical diagnostics.
const LOCATIONS: usize = 3;

/// Groups identical diagnostics, in the order of the first ones.
fn group(sorted: Vec<&Diagnostic>) -> Vec<Vec<&Diagnostic>> {
    let mut groups: Vec<Vec<&Diagnostic>> = Vec::new();
    let mut known = HashMap::new();
    for diagnostic in sorted {
        if diagnostic.labels.is_empty() {
            groups.push(vec![diagnostic]);
            continue;
        }
        let key = (diagnostic.level, diagnostic.rule, texts_without_names(diagnostic));
        let at = *known.entry(key).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(alike) => alike.push(diagnostic),
            None => groups.push(vec![diagnostic]),
        }
    }
    groups
}

/// Returns the message and the hint of a diagnostic without the names of its file, its directory, and its image.
fn texts_without_names(diagnostic: &Diagnostic) -> Vec<String> {
    let path = diagnostic.labels.first().map(|label| label.source.path());
    let directory = path.map(RelPath::parent);
    let directory = directory.as_ref().map(RelPath::as_str).filter(|it| !it.is_empty());
    let own = [path.map(RelPath::as_str), directory];
    let without_names = |text: &str| -> String {
        let parts = text.split('`').map(|part| match part {
            _ if own.contains(&Some(part)) => "…",
            _ if part.starts_with("[image.") && part.ends_with(']') => "[image.…]",
            _ => part,
        });
        parts.collect::<Vec<_>>().join("`")
    };
    [Some(&diagnostic.message), diagnostic.hint.as_ref()]
        .into_iter()
        .map(|text| text.map_or_else(String::new, |text| without_names(text)))
        .collect()
}

/// Draws the first of identical diagnostics, with the locations of the others.
fn draw_group(alike: &[&Diagnostic], paint: Paint) -> String {
    let [first, others @ ..] = alike else { return String::new() };
    if others.is_empty() {
        return draw_one(first, paint);
    }
    let labels = others.iter().filter_map(|it| it.labels.first());
    let locations = labels.map(|label| label.source.location(label.span).to_string());
    let mut places: Vec<String> = locations.take(LOCATIONS - 1).collect();
    let rest = others.len() - places.len();
    if rest > 0 {
        places.push(format!("{rest} more"));
    }
    let mut first = (*first).clone().note(format!("also at {}", and(&places)));
    if let Some(hint) =
        first.hint.as_mut().filter(|hint| others.iter().any(|it| it.hint.as_ref() != Some(hint)))
    {
        hint.push_str("; likewise for the others");
    }
    draw_one(&first, paint)
}

fn draw_one(diagnostic: &Diagnostic, paint: Paint) -> String {
    let level = match diagnostic.level {
        Level::Error => DrawLevel::ERROR,
        Level::Warning => DrawLevel::WARNING,
    };
    let title = level.primary_title(visible(&diagnostic.message)).id(diagnostic.rule.code());
    let mut group = Group::with_title(title);
    // Labels near each other share a snippet.
    for (number, labels) in by_snippet(&diagnostic.labels).into_iter().enumerate() {
        let Some(Label { source, .. }) = labels.first() else { continue };
        let path = source.path().to_string();
        if source.text().is_empty() {
            group = group.element(Origin::path(path));
            continue;
        }
        let piece = piece_around(source, &labels);
        let shown = VisibleText::of(&source.text()[piece.clone()]);
        let annotations = labels.iter().enumerate().map(|(at, label)| {
            let kind = if at == 0 && number == 0 {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let Range { start, end } = label.span.range();
            let annotation = kind.span(shown.range(start - piece.start..end - piece.start));
            if label.text.is_empty() { annotation } else { annotation.label(visible(&label.text)) }
        });
        let line = source.line_of(Span::new(piece.start, piece.start).start);
        let snippet = Snippet::source(shown.text.clone())
            .line_start(line as usize)
            .path(path)
            .annotations(annotations);
        group = group.element(snippet);
    }
    for note in &diagnostic.notes {
        group = group.element(DrawLevel::NOTE.message(visible(note)));
    }
    if let Some(hint) = &diagnostic.hint {
        let level = DrawLevel::HELP.with_name("hint");
        group = group.element(level.message(visible(hint)));
    }
    paint.renderer().render(&[group])
}

/// The distance in lines up to which labels share a snippet. The renderer processes all lines of a snippet, also those
/// that it does not show.
const SNIPPET_LINES: u32 = 100;

/// Groups labels by file and by distance, in the order in which they are first mentioned.
fn by_snippet(labels: &[Label]) -> Vec<Vec<&Label>> {
    let mut latest: HashMap<&str, usize> = HashMap::new();
    let mut snippets: Vec<Vec<&Label>> = Vec::new();
    for label in labels {
        let path = label.source.path().as_str();
        let line = |label: &Label| label.source.line_of(label.span.start);
        let is_near = |first: &&Label| line(first).abs_diff(line(label)) <= SNIPPET_LINES;
        let near = latest.get(path).copied();
        let near = near.filter(|at| snippets[*at].first().is_some_and(is_near));
        match near.and_then(|at| snippets.get_mut(at)) {
            Some(snippet) => snippet.push(label),
            None => {
                latest.insert(path, snippets.len());
                snippets.push(vec![label]);
            }
        }
    }
    snippets
}

/// Returns the labeled lines and one more. The renderer processes all text that it is given; with the whole
/// file, that could be a megabyte for each of thousands of errors.
fn piece_around(source: &Source, labels: &[&Label]) -> Range<usize> {
    let start = labels.iter().map(|label| label.span.start).min().unwrap_or_default();
    let end = labels.iter().map(|label| label.span.end).max().unwrap_or_default();
    let first = source.line_span(source.line_of(start));
    let last = source.line_span(source.line_of(end) + 1);
    let start = first.map_or(0, |line| line.range().start);
    start..last.map_or(source.text().len(), |line| line.range().end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rule;

    fn unknown_stage() -> Diagnostic {
        let problem = Diagnostic::new(Rule::UnknownStage, "there is no stage `y`");
        Diagnostic { level: Level::Error, ..problem }
    }

    #[test]
    fn problems_are_underlined_with_carets() {
        let source =
            Source::new(RelPath::new("d/Dockerfile").unwrap(), "FROM x\nCOPY --from=y / /\n");
        let problem = unknown_stage()
            .at(&source, Span::new(19, 20), "named here")
            .note("stages are `x`")
            .hint("did you mean `x`?");
        let expected = "\
error[unknown-stage]: there is no stage `y`
 --> d/Dockerfile:2:13
  |
2 | COPY --from=y / /
  |             ^ named here
  |
  = note: stages are `x`
  = hint: did you mean `x`?

1 error
";
        assert_eq!(draw(&[problem], Paint::plain()), expected);
    }

    #[test]
    fn identical_problems_are_drawn_once() {
        let at = |directory: &str| {
            let path = RelPath::new(&format!("{directory}/Dockerfile")).unwrap();
            let message = format!("`x` not found in the context `{directory}`");
            let problem = Diagnostic::new(Rule::MissingFile, message);
            let source = Source::new(path, "FROM x\nCOPY x /\n");
            problem.at(&source, Span::new(12, 13), "")
        };
        let check = |directories: &[&str], expected: Option<&str>, count: &str| {
            let problems: Vec<_> = directories.iter().map(|it| at(it)).collect();
            let drawn = draw(&problems, Paint::plain());
            assert_eq!(drawn.matches("warning[").count(), 1, "{drawn}");
            let note = drawn.lines().find_map(|line| line.strip_prefix("  = note: "));
            assert_eq!(note, expected, "{drawn}");
            assert!(drawn.ends_with(&format!("\n{count}\n")), "{drawn}");
        };
        check(&["a"], None, "1 warning");
        check(&["b", "a"], Some("also at b/Dockerfile:2:6"), "2 warnings");
        check(
            &["a", "b", "c"],
            Some("also at b/Dockerfile:2:6 and c/Dockerfile:2:6"),
            "3 warnings",
        );
        check(
            &["a", "b", "c", "d", "e"],
            Some("also at b/Dockerfile:2:6, c/Dockerfile:2:6 and 2 more"),
            "5 warnings",
        );
        let other = Diagnostic { rule: Rule::IgnoredFile, ..at("b") };
        assert_eq!(draw(&[at("a"), other], Paint::plain()).matches("warning[").count(), 2);
    }

    #[test]
    fn large_line_numbers_are_shown_correctly() {
        let text = format!("FROM x\n{}COPY --from=y / /\r\n\n", "# x\n".repeat(998));
        let source = Source::new(RelPath::new("d/Dockerfile").unwrap(), text);
        let at = source.text().find('y').unwrap();
        let problem = unknown_stage().at(&source, Span::new(at, at + 1), "").at(
            &source,
            Span::new(0, 6),
            "the only stage",
        );
        let expected = "\
error[unknown-stage]: there is no stage `y`
    --> d/Dockerfile:1000:13
     |
1000 | COPY --from=y / /
     |             ^
     |
    ::: d/Dockerfile:1:1
     |
   1 | FROM x
     | ------ the only stage

1 error
";
        assert_eq!(draw(&[problem], Paint::plain()), expected);
    }
}
