//! The graph as a file for `docker compose build` (<https://docs.docker.com/reference/compose-file/build/>).
//!
//! Owns the generation of YAML: one service per image, and `additional_contexts` that map the references in
//! Dockerfiles to services.

use std::collections::BTreeMap;

use crate::engine::sandbox::Limits;
use crate::scan::config::SecretSource;

use super::View;
use super::recipe::{NameRules, Recipe, RecipeTarget, names, quoted};
use super::yaml::{key, line, list};

/// Returns the graph as a YAML document.
pub fn draw(view: &View<'_>, recipe: &Recipe<'_>) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let names = names(view, &NameRules::of(is_allowed, &[]));
    let mut text = recipe.header("compose.yaml", "docker compose build");
    text.push_str("services:\n");
    let targets = recipe.targets(view, &names, "service:");
    for target in &targets {
        text.push_str(&describe(target, recipe));
    }
    let secrets: BTreeMap<&str, &SecretSource> =
        targets.iter().flat_map(|target| target.secrets.iter().copied()).collect();
    if !secrets.is_empty() {
        text.push_str("\nsecrets:\n");
    }
    for (id, source) in secrets {
        let source = match source {
            SecretSource::Variable(name) => format!("environment: {}", quoted(name)),
            SecretSource::File(path) => format!("file: {}", value(path)),
        };
        line(&mut text, 1, &format!("{}:", key(id)));
        line(&mut text, 2, &source);
    }
    text
}

fn describe(target: &RecipeTarget<'_>, recipe: &Recipe<'_>) -> String {
    let mut text = String::new();
    line(&mut text, 1, &format!("{}:", key(target.name)));
    let mut tags = target.tags.iter();
    if let Some(image) = tags.next() {
        line(&mut text, 2, &format!("image: {}", value(image)));
    }
    line(&mut text, 2, "build:");
    line(&mut text, 3, &format!("context: {}", value(target.context)));
    line(&mut text, 3, &format!("dockerfile: {}", value(&target.dockerfile)));
    if let Some(stage) = target.stage {
        line(&mut text, 3, &format!("target: {}", value(stage)));
    }
    list(&mut text, 3, "tags", tags.map(|it| value(it)));
    map(&mut text, "args", target.args);
    map(&mut text, "additional_contexts", &target.contexts);
    map(&mut text, "labels", target.labels);
    sandbox(&mut text, target);
    list(&mut text, 3, "platforms", recipe.platform.map(|it| value(&it.to_string())));
    for (kind, parameters) in recipe.attestations.enabled() {
        let how = Some(parameters).filter(|it| !it.is_empty()).map(value);
        line(&mut text, 3, &format!("{kind}: {}", how.as_deref().unwrap_or("true")));
    }
    list(&mut text, 3, "secrets", target.secrets.iter().map(|(id, _)| value(id)));
    list(&mut text, 3, "ssh", target.ssh.iter().map(|it| value(it)));
    text
}

/// Adds the options of the target's commands.
fn sandbox(text: &mut String, target: &RecipeTarget<'_>) {
    let sandbox = target.sandbox;
    if let Some(mode) = sandbox.own_network() {
        line(text, 3, &format!("network: {}", value(&mode.to_string())));
    }
    if let Some(size) = sandbox.own_shm_size() {
        line(text, 3, &format!("shm_size: {}", value(&size.to_string())));
    }
    if !sandbox.ulimits.is_empty() {
        line(text, 3, "ulimits:");
    }
    for (name, Limits { soft, hard }) in &sandbox.ulimits {
        line(text, 4, &format!("{name}:"));
        line(text, 5, &format!("soft: {soft}"));
        line(text, 5, &format!("hard: {hard}"));
    }
    let hosts = sandbox.host_addresses().map(|(name, it)| value(&format!("{name}={it}")));
    list(text, 3, "extra_hosts", hosts);
    list(text, 3, "entitlements", target.entitlements.iter().map(|it| value(it)));
}

fn map(text: &mut String, name: &str, entries: &BTreeMap<String, String>) {
    if !entries.is_empty() {
        line(text, 3, &format!("{name}:"));
    }
    entries.iter().for_each(|(name, it)| line(text, 4, &format!("{}: {}", key(name), value(it))));
}

/// Quotes a value. Text that Compose would interpret as a variable is escaped.
fn value(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_and_dollar_signs_are_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(value(text), expected);
        check("a: b # c", r#""a: b # c""#);
        check("${a} $b", r#""$${a} $$b""#);
        check("\"\\\n\u{7}", r#""\"\\\n\u0007""#);
    }
}
