//! Where secrets and agents are, and what they contain.
//!
//! Owns the reading of files and variables. A value is read once, before anything is built: so a missing one is
//! reported early, a pipe can be read like a file, and all images of a run get the same value. No message contains a
//! value.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::base::screen::visible_path;
use crate::engine::secret::LARGEST;
use crate::scan::config::SecretSource;
use crate::session::consent::{LocatedPath, canonical, with_home};
use crate::workspace::environment::Environment;

/// The maximum size of a private key, in bytes.
const LARGEST_KEY: usize = 100 * 1024;

/// Why a secret or an agent is not available, and what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnavailableSecret {
    /// The reason.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

fn lacking(why: impl Into<String>, hint: impl Into<String>) -> UnavailableSecret {
    UnavailableSecret { why: why.into(), hint: hint.into() }
}

/// A key file and its content.
pub struct KeyFile {
    pub path: String,
    pub content: Vec<u8>,
}

/// An agent that is available.
pub enum AgentSource {
    /// A running agent, by its socket.
    Socket(PathBuf),
    /// Private keys, for which an agent has to be started.
    Keys(Vec<KeyFile>),
}

/// The directory that relative paths start at, and the environment.
#[derive(Clone, Copy)]
pub struct SecretContext<'a> {
    pub directory: &'a Path,
    pub environment: &'a Environment,
}

impl SecretContext<'_> {
    /// Returns the value of a secret.
    pub fn value(self, source: &SecretSource) -> Result<Vec<u8>, UnavailableSecret> {
        match source {
            SecretSource::Variable(name) => self.variable(name),
            SecretSource::File(path) => self.file(&self.locate(path)),
        }
    }

    /// Returns the value of a secret in an environment variable.
    pub fn variable(self, name: &str) -> Result<Vec<u8>, UnavailableSecret> {
        match self.environment.var(name) {
            Some(value) if value.len() <= LARGEST => Ok(value.as_bytes().to_vec()),
            Some(_) => Err(too_large()),
            None => Err(lacking(
                format!("the variable `{name}` is not set"),
                format!("set it with `export {name}=…`, or use a file with `src=`"),
            )),
        }
    }

    /// Returns the value of a secret in a file.
    pub fn file(self, file: &LocatedPath<'_>) -> Result<Vec<u8>, UnavailableSecret> {
        self.read(file, LARGEST)?.ok_or_else(too_large)
    }

    /// Returns the value of a secret for which only the ID is given: the value of the variable of that name, or else
    /// the content of the file of that name.
    pub fn value_of(self, id: &str) -> Result<Vec<u8>, UnavailableSecret> {
        if self.environment.var(id).is_some() {
            return self.variable(id);
        }
        if self.path(id).exists() {
            return self.file(&self.locate(id));
        }
        Err(lacking(
            format!("no environment variable or file `{id}` found"),
            format!("specify its source: `id={id},env=NAME` or `id={id},src=FILE`"),
        ))
    }

    /// Returns the agent at a socket, an agent for some keys, or the agent of the environment if there are no paths.
    pub fn agent(self, paths: &[LocatedPath<'_>]) -> Result<AgentSource, UnavailableSecret> {
        if paths.is_empty() {
            let Some(path) = self.environment.path("SSH_AUTH_SOCK") else {
                return Err(lacking(
                    "SSH_AUTH_SOCK is not set",
                    "start an agent with your keys: `eval $(ssh-agent) && ssh-add`",
                ));
            };
            return reach(path);
        }
        let mut keys = Vec::new();
        for located in paths {
            let written = located.written;
            let path = located.path.clone()?;
            if fs::metadata(&path).is_ok_and(|it| it.file_type().is_socket()) {
                return match paths {
                    [_] => reach(path),
                    _ => Err(lacking(
                        format!(
                            "`{written}` is a socket, which can't be combined with other paths"
                        ),
                        "pass one socket, or only keys",
                    )),
                };
            }
            let is_key = |content: &Vec<u8>| {
                content.windows(12).any(|words| words.starts_with(b"PRIVATE KEY"))
            };
            let Some(content) = self.read(located, LARGEST_KEY)?.filter(is_key) else {
                return Err(lacking(
                    format!("`{written}` is neither a socket nor a private key"),
                    "use the private key, not its `.pub` file",
                ));
            };
            keys.push(KeyFile { path: written.into(), content });
        }
        Ok(AgentSource::Keys(keys))
    }

    /// Reads a file. Returns `None` if it has more than `most` bytes.
    fn read(
        self,
        file: &LocatedPath<'_>,
        most: usize,
    ) -> Result<Option<Vec<u8>>, UnavailableSecret> {
        let path = file.path.clone()?;
        let cant = |error: std::io::Error| self.unreadable(file.written, &error);
        let limit = u64::try_from(most).map_or(u64::MAX, |most| most + 1);
        let mut content = Vec::new();
        let opened = File::open(path).map_err(cant)?;
        opened.take(limit).read_to_end(&mut content).map_err(cant)?;
        Ok(Some(content).filter(|content| content.len() <= most))
    }

    /// Locates a path from the command line. The system follows its links when it is opened, so `/dev/fd/63` is a pipe.
    pub fn locate(self, written: &str) -> LocatedPath<'_> {
        LocatedPath { written, path: Ok(self.path(written)) }
    }

    /// Locates a path from `layers.toml`, with its links resolved.
    pub fn resolve(self, written: &str) -> LocatedPath<'_> {
        let found = canonical(&self.path(written));
        let path = found.map_err(|error| self.unreadable(written, &error));
        LocatedPath { written, path }
    }

    fn unreadable(self, written: &str, error: &std::io::Error) -> UnavailableSecret {
        let directory = visible_path(self.directory);
        lacking(format!("`{written}`: {error}"), format!("paths are relative to `{directory}`"))
    }

    fn path(self, written: &str) -> PathBuf {
        with_home(written, self.directory, self.environment.path("HOME"))
    }
}

/// Connects to an agent. Without this check, an agent that does not answer would be noticed only in the middle of a
/// build.
fn reach(path: PathBuf) -> Result<AgentSource, UnavailableSecret> {
    match UnixStream::connect(&path) {
        Ok(_) => Ok(AgentSource::Socket(path)),
        Err(error) => Err(lacking(
            format!("can't connect to an agent at `{}`: {error}", visible_path(&path)),
            "start one with your keys: `eval $(ssh-agent) && ssh-add`",
        )),
    }
}

fn too_large() -> UnavailableSecret {
    lacking(
        format!("it is larger than {} KiB", LARGEST / 1024),
        "engines do not accept larger secrets: shorten it, or split it",
    )
}
