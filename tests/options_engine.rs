//! Labels and the options of `RUN` instructions on a real daemon: what steps see, what images have, and what becomes
//! stale.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{Files, NAMED_CONTEXTS, Name, TEST_LABEL, engine_or_skip, takes_named_contexts};

/// A repository with the image `base`, its child `app`, and the cleanup.
struct Repository {
    directory: tempfile::TempDir,
    name: Name,
}

impl Repository {
    /// Creates a repository whose `base` runs a command. The command is unique, because the engine's cache may contain
    /// the steps of earlier tests.
    fn new(base: &str) -> Repository {
        let repository = Repository { directory: tempfile::tempdir().unwrap(), name: Name::new() };
        let label = repository.name.label();
        Files::with_busybox().write_below(&repository.root().join("docker/base"));
        let text = format!(
            "FROM scratch\nLABEL {TEST_LABEL}={label} own=dockerfile\nENV PATH=/bin T={label}\nCOPY bin /bin\n{base}\n"
        );
        repository.write("docker/base/Dockerfile", &text);
        let app = format!("FROM {label}/a-base\nENV APP=1\n");
        repository.write("docker/app/Dockerfile", &app);
        repository.configure("");
        repository
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("shop")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn configure(&self, settings: &str) {
        let config = format!("namespace = '{}'\napp = 'a'\n{settings}", self.name.label());
        self.write("layers.toml", &config);
    }

    fn run(&self, words: &str, code: i32) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_layers"))
            .args(words.split(' '))
            .current_dir(self.root())
            .env_remove("DOCKER_DEFAULT_PLATFORM")
            .output()
            .unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words}: {printed}");
        printed
    }

    /// Builds everything and returns the output of the steps and the summary.
    fn build(&self, words: &str) -> String {
        self.run(format!("build --all --progress plain {words}").trim_end(), 0)
    }

    /// Returns the labels of an image without those of this program, as `NAME=VALUE`, sorted.
    fn labels(&self, image: &str) -> Vec<String> {
        let reference = self.name.reference(&format!("/a-{image}:latest"));
        let format = "{{range $name, $value := .Config.Labels}}{{$name}}={{$value}}\n{{end}}";
        let output = Command::new("docker")
            .args(["image", "inspect", "--format", format, &reference])
            .output()
            .unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let labels = text.lines().filter(|it| !it.starts_with("dev.layers.") && !it.is_empty());
        labels.map(str::to_owned).collect()
    }

    /// Checks that a change of the options makes images stale for a reason, and that building once is enough.
    #[track_caller]
    fn check_change(&self, words: &str, reason: &str) -> String {
        let plan = self.run(format!("plan {words}").trim_end(), 0);
        let plan = plan.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plan.contains(reason), "{words}: {plan}");
        let printed = self.build(words);
        assert!(printed.contains(" built"), "{words}: {printed}");
        let again = self.build(words);
        assert!(again.contains("0 built, 2 fresh"), "{words}: {again}");
        printed
    }

    /// Checks that images with options are not those without: the first ones are restored, or, if the engine has removed
    /// them along with their last name, built for a reason.
    #[track_caller]
    fn check_removal(&self, reason: &str) {
        let plan = self.run("plan", 0);
        assert!(plan.contains("(2 lacking tags)") || plan.contains(reason), "{plan}");
        self.build("");
        assert!(self.build("").contains("0 built, 2 fresh"));
    }
}

#[test]
fn labels_are_on_the_image_and_inherited_by_its_children() {
    let Some(_) = engine_or_skip() else { return };
    let repository = Repository::new("RUN echo $T > /t");
    repository.build("");
    let fresh = "0 built, 2 fresh";
    assert!(repository.build("").contains(fresh));
    repository.configure("[image.base]\nlabels = { team = 'a=b \"c\"', own = 'settings' }\n");
    repository.check_change("", "base build label own is settings, was not set");
    let labels = ["own=settings", "team=a=b \"c\""];
    assert_eq!(repository.labels("base"), labels);
    // The proof of origin contains the labels, so nothing else has to know these images.
    fs::remove_dir_all(repository.root().join(".layers")).unwrap();
    assert!(repository.build("").contains(fresh));
    // Nothing in the settings of the child has changed, but it inherits the labels.
    assert_eq!(repository.labels("app"), labels);
    // Labels of the command line are on all images, and replace others.
    repository.check_change("--label team=b --label empty", "label empty is empty, was not set");
    assert_eq!(repository.labels("app"), ["empty=", "own=settings", "team=b"]);
    // Images that still exist with other labels do not count, and those with these labels do.
    repository.configure("");
    repository.build("");
    assert_eq!(repository.labels("app"), ["own=dockerfile"]);
    // An image that is built on one of ours and adds a label has its key, but is not that image.
    let base = repository.name.reference("/a-base:latest");
    let child = Command::new("docker")
        .args(["build", "-q", "-t", &base, "--label", "more=1", "-"])
        .env("DOCKER_BUILDKIT", "0")
        .stdin(std::process::Stdio::from(file_with(&format!("FROM {base}\n"))))
        .output()
        .unwrap();
    if child.status.success() {
        assert!(repository.labels("base").contains(&"more=1".to_owned()));
        repository.build("");
        assert_eq!(repository.labels("base"), ["own=dockerfile"]);
    }
}

fn file_with(text: &str) -> fs::File {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file
}

#[test]
fn steps_run_in_the_network_and_with_the_hosts_that_are_set() {
    let Some(_) = engine_or_skip() else { return };
    let repository = Repository::new(
        "RUN echo $T; echo interfaces $(ls /sys/class/net); grep -v localhost /etc/hosts | sed 's/^/hosts /'",
    );
    repository.build("");
    let printed = repository.check_change("--network none", "network is none, was not set");
    assert!(printed.contains("interfaces lo\n"), "{printed}");
    // Other tests add and remove interfaces, but not that of the default route.
    let routes = fs::read_to_string("/proc/net/route").unwrap();
    let fields = routes.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let route = fields.into_iter().find(|fields| fields[1] == "00000000");
    let printed = repository.check_change("--network host", "network is host, was none");
    if let Some(fields) = route {
        assert!(printed.contains(&format!(" {}", fields[0])), "{printed}");
    }
    let printed = repository.check_change(
        "--add-host db:10.1.2.3 --add-host DB=[fd00::7]",
        "add-host db is 10.1.2.3 fd00::7",
    );
    for address in ["10.1.2.3", "fd00::7"] {
        let is_shown =
            |line: &str| line.contains(&format!("hosts {address}")) && line.ends_with("db");
        assert!(printed.lines().any(is_shown), "{address}: {printed}");
    }
    repository
        .check_change("--add-host db:10.1.2.4", "add-host db is 10.1.2.4, was 10.1.2.3 fd00::7");
    repository.check_removal("add-host db is not set, was 10.1.2.4");
}

#[test]
fn host_gateway_is_the_address_of_the_engine() {
    let Some(engine) = engine_or_skip() else { return };
    let repository = Repository::new("RUN echo $T; grep gate /etc/hosts");
    if !takes_named_contexts(&engine) {
        let printed = repository.run("build base --add-host gate:host-gateway", 4);
        assert!(
            printed.contains("does not report the address that `host-gateway` means"),
            "{printed}"
        );
        return;
    }
    let printed = repository.build("--add-host gate:host-gateway");
    let is_shown = |line: &str| {
        let mut words = line.split_whitespace().rev();
        words.next() == Some("gate")
            && words.next().is_some_and(|it| it.parse::<std::net::IpAddr>().is_ok())
    };
    assert!(printed.lines().any(is_shown), "{printed}");
    assert!(repository.build("--add-host gate:host-gateway").contains("0 built, 2 fresh"));
}

#[test]
fn limits_apply_to_steps_or_are_reported_as_unsupported() {
    let Some(engine) = engine_or_skip() else { return };
    let repository = Repository::new(
        "RUN echo $T; echo files $(ulimit -S -n) $(ulimit -H -n); echo shm $(df -k /dev/shm | tail -1 | awk '{print $2}')",
    );
    if !takes_named_contexts(&engine) {
        eprintln!("partly skipped: Docker {NAMED_CONTEXTS} and newer have limits");
        let printed = repository.run("build --all --shm-size 96m", 4);
        assert!(
            printed.contains("ulimits and the size of /dev/shm are set for `base`"),
            "{printed}"
        );
        return;
    }
    repository.build("");
    let both = "--ulimit nofile=123:456 --shm-size 96m";
    let printed = repository.check_change(both, "shm-size is 96m, was not set");
    assert!(printed.contains("files 123 456\n"), "{printed}");
    assert!(printed.contains("shm 98304\n"), "{printed}");
    let other = "--ulimit nofile=123:457 --shm-size 96m";
    let printed = repository.check_change(other, "ulimit nofile is 123:457, was 123:456");
    assert!(printed.contains("files 123 457\n"), "{printed}");
    repository.check_removal("shm-size is not set, was 96m");
}

#[test]
fn entitlements_are_requested_for_the_images_that_use_them() {
    let Some(engine) = engine_or_skip() else { return };
    if !takes_named_contexts(&engine) {
        eprintln!("skipped: the frontend of this engine has no `RUN --network`");
        return;
    }
    let repository =
        Repository::new("RUN --network=host echo $T; echo interfaces $(ls /sys/class/net)");
    let printed = repository.run("build --all", 2);
    assert!(printed.contains("hint: pass `--allow network.host`"), "{printed}");
    // An engine does not permit this by default, which matters only to images that use it.
    let printed = repository.build("--allow network.host --allow security.insecure");
    assert!(printed.contains("interfaces ") && printed.contains("2 built"), "{printed}");
    repository.write(
        "docker/app/Dockerfile",
        &format!("FROM {}/a-base\nRUN --security=insecure true\n", repository.name.label()),
    );
    let printed = repository.run("build --all --allow network.host --allow security.insecure", 4);
    let hint = "hint: set `\"builder\": {\"entitlements\": {\"security-insecure\": true}}` in its";
    assert!(printed.contains("the engine does not permit `security.insecure`"), "{printed}");
    assert!(printed.contains(hint), "{printed}");
}
