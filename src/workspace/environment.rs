//! The environment, read once.
//!
//! Owns which variables have a meaning. Other modules get values.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use crate::base::RelPath;
use crate::graph::naming::{NameOrigin, NamePart};
use crate::report::paint::{ColorSettings, Paint};
use crate::report::printer;

/// All environment variables of the process that are UTF-8.
pub struct Environment {
    variables: BTreeMap<String, String>,
    arguments: Vec<OsString>,
}

impl Environment {
    /// Reads the environment of the process.
    pub fn read() -> Environment {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Environment { variables, arguments: std::env::args_os().skip(1).collect() }
    }

    /// Returns the environment without one variable.
    #[must_use]
    pub fn without(&self, name: &str) -> Environment {
        let mut variables = self.variables.clone();
        variables.remove(name);
        Environment { variables, arguments: self.arguments.clone() }
    }

    /// Returns the value of a variable.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Returns the value of a variable if it is not empty.
    pub fn set_var(&self, name: &str) -> Option<&str> {
        self.var(name).filter(|value| !value.is_empty())
    }

    /// Returns the first of several variables that is not empty.
    pub fn first_set(&self, names: &[&'static str]) -> Option<NamePart> {
        names.iter().find_map(|name| {
            let value = self.set_var(name)?.to_owned();
            Some(NamePart { value, origin: NameOrigin::Environment(name) })
        })
    }

    /// Returns the value of a variable as a path, if it is not empty.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.set_var(name).map(PathBuf::from)
    }

    /// The colors of stderr.
    pub fn paint(&self) -> Paint {
        Paint::new(self.color_settings(), std::io::stderr().is_terminal())
    }

    /// The colors of stdout.
    pub fn paint_of_output(&self) -> Paint {
        Paint::new(self.color_settings(), printer::is_terminal())
    }

    /// Returns whether stderr is a terminal.
    pub fn has_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// The arguments of the command line, without the program's name.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Returns whether the user can be asked: a question is visible, and an answer can be read. Reading would stop a
    /// background job of a shell.
    pub fn can_ask(&self) -> bool {
        let stdin = std::io::stdin();
        let is_in_front = || tcgetpgrp(&stdin).map_or(true, |group| group == getpgrp());
        stdin.is_terminal() && self.has_terminal() && is_in_front()
    }

    /// Returns whether stderr is a terminal that can be drawn on.
    pub fn can_draw(&self) -> bool {
        self.has_terminal() && !self.color_settings().dumb
    }

    /// Returns whether the terminal of stderr rewraps lines when it becomes narrower, as most terminals do. Terminals
    /// known not to rewrap are recognized; all others are assumed to do it.
    pub fn rewraps(&self) -> bool {
        let term = self.var("TERM").unwrap_or_default();
        let is_cut = ["linux", "rxvt", "st-", "vt"].iter().any(|name| term.starts_with(name));
        // xterm sets the first variable, GNU screen the second.
        !is_cut && self.var("XTERM_VERSION").is_none() && self.var("STY").is_none()
    }

    /// Returns whether this is a job of GitHub Actions.
    pub fn is_in_actions(&self) -> bool {
        self.var("GITHUB_ACTIONS") == Some("true")
    }

    /// Returns the path of a repository's root below the directory that a workflow has checked out. It is empty if they
    /// are the same, or if the root is somewhere else.
    pub fn below_workspace(&self, root: &Path) -> String {
        let below = || {
            let workspace = Path::new(self.set_var("GITHUB_WORKSPACE")?).canonicalize().ok()?;
            let root = root.canonicalize().ok()?;
            RelPath::from_path(root.strip_prefix(workspace).ok()?)
        };
        let below = below().filter(|below| !below.is_root());
        below.map(|below| below.as_str().to_owned()).unwrap_or_default()
    }

    fn color_settings(&self) -> ColorSettings {
        ColorSettings {
            no_color: self.set_var("NO_COLOR").is_some(),
            force: self.set_var("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: self.var("TERM") == Some("dumb"),
        }
    }
}
