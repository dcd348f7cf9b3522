//! What builds: the trait, its vocabulary, and one file per engine.
//!
//! Owns the conversation with Docker and its like. It knows neither the graph nor the plan: a
//! request says all there is to build one image. The trait is blocking; only `docker` knows that
//! async exists.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub mod attest;
pub mod docker;
pub mod fake;
pub mod mask;
pub mod none;
pub mod secret;
#[cfg(test)]
pub mod stub;

use crate::base::Platform;
pub use attest::Attestations;
pub use secret::Secrets;

/// An engine that builds images. Every call blocks the calling thread; calls may come from
/// several threads at once.
pub trait Engine: Send + Sync {
    /// Asks the engine who it is. Done once, before anything is built.
    ///
    /// # Errors
    /// Where nothing answers, or what answers can't build; the error ends with a `hint:` line.
    fn describe(&self) -> anyhow::Result<EngineInfo>;

    /// Whether its store keeps the manifest of an image, and with it annotations and attestations. One
    /// that does not builds as well without them. Asked at most once, and only where it matters.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    fn keeps_manifests(&self) -> anyhow::Result<bool>;

    /// Builds one image and tells `sink` what happens meanwhile.
    ///
    /// A step may begin more than once, where the engine had to try again.
    ///
    /// A build that fails is [`BuildOutcome::Failed`]. Returns soon after `cancel` is set, with
    /// [`BuildOutcome::Cancelled`], and leaves nothing running in the engine.
    ///
    /// # Errors
    /// Where the machinery failed: the engine went away, or the context could not be read.
    fn build(
        &self,
        request: &BuildRequest,
        sink: &mut Sink<'_>,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildOutcome>;

    /// What the engine holds under a reference or an ID; `None` where it holds nothing.
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

    /// The images that carry the label `NAME`, or `NAME=VALUE`, in the order of their IDs. One
    /// question, however many there are.
    ///
    /// # Errors
    /// Where the engine can't be asked.
    fn list(&self, label: &str) -> anyhow::Result<Vec<ListedImage>>;

    /// Fetches an image from its registry into the store, where that has a newer one than the store;
    /// for the engine's own platform where none is given. `begun` is called once, when the
    /// registry has answered and the fetching begins.
    ///
    /// # Errors
    /// Where the registry can't be asked or has no such image; ends with a `hint:` line.
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
    /// `cancel` was set meanwhile; ends with a `hint:` line. One that another try may find gone is
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
    /// [`Engine::watch_references`].
    ///
    /// # Errors
    /// If the engine cannot be reached, or no longer has the image.
    fn counts(
        &self,
        references: &[(String, String)],
        engine: &dyn Engine,
    ) -> anyhow::Result<Vec<u64>>;
}

/// An image in an engine's store.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct StoredImage {
    /// Its ID (`sha256:…`).
    pub id: String,
    /// What it runs on.
    pub platform: Platform,
    /// When it was made, as the engine says it (RFC 3339).
    pub created: String,
    /// Its size in bytes, as the engine counts.
    pub size: u64,
    /// The instructions that a child begins with.
    pub on_build: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The digests of its layers, unpacked, lowest first.
    pub diff_ids: Vec<String>,
    /// The references that it has here, with tags.
    pub references: Vec<String>,
    /// The references by digest under which registries know it.
    pub digests: Vec<String>,
    /// Its runtime configuration, the whole `Config` object as the engine gives it.
    pub config: serde_json::Value,
    /// Its author (`MAINTAINER`); empty if it has none.
    pub author: String,
    /// The version of its operating system, which only Windows images have.
    pub os_version: String,
}

/// One entry of an image's history (OCI image specification, `config.md`, `history`).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// The instruction that made it, in the builder's own wording; may be empty.
    pub created_by: String,
    /// When it was made, as the engine reports it. Only comparable within one engine.
    pub created: String,
}

/// An image as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Its ID (`sha256:…`).
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The references that it has here, with tags.
    pub references: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its size in bytes, as the engine counts.
    pub size: u64,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `docker`, `fake`, …
    pub name: String,
    /// Its version as it says it, such as `20.10.24`.
    pub version: String,
    /// The platform it builds for when nothing is asked.
    pub platform: Platform,
    /// The version of `docker/dockerfile` that reads Dockerfiles which name none; nothing where it
    /// is not known, or so new that it does not matter.
    pub frontend: Option<(u32, u32)>,
}

/// All that goes into the build of one image.
#[derive(Clone)]
pub struct BuildRequest {
    /// The Dockerfile's whole text.
    pub dockerfile: String,
    /// The stage to build; the last one where nothing is said.
    pub target: Option<String>,
    /// The references that the image gets.
    pub references: Vec<String>,
    /// The labels that the image gets beside its own.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the image's manifest; only for an engine that keeps one.
    pub annotations: BTreeMap<String, String>,
    /// What is attested of the image; likewise.
    pub attestations: Attestations,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Named contexts: what a `FROM` or `--from` calls it, and `docker-image://REFERENCE` or an
    /// address.
    pub contexts: BTreeMap<String, String>,
    /// The platform to build for; the engine's own where nothing is said.
    pub platform: Option<Platform>,
    /// Whether the engine's own cache is to be left unused.
    pub no_cache: bool,
    /// The secrets and ssh agents that the build may ask for.
    pub secrets: Secrets,
    /// The files that the build may read.
    pub context: Arc<dyn ContextFiles>,
}

impl Default for BuildRequest {
    fn default() -> BuildRequest {
        BuildRequest {
            dockerfile: String::new(),
            target: None,
            references: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            attestations: Attestations::default(),
            build_args: BTreeMap::new(),
            contexts: BTreeMap::new(),
            platform: None,
            no_cache: false,
            secrets: Secrets::default(),
            context: Arc::new(NoFiles),
        }
    }
}

/// The files of a context, written as a tar stream when the engine asks for them.
pub trait ContextFiles: Send + Sync {
    /// Writes all files as one tar archive: sorted, owner 0:0, paths relative to the context.
    ///
    /// Called as often as the engine needs it, from any thread: to name the context by its hash,
    /// and to send it where the engine has not got it. The same bytes each time; others are an
    /// error of the build.
    ///
    /// # Errors
    /// Where a file can't be read, or the reader of the stream went away.
    fn write_tar(&self, to: &mut dyn Write) -> io::Result<()>;
}

/// A context that has no files.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl ContextFiles for NoFiles {
    fn write_tar(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}

/// A step of a build as the engine names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step {
    /// The stage it belongs to, where the engine names one.
    pub stage: Option<String>,
    /// Which step of its stage it is, from 1; 0 for what is no instruction (`exporting`, …).
    pub number: u32,
    /// How many steps the stage has; 0 likewise.
    pub total: u32,
    /// The instruction as the engine words it, such as `RUN make`.
    pub text: String,
}

impl Step {
    /// The image that a step takes from outside the build, with the digest that its name resolved to
    /// (`docker.io/acme/base:1@sha256:…`). Engines without manifests name none.
    pub fn resolved_image(&self) -> Option<&str> {
        let image = self.text.strip_prefix("FROM ")?;
        image.contains("@sha256:").then_some(image.split_whitespace().next()?)
    }
}

/// Who is told what happens while an image is built: all that has come at once, in order.
pub type Sink<'a> = dyn FnMut(Vec<Told>) + 'a;

/// What happened, and when: an engine may tell a little later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Instant,
    /// What.
    pub update: BuildUpdate,
}

impl Told {
    /// It has just happened.
    pub fn now(update: BuildUpdate) -> Told {
        Told { at: Instant::now(), update }
    }
}

/// What happens while an image is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildUpdate {
    /// A step began to run.
    StepStarted(Step),
    /// A step ended well.
    StepFinished {
        /// Which.
        step: Step,
        /// Whether the engine had its result already.
        cached: bool,
        /// How long it ran in the engine.
        took: Duration,
    },
    /// A step wrote something: raw bytes, not yet cut into lines, not to be trusted.
    Output {
        /// Which.
        step: Step,
        /// What it wrote.
        bytes: Vec<u8>,
    },
    /// The engine warns of something in the Dockerfile.
    Warning(String),
}

/// How the build of an image ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildOutcome {
    /// The image is in the engine under its references.
    Built {
        /// The image's ID in the engine (`sha256:…`).
        image_id: String,
    },
    /// The image could not be built.
    Failed(BuildFailure),
    /// The build was cancelled.
    Cancelled,
}

/// Why an image could not be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFailure {
    /// The step that failed, where one did.
    pub step: Option<Step>,
    /// The engine's message, without its decoration.
    pub message: String,
    /// Whether another try may do better: a registry or the network was at fault, and no command
    /// of the Dockerfile.
    pub may_pass: bool,
}

/// Tells running builds to stop. Cheap to clone; set once, never unset.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<cancel::Inner>,
}

impl Cancel {
    /// Sets it and runs what waits for it.
    pub fn set(&self) {
        self.inner.set();
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.inner.is_set()
    }

    /// Runs `wake` when it is set, at once where it is set already. Called by engines that wait
    /// for something else meanwhile. Dropping the guard forgets `wake`.
    #[must_use]
    pub fn on_set(&self, wake: impl Fn() + Send + 'static) -> CancelGuard {
        CancelGuard { key: self.inner.add(Box::new(wake)), cancel: self.clone() }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancel({})", self.is_set())
    }
}

/// Forgets a wake-up when dropped.
pub struct CancelGuard {
    key: u64,
    cancel: Cancel,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.cancel.inner.remove(self.key);
    }
}

mod cancel {
    //! The one shared cell of the program: a flag and who waits for it.

    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Mutex, PoisonError};

    type Wake = Box<dyn Fn() + Send>;

    #[derive(Default)]
    pub(super) struct Inner {
        flag: AtomicBool,
        waiting: Mutex<(u64, BTreeMap<u64, Wake>)>,
    }

    impl Inner {
        pub(super) fn is_set(&self) -> bool {
            self.flag.load(Ordering::SeqCst)
        }

        pub(super) fn set(&self) {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            self.flag.store(true, Ordering::SeqCst);
            for wake in waiting.1.values() {
                wake();
            }
        }

        pub(super) fn add(&self, wake: Wake) -> u64 {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_set() {
                wake();
            }
            waiting.0 += 1;
            let key = waiting.0;
            waiting.1.insert(key, wake);
            key
        }

        pub(super) fn remove(&self, key: u64) {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.1.remove(&key);
        }
    }
}
