//! The committed lock file of the graph, `graph.json`.
//!
//! Owns its format, version 1, for writing and reading. It contains no volatile data, its order is stable,
//! and each fact is on a separate line, so that an added edge is visible in a review. An external has the
//! digest that its Dockerfile names, or otherwise the one that it is pinned to. A lock file that builds use
//! is parsed strictly because half a lock file would pin half of the externals. The lock file of a revision
//! is only compared, so everything that can be parsed counts. This module opens no files.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::base::screen::visible_json;
use crate::base::{Diagnostic, ImageId, Rule, Source, Span};
use crate::graph::pins::Pins;
use crate::graph::reference::Reference;
use crate::graph::{Edge, External, Image};

use super::View;

/// The version of the format.
const VERSION: u32 = 1;

/// Enough for most images, so that the buffer is rarely reallocated.
const BYTES_PER_IMAGE: usize = 1024;

/// The content of a lock file. `Images` is a list of images, or a type that serializes as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock<Images = Vec<LockImage<'static>>> {
    #[serde(deserialize_with = "read_version")]
    version: u32,
    images: Images,
}

/// An image in a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockImage<'a> {
    name: Cow<'a, str>,
    dockerfile: Cow<'a, str>,
    context: Cow<'a, str>,
    target: Option<Cow<'a, str>>,
    // Skipped when reading, so that comparisons ignore it: a version tag adds a reference to each image.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    references: Option<Vec<String>>,
    parents: Vec<LockParent<'a>>,
    externals: Vec<LockExternal<'a>>,
    // Why a parent or an external is missing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
}

/// A parent of an image in a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockParent<'a> {
    image: Cow<'a, str>,
    kind: Cow<'a, str>,
    reference: Cow<'a, str>,
    at: String,
}

/// An external of an image in a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LockExternal<'a> {
    #[serde(serialize_with = "write_reference", deserialize_with = "read_reference")]
    reference: Cow<'a, Reference>,
    kind: Cow<'a, str>,
    at: String,
    #[serde(deserialize_with = "read_digest")]
    digest: Option<Cow<'a, str>>,
}

/// The images of a view, converted one at a time during serialization.
struct StreamedImages<'a>(&'a View<'a>);

impl Serialize for StreamedImages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let StreamedImages(view) = self;
        serializer.collect_seq(view.images().map(|(id, image)| LockImage::of(view, id, image)))
    }
}

impl<'a> LockImage<'a> {
    fn of(view: &'a View<'_>, id: ImageId, image: &'a Image) -> LockImage<'a> {
        let parent = |edge: &&'a Edge| LockParent {
            image: Cow::Borrowed(&view.image(edge.parent).name),
            kind: edge.kind.word().into(),
            reference: edge.reference.normalized().into(),
            at: edge.location().to_string(),
        };
        let external = |external: &&External| {
            let reference = view.reference(external);
            let digest = reference.digest.as_deref().or_else(|| view.pin(reference));
            LockExternal {
                reference: Cow::Borrowed(reference),
                kind: external.kind.word().into(),
                at: external.location().to_string(),
                digest: digest.map(Cow::Borrowed),
            }
        };
        LockImage {
            name: Cow::Borrowed(&image.name),
            dockerfile: image.dockerfile.as_str().into(),
            context: image.context.as_str().into(),
            target: image.target.as_deref().map(Cow::Borrowed),
            references: Some(image.references.iter().map(Reference::familiar).collect()),
            parents: view.parents(id).iter().map(parent).collect(),
            externals: view.externals(id).iter().map(external).collect(),
            error: view.error(id).map(Cow::Borrowed),
        }
    }
}

impl LockExternal<'_> {
    /// Returns the external and its digest if it is pinned: it is named by tag and has a digest.
    fn pin(&self) -> Option<(&Reference, &str)> {
        let is_by_tag = self.reference.digest.is_none();
        Some((&*self.reference, self.digest.as_deref().filter(|_| is_by_tag)?))
    }
}

fn write_reference<S: Serializer>(reference: &Reference, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(reference)
}

fn read_version<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    match u32::deserialize(from)? {
        VERSION => Ok(VERSION),
        other => Err(Error::custom(format!("version {other} is not supported"))),
    }
}

fn read_reference<'de, D: Deserializer<'de>>(from: D) -> Result<Cow<'static, Reference>, D::Error> {
    let text = String::deserialize(from)?;
    match Reference::parse(&text) {
        Ok(reference) if reference.normalized() == text => Ok(Cow::Owned(reference)),
        _ => Err(Error::custom(format!("`{text}` is not a normalized reference"))),
    }
}

fn read_digest<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Cow<'static, str>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    match Reference::parse(&format!("a@{text}")) {
        Ok(_) => Ok(Some(text.into())),
        Err(_) => Err(Error::custom(format!("`{text}` is not a valid digest"))),
    }
}

/// Returns the lock file of a view: JSON with a final line break.
pub fn draw(view: &View<'_>) -> String {
    let lock = Lock { version: VERSION, images: StreamedImages(view) };
    let mut text = Vec::with_capacity(view.images().len() * BYTES_PER_IMAGE);
    // All content is text, and writing to memory cannot fail.
    serde_json::to_writer_pretty(&mut text, &lock).unwrap_or_default();
    text.push(b'\n');
    visible_json(String::from_utf8(text).unwrap_or_default())
}

/// Returns the pins in a lock file that can have another version, be edited by hand, or be invalid JSON.
/// Entries that cannot be parsed are skipped.
pub fn pins_of_any(text: &[u8]) -> Pins {
    let lock: Value = serde_json::from_slice(text).unwrap_or_default();
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let mut pins = Pins::default();
    for external in list(&lock, "images").iter().flat_map(|image| list(image, "externals")) {
        if let Ok(external) = serde_json::from_value::<LockExternal<'_>>(external)
            && let Some((reference, digest)) = external.pin()
        {
            pins.pin(reference, digest.to_owned());
        }
    }
    pins
}

/// Whether a file could be a lock file and not a `graph.json` of another program.
pub fn looks_like_lock(text: &str) -> bool {
    text.contains("\"images\"") && text.contains("\"version\"")
}

impl Lock {
    /// Parses a lock file.
    ///
    /// # Errors
    /// Returns a diagnostic with the position of the error if the file is not valid.
    pub fn read(source: &Source) -> Result<Lock, Box<Diagnostic>> {
        serde_json::from_str(source.text()).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            broken(source, error_span(source, &error), &format!("`{}`: {message}", source.path()))
        })
    }

    /// Returns the digests of the externals that are named by tag.
    ///
    /// # Errors
    /// Returns a diagnostic if an external has two different digests.
    pub fn pins(&self, source: &Source) -> Result<Pins, Box<Diagnostic>> {
        let mut pins = Pins::default();
        let externals = self.images.iter().flat_map(|image| &image.externals);
        for (reference, digest) in externals.filter_map(LockExternal::pin) {
            let before = pins.pin(reference, digest.to_owned());
            if before.is_some_and(|before| before != digest) {
                let start = source.text().rfind(digest).unwrap_or_default();
                let span = Span::new(start, start + digest.len());
                let twice = format!("`{reference}` has two digests");
                return Err(broken(source, span, &twice));
            }
        }
        Ok(pins)
    }

    /// Returns the externals that are named by tag, in the form that people write.
    pub fn externals(&self) -> Vec<String> {
        let all = self.images.iter().flat_map(|image| &image.externals);
        let by_tag = all.map(|it| &it.reference).filter(|it| it.digest.is_none());
        let by_tag = by_tag.map(|it| it.familiar());
        by_tag.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the lock file as text, for comparisons.
    pub fn to_text(&self) -> String {
        // All content is text, so serialization cannot fail.
        visible_json(serde_json::to_string_pretty(self).unwrap_or_default()) + "\n"
    }
}

fn broken(source: &Source, span: Span, message: &str) -> Box<Diagnostic> {
    let hint =
        "revert manual edits and merges, or delete the file and pin again with `layers update`";
    Box::new(Diagnostic::new(Rule::BrokenLock, message).at(source, span, "").hint(hint))
}

/// Returns the position of an error. serde counts lines from 1, and bytes up to the last one that it read.
fn error_span(source: &Source, error: &serde_json::Error) -> Span {
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
    fn only_externals_with_a_tag_are_pinned() {
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
        assert_eq!(pins.all().count(), 1);
    }

    /// A file written by the first version of this program. Repositories contain such files.
    const WRITTEN_EARLIER: &str = include_str!("../../tests/cases/lock/version-1.json");

    #[test]
    fn files_from_older_versions_are_readable() {
        let source = source(WRITTEN_EARLIER);
        let lock = Lock::read(&source).unwrap();
        let pins = lock.pins(&source).unwrap();
        let pinned = format!("sha256:{}", "1".repeat(64));
        let debian = Reference::parse("debian:bookworm-slim").unwrap();
        assert_eq!(pins.all().collect::<Vec<_>>(), [(&debian, pinned.as_str())]);
        assert_eq!(lock.externals(), ["debian:bookworm-slim", "localhost:5000/tools:2"]);
        assert_eq!(pins_of_any(WRITTEN_EARLIER.as_bytes()), pins);
        // Only the images' own references are lost.
        let mut expected: Value = serde_json::from_str(WRITTEN_EARLIER).unwrap();
        for image in expected["images"].as_array_mut().unwrap() {
            image.as_object_mut().unwrap().remove("references").unwrap();
        }
        assert_eq!(serde_json::from_str::<Value>(&lock.to_text()).unwrap(), expected);
    }

    #[test]
    fn errors_point_to_their_location() {
        let check = |source: &Source, message: &str, location: &str| {
            let lock = Lock::read(source).and_then(|lock| lock.pins(source));
            let problem = lock.unwrap_err();
            assert!(problem.message.starts_with(message), "{}", problem.message);
            let label = &problem.labels[0];
            assert_eq!(
                label.source.location(label.span).to_string(),
                format!("graph.json:{location}")
            );
        };
        let text = |text: &str| source(text);
        check(&text(""), "`graph.json`: EOF while parsing a value", "1:1");
        check(&text("{\n<<<<<<< HEAD\n"), "`graph.json`: key must be a string", "2:1");
        let newer = "{\n\"version\": 2,\n\"images\": []\n}";
        check(&text(newer), "`graph.json`: version 2 is not supported", "2:12");
        check(&text("{\"version\":1}"), "`graph.json`: missing field `images`", "1:13");
        check(&text("{\"version\":1,\"images\":[],é}"), "`graph.json`: key must be", "1:26");
        let one = external("docker.io/library/a:1", &digest('1'));
        let two = external("docker.io/library/a:1", &digest('2'));
        check(&lock(&[one.clone(), two]), "`docker.io/library/a:1` has two digests", "4:93");
        let short = external("docker.io/library/a:1", "\"sha256:11\"");
        check(&lock(&[short]), "`graph.json`: `sha256:11` is not a valid digest", "3:103");
        let familiar = external("a:1", "null");
        check(&lock(&[one, familiar]), "`graph.json`: `a:1` is not a normalized reference", "4:18");
    }

    #[test]
    fn invalid_entries_are_ignored_when_reading_pins() {
        let reference = Reference::parse("x").unwrap();
        let lock = |digest: &str| {
            let external = external("docker.io/library/x:latest", digest);
            format!(r#"{{"images":[7,{{"name":"a","externals":[{external}]}}]}}"#)
        };
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(pins_of_any(text.as_bytes()).digest(&reference), expected, "{text}");
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        check(&lock(&format!("\"{digest}\"")), Some(&digest));
        check(&lock("null"), None);
        check(&lock("\"sha256:12|<b>\""), None);
        for text in ["", "{", "7", "{\"images\":{}}", "{\"images\":[{\"name\":\"a\"}]}"] {
            check(text, None);
        }
    }
}
