//! A random repository: its images, its settings, and how they are written to the disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use layers::engine::Sandbox;
use tempfile::TempDir;

use crate::common::dice::Dice;
use crate::dockerfile::{EXTERNALS, File, NAMES, external, random_external};
use crate::tree::{self, SavedEntry};
use crate::{docker, oracle};

/// The description of an image.
#[derive(Debug, Clone)]
pub struct Image {
    pub file: File,
    /// Whether the context is the whole repository.
    pub wide: bool,
    /// The stage in `layers.toml`.
    pub target: Option<String>,
    /// Its build arguments in `layers.toml`.
    pub args: BTreeMap<String, String>,
    /// Its labels in `layers.toml`.
    pub labels: BTreeMap<String, String>,
    /// What its `RUN` instructions run in, in `layers.toml`.
    pub sandbox: Sandbox,
}

/// Everything that an edit can change, except files.
#[derive(Debug, Clone)]
pub struct Model {
    pub images: Vec<Image>,
    /// The arguments of `--build-arg`.
    pub args: BTreeMap<String, String>,
    /// The lines of the external images.
    pub externals: Vec<Vec<String>>,
    /// The external image that each name points to.
    pub pointers: [usize; EXTERNALS],
}

/// A state of the repository that can be restored.
#[derive(Debug, Clone)]
pub struct State {
    pub model: Model,
    pub files: Vec<SavedEntry>,
}

pub struct World {
    _directory: TempDir,
    pub root: PathBuf,
    pub namespace: String,
    pub model: Model,
    /// Earlier states that could be built.
    pub past: Vec<State>,
}

impl World {
    /// Creates a repository of three to seven images.
    pub fn random(dice: &mut Dice, namespace: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("shop");
        let count = 3 + dice.below(NAMES.len() - 2);
        let mut images = Vec::new();
        for (image, name) in NAMES.iter().enumerate().take(count) {
            let own = root.join("docker").join(name);
            if dice.one_in(4) {
                // A directory behind a link.
                let real = root.join("real").join(name);
                fs::create_dir_all(&real).unwrap();
                fs::create_dir_all(root.join("docker")).unwrap();
                symlink(format!("../real/{name}"), &own).unwrap();
            }
            fs::create_dir_all(&own).unwrap();
            tree::lay_out(&own, dice, image == 0);
            let file = File::random(dice, image, namespace);
            let wide = dice.one_in(5);
            let (args, labels) = (BTreeMap::new(), BTreeMap::new());
            let sandbox = Sandbox::default();
            images.push(Image { file, wide, target: None, args, labels, sandbox });
        }
        let is_modern = oracle::is_modern();
        let externals =
            (0..EXTERNALS).map(|_| random_external(dice, namespace, is_modern)).collect();
        let pointers = std::array::from_fn(|number| number);
        let model = Model { images, args: BTreeMap::new(), externals, pointers };
        let namespace = namespace.to_owned();
        let world = World { _directory: directory, root, namespace, model, past: Vec::new() };
        world.write();
        world.write_externals();
        world
    }

    /// Builds the external images and points their names to them.
    pub fn write_externals(&self) {
        for (number, lines) in self.model.externals.iter().enumerate() {
            let text = format!("FROM scratch\nCOPY bin /bin\n{}\n", lines.join("\n"));
            assert!(oracle::build_by_hand(&text, &self.hidden(number), &[]), "{text}");
        }
        for (name, to) in self.model.pointers.iter().enumerate() {
            self.point(name, *to);
        }
    }

    /// Removes the last trigger from the external images because triggers can need missing files. Returns
    /// whether there was one.
    pub fn drop_a_trigger(&mut self) -> bool {
        let is_trigger = |line: &String| line.starts_with("ONBUILD");
        for lines in &mut self.model.externals {
            if let Some(at) = lines.iter().rposition(is_trigger) {
                lines.remove(at);
                self.write_externals();
                return true;
            }
        }
        false
    }

    /// Points the name of an external to one of the images.
    pub fn point(&self, name: usize, to: usize) {
        assert!(docker(&["tag", &self.hidden(to), &external(&self.namespace, name)]));
    }

    /// Returns a name of an external that no Dockerfile contains.
    fn hidden(&self, number: usize) -> String {
        format!("{}/hidden:{number}", self.namespace)
    }

    /// Returns the reference of an image.
    pub fn reference(&self, image: usize) -> String {
        format!("{}/shop-{}:latest", self.namespace, NAMES[image])
    }

    /// Returns the directory of an image's Dockerfile.
    pub fn own(&self, image: usize) -> PathBuf {
        self.root.join("docker").join(NAMES[image])
    }

    /// Returns the directory of its context.
    pub fn context(&self, image: usize) -> PathBuf {
        if self.model.images[image].wide { self.root.clone() } else { self.own(image) }
    }

    /// Returns the text of its Dockerfile.
    pub fn text(&self, image: usize) -> String {
        let described = &self.model.images[image];
        let prefix =
            if described.wide { format!("docker/{}/", NAMES[image]) } else { String::new() };
        described.file.render(image, &prefix, &self.namespace)
    }

    /// Writes the Dockerfiles and `layers.toml` that differ.
    pub fn write(&self) {
        for image in 0..self.model.images.len() {
            write_new(&self.own(image).join("Dockerfile"), &self.text(image));
        }
        let mut toml = format!("namespace = \"{}\"\napp = \"shop\"\n", self.namespace);
        for (image, described) in self.model.images.iter().enumerate() {
            toml.push_str(&format!("[image.{}]\n", NAMES[image]));
            if described.wide {
                toml.push_str("context = \".\"\n");
            }
            if let Some(target) = &described.target {
                toml.push_str(&format!("target = \"{target}\"\n"));
            }
            for (name, value) in &described.args {
                toml.push_str(&format!("args.{name} = \"{value}\"\n"));
            }
            for (name, value) in &described.labels {
                toml.push_str(&format!("labels.{name} = \"{value}\"\n"));
            }
            let sandbox = &described.sandbox;
            if let Some(mode) = sandbox.network {
                toml.push_str(&format!("network = \"{mode}\"\n"));
            }
            if let Some(size) = sandbox.shm_size {
                toml.push_str(&format!("shm-size = \"{size}\"\n"));
            }
            let ulimits: Vec<String> = sandbox.ulimit_words().collect();
            toml.push_str(&format!("ulimits = {ulimits:?}\n"));
            let hosts = sandbox.host_addresses().map(|(name, it)| format!("{name}:{it}"));
            toml.push_str(&format!("add-hosts = {:?}\n", hosts.collect::<Vec<_>>()));
        }
        write_new(&self.root.join("layers.toml"), &toml);
    }

    /// Returns the current state.
    pub fn state(&self) -> State {
        State { model: self.model.clone(), files: tree::read(&self.root) }
    }

    /// Restores a state.
    pub fn restore(&mut self, state: &State) {
        tree::put_back(&self.root, &state.files);
        let same = self.model.externals == state.model.externals
            && self.model.pointers == state.model.pointers;
        self.model = state.model.clone();
        self.write();
        if !same {
            self.write_externals();
        }
    }

    /// Returns the build arguments of an image. Those of the command line take precedence.
    pub fn args(&self, image: usize) -> BTreeMap<String, String> {
        let mut args = self.model.images[image].args.clone();
        args.extend(self.model.args.clone());
        args
    }

    /// Whether any instruction can read a whole context. Nothing is then expected about files that no
    /// instruction names, or about Dockerfiles, which can be such files.
    pub fn reads_widely(&self) -> bool {
        let files = self.model.images.iter().map(|image| &image.file);
        let lines = files.flat_map(|file| &file.stages).flat_map(|stage| &stage.lines);
        let mut lines = lines.chain(self.model.externals.iter().flatten());
        lines.any(|line| {
            let reads =
                ["COPY", "ADD", "RUN --mount", "ONBUILD"].iter().any(|it| line.starts_with(it));
            let widely = ["@. ", " . ", "$", "--mount=target", "tmpfs"];
            reads && widely.iter().any(|part| line.contains(part))
        })
    }

    /// Whether any stage has triggers. The names of stages then matter.
    pub fn has_triggers(&self) -> bool {
        let files = self.model.images.iter().map(|image| &image.file);
        let lines = files.flat_map(|file| &file.stages).flat_map(|stage| &stage.lines);
        let mut lines = lines.chain(self.model.externals.iter().flatten());
        lines.any(|line| line.starts_with("ONBUILD"))
    }

    /// Saves a state that could be built, and keeps a few earlier ones.
    pub fn remember(&mut self) {
        let state = self.state();
        if self.past.len() == 6 {
            self.past.remove(0);
        }
        self.past.push(state);
    }
}

fn write_new(path: &std::path::Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}
