//! `layers completions SHELL`: the script that makes a shell ask the program what may come next.
//!
//! Owns the scripts, which clap writes. The answers are `workspace::completion`'s affair.

use clap_complete::env::Shells;

use crate::exit::Exit;
use crate::report::say;
use crate::workspace::completion::VARIABLE;

/// What the scripts call. A bare name, so that a script may be written into a package or below
/// DESTDIR by a program that will lie elsewhere.
const PROGRAM: &str = "layers";

/// zsh loads a script from `fpath` at the first completion and takes it for the function itself:
/// whatever is not called then completes nothing until the second time.
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
    say::data(&script)?;
    Ok(Exit::Done)
}
