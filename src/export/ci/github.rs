//! A pipeline for GitHub Actions
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>).
//!
//! Owns the generation of a workflow: one job per image with `needs`, or, if packed, one matrix per layer. No
//! text of the repository becomes an expression in it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::bail;

use crate::base::ImageId;
use crate::base::error::permanent;
use crate::base::text::count;
use crate::scan::config::SecretSource;

use super::super::View;
use super::super::recipe::{names, quoted};
use super::super::yaml::{key, line, list};
use super::jobs::{self, JobChain};
use super::{Pipeline, RELEASE, spelling};

/// The directory in which GitHub looks for workflows, and the name of this one.
pub const FILE: &str = ".github/workflows/images.yml";

/// The maximum length of a job ID. The runner rejects IDs of 100 characters or more; a suffix that makes an
/// ID unique has up to 9.
const LONGEST_ID: usize = 90;

/// The maximum size of a workflow. A larger file starts no run
/// (<https://docs.github.com/en/actions/reference/limits>).
const MOST_BYTES: usize = 500_000;

/// The version of a release: the git tag, or the branch if it is not the default one, whose release moves the names
/// without a version.
const VERSION: &str = "${{ github.ref_type == 'tag' && '{git.tag}' || \
    github.ref_name != github.event.repository.default_branch && '{git.branch}' || '' }}";

/// The maximum number of jobs of a matrix (the same page).
const MOST_OF_A_MATRIX: usize = 256;

/// The options for GitHub Actions.
pub struct Github<'a> {
    /// The action that installs `layers`, as a value of `uses`.
    pub uses: &'a str,
    /// The runner's label, or an expression.
    pub runs_on: &'a str,
    /// The branches to which a push starts the workflow.
    pub branches: &'a [String],
    /// Whether images are packed into few jobs.
    pub packed: bool,
}

/// A job of the workflow.
struct WorkflowJob<'a> {
    id: &'a str,
    name: &'a str,
    needs: Vec<&'a str>,
    /// The images whose secrets the job receives.
    images: Vec<ImageId>,
    /// A literal value or an expression.
    run: Cow<'static, str>,
    /// The name and the command of each job of a matrix.
    matrix: Vec<(String, String)>,
}

/// Returns the graph as a workflow.
///
/// # Errors
/// Returns an error if the workflow is too large for GitHub to run.
pub fn draw(
    view: &View<'_>,
    pipeline: &Pipeline<'_>,
    github: &Github<'_>,
) -> anyhow::Result<String> {
    let mut workflow = Workflow { view, pipeline, github, text: head(pipeline, github) };
    match github.packed {
        true => workflow.draw_layers()?,
        false => workflow.draw_images(),
    }
    let text = workflow.text;
    if text.len() > MOST_BYTES {
        let size = format!(
            "the workflow for {} has {} KB, more than GitHub's limit of {} KB",
            count(view.images().len(), "image"),
            text.len() / 1000,
            MOST_BYTES / 1000
        );
        let hint = match github.packed {
            false => "pass --packed for fewer jobs, or select fewer images",
            true => "select fewer images, and generate one workflow per part",
        };
        bail!(permanent(size).hint(hint));
    }
    Ok(text)
}

fn head(pipeline: &Pipeline<'_>, github: &Github<'_>) -> String {
    let mut text = pipeline.recipe.origin(FILE);
    text.push_str("\nname: images\non:\n");
    if !github.branches.is_empty() {
        line(&mut text, 1, "push:");
        list(&mut text, 2, "branches", github.branches.iter().map(|it| quoted(it)));
    }
    line(&mut text, 1, "workflow_call:");
    line(&mut text, 1, "workflow_dispatch:");
    line(&mut text, 0, "permissions:");
    line(&mut text, 1, "contents: read");
    if is_githubs(pipeline) {
        line(&mut text, 1, "packages: write");
    }
    // If two runs overlapped, the older one could move the tags last.
    line(&mut text, 0, "concurrency:");
    line(&mut text, 1, "group: layers-${{ github.workflow }}-${{ github.ref }}");
    line(&mut text, 0, "jobs:");
    text
}

/// A workflow while it is generated.
struct Workflow<'a> {
    view: &'a View<'a>,
    pipeline: &'a Pipeline<'a>,
    github: &'a Github<'a>,
    text: String,
}

impl Workflow<'_> {
    fn draw_images(&mut self) {
        let Workflow { view, pipeline, .. } = *self;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let ids = names(view, &spelling(is_allowed, LONGEST_ID));
        let parents = jobs::parents(view);
        for (id, image) in view.images() {
            let job = WorkflowJob {
                id: &ids[&id],
                name: &literal(&image.name),
                needs: parents[id].iter().map(|parent| ids[parent].as_str()).collect(),
                images: vec![id],
                run: literal(&pipeline.build(view, &[id])).into(),
                matrix: Vec::new(),
            };
            self.describe(&job);
        }
        self.release(ids.values().map(String::as_str).collect());
    }

    fn draw_layers(&mut self) -> anyhow::Result<()> {
        let Workflow { view, pipeline, .. } = *self;
        let mut all: Vec<String> = Vec::new();
        let mut below: Vec<String> = Vec::new();
        for (number, layer) in jobs::chains(view)?.iter().enumerate() {
            let parts: Vec<&[JobChain]> = layer.chunks(MOST_OF_A_MATRIX).collect();
            let ids = (1..=parts.len()).map(|part| match part {
                1 => format!("layer-{number}"),
                part => format!("layer-{number}-{part}"),
            });
            let ids: Vec<String> = ids.collect();
            for (id, part) in ids.iter().zip(parts) {
                let entry = |chain: &JobChain| {
                    (literal(&title(view, chain)), literal(&pipeline.build(view, &chain.images)))
                };
                let job = WorkflowJob {
                    id,
                    name: "${{ matrix.name }}",
                    needs: below.iter().map(String::as_str).collect(),
                    images: part.iter().flat_map(|chain| chain.images.iter().copied()).collect(),
                    run: "${{ matrix.run }}".into(),
                    matrix: part.iter().map(entry).collect(),
                };
                self.describe(&job);
            }
            all.extend(ids.iter().cloned());
            below = ids;
        }
        self.release(all.iter().map(String::as_str).collect());
        Ok(())
    }

    fn release(&mut self, needs: Vec<&str>) {
        let Workflow { view, pipeline, .. } = *self;
        let job = WorkflowJob {
            id: RELEASE,
            name: "tags of all images",
            needs,
            images: view.images().map(|(id, _)| id).collect(),
            run: literal(&pipeline.release(view)).into(),
            matrix: Vec::new(),
        };
        self.describe(&job);
    }

    fn describe(&mut self, job: &WorkflowJob<'_>) {
        let Workflow { view, pipeline, github, text } = self;
        text.push('\n');
        line(text, 1, &format!("{}:", job.id));
        line(text, 2, &format!("name: {}", job.name));
        list(text, 2, "needs", &job.needs);
        line(text, 2, &format!("runs-on: {}", quoted(github.runs_on)));
        if !job.matrix.is_empty() {
            line(text, 2, "strategy:");
            // Independent jobs continue after a failure, as they do without a matrix.
            line(text, 3, "fail-fast: false");
            line(text, 3, "matrix:");
            line(text, 4, "include:");
        }
        for (name, run) in &job.matrix {
            line(text, 5, &format!("- name: {name}"));
            line(text, 5, &format!("  run: {run}"));
        }
        line(text, 2, "steps:");
        line(text, 3, "- uses: actions/checkout@v4");
        // `COPY . .` could copy the token in `.git`, which differs per job.
        line(text, 3, "  with:");
        line(text, 3, "    persist-credentials: false");
        if job.id == RELEASE {
            // Git decides which of two releases is newer.
            line(text, 3, "    fetch-depth: 0");
        }
        log_in(text, pipeline);
        line(text, 3, &format!("- uses: {}", quoted(github.uses)));
        line(text, 3, "  with:");
        line(text, 3, "    archive: ${{ vars.LAYERS_ARCHIVE }}");
        line(text, 3, "    sha256: ${{ vars.LAYERS_ARCHIVE_SHA256 }}");
        line(text, 3, &format!("- run: {}", job.run));
        let secrets = secrets(view, pipeline, &job.images);
        let has_version = job.id == RELEASE && pipeline.has_ref_versions;
        if has_version || !secrets.is_empty() {
            line(text, 3, "  env:");
        }
        for name in secrets {
            line(text, 3, &format!("    {}: ${{{{ secrets.{name} }}}}", key(name)));
        }
        if has_version {
            line(text, 3, &format!("    VERSION: {VERSION}"));
        }
    }
}

/// Returns the name of a job that builds a chain.
fn title(view: &View<'_>, chain: &JobChain) -> String {
    let name = |id: &ImageId| view.image(*id).name.as_str();
    match chain.images.as_slice() {
        [first, .., last] => format!("{} to {}", name(first), name(last)),
        images => images.iter().map(name).collect(),
    }
}

/// Adds the step that logs the engine in to the registry, if there is one.
fn log_in(text: &mut String, pipeline: &Pipeline<'_>) {
    let Some(host) = pipeline.registry_host() else { return };
    let (user, password) = match is_githubs(pipeline) {
        true => ("github.actor", "secrets.GITHUB_TOKEN"),
        false => ("secrets.REGISTRY_USER", "secrets.REGISTRY_PASSWORD"),
    };
    line(text, 3, "- uses: docker/login-action@v3");
    line(text, 3, "  with:");
    line(text, 3, &format!("    registry: {}", literal(host)));
    line(text, 3, &format!("    username: ${{{{ {user} }}}}"));
    line(text, 3, &format!("    password: ${{{{ {password} }}}}"));
}

fn is_githubs(pipeline: &Pipeline<'_>) -> bool {
    pipeline.registry_host() == Some("ghcr.io")
}

/// Returns the variables with the secrets that images mount, if their names are valid for a GitHub secret.
fn secrets<'a>(
    view: &View<'_>,
    pipeline: &'a Pipeline<'_>,
    images: &[ImageId],
) -> BTreeSet<&'a str> {
    let secrets = images.iter().flat_map(|id| pipeline.recipe.secrets_of(view.image(*id)));
    let variables = secrets.filter_map(|(_, source)| match source {
        SecretSource::Variable(name) => Some(name.as_str()),
        SecretSource::File(_) => None,
    });
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    variables.filter(is_name).collect()
}

/// Quotes a literal value: text that would start an expression becomes the result of one.
fn literal(text: &str) -> String {
    quoted(&text.replace("${{", "${{ '${{' }}"))
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn expression_syntax_in_text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(literal(text), expected);
        check("base", r#""base""#);
        check("${x} $y }}", r#""${x} $y }}""#);
        check("${{ secrets.X }}", r#""${{ '${{' }} secrets.X }}""#);
        check("$${{${{", r#""$${{ '${{' }}${{ '${{' }}""#);
        check("a: b # \"c\"", r#""a: b # \"c\"""#);
    }
}
