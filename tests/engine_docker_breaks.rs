//! Faults of the Docker engine: cancellation, a context that cannot be read, an engine that stops during a
//! build.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

mod common;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use common::between::Between;
use common::{Files, Name, build, engine_or_skip, processes_with, request};
use layers::base::error;
use layers::engine::{
    BuildOperation, BuildOutcome, BuildUpdate, Builder, Cancel, ContextFiles, ImageStore,
    TimedUpdate,
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

/// A large file, followed by what `then` does with the number of times that the context was written before.
struct Broken {
    written: AtomicUsize,
    then: fn(usize, &mut dyn Write) -> io::Result<()>,
}

impl Broken {
    fn new(then: fn(usize, &mut dyn Write) -> io::Result<()>) -> Broken {
        Broken { written: AtomicUsize::new(0), then }
    }
}

impl ContextFiles for Broken {
    fn write_tar(&self, to: &mut dyn Write) -> io::Result<()> {
        // Each build of a test has a different context. Otherwise, the engine would not request it.
        let random = RandomState::new().hash_one(());
        static CONTENT: OnceLock<String> = OnceLock::new();
        let content = CONTENT.get_or_init(|| random.to_string());
        let mut tar = Vec::new();
        Files::new().and("a", content.as_str()).and("bulk", BULK).write_tar(&mut tar)?;
        // Without the two empty blocks at the end, so that more can follow.
        to.write_all(&tar[..tar.len() - 1024])?;
        (self.then)(self.written.fetch_add(1, Ordering::SeqCst), to)?;
        to.write_all(&[0; 1024])
    }
}

#[test]
fn unreadable_contexts_are_infrastructure_errors() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let check = |broken: Broken, expected: &str| {
        let request = request(&name, "FROM scratch\nCOPY . .\n", broken);
        let error = engine.build(&request, &mut |_| (), &Cancel::default()).unwrap_err();
        assert_eq!(format!("{error:#}"), expected);
        assert_eq!(engine.inspect(&name.reference("")).unwrap(), None);
    };
    let unreadable = "can't read the context: `src/b` can't be opened";
    check(Broken::new(|_, _| Err(io::Error::other("`src/b` can't be opened"))), unreadable);
    let late = |times: usize, _: &mut dyn Write| match times {
        0 => Ok(()),
        _ => Err(io::Error::other("`src/b` can't be opened")),
    };
    check(Broken::new(late), unreadable);
    let changing = |times: usize, to: &mut dyn Write| {
        let mut tar = Vec::new();
        Files::new().and("b", times.to_string()).write_tar(&mut tar)?;
        to.write_all(&tar[..1024])
    };
    check(
        Broken::new(changing),
        "can't read the context: files changed while the context was sent",
    );
}

#[test]
fn a_context_whose_writer_panics_does_not_produce_an_image() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let dying = Broken::new(|times, _| if times == 0 { Ok(()) } else { panic!("on purpose") });
    let request = request(&name, "FROM scratch\nCOPY . .\n", dying);
    let result = engine.build(&request, &mut |_| (), &Cancel::default());
    assert!(!matches!(result, Ok(BuildOutcome::Built { .. })), "{result:?}");
    assert_eq!(engine.inspect(&name.reference("")).unwrap(), None);
}

/// A context that counts how often it is written.
struct CountingFiles(Files, Arc<AtomicUsize>);

impl ContextFiles for CountingFiles {
    fn write_tar(&self, to: &mut dyn Write) -> io::Result<()> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.write_tar(to)
    }
}

#[test]
fn contexts_already_in_the_engine_are_not_sent_again() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let check = |files: Files, expected: [usize; 2]| {
        let written = Arc::new(AtomicUsize::new(0));
        let files = CountingFiles(files, Arc::clone(&written));
        let mut request = request(&name, "FROM scratch\nCOPY . .\n", files);
        request.no_cache = false;
        let count_after_build = || {
            build(&engine, &request);
            written.load(Ordering::SeqCst)
        };
        assert_eq!([count_after_build(), count_after_build()], expected);
    };
    // Once for hashing, once for sending.
    check(Files::new().and("a", name.label()).and("bulk", BULK), [2, 3]);
    // A small context is sent as it was hashed.
    check(Files::new().and("a", name.label()), [1, 2]);
}

/// A context that reports when sending starts, and then waits.
struct Waiting {
    files: Files,
    written: AtomicUsize,
    begun: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl ContextFiles for Waiting {
    fn write_tar(&self, to: &mut dyn Write) -> io::Result<()> {
        if self.written.fetch_add(1, Ordering::SeqCst) > 0 {
            self.begun.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap_or_default();
        }
        self.files.write_tar(to)
    }
}

#[test]
fn a_build_survives_cancellation_of_the_one_sending_their_context() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let files = Files::new().and("a", name.label()).and("bulk", BULK);
    let (begun, has_begun) = mpsc::channel();
    let (release, go_on) = mpsc::channel();
    let waiting = Waiting {
        files: files.clone(),
        written: AtomicUsize::new(0),
        begun,
        go_on: Mutex::new(go_on),
    };
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
