//! An engine that belongs to a test, which can stop it, kill it, and fill its disk.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The maximum time for a daemon to start or to stop.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A Docker daemon with its own store, socket, and network.
pub struct Daemon {
    directory: tempfile::TempDir,
    bridge: String,
    driver: String,
    /// Whether images are in containerd's store, as in the engine under test.
    has_containerd_store: bool,
    /// Whether its store is a small disk that must be unmounted.
    is_small: bool,
    child: Option<Child>,
}

impl Daemon {
    /// Starts a daemon. This requires root, `dockerd`, and `ip`; without them, prints a note and returns
    /// `None`. With `megabytes`, the size of the store is limited.
    pub fn start_or_skip(megabytes: Option<u32>) -> Option<Daemon> {
        if std::env::var_os("LAYERS_TEST_NO_ENGINE").is_some_and(|value| value == "1") {
            eprintln!("skipped: LAYERS_TEST_NO_ENGINE=1 says that there is no engine");
            return None;
        }
        let is_root = printed("id", &["-u"]) == "0";
        let missing =
            ["dockerd", "ip"].into_iter().find(|name| printed("which", &[*name]).is_empty());
        if !is_root || missing.is_some() {
            let why = missing.unwrap_or("root");
            eprintln!("skipped: an engine of the test's own needs {why}");
            return None;
        }
        let format = "{{.Driver}} {{if .DriverStatus}}{{index .DriverStatus 0 0}}{{end}}";
        let stored = printed("docker", &["info", "--format", format]);
        let (driver, status) = stored.split_once(' ').unwrap_or((&stored, ""));
        let random = RandomState::new().hash_one(std::process::id());
        let mut daemon = Daemon {
            directory: tempfile::tempdir().unwrap(),
            bridge: format!("lt{:010x}", random & 0xff_ffff_ffff),
            driver: driver.to_owned(),
            // See `LayerStoreStatus` in moby's `daemon/containerd/service.go`. Classic drivers do not report
            // it.
            has_containerd_store: status == "driver-type",
            is_small: megabytes.is_some(),
            child: None,
        };
        daemon.prepare(megabytes, random);
        daemon.start();
        Some(daemon)
    }

    fn prepare(&self, megabytes: Option<u32>, random: u64) {
        fs::create_dir(self.path("data")).unwrap();
        if let Some(megabytes) = megabytes {
            let size = format!("size={megabytes}m");
            let data = self.path("data");
            ok(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "layers-test"]).arg(data));
        }
        let mut settings = serde_json::Map::new();
        if !self.driver.is_empty() {
            settings.insert("storage-driver".to_owned(), self.driver.clone().into());
        }
        // The default store depends on the version.
        let features = serde_json::json!({"containerd-snapshotter": self.has_containerd_store});
        settings.insert("features".to_owned(), features);
        let settings = serde_json::Value::from(settings).to_string();
        fs::write(self.path("daemon.json"), settings).unwrap();
        // The machine's engine uses the default bridge, which this daemon must not change.
        let address = format!("10.{}.{}.1/24", 64 + random % 64, random >> 8 & 0xff);
        ok(Command::new("ip").args(["link", "add", &self.bridge, "type", "bridge"]));
        ok(Command::new("ip").args(["addr", "add", &address, "dev", &self.bridge]));
        ok(Command::new("ip").args(["link", "set", &self.bridge, "up"]));
    }

    /// Whether its images are in containerd's store.
    pub fn has_containerd_store(&self) -> bool {
        self.has_containerd_store
    }

    /// Returns its socket.
    pub fn socket(&self) -> PathBuf {
        self.path("docker.sock")
    }

    /// Returns its socket as an address for `DOCKER_HOST`.
    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the daemon, and waits until it responds.
    pub fn start(&mut self) {
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = Command::new("dockerd");
        for (name, file) in [
            ("--config-file", "daemon.json"),
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(name).arg(self.path(file));
        }
        command.args(["--host", &self.address(), "--bridge", &self.bridge, "--iptables=false"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let address = self.address();
        let log = self.path("log");
        wait_for("the daemon to answer", &log, || {
            let mut docker = Command::new("docker");
            docker.args(["--host", &address, "version"]).stdin(Stdio::null());
            docker.output().is_ok_and(|output| output.status.success())
        });
    }

    /// Stops the daemon regularly, with everything that it runs.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        ok(Command::new("kill").args(["-TERM", &child.id().to_string()]));
        let since = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if since.elapsed() > READY_WITHIN {
                drop(child.kill());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        drop(Command::new("ip").args(["link", "delete", &self.bridge]).status());
        if self.is_small {
            drop(Command::new("umount").args(["--lazy"]).arg(self.path("data")).status());
        }
    }
}

/// Returns the output of a program, or an empty string if it cannot be run.
fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

fn ok(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn wait_for(what: &str, log: &Path, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(since.elapsed() < READY_WITHIN, "waited in vain for {what}: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}
