//! An ssh agent of our own, for private keys that are given as files.
//!
//! Owns the start and the end of one. It is OpenSSH's `ssh-agent`, which whoever has such keys
//! has too, and which knows every form of them. It gets the keys by a pipe, so that neither their
//! permissions nor their paths matter, and it ends with this process, whatever that dies of: its
//! shell waits for the end of a pipe that only this process holds, then ends the agent.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::base::error::usage;
use crate::process::{self, Kept, Run};

use super::source::Key;

const GET: &str =
    "install OpenSSH's client, or give the socket of an agent: `--ssh default=$SSH_AUTH_SOCK`";

/// What the agent's shell does. Ctrl-C reaches it too; it must outlive the builds all the same.
const UNTIL_CLOSED: &str = r#"
trap '' HUP INT TERM
echo "$SSH_AUTH_SOCK"
cat > /dev/null
ssh-agent -k > /dev/null
"#;

/// More than this `ssh-add` does not say.
const LONGEST_ANSWER: usize = 64 << 10;

/// A running agent, which ends when it is dropped.
pub struct KeyAgent {
    kept: Kept,
}

impl KeyAgent {
    /// Starts an agent that holds the keys.
    ///
    /// # Errors
    /// Where there is no `ssh-agent`, or a key can't be used.
    pub fn start(keys: &[Key]) -> anyhow::Result<KeyAgent> {
        let arguments = ["sh", "-c", UNTIL_CLOSED].map(OsStr::new);
        let agent = KeyAgent { kept: Kept::start("ssh-agent", &arguments, GET)? };
        for key in keys {
            agent.add(key)?;
        }
        Ok(agent)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(self.kept.first_line())
    }

    fn add(&self, key: &Key) -> anyhow::Result<()> {
        let finished = process::run(Run {
            program: "ssh-add",
            arguments: &[OsStr::new("-q"), OsStr::new("-")],
            variables: &[("SSH_AUTH_SOCK", self.socket().as_os_str())],
            stdin: Some(&key.content),
            most: LONGEST_ANSWER,
            get: GET,
        })?;
        if finished.status.success() {
            return Ok(());
        }
        // A key with a passphrase makes it ask, on whatever it finds to ask on.
        let said = String::from_utf8_lossy(&finished.stderr).to_ascii_lowercase();
        let path = &key.path;
        let (message, hint) = if said.contains("passphrase") || said.contains("askpass") {
            (
                format!("the key `{path}` has a passphrase"),
                format!("load it into an agent, `ssh-add {path}`, and give that: `--ssh default`"),
            )
        } else {
            (
                format!("`ssh-add` can't read the key `{path}`"),
                format!("`ssh-keygen -y -f {path}` says what is wrong with it"),
            )
        };
        Err(usage(message).hint(hint).into())
    }
}
