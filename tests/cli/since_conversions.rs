//! `affected`, `--since`, and `diff` if a checkout has other bytes than git stores: line endings, `ident`,
//! filters, encodings; and if git was configured to ignore changes.

use std::fs;
use std::path::Path;

use crate::git::{commit, git_in};
use crate::since_git::Repo;

const COPY: &str = "FROM scratch\nCOPY . /x\n";

/// A here-document keeps the line endings of its file.
const HEREDOC: &str = "FROM scratch\nCOPY <<EOF /f\none\ntwo\nEOF\n";

#[test]
fn line_endings_are_compared_as_checked_out() {
    let files = [
        ("docker/a/Dockerfile", HEREDOC),
        ("docker/b/Dockerfile", COPY),
        ("docker/b/f", "1\n2\n"),
        ("docker/b/g.bin", "\0\n"),
    ];
    let attributes = |text: &'static str| {
        move |root: &Path| fs::write(root.join(".gitattributes"), text).unwrap()
    };
    let autocrlf = |root: &Path| drop(git_in(root, &["config", "core.autocrlf", "true"]));
    let eol = |root: &Path| {
        fs::write(root.join(".gitattributes"), "* text=auto\n").unwrap();
        git_in(root, &["config", "core.eol", "crlf"]);
    };
    let setups: [&dyn Fn(&Path); 5] = [
        &attributes("* text=auto eol=crlf\n"),
        &attributes("*.bin -text\nDockerfile text eol=crlf\nf crlf eol=crlf\n"),
        &attributes("f working-tree-encoding=UTF-16LE\n"),
        &autocrlf,
        &eol,
    ];
    for setup in setups {
        let repo = Repo::with(&files, &[], setup);
        repo.check_clean();
        fs::write(repo.root().join("docker/b/g.bin"), "\0\n\n").unwrap();
        repo.check(&["b"]);
        repo.settle();
        let dockerfile = repo.project.read("docker/a/Dockerfile").replace("two", "three");
        repo.write("docker/a/Dockerfile", &dockerfile);
        repo.check(&["a"]);
        repo.settle();
        let mut bytes = fs::read(repo.root().join("docker/b/f")).unwrap();
        bytes.extend_from_within(..);
        fs::write(repo.root().join("docker/b/f"), bytes).unwrap();
        assert_eq!(repo.stale(), ["b"]);
        assert_eq!(repo.affected("HEAD"), ["b"]);
    }
}

#[test]
fn git_settings_changed_after_the_checkout_affect_nothing() {
    let files =
        [("docker/a/Dockerfile", HEREDOC), ("docker/b/Dockerfile", COPY), ("docker/b/f", "1\n")];
    let repo = Repo::new(&files, &[]);
    git_in(repo.root(), &["config", "core.autocrlf", "true"]);
    repo.check_clean();
    // The next checkout expands `$Id$`, a commit does not.
    let ident = "FROM scratch\nRUN echo '$Id$'\n";
    let repo = Repo::new(
        &[
            ("docker/a/Dockerfile", ident),
            ("docker/b/Dockerfile", COPY),
            ("docker/b/f", "$Id$\n"),
            (".gitattributes", "* ident\n"),
        ],
        &[],
    );
    repo.check_clean();
    assert!(repo.project.read("docker/b/f").starts_with("$Id: "));
    repo.write("docker/b/f", "$Id$ 2\n");
    repo.check(&["b"]);
    repo.write("docker/a/Dockerfile", "FROM scratch\nRUN echo '$Id$ 2'\n");
    assert_eq!(repo.affected("HEAD"), ["a"]);
    commit(&repo.project);
    assert_eq!(repo.diff("HEAD~1..HEAD"), ["a"]);
    repo.check_clean();
}

#[test]
fn changed_attributes_affect_the_files_they_convert() {
    let repo = Repo::new(
        &[
            ("docker/a/Dockerfile", HEREDOC),
            ("docker/b/Dockerfile", COPY),
            ("docker/b/f.txt", "1\n"),
            ("docker/c/Dockerfile", COPY),
            ("docker/c/f", "1\n"),
        ],
        &[],
    );
    repo.write(".gitattributes", "*.txt eol=crlf\n");
    commit(&repo.project);
    repo.check_out();
    assert_eq!(repo.stale(), ["b"]);
    assert_eq!(repo.affected("HEAD~1"), ["b"]);
    assert_eq!(repo.diff("HEAD~1..HEAD"), ["b"]);
    repo.check_clean();
    repo.settle();
    // The same bytes in another form: the blob has the line endings, and nothing converts them.
    fs::remove_file(repo.root().join(".gitattributes")).unwrap();
    fs::write(repo.root().join("docker/b/f.txt"), "1\r\n").unwrap();
    commit(&repo.project);
    assert!(repo.stale().is_empty());
    assert!(repo.affected("HEAD~1").is_empty(), "{:?}", repo.affected("HEAD~1"));
    assert!(repo.diff("HEAD~1..HEAD").is_empty(), "{:?}", repo.diff("HEAD~1..HEAD"));
    repo.write(".gitattributes", "docker/c export-ignore\nDockerfile text eol=crlf\n");
    commit(&repo.project);
    repo.check_out();
    assert_eq!(repo.stale(), ["a", "b", "c"], "Dockerfiles are in the contexts");
    assert_eq!(repo.affected("HEAD~1"), ["a", "b", "c"]);
    assert_eq!(repo.diff("HEAD~1..HEAD"), ["a", "b", "c"]);
}

/// Adds a filter to a repository: some words are checked out in upper case.
fn shouting(root: &Path, required: &str) {
    fs::write(root.join(".git/up"), "sed 's/one/ONE/;s/two/TWO/'\n").unwrap();
    for (name, command) in [("smudge", "sh .git/up"), ("clean", "sed 's/ONE/one/;s/TWO/two/'")] {
        git_in(root, &["config", &format!("filter.shout.{name}"), command]);
    }
    git_in(root, &["config", "filter.shout.required", required]);
}

#[test]
fn filtered_files_are_compared_as_checked_out() {
    for required in ["true", "false"] {
        let repo = Repo::with(
            &[
                (".gitattributes", "*.up filter=shout\n"),
                ("docker/a/Dockerfile", COPY),
                ("docker/a/f.up", "one\n"),
                ("docker/b/Dockerfile", COPY),
                ("docker/b/.dockerignore", "# none\n"),
            ],
            &[],
            &|root| shouting(root, required),
        );
        assert_eq!(repo.project.read("docker/a/f.up"), "ONE\n");
        repo.check_clean();
        repo.write("docker/a/f.up", "TWO\n");
        repo.check(&["a"]);
        repo.settle();
        // Without a filter, and with the same bytes.
        git_in(repo.root(), &["rm", "--quiet", ".gitattributes"]);
        // Commit only the removal: `git add` could already store the file if git is not sure of its time.
        git_in(repo.root(), &["commit", "--quiet", "-m", "x"]);
        fs::write(repo.root().join("docker/a/f.up"), "TWO\n").unwrap();
        commit(&repo.project);
        assert!(repo.stale().is_empty());
        assert!(repo.affected("HEAD~2").is_empty(), "{:?}", repo.affected("HEAD~2"));
        assert!(repo.diff("HEAD~2..HEAD").is_empty(), "{:?}", repo.diff("HEAD~2..HEAD"));
        assert_eq!(repo.diff("HEAD~1..HEAD"), ["a"]);
    }
}

#[test]
fn filtered_files_can_be_stored_elsewhere_and_be_missing() {
    let clean = "at=.git/large\nmkdir -p $at && cat > $at/new\n\
                 name=$(sha1sum < $at/new | cut -d' ' -f1)\n\
                 mv $at/new $at/$name && echo pointer $name\n";
    let repo = Repo::with(
        &[
            (".gitattributes", "*.large filter=large -text\n"),
            ("docker/a/Dockerfile", COPY),
            ("docker/a/f.large", "one\n"),
            ("docker/b/Dockerfile", COPY),
            ("docker/b/g.large", "two\n"),
        ],
        &[],
        &|root| {
            fs::write(root.join(".git/clean"), clean).unwrap();
            fs::write(root.join(".git/smudge"), "read _ name && cat .git/large/$name\n").unwrap();
            for name in ["clean", "smudge"] {
                let command = format!("sh .git/{name}");
                git_in(root, &["config", &format!("filter.large.{name}"), &command]);
            }
            git_in(root, &["config", "filter.large.required", "true"]);
        },
    );
    assert_eq!(repo.project.read("docker/a/f.large"), "one\n");
    repo.check_clean();
    repo.write("docker/a/f.large", "three\n");
    repo.check(&["a"]);
    repo.settle();
    // A missing file cannot be compared, but its name can.
    fs::remove_dir_all(repo.root().join(".git/large")).unwrap();
    repo.check_clean();
    assert_eq!(repo.affected("HEAD~2"), ["a"]);
    assert_eq!(repo.diff("HEAD~2..HEAD"), ["a"]);
    repo.write("docker/b/g.large", "four\n");
    assert_eq!(repo.stale(), ["b"]);
    assert_eq!(repo.affected("HEAD"), ["b"]);
}

#[test]
fn a_failing_filter_neither_hides_nor_adds_changes() {
    let repo = Repo::with(
        &[
            (".gitattributes", "*.up filter=shout\ndocker/b/Dockerfile filter=shout\n"),
            ("docker/a/Dockerfile", COPY),
            ("docker/a/f.up", "one\n"),
            ("docker/b/Dockerfile", "FROM scratch\nRUN echo one\n"),
        ],
        &[],
        &|root| shouting(root, "true"),
    );
    repo.write("docker/a/f.up", "TWO\n");
    repo.write("docker/b/Dockerfile", "FROM scratch\nRUN echo TWO\n");
    commit(&repo.project);
    git_in(repo.root(), &["config", "filter.shout.smudge", "false"]);
    repo.check_clean();
    assert_eq!(repo.affected("HEAD~1"), ["a", "b"]);
    assert_eq!(repo.diff("HEAD~1..HEAD"), ["a", "b"]);
}

#[test]
fn files_marked_as_unchanged_in_git_are_compared() {
    for flag in ["--assume-unchanged", "--skip-worktree"] {
        let repo = Repo::new(
            &[
                (".gitattributes", "*.txt eol=crlf\n"),
                ("docker/a/Dockerfile", COPY),
                ("docker/a/f.txt", "1\n"),
                ("docker/a/g", "1\n"),
                ("docker/b/Dockerfile", COPY),
                ("docker/b/h", "1\n"),
            ],
            &[],
        );
        for path in ["docker/a/f.txt", "docker/a/g", "docker/b/h", "docker/b/Dockerfile"] {
            git_in(repo.root(), &["update-index", flag, path]);
        }
        repo.check_clean();
        let check = |expected: &[&str]| {
            assert_eq!(git_in(repo.root(), &["status", "--porcelain"]), "");
            assert_eq!(repo.stale(), expected, "{flag}");
            assert_eq!(repo.affected("HEAD"), expected, "{flag}");
            assert_eq!(repo.diff("HEAD"), expected, "{flag}");
        };
        check(&[]);
        repo.write("docker/a/f.txt", "2\r\n");
        check(&["a"]);
        repo.write("docker/a/f.txt", "1\r\n");
        check(&[]);
        // If git ignores the mode bit, it is not a difference.
        git_in(repo.root(), &["config", "core.fileMode", "false"]);
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(repo.root().join("docker/a/g"), executable).unwrap();
        repo.check_clean();
        let plain = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(repo.root().join("docker/a/g"), plain).unwrap();
        repo.write("docker/b/Dockerfile", "FROM scratch\nCOPY h /\n");
        check(&["b"]);
        repo.write("docker/b/Dockerfile", COPY);
        fs::remove_file(repo.root().join("docker/b/h")).unwrap();
        check(&["b"]);
    }
}

#[test]
fn files_omitted_by_a_sparse_checkout_are_not_reported() {
    let repo = Repo::new(
        &[("docker/a/Dockerfile", COPY), ("docker/a/deep/f", "1\n"), ("docker/b/Dockerfile", COPY)],
        &[],
    );
    git_in(repo.root(), &["sparse-checkout", "set", "--no-cone", "/*", "!/docker/a/deep"]);
    assert!(!repo.root().join("docker/a/deep/f").exists());
    repo.check_clean();
    repo.write("docker/b/f", "1\n");
    repo.check_without_plan(&["b"]);
}

#[test]
fn links_can_be_checked_out_as_plain_files() {
    let repo = Repo::new(
        &[("docker/a/Dockerfile", COPY), ("docker/a/f", "1\n"), ("docker/a/d/g", "1\n")],
        &[("docker/a/link", "f"), ("docker/a/to", "d")],
    );
    git_in(repo.root(), &["config", "core.symlinks", "false"]);
    repo.check_out();
    assert_eq!(repo.project.read("docker/a/link"), "f");
    repo.check_clean();
    repo.write("docker/a/link", "d");
    assert_eq!(repo.affected("HEAD"), ["a"]);
    commit(&repo.project);
    assert_eq!(repo.diff("HEAD~1..HEAD"), ["a"]);
    repo.check_clean();
}
