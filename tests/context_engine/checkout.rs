//! A checkout with one image, whose context is too large for a build request.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::{Name, TEST_LABEL, program};
use crate::state::FileStates;

/// A repository with the image `app` in a directory of its own.
pub struct Checkout {
    name: Name,
    root: PathBuf,
    known: RefCell<Vec<FileStates>>,
    directory: tempfile::TempDir,
}

impl Checkout {
    /// Creates a checkout. The image is built from scratch by some instructions.
    pub fn new(instructions: &str) -> Checkout {
        let (name, directory) = (Name::new(), tempfile::tempdir().unwrap());
        let root = directory.path().canonicalize().unwrap().join("checkout");
        let checkout = Checkout { name, root, known: RefCell::default(), directory };
        fs::create_dir_all(checkout.context()).unwrap();
        let config = format!("namespace = \"{}\"\napp = \"x\"\n", checkout.name.label());
        let image = "[image.app]\ncontext = \"docker/app/context\"\n";
        fs::write(checkout.root.join("layers.toml"), format!("{config}{image}")).unwrap();
        checkout.write_dockerfile(instructions);
        fs::write(checkout.context().join("bulk"), vec![b'x'; 600 << 10]).unwrap();
        checkout
    }

    /// The label of its images, as an instruction.
    pub fn label(&self) -> String {
        format!("LABEL {TEST_LABEL}={}\n", self.name.label())
    }

    pub fn write_dockerfile(&self, instructions: &str) {
        let text = format!("FROM scratch\n{}{instructions}\n", self.label());
        fs::write(self.root.join("docker/app/Dockerfile"), text).unwrap();
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory that is not in any context.
    pub fn elsewhere(&self) -> &Path {
        self.directory.path()
    }

    pub fn context(&self) -> PathBuf {
        self.root.join("docker/app/context")
    }

    fn command(&self, words: &str) -> Command {
        let mut command = program::layers();
        command.args(words.split_whitespace()).args(["--progress", "plain", "-C"]).arg(&self.root);
        command
    }

    /// Runs the program, which must succeed.
    #[track_caller]
    pub fn layers(&self, words: &str) {
        program::output_of(&mut self.command(words));
    }

    /// Starts the program.
    pub fn start(&self, words: &str) -> Child {
        self.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Builds the image with docker, without a cache. Returns its ID, or the message.
    pub fn docker_build(&self) -> Result<String, String> {
        let tag = self.name.reference("/by-hand");
        let mut command = program::docker(&["buildx", "build", "--no-cache", "--load", "-q", "-t"]);
        command.arg(&tag).arg("-f").arg(self.root.join("docker/app/Dockerfile"));
        let output = command.arg(self.context()).output().unwrap();
        match output.status.success() {
            true => Ok(tag),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }

    /// Adds an image like `app`, or returns the context of the one that is there.
    pub fn add(&self, image: &str) -> PathBuf {
        let context = self.root.join(format!("docker/{image}/context"));
        if !context.exists() {
            fs::create_dir_all(&context).unwrap();
            let place = context.parent().unwrap().join("Dockerfile");
            fs::copy(self.root.join("docker/app/Dockerfile"), place).unwrap();
            let path = self.root.join("layers.toml");
            let config = format!("[image.{image}]\ncontext = \"docker/{image}/context\"\n");
            fs::write(&path, fs::read_to_string(&path).unwrap() + &config).unwrap();
        }
        context
    }

    /// The reference of the image.
    pub fn image(&self) -> String {
        self.reference("app")
    }

    /// The reference of any image.
    pub fn reference(&self, image: &str) -> String {
        self.name.reference(&format!("/x-{image}:latest"))
    }

    /// The IDs of all images that were built here.
    pub fn images(&self) -> Vec<String> {
        let filter = format!("label={TEST_LABEL}={}", self.name.label());
        let listed = program::docker(&["image", "ls", "-aq", "--no-trunc", "--filter", &filter]);
        let listed = program::output_of(&mut { listed });
        let mut ids: Vec<String> = listed.lines().map(str::to_owned).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Checks the files of the image.
    #[track_caller]
    pub fn check_image(&self, expected: &FileStates, history: &str) {
        let built = FileStates::of_image(&self.image()).without_times();
        assert!(built == *expected, "{history}\n{}", built.differences(expected));
        self.note(built);
    }

    /// Remembers a state of the files in which there was an image.
    pub fn note(&self, state: FileStates) {
        self.known.borrow_mut().push(state);
    }

    /// Returns whether the files were in a state when an image was built.
    pub fn is_known(&self, state: &FileStates) -> bool {
        self.known.borrow().contains(state)
    }
}
