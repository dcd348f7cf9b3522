//! The parts of names that come from outside the Dockerfiles: from options, the environment, and `layers.toml`.
//!
//! Owns which of them takes precedence, and whether a value can be part of a reference at all. A bad value is reported
//! where it was given: no Dockerfile is the cause.

use crate::base::error::usage;
use crate::base::{Diagnostic, Rule, Span};
use crate::cli::GlobalArgs;
use crate::graph::naming::{NameOrigin, NamePart, NamingSettings};
use crate::graph::reference::Reference;
use crate::scan::config::{ConfigFile, OneOrMore, Setting, Template};
use crate::scan::git::Head;

use super::environment::Environment;
use super::tags::{self, Tags};

/// The template of references if none is set.
const DEFAULT_TEMPLATE: &str = "{namespace}/{app}-{name}";

/// Reads the parts of names: from the command line, or else the environment, or else `layers.toml`. A bad value in
/// `layers.toml` is a diagnostic. Without a `head`, tags that are named after it are omitted.
///
/// # Errors
/// Returns an error if an option or a variable has a value that cannot be part of a reference.
pub fn read(
    global: &GlobalArgs,
    env: &Environment,
    file: &ConfigFile,
    directory: String,
    head: Option<&Head>,
) -> anyhow::Result<(NamingSettings, Vec<Diagnostic>)> {
    let option = |value: &Option<String>, option| {
        value.clone().map(|value| NamePart { value, origin: NameOrigin::CommandLine(option) })
    };
    let config = &file.config;
    let namespace =
        option(&global.namespace, "--namespace").or_else(|| env.first_set(&["REPO_NS"]));
    let app = option(&global.app, "--app").or_else(|| env.first_set(&["IMAGE_NAME", "APP_NAME"]));
    let Tags { tags, has_release, problems } = tags::read(global, env, file, head)?;
    let mut reader = NameReader { file, problems };
    let naming = NamingSettings {
        namespace: reader.check(namespace, config.namespace.as_ref(), "namespace")?,
        app: reader.check(app, config.app.as_ref(), "app")?,
        versions: tags,
        moves_latest: config.latest.is_moved(has_release),
        directory,
    };
    Ok((naming, reader.problems))
}

struct NameReader<'a> {
    file: &'a ConfigFile,
    problems: Vec<Diagnostic>,
}

impl NameReader<'_> {
    /// Returns the value from the command line or the environment, or else that of the setting.
    fn check(
        &mut self,
        part: Option<NamePart>,
        setting: Option<&Setting>,
        placeholder: &str,
    ) -> anyhow::Result<Option<NamePart>> {
        let (what, hint) = match placeholder {
            "namespace" => {
                ("a valid namespace", "write it as `acme` or `registry.example:5000/acme`")
            }
            _ => (
                "a valid part of an image name",
                "use lowercase letters and digits, separated by `-`, `_`, or `.`",
            ),
        };
        if let Some(part) = part {
            if !fits(self.file, placeholder, &part.value) {
                let (value, cause) = (&part.value, part.origin.cause());
                return Err(usage(format!("{cause} is `{value}`, which is not {what}"))
                    .hint(hint)
                    .into());
            }
            return Ok(Some(part));
        }
        let Some(setting) = setting else { return Ok(None) };
        let span: Span = ConfigFile::span(setting);
        let value = setting.get_ref().clone();
        if !fits(self.file, placeholder, &value) {
            let problem = Diagnostic::new(Rule::InvalidName, format!("`{value}` is not {what}"));
            self.problems.push(problem.at(&self.file.source, span, "").hint(hint));
        }
        let origin = NameOrigin::Config(self.file.source.location(span));
        Ok(Some(NamePart { value, origin }))
    }
}

/// Returns whether a value can replace a placeholder in any template of references that has it.
fn fits(file: &ConfigFile, placeholder: &str, value: &str) -> bool {
    let is_valid = |template: &Template<'_>, value: &str| {
        let fill = |name: &str| Ok(if name == placeholder { value } else { "x" }.to_owned());
        template.fill(&fill).is_ok_and(|text| Reference::parse(&text).is_ok())
    };
    // Problems of a template itself are reported elsewhere.
    let mut templates = templates(file)
        .into_iter()
        .map(Template::parse)
        .filter(|template| template.mentions(placeholder) && is_valid(template, "x"))
        .peekable();
    templates.peek().is_none() || templates.any(|template| is_valid(&template, value))
}

/// Returns whether a reference in `layers.toml` contains the version.
pub fn has_version(file: &ConfigFile) -> bool {
    templates(file).into_iter().any(|template| Template::parse(template).mentions("version"))
}

fn templates(file: &ConfigFile) -> Vec<&str> {
    let config = &file.config;
    let groups = config.group.iter().filter_map(|group| group.get_ref().reference.as_ref());
    let images = config.image.values().filter_map(|image| image.reference.as_ref());
    let set = groups.chain(images).chain(&config.reference).flat_map(OneOrMore::settings);
    let default = config.reference.is_none().then_some(DEFAULT_TEMPLATE);
    set.map(|setting| setting.get_ref().as_str()).chain(default).collect()
}
