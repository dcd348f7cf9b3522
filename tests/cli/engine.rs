//! Tests of the binary on a real engine, with images that contain only a static busybox.
//!
//! Needs an engine and Debian's busybox-static. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::Project;
use crate::program;

/// The label of all images of a test. Its value is specific to the test, so that no image is shared and all
/// are found again.
const TEST_LABEL: &str = "dev.layers.test";

/// A repository whose images have unique names and are removed when the test ends.
struct Real {
    project: Project,
    namespace: String,
}

impl Drop for Real {
    fn drop(&mut self) {
        // By label and not by reference: a replaced image no longer has a reference.
        let filter = format!("label={TEST_LABEL}={}", self.namespace);
        let listed = docker(&["image", "ls", "--quiet", "--no-trunc", "--filter", &filter]);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut images: Vec<&str> = listed.split_whitespace().collect();
        images.sort_unstable();
        images.dedup();
        if !images.is_empty() {
            let mut arguments = vec!["image", "rm", "--force"];
            arguments.extend(images);
            docker(&arguments);
        }
    }
}

fn docker(arguments: &[&str]) -> Output {
    program::docker(arguments).output().expect("docker can be run")
}

impl Real {
    /// Creates the tree of most tests. Prints a note and returns `None` if tests run without an engine.
    fn shop() -> Option<Real> {
        if std::env::var_os("LAYERS_TEST_NO_ENGINE").is_some_and(|value| value == "1") {
            println!("skipped: LAYERS_TEST_NO_ENGINE=1 says that there is no engine");
            return None;
        }
        let version = docker(&["version", "--format", "{{.Server.Version}}"]);
        assert!(
            version.status.success(),
            "no engine answers, and LAYERS_TEST_NO_ENGINE=1 is not set: {}",
            String::from_utf8_lossy(&version.stderr)
        );
        let namespace =
            format!("layerstest{:016x}", RandomState::new().hash_one(std::process::id()));
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|it| Path::new(it).exists());
        let busybox = busybox.expect("busybox is installed (Debian package busybox-static)");
        let project = Project::new()
            .program("docker/base/busybox", Path::new(busybox))
            .dockerfile(
                "base",
                &format!("FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"ln\", \"-s\", \"busybox\", \"/bin/sh\"]\nLABEL {TEST_LABEL}={namespace}\n"),
            )
            .dockerfile(
                "builder",
                &format!("FROM {namespace}/shop-base\nCOPY . /src\nRUN busybox mkdir /wheels && busybox cp /src/wheel /wheels/\n"),
            )
            .file("docker/builder/wheel", "round\n")
            .file("docker/builder/junk", "junk\n")
            .file("docker/builder/.dockerignore", "junk\nDockerfile\n")
            .dockerfile("dev", &format!("FROM {namespace}/shop-builder:latest\nRUN busybox true\n"))
            .dockerfile(
                "release",
                &format!("FROM {namespace}/shop-base:latest\nCOPY --from={namespace}/shop-builder:latest /wheels /wheels\nRUN --mount=from={namespace}/shop-agent,target=/agent busybox cp /agent/f /f\n"),
            )
            .dockerfile(
                "agent",
                &format!("FROM scratch\nCOPY f /\nLABEL {TEST_LABEL}={namespace}\n"),
            )
            .file("docker/agent/f", namespace.as_bytes())
            .var("HOME", "/nonexistent");
        let project = match std::env::var("DOCKER_HOST") {
            Ok(host) => project.var("DOCKER_HOST", host),
            Err(_) => project,
        };
        Some(Real { project, namespace })
    }

    fn image(&self, name: &str) -> String {
        format!("{}/shop-{name}:latest", self.namespace)
    }

    /// Returns the output of a command in an image.
    fn run(&self, name: &str, command: &[&str]) -> String {
        let image = self.image(name);
        let mut arguments = vec!["run", "--rm", "--network=none", &image];
        arguments.extend(command);
        let output = docker(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn id(&self, name: &str) -> Option<String> {
        let output = docker(&["image", "inspect", "--format", "{{.Id}}", &self.image(name)]);
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}

/// Whether the engine's own frontend supports named contexts. Docker 23 is the first version that does.
fn takes_named_contexts() -> bool {
    let version = docker(&["version", "--format", "{{.Server.Version}}"]);
    let version = String::from_utf8(version.stdout).unwrap();
    version.split('.').next().unwrap().parse::<u32>().unwrap() >= 23
}

#[test]
fn a_tree_is_built_in_order_and_rebuilt_from_the_cache() {
    let Some(real) = Real::shop() else { return };
    let printed = real.project.run("build --all -j2 --progress plain").code(0).err();
    assert!(printed.contains("5 built of 5 images"), "{printed}");
    let at = |what: &str| printed.find(what).unwrap_or_else(|| panic!("no `{what}` in {printed}"));
    assert!(at("base: built") < at("builder: started"));
    assert!(at("builder: built") < at("dev: started"));
    assert!(at("builder: built") < at("release: started"));
    assert!(at("agent: built") < at("release: started"));
    assert!(at("agent: started") < at("base: built"), "agent overlaps with base: {printed}");
    assert_eq!(real.run("release", &["/bin/busybox", "cat", "/wheels/wheel"]), "round\n");
    assert_eq!(real.run("release", &["/bin/busybox", "cat", "/f"]), real.namespace);
    let ids: Vec<_> = ["base", "builder", "dev", "release", "agent"].map(|it| real.id(it)).to_vec();
    assert!(ids.iter().all(Option::is_some));
    let again = real.project.run("build --all -j2 --progress quiet").code(0).err();
    assert_eq!(again, "0 built, 5 fresh of 5 images in 0.0s\n");
    let again = real.project.run("build --all --force -j2 --progress plain").code(0).err();
    for name in ["base", "builder", "dev", "release", "agent"] {
        let line = again.lines().find(|line| line.contains(&format!("{name}: built"))).unwrap();
        let (_, counts) = line.split_once('(').unwrap();
        let numbers: Vec<&str> =
            counts.split(|it: char| !it.is_ascii_digit()).filter(|it| !it.is_empty()).collect();
        assert_eq!(numbers[0], numbers[1], "all steps of {name} are cached: {line}");
    }
    let again: Vec<_> =
        ["base", "builder", "dev", "release", "agent"].map(|it| real.id(it)).to_vec();
    assert_eq!(ids, again);
}

#[test]
fn copying_everything_copies_only_the_context() {
    let Some(real) = Real::shop() else { return };
    real.project.run("build builder --progress quiet").code(0);
    assert_eq!(
        real.run("builder", &["/bin/busybox", "find", "/src", "-type", "f"])
            .lines()
            .collect::<Vec<_>>()
            .len(),
        2
    );
    let files = real.run("builder", &["/bin/busybox", "ls", "-A", "/src"]);
    assert_eq!(files, ".dockerignore\nwheel\n");
}

#[test]
fn a_version_adds_a_tag() {
    let Some(mut real) = Real::shop() else { return };
    real.project = std::mem::replace(&mut real.project, Project::new()).var("VERSION", "1.2");
    real.project.run("build agent --progress quiet").code(0);
    let versioned = format!("{}/shop-agent:1.2", real.namespace);
    let ids =
        docker(&["image", "inspect", "--format", "{{.Id}}", &versioned, &real.image("agent")]);
    let ids = String::from_utf8(ids.stdout).unwrap();
    let ids: Vec<&str> = ids.lines().collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[test]
fn a_failing_instruction_is_shown_with_its_location() {
    let Some(mut real) = Real::shop() else { return };
    let text = format!(
        "FROM {}/shop-base\n# wheels\nRUN busybox echo working && \\\n    busybox false\n",
        real.namespace
    );
    real.project =
        std::mem::replace(&mut real.project, Project::new()).dockerfile("builder", &text);
    let printed = real.project.run("build --all -j2 --progress quiet").code(1).err();
    for part in [
        "error: builder failed at docker/builder/Dockerfile:3",
        "3 | / RUN busybox echo working && \\",
        "exit code: 1",
        "| working",
        "skipped dependents: dev, release",
        "2 built, 1 failed, 2 skipped of 5 images",
        "try again: layers build --all -j2 --progress quiet",
    ] {
        assert!(printed.contains(part), "`{part}` is missing in\n{printed}");
    }
    assert!(real.id("agent").is_some() && real.id("dev").is_none());
}

#[test]
fn unavailable_sources_are_reported_with_their_location() {
    let Some(mut real) = Real::shop() else { return };
    let name = real.namespace.clone();
    let check = |project: &Project, image: &str, code: i32, parts: &[&str]| {
        let printed = project.run(&format!("build {image} --progress quiet")).code(code).err();
        for part in parts {
            assert!(printed.contains(part), "`{part}` is missing in\n{printed}");
        }
    };
    real.project = std::mem::replace(&mut real.project, Project::new())
        .dockerfile("from", "FROM scratch AS x\nFROM 127.0.0.1:1/x:1\n")
        .dockerfile("copy", "FROM scratch\nLABEL a=b\nCOPY --from=127.0.0.1:1/y:1 /x /y\n")
        .dockerfile("add", "FROM scratch\nADD http://127.0.0.1:1/z /z\n")
        .dockerfile("parent", &format!("FROM {name}/shop-base\nONBUILD RUN busybox false {name}\n"))
        .dockerfile("child", &format!("FROM {name}/shop-parent\n"));
    let at = |what: &str, line: &str| [format!("error: {what}:{line}"), format!("{line} | ")];
    for (image, place, line, text) in [
        ("from", "from failed at docker/from/Dockerfile", "2", "FROM 127.0.0.1:1/x:1"),
        ("copy", "copy failed at docker/copy/Dockerfile", "3", "COPY --from=127.0.0.1:1/y:1 /x /y"),
        ("add", "add failed at docker/add/Dockerfile", "2", "ADD http://127.0.0.1:1/z /z"),
        ("child", "child failed at docker/parent/Dockerfile", "2", "ONBUILD RUN busybox false"),
    ] {
        let [error, number] = at(place, line);
        // A server that does not answer is not the fault of the Dockerfile.
        let code = if image == "child" { 1 } else { 4 };
        check(&real.project, image, code, &[&error, &format!("{number}{text}"), "^^^"]);
    }
    // The last output of a failing step is the most important, and can lack a line ending.
    let text =
        format!("FROM {name}/shop-base\nRUN busybox printf 'last {name}' && busybox false\n");
    real.project = std::mem::replace(&mut real.project, Project::new()).dockerfile("dev", &text);
    check(&real.project, "dev", 1, &["last 1 line of the log", &format!("| last {name}")]);
}

#[test]
fn interrupting_a_build_stops_it_in_the_engine() {
    for (name, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        stops_in_the_engine(name, number);
    }
}

fn stops_in_the_engine(signal: &str, number: i32) {
    let Some(mut real) = Real::shop() else { return };
    let marker = format!("{}", 100_000 + RandomState::new().hash_one(7) % 100_000);
    let text =
        format!("FROM {}/shop-base\nRUN echo asleep && busybox sleep {marker}\n", real.namespace);
    real.project =
        std::mem::replace(&mut real.project, Project::new()).dockerfile("builder", &text);
    let mut child = real
        .project
        .command(&["build", "builder", "--progress", "plain"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut printed = String::new();
    while !printed.contains("| asleep") {
        assert!(stderr.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    stderr.read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(number), "{printed}");
    assert!(printed.contains("builder: canceled"), "{printed}");
    let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let processes = String::from_utf8_lossy(&processes.stdout).into_owned();
    assert!(!processes.contains(&format!("busybox sleep {marker}")), "{processes}");
}

#[test]
fn an_unreachable_engine_is_an_error_with_a_hint() {
    for host in ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "nonsense://x"] {
        let project = Project::shop().var("DOCKER_HOST", host);
        let printed = project.run("build base").code(4).err();
        assert!(
            printed.starts_with("error: ") && printed.contains("\nhint: "),
            "{host}: {printed}"
        );
    }
}

#[test]
fn only_changed_images_are_built() {
    let Some(real) = Real::shop() else { return };
    let build = |words: &str| {
        let printed =
            real.project.run(&format!("build {words} -j2 --progress quiet")).code(0).err();
        printed.replace(" in 0.0s\n", "")
    };
    let write = |path: &str, text: &str| {
        std::fs::write(real.project.root().join(path), text).unwrap();
    };
    assert_eq!(build("--all"), "5 built of 5 images");
    assert_eq!(build("--all"), "0 built, 5 fresh of 5 images");
    let directory = real.project.root().join(".layers");
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(build("--all"), "0 built, 5 fresh of 5 images");
    write("docker/base/unread", "this is never read");
    let agent = real.project.read("docker/agent/Dockerfile").replace("COPY f", "COPY   f ");
    write("docker/agent/Dockerfile", &format!("# a comment\n{agent}"));
    assert_eq!(build("--all"), "0 built, 5 fresh of 5 images");
    // A file without an effect on the result: builder's layers differ, but not what release copies.
    write("docker/agent/f", "another");
    let plan = real.project.run("plan").code(0).out();
    assert!(plan.contains("agent    build  docker/agent/f changed\n"), "{plan}");
    assert!(plan.contains("release  waits  for agent\n"), "{plan}");
    assert_eq!(build("--all"), "2 built, 3 fresh of 5 images");
    assert_eq!(real.run("release", &["/bin/busybox", "cat", "/f"]), "another");
    // All dependents inherit a label of the base.
    let base = real.project.read("docker/base/Dockerfile");
    write("docker/base/Dockerfile", &format!("{base}LABEL a=b\n"));
    assert_eq!(build("--all"), "4 built, 1 fresh of 5 images");
}

#[test]
fn an_unchanged_parent_result_keeps_its_children_fresh() {
    let Some(real) = Real::shop() else { return };
    let quiet = "build --all -j2 --progress quiet";
    real.project.run(quiet).code(0);
    // A different instruction with the same result: the context is copied to the same path.
    let path = real.project.root().join("docker/base/Dockerfile");
    let text = real.project.read("docker/base/Dockerfile");
    std::fs::write(path, text.replace("/bin/busybox\nRUN", "/bin/\nRUN")).unwrap();
    let plan = real.project.run("plan dev").code(0).out();
    assert!(plan.contains("base     build  docker/base/Dockerfile:2:1 changed\n"), "{plan}");
    assert!(plan.contains("dev      waits  for builder\n"), "{plan}");
    let printed = real.project.run(quiet).code(0).err();
    println!("{printed}");
    assert!(real.project.run("plan --check").code(0).out().contains("5 fresh of 5 images"));
}

#[test]
fn images_removed_or_retagged_by_hand_are_detected() {
    let Some(real) = Real::shop() else { return };
    real.project.run("build --all -j2 --progress quiet").code(0);
    let verdict = |name: &str| -> String {
        let plan = real.project.run("plan").code(0).out();
        plan.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
    };
    docker(&["image", "rm", "--force", &real.image("dev")]);
    assert_eq!(verdict("dev"), "dev      build  no image in the engine");
    assert!(docker(&["tag", &real.image("agent"), &real.image("dev")]).status.success());
    assert_eq!(verdict("dev"), "dev      build  built from different inputs");
    // An image that has only lost its name gets it back.
    let builder = real.id("builder");
    assert!(docker(&["tag", &real.image("agent"), &real.image("builder")]).status.success());
    let again = format!("builder  fresh  restores `{}`", real.image("builder"));
    assert_eq!(verdict("builder"), again);
    assert_eq!(verdict("release"), "release  fresh");
    let printed = real.project.run("build --all -j2 --progress quiet").code(0).err();
    assert_eq!(printed, "1 built, 4 fresh of 5 images in 0.0s\n");
    assert_eq!(real.id("builder"), builder);
    real.project.run("plan --check").code(0);
}

#[test]
fn a_child_is_never_built_on_a_parent_retagged_during_the_run() {
    let Some(mut real) = Real::shop() else { return };
    // Include a unique name. Otherwise, the engine could have the step in its cache.
    let name = &real.namespace;
    let text = format!("FROM {name}/shop-base\nRUN echo asleep {name} && busybox sleep 3\n");
    real.project =
        std::mem::replace(&mut real.project, Project::new()).dockerfile("builder", &text);
    real.project.run("build agent --progress quiet").code(0);
    let mut child = real
        .project
        .command(&["build", "builder", "--progress", "plain"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut printed = String::new();
    while !printed.contains("| asleep") {
        assert!(stderr.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    assert!(docker(&["tag", &real.image("agent"), &real.image("base")]).status.success());
    stderr.read_to_string(&mut printed).unwrap();
    if takes_named_contexts() {
        // It is built on the planned parent, whatever image has the parent's name now.
        assert_eq!(child.wait().unwrap().code(), Some(0), "{printed}");
        real.run("builder", &["/bin/busybox", "true"]);
        let builder = real.id("builder");
        let again = real.project.run("build builder --progress quiet").code(0).err();
        // containerd's store removes images that have lost their last name.
        let parts = ["0 built, 2 fresh", "1 built, 1 fresh"];
        assert!(parts.iter().any(|it| again.starts_with(it)), "{again}");
        real.run("base", &["/bin/busybox", "true"]);
        assert_eq!(real.id("builder"), builder);
        return;
    }
    assert_eq!(child.wait().unwrap().code(), Some(4), "{printed}");
    let moved = format!("`{}/shop-base:latest` was moved to another image", real.namespace);
    assert!(printed.contains(&moved), "{printed}");
    assert!(real.id("builder").is_none(), "what was built on the wrong base is gone");
    let again = real.project.run("build builder --progress quiet").code(0).err();
    assert_eq!(again, "1 built, 1 fresh of 2 images in 0.0s\n");
}

#[test]
fn an_image_derived_from_ours_by_hand_is_stale() {
    let Some(real) = Real::shop() else { return };
    real.project.run("build dev -j2 --progress quiet").code(0);
    let verdict = || {
        let plan = real.project.run("plan dev").code(0).out();
        plan.lines().find(|line| line.starts_with("dev ")).unwrap().to_owned()
    };
    // First with the state directory, then only with the engine's information.
    std::fs::remove_dir_all(real.project.root().join(".layers")).unwrap();
    assert_eq!(verdict(), "dev      fresh");
    assert_eq!(verdict(), "dev      fresh");
    // An engine has no cached step for an `ONBUILD`.
    let text = real.project.read("docker/dev/Dockerfile") + "ONBUILD RUN true\n";
    std::fs::write(real.project.root().join("docker/dev/Dockerfile"), text).unwrap();
    real.project.run("build dev --progress quiet").code(0);
    std::fs::remove_dir_all(real.project.root().join(".layers")).unwrap();
    assert_eq!(verdict(), "dev      fresh");
    // A container of the image is committed, which inherits its key, and our image is removed.
    let by_hand = |to: &str| {
        let container = docker(&["create", &real.image("dev"), "true"]).stdout;
        let container = String::from_utf8(container).unwrap().trim().to_owned();
        let change = ["commit", "--change", "ENV BY=hand", &container, to];
        assert!(docker(&change).status.success());
        docker(&["rm", &container]);
    };
    let other = format!("{}/by-hand", real.namespace);
    by_hand(&other);
    docker(&["image", "rm", "--force", &real.image("dev")]);
    assert_eq!(verdict(), "dev      build  no image in the engine");
    real.project.run("build dev --progress quiet").code(0);
    // The same under our own name.
    let ours = real.id("dev").unwrap();
    by_hand(&real.image("dev"));
    docker(&["image", "rm", "--force", &ours]);
    let moved = format!("dev      build  `{}` points to a different image", real.image("dev"));
    assert_eq!(verdict(), moved);
}

#[test]
fn syntax_unsupported_by_the_engines_frontend_is_warned_about() {
    let Some(mut real) = Real::shop() else { return };
    if takes_named_contexts() {
        println!("skipped: the engine's own frontend knows here-documents");
        return;
    }
    let text = format!("FROM {}/shop-base\nRUN <<EOF\nbusybox true\nEOF\n", real.namespace);
    real.project =
        std::mem::replace(&mut real.project, Project::new()).dockerfile("builder", &text);
    let printed = real.project.run("build builder --progress quiet").code(1).err();
    let warning = "warning[old-frontend]: a here-document requires Dockerfile frontend 1.4 or later, but \
                   this build uses 1.2";
    assert!(printed.starts_with(warning), "{printed}");
    assert!(printed.contains("docker/builder/Dockerfile:2:1"), "{printed}");
}

#[test]
fn restoring_a_file_makes_all_images_fresh_again() {
    let Some(real) = Real::shop() else { return };
    let quiet = "build --all -j2 --progress quiet";
    let ids = || ["base", "builder", "dev", "release", "agent"].map(|name| real.id(name));
    let write = |text: &str| {
        std::fs::write(real.project.root().join("docker/builder/wheel"), text).unwrap();
    };
    real.project.run(quiet).code(0);
    let (before, wheel) = (ids(), real.project.read("docker/builder/wheel"));
    write("square\n");
    let printed = real.project.run(quiet).code(0).err();
    assert_eq!(printed, "3 built, 2 fresh of 5 images in 0.0s\n");
    write(&wheel);
    let printed = real.project.run(quiet).code(0).err();
    // containerd's store removes an image that has lost its last name, but keeps its steps.
    let driver = docker(&["info", "--format", "{{.DriverStatus}}"]).stdout;
    let keeps_nameless = !String::from_utf8(driver).unwrap().contains("io.containerd.snapshotter");
    let counts = if keeps_nameless { "0 built, 5 fresh" } else { "3 built, 2 fresh" };
    assert_eq!(printed, format!("{counts} of 5 images in 0.0s\n"));
    assert_eq!(ids(), before);
}
