//! Warnings about files that instructions name and the context lacks: forgotten, misspelled, or ignored.
//!
//! Owns these warnings. They report only what is certain, and skip sources that depend on a variable of an image,
//! or that versions of BuildKit read differently. A missing file is a warning and not an error, because a step
//! before the build may create it. A build refuses an image whose required files are missing when it reads the context.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::reads::{ContextReads, Doubt};
use super::select::{EntryPart, SourceUse, exists, select};
use super::wildcard::Wildcard;
use crate::base::text::closest;
use crate::base::{Diagnostic, RelPath, Rule, Source, Span};
use crate::graph::context_directory::ContextDirectory;
use crate::graph::evaluate::{ContextKind, ContextUse};
use crate::graph::{Graph, Image, toml_key};
use crate::scan::context::{Context, ContextEntry};
use crate::scan::ignore_file::{IgnoreFile, IgnoreVerdict};

/// Returns what is missing in the contexts of all images of the repository at `root`. Walks each context that an
/// instruction reads in part; uses rayon's pool.
pub fn find(root: &Path, graph: &Graph) -> Vec<Diagnostic> {
    // Contexts with the same directory and ignore file share one walk.
    let mut groups: BTreeMap<(ContextDirectory, Option<PathBuf>), Vec<ImageContext<'_>>> =
        BTreeMap::new();
    for image in graph.images.values() {
        for reads in ContextReads::of(image, Doubt::default()) {
            if certain_uses(&reads).next().is_none() {
                continue;
            }
            // An ignore file that cannot be looked up is reported when ignore files are read.
            let Ok(file) = reads.ignore_file(root) else { continue };
            groups.entry((reads.directory.clone(), file)).or_default().push((image, reads));
        }
    }
    let groups: Vec<_> = groups.into_values().collect();
    let found: Vec<Vec<Diagnostic>> =
        groups.into_par_iter().map(|contexts| find_in_group(root, &contexts)).collect();
    found.into_iter().flatten().collect()
}

/// An image, and one of its contexts.
type ImageContext<'a> = (&'a Image, ContextReads<'a>);

/// Returns the sources for which it is certain what they read, without those that read the whole context.
fn certain_uses<'a>(reads: &ContextReads<'a>) -> impl Iterator<Item = &'a ContextUse> {
    reads
        .written
        .iter()
        .filter(|one| one.certain && one.pattern != "." && !matches!(one.kind, ContextKind::Sent))
}

/// Returns the first file that the build of an image requires and one of its contexts lacks.
pub(super) fn find_required(
    root: &Path,
    (image, reads): (&Image, &ContextReads<'_>),
    context: &Context,
) -> Option<Diagnostic> {
    let is_missing = |one: &ContextUse| required_path(one).is_some_and(|it| !exists(context, &it));
    if image.has_unknown_frontend() || !certain_uses(reads).any(is_missing) {
        return None;
    }
    on_disk(root, reads, |shelf| {
        let mut missing = certain_uses(reads).filter(|one| is_missing(one));
        missing.find_map(|one| shelf.look_for((image, reads), one))
    })?
}

/// Returns the path without which BuildKit fails. A pattern may match nothing, but the directories before its first
/// wildcard must exist. Versions of BuildKit differ about `--parents`.
pub fn required_path(one: &ContextUse) -> Option<String> {
    if one.kind == ContextKind::Bind {
        return Some(one.pattern.clone());
    }
    let parts = one.pattern.split('/').take_while(|part| !Wildcard::is_in(part));
    let plain = parts.collect::<Vec<_>>().join("/");
    Some(plain).filter(|plain| !plain.is_empty() && !one.parents)
}

fn find_in_group(root: &Path, contexts: &[ImageContext<'_>]) -> Vec<Diagnostic> {
    let Some((_, first)) = contexts.first() else { return Vec::new() };
    let uses = contexts
        .iter()
        .flat_map(|(image, reads)| certain_uses(reads).map(move |one| ((*image, reads), one)));
    on_disk(root, first, |shelf| uses.filter_map(|(of, one)| shelf.look_for(of, one)).collect())
        .unwrap_or_default()
}

/// Calls a function with a context; `None` if it cannot be read.
fn on_disk<T>(
    root: &Path,
    reads: &ContextReads<'_>,
    look: impl FnOnce(&ContextOnDisk<'_>) -> T,
) -> Option<T> {
    let file = reads.ignore_file(root).ok()?;
    let (ignore, mistakes) = IgnoreFile::read(root, file.as_deref()).ok()?;
    if !mistakes.is_empty() {
        // It is unknown what the ignore file hides; its mistakes are reported elsewhere.
        return None;
    }
    // A context that cannot be read is reported where it is set, or by the build.
    let context = Context::walk(&reads.directory.under(root), &ignore).ok()?;
    let (context, ignore) = (&context, &ignore);
    Some(look(&ContextOnDisk { root, context, ignore, everything: OnceCell::new() }))
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
    fn look_for(
        &self,
        (image, reads): (&Image, &ContextReads<'_>),
        one: &ContextUse,
    ) -> Option<Diagnostic> {
        let source = SourceUse {
            pattern: if one.parents { one.written.clone() } else { one.pattern.clone() },
            excludes: Vec::new(),
            parents: one.parents,
            replaces_modes: false,
        };
        let parts = || one.pattern.split('/');
        let required = required_path(one);
        let is_missing = required.as_ref().is_some_and(|it| !exists(self.context, it));
        if parts().any(|part| Wildcard::is_in(part) && Wildcard::new(part).is_none())
            || !is_missing && matches(self.context, &source)
        {
            return None;
        }
        let everything = self
            .everything
            .get_or_init(|| Context::walk(&self.context.root, &IgnoreFile::default()).ok())
            .as_ref()?;
        let is_hidden = match required.filter(|_| is_missing) {
            Some(required) => exists(everything, &required),
            None => matches(everything, &source),
        };
        if !is_hidden {
            // BuildKit copies what a pattern matches, even if that is nothing.
            let is_reported = is_missing || one.parents;
            let problem = || describe_missing(self.root, everything, (image, reads), one);
            return is_reported.then(problem);
        }
        // Choose the entry that the pattern itself names, or else the deepest one: parent directories come first.
        let hidden = select(everything, &[source]);
        let named = everything.position(one.pattern.as_bytes());
        let index = named.or(hidden.last().map(|one| one.index))?;
        Some(self.describe_ignored((image, reads), one, &everything.entries[index]))
    }

    fn describe_ignored(
        &self,
        (image, reads): (&Image, &ContextReads<'_>),
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
        let Some((source, span)) = self.hiding_line(reads, entry) else {
            return problem;
        };
        problem
            .at(&source, span, format!("excludes `{path}`"))
            .hint(format!("add the line `!{path}` below, or remove this one"))
    }

    /// Returns the line of the ignore file that excludes an entry.
    fn hiding_line(
        &self,
        reads: &ContextReads<'_>,
        entry: &ContextEntry,
    ) -> Option<(Source, Span)> {
        let file = reads.ignore_file(self.root).ok()??;
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
    (image, reads): (&Image, &ContextReads<'_>),
    one: &ContextUse,
) -> Diagnostic {
    let required = required_path(one);
    let pattern = required.as_ref().unwrap_or(&one.pattern);
    let is_pattern = required.is_none() && Wildcard::is_in(pattern);
    let context = &image.context;
    let where_ = match reads.named {
        Some((name, _)) => format!("the named context `{name}`").into(),
        None if context.is_root() => Cow::from("the repository root"),
        None => format!("the context `{context}`").into(),
    };
    let message = match is_pattern {
        true => format!("nothing matches `{pattern}` in {where_}"),
        false => format!("`{pattern}` not found in {where_}"),
    };
    let problem = with_location(Diagnostic::new(Rule::MissingFile, message), image, one);
    if everything.position(pattern.as_bytes()).is_some() {
        return problem.note("it is a symbolic link to a path that does not exist in the context");
    }
    if is_pattern {
        return problem;
    }
    if let Some(near) = find_near(everything, pattern) {
        return problem.hint(format!("did you mean `{near}`?"));
    }
    // A common mistake is a path relative to the root, as if that were the context.
    let is_other = reads.named.is_none() && !context.is_root();
    let Some(path) = RelPath::new(pattern).filter(|_| is_other) else { return problem };
    if let Some(directory) = better_context(root, (context, pattern), reads) {
        let what = match directory.is_root() {
            true => "the repository root".to_owned(),
            false => format!("`{directory}`"),
        };
        let setting = if directory.is_root() { "." } else { directory.as_str() };
        return problem.hint(format!(
            "it is in {what}: set `context = \"{setting}\"` under `[image.{}]` in `layers.toml`",
            toml_key(&image.name)
        ));
    }
    if let Some(inside) = path.strip_directory(context)
        && context.join(inside).is_some_and(|path| path.under(root).exists())
    {
        return problem.hint(format!("paths are relative to the context: write `{inside}`"));
    }
    problem
}

/// Returns the nearest directory above the context that has a source, and everything else that the instructions of an
/// image find in the context, so that it can be the context. Not what a pattern or a whole context means there: it could
/// be something else.
fn better_context(
    root: &Path,
    (context, pattern): (&RelPath, &str),
    reads: &ContextReads<'_>,
) -> Option<RelPath> {
    let sources = || reads.written.iter().filter(|it| !matches!(it.kind, ContextKind::Sent));
    if !sources().all(|it| it.certain && it.pattern != "." && !Wildcard::is_in(&it.pattern)) {
        return None;
    }
    let has = |directory: &RelPath, pattern: &str| {
        directory.join(pattern).is_some_and(|path| path.under(root).exists())
    };
    let mut directory = context.clone();
    while !directory.is_root() {
        directory = directory.parent();
        let is_kept =
            |one: &ContextUse| has(&directory, &one.pattern) || !has(context, &one.pattern);
        if has(&directory, pattern) && sources().all(is_kept) {
            return Some(directory);
        }
    }
    None
}

/// Returns whether a source selects more than the directories on its path.
fn matches(context: &Context, source: &SourceUse) -> bool {
    let selected = select(context, std::slice::from_ref(source));
    selected.iter().any(|one| one.part != EntryPart::Path)
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
