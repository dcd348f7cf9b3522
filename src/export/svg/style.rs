//! The style of the picture.
//!
//! Owns the style sheet. Text directly on the page is in a gray that is legible on white and on black because
//! a picture does not always know the color of its page. Boxes have their own background.

use std::collections::BTreeSet;

use super::super::mark::{Marks, Shade};

const SHEET: &str = "\
.layers { color-scheme: light dark; font: 13px -apple-system, BlinkMacSystemFont, \"Segoe UI\", \
\"Noto Sans\", Helvetica, Arial, sans-serif }
.layers text { text-anchor: middle; fill: #6e7781 }
.layers rect { fill: none }
.layers .external text { text-anchor: end }
.layers .image rect { fill: #f6f8fa; stroke: #6e7781; stroke-width: 1.2 }
.layers .image text { fill: #1f2328 }
.layers .image .word { font-size: 11px }
.layers .need path { fill: none; stroke: #7d8590; stroke-width: 1.3 }
.layers .need text { font-size: 11px; stroke: #ffffff; stroke-width: 3px; paint-order: stroke }
.layers .copy path { stroke-dasharray: 6 4 }
.layers .mount path { stroke-dasharray: 1.5 4; stroke-linecap: round }
.layers .head { fill: #7d8590 }
.layers .legend > text { text-anchor: start }
.layers .need:hover path { stroke: #1f6feb; stroke-width: 2.2 }
@media (prefers-color-scheme: dark) {
.layers .image rect { fill: #161b22 }
.layers .image text { fill: #e6edf3 }
.layers text { fill: #8b949e }
.layers .need text { stroke: #0d1117 }
}
";

/// Returns the style sheet with the shades that are used.
pub fn sheet(marks: Option<&Marks>) -> String {
    let mut text = format!("<style>\n{SHEET}");
    let shades: BTreeSet<Shade> =
        marks.into_iter().flat_map(|marks| &marks.legend).map(|mark| mark.shade).collect();
    for shade in shades {
        let [area, border, ink] = shade.colors();
        let class = format!(".layers .image.{}", shade.class());
        text.push_str(&format!(
            "{class} rect {{ fill: {area}; stroke: {border} }}\n{class} text {{ fill: {ink} }}\n"
        ));
    }
    text.push_str("</style>\n");
    text
}
