//! The absence of an engine: a builder that cannot build and has no store.
//!
//! Owns the error for operations that need an engine. It allows planning on a machine without an engine, from the
//! registry's contents alone.

use super::{
    BuildOutcome, BuildRequest, Builder, BuilderInfo, Cancel, Features, HistoryEntry, ImageStore,
    LabelFilter, ListedImage, NamedContexts, Node, Sink, StoredImage, TransferProgress,
};
use crate::base::Platform;
use crate::base::error::permanent;

/// A builder that cannot build, on a machine with a platform.
pub struct NoEngine {
    platform: Platform,
}

impl NoEngine {
    /// Creates the builder. Images are planned for this platform unless another is requested.
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

/// An empty store, for builders that have none.
pub struct EmptyStore;

fn absent() -> anyhow::Error {
    permanent("this requires an engine").hint("remove `--engine none`").into()
}

impl ImageStore for EmptyStore {
    fn is_queried(&self) -> bool {
        false
    }

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

    fn push(
        &self,
        _: &str,
        _: &mut dyn FnMut(TransferProgress),
        _: &Cancel,
    ) -> anyhow::Result<String> {
        Err(absent())
    }

    fn tag(&self, _: &str, _: &str) -> anyhow::Result<()> {
        Err(absent())
    }

    fn remove(&self, _: &str) -> anyhow::Result<()> {
        Err(absent())
    }
}
