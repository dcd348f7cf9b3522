//! Finds the instruction behind a step that an engine names.
//!
//! BuildKit words a step as `[stage n/m] TEXT`, where n counts, within the stage, a base that is
//! an image and then each ADD, COPY, RUN and WORKDIR (moby/buildkit,
//! `frontend/dockerfile/dockerfile2llb`). An unnamed stage is `stage-N`, or has no name at all
//! where it is the only one.

use crate::base::Span;
use crate::parse::{Dockerfile, Instruction, Stage};

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
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace()
            .enumerate()
            .map(|(at, word)| if at == 0 { word.to_uppercase() } else { word.to_owned() })
            .collect()
    };
    words(a) == words(b)
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
