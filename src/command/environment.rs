//! The environment, read once.
//!
//! Owns which variables count. Everything else gets values.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use crate::graph::naming::{Given, Origin};
use crate::report::paint::{Paint, Wish};

/// All variables of the process that are text.
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the process's environment.
    pub fn read() -> Environment {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Environment { variables }
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

    /// Whether the standard error stream is a terminal that can be drawn on.
    pub fn can_draw(&self) -> bool {
        std::io::stderr().is_terminal() && !self.color_wish().dumb
    }

    fn color_wish(&self) -> Wish {
        Wish {
            no_color: self.set_var("NO_COLOR").is_some(),
            force: self.set_var("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: self.var("TERM") == Some("dumb"),
        }
    }
}
