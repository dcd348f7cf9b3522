//! What the repository's own build files add to a proposal: names, arguments, and named contexts.
//!
//! Owns the choice among several builds of one Dockerfile: the one whose parents are images of this repository.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::RelPath;
use crate::graph::images::Candidate;
use crate::graph::reference::Reference;
use crate::scan::build_files::{self, DescribedBuild, PartialText};

use super::evidence::{Claim, Evidence};
use super::rules::NamingRules;

/// The maximum number of builds of one Dockerfile that are compared.
const MOST_VARIANTS: usize = 24;

/// The builds that files of the repository describe.
pub(super) struct KnownBuilds {
    by_dockerfile: BTreeMap<RelPath, Vec<DescribedBuild>>,
    /// The Dockerfiles of bake targets and services, by the file and their name.
    by_name: BTreeMap<(RelPath, String), RelPath>,
}

/// A way to build a Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BuildVariant {
    /// The stage, unless it is the last one.
    pub(super) target: Option<String>,
    /// The values of the arguments that FROM lines use.
    pub(super) args: BTreeMap<String, String>,
}

/// The named contexts that are images of this repository: their names, and the Dockerfiles that these images are built
/// from.
#[derive(Debug, Default)]
pub(super) struct SiblingContexts {
    /// Those of all images.
    pub(super) general: BTreeMap<String, RelPath>,
    /// Those of single images.
    pub(super) own: BTreeMap<RelPath, BTreeMap<String, RelPath>>,
}

impl SiblingContexts {
    /// Returns the contexts without those that rules give as names to the same images.
    pub(super) fn without(
        &self,
        evidence: &Evidence,
        rules: &NamingRules,
        paths: &[RelPath],
    ) -> SiblingContexts {
        let names = rules.names(evidence);
        let is_named = |name: &str, path: &RelPath| {
            let at = paths.binary_search(path).ok();
            let image = at.and_then(|at| names.get(&at));
            image.is_some_and(|image| {
                reference_of(name).is_some_and(|(repository, tag)| {
                    image.repository == repository && (tag.is_none() || image.tag == tag)
                })
            })
        };
        let mut general = self.general.clone();
        general.retain(|name, path| !is_named(name, path));
        SiblingContexts { general, own: self.own.clone() }
    }
}

/// Returns the repository and the tag of a named context whose name is a reference with a namespace.
fn reference_of(name: &str) -> Option<(String, Option<String>)> {
    let reference = Reference::parse(name).ok().filter(|_| name.contains('/'))?;
    let tag = reference
        .tag
        .clone()
        .filter(|_| name.rsplit('/').next().is_some_and(|it| it.contains(':')));
    Some((reference.familiar_repository(), tag))
}

impl KnownBuilds {
    /// Reads the files of the repository at `root`.
    pub(super) fn read(root: &Path) -> KnownBuilds {
        let mut by_dockerfile: BTreeMap<RelPath, Vec<DescribedBuild>> = BTreeMap::new();
        let mut by_name = BTreeMap::new();
        for build in build_files::find(root).0 {
            if let Some(name) = &build.name {
                by_name.insert((build.origin.file.clone(), name.clone()), build.dockerfile.clone());
            }
            by_dockerfile.entry(build.dockerfile.clone()).or_default().push(build);
        }
        KnownBuilds { by_dockerfile, by_name }
    }

    fn of(&self, path: &RelPath) -> &[DescribedBuild] {
        self.by_dockerfile.get(path).map_or(&[], Vec::as_slice)
    }

    /// Returns the builds of a Dockerfile that are not only examples.
    pub(super) fn real(&self, path: &RelPath) -> impl Iterator<Item = &DescribedBuild> {
        self.of(path).iter().filter(|build| !build.is_example)
    }

    /// Returns the names that the files give to Dockerfiles.
    pub(super) fn claims(&self) -> BTreeMap<RelPath, Vec<Claim>> {
        let of = |(path, builds): (&RelPath, &Vec<DescribedBuild>)| {
            let mut claims: Vec<Claim> = Vec::new();
            for build in builds {
                for (repository, tag) in build.references.iter().map(PartialText::split_tag) {
                    let claim = Claim { repository, tag, is_example: build.is_example };
                    if !claims.contains(&claim) {
                        claims.push(claim);
                    }
                }
            }
            (path.clone(), claims)
        };
        let mut claims: BTreeMap<RelPath, Vec<Claim>> = self.by_dockerfile.iter().map(of).collect();
        // A named context that looks like a reference is the name that FROM lines use.
        for (name, path) in self.sibling_contexts(&BTreeSet::new()).general {
            if let Some((repository, tag)) = reference_of(&name) {
                claims.entry(path).or_default().push(Claim {
                    repository: repository.as_str().into(),
                    tag: tag.as_deref().map(PartialText::from),
                    is_example: false,
                });
            }
        }
        claims
    }

    /// Returns the different ways in which a Dockerfile is built, as far as they matter for its FROM lines, each with the
    /// first build that does so. Those of the last stage, whose name is `last`, go first.
    pub(super) fn variants(
        &self,
        path: &RelPath,
        used: &BTreeSet<String>,
        last: Option<&str>,
    ) -> Vec<(BuildVariant, &DescribedBuild)> {
        let mut variants: Vec<(BuildVariant, &DescribedBuild)> = Vec::new();
        for build in self.real(path) {
            let args = build.args.iter().filter(|(name, _)| used.contains(*name));
            let args = args.map(|(name, value)| (name.clone(), value.clone())).collect();
            let target = build.target.clone().filter(|it| Some(it.as_str()) != last);
            let variant = BuildVariant { target, args };
            if variants.len() < MOST_VARIANTS && variants.iter().all(|(it, _)| *it != variant) {
                variants.push((variant, build));
            }
        }
        variants.sort_by_key(|(variant, _)| variant.target.is_some());
        variants
    }

    /// Returns the names of the arguments that builds of a Dockerfile pass with different values.
    pub(super) fn differing_args(&self, path: &RelPath) -> BTreeSet<String> {
        let mut builds = 0;
        // The first value, how many builds pass one, and whether all values are the same.
        let mut values: BTreeMap<&String, (&String, usize, bool)> = BTreeMap::new();
        for build in self.real(path) {
            builds += 1;
            for (name, value) in &build.args {
                let (first, count, is_same) = values.entry(name).or_insert((value, 0, true));
                *count += 1;
                *is_same &= *first == value;
            }
        }
        let differs = |(_, (_, count, is_same)): &(&String, (&String, usize, bool))| {
            !is_same || *count < builds
        };
        values.into_iter().filter(differs).map(|(name, _)| name.clone()).collect()
    }

    /// Returns the named contexts that are images of this repository, where all builds of a Dockerfile agree.
    /// A name that is also a stage somewhere is not general: it would replace that stage.
    pub(super) fn sibling_contexts(&self, stages: &BTreeSet<String>) -> SiblingContexts {
        let mut contexts = SiblingContexts::default();
        let mut general: BTreeMap<String, BTreeSet<RelPath>> = BTreeMap::new();
        for (dockerfile, builds) in &self.by_dockerfile {
            let mut own: BTreeMap<String, BTreeSet<RelPath>> = BTreeMap::new();
            for (name, path) in builds.iter().flat_map(|build| self.siblings_in(build)) {
                own.entry(name).or_default().insert(path);
            }
            for (name, paths) in own {
                general.entry(name.clone()).or_default().extend(paths.iter().cloned());
                let only = paths.first().filter(|path| paths.len() == 1 && *path != dockerfile);
                let own = contexts.own.entry(dockerfile.clone()).or_default();
                own.extend(only.map(|path| (name, path.clone())));
            }
        }
        let is_general =
            |name: &String, paths: &BTreeSet<RelPath>| paths.len() == 1 && !stages.contains(name);
        for (name, paths) in general.into_iter().filter(|(name, paths)| is_general(name, paths)) {
            contexts.own.values_mut().for_each(|own| drop(own.remove(&name)));
            contexts.general.extend(paths.into_iter().next().map(|path| (name, path)));
        }
        contexts
    }

    fn siblings_in(&self, build: &DescribedBuild) -> Vec<(String, RelPath)> {
        let sibling = |(name, value): (&String, &String)| {
            let target = ["target:", "service:"].iter().find_map(|it| value.strip_prefix(it))?;
            let path = self.by_name.get(&(build.origin.file.clone(), target.to_owned()))?;
            Some((name.clone(), path.clone()))
        };
        build.contexts.iter().filter_map(sibling).collect()
    }
}

/// Returns an image for inspection, with the name of its Dockerfile and a number.
pub(super) fn candidate(path: &RelPath, number: usize, variant: &BuildVariant) -> Candidate {
    let name = format!("{path}#{number}");
    let BuildVariant { target, args } = variant.clone();
    Candidate { target, args, ..Candidate::new(name, path.clone()) }
}
