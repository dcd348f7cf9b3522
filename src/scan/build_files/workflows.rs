//! Builds in GitHub workflows and composite actions.
//!
//! Owns what a workflow's steps build: the steps that use a build action, and those that run a command. `expression`
//! has the values, `matrix` the combinations.

use std::collections::BTreeMap;

use crate::base::RelPath;

use super::command::BuildCommand;
use super::partial::{PartialText, UNKNOWN};
use super::shell::ShellText;
use super::yaml::{self, YamlNode};
use super::{BuildFileReader, BuildOrigin};

mod expression;
mod matrix;

use expression::{ExpressionScope, interpolate};

/// How deeply workflows and actions call each other at most.
const MAX_CALLS: usize = 5;

/// Reads all workflows and actions of a list.
pub(super) fn read(reader: &mut BuildFileReader<'_>, files: &[RelPath]) {
    let mut trees = BTreeMap::new();
    for file in files {
        let path = file.as_str();
        let is_yaml = path.ends_with(".yml") || path.ends_with(".yaml");
        let is_workflow = file.parent().as_str() == ".github/workflows";
        if !is_yaml || !(is_workflow || path.starts_with(".github/actions/")) {
            continue;
        }
        let Some(text) = reader.read(file) else { continue };
        match yaml::parse(&text) {
            Ok(tree) => {
                trees.insert(file.clone(), tree);
            }
            Err(problem) => reader.report(file, problem.line, problem.message),
        }
    }
    for file in trees.keys() {
        let mut workflows = WorkflowReader { reader, trees: &trees, calls: 0 };
        workflows.file(file, &BTreeMap::new());
    }
}

/// Where a step runs.
struct StepContext<'a> {
    file: &'a RelPath,
    scope: &'a ExpressionScope,
    /// The working directory, if it is known.
    directory: Option<RelPath>,
}

struct WorkflowReader<'a, 'root> {
    reader: &'a mut BuildFileReader<'root>,
    trees: &'a BTreeMap<RelPath, YamlNode>,
    calls: usize,
}

impl WorkflowReader<'_, '_> {
    /// Adds the builds of a workflow or an action that is called with these inputs.
    fn file(&mut self, file: &RelPath, inputs: &BTreeMap<String, PartialText>) {
        let Some(tree) = self.trees.get(file) else { return };
        let mut scope = ExpressionScope::default();
        scope.set("github.workspace", ".".into());
        if !inputs.is_empty() {
            let declared =
                tree.get("inputs").or_else(|| tree.get("on")?.get("workflow_call")?.get("inputs"));
            for entry in declared.map(YamlNode::entries).unwrap_or_default() {
                let default = entry.value.text_of("default").unwrap_or_default();
                scope.set(&format!("inputs.{}", entry.key), interpolate(default, &scope));
            }
        }
        for (name, value) in inputs {
            scope.set(&format!("inputs.{name}"), value.clone());
        }
        scope.add_env(tree);
        if let Some(runs) = tree.get("runs") {
            let line = runs.line;
            return self.steps(file, runs, &scope, None, line);
        }
        let directory =
            working_directory(tree.get("defaults").and_then(|it| it.get("run")), &scope);
        for job in tree.get("jobs").map(YamlNode::entries).unwrap_or_default() {
            self.job(file, &job.value, &scope, directory.as_ref(), job.line);
        }
    }

    fn job(
        &mut self,
        file: &RelPath,
        job: &YamlNode,
        scope: &ExpressionScope,
        directory: Option<&PartialText>,
        line: u32,
    ) {
        let origin = BuildOrigin { file: file.clone(), line };
        let matrix = job.get("strategy").and_then(|strategy| strategy.get("matrix"));
        let scopes = match matrix {
            Some(matrix) => match matrix::combinations(matrix, scope) {
                Some(combinations) if self.reader.allows(&origin, combinations.len()) => {
                    combinations.into_iter().map(|it| scope.with_matrix(it)).collect()
                }
                Some(_) => return,
                None => {
                    let message = "the job is not read: its matrix is too large";
                    return self.reader.report(file, line, message);
                }
            },
            None => vec![scope.clone()],
        };
        for mut scope in scopes {
            scope.add_env(job);
            if let Some(called) = job.text_of("uses") {
                self.call(called, job, &scope);
            }
            let own = working_directory(job.get("defaults").and_then(|it| it.get("run")), &scope);
            self.steps(file, job, &scope, own.as_ref().or(directory), line);
        }
    }

    /// Calls a workflow or an action of the repository.
    fn call(&mut self, called: &str, step: &YamlNode, scope: &ExpressionScope) {
        let Some(path) = called.strip_prefix("./").and_then(RelPath::new) else { return };
        let names = ["action.yml", "action.yaml"];
        let paths = names.iter().filter_map(|name| path.join(name)).chain([path.clone()]);
        let Some(path) = paths.into_iter().find(|path| self.trees.contains_key(path)) else {
            return;
        };
        if self.calls >= MAX_CALLS {
            return;
        }
        let with = step.get("with").map(YamlNode::entries).unwrap_or_default();
        let inputs = with
            .iter()
            .filter_map(|entry| Some((entry.key.clone(), interpolate(entry.value.text()?, scope))));
        let inputs: BTreeMap<String, PartialText> = inputs.collect();
        // What a file builds for unknown inputs is read with the file itself.
        if !inputs.is_empty() && self.reader.allows(&BuildOrigin { file: path.clone(), line: 1 }, 1)
        {
            self.calls += 1;
            self.file(&path, &inputs);
            self.calls -= 1;
        }
    }

    fn steps(
        &mut self,
        file: &RelPath,
        job: &YamlNode,
        scope: &ExpressionScope,
        directory: Option<&PartialText>,
        line: u32,
    ) {
        let mut scope = scope.clone();
        for step in job.get("steps").map(YamlNode::items).unwrap_or_default() {
            if !self.reader.allows(&BuildOrigin { file: file.clone(), line }, 0) {
                return;
            }
            let mut inside = scope.clone();
            inside.add_env(step);
            let own = working_directory(Some(step), &inside);
            let directory = match own.as_ref().or(directory) {
                Some(text) => text.as_known().and_then(RelPath::new),
                None => Some(RelPath::root()),
            };
            let context = StepContext { file, scope: &inside, directory };
            self.step(step, &context);
            if let (Some(id), Some(tags)) = (step.text_of("id"), metadata_tags(step, &inside)) {
                scope.set(&format!("steps.{id}.outputs.tags"), tags);
            }
        }
    }

    fn step(&mut self, step: &YamlNode, context: &StepContext<'_>) {
        if let Some(run) = step.get("run")
            && let Some(text) = run.text()
            && let Some(directory) = &context.directory
        {
            let text = interpolate(text, context.scope);
            let bases = [directory.clone()];
            let (text, line) = (text.as_marked(), run.line);
            let script =
                ShellText { file: context.file, line, text, bases: &bases, is_example: false };
            script.read(self.reader, &context.scope.env());
        }
        let Some(uses) = step.text_of("uses") else { return };
        if uses.split('@').next().is_some_and(|name| name.ends_with("/build-push-action")) {
            let origin = BuildOrigin { file: context.file.clone(), line: step.line };
            let command = action_options(step, context.scope);
            if let Some(build) = command.describe(self.reader, &RelPath::root(), origin) {
                self.reader.add(build);
            }
        } else {
            self.call(uses, step, context.scope);
        }
    }
}

/// Returns the options that a build action has in `with`.
fn action_options(step: &YamlNode, scope: &ExpressionScope) -> BuildCommand {
    let option = |name: &str| {
        let text = step.get("with")?.text_of(name)?;
        Some(interpolate(text, scope)).filter(|text| !text.as_marked().trim().is_empty())
    };
    let list = |name: &str, separators: &[char]| -> Vec<String> {
        let text = option(name).unwrap_or_default();
        let items = text.as_marked().split(separators).map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let trimmed = |text: PartialText| PartialText::from(text.as_marked().trim());
    // Without a context, the action uses the repository at the commit, in which paths are relative to the root.
    let context = option("context").map_or_else(|| ".".into(), trimmed);
    let context = match context.as_marked().strip_prefix("{{defaultContext}}") {
        Some(below) => below.trim_start_matches(':').into(),
        None => context,
    };
    BuildCommand {
        context: Some(context),
        file: option("file").map(trimmed),
        target: option("target").map(trimmed),
        tags: list("tags", &['\n', ',']).into_iter().map(PartialText::from).collect(),
        args: list("build-args", &['\n']),
        contexts: list("build-contexts", &['\n']),
        platforms: list("platforms", &['\n']),
    }
}

/// Returns the tags that `docker/metadata-action` makes: its images with a tag that is not known.
fn metadata_tags(step: &YamlNode, scope: &ExpressionScope) -> Option<PartialText> {
    if !step.text_of("uses")?.starts_with("docker/metadata-action") {
        return None;
    }
    let images = interpolate(step.get("with")?.text_of("images")?, scope);
    let names = images.as_marked().lines().map(|line| {
        let name = line.trim().strip_prefix("name=").unwrap_or(line.trim());
        name.split(',').next().unwrap_or_default().to_owned()
    });
    let tags = names.filter(|name| !name.is_empty()).map(|name| format!("{name}:{UNKNOWN}\n"));
    Some(tags.collect::<String>().into())
}

/// Returns the working directory that a node sets.
fn working_directory(node: Option<&YamlNode>, scope: &ExpressionScope) -> Option<PartialText> {
    Some(interpolate(node?.text_of("working-directory")?, scope))
}
