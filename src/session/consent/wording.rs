//! The texts that ask for consent.
//!
//! Owns how IDs and paths, which a hostile repository chooses, are shown on a terminal: so that none of them can move
//! the cursor, reorder the line, or look like text of `layers`.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;

use crate::base::screen::is_unseen;
use crate::base::text::{count, visible_shell_word as pasted};
use crate::cli::command_line::NAMED_VALUES;
use crate::graph::context_directory::credentials_in;
use crate::graph::evaluate::SecretKind;

use super::{OutsideAccess, OutsideSource, Role};

/// Why a command stops if the user cannot answer.
pub(super) const NEEDS_CONSENT: &str =
    "builds of this repository access files or agents outside of it, which needs your consent";

/// The maximum number of characters of an ID that are shown. An ID must not push the path off the screen.
const LONGEST_ID: usize = 64;

/// The maximum number of images that a list names.
const MOST_IMAGES: usize = 20;

/// Formats one line per item outside the repository.
pub(super) fn list(accesses: &[&OutsideAccess<'_>]) -> String {
    let lines: Vec<String> =
        accesses.iter().map(|outside| format!("- {}", line(outside))).collect();
    lines.join("\n")
}

/// Returns the question at a terminal.
pub(super) fn question(list: &str, remembers: bool) -> String {
    let list: String = list.lines().map(|line| format!("  {line}\n")).collect();
    let allow = match remembers {
        true => "allow this, and remember the answer for this repository?",
        false => "allow this?",
    };
    format!("{NEEDS_CONSENT}:\n{list}{allow} [y/N] ")
}

/// Returns the command line that consents.
pub(super) fn hint(accesses: &[&OutsideAccess<'_>], arguments: &[OsString]) -> String {
    let options = options(accesses).join(" ");
    match typed(arguments) {
        Some((before, after)) => {
            let words = [before, options, after].into_iter().filter(|words| !words.is_empty());
            format!("layers {}", words.collect::<Vec<_>>().join(" "))
        }
        None => format!("add {options}"),
    }
}

/// Returns the line that names an environment variable that builds get as a secret: the builds of images that mount it,
/// and of other images that may request it.
pub fn announce(id: &str, variable: &str, names: &[&str], mounted: &[&str]) -> String {
    let (mounted, other): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| mounted.contains(name));
    let lists = [("mounted by", mounted), ("available to", other)].into_iter();
    let lists = lists.filter(|(_, names)| !names.is_empty());
    let lists: Vec<String> =
        lists.map(|(how, names)| format!("{how} {}", images(&names))).collect();
    format!("secret {}: from ${}, {}\n", shown(id), shown(variable), lists.join(", "))
}

/// Returns the warning about something outside the repository that builds do not get.
pub fn withheld(kind: SecretKind, id: &str, names: &[&str]) -> String {
    let kind = match kind {
        SecretKind::Value => "secret",
        SecretKind::Agent => "ssh agent",
    };
    format!(
        "the {kind} {} is outside the repository, so it is not passed to {}\n\
         hint: if an ONBUILD instruction of a base image mounts it, add --allow",
        shown(id),
        images(names)
    )
}

fn line(outside: &OutsideAccess<'_>) -> String {
    let id = shown(outside.id);
    let images = || images(&outside.images);
    let source = match &outside.source {
        OutsideSource::Path(path) => quoted(&path.to_string_lossy(), usize::MAX).into(),
        OutsideSource::Agent => Cow::from("the ssh agent of SSH_AUTH_SOCK"),
    };
    match outside.role {
        Role::Secret => format!("{source} as the secret {id}, for {}", images()),
        Role::Agent => format!("{source} as the ssh agent {id}, for {}", images()),
        Role::Context => format!("{source} as the context of {id}"),
        Role::Dockerfile => format!("{source} as the Dockerfile of {id}"),
        Role::NamedContext => format!("{source} as the named context {id}, for {}", images()),
    }
}

fn images(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
    match names.len().checked_sub(MOST_IMAGES) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST_IMAGES].join(", ")),
    }
}

/// Returns the `--allow` options that cover everything. A directory covers everything below it.
fn options(accesses: &[&OutsideAccess<'_>]) -> Vec<String> {
    let mut paths: Vec<&Path> = Vec::new();
    // A directory sorts before what is below it.
    let mut all: Vec<&Path> = accesses.iter().filter_map(|outside| path(outside)).collect();
    all.sort_unstable();
    for path in all {
        if !paths.iter().any(|above| path.starts_with(above)) {
            paths.push(path);
        }
    }
    let files = paths.into_iter().map(|path| {
        let word = format!("fs.read={}", path.to_string_lossy());
        format!("--allow {}", pasted(&word))
    });
    let is_agent = accesses.iter().any(|outside| outside.source == OutsideSource::Agent);
    files.chain(is_agent.then(|| "--allow ssh".to_owned())).collect()
}

fn path<'a>(outside: &'a OutsideAccess<'_>) -> Option<&'a Path> {
    match &outside.source {
        OutsideSource::Path(path) => Some(path),
        OutsideSource::Agent => None,
    }
}

/// Returns the command line as it was typed, as the parts before and after the position of an option.
///
/// Returns `None` if it is not UTF-8, or if it contains the value of a build argument or a label, or a URL with a
/// password, which may be confidential: a log would show the command with the value of the variable that it came from.
fn typed(arguments: &[OsString]) -> Option<(String, String)> {
    let words: Vec<&str> = arguments.iter().map(|it| it.to_str()).collect::<Option<_>>()?;
    let is_confidential = |word: &&str| {
        NAMED_VALUES.iter().any(|option| word.starts_with(option)) || credentials_in(word).is_some()
    };
    if words.iter().any(is_confidential) {
        return None;
    }
    let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let join = |words: &[&str]| words.iter().map(|it| pasted(it)).collect::<Vec<_>>().join(" ");
    Some((join(&words[..end]), join(&words[end..])))
}

/// Returns a name as it is if that is safe, or else in quotes with escapes.
fn shown(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./+@".contains(c);
    if !name.is_empty() && name.len() <= LONGEST_ID && name.chars().all(is_plain) {
        return name.to_owned();
    }
    quoted(name, LONGEST_ID)
}

/// Returns a text in quotes with escapes, and at most `most` characters of it.
fn quoted(whole: &str, most: usize) -> String {
    let mut text = String::from("'");
    for (at, character) in whole.chars().enumerate() {
        if at == most {
            let more = count(whole.chars().count() - most, "character");
            return format!("{text}…' (and {more})");
        }
        escape(character, &mut text);
    }
    text.push('\'');
    text
}

fn escape(character: char, to: &mut String) {
    match character {
        '\'' | '\\' => to.extend(['\\', character]),
        character if is_unseen(character) => to.extend(character.escape_unicode()),
        character => to.push(character),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(id: &'static str, path: &str) -> OutsideAccess<'static> {
        OutsideAccess {
            role: Role::Secret,
            id,
            source: OutsideSource::Path(PathBuf::from(path)),
            images: vec!["web", "api"],
        }
    }

    #[test]
    fn names_are_escaped_for_the_terminal() {
        let check = |name: &str, expected: &str| assert_eq!(shown(name), expected);
        check("npm_token", "npm_token");
        check("", "''");
        check("a b", "'a b'");
        check("x\u{1b}[2J\r\ny", r"'x\u{1b}[2J\u{d}\u{a}y'");
        check("a\u{202e}b\u{9b}\u{200b}", r"'a\u{202e}b\u{9b}\u{200b}'");
        check("it's\\", r"'it\'s\\'");
        check("npm, mounted by web", "'npm, mounted by web'");
        let long = "y".repeat(100);
        check(&long, &format!("'{}…' (and 36 characters)", "y".repeat(64)));
        assert_eq!(quoted("/a b\u{1b}[1A", usize::MAX), r"'/a b\u{1b}[1A'");
    }

    #[test]
    fn the_hint_is_the_command_with_the_allow_options() {
        let check = |accesses: &[OutsideAccess<'_>], arguments: &[&str], expected: &str| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            let accesses: Vec<&OutsideAccess<'_>> = accesses.iter().collect();
            assert_eq!(hint(&accesses, &arguments), expected);
        };
        let agent = OutsideAccess { source: OutsideSource::Agent, ..file("default", "") };
        let npm = file("npm", "/home/a b/.npmrc");
        check(
            &[npm.clone(), agent.clone()],
            &["build", "--all"],
            "layers build --all --allow 'fs.read=/home/a b/.npmrc' --allow ssh",
        );
        check(&[agent], &["build", "a*", "--", "-x"], "layers build 'a*' --allow ssh -- -x");
        // What is below a directory does not need its own option.
        let (directory, other) = (file("a", "/x/y"), file("b", "/x/y/z"));
        let near = file("c", "/x/y-z");
        check(
            &[other, near, directory],
            &["build"],
            "layers build --allow fs.read=/x/y --allow fs.read=/x/y-z",
        );
        check(
            &[file("a", "/x\u{1b}'\u{202e}\\")],
            &["build"],
            r"layers build --allow $'fs.read=/x\033\'\342\200\256\\'",
        );
        // The value of a build argument is not repeated, and neither is a password.
        check(
            &[file("a", "/x")],
            &["build", "--build-context", "x=https://a:hunter2@example.com"],
            "add --allow fs.read=/x",
        );
        check(
            &[npm],
            &["build", "--build-arg", "TOKEN=hunter2"],
            "add --allow 'fs.read=/home/a b/.npmrc'",
        );
    }

    #[test]
    fn long_lists_of_images_are_truncated() {
        let names: Vec<String> = (0..30).map(|n| format!("i{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = images(&names);
        assert!(text.ends_with("i18, i19 and 10 more"), "{text}");
    }
}
