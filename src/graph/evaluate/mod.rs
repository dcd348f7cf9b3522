//! The evaluation of a Dockerfile with given settings: its stages, those that the target reaches,
//! the images that they depend on, and what they read from the build context.
//!
//! Owns the order of evaluation, which is BuildKit's (`dockerfile2llb/convert.go`): the global
//! arguments; the base of every stage, whether reached or not; every `--from`; the target and what
//! it reaches, including triggers; and then, for reached stages, one instruction after the other.
//! Unlike BuildKit, it continues after an error and reports all errors. It knows a single
//! Dockerfile; `link` knows which images this repository builds.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::base::{Diagnostic, Platform, Rule, Source, Span};
use crate::graph::reference::Reference;
use crate::parse::expand::expand;
use crate::parse::{Dockerfile, Instruction, InstructionKind, Stage, parse_trigger};

mod context_uses;
mod diagnostics;
mod forms;
mod missing_arguments;
mod mount;
mod remote;
mod scope;
mod sources;
mod steps;
mod variables;
mod view;

pub use scope::{Scope, VariableValue};
pub use view::{
    Base, ChainBase, ContextKind, ContextUse, DependencyKind, Download, Evaluation,
    EvaluationSettings, ImageLabel, SecretKind, SecretUse, StageDependency, StageFrom, StageView,
    Trigger,
};

use sources::{ExtraSource, SourceTarget};
use variables::{Globals, RecordingGlobals};

/// Evaluates a Dockerfile. The diagnostics of the result do not repeat those of the parser.
///
/// `triggers` returns the `ONBUILD` instructions of an image in their order. They run in the stages
/// that start from the image.
pub fn evaluate(
    file: &Dockerfile,
    settings: &EvaluationSettings,
    triggers: &dyn Fn(&Reference) -> Vec<Trigger>,
) -> Evaluation {
    let mut evaluator = Evaluator::new(file, settings, triggers);
    evaluator.read_stages();
    let target = evaluator.find_target();
    evaluator.found.target = target;
    evaluator.resolve_sources();
    evaluator.check_cycles();
    evaluator.reach(target);
    for index in 0..evaluator.stages.len() {
        evaluator.run_stage(index);
    }
    evaluator.finish(target)
}

/// Returns the `ONBUILD` instructions of one stage, as an image built from it stores them.
pub fn triggers_of(file: &Dockerfile, stage: usize) -> Vec<Trigger> {
    let instructions = file.stages.get(stage).into_iter().flat_map(|stage| &stage.instructions);
    let triggers = instructions.filter_map(|instruction| match &instruction.kind {
        InstructionKind::Onbuild(onbuild) => Some(Trigger {
            text: onbuild.expression.clone(),
            source: file.source.clone(),
            span: instruction.span,
            map: Some(onbuild.map.clone()),
        }),
        _ => None,
    });
    triggers.collect()
}

struct Evaluator<'a> {
    file: &'a Dockerfile,
    settings: &'a EvaluationSettings,
    triggers: &'a dyn Fn(&Reference) -> Vec<Trigger>,
    platform: &'a Platform,
    /// The architecture of the build platform.
    local: &'a str,
    globals: Globals<'a>,
    /// The named contexts by their names in short form.
    contexts: HashMap<String, &'a str>,
    /// The last stage of each name. While stages are read, only the stages so far.
    names: HashMap<&'a str, usize>,
    stages: Vec<StageState<'a>>,
    extras: Vec<ExtraSource<'a>>,
    /// The results so far.
    found: Evaluation,
    /// The images whose triggers were followed, and the dependencies that those triggers add.
    followed: HashSet<Reference>,
    followed_dependencies: Vec<StageDependency>,
}

/// The state of a stage during evaluation.
struct StageState<'a> {
    view: StageView,
    stage: &'a Stage,
    /// The named context that replaces the whole stage.
    context: Option<&'a str>,
    /// The named context that replaces the stage's base image.
    base_context: Option<&'a str>,
    /// The global arguments that its FROM uses.
    used: Vec<String>,
    steps: Vec<StageInstruction<'a>>,
}

/// An instruction to run, with the sources that its `--from`s name.
struct StageInstruction<'a> {
    instruction: Cow<'a, Instruction>,
    /// The trigger that the instruction comes from, if any.
    trigger: Option<Arc<Trigger>>,
    sources: Vec<Option<SourceTarget>>,
}

impl<'a> Evaluator<'a> {
    fn new(
        file: &'a Dockerfile,
        settings: &'a EvaluationSettings,
        triggers: &'a dyn Fn(&Reference) -> Vec<Trigger>,
    ) -> Evaluator<'a> {
        let mut found = Evaluation::default();
        let EvaluationSettings { build_platform: build, platform, .. } = settings;
        let globals = Globals::read(file, settings, [build, platform], &mut found.diagnostics);
        let contexts = settings.contexts.iter().map(|(name, value)| {
            let name = Reference::context_key(name).unwrap_or_else(|| name.clone());
            (name, value.as_str())
        });
        Evaluator {
            file,
            settings,
            triggers,
            platform,
            local: &build.architecture,
            globals,
            contexts: contexts.collect(),
            names: HashMap::new(),
            stages: Vec::with_capacity(file.stages.len()),
            extras: Vec::new(),
            found,
            followed: HashSet::new(),
            followed_dependencies: Vec::new(),
        }
    }

    fn report(&mut self, diagnostic: Diagnostic, span: Span) {
        self.found.diagnostics.push(diagnostic.at(&self.file.source, span, ""));
    }

    /// Resolves the base of each stage. A base can name only an earlier stage, in the same
    /// spelling. Of several stages with one name, the last one counts.
    fn read_stages(&mut self) {
        for (index, stage) in self.file.stages.iter().enumerate() {
            let state = self.read_stage(stage);
            self.stages.push(state);
            if let Some(name) = &stage.name {
                self.names.insert(&name.value, index);
            }
        }
    }

    fn read_stage(&mut self, stage: &'a Stage) -> StageState<'a> {
        let escape = self.file.directives.escape;
        let globals = RecordingGlobals::of(&self.globals);
        let base_text = expand(&stage.base.value, escape, &globals);
        let platform_text = stage.platform.as_ref().map(|it| expand(&it.value, escape, &globals));
        let (used, missing) = (globals.found.into_inner(), globals.missing.into_inner());
        let (base_text, base) = match base_text {
            Ok(text) => {
                let base = self.find_base(stage, &text, &missing);
                (text.into_owned(), base)
            }
            Err(error) => {
                let diagnostic =
                    missing_arguments::expansion(&error, &stage.base.value, &self.settings.image);
                self.report(diagnostic, stage.base.span);
                (String::new(), None)
            }
        };
        let mut platform = None;
        if let (Some(written), Some(text)) = (&stage.platform, platform_text) {
            let text = text.map_err(|error| diagnostics::expansion(&error, &written.value));
            match text.and_then(|text| self.read_platform(&text, &written.value, &missing)) {
                Ok(read) => platform = Some(read),
                Err(diagnostic) => self.report(diagnostic, written.span),
            }
        }
        self.check_name(stage);
        let name = stage.name.as_ref().map(|name| name.value.as_str());
        let context = name.and_then(|name| self.context_of_stage(name, platform.as_ref()));
        let base_context = match &base {
            Some(Base::Image(reference)) => self.context_of_image(reference, platform.as_ref()),
            _ => None,
        };
        let base = match (base, base_context) {
            (Some(Base::Image(image)), Some(context))
                if sources::context_image(context).is_none() =>
            {
                Some(Base::Context(image.context_name()))
            }
            (base, _) => base,
        };
        StageState {
            view: StageView {
                name: name.map(str::to_owned),
                line: self.file.source.line_of(stage.from.start),
                base_text,
                base,
                context: context.or(base_context).map(str::to_owned),
                replaced: context.is_some(),
                unset: missing,
                platform,
                ..StageView::default()
            },
            stage,
            context,
            base_context,
            used,
            steps: Vec::new(),
        }
    }

    /// BuildKit looks up a stage's name among the named contexts, so the name must also be a valid
    /// image name.
    fn check_name(&mut self, stage: &Stage) {
        let Some(name) = &stage.name else { return };
        if Reference::parse(&name.value).is_err() {
            let message = format!("`{}` is not a valid stage name", name.value);
            let hint = "end with a letter or digit, and use single separators between them";
            let diagnostic = Diagnostic::new(Rule::InvalidStageName, message).hint(hint);
            self.report(diagnostic, name.span);
        }
    }

    /// `missing` are the variables of the FROM that are not set.
    fn read_platform(
        &self,
        text: &str,
        written: &str,
        missing: &[String],
    ) -> Result<Platform, Diagnostic> {
        Platform::parse(text, self.local).filter(|_| !text.is_empty()).ok_or_else(|| {
            let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
            let declared = self.file.globals.iter().flat_map(|global| match &global.kind {
                InstructionKind::Arg(items) => items.as_slice(),
                _ => &[],
            });
            let declared: Vec<&str> = declared.map(|item| item.name.value.as_str()).collect();
            diagnostics::platform(text, written, &missing, &declared)
        })
    }

    fn find_base(&mut self, stage: &Stage, text: &str, missing: &[String]) -> Option<Base> {
        let written = stage.base.value.as_str();
        if let Some(index) = self.names.get(text) {
            return Some(Base::Stage(*index));
        }
        let diagnostic = match text {
            "scratch" => return Some(Base::Scratch),
            // The parser has already reported a FROM without arguments.
            "" if written.is_empty() => return None,
            "" => diagnostics::blank_base(written, missing),
            text => match Reference::parse(text) {
                Ok(reference) => return Some(Base::Image(reference)),
                Err(error) => diagnostics::reference(&error, written, text),
            },
        };
        let names = missing_arguments::find(self.file, &self.globals, written);
        if names.is_empty() {
            self.report(diagnostics::with_missing(diagnostic, missing), stage.base.span);
        } else {
            let diagnostic = missing_arguments::describe(&names, &self.settings.image);
            let text = if text.is_empty() { "nothing" } else { &format!("`{text}`") };
            let label = format!("expands to {text}");
            self.found.diagnostics.push(diagnostic.at(&self.file.source, stage.base.span, label));
        }
        None
    }

    fn find_target(&mut self) -> Option<usize> {
        let Some(name) = self.settings.target.as_deref().filter(|name| !name.is_empty()) else {
            return self.stages.len().checked_sub(1);
        };
        let found = self.names.get(name.to_lowercase().as_str()).copied();
        if found.is_none() && !self.stages.is_empty() {
            let names = self.stages.iter().filter_map(|stage| stage.view.name.as_deref());
            let diagnostic = diagnostics::target(name, names);
            // The target is not in the file, so the diagnostic has no position.
            self.found.diagnostics.push(diagnostic);
        }
        found
    }

    /// Marks the stages that the target depends on, and adds the triggers that run in them.
    fn reach(&mut self, target: Option<usize>) {
        let mut waiting: Vec<usize> = target.into_iter().collect();
        while let Some(index) = waiting.pop() {
            let state = &mut self.stages[index];
            if std::mem::replace(&mut state.view.reached, true) {
                continue;
            }
            if let (Some(Base::Stage(base)), None) = (&state.view.base, state.context) {
                waiting.push(*base);
            }
            self.fire_triggers(index);
            waiting.extend(self.follow_images(index));
            let named = self.stages[index].steps.iter().flat_map(|step| &step.sources);
            waiting.extend(named.filter_map(|named| match named {
                Some(SourceTarget::Stage(index)) => Some(*index),
                _ => None,
            }));
        }
    }

    /// Adds the triggers of the stage's base. They run right after its FROM.
    fn fire_triggers(&mut self, index: usize) {
        let state = &self.stages[index];
        let triggers = match (&state.view.base, state.base_context) {
            _ if state.context.is_some() => return,
            (Some(Base::Stage(base)), _) => triggers_of(self.file, *base),
            (_, Some(context)) => match sources::context_image(context) {
                Some(Ok(reference)) => (self.triggers)(&reference),
                _ => return,
            },
            (Some(Base::Image(reference)), None) => (self.triggers)(reference),
            _ => return,
        };
        let mut steps = Vec::with_capacity(triggers.len());
        for trigger in &triggers {
            let from = self.stages[index].stage.from;
            let Some(instruction) = self.read_trigger(trigger, from) else { continue };
            let sources = self.resolve(&instruction, Some(trigger));
            let trigger = Some(Arc::new(trigger.clone()));
            steps.push(StageInstruction { instruction: Cow::Owned(instruction), trigger, sources });
        }
        let state = &mut self.stages[index];
        steps.append(&mut state.steps);
        state.steps = steps;
        state.view.triggers = triggers;
    }

    /// Parses a trigger that runs at a position in this file.
    fn read_trigger(&mut self, trigger: &Trigger, fires: Span) -> Option<Instruction> {
        let text = Source::new(trigger.source.path().clone(), trigger.text.clone());
        let (instruction, diagnostics) = parse_trigger(&text);
        for mut diagnostic in diagnostics {
            for label in &mut diagnostic.labels {
                label.span = trigger.locate(label.span);
                label.source = trigger.source.clone();
            }
            self.found.diagnostics.push(diagnostic.at(
                &self.file.source,
                fires,
                "the trigger runs here",
            ));
        }
        instruction
    }

    fn finish(mut self, target: Option<usize>) -> Evaluation {
        self.found.dependencies.append(&mut self.followed_dependencies);
        let onbuild = target.map(|target| triggers_of(self.file, target)).unwrap_or_default();
        let stages = self.stages.into_iter().map(|state| state.view).collect();
        Evaluation { stages, onbuild, ..self.found }
    }
}
