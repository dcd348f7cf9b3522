//! Dockerfiles with similar paths, and the parts of a path that a template can use.
//!
//! Owns the forms of file names, the sets of paths that one glob describes, and how that glob and the placeholders are
//! written. It knows no references.

use crate::base::RelPath;
use crate::base::text::kebab;

/// A part of a path that a template can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum PathPart {
    /// The directory this many levels up: 1 is the directory of the Dockerfile.
    Above(usize),
    /// The part of the file name other than `Dockerfile`.
    Stem,
}

/// The path of a Dockerfile, split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitPath {
    /// The directories, from the root.
    pub(super) directories: Vec<String>,
    /// What all files of the same kind have in common: `Dockerfile`, `Dockerfile.`, or `.Dockerfile`.
    word: String,
    stem: Option<String>,
}

impl SplitPath {
    pub(super) fn of(path: &RelPath) -> SplitPath {
        let mut parts: Vec<String> = path.parts().map(str::to_owned).collect();
        let file = parts.pop().unwrap_or_default();
        let (word, stem) = split_file(&file);
        SplitPath { directories: parts, word: word.to_owned(), stem: stem.map(str::to_owned) }
    }

    /// Returns the value of a part, if the path has it.
    pub(super) fn value(&self, part: PathPart) -> Option<&str> {
        match part {
            PathPart::Above(levels) => {
                let at = self.directories.len().checked_sub(levels)?;
                self.directories.get(at).map(String::as_str)
            }
            PathPart::Stem => self.stem.as_deref(),
        }
    }

    /// Returns all parts with their values.
    pub(super) fn values(&self) -> impl Iterator<Item = (PathPart, &str)> {
        let levels = (1..=self.directories.len()).map(PathPart::Above);
        let parts = levels.chain([PathPart::Stem]);
        parts.filter_map(|part| Some((part, self.value(part)?)))
    }
}

/// Splits the name of a file into what it has in common with similar files, and the rest.
fn split_file(file: &str) -> (&str, Option<&str>) {
    for word in ["Dockerfile", "Containerfile", "dockerfile", "containerfile"] {
        if let Some(stem) = file.strip_prefix(word)
            && stem.starts_with(['.', '-', '_'])
            && stem.len() > 1
        {
            return (&file[..=word.len()], Some(&stem[1..]));
        }
        if let Some(stem) = file.strip_suffix(word)
            && stem.ends_with('.')
            && stem.len() > 1
        {
            return (&file[stem.len() - 1..], Some(&stem[..stem.len() - 1]));
        }
    }
    (file, None)
}

/// A set of paths that one glob describes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PathGroup {
    /// The directories that all paths start with.
    prefix: Vec<String>,
    /// The number of directories, or `None` if it varies.
    depth: Option<usize>,
    /// The directory of all files, if others are between it and the prefix.
    last: Option<String>,
    word: String,
    has_stem: bool,
}

impl PathGroup {
    /// Returns the sets that contain a path, from the largest to the smallest.
    pub(super) fn around(path: &SplitPath) -> impl Iterator<Item = PathGroup> {
        let depth = path.directories.len();
        (0..=depth).flat_map(move |length| {
            let of = move |depth, last| PathGroup {
                prefix: path.directories[..length].to_vec(),
                depth,
                last,
                word: path.word.clone(),
                has_stem: path.stem.is_some(),
            };
            let last = || path.directories.last().filter(|_| length + 1 < depth).cloned();
            let any = (length < depth).then(|| of(None, None));
            let any_last = last().map(|last| of(None, Some(last)));
            let one_last = last().map(|last| of(Some(depth), Some(last)));
            let groups = [any, any_last, Some(of(Some(depth), None)), one_last];
            groups.into_iter().flatten()
        })
    }

    pub(super) fn contains(&self, path: &SplitPath) -> bool {
        path.word == self.word
            && path.stem.is_some() == self.has_stem
            && self.depth.is_none_or(|depth| depth == path.directories.len())
            && path.directories.starts_with(&self.prefix)
            // `a/**/Dockerfile` matches `a/Dockerfile` too.
            && path.directories.len() >= self.prefix.len() + usize::from(self.last.is_some())
            && self.last.as_ref().is_none_or(|last| path.directories.last() == Some(last))
    }

    /// Returns the number of directories that all paths start with.
    pub(super) fn prefix_length(&self) -> usize {
        self.prefix.len()
    }

    /// Returns whether all paths are below the directory in the root that another set is below.
    pub(super) fn is_in_tree_of(&self, other: &PathGroup) -> bool {
        self.prefix.first() == other.prefix.first()
    }

    /// Returns whether all paths have the same number of directories.
    pub(super) fn has_one_depth(&self) -> bool {
        self.depth.is_some()
    }

    /// Returns the glob that finds the paths.
    pub(super) fn glob(&self) -> String {
        let mut parts = self.prefix.clone();
        match self.depth {
            Some(depth) => {
                let any = depth - self.prefix.len() - usize::from(self.last.is_some());
                parts.extend((0..any).map(|_| "*".to_owned()));
            }
            None => parts.push("**".to_owned()),
        }
        parts.extend(self.last.clone());
        parts.push(self.file("*"));
        parts.join("/")
    }

    /// Returns the regular expression that matches the paths, in which directories are captured: `name` returns the name
    /// of the capture for a directory this many levels up, if one is needed.
    pub(super) fn pattern(&self, name: &dyn Fn(usize) -> Option<String>) -> String {
        let depth = self.depth.unwrap_or(self.prefix.len());
        let mut parts: Vec<String> = Vec::new();
        for at in 0..depth {
            let last = self.last.as_ref().filter(|_| at + 1 == depth);
            parts.push(match (self.prefix.get(at).or(last), name(depth - at)) {
                (_, Some(name)) => format!("(?<{name}>[^/]+)"),
                (Some(literal), None) => regex::escape(literal),
                (None, None) => "[^/]+".to_owned(),
            });
        }
        parts.push(match self.has_stem {
            true if self.word.ends_with(['.', '-', '_']) => {
                format!("{}[^/]+", regex::escape(&self.word))
            }
            true => format!("[^/]+{}", regex::escape(&self.word)),
            false => regex::escape(&self.word),
        });
        parts.join("/")
    }

    fn file(&self, stem: &str) -> String {
        match self.has_stem {
            true if self.word.ends_with(['.', '-', '_']) => format!("{}{stem}", self.word),
            true => format!("{stem}{}", self.word),
            false => self.word.clone(),
        }
    }
}

/// How a template changes the value of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Filter {
    None,
    Lower,
    Kebab,
}

impl Filter {
    pub(super) const ALL: [Filter; 3] = [Filter::None, Filter::Lower, Filter::Kebab];

    pub(super) fn apply(self, value: &str) -> String {
        match self {
            Filter::None => value.to_owned(),
            Filter::Lower => value.to_lowercase(),
            Filter::Kebab => kebab(value),
        }
    }

    /// Returns how the filter is written in a placeholder.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Filter::None => "",
            Filter::Lower => ":lower",
            Filter::Kebab => ":kebab",
        }
    }
}
