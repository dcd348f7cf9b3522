//! The operations of an image.
//!
//! Owns their starts and ends, also those that a log lacks because it is damaged or of an earlier version.

use std::time::Duration;

use super::{ImageTimeline, as_written};
use crate::event::{Event, Operation};

/// An operation of an image.
#[derive(Debug)]
pub struct OperationSpan {
    /// The operation.
    pub operation: Operation,
    /// When it started.
    pub from: Duration,
    /// When it or its image ended. `None` while it is running.
    pub to: Option<Duration>,
    /// The bytes that were sent, if they are known.
    pub sent: Option<u64>,
    /// Whether it failed or was canceled.
    pub broke: bool,
}

impl ImageTimeline {
    /// Records an event about an operation, or one that ends a wait.
    pub(super) fn take_operation(&mut self, event: &Event, at: Duration) {
        match event {
            Event::OperationStarted { operation } => self.begin_operation(*operation, at),
            Event::OperationProgress { operation, sent, .. } => {
                if let Some(running) = self.running(*operation) {
                    running.sent = Some(*sent);
                }
            }
            Event::OperationFinished { operation, sent, took } => {
                self.end_operation(*operation, *sent, (at, *took));
            }
            Event::ImageStale { .. } | Event::ImageFresh { .. } => self.end_wait(at),
            _ => {}
        }
    }

    /// Operations that are still running when an image or an attempt ends have failed or were canceled.
    pub(super) fn end_operations(&mut self, at: Duration) {
        for work in self.operations.iter_mut().filter(|work| work.to.is_none()) {
            (work.to, work.broke) = (Some(at), true);
        }
    }

    fn begin_operation(&mut self, operation: Operation, from: Duration) {
        self.operations.push(OperationSpan { operation, from, to: None, sent: None, broke: false });
    }

    fn running(&mut self, operation: Operation) -> Option<&mut OperationSpan> {
        let is_it = |work: &&mut OperationSpan| work.to.is_none() && work.operation == operation;
        self.operations.iter_mut().rev().find(is_it)
    }

    fn end_operation(
        &mut self,
        operation: Operation,
        sent: Option<u64>,
        (at, took): (Duration, Duration),
    ) {
        let begun = self.started.map(|moment| moment.at).unwrap_or_default();
        let mut from = at.saturating_sub(as_written(took)).max(begun).min(at);
        if let Some(reported) = self.running(operation).map(|work| work.from) {
            // Whatever ended before the operation started does not overlap with it, even if its end was reported late.
            let ends = self.steps.iter().map(|work| work.to);
            let ends = ends.chain(self.operations.iter().map(|work| work.to)).flatten();
            from = ends.filter(|end| *end <= reported).fold(from, Duration::max);
        }
        let done = OperationSpan { operation, from, to: Some(at), sent, broke: false };
        match self.running(operation) {
            Some(open) => *open = done,
            // The log does not contain its start.
            None => self.operations.push(done),
        }
    }

    /// Ends the wait for another run. Logs of earlier versions do not contain its end.
    fn end_wait(&mut self, at: Duration) {
        if let Some(wait) = self.running(Operation::WaitingForRun) {
            wait.to = Some(at);
        }
    }
}
