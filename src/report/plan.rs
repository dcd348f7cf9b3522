//! A plan before anything is built: one line per image, or JSON.
//!
//! Owns the format of verdicts.

use std::borrow::Cow;
use std::time::Duration;

use serde::Serialize;

use crate::base::UnitId;
use crate::base::text::{count, list};
use crate::graph::Graph;
use crate::plan::{Plan, Reason, Verdict};

use super::{Phrase, clean, phrases, reasons, table};

/// Returns one line per image in build order, and the counts. If it is verbose, a reason that consists of several
/// changes has one line per change.
pub fn draw(plan: &Plan, graph: &Graph, is_verbose: bool) -> String {
    let (mut fresh, mut build, mut waits, mut untagged) = (0, 0, 0, 0);
    let mut rows = Vec::with_capacity(plan.order().len());
    for unit in plan.order() {
        let (verdict, why) = match plan.verdict(*unit) {
            Some(Verdict::Fresh { lost, registry, .. }) => {
                fresh += 1;
                untagged += usize::from(!lost.is_empty());
                let tags = match lost.as_slice() {
                    [] => String::new(),
                    lost => format!("  restores {}", list(lost)),
                };
                let suffix = if registry.is_some() { " (in registry)" } else { "" };
                ("fresh", format!("{suffix}{tags}"))
            }
            Some(Verdict::Waits { on }) => {
                waits += 1;
                ("waits", format!("  for {}", on.join(", ")))
            }
            Some(Verdict::Build { reason: Reason::Changed { changes } })
                if is_verbose && changes.len() > 1 =>
            {
                build += 1;
                let mut changes = changes.iter().map(reasons::describe_change);
                let first = changes.next().unwrap_or_default();
                let name = Cow::from(name(plan, graph, *unit));
                rows.push([name, format!("build  {first}").into()]);
                rows.extend(changes.map(|it| ["".into(), format!("       {it}").into()]));
                continue;
            }
            Some(Verdict::Build { reason }) => {
                build += 1;
                ("build", format!("  {}", reasons::describe(reason)))
            }
            None => {
                build += 1;
                ("build", String::new())
            }
        };
        rows.push([Cow::from(name(plan, graph, *unit)), format!("{verdict}{why}").into()]);
    }
    let mut text = table::draw(rows);
    let total = count(plan.order().len(), "image");
    let tags = if untagged > 0 { format!(" ({untagged} lacking tags)") } else { String::new() };
    text.push_str(&format!("{build} to build, {waits} waiting, {fresh} fresh{tags} of {total}\n"));
    text
}

/// Returns the name of an image in a plan.
pub fn name<'a>(plan: &Plan, graph: &'a Graph, unit: UnitId) -> &'a str {
    &graph.images[plan.units().image(unit)].name
}

#[derive(Serialize)]
struct PlanRow<'a> {
    image: &'a str,
    #[serde(flatten)]
    verdict: Option<&'a Verdict>,
}

/// The expected duration of a plan's builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanEstimate {
    /// The number of images built at the same time.
    pub jobs: usize,
    /// The expected duration.
    #[serde(rename = "time_ms", serialize_with = "phrases::write_millis")]
    pub time: Duration,
    /// The expected duration with one more job.
    #[serde(rename = "with_one_more_job_ms", serialize_with = "phrases::write_millis")]
    pub one_more: Duration,
    /// The critical path: images that are built one after the other, whatever the number of jobs.
    pub chain: Vec<String>,
    /// The expected duration of the critical path.
    #[serde(rename = "chain_ms", serialize_with = "phrases::write_millis")]
    pub chain_time: Duration,
}

/// Formats an estimate as lines.
pub fn draw_estimate(estimate: &PlanEstimate) -> Phrase {
    let PlanEstimate { jobs, time, one_more, chain, chain_time } = estimate;
    if chain.is_empty() {
        return "nothing to build\n".into();
    }
    let time = phrases::duration(*time);
    let one_more = phrases::duration(*one_more);
    let further = match one_more == time {
        true => format!("-j {} is no faster", jobs + 1),
        false => format!("{one_more} with -j {}", jobs + 1),
    };
    let (chain, chain_time) = (chain.join(" → "), phrases::duration(*chain_time));
    format!("about {time} with -j {jobs}; {further}\ncritical path: {chain}, {chain_time}\n").into()
}

#[derive(Serialize)]
struct PlanJson<'a> {
    images: Vec<PlanRow<'a>>,
    estimate: PlanEstimate,
}

/// Returns the verdicts in build order as JSON. With an estimate, they are in the field `images` next to it.
///
/// # Errors
/// Does not fail in practice: all content is text.
pub fn draw_json(
    plan: &Plan,
    graph: &Graph,
    estimate: Option<PlanEstimate>,
) -> anyhow::Result<String> {
    let rows = plan.order().iter();
    let images: Vec<PlanRow<'_>> = rows
        .map(|unit| PlanRow { image: name(plan, graph, *unit), verdict: plan.verdict(*unit) })
        .collect();
    match estimate {
        Some(estimate) => clean::json(&PlanJson { images, estimate }),
        None => clean::json(&images),
    }
}
