//! The operations of an image: what takes time besides its steps.

use serde::{Deserialize, Serialize};

use crate::engine::BuildOperation;

/// What is done for an image besides its steps, which can take long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// The run waits for another run that builds the same image.
    WaitingForRun,
    /// The image, or something that it is built on, is pulled from a registry.
    Pulling,
    /// The context is sent to the engine.
    SendingContext,
    /// The engine writes the built image to its store.
    Exporting,
    /// The engine unpacks the written image.
    Unpacking,
}

impl Operation {
    /// Returns what the event `image-blocked` of earlier versions reported.
    pub(super) fn of_earlier_versions() -> Operation {
        Operation::WaitingForRun
    }
}

impl From<BuildOperation> for Operation {
    fn from(operation: BuildOperation) -> Operation {
        match operation {
            BuildOperation::SendingContext => Operation::SendingContext,
            BuildOperation::Exporting => Operation::Exporting,
            BuildOperation::Unpacking => Operation::Unpacking,
        }
    }
}
