//! Builds that Compose files describe.
//!
//! Owns the parts of the Compose specification that decide what is built: the build section and the image name of
//! services, overrides, `extends`, `include`, and interpolation from `.env`.

use std::collections::{BTreeMap, HashSet};

use crate::base::RelPath;

use super::expand::expand;
use super::partial::PartialText;
use super::yaml::{self, YamlNode};
use super::{
    BuildFileReader, BuildOrigin, ContextSource, DescribedBuild, known_texts, known_values,
    named_context,
};

/// The names of the file that Compose reads by default.
const MAIN_NAMES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// The names of the file that Compose merges into the default file.
const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// How many `extends` or `include` follow each other at most.
const MAX_CHAIN: usize = 50;

/// Returns whether a file name is one that Compose files have.
fn is_compose_file(name: &str) -> bool {
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
    let stem = stem.map(|stem| stem.strip_prefix("docker-").unwrap_or(stem));
    let rest =
        stem.and_then(|stem| stem.strip_prefix("podman-").unwrap_or(stem).strip_prefix("compose"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
}

/// A service with what decides its build. Values are interpolated.
#[derive(Debug, Clone)]
struct ComposeService {
    origin: BuildOrigin,
    image: Option<PartialText>,
    platform: Option<PartialText>,
    build: Option<ComposeBuild>,
    /// The file, if it is another one, and the service that this one extends.
    extends: Option<(Option<PartialText>, PartialText)>,
}

#[derive(Debug, Clone, Default)]
struct ComposeBuild {
    context: Option<ContextSource>,
    dockerfile: Option<PartialText>,
    is_inline: bool,
    target: Option<PartialText>,
    args: BTreeMap<String, PartialText>,
    contexts: BTreeMap<String, String>,
    platforms: Vec<PartialText>,
    tags: Vec<PartialText>,
}

type ComposeServices = BTreeMap<String, ComposeService>;

/// Reads all Compose files of a list.
pub(super) fn read(reader: &mut BuildFileReader<'_>, files: &[RelPath]) {
    let mut compose = ComposeReader { reader, files: BTreeMap::new(), read: HashSet::new() };
    for file in files {
        let name = file.file_name().unwrap_or_default();
        if is_compose_file(name) && !OVERRIDE_NAMES.contains(&name) {
            compose.project(file, 0);
        }
    }
}

struct ComposeReader<'a, 'root> {
    reader: &'a mut BuildFileReader<'root>,
    /// The services of each file that was parsed, and the files that it includes.
    files: BTreeMap<RelPath, (ComposeServices, Vec<RelPath>)>,
    /// The files whose builds were added.
    read: HashSet<RelPath>,
}

impl ComposeReader<'_, '_> {
    /// Adds the builds of a file, with its override, and of the files that it includes.
    fn project(&mut self, file: &RelPath, depth: usize) {
        if !self.read.insert(file.clone()) {
            return;
        }
        let mut services = self.services(file);
        let is_main =
            |file: &RelPath| file.file_name().is_some_and(|name| MAIN_NAMES.contains(&name));
        let siblings = |names: [&str; 4]| names.map(|name| file.parent().join(name));
        let existing = |this: &Self, names| {
            let paths = siblings(names).into_iter().flatten();
            paths.into_iter().find(|path| this.reader.is_file(path))
        };
        if is_main(file) {
            if let Some(path) = existing(self, OVERRIDE_NAMES) {
                services = merge_services(services, self.services(&path));
            }
        } else if let Some(path) = existing(self, MAIN_NAMES) {
            services = complete_services(services, &self.services(&path));
        }
        for name in services.keys() {
            if let Some(service) = self.resolve(file, name, &services, &mut Vec::new()) {
                self.add(name, service);
            }
        }
        let included = self.files.get(file).map(|(_, included)| included.clone());
        for path in included.unwrap_or_default() {
            if depth >= MAX_CHAIN {
                self.reader.report(file, 1, "`include` is nested too deeply");
            } else if self.reader.is_file(&path) {
                self.project(&path, depth + 1);
            }
        }
    }

    /// Returns the services of a file. A file that cannot be read is reported once and has none.
    fn services(&mut self, file: &RelPath) -> ComposeServices {
        if let Some((services, _)) = self.files.get(file) {
            return services.clone();
        }
        let parsed = self.parse(file).unwrap_or_default();
        self.files.entry(file.clone()).or_insert(parsed).0.clone()
    }

    fn parse(&mut self, file: &RelPath) -> Option<(ComposeServices, Vec<RelPath>)> {
        let text = self.reader.read(file)?;
        let tree = match yaml::parse(&text) {
            Ok(tree) => tree,
            Err(problem) => {
                self.reader.report(file, problem.line, problem.message);
                return None;
            }
        };
        let directory = file.parent();
        let variables = self.variables(&directory);
        let values = ComposeValues { directory, variables };
        let services = tree.get("services").map(YamlNode::entries).unwrap_or_default();
        let services = services.iter().map(|entry| {
            let origin = BuildOrigin { file: file.clone(), line: entry.line };
            (entry.key.clone(), values.service(&entry.value, origin))
        });
        let services = services.collect();
        let included = tree.get("include").map(|node| values.included(node)).unwrap_or_default();
        Some((services, included))
    }

    /// Returns the variables of the `.env` file in a directory.
    fn variables(&mut self, directory: &RelPath) -> BTreeMap<String, String> {
        let Some(path) = directory.join(".env").filter(|path| self.reader.is_file(path)) else {
            return BTreeMap::new();
        };
        let text = self.reader.read(&path).unwrap_or_default();
        text.lines().filter_map(variable).collect()
    }

    /// Returns a service with what it extends. Returns `None` after reporting a cycle.
    fn resolve(
        &mut self,
        file: &RelPath,
        name: &str,
        services: &ComposeServices,
        chain: &mut Vec<(RelPath, String)>,
    ) -> Option<ComposeService> {
        let service = services.get(name)?.clone();
        let Some((other_file, other)) = &service.extends else { return Some(service) };
        let step = (file.clone(), name.to_owned());
        if chain.contains(&step) || chain.len() >= MAX_CHAIN {
            let message =
                format!("service `{name}` is not read: its `extends` is a cycle or too long");
            self.reader.report(&service.origin.file, service.origin.line, message);
            return None;
        }
        chain.push(step);
        let base = match (other_file, other.as_known()) {
            (_, None) => None,
            (None, Some(other)) => self.resolve(file, other, services, chain),
            (Some(path), Some(other)) => {
                let path = path.as_known().and_then(|path| service.origin.file.parent().join(path));
                let path = path.filter(|path| self.reader.is_file(path));
                path.and_then(|path| {
                    let services = self.services(&path);
                    self.resolve(&path, other, &services, chain)
                })
            }
        };
        Some(match base {
            Some(base) => merge_service(base, service),
            None => service,
        })
    }

    fn add(&mut self, name: &str, service: ComposeService) {
        let Some(build) = service.build.filter(|build| !build.is_inline) else { return };
        // A context in a URL has its own Dockerfile.
        let Some(ContextSource::Directory(context)) = build.context else { return };
        let path = build.dockerfile.as_ref().map(PartialText::as_known);
        let dockerfile = match path {
            Some(None) => None,
            Some(path @ Some(_)) => self.reader.dockerfile(&context, path),
            None => self.reader.dockerfile(&context, None),
        };
        let Some(dockerfile) = dockerfile else { return };
        let platforms = match build.platforms.as_slice() {
            [] => known_texts(service.platform.as_slice()),
            platforms => known_texts(platforms),
        };
        self.reader.add(DescribedBuild {
            origin: service.origin,
            name: Some(name.to_owned()),
            dockerfile,
            context: Some(context),
            target: build.target.as_ref().and_then(PartialText::as_known).map(str::to_owned),
            args: known_values(&build.args),
            references: service.image.into_iter().chain(build.tags).collect(),
            contexts: build.contexts,
            platforms,
            is_example: false,
        });
    }
}

/// What the values of a file depend on.
struct ComposeValues {
    directory: RelPath,
    variables: BTreeMap<String, String>,
}

impl ComposeValues {
    fn text(&self, text: &str) -> PartialText {
        expand(text, &|name| self.variables.get(name).map(|value| value.as_str().into()))
    }

    fn text_of(&self, node: &YamlNode, key: &str) -> Option<PartialText> {
        node.text_of(key).map(|text| self.text(text))
    }

    fn texts_of(&self, node: &YamlNode, key: &str) -> Vec<PartialText> {
        let texts = node.get(key).map(YamlNode::texts).unwrap_or_default();
        texts.into_iter().map(|text| self.text(text)).collect()
    }

    /// Returns the entries of a mapping, or of a list of `NAME=VALUE`. Values from the environment are left out.
    fn map_of(&self, node: &YamlNode, key: &str) -> BTreeMap<String, PartialText> {
        let Some(node) = node.get(key) else { return BTreeMap::new() };
        let entries = node.entries().iter();
        let entries = entries.filter_map(|entry| Some((entry.key.as_str(), entry.value.text()?)));
        let items = node.items().iter().filter_map(|item| item.text()?.split_once('='));
        entries.chain(items).map(|(name, value)| (name.to_owned(), self.text(value))).collect()
    }

    fn service(&self, node: &YamlNode, origin: BuildOrigin) -> ComposeService {
        let extends = node.get("extends").and_then(|node| match node.text() {
            Some(name) => Some((None, self.text(name))),
            None => Some((self.text_of(node, "file"), self.text_of(node, "service")?)),
        });
        ComposeService {
            origin,
            image: self.text_of(node, "image"),
            platform: self.text_of(node, "platform"),
            build: node.get("build").map(|build| self.build(build)),
            extends,
        }
    }

    fn build(&self, node: &YamlNode) -> ComposeBuild {
        let context = |text: PartialText| ContextSource::of(&text, &self.directory);
        if let Some(text) = node.text() {
            return ComposeBuild { context: Some(context(self.text(text))), ..Default::default() };
        }
        let contexts = self.map_of(node, "additional_contexts");
        let named = |(name, text): (String, PartialText)| {
            Some((name, named_context(&text, &self.directory)?))
        };
        ComposeBuild {
            context: self.text_of(node, "context").map(context),
            dockerfile: self.text_of(node, "dockerfile"),
            is_inline: node.get("dockerfile_inline").is_some(),
            target: self.text_of(node, "target"),
            args: self.map_of(node, "args"),
            contexts: contexts.into_iter().filter_map(named).collect(),
            platforms: self.texts_of(node, "platforms"),
            tags: self.texts_of(node, "tags"),
        }
    }

    /// Returns the files that a file includes.
    fn included(&self, node: &YamlNode) -> Vec<RelPath> {
        let mut paths = Vec::new();
        for item in node.items() {
            let texts = match item.text() {
                Some(text) => vec![self.text(text)],
                None => self.texts_of(item, "path"),
            };
            let known = texts.iter().filter_map(PartialText::as_known);
            paths.extend(known.filter_map(|path| self.directory.join(path)));
        }
        paths
    }
}

/// Returns the variable that a line of a `.env` file sets.
fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    let value = value.trim();
    let quoted = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.split_once(*quote).map(|(inside, _)| inside));
    let plain = || value.split(" #").next().unwrap_or_default().trim_end();
    Some((name.trim().to_owned(), quoted.unwrap_or_else(plain).to_owned()))
}

fn merge_services(mut base: ComposeServices, over: ComposeServices) -> ComposeServices {
    for (name, service) in over {
        let merged = match base.remove(&name) {
            Some(below) => merge_service(below, service),
            None => service,
        };
        base.insert(name, merged);
    }
    base
}

/// Completes the services of a file that is used together with the main file: those with a build without a context.
fn complete_services(services: ComposeServices, main: &ComposeServices) -> ComposeServices {
    let complete = |(name, service): (String, ComposeService)| {
        let is_part = service.build.as_ref().is_some_and(|build| build.context.is_none());
        let below = main.get(&name).filter(|_| is_part).cloned();
        let service = match below {
            Some(below) => merge_service(below, service),
            None => service,
        };
        (name, service)
    };
    services.into_iter().map(complete).collect()
}

fn merge_service(base: ComposeService, over: ComposeService) -> ComposeService {
    let build = match (base.build, over.build) {
        (Some(base), Some(over)) => Some(merge_build(base, over)),
        (base, over) => over.or(base),
    };
    ComposeService {
        origin: over.origin,
        image: over.image.or(base.image),
        platform: over.platform.or(base.platform),
        build,
        extends: over.extends.or(base.extends),
    }
}

fn merge_build(mut base: ComposeBuild, over: ComposeBuild) -> ComposeBuild {
    base.args.extend(over.args);
    base.contexts.extend(over.contexts);
    base.platforms.extend(over.platforms);
    base.tags.extend(over.tags);
    ComposeBuild {
        context: over.context.or(base.context),
        dockerfile: over.dockerfile.or(base.dockerfile),
        is_inline: over.is_inline || base.is_inline,
        target: over.target.or(base.target),
        ..base
    }
}
