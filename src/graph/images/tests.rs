//! Tests of the images that result from Dockerfiles and settings.

use super::*;
use crate::scan::config;

fn read(found: &[FoundDockerfile], config: &str) -> (Vec<Candidate>, Vec<Diagnostic>) {
    let source = Source::new(RelPath::new("layers.toml").unwrap(), config);
    let (file, mistakes) = config::parse(&source);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let naming = NamingSettings { directory: "repo".to_owned(), ..NamingSettings::default() };
    collect(found, &file, &naming)
}

#[track_caller]
fn check(found: &[&str], config: &str, expected: &[&str], problems: &[&str]) {
    let found: Vec<FoundDockerfile> =
        found.iter().map(|path| FoundDockerfile::plain(RelPath::new(path).unwrap())).collect();
    compare(&found, config, expected, problems);
}

#[track_caller]
fn compare(found: &[FoundDockerfile], config: &str, expected: &[&str], problems: &[&str]) {
    let (images, diagnostics) = read(found, config);
    let images: Vec<String> = images
        .iter()
        .map(|it| {
            let mut shown = format!("{} {} {}", it.name, it.dockerfile, it.context);
            for (name, value) in &it.args {
                shown.push_str(&format!(" {name}={value}"));
            }
            for context in &it.contexts {
                shown.push_str(&format!(" {}→{}", context.name, context.value));
            }
            if let Some(target) = &it.target {
                shown.push_str(&format!(" target {target}"));
            }
            for reference in &it.references {
                shown.push_str(&format!(" as {}", reference.text));
            }
            shown
        })
        .collect();
    assert_eq!(images, expected);
    let shown: Vec<String> = diagnostics
        .iter()
        .map(|it| {
            let label = it.labels.last().unwrap();
            format!("{} {}", label.source.slice(label.span), it.message)
        })
        .collect();
    assert_eq!(shown, problems);
}

#[test]
fn image_names_are_derived_from_dockerfile_paths() {
    check(
        &["docker/dev/Dockerfile", "docker/base/Containerfile", "Dockerfile"],
        "",
        &[
            "base docker/base/Containerfile docker/base",
            "dev docker/dev/Dockerfile docker/dev",
            "repo Dockerfile .",
        ],
        &[],
    );
    check(
        &["docker/app/Dockerfile", "docker/app/Dockerfile.dev", "docker/app/Dockerfile-ci"],
        "",
        &[
            "app docker/app/Dockerfile docker/app",
            "app-ci docker/app/Dockerfile-ci docker/app",
            "app-dev docker/app/Dockerfile.dev docker/app",
        ],
        &[],
    );
    check(
        &["Dockerfile.dev", "docker/web.Dockerfile", "docker/api.dockerfile", "x/y.docker"],
        "",
        &[
            "api docker/api.dockerfile docker",
            "dev Dockerfile.dev .",
            "web docker/web.Dockerfile docker",
            "y x/y.docker x",
        ],
        &[],
    );
}

#[test]
fn image_names_are_derived_from_templates() {
    check(
        &["a/base/Dockerfile", "b/base/Dockerfile", "Dockerfile"],
        "name = '{parent}-{dir}'\ncontext = '{path}/..'\n[args]\nWHO = '{name}'\nV = '{version}'\n",
        &[
            "a-base a/base/Dockerfile a V=latest WHO=a-base",
            "b-base b/base/Dockerfile b V=latest WHO=b-base",
            "repo-repo Dockerfile . V=latest WHO=repo-repo",
        ],
        &["'{path}/..' `./..` is outside the repository"],
    );
}

#[test]
fn captures_are_expanded_in_every_setting() {
    let captures = [("distro", "jazzy"), ("variant", "core")];
    let captures = captures.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found = FoundDockerfile {
        path: RelPath::new("ros/jazzy/core/Dockerfile").unwrap(),
        group: Some(0),
        captures: captures.into(),
    };
    compare(
        &[found],
        "reference = 'nobody'\n[[group]]\npattern = ''\nname = '{distro}-{variant}'\n\
         reference = '{namespace}/ros:{distro}-{variant}'\ncontext = 'ros/{distro}'\n\
         args.D = '{distro}'\ncontexts.x = '{distro}-base'\n",
        &["jazzy-core ros/jazzy/core/Dockerfile ros/jazzy D=jazzy x→jazzy-base \
           as {namespace}/ros:jazzy-core"],
        &[],
    );
}

#[test]
fn the_configuration_modifies_and_adds_images() {
    check(
        &["docker/dev/Dockerfile"],
        "[args]\nA = 1\nB = 2\n[image.dev]\ncontext = '.'\nargs.A = 3\n[image.x]\ndockerfile = 'x/D'\n",
        &["dev docker/dev/Dockerfile . A=3 B=2", "x x/D x A=1 B=2"],
        &[],
    );
}

#[test]
fn configured_targets_become_images() {
    check(
        &["docker/app/Dockerfile"],
        "[image.app]\ntargets = ['dev', 'release']\nargs.A = '{target}'\n\
         [image.app-dev]\ncontext = '.'\n",
        &[
            "app-dev docker/app/Dockerfile . A=dev target dev",
            "app-release docker/app/Dockerfile docker/app A=release target release",
        ],
        &[],
    );
    let found = FoundDockerfile {
        group: Some(0),
        ..FoundDockerfile::plain(RelPath::new("docker/app/Dockerfile").unwrap())
    };
    compare(
        &[found],
        "[[group]]\nname = '{target}-of-{dir}'\nreference = 'x/{dir}:{target}'\ntargets = ['a', 'b']\n",
        &[
            "a-of-app docker/app/Dockerfile docker/app target a as x/app:a",
            "b-of-app docker/app/Dockerfile docker/app target b as x/app:b",
        ],
        &[],
    );
    check(
        &["docker/app/Dockerfile"],
        "[image.app]\ntarget = 'x'\ntargets = ['dev']\n",
        &[],
        &["'dev' `target` and `targets` can't both be set"],
    );
}

#[test]
fn configuration_errors_are_collected() {
    check(
        &["a/base/Dockerfile", "b/base/Dockerfile"],
        "[image.bsae]\n[image.base]\ncontext = '../x'\n",
        &["base a/base/Dockerfile a/base"],
        &[
            "'../x' `../x` is outside the repository",
            " two images are named `base`",
            "bsae image `bsae` not found",
        ],
    );
    check(
        &["a/base/Dockerfile"],
        "name = 'x-{dri}'\nreference = '{name}'\n",
        &[],
        &["{dri} unknown placeholder `dri`"],
    );
    check(
        &["a/base/Dockerfile"],
        "args.NS = '{namespace}'\n",
        &["base a/base/Dockerfile a/base"],
        &["{namespace} `{namespace}` is not set"],
    );
}
