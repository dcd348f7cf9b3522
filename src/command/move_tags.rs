//! `layers __move-tags FILE`: moves tags in registries as a file specifies. Runs use it internally.
//!
//! It reports an error to the run as JSON on stderr.

use std::path::{Path, PathBuf};

use crate::base::error::{self, InfrastructureError};
use crate::exit::Exit;
use crate::report::printer;
use crate::session::tag_moves;
use crate::workspace::Invocation;

pub fn run(file: &Path, interrupted: &[PathBuf], at: &Invocation) -> anyhow::Result<Exit> {
    let Err(error) = tag_moves::move_tags(file, interrupted, at) else { return Ok(Exit::Done) };
    let error = InfrastructureError::restate(error::kind(&error), &error);
    printer::err(&serde_json::to_string(&error)?)?;
    Ok(Exit::Machinery)
}
