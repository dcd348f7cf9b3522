//! The log of a run: every event is restored, even from a damaged file.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::clock::UnixTime;
use crate::base::{Location, Platform, RelPath};
use crate::event::{
    Event, Excerpt, Failure, FailureKind, ImageEdge, Operation, RunImage, Skip, StepCounts,
    StepInfo, TimedEvent,
};
use crate::graph::evaluate::DependencyKind;
use crate::graph::reference::Reference;
use crate::inputs::Change;
use crate::plan::Reason;
use crate::report::{Reporter, plain, replay};
use crate::state::RepositoryState;
use crate::state::runs::{EVENTS, LogHeader, RunLog, all};

fn location() -> Location {
    Location { file: RelPath::new("docker/dev/Dockerfile").unwrap(), line: 9, column: 1 }
}

fn step() -> Arc<StepInfo> {
    let (stage, text) = (Some("build".to_owned()), "RUN make".to_owned());
    Arc::new(StepInfo { id: 0, stage, number: 2, total: 3, text })
}

fn every_change() -> Vec<Change> {
    let (path, name, now, was) =
        ("a b".to_owned(), "PY".to_owned(), "1".to_owned(), "2".to_owned());
    let changes = vec![
        Change::FileChanged { path: path.clone() },
        Change::FileAdded { path: path.clone() },
        Change::FileRemoved { path: path.clone() },
        Change::ModeChanged { path, now: now.clone(), was: was.clone() },
        Change::Instruction { at: location() },
        Change::Triggers { at: location() },
        Change::Argument { name: name.clone(), now: Some(now), was: None },
        Change::Argument { name, now: None, was: Some(was) },
        Change::Platform { now: Platform::of("linux", "amd64", ""), was: Platform::default() },
        Change::Syntax,
        Change::External { reference: Reference::parse("debian:12").unwrap(), in_engine: true },
        Change::Parent { image: "base".to_owned() },
    ];
    for change in &changes {
        // A new variant must be added above.
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
        Reason::NotInRegistry,
        Reason::Unknown { message: "no\nanswer".to_owned() },
        Reason::TagMoved { reference: "acme/shop-dev:latest".to_owned() },
        Reason::Changed { changes: every_change() },
        Reason::OtherInputs,
        Reason::Forced,
        Reason::MissingFile {
            at: location(),
            message: "no".to_owned(),
            hint: Some("x".to_owned()),
        },
        Reason::Unreadable { message: "no\nfile".to_owned() },
    ];
    for reason in &reasons {
        match reason {
            Reason::NoImage
            | Reason::NotInRegistry
            | Reason::Unknown { .. }
            | Reason::TagMoved { .. }
            | Reason::Changed { .. }
            | Reason::OtherInputs
            | Reason::Forced
            | Reason::MissingFile { .. }
            | Reason::Unreadable { .. } => {}
        }
    }
    reasons
}

/// A new variant must be added to the list below.
fn must_be_listed(event: &Event) {
    match event {
        Event::RunStarted { .. }
        | Event::ImageStarted
        | Event::ImageFresh { .. }
        | Event::ImageStale { .. }
        | Event::OperationStarted { .. }
        | Event::OperationProgress { .. }
        | Event::OperationFinished { .. }
        | Event::ImageRetried { .. }
        | Event::StepStarted { .. }
        | Event::StepFinished { .. }
        | Event::Output { .. }
        | Event::Warning { .. }
        | Event::ImageBuilt { .. }
        | Event::ImageFailed { .. }
        | Event::ImageSkipped { .. }
        | Event::ImageCanceled { .. }
        | Event::ImagePulled { .. }
        | Event::PushQueued
        | Event::PushStarted
        | Event::PushProgress { .. }
        | Event::ImagePushed { .. }
        | Event::PushFailed { .. }
        | Event::PushCanceled
        | Event::Released { .. }
        | Event::NotReleased { .. }
        | Event::Waiting { .. }
        | Event::Interrupted { .. }
        | Event::RunFinished => {}
    }
}

fn of_run_started(took: Duration) -> Event {
    let image = || "dev".into();
    Event::RunStarted {
        engine: "fake 1".to_owned(),
        command: Some("layers build --all".to_owned()),
        jobs: 2,
        images: vec![image()],
        edges: vec![ImageEdge { image: image(), parent: image(), kind: DependencyKind::Copy }],
        expected: [(image(), took)].into(),
    }
}

fn of_registries(evil: &str, took: Duration) -> Vec<Event> {
    let evil = || evil.to_owned();
    let digested = || format!("{}@sha256:0", evil());
    vec![
        Event::ImagePulled { reference: digested(), took },
        Event::PushQueued,
        Event::PushStarted,
        Event::PushProgress { sent: 1, total: 2 },
        Event::ImagePushed { reference: digested(), took },
        Event::PushFailed { message: evil() },
        Event::PushCanceled,
    ]
}

fn fresh(id: &str, tagged: Vec<String>, size: Option<u64>) -> Event {
    let registry = size.map(|_| "ghcr.io/acme/dev@sha256:0".to_owned());
    Event::ImageFresh { image_id: id.to_owned(), tagged, size, registry }
}

/// Returns events of every kind, the last one of the run at the end.
fn every_event() -> Vec<TimedEvent> {
    let took = Duration::from_micros(1_234_567);
    let evil = "a\x1b[31m\r\u{202e}\u{fffd}\0\"\\\u{2028}é".to_owned();
    let build = Failure {
        kind: FailureKind::Build,
        message: format!("exit code: 2\n{evil}"),
        hint: Some(evil.clone()),
        step: Some(step()),
        excerpt: Some(Excerpt { location: location(), text: "RUN make \\\n  all".to_owned() }),
        log_tail: vec![evil.clone()],
    };
    let (kind, log_tail) = (FailureKind::Machinery, Vec::new());
    let machinery = Failure { kind, step: None, excerpt: None, log_tail, ..build.clone() };
    let export = StepInfo { id: 1, text: "exporting".to_owned(), ..StepInfo::default() };
    let mut of_image = vec![
        Event::ImageStarted,
        Event::OperationStarted { operation: Operation::WaitingForRun },
        Event::OperationProgress { operation: Operation::SendingContext, sent: 1, total: 2 },
        Event::OperationFinished { operation: Operation::Pulling, sent: None, took },
        Event::ImageRetried { attempt: 1, message: evil.clone(), wait: took },
        Event::StepStarted { step: step() },
        Event::StepStarted { step: Arc::new(export) },
        Event::StepFinished { step: step(), cached: true, took: Duration::ZERO },
        Event::Output { step: step(), line: evil.clone() },
        Event::Warning { message: evil.clone() },
        Event::ImageFailed { failure: build, took },
        Event::ImageFailed { failure: machinery, took },
        fresh("sha256:1", Vec::new(), None),
        fresh("", vec!["dev".to_owned()], Some(5)),
        Event::ImageBuilt {
            image_id: "sha256:2".to_owned(),
            references: vec!["acme/shop-dev:latest".to_owned()],
            steps: StepCounts { ran: 1, cached: 2 },
            size: Some(1 << 40),
            took,
        },
        Event::ImageSkipped { because: Skip::Stopped },
        Event::ImageSkipped { because: Skip::ParentFailed { image: "dev".into() } },
        Event::ImageCanceled { took },
    ];
    of_image.extend(every_reason().into_iter().map(|reason| Event::ImageStale { reason }));
    of_image.extend(of_registries(&evil, took));
    let of_run = [
        Event::Interrupted { signal: 15 },
        Event::Waiting { what: evil.clone() },
        Event::Released { moved: vec![evil.clone()], unchanged: 2 },
        Event::NotReleased { message: Some(evil) },
        Event::NotReleased { message: None },
        Event::RunFinished,
    ];
    let mut events = vec![(None, of_run_started(took))];
    events.extend(of_image.into_iter().map(|event| (Some(RunImage::new(0, "dev")), event)));
    events.extend(of_run.into_iter().map(|event| (None, event)));
    events.iter().for_each(|(_, event)| must_be_listed(event));
    let at = (0..).map(|number| Duration::from_micros(number * 1001));
    at.zip(events).map(|(at, (image, event))| TimedEvent { at, image, event }).collect()
}

/// Formats events as plain lines.
fn lines(events: impl IntoIterator<Item = TimedEvent>) -> Vec<String> {
    events.into_iter().filter_map(|event| plain::line(&event)).collect()
}

struct TestLog {
    directory: tempfile::TempDir,
}

impl TestLog {
    fn new() -> TestLog {
        TestLog { directory: tempfile::tempdir().unwrap() }
    }

    fn state(&self) -> RepositoryState {
        RepositoryState::of(self.directory.path())
    }

    /// Writes the log of a run that starts at a second since 1970 and has `events`.
    fn log(&self, second: u64, events: &[TimedEvent]) -> Journal {
        let mut journal =
            Journal::new(&self.state(), UnixTime::after_epoch(Duration::from_secs(second)));
        events.iter().for_each(|event| journal.show(event).unwrap());
        journal.flush().unwrap();
        journal
    }

    fn only(&self) -> RunLog {
        let mut runs = all(&self.state());
        assert_eq!(runs.len(), 1);
        runs.remove(0)
    }

    fn events_file(&self) -> PathBuf {
        self.state().runs().below(&self.only().id).file(EVENTS).unwrap()
    }

    fn read(&self) -> Vec<TimedEvent> {
        Events::of(&self.only()).unwrap().map(Result::unwrap).collect()
    }
}

#[test]
fn every_event_round_trips_through_json() {
    for event in every_event() {
        let text = serde_json::to_string(&event).unwrap();
        let again: TimedEvent = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn every_event_matches_the_schema() {
    let schema = include_str!("../../../docs/events.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    for event in every_event() {
        let value = serde_json::to_value(&event).unwrap();
        assert!(schema.is_valid(&value), "{value}");
    }
    assert!(schema.is_valid(&serde_json::to_value(LogHeader::of(UnixTime::default())).unwrap()));
}

#[test]
fn a_log_reads_back_as_written() {
    let logged = TestLog::new();
    let journal = logged.log(1_795_595_472, &every_event());
    let run = logged.only();
    assert_eq!(run.id, format!("20261125-083112-{}", process::id()));
    assert_eq!(run.began, UnixTime::from_seconds(1_795_595_472));
    assert!(run.is_written());
    drop(journal);
    assert!(!run.is_written());
    assert_eq!(format!("{:?}", logged.read()), format!("{:?}", every_event()));
    assert!(logged.directory.path().join(".layers/.gitignore").is_file());
}

#[test]
fn step_output_can_be_skipped() {
    let is_output = |event: &Event| matches!(event, Event::Output { .. });
    let check = |events: &[TimedEvent], expected: &[TimedEvent]| {
        let logged = TestLog::new();
        drop(logged.log(1, events));
        let facts = Events::of(&logged.only()).unwrap().only_facts().map(Result::unwrap);
        let facts = serde_json::to_string(&facts.collect::<Vec<_>>()).unwrap();
        assert_eq!(facts, serde_json::to_string(expected).unwrap());
    };
    let events = every_event();
    let (output, facts): (Vec<_>, Vec<_>) =
        events.iter().cloned().partition(|it| is_output(&it.event));
    assert_eq!(output.len(), 1);
    check(&events, &facts);
    // The last event shows how long the run lasted.
    let until = events.iter().position(|it| is_output(&it.event)).unwrap();
    check(&events[..=until], &events[..=until]);
}

#[test]
fn runs_that_start_no_image_leave_no_files() {
    let logged = TestLog::new();
    let is_start = |event: &&TimedEvent| matches!(event.event, Event::ImageStarted);
    let all_events = every_event();
    let without: Vec<TimedEvent> = all_events.iter().filter(|it| !is_start(it)).cloned().collect();
    drop(logged.log(1, &without));
    assert_eq!(fs::read_dir(logged.directory.path()).unwrap().count(), 0);
    drop(logged.log(1, &all_events[..2]));
    assert_eq!(logged.read().len(), 2, "what came before the start is there too");
}

#[test]
fn incomplete_and_damaged_lines_are_skipped() {
    let logged = TestLog::new();
    let events = every_event();
    drop(logged.log(1, &events));
    let path = logged.events_file();
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    assert_eq!(ends.len(), events.len() + 1);
    // Wherever the process was killed, all complete lines are read.
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
fn newer_log_formats_are_rejected() {
    let logged = TestLog::new();
    drop(logged.log(1, &every_event()));
    let path = logged.events_file();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"version\":2", "\"version\":3,\"more\":0", 1)).unwrap();
    let error = crate::base::error::text(&Events::of(&logged.only()).unwrap_err());
    assert!(error.contains("has format version 3") && error.contains("\nhint: "), "{error}");
}

#[test]
fn the_last_ten_runs_and_runs_in_progress_are_kept() {
    let logged = TestLog::new();
    let events = every_event();
    let writing = logged.log(1, &events);
    let strange = logged.state().runs().path().join("20260231-000000-1");
    fs::create_dir_all(&strange).unwrap();
    for second in 2..=12 {
        drop(logged.log(second, &events));
    }
    let began = || -> Vec<u64> {
        all(&logged.state()).iter().map(|run| run.began.since_epoch().as_secs()).collect()
    };
    assert_eq!(began(), [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    drop(writing);
    drop(logged.log(13, &events));
    assert_eq!(began(), (4..=13).collect::<Vec<_>>());
    assert!(strange.is_dir(), "it is no run of ours");
    // A run that died before its first line, and one that is partly deleted.
    let empty = logged.state().runs().path().join("19700101-000004-1");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join(EVENTS), "").unwrap();
    fs::create_dir(logged.state().runs().path().join("19700101-000005-1")).unwrap();
    drop(logged.log(14, &events));
    assert_eq!(began(), (5..=14).collect::<Vec<_>>());
}

#[test]
fn runs_started_in_the_same_second_get_different_ids() {
    let logged = TestLog::new();
    for millis in [2_500, 2_100, 2_900] {
        let mut journal =
            Journal::new(&logged.state(), UnixTime::after_epoch(Duration::from_millis(millis)));
        every_event().iter().for_each(|event| journal.show(event).unwrap());
        journal.flush().unwrap();
    }
    let runs = all(&logged.state());
    let began: Vec<u128> = runs.iter().map(|run| run.began.since_epoch().as_millis()).collect();
    assert_eq!(began, [2_100, 2_500, 2_900]);
    let process = process::id();
    let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    let id = |end: &str| format!("19700101-000002-{process}{end}");
    assert_eq!(ids, [id("-2"), id(""), id("-3")]);
}

#[test]
fn output_of_concurrent_steps_is_labeled_in_the_image_log() {
    let logged = TestLog::new();
    let other = || {
        Arc::new(StepInfo { id: 1, stage: None, number: 1, total: 2, text: "RUN other".to_owned() })
    };
    let output = |step, line: &str| Event::Output { step, line: line.to_owned() };
    let events = [
        Event::ImageStarted,
        Event::StepStarted { step: step() },
        output(step(), "one"),
        Event::StepStarted { step: other() },
        output(step(), "\x1b[31mtwo"),
        output(other(), "three"),
        Event::StepFinished { step: step(), cached: true, took: Duration::ZERO },
        output(other(), "four"),
        Event::ImageCanceled { took: Duration::ZERO },
        output(other(), "after the end"),
    ];
    let image = || Some(RunImage::new(0, "dev/é"));
    drop(
        logged
            .log(1, &events.map(|event| TimedEvent { at: Duration::ZERO, image: image(), event })),
    );
    let mut log = Vec::new();
    replay::image(&logged.only(), "dev/é", &mut log).unwrap();
    let expected = "\
==> started
==> [build 2/3] RUN make
one
==> [1/2] RUN other
==> [build 2/3] RUN make
two
==> [1/2] RUN other
three
==> [build 2/3] cached
==> [1/2] RUN other
four
==> canceled after 0.0s
";
    assert_eq!(String::from_utf8(log).unwrap(), expected);
    assert!(has_log_of(&logged.only(), "dev/é") && !has_log_of(&logged.only(), "dev"));
}

#[test]
fn output_lines_are_stored_only_once() {
    let logged = TestLog::new();
    drop(logged.log(1, &every_event()));
    let text = fs::read_to_string(logged.events_file()).unwrap();
    assert_eq!(text.matches("RUN make\",").count() + text.matches("RUN make\"}").count(), 3);
    let with_line = text.lines().filter(|line| line.contains("\"line\":"));
    assert!(with_line.clone().all(|line| line.contains("\"step\":0")));
    assert_eq!(with_line.count(), 1);
    assert!(!text.contains("log_tail"));
}

/// A log in the first format: no numbers, all fields of the step on each line, and the last output lines in
/// the failure.
#[test]
fn logs_in_the_first_format_are_still_readable() {
    let logged = TestLog::new();
    drop(logged.log(1, &every_event()));
    let step = |text: &str| format!(r#""step":{{"number":1,"total":2,"text":"{text}"}}"#);
    let (one, other) = (step("RUN one"), step("RUN other"));
    let lines = [
        r#"{"version":1,"began":"1970-01-01T00:00:01.000Z"}"#.to_owned(),
        r#"{"at_ms":1,"event":"run-started","engine":"e","jobs":1,"images":["a","b"]}"#.to_owned(),
        r#"{"at_ms":1,"event":"image-started","image":"b"}"#.to_owned(),
        format!(r#"{{"at_ms":1,"event":"step-started","image":"b",{one}}}"#),
        format!(r#"{{"at_ms":1,"event":"output","image":"b",{one},"line":"first"}}"#),
        format!(r#"{{"at_ms":1,"event":"output","image":"b",{other},"line":"second"}}"#),
        format!(
            r#"{{"at_ms":1,"event":"image-failed","image":"b","took_ms":1,"failure":{{
            "kind":"build","message":"no",{one},"log_tail":["first"]}}}}"#
        )
        .replace('\n', ""),
    ];
    fs::write(logged.events_file(), lines.join("\n") + "\n").unwrap();
    let events = logged.read();
    assert_eq!(events.len(), 6);
    assert!(events[1..].iter().all(|it| it.image == Some(RunImage::new(1, "b"))));
    let Event::Output { step, .. } = &events[4].event else { panic!("{:?}", events[4]) };
    assert_eq!((step.id, step.text.as_str()), (1, "RUN other"));
    let Event::ImageFailed { failure, .. } = &events[5].event else { panic!("{:?}", events[5]) };
    assert_eq!(failure.log_tail, ["first"]);
}
