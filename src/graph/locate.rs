//! Finds the instruction that a step or an error message of an engine refers to.
//!
//! BuildKit names a step `[stage n/m] TEXT`, where n counts, within the stage, a base that is an
//! image and then each ADD, COPY, RUN, and WORKDIR (moby/buildkit,
//! `frontend/dockerfile/dockerfile2llb`). An unnamed stage is `stage-N`, or has no name if it is
//! the only one.

use std::sync::LazyLock;

use regex::Regex;

use super::Image;
use super::reference::Reference;
use crate::base::{Source, Span};
use crate::parse::{Dockerfile, Instruction, Stage};

/// The formats in which versions of BuildKit's parser report a line.
static PARSE_ERROR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)parse error (?:on )?line (\d+)").ok());

/// The name of a step, as an engine reports it.
#[derive(Debug, Clone, Copy)]
pub struct StepName<'a> {
    /// The name of its stage, if any.
    pub stage: Option<&'a str>,
    /// The number of the step in its stage; 0 if it is not an instruction.
    pub number: u32,
    /// The text of the instruction, or a description of what the engine does.
    pub text: &'a str,
}

/// Returns the file and the span of the instruction or line that failed. If a trigger of the base
/// failed, the file is not the image's Dockerfile.
pub fn find_failure(
    image: &Image,
    step: Option<StepName<'_>>,
    message: &str,
) -> Option<(Source, Span)> {
    let by_step = step.and_then(|step| {
        find_step(&image.file, step.stage, step.number, step.text)
            .map(|span| (image.file.source.clone(), span))
            .or_else(|| find_trigger(image, step.text))
            .or_else(|| find_dependency(image, step.text))
    });
    by_step.or_else(|| {
        let line = PARSE_ERROR.as_ref()?.captures(message)?[1].parse().ok()?;
        Some((image.file.source.clone(), image.file.source.line_span(line)?))
    })
}

/// Finds the `ONBUILD` instruction of a base with the text of a step. Newer frontends include the
/// `ONBUILD` keyword.
fn find_trigger(image: &Image, text: &str) -> Option<(Source, Span)> {
    let text = text.strip_prefix("ONBUILD ").unwrap_or(text);
    let triggers = image.evaluation.stages.iter().flat_map(|stage| &stage.triggers);
    let mut same = triggers.filter(|it| is_same_text(&it.text, text));
    same.next().map(|trigger| (trigger.source.clone(), trigger.span))
}

/// Finds the line that depends on what the engine could not fetch: `load metadata for REFERENCE`,
/// `FROM REFERENCE` for the source of a `COPY`, or a URL.
fn find_dependency(image: &Image, text: &str) -> Option<(Source, Span)> {
    let evaluation = &image.evaluation;
    let name = text.strip_prefix("load metadata for ").or(text.strip_prefix("FROM "));
    let found = match name {
        Some(name) => {
            let reference = Reference::parse(name.trim()).ok()?;
            let mut dependencies = evaluation.dependencies.iter();
            let dependency = dependencies.find(|dependency| dependency.reference == reference)?;
            (&dependency.source, dependency.span)
        }
        None => {
            let mut downloads = evaluation.downloads.iter();
            let download = downloads.find(|download| download.address == text.trim())?;
            (&download.source, download.span)
        }
    };
    let (source, span) = found;
    Some((source.clone(), source.line_span(source.line_of(span.start))?))
}

/// Returns the span of the instruction that a step runs. If the instruction with that number has
/// another keyword or does not exist, returns the instruction with the same text, or `None` if
/// there is none or more than one. Number 0 means that only the text is known.
pub fn find_step(
    file: &Dockerfile,
    stage_name: Option<&str>,
    number: u32,
    text: &str,
) -> Option<Span> {
    let keyword = text.split_whitespace().next()?;
    if number == 0 {
        return find_text(file, text);
    }
    let stage = find_stage(file, stage_name)?;
    if keyword.eq_ignore_ascii_case("FROM") {
        return Some(stage.from);
    }
    let counted: Vec<&Instruction> =
        stage.instructions.iter().filter(|it| is_counted(it)).collect();
    // Whether the base counts as a step depends on its kind: an image does, but a stage and
    // `scratch` do not. Try both numbers and compare the texts.
    let number = number as usize;
    let candidates = [number.checked_sub(2), number.checked_sub(1)];
    let by_number = candidates.into_iter().flatten().filter_map(|at| counted.get(at).copied());
    let of_keyword: Vec<&Instruction> =
        by_number.filter(|it| it.keyword.value.eq_ignore_ascii_case(keyword)).collect();
    let same_text = |it: &&&Instruction| is_same_text(&it.text, text);
    if let Some(found) = of_keyword.iter().find(same_text) {
        return Some(found.span);
    }
    let all: Vec<&&Instruction> = counted.iter().filter(same_text).collect();
    match (all.as_slice(), of_keyword.as_slice()) {
        ([only], _) => Some(only.span),
        // The text of a step has its variables expanded, so it can differ from the file's.
        ([], [first, ..]) => Some(first.span),
        _ => None,
    }
}

/// Returns the only instruction in the file with this text.
fn find_text(file: &Dockerfile, text: &str) -> Option<Span> {
    let all = file.stages.iter().flat_map(|stage| &stage.instructions);
    let mut same = all.filter(|it| is_counted(it) && is_same_text(&it.text, text));
    let first = same.next()?;
    same.next().is_none().then_some(first.span)
}

fn find_stage<'a>(file: &'a Dockerfile, name: Option<&str>) -> Option<&'a Stage> {
    let Some(name) = name else { return file.stages.last() };
    let named = |stage: &&Stage| {
        stage.name.as_ref().is_some_and(|stage| stage.value.eq_ignore_ascii_case(name))
    };
    file.stages.iter().rev().find(named).or_else(|| {
        let number: usize = name.strip_prefix("stage-")?.parse().ok()?;
        file.stages.get(number)
    })
}

fn is_counted(instruction: &Instruction) -> bool {
    matches!(instruction.keyword.value.as_str(), "ADD" | "COPY" | "RUN" | "WORKDIR")
}

/// Compares two texts, ignoring blanks and the case of the keyword.
fn is_same_text(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split_whitespace(), b.split_whitespace());
    a.next().map(str::to_uppercase) == b.next().map(str::to_uppercase) && a.eq(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RelPath, Source};

    const TEXT: &str = "\
FROM debian AS tools
RUN make tools

FROM tools AS build
COPY . /src
RUN make \\
    all
WORKDIR /src
RUN make $GOAL

FROM scratch
COPY --from=build /src/out /
RUN make all
";

    fn check(stage: Option<&str>, number: u32, text: &str, line: Option<u32>) {
        let path = RelPath::new("docker/x/Dockerfile").unwrap();
        let file = crate::parse::parse(&Source::new(path, TEXT));
        let found = find_step(&file, stage, number, text);
        let found = found.map(|span| file.source.location(span).line);
        assert_eq!(found, line, "{stage:?} {number} {text}");
    }

    #[test]
    fn steps_are_found_by_number_and_text() {
        // A base that is an image is the first step.
        check(Some("tools"), 1, "FROM docker.io/library/debian", Some(1));
        check(Some("tools"), 2, "RUN make tools", Some(2));
        // A base that is a stage is not a step.
        check(Some("build"), 1, "COPY . /src", Some(5));
        check(Some("build"), 2, "RUN make     all", Some(6));
        check(Some("BUILD"), 3, "WORKDIR /src", Some(8));
        // The engine expands variables. The keyword and the number still match.
        check(Some("build"), 4, "RUN make fast", Some(9));
        check(Some("stage-2"), 1, "COPY --from=build /src/out /", Some(12));
        check(None, 2, "RUN make all", Some(13));
        check(Some("nowhere"), 1, "RUN make", None);
        check(Some("tools"), 7, "RUN something else", None);
    }

    #[test]
    fn steps_without_a_number_are_found_if_their_text_is_unique() {
        check(None, 0, "RUN make tools", Some(2));
        check(None, 0, "RUN make all", None);
        check(None, 0, "RUN nothing", None);
    }
}
