//! The variables that hold in a stage.
//!
//! Owns lookup and inheritance. It does not know where a value comes from.

use std::collections::BTreeMap;
use std::sync::Arc;

/// How many scopes may stand on each other before they are made one. A chain of stages that each
/// set a variable would otherwise cost its length for every lookup, or its square in copies.
const DEPTH: usize = 32;

/// A set of variables on top of those of the stage below; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    own: Arc<BTreeMap<Arc<str>, Value>>,
    below: Option<Arc<Scope>>,
    depth: usize,
    /// Whether an image below may set more variables than are known.
    open: bool,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The text.
    pub text: Arc<str>,
    /// Whether it is certain. It is not where it was made of a variable that the environment of
    /// an image may set.
    pub certain: bool,
}

impl Scope {
    /// The variables of a stage that starts from an image, whose own environment is not known,
    /// or from nothing.
    pub(super) fn new(on_image: bool) -> Scope {
        Scope { open: on_image, ..Scope::default() }
    }

    /// The variables of a stage that starts from the stage with this scope.
    pub(super) fn inherit(&self) -> Scope {
        if self.own.is_empty() {
            return self.clone();
        }
        if self.depth < DEPTH {
            let below = Some(Arc::new(self.clone()));
            return Scope { own: Arc::default(), below, depth: self.depth + 1, open: self.open };
        }
        let own = self.flatten().into_iter().collect();
        Scope { own: Arc::new(own), below: None, depth: 0, open: self.open }
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&Value> {
        let mut scope = self;
        loop {
            if let Some(value) = scope.own.get(name) {
                return Some(value);
            }
            scope = scope.below.as_deref()?;
        }
    }

    /// Whether a variable that is not set here may be set by an image.
    pub fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn set(&mut self, name: &str, text: &str, certain: bool) {
        Arc::make_mut(&mut self.own).insert(name.into(), Value { text: text.into(), certain });
    }

    /// All variables with their texts, sorted by name.
    pub fn all(&self) -> BTreeMap<String, String> {
        let all = self.flatten().into_iter();
        all.map(|(name, value)| (name.to_string(), value.text.to_string())).collect()
    }

    fn flatten(&self) -> BTreeMap<Arc<str>, Value> {
        let mut layers = vec![self];
        while let Some(below) = layers[layers.len() - 1].below.as_deref() {
            layers.push(below);
        }
        let mut all = BTreeMap::new();
        for layer in layers.into_iter().rev() {
            all.extend(layer.own.iter().map(|(name, value)| (Arc::clone(name), value.clone())));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_chains_keep_every_variable() {
        let mut scope = Scope::new(false);
        for n in 0..100 {
            scope.set(&format!("V{n}"), "x", true);
            scope.set("LAST", &n.to_string(), true);
            scope = scope.inherit();
        }
        assert_eq!(scope.all().len(), 101);
        assert_eq!(scope.value("V0").map(|value| &*value.text), Some("x"));
        assert_eq!(scope.value("LAST").map(|value| &*value.text), Some("99"));
        assert_eq!(scope.value("V100"), None);
    }
}
