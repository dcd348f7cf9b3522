//! `--since REV`: the images that differ from a revision, by git alone.
//!
//! Owns the way from a revision to causes: the revision is laid out, read by the same code as the
//! work tree, and compared. No engine is asked.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::base::{Diagnostic, IdMap, ImageId};
use crate::cli::Global;
use crate::graph::{Graph, select};
use crate::inputs;
use crate::inputs::since::{Cause, Now, Sides, compare};
use crate::scan::config::{self, ConfigFile};
use crate::scan::git::{Blob, BlobKind, Git, Head};
use crate::scan::skeleton::Skeleton;

use super::load::{Repository, once_each, read_graph};
use super::{Surroundings, usage};

/// The images that a revision affects.
pub struct Affected {
    /// Why an image itself differs.
    pub causes: IdMap<Option<Cause>>,
    /// Those that differ and all that needs them, in the order of names.
    pub images: Vec<ImageId>,
}

/// A revision, laid out and read as the work tree is.
pub struct Revision {
    skeleton: Skeleton,
    files: BTreeMap<OsString, Blob>,
    /// Its images.
    pub graph: Graph,
    /// What is wrong with its files.
    pub problems: Vec<Diagnostic>,
    /// Its configuration.
    pub config: ConfigFile,
}

/// Where a revision belongs, and what is set outside of it.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The root of the work tree.
    pub root: &'a Path,
    /// Its HEAD, after which tags may be named on both sides alike: another commit is no other image.
    pub head: &'a Head,
    /// The options of all commands.
    pub global: &'a Global,
    /// The rest.
    pub at: &'a Surroundings,
}

impl Revision {
    /// Reads the revision that has a tree.
    ///
    /// # Errors
    /// Where git can't be asked, or a temporary folder can't be written.
    pub fn read(git: &Git, tree: &str, around: Around<'_>) -> anyhow::Result<Revision> {
        let Around { root, head, global, at } = around;
        let files = git.files(tree)?;
        let skeleton = Skeleton::lay_out(git, &files, root)?;
        let (config, mistakes) = config::read(skeleton.root())?;
        let (graph, problems) = read_graph(skeleton.root(), &config, global, at, Some(head))?;
        let problems = once_each(mistakes.into_iter().chain(problems));
        Ok(Revision { skeleton, files, graph, problems, config })
    }

    /// As a side of a comparison.
    pub fn side(&self) -> inputs::since::Revision<'_> {
        inputs::since::Revision {
            root: self.skeleton.root(),
            graph: &self.graph,
            files: &self.files,
            links: self.skeleton.links(),
        }
    }

    /// The content of one of its files; nothing where it has no such file.
    ///
    /// # Errors
    /// Where git can't be asked.
    pub fn content(&self, git: &Git, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let is_file = |blob: &&Blob| matches!(blob.kind, BlobKind::Plain | BlobKind::Executable);
        let Some(blob) = self.files.get(OsStr::new(path)).filter(is_file) else { return Ok(None) };
        Ok(git.contents(&[&blob.id])?.pop())
    }
}

/// Compares the work tree with a revision.
///
/// # Errors
/// Where there is no such revision, or git can't be asked.
pub fn affected(
    repository: &Repository,
    revision: &str,
    global: &Global,
    at: &Surroundings,
) -> anyhow::Result<Affected> {
    let Repository { root, graph, head, .. } = repository;
    let git = Git::open(root).map_err(|error| usage(format!("{error:#}")))?;
    let tree = git.resolve(revision).map_err(|error| usage(format!("{error:#}")))?;
    let around = Around { root, head, global, at };
    let (_, causes) = compare_work_tree(repository, &git, &tree, around)?;
    Ok(Affected::of(graph, causes))
}

/// A revision, and why the images of the work tree are not those of it.
///
/// # Errors
/// Where git can't be asked, or the revision can't be laid out.
pub fn compare_work_tree(
    repository: &Repository,
    git: &Git,
    tree: &str,
    around: Around<'_>,
) -> anyhow::Result<(Revision, IdMap<Option<Cause>>)> {
    let Repository { root, graph, .. } = repository;
    // Two slow questions that do not need each other.
    let (then, seen) = rayon::join(|| Revision::read(git, tree, around), || git.work_tree(tree));
    // What was wrong with the revision's files is nobody's concern now: what differs is.
    let (then, seen) = (then?, seen?);
    let causes = compare(Sides {
        now: Now::WorkTree { root, graph, seen: &seen },
        then: then.side(),
        platform: repository.platform.as_deref().unwrap_or_default(),
    });
    Ok((then, causes))
}

impl Affected {
    /// What follows from the causes.
    pub fn of(graph: &Graph, causes: IdMap<Option<Cause>>) -> Affected {
        let differ: Vec<ImageId> = graph.images.ids().filter(|id| causes[*id].is_some()).collect();
        let images = select::with_dependents(graph, &differ);
        Affected { causes, images }
    }

    /// For each affected image how many affected ones at most must be built one after the other
    /// before it; nothing for the others.
    pub fn layers(&self, graph: &Graph) -> IdMap<Option<usize>> {
        let mut layers: IdMap<Option<usize>> = IdMap::from_fn(graph.images.len(), |_| None);
        let mut is_affected = IdMap::from_fn(graph.images.len(), |_| false);
        for image in &self.images {
            is_affected[*image] = true;
        }
        for image in graph.order().iter().filter(|image| is_affected[**image]) {
            let parents = graph.parents_of(*image);
            let below = parents.iter().filter_map(|parent| layers[*parent]).max();
            layers[*image] = Some(below.map_or(0, |layer| layer + 1));
        }
        layers
    }
}
