//! Runs with a simulated clock: an engine that does not sleep and whose builds end in the order of their
//! times, and graphs that are hard to schedule.
//!
//! A build ends when no other build ends before it and nothing else can start before that: all slots are in
//! use, or no image is ready. So a run takes exactly the time that results from its order, on any machine. If
//! the loop leaves a slot empty although an image is ready, the clock stops. This is detected and is an
//! error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use layers::base::{Id, IdMap, Platform, UnitId};
use layers::engine::{
    BuildOutcome, BuildRequest, Builder, BuilderInfo, Cancel, Features, HistoryEntry, ImageStore,
    LabelFilter, ListedImage, Sink, StoredImage, TransferProgress,
};
use layers::event::Tally;
use layers::plan::{ParentImage, Plan, Reason};
use layers::schedule::{BuildRun, ClaimContext, OnFailure, Preparation, RunOptions, UnitProvider};
use layers::state::Durations;

use super::dice::Dice;

/// How long the clock can stop. Only a fault stops it.
const STANDSTILL: Duration = Duration::from_secs(20);

/// The parents of each image and its build time. Images come after their parents.
#[derive(Debug, Clone, Default)]
pub struct Work {
    pub parents: Vec<Vec<usize>>,
    pub takes: Vec<Duration>,
}

impl Work {
    /// Adds an image and returns its number.
    fn add(&mut self, parents: &[usize], millis: u64) -> usize {
        self.parents.push(parents.to_vec());
        self.takes.push(Duration::from_millis(millis));
        self.parents.len() - 1
    }

    /// Returns arms of equal length. Each arm has one image that takes twenty times as long, at varying
    /// depths.
    pub fn arms(arms: usize, depth: usize) -> Work {
        let mut work = Work::default();
        for arm in 0..arms {
            let mut below: Vec<usize> = Vec::new();
            for level in 0..depth {
                let slow = level == (arm * 7) % depth;
                below = vec![work.add(&below, if slow { 20_000 } else { 1_000 })];
            }
        }
        work
    }

    /// Returns short standalone images, followed by one long chain.
    pub fn chain_last(short: usize, chain: usize) -> Work {
        let mut work = Work::default();
        for number in 0..short {
            work.add(&[], 500 + (number as u64 * 37) % 1_000);
        }
        let mut below: Vec<usize> = Vec::new();
        for _ in 0..chain {
            below = vec![work.add(&below, 1_000)];
        }
        work
    }

    /// Returns a base, builders on it, dev images on those, and releases that copy from builders.
    pub fn fan(count: usize) -> Work {
        let mut work = Work::default();
        let base = work.add(&[], 30_000);
        let builders: Vec<usize> =
            (0..count.div_ceil(30)).map(|at| work.add(&[base], 5_000 + at as u64 * 900)).collect();
        for number in 0..count {
            let builder = builders[number % builders.len()];
            match number % 3 {
                0 => work.add(&[base, builder], 2_000),
                _ => work.add(&[builder], 1_000 + number as u64 % 7 * 1_500),
            };
        }
        work
    }

    /// Returns a random graph: each image has up to three parents, and a few take very long.
    pub fn random(count: usize, dice: &mut Dice) -> Work {
        let mut work = Work::default();
        for number in 0..count {
            let parents: BTreeSet<usize> = (0..dice.below(4))
                .filter(|_| number > 0)
                .map(|_| number - 1 - dice.below(number.min(200)))
                .collect();
            let parents: Vec<usize> = parents.into_iter().collect();
            let millis = if dice.below(20) == 0 { 20_000 } else { 200 + dice.below(2_000) as u64 };
            work.add(&parents, millis);
        }
        work
    }

    /// Returns the minimum time for any order: the longest chain, or all work divided by the slots.
    pub fn lower_bound(&self, jobs: usize) -> Duration {
        let mut ends: Vec<Duration> = Vec::new();
        for (parents, takes) in self.parents.iter().zip(&self.takes) {
            let begins =
                parents.iter().map(|dependency| ends[*dependency]).max().unwrap_or_default();
            ends.push(begins + *takes);
        }
        let total: Duration = self.takes.iter().sum();
        let places = u32::try_from(jobs).expect("a number of places");
        ends.into_iter().max().unwrap_or_default().max(total / places)
    }

    /// Returns the time of a build level by level, in which a level starts after the previous one is
    /// complete.
    pub fn by_levels(&self, jobs: usize) -> Duration {
        let mut depth: Vec<usize> = Vec::new();
        let mut levels: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
        for (parents, takes) in self.parents.iter().zip(&self.takes) {
            let level =
                parents.iter().map(|dependency| depth[*dependency] + 1).max().unwrap_or_default();
            depth.push(level);
            levels.entry(level).or_default().push(*takes);
        }
        levels.into_values().map(|takes| list_in_order(takes, jobs)).sum()
    }

    /// Runs the graph with the real scheduling loop. Returns the time by the clock of the engine.
    ///
    /// With `known` durations, the loop knows how long each image takes. Otherwise, it knows as much as about
    /// images that were never built and run one command each.
    pub fn run(&self, jobs: usize, known: bool) -> Duration {
        let count = self.parents.len();
        let ids = |numbers: &Vec<usize>| numbers.iter().map(|at| UnitId::from_index(*at)).collect();
        let order = (0..count).map(UnitId::from_index).collect();
        let mut plan = Plan::from_parents(order, self.parents.iter().map(ids).collect());
        let names = Names((0..count).map(|image| image.to_string()).collect());
        let guesses: Vec<(&str, usize)> = names.0.iter().map(|name| (name.as_str(), 1)).collect();
        let costs: IdMap<Duration, UnitId> = match known {
            true => self.takes.iter().copied().collect(),
            false => Durations::default().expect(&guesses).into_iter().collect(),
        };
        plan.set_costs(costs);
        let options = RunOptions {
            engine: "clockwork".to_owned(),
            push_jobs: 1,
            command: None,
            jobs,
            on_failure: OnFailure::Finish,
            retries: 0,
            timeout: None,
        };
        let engine = Clockwork::new(self, jobs);
        let mut tally = Tally::default();
        BuildRun::new(&plan, &names, &engine, None, options).execute(&mut tally);
        assert_eq!(tally.built, count, "{tally:?}");
        engine.state.into_inner().unwrap().now
    }
}

/// Returns the time that independent images take if they are started in order.
fn list_in_order(takes: Vec<Duration>, jobs: usize) -> Duration {
    let mut places = vec![Duration::ZERO; jobs];
    for time in takes {
        *places.iter_mut().min().expect("at least one place") += time;
    }
    places.into_iter().max().unwrap_or_default()
}

/// An engine with its own clock.
struct Clockwork<'a> {
    work: &'a Work,
    children: Vec<Vec<usize>>,
    jobs: usize,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    now: Duration,
    /// The end times of the running builds.
    running: BTreeSet<(Duration, usize)>,
    /// The number of images that could run but do not.
    ready: usize,
    /// The number of missing parents per image.
    lacks: Vec<usize>,
}

impl<'a> Clockwork<'a> {
    fn new(work: &'a Work, jobs: usize) -> Clockwork<'a> {
        let mut children = vec![Vec::new(); work.parents.len()];
        for (image, parents) in work.parents.iter().enumerate() {
            parents.iter().for_each(|dependency| children[*dependency].push(image));
        }
        let lacks: Vec<usize> = work.parents.iter().map(Vec::len).collect();
        let ready = lacks.iter().filter(|lacks| **lacks == 0).count();
        let state = State { now: Duration::ZERO, running: BTreeSet::new(), ready, lacks };
        Clockwork { work, children, jobs, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Advances the clock until a build ends.
    fn pass(&self, image: usize) {
        let mut state = self.state.lock().unwrap();
        let end = state.now + self.work.takes[image];
        state.running.insert((end, image));
        state.ready -= 1;
        self.changed.notify_all();
        loop {
            let is_full = state.running.len() == self.jobs || state.ready == 0;
            if is_full && state.running.first() == Some(&(end, image)) {
                break;
            }
            let (again, waited) = self.changed.wait_timeout(state, STANDSTILL).unwrap();
            state = again;
            assert!(
                !waited.timed_out(),
                "{} run on {} places, and {} more are ready",
                state.running.len(),
                self.jobs,
                state.ready
            );
        }
        state.running.remove(&(end, image));
        state.now = end;
        for child in &self.children[image] {
            state.lacks[*child] -= 1;
            state.ready += usize::from(state.lacks[*child] == 0);
        }
        self.changed.notify_all();
    }
}

impl Builder for Clockwork<'_> {
    fn info(&self) -> anyhow::Result<BuilderInfo> {
        anyhow::bail!("not used here")
    }

    fn features(&self) -> anyhow::Result<Features> {
        Ok(Features::default())
    }

    fn build(
        &self,
        request: &BuildRequest,
        _: &mut Sink<'_>,
        _: &Cancel,
    ) -> anyhow::Result<BuildOutcome> {
        let image: usize = request.dockerfile.parse()?;
        self.pass(image);
        Ok(BuildOutcome::Built { image_id: format!("sha256:{image}") })
    }

    fn store(&self) -> Option<&dyn ImageStore> {
        Some(self)
    }
}

impl ImageStore for Clockwork<'_> {
    fn inspect(&self, id: &str) -> anyhow::Result<Option<StoredImage>> {
        Ok(Some(StoredImage { id: id.to_owned(), ..StoredImage::default() }))
    }

    fn history(&self, _: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>> {
        Ok(None)
    }

    fn list(&self, _: LabelFilter<'_>) -> anyhow::Result<Vec<ListedImage>> {
        anyhow::bail!("not used here")
    }

    fn pull(&self, _: &str, _: Option<&Platform>, _: &mut dyn FnMut()) -> anyhow::Result<()> {
        anyhow::bail!("not used here")
    }

    fn tag(&self, _: &str, _: &str) -> anyhow::Result<()> {
        anyhow::bail!("not used here")
    }

    fn push(
        &self,
        reference: &str,
        _: &mut dyn FnMut(TransferProgress),
        _: &Cancel,
    ) -> anyhow::Result<String> {
        unreachable!("nothing is pushed: {reference}")
    }

    fn remove(&self, _: &str) -> anyhow::Result<()> {
        anyhow::bail!("not used here")
    }
}

struct Names(Vec<String>);

impl UnitProvider for Names {
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
        let (request, reason) = (Box::new(request), Reason::NoImage);
        Ok(Preparation::Build { request, reason, claim: None })
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
