//! The command line as a whole.
//!
//! Owns which options mean something to which command, and the right command for words that users of other tools type by
//! habit.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, Error, FromArgMatches};

use super::Cli;

/// The commands that neither read Dockerfiles nor name images. Settings of images mean nothing to them.
const WITHOUT_SETTINGS: [&str; 6] =
    ["log", "runs", "report", "completions", "man", super::MOVE_TAGS];

/// The commands that do not look for a repository. `MOVE_TAGS` runs alone, whatever is typed.
const WITHOUT_REPOSITORY: [&str; 3] = ["completions", "man", super::MOVE_TAGS];

/// The commands that print something that `--quiet` leaves out.
const QUIET: [&str; 8] = ["build", "plan", "runs", "report", "update", "list", "check", "init"];

/// The commands that `--verbose` makes print more.
const VERBOSE: [&str; 2] = ["build", "plan"];

/// What `--quiet` does for lists, as for those of docker.
const QUIET_LISTS: [(&str, &str); 2] = [("list", "Print only names"), ("runs", "Print only IDs")];

/// Words that users of docker, cargo, git, or make type, and the command that does here what they expect.
const HABITS: [(&str, &str); 26] = [
    ("bake", "layers build --all"),
    ("clean", "rm -r .layers"),
    ("config", "layers list"),
    ("deps", "layers graph"),
    ("down", "docker compose down"),
    ("explain", "layers why IMAGE"),
    ("history", "layers runs"),
    ("image", "layers list"),
    ("images", "layers list"),
    ("inspect", "layers why IMAGE"),
    ("lint", "layers check"),
    ("lock", "layers update"),
    ("logs", "layers log"),
    ("ls", "layers list"),
    ("make", "layers build --all"),
    ("new", "layers init"),
    ("prune", "docker image prune"),
    ("ps", "layers runs"),
    ("publish", "layers build --all --push"),
    ("pull", "layers build --all --load"),
    ("push", "layers build --all --push"),
    ("rebuild", "layers build --force IMAGE"),
    ("status", "layers plan"),
    ("tree", "layers graph"),
    ("up", "layers build --all"),
    ("validate", "layers check"),
];

/// Returns the command line as it is completed. It has neither the internal command nor options that a command refuses:
/// completions offer what is hidden if nothing else fits.
pub fn completed() -> Command {
    let program = Cli::command();
    let visible = program.get_subcommands().filter(|command| !command.is_hide_set());
    let commands = visible.map(|command| {
        let accepted = options_of(&program, command.get_name()).filter(|(_, accepted)| *accepted);
        command.clone().args(accepted.map(|(option, _)| option).collect::<Vec<_>>())
    });
    let mut completed = Command::default()
        .name("layers")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(global(&program).map(|it| it.clone().global(false)).collect::<Vec<_>>())
        .subcommands(commands.collect::<Vec<_>>());
    completed.build();
    completed
}

/// Returns the command line as it is parsed and documented.
pub fn program() -> Command {
    let mut program = Cli::command();
    let names: Vec<String> =
        program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        // Those that mean nothing are known there, so that they are refused wherever they are written.
        let options = options_of(&program, &name).map(|(option, accepted)| option.hide(!accepted));
        let options: Vec<Arg> = options.collect();
        program = program.mut_subcommand(name, |command| command.args(&options));
    }
    // Options of all commands join the others here.
    program.build();
    program
}

/// Parses the arguments of this process.
///
/// # Errors
/// If they are wrong or request help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let mut program = program();
    let matches = program.try_get_matches_from_mut(arguments).map_err(point_to_command)?;
    refuse_meaningless(&mut program, &matches)?;
    Cli::from_arg_matches(&matches)
}

/// The options of all commands.
fn global(program: &Command) -> impl Iterator<Item = &Arg> {
    program.get_arguments().filter(|it| it.is_global_set())
}

/// The options of all commands as a command has them, and whether it accepts them.
fn options_of<'a>(
    program: &'a Command,
    command: &'a str,
) -> impl Iterator<Item = (Arg, bool)> + 'a {
    let quiet = QUIET_LISTS.iter().find(|(it, _)| *it == command);
    global(program).map(move |option| match (option.get_id().as_str(), quiet) {
        ("quiet", Some((_, help))) => (option.clone().help(*help), true),
        (id, _) => (option.clone(), is_accepted(id, command)),
    })
}

/// Whether an option of all commands means something to a command.
fn is_accepted(option: &str, command: &str) -> bool {
    match option {
        "directory" => true,
        "file" => !WITHOUT_REPOSITORY.contains(&command),
        "quiet" => QUIET.contains(&command),
        "verbose" => VERBOSE.contains(&command),
        // The others say what images are built of and called.
        _ => !WITHOUT_SETTINGS.contains(&command),
    }
}

/// Refuses options where they mean nothing, in the words for any other unknown option.
fn refuse_meaningless(program: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    let Some((name, sub_matches)) = matches.subcommand() else { return Ok(()) };
    let is_refused = |it: &&Arg| {
        let id = it.get_id().as_str();
        !is_accepted(id, name) && sub_matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    let Some(option) = global(program).find(is_refused) else { return Ok(()) };
    let option = option.get_long().map_or(String::new(), |long| format!("--{long}"));
    let mut error = Error::new(ErrorKind::UnknownArgument);
    if let Some(command) = program.find_subcommand_mut(name) {
        error = error.with_cmd(command);
    }
    error.insert(ContextKind::InvalidArg, ContextValue::String(option));
    Err(error)
}

/// Adds the right command to the error about an unknown command.
fn point_to_command(mut error: Error) -> Error {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    if let Some((_, command)) = HABITS.iter().find(|(habit, _)| habit == word) {
        let tip = StyledStr::from(format!("use `{command}`"));
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Cli, String> {
        let words = words.split(' ').map(OsString::from);
        parse(words).map_err(|error| error.render().to_string())
    }

    #[track_caller]
    fn check_error(words: &str, expected: &str) {
        let error = parsed(words).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn common_aliases_are_not_commands_but_get_suggestions() {
        let program = program();
        for (habit, command) in HABITS {
            assert!(program.find_subcommand(habit).is_none(), "{habit}");
            check_error(&format!("layers {habit}"), &format!("tip: use `{command}`"));
            if command.starts_with("layers ") {
                parsed(command).unwrap();
            }
        }
        assert!(HABITS.is_sorted());
        check_error("layers biuld", "tip: a similar subcommand exists: 'build'");
    }

    #[track_caller]
    fn check_width(mut command: Command) {
        for help in [command.render_help(), command.render_long_help()] {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
        }
        command.get_subcommands().for_each(|it| check_width(it.clone()));
    }

    #[test]
    fn help_lines_fit_in_80_columns() {
        check_width(program());
    }

    #[test]
    fn commands_without_image_settings_reject_them() {
        check_error("layers runs --platform linux/arm64", "unexpected argument '--platform'");
        check_error("layers --tag 1 log", "unexpected argument '--tag'");
        parsed("layers runs -C /").unwrap();
        parsed("layers --platform linux/arm64 build --all").unwrap();
        let help = |name: &str| {
            program().find_subcommand_mut(name).unwrap().render_long_help().to_string()
        };
        for name in WITHOUT_SETTINGS {
            assert!(
                !help(name).contains("--platform") && help(name).contains("-C <DIR>"),
                "{name}"
            );
        }
        assert!(help("build").contains("--platform"));
    }
}
