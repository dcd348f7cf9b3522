//! The graph as a CI pipeline: one job per image, which runs after the jobs of its parents, and a last job
//! that publishes the tags of all images together.
//!
//! Owns the commands that jobs run, and the names of jobs. Jobs find parents in the registry by key, so they
//! pass nothing to each other; they only wait. The file of each CI system defines the format.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ImageId;
use crate::base::text::{names_registry, shell_word};

use super::View;
use super::recipe::{NameRules, Recipe};

pub mod github;
pub mod gitlab;
mod jobs;

/// The option with which the job of an image pushes it under the tag of its key, without moving other tags.
pub const PUSH_KEYS: &str = "--push=keys";

/// The option with which the last job moves the tags of all images. All layers are in the registry by then.
pub const PUSH_TAGS: &str = "--push";

/// The name of the last job.
pub const RELEASE: &str = "release";

/// The prefix of all other job names. It keeps them different from reserved words of CI systems, from
/// numbers, from names that start with a dot, and from the last job.
const PREFIX: &str = "build-";

/// The options of a pipeline that do not depend on the CI system.
pub struct Pipeline<'a> {
    /// The options that all generated files share.
    pub recipe: Recipe<'a>,
    /// The options of every command, quoted for a shell.
    pub options: Vec<String>,
    /// The `--allow` options per image, quoted for a shell.
    pub allow: BTreeMap<ImageId, Vec<String>>,
    /// The registry to push to, such as `ghcr.io/acme`, if there is one.
    pub registry: Option<String>,
    /// Whether a branch other than the default one, and a git tag, are the version of what is released from them.
    pub has_ref_versions: bool,
}

impl Pipeline<'_> {
    /// Returns the command of the job that builds these images.
    fn build(&self, view: &View<'_>, images: &[ImageId]) -> String {
        let names = images.iter().map(|image| view.image(*image).name.as_str());
        self.command(&names.collect::<Vec<_>>(), PUSH_KEYS, images)
    }

    /// Returns the command of the last job.
    fn release(&self, view: &View<'_>) -> String {
        let images: Vec<ImageId> = view.images().map(|(id, _)| id).collect();
        if images.len() == view.graph_len() {
            return self.words("layers build --all", PUSH_TAGS, &images);
        }
        let names = view.images().map(|(_, image)| image.name.as_str());
        self.command(&names.collect::<Vec<_>>(), PUSH_TAGS, &images)
    }

    fn command(&self, names: &[&str], push: &str, images: &[ImageId]) -> String {
        let words: Vec<String> = names.iter().map(|name| shell_word(name)).collect();
        if names.iter().any(|name| name.starts_with('-')) {
            // After `--`, no word is parsed as an option.
            return format!("{} -- {}", self.words("layers build", push, images), words.join(" "));
        }
        self.words(&format!("layers build {}", words.join(" ")), push, images)
    }

    fn words(&self, start: &str, push: &str, images: &[ImageId]) -> String {
        let options = self.options.iter().map(String::as_str);
        let allowed = images.iter().filter_map(|image| self.allow.get(image)).flatten();
        let allowed: BTreeSet<&str> = allowed.map(String::as_str).collect();
        [start, push].into_iter().chain(options).chain(allowed).collect::<Vec<_>>().join(" ")
    }

    /// Returns the registry's host as `docker login` expects it. As in any reference, a first part without a
    /// dot or a port that is not `localhost` is a namespace of Docker Hub.
    fn registry_host(&self) -> Option<&str> {
        let registry = self.registry.as_deref()?;
        let first = registry.split('/').next().unwrap_or(registry);
        Some(if names_registry(first) { first } else { "docker.io" })
    }
}

/// Returns a spelling for job names with these characters.
fn spelling(is_allowed: fn(char) -> bool, longest: usize) -> NameRules<'static> {
    NameRules { is_allowed, reserved: &[RELEASE], prefix: PREFIX, longest, ignores_case: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Attestations;

    fn pipeline<'a>(
        secrets: &'a BTreeMap<String, toml::Spanned<crate::scan::config::SecretSource>>,
        attestations: &'a Attestations,
    ) -> Pipeline<'a> {
        let (command, ssh) = ("layers ci".to_owned(), Vec::new());
        let recipe =
            Recipe { command, left_out: Vec::new(), platform: None, attestations, secrets, ssh };
        let options = vec!["--target 'a b'".to_owned()];
        let allow = BTreeMap::new();
        Pipeline { recipe, options, allow, registry: None, has_ref_versions: true }
    }

    #[test]
    fn image_names_are_quoted_and_not_parsed_as_options() {
        let (secrets, none) = (BTreeMap::new(), Attestations::default());
        let check = |names: &[&str], expected: &str| {
            assert_eq!(pipeline(&secrets, &none).command(names, PUSH_KEYS, &[]), expected);
        };
        check(&["base"], "layers build base --push=keys --target 'a b'");
        check(&["a b", "$(x)"], "layers build 'a b' '$(x)' --push=keys --target 'a b'");
        check(&["a", "--force"], "layers build --push=keys --target 'a b' -- a --force");
        check(&["it's\nme"], "layers build 'it'\\''s\nme' --push=keys --target 'a b'");
    }

    #[test]
    fn the_registry_host_is_extracted() {
        let (secrets, none) = (BTreeMap::new(), Attestations::default());
        let check = |registry: Option<&str>, expected: Option<&str>| {
            let mut pipeline = pipeline(&secrets, &none);
            pipeline.registry = registry.map(str::to_owned);
            assert_eq!(pipeline.registry_host(), expected);
        };
        check(None, None);
        check(Some("ghcr.io/acme"), Some("ghcr.io"));
        check(Some("localhost:5000"), Some("localhost:5000"));
        check(Some("localhost/x"), Some("localhost"));
        check(Some("acme"), Some("docker.io"));
        check(Some("acme/shop"), Some("docker.io"));
    }
}
