//! The variables of a stage.
//!
//! Owns lookup and inheritance. Callers determine the values.
//!
//! A scope is a search tree that shares nodes with the scopes that it was derived from. Ten
//! thousand stages that each add a variable to those of their base therefore need neither quadratic
//! memory nor long lookups. The tree is a treap: the priority of each node is the hash of its name,
//! which keeps the tree shallow for any order of names.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A set of variables that is cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    root: Tree,
    /// The names that the stage's own `ARG`s set.
    arguments: Vec<Arc<str>>,
    /// Whether a base image may set variables that are not known.
    open: bool,
}

type Tree = Option<Arc<ScopeNode>>;

#[derive(Debug, Clone)]
struct ScopeNode {
    name: Arc<str>,
    values: VariableValues,
    priority: u64,
    /// The subtrees with the names before and after this one.
    sides: [Tree; 2],
}

/// The known values of one variable.
#[derive(Debug, Clone)]
struct VariableValues {
    value: VariableValue,
    /// The value that the image stores: that of the last `ENV`, if any.
    environment: Option<VariableValue>,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableValue {
    /// The text of the value.
    pub text: Arc<str>,
    /// Whether the value is certain. It is not if it was derived from a variable that the
    /// environment of an image may set.
    pub certain: bool,
}

impl Scope {
    /// Returns the variables of a stage that starts from an image with an unknown environment, or
    /// from scratch.
    pub(super) fn new(on_image: bool) -> Scope {
        Scope { root: None, arguments: Vec::new(), open: on_image }
    }

    /// Returns the variables of a stage that starts from the stage with this scope.
    ///
    /// The new scope has the arguments too, but the environment of the image is applied again after
    /// them. An `ENV`, including one of the base image, therefore takes precedence over an `ARG` of
    /// the base stage.
    pub(super) fn inherited(&self) -> Scope {
        let mut scope = Scope { arguments: Vec::new(), ..self.clone() };
        for name in &self.arguments {
            let Some(mut values) = scope.find(name).cloned() else { continue };
            match &values.environment {
                Some(environment) => values.value = environment.clone(),
                None if scope.open => values.value.certain = false,
                None => continue,
            }
            scope.insert(name, values);
        }
        scope
    }

    /// Returns the value of a variable.
    pub fn value(&self, name: &str) -> Option<&VariableValue> {
        self.find(name).map(|values| &values.value)
    }

    fn find(&self, name: &str) -> Option<&VariableValues> {
        let mut tree = &self.root;
        while let Some(node) = tree {
            tree = match name.cmp(&node.name) {
                Ordering::Less => &node.sides[0],
                Ordering::Equal => return Some(&node.values),
                Ordering::Greater => &node.sides[1],
            };
        }
        None
    }

    /// Returns whether an image may set a variable that is not set here.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Sets a variable of the environment, like `ENV`.
    pub(super) fn set_environment(&mut self, name: &str, text: &str, certain: bool) {
        let value = VariableValue { text: text.into(), certain };
        self.insert(name, VariableValues { environment: Some(value.clone()), value });
    }

    /// Sets an argument, like `ARG`. The image does not store it.
    pub(super) fn set_argument(&mut self, name: &str, text: &str, certain: bool) {
        let value = VariableValue { text: text.into(), certain };
        let environment = self.find(name).and_then(|values| values.environment.clone());
        self.insert(name, VariableValues { value, environment });
        self.arguments.push(name.into());
    }

    fn insert(&mut self, name: &str, values: VariableValues) {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        insert(&mut self.root, name, values, hasher.finish());
    }

    /// Returns the texts of all variables, sorted by name.
    pub fn all(&self) -> BTreeMap<&str, &str> {
        let mut all = BTreeMap::new();
        let mut waiting: Vec<&ScopeNode> = self.root.as_deref().into_iter().collect();
        while let Some(node) = waiting.pop() {
            all.insert(&*node.name, &*node.values.value.text);
            waiting.extend(node.sides.iter().filter_map(Option::as_deref));
        }
        all
    }
}

/// Sets a value. Copies the nodes on the path that other scopes share.
fn insert(tree: &mut Tree, name: &str, values: VariableValues, priority: u64) {
    let Some(node) = tree else {
        let sides = [None, None];
        *tree = Some(Arc::new(ScopeNode { name: name.into(), values, priority, sides }));
        return;
    };
    let node = Arc::make_mut(node);
    let side = match name.cmp(&node.name) {
        Ordering::Less => 0,
        Ordering::Equal => {
            node.values = values;
            return;
        }
        Ordering::Greater => 1,
    };
    insert(&mut node.sides[side], name, values, priority);
    // Rotate a child with a higher priority above its parent.
    let own = node.priority;
    if let Some(mut child) = node.sides[side].take_if(|child| child.priority > own) {
        node.sides[side] = Arc::make_mut(&mut child).sides[1 - side].take();
        let parent = std::mem::replace(node, ScopeNode::clone(&child));
        node.sides[1 - side] = Some(Arc::new(parent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_to_a_cloned_scope_do_not_affect_the_original() {
        let mut scopes = vec![Scope::new(false)];
        for n in 0..200 {
            let mut scope = scopes[n].clone();
            scope.set_environment(&format!("V{n}"), "x", true);
            scope.set_argument("LAST", &n.to_string(), n % 2 == 0);
            scopes.push(scope);
        }
        for (n, scope) in scopes.iter().enumerate().skip(1) {
            assert_eq!(scope.all().len(), n + 1);
            let last = scope.value("LAST").unwrap();
            assert_eq!((&*last.text, last.certain), ((n - 1).to_string().as_str(), n % 2 == 1));
            for name in 0..200 {
                assert_eq!(scope.value(&format!("V{name}")).is_some(), name < n, "{name} in {n}");
            }
        }
    }

    #[test]
    fn inherited_environment_variables_override_inherited_arguments() {
        let value = |scope: &Scope, name: &str| {
            scope.value(name).map(|value| (value.text.to_string(), value.certain))
        };
        let some = |text: &str, certain| Some((text.to_owned(), certain));
        for open in [false, true] {
            let mut scope = Scope::new(open);
            scope.set_environment("ENV", "image", true);
            scope.set_argument("ENV", "argument", true);
            scope.set_argument("ARG", "argument", true);
            assert_eq!(value(&scope, "ENV"), some("argument", true));
            let child = scope.inherited();
            assert_eq!(value(&child, "ENV"), some("image", true));
            assert_eq!(value(&child, "ARG"), some("argument", !open));
            assert_eq!(value(&scope, "ENV"), some("argument", true));
        }
    }

    #[test]
    fn the_tree_is_shallow_for_sorted_insertions() {
        let mut scope = Scope::new(true);
        for n in 0..5_000 {
            scope.set_environment(&format!("V{n:05}"), "x", true);
        }
        let mut deepest = 0;
        let mut waiting: Vec<(&ScopeNode, usize)> =
            scope.root.iter().map(|node| (&**node, 1)).collect();
        while let Some((node, depth)) = waiting.pop() {
            deepest = deepest.max(depth);
            for child in node.sides.iter().flatten() {
                assert!(child.priority <= node.priority);
                waiting.push((child, depth + 1));
            }
        }
        assert!(deepest < 60, "{deepest}");
    }
}
