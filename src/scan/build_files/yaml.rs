//! YAML with lines: aliases and merge keys are resolved, and the work is bounded.
//!
//! Owns the tree that readers of YAML files walk. An alias shares its node, so that nested aliases do not multiply.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{ScanError, TScalarStyle};

/// How deeply nodes are nested at most.
const MAX_DEPTH: usize = 100;

/// The number of entries that merge keys add at most.
const MAX_MERGED: usize = 100_000;

/// A node with the line of its start.
#[derive(Debug, Clone)]
pub(super) struct YamlNode {
    /// The line, from 1. For a block scalar, the first line of its text.
    pub(super) line: u32,
    value: Rc<YamlValue>,
}

#[derive(Debug)]
enum YamlValue {
    Null,
    Text(String),
    Sequence(Vec<YamlNode>),
    Mapping(Vec<YamlEntry>),
}

/// An entry of a mapping.
#[derive(Debug, Clone)]
pub(super) struct YamlEntry {
    /// The key. A key that is not a scalar is empty.
    pub(super) key: String,
    /// The line of the key.
    pub(super) line: u32,
    /// The value.
    pub(super) value: YamlNode,
}

/// Why a text is not read, and the line.
#[derive(Debug)]
pub(super) struct YamlProblem {
    /// The line, from 1.
    pub(super) line: u32,
    /// What is wrong.
    pub(super) message: String,
}

impl YamlNode {
    fn new(line: u32, value: YamlValue) -> YamlNode {
        YamlNode { line, value: Rc::new(value) }
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&YamlNode> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Returns the value of a key that is a scalar.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// Returns the text of a scalar other than null.
    pub(super) fn text(&self) -> Option<&str> {
        match &*self.value {
            YamlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a sequence.
    pub(super) fn items(&self) -> &[YamlNode] {
        match &*self.value {
            YamlValue::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Returns the entries of a mapping, in order.
    pub(super) fn entries(&self) -> &[YamlEntry] {
        match &*self.value {
            YamlValue::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the texts of a scalar or of a sequence of scalars.
    pub(super) fn texts(&self) -> Vec<&str> {
        match &*self.value {
            YamlValue::Sequence(items) => items.iter().filter_map(YamlNode::text).collect(),
            _ => self.text().into_iter().collect(),
        }
    }
}

/// Parses the first document of a text.
pub(super) fn parse(text: &str) -> Result<YamlNode, YamlProblem> {
    let mut parser = Parser::new_from_str(text);
    let mut tree = TreeBuilder::default();
    loop {
        let (event, marker) = parser.next_token().map_err(|error| problem(&error))?;
        let line = u32::try_from(marker.line()).unwrap_or(u32::MAX);
        if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
            return Ok(tree.root.unwrap_or_else(|| YamlNode::new(1, YamlValue::Null)));
        }
        tree.add(event, line)?;
    }
}

fn problem(error: &ScanError) -> YamlProblem {
    let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
    YamlProblem { line, message: format!("not read: invalid YAML: {}", error.info()) }
}

/// A sequence or a mapping that is not complete.
struct OpenNode {
    line: u32,
    anchor: usize,
    is_mapping: bool,
    items: Vec<YamlNode>,
    entries: Vec<YamlEntry>,
    key: Option<YamlNode>,
}

#[derive(Default)]
struct TreeBuilder {
    open: Vec<OpenNode>,
    anchors: HashMap<usize, YamlNode>,
    merged: usize,
    root: Option<YamlNode>,
}

impl TreeBuilder {
    fn add(&mut self, event: Event, line: u32) -> Result<(), YamlProblem> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == TScalarStyle::Plain
                    && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { YamlValue::Null } else { YamlValue::Text(text) };
                self.complete(YamlNode::new(line, value), anchor);
                Ok(())
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                self.complete(node.unwrap_or_else(|| YamlNode::new(line, YamlValue::Null)), 0);
                Ok(())
            }
            Event::SequenceStart(anchor, _) => self.start(line, anchor, false),
            Event::MappingStart(anchor, _) => self.start(line, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.end(open),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn start(&mut self, line: u32, anchor: usize, is_mapping: bool) -> Result<(), YamlProblem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlProblem { line, message: "not read: nested too deeply".to_owned() });
        }
        let (items, entries) = (Vec::new(), Vec::new());
        self.open.push(OpenNode { line, anchor, is_mapping, items, entries, key: None });
        Ok(())
    }

    fn end(&mut self, open: OpenNode) -> Result<(), YamlProblem> {
        let value = if open.is_mapping {
            YamlValue::Mapping(self.merge(open.entries)?)
        } else {
            YamlValue::Sequence(open.items)
        };
        self.complete(YamlNode::new(open.line, value), open.anchor);
        Ok(())
    }

    /// Replaces merge keys by the entries that they name. The mapping's own entries take precedence.
    fn merge(&mut self, entries: Vec<YamlEntry>) -> Result<Vec<YamlEntry>, YamlProblem> {
        if entries.iter().all(|entry| entry.key != "<<") {
            return Ok(entries);
        }
        let (merges, mut entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.key == "<<");
        let mut keys: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
        for merge in merges {
            let itself = std::slice::from_ref(&merge.value);
            for source in itself.iter().chain(merge.value.items()) {
                self.merged += source.entries().len();
                if self.merged > MAX_MERGED {
                    let message = "not read: its merge keys add too many entries".to_owned();
                    return Err(YamlProblem { line: merge.line, message });
                }
                let added = source.entries().iter().filter(|entry| keys.insert(entry.key.clone()));
                entries.extend(added.cloned());
            }
        }
        Ok(entries)
    }

    fn complete(&mut self, node: YamlNode, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(open) if !open.is_mapping => open.items.push(node),
            Some(open) => match open.key.take() {
                None => open.key = Some(node),
                Some(key) => {
                    let text = key.text().unwrap_or_default().to_owned();
                    open.entries.push(YamlEntry { key: text, line: key.line, value: node });
                }
            },
        }
    }
}
