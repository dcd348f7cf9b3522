//! The words of `layers ci`.

use std::borrow::Cow;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

/// The label of the runner, where none is named.
pub const USUAL_RUNNER: &str = "ubuntu-latest";

/// The branch whose pushes start a workflow, where none is named.
pub const USUAL_BRANCH: &str = "main";

/// The image that jobs run in, where none is named.
pub const USUAL_IMAGE: &str = "docker:28";

/// `layers ci`
#[derive(Debug, Args)]
pub struct CiArgs {
    /// The CI system.
    #[command(subcommand)]
    pub system: CiSystem,
}

/// The systems that pipelines are made for.
#[derive(Debug, Subcommand)]
pub enum CiSystem {
    /// Generate a GitHub Actions workflow.
    ///
    /// The workflow has one job per image, and one that moves all tags.
    Github(CiGithub),
    /// Generate a GitLab child pipeline.
    ///
    /// The pipeline has one job per image, and one that moves all tags.
    Gitlab(CiGitlab),
}

/// What all systems have in common.
#[derive(Debug, Args)]
pub struct CiFile {
    /// Build only these images and their dependencies [default: all].
    ///
    /// `layers build --help` explains how to select images.
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,

    /// Write to FILE instead of stdout (`-`).
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Compare with the existing file, and fail if it differs.
    ///
    /// Without --output, the file is .github/workflows/images.yml or .gitlab/images.yml.
    #[arg(long)]
    pub check: bool,
}

/// `layers ci github`
#[derive(Debug, Args)]
pub struct CiGithub {
    /// Images and files.
    #[command(flatten)]
    pub file: CiFile,

    /// Use fewer jobs: one per chain of images, one matrix per level.
    #[arg(long)]
    pub packed: bool,

    /// Install layers with this action: OWNER/REPOSITORY@REF or ./PATH.
    #[arg(long, value_name = "ACTION", default_value_t = usual_action(), value_parser = NonEmptyStringValueParser::new())]
    pub uses: String,

    /// Run jobs on runners with this label.
    #[arg(long, value_name = "LABEL", default_value = USUAL_RUNNER, value_parser = NonEmptyStringValueParser::new())]
    pub runs_on: String,

    /// Run the workflow on pushes to this branch; repeatable.
    #[arg(long, value_name = "BRANCH", default_value = USUAL_BRANCH, value_parser = NonEmptyStringValueParser::new())]
    pub branch: Vec<String>,
}

/// `layers ci gitlab`
#[derive(Debug, Args)]
pub struct CiGitlab {
    /// Images and files.
    #[command(flatten)]
    pub file: CiFile,

    /// Run jobs in this image.
    ///
    /// If the image lacks layers, jobs download it from the URL in the variable LAYERS_ARCHIVE.
    #[arg(long, value_name = "REFERENCE", default_value = USUAL_IMAGE, value_parser = NonEmptyStringValueParser::new())]
    pub image: String,
}

/// The action of this program's own repository in this version, where none is named.
pub fn usual_action() -> String {
    action_of(env!("CARGO_PKG_REPOSITORY"), env!("CARGO_PKG_VERSION")).into_owned()
}

/// The action of a repository on GitHub in a version. Where the package names none, it has to be a
/// copy: a guessed owner could put any code there.
fn action_of(repository: &str, version: &str) -> Cow<'static, str> {
    let path = repository.strip_prefix("https://github.com/").map(|it| it.trim_end_matches('/'));
    match path.map(|it| it.strip_suffix(".git").unwrap_or(it)).filter(|it| !it.is_empty()) {
        Some(path) => format!("{path}@v{version}").into(),
        None => "./.github/actions/layers".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::action_of;

    #[test]
    fn the_github_action_is_from_the_package_repository() {
        let check =
            |repository: &str, expected: &str| assert_eq!(action_of(repository, "1.2.3"), expected);
        check("", "./.github/actions/layers");
        check("https://example.com/acme/layers", "./.github/actions/layers");
        check("https://github.com/acme/layers", "acme/layers@v1.2.3");
        check("https://github.com/acme/layers.git", "acme/layers@v1.2.3");
        check("https://github.com/acme/layers/", "acme/layers@v1.2.3");
    }
}
