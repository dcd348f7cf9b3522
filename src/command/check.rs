//! `layers check`: what is wrong with the Dockerfiles, without building anything.

use crate::base::text::count;
use crate::cli::Global;
use crate::exit::Exit;
use crate::report::say;

use super::{Surroundings, load};

pub fn run(global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files()?;
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    if repository.diagnostics.is_empty() {
        let images = count(repository.graph.images.len(), "image");
        say::err(&format!("{images}, nothing to complain about\n"))?;
    }
    Ok(Exit::Done)
}
