//! Tests of shell scripts and Makefiles.

use super::check;

#[test]
fn commands_of_scripts_are_read() {
    check(
        &[
            (
                "ci/build.sh",
                "#!/bin/sh\n# docker build -t no .\nset -e\nNAME=acme/web\nexport TAG=\"${TAG:-dev}\"\n\
                 docker build --pull -t $NAME:$TAG \\\n  --build-arg A=1 --build-arg=B=\"b c\" --build-arg C \\\n  \
                 --platform linux/amd64,linux/arm64 --target=run ../web && docker push $NAME\n\
                 (cd ../web && sudo docker buildx build -f ci.Dockerfile -t \"$NAME-ci:$(date +%s)\" .)\n\
                 cd /tmp\ndocker build .\necho docker build ../web\n",
            ),
            ("web/Dockerfile", ""),
            ("web/ci.Dockerfile", ""),
        ],
        &[
            "ci/build.sh:6 web/Dockerfile in web target=run A=1 B=b c -t acme/web:dev @linux/amd64 @linux/arm64",
            "ci/build.sh:9 web/ci.Dockerfile in web -t acme/web-ci:…",
        ],
    );
}

#[test]
fn loops_over_literals_are_expanded() {
    check(
        &[
            (
                "build.sh",
                "for dir in a b $MORE; do\n  podman build -t acme/$dir \"$dir\"\ndone\n\
                 for v in 1 2\ndo docker build -t a:$v --build-context src=./src --build-arg V=$v a; done\n\
                 if x; then B=1; else B=2; fi\nbuildah bud -t b:$B -f a/Dockerfile \"$1\"\n",
            ),
            ("a/Dockerfile", ""),
            ("b/Dockerfile", ""),
        ],
        &[
            "build.sh:2 a/Dockerfile in a -t acme/a",
            "build.sh:2 b/Dockerfile in b -t acme/b",
            "build.sh:5 a/Dockerfile in a V=1 -t a:1 src:=src",
            "build.sh:5 a/Dockerfile in a V=2 -t a:2 src:=src",
        ],
    );
}

#[test]
fn recipes_of_makefiles_are_read() {
    check(
        &[
            (
                "images/Makefile",
                "DOCKER ?= docker\nNAME := acme/$(UNSET)\nREPO = $(NAME)/x # ours\nall: a\n\n\
                 a:\n\t@$(DOCKER) build -t $(REPO)-a:$(shell date) \\\n\t  --build-arg X=$$HOME a\n\
                 \tcd b && $(ENGINE) build --build-arg Y=1 -t b .\n\tfor i in a b; do docker build -t l/$$i $$i; done\n\
                 %: %/Dockerfile\n\tdocker build -t $@ $@\n",
            ),
            ("images/a/Dockerfile", ""),
            ("images/b/Dockerfile", ""),
        ],
        &[
            "images/Makefile:7 images/a/Dockerfile in images/a -t acme/…/x-a:…",
            "images/Makefile:9 images/b/Dockerfile in images/b Y=1 -t b",
            "images/Makefile:10 images/a/Dockerfile in images/a -t l/a",
            "images/Makefile:10 images/b/Dockerfile in images/b -t l/b",
        ],
    );
}

#[test]
fn functions_are_read_with_the_arguments_of_their_calls() {
    check(
        &[
            (
                "build.sh",
                "build() {\n  local name=\"$1\"\n  docker build --build-arg B=\"$2\" -t acme/$name \"$name\"\n}\n\
                 for x in a b; do\n  build $x base\ndone\n\
                 unused() {\n  docker build -t acme/$1 a\n}\nall()\n{\n  build b other\n}\nall\n",
            ),
            ("a/Dockerfile", ""),
            ("b/Dockerfile", ""),
        ],
        &[
            "build.sh:3 a/Dockerfile in a B=base -t acme/a",
            "build.sh:3 b/Dockerfile in b B=base -t acme/b",
            "build.sh:3 b/Dockerfile in b B=other -t acme/b",
            "build.sh:9 a/Dockerfile in a -t acme/…",
        ],
    );
    check(&[("build.sh", "a() {\n  b\n  docker build x\n}\nb() {\n  a\n}\na\n")], &[]);
}

#[test]
fn the_directory_of_a_script_and_the_variables_of_another_are_known() {
    check(
        &[
            (
                "ci/all.sh",
                "here=$(cd \"$(dirname \"$0\")\" && pwd)\nsource $here/names.sh\nTOP=${PWD}/..\n\
                 for name in $NAMES; do\n  cd $TOP/images/$name\n  docker build -t acme/$name .\ndone\n",
            ),
            ("ci/names.sh", "NAMES=\"a b\"\nNAMES_2=$(date)\n"),
            ("images/a/Dockerfile", ""),
            ("images/b/Dockerfile", ""),
        ],
        &[
            "ci/all.sh:6 images/a/Dockerfile in images/a -t acme/a",
            "ci/all.sh:6 images/b/Dockerfile in images/b -t acme/b",
        ],
    );
}

#[test]
fn functions_that_call_each_other_often_are_limited() {
    let calls = "  a\n".repeat(300);
    let text = format!("a() {{\n{calls}  docker build x\n}}\na\n");
    let root = super::repository(&[("build.sh", &text), ("x/Dockerfile", "")]);
    let (builds, problems) = super::find(root.path());
    assert!(builds.iter().all(|it| it.dockerfile.as_str() == "x/Dockerfile"));
    assert!(problems[0].to_string().contains("too many combinations"), "{problems:?}");
}
