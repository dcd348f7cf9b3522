//! Externals, their pins, and the current digests of their tags: as a table, as JSON, or as a list for a pull
//! request.
//!
//! Owns the formats. It makes no requests.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::table;
use crate::base::text::{count, list};

/// The number of digits that is enough to distinguish digests.
const DIGITS: usize = 12;

/// The maximum number of images named on a line of the table.
const NAMED: usize = 6;

/// The source of a known digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The lock file `graph.json`.
    Pin,
    /// The engine's store.
    Store,
}

/// The known digests of an external.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownDigests {
    /// Their source.
    pub basis: Basis,
    /// The digests. An engine can know an image by several.
    pub digests: Vec<String>,
}

/// Why the current digest of a tag is unknown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownDigest {
    /// The reason.
    pub why: String,
    /// A command or an edit that helps.
    pub hint: Option<String>,
}

/// An external.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutdatedRow {
    /// Its reference in the Dockerfiles.
    pub external: String,
    /// Its known digests.
    pub from: Option<KnownDigests>,
    /// The current digest of its tag.
    pub now: Option<String>,
    /// Whether the digest is different. `None` if unknown.
    pub moved: Option<bool>,
    /// Why the current digest is unknown.
    pub why: Option<String>,
    /// What helps, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// All images that depend on it, directly or indirectly.
    pub images: Vec<String>,
}

impl OutdatedRow {
    /// Compares the known digests with the current one.
    pub fn new(
        external: String,
        from: Option<KnownDigests>,
        found: Result<String, UnknownDigest>,
        images: Vec<String>,
    ) -> OutdatedRow {
        let (now, why, hint) = match found {
            Ok(now) => (Some(now), None, None),
            Err(UnknownDigest { why, hint }) => (None, Some(why), hint),
        };
        let moved = from.as_ref().zip(now.as_ref()).map(|(from, now)| !from.digests.contains(now));
        OutdatedRow { external, from, now, moved, why, hint, images }
    }
}

/// Returns a table of the externals that have moved, one per line. Returns an empty string if there are none.
pub fn draw_table(rows: &[OutdatedRow]) -> String {
    let mut moved = rows.iter().filter(|row| row.moved == Some(true)).peekable();
    if moved.peek().is_none() {
        return String::new();
    }
    let head = ["EXTERNAL", "CURRENT", "LATEST", "DEPENDENTS"].map(Cow::Borrowed);
    let lines = moved.map(|row| {
        let from = row.from.as_ref().map(|from| {
            let basis = match from.basis {
                Basis::Pin => "pinned",
                Basis::Store => "in the engine",
            };
            format!("{} ({basis})", short(from.digests.first().map_or("", String::as_str)))
        });
        let now = short(row.now.as_deref().unwrap_or_default());
        let external = row.external.as_str().into();
        [external, from.unwrap_or_default().into(), now.into(), some(&row.images).into()]
    });
    table::draw(std::iter::once(head).chain(lines))
}

/// Returns the counts, and the externals whose digests are unknown, grouped by reason.
pub fn draw_rest(rows: &[OutdatedRow]) -> String {
    let count_of = |moved| rows.iter().filter(|row| row.moved == moved).count();
    let mut unknown: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for row in rows {
        if let Some(why) = &row.why {
            unknown.entry((why, &row.hint)).or_default().push(&row.external);
        }
    }
    let mut text = String::new();
    for ((why, hint), externals) in &unknown {
        text.push_str(&format!("unknown for {}: {why}\n", list(externals)));
        if let Some(hint) = hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
    }
    let externals = count(rows.len(), "external");
    let (moved, same, open) = (count_of(Some(true)), count_of(Some(false)), count_of(None));
    text.push_str(&format!("{moved} moved, {same} unchanged"));
    if open > 0 {
        text.push_str(&format!(", {open} unknown"));
    }
    text.push_str(&format!(" of {externals} with a tag\n"));
    text + next_command(rows)
}

/// Returns the hint how to get what the tags point to now: a pin is moved, and what the engine has is pulled.
fn next_command(rows: &[OutdatedRow]) -> &'static str {
    let has_moved = |basis| {
        let mut moved = rows.iter().filter(|row| row.moved == Some(true));
        moved.any(|row| row.from.as_ref().is_some_and(|from| from.basis == basis))
    };
    let is_unpinned = rows.iter().any(|row| row.from.is_none());
    match (has_moved(Basis::Pin) || is_unpinned, has_moved(Basis::Store)) {
        (true, true) => "hint: layers update, and layers build --all --pull\n",
        (true, false) => "hint: layers update\n",
        (false, true) => "hint: layers build --all --pull\n",
        (false, false) => "",
    }
}

/// A new or changed pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinChange {
    /// The external's reference in the Dockerfiles.
    pub external: String,
    /// The previous digest.
    pub from: Option<String>,
    /// The new digest.
    pub to: String,
    /// All images that depend on it, directly or indirectly.
    pub images: Vec<String>,
}

/// Returns a Markdown list, for the text of a pull request.
pub fn draw_moves(moves: &[PinChange]) -> String {
    let line = |it: &PinChange| {
        let (external, to, images) = (&it.external, &it.to, list(&it.images));
        match &it.from {
            Some(from) => format!("- `{external}`: `{from}` → `{to}` ({images})\n"),
            None => format!("- `{external}`: pinned to `{to}` ({images})\n"),
        }
    };
    moves.iter().map(line).collect()
}

/// Returns the first digits of a digest.
fn short(digest: &str) -> String {
    let hex = digest.split_once(':').map_or(digest, |(_, hex)| hex);
    hex.chars().take(DIGITS).collect()
}

/// Joins names. Of a long list, shows the first ones and the number of the others.
fn some(names: &[String]) -> String {
    let shown = if names.len() > NAMED + 1 { NAMED } else { names.len() };
    let mut text = names[..shown].join(", ");
    if shown < names.len() {
        text.push_str(&format!(" and {} more", names.len() - shown));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    fn rows() -> Vec<OutdatedRow> {
        let from = |basis, digits: &str| {
            Some(KnownDigests { basis, digests: digits.chars().map(digest).collect() })
        };
        let images = |count: usize| (0..count).map(|it| format!("i{it}")).collect::<Vec<_>>();
        let unknown = |hint: Option<&str>| {
            Err(UnknownDigest { why: "host not found".into(), hint: hint.map(str::to_owned) })
        };
        let row = |name: &str, from, found, count| {
            OutdatedRow::new(name.into(), from, found, images(count))
        };
        vec![
            row("debian:12", from(Basis::Pin, "a"), Ok(digest('b')), 8),
            row("nginx:latest", from(Basis::Store, "cd"), Ok(digest('d')), 1),
            row("x", from(Basis::Store, "c"), Ok(digest('d')), 7),
            row("y", None, unknown(None), 1),
            row("z", from(Basis::Pin, "a"), unknown(None), 1),
            row("zz", from(Basis::Pin, "a"), unknown(Some("log in")), 1),
        ]
    }

    #[test]
    fn moved_externals_are_listed_and_the_rest_are_counted() {
        let expected = "\
EXTERNAL   CURRENT                       LATEST        DEPENDENTS
debian:12  aaaaaaaaaaaa (pinned)         bbbbbbbbbbbb  i0, i1, i2, i3, i4, i5 and 2 more
x          cccccccccccc (in the engine)  dddddddddddd  i0, i1, i2, i3, i4, i5, i6
";
        assert_eq!(draw_table(&rows()), expected);
        assert_eq!(draw_table(&rows()[1..2]), "");
        let expected = "\
unknown for `y` and `z`: host not found
unknown for `zz`: host not found
hint: log in
2 moved, 1 unchanged, 3 unknown of 6 externals with a tag
hint: layers update, and layers build --all --pull
";
        assert_eq!(draw_rest(&rows()), expected);
        let hint = |rows: &[OutdatedRow]| draw_rest(rows).lines().last().unwrap().to_owned();
        assert_eq!(hint(&rows()[..1]), "hint: layers update");
        assert_eq!(hint(&rows()[2..3]), "hint: layers build --all --pull");
        assert_eq!(hint(&rows()[2..4]), "hint: layers update, and layers build --all --pull");
        let expected = "0 moved, 1 unchanged of 1 external with a tag\n";
        assert_eq!(draw_rest(&rows()[1..2]), expected);
    }

    #[test]
    fn moved_pins_are_a_markdown_list() {
        let it = |from: Option<char>| PinChange {
            external: "debian:12".into(),
            from: from.map(digest),
            to: digest('b'),
            images: vec!["base".into(), "dev".into()],
        };
        let (a, b) = (digest('a'), digest('b'));
        let expected = format!(
            "- `debian:12`: `{a}` → `{b}` (`base` and `dev`)\n\
             - `debian:12`: pinned to `{b}` (`base` and `dev`)\n"
        );
        assert_eq!(draw_moves(&[it(Some('a')), it(None)]), expected);
    }
}
