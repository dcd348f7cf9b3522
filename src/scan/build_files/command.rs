//! Commands that build an image: `docker build` and what is called alike.
//!
//! Owns splitting shell text into commands and words, and the options of these commands. It is a simple reader: what
//! decides whether a command runs is ignored.

use std::collections::BTreeMap;

use crate::base::RelPath;

use super::partial::{PartialText, UNKNOWN};
use super::{
    BuildFileReader, BuildOrigin, ContextSource, DescribedBuild, known_values, named_context,
};

/// The options without a value, of all builders. The other options take one.
const FLAGS: [&str; 24] = [
    "--all-platforms",
    "--compress",
    "--disable-content-trust",
    "--force-rm",
    "--layers",
    "--load",
    "--no-cache",
    "--no-pull",
    "--pull",
    "--pull-always",
    "--push",
    "--quiet",
    "--rm",
    "--squash",
    "--squash-all",
    "--stdin",
    "--tls-verify",
    "--debug",
    "--check",
    "--identity-label",
    "--omit-history",
    "-D",
    "-q",
    "-x",
];

/// A command of a shell text, with the line on which it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShellCommand {
    /// The line, from 1.
    pub(super) line: u32,
    /// The text, without the operator at its end. Continued lines are joined.
    pub(super) text: String,
}

/// Splits a shell text into commands. What is executed in place of a word, as in `$(date)`, is unknown.
pub(super) fn split(text: &str) -> Vec<ShellCommand> {
    let mut commands = Vec::new();
    let mut current = ShellCommand { line: 1, text: String::new() };
    let (mut line, mut quote) = (1, None);
    let mut rest = text.chars().peekable();
    let mut finish = |current: &mut ShellCommand, next_line: u32| {
        let text = std::mem::take(&mut current.text);
        if !text.trim().is_empty() {
            commands.push(ShellCommand { line: current.line, text });
        }
        current.line = next_line;
    };
    while let Some(c) = rest.next() {
        line += u32::from(c == '\n');
        if current.text.trim_start().is_empty() && !c.is_whitespace() {
            current.line = line;
        }
        match (c, quote) {
            ('\\', _) if rest.peek() == Some(&'\n') => {
                rest.next();
                line += 1;
                current.text.push(' ');
            }
            ('\\', Some('"') | None) => {
                current.text.push(c);
                current.text.extend(rest.next().inspect(|c| line += u32::from(*c == '\n')));
            }
            ('$', Some('"') | None) if rest.peek() == Some(&'(') => {
                let (inside, lines) = substitution(&mut rest);
                line += lines;
                current.text.push(if is_own_directory(&inside) { '.' } else { UNKNOWN });
            }
            ('`', Some('"') | None) => {
                line += skip_until(&mut rest, '`');
                current.text.push(UNKNOWN);
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                current.text.push(c);
            }
            (c, Some(open)) if c == open => {
                quote = None;
                current.text.push(c);
            }
            ('#', None)
                if current.text.is_empty() || current.text.ends_with(char::is_whitespace) =>
            {
                line += skip_until(&mut rest, '\n');
                finish(&mut current, line);
            }
            ('\n' | ';' | '&' | '|' | '(' | ')', None) => finish(&mut current, line),
            (c, _) => current.text.push(c),
        }
    }
    finish(&mut current, line);
    commands
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Reads `(…)`. Returns what is inside, and the number of lines.
fn substitution(rest: &mut Chars<'_>) -> (String, u32) {
    let (mut open, mut lines, mut inside) = (0_u32, 0, String::new());
    for c in rest.by_ref() {
        lines += u32::from(c == '\n');
        match c {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            break;
        }
        inside.push(c);
    }
    (inside, lines)
}

/// Returns whether a command prints the directory in which a script is, or in which it runs.
fn is_own_directory(command: &str) -> bool {
    command.contains("dirname") || command.trim_start_matches('(').trim() == "pwd"
}

/// Skips the text to a character. Returns the number of lines that were skipped.
fn skip_until(rest: &mut Chars<'_>, end: char) -> u32 {
    let mut lines = 0;
    for c in rest.by_ref() {
        lines += u32::from(c == '\n');
        if c == end {
            break;
        }
    }
    lines
}

/// Returns the words of a command whose variables are expanded, or `None` if a quote is not closed.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    shlex::split(text)
}

/// Returns the arguments of a command that builds an image, or `None` if the command does something else.
pub(super) fn build_arguments(words: &[String]) -> Option<&[String]> {
    let is_prefix = |word: &str| {
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        });
        let words = [
            "sudo", "-E", "env", "time", "exec", "command", "if", "then", "do", "else", "!", "{",
            "retry",
        ];
        is_assignment || words.contains(&word)
    };
    let start = words.iter().position(|word| !is_prefix(word))?;
    let program = words[start].rsplit('/').next()?;
    let mut rest = &words[start + 1..];
    let is_builder = matches!(program, "docker" | "podman" | "nerdctl" | "buildah")
        // The program is often a variable, as in `$(DOCKER) build`.
        || program.chars().eq([UNKNOWN]);
    if !is_builder {
        return None;
    }
    while let Some(first) = rest.first() {
        match first.as_str() {
            "buildx" | "image" | "builder" => rest = &rest[1..],
            "build" | "bud" => return Some(&rest[1..]),
            // Options of the program itself.
            "--context" | "-c" | "--host" | "-H" | "--config" | "--builder" | "--root" => {
                rest = rest.get(2..)?;
            }
            option if option.starts_with('-') => rest = &rest[1..],
            _ => return None,
        }
    }
    None
}

/// The options of a command that builds an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BuildCommand {
    /// The context.
    pub(super) context: Option<PartialText>,
    /// The Dockerfile, relative to where the command runs.
    pub(super) file: Option<PartialText>,
    /// The target stage.
    pub(super) target: Option<PartialText>,
    /// The tags.
    pub(super) tags: Vec<PartialText>,
    /// The build arguments, as `NAME=VALUE`.
    pub(super) args: Vec<String>,
    /// The named contexts, as `NAME=VALUE`.
    pub(super) contexts: Vec<String>,
    /// The platforms, separated by commas.
    pub(super) platforms: Vec<String>,
}

impl BuildCommand {
    /// Reads the arguments of a command.
    pub(super) fn parse(arguments: &[String]) -> BuildCommand {
        let mut command = BuildCommand::default();
        let mut rest = arguments.iter();
        while let Some(word) = rest.next() {
            if word == "--" || word.chars().eq([UNKNOWN]) {
                // An unknown word contains options, more often than the context.
                continue;
            }
            if !word.starts_with('-') || word == "-" {
                if [">", "<", "2>"].iter().any(|redirection| word.starts_with(redirection)) {
                    break;
                }
                command.context.get_or_insert_with(|| word.as_str().into());
                continue;
            }
            let is_short = !word.starts_with("--");
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None if is_short && word.len() > 2 && word.is_char_boundary(2) => {
                    // A value can follow a short option directly, as in `-tname`.
                    (&word[..2], Some(&word[2..]))
                }
                None => (word.as_str(), None),
            };
            if FLAGS.contains(&name) {
                continue;
            }
            let Some(value) = value.map(str::to_owned).or_else(|| rest.next().cloned()) else {
                break;
            };
            command.set(name, value);
        }
        command
    }

    fn set(&mut self, name: &str, value: String) {
        match name {
            "-f" | "--file" => self.file = Some(value.into()),
            "-t" | "--tag" => self.tags.push(value.into()),
            "--target" => self.target = Some(value.into()),
            "--build-arg" => self.args.push(value),
            "--build-context" => self.contexts.push(value),
            "--platform" => self.platforms.push(value),
            _ => {}
        }
    }

    /// Returns the build that the command describes if it runs in `directory`, or `None` if its Dockerfile is unknown
    /// or missing.
    pub(super) fn describe(
        self,
        reader: &BuildFileReader<'_>,
        directory: &RelPath,
        origin: BuildOrigin,
    ) -> Option<DescribedBuild> {
        let context = ContextSource::of(&self.context?, directory);
        let (dockerfile, context) = match (&self.file, context) {
            (_, ContextSource::Elsewhere) => return None,
            (Some(file), ContextSource::Directory(context)) => {
                (reader.dockerfile(directory, Some(file.as_known()?))?, Some(context))
            }
            (Some(file), ContextSource::Unknown) => {
                (reader.dockerfile(directory, Some(file.as_known()?))?, None)
            }
            (None, ContextSource::Directory(context)) => {
                (reader.dockerfile(&context, None)?, Some(context))
            }
            (None, ContextSource::Unknown) => return None,
        };
        let contexts = assignments(&self.contexts);
        let named = |(name, value): (&String, &PartialText)| {
            Some((name.clone(), named_context(value, directory)?))
        };
        let platforms = self.platforms.iter().flat_map(|list| list.split(','));
        let platforms =
            platforms.map(str::trim).filter(|it| !it.is_empty() && !it.contains(UNKNOWN));
        Some(DescribedBuild {
            origin,
            name: None,
            dockerfile,
            context,
            target: self.target.as_ref().and_then(PartialText::as_known).map(str::to_owned),
            args: known_values(&assignments(&self.args)),
            references: self.tags,
            contexts: contexts.iter().filter_map(named).collect(),
            platforms: platforms.map(str::to_owned).collect(),
            is_example: false,
        })
    }
}

/// Returns texts of the form `NAME=VALUE` by name.
fn assignments(texts: &[String]) -> BTreeMap<String, PartialText> {
    let pairs = texts.iter().filter_map(|text| text.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().into())).collect()
}
