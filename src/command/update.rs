//! `layers update`: pins externals in graph.json to what their tags point to now.
//!
//! Owns which externals are looked up, and that nothing is lost if one cannot be: it keeps its pin.

use crate::base::error::{self, usage};
use crate::base::parallel;
use crate::base::text::suggest;
use crate::cli::UpdateArgs;
use crate::exit::Exit;
use crate::graph::Graph;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::registry::{AT_ONCE, Registries};
use crate::report::pins::{self, PinChange};
use crate::report::printer;
use crate::session::outdated;
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, lock, registry};

pub fn run(options: &UpdateArgs, at: &Invocation) -> anyhow::Result<Exit> {
    let workspace = Workspace::open_graph(at)?;
    let before = lock::pins(&workspace, at)?;
    let selected = choose(&workspace.graph, &options.externals)?;
    let registries = Registries::new(registry::settings(&workspace.config, &at.environment));
    let found = parallel::each(&selected, AT_ONCE, |reference| {
        outdated::look_for_pin(&registries, reference)
    });
    let mut after = before.clone();
    let mut failures = Vec::new();
    for (reference, found) in selected.iter().zip(found) {
        match found {
            Ok(digest) => drop(after.pin(reference, digest)),
            Err(error) => failures.push((reference.familiar(), error::text(&error))),
        }
    }
    let path = workspace.root.join(lock::FILE);
    let text = lock::text(&workspace.graph, &after);
    // An unchanged file is not written, so programs that watch it do not react.
    if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
        printer::file(&path, &text)?;
    }
    let moves = moves(&workspace, &before, &after);
    printer::out(&pins::draw_moves(&moves))?;
    for (external, error) in &failures {
        printer::warning(&format!("`{external}` was not updated: {error}"), at.paint)?;
    }
    if failures.is_empty() && moves.is_empty() {
        match selected.len() {
            0 => printer::note("no external images with a tag\n")?,
            1 => printer::note("1 external image is up to date\n")?,
            many => printer::note(&format!("{many} external images are up to date\n"))?,
        }
    }
    Ok(if failures.is_empty() { Exit::Done } else { Exit::Machinery })
}

/// Returns the externals with a tag that the arguments specify, or all if there are none.
fn choose<'a>(graph: &'a Graph, names: &[String]) -> anyhow::Result<Vec<&'a Reference>> {
    let externals = graph.externals_by_tag().into_iter();
    let externals: Vec<&Reference> = externals.map(|(_, reference)| reference).collect();
    if names.is_empty() {
        return Ok(externals);
    }
    for name in names {
        if !externals.iter().any(|external| is_named_by(name, external)) {
            let names: Vec<String> = externals.iter().map(|it| it.familiar()).collect();
            let hint = suggest(name, names.iter().map(String::as_str));
            let hint = hint.as_deref().unwrap_or("`layers graph` shows the external images");
            return Err(usage(format!("no external image with a tag matches `{name}`"))
                .hint(hint)
                .into());
        }
    }
    Ok(externals.into_iter().filter(|it| names.iter().any(|name| is_named_by(name, it))).collect())
}

/// Returns whether an argument specifies an external: by its name in any form, or by its repository for all tags.
fn is_named_by(name: &str, external: &Reference) -> bool {
    let parsed = Reference::parse(name);
    let is_it = parsed.is_ok_and(|parsed| parsed.same_image(external));
    is_it || name == external.familiar_repository() || name == external.repository()
}

/// Returns how the pins of externals in the graph changed.
fn moves(workspace: &Workspace, before: &Pins, after: &Pins) -> Vec<PinChange> {
    let graph = &workspace.graph;
    let externals = graph.externals_by_tag().into_iter();
    let moved = externals.filter(|(_, it)| before.digest(it) != after.digest(it));
    moved
        .map(|(id, reference)| PinChange {
            external: reference.familiar(),
            from: before.digest(reference).map(str::to_owned),
            to: after.digest(reference).map(str::to_owned).unwrap_or_default(),
            images: outdated::images_on(graph, id),
        })
        .collect()
}
