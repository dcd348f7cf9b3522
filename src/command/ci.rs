//! `layers ci`: a pipeline made from the graph, printed, written, or compared with a file.
//!
//! Owns what the pipelines contain in addition to the graph, and where their files are. `export::ci` owns their format.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::base::error::as_usage;
use crate::base::screen::visible_path;
use crate::base::text::shell_word;
use crate::cli::output::{file_in, file_to_check};
use crate::cli::{CiArgs as Options, CiGithub, CiGitlab, CiSystem, command_line};
use crate::exit::Exit;
use crate::export::View;
use crate::export::ci::Pipeline;
use crate::export::ci::github::{self, Github};
use crate::export::ci::gitlab::{self, Gitlab};
use crate::graph::reference::{HUB, Reference};
use crate::graph::unresolved::Unbuildable;
use crate::report::{comparison, printer};
use crate::session::consent::allow_options;
use crate::session::selection::{self, Selectors};
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, names, root};

pub fn run(options: &Options, at: &Invocation) -> anyhow::Result<Exit> {
    let (file, usual_file) = match &options.system {
        CiSystem::Github(options) => (&options.file, github::FILE),
        CiSystem::Gitlab(options) => (&options.file, gitlab::FILE),
    };
    let output = file_to_check(file.output.as_deref(), file.check)?;
    let workspace = Workspace::open_graph(at)?;
    let selectors = Selectors { images: &file.images, ..Selectors::default() };
    let mut selected = selection::choose(&workspace, selectors, at)?;
    if file.images.is_empty() {
        selection::leave_out_unbuildable(&workspace.graph, &mut selected);
    }
    workspace.refuse_unresolved(&selected.all)?;
    if !file.check {
        warn_without_registry(&workspace, at)?;
    }
    let view = View::new(&workspace.graph).of(&selected.all);
    let top = root::git_directory(&workspace.root).unwrap_or(&workspace.root);
    let command = command_line::ci(options, &at.global);
    let pipeline = pipeline(&workspace, &command, &selected.unbuildable, top, at)?;
    let drawn = match &options.system {
        CiSystem::Github(CiGithub { file: _, packed, uses, runs_on, branch }) => {
            let github = Github { uses, runs_on, branches: branch, packed: *packed };
            github::draw(&view, &pipeline, &github)
        }
        CiSystem::Gitlab(CiGitlab { file: _, image }) => {
            gitlab::draw(&view, &pipeline, &Gitlab { image })
        }
    };
    let drawn = drawn.map_err(as_usage)?;
    if file.check {
        let path = output.map_or_else(|| top.join(usual_file), |path| file_in(&at.global, path));
        let name = output.unwrap_or(Path::new(usual_file)).to_string_lossy().into_owned();
        let is_current = comparison::with_file(&path, &drawn, &name, &command)?;
        let exit = if is_current { Exit::Done } else { Exit::Failed };
        return selection::finish(exit, &selected.unbuildable, &workspace.graph);
    }
    match output {
        Some(path) => write(&file_in(&at.global, path), &drawn)?,
        None => printer::data(&drawn)?,
    }
    selection::finish(Exit::Done, &selected.unbuildable, &workspace.graph)
}

/// Writes a file, and creates its directories, which a repository without workflows lacks.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("can't create the directory `{}`", visible_path(directory)))?;
    }
    printer::file(path, text)
}

/// Returns what the pipeline contains in addition to the graph.
fn pipeline<'a>(
    workspace: &'a Workspace,
    command: &str,
    unbuildable: &Unbuildable,
    top: &Path,
    at: &Invocation,
) -> anyhow::Result<Pipeline<'a>> {
    // A job starts in the root of the git work tree.
    let below = workspace.root.strip_prefix(top).ok().filter(|path| !path.as_os_str().is_empty());
    let directory = below.map(|path| format!("-C {}", shell_word(&path.to_string_lossy())));
    let options = directory
        .into_iter()
        .chain(command_line::settings_with_registry(&at.global, shell_word))
        .collect();
    Ok(Pipeline {
        recipe: workspace.recipe(command.into(), unbuildable),
        options,
        allow: allow_options(workspace, at)?,
        registry: workspace.home.as_ref().map(|home| home.registry.clone()),
        // A version in a reference could cut it off from the `FROM` lines.
        has_ref_versions: !names::has_version(&workspace.config),
    })
}

/// Warns if no registry is set: the jobs get their dependencies from one.
fn warn_without_registry(workspace: &Workspace, at: &Invocation) -> anyhow::Result<()> {
    let references = workspace.graph.images.values().flat_map(|image| &image.references);
    let is_on_hub = |reference: &Reference| reference.domain == HUB;
    if workspace.home.is_some() || !references.into_iter().any(is_on_hub) {
        return Ok(());
    }
    let message = "no registry is set: jobs push to docker.io, but never reuse images from there\n\
                   hint: set registry = \"ghcr.io/acme\" in layers.toml, or pass --registry docker.io";
    printer::warning(message, at.paint)
}
