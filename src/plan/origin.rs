//! Proof of origin: that an image was built from its Dockerfile with its key, and not merely on top of such an image.
//!
//! Owns the second label of an image, and the check. Labels are inherited: an image built on one of ours has its key as
//! well (`FROM`, `docker commit`). But such an image cannot have the history of the original, because every instruction
//! adds an entry to it, except `ONBUILD`. `ONBUILD` and `--label` change the configuration instead. So an image has a
//! label with the number of history entries below its own instructions, the total number of entries, and a digest of
//! the labels and triggers that it should have. The image is valid for its key if its history has that many entries, if
//! its own entries match the Dockerfile's instructions, and if its labels and triggers have that digest.
//!
//! The numbers are those of the base that the image was built on. They are recorded, and not computed from the current
//! base, because a base that is rebuilt with another history can come out the same (early cutoff). Only the keyword of
//! an entry is compared. For each layer of the base that the base's history does not account for, BuildKit appends its
//! own entry at the end (`exporter/containerimage/writer.go`, `normalizeLayersAndHistory`).

use std::collections::BTreeMap;

use crate::engine::{Evidence, HistoryEntry};
use crate::graph::Image;
use crate::graph::evaluate::{Evaluation, ImageLabel};
use crate::inputs::inheritance::without_ours;
use crate::inputs::{Inheritance, KEY_LABEL, PROOF_LABEL};
use crate::parse::InstructionKind;

/// Returns the value of the label that proves an image's origin, given the evaluation of its Dockerfile, its key, and
/// its base. Returns `None` if the result of the build cannot be predicted: such an image is known only by its ID.
pub fn proof(
    image: &Image,
    evaluation: &Evaluation,
    key: &str,
    base: &Inheritance,
) -> Option<String> {
    let chain = chain_of(image, evaluation).filter(|_| !image.has_unknown_frontend())?;
    let below = base.history?;
    let unaccounted = base.layers.saturating_sub(below);
    let total = below + chain.keywords.len() + unaccounted;
    let mut labels = base.labels.clone();
    for label in &chain.labels {
        if !label.certain {
            return None;
        }
        labels.insert(label.name.clone(), label.value.clone());
    }
    // The frontend adds these at the end (BuildKit, `dockerfile2llb/convert.go`, `finalizeResultImage`).
    labels.extend(image.labels.clone());
    let triggers: Vec<&str> =
        evaluation.onbuild.iter().map(|trigger| trigger.text.as_str()).collect();
    Some(format!("{below}/{total}/{}", digest(key, &without_ours(&labels), &triggers)))
}

/// Returns whether all labels of an image are known without its base's environment.
pub fn has_certain_labels(image: &Image) -> bool {
    chain_of(image, &image.evaluation)
        .is_some_and(|chain| chain.labels.iter().all(|label| label.certain))
}

/// Returns whether an image with a key was built from a Dockerfile with that key.
pub fn is_proved(image: &Image, key: &str, evidence: &Evidence) -> bool {
    let Evidence { labels, on_build, history } = evidence;
    if labels.get(KEY_LABEL).map(String::as_str) != Some(key) {
        return false;
    }
    let Some((below, total, digested)) = labels.get(PROOF_LABEL).and_then(|text| read(text)) else {
        return false;
    };
    let Some(chain) = chain_of(image, &image.evaluation) else { return false };
    let own = history.get(below..).unwrap_or_default();
    let is_step = |(entry, keyword): (&HistoryEntry, &&str)| entry.is_of(keyword);
    let triggers: Vec<&str> = on_build.iter().map(String::as_str).collect();
    history.len() == total
        && own.len() >= chain.keywords.len()
        && own.iter().zip(&chain.keywords).all(is_step)
        && digest(key, &without_ours(labels), &triggers) == digested
}

fn read(text: &str) -> Option<(usize, usize, &str)> {
    let mut parts = text.splitn(3, '/');
    let (below, total) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((below, total, parts.next()?))
}

fn digest(key: &str, labels: &BTreeMap<String, String>, triggers: &[&str]) -> String {
    // Strings, lists, and maps always serialize to JSON.
    let text = serde_json::to_vec(&(key, labels, triggers)).unwrap_or_default();
    blake3::hash(&text).to_hex()[..32].to_owned()
}

/// The stages whose instructions make the target, from the bottom up.
struct StageChain<'a> {
    /// The keywords of everything that adds an entry to the history.
    keywords: Vec<&'a str>,
    labels: Vec<&'a ImageLabel>,
}

fn chain_of<'a>(image: &'a Image, evaluation: &'a Evaluation) -> Option<StageChain<'a>> {
    let (stages, _) = evaluation.chain()?;
    let mut chain = StageChain { keywords: Vec::new(), labels: Vec::new() };
    for at in stages {
        let view = &evaluation.stages[at];
        let triggers = view.triggers.iter().map(|trigger| {
            let word = trigger.text.split_whitespace().next();
            word.unwrap_or_default()
        });
        chain.keywords.extend(triggers);
        let instructions = image.file.stages.get(at)?.instructions.iter();
        let steps = instructions.filter(|it| !matches!(it.kind, InstructionKind::Onbuild(_)));
        chain.keywords.extend(steps.map(|step| step.keyword.value.as_str()));
        chain.labels.extend(&view.labels);
    }
    Some(chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ImageId, RelPath, Source};
    use crate::graph::Graph;
    use crate::graph::images::Candidate;
    use crate::graph::link::{LinkSettings, ParsedImage, link};
    use crate::graph::naming::NamingSettings;
    use crate::graph::reference::Reference;

    const KEY: &str = "k";

    fn graph_of(text: &str) -> Graph {
        let path = RelPath::new("docker/x/Dockerfile").unwrap();
        let file = crate::parse::parse(&Source::new(path.clone(), text.to_owned()));
        let read = ParsedImage { candidate: Candidate::new("x", path), file };
        let settings = LinkSettings {
            build_platform: "linux/amd64".parse().unwrap(),
            ..LinkSettings::default()
        };
        link(vec![read], &NamingSettings::default(), &settings).0
    }

    /// A base with two entries in its history, and one layer more than they account for.
    fn base() -> Inheritance {
        Inheritance {
            layers: 3,
            history: Some(2),
            labels: [("of".to_owned(), "base".to_owned())].into(),
            environment: Vec::new(),
        }
    }

    /// Returns whether an image passes that has these labels in addition to its key and its proof.
    fn passes(text: &str, labels: &[(&str, &str)], on_build: &[&str], history: &[&str]) -> bool {
        let graph = graph_of(text);
        let image = &graph.images[ImageId(0)];
        let proof = proof(image, &image.evaluation, KEY, &base()).expect("it can be predicted");
        let ours = [(KEY_LABEL, KEY), (PROOF_LABEL, proof.as_str())];
        let labels = labels.iter().chain(&ours);
        let labels = labels.map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let on_build = on_build.iter().map(|text| (*text).to_owned()).collect();
        let history = history.iter().map(|text| (*text).to_owned().into()).collect();
        is_proved(image, KEY, &Evidence { labels, on_build, history })
    }

    #[test]
    fn images_are_verified_by_history_labels_and_triggers() {
        let text = "FROM b\nLABEL a=1\nENV E=1\nONBUILD RUN x\nRUN make\n";
        let labels = [("of", "base"), ("a", "1")];
        // The entry that BuildKit appends for the layer that the base's history does not account
        // for comes last.
        let own = ["", "ADD x", "LABEL a=1", "ENV E=1", "run /bin/sh -c make # buildkit", "pulled"];
        let check = |labels: &[(&str, &str)], on_build: &[&str], history: &[&str], expected| {
            assert_eq!(passes(text, labels, on_build, history), expected, "{labels:?} {history:?}");
        };
        check(&labels, &["RUN x"], &own, true);
        check(&labels, &["RUN x"], &[&own[..], &["RUN make"]].concat(), false);
        check(&labels, &["RUN x"], &own[..5], false);
        check(&labels, &["RUN x"], &["", "ADD x", "LABEL a=1", "USER e", "RUN m", "p"], false);
        check(&labels, &["RUN y"], &own, false);
        check(&labels, &[], &own, false);
        check(&[("of", "base"), ("a", "2")], &["RUN x"], &own, false);
        check(&[("of", "base"), ("a", "1"), ("more", "1")], &["RUN x"], &own, false);
        check(&labels[..1], &["RUN x"], &own, false);
    }

    #[test]
    fn images_with_a_missing_or_mismatched_proof_are_rejected() {
        let graph = graph_of("FROM scratch\nENV A=1\n");
        let image = &graph.images[ImageId(0)];
        let base = Inheritance::of_nothing();
        let proof = |key| proof(image, &image.evaluation, key, &base).unwrap();
        let check = |labels: &[(&str, &str)], expected| {
            let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let labels = labels.collect();
            let history = vec!["ENV A=1".to_owned().into()];
            let evidence = Evidence { labels, on_build: Vec::new(), history };
            assert_eq!(is_proved(image, KEY, &evidence), expected, "{evidence:?}");
        };
        check(&[(KEY_LABEL, KEY), (PROOF_LABEL, &proof(KEY))], true);
        check(&[(KEY_LABEL, KEY), (PROOF_LABEL, &proof("other"))], false);
        check(&[(KEY_LABEL, "other"), (PROOF_LABEL, &proof(KEY))], false);
        check(&[(KEY_LABEL, KEY)], false);
        check(&[(KEY_LABEL, KEY), (PROOF_LABEL, "0/1")], false);
        check(&[(KEY_LABEL, KEY), (PROOF_LABEL, "9/1/x")], false);
        check(&[], false);
    }

    #[test]
    fn unpredictable_images_do_not_have_a_proof() {
        let check = |text: &str, base: &Inheritance, expected: bool| {
            let graph = graph_of(text);
            let image = &graph.images[ImageId(0)];
            let found = proof(image, &image.evaluation, KEY, base);
            assert_eq!(found.is_some(), expected, "{text}");
        };
        check("FROM b\nLABEL a=1\n", &base(), true);
        check("FROM b\nLABEL a=$OF_BASE\n", &base(), false);
        check("# syntax=acme/frontend\nFROM b\nLABEL a=1\n", &base(), false);
        check("# syntax=docker/dockerfile:1\nFROM b\nLABEL a=1\n", &base(), true);
        check("FROM b\nLABEL a=1\n", &Inheritance { history: None, ..base() }, false);
    }

    #[test]
    fn labels_are_certain_if_the_base_environment_is_known() {
        let graph = graph_of("FROM b AS one\nENV V=$OF_BASE\nFROM one\nLABEL a=$V\n");
        let image = ImageId(0);
        assert!(!has_certain_labels(&graph.images[image]));
        let environment = vec![("OF_BASE".to_owned(), "yes".to_owned())];
        let environments = [(Reference::parse("b").unwrap(), environment)].into();
        let evaluation = graph.evaluate_on(image, environments, &BTreeMap::new());
        let labels: Vec<_> = evaluation.stages[1].labels.iter().map(|it| &*it.value).collect();
        assert_eq!(labels, ["yes"]);
        assert!(proof(&graph.images[image], &evaluation, KEY, &base()).is_some());
    }
}
