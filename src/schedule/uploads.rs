//! How the loop uses the upload queue.
//!
//! Owns that tags move last, once, and only when every image of the run that is to be pushed was pushed. A run in which
//! anything failed, that was stopped, or whose pushes failed leaves all tags as they were.

use std::sync::mpsc::{Receiver, Sender};

use super::upload_queue::{PublishedImage, UploadResult};
use super::worker::{LoopMessage, or_panicked};
use super::{Loop, OnFailure, RegistryImage};
use crate::base::UnitId;
use crate::base::error;
use crate::event::Event;

impl Loop<'_, '_> {
    /// Queues an image that is done for a push, unless it is already in the registry.
    pub(super) fn queue_upload(
        &mut self,
        image: UnitId,
        image_id: &str,
        registry_image: Option<&RegistryImage>,
    ) {
        if self.publisher.is_none_or(|publisher| !publisher.pushes(image)) {
            return;
        }
        match registry_image {
            Some(RegistryImage { reference, digest, .. }) => {
                let (reference, digest) = (reference.clone(), digest.clone());
                self.uploads.record(image, PublishedImage { reference, digest });
            }
            None => {
                let base = self.publisher.and_then(|publisher| publisher.base(image));
                self.uploads.add(image, image_id, self.parents_of(image), base);
                self.emit_of(image, Event::PushQueued);
            }
        }
    }

    /// Records how the push of an image ended.
    pub(super) fn finish_upload(&mut self, image: UnitId, result: UploadResult) {
        match result {
            UploadResult::Pushed { published, took } => {
                let reference = published.reference.clone();
                self.uploads.record(image, published);
                self.emit_of(image, Event::ImagePushed { reference, took });
            }
            UploadResult::Failed(message) => {
                self.emit_of(image, Event::PushFailed { message });
                if self.options.on_failure != OnFailure::KeepGoing {
                    self.stop();
                }
                if self.options.on_failure == OnFailure::Cancel {
                    self.cancel_where(|_| true);
                    self.cancel_uploads();
                }
            }
            UploadResult::Canceled => {}
        }
    }

    /// Cancels all pushes. Those that are running end later.
    pub(super) fn cancel_uploads(&mut self) {
        for image in self.uploads.cancel() {
            self.emit_of(image, Event::PushCanceled);
        }
    }

    /// Moves the tags, or reports that they were not moved.
    pub(super) fn move_tags(
        &mut self,
        messages: &Receiver<LoopMessage>,
        to_loop: &Sender<LoopMessage>,
    ) {
        let Some(publisher) = self.publisher else { return };
        let images = self.plan.order().iter().copied().filter(|image| publisher.pushes(*image));
        let all = self.uploads.all_of(images);
        let Some(all) = all.filter(|_| self.signal.is_none()) else {
            return self.emit(Event::NotReleased { message: None });
        };
        let result = std::thread::scope(|scope| {
            // The loop outlives this thread.
            scope.spawn(|| {
                let result = or_panicked(|| publisher.move_tags(&all));
                let result = result.unwrap_or_else(|fault| Err(anyhow::anyhow!(fault)));
                drop(to_loop.send(LoopMessage::TagsMoved(result)));
            });
            loop {
                match messages.recv() {
                    Ok(LoopMessage::TagsMoved(result)) => return result,
                    Ok(message) => self.handle(message),
                    Err(_) => return Ok(None),
                }
                self.listener.flush();
            }
        });
        match result {
            Ok(Some(released)) => {
                self.emit(Event::Released { moved: released.moved, unchanged: released.unchanged });
            }
            Ok(None) => {}
            Err(error) => {
                let message = Some(error::text(&error));
                self.emit(Event::NotReleased { message });
            }
        }
    }
}
