//! `layers completions SHELL`: prints the script with which a shell gets completions from `layers`.
//!
//! Owns the scripts, which clap generates. `workspace::completion` owns the completions.

use clap_complete::env::Shells;

use crate::exit::Exit;
use crate::report::printer;
use crate::workspace::completion::VARIABLE;

/// The program that the scripts call. A bare name, so that a script can be written into a package or below DESTDIR by
/// an executable that will be installed somewhere else.
const PROGRAM: &str = "layers";

/// zsh loads a script from `fpath` at the first completion and runs it as the function itself. A script that does not
/// call the completer completes nothing until the second time.
const ZSH_FIRST_TIME: &str = "
if [ \"$funcstack[1]\" = _layers ]; then
    _clap_dynamic_completer_layers \"$@\"
fi
";

pub fn run(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&shell.to_string()) {
        shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    }
    let mut script = String::from_utf8(script)?;
    if shell == clap_complete::Shell::Zsh {
        script.push_str(ZSH_FIRST_TIME);
    }
    printer::data(&script)?;
    Ok(Exit::Done)
}
