//! The layout of small, large, and random graphs.

use proptest::prelude::*;

use super::*;

fn spots(parents: &[&[usize]]) -> Vec<(usize, f64)> {
    let parents: Vec<Vec<usize>> = parents.iter().map(|its_parents| its_parents.to_vec()).collect();
    lay_out(&parents).spots.iter().map(|spot| (spot.rank, spot.row)).collect()
}

#[test]
fn parents_are_placed_before_their_children() {
    assert_eq!(spots(&[]), []);
    assert_eq!(spots(&[&[], &[]]), [(0, 0.0), (0, 1.0)]);
    assert_eq!(spots(&[&[], &[0], &[1]]), [(0, 0.0), (1, 0.0), (2, 0.0)]);
    // A node whose first child is late has a late rank.
    assert_eq!(spots(&[&[], &[0], &[1, 3], &[]])[3].0, 1);
}

#[test]
fn parents_are_centered_on_their_children() {
    assert_eq!(spots(&[&[], &[0], &[0], &[0]]), [(0, 1.0), (1, 0.0), (1, 1.0), (1, 2.0)]);
}

#[test]
fn chains_are_straight_regardless_of_their_ends() {
    // 0 and 1 are parents of 2, then come 3, 4, 5, and three children.
    let found = spots(&[&[], &[], &[0, 1], &[2], &[3], &[4], &[5], &[5], &[5]]);
    let rows: Vec<f64> = found[2..6].iter().map(|(_, row)| *row).collect();
    assert!(rows.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
}

#[test]
fn avoidable_line_crossings_are_removed() {
    // Two pairs with crossed numbers.
    let found = spots(&[&[], &[], &[1], &[0]]);
    assert_eq!(found[0].1 < found[1].1, found[3].1 < found[2].1);
}

#[test]
fn long_lines_are_routed_around_images() {
    let parents = vec![vec![], vec![0], vec![1], vec![2, 0]];
    let layout = lay_out(&parents);
    let long = layout.lines.iter().find(|line| (line.parent, line.child) == (0, 3)).unwrap();
    assert_eq!(long.through.iter().map(|spot| spot.rank).collect::<Vec<_>>(), [0, 1, 2, 3]);
    for bend in &long.through[1..3] {
        let image = layout.spots.iter().find(|spot| spot.rank == bend.rank).unwrap();
        assert!((image.row - bend.row).abs() >= BESIDE - 1e-9, "{layout:?}");
    }
}

#[test]
fn positions_in_a_rank_are_ordered_and_keep_their_distance() {
    let check = |ideals: &[(f64, f64)], gap: f64, expected: &[f64]| {
        assert_eq!(space_out(ideals, std::iter::repeat_n(gap, ideals.len() - 1)), expected);
    };
    check(&[(0.0, 1.0), (5.0, 1.0)], 1.0, &[0.0, 5.0]);
    check(&[(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)], 1.0, &[0.0, 1.0, 2.0]);
    check(&[(1.0, 1.0), (1.0, 1.0), (1.0, 1.0)], 0.5, &[0.5, 1.0, 1.5]);
    check(&[(2.0, 1.0), (0.0, 3.0)], 1.0, &[-0.25, 0.75]);
}

#[test]
fn lines_from_the_same_parent_share_a_route() {
    let parents = vec![vec![], vec![0], vec![1], vec![2, 0], vec![3, 0]];
    let layout = lay_out(&parents);
    let way = |child: usize| {
        let line = layout.lines.iter().find(|line| (line.parent, line.child) == (0, child));
        line.unwrap().through.clone()
    };
    assert_eq!(way(3)[..3], way(4)[..3]);
    assert_eq!(way(4).len(), 5);
}

#[test]
fn large_graphs_are_laid_out() {
    // A chain in which each image also has the first one as a parent: the lines would have 50 million bends.
    let chain: Vec<Vec<usize>> =
        (0..10_000_usize).map(|at| if at == 0 { vec![] } else { vec![at - 1, 0] }).collect();
    let layout = lay_out(&chain);
    assert_eq!(layout.ranks, 10_000);
    assert_eq!(layout.lines.len(), 2 * 9_999 - 1);
    // Each node also has a random earlier parent: the lines would have 30 million bends.
    let mixed: Vec<Vec<usize>> = (0..10_000_usize)
        .map(|at| if at == 0 { vec![] } else { vec![at - 1, at * 7919 % at.max(1), at / 3] })
        .collect();
    assert_eq!(lay_out(&mixed).ranks, 10_000);
    // Ten ranks of a thousand nodes with many lines between them.
    let many = |at: usize| (0..4).map(move |it| at - 1000 + (at * 31 + it * 577) % 1000);
    let dense: Vec<Vec<usize>> =
        (0..10_000_usize).map(|at| if at < 1000 { vec![] } else { many(at).collect() }).collect();
    assert!(lay_out(&dense).ranks >= 5);
    let wide: Vec<Vec<usize>> =
        (0..10_000).map(|at| if at < 100 { vec![] } else { vec![at % 100] }).collect();
    assert_eq!(lay_out(&wide).ranks, 2);
}

proptest! {
    #[test]
    fn nodes_never_overlap_and_lines_always_go_forward(
        its_parents in proptest::collection::vec(proptest::collection::vec(0_usize..60, 0..4), 1..60)
    ) {
        let parents: Vec<Vec<usize>> = its_parents
            .iter()
            .enumerate()
            .map(|(at, its_parents)| its_parents.iter().copied().filter(|parent| *parent < at).collect())
            .collect();
        let layout = lay_out(&parents);
        for (at, spot) in layout.spots.iter().enumerate() {
            prop_assert!(spot.rank < layout.ranks && spot.row >= 0.0 && spot.row < layout.rows - 1.0 + 1e-9);
            for other in layout.spots[at + 1..].iter().filter(|other| other.rank == spot.rank) {
                prop_assert!((spot.row - other.row).abs() > 1.0 - 1e-9, "{:?}", layout);
            }
        }
        let count: usize = parents
            .iter()
            .map(|its_parents| its_parents.iter().collect::<std::collections::BTreeSet<_>>().len())
            .sum();
        prop_assert_eq!(layout.lines.len(), count);
        for line in &layout.lines {
            prop_assert_eq!(line.through[0], layout.spots[line.parent]);
            prop_assert_eq!(line.through[line.through.len() - 1], layout.spots[line.child]);
            for pair in line.through.windows(2) {
                prop_assert_eq!(pair[0].rank + 1, pair[1].rank);
            }
            let bends = &line.through[1..line.through.len() - 1];
            for (bend, spot) in bends.iter().flat_map(|it| layout.spots.iter().map(move |s| (it, s))) {
                let is_apart = bend.rank != spot.rank || (bend.row - spot.row).abs() > BESIDE - 1e-9;
                prop_assert!(is_apart, "{:?}", layout);
            }
        }
    }
}
