//! Rules about stages: whether they are used, whether the variables in their FROM are set, and whether their base is
//! built for the platform that they request.
//!
//! Owns these three rules.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::text::closest;
use crate::base::{Diagnostic, Platform, RelPath, Rule, Source, Span};
use crate::graph::evaluate::{Base, DependencyKind};
use crate::graph::{Graph, Image};
use crate::parse::InstructionKind;

/// Build arguments that FROM may use without a declaration.
const AUTOMATIC: [&str; 9] = [
    "BUILDARCH",
    "BUILDOS",
    "BUILDPLATFORM",
    "BUILDVARIANT",
    "TARGETARCH",
    "TARGETOS",
    "TARGETPLATFORM",
    "TARGETSTAGE",
    "TARGETVARIANT",
];

/// Finds stages that are not used by any FROM, `--from`, mount, or target of an image.
///
/// The last stage of a file is the default target and does not have to be named. If one of `problems` says that a file
/// names its stages wrongly, it is unknown which ones are unused.
pub(super) fn unused(graph: &Graph, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    let doubtful: BTreeSet<&RelPath> = problems
        .iter()
        .filter(|problem| problem.is_error() || problem.rule == Rule::UnknownStage)
        .flat_map(|problem| &problem.labels)
        .map(|label| label.source.path())
        .collect();
    let mut files: BTreeMap<&RelPath, (&Image, Vec<bool>)> = BTreeMap::new();
    for image in graph.images.values().filter(|image| !doubtful.contains(&image.dockerfile)) {
        let stages = &image.evaluation.stages;
        let entry = files.entry(&image.dockerfile);
        let (_, used) = entry.or_insert_with(|| (image, vec![false; stages.len()]));
        for view in stages {
            let froms = view.froms.iter().filter_map(|from| from.names.as_ref());
            for base in froms.chain(&view.base) {
                if let Base::Stage(index) = base {
                    used[*index] = true;
                }
            }
        }
        for (used, view) in used.iter_mut().zip(stages) {
            *used |= view.reached;
        }
    }
    let mut problems = Vec::new();
    for (image, used) in files.into_values() {
        let stages = &image.file.stages;
        let all_but_last = stages.len().saturating_sub(1);
        for (index, stage) in stages.iter().enumerate().take(all_but_last) {
            if used[index] {
                continue;
            }
            let (message, span) = match &stage.name {
                Some(name) => (format!("stage `{}` is never used", name.value).into(), name.span),
                None => (Cow::from("this stage is never used"), stage.base.span),
            };
            problems.push(
                Diagnostic::new(Rule::UnusedStage, message)
                    .at(&image.file.source, span, "")
                    .hint("remove it, or set it as the `target` of an image in `layers.toml`"),
            );
        }
    }
    problems
}

/// Finds FROM lines with a variable that no global ARG declares, and that still name an image.
pub(super) fn unset_variables(image: &Image) -> Vec<Diagnostic> {
    let globals = image.file.globals.iter().flat_map(|global| match &global.kind {
        InstructionKind::Arg(items) => items.as_slice(),
        _ => &[],
    });
    let declared: Vec<&str> = globals.map(|item| item.name.value.as_str()).collect();
    let mut problems = Vec::new();
    for (view, stage) in image.evaluation.stages.iter().zip(&image.file.stages) {
        // If the base or the platform is not valid, an error reports the variables too.
        if view.base.is_none() || view.platform.is_none() && stage.platform.is_some() {
            continue;
        }
        for name in view.unset.iter().collect::<BTreeSet<_>>() {
            let words = [Some(&stage.base), stage.platform.as_ref()];
            let found = words.into_iter().flatten().find_map(|word| {
                let range = find_use(&word.value, name)?;
                // The file contains the word itself, unless a line was continued within it.
                let is_whole = image.file.source.slice(word.span) == word.value;
                let start = word.span.range().start;
                let span = Span::new(start + range.start, start + range.end);
                Some(if is_whole { span } else { word.span })
            });
            if let Some(span) = found.filter(|_| !declared.contains(&name.as_str())) {
                problems.push(describe_unset(image, name, span, &declared));
            }
        }
    }
    problems
}

/// Returns the first use of a variable without a default: `$V` or `${V}`, also with a pattern, but not `${V:-word}` and
/// similar forms, which define the value of an unset variable.
fn find_use(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices('$').find_map(|(start, _)| {
        let rest = &text[start + 1..];
        match rest.strip_prefix('{') {
            None => {
                let after = rest.strip_prefix(name)?;
                (!after.starts_with(is_word)).then(|| start..start + 1 + name.len())
            }
            Some(braced) => {
                let after = braced.strip_prefix(name)?;
                let end = start + 2 + name.len() + after.find('}').unwrap_or(after.len());
                after.starts_with(['}', '#', '%', '/']).then(|| start..(end + 1).min(text.len()))
            }
        }
    })
}

fn describe_unset(image: &Image, name: &str, span: Span, declared: &[&str]) -> Diagnostic {
    let source = &image.file.source;
    let message = format!("`{name}` is not set and expands to an empty string");
    let problem = Diagnostic::new(Rule::UnsetVariable, message).at(source, span, "");
    let in_stages = image.file.stages.iter().flat_map(|stage| &stage.instructions);
    let late = in_stages.into_iter().find(|instruction| match &instruction.kind {
        InstructionKind::Arg(items) => items.iter().any(|item| item.name.value == *name),
        _ => false,
    });
    let names = declared.iter().copied().chain(AUTOMATIC);
    match (late, closest(name, names)) {
        (Some(late), _) => problem
            .at(source, late.span, "declared here, after the first FROM")
            .hint(format!("declare `ARG {name}` before the first FROM")),
        (None, Some(near)) => problem.hint(format!("did you mean `{near}`?")),
        (None, None) => problem.hint(format!("declare `ARG {name}=…` before the first FROM")),
    }
}

/// Finds parents whose own FROM sets a platform other than the requested one.
pub(super) fn platforms(graph: &Graph, image: &Image) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for edge in &image.parents {
        let parent = &graph.images[edge.parent];
        let Some((offered, source, span)) = fixed_platform(parent) else { continue };
        let dependency = image.evaluation.dependencies.iter().find(|dependency| {
            dependency.span == edge.span
                && dependency.kind == edge.kind
                && dependency.source.path() == edge.source.path()
        });
        let Some((dependency, platform)) =
            dependency.and_then(|dependency| Some((dependency, dependency.platform.as_ref()?)))
        else {
            continue;
        };
        if offered.clone().requested() == platform.clone().requested() {
            continue;
        }
        // At the flag of the FROM, or else at the reference.
        let flag =
            image.file.stages.get(dependency.stage).and_then(|stage| stage.platform.as_ref());
        let (label_source, label_span) = match flag.filter(|_| edge.kind == DependencyKind::From) {
            Some(flag) => (&image.file.source, flag.span),
            None => (&edge.source, edge.span),
        };
        let name = &parent.name;
        let message = format!(
            "platform `{platform}` is requested of `{name}`, which is always built for `{offered}`"
        );
        problems.push(
            Diagnostic::new(Rule::PlatformMismatch, message)
                .at(label_source, label_span, format!("requests `{platform}`"))
                .at(&source, span, format!("`{name}` is always built for `{offered}`"))
                .hint(format!("remove `--platform` from one of them, or use `{offered}` here")),
        );
    }
    problems
}

/// Returns the platform that a Dockerfile sets for its image, and the position of the setting.
fn fixed_platform(image: &Image) -> Option<(Platform, Source, Span)> {
    let stages = &image.evaluation.stages;
    let mut index = image.evaluation.target?;
    // A stage can only start from one above it, so this loop ends.
    loop {
        let view = stages.get(index)?;
        if let Some(platform) = &view.platform {
            let stage = image.file.stages.get(index)?;
            let span = stage.platform.as_ref().map_or(stage.from, |flag| flag.span);
            return Some((platform.clone(), image.file.source.clone(), span));
        }
        match view.base {
            Some(Base::Stage(below)) if below < index => index = below,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_without_a_default_are_found() {
        let check = |text: &str, expected: Option<&str>| {
            let found = find_use(text, "V").map(|range| &text[range]);
            assert_eq!(found, expected, "{text}");
        };
        check("a$V", Some("$V"));
        check("a${V}b", Some("${V}"));
        check("${V#x}", Some("${V#x}"));
        check("$VX", None);
        check("${VX}", None);
        check("${V:-x}", None);
        check("${V-x}", None);
        check("${V+x}", None);
        check("${V:?x}", None);
        check("${V:-x}$V", Some("$V"));
        check("$W", None);
    }
}
