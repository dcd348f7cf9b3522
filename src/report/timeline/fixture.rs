//! A small handwritten run for the tests of everything that shows runs.

use std::sync::Arc;
use std::time::Duration;

use super::Timeline;
use crate::base::{Location, RelPath};
use crate::event::{
    Event, Excerpt, Failure, FailureKind, ImageEdge, Operation, RunImage, Skip, StepCounts,
    StepInfo, TimedEvent,
};
use crate::graph::evaluate::DependencyKind;
use crate::plan::Reason;

/// An event and its image; the name is empty for an event of the run.
pub(in crate::report) type Fact<'a> = (&'a str, Event);

pub(in crate::report) fn at(ms: u64, (image, event): Fact<'_>) -> TimedEvent {
    let image = (!image.is_empty()).then(|| RunImage::new(0, image));
    TimedEvent { at: Duration::from_millis(ms), image, event }
}

pub(in crate::report) fn step(number: u32, text: &str) -> Arc<StepInfo> {
    Arc::new(StepInfo { id: 0, stage: None, number, total: 3, text: text.to_owned() })
}

pub(in crate::report) fn edge(image: &str, parent: &str, kind: DependencyKind) -> ImageEdge {
    ImageEdge { image: image.into(), parent: parent.into(), kind }
}

pub(in crate::report) fn started(image: &str) -> Fact<'_> {
    (image, Event::ImageStarted)
}

pub(in crate::report) fn built(image: &str, ran: u32, size: u64) -> Fact<'_> {
    let event = Event::ImageBuilt {
        image_id: format!("sha256:{image}"),
        references: vec![format!("acme/shop-{image}:latest")],
        steps: StepCounts { ran, cached: 2 },
        size: Some(size),
        took: Duration::from_secs(1),
    };
    (image, event)
}

pub(in crate::report) fn fresh(image: &str, size: Option<u64>) -> Fact<'_> {
    let image_id = format!("sha256:{image}");
    (image, Event::ImageFresh { image_id, tagged: vec![], size, registry: None })
}

pub(in crate::report) fn finished(image: &str, step: Arc<StepInfo>, took: u64) -> Fact<'_> {
    let took = Duration::from_millis(took);
    (image, Event::StepFinished { step, cached: took.is_zero(), took })
}

pub(in crate::report) fn operates(image: &str, operation: Operation) -> Fact<'_> {
    (image, Event::OperationStarted { operation })
}

pub(in crate::report) fn operated(image: &str, operation: Operation, took: u64) -> Fact<'_> {
    let (sent, took) = (None, Duration::from_millis(took));
    (image, Event::OperationFinished { operation, sent, took })
}

/// Starts a run of images with edges.
pub(in crate::report) fn begun(
    jobs: usize,
    images: &[&str],
    edges: Vec<ImageEdge>,
) -> Fact<'static> {
    let two = Duration::from_secs(2);
    let event = Event::RunStarted {
        engine: "fake 1".to_owned(),
        command: Some("layers build --all".to_owned()),
        jobs,
        images: images.iter().map(|image| (*image).into()).collect(),
        edges,
        expected: images.contains(&"base").then(|| ("base".into(), two)).into_iter().collect(),
    };
    ("", event)
}

/// base (0 to 1 s) ← dev (1.0 to 3 s), and agent (0 to 2 s), tools (2 to 2.5 s, in agent's slot), in two
/// slots. old is fresh. web, a child of tools, fails at 4 s, and site, a child of web, is skipped.
pub(in crate::report) fn events() -> Vec<TimedEvent> {
    let location =
        Location { file: RelPath::new("docker/web/Dockerfile").unwrap(), line: 3, column: 1 };
    let failure = Failure {
        kind: FailureKind::Build,
        message: "exit code: 2".to_owned(),
        hint: None,
        step: Some(step(2, "RUN </script> make")),
        excerpt: Some(Excerpt { location, text: "RUN </script> make".to_owned() }),
        log_tail: vec!["\u{1b}[31mno rule\u{1b}[0m <b>".to_owned()],
    };
    let edges = vec![
        edge("dev", "base", DependencyKind::From),
        edge("dev", "old", DependencyKind::Copy),
        edge("web", "tools", DependencyKind::Mount),
        edge("site", "web", DependencyKind::From),
    ];
    let began = |number, text: &str| Event::StepStarted { step: step(number, text) };
    let beside = || step(2, "RUN beside one");
    let line = "\u{1b}[1mdone".to_owned();
    let took = Duration::from_millis(1500);
    let dependency = Skip::ParentFailed { image: "web".into() };
    vec![
        at(0, begun(2, &["agent", "base", "dev", "old", "tools", "web", "site"], edges)),
        at(0, fresh("old", Some(5))),
        at(0, started("base")),
        at(0, started("agent")),
        at(5, ("base", Event::ImageStale { reason: Reason::NoImage })),
        at(10, ("base", began(1, "RUN one"))),
        at(20, ("base", began(2, "RUN beside one"))),
        at(600, finished("base", step(1, "RUN one"), 590)),
        at(900, finished("base", beside(), 880)),
        at(900, ("base", Event::Output { step: beside(), line })),
        at(1000, built("base", 2, 100)),
        at(1000, started("dev")),
        at(1100, finished("dev", step(1, "FROM base"), 0)),
        at(2000, built("agent", 0, 70)),
        at(2000, started("tools")),
        at(2500, built("tools", 1, 80)),
        at(2500, started("web")),
        at(3000, built("dev", 1, 130)),
        at(3000, ("web", began(2, "RUN </script> make"))),
        at(4000, ("web", Event::ImageFailed { failure, took })),
        at(4000, ("site", Event::ImageSkipped { because: dependency })),
        at(4000, ("", Event::RunFinished)),
    ]
}

pub(in crate::report) fn shop() -> Timeline {
    Timeline::of(&events())
}
