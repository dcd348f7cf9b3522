//! The Docker engine itself: builds, failures and cancellation on a real daemon.

mod common;

use common::{Files, Name, build, engine_or_skip, output, request};
use layers::engine::{BuildOutcome, BuildUpdate, Engine};

#[test]
fn an_image_gets_all_its_references_and_labels() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let mut request = request(&name, "FROM scratch\nCOPY a b\n", Files::new().and("a", "1"));
    request.references.push(name.reference(":1.2"));
    let (outcome, updates) = build(&engine, &request);
    let BuildOutcome::Built { image_id } = outcome else { panic!("{outcome:?}") };
    eprintln!("{updates:#?}");
    let image = engine.inspect(&name.reference(":1.2")).unwrap().unwrap();
    assert_eq!(image.id, image_id);
    let mut references = image.references;
    references.sort();
    assert_eq!(references, [name.reference(":1.2"), name.reference(":latest")]);
    assert_eq!(image.labels["dev.layers.test"], name.label());
    assert_eq!(image.diff_ids.len(), 1);
}

#[test]
fn a_failing_step_is_named_with_its_output() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch AS one\nCOPY . .\nRUN echo before; echo err >&2; exit 3\n";
    let (outcome, updates) = build(&engine, &request(&name, text, Files::with_busybox()));
    let BuildOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.message, "exit code: 3");
    let step = failure.step.unwrap();
    assert_eq!((step.number, step.total), (2, 2));
    assert!(step.text.starts_with("RUN echo before"), "{step:?}");
    assert_eq!(output(&updates), b"before\nerr\n");
    assert!(
        !updates
            .iter()
            .any(|u| matches!(u, BuildUpdate::StepFinished { step: s, .. } if *s == step))
    );
}
