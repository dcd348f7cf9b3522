//! Operations on a workspace: selection, planning, the image provider of a run, external images, parent aliases,
//! publishing, secrets, and the observers of a run.

use crate::engine::{Builder, BuilderInfo};
use crate::plan::Plan;
use crate::workspace::Invocation;
use crate::workspace::load::Workspace;

pub mod ancestry;
pub mod attest;
pub mod changes;
pub mod consent;
pub mod entitlements;
pub mod externals;
pub mod image_provider;
pub mod marks;
pub mod metadata;
pub mod observers;
pub mod outdated;
pub mod parent_aliases;
pub mod pins;
mod planning;
pub mod publish;
pub mod pull;
pub mod run_logs;
pub mod run_pages;
pub mod secrets;
pub mod selection;
pub mod shared_names;
pub mod signals;
pub mod slots;
mod synchronized_context;
mod tag_decision;
pub mod tag_moves;

use externals::discover;
use image_provider::{ImageProvider, ImageRequest};

/// A plan for selected images of a workspace, and what executes it.
pub struct Session<'w> {
    /// The workspace, with what the triggers of external images add to its graph.
    pub workspace: &'w Workspace,
    /// The engine.
    pub engine: &'w dyn Builder,
    /// What the engine reports about itself.
    pub info: BuilderInfo,
    /// The image provider of the run.
    pub provider: ImageProvider<'w>,
    /// The plan.
    pub plan: Plan,
}

impl<'w> Session<'w> {
    /// Looks up external images and plans the request.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached, if an external image that must be pulled cannot be, or if a
    /// trigger is not valid, which has then been reported.
    pub fn open(
        workspace: &'w mut Workspace,
        mut request: ImageRequest,
        engine: &'w dyn Builder,
        at: &Invocation,
    ) -> anyhow::Result<Session<'w>> {
        let info = engine.info()?;
        if request.attests {
            attest::check(&workspace.attestations, engine, &info)?;
        }
        let discovery = discover(workspace, &mut request, engine.images(), &info, at)?;
        let workspace: &'w Workspace = workspace;
        let (provider, plan) =
            ImageProvider::open(workspace, request, discovery, (engine, &info), at)?;
        Ok(Session { workspace, engine, info, provider, plan })
    }
}
