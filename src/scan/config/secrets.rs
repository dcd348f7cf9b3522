//! Where secrets come from: `[secrets]` in `layers.toml`.
//!
//! Owns the form of a source. Nothing is read here: a secret is read when a build needs it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Secrets by their IDs.
pub type Secrets = BTreeMap<String, toml::Spanned<SecretSource>>;

/// Where the value of a secret is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum SecretSource {
    /// In an environment variable of this name.
    Variable(String),
    /// In this file.
    File(String),
}

/// `{ env = "NAME" }` or `{ src = "FILE" }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    env: Option<String>,
    #[serde(alias = "source")]
    src: Option<String>,
}

impl TryFrom<Written> for SecretSource {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<SecretSource, &'static str> {
        match (written.env, written.src) {
            (Some(name), None) if !name.is_empty() => Ok(SecretSource::Variable(name)),
            (None, Some(path)) if !path.is_empty() => Ok(SecretSource::File(path)),
            (Some(_), Some(_)) => Err("a secret has either an `env` or a `src`"),
            _ => Err("a secret needs an `env = \"NAME\"` or a `src = \"FILE\"`"),
        }
    }
}
