//! Which images an error in the repository's files concerns.
//!
//! Owns the scope of errors: those in a Dockerfile or an ignore file concern the images that use the file and the
//! dependents of these images. A file that cannot be read may also contain the references by which its siblings are
//! named. Errors about names and settings concern all images. An error that only hides a base concerns its image and the
//! dependents, also in commands on all images: they continue without these images.

use std::collections::{BTreeSet, HashMap};

use crate::base::error::{ErrorKind, printed};
use crate::base::text::{count, list};
use crate::base::{Diagnostic, ImageId, RelPath, Rule};
use crate::graph::context_directory::ContextDirectory;
use crate::graph::select;
use crate::graph::unresolved::Unbuildable;
use crate::report::{diagnostics, printer};
use crate::scan::ignore_file::find_ignore_file;

use super::Invocation;
use super::load::Workspace;

/// Rules about names. If one is broken, references to the image look as if they named something else.
const COMMON: [Rule; 4] =
    [Rule::Config, Rule::DuplicateImage, Rule::DuplicateReference, Rule::InvalidName];

impl Workspace {
    /// Returns whether an error concerns all images.
    pub fn has_common_error(&self) -> bool {
        if !self.has_error() {
            return false;
        }
        let users = self.users();
        self.errors().any(|problem| self.images_of(problem, &users).is_none())
    }

    /// Returns whether there is an error.
    pub fn has_error(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Prints the diagnostics that concern some images or their dependencies, those that make others of the selected
    /// images `unbuildable`, and how many errors there are elsewhere.
    ///
    /// # Errors
    /// Returns an error if one of the former is an error.
    pub fn refuse_errors_of(
        &self,
        selected: &[ImageId],
        unbuildable: &Unbuildable,
        at: &Invocation,
    ) -> anyhow::Result<()> {
        if !self.has_error() {
            return self.refuse_errors(at);
        }
        let needed: BTreeSet<ImageId> =
            select::with_needs(&self.graph, selected).into_iter().collect();
        let users = self.users();
        let concerns = |problem: &Diagnostic| match self.images_of(problem, &users) {
            _ if !problem.is_error() => true,
            None => true,
            Some(images) => images.iter().any(|image| needed.contains(image)),
        };
        let leaves_out = |problem: &Diagnostic| {
            let hidden = self.graph.hidden_by(problem);
            hidden.iter().any(|image| unbuildable.contains_key(image))
        };
        let has_own = self.errors().any(concerns);
        let open = if has_own { Vec::new() } else { self.open_names(&needed) };
        let is_shown = |it: &&Diagnostic| !open.is_empty() || concerns(it) || leaves_out(it);
        let shown: Vec<Diagnostic> = self.diagnostics.iter().filter(is_shown).cloned().collect();
        printer::err(&diagnostics::draw(&shown, at.paint))?;
        if has_own || !open.is_empty() {
            if !open.is_empty() {
                printer::note(&describe_open_names(&open))?;
            }
            return Err(printed(ErrorKind::Files).into());
        }
        let others = self.errors().count() - shown.iter().filter(|it| it.is_error()).count();
        if others == 0 {
            return Ok(());
        }
        let others = count(others, "error");
        printer::note(&format!(
            "{others} in files of other images; run `layers check` for details\n"
        ))
    }

    /// Refuses images whose bases are not known, for files from which other programs build. The diagnostics were
    /// printed.
    ///
    /// # Errors
    /// Returns an error if there is one.
    pub fn refuse_unresolved(&self, images: &[ImageId]) -> anyhow::Result<()> {
        match images.iter().any(|id| self.graph.unresolved().contains_key(id)) {
            true => Err(printed(ErrorKind::Files).into()),
            false => Ok(()),
        }
    }

    fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|problem| problem.is_error())
    }

    /// Returns the names of those of some images that may have another reference when the errors are corrected.
    fn open_names(&self, images: &BTreeSet<ImageId>) -> Vec<&str> {
        let all = images.iter().map(|image| &self.graph.images[*image]);
        all.filter(|image| image.has_open_name).map(|image| image.name.as_str()).collect()
    }

    /// Returns the images that use the files an error points to, or `None` if the error concerns all images.
    fn images_of(
        &self,
        problem: &Diagnostic,
        users: &HashMap<RelPath, Vec<ImageId>>,
    ) -> Option<Vec<ImageId>> {
        if COMMON.contains(&problem.rule) {
            return None;
        }
        if problem.rule.hides_base() {
            return Some(self.graph.hidden_by(problem));
        }
        let mut files = problem.labels.iter().map(|label| users.get(label.source.path()));
        // The first file is the one with the error. Others can be those of settings.
        let first = files.next().flatten()?;
        Some(first.iter().chain(files.flatten().flatten()).copied().collect())
    }

    /// Returns the images that use each Dockerfile and ignore file.
    fn users(&self) -> HashMap<RelPath, Vec<ImageId>> {
        let mut users: HashMap<RelPath, Vec<ImageId>> = HashMap::new();
        for (id, image) in self.graph.images.iter() {
            let (dockerfile, context) =
                (image.dockerfile.under(&self.root), image.context.under(&self.root));
            let ignore = find_ignore_file(&dockerfile, &context).ok().flatten();
            let ignore =
                ignore.and_then(|it| RelPath::from_path(it.strip_prefix(&self.root).ok()?));
            let directories = image.directories().into_keys().map(ContextDirectory::at);
            let named = directories.filter_map(|directory| match directory {
                ContextDirectory::Inside(path) => path.join(".dockerignore"),
                ContextDirectory::Outside(_) => None,
            });
            for path in ignore.into_iter().chain(named).chain([image.dockerfile.clone()]) {
                users.entry(path).or_default().push(id);
            }
        }
        users
    }
}

fn describe_open_names(names: &[&str]) -> String {
    let (names, verb) = (list(names), if names.len() == 1 { "name" } else { "names" });
    format!(
        "the {verb} of {names} may depend on these files; to name images without them, set `reference` in \
         `layers.toml`, such as \"acme/shop-{{name}}:latest\"\n"
    )
}
