//! The `layers.toml` that a repository suggests.
//!
//! Owns the proposal: `survey` finds the Dockerfiles, `evidence` collects the names that the repository uses, `naming`
//! and `rules` choose how names are made, and `wording` writes the file.
//!
//! There are two ways to choose names. One is a template per directory tree, with one prefix for all references. The
//! other is a set of rules, each with its own template for references, in which a part of the path can be the tag. The
//! graph decides: the second way must resolve more references to siblings to be used.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use crate::base::{Diagnostic, RelPath, Source};
use crate::graph::Graph;
use crate::graph::evaluate::DependencyKind;
use crate::graph::images::Candidate;
use crate::graph::naming::as_app;
use crate::scan::config::{self, FILE_NAME};
use crate::scan::git::{Head, remote_name};

use super::Invocation;
use super::load::{exists_in, once_each, read_graph, read_unnamed};
use super::root::directory_of;

mod arguments;
mod evidence;
mod further_images;
mod known_builds;
mod known_contexts;
mod learned;
mod naming;
mod own_settings;
mod path_group;
mod proposed_args;
mod reference_template;
mod rule_text;
mod rules;
mod survey;
mod wording;

use arguments::RepositoryArguments;
use evidence::{Claim, Evidence, Mention};
use known_builds::KnownBuilds;
use naming::RepositoryMention;
use own_settings::OwnSettings;
use proposed_args::{ProposedArgs, choose_variants};
use reference_template::ImageName;
use rules::NamingRules;
pub use survey::LeftOutFile;
use survey::Survey;
use wording::ProposalText;

/// The maximum numbers of rules. With fewer of them, the file is shorter.
const MOST_RULES: [usize; 6] = [10, 8, 6, 5, 4, 3];

/// A proposed `layers.toml`.
pub struct Proposal {
    /// The content of the file.
    pub text: String,
    /// The graph that it describes.
    pub graph: Graph,
    /// The diagnostics with this file.
    pub problems: Vec<Diagnostic>,
    /// The files that look like Dockerfiles and are not proposed.
    pub left_out: Vec<LeftOutFile>,
}

/// Proposes a file for the repository at `root`. Returns `None` if there is no Dockerfile.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub fn propose(root: &Path, at: &Invocation) -> anyhow::Result<Option<Proposal>> {
    let survey = survey::survey(root)?;
    let paths = survey.paths();
    if paths.is_empty() {
        return Ok(None);
    }
    // A Dockerfile in the root is always named after the directory.
    let has_root = paths.iter().any(|path| path.parent().is_root());
    let remote = remote_name(root).filter(|_| !has_root).map(|it| as_app(&it));
    let directory = remote.unwrap_or_else(|| directory_of(root));
    let builds = KnownBuilds::read(root);
    let arguments = RepositoryArguments::read(root, &paths);
    let claims = builds.claims();
    let own = choose_variants(root, &paths, (&builds, &claims), &arguments, at);
    let sources = Sources { root, at, survey, paths, builds, claims, arguments, directory };
    let args = |own| ProposedArgs::of(&sources.arguments, own, &sources.directory);
    let mut choices = vec![args(BTreeMap::new())];
    if !own.is_empty() {
        choices.push(args(own));
    }
    let mut best: Option<Draft> = None;
    for args in choices {
        for draft in sources.drafts(&args)? {
            best = Some(match best {
                Some(best) => best.better(draft),
                None => draft,
            });
        }
    }
    let Some(best) = best else { return Ok(None) };
    let mut best = known_contexts::add(further_images::add(best, &sources)?, &sources)?;
    if let Some(shorter) = best.text.with_room_for_name(&best.graph) {
        best = sources.read(shorter)?;
    }
    let Draft { text, graph, problems } = best;
    let left_out = sources.survey.left_out;
    Ok(Some(Proposal { text: text.compose(&graph), graph, problems, left_out }))
}

/// What a proposal is made from.
struct Sources<'a> {
    root: &'a Path,
    at: &'a Invocation,
    survey: Survey,
    paths: Vec<RelPath>,
    builds: KnownBuilds,
    claims: BTreeMap<RelPath, Vec<Claim>>,
    arguments: RepositoryArguments,
    directory: String,
}

impl Sources<'_> {
    /// Returns the files with these arguments: one with one prefix for all references, and one with rules.
    fn drafts(&self, args: &ProposedArgs) -> anyhow::Result<Vec<Draft>> {
        let Sources { root, at, survey, paths, directory, .. } = self;
        let further = args.candidates_of_variants(paths, &self.builds, &self.arguments);
        let mentions = mentions(root, [args.candidates(paths), further].concat(), at);
        let repositories: Vec<RepositoryMention> = mentions
            .iter()
            .map(|it| RepositoryMention {
                by: it.by.clone(),
                repository: it.name.repository.clone(),
            })
            .collect();
        let contexts = self.builds.sibling_contexts(&self.arguments.stages());
        let choice = naming::choose(&survey.groups, &repositories, directory);
        let names = naming::names_of(&survey.groups, &choice, directory);
        let text = ProposalText::of(survey, &survey.groups, &choice, &[]);
        let text = text.with_settings(args, &contexts, &names);
        let mut drafts = vec![self.read(text)?];
        let evidence = Evidence::new(paths, mentions, self.claims.clone(), directory);
        let templates = learned::templates(&evidence);
        for most in MOST_RULES {
            let rules = NamingRules::choose(&evidence, &templates, most);
            if rules.is_empty() {
                break;
            }
            let (text, names) = ProposalText::of_rules(survey, &rules, &repositories, directory);
            let text =
                text.with_settings(args, &contexts.without(&evidence, &rules, paths), &names);
            let is_short = text.is_short();
            drafts.push(self.read(text)?);
            if is_short {
                break;
            }
        }
        Ok(drafts)
    }

    /// Reads the graph that a file describes.
    fn read(&self, text: ProposalText) -> anyhow::Result<Draft> {
        let Sources { root, at, directory, .. } = self;
        let file = RelPath::new(FILE_NAME).context("a file name is a relative path")?;
        let (file, mistakes) = config::parse(&Source::new(file, text.settings()));
        let from = (*root, directory.clone());
        let (graph, _, problems) =
            read_graph(from, &file, at, Some(&Head::of(root)), &exists_in(root))?;
        let problems = once_each(mistakes.into_iter().chain(problems));
        Ok(Draft { text, graph, problems })
    }
}

/// A file that could be proposed, with the graph that it describes.
struct Draft {
    text: ProposalText,
    graph: Graph,
    problems: Vec<Diagnostic>,
}

impl Draft {
    /// Returns the draft with fewer errors, that is short enough, or with more edges. Otherwise, the first one is simpler.
    fn better(self, other: Draft) -> Draft {
        let rank = |draft: &Draft| {
            let edges: usize = draft.graph.images.values().map(|it| it.parents.len()).sum();
            (Reverse(draft.errors()), draft.text.is_short(), edges)
        };
        if rank(&other) > rank(&self) { other } else { self }
    }

    fn errors(&self) -> usize {
        self.problems.iter().filter(|it| it.is_error()).count()
    }

    /// Returns the draft with more settings of single images, unless they cause errors.
    fn extended(self, sources: &Sources<'_>, settings: &OwnSettings) -> anyhow::Result<Draft> {
        if settings.is_empty() {
            return Ok(self);
        }
        let extended = self.with_own(sources, settings)?;
        Ok(self.replaced_by(extended))
    }

    /// Returns another draft, unless it has more errors or is too long.
    fn replaced_by(self, other: Draft) -> Draft {
        let is_worse = other.errors() > self.errors() || !other.text.is_short();
        if is_worse { self } else { other }
    }

    /// Returns the draft with more settings of single images.
    fn with_own(&self, sources: &Sources<'_>, settings: &OwnSettings) -> anyhow::Result<Draft> {
        sources.read(self.text.with_own(settings))
    }
}

/// Returns the images that the Dockerfiles of some images name.
fn mentions(root: &Path, candidates: Vec<Candidate>, at: &Invocation) -> Vec<Mention> {
    let graph = read_unnamed(root, candidates, at);
    let images = graph.images.values();
    images
        .flat_map(|image| {
            let dependencies = image.evaluation.dependencies.iter().filter(|dependency| {
                dependency.kind != DependencyKind::Context && dependency.reference.digest.is_none()
            });
            dependencies.map(|dependency| Mention {
                by: image.dockerfile.clone(),
                image: image.name.clone(),
                name: ImageName {
                    repository: dependency.reference.familiar_repository(),
                    tag: dependency.reference.tag.clone(),
                },
            })
        })
        .collect()
}
