//! The proxies in Docker's configuration on a real daemon: steps can use them, and nothing stores them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{Name, TEST_LABEL, engine_or_skip};

const PASSWORD: &str = "hunter2-of-the-proxy";

/// A repository of one image, a docker configuration, and the cleanup.
struct Repository {
    directory: tempfile::TempDir,
    name: Name,
}

impl Repository {
    fn new(run: &str) -> Repository {
        let repository = Repository { directory: tempfile::tempdir().unwrap(), name: Name::new() };
        let app = repository.root().join("docker/app");
        fs::create_dir_all(app.join("bin")).unwrap();
        for program in ["busybox", "sh"] {
            fs::copy("/bin/busybox", app.join("bin").join(program)).unwrap();
        }
        let label = repository.name.label();
        let text = format!("FROM scratch\nLABEL {TEST_LABEL}={label}\nCOPY bin /bin\n{run}\n");
        fs::write(app.join("Dockerfile"), text).unwrap();
        let config = format!("namespace = '{label}'\napp = 'a'\n");
        fs::write(repository.root().join("layers.toml"), config).unwrap();
        repository
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("shop")
    }

    fn configure(&self, http: &str) {
        let proxies = format!(
            r#"{{"proxies": {{"default": {{"httpProxy": "{http}", "noProxy": "localhost,.corp",
               "allProxy": "socks5://all.example.com"}}}}}}"#
        );
        fs::create_dir_all(self.directory.path().join("config")).unwrap();
        fs::write(self.directory.path().join("config/config.json"), proxies).unwrap();
    }

    fn run(&self, words: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_layers"))
            .args(words.split(' '))
            .current_dir(self.root())
            .env("DOCKER_CONFIG", self.directory.path().join("config"))
            .env_remove("DOCKER_DEFAULT_PLATFORM")
            .output()
            .unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{words}: {printed}");
        printed
    }

    fn docker(&self, words: &[&str]) -> String {
        let reference = self.name.reference("/a-app:latest");
        let output = Command::new("docker").args(words).arg(reference).output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn proxies_are_set_in_steps_but_not_in_the_image() {
    let Some(_) = engine_or_skip() else { return };
    let repository = Repository::new("RUN busybox env | busybox grep -i _proxy | busybox sort");
    repository.configure("http://one.example.com:3128");
    let printed = repository.run("build --all --no-cache --progress plain");
    let mut seen =
        ["NO_PROXY=localhost,.corp", "no_proxy=localhost,.corp"].map(str::to_owned).to_vec();
    for name in ["HTTP_PROXY", "http_proxy"] {
        seen.push(format!("{name}=http://one.example.com:3128"));
    }
    for line in &seen {
        assert!(
            printed.contains(&format!("app: {line}\n")) || printed.contains(&format!(" {line}\n")),
            "{line}: {printed}"
        );
    }
    for kept in
        [repository.docker(&["image", "inspect"]), repository.docker(&["history", "--no-trunc"])]
    {
        assert!(!kept.contains("example.com"), "{kept}");
    }
    // Another proxy, or none, does not change the image.
    repository.configure("http://two.example.com:3128");
    assert!(repository.run("build --all").contains("0 built, 1 fresh"));
    fs::remove_dir_all(repository.directory.path().join("config")).unwrap();
    assert!(repository.run("build --all").contains("0 built, 1 fresh"));
    // It also does not repeat a step that is in the engine's cache.
    repository.configure("http://three.example.com:3128");
    let printed = repository.run("build --all --force --progress plain");
    assert!(!printed.contains("three.example.com"), "{printed}");
}

#[test]
fn proxy_passwords_are_redacted() {
    let Some(_) = engine_or_skip() else { return };
    let run = "RUN busybox env | busybox grep -i http_proxy; echo \"<$HTTP_PROXY>\"; \
               echo ${HTTP_PROXY#*//}; echo $HTTP_PROXY | busybox sed 's/.*me://; s/@.*//'; echo end";
    let repository = Repository::new(run);
    repository.configure(&format!("http://me:{PASSWORD}@proxy.example.com:3128"));
    let mut printed = repository.run("build --all --no-cache --progress plain");
    assert!(printed.contains("<***>") && printed.contains("HTTP_PROXY=***"), "{printed}");
    for words in ["log", "log app", "plan --json", "why app --inputs"] {
        printed += &repository.run(words);
    }
    assert!(!printed.contains(PASSWORD), "{printed}");
}

#[test]
fn declared_proxy_arguments_affect_freshness_as_in_buildkit() {
    let Some(_) = engine_or_skip() else { return };
    let repository = Repository::new("ARG HTTP_PROXY\nENV PROXY=$HTTP_PROXY\nRUN true");
    let environment = || repository.docker(&["image", "inspect", "--format", "{{.Config.Env}}"]);
    for host in ["one", "two"] {
        repository.configure(&format!("http://{host}.example.com"));
        let printed = repository.run("build --all");
        assert!(printed.contains("1 built of 1 image"), "{printed}");
        assert!(environment().contains(&format!("PROXY=http://{host}.example.com")));
        assert!(repository.run("build --all").contains("0 built, 1 fresh"));
    }
}
