//! `push` in `layers.toml`: whether builds put their images into the registry.
//!
//! Owns its three values. What they mean for a run is not its business.

use serde::{Deserialize, Deserializer};

/// What `push` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Push {
    /// `false`, as where nothing is said.
    #[default]
    No,
    /// `"keys"`: under their keys alone.
    Keys,
    /// `true`: under their keys and all their tags.
    Tags,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Truth(bool),
    Text(String),
}

impl<'de> Deserialize<'de> for Push {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Push, D::Error> {
        match Written::deserialize(deserializer) {
            Ok(Written::Truth(true)) => Ok(Push::Tags),
            Ok(Written::Truth(false)) => Ok(Push::No),
            Ok(Written::Text(text)) if text == "keys" => Ok(Push::Keys),
            _ => Err(serde::de::Error::custom("`push` is true, false or \"keys\"")),
        }
    }
}
