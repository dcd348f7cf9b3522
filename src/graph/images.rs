//! The images of a repository: one per Dockerfile, or one per target as configured in
//! `layers.toml`.
//!
//! Owns the derivation of images without edges from files and settings. `[image.NAME]` takes
//! precedence over the group, and the group over the settings for all images. `link` adds the
//! edges.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Diagnostic, RelPath, Rule, Source, Span};
use crate::engine::Sandbox;
use crate::scan::config::{ConfigFile, OneOrMore, Setting, Template};
use crate::scan::groups::FoundDockerfile;

use super::naming::{NameOrigin, NamingSettings, ReferencePattern, as_app};
use super::reference::Reference;

mod level;
mod options;
pub mod templates;
mod values;

use level::ConfigLevel;
use values::Values;

/// A position in a file.
pub type FilePosition = (Source, Span);

/// An image whose Dockerfile has not been read yet.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The name.
    pub name: String,
    /// The path of the Dockerfile.
    pub dockerfile: RelPath,
    /// The directory of the build context.
    pub context: RelPath,
    /// The stage to build, if it is configured.
    pub target: Option<String>,
    /// The configured references, if any.
    pub references: Vec<ReferencePattern>,
    /// The build arguments from the configuration.
    pub args: BTreeMap<String, String>,
    /// The named contexts from the configuration.
    pub contexts: Vec<NamedContext>,
    /// The labels from the configuration.
    pub labels: BTreeMap<String, String>,
    /// What its `RUN` instructions run in, from the configuration.
    pub sandbox: Sandbox,
    /// The number of slots that its build takes.
    pub weight: usize,
    /// Whether a release moves its tags.
    pub is_released: bool,
    /// Whether its Dockerfile cannot be read: then what it depends on is unknown.
    pub is_unreadable: bool,
    /// The positions of its settings in the configuration.
    pub spans: SettingSpans,
}

/// A named context from the configuration.
#[derive(Debug, Clone)]
pub struct NamedContext {
    /// The name that a `FROM` or `--from` uses.
    pub name: String,
    /// The name or reference of an image, a directory, or a URL.
    pub value: String,
    /// Whether a directory with that path exists.
    pub is_directory: bool,
    /// The position of the setting; `None` if it is from the command line.
    pub spot: Option<FilePosition>,
}

/// The positions of an image's settings; `None` for those that are not set.
#[derive(Debug, Clone, Default)]
pub struct SettingSpans {
    /// The position of the name.
    pub name: Option<FilePosition>,
    /// The position of the Dockerfile's path.
    pub dockerfile: Option<FilePosition>,
    /// The position of the context.
    pub context: Option<FilePosition>,
    /// The position of the target.
    pub target: Option<FilePosition>,
    /// The position of the network.
    pub network: Option<FilePosition>,
}

impl Candidate {
    /// Returns an image with default settings. Its context is the directory of its Dockerfile.
    pub fn new(name: impl Into<String>, dockerfile: RelPath) -> Candidate {
        Candidate {
            name: name.into(),
            context: dockerfile.parent(),
            dockerfile,
            target: None,
            references: Vec::new(),
            args: BTreeMap::new(),
            contexts: Vec::new(),
            labels: BTreeMap::new(),
            sandbox: Sandbox::default(),
            weight: 1,
            is_released: true,
            is_unreadable: false,
            spans: SettingSpans::default(),
        }
    }
}

/// Returns the images of the Dockerfiles `found`, sorted by name. `naming` provides `{namespace}`,
/// `{app}`, `{version}`, and the name of an image whose Dockerfile is in the root directory.
pub fn collect(
    found: &[FoundDockerfile],
    file: &ConfigFile,
    naming: &NamingSettings,
) -> (Vec<Candidate>, Vec<Diagnostic>) {
    let mut collector = Collector {
        found,
        proposal: OnceCell::new(),
        file,
        naming,
        images: BTreeMap::new(),
        used: BTreeSet::new(),
        problems: Vec::new(),
    };
    for found in found {
        collector.add_found(found);
    }
    collector.add_configured();
    (collector.images.into_values().collect(), collector.problems)
}

/// An image whose settings are collected but not evaluated yet.
#[derive(Clone)]
struct ImageDraft<'a> {
    path: RelPath,
    captures: &'a BTreeMap<String, String>,
    /// The settings from the most general to the most specific level.
    layers: Vec<ConfigLevel<'a>>,
    spans: SettingSpans,
}

impl<'a> ImageDraft<'a> {
    fn last<T>(&self, of: impl Fn(&ConfigLevel<'a>) -> Option<T>) -> Option<T> {
        self.layers.iter().rev().find_map(of)
    }
}

struct Collector<'a> {
    found: &'a [FoundDockerfile],
    /// The template that would give each Dockerfile a unique name, computed on first use.
    proposal: OnceCell<Option<&'static str>>,
    file: &'a ConfigFile,
    naming: &'a NamingSettings,
    images: BTreeMap<String, Candidate>,
    /// The `[image.NAME]` sections that were applied.
    used: BTreeSet<&'a str>,
    problems: Vec<Diagnostic>,
}

static NO_CAPTURES: BTreeMap<String, String> = BTreeMap::new();

impl<'a> Collector<'a> {
    fn add_found(&mut self, found: &'a FoundDockerfile) {
        let mut draft = ImageDraft {
            path: found.path.clone(),
            captures: &found.captures,
            layers: vec![ConfigLevel::of_all(&self.file.config)],
            spans: SettingSpans::default(),
        };
        if let Some(group) = found.group.and_then(|at| self.file.config.group.get(at)) {
            draft.layers.push(ConfigLevel::of_group(group.get_ref()));
        }
        let template = draft.last(|layer| layer.name);
        draft.spans.name = template.map(|setting| self.spot(setting));
        if template.is_some_and(|name| Template::parse(name.get_ref()).mentions("target")) {
            // The template includes the target, so no target is appended to the name.
            let targets = targets_of(&draft);
            if targets.is_empty() {
                let Some(name) = self.name(&draft, None) else { return };
                self.add(&name, draft, true);
                return;
            }
            for target in targets {
                let Some(name) = self.name(&draft, Some(target)) else { return };
                let mut draft = draft.clone();
                draft.layers.push(ConfigLevel { target: Some(target), ..ConfigLevel::default() });
                self.add(&name, draft, true);
            }
        } else if let Some(name) = self.name(&draft, None) {
            self.add(&name, draft, false);
        }
    }

    /// Adds the images that only the configuration defines, and reports sections for images that do
    /// not exist.
    fn add_configured(&mut self) {
        for (name, config) in &self.file.config.image {
            if self.used.contains(name.get_ref().as_str()) {
                continue;
            }
            let Some(dockerfile) = &config.dockerfile else {
                // The section can be for a target of an image that is added later.
                continue;
            };
            let Some(path) = self.relative(ConfigFile::spanned(dockerfile)) else { continue };
            let draft = ImageDraft {
                path,
                captures: &NO_CAPTURES,
                layers: vec![ConfigLevel { name: None, ..ConfigLevel::of_all(&self.file.config) }],
                spans: SettingSpans { name: Some(self.spot(name)), ..SettingSpans::default() },
            };
            self.add(name.get_ref(), draft, false);
        }
        for name in self.file.config.image.keys() {
            if !self.used.contains(name.get_ref().as_str()) {
                self.problems.push(describe_unknown(self.file, name, self.images.keys()));
            }
        }
    }

    /// Adds the image with this name, or one image per target.
    fn add(&mut self, name: &str, mut draft: ImageDraft<'a>, is_target: bool) {
        self.heed(name, &mut draft);
        let targets = if is_target { &[] } else { targets_of(&draft) };
        if let ([first, ..], Some(target)) = (targets, draft.last(|layer| layer.target)) {
            let message = "`target` and `targets` can't both be set";
            let problem = Diagnostic::new(Rule::Config, message)
                .at(&self.file.source, ConfigFile::span(target), "")
                .at(&self.file.source, ConfigFile::span(first), "")
                .hint("remove one of them");
            self.problems.push(problem);
            return;
        }
        if targets.is_empty() {
            self.finish(name, &draft);
        }
        for target in targets {
            let mut draft = draft.clone();
            draft.layers.push(ConfigLevel { target: Some(target), ..ConfigLevel::default() });
            draft.spans.name = Some(self.spot(target));
            let name = format!("{name}-{}", target.get_ref());
            self.heed(&name, &mut draft);
            self.finish(&name, &draft);
        }
    }

    /// Applies the settings of `[image.NAME]`.
    fn heed(&mut self, name: &str, draft: &mut ImageDraft<'a>) {
        let file = self.file;
        let Some((key, config)) = file.config.image.get_key_value(name) else { return };
        self.used.insert(key.get_ref());
        draft.layers.push(ConfigLevel::of_image(config));
        if let Some(dockerfile) = &config.dockerfile
            && let Some(path) = self.relative(ConfigFile::spanned(dockerfile))
        {
            draft.path = path;
            draft.spans.dockerfile = Some(self.spot(dockerfile));
        }
    }

    fn finish(&mut self, name: &str, draft: &ImageDraft<'a>) {
        if let Some(first) = self.images.get(name) {
            let problem = describe_double(name, first, draft, self.proposal_for(draft));
            self.problems.push(problem);
            return;
        }
        let candidate = self.candidate(name, draft);
        self.images.insert(name.to_owned(), candidate);
    }

    /// Returns the template that distinguishes the Dockerfile of a draft from all others, if there
    /// is one.
    fn proposal_for(&self, draft: &ImageDraft<'a>) -> Option<&'static str> {
        // A group's own template would take precedence, and an image defined only in the
        // configuration has no template.
        let is_free = draft.layers.iter().skip(1).all(|layer| layer.name.is_none())
            && self.found.binary_search_by(|it| it.path.cmp(&draft.path)).is_ok();
        let find = || {
            let paths: Vec<&RelPath> = self.found.iter().map(|found| &found.path).collect();
            templates::shortest(&paths, &self.naming.directory)
        };
        if is_free { *self.proposal.get_or_init(find) } else { None }
    }

    fn candidate(&mut self, name: &str, draft: &ImageDraft<'a>) -> Candidate {
        let mut image = Candidate::new(name, draft.path.clone());
        image.spans = draft.spans.clone();
        let target = draft.last(|layer| layer.target);
        let mut values = self.values(draft, target);
        image.target = target.and_then(|target| {
            image.spans.target = Some(self.spot(target));
            self.fill(ConfigFile::spanned(target), &values)
        });
        values.target = image.target.as_deref();
        values.name = Some(name);
        if let Some(context) = draft.last(|layer| layer.context) {
            let path = self.fill(ConfigFile::spanned(context), &values);
            let span = ConfigFile::span(context);
            image.spans.context = Some(self.spot(context));
            if let Some(path) = path.and_then(|path| self.relative((&path, span))) {
                image.context = path;
            }
        }
        let references = draft.last(|layer| layer.reference).map_or(&[][..], OneOrMore::settings);
        image.references = self.references(references, &values);
        for (name, value) in draft.layers.iter().filter_map(|layer| layer.args).flatten() {
            let text = value.get_ref().to_string();
            if let Some(text) = self.fill((&text, ConfigFile::span(value)), &values) {
                image.args.insert(name.clone(), text);
            }
        }
        image.contexts = self.contexts(draft, &values);
        image.labels = self.labels(draft, &values);
        image.sandbox = self.sandbox(draft, &mut image.spans);
        image.weight = draft.last(|layer| layer.weight).map_or(1, |it| usize::from(it.get()));
        image.is_released = draft.last(|layer| layer.push).unwrap_or(true);
        image
    }

    /// Returns the named contexts under the names by which BuildKit looks them up. The most
    /// specific setting takes precedence, and each level can name a context only once.
    fn contexts(&mut self, draft: &ImageDraft<'a>, values: &Values<'_>) -> Vec<NamedContext> {
        let mut contexts = BTreeMap::new();
        for layer in draft.layers.iter().filter_map(|layer| layer.contexts) {
            let mut named: BTreeMap<String, &str> = BTreeMap::new();
            for (written, value) in layer {
                let (spot, span) = (self.spot(value), ConfigFile::span(value));
                let Some(name) = Reference::context_key(written) else {
                    let message = format!("`{written}` is not a valid context name");
                    self.report(message, span, "use the name of a stage or an image");
                    continue;
                };
                if let Some(first) = named.insert(name.clone(), written) {
                    let message = format!("`{first}` and `{written}` name the same context");
                    self.report(message, span, "remove one of them");
                }
                if let Some(value) = self.fill(ConfigFile::spanned(value), values) {
                    let (spot, is_directory) = (Some(spot), false);
                    let context = NamedContext { name: name.clone(), value, is_directory, spot };
                    contexts.insert(name, context);
                }
            }
        }
        contexts.into_values().collect()
    }

    /// Returns the references, in which the namespace and the app may be inferred later. A template
    /// with `{version}` results in one reference per version.
    fn references(&mut self, settings: &[Setting], values: &Values<'_>) -> Vec<ReferencePattern> {
        let mut patterns: Vec<ReferencePattern> = Vec::new();
        let naming = self.naming;
        for setting in settings {
            let has_version = Template::parse(setting.get_ref()).mentions("version");
            let versions = naming.versions.iter().filter(|_| has_version);
            let mut versions: Vec<_> = versions.map(|it| Some(it.value.as_str())).collect();
            if versions.is_empty() {
                versions.push(None);
            }
            for version in versions {
                let values = Values { leaves_names_open: true, version, ..values.clone() };
                let Some(text) = self.fill(ConfigFile::spanned(setting), &values) else { break };
                let spot = self.spot(setting);
                let origin = NameOrigin::Config(spot.0.location(spot.1));
                // A capture named `version` has the same value for all versions.
                if patterns.iter().all(|pattern| pattern.text != text) {
                    patterns.push(ReferencePattern { text, origin, spot: Some(spot), has_version });
                }
            }
        }
        patterns
    }

    fn name(&mut self, draft: &ImageDraft<'a>, target: Option<&Setting>) -> Option<String> {
        let values = Values { is_name: true, ..self.values(draft, target) };
        match draft.last(|layer| layer.name) {
            Some(template) => self.fill(ConfigFile::spanned(template), &values),
            None => Some(values.usual_name()),
        }
    }

    fn values<'v>(&self, draft: &'v ImageDraft<'a>, target: Option<&'v Setting>) -> Values<'v> {
        let target = target.map(|target| target.get_ref().as_str());
        Values::new(&draft.path, draft.captures, target, self.naming)
    }

    fn fill(&mut self, template: (&str, Span), values: &Values<'_>) -> Option<String> {
        if !template.0.contains('{') {
            return Some(template.0.to_owned());
        }
        match self.file.fill(template, values.captures, &|name| values.find(name)) {
            Ok(text) => Some(text),
            Err(problem) => {
                self.problems.push(*problem);
                None
            }
        }
    }

    fn relative(&mut self, (text, span): (&str, Span)) -> Option<RelPath> {
        let path = RelPath::new(text);
        if path.is_none() {
            let message = format!("`{text}` is outside the repository");
            self.report(message, span, "paths are relative to the directory of `layers.toml`");
        }
        path
    }

    fn report(&mut self, message: String, span: Span, hint: &str) {
        let problem = Diagnostic::new(Rule::Config, message).at(&self.file.source, span, "");
        self.problems.push(problem.hint(hint));
    }

    fn spot(&self, setting: &Setting) -> FilePosition {
        (self.file.source.clone(), ConfigFile::span(setting))
    }
}

/// Returns the most specific list of targets that is not empty.
fn targets_of<'a>(draft: &ImageDraft<'a>) -> &'a [Setting] {
    draft.last(|layer| Some(layer.targets).filter(|it| !it.is_empty())).unwrap_or_default()
}

fn describe_double(
    name: &str,
    first: &Candidate,
    second: &ImageDraft<'_>,
    proposal: Option<&str>,
) -> Diagnostic {
    let empty = |path: &RelPath| Source::new(path.clone(), "");
    let mut problem =
        Diagnostic::new(Rule::DuplicateImage, format!("two images are named `{name}`"))
            .at(&empty(&first.dockerfile), Span::default(), "")
            .at(&empty(&second.path), Span::default(), "");
    if let Some((source, span)) = &second.spans.name {
        problem = problem.at(source, *span, "named here");
    }
    if first.dockerfile == second.path {
        return problem.hint("give each target a unique name");
    }
    let path = &second.path;
    let problem = problem.note(format!("`{}` and `{path}` get the same name", first.dockerfile));
    match proposal {
        Some(template) => problem.hint(format!(
            "set `name = \"{template}\"` in `layers.toml`, or leave one out with `exclude`"
        )),
        None => problem.hint(format!(
            "add `{path}` to `exclude` in `layers.toml`; to build it under another name, add \
             `[image.{}]` with `dockerfile = \"{path}\"`",
            super::toml_key(&as_app(path.as_str()))
        )),
    }
}

fn describe_unknown<'a>(
    file: &ConfigFile,
    name: &Setting,
    images: impl Iterator<Item = &'a String>,
) -> Diagnostic {
    let problem = Diagnostic::new(Rule::Config, format!("image `{}` not found", name.get_ref()))
        .at(&file.source, ConfigFile::span(name), "");
    match crate::base::text::closest(name.get_ref(), images.map(String::as_str)) {
        Some(closest) => problem.hint(format!("did you mean `{closest}`?")),
        None => problem.hint("set its `dockerfile`, or run `layers list` to see all images"),
    }
}

#[cfg(test)]
mod tests;
