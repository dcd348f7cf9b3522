//! The text of a proposed `layers.toml`.
//!
//! Owns the sections of the file, their comments, and how values are quoted.

use crate::base::screen::{COMMAND, is_unseen, visible};
use crate::graph::reference::Reference;
use crate::graph::{Graph, Image};
use crate::report::table;

use super::naming::NamingChoice;
use super::survey::DockerfileGroup;

/// The sections of the file, in order.
pub(super) struct ProposalText {
    /// Where all Dockerfiles are and how all images are named, if that is set once.
    general: String,
    groups: String,
    singles: String,
}

impl ProposalText {
    pub(super) fn of(parts: &[DockerfileGroup], choice: &NamingChoice) -> ProposalText {
        let mut by_template: Vec<(&str, Vec<&str>)> = Vec::new();
        for (part, template) in parts.iter().zip(&choice.templates) {
            let glob = part.glob.as_deref();
            match by_template.iter_mut().find(|(other, _)| other == template) {
                Some((_, globs)) => globs.extend(glob),
                None => by_template.push((template, glob.into_iter().collect())),
            }
        }
        let mut general = String::new();
        let mut groups = String::new();
        match by_template.as_slice() {
            [(template, globs)] => {
                if !globs.is_empty() {
                    general.push_str(
                        "# Where the Dockerfiles are. To leave some out: exclude = [\"old/**\"]\n",
                    );
                    general.push_str(&list("dockerfiles", globs));
                }
                if !template.is_empty() {
                    general.push_str("\n# How image names are derived from directories.\n");
                    general.push_str(&format!("name = {}\n", quote(template)));
                }
            }
            several => {
                groups.push_str(
                    "# Where the Dockerfiles are, and how image names are derived from directories.\n",
                );
                for (template, globs) in several {
                    groups.push_str(&format!("[[group]]\n{}", list("dockerfiles", globs)));
                    if !template.is_empty() {
                        groups.push_str(&format!("name = {}\n", quote(template)));
                    }
                    groups.push('\n');
                }
            }
        }
        let mut singles = String::new();
        for (name, path) in &choice.singles {
            let path = quote(path.as_str());
            singles.push_str(&format!("[image.{name}]\ndockerfile = {path}\n\n"));
        }
        if !singles.is_empty() {
            let paths: Vec<&str> = choice.singles.iter().map(|(_, path)| path.as_str()).collect();
            general.push_str("\n# These images are named one by one below.\n");
            general.push_str(&list("exclude", &paths));
            singles
                .insert_str(0, "# Images that no name template can tell apart from the others.\n");
        }
        ProposalText { general, groups, singles }
    }

    /// Returns the sections that the graph is read from.
    pub(super) fn settings(&self) -> String {
        format!("{}\n{}\n{}", self.general, self.groups, self.singles)
    }

    pub(super) fn compose(&self, graph: &Graph) -> String {
        let mut text = String::from(
            "# Settings that `layers` can't infer from the Dockerfiles. Dependencies are not listed here:\n\
             # they come from FROM, COPY --from, and RUN --mount=from=.\n\n",
        );
        if !self.general.contains("dockerfiles = ") && self.groups.is_empty() {
            text.push_str(
                "# Dockerfiles are searched for in docker/*/Dockerfile. To search elsewhere:\n",
            );
            text.push_str("# dockerfiles = [\"images/**/Dockerfile\"]\n");
        }
        text.push_str(&self.general);
        if !text.ends_with("\n\n") {
            text.push('\n');
        }
        text.push_str(&references(graph));
        text.push_str(&self.groups);
        text.push_str(&self.singles);
        text.push_str(&inventory(graph));
        text
    }
}

/// Lists all images, in comments.
fn inventory(graph: &Graph) -> String {
    let text = String::from(
        "# The images and their current references. To configure one, for example:\n\
         # [image.NAME]\n# context = \".\"\n# target = \"release\"\n#\n",
    );
    let rows = graph.images.values().map(|image| {
        let reference = image.references.first().map(Reference::familiar);
        [format!("#   {}", visible(&image.name)), reference.unwrap_or_default()]
    });
    text + &table::draw(rows)
}

/// Returns a setting that is a list.
fn list(name: &str, items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|item| quote(item)).collect();
    match items.as_slice() {
        [only] => format!("{name} = [{only}]\n"),
        _ => format!("{name} = [\n    {},\n]\n", items.join(",\n    ")),
    }
}

/// Returns the settings that give all images the references that they have now, if one template does.
fn references(graph: &Graph) -> String {
    let mut images = graph.images.values();
    let prefix_of = |image: &Image| {
        let repository = image.references.first()?.familiar_repository();
        repository.strip_suffix(&image.name).map(str::to_owned)
    };
    let Some(first) = images.next() else { return String::new() };
    let Some(prefix) = prefix_of(first) else { return String::new() };
    if !images.all(|image| prefix_of(image).as_deref() == Some(&prefix)) {
        return String::new();
    }
    let mut text = format!("# How images are named: {}.\n", first.named_by);
    let (namespace, rest) = match prefix.rsplit_once('/') {
        Some((namespace, rest)) => (Some(namespace), rest),
        None => (None, prefix.as_str()),
    };
    if let Some(namespace) = namespace {
        text.push_str(&format!("namespace = {}\n", quote(namespace)));
    }
    let before = if namespace.is_some() { "{namespace}/" } else { "" };
    let app = rest.strip_suffix('-');
    if let Some(app) = app {
        text.push_str(&format!("app = {}\n", quote(app)));
    }
    let stem = if app.is_some() { "{app}-" } else { rest };
    let reference = quote(&format!("{before}{stem}{{name}}"));
    text + &format!("reference = {reference}\n\n")
}

/// Quotes a text for TOML, on one line.
fn quote(text: &str) -> String {
    if !text.chars().any(is_unseen) && !text.contains(COMMAND) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let mut quoted = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            unseen if is_unseen(unseen) => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(unseen)));
            }
            other => quoted.push(other),
        }
    }
    format!("\"{}\"", quoted.replace(COMMAND, "#\\u0023["))
}
