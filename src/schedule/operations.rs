//! Operations of an image as events: what takes time besides its steps.
//!
//! Owns which operations are running. An engine reports their starts and ends, and, independently of that, how much of
//! the context was sent: the first bytes may be reported before the start, and the last ones after the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::engine::BuildOperation;
use crate::event::{Event, Operation};

/// The interval at which progress is reported. Whoever draws it needs no more, and a log would grow.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// The operations of one attempt to build an image.
#[derive(Default)]
pub(super) struct OperationTracker {
    running: BTreeMap<Operation, RunningOperation>,
    /// The bytes of the context that were sent.
    sent: Option<u64>,
    /// When progress was last reported.
    reported: Option<Instant>,
}

struct RunningOperation {
    since: Instant,
    /// Whether the engine has reported its start, and will report its end.
    is_reported: bool,
}

impl OperationTracker {
    /// Takes the start of an operation.
    pub(super) fn start(
        &mut self,
        operation: BuildOperation,
        at: Instant,
        send: impl FnOnce(Event),
    ) {
        self.open(operation.into(), at, true, send);
    }

    fn open(
        &mut self,
        operation: Operation,
        since: Instant,
        is_reported: bool,
        send: impl FnOnce(Event),
    ) {
        let new = || {
            send(Event::OperationStarted { operation });
            RunningOperation { since, is_reported }
        };
        self.running.entry(operation).or_insert_with(new).is_reported |= is_reported;
    }

    /// Takes the end of an operation.
    pub(super) fn finish(
        &mut self,
        operation: BuildOperation,
        took: Duration,
        send: impl FnOnce(Event),
    ) {
        let operation = operation.into();
        if self.running.remove(&operation).is_some() {
            let sent = self.sent.filter(|_| operation == Operation::SendingContext);
            send(Event::OperationFinished { operation, sent, took });
        }
    }

    /// Takes how much of the context was sent.
    pub(super) fn progress(
        &mut self,
        (sent, total): (u64, u64),
        at: Instant,
        mut send: impl FnMut(Event),
    ) {
        let operation = Operation::SendingContext;
        let (was_sent, is_done) = (self.sent.replace(sent), sent >= total);
        // The last bytes are reported after the end.
        if is_done && was_sent.is_some() && !self.running.contains_key(&operation) {
            return;
        }
        self.open(operation, at, false, &mut send);
        if self.reported.is_none_or(|last| at.saturating_duration_since(last) >= PROGRESS_EVERY) {
            self.reported = Some(at);
            send(Event::OperationProgress { operation, sent, total });
        }
        if let Some(running) = self.running.get(&operation)
            && is_done
            && !running.is_reported
        {
            let took = at.saturating_duration_since(running.since);
            self.finish(BuildOperation::SendingContext, took, send);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use BuildOperation::{Exporting, SendingContext};

    enum Update {
        Start(BuildOperation),
        Finish(BuildOperation, u64),
        Sent(u64, u64),
    }

    use Update::{Finish, Sent, Start};

    /// Checks the events of some updates, each with its time in milliseconds.
    fn check(updates: &[(u64, Update)], expected: &[&str]) {
        let (mut tracker, begin) = (OperationTracker::default(), Instant::now());
        let mut seen = Vec::new();
        let mut send = |event| {
            seen.push(match event {
                Event::OperationStarted { operation } => format!("start {operation:?}"),
                Event::OperationProgress { operation, sent, total } => {
                    format!("{operation:?} {sent}/{total}")
                }
                Event::OperationFinished { operation, sent, took } => {
                    format!("end {operation:?} {sent:?} {}", took.as_millis())
                }
                other => panic!("{other:?}"),
            });
        };
        for (at, update) in updates {
            let at = begin + Duration::from_millis(*at);
            match update {
                Start(operation) => tracker.start(*operation, at, &mut send),
                Finish(operation, took) => {
                    tracker.finish(*operation, Duration::from_millis(*took), &mut send);
                }
                Sent(sent, total) => tracker.progress((*sent, *total), at, &mut send),
            }
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn operations_start_and_finish_once() {
        let expected = ["start Exporting", "end Exporting None 900"];
        check(
            &[(0, Start(Exporting)), (1, Start(Exporting)), (9, Finish(Exporting, 900))],
            &expected,
        );
        check(&[(0, Finish(Exporting, 900))], &[]);
    }

    #[test]
    fn the_context_has_bytes_and_progress_twice_per_second() {
        let updates = [
            (0, Start(SendingContext)),
            (10, Sent(1, 9)),
            (20, Sent(2, 9)),
            (600, Sent(9, 9)),
            (700, Sent(10, 20)),
            (800, Finish(SendingContext, 790)),
            // All bytes had been sent when the engine reported the end.
            (810, Sent(20, 20)),
        ];
        let expected = [
            "start SendingContext",
            "SendingContext 1/9",
            "SendingContext 9/9",
            "end SendingContext Some(10) 790",
        ];
        check(&updates, &expected);
    }

    #[test]
    fn bytes_may_be_sent_before_the_start_or_without_one() {
        let updates = [
            (0, Sent(1, 9)),
            (10, Start(SendingContext)),
            (20, Sent(9, 9)),
            (30, Finish(SendingContext, 25)),
        ];
        let expected =
            ["start SendingContext", "SendingContext 1/9", "end SendingContext Some(9) 25"];
        check(&updates, &expected);
        let expected =
            ["start SendingContext", "SendingContext 1/9", "end SendingContext Some(9) 40"];
        check(&[(0, Sent(1, 9)), (40, Sent(9, 9))], &expected);
    }
}
