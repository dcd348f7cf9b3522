//! Secrets and SSH agents on a real daemon: builds can use them, and nothing stores them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Files, Name, TEST_LABEL, build, busybox, engine_or_skip, output, request};
use layers::engine::{BuildOutcome, BuildRequest, Secrets};
use layers::process::ChildProcess;

/// A value of two lines that occurs nowhere else.
const VALUE: &str = "hunter2-of-the-first-line\nhunter2-of-the-second-line\n";

fn with_value(mut request: BuildRequest, id: &str, value: &[u8]) -> BuildRequest {
    let values = BTreeMap::from([(id.to_owned(), value.to_vec())]);
    request.secrets = Secrets::new(values, BTreeMap::new(), &[]).unwrap();
    request
}

#[test]
fn secrets_are_passed_to_steps_byte_for_byte() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch AS s\nCOPY . .\n\
                RUN --mount=type=secret,id=x,required=true --mount=type=secret,id=other \
                cmp /run/secrets/x /expected && ls /run/secrets && stat -c %a /run/secrets/x\n\
                RUN cat /run/secrets/x 2>/dev/null; echo end\n";
    // The maximum size, with all byte values.
    let value: Vec<u8> = (0..=255).cycle().take(500 * 1024).collect();
    let files = Files::with_busybox().and("expected", value.as_slice());
    let request = with_value(request(&name, text, files), "x", &value);
    let (outcome, updates) = build(&engine, &request);
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    assert_eq!(String::from_utf8(output(&updates)).unwrap(), "x\n400\nend\n");
}

#[test]
fn missing_secrets_fail_the_build_only_if_required() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let check = |mount: &str, given: &[&str]| {
        let text = format!(
            "FROM scratch\nCOPY . .\nRUN --mount={mount} \
             [ -e /run/secrets/x ] || [ -S \"$SSH_AUTH_SOCK\" ] || echo absent\n"
        );
        let mut request = request(&name, &text, Files::with_busybox());
        for id in given {
            request = with_value(request, id, b"value");
        }
        let (outcome, updates) = build(&engine, &request);
        (matches!(outcome, BuildOutcome::Built { .. }), output(&updates))
    };
    let absent = (true, b"absent\n".to_vec());
    let failed = (false, Vec::new());
    assert_eq!(check("type=secret,id=x", &[]), absent);
    assert_eq!(check("type=secret,id=x", &["y"]), absent);
    assert_eq!(check("type=secret,id=x,required=true", &[]), failed);
    assert_eq!(check("type=secret,id=x,required=true", &["y"]), failed);
    assert_eq!(check("type=ssh", &[]), absent);
    assert_eq!(check("type=ssh,required=true", &["y"]), failed);
}

/// A real agent with one key, and the key's file.
struct TestAgent {
    directory: tempfile::TempDir,
    kept: ChildProcess,
}

impl TestAgent {
    fn start() -> TestAgent {
        let get = "tests of ssh need OpenSSH's client (openssh-client)";
        let script = "echo $SSH_AUTH_SOCK; cat; ssh-agent -k > /dev/null";
        let kept =
            ChildProcess::start("ssh-agent", &["sh", "-c", script].map(OsStr::new), get).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let agent = TestAgent { directory, kept };
        let key = agent.key();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "layers test", "-f"])
            .arg(&key)
            .status();
        assert!(made.unwrap().success());
        assert!(agent.ssh_add(&[key.to_str().unwrap()]).status.success());
        agent
    }

    fn socket(&self) -> PathBuf {
        self.kept.first_line().into()
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key")
    }

    fn ssh_add(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("ssh-add");
        command.args(arguments).env("SSH_AUTH_SOCK", self.socket()).output().unwrap()
    }

    /// Returns the output of `ssh-add -l` about the key.
    fn keys(&self) -> String {
        String::from_utf8(self.ssh_add(&["-l"]).stdout).unwrap()
    }
}

/// Returns the machine's `ssh-add` with its libraries, and a shell.
fn with_ssh_add() -> Files {
    let mut files = Files::with_busybox().and("etc/passwd", "root:x:0:0::/:/bin/sh\n");
    let listed = Command::new("ldd").arg("/usr/bin/ssh-add").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let words = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for path in words.chain(["/usr/bin/ssh-add"]) {
        files = files.and_mode(path.trim_start_matches('/'), 0o755, fs::read(path).unwrap());
    }
    files
}

#[test]
fn steps_can_use_an_ssh_agent_but_not_modify_it() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let agent = TestAgent::start();
    let text = "FROM scratch AS s\nCOPY . .\n\
                RUN --mount=type=ssh,required=true --mount=type=ssh,id=none \
                ssh-add -l; ssh-add -T /key.pub && echo signed; ssh-add -D 2>/dev/null || echo kept; \
                ssh-add -l\n\
                RUN --mount=type=ssh,id=work,required=true ssh-add -l\n";
    let public = fs::read(agent.key().with_extension("pub")).unwrap();
    let mut request = request(&name, text, with_ssh_add().and("key.pub", public));
    let sockets = ["default", "work"].map(|id| (id.to_owned(), agent.socket()));
    request.secrets = Secrets::new(BTreeMap::new(), sockets.into(), &[]).unwrap();
    let (outcome, updates) = build(&engine, &request);
    let printed = String::from_utf8(output(&updates)).unwrap();
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}: {printed}");
    let keys = agent.keys();
    assert!(keys.contains("layers test"), "{keys}");
    assert_eq!(printed, format!("{keys}signed\nkept\n{keys}{keys}"));
}

/// A repository of one image, built with the whole program.
struct Repository {
    directory: tempfile::TempDir,
    name: Name,
}

impl Repository {
    fn new(run: &str) -> Repository {
        let (directory, name) = (tempfile::tempdir().unwrap(), Name::new());
        let repository = Repository { directory, name };
        let app = repository.root().join("docker/app");
        fs::create_dir_all(app.join("bin")).unwrap();
        for program in ["busybox", "sh"] {
            fs::copy("/bin/busybox", app.join("bin").join(program)).unwrap();
        }
        let label = repository.name.label();
        let text = format!("FROM scratch\nLABEL {TEST_LABEL}={label}\nCOPY bin /bin\n{run}\n");
        fs::write(app.join("Dockerfile"), text).unwrap();
        fs::write(
            repository.root().join("layers.toml"),
            format!("namespace = '{label}'\napp = 'a'\n"),
        )
        .unwrap();
        repository
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("shop")
    }

    fn reference(&self) -> String {
        self.name.reference("/a-app:latest")
    }

    /// Returns the complete output of a command.
    fn run(&self, words: &[&str], code: i32) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_layers"))
            .args(words)
            .current_dir(self.root())
            .env_remove("SSH_AUTH_SOCK")
            .output()
            .unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {printed}");
        printed
    }
}

fn all_files(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() { all_files(&path) } else { fs::read(&path).unwrap() });
    }
    bytes
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Returns the files of an archive. The layers in containerd's store are compressed.
fn unpacked(archive: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut file = tempfile::tempfile().unwrap();
        let mut content = Vec::new();
        entry.unwrap().read_to_end(&mut content).unwrap();
        if content.starts_with(&[0x1f, 0x8b]) {
            file.write_all(&content).unwrap();
            file.rewind().unwrap();
            let output =
                Command::new("gzip").arg("--stdout").arg("--decompress").stdin(file).output();
            content = output.expect("tests need `gzip`").stdout;
        }
        bytes.extend(content);
    }
    bytes
}

#[test]
fn secrets_are_not_stored_anywhere() {
    let Some(_) = engine_or_skip() else { return };
    let run = "RUN --mount=type=secret,id=x,required=true cat /run/secrets/x; \
               echo \"<$(cat /run/secrets/x)>\"; sed s/hunter2-of/hunter2-o/ /run/secrets/x";
    let repository = Repository::new(run);
    let secret = repository.directory.path().join("secret");
    let given = format!("id=x,src={}", secret.display());
    let build = ["build", "--all", "--progress", "plain", "--secret", &given];
    fs::write(&secret, VALUE).unwrap();
    // The engine's cache can contain results of an earlier run.
    let no_cache = [&build[..], &["--no-cache"]].concat();
    let mut printed = repository.run(&no_cache, 0);
    // It was printed, and everything except the value itself is still there.
    assert!(printed.contains("***") && printed.contains("<***"), "{printed}");
    assert!(printed.contains("hunter2-o-the-second-line"), "{printed}");
    for words in [&["plan", "--json"][..], &["why", "app"], &["why", "app", "--inputs"]] {
        printed += &repository.run(words, 0);
    }
    for words in [&["log"][..], &["log", "app"]] {
        let log = repository.run(words, 0);
        assert!(log.contains("<***"), "{log}");
        printed += &log;
    }
    assert!(printed.contains("id"), "{printed}");
    let kept = all_files(&repository.root());
    // The log of the run is one of the files, and shows what was masked.
    assert!(has(&kept, "type=secret") && has(&kept, "\"hunter2-o-the-second-line\""));
    let docker = |words: &[&str]| {
        let output = Command::new("docker").args(words).output().expect("tests need `docker`");
        assert!(output.status.success(), "{words:?}");
        output.stdout
    };
    let reference = repository.reference();
    let image = docker(&["image", "inspect", &reference]);
    let history = docker(&["history", "--no-trunc", &reference]);
    // The same for the layers.
    let whole = unpacked(&docker(&["image", "save", &reference]));
    assert!(has(&image, "dev.layers.key") && has(&history, "cat /run/secrets/x"));
    assert!(has(&whole, &String::from_utf8_lossy(&busybox()[1..4])), "the layers are there");
    for line in VALUE.lines() {
        assert!(!printed.contains(line), "{printed}");
        for place in [&kept, &image, &history, &whole] {
            assert!(!has(place, line));
        }
    }
    // Another value does not change the image.
    fs::write(&secret, "something else").unwrap();
    let again = repository.run(&build, 0);
    assert!(again.contains("\n0 built, 1 fresh of 1 image"), "{again}");
}

#[test]
fn private_keys_work_without_a_running_ssh_agent() {
    let Some(_) = engine_or_skip() else { return };
    let agent = TestAgent::start();
    let repository = Repository::new(
        "COPY . /\nRUN --mount=type=ssh,id=deploy,required=true ssh-add -l && ls -A $SSH_AUTH_SOCK",
    );
    with_ssh_add().write_below(&repository.root().join("docker/app"));
    let given = format!("deploy={}", agent.key().display());
    let words = ["build", "--all", "--no-cache", "--progress", "plain", "--ssh", &given];
    let printed = repository.run(&words, 0);
    assert!(printed.contains(agent.keys().trim_end()), "{printed}");
    let locked = repository.directory.path().join("locked");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "a passphrase", "-f"])
        .arg(&locked)
        .status();
    assert!(made.unwrap().success());
    let given = format!("deploy={}", locked.display());
    let printed = repository.run(&["build", "--all", "--force", "--ssh", &given], 2);
    assert!(printed.contains("has a passphrase\nhint: add it to an agent"), "{printed}");
}

#[test]
fn files_outside_the_repository_require_consent() {
    let Some(_) = engine_or_skip() else { return };
    let run = "RUN --mount=type=secret,id=x,required=true echo \"<$(cat /run/secrets/x)>\"";
    let repository = Repository::new(run);
    let key = repository.directory.path().join("key");
    fs::write(&key, VALUE).unwrap();
    let config = repository.root().join("layers.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}[secrets]\nx = {{ src = '../key' }}\n")).unwrap();
    let build = ["build", "--all", "--no-cache", "--progress", "plain"];
    let printed = repository.run(&build, 2);
    assert!(printed.contains("needs your consent") && !printed.contains("started"), "{printed}");
    let allow = format!("--allow=fs.read={}", key.display());
    let printed = repository.run(&[&build[..], &[&allow]].concat(), 0);
    assert!(printed.contains("<***") && !printed.contains("hunter2"), "{printed}");
}
