//! What a reached stage reads from contexts: the image's own, and named ones that are directories.
//!
//! Owns the records of these uses. A stage that starts from a directory reads all of it.

use crate::base::{Span, Spanned};
use crate::graph::context_directory::is_elsewhere;

use super::Evaluator;
use super::mount::{MountInputs, MountType};
use super::sources::SourceTarget;
use super::steps::InstructionContext;
use super::view::{Base, ContextKind, ContextUse};

/// The flags of a `COPY` or `ADD` that determine what it reads.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CopyFlags<'a> {
    pub(super) excludes: &'a [Spanned<String>],
    pub(super) parents: bool,
    pub(super) replaces_modes: bool,
}

impl Evaluator<'_> {
    /// Returns what one source of an instruction reads.
    pub(super) fn context_use(
        &self,
        run: &InstructionContext<'_>,
        kind: ContextKind,
        span: Span,
        (written, certain): (String, bool),
        CopyFlags { excludes, parents, replaces_modes }: CopyFlags<'_>,
    ) -> ContextUse {
        let (source, span) = self.locate(span, run.trigger);
        ContextUse {
            kind,
            pattern: clean_path(&written),
            written,
            excludes: excludes.iter().map(|exclude| exclude.value.clone()).collect(),
            parents,
            replaces_modes,
            certain,
            source,
            span,
            stage: run.index,
        }
    }

    /// Records what an instruction reads: from the image's own context, or from what its `--from` with an index names,
    /// if that is a directory.
    pub(super) fn use_context(
        &mut self,
        run: &InstructionContext<'_>,
        from: Option<usize>,
        one: ContextUse,
    ) {
        let Some(number) = from else { return self.found.context_uses.push(one) };
        let context = match run.sources.get(number).copied().flatten() {
            Some(SourceTarget::Stage(stage)) => self.stages[stage].context,
            Some(SourceTarget::Extra(extra)) => self.extras[extra].context,
            None => None,
        };
        self.use_directory(context, one);
    }

    /// Records that a mount, of which nothing is certain, may read all of its source or of the image's own context.
    pub(super) fn use_all(&mut self, run: &InstructionContext<'_>, number: usize, span: Span) {
        for from in [None, Some(number)] {
            let all = (".".to_owned(), false);
            let one = self.context_use(run, ContextKind::Bind, span, all, CopyFlags::default());
            self.use_context(run, from, one);
        }
    }

    /// Records what a mount reads.
    pub(super) fn use_mount(
        &mut self,
        run: &InstructionContext<'_>,
        from: Option<usize>,
        span: Span,
        mount: MountInputs,
        certain: bool,
    ) {
        let kind = match mount.kind {
            MountType::Bind => ContextKind::Bind,
            // BuildKit sends the context for these mounts as for bind mounts.
            MountType::Tmpfs | MountType::Cache => ContextKind::Sent,
            MountType::Secret | MountType::Ssh => return,
        };
        let span = mount.source_span.unwrap_or(span);
        let source = (mount.source, certain);
        let one = self.context_use(run, kind, span, source, CopyFlags::default());
        self.use_context(run, from, one);
    }

    /// Records that a stage starts from a directory, if it does.
    pub(super) fn use_base(&mut self, index: usize) {
        let state = &self.stages[index];
        let context = match (state.context, &state.view.base) {
            // Other stages read from a stage that a directory replaces what they copy, or start from it.
            (Some(context), _) => Some(context).filter(|_| self.found.target == Some(index)),
            (None, Some(Base::Stage(base))) => self.stages[*base].context,
            (None, _) => state.base_context,
        };
        let one = ContextUse {
            kind: ContextKind::From,
            pattern: ".".to_owned(),
            written: ".".to_owned(),
            excludes: Vec::new(),
            parents: false,
            replaces_modes: false,
            certain: true,
            source: self.file.source.clone(),
            span: state.stage.base.span,
            stage: index,
        };
        self.use_directory(context, one);
    }

    fn use_directory(&mut self, context: Option<&str>, one: ContextUse) {
        if let Some(directory) = context.filter(|context| !is_elsewhere(context)) {
            self.found.directory_uses.entry(directory.to_owned()).or_default().push(one);
        }
    }
}

/// Normalizes a path in a context. `..` does not leave the context, and `.` is the whole context.
fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}
