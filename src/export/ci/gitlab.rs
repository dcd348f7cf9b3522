//! A child pipeline for GitLab (<https://docs.gitlab.com/ci/yaml/>).
//!
//! Owns the writing of its YAML: a job for each image with `needs`, and a stage of its own for what
//! has more of them than GitLab takes.

use std::borrow::Cow;

use crate::base::text::shell_word;
use crate::base::{IdMap, ImageId};

use super::super::View;
use super::super::recipe::{names, quoted};
use super::super::yaml::{key, line, list};
use super::jobs;
use super::{Pipeline, RELEASE, spelling};

/// What it is compared with where no file is named.
pub const FILE: &str = ".gitlab/images.yml";

/// A job's name has at most 255 letters. What tells two of them apart takes up to 15.
const LONGEST_NAME: usize = 240;

/// How many jobs one job may need where an instance is set up as usual
/// (<https://docs.gitlab.com/ci/yaml/#needs>).
const MOST_NEEDS: usize = 50;

/// What serves the engine's API beside each job.
const ENGINE: &str = "docker:28-dind";

/// The engine is reached over TLS, with certificates that it writes where both can read them.
const VARIABLES: [(&str, &str); 4] = [
    ("DOCKER_HOST", "tcp://docker:2376"),
    ("DOCKER_TLS_VERIFY", "1"),
    ("DOCKER_CERT_PATH", "/certs/client"),
    ("DOCKER_TLS_CERTDIR", "/certs"),
];

/// Gets the program where the image of the jobs does not have it.
const INSTALL: &str = "command -v layers > /dev/null || \
    wget -q -O - \"${LAYERS_ARCHIVE:?it must hold the address of a release, or the image the program}\" | \
    tar -x -z -C /usr/local/bin layers";

/// What is said for this system.
pub struct Gitlab<'a> {
    /// The image that jobs run in.
    pub image: &'a str,
}

/// The graph as a child pipeline.
///
/// # Errors
/// Where images need each other in a circle.
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
            // It waits for all earlier stages.
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
    // Of two pipelines at once the older one might move the tags last.
    line(&mut text, 1, &format!("resource_group: {RELEASE}"));
    list(&mut text, 1, "script", [quoted(&pipeline.release(view))]);
    Ok(text)
}

fn head(pipeline: &Pipeline<'_>, gitlab: &Gitlab<'_>, last_stage: usize) -> String {
    let mut text = pipeline.recipe.origin(FILE);
    text.push('\n');
    // Without it the jobs would be left out where a merge request started the parent.
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

/// Lets the engine into a registry: into GitLab's own by what a job is given anyway, and by nothing of
/// that into any other.
fn log_in(host: &str) -> String {
    let host = shell_word(host);
    format!(
        "if [ \"$CI_REGISTRY\" = {host} ]; then \
         REGISTRY_USER=$CI_REGISTRY_USER REGISTRY_PASSWORD=$CI_REGISTRY_PASSWORD; fi; \
         printf %s \"$REGISTRY_PASSWORD\" | \
         docker login --username \"$REGISTRY_USER\" --password-stdin {host}"
    )
}

/// In which stage each image is built. One is enough, as `needs` says the rest; but what needs too
/// many begins a later one, and what needs that comes no earlier.
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
