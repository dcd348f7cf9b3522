//! What a build may ask for and must not keep: secrets and ssh agents.
//!
//! Owns the values while a run lasts. They were read before it began, are never shown, not even
//! by `Debug`, and go to the engine alone, when it asks. They are no part of what an image is:
//! another value makes no other image.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mask::Mask;

/// As much BuildKit takes of one secret (its `session/secrets`).
pub const LARGEST: usize = 500 * 1024;

/// What an agent is called where nothing is said.
pub const DEFAULT_AGENT: &str = "default";

/// Secrets and ssh agents by their IDs. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    values: BTreeMap<String, Vec<u8>>,
    agents: BTreeMap<String, PathBuf>,
    mask: Mask,
}

impl Secrets {
    /// Secrets by their IDs, the sockets of agents by theirs, and more that is to be hidden from the output.
    ///
    /// # Errors
    /// Where they can't be hidden from the output.
    pub fn new(
        values: BTreeMap<String, Vec<u8>>,
        agents: BTreeMap<String, PathBuf>,
        more: &[Vec<u8>],
    ) -> anyhow::Result<Secrets> {
        let mask = Mask::new(values.values().chain(more).map(Vec::as_slice))?;
        Ok(Secrets { inner: Arc::new(Inner { values, agents, mask }) })
    }

    /// Whether there are none, and no agents either.
    pub fn is_empty(&self) -> bool {
        self.inner.values.is_empty() && self.inner.agents.is_empty()
    }

    /// The value of a secret.
    pub fn value(&self, id: &str) -> Option<&[u8]> {
        self.inner.values.get(id).map(Vec::as_slice)
    }

    /// The socket of an agent; an empty ID means the default one.
    pub fn agent(&self, id: &str) -> Option<&Path> {
        let id = if id.is_empty() { DEFAULT_AGENT } else { id };
        self.inner.agents.get(id).map(PathBuf::as_path)
    }

    /// The IDs of the secrets.
    pub fn value_ids(&self) -> impl Iterator<Item = &str> {
        self.inner.values.keys().map(String::as_str)
    }

    /// The IDs of the agents.
    pub fn agent_ids(&self) -> impl Iterator<Item = &str> {
        self.inner.agents.keys().map(String::as_str)
    }

    /// What hides their values from all that is said.
    pub fn mask(&self) -> &Mask {
        &self.inner.mask
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { values, agents, .. } = &*self.inner;
        f.debug_struct("Secrets")
            .field("values", &values.keys())
            .field("agents", &agents.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_never_shown() {
        let values = BTreeMap::from([("npm".to_owned(), b"hunter2".to_vec())]);
        let agents = BTreeMap::from([(DEFAULT_AGENT.to_owned(), PathBuf::from("/agent"))]);
        let secrets = Secrets::new(values, agents, &[]).unwrap();
        assert_eq!(secrets.value("npm"), Some(b"hunter2".as_slice()));
        assert_eq!(secrets.value("pip"), None);
        assert_eq!(secrets.agent(""), Some(Path::new("/agent")));
        assert_eq!(secrets.agent("other"), None);
        let shown = r#"Secrets { values: ["npm"], agents: ["default"] }"#;
        assert_eq!(format!("{secrets:?}"), shown);
        let (values, agents) = (BTreeMap::new(), BTreeMap::new());
        let hiding = Secrets::new(values, agents, &[b"password".to_vec()]).unwrap();
        assert_eq!(hiding.mask().hide_in("a password".to_owned()), "a ***");
        assert!(hiding.is_empty());
    }
}
