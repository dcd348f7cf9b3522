//! `--since REV`: the images that differ from a revision, by git alone.
//!
//! Owns the way from a revision to causes: the revision is laid out, read by the same code as the
//! work tree, and compared. No engine is asked.

use std::collections::BTreeSet;
use std::path::Path;

use crate::base::error::as_usage;
use crate::base::{Diagnostic, IdMap, ImageId};
use crate::export::lock::pins_of_any;
use crate::graph::difference::{Side, moved_pins};
use crate::graph::pins::Pins;
use crate::graph::{Graph, select};
use crate::inputs::since::{Cause, Sides, compare};
use crate::inputs::{self, Change};
use crate::report::say;
use crate::scan::config;
use crate::scan::git::{Git, Head, Local, Snapshot, is_null};
use crate::scan::ignore_file::find_ignore_file;
use crate::scan::skeleton::{Beside, Skeleton};

use super::Invocation;
use super::build_settings::BuildSettings;
use super::load::{Workspace, once_each, read_graph};
use super::lock::FILE;

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
    snapshot: Snapshot,
    /// Its images.
    pub graph: Graph,
    /// What its builds get.
    pub builds: BuildSettings,
    /// What is wrong with its files.
    pub problems: Vec<Diagnostic>,
}

impl Revision {
    /// Reads the revision that has a tree. Tags may be named after `head` on both sides alike: another commit
    /// is no other image.
    ///
    /// # Errors
    /// Where git can't be asked, or a temporary directory can't be written.
    pub fn read(git: &Git, tree: &str, head: &Head, at: &Invocation) -> anyhow::Result<Revision> {
        Revision::of(Snapshot::of_revision(git, tree)?, None, head, at)
    }

    fn of(
        snapshot: Snapshot,
        beside: Option<Beside<'_>>,
        head: &Head,
        at: &Invocation,
    ) -> anyhow::Result<Revision> {
        let skeleton = Skeleton::lay_out(&snapshot, beside)?;
        let (config, mistakes) = config::read(skeleton.root())?;
        let (graph, builds, problems) = read_graph(skeleton.root(), &config, at, Some(head))?;
        let problems = once_each(mistakes.into_iter().chain(problems));
        Ok(Revision { skeleton, snapshot, graph, builds, problems })
    }

    /// As a side of a comparison.
    pub fn side(&self) -> inputs::since::Side<'_> {
        inputs::since::Side {
            root: self.skeleton.root(),
            graph: &self.graph,
            snapshot: &self.snapshot,
        }
    }

    /// The pins of its committed graph. One that can't be read pins nothing.
    pub fn pins(&self) -> Pins {
        pins_in(self.skeleton.root())
    }
}

/// The pins of the committed graph in a directory. One that can't be read pins nothing.
pub fn pins_in(root: &Path) -> Pins {
    pins_of_any(&std::fs::read(root.join(FILE)).unwrap_or_default())
}

/// Compares the work tree with a revision.
///
/// # Errors
/// Where there is no such revision, or git can't be asked.
pub fn affected(
    workspace: &Workspace,
    revision: &str,
    at: &Invocation,
) -> anyhow::Result<Affected> {
    let Workspace { root, graph, .. } = workspace;
    let git = Git::open(root).map_err(as_usage)?;
    let tree = git.resolve(revision).map_err(as_usage)?;
    warn_of_null(revision.strip_suffix("...").unwrap_or(revision), at)?;
    let (then, mut causes) = compare_work_tree(workspace, &git, &tree, at)?;
    let (was, now) = (then.pins(), pins_in(root));
    let was = Side { graph: &then.graph, pins: &was };
    add_moved_pins(&mut causes, was, Side { graph, pins: &now });
    Ok(Affected::of(graph, causes))
}

/// Warns where a revision is the null commit: a pipeline passes it on without having looked.
///
/// # Errors
/// Where the warning can't be written.
pub fn warn_of_null(revision: &str, at: &Invocation) -> anyhow::Result<()> {
    if !is_null(revision) {
        return Ok(());
    }
    let message = format!(
        "`{revision}` is the null commit, which GitHub sends for a new branch: every image is affected\n\
         hint: compare with a branch instead, such as `origin/main...`"
    );
    say::warning(&message, at.paint)
}

/// A revision, and why the images of the work tree are not those of it.
///
/// # Errors
/// Where git can't be asked, or the revision can't be laid out.
pub fn compare_work_tree(
    workspace: &Workspace,
    git: &Git,
    tree: &str,
    at: &Invocation,
) -> anyhow::Result<(Revision, IdMap<Option<Cause>>)> {
    let Workspace { root, graph, head, .. } = workspace;
    // Two slow questions that do not need each other.
    let (then, now) =
        rayon::join(|| Snapshot::of_revision(git, tree), || Snapshot::of_work_tree(git));
    let (mut then, mut now) = (then?, now?);
    now.keep_directories(&then);
    let local = Local::find(&now, &paths_of(workspace, &now));
    now.take_links(&local);
    then.take_links(&local);
    // What was wrong with the revision's files does not matter now: what differs does.
    let then = Revision::of(then, Some(Beside { snapshot: &now, local: &local }), head, at)?;
    let causes = compare(Sides {
        now: inputs::since::Side { root, graph, snapshot: &now },
        then: then.side(),
        platform: &workspace.builds.platform.clone().unwrap_or_default(),
    })?;
    Ok((then, causes))
}

/// The paths of all files that say what the images are, and of their contexts.
fn paths_of(workspace: &Workspace, snapshot: &Snapshot) -> BTreeSet<std::ffi::OsString> {
    let Workspace { root, graph, .. } = workspace;
    let mut paths = BTreeSet::from([snapshot.path_of(config::FILE_NAME)]);
    for image in graph.images.values() {
        let (dockerfile, context) = (image.dockerfile.under(root), image.context.under(root));
        paths.insert(snapshot.path_of(image.dockerfile.as_str()));
        paths.insert(snapshot.path_of(image.context.as_str()));
        // One that can't be looked for is reported by those who read it.
        let ignore = find_ignore_file(&dockerfile, &context).ok().flatten();
        let ignore =
            ignore.and_then(|file| Some(snapshot.path_of(file.strip_prefix(root).ok()?.to_str()?)));
        paths.extend(ignore);
    }
    paths
}

/// An external that is pinned at another digest is another one, though no Dockerfile says so.
pub fn add_moved_pins(causes: &mut IdMap<Option<Cause>>, then: Side<'_>, now: Side<'_>) {
    for (image, references) in moved_pins(then, now) {
        let pinned = references.into_iter();
        let pinned = pinned.map(|reference| Change::External { reference, held: true });
        match &mut causes[image] {
            Some(Cause::Changed { changes }) => changes.extend(pinned),
            Some(
                Cause::New
                | Cause::Unreadable { .. }
                | Cause::Missing
                | Cause::ExternalMoved { .. },
            ) => {}
            cause => *cause = Some(Cause::Changed { changes: pinned.collect() }),
        }
    }
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
