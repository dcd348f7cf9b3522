//! BuildKit's checks of a Dockerfile with `error=true`: if one fails, BuildKit refuses to build.
//!
//! Owns the checks that need nothing but the Dockerfile, by BuildKit's names (`frontend/dockerfile/linter/ruleset.go`),
//! and when BuildKit makes them (<https://docs.docker.com/build/checks/>). It leaves everything else to the engine: checks
//! that depend on a base image, and files in which comments configure checks for single instructions.

use std::collections::BTreeSet;

use crate::base::{Diagnostic, Rule, Span};
use crate::engine::Frontend;
use crate::graph::Image;
use crate::parse::{InstructionKind, Stage};

use super::frontend::version_of;
use super::silence::is_true;

/// The first frontend with checks.
const SINCE: Frontend = Frontend::new(1, 8);

/// The build argument that replaces the directive.
const ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// A check that fails, so that BuildKit refuses to build.
#[derive(Debug, Clone)]
pub struct FailedCheck {
    /// BuildKit's name of the check.
    pub name: &'static str,
    /// The error.
    pub diagnostic: Diagnostic,
}

/// Returns the failed checks of an image that a frontend refuses to build, which are empty if only others may fail.
/// `frontend` is the engine's own; `None` if it is unknown, or the newest. Returns `None` if nothing is refused.
pub fn failed(image: &Image, frontend: Option<Frontend>) -> Option<Vec<FailedCheck>> {
    let knows_checks = match image.named_frontend() {
        Some(name) => version_of(name).is_some_and(|version| version >= SINCE),
        None => frontend.is_none_or(|version| version >= SINCE),
    };
    let skipped = SkippedChecks::of(image).filter(|_| knows_checks)?;
    if has_comments(image) {
        return Some(Vec::new());
    }
    let mut found = Found { image, skipped, checks: Vec::new() };
    found.check_stages();
    found.check_casing();
    found.check_instructions();
    Some(found.checks)
}

/// Returns the Dockerfiles without a failed check that a frontend refuses to build if another check fails.
pub fn undecided<'a>(
    images: impl Iterator<Item = &'a Image>,
    frontend: Option<Frontend>,
) -> BTreeSet<&'a str> {
    let is_open = |image: &&Image| failed(image, frontend).is_some_and(|it| it.is_empty());
    images.filter(is_open).map(|image| image.dockerfile.as_str()).collect()
}

/// Which checks BuildKit skips.
struct SkippedChecks {
    all: bool,
    names: BTreeSet<String>,
}

impl SkippedChecks {
    /// Returns the skipped checks of an image whose build fails if another one does.
    fn of(image: &Image) -> Option<SkippedChecks> {
        let directive = image.file.directives.check.as_ref().map(|it| it.value.as_str());
        let options = image.build_args.get(ARGUMENT).map(String::as_str).or(directive)?;
        let mut skipped = SkippedChecks { all: false, names: BTreeSet::new() };
        let mut fails = false;
        for option in options.trim().splitn(3, ';') {
            // Invalid options are reported where they are parsed, or by the engine.
            let (name, value) = option.split_once('=')?;
            match (name.trim(), value.trim()) {
                ("skip", "all") => skipped.all = true,
                ("skip", names) => {
                    skipped.names = names.split(',').map(|name| name.trim().to_owned()).collect();
                }
                ("error", value) => fails = is_true(value),
                _ => {}
            }
        }
        fails.then_some(skipped)
    }
}

/// Returns whether comments may configure checks for single instructions.
fn has_comments(image: &Image) -> bool {
    let comments = image.file.source.text().lines().filter_map(|line| {
        line.trim_start()
            .strip_prefix('#')?
            .trim_start()
            .get(..5)?
            .eq_ignore_ascii_case("check")
            .then_some(())
    });
    comments.count() > usize::from(image.file.directives.check.is_some())
}

struct Found<'a> {
    image: &'a Image,
    skipped: SkippedChecks,
    checks: Vec<FailedCheck>,
}

impl Found<'_> {
    fn add(
        &mut self,
        name: &'static str,
        span: Span,
        message: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) {
        if self.skipped.all || self.skipped.names.contains(name) {
            return;
        }
        let message = format!("BuildKit's check {name} fails: {}", message.as_ref());
        let hint = format!("{}, or add `skip={name}` to the options of `check`", hint.as_ref());
        let diagnostic = Diagnostic::new(Rule::FailedCheck, message)
            .at(&self.image.file.source, span, "")
            .note("with `error=true`, BuildKit does not build")
            .hint(hint);
        self.checks.push(FailedCheck { name, diagnostic });
    }

    /// Checks the names of the stages and the words of each `FROM`, whether the stages are reached or not.
    fn check_stages(&mut self) {
        let file = &self.image.file;
        let mut names = BTreeSet::new();
        for stage in &file.stages {
            let Some(name) = &stage.name else { continue };
            if matches!(name.value.as_str(), "context" | "scratch") {
                let message = format!("`{}` is a reserved name", name.value);
                self.add("ReservedStageName", name.span, message, "rename the stage");
            }
            if !names.insert(name.value.as_str()) {
                let message = format!("duplicate stage name `{}`", name.value);
                self.add("DuplicateStageName", name.span, message, "rename the stage");
            }
            let Some([from, keyword, written]) = words_of(stage) else { continue };
            if written != name.value {
                let hint = format!("write `{}`", name.value);
                let message = format!("stage name `{written}` is not lowercase");
                self.add("StageNameCasing", name.span, message, hint);
            }
            let expected = match (is_lower(from), is_upper(from)) {
                (true, _) => "as",
                (_, true) => "AS",
                _ => continue,
            };
            if keyword != expected {
                let message = format!("`{keyword}` does not match the casing of `{from}`");
                self.add("FromAsCasing", stage.from, message, format!("write `{expected}`"));
            }
        }
        let empty = file.diagnostics.iter().filter(|it| it.rule == Rule::EmptyContinuation);
        for problem in empty {
            let span = problem.labels.first().map_or(Span::default(), |label| label.span);
            self.add("NoEmptyContinuation", span, "empty continuation line", "remove the line");
        }
    }

    /// Checks the casing of all keywords against that of most of them.
    fn check_casing(&mut self) {
        let file = &self.image.file;
        let keywords = file.stages.iter().flat_map(|stage| {
            let from = (keyword_of(&stage.text), stage.from);
            let others = stage.instructions.iter();
            [from].into_iter().chain(others.map(|it| (keyword_of(&it.text), it.keyword.span)))
        });
        let keywords: Vec<(&str, Span)> = keywords.collect();
        let lower = keywords.iter().filter(|(word, _)| is_lower(word)).count();
        let upper = keywords.iter().filter(|(word, _)| is_upper(word)).count();
        for (word, span) in keywords {
            let expected = if lower > upper { word.to_lowercase() } else { word.to_uppercase() };
            if word != expected {
                let message = format!("`{word}` does not match the casing of most instructions");
                let hint = format!("write `{expected}`");
                self.add("ConsistentInstructionCasing", span, message, hint);
            }
        }
    }

    fn check_instructions(&mut self) {
        let (file, views) = (&self.image.file, &self.image.evaluation.stages);
        for (stage, view) in file.stages.iter().zip(views) {
            let mut last = [None; 3];
            for instruction in &stage.instructions {
                let span = instruction.keyword.span;
                if matches!(instruction.kind, InstructionKind::Maintainer(_)) {
                    let hint = "write `LABEL org.opencontainers.image.authors=…`";
                    self.add("MaintainerDeprecated", span, "MAINTAINER is deprecated", hint);
                }
                if !view.reached || view.replaced {
                    continue;
                }
                let place = match &instruction.kind {
                    InstructionKind::Cmd(_) => &mut last[0],
                    InstructionKind::Entrypoint(_) => &mut last[1],
                    InstructionKind::Healthcheck(_) => &mut last[2],
                    InstructionKind::Env(pairs) | InstructionKind::Label(pairs)
                        if pairs.iter().any(|pair| pair.spaced) =>
                    {
                        let hint = "write `NAME=VALUE`";
                        self.add("LegacyKeyValueFormat", span, "a blank instead of `=`", hint);
                        continue;
                    }
                    _ => continue,
                };
                if let Some(earlier) = place.replace(span) {
                    let word = &instruction.keyword.value;
                    let message = format!("a later {word} in the stage replaces this one");
                    self.add("MultipleInstructionsDisallowed", earlier, message, "remove it");
                }
            }
        }
    }
}

/// Returns the keyword of a joined line as written.
fn keyword_of(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// Returns the keyword, `AS`, and the name of a stage as written.
fn words_of(stage: &Stage) -> Option<[&str; 3]> {
    let mut words = stage.text.split_whitespace();
    let from = words.next()?;
    let words: Vec<&str> = words.skip_while(|word| word.starts_with("--")).collect();
    match words.as_slice() {
        [_, keyword, name] => Some([from, keyword, name]),
        _ => None,
    }
}

fn is_lower(word: &str) -> bool {
    word == word.to_lowercase()
}

fn is_upper(word: &str) -> bool {
    word == word.to_uppercase()
}

#[cfg(test)]
mod tests;
