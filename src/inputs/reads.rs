//! What an image reads from its contexts: its own, and the directories of named contexts.
//!
//! Owns the cases in which exact tracking is impossible and the whole context counts: a frontend that is unknown, a
//! source that depends on a variable of an image, or a base whose `ONBUILD` triggers are unknown.

use std::io;
use std::path::{Path, PathBuf};

use super::SourceUse;
use super::gather::Externals;
use crate::graph::context_directory::ContextDirectory;
use crate::graph::evaluate::{ContextUse, StageDependency};
use crate::graph::{Dependency, Image};
use crate::scan::ignore_file::{find_ignore_file, find_own_ignore_file};

/// What is unknown about an image's inputs, so that more counts than the image uses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doubt {
    /// Which instructions run is unknown: all build arguments, files, and named contexts count.
    pub(super) instructions: bool,
}

/// What an image reads from one of its contexts.
#[derive(Debug, Clone)]
pub(super) struct ContextReads<'a> {
    image: &'a Image,
    /// The name and the value of a named context; `None` for the image's own context.
    pub(super) named: Option<(&'a str, &'a str)>,
    /// The directory.
    pub(super) directory: ContextDirectory,
    /// What the Dockerfile reads.
    pub(super) written: &'a [ContextUse],
    /// What counts as read.
    pub(super) uses: Vec<SourceUse>,
    /// Whether everything counts, because it is unknown what is read.
    pub(super) is_whole: bool,
}

impl<'a> ContextReads<'a> {
    fn new(
        image: &'a Image,
        named: Option<(&'a str, &'a str)>,
        written: &'a [ContextUse],
        doubt: Doubt,
    ) -> ContextReads<'a> {
        let directory = match named {
            Some((_, value)) => ContextDirectory::at(value),
            None => ContextDirectory::Inside(image.context.clone()),
        };
        let is_whole = doubt.instructions || written.iter().any(|one| !one.certain);
        let uses = match is_whole {
            true => vec![SourceUse::everything()],
            false => written.iter().map(source_use).collect(),
        };
        ContextReads { image, named, directory, written, uses, is_whole }
    }

    /// Returns the contexts of an image as its Dockerfile reads them: its own, and then the directories of named
    /// contexts.
    pub(super) fn of(image: &'a Image, doubt: Doubt) -> Vec<ContextReads<'a>> {
        let evaluation = &image.evaluation;
        let mut contexts = vec![ContextReads::new(image, None, &evaluation.context_uses, doubt)];
        let mut directories: Vec<(&str, &str)> =
            image.directories().into_iter().map(|(value, name)| (name, value)).collect();
        directories.sort_unstable();
        for (name, value) in directories {
            let uses = evaluation.directory_uses.get(value);
            if doubt.instructions || uses.is_some() {
                let uses = uses.map_or(&[][..], Vec::as_slice);
                contexts.push(ContextReads::new(image, Some((name, value)), uses, doubt));
            }
        }
        contexts
    }

    /// Returns the ignore file that applies, if there is one. `root` is the root of the repository.
    ///
    /// # Errors
    /// Returns an error if it cannot be looked up.
    pub(super) fn ignore_file(&self, root: &Path) -> io::Result<Option<PathBuf>> {
        let directory = self.directory.under(root);
        match self.named {
            Some(_) => find_own_ignore_file(&directory),
            None => find_ignore_file(&self.image.dockerfile.under(root), &directory),
        }
    }
}

/// Returns what an image reads from its contexts: everything if that is unknown.
pub(super) fn reads_of<'a>(
    image: &'a Image,
    externals: &Externals,
) -> (Vec<ContextReads<'a>>, Doubt) {
    let is_unknown_base = |(dependency, of): (&StageDependency, Dependency)| {
        dependency.kind.is_base()
            && match externals.get(&of) {
                Some(Some(outside)) => outside.triggers.is_none(),
                Some(None) => true,
                // An image built here, whose triggers are known.
                None => false,
            }
    };
    let instructions =
        image.has_unknown_frontend() || image.resolved_dependencies().any(is_unknown_base);
    let doubt = Doubt { instructions };
    (ContextReads::of(image, doubt), doubt)
}

fn source_use(one: &ContextUse) -> SourceUse {
    SourceUse {
        pattern: one.written.clone(),
        excludes: one.excludes.clone(),
        parents: one.parents,
        replaces_modes: one.replaces_modes,
    }
}
