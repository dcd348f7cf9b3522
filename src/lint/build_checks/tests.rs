//! Dockerfiles and the checks of BuildKit that fail. The expected names are those that Docker 28 prints.

use std::collections::BTreeMap;

use super::*;
use crate::base::{RelPath, Source};
use crate::graph::images::Candidate;
use crate::graph::link::{LinkSettings, ParsedImage, link};
use crate::graph::naming::NamingSettings;

/// Returns the names of the failed checks, or `-` if nothing is refused.
fn names(text: &str, argument: Option<&str>, frontend: Option<Frontend>) -> String {
    let path = RelPath::new("docker/app/Dockerfile").unwrap();
    let file = crate::parse::parse(&Source::new(path.clone(), text));
    let candidate = Candidate::new("app", path);
    let argument = argument.map(|options| (ARGUMENT.to_owned(), options.to_owned()));
    let settings = LinkSettings {
        build_args: argument.into_iter().collect::<BTreeMap<_, _>>(),
        build_platform: "linux/amd64".parse().unwrap(),
        ..LinkSettings::default()
    };
    let naming = NamingSettings { directory: "shop".to_owned(), ..NamingSettings::default() };
    let (graph, _) = link(vec![ParsedImage { candidate, file }], &naming, &settings);
    let Some(failed) = failed(graph.images.values().next().unwrap(), frontend) else {
        return "-".to_owned();
    };
    failed.iter().map(|check| check.name).collect::<Vec<_>>().join(" ")
}

/// Checks the names for instructions after a directive.
fn check(instructions: &str, expected: &str) {
    let text = format!("# check=error=true\n{instructions}\n");
    assert_eq!(names(&text, None, None), expected, "{instructions}");
}

#[test]
fn failed_checks_have_the_names_of_buildkit() {
    check("FROM scratch AS a\nCOPY . /\nENV A=b", "");
    check("FROM scratch AS Base", "StageNameCasing");
    check("FROM scratch as a", "FromAsCasing");
    check("from scratch AS a", "FromAsCasing");
    check("FROM --platform=$TARGETPLATFORM scratch as a", "FromAsCasing");
    check("From scratch as a", "ConsistentInstructionCasing");
    check("FROM scratch\ncopy . /", "ConsistentInstructionCasing");
    check("from scratch\ncopy . /\nEnv a=b", "ConsistentInstructionCasing");
    check("FROM scratch AS a\nFROM scratch AS a", "DuplicateStageName");
    check(
        "FROM scratch AS context\nFROM scratch AS scratch",
        "ReservedStageName ReservedStageName",
    );
    check("FROM scratch\nMAINTAINER me", "MaintainerDeprecated");
    check("FROM scratch\nRUN a \\\n\n  b", "NoEmptyContinuation");
    check("FROM scratch\nENV a b\nLABEL c d", "LegacyKeyValueFormat LegacyKeyValueFormat");
    check("FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]", "MultipleInstructionsDisallowed");
    check("FROM scratch AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]", "");
    // Only reached stages are converted, but all are parsed.
    check("FROM scratch AS a\nENV a b\nMAINTAINER me\nFROM scratch", "MaintainerDeprecated");
    // The checks of single instructions can be skipped.
    check("FROM scratch\n# check=skip=StageNameCasing\nFROM scratch AS Base", "");
    check("FROM scratch AS a\n  # Check = skip=MaintainerDeprecated\nMAINTAINER me", "");
}

#[test]
fn options_come_from_the_directive_or_the_build_argument() {
    let with = |options: &str| format!("# check={options}\nFROM scratch AS Base\nMAINTAINER me\n");
    let check = |options: &str, argument, expected: &str| {
        assert_eq!(names(&with(options), argument, None), expected, "{options} {argument:?}");
    };
    let both = "StageNameCasing MaintainerDeprecated";
    check("error=true", None, both);
    check("error=1", None, both);
    check("error=false", None, "-");
    check("skip=FromAsCasing", None, "-");
    check("skip=StageNameCasing;error=true", None, "MaintainerDeprecated");
    let spaced = "skip = FromAsCasing , StageNameCasing ; error = true";
    check("skip=all", Some(spaced), "MaintainerDeprecated");
    check("skip=all;error=true", None, "");
    check("error=true", Some("skip=all"), "-");
    check("skip=all", Some("error=true;skip=StageNameCasing"), "MaintainerDeprecated");
    check("error=true", Some(""), "-");
}

#[test]
fn frontends_without_checks_refuse_nothing() {
    let text = "# check=error=true\nFROM scratch AS Base\n";
    let named = |name: &str| format!("# syntax={name}\n{text}");
    let (old, new) = (Some(Frontend::new(1, 2)), Some(Frontend::new(1, 8)));
    assert_eq!(names(text, None, old), "-");
    assert_eq!(names(text, None, new), "StageNameCasing");
    assert_eq!(names(&named("docker/dockerfile:1"), None, old), "StageNameCasing");
    assert_eq!(names(&named("docker/dockerfile:1.7"), None, new), "-");
    assert_eq!(names(&named("acme/frontend"), None, None), "-");
}
