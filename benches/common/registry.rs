//! A registry of a benchmark: the real `docker-registry`, with an access log.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// A registry that is stopped when this value is dropped.
pub struct Registry {
    child: Child,
    pub address: String,
    /// Removed together with the registry.
    directory: tempfile::TempDir,
}

impl Registry {
    pub fn start() -> Registry {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("it has one").to_string();
        drop(free);
        let store = directory.path().join("store");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}', secret: x}}\n",
            store.display()
        );
        let file = directory.path().join("config.yml");
        fs::write(&file, config).expect("written");
        let log = File::create(directory.path().join("log")).expect("created");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file).stdout(log).stderr(Stdio::null());
        let child = command.spawn().expect("docker-registry (Debian package of that name)");
        while TcpStream::connect(&address).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Registry { child, address, directory }
    }

    /// Returns how often each blob was uploaded, by digest.
    #[allow(dead_code, reason = "not every benchmark uploads")]
    pub fn uploads(&self) -> BTreeMap<String, usize> {
        let log = fs::read_to_string(self.directory.path().join("log")).expect("a log");
        let mut uploads = BTreeMap::new();
        for line in log.lines().filter(|line| line.contains("\"PUT /v2/")) {
            if let Some((_, digest)) = line.split_once("digest=sha256%3A") {
                let digest = digest.split([' ', '&']).next().unwrap_or_default();
                *uploads.entry(digest.to_owned()).or_default() += 1;
            }
        }
        uploads
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
