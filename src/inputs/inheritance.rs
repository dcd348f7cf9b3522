//! What an image hands down to the images that are built on it, as far as it can be predicted.
//!
//! Owns the facts about a base image from which the proof of a child's origin is computed. What makes two
//! bases equal is `identity`'s subject.

use std::collections::BTreeMap;

use serde_json::Value;

use super::identity::OUR_LABELS;
use crate::engine::StoredImage;
use crate::registry::RemoteImage;

/// What a child inherits from its base, beside the layers themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inheritance {
    /// How many layers the base has.
    pub layers: usize,
    /// How many entries its history has; `None` until the engine has reported it.
    pub history: Option<usize>,
    /// Its labels, without those that this program adds.
    pub labels: BTreeMap<String, String>,
    /// Its environment, in order.
    pub environment: Vec<(String, String)>,
}

impl Inheritance {
    /// What `scratch` hands down.
    pub fn of_nothing() -> Inheritance {
        Inheritance { history: Some(0), ..Inheritance::default() }
    }

    /// What an image in an engine's store hands down. Its history is reported separately.
    pub fn of(image: &StoredImage) -> Inheritance {
        Inheritance {
            layers: image.diff_ids.len(),
            history: None,
            labels: without_ours(&image.labels),
            environment: environment_of(&image.config),
        }
    }

    /// What an image in a registry hands down.
    pub fn of_remote(image: &RemoteImage) -> Inheritance {
        Inheritance {
            layers: image.diff_ids.len(),
            history: Some(image.history.len()),
            labels: without_ours(&image.labels()),
            environment: environment_of(&image.config),
        }
    }
}

/// The labels of an image that its builder or its bases set, without those that this program adds.
pub fn without_ours(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let theirs = labels.iter().filter(|(name, _)| !OUR_LABELS.contains(&name.as_str()));
    theirs.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// `NAME=VALUE` pairs; one without a value is empty, as BuildKit reads it.
fn environment_of(config: &Value) -> Vec<(String, String)> {
    let pairs = config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let split = |pair: &str| match pair.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (pair.to_owned(), String::new()),
    };
    pairs.map(split).collect()
}
