//! Builds that bake files describe.
//!
//! Owns what of a bake file decides what is built: targets with their matrix and what they inherit, and the files that
//! are merged. buildx's bake is the specification; `evaluate` has its expressions.

use std::collections::BTreeMap;

use hcl::expr::Expression;
use hcl::{Map, Value};

use crate::base::RelPath;

use super::partial::{PartialText, UNKNOWN};
use super::{
    BuildFileReader, BuildOrigin, ContextSource, DescribedBuild, MAX_COMBINATIONS, named_context,
};

mod definition;
mod evaluate;
mod functions;

use definition::{BakeDefinition, BakeTarget};
use evaluate::{Evaluator, is_unknown, unknown};

/// The names of the files that bake reads by default, in the order in which they are merged.
const DEFAULT_NAMES: [&str; 4] = [
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];

/// How many `inherits` follow each other at most.
const MAX_CHAIN: usize = 50;

/// Reads all bake files of a list.
pub(super) fn read(reader: &mut BuildFileReader<'_>, files: &[RelPath]) {
    let is_bake = |file: &&RelPath| {
        file.file_name().is_some_and(|name| {
            name.contains("bake") && (name.ends_with(".hcl") || name.ends_with(".json"))
        })
    };
    let mut directories: BTreeMap<RelPath, Vec<BakeDefinition>> = BTreeMap::new();
    for file in files.iter().filter(is_bake) {
        let Some(text) = reader.read(file) else { continue };
        match BakeDefinition::parse(file, &text) {
            Ok(definition) if definition.targets.is_empty() && definition.variables.is_empty() => {}
            Ok(definition) => directories.entry(file.parent()).or_default().push(definition),
            Err((line, message)) => reader.report(file, line, message),
        }
    }
    for definitions in directories.into_values() {
        let rank = |definition: &BakeDefinition| {
            let name = definition.file.file_name().unwrap_or_default();
            DEFAULT_NAMES.iter().position(|default| *default == name)
        };
        let (mut defaults, others): (Vec<_>, Vec<_>) =
            definitions.into_iter().partition(|definition| rank(definition).is_some());
        defaults.sort_by_key(rank);
        let mut merged = BakeDefinition::new(RelPath::root());
        defaults.into_iter().for_each(|definition| merged.extend(definition));
        for other in others {
            // Such a file is passed to bake alone, or after the default files.
            let mut all = merged.clone();
            let file = other.file.clone();
            all.extend(other);
            BakeReader::new(reader, &all).add_all(|target| target.origin.file == file);
        }
        BakeReader::new(reader, &merged).add_all(|_| true);
    }
}

/// A target for one combination of its matrix.
struct BakeInstance<'a> {
    name: String,
    target: &'a BakeTarget,
    scope: Map<String, Value>,
}

/// The attributes of a target. Those that it does not set are `None` or empty.
#[derive(Clone, Default)]
struct BakeAttributes {
    context: Option<PartialText>,
    dockerfile: Option<PartialText>,
    is_inline: bool,
    target: Option<PartialText>,
    args: BTreeMap<String, PartialText>,
    contexts: BTreeMap<String, PartialText>,
    tags: Option<Vec<PartialText>>,
    platforms: Option<Vec<PartialText>>,
}

impl BakeAttributes {
    fn merge(&mut self, over: BakeAttributes) {
        self.args.extend(over.args);
        self.contexts.extend(over.contexts);
        self.is_inline |= over.is_inline;
        let texts = [
            (&mut self.context, over.context),
            (&mut self.dockerfile, over.dockerfile),
            (&mut self.target, over.target),
        ];
        for (own, over) in texts {
            *own = over.or(own.take());
        }
        self.tags = over.tags.or(self.tags.take());
        self.platforms = over.platforms.or(self.platforms.take());
    }
}

struct BakeReader<'a, 'root> {
    reader: &'a mut BuildFileReader<'root>,
    evaluator: Evaluator<'a>,
    instances: Vec<BakeInstance<'a>>,
    by_name: BTreeMap<String, Vec<usize>>,
}

impl<'a, 'root> BakeReader<'a, 'root> {
    fn new(
        reader: &'a mut BuildFileReader<'root>,
        definition: &'a BakeDefinition,
    ) -> BakeReader<'a, 'root> {
        let evaluator = Evaluator::new(definition);
        let (instances, by_name) = (Vec::new(), BTreeMap::new());
        let mut reader = BakeReader { reader, evaluator, instances, by_name };
        for target in &definition.targets {
            reader.instantiate(target);
        }
        for (index, instance) in reader.instances.iter().enumerate() {
            reader.by_name.entry(instance.name.clone()).or_default().push(index);
        }
        reader
    }

    /// Adds an instance of a target for each combination of its matrix.
    fn instantiate(&mut self, target: &'a BakeTarget) {
        let mut scopes = vec![Map::new()];
        if let Some(matrix) = target.attributes.get("matrix") {
            let Value::Object(axes) = self.evaluator.evaluate(matrix, &Map::new()) else { return };
            for (axis, values) in axes {
                let values = match values {
                    Value::Array(values) => values,
                    _ => vec![unknown()],
                };
                if scopes.len().saturating_mul(values.len()) + self.instances.len()
                    > MAX_COMBINATIONS
                {
                    let origin = &target.origin;
                    let message =
                        format!("target `{}` is not read: its matrix is too large", target.name);
                    return self.reader.report(&origin.file, origin.line, message);
                }
                let with = |scope: &Map<String, Value>, value: &Value| {
                    let mut scope = scope.clone();
                    scope.insert(axis.clone(), value.clone());
                    scope
                };
                scopes = scopes
                    .iter()
                    .flat_map(|scope| values.iter().map(move |value| with(scope, value)))
                    .collect();
            }
        }
        for scope in scopes {
            let name = match target.attributes.get("name") {
                Some(name) => {
                    text_of(&self.evaluator.evaluate(name, &scope)).as_marked().to_owned()
                }
                None => target.name.clone(),
            };
            self.instances.push(BakeInstance { name, target, scope });
        }
    }

    fn add_all(mut self, is_meant: impl Fn(&BakeTarget) -> bool) {
        let mut added = Vec::new();
        for index in 0..self.instances.len() {
            let BakeInstance { name, target, .. } = &self.instances[index];
            // A target that several files define is one target, described by the last definition.
            let is_last = name.contains(UNKNOWN)
                || self.by_name.get(name).and_then(|all| all.last()) == Some(&index);
            if is_last && is_meant(target) {
                added.push((index, name.clone(), target.origin.clone()));
            }
        }
        for (index, name, origin) in added {
            let chain = &mut Vec::new();
            let attributes = if name.contains(UNKNOWN) {
                self.instance_attributes(index, chain)
            } else {
                self.attributes(&name, chain)
            };
            match attributes {
                Ok(attributes) => self.add(name, origin, &attributes),
                Err(()) => {
                    let message = format!(
                        "target `{name}` is not read: its `inherits` is a cycle or too long"
                    );
                    self.reader.report(&origin.file, origin.line, message);
                }
            }
        }
        if let (true, Some(first)) = (self.evaluator.is_exhausted(), self.instances.first()) {
            let file = first.target.origin.file.clone();
            self.reader.report(&file, 1, "expressions that take too many steps count as unknown");
        }
    }

    /// Returns the attributes of all definitions of a target, with what they inherit. Fails for a cycle.
    fn attributes(&mut self, name: &str, chain: &mut Vec<String>) -> Result<BakeAttributes, ()> {
        if chain.iter().any(|seen| seen == name) || chain.len() >= MAX_CHAIN {
            return Err(());
        }
        chain.push(name.to_owned());
        let mut all = BakeAttributes::default();
        for index in self.by_name.get(name).cloned().unwrap_or_default() {
            all.merge(self.instance_attributes(index, chain)?);
        }
        chain.pop();
        Ok(all)
    }

    fn instance_attributes(
        &mut self,
        index: usize,
        chain: &mut Vec<String>,
    ) -> Result<BakeAttributes, ()> {
        let BakeInstance { target, scope, .. } = &self.instances[index];
        let (target, scope) = (*target, scope.clone());
        let mut all = BakeAttributes::default();
        if let Some(inherits) = target.attributes.get("inherits") {
            for parent in texts_of(&self.evaluator.evaluate(inherits, &scope)) {
                let Some(parent) = parent.as_known() else { continue };
                // Diamonds of `inherits` multiply, so each step counts.
                if !self.evaluator.charge(1) {
                    return Ok(all);
                }
                all.merge(self.attributes(parent, chain)?);
            }
        }
        all.merge(self.own_attributes(target, &scope));
        Ok(all)
    }

    fn own_attributes(
        &mut self,
        target: &BakeTarget,
        scope: &Map<String, Value>,
    ) -> BakeAttributes {
        let mut own = BakeAttributes::default();
        for (key, expression) in &target.attributes {
            let mut value = |expression: &Expression| self.evaluator.evaluate(expression, scope);
            match key.as_str() {
                "context" => own.context = Some(text_of(&value(expression))),
                "dockerfile" => own.dockerfile = Some(text_of(&value(expression))),
                "dockerfile-inline" => own.is_inline = true,
                "target" => own.target = Some(text_of(&value(expression))),
                "args" => own.args = map_of(&value(expression)),
                "contexts" => own.contexts = map_of(&value(expression)),
                "tags" => own.tags = Some(texts_of(&value(expression))),
                "platforms" => own.platforms = Some(texts_of(&value(expression))),
                _ => {}
            }
        }
        own
    }

    fn add(&mut self, name: String, origin: BuildOrigin, attributes: &BakeAttributes) {
        if attributes.is_inline {
            return;
        }
        let context = attributes.context.clone().unwrap_or_else(|| ".".into());
        let context = context.as_marked().trim_start_matches("cwd://").into();
        let dockerfile = attributes.dockerfile.as_ref().map(PartialText::as_known);
        if dockerfile == Some(None) {
            return;
        }
        // Paths are relative to where bake is called: mostly where its file is, otherwise the root.
        let bases = [origin.file.parent(), RelPath::root()];
        let found = bases.into_iter().find_map(|base| {
            let ContextSource::Directory(context) = ContextSource::of(&context, &base) else {
                return None;
            };
            Some((self.reader.dockerfile(&context, dockerfile.flatten())?, context, base))
        });
        let Some((dockerfile, context, base)) = found else { return };
        let contexts = attributes.contexts.iter();
        let named = |(name, text): (&String, &PartialText)| {
            Some((name.clone(), named_context(text, &base)?))
        };
        self.reader.add(DescribedBuild {
            origin,
            name: Some(name).filter(|name| !name.contains(UNKNOWN)),
            dockerfile,
            context: Some(context),
            target: attributes.target.as_ref().and_then(PartialText::as_known).map(str::to_owned),
            args: super::known_values(&attributes.args),
            references: attributes.tags.clone().unwrap_or_default(),
            contexts: contexts.filter_map(named).collect(),
            platforms: super::known_texts(attributes.platforms.as_deref().unwrap_or_default()),
            is_example: false,
        });
    }
}

/// Returns a value as text.
fn text_of(value: &Value) -> PartialText {
    evaluate::to_text(value).map_or_else(PartialText::unknown, PartialText::from)
}

/// Returns the texts of a list, without empty ones, which bake ignores.
fn texts_of(value: &Value) -> Vec<PartialText> {
    match value {
        Value::Array(items) => {
            let kept = items.iter().filter(|item| !item.is_null()).map(text_of);
            kept.filter(|text| !text.as_marked().is_empty()).collect()
        }
        Value::Null => Vec::new(),
        other => vec![text_of(other)],
    }
}

fn map_of(value: &Value) -> BTreeMap<String, PartialText> {
    match value {
        Value::Object(entries) => {
            let set = entries
                .iter()
                .filter(|(key, value)| !value.is_null() && !is_unknown(&Value::from(key.as_str())));
            set.map(|(key, value)| (key.clone(), text_of(value))).collect()
        }
        _ => BTreeMap::new(),
    }
}
