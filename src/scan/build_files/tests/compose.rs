//! Tests of Compose files.

use super::check;

#[test]
fn a_service_with_a_build_is_a_build() {
    check(
        &[
            (
                "app/compose.yml",
                "services:\n  db:\n    image: postgres\n  web:\n    image: acme/web:${TAG:-dev}\n    \
                 platform: linux/amd64\n    build:\n      context: ../web\n      dockerfile: ci.Dockerfile\n      \
                 target: run\n      args:\n        A: 1\n        B: $UNSET\n        C:\n      tags: [acme/web:$V]\n      \
                 additional_contexts:\n        - base=service:db\n        - src=./src\n  short:\n    build: ./short\n  \
                 remote:\n    build: https://example.com/x.git\n  absent:\n    build: ./absent\n  \
                 inline:\n    build:\n      context: ../web\n      dockerfile_inline: FROM scratch\n",
            ),
            ("app/.env", "# comment\nV='1.2' \nexport W=2 # two\n"),
            ("web/ci.Dockerfile", ""),
            ("web/Dockerfile", ""),
            ("app/short/Dockerfile", ""),
        ],
        &[
            "app/compose.yml:4 web: web/ci.Dockerfile in web target=run A=1 -t acme/web:dev -t acme/web:1.2 \
             base:=service:db src:=app/src @linux/amd64",
            "app/compose.yml:19 short: app/short/Dockerfile in app/short",
        ],
    );
}

#[test]
fn overrides_extends_and_includes_are_merged() {
    check(
        &[
            (
                "docker-compose.yml",
                "include:\n  - parts/more.yml\n  - path: [docker-compose.yml]\nservices:\n  a:\n    \
                 build: {context: a, args: [X=1, Y=1]}\n  b:\n    extends: {service: a}\n    image: b\n  \
                 c:\n    extends: {file: parts/more.yml, service: m}\n    image: c\n",
            ),
            (
                "docker-compose.override.yml",
                "services:\n  a:\n    image: acme/a\n    build: {args: {X: 2}}\n",
            ),
            ("docker-compose.test.yml", "services:\n  a:\n    build: {target: test}\n"),
            ("parts/more.yml", "services:\n  m:\n    build: m\n"),
            ("a/Dockerfile", ""),
            ("parts/m/Dockerfile", ""),
        ],
        &[
            "docker-compose.override.yml:2 a: a/Dockerfile in a X=2 Y=1 -t acme/a",
            "docker-compose.test.yml:2 a: a/Dockerfile in a target=test X=1 Y=1",
            "docker-compose.yml:7 b: a/Dockerfile in a X=2 Y=1 -t b",
            "docker-compose.yml:10 c: parts/m/Dockerfile in parts/m -t c",
            "parts/more.yml:2 m: parts/m/Dockerfile in parts/m",
        ],
    );
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    check(
        &[
            (
                "compose.yaml",
                "x-build: &build\n  context: a\n  args: &args {A: 1, B: 1}\nservices:\n  a:\n    build: *build\n  \
                 b:\n    build:\n      <<: *build\n      args:\n        <<: [*args]\n        B: 2\n",
            ),
            ("a/Dockerfile", ""),
        ],
        &[
            "compose.yaml:5 a: a/Dockerfile in a A=1 B=1",
            "compose.yaml:7 b: a/Dockerfile in a A=1 B=2",
        ],
    );
}

#[test]
fn problems_are_reported_with_their_lines() {
    check(
        &[("compose.yaml", "services:\n  a: {extends: b}\n  b: {extends: a}\n")],
        &[
            "! compose.yaml:2: service `a` is not read: its `extends` is a cycle or too long",
            "! compose.yaml:3: service `b` is not read: its `extends` is a cycle or too long",
        ],
    );
    check(
        &[
            ("compose.yaml", "services:\n  a: [\n"),
            ("Dockerfile", ""),
            ("b/compose.yaml", "services: {b: {build: ..}}"),
        ],
        &[
            "b/compose.yaml:1 b: Dockerfile in .",
            "! compose.yaml:3: not read: invalid YAML: while parsing a node, did not find expected node content",
        ],
    );
    check(
        &[("compose.yaml", &"[".repeat(200))],
        &["! compose.yaml:1: not read: nested too deeply"],
    );
}

#[test]
fn nested_aliases_and_merge_keys_end() {
    let mut text = "a0: &a0 {x: 1}\n".to_owned();
    for at in 1..60 {
        let below = at - 1;
        text += &format!(
            "a{at}: &a{at} {{<<: [*a{below}, *a{below}], k{at}: [*a{below}, *a{below}]}}\n"
        );
    }
    text += "services: {a: {build: {context: ., args: *a59}}}\n";
    check(
        &[("compose.yaml", &text), ("Dockerfile", "")],
        &["compose.yaml:61 a: Dockerfile in . x=1"],
    );
    let wide: String = (0..1000).map(|at| format!("  k{at}: 1\n")).collect();
    let merges: String = (0..200).map(|at| format!("m{at}:\n  <<: *a\n")).collect();
    check(
        &[("compose.yaml", &format!("a: &a\n{wide}{merges}"))],
        &["! compose.yaml:1203: not read: its merge keys add too many entries"],
    );
}
