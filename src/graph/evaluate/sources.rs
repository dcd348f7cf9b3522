//! Resolution of `--from` to a stage, scratch, or an image, and of named contexts, which take
//! precedence.
//!
//! Owns the lookup and the search for cycles between stages. Every `--from` in the file is
//! resolved, even in stages that are not reached, because BuildKit rejects a file in which one of
//! them is malformed.

use std::borrow::Cow;

use crate::base::{Diagnostic, Platform, Rule, Source, Span, Spanned};
use crate::graph::reference::{Reference, ReferenceError};
use crate::parse::expand::{NoVariables, expand};
use crate::parse::{Instruction, InstructionKind};

use super::diagnostics;
use super::view::{Base, DependencyKind, StageDependency, StageFrom, Trigger};
use super::{Evaluator, StageInstruction};

/// The result of resolving a `--from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceTarget {
    /// A stage of the file, by its index.
    Stage(usize),
    /// Another source, by its index among the extras.
    Extra(usize),
}

/// A source that is not a stage.
#[derive(Debug)]
pub(super) struct ExtraSource<'a> {
    /// The image, or scratch.
    pub(super) base: Base,
    /// The named context that replaces it.
    pub(super) context: Option<&'a str>,
}

impl<'a> Evaluator<'a> {
    /// Resolves every `--from` of every stage.
    pub(super) fn resolve_sources(&mut self) {
        let file = self.file;
        for (index, stage) in file.stages.iter().enumerate() {
            let mut steps = Vec::with_capacity(stage.instructions.len());
            for instruction in &stage.instructions {
                let sources = self.resolve(instruction, None);
                self.note_froms(index, instruction, &sources);
                let instruction = Cow::Borrowed(instruction);
                steps.push(StageInstruction { instruction, trigger: None, sources });
            }
            self.stages[index].steps = steps;
        }
    }

    /// Resolves the sources of one instruction in source order.
    pub(super) fn resolve(
        &mut self,
        instruction: &Instruction,
        trigger: Option<&Trigger>,
    ) -> Vec<Option<SourceTarget>> {
        let froms = froms(instruction).into_iter();
        froms
            .map(|(from, span, kind)| match from {
                Some(from) if kind == DependencyKind::Copy => self.resolve_copy(from, trigger),
                Some(from) => self.resolve_name(&from.value, span, trigger),
                // Without `from`, BuildKit still looks up `scratch`: a stage of that name is
                // reached although nothing of it is mounted.
                None => self.resolve_name("scratch", span, trigger),
            })
            .collect()
    }

    /// Resolves a `COPY --from`: an index, a name, or an image.
    fn resolve_copy(
        &mut self,
        from: &Spanned<String>,
        trigger: Option<&Trigger>,
    ) -> Option<SourceTarget> {
        let text = from.value.as_str();
        let problem = match expand(text, self.file.directives.escape, &NoVariables) {
            Ok(expanded) if expanded == text => None,
            Ok(_) => Some(diagnostics::variable_in_from(text)),
            Err(error) => Some(diagnostics::expansion(&error, text)),
        };
        if let Some(problem) = problem {
            self.report_at(problem, from.span, trigger);
            return None;
        }
        let Some(index) = whole_number(text) else {
            return self.resolve_name(text, from.span, trigger);
        };
        // In BuildKit, the images that earlier `--from`s name also have indexes, after those of the
        // stages.
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let stages = self.stages.len();
        if index < stages {
            return Some(SourceTarget::Stage(index));
        }
        if index - stages < self.extras.len() {
            return Some(SourceTarget::Extra(index - stages));
        }
        self.report_at(diagnostics::stage_index(text, stages), from.span, trigger);
        None
    }

    /// Resolves a name to the last stage with that name, ignoring case, or else to an image.
    fn resolve_name(
        &mut self,
        text: &str,
        span: Span,
        trigger: Option<&Trigger>,
    ) -> Option<SourceTarget> {
        let named = match self.names.get(text) {
            Some(index) => Some(index),
            None => self.names.get(text.to_lowercase().as_str()),
        };
        if let Some(index) = named {
            return Some(SourceTarget::Stage(*index));
        }
        let (base, context) = if text == "scratch" {
            (Base::Scratch, None)
        } else {
            match Reference::parse(text) {
                Ok(reference) => {
                    let context = self.context_of_image(&reference, None);
                    (Base::Image(reference), context)
                }
                Err(error) => {
                    self.report_at(diagnostics::reference(&error, text, text), span, trigger);
                    return None;
                }
            }
        };
        self.extras.push(ExtraSource { base, context });
        Some(SourceTarget::Extra(self.extras.len() - 1))
    }

    /// Follows the triggers of the images that the `--from`s of a stage name, and returns the
    /// stages that these triggers name.
    ///
    /// Such triggers do not run. BuildKit resolves their sources anyway, so the build fails if one
    /// of them is missing.
    pub(super) fn follow_images(&mut self, stage: usize) -> Vec<usize> {
        let sources = self.stages[stage].steps.iter().flat_map(|step| &step.sources).flatten();
        let mut named: Vec<SourceTarget> = sources.copied().collect();
        named.retain(|named| matches!(named, SourceTarget::Extra(_)));
        let fires = self.stages[stage].stage.from;
        let mut stages = Vec::new();
        while let Some(one) = named.pop() {
            let extra = match one {
                SourceTarget::Stage(index) => {
                    stages.push(index);
                    continue;
                }
                SourceTarget::Extra(index) => &self.extras[index],
            };
            let image = match (extra.context.and_then(context_image), &extra.base) {
                (Some(Ok(image)), _) => image,
                (None, Base::Image(image)) if extra.context.is_none() => image.clone(),
                _ => continue,
            };
            // BuildKit loops forever if a trigger names its own image.
            if !self.followed.insert(image.clone()) {
                continue;
            }
            for trigger in (self.triggers)(&image) {
                let Some(instruction) = self.read_trigger(&trigger, fires) else { continue };
                let sources = self.resolve(&instruction, Some(&trigger));
                for ((from, _, kind), source) in froms(&instruction).into_iter().zip(&sources) {
                    if let (Some(from), Some(SourceTarget::Extra(extra))) = (from, source) {
                        let dependency =
                            self.dependency_on(stage, *extra, from, kind, Some(&trigger));
                        self.followed_dependencies.extend(dependency);
                    }
                }
                named.extend(sources.into_iter().flatten());
            }
        }
        stages
    }

    /// Returns the dependency that a source other than a stage creates: the image that it names,
    /// directly or through a named context.
    pub(super) fn dependency_on(
        &mut self,
        stage: usize,
        extra: usize,
        from: &Spanned<String>,
        kind: DependencyKind,
        trigger: Option<&Trigger>,
    ) -> Option<StageDependency> {
        let platform = self.platform.clone();
        let extra = &self.extras[extra];
        if let Some(context) = extra.context {
            return self.dependency_on_context(stage, context, from, platform, trigger);
        }
        let Base::Image(reference) = extra.base.clone() else { return None };
        let (source, span) = self.locate(from.span, trigger);
        let (written, platform) = (from.value.clone(), Some(platform));
        Some(StageDependency { kind, written, reference, platform, source, span, stage })
    }

    /// Adds a diagnostic with a position in this file or in the file of a trigger.
    pub(super) fn report_at(
        &mut self,
        diagnostic: Diagnostic,
        span: Span,
        trigger: Option<&Trigger>,
    ) {
        let (source, span) = self.locate(span, trigger);
        self.found.diagnostics.push(diagnostic.at(&source, span, ""));
    }

    /// Returns the position of a span of an instruction.
    pub(super) fn locate(&self, span: Span, trigger: Option<&Trigger>) -> (Source, Span) {
        match trigger {
            Some(trigger) => (trigger.source.clone(), trigger.locate(span)),
            None => (self.file.source.clone(), span),
        }
    }

    fn note_froms(
        &mut self,
        index: usize,
        instruction: &Instruction,
        sources: &[Option<SourceTarget>],
    ) {
        for ((from, _, kind), source) in froms(instruction).into_iter().zip(sources) {
            if let Some(from) = from {
                let from = self.stage_from(from, kind == DependencyKind::Mount, *source);
                self.stages[index].view.froms.push(from);
            }
        }
    }

    fn stage_from(
        &self,
        from: &Spanned<String>,
        mount: bool,
        source: Option<SourceTarget>,
    ) -> StageFrom {
        let context = match source {
            Some(SourceTarget::Extra(index)) => self.extras[index].context,
            _ => None,
        };
        StageFrom {
            written: from.value.clone(),
            context: context.map(str::to_owned),
            names: source.map(|source| match source {
                SourceTarget::Stage(index) => Base::Stage(index),
                SourceTarget::Extra(index) => self.extras[index].base.clone(),
            }),
            mount,
            source: self.file.source.clone(),
            span: from.span,
        }
    }

    /// Searches for cycles between stages through `COPY --from` and mounts, whether reached or not.
    /// Like BuildKit, reports only one cycle.
    pub(super) fn check_cycles(&mut self) {
        const NEW: u8 = 0;
        const OPEN: u8 = 1;
        const DONE: u8 = 2;
        let edges: Vec<Vec<(usize, Span)>> =
            (0..self.stages.len()).map(|i| self.edges(i)).collect();
        let mut states = vec![NEW; edges.len()];
        for start in 0..edges.len() {
            // The open stages, each with the number of its edges that were followed.
            let mut path: Vec<(usize, usize)> = Vec::new();
            if states[start] == NEW {
                states[start] = OPEN;
                path.push((start, 0));
            }
            while let Some((stage, next)) = path.last_mut() {
                let Some((to, _)) = edges[*stage].get(*next) else {
                    states[*stage] = DONE;
                    path.pop();
                    continue;
                };
                *next += 1;
                match states[*to] {
                    NEW => {
                        states[*to] = OPEN;
                        path.push((*to, 0));
                    }
                    OPEN => {
                        let from = path.iter().position(|(stage, _)| stage == to).unwrap_or(0);
                        let cycle = path[from..].iter().map(|(stage, next)| {
                            let (to, span) = edges[*stage][*next - 1];
                            (*stage, to, span)
                        });
                        let cycle = cycle.collect();
                        self.report_cycle(cycle);
                        return;
                    }
                    _ => {}
                }
            }
        }
    }

    fn edges(&self, index: usize) -> Vec<(usize, Span)> {
        let steps = self.stages[index].steps.iter();
        let named = steps.flat_map(|step| froms(&step.instruction).into_iter().zip(&step.sources));
        let edges = named.filter_map(|((_, span, _), source)| match source {
            Some(SourceTarget::Stage(index)) => Some((*index, span)),
            _ => None,
        });
        edges.collect()
    }

    fn report_cycle(&mut self, cycle: Vec<(usize, usize, Span)>) {
        let name = |index: usize| match &self.stages[index].view.name {
            Some(name) => format!("stage `{name}`"),
            None => format!("stage {index}"),
        };
        let first = cycle.first().map_or(0, |(stage, ..)| *stage);
        let message = match cycle.as_slice() {
            [_] => format!("{} copies from itself", name(first)),
            _ => format!("{} depends on itself", name(first)),
        };
        let mut diagnostic = Diagnostic::new(Rule::StageCycle, message);
        for (stage, to, span) in cycle {
            let text = format!("{} depends on {}", name(stage), name(to));
            diagnostic = diagnostic.at(&self.file.source, span, text);
        }
        self.found.diagnostics.push(diagnostic);
    }

    /// Returns the named context that replaces a stage.
    pub(super) fn context_of_stage(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Option<&'a str> {
        self.context_of_image(&Reference::parse(name).ok()?, platform)
    }

    /// Returns the named context that replaces an image.
    pub(super) fn context_of_image(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
    ) -> Option<&'a str> {
        if self.contexts.is_empty() {
            return None;
        }
        let name = reference.context_name();
        if name.eq_ignore_ascii_case("scratch") || name.eq_ignore_ascii_case("context") {
            return None;
        }
        let platform = platform.unwrap_or(self.platform);
        let exact = self.contexts.get(&format!("{name}::{platform}"));
        exact.or_else(|| self.contexts.get(&name)).copied()
    }
}

/// Returns the `--from`s of an instruction with their spans, one per source. For a mount without
/// `from`, returns `None` and the span of the mount.
fn froms(instruction: &Instruction) -> Vec<(Option<&Spanned<String>>, Span, DependencyKind)> {
    match &instruction.kind {
        InstructionKind::Copy(copy) => {
            copy.from.iter().map(|from| (Some(from), from.span, DependencyKind::Copy)).collect()
        }
        InstructionKind::Run(run) => {
            let froms = run.mounts.iter().map(|mount| (mount.from(), mount.span));
            froms
                .map(|(from, span)| {
                    (from, from.map_or(span, |from| from.span), DependencyKind::Mount)
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the image that the value of a named context names, or `None` if it is not an image.
pub(super) fn context_image(context: &str) -> Option<Result<Reference, ReferenceError>> {
    let image = context.strip_prefix("docker-image:")?;
    let image = image.strip_prefix("//").unwrap_or(image);
    (image != "scratch").then(|| Reference::parse(image))
}

/// Parses a number like Go's `strconv.Atoi`. A negative one never is the index of a stage.
fn whole_number(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
