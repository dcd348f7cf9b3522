//! The setting `[secrets]`: the sources of secrets.
//!
//! Owns the format of a source. Nothing is read here; a secret is read when a build needs it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The sources of secrets by ID.
pub type SecretSettings = BTreeMap<String, toml::Spanned<SecretSource>>;

/// The source of a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecretTable")]
pub enum SecretSource {
    /// The environment variable with this name.
    Variable(String),
    /// The file with this path.
    File(String),
}

/// `{ env = "NAME" }` or `{ src = "FILE" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with `env` or `src`")]
struct SecretTable {
    env: Option<String>,
    #[serde(alias = "source")]
    src: Option<String>,
}

impl TryFrom<SecretTable> for SecretSource {
    type Error = &'static str;

    fn try_from(written: SecretTable) -> Result<SecretSource, &'static str> {
        match (written.env, written.src) {
            (Some(name), None) if !name.is_empty() => Ok(SecretSource::Variable(name)),
            (None, Some(path)) if !path.is_empty() => Ok(SecretSource::File(path)),
            (Some(_), Some(_)) => Err("a secret can't have both an `env` and a `src`"),
            _ => Err("a secret requires `env = \"NAME\"` or `src = \"FILE\"`"),
        }
    }
}
