//! What a registry says of what it refuses.
//!
//! Owns the reading of error codes and messages (OCI distribution specification, "Error codes"),
//! and how they are shown: cut short, and without what terminals obey. It decides on no request.

use serde::Deserialize;

use crate::base::screen::is_unseen;

use super::http::Response;

/// The codes by which a registry says that there is nothing. `NOT_FOUND` is Harbor's.
const NOTHING: [&str; 3] = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND"];

/// How much of a message is shown.
const LONGEST: usize = 200;

#[derive(Deserialize)]
struct Complaints {
    errors: Vec<Complaint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Complaint {
    code: String,
    message: String,
}

fn read(body: &[u8]) -> Vec<Complaint> {
    let read: Option<Complaints> = serde_json::from_slice(body).ok();
    read.map(|read| read.errors).unwrap_or_default()
}

/// Whether an answer says something in the way of registries.
pub(super) fn complains(response: &Response) -> bool {
    !read(&response.body).is_empty()
}

/// Whether a registry says that there is nothing at a place.
pub(super) fn is_nothing(response: &Response) -> bool {
    read(&response.body).iter().any(|complaint| NOTHING.contains(&complaint.code.as_str()))
}

/// What the registry says, to be put behind a sentence; its status where it says nothing.
pub(super) fn said(response: &Response) -> String {
    said_in(&response.body).unwrap_or_else(|| format!(" ({})", response.status))
}

/// The same; nothing where it says nothing.
pub(super) fn said_in(body: &[u8]) -> Option<String> {
    let in_words = |complaint: &Complaint| -> String {
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
    fn complaints_are_shown_short_and_clean() {
        let check = |body: &str, expected: Option<&str>| {
            assert_eq!(said_in(body.as_bytes()).as_deref(), expected, "{body}");
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
