//! Instructions in a canonical form, without their formatting.
//!
//! Owns which parts of an instruction's text can affect the image. The case of keywords, whitespace between words,
//! continuation lines, the names of stages, and the references of images of the repository cannot. Whitespace inside a shell-form `RUN`, the bodies of
//! here-documents, and all flags can. Words are quoted, so that different instructions never have the same form.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::ops::Range;

use crate::graph::context_directory::credentials_in;
use crate::graph::evaluate::{Base, StageFrom};
use crate::graph::reference::Reference;
use crate::parse::{
    CommandForm, Declaration, Files, Healthcheck, Heredoc, Instruction, InstructionKind, Mount,
    Pair,
};

/// What the names of bases and sources in a file mean.
pub(super) struct ResolvedNames<'a> {
    /// The index of each stage of the file among the stages that count.
    pub(super) positions: Vec<Option<usize>>,
    /// The names of the images of the repository, by the references with which the file refers to them.
    pub(super) images: HashMap<&'a Reference, &'a str>,
    /// The names of the contexts that are directories, by their values.
    pub(super) directories: BTreeMap<&'a str, &'a str>,
}

impl ResolvedNames<'_> {
    /// Describes an image. The references of an image of the repository do not count.
    fn describe_image(&self, reference: &Reference) -> String {
        match self.images.get(reference) {
            Some(name) => format!("repository image {}", quote(name)),
            None => format!("image {reference}"),
        }
    }

    /// Describes the value of a named context.
    pub(super) fn describe_context(&self, context: &str) -> String {
        if let Some(name) = self.directories.get(context) {
            return format!("directory {}", quote(name));
        }
        match Reference::in_context(context) {
            Some(reference) if self.images.contains_key(&reference) => {
                self.describe_image(&reference)
            }
            _ => format!("context {}", quote(&stored_context(context))),
        }
    }

    /// Describes a base without the name of a stage.
    pub(super) fn describe_base(&self, base: &Base) -> String {
        match base {
            Base::Image(reference) => self.describe_image(reference),
            Base::Scratch => "scratch".to_owned(),
            Base::Context(name) => format!("context {}", quote(name)),
            Base::Stage(index) => match self.positions.get(*index).copied().flatten() {
                Some(position) => format!("stage {position}"),
                // A stage that counts cannot refer to one that does not.
                None => format!("stage {index} of the file"),
            },
        }
    }
}

/// Returns the value of a named context as it is stored. Of a password in a URL, only the hash is stored.
pub(super) fn stored_context(value: &str) -> Cow<'_, str> {
    let Some(Range { start, end }) = credentials_in(value) else { return value.into() };
    let hash = blake3::hash(&value.as_bytes()[start..end]).to_hex();
    format!("{}(hash {}){}", &value[..start], &hash[..16], &value[end..]).into()
}

/// What the sources in a stage's `COPY --from` and mounts refer to, in source order.
pub(super) struct Froms<'a> {
    rest: std::slice::Iter<'a, StageFrom>,
    names: &'a ResolvedNames<'a>,
}

impl<'a> Froms<'a> {
    pub(super) fn new(froms: &'a [StageFrom], names: &'a ResolvedNames<'a>) -> Froms<'a> {
        Froms { rest: froms.iter(), names }
    }

    /// Returns what the next source refers to, or its text if that is unknown.
    fn take(&mut self, written: &str) -> String {
        match self.rest.next() {
            // What the named context stands for counts, not its name.
            Some(StageFrom { context: Some(context), .. }) => self.names.describe_context(context),
            Some(StageFrom { names: Some(base), .. }) => self.names.describe_base(base),
            _ => quote(written),
        }
    }
}

/// Returns an instruction in canonical form.
pub(super) fn describe(instruction: &Instruction, froms: &mut Froms<'_>) -> String {
    let mut text = instruction.keyword.value.clone();
    match &instruction.kind {
        InstructionKind::Arg(items) => put_declarations(&mut text, items),
        InstructionKind::Env(pairs) | InstructionKind::Label(pairs) => put_pairs(&mut text, pairs),
        InstructionKind::Copy(copy) => {
            if let Some(from) = &copy.from {
                put(&mut text, &format!("--from=({})", froms.take(&from.value)));
            }
            put_set(&mut text, "--parents", copy.parents);
            put_files(&mut text, &copy.files);
        }
        InstructionKind::Add(add) => {
            put_flag(&mut text, "--checksum", add.checksum.as_ref().map(|it| it.value.as_str()));
            for (name, value) in [("--keep-git-dir", add.keep_git_dir), ("--unpack", add.unpack)] {
                put_flag(&mut text, name, value.map(|it| if it { "true" } else { "false" }));
            }
            put_files(&mut text, &add.files);
        }
        InstructionKind::Run(run) => {
            for mount in &run.mounts {
                put(&mut text, &format!("--mount=({})", describe_mount(mount, froms)));
            }
            put_flag(&mut text, "--network", run.network.as_ref().map(|it| it.value.as_str()));
            put_flag(&mut text, "--security", run.security.as_ref().map(|it| it.value.as_str()));
            for device in &run.devices {
                put_flag(&mut text, "--device", Some(&device.value));
            }
            put_command(&mut text, &run.command);
            put_heredocs(&mut text, &instruction.heredocs);
        }
        InstructionKind::Onbuild(onbuild) => put(&mut text, &quote(&onbuild.expression)),
        InstructionKind::Workdir(word)
        | InstructionKind::User(word)
        | InstructionKind::Stopsignal(word)
        | InstructionKind::Maintainer(word) => put(&mut text, &quote(&word.value)),
        InstructionKind::Volume(words) | InstructionKind::Expose(words) => {
            words.iter().for_each(|word| put(&mut text, &quote(&word.value)));
        }
        InstructionKind::Shell(words) => words.iter().for_each(|it| put(&mut text, &quote(it))),
        InstructionKind::Cmd(command) | InstructionKind::Entrypoint(command) => {
            put_command(&mut text, command);
            put_heredocs(&mut text, &instruction.heredocs);
        }
        InstructionKind::Healthcheck(check) => put_healthcheck(&mut text, check.as_ref()),
        InstructionKind::Invalid => {
            put(&mut text, &quote(&instruction.text));
            put_heredocs(&mut text, &instruction.heredocs);
        }
    }
    text
}

fn describe_mount(mount: &Mount, froms: &mut Froms<'_>) -> String {
    let from = mount.from().map(|from| froms.take(&from.value));
    let mut text = String::new();
    for field in &mount.fields {
        let value = match (&field.value, &from) {
            (Some(value), Some(from)) if field.key.value == "from" && !value.value.is_empty() => {
                Some(from.clone())
            }
            (value, _) => value.as_ref().map(|value| quote(&value.value)),
        };
        put(&mut text, &quote(&field.key.value));
        if let Some(value) = value {
            text.push('=');
            text.push_str(&value);
        }
    }
    text
}

fn put_files(text: &mut String, files: &Files) {
    put_flag(text, "--chown", files.chown.as_ref().map(|it| it.value.as_str()));
    put_flag(text, "--chmod", files.chmod.as_ref().map(|it| it.value.as_str()));
    put_set(text, "--link", files.link);
    for exclude in &files.excludes {
        put_flag(text, "--exclude", Some(&exclude.value));
    }
    for source in &files.sources {
        put(text, &quote(&source.value));
    }
    put_heredocs(text, &files.inline);
    put(text, &format!("to {}", quote(&files.destination.value)));
}

fn put_heredocs(text: &mut String, heredocs: &[Heredoc]) {
    for heredoc in heredocs {
        let Heredoc { name, expand, chomp, content, .. } = heredoc;
        // Whether variables are expanded and tabs are removed is part of the body's meaning.
        let how = format!("<<{}{}", if *chomp { "-" } else { "" }, if *expand { "" } else { "'" });
        put(text, &format!("{how}{} {}", quote(name), quote(content)));
    }
}

fn put_declarations(text: &mut String, items: &[Declaration]) {
    for item in items {
        put(text, &quote(&item.name.value));
        // The values count separately. A default that contains variables may depend on an image's environment, so
        // its text counts too.
        if let Some(default) = item.default.as_ref().filter(|it| it.value.contains('$')) {
            text.push('=');
            text.push_str(&quote(&default.value));
        }
    }
}

fn put_healthcheck(text: &mut String, check: Option<&Healthcheck>) {
    let Some(check) = check else { return put(text, "none") };
    for (name, value) in &check.options {
        put_flag(text, name, Some(value));
    }
    put_command(text, &check.command);
}

fn put_pairs(text: &mut String, pairs: &[Pair]) {
    for pair in pairs {
        let sign = if pair.spaced { " to " } else { "=" };
        put(text, &format!("{}{sign}{}", quote(&pair.name.value), quote(&pair.value.value)));
    }
}

fn put_command(text: &mut String, command: &CommandForm) {
    put(text, if command.json { "exec" } else { "shell" });
    command.words.iter().for_each(|word| put(text, &quote(word)));
}

fn put_flag(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        put(text, &format!("{name}={}", quote(value)));
    }
}

fn put_set(text: &mut String, name: &str, set: bool) {
    if set {
        put(text, name);
    }
}

fn put(text: &mut String, part: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(part);
}

/// Returns a text in quotes, with control characters escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // Writing to a string does not fail.
            c if c.is_control() => write!(quoted, "\\u{{{:x}}}", u32::from(c)).unwrap_or(()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
