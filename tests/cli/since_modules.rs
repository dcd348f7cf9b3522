//! `affected`, `--since`, and `diff` with submodules, and in incomplete clones: submodules that are not
//! checked out, truncated history, and commits that do not exist.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::git::{commit, git_in};
use crate::since_git::Repo;

const COPY: &str = "FROM scratch\nCOPY . /x\n";

/// A repository with some files, for use as a submodule.
fn library(files: &[(&str, &str)]) -> tempfile::TempDir {
    let library = tempfile::tempdir().unwrap();
    git_in(library.path(), &["init", "--quiet", "--initial-branch=main"]);
    for (path, text) in files {
        let path = library.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    git_in(library.path(), &["add", "--all"]);
    git_in(library.path(), &["commit", "--quiet", "-m", "x"]);
    library
}

fn add(root: &Path, library: &Path, path: &str) {
    git_in(root, &["submodule", "--quiet", "add", library.to_str().unwrap(), path]);
}

fn commit_in(root: &Path) {
    git_in(root, &["add", "--all"]);
    git_in(root, &["commit", "--quiet", "-m", "y"]);
}

/// Images whose Dockerfile and context are in a submodule, and one with a submodule in its context.
fn with_submodule() -> (Repo, tempfile::TempDir) {
    let library = library(&[
        ("Dockerfile", "FROM scratch\nCOPY src /\n"),
        ("src/f", "1\n"),
        ("src/g.txt", "1\n"),
        ("src/x.log", "1\n"),
        (".dockerignore", "*.log\n**/*.log\n"),
        (".gitattributes", "*.txt eol=crlf\n"),
        ("unread", "1\n"),
        ("deep/h", "1\n"),
    ]);
    let repo = Repo::with(
        &[
            (
                "layers.toml",
                "[image.sub]\ndockerfile = 'docker/a/lib/Dockerfile'\n\
              [image.deep]\ndockerfile = 'deep.Dockerfile'\ncontext = 'docker/a/lib/deep'\n",
            ),
            ("docker/a/Dockerfile", "FROM scratch\nCOPY lib/src /\n"),
            ("docker/other/Dockerfile", COPY),
            ("deep.Dockerfile", COPY),
        ],
        &[],
        &|root| add(root, library.path(), "docker/a/lib"),
    );
    (repo, library)
}

#[test]
fn dockerfiles_and_contexts_can_be_in_submodules() {
    let (repo, _library) = with_submodule();
    repo.check_clean();
    let at = repo.root().join("docker/a/lib");
    // First uncommitted changes in the submodule, then committed ones there, then the commit here.
    let check = |expected: &[&str]| {
        assert_eq!(repo.stale(), expected);
        assert_eq!(repo.affected("HEAD"), expected);
        commit_in(&at);
        assert_eq!(repo.affected("HEAD"), expected);
        repo.check(expected);
        repo.settle();
    };
    repo.write("docker/a/lib/unread", "2\n");
    check(&[]);
    repo.write("docker/a/lib/src/f", "2\n");
    check(&["a", "sub"]);
    repo.write("docker/a/lib/src/x.log", "2\n");
    check(&["a"]);
    repo.write("docker/a/lib/src/g.txt", "2\r\n");
    check(&["a", "sub"]);
    repo.write("docker/a/lib/Dockerfile", "FROM scratch\nCOPY unread /\n");
    check(&["sub"]);
    repo.write("docker/a/lib/deep/new", "2\n");
    check(&["deep"]);
    repo.write("docker/a/lib/.gitattributes", "*.none eol=crlf\n");
    commit_in(&at);
    assert_eq!(repo.affected("HEAD"), repo.stale());
}

#[test]
fn submodules_can_be_nested() {
    let inner = library(&[("f", "1\n"), ("Dockerfile", COPY)]);
    let outer = library(&[("g", "1\n")]);
    add(outer.path(), inner.path(), "inner");
    commit_in(outer.path());
    let repo = Repo::with(
        &[
            ("layers.toml", "[image.in]\ndockerfile = 'lib/inner/Dockerfile'\n"),
            ("docker/other/Dockerfile", COPY),
        ],
        &[],
        &|root| {
            add(root, outer.path(), "lib");
            git_in(root, &["submodule", "--quiet", "update", "--init", "--recursive"]);
        },
    );
    repo.check_clean();
    repo.write("lib/g", "2\n");
    assert!(repo.affected("HEAD").is_empty());
    repo.write("lib/inner/f", "2\n");
    assert_eq!(repo.stale(), ["in"]);
    assert_eq!(repo.affected("HEAD"), ["in"]);
    commit_in(&repo.root().join("lib/inner"));
    commit_in(&repo.root().join("lib"));
    repo.check(&["in"]);
}

#[test]
fn submodules_can_be_added_removed_or_not_checked_out() {
    let library = library(&[("f", "1\n")]);
    let repo = Repo::new(
        &[
            ("docker/a/Dockerfile", COPY),
            ("docker/b/Dockerfile", "FROM scratch\nCOPY lib /\n"),
            ("docker/b/lib/f", "1\n"),
        ],
        &[],
    );
    add(repo.root(), library.path(), "docker/a/lib");
    repo.check(&["a"]);
    repo.settle();
    // In a clone without the submodule's files, only its commit is known.
    let clone = tempfile::tempdir().unwrap();
    let url = repo.root().to_str().unwrap();
    git_in(clone.path(), &["clone", "--quiet", url, "shop"]);
    let shop = clone.path().join("shop");
    assert_eq!(affected(&shop, "HEAD"), Vec::<String>::new());
    assert_eq!(affected(&shop, "HEAD~2"), ["a"]);
    repo.write("docker/a/lib/f", "2\n");
    commit_in(&repo.root().join("docker/a/lib"));
    repo.check(&["a"]);
    git_in(&shop, &["pull", "--quiet"]);
    assert_eq!(affected(&shop, "HEAD"), Vec::<String>::new());
    assert_eq!(affected(&shop, "HEAD~1"), ["a"]);
    repo.settle();
    // The submodule is removed, but its objects remain.
    git_in(repo.root(), &["rm", "--quiet", "--force", "docker/a/lib"]);
    // The engine still has the images that were built before the submodule was added.
    repo.check_without_plan(&["a"]);
    assert_eq!(repo.diff("HEAD~1..HEAD"), ["a"]);
}

#[test]
fn linked_work_trees_are_supported() {
    let (repo, _library) = with_submodule();
    let other = tempfile::tempdir().unwrap();
    let at = other.path().join("shop");
    git_in(repo.root(), &["worktree", "add", "--quiet", "--detach", at.to_str().unwrap()]);
    assert_eq!(layers(&at, &["affected", "--since", "HEAD"]).status.code(), Some(3));
    git_in(&at, &["submodule", "--quiet", "update", "--init"]);
    assert_eq!(affected(&at, "HEAD"), Vec::<String>::new());
    fs::write(at.join("docker/a/lib/src/f"), "2\n").unwrap();
    assert_eq!(affected(&at, "HEAD"), ["a", "sub"]);
    assert!(repo.affected("HEAD").is_empty());
}

fn layers(root: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_layers")).current_dir(root).args(words).output().unwrap()
}

fn affected(root: &Path, since: &str) -> Vec<String> {
    let output = layers(root, &["affected", "--since", since]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    lines.pop();
    lines.sort();
    lines
}

fn printed(output: &Output, code: i32) -> String {
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{printed}");
    printed
}

/// `main` and `work` diverged after `side` was merged, and both have it as another parent: it is common to
/// both, but is not their latest common commit.
fn forked() -> Repo {
    let repo = Repo::new(&[("docker/a/Dockerfile", COPY), ("docker/b/Dockerfile", COPY)], &[]);
    let root = repo.root();
    git_in(root, &["switch", "--quiet", "--create", "side"]);
    repo.write("side", "1\n");
    commit(&repo.project);
    git_in(root, &["switch", "--quiet", "main"]);
    git_in(root, &["merge", "--quiet", "--no-ff", "side", "-m", "m"]);
    repo.write("docker/b/f", "1\n");
    commit(&repo.project);
    git_in(root, &["branch", "work"]);
    for (branch, file) in [("main", "main-1"), ("work", "docker/a/f")] {
        git_in(root, &["switch", "--quiet", branch]);
        for number in 0..3 {
            repo.write(file, &format!("{number}\n"));
            commit(&repo.project);
        }
        let words = ["commit-tree", "-m", "m", "-p", "HEAD", "-p", "side", "HEAD^{tree}"];
        let merged = git_in(root, &words);
        git_in(root, &["reset", "--quiet", "--hard", &merged]);
    }
    repo
}

#[test]
fn an_uncertain_merge_base_in_a_shallow_clone_is_an_error() {
    let repo = forked();
    assert_eq!(repo.affected("main..."), ["a"]);
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repo.root().display());
    git_in(
        clone.path(),
        &["clone", "--quiet", "--no-single-branch", "--depth=3", "--branch=work", &url, "shop"],
    );
    let shop = clone.path().join("shop");
    // In this clone, the latest known common commit is the wrong one.
    let side = git_in(&shop, &["merge-base", "origin/main", "HEAD"]);
    assert_eq!(side, git_in(&shop, &["rev-parse", "origin/side"]));
    for words in [
        &["affected", "--since", "origin/main..."][..],
        &["list", "--since", "origin/main..."],
        &["build", "--since", "origin/main...", "--engine", "fake"],
        &["diff", "origin/main...HEAD"],
        &["diff", "origin/main..."],
    ] {
        let printed = printed(&layers(&shop, words), 2);
        assert!(
            printed
                .starts_with("error: can't determine the merge base of `origin/main` and HEAD: "),
            "{printed}"
        );
        assert!(
            printed.contains("\nhint: fetch the full history with `git fetch --unshallow`"),
            "{printed}"
        );
        assert!(printed.contains("`fetch-depth: 0`"), "{printed}");
    }
    // Two dots need no history.
    printed(&layers(&shop, &["diff", "origin/main..HEAD"]), 0);
    git_in(&shop, &["fetch", "--quiet", "--unshallow"]);
    assert_eq!(affected(&shop, "origin/main..."), ["a"]);
}

#[test]
fn a_certain_merge_base_in_a_shallow_clone_is_used() {
    let repo = Repo::new(&[("docker/a/Dockerfile", COPY), ("docker/b/Dockerfile", COPY)], &[]);
    for number in 0..4 {
        repo.write("docker/b/f", &format!("{number}\n"));
        commit(&repo.project);
    }
    git_in(repo.root(), &["switch", "--quiet", "--create", "work"]);
    repo.write("docker/a/f", "1\n");
    commit(&repo.project);
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repo.root().display());
    let depth =
        ["clone", "--quiet", "--no-single-branch", "--depth=2", "--branch=work", &url, "shop"];
    git_in(clone.path(), &depth);
    let shop = clone.path().join("shop");
    assert_eq!(affected(&shop, "origin/main..."), ["a"]);
    // One commit is an ancestor of the other: there is nothing between them.
    assert_eq!(affected(&shop, "origin/work..."), Vec::<String>::new());
}

#[test]
fn the_null_commit_affects_everything() {
    let repo = Repo::new(
        &[("docker/a/Dockerfile", COPY), ("docker/b/Dockerfile", "FROM acme/shop-a\n")],
        &[],
    );
    let null = "0".repeat(40);
    let warning = format!(
        "warning: `{null}` is the null commit, which GitHub sends for a new branch: every image is affected\n\
         hint: compare with a branch instead, such as `origin/main...`\n"
    );
    for since in [null.clone(), format!("{null}...")] {
        let ran = repo.project.run(&format!("affected --since {since}")).code(0).stderr(&warning);
        assert_eq!(ran.out(), "a  is new\nb  is new\n2 of 2 images affected\n");
        assert_eq!(repo.affected(&since), ["a", "b"]);
    }
    for range in [format!("{null}..HEAD"), format!("{null}...HEAD"), null.clone()] {
        let ran = repo.project.run(&format!("diff {range} --json")).code(0).stderr(&warning);
        assert!(ran.out().contains("\"image\": \"b\""), "{}", ran.out());
        assert_eq!(repo.diff(&range), ["a", "b"]);
    }
    let planned = repo.project.run(&format!("plan --since {null} --engine fake")).code(0).out();
    assert!(planned.contains("2 fresh of 2 images"), "{planned}");
    let printed = repo.project.run(&format!("diff HEAD..{null}")).code(2).err();
    assert!(printed.contains("which GitHub sends for a deleted branch\nhint: "), "{printed}");
    // A shortened null commit could be the start of a real commit's name.
    repo.project.run("affected --since 0000000").code(2);
}
