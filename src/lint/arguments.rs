//! Build arguments that are given, on the command line or in `layers.toml`, but that no Dockerfile declares.
//!
//! Owns the search for declarations, and the names that do not need one because builders predefine them
//! (<https://docs.docker.com/reference/dockerfile/#predefined-args>).

use std::collections::{BTreeSet, HashMap};

use crate::base::text::{list, suggest};
use crate::base::{Diagnostic, RelPath, Rule};
use crate::graph::{Graph, Image};
use crate::parse::{Dockerfile, InstructionKind};
use crate::scan::config::{Args, ConfigFile};
use crate::scan::groups::FoundDockerfile;

const PREDEFINED: [&str; 6] =
    ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy", "source_date_epoch"];

/// Returns a warning about the names that none of the images declares, or `None` if all are declared.
pub fn undeclared<'a>(
    names: impl Iterator<Item = &'a str>,
    images: impl Iterator<Item = &'a Image>,
) -> Option<Diagnostic> {
    let mut open: BTreeSet<&str> = names.filter(|name| !is_predefined(name)).collect();
    if open.is_empty() {
        return None;
    }
    let mut declared = BTreeSet::new();
    for image in images {
        if has_other_frontend(image) {
            // Another frontend may use arguments differently.
            return None;
        }
        each_declared(&image.file, &mut |name| declared.extend([name]));
    }
    open.retain(|name| !declared.contains(name));
    let first = open.first()?;
    let plural = if open.len() > 1 { "s" } else { "" };
    let message = format!("no Dockerfile declares the build argument{plural} {}", list(&open));
    let problem = Diagnostic::new(Rule::UnusedArgument, message);
    let hint = suggest(first, declared);
    Some(
        problem.hint(hint.unwrap_or_else(|| format!("declare it where it is used: `ARG {first}`"))),
    )
}

/// Returns a warning for each build argument of `layers.toml` that none of its images declares. `found` are the
/// Dockerfiles with their groups.
pub fn undeclared_settings(
    graph: &Graph,
    file: &ConfigFile,
    found: &[FoundDockerfile],
) -> Vec<Diagnostic> {
    let config = &file.config;
    let groups: HashMap<&RelPath, usize> =
        found.iter().filter_map(|it| Some((&it.path, it.group?))).collect();
    let images = || graph.images.values();
    let mut problems = undeclared_in(&config.args, file, images(), "no Dockerfile declares");
    for (at, group) in config.group.iter().enumerate() {
        let members = images().filter(|image| groups.get(&image.dockerfile) == Some(&at));
        let subject = "no Dockerfile of this group declares";
        problems.extend(undeclared_in(&group.get_ref().args, file, members, subject));
    }
    for (name, settings) in &config.image {
        let name = name.get_ref().as_str();
        // Images of several targets are named after the section.
        let is_own = |image: &&Image| {
            let rest = image.name.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let subject = format!("the Dockerfile of `{name}` does not declare");
        problems.extend(undeclared_in(&settings.args, file, images().filter(is_own), &subject));
    }
    problems
}

/// Returns a warning for each of some settings that none of the images declares.
fn undeclared_in<'a>(
    args: &Args,
    file: &ConfigFile,
    images: impl Iterator<Item = &'a Image>,
    subject: &str,
) -> Vec<Diagnostic> {
    if args.is_empty() {
        return Vec::new();
    }
    let mut declared = BTreeSet::new();
    let mut is_empty = true;
    for image in images {
        // A file that cannot be read may declare anything.
        if has_other_frontend(image) || image.file.stages.is_empty() {
            return Vec::new();
        }
        is_empty = false;
        each_declared(&image.file, &mut |name| declared.extend([name]));
    }
    let unused = args
        .iter()
        .filter(|(name, _)| !is_empty && !is_predefined(name) && !declared.contains(name.as_str()));
    let describe = |(name, value): (&String, &toml::Spanned<_>)| {
        let message = format!("{subject} the build argument `{name}`");
        let hint = suggest(name, declared.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("remove it, or declare it: `ARG {name}`"));
        Diagnostic::new(Rule::UnusedArgument, message)
            .at(&file.source, ConfigFile::span(value), "has no effect")
            .hint(hint)
    };
    unused.map(describe).collect()
}

/// Returns whether a build accepts a name without an `ARG`.
fn is_predefined(name: &str) -> bool {
    let platform = ["TARGET", "BUILD"].into_iter().filter_map(|prefix| name.strip_prefix(prefix));
    let mut parts = platform.filter(|part| {
        matches!(*part, "PLATFORM" | "OS" | "OSVERSION" | "ARCH" | "VARIANT" | "STAGE")
    });
    name.starts_with("BUILDKIT_")
        || PREDEFINED.contains(&name.to_lowercase().as_str())
        || parts.next().is_some()
}

fn has_other_frontend(image: &Image) -> bool {
    image.named_frontend().is_some_and(|syntax| !syntax.contains("docker/dockerfile"))
}

/// Calls `with` for the name of each `ARG`, including those in triggers.
fn each_declared<'a>(file: &'a Dockerfile, with: &mut dyn FnMut(&'a str)) {
    let stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    for instruction in file.globals.iter().chain(stages) {
        match &instruction.kind {
            InstructionKind::Arg(items) => items.iter().for_each(|item| with(&item.name.value)),
            InstructionKind::Onbuild(trigger) if trigger.keyword == "ARG" => {
                let words = trigger.expression.split_whitespace().skip(1);
                words.for_each(|word| with(word.split('=').next().unwrap_or(word)));
            }
            _ => {}
        }
    }
}
