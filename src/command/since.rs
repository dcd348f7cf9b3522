//! `--since REV`: the images that differ from a revision, by git alone.
//!
//! Owns the way from a revision to causes: the revision is laid out, read by the same code as the
//! work tree, and compared. No engine is asked.

use crate::base::{IdMap, ImageId};
use crate::cli::Global;
use crate::graph::{Graph, select};
use crate::inputs::since::{Cause, Sides, compare};
use crate::scan::config;
use crate::scan::git::Git;
use crate::scan::skeleton::Skeleton;

use super::load::{Repository, read_graph};
use super::{Surroundings, usage};

/// The images that a revision affects.
pub struct Affected {
    /// Why an image itself differs.
    pub causes: IdMap<Option<Cause>>,
    /// Those that differ and all that needs them, in the order of names.
    pub images: Vec<ImageId>,
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
    let Repository { root, graph, .. } = repository;
    let git = Git::open(root).map_err(|error| usage(format!("{error:#}")))?;
    let tree = git.resolve(revision).map_err(|error| usage(format!("{error:#}")))?;
    // Two slow questions that do not need each other.
    let (files, work_tree) = rayon::join(|| git.files(&tree), || git.work_tree(&tree));
    let (files, work_tree) = (files?, work_tree?);
    let skeleton = Skeleton::lay_out(&git, &files, root)?;
    let (file, _) = config::read(skeleton.root())?;
    // What was wrong with the revision's files is nobody's concern now: what differs is.
    let (then_graph, _) = read_graph(skeleton.root(), &file, global, at, Some(&repository.head))?;
    let causes = compare(Sides {
        root,
        graph,
        work_tree: &work_tree,
        then_root: skeleton.root(),
        then_graph: &then_graph,
        then_files: &files,
        then_links: skeleton.links(),
        platform: repository.platform.as_deref().unwrap_or_default(),
    });
    let differ: Vec<ImageId> = graph.images.ids().filter(|id| causes[*id].is_some()).collect();
    let images = select::with_dependents(graph, &differ);
    Ok(Affected { causes, images })
}

impl Affected {
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
