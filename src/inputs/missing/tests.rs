//! Tests of the warnings for a Dockerfile on small contexts on disk.

use std::fs;

use super::*;
use crate::graph::images::Candidate;
use crate::graph::link::{LinkSettings, ParsedImage, link};
use crate::graph::naming::NamingSettings;

/// Creates `files` in the context `app`, and checks a Dockerfile with instructions after `FROM debian:12`.
fn check(files: &[&str], ignore: &str, instructions: &str, expected: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for file in files.iter().chain(&["Dockerfile"]) {
        let path = root.join("app").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    fs::write(root.join("at-root.txt"), "x").unwrap();
    if !ignore.is_empty() {
        fs::write(root.join("app/.dockerignore"), ignore).unwrap();
    }
    let dockerfile = RelPath::new("app/Dockerfile").unwrap();
    let text = format!("FROM debian:12\n{instructions}\n");
    let candidate = Candidate::new("app", dockerfile.clone());
    let file = crate::parse::parse(&Source::new(dockerfile, text));
    let naming = NamingSettings { directory: "shop".to_owned(), ..NamingSettings::default() };
    let settings =
        LinkSettings { build_platform: "linux/amd64".parse().unwrap(), ..LinkSettings::default() };
    let (graph, problems) = link(vec![ParsedImage { candidate, file }], &naming, &settings);
    assert!(problems.is_empty(), "{problems:?}");
    let reported: Vec<String> = find(root, &graph)
        .into_iter()
        .map(|it| {
            let labels: Vec<String> = it
                .labels
                .iter()
                .map(|label| format!("{}:{}", label.source.path(), label.source.slice(label.span)))
                .collect();
            let hint = it.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{}: {} [{}]{hint}", it.rule.code(), it.message, labels.join(" "))
        })
        .collect();
    assert_eq!(reported, expected, "{instructions}");
}

#[test]
fn existing_sources_are_not_reported() {
    let files = ["a.txt", "src/main.py", "src/lib/x.py", "docs/[1].md"];
    for instructions in [
        "COPY a.txt /",
        "COPY . /",
        "COPY / /",
        "COPY ./src/../a.txt ../a.txt /",
        "COPY *.txt src/*/x.py /",
        "COPY --parents ./src/./**/x.py /",
        "COPY --exclude=*.py src /src",
        "COPY docs/[[]1].md /",
        // BuildKit copies nothing.
        "COPY a.txt *.whl src/*.whl */*/*.whl /x/",
        "COPY a.txt/*.whl **/z /x/",
        "ADD https://example.com/nothing.tgz /",
        "ADD git@example.com:a/b.git /b",
        "COPY <<EOF /x\nnothing\nEOF",
        "COPY --from=debian:12 /nothing /x",
        "RUN --mount=type=bind,source=src,target=/src true",
        "RUN --mount=type=cache,source=nothing,target=/x true",
        "ENV V=1\nCOPY $UNKNOWN/x ${UNKNOWN}y /",
        "ARG D=src\nCOPY $D/main.py /",
        "ONBUILD COPY nothing /",
    ] {
        check(&files, "", instructions, &[]);
    }
}

#[test]
fn missing_sources_are_reported() {
    let files = ["requirements.txt", "src/main.py"];
    check(
        &files,
        "",
        "COPY requirments.txt src/main.pyy /x/",
        &[
            "missing-file: `requirments.txt` not found in the context `app` \
             [app/Dockerfile:requirments.txt] (did you mean `requirements.txt`?)",
            "missing-file: `src/main.pyy` not found in the context `app` \
             [app/Dockerfile:src/main.pyy] (did you mean `src/main.py`?)",
        ],
    );
    check(
        &files,
        "",
        "COPY app/src/main.py at-root.txt /x/",
        &[
            "missing-file: `app/src/main.py` not found in the context `app` \
             [app/Dockerfile:app/src/main.py] (it is in the repository root: set \
             `context = \".\"` under `[image.app]` in `layers.toml`)",
            "missing-file: `at-root.txt` not found in the context `app` \
             [app/Dockerfile:at-root.txt] (it is in the repository root: set \
             `context = \".\"` under `[image.app]` in `layers.toml`)",
        ],
    );
    // In the root, the other source would be missing.
    check(
        &files,
        "",
        "COPY app/src/main.py requirements.txt at-root.txt /x/",
        &[
            "missing-file: `app/src/main.py` not found in the context `app` \
             [app/Dockerfile:app/src/main.py] (paths are relative to the context: write `src/main.py`)",
            "missing-file: `at-root.txt` not found in the context `app` [app/Dockerfile:at-root.txt]",
        ],
    );
    check(
        &files,
        "",
        "ADD wheel/*.whl /x/\nRUN --mount=source=wheels,target=/w true\nCOPY --parents lib/**/*.py /",
        &[
            "missing-file: `wheel` not found in the context `app` [app/Dockerfile:wheel/*.whl]",
            "missing-file: `wheels` not found in the context `app` [app/Dockerfile:wheels]",
            "missing-file: nothing matches `lib/**/*.py` in the context `app` \
             [app/Dockerfile:lib/**/*.py]",
        ],
    );
    check(
        &files,
        "",
        "FROM debian:12 AS x\nCOPY a /\nFROM debian:12 AS y\nONBUILD COPY b /\nFROM y",
        &["missing-file: `b` not found in the context `app` [app/Dockerfile:b]"],
    );
}

#[test]
fn the_ignore_pattern_that_excludes_a_file_is_reported() {
    let files = ["a.txt", "dist/app/x.js", "keep/a", "keep/b"];
    check(
        &files,
        "# comment\n*.txt\ndist\nkeep/*\n!keep/b\n",
        "COPY a.txt dist/app/x.js dist keep keep/b /x/",
        &[
            "ignored-file: `a.txt` is excluded by the ignore file [app/Dockerfile:a.txt \
             app/.dockerignore:*.txt] (add the line `!a.txt` below, or remove this one)",
            "ignored-file: `dist/app/x.js` is excluded by the ignore file \
             [app/Dockerfile:dist/app/x.js app/.dockerignore:dist] (add the line \
             `!dist/app/x.js` below, or remove this one)",
            "ignored-file: `dist` is excluded by the ignore file [app/Dockerfile:dist \
             app/.dockerignore:dist] (add the line `!dist` below, or remove this one)",
        ],
    );
    check(
        &files,
        "*\n",
        "COPY *.txt /x/\nRUN --mount=source=keep/b,target=/b true",
        &[
            "ignored-file: everything that `*.txt` matches is excluded by the ignore file \
             [app/Dockerfile:*.txt app/.dockerignore:*] (add the line `!a.txt` below, or \
             remove this one)",
            "ignored-file: `keep/b` is excluded by the ignore file [app/Dockerfile:keep/b \
             app/.dockerignore:*] (add the line `!keep/b` below, or remove this one)",
        ],
    );
}
