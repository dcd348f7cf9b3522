//! A small run that was written by hand, for the tests of all that shows runs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Timeline;
use crate::base::{Place, RelPath};
use crate::event::{
    Edge, Event, Excerpt, Failure, FailureKind, Skip, Stamped, StepCounts, StepInfo,
};
use crate::graph::evaluate::NeedKind;
use crate::plan::Reason;

pub(in crate::report) fn at(ms: u64, event: Event) -> Stamped {
    Stamped { at: Duration::from_millis(ms), event }
}

pub(in crate::report) fn step(number: u32, text: &str) -> StepInfo {
    StepInfo { stage: None, number, total: 3, text: text.to_owned() }
}

pub(in crate::report) fn edge(image: &str, parent: &str, kind: NeedKind) -> Edge {
    Edge { image: image.to_owned(), parent: parent.to_owned(), kind }
}

pub(in crate::report) fn started(image: &str) -> Event {
    Event::ImageStarted { image: image.to_owned() }
}

pub(in crate::report) fn built(image: &str, ran: u32, size: u64) -> Event {
    Event::ImageBuilt {
        image: image.to_owned(),
        image_id: format!("sha256:{image}"),
        references: vec![format!("acme/shop-{image}:latest")],
        steps: StepCounts { ran, cached: 2 },
        size: Some(size),
        took: Duration::from_secs(1),
    }
}

pub(in crate::report) fn finished(image: &str, step: StepInfo, took: u64) -> Event {
    let took = Duration::from_millis(took);
    Event::StepFinished { image: image.to_owned(), step, cached: took.is_zero(), took }
}

/// Two places, and what needs what.
fn begun() -> Event {
    let image = str::to_owned;
    let names = ["agent", "base", "dev", "old", "tools", "web", "site"];
    let edges = vec![
        edge("dev", "base", NeedKind::From),
        edge("dev", "old", NeedKind::Copy),
        edge("web", "tools", NeedKind::Mount),
        edge("site", "web", NeedKind::From),
    ];
    Event::RunStarted {
        engine: "fake 1".to_owned(),
        jobs: 2,
        images: names.map(image).to_vec(),
        edges,
        expected: BTreeMap::from([(image("base"), Duration::from_secs(2))]),
    }
}

/// base (0 to 1 s) ← dev (1.0 to 3 s), and agent (0 to 2 s), tools (2 to 2.5 s, after agent's place) on
/// two places; old is fresh; web, which needs tools, fails at 4 s, and site, which needs it, is skipped.
pub(in crate::report) fn events() -> Vec<Stamped> {
    let image = str::to_owned;
    let place = Place { file: RelPath::new("docker/web/Dockerfile").unwrap(), line: 3, column: 1 };
    let failure = Failure {
        kind: FailureKind::Build,
        message: "exit code: 2".to_owned(),
        step: Some(step(2, "RUN </script> make")),
        excerpt: Some(Excerpt { place, text: "RUN </script> make".to_owned() }),
        log_tail: vec!["\u{1b}[31mno rule\u{1b}[0m <b>".to_owned()],
    };
    let need = Skip::NeedFailed { image: image("web") };
    vec![
        at(0, begun()),
        at(
            0,
            Event::ImageFresh {
                image: image("old"),
                image_id: "sha256:old".to_owned(),
                tagged: vec![],
                size: Some(5),
                registry: None,
            },
        ),
        at(0, started("base")),
        at(0, started("agent")),
        at(5, Event::ImageStale { image: image("base"), reason: Reason::NoImage }),
        at(10, Event::StepStarted { image: image("base"), step: step(1, "RUN one") }),
        at(20, Event::StepStarted { image: image("base"), step: step(2, "RUN beside one") }),
        at(600, finished("base", step(1, "RUN one"), 590)),
        at(900, finished("base", step(2, "RUN beside one"), 880)),
        at(
            900,
            Event::Output {
                image: image("base"),
                step: step(2, "RUN beside one"),
                line: "\u{1b}[1mdone".to_owned(),
            },
        ),
        at(1000, built("base", 2, 100)),
        at(1000, started("dev")),
        at(1100, finished("dev", step(1, "FROM base"), 0)),
        at(2000, built("agent", 0, 70)),
        at(2000, started("tools")),
        at(2500, built("tools", 1, 80)),
        at(2500, started("web")),
        at(3000, built("dev", 1, 130)),
        at(3000, Event::StepStarted { image: image("web"), step: step(2, "RUN </script> make") }),
        at(
            4000,
            Event::ImageFailed { image: image("web"), failure, took: Duration::from_millis(1500) },
        ),
        at(4000, Event::ImageSkipped { image: image("site"), because: need }),
        at(4000, Event::RunFinished),
    ]
}

pub(in crate::report) fn shop() -> Timeline {
    Timeline::of(&events())
}
