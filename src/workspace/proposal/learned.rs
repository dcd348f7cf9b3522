//! The templates for references that the evidence suggests.
//!
//! Owns which references are compared to which Dockerfiles, and the limits. `rules` chooses among the templates.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::evidence::{Claim, Evidence};
use super::path_group::{Filter, SplitPath};
use super::reference_template::{ImageName, ReferenceTemplate};

/// The maximum number of templates that are compared in each step.
const MOST_TEMPLATES: usize = 200;

/// The maximum number of Dockerfiles to which one reference is compared.
const MOST_CANDIDATES: usize = 100;

/// A template, and the Dockerfiles that it was learned from, as indexes.
pub(super) type LearnedTemplate = (ReferenceTemplate, Vec<usize>);

/// Returns the templates that give a Dockerfile a name that another one mentions or that the repository's files give it,
/// with these Dockerfiles, the most frequent ones first.
pub(super) fn templates(evidence: &Evidence) -> Vec<LearnedTemplate> {
    let by_value = paths_by_value(&evidence.paths);
    let mut learned: BTreeMap<ReferenceTemplate, LearnedFrom<'_>> = BTreeMap::new();
    for (mention, by) in &evidence.mentions {
        let mut candidates: BTreeSet<usize> = BTreeSet::new();
        for word in words(mention) {
            candidates.extend(by_value.get(word).into_iter().flatten());
        }
        candidates.retain(|at| by.len() > 1 || !by.contains(at));
        for at in candidates.into_iter().take(MOST_CANDIDATES) {
            for template in ReferenceTemplate::learn(mention, &evidence.paths[at]) {
                let from = learned.entry(template).or_default();
                from.mentions.insert(mention);
                from.paths.insert(at);
            }
        }
    }
    for (at, claims) in evidence.claims.iter().enumerate() {
        for name in claims.iter().filter_map(Claim::name) {
            for template in ReferenceTemplate::learn(&name, &evidence.paths[at]) {
                let from = learned.entry(template).or_default();
                from.claims += 1;
                from.paths.insert(at);
            }
        }
    }
    let mut learned: Vec<_> = learned.into_iter().collect();
    learned.sort_by_key(|(_, from)| Reverse(from.mentions.len() + from.claims));
    learned.truncate(MOST_TEMPLATES);
    learned
        .into_iter()
        .map(|(template, from)| (template, from.paths.into_iter().collect()))
        .collect()
}

/// What a template is learned from.
#[derive(Default)]
struct LearnedFrom<'a> {
    mentions: BTreeSet<&'a ImageName>,
    claims: usize,
    paths: BTreeSet<usize>,
}

fn paths_by_value(paths: &[SplitPath]) -> HashMap<String, BTreeSet<usize>> {
    let mut by_value: HashMap<String, BTreeSet<usize>> = HashMap::new();
    for (at, path) in paths.iter().enumerate() {
        for (_, value) in path.values() {
            for filter in Filter::ALL {
                by_value.entry(filter.apply(value)).or_default().insert(at);
            }
        }
    }
    by_value
}

/// Returns the parts of a name that begin and end at the boundary of a word.
fn words(name: &ImageName) -> BTreeSet<&str> {
    let texts = [Some(name.repository.as_str()), name.tag.as_deref()];
    let mut words = BTreeSet::new();
    for text in texts.into_iter().flatten() {
        let is_boundary = |at: &usize| {
            let is_inner = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
            text.is_char_boundary(*at)
                && !(is_inner(text[..*at].chars().next_back())
                    && is_inner(text[*at..].chars().next()))
        };
        let boundaries: Vec<usize> = (0..=text.len()).filter(is_boundary).take(40).collect();
        for (index, start) in boundaries.iter().enumerate() {
            words.extend(boundaries[index + 1..].iter().map(|end| &text[*start..*end]));
        }
    }
    words
}
