//! The keys of images that refer to other images of the repository.

use super::*;
use crate::base::{RelPath, Source};
use crate::graph::images::{Candidate, NamedContext};
use crate::graph::link::{LinkSettings, ParsedImage, link};
use crate::graph::naming::{NameOrigin, NamePart, NamingSettings};
use crate::parse::parse;

/// Returns the inputs of the image `app` in a repository with the images `base` and `other`, which are named with the
/// versions `1`, `2`, and `latest`. Its dependencies in the repository have identities.
fn inputs(text: &str, arguments: &str, contexts: &[(&str, &str)]) -> Inputs {
    let image = |name: &str, text: &str| {
        let path = RelPath::new(&format!("docker/{name}/Dockerfile")).unwrap();
        let source = Source::new(path.clone(), text);
        let mut candidate = Candidate::new(name, path);
        for (name, value) in contexts {
            let (name, value) = ((*name).to_owned(), (*value).to_owned());
            let spot = Some((source.clone(), Span::default()));
            candidate.contexts.push(NamedContext { name, value, is_directory: false, spot });
        }
        ParsedImage { candidate, file: parse(&source) }
    };
    let mut images = vec![image("app", text)];
    images.extend(["base", "other"].map(|it| image(it, "FROM scratch\nENV A=1\n")));
    let build_args = arguments.split_whitespace().map(|it| it.split_once('=').unwrap());
    let settings = LinkSettings {
        build_args: build_args.map(|(name, value)| (name.into(), value.into())).collect(),
        build_platform: "linux/amd64".parse().unwrap(),
        ..LinkSettings::default()
    };
    let part = |text: &str| NamePart { value: text.to_owned(), origin: NameOrigin::Directory };
    let naming = NamingSettings {
        namespace: Some(part("ns")),
        app: Some(part("shop")),
        versions: vec![part("1"), part("2")],
        ..NamingSettings::default()
    };
    let (graph, problems) = link(images, &naming, &settings);
    assert!(problems.iter().all(|problem| !problem.is_error()), "{problems:?}");
    let app = &graph.images[graph.find("app").unwrap()];
    let none = Attestations::default();
    let platform = "linux/amd64".parse().unwrap();
    let contexts = ContextReads::of(app, Doubt::default());
    let files = contexts.iter().map(|_| FileList::default()).collect();
    inputs_of((&graph, app), (&platform, &none), (&contexts, files), Doubt::default())
}

/// Checks whether the key changes between the build arguments `V=1` and `V=2`.
fn check(text: &str, changes: bool) {
    let [one, two] = ["V=1", "V=2"].map(|arguments| inputs(text, arguments, &[]));
    assert_eq!(one.key() != two.key(), changes, "{text}");
    assert_eq!(one != two, changes, "{text}");
    let [one, two] = [one, two].map(|inputs| serde_json::to_string(&inputs).unwrap());
    assert_eq!(one != two, changes, "{text}");
    let read: Inputs = serde_json::from_str(&one).unwrap();
    assert_eq!(read.key(), inputs(text, "V=1", &[]).key());
}

#[test]
fn the_reference_of_a_repository_image_does_not_count() {
    let same = |text| check(text, false);
    same("ARG V\nFROM ns/shop-base:$V\nRUN x\n");
    same("ARG V\nFROM ns/shop-base:$V AS a\nFROM scratch\nCOPY --from=a / /\n");
    same("ARG V\nARG TAG=$V\nFROM ns/shop-base:$TAG\nRUN x\n");
    same("ARG V\nFROM ns/shop-base:1 AS a\nFROM ns/shop-base:$V\nCOPY --from=a / /\n");
    same("ARG V\nFROM --platform=$BUILDPLATFORM ns/shop-base:$V\nRUN x\n");
    same("ARG V\nFROM scratch AS s1\nFROM scratch AS s2\nFROM ns/shop-base:$V\nRUN $V\n");
    // The name of an external image that is the same, whatever the argument.
    same("ARG V\nFROM ns/shop-base:$V AS a\nFROM alpine:3\nCOPY --from=a / /\n");
}

#[test]
fn an_argument_counts_where_it_is_declared_or_means_another_image() {
    let other = |text| check(text, true);
    other("ARG V\nFROM ns/shop-base:$V\nARG V\nRUN x\n");
    other("ARG V\nFROM ns/shop-base:$V\nARG V\nLABEL v=$V\n");
    other("ARG V\nFROM ns/shop-base:$V\nARG V\nONBUILD ENV v=$V\n");
    other("ARG V\nFROM ns/shop-base:$V\nARG W=$V\nARG V\nCOPY $W /\n");
    other("ARG V\nFROM ns/shop-base:$V AS a\nARG V\nRUN x\nFROM scratch\nCOPY --from=a / /\n");
    other("ARG V\nFROM alpine:$V\n");
    other("ARG V\nFROM ns/shop-${V/1/base}\n");
    other("ARG V\nARG N1=base\nARG N2=other\nFROM ns/shop-${V/1/base}:1\n");
    other("ARG V\nFROM scratch AS s1\nENV a=b\nFROM scratch AS s2\nFROM s$V\n");
}

#[test]
fn references_in_instructions_do_not_count() {
    let key = |text: &str| inputs(text, "", &[]).key();
    let check = |same: bool, [one, other]: [&str; 2]| {
        assert_eq!(key(one) == key(other), same, "{one}{other}");
    };
    let copy = |reference: &str| format!("FROM scratch\nCOPY --from={reference} /f /f\n");
    let mount = |reference: &str| format!("FROM scratch\nRUN --mount=from={reference} x\n");
    // A digest makes it an external image.
    let pinned = format!("ns/shop-base:1@sha256:{}", "0".repeat(64));
    for line in [&copy as &dyn Fn(&str) -> String, &mount] {
        check(true, [&line("ns/shop-base:1"), &line("docker.io/ns/shop-base")]);
        check(false, [&line("ns/shop-base:1"), &line("ns/shop-other:1")]);
        check(false, [&line("ns/shop-base:1"), &line(&pinned)]);
        check(false, [&line("ns/shop-base:1"), &line("base")]);
    }
    let both = |first: &str, second: &str| {
        let lines = [first, second].map(|it| format!("COPY --from=ns/shop-{it} /f /f\n"));
        format!("FROM scratch\n{}", lines.concat())
    };
    check(true, [&both("base", "base:2"), &both("base:1", "base:1")]);
    check(true, [&both("base:2", "other:1"), &both("base:1", "other:2")]);
    check(false, [&both("base", "other"), &both("other", "base")]);
    // The words of a trigger are part of the image that has it.
    check(
        false,
        [
            "FROM scratch\nONBUILD COPY --from=ns/shop-base:1 / /\n",
            "FROM scratch\nONBUILD COPY --from=ns/shop-base:2 / /\n",
        ],
    );
}

#[test]
fn references_in_named_contexts_do_not_count() {
    let key =
        |value: &str| inputs("FROM x\nCOPY --from=y /f /f\n", "", &[("x", value), ("y", value)]);
    let base = key("docker-image://ns/shop-base:1").key();
    assert_eq!(key("docker-image://ns/shop-base:2").key(), base);
    assert_eq!(key("base").key(), base);
    for other in ["docker-image://ns/shop-other:1", "docker-image://base", "./base"] {
        assert_ne!(key(other).key(), base, "{other}");
    }
}

#[test]
fn a_named_directory_counts_by_its_name() {
    let text = "FROM scratch\nCOPY --from=x f /\n";
    let one = inputs(text, "", &[("x", "./a"), ("y", "./a")]);
    assert_eq!(one, inputs(text, "", &[("x", "/b/c")]));
    assert_ne!(one.key(), inputs("FROM scratch\nCOPY --from=y f /\n", "", &[("y", "./a")]).key());
    assert_eq!(one.directories[0].name, "x");
    let text = "FROM scratch\nCOPY f /\n";
    let without = serde_json::to_string(&inputs(text, "", &[("x", "./a")])).unwrap();
    assert!(!without.contains("directories"), "keys of other images stay the same");
}

#[test]
fn passwords_in_the_urls_of_named_contexts_count_but_are_not_stored() {
    let of = |user: &str| {
        let address = format!("https://{user}@example.com/x.git");
        inputs("FROM scratch\nCOPY --from=x f /\n", "", &[("x", &address)])
    };
    assert_ne!(of("ann:one").key(), of("ann:two").key());
    assert!(!format!("{:?}", of("ann:hunter2")).contains("hunter2"));
}
