//! The environment, read once.
//!
//! Owns which variables count. Everything else gets values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use crate::base::RelPath;
use crate::graph::naming::{Given, Origin};
use crate::report::paint::{Paint, Wish};
use crate::report::say;

/// All variables of the process that are text.
pub struct Environment {
    variables: BTreeMap<String, String>,
    arguments: Vec<OsString>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Environment {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Environment { variables, arguments: std::env::args_os().skip(1).collect() }
    }

    /// The same, but for one variable.
    #[must_use]
    pub fn without(&self, name: &str) -> Environment {
        let mut variables = self.variables.clone();
        variables.remove(name);
        Environment { variables, arguments: self.arguments.clone() }
    }

    /// A variable's value.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A variable's value where it is not empty.
    pub fn set_var(&self, name: &str) -> Option<&str> {
        self.var(name).filter(|value| !value.is_empty())
    }

    /// The first of several variables that says something.
    pub fn given(&self, names: &[&'static str]) -> Option<Given> {
        names.iter().find_map(|name| {
            let value = self.set_var(name)?.to_owned();
            Some(Given { value, origin: Origin::Environment(name) })
        })
    }

    /// A variable that names a file.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.set_var(name).map(PathBuf::from)
    }

    /// Colours of the standard error stream.
    pub fn paint(&self) -> Paint {
        Paint::new(self.color_wish(), std::io::stderr().is_terminal())
    }

    /// Colours of the standard output.
    pub fn paint_of_output(&self) -> Paint {
        Paint::new(self.color_wish(), say::is_terminal())
    }

    /// Whether the standard error stream is a terminal.
    pub fn has_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// The command line behind the program's name.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Whether someone can be asked: a question is seen, and an answer can be read. A job in the
    /// background of a shell would be stopped by reading.
    pub fn can_ask(&self) -> bool {
        let stdin = std::io::stdin();
        let is_in_front = || tcgetpgrp(&stdin).map_or(true, |group| group == getpgrp());
        stdin.is_terminal() && self.has_terminal() && is_in_front()
    }

    /// Whether it is one that can be drawn on.
    pub fn can_draw(&self) -> bool {
        self.has_terminal() && !self.color_wish().dumb
    }

    /// Whether the standard error stream's terminal wraps lines again when it becomes narrower, as most do.
    /// Those are told apart that are known not to; of others that is believed.
    pub fn rewraps(&self) -> bool {
        let term = self.var("TERM").unwrap_or_default();
        let is_cut = ["linux", "rxvt", "st-", "vt"].iter().any(|name| term.starts_with(name));
        // xterm says so by this variable, GNU screen by the other.
        !is_cut && self.var("XTERM_VERSION").is_none() && self.var("STY").is_none()
    }

    /// Whether this is a job of GitHub Actions.
    pub fn is_in_actions(&self) -> bool {
        self.var("GITHUB_ACTIONS") == Some("true")
    }

    /// Where a repository's root lies below the folder that a workflow has checked out; empty where they
    /// are the same, or it lies elsewhere.
    pub fn below_workspace(&self, root: &Path) -> String {
        let below = || {
            let workspace = Path::new(self.set_var("GITHUB_WORKSPACE")?).canonicalize().ok()?;
            let root = root.canonicalize().ok()?;
            RelPath::from_path(root.strip_prefix(workspace).ok()?)
        };
        let below = below().filter(|below| !below.is_root());
        below.map(|below| below.as_str().to_owned()).unwrap_or_default()
    }

    fn color_wish(&self) -> Wish {
        Wish {
            no_color: self.set_var("NO_COLOR").is_some(),
            force: self.set_var("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: self.var("TERM") == Some("dumb"),
        }
    }
}
