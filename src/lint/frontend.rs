//! What a Dockerfile uses that the frontend that will read it may not support yet.
//!
//! Owns the table of features by version of `docker/dockerfile` (<https://docs.docker.com/reference/dockerfile/>), and
//! the search for them. The parser here follows the latest rules. An engine has its own, possibly older frontend, whose
//! errors about new syntax often point to another line.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::base::{Diagnostic, Rule, Span};
use crate::engine::Frontend;
use crate::graph::Image;
use crate::graph::reference::Reference;
use crate::parse::{Instruction, InstructionKind};

/// The build argument that sets the time of reproducible builds, and the first frontend that supports it (BuildKit,
/// `docs/build-repro.md`).
const EPOCH: &str = "SOURCE_DATE_EPOCH";
const SINCE_EPOCH: Frontend = Frontend::new(1, 5);

/// The hint for an image that uses something newer than the engine's frontend.
const HINT: &str =
    "start the Dockerfile with `# syntax=docker/dockerfile:1`, or use a newer engine";
/// Forms of `${…}` that are newer than `${V:-w}` and `${V:+w}`.
static EXPANSIONS: LazyLock<[(Regex, &str, Frontend); 2]> = LazyLock::new(|| {
    let regex = |text: &str| Regex::new(text).unwrap_or_else(|error| unreachable!("{error}"));
    [
        (
            regex(r"\$\{[A-Za-z_][A-Za-z0-9_]*[-+?]"),
            "`${V-w}` without a colon",
            Frontend::new(1, 6),
        ),
        (
            regex(r"\$\{[A-Za-z_][A-Za-z0-9_]*[#%/]"),
            "an expansion such as `${V#p}`",
            Frontend::new(1, 7),
        ),
    ]
});

/// Returns warnings about what images use and a version of the frontend does not support. Skips Dockerfiles that name
/// their frontend.
pub fn newer_than<'a>(
    images: impl IntoIterator<Item = &'a Image>,
    frontend: Frontend,
) -> Vec<Diagnostic> {
    let mut reported: BTreeSet<(&str, Span, &str)> = BTreeSet::new();
    let mut problems = Vec::new();
    for image in images {
        if image.names_frontend() {
            continue;
        }
        for (span, what, since) in uses_of(image).into_iter().filter(|it| it.2 > frontend) {
            // Images may share a Dockerfile.
            if reported.insert((image.dockerfile.as_str(), span, what)) {
                let message = format!(
                    "{what} requires Dockerfile frontend {since} or later, but this build uses {frontend}"
                );
                let problem = Diagnostic::new(Rule::OldFrontend, message);
                problems.push(problem.at(&image.file.source, span, "").hint(HINT));
            }
        }
    }
    problems
}

/// Returns a warning if a time is set for images that a version of the frontend gives the current time regardless.
pub fn passes_over_epoch<'a>(
    images: impl IntoIterator<Item = &'a Image>,
    frontend: Frontend,
) -> Option<Diagnostic> {
    let is_set = |image: &&Image| image.build_args.contains_key(EPOCH) && !image.names_frontend();
    images.into_iter().find(is_set).filter(|_| frontend < SINCE_EPOCH)?;
    let message = format!(
        "`{EPOCH}` requires Dockerfile frontend {SINCE_EPOCH} or later, but this build uses {frontend}, \
         which ignores it: images will have the time of their build"
    );
    let problem = Diagnostic::new(Rule::OldFrontend, message);
    Some(problem.hint("use a newer engine, or unset it"))
}

/// Returns what an image's Dockerfile uses, where, and since which version that is supported. Unused stages count too:
/// a frontend reads the whole file.
fn uses_of(image: &Image) -> Vec<(Span, &'static str, Frontend)> {
    let file = &image.file;
    let mut uses = Vec::new();
    for stage in &file.stages {
        uses.extend(expansions(&stage.text, stage.from));
    }
    let stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    for instruction in file.globals.iter().chain(stages) {
        uses.extend(uses_of_instruction(instruction));
    }
    let uses_contexts = image.contexts.values().any(|it| image.evaluation.uses_context(it));
    if let (Some(stage), true) = (file.stages.first(), uses_contexts) {
        uses.push((stage.from, "a named context", Frontend::new(1, 4)));
    }
    uses
}

fn uses_of_instruction(instruction: &Instruction) -> Vec<(Span, &'static str, Frontend)> {
    let mut found: Vec<(&'static str, Frontend)> = Vec::new();
    let mut put = |uses: bool, what, since| found.extend(uses.then_some((what, since)));
    put(!instruction.heredocs.is_empty(), "a here-document", Frontend::new(1, 4));
    match &instruction.kind {
        InstructionKind::Copy(copy) => {
            put(!copy.files.inline.is_empty(), "a here-document", Frontend::new(1, 4));
            put(copy.files.link, "`--link`", Frontend::new(1, 4));
            put(copy.parents, "`--parents`", Frontend::new(1, 20));
            put(!copy.files.excludes.is_empty(), "`--exclude`", Frontend::new(1, 19));
        }
        InstructionKind::Add(add) => {
            put(!add.files.inline.is_empty(), "a here-document", Frontend::new(1, 4));
            put(add.files.link, "`--link`", Frontend::new(1, 4));
            put(add.checksum.is_some(), "`--checksum`", Frontend::new(1, 6));
            put(add.unpack.is_some(), "`--unpack`", Frontend::new(1, 17));
            put(!add.files.excludes.is_empty(), "`--exclude`", Frontend::new(1, 19));
        }
        InstructionKind::Run(run) => {
            put(run.network.is_some(), "`--network`", Frontend::new(1, 3));
            put(run.security.is_some(), "`--security`", Frontend::new(1, 20));
        }
        _ => {}
    }
    found.dedup();
    // The frontend does not expand what a shell expands.
    let is_shells = matches!(
        instruction.kind,
        InstructionKind::Run(_)
            | InstructionKind::Cmd(_)
            | InstructionKind::Entrypoint(_)
            | InstructionKind::Healthcheck(_)
            | InstructionKind::Onbuild(_)
            | InstructionKind::Invalid
    );
    let text = if is_shells { "" } else { instruction.text.as_str() };
    let first = instruction.keyword.span;
    let mut uses: Vec<_> = found.into_iter().map(|(what, since)| (first, what, since)).collect();
    uses.extend(expansions(text, first));
    uses
}

fn expansions(text: &str, span: Span) -> Vec<(Span, &'static str, Frontend)> {
    let uses = EXPANSIONS.iter().filter(|(regex, ..)| regex.is_match(text));
    uses.map(|(_, what, since)| (span, *what, *since)).collect()
}

/// The repositories of BuildKit's own frontend, released and unreleased.
const REPOSITORIES: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Returns the version of `docker/dockerfile` that a `# syntax=` line names, or `None` if it names another frontend or
/// no version. An omitted part means the latest.
pub fn version_of(syntax: &str) -> Option<Frontend> {
    const NEWEST: u32 = u32::MAX;
    let reference = Reference::parse(syntax.split_whitespace().next()?).ok()?;
    let is_it = reference.domain == "docker.io" && REPOSITORIES.contains(&&*reference.path);
    let tag = reference.tag.filter(|_| is_it)?;
    let tag = tag.strip_suffix("-labs").unwrap_or(&tag);
    if matches!(tag, "latest" | "labs" | "master") {
        return Some(Frontend::new(NEWEST, NEWEST));
    }
    let mut numbers = tag.split('.').map(str::parse);
    let major = numbers.next()?.ok()?;
    Some(Frontend::new(major, numbers.next().unwrap_or(Ok(NEWEST)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frontend_versions_are_parsed() {
        let newest = u32::MAX;
        let check = |syntax: &str, expected: Option<Frontend>, contexts: bool| {
            assert_eq!(version_of(syntax), expected, "{syntax}");
            assert_eq!(expected.is_some_and(Frontend::knows_contexts), contexts, "{syntax}");
        };
        check("docker/dockerfile:1", Some(Frontend::new(1, newest)), true);
        check("docker.io/docker/dockerfile:1.4 more", Some(Frontend::new(1, 4)), true);
        check("docker/dockerfile:1.3", Some(Frontend::new(1, 3)), false);
        check("docker/dockerfile:1.3.1-labs", Some(Frontend::new(1, 3)), false);
        check("docker/dockerfile:1.10-labs", Some(Frontend::new(1, 10)), true);
        check("docker/dockerfile", Some(Frontend::new(newest, newest)), true);
        check("docker/dockerfile-upstream:master", Some(Frontend::new(newest, newest)), true);
        check("docker/dockerfile:labs", Some(Frontend::new(newest, newest)), true);
        check("docker/dockerfile:experimental", None, false);
        check("docker/dockerfile:1-experimental", None, false);
        check(&format!("docker/dockerfile@sha256:{}", "0".repeat(64)), None, false);
        check(
            &format!("docker/dockerfile:1.4@sha256:{}", "0".repeat(64)),
            Some(Frontend::new(1, 4)),
            true,
        );
        check("acme/dockerfile:1", None, false);
        check("ghcr.io/docker/dockerfile:1", None, false);
        check("", None, false);
    }
}
