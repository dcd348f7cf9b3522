//! `layers affected`: lists the images that changed since a revision, and their dependents.

use crate::base::error::usage;
use crate::base::{IdMap, ImageId, UnitId};
use crate::cli::{AffectedArgs as Options, AffectedFormat, EngineName, PushOption};
use crate::exit::Exit;
use crate::graph::Image;
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::inputs::since::Cause;
use crate::plan::{Reason, Verdict};
use crate::report::affected::{self, AffectedRow};
use crate::report::printer;
use crate::session::image_provider::{ImageRequest, connect};
use crate::session::selection::Selection;
use crate::session::{Session, outdated};
use crate::workspace::load::Workspace;
use crate::workspace::revisions::{self, AffectedImages};
use crate::workspace::{Invocation, lock};

pub fn run(options: &Options, at: &Invocation) -> anyhow::Result<Exit> {
    let mut workspace = Workspace::open(at)?;
    let mut causes = match &options.since {
        Some(revision) => revisions::affected(&workspace, revision, at)?.causes,
        None => IdMap::from_fn(workspace.graph.images.len(), |_| None),
    };
    if options.missing {
        for (image, cause) in missing(&mut workspace, at)? {
            causes[image].get_or_insert(cause);
        }
    }
    if options.moved {
        let pins = lock::pins(&workspace, at)?;
        for (image, cause) in moved(&workspace, &pins, at)? {
            causes[image].get_or_insert(cause);
        }
    }
    let graph = &workspace.graph;
    let found = AffectedImages::of(graph, causes);
    let layers = found.layers(graph);
    let name = |image: &ImageId| graph.images[*image].name.as_str();
    let row = |id: &ImageId| {
        let image = &graph.images[*id];
        let parents = graph.parents_of(*id);
        AffectedRow {
            image: &image.name,
            layer: layers[*id].unwrap_or_default(),
            dockerfile: image.dockerfile.as_str(),
            references: image.references.iter().map(Reference::familiar).collect(),
            cause: found.causes[*id].as_ref(),
            parents: parents.iter().filter(|it| layers[**it].is_some()).map(name).collect(),
        }
    };
    let in_order = graph.order().iter().filter(|image| layers[**image].is_some());
    let mut rows: Vec<AffectedRow<'_>> = in_order.map(row).collect();
    rows.sort_by_key(|row| row.layer);
    match options.format {
        AffectedFormat::Text => printer::out(&affected::draw(&rows, graph.images.len()))?,
        AffectedFormat::Json => printer::json(&rows)?,
        AffectedFormat::Github => printer::data(&affected::draw_github(&rows)?)?,
    }
    Ok(Exit::Done)
}

/// Returns the images that directly depend on an external that has moved since it was pinned. Warns about externals
/// that cannot be checked.
fn moved(
    workspace: &Workspace,
    pins: &Pins,
    at: &Invocation,
) -> anyhow::Result<Vec<(ImageId, Cause)>> {
    let mut found = Vec::new();
    for (external, row) in outdated::compare(workspace, pins, EngineName::None, at) {
        if let Some(why) = &row.why {
            let name = &row.external;
            printer::warning(&format!("can't check whether `{name}` has moved: {why}"), at.paint)?;
        }
        let (Some(true), Some(was), Some(now)) = (row.moved, row.from, row.now) else { continue };
        let was = was.digests.into_iter().next().unwrap_or_default();
        let cause = Cause::ExternalMoved { external: row.external, was, now };
        let uses = |image: &Image| image.externals.iter().any(|it| it.id == external);
        let images = workspace.graph.images.iter().filter(|(_, image)| uses(image));
        found.extend(images.map(|(id, _)| (id, cause.clone())));
    }
    Ok(found)
}

/// Returns the images that the registry does not have under their current keys, and those for which that is not known.
fn missing(workspace: &mut Workspace, at: &Invocation) -> anyhow::Result<Vec<(ImageId, Cause)>> {
    if workspace.home.is_none() {
        return Err(usage("`--missing` needs a registry, but none is set")
            .hint("set registry = \"ghcr.io/acme\" in layers.toml, or pass --registry")
            .into());
    }
    let unbuildable = workspace.graph.unbuildable(&[]);
    let all = workspace.graph.images.ids().filter(|id| !unbuildable.contains_key(id)).collect();
    let unreadable = unbuildable.into_iter();
    let unreadable = unreadable.map(|(id, message)| (id, Cause::Unreadable { message }));
    let unreadable: Vec<_> = unreadable.collect();
    // As for a push, a registry that cannot be reached is an error: all images would seem to be
    // missing.
    let selected = Selection::all(all);
    let request = ImageRequest { selected, push: PushOption::Keys, ..ImageRequest::default() };
    let engine = connect(EngineName::None, at)?;
    let plan = Session::open(workspace, request, engine.as_ref(), at)?.plan;
    // The key of an image that waits for another one is not known yet.
    let is_known = |unit: &UnitId| plan.parents(*unit).iter().all(|parent| plan.is_fresh(*parent));
    let cause = |unit: &UnitId| match plan.verdict(*unit)? {
        Verdict::Build { reason: Reason::Unknown { message } } => {
            Some(Cause::Unknown { message: message.clone() })
        }
        Verdict::Build { .. } => Some(Cause::Missing),
        _ => None,
    };
    let known = plan.order().iter().filter(|unit| is_known(unit));
    let found = known.filter_map(|unit| Some((plan.units().image(*unit), cause(unit)?)));
    Ok(found.chain(unreadable).collect())
}
