//! A plan before anything is built: a line an image, or JSON.
//!
//! Owns how verdicts look.

use serde::Serialize;

use crate::base::ImageId;
use crate::base::text::{count, list};
use crate::plan::{Plan, Verdict};

use super::paint::Paint;
use super::reasons;

/// A line for each image in the order of work, and the counts.
pub fn draw(plan: &Plan, name: &dyn Fn(ImageId) -> String, paint: Paint) -> String {
    let names: Vec<String> = plan.order().iter().map(|image| name(*image)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let (mut fresh, mut build, mut waits) = (0, 0, 0);
    let mut text = String::new();
    for (image, name) in plan.order().iter().zip(&names) {
        let (verdict, why) = match plan.verdict(*image) {
            Some(Verdict::Fresh { lost, .. }) => {
                fresh += 1;
                let tags = match lost.as_slice() {
                    [] => String::new(),
                    lost => format!("  and is {} again", list(lost)),
                };
                (paint.good("fresh"), tags)
            }
            Some(Verdict::Waits { on }) => {
                waits += 1;
                (paint.faint("waits"), format!("  for {}", on.join(", ")))
            }
            Some(Verdict::Build { reason }) => {
                build += 1;
                (paint.careful("build"), format!("  {}", reasons::describe(reason)))
            }
            None => {
                build += 1;
                (paint.careful("build"), String::new())
            }
        };
        text.push_str(&format!("{name:<width$}  {verdict}{why}\n"));
    }
    let total = count(plan.order().len(), "image");
    text.push_str(&format!("{build} to build, {waits} waiting, {fresh} fresh of {total}\n"));
    text
}

#[derive(Serialize)]
struct Row<'a> {
    image: String,
    #[serde(flatten)]
    verdict: Option<&'a Verdict>,
}

/// The verdicts in the order of work, as JSON.
///
/// # Errors
/// Never in practice: all of it is text.
pub fn draw_json(plan: &Plan, name: &dyn Fn(ImageId) -> String) -> anyhow::Result<String> {
    let rows = plan.order().iter();
    let rows: Vec<Row<'_>> =
        rows.map(|image| Row { image: name(*image), verdict: plan.verdict(*image) }).collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}
