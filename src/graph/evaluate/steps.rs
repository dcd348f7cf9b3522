//! The evaluation of the instructions of a reached stage.
//!
//! Owns the effects of each instruction on variables, and what it depends on and reads. What it
//! does to the image is the engine's part, except for errors that can be detected here.

use crate::base::{Diagnostic, Platform, Rule, Span, Spanned};
use crate::graph::reference::is_digest;
use crate::parse::expand::{ExpandError, Variables, expand, expand_body};
use crate::parse::{Add, Copy, Declaration, Files, Instruction, InstructionKind, Pair, Run};

use super::context_uses::CopyFlags;
use super::forms;
use super::mount::{self, MountInputs, MountType};
use super::remote::{SourceKind, origin};
use super::scope::Scope;
use super::sources::{SourceTarget, context_image};
use super::variables::RecordingScope;
use super::view::{
    Base, ContextKind, DependencyKind, Download, ImageLabel, SecretKind, SecretUse,
    StageDependency, Trigger,
};
use super::{Evaluator, diagnostics};

/// One instruction of a stage during its evaluation.
pub(super) struct InstructionContext<'s> {
    pub(super) index: usize,
    scope: &'s mut Scope,
    pub(super) trigger: Option<&'s Trigger>,
    pub(super) sources: &'s [Option<SourceTarget>],
}

impl Evaluator<'_> {
    /// Evaluates the instructions of a stage if it is reached.
    pub(super) fn run_stage(&mut self, index: usize) {
        if !self.stages[index].view.reached {
            return;
        }
        self.add_base(index);
        self.use_base(index);
        let mut scope = self.first_scope(index);
        if self.stages[index].context.is_some() {
            self.stages[index].view.values = scope;
            return;
        }
        for name in std::mem::take(&mut self.stages[index].used) {
            let value = self.globals.value(&name).map(str::to_owned);
            self.note_argument(index, &name, value.as_ref());
            self.stages[index].view.from_arguments.push((name, value));
        }
        let steps = std::mem::take(&mut self.stages[index].steps);
        for step in &steps {
            let mut run = InstructionContext {
                index,
                scope: &mut scope,
                trigger: step.trigger.as_deref(),
                sources: &step.sources,
            };
            self.run_step(&mut run, &step.instruction);
        }
        self.stages[index].view.values = scope;
    }

    /// Adds the dependency on the stage's base image.
    fn add_base(&mut self, index: usize) {
        let state = &self.stages[index];
        let name = state.stage.base.clone();
        let platform = state.view.platform.as_ref().unwrap_or(self.platform).clone();
        let context = state.context.or(state.base_context);
        let base = state.view.base.clone();
        match (context, base) {
            (Some(context), _) => {
                let dependency = self.dependency_on_context(index, context, &name, platform, None);
                self.found.dependencies.extend(dependency);
            }
            (None, Some(Base::Image(reference))) => {
                let (kind, source, stage) = (DependencyKind::From, self.file.source.clone(), index);
                let (written, span, platform) = (name.value, name.span, Some(platform));
                self.found.dependencies.push(StageDependency {
                    kind,
                    written,
                    reference,
                    platform,
                    source,
                    span,
                    stage,
                });
            }
            _ => {}
        }
    }

    /// Returns the dependency on the image that a named context names, if it names one.
    pub(super) fn dependency_on_context(
        &mut self,
        stage: usize,
        context: &str,
        name: &Spanned<String>,
        platform: Platform,
        trigger: Option<&Trigger>,
    ) -> Option<StageDependency> {
        let (source, span) = self.locate(name.span, trigger);
        match context_image(context) {
            None => None,
            Some(Ok(reference)) => {
                let (kind, written) = (DependencyKind::Context, name.value.clone());
                let platform = Some(platform);
                Some(StageDependency { kind, written, reference, platform, source, span, stage })
            }
            Some(Err(error)) => {
                let diagnostic = diagnostics::reference(&error, &name.value, context);
                self.found.diagnostics.push(diagnostic.at(&source, span, ""));
                None
            }
        }
    }

    /// Records the value of an argument that a stage uses. If another stage has recorded a
    /// different value, this one gets an entry of its own.
    fn note_argument(&mut self, stage: usize, name: &str, value: Option<&String>) {
        match self.found.used_args.get(name) {
            None => self.found.used_args.insert(name.to_owned(), value.cloned()),
            Some(first) if first.as_ref() == value => None,
            Some(_) => self.found.used_args.insert(format!("{name}#{stage}"), value.cloned()),
        };
    }

    fn run_step(&mut self, run: &mut InstructionContext<'_>, instruction: &Instruction) {
        match &instruction.kind {
            InstructionKind::Arg(items) => self.declare(run, items),
            InstructionKind::Env(pairs) => {
                // All pairs of a line see the variables as they were before it.
                let values = self.expand_pairs(run, pairs);
                for (name, value, certain) in values {
                    run.scope.set_environment(&name, &value, certain);
                }
            }
            InstructionKind::Label(pairs) => {
                let labels = self.expand_pairs(run, pairs).into_iter();
                let labels =
                    labels.map(|(name, value, certain)| ImageLabel { name, value, certain });
                self.stages[run.index].view.labels.extend(labels);
            }
            InstructionKind::Copy(copy) => self.copy(run, copy),
            InstructionKind::Add(add) => self.add(run, add),
            InstructionKind::Run(command) => {
                if command.command.json && command.command.words.is_empty() {
                    let diagnostic = Diagnostic::new(Rule::ParseError, "RUN requires a command");
                    self.report_at(diagnostic, instruction.keyword.span, run.trigger);
                }
                self.run_mounts(run, command);
            }
            InstructionKind::Workdir(word) | InstructionKind::User(word) => {
                self.expand(run, word);
            }
            InstructionKind::Stopsignal(word) => {
                self.expand_form(run, word, "signal", forms::is_signal);
            }
            InstructionKind::Volume(words) => {
                for word in words {
                    self.expand_form(run, word, "volume", |text| !text.is_empty());
                }
            }
            InstructionKind::Expose(words) => {
                for word in words {
                    // A variable can contain several ports.
                    let are_ports = |text: &str| text.split_whitespace().all(forms::is_port);
                    self.expand_form(run, word, "port", are_ports);
                }
            }
            _ => {}
        }
    }

    /// Expands a word. Returns the result and whether it is certain.
    fn expand(
        &mut self,
        run: &InstructionContext<'_>,
        word: &Spanned<String>,
    ) -> Option<(String, bool)> {
        let watched = RecordingScope::of(run.scope);
        match expand(&word.value, self.file.directives.escape, &watched) {
            Ok(text) => Some((text.into_owned(), watched.is_certain())),
            // The image may set the variable that is missing here.
            Err(ExpandError::Required { .. }) if !watched.is_certain() => {
                Some((String::new(), false))
            }
            Err(error) => {
                let diagnostic = diagnostics::expansion(&error, &word.value);
                self.report_at(diagnostic, word.span, run.trigger);
                None
            }
        }
    }

    /// Expands a word whose result must have a certain format.
    fn expand_form(
        &mut self,
        run: &InstructionContext<'_>,
        word: &Spanned<String>,
        what: &str,
        has_form: impl Fn(&str) -> bool,
    ) {
        let Some((text, certain)) = self.expand(run, word) else { return };
        if certain && !has_form(&text) {
            let message = format!("`{text}` is not a valid {what}");
            let mut diagnostic = Diagnostic::new(Rule::InvalidValue, message);
            if text != word.value {
                diagnostic = diagnostic.note(format!("written as `{}`", word.value));
            }
            self.report_at(diagnostic, word.span, run.trigger);
        }
    }

    fn expand_pairs(
        &mut self,
        run: &InstructionContext<'_>,
        pairs: &[Pair],
    ) -> Vec<(String, String, bool)> {
        let expanded = pairs.iter().filter_map(|pair| {
            let (name, certain_name) = self.expand(run, &pair.name)?;
            let (value, certain) = self.expand(run, &pair.value)?;
            Some((name, value, certain && certain_name))
        });
        expanded.collect()
    }

    /// Evaluates an `ARG`. Its value is that of `--build-arg`, else its own default, else the
    /// global value; otherwise the variable keeps its value.
    fn declare(&mut self, run: &mut InstructionContext<'_>, items: &[Declaration]) {
        for item in items {
            let name = item.name.value.as_str();
            let build_arg = self.settings.build_args.get(name);
            let value = match (build_arg, &item.default) {
                (Some(value), _) => Some((value.clone(), true)),
                (None, Some(default)) => match self.expand(run, default) {
                    Some(value) => Some(value),
                    None => continue,
                },
                (None, None) => self.globals.value(name).map(|value| (value.to_owned(), true)),
            };
            // Frontends before 0.14 set it to the empty string; later ones keep its value.
            if value.is_none()
                && let Some(was) = run.scope.value(name).map(|was| was.text.clone())
            {
                run.scope.set_argument(name, &was, false);
            }
            // The arguments of BuildKit's SBOM scanner never reach the environment.
            let is_variable = !name.starts_with("BUILDKIT_SBOM_SCAN_");
            if let Some((text, certain)) = value.as_ref().filter(|_| is_variable) {
                run.scope.set_argument(name, text, *certain);
            }
            let value = value.map(|(text, _)| text);
            self.note_argument(run.index, name, value.as_ref());
            self.stages[run.index].view.arguments.push((name.to_owned(), value));
        }
    }

    fn copy(&mut self, run: &mut InstructionContext<'_>, copy: &Copy) {
        let Some((sources, replaces_modes)) = self.expand_files(run, &copy.files) else { return };
        for (word, (source, certain)) in copy.files.sources.iter().zip(&sources) {
            if *certain && origin(source) != SourceKind::Context {
                let message = format!("COPY can't download `{source}`");
                let diagnostic = Diagnostic::new(Rule::CopyAddress, message).hint("use ADD");
                self.report_at(diagnostic, word.span, run.trigger);
                return;
            }
        }
        let flags = CopyFlags {
            excludes: &copy.files.excludes,
            parents: copy.parents,
            replaces_modes: replaces_modes && !copy.parents,
        };
        if let Some(from) = &copy.from {
            self.add_source(run, 0, from, DependencyKind::Copy);
        }
        for (word, source) in copy.files.sources.iter().zip(sources) {
            let one = self.context_use(run, ContextKind::Copy, word.span, source, flags);
            self.use_context(run, copy.from.as_ref().map(|_| 0), one);
        }
    }

    fn add(&mut self, run: &mut InstructionContext<'_>, add: &Add) {
        let checksum = match &add.checksum {
            Some(checksum) => self.expand(run, checksum),
            None => Some((String::new(), true)),
        };
        let Some((checksum, certain_checksum)) = checksum else { return };
        let Some((sources, replaces_modes)) = self.expand_files(run, &add.files) else { return };
        let all_certain = certain_checksum && sources.iter().all(|(_, certain)| *certain);
        let has_checksum = !checksum.is_empty() && all_certain;
        if let Some(word) = add.checksum.as_ref().filter(|_| has_checksum) {
            let complaint = match sources.as_slice() {
                [(source, _)] => match origin(source) {
                    // BuildKit copies such a source from the context and ignores its checksum.
                    SourceKind::Context if source.starts_with("github.com/") => None,
                    SourceKind::Context => Some("`--checksum` is only supported for URLs"),
                    SourceKind::Web if !is_digest(&checksum) => {
                        Some("the checksum is not a valid digest")
                    }
                    _ => None,
                },
                _ => Some("`--checksum` is not supported for multiple sources"),
            };
            if let Some(message) = complaint {
                self.report_at(Diagnostic::new(Rule::Checksum, message), word.span, run.trigger);
                return;
            }
        }
        for (word, (address, certain)) in add.files.sources.iter().zip(sources) {
            let from = origin(&address);
            if from == SourceKind::Context {
                let (source, excludes) = ((address, certain), add.files.excludes.as_slice());
                let flags = CopyFlags { excludes, parents: false, replaces_modes };
                let one = self.context_use(run, ContextKind::Add, word.span, source, flags);
                self.use_context(run, None, one);
                continue;
            }
            let (source, span) = self.locate(word.span, run.trigger);
            self.found.downloads.push(Download {
                address,
                git: from == SourceKind::Git,
                checksum: checksum.clone(),
                certain: certain && certain_checksum,
                source,
                span,
                stage: run.index,
            });
        }
    }

    /// Expands the common parts of COPY and ADD. Returns the sources, and whether an octal mode
    /// replaces those of files.
    fn expand_files(
        &mut self,
        run: &InstructionContext<'_>,
        files: &Files,
    ) -> Option<(Vec<(String, bool)>, bool)> {
        let mut replaces_modes = false;
        if let Some(owner) = &files.chown {
            self.expand(run, owner)?;
        }
        if let Some(mode) = &files.chmod {
            let (text, certain) = self.expand(run, mode)?;
            // BuildKit ignores a mode that is empty after expansion.
            if certain && !text.is_empty() && !forms::is_mode(&text) {
                let message = format!("`{text}` is not a valid file mode");
                let hint = "use an octal number up to 7777, or a symbolic mode such as `u+x`";
                let diagnostic = Diagnostic::new(Rule::InvalidMode, message).hint(hint);
                self.report_at(diagnostic, mode.span, run.trigger);
                return None;
            }
            // Docker 20.10 ignores a mode with variables.
            replaces_modes = !text.is_empty() && mode.value.bytes().all(|b| b.is_ascii_digit());
        }
        let mut sources = Vec::with_capacity(files.sources.len());
        for word in &files.sources {
            sources.push(self.expand(run, word)?);
        }
        self.expand(run, &files.destination)?;
        for body in files.inline.iter().filter(|body| body.expand) {
            let watched = RecordingScope::of(run.scope);
            let expanded = expand_body(&body.text(), &watched).map(|_| ());
            if let Err(error) = expanded
                && (watched.is_certain() || !matches!(error, ExpandError::Required { .. }))
            {
                let diagnostic = diagnostics::expansion(&error, &body.name);
                self.report_at(diagnostic, body.span, run.trigger);
                return None;
            }
        }
        Some((sources, replaces_modes))
    }

    fn run_mounts(&mut self, run: &mut InstructionContext<'_>, command: &Run) {
        for (number, mount) in command.mounts.iter().enumerate() {
            let escape = self.file.directives.escape;
            let watched = RecordingScope::of(run.scope);
            let mut expand_value = |text: &str| {
                let expanded = expand(text, escape, &watched);
                let expanded = expanded.map(std::borrow::Cow::into_owned);
                expanded.map_err(|error| diagnostics::expansion(&error, text))
            };
            let meaning = match mount::read(mount, &mut expand_value) {
                Ok(meaning) => meaning,
                // The environment of an image may make this mount valid, and then it could read
                // anything.
                Err(_) if !watched.is_certain() => {
                    self.use_all(run, number, mount.span);
                    for kind in [MountType::Secret, MountType::Ssh] {
                        self.use_secret(run, &MountInputs::of(kind), false, mount.span);
                    }
                    continue;
                }
                Err((diagnostic, span)) => {
                    self.report_at(*diagnostic, span, run.trigger);
                    continue;
                }
            };
            let certain = watched.is_certain();
            if let Some(from) = mount.from().filter(|_| !meaning.from.is_empty()) {
                self.add_source(run, number, from, DependencyKind::Mount);
                // BuildKit still requests the ssh agent, but mounts nothing of the source.
                if meaning.kind == MountType::Ssh {
                    self.use_secret(run, &meaning, certain, mount.span);
                }
                self.use_mount(run, Some(number), mount.span, meaning, certain);
                continue;
            }
            match meaning.kind {
                MountType::Bind | MountType::Tmpfs => {
                    self.use_mount(run, None, mount.span, meaning, certain);
                }
                MountType::Cache => {}
                MountType::Secret | MountType::Ssh => {
                    self.use_secret(run, &meaning, certain, mount.span);
                }
            }
        }
    }

    fn use_secret(
        &mut self,
        run: &InstructionContext<'_>,
        mount: &MountInputs,
        certain: bool,
        span: Span,
    ) {
        let (source, span) = self.locate(span, run.trigger);
        let is_agent = mount.kind == MountType::Ssh;
        let kind = if is_agent { SecretKind::Agent } else { SecretKind::Value };
        let (id, required) = (mount.secret_id().to_owned(), mount.required);
        self.found.secret_uses.push(SecretUse { kind, id, required, certain, source, span });
    }

    /// Adds the dependency on the source of an instruction with this index.
    fn add_source(
        &mut self,
        run: &InstructionContext<'_>,
        number: usize,
        from: &Spanned<String>,
        kind: DependencyKind,
    ) {
        match run.sources.get(number).copied().flatten() {
            None => {}
            Some(SourceTarget::Stage(stage)) => {
                let is_ready = stage <= run.index || self.stages[stage].context.is_some();
                if !is_ready {
                    self.report_at(diagnostics::later_stage(&from.value), from.span, run.trigger);
                }
            }
            Some(SourceTarget::Extra(extra)) => {
                let dependency = self.dependency_on(run.index, extra, from, kind, run.trigger);
                self.found.dependencies.extend(dependency);
            }
        }
    }
}
