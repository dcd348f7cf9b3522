//! A proxy between a program and an engine that can cut all connections.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

use layers::credentials::CredentialStore;
use layers::engine::docker::Docker;
use layers::engine::docker::endpoint::{Endpoint, EndpointAddress};

/// Returns the engine at a Unix socket.
pub fn engine_at(socket: PathBuf) -> Docker {
    let address = EndpointAddress::Unix(socket);
    let endpoint = Endpoint { address, tls: None, named_by: "a test".into() };
    Docker::new(endpoint, CredentialStore::new(None))
}

/// A function to call before a request that contains this text is forwarded.
type Hook = (&'static str, Box<dyn FnOnce() + Send>);

/// A proxy for an engine at a Unix socket.
pub struct Between {
    directory: tempfile::TempDir,
    open: Arc<Mutex<Vec<UnixStream>>>,
    hangs: Arc<AtomicBool>,
    hooks: Arc<Mutex<VecDeque<Hook>>>,
}

/// Runs the next hook if a part of a request contains its text.
fn run_hook(hooks: &Mutex<VecDeque<Hook>>, piece: &[u8]) {
    let mut hooks = hooks.lock().unwrap();
    let holds = |text: &str| piece.windows(text.len()).any(|part| part == text.as_bytes());
    if hooks.front().is_some_and(|(text, _)| holds(text)) {
        let (_, hook) = hooks.pop_front().unwrap();
        hook();
    }
}

impl Between {
    /// Creates a proxy for an engine. Connections are not cut yet.
    pub fn new(engine: &Docker) -> Between {
        let EndpointAddress::Unix(real) = engine.endpoint().address.clone() else {
            panic!("the test needs an engine on a Unix socket")
        };
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
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
        Between { directory, open, hangs, hooks }
    }

    /// Calls a function before the first request that contains this text is forwarded. Only requests after
    /// those of earlier hooks count.
    pub fn before_request(&self, text: &'static str, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap().push_back((text, Box::new(hook)));
    }

    /// Returns the proxy's socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// Returns the engine as seen through the proxy.
    pub fn engine(&self) -> Docker {
        engine_at(self.socket())
    }

    /// Stops forwarding at the first request that contains this text. The receiver gets a message then.
    pub fn hang_before(&self, text: &'static str) -> Receiver<()> {
        let hangs = Arc::clone(&self.hangs);
        let (to_test, hanging) = mpsc::channel();
        self.before_request(text, move || {
            hangs.store(true, Ordering::SeqCst);
            // Not every test waits for it.
            to_test.send(()).unwrap_or_default();
        });
        hanging
    }

    /// Stops forwarding without closing any connection.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// Closes all connections. New ones are forwarded.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().iter() {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}
