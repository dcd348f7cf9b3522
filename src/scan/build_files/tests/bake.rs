//! Tests of bake files.

use super::check;

#[test]
fn targets_are_evaluated() {
    check(
        &[
            (
                "docker-bake.hcl",
                r#"
variable "REPO" { default = "acme" }
variable "TAG" {}
function "tag" {
  params = [name]
  variadic_params = more
  result = "${REPO}/${lower(name)}:${length(more) > 0 ? more[0] : TAG}"
}
group "default" { targets = ["base", "app"] }
target "common" {
  args = { A = "1", B = "2", NONE = null, WHEN = timestamp() }
  platforms = ["linux/amd64", "linux/arm64"]
}
target "base" {
  inherits = ["common"]
  context = "base"
  tags = [tag("BASE", "1"), tag("base"), notequal("", TAG) ? "x" : ""]
}
target "app" {
  inherits = ["base", "common"]
  dockerfile = "app.Dockerfile"
  target = "run"
  args = { B = format("%s-%d", "b", 3) }
  contexts = { base = "target:base", src = "./src", os = "docker-image://debian" }
  tags = concat(["a:${regex_replace("1.2.3", "\\.\\d+$", "")}"], split(",", "b,c"))
}
"#,
            ),
            ("base/Dockerfile", ""),
            ("base/app.Dockerfile", ""),
        ],
        &[
            "docker-bake.hcl:14 base: base/Dockerfile in base A=1 B=2 -t acme/base:1 -t acme/base:… -t … \
             @linux/amd64 @linux/arm64",
            "docker-bake.hcl:19 app: base/app.Dockerfile in base target=run A=1 B=b-3 -t a:1.2 -t b -t c \
             base:=target:base os:=docker-image://debian src:=src @linux/amd64 @linux/arm64",
        ],
    );
}

#[test]
fn a_matrix_is_expanded() {
    check(
        &[
            (
                "ci/docker-bake.hcl",
                r#"
target "x" {
  name = "x-${item.name}-${replace(v, ".", "-")}"
  matrix = { item = [{ name = "a" }, { name = "b" }], v = ["1.0", "2.0"] }
  context = item.name
  args = { V = v }
}
target "y" {
  inherits = ["x-b-2-0"]
  tags = [for t in ["p", "q"] : "y:${t}" if t != "q"]
}
"#,
            ),
            ("ci/a/Dockerfile", ""),
            ("b/Dockerfile", ""),
        ],
        &[
            "ci/docker-bake.hcl:2 x-a-1-0: ci/a/Dockerfile in ci/a V=1.0",
            "ci/docker-bake.hcl:2 x-a-2-0: ci/a/Dockerfile in ci/a V=2.0",
            "ci/docker-bake.hcl:2 x-b-1-0: b/Dockerfile in b V=1.0",
            "ci/docker-bake.hcl:2 x-b-2-0: b/Dockerfile in b V=2.0",
            "ci/docker-bake.hcl:8 y: b/Dockerfile in b V=2.0 -t y:p",
        ],
    );
}

#[test]
fn files_are_merged() {
    check(
        &[
            (
                "docker-bake.json",
                r#"{"variable": {"V": {"default": "1"}},
 "target": {
  "a": {"context": "a", "args": {"X": "${V}", "N": 2}},
  "b": {"inherits": ["a"]}}}"#,
            ),
            (
                "docker-bake.override.hcl",
                "variable V { default = 3 }\ntarget a { tags = [\"t\"] }\n",
            ),
            ("extra.bake.hcl", "target \"c\" { inherits = [\"b\"] }\n"),
            ("bake.json", "{\"oven\": true}"),
            ("a/Dockerfile", ""),
        ],
        &[
            "docker-bake.json:4 b: a/Dockerfile in a N=2 X=3 -t t",
            "docker-bake.override.hcl:2 a: a/Dockerfile in a N=2 X=3 -t t",
            "extra.bake.hcl:1 c: a/Dockerfile in a N=2 X=3 -t t",
        ],
    );
}

#[test]
fn hostile_files_end_with_a_message() {
    check(
        &[("docker-bake.hcl", "target \"a\" {\n  args = {\n}\n")],
        &[
            "! docker-bake.hcl:3: not read: invalid HCL: invalid block body; expected `}`, newline or identifier",
        ],
    );
    check(
        &[(
            "docker-bake.hcl",
            "target a { inherits = [\"b\"] }\ntarget b { inherits = [\"a\"] }\n",
        )],
        &[
            "! docker-bake.hcl:1: target `a` is not read: its `inherits` is a cycle or too long",
            "! docker-bake.hcl:2: target `b` is not read: its `inherits` is a cycle or too long",
        ],
    );
    let axes: String = (0..5).map(|at| format!("x{at} = split(\"\", \"0123456789\")\n")).collect();
    check(
        &[("docker-bake.hcl", &format!("target m {{\nname = x0\nmatrix = {{\n{axes}}}\n}}\n"))],
        &["! docker-bake.hcl:1: target `m` is not read: its matrix is too large"],
    );
    let recursive = "function f {\nparams = [x]\nresult = \"${f(x)}${f(x)}\"\n}\n\
                     V = W\nW = V\ntarget a { tags = [f(1), V] }\n";
    check(
        &[("docker-bake.hcl", recursive), ("Dockerfile", "")],
        &[
            "docker-bake.hcl:7 a: Dockerfile in . -t …",
            "! docker-bake.hcl:1: expressions that take too many steps count as unknown",
        ],
    );
}
