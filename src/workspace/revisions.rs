//! `--since REV`: the images that changed since a git revision.
//!
//! Owns how a revision becomes causes: its files are written to a temporary directory, read by the same code as the
//! work tree, and compared. No engine is needed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use crate::base::error::as_usage;
use crate::base::{Diagnostic, IdMap, ImageId, RelPath};
use crate::export::lock::pins_of_any;
use crate::graph::context_directory::ContextDirectory;
use crate::graph::difference::{PinnedGraph, moved_pins};
use crate::graph::pins::Pins;
use crate::graph::{Graph, select};
use crate::inputs::since::{Cause, ComparedSides, compare};
use crate::inputs::{self, Change};
use crate::report::printer;
use crate::scan::config;
use crate::scan::git::{Git, Head, Local, Snapshot, is_null};
use crate::scan::ignore_file::find_ignore_file;
use crate::scan::skeleton::{Skeleton, WorkTree};

use super::Invocation;
use super::build_settings::BuildSettings;
use super::load::{Workspace, once_each, read_graph};
use super::lock::FILE;
use super::root;

/// The images that changes since a revision affect.
pub struct AffectedImages {
    /// Why an image itself changed.
    pub causes: IdMap<Option<Cause>>,
    /// The changed images and all their dependents, in order of their names.
    pub images: Vec<ImageId>,
}

/// A revision, written to a directory and read like the work tree.
pub struct Revision {
    skeleton: Skeleton,
    snapshot: Snapshot,
    /// Its images.
    pub graph: Graph,
    /// The settings of its builds.
    pub builds: BuildSettings,
    /// The diagnostics about its files.
    pub problems: Vec<Diagnostic>,
}

impl Revision {
    /// Reads the revision with the given tree. Tags are named after `head` on both sides, because another commit does
    /// not make another image.
    ///
    /// # Errors
    /// Returns an error if git fails, or if a temporary directory cannot be written.
    pub fn read(git: &Git, tree: &str, head: &Head, at: &Invocation) -> anyhow::Result<Revision> {
        Revision::of(Snapshot::of_revision(git, tree)?, None, head, at)
    }

    fn of(
        snapshot: Snapshot,
        beside: Option<WorkTree<'_>>,
        head: &Head,
        at: &Invocation,
    ) -> anyhow::Result<Revision> {
        let settings = root::settings_of(at.global.file.as_deref())?;
        let skeleton = Skeleton::lay_out(&snapshot, &settings, beside)?;
        let (config, mistakes) = config::read(skeleton.root(), &settings)?;
        // What git ignores is in every revision.
        let is_local = |path: &OsStr| {
            let now = beside.is_some_and(|it| !it.snapshot.holds(path));
            now && snapshot.top.join(path).symlink_metadata().is_ok()
        };
        let exists = |path: &RelPath| {
            let path = snapshot.path_of(path.as_str());
            let resolved = snapshot.resolve(&path).inside();
            resolved.is_some_and(|it| snapshot.holds(&it)) || is_local(&path)
        };
        let (graph, builds, problems) = read_graph(
            (skeleton.root(), root::directory_of(skeleton.root())),
            &config,
            at,
            Some(head),
            &exists,
        )?;
        let problems = once_each(mistakes.into_iter().chain(problems));
        Ok(Revision { skeleton, snapshot, graph, builds, problems })
    }

    /// Returns the revision as one side of a comparison.
    pub fn side(&self) -> inputs::since::ComparedSide<'_> {
        inputs::since::ComparedSide {
            root: self.skeleton.root(),
            graph: &self.graph,
            snapshot: &self.snapshot,
        }
    }

    /// Returns the pins of its committed lock file. One that cannot be read pins nothing.
    pub fn pins(&self) -> Pins {
        pins_in(self.skeleton.root())
    }
}

/// Returns the pins of the lock file in a directory. One that cannot be read pins nothing.
pub fn pins_in(root: &Path) -> Pins {
    pins_of_any(&std::fs::read(root.join(FILE)).unwrap_or_default())
}

/// Compares the work tree with a revision.
///
/// # Errors
/// Returns an error if the revision does not exist, or if git fails.
pub fn affected(
    workspace: &Workspace,
    revision: &str,
    at: &Invocation,
) -> anyhow::Result<AffectedImages> {
    let Workspace { root, graph, .. } = workspace;
    let git = Git::open(root).map_err(as_usage)?;
    let tree = git.resolve(revision).map_err(as_usage)?;
    warn_of_null(revision.strip_suffix("...").unwrap_or(revision), at)?;
    let (then, mut causes) = compare_work_tree(workspace, &git, &tree, at)?;
    let (was, now) = (then.pins(), pins_in(root));
    let was = PinnedGraph { graph: &then.graph, pins: &was };
    add_moved_pins(&mut causes, was, PinnedGraph { graph, pins: &now });
    Ok(AffectedImages::of(graph, causes))
}

/// Warns if a revision is the null commit, which pipelines pass on unchecked.
///
/// # Errors
/// Returns an error if the warning cannot be printed.
pub fn warn_of_null(revision: &str, at: &Invocation) -> anyhow::Result<()> {
    if !is_null(revision) {
        return Ok(());
    }
    let message = format!(
        "`{revision}` is the null commit, which GitHub sends for a new branch: every image is affected\n\
         hint: compare with a branch instead, such as `origin/main...`"
    );
    printer::warning(&message, at.paint)
}

/// Returns a revision, and why the images of the work tree differ from it.
///
/// # Errors
/// Returns an error if git fails, or if the revision cannot be written to a directory.
pub fn compare_work_tree(
    workspace: &Workspace,
    git: &Git,
    tree: &str,
    at: &Invocation,
) -> anyhow::Result<(Revision, IdMap<Option<Cause>>)> {
    let Workspace { root, graph, head, .. } = workspace;
    // Both are slow and independent.
    let (then, now) =
        rayon::join(|| Snapshot::of_revision(git, tree), || Snapshot::of_work_tree(git));
    let (mut then, mut now) = (then?, now?);
    now.keep_directories(&then);
    let local = Local::find(&now, &paths_of(workspace, &now));
    now.take_links(&local);
    then.take_links(&local);
    // Errors in the revision's files do not matter now: only the differences do.
    let then = Revision::of(then, Some(WorkTree { snapshot: &now, local: &local }), head, at)?;
    let causes = compare(ComparedSides {
        now: inputs::since::ComparedSide { root, graph, snapshot: &now },
        then: then.side(),
        platform: &workspace.builds.platform.clone().unwrap_or_default(),
    })?;
    Ok((then, causes))
}

/// Returns the paths of all files that define the images, and of their contexts.
fn paths_of(workspace: &Workspace, snapshot: &Snapshot) -> BTreeSet<std::ffi::OsString> {
    let Workspace { root, graph, .. } = workspace;
    let mut paths = BTreeSet::from([snapshot.path_of(workspace.config.source.path().as_str())]);
    for image in graph.images.values() {
        let (dockerfile, context) = (image.dockerfile.under(root), image.context.under(root));
        paths.insert(snapshot.path_of(image.dockerfile.as_str()));
        paths.insert(snapshot.path_of(image.context.as_str()));
        // If an ignore file cannot be accessed, the code that reads it reports that.
        let ignore = find_ignore_file(&dockerfile, &context).ok().flatten();
        let ignore =
            ignore.and_then(|file| Some(snapshot.path_of(file.strip_prefix(root).ok()?.to_str()?)));
        paths.extend(ignore);
        for value in image.directories().into_keys() {
            let ContextDirectory::Inside(directory) = ContextDirectory::at(value) else { continue };
            paths.insert(snapshot.path_of(directory.as_str()));
            let ignore = directory.join(".dockerignore");
            paths.extend(ignore.map(|file| snapshot.path_of(file.as_str())));
        }
    }
    paths
}

/// Adds a cause for each external with another pin: it is another image, although the Dockerfiles are the same.
pub fn add_moved_pins(
    causes: &mut IdMap<Option<Cause>>,
    then: PinnedGraph<'_>,
    now: PinnedGraph<'_>,
) {
    for (image, references) in moved_pins(then, now) {
        let pinned = references.into_iter();
        let pinned = pinned.map(|reference| Change::External { reference, in_engine: true });
        match &mut causes[image] {
            Some(Cause::Changed { changes }) => changes.extend(pinned),
            Some(
                Cause::New
                | Cause::Unreadable { .. }
                | Cause::Missing
                | Cause::Unknown { .. }
                | Cause::ExternalMoved { .. },
            ) => {}
            cause => *cause = Some(Cause::Changed { changes: pinned.collect() }),
        }
    }
}

impl AffectedImages {
    /// Returns the images that the causes affect.
    pub fn of(graph: &Graph, causes: IdMap<Option<Cause>>) -> AffectedImages {
        let differ: Vec<ImageId> = graph.images.ids().filter(|id| causes[*id].is_some()).collect();
        let images = select::with_dependents(graph, &differ);
        AffectedImages { causes, images }
    }

    /// Returns the level of each affected image: the maximum number of affected images that must be built one after
    /// another before it. Returns `None` for the other images.
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
