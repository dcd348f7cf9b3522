//! Whether an image was built from a Dockerfile, or only on an image that was.
//!
//! Owns what is looked for: the newest step in an image's history is the last instruction of the
//! target, unless somebody started from the image and went on. BuildKit writes the instruction there
//! in a form of its own (moby/buildkit, `frontend/dockerfile/dockerfile2llb`: the shell before a
//! command, flags left out, lists in brackets), so letters and digits are all that is compared.
//! What can't be told is not taken for ours: the image is built once more, from the cache.

use crate::graph::Image;
use crate::graph::evaluate::Base;
use crate::parse::{Instruction, InstructionKind};

/// Whether the newest step of a history is the last one of an image's target.
pub(super) fn ends_with_target(image: &Image, newest: &str) -> bool {
    let Some(expected) = last_step(image) else { return false };
    let newest = newest.trim();
    let keyword = newest.split_whitespace().next().unwrap_or_default();
    if !keyword.eq_ignore_ascii_case(&expected.keyword) {
        return false;
    }
    let said = bare(&newest[keyword.len()..]);
    expected.parts.iter().all(|part| said.contains(&bare(part)))
}

/// A step as it can be recognised.
struct Expected {
    keyword: String,
    /// Texts that are in it whatever else is. What an engine expands is not among them.
    parts: Vec<String>,
}

/// The last step of the target: its last instruction, its base's last trigger, or the last one of
/// the stage that it starts from. Nothing where it is only another name for an image.
fn last_step(image: &Image) -> Option<Expected> {
    let mut at = image.evaluation.target?;
    loop {
        let (stage, view) = (image.file.stages.get(at)?, image.evaluation.stages.get(at)?);
        // An `ONBUILD` is no step of the image that carries it.
        let is_step = |it: &&Instruction| !matches!(it.kind, InstructionKind::Onbuild(_));
        if let Some(last) = stage.instructions.iter().rev().find(is_step) {
            return Some(expect(last));
        }
        if let Some(trigger) = view.triggers.last() {
            let keyword = trigger.text.split_whitespace().next()?.to_owned();
            return Some(Expected { keyword, parts: Vec::new() });
        }
        match view.base {
            // A stage starts from one above it, so this ends.
            Some(Base::Stage(index)) if index < at => at = index,
            _ => return None,
        }
    }
}

fn expect(instruction: &Instruction) -> Expected {
    let all: Vec<String> = match &instruction.kind {
        InstructionKind::Run(run) if instruction.heredocs.is_empty() => run.command.words.clone(),
        // The shell expands what is in a command, the engine does not.
        InstructionKind::Run(_) => Vec::new(),
        InstructionKind::Copy(copy) => vec![copy.files.destination.value.clone()],
        InstructionKind::Add(add) => vec![add.files.destination.value.clone()],
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => {
            pairs.iter().flat_map(|it| [it.name.value.clone(), it.value.value.clone()]).collect()
        }
        InstructionKind::Workdir(word) | InstructionKind::User(word) => vec![word.value.clone()],
        InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => {
            command.words.clone()
        }
        _ => Vec::new(),
    };
    let is_run = matches!(instruction.kind, InstructionKind::Run(_));
    let parts = all.into_iter().filter(|part| is_run || !part.contains(['$', '\\'])).collect();
    Expected { keyword: instruction.keyword.value.clone(), parts }
}

fn bare(text: &str) -> String {
    text.chars().filter(|character| character.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RelPath, Source};

    #[track_caller]
    fn check(instruction: &str, newest: &str, expected: bool) {
        let text = format!("FROM scratch\n{instruction}\n");
        let source = Source::new(RelPath::new("Dockerfile").unwrap(), text);
        let file = crate::parse::parse(&source);
        let expect = expect(file.stages[0].instructions.last().unwrap());
        let said = bare(newest.split_once(' ').map_or("", |(_, rest)| rest));
        let found = newest.starts_with(&expect.keyword)
            && expect.parts.iter().all(|part| said.contains(&bare(part)));
        assert_eq!(found, expected, "{instruction} / {newest}");
    }

    #[test]
    fn the_engines_words_are_recognised() {
        check("RUN make  all", "RUN /bin/sh -c make  all # buildkit", true);
        check("ARG A\nRUN echo $A", "RUN |1 A=b /bin/sh -c echo $A # buildkit", true);
        check("RUN [\"a\", \"b\"]", "RUN a b # buildkit", true);
        check("RUN make all", "RUN /bin/sh -c make none # buildkit", false);
        check("RUN make all", "ENV BY=hand", false);
        check("COPY --chown=1 a b /c/", "COPY a b /c/ # buildkit", true);
        check("COPY a $B", "COPY a /c # buildkit", true);
        check("ENV A b", "ENV A=b", true);
        check("ENV A=b", "ENV BY=hand", false);
        check("LABEL \"a b\"='c'", "LABEL a b=c", true);
        check("WORKDIR x", "WORKDIR /w/x", true);
        check("CMD echo hi", "CMD [\"/bin/sh\" \"-c\" \"echo hi\"]", true);
        check("EXPOSE 80", "EXPOSE map[80/tcp:{}]", true);
        check("HEALTHCHECK NONE", "HEALTHCHECK &{[\"NONE\"] \"0s\" \"0s\" \"0s\" '\\x00'}", true);
    }
}
