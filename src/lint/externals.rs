//! References that do not name anything in this repository, but were probably meant to.
//!
//! Owns the guesses. A guess is a warning with "did you mean": each of these references is a valid name of an image
//! somewhere else.

use std::collections::{BTreeSet, HashSet};

use crate::base::{Diagnostic, Rule, Source, Span};
use crate::graph::evaluate::{Base, DependencyKind};
use crate::graph::well_known::is_well_known;
use crate::graph::{Graph, Image};

use super::nearest_name::NameIndex;

/// A position in a file, to find what was reported about it.
pub(super) type UsePosition<'a> = (&'a str, Span);

pub(super) fn at(source: &Source, span: Span) -> UsePosition<'_> {
    (source.path().as_str(), span)
}

/// Finds `COPY --from=buidler` if there is a stage `builder`: a valid image, but probably not the intended one.
pub(super) fn misspelt_stages(graph: &Graph) -> Vec<Diagnostic> {
    graph.images.values().flat_map(misspelt_stages_of).collect()
}

fn misspelt_stages_of(image: &Image) -> Vec<Diagnostic> {
    let stages = &image.evaluation.stages;
    if stages.iter().all(|stage| stage.name.is_none()) {
        return Vec::new();
    }
    let siblings: HashSet<UsePosition<'_>> =
        image.parents.iter().map(|edge| at(&edge.source, edge.span)).collect();
    let names: NameIndex<'_> =
        stages.iter().map(|stage| stage.name.as_deref().unwrap_or_default()).collect();
    let exact: HashSet<&str> = stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
    let mut problems = Vec::new();
    for (index, (view, stage)) in stages.iter().zip(&image.file.stages).enumerate() {
        // A FROM can name the stages above it; everything else can name all stages of the file.
        let base = matches!(view.base, Some(Base::Image(_)));
        let base = base.then_some((&view.base_text, &image.file.source, stage.base.span, index));
        let froms = view.froms.iter().filter(|from| matches!(from.names, Some(Base::Image(_))));
        let froms = froms.map(|from| (&from.written, &from.source, from.span, stages.len()));
        for (text, source, span, stage_count) in base.into_iter().chain(froms) {
            let is_doubtful = is_one_word(text) && !is_well_known(text);
            if !is_doubtful || siblings.contains(&at(source, span)) {
                continue;
            }
            if exact.contains(text.as_str()) {
                let note = format!("stage `{text}` is defined later in the file");
                let problem = describe_stage(text, source, span).note(note);
                problems.push(problem.hint("move that stage before this one"));
            } else if let Some(near) = names.closest(&text.to_lowercase(), stage_count) {
                let problem = describe_stage(text, source, span);
                problems.push(problem.hint(format!("did you mean the stage `{near}`?")));
            }
        }
    }
    problems
}

fn describe_stage(text: &str, source: &Source, span: Span) -> Diagnostic {
    Diagnostic::new(Rule::UnknownStage, format!("no earlier stage is named `{text}`")).at(
        source,
        span,
        "treated as an image name",
    )
}

fn is_one_word(text: &str) -> bool {
    !text.contains(['/', ':', '@', '.'])
}

/// Finds `FROM debian`, which is another image every few months.
pub(super) fn without_tag(graph: &Graph, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    // What is probably not an external has been reported already.
    let reported = positions_of(problems, &[Rule::UnknownStage, Rule::UnknownSibling]);
    let untagged = |image: &Image| -> Vec<Diagnostic> {
        let externals: HashSet<UsePosition<'_>> =
            image.externals.iter().map(|it| at(&it.source, it.span)).collect();
        let dependencies = image.evaluation.dependencies.iter().filter(|dependency| {
            let position = at(&dependency.source, dependency.span);
            externals.contains(&position) && !reported.contains(&position)
        });
        let texts = dependencies.filter_map(|dependency| match dependency.kind {
            DependencyKind::From => {
                Some((dependency, image.evaluation.stages[dependency.stage].base_text.as_str()))
            }
            DependencyKind::Copy | DependencyKind::Mount => {
                Some((dependency, dependency.written.as_str()))
            }
            DependencyKind::Add | DependencyKind::Context => None,
        });
        let untagged = texts.filter(|(_, text)| !has_version(text));
        untagged
            .map(|(dependency, text)| {
                Diagnostic::new(Rule::UntaggedExternal, format!("`{text}` has no tag"))
                    .at(
                        &dependency.source,
                        dependency.span,
                        "defaults to `latest`, which can change",
                    )
                    .hint(format!("specify a version: `{text}:…`"))
            })
            .collect()
    };
    graph.images.values().flat_map(untagged).collect()
}

/// Returns the first positions in the diagnostics of these rules.
pub(super) fn positions_of<'a>(
    problems: &'a [Diagnostic],
    rules: &[Rule],
) -> BTreeSet<UsePosition<'a>> {
    problems
        .iter()
        .filter(|problem| rules.contains(&problem.rule))
        .filter_map(|problem| problem.labels.first())
        .map(|label| at(&label.source, label.span))
        .collect()
}

/// Returns whether a reference specifies a version.
fn has_version(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or(text);
    last.contains([':', '@'])
}
