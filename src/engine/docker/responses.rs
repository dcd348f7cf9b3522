//! Images in the engine's store, as its API describes them.
//!
//! Owns the parsing of responses and the escaping of references in paths. It sends no requests.

use std::collections::BTreeMap;

use anyhow::Context;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use crate::base::Platform;
use crate::base::clock::UnixTime;
use crate::engine::{HistoryEntry, ListedImage, StoredImage};

/// The response to `GET /images/…/json`, with only the fields in use.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageInspect {
    id: String,
    os: String,
    architecture: String,
    variant: Option<String>,
    created: Option<String>,
    size: u64,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    config: Value,
    author: Option<String>,
    os_version: Option<String>,
    #[serde(rename = "RootFS")]
    root: Option<InspectRootFs>,
}

/// An entry in the response to `GET /images/…/history`, with only the fields in use.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HistoryResponseItem {
    created_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectRootFs {
    layers: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectConfig {
    labels: Option<BTreeMap<String, String>>,
    on_build: Option<Vec<String>>,
}

/// An image in the response to `GET /images/json`, with only the fields in use.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageSummary {
    id: String,
    #[serde(default)]
    created: i64,
    repo_tags: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    size: u64,
}

/// Converts the response to `GET /images/…/json`.
pub(super) fn read_image(image: ImageInspect) -> anyhow::Result<StoredImage> {
    let config: Option<InspectConfig> =
        Deserialize::deserialize(&image.config).context(UNREADABLE)?;
    let config = config.unwrap_or_default();
    let variant = image.variant.as_deref().unwrap_or_default();
    Ok(StoredImage {
        id: image.id,
        platform: Platform::of(&image.os, &image.architecture, variant),
        created: image.created.unwrap_or_default(),
        size: image.size,
        on_build: config.on_build.unwrap_or_default(),
        labels: config.labels.unwrap_or_default(),
        diff_ids: image.root.and_then(|root| root.layers).unwrap_or_default(),
        references: named(image.repo_tags),
        digests: named(image.repo_digests),
        config: image.config,
        author: image.author.unwrap_or_default(),
        os_version: image.os_version.unwrap_or_default(),
    })
}

/// Converts the response to `GET /images/…/history`, whose newest entry comes first; an image without a history has
/// `null` instead.
pub(super) fn read_history(steps: Option<Vec<HistoryResponseItem>>) -> Vec<HistoryEntry> {
    let entries = steps
        .unwrap_or_default()
        .into_iter()
        .rev()
        .map(|step| HistoryEntry { created_by: step.created_by.unwrap_or_default() });
    entries.collect()
}

/// Converts the response to `GET /images/json`.
pub(super) fn read_list(listed: Vec<ImageSummary>) -> Vec<ListedImage> {
    let read = |image: ImageSummary| ListedImage {
        id: image.id,
        created: UnixTime::from_seconds(image.created),
        references: named(image.repo_tags),
        labels: image.labels.unwrap_or_default(),
        size: image.size,
    };
    let mut images: Vec<ListedImage> = listed.into_iter().map(read).collect();
    images.sort_by(|a, b| a.id.cmp(&b.id));
    images
}

/// Returns whether the response to `GET /info` comes from an engine with containerd's image store (moby,
/// `daemon/containerd`, `LayerStoreStatus`).
pub(super) fn is_containerd(info: &Value) -> bool {
    let status = info["DriverStatus"].as_array().into_iter().flatten();
    let mut pairs = status.map(|pair| (pair[0].as_str(), pair[1].as_str()));
    pairs.any(|pair| pair == (Some("driver-type"), Some("io.containerd.snapshotter.v1")))
}

const UNREADABLE: &str = "the engine's response about its images is not valid";

/// Removes `<none>:<none>`, which engines write if there is no name.
fn named(names: Option<Vec<String>>) -> Vec<String> {
    let names = names.unwrap_or_default();
    names.into_iter().filter(|name| !name.contains("<none>")).collect()
}

/// The characters to escape in a query.
const OF_QUERIES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

/// The characters to escape in a path.
const OF_PATHS: &AsciiSet = &OF_QUERIES.remove(b'/').remove(b':').remove(b'@').remove(b'+');

/// Returns a reference as part of a path. Characters that are not valid in references are escaped, so that it
/// remains one part.
pub(super) fn path_of(reference: &str) -> PercentEncode<'_> {
    utf8_percent_encode(reference, OF_PATHS)
}

/// Returns a text as the value of a query parameter.
pub(super) fn query_of(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, OF_QUERIES)
}

/// Splits a reference for the API's queries: the repository, and the tag or digest.
pub(super) fn split_reference(reference: &str) -> (&str, &str) {
    // With a digest, the tag has no effect.
    if let Some((named, digest)) = reference.split_once('@') {
        return (split_reference(named).0, digest);
    }
    // A colon before the last slash belongs to a registry's port.
    let last = reference.rfind('/').map_or(0, |slash| slash + 1);
    match reference[last..].split_once(':') {
        Some((name, tag)) => (&reference[..last + name.len()], tag),
        None => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_escaped_in_urls() {
        let check =
            |reference, expected: &str| assert_eq!(path_of(reference).to_string(), expected);
        check("acme/shop-base:1.2", "acme/shop-base:1.2");
        check("a@sha256:00", "a@sha256:00");
        check("a?b=c#d e", "a%3Fb%3Dc%23d%20e");
        assert_eq!(query_of("{\"a\":1}").to_string(), "%7B%22a%22%3A1%7D");
    }

    #[test]
    fn references_are_split_into_name_and_tag_or_digest() {
        let check = |reference, expected| assert_eq!(split_reference(reference), expected);
        check("debian", ("debian", "latest"));
        check("a/b:1", ("a/b", "1"));
        check("host:5000/a/b", ("host:5000/a/b", "latest"));
        check("host:5000/a/b:1@sha256:00", ("host:5000/a/b", "sha256:00"));
        check("a@sha256:00", ("a", "sha256:00"));
    }

    #[test]
    fn images_are_parsed_when_optional_fields_are_missing() {
        let answer = serde_json::json!({
            "Id": "sha256:1", "Os": "linux", "Architecture": "arm", "Variant": "v7", "Size": 5,
            "RepoTags": ["a:1", "<none>:<none>"], "RepoDigests": null,
            "Created": "2024-01-01T00:00:00Z",
            "Config": {"Labels": {"k": "v"}, "OnBuild": ["RUN x"], "Env": ["A=b"]},
            "RootFS": {"Type": "layers", "Layers": ["sha256:l"]},
        });
        let read = |answer| read_image(serde_json::from_value(answer).unwrap()).unwrap();
        let image = read(answer);
        assert_eq!(image.platform.to_string(), "linux/arm/v7");
        assert_eq!(image.references, ["a:1"]);
        assert_eq!(image.digests, [""; 0]);
        assert_eq!(image.labels["k"], "v");
        assert_eq!(image.on_build, ["RUN x"]);
        assert_eq!(image.diff_ids, ["sha256:l"]);
        assert_eq!(image.config["Env"][0], "A=b");
        let bare = serde_json::json!({
            "Id": "sha256:1", "Os": "linux", "Architecture": "amd64", "Size": 0,
            "RepoTags": null, "RepoDigests": null, "RootFS": {"Type": "layers"},
        });
        let image = read(bare);
        assert_eq!((&*image.platform.to_string(), image.diff_ids.len()), ("linux/amd64", 0));
    }
}
