//! Additional tags: which are requested, and the values of their templates.
//!
//! Owns the values of `{git.sha}`, `{git.branch}`, and `{git.tag}`, and whether one of them is a release version. They come from git. If HEAD is detached, as it is
//! in pipelines, the branch comes from the variables of GitHub Actions and GitLab. A placeholder without a value is
//! reported where it is written.

use crate::base::error::usage;
use crate::base::{Diagnostic, Rule};
use crate::cli::GlobalArgs;
use crate::graph::naming::{NameOrigin, NamePart};
use crate::graph::reference::is_tag;
use crate::graph::tag;
use crate::scan::config::{ConfigFile, OF_GIT, OneOrMore, PlaceholderError, Template};
use crate::scan::git::Head;

use super::environment::Environment;

/// The number of characters of a commit ID in a tag.
const SHA_LENGTH: usize = 12;

const TAG_HINT: &str =
    "a tag consists of letters, digits, `_`, `.`, and `-`, and can't start with `.` or `-`";

/// Additional tags.
#[derive(Default)]
pub struct Tags {
    /// The tags.
    pub tags: Vec<NamePart>,
    /// Whether one of them is made from a git tag that is a release version, such as `v1.2`.
    pub has_release: bool,
    /// Bad tags in `layers.toml`.
    pub problems: Vec<Diagnostic>,
}

/// Returns the tags of the command line, or else of the environment, or else of `layers.toml`. Without a `head`, tags
/// that are named after it are omitted. A bad one in `layers.toml` is a diagnostic.
///
/// # Errors
/// Returns an error if an option or a variable has a value that is not a tag, or a placeholder without a value.
pub fn read(
    global: &GlobalArgs,
    env: &Environment,
    file: &ConfigFile,
    head: Option<&Head>,
) -> anyhow::Result<Tags> {
    let option = |value: &String| {
        let origin = NameOrigin::CommandLine("--tag");
        NamePart { value: value.clone(), origin }
    };
    let mut versions: Vec<NamePart> = global.tags.iter().map(option).collect();
    if versions.is_empty() {
        versions.extend(env.first_set(&["VERSION", "REPO_VERSION"]));
    }
    let sources = PlaceholderSources { env, head };
    let mut read = Tags::default();
    if versions.is_empty() {
        let settings = file.config.version.as_ref().map_or(&[][..], OneOrMore::settings);
        for setting in settings.iter().filter(|setting| sources.takes(setting.get_ref())) {
            let (text, span) = ConfigFile::spanned(setting);
            match sources.fill(text) {
                Ok(value) => {
                    let origin = NameOrigin::Config(file.source.location(span));
                    read.has_release |= sources.is_release(text);
                    if !is_tag(&value) {
                        let message = format!("`{value}` is not a valid tag");
                        let problem = Diagnostic::new(Rule::InvalidName, message);
                        read.problems.push(problem.at(&file.source, span, "").hint(TAG_HINT));
                    }
                    read.tags.push(NamePart { value, origin });
                }
                Err((at, unfilled)) => {
                    read.problems.push(file.describe_unfilled((text, span), at, unfilled));
                }
            }
        }
        return Ok(read);
    }
    for NamePart { value: text, origin } in versions {
        if !sources.takes(&text) {
            continue;
        }
        let cause = origin.cause();
        let value = sources.fill(&text).map_err(|(_, unfilled)| {
            usage(format!("{cause} is `{text}`: {}", unfilled.message)).hint(unfilled.hint)
        })?;
        if !is_tag(&value) {
            return Err(usage(format!("{cause} is `{value}`, which is not a valid tag"))
                .hint(TAG_HINT)
                .into());
        }
        read.has_release |= sources.is_release(&text);
        read.tags.push(NamePart { value, origin });
    }
    Ok(read)
}

/// The sources of the values of placeholders.
struct PlaceholderSources<'a> {
    env: &'a Environment,
    head: Option<&'a Head>,
}

impl PlaceholderSources<'_> {
    /// Returns whether a template is used. A template with an unknown placeholder is always used.
    fn takes(&self, template: &str) -> bool {
        let template = Template::parse_tag(template);
        self.head.is_some() || !OF_GIT.iter().any(|name| template.mentions(name))
    }

    /// Returns whether a template contains a git tag that is a release version.
    fn is_release(&self, template: &str) -> bool {
        let is_used = Template::parse_tag(template).mentions("git.tag");
        let tag =
            self.head.filter(|_| is_used).and_then(|head| head.tag().as_ref().ok()?.as_deref());
        tag.is_some_and(is_release_version)
    }

    fn fill(&self, template: &str) -> Result<String, (std::ops::Range<usize>, PlaceholderError)> {
        tag::fill(template, &|name| self.find(name))
    }

    fn find(&self, name: &str) -> Result<String, PlaceholderError> {
        let Some(head) = self.head.filter(|_| OF_GIT.contains(&name)) else {
            return Err(PlaceholderError::unknown("placeholder", name, OF_GIT));
        };
        let (answer, message, hint) = match name {
            "git.sha" => (head.commit(), "there are no commits yet", "`git commit` creates one"),
            "git.tag" => (
                head.tag(),
                "HEAD has no tag",
                "`git tag 1.2` creates one; `git fetch --tags` fetches those that a clone lacks",
            ),
            _ => (
                head.branch(),
                "HEAD is detached",
                "run `git switch BRANCH`, or set CI_COMMIT_BRANCH",
            ),
        };
        match answer {
            Ok(Some(found)) if name == "git.sha" => Ok(found.chars().take(SHA_LENGTH).collect()),
            Ok(Some(found)) => Ok(found.clone()),
            other => match (name, self.branch_of_pipeline(), other) {
                ("git.branch", Some(branch), _) => Ok(branch.to_owned()),
                (_, _, Err(message)) => Err(PlaceholderError::new(
                    format!("git failed: {message}"),
                    "make `git status` work here, or set the tag without a placeholder",
                )),
                _ => Err(PlaceholderError::new(message, hint)),
            },
        }
    }

    /// Returns the branch that a pipeline has checked out with a detached HEAD.
    ///
    /// For a pull request, this is the source branch
    /// (<https://docs.github.com/actions/reference/workflows-and-actions/variables>,
    /// <https://docs.gitlab.com/ci/variables/predefined_variables/>).
    fn branch_of_pipeline(&self) -> Option<&str> {
        let is_branch = self.env.var("GITHUB_REF_TYPE") == Some("branch");
        let ref_name = || self.env.set_var("GITHUB_REF_NAME").filter(|_| is_branch);
        let var = |name| self.env.set_var(name);
        var("GITHUB_HEAD_REF")
            .or_else(ref_name)
            .or_else(|| var("CI_COMMIT_BRANCH"))
            .or_else(|| var("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"))
    }
}

/// Returns whether a git tag names a release: numbers separated by dots, with or without a `v`, and no pre-release part
/// (docker/metadata-action, `type=semver` and `type=pep440` with `latest=auto`).
fn is_release_version(tag: &str) -> bool {
    let numbers = tag.strip_prefix('v').unwrap_or(tag);
    numbers.split('.').all(|part| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_tags_without_a_pre_release_part_are_releases() {
        let check = |tag: &str, expected: bool| {
            assert_eq!(is_release_version(tag), expected, "{tag}");
        };
        ["1", "1.2", "v1.2.3", "2026.11"].into_iter().for_each(|tag| check(tag, true));
        ["", "v", "1.", "v1.2-rc1", "1.2.3rc1", "1.2.3-beta", "latest", "vv1", "release-1.2"]
            .into_iter()
            .for_each(|tag| check(tag, false));
    }
}
