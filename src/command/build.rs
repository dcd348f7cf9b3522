//! `layers build`: the whole pipeline, down to images in the engine.

use anyhow::Context;

use crate::base::ImageId;
use crate::cli::{Build, Global, Progress};
use crate::event::{Event, Stamped};
use crate::exit::Exit;
use crate::report::live::Live;
use crate::report::paint::Paint;
use crate::report::plain::Plain;
use crate::report::summary::Summary;
use crate::report::{Reporter, diagnostics, plan, say};
use crate::schedule::{Interrupter, Options, Run, Tally};

use super::kitchen::{self, Kitchen, Wish};
use super::secrets::Given;
use super::{Surroundings, load};

pub fn run(options: &Build, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let given = Given::read(options, &load::start_folder(global)?, at)?;
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    let all = options.all;
    let wish = Wish {
        chosen: kitchen::choose(&repository, &options.images, all, &options.exclude)?,
        force: options.force || options.no_cache,
        no_cache: options.no_cache,
    };
    let engine = kitchen::connect(options.engine.engine, at)?;
    let info = engine.describe()?;
    let (kitchen, todo) = Kitchen::open(&repository, wish, engine.as_ref(), &info)?;
    if options.dry_run {
        let name = |image: ImageId| repository.graph.images[image].name.clone();
        say::out(&plan::draw(&todo, &name, Paint::plain()))?;
        return Ok(Exit::Done);
    }
    let gifts = match given.complete(&repository, &todo, at)? {
        Ok(gifts) => gifts,
        Err(problems) => {
            say::err(&diagnostics::draw(&problems, at.paint))?;
            return Ok(Exit::Usage);
        }
    };
    say::err(&diagnostics::draw(&gifts.doubts, at.paint))?;
    let kitchen = kitchen.with_secrets(gifts.secrets.clone());
    let run_options = Options {
        engine: format!("{} {}", info.name, info.version),
        jobs: jobs_of(options),
        keep_going: options.keep_going,
    };
    let run = Run::new(&todo, &kitchen, engine.as_ref(), run_options);
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
