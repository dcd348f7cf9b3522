//! Error messages of registries.
//!
//! Owns the parsing of error codes and messages (OCI Distribution Specification, "Error codes"), and their display:
//! truncated, and without control characters. It does not decide how to handle a response.

use serde::Deserialize;

use crate::base::screen::is_unseen;

use super::http::Response;

/// The error codes for something that does not exist. `NOT_FOUND` is Harbor's.
const NOTHING: [&str; 3] = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"];

/// The maximum number of characters of a message to print.
const LONGEST: usize = 200;

#[derive(Deserialize)]
struct ErrorResponse {
    errors: Vec<ErrorDetail>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    code: String,
    message: String,
}

fn read(body: &[u8]) -> Vec<ErrorDetail> {
    let read: Option<ErrorResponse> = serde_json::from_slice(body).ok();
    read.map(|read| read.errors).unwrap_or_default()
}

/// Returns whether a response contains an error in the registries' format.
pub(super) fn has_errors(response: &Response) -> bool {
    !read(&response.body).is_empty()
}

/// Returns whether a registry reports that something does not exist.
pub(super) fn is_nothing(response: &Response) -> bool {
    read(&response.body).iter().any(|complaint| NOTHING.contains(&complaint.code.as_str()))
}

/// Returns the registry's message to append to a sentence, or the status if there is none.
pub(super) fn error_text(response: &Response) -> String {
    error_text_in(&response.body).unwrap_or_else(|| format!(" ({})", response.status))
}

/// Returns the registry's message to append to a sentence; `None` if there is none.
pub(super) fn error_text_in(body: &[u8]) -> Option<String> {
    let in_words = |complaint: &ErrorDetail| -> String {
        let text = match complaint.message.as_str() {
            "" => &complaint.code,
            message => message,
        };
        text.chars().filter(|c| !is_unseen(*c)).take(LONGEST).collect()
    };
    let all: Vec<String> = read(body).iter().take(3).map(in_words).collect();
    (!all.is_empty()).then(|| format!(": {}", all.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_errors_are_shortened_and_sanitized() {
        let check = |body: &str, expected: Option<&str>| {
            assert_eq!(error_text_in(body.as_bytes()).as_deref(), expected, "{body}");
        };
        check("", None);
        check("<html>", None);
        check(r#"{"errors":[]}"#, None);
        check(r#"{"errors":[{"code":"DENIED"}]}"#, Some(": DENIED"));
        let two = r#"{"errors":[{"code":"A","message":"a\u001b[1m"},{"message":"b"}]}"#;
        check(two, Some(": a[1m; b"));
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(999));
        check(&long, Some(&format!(": {}", "x".repeat(200))));
    }
}
