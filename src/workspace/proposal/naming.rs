//! How to make the names of a repository's images from their paths.
//!
//! Owns the choice among templates: names must be distinct and valid; then FROM lines should match them; then they
//! should be short. `FROM acme/spark-base` and `FROM acme/spark-java-template` are votes for `{dir}` for what is in
//! `base/`, and for `{dir}-{parent}` for `template/java/`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::base::RelPath;
use crate::graph::images::templates::{PROPOSALS, name_by};
use crate::graph::naming::as_app;

use super::survey::DockerfileGroup;

/// The maximum number of prefixes of names that are considered.
const MOST_PREFIXES: usize = 8;

/// How all images are named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamingChoice {
    /// The template of each part.
    pub(super) templates: Vec<&'static str>,
    /// The images that no template names well, with their own names.
    pub(super) singles: Vec<(String, RelPath)>,
}

/// A repository that a line of a Dockerfile names, in its familiar form.
pub(super) struct RepositoryMention {
    pub(super) by: RelPath,
    pub(super) repository: String,
}

/// Chooses a template for each part, or one for all parts if that is as good.
pub(super) fn choose(
    parts: &[DockerfileGroup],
    mentions: &[RepositoryMention],
    directory: &str,
) -> NamingChoice {
    choose_beside(parts, mentions, directory, &HashSet::new())
}

/// Returns the names of all Dockerfiles.
pub(super) fn names_of(
    parts: &[DockerfileGroup],
    choice: &NamingChoice,
    directory: &str,
) -> BTreeMap<RelPath, String> {
    let mut names = BTreeMap::new();
    for (part, template) in parts.iter().zip(&choice.templates) {
        let named = part
            .paths
            .iter()
            .filter_map(|path| Some((path.clone(), name_by(template, path, directory)?)));
        names.extend(named);
    }
    names.extend(choice.singles.iter().map(|(name, path)| (path.clone(), name.clone())));
    names
}

/// Chooses templates whose names differ from those of other images.
pub(super) fn choose_beside(
    parts: &[DockerfileGroup],
    mentions: &[RepositoryMention],
    directory: &str,
    taken: &HashSet<String>,
) -> NamingChoice {
    let table = NameTable { taken: taken.clone(), ..NameTable::of(parts, directory) };
    let votes = table.count(parts, mentions);
    let score = |prefix: &str, part: usize, template: usize| {
        votes.get(prefix).and_then(|votes| votes.get(&(part, template))).map_or(0, BTreeSet::len)
    };
    let total = |prefix: &str, templates: &[usize]| -> usize {
        templates.iter().enumerate().map(|(part, template)| score(prefix, part, *template)).sum()
    };
    let prefixes = best_prefixes(&votes, parts.len());
    let best_of = |templates: &[usize]| {
        prefixes.iter().map(|prefix| total(prefix, templates)).max().unwrap_or_default()
    };
    let mut best: Option<(usize, Vec<usize>)> = None;
    let mut consider = |templates: Vec<usize>| {
        let score = best_of(&templates);
        if best.as_ref().is_none_or(|(most, _)| score > *most) {
            best = Some((score, templates));
        }
    };
    for template in 0..PROPOSALS.len() {
        let all = vec![template; parts.len()];
        if table.are_distinct(&all) {
            consider(all);
        }
    }
    for prefix in prefixes.iter().copied().chain([""]) {
        if let Some(templates) = table.assign(&|part, template| score(prefix, part, template)) {
            consider(templates);
        }
    }
    match best {
        Some((_, templates)) => {
            let templates = templates.into_iter().map(|at| PROPOSALS[at]).collect();
            NamingChoice { templates, singles: Vec::new() }
        }
        None => table.with_singles(parts),
    }
}

/// The names that the templates make, by part, template, and path.
struct NameTable {
    /// Names of other images.
    taken: HashSet<String>,
    names: Vec<Vec<Vec<Option<String>>>>,
}

/// The mentioned names, by the prefix that they are mentioned with, and by part and template.
type Votes<'a> = BTreeMap<&'a str, BTreeMap<(usize, usize), BTreeSet<&'a str>>>;

impl NameTable {
    fn of(parts: &[DockerfileGroup], directory: &str) -> NameTable {
        let names_of = |part: &DockerfileGroup| {
            let by = |template: &&str| {
                part.paths.iter().map(|path| name_by(template, path, directory)).collect()
            };
            PROPOSALS.iter().map(by).collect()
        };
        NameTable { taken: HashSet::new(), names: parts.iter().map(names_of).collect() }
    }

    /// Returns the names of a part, if they are all valid and distinct.
    fn sound(&self, part: usize, template: usize) -> Option<HashSet<&str>> {
        let names = &self.names[part][template];
        let set: HashSet<&str> = names.iter().flatten().map(String::as_str).collect();
        let is_free = set.iter().all(|name| !self.taken.contains(*name));
        (is_free && set.len() == names.len()).then_some(set)
    }

    fn are_distinct(&self, templates: &[usize]) -> bool {
        let mut used = HashSet::new();
        templates.iter().enumerate().all(|(part, template)| {
            let names = self.sound(part, *template);
            names.is_some_and(|names| names.into_iter().all(|name| used.insert(name)))
        })
    }

    /// Returns for each part the template with the highest score, or the first of several, whose names are not used by
    /// an earlier part.
    fn assign(&self, score: &dyn Fn(usize, usize) -> usize) -> Option<Vec<usize>> {
        let mut used: HashSet<&str> = HashSet::new();
        let mut templates = Vec::new();
        for part in 0..self.names.len() {
            let mut order: Vec<usize> = (0..PROPOSALS.len()).collect();
            order.sort_by_key(|template| std::cmp::Reverse(score(part, *template)));
            let (template, names) = order.into_iter().find_map(|template| {
                let names = self.sound(part, template)?;
                names.is_disjoint(&used).then_some((template, names))
            })?;
            used.extend(names);
            templates.push(template);
        }
        Some(templates)
    }

    fn count<'a>(&self, parts: &[DockerfileGroup], mentions: &'a [RepositoryMention]) -> Votes<'a> {
        let mut owners: HashMap<&str, Vec<(usize, usize, &RelPath)>> = HashMap::new();
        for (at, part) in parts.iter().enumerate() {
            for (template, names) in self.names[at].iter().enumerate() {
                for (name, path) in names.iter().zip(&part.paths) {
                    if let Some(name) = name {
                        owners.entry(name).or_default().push((at, template, path));
                    }
                }
            }
        }
        let mut votes = Votes::new();
        for RepositoryMention { by, repository } in mentions {
            let ends = repository.char_indices().filter(|(_, it)| "-_./".contains(*it));
            for at in ends.map(|(at, _)| at + 1) {
                let (prefix, name) = repository.split_at(at);
                for (part, template, _) in
                    owners.get(name).into_iter().flatten().filter(|it| it.2 != by)
                {
                    let votes = votes.entry(prefix).or_default();
                    votes.entry((*part, *template)).or_default().insert(name);
                }
            }
        }
        votes
    }

    /// Returns the template that names the most of all parts well, and separate names for the rest.
    fn with_singles(&self, parts: &[DockerfileGroup]) -> NamingChoice {
        let split = |template: usize| {
            let mut used: HashSet<String> = self.taken.clone();
            let mut rest: Vec<&RelPath> = Vec::new();
            for (part, names) in parts.iter().zip(&self.names) {
                for (name, path) in names[template].iter().zip(&part.paths) {
                    match name {
                        Some(name) if used.insert(name.clone()) => {}
                        _ => rest.push(path),
                    }
                }
            }
            (used, rest)
        };
        let least = (0..PROPOSALS.len()).min_by_key(|template| split(*template).1.len());
        let least = least.unwrap_or_default();
        let (mut used, rest) = split(least);
        let mut singles = Vec::new();
        for path in rest {
            let name = as_app(path.as_str());
            let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
            let free = std::iter::once(name.clone()).chain(numbered).find(|it| !used.contains(it));
            let name = free.unwrap_or(name);
            used.insert(name.clone());
            singles.push((name, path.clone()));
        }
        NamingChoice { templates: vec![PROPOSALS[least]; parts.len()], singles }
    }
}

/// Returns the prefixes under which the most names match.
fn best_prefixes<'a>(votes: &Votes<'a>, parts: usize) -> Vec<&'a str> {
    let most = |votes: &BTreeMap<(usize, usize), BTreeSet<&str>>| -> usize {
        let of_part = |part: usize| {
            let own = votes.range((part, 0)..(part + 1, 0));
            own.map(|(_, names)| names.len()).max().unwrap_or_default()
        };
        (0..parts).map(of_part).sum()
    };
    let mut ranked: Vec<(usize, &str)> =
        votes.iter().map(|(prefix, votes)| (most(votes), *prefix)).collect();
    ranked.sort_by_key(|(most, prefix)| std::cmp::Reverse((*most, prefix.len())));
    ranked.truncate(MOST_PREFIXES);
    ranked.into_iter().map(|(_, prefix)| prefix).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a choice. Paths are grouped by part; a mention is a path and the repository that it names.
    #[track_caller]
    fn check(parts: &[&[&str]], mentions: &[(&str, &str)], templates: &[&str], singles: &[&str]) {
        let path = |path: &&str| RelPath::new(path).unwrap();
        let parts: Vec<DockerfileGroup> = parts
            .iter()
            .map(|paths| DockerfileGroup { glob: None, paths: paths.iter().map(path).collect() })
            .collect();
        let mentions: Vec<RepositoryMention> = mentions
            .iter()
            .map(|(by, repository)| RepositoryMention {
                by: path(by),
                repository: (*repository).to_owned(),
            })
            .collect();
        let choice = choose(&parts, &mentions, "shop");
        assert_eq!(choice.templates, templates);
        let shown: Vec<String> =
            choice.singles.iter().map(|(name, path)| format!("{name}={path}")).collect();
        assert_eq!(shown, singles);
    }

    #[test]
    fn the_shortest_template_that_gives_unique_names_is_proposed() {
        check(&[&["docker/a/Dockerfile", "docker/b/Dockerfile"]], &[], &[""], &[]);
        check(&[&["Base/Dockerfile", "NodeBase/Dockerfile"]], &[], &["{dir:kebab}"], &[]);
        check(
            &[&["Base/Dockerfile"], &["tests/Dockerfile", "tests/Dockerfile.emulator"]],
            &[],
            &["{usual:kebab}", "{usual:kebab}"],
            &[],
        );
        check(
            &[&["a/x/Dockerfile", "a/y/Dockerfile"], &["b/x/Dockerfile"]],
            &[],
            &["{parent}-{dir}", "{parent}-{dir}"],
            &[],
        );
        check(
            &[&["a/b/x/Dockerfile"], &["c/b/x/Dockerfile", "C/d/x/Dockerfile"]],
            &[],
            &["{path:kebab}", "{path:kebab}"],
            &[],
        );
    }

    #[test]
    fn from_instructions_influence_the_template() {
        let parts: [&[&str]; 3] = [
            &["base/Dockerfile", "submit/Dockerfile"],
            &["examples/java/Dockerfile"],
            &["template/java/Dockerfile", "template/python/Dockerfile"],
        ];
        let mentions = [
            ("submit/Dockerfile", "acme/spark-base"),
            ("template/java/Dockerfile", "acme/spark-submit"),
            ("examples/java/Dockerfile", "acme/spark-java-template"),
        ];
        check(&parts, &mentions, &["", "", "{dir}-{parent}"], &[]);
        // An image's mention of itself, or of an image from elsewhere, is not a vote.
        let mentions = [("a/x/Dockerfile", "acme/a-x"), ("a/x/Dockerfile", "debian")];
        check(&[&["a/x/Dockerfile", "a/y/Dockerfile"]], &mentions, &[""], &[]);
    }

    #[test]
    fn images_that_no_template_distinguishes_get_explicit_names() {
        check(
            &[&["docker/a/Containerfile", "docker/a/Dockerfile", "docker/b/Dockerfile"]],
            &[],
            &[""],
            &["docker-a-dockerfile=docker/a/Dockerfile"],
        );
    }
}
