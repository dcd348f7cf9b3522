//! Needs become edges: which image of the repository each reference means.
//!
//! Owns the linking. Two references are the same image when they are equal after normalisation;
//! a reference that names a sibling's repository with another tag or a digest is an external,
//! with a warning that says so. ONBUILD lines of an image are handed to the images built on it,
//! where they bring edges of their own.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use crate::base::{Diagnostic, IdMap, ImageId, Span};
use crate::parse::Dockerfile;

use super::evaluate::{self, Evaluation, Need, NeedKind, Settings, Trigger};
use super::images::Candidate;
use super::naming::{Naming, Vote, Wishes};
use super::reference::Reference;
use super::{Edge, External, Graph, Image};

/// What is set for all images when their Dockerfiles are evaluated.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Build arguments from the command line; they win over all others.
    pub build_args: BTreeMap<String, String>,
    /// The platform to build for, such as `linux/arm64`; the machine's where nothing is said.
    pub platform: Option<String>,
    /// The platform that builds.
    pub build_platform: String,
    /// The stage to build, for every image whose Dockerfile has it.
    pub target: Option<String>,
}

/// An image whose Dockerfile was read.
pub struct Read {
    /// What was known of it before.
    pub candidate: Candidate,
    /// Its Dockerfile.
    pub file: Dockerfile,
}

/// Links images into a graph. Problems of single Dockerfiles come with those of the whole.
pub fn link(read: Vec<Read>, wishes: &Wishes, wanted: &Wanted) -> (Graph, Vec<Diagnostic>) {
    let settings: Vec<Settings> =
        read.iter().map(|image| settings_of(&image.candidate, &image.file, wanted)).collect();
    let no_triggers = |_: &Reference| Vec::new();
    let mut evaluations: Vec<Evaluation> = read
        .par_iter()
        .zip(&settings)
        .map(|(image, settings)| evaluate::evaluate(&image.file, settings, &no_triggers))
        .collect();
    let (names, mut problems) = name_images(&read, &evaluations, wishes);
    let siblings = Siblings::new(&names);
    fire_triggers(&read, &settings, &siblings, &mut evaluations);
    let linked: Vec<Linked> =
        evaluations.par_iter().map(|evaluation| siblings.link(evaluation)).collect();
    for (image, evaluation) in read.iter().zip(&evaluations) {
        problems.extend(image.file.diagnostics.iter().cloned());
        problems.extend(evaluation.diagnostics.iter().cloned());
    }
    let parts = read.into_iter().zip(settings).zip(evaluations).zip(names).zip(linked);
    let images: IdMap<Image> = parts
        .map(|((((read, settings), evaluation), named), linked)| {
            problems.extend(linked.problems);
            Image {
                name: read.candidate.name,
                dockerfile: read.candidate.dockerfile,
                context: read.candidate.context,
                target: settings.target,
                build_args: settings.build_args,
                references: named.references,
                named_by: named.origin,
                file: read.file,
                evaluation,
                parents: linked.parents,
                externals: linked.externals,
            }
        })
        .collect();
    let (graph, cycles) = Graph::new(images);
    problems.extend(cycles);
    (graph, problems)
}

fn settings_of(candidate: &Candidate, file: &Dockerfile, wanted: &Wanted) -> Settings {
    let mut build_args = candidate.args.clone();
    build_args.extend(wanted.build_args.clone());
    // A stage that is asked for on the command line is built where there is one of that name;
    // an image without it is built as always.
    let has_stage = |target: &String| {
        let wanted = target.to_lowercase();
        file.stages.iter().any(|it| it.name.as_ref().is_some_and(|name| name.value == wanted))
    };
    let target = wanted.target.clone().filter(has_stage).or(candidate.target.clone());
    let platform = wanted.platform.clone().unwrap_or_else(|| wanted.build_platform.clone());
    Settings {
        build_args,
        platform,
        build_platform: wanted.build_platform.clone(),
        target,
        ..Settings::default()
    }
}

fn name_images(
    read: &[Read],
    evaluations: &[Evaluation],
    wishes: &Wishes,
) -> (Vec<super::naming::Named>, Vec<Diagnostic>) {
    let names: Vec<&str> = read.iter().map(|image| image.candidate.name.as_str()).collect();
    let votes: Vec<Vote<'_>> = read
        .iter()
        .zip(evaluations)
        .flat_map(|(image, evaluation)| {
            let image = image.candidate.name.as_str();
            evaluation.needs.iter().map(move |need| Vote { image, need })
        })
        .collect();
    let naming = Naming::infer(wishes, &names, &votes);
    let mut problems = Vec::new();
    let named = read
        .iter()
        .map(|image| {
            let named = match &image.candidate.reference {
                Some(reference) => naming.given(reference),
                None => naming.references(&image.candidate.name),
            };
            named.unwrap_or_else(|message| {
                let problem = Diagnostic::error("invalid-name", message)
                    .at(&image.file.source, Span::default(), "")
                    .hint("rename the folder, or set `reference` in `layers.toml`");
                problems.push(problem);
                let origin = super::naming::Origin::Folder;
                super::naming::Named { references: Vec::new(), origin }
            })
        })
        .collect();
    (named, problems)
}

/// Evaluates once more what is built on an image that carries ONBUILD lines.
fn fire_triggers(
    read: &[Read],
    settings: &[Settings],
    siblings: &Siblings,
    evaluations: &mut [Evaluation],
) {
    let onbuild: Vec<Vec<Trigger>> =
        evaluations.iter().map(|evaluation| evaluation.onbuild.clone()).collect();
    if onbuild.iter().all(Vec::is_empty) {
        return;
    }
    let triggers = |reference: &Reference| match siblings.find(reference) {
        Meaning::Sibling(image) => onbuild[image.index()].clone(),
        Meaning::OtherTag(_) | Meaning::Stranger => Vec::new(),
    };
    evaluations.par_iter_mut().enumerate().for_each(|(at, evaluation)| {
        let bases = evaluation.needs.iter().filter(|need| need.kind == NeedKind::From);
        if bases.into_iter().any(|need| !triggers(&need.reference).is_empty()) {
            *evaluation = evaluate::evaluate(&read[at].file, &settings[at], &triggers);
        }
    });
}

/// The references of all images, for looking up what a need means.
struct Siblings {
    by_repository: HashMap<String, Tags>,
}

/// The images of one repository. There may be thousands, where the tag is the name.
#[derive(Default)]
struct Tags {
    by_tag: HashMap<String, ImageId>,
    /// The first few tags, for those who have to be told of some.
    shown: Vec<String>,
}

/// How many tags a message names.
const MOST_SHOWN: usize = 5;

/// What a reference means in this repository.
enum Meaning {
    Sibling(ImageId),
    /// A sibling's repository, but a tag or digest that none of ours has.
    OtherTag(Vec<String>),
    Stranger,
}

/// The needs of one image, resolved.
struct Linked {
    parents: Vec<Edge>,
    externals: Vec<External>,
    problems: Vec<Diagnostic>,
}

impl Siblings {
    fn new(names: &[super::naming::Named]) -> Siblings {
        let mut by_repository: HashMap<String, Tags> = HashMap::new();
        for (at, named) in names.iter().enumerate() {
            for reference in &named.references {
                let tag = tag_of(reference).to_owned();
                let tags = by_repository.entry(reference.repository()).or_default();
                if tags.shown.len() < MOST_SHOWN {
                    tags.shown.push(tag.clone());
                }
                tags.by_tag.entry(tag).or_insert(ImageId::from_index(at));
            }
        }
        Siblings { by_repository }
    }

    fn find(&self, reference: &Reference) -> Meaning {
        let Some(tags) = self.by_repository.get(&reference.repository()) else {
            return Meaning::Stranger;
        };
        match tags.by_tag.get(tag_of(reference)) {
            Some(image) if reference.digest.is_none() => Meaning::Sibling(*image),
            _ => Meaning::OtherTag(tags.shown.clone()),
        }
    }

    fn link(&self, evaluation: &Evaluation) -> Linked {
        let mut linked =
            Linked { parents: Vec::new(), externals: Vec::new(), problems: Vec::new() };
        for need in &evaluation.needs {
            match self.find(&need.reference) {
                Meaning::Sibling(parent) => linked.parents.push(Edge {
                    parent,
                    kind: need.kind,
                    reference: need.reference.clone(),
                    source: need.source.clone(),
                    span: need.span,
                }),
                Meaning::OtherTag(tags) => {
                    linked.externals.push(external(need));
                    linked.problems.push(describe_other_tag(need, &tags));
                }
                Meaning::Stranger => linked.externals.push(external(need)),
            }
        }
        debug_assert!(linked.parents.len() + linked.externals.len() == evaluation.needs.len());
        linked
    }
}

fn tag_of(reference: &Reference) -> &str {
    reference.tag.as_deref().unwrap_or("latest")
}

fn external(need: &Need) -> External {
    External {
        reference: need.reference.clone(),
        kind: need.kind,
        source: need.source.clone(),
        span: need.span,
    }
}

fn describe_other_tag(need: &Need, tags: &[String]) -> Diagnostic {
    let written = need.reference.familiar();
    let ours = crate::base::text::list(tags);
    let what = if need.reference.digest.is_some() { "a digest" } else { "a tag" };
    Diagnostic::warning(
        "sibling-tag",
        format!("`{written}` names an image of this repository with {what} that is not built here"),
    )
    .at(&need.source, need.span, "taken from outside")
    .note(format!("the image is built as {ours}"))
    .hint(format!("write the tag {ours} to depend on the image of this repository"))
}
