//! What a repository says about the names of its images: references in Dockerfiles, and builds that its files describe.
//!
//! Owns the evidence, and which names are public images of others. `rules` draws the conclusions.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::RelPath;
use crate::graph::naming::LATEST;
use crate::graph::well_known::{is_of_others, is_official};
use crate::scan::build_files::PartialText;

use super::path_group::{Filter, PathPart, SplitPath};
use super::reference_template::ImageName;

/// All evidence.
pub(super) struct Evidence {
    /// The Dockerfiles, sorted.
    pub(super) paths: Vec<SplitPath>,
    /// The names that references in Dockerfiles use, with the Dockerfiles that use them.
    pub(super) mentions: BTreeMap<ImageName, BTreeSet<usize>>,
    /// The names that the repository's files give to Dockerfiles.
    pub(super) claims: Vec<Vec<Claim>>,
    /// The names of directories with Dockerfiles, and the stems of their file names, in all forms.
    direct_names: BTreeSet<String>,
    /// The name of the repository.
    pub(super) directory: String,
}

/// A name that a file gives to the image of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) repository: PartialText,
    /// `None` if the name has no tag.
    pub(super) tag: Option<PartialText>,
    /// Whether the file only shows what could be built.
    pub(super) is_example: bool,
}

/// A reference to an image, with the Dockerfile that contains it.
pub(super) struct Mention {
    pub(super) by: RelPath,
    /// The image for inspection.
    pub(super) image: String,
    pub(super) name: ImageName,
}

impl Claim {
    /// Returns whether the end of the repository is known, so that the claim says more than that the image has a name.
    pub(super) fn says_something(&self) -> bool {
        self.repository.has_known_end()
    }

    /// Returns whether an image with this claim can have this name.
    pub(super) fn allows(&self, name: &ImageName) -> bool {
        let tag = name
            .tag
            .as_deref()
            .map(|it| self.tag.as_ref().map_or(it == LATEST, |tag| tag.matches(it)));
        self.repository.matches(&name.repository) && tag.unwrap_or(true)
    }

    /// Returns the claimed name, if all of it is known.
    pub(super) fn name(&self) -> Option<ImageName> {
        let tag = match &self.tag {
            Some(tag) => Some(tag.as_known()?.to_owned()),
            None => None,
        };
        Some(ImageName { repository: self.repository.as_known()?.to_owned(), tag })
    }
}

impl Evidence {
    pub(super) fn new(
        paths: &[RelPath],
        mentions: Vec<Mention>,
        mut claims: BTreeMap<RelPath, Vec<Claim>>,
        directory: &str,
    ) -> Evidence {
        let split: Vec<SplitPath> = paths.iter().map(SplitPath::of).collect();
        let claims: Vec<Vec<Claim>> =
            paths.iter().map(|path| claims.remove(path).unwrap_or_default()).collect();
        let is_claimed = |name: &ImageName| {
            let claims = claims.iter().flatten().filter(|it| it.says_something());
            claims.into_iter().any(|claim| claim.allows(name))
        };
        let mut by_name: BTreeMap<ImageName, BTreeSet<usize>> = BTreeMap::new();
        for Mention { by, name, .. } in mentions {
            if is_of_others(&name.repository) && !is_claimed(&name) {
                continue;
            }
            if let Ok(by) = paths.binary_search(&by) {
                by_name.entry(name).or_default().insert(by);
            }
        }
        let direct_names = split.iter().flat_map(direct_names).collect();
        let directory = directory.to_owned();
        Evidence { paths: split, mentions: by_name, claims, direct_names, directory }
    }

    /// Returns whether a repository is named after the directory of another Dockerfile, and not after that of this one.
    pub(super) fn is_namesake_of_another(&self, path: usize, name: &ImageName) -> bool {
        let last = name.repository.rsplit('/').next().unwrap_or_default();
        self.direct_names.contains(last)
            && !direct_names(&self.paths[path]).any(|own| own == last)
            && !self.supports(path, name)
    }

    /// Returns the only Dockerfile whose image can have this name according to the repository's files, or else the only
    /// one with this repository, if its tag is not completely known.
    pub(super) fn claimed_by(&self, name: &ImageName) -> Option<usize> {
        let only = |is_claimed: &dyn Fn(usize) -> bool| {
            let mut found = (0..self.claims.len()).filter(|path| is_claimed(*path));
            found.next().filter(|_| found.next().is_none())
        };
        let has_repository = |path: usize| {
            let mut claims = self.claims[path].iter().filter(|it| !it.is_example);
            claims.any(|claim| {
                let has_open_tag = claim.tag.as_ref().is_some_and(|tag| tag.as_known().is_none());
                claim.repository.as_known() == Some(&name.repository) && has_open_tag
            })
        };
        only(&|path| self.supports(path, name)).or_else(|| only(&has_repository))
    }

    /// Returns whether the claims about a Dockerfile rule out a name. Registries and tags may differ: pipelines push to
    /// several, and tags are often versions.
    pub(super) fn contradicts(&self, path: usize, name: &ImageName) -> bool {
        let mut telling = self.telling_claims(path).peekable();
        let last = name.repository.rsplit('/').next().unwrap_or_default();
        telling.peek().is_some() && !telling.any(|it| it.repository.last_component().matches(last))
    }

    /// Returns whether the claims about a Dockerfile give its repository only other tags, all of which are known.
    pub(super) fn has_other_tags(&self, path: usize, name: &ImageName) -> bool {
        let Some(tag) = name.tag.as_deref() else { return false };
        let claims = self.telling_claims(path).filter(|it| it.repository.matches(&name.repository));
        let tags: Vec<Option<&str>> =
            claims.map(|it| it.tag.as_ref().and_then(PartialText::as_known)).collect();
        !tags.is_empty() && tags.iter().all(|it| it.is_some_and(|it| it != tag))
    }

    fn telling_claims(&self, path: usize) -> impl Iterator<Item = &Claim> {
        self.claims[path].iter().filter(|it| it.says_something() && !it.is_example)
    }

    /// Returns whether the claims about a Dockerfile say that it has this name.
    pub(super) fn supports(&self, path: usize, name: &ImageName) -> bool {
        let mut claims = self.claims[path].iter();
        claims.any(|claim| claim.says_something() && claim.allows(name))
    }
}

/// Returns the name of a Dockerfile's directory, and the stem of its file name, in all forms.
fn direct_names(path: &SplitPath) -> impl Iterator<Item = String> {
    let values = [PathPart::Above(1), PathPart::Stem].map(|part| path.value(part));
    let values = values.into_iter().flatten();
    values.flat_map(|value| Filter::ALL.map(|filter| filter.apply(value)))
}

/// Returns whether a name without a namespace is probably a public image.
pub(super) fn is_public(name: &ImageName) -> bool {
    !name.repository.contains('/') && is_official(&name.repository)
}
