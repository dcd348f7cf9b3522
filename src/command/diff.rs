//! `layers diff`: what a change of the repository means for its images, for those who review it.

use crate::cli::output::{file_in, file_of};
use crate::cli::{Diff, Global};
use crate::exit::Exit;
use crate::report::say;
use crate::session::changes;
use crate::workspace::Invocation;

pub fn run(options: &Diff, global: &Global, at: &Invocation) -> anyhow::Result<Exit> {
    let text = changes::summarize(options, global, at)?;
    match file_of(options.output.as_deref()) {
        Some(path) => say::file(&file_in(global, path), &text)?,
        None => say::out(&text)?,
    }
    Ok(Exit::Done)
}
