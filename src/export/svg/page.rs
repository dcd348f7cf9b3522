//! Lengths from ranks and rows: the positions of boxes, and the curves between them.
//!
//! Owns the geometry. A rank is a column as wide as its widest box. Lines are level within a column, so that
//! they touch none of its boxes, and bend between columns.

use super::super::layout::{Layout, LayoutPoint, as_f64, lay_out};
use super::measure::{self, number};
use super::net::DrawnGraph;

/// The margin around the picture.
pub const MARGIN: f64 = 16.0;

/// The height of a box.
pub const BOX: f64 = 28.0;

/// The space to the left and right of the text in a box.
pub const PADDING: f64 = 12.0;

/// The distance from one row to the next.
const ROW: f64 = 40.0;

/// The distance between two columns if lines are short.
const COLUMNS: f64 = 64.0;

/// The maximum additional distance for steep lines.
const MORE_FOR_STEEP: f64 = 160.0;

/// The length of a box's side on which lines can end.
const PORTS: f64 = 16.0;

/// The maximum distance between the ends of two lines at a box.
const PORT: f64 = 6.0;

/// The position of a box.
#[derive(Debug, Clone, Copy)]
pub struct BoxRect {
    /// Its left side.
    pub x: f64,
    /// Its upper side.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// The path of a line.
pub struct LinePath {
    /// The path in SVG syntax.
    pub path: String,
    /// The position of the middle of its label.
    pub label: (f64, f64),
}

/// The lengths of a picture.
pub struct SvgPage {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// The position of each node.
    pub boxes: Vec<BoxRect>,
    /// The path of each edge.
    pub ways: Vec<LinePath>,
}

/// The left and right sides of each column.
type Columns = Vec<(f64, f64)>;

impl SvgPage {
    /// Arranges all nodes and edges.
    pub fn arrange(net: &DrawnGraph) -> SvgPage {
        let layout = lay_out(&net.parents());
        let widths: Vec<f64> = net.nodes.iter().map(width_of).collect();
        let columns = columns(&layout, &widths);
        let middle = |spot: &LayoutPoint| MARGIN + BOX / 2.0 + spot.row * ROW;
        let boxes: Vec<BoxRect> = layout
            .spots
            .iter()
            .zip(net.nodes.iter().zip(&widths))
            .map(|(spot, (node, width))| {
                let (left, right) = columns[spot.rank];
                // Text without a box is placed where its lines start.
                let x = if node.is_external { right - width } else { (left + right - width) / 2.0 };
                BoxRect { x, y: middle(spot) - BOX / 2.0, width: *width, height: BOX }
            })
            .collect();
        let ends = ends(&layout);
        let ways = layout.lines.iter().zip(&ends).map(|(line, end)| {
            let spots = line.through.iter();
            let mut points: Vec<(usize, f64)> =
                spots.map(|spot| (spot.rank, middle(spot))).collect();
            if let Some(last) = points.last_mut() {
                last.1 += end;
            }
            let start = boxes[line.parent].x + boxes[line.parent].width;
            curve(&points, start, boxes[line.child].x, &columns)
        });
        SvgPage {
            width: columns.last().map_or(0.0, |last| last.1) + MARGIN,
            height: (layout.rows - 1.0).max(0.0) * ROW + BOX + 2.0 * MARGIN,
            ways: ways.collect(),
            boxes,
        }
    }
}

fn width_of(node: &super::DrawnNode) -> f64 {
    let word = node.mark.as_ref().map(|mark| measure::width(&mark.word) + measure::GAP);
    let padding = if node.is_external { PADDING / 2.0 } else { PADDING };
    (measure::width(&node.label) + word.unwrap_or_default() + 2.0 * padding).ceil()
}

fn columns(layout: &Layout, widths: &[f64]) -> Columns {
    let mut widest = vec![0.0_f64; layout.ranks];
    for (spot, width) in layout.spots.iter().zip(widths) {
        widest[spot.rank] = widest[spot.rank].max(*width);
    }
    // The maximum climb of the lines after each column.
    let mut climbs = vec![0.0_f64; layout.ranks];
    for pair in layout.lines.iter().flat_map(|line| line.through.windows(2)) {
        let climb = (pair[0].row - pair[1].row).abs() * ROW;
        climbs[pair[0].rank] = climbs[pair[0].rank].max(climb);
    }
    let mut left = MARGIN;
    let columns = widest.iter().zip(climbs).map(|(width, climb)| {
        let column = (left, left + width);
        left += width + COLUMNS + (climb / 8.0).min(MORE_FOR_STEEP);
        column
    });
    columns.collect()
}

/// Returns the distance of each line's end from the middle of its child's side, so that lines that end at the
/// same box are distinguishable. They keep the order of their origins.
fn ends(layout: &Layout) -> Vec<f64> {
    let mut arriving: Vec<Vec<usize>> = vec![Vec::new(); layout.spots.len()];
    for (number, line) in layout.lines.iter().enumerate() {
        arriving[line.child].push(number);
    }
    let mut ends = vec![0.0; layout.lines.len()];
    for mut lines in arriving {
        let comes_from = |line: &usize| layout.lines[*line].through.iter().rev().nth(1);
        lines.sort_by(|a, b| {
            let row = |line| comes_from(line).map_or(0.0, |spot| spot.row);
            row(a).total_cmp(&row(b))
        });
        let gaps = as_f64(lines.len().saturating_sub(1));
        let step = if gaps > 0.0 { (PORTS / gaps).min(PORT) } else { 0.0 };
        for (at, line) in lines.into_iter().enumerate() {
            ends[line] = (as_f64(at) - gaps / 2.0) * step;
        }
    }
    ends
}

/// Returns a line through points of columns: level in each column, curved between two.
fn curve(points: &[(usize, f64)], start: f64, end: f64, columns: &Columns) -> LinePath {
    let mut path = format!("M{} {}", number(start), number(points[0].1));
    let mut label = (start, points[0].1);
    for (at, pair) in points.windows(2).enumerate() {
        let [(rank, y), (next_rank, next_y)] = [pair[0], pair[1]];
        let (right, left) = (columns[rank].1, columns[next_rank].0);
        let is_last = at + 2 == points.len();
        if at > 0 || right > start + 0.05 {
            path.push_str(&format!(" H{}", number(right)));
        }
        let middle = (right + left) / 2.0;
        path.push_str(&format!(
            " C{x} {} {x} {to} {} {to}",
            number(y),
            number(left),
            x = number(middle),
            to = number(next_y)
        ));
        if is_last {
            label = (middle, (y + next_y) / 2.0 + measure::BASELINE - 1.0);
            if end > left + 0.05 {
                path.push_str(&format!(" H{}", number(end)));
            }
        }
    }
    LinePath { path, label }
}
