//! Our own images, whose origin can be proved whatever they consist of.

use layers::engine::{Frontend, ImageStore};

use super::tree::Tree;
use crate::common::busybox;

/// Returns a tar archive of files.
fn tar(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// Returns an image with one layer and no history, in the format of `docker save`.
fn without_history(reference: &str, label: &str) -> Vec<u8> {
    let shell = busybox();
    let layer = tar(&[("bin/sh", &shell, 0o755), ("bin/busybox", &shell, 0o755)]);
    let digest = ring::digest::digest(&ring::digest::SHA256, &layer);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let config = serde_json::json!({
        "os": "linux", "architecture": "amd64",
        "config": { "Env": ["FROM_BASE=yes"], "Labels": { crate::common::TEST_LABEL: label } },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{hex}")] },
    });
    let manifest = serde_json::json!([{
        "Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"],
    }]);
    let [config, manifest] = [config, manifest].map(|json| serde_json::to_vec(&json).unwrap());
    tar(&[
        ("config.json", &config, 0o644),
        ("layer.tar", &layer, 0o644),
        ("manifest.json", &manifest, 0o644),
    ])
}

/// Instructions of every kind. `EXT` is an external image with a shell.
const PLAIN: [&str; 26] = [
    "FROM scratch\nCOPY f /f\n",
    "FROM scratch\nENV A=1 B=\"two words\"\nENV C d\n",
    "FROM scratch\nLABEL a=b \"c d\"='e f'\n",
    "FROM scratch\nARG X=1\nLABEL x=$X y=\"${X:-2}\"\nARG Y\nCMD [\"a\"]\n",
    "ARG G=scratch\nFROM $G\nEXPOSE 80 443/udp\nVOLUME /v /w\nSTOPSIGNAL SIGTERM\n",
    "FROM scratch\nHEALTHCHECK --interval=5s CMD [\"a\"]\n",
    "FROM scratch\nHEALTHCHECK NONE\nUSER 1\nWORKDIR a\nWORKDIR b\n",
    "FROM scratch\nSHELL [\"/bin/sh\", \"-c\"]\nENTRYPOINT [\"x\"]\nCMD y\n",
    "FROM scratch\nMAINTAINER me\nentrypoint [\"x\"]\n",
    "FROM scratch AS one\nCOPY f /f\nLABEL l=1\nFROM one AS two\nLABEL l=2\nENV A=1\nFROM two\nCMD a\n",
    "FROM scratch AS one\nONBUILD ENV T=1\nONBUILD LABEL t=1\nCOPY f /f\nFROM one\nLABEL l=2\n",
    "FROM scratch\nONBUILD RUN a\nONBUILD\tCOPY  f   /f  \nonbuild   env a=b\t\nCOPY f /\n",
    "FROM scratch\nONBUILD \\\n  RUN a \\\n  b\nADD f /f\n",
    "FROM EXT\nRUN echo a > /a\nRUN [\"/bin/sh\", \"-c\", \"true\"]\n",
    "FROM EXT\nARG X=1\nRUN echo $X\nENV Y=$X\nRUN :\n",
    "FROM EXT\nLABEL from=\"$FROM_BASE\" none=$NOT_SET\n",
    "FROM EXT AS a\nENV V=1\nFROM a\nLABEL v=$V f=${FROM_BASE}\nRUN true\n",
    "FROM EXT\nRUN --mount=type=cache,target=/c true\nCOPY --chown=1:1 f /f\n",
    "FROM EXT\nCOPY --from=EXT /bin/sh /sh\n",
    "FROM EXT\n",
    "FROM EXT\nONBUILD ENV A=1\n",
    "FROM EXT\nONBUILD \x0bENV A=1\nENV B=1\n",
    "FROM scratch\nCOPY d/ /d/\nADD a.tar /t/\nCOPY f g* /m/\n",
    "FROM scratch\nWORKDIR /\nENV A=\"\"\nLABEL e=\"\"\n",
    "FROM scratch\nCMD []\n",
    "FROM scratch AS x\nCOPY f /f\nFROM scratch\nCOPY --from=x /f /g\nCOPY --from=0 /f /h\n",
];

/// Instructions that need `docker/dockerfile` 1.4 or later.
const MODERN: [&str; 4] = [
    "FROM EXT\nRUN <<EOF\necho a\nEOF\nCOPY <<a <<b /d/\n1\na\n2\nb\n",
    "FROM EXT\nCOPY --link f /f\nCOPY --link --from=EXT /bin/sh /sh\nENV A=1\n",
    "FROM scratch\nCOPY --link f /f\n",
    "FROM scratch\nONBUILD COPY <<EOF /d\nx\nEOF\nENV A=${A-w}\n",
];

#[test]
fn the_origin_of_our_own_images_is_proved() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let mut cases: Vec<(String, String)> = Vec::new();
    let modern = if tree.has_frontend(Frontend::new(1, 4)) { &MODERN[..] } else { &[] };
    // Three bases: an imported one, one without a history, and one that layers builds.
    let imported = tree.name.reference("/imported:1");
    let archive = tempfile::NamedTempFile::new().unwrap();
    let shell = busybox();
    let files = tar(&[("bin/sh", &shell, 0o755), ("bin/busybox", &shell, 0o755)]);
    std::fs::write(archive.path(), files).unwrap();
    let label = format!("LABEL {}={}", crate::common::TEST_LABEL, tree.name.label());
    let path = archive.path().to_str().unwrap();
    tree.docker(&["import", "--change", &label, "--change", "ENV FROM_BASE=yes", path, &imported]);
    let bare = tree.name.reference("/bare:1");
    tree.load(&without_history(&bare, tree.name.label()));
    for (number, text) in PLAIN.iter().chain(modern).enumerate() {
        for (kind, external) in [("imported", &imported), ("bare", &bare)] {
            if kind == "bare" && !text.contains("EXT") {
                continue;
            }
            cases.push((format!("c{number}{kind}"), text.replace("EXT", external)));
        }
    }
    cases.push(("parent".into(), format!("FROM {bare}\nONBUILD LABEL t=1\nONBUILD RUN true\n")));
    cases.push(("child".into(), "FROM NS/x-parent\nRUN echo b > /b\nLABEL c=1\n".into()));
    cases.push(("grandchild".into(), "FROM NS/x-child\nCMD [\"g\"]\n".into()));
    for (name, text) in &cases {
        tree.dockerfile(name, text);
        for (file, content) in [("f", "f"), ("g1", "g"), ("g2", "g"), ("d/x", "x"), ("d/y/z", "z")]
        {
            tree.write(&format!("docker/{name}/{file}"), content);
        }
        tree.write(&format!("docker/{name}/a.tar"), tar(&[("t", b"t", 0o644)]));
    }
    tree.build();
    tree.forget();
    let (out, _) = tree.run(&["plan", "--json"], 0);
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    for row in plan.as_array().unwrap() {
        let image = row["image"].as_str().unwrap();
        let text = &cases.iter().find(|(name, _)| name == image).unwrap().1;
        let stored = tree.inspect(image);
        let history = tree.docker.history(&stored.id).unwrap();
        assert_eq!(row["verdict"], "fresh", "{text}\n{:?}\n{history:#?}", stored.labels);
    }
}

#[test]
fn a_rebuilt_base_with_identical_contents_keeps_its_child_fresh() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let base = |more: &str| tree.dockerfile("base", &format!("FROM scratch\nCOPY f /f\n{more}"));
    tree.write("docker/base/f", "f");
    tree.dockerfile("dev", "FROM NS/x-base\nENV A=1\n");
    base("");
    tree.build();
    let dev = tree.inspect("dev");
    base("ARG NOOP=1\n");
    let printed = tree.build();
    assert!(printed.contains("base: built") && !printed.contains("dev: built"), "{printed}");
    // Another machine with the same images.
    tree.forget();
    assert_eq!(tree.verdict("dev"), "fresh");
    tree.build();
    assert_eq!(tree.inspect("dev").id, dev.id);
}

#[test]
fn changing_the_author_of_a_base_rebuilds_its_children() {
    let Some(tree) = Tree::new_or_skip() else { return };
    tree.dockerfile("base", "FROM scratch\nENV A=1\nMAINTAINER one\n");
    tree.dockerfile("dev", "FROM NS/x-base\nENV B=1\n");
    tree.build();
    assert_eq!(tree.inspect("dev").author, "one");
    tree.dockerfile("base", "FROM scratch\nENV A=1\nMAINTAINER two\n");
    let printed = tree.build();
    assert!(printed.contains("dev: built"), "{printed}");
    assert_eq!(tree.inspect("dev").author, "two");
}

#[test]
fn parsed_triggers_match_those_that_the_engine_stores() {
    let Some(tree) = Tree::new_or_skip() else { return };
    let triggers = [
        "ONBUILD RUN x",
        "ONBUILD\tRUN x",
        "ONBUILD\x0bRUN x",
        "ONBUILD \x0b RUN x",
        "ONBUILD\x0cRUN x",
        "ONBUILD \\\n\n# c\n  RUN x",
        "ONBUILD \u{a0}RUN x",
        "onbuild RUN x  ",
        "ONBUILD RUN x\t",
        "ONBUILD RUN\x0bx",
        "ONBUILD RUN x\u{a0}",
    ];
    for (number, trigger) in triggers.iter().enumerate() {
        tree.dockerfile(&format!("t{number}"), &format!("FROM scratch\n{trigger}\nENV A=1\n"));
    }
    tree.build();
    tree.forget();
    for (number, trigger) in triggers.iter().enumerate() {
        let image = format!("t{number}");
        let text = format!("FROM scratch\n{trigger}\n");
        let source = layers::base::Source::new(layers::base::RelPath::new("D").unwrap(), text);
        let file = layers::parse::parse(&source);
        let read = layers::graph::evaluate::triggers_of(&file, 0);
        let read: Vec<&str> = read.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(read, tree.inspect(&image).on_build, "{trigger:?}");
        assert_eq!(tree.verdict(&image), "fresh", "{trigger:?}");
    }
    // A trigger that differs only in whitespace is a different configuration.
    tree.dockerfile("t0", "FROM scratch\nONBUILD RUN x \nENV A=1\n");
    assert_eq!(tree.verdict("t0"), "build");
}
