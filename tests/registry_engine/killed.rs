//! However a run is killed, the tags in the registry point to images of one generation.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::dice::Dice;
use crate::common::faults::{Fault, Faults};
use crate::common::registry::Registry;
use crate::world::{Machine, STATE_HOME, Tree, generation, kill_release, wait_for_release};

const ROUNDS: usize = 20;

#[test]
fn tags_stay_consistent_whenever_a_run_is_killed() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    // Moving a tag takes long, so that many runs are killed meanwhile.
    let before = Faults::before(registry.address(), |request| {
        match request.method == "PUT" && request.path.ends_with("/manifests/latest") {
            true => Fault::Late(Duration::from_millis(150 + 70 * (request.path.len() as u64 % 3))),
            false => Fault::Pass,
        }
    });
    let address = before.address().to_owned();
    let tree = Tree::new(&[
        ("base", "", &[]),
        ("dev", "base", &[]),
        ("release", "base", &["dev"]),
        ("agent", "", &[]),
    ]);
    let since = Instant::now();
    machine.build(&tree, &address, "--all --push").well();
    let whole = since.elapsed();
    let seed = Dice::fresh_seed();
    eprintln!("seed {seed}");
    let mut dice = Dice::new(seed);
    let (mut new, mut old) = (0, 0);
    let mut last = 0;
    for round in 1..=ROUNDS {
        tree.set_generation(round);
        let mut command = machine.command(&tree, &address, "build --all --push --progress quiet");
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let part = u32::try_from(dice.below(1100)).unwrap();
        thread::sleep(whole * part / 1000);
        // `kill` sends SIGKILL at any moment.
        drop(run.kill());
        run.wait().unwrap();
        wait_for_release(&tree);
        let found: usize = generation(&address, &tree).unwrap().parse().unwrap();
        // A run that is killed between the record of its moves and their start has moved nothing. The next run completes
        // the moves, and may be killed before its own. So all tags can be of any run since, but never go back.
        assert!((last..=round).contains(&found), "{found} in round {round} after {last}");
        if found == round {
            new += 1;
        } else {
            old += 1;
        }
        last = found;
    }
    eprintln!("{new} runs had moved all tags when they were killed, {old} had not");
    // The remains do not block the next run.
    tree.set_generation(ROUNDS + 1);
    machine.build(&tree, &address, "--all --push").well();
    assert_eq!(generation(&address, &tree).unwrap(), (ROUNDS + 1).to_string());
}

/// A terminal or a pipeline kills a whole process group.
#[test]
fn remaining_tags_are_moved_if_the_process_group_is_killed() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("alone", "", &[])]);
    let slow = format!("/v2/{}/manifests/latest", tree.repository("dev"));
    let of_dev = slow.clone();
    let before = Faults::before(registry.address(), move |request| {
        match request.method == "PUT" && request.path == slow {
            true => Fault::Late(Duration::from_millis(1500)),
            false => Fault::Pass,
        }
    });
    let address = before.address().to_owned();
    machine.build(&tree, &address, "--all --push").well();
    tree.set_generation(1);
    before.forget();
    let mut command = machine.command(&tree, &address, "build --all --push --progress quiet");
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
    let mut run = command.spawn().unwrap();
    while !before.seen().contains(&format!("PUT {of_dev}")) {
        thread::sleep(Duration::from_millis(10));
    }
    let group = format!("-{}", run.id());
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().unwrap().success());
    run.wait().unwrap();
    wait_for_release(&tree);
    assert_eq!(generation(&address, &tree).as_deref(), Some("1"));
}

/// The whole machine dies while tags are moved.
#[test]
fn the_next_publish_completes_one_interrupted_by_a_machine_crash() {
    check_half_done(true, ".layers/releases");
}

/// The process that moves tags dies alone, as one that runs out of memory does.
#[test]
fn the_next_publish_completes_one_whose_process_was_killed() {
    check_half_done(false, ".layers/releases");
}

/// The checkout cannot be written to.
#[test]
fn interrupted_moves_are_completed_without_a_writable_checkout() {
    check_half_done(true, STATE_HOME);
}

/// Kills the process that moves tags, and the run before it if the machine dies, while tags are moved. The next release
/// from there completes the moves. `records` is where the moves are recorded.
#[track_caller]
fn check_half_done(machine_dies: bool, records: &str) {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[]), ("alone", "", &[])]);
    if records == STATE_HOME {
        std::fs::write(tree.root().join(".layers"), "in the way").unwrap();
    }
    let before = Faults::before(registry.address(), {
        let slow = format!("/v2/{}/manifests/latest", tree.repository("dev"));
        move |request| match request.method == "PUT" && request.path == slow && request.count == 2 {
            true => Fault::Late(Duration::from_secs(3600)),
            false => Fault::Pass,
        }
    });
    let address = before.address().to_owned();
    machine.build(&tree, &address, "--all --push").well();
    tree.set_generation(1);
    let mut command = machine.command(&tree, &address, "build --all --push --progress quiet");
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let slow = format!("PUT /v2/{}/manifests/latest", tree.repository("dev"));
    while before.seen().iter().filter(|request| **request == slow).count() < 2 {
        thread::sleep(Duration::from_millis(10));
    }
    if machine_dies {
        drop(run.kill());
        run.wait().unwrap();
    }
    kill_release(&tree);
    assert!(machine_dies || !run.wait().unwrap().success());
    // This run does not include `dev`, whose tag was left behind.
    let printed = machine.build(&tree, &address, "alone --push").well();
    assert_eq!(generation(&address, &tree).as_deref(), Some("1"), "{}", printed.err);
    assert_eq!(files_below(&tree.root().join(records)), Vec::<PathBuf>::new());
}

/// Returns the files below a directory, except for locks.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(files_below(&path)),
            path if path.ends_with("lock") => {}
            path => files.push(path),
        }
    }
    files
}
