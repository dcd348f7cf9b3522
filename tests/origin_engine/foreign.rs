//! Images that others built on ours.

use super::tree::Tree;
use crate::common::Files;

/// A base, and an image that someone builds on it without the program.
struct Case {
    base: &'static str,
    foreign: &'static str,
    labels: &'static [(&'static str, &'static str)],
}

const CASES: [Case; 15] = [
    // The last line is the same.
    Case {
        base: "FROM scratch\nCOPY f /f\nCMD [\"sh\"]\n",
        foreign: "FROM NS/x-base\nCMD [\"sh\"]\n",
        labels: &[],
    },
    Case {
        base: "FROM scratch\nCOPY . /app\n",
        foreign: "FROM NS/x-base\nCOPY main.py /app/\n",
        labels: &[],
    },
    Case {
        base: "FROM scratch\nCOPY f /app/\n",
        foreign: "FROM NS/x-base\nENV EVIL=1\nCOPY f /app/\n",
        labels: &[],
    },
    Case { base: "FROM scratch\nENV A=1\n", foreign: "FROM NS/x-base\nENV A=1\n", labels: &[] },
    Case { base: "FROM scratch\nUSER me\n", foreign: "FROM NS/x-base\nUSER me\n", labels: &[] },
    Case { base: "FROM scratch\nVOLUME /v\n", foreign: "FROM NS/x-base\nVOLUME /w\n", labels: &[] },
    Case {
        base: "FROM scratch\nHEALTHCHECK CMD [\"a\"]\n",
        foreign: "FROM NS/x-base\nHEALTHCHECK CMD [\"b\"]\n",
        labels: &[],
    },
    Case { base: "FROM scratch\nARG A=1\n", foreign: "FROM NS/x-base\nARG A=2\n", labels: &[] },
    // No instruction leaves an entry in the history.
    Case {
        base: "FROM scratch\nENV A=1\n",
        foreign: "FROM NS/x-base\nONBUILD ENV X=1\n",
        labels: &[],
    },
    Case {
        base: "FROM scratch\nENV A=1\n",
        foreign: "FROM NS/x-base\n",
        labels: &[("foo", "bar")],
    },
    Case {
        base: "FROM scratch\nLABEL foo=1\n",
        foreign: "FROM NS/x-base\n",
        labels: &[("foo", "2")],
    },
    Case {
        base: "FROM scratch\nONBUILD ENV X=1\nENV A=1\n",
        foreign: "FROM NS/x-base\nONBUILD ENV X=1\n",
        labels: &[],
    },
    // Several instructions, and stages.
    Case {
        base: "FROM scratch\nENV A=1\nENV A=1\n",
        foreign: "FROM NS/x-base AS one\nENV B=1\nFROM one\nENV A=1\nENV A=1\n",
        labels: &[],
    },
    Case {
        base: "FROM scratch\nCOPY f /f\n",
        foreign: "FROM scratch AS none\nFROM NS/x-base\nCOPY --from=NS/x-base / /g/\n",
        labels: &[],
    },
    Case {
        base: "FROM scratch\nMAINTAINER me\n",
        foreign: "FROM NS/x-base\nMAINTAINER you\n",
        labels: &[],
    },
];

#[test]
fn foreign_images_built_on_an_image_never_replace_it() {
    for Case { base, foreign, labels } in CASES {
        let Some(tree) = Tree::new_or_skip() else { return };
        tree.write("docker/base/f", "f");
        tree.write("docker/base/main.py", "ours");
        tree.dockerfile("base", base);
        tree.build();
        let ours = tree.inspect("base");
        let other = tree.name.reference("/foreign:latest");
        let files = Files::new().and("main.py", "theirs").and("f", "theirs");
        tree.by_hand(foreign, &other, labels, files);
        let theirs = layers::engine::ImageStore::inspect(&tree.docker, &other).unwrap().unwrap();
        assert_ne!(ours.id, theirs.id, "{foreign}");
        tree.docker(&["image", "rm", &tree.reference("base")]);
        for forgets in [false, true] {
            if forgets {
                tree.forget();
            }
            // If the original still exists without a name, it gets its name back.
            let verdict = tree.verdict("base");
            let is_held =
                layers::engine::ImageStore::inspect(&tree.docker, &ours.id).unwrap().is_some();
            assert_eq!(verdict, if is_held { "fresh" } else { "build" }, "{foreign} {forgets}");
            let printed = tree.build();
            let now = tree.inspect("base");
            assert_eq!(now.diff_ids, ours.diff_ids, "{foreign}: {printed}");
            assert_eq!(now.config, ours.config, "{foreign}: {printed}");
            assert_ne!(now.id, theirs.id, "{foreign}: {printed}");
            tree.docker(&["image", "rm", &tree.reference("base")]);
        }
        // Under our name, it still does not count as ours.
        tree.docker(&["image", "tag", &other, &tree.reference("base")]);
        tree.build();
        assert_eq!(tree.inspect("base").config, ours.config, "{foreign}");
    }
}

#[test]
fn images_are_built_if_the_engine_has_only_a_foreign_image() {
    let Some(tree) = Tree::new_or_skip() else { return };
    tree.write("docker/base/f", "f");
    tree.dockerfile("base", "FROM scratch\nCOPY f /f\nCMD [\"sh\"]\n");
    tree.build();
    let ours = tree.inspect("base");
    let other = tree.name.reference("/foreign:latest");
    tree.by_hand("FROM NS/x-base\nCMD [\"sh\"]\n", &other, &[], Files::new());
    // An archive does not contain a parent, and neither does a registry.
    let archive = tempfile::NamedTempFile::new().unwrap();
    let path = archive.path().to_str().unwrap();
    tree.docker(&["save", "--output", path, &other]);
    tree.docker(&["image", "rm", &other, &tree.reference("base")]);
    tree.docker(&["load", "--input", path]);
    for _ in 0..2 {
        assert_eq!(tree.verdict("base"), "build");
        tree.forget();
    }
    let printed = tree.build();
    assert!(printed.contains("base: built"), "{printed}");
    assert_eq!(tree.inspect("base").config, ours.config);
}
