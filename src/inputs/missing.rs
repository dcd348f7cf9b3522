//! Warnings about files that instructions name and the context lacks: forgotten, misspelled, or ignored.
//!
//! Owns these warnings. They report only what is certain, and skip sources that depend on a variable of an image,
//! or that versions of BuildKit read differently. A missing file is a warning and not an error, because a step
//! before the build may create it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rayon::prelude::*;

use super::select::{SourceUse, select};
use super::wildcard::Wildcard;
use crate::base::text::closest;
use crate::base::{Diagnostic, RelPath, Rule, Source, Span};
use crate::graph::evaluate::{ContextKind, ContextUse};
use crate::graph::{Graph, Image};
use crate::scan::context::{Context, ContextEntry};
use crate::scan::ignore_file::{IgnoreFile, IgnoreVerdict, find_ignore_file};

/// Returns what is missing in the contexts of all images of the repository at `root`. Walks each context that an
/// instruction reads in part; uses rayon's pool.
pub fn find(root: &Path, graph: &Graph) -> Vec<Diagnostic> {
    // Images with the same context and ignore file share one walk.
    let mut groups: BTreeMap<(&RelPath, Option<RelPath>), Vec<&Image>> = BTreeMap::new();
    for image in graph.images.values().filter(|image| certain_uses(image).next().is_some()) {
        // An ignore file that cannot be looked up is reported when ignore files are read.
        let (dockerfile, context) = (image.dockerfile.under(root), image.context.under(root));
        let Ok(file) = find_ignore_file(&dockerfile, &context) else { continue };
        let file = file.and_then(|file| RelPath::from_path(file.strip_prefix(root).ok()?));
        groups.entry((&image.context, file)).or_default().push(image);
    }
    let groups: Vec<_> = groups.into_values().collect();
    let found: Vec<Vec<Diagnostic>> =
        groups.into_par_iter().map(|images| find_in_group(root, &images)).collect();
    found.into_iter().flatten().collect()
}

/// Returns the sources for which it is certain what they read, without those that read the whole context.
fn certain_uses(image: &Image) -> impl Iterator<Item = &ContextUse> {
    image
        .evaluation
        .context_uses
        .iter()
        .filter(|one| one.certain && one.pattern != "." && !matches!(one.kind, ContextKind::Sent))
}

fn find_in_group(root: &Path, images: &[&Image]) -> Vec<Diagnostic> {
    let Some(first) = images.first() else { return Vec::new() };
    let directory = first.context.under(root);
    let Ok((ignore, mistakes)) = IgnoreFile::load(root, &first.dockerfile, &first.context) else {
        return Vec::new();
    };
    if !mistakes.is_empty() {
        // It is unknown what the ignore file hides; its mistakes are reported elsewhere.
        return Vec::new();
    }
    // A context that cannot be read is reported where it is set, or by the build.
    let Ok(context) = Context::walk(&directory, &ignore) else { return Vec::new() };
    let shelf =
        ContextOnDisk { root, context: &context, ignore: &ignore, everything: OnceCell::new() };
    let uses = images.iter().flat_map(|image| certain_uses(image).map(move |one| (image, one)));
    uses.filter_map(|(image, one)| shelf.look_for(image, one)).collect()
}

/// A context, as sent and as it is on disk.
struct ContextOnDisk<'a> {
    root: &'a Path,
    context: &'a Context,
    ignore: &'a IgnoreFile,
    /// All files, including ignored ones; walked on first use. `None` if the walk fails.
    everything: OnceCell<Option<Context>>,
}

impl ContextOnDisk<'_> {
    fn look_for(&self, image: &Image, one: &ContextUse) -> Option<Diagnostic> {
        let source = SourceUse {
            pattern: if one.parents { one.written.clone() } else { one.pattern.clone() },
            excludes: Vec::new(),
            parents: one.parents,
            replaces_modes: false,
        };
        let parts = || one.pattern.split('/');
        if parts().any(|part| Wildcard::is_in(part) && Wildcard::new(part).is_none())
            || !select(self.context, std::slice::from_ref(&source)).is_empty()
        {
            return None;
        }
        let everything = self
            .everything
            .get_or_init(|| Context::walk(&self.context.root, &IgnoreFile::default()).ok())
            .as_ref()?;
        let hidden = select(everything, &[source]);
        // Choose the entry that the pattern itself names, or else the deepest one: parent directories come first.
        let named = everything.position(one.pattern.as_bytes());
        match named
            .as_ref()
            .or(hidden.last().map(|it| &it.index))
            .map(|entry| &everything.entries[*entry])
        {
            Some(entry) => Some(self.describe_ignored(image, one, entry)),
            None => Some(describe_missing(self.root, everything, image, one)),
        }
    }

    fn describe_ignored(
        &self,
        image: &Image,
        one: &ContextUse,
        entry: &ContextEntry,
    ) -> Diagnostic {
        let path = String::from_utf8_lossy(entry.bytes());
        let what = match Wildcard::is_in(&one.pattern) {
            true => {
                format!("everything that `{}` matches is excluded by the ignore file", one.pattern)
            }
            false => format!("`{}` is excluded by the ignore file", one.pattern),
        };
        let problem = with_location(Diagnostic::new(Rule::IgnoredFile, what), image, one);
        let Some((source, span)) = self.hiding_line(image, entry) else {
            return problem;
        };
        problem
            .at(&source, span, format!("excludes `{path}`"))
            .hint(format!("add the line `!{path}` below, or remove this one"))
    }

    /// Returns the line of the ignore file that excludes an entry.
    fn hiding_line(&self, image: &Image, entry: &ContextEntry) -> Option<(Source, Span)> {
        let (dockerfile, context) =
            (image.dockerfile.under(self.root), image.context.under(self.root));
        let file = find_ignore_file(&dockerfile, &context).ok()??;
        let path = RelPath::from_path(file.strip_prefix(self.root).ok()?)?;
        let source = Source::new(path, std::fs::read_to_string(&file).ok()?);
        let bytes = entry.bytes();
        let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut verdict: Option<IgnoreVerdict> = None;
        for end in slashes.map(|(at, _)| at).chain([bytes.len()]) {
            let judged = self.ignore.judge(&bytes[..end], verdict.as_ref());
            let is_final = self.ignore.can_skip(&bytes[..end], &judged);
            verdict = Some(judged);
            if is_final {
                break;
            }
        }
        let span = self.ignore.deciding_line(&verdict?)?;
        // The file may have changed since it was read.
        (span.range().end <= source.text().len()).then_some((source, span))
    }
}

fn describe_missing(
    root: &Path,
    everything: &Context,
    image: &Image,
    one: &ContextUse,
) -> Diagnostic {
    let pattern = &one.pattern;
    let is_pattern = one.kind != ContextKind::Bind && Wildcard::is_in(pattern);
    let context = &image.context;
    let where_ = match context.is_root() {
        true => Cow::from("the repository root"),
        false => format!("the context `{context}`").into(),
    };
    let message = match is_pattern {
        true => format!("nothing matches `{pattern}` in {where_}"),
        false => format!("`{pattern}` not found in {where_}"),
    };
    let problem = with_location(Diagnostic::new(Rule::MissingFile, message), image, one);
    if is_pattern {
        return problem;
    }
    if let Some(near) = find_near(everything, pattern) {
        return problem.hint(format!("did you mean `{near}`?"));
    }
    // A common mistake is a path relative to the root, as if that were the context.
    let Some(path) = RelPath::new(pattern).filter(|_| !context.is_root()) else { return problem };
    if let Some(inside) = path.strip_directory(context)
        && context.join(inside).is_some_and(|path| path.under(root).exists())
    {
        return problem.hint(format!("paths are relative to the context: write `{inside}`"));
    }
    if path.under(root).exists() {
        let name = &image.name;
        return problem.hint(format!(
            "it is in the repository root: set `context = \".\"` in `[image.{name}]` in `layers.toml`"
        ));
    }
    problem
}

/// Returns a name similar to the missing one, in the same directory.
fn find_near(everything: &Context, path: &str) -> Option<String> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let start = if directory.is_empty() { 0 } else { directory.len() + 1 };
    let below = &everything.entries[everything.below(directory.as_bytes())];
    let names = below.iter().filter_map(|entry| {
        let name = std::str::from_utf8(&entry.path.as_bytes()[start..]).ok()?;
        (!name.contains('/')).then_some(name)
    });
    let near = closest(name, names)?;
    Some(if directory.is_empty() { near.to_owned() } else { format!("{directory}/{near}") })
}

/// Adds the location of the source. A trigger is in another Dockerfile, and reads the context of the image whose
/// `FROM` runs it.
fn with_location(problem: Diagnostic, image: &Image, one: &ContextUse) -> Diagnostic {
    if one.source.path() == image.file.source.path() {
        return problem.at(&one.source, one.span, "");
    }
    let from = image.file.stages.get(one.stage).map_or(Span::default(), |stage| stage.base.span);
    let problem = problem.at(&image.file.source, from, "the trigger reads this image's context");
    problem.at(&one.source, one.span, "in this trigger")
}

#[cfg(test)]
mod tests;
