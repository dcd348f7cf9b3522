//! The `HEALTHCHECK` instruction.
//!
//! Owns its forms and its flags, including durations in Go's notation.

use crate::base::{Diagnostic, Rule};

use super::flags::{self, FlagValueKind};
use super::instruction::read_command;
use super::reader::LineReader;
use super::splitting::{ByteRange, Parts, trim};
use super::syntax::Healthcheck;

const TIMES: [&str; 4] = ["interval", "timeout", "start-period", "start-interval"];

/// Parses a `HEALTHCHECK`. The outer `None` means that it is invalid and was reported; the inner
/// one means `HEALTHCHECK NONE`.
pub(super) fn read(reader: &mut LineReader<'_>, parts: &Parts) -> Option<Option<Healthcheck>> {
    let (form, rest) = split(reader, parts);
    if form.is_empty() {
        return reader.fail("HEALTHCHECK requires at least one argument", parts.keyword.clone());
    }
    let command = read_command(reader, rest.clone())?;
    let is_form = |word: &str| reader.text()[form.clone()].eq_ignore_ascii_case(word);
    if is_form("NONE") {
        if !command.words.is_empty() {
            return reader.fail("HEALTHCHECK NONE takes no arguments", rest);
        }
        return Some(None);
    }
    let is_command = is_form("CMD");
    let [one, two, three, four] = TIMES.map(|name| (name, FlagValueKind::Value));
    let kinds = [one, two, three, four, ("retries", FlagValueKind::Value)];
    let flag_values = flags::check(reader, &parts.flags, &kinds)?;
    if !is_command {
        let message = format!("unknown type `{}` in HEALTHCHECK", &reader.text()[form.clone()]);
        let hint = "write `HEALTHCHECK CMD …` or `HEALTHCHECK NONE`";
        return reader.fail_with_hint(message, hint, form);
    }
    if command.words.is_empty() {
        return reader.fail("missing command after HEALTHCHECK CMD", form);
    }
    let times = TIMES.iter().filter_map(|name| flag_values.value(name));
    let mut wrong: Vec<_> = times.filter(|time| !is_time(&time.value)).collect();
    let retries = flag_values.value("retries");
    wrong.extend(retries.filter(|count| {
        let digits = count.value.strip_prefix('+').unwrap_or(&count.value);
        !(digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<i32>().is_ok())
    }));
    let Some(wrong) = wrong.into_iter().next() else {
        let options =
            kinds.iter().filter_map(|(name, _)| Some((*name, flag_values.value(name)?.value)));
        return Some(Some(Healthcheck { options: options.collect(), command }));
    };
    let message = format!("`{}` is not a valid value for this flag", wrong.value);
    let hint = "use a duration such as `1m30s` (at least `1ms`), or a number for `--retries`";
    reader.refuse(Diagnostic::new(Rule::InvalidFlag, message).hint(hint), wrong.span)
}

/// Returns the ranges of the first word and of the command, if any, after it.
fn split(reader: &LineReader<'_>, parts: &Parts) -> (ByteRange, ByteRange) {
    let range = parts.arguments.clone();
    let text = &reader.text()[range.clone()];
    let end = range.start + text.find(char::is_whitespace).unwrap_or(text.len());
    (range.start..end, trim(reader.text(), end..range.end))
}

/// Checks a `HEALTHCHECK` trigger of `ONBUILD`. BuildKit's line parser checks only the command.
pub(super) fn check_trigger(reader: &mut LineReader<'_>, parts: &Parts) -> Option<()> {
    let (_, rest) = split(reader, parts);
    read_command(reader, rest).map(|_| ())
}

/// Returns whether Go's `time.ParseDuration` accepts a text as a duration that is 0 or at least 1
/// ms.
fn is_time(text: &str) -> bool {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" || text == "-0" {
        return true;
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: Result<f64, _> = rest[..digits].parse();
        let units = &rest[digits..];
        let unit = units.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(units.len());
        let size = match &units[..unit] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return false,
        };
        let Ok(number) = number else { return false };
        seconds += number * size;
        rest = &units[unit..];
    }
    !text.is_empty() && (seconds == 0.0 || seconds >= 1e-3)
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn durations_are_parsed_like_go() {
        let check = |text: &str, expected: bool| assert_eq!(is_time(text), expected, "{text}");
        check("1m30s", true);
        check("1.5s", true);
        check("0", true);
        check("1ms", true);
        check("1us", false);
        check("5", false);
        check("", false);
        check("s", false);
        check("-1s", false);
    }
}
