//! What `RUN` instructions of a run may do beyond the sandbox, and whether its engine can set up the sandbox.
//!
//! Owns the checks before anything is built. As in `docker buildx`, the network of the engine's machine and
//! `--security=insecure` require `--allow`, unless the command line itself sets the network (docker/buildx,
//! `build/opt.go`). BuildKit would report a missing entitlement only when it builds the image, and ignore limits that
//! it does not know.

use std::collections::BTreeSet;

use crate::base::error::{ErrorKind, permanent, printed};
use crate::base::text::list;
use crate::base::{Diagnostic, Rule};
use crate::engine::build_option::Entitlement;
use crate::engine::sandbox::NetworkMode;
use crate::engine::{BuilderInfo, Frontend};
use crate::graph::Image;
use crate::graph::entitlements::EntitlementUse;
use crate::inputs::gather::OwnInputs;
use crate::lint::frontend::version_of;
use crate::report::{diagnostics, printer};
use crate::workspace::Invocation;
use crate::workspace::load::once_each;

use super::Session;

/// The first frontend that sets ulimits and the size of `/dev/shm`, and that of the first BuildKit that does (0.10).
const SINCE_LIMITS: Frontend = Frontend::new(1, 4);

/// Returns the entitlements that the builds of a run get.
///
/// # Errors
/// Returns an error if an image to be built requires another one, which has then been reported, or limits that the
/// engine does not support.
pub fn grant(
    session: &Session<'_>,
    allowed: &BTreeSet<Entitlement>,
    at: &Invocation,
) -> anyhow::Result<BTreeSet<Entitlement>> {
    let Session { workspace, info, plan, .. } = session;
    let mut granted = allowed.clone();
    if at.global.network == Some(NetworkMode::Host) {
        granted.insert(Entitlement::NetworkHost);
    }
    let images = plan.stale_images().map(|image| &workspace.graph.images[image]);
    let known = images.clone().filter(|image| !image.has_unknown_frontend());
    let missing = known.flat_map(Image::entitlement_uses);
    let missing = missing.filter(|it| !granted.contains(&it.entitlement)).map(|it| describe(&it));
    let missing = once_each(missing);
    if !missing.is_empty() {
        printer::err(&diagnostics::draw(&missing, at.paint))?;
        return Err(printed(ErrorKind::Usage).into());
    }
    check_limits(images, info)?;
    Ok(granted)
}

/// Returns the granted entitlements that an image uses: an engine that does not permit one refuses every build that
/// requests it. If it is unknown which instructions run, all of them are requested.
pub fn used(
    granted: &BTreeSet<Entitlement>,
    image: &Image,
    own: &OwnInputs,
) -> BTreeSet<Entitlement> {
    match own.inputs.whole_context {
        true => granted.clone(),
        false => image.entitlements().intersection(granted).copied().collect(),
    }
}

fn describe(missing: &EntitlementUse) -> Diagnostic {
    let EntitlementUse { entitlement, written, source, span } = missing;
    let message = format!("`{written}` requires the entitlement `{entitlement}`");
    Diagnostic::new(Rule::MissingEntitlement, message)
        .at(source, *span, "")
        .hint(format!("pass `--allow {entitlement}`"))
}

/// Checks that the engine and the named frontends support the limits of some images: older ones would silently ignore
/// them.
fn check_limits<'a>(
    images: impl Iterator<Item = &'a Image>,
    info: &BuilderInfo,
) -> anyhow::Result<()> {
    let limited = images.filter(|image| {
        let sandbox = &image.sandbox;
        image.runs_commands() && (sandbox.own_shm_size().is_some() || !sandbox.ulimits.is_empty())
    });
    let limited: Vec<&Image> = limited.collect();
    let old = |frontend: Option<Frontend>| frontend.is_some_and(|it| it < SINCE_LIMITS);
    let (what, images, newer) = if old(info.frontend) {
        (format!("{} {}", info.name, info.version), limited, "Docker 23")
    } else {
        let is_old = |image: &&Image| old(image.named_frontend().and_then(version_of));
        let images = limited.into_iter().filter(is_old).collect();
        ("the frontend of the `# syntax=` line".to_owned(), images, "`docker/dockerfile:1.4`")
    };
    if images.is_empty() {
        return Ok(());
    }
    let message = format!(
        "ulimits and the size of /dev/shm are set for {}, but {what} does not support them",
        list(images.iter().map(|image| &image.name))
    );
    Err(permanent(message).hint(format!("use {newer} or newer, or remove these settings")).into())
}
