//! The words of BuildKit, and of the engines around it: names of steps, entries of histories, messages.
//!
//! Owns all that is recognized by its wording; nothing else compares such texts.

use crate::engine::{BuildFailure, Step};

/// Reads a vertex's name: `[2/3] RUN make`, `[linux/arm64 build 2/3] RUN make`,
/// `[internal] load build context`, `exporting to image`.
pub(super) fn parse_name(name: &str) -> Step {
    let plain = |text: &str| Step { stage: None, number: 0, total: 0, text: text.to_owned() };
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
    // A platform stands before the stage where more than one is built for, or one is asked for.
    let stage = before.split(' ').rfind(|word| !word.is_empty() && !word.contains('/'));
    Step { stage: stage.map(str::to_owned), number, total, text: text.to_owned() }
}

/// The image that the name of a step takes from outside the build, with the digest that it resolved to.
pub(in crate::engine) fn resolved_image(step: &str) -> Option<&str> {
    let image = step.strip_prefix("FROM ")?;
    image.contains("@sha256:").then_some(image.split_whitespace().next()?)
}

/// The image whose metadata a step looks up.
pub(super) fn looked_up_image(step: &str) -> Option<&str> {
    step.strip_prefix("load metadata for ")
}

/// The keyword of the instruction that left an entry in a history. Frontends word the rest differently
/// (`EXPOSE map[80/tcp:{}]`, `EXPOSE [80/tcp]`).
pub(in crate::engine) fn keyword_of(created_by: &str) -> &str {
    created_by.split_whitespace().next().unwrap_or_default()
}

/// What the engine says when a session that it was reading from has gone.
const SESSION_BROKE: [&str; 4] = [
    "transport is closing",
    "error reading from server",
    "client connection is closing",
    "no active session",
];

/// Whether a message says that a session has gone.
pub(super) fn is_broken_session(message: &str) -> bool {
    SESSION_BROKE.iter().any(|words| message.contains(words))
}

/// What stands in the messages of an engine that could not reach a registry or a server, or was
/// told by it to come back later.
const PASSING: [&str; 15] = [
    "429 Too Many Requests",
    "500 Internal Server Error",
    "502 Bad Gateway",
    "503 Service Unavailable",
    "504 Gateway Timeout",
    "TLS handshake timeout",
    "Temporary failure in name resolution",
    "connection refused",
    "connection reset by peer",
    "context deadline exceeded",
    "failed to do request",
    "i/o timeout",
    "network is unreachable",
    "no such host",
    "unexpected EOF",
];

/// Whether a failed build may do better at the next try. A `RUN` never does: what it runs may have
/// done half of its work elsewhere, and only its writer knows.
pub(super) fn may_pass(step: Option<&Step>, message: &str) -> bool {
    let runs = step.is_some_and(|step| step.text.starts_with("RUN"));
    !runs && PASSING.iter().any(|words| message.contains(words))
}

/// What an engine says besides where sending an image broke: more of a push than of a fetch depends
/// on connections that stay.
const PASSING_ON: [&str; 8] = [
    ": EOF",
    "Client.Timeout exceeded",
    "broken pipe",
    "no route to host",
    "server closed idle connection",
    "timed out",
    "toomanyrequests",
    "unavailable: ",
];

/// Whether a failed exchange with a registry may do better at the next try.
pub(in crate::engine) fn is_passing(message: &str) -> bool {
    // A status of the server's own trouble has no name here where a proxy made it up.
    let is_status = |(at, _): (usize, &str)| {
        let code = message[at + 2..].split(' ').next().unwrap_or_default();
        code.len() == 3 && code.starts_with('5') && code.bytes().all(|byte| byte.is_ascii_digit())
    };
    message.match_indices(": ").any(is_status)
        || PASSING.iter().chain(&PASSING_ON).any(|words| message.contains(words))
}

/// What helps where a build failed through no fault of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// To build again.
    Again,
    /// To build again without the cache.
    WithoutCache,
}

/// What helps where a build failed.
///
/// - The cache may have a step whose files it has lost: a build that is interrupted while its last step is
///   written may leave such a one behind on containerd's store, and every later build that finds it fails
///   alike (BuildKit 0.25, `cache/refs.go`, `finalize`).
/// - Files of an image that was removed meanwhile may be missing when the new image is unpacked: containerd's
///   garbage collector may remove a snapshot between the moment at which it is found and the moment at
///   which it is used. The next build makes it anew.
/// - Another build may have given its image the same new name at the same moment: containerd's store first
///   looks whether a name is there, then creates it, and refuses where another has come in between
///   (BuildKit 0.25, `exporter/containerimage/export.go`). The next build finds the name and moves it.
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

/// What BuildKit calls the step in which it hands a built image to the engine's store.
const EXPORT: &str = "exporting to image";

/// Prefixes that engines put before the message of a failed build.
const DECORATION: [&str; 5] = [
    "failed to solve with frontend dockerfile.v0: ",
    "failed to solve with frontend gateway.v0: ",
    "failed to solve: ",
    "failed to build LLB: ",
    "failed to create LLB definition: ",
];

/// A failed build's message without what engines of several ages put around it.
///
/// BuildKit 0.8 says `executor failed running [/bin/sh -c exit 3]: exit code: 3`, later ones
/// `process "/bin/sh -c exit 3" did not complete successfully: exit code: 3`; the step is known,
/// so only the end is news.
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

/// The command that a failed build's message names, as the shell got it: all that is known of
/// the step where a build that shared it with another failed before it was told of it.
pub(super) fn failed_command(message: &str) -> Option<&str> {
    let start = COMMANDS.iter().filter_map(|(start, _)| message.find(start)).min()?;
    let (command, _) = split_command(&message[start..])?;
    let command = command.trim_end_matches(['"', ' ']);
    Some(command.strip_prefix("/bin/sh -c ").unwrap_or(command))
}

/// What stands around the command in the messages of several ages.
const COMMANDS: [(&str, &str); 2] =
    [("executor failed running [", "]: "), ("process \"", "did not complete successfully: ")];

/// The command in a message that begins with naming one, and what follows it.
fn split_command(message: &str) -> Option<(&str, &str)> {
    COMMANDS.iter().find_map(|(start, end)| {
        let rest = message.strip_prefix(start)?;
        let at = rest.rfind(end)?;
        Some((&rest[..at], &rest[at + end.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_command_that_failed() {
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
    fn failures_that_building_again_helps_are_told_from_others() {
        let check = |step: Option<&str>, message: &str, expected| {
            let step = step.map(parse_name);
            let failure = BuildFailure { step, message: message.to_owned(), may_pass: false };
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
        let taken = "image \"docker.io/shop/base:latest\": already exists";
        check(Some("exporting to image"), taken, Some(Remedy::Again));
        check(Some("RUN create-image"), taken, None);
        let gone = "image \"docker.io/shop/base:latest\": not found";
        check(Some("exporting to image"), gone, None);
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
    fn messages_lose_their_decoration() {
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
