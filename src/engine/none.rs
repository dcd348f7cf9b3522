//! No engine at all: a store that holds nothing and builds nothing.
//!
//! Owns what is said where somebody wants more of it. With it a plan is made on a machine without an
//! engine, by what the registry holds.

use super::{
    BuildOutcome, BuildRequest, Cancel, Engine, EngineInfo, HistoryEntry, ListedImage, Sink,
    StoredImage,
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

fn absent() -> anyhow::Error {
    permanent("there is no engine to do that").hint("leave out `--engine none`").into()
}

impl Engine for NoEngine {
    fn describe(&self) -> anyhow::Result<EngineInfo> {
        let platform = self.platform.clone();
        Ok(EngineInfo { name: "none".into(), version: String::new(), platform, frontend: None })
    }

    fn keeps_manifests(&self) -> anyhow::Result<bool> {
        Ok(false)
    }

    fn build(
        &self,
        _: &BuildRequest,
        _: &mut Sink<'_>,
        _: &Cancel,
    ) -> anyhow::Result<BuildOutcome> {
        Err(absent())
    }

    fn inspect(&self, _: &str) -> anyhow::Result<Option<StoredImage>> {
        Ok(None)
    }

    fn history(&self, _: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>> {
        Ok(None)
    }

    fn list(&self, _: &str) -> anyhow::Result<Vec<ListedImage>> {
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
