//! The directories of named contexts that are outside the repository.
//!
//! Owns which of them need consent: those that `layers.toml` names and a build may read. Those of the command line do
//! not.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Image;
use crate::graph::context_directory::ContextDirectory;
use crate::session::Session;
use crate::workspace::Invocation;
use crate::workspace::build_contexts::build_contexts_of;

use super::{Boundary, OutsideAccess, OutsideSource, Role, canonical};

/// Returns the directories outside the repository that the builds of some images may read.
///
/// # Errors
/// Returns an error if an option of the command line is not valid.
pub fn outside_directories<'a>(
    session: &Session<'a>,
    images: &[&'a Image],
    boundary: &Boundary,
    at: &Invocation,
) -> anyhow::Result<Vec<OutsideAccess<'a>>> {
    let options = build_contexts_of(at)?;
    let named: BTreeSet<String> =
        options.iter().map(|option| ContextDirectory::at(&option.value).to_string()).collect();
    let mut found: BTreeMap<(&str, OutsideSource), BTreeSet<&str>> = BTreeMap::new();
    let freshness = &session.provider.freshness;
    for (unit, own) in freshness.own.iter() {
        let image = &session.workspace.graph.images[freshness.units.image(unit)];
        let Some(Ok(own)) = own else { continue };
        if !images.iter().any(|it| it.name == image.name) {
            continue;
        }
        let names = image.directories();
        for directory in own.directories.iter().filter(|it| !named.contains(&it.value)) {
            let path = canonical(&directory.directory.under(&session.workspace.root));
            let name = names.get(directory.value.as_str());
            if let (Ok(path), Some(name)) = (path, name)
                && boundary.is_outside(&path)
            {
                let source = OutsideSource::Path(path);
                found.entry((*name, source)).or_default().insert(&image.name);
            }
        }
    }
    let access = |((id, source), images): ((_, _), BTreeSet<&'a str>)| {
        let (role, images) = (Role::NamedContext, images.into_iter().collect());
        OutsideAccess { role, id, source, images }
    };
    Ok(found.into_iter().map(access).collect())
}
