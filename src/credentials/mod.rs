//! Credentials for registries and proxies for builds, from Docker's configuration.
//!
//! Owns the interpretation of `auths`, `credsStore`, and `credHelpers` in `config.json`, and the protocol of
//! credential helpers. Nothing is read before a registry requires it, nothing is kept, and messages never contain
//! secrets.
//!
//! A helper that is configured for a registry, or for all, replaces `auths`, as in Docker's own
//! `cli/config/credentials`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::base::error::permanent;
use crate::base::screen::{visible, visible_path};
use crate::process::{self, ProgramCommand, ProgramOutput};

mod proxies;

pub use proxies::{BuildProxies, is_proxy};

/// Docker's key for the credentials of Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// The maximum length of a helper's output in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// How long a helper may take. It may ask for a passphrase.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Credentials for one registry. If the username is empty, the secret is an identity token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The username.
    pub username: String,
    /// The password or the identity token.
    pub secret: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Looks up credentials in a Docker configuration directory.
#[derive(Debug, Clone)]
pub struct CredentialStore {
    directory: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CredentialsConfig {
    auths: HashMap<String, AuthEntry>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

impl CredentialStore {
    /// Creates a store for `config.json` in this directory; without a directory, the store is empty.
    pub fn new(directory: Option<PathBuf>) -> CredentialStore {
        CredentialStore { directory }
    }

    /// Returns the credentials for a registry's host, as the engine names it. `None` means anonymous access.
    ///
    /// # Errors
    /// Returns an error if the configuration cannot be read, or if a credential helper fails or is missing.
    pub fn lookup(&self, host: &str) -> anyhow::Result<Option<Credential>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let config: CredentialsConfig =
            read_json(&directory.join("config.json"))?.unwrap_or_default();
        let key = match host {
            "registry-1.docker.io" | "docker.io" | "index.docker.io" => HUB,
            other => other,
        };
        let helper = config.helpers.get(key).or_else(|| config.helpers.get(host));
        if let Some(helper) = helper.or(config.store.as_ref()).filter(|name| !name.is_empty()) {
            if !is_helper_name(helper) {
                return Err(permanent(format!(
                    "`{}` is not a valid name for the credential helper of `{}`",
                    visible(helper),
                    visible(key)
                ))
                .hint(
                    "in Docker's configuration, use the part after `docker-credential-`, such as \
                     `pass`",
                )
                .into());
            }
            return run_helper(helper, key);
        }
        let entry = config.auths.get(key).or_else(|| {
            config.auths.iter().find(|(name, _)| host_of(name) == host_of(key)).map(|(_, at)| at)
        });
        entry.map_or(Ok(None), |entry| read_entry(entry, key))
    }
}

/// Returns whether this is a valid name for a helper, which is looked up in `PATH` and never by path.
fn is_helper_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
}

/// Returns the directory of Docker's configuration: `DOCKER_CONFIG`, or `.docker` in the home directory.
pub fn directory(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let value = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    value("DOCKER_CONFIG").or_else(|| Some(value("HOME")?.join(".docker")))
}

/// Returns the host of a key. Keys are hosts, or URLs such as `https://registry.example.com/v1/`.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    key.split('/').next().unwrap_or(key)
}

fn read_entry(entry: &AuthEntry, key: &str) -> anyhow::Result<Option<Credential>> {
    if !entry.identitytoken.is_empty() {
        let secret = entry.identitytoken.clone();
        return Ok(Some(Credential { username: String::new(), secret }));
    }
    if entry.auth.is_empty() {
        let credential =
            Credential { username: entry.username.clone(), secret: entry.password.clone() };
        return Ok(Some(credential).filter(|found| !found.username.is_empty()));
    }
    let unreadable =
        || format!("the `auth` of `{}` in Docker's configuration is not valid", visible(key));
    let bytes = STANDARD.decode(entry.auth.trim()).ok().with_context(unreadable)?;
    let text = String::from_utf8(bytes).ok().with_context(unreadable)?;
    let (username, secret) = text.split_once(':').with_context(unreadable)?;
    // Old docker commands padded the text with zero bytes.
    let secret = secret.trim_end_matches('\0').to_owned();
    Ok(Some(Credential { username: username.to_owned(), secret }))
}

fn run_helper(helper: &str, key: &str) -> anyhow::Result<Option<Credential>> {
    let program = format!("docker-credential-{helper}");
    let get = format!(
        "install `{program}`, or remove `{helper}` from `credsStore` and `credHelpers` in \
         Docker's configuration"
    );
    let finished = process::run(ProgramCommand {
        program: &program,
        arguments: &[OsStr::new("get")],
        variables: &[],
        stdin: Some(key.as_bytes()),
        most: LONGEST_ANSWER,
        get: &get,
        limit: Some(ANSWER_WITHIN),
    })?;
    read_answer(&program, key, &finished)
}

/// Parses a helper's output (docker/docker-credential-helpers, `credentials`).
fn read_answer(
    program: &str,
    key: &str,
    finished: &ProgramOutput,
) -> anyhow::Result<Option<Credential>> {
    if !finished.status.success() {
        // Helpers print errors to stdout.
        let stdout = String::from_utf8_lossy(&finished.stdout);
        if stdout.contains("credentials not found") {
            return Ok(None);
        }
        anyhow::bail!(
            "`{program}` failed to get credentials for `{}`: {}",
            visible(key),
            visible(stdout.trim())
        );
    }
    let answer: HelperAnswer = serde_json::from_slice(&finished.stdout)
        .ok()
        .with_context(|| format!("`{program}` printed invalid output"))?;
    let username = if answer.username == "<token>" { String::new() } else { answer.username };
    Ok(Some(Credential { username, secret: answer.secret }))
}

/// Returns whether an error means that nothing exists at the path.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a JSON file of Docker's configuration; `None` if it does not exist.
///
/// # Errors
/// Returns an error with a hint if the file cannot be read.
pub fn read_json<T: for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => {
            return Err(permanent(format!("can't read `{}`: {error}", visible_path(path)))
                .hint("make the file readable, or set DOCKER_CONFIG to another directory")
                .into());
        }
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let hint = "fix the file, or set DOCKER_CONFIG to another directory";
        // The parser's own message quotes the content, which may be a secret.
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() { "unexpected value" } else { "invalid JSON" };
        let message = format!("{what} at line {line}, column {column}");
        let path = visible_path(path);
        permanent(format!("`{path}` is not a valid Docker configuration: {message}"))
            .hint(hint)
            .into()
    })
}

#[cfg(test)]
mod tests;
