//! Named contexts that are directories, on a real engine: images have the files on the disk, whether these are part of
//! the build request or synchronized, and an older engine fails with an error instead of building something else.
//!
//! `LAYERS_EDITS` sets the number of random edits (20), `LAYERS_SEED` repeats a run. Needs an engine and Debian's
//! busybox-static. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

#[path = "context_engine/checkout.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod checkout;
mod common;
#[path = "context_engine/edits.rs"]
mod edits;
#[path = "context_engine/state.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod state;

use checkout::Checkout;
use common::dice::Dice;
use common::{Files, engine_or_skip, program, takes_named_contexts};
use edits::Edits;
use state::FileStates;

/// A size that is too large for a build request.
const LARGE: usize = 600 << 10;

/// Returns whether there is an engine whose own frontend supports named contexts.
fn is_possible() -> bool {
    let Some(engine) = engine_or_skip() else { return false };
    let is_possible = takes_named_contexts(&engine);
    if !is_possible {
        eprintln!("skipped: the engine has no named contexts");
    }
    is_possible
}

/// Creates a checkout whose image `app` has named contexts.
fn checkout(instructions: &str, contexts: &str) -> Checkout {
    let checkout = Checkout::new(instructions);
    let path = checkout.root().join("layers.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}[image.app.contexts]\n{contexts}")).unwrap();
    checkout
}

/// Runs the program in a checkout, and returns its output.
fn output(checkout: &Checkout, words: &str) -> String {
    let mut command = program::layers();
    command.args(words.split_whitespace()).arg("-C").arg(checkout.root());
    program::output_of(&mut command)
}

/// Writes a file of a checkout.
fn write(checkout: &Checkout, path: &str, content: &str) {
    let path = checkout.root().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Returns the file `/c/…` of the image.
fn built(checkout: &Checkout, path: &str) -> String {
    FileStates::of_image(&checkout.image()).content(path)
}

#[test]
fn images_have_the_files_of_a_named_directory_after_any_edits() {
    if !is_possible() {
        return;
    }
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = number("LAYERS_SEED").unwrap_or_else(Dice::fresh_seed);
    let count = number("LAYERS_EDITS").unwrap_or(20);
    eprintln!("LAYERS_SEED={seed} LAYERS_EDITS={count}");
    let mut dice = Dice::new(seed);
    let contexts = "files = 'docker/app/context'\n";
    let large = checkout("COPY --from=files . /c/", contexts);
    let small = checkout("COPY --from=files . /c/", contexts);
    fs::remove_file(small.context().join("bulk")).unwrap();
    let checkouts = [large, small];
    let mut edits = [Edits::new(&checkouts[0]), Edits::new(&checkouts[1])];
    for _ in 0..count {
        let number = if dice.below(2) == 0 { 0 } else { 1 };
        for _ in 0..=dice.below(3) {
            edits[number].make(&mut dice);
        }
        checkouts[number].layers("build --all");
        let expected = FileStates::of_disk(&checkouts[number].context());
        checkouts[number].check_image(&expected, edits[number].history());
    }
}

#[test]
fn contexts_of_one_build_are_synchronized_side_by_side() {
    if !is_possible() {
        return;
    }
    // The own context is large too, and `same` is the directory of `one`.
    let instructions = "COPY --from=one f bulk /c/one/\nCOPY --from=two f bulk /c/two/\n\
                        COPY --from=same f /c/same/\nCOPY --from=little f /c/little/\n\
                        COPY bulk f /c/own/";
    let contexts = "one = 'one'\ntwo = 'two'\nsame = './one'\nlittle = 'little'\n";
    let checkout = checkout(instructions, contexts);
    for (directory, letter) in [("one", "1"), ("two", "2")] {
        write(&checkout, &format!("{directory}/bulk"), &letter.repeat(LARGE));
        write(&checkout, &format!("{directory}/f"), directory);
        write(&checkout, &format!("{directory}/.dockerignore"), "ignored\n");
        write(&checkout, &format!("{directory}/ignored"), "x");
    }
    write(&checkout, "little/f", "little");
    write(&checkout, "docker/app/context/f", "own");
    let check = |expected: [&str; 5]| {
        checkout.layers("build --all");
        let states = FileStates::of_image(&checkout.image());
        let files = ["one/f", "two/f", "same/f", "little/f", "own/f"];
        assert_eq!(files.map(|file| states.content(file)), expected);
        assert_eq!(states.content("one/bulk"), "1".repeat(LARGE));
        assert_eq!(states.content("two/bulk"), "2".repeat(LARGE));
        assert!(output(&checkout, "plan").contains("1 fresh of 1 image"));
    };
    check(["one", "two", "one", "little", "own"]);
    let first = checkout.images();
    write(&checkout, "one/ignored", "y");
    write(&checkout, "little/unread", "y");
    checkout.layers("build --all");
    assert_eq!(checkout.images(), first, "nothing that is read has changed");
    // Equal names and sizes in all of them.
    write(&checkout, "one/f", "two");
    write(&checkout, "two/f", "one");
    write(&checkout, "little/f", "LITTLE");
    check(["two", "one", "two", "LITTLE", "own"]);
    write(&checkout, "docker/app/context/f", "OWN");
    check(["two", "one", "two", "LITTLE", "OWN"]);
}

#[test]
fn images_start_from_directories_and_mount_them() {
    if !is_possible() {
        return;
    }
    let checkout = checkout("", "rootfs = 'rootfs'\nnotes = 'notes'\n'debian:12' = 'rootfs'\n");
    let text = format!(
        "FROM rootfs\n{}RUN --mount=from=notes,source=a/note,target=/note \
         mkdir /c && cat /note > /c/note\nCOPY --from=debian:12 etc/motd /c/motd\n",
        checkout.label()
    );
    write(&checkout, "docker/app/Dockerfile", &text);
    let files = ["cat", "mkdir", "sh"].into_iter().fold(Files::new(), |files, name| {
        files.and_mode(&format!("bin/{name}"), 0o755, common::busybox())
    });
    files.write_below(&checkout.root().join("rootfs"));
    write(&checkout, "rootfs/etc/motd", "hello");
    write(&checkout, "notes/a/note", "one");
    checkout.layers("build --all");
    assert_eq!(
        (built(&checkout, "note"), built(&checkout, "motd")),
        ("one".into(), "hello".into())
    );
    write(&checkout, "notes/a/note", "two");
    write(&checkout, "notes/other", "unread");
    checkout.layers("build --all");
    assert_eq!(built(&checkout, "note"), "two");
    write(&checkout, "rootfs/etc/motd", "HELLO");
    assert!(output(&checkout, "why app").starts_with("rootfs/etc/motd changed\n"));
    // Another directory, from the command line.
    write(&checkout, "other/a/note", "new");
    checkout.layers("build --all --build-context notes=other");
    assert_eq!(
        (built(&checkout, "note"), built(&checkout, "motd")),
        ("new".into(), "HELLO".into())
    );
}

#[test]
fn files_whose_names_are_not_text_are_sent_as_one_file() {
    if !is_possible() {
        return;
    }
    let checkout = checkout("COPY --from=files . /c/", "files = 'files'\n");
    let odd = checkout.root().join("files").join(OsStr::from_bytes(b"odd \xff"));
    fs::create_dir_all(&odd).unwrap();
    fs::write(odd.join("f"), "odd").unwrap();
    write(&checkout, "files/bulk", &"x".repeat(LARGE));
    write(&checkout, "files/dockerfile", "a name of an input");
    let files = checkout.root().join("files");
    checkout.layers("build --all");
    checkout.check_image(&FileStates::of_disk(&files), "packed");
    fs::write(odd.join("f"), "ODD").unwrap();
    checkout.layers("build --all");
    checkout.check_image(&FileStates::of_disk(&files), "packed again");
    fs::remove_dir_all(&odd).unwrap();
    checkout.layers("build --all");
    checkout.check_image(&FileStates::of_disk(&files), "not packed");
}

#[test]
fn names_of_inputs_can_be_names_of_contexts() {
    if !is_possible() {
        return;
    }
    let instructions = "COPY --from=dockerfile f /c/dockerfile\nCOPY f /c/own";
    let checkout = checkout(instructions, "dockerfile = 'files'\nunused = 'files/d'\n");
    write(&checkout, "files/f", "named");
    write(&checkout, "files/d/f", "unused");
    write(&checkout, "docker/app/context/f", "own");
    checkout.layers("build --all");
    assert_eq!(built(&checkout, "dockerfile"), "named");
    assert_eq!(built(&checkout, "own"), "own");
}

#[test]
fn engines_without_named_contexts_fail_with_an_error() {
    let Some(engine) = engine_or_skip() else { return };
    if takes_named_contexts(&engine) {
        return;
    }
    let checkout = checkout("COPY --from=files f /c/", "files = 'files'\n");
    write(&checkout, "files/f", "x");
    let mut command: Command = program::layers();
    let output = command.args(["build", "--all", "-C"]).arg(checkout.root()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{printed}");
    assert!(printed.contains("the engine is too old for named contexts"), "{printed}");
    assert!(printed.contains("hint: use Docker 23 or newer"), "{printed}");
    assert_eq!(checkout.images(), Vec::<String>::new());
}
