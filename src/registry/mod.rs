//! Registries: what they hold under a name, and moving a tag to what they hold.
//!
//! Owns the vocabulary in which the other rooms ask (`Remote`, `Manifest`, `RemoteImage`) and the
//! questions themselves. It neither uploads nor downloads layers: the engine does that, with its
//! own connections and cache. Calls block; they may come from several threads at once.
//!
//! The protocol is that of the OCI Distribution Specification 1.1 ("Pulling manifests", "Pushing
//! manifests") and of Docker's token server (distribution, `docs/spec/auth/token`).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credentials::CredentialStore;

pub mod moves;

/// A place in a registry: a repository, and a tag or a digest in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Remote {
    /// The registry as references name it, such as `docker.io` or `localhost:5000`.
    pub registry: String,
    /// The repository on it, such as `library/alpine`.
    pub repository: String,
    /// A tag, or a digest (`sha256:…`).
    pub version: String,
}

/// A manifest as the registry keeps it: its bytes are what its digest is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `sha256:…` of `bytes`.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// The manifest itself.
    pub bytes: Vec<u8>,
}

/// An image in a registry for one platform, as its manifest and configuration describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteImage {
    /// The digest by which it was found: of its manifest, or of the index that holds it.
    pub digest: String,
    /// The digest of its configuration, which Docker's classic store takes for its ID.
    pub id: String,
    /// What it runs on, such as `linux/amd64` or `linux/arm/v7`.
    pub platform: String,
    /// The digests of its layers, unpacked, lowest first.
    pub diff_ids: Vec<String>,
    /// Its runtime configuration: the `config` object of the OCI image configuration.
    pub config: Value,
    /// The newest step of its history, as the engine worded it that built it.
    pub newest_step: Option<String>,
    /// The bytes of its layers as they travel.
    pub size: u64,
}

/// How registries are to be spoken to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Where the docker configuration is, for credentials.
    pub docker_config: Option<PathBuf>,
    /// Registries that are spoken to without TLS, beside those on this machine.
    pub plain_http: Vec<String>,
}

/// All registries. Connections and tokens are kept for as long as it lives.
pub struct Registries {
    #[expect(dead_code, reason = "the client is written next")]
    credentials: CredentialStore,
    #[expect(dead_code, reason = "the client is written next")]
    settings: Settings,
}

impl Registries {
    /// Nothing is connected yet.
    pub fn new(settings: Settings) -> Registries {
        let credentials = CredentialStore::new(settings.docker_config.clone());
        Registries { credentials, settings }
    }

    /// The digest that a tag leads to now; `None` where there is none. One `HEAD`.
    ///
    /// # Errors
    /// Where the registry can't be asked, or refuses; ends with a `hint:` line.
    pub fn digest(&self, at: &Remote) -> anyhow::Result<Option<String>> {
        anyhow::bail!("not written yet: {at:?}")
    }

    /// The manifest at a place, checked against its digest; `None` where there is none.
    ///
    /// # Errors
    /// As for [`Registries::digest`], and where the bytes are not what their digest says.
    pub fn manifest(&self, at: &Remote) -> anyhow::Result<Option<Manifest>> {
        anyhow::bail!("not written yet: {at:?}")
    }

    /// The image at a place for a platform (`linux/amd64`); `None` where there is none, or none for
    /// that platform. Two questions for an image, three where an index comes first.
    ///
    /// # Errors
    /// As for [`Registries::manifest`], and where what is there is no image.
    pub fn image(&self, at: &Remote, platform: &str) -> anyhow::Result<Option<RemoteImage>> {
        anyhow::bail!("not written yet: {at:?} {platform}")
    }

    /// Puts a manifest under a tag. All that it names must be in the repository.
    ///
    /// # Errors
    /// As for [`Registries::digest`].
    pub fn put(&self, at: &Remote, manifest: &Manifest) -> anyhow::Result<()> {
        anyhow::bail!("not written yet: {at:?} {}", manifest.digest)
    }
}
