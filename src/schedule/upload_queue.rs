//! The upload queue: pushes images to the registry while others are built.
//!
//! Owns which images wait to be pushed, in which order, the threads that push them, and which images have been pushed. An
//! image is pushed as soon as it is built and the layers that it shares with others are in the registry: an engine then
//! mounts them from the other repository (OCI Distribution Specification, "Mounting a blob from another repository")
//! instead of uploading them again. Dependents do not wait for a push. The loop decides how a push affects the run: no
//! tag points to any of these images before all of them are pushed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::worker::{LoopMessage, or_panicked, pause_after, serve};
use crate::base::error::{self, ErrorKind};
use crate::base::{IdMap, UnitId, backoff};
use crate::engine::{Cancel, TransferProgress};
use crate::event::Event;
use crate::graph::Dependency;
use crate::plan::ParentImage;

/// The interval at which the progress of an upload is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// The minimum number of retries after transient errors: registries limit the rate of requests, and what has been
/// uploaded is not uploaded again.
const LEAST_RETRIES: u32 = 2;

/// The minimum number of retries while a registry limits the rate of requests. With the pauses between them, they take
/// more than three minutes.
const RATE_LIMIT_RETRIES: u32 = 6;

/// The pause after an attempt that was rejected because there were too many.
fn rate_limit_pause(attempt: u32) -> Duration {
    backoff::pause_after(attempt, Duration::from_secs(5), Duration::from_secs(60))
}

/// Pushes images to a registry and moves tags there.
pub trait Publisher: Sync {
    /// Returns whether an image is pushed.
    fn pushes(&self, image: UnitId) -> bool;

    /// Returns the image whose layers an image begins with; `None` if there is none.
    fn base(&self, image: UnitId) -> Option<Dependency<UnitId>>;

    /// Pushes an image from the engine's store to the registry, under its key only. `parents` are its parents.
    ///
    /// # Errors
    /// Returns an error if the engine or the registry refuses.
    fn publish(
        &self,
        image: UnitId,
        parents: &[ParentImage],
        image_id: &str,
        on_progress: &mut dyn FnMut(TransferProgress),
        cancel: &Cancel,
    ) -> anyhow::Result<PublishedImage>;

    /// Moves the tags of all images to what was pushed, or none of them. Returns `None` if no tags are to be moved.
    ///
    /// # Errors
    /// Returns an error if the registry refuses. All tags then point to what they pointed to before, or the error names
    /// those that do not.
    fn move_tags(
        &self,
        published: &[(UnitId, PublishedImage)],
    ) -> anyhow::Result<Option<PublishedTags>>;
}

/// An image in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedImage {
    /// Its reference by digest.
    pub reference: String,
    /// Its digest.
    pub digest: String,
}

/// The tags in a registry that point to the images of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishedTags {
    /// Those that pointed elsewhere or nowhere before.
    pub moved: Vec<String>,
    /// How many pointed there already.
    pub unchanged: usize,
}

/// An image to be pushed.
pub(super) struct Upload {
    pub(super) image: UnitId,
    pub(super) image_id: String,
    pub(super) parents: Vec<ParentImage>,
    /// The image whose layers it begins with.
    pub(super) base: Option<Dependency<UnitId>>,
    pub(super) cancel: Cancel,
}

/// How the push of an image ended.
pub(super) enum UploadResult {
    /// It is in the registry.
    Pushed { published: PublishedImage, took: Duration },
    /// It failed with this message.
    Failed(String),
    /// It was canceled.
    Canceled,
}

/// The images that wait to be pushed, and those that were pushed.
pub(super) struct UploadQueue {
    channels: Vec<Sender<Upload>>,
    idle: Vec<usize>,
    waiting: VecDeque<Upload>,
    is_waiting: IdMap<bool, UnitId>,
    /// The images that are being pushed, with their bases.
    active: BTreeMap<UnitId, Option<Dependency<UnitId>>>,
    /// The images whose layers the engine has uploaded or mounted in this run.
    uploaded: BTreeSet<Dependency<UnitId>>,
    pushed: IdMap<Option<PublishedImage>, UnitId>,
    cancel: Cancel,
}

impl UploadQueue {
    /// Returns an empty queue. `channels` are the channels to the upload threads; there are none if nothing is pushed.
    pub(super) fn new(channels: Vec<Sender<Upload>>, images: usize) -> UploadQueue {
        UploadQueue {
            idle: (0..channels.len()).collect(),
            channels,
            waiting: VecDeque::new(),
            is_waiting: IdMap::from_fn(images, |_| false),
            active: BTreeMap::new(),
            uploaded: BTreeSet::new(),
            pushed: IdMap::from_fn(images, |_| None),
            cancel: Cancel::default(),
        }
    }

    /// Adds an image to the queue.
    pub(super) fn add(
        &mut self,
        image: UnitId,
        image_id: &str,
        parents: Vec<ParentImage>,
        base: Option<Dependency<UnitId>>,
    ) {
        if self.channels.is_empty() {
            return;
        }
        let (image_id, cancel) = (image_id.to_owned(), self.cancel.clone());
        self.is_waiting[image] = true;
        self.waiting.push_back(Upload { image, image_id, parents, base, cancel });
    }

    /// Records that an image is in the registry.
    pub(super) fn record(&mut self, image: UnitId, published: PublishedImage) {
        self.pushed[image] = Some(published);
    }

    /// Gives the next image that does not wait for the layers of another one to a free thread, if any, and returns it.
    pub(super) fn start_next(&mut self) -> Option<UnitId> {
        if self.idle.is_empty() {
            return None;
        }
        let next = self.waiting.iter().position(|upload| self.has_base(upload))?;
        let uploader = self.idle.pop()?;
        let upload = self.waiting.remove(next)?;
        let image = upload.image;
        self.is_waiting[image] = false;
        self.active.insert(image, upload.base);
        self.channels[uploader].send(upload).expect("a thread ends when its channel closes");
        Some(image)
    }

    /// Returns whether no push of the layers of an image's base is pending. A push that failed has ended, too: the image
    /// is then pushed with all its layers.
    fn has_base(&self, upload: &Upload) -> bool {
        let Some(base) = upload.base else { return true };
        if let Dependency::Image(image) = base
            && (self.is_waiting[image] || self.active.contains_key(&image))
        {
            return false;
        }
        // If the base is not pushed in this run, the first image on it uploads its layers.
        self.uploaded.contains(&base) || self.active.values().all(|other| *other != upload.base)
    }

    /// Records that the push of an image ended, successfully or not, and that its thread is free again.
    pub(super) fn end(&mut self, uploader: usize, image: UnitId, is_pushed: bool) {
        self.idle.push(uploader);
        let base = self.active.remove(&image).flatten();
        if is_pushed {
            self.uploaded.extend(base.into_iter().chain([Dependency::Image(image)]));
        }
    }

    /// Returns whether no image is queued or being pushed.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty() && self.idle.len() == self.channels.len()
    }

    /// Clears the queue, and cancels running pushes. Returns the images that were queued.
    pub(super) fn cancel(&mut self) -> Vec<UnitId> {
        self.cancel.set();
        self.waiting.drain(..).map(|upload| upload.image).collect()
    }

    /// Returns what was pushed of some images, or `None` if not all of them were.
    pub(super) fn all_of(
        &self,
        images: impl Iterator<Item = UnitId>,
    ) -> Option<Vec<(UnitId, PublishedImage)>> {
        images.map(|image| Some((image, self.pushed[image].clone()?))).collect()
    }
}

/// Pushes images until the loop closes the channel.
pub(super) fn run_uploader(
    uploader: usize,
    uploads: &Receiver<Upload>,
    to_loop: &Sender<LoopMessage>,
    publisher: &dyn Publisher,
    retries: u32,
) {
    serve(uploads, to_loop, |upload| {
        let image = upload.image;
        let report = |progress: TransferProgress| {
            let TransferProgress { sent, total } = progress;
            let events = vec![(Instant::now(), Event::PushProgress { sent, total })];
            // The loop outlives every thread.
            drop(to_loop.send(LoopMessage::Progress { image, events }));
        };
        let retries = retries.max(LEAST_RETRIES);
        let result = or_panicked(|| push(upload, publisher, retries, &report))
            .unwrap_or_else(|fault| UploadResult::Failed(fault.into()));
        LoopMessage::Uploaded { uploader, image, result }
    });
}

fn push(
    upload: &Upload,
    publisher: &dyn Publisher,
    retries: u32,
    report: &dyn Fn(TransferProgress),
) -> UploadResult {
    let Upload { image, image_id, parents, cancel, .. } = upload;
    let since = Instant::now();
    let mut reported: Option<Instant> = None;
    let mut on_progress = |progress| {
        // Engines report many times per second.
        if reported.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY) {
            reported = Some(Instant::now());
            report(progress);
        }
    };
    for attempt in 1.. {
        match publisher.publish(*image, parents, image_id, &mut on_progress, cancel) {
            Ok(published) => return UploadResult::Pushed { published, took: since.elapsed() },
            Err(_) if cancel.is_set() => break,
            Err(error) => {
                let (retries, wait) = match error::kind(&error) {
                    // The engine does not pass on when the registry accepts requests again.
                    ErrorKind::RateLimited => {
                        (retries.max(RATE_LIMIT_RETRIES), rate_limit_pause(attempt))
                    }
                    _ => (retries, pause_after(attempt)),
                };
                if !error::is_transient(&error) || attempt > retries {
                    return UploadResult::Failed(error::text(&error));
                }
                if !cancel.pause(wait) {
                    break;
                }
            }
        }
    }
    UploadResult::Canceled
}
