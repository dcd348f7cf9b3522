//! What an image is called by: `reference = "acme/x"`, or a list of such templates.
//!
//! Owns the two forms. The first of a list is the one by which an image is called; all are put on
//! it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::Setting;

/// One template or several.
#[derive(Debug, Clone)]
pub struct References(Vec<Setting>);

impl References {
    /// The templates in the order written; at least one.
    pub fn settings(&self) -> &[Setting] {
        &self.0
    }
}

enum Written {
    One(String),
    Several(Vec<Setting>),
}

impl<'de> Deserialize<'de> for References {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<References, D::Error> {
        let written = toml::Spanned::<Written>::deserialize(deserializer)?;
        let span = written.span();
        match written.into_inner() {
            Written::One(text) => Ok(References(vec![toml::Spanned::new(span, text)])),
            Written::Several(settings) if settings.is_empty() => {
                Err(D::Error::custom("a list of references needs at least one"))
            }
            Written::Several(settings) => Ok(References(settings)),
        }
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
        Ok(Written::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written, A::Error> {
        let mut settings = Vec::new();
        while let Some(setting) = list.next_element()? {
            settings.push(setting);
        }
        Ok(Written::Several(settings))
    }
}
