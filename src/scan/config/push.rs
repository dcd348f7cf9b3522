//! The setting `push`: whether builds push their images to the registry.
//!
//! Owns its three values. Their effect on a run is defined elsewhere.

use serde::{Deserialize, Deserializer};

/// The value of `push`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Push {
    /// `false`, the default.
    #[default]
    No,
    /// `"keys"`: push images only under their keys.
    Keys,
    /// `true`: push images under their keys and all their tags.
    Tags,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PushValue {
    Truth(bool),
    Text(String),
}

impl<'de> Deserialize<'de> for Push {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Push, D::Error> {
        match PushValue::deserialize(deserializer) {
            Ok(PushValue::Truth(true)) => Ok(Push::Tags),
            Ok(PushValue::Truth(false)) => Ok(Push::No),
            Ok(PushValue::Text(text)) if text == "keys" => Ok(Push::Keys),
            _ => Err(serde::de::Error::custom("`push` must be true, false, or \"keys\"")),
        }
    }
}
