//! What an evaluation takes and what it gives.
//!
//! Owns the types that the linker reads. No rule of Docker's is in here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Diagnostic, Platform, Source, Span};
use crate::graph::reference::Reference;
use crate::parse::logical::TextMap;

use super::scope::Scope;

/// What a build is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--build-arg`
    pub build_args: BTreeMap<String, String>,
    /// The platform to build for.
    pub platform: Platform,
    /// The platform that builds.
    pub build_platform: Platform,
    /// `--target`; the last stage where nothing is said.
    pub target: Option<String>,
    /// `--build-context`: a name, and `docker-image://…`, a folder or an address.
    pub contexts: BTreeMap<String, String>,
    /// The environments of images that have been reported. Variables of any other image are uncertain.
    pub environments: BTreeMap<Reference, Vec<(String, String)>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            build_args: BTreeMap::new(),
            platform: Platform::of("linux", "amd64", ""),
            build_platform: Platform::of("linux", "amd64", ""),
            target: None,
            contexts: BTreeMap::new(),
            environments: BTreeMap::new(),
        }
    }
}

/// An `ONBUILD` instruction that runs in another image's build.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// What runs, as the image carries it: one line, then its here-documents.
    pub text: String,
    /// The file it is written in.
    pub source: Source,
    /// The whole `ONBUILD` instruction there.
    pub span: Span,
    /// Where the bytes of `text`'s first line stand in the file, where that is known.
    pub map: Option<TextMap>,
}

impl Trigger {
    /// Where a span of `text` stands in the file.
    pub fn locate(&self, span: Span) -> Span {
        let line = self.text.find('\n').unwrap_or(self.text.len());
        match &self.map {
            Some(map) if span.range().end <= line => map.span(span.range()),
            _ => self.span,
        }
    }
}

/// What a Dockerfile means under some settings.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// Every stage of the file, reached or not.
    pub stages: Vec<StageView>,
    /// The stage that is built; nothing where there is none of that name.
    pub target: Option<usize>,
    /// The images that the reached stages need, in the order written, each as often as written.
    pub needs: Vec<Need>,
    /// What reached stages read from the build context.
    pub context_uses: Vec<ContextUse>,
    /// What reached `ADD`s download: addresses and git repositories, expanded.
    pub downloads: Vec<Download>,
    /// The secrets and ssh agents that reached stages mount.
    pub secret_uses: Vec<SecretUse>,
    /// The triggers that the built image will carry.
    pub onbuild: Vec<Trigger>,
    /// Each argument that a reached stage declares or its FROM uses, and the value it took. A
    /// stage that gives a name another value than an earlier one has an entry `NAME#stage`.
    pub used_args: BTreeMap<String, Option<String>>,
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
}

/// What an image is built on, below all stages of its Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bottom {
    /// Nothing.
    Scratch,
    /// An image.
    Image(Reference),
    /// Something whose history and labels are not known before the build: a directory or an address.
    Other,
}

impl Evaluation {
    /// The stages whose instructions make the target, from the lowest up, and what they are built on. Nothing if
    /// there is no target, or if a base could not be found.
    pub fn chain(&self) -> Option<(Vec<usize>, Bottom)> {
        let mut at = self.target?;
        let mut stages = Vec::new();
        let bottom = loop {
            let view = self.stages.get(at)?;
            if !view.replaced {
                stages.push(at);
            }
            match (&view.context, view.base.as_ref()) {
                (Some(context), _) => {
                    break Reference::in_context(context).map_or(Bottom::Other, Bottom::Image);
                }
                (None, Some(Base::Image(reference))) => break Bottom::Image(reference.clone()),
                (None, Some(Base::Scratch)) => break Bottom::Scratch,
                (None, Some(Base::Context(_))) => break Bottom::Other,
                // A stage starts from one above it, so this ends.
                (None, Some(Base::Stage(index))) if *index < at => at = *index,
                (None, _) => return None,
            }
        };
        stages.reverse();
        Some((stages, bottom))
    }

    /// Whether a named context, as the settings give it, stands for anything in the file.
    pub fn uses_context(&self, value: &str) -> bool {
        let is_it = |context: &Option<String>| context.as_deref() == Some(value);
        self.stages.iter().any(|stage| {
            is_it(&stage.context) || stage.froms.iter().any(|from| is_it(&from.context))
        })
    }
}

/// A stage as the settings make it.
#[derive(Debug, Clone, Default)]
pub struct StageView {
    /// Its name, lower-cased.
    pub name: Option<String>,
    /// The line of its `FROM`, from 1.
    pub line: u32,
    /// The text of its base after expansion.
    pub base_text: String,
    /// What the base is; nothing where that could not be found out, and a diagnostic says why.
    pub base: Option<Base>,
    /// The named context that stands for the stage or for the image that it starts from, as
    /// the settings give it. The need is then for what that names.
    pub context: Option<String>,
    /// Whether a named context stands for the whole stage, so that none of its instructions run.
    pub replaced: bool,
    /// The variables that its FROM asks for and that are not set, as often as it asks.
    pub unset: Vec<String>,
    /// `--platform` after expansion, in its normal form.
    pub platform: Option<Platform>,
    /// Whether the target needs it.
    pub reached: bool,
    /// Which sources its `COPY --from` and mounts name, in the order written.
    pub froms: Vec<StageFrom>,
    /// The triggers that run after its `FROM`, its base's own.
    pub triggers: Vec<Trigger>,
    /// Each argument that it declares or its FROM uses, with the value it took, in order. Empty
    /// for a stage that is not reached.
    pub arguments: Vec<(String, Option<String>)>,
    /// The arguments and environment that hold at its end, those it inherits included. Empty
    /// for a stage that is not reached.
    pub values: Scope,
    /// The labels that its own instructions and triggers set, in order. Empty for a stage that is not
    /// reached.
    pub labels: Vec<Label>,
}

/// A label that a `LABEL` instruction sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name after expansion.
    pub name: String,
    /// Its value after expansion.
    pub value: String,
    /// Whether both are certain, as for [`ContextUse::certain`].
    pub certain: bool,
}

/// What a stage starts from, or what a `--from` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An image.
    Image(Reference),
    /// A stage of this file, by its index.
    Stage(usize),
    /// Nothing.
    Scratch,
    /// A named context that is no image, which stands for the image that is written; its name.
    Context(String),
}

/// A source of a `COPY --from` or a mount's `from`.
#[derive(Debug, Clone)]
pub struct StageFrom {
    /// What is written.
    pub written: String,
    /// What it names; nothing where that is an error.
    pub names: Option<Base>,
    /// The named context that stands for it, as the settings give it.
    pub context: Option<String>,
    /// Whether a mount says it.
    pub mount: bool,
    /// The file it is written in; a trigger's may be another one than the Dockerfile.
    pub source: Source,
    /// Where.
    pub span: Span,
}

/// How an image is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeedKind {
    /// By a `FROM`.
    From,
    /// By a `COPY --from`.
    Copy,
    /// By a `RUN --mount=from=`.
    Mount,
    /// By an `ADD`; no form of today's `ADD` names an image.
    Add,
    /// By a named context that stands for what is written.
    Context,
}

impl NeedKind {
    /// Whether a stage may start from what is needed so.
    pub fn is_base(self) -> bool {
        matches!(self, NeedKind::From | NeedKind::Context)
    }

    /// The word for it in files and drawings.
    pub fn word(self) -> &'static str {
        match self {
            NeedKind::From => "from",
            NeedKind::Copy => "copy",
            NeedKind::Mount => "mount",
            NeedKind::Add => "add",
            NeedKind::Context => "context",
        }
    }
}

/// An image that a reached stage needs.
#[derive(Debug, Clone)]
pub struct Need {
    /// How.
    pub kind: NeedKind,
    /// The words in the file.
    pub written: String,
    /// The image.
    pub reference: Reference,
    /// The platform it is wanted for, in its normal form.
    pub platform: Option<Platform>,
    /// The file that names it; a trigger's is the parent's Dockerfile.
    pub source: Source,
    /// Where it is named.
    pub span: Span,
    /// The stage that needs it.
    pub stage: usize,
}

/// Who reads from the build context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextKind {
    /// A `COPY`.
    Copy,
    /// An `ADD`.
    Add,
    /// A bind mount.
    Bind,
    /// Nobody: BuildKit sends the path for a `tmpfs` mount, and nothing can read it.
    Sent,
}

/// What one source of an instruction reads from the build context.
#[derive(Debug, Clone)]
pub struct ContextUse {
    /// Who reads.
    pub kind: ContextKind,
    /// The path or pattern below the context, expanded, in its normal form, without a leading
    /// `/`; `.` for all of it.
    pub pattern: String,
    /// The same as it was after expansion, with the `/./` that `--parents` heeds.
    pub written: String,
    /// The `--exclude` patterns.
    pub excludes: Vec<String>,
    /// Whether `--parents` is set.
    pub parents: bool,
    /// Whether the pattern is certain. It is not where it depends on a variable that the
    /// environment of an image may set.
    pub certain: bool,
    /// The file that says it; a trigger's is the parent's Dockerfile.
    pub source: Source,
    /// Where.
    pub span: Span,
    /// The stage that reads.
    pub stage: usize,
}

/// What a mount asks of whoever starts the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// A value.
    Value,
    /// An ssh agent.
    Agent,
}

/// A mount of a secret or an ssh agent.
#[derive(Debug, Clone)]
pub struct SecretUse {
    /// What of both.
    pub kind: SecretKind,
    /// Its ID; `default` for an agent where nothing is said.
    pub id: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// Whether it is certain, as for [`ContextUse::certain`].
    pub certain: bool,
    /// The file that says it; a trigger's is the parent's Dockerfile.
    pub source: Source,
    /// The whole mount.
    pub span: Span,
}

/// What an `ADD` downloads.
#[derive(Debug, Clone)]
pub struct Download {
    /// The address after expansion.
    pub address: String,
    /// Whether it is a git repository.
    pub git: bool,
    /// `--checksum` after expansion; empty where there is none.
    pub checksum: String,
    /// Whether it is certain, as for [`ContextUse::certain`].
    pub certain: bool,
    /// The file that says it.
    pub source: Source,
    /// Where.
    pub span: Span,
    /// The stage that adds it.
    pub stage: usize,
}
