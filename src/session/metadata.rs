//! The file that says what every image of a run is, built or found.
//!
//! Owns its content. The format is that of `docker buildx bake --metadata-file`: an object per image, with its
//! references, the digest of its manifest, and the digest of its configuration. What is not known is omitted: the engine
//! does not have a manifest of an image that was never pushed, and containerd's store does not report configurations.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};

use super::Session;
use super::observers::RunRecord;
use super::publish::Publishing;
use crate::base::{Platform, UnitId};
use crate::graph::reference::Reference;
use crate::plan::remote;
use crate::registry::Registries;
use crate::report::printer;

/// Writes what the images of a run are.
///
/// # Errors
/// Returns an error if the engine or the registry cannot be reached, or if the file cannot be written.
pub fn write(
    path: &Path,
    session: &Session<'_>,
    publishing: Option<&Publishing<'_>>,
    record: &RunRecord,
) -> anyhow::Result<()> {
    let mut images = BTreeMap::new();
    for unit in session.plan.order() {
        let name = session.provider.freshness.image(*unit).name.as_str();
        images.insert(name, describe(*unit, session, publishing, record)?);
    }
    let text = serde_json::to_string_pretty(&images)?;
    printer::file(path, &format!("{text}\n"))
}

/// The names of fields (BuildKit, `exporter/containerimage/exptypes`; buildx, `bake`).
const NAME: &str = "image.name";
const DIGEST: &str = "containerimage.digest";
const CONFIG_DIGEST: &str = "containerimage.config.digest";
const DESCRIPTOR: &str = "containerimage.descriptor";

fn describe(
    unit: UnitId,
    session: &Session<'_>,
    publishing: Option<&Publishing<'_>>,
    record: &RunRecord,
) -> anyhow::Result<Value> {
    let freshness = &session.provider.freshness;
    let image = freshness.image(unit);
    let found = record.images.get(image.name.as_str());
    let published = publishing.and_then(|publishing| publishing.published(unit));
    let names = match publishing {
        Some(publishing) if published.is_some() => publishing.names_of(unit),
        _ => image.references.iter().map(Reference::to_string).collect(),
    };
    let in_registry = published
        .map(|it| it.reference)
        .or_else(|| Some(session.plan.registry_image(unit)?.reference.clone()))
        .or_else(|| found?.registry.clone());
    let mut fields = Map::from_iter([(NAME.to_owned(), names.join(",").into())]);
    match (in_registry, &freshness.shared, found) {
        (Some(reference), Some(shared), _) => {
            let platform = freshness.units.platform(unit);
            add_remote(&mut fields, &shared.registries, &reference, platform)?;
        }
        (_, _, Some(found)) => {
            let stored = session.engine.images().inspect(&found.image_id)?;
            // In containerd's store, images have the IDs of their manifests.
            let digest = format!("@{}", found.image_id);
            let is_manifest = stored
                .is_some_and(|stored| stored.digests.iter().any(|name| name.ends_with(&digest)));
            let field = if is_manifest { DIGEST } else { CONFIG_DIGEST };
            fields.insert(field.to_owned(), found.image_id.clone().into());
        }
        _ => {}
    }
    Ok(fields.into())
}

/// Adds what a registry has under a reference by digest.
fn add_remote(
    fields: &mut Map<String, Value>,
    registries: &Registries,
    reference: &str,
    platform: &Platform,
) -> anyhow::Result<()> {
    let at = remote(&Reference::parse(reference).map_err(|error| anyhow!("{error}"))?);
    let missing = || anyhow!("`{at}` was removed from the registry");
    let manifest = registries.manifest(&at)?.with_context(missing)?;
    let image = registries.image(&at, platform)?.with_context(missing)?;
    let descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest,
        "size": manifest.bytes.len(),
    });
    fields.insert(CONFIG_DIGEST.to_owned(), image.id.into());
    fields.insert(DESCRIPTOR.to_owned(), descriptor);
    fields.insert(DIGEST.to_owned(), manifest.digest.into());
    Ok(())
}
