//! The variables of a Dockerfile: the global arguments and the initial scope of a stage.
//!
//! Owns the global values, the variables with which a stage starts, and the tracking of variables
//! that an expansion looks up.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::base::{Diagnostic, Platform};
use crate::parse::expand::{Variables, expand};
use crate::parse::{Dockerfile, InstructionKind};

use super::Evaluator;
use super::missing_arguments;
use super::scope::Scope;
use super::sources::context_image;
use super::view::{Base, EvaluationSettings};

/// The default `PATH` of images that set none.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The initial scopes of a stage that starts from scratch and of one that starts from an image. All
/// stages share them.
static FIRST: LazyLock<[Scope; 2]> = LazyLock::new(|| {
    [false, true].map(|on_image| {
        let mut scope = Scope::new(on_image);
        scope.set_environment("PATH", PATH, !on_image);
        scope
    })
});

/// The values of the global arguments before the first FROM.
#[derive(Debug, Default)]
pub(super) struct Globals<'a> {
    values: HashMap<&'a str, Cow<'a, str>>,
}

impl<'a> Globals<'a> {
    /// Reads the global arguments: first the automatic ones, then each `ARG` in order.
    pub(super) fn read(
        file: &'a Dockerfile,
        settings: &'a EvaluationSettings,
        platforms: [&'a Platform; 2],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Globals<'a> {
        let mut globals = Globals::default();
        globals.set_automatic(file, settings, platforms);
        let items = file.globals.iter().filter_map(|global| match &global.kind {
            InstructionKind::Arg(items) => Some(items),
            _ => None,
        });
        for item in items.flatten() {
            let name = item.name.value.as_str();
            if let Some(value) = settings.build_args.get(name) {
                globals.values.insert(name, Cow::Borrowed(value));
            } else if let Some(default) = &item.default {
                match expand(&default.value, file.directives.escape, &globals) {
                    Ok(value) => drop(globals.values.insert(name, value)),
                    Err(error) => {
                        let image = &settings.image;
                        let problem = missing_arguments::expansion(&error, &default.value, image);
                        diagnostics.push(problem.at(&file.source, default.span, ""));
                    }
                }
            }
        }
        globals
    }

    fn set_automatic(
        &mut self,
        file: &'a Dockerfile,
        settings: &'a EvaluationSettings,
        platforms: [&'a Platform; 2],
    ) {
        let last = file.stages.last().and_then(|stage| stage.name.as_ref());
        let stage = settings.target.as_deref().filter(|target| !target.is_empty());
        let stage = stage.or(last.map(|name| name.value.as_str())).unwrap_or("default");
        self.set("TARGETSTAGE", stage, settings);
        let [build, target] = platforms;
        // Only the name of the target platform includes the OS version.
        let plain = Platform { version: String::new(), ..build.clone() };
        self.set("BUILDPLATFORM", plain.to_string(), settings);
        self.set("BUILDOS", &build.os, settings);
        self.set("BUILDOSVERSION", &build.version, settings);
        self.set("BUILDARCH", &build.architecture, settings);
        self.set("BUILDVARIANT", &build.variant, settings);
        self.set("TARGETPLATFORM", target.to_string(), settings);
        self.set("TARGETOS", &target.os, settings);
        self.set("TARGETOSVERSION", &target.version, settings);
        self.set("TARGETARCH", &target.architecture, settings);
        self.set("TARGETVARIANT", &target.variant, settings);
    }

    fn set(
        &mut self,
        name: &'static str,
        value: impl Into<Cow<'a, str>>,
        settings: &'a EvaluationSettings,
    ) {
        let build_arg = settings.build_args.get(name);
        self.values.insert(name, build_arg.map_or_else(|| value.into(), Cow::from));
    }
}

impl Variables for Globals<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| &**value)
    }
}

impl Evaluator<'_> {
    /// Returns the variables with which a stage starts.
    pub(super) fn first_scope(&self, index: usize) -> Scope {
        let state = &self.stages[index];
        let context = state.context.or(state.base_context);
        let base = match (context.and_then(context_image), &state.view.base) {
            (Some(reference), _) => reference.ok(),
            (None, Some(Base::Stage(base))) if state.context.is_none() => {
                return self.stages[*base].view.values.inherited();
            }
            (None, Some(Base::Image(reference))) if context.is_none() => Some(reference.clone()),
            _ => None,
        };
        let on_image = context.is_some() || state.view.base != Some(Base::Scratch);
        // A stage that starts from scratch is for the target platform, whatever its FROM says.
        let platform = state.view.platform.as_ref().filter(|_| on_image).unwrap_or(self.platform);
        let is_windows = platform.os == "windows";
        let reported = base.and_then(|base| self.settings.environments.get(&base));
        if let Some(environment) = reported {
            let mut scope = if is_windows { Scope::new(false) } else { FIRST[0].clone() };
            for (name, value) in environment {
                scope.set_environment(name, value, true);
            }
            return scope;
        }
        match is_windows || state.context.is_some() {
            true => Scope::new(on_image),
            false => FIRST[usize::from(on_image)].clone(),
        }
    }
}

/// Global values that record which variables were looked up.
pub(super) struct RecordingGlobals<'a> {
    globals: &'a Globals<'a>,
    pub(super) found: RefCell<Vec<String>>,
    pub(super) missing: RefCell<Vec<String>>,
}

impl<'a> RecordingGlobals<'a> {
    pub(super) fn of(globals: &'a Globals<'a>) -> RecordingGlobals<'a> {
        RecordingGlobals { globals, found: RefCell::default(), missing: RefCell::default() }
    }
}

impl Variables for RecordingGlobals<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let value = self.globals.value(name);
        let names = if value.is_some() { &self.found } else { &self.missing };
        names.borrow_mut().push(name.to_owned());
        value
    }
}

/// The scope of a stage, which records whether all looked-up values were certain.
pub(super) struct RecordingScope<'a> {
    scope: &'a Scope,
    certain: Cell<bool>,
}

impl<'a> RecordingScope<'a> {
    pub(super) fn of(scope: &'a Scope) -> RecordingScope<'a> {
        RecordingScope { scope, certain: Cell::new(true) }
    }

    pub(super) fn is_certain(&self) -> bool {
        self.certain.get()
    }
}

impl Variables for RecordingScope<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let value = self.scope.value(name);
        if !value.map_or(!self.scope.is_open(), |value| value.certain) {
            self.certain.set(false);
        }
        value.map(|value| &*value.text)
    }
}
