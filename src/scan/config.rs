//! `layers.toml`: what a repository says where inference is not enough.
//!
//! Owns the file's shape and its errors. It resolves nothing: what a setting means is the
//! business of the room that uses it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::num::NonZeroU16;
use std::path::Path;
use std::{fmt, fs};

use anyhow::Context;
use serde::Deserialize;

use crate::base::{Diagnostic, RelPath, Rule, Source, Span, text};

mod one_or_more;
mod push;
mod secrets;
mod template;

pub use one_or_more::OneOrMore;
pub use push::Push;
pub use secrets::{SecretSource, Secrets};
pub use template::{BUILT_IN, Filled, OF_GIT, Template, Unfilled};

/// The file's name, at the repository's root.
pub const FILE_NAME: &str = "layers.toml";

/// A setting and where it is written.
pub type Setting = toml::Spanned<String>;

/// Build arguments by name.
pub type Args = BTreeMap<String, toml::Spanned<Value>>;

/// Named contexts: what a `FROM` or `--from` calls it, and what it stands for.
pub type Contexts = BTreeMap<String, Setting>;

/// All that `layers.toml` can say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// What comes before the app in references, such as `acme` or `registry.example:5000/acme`.
    pub namespace: Option<Setting>,
    /// What all images of the repository are called after.
    pub app: Option<Setting>,
    /// The tags that every built image gets beside its usual one.
    pub version: Option<OneOrMore>,
    /// How an image's name is made of its Dockerfile's path.
    pub name: Option<Setting>,
    /// How references are made of `{namespace}`, `{app}`, `{name}` and parts of the path.
    pub reference: Option<OneOrMore>,
    /// The context of all images.
    pub context: Option<Setting>,
    /// Globs of Dockerfiles, relative to the root.
    pub dockerfiles: Option<Vec<Setting>>,
    /// Globs of Dockerfiles that are no images.
    pub exclude: Vec<Setting>,
    /// The platform to build for.
    pub platform: Option<Setting>,
    /// The registry through which images are shared, such as `ghcr.io/acme`.
    pub registry: Option<Setting>,
    /// Whether builds put their images into the registry.
    pub push: Push,
    /// Registries that are spoken to without TLS, beside those on this machine.
    pub insecure_registries: Vec<Setting>,
    /// Whether images get an SBOM, and how it is made.
    pub sbom: Option<toml::Spanned<Value>>,
    /// Whether the engine attests what images were built of, and how much.
    pub provenance: Option<toml::Spanned<Value>>,
    /// Build arguments of all images.
    pub args: Args,
    /// Named contexts of all images.
    pub contexts: Contexts,
    /// Secrets that builds may ask for.
    pub secrets: Secrets,
    /// Ssh agents that builds may ask for, as `--ssh` names them.
    pub ssh: Vec<Setting>,
    /// Dockerfiles that are described together.
    pub group: Vec<toml::Spanned<Group>>,
    /// Settings of single images by name.
    pub image: BTreeMap<toml::Spanned<String>, ImageConfig>,
    /// What `layers` keeps quiet about.
    pub check: CheckConfig,
}

/// What `[check]` can say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CheckConfig {
    /// Codes of warnings that are not told.
    pub skip: Vec<Setting>,
    /// The oldest version of Docker's frontend that is to read these Dockerfiles, such as `1.4`.
    pub frontend: Option<Setting>,
}

/// What `[[group]]` can say of the Dockerfiles that it finds. What it leaves out is as for all.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// Globs of Dockerfiles, relative to the root.
    pub dockerfiles: Vec<Setting>,
    /// A regular expression that must match a Dockerfile's whole path; its named captures are
    /// parts of the path.
    pub pattern: Option<Setting>,
    /// Globs of Dockerfiles that the group leaves alone.
    pub exclude: Vec<Setting>,
    /// How the names are made.
    pub name: Option<Setting>,
    /// How the references are made.
    pub reference: Option<OneOrMore>,
    /// The context.
    pub context: Option<Setting>,
    /// The stage to build.
    pub target: Option<Setting>,
    /// Stages that are an image each.
    pub targets: Vec<Setting>,
    /// Build arguments; they win over those of all.
    pub args: Args,
    /// Named contexts; they win over those of all.
    pub contexts: Contexts,
    /// How many of a run's places its builds take, so that two that need much memory are not
    /// built at once.
    pub weight: Option<NonZeroU16>,
}

/// What `[image.NAME]` can say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ImageConfig {
    /// The Dockerfile, relative to the root; names an image that no glob finds.
    pub dockerfile: Option<Setting>,
    /// The context, relative to the root.
    pub context: Option<Setting>,
    /// The stage to build.
    pub target: Option<Setting>,
    /// Stages that are an image each, in place of this one.
    pub targets: Vec<Setting>,
    /// Its whole references, tags included where there are some.
    pub reference: Option<OneOrMore>,
    /// Build arguments of this image; they win over those of its group and of all.
    pub args: Args,
    /// Named contexts of this image; they win over those of its group and of all.
    pub contexts: Contexts,
    /// How many of a run's places its builds take, so that two that need much memory are not
    /// built at once.
    pub weight: Option<NonZeroU16>,
}

/// A build argument's value: text, or a number or truth value that is taken as text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
}

/// As the text that a build gets.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Integer(number) => number.fmt(f),
            Value::Float(number) => number.fmt(f),
            Value::Boolean(truth) => truth.fmt(f),
        }
    }
}

/// The configuration with the file it came from, so that settings can be pointed at.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// The file; empty where there is none.
    pub source: Source,
    /// What it says; all defaults where there is none or it can't be read.
    pub config: Config,
}

impl ConfigFile {
    /// The globs that are looked for outside of groups: those that are set, or `default` where
    /// there are no groups either.
    pub fn globs<'a>(&'a self, default: &[&'a str]) -> Vec<&'a str> {
        match &self.config.dockerfiles {
            Some(globs) => globs.iter().map(|glob| glob.get_ref().as_str()).collect(),
            None if self.config.group.is_empty() => default.to_vec(),
            None => Vec::new(),
        }
    }

    /// The span of a setting in the file.
    pub fn span<T>(setting: &toml::Spanned<T>) -> Span {
        let range = setting.span();
        Span::new(range.start, range.end)
    }
}

/// Reads `layers.toml` at `root`; a missing file says nothing.
///
/// # Errors
/// Where the file is there and can't be read. A mistake in it is a diagnostic instead.
pub fn read(root: &Path) -> anyhow::Result<(ConfigFile, Vec<Diagnostic>)> {
    let path = RelPath::new(FILE_NAME).context("a file name is a relative path")?;
    let bytes = match fs::read(path.under(root)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).context(format!("can't read `{FILE_NAME}`")),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        let source = Source::new(path, "");
        let problem = Diagnostic::new(Rule::NotUtf8, format!("`{FILE_NAME}` is not UTF-8"));
        let problem = problem.at(&source, Span::default(), "");
        return Ok((ConfigFile { source, config: Config::default() }, vec![problem]));
    };
    Ok(parse(&Source::new(path, text)))
}

/// Reads the text of a configuration.
pub fn parse(source: &Source) -> (ConfigFile, Vec<Diagnostic>) {
    let (config, problems) = match toml::from_str(source.text()) {
        Ok(config) => (config, Vec::new()),
        Err(error) => (Config::default(), vec![describe(source, &error)]),
    };
    (ConfigFile { source: source.clone(), config }, problems)
}

/// What the TOML reader says, in our words where it names a setting that there is not.
fn describe(source: &Source, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().map_or(Span::default(), |at| Span::new(at.start, at.end));
    let message = error.message().lines().next().unwrap_or("it can't be read");
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return Diagnostic::new(Rule::Config, format!("`{FILE_NAME}`: {message}"))
            .at(source, span, "");
    };
    // "unknown field `ap`, expected one of `app`, `args`": every second piece is a name.
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let problem = Diagnostic::new(Rule::Config, format!("there is no setting `{unknown}` here"))
        .at(source, span, "");
    match text::closest(unknown, known.iter().copied()) {
        Some(closest) => problem.hint(format!("did you mean `{closest}`?")),
        None => problem.hint(format!("there are {}", text::list(&known))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, problem: Option<&str>) -> Config {
        let source = Source::new(RelPath::new(FILE_NAME).unwrap(), text);
        let (file, problems) = parse(&source);
        let shown = problems.first().map(|problem| {
            let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{}: {}{hint}", source.place(problem.labels[0].span), problem.message)
        });
        assert_eq!(shown.as_deref(), problem);
        file.config
    }

    #[test]
    fn settings_are_read_with_their_places() {
        let config = check(
            "namespace = 'acme'\n[args]\nPY = 3.12\nN = 4\n[image.app]\ncontext = '.'\n",
            None,
        );
        let namespace = config.namespace.unwrap();
        assert_eq!((namespace.get_ref().as_str(), namespace.span()), ("acme", 12..18));
        assert_eq!(config.args["PY"].get_ref().to_string(), "3.12");
        assert_eq!(config.args["N"].get_ref().to_string(), "4");
        let config_of = |text| check(text, None).reference.unwrap();
        let spans = |references: &OneOrMore| -> Vec<_> {
            references.settings().iter().map(|it| (it.get_ref().clone(), it.span())).collect()
        };
        assert_eq!(spans(&config_of("reference = 'a'\n")), [("a".to_owned(), 12..15)]);
        let several = config_of("reference = ['a', 'b']\n");
        assert_eq!(spans(&several), [("a".to_owned(), 13..16), ("b".to_owned(), 18..21)]);
        assert_eq!(config.image["app"].context.as_ref().unwrap().get_ref(), ".");
    }

    #[test]
    fn mistakes_point_at_the_line() {
        check("", None);
        check(
            "app = 'x'\nnamspace = 'acme'\n",
            Some("layers.toml:2:1: there is no setting `namspace` here; did you mean `namespace`?"),
        );
        check(
            "[secrets]\nnpm = { src = 'a', env = 'B' }\n",
            Some("layers.toml:2:7: `layers.toml`: a secret has either an `env` or a `src`"),
        );
        check(
            "[secrets]\nnpm = { evn = 'B' }\n",
            Some("layers.toml:2:9: there is no setting `evn` here; did you mean `env`?"),
        );
        check(
            "[secrets.npm]\n",
            Some(
                "layers.toml:1:1: `layers.toml`: a secret needs an `env = \"NAME\"` or a \
                 `src = \"FILE\"`",
            ),
        );
        check(
            "[image.x]\nreference = []\n",
            Some("layers.toml:2:13: `layers.toml`: a list here needs at least one"),
        );
        check(
            "reference = ['a', 7]\n",
            Some("layers.toml:1:19: `layers.toml`: invalid type: integer `7`, expected a string"),
        );
        check(
            "app = 7\n",
            Some("layers.toml:1:7: `layers.toml`: invalid type: integer `7`, expected a string"),
        );
    }
}
