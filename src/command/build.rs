//! `layers build`: the whole pipeline, down to images in the engine.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::base::{ImageId, clock};
use crate::cli::{Build, Global, Progress};
use crate::engine::{Engine, EngineInfo};
use crate::exit::{Exit, usage};
use crate::graph::lint::frontend::{newer_than, passes_over_epoch};
use crate::graph::lock::Pins;
use crate::plan::Plan;
use crate::report::github::Groups;
use crate::report::json_lines::JsonLines;
use crate::report::live::{Live, Terminal};
use crate::report::paint::Paint;
use crate::report::plain::Plain;
use crate::report::{Reporter, diagnostics, plan, say};
use crate::schedule::{Interrupter, OnFailure, Options, Run, Tally};
use crate::session::externals::survey;
use crate::session::image_provider::{self, Kitchen, Wish};
use crate::session::observers::Audience;
use crate::session::publish::Publishing;
use crate::session::pull::Pull;
use crate::session::secrets::{Asking, Gifts, Given};
use crate::session::selection::{self, Words};
use crate::session::{attest, consent};
use crate::workspace::load::{self, Repository};
use crate::workspace::{Surroundings, lock, registry};

use super::report::Wanted;

pub fn run(options: &Build, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    if options.images.is_empty() && !options.all && options.since.is_none() {
        return Err(usage("name images, or `--all`\nhint: `layers list` shows those there are"));
    }
    if options.progress == Progress::Tty && !at.environment.has_terminal() {
        let message = "`--progress tty` needs a terminal, and the standard error stream is none";
        return Err(usage(format!("{message}\nhint: leave it out, or say `--progress plain`")));
    }
    let start = load::start_folder(global)?;
    let given = Given::read(options, &start, at)?;
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    let mut wish = wish_of(options, &repository, global, at)?;
    match lock::pins_of(options.locked, &repository, at)? {
        Ok(pins) => wish.pins = pins,
        Err(exit) => return Ok(exit),
    }
    let push = wish.push;
    if let (Some(revision), true) = (&options.since, wish.chosen.named.is_empty()) {
        say::err(&format!("no image differs from `{revision}`\n"))?;
        return Ok(Exit::Done);
    }
    selection::warn_of_arguments(&repository, &wish.chosen, global, at)?;
    let engine = image_provider::connect(options.engine.engine, at)?;
    let info = engine.describe()?;
    attest::check(&repository.attestations, engine.as_ref(), &info)?;
    let survey = survey(&mut repository, &mut wish, engine.as_ref(), &info, at)?;
    let (kitchen, todo) = Kitchen::open(&repository, wish, survey, (engine.as_ref(), &info), at)?;
    if options.dry_run {
        drop(load::memory(&repository.root, at)?);
        let name = |image: ImageId| repository.graph.images[image].name.clone();
        say::out(&plan::draw(&todo, &name, Paint::plain()))?;
        return Ok(Exit::Done);
    }
    warn_of_age(&repository, &todo, &info, at)?;
    let externals = &kitchen.judge.externals;
    let asking = Asking { repository: &repository, plan: &todo, externals };
    let gifts = match given.complete(&asking, at)? {
        Ok(gifts) => gifts,
        Err(problems) => {
            say::err(&diagnostics::draw(&problems, at.paint))?;
            return Ok(Exit::Usage);
        }
    };
    tell_gifts(&gifts, at)?;
    let kitchen = kitchen.with_secrets(gifts.secrets.clone());
    let wanted =
        Wanted { page: options.timings.as_ref(), trace: options.trace.as_ref(), start: &start };
    let plain_http = registry::settings(&repository.config, &at.environment).plain_http;
    let publishing = Publishing::of(&kitchen, plain_http, push);
    let with = With {
        kitchen: &kitchen,
        publishing: publishing.as_ref(),
        engine: (engine.as_ref(), &info),
    };
    perform(options, &todo, &with, &repository.root, &wanted, at)
}

/// Says what is suspicious about what builds get, what they do without, and which variables they get.
fn tell_gifts(gifts: &Gifts, at: &Surroundings) -> anyhow::Result<()> {
    say::err(&diagnostics::draw(&gifts.doubts, at.paint))?;
    for message in &gifts.withheld {
        say::warning(message, at.paint)?;
    }
    say::err(&consent::announce(&gifts.announced))
}

fn wish_of(
    options: &Build,
    repository: &Repository,
    global: &Global,
    at: &Surroundings,
) -> anyhow::Result<Wish> {
    let words = Words {
        images: &options.images,
        excluded: &options.exclude,
        since: options.since.as_deref(),
    };
    Ok(Wish {
        chosen: selection::choose(repository, words, global, at)?,
        force: options.force || options.no_cache,
        no_cache: options.no_cache,
        pull: pull_of(options),
        tell: options.progress != Progress::Quiet,
        push: registry::push_of(options.push, &repository.config),
        load: options.load,
        pins: Pins::default(),
    })
}

/// Who does what a run needs.
struct With<'a> {
    kitchen: &'a Kitchen<'a>,
    publishing: Option<&'a Publishing<'a>>,
    engine: (&'a dyn Engine, &'a EngineInfo),
}

/// Runs the plan, and shows it.
fn perform(
    options: &Build,
    todo: &Plan,
    with: &With<'_>,
    root: &Path,
    wanted: &Wanted<'_>,
    at: &Surroundings,
) -> anyhow::Result<Exit> {
    let With { kitchen, publishing, engine: (engine, info) } = *with;
    let run_options = Options {
        engine: format!("{} {}", info.name, info.version),
        jobs: jobs_of(options.jobs),
        on_failure: match (options.keep_going, options.fail_fast) {
            (true, _) => OnFailure::KeepGoing,
            (false, true) => OnFailure::Cancel,
            (false, false) => OnFailure::Finish,
        },
        retries: options.retries,
        timeout: options.timeout,
    };
    let mut run = Run::new(todo, kitchen, engine, run_options);
    if let Some(publishing) = publishing {
        run = run.publishing(publishing);
    }
    listen_for_signals(run.interrupter())?;
    let began = clock::now();
    let view = reporter_of(options.progress, began, root, at);
    let mut audience = Audience::new(view, began, &kitchen.judge.memory);
    audience.keep_timeline(wanted.is_any());
    let tally = run.execute(&mut audience);
    kitchen.lender.take_back(engine);
    let heard = audience.leave(&kitchen.judge, at)?;
    kitchen.tell_trouble(at)?;
    wanted.write(heard, began, &kitchen.judge.memory)?;
    Ok(exit_of(tally))
}

/// Says what the engine's own frontend will not know, before it says so in its own way.
fn warn_of_age(
    repository: &Repository,
    todo: &Plan,
    info: &EngineInfo,
    at: &Surroundings,
) -> anyhow::Result<()> {
    let Some(frontend) = info.frontend else { return Ok(()) };
    let images = todo.order().iter().filter(|image| !todo.is_fresh(**image));
    let images = images.map(|image| &repository.graph.images[*image]);
    let mut problems = newer_than(images.clone(), frontend);
    problems.extend(passes_over_epoch(images, frontend));
    say::err(&diagnostics::draw(&repository.silence.apply(problems), at.paint))
}

fn pull_of(options: &Build) -> Pull {
    match (options.dry_run, options.pull) {
        (true, _) => Pull::Nothing,
        (false, true) => Pull::Newer,
        (false, false) => Pull::Missing,
    }
}

/// How many images are built at once.
pub fn jobs_of(wanted: Option<u16>) -> usize {
    match wanted {
        Some(jobs) => usize::from(jobs),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn reporter_of(
    progress: Progress,
    began: Duration,
    root: &Path,
    at: &Surroundings,
) -> Option<Box<dyn Reporter>> {
    let live = match progress {
        Progress::Auto => at.environment.can_draw(),
        Progress::Tty => true,
        Progress::Plain => false,
        Progress::Json => return Some(Box::new(JsonLines::new(say::data_stream(), began))),
        Progress::Quiet => return None,
    };
    Some(if live {
        Box::new(Live::start(Terminal::of_stderr(at.environment.rewraps()), at.paint))
    } else if at.environment.is_in_actions() {
        Box::new(Groups::new(std::io::stderr(), at.environment.below_workspace(root)))
    } else {
        Box::new(Plain::new(say::words_stream()))
    })
}

/// The first signal stops the run in order; a second one ends the process at once.
fn listen_for_signals(interrupter: Interrupter) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])
        .context("can't listen for signals")?;
    std::thread::spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count == 0 {
                interrupter.interrupt(signal);
            } else {
                drop(signal_hook::low_level::emulate_default_handler(signal));
            }
        }
    });
    Ok(())
}

fn exit_of(tally: Tally) -> Exit {
    match tally {
        Tally { signal: Some(signal), .. } => Exit::Signal(signal),
        Tally { machinery_failed: true, .. } => Exit::Machinery,
        Tally { unpushed: 1.., .. } => Exit::Machinery,
        Tally { failed: 0, cancelled: 0, skipped: 0, .. } => Exit::Done,
        _ => Exit::Failed,
    }
}
