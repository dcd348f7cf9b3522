//! Expressions of GitHub workflows: `${{ matrix.image || 'base' }}`.
//!
//! Owns those whose values are in the file: literals, `env`, `matrix`, and `inputs`. The others are unknown.

use std::collections::BTreeMap;

use super::super::partial::{PartialText, UNKNOWN};
use super::super::yaml::YamlNode;
use super::matrix::MatrixCombination;

/// The length of the longest value.
const MAX_LENGTH: usize = 1 << 16;

/// The known values by their path, as in `env.NAME`.
#[derive(Debug, Clone, Default)]
pub(super) struct ExpressionScope {
    values: BTreeMap<String, PartialText>,
    has_matrix: bool,
}

impl ExpressionScope {
    /// Sets a value.
    pub(super) fn set(&mut self, path: &str, value: PartialText) {
        let is_long = value.as_marked().len() > MAX_LENGTH;
        let value = if is_long { PartialText::unknown() } else { value };
        self.values.insert(path.to_owned(), value);
    }

    /// Sets the variables of a node's `env`.
    pub(super) fn add_env(&mut self, node: &YamlNode) {
        let outside = self.clone();
        for entry in node.get("env").map(YamlNode::entries).unwrap_or_default() {
            let value = entry.value.text().unwrap_or_default();
            self.set(&format!("env.{}", entry.key), interpolate(value, &outside));
        }
    }

    /// Returns the scope with a combination of a matrix.
    pub(super) fn with_matrix(&self, combination: MatrixCombination) -> ExpressionScope {
        let mut scope = self.clone();
        scope.has_matrix = !combination.is_open;
        for (axis, value) in combination.values {
            for (path, text) in value {
                scope.set(&format!("matrix.{axis}{path}"), text);
            }
        }
        scope
    }

    /// Returns the environment variables.
    pub(super) fn env(&self) -> BTreeMap<String, PartialText> {
        let variables = self.values.iter();
        let name = |path: &str| path.strip_prefix("env.").map(str::to_owned);
        variables.filter_map(|(path, value)| Some((name(path)?, value.clone()))).collect()
    }

    fn value(&self, path: &str) -> PartialText {
        match self.values.get(path) {
            Some(value) => value.clone(),
            None if self.has_matrix && path.starts_with("matrix.") => PartialText::default(),
            None => PartialText::unknown(),
        }
    }
}

/// Replaces the expressions of a text by their values.
pub(super) fn interpolate(text: &str, scope: &ExpressionScope) -> PartialText {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        out.push_str(before);
        let (inside, after) = after.split_once("}}").unwrap_or((after, ""));
        match out.len() {
            0..MAX_LENGTH => out.push_str(evaluate(inside, scope).as_marked()),
            _ => out.push(UNKNOWN),
        }
        rest = after;
    }
    out.push_str(rest);
    out.into()
}

/// Returns the value of an expression: of `||` and `&&`, the operand that decides.
fn evaluate(expression: &str, scope: &ExpressionScope) -> PartialText {
    let decisive = |operands: &mut dyn Iterator<Item = PartialText>, decides: bool| {
        let mut value = PartialText::default();
        for operand in operands {
            value = operand;
            if value.as_known().is_none_or(|text| is_true(text) == decides) {
                break;
            }
        }
        value
    };
    let conjunction = |operands: &str| {
        let mut values = operands.split("&&").map(|operand| comparison(operand, scope));
        decisive(&mut values, false)
    };
    decisive(&mut expression.split("||").map(conjunction), true)
}

fn is_true(value: &str) -> bool {
    !matches!(value, "" | "false" | "0")
}

/// Returns the value of an operand, or whether two operands are equal.
fn comparison(text: &str, scope: &ExpressionScope) -> PartialText {
    let (left, right, is_equal) = match (text.split_once("!="), text.split_once("==")) {
        (Some((left, right)), _) => (left, right, false),
        (None, Some((left, right))) => (left, right, true),
        (None, None) => return operand_value(text.trim(), scope),
    };
    let (left, right) = (operand_value(left.trim(), scope), operand_value(right.trim(), scope));
    match (left.as_known(), right.as_known()) {
        (Some(left), Some(right)) => {
            (left.eq_ignore_ascii_case(right) == is_equal).to_string().into()
        }
        _ => PartialText::unknown(),
    }
}

fn operand_value(operand: &str, scope: &ExpressionScope) -> PartialText {
    let literal = operand.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    if let Some(literal) = literal.filter(|literal| !literal.replace("''", "").contains('\'')) {
        return literal.replace("''", "'").into();
    }
    if operand.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return match operand.parse::<f64>() {
            Ok(_) => operand.into(),
            Err(_) => scope.value(operand),
        };
    }
    PartialText::unknown()
}

/// Returns the text in `fromJSON('…')`, if that is all that a text contains.
pub(super) fn literal_json(text: &str) -> Option<String> {
    let inside = text.trim().strip_prefix("${{")?.strip_suffix("}}")?.trim();
    let call = inside.get(..9).filter(|call| call.eq_ignore_ascii_case("fromjson("))?;
    let argument = inside[call.len()..].strip_suffix(')')?.trim();
    let literal = argument.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(literal.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut scope = ExpressionScope::default();
        scope.set("env.A", "a".into());
        scope.set("inputs.none", "".into());
        assert_eq!(interpolate(text, &scope).to_string(), expected);
    }

    #[test]
    fn expressions_are_evaluated() {
        check("x-${{ env.A }}-${{env.B}}", "x-a-…");
        check("${{ 'it''s' }}${{ 1.5 }}", "it's1.5");
        check("${{ inputs.none || env.A }} ${{ env.A || 'b' }} ${{ env.B || 'b' }}", "a a …");
        check(
            "${{ env.A == 'A' && 'yes' || 'no' }} ${{ env.A != 'a' && 'yes' || 'no' }}",
            "yes no",
        );
        check("${{ github.ref == 'x' && 'yes' || 'no' }} ${{ format('{0}', env.A) }}", "… …");
        check("${{ env.A", "a");
    }
}
