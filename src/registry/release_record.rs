//! Release records: which commit a tag was last moved by.
//!
//! Owns their form. The record of a tag is next to it, under a tag of its own: an index that contains the image, with
//! the commit as an annotation. It needs no blob, registries accept it like any other index, and it names the image, so
//! a tag that was moved without its record is noticed.

use serde_json::{Value, json};

use super::image::{INDEXES, OCI_INDEX};
use super::{Manifest, Registries, Remote, digest};

/// The annotation with the commit.
const COMMIT: &str = "dev.layers.commit";

/// The prefix of the tags of records.
const PREFIX: &str = "layers-release-";

/// The maximum length of a tag (OCI Distribution Specification, "Pulling manifests").
const LONGEST_TAG: usize = 128;

/// What a tag points to, and which commit moved it there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagState {
    /// The digest of its manifest; `None` if the tag does not exist.
    pub digest: Option<String>,
    /// The commit, if the tag was moved with a record.
    pub commit: Option<String>,
}

impl Registries {
    /// Returns what a tag points to, with its record. Takes one request, or two if the tag exists.
    ///
    /// # Errors
    /// Returns the same errors as [`Registries::digest`].
    pub fn tag_state(&self, tag: &Remote) -> anyhow::Result<TagState> {
        let Some(digest) = self.digest(tag)? else { return Ok(TagState::default()) };
        let record = self.manifest(&record_of(tag))?;
        let commit = record.and_then(|record| read(&record, &digest));
        Ok(TagState { digest: Some(digest), commit })
    }
}

/// Returns where the record of a tag is.
pub(super) fn record_of(tag: &Remote) -> Remote {
    let mut version = format!("{PREFIX}{}", tag.version);
    if version.len() > LONGEST_TAG {
        version = format!("{PREFIX}{}", blake3::hash(tag.version.as_bytes()).to_hex());
    }
    Remote { version, ..tag.clone() }
}

/// Returns the record that a commit moved a tag to an image.
pub(super) fn record(commit: &str, image: &Manifest) -> Manifest {
    let record = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": image.bytes.len(),
        }],
        "annotations": { COMMIT: commit },
    });
    let bytes = record.to_string().into_bytes();
    Manifest { digest: digest::digest_of(&bytes), media_type: OCI_INDEX.to_owned(), bytes }
}

/// Returns the commit of a record, if it is about the image with this digest.
fn read(record: &Manifest, digest: &str) -> Option<String> {
    let is_index = INDEXES.contains(&record.media_type.as_str());
    let record: Value = serde_json::from_slice(&record.bytes).ok().filter(|_| is_index)?;
    let is_about = record["manifests"][0]["digest"].as_str() == Some(digest);
    record["annotations"][COMMIT].as_str().filter(|_| is_about).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_about_one_image() {
        let bytes = b"{}".to_vec();
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let image = Manifest { digest: digest::digest_of(&bytes), media_type, bytes };
        let made = record("abc", &image);
        assert_eq!(made, record("abc", &image), "records can be repeated on immutable tags");
        assert_eq!(read(&made, &image.digest).as_deref(), Some("abc"));
        assert_eq!(read(&made, "sha256:other"), None);
        assert_eq!(read(&image, &image.digest), None, "a manifest is not a record");
    }

    #[test]
    fn every_tag_has_a_valid_tag_for_its_record() {
        let check = |tag: &str, expected: &str| {
            let tag = Remote { registry: "r".into(), repository: "a".into(), version: tag.into() };
            let found = record_of(&tag);
            assert!(found.version.starts_with(expected), "{found}");
            assert!(found.version.len() <= LONGEST_TAG, "{found}");
        };
        check("latest", "layers-release-latest");
        check(&"x".repeat(113), &format!("layers-release-{}", "x".repeat(113)));
        check(&"x".repeat(128), "layers-release-");
    }
}
