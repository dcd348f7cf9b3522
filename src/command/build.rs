//! `layers build`: the whole pipeline, up to images in the engine's store.

use crate::base::clock;
use crate::base::error::{ErrorKind, printed, usage};
use crate::base::text::list;
use crate::cli::{BuildArgs, Progress, PushOption, command_line};
use crate::exit::Exit;
use crate::graph::pins::Pins;
use crate::lint::build_checks;
use crate::lint::frontend::{newer_than, passes_over_epoch};
use crate::plan::LostImages;
use crate::report::{diagnostics, plan, printer};
use crate::schedule::{BuildRun, OnFailure, RunOptions};
use crate::session::entitlements;
use crate::session::image_provider::{ImageRequest, connect};
use crate::session::metadata;
use crate::session::observers::{Observers, view_of};
use crate::session::publish::Publishing;
use crate::session::pull::Pull;
use crate::session::run_pages::PagesOption;
use crate::session::secrets::{PreparedSecrets, SecretOptions};
use crate::session::selection::{self, Selection, Selectors};
use crate::session::slots::slots;
use crate::session::{Session, signals};
use crate::workspace::load::Workspace;
use crate::workspace::root::WorkspaceLocation;
use crate::workspace::{Invocation, lock, registry, root};

pub fn run(options: &BuildArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let lost = LostImages::default();
    loop {
        let known = lost.count();
        let exit = run_once(options, &lost, at)?;
        if exit == Exit::Done || matches!(exit, Exit::Signal(_)) || lost.count() == known {
            return Ok(exit);
        }
        // Each time, the registry has at least one image less.
        printer::note("planning again without the images of which the registry has lost a part\n")?;
    }
}

/// Plans and builds. Images that are `lost` are not taken from the registry; those that turn out to be are added.
fn run_once(options: &BuildArgs, lost: &LostImages, at: &Invocation) -> anyhow::Result<Exit> {
    let location = WorkspaceLocation::of(at)?;
    location.check_settings(at)?;
    if options.images.is_empty() && !options.all && options.since.is_none() {
        return Err(usage("no images specified: name at least one, or pass --all")
            .hint("`layers list` shows all images")
            .into());
    }
    if options.progress == Progress::Tty && !at.environment.has_terminal() {
        let message = "`--progress tty` needs a terminal, but stderr is not a terminal";
        return Err(usage(message).hint("omit it, or use `--progress plain`").into());
    }
    let start = location.start;
    let secret_options = SecretOptions::read(options, &start, at)?;
    let selectors = Selectors {
        images: &options.images,
        excluded: &options.exclude,
        since: options.since.as_deref(),
    };
    let (mut workspace, mut selected) = selection::open(selectors, at)?;
    let unbuildable = std::mem::take(&mut selected.unbuildable);
    let mut request = request_of(options, &workspace, selected, at);
    request.pins = lock::pins_of(options.locked, &workspace, at)?;
    request.lost = lost.clone();
    let push = request.push;
    if let (Some(revision), true) = (&options.since, request.selected.named.is_empty()) {
        if unbuildable.is_empty() {
            printer::note(&format!("no images changed since `{revision}`\n"))?;
        }
        return selection::finish(Exit::Done, &unbuildable, &workspace.graph);
    }
    selection::warn_of_arguments(&workspace, &request.selected, at)?;
    let engine = connect(options.engine.engine, at)?;
    let mut session = Session::open(&mut workspace, request, engine.as_ref(), at)?;
    let (workspace, todo) = (session.workspace, &session.plan);
    if options.dry_run {
        drop(root::state(&workspace.root, at)?);
        printer::out(&plan::draw(todo, &workspace.graph, at.global.verbose))?;
        return selection::finish(Exit::Done, &unbuildable, &workspace.graph);
    }
    warn_of_age(&session, at)?;
    refuse_failed_checks(&session, at)?;
    session.provider.entitlements =
        entitlements::grant(&session, secret_options.entitlements(), at)?;
    let prepared = secret_options.complete(&session, at)?;
    report_secrets(&prepared, at)?;
    session.provider.secrets = prepared.secrets.clone();
    let pages = PagesOption {
        page: options.timings.as_ref(),
        trace: options.trace.as_ref(),
        start: &start,
    };
    let exit = perform(options, &session, push, &pages, at)?;
    selection::finish(exit, &unbuildable, &session.workspace.graph)
}

/// Prints warnings about the secrets that builds get, which secrets are withheld, and which variables they come from.
fn report_secrets(prepared: &PreparedSecrets, at: &Invocation) -> anyhow::Result<()> {
    printer::err(&diagnostics::draw(&prepared.doubts, at.paint))?;
    for message in &prepared.withheld {
        printer::warning(message, at.paint)?;
    }
    printer::note(&prepared.announced)
}

fn request_of(
    options: &BuildArgs,
    workspace: &Workspace,
    selected: Selection,
    at: &Invocation,
) -> ImageRequest {
    ImageRequest {
        selected,
        force: options.force || options.no_cache,
        no_cache: options.no_cache,
        pull: pull_of(options),
        report: progress(options, at) != Progress::Quiet,
        push: registry::push_of(options.push, &workspace.config),
        load: options.load,
        attests: true,
        pins: Pins::default(),
        lost: LostImages::default(),
    }
}

/// Runs the plan and shows its progress.
fn perform(
    options: &BuildArgs,
    session: &Session<'_>,
    push: PushOption,
    pages: &PagesOption<'_>,
    at: &Invocation,
) -> anyhow::Result<Exit> {
    let Session { workspace, engine, info, provider, plan } = session;
    let publishing = Publishing::of(session, push, options.force_tags, at);
    let warn_unrecorded = || publishing.as_ref().map_or(Ok(()), |it| it.warn_unrecorded(at));
    warn_unrecorded()?;
    let run_options = RunOptions {
        engine: format!("{} {}", info.name, info.version).trim_end().to_owned(),
        command: command_line::as_given(at.environment.arguments(), provider.secrets.mask()),
        jobs: slots(options.jobs, plan.stale_images().count(), *engine),
        push_jobs: usize::from(options.push_jobs),
        on_failure: match (options.keep_going, options.fail_fast) {
            (true, _) => OnFailure::KeepGoing,
            (false, true) => OnFailure::Cancel,
            (false, false) => OnFailure::Finish,
        },
        retries: options.retries,
        timeout: options.timeout,
    };
    let publisher = publishing.as_ref().map(|publishing| publishing as _);
    let run = BuildRun::new(plan, provider, *engine, publisher, run_options);
    signals::listen(run.interrupter())?;
    let began = clock::now();
    let view = view_of(progress(options, at), began, &workspace.root, at);
    let state = &provider.freshness.state;
    let mut observers = Observers::new(view, began, state, pages.is_any());
    run.execute(&mut observers);
    let record = observers.leave(&provider.freshness, at)?;
    provider.warn_about_state(at)?;
    warn_unrecorded()?;
    let exit = Exit::from(&record.tally);
    if let (Some(file), Exit::Done) = (&options.metadata_file, exit) {
        metadata::write(&pages.start.join(file), session, publishing.as_ref(), &record)?;
    }
    pages.write(record, began, state, at)?;
    Ok(exit)
}

/// Warns about what the engine's own frontend does not support, before it reports that in its own way.
fn warn_of_age(session: &Session<'_>, at: &Invocation) -> anyhow::Result<()> {
    let Session { workspace, info, plan, .. } = session;
    let Some(frontend) = info.frontend else { return Ok(()) };
    let images = plan.stale_images().map(|image| &workspace.graph.images[image]);
    let mut problems = newer_than(images.clone(), frontend);
    problems.extend(passes_over_epoch(images, frontend));
    printer::err(&diagnostics::draw(&workspace.silence.apply(problems), at.paint))
}

/// Reports the checks of Dockerfiles with `error=true` that fail, before the engine refuses to build.
///
/// # Errors
/// Returns an error if a check of an image that is to be built fails.
fn refuse_failed_checks(session: &Session<'_>, at: &Invocation) -> anyhow::Result<()> {
    let Session { workspace, info, plan, .. } = session;
    let images = plan.stale_images().map(|image| &workspace.graph.images[image]);
    let failed = images.clone().filter_map(|image| build_checks::failed(image, info.frontend));
    let problems = failed.flatten().map(|check| check.diagnostic).collect();
    let problems = workspace.silence.apply(problems);
    if !problems.is_empty() {
        printer::err(&diagnostics::draw(&problems, at.paint))?;
        return Err(printed(ErrorKind::Files).into());
    }
    let files = build_checks::undecided(images, info.frontend);
    if files.is_empty() {
        return Ok(());
    }
    printer::note(&format!("the engine decides about the other checks of {}\n", list(files)))
}

/// Returns the style of progress. JSON is data, which `--quiet` keeps; plain lines report all steps.
fn progress(options: &BuildArgs, at: &Invocation) -> Progress {
    match options.progress {
        Progress::Json => Progress::Json,
        _ if at.global.quiet => Progress::Quiet,
        Progress::Auto if at.global.verbose => Progress::Plain,
        other => other,
    }
}

fn pull_of(options: &BuildArgs) -> Pull {
    match (options.dry_run, options.pull) {
        (true, _) => Pull::Nothing,
        (false, true) => Pull::Newer,
        (false, false) => Pull::Missing,
    }
}
