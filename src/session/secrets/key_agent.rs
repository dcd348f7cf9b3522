//! A private ssh agent, for keys that are given as files.
//!
//! Owns the start and the end of one. It is OpenSSH's `ssh-agent`, which anyone with such keys has installed, and which
//! supports every key format. It gets the keys through a pipe, so their permissions and paths do not matter. It ends
//! with this process, however the process ends: the agent's shell waits until a pipe that only this process holds is
//! closed, and then ends the agent.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::error::usage;
use crate::process::{self, ChildProcess, ProgramCommand};

use super::source::KeyFile;

const GET: &str =
    "install the OpenSSH client, or pass an agent's socket: `--ssh default=$SSH_AUTH_SOCK`";

/// What the agent's shell runs. Ctrl-C reaches the shell too, but it must outlive the builds.
const UNTIL_CLOSED: &str = r#"
trap '' HUP INT TERM
echo "$SSH_AUTH_SOCK"
cat > /dev/null
ssh-agent -k > /dev/null
"#;

/// The maximum length of the output of `ssh-add`, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// How long `ssh-add` may take. It may ask for a passphrase.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A running agent, which ends when it is dropped.
pub struct KeyAgent {
    process: ChildProcess,
}

impl KeyAgent {
    /// Starts an agent that has the given keys.
    ///
    /// # Errors
    /// Returns an error if `ssh-agent` is missing, or if a key cannot be used.
    pub fn start(keys: &[KeyFile]) -> anyhow::Result<KeyAgent> {
        let arguments = ["sh", "-c", UNTIL_CLOSED].map(OsStr::new);
        let agent = KeyAgent { process: ChildProcess::start("ssh-agent", &arguments, GET)? };
        for key in keys {
            agent.add(key)?;
        }
        Ok(agent)
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(self.process.first_line())
    }

    fn add(&self, key: &KeyFile) -> anyhow::Result<()> {
        let finished = process::run(ProgramCommand {
            program: "ssh-add",
            arguments: &[OsStr::new("-q"), OsStr::new("-")],
            variables: &[("SSH_AUTH_SOCK", self.socket().as_os_str())],
            stdin: Some(&key.content),
            most: LONGEST_ANSWER,
            get: GET,
            limit: Some(ANSWER_WITHIN),
        })?;
        if finished.status.success() {
            return Ok(());
        }
        // If a key has a passphrase, `ssh-add` asks for it on whatever it finds to ask on.
        let stderr = String::from_utf8_lossy(&finished.stderr).to_ascii_lowercase();
        let path = &key.path;
        let (message, hint) = if stderr.contains("passphrase") || stderr.contains("askpass") {
            (
                format!("the key `{path}` has a passphrase"),
                format!("add it to an agent with `ssh-add {path}`, and pass `--ssh default`"),
            )
        } else {
            (
                format!("`ssh-add` can't read the key `{path}`"),
                format!("`ssh-keygen -y -f {path}` shows what is wrong with it"),
            )
        };
        Err(usage(message).hint(hint).into())
    }
}
