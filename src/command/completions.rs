//! `layers completions SHELL`: a completion script, made by clap from the command line itself.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::report::say;

pub fn run(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "layers", &mut script);
    say::out(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
