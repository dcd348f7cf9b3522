//! The cases of `inputs.json` and `parents.json`: if BuildKit ran a step again, the key is different; if
//! everything was cached, the key is the same.
//!
//! Owns a small tree per rule and the exceptions, with a reason for each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use layers::base::{RelPath, Source, UnitId};
use layers::engine::StoredImage;
use layers::graph::evaluate::DependencyKind;
use layers::graph::images::Candidate;
use layers::graph::link::{LinkSettings, ParsedImage, link};
use layers::graph::naming::NamingSettings;
use layers::graph::reference::Reference;
use layers::graph::units::Units;
use layers::inputs::gather::GatherRequest;
use layers::inputs::key::{DependencyInputs, DependencyName};
use layers::inputs::{Externals, Identity, Inputs, gather};
use layers::parse::parse;
use layers::state::Digests;

/// Returns the inputs of the only Dockerfile in a directory.
fn inputs(root: &Path, arguments: &str) -> Inputs {
    let path = RelPath::new("Dockerfile").unwrap();
    let text = fs::read_to_string(root.join("Dockerfile")).unwrap();
    let candidate = Candidate::new("image", path.clone());
    let build_args = arguments.split_whitespace().map(|it| it.split_once('=').unwrap());
    let settings = LinkSettings {
        build_args: build_args.map(|(a, b)| (a.to_owned(), b.to_owned())).collect(),
        build_platform: "linux/amd64".parse().unwrap(),
        ..LinkSettings::default()
    };
    let read = ParsedImage { candidate, file: parse(&Source::new(path, text)) };
    let naming = NamingSettings { directory: "shop".to_owned(), ..NamingSettings::default() };
    let (graph, problems) = link(vec![read], &naming, &settings);
    assert!(problems.iter().all(|problem| !problem.is_error()), "{problems:?}");
    let externals = Externals::new();
    let attestations = layers::engine::Attestations::default();
    let units = Units::for_one(1, "linux/amd64".parse().unwrap());
    let gather_request = GatherRequest {
        root,
        graph: &graph,
        units: &units,
        externals: &externals,
        attestations: &attestations,
    };
    let mut own = gather(gather_request, &[UnitId(0)], &mut Digests::default());
    own[UnitId(0)].take().unwrap().unwrap().inputs
}

/// A rule: the Dockerfile and the arguments before and after, and the change to the files.
struct Rule {
    id: &'static str,
    before: &'static str,
    after: &'static str,
    arguments: [&'static str; 2],
    edit: fn(&Path),
}

const START: &str = "FROM scratch\nCOPY busybox /bin/busybox\n";
const PLAIN: &str = "COPY a.txt dir /x/\nRUN [\"/bin/busybox\", \"true\"]\n";

fn nothing(_: &Path) {}

fn files(id: &'static str, edit: fn(&Path)) -> Rule {
    Rule { id, before: PLAIN, after: PLAIN, arguments: [""; 2], edit }
}

fn text(id: &'static str, before: &'static str, after: &'static str) -> Rule {
    Rule { id, before, after, arguments: [""; 2], edit: nothing }
}

fn mode(root: &Path, path: &str, mode: u32) {
    fs::set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
}

fn write(root: &Path, path: &str, text: &str) {
    fs::write(root.join(path), text).unwrap();
}

/// Changes only the times of a file.
fn touch(root: &Path, path: &str) {
    let file = fs::File::options().append(true).open(root.join(path)).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7)).unwrap();
}

const MOUNT: &str = "RUN --mount=source=dir,target=/d [\"/bin/busybox\", \"true\"]\n";

fn file_rules() -> Vec<Rule> {
    let mounted = |id, edit| Rule { before: MOUNT, after: MOUNT, ..files(id, edit) };
    vec![
        files("K02", |root| touch(root, "a.txt")),
        files("K04", |root| mode(root, "a.txt", 0o755)),
        files("K05", |root| mode(root, "a.txt", 0o664)),
        files("K06", |root| chown(root.join("a.txt"), Some(1234), Some(1234)).unwrap_or(())),
        files("K07", |root| fs::rename(root.join("dir/one"), root.join("dir/uno")).unwrap()),
        files("K09", |root| write(root, "unread", "x")),
        files("K10", |root| write(root, "dir/ignored", "other")),
        files("K12", |root| fs::create_dir(root.join("dir/empty")).unwrap()),
        files("K14", |root| mode(root, "dir", 0o700)),
        files("K15", |root| {
            fs::remove_file(root.join("dir/link")).unwrap();
            symlink("sub/two", root.join("dir/link")).unwrap();
        }),
        files("K16", |root| {
            fs::rename(root.join("dir/one"), root.join("unread")).unwrap();
            symlink("../unread", root.join("dir/one")).unwrap();
        }),
        files("K18", nothing),
        files("K19", |root| {
            fs::remove_file(root.join("dir/copy")).unwrap();
            fs::hard_link(root.join("dir/one"), root.join("dir/copy")).unwrap();
        }),
        mounted("K37", |root| write(root, "dir/one", "other")),
        mounted("K38", |root| write(root, "a.txt", "other")),
        mounted("K39", |root| touch(root, "dir/one")),
        files("K43", |root| mode(root, "a.txt", 0o4755)),
        files("K48", |root| write(root, "a.txt", "a\r\n")),
        files("K49", |root| write(root, "a.txt", "b\n")),
        Rule {
            before: "COPY dir/sub /x/sub/\n",
            after: "COPY dir/sub /x/sub/\n",
            ..files("K51", |root| mode(root, "dir/sub", 0o700))
        },
        files("K52", |root| write(root, ".dockerignore", "dir/ignored\ndir/one\n")),
        Rule {
            before: "COPY a.txt /q\nRUN true\n",
            after: "COPY a.txt /q\nRUN true\n",
            ..files("K42", |root| write(root, "a.txt", "other"))
        },
    ]
}

fn text_rules() -> Vec<Rule> {
    let declared = |id, before, after| Rule { arguments: [before, after], ..files(id, nothing) };
    let with_argument = |rule: Rule, text| Rule { before: text, after: text, ..rule };
    let argument = "ARG V\nRUN [\"/bin/busybox\", \"true\"]\n";
    vec![
        text("K22", "RUN /bin/busybox true x\n", "RUN /bin/busybox true  x\n"),
        with_argument(declared("K24", "V=1", "V=2"), argument),
        with_argument(declared("K25", "", "V=1"), argument),
        with_argument(declared("K26", "", "V="), argument),
        with_argument(declared("K27", "V=1", "V=2"), "ARG V\nCOPY a.txt /x/\n"),
        text("K28", "ENV A=1\nRUN true\n", "ENV A=2\nRUN true\n"),
        text("K30", "LABEL a=1\nCMD [\"x\"]\n", "LABEL a=2\nCMD [\"y\"]\n"),
        text("K31", "USER 1\nWORKDIR /a\nRUN true\n", "USER 2\nWORKDIR /a\nRUN true\n"),
        text("K32", "COPY a.txt dir /x/\n", "COPY --chown=1:1 a.txt dir /x/\n"),
        text("K33", "COPY a.txt dir /x/\n", "COPY a.txt dir /y/\n"),
        text(
            "K34",
            "FROM scratch AS a\nCOPY a.txt /\nFROM a\nCOPY --from=a /a.txt /b\n",
            "FROM scratch AS z\nCOPY a.txt /\nFROM z\nCOPY --from=1 /a.txt /b\n",
        ),
        text("K40", "COPY <<EOF /h\none\nEOF\n", "COPY <<EOF /h\ntwo\nEOF\n"),
        text("K41", "COPY a.txt /x\n", "COPY a2.txt /x\n"),
        files("K45", nothing),
        declared("K47", "SOURCE_DATE_EPOCH=1", "SOURCE_DATE_EPOCH=2"),
        text(
            "K50",
            "RUN --mount=type=cache,target=/c [\"/bin/busybox\", \"true\"]\n",
            "RUN --mount=type=cache,target=/c2 [\"/bin/busybox\", \"true\"]\n",
        ),
        text("K55", "COPY p/f /x\n", "COPY q/f /x\n"),
    ]
}

/// The cases in which the key can change although all steps were cached, with reasons.
const MAY_CHANGE: &[(&str, &str)] = &[
    ("K14", "BuildKit does not see the mode of a folder that it has already; the image would"),
    ("K51", "the same"),
    ("K49", "BuildKit compares its kept copy by size and time; we send the content"),
    ("K27", "the value of an argument is in the image's history"),
    ("K30", "the image's configuration changes"),
    ("K47", "the image's times change"),
    ("K55", "the words of a COPY are in the image's history"),
];

/// The cases in which the key must change although all steps were cached.
const MUST_CHANGE: &[&str] = &["K30", "K49"];

fn lay_out(root: &Path) {
    fs::create_dir_all(root.join("dir/sub")).unwrap();
    for directory in ["p", "q"] {
        fs::create_dir(root.join(directory)).unwrap();
        write(root, &format!("{directory}/f"), "f\n");
    }
    for (path, content) in [
        ("busybox", "busybox"),
        ("a.txt", "a\n"),
        ("a2.txt", "a\n"),
        ("dir/one", "1\n"),
        ("dir/copy", "1\n"),
        ("dir/sub/two", "2\n"),
        ("dir/ignored", "i\n"),
        (".dockerignore", "dir/ignored\n"),
    ] {
        write(root, path, content);
        mode(root, path, 0o644);
    }
    for directory in ["dir", "dir/sub", "p", "q"] {
        mode(root, directory, 0o755);
    }
    symlink("one", root.join("dir/link")).unwrap();
}

fn key_changes(rule: &Rule) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("repo");
    fs::create_dir(&root).unwrap();
    lay_out(&root);
    write(&root, "Dockerfile", &format!("{START}{}", rule.before));
    let before = inputs(&root, rule.arguments[0]);
    (rule.edit)(&root);
    write(&root, "Dockerfile", &format!("{START}{}", rule.after));
    let moved = directory.path().join("moved");
    fs::rename(&root, &moved).unwrap();
    let after = inputs(&moved, rule.arguments[1]);
    assert_eq!(before.key(), before.clone().key());
    before.key() != after.key()
}

fn cases(name: &str) -> Vec<serde_json::Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_key_changes_if_a_step_runs_again() {
    let rules: BTreeMap<&str, Rule> =
        file_rules().into_iter().chain(text_rules()).map(|rule| (rule.id, rule)).collect();
    let cases = cases("inputs.json");
    let ids: BTreeSet<&str> = cases.iter().map(|case| case["id"].as_str().unwrap()).collect();
    assert_eq!(ids, rules.keys().copied().collect());
    let mut wrong = Vec::new();
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let changes = key_changes(&rules[id]);
        let may = MAY_CHANGE.iter().any(|(it, _)| *it == id);
        let must = !case["all_steps_cached"].as_bool().unwrap() || MUST_CHANGE.contains(&id);
        if changes != must && !(changes && may) {
            wrong.push(format!("{id} {}: the key changes: {changes}", case["rule"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn equivalent_dockerfiles_have_the_same_key() {
    let same = |before, after| assert!(!key_changes(&text("", before, after)), "{before}{after}");
    let other = |before, after| assert!(key_changes(&text("", before, after)), "{before}{after}");
    same("RUN a b\n", "# c\n\nrun   a b\n");
    same("RUN a \\\n  b\n", "RUN   a \\\n# c\n  b\n");
    same("COPY a.txt /\n", "copy  a.txt \\\n   /\n");
    same("ENV A=1 B=2\n", "ENV   A=1   B=2\n");
    same("ARG A=1\nRUN x\n", "ARG   A=\"1\"\nRUN x\n");
    same("FROM scratch AS b\nRUN x\n", "FROM alpine AS unused\nRUN y\nFROM scratch AS b\nRUN x\n");
    other("ENV A=1 B=2\n", "ENV A 1 B=2\n");
    other("CMD a b\n", "CMD [\"a\", \"b\"]\n");
    other("HEALTHCHECK CMD x\n", "HEALTHCHECK --interval=9s CMD x\n");
    other("HEALTHCHECK CMD x\n", "HEALTHCHECK CMD [\"x\"]\n");
    other("HEALTHCHECK CMD x\n", "HEALTHCHECK NONE\n");
    other("HEALTHCHECK CMD x  y\n", "HEALTHCHECK CMD x y\n");
    same("HEALTHCHECK --retries=2 CMD x\n", "healthcheck   --retries=2 \\\n  cmd   x\n");
    same("HEALTHCHECK NONE\n", "healthcheck   none\n");
    same("EXPOSE 80 81\n", "expose   80   81\n");
    same("VOLUME /a /b\n", "volume   /a   /b\n");
    same("LABEL a=b c=d\n", "label   a=b   c=d\n");
    same("STOPSIGNAL 9\n", "stopsignal   9\n");
    same("USER a\n", "user   a\n");
    same("WORKDIR /a\n", "workdir   /a\n");
    same("SHELL [\"a\", \"b\"]\n", "shell   [\"a\",\"b\"]\n");
    same("CMD a  b\n", "cmd   a  b\n");
    same("ENTRYPOINT [\"a\", \"b\"]\n", "entrypoint   [ \"a\",\"b\" ]\n");
    same("ONBUILD RUN a\n", "onbuild   RUN a\n");
    same("RUN --network=none a b\n", "run   --network=none   a b\n");
    same("COPY --link --chmod=755 a.txt /\n", "copy   --chmod=755   --link a.txt   /\n");
    same("ADD --chown=1 a.txt /\n", "add   --chown=1   a.txt   /\n");
    other("RUN <<EOF\nx\nEOF\n", "RUN <<EOF\n x\nEOF\n");
    other("RUN x\nENV A=1\n", "ENV A=1\nRUN x\n");
    other("ARG A=1\nRUN x\n", "RUN x\nARG A=1\n");
    other("ONBUILD RUN x\n", "ONBUILD RUN y\n");
    other(
        "FROM scratch AS a\nFROM scratch AS b\nENV B=1\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /c\n",
        "FROM scratch AS a\nFROM scratch AS b\nENV B=1\nFROM scratch\nCOPY --from=b / /\nCOPY --from=a / /c\n",
    );
}

#[test]
fn an_unknown_frontend_uses_the_whole_context() {
    let directory = tempfile::tempdir().unwrap();
    lay_out(directory.path());
    let whole = |text: &str| {
        write(directory.path(), "Dockerfile", text);
        inputs(directory.path(), "").whole_context
    };
    assert!(!whole("# syntax=docker/dockerfile:1\nFROM scratch\n"));
    assert!(!whole("# syntax=docker/dockerfile:1.7-labs\nFROM scratch\n"));
    assert!(whole("# syntax=docker/dockerfile:10\nFROM scratch\n"));
    assert!(whole("# syntax=docker/dockerfile:master\nFROM scratch\n"));
    assert!(whole("# syntax=acme/frontend\nFROM scratch\n"));
}

#[test]
fn child_keys_depend_on_the_parent_as_in_buildkit() {
    let parent = |id: &str, changed: bool| {
        let (mut layers, mut config) = (vec!["sha256:a".to_owned()], serde_json::json!({}));
        match id {
            _ if !changed => {}
            "K60" => config["Labels"] = serde_json::json!({"dev.layers.key": "other"}),
            "K61" => config["Labels"] = serde_json::json!({"a": "b"}),
            "K62" => config["Env"] = serde_json::json!(["A=b"]),
            "K63" => layers.push("sha256:b".to_owned()),
            "K64" => config["OnBuild"] = serde_json::json!(["COPY f /g"]),
            other => panic!("{other} is new"),
        }
        Identity::of(&StoredImage { diff_ids: layers, config, ..StoredImage::default() })
    };
    let key = |identity: &Identity, kind: DependencyKind| {
        let name = DependencyName::Reference(Reference::parse("a/b").unwrap());
        let mut dependency = DependencyInputs {
            name,
            kind,
            platform: None,
            layers: None,
            config: None,
            unresolved: Vec::new(),
        };
        dependency.identify(Some(identity));
        Inputs { dependencies: vec![dependency], ..Inputs::default() }.key()
    };
    for case in cases("parents.json") {
        let id = case["id"].as_str().unwrap();
        let (before, after) = (parent(id, false), parent(id, true));
        let expected = case["child_digest_changed"].as_bool().unwrap();
        assert_eq!(
            key(&before, DependencyKind::From) != key(&after, DependencyKind::From),
            expected,
            "{id}"
        );
        let is_copy_changed =
            key(&before, DependencyKind::Copy) != key(&after, DependencyKind::Copy);
        assert_eq!(is_copy_changed, id == "K63", "{id}");
    }
}
