//! An engine pushes and pulls through the proxy with which other tests break responses: the proxy must
//! forward everything that it is not supposed to change.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use layers::engine::ImageStore;

mod common;

use common::dice::Dice;
use common::faults::{Fault, Faults};
use common::registry::{Registry, ask, header};
use common::{Files, Name, build, engine_or_skip, program, request};

fn docker(arguments: &[&str]) -> Result<(), String> {
    let output = program::docker(arguments).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_engine_can_push_and_pull_through_the_proxy() {
    let Some(engine) = engine_or_skip() else { return };
    let Some(registry) = Registry::start() else { return };
    let faults = Faults::before(registry.address(), |request| {
        // The engine retries an interrupted download by itself.
        let is_layer = request.method == "GET" && request.path.contains("/blobs/");
        if is_layer && request.count == 1 { Fault::CutAfter(1000) } else { Fault::Pass }
    });
    let name = Name::new();
    let mut dice = Dice::new(1);
    let noise: Vec<u8> = (0..3_000_000).map(|_| u8::try_from(dice.below(256)).unwrap()).collect();
    let files = Files::with_busybox().and("noise", noise);
    let mut request = request(&name, "FROM scratch\nCOPY . /\n", files);
    let reference = format!("{}/{}:1", faults.address(), name.label());
    request.references = vec![reference.clone()];
    build(&engine, &request);
    let id = engine.inspect(&reference).unwrap().unwrap().id;
    docker(&["push", &reference]).unwrap();
    let pushed = engine.inspect(&reference).unwrap().unwrap().digests;
    let path = format!("/v2/{}/manifests/1", name.label());
    let (head, _) = ask(registry.address(), "HEAD", &path, "", b"");
    let digest = header(&head, "docker-content-digest").unwrap();
    assert_eq!(pushed, [format!("{}/{}@{digest}", faults.address(), name.label())]);
    docker(&["rmi", &reference]).unwrap();
    assert!(engine.inspect(&id).unwrap().is_none());
    docker(&["pull", &reference]).unwrap();
    assert_eq!(engine.inspect(&reference).unwrap().unwrap().id, id);
    let seen = faults.seen();
    // Docker's classic store uploads layers with PATCH, containerd's store with PUT.
    for method in ["POST", "PUT", "HEAD", "GET"] {
        assert!(seen.iter().any(|request| request.starts_with(method)), "{method}: {seen:?}");
    }
}
