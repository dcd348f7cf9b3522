//! The upload queue: pushes images to the registry while others are built.
//!
//! Owns which images wait to be pushed, the threads that push them, and which images have been pushed. An image is
//! pushed as soon as it is built, and its dependents do not wait for that. The loop decides how a push affects the run:
//! no tag points to any of these images before all of them are pushed.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::worker::{Message, or_panicked, pause, pause_after, serve};
use crate::base::error;
use crate::base::{IdMap, UnitId};
use crate::engine::Cancel;
use crate::plan::Parent;

/// How many images are pushed at once: an engine pushes several layers of each at once.
const AT_ONCE: usize = 4;

/// The minimum number of retries after transient errors: registries limit the rate of requests, and what has been
/// uploaded is not uploaded again.
const LEAST_RETRIES: u32 = 2;

/// Pushes images to a registry and moves tags there.
pub trait Publisher: Sync {
    /// Pushes an image from the engine's store to the registry, under its key only. `needs` are its parents.
    ///
    /// # Errors
    /// Returns an error if the engine or the registry refuses.
    fn publish(
        &self,
        image: UnitId,
        needs: &[Parent],
        image_id: &str,
        cancel: &Cancel,
    ) -> anyhow::Result<Published>;

    /// Moves the tags of all images to what was pushed, or none of them. Returns `None` if no tags are to be moved.
    ///
    /// # Errors
    /// Returns an error if the registry refuses. All tags then point to what they pointed to before, or the error names
    /// those that do not.
    fn release(&self, published: &[(UnitId, Published)]) -> anyhow::Result<Option<Released>>;
}

/// An image in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its reference by digest.
    pub reference: String,
    /// Its digest.
    pub digest: String,
}

/// The tags in a registry that point to the images of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// Those that pointed elsewhere or nowhere before.
    pub moved: Vec<String>,
    /// How many pointed there already.
    pub kept: usize,
}

/// An image to be pushed.
pub(super) struct Parcel {
    pub(super) image: UnitId,
    pub(super) image_id: String,
    pub(super) needs: Vec<Parent>,
    pub(super) cancel: Cancel,
}

/// How the push of an image ended.
pub(super) enum Delivery {
    /// It is in the registry.
    Arrived { published: Published, took: Duration },
    /// It failed with this message.
    Failed(String),
    /// It was canceled.
    Canceled,
}

/// The images that wait to be pushed, and those that were pushed.
pub(super) struct Parcels {
    desks: Vec<Sender<Parcel>>,
    idle: Vec<usize>,
    waiting: VecDeque<Parcel>,
    arrived: IdMap<Option<Published>, UnitId>,
    cancel: Cancel,
}

impl Parcels {
    /// Returns an empty queue. `desks` are the channels to the upload threads; there are none if nothing is pushed.
    pub(super) fn new(desks: Vec<Sender<Parcel>>, images: usize) -> Parcels {
        Parcels {
            idle: (0..desks.len()).collect(),
            desks,
            waiting: VecDeque::new(),
            arrived: IdMap::from_fn(images, |_| None),
            cancel: Cancel::default(),
        }
    }

    /// Returns the number of upload threads for a run with this many images.
    pub(super) fn couriers(images: usize) -> usize {
        images.min(AT_ONCE)
    }

    /// Adds an image to the queue.
    pub(super) fn add(&mut self, image: UnitId, image_id: &str, needs: Vec<Parent>) {
        if self.desks.is_empty() {
            return;
        }
        let (image_id, cancel) = (image_id.to_owned(), self.cancel.clone());
        self.waiting.push_back(Parcel { image, image_id, needs, cancel });
    }

    /// Records that an image is in the registry.
    pub(super) fn arrive(&mut self, image: UnitId, published: Published) {
        self.arrived[image] = Some(published);
    }

    /// Gives the next image in the queue to a free thread, if any, and returns it.
    pub(super) fn hand_out(&mut self) -> Option<UnitId> {
        if self.waiting.is_empty() {
            return None;
        }
        let courier = self.idle.pop()?;
        let parcel = self.waiting.pop_front()?;
        let image = parcel.image;
        self.desks[courier].send(parcel).expect("a thread ends when its channel closes");
        Some(image)
    }

    /// Records that a thread is free again.
    pub(super) fn return_of(&mut self, courier: usize) {
        self.idle.push(courier);
    }

    /// Returns whether no image is queued or being pushed.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty() && self.idle.len() == self.desks.len()
    }

    /// Clears the queue, and cancels running pushes.
    pub(super) fn cancel(&mut self) {
        self.waiting.clear();
        self.cancel.set();
    }

    /// Returns what was pushed of some images, or `None` if not all of them were.
    pub(super) fn all_of(&self, images: &[UnitId]) -> Option<Vec<(UnitId, Published)>> {
        images.iter().map(|image| Some((*image, self.arrived[*image].clone()?))).collect()
    }
}

/// Pushes images until the loop closes the channel.
pub(super) fn deliver(
    courier: usize,
    parcels: &Receiver<Parcel>,
    to_loop: &Sender<Message>,
    publisher: &dyn Publisher,
    retries: u32,
) {
    serve(parcels, to_loop, |parcel| {
        let image = parcel.image;
        let delivery = or_panicked(|| send(parcel, publisher, retries.max(LEAST_RETRIES)))
            .unwrap_or_else(|fault| Delivery::Failed(fault.into()));
        Message::Delivered { courier, image, delivery }
    });
}

fn send(parcel: &Parcel, publisher: &dyn Publisher, retries: u32) -> Delivery {
    let Parcel { image, image_id, needs, cancel } = parcel;
    let since = Instant::now();
    for attempt in 1.. {
        match publisher.publish(*image, needs, image_id, cancel) {
            Ok(published) => return Delivery::Arrived { published, took: since.elapsed() },
            Err(_) if cancel.is_set() => break,
            Err(error) if !error::is_transient(&error) || attempt > retries => {
                return Delivery::Failed(error::text(&error));
            }
            Err(_) if pause(pause_after(attempt), cancel) => {}
            Err(_) => break,
        }
    }
    Delivery::Canceled
}
