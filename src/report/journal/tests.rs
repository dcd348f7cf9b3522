//! The log of a run: every event comes back from it, whatever happened to the file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use super::*;
use crate::base::clock::UnixTime;
use crate::base::{Place, Platform, RelPath};
use crate::event::{
    Edge, Event, Excerpt, Failure, FailureKind, Skip, Stamped, StepCounts, StepInfo,
};
use crate::graph::evaluate::NeedKind;
use crate::graph::reference::Reference;
use crate::inputs::Change;
use crate::plan::Reason;
use crate::report::Reporter;
use crate::report::plain;
use crate::state::Memory;
use crate::state::runs::{EVENTS, Head, RunLog, all};

fn place() -> Place {
    Place { file: RelPath::new("docker/dev/Dockerfile").unwrap(), line: 9, column: 1 }
}

fn step() -> StepInfo {
    StepInfo { stage: Some("build".to_owned()), number: 2, total: 3, text: "RUN make".to_owned() }
}

fn every_change() -> Vec<Change> {
    let (path, name, now, was) =
        ("a b".to_owned(), "PY".to_owned(), "1".to_owned(), "2".to_owned());
    let changes = vec![
        Change::FileChanged { path: path.clone() },
        Change::FileAdded { path: path.clone() },
        Change::FileRemoved { path: path.clone() },
        Change::ModeChanged { path, now: now.clone(), was: was.clone() },
        Change::Instruction { at: place() },
        Change::Triggers { at: place() },
        Change::Argument { name: name.clone(), now: Some(now), was: None },
        Change::Argument { name, now: None, was: Some(was) },
        Change::Platform { now: Platform::of("linux", "amd64", ""), was: Platform::default() },
        Change::Syntax,
        Change::External { reference: Reference::parse("debian:12").unwrap(), held: true },
        Change::Parent { image: "base".to_owned() },
    ];
    for change in &changes {
        // One that is added here must be added above.
        match change {
            Change::FileChanged { .. }
            | Change::FileAdded { .. }
            | Change::FileRemoved { .. }
            | Change::ModeChanged { .. }
            | Change::Instruction { .. }
            | Change::Triggers { .. }
            | Change::Argument { .. }
            | Change::Platform { .. }
            | Change::Syntax
            | Change::External { .. }
            | Change::Parent { .. } => {}
        }
    }
    changes
}

fn every_reason() -> Vec<Reason> {
    let reasons = vec![
        Reason::NoImage,
        Reason::TagMoved { reference: "acme/shop-dev:latest".to_owned() },
        Reason::Changed { changes: every_change() },
        Reason::OtherInputs,
        Reason::Forced,
        Reason::Unreadable { message: "no\nfile".to_owned() },
    ];
    for reason in &reasons {
        match reason {
            Reason::NoImage
            | Reason::TagMoved { .. }
            | Reason::Changed { .. }
            | Reason::OtherInputs
            | Reason::Forced
            | Reason::Unreadable { .. } => {}
        }
    }
    reasons
}

/// A kind that is added here must be added to the list below.
fn must_be_listed(event: &Event) {
    match event {
        Event::RunStarted { .. }
        | Event::ImageStarted { .. }
        | Event::ImageFresh { .. }
        | Event::ImageStale { .. }
        | Event::ImageBlocked { .. }
        | Event::ImageRetried { .. }
        | Event::StepStarted { .. }
        | Event::StepFinished { .. }
        | Event::Output { .. }
        | Event::Warning { .. }
        | Event::ImageBuilt { .. }
        | Event::ImageFailed { .. }
        | Event::ImageSkipped { .. }
        | Event::ImageCancelled { .. }
        | Event::ImagePulled { .. }
        | Event::PushStarted { .. }
        | Event::ImagePushed { .. }
        | Event::PushFailed { .. }
        | Event::Released { .. }
        | Event::NotReleased { .. }
        | Event::Interrupted { .. }
        | Event::RunFinished => {}
    }
}

fn beginning(image: String, took: Duration) -> Event {
    Event::RunStarted {
        engine: "fake 1".to_owned(),
        jobs: 2,
        images: vec![image.clone()],
        edges: vec![Edge { image: image.clone(), parent: image.clone(), kind: NeedKind::Copy }],
        expected: [(image, took)].into(),
    }
}

fn of_registries(evil: &str, took: Duration) -> Vec<Event> {
    let (image, evil) = (|| "dev".to_owned(), || evil.to_owned());
    let digested = || format!("{}@sha256:0", evil());
    vec![
        Event::ImagePulled { image: image(), reference: digested(), took },
        Event::PushStarted { image: image() },
        Event::ImagePushed { image: image(), reference: digested(), took },
        Event::PushFailed { image: image(), message: evil() },
        Event::Released { moved: vec![evil()], kept: 2 },
        Event::NotReleased { message: Some(evil()) },
        Event::NotReleased { message: None },
    ]
}

/// Events of every kind, the end last.
fn every_event() -> Vec<Stamped> {
    let image = || "dev".to_owned();
    let took = Duration::from_micros(1_234_567);
    let evil = "a\x1b[31m\r\u{202e}\u{fffd}\0\"\\\u{2028}é".to_owned();
    let build = Failure {
        kind: FailureKind::Build,
        message: format!("exit code: 2\n{evil}"),
        step: Some(step()),
        excerpt: Some(Excerpt { place: place(), text: "RUN make \\\n  all".to_owned() }),
        log_tail: vec![evil.clone(), String::new()],
    };
    let machinery = Failure {
        kind: FailureKind::Machinery,
        step: None,
        excerpt: None,
        log_tail: Vec::new(),
        ..build.clone()
    };
    let plain_step = StepInfo { stage: None, number: 0, total: 0, text: "exporting".to_owned() };
    let fresh = |id: &str, tagged, size| Event::ImageFresh {
        image: image(),
        image_id: id.to_owned(),
        tagged,
        size,
        registry: size.map(|_| "ghcr.io/acme/dev@sha256:0".to_owned()),
    };
    let mut events = vec![
        beginning(image(), took),
        Event::ImageStarted { image: image() },
        fresh("sha256:1", Vec::new(), None),
        fresh("", vec![image()], Some(5)),
        Event::ImageBlocked { image: image() },
        Event::ImageRetried { image: image(), attempt: 1, message: evil.clone(), wait: took },
        Event::StepStarted { image: image(), step: plain_step },
        Event::StepFinished { image: image(), step: step(), cached: true, took: Duration::ZERO },
        Event::Output { image: image(), step: step(), line: evil.clone() },
        Event::Warning { image: image(), message: evil.clone() },
        Event::ImageBuilt {
            image: image(),
            image_id: "sha256:2".to_owned(),
            references: vec!["acme/shop-dev:latest".to_owned()],
            steps: StepCounts { ran: 1, cached: 2 },
            size: Some(1 << 40),
            took,
        },
        Event::ImageFailed { image: image(), failure: build, took },
        Event::ImageFailed { image: image(), failure: machinery, took },
        Event::ImageSkipped { image: image(), because: Skip::Stopped },
        Event::ImageSkipped { image: image(), because: Skip::NeedFailed { image: image() } },
        Event::ImageCancelled { image: image(), took },
        Event::Interrupted { signal: 15 },
    ];
    let stale = |reason| Event::ImageStale { image: image(), reason };
    events.extend(every_reason().into_iter().map(stale));
    events.extend(of_registries(&evil, took));
    events.push(Event::RunFinished);
    events.iter().for_each(must_be_listed);
    let at = (0..).map(|number| Duration::from_micros(number * 1001));
    at.zip(events).map(|(at, event)| Stamped { at, event }).collect()
}

/// Events as plain lines.
fn lines(events: impl IntoIterator<Item = Stamped>) -> Vec<String> {
    events.into_iter().filter_map(|event| plain::line(&event)).collect()
}

struct Logged {
    folder: tempfile::TempDir,
}

impl Logged {
    fn new() -> Logged {
        Logged { folder: tempfile::tempdir().unwrap() }
    }

    fn memory(&self) -> Memory {
        Memory::of(self.folder.path())
    }

    /// The log of a run that begins at a second since 1970 and has `events`.
    fn log(&self, second: u64, events: &[Stamped]) -> Journal {
        let mut journal =
            Journal::new(&self.memory(), UnixTime::after_epoch(Duration::from_secs(second)));
        events.iter().for_each(|event| journal.show(event).unwrap());
        journal.flush().unwrap();
        journal
    }

    fn only(&self) -> RunLog {
        let mut runs = all(&self.memory());
        assert_eq!(runs.len(), 1);
        runs.remove(0)
    }

    fn events_file(&self) -> PathBuf {
        self.memory().runs().below(&self.only().id).file(EVENTS).unwrap()
    }

    fn read(&self) -> Vec<Stamped> {
        Events::of(&self.only()).unwrap().map(Result::unwrap).collect()
    }
}

#[test]
fn every_event_comes_back_from_json() {
    for event in every_event() {
        let text = serde_json::to_string(&event).unwrap();
        let again: Stamped = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert_eq!(format!("{again:?}"), format!("{event:?}"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn every_event_fits_the_schema() {
    let schema = include_str!("../../../docs/events.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    for event in every_event() {
        let value = serde_json::to_value(&event).unwrap();
        assert!(schema.is_valid(&value), "{value}");
    }
    assert!(schema.is_valid(&serde_json::to_value(Head::of(UnixTime::default())).unwrap()));
}

#[test]
fn a_log_is_read_as_it_was_written() {
    let logged = Logged::new();
    let journal = logged.log(1_795_595_472, &every_event());
    let run = logged.only();
    assert_eq!(run.id, format!("20261125-083112-{}", process::id()));
    assert_eq!(run.began, UnixTime::from_seconds(1_795_595_472));
    assert!(run.is_written());
    drop(journal);
    assert!(!run.is_written());
    assert_eq!(format!("{:?}", logged.read()), format!("{:?}", every_event()));
    assert!(logged.folder.path().join(".layers/.gitignore").is_file());
}

#[test]
fn what_steps_wrote_can_be_passed_over() {
    let is_output = |event: &Event| matches!(event, Event::Output { .. });
    let check = |events: &[Stamped], expected: &[Stamped]| {
        let logged = Logged::new();
        drop(logged.log(1, events));
        let facts = Events::of(&logged.only()).unwrap().only_facts().map(Result::unwrap);
        assert_eq!(format!("{:?}", facts.collect::<Vec<_>>()), format!("{expected:?}"));
    };
    let events = every_event();
    let (output, facts): (Vec<_>, Vec<_>) =
        events.iter().cloned().partition(|it| is_output(&it.event));
    assert_eq!(output.len(), 1);
    check(&events, &facts);
    // The last one says how long the run lived.
    let until = events.iter().position(|it| is_output(&it.event)).unwrap();
    check(&events[..=until], &events[..=until]);
}

#[test]
fn a_run_that_begins_nothing_leaves_nothing() {
    let logged = Logged::new();
    let is_start = |event: &&Stamped| matches!(event.event, Event::ImageStarted { .. });
    let all_events = every_event();
    let without: Vec<Stamped> = all_events.iter().filter(|it| !is_start(it)).cloned().collect();
    drop(logged.log(1, &without));
    assert_eq!(fs::read_dir(logged.folder.path()).unwrap().count(), 0);
    drop(logged.log(1, &all_events[..2]));
    assert_eq!(logged.read().len(), 2, "what came before the start is there too");
}

#[test]
fn torn_and_damaged_lines_are_passed_over() {
    let logged = Logged::new();
    let events = every_event();
    drop(logged.log(1, &events));
    let path = logged.events_file();
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    assert_eq!(ends.len(), events.len() + 1);
    // Wherever the process was killed, all that was whole is there.
    for length in 0..=whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let complete = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
        let read = lines(logged.read());
        assert_eq!(read, lines(events[..complete].to_vec()), "{length} bytes");
    }
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"\n\xff\xfe\n{\"at_ms\":1.0,\"event\":\"of a later version\"}\n[]\n").unwrap();
    file.write_all(b"{\"at_ms\":1e300,\"event\":\"run-finished\"}\n").unwrap();
    assert_eq!(lines(logged.read()), lines(events));
}

#[test]
fn a_newer_form_is_refused() {
    let logged = Logged::new();
    drop(logged.log(1, &every_event()));
    let path = logged.events_file();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"version\":1", "\"version\":2,\"more\":0", 1)).unwrap();
    let error = crate::base::error::text(&Events::of(&logged.only()).unwrap_err());
    assert!(error.contains("has the form 2") && error.contains("\nhint: "), "{error}");
}

#[test]
fn the_last_ten_are_kept_and_what_is_being_written() {
    let logged = Logged::new();
    let events = every_event();
    let writing = logged.log(1, &events);
    let strange = logged.memory().runs().path().join("20260231-000000-1");
    fs::create_dir_all(&strange).unwrap();
    for second in 2..=12 {
        drop(logged.log(second, &events));
    }
    let began = || -> Vec<u64> {
        all(&logged.memory()).iter().map(|run| run.began.since_epoch().as_secs()).collect()
    };
    assert_eq!(began(), [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    drop(writing);
    drop(logged.log(13, &events));
    assert_eq!(began(), (4..=13).collect::<Vec<_>>());
    assert!(strange.is_dir(), "it is no run of ours");
    // What died before its first line, and what is half removed.
    let empty = logged.memory().runs().path().join("19700101-000004-1");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join(EVENTS), "").unwrap();
    fs::create_dir(logged.memory().runs().path().join("19700101-000005-1")).unwrap();
    drop(logged.log(14, &events));
    assert_eq!(began(), (5..=14).collect::<Vec<_>>());
}

#[test]
fn runs_of_one_second_are_told_apart() {
    let logged = Logged::new();
    for millis in [2_500, 2_100, 2_900] {
        let mut journal =
            Journal::new(&logged.memory(), UnixTime::after_epoch(Duration::from_millis(millis)));
        every_event().iter().for_each(|event| journal.show(event).unwrap());
        journal.flush().unwrap();
    }
    let runs = all(&logged.memory());
    let began: Vec<u128> = runs.iter().map(|run| run.began.since_epoch().as_millis()).collect();
    assert_eq!(began, [2_100, 2_500, 2_900]);
    let process = process::id();
    let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    let id = |end: &str| format!("19700101-000002-{process}{end}");
    assert_eq!(ids, [id("-2"), id(""), id("-3")]);
}

#[test]
fn steps_that_run_at_once_take_turns_in_the_log_of_their_image() {
    let logged = Logged::new();
    let image = || "dev/é".to_owned();
    let other = || StepInfo { stage: None, number: 1, total: 2, text: "RUN other".to_owned() };
    let output = |step, line: &str| Event::Output { image: image(), step, line: line.to_owned() };
    let events = [
        Event::ImageStarted { image: image() },
        Event::StepStarted { image: image(), step: step() },
        output(step(), "one"),
        Event::StepStarted { image: image(), step: other() },
        output(step(), "\x1b[31mtwo"),
        output(other(), "three"),
        Event::StepFinished { image: image(), step: step(), cached: true, took: Duration::ZERO },
        output(other(), "four"),
        Event::ImageCancelled { image: image(), took: Duration::ZERO },
        output(other(), "after the end"),
    ];
    let at = Duration::ZERO;
    drop(logged.log(1, &events.map(|event| Stamped { at, event })));
    let log = fs::read_to_string(logged.only().image_log(&image()).unwrap()).unwrap();
    let expected = "\
==> started
==> [build 2/3] RUN make
one
==> [1/2] RUN other
==> [build 2/3] RUN make
\x1b[31mtwo
==> [1/2] RUN other
three
==> [build 2/3] cached
==> [1/2] RUN other
four
==> cancelled after 0.0s
";
    assert_eq!(log, expected);
    assert!(logged.only().image_log("dev").is_none());
}
