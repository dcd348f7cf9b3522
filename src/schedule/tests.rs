//! Properties of the loop over random graphs, outcomes, and limits, with an engine that records what ran when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex};

use proptest::prelude::*;

use super::*;
use crate::base::Id;
use crate::base::error::permanent;
use crate::engine::TransferProgress;
use crate::engine::stub::Stub;
use crate::engine::{BuildFailure, BuildOutcome, BuildRequest, FailureCause, StoredImage};
use crate::event::Tally;
use crate::graph::Dependency;

/// A run: the parents of each image, which images fail, and how many are built at once.
#[derive(Debug, Clone)]
struct TestRun {
    parents: Vec<Vec<UnitId>>,
    fails: Vec<bool>,
    /// The number of slots that each image takes.
    weights: Vec<usize>,
    jobs: usize,
    on_failure: OnFailure,
    /// The number of the image after whose start the run is interrupted.
    interrupted_at: Option<usize>,
}

/// The records of an engine that builds instantly.
#[derive(Default)]
struct EngineRecord {
    /// The slots in use, and their maximum so far.
    running: Mutex<(usize, usize)>,
    started: Mutex<Vec<usize>>,
}

/// Returns an engine that builds instantly. The text of an image's Dockerfile is its number.
fn instant<'a>(script: &'a TestRun, record: &'a EngineRecord) -> Stub<'a> {
    let build = |request: &BuildRequest, cancel: &Cancel| {
        let image: usize = request.dockerfile.parse()?;
        let weight = script.weights[image].min(script.jobs);
        record.started.lock().unwrap().push(image);
        {
            let mut running = record.running.lock().unwrap();
            running.0 += weight;
            running.1 = running.1.max(running.0);
        }
        std::thread::yield_now();
        record.running.lock().unwrap().0 -= weight;
        Ok(if cancel.is_set() {
            BuildOutcome::Canceled
        } else if script.fails[image] {
            let message = "as scripted".to_owned();
            BuildOutcome::Failed(BuildFailure { step: None, message, cause: FailureCause::Image })
        } else {
            BuildOutcome::Built { image_id: format!("sha256:{image}") }
        })
    };
    Stub::building(build).holding_everything()
}

struct TestProvider(Vec<String>);

impl UnitProvider for TestProvider {
    fn name(&self, image: UnitId) -> &str {
        &self.0[image.index()]
    }

    fn prepare(
        &self,
        image: UnitId,
        _: &[ParentImage],
        _: &ClaimContext<'_>,
    ) -> anyhow::Result<Preparation> {
        let request =
            BuildRequest { dockerfile: self.name(image).to_owned(), ..BuildRequest::default() };
        let reason = crate::plan::Reason::NoImage;
        Ok(Preparation::Build { request: Box::new(request), reason, claim: None })
    }

    fn confirm(
        &self,
        _: UnitId,
        _: &StoredImage,
        _: &BTreeSet<String>,
        _: &[ParentImage],
    ) -> anyhow::Result<()> {
        Ok(())
    }
}

struct TestSink {
    tally: Tally,
    events: Vec<TimedEvent>,
    interrupted_at: Option<usize>,
    interrupter: Interrupter,
}

impl EventSink for TestSink {
    fn receive(&mut self, event: &TimedEvent) {
        self.tally.take(event);
        self.events.push(event.clone());
        if matches!(event.event, Event::ImageStarted)
            && self.interrupted_at == Some(number_of(event))
        {
            self.interrupter.interrupt(15);
        }
    }
}

struct RunResult {
    tally: Tally,
    events: Vec<TimedEvent>,
    most_at_once: usize,
    started: Vec<usize>,
}

fn execute(script: &TestRun) -> RunResult {
    let len = script.parents.len();
    let order = (0..len).map(UnitId::from_index).collect();
    let mut plan = Plan::from_parents(order, script.parents.iter().cloned().collect());
    plan.set_weights(script.weights.iter().copied().collect());
    let record = EngineRecord::default();
    let engine = instant(script, &record);
    let names = TestProvider((0..len).map(|image| image.to_string()).collect());
    let options = RunOptions {
        engine: "test".to_owned(),
        push_jobs: 1,
        command: None,
        jobs: script.jobs,
        on_failure: script.on_failure,
        retries: 0,
        timeout: None,
    };
    let run = BuildRun::new(&plan, &names, &engine, None, options);
    let interrupter = run.interrupter();
    let interrupted_at = script.interrupted_at;
    let (tally, events) = (Tally::default(), Vec::new());
    let mut seen = TestSink { tally, events, interrupted_at, interrupter };
    run.execute(&mut seen);
    let most_at_once = record.running.lock().unwrap().1;
    let started = record.started.lock().unwrap().clone();
    RunResult { tally: seen.tally, events: seen.events, most_at_once, started }
}

fn scripts() -> impl Strategy<Value = TestRun> {
    let on_failure =
        prop_oneof![Just(OnFailure::KeepGoing), Just(OnFailure::Finish), Just(OnFailure::Cancel)];
    let interrupted_at = proptest::option::weighted(0.2, 0usize..24);
    let run = (1usize..24, 1usize..6, on_failure, interrupted_at);
    run.prop_flat_map(|(len, jobs, on_failure, interrupted_at)| {
        let edges = proptest::collection::vec(any::<u32>(), len);
        let fails = proptest::collection::vec(proptest::bool::weighted(0.15), len);
        let weights = proptest::collection::vec(prop_oneof![4 => Just(1), 1 => 2usize..8], len);
        (edges, fails, weights).prop_map(move |(edges, fails, weights)| {
            let parents = edges.iter().enumerate().map(|(image, bits)| {
                let earlier = (0..image).filter(|at| bits >> (at % 32) & 3 == 3);
                earlier.map(UnitId::from_index).collect()
            });
            TestRun { parents: parents.collect(), fails, weights, jobs, on_failure, interrupted_at }
        })
    })
}

/// A registry to which an image is pushed until the push is canceled.
#[derive(Default)]
struct SlowRegistry {
    has_started: Mutex<bool>,
    started: Condvar,
}

impl SlowRegistry {
    fn wait_for_push(&self) {
        let has_started = self.has_started.lock().unwrap();
        drop(self.started.wait_while(has_started, |has_started| !*has_started).unwrap());
    }
}

impl Publisher for SlowRegistry {
    fn pushes(&self, _: UnitId) -> bool {
        true
    }

    fn base(&self, _: UnitId) -> Option<Dependency<UnitId>> {
        None
    }

    fn publish(
        &self,
        _: UnitId,
        _: &[ParentImage],
        _: &str,
        _: &mut dyn FnMut(TransferProgress),
        cancel: &Cancel,
    ) -> anyhow::Result<PublishedImage> {
        *self.has_started.lock().unwrap() = true;
        self.started.notify_all();
        // Far longer than the test takes, unless nothing cancels the push.
        cancel.pause(Duration::from_secs(20));
        anyhow::ensure!(!cancel.is_set(), "canceled");
        Ok(PublishedImage { reference: "x@sha256:0".to_owned(), digest: "sha256:0".to_owned() })
    }

    fn move_tags(&self, _: &[(UnitId, PublishedImage)]) -> anyhow::Result<Option<PublishedTags>> {
        anyhow::bail!("not all images were pushed")
    }
}

/// Runs images without dependencies on an engine, `jobs` at a time.
fn run_apart(
    (images, jobs): (usize, usize),
    engine: &Stub<'_>,
    publisher: Option<&dyn Publisher>,
    on_failure: OnFailure,
) -> TestSink {
    let order = (0..images).map(UnitId::from_index).collect();
    let plan = Plan::from_parents(order, (0..images).map(|_| Vec::new()).collect());
    let names = TestProvider((0..images).map(|image| image.to_string()).collect());
    let options = RunOptions {
        engine: "test".to_owned(),
        command: None,
        push_jobs: jobs,
        jobs,
        on_failure,
        retries: 0,
        timeout: None,
    };
    let run = BuildRun::new(&plan, &names, engine, publisher, options);
    let interrupter = run.interrupter();
    let (tally, events) = (Tally::default(), Vec::new());
    let mut seen = TestSink { tally, events, interrupted_at: None, interrupter };
    run.execute(&mut seen);
    seen
}

#[test]
fn the_hint_of_an_engine_failure_is_not_part_of_its_message() {
    let build = |_: &BuildRequest, _: &Cancel| Err(permanent("no answer").hint("start it").into());
    let seen = run_apart((1, 1), &Stub::building(build), None, OnFailure::Finish);
    let failed = seen.events.iter().find_map(|event| match &event.event {
        Event::ImageFailed { failure, .. } => Some(failure),
        _ => None,
    });
    let failure = failed.unwrap();
    assert_eq!((&*failure.message, failure.hint.as_deref()), ("no answer", Some("start it")));
    assert_eq!(failure.text(), "no answer\nhint: start it");
}

#[test]
fn a_failed_build_cancels_running_pushes_with_fail_fast() {
    let registry = SlowRegistry::default();
    let build = |request: &BuildRequest, _: &Cancel| {
        if request.dockerfile == "0" {
            return Ok(BuildOutcome::Built { image_id: "sha256:0".to_owned() });
        }
        registry.wait_for_push();
        let message = "as scripted".to_owned();
        Ok(BuildOutcome::Failed(BuildFailure { step: None, message, cause: FailureCause::Image }))
    };
    let engine = Stub::building(build).holding_everything();
    let seen = run_apart((2, 2), &engine, Some(&registry), OnFailure::Cancel);
    let Tally { built, failed, pushed, push_canceled, .. } = seen.tally;
    assert_eq!((built, failed, pushed, push_canceled), (1, 1, 0, 1));
}

#[test]
fn queued_pushes_are_canceled_with_the_running_one() {
    let registry = SlowRegistry::default();
    let build = |request: &BuildRequest, _: &Cancel| {
        if request.dockerfile != "2" {
            return Ok(BuildOutcome::Built { image_id: "sha256:0".to_owned() });
        }
        registry.wait_for_push();
        let message = "as scripted".to_owned();
        Ok(BuildOutcome::Failed(BuildFailure { step: None, message, cause: FailureCause::Image }))
    };
    let engine = Stub::building(build).holding_everything();
    let seen = run_apart((3, 1), &engine, Some(&registry), OnFailure::Cancel);
    let Tally { built, failed, pushed, push_canceled, .. } = seen.tally;
    assert_eq!((built, failed, pushed, push_canceled), (2, 1, 0, 2));
}

/// Returns all dependencies of an image, direct or not.
fn parents_of(script: &TestRun, image: usize) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut stack = vec![image];
    while let Some(next) = stack.pop() {
        for dependency in &script.parents[next] {
            if all.insert(dependency.index()) {
                stack.push(dependency.index());
            }
        }
    }
    all
}

fn number(image: &str) -> usize {
    image.parse().unwrap()
}

/// Returns the number in the name of the image that an event is about.
fn number_of(event: &TimedEvent) -> usize {
    number(&event.image.as_ref().unwrap().name)
}

fn check(script: &TestRun) {
    let seen = execute(script);
    let keep_going = script.on_failure == OnFailure::KeepGoing;
    let mut ended = BTreeMap::new();
    let mut done = BTreeSet::new();
    for event in &seen.events {
        let mut end = |how| assert!(ended.insert(number_of(event), how).is_none());
        match &event.event {
            Event::ImageStarted => {
                for dependency in &script.parents[number_of(event)] {
                    assert!(
                        done.contains(&dependency.index()),
                        "{event:?} before {dependency:?} was done"
                    );
                }
            }
            Event::ImageBuilt { .. } => {
                done.insert(number_of(event));
                end("built");
            }
            Event::ImageFailed { .. } => end("failed"),
            Event::ImageSkipped { because } => {
                let parents = parents_of(script, number_of(event));
                match because {
                    Skip::ParentFailed { image: failed } => {
                        assert!(parents.contains(&number(failed)) && script.fails[number(failed)]);
                    }
                    Skip::Stopped => {
                        let failed = !keep_going && seen.tally.failed > 0;
                        assert!(failed || seen.tally.signal == Some(15));
                    }
                }
                end("skipped");
            }
            Event::ImageCanceled { .. } => {
                let by_failure = script.on_failure == OnFailure::Cancel && seen.tally.failed > 0;
                assert!(by_failure || seen.tally.signal == Some(15));
                end("canceled");
            }
            _ => {}
        }
    }
    assert_eq!(ended.len(), script.parents.len(), "every image ends");
    assert!(matches!(seen.events.last().unwrap().event, Event::RunFinished));
    assert!(seen.most_at_once <= script.jobs);
    if keep_going && seen.tally.signal.is_none() {
        for (image, end) in &ended {
            let doomed =
                parents_of(script, *image).iter().any(|dependency| script.fails[*dependency]);
            let expected = match (doomed, script.fails[*image]) {
                (true, _) => "skipped",
                (false, true) => "failed",
                (false, false) => "built",
            };
            assert_eq!(*end, expected, "image {image}");
        }
    }
    let Tally { built, failed, skipped, canceled, .. } = seen.tally;
    assert_eq!(built + failed + skipped + canceled, script.parents.len());
    check_that_nothing_starts_after_a_stop(&seen.events, keep_going);
}

fn check_that_nothing_starts_after_a_stop(events: &[TimedEvent], keep_going: bool) {
    let stops = |event: &TimedEvent| match event.event {
        Event::Interrupted { .. } => true,
        Event::ImageFailed { .. } => !keep_going,
        _ => false,
    };
    let mut after = events.iter().skip_while(|event| !stops(event));
    assert!(!after.any(|event| matches!(event.event, Event::ImageStarted)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_image_finishes_once_and_in_dependency_order(script in scripts()) {
        check(&script);
    }

    #[test]
    fn one_job_always_runs_in_the_same_order(script in scripts()) {
        let script = TestRun { jobs: 1, interrupted_at: None, ..script };
        prop_assert_eq!(execute(&script).started, execute(&script).started);
    }
}

#[test]
fn the_longest_chain_is_built_first() {
    let parents = |images: &[u32]| images.iter().copied().map(UnitId).collect::<Vec<_>>();
    // 0, 1, and 2 are independent; 3 ← 4 ← 5 is a chain that sorts last.
    let script = TestRun {
        parents: vec![vec![], vec![], vec![], vec![], parents(&[3]), parents(&[4])],
        fails: vec![false; 6],
        weights: vec![1; 6],
        jobs: 1,
        on_failure: OnFailure::Finish,
        interrupted_at: None,
    };
    assert_eq!(execute(&script).started, [3, 4, 0, 1, 2, 5]);
}

#[test]
fn an_empty_run_finishes() {
    let script = TestRun {
        parents: vec![],
        fails: vec![],
        weights: vec![],
        jobs: 3,
        on_failure: OnFailure::Finish,
        interrupted_at: None,
    };
    let tally = execute(&script).tally;
    let expected = Tally { is_over: true, took: tally.took, ..Tally::default() };
    assert_eq!(tally, expected);
}
