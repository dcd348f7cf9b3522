//! Images on externals that have triggers, move, or are given by named contexts.

use std::collections::BTreeSet;

use layers::engine::{Builder, Frontend, ImageStore, LabelFilter};

use super::tree::Tree;
use crate::common::between::Between;
use crate::common::{Files, TEST_LABEL, engine_or_skip};

/// Builds an external image with the label of the test.
fn external(tree: &Tree, name: &str, more: &str) -> String {
    let reference = tree.name.reference(name);
    let text = format!("FROM scratch\nLABEL {TEST_LABEL}={}\n{more}", tree.name.label());
    tree.by_hand(&text, &reference, &[], Files::with_busybox().and("f", "external"));
    reference
}

#[test]
fn arguments_declared_by_triggers_of_an_external_are_inputs() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let base = external(&tree, "/ext:1", "ONBUILD ARG X\nONBUILD ENV Y=$X\nENV A=1\n");
    tree.dockerfile("app", &format!("FROM {base}\nENV B=1\n"));
    tree.configure("[args]\nX = \"one\"\n");
    tree.build();
    assert!(tree.inspect("app").config["Env"].to_string().contains("Y=one"));
    assert_eq!(tree.verdict("app"), "fresh");
    tree.configure("[args]\nX = \"two\"\n");
    assert_eq!(tree.verdict("app"), "build");
    tree.build();
    assert!(tree.inspect("app").config["Env"].to_string().contains("Y=two"));
    // An argument that no trigger declares has no effect.
    tree.configure("[args]\nX = \"two\"\nZ = \"one\"\n");
    assert_eq!(tree.verdict("app"), "fresh");
    tree.forget();
    assert_eq!(tree.verdict("app"), "fresh", "our own image proves its origin");
}

#[test]
fn triggers_of_an_external_read_the_context_of_the_image() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let more = "COPY bin /bin\nONBUILD COPY read /read\nONBUILD ADD added /added\n\
                ONBUILD RUN --mount=type=bind,source=bound,target=/m cat /m > /bound\n";
    let base = external(&tree, "/ext:1", more);
    tree.dockerfile("app", &format!("FROM {base}\nENV B=1\n"));
    for file in ["read", "added", "bound", "unread"] {
        tree.write(&format!("docker/app/{file}"), "one");
    }
    tree.build();
    for (file, expected) in
        [("read", "build"), ("added", "build"), ("bound", "build"), ("unread", "fresh")]
    {
        tree.write(&format!("docker/app/{file}"), "two");
        assert_eq!(tree.verdict("app"), expected, "{file}");
        tree.build();
    }
}

#[test]
fn a_graph_with_verdicts_is_drawn_without_the_triggers_of_externals() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let trigger = format!("ONBUILD RUN --mount=from={},target=/m true\n", tree.reference("tool"));
    let base = external(&tree, "/ext:1", &format!("COPY bin /bin\n{trigger}"));
    tree.dockerfile("tool", "FROM scratch\nENV A=1\n");
    tree.dockerfile("app", &format!("FROM {base}\nENV B=1\n"));
    let edges = |words: &[&str]| -> Vec<String> {
        let (out, _) = tree.run(&[&["graph", "--dot"], words].concat(), 0);
        out.lines().filter(|line| line.contains("->")).map(str::to_owned).collect()
    };
    let (plan, _) = tree.run(&["plan", "app"], 0);
    assert!(plan.contains("tool"), "app depends on tool only by the trigger: {plan}");
    assert_eq!(edges(&["--color-by", "verdict"]), edges(&[]));
    let (drawn, _) = tree.run(&["graph", "--color-by", "verdict"], 0);
    assert!(drawn.contains("app  [build]"), "{drawn}");
}

#[test]
fn images_named_by_triggers_of_an_external_are_dependencies() {
    let Some(tree) = Tree::new_or_skip() else { return };
    if !tree.has_frontend(Frontend::new(1, 11)) {
        println!("skipped: the engine's frontend has no triggers with `--from`");
        return;
    }
    let tool = tree.reference("tool");
    let other = external(&tree, "/other:1", "COPY f /f\n");
    let more = format!(
        "COPY bin /bin\nONBUILD COPY --from={tool} /f /tool\n\
         ONBUILD RUN --mount=from={other},target=/m cat /m/f > /other\n"
    );
    let base = external(&tree, "/ext:1", &more);
    tree.write("docker/tool/f", "one");
    tree.dockerfile("tool", "FROM scratch\nCOPY f /f\n");
    tree.dockerfile("app", &format!("FROM {base}\nENV B=1\n"));
    let (out, _) = tree.run(&["plan", "app"], 0);
    assert!(out.contains("tool"), "{out}");
    // Nothing else shows that tool must be built first, and its name is last.
    tree.run(&["build", "app", "--progress", "plain", "-j2"], 0);
    assert_eq!(tree.verdict("app"), "fresh");
    tree.write("docker/tool/f", "two");
    assert_eq!(tree.verdict("app"), "waits");
    let printed = tree.build();
    assert!(printed.contains("app: built"), "{printed}");
    let text = format!("FROM scratch\nLABEL {TEST_LABEL}={}\nCOPY f /f\n", tree.name.label());
    tree.by_hand(&text, &other, &[], Files::new().and("f", "moved"));
    assert_eq!(tree.verdict("app"), "build");
}

#[test]
fn invalid_triggers_of_an_external_are_reported_before_building() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let base = external(&tree, "/ext:1", "ONBUILD COPY a\nENV A=1\n");
    tree.dockerfile("app", &format!("FROM {base}\nENV B=1\n"));
    for words in [&["plan"][..], &["build", "--all"], &["why", "app"]] {
        let (out, err) = tree.run(words, 3);
        assert_eq!(out, "");
        assert!(err.contains("(ONBUILD):1:") && err.contains("the trigger runs here"), "{err}");
    }
}

#[test]
fn named_contexts_are_passed_under_the_name_that_buildkit_looks_up() {
    let Some(tree) = Tree::new_or_skip() else { return };
    if !tree.has_frontend(Frontend::new(1, 4)) {
        println!("skipped: the engine's frontend has no named contexts");
        return;
    }
    let written = tree.name.reference("/y");
    let decoy = external(&tree, "/y:latest", "ENV DECOY=1\n");
    let names = [
        decoy.clone(),
        written.clone(),
        format!("docker.io/{written}"),
        format!("index.docker.io/{decoy}"),
    ];
    tree.dockerfile("base", "FROM scratch\nENV REAL=1\n");
    for (number, name) in names.iter().enumerate() {
        for from in [&written, &decoy, &format!("docker.io/{written}")] {
            tree.configure(&format!("[contexts]\n\"{name}\" = \"base\"\n"));
            tree.dockerfile("app", &format!("FROM {from}\nENV N={number}\n"));
            tree.build();
            let environment = tree.inspect("app").config["Env"].to_string();
            assert!(
                environment.contains("REAL") && !environment.contains("DECOY"),
                "{name} {from}"
            );
            tree.forget();
            assert_eq!(tree.verdict("app"), "fresh", "{name} {from}");
        }
    }
    tree.configure(&format!("[contexts]\n\"{written}\" = \"base\"\n\"{decoy}\" = \"base\"\n"));
    let (_, err) = tree.run(&["plan"], 3);
    assert!(err.contains("name the same context"), "{err}");
    tree.configure("[contexts]\n\"No Name\" = \"base\"\n");
    let (_, err) = tree.run(&["plan"], 3);
    assert!(err.contains("`No Name` is not a valid context name"), "{err}");
}

/// Moves a name to another image while something is built on it, and moves it back before the result is
/// checked. The build's own connection is opened after the plan and before BuildKit looks up the name. The
/// first image that is inspected after that is the result.
fn moves_and_moves_back(between: &Between, tree: &Tree, name: &str, [away, back]: [&str; 2]) {
    for (request, to) in [("/grpc", away), ("/images/sha256:", back)] {
        let (name, id) = (name.to_owned(), tree.docker.inspect(to).unwrap().unwrap().id);
        between.before_request(request, move || engine_or_skip().unwrap().tag(&id, &name).unwrap());
    }
}

#[test]
fn an_external_that_moves_and_moves_back_is_not_used_as_base() {
    let Some(tree) = Tree::new_or_skip() else { return };
    // The same layers, so that only the configuration differs.
    let planned = external(&tree, "/planned:1", "COPY f /f\nENV WHICH=planned\n");
    let other = external(&tree, "/other:1", "COPY f /f\nENV WHICH=other\n");
    let moving = tree.name.reference("/moving:1");
    tree.docker(&["tag", &planned, &moving]);
    tree.dockerfile("app", &format!("FROM {moving}\nENV B=1\n"));
    let between = Between::new(&tree.docker);
    moves_and_moves_back(&between, &tree, &moving, [&other, &planned]);
    let tree = tree.through(&between.socket());
    let ran = tree.run_any(&["build", "--all", "--progress", "plain"]);
    let held = tree.docker.inspect(&tree.reference("app")).unwrap();
    match (ran, held) {
        // Engines with named contexts use the planned image.
        (0, Some(held)) => {
            assert!(held.config["Env"].to_string().contains("WHICH=planned"), "{}", held.config);
        }
        // Other engines detect it afterward, and no image has the key.
        (4, held) => {
            assert!(held.is_none(), "{held:?}");
            assert!(!tree.has_frontend(Frontend::new(1, 4)), "the parent is given by its own name");
        }
        (code, _) => panic!("ended with {code}"),
    }
    let left: BTreeSet<String> =
        tree.docker.inspect(&planned).unwrap().unwrap().references.into_iter().collect();
    assert!(left.iter().all(|name| !name.starts_with("layers.invalid/")), "{left:?}");
}

#[test]
fn copies_from_an_external_that_moves_and_moves_back_are_discarded() {
    let check = |instruction: &str| {
        let Some(tree) = Tree::new_or_skip() else { return };
        let planned = external(&tree, "/planned:1", "COPY bin/busybox /busybox\nCOPY f /f\n");
        let other =
            external(&tree, "/other:1", "COPY bin/busybox /busybox\nCOPY f /wrong\nCOPY f /f\n");
        let moving = tree.name.reference("/moving:1");
        tree.docker(&["tag", &planned, &moving]);
        let text = |name: &str| {
            format!("FROM {planned}\nENV A=1\n{}\n", instruction.replace("NAME", name))
        };
        tree.dockerfile("app", &text(&moving));
        let right = tree.name.reference("/right:1");
        // The last stage may not inherit the label by which the images of a test are removed.
        let label = [(TEST_LABEL, tree.name.label())];
        tree.by_hand(&text(&planned), &right, &label, Files::new());
        let right = tree.docker.inspect(&right).unwrap().unwrap().diff_ids;
        let between = Between::new(&tree.docker);
        moves_and_moves_back(&between, &tree, &moving, [&other, &planned]);
        let tree = tree.through(&between.socket());
        let ran = tree.run_any(&["build", "--all", "--progress", "plain"]);
        match (ran, tree.docker.inspect(&tree.reference("app")).unwrap()) {
            // Engines with named contexts use the planned image.
            (0, Some(held)) => assert_eq!(held.diff_ids, right, "{instruction}"),
            // Others report afterward that something moved, and no image has the key.
            (4, held) => {
                assert!(held.is_none(), "{instruction}: {held:?}");
                assert!(
                    !tree.has_frontend(Frontend::new(1, 4)),
                    "{instruction}: it has a name of its own"
                );
                assert_eq!(tree.verdict("app"), "build", "{instruction}");
            }
            (code, _) => panic!("{instruction}: ended with {code}"),
        }
    };
    check("COPY --from=NAME / /all/");
    check("RUN --mount=from=NAME,target=/m [\"/m/busybox\", \"cp\", \"-r\", \"/m\", \"/all\"]");
    check("FROM NAME AS other\nFROM scratch\nCOPY --from=other / /all/");
}

#[test]
fn attested_builds_reject_moved_externals_and_omit_internal_names() {
    let Some(tree) = Tree::new_or_skip() else { return };
    if !tree.docker.features().unwrap().attestations {
        println!("skipped: the engine does not have containerd's image store, and cannot attest");
        return;
    }
    let (planned, other) = (tree.name.reference("/planned:1"), tree.name.reference("/other:1"));
    for (name, content) in [(&planned, "planned"), (&other, "other")] {
        let text = format!("FROM scratch\nLABEL {TEST_LABEL}={}\nCOPY f /f\n", tree.name.label());
        tree.by_hand(&text, name, &[], Files::new().and("f", content));
    }
    let moving = tree.name.reference("/moving:1");
    tree.docker(&["tag", &planned, &moving]);
    tree.dockerfile("base", "FROM scratch\nENV A=1\n");
    tree.dockerfile("app", &format!("FROM NS/x-base\nCOPY --from={moving} /f /g\n"));
    let words = ["build", "--all", "--progress", "plain", "--provenance=mode=max"];
    tree.run(&words, 0);
    let saved = tempfile::NamedTempFile::new().unwrap();
    let path = saved.path().to_str().unwrap();
    tree.docker(&["image", "save", &tree.reference("app"), "--output", path]);
    let archive = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let materials = format!("pkg:docker/{}", moving.split(':').next().unwrap());
    assert!(archive.contains(&materials), "the provenance names what was copied from");
    assert!(!archive.contains("layers.invalid"), "and no name of ours");
    // Now it moves while the child is built, and moves back.
    tree.dockerfile("app", &format!("FROM NS/x-base\nCOPY --from={moving} /f /h\n"));
    let between = Between::new(&tree.docker);
    moves_and_moves_back(&between, &tree, &moving, [&other, &planned]);
    let before = tree.inspect("app").id;
    let tree = tree.through(&between.socket());
    assert_eq!(tree.run_any(&words), 4);
    let held = tree.docker.list(LabelFilter::named("dev.layers.key")).unwrap();
    let named = held.iter().filter(|it| it.references.contains(&tree.reference("app")));
    assert!(named.into_iter().all(|it| it.id == before), "nothing is left under the key");
}

#[test]
fn force_rereads_files_changed_with_the_same_timestamps() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let tree = tree.moved_to_tmpfs();
    tree.write("docker/app/f", "one");
    tree.dockerfile("app", "FROM scratch\nCOPY f /f\n");
    let mut mapped = tree.map("docker/app/f");
    // Old enough that its digest is stored.
    std::thread::sleep(std::time::Duration::from_millis(50));
    tree.build();
    for (option, content) in [("--force", "two"), ("--no-cache", "six")] {
        let before = tree.inspect("app");
        mapped.change(content);
        assert_eq!(tree.verdict("app"), "fresh", "as documented, only reading the file can tell");
        tree.run(&["build", "app", option, "--progress", "plain"], 0);
        assert_ne!(tree.inspect("app").diff_ids, before.diff_ids, "{option}");
        assert_eq!(tree.verdict("app"), "fresh");
    }
}
