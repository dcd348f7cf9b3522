//! One file per verb, each a prefix of the pipeline.
//!
//! Owns how a command line becomes an exit code: reads the environment once, calls the modules in their order, and
//! passes their results to `report/`.

use crate::base::{error, waiting};
use crate::cli::{Cli, Command, GlobalArgs};
use crate::exit::Exit;
use crate::report::printer;
use crate::workspace::Invocation;

mod affected;
mod build;
mod check;
mod ci;
mod completions;
mod diff;
mod graph;
mod init;
mod list;
mod log;
mod man;
mod move_tags;
mod outdated;
mod plan;
mod report;
mod runs;
mod update;
mod why;

/// Prints what clap returns in place of a command: help, or an error in the command line.
pub fn refuse(error: &clap::Error) -> Exit {
    if !error.use_stderr() {
        // If the help cannot be written, there is no one to report that to.
        drop(error.print());
        return Exit::Done;
    }
    let at = Invocation::read(GlobalArgs::default());
    let text = error.render();
    let text = if at.paint.is_colored() { text.ansi().to_string() } else { text.to_string() };
    drop(printer::err(&text));
    Exit::Usage
}

/// Runs the command of a command line.
pub fn run(cli: Cli) -> Exit {
    let Cli { command, global } = cli;
    let at = Invocation::read(global);
    let _announcer = waiting::announce_to(|what| {
        // There is no way to report a failure to print.
        drop(printer::note(&format!("waiting for {what}\n")));
    });
    let result = match command {
        Command::Build(options) => build::run(&options, &at),
        Command::Plan(options) => plan::run(&options, &at),
        Command::Affected(options) => affected::run(&options, &at),
        Command::Diff(options) => diff::run(&options, &at),
        Command::Why(options) => why::run(&options, &at),
        Command::Log(options) => log::run(&options, &at),
        Command::Runs(options) => runs::run(&options, &at),
        Command::Report(options) => report::run(&options, &at),
        Command::Graph(options) => graph::run(&options, &at),
        Command::Ci(options) => ci::run(&options, &at),
        Command::Outdated(options) => outdated::run(&options, &at),
        Command::Update(options) => update::run(&options, &at),
        Command::List(options) => list::run(&options, &at),
        Command::Check(options) => check::run(&options, &at),
        Command::Init(options) => init::run(&options, &at),
        Command::Completions { shell } => completions::run(shell),
        Command::MoveTags { moves, interrupted } => move_tags::run(&moves, &interrupted, &at),
        Command::Man { man_directory } => man::run(&man_directory, &at),
    };
    result.unwrap_or_else(|error| {
        printer::error(&error, at.paint);
        error::kind(&error).into()
    })
}
