//! `layers build`: the whole pipeline, down to images in the engine.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context;

use crate::base::{IdMap, ImageId};
use crate::cli::{Build, EngineName, Global, Progress};
use crate::engine::docker::{Docker, endpoint};
use crate::engine::fake::Fake;
use crate::engine::{BuildRequest, Engine, Step};
use crate::event::{Event, Excerpt, Stamped};
use crate::exit::Exit;
use crate::graph::{Graph, locate, select};
use crate::inputs;
use crate::plan::Plan;
use crate::report::live::Live;
use crate::report::plain::Plain;
use crate::report::summary::Summary;
use crate::report::{Reporter, say};
use crate::schedule::{Interrupter, Options, Recipes, Run, Tally};

use super::load::Repository;
use super::{Surroundings, load, usage};

pub fn run(options: &Build, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    let chosen = choose(options, &repository)?;
    let engine = connect(options.engine, at)?;
    let info = engine.describe()?;
    let plan = Plan::new(&repository.graph, &chosen);
    let recipes = Kitchen::new(&repository, options);
    let run_options = Options {
        engine: format!("{} {}", info.name, info.version),
        jobs: jobs_of(options),
        keep_going: options.keep_going,
    };
    let run = Run::new(&plan, &recipes, engine.as_ref(), run_options);
    listen_for_signals(run.interrupter())?;
    let mut reporter = reporter_of(options.progress, at);
    let mut summary = Summary::default();
    let mut trouble = Ok(());
    let tally = run.execute(&mut |event: &Stamped| {
        summary.take(event);
        if let Some(reporter) = reporter.as_mut().filter(|_| trouble.is_ok()) {
            trouble = reporter.show(event);
        }
        if matches!(event.event, Event::RunFinished) {
            reporter = None;
        }
    });
    say::err(&summary.draw(at.paint))?;
    say::unless_closed(trouble).context("can't show the progress")?;
    Ok(exit_of(tally))
}

fn choose(options: &Build, repository: &Repository) -> anyhow::Result<Vec<ImageId>> {
    let graph = &repository.graph;
    if options.all {
        return Ok(graph.images.ids().collect());
    }
    let chosen = select::choose(graph, &options.images, &repository.current);
    let chosen = chosen.map_err(|error| usage(format!("{error:#}")))?;
    Ok(select::with_needs(graph, &chosen))
}

fn connect(name: EngineName, at: &Surroundings) -> anyhow::Result<Box<dyn Engine>> {
    Ok(match name {
        EngineName::Docker => Box::new(Docker::find(&docker_environment(at))?),
        EngineName::Fake => Box::new(connect_fake(at)?),
    })
}

fn connect_fake(at: &Surroundings) -> anyhow::Result<Fake> {
    match at.environment.path("LAYERS_FAKE_SCRIPT") {
        Some(script) => Fake::scripted(&script),
        None => Ok(Fake::new()),
    }
}

fn docker_environment(at: &Surroundings) -> endpoint::Environment {
    endpoint::Environment::read(|name| at.environment.var(name).map(OsString::from))
}

fn jobs_of(options: &Build) -> usize {
    match options.jobs {
        Some(jobs) => usize::from(jobs),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn reporter_of(progress: Progress, at: &Surroundings) -> Option<Box<dyn Reporter>> {
    let live = match progress {
        Progress::Auto => at.environment.can_draw(),
        Progress::Tty => true,
        Progress::Plain => false,
        Progress::Quiet => return None,
    };
    Some(if live {
        Box::new(Live::start(at.paint))
    } else {
        Box::new(Plain::new(std::io::stderr()))
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
        Tally { failed: 0, cancelled: 0, skipped: 0, .. } => Exit::Done,
        _ => Exit::Failed,
    }
}

/// Makes requests of images when their turn comes.
struct Kitchen<'a> {
    root: PathBuf,
    graph: &'a Graph,
    no_cache: bool,
    platform: Option<String>,
    names: IdMap<String>,
}

impl<'a> Kitchen<'a> {
    fn new(repository: &'a Repository, options: &Build) -> Kitchen<'a> {
        let graph = &repository.graph;
        Kitchen {
            root: repository.root.clone(),
            graph,
            no_cache: options.no_cache,
            platform: repository.platform.clone(),
            names: graph.images.values().map(|image| image.name.clone()).collect(),
        }
    }
}

impl Recipes for Kitchen<'_> {
    fn name(&self, image: ImageId) -> &str {
        &self.names[image]
    }

    fn request(&self, image: ImageId) -> anyhow::Result<BuildRequest> {
        let request = inputs::request(&self.root, &self.graph.images[image])?;
        Ok(BuildRequest { no_cache: self.no_cache, platform: self.platform.clone(), ..request })
    }

    fn excerpt(&self, image: ImageId, step: &Step) -> Option<Excerpt> {
        let file = &self.graph.images[image].file;
        let span = locate::find_step(file, step.stage.as_deref(), step.number, &step.text)?;
        let place = file.source.place(span);
        Some(Excerpt { place, text: file.source.slice(span).trim_end().to_owned() })
    }
}
