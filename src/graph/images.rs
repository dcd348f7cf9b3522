//! Which images there are: one for each Dockerfile that was found, as `layers.toml` changes it.
//!
//! Owns the way from files and settings to images without edges. What they need is `link`'s
//! affair.

use std::collections::BTreeMap;

use crate::base::{Diagnostic, RelPath, Source, Span};
use crate::scan::config::{Config, ConfigFile, ImageConfig, Setting};

use super::naming::{Given, Origin};

/// An image before its Dockerfile was read.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Its Dockerfile.
    pub dockerfile: RelPath,
    /// The folder whose files its build may read.
    pub context: RelPath,
    /// The stage to build, where one is set.
    pub target: Option<String>,
    /// The reference that is set for it, where one is.
    pub reference: Option<Given>,
    /// Build arguments from the configuration.
    pub args: BTreeMap<String, String>,
}

/// The images of the Dockerfiles `found`, sorted by name. `root_name` names an image whose
/// Dockerfile lies at the root.
pub fn collect(
    found: &[RelPath],
    file: &ConfigFile,
    root_name: &str,
) -> (Vec<Candidate>, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut images: BTreeMap<String, Candidate> = BTreeMap::new();
    for path in found {
        let folder = path.parent();
        let name = folder.file_name().unwrap_or(root_name).to_owned();
        if let Some(first) = images.get(&name) {
            problems.push(describe_double(&name, &first.dockerfile, path));
            continue;
        }
        images.insert(name.clone(), Candidate::new(name, path.clone(), &file.config));
    }
    for (name, config) in &file.config.image {
        let image = match (images.get_mut(name.get_ref()), &config.dockerfile) {
            (Some(image), _) => image,
            (None, Some(dockerfile)) => {
                let Some(path) = relative(file, dockerfile, &mut problems) else { continue };
                let image = Candidate::new(name.get_ref().clone(), path, &file.config);
                images.entry(name.get_ref().clone()).or_insert(image)
            }
            (None, None) => {
                problems.push(describe_unknown(file, name, images.keys()));
                continue;
            }
        };
        apply(image, file, config, &mut problems);
    }
    (images.into_values().collect(), problems)
}

impl Candidate {
    fn new(name: String, dockerfile: RelPath, config: &Config) -> Candidate {
        let args = config.args.iter().map(|(name, value)| (name.clone(), value.to_text()));
        let context = dockerfile.parent();
        let args = args.collect();
        Candidate { name, dockerfile, context, target: None, reference: None, args }
    }
}

fn apply(
    image: &mut Candidate,
    file: &ConfigFile,
    config: &ImageConfig,
    problems: &mut Vec<Diagnostic>,
) {
    if let Some(path) = config.dockerfile.as_ref().and_then(|path| relative(file, path, problems)) {
        image.context = path.parent();
        image.dockerfile = path;
    }
    if let Some(path) = config.context.as_ref().and_then(|path| relative(file, path, problems)) {
        image.context = path;
    }
    image.target = config.target.as_ref().map(|target| target.get_ref().clone());
    image.reference = config.reference.as_ref().map(|reference| Given {
        value: reference.get_ref().clone(),
        origin: Origin::Config(file.source.place(ConfigFile::span(reference))),
    });
    image.args.extend(config.args.iter().map(|(name, value)| (name.clone(), value.to_text())));
}

fn relative(
    file: &ConfigFile,
    setting: &Setting,
    problems: &mut Vec<Diagnostic>,
) -> Option<RelPath> {
    let path = RelPath::new(setting.get_ref());
    if path.is_none() {
        let message = format!("`{}` does not lie in the repository", setting.get_ref());
        problems.push(
            Diagnostic::error("config", message)
                .at(&file.source, ConfigFile::span(setting), "")
                .hint("paths are relative to the folder of `layers.toml`"),
        );
    }
    path
}

fn describe_double(name: &str, first: &RelPath, second: &RelPath) -> Diagnostic {
    let empty = |path: &RelPath| Source::new(path.clone(), "");
    Diagnostic::error("duplicate-image", format!("two images are called `{name}`"))
        .at(&empty(first), Span::default(), "")
        .at(&empty(second), Span::default(), "")
        .note(format!("`{first}` and `{second}` lie in folders of one name"))
        .hint("rename one of the folders, or leave one out with `exclude` in `layers.toml`")
}

fn describe_unknown<'a>(
    file: &ConfigFile,
    name: &Setting,
    images: impl Iterator<Item = &'a String>,
) -> Diagnostic {
    let problem = Diagnostic::error("config", format!("there is no image `{}`", name.get_ref()))
        .at(&file.source, ConfigFile::span(name), "");
    match crate::base::text::closest(name.get_ref(), images.map(String::as_str)) {
        Some(closest) => problem.hint(format!("did you mean `{closest}`?")),
        None => problem.hint("give it a `dockerfile`, or see `layers list` for those there are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: &[&str], config: &str, expected: &[&str], problems: &[&str]) {
        let source = Source::new(RelPath::new("layers.toml").unwrap(), config);
        let (file, mistakes) = crate::scan::config::parse(&source);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let found: Vec<RelPath> = found.iter().map(|path| RelPath::new(path).unwrap()).collect();
        let (images, diagnostics) = collect(&found, &file, "repo");
        let images: Vec<String> = images
            .iter()
            .map(|it| format!("{} {} {} {:?}", it.name, it.dockerfile, it.context, it.args))
            .collect();
        assert_eq!(images, expected);
        let messages: Vec<&str> = diagnostics.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(messages, problems);
    }

    #[test]
    fn folders_name_images() {
        check(
            &["docker/dev/Dockerfile", "docker/base/Dockerfile", "Dockerfile"],
            "",
            &[
                "base docker/base/Dockerfile docker/base {}",
                "dev docker/dev/Dockerfile docker/dev {}",
                "repo Dockerfile . {}",
            ],
            &[],
        );
    }

    #[test]
    fn the_configuration_changes_and_adds_images() {
        check(
            &["docker/dev/Dockerfile"],
            "[args]\nA = 1\nB = 2\n[image.dev]\ncontext = '.'\nargs.A = 3\n[image.x]\ndockerfile = 'x/D'\n",
            &[
                r#"dev docker/dev/Dockerfile . {"A": "3", "B": "2"}"#,
                r#"x x/D x {"A": "1", "B": "2"}"#,
            ],
            &[],
        );
    }

    #[test]
    fn mistakes_are_collected() {
        check(
            &["a/base/Dockerfile", "b/base/Dockerfile"],
            "[image.bsae]\n[image.base]\ncontext = '../x'\n",
            &["base a/base/Dockerfile a/base {}"],
            &[
                "two images are called `base`",
                "`../x` does not lie in the repository",
                "there is no image `bsae`",
            ],
        );
    }
}
