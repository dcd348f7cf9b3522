//! `layers diff`: summarizes a change's effect on images, for reviewers.

use crate::cli::DiffArgs;
use crate::cli::output::{file_in, file_of};
use crate::exit::Exit;
use crate::report::printer;
use crate::session::changes;
use crate::workspace::Invocation;

pub fn run(options: &DiffArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let text = changes::summarize(options, at)?;
    match file_of(options.output.as_deref()) {
        Some(path) => printer::file(&file_in(&at.global, path), &text)?,
        None => printer::out(&text)?,
    }
    Ok(Exit::Done)
}
