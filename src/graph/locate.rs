//! Finds the instruction behind a step that an engine names, or behind its message.
//!
//! BuildKit words a step as `[stage n/m] TEXT`, where n counts, within the stage, a base that is
//! an image and then each ADD, COPY, RUN and WORKDIR (moby/buildkit,
//! `frontend/dockerfile/dockerfile2llb`). An unnamed stage is `stage-N`, or has no name at all
//! where it is the only one.

use std::sync::LazyLock;

use regex::Regex;

use super::Image;
use super::reference::Reference;
use crate::base::{Source, Span};
use crate::parse::{Dockerfile, Instruction, Stage};

/// How BuildKit's parser names a line, in its versions.
static PARSE_ERROR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)parse error (?:on )?line (\d+)").ok());

/// A step as an engine names it.
#[derive(Debug, Clone, Copy)]
pub struct StepName<'a> {
    /// Its stage, where one is named.
    pub stage: Option<&'a str>,
    /// Its number in the stage; 0 for what is no instruction.
    pub number: u32,
    /// The instruction, or what the engine does.
    pub text: &'a str,
}

/// Where what failed is written: the file and the whole instruction, or the line. The file is
/// another one than the image's where a trigger of its base failed.
pub fn find_failure(
    image: &Image,
    step: Option<StepName<'_>>,
    message: &str,
) -> Option<(Source, Span)> {
    let by_step = step.and_then(|step| {
        find_step(&image.file, step.stage, step.number, step.text)
            .map(|span| (image.file.source.clone(), span))
            .or_else(|| find_trigger(image, step.text))
            .or_else(|| find_need(image, step.text))
    });
    by_step.or_else(|| {
        let line = PARSE_ERROR.as_ref()?.captures(message)?[1].parse().ok()?;
        Some((image.file.source.clone(), image.file.source.line_span(line)?))
    })
}

/// The `ONBUILD` line of a base behind a step of that text, which newer frontends name by the whole line.
fn find_trigger(image: &Image, text: &str) -> Option<(Source, Span)> {
    let text = text.strip_prefix("ONBUILD ").unwrap_or(text);
    let triggers = image.evaluation.stages.iter().flat_map(|stage| &stage.triggers);
    let mut same = triggers.filter(|it| is_same_text(&it.text, text));
    same.next().map(|trigger| (trigger.source.clone(), trigger.span))
}

/// The line that needs what the engine could not fetch: `load metadata for REFERENCE`, `FROM
/// REFERENCE` for the source of a `COPY`, or an address.
fn find_need(image: &Image, text: &str) -> Option<(Source, Span)> {
    let evaluation = &image.evaluation;
    let name = text.strip_prefix("load metadata for ").or(text.strip_prefix("FROM "));
    let found = match name {
        Some(name) => {
            let wanted = Reference::parse(name.trim()).ok()?;
            let mut needs = evaluation.needs.iter();
            let need = needs.find(|need| need.reference == wanted)?;
            (&need.source, need.span)
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

/// The span of the instruction that a step runs. Where the number leads to an instruction with
/// another keyword, or to none, the instruction of that text is taken; nothing where there is
/// none or more than one. Number 0 means that only the text is known.
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
    // Whether the base counts depends on what it is (an image does, a stage and `scratch` don't);
    // both are tried, and the text decides.
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
        // Variables are expanded in a step's text, so the texts may differ for good reason.
        ([], [first, ..]) => Some(first.span),
        _ => None,
    }
}

/// The only instruction of the whole file that has this text.
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

/// Equal but for blanks and the case of the keyword.
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
        let found = found.map(|span| file.source.place(span).line);
        assert_eq!(found, line, "{stage:?} {number} {text}");
    }

    #[test]
    fn steps_are_found_by_number_and_text() {
        // A base that is an image is the first step.
        check(Some("tools"), 1, "FROM docker.io/library/debian", Some(1));
        check(Some("tools"), 2, "RUN make tools", Some(2));
        // A base that is a stage is none.
        check(Some("build"), 1, "COPY . /src", Some(5));
        check(Some("build"), 2, "RUN make     all", Some(6));
        check(Some("BUILD"), 3, "WORKDIR /src", Some(8));
        // The engine expands variables; the keyword and the number still lead there.
        check(Some("build"), 4, "RUN make fast", Some(9));
        check(Some("stage-2"), 1, "COPY --from=build /src/out /", Some(12));
        check(None, 2, "RUN make all", Some(13));
        check(Some("nowhere"), 1, "RUN make", None);
        check(Some("tools"), 7, "RUN something else", None);
    }

    #[test]
    fn a_text_alone_is_found_where_it_stands_once() {
        check(None, 0, "RUN make tools", Some(2));
        check(None, 0, "RUN make all", None);
        check(None, 0, "RUN nothing", None);
    }
}
