//! `.dockerignore`: the files of a context that are left out.
//!
//! Owns the parsing of ignore files and the verdict on a path. Both follow BuildKit: lines are
//! parsed as by github.com/moby/patternmatcher, and directories are traversed as by the walker of
//! github.com/tonistiigi/fsutil. The only file that it reads is the ignore file.
//!
//! The last line that matches a path decides, and a line that matches a directory matches
//! everything in it. On its way down, BuildKit records which lines matched a directory. This has
//! two undocumented effects, which are reproduced here because the verdict must agree with what
//! BuildKit sends. First, a line that could not change the verdict on a directory is not tried on
//! it, and therefore does not apply below it either (`a/x` and `!a` leave `a/x` out). Second, an
//! ignored directory is not entered if all `!` lines are plain paths and none of them is the
//! directory or a path in it.

mod expression;
mod pattern;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use self::pattern::{Fault, IgnorePattern, PathForms};
use super::context::{is_missing, unreadable};
use super::dockerfiles::what_else;
use crate::base::screen::visible_path;
use crate::base::{Diagnostic, RelPath, Rule, Source, Span};

/// The limit in bytes at which Go's line scanner, which reads the file, fails.
const LINE_LIMIT: usize = 65_536;

/// The parsed lines of an ignore file. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct IgnoreFile {
    inner: Arc<IgnoreFileData>,
}

#[derive(Debug, Default)]
struct IgnoreFileData {
    lines: Vec<IgnoreRule>,
    /// Whether there is a `!` line.
    exceptions: bool,
    /// Whether every `!` line is a plain path, apart from a trailing `/*` or `/**`.
    plain_exceptions: bool,
}

/// The message about an invalid pattern.
type Problem = Cow<'static, str>;

#[derive(Debug)]
struct IgnoreRule {
    /// Whether the line re-includes files (`!`).
    exception: bool,
    pattern: IgnorePattern,
    span: Span,
}

/// The verdict of an ignore file on one path.
#[derive(Clone, Debug, Default)]
pub struct IgnoreVerdict {
    ignored: bool,
    /// One bit per line: whether it matched the path or a directory that contains it.
    matched: Vec<u64>,
    /// The index of the line that decided.
    line: Option<usize>,
}

impl IgnoreVerdict {
    /// Returns whether the path is left out.
    pub fn is_ignored(&self) -> bool {
        self.ignored
    }

    fn has(&self, line: usize) -> bool {
        self.matched.get(line / 64).is_some_and(|word| word >> (line % 64) & 1 == 1)
    }

    fn set(&mut self, line: usize) {
        self.matched[line / 64] |= 1 << (line % 64);
    }
}

/// Returns the ignore file that applies to a Dockerfile and its context, or `None` if there is
/// none.
///
/// `<Dockerfile>.dockerignore` next to the Dockerfile takes precedence, even if it is empty. The
/// `.dockerignore` of the context is read only if that file does not exist. A directory or a socket
/// of either name is not an ignore file: BuildKit's frontend ignores the error of reading one
/// (frontend/dockerui, `ReadFile` of the ignore file).
///
/// # Errors
/// Returns an error if a directory on the path cannot be searched, or if the file is a pipe or a
/// device, from which BuildKit would read forever.
pub fn find_ignore_file(dockerfile: &Path, context: &Path) -> io::Result<Option<PathBuf>> {
    let mut beside = dockerfile.as_os_str().to_owned();
    beside.push(".dockerignore");
    first_of(&[PathBuf::from(beside), context.join(".dockerignore")])
}

/// Returns the ignore file of the directory of a named context, or `None` if there is none. No
/// Dockerfile has a say (BuildKit, `frontend/dockerui/namedcontext.go`).
///
/// # Errors
/// As [`find_ignore_file`].
pub fn find_own_ignore_file(context: &Path) -> io::Result<Option<PathBuf>> {
    first_of(&[context.join(".dockerignore")])
}

fn first_of(files: &[PathBuf]) -> io::Result<Option<PathBuf>> {
    for file in files {
        match fs::metadata(file) {
            Ok(found) if found.is_dir() || found.file_type().is_socket() => {}
            Ok(found) if found.is_file() || is_null(file) => return Ok(Some(file.clone())),
            Ok(_) => {
                let what = what_else(file).unwrap_or("not a file");
                let message = format!("`{}` is {what}", visible_path(file));
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Returns whether a file is a symlink to the null device, the usual empty file.
fn is_null(file: &Path) -> bool {
    fs::canonicalize(file).is_ok_and(|target| target == Path::new("/dev/null"))
}

impl IgnoreFile {
    /// Reads the ignore file that applies to a Dockerfile and its context, both below `root`. If
    /// there is none, nothing is ignored.
    ///
    /// # Errors
    /// Returns an error if the file exists and cannot be read.
    pub fn load(
        root: &Path,
        dockerfile: &RelPath,
        context: &RelPath,
    ) -> io::Result<(IgnoreFile, Vec<Diagnostic>)> {
        let file = find_ignore_file(&dockerfile.under(root), &context.under(root))?;
        IgnoreFile::read(root, file.as_deref())
    }

    /// Reads an ignore file that was found. Without one, nothing is ignored.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(root: &Path, file: Option<&Path>) -> io::Result<(IgnoreFile, Vec<Diagnostic>)> {
        let Some(file) = file else { return Ok((IgnoreFile::default(), Vec::new())) };
        let bytes = fs::read(file).map_err(|error| unreadable(file, &error))?;
        let path = RelPath::from_path(file.strip_prefix(root).unwrap_or(file));
        // A file outside of the repository.
        let without_root = || RelPath::from_path(file.strip_prefix("/").ok()?);
        let path = path.or_else(without_root).unwrap_or_else(RelPath::root);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(IgnoreFile::parse(&Source::new(path, text))),
            Err(error) => {
                // Docker compares bytes. If these lines were dropped, files that Docker leaves out
                // would be sent.
                let at = error.utf8_error().valid_up_to();
                let source = Source::new(path, String::from_utf8_lossy(error.as_bytes()));
                let (read, mut problems) = IgnoreFile::parse(&source);
                let span = Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8());
                problems.push(
                    Diagnostic::new(Rule::BadIgnoreLine, "the ignore file is not valid UTF-8")
                        .at(&source, span, "")
                        .hint("replace each such byte with `?`"),
                );
                Ok((read, problems))
            }
        }
    }

    /// Parses an ignore file. Invalid lines are reported and skipped. Each is an error, because
    /// Docker refuses to build with them.
    pub fn parse(source: &Source) -> (IgnoreFile, Vec<Diagnostic>) {
        let mut lines = Vec::new();
        let mut problems = Vec::new();
        let mut start = 0;
        for line in source.text().split('\n') {
            let end = start + line.len();
            match read_line(line, start) {
                Ok(read) => lines.extend(read),
                Err((message, span)) => problems.push(problem(source, message, span)),
            }
            start = end + 1;
        }
        (IgnoreFile::new(lines), problems)
    }

    /// Parses the patterns of an instruction (`COPY --exclude`, `--parents`). They match like the
    /// lines of an ignore file, but only the second cleaning applies.
    ///
    /// # Errors
    /// Returns an error that describes the first invalid pattern.
    pub fn from_patterns<'a>(
        patterns: impl IntoIterator<Item = &'a str>,
    ) -> Result<IgnoreFile, Cow<'static, str>> {
        let mut lines = Vec::new();
        for text in patterns {
            let read = read_pattern(text, Span::default(), |_, _| Span::default());
            lines.extend(read.map_err(|(message, _)| message)?);
        }
        Ok(IgnoreFile::new(lines))
    }

    /// Returns whether there is a `!` line.
    pub fn has_exceptions(&self) -> bool {
        self.inner.exceptions
    }

    fn new(lines: Vec<IgnoreRule>) -> IgnoreFile {
        let exceptions = || lines.iter().filter(|line| line.exception);
        let inner = IgnoreFileData {
            exceptions: exceptions().next().is_some(),
            plain_exceptions: exceptions().all(|line| line.pattern.directory_is_plain()),
            lines,
        };
        IgnoreFile { inner: Arc::new(inner) }
    }

    /// Returns whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.inner.lines.is_empty()
    }

    /// Returns the verdict on a path (relative to the context, separated by `/`), given the verdict
    /// on its directory, or `None` for entries in the root of the context.
    ///
    /// The directory must not be one for which [`IgnoreFile::can_skip`] returns true. Everything in
    /// such a directory is ignored.
    pub fn judge(&self, path: &[u8], directory: Option<&IgnoreVerdict>) -> IgnoreVerdict {
        let lines = &self.inner.lines;
        let name = PathForms::new(path);
        let mut verdict = IgnoreVerdict {
            ignored: false,
            matched: vec![0; lines.len().div_ceil(64)],
            line: None,
        };
        for (number, line) in lines.iter().enumerate() {
            let inherited = directory.is_some_and(|directory| directory.has(number));
            // A line that cannot change the verdict is not tried; see the module documentation.
            if inherited || (line.exception == verdict.ignored && line.pattern.matches(&name)) {
                verdict.set(number);
                verdict.ignored = !line.exception;
                verdict.line = Some(number);
            }
        }
        verdict
    }

    /// Returns whether nothing in a directory with this verdict is sent.
    pub fn can_skip(&self, directory: &[u8], verdict: &IgnoreVerdict) -> bool {
        if !verdict.ignored {
            return false;
        }
        let inner = &*self.inner;
        if !inner.exceptions {
            return true;
        }
        let inside = [directory, b"/"].concat();
        let leads_inside = |line: &IgnoreRule| {
            let path = line.pattern.directory();
            path.as_bytes().starts_with(&inside) || path.as_bytes() == directory
        };
        let mut exceptions = inner.lines.iter().filter(|line| line.exception);
        if inner.plain_exceptions && !exceptions.any(leads_inside) {
            return true;
        }
        // The line that decided matches everything in the directory, so only a later exception can
        // re-include something.
        let later = verdict.line.map_or(0, |line| line + 1);
        !inner.lines[later..]
            .iter()
            .any(|line| line.exception && line.pattern.can_match_below(&inside))
    }

    /// Returns a matcher for single paths that caches the verdicts on directories.
    pub fn matcher(&self) -> Matcher<'_> {
        Matcher { file: self, directories: HashMap::new() }
    }

    /// Returns whether a path (relative to the context, separated by `/`) is left out.
    pub fn ignored(&self, path: impl AsRef<[u8]>) -> bool {
        self.matcher().ignored(path)
    }

    /// Returns the span of the line that decided a verdict.
    pub fn deciding_line(&self, verdict: &IgnoreVerdict) -> Option<Span> {
        verdict.line.map(|line| self.inner.lines[line].span)
    }
}

/// Judges paths in any order.
#[derive(Debug)]
pub struct Matcher<'a> {
    file: &'a IgnoreFile,
    directories: HashMap<Vec<u8>, DirectoryState>,
}

#[derive(Clone, Debug)]
struct DirectoryState {
    verdict: IgnoreVerdict,
    skipped: bool,
}

impl Matcher<'_> {
    /// Returns whether a path (relative to the context, separated by `/`) is left out.
    pub fn ignored(&mut self, path: impl AsRef<[u8]>) -> bool {
        let (file, path) = (self.file, path.as_ref());
        match path.iter().rposition(|byte| *byte == b'/') {
            None => file.judge(path, None).ignored,
            Some(slash) => {
                let directory = self.directory(&path[..slash]);
                directory.skipped || file.judge(path, Some(&directory.verdict)).ignored
            }
        }
    }

    /// Returns whether a directory is left out with everything in it.
    pub fn can_skip_directory(&mut self, path: impl AsRef<[u8]>) -> bool {
        self.directory(path.as_ref()).skipped
    }

    fn directory(&mut self, path: &[u8]) -> &DirectoryState {
        // Iterate from the root to `path` instead of recursing, because paths can be long.
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut above: Option<DirectoryState> = None;
        for end in slashes.chain([path.len()]) {
            let part = &path[..end];
            let directory = match (self.directories.get(part), above) {
                (Some(state), _) => state.clone(),
                (None, Some(above)) if above.skipped => above,
                (None, above) => {
                    let verdict = self.file.judge(part, above.as_ref().map(|a| &a.verdict));
                    DirectoryState { skipped: self.file.can_skip(part, &verdict), verdict }
                }
            };
            self.directories.entry(part.to_owned()).or_insert_with(|| directory.clone());
            above = Some(directory);
        }
        &self.directories[path]
    }
}

fn problem(source: &Source, message: Problem, span: Span) -> Diagnostic {
    Diagnostic::new(Rule::BadIgnoreLine, message)
        .at(source, span, "")
        .hint("escape special characters with `\\`")
}

/// Parses one line that begins at byte `start`. Returns `None` for a blank line or a comment.
///
/// Docker cleans a line twice, when it reads the file and when it creates the matcher, and checks
/// for the `!` both times.
fn read_line(line: &str, start: usize) -> Result<Option<IgnoreRule>, (Problem, Span)> {
    if line.len() >= LINE_LIMIT {
        let message = format!("the line has {} bytes, more than Docker's limit", line.len());
        return Err((message.into(), Span::new(start, start + line.len())));
    }
    let text = if start == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
    if text.starts_with('#') {
        return Ok(None);
    }
    let written = text.trim();
    if written.is_empty() {
        return Ok(None);
    }
    let offset = start + (line.len() - text.len()) + (text.len() - text.trim_start().len());
    let span = Span::new(offset, offset + written.len());

    let once = match written.strip_prefix('!') {
        Some(rest) => format!("!{}", relative(rest.trim())),
        None => relative(written),
    };
    // If cleaning changed the text, its bytes have no positions in the file.
    read_pattern(&once, span, |text, at| match written.find(text) {
        Some(found) => Span::new(offset + found + at.start, offset + found + at.end),
        None => span,
    })
}

/// Applies the second cleaning. `span_of` returns the span of a part of the cleaned pattern.
fn read_pattern(
    text: &str,
    span: Span,
    span_of: impl Fn(&str, Range<usize>) -> Span,
) -> Result<Option<IgnoreRule>, (Problem, Span)> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let cleaned = clean(trimmed);
    let (exception, text) = match cleaned.strip_prefix('!') {
        Some("") => return Err(("no pattern after `!`".into(), span)),
        Some(rest) => (true, rest),
        None => (false, cleaned.as_str()),
    };
    match IgnorePattern::new(text) {
        Ok(pattern) => Ok(Some(IgnoreRule { exception, pattern, span })),
        Err(Fault { at, message }) => {
            Err((format!("`{text}` is not a valid pattern: {message}").into(), span_of(text, at)))
        }
    }
}

/// Returns the cleaned text without one leading `/`. Empty text remains empty.
fn relative(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let cleaned = clean(text);
    match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        _ => cleaned,
    }
}

/// Implements Go's `filepath.Clean`: removes `.`, empty parts, and every `..` that is not at the
/// start.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests;
