//! `layers affected`: the images that differ from a revision, and all that needs them.

use crate::base::ImageId;
use crate::cli::{Affected as Options, AffectedFormat, Global};
use crate::exit::Exit;
use crate::graph::reference::Reference;
use crate::report::affected::{self, Row};
use crate::report::say;

use super::{Surroundings, load, since};

pub fn run(options: &Options, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    let found = since::affected(&repository, &options.since, global, at)?;
    let graph = &repository.graph;
    let layers = found.layers(graph);
    let name = |image: &ImageId| graph.images[*image].name.as_str();
    let row = |id: &ImageId| {
        let image = &graph.images[*id];
        let parents = graph.parents_of(*id);
        Row {
            image: &image.name,
            layer: layers[*id].unwrap_or_default(),
            dockerfile: image.dockerfile.as_str(),
            references: image.references.iter().map(Reference::familiar).collect(),
            cause: found.causes[*id].as_ref(),
            needs: parents.iter().filter(|it| layers[**it].is_some()).map(name).collect(),
        }
    };
    let in_order = graph.order().iter().filter(|image| layers[**image].is_some());
    let mut rows: Vec<Row<'_>> = in_order.map(row).collect();
    rows.sort_by_key(|row| row.layer);
    say::out(&match options.format {
        AffectedFormat::Text => affected::draw(&rows, graph.images.len()),
        AffectedFormat::Json => affected::draw_json(&rows)?,
        AffectedFormat::Github => affected::draw_github(&rows)?,
    })?;
    Ok(Exit::Done)
}
