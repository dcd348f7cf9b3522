//! How a build ended.
//!
//! Owns the interpretation of BuildKit's response: the ID of the image, or why there is none.

use std::borrow::Cow;

use bollard_buildkit_proto::moby::buildkit::v1::SolveResponse;
use tonic::{Code, Status};

use super::trace::StatusTrace;
use super::wording::{
    cause_of_failure, failed_command, is_broken_session, looked_up_image, parse_name,
    plain_message, refused_entitlement,
};
use super::{Transport, llb};
use crate::base::error::{permanent, transient};
use crate::engine::{BuildFailure, BuildOutcome, BuildStep};

/// How one attempt to build ended.
pub(super) enum AttemptResult {
    /// The attempt produced an outcome.
    Done(BuildOutcome),
    /// The context did not arrive, through no fault of this build; contains the reason.
    ContextLost(String),
}

/// Returns the built image's ID: `containerimage.digest`, which identifies the image in the engine's store. In the
/// classic store it is the digest of the image's configuration, and in containerd's the digest of its manifest.
pub(super) fn image_of(response: &SolveResponse) -> anyhow::Result<AttemptResult> {
    match response.exporter_response.get("containerimage.digest") {
        Some(id) => Ok(AttemptResult::Done(BuildOutcome::Built { image_id: id.clone() })),
        None => Err(permanent("the engine built the image, but did not report its ID")
            .hint("update Docker to 20.10 or newer; see `docker version`")
            .into()),
    }
}

/// Interprets the engine's error: a failed image, or a lost connection.
pub(super) fn failed<T: Transport>(
    status: &Status,
    trace: StatusTrace,
    transport: &T,
) -> anyhow::Result<AttemptResult> {
    let failed = trace.into_failed();
    if is_lost(status, failed.is_some()) {
        let (address, cause) = (transport.address(), cause_of(status));
        return Err(transient(format!(
            "lost the connection to the engine at `{address}` during the build: {cause}"
        ))
        .hint("check that the engine is still running, and build again")
        .into());
    }
    if let Some(name) = refused_entitlement(status.message()) {
        let setting = name.replace('.', "-");
        return Err(permanent(format!("the engine does not permit `{name}`"))
            .hint(format!(
                "set `\"builder\": {{\"entitlements\": {{\"{setting}\": true}}}}` in its `daemon.json`"
            ))
            .into());
    }
    let loading = parse_name(llb::LOAD_CONTEXT);
    let (step, message) = match failed {
        Some((step, message)) if step == loading => {
            return Ok(AttemptResult::ContextLost(plain_message(&message)));
        }
        Some((step, message)) => (Some(step), message.into()),
        None => (None, Cow::from(status.message())),
    };
    // A step that failed before this build joined it is not reported.
    if step.is_none() && is_broken_session(&message) {
        return Ok(AttemptResult::ContextLost(plain_message(&message)));
    }
    // Builds that share a failing step may all fail before the engine has reported the step to each of them.
    let unreported_step =
        |command| BuildStep { stage: None, number: 0, total: 0, text: format!("RUN {command}") };
    let step = step.or_else(|| failed_command(&message).map(unreported_step));
    let cause = cause_of_failure(step.as_ref(), &message);
    let mut message = plain_message(&message);
    // The engine's message names only the address of a registry that does not answer.
    if let Some(Some(base)) = step.as_ref().map(|step| looked_up_image(&step.text))
        && !message.contains(base)
    {
        message = format!("can't resolve `{base}`: {message}");
    }
    Ok(AttemptResult::Done(BuildOutcome::Failed(BuildFailure { step, message, cause })))
}

/// Returns why a call failed: the innermost cause if the error was created in this process. The outer ones say only
/// that a call failed, in debug notation.
fn cause_of(status: &Status) -> String {
    let causes = std::iter::successors(std::error::Error::source(status), |error| error.source());
    causes.last().map_or_else(|| status.message().to_owned(), ToString::to_string)
}

/// Returns whether the engine or the connection failed, and not the image. A status with a source was created in
/// this process, for a lost connection. An engine that reports no failed step, but is unavailable or says that the
/// build was canceled (which this process did not request), is shutting down.
fn is_lost(status: &Status, has_failed_step: bool) -> bool {
    let on_our_side = std::error::Error::source(status).is_some();
    let shutting_down = matches!(status.code(), Code::Unavailable | Code::Cancelled)
        || status.message().ends_with("context canceled");
    on_our_side || status.code() == Code::Unimplemented || (shutting_down && !has_failed_step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_connections_are_distinguished_from_build_failures() {
        let check = |status: &Status, has_failed_step, expected| {
            assert_eq!(is_lost(status, has_failed_step), expected, "{status:?}");
        };
        let broken = Status::from_error(Box::new(std::io::Error::other("connection reset")));
        check(&broken, true, true);
        check(&Status::unknown("exit code: 1"), true, false);
        check(&Status::unknown("dockerfile parse error"), false, false);
        check(&Status::unavailable("registry answers 503"), true, false);
        check(&Status::unavailable("shutting down"), false, true);
        check(&Status::unknown("failed to solve: context canceled"), false, true);
        check(&Status::unimplemented("unknown service"), false, true);
    }
}
