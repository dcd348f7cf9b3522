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
