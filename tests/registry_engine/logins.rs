//! Registries that require a login, and registries with TLS and their own authority.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::common::registry::{Registry, USER};
use crate::world::{Machine, Tree};

/// Logs a machine in, as `docker login` does.
fn log_in(machine: &mut Machine, directory: &std::path::Path, address: &str, password: &str) {
    let auth = STANDARD.encode(format!("{}:{password}", USER.0));
    let config = serde_json::json!({"auths": {address: {"auth": auth}}});
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
    machine.variables.insert("DOCKER_CONFIG", directory.into());
}

fn check(registry: &Registry, trust: bool) {
    let Some(mut first) = Machine::start_or_skip() else { return };
    let Some(mut second) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    let directory = tempfile::tempdir().unwrap();
    if trust {
        for machine in [&mut first, &mut second] {
            machine.variables.insert("SSL_CERT_FILE", registry.authority().into());
        }
    }
    for machine in [&mut first, &mut second] {
        log_in(machine, directory.path(), address, USER.1);
    }
    let printed = first.build(&tree, address, "--all --push").well();
    assert!(printed.err.contains("2 images pushed, 2 tags moved"), "{}", printed.err);
    let other = tree.clone_of();
    let printed = second.build(&other, address, "--all").well();
    assert_eq!(printed.counts(), "0 built, 2 fresh (in registry) of 2 images", "{}", printed.err);
    let printed = second.build(&other, address, "dev --load").well();
    assert_eq!(printed.counts(), "0 built, 2 fresh (1 in registry) of 2 images", "{}", printed.err);
    for text in [&printed.err, &printed.out] {
        assert!(!text.contains(USER.1), "{text}");
    }

    // Without a login, no images are found, which is reported once, and everything is built.
    second.variables.remove("DOCKER_CONFIG");
    let anew = tree.clone_of();
    anew.write("docker/base/file", "not in the registry\n");
    let printed = second.build(&anew, address, "--all").well();
    assert_eq!(printed.counts(), "2 built of 2 images", "{}", printed.err);
    assert_eq!(printed.err.matches("warning: ").count(), 1, "{}", printed.err);
    assert!(
        printed.err.contains(&format!("hint: run `docker login {address}`")),
        "{}",
        printed.err
    );

    // With a wrong password, no images are found or pushed, and both messages give the reason.
    log_in(&mut second, directory.path(), address, "wrong");
    let printed = second.build(&tree.clone_of(), address, "--all --force --push=keys");
    assert_eq!(printed.code, 4, "{}", printed.err);
    assert!(
        printed.err.contains(&format!("hint: run `docker login {address}`")),
        "{}",
        printed.err
    );
    assert!(!printed.err.contains("wrong"), "{}", printed.err);
}

#[test]
fn registries_that_require_a_login_are_supported() {
    let Some(registry) = Registry::plan().with_auth().start() else { return };
    check(&registry, false);
}

#[test]
fn tls_with_a_custom_ca_and_a_login_is_supported() {
    let Some(registry) = Registry::plan().with_auth().with_tls().start() else { return };
    check(&registry, true);
}
