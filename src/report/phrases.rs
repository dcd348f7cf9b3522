//! Phrases that several reports share.
//!
//! Owns short phrases for steps, positions, times, and reasons for skipping. Text from builds is cleaned
//! here.

use std::time::Duration;

use serde::Serializer;

use crate::base::text::{count, list};
use crate::event::{Failure, Operation, Skip, StepInfo, Tally};

use super::paint::Paint;
use super::{Phrase, clean};

/// Formats a step: `[builder 2/5] RUN make`.
pub(super) fn describe_step(step: &StepInfo) -> String {
    let text = clean::line(step.text.lines().next().unwrap_or_default());
    // Joined continuation lines keep their indentation, which wastes space here.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if step.number == 0 { text } else { format!("{} {text}", position(step)) }
}

/// Formats the position of a step: `[builder 2/5]`.
pub(super) fn position(step: &StepInfo) -> String {
    let stage = step.stage.as_ref().map(|stage| format!("{stage} ")).unwrap_or_default();
    format!("[{}{}/{}]", clean::line(&stage), step.number, step.total)
}

/// Formats the position of a failure: ` at docker/dev/Dockerfile:9`. Returns an empty string if it is not
/// known.
pub(super) fn failed_at(failure: &Failure) -> String {
    match (&failure.excerpt, &failure.step) {
        (Some(excerpt), _) => format!(" at {}:{}", excerpt.location.file, excerpt.location.line),
        (None, Some(step)) => format!(" in {}", describe_step(step)),
        (None, None) => String::new(),
    }
}

/// Returns the failure message, the hint, and the last output lines of the step, cleaned line by line.
pub(super) fn why_failed(failure: &Failure) -> String {
    let text = failure.text();
    let lines = text.lines().chain(failure.log_tail.iter().map(String::as_str));
    lines.map(clean::line).collect::<Vec<_>>().join("\n")
}

/// Cleans a message of several lines.
pub(super) fn lines(message: &str) -> String {
    message.lines().map(clean::line).collect::<Vec<_>>().join("\n")
}

/// Describes why an image was skipped: `dev failed`, `the run stopped before`.
pub(super) fn why_skipped(because: &Skip) -> Phrase {
    match because {
        Skip::ParentFailed { image } => format!("{image} failed").into(),
        Skip::Stopped => "the run was stopped".into(),
    }
}

/// Formats `fresh` with where the image is, and the references that were restored.
pub(super) fn fresh(tagged: &[String], is_in_registry: bool) -> String {
    let suffix = if is_in_registry { " (in registry)" } else { "" };
    match tagged {
        [] => format!("fresh{suffix}"),
        tagged => format!("fresh{suffix}, restored {}", list(tagged)),
    }
}

/// Describes in one line why a push failed.
pub(super) fn push_failed(message: &str) -> String {
    format!("push failed: {}", clean::line(message.lines().next().unwrap_or_default()))
}

/// Describes which tags were moved.
pub(super) fn released(moved: &[String], unchanged: usize) -> String {
    match (moved.len(), unchanged) {
        (0, kept) => format!("{} already up to date in the registry", count(kept, "tag")),
        (moved, 0) => format!("{} moved in the registry", count(moved, "tag")),
        (moved, kept) => format!("{} moved in the registry, {kept} unchanged", count(moved, "tag")),
    }
}

/// Describes in one line that no tags were moved, and why.
pub(super) fn not_released(message: Option<&str>) -> Phrase {
    let first = message.and_then(|message| message.lines().next()).map(clean::line);
    match first {
        Some(why) => format!("no tags moved in the registry: {why}").into(),
        None => "no tags moved in the registry: not all images were pushed".into(),
    }
}

/// Formats the counts: `3 built, 1 failed of 5 images`.
pub(super) fn counts(tally: &Tally, paint: Paint) -> String {
    let mut parts = vec![format!("{} built", tally.built)];
    if tally.fresh > 0 {
        let suffix = match tally.in_registry {
            0 => Phrase::default(),
            all if all == tally.fresh => " (in registry)".into(),
            some => format!(" ({some} in registry)").into(),
        };
        parts.push(format!("{} fresh{suffix}", tally.fresh));
    }
    if tally.failed > 0 {
        parts.push(paint.bad(&format!("{} failed", tally.failed)).into_owned());
    }
    for (number, word) in [(tally.canceled, "canceled"), (tally.skipped, "skipped")] {
        if number > 0 {
            parts.push(paint.careful(&format!("{number} {word}")).into_owned());
        }
    }
    format!("{} of {}", parts.join(", "), count(tally.images, "image"))
}

/// The status of an image that another run is building.
pub(super) const BLOCKED: &str = "waiting for another run that builds this image";

/// Describes an operation that is running.
pub(super) fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::WaitingForRun => "waiting for another run",
        Operation::Pulling => "pulling",
        Operation::SendingContext => "sending context",
        Operation::Exporting => "exporting",
        Operation::Unpacking => "unpacking",
    }
}

/// Describes an operation that is done: `sent 300 MB of context in 1.2s`.
pub(super) fn operation_done(operation: Operation, sent: Option<u64>, took: Duration) -> String {
    let took = duration(took);
    match (operation, sent) {
        (Operation::WaitingForRun, _) => format!("waited {took} for another run"),
        (Operation::Pulling, _) => format!("pulled in {took}"),
        (Operation::SendingContext, Some(sent)) => {
            format!("sent {} of context in {took}", size(sent))
        }
        (Operation::SendingContext, None) => format!("sent the context in {took}"),
        (Operation::Exporting, _) => format!("exported in {took}"),
        (Operation::Unpacking, _) => format!("unpacked in {took}"),
    }
}

/// Formats a part of some bytes: `12.3 MB of 300 MB`.
pub(super) fn part(sent: u64, total: u64) -> String {
    format!("{} of {}", size(sent), size(total))
}

/// Formats a failed attempt: `try 1 failed: connection refused; again in 2.0s`.
pub(super) fn tried_again(attempt: u32, message: &str, wait: Duration) -> String {
    // Leave out the hint: the build is retried without user action.
    let message = message.lines().next().unwrap_or_default();
    format!("attempt {attempt} failed: {}; retrying in {}", clean::line(message), duration(wait))
}

/// Formats a duration: `0.4s`, `12.4s`, `3m05s`, `1h02m`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = time.saturating_add(Duration::from_millis(500)).as_secs();
    if seconds < 59.95 {
        format!("{seconds:.1}s")
    } else if whole < 3600 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else {
        format!("{}h{:02}m", whole / 3600, whole % 3600 / 60)
    }
}

/// Formats the time at which a run started: `2026-03-21 14:15:03 UTC`. `began` is in RFC 3339.
pub(super) fn moment(began: &str) -> String {
    began.split('.').next().unwrap_or_default().replace('T', " ") + " UTC"
}

/// Returns a duration in milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Serializes a duration in milliseconds.
pub(super) fn write_millis<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(millis(*time))
}

/// Formats an estimated duration in whole seconds: `12s`, `3m05s`, `1h02m`.
pub(super) fn rough(time: Duration) -> String {
    let seconds = time.saturating_add(Duration::from_millis(500)).as_secs();
    if seconds < 60 { format!("{seconds}s") } else { duration(time) }
}

/// Formats a size with three digits in powers of 1,000, as Docker does: `512 B`, `4.20 kB`, `312 MB`, `1.23
/// GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // In thousandths of the unit, to avoid floating-point numbers.
    let (mut thousandths, mut unit) = (bytes, 0);
    while thousandths >= 999_500 && unit + 1 < UNITS.len() {
        thousandths = thousandths.div_euclid(1000);
        unit += 1;
    }
    let digits = match thousandths {
        0..9_995 => 2,
        9_995..99_950 => 1,
        _ => 0,
    };
    let divisor = 10_u64.pow(3 - digits);
    let rounded = (thousandths + divisor / 2) / divisor;
    let scale = 10_u64.pow(digits);
    let number = match digits {
        0 => format!("{rounded}"),
        _ => format!("{}.{:0width$}", rounded / scale, rounded % scale, width = digits as usize),
    };
    format!("{number} {}", UNITS[unit])
}

/// Says what a run waits for.
pub(super) fn waiting(what: &str) -> Phrase {
    format!("waiting for {}", clean::line(what)).into()
}

/// Describes the first signal, which stops a run.
pub(super) fn interrupted(signal: i32) -> Phrase {
    match signal {
        2 => "interrupted".into(),
        other => format!("interrupted by {}", signal_name(other)).into(),
    }
}

/// Returns the name of a signal that terminates programs.
pub(super) fn signal_name(signal: i32) -> Phrase {
    match signal {
        1 => "SIGHUP".into(),
        2 => "SIGINT".into(),
        15 => "SIGTERM".into(),
        other => format!("signal {other}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_formatted_with_units() {
        let check = |bytes, expected| assert_eq!(size(bytes), expected);
        check(0, "0 B");
        check(999, "999 B");
        check(1_000, "1.00 kB");
        check(4_249, "4.25 kB");
        check(77_840_000, "77.8 MB");
        check(312_400_000, "312 MB");
        check(999_700_000, "1.00 GB");
        check(1_230_000_000, "1.23 GB");
        check(u64::MAX, "18447 PB");
    }

    #[test]
    fn durations_are_formatted_with_units() {
        let check = |ms, expected| assert_eq!(duration(Duration::from_millis(ms)), expected);
        check(0, "0.0s");
        check(12_440, "12.4s");
        check(59_970, "1m00s");
        check(185_000, "3m05s");
        check(3_725_000, "1h02m");
    }
}
