//! Secrets and SSH agents: what a build may use and must not keep.
//!
//! Owns the values during a run. They are read before it begins, are never printed, not even by `Debug`, and go
//! only to the engine, on request. They are not inputs of an image: changing a value does not make an image stale.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mask::Mask;

/// BuildKit's maximum size of one secret in bytes (its `session/secrets`).
pub const LARGEST: usize = 500 * 1024;

/// The default ID of an agent.
pub const DEFAULT_AGENT: &str = "default";

/// Secrets and SSH agents by ID. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    inner: Arc<SecretValues>,
}

#[derive(Default)]
struct SecretValues {
    values: BTreeMap<String, Vec<u8>>,
    agents: BTreeMap<String, PathBuf>,
    mask: Mask,
}

impl Secrets {
    /// Creates the set from secrets by ID, agent sockets by ID, and more values to mask in the output.
    ///
    /// # Errors
    /// Returns an error if the values cannot be masked.
    pub fn new(
        values: BTreeMap<String, Vec<u8>>,
        agents: BTreeMap<String, PathBuf>,
        more: &[Vec<u8>],
    ) -> anyhow::Result<Secrets> {
        let mask = Mask::new(values.values().chain(more).map(Vec::as_slice))?;
        Ok(Secrets { inner: Arc::new(SecretValues { values, agents, mask }) })
    }

    /// Returns whether there are neither secrets nor agents.
    pub fn is_empty(&self) -> bool {
        self.inner.values.is_empty() && self.inner.agents.is_empty()
    }

    /// Returns the value of a secret.
    pub fn value(&self, id: &str) -> Option<&[u8]> {
        self.inner.values.get(id).map(Vec::as_slice)
    }

    /// Returns the socket of an agent; an empty ID selects the default agent.
    pub fn agent(&self, id: &str) -> Option<&Path> {
        let id = if id.is_empty() { DEFAULT_AGENT } else { id };
        self.inner.agents.get(id).map(PathBuf::as_path)
    }

    /// Returns the IDs of the secrets.
    pub fn value_ids(&self) -> impl Iterator<Item = &str> {
        self.inner.values.keys().map(String::as_str)
    }

    /// Returns the IDs of the agents.
    pub fn agent_ids(&self) -> impl Iterator<Item = &str> {
        self.inner.agents.keys().map(String::as_str)
    }

    /// Returns the mask for the values.
    pub fn mask(&self) -> &Mask {
        &self.inner.mask
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SecretValues { values, agents, .. } = &*self.inner;
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
    fn secret_values_are_found_but_never_printed() {
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
