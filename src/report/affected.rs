//! The images that differ from a revision: as text, as JSON, and as a job matrix.
//!
//! Owns the formats. The text has one line per image, so that scripts can split it.

use serde::Serialize;

use crate::base::text::count;
use crate::inputs::since::Cause;

use super::clean::visible_json;
use super::{Phrase, clean, reasons, table};

/// An affected image.
#[derive(Debug, Serialize)]
pub struct AffectedRow<'a> {
    /// Its name.
    pub image: &'a str,
    /// The maximum number of affected images that are built one after the other before it.
    pub layer: usize,
    /// Its Dockerfile.
    pub dockerfile: &'a str,
    /// Its references.
    pub references: Vec<String>,
    /// Why the image itself differs.
    #[serde(flatten)]
    pub cause: Option<&'a Cause>,
    /// The affected images among its parents.
    #[serde(rename = "needs")]
    pub parents: Vec<&'a str>,
}

/// Formats one line per image, with the first reason.
pub fn draw(rows: &[AffectedRow<'_>], total: usize) -> String {
    let lines = rows.iter().map(|row| {
        let why = match row.cause {
            Some(cause) => describe_by(cause, &|text| clean::visible(text).into_owned()),
            None => format!("depends on {}", row.parents.join(", ")).into(),
        };
        [row.image.into(), why]
    });
    let count = format!("{} of {} affected\n", rows.len(), count(total, "image"));
    table::draw(lines) + &count
}

/// Describes briefly why an image itself differs. `quote` formats text from elsewhere.
pub(super) fn describe_by(cause: &Cause, quote: &dyn Fn(&str) -> String) -> Phrase {
    match cause {
        Cause::New => "is new".into(),
        Cause::ExternalMoved { external, .. } => {
            format!("external {} moved", quote(external)).into()
        }
        Cause::Missing => "is not in the registry".into(),
        Cause::Unknown { message } => {
            let why = message.lines().next().unwrap_or_default();
            format!("may not be in the registry: {}", quote(why)).into()
        }
        Cause::Renamed => "has different references".into(),
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
    include: Vec<MatrixJob<'a>>,
}

#[derive(Serialize)]
struct MatrixJob<'a> {
    image: &'a str,
    layer: usize,
    dockerfile: &'a str,
}

/// Returns one line for `$GITHUB_OUTPUT`: `matrix=` with one job per image, by layer.
///
/// # Errors
/// Does not fail in practice: all content is text and numbers.
pub fn draw_github(rows: &[AffectedRow<'_>]) -> anyhow::Result<String> {
    let rows = rows.iter();
    let include = rows
        .map(|row| MatrixJob { image: row.image, layer: row.layer, dockerfile: row.dockerfile })
        .collect();
    Ok(format!("matrix={}\n", visible_json(serde_json::to_string(&Matrix { include })?)))
}
