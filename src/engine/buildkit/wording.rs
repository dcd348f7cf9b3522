//! The wording of BuildKit and the engines around it: names of steps, entries of histories, messages.
//!
//! Owns everything that is recognized by its wording; no other module compares such texts.

use super::llb;
use crate::engine::{BuildFailure, BuildOperation, BuildStep, FailureCause};

/// Parses a vertex's name: `[2/3] RUN make`, `[linux/arm64 build 2/3] RUN make`, `[internal] load build context`,
/// `exporting to image`.
pub(super) fn parse_name(name: &str) -> BuildStep {
    let plain = |text: &str| BuildStep { stage: None, number: 0, total: 0, text: text.to_owned() };
    let Some((inside, text)) = name.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else {
        return plain(name);
    };
    if inside == "internal" {
        return plain(text);
    }
    let (before, count) = inside.rsplit_once(' ').unwrap_or(("", inside));
    let numbers = count
        .split_once('/')
        .and_then(|(number, total)| Some((number.parse().ok()?, total.parse().ok()?)));
    let Some((number, total)) = numbers else { return plain(name) };
    // A platform precedes the stage if the build is for several platforms, or requests one.
    let stage = before.split(' ').rfind(|word| !word.is_empty() && !word.contains('/'));
    BuildStep { stage: stage.map(str::to_owned), number, total, text: text.to_owned() }
}

/// Returns the operation that a vertex is, or `None` if it is a step.
pub(super) fn operation_of(vertex: &str) -> Option<BuildOperation> {
    match vertex {
        llb::LOAD_CONTEXT => Some(BuildOperation::SendingContext),
        _ if vertex.starts_with(EXPORT) => Some(BuildOperation::Exporting),
        _ => None,
    }
}

/// Returns whether a status of a vertex says that the exported image is unpacked. Only containerd's store does it after
/// the export (BuildKit 0.25, `exporter/containerimage/export.go`).
pub(super) fn is_unpacking(status: &str) -> bool {
    status.starts_with("unpacking to ")
}

/// Returns the external image in the name of a step, with the digest that it resolved to.
pub(in crate::engine) fn resolved_image(step: &str) -> Option<&str> {
    let image = step.strip_prefix("FROM ")?;
    image.contains("@sha256:").then_some(image.split_whitespace().next()?)
}

/// Returns the image whose metadata a step looks up.
pub(super) fn looked_up_image(step: &str) -> Option<&str> {
    step.strip_prefix("load metadata for ")
}

/// Returns the keyword of the instruction that created a history entry. Frontends word the rest differently
/// (`EXPOSE map[80/tcp:{}]`, `EXPOSE [80/tcp]`).
pub(in crate::engine) fn keyword_of(created_by: &str) -> &str {
    created_by.split_whitespace().next().unwrap_or_default()
}

/// What the engine reports when a session that it was reading from is gone.
const SESSION_ERRORS: [&str; 4] = [
    "transport is closing",
    "error reading from server",
    "client connection is closing",
    "no active session",
];

/// Returns whether a message says that a session is gone.
pub(super) fn is_broken_session(message: &str) -> bool {
    SESSION_ERRORS.iter().any(|words| message.contains(words))
}

/// Parts of messages from engines that could not reach a registry or a server, or that were rate-limited.
const TRANSIENT_ERRORS: [&str; 19] = [
    "429 Too Many Requests",
    "500 Internal Server Error",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "Could not resolve host",
    "Failed to connect to",
    "TLS handshake timeout",
    "Temporary failure in name resolution",
    "connection refused",
    "connection reset by peer",
    "context deadline exceeded",
    "failed to do request",
    "i/o timeout",
    "network is unreachable",
    "no route to host",
    "no such host",
    "server misbehaving",
    "unexpected EOF",
];

/// Parts of messages about the engine's own state, disk, and memory.
const STATE_ERRORS: [&str; 12] = [
    "cannot allocate memory",
    "disk quota exceeded",
    "failed to extract layer",
    "failed to mount",
    "failed to prepare extraction snapshot",
    "failed to register layer",
    "failed to stat active key during commit",
    "frontend grpc server closed unexpectedly",
    "inconsistent graph state",
    "input/output error",
    "no space left on device",
    "too many open files",
];

/// The gRPC status codes of a failure of a server. A failed step has the code `Unknown`, or none.
const SERVER_CODES: [&str; 5] =
    ["Aborted", "DataLoss", "Internal", "ResourceExhausted", "Unavailable"];

/// Returns what caused a failed build, from its step and the engine's unmodified message.
///
/// A command that ended with an exit code was executed, so its failure is the image's: `no space left on device` may be
/// the size of a `tmpfs`. All other failures are the engine's if the message says so. A `RUN` is never retried: its
/// command may have had effects elsewhere, which only its author knows.
pub(super) fn cause_of_failure(step: Option<&BuildStep>, message: &str) -> FailureCause {
    let plain = plain_message(message);
    let is_of_server = SERVER_CODES.iter().any(|code| {
        message.contains(&format!("rpc error: code = {code} desc = "))
            || plain.starts_with(&format!("{code}: "))
    });
    let said = without_quotes(&plain);
    let does = |keyword: &str| step.is_some_and(|step| keyword_of(&step.text) == keyword);
    // A truncated archive ends unexpectedly too.
    let is_archive = (does("ADD") || does("COPY")) && said.ends_with("unexpected EOF");
    let is_of_engine = !is_archive
        && (is_of_server
            || said.contains(TOO_MANY)
            || TRANSIENT_ERRORS
                .iter()
                .chain(&STATE_ERRORS)
                .chain(&SESSION_ERRORS)
                .any(|it| said.contains(it)));
    match is_of_engine && !plain.starts_with("exit code: ") {
        true => FailureCause::Engine { may_retry: !does("RUN") },
        false => FailureCause::Image,
    }
}

/// Returns a message without the texts in quotes, which are names and addresses.
fn without_quotes(message: &str) -> String {
    message.split('"').step_by(2).collect()
}

/// Further parts of messages about failed pushes, which depend more than pulls on connections that stay open.
const TRANSIENT_PUSH_ERRORS: [&str; 6] = [
    ": EOF",
    "Client.Timeout exceeded",
    "broken pipe",
    "server closed idle connection",
    "timed out",
    "unavailable: ",
];

/// Returns whether retrying a failed exchange with a registry may succeed.
pub(in crate::engine) fn is_transient(message: &str) -> bool {
    // A 5xx status has no name in the message if a proxy invented it.
    let is_status = |(at, _): (usize, &str)| {
        let code = message[at + 2..].split(' ').next().unwrap_or_default();
        code.len() == 3 && code.starts_with('5') && code.bytes().all(|byte| byte.is_ascii_digit())
    };
    message.match_indices(": ").any(is_status)
        || TRANSIENT_ERRORS
            .iter()
            .chain(&TRANSIENT_PUSH_ERRORS)
            .any(|words| message.contains(words))
}

/// The error code of a registry that limits the rate of requests, as engines write it.
const TOO_MANY: &str = "toomanyrequests";

/// The prefix that containerd's image store adds to a registry's message. It omits the registry's error code and the
/// status (moby, `daemon/containerd/image_push.go`, as of Docker 28).
const WITHOUT_CODE: &str = "error from registry: ";

/// Parts of registries' messages about requests that fail however often they are repeated.
const PERMANENT_ERRORS: [&str; 10] = [
    "denied",
    "exist",
    "forbidden",
    "immutable",
    "invalid",
    "not allowed",
    "not found",
    "unauthorized",
    "unknown",
    "unsupported",
];

/// Returns whether a registry rejected an exchange because there were too many: its error code (OCI Distribution
/// Specification, "Error codes"), or the status. A message without both counts if nothing in it says otherwise:
/// registries word this in their own ways.
pub(in crate::engine) fn is_rate_limited(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let says = |words: &&str| message.contains(*words);
    [TOO_MANY, "429 too many requests", "http 429 "].iter().any(says)
        || message.starts_with(WITHOUT_CODE) && !PERMANENT_ERRORS.iter().any(says)
}

/// What may help after a build that failed for reasons outside its control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Build again.
    Again,
    /// Build again without the cache.
    WithoutCache,
}

/// Returns what may help after a build failed.
///
/// - The cache may have a step whose files are lost. On containerd's store, a build that is interrupted while its
///   last step is written may leave such a step behind, and every later build that uses it fails in the same way
///   (BuildKit 0.25, `cache/refs.go`, `finalize`).
/// - Files of an image that was just removed may be missing when the new image is unpacked: containerd's garbage
///   collector may remove a snapshot between its lookup and its use. The next build creates it again.
/// - Another build may have given its image the same new name at the same time: containerd's store first looks the
///   name up, then creates it, and fails if another build was faster (BuildKit 0.25,
///   `exporter/containerimage/export.go`). The next build finds the name and moves it.
pub(super) fn remedy(failure: &BuildFailure) -> Option<Remedy> {
    let message = failure.message.as_str();
    if message.contains("during finalize: failed to stat active key during commit: ") {
        return Some(Remedy::WithoutCache);
    }
    let has_lost_snapshot = message.contains("failed to prepare extraction snapshot ")
        && message.ends_with("does not exist: not found");
    let is_export = failure.step.as_ref().is_some_and(|step| step.text.starts_with(EXPORT));
    let has_raced_for_name =
        is_export && message.starts_with("image \"") && message.ends_with("\": already exists");
    (has_lost_snapshot || has_raced_for_name).then_some(Remedy::Again)
}

/// BuildKit's name for the step that exports a built image to the engine's store.
const EXPORT: &str = "exporting to image";

/// Prefixes that engines put before the message of a failed build.
const DECORATION: [&str; 5] = [
    "failed to solve with frontend dockerfile.v0: ",
    "failed to solve with frontend gateway.v0: ",
    "failed to solve: ",
    "failed to build LLB: ",
    "failed to create LLB definition: ",
];

/// Returns a failed build's message without what different versions of engines put around it.
///
/// BuildKit 0.8 says `executor failed running [/bin/sh -c exit 3]: exit code: 3`, later versions say `process
/// "/bin/sh -c exit 3" did not complete successfully: exit code: 3`. The step is known, so only the end is kept.
pub(super) fn plain_message(message: &str) -> String {
    let mut rest = message.trim();
    loop {
        let before = rest;
        for prefix in DECORATION {
            rest = rest.strip_prefix(prefix).unwrap_or(rest);
        }
        if let Some((_, after)) =
            rest.strip_prefix("rpc error: code = ").and_then(|coded| coded.split_once(" desc = "))
        {
            rest = after;
        }
        if rest == before {
            break;
        }
    }
    split_command(rest).map_or(rest, |(_, after)| after).trim().to_owned()
}

/// Returns the command that a failed build's message names, as passed to the shell. It is all that is known of a
/// step shared with another build if this build failed before the step was reported.
pub(super) fn failed_command(message: &str) -> Option<&str> {
    let start = COMMANDS.iter().filter_map(|(start, _)| message.find(start)).min()?;
    let (command, _) = split_command(&message[start..])?;
    let command = command.trim_end_matches(['"', ' ']);
    Some(command.strip_prefix("/bin/sh -c ").unwrap_or(command))
}

/// The text before and after the command in messages of different versions.
const COMMANDS: [(&str, &str); 2] =
    [("executor failed running [", "]: "), ("process \"", "did not complete successfully: ")];

/// Splits a message that begins with a command into the command and the text after it.
fn split_command(message: &str) -> Option<(&str, &str)> {
    COMMANDS.iter().find_map(|(start, end)| {
        let rest = message.strip_prefix(start)?;
        let at = rest.rfind(end)?;
        Some((&rest[..at], &rest[at + end.len()..]))
    })
}

/// Returns the entitlement that the engine's configuration does not permit, if that is what a message says (BuildKit,
/// `util/entitlements`).
pub(super) fn refused_entitlement(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("granting entitlement ")?;
    let (name, _) = rest.split_once(" is not allowed by build daemon configuration")?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_commands_are_extracted_from_messages() {
        let check = |message: &str, command: Option<&str>, plain: &str| {
            assert_eq!(failed_command(message), command, "{message}");
            assert_eq!(plain_message(message), plain, "{message}");
        };
        check(
            "executor failed running [/bin/sh -c make]: exit code: 2",
            Some("make"),
            "exit code: 2",
        );
        check(
            "process \"/bin/sh -c make all\" did not complete successfully: exit code: 3",
            Some("make all"),
            "exit code: 3",
        );
        check("failed to solve: no such thing", None, "no such thing");
    }

    #[test]
    fn failures_of_the_engine_are_distinguished_from_those_of_the_image() {
        let check = |step: &str, message: &str, expected| {
            let step = (!step.is_empty()).then(|| parse_name(step));
            assert_eq!(cause_of_failure(step.as_ref(), message), expected, "{message}");
        };
        let engine = FailureCause::Engine { may_retry: true };
        let metadata = "[internal] load metadata for docker.io/library/debian:12";
        for message in [
            "failed to do request: Head \"https://x/v2/\": dial tcp 10.0.0.1:443: connect: \
             connection refused",
            "failed to do request: Head \"https://x/v2/\": dial tcp: lookup x on 10.0.0.1:53: no \
             such host",
            "failed to copy: httpReadSeeker: failed open: unexpected EOF",
            "Head \"https://x/v2/\": net/http: TLS handshake timeout",
            "dial tcp 10.0.0.1:443: i/o timeout",
            "rpc error: code = Unavailable desc = error reading from server: EOF",
            "failed to solve: Unavailable: connection error",
            "failed to solve: rpc error: code = Internal desc = panic",
            "failed to copy: httpReadSeeker: failed open: unexpected status code https://x/v2/: 429 \
             Too Many Requests - Server message: toomanyrequests: slow down",
            "failed to authorize: toomanyrequests: You have reached your pull rate limit.",
        ] {
            check(metadata, message, engine);
            check(
                "resolve image config for docker-image://docker.io/docker/dockerfile:1",
                message,
                engine,
            );
            check("", message, engine);
        }
        let full = "write /var/lib/docker/x: no space left on device";
        check("[2/2] COPY a /", full, engine);
        check("exporting to image", full, engine);
        check("[2/2] COPY a /", "failed to get edge: inconsistent graph state", engine);
        check("", "failed to mount /tmp/buildkit-mount1: invalid argument", engine);
        // A command may have been running.
        let run = "[2/2] RUN make";
        let began = format!("process \"/bin/sh -c make\" did not complete successfully: {full}");
        check(run, &began, FailureCause::Engine { may_retry: false });
        let image = FailureCause::Image;
        for message in [
            "process \"/bin/sh -c make\" did not complete successfully: exit code: 1",
            "rpc error: code = Unknown desc = executor failed running [sh -c echo connection \
             refused]: exit code: 28",
            "unable to find user nobody2: invalid argument",
            "runc run failed: unable to start container process: exec: \"x\": not found",
        ] {
            check(run, message, image);
        }
        check("[2/2] COPY a /", "\"/no such host: i/o timeout\": not found", image);
        check(
            "[2/2] ADD a.tar /",
            "Error processing tar file(exit status 1): unexpected EOF",
            image,
        );
        check(metadata, "docker.io/library/debian:12: not found", image);
        check(metadata, "pull access denied, repository does not exist", image);
        check("", "failed to create LLB definition: dockerfile parse error line 2: unknown", image);
    }

    #[test]
    fn transient_failures_are_distinguished_from_permanent_ones() {
        let check = |step: Option<&str>, message: &str, expected| {
            let step = step.map(parse_name);
            let cause = FailureCause::Image;
            let failure = BuildFailure { step, message: message.to_owned(), cause };
            assert_eq!(remedy(&failure), expected, "{message}");
        };
        check(
            None,
            "failed to prepare extraction snapshot \"extract-346123781-7NbI sha256:0408\": parent \
             snapshot sha256:702b does not exist: not found",
            Some(Remedy::Again),
        );
        let full = "failed to prepare extraction snapshot \"extract-3\": no space left on device";
        check(None, full, None);
        check(None, "parent snapshot sha256:702b does not exist: not found", None);
        let conflict = "image \"docker.io/shop/base:latest\": already exists";
        check(Some("exporting to image"), conflict, Some(Remedy::Again));
        check(Some("RUN create-image"), conflict, None);
        let missing = "image \"docker.io/shop/base:latest\": not found";
        check(Some("exporting to image"), missing, None);
        check(
            None,
            "failed to commit tmcd3 to 7nc6i during finalize: failed to stat active key during \
             commit: snapshot tmcd3 does not exist: not found",
            Some(Remedy::WithoutCache),
        );
        let full = "failed to commit tmcd3 to 7nc6i during finalize: no space left on device";
        check(None, full, None);
        check(None, "exit code: 1", None);
    }

    #[test]
    fn redundant_prefixes_are_removed_from_messages() {
        let check = |message, expected| assert_eq!(plain_message(message), expected, "{message}");
        check(
            "failed to solve with frontend dockerfile.v0: failed to build LLB: executor failed \
             running [/bin/sh -c exit 3]: exit code: 3",
            "exit code: 3",
        );
        check(
            "rpc error: code = Unknown desc = failed to solve: process \"/bin/sh -c [ -f a ]: \
             exit\" did not complete successfully: exit code: 127",
            "exit code: 127",
        );
        check(
            "failed to solve: rpc error: code = Unknown desc = executor failed running [sh -c \
             echo ]: x]: runc did not terminate successfully",
            "runc did not terminate successfully",
        );
        check(
            "failed to solve with frontend dockerfile.v0: failed to create LLB definition: \
             dockerfile parse error line 2: unknown instruction: FRM",
            "dockerfile parse error line 2: unknown instruction: FRM",
        );
        check("context canceled", "context canceled");
    }
}
