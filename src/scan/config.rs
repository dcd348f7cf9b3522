//! The configuration file `layers.toml`.
//!
//! Owns the format of the file and its errors. It does not interpret settings; the modules that use
//! them do.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::Path;
use std::{fmt, fs};

use anyhow::Context;
use serde::Deserialize;
use toml::de::DeTable;

use crate::base::screen::visible;
use crate::base::{Diagnostic, RelPath, Rule, Source, Span, text};

mod labels;
mod latest;
mod one_or_more;
mod push;
mod secrets;
mod template;

pub use labels::{LabelSetting, Labels};
pub use latest::Latest;
pub use one_or_more::OneOrMore;
pub use push::Push;
pub use secrets::{SecretSettings, SecretSource};
pub use template::{BUILT_IN, FillResult, OF_GIT, PlaceholderError, Template};

/// The name of the file in the root directory of the repository.
pub const FILE_NAME: &str = "layers.toml";

/// A setting with its position in the file.
pub type Setting = toml::Spanned<String>;

/// Build arguments by name.
pub type Args = BTreeMap<String, toml::Spanned<ArgumentValue>>;

/// The values of named contexts, by the names that a `FROM` or `--from` uses.
pub type Contexts = BTreeMap<String, Setting>;

/// The settings of `layers.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub struct Config {
    /// The prefix of the app in references, such as `acme` or `registry.example:5000/acme`.
    pub namespace: Option<Setting>,
    /// The application name, which is the prefix of all image names.
    pub app: Option<Setting>,
    /// Additional tags for every built image.
    pub version: Option<OneOrMore>,
    /// The template for image names from the paths of Dockerfiles.
    pub name: Option<Setting>,
    /// The template for references from `{namespace}`, `{app}`, `{name}`, and parts of the path.
    pub reference: Option<OneOrMore>,
    /// The build context of all images.
    pub context: Option<Setting>,
    /// Globs of Dockerfiles, relative to the root.
    pub dockerfiles: Option<Vec<Setting>>,
    /// Globs of Dockerfiles to exclude.
    pub exclude: Vec<Setting>,
    /// Globs of images that others build, although their names are like those of the repository's own images.
    pub externals: Vec<Setting>,
    /// The platform to build for.
    pub platform: Option<Setting>,
    /// The registry through which images are shared, such as `ghcr.io/acme`.
    pub registry: Option<Setting>,
    /// Whether builds push their images to the registry.
    pub push: Push,
    /// When a release with additional tags also moves the names without them, such as `latest`.
    pub latest: Latest,
    /// Registries to contact without TLS, in addition to those on this machine.
    pub insecure_registries: Vec<Setting>,
    /// Whether images get an SBOM, and how it is generated.
    pub sbom: Option<toml::Spanned<ArgumentValue>>,
    /// Whether the engine adds provenance attestations to images, and how detailed they are.
    pub provenance: Option<toml::Spanned<ArgumentValue>>,
    /// Build arguments of all images.
    pub args: Args,
    /// Named contexts of all images.
    pub contexts: Contexts,
    /// Labels of all images.
    pub labels: Labels,
    /// The network of `RUN` instructions.
    pub network: Option<Setting>,
    /// The size of `/dev/shm`, such as `128m`.
    pub shm_size: Option<toml::Spanned<ArgumentValue>>,
    /// Ulimits, in the format of `--ulimit`.
    pub ulimits: Vec<Setting>,
    /// Additional hosts, in the format of `--add-host`.
    pub add_hosts: Vec<Setting>,
    /// Secrets that builds can request.
    pub secrets: SecretSettings,
    /// Ssh agents that builds can request, in the format of `--ssh`.
    pub ssh: Vec<Setting>,
    /// Groups of Dockerfiles that share settings.
    pub group: Vec<toml::Spanned<Group>>,
    /// Settings of single images by name.
    pub image: BTreeMap<toml::Spanned<String>, ImageConfig>,
    /// Settings for the checks.
    pub check: CheckConfig,
}

/// The settings of `[check]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub struct CheckConfig {
    /// Codes of warnings to suppress.
    pub skip: Vec<Setting>,
    /// The oldest version of Docker's frontend that must be able to read the Dockerfiles, such as
    /// `1.4`.
    pub frontend: Option<Setting>,
}

/// The settings of `[[group]]` for the Dockerfiles that it matches. For settings that it omits,
/// those of all images apply.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub struct Group {
    /// Globs of Dockerfiles, relative to the root.
    pub dockerfiles: Vec<Setting>,
    /// A regular expression that must match the whole path of a Dockerfile. Its named captures are
    /// placeholders for parts of the path.
    pub pattern: Option<Setting>,
    /// Globs of Dockerfiles to exclude from the group.
    pub exclude: Vec<Setting>,
    /// The template for names.
    pub name: Option<Setting>,
    /// The template for references.
    pub reference: Option<OneOrMore>,
    /// The build context.
    pub context: Option<Setting>,
    /// The stage to build.
    pub target: Option<Setting>,
    /// Stages to build, one image per stage.
    pub targets: Vec<Setting>,
    /// Build arguments. They take precedence over those of all images.
    pub args: Args,
    /// Named contexts. They take precedence over those of all images.
    pub contexts: Contexts,
    /// Labels. They take precedence over those of all images.
    pub labels: Labels,
    /// The network of `RUN` instructions.
    pub network: Option<Setting>,
    /// The size of `/dev/shm`, such as `128m`.
    pub shm_size: Option<toml::Spanned<ArgumentValue>>,
    /// Ulimits, in the format of `--ulimit`.
    pub ulimits: Vec<Setting>,
    /// Additional hosts, in the format of `--add-host`.
    pub add_hosts: Vec<Setting>,
    /// The number of slots that each build takes, so that two builds that need much memory do not
    /// run at once.
    pub weight: Option<NonZeroU16>,
}

/// The settings of `[image.NAME]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case", expecting = "a table")]
pub struct ImageConfig {
    /// The path of the Dockerfile, relative to the root. It defines an image that no glob matches.
    pub dockerfile: Option<Setting>,
    /// The build context, relative to the root.
    pub context: Option<Setting>,
    /// The stage to build.
    pub target: Option<Setting>,
    /// Stages to build, one image per stage, instead of this image.
    pub targets: Vec<Setting>,
    /// The complete references, with or without tags.
    pub reference: Option<OneOrMore>,
    /// Whether a release moves the image's tags. `false` leaves them out.
    pub push: Option<bool>,
    /// Build arguments. They take precedence over those of the group and of all images.
    pub args: Args,
    /// Named contexts. They take precedence over those of the group and of all images.
    pub contexts: Contexts,
    /// Labels. They take precedence over those of the group and of all images.
    pub labels: Labels,
    /// The network of `RUN` instructions.
    pub network: Option<Setting>,
    /// The size of `/dev/shm`, such as `128m`.
    pub shm_size: Option<toml::Spanned<ArgumentValue>>,
    /// Ulimits, in the format of `--ulimit`.
    pub ulimits: Vec<Setting>,
    /// Additional hosts, in the format of `--add-host`.
    pub add_hosts: Vec<Setting>,
    /// The number of slots that the build takes, so that two builds that need much memory do not
    /// run at once.
    pub weight: Option<NonZeroU16>,
}

/// The value of a build argument: text, or a number or boolean that is converted to text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected text, a number, or a boolean")]
pub enum ArgumentValue {
    /// Text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
}

/// Formats the value as the text that a build receives.
impl fmt::Display for ArgumentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArgumentValue::Text(text) => f.write_str(text),
            ArgumentValue::Integer(number) => number.fmt(f),
            ArgumentValue::Float(number) => number.fmt(f),
            ArgumentValue::Boolean(truth) => truth.fmt(f),
        }
    }
}

/// The configuration with the file that it was read from, so that diagnostics can point to
/// settings.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// The file; empty if it does not exist.
    pub source: Source,
    /// The settings; all defaults if the file does not exist or is invalid.
    pub config: Config,
}

impl ConfigFile {
    /// Returns the globs to search outside of groups: the configured ones, or `default` if neither
    /// globs nor groups are configured.
    pub fn globs<'a>(&'a self, default: &[&'a str]) -> Vec<&'a str> {
        match &self.config.dockerfiles {
            Some(globs) => globs.iter().map(|glob| glob.get_ref().as_str()).collect(),
            None if self.config.group.is_empty() => default.to_vec(),
            None => Vec::new(),
        }
    }

    /// Returns the span of a setting in the file.
    pub fn span<T>(setting: &toml::Spanned<T>) -> Span {
        let range = setting.span();
        Span::new(range.start, range.end)
    }
}

/// Reads the settings from a file in `root`, usually `layers.toml`. A missing file results in the
/// default settings.
///
/// # Errors
/// Returns an error if the file exists and cannot be read. Mistakes in it are diagnostics instead.
pub fn read(root: &Path, path: &RelPath) -> anyhow::Result<(ConfigFile, Vec<Diagnostic>)> {
    let bytes = match fs::read(path.under(root)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).context(format!("can't read `{path}`")),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        let source = Source::new(path.clone(), "");
        let problem = Diagnostic::new(Rule::NotUtf8, format!("`{path}` is not valid UTF-8"));
        let problem = problem.at(&source, Span::default(), "");
        return Ok((ConfigFile { source, config: Config::default() }, vec![problem]));
    };
    Ok(parse(&Source::new(path.clone(), text)))
}

/// Parses the text of a configuration file.
pub fn parse(source: &Source) -> (ConfigFile, Vec<Diagnostic>) {
    let (config, problems) = match toml::from_str(source.text()) {
        Ok(config) => (config, Vec::new()),
        Err(error) => (Config::default(), vec![describe(source, &error)]),
    };
    (ConfigFile { source: source.clone(), config }, problems)
}

/// Returns the diagnostic for an error of the TOML parser. Errors about unknown settings are
/// reworded.
fn describe(source: &Source, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().map_or(Span::default(), |at| Span::new(at.start, at.end));
    let message = error.message().lines().next().unwrap_or("invalid TOML");
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return Diagnostic::new(Rule::Config, format!("`{}`: {message}", source.path()))
            .at(source, span, "");
    };
    // The message is "unknown field `ap`, expected one of `app`, `args`", so every second piece is
    // a name.
    let mut names = rest.split('`').step_by(2);
    let unknown = names.next().unwrap_or_default();
    let candidates: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let problem =
        Diagnostic::new(Rule::Config, format!("unknown setting `{unknown}`")).at(source, span, "");
    let name = error.span().and_then(|at| dotted_name(source.text(), &at, &candidates));
    match (text::closest(unknown, candidates.iter().copied()), name) {
        (Some(closest), _) => problem.hint(format!("did you mean `{closest}`?")),
        (None, Some(name)) => {
            let name = visible(&name);
            problem.hint(format!("a name that contains a dot must be quoted: [image.\"{name}\"]"))
        }
        (None, None) => problem.hint(format!("valid settings are {}", text::list(&candidates))),
    }
}

/// Returns the name that `[image.python-3.12]` means. In TOML, this is the setting `12` of the image `python-3`. `at` is
/// the unknown setting, and `known` are those that a setting can be.
fn dotted_name(text: &str, at: &Range<usize>, known: &[&str]) -> Option<String> {
    if !text.get(..at.start)?.trim_end().ends_with('.') {
        return None;
    }
    let whole = DeTable::parse(text).ok()?;
    let images = whole.get_ref().get("image")?.get_ref().as_table()?;
    let (name, (part, value)) = images.iter().find_map(|(name, image)| {
        let mut settings = image.get_ref().as_table()?.iter();
        Some((name, settings.find(|(part, _)| part.span() == *at)?))
    })?;
    let mut parts = vec![name.get_ref().as_ref(), part.get_ref().as_ref()];
    // An image is a table of settings. Everything above them is its name.
    let mut table = value.get_ref().as_table()?;
    while let Some((part, value)) = table.iter().next().filter(|_| table.len() == 1)
        && let Some(below) = value.get_ref().as_table()
        && !known.contains(&part.get_ref().as_ref())
    {
        parts.push(part.get_ref());
        table = below;
    }
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, problem: Option<&str>) -> Config {
        let source = Source::new(RelPath::new(FILE_NAME).unwrap(), text);
        let (file, problems) = parse(&source);
        let shown = problems.first().map(|problem| {
            let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
            format!("{}: {}{hint}", source.location(problem.labels[0].span), problem.message)
        });
        assert_eq!(shown.as_deref(), problem);
        file.config
    }

    #[test]
    fn settings_are_parsed_with_their_positions() {
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
    fn config_errors_point_at_the_line() {
        check("", None);
        check(
            "app = 'x'\nnamspace = 'acme'\n",
            Some("layers.toml:2:1: unknown setting `namspace`; did you mean `namespace`?"),
        );
        check(
            "[secrets]\nnpm = { src = 'a', env = 'B' }\n",
            Some("layers.toml:2:7: `layers.toml`: a secret can't have both an `env` and a `src`"),
        );
        check(
            "[secrets]\nnpm = { evn = 'B' }\n",
            Some("layers.toml:2:9: unknown setting `evn`; did you mean `env`?"),
        );
        check(
            "[secrets.npm]\n",
            Some(
                "layers.toml:1:1: `layers.toml`: a secret requires `env = \"NAME\"` or \
                 `src = \"FILE\"`",
            ),
        );
        check(
            "[image.x]\nreference = []\n",
            Some("layers.toml:2:13: `layers.toml`: the list must not be empty"),
        );
        check(
            "reference = ['a', 7]\n",
            Some("layers.toml:1:19: `layers.toml`: invalid type: integer `7`, expected a string"),
        );
        check(
            "[secrets]\nnpm = 3\n",
            Some(
                "layers.toml:2:7: `layers.toml`: invalid type: integer `3`, expected a table \
                 with `env` or `src`",
            ),
        );
        check(
            "check = 3\n",
            Some("layers.toml:1:9: `layers.toml`: invalid type: integer `3`, expected a table"),
        );
        check(
            "[args]\nA = []\n",
            Some("layers.toml:2:5: `layers.toml`: expected text, a number, or a boolean"),
        );
        check(
            "app = 7\n",
            Some("layers.toml:1:7: `layers.toml`: invalid type: integer `7`, expected a string"),
        );
    }

    #[test]
    fn names_with_a_dot_must_be_quoted() {
        check(
            "app = 'x'\n[image.python-3.12]\ntarget = 'x'\n",
            Some(
                "layers.toml:2:17: unknown setting `12`; a name that contains a dot must be \
                 quoted: [image.\"python-3.12\"]",
            ),
        );
        for text in ["[image.a.b.c]", "image.a.b.c.args.A = 1", "image . a . b . c = {}"] {
            let (file, problems) = parse(&Source::new(RelPath::new(FILE_NAME).unwrap(), text));
            assert!(file.config.image.is_empty());
            let hint = problems[0].hint.as_deref().unwrap_or_default();
            assert!(hint.ends_with("quoted: [image.\"a.b.c\"]"), "{text}: {hint}");
        }
        check(
            "[image.base.arg]\nA = 1\n",
            Some("layers.toml:1:13: unknown setting `arg`; did you mean `args`?"),
        );
        check(
            "[image.base]\nfoo = { a = 1 }\n",
            Some(
                "layers.toml:2:1: unknown setting `foo`; valid settings are `dockerfile`, \
                 `context`, `target`, `targets`, `reference`, `push`, `args`, `contexts`, `labels`, `network`, \
                 `shm-size`, `ulimits`, `add-hosts` and `weight`",
            ),
        );
    }
}
