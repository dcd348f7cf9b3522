//! Any text is read: nothing panics, the pieces tile the text, and every span lies within it.

#![no_main]

use layers::base::{Diagnostic, RelPath, Source, Span};
use layers::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = Source::new(RelPath::root(), text);
    let file = parse::parse(&source);
    let mut end = 0;
    for piece in &file.pieces {
        assert_eq!(piece.span.range().start, end, "pieces follow each other");
        assert!(!piece.span.is_empty(), "a piece holds something");
        end = piece.span.range().end;
    }
    assert_eq!(end, text.len(), "pieces reach the end");
    for stage in &file.stages {
        look_at(&source, stage.from);
        look_at(&source, stage.base.span);
        stage.name.iter().for_each(|name| look_at(&source, name.span));
        for instruction in &stage.instructions {
            look_at(&source, instruction.span);
            look_at(&source, instruction.keyword.span);
            instruction.heredocs.iter().for_each(|heredoc| look_at(&source, heredoc.span));
            let length = instruction.text.len();
            look_at(&source, instruction.map.span(0..length));
        }
    }
    look_at_all(&file.diagnostics);
    assert!(!file.stages.is_empty() || file.has_errors(), "a file without stages is an error");
    let (_, diagnostics) = parse::parse_trigger(&source);
    look_at_all(&diagnostics);
});

fn look_at(source: &Source, span: Span) {
    source.slice(span);
    source.place(span);
}

fn look_at_all(diagnostics: &[Diagnostic]) {
    for label in diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
        look_at(&label.source, label.span);
    }
}
