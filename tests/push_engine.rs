//! Pushing an image with a real engine and a real registry, with a slow proxy in between.
//!
//! Needs an engine on this machine, which accepts registries on loopback without TLS, and Debian's
//! docker-registry. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::between::Between;
use common::registry::{Registry, USER};
use common::{Files, Name, build, engine_or_skip, request};
use layers::base::error;
use layers::credentials::CredentialStore;
use layers::engine::docker::Docker;
use layers::engine::{BuildOutcome, Builder, Cancel, ImageStore};
use layers::inputs::identity::Identity;
use layers::registry::{Registries, RegistrySettings, Remote};
use serde_json::Value;

/// Returns a manifest in a registry, and its digest.
fn manifest(registry: &Registry, repository: &str, version: &str) -> (Value, String) {
    let at = Remote {
        registry: registry.address().to_owned(),
        repository: repository.to_owned(),
        version: version.to_owned(),
    };
    let found = Registries::new(RegistrySettings::default()).manifest(&at).unwrap().unwrap();
    (serde_json::from_slice(&found.bytes).unwrap(), found.digest)
}

/// Returns the machine's engine with credentials for a registry: the user's name and a password.
fn engine_with(registry: &Registry, password: &str) -> Docker {
    let auth = format!(r#"{{"username": "{}", "password": "{password}"}}"#, USER.0);
    let config = format!(r#"{{"auths": {{"{}": {auth}}}}}"#, registry.address());
    fs::write(registry.directory().join("config.json"), config).unwrap();
    let endpoint = engine_or_skip().unwrap().endpoint().clone();
    Docker::new(endpoint, CredentialStore::new(Some(registry.directory().to_owned())))
}

/// A proxy for a registry that records what is sent, and stops forwarding after a number of bytes.
struct Door {
    host: String,
    seen: Arc<Mutex<Vec<u8>>>,
    /// Receives a message when the limit is exceeded, and another one when the sender has given up.
    reports: Receiver<&'static str>,
    report: Sender<&'static str>,
    hold: Option<Sender<()>>,
}

/// What the threads of a proxy share.
struct Porter {
    seen: Arc<Mutex<Vec<u8>>>,
    left: AtomicUsize,
    report: Sender<&'static str>,
    held: Mutex<Receiver<()>>,
}

impl Door {
    fn before(registry: &Registry, may_pass: usize) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (report, reports) = mpsc::channel();
        let (hold, held) = mpsc::channel();
        let (left, held) = (AtomicUsize::new(may_pass), Mutex::new(held));
        let porter =
            Arc::new(Porter { seen: Arc::clone(&seen), left, report: report.clone(), held });
        let far = registry.address().to_owned();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(&far) else { return };
                let (mut back, mut to_near) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                thread::spawn(move || {
                    drop(std::io::copy(&mut back, &mut to_near));
                    drop(to_near.shutdown(Shutdown::Both));
                });
                let porter = Arc::clone(&porter);
                thread::spawn(move || porter.pass(near, far));
            }
        });
        Door { host, seen, reports, report, hold: Some(hold) }
    }

    /// Returns the number of blobs sent through the proxy so far.
    fn blobs_sent(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        String::from_utf8_lossy(&seen).matches("/blobs/uploads/ HTTP/1.1").count()
    }

    /// Keeps reading without forwarding, and waits until the sender gives up. The classic store waits for a
    /// response after everything is sent, whatever has happened in the meantime, so the data must not be sent
    /// completely.
    fn wait_until_given_up(&mut self) {
        self.hold = None;
        while self.reports.recv().unwrap() != "given up" {}
    }

    /// Runs a function while a push is blocked. Returns the result of the push.
    fn while_held(
        &self,
        engine: &Docker,
        reference: &str,
        what: impl FnOnce(&Cancel),
    ) -> anyhow::Error {
        let (cancel, report) = (Cancel::default(), &self.report);
        thread::scope(|scope| {
            let push = scope.spawn(|| {
                let result = engine.push(reference, &mut |_| (), &cancel);
                report.send("ended").ok();
                result
            });
            assert_eq!(self.reports.recv().unwrap(), "held", "the push never came so far");
            what(&cancel);
            push.join().unwrap().unwrap_err()
        })
    }
}

impl Porter {
    fn pass(&self, mut near: TcpStream, mut far: TcpStream) {
        let mut bytes = [0; 16384];
        let mut is_held = false;
        while let Ok(count @ 1..) = near.read(&mut bytes) {
            if is_held {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            self.seen.lock().unwrap().extend_from_slice(&bytes[..count]);
            let enough = |left: usize| left.checked_sub(count);
            if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, enough).is_err() {
                is_held = true;
                self.report.send("held").ok();
                // Until the other end is dropped.
                self.held.lock().unwrap().recv().ok();
            } else if far.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        if is_held {
            self.report.send("given up").ok();
        }
        drop(far.shutdown(Shutdown::Both));
    }
}

/// Builds an image with a reference in a registry.
fn built(engine: &Docker, name: &Name, host: &str, files: Files) -> String {
    let files = files.and("name", name.label());
    let mut request = request(name, "FROM scratch\nENV A=b\nCOPY . .\nCMD [\"x\"]\n", files);
    let reference = format!("{host}/{}:1.2", name.reference("/shop/base"));
    request.references = vec![reference.clone()];
    let (outcome, _) = build(engine, &request);
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    reference
}

/// Returns the message of a failed push, and whether the error is transient.
fn refused(engine: &Docker, reference: &str) -> (String, bool) {
    let error = engine.push(reference, &mut |_| (), &Cancel::default()).unwrap_err();
    (error::text(&error), error::is_transient(&error))
}

/// Returns an incompressible file that is larger than the buffers between an engine and a proxy.
fn large() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).take(4 << 20).flatten().collect()
}

#[test]
fn a_pushed_image_matches_the_build_and_the_registry_digest() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let door = Door::before(&registry, usize::MAX);
    let name = Name::new();
    let reference = built(&engine, &name, &door.host, Files::new().and("a", "1"));
    let before = engine.inspect(&reference).unwrap().unwrap();
    let digest = engine.push(&reference, &mut |_| (), &Cancel::default()).unwrap();
    assert_eq!(digest, manifest(&registry, &name.reference("/shop/base"), "1.2").1);
    let sent = door.blobs_sent();
    assert!(sent >= 2, "the layer and the configuration: {sent}");
    // Existing blobs are not sent again.
    assert_eq!(engine.push(&reference, &mut |_| (), &Cancel::default()).unwrap(), digest);
    assert_eq!(door.blobs_sent(), sent);
    // The pulled image is the same to every child.
    engine.remove(&before.id).unwrap();
    assert_eq!(engine.inspect(&reference).unwrap(), None);
    engine.pull(&reference, None, &mut || ()).unwrap();
    let after = engine.inspect(&reference).unwrap().unwrap();
    assert_eq!(Identity::of(&after), Identity::of(&before));
    let named = format!("{}@{digest}", reference.strip_suffix(":1.2").unwrap());
    assert!(after.digests.contains(&named), "{:?}", after.digests);
}

#[test]
fn annotations_and_attestations_are_pushed_with_the_image() {
    let Some(engine) = engine_or_skip() else { return };
    if !engine.features().unwrap().attestations {
        eprintln!("skipped: the engine does not have containerd's image store");
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let name = Name::new();
    let mut request = request(&name, "FROM scratch\nCOPY a /\n", Files::new().and("a", "1"));
    let repository = name.reference("/shop/base");
    request.references = vec![format!("{}/{repository}:1.2", registry.address())];
    request.annotations.insert("org.opencontainers.image.title".into(), "base".into());
    request.attestations.provenance = Some("mode=min".into());
    let (outcome, _) = build(&engine, &request);
    let BuildOutcome::Built { image_id } = outcome else { panic!("{outcome:?}") };
    let digest = engine.push(&request.references[0], &mut |_| (), &Cancel::default()).unwrap();
    let (index, known) = manifest(&registry, &repository, "1.2");
    assert_eq!((&digest, &digest), (&known, &image_id));
    let at = |number: usize| index["manifests"][number]["digest"].as_str().unwrap();
    let (image, _) = manifest(&registry, &repository, at(0));
    assert_eq!(image["annotations"]["org.opencontainers.image.title"], "base");
    assert_eq!(image["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    let (attested, _) = manifest(&registry, &repository, at(1));
    let kind = attested["layers"][0]["annotations"]["in-toto.io/predicate-type"].as_str().unwrap();
    assert!(kind.starts_with("https://slsa.dev/provenance/"), "{kind}");
}

#[test]
fn pushing_a_missing_image_is_an_error() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let name = Name::new();
    let reference = built(&engine, &name, registry.address(), Files::new());
    let other = reference.replace(":1.2", ":1.3");
    let nowhere = reference.replace("/shop/", "/nowhere/");
    for missing in [other, nowhere] {
        let expected = format!(
            "can't push `{missing}`: no such image in the engine\n\
             hint: build it first, or check its name with `docker image ls`"
        );
        assert_eq!(refused(&engine, &missing), (expected, false));
    }
    let (text, passes) = refused(&engine, &format!("{}/UPPER:1", registry.address()));
    assert!(text.starts_with("can't push `") && text.contains("\nhint: check the name"), "{text}");
    assert!(!passes);
}

#[test]
fn an_unreachable_registry_is_a_transient_error() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let name = Name::new();
    let reference = built(&engine, &name, registry.address(), Files::new());
    let host = registry.address().to_owned();
    drop(registry);
    let (text, passes) = refused(&engine, &reference);
    assert!(text.starts_with(&format!("can't push `{reference}`: ")), "{text}");
    let hint = format!("\nhint: check that the engine can reach `{host}`, and push again");
    assert!(text.contains("connection refused") && text.ends_with(&hint), "{text}");
    assert!(passes, "{text}");
}

#[test]
fn credentials_are_required_and_never_printed() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::plan().with_auth().start() else { return };
    let name = Name::new();
    let reference = built(&engine, &name, registry.address(), Files::new());
    let repository = reference.strip_suffix(":1.2").unwrap();
    let login = format!("run `docker login {}` with an account that may push", registry.address());
    let hint = format!("\nhint: {login} to `{repository}`");
    let strangers = Docker::new(engine.endpoint().clone(), CredentialStore::new(None));
    for engine in [strangers, engine_with(&registry, "close sesame")] {
        let (text, passes) = refused(&engine, &reference);
        assert!(text.starts_with(&format!("can't push `{reference}`: ")), "{text}");
        assert!(text.ends_with(&hint) && !text.contains("close sesame"), "{text}");
        assert!(!passes, "{text}");
    }
    engine_with(&registry, USER.1).push(&reference, &mut |_| (), &Cancel::default()).unwrap();
}

#[test]
fn canceled_pushes_also_stop_in_the_engine() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let mut door = Door::before(&registry, 1 << 20);
    let name = Name::new();
    let reference = built(&engine, &name, &door.host, Files::new().and("large", large()));
    let error = door.while_held(&engine, &reference, Cancel::set);
    let expected =
        format!("the push of `{reference}` was canceled\nhint: push again to continue; ");
    assert!(error::text(&error).starts_with(&expected), "{error}");
    assert!(!error::is_transient(&error));
    door.wait_until_given_up();
    // A push that is canceled before its start does not start.
    let cancel = Cancel::default();
    cancel.set();
    assert!(engine.push(&reference, &mut |_| (), &cancel).is_err());
    // It does not affect the next push.
    let other = Door::before(&registry, usize::MAX);
    let reference = built(&engine, &name, &other.host, Files::new().and("large", large()));
    engine.push(&reference, &mut |_| (), &Cancel::default()).unwrap();
}

#[test]
fn losing_the_engine_during_a_push_is_reported() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let name = Name::new();
    for hangs in [false, true] {
        let mut door = Door::before(&registry, 1 << 20);
        let reference = built(&engine, &name, &door.host, Files::new().and("large", large()));
        let between = Between::new(&engine);
        let seen = between.engine().answering_within(Duration::from_millis(200));
        let error = door.while_held(&seen, &reference, |_| match hangs {
            true => between.hang(),
            false => between.cut(),
        });
        let text = error::text(&error);
        let lost = format!(
            "lost the connection to the engine at `{}` during the push: ",
            seen.endpoint().address
        );
        assert!(text.starts_with(&lost), "{text}");
        assert!(text.ends_with("\nhint: check that the engine is still running, and push again"));
        assert!(error::is_transient(&error), "{text}");
        between.cut();
        door.wait_until_given_up();
    }
}
