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

#[test]
fn scripts_with_many_functions_and_sources_are_read_in_time() {
    let functions = "a() {\n".repeat(50_000);
    let body = "b\n".repeat(20_000);
    let calls = "docker build x\n".repeat(20_000);
    let again = ". ./all.sh\n".repeat(20_000);
    let text = format!("{functions}b() {{\n{calls}}}\n{body}{again}");
    let root = repository(&[("all.sh", &text), ("x/Dockerfile", "")]);
    let (builds, problems) = find(root.path());
    assert!(builds.len() <= 1_000_000 && !problems.is_empty(), "{problems:?}");
}
