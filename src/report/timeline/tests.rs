//! The times of handwritten runs.

use std::time::Duration;

use super::fixture::{
    at, begun, built, edge, events, finished, fresh, operated, operates, shop, started, step,
};
use super::{CriticalImage, Outcome, Timeline, WaitCause};
use crate::event::{Event, Operation};
use crate::graph::evaluate::DependencyKind;

fn index(run: &Timeline, name: &str) -> usize {
    run.images.iter().position(|track| *track.name == *name).unwrap()
}

fn chain(run: &Timeline) -> Vec<(&str, WaitCause)> {
    let named = |link: &CriticalImage| (&*run.images[link.image].name, link.waited);
    run.chain().iter().map(named).collect()
}

#[test]
fn images_take_the_lowest_free_slot() {
    let run = shop();
    let slot = |name: &str| run.find(name).unwrap().slot;
    assert_eq!(slot("base"), Some(0));
    assert_eq!(slot("agent"), Some(1));
    assert_eq!(slot("dev"), Some(0));
    assert_eq!(slot("tools"), Some(1));
    assert_eq!(slot("old"), None);
}

#[test]
fn outcomes_are_distinguished() {
    let run = shop();
    let outcome = |name: &str| run.find(name).unwrap().outcome;
    assert_eq!(outcome("base"), Outcome::Built);
    assert_eq!(outcome("agent"), Outcome::Cached);
    assert_eq!(outcome("old"), Outcome::Fresh);
    assert_eq!(outcome("web"), Outcome::Failed);
    assert_eq!(outcome("site"), Outcome::Skipped);
    assert!(run.tally.is_over && run.tally.signal.is_none());
}

#[test]
fn an_image_is_ready_when_its_last_dependency_ends() {
    let run = shop();
    assert_eq!(run.ready(index(&run, "dev")), Duration::from_millis(1000));
    assert_eq!(run.ready(index(&run, "tools")), Duration::ZERO);
    assert_eq!(run.ready(index(&run, "web")), Duration::from_millis(2500));
}

#[test]
fn the_critical_path_follows_dependencies_and_slots() {
    let run = shop();
    let expected =
        [("agent", WaitCause::Nothing), ("tools", WaitCause::Slot), ("web", WaitCause::Dependency)];
    assert_eq!(chain(&run), expected);
    assert_eq!(chain(&Timeline::default()), []);
}

#[test]
fn an_image_whose_dependencies_ended_earlier_waited_for_a_slot() {
    let edges = vec![edge("x", "a", DependencyKind::From), edge("c", "a", DependencyKind::From)];
    let begun = begun(2, &["a", "b", "c", "x"], edges);
    let mut all = vec![at(0, begun), at(0, started("a")), at(0, started("b"))];
    all.extend([at(1, built("a", 1, 1)), at(1, started("c"))]);
    // b and c end at the same time. The event directly before the start of x permitted it.
    all.extend([at(5, built("b", 1, 1)), at(5, started("x")), at(5, built("c", 1, 1))]);
    all.push(at(9, built("x", 1, 1)));
    let expected = [("b", WaitCause::Nothing), ("x", WaitCause::Slot)];
    assert_eq!(chain(&Timeline::of(&all)), expected);
}

#[test]
fn a_killed_run_has_a_critical_path_and_open_steps() {
    let all = events();
    let run = Timeline::of(all.iter().take_while(|it| it.at < Duration::from_millis(3500)));
    let web = run.find("web").unwrap();
    assert_eq!(web.outcome, Outcome::Running);
    assert_eq!(web.steps[0].to, None);
    assert_eq!(chain(&run).last(), Some(&("web", WaitCause::Dependency)));
    assert_eq!(run.find("site").unwrap().outcome, Outcome::Waiting);
}

#[test]
fn steps_running_when_an_image_fails_are_marked_as_failed() {
    let run = shop();
    let step = &run.find("web").unwrap().steps[0];
    assert!(step.broke);
    assert_eq!((step.from.as_millis(), step.to.unwrap().as_millis()), (3000, 4000));
    // The start of a cached step is not reported.
    let cached = &run.find("dev").unwrap().steps[0];
    assert!(cached.cached && !cached.broke);
}

#[test]
fn a_log_without_its_first_events_is_still_usable() {
    let run = Timeline::of(&[
        at(10, started("x")),
        at(20, finished("x", step(1, "RUN a"), 50)),
        at(15, built("x", 1, 9)),
        at(30, started("y")),
    ]);
    assert_eq!(run.images.len(), 2);
    // Neither before the start of its image nor backward in time.
    assert_eq!(run.images[0].steps[0].from, Duration::from_millis(10));
    assert_eq!(run.images[0].ended.unwrap().at, Duration::from_millis(20));
    assert_eq!(chain(&run), [("x", WaitCause::Nothing), ("y", WaitCause::Slot)]);
}

#[test]
fn only_the_last_output_lines_are_kept() {
    let line =
        |number: usize| ("x", Event::Output { step: step(1, "RUN a"), line: number.to_string() });
    let run = Timeline::of(&(0..50).map(|number| at(0, line(number))).collect::<Vec<_>>());
    assert_eq!(run.images[0].tail.len(), 20);
    assert_eq!(run.images[0].tail[0], "30");
}

#[test]
fn edges_to_images_outside_the_run_are_ignored() {
    let begun = begun(1, &["a"], vec![edge("a", "gone", DependencyKind::From)]);
    let run = Timeline::of(&[at(0, begun), at(1, started("a")), at(2, built("a", 1, 1))]);
    assert_eq!(run.ready(0), Duration::ZERO);
    assert_eq!(chain(&run), [("a", WaitCause::Nothing)]);
}

#[test]
fn late_events_are_placed_at_the_time_they_happened() {
    let late = finished("a", step(2, "RUN make"), 50);
    let run = [at(0, started("a")), at(10, started("b")), at(200, built("b", 1, 5)), at(120, late)];
    let run = Timeline::of(&run);
    let work = &run.find("a").unwrap().steps[0];
    let span = (Duration::from_millis(70), Some(Duration::from_millis(120)));
    assert_eq!((work.from, work.to), span);
}

/// Returns the operations of an image: what, from when to when in milliseconds, and whether it failed.
fn operations(run: &Timeline, image: &str) -> Vec<(Operation, u128, Option<u128>, bool)> {
    let spans = run.find(image).unwrap().operations.iter();
    spans
        .map(|it| (it.operation, it.from.as_millis(), it.to.map(|to| to.as_millis()), it.broke))
        .collect()
}

#[test]
fn operations_have_their_times_and_bytes() {
    use Operation::{Exporting, SendingContext, Unpacking};
    let progress = Event::OperationProgress { operation: SendingContext, sent: 7, total: 9 };
    let mut events = vec![
        at(0, started("a")),
        at(10, operates("a", SendingContext)),
        at(20, ("a", progress)),
        at(60, operated("a", SendingContext, 45)),
        at(70, operates("a", Exporting)),
        // The engine's time counts. An operation whose start is missing is added.
        at(90, operated("a", Exporting, 15)),
        at(95, operated("a", Unpacking, 5)),
        at(96, operates("a", Unpacking)),
    ];
    let expected = vec![
        (SendingContext, 15, Some(60), false),
        (Exporting, 75, Some(90), false),
        (Unpacking, 90, Some(95), false),
        (Unpacking, 96, None, false),
    ];
    let run = Timeline::of(&events);
    assert_eq!(operations(&run, "a"), expected);
    let sending = Timeline::of(&events[..3]);
    assert_eq!(sending.find("a").unwrap().operations[0].sent, Some(7));
    // An operation that is running when its image is canceled has no end of its own.
    events.push(at(99, ("a", Event::ImageCanceled { took: Duration::ZERO })));
    let run = Timeline::of(&events);
    assert_eq!(operations(&run, "a")[3], (Unpacking, 96, Some(99), true));
}

#[test]
fn operations_do_not_overlap_with_what_ended_before_them() {
    use Operation::{Exporting, Unpacking};
    // The ends of the step and of the export were reported 20 ms late.
    let run = Timeline::of(&[
        at(0, started("a")),
        at(50, finished("a", step(1, "RUN a"), 30)),
        at(50, operates("a", Exporting)),
        at(100, operated("a", Exporting, 70)),
        at(100, operates("a", Unpacking)),
        at(140, operated("a", Unpacking, 60)),
    ]);
    let expected = [(Exporting, 50, Some(100), false), (Unpacking, 100, Some(140), false)];
    assert_eq!(operations(&run, "a"), expected);
}

#[test]
fn waits_in_logs_without_their_ends_last_until_the_image_goes_on() {
    use Operation::WaitingForRun;
    let stale = Event::ImageStale { reason: crate::plan::Reason::NoImage };
    let run = Timeline::of(&[
        at(0, started("a")),
        at(5, operates("a", WaitingForRun)),
        at(30, ("a", stale)),
        at(90, built("a", 1, 1)),
        at(90, started("b")),
        at(95, operates("b", WaitingForRun)),
        at(99, fresh("b", None)),
    ]);
    assert_eq!(operations(&run, "a"), [(WaitingForRun, 5, Some(30), false)]);
    assert_eq!(operations(&run, "b"), [(WaitingForRun, 95, Some(99), false)]);
}
