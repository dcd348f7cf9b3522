//! Sends images to the registry, beside the builds.
//!
//! Owns what waits to be sent, who sends it, and what has arrived. An image is sent as soon as it is
//! built, and nobody who needs it waits for that. What becomes of the run is the loop's affair: no
//! name leads to any of this before all of it has arrived.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::worker::{Message, or_panicked, pause, pause_after, serve};
use crate::base::error;
use crate::base::{IdMap, UnitId};
use crate::engine::Cancel;
use crate::plan::Parent;

/// How many images are sent at once: an engine sends several layers of each at once.
const AT_ONCE: usize = 4;

/// How often sending is tried again whose failure may pass, at least: registries limit how fast they
/// are asked, and what has arrived is not sent again.
const LEAST_RETRIES: u32 = 2;

/// Puts images into a registry, and names on them there.
pub trait Publisher: Sync {
    /// Sends an image that the engine holds to the registry, under its key alone. `needs` are the
    /// images that it needs.
    ///
    /// # Errors
    /// Where the engine or the registry refuses.
    fn publish(
        &self,
        image: UnitId,
        needs: &[Parent],
        image_id: &str,
        cancel: &Cancel,
    ) -> anyhow::Result<Published>;

    /// Lets the names of all images lead to what was sent, or of none. Nothing where no names are to
    /// be moved.
    ///
    /// # Errors
    /// Where the registry refuses; then all names lead to where they led before, or the error says
    /// which do not.
    fn release(&self, published: &[(UnitId, Published)]) -> anyhow::Result<Option<Released>>;
}

/// An image in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Where it is, by digest.
    pub reference: String,
    /// The digest.
    pub digest: String,
}

/// Names in a registry that lead to what a run has made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// Those that led elsewhere or nowhere before.
    pub moved: Vec<String>,
    /// How many led there already.
    pub kept: usize,
}

/// An image to be sent.
pub(super) struct Parcel {
    pub(super) image: UnitId,
    pub(super) image_id: String,
    pub(super) needs: Vec<Parent>,
    pub(super) cancel: Cancel,
}

/// How the sending of an image ended.
pub(super) enum Delivery {
    /// It is in the registry.
    Arrived { published: Published, took: Duration },
    /// It is not, and why.
    Failed(String),
    /// It was cancelled.
    Cancelled,
}

/// What waits to be sent and what has arrived.
pub(super) struct Parcels {
    desks: Vec<Sender<Parcel>>,
    idle: Vec<usize>,
    waiting: VecDeque<Parcel>,
    arrived: IdMap<Option<Published>, UnitId>,
    cancel: Cancel,
}

impl Parcels {
    /// Nothing waits; `desks` lead to the couriers, and to none where nothing is sent.
    pub(super) fn new(desks: Vec<Sender<Parcel>>, images: usize) -> Parcels {
        Parcels {
            idle: (0..desks.len()).collect(),
            desks,
            waiting: VecDeque::new(),
            arrived: IdMap::from_fn(images, |_| None),
            cancel: Cancel::default(),
        }
    }

    /// How many couriers there are for a run of some images.
    pub(super) fn couriers(images: usize) -> usize {
        images.min(AT_ONCE)
    }

    /// Takes an image that is to be sent.
    pub(super) fn add(&mut self, image: UnitId, image_id: &str, needs: Vec<Parent>) {
        if self.desks.is_empty() {
            return;
        }
        let (image_id, cancel) = (image_id.to_owned(), self.cancel.clone());
        self.waiting.push_back(Parcel { image, image_id, needs, cancel });
    }

    /// Notes that an image is there.
    pub(super) fn arrive(&mut self, image: UnitId, published: Published) {
        self.arrived[image] = Some(published);
    }

    /// Gives the next that waits to whoever is free, and says which it was.
    pub(super) fn hand_out(&mut self) -> Option<UnitId> {
        if self.waiting.is_empty() {
            return None;
        }
        let courier = self.idle.pop()?;
        let parcel = self.waiting.pop_front()?;
        let image = parcel.image;
        self.desks[courier].send(parcel).expect("a courier ends when its desk does");
        Some(image)
    }

    /// Notes that a courier is free again.
    pub(super) fn return_of(&mut self, courier: usize) {
        self.idle.push(courier);
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn are_done(&self) -> bool {
        self.waiting.is_empty() && self.idle.len() == self.desks.len()
    }

    /// Sends nothing more, and ends what is under way.
    pub(super) fn cancel(&mut self) {
        self.waiting.clear();
        self.cancel.set();
    }

    /// What has arrived of some images; nothing where not all has.
    pub(super) fn all_of(&self, images: &[UnitId]) -> Option<Vec<(UnitId, Published)>> {
        images.iter().map(|image| Some((*image, self.arrived[*image].clone()?))).collect()
    }
}

/// Takes parcels until the loop hangs up.
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
    Delivery::Cancelled
}
