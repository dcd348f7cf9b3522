//! The data of a graph's page: the images as their Dockerfiles define them, without a run.

use std::collections::BTreeMap;

use crate::base::ImageId;
use crate::export::View;
use crate::export::layout::lay_out;
use crate::graph::reference::Reference;

use super::super::clean;
use super::data::{ExternalData, FilesData, ImageData, PageData, ParentData, rounded};
use super::of_run;

/// Returns the data of a graph's page.
pub(super) fn describe(view: &View<'_>, name: &str) -> PageData<'static> {
    let shown: Vec<ImageId> = view.images().map(|(id, _)| id).collect();
    let index: BTreeMap<ImageId, usize> =
        shown.iter().enumerate().map(|(at, image)| (*image, at)).collect();
    let parents: Vec<Vec<usize>> = shown
        .iter()
        .map(|image| view.parents(*image).iter().map(|edge| index[&edge.parent]).collect())
        .collect();
    let layout = lay_out(&parents);
    let kinds = |child: usize, parent: usize| {
        let edges = view.parents(shown[child]).iter();
        edges.filter(|edge| edge.parent == shown[parent]).map(|edge| edge.kind).collect()
    };
    let images = shown.iter().zip(&layout.spots).map(|(image, spot)| ImageData {
        rank: spot.rank,
        row: rounded(spot.row),
        ..describe_image(view, *image, &index)
    });
    PageData {
        title: clean::line(name).into(),
        run: None,
        images: images.collect(),
        extent: (layout.ranks, rounded(layout.rows)),
        lines: of_run::lines(&layout, kinds),
    }
}

fn describe_image(view: &View<'_>, id: ImageId, index: &BTreeMap<ImageId, usize>) -> ImageData {
    let image = view.image(id);
    let parents = view.parents(id).iter().map(|edge| {
        let location = Some(edge.location().to_string());
        ParentData { image: index[&edge.parent], kind: edge.kind, location }
    });
    let externals = view.externals(id).iter().map(|external| {
        let name = clean::line(&view.reference(external).familiar());
        ExternalData { name, kind: external.kind, location: external.location().to_string() }
    });
    ImageData {
        name: clean::line(&image.name),
        references: image.references.iter().map(Reference::familiar).collect(),
        parents: parents.collect(),
        files: Some(FilesData {
            dockerfile: image.dockerfile.to_string(),
            context: image.context.to_string(),
            target: image.target.as_deref().map(clean::line),
        }),
        externals: externals.collect(),
        ..ImageData::default()
    }
}
