//! The settings that the docker command would use for a build: the proxies of its configuration, and the
//! platform in DOCKER_DEFAULT_PLATFORM.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{Project, Ran};

const PASSWORD: &str = "hunter2-of-the-proxy";

/// Writes the configuration in the home directory above the repository.
fn proxies(project: Project, proxies: &Value) -> Project {
    project.file("../.docker/config.json", json!({ "proxies": proxies }).to_string())
}

fn with_password() -> Value {
    let address = format!("http://me:{PASSWORD}@proxy.example.com:3128");
    json!({ "default": { "httpProxy": address, "noProxy": "localhost" } })
}

fn app(dockerfile: &str) -> Project {
    let script = r#"{"record": "calls.jsonl", "store": "store.json"}"#;
    Project::new().dockerfile("app", dockerfile).script(script)
}

fn build(project: &Project, words: &str) -> Ran {
    project.run(&format!("build --all --engine fake --progress plain {words}"))
}

/// Returns a field of the last build request.
fn requested(project: &Project, field: &str) -> Value {
    let calls = project.read(".layers/calls.jsonl");
    let mut calls = calls.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    calls.rfind(|call| call["call"] == "build").unwrap()[field].clone()
}

/// Returns the files below a directory that contain a text.
fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path.display().to_string());
        }
    }
    found
}

const PLAIN: &str = "FROM scratch\nRUN true\n";

#[test]
fn proxies_are_passed_to_builds_and_do_not_affect_keys() {
    let project = proxies(app(PLAIN), &with_password());
    build(&project, "").code(0);
    let address = format!("http://me:{PASSWORD}@proxy.example.com:3128");
    let expected = json!({
        "HTTP_PROXY": address, "http_proxy": address,
        "NO_PROXY": "localhost", "no_proxy": "localhost",
    });
    assert_eq!(requested(&project, "build_args"), expected);
    // Another proxy does not change images, nor does a missing one.
    for other in [json!({}), json!({ "default": { "httpProxy": "http://other" } })] {
        let project = proxies(app(PLAIN), &with_password());
        build(&project, "").code(0);
        let project = proxies(project, &other);
        let printed = build(&project, "").code(0).err();
        assert!(
            printed.starts_with("app: fresh") || printed.contains("0 built, 1 fresh"),
            "{printed}"
        );
    }
}

#[test]
fn explicit_build_arguments_override_proxies() {
    let project = proxies(app(PLAIN), &with_password());
    build(&project, "--build-arg http_proxy=http://mine").code(0);
    let expected =
        json!({ "http_proxy": "http://mine", "NO_PROXY": "localhost", "no_proxy": "localhost" });
    assert_eq!(requested(&project, "build_args"), expected);
    let project = project.file("layers.toml", "[args]\nHTTP_PROXY = ''\nNO_PROXY = '*'\n");
    build(&project, "--force").code(0);
    assert_eq!(requested(&project, "build_args"), json!({ "HTTP_PROXY": "", "NO_PROXY": "*" }));
}

#[test]
fn proxies_depend_on_the_docker_host_and_the_config_directory() {
    let all = json!({
        "default": { "httpProxy": "http://default" },
        "tcp://10.0.0.1:2375": { "httpProxy": "http://tcp" },
        "unix:///run/other.sock": { "httpProxy": "http://other" },
        "tcp://10.0.0.3:2375": {},
    });
    let project = proxies(app(PLAIN), &all)
        .file("../elsewhere/config.json", r#"{"proxies": {"default": {"httpProxy": "http://x"}}}"#);
    let check = |name: &str, value: &str, expected: Option<&str>| {
        let words = ["build", "--all", "--force", "--engine=fake", "--progress=quiet"];
        let output = project.command(&words).env(name, value).output().unwrap();
        assert!(output.status.success());
        assert_eq!(requested(&project, "build_args")["HTTP_PROXY"].as_str(), expected, "{value}");
    };
    check("DOCKER_HOST", "", Some("http://default"));
    check("DOCKER_HOST", "tcp://10.0.0.1", Some("http://tcp"));
    check("DOCKER_HOST", "tcp://10.0.0.1:2375", Some("http://tcp"));
    check("DOCKER_HOST", "tcp://10.0.0.2:2375", Some("http://default"));
    check("DOCKER_HOST", "unix:///run/other.sock", Some("http://other"));
    check("DOCKER_HOST", "tcp://10.0.0.3:2375", None);
    let elsewhere = project.root().with_file_name("elsewhere").display().to_string();
    check("DOCKER_CONFIG", &elsewhere, Some("http://x"));
}

#[test]
fn a_declared_proxy_affects_the_key_and_its_password_is_redacted() {
    // As for BuildKit: the proxy is in the image's history, and can be in its environment.
    let declares = "FROM scratch\nARG HTTP_PROXY\nENV PROXY=$HTTP_PROXY\nRUN true\n";
    let address = |host: &str| {
        let address = format!("http://me:{PASSWORD}@{host}");
        json!({ "default": { "httpProxy": address } })
    };
    let script = format!(
        r#"{{"store": "store.json", "images": [{{"warnings": ["{PASSWORD}"], "steps": [
            {{"text": "RUN curl -x http://me:{PASSWORD}@one",
              "output": ["via http://me:{PASSWORD}@one\n", "bWU6{PASSWORD}\n"]}}]}}]}}"#
    );
    let project =
        proxies(Project::new().dockerfile("app", declares).script(&script), &address("one"));
    let built = build(&project, "").code(0);
    assert!(built.err().contains("via ***\n"), "{}", built.err());
    let project = proxies(project, &address("two"));
    let why = project.run("why app --engine fake").code(0).out();
    assert!(why.contains("HTTP_PROXY"), "{why}");
    let mut printed = built.out() + &built.err() + &why;
    for words in [
        "why app --inputs --engine fake",
        "plan --json --engine fake",
        "graph --json",
        "graph --bake",
        "graph --compose",
        "list --json",
        "log",
        "log app",
        "ci github",
        "check",
    ] {
        let ran = project.run(words).code(0);
        printed += &(ran.out() + &ran.err());
    }
    printed += &build(&project, "").code(0).err();
    assert!(printed.contains("1 built of 1 image"), "{printed}");
    let printed = printed.replace(&format!("bWU6{PASSWORD}"), "");
    assert!(!printed.contains(PASSWORD), "{printed}");
    let kept = files_with(&project.root().join(".layers"), PASSWORD);
    let script = project.root().join(".layers/fake.json").display().to_string();
    assert_eq!(kept, [script]);
    // An ARG that no stage reaches, or whose proxy is not set, changes nothing.
    let unused = "FROM scratch AS x\nARG HTTP_PROXY\nFROM scratch\nARG ALL_PROXY\nRUN true\n";
    let project = proxies(app(unused), &address("one"));
    build(&project, "").code(0);
    let printed = build(&proxies(project, &address("two")), "").code(0).err();
    assert!(printed.contains("0 built, 1 fresh"), "{printed}");
}

#[test]
fn provenance_does_not_expose_the_proxy_password() {
    let script = r#"{"name": "docker", "keeps_manifests": true, "store": "store.json"}"#;
    let project = proxies(app(PLAIN).script(script), &with_password());
    for mode in ["--provenance", "--provenance=mode=max"] {
        let printed = build(&project, mode).code(2).err();
        let why = "error: the provenance would expose the password of the proxy in Docker's \
                   configuration\nhint: use `--provenance=mode=min`";
        assert!(printed.contains(why) && !printed.contains(PASSWORD), "{printed}");
    }
    build(&project, "--provenance=mode=min").code(0);
    let open = json!({ "default": { "httpProxy": "http://proxy" } });
    build(&proxies(project, &open), "--provenance=mode=max").code(0);
}

#[test]
fn an_invalid_docker_configuration_fails_commands_that_use_an_engine() {
    let broken = format!(r#"{{"proxies": {{"default": "http://me:{PASSWORD}@proxy"}}}}"#);
    let project = app(PLAIN)
        .file("../.docker/config.json", broken)
        .var("DOCKER_HOST", "unix:///nowhere/at/all.sock");
    for words in ["check", "list", "graph"] {
        project.run(words).code(0);
    }
    for words in ["build --all", "plan"] {
        let printed = project.run(words).code(4).err();
        assert!(
            printed.contains("config.json` is not a valid Docker configuration: unexpected value"),
            "{printed}"
        );
        assert!(!printed.contains(PASSWORD), "{printed}");
    }
}

#[test]
fn the_environment_sets_the_default_platform() {
    let project = app(PLAIN).file("layers.toml", "platform = 'linux/s390x'\n");
    let platform = |value: &str, words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let start = ["build", "--all", "--force", "--engine=fake", "--progress=quiet"];
        let mut command = project.command(&[&start[..], &words].concat());
        let output = command.env("DOCKER_DEFAULT_PLATFORM", value).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let words = ["why", "app", "--inputs", "--engine=fake"];
        let output =
            project.command(&words).env("DOCKER_DEFAULT_PLATFORM", value).output().unwrap();
        let inputs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let key = requested(&project, "labels")["dev.layers.key"].clone();
        (requested(&project, "platform"), inputs["platform"].clone(), key)
    };
    let (requested, planned, key) = platform("linux/arm64", "-j1");
    assert_eq!((&requested, &planned), (&json!("linux/arm64"), &json!("linux/arm64")));
    // All spellings are the same platform with the same key.
    for same in ["arm64", "linux/aarch64", "Linux/arm64/v8"] {
        assert_eq!(platform(same, "-j1"), (requested.clone(), planned.clone(), key.clone()));
    }
    // The command line takes precedence, and an empty value counts as unset.
    let (requested, _, of_option) = platform("linux/amd64", "--platform linux/arm64");
    assert_eq!((&requested, &of_option), (&json!("linux/arm64"), &key));
    assert_eq!(platform("", "-j1").0, json!("linux/s390x"));
    let mut command = project.command(&["plan", "--engine=fake", "--platform=linux/arm64"]);
    assert!(command.env("DOCKER_DEFAULT_PLATFORM", "nonsense").status().unwrap().success());
}

#[test]
fn an_invalid_default_platform_is_an_error() {
    let project = app(PLAIN);
    let printed = |value: &str, words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let mut command = project.command(&words);
        let output = command.env("DOCKER_DEFAULT_PLATFORM", value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for words in
        ["build --all --engine fake", "plan --engine fake", "why app --engine fake", "list"]
    {
        assert_eq!(
            printed("linux/a/b/c", words),
            "error: DOCKER_DEFAULT_PLATFORM is `linux/a/b/c`, which is not a valid platform\n\
             hint: set it to one such as `linux/arm64`, or pass --platform\n"
        );
    }
    assert_eq!(
        printed("linux/amd64,linux/arm64", "list"),
        "error: DOCKER_DEFAULT_PLATFORM is `linux/amd64,linux/arm64`, which is several platforms, \
         but a run builds for one\nhint: set it to one of them, or pass --platform\n"
    );
    assert!(printed("\u{1b}[2J", "list").contains(r"is `\u{1b}[2J`, which is not"));
}

#[test]
fn an_invalid_platform_is_reported_with_its_location() {
    let project = app(PLAIN).file("layers.toml", "platform = 'linux/a/b/c'\n");
    let printed = project.run("build --all --engine fake").code(3).err();
    assert!(
        printed.starts_with("error[invalid-platform]: `linux/a/b/c` is not a valid platform"),
        "{printed}"
    );
    assert!(printed.contains("layers.toml:1:"), "{printed}");
    let printed = app(PLAIN).run("list --platform linux/").code(2).err();
    let expected =
        "'linux/' for '--platform <PLATFORM>': expected a platform such as `linux/arm64`";
    assert!(printed.contains(expected), "{printed}");
}

#[test]
fn several_platforms_are_refused_once() {
    let project = Project::shop().script("{}");
    let check = |project: &Project, words: &str, code: i32, expected: &str| {
        let printed = project.run(&format!("build --all --engine fake {words}")).code(code).err();
        assert_eq!(
            printed.matches("several platforms, but a run builds for one").count(),
            1,
            "{printed}"
        );
        assert!(printed.starts_with(&format!("error{expected}")), "{printed}");
    };
    let both = "linux/amd64,linux/arm64";
    check(&project, &format!("--platform {both}"), 2, &format!(": invalid value '{both}'"));
    let project = project.file("layers.toml", format!("platform = '{both}'\n"));
    check(&project, "", 3, &format!("[invalid-platform]: `{both}` is"));
    let project = project.file("layers.toml", "").var("DOCKER_DEFAULT_PLATFORM", both);
    check(&project, "", 2, ": DOCKER_DEFAULT_PLATFORM is");
}

#[test]
fn the_graph_follows_the_default_platform_but_bake_files_do_not() {
    let text = "ARG TARGETARCH\nFROM shop-base:$TARGETARCH\nRUN true\n";
    let project = Project::new()
        .dockerfile("base-arm64", "FROM scratch\nRUN true\n")
        .dockerfile("app", text)
        .file("layers.toml", "[image.base-arm64]\nreference = 'shop-base:arm64'\n")
        .script(r#"{"store": "store.json"}"#);
    let parents = |value: &str| {
        let mut command = project.command(&["graph", "--json"]);
        let output = command.env("DOCKER_DEFAULT_PLATFORM", value).output().unwrap();
        String::from_utf8(output.stdout).unwrap().matches("base-arm64").count()
    };
    assert!(parents("linux/arm64") > parents("linux/amd64"));
    // Committed files do not contain the platform of a machine.
    let bake = |value: &str| {
        let mut command = project.command(&["graph", "--bake", "base-arm64"]);
        command.env("DOCKER_DEFAULT_PLATFORM", value).output().unwrap().stdout
    };
    assert_eq!(bake("linux/arm64"), bake(""));
}
