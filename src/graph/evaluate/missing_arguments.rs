//! The build arguments without a value that a FROM depends on.
//!
//! Owns which names are reported when a base is blank or malformed: those that must be set for the FROM to have a
//! base. A variable with a fallback, such as `${TAG:-latest}`, is not one of them.

use crate::base::text::list;
use crate::base::{Diagnostic, Rule};
use crate::graph::toml_key;
use crate::parse::expand::{ExpandError, Variables};
use crate::parse::{Dockerfile, InstructionKind};

use super::diagnostics;

/// Returns the declared global arguments without a value that a text uses, also through the defaults of others.
pub(super) fn find(file: &Dockerfile, globals: &dyn Variables, text: &str) -> Vec<String> {
    let items = file.globals.iter().filter_map(|global| match &global.kind {
        InstructionKind::Arg(items) => Some(items),
        _ => None,
    });
    let declared: Vec<_> = items.flatten().collect();
    let mut missing: Vec<String> = Vec::new();
    let mut texts = vec![text];
    let mut seen = Vec::new();
    while let Some(text) = texts.pop() {
        for name in required_names(text) {
            let Some(item) = declared.iter().rev().find(|item| item.name.value == name) else {
                continue;
            };
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let default = item.default.as_ref().map(|default| default.value.as_str());
            match (default, globals.value(name)) {
                (Some(default), _) if default.contains('$') => texts.push(default),
                (_, None | Some("")) => missing.push(name.to_owned()),
                _ => {}
            }
        }
    }
    missing
}

/// Returns the names of the variables in a text that have no fallback there.
fn required_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices('$') {
        let rest = &text[at + 1..];
        let (rest, is_braced) = match rest.strip_prefix('{') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let has_fallback = is_braced && after.trim_start_matches(':').starts_with(['-', '+']);
        if !name.is_empty() && !has_fallback {
            names.push(name);
        }
    }
    names
}

/// Returns the error for a FROM whose arguments have no value.
pub(super) fn describe(names: &[String], image: &str) -> Diagnostic {
    let (plural, verb) = if names.len() == 1 { ("", "has") } else { ("s", "have") };
    let message = format!("the build argument{plural} {} {verb} no value", list(names));
    Diagnostic::new(Rule::MissingArgument, message).hint(ways_to_set(names, image))
}

/// Returns the diagnostic for a word before the first instruction of a stage that cannot be expanded. If it requires an
/// argument, the hint says how to give it a value.
pub(super) fn expansion(error: &ExpandError, word: &str, image: &str) -> Diagnostic {
    let problem = diagnostics::expansion(error, word);
    match error {
        ExpandError::Required { name, .. } => {
            problem.hint(ways_to_set(std::slice::from_ref(name), image))
        }
        _ => problem,
    }
}

/// Returns the ways to give some build arguments of an image a value.
fn ways_to_set(names: &[String], image: &str) -> String {
    let options: Vec<String> = names.iter().map(|name| format!("--build-arg {name}=…")).collect();
    let settings: Vec<String> =
        names.iter().map(|name| format!("args.{} = \"…\"", toml_key(name))).collect();
    format!(
        "pass `{}`, or set {} under `[image.{}]` in `layers.toml`",
        options.join(" "),
        list(&settings),
        toml_key(image)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_fallback_are_not_required() {
        let check = |text: &str, expected: &[&str]| assert_eq!(required_names(text), expected);
        check("debian", &[]);
        check("$A", &["A"]);
        check("${A}/x:$B_1-${C}", &["A", "B_1", "C"]);
        check("${A:-x}${B-x}${C:+x}${D+x}", &[]);
        check("${A:?x}${B#x}${C%%x}${D/x/y}", &["A", "B", "C", "D"]);
        check("$", &[]);
    }
}
