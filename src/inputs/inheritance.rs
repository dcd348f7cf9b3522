//! What the children of an image inherit, as far as it can be predicted.
//!
//! Owns the facts about a base image from which the proof of a child's origin is computed. `identity` defines when
//! two bases are equal.

use std::collections::BTreeMap;

use serde_json::Value;

use super::identity::OUR_LABELS;
use crate::engine::StoredImage;
use crate::registry::RemoteImage;

/// What a child inherits from its base, in addition to the layers themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inheritance {
    /// The number of layers in the base.
    pub layers: usize,
    /// The number of entries in its history; `None` until the engine has reported it.
    pub history: Option<usize>,
    /// The labels, without those that this program adds.
    pub labels: BTreeMap<String, String>,
    /// The environment variables, in order.
    pub environment: Vec<(String, String)>,
}

impl Inheritance {
    /// Returns what children of `scratch` inherit.
    pub fn of_nothing() -> Inheritance {
        Inheritance { history: Some(0), ..Inheritance::default() }
    }

    /// Returns what children of an image in an engine's store inherit. The engine reports the history separately.
    pub fn of(image: &StoredImage) -> Inheritance {
        Inheritance {
            layers: image.diff_ids.len(),
            history: None,
            labels: without_ours(&image.labels),
            environment: environment_of(&image.config),
        }
    }

    /// Returns what children of an image in a registry inherit.
    pub fn of_remote(image: &RemoteImage) -> Inheritance {
        Inheritance {
            layers: image.diff_ids.len(),
            history: Some(image.history.len()),
            labels: without_ours(&image.labels()),
            environment: environment_of(&image.config),
        }
    }
}

/// Returns an image's labels without those that this program adds.
pub fn without_ours(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let theirs = labels.iter().filter(|(name, _)| !OUR_LABELS.contains(&name.as_str()));
    theirs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Returns `NAME=VALUE` pairs; without a value, it is empty, as in BuildKit.
fn environment_of(config: &Value) -> Vec<(String, String)> {
    let pairs = config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let split = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (pair.to_owned(), String::new()),
    };
    pairs.map(split).collect()
}
