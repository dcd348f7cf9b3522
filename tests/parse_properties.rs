//! Parsing and evaluating never fail, whatever the text, and agree with another parser.

#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]

use std::fmt::Write as _;

use layers::base::{RelPath, Source};
use layers::graph::evaluate::{
    Base, Evaluation, EvaluationSettings, Trigger, evaluate, triggers_of,
};
use layers::graph::reference::Reference;
use layers::parse::{Dockerfile, parse};
use proptest::prelude::*;
use serde_json::Value;

fn source(text: &str) -> Source {
    Source::new(RelPath::new("Dockerfile").unwrap(), text)
}

fn evaluate_alone(file: &Dockerfile) -> Evaluation {
    evaluate(file, &EvaluationSettings::default(), &|_: &Reference| Vec::new())
}

/// Parses and evaluates a text, and checks what is true for every text.
fn check_total(text: &str) {
    let source = source(text);
    let file = parse(&source);
    let mut at = 0;
    for piece in &file.pieces {
        assert_eq!(piece.span.start, at, "a gap or an overlap in {text:?}");
        assert!(piece.span.end > at, "an empty piece in {text:?}");
        at = piece.span.end;
    }
    assert_eq!(at as usize, text.len(), "the pieces do not reach the end of {text:?}");
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        let keyword = source.slice(instruction.keyword.span).to_ascii_uppercase();
        if !keyword.contains(['\n', '\\', '`']) {
            assert_eq!(keyword, instruction.keyword.value, "{text:?}");
        }
    }
    assert!(!file.stages.is_empty() || file.has_errors(), "{text:?}");
    // Its own triggers run in it too, as if each image were its own child.
    let last = file.stages.len().saturating_sub(1);
    let triggers = |_: &Reference| -> Vec<Trigger> { triggers_of(&file, last) };
    let evaluation = evaluate(&file, &EvaluationSettings::default(), &triggers);
    assert_eq!(evaluation.stages.len(), file.stages.len());
    for diagnostic in file.diagnostics.iter().chain(&evaluation.diagnostics) {
        for label in &diagnostic.labels {
            // Panics if a span is not on character boundaries of the file.
            label.source.slice(label.span);
            assert!(label.source.location(label.span).line > 0);
        }
    }
    for dependency in &evaluation.dependencies {
        assert!(!dependency.source.slice(dependency.span).is_empty(), "{text:?}: {dependency:?}");
    }
}

const PIECES: &[&str] = &[
    "FROM ",
    "from ",
    "COPY ",
    "ADD ",
    "RUN ",
    "ARG ",
    "ENV ",
    "ONBUILD ",
    "LABEL ",
    "USER ",
    "HEALTHCHECK ",
    "SHELL ",
    "VOLUME ",
    "CMD ",
    "WORKDIR ",
    "--from=",
    "--mount=",
    "type=bind",
    "type=secret",
    ",",
    "from=",
    "target=/x",
    "source=",
    "--platform=",
    "--chown=",
    "--link",
    "--exclude=",
    "AS ",
    "as ",
    "a",
    "b",
    "scratch",
    "alpine:3",
    "a/b",
    "0",
    "1",
    ".",
    "/x",
    "$",
    "${",
    "}",
    "$V",
    "${V:-",
    "${V#",
    "${V//",
    "V=",
    "=",
    "\"",
    "'",
    "\\",
    "`",
    " ",
    "\t",
    "\r",
    "\n",
    "\n",
    "\n",
    "\\\n",
    "`\n",
    "<<",
    "<<-",
    "<<EOF",
    "EOF",
    "\nEOF\n",
    "[\"",
    "\"]",
    "\", \"",
    "#",
    "# escape=`\n",
    "# syntax=x\n",
    "# check=x\n",
    "#!",
    "\u{feff}",
    "\u{a0}",
    "é",
    "http://h/x",
    "git@h:x",
    "https://h/x.git",
    "@sha256:",
    "--",
    "NONE",
    "\u{0}",
];

fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(PIECES).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn any_text_is_parsed_completely(text in "\\PC*|[\\s\\S]*") {
        check_total(&text);
    }

    #[test]
    fn dockerfile_like_text_is_parsed_completely(pieces in prop::collection::vec(piece(), 0..60)) {
        check_total(&pieces.concat());
    }

    #[test]
    fn text_that_starts_like_a_dockerfile_is_parsed_completely(pieces in prop::collection::vec(piece(), 0..60)) {
        check_total(&format!("FROM alpine AS a\n{}", pieces.concat()));
    }
}

#[test]
fn every_case_is_parsed_completely() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases/dockerfile.json")).unwrap();
    for case in &cases {
        check_total(case["dockerfile"].as_str().unwrap());
    }
}

#[test]
fn long_files_and_long_stage_chains_are_evaluated() {
    let mut long = String::from("FROM alpine\n");
    while long.len() < 1 << 20 {
        let number = long.len();
        writeln!(long, "ENV V{number}=$V1 \\\n  # why\n  W=${{V{number}:-x}}\nCOPY a{number} /")
            .unwrap();
    }
    assert!(evaluate_alone(&parse(&source(&long))).diagnostics.is_empty());

    let one_line = format!("FROM alpine\nRUN {}", "x \\\n".repeat(300_000));
    assert!(!parse(&source(&one_line)).has_errors());

    let mut chain = String::from("FROM alpine AS s0\n");
    for number in 1..10_000 {
        let below = number - 1;
        writeln!(chain, "FROM s{below} AS s{number}\nENV V{number}=$V1\nCOPY --from=s{below} a b")
            .unwrap();
    }
    let file = parse(&source(&chain));
    let evaluation = evaluate_alone(&file);
    assert!(evaluation.diagnostics.is_empty());
    assert!(evaluation.stages.iter().all(|stage| stage.reached));
    assert_eq!(evaluation.stages[9_999].values.all().len(), 10_000);

    let mut circle = String::new();
    for number in 0..10_000 {
        let next = (number + 1) % 10_000;
        writeln!(circle, "FROM alpine AS s{number}\nCOPY --from=s{next} a b").unwrap();
    }
    let codes: Vec<&str> = evaluate_alone(&parse(&source(&circle)))
        .diagnostics
        .iter()
        .map(|one| one.rule.code())
        .collect();
    assert!(codes.contains(&"stage-cycle"));
}

/// An independent parser gives the same result for files that both accept.
#[test]
fn results_match_an_independent_parser() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases/dockerfile.json")).unwrap();
    let mut compared = 0;
    for case in &cases {
        let (id, text) = (&case["id"], case["dockerfile"].as_str().unwrap());
        let ours = parse(&source(text));
        let Ok(theirs) = parse_dockerfile::parse(text) else { continue };
        // It does not parse here-documents after ONBUILD.
        if ours.has_errors() || text.contains("ONBUILD RUN <<") {
            continue;
        }
        let found: Vec<String> = ours
            .stages
            .iter()
            .map(|stage| {
                format!("{} {:?}", stage.base.value, stage.name.as_ref().map(|n| &n.value))
            })
            .collect();
        let expected: Vec<String> = theirs
            .stages()
            .map(|stage| {
                let name = stage.from.as_.as_ref().map(|(_, name)| name.value.to_lowercase());
                format!("{} {name:?}", stage.from.image.value)
            })
            .collect();
        let counts: Vec<usize> = ours.stages.iter().map(|stage| stage.instructions.len()).collect();
        let their_counts: Vec<usize> =
            theirs.stages().map(|stage| stage.instructions.len()).collect();
        assert_eq!((found, counts), (expected, their_counts), "{id}: {text}");
        compared += 1;
    }
    assert!(compared > 80, "only {compared} files were compared");
}

#[test]
fn dependencies_have_the_location_of_their_reference() {
    let text = "FROM \\\n  # why\n  a/b AS x\nRUN --mount=type=bind,from=c/d,target=/t \\\n   \
                --mount=target=/u,from=\"e/f\" true\nCOPY --link \\\n --from=g/h /x /\n\
                ONBUILD COPY \\\n  --from=i/j /x /\nFROM x\n";
    let file = parse(&source(text));
    let evaluation = evaluate_alone(&file);
    assert!(evaluation.diagnostics.is_empty(), "{:?}", evaluation.diagnostics);
    let places: Vec<(String, String, &str)> = evaluation
        .dependencies
        .iter()
        .map(|dependency| {
            let place = dependency.source.location(dependency.span).to_string();
            (dependency.reference.familiar(), place, dependency.source.slice(dependency.span))
        })
        .collect();
    let expected = [
        ("a/b:latest", "Dockerfile:3:3", "a/b"),
        ("c/d:latest", "Dockerfile:4:28", "c/d"),
        ("e/f:latest", "Dockerfile:5:28", "e/f"),
        ("g/h:latest", "Dockerfile:7:9", "g/h"),
        ("i/j:latest", "Dockerfile:9:10", "i/j"),
    ];
    let expected = expected.map(|(image, place, text)| (image.to_owned(), place.to_owned(), text));
    assert_eq!(places, expected);
    assert_eq!(evaluation.stages[1].base, Some(Base::Stage(0)));
}
