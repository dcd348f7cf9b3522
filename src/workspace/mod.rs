//! The repository as read: settings resolved once, the graph and its diagnostics, the lock file, and git revisions.
//!
//! Owns where a repository begins, and which setting takes precedence: options over environment over `layers.toml` over
//! inference.

use crate::cli::GlobalArgs;
use crate::report::clean::AllowedOutput;
use crate::report::paint::Paint;
use crate::report::printer;

pub mod attestations;
pub mod build_contexts;
pub mod build_settings;
pub mod completion;
pub mod contexts;
pub mod coverage;
pub mod environment;
pub mod error_scope;
pub mod load;
pub mod lock;
pub mod names;
pub mod paths;
pub mod proposal;
pub mod proxies;
pub mod registry;
pub mod removed_dependencies;
pub mod revisions;
pub mod root;
pub mod tags;

use environment::Environment;

/// The options and the environment of a command.
pub struct Invocation {
    /// The options that all commands have.
    pub global: GlobalArgs,
    /// The environment.
    pub environment: Environment,
    /// The colors of stderr.
    pub paint: Paint,
}

impl Invocation {
    /// Reads the environment, which also decides what may be printed.
    #[must_use]
    pub fn read(global: GlobalArgs) -> Invocation {
        let environment = Environment::read();
        let paint = environment.paint();
        // GitHub Actions interprets some printed lines as commands.
        let commands = !environment.is_in_actions();
        printer::begin(printer::OutputRules {
            output: AllowedOutput { colors: environment.paint_of_output().is_colored(), commands },
            errors: AllowedOutput { colors: paint.is_colored(), commands },
            is_quiet: global.quiet,
        });
        let mut invocation = Invocation { global, environment, paint };
        build_contexts::settle(&mut invocation);
        invocation
    }
}
