//! The rules of BuildKit's frontend beyond the shared cases, with one line each: the dependencies of a
//! Dockerfile, the files that it reads from the context, and its errors.

#![expect(clippy::unwrap_used, reason = "a test that can't go on must stop")]

use std::collections::BTreeMap;

use layers::base::{RelPath, Source};
use layers::graph::evaluate::{EvaluationSettings, Trigger, evaluate, triggers_of};
use layers::graph::reference::Reference;
use layers::parse::parse;

fn source(path: &str, text: &str) -> Source {
    Source::new(RelPath::new(path).unwrap(), text)
}

/// Describes an evaluation: `dependencies, … | paths, … | code@line, …`.
fn describe(text: &str, settings: &EvaluationSettings, parent: &str) -> String {
    let file = parse(&source("Dockerfile", text));
    let parent = parse(&source("parent/Dockerfile", parent));
    let triggers = |image: &Reference| -> Vec<Trigger> {
        if image.path == "acme/base" {
            triggers_of(&parent, parent.stages.len() - 1)
        } else {
            vec![]
        }
    };
    let evaluation = evaluate(&file, settings, &triggers);
    let dependencies = evaluation.dependencies.iter().map(|dependency| {
        let short = dependency.reference.familiar();
        short.strip_suffix(":latest").unwrap_or(&short).to_owned()
    });
    let paths = evaluation.context_uses.iter().map(|one| {
        let doubt = if one.certain { "" } else { "?" };
        format!("{}{doubt}", one.pattern)
    });
    let all = file.diagnostics.iter().chain(&evaluation.diagnostics);
    let errors = all.filter(|one| one.is_error()).map(|one| {
        let line = one.labels.first().map_or(0, |one| one.source.line_of(one.span.start));
        format!("{}@{line}", one.rule.code())
    });
    let join = |items: Vec<String>| items.join(", ");
    let parts = [join(dependencies.collect()), join(paths.collect()), join(errors.collect())];
    parts.join(" | ").trim_end_matches([' ', '|']).trim().to_owned()
}

fn check(text: &str, expected: &str) {
    assert_eq!(describe(text, &EvaluationSettings::default(), ""), expected, "{text}");
}

fn with_args(args: &[(&str, &str)]) -> EvaluationSettings {
    let pairs = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    EvaluationSettings { build_args: pairs.collect(), ..EvaluationSettings::default() }
}

#[test]
fn lines_are_parsed_as_in_buildkit() {
    check("FROM a \\\\\n", "a |  | parse-error@1");
    check("  FROM a\n\tCOPY x /\n", "a | x");
    check("FROM a\r\nCOPY x \\\r\n  y /\r\n", "a | x, y");
    check("# syntax=x\n# escape=q\nFROM a\n", "a |  | invalid-escape@2");
    check("# escape=`\nFROM a\nCOPY x `\n  y\\z /\n", "a | x, y\\z");
    check("FROM a\nCOPY x\\\n y /\n", "a | x, y");
    check("FROM a\nRUN x\\\\\nCOPY x /\n", "a | x");
    check("\\\nFROM a\n", "a");
    check("FROM a\n\\\n", "a |  | unknown-instruction@2");
    check("FROM a\nCOPY\u{a0}x /\n", "a |  | unknown-instruction@2");
    check("# check=nothing\nFROM a\n", "a |  | invalid-check@1");
    check(&format!("FROM a\nRUN {}\n", "x".repeat(65_531)), "a");
    check(&format!("FROM a\nRUN {}\n", "x".repeat(65_532)), "a |  | line-too-long@2");
    check("FROM a b\n", "a |  | parse-error@1");
    check("FROM a AS \"x\"\n", "a |  | invalid-stage-name@1");
    check("ARG N=x\nFROM a AS $N\n", "a |  | invalid-stage-name@2");
}

#[test]
fn here_documents_are_evaluated() {
    check("FROM a\nCOPY <<A <<B x /\n1\nA\n2\nB\n", "a | x");
    check("FROM a\nCOPY [\"<<A\", \"x\", \"/\"]\nUSER u\n", "a | x");
    check("FROM a\nONBUILD COPY <<A /\nFROM b\nA\nCOPY x /\n", "a | x");
    check("FROM a\nENV V=<<A\nFROM b\n", "b");
    check("FROM a\nRUN cat <<<A\nFROM b\n", "b");
    check("FROM a\nRUN it's <<A\nFROM b\n", "b");
    check("FROM a\nCOPY <<A /\n${V^^}\nA\n", "a |  | unsupported-modifier@3");
    check("FROM a\nCOPY <<'A' /\n${V^^}\nA\n", "a");
    check("FROM a\nRUN <<A\n${V^^}\nA\n", "a");
    check("# escape=`\nFROM a\nRUN <<\\A\nFROM no\nA\n", "a");
}

#[test]
fn copy_and_mount_sources_are_resolved() {
    check("FROM a\nFROM b\nCOPY --from=00 x y\n", "a, b");
    check("FROM a AS x\nFROM b\nCOPY --from=+0 p y\nCOPY --from=X q y\n", "a, b");
    check("FROM a\nCOPY --from=b x y\nCOPY --from=1 x y\n", "a, b, b");
    check("FROM a\nCOPY --from=1 x y\n", "a |  | stage-index@2");
    check("FROM a\nCOPY --from=$X x y\n", "a |  | variable-in-from@2");
    check("FROM a\nCOPY --from=\"'b'\" x y\n", "a |  | variable-in-from@2");
    check("FROM a\nCOPY \"--from=b\" x y\n", "a | --from=b, x");
    check("FROM a\nCOPY --from='b' x y\n", "a, b");
    check("FROM a\nRUN --mount=from=$X,target=/t true\n", "a |  | variable-in-from@2");
    check("FROM a\nRUN --mount=from=b$,target=/t true\n", "a |  | invalid-reference@2");
    check("FROM a\nRUN true --mount=from=b,target=/t\n", "a");
    check("FROM a\nRUN --mount=type=cache,from=b,target=/t true\n", "a, b");
    check("FROM a\nRUN --mount=type=cache,target=/t true\n", "a");
    check("FROM a\nRUN --mount=type=secret,id=x,from=b true\n", "a |  | invalid-mount@2");
    check("FROM a\nRUN --mount=type=nothing,target=/t true\n", "a |  | invalid-mount@2");
    check("FROM a\nRUN --mount=typ=bind,target=/t true\n", "a |  | invalid-mount@2");
    check("FROM a AS x\nRUN --mount=typ=bind true\nFROM b\n", "b");
    check("FROM a\nARG T=cache\nRUN --mount=type=$T,target=/t true\n", "a");
    check("FROM a AS x\nCOPY --from=y p q\nFROM b AS y\nCOPY --from=x p q\n", {
        "a, b |  | stage-cycle@2, later-stage@2"
    });
    check("FROM a AS x\nCOPY --from=BAD_ p q\nFROM b\n", "b |  | invalid-reference@2");
}

#[test]
fn stage_bases_are_resolved() {
    check("FROM a AS scratch\nFROM scratch\n", "a");
    check("FROM scratch AS x\nRUN --mount=target=/t true\n", "| .");
    check("FROM a AS scratch\nFROM b\nRUN --mount=target=/t true\n", "a, b | .");
    check("FROM a AS Build\nFROM Build\n", "|  | invalid-reference@2");
    check("FROM a AS a\nFROM a\n", "a");
    check("FROM --platform=linux/arm64 a AS x\nFROM --platform=linux/s390x x\n", "a");
    check("FROM --platform=\"linux/arm64\" a\n", "a");
    check("FROM --platform=what a\n", "a |  | invalid-platform@1");
    check("ARG P\nFROM --platform=$P a\n", "a |  | invalid-platform@2");
    check("FROM --platform=$P a\n", "a |  | invalid-platform@1");
    check("ARG P=a,b\nFROM --platform=$P a\n", "a |  | invalid-platform@2");
    check("FROM --platform= a\n", "a");
    check("FROM --platform=a --platform=b a\n", "a |  | duplicate-flag@1");
    check("FROM a${V\n", "|  | bad-substitution@1");
    check("FROM \"a\n", "|  | unclosed-quote@1");
}

#[test]
fn build_arguments_are_expanded() {
    let check = |args: &[(&str, &str)], text: &str, expected: &str| {
        assert_eq!(describe(text, &with_args(args), ""), expected, "{text}");
    };
    check(&[("V", "2")], "ARG V=1\nFROM a:$V\n", "a:2");
    check(&[("V", "2")], "ARG V\nFROM a:$V\n", "a:2");
    check(&[], "ARG V=1 W=$V\nFROM a:$W\n", "a:1");
    check(&[], "ARG V=$TARGETARCH\nFROM a:$V\n", "a:amd64");
    check(&[("V", "x")], "FROM scratch\nARG V=y\nCOPY $V /\n", "| x");
    check(&[], "ARG V=x\nFROM scratch\nARG V\nCOPY $V /\n", "| x");
    check(&[], "ARG V=x\nFROM scratch\nARG V=y\nCOPY $V /\n", "| y");
    check(&[], "FROM scratch\nARG V=x\nENV V=y\nCOPY $V /\n", "| y");
    check(&[("V", "z")], "FROM scratch\nARG V=x\nENV V=y\nCOPY $V /\n", "| y");
    check(&[], "FROM scratch\nENV V=1\nENV V=2 W=$V\nCOPY $W /\n", "| 1");
    check(&[], "FROM scratch\nENV V=1 V=2\nCOPY $V /\n", "| 2");
    check(&[], "FROM scratch\nENV V=1\nARG V=2\nCOPY $V /\n", "| 2");
    check(&[], "FROM scratch\nARG V=1 W=$V\nCOPY $W /\n", "| 1");
    check(&[], "FROM scratch\nARG TARGETARCH\nCOPY x-$TARGETARCH /\n", "| x-amd64");
    check(&[], "FROM scratch\nCOPY x-$TARGETARCH /\n", "| x-");
    check(&[], "FROM scratch AS s\nARG V=x\nENV W=y\nFROM s\nCOPY $V $W /\n", "| x, y");
    check(&[], "FROM scratch AS s\nENV V=1\nARG V=2\nFROM s\nCOPY $V /\n", "| 1");
    check(&[], "FROM scratch AS s\nENV V=1\nARG V=2\nFROM s\nARG V=3\nCOPY $V /\n", "| 3");
    check(
        &[],
        "FROM scratch AS s\nARG V=2\nENV V=1\nARG V=$V\nFROM s AS t\nFROM t\nCOPY $V /\n",
        "| 1",
    );
    check(&[], "FROM a AS s\nARG V=2\nCOPY $V /\nFROM s\nCOPY $V /\n", "a | 2, 2?");
    check(&[], "FROM scratch\nENV A x  y\nCOPY \"$A\" /\n", "| x  y");
    check(&[("V", "ok")], "FROM scratch\nARG V=${X^^}\nCOPY $V /\n", "| ok");
    check(&[], "FROM scratch\nARG V=${X^^}\n", "|  | unsupported-modifier@2");
    check(&[], "FROM scratch AS s\nARG V=${X^^}\nFROM scratch\n", "");
}

#[test]
fn the_target_platform_determines_platform_arguments() {
    let check = |platform: &str, text: &str, expected: &str| {
        let settings = EvaluationSettings {
            platform: platform.parse().unwrap(),
            ..EvaluationSettings::default()
        };
        assert_eq!(describe(text, &settings, ""), expected, "{platform} {text}");
    };
    let variant = "FROM scratch\nARG TARGETARCH TARGETVARIANT\nCOPY $TARGETARCH$TARGETVARIANT /\n";
    check("linux/arm", variant, "| armv7");
    check("linux/arm/v6", variant, "| armv6");
    check("linux/arm64/v8", variant, "| arm64");
    check("linux/arm64", variant, "| arm64");
    check("windows/amd64", "FROM scratch\nCOPY x$PATH /\n", "| x");
    check("windows/amd64", "FROM --platform=linux/amd64 scratch\nCOPY x$PATH /\n", "| x");
}

#[test]
fn variables_from_external_images_are_unknown() {
    check("FROM a\nCOPY x$V y${V:-1} z /\n", "a | x?, y1?, z");
    check("FROM a\nARG V=1\nCOPY x$V /\n", "a | x1");
    check("FROM a\nENV W=$V\nCOPY x$W /\n", "a | x?");
    check("FROM a AS s\nFROM s\nCOPY x$V /\n", "a | x?");
    check("FROM scratch AS s\nFROM s\nCOPY x$V /\n", "| x");
    // An error is not reported if a variable of the image could prevent it.
    check("FROM a\nENV W=${V:?}\nCOPY ${V:?} /\n", "a | .?");
    check("FROM scratch\nENV W=${V:?}\n", "|  | required-variable@2");
    check("FROM a\nRUN --mount=type=$T,target=/t true\n", "a | .?");
    check("FROM a\nCOPY <<A /x\n${V:?}\nA\n", "a");
    check("FROM a\nCOPY ${V:-https://h/x} /\n", "a | https:/h/x?");
}

#[test]
fn context_uses_are_collected() {
    check("FROM scratch\nCOPY *.txt d/../e ./f/ /\n", "| *.txt, e, f");
    check("FROM scratch\nCOPY --parents a/./b/c /\n", "| a/b/c");
    check("FROM scratch\nCOPY https://h/x /\n", "|  | copy-address@2");
    check("FROM scratch\nCOPY git@h:x /\n", "|  | copy-address@2");
    check("FROM scratch\nADD git@h:x https://h/y z /\n", "| z");
    check("FROM scratch\nADD --checksum=x y /\n", "|  | checksum@2");
    check("FROM scratch\nCOPY --chmod=8 x /\n", "|  | invalid-mode@2");
    check("FROM scratch\nCOPY \"a b\" /\n", "|  | unclosed-quote@2");
    check("FROM scratch AS s\nCOPY x /\nFROM scratch\nCOPY y /\n", "| y");
    check("FROM scratch\nRUN --mount=type=ssh --mount=type=secret,id=a true\n", "");
}

#[test]
fn triggers_are_evaluated_in_the_child() {
    let check = |parent: &str, text: &str, expected: &str| {
        assert_eq!(describe(text, &EvaluationSettings::default(), parent), expected, "{text}");
    };
    let parent = "FROM x\nONBUILD COPY app /\nONBUILD COPY --from=tools /a /\n";
    check(parent, "FROM acme/base\n", "acme/base, tools | app");
    // A stage of the child takes precedence.
    check(parent, "FROM t AS tools\nFROM acme/base\n", "t, acme/base | app");
    check(parent, "FROM acme/base AS tools\n", "acme/base | app");
    check(parent, "FROM acme/base AS s\nFROM b\n", "b");
    check("FROM x\nONBUILD ARG V=1\nONBUILD COPY $V /\n", "FROM acme/base\nCOPY x$V /\n", {
        "acme/base | 1, x1"
    });
    check("FROM x\nONBUILD COPY x\n", "FROM acme/base\n", "acme/base |  | parse-error@2");
    check("FROM x\nONBUILD WHAT x\n", "FROM acme/base\n", "acme/base |  | unknown-instruction@2");
    check("", "FROM a AS s\nONBUILD COPY --from=b x /\nFROM s\nFROM s\n", "a, b");
    check("", "FROM a AS s\nONBUILD COPY x /\nFROM s AS t\nFROM t\n", "a | x");
    // The triggers of an image that is only copied from do not run, but their sources are resolved.
    const TOOLS: &str = "FROM x\nONBUILD COPY --from=tools a app /\n";
    check(TOOLS, "FROM a\nCOPY --from=acme/base x /\n", "a, acme/base, tools");
    check(TOOLS, "FROM a\nRUN --mount=from=acme/base,target=/t x\n", "a, acme/base, tools");
    check(TOOLS, "FROM a AS tools\nCOPY y /\nFROM b\nCOPY --from=acme/base x /\n", {
        "a, b, acme/base | y"
    });
    check("FROM x\nONBUILD COPY --from=acme/base a /\n", "FROM a\nCOPY --from=acme/base x /\n", {
        "a, acme/base, acme/base"
    });
    check("", "FROM a AS s\nONBUILD COPY x /\n", "a");
    check("", "FROM a AS s\nONBUILD COPY --from=z x /\nFROM s AS t\nFROM b AS z\nFROM t\n", {
        "a, b |  | later-stage@2"
    });
}

#[test]
fn named_contexts_take_precedence_over_stages_and_images() {
    let check = |contexts: &[(&str, &str)], text: &str, expected: &str| {
        let pairs = contexts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let contexts: BTreeMap<String, String> = pairs.collect();
        let settings = EvaluationSettings { contexts, ..EvaluationSettings::default() };
        assert_eq!(describe(text, &settings, ""), expected, "{text}");
    };
    check(&[("b", "docker-image://c:1")], "FROM b\n", "c:1");
    check(&[("b", "docker-image://c:1")], "FROM docker.io/library/b:latest\n", "c:1");
    check(&[("docker.io/library/b:latest", "docker-image://c:1")], "FROM b\n", "c:1");
    check(&[("b", "docker-image://c:1")], "FROM b:2\n", "b:2");
    check(&[("b", "../dir")], "FROM b\nCOPY x /\n", "| x");
    check(&[("b::linux/arm64", "docker-image://c:1")], "FROM b\n", "b");
    check(&[("b::linux/amd64", "docker-image://c:1")], "FROM b\n", "c:1");
    check(&[("scratch", "docker-image://c:1")], "FROM scratch\n", "");
    check(&[("s", "docker-image://c")], "FROM a AS s\nCOPY x /\nFROM s\n", "c");
    check(&[("t", "docker-image://c")], "FROM a\nRUN --mount=from=t,target=/t true\n", "a, c");
    check(&[("t", "docker-image://BAD")], "FROM t\n", "|  | invalid-reference@1");
}

#[test]
fn invalid_instructions_and_flags_are_reported() {
    check("FROM a\nCOPY --form=x a b\n", "a |  | unknown-flag@2");
    check("FROM a\nUSER --x y\n", "a |  | unknown-flag@2");
    check("FROM a\nSTOPSIGNAL --x 9\n", "a");
    check("FROM a\nENV A\n", "a |  | parse-error@2");
    check("FROM a\nENV A=1 B\n", "a |  | parse-error@2");
    check("FROM a\nENV =1\n", "a |  | parse-error@2");
    check("FROM a\nWORKDIR\n", "a |  | parse-error@2");
    check("FROM a\nSHELL sh -c\n", "a |  | parse-error@2");
    check("FROM a\nCMD [1]\n", "a |  | parse-error@2");
    check("FROM a\nCMD ['x']\n", "a");
    check("FROM a\nRUN --network=x true\n", "a |  | invalid-flag@2");
    check("FROM a\nRUN --mount=\"type true\n", "a |  | invalid-mount@2");
    check("FROM a\nHEALTHCHECK NONE\nHEALTHCHECK --interval=5m CMD x\n", "a");
    check("FROM a\nHEALTHCHECK WHAT\n", "a |  | parse-error@2");
    check("FROM a\nCOPY --link=maybe x /\n", "a |  | invalid-flag@2");
    check("FROM a\nCOPY --link= x /\n", "a |  | flag-without-value@2");
    check("FROM a\nCOPY --exclude=a --exclude=b x /\n", "a | x");
    check("FROM a\nONBUILD ENV A\n", "a |  | parse-error@2");
    check("FROM a\nONBUILD\n", "a |  | parse-error@2");
    check("WHAT\nFROM a\n", "a |  | unknown-instruction@1");
    check("FROM a\nONBUILD HEALTHCHECK CMD [1]\n", "a |  | parse-error@2");
    check("FROM a\nRUN []\n", "a |  | parse-error@2");
    check("FROM a AS x\nRUN [ ]\nFROM b\n", "b");
    check("FROM a\nCOPY --exclude=é x /\nRUN --mount=source=é,target=/t true\n", "a | x, Ã©");
    check("FROM a\nCOPY --chown=à x /\n", "a | x");
    check("FROM a\nCOPY --exclude=àb x /\n", "a | b, x");
    check("FROM a AS b.\n", "a |  | invalid-stage-name@1");
    check("FROM a AS b..c\nFROM b\n", "b |  | invalid-stage-name@1");
}

#[test]
fn invalid_instruction_values_are_reported() {
    check("FROM scratch\nEXPOSE 80 a\n", "|  | invalid-value@2");
    check("FROM scratch\nARG P=\"1 2\"\nEXPOSE $P $Q\n", "");
    check("FROM a\nEXPOSE $P\n", "a");
    check("FROM scratch\nSTOPSIGNAL $P\n", "|  | invalid-value@2");
    check("FROM scratch\nVOLUME $P\n", "|  | invalid-value@2");
    check("FROM scratch\nCOPY --chmod=u+x,go= x /\n", "| x");
    check("FROM scratch\nCOPY --chmod=rwx x /\n", "|  | invalid-mode@2");
    check("FROM scratch\nCOPY --chmod=$M x /\n", "| x");
    check("FROM scratch\nRUN --device=v/c=a,required=maybe x\n", "|  | invalid-flag@2");
    check("FROM scratch\nRUN --device=name=a,name=b x\n", "|  | invalid-flag@2");
    check("FROM scratch\nRUN --device=v/c=a,required --device=required,b x\n", "");
    check("FROM a\nRUN --mount=type=ssh,source=x true\n", "a |  | invalid-mount@2");
    check("FROM a\nRUN --mount=target=/ true\n", "a |  | invalid-mount@2");
    check("FROM a\nRUN --mount=target=/x/.. true\n", "a | .");
    check("FROM scratch\nADD --checksum=x github.com/a/b /\n", "| github.com/a/b");
    check("FROM scratch\nADD https://h/%zz.git https://h/%41.git /\n", "");
}

#[test]
fn every_value_of_a_build_argument_is_reported() {
    let file = parse(&source(
        "Dockerfile",
        "ARG Y=1\nARG X=$Y\nFROM scratch AS a\nARG X\nFROM scratch\nARG X=2\nARG Z\n\
         COPY --from=a x y\n",
    ));
    let evaluation = evaluate(&file, &EvaluationSettings::default(), &|_: &Reference| Vec::new());
    let expected = [("X", Some("1")), ("X#1", Some("2")), ("Z", None)];
    let found = evaluation.used_args.iter();
    let found: Vec<_> = found.map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    assert_eq!(found, expected);
}

#[test]
fn mounted_secrets_are_collected() {
    const PARENT: &str = "FROM scratch\nONBUILD RUN --mount=type=secret,id=t,required make\n";
    let check = |text: &str, expected: &str| {
        let file = parse(&source("Dockerfile", text));
        let parent = parse(&source("parent/Dockerfile", PARENT));
        let triggers = |_: &Reference| triggers_of(&parent, 0);
        let evaluation = evaluate(&file, &EvaluationSettings::default(), &triggers);
        let uses = evaluation.secret_uses.iter().map(|it| {
            let marks = [if it.required { "!" } else { "" }, if it.certain { "" } else { "?" }];
            format!("{}{}@{}", it.id, marks.concat(), it.source.location(it.span))
        });
        assert_eq!(uses.collect::<Vec<_>>().join(", "), expected, "{text}");
    };
    let parent = "t!@parent/Dockerfile:2:21";
    let at = |mount: &str| format!("FROM scratch\nRUN --mount={mount} make\n");
    check(&at("type=secret,id=a"), "a@Dockerfile:2:13");
    check(&at("type=secret,source=a,target=/b"), "a@Dockerfile:2:13");
    check(&at("type=secret,target=/run/b/"), "b@Dockerfile:2:13");
    check(&at("type=secret,target=/"), "/@Dockerfile:2:13");
    check(&at("type=secret,id=a,required"), "a!@Dockerfile:2:13");
    check(&at("type=secret,id=a,required=1"), "a!@Dockerfile:2:13");
    check(&at("type=secret,id=a,required=False"), "a@Dockerfile:2:13");
    check(&at("type=ssh"), "default@Dockerfile:2:13");
    check(&at("type=ssh,id=a,required=true"), "a!@Dockerfile:2:13");
    check(&at("type=ssh,from=scratch"), "default@Dockerfile:2:13");
    check(&at("type=cache,target=/c"), "");
    // An ID with a variable of the image's environment is uncertain. The triggers of the base mount a secret
    // too.
    check(
        "FROM a\nRUN --mount=type=secret,id=a$A make\n",
        &format!("{parent}, a?@Dockerfile:2:13"),
    );
    check("FROM scratch AS a\nRUN --mount=type=ssh make\nFROM b\n", parent);
}
