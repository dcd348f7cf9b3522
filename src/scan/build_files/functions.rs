//! The functions of a shell script.
//!
//! Owns finding them in the text. What a call does is known to [`super::shell`].

use std::collections::{BTreeMap, HashMap};

use super::expand::name_at_start;

/// The body of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShellFunction {
    /// The line on which the body starts, from 1.
    pub(super) line: u32,
    /// The text.
    pub(super) body: String,
}

/// Returns the functions of a script by name, and the script with blank lines in the place of their bodies. A body ends
/// with the first `}` that is indented like the name.
pub(super) fn split(text: &str) -> (BTreeMap<String, ShellFunction>, String) {
    let numbered = || (1_u32..).zip(text.lines());
    let ends = numbered().filter(|(_, line)| line.trim() == "}");
    let last_end: HashMap<&str, u32> =
        ends.map(|(number, line)| (line.trim_end(), number)).collect();
    let mut functions = BTreeMap::new();
    let mut rest = String::new();
    let mut lines = numbered();
    while let Some((number, line)) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let has_end = || last_end.get(end.as_str()).is_some_and(|end| *end > number);
        let name = name_of(line).filter(|_| has_end());
        rest.push_str(if name.is_some() { "" } else { line });
        rest.push('\n');
        let Some(name) = name else { continue };
        let mut body = String::new();
        for (_, line) in lines.by_ref() {
            rest.push('\n');
            if line.trim_end() == end {
                break;
            }
            body.push_str(if line.trim() == "{" { "" } else { line });
            body.push('\n');
        }
        functions.insert(name.to_owned(), ShellFunction { line: number + 1, body });
    }
    (functions, rest)
}

/// Returns the name of the function that a line begins: `name() {`, or `function name {`.
fn name_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let after = line.strip_prefix("function ").map(str::trim_start);
    let name = name_at_start(after.unwrap_or(line));
    let rest = after.unwrap_or(line)[name.len()..].trim_start();
    let parentheses = rest.strip_prefix('(').and_then(|rest| rest.trim_start().strip_prefix(')'));
    let is_function = after.is_some() || parentheses.is_some();
    let rest = parentheses.unwrap_or(rest).trim();
    (is_function && !name.is_empty() && matches!(rest, "" | "{")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_split_from_the_rest() {
        let text = "a=1\nbuild() {\n  x\n  if y; then { z; } fi\n}\nbuild b\nfunction other\n{\n  w\n}\nend\n";
        let (functions, rest) = split(text);
        assert_eq!(rest, "a=1\n\n\n\n\nbuild b\n\n\n\n\nend\n");
        let found: Vec<(&str, u32, &str)> =
            functions.iter().map(|(name, it)| (name.as_str(), it.line, it.body.as_str())).collect();
        assert_eq!(found, [("build", 3, "  x\n  if y; then { z; } fi\n"), ("other", 8, "\n  w\n")]);
        let (functions, rest) = split("open() {\n  x\n");
        assert!(functions.is_empty() && rest == "open() {\n  x\n", "a body without an end");
    }
}
