//! The types of a parsed Dockerfile: stages, instructions, and the position of each word.
//!
//! Owns only the types. Nothing here is expanded: a variable is still `$V`, and a base is the text
//! of the `FROM` line. `graph` interprets the words.

use crate::base::{Diagnostic, Source, Span, Spanned};

use super::logical::TextMap;

/// A parsed Dockerfile. `diagnostics` describes the parts that could not be parsed.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The file.
    pub source: Source,
    /// The parser directives at the top of the file.
    pub directives: Directives,
    /// The `ARG`s before the first `FROM`.
    pub globals: Vec<Instruction>,
    /// The stages in source order.
    pub stages: Vec<Stage>,
    /// The errors and warnings about the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The whole text split into pieces, without gaps or overlaps.
    pub pieces: Vec<Piece>,
}

impl Dockerfile {
    /// Returns whether BuildKit would reject the file before it determines which stages the target
    /// uses.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// The parser directives of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The character that escapes and that continues lines: `\` or `` ` ``.
    pub escape: char,
    /// The requested frontend, such as `docker/dockerfile:1`.
    pub syntax: Option<Spanned<String>>,
    /// The options of the checks, such as `skip=all`.
    pub check: Option<Spanned<String>>,
}

impl Default for Directives {
    fn default() -> Directives {
        Directives { escape: '\\', syntax: None, check: None }
    }
}

/// A piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The kind of the piece.
    pub kind: PieceKind,
    /// The lines of the piece, including line endings.
    pub span: Span,
}

/// The kind of a piece of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// A parser directive.
    Directive,
    /// A comment between instructions.
    Comment,
    /// A blank line.
    Blank,
    /// An instruction with its continuation lines and here-documents.
    Instruction,
}

/// One `FROM` and the instructions up to the next one.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The name after `AS` in lowercase.
    pub name: Option<Spanned<String>>,
    /// The base of the stage, as written.
    pub base: Spanned<String>,
    /// The value of `--platform`, as written.
    pub platform: Option<Spanned<String>>,
    /// The span of the whole `FROM` instruction.
    pub from: Span,
    /// The joined `FROM` line.
    pub text: String,
    /// The instructions after `FROM`.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone)]
pub struct Instruction {
    /// The span of the whole instruction, from its first line to the last line of its
    /// here-documents, without the last line ending.
    pub span: Span,
    /// The keyword in uppercase.
    pub keyword: Spanned<String>,
    /// The joined line, without comments and without leading and trailing white space.
    pub text: String,
    /// The map from `text` to positions in the file.
    pub map: TextMap,
    /// The here-documents in source order.
    pub heredocs: Vec<Heredoc>,
    /// The parsed content of the instruction.
    pub kind: InstructionKind,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The terminator without quotes.
    pub name: String,
    /// Whether variables are expanded, which requires that no part of the terminator is quoted.
    pub expand: bool,
    /// Whether leading tabs are removed, because the opening was `<<-`.
    pub chomp: bool,
    /// The raw lines of the body with their line endings, without the terminator.
    pub content: String,
    /// The span of the body.
    pub span: Span,
}

impl Heredoc {
    /// Returns the body, without the leading tabs of each line if the opening was `<<-`.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// The parsed content of an instruction.
#[derive(Debug, Clone)]
pub enum InstructionKind {
    /// `ARG name[=value] …`
    Arg(Vec<Declaration>),
    /// `ENV name=value …`
    Env(Vec<Pair>),
    /// `LABEL name=value …`
    Label(Vec<Pair>),
    /// `COPY`
    Copy(Copy),
    /// `ADD`
    Add(Add),
    /// `RUN`
    Run(Run),
    /// `ONBUILD`. The trigger is read but not fully checked, as in BuildKit.
    Onbuild(Onbuild),
    /// `WORKDIR`
    Workdir(Spanned<String>),
    /// `USER`
    User(Spanned<String>),
    /// `STOPSIGNAL`
    Stopsignal(Spanned<String>),
    /// `MAINTAINER`
    Maintainer(Spanned<String>),
    /// `VOLUME`
    Volume(Vec<Spanned<String>>),
    /// `EXPOSE`
    Expose(Vec<Spanned<String>>),
    /// `SHELL`
    Shell(Vec<String>),
    /// `CMD`
    Cmd(CommandForm),
    /// `ENTRYPOINT`
    Entrypoint(CommandForm),
    /// `HEALTHCHECK`, or `None` for `HEALTHCHECK NONE`.
    Healthcheck(Option<Healthcheck>),
    /// The instruction is invalid; a diagnostic describes why.
    Invalid,
}

/// One name of an `ARG` with its default, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The name, which is never expanded.
    pub name: Spanned<String>,
    /// The default, as written.
    pub default: Option<Spanned<String>>,
}

/// One `name=value` of an `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name, as written.
    pub name: Spanned<String>,
    /// The value, as written.
    pub value: Spanned<String>,
    /// Whether the legacy form `ENV name value` was used.
    pub spaced: bool,
}

/// The common parts of `COPY` and `ADD`.
#[derive(Debug, Clone)]
pub struct Files {
    /// The paths, patterns, and URLs to copy, as written.
    pub sources: Vec<Spanned<String>>,
    /// The here-documents among the sources. They create files from their bodies.
    pub inline: Vec<Heredoc>,
    /// The destination, as written.
    pub destination: Spanned<String>,
    /// `--chown`
    pub chown: Option<Spanned<String>>,
    /// `--chmod`
    pub chmod: Option<Spanned<String>>,
    /// `--link`
    pub link: bool,
    /// The values of `--exclude`, which are never expanded.
    pub excludes: Vec<Spanned<String>>,
}

/// A `COPY`.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The sources and the destination.
    pub files: Files,
    /// The value of `--from`, or `None` if it is missing or empty, which means the build context.
    pub from: Option<Spanned<String>>,
    /// `--parents`
    pub parents: bool,
}

/// An `ADD`.
#[derive(Debug, Clone)]
pub struct Add {
    /// The sources and the destination.
    pub files: Files,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<bool>,
    /// `--checksum`
    pub checksum: Option<Spanned<String>>,
    /// `--unpack`
    pub unpack: Option<bool>,
}

/// A `RUN`.
#[derive(Debug, Clone)]
pub struct Run {
    /// The values of `--mount`.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Option<Spanned<String>>,
    /// `--security`
    pub security: Option<Spanned<String>>,
    /// The values of `--device`.
    pub devices: Vec<Spanned<String>>,
    /// The command to run.
    pub command: CommandForm,
}

/// A command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandForm {
    /// The words of the JSON form, or one line for the shell.
    pub words: Vec<String>,
    /// Whether the command is in JSON form.
    pub json: bool,
}

/// `HEALTHCHECK CMD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// The options with their values as written, in a fixed order.
    pub options: Vec<(&'static str, String)>,
    /// The command to run.
    pub command: CommandForm,
}

/// One `--mount` of a `RUN`. Its keys and values are as written, before expansion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The span of the flag's value.
    pub span: Span,
    /// The fields in source order.
    pub fields: Vec<MountField>,
}

impl Mount {
    /// Returns the value of the last field with one of these keys.
    pub fn value(&self, keys: &[&str]) -> Option<&Spanned<String>> {
        let of_key = |field: &&MountField| keys.contains(&field.key.value.as_str());
        self.fields.iter().rev().find(of_key)?.value.as_ref()
    }

    /// Returns the value of `from`, or `None` if it is missing or empty.
    pub fn from(&self) -> Option<&Spanned<String>> {
        self.value(&["from"]).filter(|from| !from.value.is_empty())
    }
}

/// One field of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountField {
    /// The key in lowercase.
    pub key: Spanned<String>,
    /// The value after `=`, if any.
    pub value: Option<Spanned<String>>,
}

/// An `ONBUILD`.
#[derive(Debug, Clone)]
pub struct Onbuild {
    /// The trigger as the image will store it: one line, then its here-documents.
    pub expression: String,
    /// The map from the first line of `expression` to positions in the file.
    pub map: TextMap,
    /// The keyword of the trigger in uppercase.
    pub keyword: String,
}
