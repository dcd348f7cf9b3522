//! Descriptions of why an image is built.
//!
//! Owns the sentences for reasons and changes. File names and values come from the user's files and
//! environment, so they are cleaned like all text for a terminal.

use crate::base::Location;
use crate::base::text::count;
use crate::inputs::Change;
use crate::plan::Reason;

use super::{Phrase, clean};

/// Describes a reason briefly. Of several changes, names the first one and the number of the others.
pub fn describe(reason: &Reason) -> Phrase {
    match reason {
        Reason::NoImage => "no image in the engine".into(),
        Reason::NotInRegistry => "not in the registry".into(),
        Reason::Unknown { message } => format!("unknown: {}", clean::line(message)).into(),
        Reason::TagMoved { reference } => {
            format!("`{}` points to a different image", clean::visible(reference)).into()
        }
        Reason::Changed { changes } => match changes.as_slice() {
            [] => describe(&Reason::OtherInputs),
            [only] => describe_change(only),
            [first, rest @ ..] => {
                let more = count(rest.len(), "more change");
                format!("{}, and {more}", describe_change(first)).into()
            }
        },
        Reason::OtherInputs => "built from different inputs".into(),
        Reason::Forced => "forced".into(),
        Reason::MissingFile { at, message, .. } => {
            format!("{}: {}", clean::visible(&exact(at)), clean::line(message)).into()
        }
        Reason::Unreadable { message } => {
            clean::line(message.lines().next().unwrap_or_default()).into()
        }
    }
}

/// Describes a change briefly.
pub fn describe_change(change: &Change) -> Phrase {
    describe_change_by(change, &|text| clean::visible(text).into_owned())
}

/// Returns a position, to be formatted by `quote`.
fn exact(at: &Location) -> String {
    format!("{}:{}:{}", at.file.as_str(), at.line, at.column)
}

/// Describes a change briefly. `quote` formats text from elsewhere.
pub(super) fn describe_change_by(change: &Change, quote: &dyn Fn(&str) -> String) -> Phrase {
    let words = match change {
        Change::FileChanged { path } => format!("{} changed", quote(path)),
        Change::FileAdded { path } => format!("{} is new", quote(path)),
        Change::FileRemoved { path } => format!("{} was removed", quote(path)),
        Change::ModeChanged { path, now, was } => {
            format!("mode of {} is {now}, was {was}", quote(path))
        }
        Change::Instruction { at } => format!("{} changed", quote(&exact(at))),
        Change::Triggers { at } => {
            format!("the ONBUILD instructions of the base image at {} changed", quote(&exact(at)))
        }
        Change::Argument { name, now, was } => {
            let shown = |value: &str| if value.is_empty() { "empty".into() } else { quote(value) };
            let value = |value: &Option<String>| value.as_deref().map(shown);
            let what = setting(name, quote);
            match (value(now), value(was)) {
                (Some(now), Some(was)) => format!("{what} is {now}, was {was}"),
                (Some(now), None) => format!("{what} is {now}, was not set"),
                (None, Some(was)) => format!("{what} is not set, was {was}"),
                (None, None) => format!("the declaration of {what} moved"),
            }
        }
        Change::Platform { now, was } => {
            let [now, was] = [now, was].map(|platform| quote(&platform.to_string()));
            format!("platform is {now}, was {was}")
        }
        Change::Syntax => return "the Dockerfile frontend changed".into(),
        Change::External { reference, in_engine } => {
            let what = if *in_engine { "moved" } else { "is no longer in the engine" };
            let name = reference.normalized();
            format!("external {} {what}", quote(name.trim_start_matches("docker.io/library/")))
        }
        Change::Parent { image } => format!("{} was rebuilt and differs", quote(image)),
    };
    words.into()
}

/// Returns what users call a setting of an image's key.
fn setting(name: &str, quote: &dyn Fn(&str) -> String) -> String {
    if let Some(kind) = name.strip_prefix("attest:") {
        return format!("--{kind}");
    }
    if let Some(label) = name.strip_prefix("label ") {
        return format!("label {}", quote(label));
    }
    match name.strip_prefix("option ").map(|option| option.split_once(' ')) {
        Some(Some((option, of))) => format!("{option} {}", quote(of)),
        Some(None) => name.trim_start_matches("option ").to_owned(),
        None => format!("ARG {}", quote(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::Reference;

    #[test]
    fn reasons_are_described_in_words() {
        let check = |reason: Reason, expected: &str| assert_eq!(describe(&reason), expected);
        let file = || Change::FileChanged { path: "docker/base/a".to_owned() };
        let (name, was) = ("PY".to_owned(), Some("3.11".to_owned()));
        let argument = Change::Argument { name, now: Some("3.12".to_owned()), was };
        let external = Reference::parse("debian:bookworm-slim").unwrap();
        check(Reason::NoImage, "no image in the engine");
        check(Reason::NotInRegistry, "not in the registry");
        check(Reason::Unknown { message: "no answer".into() }, "unknown: no answer");
        check(Reason::OtherInputs, "built from different inputs");
        check(Reason::Changed { changes: vec![file()] }, "docker/base/a changed");
        check(Reason::Changed { changes: vec![argument] }, "ARG PY is 3.12, was 3.11");
        let option = |name: &str, now: Option<&str>, was: Option<&str>| {
            let [now, was] = [now, was].map(|it| it.map(str::to_owned));
            Reason::Changed { changes: vec![Change::Argument { name: name.to_owned(), now, was }] }
        };
        check(option("label a.b", Some("2"), Some("1")), "label a.b is 2, was 1");
        check(option("label a.b", None, Some("1")), "label a.b is not set, was 1");
        check(option("label a.b", Some(""), None), "label a.b is empty, was not set");
        check(option("option network", Some("none"), None), "network is none, was not set");
        check(
            option("option ulimit nofile", Some("5:5"), Some("4:4")),
            "ulimit nofile is 5:5, was 4:4",
        );
        check(
            Reason::Changed {
                changes: vec![Change::External { reference: external, in_engine: true }],
            },
            "external debian:bookworm-slim moved",
        );
        check(
            Reason::Changed { changes: vec![file(), file(), file()] },
            "docker/base/a changed, and 2 more changes",
        );
        check(
            Reason::Changed { changes: vec![Change::Parent { image: "base".to_owned() }] },
            "base was rebuilt and differs",
        );
    }
}
