//! Topological order and cycles, computed with petgraph, which only this file uses.
//!
//! Owns the algorithms on plain ids. None of them recurses, because chains of 10,000 images occur.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::base::{Id, IdMap, ImageId};

/// Sorts images so that each comes after its dependencies. Of the images that could come next, the
/// one with the lowest id comes first, so the order depends only on the graph.
///
/// # Errors
/// Returns the cycles if there are any: the shortest one of each strongly connected component. In a
/// cycle, each image is followed by one that it depends on.
pub fn sort(parents: &IdMap<Vec<ImageId>>) -> Result<Vec<ImageId>, Vec<Vec<ImageId>>> {
    let graph = build(parents);
    let order = sort_acyclic(&graph);
    if order.len() == parents.len() { Ok(order) } else { Err(cycles(&graph)) }
}

/// Sorts the images that neither are in a cycle nor depend on one, as [`sort`] does.
pub fn sort_rest(parents: &IdMap<Vec<ImageId>>) -> Vec<ImageId> {
    sort_acyclic(&build(parents))
}

fn sort_acyclic(graph: &DiGraph<(), ()>) -> Vec<ImageId> {
    let mut missing: Vec<usize> =
        graph.node_indices().map(|node| graph.neighbors(node).count()).collect();
    let mut free: BinaryHeap<Reverse<usize>> =
        (0..missing.len()).filter(|node| missing[*node] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(missing.len());
    while let Some(Reverse(node)) = free.pop() {
        order.push(ImageId::from_index(node));
        let node = NodeIndex::new(node);
        for child in graph.neighbors_directed(node, petgraph::Direction::Incoming) {
            let missing = &mut missing[child.index()];
            *missing -= 1;
            if *missing == 0 {
                free.push(Reverse(child.index()));
            }
        }
    }
    order
}

/// Returns a flag per id: whether it can be reached from `from` over `edges`. The images in `from`
/// are included.
pub fn reach(edges: &IdMap<Vec<ImageId>>, from: &[ImageId]) -> IdMap<bool> {
    let mut reached = IdMap::from_fn(edges.len(), |_| false);
    let mut stack: Vec<ImageId> = from.to_vec();
    while let Some(image) = stack.pop() {
        if !std::mem::replace(&mut reached[image], true) {
            stack.extend(edges[image].iter().copied().filter(|next| !reached[*next]));
        }
    }
    reached
}

/// The number of images per pass of [`reduce`]. Each takes one bit of a bit set, so 100,000 images
/// temporarily take 50 MB.
const BLOCK: usize = 4096;

/// Returns the dependencies of each image without those that a longer path implies. The remaining
/// edges are the fewest that reach the same images. If there is a cycle, returns the dependencies
/// unchanged.
///
/// Bit sets record which images can be reached, one block of images at a time. petgraph's own
/// reduction keeps lists instead, which take half a gigabyte for a chain of 10,000 images.
pub fn reduce(parents: &IdMap<Vec<ImageId>>) -> IdMap<Vec<ImageId>> {
    let Ok(order) = sort(parents) else { return parents.clone() };
    let mut reduction = parents.clone();
    for start in (0..parents.len()).step_by(BLOCK) {
        let words = BLOCK.min(parents.len() - start).div_ceil(64);
        let bit = |image: ImageId| {
            let at = image.index().checked_sub(start).filter(|at| *at < BLOCK)?;
            Some((at / 64, 1_u64 << (at % 64)))
        };
        // For each image, the images of the block that it reaches.
        let mut reached = vec![0_u64; words * parents.len()];
        let mut found = vec![0_u64; words];
        for image in &order {
            found.fill(0);
            for parent in &parents[*image] {
                let from = parent.index() * words;
                found.iter_mut().zip(&reached[from..from + words]).for_each(|(to, it)| *to |= it);
            }
            reduction[*image]
                .retain(|parent| bit(*parent).is_none_or(|(at, bit)| found[at] & bit == 0));
            for (at, bit) in parents[*image].iter().filter_map(|parent| bit(*parent)) {
                found[at] |= bit;
            }
            let to = image.index() * words;
            reached[to..to + words].copy_from_slice(&found);
        }
    }
    reduction
}

/// Builds the graph with an edge from each image to each of its dependencies. Parallel edges count
/// once.
fn build(parents: &IdMap<Vec<ImageId>>) -> DiGraph<(), ()> {
    let edges = parents.values().map(Vec::len).sum();
    let mut graph = DiGraph::with_capacity(parents.len(), edges);
    for _ in parents.ids() {
        graph.add_node(());
    }
    for (image, its_parents) in parents.iter() {
        for parent in its_parents.iter().collect::<BTreeSet<_>>() {
            graph.add_edge(NodeIndex::new(image.index()), NodeIndex::new(parent.index()), ());
        }
    }
    graph
}

/// Returns the shortest cycle of each strongly connected component, starting at its lowest id, in
/// the order of ids.
fn cycles(graph: &DiGraph<(), ()>) -> Vec<Vec<ImageId>> {
    let mut cycles: Vec<Vec<ImageId>> = kosaraju_scc(graph)
        .into_iter()
        .filter_map(|component| shortest_cycle(graph, &component))
        .map(|mut cycle| {
            let lowest = (0..cycle.len()).min_by_key(|at| cycle[*at]);
            cycle.rotate_left(lowest.unwrap_or_default());
            cycle.into_iter().map(|node| ImageId::from_index(node.index())).collect()
        })
        .collect();
    cycles.sort_unstable();
    cycles
}

/// The limit of the search for the shortest cycle of one component, in visited images. In a
/// component too large for it, the search still finds a cycle, but maybe not the shortest one.
const MOST_STEPS: usize = 5_000_000;

fn shortest_cycle(graph: &DiGraph<(), ()>, component: &[NodeIndex]) -> Option<Vec<NodeIndex>> {
    let mut starts = component.to_vec();
    starts.sort_unstable();
    let mut inside = vec![false; graph.node_count()];
    for node in &starts {
        inside[node.index()] = true;
    }
    let starts = starts.into_iter().take((MOST_STEPS / component.len().max(1)).max(1));
    starts.filter_map(|start| cycle_through(graph, &inside, start)).min_by_key(Vec::len)
}

/// Returns the shortest path from a node back to itself.
fn cycle_through(
    graph: &DiGraph<(), ()>,
    inside: &[bool],
    start: NodeIndex,
) -> Option<Vec<NodeIndex>> {
    let mut came_from: Vec<Option<NodeIndex>> = vec![None; graph.node_count()];
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut next: Vec<NodeIndex> = graph.neighbors(node).collect();
        next.sort_unstable();
        for next in next.into_iter().filter(|next| inside[next.index()]) {
            if next == start {
                let mut cycle = vec![node];
                while let Some(before) = cycle.last().and_then(|node| came_from[node.index()]) {
                    cycle.push(before);
                }
                cycle.reverse();
                return Some(cycle);
            }
            if came_from[next.index()].is_none() {
                came_from[next.index()] = Some(node);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn graph(parents: &[&[u32]]) -> IdMap<Vec<ImageId>> {
        parents
            .iter()
            .map(|its_parents| its_parents.iter().copied().map(ImageId).collect())
            .collect()
    }

    fn check(parents: &[&[u32]], expected: Result<&[u32], &[&[u32]]>) {
        let ids = |ids: &[u32]| ids.iter().copied().map(ImageId).collect::<Vec<_>>();
        let expected = expected
            .map(ids)
            .map_err(|cycles| cycles.iter().map(|cycle| ids(cycle)).collect::<Vec<_>>());
        assert_eq!(sort(&graph(parents)), expected, "{parents:?}");
    }

    #[test]
    fn images_are_sorted_after_their_dependencies() {
        check(&[], Ok(&[]));
        check(&[&[], &[], &[]], Ok(&[0, 1, 2]));
        check(&[&[2], &[0], &[]], Ok(&[2, 0, 1]));
        check(&[&[1, 1], &[]], Ok(&[1, 0]));
        check(&[&[], &[0], &[0], &[1, 2]], Ok(&[0, 1, 2, 3]));
    }

    #[test]
    fn the_shortest_cycle_per_component_is_reported() {
        check(&[&[0]], Err(&[&[0]]));
        check(&[&[1], &[0]], Err(&[&[0, 1]]));
        check(&[&[1], &[2], &[3], &[0, 2]], Err(&[&[2, 3]]));
        check(&[&[1], &[0], &[3], &[2], &[0]], Err(&[&[0, 1], &[2, 3]]));
    }

    #[test]
    fn edges_implied_by_longer_paths_are_removed() {
        let check = |parents: &[&[u32]], expected: &[&[u32]]| {
            assert_eq!(reduce(&graph(parents)), graph(expected), "{parents:?}");
        };
        check(&[], &[]);
        check(&[&[], &[0], &[0, 1]], &[&[], &[0], &[1]]);
        check(&[&[], &[0], &[0], &[0, 1, 2]], &[&[], &[0], &[0], &[1, 2]]);
        // Ids can be in any order, and duplicate edges count once.
        check(&[&[1, 2, 2], &[2], &[]], &[&[1], &[2], &[]]);
        check(&[&[2, 2], &[], &[]], &[&[2, 2], &[], &[]]);
        check(&[&[1], &[0]], &[&[1], &[0]]);
    }

    #[test]
    fn reduction_works_across_blocks_of_images() {
        let len = u32::try_from(3 * BLOCK + 7).unwrap();
        let all_of = |at: u32| if at == 0 { vec![] } else { vec![ImageId(0), ImageId(at - 1)] };
        let chain: IdMap<Vec<ImageId>> = (0..len).map(all_of).collect();
        let reduction = reduce(&chain);
        assert_eq!(reduction[ImageId(1)], [ImageId(0), ImageId(0)]);
        let rest = reduction.iter().skip(2);
        assert!(rest.into_iter().all(|(id, its_parents)| *its_parents == [ImageId(id.0 - 1)]));
    }

    proptest! {
        #[test]
        fn reduction_is_minimal_and_preserves_reachability(
            its_parents in proptest::collection::vec(proptest::collection::vec(0_usize..40, 0..6), 1..40)
        ) {
            let parents: IdMap<Vec<ImageId>> = its_parents
                .iter()
                .enumerate()
                .map(|(at, its_parents)| {
                    let earlier = its_parents.iter().filter(|parent| **parent < at);
                    let mut its_parents: Vec<ImageId> = earlier.map(|it| ImageId::from_index(*it)).collect();
                    its_parents.sort_unstable();
                    its_parents.dedup();
                    its_parents
                })
                .collect();
            let reduction = reduce(&parents);
            for image in parents.ids() {
                prop_assert_eq!(reach(&reduction, &[image]), reach(&parents, &[image]));
                for (at, parent) in reduction[image].iter().enumerate() {
                    let mut fewer = reduction.clone();
                    fewer[image].remove(at);
                    prop_assert!(!reach(&fewer, &[image])[*parent], "{:?} needs {:?} anyway", image, parent);
                }
            }
        }
    }

    #[test]
    fn long_chains_do_not_overflow_the_stack() {
        let len = 100_000;
        let mut parents: Vec<Vec<ImageId>> =
            (0..len).map(|at| if at == 0 { vec![] } else { vec![ImageId(at - 1)] }).collect();
        let chain: IdMap<Vec<ImageId>> = parents.clone().into_iter().collect();
        assert_eq!(sort(&chain).unwrap().len(), len as usize);
        assert!(reach(&chain, &[ImageId(len - 1)]).values().all(|reached| *reached));
        parents[0].push(ImageId(len - 1));
        let cycle: IdMap<Vec<ImageId>> = parents.into_iter().collect();
        assert_eq!(sort(&cycle).unwrap_err()[0].len(), len as usize);
    }
}
