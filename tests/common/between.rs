//! Something that stands between a program and an engine, and can cut all that goes through it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use layers::credentials::CredentialStore;
use layers::engine::docker::Docker;
use layers::engine::docker::endpoint::{Address, Endpoint};

/// The engine on a Unix socket.
pub fn engine_at(socket: PathBuf) -> Docker {
    let address = Address::Unix(socket);
    let endpoint = Endpoint { address, tls: None, named_by: "a test".into() };
    Docker::new(endpoint, CredentialStore::new(None))
}

/// Something to do before a request passes that holds a text.
type Hook = (&'static str, Box<dyn FnOnce() + Send>);

/// Stands before an engine on a Unix socket.
pub struct Between {
    folder: tempfile::TempDir,
    open: Arc<Mutex<Vec<UnixStream>>>,
    hangs: Arc<AtomicBool>,
    hooks: Arc<Mutex<VecDeque<Hook>>>,
}

/// Runs the next hook if a piece of a request holds its text.
fn run_hook(hooks: &Mutex<VecDeque<Hook>>, piece: &[u8]) {
    let mut hooks = hooks.lock().unwrap();
    let holds = |text: &str| piece.windows(text.len()).any(|part| part == text.as_bytes());
    if hooks.front().is_some_and(|(text, _)| holds(text)) {
        let (_, hook) = hooks.pop_front().unwrap();
        hook();
    }
}

impl Between {
    /// Before an engine. Nothing is cut yet.
    pub fn new(engine: &Docker) -> Between {
        let Address::Unix(real) = engine.endpoint().address.clone() else {
            panic!("the test needs an engine on a Unix socket")
        };
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let open = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&open);
        let hangs = Arc::new(AtomicBool::new(false));
        let hang = Arc::clone(&hangs);
        let hooks = Arc::new(Mutex::new(VecDeque::new()));
        let hooked = Arc::clone(&hooks);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let far = UnixStream::connect(&real).unwrap();
                let requests = (near.try_clone().unwrap(), far.try_clone().unwrap(), true);
                for (mut from, mut to, is_request) in [requests, (far, near, false)] {
                    kept.lock().unwrap().push(from.try_clone().unwrap());
                    let (hangs, hooks) = (Arc::clone(&hang), Arc::clone(&hooked));
                    thread::spawn(move || {
                        let mut bytes = [0; 16384];
                        while let Ok(count @ 1..) = from.read(&mut bytes) {
                            if is_request {
                                run_hook(&hooks, &bytes[..count]);
                            }
                            if !hangs.load(Ordering::SeqCst)
                                && to.write_all(&bytes[..count]).is_err()
                            {
                                break;
                            }
                        }
                        drop(to.shutdown(std::net::Shutdown::Both));
                    });
                }
            }
        });
        Between { folder, open, hangs, hooks }
    }

    /// Does something before the first request passes that holds a text, and that comes after those for which
    /// something is to be done already.
    pub fn before_request(&self, text: &'static str, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap().push_back((text, Box::new(hook)));
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// The engine, seen through it.
    pub fn engine(&self) -> Docker {
        engine_at(self.socket())
    }

    /// From now on nothing passes any more, and nothing is closed.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Closes all connections; new ones pass.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().iter() {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}
