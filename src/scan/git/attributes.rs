//! The conversions of contents in a checkout: line endings, `ident`, filters, and encodings.
//!
//! Owns the settings and attributes that determine them (gitattributes(5), `convert.c` in git). It
//! converts nothing itself; git does so when contents are needed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use super::module::Module;
use super::{Caller, list_of, split, split_once};

/// The attributes that determine what a checkout writes.
const ATTRIBUTES: [&str; 6] = ["text", "crlf", "eol", "ident", "filter", "working-tree-encoding"];

/// The settings of a repository that determine what a checkout writes and which of its changes git
/// detects.
#[derive(Debug, Clone, Default)]
pub(super) struct CheckoutSettings {
    /// Whether the executable bit is read from the disk (`core.fileMode`).
    pub(super) file_mode: bool,
    /// Whether symlinks are written as symlinks (`core.symlinks`).
    pub(super) symlinks: bool,
    /// Whether only some of the files are checked out (`core.sparseCheckout`).
    pub(super) sparse: bool,
    /// The value of `core.autocrlf`: whether lines are written with CRLF, which they are not for
    /// `input`. `None` if it is off.
    auto_crlf: Option<bool>,
    /// Whether `core.eol` is `crlf`.
    eol_is_crlf: bool,
    /// The commands of filters by the names of their settings.
    pub(super) filters: Vec<(String, OsString)>,
}

impl CheckoutSettings {
    pub(super) fn read(caller: &Caller) -> anyhow::Result<CheckoutSettings> {
        let pattern = r"^(core\.(autocrlf|eol|filemode|symlinks|sparsecheckout)|filter\..*\.(smudge|process))$";
        // git exits with status 1 if no setting matches.
        let answer = caller.run(&["config", "-z", "--get-regexp", pattern], None)?.stdout;
        let mut settings =
            CheckoutSettings { file_mode: true, symlinks: true, ..CheckoutSettings::default() };
        for line in split(&answer) {
            // A name without `=` has no value, which means true.
            let (name, value) = split_once(line, b'\n').unwrap_or((line, b"true"));
            let text = String::from_utf8_lossy(value).to_lowercase();
            let is_on = !matches!(text.as_str(), "false" | "no" | "off" | "0" | "");
            match name {
                b"core.filemode" => settings.file_mode = is_on,
                b"core.symlinks" => settings.symlinks = is_on,
                b"core.sparsecheckout" => settings.sparse = is_on,
                b"core.autocrlf" => settings.auto_crlf = is_on.then_some(text != "input"),
                b"core.eol" => settings.eol_is_crlf = text == "crlf",
                _ => {
                    let name = String::from_utf8_lossy(name).into_owned();
                    settings.filters.push((name, OsString::from_vec(value.to_vec())));
                }
            }
        }
        Ok(settings)
    }

    /// Returns the conversion of a file with these attributes; empty if the blob is written
    /// unchanged.
    fn conversion(&self, attributes: &HashMap<&[u8], &[u8]>) -> String {
        let value = |name: &str| match attributes.get(name.as_bytes()).copied() {
            None | Some(b"unspecified") => None,
            Some(value) => Some(String::from_utf8_lossy(value)),
        };
        let mut parts: Vec<Cow<'_, str>> = Vec::new();
        parts.extend(self.line_endings(&value).map(Cow::Borrowed));
        if value("ident").as_deref() == Some("set") {
            parts.push(Cow::Borrowed("ident"));
        }
        let is_named = |value: &str| !matches!(value, "set" | "unset");
        if let Some(filter) = value("filter").filter(|filter| is_named(filter)) {
            let command = |kind: &str| format!("filter.{filter}.{kind}");
            let (smudge, process) = (command("smudge"), command("process"));
            if self.filters.iter().any(|(name, _)| *name == smudge || *name == process) {
                parts.push(Cow::Owned(format!("filter={filter}")));
            }
        }
        if let Some(encoding) = value("working-tree-encoding").filter(|it| is_named(it)) {
            parts.push(Cow::Owned(format!("encoding={encoding}")));
        }
        parts.join(" ")
    }

    /// Implements `git_path_check_crlf` and `text_eol_is_crlf` in `convert.c`. On the supported
    /// systems, native lines end in LF.
    fn line_endings<'a>(
        &self,
        value: &dyn Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Option<&'static str> {
        let text = value("text").or_else(|| value("crlf"));
        let text = text.as_deref();
        let eol = value("eol");
        let eol = if text == Some("input") { Some("lf") } else { eol.as_deref() };
        let is_crlf = match (text, eol) {
            (Some("unset"), _) | (_, Some("lf")) => false,
            (_, Some("crlf")) => true,
            (Some(_), _) => self.auto_crlf.unwrap_or(self.eol_is_crlf),
            (None, _) => self.auto_crlf == Some(true),
        };
        let is_auto = text == Some("auto") || text.is_none() && eol != Some("crlf");
        is_crlf.then_some(if is_auto { "auto-crlf" } else { "crlf" })
    }
}

/// Returns the conversions of files in a module by their paths in the module, for files that have
/// one. `caller` determines whose attributes apply. `paths` are relative to the main repository.
pub(super) fn conversions(
    caller: &Caller,
    module: &Module,
    paths: &[&OsStr],
) -> anyhow::Result<HashMap<OsString, String>> {
    if paths.is_empty() {
        return Ok(HashMap::new());
    }
    let input = list_of(paths.iter().map(|path| module.own_path(path)));
    let words: Vec<&str> = ["check-attr", "-z", "--stdin"].into_iter().chain(ATTRIBUTES).collect();
    let answer = caller.query(&words, Some(&input))?;
    let mut words = answer.split(|byte| *byte == 0);
    let mut attributes: HashMap<&[u8], HashMap<&[u8], &[u8]>> = HashMap::new();
    while let (Some(path), Some(name), Some(value)) = (words.next(), words.next(), words.next()) {
        attributes.entry(path).or_default().insert(name, value);
    }
    let named = attributes.into_iter().filter_map(|(path, attributes)| {
        let conversion = module.settings.conversion(&attributes);
        (!conversion.is_empty()).then(|| (OsString::from_vec(path.to_vec()), conversion))
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &CheckoutSettings, attributes: &[(&str, &str)], expected: &str) {
        let attributes = attributes.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let found = settings.conversion(&attributes.collect());
        assert_eq!(found, expected);
    }

    #[test]
    fn only_attributes_that_change_contents_are_conversions() {
        let none = CheckoutSettings::default();
        check(&none, &[], "");
        check(&none, &[("text", "auto")], "");
        check(&none, &[("text", "set"), ("eol", "lf")], "");
        check(&none, &[("eol", "crlf")], "crlf");
        check(&none, &[("text", "auto"), ("eol", "crlf")], "auto-crlf");
        check(&none, &[("text", "unset"), ("eol", "crlf")], "");
        check(&none, &[("ident", "set"), ("filter", "x")], "ident");
        check(&none, &[("working-tree-encoding", "UTF-16")], "encoding=UTF-16");
        let smudge = vec![("filter.x.smudge".to_owned(), "cat".into())];
        let filters = CheckoutSettings { filters: smudge, ..CheckoutSettings::default() };
        check(&filters, &[("filter", "x")], "filter=x");
        check(&filters, &[("filter", "y")], "");
        let auto = CheckoutSettings { auto_crlf: Some(true), ..CheckoutSettings::default() };
        check(&auto, &[], "auto-crlf");
        check(&auto, &[("text", "set")], "crlf");
        check(&auto, &[("crlf", "input")], "");
        check(&auto, &[("text", "unset")], "");
        let eol = CheckoutSettings { eol_is_crlf: true, ..CheckoutSettings::default() };
        check(&eol, &[], "");
        check(&eol, &[("text", "auto")], "auto-crlf");
    }
}
