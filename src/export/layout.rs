//! The positions of images in a drawing: in ranks, with parents before their children.
//!
//! Owns the layered drawing of Sugiyama, Tagawa and Toda (*Methods for visual understanding of hierarchical
//! system structures*, 1981): ranks by the longest path, an order within each rank with few crossings, and
//! rows that keep lines straight. It knows neither names nor pixels. The same graph always has the same
//! layout, and nothing recurses.

/// The number of attempts to improve the order within ranks.
const SWEEPS: usize = 12;

/// The number of times that rows are moved toward their neighbors.
const STRAIGHTENING: usize = 24;

/// The maximum number of bends. Long lines go around images through positions of their own. With more bends
/// than this, the cost is too high, and long lines are drawn straight.
const MOST_BENDS: usize = 100_000;

/// The minimum distance between a node and a line that passes it.
pub const BESIDE: f64 = 0.6;

/// The minimum distance between two lines that pass.
const BETWEEN_LINES: f64 = 0.35;

/// A position in a drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LayoutPoint {
    /// The rank: after the ranks of all parents. A node without parents is right before its first child.
    pub rank: usize,
    /// The row, from 0. Two nodes of a rank are at least 1 apart, and lines that pass are at least [`BESIDE`]
    /// away from them.
    pub row: f64,
}

/// A drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The position of each node, in the order of the input.
    pub spots: Vec<LayoutPoint>,
    /// One line per edge, with its start, bends, and end.
    pub lines: Vec<EdgeLine>,
    /// The number of ranks.
    pub ranks: usize,
    /// The number of rows, at least 1.
    pub rows: f64,
}

/// The line of an edge.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeLine {
    /// The parent.
    pub parent: usize,
    /// The child.
    pub child: usize,
    /// All positions on the line, one rank apart, including both ends. If there are too many bends, only the
    /// ends. The lines from one parent share their path until they separate, so that they are recognized as
    /// related.
    pub through: Vec<LayoutPoint>,
}

/// Lays out nodes; `parents` contains the parents of each node. The graph must be acyclic: nodes on a cycle,
/// and those after it, are put into the first rank.
pub fn lay_out(parents: &[Vec<usize>]) -> Layout {
    let ranks = ranks_of(parents);
    let mut net = LayoutGraph::new(parents, &ranks);
    net.order();
    let rows = net.straighten();
    let spot = |node: usize| LayoutPoint { rank: net.rank[node], row: rows[node] };
    let line = |line: &Vec<usize>| EdgeLine {
        parent: line[0],
        child: line[line.len() - 1],
        through: line.iter().map(|node| spot(*node)).collect(),
    };
    Layout {
        spots: (0..parents.len()).map(spot).collect(),
        lines: net.lines.iter().map(line).collect(),
        ranks: net.layers.len(),
        rows: rows.iter().fold(0.0, |most: f64, row| most.max(*row)) + 1.0,
    }
}

/// Returns the rank of each node: the length of the longest path to it. A node without parents is right
/// before its first child.
fn ranks_of(parents: &[Vec<usize>]) -> Vec<usize> {
    let children = children_of(parents);
    let mut missing: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut free: Vec<usize> = (0..parents.len()).filter(|node| missing[*node] == 0).collect();
    let mut ranks = vec![0_usize; parents.len()];
    while let Some(node) = free.pop() {
        for child in &children[node] {
            ranks[*child] = ranks[*child].max(ranks[node] + 1);
            missing[*child] -= 1;
            if missing[*child] == 0 {
                free.push(*child);
            }
        }
    }
    for node in (0..parents.len()).filter(|node| parents[*node].is_empty()) {
        if let Some(first) = children[node].iter().map(|child| ranks[*child]).min() {
            ranks[node] = first.saturating_sub(1);
        }
    }
    ranks
}

fn children_of(parents: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); parents.len()];
    for (node, edges) in parents.iter().enumerate() {
        for parent in edges {
            children[*parent].push(node);
        }
    }
    children
}

/// Nodes and bends, connected from rank to rank.
struct LayoutGraph {
    rank: Vec<usize>,
    /// The neighbors in the rank before.
    before: Vec<Vec<usize>>,
    /// The neighbors in the rank after.
    behind: Vec<Vec<usize>>,
    /// The nodes of each rank, in order.
    layers: Vec<Vec<usize>>,
    /// The position of each node in its rank.
    position: Vec<usize>,
    /// The nodes on each line.
    lines: Vec<Vec<usize>>,
    /// The number of nodes that are not bends.
    real: usize,
}

impl LayoutGraph {
    fn new(parents: &[Vec<usize>], ranks: &[usize]) -> LayoutGraph {
        let mut edges = Vec::new();
        for (child, all) in parents.iter().enumerate() {
            let mut all: Vec<usize> = all.clone();
            all.sort_unstable();
            all.dedup();
            edges.extend(all.into_iter().map(|parent| (parent, child)));
        }
        let mut longest = vec![0_usize; ranks.len()];
        for (parent, child) in &edges {
            let span = ranks[*child].saturating_sub(ranks[*parent]);
            longest[*parent] = longest[*parent].max(span);
        }
        let bends: usize = longest.iter().map(|span| span.saturating_sub(1)).sum();
        let mut net = LayoutGraph {
            rank: ranks.to_vec(),
            before: vec![Vec::new(); ranks.len()],
            behind: vec![Vec::new(); ranks.len()],
            layers: vec![Vec::new(); ranks.iter().max().map_or(0, |most| most + 1)],
            position: Vec::new(),
            lines: Vec::new(),
            real: ranks.len(),
        };
        let mut ways: Vec<Vec<usize>> = (0..ranks.len()).map(|node| vec![node]).collect();
        for (parent, child) in edges {
            net.join(&mut ways[parent], child, bends <= MOST_BENDS);
        }
        net.first_order();
        net
    }

    /// Connects a child to its parent along the parent's path, which is extended if it is too short.
    fn join(&mut self, way: &mut Vec<usize>, child: usize, bending: bool) {
        let parent = way[0];
        let ranks = self.rank[child].saturating_sub(self.rank[parent]);
        while bending && way.len() < ranks {
            let last = way[way.len() - 1];
            let bend = self.rank.len();
            self.rank.push(self.rank[last] + 1);
            self.before.push(vec![last]);
            self.behind.push(Vec::new());
            self.behind[last].push(bend);
            way.push(bend);
        }
        let mut line = way[..ranks.clamp(1, way.len())].to_vec();
        let last = line[line.len() - 1];
        // Without bends, long lines have no effect on the order.
        if self.rank[last] + 1 == self.rank[child] {
            self.behind[last].push(child);
            self.before[child].push(last);
        }
        line.push(child);
        self.lines.push(line);
    }

    /// Orders each rank by a depth-first search from the nodes without parents, so that related nodes start
    /// next to each other.
    fn first_order(&mut self) {
        let mut visited = vec![false; self.rank.len()];
        for root in 0..self.rank.len() {
            if !self.before[root].is_empty() {
                continue;
            }
            let mut stack = vec![root];
            while let Some(node) = stack.pop() {
                if !std::mem::replace(&mut visited[node], true) {
                    self.layers[self.rank[node]].push(node);
                    stack.extend(self.behind[node].iter().rev());
                }
            }
        }
        self.position = vec![0; self.rank.len()];
        (0..self.layers.len()).for_each(|rank| self.note_positions(rank));
    }

    fn note_positions(&mut self, rank: usize) {
        for (position, node) in self.layers[rank].iter().enumerate() {
            self.position[*node] = position;
        }
    }

    /// Reorders ranks by the average positions of their neighbors, alternating between forward and backward,
    /// and keeps the best order.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.layers.clone());
        for sweep in 0..SWEEPS {
            if best.0 == 0 {
                break;
            }
            let forward = sweep % 2 == 0;
            let count = self.layers.len();
            for step in 1..count {
                let rank = if forward { step } else { count - 1 - step };
                self.sort_rank(rank, forward);
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.layers.clone());
            }
        }
        self.layers = best.1;
        (0..self.layers.len()).for_each(|rank| self.note_positions(rank));
    }

    fn sort_rank(&mut self, rank: usize, forward: bool) {
        let (beside, neighbors) = match forward {
            true => (rank - 1, &self.before),
            false => (rank + 1, &self.behind),
        };
        let stretch = as_f64(self.layers[beside].len()) / as_f64(self.layers[rank].len().max(1));
        let mut keyed: Vec<(f64, usize)> = Vec::with_capacity(self.layers[rank].len());
        for node in &self.layers[rank] {
            let sum: usize = neighbors[*node].iter().map(|it| self.position[*it]).sum();
            let middle = match neighbors[*node].len() {
                // A node without neighbors keeps its approximate position.
                0 => as_f64(self.position[*node]) * stretch,
                many => as_f64(sum) / as_f64(many),
            };
            keyed.push((middle, *node));
        }
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.layers[rank] = keyed.into_iter().map(|(_, node)| node).collect();
        self.note_positions(rank);
    }

    /// Returns the number of pairs of lines that cross.
    fn crossings(&self) -> usize {
        let pairs = self.layers.windows(2);
        pairs.map(|pair| self.crossings_between(&pair[0], &pair[1])).sum()
    }

    /// Counts inversions with a Fenwick tree.
    fn crossings_between(&self, upper: &[usize], lower: &[usize]) -> usize {
        let mut sums = vec![0_usize; lower.len() + 1];
        let (mut crossings, mut seen) = (0, 0);
        for node in upper {
            let mut ends: Vec<usize> =
                self.behind[*node].iter().map(|it| self.position[*it]).collect();
            ends.sort_unstable();
            for end in &ends {
                let mut index = end + 1;
                let mut not_beyond = 0;
                while index > 0 {
                    not_beyond += sums[index];
                    index &= index - 1;
                }
                crossings += seen - not_beyond;
            }
            for end in ends {
                let mut index = end + 1;
                while index < sums.len() {
                    sums[index] += 1;
                    index += index & index.wrapping_neg();
                }
                seen += 1;
            }
        }
        crossings
    }

    /// Returns a row for each node, as close to the middle of its neighbors as the order of its rank permits.
    fn straighten(&self) -> Vec<f64> {
        let mut rows = vec![0.0; self.rank.len()];
        for layer in &self.layers {
            let mut row = 0.0;
            for (at, node) in layer.iter().enumerate() {
                row += if at == 0 { 0.0 } else { self.gap(layer[at - 1], *node) };
                rows[*node] = row;
            }
        }
        for sweep in 0..STRAIGHTENING {
            let count = self.layers.len();
            for step in 0..count {
                let rank = if sweep % 2 == 0 { step } else { count - 1 - step };
                self.settle(rank, sweep, &mut rows);
            }
        }
        let least = rows.iter().fold(f64::INFINITY, |least, row| least.min(*row));
        rows.iter_mut().for_each(|row| *row -= least);
        rows
    }

    /// Returns the only neighbor before or after a node if the node is also that neighbor's only one on its
    /// side. Both are then in one row, as links of a chain.
    fn only_neighbor(&self, node: usize, before: bool) -> Option<usize> {
        let (here, there) =
            if before { (&self.before, &self.behind) } else { (&self.behind, &self.before) };
        let [only] = here[node][..] else { return None };
        (there[only].len() == 1).then_some(only)
    }

    /// Returns the minimum distance between two neighbors of a rank.
    fn gap(&self, one: usize, other: usize) -> f64 {
        match (one < self.real, other < self.real) {
            (true, true) => 1.0,
            (false, false) => BETWEEN_LINES,
            _ => BESIDE,
        }
    }

    fn settle(&self, rank: usize, sweep: usize, rows: &mut [f64]) {
        let layer = &self.layers[rank];
        let ideal = |node: &usize| {
            if sweep > 1
                && let Some(only) = self.only_neighbor(*node, sweep.is_multiple_of(2))
            {
                return rows[only];
            }
            let near: &[&Vec<usize>] = match sweep {
                // Use one side first, in the direction of the lines, then both.
                0 => &[&self.before[*node]],
                1 => &[&self.behind[*node]],
                _ => &[&self.before[*node], &self.behind[*node]],
            };
            let near = near.iter().copied().flatten();
            let (sum, count) = near.fold((0.0, 0), |(sum, count), it| (sum + rows[*it], count + 1));
            if count == 0 { rows[*node] } else { sum / as_f64(count) }
        };
        // Bends have more weight, to keep long lines straight.
        let weight = |node: &usize| if *node < self.real { 1.0 } else { 4.0 };
        let ideals: Vec<(f64, f64)> = layer.iter().map(|it| (ideal(it), weight(it))).collect();
        let gaps = layer.windows(2).map(|pair| self.gap(pair[0], pair[1]));
        for (node, row) in layer.iter().zip(space_out(&ideals, gaps)) {
            rows[*node] = row;
        }
    }
}

/// Returns the positions closest to the ideal ones that keep the gaps. Neighbors that are too close are
/// pooled, which minimizes the sum of squares exactly (isotonic regression).
fn space_out(ideals: &[(f64, f64)], gaps: impl Iterator<Item = f64>) -> Vec<f64> {
    // The positions if all nodes were as close to the first one as possible.
    let nearest = gaps.scan(0.0, |sum, gap| {
        *sum += gap;
        Some(*sum)
    });
    let nearest: Vec<f64> = std::iter::once(0.0).chain(nearest).collect();
    // Per pool: the sum of weighted ideal positions, the weight, and the number of nodes.
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for ((ideal, weight), nearest) in ideals.iter().zip(&nearest) {
        let mut pool = ((ideal - nearest) * weight, *weight, 1);
        while let Some(last) = pools.last()
            && last.0 / last.1 >= pool.0 / pool.1
        {
            pool = (pool.0 + last.0, pool.1 + last.1, pool.2 + last.2);
            pools.pop();
        }
        pools.push(pool);
    }
    let flat = pools.iter().flat_map(|(sum, weight, count)| vec![sum / weight; *count]);
    flat.zip(&nearest).map(|(position, nearest)| position + nearest).collect()
}

#[expect(clippy::cast_precision_loss, reason = "drawings are smaller than 2^52 rows")]
pub(super) fn as_f64(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
