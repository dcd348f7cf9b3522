//! The variables that hold in a stage.
//!
//! Owns lookup and inheritance. It does not know where a value comes from.
//!
//! A scope is a search tree whose nodes are shared with the scopes that it came from, so that ten
//! thousand stages that each add a variable to those of the stage below cost neither the square
//! of their number in copies nor in steps of a lookup. It is a treap: each node's priority is the
//! hash of its name, which keeps the tree shallow in whatever order names come.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A set of variables; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    root: Tree,
    /// What the stage's own `ARG`s set.
    arguments: Vec<Arc<str>>,
    /// Whether an image below may set more variables than are known.
    open: bool,
}

type Tree = Option<Arc<Node>>;

#[derive(Debug, Clone)]
struct Node {
    name: Arc<str>,
    held: Held,
    priority: u64,
    /// The names before this one, and those after it.
    sides: [Tree; 2],
}

/// What is known of one variable.
#[derive(Debug, Clone)]
struct Held {
    value: Value,
    /// What the image itself would carry on: the value of the last `ENV`, where there was one.
    environment: Option<Value>,
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
        Scope { root: None, arguments: Vec::new(), open: on_image }
    }

    /// The variables of a stage that starts from the stage with this scope.
    ///
    /// It has the arguments too, but the environment that the image carries is set once more
    /// after them: an `ENV`, also one of the image below, wins over an `ARG` of the stage that
    /// is started from.
    pub(super) fn inherited(&self) -> Scope {
        let mut scope = Scope { arguments: Vec::new(), ..self.clone() };
        for name in &self.arguments {
            let Some(mut held) = scope.held(name).cloned() else { continue };
            match &held.environment {
                Some(environment) => held.value = environment.clone(),
                None if scope.open => held.value.certain = false,
                None => continue,
            }
            scope.insert(name, held);
        }
        scope
    }

    /// The value of a variable.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.held(name).map(|held| &held.value)
    }

    fn held(&self, name: &str) -> Option<&Held> {
        let mut tree = &self.root;
        while let Some(node) = tree {
            tree = match name.cmp(&node.name) {
                Ordering::Less => &node.sides[0],
                Ordering::Equal => return Some(&node.held),
                Ordering::Greater => &node.sides[1],
            };
        }
        None
    }

    /// Whether a variable that is not set here may be set by an image.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Sets a variable of the environment, as `ENV` does.
    pub(super) fn set_environment(&mut self, name: &str, text: &str, certain: bool) {
        let value = Value { text: text.into(), certain };
        self.insert(name, Held { environment: Some(value.clone()), value });
    }

    /// Sets an argument, as `ARG` does. The image does not carry it.
    pub(super) fn set_argument(&mut self, name: &str, text: &str, certain: bool) {
        let value = Value { text: text.into(), certain };
        let environment = self.held(name).and_then(|held| held.environment.clone());
        self.insert(name, Held { value, environment });
        self.arguments.push(name.into());
    }

    fn insert(&mut self, name: &str, held: Held) {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        insert(&mut self.root, name, held, hasher.finish());
    }

    /// All variables with their texts, sorted by name.
    pub fn all(&self) -> BTreeMap<&str, &str> {
        let mut all = BTreeMap::new();
        let mut waiting: Vec<&Node> = self.root.as_deref().into_iter().collect();
        while let Some(node) = waiting.pop() {
            all.insert(&*node.name, &*node.held.value.text);
            waiting.extend(node.sides.iter().filter_map(Option::as_deref));
        }
        all
    }
}

/// Sets a value. Nodes that another scope has too are copied on the way.
fn insert(tree: &mut Tree, name: &str, held: Held, priority: u64) {
    let Some(node) = tree else {
        let sides = [None, None];
        *tree = Some(Arc::new(Node { name: name.into(), held, priority, sides }));
        return;
    };
    let node = Arc::make_mut(node);
    let side = match name.cmp(&node.name) {
        Ordering::Less => 0,
        Ordering::Equal => {
            node.held = held;
            return;
        }
        Ordering::Greater => 1,
    };
    insert(&mut node.sides[side], name, held, priority);
    // A child of higher priority takes its parent's place.
    let own = node.priority;
    if let Some(mut child) = node.sides[side].take_if(|child| child.priority > own) {
        node.sides[side] = Arc::make_mut(&mut child).sides[1 - side].take();
        let parent = std::mem::replace(node, Node::clone(&child));
        node.sides[1 - side] = Some(Arc::new(parent));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_keeps_what_it_had_when_another_grows_from_it() {
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
    fn what_an_image_carries_wins_over_the_arguments_below() {
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
    fn the_tree_is_shallow_whatever_the_order() {
        let mut scope = Scope::new(true);
        for n in 0..5_000 {
            scope.set_environment(&format!("V{n:05}"), "x", true);
        }
        let mut deepest = 0;
        let mut waiting: Vec<(&Node, usize)> = scope.root.iter().map(|node| (&**node, 1)).collect();
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
