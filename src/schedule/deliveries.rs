//! How the loop uses the upload queue.
//!
//! Owns that tags move last, once, and only when every image of the run was pushed. A run in which anything failed,
//! that was stopped, or whose pushes failed leaves all tags as they were.

use super::courier::{Delivery, Published};
use super::{Loop, OnFailure, Registered};
use crate::base::UnitId;
use crate::base::error;
use crate::event::Event;

impl Loop<'_, '_> {
    /// Queues an image that is done for a push, unless it is already in the registry.
    pub(super) fn send(&mut self, image: UnitId, image_id: &str, registered: Option<&Registered>) {
        if self.publisher.is_none() {
            return;
        }
        match registered {
            Some(Registered { reference, digest, .. }) => {
                let (reference, digest) = (reference.clone(), digest.clone());
                self.parcels.arrive(image, Published { reference, digest });
            }
            None => self.parcels.add(image, image_id, self.needs_of(image)),
        }
    }

    /// Records how the push of an image ended.
    pub(super) fn delivered(&mut self, image: UnitId, delivery: Delivery) {
        match delivery {
            Delivery::Arrived { published, took } => {
                let reference = published.reference.clone();
                self.parcels.arrive(image, published);
                self.emit_of(image, Event::ImagePushed { reference, took });
            }
            Delivery::Failed(message) => {
                self.emit_of(image, Event::PushFailed { message });
                if self.options.on_failure != OnFailure::KeepGoing {
                    self.stop();
                }
                if self.options.on_failure == OnFailure::Cancel {
                    self.cancel_where(|_| true);
                    self.parcels.cancel();
                }
            }
            Delivery::Canceled => {}
        }
    }

    /// Moves the tags, or reports that they were not moved.
    pub(super) fn release(&mut self) {
        let Some(publisher) = self.publisher else { return };
        let all = self.parcels.all_of(self.plan.order());
        let Some(all) = all.filter(|_| self.signal.is_none()) else {
            return self.emit(Event::NotReleased { message: None });
        };
        match publisher.release(&all) {
            Ok(Some(released)) => {
                self.emit(Event::Released { moved: released.moved, kept: released.kept });
            }
            Ok(None) => {}
            Err(error) => {
                let message = Some(error::text(&error));
                self.emit(Event::NotReleased { message });
            }
        }
    }
}
