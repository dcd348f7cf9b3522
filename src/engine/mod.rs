//! What builds: the interface, its vocabulary, and one file or directory per engine.
//!
//! Owns the conversation with Docker and its like. It knows neither the graph nor the plan: a
//! request says all there is to build one image. An engine is a [`Builder`], with an [`ImageStore`] where
//! it keeps images. Both block; only `docker` and `buildkit` know that async exists.

pub mod attest;
mod buildkit;
mod cancel;
pub mod docker;
#[cfg(any(debug_assertions, feature = "fake"))]
pub mod fake;
mod frontend;
mod image;
pub mod mask;
pub mod none;
mod progress;
mod request;
pub mod secret;
#[cfg(test)]
pub mod stub;

use std::borrow::Cow;

use crate::base::Platform;
pub use attest::Attestations;
pub use cancel::{Cancel, CancelGuard};
pub use frontend::{Frontend, NamedContexts};
pub use image::{Evidence, HistoryEntry, LabelFilter, ListedImage, StoredImage};
pub use progress::{BuildFailure, BuildOutcome, BuildUpdate, Sink, Step, Told};
pub use request::{BuildRequest, ContextFiles, ContextSource, NoFiles};
pub use secret::Secrets;

/// What executes builds, on one of its nodes. Every call blocks the calling thread; calls may come from
/// several threads at once.
pub trait Builder: Send + Sync {
    /// Asks the builder who it is. Done once, before anything is built.
    ///
    /// # Errors
    /// Where nothing answers, or what answers can't build; the error has a hint.
    fn info(&self) -> anyhow::Result<BuilderInfo>;

    /// Returns what it can do beyond building. Asked at most once, and only where it matters.
    ///
    /// # Errors
    /// Where the builder can't be asked.
    fn features(&self) -> anyhow::Result<Features>;

    /// Builds one image and tells `sink` what happens meanwhile.
    ///
    /// A step may begin more than once, where the builder had to try again.
    ///
    /// A build that fails is [`BuildOutcome::Failed`]. Returns soon after `cancel` is set, with
    /// [`BuildOutcome::Cancelled`], and leaves nothing running in the builder.
    ///
    /// # Errors
    /// Where the machinery failed: the builder went away, or the context could not be read.
    fn build(
        &self,
        request: &BuildRequest,
        sink: &mut Sink<'_>,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildOutcome>;

    /// Returns where it keeps what it builds; a bare BuildKit has no such place.
    fn store(&self) -> Option<&dyn ImageStore>;
}

impl dyn Builder + '_ {
    /// Returns where it keeps images: where there is no such place, a store that holds none.
    pub fn images(&self) -> &dyn ImageStore {
        self.store().unwrap_or(&none::EmptyStore)
    }
}

/// Where an engine keeps images. Every call blocks the calling thread; calls may come from several
/// threads at once.
pub trait ImageStore: Send + Sync {
    /// What it holds under a reference or an ID; `None` where it holds nothing.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    fn inspect(&self, reference: &str) -> anyhow::Result<Option<StoredImage>>;

    /// The history of an image, oldest entry first; `None` if the engine keeps no history or does not
    /// hold the image.
    ///
    /// # Errors
    /// If the engine cannot be reached.
    fn history(&self, id: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>>;

    /// Returns what proves the origin of an image; `None` where it does not hold the image.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    fn evidence(&self, id: &str) -> anyhow::Result<Option<Evidence>> {
        let Some(StoredImage { labels, on_build, .. }) = self.inspect(id)? else { return Ok(None) };
        let history = self.history(id)?.unwrap_or_default();
        Ok(Some(Evidence { labels, on_build, history }))
    }

    /// The images that carry a label, in the order of their IDs. One question, however many there are.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    fn list(&self, label: LabelFilter<'_>) -> anyhow::Result<Vec<ListedImage>>;

    /// Fetches an image from its registry into the store, where that has a newer one than the store;
    /// for the engine's own platform where none is given. `begun` is called once, when the
    /// registry has answered and the fetching begins.
    ///
    /// # Errors
    /// Where the registry can't be asked or has no such image; the error has a hint.
    fn pull(
        &self,
        reference: &str,
        platform: Option<&Platform>,
        begun: &mut dyn FnMut(),
    ) -> anyhow::Result<()>;

    /// Sends the image that has a reference to the registry of that reference, under it. What the
    /// registry has already is not sent. Returns the digest under which it then knows the image.
    ///
    /// # Errors
    /// Where the engine holds no such image or can't be asked, where the registry refuses, and where
    /// `cancel` was set meanwhile; the error has a hint. One that another try may not meet is
    /// [`ErrorKind::Transient`](crate::base::ErrorKind::Transient).
    fn push(&self, reference: &str, cancel: &Cancel) -> anyhow::Result<String>;

    /// Puts a reference on an image, which is named by its ID; another image that had it loses it.
    ///
    /// # Errors
    /// Where the engine holds no such image, can't be asked, or refuses.
    fn tag(&self, id: &str, reference: &str) -> anyhow::Result<()>;

    /// Starts to count how often references are moved; `None` if nothing moves them. `marker` is a reference that
    /// nothing else uses. Whoever watches removes it in the end.
    ///
    /// # Errors
    /// If the engine cannot be reached.
    fn watch_references(&self, _marker: &str) -> anyhow::Result<Option<Box<dyn ReferenceWatch>>> {
        Ok(None)
    }

    /// Takes a reference away, and the image with it when it was the last. A reference that is
    /// not there is no error.
    ///
    /// # Errors
    /// Where the engine can't be asked, or refuses.
    fn remove(&self, reference: &str) -> anyhow::Result<()>;
}

/// Counts how often references of an engine's store were moved.
pub trait ReferenceWatch: Send + Sync {
    /// Returns how often each of some references (as [`StoredImage::references`] has them) has been put on an
    /// image, the same one included, since the watch began. Each comes with the ID of an image that it should
    /// point to, and loading that image from an archive counts as well. Moves that ended before the call are
    /// counted.
    ///
    /// To find out, the first image, which the store of the `engine` must have, is given the marker of
    /// [`ImageStore::watch_references`].
    ///
    /// # Errors
    /// If the engine cannot be reached, or no longer has the image.
    fn counts(
        &self,
        references: &[(String, String)],
        engine: &dyn ImageStore,
    ) -> anyhow::Result<Vec<u64>>;
}

/// What a builder reports of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderInfo {
    /// Its name, to be shown: `docker`, `fake`, …
    pub name: Cow<'static, str>,
    /// Its version, to be shown, such as `20.10.24`.
    pub version: String,
    /// Its nodes; builds that name no platform are for the first platform of the first one.
    pub nodes: Vec<Node>,
    /// What reads Dockerfiles that name no frontend; nothing where that is not known, or so new that it
    /// does not matter.
    pub frontend: Option<Frontend>,
    /// Which frontends take named contexts.
    pub contexts: NamedContexts,
}

impl BuilderInfo {
    /// Returns the platform of builds that name none.
    pub fn platform(&self) -> Platform {
        let first = self.nodes.first().and_then(|node| node.platforms.first());
        first.cloned().unwrap_or_else(Platform::of_this_machine)
    }
}

/// One machine of a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name within the builder.
    pub name: Cow<'static, str>,
    /// The platforms that it builds for without emulation, its own first.
    pub platforms: Vec<Platform>,
}

/// What a builder can do beyond building; an older one passes over it without a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Whether annotations of the image's manifest are kept.
    pub annotations: bool,
    /// Whether an SBOM and a provenance are kept beside the image.
    pub attestations: bool,
}
