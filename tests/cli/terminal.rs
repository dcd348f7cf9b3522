//! The live view in a real pseudo-terminal, displayed by a terminal emulator.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};

use crate::harness::Project;

/// Whatever takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A program in a terminal.
pub struct Session {
    pub pty: Pty,
    child: Child,
    pieces: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All output so far.
    bytes: Vec<u8>,
}

impl Session {
    fn start(project: &Project, size: (u16, u16), more: &[(&str, &str)]) -> Session {
        let arguments = ["build", "--all", "--engine", "fake", "-j2", "--keep-going"];
        Session::launch(project, &arguments, size, more)
    }

    /// Starts the program with arguments and additional variables.
    pub fn launch(
        project: &Project,
        arguments: &[&str],
        (rows, columns): (u16, u16),
        more: &[(&str, &str)],
    ) -> Session {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_layers"))
            .args(arguments)
            .current_dir(project.root())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", project.root())
            .env("TERM", "xterm-256color")
            // This emulator does not rewrap lines, like xterm.
            .env("XTERM_VERSION", "XTerm(379)")
            .env("LAYERS_FAKE_SCRIPT", project.root().join(".layers/fake.json"));
        for (name, value) in more {
            command = command.env(name, value);
        }
        let child = command.spawn(pts).unwrap();
        let (report, pieces) = mpsc::channel();
        let mut reader = File::from(pty.as_fd().try_clone_to_owned().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // After the last process closes the terminal, reading it is an error.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                if report.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let side = |length| NonZero::new(length).unwrap();
        let screen = vt100::Parser::new(side(rows), side(columns), 0);
        Session { pty, child, pieces, screen, bytes: Vec::new() }
    }

    fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen is as expected, and returns it.
    pub fn until(&mut self, is_right: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let contents = self.contents();
            if is_right(&contents) {
                return contents;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => {
                    self.screen.process(&piece);
                    self.bytes.extend(piece);
                }
                Err(_) => panic!("the screen never became right:\n{contents}"),
            }
        }
    }

    /// Waits for the end. Returns the exit status, the last screen, and all output.
    pub fn end(mut self) -> (ExitStatus, String, Vec<u8>) {
        let status = self.child.wait().unwrap();
        let end = Instant::now() + LIMIT;
        while let Ok(piece) =
            self.pieces.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.screen.process(&piece);
            self.bytes.extend(piece);
        }
        (status, self.contents(), self.bytes)
    }
}

/// base ← dev, and x, which fails; base waits for the file `go`.
fn project() -> Project {
    Project::new()
        .dockerfile("base", "FROM scratch\nRUN true\n")
        .dockerfile("dev", "FROM acme/shop-base\nRUN make all\n")
        .dockerfile("x", "FROM scratch\nRUN false\n")
        .script(
            r#"{"images": [
                {"reference": "shop-base", "steps": [
                    {"text": "FROM scratch"},
                    {"text": "RUN true", "output": ["\u001b[31mhello 漢字\n"], "gate": "file:go"}]},
                {"reference": "shop-x", "fail": {"step": 2, "message": "exit code: 1"},
                 "steps": [{"text": "FROM scratch"}, {"text": "RUN false"}]}]}"#,
        )
}

/// Replaces times, which vary between runs.
fn without_times(screen: &str) -> String {
    let times = regex::Regex::new(r" *\d+\.\d+s").unwrap();
    times.replace_all(screen, " TIME").lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn go(project: &Project) {
    fs::write(project.root().join(".layers/go"), "").unwrap();
}

#[test]
fn live_view_is_drawn_and_finished_images_stay_on_screen() {
    let project = project();
    let mut session = Session::start(&project, (24, 80), &[]);
    let running =
        session.until(|screen| screen.contains("✗ x") && screen.contains("[2/2] RUN true"));
    assert_eq!(
        without_times(&running),
        "✗ x TIME  failed at docker/x/Dockerfile:2
 TIME  base  [2/2] RUN true
━━━━────────  1/3 images  1 failed  1 running  1 waiting TIME"
    );
    go(&project);
    let (status, screen, bytes) = session.end();
    assert_eq!(status.code(), Some(1));
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[1].starts_with("✓ base  ") && lines[1].contains("built"), "{screen}");
    assert!(lines[2].starts_with("✓ dev  "), "{screen}");
    // Nothing of the rows and the bar remains.
    assert!(lines[3..].iter().all(|line| !line.contains('─') || line.contains("-->")), "{screen}");
    assert!(screen.contains("2 built, 1 failed of 3 images"), "{screen}");
    assert!(!String::from_utf8_lossy(&bytes).contains("\x1b[31mhello"), "a build's escape passed");
}

#[test]
fn live_view_adapts_to_terminal_resizes() {
    let project = project();
    let mut session = Session::start(&project, (24, 100), &[]);
    session.until(|screen| screen.contains("✗ x") && screen.contains("RUN true"));
    for columns in [40, 80, 30] {
        session.pty.resize(Size::new(24, columns)).unwrap();
        session
            .screen
            .screen_mut()
            .set_size(NonZero::new(24).unwrap(), NonZero::new(columns).unwrap());
        let is_right = |screen: &str| {
            let lines: Vec<&str> = screen.lines().collect();
            lines.len() == 3 && lines[1].contains("base") && lines[2].contains("1/3")
        };
        session.until(is_right);
    }
    go(&project);
    assert_eq!(session.end().0.code(), Some(1));
}

#[test]
fn ctrl_c_restores_the_terminal() {
    let project = project();
    let mut session = Session::start(&project, (24, 80), &[]);
    session.until(|screen| screen.contains("✗ x") && screen.contains("RUN true"));
    session.pty.write_all(b"\x03").unwrap();
    let (status, screen, bytes) = session.end();
    assert_eq!(status.signal(), Some(2), "{screen}");
    let seen = without_times(&screen);
    let begin = "✗ x TIME  failed at docker/x/Dockerfile:2
interrupted; press Ctrl-C again to quit now
- base TIME  canceled

error: x failed at docker/x/Dockerfile:2
";
    assert!(seen.starts_with(begin), "{screen}");
    let end = "try again: layers build --all --engine fake -j2 --keep-going";
    assert!(seen.ends_with(end), "{screen}");
    let printed = String::from_utf8_lossy(&bytes);
    // The cursor was never hidden, and no other screen and no mode was used.
    assert!(!printed.contains("\x1b[?"), "{printed:?}");
}

#[test]
fn colors_respect_environment_variables() {
    let styles = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\x1b[3");
    let escapes = |bytes: &[u8]| bytes.contains(&0x1b);
    let run = |more: &[(&str, &str)]| {
        let project = project();
        go(&project);
        Session::start(&project, (24, 80), more).end().2
    };
    assert!(styles(&run(&[])));
    let without = run(&[("NO_COLOR", "1")]);
    assert!(!styles(&without) && escapes(&without), "it is drawn, without colors");
    let dumb = run(&[("TERM", "dumb")]);
    assert!(!escapes(&dumb), "{}", String::from_utf8_lossy(&dumb));
    assert!(styles(&run(&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")])));
}
