//! What the loop does when images fail.
//!
//! Owns which other images that affects: the dependents, and depending on the options, everything else.

use std::time::Duration;

use super::{Loop, OnFailure};
use crate::base::UnitId;
use crate::event::{Event, Failure, FailureKind, Skip};

impl Loop<'_, '_> {
    /// Fails the images of which it is known that they cannot be built, before anything is built for them.
    pub(super) fn fail_what_cannot_be_built(&mut self) {
        let order = self.plan.order();
        let failures = order.iter().filter_map(|it| Some((*it, self.provider.impossible(*it)?)));
        let failures: Vec<(UnitId, Failure)> = failures.collect();
        for (image, failure) in &failures {
            // A dependent of another one is skipped already.
            if !self.states.has_ended(*image) {
                self.emit_of(*image, Event::ImageStarted);
                self.record_failure(*image, failure.clone(), Duration::ZERO);
            }
        }
        if !failures.is_empty() {
            self.stop_after_failure();
        }
    }

    /// Fails an image, and stops the run if the options say so.
    pub(super) fn fail(&mut self, image: UnitId, failure: Failure, took: Duration) {
        self.record_failure(image, failure, took);
        self.stop_after_failure();
    }

    fn record_failure(&mut self, image: UnitId, failure: Failure, took: Duration) {
        self.emit_of(image, Event::ImageFailed { failure, took });
        let dependents = self.states.fail(image);
        self.skip(&dependents, &Skip::ParentFailed { image: self.name(image) });
    }

    fn stop_after_failure(&mut self) {
        match self.options.on_failure {
            OnFailure::KeepGoing => {}
            OnFailure::Finish => self.stop(),
            OnFailure::Cancel => {
                self.stop();
                self.cancel_where(|_| true);
                self.cancel_uploads();
            }
        }
    }

    /// Returns the failure of an image that exceeded its time limit.
    pub(super) fn overdue(&self) -> Failure {
        let time = self.options.timeout.unwrap_or_default();
        let message = format!("timed out after {}", humantime::format_duration(time));
        Failure::new(FailureKind::Build, message)
    }
}
