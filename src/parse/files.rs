//! The files that `COPY` and `ADD` copy.
//!
//! Owns the flags, sources, and destination of both instructions. Whether a source is a URL is
//! known only after expansion.

use crate::base::Spanned;

use super::flags::{self, FlagValueKind, FlagValues};
use super::heredoc::read_opening;
use super::instruction::read_list;
use super::reader::LineReader;
use super::splitting::Parts;
use super::syntax::{Add, Copy, Files, Heredoc};

const COPY_FLAGS: [(&str, FlagValueKind); 6] = [
    ("chown", FlagValueKind::Value),
    ("from", FlagValueKind::Value),
    ("chmod", FlagValueKind::Value),
    ("link", FlagValueKind::Switch),
    ("exclude", FlagValueKind::Values),
    ("parents", FlagValueKind::Switch),
];

const ADD_FLAGS: [(&str, FlagValueKind); 7] = [
    ("chown", FlagValueKind::Value),
    ("chmod", FlagValueKind::Value),
    ("link", FlagValueKind::Switch),
    ("keep-git-dir", FlagValueKind::Switch),
    ("checksum", FlagValueKind::Value),
    ("unpack", FlagValueKind::Switch),
    ("exclude", FlagValueKind::Values),
];

/// Parses a `COPY`. Returns `None` after reporting a diagnostic if it is invalid.
pub(super) fn read_copy(reader: &mut LineReader<'_>, parts: &Parts) -> Option<Copy> {
    let flag_values = flags::check(reader, &parts.flags, &COPY_FLAGS)?;
    let files = read_files(reader, parts, &flag_values, "COPY")?;
    let parents = flag_values.switch("parents") == Some(true);
    Some(Copy { files, from: flag_values.value("from"), parents })
}

/// Parses an `ADD`. Returns `None` after reporting a diagnostic if it is invalid.
pub(super) fn read_add(reader: &mut LineReader<'_>, parts: &Parts) -> Option<Add> {
    let flag_values = flags::check(reader, &parts.flags, &ADD_FLAGS)?;
    Some(Add {
        files: read_files(reader, parts, &flag_values, "ADD")?,
        keep_git_dir: flag_values.switch("keep-git-dir"),
        checksum: flag_values.value("checksum"),
        unpack: flag_values.switch("unpack"),
    })
}

fn read_files(
    reader: &mut LineReader<'_>,
    parts: &Parts,
    flag_values: &FlagValues,
    keyword: &str,
) -> Option<Files> {
    let mut words = read_list(reader, parts.arguments.clone())?;
    let destination = words.pop().filter(|_| !words.is_empty());
    let Some(destination) = destination else {
        let message = format!("{keyword} requires at least one source and a destination");
        return reader.fail(message, parts.keyword.start..parts.arguments.end);
    };
    if matches!(read_opening(&destination.value), Ok(Some(_))) {
        let message = format!("a here-document can't be the destination of {keyword}");
        return reader.fail(message, parts.arguments.clone());
    }
    let mut sources: Vec<Spanned<String>> = Vec::new();
    let mut inline = Vec::new();
    for word in words {
        let Ok(Some(opening)) = read_opening(&word.value) else {
            sources.push(word);
            continue;
        };
        let of_name = |heredoc: &&Heredoc| heredoc.name == opening.name;
        let body = reader.line.heredocs.iter().rev().find(of_name);
        let content = body.map(|body| body.content.clone()).unwrap_or_default();
        let span = body.map_or(word.span, |body| body.span);
        inline.push(opening.with(content, span));
    }
    Some(Files {
        sources,
        inline,
        destination,
        chown: flag_values.value("chown"),
        chmod: flag_values.value("chmod"),
        link: flag_values.switch("link") == Some(true),
        excludes: flag_values.values("exclude"),
    })
}
