//! The only spawner of child processes.
//!
//! Owns how a program is run: blocking, with stdin given or closed, with limits on its output, and with errors that
//! name the program and how to install it. Also owns whether a process has ended. It knows no program by name.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::base::error::permanent;
use crate::base::screen::visible_path;
use crate::base::waiting::{self, WaitError};

/// The maximum length of the first line of a [`ChildProcess`] program, in bytes.
const LONGEST_LINE: u64 = 4096;

/// How long the pipes of a program with a time limit are read after it has exited.
const PIPES_WITHIN: Duration = Duration::from_millis(500);

/// The output and the exit status of a program.
#[derive(Debug)]
pub struct ProgramOutput {
    /// The exit status.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

/// How to run a program.
#[derive(Debug, Clone, Copy)]
pub struct ProgramCommand<'a> {
    /// The program, looked up in `PATH`.
    pub program: &'a str,
    /// Its arguments.
    pub arguments: &'a [&'a OsStr],
    /// Environment variables that it gets in addition to those of this process.
    pub variables: &'a [(&'a str, &'a OsStr)],
    /// What it reads from stdin, which is closed if this is `None`.
    pub stdin: Option<&'a [u8]>,
    /// The maximum number of bytes that it may write to stdout, and to stderr.
    pub most: usize,
    /// How to install the program: the hint of the error if it is missing.
    pub get: &'a str,
    /// How long it may run, for programs that depend on something outside this machine.
    pub limit: Option<Duration>,
}

/// Runs a program until it exits. A failure status is not an error here.
///
/// # Errors
/// Returns an error if the program cannot be started, writes more than allowed, or exceeds its time limit. The message
/// names the program.
pub fn run(run: ProgramCommand<'_>) -> anyhow::Result<ProgramOutput> {
    let program = run.program;
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns programs")]
    let mut child = Command::new(program)
        .args(run.arguments)
        .envs(run.variables.iter().copied())
        .stdin(if run.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| cannot_start(program, &error, run.get))?;
    // All three pipes are served at once: a program that writes before it has read would block forever.
    let stdout = PipeOutput::read(child.stdout.take(), run.most);
    let stderr = PipeOutput::read(child.stderr.take(), run.most);
    let (stdin, input) = (child.stdin.take(), run.stdin.map(<[u8]>::to_vec));
    let written = in_background(move || match (stdin, input) {
        (Some(mut pipe), Some(bytes)) => pipe.write_all(&bytes),
        _ => Ok(()),
    });
    let status = match run.limit {
        None => child.wait()?,
        Some(limit) => wait_within(&mut child, program, limit)?,
    };
    // Another process that the program started may keep its pipes open.
    let tail = run.limit.map(|_| PIPES_WITHIN);
    // A program may exit without reading all its input. Its status tells whether it succeeded.
    if let Some(Err(error)) = receive(&written, tail)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        anyhow::bail!("can't write to `{program}`: {error}");
    }
    match (stdout.take(tail), stderr.take(tail)) {
        (stdout, stderr) if stdout.len().max(stderr.len()) <= run.most => {
            Ok(ProgramOutput { status, stdout, stderr })
        }
        _ => anyhow::bail!("`{program}` wrote more than {} bytes", run.most),
    }
}

/// Waits until a program exits. After the limit, it is killed.
fn wait_within(child: &mut Child, program: &str, limit: Duration) -> anyhow::Result<ExitStatus> {
    let process = Pid::from_child(child);
    let what = format!("`{program}` to finish");
    // The process is not reaped: its number remains its own until it is.
    let exited =
        move || waitid(WaitId::Pid(process), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
    let why = match waiting::wait(&what, limit, exited) {
        Ok(_) => return Ok(child.wait()?),
        Err(WaitError::TimedOut) => format!("timed out after {} s", limit.as_secs()),
        Err(WaitError::Interrupted) => "was interrupted".to_owned(),
    };
    // It may have exited in the meantime.
    child.kill().unwrap_or_default();
    child.wait()?;
    let hint = format!("run `{program}` to see what it waits for");
    Err(permanent(format!("`{program}` {why}")).hint(hint).into())
}

/// What a program writes to a pipe, which is read on another thread.
struct PipeOutput {
    bytes: Arc<Mutex<Vec<u8>>>,
    end: Receiver<()>,
}

impl PipeOutput {
    /// Starts to read, up to the end or until there are more than `most` bytes.
    fn read(pipe: Option<impl Read + Send + 'static>, most: usize) -> PipeOutput {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&bytes);
        let mut pipe = pipe;
        let end = in_background(move || {
            let mut chunk = [0; 8192];
            while let Some(count @ 1..) =
                pipe.as_mut().and_then(|pipe| read_chunk(pipe, &mut chunk))
            {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend_from_slice(&chunk[..count]);
                if all.len() > most {
                    break;
                }
            }
        });
        PipeOutput { bytes, end }
    }

    /// Returns what was written, up to the end or until the limit.
    fn take(self, limit: Option<Duration>) -> Vec<u8> {
        receive(&self.end, limit);
        std::mem::take(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads some bytes; `None` if the pipe cannot be read.
fn read_chunk(pipe: &mut impl Read, chunk: &mut [u8]) -> Option<usize> {
    loop {
        match pipe.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.ok(),
        }
    }
}

/// Does some work on another thread, which sends its result.
fn in_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (to_waiter, result) = mpsc::channel();
    // A waiter that is gone does not need the result.
    thread::spawn(move || drop(to_waiter.send(work())));
    result
}

fn receive<T>(result: &Receiver<T>, limit: Option<Duration>) -> Option<T> {
    match limit {
        None => result.recv().ok(),
        Some(limit) => result.recv_timeout(limit).ok(),
    }
}

/// Runs this executable with other arguments, in its own process group, and waits until it exits.
///
/// A signal to this process, or to the process group of its terminal, does not reach the child, which therefore
/// finishes its work even if this process is killed. It reads `stdin`, if it wants to. Keeps what the child writes to stderr, at most `most` bytes.
///
/// # Errors
/// Returns an error if the child cannot be started.
pub fn run_apart(arguments: &[&OsStr], stdin: &[u8], most: usize) -> anyhow::Result<ProgramOutput> {
    let program = std::env::current_exe().context("can't determine the path of this executable")?;
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns programs")]
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("can't start `{}`", visible_path(&program)))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A child that reads nothing has closed it, or leaves what fits into the pipe.
        drop(pipe.write_all(stdin));
    }
    let stderr = read_bounded(child.stderr.take(), most).unwrap_or_default();
    Ok(ProgramOutput { status: child.wait()?, stdout: Vec::new(), stderr })
}

/// Returns whether a process on this machine that was alive at some time has ended, as far as the system reports.
/// Another process that started later may have its number by now.
pub fn has_ended(process: u32, alive_at: Option<SystemTime>) -> bool {
    if !Path::new("/proc/self").exists() {
        return false;
    }
    if !Path::new(&format!("/proc/{process}")).exists() {
        return true;
    }
    let started = started_at(process);
    started.zip(alive_at).is_some_and(|(started, alive)| started > alive + CLOCK_STEP)
}

/// The precision of file times and of process start times.
const CLOCK_STEP: Duration = Duration::from_secs(2);

/// Returns when a process started (proc(5): field 22 of `stat`, in hundredths of a second since the system started,
/// whose time is `btime`).
fn started_at(process: u32) -> Option<SystemTime> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // A program's name may contain spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let start = system.lines().find_map(|line| line.strip_prefix("btime "))?;
    let start = Duration::from_secs(start.trim().parse().ok()?);
    Some(SystemTime::UNIX_EPOCH + start + Duration::from_millis(ticks * 10))
}

fn cannot_start(program: &str, error: &io::Error, get: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            permanent(format!("program `{program}` not found")).hint(get).into()
        }
        _ => permanent(format!("can't run `{program}`: {error}")).hint(get).into(),
    }
}

/// A child process that runs until this value is dropped.
///
/// The program must exit when its stdin is closed. That happens when this value is dropped, and also when this process
/// dies, for any reason.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    /// Kept open so that the program can keep writing without being killed; not read after the first line.
    stdout: Option<BufReader<ChildStdout>>,
    first_line: String,
}

impl ChildProcess {
    /// Starts a program and waits for the first line that it writes. `get` says how to install the program.
    ///
    /// # Errors
    /// Returns an error if the program cannot be started, or exits without writing a line.
    pub fn start(program: &str, arguments: &[&OsStr], get: &str) -> anyhow::Result<ChildProcess> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns programs")]
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| cannot_start(program, &error, get))?;
        let mut first_line = String::new();
        let mut stdout = child.stdout.take().map(BufReader::new);
        let read = match &mut stdout {
            Some(pipe) => pipe.take(LONGEST_LINE).read_line(&mut first_line),
            None => Ok(0),
        };
        let child_process =
            ChildProcess { child, stdout, first_line: first_line.trim_end().to_owned() };
        match read {
            Ok(_) if !child_process.first_line.is_empty() => Ok(child_process),
            _ => anyhow::bail!(permanent(format!("`{program}` did not start")).hint(get)),
        }
    }

    /// The first line that the program wrote.
    pub fn first_line(&self) -> &str {
        &self.first_line
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.stdout.take());
        // The exit status does not matter here.
        drop(self.child.wait());
    }
}

/// Reads to the end. Returns `None` if there are more than `most` bytes, or if they cannot be read.
fn read_bounded(pipe: Option<impl Read>, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).ok()?.saturating_add(1);
    pipe?.take(limit).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= most).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    fn shell(script: &str, stdin: Option<&[u8]>, most: usize) -> anyhow::Result<ProgramOutput> {
        let arguments = [OsStr::new("-c"), OsStr::new(script)];
        let variables = [("WORD", OsStr::new("of ours"))];
        let get = "install a shell";
        let program = "sh";
        run(ProgramCommand {
            program,
            arguments: &arguments,
            variables: &variables,
            stdin,
            most,
            get,
            limit: None,
        })
    }

    #[test]
    fn programs_receive_stdin_and_return_their_output() {
        let finished = shell("cat; echo err >&2; exit 3", Some(b"in"), 100).unwrap();
        assert_eq!(finished.stdout, b"in");
        assert_eq!(finished.stderr, b"err\n");
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!(shell("cat", None, 100).unwrap().stdout, b"", "input is closed");
    }

    #[test]
    fn a_process_that_started_later_is_a_different_process() {
        let script = ["-c".as_ref(), "echo up; cat".as_ref()];
        let child_process = ChildProcess::start("sh", &script, "").unwrap();
        let now = SystemTime::UNIX_EPOCH + clock::now().since_epoch();
        let process = child_process.child.id();
        assert!(!has_ended(process, Some(now)));
        assert!(!has_ended(process, None));
        assert!(has_ended(process, Some(now - Duration::from_secs(60))), "it is too young");
        drop(child_process);
        assert!(has_ended(process, Some(now)));
    }

    #[test]
    fn output_is_limited_and_unread_input_is_not_an_error() {
        assert_eq!(shell("printf 1234", None, 4).unwrap().stdout, b"1234");
        let error = shell("printf 12345", None, 4).unwrap_err();
        assert_eq!(error.to_string(), "`sh` wrote more than 4 bytes");
        assert!(shell("true", Some(&[0; 1 << 20]), 4).unwrap().status.success());
    }

    #[test]
    fn programs_with_a_time_limit_are_killed_and_their_children_are_not_waited_for() {
        let within = |script: &str, limit: Duration| {
            run(ProgramCommand {
                program: "sh",
                arguments: &[OsStr::new("-c"), OsStr::new(script)],
                variables: &[],
                stdin: Some(b"in"),
                most: 100,
                get: "",
                limit: Some(limit),
            })
        };
        let error = within("exec sleep 600", Duration::from_millis(10)).unwrap_err();
        assert_eq!(
            crate::base::error::text(&error),
            "`sh` timed out after 0 s\nhint: run `sh` to see what it waits for"
        );
        // `sleep` keeps the output open after its parent has exited.
        let leaves = within("sleep 5 & cat; exit 3", Duration::from_secs(600)).unwrap();
        assert_eq!((leaves.stdout.as_slice(), leaves.status.code()), (b"in".as_slice(), Some(3)));
    }

    #[test]
    fn environment_variables_are_passed_to_programs() {
        let script = r#"printf %s "$WORD" "${PATH:+ and of all}""#;
        assert_eq!(shell(script, None, 100).unwrap().stdout, b"of ours and of all");
    }

    #[test]
    fn child_processes_end_when_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let ended = directory.path().join("ended");
        let script = "echo ready; cat; touch \"$0\"";
        let arguments = [OsStr::new("-c"), OsStr::new(script), ended.as_os_str()];
        let child_process = ChildProcess::start("sh", &arguments, "install a shell").unwrap();
        assert_eq!(child_process.first_line(), "ready");
        assert!(!ended.exists());
        drop(child_process);
        assert!(ended.exists());
        let silent = [OsStr::new("-c"), OsStr::new("exit 1")];
        let error = ChildProcess::start("sh", &silent, "install a shell").unwrap_err();
        assert_eq!(crate::base::error::text(&error), "`sh` did not start\nhint: install a shell");
    }

    #[test]
    fn missing_programs_are_reported_with_an_install_hint() {
        let missing = ProgramCommand {
            program: "no-such-program",
            arguments: &[],
            variables: &[],
            stdin: None,
            most: 1,
            get: "get it",
            limit: None,
        };
        let expected = "program `no-such-program` not found\nhint: get it";
        assert_eq!(crate::base::error::text(&run(missing).unwrap_err()), expected);
        let error = ChildProcess::start("no-such-program", &[], "get it").unwrap_err();
        assert_eq!(crate::base::error::text(&error), expected);
    }
}
