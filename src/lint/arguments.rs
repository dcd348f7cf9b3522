//! Build arguments that are given but that no Dockerfile declares.
//!
//! Owns the search for declarations, and the names that do not need one because builders predefine them
//! (<https://docs.docker.com/reference/dockerfile/#predefined-args>).

use std::collections::BTreeSet;

use crate::base::text::{list, suggest};
use crate::base::{Diagnostic, Rule};
use crate::graph::Image;
use crate::parse::{Dockerfile, InstructionKind};

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
