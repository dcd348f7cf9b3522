//! The functions of bake's standard library that decide names, arguments, and contexts.
//!
//! Owns their meaning for known arguments (buildx, `bake/hclparser/stdlib.go`, and go-cty's `function/stdlib`). Those
//! that depend on the time or on chance are unknown.

use hcl::{Map, Value};
use regex::{Regex, RegexBuilder};

use super::evaluate::{is_unknown, to_text, unknown};

/// The size of the largest compiled regular expression, in bytes.
const MAX_REGEX: usize = 1 << 18;

/// Returns the result of a function, or `None` if it is not known or the call is an error.
pub(super) fn call(name: &str, args: Vec<Value>) -> Option<Value> {
    // These pass unknown parts through.
    match name {
        "join" => return join(&args),
        "format" => return format(&args),
        "concat" => return concat(args),
        "flatten" => return flatten(args),
        "lower" => return text(&args, 0).map(|text| text.to_lowercase().into()),
        "upper" => return text(&args, 0).map(|text| text.to_uppercase().into()),
        _ if args.iter().any(is_unknown) => return None,
        _ => {}
    }
    known_texts(name, &args).or_else(|| known_values(name, args))
}

fn text(args: &[Value], at: usize) -> Option<String> {
    to_text(args.get(at)?)
}

fn known_texts(name: &str, args: &[Value]) -> Option<Value> {
    let first = text(args, 0)?;
    let (second, third) = (text(args, 1), text(args, 2));
    Some(match name {
        "trimspace" => first.trim().into(),
        "trimprefix" => first.strip_prefix(second?.as_str()).unwrap_or(&first).into(),
        "trimsuffix" => first.strip_suffix(second?.as_str()).unwrap_or(&first).into(),
        "trim" => {
            let cut = second?;
            first.trim_matches(|c| cut.contains(c)).into()
        }
        "title" => title(&first).into(),
        "strlen" => first.chars().count().into(),
        "replace" => first.replace(second?.as_str(), &third?).into(),
        "regex_replace" => {
            regex(&second?)?.replace_all(&first, third?.as_str()).into_owned().into()
        }
        "regex" => regex_match(&first, &second?)?,
        "split" => second?.split(first.as_str()).map(Value::from).collect(),
        "substr" => {
            let at = |index: usize| args.get(index).and_then(Value::as_u64);
            let (start, length) = (usize::try_from(at(1)?).ok()?, usize::try_from(at(2)?).ok()?);
            first.chars().skip(start).take(length).collect::<String>().into()
        }
        "basename" => first.rsplit('/').next()?.into(),
        "dirname" => first.rsplit_once('/').map_or(".", |(directory, _)| directory).into(),
        "sanitize" => {
            let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            first.chars().map(|c| if is_kept(c) { c } else { '_' }).collect::<String>().into()
        }
        "and" => (to_bool(&args[0])? && to_bool(args.get(1)?)?).into(),
        "or" => (to_bool(&args[0])? || to_bool(args.get(1)?)?).into(),
        "not" => (!to_bool(&args[0])?).into(),
        _ => return None,
    })
}

fn known_values(name: &str, args: Vec<Value>) -> Option<Value> {
    let mut args = args.into_iter();
    let first = args.next()?;
    Some(match (name, first) {
        ("equal", first) => equal(&first, &args.next()?)?.into(),
        ("notequal", first) => (!equal(&first, &args.next()?)?).into(),
        ("can", _) => true.into(),
        ("coalesce", first) => std::iter::once(first).chain(args).find(|value| !value.is_null())?,
        ("length", Value::Array(items)) => items.len().into(),
        ("length", Value::Object(entries)) => entries.len().into(),
        ("contains" | "sethaselement", Value::Array(items)) => {
            let wanted = args.next()?;
            items.iter().any(|item| equal(item, &wanted) == Some(true)).into()
        }
        ("index", first) => element_at(first, &args.next()?)?,
        ("element", Value::Array(items)) => {
            let at = usize::try_from(args.next()?.as_u64()?).ok()?;
            items.get(at.checked_rem(items.len())?)?.clone()
        }
        ("lookup", Value::Object(entries)) => {
            let key = to_text(&args.next()?)?;
            entries.get(&key).cloned().or_else(|| args.next())?
        }
        ("keys", Value::Object(entries)) => entries.keys().cloned().map(Value::from).collect(),
        ("values", Value::Object(entries)) => entries.into_values().collect(),
        ("merge", Value::Object(mut entries)) => {
            for more in args {
                match more {
                    Value::Object(more) => entries.extend(more),
                    _ => return None,
                }
            }
            Value::Object(entries)
        }
        ("compact", Value::Array(items)) => {
            let is_set = |item: &Value| !item.is_null() && item.as_str() != Some("");
            items.into_iter().filter(is_set).collect()
        }
        ("distinct" | "toset", Value::Array(items)) => distinct(items),
        ("reverse" | "reverselist", Value::Array(items)) => items.into_iter().rev().collect(),
        ("setsubtract", Value::Array(items)) => {
            let without = args.next()?;
            let without = without.as_array()?;
            items.into_iter().filter(|item| !without.contains(item)).collect()
        }
        ("slice", Value::Array(items)) => {
            let mut position = || usize::try_from(args.next()?.as_u64()?).ok();
            let (start, end) = (position()?, position()?);
            items.get(start..end)?.to_vec().into()
        }
        _ => return None,
    })
}

/// Returns whether two values are equal, or `None` if that is unknown. Scalars of different types are compared as
/// texts.
pub(super) fn equal(left: &Value, right: &Value) -> Option<bool> {
    if is_unknown(left) || is_unknown(right) {
        return None;
    }
    Some(match (to_text(left), to_text(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    })
}

/// Returns the truth of a value, or `None` if it is unknown or not a boolean.
pub(super) fn to_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Returns an item of a list or an entry of an object.
pub(super) fn element_at(value: Value, index: &Value) -> Option<Value> {
    match value {
        Value::Array(mut items) => {
            let at = usize::try_from(index.as_u64()?).ok()?;
            (at < items.len()).then(|| items.swap_remove(at))
        }
        Value::Object(mut entries) => entries.swap_remove(&to_text(index)?),
        _ => None,
    }
}

fn join(args: &[Value]) -> Option<Value> {
    let separator = text(args, 0)?;
    let lists = args.get(1..)?.iter().map(Value::as_array).collect::<Option<Vec<_>>>()?;
    let texts = lists.into_iter().flatten().map(to_text).collect::<Option<Vec<_>>>()?;
    Some(texts.join(&separator).into())
}

/// Formats texts and numbers with the verbs `%s`, `%d`, `%v`, and `%%`.
fn format(args: &[Value]) -> Option<Value> {
    let pattern = text(args, 0)?;
    let mut rest = args.get(1..)?.iter();
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (c, false) => out.push(c),
            (_, true) => match chars.next()? {
                '%' => out.push('%'),
                's' | 'd' | 'v' => out.push_str(&to_text(rest.next()?)?),
                _ => return None,
            },
        }
    }
    Some(out.into())
}

fn concat(args: Vec<Value>) -> Option<Value> {
    let mut all = Vec::new();
    for arg in args {
        match arg {
            Value::Array(items) => all.extend(items),
            arg if is_unknown(&arg) => all.push(unknown()),
            _ => return None,
        }
    }
    Some(Value::Array(all))
}

fn flatten(args: Vec<Value>) -> Option<Value> {
    let mut all = Vec::new();
    let mut open = args;
    let Some(Value::Array(_)) = open.first() else { return None };
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items.into_iter().rev()),
            value => all.push(value),
        }
    }
    Some(Value::Array(all))
}

fn distinct(items: Vec<Value>) -> Value {
    let mut seen = std::collections::HashSet::new();
    items.into_iter().filter(|item| seen.insert(format!("{item:?}"))).collect()
}

fn title(text: &str) -> String {
    let mut starts = true;
    let capitalize = |c: char| {
        let upper = if starts { c.to_uppercase().next().unwrap_or(c) } else { c };
        starts = !c.is_alphanumeric();
        upper
    };
    text.chars().map(capitalize).collect()
}

fn regex(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).size_limit(MAX_REGEX).build().ok()
}

/// Returns what a regular expression finds: an object of its named groups, a list of its groups, or the match.
fn regex_match(pattern: &str, text: &str) -> Option<Value> {
    let pattern = regex(pattern)?;
    let found = pattern.captures(text)?;
    let value =
        |group: Option<regex::Match<'_>>| group.map_or(Value::Null, |it| it.as_str().into());
    let mut names = pattern.capture_names().flatten().peekable();
    if names.peek().is_some() {
        let entries = names.map(|name| (name.to_owned(), value(found.name(name))));
        return Some(Value::Object(entries.collect::<Map<_, _>>()));
    }
    Some(match found.len() {
        1 => value(found.get(0)),
        _ => found.iter().skip(1).map(value).collect(),
    })
}
