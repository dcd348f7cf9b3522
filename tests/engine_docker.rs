//! The Docker engine: builds, failures, and cancellation on a real daemon.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use common::program::{docker, output_of};
use common::{Files, Name, build, engine_or_skip, output, request};
use layers::credentials::CredentialStore;
use layers::engine::{BuildOutcome, BuildUpdate, Builder, ImageStore};
use layers::engine::{LabelFilter, docker::Docker};

#[test]
fn images_get_all_requested_references_and_labels() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let mut request = request(&name, "FROM scratch\nCOPY a b\n", Files::new().and("a", "1"));
    request.references.push(name.reference(":1.2"));
    let (outcome, _) = build(&engine, &request);
    let BuildOutcome::Built { image_id } = outcome else { panic!("{outcome:?}") };
    let image = engine.inspect(&name.reference(":1.2")).unwrap().unwrap();
    assert_eq!(image.id, image_id);
    let mut references = image.references;
    references.sort();
    assert_eq!(references, [name.reference(":1.2"), name.reference(":latest")]);
    assert_eq!(image.labels["dev.layers.test"], name.label());
    assert_eq!(image.diff_ids.len(), 1);
}

#[test]
fn failed_steps_are_reported_with_their_output() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch AS one\nCOPY . .\nRUN echo before; echo err >&2; exit 3\n";
    let (outcome, updates) = build(&engine, &request(&name, text, Files::with_busybox()));
    let BuildOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.message, "exit code: 3");
    let step = failure.step.unwrap();
    assert_eq!((step.number, step.total), (2, 2));
    assert!(step.text.starts_with("RUN echo before"), "{step:?}");
    // The engine reads stdout and stderr of a step concurrently and does not preserve their order.
    let text = String::from_utf8(output(&updates)).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["before", "err"]);
    assert!(
        !updates
            .iter()
            .any(|u| matches!(u, BuildUpdate::StepFinished { step: s, .. } if *s == step))
    );
}

#[test]
fn repeated_builds_use_the_cache() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch AS one\nCOPY . .\nRUN echo hello > /made\n";
    // Files that no other test has: a concurrent test without the cache would run the same step again, and
    // the image would have the time of that.
    let files = Files::with_busybox().and("name", name.label());
    let mut request = request(&name, text, files);
    request.no_cache = false;
    let (first, _) = build(&engine, &request);
    let (second, updates) = build(&engine, &request);
    assert_eq!(first, second);
    let cached = |wanted: &str| {
        updates.iter().any(|update| {
            matches!(update, BuildUpdate::StepFinished { step, cached: true, .. }
                if step.number > 0 && step.text.starts_with(wanted))
        })
    };
    assert!(cached("COPY . .") && cached("RUN echo"), "{updates:#?}");
    assert_eq!(output(&updates), b"");
}

#[test]
fn no_cache_runs_all_steps_again() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch\nCOPY . .\nRUN echo once more\n";
    let request = request(&name, text, Files::with_busybox());
    build(&engine, &request);
    assert_eq!(output(&build(&engine, &request).1), b"once more\n");
}

#[test]
fn sending_a_context_exporting_and_unpacking_are_reported_in_order() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch\nCOPY . .\nRUN head -c 30000000 /dev/urandom > /made\n";
    // Not small enough to be part of the request, and no other build sends the same.
    let files = Files::with_busybox().and("name", name.label().repeat(100_000));
    let (outcome, updates) = build(&engine, &request(&name, text, files));
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    let mut seen = Vec::new();
    for update in &updates {
        match update {
            BuildUpdate::StepFinished { step, .. } if step.number > 0 => {
                seen.push(step.text.split(' ').next().unwrap().to_owned());
            }
            BuildUpdate::OperationStarted(operation) => seen.push(format!("{operation:?}")),
            BuildUpdate::OperationFinished { operation, took } => {
                assert!(!took.is_zero(), "{updates:#?}");
                seen.push(format!("end of {operation:?}"));
            }
            BuildUpdate::StepStarted(step) => assert!(!step.text.contains("export"), "{step:?}"),
            _ => {}
        }
    }
    let mut expected = vec!["SendingContext", "end of SendingContext", "COPY", "RUN"];
    expected.extend(["Exporting", "end of Exporting"]);
    // Only containerd's store unpacks images after it has written them.
    if engine.features().unwrap().annotations {
        expected.extend(["Unpacking", "end of Unpacking"]);
    }
    assert_eq!(seen, expected);
}

#[test]
fn build_args_and_targets_are_passed_to_the_build() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch AS tools\nCOPY . .\n\
                FROM tools AS wanted\nARG WORD=none\nRUN echo $WORD; touch /w\n\
                FROM tools AS unwanted\nRUN echo never; false\n";
    let mut request = request(&name, text, Files::with_busybox());
    request.target = Some("wanted".into());
    request.build_args.insert("WORD".into(), "two words, = and \"quotes\"".into());
    let (outcome, updates) = build(&engine, &request);
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    assert_eq!(output(&updates), b"two words, = and \"quotes\"\n");
    let stages: Vec<_> = updates
        .iter()
        .filter_map(|update| match update {
            BuildUpdate::StepStarted(step) if step.number > 0 => step.stage.as_deref(),
            _ => None,
        })
        .collect();
    assert!(stages.contains(&"wanted") && !stages.contains(&"unwanted"), "{stages:?}");
}

#[test]
fn step_output_is_preserved_byte_for_byte() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch\nCOPY . .\nRUN printf 'a\\377\\000\\033[31m\\r\\nno end'\n";
    let (_, updates) = build(&engine, &request(&name, text, Files::with_busybox()));
    assert_eq!(output(&updates), b"a\xff\x00\x1b[31m\r\nno end");
}

#[test]
fn copying_everything_copies_only_the_context() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let text = "FROM scratch\nCOPY bin /bin\nCOPY . /in/\nWORKDIR /in\n\
                RUN /bin/busybox find . -type f | /bin/busybox sort; /bin/busybox stat -c '%a %u:%g' ./a\n";
    let files = Files::with_busybox()
        .and("a", "1")
        .and("sub/b", "2")
        .and("Dockerfile.not-mine", "")
        // All files are sent: an ignore file is a file like any other.
        .and(".dockerignore", "a\n");
    let (outcome, updates) = build(&engine, &request(&name, text, files));
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    let expected = "./.dockerignore\n./Dockerfile.not-mine\n./a\n./bin/busybox\n./bin/sh\n\
                    ./sub/b\n644 0:0\n";
    assert_eq!(String::from_utf8(output(&updates)).unwrap(), expected);
}

#[test]
fn an_empty_context_is_valid() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let (outcome, _) = build(&engine, &request(&name, "FROM scratch\nENV A=b\n", Files::new()));
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    let image = engine.inspect(&name.reference("")).unwrap().unwrap();
    assert!(image.config["Env"].as_array().unwrap().iter().any(|pair| pair == "A=b"));
    let (outcome, _) = build(&engine, &request(&name, "FROM scratch\nCOPY . .\n", Files::new()));
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    // It contains no files, and no file that results from an empty context.
    let base = request(&name, "FROM scratch\nCOPY . .\n", Files::with_busybox());
    let base =
        layers::engine::BuildRequest { references: vec![name.reference("-base:latest")], ..base };
    assert!(matches!(build(&engine, &base).0, BuildOutcome::Built { .. }));
    let text = format!(
        "FROM {}\nCOPY . /d\nRUN [\"/bin/busybox\", \"rmdir\", \"/d\"]\n",
        name.reference("-base")
    );
    let (outcome, updates) = build(&engine, &request(&name, &text, Files::new()));
    let printed = String::from_utf8_lossy(&output(&updates)).into_owned();
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?} {printed}");
    let text = "FROM scratch\nCOPY context /d/\n";
    let (outcome, _) = build(&engine, &request(&name, text, Files::new()));
    assert!(matches!(outcome, BuildOutcome::Failed(_)), "{outcome:?}");
}

#[test]
fn untagged_images_are_found_by_id() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let mut request = request(&name, "FROM scratch\nENV A=b\n", Files::new());
    request.references.clear();
    let (outcome, _) = build(&engine, &request);
    let BuildOutcome::Built { image_id } = outcome else { panic!("{outcome:?}") };
    let image = engine.inspect(&image_id).unwrap().unwrap();
    assert_eq!((image.id, image.references), (image_id.clone(), Vec::new()));
    engine.remove(&image_id).unwrap();
    assert_eq!(engine.inspect(&image_id).unwrap(), None);
}

#[test]
fn parents_in_the_engine_are_used_directly() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let parent = name.reference("-parent:latest");
    let mut first = request(
        &name,
        "FROM scratch\nCOPY . .\nONBUILD RUN echo of the parent\n",
        Files::with_busybox(),
    );
    first.references = vec![parent.clone()];
    build(&engine, &first);
    assert_eq!(engine.inspect(&parent).unwrap().unwrap().on_build, ["RUN echo of the parent"]);
    let text = format!("FROM {parent}\nRUN echo of the child\n");
    let (outcome, updates) = build(&engine, &request(&name, &text, Files::new()));
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    assert_eq!(output(&updates), b"of the parent\nof the child\n");
}

#[test]
fn missing_inputs_fail_the_image_with_a_clear_message() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let check = |dockerfile: &str, expected: &str| {
        let (outcome, _) = build(&engine, &request(&name, dockerfile, Files::new()));
        let BuildOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert!(failure.message.contains(expected), "{failure:?}");
        for decoration in ["rpc error", "failed to solve", "LLB"] {
            assert!(!failure.message.contains(decoration), "{failure:?}");
        }
    };
    check("FROM 127.0.0.1:1/none:latest\n", "can't resolve `127.0.0.1:1/none:latest`: ");
    check("FROM scratch\nCOPY missing .\n", "missing");
    check("FROM scratch\nCOPI a .\n", "COPI");
    check(
        "FROM scratch AS a\n\nFROM nothing-of-this-name-a AS b\nCOPY --from=a . .\n",
        "nothing-of",
    );
}

#[test]
fn inspecting_a_missing_image_returns_none() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    assert_eq!(engine.inspect(&name.reference(":latest")).unwrap(), None);
    engine.remove(&name.reference(":latest")).unwrap();
}

#[test]
fn builds_run_concurrently() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let printed: Vec<String> = thread::scope(|scope| {
        let building: Vec<_> = (0..6)
            .map(|number| {
                let (engine, name) = (&engine, &name);
                scope.spawn(move || {
                    let text =
                        format!("FROM scratch\nCOPY . .\nRUN cat /number; echo of {number}\n");
                    let files = Files::with_busybox().and("number", format!("{number} "));
                    let mut request = request(name, &text, files);
                    request.references = vec![name.reference(&format!("-{number}:latest"))];
                    String::from_utf8(output(&build(engine, &request).1)).unwrap()
                })
            })
            .collect();
        building.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let expected: Vec<_> = (0..6).map(|number| format!("{number} of {number}\n")).collect();
    assert_eq!(printed, expected);
    assert_eq!(
        engine
            .list(LabelFilter::named(common::TEST_LABEL))
            .unwrap()
            .iter()
            .filter(|image| {
                image.labels.get(common::TEST_LABEL).is_some_and(|label| label == name.label())
            })
            .count(),
        6
    );
}

#[test]
fn the_requested_platform_is_built() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let mut request = request(&name, "FROM scratch AS s\nCOPY . .\n", Files::new().and("a", "1"));
    request.platform = Some("linux/arm64".parse().unwrap());
    let (outcome, updates) = build(&engine, &request);
    assert!(matches!(outcome, BuildOutcome::Built { .. }), "{outcome:?}");
    let image = engine.inspect(&name.reference("")).unwrap().unwrap();
    assert_eq!(image.platform.to_string(), "linux/arm64");
    let copied = updates.iter().any(|update| {
        matches!(update, BuildUpdate::StepStarted(step)
            if step.text == "COPY . ." && step.number == 1 && step.stage.as_deref() != Some("linux/arm64"))
    });
    assert!(copied, "{updates:?}");
}

/// Starts a registry on loopback that requires a name and a password and has no images. Returns its address
/// and the credentials that it received.
fn closed_registry() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (shown, seen) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            head.extend(lines.by_ref().take_while(|line| !line.is_empty()));
            let mut given = head.iter().filter_map(|line| line.strip_prefix("Authorization: "));
            let answer = match given.next() {
                Some(given) => {
                    drop(shown.send(given.to_owned()));
                    "404 Not Found"
                }
                None => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"",
            };
            let answer =
                format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            drop((&stream).write_all(answer.as_bytes()));
        }
    });
    (address, seen)
}

#[test]
fn credentials_from_the_docker_config_are_sent_to_the_registry() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let (address, seen) = closed_registry();
    let directory = tempfile::tempdir().unwrap();
    // `me:secret`
    let config = format!(r#"{{"auths": {{"{address}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#);
    std::fs::write(directory.path().join("config.json"), config).unwrap();
    let credentials = CredentialStore::new(Some(directory.path().to_owned()));
    let engine = Docker::new(engine.endpoint().clone(), credentials);
    let text = format!("FROM {address}/closed/image:1\n");
    let (outcome, _) = build(&engine, &request(&name, &text, Files::new()));
    assert!(matches!(outcome, BuildOutcome::Failed(_)), "{outcome:?}");
    assert_eq!(seen.try_recv().as_deref(), Ok("Basic bWU6c2VjcmV0"), "{outcome:?}");
}

#[test]
fn engine_info_is_reported() {
    let Some(engine) = engine_or_skip() else { return };
    let info = engine.info().unwrap();
    assert_eq!(info.name, "docker");
    assert!(info.version.starts_with(|c: char| c.is_ascii_digit()), "{info:?}");
    assert!(info.platform().os == "linux", "{info:?}");
    let described = output_of(&mut docker(&["info", "--format", "{{.NCPU}}"]));
    let capacity = engine.capacity().unwrap().map(|capacity| capacity.cpus);
    assert_eq!(capacity, Some(described.trim().parse().unwrap()));
}

#[test]
fn a_child_uses_the_latest_build_of_its_parent() {
    let Some(engine) = engine_or_skip() else { return };
    let name = Name::new();
    let parent = name.reference("-parent");
    let child = format!("FROM {parent}\nCOPY c c\n");
    let mut below = Vec::new();
    for number in 1..=3 {
        let files = Files::new().and("a", format!("{number} {}", name.label()));
        let mut first = request(&name, "FROM scratch\nCOPY . .\n", files);
        first.references = vec![parent.clone()];
        let mut second = request(&name, &child, Files::new().and("c", "same"));
        (first.no_cache, second.no_cache) = (false, false);
        build(&engine, &first);
        build(&engine, &second);
        let parent = engine.inspect(&parent).unwrap().unwrap().diff_ids;
        let child = engine.inspect(&name.reference("")).unwrap().unwrap().diff_ids;
        assert_eq!(child[..1], parent[..]);
        below.extend(parent);
    }
    below.dedup();
    assert_eq!(below.len(), 3);
}
