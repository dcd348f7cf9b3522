//! Parses any text. Checks that nothing panics, that the pieces cover the text without gaps, and that every span is
//! within the text.

#![no_main]

use layers::base::{Diagnostic, RelPath, Source, Span};
use layers::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source::new(RelPath::root(), text);
    let file = parse::parse(&source);
    let mut end = 0;
    for piece in &file.pieces {
        assert_eq!(piece.span.range().start, end, "pieces are contiguous");
        assert!(!piece.span.is_empty(), "a piece is not empty");
        end = piece.span.range().end;
    }
    assert_eq!(end, text.len(), "pieces cover the text to its end");
    for stage in &file.stages {
        check_span(&source, stage.from);
        check_span(&source, stage.base.span);
        stage.name.iter().for_each(|name| check_span(&source, name.span));
        for instruction in &stage.instructions {
            check_span(&source, instruction.span);
            check_span(&source, instruction.keyword.span);
            instruction.heredocs.iter().for_each(|heredoc| check_span(&source, heredoc.span));
            let length = instruction.text.len();
            check_span(&source, instruction.map.span(0..length));
        }
    }
    check_labels(&file.diagnostics);
    assert!(!file.stages.is_empty() || file.has_errors(), "a file without stages is an error");
    let (_, diagnostics) = parse::parse_trigger(&source);
    check_labels(&diagnostics);
});

fn check_span(source: &Source, span: Span) {
    source.slice(span);
    source.location(span);
}

fn check_labels(diagnostics: &[Diagnostic]) {
    for label in diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
        check_span(&label.source, label.span);
    }
}
