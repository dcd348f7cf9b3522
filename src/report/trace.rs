//! A run as a trace for Perfetto and chrome://tracing.
//!
//! Owns the format, the JSON object form of the Trace Event Format (Google, *Trace Event Format*). The run is
//! the only process. Each slot is a thread, with images as complete events (`X`) and their steps and operations nested
//! below. There are counters (`C`) of the images that are built and of those that could be. A flow (`s` to
//! `f`) connects the end of a parent with the start of its child. Slices of a thread must be nested, but
//! those of an image can overlap, so overlapping ones have additional threads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::timeline::{ImageTimeline, Outcome, Timeline};
use super::{clean, phrases, reasons};

/// The only process.
const PROCESS: usize = 1;

/// Returns the trace as JSON with a final line break. `title` names the run.
pub fn draw(run: &Timeline, title: &str) -> String {
    let mut trace = TraceWriter { run, events: Vec::new(), lanes: Lanes::of(run) };
    trace.name_threads(title);
    (0..run.images.len()).for_each(|image| trace.add_image(image));
    (0..run.images.len()).for_each(|image| trace.add_flows(image));
    trace.add_counters();
    let whole = json!({"displayTimeUnit": "ms", "traceEvents": trace.events});
    whole.to_string() + "\n"
}

/// The threads of images, steps, and operations.
struct Lanes {
    /// The first thread of each slot, and the number of its threads.
    slots: Vec<(usize, usize)>,
    /// For each step and operation of each image, the offset of its thread from that of the image.
    of_parts: Vec<Vec<usize>>,
}

/// A step or an operation of an image.
struct Part {
    category: &'static str,
    name: String,
    /// Its bounds, within those of its image.
    span: (Duration, Duration),
    arguments: Value,
}

/// Returns the steps and then the operations of an image that had a slot.
fn parts_of(run: &Timeline, track: &ImageTimeline) -> Vec<Part> {
    let Some(within) = span_of(run, track) else { return Vec::new() };
    let image = clean::line(&track.name);
    let steps = track.steps.iter().map(|work| Part {
        category: "step",
        name: phrases::describe_step(&work.step),
        span: bounds(run, within, (work.from, work.to)),
        arguments: json!({"image": image, "cached": work.cached}),
    });
    let operations = track.operations.iter().map(|work| Part {
        category: "operation",
        name: phrases::operation(work.operation).to_owned(),
        span: bounds(run, within, (work.from, work.to)),
        arguments: match work.sent {
            Some(sent) => json!({"image": image, "sent": sent}),
            None => json!({"image": image}),
        },
    });
    steps.chain(operations).collect()
}

impl Lanes {
    fn of(run: &Timeline) -> Lanes {
        let mut widths: Vec<usize> = Vec::new();
        let mut of_parts = Vec::new();
        for track in &run.images {
            let lanes = lanes_of(&parts_of(run, track));
            if let Some(slot) = track.slot {
                widths.resize(widths.len().max(slot + 1), 1);
                let most = lanes.iter().max().map_or(1, |most| most + 1);
                widths[slot] = widths[slot].max(most);
            }
            of_parts.push(lanes);
        }
        let mut next = 1;
        let mut slot = |width: usize| {
            next += width;
            (next - width, width)
        };
        Lanes { slots: widths.into_iter().map(&mut slot).collect(), of_parts }
    }
}

/// Returns the bounds of a step or an operation, limited to those of its image.
fn bounds(
    run: &Timeline,
    (start, end): (Duration, Duration),
    (from, to): (Duration, Option<Duration>),
) -> (Duration, Duration) {
    let to = to.unwrap_or(run.took).clamp(start, end);
    (from.clamp(start, to), to)
}

/// Returns the time during which an image had a slot.
fn span_of(run: &Timeline, track: &ImageTimeline) -> Option<(Duration, Duration)> {
    let start = track.started?.at;
    Some((start, track.ended.map_or(run.took, |end| end.at).max(start)))
}

/// Assigns the first free lane to each part. Parts that do not overlap share the first lane.
fn lanes_of(parts: &[Part]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|part| parts[*part].span);
    let mut free_from: Vec<Duration> = Vec::new();
    let mut lanes = vec![0; parts.len()];
    for part in order {
        let (from, to) = parts[part].span;
        let free = free_from.iter().position(|free| *free <= from);
        let lane = free.unwrap_or_else(|| {
            free_from.push(Duration::ZERO);
            free_from.len() - 1
        });
        free_from[lane] = to;
        lanes[part] = lane;
    }
    lanes
}

struct TraceWriter<'a> {
    run: &'a Timeline,
    events: Vec<Value>,
    lanes: Lanes,
}

impl TraceWriter<'_> {
    fn name_threads(&mut self, title: &str) {
        let name = format!("layers {}, {}", clean::line(title), clean::line(&self.run.engine));
        self.describe("process_name", 0, &json!({"name": name}));
        for (slot, (first, width)) in self.lanes.slots.clone().into_iter().enumerate() {
            for lane in 0..width {
                let name = match lane {
                    0 => format!("slot {}", slot + 1),
                    _ => format!("slot {}, parallel steps {}", slot + 1, lane + 1),
                };
                self.describe("thread_name", first + lane, &json!({"name": name}));
                let order = &json!({"sort_index": first + lane});
                self.describe("thread_sort_index", first + lane, order);
            }
        }
    }

    fn describe(&mut self, what: &str, thread: usize, arguments: &Value) {
        let event =
            json!({"ph": "M", "name": what, "pid": PROCESS, "tid": thread, "args": arguments});
        self.events.push(event);
    }

    /// Returns the time during which an image had a slot, and its thread.
    fn slice(&self, image: usize) -> Option<(Duration, Duration, usize)> {
        let track = &self.run.images[image];
        let (start, end) = span_of(self.run, track)?;
        Some((start, end, self.lanes.slots.get(track.slot?)?.0))
    }

    fn add_image(&mut self, image: usize) {
        let Some((start, end, thread)) = self.slice(image) else { return };
        let track = &self.run.images[image];
        let outcome = match track.outcome {
            Outcome::Cached => json!("built, all steps cached"),
            other => json!(other),
        };
        let mut arguments = BTreeMap::from([("outcome", outcome)]);
        let waited = start.saturating_sub(self.run.ready(image));
        arguments.insert("waited_ms", json!(micros(waited) / 1e3));
        if let Some(reason) = &track.reason {
            arguments.insert("reason", json!(reasons::describe(reason)));
        }
        if let Some(size) = track.size {
            arguments.insert("size", json!(size));
        }
        if let Some(failure) = &track.failure {
            arguments.insert("failure", json!(phrases::why_failed(failure)));
        }
        let name = clean::line(&track.name);
        self.events.push(complete("image", &name, thread, (start, end), &json!(arguments)));
        let parts = parts_of(self.run, track);
        for (part, lane) in parts.iter().zip(&self.lanes.of_parts[image]) {
            let Part { category, name, span, arguments } = part;
            self.events.push(complete(category, name, thread + lane, *span, arguments));
        }
    }

    /// Adds arrows from the parents of an image. An arrow must start inside a slice, so it starts a
    /// microsecond before the end.
    fn add_flows(&mut self, image: usize) {
        let Some((start, _, thread)) = self.slice(image) else { return };
        let parents = self.run.images[image].parents.iter().map(|(dependency, _)| *dependency);
        let parents: BTreeSet<usize> = parents.collect();
        for dependency in parents {
            let Some((from, end, other)) = self.slice(dependency) else { continue };
            if end > start {
                continue;
            }
            let leaves = end.saturating_sub(Duration::from_micros(1)).max(from);
            let id = format!("{dependency}-{image}");
            let ends = [("s", leaves, other), ("f", start, thread)];
            for (phase, at, thread) in ends {
                let mut event = json!({"ph": phase, "cat": "need", "name": "dependency", "id": id,
                    "pid": PROCESS, "tid": thread, "ts": micros(at)});
                if phase == "f" {
                    // Bind to the enclosing slice, not to the next one.
                    event["bp"] = json!("e");
                }
                self.events.push(event);
            }
        }
    }

    fn add_counters(&mut self) {
        let mut changes: BTreeMap<Duration, (i64, i64)> = BTreeMap::new();
        for image in 0..self.run.images.len() {
            let Some((start, end, _)) = self.slice(image) else { continue };
            let ready = self.run.ready(image).min(start);
            changes.entry(ready).or_default().1 += 1;
            let at_start = changes.entry(start).or_default();
            *at_start = (at_start.0 + 1, at_start.1 - 1);
            if self.run.images[image].ended.is_some() {
                changes.entry(end).or_default().0 -= 1;
            }
        }
        let (mut built, mut waiting) = (0, 0);
        for (at, change) in changes {
            (built, waiting) = (built + change.0, waiting + change.1);
            self.events.push(json!({"ph": "C", "name": "images", "pid": PROCESS, "tid": 0,
                "ts": micros(at), "args": {"building": built, "queued": waiting}}));
        }
    }
}

fn complete(
    category: &str,
    name: &str,
    thread: usize,
    (from, to): (Duration, Duration),
    arguments: &Value,
) -> Value {
    json!({"ph": "X", "cat": category, "name": name, "pid": PROCESS, "tid": thread,
        "ts": micros(from), "dur": micros(to.saturating_sub(from)), "args": arguments})
}

/// Converts a time to microseconds, the unit of the format. Fractions are allowed.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::timeline::fixture;
    use super::*;

    fn events(run: &Timeline) -> Vec<Value> {
        let whole: Value = serde_json::from_str(&draw(run, "r")).unwrap();
        whole["traceEvents"].as_array().unwrap().clone()
    }

    /// Two slices of a thread are disjoint or nested.
    fn assert_nested(events: &[Value]) {
        let mut threads: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        for event in events.iter().filter(|event| event["ph"] == "X") {
            let (from, took) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
            threads.entry(event["tid"].as_u64().unwrap()).or_default().push((from, from + took));
        }
        for slices in threads.values() {
            for (a, b) in slices.iter().flat_map(|a| slices.iter().map(move |b| (a, b))) {
                let overlaps = a.0 < b.0 && b.0 + 1e-6 < a.1 && a.1 + 1e-6 < b.1;
                assert!(!overlaps, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn slices_nest_and_arrows_connect_ends_to_starts() {
        let run = fixture::shop();
        let events = events(&run);
        assert_nested(&events);
        let of = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
        let images = events.iter().filter(|event| event["cat"] == "image").count();
        assert_eq!(images, run.images.iter().filter(|it| it.started.is_some()).count());
        assert_eq!((of("s"), of("f")), (2, 2));
        let last = events.iter().rfind(|event| event["ph"] == "C").unwrap();
        assert_eq!(last["args"], json!({"building": 0, "queued": 0}));
    }

    #[test]
    fn operations_are_slices_below_their_images() {
        use crate::event::Operation::{Exporting, SendingContext};
        use fixture::{at, built, finished, operated, operates, started, step};
        let run = Timeline::of(&[
            at(0, started("base")),
            at(10, operates("base", SendingContext)),
            at(60, operated("base", SendingContext, 45)),
            at(80, finished("base", step(1, "RUN beside"), 50)),
            at(90, operates("base", Exporting)),
            at(190, operated("base", Exporting, 100)),
            at(200, built("base", 1, 1)),
        ]);
        let events = events(&run);
        assert_nested(&events);
        let slices: Vec<_> = events
            .iter()
            .filter(|event| event["cat"] == "operation")
            .map(|event| (event["name"].as_str(), event["ts"].as_f64(), event["dur"].as_f64()))
            .collect();
        let expected = [
            (Some("sending context"), Some(15e3), Some(45e3)),
            (Some("exporting"), Some(90e3), Some(100e3)),
        ];
        assert_eq!(slices, expected);
    }

    #[test]
    fn overlapping_steps_get_separate_threads() {
        let run = fixture::shop();
        let events = events(&run);
        let thread = |text: &str| {
            let named = |event: &&Value| event["name"].as_str().is_some_and(|it| it.contains(text));
            events.iter().find(named).unwrap()["tid"].as_u64().unwrap()
        };
        assert_eq!(thread("RUN one"), thread("base"));
        assert_ne!(thread("RUN beside one"), thread("RUN one"));
    }
}
