//! Consent for what a repository uses from outside: files, agents, contexts.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use crate::harness::{Project, Ran, assert_same};

/// The content of the file outside.
pub const KEY: &str = "hunter2-the-private-key";

/// A Dockerfile that mounts the file.
pub const TWO_IMAGES: &str = "FROM scratch\nRUN --mount=type=secret,id=key use the key\n";

/// Returns a project with two images that mount `key`, which is `~/.ssh/id_rsa`, and one that does not. The
/// home directory is the parent directory.
pub fn stealing() -> Project {
    Project::new()
        .dockerfile("web", TWO_IMAGES)
        .dockerfile("api", TWO_IMAGES)
        .dockerfile("plain", "FROM scratch\nRUN true\n")
        .file("layers.toml", "[secrets]\nkey = { src = '~/.ssh/id_rsa' }\n")
        .file("../.ssh/id_rsa", KEY)
        .script(r#"{"record": "calls.jsonl"}"#)
}

pub fn build(project: &Project, words: &str) -> Ran {
    project.run(&format!("build --engine fake --progress plain {words}"))
}

/// Returns the secrets and agents of each build, in the order of names.
pub fn given(project: &Project) -> Vec<String> {
    let path = project.root().join(".layers/calls.jsonl");
    let calls = fs::read_to_string(path).unwrap_or_default();
    let calls = calls.lines().map(|line| serde_json::from_str(line).unwrap());
    let builds = calls.filter(|call: &serde_json::Value| call["call"] == "build");
    let mut given: Vec<String> = builds
        .map(|it| format!("{} {} {}", it["references"][0], it["secrets"], it["ssh"]))
        .collect();
    given.sort();
    given
}

/// Runs the hint of an error in a shell, as if the user had pasted it.
pub fn paste(project: &Project, printed: &str) -> Output {
    let hint = printed.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
    let program = hint.strip_prefix("layers ").unwrap_or_else(|| panic!("no command: {printed}"));
    let script = format!("{} {program}", env!("CARGO_BIN_EXE_layers"));
    let mut shell = Command::new("bash");
    let environment = project.command(&[]);
    for (name, value) in environment.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell.args(["-c", &script]).current_dir(project.root()).output().unwrap()
}

/// Returns the unmodified stderr of a command.
pub fn raw(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn without_a_terminal_a_build_fails_with_the_command_to_allow_access() {
    let project = stealing();
    let home = project.root().parent().unwrap().to_owned();
    let words = ["build", "--all", "--engine", "fake", "--progress", "plain"];
    let output = project.command(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", raw(&output));
    let path = home.join(".ssh/id_rsa");
    let expected = format!(
        "\
error: builds of this repository access files or agents outside of it, which needs your consent
  - '{0}' as the secret key, for api, web
hint: layers build --all --engine fake --progress plain --allow fs.read={0}
",
        path.display()
    );
    assert_same(&raw(&output), &expected);
    assert_eq!(given(&project), Vec::<String>::new(), "nothing is built");
    assert_eq!(paste(&project, &raw(&output)).status.code(), Some(0));
    let key = r#"["key"] []"#;
    let all = [r#""shop-api:latest""#, r#""shop-plain:latest""#, r#""shop-web:latest""#];
    assert_eq!(given(&project), all.map(|name| format!("{name} {key}")));
    // An option is not remembered.
    build(&project, "--all").code(2);
    assert!(!home.join(".local").exists());
}

#[test]
fn only_mounts_of_the_selected_images_need_consent() {
    let project = stealing();
    build(&project, "plain").code(0);
    assert_eq!(given(&project), [r#""shop-plain:latest" [] []"#]);
    for words in ["plan --engine fake", "why web --engine fake", "check", "list", "graph"] {
        project.run(words).code(0);
    }
    project.run("build --all --engine fake --dry-run").code(0);
    build(&project, "web").code(2);
    // An image whose name is in a variable could mount anything.
    let project =
        stealing().dockerfile("plain", "FROM busybox\nRUN --mount=type=secret,id=$ANY true\n");
    build(&project, "plain").code(2);
    // So could an image with a frontend that is not Docker's.
    let project =
        stealing().dockerfile("plain", "# syntax=acme/frontend\nFROM scratch\nRUN true\n");
    build(&project, "plain").code(2);
    let project =
        stealing().dockerfile("plain", "# syntax=docker/dockerfile:1\nFROM scratch\nRUN true\n");
    build(&project, "plain").code(0);
}

#[test]
fn secrets_from_the_command_line_need_no_consent() {
    let project = stealing();
    build(&project, "--all --secret id=key,src=../.ssh/id_rsa").code(0);
    build(&project, "--all --secret id=key,src=/dev/null").code(0);
    // Under another ID, it needs separate consent.
    build(&project, "--all --secret id=other,src=../.ssh/id_rsa").code(2);
}

#[test]
fn allowed_paths_work_as_in_bake() {
    let project = stealing();
    let root = project.root().to_owned();
    let home = root.parent().unwrap().to_owned();
    symlink(home.join(".ssh"), home.join("link")).unwrap();
    let check = |words: &str, code: i32| {
        build(&project, &format!("web {words}")).code(code);
    };
    let home = home.display();
    check("", 2);
    check(&format!("--allow fs.read={home}/.ssh/id_rsa"), 0);
    check("--allow fs.read=../.ssh/id_rsa", 0);
    check("--allow fs.read=~/.ssh/id_rsa", 0);
    check("--allow fs.read=../.ssh", 0);
    check("--allow fs.read=../link", 0);
    check("--allow fs.read=docker/../../link/id_rsa", 0);
    check("--allow fs=../.ssh/", 0);
    check("--allow fs.read=*", 0);
    check("--allow fs.read=/", 0);
    check("--allow fs.read=/nowhere --allow fs.read=..", 0);
    // A path with the same beginning is another path.
    check("--allow fs.read=../.ss", 2);
    check("--allow fs.read=../.ssh/id_rs", 2);
    check("--allow fs.read=.", 2);
    check("--allow ssh", 2);
    let printed = |words: &str| build(&project, &format!("web {words}")).code(2).err();
    for (wrong, why) in [
        ("fs.write=/", "`--allow fs.write=/`: not supported"),
        ("network.host=", "`--allow network.host=`: not supported"),
        ("device", "`--allow device`: not supported"),
        ("fs.read", "`--allow fs.read`: the path is missing"),
        ("fs.read=", "`--allow fs.read=`: the path is missing"),
        ("ssh=default", "`--allow ssh=default`: `ssh` takes no value"),
        ("", "`--allow `: not supported"),
    ] {
        let printed = printed(&format!("--allow={wrong}"));
        assert!(printed.starts_with(&format!("error: {why}\nhint: ")), "{printed}");
    }
    // A path on the command line is relative to the current directory.
    let directory = root.join("docker/web");
    let words = ["build", "web", "--engine=fake", "--allow=fs.read=../../../.ssh"];
    let mut command = project.command(&words);
    assert!(command.current_dir(directory).output().unwrap().status.success());
}

#[test]
fn symlinks_that_point_outside_the_repository_need_consent() {
    let project = stealing()
        .file("layers.toml", "[secrets]\nkey = { src = 'token' }\n")
        .file("inside", "a value of the repository")
        .file("../shop-2/key", KEY);
    let root = project.root().to_owned();
    let link = |to: &str| {
        drop(fs::remove_file(root.join("token")));
        symlink(to, root.join("token")).unwrap();
    };
    for outside in ["../.ssh/id_rsa", "../shop-2/key", "docker/../../.ssh/id_rsa"] {
        link(outside);
        build(&project, "web").code(2);
    }
    link("inside");
    build(&project, "web").code(0);
    // Through a linked directory.
    symlink("..", root.join("up")).unwrap();
    link("up/.ssh/id_rsa");
    build(&project, "web").code(2);
    let project = project.file("layers.toml", "[secrets]\nkey = { src = 'up/.ssh/id_rsa' }\n");
    build(&project, "web").code(2);
    // A path that leaves the repository and returns is inside.
    let project = project.file("layers.toml", "[secrets]\nkey = { src = '../shop/inside' }\n");
    build(&project, "web").code(0);
    let absolute = format!("[secrets]\nkey = {{ src = '{}/inside' }}\n", root.display());
    let project = project.file("layers.toml", absolute);
    build(&project, "web").code(0);
    // A file that does not exist is missing and needs no consent.
    let project = project.file("layers.toml", "[secrets]\nkey = { src = '~/.none' }\n");
    let printed = build(&project, "web").code(2).err();
    assert!(
        printed.starts_with("error[missing-secret]: the secret `key` can't be read"),
        "{printed}"
    );
}

#[test]
fn ssh_agents_and_keys_need_consent() {
    let mount = "FROM scratch\nRUN --mount=type=ssh git clone\n";
    let project = Project::new().dockerfile("app", mount).script(r#"{"record": "calls.jsonl"}"#);
    let outside = project.root().parent().unwrap().join("agent");
    let _agent = UnixListener::bind(&outside).unwrap();
    let _inner = UnixListener::bind(project.root().join("agent")).unwrap();
    let project = project.var("SSH_AUTH_SOCK", outside.display().to_string());
    let project = project.file("layers.toml", "ssh = ['default']\n");
    let printed = build(&project, "--all").code(2).err();
    let line = "  - the ssh agent of SSH_AUTH_SOCK as the ssh agent default, for app\n";
    assert!(printed.contains(line), "{printed}");
    assert!(printed.ends_with("--all --allow ssh\n"), "{printed}");
    build(&project, "--all --allow fs.read=*").code(2);
    build(&project, "--all --allow ssh").code(0);
    build(&project, "--all --ssh default").code(0);
    assert_eq!(given(&project), [r#""shop-app:latest" [] ["default"]"#; 2]);
    // Another socket and a key count as files.
    let check = |project: &Project, words: &str, code: i32| {
        build(project, &format!("--all {words}")).code(code);
    };
    let project = project.file("layers.toml", "ssh = ['default=../agent']\n");
    check(&project, "--allow ssh", 2);
    check(&project, "--allow fs.read=../agent", 0);
    let project = project.file("layers.toml", "ssh = ['default=agent']\n");
    check(&project, "", 0);
    let project = project
        .file("../id", "PRIVATE KEY")
        .file("id", "PRIVATE KEY")
        .file("layers.toml", "ssh = ['default=id,../id']\n");
    let printed = build(&project, "--all").code(2).err();
    assert!(printed.contains("../id") || printed.contains("/id' as the ssh agent"), "{printed}");
    // Without an agent, no consent is needed.
    let project = project.var("SSH_AUTH_SOCK", "").file("layers.toml", "ssh = ['default']\n");
    let printed = build(&project, "--all").code(2).err();
    assert!(printed.contains("SSH_AUTH_SOCK is not set"), "{printed}");
}

#[test]
fn contexts_and_dockerfiles_outside_the_repository_need_consent() {
    let project = Project::new()
        .dockerfile("app", "FROM scratch\nCOPY . .\n")
        .file("../elsewhere/secret", KEY)
        .file("../elsewhere/Dockerfile", "FROM scratch\nRUN true\n")
        .file("layers.toml", "[image.app]\ncontext = 'files'\n")
        .script(r#"{"record": "calls.jsonl"}"#);
    let root = project.root().to_owned();
    symlink("../elsewhere", root.join("files")).unwrap();
    project.run("plan --engine fake").code(0);
    let printed = build(&project, "--all").code(2).err();
    assert!(printed.contains("/elsewhere' as the context of app\n"), "{printed}");
    assert_eq!(given(&project), Vec::<String>::new());
    build(&project, "--all --allow fs.read=../elsewhere").code(0);
    symlink("../../elsewhere", root.join("docker/x")).unwrap();
    let printed = build(&project, "x").code(2).err();
    assert!(printed.contains("/elsewhere' as the context of x\n"), "{printed}");
    assert!(printed.contains("/elsewhere/Dockerfile' as the Dockerfile of x\n"), "{printed}");
    assert_eq!(printed.matches("--allow").count(), 1, "{printed}");
    fs::remove_file(root.join("files")).unwrap();
    fs::create_dir_all(root.join("shared/v2")).unwrap();
    symlink("shared/v2", root.join("files")).unwrap();
    build(&project, "app").code(0);
}

#[test]
fn secret_variables_are_listed_with_the_images_that_mount_them() {
    let project = Project::new()
        .dockerfile("web", "FROM scratch\nRUN --mount=type=secret,id=npm_token true\n")
        .dockerfile("api", "FROM scratch\nRUN --mount=type=secret,id=npm_token,env=T true\n")
        .dockerfile("plain", "FROM scratch\nRUN true\n")
        .file(
            "layers.toml",
            "[secrets]\nnpm_token = { env = 'NPM_TOKEN' }\nother = { env = 'OTHER' }\n",
        )
        .var("NPM_TOKEN", KEY)
        .var("OTHER", "another value")
        .script(r#"{"record": "calls.jsonl", "store": "store.json"}"#);
    let printed = build(&project, "--all").code(0).err();
    let line = "secret npm_token: from $NPM_TOKEN, mounted by api, web\n";
    assert!(printed.starts_with(line), "{printed}");
    assert_eq!(printed.matches("secret ").count(), 1, "{printed}");
    assert!(!printed.contains(KEY));
    // A secret that no image mounts is not passed.
    let key = r#"["npm_token"] []"#;
    let all = [r#""shop-api:latest""#, r#""shop-plain:latest""#, r#""shop-web:latest""#];
    assert_eq!(given(&project), all.map(|name| format!("{name} {key}")));
    // Only the built images count, and secrets from the command line are not announced.
    let printed = build(&project, "--all").code(0).err();
    assert!(!printed.contains("secret "), "{printed}");
    let printed = build(&project, "web --force").code(0).err();
    assert!(
        printed.starts_with("secret npm_token: from $NPM_TOKEN, mounted by web\n"),
        "{printed}"
    );
    let printed = build(&project, "web --force --secret id=npm_token,env=OTHER").code(0).err();
    assert!(!printed.contains("secret "), "{printed}");
    // A build that fetches a repository can request the token without a mount.
    let project = project
        .dockerfile("web", "FROM scratch\nADD https://example.com/acme/x.git /x\n")
        .file(
            "layers.toml",
            "[secrets]\nGIT_AUTH_TOKEN = { env = 'NPM_TOKEN' }\nnpm_token = { env = 'NPM_TOKEN' }\n",
        );
    let printed = build(&project, "web").code(0).err();
    assert!(
        printed.starts_with("secret GIT_AUTH_TOKEN: from $NPM_TOKEN, available to web\n"),
        "{printed}"
    );
    assert_eq!(printed.matches("secret ").count(), 1, "{printed}");
    let mount = "FROM scratch\nRUN --mount=type=secret,id=npm_token true\n";
    let project = project.dockerfile("web", mount);
    let quiet = "build web --engine fake --progress json --force";
    let ran = project.run(quiet).code(0);
    let named = "secret npm_token: from $NPM_TOKEN, mounted by web\n1 built of 1 image in 0.0s\n";
    assert_same(&ran.err(), named);
}

#[test]
fn bases_with_unknown_triggers_get_no_files_without_consent() {
    let script = |rest: &str| {
        format!(r#"{{"record": "calls.jsonl", "registry": {{"acme/onbuild:1": "x"}}{rest}}}"#)
    };
    let store = r#", "store": "store.json""#;
    let project = stealing().dockerfile("plain", "FROM acme/onbuild:1\nRUN true\n");
    let project = project.script(&script(store));
    build(&project, "plain").code(0);
    let mut store: serde_json::Value =
        serde_json::from_str(&project.read(".layers/store.json")).unwrap();
    let mut set = |key: &str, value: serde_json::Value| {
        let images = store.as_object_mut().unwrap().iter_mut();
        for (_, image) in images.filter(|(name, _)| name.contains("acme/onbuild")) {
            image[key] = value.clone();
        }
        store.to_string()
    };
    // The mounts of its triggers are known after the engine has reported the triggers.
    let triggers = serde_json::json!(["RUN --mount=type=secret,id=key true"]);
    let project = project.file(".layers/store.json", set("on_build", triggers));
    let printed = build(&project, "plain --force").code(2).err();
    assert!(printed.contains("as the secret key, for plain\n"), "{printed}");
    // For another platform, the triggers are still unknown.
    let project = project.file(".layers/store.json", set("platform", "linux/arm64".into()));
    let printed = build(&project, "plain --force").code(0).err();
    let warning =
        "warning: the secret key is outside the repository, so it is not passed to plain\n";
    assert!(printed.contains(warning), "{printed}");
    assert!(given(&project).iter().all(|it| it.contains("[] []")), "{:?}", given(&project));
    build(&project, "plain --force --allow fs.read=~/.ssh").code(0);
    assert!(given(&project).iter().any(|it| it.contains(r#"["key"] []"#)));
}
