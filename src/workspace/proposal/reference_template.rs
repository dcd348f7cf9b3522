//! Templates for references, learned from the references that Dockerfiles and build files contain.
//!
//! Owns the alignment of a reference with the path of a Dockerfile: `ros:jazzy-core` and `ros/jazzy/core/Dockerfile`
//! suggest `ros:{parent}-{dir}`. It does not judge which template is right.

use std::collections::BTreeSet;
use std::fmt;

use crate::graph::reference::Reference;

use super::path_group::{Filter, PathPart, SplitPath};

/// The maximum number of alignments of one reference with one path.
const MOST_ALIGNMENTS: usize = 48;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Piece {
    Text(String),
    Part(PathPart, Filter),
}

/// A template for a repository and, if the tag depends on the path, for a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ReferenceTemplate {
    repository: Vec<Piece>,
    tag: Option<Vec<Piece>>,
}

/// What the tags of a template are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TagOrigin {
    /// The template has no tag.
    None,
    /// Parts of the path and separators.
    Path,
    /// Parts of the path and other text.
    Partly,
}

/// A repository and, if it is determined, a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ImageName {
    pub(super) repository: String,
    pub(super) tag: Option<String>,
}

impl ImageName {
    /// Returns whether a reference with this name means an image that is named like `other`. A name without a tag means
    /// all of them.
    pub(super) fn means(&self, other: &ImageName) -> bool {
        let same_tag = match (&self.tag, &other.tag) {
            (Some(tag), Some(other)) => tag == other,
            _ => true,
        };
        self.repository == other.repository && same_tag
    }
}

impl ImageName {
    /// Returns whether the name is a valid reference.
    pub(super) fn is_valid(&self) -> bool {
        let text = self.to_string();
        Reference::parse(&text).is_ok()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.repository),
            None => f.write_str(&self.repository),
        }
    }
}

/// A value of a part of a path, where it occurs in a reference.
struct Occurrence {
    start: usize,
    end: usize,
    part: PathPart,
    filter: Filter,
}

impl ReferenceTemplate {
    /// Returns the templates that give the Dockerfile at `path` this name. Each uses at least one part of the path.
    pub(super) fn learn(name: &ImageName, path: &SplitPath) -> BTreeSet<ReferenceTemplate> {
        let mut learned = BTreeSet::new();
        let repositories = align(&name.repository, path);
        let tags = name.tag.as_deref().map_or(Vec::new(), |tag| align(tag, path));
        for repository in &repositories {
            let untagged = ReferenceTemplate { repository: repository.clone(), tag: None };
            if uses_part(last_component(repository)) {
                learned.insert(untagged.clone());
            }
            for tag in tags.iter().filter(|tag| uses_part(tag)) {
                learned.insert(ReferenceTemplate { tag: Some(tag.clone()), ..untagged.clone() });
            }
        }
        learned
    }

    /// Returns the name of the Dockerfile at `path`, if the path has all parts.
    pub(super) fn fill(&self, path: &SplitPath) -> Option<ImageName> {
        let tag = match &self.tag {
            Some(tag) => Some(fill(tag, path)?),
            None => None,
        };
        Some(ImageName { repository: fill(&self.repository, path)?, tag })
    }

    /// Returns the parts that the template uses, in the order of their use.
    pub(super) fn parts(&self) -> Vec<PathPart> {
        let mut parts = Vec::new();
        for (part, _) in self.filtered_parts() {
            if !parts.contains(&part) {
                parts.push(part);
            }
        }
        parts
    }

    /// Returns whether the template uses a directory without a placeholder.
    pub(super) fn uses_deep_parts(&self) -> bool {
        self.filtered_parts().any(|(part, _)| matches!(part, PathPart::Above(levels) if levels > 2))
    }

    /// Returns the parts with their filters.
    fn filtered_parts(&self) -> impl Iterator<Item = (PathPart, Filter)> {
        let pieces = self.repository.iter().chain(self.tag.iter().flatten());
        pieces.filter_map(|piece| match piece {
            Piece::Part(part, filter) => Some((*part, *filter)),
            Piece::Text(_) => None,
        })
    }

    /// Returns the repository, if it is the same for all paths.
    pub(super) fn constant_repository(&self) -> Option<&str> {
        match self.repository.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the text before the first part.
    pub(super) fn prefix(&self) -> &str {
        match self.repository.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns what the tag is made of.
    pub(super) fn tag_origin(&self) -> TagOrigin {
        let Some(tag) = &self.tag else { return TagOrigin::None };
        let is_from_path = |piece: &Piece| match piece {
            Piece::Text(text) => !text.contains(char::is_alphanumeric),
            Piece::Part(..) => true,
        };
        if tag.iter().all(is_from_path) { TagOrigin::Path } else { TagOrigin::Partly }
    }

    /// Returns how much text the template has that is not from a path.
    pub(super) fn literals(&self) -> usize {
        let pieces = self.repository.iter().chain(self.tag.iter().flatten());
        let length = |piece: &Piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Part(..) => 0,
        };
        pieces.map(length).sum()
    }

    /// Returns the template as it is written in `layers.toml`.
    pub(super) fn write(&self, placeholder: &dyn Fn(PathPart, Filter) -> String) -> String {
        let write = |pieces: &[Piece]| -> String {
            let pieces = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Part(part, filter) => placeholder(*part, *filter),
            });
            pieces.collect()
        };
        match &self.tag {
            Some(tag) => format!("{}:{}", write(&self.repository), write(tag)),
            None => write(&self.repository),
        }
    }
}

fn fill(pieces: &[Piece], path: &SplitPath) -> Option<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(literal) => text.push_str(literal),
            Piece::Part(part, filter) => text.push_str(&filter.apply(path.value(*part)?)),
        }
    }
    Some(text)
}

fn uses_part(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Part(..)))
}

/// Returns the pieces after the last `/` of a repository. A literal that contains it counts as a whole.
fn last_component(pieces: &[Piece]) -> &[Piece] {
    let slash = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('/'));
    let start = pieces.iter().rposition(slash).unwrap_or_default();
    &pieces[start..]
}

/// Returns the ways to write a text with the parts of a path, from none to as many as possible.
fn align(text: &str, path: &SplitPath) -> Vec<Vec<Piece>> {
    let mut found = occurrences(text, path);
    found.sort_by_key(|it| (it.start, std::cmp::Reverse(it.end), it.part, it.filter));
    let mut alignments = Vec::new();
    extend(text, &found, 0, &mut Vec::new(), &mut alignments);
    alignments
}

fn extend(
    text: &str,
    found: &[Occurrence],
    at: usize,
    taken: &mut Vec<Piece>,
    alignments: &mut Vec<Vec<Piece>>,
) {
    if alignments.len() >= MOST_ALIGNMENTS {
        return;
    }
    let next = found.iter().position(|it| it.start >= at).unwrap_or(found.len());
    for (offset, it) in found[next..].iter().enumerate() {
        let length = taken.len();
        push_text(taken, &text[at..it.start]);
        taken.push(Piece::Part(it.part, it.filter));
        extend(text, &found[next + offset + 1..], it.end, taken, alignments);
        taken.truncate(length);
    }
    let length = taken.len();
    push_text(taken, &text[at..]);
    alignments.push(taken.clone());
    taken.truncate(length);
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// Returns where the values of a path occur as whole words.
fn occurrences(text: &str, path: &SplitPath) -> Vec<Occurrence> {
    let mut found = Vec::new();
    for (part, value) in path.values() {
        let mut seen = BTreeSet::new();
        for filter in Filter::ALL {
            let value = filter.apply(value);
            if value.is_empty() || !seen.insert(value.clone()) {
                continue;
            }
            let matches = text.match_indices(value.as_str());
            let whole = matches.filter(|(start, it)| is_word(text, *start, start + it.len()));
            found.extend(whole.map(|(start, it)| Occurrence {
                start,
                end: start + it.len(),
                part,
                filter,
            }));
        }
    }
    found
}

fn is_word(text: &str, start: usize, end: usize) -> bool {
    let is_inner = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    !is_inner(text[..start].chars().next_back()) && !is_inner(text[end..].chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RelPath;

    fn written(template: &ReferenceTemplate) -> String {
        template.write(&|part, filter| match part {
            PathPart::Above(levels) => format!("{{{levels}{}}}", filter.suffix()),
            PathPart::Stem => format!("{{stem{}}}", filter.suffix()),
        })
    }

    #[track_caller]
    fn check(repository: &str, tag: Option<&str>, path: &str, expected: &[&str]) {
        let name = ImageName { repository: repository.into(), tag: tag.map(str::to_owned) };
        let path = SplitPath::of(&RelPath::new(path).unwrap());
        let learned = ReferenceTemplate::learn(&name, &path);
        for template in &learned {
            let filled = template.fill(&path).unwrap();
            assert_eq!(filled.repository, repository);
            assert!(filled.tag.is_none() || filled.tag.as_deref() == tag);
        }
        let written: BTreeSet<String> = learned.iter().map(written).collect();
        assert_eq!(written.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn templates_are_learned_from_references_and_paths() {
        check("acme/base", None, "docker/base/Dockerfile", &["acme/{1}"]);
        check("acme/base", Some("1.2"), "docker/base/Dockerfile", &["acme/{1}"]);
        check("acme/shop-base", None, "docker/base/Dockerfile", &["acme/shop-{1}"]);
        check("acme/database", None, "docker/base/Dockerfile", &[]);
        check("acme/node-base", None, "NodeBase/Dockerfile", &["acme/{1:kebab}"]);
        check("acme/dev-base", None, "docker/Dockerfile_dev-base", &["acme/{stem}"]);
        check(
            "ros",
            Some("jazzy-core"),
            "ros/jazzy/core/Dockerfile",
            &[
                "ros:jazzy-{1}",
                "ros:{2}-core",
                "ros:{2}-{1}",
                "{3}",
                "{3}:jazzy-{1}",
                "{3}:{2}-core",
                "{3}:{2}-{1}",
            ],
        );
        check(
            "acme/php",
            Some("ubuntu-18.04"),
            "docker/php/ubuntu-18.04/Dockerfile",
            &["acme/php:{1}", "acme/{2}", "acme/{2}:{1}"],
        );
    }
}
