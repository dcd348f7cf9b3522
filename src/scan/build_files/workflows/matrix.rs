//! The combinations of a job's matrix.
//!
//! Owns axes, `include`, and `exclude` (GitHub, "Running variations of jobs in a workflow"). An axis that is computed
//! has one value, which is unknown.

use std::collections::BTreeMap;

use super::super::MAX_COMBINATIONS;
use super::super::partial::PartialText;
use super::super::yaml::{self, YamlNode};
use super::expression::{ExpressionScope, interpolate, literal_json};

/// How deeply the value of an axis is nested at most.
const MAX_DEPTH: usize = 4;

/// How many texts a value contains at most.
const MAX_TEXTS: usize = 100;

/// The texts of a value by their path below it, as in `.name`. The path of a scalar is empty.
type MatrixValue = BTreeMap<String, PartialText>;

/// One combination: the value of each axis.
#[derive(Debug, Clone, Default)]
pub(super) struct MatrixCombination {
    /// The values by axis.
    pub(super) values: BTreeMap<String, MatrixValue>,
    /// Whether there can be axes that are not known.
    pub(super) is_open: bool,
}

/// Returns the combinations of a matrix, or `None` if there are too many.
pub(super) fn combinations(
    matrix: &YamlNode,
    scope: &ExpressionScope,
) -> Option<Vec<MatrixCombination>> {
    let parsed = literal(matrix);
    let matrix = parsed.as_ref().unwrap_or(matrix);
    if matrix.text().is_some() {
        return Some(vec![MatrixCombination { is_open: true, ..Default::default() }]);
    }
    let mut all = vec![MatrixCombination::default()];
    let axes = matrix.entries().iter();
    let axes = axes.filter(|axis| !["include", "exclude"].contains(&axis.key.as_str()));
    let mut has_axes = false;
    for axis in axes {
        has_axes = true;
        let values = values(&axis.value, scope);
        if all.len().saturating_mul(values.len()) > MAX_COMBINATIONS {
            return None;
        }
        let with = |combination: &MatrixCombination, value: &MatrixValue| {
            let mut combination = combination.clone();
            combination.values.insert(axis.key.clone(), value.clone());
            combination
        };
        all = all
            .iter()
            .flat_map(|combination| values.iter().map(move |value| with(combination, value)))
            .collect();
    }
    let entries = |key: &str| matrix.get(key).map(|node| objects(node, scope)).unwrap_or_default();
    let excluded = entries("exclude");
    let included = entries("include");
    if excluded.len().max(included.len()).saturating_mul(all.len()) > 100 * MAX_COMBINATIONS {
        return None;
    }
    all.retain(|it| !excluded.iter().any(|excluded| contains(&it.values, excluded)));
    if !has_axes {
        all.clear();
    }
    include(&mut all, included);
    let is_computed =
        matrix.get("include").is_some_and(|it| it.text().is_some() && literal(it).is_none());
    if is_computed {
        all.push(MatrixCombination { is_open: true, ..Default::default() });
    }
    Some(all)
}

/// Adds the entries of `include`: to each combination whose axes they do not change, otherwise as a new one.
fn include(all: &mut Vec<MatrixCombination>, included: Vec<BTreeMap<String, MatrixValue>>) {
    let axes: Vec<BTreeMap<String, MatrixValue>> = all.iter().map(|it| it.values.clone()).collect();
    for entry in included {
        let mut is_added = false;
        for (combination, axes) in all.iter_mut().zip(&axes) {
            let agrees = |(key, value): (&String, &MatrixValue)| {
                axes.get(key).is_none_or(|own| own == value)
            };
            if entry.iter().all(agrees) {
                combination.values.extend(entry.clone());
                is_added = true;
            }
        }
        if !is_added {
            all.push(MatrixCombination { values: entry, is_open: false });
        }
    }
}

fn contains(
    values: &BTreeMap<String, MatrixValue>,
    excluded: &BTreeMap<String, MatrixValue>,
) -> bool {
    !excluded.is_empty() && excluded.iter().all(|(key, value)| values.get(key) == Some(value))
}

/// Returns what a literal in `fromJSON` contains. JSON is YAML.
fn literal(node: &YamlNode) -> Option<YamlNode> {
    yaml::parse(&literal_json(node.text()?)?).ok()
}

fn values(axis: &YamlNode, scope: &ExpressionScope) -> Vec<MatrixValue> {
    let parsed = literal(axis);
    let axis = parsed.as_ref().unwrap_or(axis);
    match axis.text() {
        Some(_) => vec![MatrixValue::from([(String::new(), PartialText::unknown())])],
        None => axis.items().iter().map(|item| value(item, scope)).collect(),
    }
}

fn objects(node: &YamlNode, scope: &ExpressionScope) -> Vec<BTreeMap<String, MatrixValue>> {
    let parsed = literal(node);
    let node = parsed.as_ref().unwrap_or(node);
    let object = |item: &YamlNode| {
        let entries = item.entries().iter().take(MAX_TEXTS);
        entries.map(|entry| (entry.key.clone(), value(&entry.value, scope))).collect()
    };
    node.items().iter().map(object).collect()
}

fn value(node: &YamlNode, scope: &ExpressionScope) -> MatrixValue {
    let mut texts = MatrixValue::new();
    add_texts(&mut texts, String::new(), node, scope, 0);
    texts
}

fn add_texts(
    texts: &mut MatrixValue,
    path: String,
    node: &YamlNode,
    scope: &ExpressionScope,
    depth: usize,
) {
    if depth > MAX_DEPTH || texts.len() > MAX_TEXTS {
        return;
    }
    for entry in node.entries() {
        add_texts(texts, format!("{path}.{}", entry.key), &entry.value, scope, depth + 1);
    }
    if let Some(text) = node.text() {
        texts.insert(path, interpolate(text, scope));
    }
}
