//! The engine's address, found by the rules of the docker command.
//!
//! Owns the interpretation of `DOCKER_HOST`, `DOCKER_CONTEXT`, and the contexts in Docker's configuration, all
//! passed in as a value. It opens no connections and does not read the environment itself.
//!
//! The order is that of docker/cli (`cli/command/cli.go`, `resolveContextName`): `DOCKER_HOST`, then
//! `DOCKER_CONTEXT`, then `currentContext` of `config.json`, then the default socket. A context is in
//! `contexts/meta/<sha256 of its name>/meta.json`, and its TLS files are in `contexts/tls/`.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Deserialize;

use crate::base::error::{ErrorKind, InfrastructureError, permanent};
use crate::base::screen::visible_path;
use crate::credentials::{self, read_json};
use crate::engine::buildkit::sha256_hex;

/// The default socket.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The settings of the process environment that select the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointEnvironment {
    /// `DOCKER_HOST`
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`
    pub context: Option<String>,
    /// `DOCKER_TLS_VERIFY`: any text enables TLS.
    pub tls_verify: Option<String>,
    /// `DOCKER_TLS`: enables TLS without verification of the engine's certificate.
    pub tls: Option<String>,
    /// `DOCKER_CERT_PATH`
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_CONFIG`, or `~/.docker` if the home directory is known.
    pub config: Option<PathBuf>,
}

impl EndpointEnvironment {
    /// Reads the settings through `var`, which has the interface of [`std::env::var_os`]. Empty variables count as
    /// unset.
    pub fn read(var: impl Fn(&str) -> Option<OsString>) -> EndpointEnvironment {
        let value = |name: &str| var(name).filter(|value| !value.is_empty());
        let text = |name: &str| value(name).map(|value| value.to_string_lossy().into_owned());
        EndpointEnvironment {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            tls_verify: text("DOCKER_TLS_VERIFY"),
            tls: text("DOCKER_TLS"),
            cert_path: value("DOCKER_CERT_PATH").map(PathBuf::from),
            config: credentials::directory(&var),
        }
    }
}

/// Where an engine listens, and how to connect to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: EndpointAddress,
    /// The directory with `ca.pem`, `cert.pem`, and `key.pem`, if the connection uses TLS.
    pub tls: Option<PathBuf>,
    /// The source of the address, for messages: `DOCKER_HOST`, ``the docker context `x` ``, …
    pub named_by: String,
}

/// An address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host and a port.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl std::fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EndpointAddress::Unix(path) => write!(f, "unix://{}", visible_path(path)),
            EndpointAddress::Tcp { host, port } if host.contains(':') => {
                write!(f, "tcp://[{host}]:{port}")
            }
            EndpointAddress::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// Finds the engine that the docker command would use.
///
/// # Errors
/// Returns an error with a hint if the configured engine cannot be used: an unknown scheme, or a context that does
/// not exist.
pub fn resolve(environment: &EndpointEnvironment) -> anyhow::Result<Endpoint> {
    if let Some(host) = &environment.host {
        return from_host(host, environment, "DOCKER_HOST".into());
    }
    let (name, set_by) = match &environment.context {
        Some(name) => (Some(name.clone()), "DOCKER_CONTEXT"),
        None => (current_context(environment)?, "Docker's configuration"),
    };
    match name.as_deref() {
        Some(name) if name != "default" => from_context(name, set_by, environment),
        _ => from_host(&format!("unix://{DEFAULT_SOCKET}"), environment, "default".into()),
    }
}

fn from_host(
    host: &str,
    environment: &EndpointEnvironment,
    named_by: String,
) -> anyhow::Result<Endpoint> {
    let (address, secure) = parse_host(host, environment, &named_by)?;
    if !secure || matches!(address, EndpointAddress::Unix(_)) {
        return Ok(Endpoint { address, tls: None, named_by });
    }
    if environment.tls_verify.is_none() && environment.tls.is_some() {
        return Err(permanent(
            "DOCKER_TLS without DOCKER_TLS_VERIFY is not supported: the engine's certificate \
             would not be verified",
        )
        .hint("set `DOCKER_TLS_VERIFY=1` and put the engine's `ca.pem` into DOCKER_CERT_PATH")
        .into());
    }
    match environment.cert_path.clone().or_else(|| environment.config.clone()) {
        Some(directory) => Ok(Endpoint { address, tls: Some(directory), named_by }),
        None => Err(permanent(
            "TLS is enabled, but the directory with the certificates is not set",
        )
        .hint("set DOCKER_CERT_PATH to the directory with `ca.pem`, `cert.pem`, and `key.pem`")
        .into()),
    }
}

fn parse_host(
    host: &str,
    environment: &EndpointEnvironment,
    named_by: &str,
) -> anyhow::Result<(EndpointAddress, bool)> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    let uses_tls = environment.tls_verify.is_some() || environment.tls.is_some();
    let secure = scheme == "https" || (scheme != "http" && uses_tls);
    let wrong = |what: &str, hint: &str| {
        Err(permanent(format!("{what} `{host}` ({named_by})")).hint(hint).into())
    };
    let forms = "use `unix:///path/to/docker.sock` or `tcp://host:port`";
    match scheme {
        "unix" if rest.is_empty() => wrong("no path in the engine address", forms),
        "unix" => Ok((EndpointAddress::Unix(PathBuf::from(rest)), false)),
        "tcp" | "http" | "https" => match parse_authority(rest, secure) {
            Some(address) => Ok((address, secure)),
            None => wrong("invalid engine address", forms),
        },
        "ssh" => wrong(
            "can't connect to an engine over ssh:",
            "forward its socket with `ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST`, and \
             set `DOCKER_HOST=unix:///tmp/docker.sock`",
        ),
        _ => wrong("unsupported scheme in the engine address", forms),
    }
}

/// Parses `host`, `host:port`, or `[v6]:port`; an optional path is ignored.
fn parse_authority(text: &str, secure: bool) -> Option<EndpointAddress> {
    let authority = text.split('/').next().unwrap_or_default();
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some(""))?)
        }
        None => authority.rsplit_once(':').unwrap_or((authority, "")),
    };
    let port = match port {
        "" if secure => 2376,
        "" => 2375,
        port => port.parse().ok().filter(|port| *port != 0)?,
    };
    let plain = |c: char| c.is_ascii_graphic() && !"@?#%\\<>\"'`{}|^".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    Some(EndpointAddress::Tcp { host: host.to_owned(), port })
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default, rename = "currentContext")]
    current_context: Option<String>,
}

fn current_context(environment: &EndpointEnvironment) -> anyhow::Result<Option<String>> {
    let Some(path) = environment.config.as_ref().map(|directory| directory.join("config.json"))
    else {
        return Ok(None);
    };
    let config: Option<DockerConfig> = read_json(&path)?;
    Ok(config.and_then(|config| config.current_context).filter(|name| !name.is_empty()))
}

#[derive(Deserialize)]
struct ContextFile {
    #[serde(rename = "Endpoints")]
    endpoints: ContextEndpoints,
}

#[derive(Deserialize)]
struct ContextEndpoints {
    docker: Option<ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(default, rename = "Host")]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

fn from_context(
    name: &str,
    set_by: &str,
    environment: &EndpointEnvironment,
) -> anyhow::Result<Endpoint> {
    let hash = sha256_hex(name.as_bytes());
    let unknown = || {
        let message = format!("the docker context `{name}` was not found (set by {set_by})");
        InfrastructureError::new(ErrorKind::NotFound, message).hint(
            "list contexts with `docker context ls`, or switch with `docker context use default`",
        )
    };
    let directory = environment.config.as_ref().ok_or_else(unknown)?.join("contexts");
    let meta: ContextFile =
        read_json(&directory.join("meta").join(&hash).join("meta.json"))?.ok_or_else(unknown)?;
    let Some(endpoint) = meta.endpoints.docker.filter(|endpoint| !endpoint.host.is_empty()) else {
        return Err(permanent(format!("the docker context `{name}` has no Docker endpoint"))
            .hint(format!("check it with `docker context inspect {name}`"))
            .into());
    };
    let tls = Some(directory.join("tls").join(&hash).join("docker"))
        .filter(|directory| directory.is_dir());
    if endpoint.skip_tls_verify {
        let message = format!(
            "the docker context `{name}` disables TLS verification, which is not supported"
        );
        let hint = format!("run `docker context update {name} --docker host=…,ca=…,cert=…,key=…`");
        return Err(permanent(message).hint(hint).into());
    }
    let verify = tls.is_some().then(|| "1".to_owned());
    let of_context = EndpointEnvironment {
        tls_verify: verify,
        cert_path: tls,
        ..EndpointEnvironment::default()
    };
    from_host(&endpoint.host, &of_context, format!("the docker context `{name}`"))
}

#[cfg(test)]
mod tests;
