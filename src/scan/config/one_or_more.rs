//! Settings with one template or a list of templates: `reference = "acme/x"`, `version = ["1",
//! "1.2"]`.
//!
//! Owns both forms. Where only one value is possible, the first one in a list is used.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use super::Setting;

/// One or more templates.
#[derive(Debug, Clone)]
pub struct OneOrMore(Vec<Setting>);

impl OneOrMore {
    /// Returns the templates in source order; at least one.
    pub fn settings(&self) -> &[Setting] {
        &self.0
    }
}

enum OneOrMoreValue {
    One(String),
    Several(Vec<Setting>),
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMore, D::Error> {
        let written = toml::Spanned::<OneOrMoreValue>::deserialize(deserializer)?;
        let span = written.span();
        match written.into_inner() {
            OneOrMoreValue::One(text) => Ok(OneOrMore(vec![toml::Spanned::new(span, text)])),
            OneOrMoreValue::Several(settings) if settings.is_empty() => {
                Err(D::Error::custom("the list must not be empty"))
            }
            OneOrMoreValue::Several(settings) => Ok(OneOrMore(settings)),
        }
    }
}

impl<'de> Deserialize<'de> for OneOrMoreValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMoreValue, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = OneOrMoreValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMoreValue, E> {
        Ok(OneOrMoreValue::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMoreValue, A::Error> {
        let mut settings = Vec::new();
        while let Some(setting) = list.next_element()? {
            settings.push(setting);
        }
        Ok(OneOrMoreValue::Several(settings))
    }
}
