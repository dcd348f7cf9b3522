//! Files that cannot be read, or are not what they seem: they are a problem only for the images that need them.

#![expect(
    clippy::disallowed_methods,
    reason = "tests need pipes, and a process without privileges"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

use crate::harness::Project;

/// Images whose references do not depend on their Dockerfiles: base ← dev, and other alone.
fn with_references() -> Project {
    Project::new()
        .file("layers.toml", "reference = \"acme/shop-{name}:latest\"\n")
        .dockerfile("base", "FROM scratch\nCOPY f /\n")
        .dockerfile("dev", "FROM acme/shop-base\nCOPY f /\n")
        .dockerfile("other", "FROM scratch\nCOPY f /\n")
        .file("docker/base/f", "")
        .file("docker/dev/f", "")
        .file("docker/other/f", "")
}

fn make_pipe(project: &Project, path: &str) {
    let path = project.root().join(path);
    drop(fs::remove_file(&path));
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Checks that `base` and `dev` have an error, and that `other` can be planned and built.
#[track_caller]
fn check_only_base_and_dev_stop(project: &Project, error: &str) {
    let note = "error in files of other images; run `layers check` for details\n";
    for command in ["plan", "why", "build"] {
        for image in ["base", "dev"] {
            let err = project.run(&format!("{command} {image} --engine fake")).code(3).err();
            assert!(err.starts_with(error), "{command} {image}: {err}");
        }
        let err = project.run(&format!("{command} other --engine fake")).code(0).err();
        assert!(err.contains(note), "{command}: {err}");
        assert!(!err.contains("error["), "{command}: {err}");
    }
    for all in ["plan --engine fake", "build --all --engine fake", "check"] {
        let err = project.run(all).code(3).err();
        assert!(err.starts_with(error), "{all}: {err}");
    }
    project.run("plan --exclude base --exclude dev --engine fake").code(0);
    // The Dockerfile of an excluded image can contain triggers for its dependents.
    project.run("plan dev --exclude base --engine fake").code(3);
    // Which images have changed is not known.
    project.run("plan other --since HEAD --engine fake").code(3);
}

#[test]
fn errors_in_one_dockerfile_stop_its_image_and_the_dependents() {
    let broken = |text: &str| with_references().dockerfile("base", text);
    check_only_base_and_dev_stop(
        &broken("FROM scratch\nCOPPY f /\n"),
        "error[unknown-instruction]",
    );
    check_only_base_and_dev_stop(&broken("FROM scratch\nLABEL a=\"b\n"), "error[");
    check_only_base_and_dev_stop(&broken("FROM acme/shop-dev\n"), "error[cycle]");
    let ignore = with_references().file("docker/base/.dockerignore", "!\n");
    check_only_base_and_dev_stop(&ignore, "error[bad-ignore-line]");
    let bytes = with_references().file("docker/base/Dockerfile", b"FROM scratch\nLABEL a=\xe9\n");
    check_only_base_and_dev_stop(&bytes, "error[not-utf8]");
}

#[test]
fn dockerfiles_that_cannot_be_read_stop_their_image_and_the_dependents() {
    let project = with_references();
    make_pipe(&project, "docker/base/Dockerfile");
    check_only_base_and_dev_stop(&project, "error[unreadable-file]: `docker/base/Dockerfile` is a");
    let project = with_references();
    fs::remove_file(project.root().join("docker/base/Dockerfile")).unwrap();
    symlink("Dockerfile", project.root().join("docker/base/Dockerfile")).unwrap();
    check_only_base_and_dev_stop(&project, "error[unreadable-file]: can't read");
    let project = with_references();
    make_pipe(&project, "docker/base/.dockerignore");
    check_only_base_and_dev_stop(&project, "error[unreadable-file]: `docker/base/.dockerignore`");
}

#[test]
fn files_with_errors_keep_their_images_known_when_names_are_inferred() {
    let project = Project::shop().dockerfile("agent", "FORM debian\n");
    project.run("plan dev --engine fake").code(0);
    project.run("plan agent --engine fake").code(3);
    // Without references in other files, what the broken line says would show the names.
    let alone =
        |text: &str| Project::new().dockerfile("base", "FROM scratch\n").dockerfile("dev", text);
    alone("FROM scratch\nCOPPY a b\n").run("plan base --engine fake").code(0);
    let err = alone("FORM acme/x-base\n").run("plan base --engine fake").code(3).err();
    assert!(err.contains("\nthe name of `base` may depend on these files;"), "{err}");
}

#[test]
fn names_that_an_unreadable_dockerfile_could_change_are_not_guessed() {
    let check = |project: Project, expected: [i32; 2]| {
        make_pipe(&project, "docker/agent/Dockerfile");
        let codes = ["builder", "dev"].into_iter().zip(expected);
        for (image, code) in codes {
            let err = project.run(&format!("plan {image} --engine fake")).code(code).err();
            let is_open = err.contains("may depend on these files");
            assert_eq!(is_open, code == 3, "{image}: {err}");
        }
    };
    check(Project::shop(), [3, 3]);
    // A reference with a tag would decide the tag of an image that no other file names.
    let names = || Project::shop().var("REPO_NS", "acme").var("APP_NAME", "shop");
    check(names(), [0, 3]);
    let tagged = "[image.dev]\nreference = \"acme/shop-dev:1\"\n";
    check(names().file("layers.toml", tagged), [0, 0]);
    let whole = "reference = \"acme/shop-{name}:latest\"\n";
    check(Project::shop().file("layers.toml", whole), [0, 0]);
    let parts = "reference = \"{namespace}/{app}-{name}:latest\"\n";
    check(Project::shop().file("layers.toml", parts), [3, 3]);
}

#[test]
fn bytes_that_are_not_utf8_are_allowed_in_comments() {
    let check = |text: &[u8], code: i32| {
        let project = Project::new().file("docker/base/Dockerfile", text);
        let err = project.run("plan base --engine fake").code(code).err();
        assert_eq!(err.contains("[not-utf8]"), code == 3, "{err}");
    };
    check(b"# caf\xe9\nFROM scratch\n", 0);
    check(b"FROM scratch\n  # caf\xe9 \xff\nLABEL a=b\n", 0);
    check(b"FROM scratch\nLABEL a=b \\\n# caf\xe9\n c=d\n", 0);
    check(b"FROM scratch\n# caf\xe9", 0);
    check(b"# escape=`\n# syntax=\xe9\nFROM scratch\n", 3);
    check(b"#!/bin/x\n# syntax=\xe9\nFROM scratch\n", 3);
    check(b"FROM scratch\nLABEL a=b# caf\xe9\n", 3);
    check(b"# syntax=docker/dockerfile:1\nFROM scratch\nRUN <<X\n# caf\xe9\nX\n", 3);
}

#[test]
fn directories_and_sockets_are_not_ignore_files() {
    let project = with_references().file("docker/base/.dockerignore/x", "");
    project.run("plan --engine fake").code(0);
    let besides = with_references().file("docker/base/Dockerfile.dockerignore/x", "");
    besides.run("check").code(0);
    let _socket = UnixListener::bind(besides.root().join("docker/other/.dockerignore")).unwrap();
    // The ignore file of the context applies, as without the directory.
    besides.write("docker/base/.dockerignore", "f\n");
    let err = besides.run("check --deny warnings").code(3).err();
    assert!(err.contains("`f` is excluded by the ignore file"), "{err}");
    let null = with_references();
    symlink("/dev/null", null.root().join("docker/base/.dockerignore")).unwrap();
    null.run("plan --engine fake").code(0);
}

#[test]
fn a_containerfile_that_is_the_dockerfile_is_the_same_image() {
    for (link, target) in [("Containerfile", "Dockerfile"), ("Dockerfile", "Containerfile")] {
        let project = Project::new().file(&format!("docker/base/{target}"), "FROM scratch\n");
        symlink(target, project.root().join("docker/base").join(link)).unwrap();
        let out = project.run("list").code(0).out();
        assert!(out.contains("docker/base/Dockerfile"), "{out}");
        assert!(!out.contains("docker/base/Containerfile"), "{out}");
        project.run("init --print").code(0);
        let exclude = project.file("layers.toml", "exclude = [\"docker/base/Dockerfile\"]\n");
        let out = exclude.run("list").code(0).out();
        assert!(out.contains("docker/base/Containerfile"), "{out}");
    }
    let hard = Project::new().dockerfile("base", "FROM scratch\n");
    let file = |name: &str| hard.root().join("docker/base").join(name);
    fs::hard_link(file("Dockerfile"), file("Containerfile")).unwrap();
    hard.run("plan --engine fake").code(0);
    let two = Project::new()
        .dockerfile("base", "FROM scratch\n")
        .file("docker/base/Containerfile", "FROM scratch\n");
    assert!(two.run("plan --engine fake").code(3).err().starts_with("error[duplicate-image]"));
}

/// Runs the binary as a user who cannot read everything, which `root` can. Returns `None`, and prints why, if that is
/// not possible.
fn run_without_privileges(project: &Project, arguments: &[&str]) -> Option<Output> {
    let binary = project.command(arguments);
    let closed = project.root().join("closed");
    fs::create_dir_all(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let is_privileged = fs::read_dir(&closed).is_ok();
    fs::remove_dir(&closed).unwrap();
    let mut command = if is_privileged {
        if Command::new("setpriv").arg("--version").output().is_err() {
            println!("skipped: `setpriv`, which gives up the privileges of root, is missing");
            return None;
        }
        let mut command = Command::new("setpriv");
        command.arg("--bounding-set=-dac_override,-dac_read_search").arg(binary.get_program());
        command.args(binary.get_args());
        command
    } else {
        let mut command = Command::new(binary.get_program());
        command.args(binary.get_args());
        command
    };
    command.env_clear().current_dir(project.root());
    command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap())
}

#[test]
fn unreadable_files_matter_to_the_images_that_read_them() {
    let check = |instruction: &str, is_read: bool| {
        let project = with_references()
            .dockerfile("base", &format!("FROM scratch\n{instruction}\n"))
            .file("docker/base/closed/f", "")
            .file("docker/base/unsearchable/f", "")
            .file("docker/base/locked", "");
        symlink("closed", project.root().join("docker/base/link")).unwrap();
        let set_mode = |path: &str, mode: u32| {
            let path = project.root().join("docker/base").join(path);
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set_mode("closed", 0);
        set_mode("unsearchable", 0o600);
        set_mode("locked", 0);
        let ran = run_without_privileges(&project, &["plan", "base", "--engine", "fake"]);
        set_mode("closed", 0o755);
        set_mode("unsearchable", 0o755);
        let Some(ran) = ran else { return };
        let text = String::from_utf8_lossy(&ran.stdout).into_owned()
            + &String::from_utf8_lossy(&ran.stderr);
        assert!(text.contains("base"), "{instruction}: {text}");
        assert_eq!(text.contains("Permission denied"), is_read, "{instruction}: {text}");
    };
    check("COPY f /", false);
    check("COPY f* /", false);
    check("COPY --exclude=closed --exclude=unsearchable --exclude=l* . /", false);
    check("COPY . /", true);
    check("COPY closed /", true);
    check("COPY closed/f /", true);
    check("COPY link/f /", true);
    check("COPY link/../f /", false);
    check("COPY unsearchable /", true);
    check("COPY unsearchable/f /", true);
    check("COPY locked /", true);
    check("COPY */f /", true);
    check("COPY --parents **/f /", true);
    check("RUN --mount=target=/x,source=closed true", true);
    check("RUN --mount=target=/x,source=f true", false);
}

#[test]
fn a_dockerfile_in_a_directory_that_cannot_be_searched_is_unknown() {
    let project = with_references();
    let base = project.root().join("docker/base");
    fs::set_permissions(&base, fs::Permissions::from_mode(0o000)).unwrap();
    let ran: Vec<Option<Output>> = ["base", "dev", "other"]
        .map(|image| run_without_privileges(&project, &["plan", image, "--engine", "fake"]))
        .into();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
    for (ran, expected) in ran.into_iter().flatten().zip([3, 3, 0]) {
        let err = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(expected), "{err}");
        assert_eq!(err.contains("can't read `docker/base/Dockerfile`"), expected == 3, "{err}");
    }
}

#[test]
fn an_unreadable_directory_below_a_glob_is_unknown() {
    let settings = "dockerfiles = [\"**/Dockerfile\"]\nreference = \"acme/shop-{name}:latest\"\n";
    let project = with_references().file("layers.toml", settings).file("data/x/f", "");
    let data = project.root().join("data");
    let set_mode = |mode| fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        set_mode(0);
        let ran = run_without_privileges(&project, arguments);
        set_mode(0o755);
        let Some(ran) = ran else { return };
        let err = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{err}");
        assert_eq!(err, expected);
    };
    let error = "error[unreadable-file]: can't read `data/Dockerfile`: Permission denied (os error 13)\n\
                 --> data/Dockerfile\n = hint: make it readable, or set \
                 `exclude = [\"data/Dockerfile\"]` in `layers.toml`\n\n1 error\n";
    check(&["check"], 3, error);
    check(&["plan", "--engine", "fake"], 3, error);
    let note = "1 error in files of other images; run `layers check` for details\n";
    check(&["plan", "other", "--engine", "fake"], 0, note);
    for excluded in ["data/**", "data/Dockerfile"] {
        project.write("layers.toml", &format!("{settings}exclude = [\"{excluded}\"]\n"));
        check(&["plan", "--engine", "fake"], 0, "");
    }
}
