//! The build arguments and the target stages of a proposal.
//!
//! Owns the choice among the builds of a Dockerfile, and the values: those that the repository's build files pass, if with
//! them the parents are images of this repository or if an argument has no default, and values for those that are still
//! missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::base::RelPath;
use crate::graph::images::Candidate;
use crate::workspace::Invocation;

use super::arguments::RepositoryArguments;
use super::evidence::{Claim, Mention};
use super::known_builds::{BuildVariant, KnownBuilds, candidate};
use super::mentions;

/// The build arguments and the target stages of a proposal.
#[derive(Debug, Default)]
pub(super) struct ProposedArgs {
    /// Those of all images.
    pub(super) general: BTreeMap<String, String>,
    /// Those of single images.
    pub(super) own: BTreeMap<RelPath, BTreeMap<String, String>>,
    /// The stages of images that are not the last one of their Dockerfile.
    pub(super) targets: BTreeMap<RelPath, String>,
}

impl ProposedArgs {
    /// Returns the arguments with those of single images, and with values for what is still missing.
    pub(super) fn of(
        arguments: &RepositoryArguments,
        variants: BTreeMap<RelPath, BuildVariant>,
        namespace: &str,
    ) -> ProposedArgs {
        let (mut own, mut targets) = (BTreeMap::new(), BTreeMap::new());
        for (path, variant) in variants {
            targets.extend(variant.target.map(|target| (path.clone(), target)));
            own.insert(path, variant.args);
        }
        let missing = arguments.values_of_missing(&own, namespace);
        let mut args = ProposedArgs { general: missing, own, targets };
        let common = args.take_common();
        args.general.extend(common);
        args.general.retain(|name, value| !arguments.is_default(name, value));
        args
    }

    /// Removes the arguments that have one value wherever they are set, and returns them.
    fn take_common(&mut self) -> BTreeMap<String, String> {
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, value) in self.own.values().flatten() {
            values.entry(name.clone()).or_default().insert(value.clone());
        }
        values.retain(|_, values| values.len() == 1);
        let common: BTreeMap<String, String> = values
            .into_iter()
            .filter_map(|(name, values)| Some((name, values.into_iter().next()?)))
            .collect();
        for own in self.own.values_mut() {
            own.retain(|name, _| !common.contains_key(name));
        }
        self.own.retain(|_, own| !own.is_empty());
        common
    }

    /// Returns images for inspection with these arguments.
    pub(super) fn candidates(&self, paths: &[RelPath]) -> Vec<Candidate> {
        let all = paths.iter().map(|path| {
            let mut args = self.general.clone();
            args.extend(self.own.get(path).cloned().unwrap_or_default());
            candidate(path, 0, &BuildVariant { target: self.targets.get(path).cloned(), args })
        });
        all.collect()
    }

    /// Returns images for inspection for all builds of each Dockerfile.
    pub(super) fn candidates_of_variants(
        &self,
        paths: &[RelPath],
        builds: &KnownBuilds,
        arguments: &RepositoryArguments,
    ) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for path in paths {
            let used = arguments.used(path);
            for (variant, _) in builds.variants(path, &used, arguments.last_stage(path)) {
                let mut args = self.general.clone();
                args.extend(variant.args);
                let variant = BuildVariant { target: variant.target, args };
                candidates.push(candidate(path, candidates.len() + 1, &variant));
            }
        }
        candidates
    }
}

/// Returns for each Dockerfile the first build with the most parents in this repository. A build without any arguments,
/// if none is described, must have more parents than those that are.
pub(super) fn choose_variants(
    root: &Path,
    paths: &[RelPath],
    (builds, claims): (&KnownBuilds, &BTreeMap<RelPath, Vec<Claim>>),
    arguments: &RepositoryArguments,
    at: &Invocation,
) -> BTreeMap<RelPath, BuildVariant> {
    let mut variants: BTreeMap<String, BuildVariant> = BTreeMap::new();
    let mut candidates = Vec::new();
    for path in paths {
        let described = builds.variants(path, &arguments.used(path), arguments.last_stage(path));
        if described.is_empty() {
            continue;
        }
        let described = described.into_iter().map(|(variant, _)| variant);
        for (number, variant) in described.chain([BuildVariant::default()]).enumerate() {
            let image = candidate(path, number, &variant);
            variants.insert(image.name.clone(), variant);
            candidates.push(image);
        }
    }
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    let dockerfiles: Vec<(String, RelPath)> =
        candidates.iter().map(|it| (it.name.clone(), it.dockerfile.clone())).collect();
    let mut siblings: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for Mention { by, image, name } in mentions(root, candidates, at) {
        let is_sibling = claims.iter().any(|(path, claims)| {
            *path != by && claims.iter().any(|it| it.says_something() && it.allows(&name))
        });
        let counts = siblings.entry(image).or_default();
        counts.0 += usize::from(is_sibling);
        counts.1 += 1;
    }
    let mut best: BTreeMap<RelPath, ((usize, usize), String)> = BTreeMap::new();
    for (image, path) in dockerfiles {
        let counts = siblings.get(&image).copied().unwrap_or_default();
        if best.get(&path).is_none_or(|(most, _)| counts > *most) {
            best.insert(path, (counts, image));
        }
    }
    let chosen =
        best.into_iter().filter_map(|(path, (_, image))| Some((path, variants.remove(&image)?)));
    chosen.filter(|(_, variant)| *variant != BuildVariant::default()).collect()
}
