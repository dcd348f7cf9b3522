//! A detailed explanation of why an image is built: the path from the change to the image.
//!
//! Owns the format of the path and of the comparison.

use crate::base::ImageId;
use crate::base::text::count;
use crate::graph::{Edge, Graph};
use crate::inputs::Inputs;
use crate::plan::{Plan, Reason, Verdict};

use super::{Phrase, clean, reasons};

/// The maximum number of changes shown.
const MOST_SHOWN: usize = 20;

/// Formats the path from the cause to the image. `way` contains the edges from the image to the cause.
pub fn draw_chain(graph: &Graph, plan: &Plan, image: ImageId, way: &[(ImageId, &Edge)]) -> String {
    let name = |image: ImageId| graph.images[image].name.as_str();
    let root = way.last().map_or(image, |(_, edge)| edge.parent);
    let mut text = match plan.verdict(plan.units().first_of(root)) {
        Some(Verdict::Build { reason: Reason::Changed { changes } }) => {
            let mut lines: Vec<Phrase> =
                changes.iter().take(MOST_SHOWN).map(reasons::describe_change).collect();
            if changes.len() > MOST_SHOWN {
                lines.push(count(changes.len() - MOST_SHOWN, "more change").into());
            }
            lines.join("\n")
        }
        Some(Verdict::Build { reason }) => {
            let mut text = reasons::describe(reason).into_owned();
            if let Reason::MissingFile { hint: Some(hint), .. } = reason {
                text.push_str(&format!("\nhint: {}", clean::line(hint)));
            }
            text
        }
        _ => String::new(),
    };
    text.push_str(&format!("\n→ {}  will be built\n", name(root)));
    for (child, edge) in way.iter().rev() {
        let kind = edge.kind.word();
        text.push_str(&format!("→ {}  {kind}, {}\n", name(*child), edge.location()));
    }
    if !way.is_empty() {
        let what = name(root);
        text.push_str(&format!("{} stays up to date if {what} comes out the same\n", name(image)));
    }
    text
}

/// Formats what was compared. `location` is the image that it was compared with: in the engine, by ID, or in a
/// registry.
pub fn draw_fresh(name: &str, location: &str, inputs: &Inputs) -> String {
    let instructions: usize = inputs.stages.iter().map(|stage| stage.instructions.len()).sum();
    let arguments: usize = inputs.stages.iter().map(|stage| stage.arguments.len()).sum();
    let mut text = format!("{name} is up to date: {location} has its key {}\n", inputs.key());
    let named: usize = inputs.directories.iter().map(|directory| directory.files.len()).sum();
    let in_named = match inputs.directories.is_empty() {
        true => String::new(),
        false => format!(", {} in named contexts", count(named, "path")),
    };
    text.push_str(&format!(
        "compared: {} in {}, {}, {}{in_named}\n",
        count(instructions, "instruction"),
        count(inputs.stages.len(), "stage"),
        count(arguments, "build argument"),
        count(inputs.files.len(), "path") + " in the context",
    ));
    for dependency in &inputs.dependencies {
        let what = match (&dependency.layers, &dependency.config) {
            (Some(_), Some(_)) => "layers and configuration",
            (Some(_), None) => "layers",
            _ => "not in the engine",
        };
        text.push_str(&format!("{} {}: {what}\n", dependency.kind.word(), dependency.name));
    }
    text.push_str(&format!("hint: layers why --inputs {name}\n"));
    text
}
