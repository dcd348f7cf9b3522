//! A child pipeline for GitLab (<https://docs.gitlab.com/ci/yaml/>).
//!
//! Owns the generation of its YAML: one job per image with `needs`, and a separate stage for images with more
//! parents than GitLab accepts in `needs`.

use std::borrow::Cow;

use crate::base::text::shell_word;
use crate::base::{IdMap, ImageId};

use super::super::View;
use super::super::recipe::{names, quoted};
use super::super::yaml::{key, line, list};
use super::jobs;
use super::{Pipeline, RELEASE, spelling};

/// The file that the pipeline is compared with if none is given.
pub const FILE: &str = ".gitlab/images.yml";

/// The maximum length of a job name. GitLab accepts 255 characters; a suffix that makes a name unique has up
/// to 15.
const LONGEST_NAME: usize = 240;

/// The maximum number of `needs` per job in GitLab's default configuration
/// (<https://docs.gitlab.com/ci/yaml/#needs>).
const MOST_NEEDS: usize = 50;

/// The service that provides the engine's API to each job.
const ENGINE: &str = "docker:28-dind";

/// The variables with which jobs connect to the engine over TLS. The engine writes the certificates to a
/// directory that both can read.
const VARIABLES: [(&str, &str); 4] = [
    ("DOCKER_HOST", "tcp://docker:2376"),
    ("DOCKER_TLS_VERIFY", "1"),
    ("DOCKER_CERT_PATH", "/certs/client"),
    ("DOCKER_TLS_CERTDIR", "/certs"),
];

/// Downloads `layers` if the image of the jobs does not contain it.
const INSTALL: &str = "command -v layers > /dev/null || \
    wget -q -O - \"${LAYERS_ARCHIVE:?set it to the URL of a release, or use an image that contains layers}\" | \
    tar -x -z -C /usr/local/bin layers";

/// The versions of releases by the condition under which they are used. On the default branch, a release moves the names
/// without a version.
const VERSIONS: [(&str, &str); 2] =
    [("$CI_COMMIT_TAG", "{git.tag}"), ("$CI_COMMIT_BRANCH != $CI_DEFAULT_BRANCH", "{git.branch}")];

/// The options for GitLab.
pub struct Gitlab<'a> {
    /// The image that jobs run in.
    pub image: &'a str,
}

/// Returns the graph as a child pipeline.
///
/// # Errors
/// Returns an error if the images have a cycle.
pub fn draw(
    view: &View<'_>,
    pipeline: &Pipeline<'_>,
    gitlab: &Gitlab<'_>,
) -> anyhow::Result<String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let ids = names(view, &spelling(is_allowed, LONGEST_NAME));
    let parents = jobs::parents(view);
    let stages = stages(view, &parents)?;
    let mut text = head(pipeline, gitlab, stages.values().copied().max().unwrap_or(0));
    for (id, _) in view.images() {
        text.push('\n');
        line(&mut text, 0, &format!("{}:", key(&ids[&id])));
        line(&mut text, 1, &format!("stage: {}", stage(stages[id])));
        match parents[id].as_slice() {
            [] => line(&mut text, 1, "needs: []"),
            // Without `needs`, a job waits for all earlier stages.
            needs if needs.len() > MOST_NEEDS => (),
            needs => {
                list(&mut text, 1, "needs", needs.iter().map(|parent| quoted(&ids[parent])));
            }
        }
        list(&mut text, 1, "script", [quoted(&pipeline.build(view, &[id]))]);
    }
    text.push('\n');
    line(&mut text, 0, &format!("{RELEASE}:"));
    line(&mut text, 1, &format!("stage: {RELEASE}"));
    // If two pipelines overlapped, the older one could move the tags last.
    line(&mut text, 1, &format!("resource_group: {RELEASE}"));
    line(&mut text, 1, "variables:");
    // Git decides which of two releases is newer.
    line(&mut text, 2, "GIT_DEPTH: \"0\"");
    if pipeline.has_ref_versions {
        // The version of a release is the git tag, or the branch if it is not the default one.
        line(&mut text, 1, "rules:");
        for (condition, version) in VERSIONS {
            line(&mut text, 2, &format!("- if: {condition}"));
            line(&mut text, 2, "  variables:");
            line(&mut text, 2, &format!("    VERSION: {}", quoted(version)));
        }
        line(&mut text, 2, "- when: on_success");
    }
    list(&mut text, 1, "script", [quoted(&pipeline.release(view))]);
    Ok(text)
}

fn head(pipeline: &Pipeline<'_>, gitlab: &Gitlab<'_>, last_stage: usize) -> String {
    let mut text = pipeline.recipe.origin(FILE);
    text.push('\n');
    // Without this rule, no jobs would run if a merge request started the parent pipeline.
    line(&mut text, 0, "workflow:");
    list(&mut text, 1, "rules", ["when: always"]);
    let stages = (0..=last_stage).map(stage).chain([RELEASE.into()]);
    list(&mut text, 0, "stages", stages);
    line(&mut text, 0, "variables:");
    for (name, value) in VARIABLES {
        line(&mut text, 1, &format!("{name}: {}", quoted(value)));
    }
    line(&mut text, 0, "default:");
    line(&mut text, 1, &format!("image: {}", quoted(gitlab.image)));
    list(&mut text, 1, "services", [quoted(ENGINE)]);
    let log_in = pipeline.registry_host().map(|host| quoted(&log_in(host)));
    list(&mut text, 1, "before_script", [quoted(INSTALL)].into_iter().chain(log_in));
    text
}

/// Returns the command that logs the engine in to a registry. GitLab's own registry gets the credentials of
/// the job, which are never sent to another registry.
fn log_in(host: &str) -> String {
    let host = shell_word(host);
    format!(
        "if [ \"$CI_REGISTRY\" = {host} ]; then \
         REGISTRY_USER=$CI_REGISTRY_USER REGISTRY_PASSWORD=$CI_REGISTRY_PASSWORD; fi; \
         printf %s \"$REGISTRY_PASSWORD\" | \
         docker login --username \"$REGISTRY_USER\" --password-stdin {host}"
    )
}

/// Returns the stage of each image. Usually there is one stage because `needs` defines the order. An image
/// with too many parents starts a later stage, and its dependents are in that stage or a later one.
fn stages(view: &View<'_>, parents: &IdMap<Vec<ImageId>>) -> anyhow::Result<IdMap<usize>> {
    let mut stages = IdMap::from_fn(view.graph_len(), |_| 0_usize);
    for image in jobs::order(view, parents)? {
        let needs = &parents[image];
        let last = needs.iter().map(|parent| stages[*parent]).max().unwrap_or(0);
        stages[image] = last + usize::from(needs.len() > MOST_NEEDS);
    }
    Ok(stages)
}

fn stage(number: usize) -> Cow<'static, str> {
    match number {
        0 => "build".into(),
        number => format!("build-{}", number + 1).into(),
    }
}
