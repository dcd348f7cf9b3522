//! Tests of builds in documentation and in files of other build systems.

use super::check;

#[test]
fn commands_in_code_blocks_are_examples() {
    let text = "To build, run `docker build -t no .`:\n\n\
                ```console\n$ cd base\n$ docker build -t acme/base:<version> .\n```\n\n\
                docker build -t prose .\n\n\
                    docker build -t acme/app \\\n      app\n\n\
                ~~~\ndocker build -t other other # there is none\n~~~\n";
    check(
        &[("README.md", text), ("base/Dockerfile", ""), ("app/Dockerfile", ""), ("Dockerfile", "")],
        &["README.md:5 base/Dockerfile in base -t acme/base:… (example)"],
    );
    let text = "Run:\n\n    docker build -t acme/app \\\n      app\n";
    check(
        &[("README.md", text), ("app/Dockerfile", "")],
        &["README.md:3 app/Dockerfile in app -t acme/app (example)"],
    );
}

#[test]
fn a_block_begins_in_the_directory_of_its_file_or_in_the_root() {
    let block = "```\ndocker build -t acme/x x\n```\n";
    check(
        &[("docs/a.md", block), ("x/Dockerfile", "")],
        &["docs/a.md:2 x/Dockerfile in x -t acme/x (example)"],
    );
    check(
        &[("docs/a.md", block), ("x/Dockerfile", ""), ("docs/x/Dockerfile", "")],
        &["docs/a.md:2 docs/x/Dockerfile in docs/x -t acme/x (example)"],
    );
}

#[test]
fn commands_in_lines_of_other_files_are_builds() {
    check(
        &[
            (".gitlab-ci.yml", "a:\n  script:\n    - docker build -t $REGISTRY/a a\n"),
            ("Jenkinsfile", "sh \"docker build --target x \\\n  -t acme/b b\"\nsh 'echo'\n"),
            (
                "package.json",
                "{\n  \"scripts\": {\"b\": \"docker build -t acme/c c\", \"x\": \"\"}\n}\n",
            ),
            ("a/Dockerfile", ""),
            ("b/Dockerfile", ""),
            ("c/Dockerfile", ""),
        ],
        &[
            ".gitlab-ci.yml:3 a/Dockerfile in a -t …/a",
            "Jenkinsfile:1 b/Dockerfile in b target=x -t acme/b",
            "package.json:2 c/Dockerfile in c -t acme/c",
        ],
    );
}
