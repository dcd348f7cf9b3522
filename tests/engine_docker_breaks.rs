//! Faults of the Docker engine: cancellation, a context that cannot be read, an engine that stops during a
//! build.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

mod common;

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::between::Between;
use common::{Files, Name, build, engine_or_skip, processes_with, request};
use layers::base::error;
use layers::engine::{
    BuildOperation, BuildOutcome, BuildUpdate, Builder, Cancel, ContextFiles, EngineCopy,
    FileHeader, ImageStore, TimedUpdate,
};

#[test]
fn canceled_builds_leave_no_processes_running() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let word = name.label();
    // The last command keeps the shell, whose command line contains the word, waiting for the sleep.
    let text = format!("FROM scratch\nCOPY . .\nRUN echo up; true {word}; sleep 600; true\n");
    let cancel = Cancel::default();
    let mut seen = Vec::new();
    let outcome = engine
        .build(
            &request(&name, &text, Files::with_busybox()),
            &mut |updates| {
                if updates.iter().any(|it| matches!(it.update, BuildUpdate::Output { .. }))
                    && !cancel.is_set()
                {
                    seen = processes_with(word);
                    cancel.set();
                }
            },
            &cancel,
        )
        .unwrap();
    assert_eq!(outcome, BuildOutcome::Canceled);
    assert!(!seen.is_empty(), "the step was to run when it was canceled");
    assert_eq!(processes_with(word), [""; 0]);
}

#[test]
fn builds_canceled_before_they_start_do_not_start() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let cancel = Cancel::default();
    cancel.set();
    let request = request(&name, "FROM scratch\nCOPY . .\n", Files::new());
    let outcome = engine.build(&request, &mut |_| panic!("nothing may happen"), &cancel).unwrap();
    assert_eq!(outcome, BuildOutcome::Canceled);
}

/// A file so large that its context is not part of the build request.
static BULK: [u8; 600 << 10] = [0; 600 << 10];

/// A large file and another one, which is read by `read`, called with the number of earlier reads.
struct Broken {
    files: Files,
    reads: AtomicUsize,
    read: fn(usize) -> io::Result<&'static [u8]>,
}

impl Broken {
    fn new(read: fn(usize) -> io::Result<&'static [u8]>) -> Broken {
        Broken {
            files: Files::new().and("a", "1").and("bulk", BULK),
            reads: AtomicUsize::new(0),
            read,
        }
    }
}

impl ContextFiles for Broken {
    fn headers(&self) -> Vec<FileHeader> {
        self.files.headers()
    }

    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        match index {
            0 => piece((self.read)(self.reads.fetch_add(1, Ordering::SeqCst))?),
            _ => self.files.read(index, piece),
        }
    }
}

#[test]
fn unreadable_contexts_are_infrastructure_errors() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let fails = |_| Err(io::Error::other("`src/b` can't be opened"));
    let request = request(&name, "FROM scratch\nCOPY . .\n", Broken::new(fails));
    for _ in 0..2 {
        let error = engine.build(&request, &mut |_| (), &Cancel::default()).unwrap_err();
        assert_eq!(format!("{error:#}"), "can't read the context: `src/b` can't be opened");
        assert_eq!(engine.inspect(&name.reference("")).unwrap(), None);
    }
}

#[test]
fn a_context_whose_reader_panics_does_not_produce_an_image() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let dying = Broken::new(|_| panic!("on purpose"));
    let request = request(&name, "FROM scratch\nCOPY . .\n", dying);
    let result = engine.build(&request, &mut |_| (), &Cancel::default());
    assert!(!matches!(result, Ok(BuildOutcome::Built { .. })), "{result:?}");
    assert_eq!(engine.inspect(&name.reference("")).unwrap(), None);
}

/// A context that reports when sending starts, and then waits. Its engine copy is the one that is named `copy`.
struct Waiting {
    files: SharedFiles,
    begun: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl ContextFiles for Waiting {
    fn headers(&self) -> Vec<FileHeader> {
        self.files.headers()
    }

    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        // Only the first of the two files reports.
        if index == 0 {
            self.begun.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap_or_default();
        }
        self.files.read(index, piece)
    }

    fn engine_copy(&self, headers: &mut [FileHeader]) -> EngineCopy {
        self.files.engine_copy(headers)
    }
}

/// Files whose engine copy several builds share.
#[derive(Clone)]
struct SharedFiles(Files, EngineCopy);

impl ContextFiles for SharedFiles {
    fn headers(&self) -> Vec<FileHeader> {
        self.0.headers()
    }

    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.0.read(index, piece)
    }

    fn engine_copy(&self, _: &mut [FileHeader]) -> EngineCopy {
        self.1.clone()
    }
}

#[test]
fn a_build_survives_cancellation_of_the_one_sending_their_context() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let files = Files::new().and("a", name.label()).and("bulk", BULK);
    let files = SharedFiles(files, EngineCopy::unshared());
    let (begun, has_begun) = mpsc::channel();
    let (release, go_on) = mpsc::channel();
    let waiting = Waiting { files: files.clone(), begun, go_on: Mutex::new(go_on) };
    let mut first = request(&name, "FROM scratch\nCOPY . .\nENV A=1\n", waiting);
    let mut second = request(&name, "FROM scratch\nCOPY . .\nENV A=2\n", files);
    (first.no_cache, second.no_cache) = (false, false);
    let cancel = Cancel::default();
    let outcomes = thread::scope(|scope| {
        let first = scope.spawn(|| engine.build(&first, &mut |_| (), &cancel).unwrap());
        has_begun.recv().unwrap();
        let mut on_update = |updates: Vec<TimedUpdate>| {
            if updates.iter().any(|it| {
                it.update == BuildUpdate::OperationStarted(BuildOperation::SendingContext)
            }) {
                cancel.set();
            }
        };
        let second = engine.build(&second, &mut on_update, &Cancel::default()).unwrap();
        release.send(()).unwrap();
        (first.join().unwrap(), second)
    });
    assert_eq!(outcomes.0, BuildOutcome::Canceled);
    assert!(matches!(outcomes.1, BuildOutcome::Built { .. }), "{outcomes:?}");
}

#[test]
fn builds_sharing_a_context_fail_independently() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let files = Files::new().and("a", name.label()).and("b", common::busybox());
    let files = SharedFiles(files, EngineCopy::unshared());
    let outcomes: Vec<BuildOutcome> = thread::scope(|scope| {
        let building: Vec<_> = (0..8)
            .map(|number| {
                let last = if number % 2 == 0 { "ENV A=b" } else { "COPY missing ." };
                let text = format!("FROM scratch\nCOPY . .\nENV N={number}\n{last}\n");
                let mut request = request(&name, &text, files.clone());
                request.no_cache = false;
                request.references = vec![name.reference(&format!("-{number}"))];
                let engine = &engine;
                scope.spawn(move || build(engine, &request).0)
            })
            .collect();
        building.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (number, outcome) in outcomes.iter().enumerate() {
        let is_built = matches!(outcome, BuildOutcome::Built { .. });
        assert_eq!(is_built, number % 2 == 0, "build {number}: {outcome:?}");
    }
}

/// Returns a Dockerfile whose build prints a word and never ends. Each one is unique. Otherwise, the engine
/// would run one step for both and report only the word of the first.
fn endless(name: &Name) -> String {
    format!("FROM scratch\nCOPY . .\nRUN echo up; true {}; read x < /dev/zero\n", name.label())
}

#[test]
fn a_lost_engine_connection_is_an_infrastructure_error() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let between = Between::new(&engine);
    let text = endless(&name);
    let request = request(&name, &text, Files::with_busybox());
    let result = between.engine().build(
        &request,
        &mut |updates| {
            if updates.iter().any(|it| matches!(it.update, BuildUpdate::Output { .. })) {
                between.cut();
            }
        },
        &Cancel::default(),
    );
    let text = error::text(&result.unwrap_err());
    assert!(text.starts_with("lost the connection to the engine at `unix://"), "{text}");
    assert!(text.contains("\nhint: "), "{text}");
}

#[test]
fn an_unresponsive_engine_is_an_infrastructure_error() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let between = Between::new(&engine);
    let text = endless(&name);
    let request = request(&name, &text, Files::with_busybox());
    let result = between.engine().answering_within(Duration::from_millis(200)).build(
        &request,
        &mut |updates| {
            if updates.iter().any(|it| matches!(it.update, BuildUpdate::Output { .. })) {
                between.hang();
            }
        },
        &Cancel::default(),
    );
    between.cut();
    let error = result.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("during the build: ") && text.contains("no response for "), "{text}");
    assert!(error::is_transient(&error), "another try may find it again");
}

/// Returns the number of open files of this process.
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Returns the number of threads of this process, after the threads that are ending have ended.
fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn builds_do_not_leak_files_or_threads() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let request = request(&name, "FROM scratch\nCOPY . .\n", Files::new().and("a", "1"));
    build(&engine, &request);
    let before = (open_files(), threads());
    for _ in 0..10 {
        build(&engine, &request);
    }
    let after = (open_files(), threads());
    assert!(after.0 <= before.0 && after.1 <= before.1 + 1, "{before:?} {after:?}");
}
