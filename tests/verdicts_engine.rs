//! Verdicts compared with the real engine, in random repositories with random edits.
//!
//! The worst possible fault of the program is a wrong `fresh`: an image is not built although the engine
//! would have run a step again or produced a different image. So after each edit, the program builds, and
//! then the test builds every image itself, from the same files on the disk. If a step runs, or the result
//! differs from the image that has the name, the verdict was wrong. Conversely, edits that do not change
//! images must not cause any builds.
//!
//! The test has been shown to fail: with the modes of files left out of the key, it took 29 edits with seed 1
//! and 16 with seed 2.
//!
//! `LAYERS_EDITS` sets the number of edits (20), `LAYERS_SEED` repeats a run. Needs an engine and Debian's
//! busybox-static. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::process::{Command, Output};

use layers::engine::{Builder, ImageStore};
use layers::engine::{LabelFilter, docker::Docker};
use layers::inputs::Identity;

mod common;
#[path = "verdicts_engine/content.rs"]
mod content;
#[path = "verdicts_engine/dockerfile.rs"]
mod dockerfile;
#[path = "verdicts_engine/edits.rs"]
mod edits;
#[path = "verdicts_engine/file_edits.rs"]
mod file_edits;
#[path = "verdicts_engine/oracle.rs"]
mod oracle;
#[path = "verdicts_engine/tree.rs"]
mod tree;
#[path = "verdicts_engine/world.rs"]
mod world;

use common::dice::Dice;
use common::program;
use edits::Effect;
use world::World;

/// The number of edits in one repository before another one is created.
const EDITS_PER_WORLD: usize = 40;

/// The number of edits between two concurrent runs with moving externals.
const TURMOIL_EVERY: usize = 8;

/// The number of edits between forced builds by the program.
const FORCE_EVERY: usize = 10;

/// Runs the docker command. Returns whether it succeeded.
fn docker(arguments: &[&str]) -> bool {
    docker_output(arguments).status.success()
}

fn docker_output(arguments: &[&str]) -> Output {
    program::docker(arguments).output().expect("docker can be run")
}

/// Removes the images of the test, including those without a name, when it is dropped.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        let filter = format!("label={}={}", common::TEST_LABEL, self.0);
        let listed =
            docker_output(&["image", "ls", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        // An image can have several names. No other test uses them because the label is specific to this
        // test.
        let ids: BTreeSet<&str> = listed.split_whitespace().collect();
        if !ids.is_empty() {
            docker(&[&["image", "rm", "--force"], &*ids.into_iter().collect::<Vec<_>>()].concat());
        }
    }
}

/// The output of a run of the program.
struct Ran {
    printed: String,
    success: bool,
    /// The images that were built, with the number of their steps that ran.
    built: BTreeMap<String, u32>,
}

fn run(world: &World, more: &[&str]) -> Ran {
    run_at(&world.root, world, more)
}

fn run_at(root: &std::path::Path, world: &World, more: &[&str]) -> Ran {
    let mut command = program::layers();
    command.args(["build", "--all", "--progress", "plain", "-j4"]).args(more);
    for (name, value) in &world.model.args {
        command.arg("--build-arg").arg(format!("{name}={value}"));
    }
    let output = command.current_dir(root).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    let line =
        regex::Regex::new(r"(?m)^\[[^\]]*\] (\w+): built in \S+ \((\d+) steps?, (\d+) cached\)")
            .unwrap();
    let number = |text: &str| text.parse::<u32>().unwrap();
    let built = line.captures_iter(&printed);
    let built = built.map(|it| (it[1].to_owned(), number(&it[2]) - number(&it[3]))).collect();
    Ran { printed, success: output.status.success(), built }
}

/// The counts of a whole test.
#[derive(Debug, Default)]
struct Counts {
    edits: usize,
    undone: usize,
    /// Images that were compared after they had not been built.
    left: usize,
    /// Images that were compared after they had been built.
    built: usize,
    /// The number of images that were built without a change except for the key, by edit.
    needless: BTreeMap<String, usize>,
}

struct Test {
    docker: Docker,
    seed: u64,
    counts: Counts,
    history: Vec<String>,
    /// The facts about each image when it was last compared.
    judged: BTreeMap<usize, String>,
    /// The identity of each image at that time.
    identities: BTreeMap<usize, Identity>,
}

impl Test {
    fn fail(&self, world: &World, what: &str) -> ! {
        let history = self.history.join("\n  ");
        let tree = tree::describe(&world.root);
        panic!(
            "{what}\n\nLAYERS_SEED={} repeats it. The edits in this repository:\n  {history}\n\n\
             The repository:\n{tree}\narguments: {:?}",
            self.seed, world.model.args
        );
    }

    /// Builds everything that is stale, and compares all images. Returns `None` if the repository cannot be
    /// built.
    fn build(&mut self, world: &World, effect: Effect) -> Option<()> {
        let ran = run(world, &[]);
        if !ran.success {
            if effect == Effect::Nothing {
                self.fail(world, &format!("can't be built:\n{}", ran.printed));
            }
            return None;
        }
        if effect == Effect::Nothing && !ran.built.is_empty() {
            self.fail(world, &format!("built without need:\n{}", ran.printed));
        }
        let ids = self.ids(world);
        self.judge(world, &ran, &ids);
        Some(())
    }

    /// Returns the IDs of the images' names.
    fn ids(&self, world: &World) -> Vec<Option<String>> {
        let listed = self.docker.list(LabelFilter::named(common::TEST_LABEL)).unwrap();
        let images = 0..world.model.images.len();
        let id_of = |image: usize| {
            let reference = world.reference(image);
            listed.iter().find(|it| it.references.contains(&reference)).map(|it| it.id.clone())
        };
        images.map(id_of).collect()
    }

    /// Compares every image that has changed, or whose facts have changed, since it was last compared.
    fn judge(&mut self, world: &World, ran: &Ran, ids: &[Option<String>]) {
        let mut images = Vec::new();
        for image in 0..ids.len() {
            let facts = oracle::facts(world, image, ids);
            if self.judged.get(&image) != Some(&facts) {
                self.judged.insert(image, facts);
                images.push(image);
            }
        }
        let (some, others) = images.split_at(images.len() / 2);
        let docker = &self.docker;
        let compare = |some: &[usize]| -> Vec<(usize, Result<Identity, String>)> {
            some.iter().map(|image| (*image, oracle::compare(docker, world, *image))).collect()
        };
        let results = std::thread::scope(|scope| {
            let first = scope.spawn(|| compare(some));
            let second = compare(others);
            [first.join().unwrap(), second].concat()
        });
        for (image, result) in results {
            let name = dockerfile::NAMES[image];
            let was_built = ran.built.contains_key(name);
            *if was_built { &mut self.counts.built } else { &mut self.counts.left } += 1;
            match result {
                Ok(identity) => {
                    let before = self.identities.insert(image, identity.clone());
                    if was_built && before == Some(identity) {
                        *self.counts.needless.entry(self.last_edit()).or_default() += 1;
                    }
                }
                Err(difference) => {
                    let what = if was_built { "built wrongly" } else { "wrong `fresh`" };
                    self.fail(world, &format!("{what}: {name}: {difference}\n\n{}", ran.printed));
                }
            }
        }
    }

    /// Returns the first words of the last edit, without the image and its files.
    fn last_edit(&self) -> String {
        let edit = self.history.last().map_or("", String::as_str);
        let words = edit.split_whitespace().skip(1).take_while(|word| !word.contains('/'));
        words.take(3).collect::<Vec<_>>().join(" ")
    }

    /// Forces the program to build everything again. All steps must come from the engine's cache, unless the
    /// cache misses steps (see `oracle::compare`).
    fn force(&self, world: &World) {
        let ran = run(world, &["--force"]);
        let all_cached = ran.built.values().all(|steps| *steps == 0)
            || self.docker.features().unwrap().attestations;
        if !ran.success || !all_cached || ran.built.len() != world.model.images.len() {
            self.fail(world, &format!("not all from the cache:\n{}", ran.printed));
        }
    }

    /// Builds two checkouts at the same time while the name of an external moves. The result is compared like
    /// any other after everything has ended.
    fn turmoil(&mut self, world: &World) {
        self.history.push("  built by two runs at once, while externals move".to_owned());
        let other = tempfile::tempdir().unwrap();
        let root = other.path().join("shop");
        let copied = Command::new("cp").arg("-a").arg(&world.root).arg(&root).status().unwrap();
        assert!(copied.success());
        drop(std::fs::remove_dir_all(root.join(".layers")));
        std::thread::scope(|scope| {
            let second = scope.spawn(|| run_at(&root, world, &[]));
            let first = scope.spawn(|| run(world, &[]));
            let mut to = 0;
            while !(first.is_finished() && second.is_finished()) {
                to = (to + 1) % dockerfile::EXTERNALS;
                world.point(0, to);
            }
            // Each run can have lost its parent to the other one or to the moves, and reports that.
            for ran in [first.join().unwrap(), second.join().unwrap()] {
                let is_known = ["was moved to another", "was removed while", "may run"];
                if !ran.success && !is_known.iter().any(|it| ran.printed.contains(it)) {
                    self.history.push(format!("  which printed:\n{}", ran.printed));
                }
            }
        });
        world.point(0, world.model.pointers[0]);
    }

    /// Runs some edits in one repository.
    fn run_world(&mut self, dice: &mut Dice, namespace: &str, edits: usize) {
        self.history.clear();
        self.judged.clear();
        self.identities.clear();
        let mut world = World::random(dice, namespace);
        // If the repository cannot be built at first, lines are removed until it can.
        while self.build(&world, Effect::Any).is_none() {
            let with_lines =
                |image: &world::Image| image.file.stages.iter().any(|it| !it.lines.is_empty());
            if world.drop_a_trigger() {
                continue;
            }
            let Some(image) = world.model.images.iter_mut().find(|image| with_lines(image)) else {
                self.fail(&world, &format!("nothing can be built:\n{}", run(&world, &[]).printed));
            };
            let stage = image.file.stages.iter_mut().find(|it| !it.lines.is_empty()).unwrap();
            stage.lines.pop();
            world.write();
        }
        world.remember();
        for number in 0..edits {
            let before = world.state();
            let done = edits::edit(&mut world, dice);
            self.history.push(done.what);
            self.counts.edits += 1;
            if number % TURMOIL_EVERY == TURMOIL_EVERY - 1 {
                self.turmoil(&world);
            }
            if self.build(&world, done.effect).is_none() {
                self.counts.undone += 1;
                self.history.push("  which can't be built, and is undone".to_owned());
                world.restore(&before);
                if self.build(&world, Effect::Any).is_none() {
                    self.fail(
                        &world,
                        &format!("what could be built can't: {}", run(&world, &[]).printed),
                    );
                }
            } else if dice.one_in(4) {
                world.remember();
            }
            if number % FORCE_EVERY == 0 {
                self.force(&world);
            }
        }
    }
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("it is a number"))
}

#[test]
fn images_that_the_engine_would_rebuild_are_never_fresh() {
    let Some(docker) = common::engine_or_skip() else { return };
    let seed = number_from("LAYERS_SEED").unwrap_or_else(Dice::fresh_seed);
    let edits = number_from("LAYERS_EDITS").map_or(20, |edits| usize::try_from(edits).unwrap());
    println!("LAYERS_SEED={seed} LAYERS_EDITS={edits}");
    let random = RandomState::new().hash_one(std::process::id());
    let namespace = Namespace(format!("layersverdicts{random:016x}"));
    let mut test = Test {
        docker,
        seed,
        counts: Counts::default(),
        history: Vec::new(),
        judged: BTreeMap::new(),
        identities: BTreeMap::new(),
    };
    let mut dice = Dice::new(seed);
    while test.counts.edits < edits {
        let some = EDITS_PER_WORLD.min(edits - test.counts.edits);
        test.run_world(&mut dice, &namespace.0, some);
    }
    println!("{:#?}", test.counts);
}

#[test]
fn image_comparison_ignores_only_timestamps() {
    let Some(docker) = common::engine_or_skip() else { return };
    let name = common::Name::new();
    let built = |index: usize, command: &str| {
        let text = format!("FROM scratch\nCOPY . /\nRUN {command}\n");
        let mut request = common::request(&name, &text, common::Files::with_busybox());
        request.references = vec![name.reference(&format!(":{index}"))];
        common::build(&docker, &request);
        docker.inspect(&request.references[0]).unwrap().unwrap()
    };
    let first = built(0, "echo a > /f");
    // Layers have times in seconds, and nothing comes from the cache.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = built(1, "echo a > /f");
    assert_ne!(first.diff_ids, again.diff_ids);
    assert_eq!(content::differ(&first, &again), Vec::<String>::new());
    for (index, command, files) in [
        (2, "echo b > /f", vec!["file f"]),
        (3, "echo a > /f && chmod 600 /f", vec!["file f"]),
        (4, "echo a > /f && chown 1 /f", vec!["file f"]),
        (5, "echo a > /f && ln -s f /g", vec!["file g"]),
        (6, "echo a > /f && true", vec![]),
    ] {
        let differences = content::differ(&first, &built(index, command));
        assert!(differences[0].starts_with("commands "), "{differences:?}");
        assert_eq!(differences[1..], files, "{command}");
    }
}
