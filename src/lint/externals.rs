//! References that do not name anything in this repository, but were probably meant to.
//!
//! Owns the guesses. A guess is a warning with "did you mean": each of these references is a valid name of an image
//! somewhere else.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::base::{Diagnostic, Rule, Source, Span};
use crate::graph::evaluate::{Base, DependencyKind};
use crate::graph::naming::NameOrigin;
use crate::graph::reference::Reference;
use crate::graph::well_known::is_well_known;
use crate::graph::{External, Graph, Image};

use super::nearest_name::NameIndex;

/// A position in a file, to find what was reported about it.
type UsePosition<'a> = (&'a str, Span);

fn at(source: &Source, span: Span) -> UsePosition<'_> {
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

/// How the images of a repository are named: the prefixes and suffixes of their names.
struct Families<'a> {
    /// The names by prefix and suffix.
    names: BTreeMap<(String, String), NameIndex<'a>>,
    all: NameIndex<'a>,
    /// The repositories that are built here.
    own: HashSet<String>,
    /// Whether no reference names a sibling, so that the prefix is only assumed.
    assumed: bool,
}

impl<'a> Families<'a> {
    fn of(graph: &'a Graph) -> Families<'a> {
        let mut names: BTreeMap<(String, String), NameIndex<'_>> = BTreeMap::new();
        for image in graph.images.values() {
            let Some(reference) = image.references.first() else { continue };
            let repository = reference.repository();
            if let Some((prefix, suffix)) = repository.rsplit_once(image.name.as_str()) {
                let family = (prefix.to_owned(), suffix.to_owned());
                names.entry(family).or_default().push(&image.name);
            }
        }
        let all = graph.images.values().map(|image| image.name.as_str()).collect();
        let assumed = graph.images.values().all(|image| image.named_by == NameOrigin::Directory);
        let references = graph.images.values().flat_map(|image| &image.references);
        let own = references.map(Reference::repository).collect();
        Families { names, all, own, assumed }
    }

    /// Returns the image that a reference to something else was probably meant to name.
    fn closest(&self, reference: &Reference) -> Option<&'a str> {
        let repository = reference.repository();
        if self.own.contains(&repository) {
            // Only the tag is unknown, which has been reported.
            return None;
        }
        for ((prefix, suffix), names) in &self.names {
            let name = repository.strip_prefix(prefix.as_str());
            let name = name.and_then(|name| name.strip_suffix(suffix.as_str()));
            let near = name.and_then(|name| closest_sibling(names, name));
            if near.is_some() {
                return near;
            }
        }
        let last = repository.rsplit('/').next().unwrap_or(&repository);
        let tails = last.match_indices(['-', '_', '.']).map(|(at, _)| &last[at + 1..]);
        let mut tails = tails.filter(|tail| self.assumed && tail.len() > 2);
        tails.find_map(|tail| closest_sibling(&self.all, tail))
    }
}

/// Returns the nearest name, unless it differs only in digits: `python3.11` is a version, not a typo for `python3.12`.
fn closest_sibling<'a>(names: &NameIndex<'a>, name: &str) -> Option<&'a str> {
    let letters =
        |text: &str| -> String { text.chars().filter(|letter| !letter.is_ascii_digit()).collect() };
    names.closest(name, usize::MAX).filter(|near| letters(near) != letters(name))
}

/// Finds `FROM acme/shop-bsae` if there is an image `base`.
pub(super) fn misspelt_siblings(graph: &Graph, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    let families = Families::of(graph);
    let reported = positions_of(problems, &[Rule::UnknownSibling]);
    let mut nearest: BTreeMap<&Reference, Option<&str>> = BTreeMap::new();
    let mut found = Vec::new();
    for external in graph.images.values().flat_map(|image| &image.externals) {
        let reference = &graph.externals[external.id];
        let is_reported = reported.contains(&at(&external.source, external.span));
        if is_reported
            || reference.digest.is_some()
            || is_well_known(&reference.familiar_repository())
        {
            continue;
        }
        let near = *nearest.entry(reference).or_insert_with(|| families.closest(reference));
        found.extend(near.map(|near| describe_sibling(graph, external, near)));
    }
    found
}

fn describe_sibling(graph: &Graph, external: &External, near: &str) -> Diagnostic {
    let reference = &graph.externals[external.id];
    let suggestion = graph.find(near).and_then(|image| graph.images[image].references.first());
    let hint = match suggestion {
        // If no reference names a sibling, the prefix is a guess too.
        Some(suggestion) if suggestion.domain == reference.domain => {
            format!("did you mean `{}` (image `{near}`)?", suggestion.familiar_repository())
        }
        _ => format!("did you mean the image `{near}`?"),
    };
    let repository = reference.familiar_repository();
    Diagnostic::new(
        Rule::UnknownSibling,
        format!("`{repository}` is not an image of this repository"),
    )
    .at(&external.source, external.span, "treated as an external image")
    .hint(hint)
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
fn positions_of<'a>(problems: &'a [Diagnostic], rules: &[Rule]) -> BTreeSet<UsePosition<'a>> {
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
