//! What does not count as an input of an image: after such a change, the image is up to date, and a build by hand of
//! the same files and arguments results in the same image, entirely from the engine's cache. And the opposite: what
//! looks similar and counts. Also, what the program refuses to build: exactly what a build by hand refuses.
//!
//! Needs an engine and Debian's busybox-static. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

#![expect(clippy::print_stderr, reason = "a skipped test says why")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layers::engine::docker::Docker;
use layers::engine::{
    BuildOutcome, BuildRequest, BuildUpdate, Builder, Cancel, Frontend, ImageStore, LabelFilter,
    StoredImage,
};

mod common;

use common::disk_files::DiskFiles;
use common::{Files, Name, TEST_LABEL, program};

/// A repository with the images `base`, which contains a shell, and `app`.
struct Repository<'a> {
    docker: &'a Docker,
    name: Name,
    root: PathBuf,
    _directory: tempfile::TempDir,
}

/// Build arguments and the variable `VERSION`, separated by spaces.
type Arguments = &'static str;

impl<'a> Repository<'a> {
    /// Creates a repository. `{NS}` in the Dockerfile of `app` is the namespace.
    fn new(docker: &'a Docker, dockerfile: &str) -> Repository<'a> {
        let (name, directory) = (Name::new(), tempfile::tempdir().unwrap());
        let root = directory.path().canonicalize().unwrap();
        let namespace = name.label();
        let config = format!("namespace = \"{namespace}\"\napp = \"x\"\n");
        fs::write(root.join("layers.toml"), config).unwrap();
        let base = format!("FROM scratch\nLABEL {TEST_LABEL}={namespace}\nCOPY bin /bin\n");
        let files = Files::with_busybox().and("Dockerfile", base);
        files.write_below(&root.join("docker/base"));
        let label = format!("LABEL {TEST_LABEL}={namespace}\n");
        let text = format!("{}{label}", dockerfile.replace("{NS}", namespace));
        let app = root.join("docker/app");
        // The engine has no results for these files from other tests, which would have other times.
        let files = ["dir/file", "dir/run.sh", "dir/sub/x", "dir/sub/run.sh"];
        let files = files.iter().fold(Files::new(), |files, path| files.and(path, namespace));
        files.and("Dockerfile", text).write_below(&app);
        symlink("dir", app.join("link")).unwrap();
        Repository { docker, name, root, _directory: directory }
    }

    fn app(&self) -> PathBuf {
        self.root.join("docker/app")
    }

    /// Runs the program. Returns its output, as an error if it fails.
    fn try_layers(&self, words: &str, arguments: Arguments) -> Result<String, String> {
        let mut command = program::layers();
        command.args(words.split(' ')).arg("-C").arg(&self.root);
        for argument in arguments.split_whitespace() {
            command.args(["--build-arg", argument]);
            let version = argument.strip_prefix("VERSION=");
            command.envs(version.map(|version| ("VERSION", version)));
        }
        let output = command.output().unwrap();
        let out = [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap()).concat();
        if output.status.success() { Ok(out) } else { Err(out) }
    }

    /// Runs the program, which must succeed. Returns its output.
    fn layers(&self, words: &str, arguments: Arguments) -> String {
        self.try_layers(words, arguments).unwrap_or_else(|out| panic!("{out}"))
    }

    /// Returns the verdict on `app` in a plan.
    fn verdict(&self, arguments: Arguments) -> String {
        let plan = self.layers("plan", arguments);
        let line = plan.lines().find(|line| line.starts_with("app")).unwrap_or(&plan);
        line.split_whitespace().nth(1).unwrap_or_default().to_owned()
    }

    /// Returns the image of `app`.
    fn held(&self) -> StoredImage {
        let prefix = self.name.reference("/x-app:");
        let listed = self.docker.list(LabelFilter::named(TEST_LABEL)).unwrap();
        let is_app = |name: &&String| name.starts_with(&prefix);
        let reference = listed.iter().flat_map(|image| &image.references).find(is_app).unwrap();
        self.docker.inspect(reference).unwrap().unwrap()
    }

    fn request_by_hand(
        &self,
        arguments: Arguments,
        labels: &BTreeMap<String, String>,
    ) -> BuildRequest {
        let arguments = arguments.split_whitespace().map(|it| it.split_once('=').unwrap());
        BuildRequest {
            dockerfile: fs::read_to_string(self.app().join("Dockerfile")).unwrap(),
            build_args: arguments.map(|(name, value)| (name.into(), value.into())).collect(),
            labels: labels.clone(),
            context: Arc::new(DiskFiles::all_in(self.app())),
            ..BuildRequest::default()
        }
    }

    /// Builds `app` by hand. Returns the image and the steps that ran.
    fn build_by_hand(
        &self,
        arguments: Arguments,
        labels: &BTreeMap<String, String>,
    ) -> (StoredImage, Vec<String>) {
        let request = self.request_by_hand(arguments, labels);
        let mut ran = Vec::new();
        let mut sink = |updates: Vec<layers::engine::TimedUpdate>| {
            for update in updates {
                if let BuildUpdate::StepFinished { step, cached: false, .. } = update.update
                    && step.number > 0
                    && !step.text.starts_with("FROM ")
                {
                    ran.push(step.text);
                }
            }
        };
        let outcome = self.docker.build(&request, &mut sink, &Cancel::default()).unwrap();
        let BuildOutcome::Built { image_id } = outcome else { panic!("{outcome:?}") };
        (self.docker.inspect(&image_id).unwrap().unwrap(), ran)
    }

    /// Builds everything, and checks whether `app` is up to date after a change of its files and with other arguments.
    /// A build by hand must agree: it results in the same image. Returns the steps that it ran.
    fn check(
        &self,
        [before, after]: [Arguments; 2],
        change: &dyn Fn(&Path),
        is_same: bool,
    ) -> Vec<String> {
        self.layers("build --all --progress quiet", before);
        let held = self.held();
        change(&self.app());
        let text = fs::read_to_string(self.app().join("Dockerfile")).unwrap();
        let expected = if is_same { "fresh" } else { "build" };
        assert_eq!(self.verdict(after), expected, "{text}");
        let labels = held.labels.clone().into_iter();
        let labels =
            labels.filter(|(name, _)| name.starts_with("dev.layers.") && name != TEST_LABEL);
        // A build by hand finds the parents under the names of this version.
        self.layers("build base --progress quiet", after);
        let (built, ran) = self.build_by_hand(after, &labels.collect());
        let facts = |image: &StoredImage| (image.diff_ids.clone(), image.config.clone());
        let is_equal = facts(&built) == facts(&held);
        if is_same {
            assert!(is_equal, "{text}steps that ran: {ran:?}\n{held:?}\n{built:?}");
            // What the program sends does not depend on what does not count.
            let forced = self.layers("build app --force --progress plain", after);
            assert!(
                forced.contains(" app: built in ") && !forced.contains(", 0 cached)"),
                "{forced}"
            );
        } else {
            assert!(!is_equal || !ran.is_empty(), "{text}{held:?}");
        }
        ran
    }
}

#[test]
fn the_version_of_a_parent_is_not_an_input() {
    let Some(docker) = common::engine_or_skip() else { return };
    let check = |text: &str, is_same| {
        let versions = ["VERSION=1", "VERSION=2"];
        let ran = Repository::new(&docker, text).check(versions, &|_| {}, is_same);
        assert!(ran.is_empty() || !is_same, "{text}{ran:?}");
    };
    check("ARG VERSION\nFROM {NS}/x-base:$VERSION\nRUN echo a > /a\n", true);
    check(
        "ARG VERSION\nFROM {NS}/x-base:$VERSION AS a\nFROM scratch\nCOPY --from=a /bin /bin\n",
        true,
    );
    let mount = "RUN --mount=from=a,target=/m cp /m/bin/busybox /b\n";
    check(
        &format!(
            "ARG VERSION\nFROM {{NS}}/x-base:$VERSION AS a\nFROM {{NS}}/x-base:$VERSION\n{mount}"
        ),
        true,
    );
    check("ARG VERSION\nFROM {NS}/x-base:$VERSION\nARG VERSION\nRUN echo a > /a\n", false);
    check("ARG VERSION\nFROM {NS}/x-base:$VERSION\nARG VERSION\nENV V=$VERSION\n", false);
}

/// A change of the files of `app`.
type Change = fn(&Path);

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn modes_of_directories_on_the_path_are_not_inputs() {
    let Some(docker) = common::engine_or_skip() else { return };
    let check = |lines: &str, change: Change, is_same| {
        let text = format!("FROM {{NS}}/x-base\n{lines}\n");
        let ran = Repository::new(&docker, &text).check([""; 2], &change, is_same);
        assert!(ran.is_empty() || !is_same, "{lines}: {ran:?}");
    };
    let dir: Change = |app| set_mode(&app.join("dir"), 0o700);
    let sub: Change = |app| set_mode(&app.join("dir/sub"), 0o700);
    let mount = |source: &str| format!("RUN --mount=source={source},target=/m cat /m/x > /x");
    check("COPY dir/file /x", dir, true);
    check("ADD dir/* link/sub/x d?r/sub /x/", dir, true);
    check(&mount("dir/sub"), dir, true);
    check("COPY dir/* /x/", sub, false);
    check("COPY dir/file dir /x/", dir, false);
    check(&mount("dir/sub"), sub, false);
}

#[test]
fn permissions_that_chmod_replaces_are_not_inputs() {
    let Some(docker) = common::engine_or_skip() else { return };
    let check = |lines: &str, change: Change, is_same| {
        let text = format!("FROM {{NS}}/x-base\n{lines}\n");
        Repository::new(&docker, &text).check([""; 2], &change, is_same);
    };
    let file: Change = |app| set_mode(&app.join("dir/file"), 0o755);
    // BuildKit runs the step again, and copies the same.
    check("COPY --chmod=644 dir/file /x", file, true);
    check("ADD --chmod=4755 dir/file /x", file, true);
    check("COPY --chmod=755 dir/file /x\nCOPY dir/file /y", file, false);
    // Docker 20.10 ignores a mode with variables.
    check("ARG M=4755\nADD --chmod=$M dir/file /x", file, false);
    // It keeps the other bits, and rejects symbolic modes.
    let setuid: Change = |app| set_mode(&app.join("dir/file"), 0o4644);
    check("COPY --chmod=644 dir/file /x", setuid, false);
    let own: Change = |app| set_mode(&app.join("dir"), 0o700);
    check("COPY --chmod=755 dir /x", own, false);
    if is_at_least(&docker, Frontend::new(1, 14), "symbolic modes") {
        check("COPY --chmod=u+w dir/file /x", file, false);
    }
}

#[test]
fn files_that_patterns_leave_out_are_not_inputs() {
    let Some(docker) = common::engine_or_skip() else { return };
    let check = |lines: &str, change: Change, is_same| {
        let text = format!("FROM {{NS}}/x-base\n{lines}\n");
        let ran = Repository::new(&docker, &text).check([""; 2], &change, is_same);
        assert!(ran.is_empty() || !is_same, "{lines}: {ran:?}");
    };
    let script: Change = |app| fs::write(app.join("dir/run.sh"), "other").unwrap();
    let deep: Change = |app| fs::write(app.join("dir/sub/run.sh"), "other").unwrap();
    check("COPY **/*.sh /x/", deep, true);
    check("ADD d**/run.sh /x/", deep, true);
    check("COPY **/*.sh /x/", script, false);
    check("COPY **/**/*.sh /x/", deep, false);
    check("COPY ** /x/", deep, false);
    if is_at_least(&docker, Frontend::new(1, 19), "`--exclude`") {
        check("COPY --exclude=*.sh dir /x", script, true);
        check("COPY --exclude=*.sh dir /x", deep, false);
        check("ADD --exclude=sub d* /x/", deep, true);
        check("COPY --exclude=**/*.sh link /x/", deep, true);
        check("COPY --exclude=dir/*.sh dir /x", script, false);
        check("COPY --exclude=*.sh dir/* /x/", script, false);
        check("COPY --exclude=* --exclude=!run.sh dir /x", script, false);
    }
}

#[test]
fn an_image_is_refused_if_the_engine_does_not_find_a_source() {
    let Some(docker) = common::engine_or_skip() else { return };
    let check = |lines: &str, is_missing: bool| {
        let text = format!("FROM {{NS}}/x-base\n{lines}\n");
        let repository = Repository::new(&docker, &text);
        repository.layers("build base --progress quiet", "");
        let request = repository.request_by_hand("", &BTreeMap::new());
        let outcome = docker.build(&request, &mut |_| {}, &Cancel::default()).unwrap();
        let fails = matches!(outcome, BuildOutcome::Failed(_));
        assert_eq!(fails, is_missing, "{lines}: {outcome:?}");
        let printed =
            repository.try_layers("build app --progress plain", "").unwrap_or_else(|err| err);
        let is_refused = printed.contains(" app: failed ") && !printed.contains(" app: [");
        assert_eq!(is_refused, is_missing, "{lines}: {printed}");
        assert_eq!(printed.contains(" app: built in "), !is_missing, "{lines}: {printed}");
        let found = repository.layers("check", "").contains("warning[missing-file]");
        assert_eq!(found, is_missing, "{lines}");
    };
    check("COPY dir/file none /x/", true);
    check("ADD link/none /x/", true);
    check("COPY dir/file/none /x/", true);
    check("COPY none/* dir/file /x/", true);
    check("RUN --mount=source=none,target=/m true", true);
    check("RUN --mount=source=dir/f*,target=/m true", true);
    check("COPY *.none dir/file /x/", false);
    check("ADD *.none /x/", false);
    check("COPY dir/*.none dir/sub/none* no*/file /x/", false);
    check("COPY dir/file/* link/none* /x/", false);
}

#[test]
fn failed_checks_are_reported_if_the_engine_refuses_them() {
    let Some(docker) = common::engine_or_skip() else { return };
    let knows_checks = is_at_least(&docker, Frontend::new(1, 8), "refusing failed checks");
    let check = |options: &str, lines: &str, fails: bool| {
        let repository = Repository::new(&docker, &format!("# check={options}\n{lines}\n"));
        repository.layers("build base --progress quiet", "");
        let request = repository.request_by_hand("", &BTreeMap::new());
        let outcome = docker.build(&request, &mut |_| {}, &Cancel::default()).unwrap();
        let is_refused = matches!(outcome, BuildOutcome::Failed(_));
        assert_eq!(is_refused, fails && knows_checks, "{options} {lines}: {outcome:?}");
        let printed =
            repository.try_layers("build app --progress plain", "").unwrap_or_else(|err| err);
        let is_reported =
            printed.contains("error[failed-check]: ") && !printed.contains(" app: started");
        assert_eq!(is_reported, is_refused, "{options} {lines}: {printed}");
        assert_eq!(
            printed.contains(" app: built in "),
            !is_refused,
            "{options} {lines}: {printed}"
        );
    };
    check("error=true", "FROM {NS}/x-base AS a\nCOPY dir /x", false);
    check("error=true", "FROM {NS}/x-base as a\nCOPY dir /x", true);
    check("error=true;skip=FromAsCasing", "FROM {NS}/x-base as a\nCOPY dir /x", false);
    check("skip=StageNameCasing", "FROM {NS}/x-base as a\nCOPY dir /x", false);
    check("error=true", "FROM {NS}/x-base AS A\nCOPY dir /x", true);
    check("error=true", "FROM {NS}/x-base\nCOPY dir \\\n\n /x", true);
    check("error=true", "FROM {NS}/x-base\nENV a b", true);
    check("error=true", "FROM {NS}/x-base AS a\nENV a b\nFROM {NS}/x-base\nCOPY dir /x", false);
    check("error=true", "FROM {NS}/x-base\nMAINTAINER me", true);
    check("error=true", "FROM {NS}/x-base\ncopy dir /x", true);
    check("error=true", "FROM {NS}/x-base\nCMD [\"a\"]\nCMD [\"b\"]", true);
    check("error=true", "FROM {NS}/x-base AS context\nCOPY dir /x", true);
}

/// Returns whether the engine's frontend has a version, and otherwise prints what is not tested.
fn is_at_least(docker: &Docker, version: Frontend, what: &str) -> bool {
    let is_newer = docker.info().unwrap().frontend.is_none_or(|own| own >= version);
    if !is_newer {
        eprintln!("skipped: {what} needs a newer engine");
    }
    is_newer
}
