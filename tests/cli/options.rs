//! Labels and the options of `RUN` instructions on the scripted engine: how their levels are merged, what the engine
//! receives, what becomes stale, and the errors for values that are not valid.

use serde_json::{Value, json};

use crate::harness::Project;

const SCRIPT: &str = r#"{"store": "store.json", "record": "calls.jsonl"}"#;

fn project() -> Project {
    Project::new()
        .dockerfile("base", "FROM scratch\nLABEL a=dockerfile\nRUN true\n")
        .dockerfile("app", "FROM shop-base\nRUN true\n")
        .dockerfile("files", "FROM scratch\nCOPY Dockerfile /\n")
        .script(SCRIPT)
}

/// Returns the recorded calls of a kind.
fn calls(project: &Project, kind: &str) -> Vec<Value> {
    let calls = project.read(".layers/calls.jsonl");
    let calls = calls.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    calls.filter(|call| call["call"] == kind).collect()
}

/// Builds everything and returns the requests by the names of their images.
fn build(project: &Project, words: &str) -> Value {
    std::fs::write(project.root().join(".layers/calls.jsonl"), "").unwrap();
    project.run(&format!("build --all --engine fake -j1 --progress quiet {words}")).code(0);
    let builds = calls(project, "build").into_iter().map(|mut call| {
        let name = call["references"][0].as_str().unwrap().to_owned();
        let labels = call["labels"].as_object_mut().unwrap();
        labels.retain(|name, _| !name.starts_with("dev.layers."));
        (name.replace("shop-", "").replace(":latest", ""), call)
    });
    Value::Object(builds.collect())
}

/// Returns the lines of a plan, without spaces that align them.
fn plan(project: &Project, words: &str) -> Vec<String> {
    let printed = project.run(&format!("plan --engine fake {words}")).code(0).out();
    let lines = printed.lines().filter(|line| !line.contains(" to build") && !line.is_empty());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

const ALL_LEVELS: &str = "\
network = 'none'
shm-size = '64m'
ulimits = ['nofile=1024', 'nproc=10']
add-hosts = ['db:10.0.0.1', 'DB:10.0.0.2', 'api:10.0.0.3']
labels = { team = 'all', count = 3, of = '{name}' }
[[group]]
dockerfiles = ['docker/*/Dockerfile']
labels.team = 'group'
ulimits = ['nofile=2048:4096']
shm-size = 1048576
[image.app]
network = 'default'
labels.org.example.name = 'app {not a placeholder}'
add-hosts = ['db=[::1]']
";

#[test]
fn options_are_merged_by_name_and_passed_to_the_engine() {
    let project = project().file("layers.toml", ALL_LEVELS);
    let built = build(&project, "");
    assert_eq!(built["base"]["labels"], json!({"team": "group", "count": "3", "of": "base"}));
    assert_eq!(
        built["base"]["sandbox"],
        json!({
            "network": "none", "shm-size": "1m", "ulimit nofile": "2048:4096",
            "ulimit nproc": "10:10", "add-host db": "10.0.0.1 10.0.0.2", "add-host api": "10.0.0.3",
        })
    );
    let labels = json!({
        "team": "group", "count": "3", "of": "app", "org.example.name": "app {not a placeholder}",
    });
    assert_eq!(built["app"]["labels"], labels);
    assert_eq!(
        built["app"]["sandbox"],
        json!({
            "shm-size": "1m", "ulimit nofile": "2048:4096", "ulimit nproc": "10:10",
            "add-host db": "::1", "add-host api": "10.0.0.3",
        })
    );
    // The command line wins.
    let words = "--label team=cli --label team=last --label empty --network none --shm-size 2g \
                 --ulimit nproc=5:6 --add-host db:10.9.9.9";
    let built = build(&project, words);
    let labels = json!({
        "team": "last", "empty": "", "count": "3", "of": "app",
        "org.example.name": "app {not a placeholder}",
    });
    assert_eq!(built["app"]["labels"], labels);
    assert_eq!(
        built["app"]["sandbox"],
        json!({
            "network": "none", "shm-size": "2g", "ulimit nofile": "2048:4096",
            "ulimit nproc": "5:6", "add-host db": "10.9.9.9", "add-host api": "10.0.0.3",
        })
    );
}

#[test]
fn labels_make_images_stale_and_their_children() {
    let project = project();
    build(&project, "");
    let fresh = ["app fresh", "base fresh", "files fresh"];
    let sorted = |words: &str| {
        let mut lines = plan(&project, words);
        lines.sort();
        lines
    };
    assert_eq!(sorted(""), fresh);
    // A label that the Dockerfile sets too: that of the command line wins, and is proved.
    assert_eq!(build(&project, "--label a=1").as_object().unwrap().len(), 3);
    assert_eq!(sorted("--label a=1"), fresh);
    // The proof of origin contains the label. Without proof, only this file would know the image.
    drop(std::fs::remove_file(project.root().join(".layers/built")));
    assert_eq!(sorted("--label a=1"), fresh);
    let stale = |words: &str| sorted(words).remove(1);
    assert_eq!(stale("--label a=2"), "base build label a is 2, was 1");
    assert_eq!(stale("--label a=1 --label b"), "base build label b is empty, was not set");
    assert_eq!(stale(""), "base fresh restores `shop-base:latest`");
    // Only one image gets the label. Its child inherits it.
    project.run("build --all --engine fake --progress quiet").code(0);
    project.write("layers.toml", "[image.base]\nlabels.of = 'base'\n");
    let changed = "base build label of is base, was not set";
    assert_eq!(sorted(""), ["app waits for base", changed, "files fresh"]);
    assert_eq!(build(&project, "").as_object().unwrap().len(), 2);
    assert_eq!(sorted(""), fresh);
}

#[test]
fn options_make_only_images_stale_that_run_commands() {
    let project = project();
    build(&project, "");
    let check = |words: &str, reason: &str| {
        let mut lines = plan(&project, words);
        lines.sort();
        assert_eq!(
            lines[1..],
            [format!("base build {reason}"), "files fresh".to_owned()],
            "{words}"
        );
        assert!(lines[0].starts_with("app build "), "{lines:?}");
    };
    check("--network none", "network is none, was not set");
    check("--shm-size 128m", "shm-size is 128m, was not set");
    check("--ulimit nofile=1:2", "ulimit nofile is 1:2, was not set");
    check("--add-host db:10.0.0.1", "add-host db is 10.0.0.1, was not set");
    let words = "--network none --shm-size 128m --ulimit nofile=5 --add-host db:10.0.0.1";
    assert_eq!(build(&project, words).as_object().unwrap().len(), 2);
    // Other spellings of the same options.
    let same = "--network none --shm-size 134217728 --ulimit nofile=5:5 --add-host DB=10.0.0.1";
    assert_eq!(build(&project, same), json!({}));
    let rest = "--shm-size 128m --ulimit nofile=5 --add-host db:10.0.0.2";
    check(&format!("--network none {rest}"), "add-host db is 10.0.0.2, was 10.0.0.1");
    check(
        &format!("--network default {}", rest.replace(".2", ".1")),
        "network is not set, was none",
    );
    let inputs = project.run(&format!("why files --engine fake --inputs {words} --label a=1"));
    let inputs: Value = serde_json::from_str(&inputs.code(0).out()).unwrap();
    assert_eq!(inputs["settings"], json!({"label a": "1"}));
}

#[test]
fn triggers_that_run_commands_count() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nONBUILD RUN true\n")
        .dockerfile("app", "FROM shop-base\n")
        .dockerfile("whole", "# syntax=acme/frontend\nFROM scratch\n")
        .script(SCRIPT);
    build(&project, "");
    let mut lines = plan(&project, "--network none");
    lines.sort();
    let changed = "build network is none, was not set";
    assert_eq!(lines, [format!("app {changed}"), "base fresh".into(), format!("whole {changed}")]);
}

#[test]
fn invalid_settings_are_reported_once_with_their_position() {
    let check = |config: &str, at: &str, marked: &str, expected: &str| {
        let project = project().file("layers.toml", config);
        let printed = project.run("list").code(3).err();
        let (message, hint) = expected.split_once("; ").unwrap_or((expected, ""));
        let marks = format!("{marked}\n");
        let parts = [&format!("error[config]: {message}\n"), at, &marks, hint, "\n1 error\n"];
        for part in parts {
            assert!(printed.contains(part), "`{part}` is missing in\n{printed}");
        }
    };
    check(
        "network = 'bridge'\n",
        "layers.toml:1:11\n",
        "  ^^^^^^^^",
        "BuildKit does not support the network mode `bridge`; use `default`, `none`, or `host`",
    );
    check(
        "[image.app]\nulimits = ['nofile=1', 'nofiles=1']\n",
        "layers.toml:2:24\n",
        "  ^^^^^^^^^^^",
        "unknown ulimit `nofiles`; hint: did you mean `nofile`?",
    );
    check(
        "[image.app]\nshm-size = true\n",
        "layers.toml:2:12\n",
        "  ^^^^",
        "`true` is not a valid size; hint: write it in bytes, or with a unit, like `128m`",
    );
    check(
        "[image.app]\nadd-hosts = ['db:10.0.0']\n",
        "layers.toml:2:14\n",
        "  ^^^^^^^^^^^",
        "`10.0.0` is not a valid IP address; hint: use an IP address, or `host-gateway` for the",
    );
    check(
        "[image.app]\nlabels.dev.layers.key = 'x'\n",
        "layers.toml:2:25\n",
        "  ^^^",
        "the label `dev.layers.key` is reserved; use a name that does not start with `dev.layers.`",
    );
    check(
        "labels = { a.b = '1', 'a.b' = '2' }\n",
        "layers.toml:1:10\n",
        "^",
        "`layers.toml`: the label `a.b` is set twice",
    );
}

#[test]
fn invalid_options_are_usage_errors() {
    let project = project();
    let check = |words: &str, expected: &str| {
        let printed = project.run(&format!("plan --engine fake {words}")).code(2).err();
        assert_eq!(printed.lines().next(), Some(expected), "{printed}");
    };
    check(
        "--network=bridge",
        "error: invalid value 'bridge' for '--network <MODE>': BuildKit does not support the \
         network mode `bridge`; use `default`, `none`, or `host`",
    );
    check(
        "--label dev.layers.key=1",
        "error: invalid value 'dev.layers.key=1' for '--label <NAME=VALUE>': the label \
         `dev.layers.key` is reserved; use a name that does not start with `dev.layers.`",
    );
    check(
        "--shm-size 1x",
        "error: invalid value '1x' for '--shm-size <SIZE>': `1x` is not a valid size; write it in \
         bytes, or with a unit, like `128m`",
    );
    check(
        "--ulimit nofile",
        "error: invalid value 'nofile' for '--ulimit <NAME=SOFT[:HARD]>': `nofile` has no value; \
         write it like `nofile=1024:2048`",
    );
    check(
        "--add-host db:x",
        "error: invalid value 'db:x' for '--add-host <HOST:IP>': `x` is not a valid IP address; \
         use an IP address, or `host-gateway` for the engine's machine",
    );
}

#[test]
fn entitlements_require_consent_before_anything_is_built() {
    let project = Project::new()
        .dockerfile("base", "FROM scratch\nRUN true\nONBUILD RUN --security=insecure mount\n")
        .dockerfile("app", "FROM shop-base\nRUN --network=none true\nRUN --network=host curl\n")
        .dockerfile("other", "FROM scratch\nRUN --network=host unused\nFROM scratch\nRUN x\n")
        .file("layers.toml", "[image.other]\nnetwork = 'host'\n")
        .script(SCRIPT);
    let build_with =
        |words: &str| project.run(&format!("build --all --engine fake --progress quiet {words}"));
    build_with("").code(2).stderr(
        "\
error[missing-entitlement]: `RUN --network=host` requires the entitlement `network.host`
 --> docker/app/Dockerfile:3:15
  |
3 | RUN --network=host curl
  |               ^^^^
  |
  = hint: pass `--allow network.host`

error[missing-entitlement]: `RUN --security=insecure` requires the entitlement `security.insecure`
 --> docker/base/Dockerfile:3:24
  |
3 | ONBUILD RUN --security=insecure mount
  |                        ^^^^^^^^
  |
  = hint: pass `--allow security.insecure`

error[missing-entitlement]: `network = \"host\"` requires the entitlement `network.host`
 --> layers.toml:2:11
  |
2 | network = 'host'
  |           ^^^^^^
  |
  = hint: pass `--allow network.host`

3 errors
",
    );
    assert_eq!(calls(&project, "build"), Vec::<Value>::new());
    // Only what is to be built counts, and a plan needs no consent.
    project.run("build base --engine fake --progress quiet").code(0);
    project.run("plan --all --engine fake").code(0);
    build_with("--allow network.host").code(2);
    let built = build(&project, "--allow network.host --allow security.insecure");
    assert_eq!(built["app"]["entitlements"], json!(["network.host", "security.insecure"]));
    assert_eq!(built["other"]["entitlements"], json!(["network.host"]));
    assert_eq!(built.get("base"), None);
    // What is fresh needs no consent.
    build_with("").code(0);
}

#[test]
fn the_network_of_the_command_line_needs_no_consent() {
    let project = Project::new()
        .dockerfile("app", "FROM scratch\nRUN --network=host curl\n")
        .dockerfile("base", "FROM scratch\nRUN true\n")
        .dockerfile("none", "FROM scratch\nRUN --network=none true\n")
        .file("layers.toml", "[image.none]\nnetwork = 'host'\n[image.base]\nnetwork = 'host'\n")
        .script(SCRIPT);
    let built = build(&project, "--network host");
    assert_eq!(built["app"]["entitlements"], json!(["network.host"]));
    assert_eq!(built["base"]["entitlements"], json!(["network.host"]));
    // The command line replaces the network of the file.
    let built = build(&project, "--network none --force --allow network.host");
    assert_eq!(built["base"]["entitlements"], json!([]));
    // Nothing in this image uses the network that is set for it.
    project.run("build none --engine fake --force --progress quiet").code(0);
    let printed = project.run("build base --engine fake --force").code(2).err();
    assert!(printed.contains(" --> layers.toml:4:11\n"), "{printed}");
    let printed = project.run("build base --engine fake --allow device").code(2).err();
    let expected = "error: `--allow device`: not supported\nhint: use `fs.read=PATH`, `ssh`, \
                    `network.host`, or `security.insecure`\n";
    assert_eq!(printed, expected);
}

#[test]
fn limits_that_an_engine_ignores_are_reported_before_the_build() {
    let project = project().script(r#"{"frontend": "1.2", "record": "calls.jsonl"}"#);
    let check = |words: &str, code: i32, expected: &str| {
        let words = format!("build --all --engine fake --progress quiet {words}");
        let printed = project.run(&words).code(code).err();
        assert!(printed.contains(expected), "`{expected}` is missing in\n{printed}");
    };
    let message = "ulimits and the size of /dev/shm are set for `base` and `app`, but fake 0.1.0 does \
                   not support them\nhint: use Docker 23 or newer, or remove these settings\n";
    check("--shm-size 1g", 4, message);
    check("--ulimit nofile=5", 4, message);
    assert_eq!(calls(&project, "build"), Vec::<Value>::new());
    check("--shm-size 0 --network none --add-host db:10.0.0.1 --label a=b", 0, "3 built");
    // An older frontend also ignores them on a newer engine.
    let project = project
        .dockerfile("app", "# syntax=docker/dockerfile:1.3\nFROM scratch\nRUN true\n")
        .dockerfile("base", "# syntax=docker/dockerfile:1\nFROM scratch\nRUN true\n")
        .script(SCRIPT);
    let words = "build --all --engine fake --progress quiet --shm-size 1g";
    let printed = project.run(words).code(4).err();
    let message = "error: ulimits and the size of /dev/shm are set for `app`, but the frontend of \
                   the `# syntax=` line does not support them\n\
                   hint: use `docker/dockerfile:1.4` or newer, or remove these settings\n";
    assert_eq!(printed, message);
    project.run("build base --engine fake --progress quiet --shm-size 1g").code(0);
}

#[test]
fn generated_files_repeat_the_options() {
    let words =
        "--label team=a --network host --shm-size 98304k --ulimit nofile=5 --add-host DB:::1";
    let bake = project().run(&format!("graph --bake {words}")).code(0).out();
    let command = "# Generated by `layers graph --bake --label team=a --network host --shm-size 96m \
                   --ulimit nofile=5:5 --add-host db=::1`. ";
    assert!(bake.starts_with(command), "{bake}");
    for part in ["\"team\" = \"a\"", "network = \"host\"", "\"db\" = \"::1\""] {
        assert_eq!(bake.matches(part).count(), 3, "{bake}");
    }
    // The engine must be allowed to use its network, whatever sets it.
    assert!(bake.contains("entitlements = [\"network.host\"]"), "{bake}");
}
