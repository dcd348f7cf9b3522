//! Names that may be others than they seem, because errors hide references to siblings.
//!
//! Owns the question which names the hidden references could change. A name that does not depend on
//! inference stays the same, whatever a Dockerfile says that cannot be read.

use std::collections::HashSet;

use super::super::images::Candidate;
use super::super::link::ParsedImage;
use super::super::reference::Reference;
use super::{
    LATEST, NamingSettings, ReferenceDraft, SiblingTags, Vote, drafts_of, infer_prefix, prefix_of,
    split_sibling,
};

/// The references that are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HiddenReferences {
    /// Any number of any references: a Dockerfile cannot be read.
    Any,
    /// Some references to siblings: a Dockerfile with errors mentions siblings.
    Siblings,
}

/// Returns for each image whether hidden references could change its name.
///
/// References to siblings in other Dockerfiles show the prefix of names. What a Dockerfile with an
/// error mentions matters only if there are none.
pub fn open_names(
    naming: &NamingSettings,
    images: &[&Candidate],
    votes: &[Vote<'_>],
    hidden: HiddenReferences,
) -> Vec<bool> {
    let names: HashSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let inferred = infer_prefix(&names, votes);
    let (prefix, origin) = prefix_of(naming, inferred.as_ref());
    let drafts = drafts_of(naming, images, inferred.as_ref(), (&prefix, &origin));
    let tags = SiblingTags::infer(images, &drafts, votes);
    let is_any = hidden == HiddenReferences::Any;
    let is_open = |(image, drafts): (&&Candidate, &Result<Vec<ReferenceDraft>, _>)| {
        needs_prefix(naming, image) && (is_any || inferred.is_none())
            || is_any && drafts.iter().flatten().any(|draft| !tags.is_final(draft))
    };
    images.iter().zip(&drafts).map(is_open).collect()
}

/// Returns whether a part of an image's name is inferred if references show it.
fn needs_prefix(naming: &NamingSettings, image: &Candidate) -> bool {
    let (namespace, app) = (naming.namespace.is_some(), naming.app.is_some());
    match image.references.as_slice() {
        [] => !namespace || !app,
        patterns => patterns.iter().any(|pattern| {
            pattern.text.contains("{namespace}") && !namespace
                || pattern.text.contains("{app}") && !app
        }),
    }
}

/// Returns whether a Dockerfile contains a word that could be a reference to another image.
pub fn mentions_sibling(image: &ParsedImage, names: &HashSet<&str>) -> bool {
    let is_separator = |c: char| c.is_whitespace() || "=,\"'`${}()[];|&<>".contains(c);
    let mut words = image.file.source.text().split(is_separator);
    words.any(|word| {
        let reference = Reference::parse(word.trim_start_matches('/'));
        let repository = reference.map_or(word.to_owned(), |it| it.familiar_repository());
        // A word that is only the name is more likely a stage, or part of a comment.
        split_sibling(&repository, &image.candidate.name, names)
            .is_some_and(|(prefix, _)| !prefix.is_empty())
    })
}

impl SiblingTags<'_> {
    /// Returns whether more references could not change the tag of an image. Where some references
    /// have the tag `latest`, the image keeps it.
    fn is_final(&self, draft: &ReferenceDraft) -> bool {
        match self.by_repository.get(&draft.normal) {
            _ if draft.tag.is_some() => true,
            Some(tag) => *tag == LATEST,
            None => !draft.takes_votes && self.usual_is_final,
        }
    }
}
