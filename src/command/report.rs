//! `layers report`: writes the page of a run and its trace, from its log.
//!
//! Like `log`, reads only `.layers/`.

use std::path::Path;

use crate::base::screen::visible_path;
use crate::cli::ReportArgs;
use crate::cli::output::file_of;
use crate::exit::Exit;
use crate::report::page::RunMetadata;
use crate::report::{printer, trace};
use crate::session::{run_logs, run_pages};
use crate::workspace::Invocation;
use crate::workspace::root::WorkspaceLocation;

pub fn run(options: &ReportArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let WorkspaceLocation { start, root, .. } = WorkspaceLocation::of(at)?;
    let runs = run_logs::list(&root)?;
    let run = run_logs::choose(&runs, options.run.as_deref())?;
    // Checked before the log is read, because a log is complete before its lock is released.
    let metadata = RunMetadata { id: &run.id, began: run.began, is_written: run.is_written() };
    let timeline = run_pages::read(run)?;
    if let Some(file) = &options.trace {
        write(&start.join(file), file, &trace::draw(&timeline, &run.id), at.global.quiet)?;
    }
    if options.trace.is_some() && options.output.is_none() {
        return Ok(Exit::Done);
    }
    let older = runs.iter().rev().skip_while(|it| it.id != run.id).skip(1);
    let text = run_pages::draw(&timeline, &metadata, older);
    match (&options.output, file_of(options.output.as_deref())) {
        (Some(_), None) => printer::data(&text)?,
        (Some(_), Some(file)) => write(&start.join(file), file, &text, at.global.quiet)?,
        (None, _) => {
            let path = run.directory().join(run_pages::PAGE);
            write(&path, &path, &text, at.global.quiet)?;
        }
    }
    Ok(Exit::Done)
}

/// Writes a file and prints its path, as the user named it, unless it is quiet.
fn write(path: &Path, name: &Path, text: &str, is_quiet: bool) -> anyhow::Result<()> {
    printer::file(path, text)?;
    if is_quiet { Ok(()) } else { printer::out(&format!("{}\n", visible_path(name))) }
}
