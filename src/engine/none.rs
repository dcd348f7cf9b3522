//! No engine at all: a builder that builds nothing and has no store.
//!
//! Owns what is said where somebody wants more of it. With it a plan is made on a machine without an
//! engine, by what the registry holds.

use super::{
    BuildOutcome, BuildRequest, Builder, BuilderInfo, Cancel, Features, HistoryEntry, ImageStore,
    LabelFilter, ListedImage, NamedContexts, Node, Sink, StoredImage,
};
use crate::base::Platform;
use crate::base::error::permanent;

/// The absence of an engine, on a machine of a platform.
pub struct NoEngine {
    platform: Platform,
}

impl NoEngine {
    /// Images are planned for this platform where no other is asked for.
    pub fn on(platform: Platform) -> NoEngine {
        NoEngine { platform }
    }
}

impl Builder for NoEngine {
    fn info(&self) -> anyhow::Result<BuilderInfo> {
        Ok(BuilderInfo {
            name: "none".into(),
            version: String::new(),
            nodes: vec![Node { name: "none".into(), platforms: vec![self.platform.clone()] }],
            frontend: None,
            contexts: NamedContexts::None,
        })
    }

    fn features(&self) -> anyhow::Result<Features> {
        Ok(Features::default())
    }

    fn build(
        &self,
        _: &BuildRequest,
        _: &mut Sink<'_>,
        _: &Cancel,
    ) -> anyhow::Result<BuildOutcome> {
        Err(absent())
    }

    fn store(&self) -> Option<&dyn ImageStore> {
        None
    }
}

/// A store that holds nothing, in place of the one that a builder does not have.
pub struct EmptyStore;

fn absent() -> anyhow::Error {
    permanent("there is no engine to do that").hint("leave out `--engine none`").into()
}

impl ImageStore for EmptyStore {
    fn inspect(&self, _: &str) -> anyhow::Result<Option<StoredImage>> {
        Ok(None)
    }

    fn history(&self, _: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>> {
        Ok(None)
    }

    fn list(&self, _: LabelFilter<'_>) -> anyhow::Result<Vec<ListedImage>> {
        Ok(Vec::new())
    }

    fn pull(&self, _: &str, _: Option<&Platform>, _: &mut dyn FnMut()) -> anyhow::Result<()> {
        Err(absent())
    }

    fn push(&self, _: &str, _: &Cancel) -> anyhow::Result<String> {
        Err(absent())
    }

    fn tag(&self, _: &str, _: &str) -> anyhow::Result<()> {
        Err(absent())
    }

    fn remove(&self, _: &str) -> anyhow::Result<()> {
        Err(absent())
    }
}
