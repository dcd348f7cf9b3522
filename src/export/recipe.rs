//! The common parts of files that let other programs build the graph.
//!
//! Owns the conversion of an image to what `docker buildx bake` calls a target and `docker compose` a
//! service: names that they accept, paths as they interpret them, and a target for each reference to an image
//! of the repository in a Dockerfile. Each format writes this in its own way.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::screen::{COMMAND, is_unseen};
use crate::base::{ImageId, Platform, RelPath};
use crate::engine::Attestations;
use crate::graph::Image;
use crate::graph::evaluate::{NeedKind, SecretKind};
use crate::graph::reference::Reference;
use crate::scan::config::{SecretSource, Secrets};

use super::View;

/// The options that are not part of the graph.
pub struct Recipe<'a> {
    /// The command that generates the file.
    pub command: String,
    /// The platform to build for, if requested.
    pub platform: Option<&'a Platform>,
    /// The attestations of each image.
    pub attestations: &'a Attestations,
    /// The sources of secrets.
    pub secrets: &'a Secrets,
    /// The SSH agents, as `--ssh` names them.
    pub ssh: Vec<&'a str>,
}

/// An image as another program builds it.
pub(super) struct Target<'a> {
    /// Its name in that program.
    pub name: &'a str,
    /// Its context, relative to the root.
    pub context: &'a str,
    /// Its Dockerfile, relative to its context.
    pub dockerfile: String,
    /// The stage to build.
    pub stage: Option<&'a str>,
    /// All its references.
    pub tags: Vec<String>,
    /// Its build arguments.
    pub args: &'a BTreeMap<String, String>,
    /// The contexts for the names that its Dockerfile uses.
    pub contexts: BTreeMap<String, String>,
    /// The configured secrets that it mounts.
    pub secrets: Vec<(&'a str, &'a SecretSource)>,
    /// The configured SSH agents that it mounts.
    pub ssh: Vec<&'a str>,
}

impl Recipe<'_> {
    /// Returns the comment at the start of a file with this name, for a program that is run by hand.
    pub(super) fn header(&self, file: &str, run: &str) -> String {
        let origin = self.origin(file);
        format!("{origin}# Paths begin at the root of the repository: run `{run}` there.\n\n")
    }

    /// Returns the comment lines that say how a file with this name was generated.
    pub(super) fn origin(&self, file: &str) -> String {
        let command = &self.command;
        format!(
            "# Made by `{command}`: change the Dockerfiles, not this.\n\
             # `{command} --check --output {file}` fails where it is out of date.\n"
        )
    }

    /// Returns all images of a view. `names` contains the name of each image, and `scheme` is the prefix of a
    /// name that is used as a context.
    pub(super) fn targets<'a>(
        &'a self,
        view: &View<'a>,
        names: &'a BTreeMap<ImageId, String>,
        scheme: &str,
    ) -> Vec<Target<'a>> {
        let describe = |(id, image): (ImageId, &'a Image)| Target {
            name: &names[&id],
            context: image.context.as_str(),
            dockerfile: relative(&image.context, &image.dockerfile),
            stage: image.target.as_deref(),
            tags: image.references.iter().map(Reference::familiar).collect(),
            args: &image.build_args,
            contexts: contexts(view, id, image, |parent| format!("{scheme}{}", names[&parent])),
            secrets: self.secrets_of(image),
            ssh: self.agents_of(image),
        };
        view.images().map(describe).collect()
    }

    /// Returns the configured secrets that an image mounts.
    pub(super) fn secrets_of(&self, image: &Image) -> Vec<(&str, &SecretSource)> {
        let ids = mounted(image, SecretKind::Value);
        let configured = self.secrets.iter().filter(|(id, _)| ids.contains(id.as_str()));
        configured.map(|(id, source)| (id.as_str(), source.get_ref())).collect()
    }

    fn agents_of(&self, image: &Image) -> Vec<&str> {
        let ids = mounted(image, SecretKind::Agent);
        let is_mounted = |word: &&str| word.split('=').next().is_some_and(|id| ids.contains(id));
        self.ssh.iter().copied().filter(is_mounted).collect()
    }
}

fn mounted(image: &Image, kind: SecretKind) -> BTreeSet<&str> {
    let uses = image.evaluation.secret_uses.iter().filter(|it| it.kind == kind);
    uses.map(|it| it.id.as_str()).collect()
}

/// The rules of a program for names.
pub(super) struct Spelling<'a> {
    /// The allowed characters.
    pub is_allowed: fn(char) -> bool,
    /// Names with another meaning.
    pub reserved: &'a [&'a str],
    /// The prefix of all names.
    pub prefix: &'a str,
    /// The maximum length of a name, without the number of a name that would exist twice.
    pub longest: usize,
    /// Whether names are case-insensitive.
    pub ignores_case: bool,
}

impl<'a> Spelling<'a> {
    /// Returns rules for case-sensitive names of any length with these characters.
    pub fn of(is_allowed: fn(char) -> bool, reserved: &'a [&'a str]) -> Spelling<'a> {
        Spelling { is_allowed, reserved, prefix: "", longest: usize::MAX, ignores_case: false }
    }

    /// Returns the image's own name with the prefix, if it is allowed.
    fn exact(&self, image: &str) -> Option<String> {
        let is_spelt = !image.is_empty() && image.chars().all(self.is_allowed);
        let name = format!("{}{image}", self.prefix);
        (is_spelt && name.len() <= self.longest && !self.reserved.contains(&name.as_str()))
            .then_some(name)
    }

    /// Returns the most similar allowed name.
    fn nearest(&self, image: &str) -> String {
        let letters = image.chars().map(|c| if (self.is_allowed)(c) { c } else { '-' });
        self.prefix.chars().chain(letters).take(self.longest).collect()
    }

    /// Returns the form of a name that must be unique.
    fn mark(&self, name: &str) -> String {
        if self.ignores_case { name.to_lowercase() } else { name.to_owned() }
    }
}

/// Returns the names of all images of a view. Characters that are not allowed become `-`. An image keeps its
/// own name if possible, regardless of the names of other images.
pub(super) fn names(view: &View<'_>, spelling: &Spelling<'_>) -> BTreeMap<ImageId, String> {
    let mut names: BTreeMap<ImageId, String> = BTreeMap::new();
    let reserved = spelling.reserved.iter();
    let mut taken: BTreeSet<String> = reserved.map(|name| spelling.mark(name)).collect();
    for (id, image) in view.images() {
        if let Some(name) = spelling.exact(&image.name)
            && taken.insert(spelling.mark(&name))
        {
            names.insert(id, name);
        }
    }
    // The next number to try for each name.
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for (id, image) in view.images() {
        if names.contains_key(&id) {
            continue;
        }
        let base = spelling.nearest(&image.name);
        let number = next.entry(spelling.mark(&base)).or_insert(1);
        let name = loop {
            let name = if *number == 1 { base.clone() } else { format!("{base}-{number}") };
            *number += 1;
            if taken.insert(spelling.mark(&name)) {
                break name;
            }
        };
        names.insert(id, name);
    }
    names
}

/// Returns the contexts for the names that a Dockerfile uses: its own named contexts, then each reference to
/// another image of the repository. BuildKit looks names up in their short form, however the Dockerfile
/// writes them.
fn contexts(
    view: &View<'_>,
    id: ImageId,
    image: &Image,
    target: impl Fn(ImageId) -> String,
) -> BTreeMap<String, String> {
    let mut contexts = BTreeMap::new();
    for (name, value) in &image.contexts {
        let reference = Reference::in_context(value);
        let mut edges = view.parents(id).iter().filter(|edge| edge.kind == NeedKind::Context);
        let edge = edges.find(|edge| reference.as_ref().is_some_and(|it| it == &edge.reference));
        let stands = match edge {
            Some(edge) => target(edge.parent),
            None if value.contains("://") || value.starts_with(['.', '/']) => value.clone(),
            None => format!("./{value}"),
        };
        contexts.insert(name.clone(), stands);
    }
    for edge in view.parents(id).iter().filter(|edge| edge.kind != NeedKind::Context) {
        contexts.entry(edge.reference.context_name()).or_insert_with(|| target(edge.parent));
    }
    contexts
}

/// Returns a string in double quotes, with the escapes that JSON, YAML, and HCL have in common.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // Invisible characters above U+FFFF have no escape that all three formats accept.
            c if is_unseen(c) && c <= '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted.replace(COMMAND, "#\\u0023[")
}

/// Returns the relative path from a directory to a path.
fn relative(from: &RelPath, to: &RelPath) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (from.parts().collect(), to.parts().collect());
    let same = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", from.len() - same);
    up.chain(to[same..].iter().copied()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_is_found_from_its_context() {
        let check = |context: &str, dockerfile: &str, expected: &str| {
            let [context, dockerfile] = [context, dockerfile].map(|it| RelPath::new(it).unwrap());
            assert_eq!(relative(&context, &dockerfile), expected);
        };
        check("docker/base", "docker/base/Dockerfile", "Dockerfile");
        check(".", "docker/base/Dockerfile", "docker/base/Dockerfile");
        check("docker/base/src", "docker/base/Dockerfile", "../Dockerfile");
        check("src", "docker/base/Dockerfile", "../docker/base/Dockerfile");
    }

    #[test]
    fn names_are_short_as_buildkit_looks_them_up() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Reference::parse(text).unwrap().context_name(), expected);
        };
        check("docker.io/acme/shop-base:latest", "acme/shop-base");
        check("acme/shop-base", "acme/shop-base");
        check("library/ros:noetic", "ros:noetic");
        check("localhost:5000/x", "localhost:5000/x");
    }
}
