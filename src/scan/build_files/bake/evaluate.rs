//! The values of HCL expressions, as far as they are known.
//!
//! Owns the evaluation with a limit on its steps. The evaluator of `hcl-rs` has no unknown values, no functions that
//! a file defines, and evaluates all arguments of `try` first. An expression with an error is unknown.

use hcl::expr::{BinaryOperator, Conditional, Expression, ForExpr, FuncCall, Operation};
use hcl::expr::{ObjectKey, TemplateExpr, Traversal, TraversalOperator, UnaryOperator};
use hcl::template::{Directive, Element, Template};
use hcl::{Map, Value};

use super::super::partial::UNKNOWN;
use super::definition::BakeDefinition;
use super::functions;

/// How deeply evaluations are nested at most.
const MAX_DEPTH: usize = 120;

/// The number of steps per set of files: evaluated expressions, and bytes and items of values.
const MAX_STEPS: usize = 2_000_000;

/// A set of variables that hides those of the file.
pub(super) type Scope = Map<String, Value>;

/// Returns the value of which nothing is known.
pub(super) fn unknown() -> Value {
    Value::from(UNKNOWN.to_string())
}

/// Returns whether any part of a value is unknown.
pub(super) fn is_unknown(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(UNKNOWN),
        Value::Array(items) => items.iter().any(is_unknown),
        Value::Object(entries) => {
            entries.iter().any(|(key, value)| key.contains(UNKNOWN) || is_unknown(value))
        }
        _ => false,
    }
}

/// Returns the text of a value that converts to one.
pub(super) fn to_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len(),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(entries) => {
            1 + entries.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>()
        }
        _ => 1,
    }
}

/// Evaluates the expressions of a set of files.
pub(super) struct Evaluator<'a> {
    definition: &'a BakeDefinition,
    variables: Map<String, Value>,
    /// The variables that are being evaluated.
    open: Vec<String>,
    depth: usize,
    steps: usize,
}

impl<'a> Evaluator<'a> {
    /// Returns an evaluator with the variables and functions of the files.
    pub(super) fn new(definition: &'a BakeDefinition) -> Evaluator<'a> {
        Evaluator {
            definition,
            variables: Map::new(),
            open: Vec::new(),
            depth: 0,
            steps: MAX_STEPS,
        }
    }

    /// Counts steps. Returns whether there were enough left.
    pub(super) fn charge(&mut self, steps: usize) -> bool {
        self.steps = self.steps.saturating_sub(steps);
        self.steps > 0
    }

    /// Returns whether the steps were used up.
    pub(super) fn is_exhausted(&self) -> bool {
        self.steps == 0
    }

    /// Returns the value of an expression.
    pub(super) fn evaluate(&mut self, expression: &Expression, scope: &Scope) -> Value {
        if self.depth >= MAX_DEPTH || !self.charge(1) {
            return unknown();
        }
        self.depth += 1;
        let value = self.value(expression, scope).unwrap_or_else(unknown);
        self.depth -= 1;
        if self.charge(size(&value)) { value } else { unknown() }
    }

    fn value(&mut self, expression: &Expression, scope: &Scope) -> Option<Value> {
        Some(match expression {
            Expression::Null => Value::Null,
            Expression::Bool(value) => Value::Bool(*value),
            Expression::Number(number) => Value::Number(*number),
            Expression::String(text) => Value::String(text.clone()),
            Expression::Array(items) => {
                items.iter().map(|item| self.evaluate(item, scope)).collect()
            }
            Expression::Object(entries) => {
                let mut values = Map::new();
                for (key, value) in entries {
                    let key = match key {
                        ObjectKey::Identifier(name) => name.to_string(),
                        ObjectKey::Expression(key) => to_text(&self.evaluate(key, scope))?,
                        _ => return None,
                    };
                    values.insert(key, self.evaluate(value, scope));
                }
                Value::Object(values)
            }
            Expression::TemplateExpr(template) => self.template(template, scope)?,
            Expression::Variable(name) => self.variable(name.as_str(), scope)?,
            Expression::Traversal(traversal) => self.traversal(traversal, scope)?,
            Expression::FuncCall(call) => self.call(call, scope)?,
            Expression::Parenthesis(inside) => self.evaluate(inside, scope),
            Expression::Conditional(conditional) => self.conditional(conditional, scope)?,
            Expression::Operation(operation) => self.operation(operation, scope)?,
            Expression::ForExpr(for_expr) => self.for_each(for_expr, scope)?,
            _ => return None,
        })
    }

    fn template(&mut self, template: &TemplateExpr, scope: &Scope) -> Option<Value> {
        let template = Template::from_expr(template).ok()?;
        // A template with nothing but an expression has the value of the expression, whatever its type.
        if let [Element::Interpolation(only)] = template.elements() {
            return Some(self.evaluate(&only.expr, scope));
        }
        Some(Value::String(self.template_text(&template, scope)))
    }

    fn template_text(&mut self, template: &Template, scope: &Scope) -> String {
        let mut text = String::new();
        for element in template.elements() {
            match element {
                Element::Literal(literal) => text.push_str(literal),
                Element::Interpolation(inside) => {
                    let value = self.evaluate(&inside.expr, scope);
                    text.push_str(&to_text(&value).unwrap_or_else(|| UNKNOWN.to_string()));
                }
                Element::Directive(directive) => match &**directive {
                    Directive::If(directive) => match self.evaluate(&directive.cond_expr, scope) {
                        Value::Bool(true) => {
                            text += &self.template_text(&directive.true_template, scope);
                        }
                        Value::Bool(false) => {
                            let other = directive.false_template.as_ref();
                            text.extend(other.map(|other| self.template_text(other, scope)));
                        }
                        _ => text.push(UNKNOWN),
                    },
                    Directive::For(_) => text.push(UNKNOWN),
                },
            }
        }
        text
    }

    fn variable(&mut self, name: &str, scope: &Scope) -> Option<Value> {
        if let Some(value) = scope.get(name).or_else(|| self.variables.get(name)) {
            return Some(value.clone());
        }
        let default = self.definition.variables.get(name)?;
        if self.open.iter().any(|open| open == name) {
            return None;
        }
        self.open.push(name.to_owned());
        let value = self.evaluate(default, &Scope::new());
        self.open.pop();
        if self.depth < MAX_DEPTH / 2 {
            self.variables.insert(name.to_owned(), value.clone());
        }
        Some(value)
    }

    fn traversal(&mut self, traversal: &Traversal, scope: &Scope) -> Option<Value> {
        let mut value = self.evaluate(&traversal.expr, scope);
        for operator in &traversal.operators {
            let index = match operator {
                TraversalOperator::GetAttr(name) => Value::from(name.as_str()),
                TraversalOperator::Index(index) => self.evaluate(index, scope),
                TraversalOperator::LegacyIndex(index) => Value::from(*index),
                _ => return None,
            };
            value = functions::element_at(value, &index)?;
        }
        Some(value)
    }

    fn call(&mut self, call: &FuncCall, scope: &Scope) -> Option<Value> {
        if !call.name.namespace.is_empty() {
            return None;
        }
        let name = call.name.name.as_str();
        if name == "try" {
            let mut values = call.args.iter().map(|arg| self.evaluate(arg, scope));
            return values.find(|value| !is_unknown(value));
        }
        let mut args: Vec<Value> = call.args.iter().map(|arg| self.evaluate(arg, scope)).collect();
        if call.expand_final {
            match args.pop()? {
                Value::Array(last) => args.extend(last),
                _ => return None,
            }
        }
        let Some(function) = self.definition.functions.get(name) else {
            return functions::call(name, args);
        };
        let rest = args.split_off(function.params.len().min(args.len()));
        if args.len() < function.params.len() {
            return None;
        }
        let mut inside: Scope = function.params.iter().cloned().zip(args).collect();
        if let Some(variadic) = &function.variadic {
            inside.insert(variadic.clone(), Value::Array(rest));
        }
        Some(self.evaluate(&function.result, &inside))
    }

    fn conditional(&mut self, conditional: &Conditional, scope: &Scope) -> Option<Value> {
        match functions::to_bool(&self.evaluate(&conditional.cond_expr, scope))? {
            true => Some(self.evaluate(&conditional.true_expr, scope)),
            false => Some(self.evaluate(&conditional.false_expr, scope)),
        }
    }

    fn operation(&mut self, operation: &Operation, scope: &Scope) -> Option<Value> {
        let operation = match operation {
            Operation::Unary(unary) => {
                let value = self.evaluate(&unary.expr, scope);
                return match unary.operator {
                    UnaryOperator::Not => Some(Value::Bool(!functions::to_bool(&value)?)),
                    UnaryOperator::Neg => Some(Value::Number(-*value.as_number()?)),
                };
            }
            Operation::Binary(binary) => binary,
        };
        let left = self.evaluate(&operation.lhs_expr, scope);
        let right = self.evaluate(&operation.rhs_expr, scope);
        let both = || Some((functions::to_bool(&left)?, functions::to_bool(&right)?));
        let numbers = || Some((left.as_f64()?, right.as_f64()?));
        let integers = || Some((left.as_i64()?, right.as_i64()?));
        let compared = || functions::equal(&left, &right);
        Some(match operation.operator {
            BinaryOperator::Eq => Value::Bool(compared()?),
            BinaryOperator::NotEq => Value::Bool(!compared()?),
            BinaryOperator::And => both().map(|(left, right)| Value::Bool(left && right))?,
            BinaryOperator::Or => both().map(|(left, right)| Value::Bool(left || right))?,
            BinaryOperator::Less => numbers().map(|(left, right)| Value::Bool(left < right))?,
            BinaryOperator::LessEq => numbers().map(|(left, right)| Value::Bool(left <= right))?,
            BinaryOperator::Greater => numbers().map(|(left, right)| Value::Bool(left > right))?,
            BinaryOperator::GreaterEq => {
                numbers().map(|(left, right)| Value::Bool(left >= right))?
            }
            BinaryOperator::Plus => {
                integers().and_then(|(a, b)| a.checked_add(b)).map(Value::from)?
            }
            BinaryOperator::Minus => {
                integers().and_then(|(a, b)| a.checked_sub(b)).map(Value::from)?
            }
            BinaryOperator::Mul => {
                integers().and_then(|(a, b)| a.checked_mul(b)).map(Value::from)?
            }
            _ => return None,
        })
    }

    fn for_each(&mut self, for_expr: &ForExpr, scope: &Scope) -> Option<Value> {
        let collection: Vec<(Value, Value)> = match self.evaluate(&for_expr.collection_expr, scope)
        {
            Value::Array(items) => {
                items.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect()
            }
            Value::Object(entries) => {
                entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect()
            }
            _ => return None,
        };
        let (mut list, mut object) = (Vec::new(), Map::new());
        for (key, value) in collection {
            let mut inside = scope.clone();
            if let Some(name) = &for_expr.key_var {
                inside.insert(name.to_string(), key);
            }
            inside.insert(for_expr.value_var.to_string(), value);
            if let Some(condition) = &for_expr.cond_expr
                && !functions::to_bool(&self.evaluate(condition, &inside))?
            {
                continue;
            }
            let value = self.evaluate(&for_expr.value_expr, &inside);
            match &for_expr.key_expr {
                Some(key) => {
                    let key = to_text(&self.evaluate(key, &inside))?;
                    object.insert(key, value);
                }
                None => list.push(value),
            }
        }
        let is_object = for_expr.key_expr.is_some() && !for_expr.grouping;
        Some(if is_object { Value::Object(object) } else { Value::Array(list) })
    }
}
