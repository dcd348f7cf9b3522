//! The `RUN` instruction and the fields of its mounts.
//!
//! Owns the syntax. The keys and values of mounts are checked after expansion, when the stage is
//! evaluated. Only `from` is never expanded and is checked here.

use std::borrow::Cow;

use crate::base::{Diagnostic, Rule, Spanned};

use super::flags::{self, FlagValueKind};
use super::instruction::read_command;
use super::reader::LineReader;
use super::splitting::{Flag, Parts};
use super::syntax::{Mount, MountField, Run};

const FLAGS: [(&str, FlagValueKind); 4] = [
    ("mount", FlagValueKind::Values),
    ("network", FlagValueKind::Value),
    ("security", FlagValueKind::Value),
    ("device", FlagValueKind::Values),
];

/// Parses a `RUN`. Returns `None` after reporting a diagnostic if it is invalid.
pub(super) fn read(reader: &mut LineReader<'_>, parts: &Parts) -> Option<Run> {
    let flag_values = flags::check(reader, &parts.flags, &FLAGS)?;
    let mut mounts = Vec::new();
    for flag in parts.flags.iter().filter(|flag| flag.text.starts_with("--mount=")) {
        mounts.push(read_mount(reader, flag)?);
    }
    let devices = flag_values.values("device");
    for device in &devices {
        if !is_device(&device.value) {
            return wrong_value(reader, "device", device);
        }
    }
    let network = flag_values.values("network").pop();
    let security = flag_values.values("security").pop();
    let modes = [
        ("network", &network, ["default", "none", "host"].as_slice()),
        ("security", &security, ["sandbox", "insecure"].as_slice()),
    ];
    for (name, value, choices) in modes {
        if let Some(value) = value
            && !choices.contains(&value.value.as_str())
        {
            return wrong_value(reader, name, value);
        }
    }
    let command = read_command(reader, parts.arguments.clone())?;
    Some(Run { mounts, network, security, devices, command })
}

/// Returns whether a text names one device, as `name` or `name=…`, with an optional `required`.
fn is_device(text: &str) -> bool {
    let Some(fields) = split_csv(text) else { return false };
    let mut is_named = false;
    fields.iter().all(|(field, _)| {
        let (key, value) = flags::split_value(field);
        match (key.to_lowercase().as_str(), value) {
            ("required", None) => true,
            ("required", Some(value)) => flags::is_switch(value),
            // The first field of any other form is the whole name, `vendor/class=name`.
            ("name", Some(value)) => !std::mem::replace(&mut is_named, !value.is_empty()),
            _ => !std::mem::replace(&mut is_named, !field.is_empty()),
        }
    })
}

fn wrong_value<T>(reader: &mut LineReader<'_>, name: &str, value: &Spanned<String>) -> Option<T> {
    let message = format!("`{}` is not a valid value for `--{name}`", value.value);
    reader.refuse(Diagnostic::new(Rule::InvalidFlag, message), value.span)
}

fn read_mount(reader: &mut LineReader<'_>, flag: &Flag) -> Option<Mount> {
    let start = "--mount=".len();
    let Some(fields) = split_csv(&flag.text[start..]) else {
        let message = "the mount is not a comma-separated list of `key=value`";
        let span = reader.span(flag.range.clone());
        return reader.refuse(Diagnostic::new(Rule::InvalidMount, message), span);
    };
    let mut mount =
        Mount { span: reader.span(flag.range_of(start..flag.text.len())), fields: Vec::new() };
    for (field, at) in fields {
        let at = start + at;
        let (key, value) = flags::split_value(&field);
        let value = value.map(|value| {
            let from = at + key.len() + 1;
            let range = flag.range_of(from..(from + value.len()).min(flag.text.len()));
            Spanned::new(value.to_owned(), reader.span(range))
        });
        let range = flag.range_of(at..(at + key.len()).min(flag.text.len()));
        let key = Spanned::new(key.to_lowercase(), reader.span(range));
        if let Some(value) = value.as_ref().filter(|_| key.value == "from")
            && value.value.find('$').is_some_and(|at| at + 1 < value.value.len())
        {
            let message = format!("variables are not supported in `from={}`", value.value);
            let hint = "define a stage with `FROM` and a global ARG, and name that stage here";
            let diagnostic = Diagnostic::new(Rule::VariableInFrom, message).hint(hint);
            return reader.refuse(diagnostic, value.span);
        }
        mount.fields.push(MountField { key, value });
    }
    Some(mount)
}

/// Splits one line of comma-separated values. Returns each value with its offset, or `None` if the
/// text is empty or has a misplaced quote. The rules are those of
/// github.com/tonistiigi/go-csvvalue.
pub fn split_csv(text: &str) -> Option<Vec<(Cow<'_, str>, usize)>> {
    let mut fields = Vec::new();
    let mut at = 0;
    if text.is_empty() {
        return None;
    }
    loop {
        let rest = &text[at..];
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            if rest[..end].contains('"') {
                return None;
            }
            fields.push((rest[..end].into(), at));
            if end == rest.len() {
                return Some(fields);
            }
            at += end + 1;
            continue;
        };
        let mut field = String::new();
        let mut rest = quoted;
        loop {
            let end = rest.find('"')?;
            field.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            let Some(more) = rest.strip_prefix('"') else { break };
            field.push('"');
            rest = more;
        }
        fields.push((field.into(), at + 1));
        if rest.is_empty() {
            return Some(fields);
        }
        at = text.len() - rest.strip_prefix(',')?.len();
    }
}

#[cfg(test)]
mod tests {
    use super::split_csv;

    #[test]
    fn csv_fields_are_split_at_unquoted_commas() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let fields = split_csv(text);
            let fields: Option<Vec<&str>> =
                fields.as_ref().map(|fields| fields.iter().map(|(field, _)| &**field).collect());
            assert_eq!(fields.as_deref(), expected, "{text}");
        };
        check("type=bind,from=x", Some(&["type=bind", "from=x"]));
        check("\"a,b\"\",c\"", Some(&["a,b\",c"]));
        check("\"a,b\",c", Some(&["a,b", "c"]));
        check("\"a\"\"b\"", Some(&["a\"b"]));
        check("a,", Some(&["a", ""]));
        check("a\"b", None);
        check("", None);
    }
}
