//! Command lines as they are typed again, in hints and in the headers of files.
//!
//! Owns which options change what a command makes, and what a command line that is kept does not show.

use std::borrow::Cow;
use std::ffi::OsString;
use std::ops::Range;

use clap::ValueEnum;

use super::{
    CiArgs, CiFile, CiGithub, CiGitlab, CiSystem, Format, GlobalArgs, GraphArgs, USUAL_BRANCH,
    USUAL_IMAGE, USUAL_RUNNER, usual_action,
};
use crate::base::text::{inline_shell_word as quote, visible_shell_word};
use crate::credentials::is_proxy;
use crate::engine::mask::{HIDDEN, Mask};
use crate::graph::context_directory::credentials_in;

/// Words that make the name of a build argument confidential (BuildKit's check `SecretsUsedInArgOrEnv`,
/// `frontend/dockerfile/dockerfile2llb/convert.go`).
const CONFIDENTIAL: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "passwd",
    "password",
    "pword",
    "secret",
    "token",
];

/// The options whose values are `NAME=VALUE`.
pub const NAMED_VALUES: [&str; 2] = ["--build-arg", "--label"];

/// Returns the command line as it was given, for a shell. The values of secrets are masked, and so are those of build
/// arguments and labels that are confidential by their names, and passwords in the URLs of named contexts.
///
/// Returns `None` if an argument is not UTF-8, because the text would be another command line.
pub fn as_given(arguments: &[OsString], mask: &Mask) -> Option<String> {
    let mut words = vec!["layers".to_owned()];
    let mut hide: Option<Hide> = None;
    for argument in arguments {
        let word = argument.to_str()?;
        let joined = OPTIONS.iter().find_map(|(option, hide)| {
            let value = word.strip_prefix(option)?.strip_prefix('=')?;
            Some(format!("{option}={}", hide(value)).into())
        });
        let shown = match hide.take() {
            Some(hide) => hide(word),
            None => joined.unwrap_or_else(|| {
                hide = OPTIONS.iter().find(|(option, _)| *option == word).map(|(_, hide)| *hide);
                word.into()
            }),
        };
        words.push(visible_shell_word(&mask.hide_in(shown.into_owned())));
    }
    Some(words.join(" "))
}

/// How a part of an option's value is masked.
type Hide = fn(&str) -> Cow<'_, str>;

/// Options whose values can be confidential, and how they are masked.
const OPTIONS: [(&str, Hide); 3] = [
    (NAMED_VALUES[0], hide_confidential),
    (NAMED_VALUES[1], hide_confidential),
    ("--build-context", hide_credentials),
];

/// Masks the user name and password in the URL of a named context.
fn hide_credentials(argument: &str) -> Cow<'_, str> {
    let Some((name, value)) = argument.split_once('=') else { return argument.into() };
    match credentials_in(value) {
        Some(Range { start, end }) => {
            format!("{name}={}{HIDDEN}{}", &value[..start], &value[end..]).into()
        }
        None => argument.into(),
    }
}

/// Masks the value of a build argument or label that is confidential by its name, and that of a proxy with a password.
fn hide_confidential(argument: &str) -> Cow<'_, str> {
    let Some((name, value)) = argument.split_once('=') else { return argument.into() };
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    let is_confidential = has(&CONFIDENTIAL) && !has(&["public"]);
    if is_confidential || (is_proxy(name) && value.contains('@')) {
        return format!("{name}={HIDDEN}").into();
    }
    argument.into()
}

/// The options of all commands that change what is made, each with its value as `quote` writes words.
pub fn settings(global: &GlobalArgs, quote: impl Fn(&str) -> String) -> Vec<String> {
    let GlobalArgs {
        directory: _,
        file,
        quiet: _,
        verbose: _,
        build_args,
        labels,
        network,
        shm_size,
        ulimits,
        add_hosts,
        build_contexts,
        platform,
        target,
        sbom,
        provenance,
        namespace,
        app,
        tags,
        registry: _,
    } = global;
    fn named<T: ToString>(
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> Vec<(&'static str, String)> {
        values.into_iter().map(|value| (name, value.to_string())).collect()
    }
    let options = [
        named("build-arg", build_args),
        named("build-context", build_contexts),
        named("label", labels),
        named("network", network),
        named("shm-size", shm_size),
        named("ulimit", ulimits),
        named("add-host", add_hosts),
        named("platform", platform),
        named("target", target),
        named("namespace", namespace),
        named("app", app),
        named("tag", tags),
    ];
    // A verdict depends on them.
    let attestations = [("sbom", sbom), ("provenance", provenance)].into_iter();
    let attestations =
        attestations.filter_map(|(name, how)| Some((name, how.as_ref()?.to_string())));
    let attestations = attestations.map(|(name, how)| format!("--{name}={}", quote(&how)));
    // Commands are typed again in the root, where the file is.
    let file = file.as_ref().and_then(|it| it.file_name()).map(|name| name.to_string_lossy());
    let file = file.map(|name| format!("--file {}", quote(&name)));
    let options = options.into_iter().flatten();
    let options = options.map(|(name, value)| format!("--{name} {}", quote(&value)));
    file.into_iter().chain(options).chain(attestations).collect()
}

/// The options of all commands, and the registry, for files that are used where `layers.toml` is not.
pub fn settings_with_registry(global: &GlobalArgs, quote: impl Fn(&str) -> String) -> Vec<String> {
    let registry = global.registry.as_ref().map(|it| format!("--registry {}", quote(it)));
    settings(global, quote).into_iter().chain(registry).collect()
}

/// `layers graph` with the options that say what is drawn. `format` is the format, where it is known
/// otherwise than by an option.
pub fn graph(options: &GraphArgs, global: &GlobalArgs, format: Option<Format>) -> String {
    let mut words: Vec<Cow<'_, str>> = vec!["layers graph".into()];
    let format = format.or(options.format.selected()).and_then(|it| it.to_possible_value());
    words.extend(format.map(|it| format!("--{}", it.get_name()).into()));
    words.extend(options.focus.iter().map(|image| format!("--focus {}", quote(image)).into()));
    words.extend(options.reduce.then_some("--reduce".into()));
    let by = options.color_by.and_then(|by| by.to_possible_value());
    words.extend(by.map(|by| format!("--color-by {}", by.get_name()).into()));
    words.extend(settings(global, quote).into_iter().map(Cow::from));
    words.join(" ")
}

/// `layers ci` with the options that say what is in the file.
pub fn ci(options: &CiArgs, global: &GlobalArgs) -> String {
    let (words, file) = match &options.system {
        CiSystem::Github(options) => (github_words(options), &options.file),
        CiSystem::Gitlab(options) => (gitlab_words(options), &options.file),
    };
    let CiFile { images, output: _, check: _ } = file;
    let images = images.iter().map(|image| quote(image));
    let settings = settings_with_registry(global, quote).into_iter();
    words.into_iter().chain(settings.chain(images).map(Cow::from)).collect::<Vec<_>>().join(" ")
}

fn github_words(options: &CiGithub) -> Vec<Cow<'static, str>> {
    let CiGithub { file: _, packed, uses, runs_on, branch } = options;
    let mut words = vec!["layers ci github".into()];
    words.extend(packed.then_some("--packed".into()));
    if *uses != usual_action() {
        words.push(format!("--uses {}", quote(uses)).into());
    }
    if runs_on != USUAL_RUNNER {
        words.push(format!("--runs-on {}", quote(runs_on)).into());
    }
    if *branch != [USUAL_BRANCH] {
        words.extend(branch.iter().map(|branch| format!("--branch {}", quote(branch)).into()));
    }
    words
}

fn gitlab_words(options: &CiGitlab) -> Vec<Cow<'static, str>> {
    let CiGitlab { file: _, image } = options;
    let mut words = vec!["layers ci gitlab".into()];
    if image != USUAL_IMAGE {
        words.push(format!("--image {}", quote(image)).into());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_quoted_and_secrets_in_it_are_masked() {
        let mask = Mask::new([b"hunter2".as_slice()]).unwrap();
        let check = |words: &[&str], expected: &str| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(as_given(&words, &mask).unwrap(), expected);
        };
        check(&["build", "-C", "a b", "dev-*", "it's"], r"layers build -C 'a b' 'dev-*' 'it'\''s'");
        check(&["build", "--tag", "a\nb"], r"layers build --tag $'a\012b'");
        check(
            &["build", "--secret", "id=npm,env=NPM_TOKEN", "--build-arg", "A=hunter2"],
            "layers build --secret id=npm,env=NPM_TOKEN --build-arg 'A=***'",
        );
        check(
            &["build", "--build-arg=NPM_TOKEN=x", "--build-arg", "password=y", "TOKEN=z"],
            "layers build '--build-arg=NPM_TOKEN=***' --build-arg 'password=***' TOKEN=z",
        );
        check(
            &["build", "--label=npm_token=x", "--label", "key=y", "--label", "a=z", "--labels"],
            "layers build '--label=npm_token=***' --label 'key=***' --label a=z --labels",
        );
        check(
            &["--build-arg", "PUBLIC_KEY=x", "--build-arg", "TOKENS=y", "--build-arg", "TOKEN"],
            "layers --build-arg PUBLIC_KEY=x --build-arg TOKENS=y --build-arg TOKEN",
        );
        check(
            &["--build-context", "x=https://a:b@c/d.git", "--build-context=y=https://t@c", "-k"],
            "layers --build-context 'x=https://***@c/d.git' '--build-context=y=https://***@c' -k",
        );
        check(
            &["--build-arg", "https_proxy=http://a:b@c", "--build-arg", "HTTP_PROXY=http://c"],
            "layers --build-arg 'https_proxy=***' --build-arg HTTP_PROXY=http://c",
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_command_line_that_is_not_utf8_is_not_shown() {
        use std::os::unix::ffi::OsStringExt;
        let words = [OsString::from("build"), OsString::from_vec(vec![0xff])];
        assert_eq!(as_given(&words, &Mask::default()), None);
    }
}
