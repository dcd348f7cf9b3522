//! Random runs that look like real ones. The same seed gives the same run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use layers::base::{Location, RelPath};
use layers::event::{
    Event, Excerpt, Failure, FailureKind, ImageEdge, Operation, RunImage, Skip, StepCounts,
    StepInfo, TimedEvent,
};
use layers::graph::evaluate::DependencyKind;
use layers::plan::Reason;
use layers::report::timeline::Timeline;

/// The parameters of a run.
#[derive(Clone, Copy)]
pub struct Recipe {
    /// The number of images.
    pub images: usize,
    /// The number of concurrent builds.
    pub jobs: usize,
    /// Whether the image in the middle fails.
    pub fails: bool,
    /// The seed for everything else.
    pub seed: u64,
}

/// A random number generator (xorshift, G. Marsaglia, 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

const COMMANDS: [&str; 6] = [
    "RUN apt-get update && apt-get install -y --no-install-recommends build-essential git",
    "COPY . /srv/app",
    "RUN make wheels",
    "RUN pip install --no-cache-dir -r requirements.txt",
    "RUN cargo build --release --locked",
    "WORKDIR /srv/app",
];

/// Returns the name of an image: `base`, `service-17`.
pub fn name(image: usize) -> String {
    const NAMES: [&str; 6] = ["base", "builder", "python", "web", "worker", "proxy"];
    NAMES.get(image).map_or_else(|| format!("service-{image}"), |name| (*name).to_owned())
}

/// Returns the timeline of a run.
pub fn run(recipe: Recipe) -> Timeline {
    Timeline::of(&events(recipe))
}

/// Returns the events of a run.
pub fn events(recipe: Recipe) -> Vec<TimedEvent> {
    let mut maker = Maker {
        dice: Dice(recipe.seed * 7919 + 1),
        events: Vec::new(),
        parents: Vec::new(),
        ends: BTreeMap::new(),
        recipe,
    };
    maker.link();
    maker.perform();
    maker.events.sort_by_key(|event| event.at);
    maker.events
}

struct Maker {
    dice: Dice,
    events: Vec<TimedEvent>,
    parents: Vec<Vec<(usize, DependencyKind)>>,
    /// When each image ended, and whether it succeeded.
    ends: BTreeMap<usize, (u64, bool)>,
    recipe: Recipe,
}

impl Maker {
    fn report(&mut self, at: u64, event: Event) {
        self.events.push(TimedEvent { at: Duration::from_millis(at), image: None, event });
    }

    fn report_of(&mut self, number: usize, at: u64, event: Event) {
        let image = Some(RunImage::new(number, &name(number)));
        self.events.push(TimedEvent { at: Duration::from_millis(at), image, event });
    }

    fn link(&mut self) {
        for image in 0..self.recipe.images {
            let mut parents = Vec::new();
            if image > 0 {
                let near = self.dice.below(image);
                parents.push((
                    if self.dice.below(3) == 0 { near } else { near.min(5) },
                    DependencyKind::From,
                ));
                if image > 3 && self.dice.below(4) == 0 {
                    let kind = [DependencyKind::Copy, DependencyKind::Mount][self.dice.below(2)];
                    parents.push((self.dice.below(image), kind));
                }
            }
            self.parents.push(parents);
        }
        let edges = self.parents.iter().enumerate().flat_map(|(image, parents)| {
            let edge = move |(parent, kind): &(usize, DependencyKind)| ImageEdge {
                image: name(image).into(),
                parent: name(*parent).into(),
                kind: *kind,
            };
            parents.iter().map(edge)
        });
        let began = Event::RunStarted {
            engine: "docker 28.5.1".to_owned(),
            command: Some("layers build --all".to_owned()),
            jobs: self.recipe.jobs,
            images: (0..self.recipe.images).map(|image| name(image).into()).collect(),
            edges: edges.collect(),
            expected: BTreeMap::new(),
        };
        self.report(0, began);
    }

    /// Always builds the first possible image in the first free slot.
    fn perform(&mut self) {
        let mut slots = vec![1_u64; self.recipe.jobs];
        let mut last = 1;
        for image in 0..self.recipe.images {
            let parents = &self.parents[image];
            let lost = parents.iter().find(|(parent, _)| !self.ends[parent].1);
            if let Some((parent, _)) = lost {
                let (at, because) =
                    (self.ends[parent].0, Skip::ParentFailed { image: name(*parent).into() });
                self.ends.insert(image, (at, false));
                self.report_of(image, at, Event::ImageSkipped { because });
                continue;
            }
            let ready = parents.iter().map(|(parent, _)| self.ends[parent].0).max().unwrap_or(1);
            if image == 3 {
                self.ends.insert(image, (ready, true));
                let image_id = self.id();
                let size = Some(77_000_000);
                let tagged = Vec::new();
                let fresh = Event::ImageFresh { image_id, tagged, size, registry: None };
                self.report_of(image, ready, fresh);
                continue;
            }
            let slot = slots.iter_mut().min().unwrap();
            let start = ready.max(*slot);
            let took = u64::try_from(self.dice.below(9000) + 400).unwrap();
            *slot = start + took + 1;
            last = last.max(start + took);
            self.build(image, start, took);
        }
        self.report(last + 1, Event::RunFinished);
    }

    fn build(&mut self, number: usize, mut start: u64, mut took: u64) {
        self.report_of(number, start, Event::ImageStarted);
        if number == 2 {
            let operation = Operation::WaitingForRun;
            self.report_of(number, start, Event::OperationStarted { operation });
            start += took / 4;
            took -= took / 4;
        }
        self.report_of(number, start, Event::ImageStale { reason: Reason::NoImage });
        let total = u32::try_from(self.dice.below(4) + 2).unwrap();
        let fails = self.recipe.fails && number == self.recipe.images / 2;
        let all_cached = self.dice.below(7) == 0 && !fails;
        let (mut ran, mut at) = (0, start);
        // Of twenty parts, two each are for the context and the export, and one for unpacking.
        let part = if all_cached { 0 } else { took / 20 };
        if part > 0 {
            self.operate(number, &mut at, Operation::SendingContext, 2 * part);
        }
        let of_steps = took - 5 * part;
        for step in 1..=total {
            let cached = all_cached || step == 1;
            let text =
                if step == 1 { "FROM debian:bookworm-slim" } else { COMMANDS[self.dice.below(6)] };
            let (id, text) = (step as usize, text.to_owned());
            let step = Arc::new(StepInfo { id, stage: None, number: step, total, text });
            let each = if cached { 0 } else { of_steps / u64::from(total) };
            ran += u32::from(!cached);
            if !cached {
                self.report_of(number, at, Event::StepStarted { step: Arc::clone(&step) });
            }
            at += each;
            if fails && step.number == total {
                return self.fail(number, &step, start, start + took);
            }
            let took = Duration::from_millis(each);
            self.report_of(number, at, Event::StepFinished { step, cached, took });
        }
        if part > 0 {
            at = start + took - 3 * part;
            self.operate(number, &mut at, Operation::Exporting, 2 * part);
            self.operate(number, &mut at, Operation::Unpacking, part);
        }
        self.ends.insert(number, (start + took, true));
        let size = 80_000_000 + u64::try_from(self.dice.below(400_000_000)).unwrap();
        let built = Event::ImageBuilt {
            image_id: self.id(),
            references: vec![format!("acme/shop-{}:latest", name(number))],
            steps: StepCounts { ran, cached: total - ran },
            size: Some(size),
            took: Duration::from_millis(took),
        };
        self.report_of(number, start + took, built);
    }

    fn operate(&mut self, number: usize, at: &mut u64, operation: Operation, took: u64) {
        self.report_of(number, *at, Event::OperationStarted { operation });
        *at += took;
        let took = Duration::from_millis(took);
        let sent = (operation == Operation::SendingContext).then_some(12_345_678);
        self.report_of(number, *at, Event::OperationFinished { operation, sent, took });
    }

    fn fail(&mut self, number: usize, step: &Arc<StepInfo>, start: u64, end: u64) {
        let file = RelPath::new(&format!("docker/{}/Dockerfile", name(number))).unwrap();
        let failure = Failure {
            kind: FailureKind::Build,
            message: "process \"/bin/sh -c make\" did not complete: exit code: 2".to_owned(),
            hint: None,
            step: Some(Arc::clone(step)),
            excerpt: Some(Excerpt {
                location: Location { file, line: 9, column: 1 },
                text: "RUN make \\\n    wheels".to_owned(),
            }),
            log_tail: vec![
                "gcc -c x.c".to_owned(),
                "\u{1b}[31m<script>alert(1)</script>".to_owned(),
            ],
        };
        self.ends.insert(number, (end, false));
        let took = Duration::from_millis(end - start);
        self.report_of(number, end, Event::ImageFailed { failure, took });
    }

    fn id(&mut self) -> String {
        let digits =
            (0..64).map(|_| char::from_digit(u32::try_from(self.dice.below(16)).unwrap(), 16));
        format!("sha256:{}", digits.map(Option::unwrap).collect::<String>())
    }
}
