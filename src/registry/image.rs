//! Manifests, indexes, and configurations.
//!
//! Owns the parsing of both families of documents, Docker's (schema 2) and OCI's, and the choice among an index's
//! entries. It sends no requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::base::Platform;
use crate::base::text::count;

/// The media types of manifests, and of indexes.
pub(super) const MANIFESTS: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
];
pub(super) const INDEXES: [&str; 2] =
    ["application/vnd.docker.distribution.manifest.list.v2+json", OCI_INDEX];
pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The media types of image configurations; other types belong to other artifacts.
const CONFIGURATIONS: [&str; 2] =
    ["application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"];

/// The annotation of entries that only describe other entries (BuildKit, attestation storage).
const TELLS_OF_OTHERS: &str = "vnd.docker.reference.type";

/// A descriptor of a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Descriptor {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
}

/// The manifest of one image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ImageManifest {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    /// The compressed size of the layers in bytes.
    pub(super) size: u64,
}

/// A parsed document.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Document {
    Image(ImageManifest),
    Index(Vec<IndexEntry>),
}

#[derive(Deserialize)]
struct RawManifest {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<IndexEntry>>,
}

/// An entry of an index.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct IndexEntry {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    pub(super) digest: String,
    platform: Option<PlatformParts>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Returns whether this is a manifest of any kind, rather than the page of a proxy: all have a `schemaVersion`.
pub(super) fn is_manifest(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct AnyManifest {
        schema_version: u32,
    }
    serde_json::from_slice(bytes).is_ok_and(|AnyManifest { schema_version }| schema_version > 0)
}

/// Parses a manifest or an index. `media_type` is the type that the registry reports.
///
/// A document that could be read as both is rejected (OCI Image Specification, CVE-2021-41190).
///
/// # Errors
/// Returns a message if the document is anything else.
pub(super) fn read_document(media_type: &str, bytes: &[u8]) -> Result<Document, String> {
    let raw: RawManifest = serde_json::from_slice(bytes)
        .map_err(|error| format!("its manifest is not valid: {error}"))?;
    if !raw.media_type.is_empty() && raw.media_type != media_type {
        return Err(format!(
            "its media type is `{media_type}` in the response, but `{}` in the manifest",
            raw.media_type
        ));
    }
    let (is_manifest, is_index) = (MANIFESTS.contains(&media_type), INDEXES.contains(&media_type));
    match raw {
        RawManifest { config: Some(config), layers: Some(layers), manifests: None, .. }
            if is_manifest =>
        {
            let of_config = config.media_type.as_str();
            if !CONFIGURATIONS.contains(&of_config) {
                return Err(format!(
                    "its configuration has the unsupported media type `{of_config}`"
                ));
            }
            let size = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
            Ok(Document::Image(ImageManifest { config, layers, size }))
        }
        RawManifest { config: None, layers: None, manifests: Some(entries), .. } if is_index => {
            Ok(Document::Index(entries))
        }
        _ => Err(format!("its manifest does not match the media type `{media_type}`")),
    }
}

/// The configuration of an image, with only the fields in use.
#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    #[serde(flatten)]
    platform: PlatformParts,
    #[serde(default)]
    pub(super) config: Value,
    pub(super) author: Option<String>,
    #[serde(rename = "os.version")]
    pub(super) os_version: Option<String>,
    #[serde(default)]
    rootfs: ConfigRootFs,
    history: Option<Vec<HistoryItem>>,
}

#[derive(Debug, Default, Deserialize)]
struct ConfigRootFs {
    diff_ids: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct HistoryItem {
    #[serde(default)]
    created_by: String,
}

impl Configuration {
    /// Parses the configuration of an image with this many layers.
    ///
    /// # Errors
    /// Returns a message if the document is anything else.
    pub(super) fn read(bytes: &[u8], layers: usize) -> Result<Configuration, String> {
        let read: Configuration = serde_json::from_slice(bytes)
            .map_err(|error| format!("its configuration is not valid: {error}"))?;
        let named = read.rootfs.diff_ids.as_ref().map_or(0, Vec::len);
        if named != layers {
            let named = count(named, "layer");
            return Err(format!("its configuration lists {named}, but its manifest {layers}"));
        }
        Ok(read)
    }

    /// Returns the image's platform.
    pub(super) fn platform(&self) -> Platform {
        self.platform.platform()
    }

    /// Returns the digests of the uncompressed layers.
    pub(super) fn diff_ids(&mut self) -> Vec<String> {
        self.rootfs.diff_ids.take().unwrap_or_default()
    }

    /// Returns the instruction that created each history entry, oldest first.
    pub(super) fn history(&self) -> Vec<String> {
        self.history.iter().flatten().map(|step| step.created_by.clone()).collect()
    }
}

/// A platform in the form in which documents name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct PlatformParts {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl PlatformParts {
    fn platform(&self) -> Platform {
        Platform::of(&self.os, &self.architecture, self.variant.as_deref().unwrap_or_default())
    }
}

/// Returns the entry of an index that fits a platform best; the first one if several fit equally.
pub(super) fn choose<'a>(entries: &'a [IndexEntry], target: &Platform) -> Option<&'a IndexEntry> {
    let fitting = entries.iter().filter_map(|entry| {
        let reports = |all: &BTreeMap<String, String>| all.contains_key(TELLS_OF_OTHERS);
        let is_image = MANIFESTS.contains(&entry.media_type.as_str())
            && !entry.annotations.as_ref().is_some_and(reports);
        let platform = entry.platform.as_ref().filter(|_| is_image)?;
        Some((platform.platform().fits(target)?, entry))
    });
    fitting.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(entries: &str) -> Vec<IndexEntry> {
        let text = format!(r#"{{"manifests":[{entries}]}}"#);
        match read_document(INDEXES[1], text.as_bytes()).unwrap() {
            Document::Index(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn entry(digest: &str, platform: &str, more: &str) -> String {
        let (os, architecture) = platform.split_once('/').unwrap();
        format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":1,{more}
            "platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#,
            MANIFESTS[1]
        )
    }

    #[test]
    fn the_best_match_in_an_index_is_selected() {
        let check = |entries: &[String], target: &str, expected: Option<&str>| {
            let entries = index(&entries.join(","));
            let selected = choose(&entries, &target.parse().unwrap());
            assert_eq!(selected.map(|entry| entry.digest.as_str()), expected, "{target}");
        };
        let attested = r#""annotations":{"vnd.docker.reference.type":"attestation-manifest"},"#;
        let all = [
            entry("proof", "linux/amd64", attested),
            entry("unknown", "unknown/unknown", ""),
            entry("old", "linux/386", ""),
            entry("amd", "linux/amd64", ""),
            entry("twin", "linux/amd64", ""),
        ];
        check(&all, "linux/amd64", Some("amd"));
        check(&all[..3], "linux/amd64", Some("old"));
        check(&all, "linux/arm64", None);
        check(&all, "unknown/unknown", Some("unknown"));
        check(&[], "linux/amd64", None);
    }

    #[test]
    fn documents_must_match_their_media_type() {
        let config = r#""config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"c","size":3}"#;
        let layers =
            r#""layers":[{"mediaType":"x","digest":"l","size":5},{"digest":"m","size":7}]"#;
        let manifest = format!("{{{config},{layers}}}");
        let read = read_document(MANIFESTS[1], manifest.as_bytes()).unwrap();
        let Document::Image(read) = read else { panic!("{read:?}") };
        assert_eq!((read.config.digest.as_str(), read.layers.len(), read.size), ("c", 2, 12));
        let check = |media_type: &str, text: &str, expected: &str| {
            let error = read_document(media_type, text.as_bytes()).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        };
        check(
            INDEXES[1],
            &manifest,
            "its manifest does not match the media type `application/vnd.oci.image.index",
        );
        let both = format!("{{{config},{layers},\"manifests\":[]}}");
        check(
            MANIFESTS[1],
            &both,
            "its manifest does not match the media type `application/vnd.oci.image.manifest",
        );
        check(INDEXES[1], &both, "its manifest does not match the media type `");
        check(INDEXES[1], "{\"manifests\":", "its manifest is not valid: EOF");
        check("text/html", "{}", "its manifest does not match the media type `text/html`");
        let other = format!("{{\"mediaType\":\"{}\",{config},{layers}}}", MANIFESTS[0]);
        check(MANIFESTS[1], &other, "its media type is `application/vnd.oci");
        let artifact = manifest.replace("oci.image.config.v1+json", "oci.empty.v1+json");
        check(
            MANIFESTS[1],
            &artifact,
            "its configuration has the unsupported media type `application/vnd.oci.empty",
        );
    }

    #[test]
    fn configurations_are_parsed_when_optional_fields_are_missing() {
        let text = r#"{"os":"linux","architecture":"arm","variant":"v7","config":{"Env":["A=b"]},
            "rootfs":{"type":"layers","diff_ids":["x"]},
            "history":[{"created_by":"ADD x"},{"created_by":"CMD y","empty_layer":true}]}"#;
        let mut read = Configuration::read(text.as_bytes(), 1).unwrap();
        assert_eq!(read.platform().to_string(), "linux/arm/v7");
        assert_eq!(read.history(), ["ADD x", "CMD y"]);
        assert_eq!(read.diff_ids(), ["x"]);
        assert_eq!(read.config["Env"][0], "A=b");
        let error = Configuration::read(text.as_bytes(), 2).unwrap_err();
        assert_eq!(error, "its configuration lists 1 layer, but its manifest 2");
        let mut bare = Configuration::read(b"{}", 0).unwrap();
        assert!(bare.platform().is_blank() && bare.history().is_empty());
        assert_eq!(bare.diff_ids(), [""; 0]);
    }
}
