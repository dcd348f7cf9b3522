//! `layers init`: writes the `layers.toml` that results from inference, with comments.
//!
//! It never overwrites an existing file, and never writes a file that causes errors by itself.

use std::path::{Path, PathBuf};

use crate::base::Diagnostic;
use crate::base::error::usage;
use crate::base::screen::visible_path;
use crate::base::text::count;
use crate::cli::InitArgs;
use crate::exit::Exit;
use crate::report::{diagnostics, printer};
use crate::scan::config::FILE_NAME;
use crate::scan::dockerfiles;
use crate::workspace::Invocation;
use crate::workspace::proposal::{Proposal, propose};
use crate::workspace::root::{WorkspaceLocation, git_directory};

pub fn run(options: &InitArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let WorkspaceLocation { start, root, settings } = WorkspaceLocation::of(at)?;
    let root = if at.global.file.is_some() { root } else { root_for(root, &start) };
    let path = settings.under(&root);
    if path.exists() && !options.print {
        return Err(usage(format!("`{settings}` already exists"))
            .hint("`layers init --print` shows what would be written")
            .into());
    }
    let Some(Proposal { text, graph, problems }) = propose(&root, at)? else {
        return Err(usage(format!("no Dockerfile found in `{}`", visible_path(&root)))
            .hint("create one, such as docker/base/Dockerfile")
            .into());
    };
    let has_errors = problems.iter().any(Diagnostic::is_error);
    printer::err(&diagnostics::draw(&problems, at.paint))?;
    if options.print {
        printer::data(&text)?;
    } else {
        printer::file(&path, &text)?;
        let images = count(graph.images.len(), "image");
        printer::note(&format!("wrote `{settings}`: {images}\n"))?;
        if has_errors {
            printer::note("hint: fix the Dockerfiles above, or leave them out with `exclude`\n")?;
        }
    }
    Ok(if has_errors { Exit::Files } else { Exit::Done })
}

/// Returns the root of a repository that may have no settings yet: where Dockerfiles or `layers.toml` are, or else the
/// root of the git work tree.
fn root_for(root: PathBuf, start: &Path) -> PathBuf {
    if root.join(FILE_NAME).is_file() || dockerfiles::has_any(&root) {
        return root;
    }
    git_directory(start).unwrap_or(start).to_owned()
}
