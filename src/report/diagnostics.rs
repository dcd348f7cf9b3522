//! Diagnostics drawn with the source line and a caret, by `annotate-snippets`.
//!
//! Owns how a problem in the user's files looks. The order is that of files, then of places.

use annotate_snippets::{AnnotationKind, Group, Level as DrawLevel, Origin, Snippet};

use crate::base::text::count;
use crate::base::{Diagnostic, Level};

use super::paint::Paint;
use super::summary;

/// All diagnostics, each drawn, with a line of counts at the end; empty where there are none.
pub fn draw(diagnostics: &[Diagnostic], paint: Paint) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    for diagnostic in sort(diagnostics) {
        text.push_str(&draw_one(diagnostic, paint));
        text.push_str("\n\n");
    }
    text.push_str(&counts(diagnostics));
    text.push('\n');
    text
}

/// Errors first, then in the order of files and places.
pub(super) fn sort(diagnostics: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_cached_key(|diagnostic| {
        let place = diagnostic.labels.first().map(|label| label.source.place(label.span));
        (std::cmp::Reverse(diagnostic.level), place, diagnostic.code)
    });
    sorted
}

/// `2 errors, 1 warning`
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
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut group = Group::with_title(title);
    let mut drawn: Vec<&str> = Vec::new();
    for label in &diagnostic.labels {
        let path = label.source.path().as_str();
        if drawn.contains(&path) {
            continue;
        }
        drawn.push(path);
        if label.source.text().is_empty() {
            group = group.element(Origin::path(path));
            continue;
        }
        // All places in one file are drawn in one piece of it.
        let in_file = diagnostic.labels.iter().filter(|other| other.source.path().as_str() == path);
        let is_first_file = drawn.len() == 1;
        let annotations = in_file.enumerate().map(|(at, label)| {
            let kind = if at == 0 && is_first_file {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            let annotation = kind.span(label.span.range());
            if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
        });
        let snippet = Snippet::source(label.source.text()).path(path).annotations(annotations);
        group = group.element(snippet);
    }
    for note in &diagnostic.notes {
        group = group.element(DrawLevel::NOTE.message(note.as_str()));
    }
    if let Some(hint) = &diagnostic.hint {
        let level = DrawLevel::HELP.with_name("hint");
        group = group.element(level.message(hint.as_str()));
    }
    summary::renderer(paint).render(&[group])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RelPath, Source, Span};

    #[test]
    fn problems_are_drawn_with_carets() {
        let source =
            Source::new(RelPath::new("d/Dockerfile").unwrap(), "FROM x\nCOPY --from=y / /\n");
        let problem = Diagnostic::error("unknown-stage", "there is no stage `y`")
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
}
