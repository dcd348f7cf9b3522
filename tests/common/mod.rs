//! What the tests on a real engine share: the engine, contexts, and images that are removed after a test.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![allow(clippy::disallowed_methods, reason = "tests drive programs")]

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layers::base::EntryKind;
use layers::engine::docker::endpoint::EndpointEnvironment;
use layers::engine::{
    BuildOutcome, BuildRequest, BuildUpdate, Builder, Cancel, ContextFiles, FileHeader, ImageStore,
};
use layers::engine::{LabelFilter, docker::Docker};

pub mod between;
pub mod daemon;
pub mod dice;
pub mod disk_files;
pub mod faults;
pub mod program;
pub mod registry;

/// The label of all images of tests, so that they can be found and removed.
pub const TEST_LABEL: &str = "dev.layers.test";

/// Returns the engine that the docker command would use.
///
/// If there is no engine, the test fails, unless `LAYERS_TEST_NO_ENGINE=1` is set: then this prints a note
/// and returns `None`, and the test returns.
pub fn engine_or_skip() -> Option<Docker> {
    if std::env::var_os("LAYERS_TEST_NO_ENGINE").is_some_and(|value| value == "1") {
        eprintln!("skipped: LAYERS_TEST_NO_ENGINE=1 says that there is no engine");
        return None;
    }
    let docker = Docker::find(&EndpointEnvironment::read(|name| std::env::var_os(name))).unwrap();
    if let Err(error) = docker.info() {
        panic!("{error:#}\n(set LAYERS_TEST_NO_ENGINE=1 to skip the tests that need an engine)");
    }
    Some(docker)
}

/// The first Docker version whose own frontend supports named contexts.
pub const NAMED_CONTEXTS: u32 = 23;

/// Whether the engine's own frontend supports named contexts, with which a build gets its parents.
pub fn takes_named_contexts(engine: &Docker) -> bool {
    let version = engine.info().unwrap().version;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= NAMED_CONTEXTS)
}

/// A name that no other test uses. All images with this name are removed when it is dropped.
pub struct Name {
    text: String,
    docker: Docker,
}

impl Name {
    /// Creates a unique name.
    pub fn new() -> Name {
        let random = RandomState::new().hash_one(std::process::id());
        let docker =
            Docker::find(&EndpointEnvironment::read(|name| std::env::var_os(name))).unwrap();
        Name { text: format!("layers-test-{random:016x}"), docker }
    }

    /// Returns a reference that starts with the name.
    pub fn reference(&self, rest: &str) -> String {
        format!("{}{rest}", self.text)
    }

    /// Returns the value of [`TEST_LABEL`] on its images.
    pub fn label(&self) -> &str {
        &self.text
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        // By label as well as by name, so that images without a name are found.
        for image in self.docker.list(LabelFilter::named(TEST_LABEL)).unwrap_or_default() {
            if image.labels.get(TEST_LABEL) == Some(&self.text) {
                for name in image.references.iter().chain([&image.id]) {
                    if let Err(error) = self.docker.remove(name) {
                        eprintln!("left behind: {name}: {error:#}");
                    }
                }
            }
        }
    }
}

/// Returns the command lines of all processes that contain a word. They include the engine's because
/// processes in containers are visible on the machine.
pub fn processes_with(word: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(word))
        .collect()
}

/// Returns the content of a static busybox (Debian package `busybox-static`).
pub fn busybox() -> Vec<u8> {
    fs::read("/bin/busybox").expect("tests on a real engine need /bin/busybox (busybox-static)")
}

/// Files in memory, with their modes.
#[derive(Default, Clone)]
pub struct Files {
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Files {
    /// Creates an empty set.
    pub fn new() -> Files {
        Files::default()
    }

    /// Creates a set with the shell and its tools as `bin/busybox` and `bin/sh`.
    pub fn with_busybox() -> Files {
        Files::new().and_mode("bin/busybox", 0o755, busybox()).and_mode("bin/sh", 0o755, busybox())
    }

    /// Adds a regular file.
    pub fn and(self, path: &str, content: impl Into<Vec<u8>>) -> Files {
        self.and_mode(path, 0o644, content)
    }

    /// Adds a file with a mode.
    pub fn and_mode(mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Files {
        self.files.insert(path.to_owned(), (mode, content.into()));
        self
    }
}

impl Files {
    /// Writes the files to the disk.
    pub fn write_below(&self, directory: &Path) {
        for (path, (mode, content)) in &self.files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
    }
}

impl ContextFiles for Files {
    fn headers(&self) -> Vec<FileHeader> {
        let mut headers: BTreeMap<PathBuf, FileHeader> = BTreeMap::new();
        let mut add = |path: &Path, kind, mode, size: usize| {
            let header = FileHeader { path: path.into(), kind, mode, size: size as u64, mtime: 0 };
            headers.insert(path.to_owned(), header);
        };
        for (path, (mode, content)) in &self.files {
            let path = Path::new(path);
            for above in path.ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()) {
                add(above, EntryKind::Directory, 0o755, 0);
            }
            add(path, EntryKind::File, *mode, content.len());
        }
        // Paths are compared component by component, which is the order of a walk.
        headers.into_values().collect()
    }

    fn read(&self, index: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let path = self.headers()[index].path.to_str().unwrap().to_owned();
        piece(&self.files[&path].1)
    }
}

/// Returns a request for a Dockerfile and files, with a name and a label so that the image is removed. The
/// engine's cache is not used because it can contain results of earlier tests.
pub fn request(name: &Name, dockerfile: &str, files: impl ContextFiles + 'static) -> BuildRequest {
    BuildRequest {
        dockerfile: dockerfile.to_owned(),
        references: vec![name.reference(":latest")],
        labels: BTreeMap::from([(TEST_LABEL.to_owned(), name.label().to_owned())]),
        no_cache: true,
        context: Arc::new(files),
        ..BuildRequest::default()
    }
}

/// Runs a build. Returns the outcome and all updates.
pub fn build(engine: &dyn Builder, request: &BuildRequest) -> (BuildOutcome, Vec<BuildUpdate>) {
    let mut updates = Vec::new();
    let outcome = engine
        .build(
            request,
            &mut |timed| updates.extend(timed.into_iter().map(|it| it.update)),
            &Cancel::default(),
        )
        .unwrap();
    (outcome, updates)
}

/// Returns all output of a build, in order.
pub fn output(updates: &[BuildUpdate]) -> Vec<u8> {
    // What was written before does not count if the engine had to start again.
    let is_restart = |update: &BuildUpdate| matches!(update, BuildUpdate::Restarted(_));
    let start = updates.iter().rposition(is_restart).unwrap_or_default();
    let bytes = updates[start..].iter().filter_map(|update| match update {
        BuildUpdate::Output { bytes, .. } => Some(bytes.as_slice()),
        _ => None,
    });
    bytes.collect::<Vec<_>>().concat()
}
