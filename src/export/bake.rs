//! The graph as a file for `docker buildx bake` (<https://docs.docker.com/build/bake/reference/>).
//!
//! Owns the generation of HCL: one target per image, and `contexts` that map the references in Dockerfiles to
//! targets. Bake cannot find these edges itself.

use std::collections::BTreeMap;

use crate::engine::attest::AttestationKind;
use crate::engine::sandbox::HostAddress;
use crate::scan::config::SecretSource;

use super::View;
use super::recipe::{NameRules, Recipe, RecipeTarget, names, quoted};

/// Targets and groups share a namespace.
const GROUP: &str = "default";

/// Returns the graph as an HCL document.
pub fn draw(view: &View<'_>, recipe: &Recipe<'_>) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let names = names(view, &NameRules::of(is_allowed, &[GROUP]));
    let mut text = recipe.header("docker-bake.hcl", "docker buildx bake");
    text.push_str(&format!("group \"{GROUP}\" {{\n"));
    attribute(&mut text, "targets", &list(&names.values().collect::<Vec<_>>()));
    text.push_str("}\n");
    for target in recipe.targets(view, &names, "target:") {
        text.push_str(&describe(&target, recipe));
    }
    text
}

fn describe(target: &RecipeTarget<'_>, recipe: &Recipe<'_>) -> String {
    let mut text = format!("\ntarget {} {{\n", quote(target.name));
    attribute(&mut text, "context", &quote(target.context));
    attribute(&mut text, "dockerfile", &quote(&target.dockerfile));
    if let Some(stage) = target.stage {
        attribute(&mut text, "target", &quote(stage));
    }
    attribute(&mut text, "tags", &list(&target.tags));
    block(&mut text, "args", target.args);
    block(&mut text, "contexts", &target.contexts);
    block(&mut text, "labels", target.labels);
    sandbox(&mut text, target);
    if let Some(platform) = recipe.platform {
        attribute(&mut text, "platforms", &list(&[platform.to_string()]));
    }
    let attested: Vec<String> = recipe.attestations.enabled().map(attestation).collect();
    if !attested.is_empty() {
        attribute(&mut text, "attest", &list(&attested));
    }
    let secrets: Vec<String> = target.secrets.iter().map(|(id, it)| secret(id, it)).collect();
    if !secrets.is_empty() {
        attribute(&mut text, "secret", &list(&secrets));
    }
    if !target.ssh.is_empty() {
        attribute(&mut text, "ssh", &list(&target.ssh));
    }
    text.push_str("}\n");
    text
}

/// Adds the options of the target's commands.
fn sandbox(text: &mut String, target: &RecipeTarget<'_>) {
    let sandbox = target.sandbox;
    if let Some(mode) = sandbox.own_network() {
        attribute(text, "network", &quote(&mode.to_string()));
    }
    if let Some(size) = sandbox.own_shm_size() {
        attribute(text, "shm-size", &quote(&size.to_string()));
    }
    let ulimits: Vec<String> = sandbox.ulimit_words().collect();
    if !ulimits.is_empty() {
        attribute(text, "ulimits", &list(&ulimits));
    }
    let hosts = sandbox.hosts.iter().map(|(name, addresses)| {
        let addresses: Vec<String> = addresses.iter().map(HostAddress::to_string).collect();
        (name.clone(), addresses.join(","))
    });
    block(text, "extra-hosts", &hosts.collect());
    if !target.entitlements.is_empty() {
        attribute(text, "entitlements", &list(&target.entitlements));
    }
}

/// Formats an attestation: `type=provenance,mode=max`.
fn attestation((kind, parameters): (AttestationKind, &str)) -> String {
    let comma = if parameters.is_empty() { "" } else { "," };
    format!("type={kind}{comma}{parameters}")
}

/// Formats a secret: `id=npm,env=NPM_TOKEN`. Fields with a comma or a quote are quoted as in CSV.
fn secret(id: &str, source: &SecretSource) -> String {
    let field = |name: &str, value: &str| {
        let field = format!("{name}={value}");
        match field.contains([',', '"']) {
            true => format!("\"{}\"", field.replace('"', "\"\"")),
            false => field,
        }
    };
    let source = match source {
        SecretSource::Variable(name) => field("env", name),
        SecretSource::File(path) => field("src", path),
    };
    format!("{},{source}", field("id", id))
}

fn attribute(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("  {name} = {value}\n"));
}

/// Adds an object, unless it is empty.
fn block(text: &mut String, name: &str, entries: &BTreeMap<String, String>) {
    let entries = entries.iter();
    let lines: String =
        entries.map(|(key, value)| format!("    {} = {}\n", quote(key), quote(value))).collect();
    if !lines.is_empty() {
        attribute(text, name, &format!("{{\n{lines}  }}"));
    }
}

/// Formats a list: a single value on the same line, several values on one line each, so that an added value
/// is one line in a diff.
fn list<S: AsRef<str>>(values: &[S]) -> String {
    if let [] | [_] = values {
        return format!("[{}]", values.iter().map(|it| quote(it.as_ref())).collect::<String>());
    }
    let lines = values.iter().map(|it| format!("    {},\n", quote(it.as_ref())));
    format!("[\n{}  ]", lines.collect::<String>())
}

/// Quotes a string so that it contains no escapes and no templates. `$${` stands for `${`: the sign is
/// doubled only directly before the brace.
fn quote(text: &str) -> String {
    quoted(&text.replace("${", "$${").replace("%{", "%%{"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hcl_strings_are_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(quote(text), expected);
        check("a", r#""a""#);
        check(r#"say "hi" \o/"#, r#""say \"hi\" \\o/""#);
        check("${a} $b $${c}", r#""$${a} $b $$${c}""#);
        check("%{if} 100%", r#""%%{if} 100%""#);
        check("a\nb\t\u{1}", r#""a\nb\t\u0001""#);
    }

    #[test]
    fn secrets_are_written_as_csv_fields() {
        let check = |id: &str, source: SecretSource, expected: &str| {
            assert_eq!(secret(id, &source), expected);
        };
        check("npm", SecretSource::Variable("TOKEN".to_owned()), "id=npm,env=TOKEN");
        check("npm", SecretSource::File("a,b".to_owned()), "id=npm,\"src=a,b\"");
    }
}
