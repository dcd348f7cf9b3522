//! Contexts on a real engine: what is sent is what is on the disk, whatever happened to the files, and nothing else is
//! sent. All contexts here are too large to be part of a build request, so the engine synchronizes its copies of them.
//!
//! `LAYERS_EDITS` sets the number of random edits (20), `LAYERS_SEED` repeats a run. Needs an engine and Debian's
//! busybox-static. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

#[path = "context_engine/checkout.rs"]
mod checkout;
mod common;
#[path = "context_engine/edits.rs"]
mod edits;
#[path = "context_engine/state.rs"]
mod state;

use checkout::Checkout;
use common::dice::Dice;
use common::{Files, engine_or_skip, program};
use edits::Edits;
use state::FileStates;

/// Returns a number from the environment.
fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The seed and the number of edits of a test.
fn settings() -> (Dice, usize) {
    let seed = number_from("LAYERS_SEED").unwrap_or_else(Dice::fresh_seed);
    let edits = number_from("LAYERS_EDITS").map_or(20, |edits| usize::try_from(edits).unwrap());
    eprintln!("LAYERS_SEED={seed} LAYERS_EDITS={edits}");
    (Dice::new(seed), edits)
}

#[test]
fn images_have_the_files_on_the_disk_after_any_edits() {
    let Some(_engine) = engine_or_skip() else { return };
    let (mut dice, count) = settings();
    // Contexts of equal names, with equal paths, sizes, and times.
    let checkouts = [Checkout::new("COPY . /c/"), Checkout::new("COPY . /c/")];
    let mut edits = [Edits::new(&checkouts[0]), Edits::new(&checkouts[1])];
    for _ in 0..count {
        let number = dice.below(2);
        let (checkout, edits) = (&checkouts[number], &mut edits[number]);
        for _ in 0..=dice.below(3) {
            edits.make(&mut dice);
        }
        checkout.layers("build --all");
        checkout.check_image(&FileStates::of_disk(&checkout.context()), edits.history());
    }
}

#[test]
fn concurrent_runs_with_an_edit_between_have_the_files_of_one_state() {
    let Some(_engine) = engine_or_skip() else { return };
    let (mut dice, count) = settings();
    let checkout = Checkout::new("COPY . /c/");
    let mut edits = Edits::new(&checkout);
    checkout.layers("build --all");
    for _ in 0..count.div_ceil(4) {
        let before = FileStates::of_disk(&checkout.context());
        let first = checkout.start("build --all");
        std::thread::sleep(Duration::from_millis(dice.number() % 400));
        edits.make(&mut dice);
        let after = FileStates::of_disk(&checkout.context());
        let second = checkout.start("build --all");
        for run in [first, second] {
            let output = run.wait_with_output().unwrap();
            let printed = String::from_utf8_lossy(&output.stderr).into_owned();
            // A file that changes while it is read, and a name that the other run moves, fail a build.
            let is_expected = ["changed", "can't read", "moved", "no longer has"];
            let is_expected = is_expected.iter().any(|text| printed.contains(text));
            assert!(output.status.success() || is_expected, "{printed}");
        }
        for id in checkout.images() {
            let built = FileStates::of_image(&id).without_times();
            let is_one = built == before || built == after || checkout.is_known(&built);
            assert!(is_one, "{}\n{}", edits.history(), built.differences(&after));
        }
        checkout.note(before);
        checkout.layers("build --all");
        checkout.check_image(&after, edits.history());
    }
}

/// Files with names, modes, and types of all kinds.
fn lay_out_odd_files(root: &Path) {
    let write = |path: &[u8], mode: u32| {
        let path = root.join(OsStr::from_bytes(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.as_os_str().as_bytes()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let names: [&[u8]; 9] = [
        b"a b",
        b"two\nlines",
        b"-dash",
        b"back\\slash",
        b"*",
        b"[x]",
        "é 日本".as_bytes(),
        b" ",
        b"a",
    ];
    for name in names {
        write(name, 0o644);
    }
    write(b"d/e/f", 0o600);
    write(b"d.txt", 0o4755);
    write(b"d/setgid", 0o2711);
    write(&b"n".repeat(255), 0o755);
    fs::create_dir_all(root.join("empty/er")).unwrap();
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::hard_link(root.join("a"), root.join("d/linked")).unwrap();
    for (name, target) in [("to-a", "a"), ("dangling", "./no//where/../x"), ("absolute", "/etc")] {
        symlink(target, root.join(name)).unwrap();
    }
    symlink("t".repeat(300), root.join("long-link")).unwrap();
}

#[test]
fn odd_files_are_sent_exactly() {
    let Some(_engine) = engine_or_skip() else { return };
    let checkout = Checkout::new("COPY . /c/");
    lay_out_odd_files(&checkout.context());
    fs::write(checkout.context().join(OsStr::from_bytes(b"not\xff\xfeutf8")), "odd").unwrap();
    checkout.layers("build --all");
    checkout.check_image(&FileStates::of_disk(&checkout.context()), "");
}

#[test]
fn images_are_those_of_docker_build() {
    let Some(_engine) = engine_or_skip() else { return };
    let has_buildx = program::docker(&["buildx", "version"]).output().unwrap().status.success();
    if !has_buildx {
        eprintln!("skipped: docker has no buildx to compare with");
        return;
    }
    let checkout = Checkout::new("COPY . /c/");
    let context = checkout.context();
    lay_out_odd_files(&context);
    Files::with_busybox().write_below(&context);
    // Not all engines copy pipes.
    assert!(Command::new("mkfifo").arg(context.join("pipe")).status().unwrap().success());
    // Within one second, in an order that make would notice.
    for (name, nanos) in [("configure.ac", 100), ("configure", 200), ("Makefile.in", 300)] {
        fs::write(context.join(name), name).unwrap();
        set_time(&context.join(name), Duration::new(1_700_000_000, nanos));
    }
    let list = "RUN cd /c && find . -type f -exec stat -c '%n %a %u %g %s %y' {} + | sort > /list";
    let check = |instructions: &str| {
        let text = format!("{instructions}\nCOPY bin /bin\n{list}");
        checkout.write_dockerfile(&text);
        let by_hand = checkout.docker_build();
        match by_hand {
            Ok(id) => {
                checkout.layers("build --all --force --no-cache");
                let (ours, theirs) =
                    (FileStates::of_image(&checkout.image()), FileStates::of_image(&id));
                assert!(ours == theirs, "{text}\n{}", ours.differences(&theirs));
                assert_eq!(ours.content("list"), theirs.content("list"), "{text}");
            }
            Err(message) => eprintln!("skipped: docker can't build {instructions:?}: {message}"),
        }
    };
    check("COPY . /c/");
    check("COPY --chmod=640 . /c/");
    check("COPY --chown=7:8 d /c/");
    check("COPY --link . /c/");
    check("COPY --parents d/e/f /c/");
    check("ADD . /c/");
}

#[test]
fn steps_see_the_times_on_the_disk_to_the_nanosecond() {
    let Some(_engine) = engine_or_skip() else { return };
    let checkout = Checkout::new("");
    let tools = checkout.root().join("docker/tools");
    let text = format!("FROM scratch\n{}COPY bin /bin\n", checkout.label());
    Files::with_busybox().and("Dockerfile", text).write_below(&tools);
    let from = format!("FROM {}\n", checkout.reference("tools"));
    let run = "RUN cd /c && stat -c '%n %Y %y' first second link > /list";
    let text = format!("{from}{}COPY . /c/\n{run}\n", checkout.label());
    fs::write(checkout.root().join("docker/app/Dockerfile"), text).unwrap();
    symlink("first", below(&checkout, "link")).unwrap();
    for (name, nanos) in [("first", 100), ("second", 1)] {
        fs::write(below(&checkout, name), name).unwrap();
        set_time(&below(&checkout, name), Duration::new(1_700_000_000, nanos));
    }
    for is_large in [true, false] {
        checkout.layers("build --all");
        let list = FileStates::of_image(&checkout.image()).content("list");
        let mut lines = list.lines();
        let expected = [
            "first 1700000000 2023-11-14 22:13:20.000000100 +0000",
            "second 1700000000 2023-11-14 22:13:20.000000001 +0000",
        ];
        assert_eq!([lines.next().unwrap(), lines.next().unwrap()], expected, "{is_large}");
        // A context without this file is part of the request.
        drop(fs::remove_file(below(&checkout, "bulk")));
    }
}

#[test]
fn contexts_of_one_run_are_not_mistaken_for_each_other() {
    let Some(_engine) = engine_or_skip() else { return };
    let checkout = Checkout::new("COPY . /c/");
    let contexts = ["app", "other", "third"].map(|image| checkout.add(image));
    for (context, content) in contexts.iter().zip(["one", "two", "six"]) {
        for name in ["bulk", "file"] {
            let content = if name == "bulk" { content.repeat(200 << 10) } else { content.into() };
            fs::write(context.join(name), content).unwrap();
            set_time(&context.join(name), Duration::from_secs(1_000_000_000));
        }
    }
    // With one slot, one session serves all builds.
    for jobs in ["1", "3"] {
        checkout.layers(&format!("build --all --force -j {jobs}"));
        for (context, image) in contexts.iter().zip(["app", "other", "third"]) {
            let built = FileStates::of_image(&checkout.reference(image)).without_times();
            let expected = FileStates::of_disk(context);
            assert!(built == expected, "{image}: {}", built.differences(&expected));
        }
    }
}

#[test]
fn modes_of_directories_arrive() {
    let Some(_engine) = engine_or_skip() else { return };
    for instructions in ["COPY . /c/", "COPY . /x/\nADD d /c/d/"] {
        let checkout = Checkout::new(instructions);
        fs::create_dir_all(below(&checkout, "d/sub")).unwrap();
        fs::write(below(&checkout, "d/sub/f"), "x").unwrap();
        for mode in [0o764, 0o755, 0o700, 0o755] {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(below(&checkout, "d/sub"), permissions).unwrap();
            checkout.layers("build --all");
            let found = FileStates::of_image(&checkout.reference("app")).mode("d/sub");
            assert_eq!(format!("{found:o}"), format!("{mode:o}"), "{instructions}");
        }
    }
}

#[test]
fn images_with_the_same_files_share_one_copy() {
    let Some(_engine) = engine_or_skip() else { return };
    let checkout = Checkout::new("COPY . /c/");
    // The engine's list has no names. Other tests have smaller contexts.
    let tenths = 110 + std::process::id() % 190;
    let bulk = vec![7; usize::try_from(tenths).unwrap() * 100_000];
    fs::write(checkout.context().join("bulk"), bulk).unwrap();
    let megabytes = f64::from(tenths) / 10.0;
    let context = checkout.context().strip_prefix(checkout.root()).unwrap().to_owned();
    for number in 0..40 {
        let image = format!("docker/more-{number}");
        fs::create_dir_all(checkout.root().join(&image)).unwrap();
        // Some also name a file of what they copy.
        let more = if number % 2 == 0 { "COPY bulk /bulk\n" } else { "" };
        let text = format!("FROM scratch\n{}COPY . /c/\n{more}ENV N={number}\n", checkout.label());
        fs::write(checkout.root().join(&image).join("Dockerfile"), text).unwrap();
        let config = format!("[image.more-{number}]\ncontext = {context:?}\n");
        let path = checkout.root().join("layers.toml");
        fs::write(&path, fs::read_to_string(&path).unwrap() + &config).unwrap();
    }
    let before = copies_of(megabytes);
    checkout.layers("build --all -j 4");
    assert_eq!(copies_of(megabytes) - before, 1);
    fs::write(checkout.context().join("small"), "changed").unwrap();
    checkout.layers("build --all -j 4");
    assert_eq!(copies_of(megabytes) - before, 1);
}

/// Returns the number of copies of contexts that have about this size.
fn copies_of(megabytes: f64) -> usize {
    let words = ["system", "df", "-v", "--format", "{{json .BuildCache}}"];
    // The engine cannot list a cache from which something is removed at the same time.
    let mut lists = (0..20).map(|_| program::docker(&words).output().unwrap());
    let listed = lists.find(|output| output.status.success()).unwrap();
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let is_copy = |it: &&serde_json::Value| {
        let size = it["Size"].as_str().unwrap().strip_suffix("MB");
        let size = size.and_then(|size| size.parse::<f64>().ok());
        it["CacheType"] == "source.local"
            && size.is_some_and(|size| (size - megabytes - 0.03).abs() < 0.045)
    };
    listed.iter().filter(is_copy).count()
}

/// Sets the time of a file, given since 1970.
fn set_time(path: &Path, time: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(UNIX_EPOCH + time).unwrap();
}

/// Returns a path in a context.
fn below(checkout: &Checkout, path: &str) -> PathBuf {
    checkout.context().join(path)
}

#[test]
fn a_record_that_cannot_be_written_costs_a_new_copy_and_no_exactness() {
    let Some(_engine) = engine_or_skip() else { return };
    let checkout = Checkout::new("COPY . /c/");
    for content in ["one", "two", "ten"] {
        fs::write(below(&checkout, "file"), content).unwrap();
        set_time(&below(&checkout, "file"), Duration::from_secs(1_000_000_000));
        checkout.layers("build --all");
        checkout.check_image(&FileStates::of_disk(&checkout.context()), content);
        let records = checkout.root().join(".layers/contexts");
        if records.is_dir() {
            fs::remove_dir_all(&records).unwrap();
        }
        fs::write(&records, "not a directory").unwrap();
    }
}
