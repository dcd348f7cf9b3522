//! The images that differ from a revision: for people, for programs, for a job matrix.
//!
//! Owns how they look. A line of the text is one image, so that scripts can cut it.

use serde::Serialize;

use crate::base::text::count;
use crate::inputs::since::Cause;

use super::clean::visible_json;
use super::{Words, clean, reasons, table};

/// An image that is affected.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    /// Its name.
    pub image: &'a str,
    /// How many affected images at most come one after the other before it.
    pub layer: usize,
    /// Its Dockerfile.
    pub dockerfile: &'a str,
    /// Its references.
    pub references: Vec<String>,
    /// Why it differs itself.
    #[serde(flatten)]
    pub cause: Option<&'a Cause>,
    /// The affected images that it needs directly.
    pub needs: Vec<&'a str>,
}

/// A line for each image with the first reason.
pub fn draw(rows: &[Row<'_>], total: usize) -> String {
    let lines = rows.iter().map(|row| {
        let why = match row.cause {
            Some(cause) => describe_by(cause, &|text| clean::visible(text).into_owned()),
            None => format!("needs {}", row.needs.join(", ")).into(),
        };
        [row.image.into(), why]
    });
    let count = format!("{} of {} affected\n", rows.len(), count(total, "image"));
    table::draw(lines) + &count
}

/// Why an image differs itself, in a few words; what others wrote is put there by `quote`.
pub(super) fn describe_by(cause: &Cause, quote: &dyn Fn(&str) -> String) -> Words {
    match cause {
        Cause::New => "is new".into(),
        Cause::ExternalMoved { external, .. } => {
            format!("external {} moved", quote(external)).into()
        }
        Cause::Missing => "is not in the registry".into(),
        Cause::Renamed => "has other references".into(),
        Cause::Unreadable { message } => quote(message.lines().next().unwrap_or_default()).into(),
        Cause::Changed { changes } => match changes.as_slice() {
            [] => "changed".into(),
            [only] => reasons::describe_change_by(only, quote),
            [first, rest @ ..] => {
                let more = count(rest.len(), "more change");
                format!("{}, and {more}", reasons::describe_change_by(first, quote)).into()
            }
        },
    }
}

#[derive(Serialize)]
struct Matrix<'a> {
    include: Vec<Job<'a>>,
}

#[derive(Serialize)]
struct Job<'a> {
    image: &'a str,
    layer: usize,
    dockerfile: &'a str,
}

/// One line for `$GITHUB_OUTPUT`: `matrix=` and a job for each image, by layers.
///
/// # Errors
/// Never in practice: all of it is text and numbers.
pub fn draw_github(rows: &[Row<'_>]) -> anyhow::Result<String> {
    let rows = rows.iter();
    let include = rows
        .map(|row| Job { image: row.image, layer: row.layer, dockerfile: row.dockerfile })
        .collect();
    Ok(format!("matrix={}\n", visible_json(serde_json::to_string(&Matrix { include })?)))
}
