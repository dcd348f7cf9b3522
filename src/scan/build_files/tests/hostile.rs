//! No content of a file is an error of the program.

use proptest::prelude::*;

use super::{find, repository};

const NAMES: [&str; 9] = [
    "compose.yaml",
    "docker-bake.hcl",
    "docker-bake.json",
    ".github/workflows/ci.yml",
    ".github/actions/a/action.yml",
    "build.sh",
    "Makefile",
    "compose.override.yml",
    ".env",
];

/// Pieces that make random texts reach more than the first line of a parser.
const PIECES: [&str; 40] = [
    "services:\n",
    "  a:\n",
    "    build: .\n",
    "&x ",
    "*x",
    "<<: *x\n",
    "extends: a\n",
    "include: [compose.yaml]\n",
    "target \"a\" {\n",
    "}\n",
    "inherits = [\"a\"]\n",
    "tags = [\"${x}\"]\n",
    "matrix = { x = [1, 2] }\n",
    "name = x\n",
    "function f {\nparams = [x]\nresult = f(x)\n}\n",
    "x = x\n",
    "%{ if x }",
    "${",
    "$(",
    "${{",
    "}}",
    "jobs:\n",
    "  j:\n",
    "    steps:\n",
    "      - run: docker build .\n",
    "strategy: {matrix: {a: [1], include: [{}]}}\n",
    "fromJSON('[",
    "docker build -t ",
    "for x in a b; do ",
    "; done\n",
    "cd ..\n",
    "\\\n",
    "'",
    "\"",
    "`",
    "\t",
    "\n",
    "{",
    "[",
    "é\u{fdd0}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(
        name in 0..NAMES.len(),
        pieces in proptest::collection::vec(prop_oneof![
            (0..PIECES.len()).prop_map(|at| PIECES[at].to_owned()),
            any::<String>(),
        ], 0..30),
    ) {
        let text = pieces.concat() + " ";
        let root = repository(&[(NAMES[name], &text), ("Dockerfile", ""), ("docker-compose.yml", "services: {}")]);
        let (builds, _) = find(root.path());
        prop_assert!(builds.iter().all(|build| build.dockerfile.as_str() == "Dockerfile"));
    }
}
