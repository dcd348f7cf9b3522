//! What files that let other programs build the graph have in common.
//!
//! Owns the way from an image to what `docker buildx bake` and `docker compose` call a target and a
//! service: names that they take, paths as they mean them, and for every reference by which a
//! Dockerfile names a sibling the target that stands for it. How that is written is for each format.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::screen::{COMMAND, is_unseen};
use crate::base::{ImageId, Platform, RelPath};
use crate::engine::Attestations;
use crate::graph::Image;
use crate::graph::evaluate::{NeedKind, SecretKind};
use crate::graph::reference::Reference;
use crate::scan::config::{SecretSource, Secrets};

use super::View;

/// What is said beside the graph.
pub struct Recipe<'a> {
    /// The command line that makes the file.
    pub command: String,
    /// The platform to build for, where one is asked for.
    pub platform: Option<&'a Platform>,
    /// What is attested of each image.
    pub attestations: &'a Attestations,
    /// Where secrets come from.
    pub secrets: &'a Secrets,
    /// The ssh agents, as `--ssh` names them.
    pub ssh: Vec<&'a str>,
}

/// An image as another program builds it.
pub(super) struct Target<'a> {
    /// What that program calls it.
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
    /// What stands for the names that its Dockerfile uses.
    pub contexts: BTreeMap<String, String>,
    /// The secrets that it mounts, as far as they are configured.
    pub secrets: Vec<(&'a str, &'a SecretSource)>,
    /// The agents likewise.
    pub ssh: Vec<&'a str>,
}

impl Recipe<'_> {
    /// The comment that opens a file of that name, for a program that is run by hand.
    pub(super) fn header(&self, file: &str, run: &str) -> String {
        let origin = self.origin(file);
        format!("{origin}# Paths begin at the root of the repository: run `{run}` there.\n\n")
    }

    /// The lines of a comment that say what made a file of that name.
    pub(super) fn origin(&self, file: &str) -> String {
        let command = &self.command;
        format!(
            "# Made by `{command}`: change the Dockerfiles, not this.\n\
             # `{command} --check --output {file}` fails where it is out of date.\n"
        )
    }

    /// All images of a view; `names` gives what each is called, and `scheme` is put before a name that stands for
    /// a context.
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

    /// The secrets that an image mounts, as far as they are configured.
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

/// How a program spells names.
pub(super) struct Spelling<'a> {
    /// The letters that it takes.
    pub is_allowed: fn(char) -> bool,
    /// Names that mean something else to it.
    pub reserved: &'a [&'a str],
    /// What all names begin with.
    pub prefix: &'a str,
    /// How many letters a name has at most, the number of one that would be there twice left out.
    pub longest: usize,
    /// Whether names that differ by upper and lower case alone are the same to it.
    pub ignores_case: bool,
}

impl<'a> Spelling<'a> {
    /// Any number of these letters, upper and lower case apart.
    pub fn of(is_allowed: fn(char) -> bool, reserved: &'a [&'a str]) -> Spelling<'a> {
        Spelling { is_allowed, reserved, prefix: "", longest: usize::MAX, ignores_case: false }
    }

    /// The image's name itself, where it can be spelt.
    fn exact(&self, image: &str) -> Option<String> {
        let is_spelt = !image.is_empty() && image.chars().all(self.is_allowed);
        let name = format!("{}{image}", self.prefix);
        (is_spelt && name.len() <= self.longest && !self.reserved.contains(&name.as_str()))
            .then_some(name)
    }

    /// What comes nearest to it.
    fn nearest(&self, image: &str) -> String {
        let letters = image.chars().map(|c| if (self.is_allowed)(c) { c } else { '-' });
        self.prefix.chars().chain(letters).take(self.longest).collect()
    }

    /// What tells two names apart.
    fn mark(&self, name: &str) -> String {
        if self.ignores_case { name.to_lowercase() } else { name.to_owned() }
    }
}

/// Names for all images of a view as a program spells them; letters that it does not take become `-`.
/// An image keeps its name where that can be, whatever becomes of others.
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
    // Where the search for a free number of a name goes on.
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

/// What stands for the names that a Dockerfile uses: its own named contexts, then every reference
/// that means a sibling. BuildKit looks names up in their short form, whatever the Dockerfile writes.
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

/// A string in double quotes, in the escapes that JSON, YAML and HCL have in common.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            // What is not seen beyond these has no escape that all three take.
            c if is_unseen(c) && c <= '\u{ffff}' => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted.replace(COMMAND, "#\\u0023[")
}

/// The way from a folder to a path.
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
