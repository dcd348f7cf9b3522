//! Images that are affected for reasons outside of git, reported without an engine.

use std::process::Command;

use crate::common::faults::{Fault, Faults};
use crate::common::registry::Registry;
use crate::world::{Machine, Tree};

/// Runs the program in a checkout on a machine without an engine.
fn without_engine(tree: &Tree, registry: &str, words: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layers"));
    command.args(words.split(' ')).arg("-C").arg(tree.root());
    command.env("LAYERS_REGISTRY", registry).env("DOCKER_HOST", "unix:///nowhere");
    command.env("DOCKER_CONFIG", tree.root().join("no-docker-config"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn images_missing_from_the_registry_are_affected() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let address = registry.address().to_owned();
    let address = address.as_str();
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("agent", "", &[])]);
    let (code, out, err) = without_engine(&tree, address, "affected --missing");
    let expected = "agent  is not in the registry\nbase   is not in the registry\n\
                    dev    depends on base\n3 of 3 images affected\n";
    assert_eq!((code, out.as_str(), err.as_str()), (0, expected, ""));
    machine.build(&tree, address, "--all --push=keys").well();
    let (code, out, err) = without_engine(&tree, address, "affected --missing");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "0 of 3 images affected\n", ""));
    let (code, out, _) = without_engine(&tree, address, "plan --engine none --check");
    assert!(out.contains("dev    fresh (in registry)\n"), "{out}");
    assert_eq!(code, 0);

    tree.write("docker/dev/file", "changed\n");
    let (_, out, _) = without_engine(&tree, address, "affected --missing");
    assert_eq!(out, "dev  is not in the registry\n1 of 3 images affected\n");
    let (_, out, _) = without_engine(&tree, address, "affected --missing --format github");
    let job = r#"{"image":"dev","layer":0,"dockerfile":"docker/dev/Dockerfile"}"#;
    assert_eq!(out, format!("matrix={{\"include\":[{job}]}}\n"));
    let (code, _, err) = without_engine(&tree, address, "build dev --engine none");
    assert_eq!(code, 4);
    assert!(err.contains("hint: remove `--engine none`"), "{err}");

    // All images would seem to be missing if the registry is unreachable.
    drop(registry);
    let (code, out, err) = without_engine(&tree, address, "affected --missing");
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(err.contains("hint: "), "{err}");
    let (code, _, err) = without_engine(&tree, "", "affected --missing");
    assert_eq!(code, 2);
    assert!(err.contains("but none is set"), "{err}");
}

#[test]
fn dependents_of_a_moved_external_are_affected() {
    let Some(registry) = Registry::start() else { return };
    let address = registry.address().to_owned();
    let address = address.as_str();
    registry.push("outside", "1", "the first");
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("agent", "", &[])]);
    tree.write("docker/base/Dockerfile", &format!("FROM {address}/outside:1\nCOPY file /base\n"));
    let (code, _, err) = without_engine(&tree, address, "update");
    assert_eq!(code, 0, "{err}");
    let (code, out, err) = without_engine(&tree, address, "affected --moved");
    assert_eq!((code, out.as_str(), err.as_str()), (0, "0 of 3 images affected\n", ""));
    registry.push("outside", "1", "the second");
    let (_, out, _) = without_engine(&tree, address, "affected --moved");
    let external = format!("external {address}/outside:1 moved");
    assert_eq!(out, format!("base  {external}\ndev   depends on base\n2 of 3 images affected\n"));
    let (_, out, _) = without_engine(&tree, address, "affected --moved --format json");
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows[0]["cause"], "external-moved");
    assert_ne!(rows[0]["was"], rows[0]["now"]);

    drop(registry);
    let (code, out, err) = without_engine(&tree, address, "affected --moved");
    assert_eq!((code, out.as_str()), (0, "0 of 3 images affected\n"));
    assert!(err.contains("can't check whether `") && err.contains("` has moved: "), "{err}");
}

#[test]
fn what_cannot_be_queried_is_unknown_and_not_missing() {
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("outside", "", &[])]);
    tree.write("docker/outside/Dockerfile", "FROM 127.0.0.1:1/x\nCOPY file /\n");
    let (code, out, _) = without_engine(&tree, "", "plan --engine none");
    let expected = "base     build  unknown: no engine or registry was queried\n\
                    dev      waits  for base\n\
                    outside  build  unknown: no engine or registry was queried\n\
                    2 to build, 1 waiting, 0 fresh of 3 images\n";
    assert_eq!((code, out.as_str()), (0, expected));

    let denied = r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#;
    let registry = Faults::alone(|_| Fault::json(403, denied));
    let name = tree.repository("base");
    let why = format!("access to `{name}` on `{}` was denied: not yours", registry.address());
    let outside = "external `127.0.0.1:1/x:latest`: `127.0.0.1:1` is unreachable: connection refused (5 attempts)";
    let (code, out, _) = without_engine(&tree, registry.address(), "plan --engine none --check");
    assert!(out.contains(&format!("base     build  unknown: {why}\n")), "{out}");
    assert!(out.contains(&format!("outside  build  unknown: {outside}\n")), "{out}");
    assert_eq!(code, 1);
    let (code, out, _) = without_engine(&tree, registry.address(), "affected --missing");
    assert!(out.contains(&format!("base     may not be in the registry: {why}\n")), "{out}");
    assert!(out.contains(&format!("outside  may not be in the registry: {outside}\n")), "{out}");
    assert!(out.contains("dev      depends on base\n"), "{out}");
    assert_eq!(code, 0);

    let (code, _, err) = without_engine(&tree, "", "outdated --engine none");
    assert!(err.contains("not pinned, and no engine was queried\n"), "{err}");
    assert_eq!(code, 0);
}
