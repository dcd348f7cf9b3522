//! The settings and the result of an evaluation.
//!
//! Owns the types that `link` reads. It contains none of Docker's rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::{Diagnostic, Platform, Source, Span};
use crate::graph::reference::Reference;
use crate::parse::logical::TextMap;

use super::scope::Scope;

/// The settings of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationSettings {
    /// The name of the image, for hints.
    pub image: String,
    /// The values of `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// The platform to build for.
    pub platform: Platform,
    /// The platform that executes the build.
    pub build_platform: Platform,
    /// The value of `--target`. `None` means the last stage.
    pub target: Option<String>,
    /// The values of `--build-context`: `docker-image://…`, a directory, or a URL, by name.
    pub contexts: BTreeMap<String, String>,
    /// The reported environments of images. Variables of all other images are uncertain.
    pub environments: BTreeMap<Reference, Vec<(String, String)>>,
}

impl Default for EvaluationSettings {
    fn default() -> EvaluationSettings {
        EvaluationSettings {
            image: String::new(),
            build_args: BTreeMap::new(),
            platform: Platform::of("linux", "amd64", ""),
            build_platform: Platform::of("linux", "amd64", ""),
            target: None,
            contexts: BTreeMap::new(),
            environments: BTreeMap::new(),
        }
    }
}

/// An `ONBUILD` instruction that runs in the build of another image.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The instruction to run, as the image stores it: one line, then its here-documents.
    pub text: String,
    /// The file that contains the trigger.
    pub source: Source,
    /// The span of the whole `ONBUILD` instruction in that file.
    pub span: Span,
    /// The map from the first line of `text` to positions in the file, if known.
    pub map: Option<TextMap>,
}

impl Trigger {
    /// Returns the span in the file of a span in `text`.
    pub fn locate(&self, span: Span) -> Span {
        let line = self.text.find('\n').unwrap_or(self.text.len());
        match &self.map {
            Some(map) if span.range().end <= line => map.span(span.range()),
            _ => self.span,
        }
    }
}

/// The result of evaluating a Dockerfile.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// All stages of the file, whether reached or not.
    pub stages: Vec<StageView>,
    /// The index of the stage to build, or `None` if no stage has the target's name.
    pub target: Option<usize>,
    /// The images that the reached stages depend on, once per mention, in source order.
    pub dependencies: Vec<StageDependency>,
    /// What reached stages read from the build context.
    pub context_uses: Vec<ContextUse>,
    /// What reached stages read from named contexts that are directories, by their values.
    pub directory_uses: BTreeMap<String, Vec<ContextUse>>,
    /// What reached `ADD`s download: URLs and git repositories, expanded.
    pub downloads: Vec<Download>,
    /// The secrets and ssh agents that reached stages mount.
    pub secret_uses: Vec<SecretUse>,
    /// The triggers that the built image will store.
    pub onbuild: Vec<Trigger>,
    /// The value of each argument that a reached stage declares or its FROM uses. If a stage sets a
    /// name to a different value than an earlier one, the value has the key `NAME#stage`.
    pub used_args: BTreeMap<String, Option<String>>,
    /// The errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// The image on which a chain of stages is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainBase {
    /// Scratch.
    Scratch,
    /// An image.
    Image(Reference),
    /// A source whose history and labels are not known before the build: a directory or a URL.
    Other,
}

impl Evaluation {
    /// Returns the stages whose instructions make up the target, from the lowest to the target, and
    /// what they are built on. Returns `None` if there is no target or if a base could not be
    /// resolved.
    pub fn chain(&self) -> Option<(Vec<usize>, ChainBase)> {
        let mut at = self.target?;
        let mut stages = Vec::new();
        let bottom = loop {
            let view = self.stages.get(at)?;
            if !view.replaced {
                stages.push(at);
            }
            match (&view.context, view.base.as_ref()) {
                (Some(context), _) => {
                    break Reference::in_context(context)
                        .map_or(ChainBase::Other, ChainBase::Image);
                }
                (None, Some(Base::Image(reference))) => break ChainBase::Image(reference.clone()),
                (None, Some(Base::Scratch)) => break ChainBase::Scratch,
                (None, Some(Base::Context(_))) => break ChainBase::Other,
                // A stage starts from an earlier one, so the loop ends.
                (None, Some(Base::Stage(index))) if *index < at => at = *index,
                (None, _) => return None,
            }
        };
        stages.reverse();
        Some((stages, bottom))
    }

    /// Returns whether the file uses a named context with this value.
    pub fn uses_context(&self, value: &str) -> bool {
        let is_it = |context: &Option<String>| context.as_deref() == Some(value);
        self.stages.iter().any(|stage| {
            is_it(&stage.context) || stage.froms.iter().any(|from| is_it(&from.context))
        })
    }
}

/// An evaluated stage.
#[derive(Debug, Clone, Default)]
pub struct StageView {
    /// The name in lowercase.
    pub name: Option<String>,
    /// The line of the stage's `FROM`, counted from 1.
    pub line: u32,
    /// The text of the base after expansion.
    pub base_text: String,
    /// The base, or `None` if it could not be resolved; a diagnostic describes why.
    pub base: Option<Base>,
    /// The value of the named context that replaces the stage or its base image. The stage then
    /// depends on the image that this value names.
    pub context: Option<String>,
    /// Whether a named context replaces the whole stage, so that none of its instructions run.
    pub replaced: bool,
    /// The variables that the stage's FROM uses and that are not set, once per use.
    pub unset: Vec<String>,
    /// The value of `--platform` after expansion, normalized.
    pub platform: Option<Platform>,
    /// Whether the target depends on the stage.
    pub reached: bool,
    /// The sources that its `COPY --from`s and mounts name, in source order.
    pub froms: Vec<StageFrom>,
    /// The triggers of its base, which run after its `FROM`.
    pub triggers: Vec<Trigger>,
    /// The values of the arguments that the stage declares, in order. Empty if the stage is not
    /// reached.
    pub arguments: Vec<(String, Option<String>)>,
    /// The values of the global arguments that its FROM uses, in order. Empty if the stage is not
    /// reached.
    pub from_arguments: Vec<(String, Option<String>)>,
    /// The arguments and the environment at the end of the stage, including inherited ones. Empty
    /// if the stage is not reached.
    pub values: Scope,
    /// The labels that the stage's own instructions and triggers set, in order. Empty if the stage
    /// is not reached.
    pub labels: Vec<ImageLabel>,
}

/// A label that a `LABEL` instruction sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLabel {
    /// The name after expansion.
    pub name: String,
    /// The value after expansion.
    pub value: String,
    /// Whether both are certain; see [`ContextUse::certain`].
    pub certain: bool,
}

/// The base of a stage, or the source that a `--from` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An image.
    Image(Reference),
    /// A stage of this file, by its index.
    Stage(usize),
    /// Scratch.
    Scratch,
    /// A named context that is not an image and that replaces the image in the file, by its name.
    Context(String),
}

/// The source of a `COPY --from` or of a mount's `from`.
#[derive(Debug, Clone)]
pub struct StageFrom {
    /// The text in the file.
    pub written: String,
    /// The source, or `None` if it could not be resolved.
    pub names: Option<Base>,
    /// The value of the named context that replaces the source.
    pub context: Option<String>,
    /// Whether the source is that of a mount.
    pub mount: bool,
    /// The file that contains it. For a trigger, this can be a file other than the Dockerfile.
    pub source: Source,
    /// The span in that file.
    pub span: Span,
}

/// How an image depends on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DependencyKind {
    /// By a `FROM`.
    From,
    /// By a `COPY --from`.
    Copy,
    /// By a `RUN --mount=from=`.
    Mount,
    /// By an `ADD`. No current form of `ADD` names an image.
    Add,
    /// By a named context that replaces the image in the file.
    Context,
}

impl DependencyKind {
    /// Returns whether a stage can start from a dependency of this kind.
    pub fn is_base(self) -> bool {
        matches!(self, DependencyKind::From | DependencyKind::Context)
    }

    /// Returns the word for the kind in files and drawings.
    pub fn word(self) -> &'static str {
        match self {
            DependencyKind::From => "from",
            DependencyKind::Copy => "copy",
            DependencyKind::Mount => "mount",
            DependencyKind::Add => "add",
            DependencyKind::Context => "context",
        }
    }
}

/// An image that a reached stage depends on.
#[derive(Debug, Clone)]
pub struct StageDependency {
    /// The kind of the dependency.
    pub kind: DependencyKind,
    /// The text in the file.
    pub written: String,
    /// The image.
    pub reference: Reference,
    /// The platform for which the image is used, normalized.
    pub platform: Option<Platform>,
    /// The file that names the image. For a trigger, it is the parent's Dockerfile.
    pub source: Source,
    /// The span in that file.
    pub span: Span,
    /// The index of the stage that depends on the image.
    pub stage: usize,
}

/// What reads from a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContextKind {
    /// A `COPY`.
    Copy,
    /// An `ADD`.
    Add,
    /// A bind mount.
    Bind,
    /// A `tmpfs` mount, or a `cache` mount of a named context. BuildKit sends the path although nothing may read it.
    Sent,
    /// A `FROM` of a named context.
    From,
}

/// What one source of an instruction reads from a context.
#[derive(Debug, Clone)]
pub struct ContextUse {
    /// What reads the files.
    pub kind: ContextKind,
    /// The expanded and normalized path or pattern in the context, without a leading `/`. `.` is
    /// the whole context.
    pub pattern: String,
    /// The expanded path before normalization, including the `/./` that `--parents` interprets.
    pub written: String,
    /// The `--exclude` patterns.
    pub excludes: Vec<String>,
    /// Whether `--parents` is set.
    pub parents: bool,
    /// Whether `--chmod` with an octal mode replaces the permission bits of files.
    pub replaces_modes: bool,
    /// Whether the pattern is certain. It is not if it depends on a variable that the environment
    /// of an image may set.
    pub certain: bool,
    /// The file with the instruction. For a trigger, it is the parent's Dockerfile.
    pub source: Source,
    /// The span in that file.
    pub span: Span,
    /// The index of the stage that reads the files.
    pub stage: usize,
}

/// What a mount requests from the client that starts the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// A secret value.
    Value,
    /// An ssh agent.
    Agent,
}

/// A mount of a secret or an ssh agent.
#[derive(Debug, Clone)]
pub struct SecretUse {
    /// Whether it is a value or an agent.
    pub kind: SecretKind,
    /// The ID. The default for an agent is `default`.
    pub id: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// Whether the mount is certain; see [`ContextUse::certain`].
    pub certain: bool,
    /// The file with the mount. For a trigger, it is the parent's Dockerfile.
    pub source: Source,
    /// The span of the whole mount.
    pub span: Span,
}

/// A source that an `ADD` downloads.
#[derive(Debug, Clone)]
pub struct Download {
    /// The URL after expansion.
    pub address: String,
    /// Whether it is a git repository.
    pub git: bool,
    /// The value of `--checksum` after expansion, or an empty string.
    pub checksum: String,
    /// Whether the URL is certain; see [`ContextUse::certain`].
    pub certain: bool,
    /// The file with the instruction.
    pub source: Source,
    /// The span in that file.
    pub span: Span,
    /// The index of the stage that contains the `ADD`.
    pub stage: usize,
}
