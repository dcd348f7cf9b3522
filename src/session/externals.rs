//! How external images are looked up before anything is planned.
//!
//! Owns how all dependencies of a repository are found. The triggers of an external image (`ONBUILD`) run in the builds
//! of the images that start from it, and may name further images, from this repository or from elsewhere. So externals
//! are looked up, their triggers are evaluated, and what these add is looked up in turn, until nothing new is found.

use crate::base::{Platform, RelPath, Source, Span};
use crate::engine::{BuilderInfo, ImageStore};
use crate::graph::evaluate::Trigger;
use crate::graph::link::ExternalTriggers;
use crate::graph::{Dependency, Graph};
use crate::plan::SharedStore;
use crate::workspace::load::Workspace;
use crate::workspace::{Invocation, registry};

use super::image_provider::ImageRequest;
use super::pull::{ExternalImages, ExternalQuery, find_externals};

/// The external images of a selection, and the registry through which images are shared.
pub struct Discovery {
    /// The externals.
    pub found: ExternalImages,
    /// The registry, if there is one.
    pub shared: Option<SharedStore>,
    /// The target platform.
    pub platform: Platform,
}

/// Looks up the externals of the selected images, and adds the dependencies that their triggers turn out to have to the
/// graph and to the selection.
///
/// # Errors
/// Returns an error if the engine cannot be reached, or if a trigger is not valid, which has then been reported.
pub fn discover(
    workspace: &mut Workspace,
    request: &mut ImageRequest,
    store: &dyn ImageStore,
    info: &BuilderInfo,
    at: &Invocation,
) -> anyhow::Result<Discovery> {
    let requested = workspace.builds.platform.clone();
    let platform = requested.clone().unwrap_or_else(|| info.platform());
    let (push, lost, environment) = (request.push, &request.lost, &at.environment);
    let shared = registry::shared_store(workspace, push, &platform, lost, environment);
    let mut found = ExternalImages::default();
    loop {
        let search = ExternalQuery {
            graph: &workspace.graph,
            requested_platform: requested.as_ref(),
            platform: &platform,
            pull: request.pull,
            report: request.report,
            pins: &request.pins,
            store,
        };
        find_externals(search, &request.selected.all, shared.as_ref(), &mut found)?;
        if !workspace.learn_triggers(triggers_of(&found, &workspace.graph), at)? {
            return Ok(Discovery { found, shared, platform });
        }
        request.selected.complete(&workspace.graph);
    }
}

/// Returns the triggers of externals.
fn triggers_of(found: &ExternalImages, graph: &Graph) -> ExternalTriggers {
    let triggers = found.externals.iter().filter_map(|(of, outside)| {
        let Dependency::External(id) = *of else { return None };
        let texts = outside.as_ref()?.triggers.as_ref().filter(|texts| !texts.is_empty())?;
        // Diagnostics point into the trigger itself, under the name of the image that carries it.
        let path = RelPath::new(&format!("{} (ONBUILD)", graph.externals[id]))
            .unwrap_or_else(RelPath::root);
        let trigger = |text: &String| Trigger {
            text: text.clone(),
            source: Source::new(path.clone(), text.clone()),
            span: Span::new(0, text.len()),
            map: None,
        };
        Some((id, texts.iter().map(trigger).collect()))
    });
    triggers.collect()
}
