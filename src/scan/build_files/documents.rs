//! Builds in documentation, and in files of build systems that are not read in detail.
//!
//! Owns finding commands in text that is not a script: code blocks of Markdown, and single lines of other files.

use crate::base::RelPath;

use super::BuildFileReader;
use super::partial::UNKNOWN;
use super::shell::{MAX_DIRECTORIES, ShellText, ShellVariables};

/// The starts of commands that build an image.
const COMMANDS: [&str; 7] = [
    "docker build",
    "docker buildx build",
    "docker image build",
    "podman build",
    "podman image build",
    "buildah bud",
    "buildah build",
];

/// The names of files with commands in single lines.
const NAMES: [&str; 11] = [
    ".drone.yml",
    ".gitlab-ci.yml",
    ".travis.yml",
    "Jenkinsfile",
    "Justfile",
    "Rakefile",
    "Taskfile.yaml",
    "Taskfile.yml",
    "appveyor.yml",
    "justfile",
    "package.json",
];

/// Reads all of a list.
pub(super) fn read(reader: &mut BuildFileReader<'_>, files: &[RelPath]) {
    for file in files.iter().filter(|file| file.parts().count() <= MAX_DIRECTORIES + 1) {
        let name = file.file_name().unwrap_or_default();
        let is_markdown = [".md", ".markdown"].iter().any(|end| name.ends_with(end));
        let is_other = NAMES.contains(&name)
            || name.ends_with(".gitlab-ci.yml")
            || name.starts_with("azure-pipelines")
            || file.as_str() == ".circleci/config.yml";
        if !is_markdown && !is_other {
            continue;
        }
        let Some(text) = reader.read(file) else { continue };
        if !COMMANDS.iter().any(|command| text.contains(command)) {
            continue;
        }
        let bases = [file.parent(), RelPath::root()];
        let blocks = if is_markdown { code_blocks(&text) } else { command_lines(&text) };
        for (line, block) in blocks {
            let text =
                ShellText { file, line, text: &block, bases: &bases, is_example: is_markdown };
            text.read(reader, &ShellVariables::new());
        }
    }
}

/// Returns the code blocks of a Markdown text, without prompts, each with the line on which it starts.
fn code_blocks(text: &str) -> Vec<(u32, String)> {
    let mut blocks: Vec<(u32, String)> = Vec::new();
    let mut fence = None;
    let mut is_in_block = false;
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim_start();
        let start = ["```", "~~~"].into_iter().find(|it| trimmed.starts_with(it));
        if let Some(start) = start.filter(|start| fence.is_none_or(|open| open == *start)) {
            fence = if fence.is_some() { None } else { Some(start) };
            is_in_block = false;
            continue;
        }
        if fence.is_none() && !line.starts_with("    ") && !line.starts_with('\t') {
            is_in_block = false;
            continue;
        }
        if !is_in_block {
            blocks.push((number, String::new()));
            is_in_block = true;
        }
        if let Some((_, block)) = blocks.last_mut() {
            let command = ["$ ", "> ", "% "].iter().find_map(|it| trimmed.strip_prefix(it));
            block.push_str(&without_placeholders(command.unwrap_or(trimmed)));
            block.push('\n');
        }
    }
    blocks
}

/// Replaces `<name>` by an unknown part.
fn without_placeholders(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        match after.split_once('>') {
            Some((name, after)) if !name.is_empty() && !name.contains('<') => {
                out.push(UNKNOWN);
                rest = after;
            }
            _ => {
                out.push('<');
                rest = after;
            }
        }
    }
    out + rest
}

/// Returns the commands in the lines of a text, each with its line.
fn command_lines(text: &str) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut quote = None;
    let mut is_continued = false;
    for (number, line) in (1..).zip(text.lines()) {
        let start = COMMANDS.iter().filter_map(|command| line.find(command)).min();
        let part = match start {
            _ if is_continued => line.trim_start(),
            Some(at) => {
                quote = line[..at].chars().next_back().filter(|it| matches!(it, '"' | '\''));
                found.push((number, String::new()));
                &line[at..]
            }
            None => continue,
        };
        let is_end = |at: &usize| !part[..*at].ends_with('\\');
        let end = quote.and_then(|it| part.match_indices(it).map(|(at, _)| at).find(is_end));
        let end = end.unwrap_or(part.len());
        if let Some((_, command)) = found.last_mut() {
            command.push_str(&part[..end]);
            command.push('\n');
        }
        is_continued = line.trim_end().ends_with('\\');
    }
    found
}
