//! Complete screens, as a terminal shows them.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::event::{Failure, FailureKind, ImageEdge, Operation, Skip, StepCounts, StepInfo};
use crate::graph::evaluate::DependencyKind;

/// A terminal emulator.
#[derive(Clone)]
struct TerminalEmulator(Arc<Mutex<vt100::Parser>>);

impl Write for TerminalEmulator {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().process(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A screen with a manually set clock and width.
struct TestScreen {
    terminal: TerminalEmulator,
    screen: Screen,
    /// The images of the run.
    images: Vec<Arc<str>>,
    now: Arc<AtomicU64>,
    width: Arc<AtomicUsize>,
}

impl TestScreen {
    fn new(height: u16, width: u16) -> TestScreen {
        TestScreen::painted(height, width, Paint::plain())
    }

    fn painted(height: u16, width: u16, paint: Paint) -> TestScreen {
        let side = |length| NonZero::new(length).unwrap();
        let parser = vt100::Parser::new(side(height), side(width), 0);
        let terminal = TerminalEmulator(Arc::new(Mutex::new(parser)));
        let now = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now);
        let columns = Arc::new(AtomicUsize::new(usize::from(width)));
        let width = Arc::clone(&columns);
        let described = Terminal {
            to: Box::new(terminal.clone()),
            size: Arc::new(move || (columns.load(Ordering::Relaxed), usize::from(height))),
            rewraps: true,
        };
        let clock = Box::new(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
        let screen = Screen::new(described, paint, clock);
        TestScreen { terminal, screen, images: Vec::new(), now, width }
    }

    fn contents(&self) -> String {
        self.terminal.0.lock().unwrap().screen().contents()
    }

    fn at(&mut self, millis: u64, events: Vec<Fact>) -> &mut TestScreen {
        self.now.store(millis, Ordering::Relaxed);
        for (image, event) in events {
            if let Event::RunStarted { images, .. } = &event {
                self.images.clone_from(images);
            }
            let id = self.images.iter().position(|it| **it == image);
            let image = id.map(|id| RunImage::new(id, &image));
            self.screen.take(&TimedEvent { at: Duration::from_millis(millis), image, event });
        }
        self.screen.draw();
        self
    }

    fn check(&self, expected: &str) {
        let shown = self.contents();
        let shown: Vec<&str> = shown.lines().map(str::trim_end).collect();
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(shown, expected);
    }
}

/// An event and its image; the name is empty for an event of the run.
type Fact = (String, Event);

fn begun(images: &[&str], jobs: usize, expected: &[(&str, u64)]) -> Fact {
    let edge = |image: &str, parent: &str| {
        let (image, parent) = (image.into(), parent.into());
        ImageEdge { image, parent, kind: DependencyKind::From }
    };
    let times = expected.iter().map(|(image, time)| ((*image).into(), Duration::from_secs(*time)));
    let event = Event::RunStarted {
        engine: "fake 1".to_owned(),
        command: None,
        jobs,
        images: images.iter().map(|image| (*image).into()).collect(),
        edges: images.windows(2).map(|pair| edge(pair[1], pair[0])).collect(),
        expected: times.collect(),
    };
    (String::new(), event)
}

fn of(image: &str, event: Event) -> Fact {
    (image.to_owned(), event)
}

fn started(image: &str) -> Fact {
    of(image, Event::ImageStarted)
}

fn step(number: u32, text: &str) -> Arc<StepInfo> {
    Arc::new(StepInfo { id: 0, stage: None, number, total: 3, text: text.to_owned() })
}

fn stepped(image: &str, number: u32, text: &str) -> Fact {
    of(image, Event::StepStarted { step: step(number, text) })
}

fn output(image: &str, line: &str) -> Fact {
    of(image, Event::Output { step: step(2, ""), line: line.to_owned() })
}

fn fresh(image: &str) -> Fact {
    let (image_id, tagged) = (String::new(), Vec::new());
    of(image, Event::ImageFresh { image_id, tagged, size: Some(5), registry: None })
}

fn built(image: &str, millis: u64) -> Fact {
    let event = Event::ImageBuilt {
        image_id: String::new(),
        references: Vec::new(),
        steps: StepCounts { ran: 2, cached: 1 },
        size: Some(312_000_000),
        took: Duration::from_millis(millis),
    };
    of(image, event)
}

fn failed(image: &str) -> Fact {
    let failure = Failure {
        kind: FailureKind::Build,
        message: "exit code: 2".to_owned(),
        hint: None,
        step: Some(step(3, "RUN make")),
        excerpt: None,
        log_tail: Vec::new(),
    };
    of(image, Event::ImageFailed { failure, took: Duration::from_secs(1) })
}

fn skipped(image: &str, because: &str) -> Fact {
    of(image, Event::ImageSkipped { because: Skip::ParentFailed { image: because.into() } })
}

#[test]
fn a_run_is_displayed_from_start_to_finish() {
    let mut shown = TestScreen::new(12, 80);
    let expected = [("builder", 20), ("dev", 30)];
    let begin = begun(&["base", "builder", "dev", "release"], 2, &expected);
    shown.at(0, vec![begin, fresh("base"), started("builder")]).check(
        "• base  fresh
    0.0s  builder
━━━─────────  1/4 images  1 running  2 waiting  0.0s  about 50s left",
    );
    let steps = vec![stepped("builder", 2, "RUN make   all"), output("builder", "cc \x1b[31mx.c")];
    shown.at(12_400, steps).check(
        "• base  fresh
   12.4s  builder  [2/3] RUN make all  cc x.c
━━━─────────  1/4 images  1 running  2 waiting  12.4s  about 38s left",
    );
    let next = vec![built("builder", 12_400), started("dev")];
    shown.at(13_400, next).check(
        "• base  fresh
✓ builder  12.4s  built  312 MB
    0.0s  dev
━━━━━━──────  2/4 images  1 running  1 waiting  13.4s  about 30s left",
    );
    shown.at(14_400, vec![failed("dev"), skipped("release", "dev"), of("", Event::RunFinished)]);
    let (_, nothing) = mpsc::channel();
    let TestScreen { screen, terminal, .. } = shown;
    screen.run(&nothing);
    let expected = "• base  fresh
✓ builder  12.4s  built  312 MB
✗ dev  1.0s  failed in [3/3] RUN make
- release  skipped: dev failed";
    assert_eq!(terminal.0.lock().unwrap().screen().contents(), expected);
}

#[test]
fn the_display_fits_in_forty_columns() {
    let mut shown = TestScreen::new(8, 40);
    let begin = begun(&["漢字漢字漢字漢字", "b"], 2, &[]);
    let events = vec![
        begin,
        started("漢字漢字漢字漢字"),
        started("b"),
        stepped("b", 1, "RUN echo 漢字漢字漢字漢字漢字漢字"),
        output("b", "漢字漢字漢字漢字漢字漢字漢字"),
    ];
    shown.at(100, events).check(
        "    0.0s  漢字漢字漢字漢字
    0.0s  b           [1/3] RU…  漢字漢…
──────  0/2 images  2 running  0.1s",
    );
    let done = vec![built("漢字漢字漢字漢字", 61_000), failed("b")];
    shown.at(200, done).check(
        "✓ 漢字漢字漢字漢字  1m01s  built  312 MB
✗ b  1.0s  failed in [3/3] RUN make
━━━━━━  2/2  1 failed  0.2s",
    );
}

#[test]
fn the_display_uses_two_hundred_columns() {
    let mut shown = TestScreen::new(8, 200);
    let text = "RUN apt-get update && apt-get install --yes gcc make libssl-dev";
    let line = "Get:1 http://example.org/debian bookworm InRelease [151 kB]";
    let events = vec![
        begun(&["base"], 2, &[]),
        started("base"),
        stepped("base", 2, text),
        output("base", line),
    ];
    shown.at(100, events).check(
        &format!(
            "    0.1s  base  [2/3] {text}  {line}
────────────────────────  0/1 images  1 running  0 waiting  0.1s"
        )
        .replace("    0.1s", "    0.0s"),
    );
}

#[test]
fn at_most_eight_running_images_are_shown() {
    let names: Vec<String> = (0..12).map(|number| format!("image{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut shown = TestScreen::new(20, 80);
    let mut events = vec![begun(&names, 12, &[])];
    events.extend(names.iter().map(|name| started(name)));
    shown.at(0, events);
    let rows = |shown: &TestScreen| shown.contents().matches("image").count() - 1;
    assert_eq!(rows(&shown), 8);
    // The image that has waited longest gets the next row.
    shown.at(0, vec![fresh("image03")]);
    let screen = shown.contents();
    assert!(screen.starts_with("• image03  fresh\n") && screen.contains("  image08"), "{screen}");
    assert_eq!(rows(&shown), 9);
}

#[test]
fn many_fresh_images_are_shown_on_one_line() {
    let names: Vec<String> = (0..40).map(|number| format!("image{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut shown = TestScreen::new(20, 80);
    let mut events = vec![begun(&names, 2, &[])];
    events.extend(names[1..].iter().map(|name| fresh(name)));
    events.push(started("image00"));
    shown.at(0, events).check(
        "• 39 images  fresh
    0.0s  image00
━━━━━━━━━━━─  39/40 images  1 running  0 waiting  0.0s",
    );
}

/// Rewraps the lines as a terminal does when it becomes narrower. The cursor stays after the same character.
fn rewrap(terminal: &TerminalEmulator, height: u16, width: u16) {
    let mut parser = terminal.0.lock().unwrap();
    let lines = parser.screen().contents().replace('\n', "\r\n");
    let side = |length| NonZero::new(length).unwrap();
    *parser = vt100::Parser::new(side(height), side(width), 0);
    parser.process(lines.as_bytes());
}

#[test]
fn resizing_the_terminal_leaves_no_stale_lines() {
    let mut shown = TestScreen::new(20, 80);
    let events = vec![
        begun(&["base", "dev", "x"], 2, &[]),
        fresh("base"),
        started("dev"),
        stepped("dev", 1, "RUN a command that is much longer than half of the terminal is wide"),
        started("x"),
        stepped("x", 1, "RUN another command that is longer than half of the terminal is, 漢字"),
    ];
    shown.at(0, events);
    for width in [39, 30, 33, 80, 60] {
        rewrap(&shown.terminal, 20, width);
        shown.width.store(usize::from(width), Ordering::Relaxed);
        shown.at(0, Vec::new());
        let screen = shown.contents();
        let lines: Vec<&str> = screen.lines().collect();
        assert_eq!(lines.len(), 4, "{width}\n{screen}");
        assert_eq!(lines[0], "• base  fresh");
        assert!(lines[1].starts_with("    0.0s  dev  [1/3] RUN a"), "{screen}");
        assert!(lines[2].starts_with("    0.0s  x  "), "{screen}");
        assert!(lines[3].contains("1/3"), "{screen}");
    }
}

#[test]
fn color_settings_are_respected() {
    let wish = |no_color| super::super::paint::ColorSettings { no_color, ..Default::default() };
    let color = |paint| {
        let mut shown = TestScreen::painted(8, 80, paint);
        shown.at(0, vec![begun(&["a", "b"], 2, &[]), started("a"), built("a", 1000)]);
        let parser = shown.terminal.0.lock().unwrap();
        parser.screen().cell(0, 0).unwrap().fgcolor()
    };
    assert_eq!(color(Paint::new(wish(false), true)), vt100::Color::Idx(2));
    assert_eq!(color(Paint::new(wish(true), true)), vt100::Color::Default);
}

fn operates(image: &str, operation: Operation) -> Fact {
    of(image, Event::OperationStarted { operation })
}

fn operated(image: &str, operation: Operation, millis: u64) -> Fact {
    let took = Duration::from_millis(millis);
    of(image, Event::OperationFinished { operation, sent: None, took })
}

/// Returns what the row of the only image shows after its name.
fn row_after(shown: &TestScreen) -> String {
    let contents = shown.contents();
    let row = contents.lines().find(|line| line.contains("s  base")).unwrap();
    row.split_once("base").unwrap().1.trim().to_owned()
}

#[test]
fn an_image_is_not_at_its_last_step_while_it_is_exported() {
    let mut shown = TestScreen::new(8, 80);
    let ended = |number, text| {
        let (cached, took) = (false, Duration::from_secs(1));
        of("base", Event::StepFinished { step: step(number, text), cached, took })
    };
    let events = vec![begun(&["base"], 1, &[]), started("base"), stepped("base", 3, "RUN dd")];
    shown.at(0, events);
    shown.at(1000, vec![output("base", "300+0 records out"), ended(3, "RUN dd")]);
    assert_eq!(row_after(&shown), "[3/3] RUN dd  300+0 records out");
    shown.at(1050, vec![operates("base", Operation::Exporting)]);
    assert_eq!(row_after(&shown), "exporting");
    shown.at(5150, vec![]).check(
        "    5.2s  base  exporting  4.1s
────────────  0/1 images  1 running  0 waiting  5.2s",
    );
    let events =
        vec![operated("base", Operation::Exporting, 4200), operates("base", Operation::Unpacking)];
    shown.at(5250, events);
    assert_eq!(row_after(&shown), "unpacking");
    shown.at(5300, vec![operated("base", Operation::Unpacking, 50)]);
    assert_eq!(row_after(&shown), "");
}

#[test]
fn the_bytes_of_a_context_are_shown_while_it_is_sent() {
    let sent = |sent, total| {
        let operation = Operation::SendingContext;
        of("base", Event::OperationProgress { operation, sent, total })
    };
    for (width, expected) in [
        (120, "sending context  12.3 MB of 300 MB"),
        (80, "sending context  12.3 MB of 300 MB"),
        (40, "sending con…  12.3 MB o…"),
    ] {
        let mut shown = TestScreen::new(8, width);
        let events = vec![
            begun(&["base"], 1, &[]),
            started("base"),
            operates("base", Operation::SendingContext),
            sent(12_300_000, 300_000_000),
        ];
        shown.at(100, events);
        assert_eq!(row_after(&shown), expected);
        // A step of another stage runs at the same time.
        shown.at(200, vec![stepped("base", 1, "RUN a"), sent(90_000_000, 300_000_000)]);
        assert_eq!(row_after(&shown), "[1/3] RUN a");
        let (cached, took) = (false, Duration::ZERO);
        let ended = of("base", Event::StepFinished { step: step(1, "RUN a"), cached, took });
        shown.at(300, vec![ended]);
        assert!(row_after(&shown).contains("90.0 MB"), "{}", shown.contents());
    }
}

#[test]
fn a_wait_for_another_run_is_shown_with_its_duration() {
    let mut shown = TestScreen::new(8, 80);
    let events =
        vec![begun(&["base"], 1, &[]), started("base"), operates("base", Operation::WaitingForRun)];
    shown.at(500, events);
    assert_eq!(row_after(&shown), "waiting for another run");
    shown.at(62_500, vec![]);
    assert_eq!(row_after(&shown), "waiting for another run  1m02s");
    let stale = of("base", Event::ImageStale { reason: crate::plan::Reason::NoImage });
    shown.at(63_000, vec![operated("base", Operation::WaitingForRun, 62_500), stale]);
    assert_eq!(row_after(&shown), "no image in the engine");
    // A retry starts again.
    let (attempt, message, wait) = (1, "no".to_owned(), Duration::ZERO);
    let retried = of("base", Event::ImageRetried { attempt, message, wait });
    shown.at(64_000, vec![operates("base", Operation::Exporting), retried]);
    assert_eq!(row_after(&shown), "");
}

#[test]
fn steps_that_are_not_instructions_are_shown_if_they_are_slow() {
    let metadata = |id, name: &str| {
        let text = format!("load metadata for {name}");
        Arc::new(StepInfo { id, stage: None, number: 0, total: 0, text })
    };
    let began = |step: &Arc<StepInfo>| of("base", Event::StepStarted { step: Arc::clone(step) });
    let mut shown = TestScreen::new(8, 80);
    let stale = of("base", Event::ImageStale { reason: crate::plan::Reason::NoImage });
    let debian = metadata(7, "docker.io/library/debian:12");
    let events = vec![begun(&["base"], 1, &[]), started("base"), stale, began(&debian)];
    shown.at(0, events);
    shown.at(900, vec![]);
    assert_eq!(row_after(&shown), "no image in the engine");
    shown.at(1100, vec![]);
    assert_eq!(row_after(&shown), "load metadata for docker.io/library/debian:12");
    let (cached, took) = (false, Duration::from_millis(1200));
    shown.at(1200, vec![of("base", Event::StepFinished { step: debian, cached, took })]);
    assert_eq!(row_after(&shown), "no image in the engine");
    // They do not hide an instruction at once.
    let events = vec![stepped("base", 2, "RUN a"), began(&metadata(8, "other"))];
    shown.at(1300, events);
    assert_eq!(row_after(&shown), "[2/3] RUN a");
}
