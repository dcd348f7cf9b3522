//! The part of the pipeline that all verbs share: options → sources → Dockerfiles → graph.
//!
//! Owns the repository as read, and the diagnostics about its files.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::error::{ErrorKind, printed, usage};
use crate::base::screen::visible_path;
use crate::base::text::list;
use crate::base::{Diagnostic, Platform, RelPath, Rule, Source, Span};
use crate::credentials::BuildProxies;
use crate::engine::{Attestations, Frontend};
use crate::export::Recipe;
use crate::graph::context_directory::ContextDirectory;
use crate::graph::images::{self, Candidate};
use crate::graph::link::{self, ExternalTriggers, LinkSettings, ParsedImage};
use crate::graph::naming::NamingSettings;
use crate::graph::unresolved::Unbuildable;
use crate::graph::{Graph, Image};
use crate::lint::{self, Silence};
use crate::parse;
use crate::plan::RegistryNamespace;
use crate::report::{diagnostics, printer};
use crate::scan::config::{self, ConfigFile};
use crate::scan::git::Head;
use crate::scan::ignore_file::{IgnoreFile, find_own_ignore_file};
use crate::scan::{dockerfiles, groups};

use super::build_settings::{
    BuildSettings, build_args_of, check_target, configured_platform, frontend_of,
};
use super::contexts::{self, PathExists};
use super::root::{WorkspaceLocation, directory_of};
use super::{
    Invocation, attestations, build_contexts, names, paths, registry, removed_dependencies,
};

/// A repository, read and linked.
pub struct Workspace {
    /// Its root.
    pub root: PathBuf,
    /// The directory of the command, relative to the root.
    pub current: RelPath,
    /// The settings of its builds.
    pub builds: BuildSettings,
    /// The registry through which images are shared, if there is one.
    pub home: Option<RegistryNamespace>,
    /// The requested attestations of its images.
    pub attestations: Attestations,
    /// Its images and their dependencies.
    pub graph: Graph,
    /// The triggers of external images that the graph was evaluated with.
    pub triggers: ExternalTriggers,
    /// The diagnostics about its files.
    pub diagnostics: Vec<Diagnostic>,
    /// The diagnostics that are silenced.
    pub silence: Silence,
    /// The oldest frontend that must be able to read the Dockerfiles, if `layers.toml` sets one.
    pub frontend: Option<Frontend>,
    /// The content of `layers.toml`.
    pub config: ConfigFile,
    /// The HEAD that tags may be named after.
    pub head: Head,
}

/// Reads and links the repository that the options specify.
///
/// # Errors
/// Returns an error if the directory cannot be read or has no Dockerfiles, or if an option or an environment variable
/// has a value that is not valid.
pub fn load(at: &Invocation) -> anyhow::Result<Workspace> {
    load_with(at, true)
}

/// Reads and links the repository without the tags that are named after HEAD: a file that is committed with a graph
/// cannot contain the name of its own commit.
///
/// # Errors
/// As [`load`].
pub fn load_lasting(at: &Invocation) -> anyhow::Result<Workspace> {
    load_with(at, false)
}

fn load_with(at: &Invocation, names_head: bool) -> anyhow::Result<Workspace> {
    let location = WorkspaceLocation::of(at)?;
    location.check_settings(at)?;
    let WorkspaceLocation { start, root, settings } = location;
    let current = start.strip_prefix(&root).ok().and_then(RelPath::from_path);
    let (file, mistakes) = config::read(&root, &settings)?;
    let head = Head::of(&root);
    let named_after = names_head.then_some(&head);
    let (mut graph, builds, mut problems) =
        read_graph((&root, directory_of(&root)), &file, at, named_after, &exists_in(&root))?;
    let removed = removed_dependencies::find(&root, &file, at, named_after, &graph)?;
    replace_warnings(&mut problems, removed);
    let mut problems = once_each(mistakes.into_iter().chain(problems));
    let has_errors = problems.iter().any(Diagnostic::is_error);
    if graph.images.is_empty() && !has_errors {
        return Err(describe_nothing(&root, &file));
    }
    problems.extend(lint::doubts(&graph, &problems, &file.config.externals));
    let (silence, mistakes) = Silence::read(&graph, &file);
    problems.extend(mistakes);
    let (frontend, mistake) = frontend_of(&file);
    problems.extend(mistake);
    let (home, mistake) = registry::home_of(&at.global, &file)?;
    problems.extend(mistake);
    let (attestations, mistakes) = attestations::resolve(&at.global, &file);
    problems.extend(mistakes);
    let diagnostics = silence.apply(problems);
    graph.record_unresolved(&diagnostics);
    if !diagnostics.iter().any(Diagnostic::is_error) {
        // A file that cannot be read may be the one that has the stage.
        check_target(&at.global, &graph)?;
    }
    let current = current.unwrap_or_else(RelPath::root);
    Ok(Workspace {
        root,
        current,
        builds,
        home,
        attestations,
        graph,
        triggers: ExternalTriggers::new(),
        diagnostics,
        silence,
        frontend,
        config: file,
        head,
    })
}

impl Drop for Workspace {
    /// Freeing 10,000 images takes a sixth of a command's time, so a command does not wait for it.
    fn drop(&mut self) {
        let graph = std::mem::take(&mut self.graph);
        rayon::spawn(move || drop(graph));
    }
}

/// Returns whether paths below `root` exist on disk.
pub fn exists_in(root: &Path) -> impl Fn(&RelPath) -> bool + Sync {
    move |path| path.under(root).symlink_metadata().is_ok()
}

/// Reads the graph that a configuration describes, the settings of its builds, and the diagnostics about them. `directory`
/// is in the names of images where nothing else tells them. Without a `head`, tags that are named after it are omitted. `exists` tells which paths the contexts have.
///
/// # Errors
/// Returns an error if a directory cannot be read.
pub fn read_graph(
    (root, directory): (&Path, String),
    file: &ConfigFile,
    at: &Invocation,
    head: Option<&Head>,
    exists: PathExists<'_>,
) -> anyhow::Result<(Graph, BuildSettings, Vec<Diagnostic>)> {
    let (found, mut problems) = groups::find(root, file)?;
    let (naming, bad_values) = names::read(&at.global, &at.environment, file, directory, head)?;
    let (mut candidates, mistakes) = images::collect(&found, file, &naming);
    problems.extend(mistakes);
    build_contexts::add(&mut candidates, at)?;
    problems.extend(paths::look(root, &WorkspaceLocation::of(at)?.root, &mut candidates));
    let (read, unreadable): (Vec<_>, Vec<_>) = read_all(root, candidates).into_iter().unzip();
    problems.extend(unreadable.into_iter().flatten());
    problems.extend(configured_platform(file).err());
    let builds = BuildSettings::resolve(at, file)?;
    let (mut graph, mistakes) = link::link(read, &naming, &builds.link_settings(at));
    problems.extend(mistakes);
    contexts::infer(&mut graph, exists);
    graph.record_unresolved(&problems);
    problems.extend(lint::arguments::undeclared_settings(&graph, file, &found));
    if !bad_values.is_empty() {
        // They make all names invalid, and are reported once.
        problems.retain(|problem| problem.rule != Rule::InvalidName);
        problems.extend(bad_values);
    }
    Ok((graph, builds, problems))
}

/// Reads images for inspection: nothing is configured, and problems are not reported. Their names are sorted.
pub fn read_unnamed(root: &Path, candidates: Vec<Candidate>, at: &Invocation) -> Graph {
    let read = read_all(root, candidates).into_iter();
    let read = read.filter(|(_, problem)| problem.is_none()).map(|(image, _)| image).collect();
    let settings = LinkSettings {
        build_args: build_args_of(at),
        proxies: BuildProxies::default(),
        platform: at.global.platform.clone(),
        build_platform: Platform::of_this_machine(),
        ..LinkSettings::default()
    };
    link::link(read, &NamingSettings::default(), &settings).0
}

/// Adds errors about references, in place of the warnings about the same references.
fn replace_warnings(problems: &mut Vec<Diagnostic>, errors: Vec<Diagnostic>) {
    let position = |problem: &Diagnostic| {
        let label = problem.labels.first()?;
        Some((label.source.path().clone(), label.span))
    };
    let positions: HashSet<_> = errors.iter().filter_map(position).collect();
    problems.retain(|problem| {
        !matches!(problem.rule, Rule::UnknownSibling | Rule::SiblingTag)
            || position(problem).is_none_or(|it| !positions.contains(&it))
    });
    problems.extend(errors);
}

/// Removes duplicates: images may share a Dockerfile, an ignore file, or a setting, whose problems are reported once.
pub fn once_each(problems: impl Iterator<Item = Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    problems
        .filter(|problem| {
            let labels = problem.labels.iter();
            let locations: Vec<_> =
                labels.map(|label| (label.source.path().clone(), label.span)).collect();
            seen.insert((problem.rule, problem.message.clone(), locations))
        })
        .collect()
}

impl Workspace {
    /// Reads the workspace and the ignore files of its contexts, and prints the diagnostics.
    ///
    /// # Errors
    /// As [`load`]; also returns an error if a file has an error.
    pub fn open(at: &Invocation) -> anyhow::Result<Workspace> {
        let mut workspace = load(at)?;
        workspace.read_ignore_files();
        workspace.refuse_errors(at)?;
        Ok(workspace)
    }

    /// Reads the workspace for commands that do not need the contexts, and prints the diagnostics.
    ///
    /// # Errors
    /// As [`Workspace::open`].
    pub fn open_graph(at: &Invocation) -> anyhow::Result<Workspace> {
        let workspace = load(at)?;
        workspace.refuse_errors(at)?;
        Ok(workspace)
    }

    /// Reads the workspace and the ignore files of its contexts, for commands that stop only at errors that concern the
    /// images they select: see [`Workspace::refuse_errors_of`].
    ///
    /// # Errors
    /// As [`load`]; also returns an error if a file has an error that concerns all images.
    pub fn open_in_part(at: &Invocation) -> anyhow::Result<Workspace> {
        let mut workspace = load(at)?;
        workspace.read_ignore_files();
        if workspace.has_common_error() {
            workspace.refuse_errors(at)?;
        }
        Ok(workspace)
    }

    /// Returns what a file generated for another program contains in addition to the graph. `command` is the command
    /// line that generates it, without some images that cannot be built.
    pub fn recipe(&self, command: String, unbuildable: &Unbuildable) -> Recipe<'_> {
        let left_out = unbuildable.keys().map(|id| self.graph.images[*id].name.as_str());
        let config = &self.config.config;
        Recipe {
            command,
            left_out: left_out.collect(),
            platform: self.builds.lasting_platform.as_ref(),
            attestations: &self.attestations,
            secrets: &config.secrets,
            ssh: config.ssh.iter().map(|setting| setting.get_ref().as_str()).collect(),
        }
    }

    /// Also reads the ignore files of all images, and adds the diagnostics about them.
    pub fn read_ignore_files(&mut self) {
        let unreadable = self.diagnostics.iter().filter(|it| it.rule == Rule::UnreadableFile);
        let labels = unreadable.flat_map(|it| &it.labels);
        let reported: HashSet<&RelPath> = labels.map(|label| label.source.path()).collect();
        // The directory of a Dockerfile that cannot be read often cannot be read either.
        let images = self.graph.images.values().as_slice().par_iter();
        let images = images.filter(|image| !reported.contains(&image.dockerfile));
        let problems = images.flat_map_iter(|image| {
            let own = IgnoreFile::load(&self.root, &image.dockerfile, &image.context);
            let named = image.directories().into_keys().map(|directory| {
                let directory = ContextDirectory::at(directory).under(&self.root);
                let file = find_own_ignore_file(&directory)?;
                IgnoreFile::read(&self.root, file.as_deref())
            });
            let problems_of = |loaded: std::io::Result<(IgnoreFile, Vec<Diagnostic>)>| {
                loaded.map_or_else(
                    |error| vec![describe_unreadable(&self.root, image, &error)],
                    |(_, problems)| problems,
                )
            };
            named.chain([own]).flat_map(problems_of).collect::<Vec<_>>()
        });
        let problems: Vec<Diagnostic> = problems.collect();
        self.diagnostics.extend(once_each(problems.into_iter()));
    }

    /// Evaluates the images that are built on externals with the triggers of these externals, and prints the new
    /// diagnostics. Returns whether any trigger was new.
    ///
    /// # Errors
    /// Returns an error if a trigger is not valid in an image, or if it creates a cycle.
    pub fn learn_triggers(
        &mut self,
        reported: ExternalTriggers,
        at: &Invocation,
    ) -> anyhow::Result<bool> {
        if reported.keys().all(|id| self.triggers.contains_key(id)) {
            return Ok(false);
        }
        let start = self.diagnostics.len();
        let problems = self.silence.apply(self.graph.learn_triggers(&reported));
        self.triggers = reported;
        let all = std::mem::take(&mut self.diagnostics).into_iter().chain(problems);
        self.diagnostics = once_each(all);
        let new = self.diagnostics.get(start..).unwrap_or_default();
        printer::err(&diagnostics::draw(new, at.paint))?;
        match new.iter().any(Diagnostic::is_error) {
            true => Err(printed(ErrorKind::Files).into()),
            false => Ok(true),
        }
    }

    /// Evaluates the images without the triggers of externals again, so that the graph is as the Dockerfiles say.
    pub fn forget_triggers(&mut self) {
        let known = std::mem::take(&mut self.triggers).into_keys();
        let none: ExternalTriggers = known.map(|external| (external, Vec::new())).collect();
        if !none.is_empty() {
            // The diagnostics were reported when the files were read.
            drop(self.graph.learn_triggers(&none));
        }
    }

    /// Prints the diagnostics.
    ///
    /// # Errors
    /// Returns an error if one of them is an error, unless it only hides the base of its image.
    pub fn refuse_errors(&self, at: &Invocation) -> anyhow::Result<()> {
        printer::err(&diagnostics::draw(&self.diagnostics, at.paint))?;
        match self.diagnostics.iter().any(|it| it.is_error() && !it.rule.hides_base()) {
            true => Err(printed(ErrorKind::Files).into()),
            false => Ok(()),
        }
    }
}

fn describe_unreadable(root: &Path, image: &Image, error: &std::io::Error) -> Diagnostic {
    // The error names the file by its absolute path.
    let message = error.to_string().replace(&format!("{}/", visible_path(root)), "");
    let source = Source::new(image.dockerfile.clone(), "");
    Diagnostic::new(Rule::UnreadableFile, message).at(&source, Span::default(), "")
}

fn describe_nothing(root: &Path, file: &ConfigFile) -> anyhow::Error {
    let globs = match file.globs(&dockerfiles::DEFAULT_GLOBS) {
        globs if globs.is_empty() => Cow::from("the groups of `layers.toml`"),
        globs => list(&globs).into(),
    };
    usage(format!("no Dockerfile found in `{}`: searched for {globs}", visible_path(root)))
        .hint("set their location in `layers.toml`: dockerfiles = [\"images/*/Dockerfile\"]")
        .into()
}

/// Reads the Dockerfiles of images. One that cannot be read is empty, and has a diagnostic: its image is still one that
/// others depend on.
fn read_all(root: &Path, candidates: Vec<Candidate>) -> Vec<(ParsedImage, Option<Diagnostic>)> {
    let read_one = |mut candidate: Candidate| match dockerfiles::read(root, &candidate.dockerfile) {
        Ok(text) => {
            let mut file = parse::parse(&text.source);
            file.diagnostics.extend(parse::describe_not_utf8(&text.source, &text.replaced));
            (ParsedImage { candidate, file }, None)
        }
        Err(problem) => {
            candidate.is_unreadable = true;
            let mut file = parse::parse(&Source::new(candidate.dockerfile.clone(), ""));
            file.diagnostics.clear();
            (ParsedImage { candidate, file }, Some(*problem))
        }
    };
    candidates.into_par_iter().map(read_one).collect()
}
