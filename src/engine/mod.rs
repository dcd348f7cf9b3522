//! Engines: their interface, its types, and one file or directory per engine.
//!
//! Owns the communication with Docker and similar engines. It knows neither the graph nor the plan: a request
//! contains everything needed to build one image. An engine is a [`Builder`], and an [`ImageStore`] if it stores
//! images. Both block; only `docker` and `buildkit` use async code.

pub mod attest;
pub mod build_option;
mod buildkit;
pub mod context_files;
pub mod context_tar;
pub mod docker;
#[cfg(any(debug_assertions, feature = "fake"))]
pub mod fake;
mod frontend;
mod image;
pub mod mask;
pub mod none;
mod progress;
mod request;
pub mod sandbox;
pub mod secret;
#[cfg(test)]
pub mod stub;

use std::borrow::Cow;

use crate::base::Platform;
pub use crate::base::{Cancel, CancelGuard};
pub use attest::Attestations;
pub use context_files::{ContextFiles, EngineCopy, FileHeader, NoFiles};
pub use frontend::{Frontend, NamedContexts};
pub use image::{Evidence, HistoryEntry, LabelFilter, ListedImage, StoredImage};
pub use progress::{
    BuildFailure, BuildOperation, BuildOutcome, BuildStep, BuildUpdate, FailureCause, Sink,
    TimedUpdate,
};
pub use request::{BuildRequest, ContextSource};
pub use sandbox::Sandbox;
pub use secret::Secrets;

/// What limits the number of concurrent builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuilderCapacity {
    /// The number of CPUs that builds can use.
    pub cpus: usize,
    /// Whether most of a small build is waiting until the store has written to its disk.
    pub waits_for_disk: bool,
}

/// A builder, seen from one of its nodes. Every call blocks the calling thread; several threads may call at once.
pub trait Builder: Send + Sync {
    /// Returns what the builder reports about itself. Called once, before anything is built.
    ///
    /// # Errors
    /// Returns an error with a hint if nothing answers, or if what answers cannot build.
    fn info(&self) -> anyhow::Result<BuilderInfo>;

    /// Returns the builder's optional features. Called at most once, and only if they matter.
    ///
    /// # Errors
    /// Returns an error if the builder cannot be reached.
    fn features(&self) -> anyhow::Result<Features>;

    /// Returns what limits the number of concurrent builds, if known. Called at most once, and only if it matters.
    ///
    /// # Errors
    /// Returns an error if the builder cannot be reached.
    fn capacity(&self) -> anyhow::Result<Option<BuilderCapacity>> {
        Ok(None)
    }

    /// Builds one image and reports its progress to `sink`.
    ///
    /// A step may start more than once if the builder had to retry.
    ///
    /// A build that fails is [`BuildOutcome::Failed`]. After `cancel` is set, the call soon returns
    /// [`BuildOutcome::Canceled`] and leaves nothing running in the builder.
    ///
    /// # Errors
    /// Returns an error if something other than the image failed: the builder became unreachable, or the context
    /// could not be read.
    fn build(
        &self,
        request: &BuildRequest,
        sink: &mut Sink<'_>,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildOutcome>;

    /// Returns the store for built images; `None` for a standalone BuildKit, which has no store.
    fn store(&self) -> Option<&dyn ImageStore>;
}

impl dyn Builder + '_ {
    /// Returns the store for built images, or an empty one if the builder has no store.
    pub fn images(&self) -> &dyn ImageStore {
        self.store().unwrap_or(&none::EmptyStore)
    }
}

/// The image store of an engine. Every call blocks the calling thread; several threads may call at once.
pub trait ImageStore: Send + Sync {
    /// Returns whether this is the store of an engine, which knows what it does not have.
    fn is_queried(&self) -> bool {
        true
    }

    /// Returns the image with a reference or ID; `None` if the store does not have it.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    fn inspect(&self, reference: &str) -> anyhow::Result<Option<StoredImage>>;

    /// Returns the history of an image, oldest entry first; `None` if the engine keeps no history or does not have
    /// the image.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    fn history(&self, id: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>>;

    /// Returns what proves the origin of an image; `None` if the store does not have it.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    fn evidence(&self, id: &str) -> anyhow::Result<Option<Evidence>> {
        let Some(StoredImage { labels, on_build, .. }) = self.inspect(id)? else { return Ok(None) };
        let history = self.history(id)?.unwrap_or_default();
        Ok(Some(Evidence { labels, on_build, history }))
    }

    /// Returns the images with a label, sorted by ID. Takes one request, regardless of the number of images.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    fn list(&self, label: LabelFilter<'_>) -> anyhow::Result<Vec<ListedImage>>;

    /// Pulls an image from its registry if the registry has a newer one than the store. Without a platform, pulls
    /// for the engine's own. `on_start` is called once, after the registry has answered and the download starts.
    ///
    /// # Errors
    /// Returns an error with a hint if the registry cannot be reached or does not have the image.
    fn pull(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        on_start: &mut dyn FnMut(),
    ) -> anyhow::Result<()>;

    /// Pushes the image with a reference to that reference's registry. What the registry already has is not
    /// uploaded. Returns the image's digest in the registry. `on_progress` is called with the bytes of the layers that
    /// are uploaded, as often as the engine reports them.
    ///
    /// # Errors
    /// Returns an error with a hint if the engine cannot be reached or does not have the image, if the registry
    /// refuses the push, or if `cancel` was set. An error that a retry may resolve is
    /// [`ErrorKind::Transient`](crate::base::ErrorKind::Transient).
    fn push(
        &self,
        reference: &str,
        on_progress: &mut dyn FnMut(TransferProgress),
        cancel: &Cancel,
    ) -> anyhow::Result<String>;

    /// Adds a reference to the image with an ID, moving it away from any other image.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached, does not have the image, or refuses.
    fn tag(&self, id: &str, reference: &str) -> anyhow::Result<()>;

    /// Starts counting how often references are moved; `None` if nothing moves them. `marker` is a reference that
    /// nothing else uses. The caller removes it at the end.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached.
    fn watch_references(&self, _marker: &str) -> anyhow::Result<Option<Box<dyn ReferenceWatch>>> {
        Ok(None)
    }

    /// Announces that all further requests are cleanup at the end of a run: an engine that does not respond is not
    /// waited for as long.
    fn begin_cleanup(&self) {}

    /// Removes a reference, and the image if it was its last one. Does nothing if the reference does not exist.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached or refuses.
    fn remove(&self, reference: &str) -> anyhow::Result<()>;
}

/// The bytes of the layers of an image that are transferred, as the engine counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransferProgress {
    /// The bytes that were transferred.
    pub sent: u64,
    /// The bytes of all layers whose transfer has started.
    pub total: u64,
}

/// Counts how often references in an engine's store are moved.
pub trait ReferenceWatch: Send + Sync {
    /// Returns how often each of these references (in the form of [`StoredImage::references`]) has been put on an
    /// image, including the one that already had it, since the watch began. Each reference comes with the ID of the
    /// image that it should point to; loading that image from an archive also counts. All moves that ended before
    /// the call are counted.
    ///
    /// To synchronize, this puts the marker of [`ImageStore::watch_references`] on the first image, which the store
    /// of `engine` must have.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached or no longer has the image.
    fn counts(
        &self,
        references: &[(String, String)],
        engine: &dyn ImageStore,
    ) -> anyhow::Result<Vec<u64>>;
}

/// What a builder reports about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderInfo {
    /// The name to print: `docker`, `fake`, …
    pub name: Cow<'static, str>,
    /// The version to print, such as `20.10.24`.
    pub version: String,
    /// The nodes. Builds without a platform are for the first platform of the first node.
    pub nodes: Vec<Node>,
    /// The frontend for Dockerfiles that name none; `None` if it is unknown, or too new to matter.
    pub frontend: Option<Frontend>,
    /// Which frontends support named contexts.
    pub contexts: NamedContexts,
}

impl BuilderInfo {
    /// Returns the platform of builds that specify none.
    pub fn platform(&self) -> Platform {
        let first = self.nodes.first().and_then(|node| node.platforms.first());
        first.cloned().unwrap_or_else(Platform::of_this_machine)
    }
}

/// One machine of a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The node's name within the builder.
    pub name: Cow<'static, str>,
    /// The platforms that the node builds for without emulation, its own first.
    pub platforms: Vec<Platform>,
}

/// The optional features of a builder. Older builders silently ignore requests for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Whether the builder keeps annotations of an image's manifest.
    pub annotations: bool,
    /// Whether the builder keeps an SBOM and a provenance next to the image.
    pub attestations: bool,
}
