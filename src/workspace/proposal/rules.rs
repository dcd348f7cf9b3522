//! The rules that name a repository's images after the evidence.
//!
//! Owns the choice: each rule is a set of Dockerfiles and a template. The one that gives the most referenced images their
//! names goes first, then the one that does so for the rest, until no rule adds a name. A rule must give each image a
//! different name, must not contradict what the repository's own files say, and must have more to go by than a
//! coincidence.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::evidence::{Evidence, is_public};
use super::learned::LearnedTemplate;
use super::path_group::{PathGroup, PathPart};
use super::reference_template::{ImageName, ReferenceTemplate, TagOrigin};
use crate::graph::naming::LATEST;

/// The maximum number of Dockerfiles per template from which sets are derived.
const MOST_SEEDS: usize = 6;

/// The maximum number of Dockerfiles of a rule that is replaced by the setting of one image.
const FEW: usize = 4;

/// A template for a set of Dockerfiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamingRule {
    pub(super) group: PathGroup,
    pub(super) template: ReferenceTemplate,
    /// A template for further names of the same images.
    pub(super) second: Option<ReferenceTemplate>,
    /// The Dockerfiles that it names, as indexes. Those that an earlier rule names are not included.
    pub(super) members: Vec<usize>,
}

/// The rules, and what they leave.
#[derive(Debug, Default)]
pub(super) struct NamingRules {
    pub(super) rules: Vec<NamingRule>,
    /// Names of single images, which take precedence over the rules.
    pub(super) singles: BTreeMap<usize, ImageName>,
}

impl NamingRules {
    /// Chooses at most this many rules for the evidence, with the templates that were learned from it.
    pub(super) fn choose(
        evidence: &Evidence,
        templates: &[LearnedTemplate],
        most: usize,
    ) -> NamingRules {
        let mut chooser =
            Chooser { evidence, templates, names: BTreeMap::new(), resolved: BTreeSet::new() };
        let mut chosen = NamingRules::default();
        while chosen.rules.len() < most {
            let Some(rule) = chooser.best() else { break };
            chooser.apply(&rule);
            chosen.rules.push(rule);
        }
        chooser.add_second_names(&mut chosen.rules);
        let singles = chooser.take_singles(&mut chosen.rules);
        chooser.extend(&mut chosen.rules);
        // The first group that matches a Dockerfile applies.
        let count =
            |group: &PathGroup| evidence.paths.iter().filter(|path| group.contains(path)).count();
        chosen.rules.sort_by_cached_key(|rule| count(&rule.group));
        chosen.singles = chooser.singles();
        chosen.singles.extend(singles);
        chosen
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.singles.is_empty()
    }

    /// Returns the names of all Dockerfiles that have one.
    pub(super) fn names(&self, evidence: &Evidence) -> BTreeMap<usize, ImageName> {
        let mut names = BTreeMap::new();
        for rule in &self.rules {
            let filled = rule.members.iter();
            let filled =
                filled.filter_map(|at| Some((*at, rule.template.fill(&evidence.paths[*at])?)));
            names.extend(filled);
        }
        names.extend(self.singles.iter().map(|(at, name)| (*at, name.clone())));
        names
    }
}

struct Chooser<'a> {
    evidence: &'a Evidence,
    templates: &'a [LearnedTemplate],
    /// The names so far.
    names: BTreeMap<usize, ImageName>,
    /// The mentions that these names explain.
    resolved: BTreeSet<&'a ImageName>,
}

/// The tags and the Dockerfiles of images, by repository.
type ImagesByRepository<'n> = HashMap<&'n str, Vec<(Option<&'n str>, usize)>>;

/// How good a rule is, compared part by part.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RuleScore {
    /// Twice the number of mentions that it explains, minus four times the number of contradictions, minus a quarter of the
    /// number of Dockerfiles that it finds and that have another name, minus the number of those that have other tags.
    explained: i64,
    /// The number of references with these names.
    references: usize,
    /// Whether all members are below one directory of the root.
    is_one_tree: bool,
    /// The number of parts that differ among the members.
    parts: usize,
    /// The number of parts that do not, negative.
    constants: i64,
    /// The number of members, negative: a small set leaves more to other rules. Rules are extended at the end.
    members: i64,
    /// The text in the template, negative: the less, the better.
    literals: i64,
    /// The number of directories that all members are below.
    prefix: usize,
}

impl<'a> Chooser<'a> {
    /// Returns the best rule that explains a mention.
    fn best(&self) -> Option<NamingRule> {
        let mut best: Option<(RuleScore, NamingRule)> = None;
        for (template, seeds) in self.templates {
            let mut groups: Vec<PathGroup> = Vec::new();
            for seed in seeds.iter().filter(|it| !self.names.contains_key(it)).take(MOST_SEEDS) {
                for group in PathGroup::around(&self.evidence.paths[*seed]) {
                    let fits = group.has_one_depth() || !template.uses_deep_parts();
                    if fits && !groups.contains(&group) {
                        groups.push(group);
                    }
                }
            }
            for group in groups {
                let Some((score, rule)) = self.assess(template, group) else { continue };
                if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
                    best = Some((score, rule));
                }
            }
        }
        best.map(|(_, rule)| rule)
    }

    /// Returns a rule and its score, if the rule is possible and explains a mention.
    fn assess(
        &self,
        template: &ReferenceTemplate,
        group: PathGroup,
    ) -> Option<(RuleScore, NamingRule)> {
        let paths = self.evidence.paths.iter().enumerate();
        let members: Vec<usize> = paths
            .filter(|(at, path)| group.contains(path) && !self.names.contains_key(at))
            .map(|(at, _)| at)
            .collect();
        let mut names = self.fill(template, &members)?;
        // The glob finds these too, unless other rules do.
        by_repository(&names, &BTreeMap::new())?;
        // What has another name according to the repository's files is left to other rules.
        let count = names.len();
        names.retain(|at, name| !self.evidence.contradicts(*at, name));
        let others = i64::try_from(count - names.len()).ok()?;
        let retagged = names.iter().filter(|(at, name)| self.evidence.has_other_tags(**at, name));
        let retagged = i64::try_from(retagged.count()).ok()?;
        let members: Vec<usize> = names.keys().copied().collect();
        let by_repository = by_repository(&names, &self.names)?;
        let contradictions = self.contradictions(&names)?;
        let mut explained = self.explained(&by_repository, &names);
        let rivals = self.rivals(template, &names);
        explained.retain(|_, at| !rivals.contains(at));
        if template.tag_origin() == TagOrigin::None {
            explained.retain(|name, at| !self.evidence.is_namesake_of_another(*at, name));
        }
        let is_told = names.iter().any(|(at, name)| self.evidence.supports(*at, name));
        let is_likely =
            || is_plausible(template, &explained) && self.is_related(template, &explained);
        if explained.is_empty() || !is_told && !is_likely() {
            return None;
        }
        let references = self.references_to(&explained);
        let explained =
            2 * i64::try_from(explained.len()).ok()? - 4 * contradictions - others / 4 - retagged;
        let paths = &self.evidence.paths;
        let differs = |part: &&PathPart| {
            let values: BTreeSet<_> = members.iter().map(|at| paths[*at].value(**part)).collect();
            values.len() > 1
        };
        let parts = template.parts().iter().filter(differs).count();
        let score = RuleScore {
            explained,
            references,
            is_one_tree: group.prefix_length() > 0,
            parts,
            constants: -i64::try_from(template.parts().len() - parts).ok()?,
            members: -i64::try_from(count).ok()?,
            literals: -i64::try_from(template.literals()).ok()?,
            prefix: group.prefix_length(),
        };
        (explained > 0).then(|| {
            (score, NamingRule { group, template: template.clone(), second: None, members })
        })
    }

    /// Returns whether a repository that does not depend on the path has to do with where the Dockerfiles are. Version
    /// numbers are tags of many repositories.
    fn is_related(
        &self,
        template: &ReferenceTemplate,
        explained: &BTreeMap<&ImageName, usize>,
    ) -> bool {
        let Some(repository) = template.constant_repository() else { return true };
        let name = repository.rsplit('/').next().unwrap_or(repository).to_lowercase();
        let is_part = |directory: &str| {
            let directory = directory.to_lowercase();
            let parts = name.split(|it: char| !it.is_alphanumeric()).filter(|part| part.len() > 2);
            parts.into_iter().any(|part| directory.contains(part))
                || directory.len() > 2 && name.contains(&directory)
        };
        let directories = explained.values().flat_map(|at| &self.evidence.paths[*at].directories);
        is_part(&self.evidence.directory) || directories.into_iter().any(|it| is_part(it))
    }

    /// Returns the members whose name another Dockerfile, no deeper in the tree, would have after the same template: which
    /// of the two is meant is unknown, unless one of them uses the name.
    fn rivals(
        &self,
        template: &ReferenceTemplate,
        names: &BTreeMap<usize, ImageName>,
    ) -> BTreeSet<usize> {
        let by_name: BTreeMap<&ImageName, usize> =
            names.iter().map(|(at, name)| (name, *at)).collect();
        let paths = &self.evidence.paths;
        let others = (0..paths.len()).filter(|at| !names.contains_key(at));
        let rivals = others.filter_map(|other| {
            let name = template.fill(&paths[other])?;
            let at = *by_name.get(&name)?;
            let is_known = self.evidence.supports(at, &name);
            let is_deeper = paths[other].directories.len() > paths[at].directories.len();
            let is_user = self.uses_of(&name).any(|by| by.contains(&other));
            (!is_known
                && !is_deeper
                && !is_user
                && self.names.get(&other).is_none_or(|it| *it == name))
            .then_some(at)
        });
        rivals.collect()
    }

    fn fill(
        &self,
        template: &ReferenceTemplate,
        members: &[usize],
    ) -> Option<BTreeMap<usize, ImageName>> {
        let name = |at: &usize| {
            let name = template.fill(&self.evidence.paths[*at])?;
            name.is_valid().then_some((*at, name))
        };
        members.iter().map(name).collect()
    }

    /// Returns the Dockerfiles that use a name, per reference that means it.
    fn uses_of<'n>(&'n self, name: &'n ImageName) -> impl Iterator<Item = &'n BTreeSet<usize>> {
        let own = ImageName { tag: None, ..name.clone() };
        let range = self.evidence.mentions.range(own..);
        let same = range.take_while(|(mention, _)| mention.repository == name.repository);
        same.filter(|(mention, _)| mention.means(name)).map(|(_, by)| by)
    }

    /// Returns the number of members that refer to their own repository. `None` if an image would be its own parent.
    fn contradictions(&self, names: &BTreeMap<usize, ImageName>) -> Option<i64> {
        let mut contradictions = 0;
        for (at, name) in names {
            for by in self.uses_of(name) {
                if by.contains(at) {
                    match name.tag {
                        Some(_) => return None,
                        None => contradictions += 1,
                    }
                }
            }
        }
        Some(contradictions)
    }

    /// Returns the mentions that names explain and that are not explained yet. Of several tags of an image without one
    /// of its own, only the most frequent one counts.
    fn explained(
        &self,
        by_repository: &ImagesByRepository<'_>,
        names: &BTreeMap<usize, ImageName>,
    ) -> BTreeMap<&'a ImageName, usize> {
        let mut explained: BTreeMap<&ImageName, usize> = BTreeMap::new();
        let mut untagged: BTreeMap<usize, (usize, &ImageName)> = BTreeMap::new();
        for (mention, by) in &self.evidence.mentions {
            if self.resolved.contains(mention) {
                continue;
            }
            let Some(images) = by_repository.get(mention.repository.as_str()) else { continue };
            let exact =
                images.iter().find(|(tag, _)| tag.is_some() && *tag == mention.tag.as_deref());
            let any = images.iter().find(|(tag, _)| tag.is_none());
            let Some((tag, at)) = exact.or(any) else { continue };
            let others = by.iter().filter(|by| *by != at).count();
            if others == 0 || !names.contains_key(at) {
                continue;
            }
            if tag.is_some() {
                explained.insert(mention, *at);
            } else if untagged.get(at).is_none_or(|(most, _)| others > *most) {
                untagged.insert(*at, (others, mention));
            }
        }
        explained.extend(untagged.into_iter().map(|(at, (_, mention))| (mention, at)));
        explained
    }

    /// Returns the number of references by other Dockerfiles.
    fn references_to(&self, explained: &BTreeMap<&ImageName, usize>) -> usize {
        let by_others = |(name, at): (&&ImageName, &usize)| {
            self.evidence.mentions[*name].iter().filter(|by| *by != at).count()
        };
        explained.iter().map(by_others).sum()
    }

    fn apply(&mut self, rule: &NamingRule) {
        let Some(names) = self.fill(&rule.template, &rule.members) else { return };
        if let Some(by_repository) = by_repository(&names, &self.names) {
            let explained = self.explained(&by_repository, &names);
            self.resolved.extend(explained.into_keys());
        }
        self.names.extend(names);
    }

    /// Adds templates for further names: some repositories push an image to two places, and refer to both.
    fn add_second_names(&mut self, rules: &mut [NamingRule]) {
        for rule in rules {
            let explained_by = |template: &ReferenceTemplate| {
                let names = self.fill(template, &rule.members)?;
                let others = self.names.iter().filter(|(at, _)| !names.contains_key(at));
                let others = others.map(|(at, name)| (*at, name.clone())).collect();
                let by_repository = by_repository(&names, &others)?;
                let is_right = self.contradictions(&names)? == 0;
                let explained = self.explained(&by_repository, &names);
                let is_likely = is_plausible(template, &explained)
                    && self.is_related(template, &explained)
                    && self.rivals(template, &names).is_empty();
                // A name without a namespace is a public image or one of this repository.
                let is_bare = explained.keys().all(|name| !name.repository.contains('/'));
                let is_frequent = is_bare && !explained.is_empty()
                    || explained.len() > 1 && self.references_to(&explained) > 2;
                (is_right && is_frequent && is_likely).then_some(explained)
            };
            let templates = self.templates.iter().map(|(template, _)| template);
            let found = templates.filter_map(|template| Some((explained_by(template)?, template)));
            if let Some((explained, template)) = found.max_by_key(|(explained, _)| explained.len())
            {
                rule.second = Some(template.clone());
                let explained: Vec<&ImageName> = explained.into_keys().collect();
                self.resolved.extend(explained);
            }
        }
    }

    /// Removes the rules of which only one name is used, and returns these names: the setting of an image is shorter.
    fn take_singles(&mut self, rules: &mut Vec<NamingRule>) -> BTreeMap<usize, ImageName> {
        let mut singles = BTreeMap::new();
        rules.retain(|rule| {
            let names = self.fill(&rule.template, &rule.members).unwrap_or_default();
            let is_used = |(at, name): &(&usize, &ImageName)| {
                self.uses_of(name).any(|by| by.iter().any(|by| by != *at))
            };
            let used: Vec<usize> = names.iter().filter(is_used).map(|(at, _)| *at).collect();
            let is_kept = rule.second.is_some() || used.len() != 1 || names.len() > FEW;
            if !is_kept {
                self.names.retain(|at, _| !names.contains_key(at));
                singles.extend(names.into_iter().filter(|(at, _)| used.contains(at)));
            }
            is_kept
        });
        self.names.extend(singles.iter().map(|(at, name)| (*at, name.clone())));
        singles
    }

    /// Extends rules to Dockerfiles that no rule names. An extended rule goes last, after those that name single trees.
    fn extend(&mut self, rules: &mut Vec<NamingRule>) {
        let mut extended = Vec::new();
        let mut at = 0;
        while at < rules.len() {
            let seed = rules[at].members.first().map(|seed| &self.evidence.paths[*seed]);
            let groups = seed.into_iter().flat_map(PathGroup::around);
            let wider = groups.filter_map(|group| self.widen(&rules[at], group));
            match wider.max_by_key(|(_, added)| added.len()) {
                Some((rule, names)) => {
                    self.names.extend(names);
                    extended.insert(0, rule);
                    rules.remove(at);
                }
                None => at += 1,
            }
        }
        rules.extend(extended);
    }

    /// Returns a rule that also names what no rule names in a larger set, with the added names.
    fn widen(
        &self,
        rule: &NamingRule,
        group: PathGroup,
    ) -> Option<(NamingRule, BTreeMap<usize, ImageName>)> {
        let paths = &self.evidence.paths;
        if !group.has_one_depth() && rule.template.uses_deep_parts()
            || !group.is_in_tree_of(&rule.group)
            || !rule.members.iter().all(|at| group.contains(&paths[*at]))
        {
            return None;
        }
        let is_added = |at: &usize| group.contains(&paths[*at]) && !self.names.contains_key(at);
        let added: Vec<usize> = (0..paths.len()).filter(is_added).collect();
        let names = self.fill(&rule.template, &added)?;
        by_repository(&names, &self.names)?;
        let is_new = self.explained(&by_repository(&names, &BTreeMap::new())?, &names).is_empty();
        if added.is_empty() || self.contradictions(&names)? > 0 || !is_new {
            return None;
        }
        let members = rule.members.iter().copied().chain(added).collect();
        Some((NamingRule { group, members, ..rule.clone() }, names))
    }

    /// Returns the names that only the repository's files connect with a Dockerfile.
    fn singles(&self) -> BTreeMap<usize, ImageName> {
        let mut singles: BTreeMap<usize, ImageName> = BTreeMap::new();
        let taken: BTreeSet<&ImageName> = self.names.values().collect();
        for (mention, by) in &self.evidence.mentions {
            if self.resolved.contains(mention) || taken.contains(mention) {
                continue;
            }
            let Some(at) = self.evidence.claimed_by(mention) else { continue };
            let evidence = self.evidence;
            let is_wrong =
                |name| evidence.contradicts(at, name) || evidence.has_other_tags(at, name);
            let is_free = self.names.get(&at).is_none_or(is_wrong);
            if is_free && by.iter().any(|by| *by != at) {
                singles.entry(at).or_insert_with(|| mention.clone());
            }
        }
        singles
    }
}

/// Returns the names by repository, or `None` if two images would have the same one.
fn by_repository<'n>(
    names: &'n BTreeMap<usize, ImageName>,
    earlier: &'n BTreeMap<usize, ImageName>,
) -> Option<ImagesByRepository<'n>> {
    let mut seen: BTreeSet<&ImageName> = BTreeSet::new();
    let mut by_repository = ImagesByRepository::new();
    for (at, name) in names.iter().chain(earlier) {
        if !seen.insert(name) {
            return None;
        }
        by_repository.entry(&name.repository).or_default().push((name.tag.as_deref(), *at));
    }
    Some(by_repository)
}

/// Returns whether mentions that a template explains are more than a coincidence.
fn is_plausible(template: &ReferenceTemplate, explained: &BTreeMap<&ImageName, usize>) -> bool {
    let images: BTreeSet<usize> = explained.values().copied().collect();
    let has_public = explained.keys().any(|name| is_public(name));
    let has_namespace = explained.keys().all(|name| name.repository.contains('/'));
    match (has_public, template.tag_origin()) {
        // `ubuntu/22.04` next to `FROM ubuntu:22.04` is a coincidence; that all tags of an official image fit is not.
        (true, TagOrigin::Path) => images.len() > 2 && !template.prefix().is_empty(),
        (true, _) => false,
        (false, TagOrigin::Path) => has_namespace || images.len() > 1,
        (false, TagOrigin::Partly) => images.len() > 2,
        (false, TagOrigin::None) => {
            let is_latest = |name: &&ImageName| name.tag.as_deref().is_none_or(|tag| tag == LATEST);
            has_namespace || explained.keys().all(is_latest)
        }
    }
}
