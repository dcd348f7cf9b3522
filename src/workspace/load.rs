//! The part of the pipeline that all verbs share: options → sources → Dockerfiles → graph.
//!
//! Owns where the repository begins and which setting wins.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rayon::prelude::*;

use crate::base::error::{ErrorKind, printed, usage};
use crate::base::screen::{visible, visible_path};
use crate::base::text::{closest, list};
use crate::base::{Diagnostic, Platform, RelPath, Rule, Source, Span};
use crate::cli::Global;
use crate::credentials::BuildProxies;
use crate::engine::Attestations;
use crate::engine::Frontend;
use crate::graph::images::{self, Candidate};
use crate::graph::link::{self, ExternalTriggers, Read, Wanted};
use crate::graph::naming::{self, Wishes};
use crate::graph::{Graph, Image};
use crate::lint::{self, Silence};
use crate::parse;
use crate::plan::Home;
use crate::report::{diagnostics, say};
use crate::scan::config::{self, ConfigFile};
use crate::scan::git::Head;
use crate::scan::ignore_file::IgnoreFile;
use crate::scan::{dockerfiles, groups};
use crate::state::Memory;

use super::environment::Environment;
use super::{Invocation, attestations, names, paths, proxies, registry};

/// The variable that says which time builds are to take for now
/// (<https://reproducible-builds.org/docs/source-date-epoch/>).
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The variable that says which platform builds are for (docker/cli, `cli/command/image/build.go`).
const DEFAULT_PLATFORM: &str = "DOCKER_DEFAULT_PLATFORM";

/// A repository, read and linked.
pub struct Workspace {
    /// Its root.
    pub root: PathBuf,
    /// Where the command was given, below the root.
    pub current: RelPath,
    /// The platform to build for, where one is asked for.
    pub platform: Option<Platform>,
    /// The same without the environment, for files that are kept.
    pub lasting_platform: Option<Platform>,
    /// The registry through which images are shared, where there is one.
    pub home: Option<Home>,
    /// What the engine is to attest of them.
    pub attestations: Attestations,
    /// The proxies that builds get, where the docker configuration has any.
    pub proxies: BuildProxies,
    /// Its images and what they need.
    pub graph: Graph,
    /// The triggers of external images that the graph was evaluated with.
    pub triggers: ExternalTriggers,
    /// What is wrong with its files.
    pub diagnostics: Vec<Diagnostic>,
    /// What is not to be told.
    pub silence: Silence,
    /// The oldest frontend that is to read the Dockerfiles, where `layers.toml` says so.
    pub frontend: Option<Frontend>,
    /// What `layers.toml` says.
    pub config: ConfigFile,
    /// What tags may be named after.
    pub head: Head,
}

/// Reads and links the repository that the options mean.
///
/// # Errors
/// Where the folder can't be read, or has no Dockerfiles; where an option or a variable of the
/// environment has a value that can't be.
pub fn load(global: &Global, at: &Invocation) -> anyhow::Result<Workspace> {
    load_with(global, at, true)
}

/// The same without the tags that are named after HEAD: what is committed with a graph can't hold
/// the name of its own commit.
///
/// # Errors
/// As [`load`].
pub fn load_lasting(global: &Global, at: &Invocation) -> anyhow::Result<Workspace> {
    load_with(global, at, false)
}

fn load_with(global: &Global, at: &Invocation, names_head: bool) -> anyhow::Result<Workspace> {
    let start = start_folder(global)?;
    let root = find_root(&start);
    let current = start.strip_prefix(&root).ok().and_then(RelPath::from_path);
    let (file, mistakes) = config::read(&root)?;
    let head = Head::of(&root);
    let (graph, problems) = read_graph(&root, &file, global, at, names_head.then_some(&head))?;
    let mut problems = once_each(mistakes.into_iter().chain(problems));
    let has_errors = problems.iter().any(Diagnostic::is_error);
    if graph.images.is_empty() && !has_errors {
        return Err(describe_nothing(&root, &file));
    }
    problems.extend(lint::doubts(&graph, &problems));
    let (silence, mistakes) = Silence::read(&graph, &file);
    problems.extend(mistakes);
    let (frontend, mistake) = frontend_of(&file);
    problems.extend(mistake);
    let (home, mistake) = registry::home_of(global, &file)?;
    problems.extend(mistake);
    let (attestations, mistakes) = attestations::wanted(global, &file);
    problems.extend(mistakes);
    let diagnostics = silence.apply(problems);
    if !diagnostics.iter().any(Diagnostic::is_error) {
        // A file that can't be read may be the one that has the stage.
        check_target(global, &graph)?;
    }
    let current = current.unwrap_or_else(RelPath::root);
    let platform = platform_of(global, &at.environment, &file)?;
    let lasting_platform = lasting_platform(global, &file);
    // A configuration that can't be read matters to those alone that need an engine.
    let proxies = proxies::read(at).unwrap_or_default();
    let config = file;
    Ok(Workspace {
        root,
        current,
        platform,
        lasting_platform,
        home,
        attestations,
        proxies,
        graph,
        triggers: ExternalTriggers::new(),
        diagnostics,
        silence,
        frontend,
        config,
        head,
    })
}

impl Drop for Workspace {
    /// Taking 10,000 images apart costs a sixth of a command's time, so a command does not wait for it.
    fn drop(&mut self) {
        let graph = std::mem::take(&mut self.graph);
        rayon::spawn(move || drop(graph));
    }
}

/// The graph that a configuration describes, and what is wrong with it. Without a `head`, tags that are
/// named after it are left out.
///
/// # Errors
/// Where a folder can't be read.
pub fn read_graph(
    root: &Path,
    file: &ConfigFile,
    global: &Global,
    at: &Invocation,
    head: Option<&Head>,
) -> anyhow::Result<(Graph, Vec<Diagnostic>)> {
    let (found, mut problems) = groups::find(root, file)?;
    let folder = folder_of(root);
    let (wishes, bad_values) = names::read(global, &at.environment, file, folder, head)?;
    let (mut candidates, mistakes) = images::collect(&found, file, &wishes);
    problems.extend(mistakes);
    problems.extend(paths::look(root, &mut candidates));
    let (read, unreadable) = read_all(root, candidates);
    problems.extend(unreadable);
    problems.extend(configured_platform(file).err());
    let wanted = wanted_of(global, at, file)?;
    let (graph, mistakes) = link::link(read, &wishes, &wanted);
    problems.extend(mistakes);
    if !bad_values.is_empty() {
        // They make all names invalid, and are said once.
        problems.retain(|problem| problem.rule != Rule::InvalidName);
        problems.extend(bad_values);
    }
    Ok((graph, problems))
}

/// What the repository's folder gives as a part of names.
pub fn folder_of(root: &Path) -> String {
    let folder = root.file_name().map(|name| name.to_string_lossy().into_owned());
    naming::as_app(&folder.unwrap_or_default())
}

/// The images of some Dockerfiles, for looking into them: their names are their paths, and nothing
/// is complained about.
pub fn read_unnamed(
    root: &Path,
    mut paths: Vec<RelPath>,
    global: &Global,
    at: &Invocation,
) -> Graph {
    paths.sort_unstable();
    let candidates = paths.into_iter().map(|path| Candidate::new(path.as_str().to_owned(), path));
    let (read, _) = read_all(root, candidates.collect());
    let wanted = Wanted {
        build_args: build_args_of(global, &at.environment),
        proxies: BuildProxies::default(),
        platform: global.platform.clone(),
        build_platform: Platform::of_this_machine(),
        target: None,
    };
    link::link(read, &Wishes::default(), &wanted).0
}

/// Images may share a Dockerfile or a setting; what is wrong with it is said once.
pub fn once_each(problems: impl Iterator<Item = Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    problems
        .filter(|problem| {
            let labels = problem.labels.iter();
            let places: Vec<_> =
                labels.map(|label| (label.source.path().clone(), label.span)).collect();
            seen.insert((problem.rule, problem.message.clone(), places))
        })
        .collect()
}

impl Workspace {
    /// Reads the workspace and the ignore files of its contexts, and prints what is wrong.
    ///
    /// # Errors
    /// As [`load`]; and where a file has an error, which forbids going on.
    pub fn open(global: &Global, at: &Invocation) -> anyhow::Result<Workspace> {
        let mut workspace = load(global, at)?;
        workspace.read_ignore_files();
        workspace.refuse_errors(at)?;
        Ok(workspace)
    }

    /// The same for commands that look into no context.
    ///
    /// # Errors
    /// As [`Workspace::open`].
    pub fn open_graph(global: &Global, at: &Invocation) -> anyhow::Result<Workspace> {
        let workspace = load(global, at)?;
        workspace.refuse_errors(at)?;
        Ok(workspace)
    }

    /// Reads the ignore files of all images too; what is wrong with them joins the rest.
    pub fn read_ignore_files(&mut self) {
        let images: Vec<&Image> = self.graph.images.values().collect();
        let problems: Vec<Vec<Diagnostic>> = images
            .par_iter()
            .map(|image| {
                let loaded = IgnoreFile::load(&self.root, &image.dockerfile, &image.context);
                loaded.map_or_else(
                    |error| vec![describe_unreadable(&self.root, image, &error)],
                    |(_, problems)| problems,
                )
            })
            .collect();
        let mut seen = BTreeSet::new();
        for problem in problems.into_iter().flatten() {
            let place = problem.labels.first().map(|label| label.source.place(label.span));
            // Images may share a context, and with it an ignore file.
            if seen.insert((place, problem.message.clone())) {
                self.diagnostics.push(problem);
            }
        }
    }

    /// Evaluates what is built on external images with the triggers that these carry, and prints what is
    /// wrong then. Returns whether there was anything new.
    ///
    /// # Errors
    /// If a trigger is not valid there, or makes images depend on one another.
    pub fn learn_triggers(
        &mut self,
        reported: ExternalTriggers,
        at: &Invocation,
    ) -> anyhow::Result<bool> {
        if reported.keys().all(|id| self.triggers.contains_key(id)) {
            return Ok(false);
        }
        let known = self.diagnostics.len();
        let problems = self.silence.apply(self.graph.learn_triggers(&reported));
        self.triggers = reported;
        let all = std::mem::take(&mut self.diagnostics).into_iter().chain(problems);
        self.diagnostics = once_each(all);
        let new = self.diagnostics.get(known..).unwrap_or_default();
        say::err(&diagnostics::draw(new, at.paint))?;
        match new.iter().any(Diagnostic::is_error) {
            true => Err(printed(ErrorKind::Files).into()),
            false => Ok(true),
        }
    }

    /// Prints what is wrong.
    ///
    /// # Errors
    /// Where there is an error, which forbids going on.
    pub fn refuse_errors(&self, at: &Invocation) -> anyhow::Result<()> {
        say::err(&diagnostics::draw(&self.diagnostics, at.paint))?;
        match self.diagnostics.iter().any(Diagnostic::is_error) {
            true => Err(printed(ErrorKind::Files).into()),
            false => Ok(()),
        }
    }
}

fn frontend_of(file: &ConfigFile) -> (Option<Frontend>, Option<Diagnostic>) {
    let Some(setting) = &file.config.check.frontend else { return (None, None) };
    let version = Frontend::parse(setting.get_ref());
    let mistake = version.is_none().then(|| {
        let message = format!("`{}` is no version of Docker's frontend", setting.get_ref());
        Diagnostic::new(Rule::Config, message)
            .at(&file.source, ConfigFile::span(setting), "")
            .hint("write it as `frontend = \"1.4\"`")
    });
    (version, mistake)
}

fn describe_unreadable(root: &Path, image: &Image, error: &std::io::Error) -> Diagnostic {
    // The error names the file by its whole path.
    let message = error.to_string().replace(&format!("{}/", visible_path(root)), "");
    let source = Source::new(image.dockerfile.clone(), "");
    Diagnostic::new(Rule::UnreadableFile, message).at(&source, Span::default(), "")
}

/// The folder that the command means.
///
/// # Errors
/// Where there is none.
pub fn start_folder(global: &Global) -> anyhow::Result<PathBuf> {
    let current = std::env::current_dir().context("can't tell the current folder")?;
    let Some(wanted) = &global.directory else { return Ok(current) };
    let folder = current.join(wanted);
    let found = folder.canonicalize();
    let found = found.map_err(|error| usage(format!("`{}`: {error}", visible_path(wanted))))?;
    if !found.is_dir() {
        return Err(usage(format!("`{}` is no folder", visible_path(wanted))).into());
    }
    Ok(found)
}

/// The nearest folder from `start` upwards that has a `layers.toml` or Dockerfiles where they
/// are looked for; it does not look beyond the repository that git knows. `start` itself where
/// there is none.
pub fn find_root(start: &Path) -> PathBuf {
    for folder in start.ancestors() {
        if folder.join(config::FILE_NAME).is_file() || dockerfiles::has_any(folder) {
            return folder.to_owned();
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    start.to_owned()
}

/// What is remembered at a root, with a warning where a part of it is not used.
///
/// # Errors
/// Where it can't be warned.
pub fn memory(root: &Path, at: &Invocation) -> anyhow::Result<Memory> {
    let memory = Memory::of(root);
    memory.trouble().map_or(Ok(()), |trouble| say::warning(&trouble, at.paint))?;
    Ok(memory)
}

/// The same for a command that is about nothing else.
///
/// # Errors
/// Where a part of it is not used.
pub fn own_memory(root: &Path) -> anyhow::Result<Memory> {
    let memory = Memory::of(root);
    memory.trouble().map_or(Ok(memory), |trouble| Err(anyhow::anyhow!(trouble)))
}

fn describe_nothing(root: &Path, file: &ConfigFile) -> anyhow::Error {
    let globs = match file.globs(&dockerfiles::DEFAULT_GLOBS) {
        globs if globs.is_empty() => Cow::from("the groups of `layers.toml`"),
        globs => list(&globs).into(),
    };
    usage(format!("no Dockerfile in `{}`: looked for {globs}", visible_path(root)))
        .hint("say where they lie in `layers.toml`: dockerfiles = [\"images/*/Dockerfile\"]")
        .into()
}

fn read_all(root: &Path, candidates: Vec<Candidate>) -> (Vec<Read>, Vec<Diagnostic>) {
    let results: Vec<Result<Read, Box<Diagnostic>>> = candidates
        .into_par_iter()
        .map(|candidate| {
            let source = dockerfiles::read(root, &candidate.dockerfile)?;
            Ok(Read { file: parse::parse(&source), candidate })
        })
        .collect();
    let mut read = Vec::with_capacity(results.len());
    let mut problems = Vec::new();
    for result in results {
        match result {
            Ok(image) => read.push(image),
            Err(problem) => problems.push(*problem),
        }
    }
    (read, problems)
}

fn wanted_of(global: &Global, at: &Invocation, file: &ConfigFile) -> anyhow::Result<Wanted> {
    Ok(Wanted {
        build_args: build_args_of(global, &at.environment),
        proxies: proxies::read(at).unwrap_or_default(),
        platform: platform_of(global, &at.environment, file)?,
        build_platform: Platform::of_this_machine(),
        target: global.target.clone(),
    })
}

/// `NAME=VALUE`, or `NAME` for the environment's value; one that the environment lacks is left
/// out, as `docker build` does. So does the time of reproducible builds, which the environment gives
/// without being asked (docker/buildx, `commands/build.go`).
pub fn build_args_of(global: &Global, env: &Environment) -> BTreeMap<String, String> {
    let given = global.build_args.iter().filter_map(|argument| match argument.split_once('=') {
        None => Some((argument.as_str(), env.var(argument)?)),
        both => both,
    });
    let epoch = env.set_var(SOURCE_DATE_EPOCH).map(|epoch| (SOURCE_DATE_EPOCH, epoch));
    // What is given comes last, and wins.
    let all = epoch.into_iter().chain(given);
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The platform that is asked for: by the command line, else by the environment, else by
/// `layers.toml`; the engine's own where none is.
///
/// # Errors
/// Where the environment has a value that is no platform.
pub fn platform_of(
    global: &Global,
    env: &Environment,
    file: &ConfigFile,
) -> anyhow::Result<Option<Platform>> {
    let Some(given) = env.set_var(DEFAULT_PLATFORM).filter(|_| global.platform.is_none()) else {
        return Ok(lasting_platform(global, file));
    };
    if let Ok(platform) = given.parse() {
        return Ok(Some(platform));
    }
    let (what, hint) = match given.contains(',') {
        true => ("several platforms, and a run builds for one", "set it to one of them"),
        false => ("not a platform", "set it to one such as `linux/arm64`"),
    };
    let shown = given.escape_debug();
    let message = format!("{DEFAULT_PLATFORM} is `{shown}`, which is {what}");
    Err(usage(message).hint(format!("{hint}, or pass --platform")).into())
}

/// The same for files that are kept: the environment is that of whoever makes them, not of whoever
/// builds by them.
fn lasting_platform(global: &Global, file: &ConfigFile) -> Option<Platform> {
    // A mistake in the file is reported with the graph.
    global.platform.clone().or_else(|| configured_platform(file).ok().flatten())
}

/// The platform that `layers.toml` names.
fn configured_platform(file: &ConfigFile) -> Result<Option<Platform>, Diagnostic> {
    let Some(setting) = &file.config.platform else { return Ok(None) };
    setting.get_ref().parse().map(Some).map_err(|_| {
        let message = format!("`{}` is not a platform", visible(setting.get_ref()));
        Diagnostic::new(Rule::InvalidPlatform, message)
            .at(&file.source, ConfigFile::span(setting), "")
            .hint("set it to one such as `linux/arm64`")
    })
}

/// Refuses a `--target` that no Dockerfile has.
///
/// # Errors
/// Where that is so.
pub fn check_target(global: &Global, graph: &Graph) -> anyhow::Result<()> {
    let Some(target) = &global.target else { return Ok(()) };
    if graph.images.values().any(|image| image.target.as_ref() == Some(target)) {
        return Ok(());
    }
    let stages = graph.images.values().flat_map(|image| &image.file.stages);
    let names: BTreeSet<&str> =
        stages.filter_map(|stage| Some(stage.name.as_ref()?.value.as_str())).collect();
    let error = usage(format!("no Dockerfile has a stage `{target}`"));
    Err(match closest(&target.to_lowercase(), names) {
        Some(near) => error.hint(format!("did you mean `{near}`?")).into(),
        None => error.into(),
    })
}
