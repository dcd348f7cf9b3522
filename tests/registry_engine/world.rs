//! A repository, machines with checkouts of it, and what they share.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;

use layers::registry::{Registries, RegistrySettings, Remote, RemoteImage};

use crate::common::daemon::Daemon;
use crate::common::program::{self, output_of};

/// An image of the repository: its name, its `FROM`, and its `COPY --from`.
pub type ImageSpec<'a> = (&'a str, &'a str, &'a [&'a str]);

/// The user's state directory, relative to a checkout.
pub const STATE_HOME: &str = ".state-home";

/// A checkout of a repository.
pub struct Tree {
    directory: tempfile::TempDir,
    namespace: String,
}

impl Tree {
    /// Creates images that are based on each other; `""` is `scratch`. Each one has a file and a label with
    /// its generation.
    pub fn new(images: &[ImageSpec<'_>]) -> Tree {
        let random = RandomState::new().hash_one(std::process::id());
        let namespace = format!("lt{random:016x}");
        let tree = Tree { directory: tempfile::tempdir().unwrap(), namespace };
        for (name, base, copies) in images {
            let from = match *base {
                "" => "scratch".to_owned(),
                base => tree.reference(base),
            };
            let copies: String = copies
                .iter()
                .map(|other| {
                    format!("COPY --from={} /{other} /from-{other}\n", tree.reference(other))
                })
                .collect();
            let dockerfile =
                format!("FROM {from}\nCOPY file /{name}\n{copies}LABEL generation=0\n");
            tree.write(&format!("docker/{name}/Dockerfile"), &dockerfile);
            tree.write(&format!("docker/{name}/file"), &format!("{name} of {random}\n"));
        }
        let config = format!("namespace = \"{}\"\napp = \"shop\"\n", tree.namespace);
        tree.write("layers.toml", &config);
        tree
    }

    /// Creates another checkout of the same repository.
    pub fn clone_of(&self) -> Tree {
        let tree =
            Tree { directory: tempfile::tempdir().unwrap(), namespace: self.namespace.clone() };
        let copied = Command::new("cp")
            .args(["-a", "--"])
            .arg(self.root().join("docker"))
            .arg(self.root().join("layers.toml"))
            .arg(tree.root())
            .status();
        assert!(copied.unwrap().success());
        tree
    }

    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the reference of an image in other Dockerfiles.
    pub fn reference(&self, image: &str) -> String {
        format!("{}/shop-{image}:latest", self.namespace)
    }

    pub fn repository(&self, image: &str) -> String {
        format!("{}/shop-{image}", self.namespace)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Changes the generation of all images.
    pub fn set_generation(&self, generation: usize) {
        for entry in fs::read_dir(self.root().join("docker")).unwrap() {
            let path = entry.unwrap().path().join("Dockerfile");
            let text = fs::read_to_string(&path).unwrap();
            let (before, _) = text.split_once("LABEL generation=").unwrap();
            fs::write(&path, format!("{before}LABEL generation={generation}\n")).unwrap();
        }
    }

    pub fn images(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root().join("docker")).unwrap();
        let mut names: Vec<String> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The output and the exit code of a run.
pub struct RunOutput {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl RunOutput {
    /// Returns the line with the counts.
    #[track_caller]
    pub fn counts(&self) -> &str {
        let is_counts = |line: &&str| line.contains(" built") && line.contains(" of ");
        let line = self.err.lines().rfind(is_counts).unwrap_or_default();
        line.rsplit_once(" in ").map_or(line, |(counts, _)| counts)
    }

    /// Returns the images that were built, from plain output.
    pub fn built(&self) -> BTreeSet<String> {
        let lines = self.err.lines().filter_map(|line| line.split_once("] "));
        let facts = lines.filter_map(|(_, fact)| fact.split_once(": "));
        let built = facts.filter(|(_, what)| what.starts_with("built in"));
        built.map(|(image, _)| image.to_owned()).collect()
    }

    #[track_caller]
    pub fn well(self) -> RunOutput {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self
    }
}

/// A machine: an engine with its own store.
pub struct Machine {
    pub daemon: Daemon,
    /// Its environment variables.
    pub variables: BTreeMap<&'static str, OsString>,
}

impl Machine {
    pub fn start_or_skip() -> Option<Machine> {
        let daemon = Daemon::start_or_skip(None)?;
        Some(Machine { daemon, variables: BTreeMap::new() })
    }

    /// Returns a command that runs the program in a checkout.
    pub fn command(&self, tree: &Tree, registry: &str, words: &str) -> Command {
        let mut command = program::layers();
        command.args(words.split(' ')).arg("-C").arg(tree.root());
        command.env("LAYERS_REGISTRY", registry).env("DOCKER_HOST", self.daemon.address());
        command.env("DOCKER_CONFIG", tree.root().join("no-docker-config"));
        command.env("XDG_STATE_HOME", tree.root().join(STATE_HOME));
        command.envs(&self.variables);
        command
    }

    pub fn layers(&self, tree: &Tree, registry: &str, words: &str) -> RunOutput {
        let output = self.command(tree, registry, words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        RunOutput {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    pub fn build(&self, tree: &Tree, registry: &str, words: &str) -> RunOutput {
        self.layers(tree, registry, &format!("build --progress plain {words}"))
    }

    /// Returns the output of a docker command.
    pub fn docker(&self, words: &[&str]) -> String {
        output_of(program::docker(&["--host", &self.daemon.address()]).args(words))
    }

    /// Whether its engine's own frontend supports named contexts. Docker 23 is the first version that does.
    pub fn knows_contexts(&self) -> bool {
        let version = self.docker(&["version", "--format", "{{.Server.Version}}"]);
        version.split('.').next().unwrap().parse::<u32>().unwrap() >= 23
    }

    /// Returns the layers of an image in the store.
    pub fn layers_of(&self, reference: &str) -> Vec<String> {
        let printed =
            self.docker(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", reference]);
        serde_json::from_str(&printed).unwrap()
    }
}

/// Returns the image with a tag in a registry without login.
pub fn held(registry: &str, repository: &str, tag: &str) -> Option<RemoteImage> {
    let (registry, repository) = (registry.to_owned(), repository.to_owned());
    let at = Remote { registry, repository, version: tag.to_owned() };
    Registries::new(RegistrySettings::default())
        .image(&at, &"linux/amd64".parse().unwrap())
        .unwrap()
}

/// Returns the generation to which the tags of all images point, or `None` if there are no tags.
#[track_caller]
pub fn generation(registry: &str, tree: &Tree) -> Option<String> {
    let of = |image: &String| {
        let found = held(registry, &tree.repository(image), "latest");
        found.map(|it| it.config["Labels"]["generation"].as_str().unwrap().to_owned())
    };
    let all: BTreeMap<String, Option<String>> =
        tree.images().into_iter().map(|image| (image.clone(), of(&image))).collect();
    let distinct: BTreeSet<&Option<String>> = all.values().collect();
    assert_eq!(distinct.len(), 1, "tags of more than one generation: {all:?}");
    all.into_values().next().unwrap()
}

/// Waits until no process is moving tags for a checkout.
pub fn wait_for_release(tree: &Tree) {
    while releasing(tree).is_some() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// Kills the process that is moving tags for a checkout.
pub fn kill_release(tree: &Tree) {
    let process = releasing(tree).unwrap();
    let killed = Command::new("kill").args(["-KILL", &process]).status();
    assert!(killed.unwrap().success());
    wait_for_release(tree);
}

/// Returns the process that is moving tags for a checkout. A dead one has no command line.
fn releasing(tree: &Tree) -> Option<String> {
    let directory = tree.root();
    let moves_here = |path: &PathBuf| {
        let printed = fs::read(path.join("cmdline")).unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        printed.contains("\0__move-tags\0") && printed.contains(&*directory.to_string_lossy())
    };
    let mut processes = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path());
    let found = processes.find(moves_here)?;
    Some(found.file_name().unwrap().to_string_lossy().into_owned())
}
