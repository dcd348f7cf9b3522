//! `affected`, `--since`, and `diff` if git and the disk have different information: links, submodules,
//! modes, conversions, flags of the index. All three agree with each other and with a plan, and report
//! nothing in a clean tree.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;

use crate::git::{commit, git_in};
use crate::harness::Project;

/// A repository under construction. All its files are committed, checked out again, and built.
pub struct Repo {
    pub project: Project,
}

impl Repo {
    pub fn new(files: &[(&str, &str)], links: &[(&str, &str)]) -> Repo {
        Repo::with(files, links, &|_| ())
    }

    /// Creates a repository with a step before the first commit.
    pub fn with(files: &[(&str, &str)], links: &[(&str, &str)], before: &dyn Fn(&Path)) -> Repo {
        let mut project = Project::new().script(r#"{"store": "store.json"}"#);
        git_in(project.root(), &["init", "--quiet", "--initial-branch=main"]);
        project = project.file(".gitignore", ".layers/\n");
        for (path, text) in files {
            project = project.file(path, text);
        }
        for (path, text) in links {
            let path = project.root().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(text, path).unwrap();
        }
        before(project.root());
        commit(&project);
        let repo = Repo { project };
        repo.check_out();
        repo.project.run("build --all --engine fake --progress quiet --allow fs.read=*").code(0);
        repo
    }

    pub fn root(&self) -> &Path {
        self.project.root()
    }

    /// Writes all tracked files again, as a checkout does.
    pub fn check_out(&self) {
        // A submodule is a directory and remains.
        let remove = "git ls-files -z | xargs -0 rm -f 2>/dev/null; true";
        let mut shell = std::process::Command::new("sh");
        assert!(shell.args(["-c", remove]).current_dir(self.root()).status().unwrap().success());
        git_in(self.root(), &["checkout", "--quiet", "--", "."]);
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn relink(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        drop(fs::remove_file(&path));
        symlink(text, path).unwrap();
    }

    pub fn affected(&self, since: &str) -> Vec<String> {
        let out =
            self.project.run(&format!("affected --since {since} --format json")).code(0).out();
        names(&serde_json::from_str(&out).unwrap())
    }

    pub fn diff(&self, range: &str) -> Vec<String> {
        let out = self.project.run(&format!("diff {range} --json")).code(0).out();
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(found["base_errors"], 0, "{found}");
        names(&found["affected"])
    }

    /// Returns the images that a plan without the engine's help would build.
    pub fn stale(&self) -> Vec<String> {
        let plan = self.project.run("plan --engine fake").code(0).out();
        let lines = plan.lines().filter(|line| !line.contains("  fresh"));
        let mut names: Vec<&str> =
            lines.filter_map(|line| line.split_whitespace().next()).collect();
        names.pop();
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Checks that all commands agree about uncommitted changes, and `diff` also after the commit.
    #[track_caller]
    pub fn check(&self, expected: &[&str]) {
        assert_eq!(self.stale(), expected, "plan");
        self.check_without_plan(expected);
    }

    /// The same for cases in which a plan sees more than git.
    #[track_caller]
    pub fn check_without_plan(&self, expected: &[&str]) {
        assert_eq!(self.affected("HEAD"), expected, "affected");
        assert_eq!(self.diff("HEAD"), expected, "diff beside the work tree");
        let listed = self.project.run("list --since HEAD").code(0).out();
        let listed = listed.lines().skip(1).filter(|line| !line.is_empty());
        let mut listed: Vec<&str> =
            listed.filter_map(|line| line.split_whitespace().next()).collect();
        listed.sort_unstable();
        assert_eq!(listed, expected, "list --since");
        commit(&self.project);
        assert_eq!(self.diff("HEAD~1..HEAD"), expected, "diff between revisions");
        self.check_clean();
    }

    /// Checks that nothing is reported in a clean tree.
    #[track_caller]
    pub fn check_clean(&self) {
        assert_eq!(git_in(self.root(), &["status", "--porcelain"]), "");
        assert!(self.affected("HEAD").is_empty(), "{:?}", self.affected("HEAD"));
        assert!(self.diff("HEAD").is_empty(), "{:?}", self.diff("HEAD"));
        assert!(self.diff("HEAD..HEAD").is_empty(), "{:?}", self.diff("HEAD..HEAD"));
    }

    /// Builds and commits the current state, so that it is no longer reported.
    pub fn settle(&self) {
        commit(&self.project);
        self.project.run("build --all --engine fake --progress quiet --allow fs.read=*").code(0);
        assert!(self.stale().is_empty());
        self.check_clean();
    }
}

fn names(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().unwrap().iter();
    let mut names: Vec<String> =
        rows.map(|row| row["image"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

const COPY: &str = "FROM scratch\nCOPY . /x\n";

/// An image whose context is behind a link, and another image.
fn linked_context(context: &str) -> Repo {
    Repo::new(
        &[
            ("layers.toml", &format!("[image.app]\ncontext = '{context}'\n")),
            ("docker/app/Dockerfile", COPY),
            ("docker/other/Dockerfile", COPY),
            ("shared/v1/f", "1\n"),
            ("shared/v1/sub/g", "1\n"),
            ("shared/v2/f", "2\n"),
            ("shared/v2/sub/g", "2\n"),
        ],
        &[("shared/current", "v2"), ("shared/again", "current")],
    )
}

#[test]
fn a_context_can_be_a_link_or_behind_one() {
    for (context, file) in [
        ("shared/current", "f"),
        ("shared/again", "sub/g"),
        ("shared/current/sub", "sub/g"),
        ("shared/again/../current", "f"),
    ] {
        let repo = linked_context(context);
        repo.check_clean();
        repo.write(&format!("shared/v1/{file}"), "other\n");
        repo.check(&[]);
        repo.write(&format!("shared/v2/{file}"), "edited\n");
        repo.check(&["app"]);
        repo.settle();
        // A link that points to other files, and one that points to the same files at another path.
        repo.relink("shared/current", "v1");
        repo.check(&["app"]);
        repo.settle();
        fs::create_dir_all(repo.root().join("moved")).unwrap();
        fs::rename(repo.root().join("shared/v1"), repo.root().join("moved/v3")).unwrap();
        repo.relink("shared/current", "../moved/v3");
        repo.check(&[]);
    }
}

#[test]
fn dockerfile_directories_can_be_links() {
    let files = [
        ("images/z/Dockerfile", "FROM scratch\nCOPY f /\n"),
        ("images/z/f", "1\n"),
        ("images/y/Dockerfile", "FROM acme/shop-z\nRUN true\n"),
    ];
    for links in [
        &[("docker/z", "../images/z"), ("docker/y", "../images/y")][..],
        &[("docker", "images")],
        &[("docker", "at"), ("at", "./images/")],
        &[("docker/z", "../a/z"), ("a", "images"), ("docker/y", "../a/../images/y")],
    ] {
        let repo = Repo::new(&files, links);
        repo.check_clean();
        repo.write("images/z/f", "2\n");
        repo.check(&["y", "z"]);
        repo.settle();
        repo.write("images/y/Dockerfile", "FROM acme/shop-z\nRUN false\n");
        repo.check(&["y"]);
        repo.settle();
        // No edge is lost.
        repo.write("images/z/f", "3\n");
        let found = repo.project.run("diff HEAD --json").code(0).out();
        let found: Value = serde_json::from_str(&found).unwrap();
        for list in ["new", "lost", "new_edges", "lost_edges"] {
            assert_eq!(found[list], serde_json::json!([]), "{list}");
        }
    }
}

#[test]
fn dockerfiles_and_ignore_files_can_be_behind_links() {
    let repo = Repo::new(
        &[
            ("common/v1/file", COPY),
            ("common/v1/ignore", "*.log\n"),
            ("common/v2/file", "FROM scratch\nCOPY f /\n"),
            ("common/v2/ignore", "f\n"),
            ("docker/a/f", "1\n"),
            ("docker/a/x.log", "1\n"),
            ("docker/b/Dockerfile", COPY),
            ("docker/b/f", "1\n"),
        ],
        &[
            ("common/now", "v1"),
            ("docker/a/Dockerfile", "../../common/now/file"),
            ("docker/a/.dockerignore", "../../common/now/ignore"),
            ("docker/b/Dockerfile.dockerignore", "../a/.dockerignore"),
        ],
    );
    repo.check_clean();
    repo.write("docker/a/x.log", "2\n");
    repo.check(&[]);
    repo.write("common/v1/ignore", "*.log\nf\n");
    repo.check(&["a", "b"]);
    repo.settle();
    repo.write("common/v1/file", "FROM scratch\nCOPY . /y\n");
    repo.check(&["a"]);
    repo.settle();
    repo.relink("common/now", "v2");
    let stale = repo.stale();
    repo.check(&stale.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(stale.contains(&"a".to_owned()), "{stale:?}");
}

#[test]
fn groups_and_recursive_globs_follow_links() {
    for config in [
        "[[group]]\npattern = 'docker/(?<name>[^/]+)/Dockerfile'\n",
        "dockerfiles = ['docker/**/Dockerfile']\n",
        "dockerfiles = ['docker/**']\nexclude = ['docker/**/f']\n",
    ] {
        let repo = Repo::new(
            &[
                ("layers.toml", config),
                ("images/z/Dockerfile", "FROM scratch\nCOPY f /\n"),
                ("images/z/f", "1\n"),
                ("images/old/Dockerfile", "FROM scratch\n"),
                ("images/.ignore", "old\n"),
            ],
            &[("docker", "images")],
        );
        repo.check_clean();
        repo.write("images/z/f", "2\n");
        repo.check(&["z"]);
    }
}

#[test]
fn links_can_point_outside_the_repository_or_be_broken() {
    let outside = tempfile::tempdir().unwrap();
    let at = outside.path().join("ctx");
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("f"), "1\n").unwrap();
    fs::write(at.join("Dockerfile"), COPY).unwrap();
    let up = "../".repeat(20) + at.to_str().unwrap().trim_start_matches('/');
    let absolute = at.to_str().unwrap();
    for text in [up.as_str(), absolute] {
        let repo = Repo::new(
            &[
                ("docker/in/Dockerfile", "FROM acme/shop-out\n"),
                ("docker/bad/Dockerfile", COPY),
                ("docker/bad/f", "1\n"),
            ],
            &[("docker/out", text), ("docker/bad/loop", "loop"), ("docker/bad/gone", "nowhere")],
        );
        repo.check_clean();
        // A file that git does not track is not a change; a changed link target is one.
        repo.write("docker/bad/f", "2\n");
        repo.check(&["bad"]);
        let other = outside.path().join("other");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("g"), "1\n").unwrap();
        fs::write(other.join("Dockerfile"), COPY).unwrap();
        repo.settle();
        repo.relink("docker/out", other.to_str().unwrap());
        repo.check(&["in", "out"]);
    }
    // A link that returns through the repository's own path.
    let repo = Repo::with(
        &[("docker/a/Dockerfile", COPY), ("images/b/Dockerfile", COPY), ("images/b/f", "1\n")],
        &[("docker/c", "../../shop/images/b")],
        &|root| symlink(root.join("images/b"), root.join("docker/b")).unwrap(),
    );
    repo.check_clean();
    repo.write("images/b/f", "2\n");
    repo.check(&["b", "c"]);
}

#[test]
fn files_and_images_that_git_ignores_are_not_changes() {
    let repo = Repo::with(
        &[("images/v1/f", "1\n"), ("docker/b/Dockerfile", COPY), ("docker/b/f", "1\n")],
        &[],
        &|root| {
            fs::write(root.join(".git/info/exclude"), "local\nlayers.toml\ndocker/c\n").unwrap();
            fs::create_dir(root.join("local")).unwrap();
            fs::write(root.join("local/Dockerfile"), COPY).unwrap();
            fs::create_dir_all(root.join("docker/c")).unwrap();
            fs::write(root.join("docker/c/Dockerfile"), "FROM acme/shop-b\n").unwrap();
            symlink("../images/v1", root.join("local/now")).unwrap();
            let config = "[image.a]\ndockerfile = 'local/Dockerfile'\ncontext = 'local/now'\n";
            fs::write(root.join("layers.toml"), config).unwrap();
        },
    );
    assert_eq!(git_in(repo.root(), &["status", "--porcelain"]), "");
    assert!(repo.affected("HEAD").is_empty(), "{:?}", repo.affected("HEAD"));
    repo.write("images/v1/f", "2\n");
    assert_eq!(repo.stale(), ["a"]);
    assert_eq!(repo.affected("HEAD"), ["a"]);
    repo.write("docker/b/f", "2\n");
    assert_eq!(repo.affected("HEAD"), ["a", "b", "c"]);
}

#[test]
fn the_state_directory_is_not_an_input() {
    let repo = Repo::new(
        &[
            ("layers.toml", "[image.a]\ncontext = '.'\n"),
            ("docker/a/Dockerfile", COPY),
            (".gitignore", "store.json\n"),
            (".dockerignore", ".git\n"),
        ],
        &[],
    );
    assert!(repo.project.root().join(".layers").exists());
    assert!(repo.stale().is_empty());
    assert!(repo.affected("HEAD").is_empty());
    repo.write("docker/a/f", "1\n");
    assert_eq!(repo.affected("HEAD"), ["a"]);
}

#[test]
fn mode_bits_that_git_does_not_store_are_not_changes() {
    let repo = Repo::new(
        &[("docker/a/Dockerfile", COPY), ("docker/a/f", "1\n"), ("docker/a/d/g", "1\n")],
        &[],
    );
    let chmod = |path: &str, mode: u32| {
        fs::set_permissions(repo.root().join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o600, 0o664, 0o640, 0o444, 0o4644] {
        chmod("docker/a/f", mode);
        chmod("docker/a/Dockerfile", mode);
        repo.check_clean();
    }
    chmod("docker/a/d", 0o700);
    repo.check_clean();
    // A file that differs for another reason and has such a mode is reported for that reason only.
    repo.write("docker/a/f", "2\n");
    let out = repo.project.run("affected --since HEAD").code(0).out();
    assert!(out.starts_with("a  docker/a/f changed\n"), "{out}");
    repo.write("docker/a/f", "1\n");
    chmod("docker/a/f", 0o711);
    repo.check_without_plan(&["a"]);
    // If git ignores the mode bit, it is not a change either.
    git_in(repo.root(), &["config", "core.fileMode", "false"]);
    chmod("docker/a/f", 0o644);
    chmod("docker/a/d/g", 0o755);
    repo.check_clean();
    repo.write("docker/a/d/g", "2\n");
    let out = repo.project.run("affected --since HEAD").code(0).out();
    assert!(out.starts_with("a  docker/a/d/g changed\n"), "{out}");
}

#[test]
fn a_removed_empty_directory_affects_its_image() {
    let repo = Repo::new(
        &[
            ("docker/a/Dockerfile", "FROM scratch\nCOPY src /src\n"),
            ("docker/a/.dockerignore", "**/x\n"),
            ("docker/a/src/f", "1\n"),
            ("docker/a/src/d/x", "1\n"),
        ],
        &[],
    );
    fs::remove_file(repo.root().join("docker/a/src/d/x")).unwrap();
    assert!(repo.stale().is_empty());
    assert!(repo.affected("HEAD").is_empty());
    // Git does not store directories without files.
    fs::remove_dir(repo.root().join("docker/a/src/d")).unwrap();
    repo.check(&["a"]);
}

#[test]
fn file_names_can_contain_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let odd = [&b"a\xffb"[..], b"new\nline", b"tab\t\"q\"\\", b" lead", "ü".as_bytes(), b"%s%f"];
    let repo = Repo::with(
        &[
            ("docker/a/Dockerfile", COPY),
            ("docker/a/.gitattributes", "* eol=crlf\n"),
            ("docker/b/Dockerfile", COPY),
        ],
        &[],
        &|root| {
            for name in odd {
                for image in ["a", "b"] {
                    let at =
                        root.join("docker").join(image).join(std::ffi::OsStr::from_bytes(name));
                    fs::write(at, "1\n").unwrap();
                }
            }
        },
    );
    repo.check_clean();
    for name in odd {
        let name = std::ffi::OsStr::from_bytes(name);
        fs::write(repo.root().join("docker/a").join(name), "2\r\n").unwrap();
        repo.check(&["a"]);
        repo.settle();
        fs::write(repo.root().join("docker/b").join(name), "2\n").unwrap();
        repo.check(&["b"]);
        repo.settle();
    }
}

#[test]
fn a_workspace_root_below_the_git_root_can_link_outside_itself() {
    let outer = tempfile::tempdir().unwrap();
    let outer = outer.path().canonicalize().unwrap();
    let root = outer.join("apps/shop");
    for (path, text) in [
        ("apps/shop/docker/a/Dockerfile", COPY),
        ("apps/shop/docker/b/Dockerfile", COPY),
        ("apps/shop/layers.toml", "app = 'shop'\n[image.a]\ncontext = 'ctx'\n"),
        ("common/lib/f", "1\n"),
        ("common/unread", "1\n"),
        (".gitattributes", "f eol=crlf\n"),
    ] {
        fs::create_dir_all(outer.join(path).parent().unwrap()).unwrap();
        fs::write(outer.join(path), text).unwrap();
    }
    symlink("../../common/lib", root.join("ctx")).unwrap();
    git_in(&outer, &["init", "--quiet"]);
    git_in(&outer, &["add", "--all"]);
    git_in(&outer, &["commit", "--quiet", "-m", "x"]);
    let affected = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_layers"));
        let output = command.arg("-C").arg(&root).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let since = ["affected", "--since", "HEAD"];
    assert_eq!(affected(&since), "0 of 2 images affected\n");
    fs::write(outer.join("common/unread"), "2\n").unwrap();
    assert_eq!(affected(&since), "0 of 2 images affected\n");
    fs::write(outer.join("common/lib/f"), "2\n").unwrap();
    assert_eq!(affected(&since), "a  ctx/f changed\n1 of 2 images affected\n");
    git_in(&outer, &["commit", "--quiet", "--all", "-m", "y"]);
    assert!(affected(&["diff", "HEAD~1..HEAD"]).contains("| `a` | `ctx/f` changed |"));
    assert_eq!(affected(&since), "0 of 2 images affected\n");
}
