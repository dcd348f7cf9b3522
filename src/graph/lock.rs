//! `graph.json` read back: the digests that it gives externals, and whether it is of today.
//!
//! Owns the reading of what `draw::json` writes. Where something is built on it nothing is forgiven: a
//! lock that is read half would pin half. Of a revision's lock, with which something is only compared,
//! what can be understood counts. It touches no file.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::base::screen::visible_json;
use crate::base::{Diagnostic, Source, Span};

use super::draw::json::VERSION;
use super::reference::{Reference, is_digest};

/// The digests of externals that are named by tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<Reference, String>);

impl Pins {
    /// Those in the text of a lock that may be of another version, edited by hand or no JSON at all: what
    /// can't be understood pins nothing.
    pub fn of_any(text: &[u8]) -> Pins {
        let lock: Value = serde_json::from_slice(text).unwrap_or_default();
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let images = list(&lock, "images");
        let externals = images.iter().flat_map(|image| list(image, "externals"));
        let pin = |external: Value| {
            let digest = external["digest"].as_str().filter(|digest| is_digest(digest))?;
            let reference = Reference::parse(external["reference"].as_str()?).ok()?;
            Some((reference, digest.to_owned()))
        };
        Pins(externals.filter_map(pin).collect())
    }

    /// The digest that an external is pinned to. One that names its digest itself is none.
    pub fn digest(&self, external: &Reference) -> Option<&str> {
        self.0.get(external).filter(|_| external.digest.is_none()).map(String::as_str)
    }

    /// What an external is pinned to, by digest alone.
    pub fn pinned(&self, external: &Reference) -> Option<Reference> {
        let digest = self.digest(external)?.to_owned();
        Some(Reference { tag: None, digest: Some(digest), ..external.clone() })
    }

    /// Pins an external.
    pub fn pin(&mut self, external: &Reference, digest: String) {
        self.0.insert(external.clone(), digest);
    }
}

/// What a lock says, apart from the images' own references: a version adds one to each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    #[serde(deserialize_with = "read_version")]
    version: u32,
    images: Vec<LockImage>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockImage {
    name: String,
    dockerfile: String,
    context: String,
    target: Option<String>,
    parents: Vec<LockParent>,
    externals: Vec<LockExternal>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockParent {
    image: String,
    kind: String,
    reference: String,
    at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockExternal {
    #[serde(deserialize_with = "read_reference")]
    reference: Reference,
    kind: String,
    at: String,
    #[serde(deserialize_with = "read_digest")]
    digest: Option<String>,
}

fn read_version<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        VERSION => Ok(VERSION),
        other => Err(Error::custom(format!("version {other} is not known here"))),
    }
}

fn read_reference<'de, D: Deserializer<'de>>(from: D) -> Result<Reference, D::Error> {
    let text = String::deserialize(from)?;
    match Reference::parse(&text) {
        Ok(reference) if reference.normalised() == text => Ok(reference),
        _ => Err(Error::custom(format!("`{text}` is no normalised reference"))),
    }
}

fn read_digest<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    match Reference::parse(&format!("a@{text}")) {
        Ok(_) => Ok(Some(text)),
        Err(_) => Err(Error::custom(format!("`{text}` is no digest"))),
    }
}

/// Whether a file may be a lock at all, and not what another program calls `graph.json`.
pub fn looks_like_lock(text: &str) -> bool {
    text.contains("\"images\"") && text.contains("\"version\"")
}

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// Where it is broken: the diagnostic points at the place.
    pub fn read(source: &Source) -> Result<Lock, Box<Diagnostic>> {
        serde_json::from_str(source.text()).map_err(|error| {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or_default();
            broken(source, place(source, &error), &format!("`{}`: {said}", source.path()))
        })
    }

    /// The digests of externals that are named by tag.
    ///
    /// # Errors
    /// Where it gives one external two digests.
    pub fn pins(&self, source: &Source) -> Result<Pins, Box<Diagnostic>> {
        let mut pins = Pins::default();
        for external in self.images.iter().flat_map(|image| &image.externals) {
            let by_tag = external.reference.digest.is_none();
            let Some(digest) = external.digest.as_ref().filter(|_| by_tag) else { continue };
            let before = pins.0.insert(external.reference.clone(), digest.clone());
            if before.is_some_and(|before| before != *digest) {
                let start = source.text().rfind(digest.as_str()).unwrap_or_default();
                let span = Span::new(start, start + digest.len());
                let twice = format!("`{}` has two digests", external.reference);
                return Err(broken(source, span, &twice));
            }
        }
        Ok(pins)
    }

    /// The externals that are named by tag, as people write them.
    pub fn externals(&self) -> Vec<String> {
        let all = self.images.iter().flat_map(|image| &image.externals).map(|it| &it.reference);
        let by_tag = all.filter(|it| it.digest.is_none()).map(Reference::familiar);
        by_tag.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// It as text, for telling what differs.
    pub fn to_text(&self) -> String {
        // It is all text, so this does not fail.
        visible_json(serde_json::to_string_pretty(self).unwrap_or_default()) + "\n"
    }
}

fn broken(source: &Source, span: Span, message: &str) -> Box<Diagnostic> {
    let hint = "take back what was changed by hand or by a merge, or remove the file and pin anew: \
                layers update";
    Box::new(Diagnostic::error("broken-lock", message).at(source, span, "").hint(hint))
}

/// Where an error was found: serde counts lines from 1, and bytes up to the last one that was read.
fn place(source: &Source, error: &serde_json::Error) -> Span {
    let line = u32::try_from(error.line()).unwrap_or(u32::MAX).max(1);
    let Some(line) = source.line_span(line) else { return Span::default() };
    let text = source.slice(line);
    let mut start = error.column().saturating_sub(1).min(text.len().saturating_sub(1));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let length = text[start..].chars().next().map_or(0, char::len_utf8);
    let start = line.range().start + start;
    Span::new(start, start + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RelPath;

    fn source(text: &str) -> Source {
        Source::new(RelPath::new("graph.json").unwrap(), text)
    }

    fn external(reference: &str, digest: &str) -> String {
        let at = "docker/a/Dockerfile:1:6";
        format!(r#"{{"reference":"{reference}","kind":"from","at":"{at}","digest":{digest}}}"#)
    }

    fn lock(externals: &[String]) -> Source {
        let externals = externals.join(",\n");
        source(&format!(
            "{{\"version\":1,\"images\":[{{\"name\":\"a\",\"dockerfile\":\"a\",\"context\":\"a\",\n\
             \"target\":null,\"references\":[\"a\"],\"parents\":[],\"externals\":[\n{externals}\n]}}]}}"
        ))
    }

    fn digest(digit: char) -> String {
        format!("\"sha256:{}\"", digit.to_string().repeat(64))
    }

    #[test]
    fn pins_are_those_of_externals_by_tag() {
        let fixed = format!("docker.io/library/c@sha256:{}", "3".repeat(64));
        let source = lock(&[
            external("docker.io/library/a:1", &digest('1')),
            external("docker.io/library/b:1", "null"),
            external(&fixed, &digest('3')),
            external("docker.io/library/a:1", &digest('1')),
        ]);
        let pins = Lock::read(&source).unwrap().pins(&source).unwrap();
        let check = |text: &str, expected: Option<String>| {
            let reference = Reference::parse(text).unwrap();
            let pinned = pins.pinned(&reference).map(|pinned| pinned.familiar());
            assert_eq!(pinned, expected, "{text}");
        };
        check("a:1", Some(format!("a@sha256:{}", "1".repeat(64))));
        check("b:1", None);
        check("a", None);
        check(&fixed, None);
        assert_eq!(pins.0.len(), 1);
    }

    #[test]
    fn what_is_broken_is_pointed_at() {
        let check = |source: &Source, message: &str, place: &str| {
            let lock = Lock::read(source).and_then(|lock| lock.pins(source));
            let problem = lock.unwrap_err();
            assert!(problem.message.starts_with(message), "{}", problem.message);
            let label = &problem.labels[0];
            assert_eq!(label.source.place(label.span).to_string(), format!("graph.json:{place}"));
        };
        let text = |text: &str| source(text);
        check(&text(""), "`graph.json`: EOF while parsing a value", "1:1");
        check(&text("{\n<<<<<<< HEAD\n"), "`graph.json`: key must be a string", "2:1");
        let newer = "{\n\"version\": 2,\n\"images\": []\n}";
        check(&text(newer), "`graph.json`: version 2 is not known here", "2:12");
        check(&text("{\"version\":1}"), "`graph.json`: missing field `images`", "1:13");
        check(&text("{\"version\":1,\"images\":[],é}"), "`graph.json`: key must be", "1:26");
        let one = external("docker.io/library/a:1", &digest('1'));
        let two = external("docker.io/library/a:1", &digest('2'));
        check(&lock(&[one.clone(), two]), "`docker.io/library/a:1` has two digests", "4:93");
        let short = external("docker.io/library/a:1", "\"sha256:11\"");
        check(&lock(&[short]), "`graph.json`: `sha256:11` is no digest", "3:103");
        let familiar = external("a:1", "null");
        check(&lock(&[one, familiar]), "`graph.json`: `a:1` is no normalised reference", "4:18");
    }

    #[test]
    fn what_can_not_be_understood_pins_nothing() {
        let reference = Reference::parse("x").unwrap();
        let lock = |digest: &str| {
            let external =
                format!(r#"{{"reference":"docker.io/library/x:latest","digest":{digest}}}"#);
            format!(r#"{{"images":[7,{{"name":"a","externals":[{external}]}}]}}"#)
        };
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Pins::of_any(text.as_bytes()).digest(&reference), expected, "{text}");
        };
        let whole = format!("sha256:{}", "a".repeat(64));
        check(&lock(&format!("\"{whole}\"")), Some(&whole));
        check(&lock("null"), None);
        check(&lock("\"sha256:12|<b>\""), None);
        for text in ["", "{", "7", "{\"images\":{}}", "{\"images\":[{\"name\":\"a\"}]}"] {
            check(text, None);
        }
    }
}
