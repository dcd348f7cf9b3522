//! Labels: `labels = { "org.example.team" = "web" }`, or `labels.org.example.team = "web"`.
//!
//! Owns both forms. A dotted key is a table in a table in TOML, but one name in a label.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::ArgumentValue;

/// The value of a label with its position in the file.
pub type LabelSetting = toml::Spanned<ArgumentValue>;

/// Labels by name.
#[derive(Debug, Clone, Default)]
pub struct Labels(BTreeMap<String, LabelSetting>);

impl Labels {
    /// Returns the labels by their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LabelSetting)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        let nodes = BTreeMap::<String, toml::Spanned<Node>>::deserialize(deserializer)?;
        let mut labels = BTreeMap::new();
        let mut waiting: Vec<(String, toml::Spanned<Node>)> = nodes.into_iter().collect();
        while let Some((name, node)) = waiting.pop() {
            let span = node.span();
            match node.into_inner() {
                Node::Value(value) => {
                    let double = format!("the label `{name}` is set twice");
                    if labels.insert(name, toml::Spanned::new(span, value)).is_some() {
                        return Err(D::Error::custom(double));
                    }
                }
                Node::Table(below) => {
                    let below = below.into_iter();
                    waiting.extend(below.map(|(part, node)| (format!("{name}.{part}"), node)));
                }
            }
        }
        Ok(Labels(labels))
    }
}

/// A value, or what is below the first parts of dotted names.
enum Node {
    Value(ArgumentValue),
    Table(Vec<(String, toml::Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, or a boolean")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Value(ArgumentValue::Text(text.to_owned())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Value(ArgumentValue::Integer(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Value(ArgumentValue::Float(number)))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Value(ArgumentValue::Boolean(truth)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut below = Vec::new();
        while let Some(entry) = map.next_entry()? {
            below.push(entry);
        }
        Ok(Node::Table(below))
    }
}
