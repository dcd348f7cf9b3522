//! `layers ci`: a pipeline made from the graph, printed, written, or compared with a file.
//!
//! Owns what the pipelines are told beside the graph, and where their files lie. How they look is
//! the drawings' affair.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::base::error::{as_usage, usage};
use crate::base::screen::visible_path;
use crate::base::text::shell_word;
use crate::cli::{
    Ci as Options, CiFile, CiGithub, CiGitlab, CiSystem, Global, USUAL_BRANCH, USUAL_IMAGE,
    USUAL_RUNNER, usual_action,
};
use crate::exit::Exit;
use crate::export::ci::Pipeline;
use crate::export::ci::github::{self, Github};
use crate::export::ci::gitlab::{self, Gitlab};
use crate::export::{Recipe, View};
use crate::graph::reference::{HUB, Reference};
use crate::report::say;
use crate::session::consent::allow_options;
use crate::session::selection::{self, Selectors};
use crate::workspace::Invocation;
use crate::workspace::load::Workspace;

use super::compared;
use super::retyped::{quote, settings};

/// What `--output` calls the standard output.
const STANDARD_OUTPUT: &str = "-";

pub fn run(options: &Options, global: &Global, at: &Invocation) -> anyhow::Result<Exit> {
    let (file, usual_file) = match &options.system {
        CiSystem::Github(options) => (&options.file, github::FILE),
        CiSystem::Gitlab(options) => (&options.file, gitlab::FILE),
    };
    let output = file.output.as_deref().filter(|path| path.as_os_str() != STANDARD_OUTPUT);
    if file.check && output.is_none() && file.output.is_some() {
        return Err(usage("`--check` compares with a file, and `-` is the standard output").into());
    }
    let workspace = Workspace::open_graph(global, at)?;
    let selectors = Selectors { images: &file.images, ..Selectors::default() };
    let chosen = selection::choose(&workspace, selectors, global, at)?;
    if !file.check {
        warn_without_registry(&workspace, at)?;
    }
    let view = View::whole(&workspace.graph).of(&chosen.all);
    let top = git_folder(&workspace.root);
    let command = retype(&options.system, global);
    let pipeline = pipeline(&workspace, &command, top, global, at)?;
    let drawn = match &options.system {
        CiSystem::Github(options) => github::draw(&view, &pipeline, &github_of(options)),
        CiSystem::Gitlab(options) => gitlab::draw(&view, &pipeline, &gitlab_of(options)),
    };
    let drawn = drawn.map_err(as_usage)?;
    let start = global.directory.clone().unwrap_or_default();
    if file.check {
        let path = output.map_or_else(|| top.join(usual_file), |path| start.join(path));
        let name = output.unwrap_or(Path::new(usual_file)).to_string_lossy().into_owned();
        return compared::with_file(&path, &drawn, &name, &command);
    }
    match output {
        Some(path) => write(&start.join(path), &drawn)?,
        None => say::data(&drawn)?,
    }
    Ok(Exit::Done)
}

/// Writes a file, and the folders that a repository without workflows lacks.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder `{}`", visible_path(folder)))?;
    }
    say::file(path, text)
}

fn github_of(options: &CiGithub) -> Github<'_> {
    let CiGithub { file: _, packed, uses, runs_on, branch } = options;
    Github { uses, runs_on, branches: branch, packed: *packed }
}

fn gitlab_of(options: &CiGitlab) -> Gitlab<'_> {
    Gitlab { image: &options.image }
}

/// What is said beside the graph.
fn pipeline<'a>(
    workspace: &'a Workspace,
    command: &str,
    top: &Path,
    global: &Global,
    at: &Invocation,
) -> anyhow::Result<Pipeline<'a>> {
    let config = &workspace.config.config;
    let recipe = Recipe {
        command: command.to_owned(),
        platform: workspace.lasting_platform.as_ref(),
        attestations: &workspace.attestations,
        secrets: &config.secrets,
        ssh: config.ssh.iter().map(|setting| setting.get_ref().as_str()).collect(),
    };
    // A job begins where git's tree does.
    let below = workspace.root.strip_prefix(top).ok().filter(|path| !path.as_os_str().is_empty());
    let folder = below.map(|path| format!("-C {}", shell_word(&path.to_string_lossy())));
    let options = folder.into_iter().chain(settings_with_registry(global, shell_word)).collect();
    Ok(Pipeline {
        recipe,
        options,
        allow: allow_options(workspace, &at.environment)?,
        registry: workspace.home.as_ref().map(|home| home.registry.clone()),
    })
}

/// The options of all commands, and the registry where `layers.toml` is not where it stands.
fn settings_with_registry(global: &Global, quote: impl Fn(&str) -> String) -> Vec<String> {
    let registry = global.registry.as_ref().map(|it| format!("--registry {}", quote(it)));
    settings(global, quote).into_iter().chain(registry).collect()
}

/// The jobs find what they need of each other in a registry.
fn warn_without_registry(workspace: &Workspace, at: &Invocation) -> anyhow::Result<()> {
    let references = workspace.graph.images.values().flat_map(|image| &image.references);
    let is_on_hub = |reference: &Reference| reference.domain == HUB;
    if workspace.home.is_some() || !references.into_iter().any(is_on_hub) {
        return Ok(());
    }
    let message = "no registry is named, so the jobs push to docker.io, and look for nothing there\n\
                   hint: registry = \"ghcr.io/acme\" in layers.toml, or --registry docker.io";
    say::warning(message, at.paint)
}

/// The folder that git takes for the top of the tree, where it knows one; else the root.
fn git_folder(root: &Path) -> &Path {
    root.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(root)
}

/// The command line that makes the file, with the options that say what is in it.
fn retype(system: &CiSystem, global: &Global) -> String {
    let (words, file) = match system {
        CiSystem::Github(options) => (github_words(options), &options.file),
        CiSystem::Gitlab(options) => (gitlab_words(options), &options.file),
    };
    let CiFile { images, output: _, check: _ } = file;
    let images = images.iter().map(|image| quote(image));
    words
        .into_iter()
        .chain(settings_with_registry(global, quote))
        .chain(images)
        .collect::<Vec<_>>()
        .join(" ")
}

fn github_words(options: &CiGithub) -> Vec<String> {
    let CiGithub { file: _, packed, uses, runs_on, branch } = options;
    let mut words = vec!["layers ci github".to_owned()];
    words.extend(packed.then(|| "--packed".to_owned()));
    if *uses != usual_action() {
        words.push(format!("--uses {}", quote(uses)));
    }
    if runs_on != USUAL_RUNNER {
        words.push(format!("--runs-on {}", quote(runs_on)));
    }
    if *branch != [USUAL_BRANCH] {
        words.extend(branch.iter().map(|branch| format!("--branch {}", quote(branch))));
    }
    words
}

fn gitlab_words(options: &CiGitlab) -> Vec<String> {
    let CiGitlab { file: _, image } = options;
    let mut words = vec!["layers ci gitlab".to_owned()];
    if image != USUAL_IMAGE {
        words.push(format!("--image {}", quote(image)));
    }
    words
}
