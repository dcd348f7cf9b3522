//! Diagnostics with their source lines and carets, rendered by `annotate-snippets`.
//!
//! Owns the appearance of problems in the user's files. They are in the order of files, then of positions.
//! Each text of a diagnostic is one line: a line break in it comes from a name or a value, and is escaped.

use std::collections::HashMap;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as DrawLevel, Origin, Snippet};

use crate::base::text::count;
use crate::base::{Diagnostic, Label, Level, Source, Span};

use super::clean::{VisibleText, visible};
use super::paint::Paint;

/// Formats all diagnostics, followed by a line with their counts. Returns an empty string if there are none.
pub fn draw(diagnostics: &[Diagnostic], paint: Paint) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let drawn = sort(diagnostics).into_iter().map(|it| draw_one(it, paint) + "\n\n");
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
    use crate::base::{RelPath, Rule};

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
