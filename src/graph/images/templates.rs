//! Name templates to suggest, and the names that they result in.
//!
//! Owns the list, sorted from short to long, and the check whether a template gives unique names.

use std::collections::{BTreeMap, HashSet};

use crate::base::RelPath;
use crate::graph::naming::NamingSettings;
use crate::graph::reference::{Reference, is_tag};
use crate::scan::config::Template;

use super::values::Values;

/// The templates to suggest, in order of preference. The empty one means the default name.
pub const PROPOSALS: [&str; 12] = [
    "",
    "{dir:kebab}",
    "{usual:kebab}",
    "{parent}-{dir}",
    "{parent:kebab}-{dir:kebab}",
    "{parent:kebab}-{usual:kebab}",
    "{dir}-{parent}",
    "{dir:kebab}-{parent:kebab}",
    "{path}",
    "{path:kebab}",
    "{path}-{stem}",
    "{path:kebab}-{stem:kebab}",
];

/// Returns the name that a template gives the Dockerfile with this path, or `None` if the name is
/// not valid in a reference. `directory` is the name of the repository's directory.
pub fn name_by(template: &str, path: &RelPath, directory: &str) -> Option<String> {
    let naming = NamingSettings { directory: directory.to_owned(), ..NamingSettings::default() };
    let no_captures = BTreeMap::new();
    let values = Values { is_name: true, ..Values::new(path, &no_captures, None, &naming) };
    let name = match template {
        "" => values.usual_name(),
        _ => {
            let value = |name: &str| values.find(name).unwrap_or_else(|| Ok(String::new()));
            Template::parse(template).fill(&value).ok()?
        }
    };
    is_name(&name).then_some(name)
}

/// Returns whether a text can be the name of an image.
pub fn is_name(text: &str) -> bool {
    is_tag(text) && Reference::parse(&format!("x/{text}")).is_ok()
}

/// Returns the first template that gives each Dockerfile a unique name.
pub fn shortest(paths: &[&RelPath], directory: &str) -> Option<&'static str> {
    let is_short = |template: &&str| !template.is_empty() && !template.contains("{stem");
    PROPOSALS.into_iter().filter(is_short).find(|template| {
        let mut seen = HashSet::new();
        let mut names = paths.iter().map(|path| name_by(template, path, directory));
        names.all(|name| name.is_some_and(|name| seen.insert(name)))
    })
}
