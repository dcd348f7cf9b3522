//! The shape of a Dockerfile that has been read: stages, instructions and where each word stands.
//!
//! Owns the types only. Nothing here is expanded: a variable is still `$V`, and a base is what
//! the FROM line says. What the words mean is `graph`'s affair.

use crate::base::{Diagnostic, Source, Span, Spanned};

use super::logical::TextMap;

/// A Dockerfile as it was read. What could not be read is told in `diagnostics`; the rest is here.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The file.
    pub source: Source,
    /// The parser directives at its top.
    pub directives: Directives,
    /// The `ARG`s before the first `FROM`.
    pub globals: Vec<Instruction>,
    /// The stages in the order written.
    pub stages: Vec<Stage>,
    /// What is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
    /// The whole text cut into pieces: they follow each other without gap or overlap.
    pub pieces: Vec<Piece>,
}

impl Dockerfile {
    /// Whether BuildKit would refuse the file before it looks at what is needed.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// The parser directives of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// The character that escapes and continues lines: `\` or `` ` ``.
    pub escape: char,
    /// The frontend that is asked for, such as `docker/dockerfile:1`.
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
    /// What it is.
    pub kind: PieceKind,
    /// Whole lines, line ends included.
    pub span: Span,
}

/// What a piece of the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    /// A parser directive.
    Directive,
    /// A comment that stands between instructions.
    Comment,
    /// A line without anything.
    Blank,
    /// An instruction with its continuation lines and here-documents.
    Instruction,
}

/// One `FROM` and the instructions up to the next.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The name after `AS`, lower-cased.
    pub name: Option<Spanned<String>>,
    /// What the stage starts from, as written.
    pub base: Spanned<String>,
    /// The value of `--platform`, as written.
    pub platform: Option<Spanned<String>>,
    /// The whole `FROM` instruction.
    pub from: Span,
    /// The `FROM` line after joining.
    pub text: String,
    /// What follows it.
    pub instructions: Vec<Instruction>,
}

/// One instruction.
#[derive(Debug, Clone)]
pub struct Instruction {
    /// All of it, from its first line to the last line of its here-documents, without the line end.
    pub span: Span,
    /// The keyword in upper case.
    pub keyword: Spanned<String>,
    /// The line after joining continuations: no comments, no blanks at the ends.
    pub text: String,
    /// Where the bytes of `text` stand in the file.
    pub map: TextMap,
    /// Its here-documents in the order read.
    pub heredocs: Vec<Heredoc>,
    /// What it says.
    pub kind: InstructionKind,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes.
    pub name: String,
    /// Whether variables in it are replaced: no part of the word was quoted.
    pub expand: bool,
    /// Whether leading tabs are dropped: it began with `<<-`.
    pub chomp: bool,
    /// The raw lines, with their line ends, without the terminator.
    pub content: String,
    /// Where the lines stand.
    pub span: Span,
}

impl Heredoc {
    /// The content without the leading tabs of each line where `<<-` asks for that.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// What an instruction says.
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
    /// `ONBUILD`: the trigger, read but not yet checked, as BuildKit does.
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
    Cmd(Command),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `HEALTHCHECK`; nothing for `NONE`.
    Healthcheck(Option<Healthcheck>),
    /// It could not be read; a diagnostic says why.
    Invalid,
}

/// One name of an `ARG`, with its default where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// The name, never expanded.
    pub name: Spanned<String>,
    /// The default as written.
    pub default: Option<Spanned<String>>,
}

/// One `name=value` of an `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name as written.
    pub name: Spanned<String>,
    /// The value as written.
    pub value: Spanned<String>,
    /// Whether it was the old form `ENV name value`.
    pub spaced: bool,
}

/// What `COPY` and `ADD` have in common.
#[derive(Debug, Clone)]
pub struct Files {
    /// The paths, patterns and addresses to copy, as written.
    pub sources: Vec<Spanned<String>>,
    /// The here-documents among the sources: files made on the spot.
    pub inline: Vec<Heredoc>,
    /// Where they go, as written.
    pub destination: Spanned<String>,
    /// `--chown`
    pub chown: Option<Spanned<String>>,
    /// `--chmod`
    pub chmod: Option<Spanned<String>>,
    /// `--link`
    pub link: bool,
    /// Each `--exclude`; never expanded.
    pub excludes: Vec<Spanned<String>>,
}

/// A `COPY`.
#[derive(Debug, Clone)]
pub struct Copy {
    /// What is copied, and where.
    pub files: Files,
    /// `--from`; nothing for the build context, also where it is empty.
    pub from: Option<Spanned<String>>,
    /// `--parents`
    pub parents: bool,
}

/// An `ADD`.
#[derive(Debug, Clone)]
pub struct Add {
    /// What is added, and where.
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
    /// Each `--mount`.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Option<Spanned<String>>,
    /// `--security`
    pub security: Option<Spanned<String>>,
    /// Each `--device`
    pub devices: Vec<Spanned<String>>,
    /// What is run.
    pub command: Command,
}

/// A command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The words of the JSON form, or the one line for the shell.
    pub words: Vec<String>,
    /// Whether it was the JSON form.
    pub json: bool,
}

/// `HEALTHCHECK CMD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// Its options with their values as written, always in the same order.
    pub options: Vec<(&'static str, String)>,
    /// What is run.
    pub command: Command,
}

/// One `--mount` of a `RUN`: its keys and values as written, none of them expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The value of the flag.
    pub span: Span,
    /// Its fields in the order written.
    pub fields: Vec<MountField>,
}

impl Mount {
    /// The value of a key; the last one where it is given twice.
    pub fn value(&self, keys: &[&str]) -> Option<&Spanned<String>> {
        let of_key = |field: &&MountField| keys.contains(&field.key.value.as_str());
        self.fields.iter().rev().find(of_key)?.value.as_ref()
    }

    /// `from`; nothing where it is empty.
    pub fn from(&self) -> Option<&Spanned<String>> {
        self.value(&["from"]).filter(|from| !from.value.is_empty())
    }
}

/// One field of a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountField {
    /// The key in lower case.
    pub key: Spanned<String>,
    /// What follows `=`, where there is one.
    pub value: Option<Spanned<String>>,
}

/// An `ONBUILD`.
#[derive(Debug, Clone)]
pub struct Onbuild {
    /// The trigger as the image will carry it: one line, then its here-documents.
    pub expression: String,
    /// Where the bytes of the expression's first line stand in the file.
    pub map: TextMap,
    /// The keyword of the trigger in upper case.
    pub keyword: String,
}
