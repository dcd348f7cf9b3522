//! The repository as read: settings resolved once, the graph and its diagnostics, the lock file, and
//! git revisions.
//!
//! Owns where a repository begins, and which setting takes precedence: options over environment over
//! `layers.toml` over inference.

use crate::cli::Global;
use crate::report::clean::Allowed;
use crate::report::paint::Paint;
use crate::report::say;

pub mod attestations;
pub mod build_settings;
pub mod completion;
pub mod environment;
pub mod load;
pub mod lock;
pub mod names;
pub mod paths;
pub mod proposal;
pub mod proxies;
pub mod registry;
pub mod revisions;
pub mod root;
pub mod tags;

use environment::Environment;

/// What a verb knows of its surroundings.
pub struct Invocation {
    /// The options of all commands.
    pub global: Global,
    /// The environment.
    pub environment: Environment,
    /// Colours of the standard error stream.
    pub paint: Paint,
}

impl Invocation {
    /// Reads the environment, and lets it decide what is printed.
    #[must_use]
    pub fn read(global: Global) -> Invocation {
        let environment = Environment::read();
        let paint = environment.paint();
        // There, lines may be taken for commands.
        let commands = !environment.is_in_actions();
        say::begin(say::Rules {
            output: Allowed { colors: environment.paint_of_output().is_colored(), commands },
            errors: Allowed { colors: paint.is_colored(), commands },
        });
        Invocation { global, environment, paint }
    }
}
