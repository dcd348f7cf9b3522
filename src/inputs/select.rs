//! The entries of a context that the instructions of an image can read.
//!
//! Owns the resolution of a source (`COPY src/*.txt`, `source=` of a bind mount) to entries: wildcards, symlinks on
//! the path, `--parents`, and `--exclude`. It does not know instructions, and uses only what the walk found.
//!
//! Selecting one entry too many costs an unnecessary build; selecting one too few causes a wrong `fresh`, or a build
//! that fails. If versions of BuildKit, or its components (the walker that sends, the one that hashes, the one that
//! copies), disagree about a source, all interpretations are selected. A source that cannot be interpreted selects
//! the whole context.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;

use super::wildcard::Wildcard;
use crate::scan::context::{Context, ContextEntry, EntryKind, lies_in};
use crate::scan::ignore_file::IgnoreFile;

/// The maximum number of symlinks on one path, for the kernel and for BuildKit.
const MOST_LINKS: usize = 255;

/// One source from which an instruction reads the context.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceUse {
    /// The source after expansion, relative to the context. `/x` and `../x` mean `x`, as in `COPY`. The whole
    /// context is `.`.
    pub pattern: String,
    /// The patterns of `--exclude`.
    pub excludes: Vec<String>,
    /// Whether `--parents` is set: then `**` matches any depth, and `/./` marks where the kept path begins.
    pub parents: bool,
    /// Whether an octal `--chmod` replaces the permission bits of files.
    pub replaces_modes: bool,
}

impl SourceUse {
    /// Creates a source without flags.
    pub fn of(pattern: impl Into<String>) -> SourceUse {
        let pattern = pattern.into();
        SourceUse { pattern, excludes: Vec::new(), parents: false, replaces_modes: false }
    }

    /// Returns the whole context, for sources that are unknown.
    pub fn everything() -> SourceUse {
        SourceUse::of(".")
    }
}

/// Returns sources that select the same, in a form that is the same for most of them: sorted, and without those that
/// add nothing to the whole context.
pub fn normalize(mut uses: Vec<SourceUse>) -> Vec<SourceUse> {
    let names = |one: &SourceUse| one.pattern.split('/').all(|name| matches!(name, "" | "."));
    if uses.iter().any(|one| names(one) && *one == SourceUse::of(one.pattern.as_str())) {
        return vec![SourceUse::everything()];
    }
    uses.sort_unstable();
    uses.dedup();
    uses
}

/// What counts of an entry, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryPart {
    /// Nothing: it is a directory on the path to what is read, and only has to be there.
    Path,
    /// Everything except the permission bits. BuildKit's copy applies `--chmod` to files in place of them, but the one
    /// in Docker 20.10 keeps their other mode bits, and the mode of a source directory.
    Content,
    /// Everything.
    All,
}

/// An entry of a context that sources can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectedEntry {
    /// Its index in the context.
    pub index: usize,
    /// What counts of it.
    pub part: EntryPart,
}

impl SelectedEntry {
    /// Returns the mode of the entry, or `None` if its mode does not count.
    pub fn mode(self, entry: &ContextEntry) -> Option<u32> {
        let mode = entry.stat.mode;
        let is_replaced = self.part == EntryPart::Content && entry.kind == EntryKind::File;
        (!is_replaced || mode & !PERMISSIONS != 0).then_some(mode)
    }
}

/// The permission bits of a mode.
const PERMISSIONS: u32 = 0o777;

/// Returns the entries that the sources can read and the directories that contain them, in the order of the context.
pub fn select(context: &Context, uses: &[SourceUse]) -> Vec<SelectedEntry> {
    let parts = vec![None; context.entries.len()];
    let mut selected = SelectedEntries { context, parts, part: EntryPart::All };
    for one in uses {
        if selected.add(one).is_none() {
            let all = 0..context.entries.len();
            return all.map(|index| SelectedEntry { index, part: EntryPart::All }).collect();
        }
    }
    // With `--parents`, the directories above are copied too.
    let has_parents = uses.iter().any(|one| one.parents);
    selected.with_directories(if has_parents { EntryPart::All } else { EntryPart::Path })
}

/// Returns whether a path without `..` resolves to an entry, through symlinks; true if that cannot be determined.
pub(super) fn exists(context: &Context, path: &str) -> bool {
    let is_link = |number: usize| matches!(context.entries[number].kind, EntryKind::Symlink(_));
    if context.position(path.as_bytes()).is_some_and(|number| !is_link(number)) {
        return true;
    }
    let parts = vec![None; context.entries.len()];
    let mut selected = SelectedEntries { context, parts, part: EntryPart::All };
    let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    let ahead = names.rev().map(|name| PathComponent::Name(name.as_bytes().to_vec())).collect();
    selected.search(Vec::new(), ahead).is_none_or(|found| !found.is_empty())
}

/// One component of a source's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum PathComponent {
    Up,
    /// Exactly this name.
    Name(Vec<u8>),
    /// A name with wildcards. It is also tried literally, as bind mounts do.
    Wild(String),
}

/// A state of the search.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct SearchState {
    /// The directory, with symlinks resolved; empty for the context.
    directory: Vec<u8>,
    /// The remaining steps, the next one last.
    ahead: Vec<PathComponent>,
    links: usize,
    /// Whether a wildcard was passed.
    is_matched: bool,
}

struct SelectedEntries<'a> {
    context: &'a Context,
    /// What counts of each entry; `None` if it is not selected.
    parts: Vec<Option<EntryPart>>,
    /// What counts of the entries of the current source.
    part: EntryPart,
}

impl SelectedEntries<'_> {
    fn mark(&mut self, number: usize) {
        self.parts[number] = self.parts[number].max(Some(self.part));
    }

    /// Adds the entries of one source; `None` if only the whole context will do.
    fn add(&mut self, one: &SourceUse) -> Option<()> {
        // A `!` among the excludes includes files again by rules that differ between versions, and an invalid
        // pattern fails the build. Ignoring the excludes then only selects too many files.
        let excludes = IgnoreFile::from_patterns(one.excludes.iter().map(String::as_str))
            .ok()
            .filter(|excludes| !excludes.has_exceptions())
            .unwrap_or_default();
        self.part = if one.replaces_modes { EntryPart::Content } else { EntryPart::All };
        // Without `--parents`, `**` is `*`: BuildKit uses Go's `filepath.Match`.
        self.follow(Vec::new(), &one.pattern, &excludes)?;
        if one.parents {
            self.match_deep(&one.pattern, &excludes)?;
        }
        Some(())
    }

    /// Adds what a path with wildcards resolves to, step by step, through symlinks.
    fn follow(&mut self, directory: Vec<u8>, path: &str, excludes: &IgnoreFile) -> Option<()> {
        for found in self.resolve(directory, path)? {
            self.take(&found, excludes);
        }
        Some(())
    }

    /// Returns the paths that `path` resolves to, none of which is a symlink. Marks symlinks on the way.
    fn resolve(&mut self, directory: Vec<u8>, path: &str) -> Option<Vec<Vec<u8>>> {
        let mut ahead: Vec<PathComponent> = Vec::new();
        // A source is cleaned lexically before any lookup, so `a/..` does not depend on what `a` points to. The
        // target of a symlink is not.
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(ahead.pop()),
                part if Wildcard::is_in(part) => {
                    Wildcard::new(part)?;
                    ahead.push(PathComponent::Wild(part.to_owned()));
                }
                part => ahead.push(PathComponent::Name(part.as_bytes().to_vec())),
            }
        }
        ahead.reverse();
        self.search(directory, ahead)
    }

    /// Returns the paths that some steps resolve to; the next step is the last one.
    fn search(&mut self, directory: Vec<u8>, ahead: Vec<PathComponent>) -> Option<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let mut open = vec![SearchState { directory, ahead, links: 0, is_matched: false }];
        let mut seen: HashSet<SearchState> = HashSet::new();
        while let Some(mut state) = open.pop() {
            if state.links > MOST_LINKS {
                return None;
            }
            if !seen.insert(state.clone()) {
                continue;
            }
            match state.ahead.pop() {
                None => found.push(state.directory),
                Some(PathComponent::Up) => {
                    let slash = state.directory.iter().rposition(|byte| *byte == b'/');
                    state.directory.truncate(slash.unwrap_or(0));
                    open.push(state);
                }
                Some(step) => {
                    if matches!(step, PathComponent::Wild(_)) {
                        self.list(&state);
                        state.is_matched = true;
                    }
                    let mut entered = false;
                    for number in self.named(&state.directory, &step)? {
                        let next = self.enter(number, &state);
                        entered |= next.is_some();
                        open.extend(next);
                    }
                    // A lenient reader resolves `x/../y` to `y` even if the directory `x` does not exist.
                    if let (false, PathComponent::Name(name)) = (entered, &step)
                        && state.ahead.contains(&PathComponent::Up)
                    {
                        open.push(SearchState { directory: join(&state.directory, name), ..state });
                    }
                }
            }
        }
        Some(found)
    }

    /// Marks the directory in which BuildKit searches for a pattern: it must exist, even if nothing in it matches.
    fn list(&mut self, state: &SearchState) {
        let directory = self.context.position(&state.directory).filter(|_| !state.is_matched);
        if let Some(number) = directory {
            self.parts[number] = self.parts[number].max(Some(EntryPart::Path));
        }
    }

    /// Returns the entries of a directory that a step may refer to.
    fn named(&self, directory: &[u8], step: &PathComponent) -> Option<Vec<usize>> {
        let exactly = |name: &[u8]| self.context.position(&join(directory, name));
        if self.is_unreadable(directory) {
            return None;
        }
        match step {
            PathComponent::Up => Some(Vec::new()),
            PathComponent::Name(name) => Some(exactly(name).into_iter().collect()),
            PathComponent::Wild(text) => {
                let wildcard = Wildcard::new(text)?;
                let start = if directory.is_empty() { 0 } else { directory.len() + 1 };
                let is_match = |number: &usize| {
                    let name = &self.context.entries[*number].bytes()[start..];
                    !name.contains(&b'/') && wildcard.matches(name)
                };
                let matching = self.context.below(directory).filter(is_match);
                Some(matching.chain(exactly(text.as_bytes())).collect())
            }
        }
    }

    /// Returns whether a directory cannot be read. A source in it selects the whole context, and
    /// the error of the directory with it.
    fn is_unreadable(&self, directory: &[u8]) -> bool {
        self.context.unreadable.iter().any(|it| it.path.as_bytes() == directory)
    }

    /// Returns where the search continues after an entry.
    fn enter(&mut self, number: usize, state: &SearchState) -> Option<SearchState> {
        let entry = &self.context.entries[number];
        match &entry.kind {
            EntryKind::Symlink(text) => {
                self.mark(number);
                let text = text.as_bytes();
                let absolute = text.starts_with(b"/");
                let directory = if absolute { Vec::new() } else { state.directory.clone() };
                let mut ahead = state.ahead.clone();
                let names = text.split(|byte| *byte == b'/').rev();
                ahead.extend(names.filter(|name| !name.is_empty() && *name != b".").map(|name| {
                    if name == b".." {
                        PathComponent::Up
                    } else {
                        PathComponent::Name(name.to_vec())
                    }
                }));
                Some(SearchState { directory, ahead, links: state.links + 1, ..*state })
            }
            EntryKind::Directory => {
                Some(SearchState { directory: entry.bytes().to_vec(), ..state.clone() })
            }
            _ if state.ahead.is_empty() => {
                Some(SearchState { directory: entry.bytes().to_vec(), ..state.clone() })
            }
            _ => None,
        }
    }

    /// Marks an entry and everything in it, except what is excluded: BuildKit matches the patterns relative to the
    /// source (`shouldIncludePath` in its `cache/contenthash/checksum.go`, `copy` in fsutil's `copy/copy.go`).
    fn take(&mut self, path: &[u8], excludes: &IgnoreFile) {
        if let Some(number) = self.context.position(path) {
            self.mark(number);
        }
        let start = if path.is_empty() { 0 } else { path.len() + 1 };
        let mut matcher = excludes.matcher();
        for number in self.context.below(path) {
            let entry_path = self.context.entries[number].bytes();
            if excludes.is_empty() || !matcher.ignored(&entry_path[start..]) {
                self.mark(number);
            }
        }
    }

    /// Adds what a pattern matches by the rules of ignore files, in which `**` matches any depth, starting at each
    /// directory that the part before `/./` resolves to.
    fn match_deep(&mut self, pattern: &str, excludes: &IgnoreFile) -> Option<()> {
        let (pivot, pattern) = pattern.split_once("/./").unwrap_or(("", pattern));
        let pattern = pattern.trim_start_matches('/');
        let patterns = IgnoreFile::from_patterns([pattern]).ok()?;
        if patterns.has_exceptions() || pattern.split('/').any(|part| part == "..") {
            return None;
        }
        if matches!(pattern, "" | ".") {
            return self.follow(Vec::new(), pivot, excludes);
        }
        for directory in self.resolve(Vec::new(), pivot)? {
            if self.context.has_unreadable(&directory) {
                return None;
            }
            let start = if directory.is_empty() { 0 } else { directory.len() + 1 };
            let mut matcher = patterns.matcher();
            for number in self.context.below(&directory) {
                let entry = &self.context.entries[number];
                if !matcher.ignored(&entry.bytes()[start..]) {
                    continue;
                }
                let path = entry.bytes().to_vec();
                if matches!(entry.kind, EntryKind::Symlink(_)) {
                    let (above, name) = split(&path);
                    // If the name looks like a wildcard, this selects too much.
                    self.follow(above.to_vec(), std::str::from_utf8(name).ok()?, excludes)?;
                }
                // Entries below a match also match, so there is no need to add them here.
                // The patterns could be relative to the pivot or to the context.
                let excluded = !excludes.is_empty()
                    && excludes.ignored(&path)
                    && excludes.ignored(&path[start..]);
                if !excluded {
                    self.mark(number);
                }
            }
        }
        Some(())
    }

    /// Returns the marked entries and all directories that contain them, of which `part` counts.
    fn with_directories(mut self, part: EntryPart) -> Vec<SelectedEntry> {
        self.part = part;
        let mut last: &[u8] = b"";
        for number in (0..self.parts.len()).rev() {
            let path = self.context.entries[number].bytes();
            if lies_in(path, last) {
                self.mark(number);
            }
            if self.parts[number].is_some() {
                last = path;
            }
        }
        let parts = self.parts.into_iter().enumerate();
        parts.filter_map(|(index, part)| Some(SelectedEntry { index, part: part? })).collect()
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// Splits a path into its directory and its name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        None => (b"", path),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
    }
}

#[cfg(test)]
mod tests;
