//! Random graphs with names that CI systems do not accept: the graph is restored from the pipeline.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use crate::graphs::{PACKED, PLAIN, github, gitlab, graph, needs_of};
use crate::schema::{self, fitting};
use crate::systems::{self, check, check_edges};

const PIECES: [&str; 34] = [
    "base",
    "b",
    "B",
    "image",
    "release",
    "build",
    "layer-0",
    "pages",
    "true",
    "nil",
    ".",
    "..",
    "/",
    "-",
    "--all",
    "_",
    "__",
    "3",
    " ",
    "'",
    "\"",
    "\\",
    "\n",
    "\t",
    "$(touch x)",
    "`touch x`",
    ";touch x;",
    "${{ secrets.X }}",
    "${{",
    "}}",
    ": ",
    " #",
    "é",
    "\u{2028}",
];

fn name() -> impl Strategy<Value = String> {
    proptest::collection::vec(select(&PIECES[..]), 1..4).prop_map(|pieces| pieces.concat())
}

/// Generates names, and the parents of each image among the images before it.
fn images() -> impl Strategy<Value = Vec<(String, Vec<usize>)>> {
    let needs = proptest::collection::vec(proptest::collection::vec(0_usize..24, 0..4), 24);
    let names = proptest::collection::btree_set(name(), 1..24);
    (names, needs, any::<u64>()).prop_map(|(names, needs, turn)| {
        // The order of names must differ from the order of dependencies.
        let mut names: Vec<String> = names.into_iter().collect();
        let turn = usize::try_from(turn % names.len() as u64).unwrap();
        names.rotate_left(turn);
        let earlier = |at: usize, needs: &Vec<usize>| -> Vec<usize> {
            let needs: BTreeSet<usize> = needs.iter().copied().filter(|need| *need < at).collect();
            needs.into_iter().collect()
        };
        names.into_iter().enumerate().map(|(at, name)| (name, earlier(at, &needs[at]))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_graph_can_be_restored_from_the_pipeline(images in images()) {
        let graph = graph(&images);
        let needs = needs_of(&graph);
        let text = github(&graph, &PLAIN).unwrap();
        prop_assert_eq!(&text, &github(&graph, &PLAIN).unwrap());
        let jobs = systems::github(&fitting(schema::GITHUB, &text));
        check_edges(&jobs, &needs);
        check(&jobs, &needs);
        let ids: BTreeSet<String> = jobs.iter().map(|job| job.id.to_lowercase()).collect();
        prop_assert_eq!(ids.len(), needs.len() + 1, "upper and lower case are the same to GitHub");

        let packed = systems::github(&fitting(schema::GITHUB, &github(&graph, &PACKED).unwrap()));
        check(&packed, &needs);
        prop_assert!(packed.iter().map(|job| job.commands.len()).sum::<usize>() <= jobs.len());

        let jobs = systems::gitlab(&fitting(schema::GITLAB, &gitlab(&graph, &PLAIN).unwrap()));
        check_edges(&jobs, &needs);
        check(&jobs, &needs);
    }
}
