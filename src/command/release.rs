//! `layers release FILE`: moves tags in registries as a file says; for a run's own use.

use std::path::Path;

use crate::exit::Exit;
use crate::session::tag_moves;
use crate::workspace::Invocation;

pub fn run(file: &Path, at: &Invocation) -> anyhow::Result<Exit> {
    tag_moves::move_tags(file, at)?;
    Ok(Exit::Done)
}
