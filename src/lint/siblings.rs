//! References that look like images of this repository, but name none.
//!
//! Owns which of them are errors. A near miss of a sibling in a repository name that the naming template produces is a
//! misspelling: a build would request the name from a public registry, where anyone may have published it. Other
//! similarities are warnings. Names that differ as variants do, such as `-cpu` and `-gpu`, are not misspelled.

use std::collections::{BTreeMap, HashSet};

use regex::Regex;

use crate::base::{Diagnostic, Level, Rule};
use crate::graph::naming::NameOrigin;
use crate::graph::reference::Reference;
use crate::graph::well_known::is_well_known;
use crate::graph::{External, Graph};
use crate::scan::config::Setting;
use crate::scan::glob;

use super::externals::{at, positions_of};
use super::nearest_name::NameIndex;

/// How the images of a repository are named: the prefixes and suffixes of their names.
struct Families<'a> {
    /// The names by prefix and suffix.
    names: BTreeMap<(String, String), NameIndex<'a>>,
    all: NameIndex<'a>,
    /// The repositories that are built here.
    own: HashSet<String>,
    /// Whether no reference names a sibling, so that the prefix is only assumed.
    assumed: bool,
}

impl<'a> Families<'a> {
    fn of(graph: &'a Graph) -> Families<'a> {
        let mut names: BTreeMap<(String, String), NameIndex<'_>> = BTreeMap::new();
        for image in graph.images.values() {
            let Some(reference) = image.references.first() else { continue };
            let repository = reference.repository();
            if let Some((prefix, suffix)) = repository.rsplit_once(image.name.as_str()) {
                let family = (prefix.to_owned(), suffix.to_owned());
                names.entry(family).or_default().push(&image.name);
            }
        }
        let all = graph.images.values().map(|image| image.name.as_str()).collect();
        let assumed = graph.images.values().all(|image| image.named_by == NameOrigin::Directory);
        let references = graph.images.values().flat_map(|image| &image.references);
        let own = references.map(Reference::repository).collect();
        Families { names, all, own, assumed }
    }

    /// Returns the image that a reference to something else was probably meant to name, and whether it is misspelled.
    fn closest(&self, reference: &Reference) -> Option<(&'a str, bool)> {
        let repository = reference.repository();
        if self.own.contains(&repository) {
            // Only the tag is unknown, which has been reported.
            return None;
        }
        for ((prefix, suffix), names) in &self.names {
            let name = repository.strip_prefix(prefix.as_str());
            let name = name.and_then(|name| name.strip_suffix(suffix.as_str()));
            if let Some(name) = name
                && let Some(near) = closest_sibling(names, name)
            {
                return Some((near, is_own_prefix(prefix) && is_misspelling(name, near)));
            }
        }
        let last = repository.rsplit('/').next().unwrap_or(&repository);
        let tails = last.match_indices(['-', '_', '.']).map(|(at, _)| &last[at + 1..]);
        let mut tails = tails.filter(|tail| self.assumed && tail.len() > 2);
        tails.find_map(|tail| Some((closest_sibling(&self.all, tail)?, false)))
    }
}

/// Returns whether a prefix of names has more in it than a registry: Docker Hub's official images belong to no one here.
fn is_own_prefix(prefix: &str) -> bool {
    let path = prefix.split_once('/').map_or(prefix, |(_, path)| path);
    !path.is_empty() && path != "library/"
}

/// Returns whether a name is a misspelling of another: one letter is wrong, missing, added, or swapped, in a word that
/// is long enough that it is not another word, as `cpu` and `gpu` are.
fn is_misspelling(name: &str, near: &str) -> bool {
    const SHORTEST_WORD: usize = 4;
    let words = |text: &'_ str| -> Vec<String> {
        text.split(['-', '_', '.', '/']).map(str::to_owned).collect()
    };
    let (name, near) = (words(name), words(near));
    let mut different = name.iter().zip(&near).filter(|(one, other)| one != other);
    let (Some((one, other)), None) = (different.next(), different.next()) else { return false };
    name.len() == near.len()
        && !is_well_known(one)
        && one.chars().count().min(other.chars().count()) >= SHORTEST_WORD
        && strsim::osa_distance(one, other) == 1
}

/// Returns the nearest name, unless it differs only in digits: `python3.11` is a version, not a typo for `python3.12`.
fn closest_sibling<'a>(names: &NameIndex<'a>, name: &str) -> Option<&'a str> {
    let letters =
        |text: &str| -> String { text.chars().filter(|letter| !letter.is_ascii_digit()).collect() };
    names.closest(name, usize::MAX).filter(|near| letters(near) != letters(name))
}

/// Finds `FROM acme/shop-bsae` if there is an image `base`.
pub(super) fn misspelt(
    graph: &Graph,
    problems: &[Diagnostic],
    intended: &[Setting],
) -> Vec<Diagnostic> {
    // The settings are checked where they are read.
    let intended: Vec<Regex> =
        intended.iter().filter_map(|it| glob::compile(it.get_ref()).ok()).collect();
    let families = Families::of(graph);
    let reported = positions_of(problems, &[Rule::UnknownSibling]);
    let mut nearest: BTreeMap<&Reference, Option<(&str, bool)>> = BTreeMap::new();
    let mut found = Vec::new();
    for external in graph.images.values().flat_map(|image| &image.externals) {
        let reference = &graph.externals[external.id];
        let is_reported = reported.contains(&at(&external.source, external.span));
        if is_reported
            || reference.digest.is_some()
            || is_well_known(&reference.familiar_repository())
        {
            continue;
        }
        let is_intended = |it: &Regex| it.is_match(&reference.familiar_repository());
        let near = *nearest.entry(reference).or_insert_with(|| {
            families.closest(reference).filter(|_| !intended.iter().any(is_intended))
        });
        found.extend(near.map(|near| describe_sibling(graph, external, near)));
    }
    found
}

fn describe_sibling(
    graph: &Graph,
    external: &External,
    (near, is_misspelled): (&str, bool),
) -> Diagnostic {
    let reference = &graph.externals[external.id];
    let suggestion = graph.find(near).and_then(|image| graph.images[image].references.first());
    let hint = match suggestion {
        // If no reference names a sibling, the prefix is a guess too.
        Some(suggestion) if suggestion.domain == reference.domain => {
            format!("did you mean `{}` (image `{near}`)?", suggestion.familiar_repository())
        }
        _ => format!("did you mean the image `{near}`?"),
    };
    let repository = reference.familiar_repository();
    let message = format!("`{repository}` is not an image of this repository");
    let problem = Diagnostic::new(Rule::UnknownSibling, message);
    if !is_misspelled {
        return problem
            .at(&external.source, external.span, "treated as an external image")
            .hint(hint);
    }
    Diagnostic { level: Level::Error, ..problem }
        .at(&external.source, external.span, "")
        .note(format!(
            "if it is an external image, add `externals = [\"{repository}\"]` to `layers.toml`"
        ))
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_not_misspelled() {
        let check =
            |name, near, expected| assert_eq!(is_misspelling(name, near), expected, "{name}");
        check("bsae", "base", true);
        check("buildr", "builder", true);
        check("py-bulider", "py-builder", true);
        check("enterprise-golang", "enterprise-goland", false);
        check("tf-cpu", "tf-gpu", false);
        check("base-a", "base-b", false);
        check("api", "app", false);
        check("base-dev", "base", false);
        check("release-candidat", "relaese-candidate", false);
    }

    #[test]
    fn official_images_have_no_prefix_of_their_own() {
        assert!(is_own_prefix("docker.io/acme/"));
        assert!(is_own_prefix("ghcr.io/acme/shop-"));
        assert!(!is_own_prefix("docker.io/library/"));
        assert!(!is_own_prefix("localhost:5000/"));
    }
}
