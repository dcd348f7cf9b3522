//! The content of bake files, in HCL and in JSON, before anything is evaluated.

use std::collections::BTreeMap;

use hcl::expr::{Expression, ObjectKey, TemplateExpr};
use hcl::structure::{Block, Body};

use crate::base::RelPath;

use super::super::BuildOrigin;

/// What one or more merged bake files define.
#[derive(Clone)]
pub(super) struct BakeDefinition {
    /// The file.
    pub(super) file: RelPath,
    /// The variables with a default, and the attributes of the file itself, which bake treats alike.
    pub(super) variables: BTreeMap<String, Expression>,
    /// The functions by name.
    pub(super) functions: BTreeMap<String, BakeFunction>,
    /// The targets in order. Names can repeat.
    pub(super) targets: Vec<BakeTarget>,
}

/// A function that a bake file defines.
#[derive(Clone)]
pub(super) struct BakeFunction {
    /// The parameters.
    pub(super) params: Vec<String>,
    /// The parameter that takes the remaining arguments.
    pub(super) variadic: Option<String>,
    /// The result.
    pub(super) result: Expression,
}

/// A definition of a target.
#[derive(Clone)]
pub(super) struct BakeTarget {
    /// The name of the block.
    pub(super) name: String,
    /// Where the block is.
    pub(super) origin: BuildOrigin,
    /// The attributes.
    pub(super) attributes: BTreeMap<String, Expression>,
}

impl BakeDefinition {
    /// Returns a definition without content.
    pub(super) fn new(file: RelPath) -> BakeDefinition {
        let (variables, functions) = (BTreeMap::new(), BTreeMap::new());
        BakeDefinition { file, variables, functions, targets: Vec::new() }
    }

    /// Adds what a later file defines.
    pub(super) fn extend(&mut self, later: BakeDefinition) {
        self.variables.extend(later.variables);
        self.functions.extend(later.functions);
        self.targets.extend(later.targets);
    }

    /// Parses a file. Fails with the line and the reason.
    pub(super) fn parse(file: &RelPath, text: &str) -> Result<BakeDefinition, (u32, String)> {
        let mut definition = BakeDefinition::new(file.clone());
        if file.as_str().ends_with(".json") {
            let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
                let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
                (line, format!("not read: invalid JSON: {error}"))
            })?;
            definition.add_json(&value, text);
        } else {
            let body = hcl::parse(text).map_err(|error| invalid_hcl(&error))?;
            definition.add_body(&body, text);
        }
        Ok(definition)
    }

    fn add_body(&mut self, body: &Body, text: &str) {
        let mut lines = TargetLines::new(text);
        for attribute in body.attributes() {
            self.variables.insert(attribute.key().to_owned(), attribute.expr().clone());
        }
        for block in body.blocks() {
            let Some(name) = block.labels().first().map(|label| label.as_str().to_owned()) else {
                continue;
            };
            let attributes = attributes(block.body());
            match block.identifier() {
                "variable" => self.add_variable(name, attributes),
                "function" => self.functions.extend(function(block).map(|it| (name, it))),
                "target" => {
                    let origin = BuildOrigin { file: self.file.clone(), line: lines.next(&name) };
                    self.targets.push(BakeTarget { name, origin, attributes });
                }
                _ => {}
            }
        }
    }

    fn add_variable(&mut self, name: String, mut attributes: BTreeMap<String, Expression>) {
        self.variables.extend(attributes.remove("default").map(|default| (name, default)));
    }

    fn add_json(&mut self, value: &serde_json::Value, text: &str) {
        let mut lines = TargetLines::new(text);
        let blocks = |kind: &str| value.get(kind).and_then(serde_json::Value::as_object);
        for (name, block) in blocks("variable").into_iter().flatten() {
            self.add_variable(name.clone(), json_attributes(block));
        }
        for (name, block) in blocks("target").into_iter().flatten() {
            let origin = BuildOrigin { file: self.file.clone(), line: lines.next(name) };
            let attributes = json_attributes(block);
            self.targets.push(BakeTarget { name: name.clone(), origin, attributes });
        }
    }
}

fn invalid_hcl(error: &hcl::Error) -> (u32, String) {
    let (line, message) = match error {
        hcl::Error::Parse(error) => (error.location().line(), error.message().to_owned()),
        other => (1, other.to_string()),
    };
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    (line, format!("not read: invalid HCL: {message}"))
}

fn attributes(body: &Body) -> BTreeMap<String, Expression> {
    body.attributes().map(|it| (it.key().to_owned(), it.expr().clone())).collect()
}

fn function(block: &Block) -> Option<BakeFunction> {
    let mut attributes = attributes(block.body());
    let name = |expression: Expression| match expression {
        Expression::Variable(name) => Some(name.to_string()),
        Expression::String(name) => Some(name),
        _ => None,
    };
    let params = match attributes.remove("params") {
        Some(Expression::Array(params)) => params.into_iter().filter_map(name).collect(),
        _ => Vec::new(),
    };
    let variadic = attributes.remove("variadic_params").and_then(name);
    Some(BakeFunction { params, variadic, result: attributes.remove("result")? })
}

fn json_attributes(block: &serde_json::Value) -> BTreeMap<String, Expression> {
    let entries = block.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), json_expression(value))).collect()
}

/// Returns a JSON value as an expression. Its texts are templates.
fn json_expression(value: &serde_json::Value) -> Expression {
    match value {
        serde_json::Value::Null => Expression::Null,
        serde_json::Value::Bool(value) => Expression::Bool(*value),
        serde_json::Value::Number(number) => Expression::String(number.to_string()),
        serde_json::Value::String(text) if text.contains("${") || text.contains("%{") => {
            Expression::TemplateExpr(Box::new(TemplateExpr::QuotedString(text.clone())))
        }
        serde_json::Value::String(text) => Expression::String(text.clone()),
        serde_json::Value::Array(items) => {
            Expression::Array(items.iter().map(json_expression).collect())
        }
        serde_json::Value::Object(entries) => {
            let key = |key: &String| ObjectKey::Expression(Expression::String(key.clone()));
            let entries = entries.iter().map(|(name, value)| (key(name), json_expression(value)));
            Expression::Object(entries.collect())
        }
    }
}

/// Finds the lines of targets by their names, because the parser's tree has none.
struct TargetLines<'a> {
    lines: Vec<(u32, &'a str)>,
}

impl<'a> TargetLines<'a> {
    fn new(text: &'a str) -> TargetLines<'a> {
        let starts_target = |(_, line): &(u32, &str)| {
            let line = line.trim_start();
            line.starts_with("target") || line.starts_with('"')
        };
        TargetLines { lines: (1..).zip(text.lines()).filter(starts_target).collect() }
    }

    /// Returns the line of the next target with this name.
    fn next(&mut self, name: &str) -> u32 {
        let quoted = format!("\"{name}\"");
        let is_start = |line: &str| {
            let rest = line.trim_start();
            let rest = rest.strip_prefix("target").unwrap_or(rest).trim_start();
            rest.starts_with(&quoted) || rest.split(['{', ' ']).next() == Some(name)
        };
        let Some(at) = self.lines.iter().position(|(_, line)| is_start(line)) else { return 1 };
        self.lines.remove(at).0
    }
}
