//! `.dockerignore`: which files of a context are left out.
//!
//! Owns the reading of ignore files and the verdict on a path, as BuildKit reaches it: the lines
//! as github.com/moby/patternmatcher reads them, and folders as the walker of
//! github.com/tonistiigi/fsutil passes through them. It touches no file but the ignore file.
//!
//! The last line that matches a path decides, and a line that matches a folder matches all that
//! lies in it. BuildKit reaches that by remembering, on its way down, which lines matched the
//! folder. Two things follow which the documentation does not tell, and which are kept because
//! the question is what gets sent: a line that could not have changed the verdict on a folder is
//! not tried there, and so does not count below either (`a/x` and `!a` leave `a/x` out); and an
//! ignored folder is not entered where all `!` lines are plain paths that do not lead into it.

mod expression;
mod pattern;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use self::pattern::{Fault, Name, Pattern};
use super::context::{is_missing, unreadable};
use crate::base::{Diagnostic, RelPath, Rule, Source, Span};

/// Go's line scanner, through which the file is read, gives up at this many bytes.
const LINE_LIMIT: usize = 65_536;

/// The lines of an ignore file, ready to judge paths. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct IgnoreFile {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: Vec<Line>,
    /// Whether there is a `!` line.
    exceptions: bool,
    /// Whether every `!` line is a plain path, save for `/*` and `/**` at its end.
    plain_exceptions: bool,
}

/// What is wrong with a pattern.
type Problem = Cow<'static, str>;

#[derive(Debug)]
struct Line {
    /// Whether it brings files back (`!`).
    exception: bool,
    pattern: Pattern,
    span: Span,
}

/// What an ignore file says of one path.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    ignored: bool,
    /// One bit for each line: whether it matched the path or a folder that holds it.
    matched: Vec<u64>,
    /// The line that decided.
    line: Option<usize>,
}

impl Verdict {
    /// Whether the path is left out.
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

/// The ignore file that counts for a Dockerfile and its context, or nothing where there is none.
///
/// `<Dockerfile>.dockerignore` beside the Dockerfile comes first, even empty; the context's own
/// `.dockerignore` is read only where that is missing.
///
/// # Errors
/// Where a folder on the way can't be searched.
pub fn find_ignore_file(dockerfile: &Path, context: &Path) -> io::Result<Option<PathBuf>> {
    let mut beside = dockerfile.as_os_str().to_owned();
    beside.push(".dockerignore");
    for file in [PathBuf::from(beside), context.join(".dockerignore")] {
        match fs::metadata(&file) {
            Ok(_) => return Ok(Some(file)),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl IgnoreFile {
    /// Reads the ignore file that counts for a Dockerfile and its context, both below `root`. Where
    /// there is none, nothing is ignored.
    ///
    /// # Errors
    /// Where the file is there and can't be read.
    pub fn load(
        root: &Path,
        dockerfile: &RelPath,
        context: &RelPath,
    ) -> io::Result<(IgnoreFile, Vec<Diagnostic>)> {
        let Some(file) = find_ignore_file(&dockerfile.under(root), &context.under(root))? else {
            return Ok((IgnoreFile::default(), Vec::new()));
        };
        let bytes = fs::read(&file).map_err(|error| unreadable(&file, &error))?;
        let path = file.strip_prefix(root).ok().and_then(RelPath::from_path);
        let path = path.or_else(|| context.join(".dockerignore")).unwrap_or_else(RelPath::root);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(IgnoreFile::parse(&Source::new(path, text))),
            Err(error) => {
                // Docker compares bytes. Without them a file would be sent that it leaves out.
                let at = error.utf8_error().valid_up_to();
                let source = Source::new(path, String::from_utf8_lossy(error.as_bytes()));
                let (read, mut problems) = IgnoreFile::parse(&source);
                let span = Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8());
                problems.push(
                    Diagnostic::new(Rule::BadIgnoreLine, "the ignore file is not UTF-8")
                        .at(&source, span, "")
                        .hint("write the name with `?` in place of each such byte"),
                );
                Ok((read, problems))
            }
        }
    }

    /// Reads an ignore file. Lines that are wrong are reported and left out; Docker refuses to
    /// build with them, so each is an error.
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

    /// The same for patterns that stand in an instruction (`COPY --exclude`, `--parents`): those
    /// are matched as the lines of an ignore file are, but only the second cleaning is done.
    ///
    /// # Errors
    /// Says which pattern is wrong, and how.
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

    /// Whether there is a `!` line.
    pub fn has_exceptions(&self) -> bool {
        self.inner.exceptions
    }

    fn new(lines: Vec<Line>) -> IgnoreFile {
        let exceptions = || lines.iter().filter(|line| line.exception);
        let inner = Inner {
            exceptions: exceptions().next().is_some(),
            plain_exceptions: exceptions().all(|line| line.pattern.folder_is_plain()),
            lines,
        };
        IgnoreFile { inner: Arc::new(inner) }
    }

    /// Whether it leaves out nothing at all.
    pub fn is_empty(&self) -> bool {
        self.inner.lines.is_empty()
    }

    /// The verdict on a path (relative to the context, with `/`), given the one on the folder
    /// that holds it; nothing for what lies in the context's root.
    ///
    /// The folder must not be one that [`IgnoreFile::can_skip`] allows to skip: what lies in
    /// there is ignored without asking.
    pub fn judge(&self, path: &[u8], folder: Option<&Verdict>) -> Verdict {
        let lines = &self.inner.lines;
        let name = Name::new(path);
        let mut verdict =
            Verdict { ignored: false, matched: vec![0; lines.len().div_ceil(64)], line: None };
        for (number, line) in lines.iter().enumerate() {
            let inherited = folder.is_some_and(|folder| folder.has(number));
            // A line that can't change the verdict is not tried, see above.
            if inherited || (line.exception == verdict.ignored && line.pattern.matches(&name)) {
                verdict.set(number);
                verdict.ignored = !line.exception;
                verdict.line = Some(number);
            }
        }
        verdict
    }

    /// Whether nothing in a folder with this verdict is sent.
    pub fn can_skip(&self, folder: &[u8], verdict: &Verdict) -> bool {
        if !verdict.ignored {
            return false;
        }
        let inner = &*self.inner;
        if !inner.exceptions {
            return true;
        }
        let inside = [folder, b"/"].concat();
        let leads_inside = |line: &Line| {
            let path = line.pattern.folder();
            path.as_bytes().starts_with(&inside) || path.as_bytes() == folder
        };
        let mut exceptions = inner.lines.iter().filter(|line| line.exception);
        if inner.plain_exceptions && !exceptions.any(leads_inside) {
            return true;
        }
        // The line that decided matches all that lies inside, so only a later exception can bring
        // something back.
        let later = verdict.line.map_or(0, |line| line + 1);
        !inner.lines[later..]
            .iter()
            .any(|line| line.exception && line.pattern.can_match_below(&inside))
    }

    /// Judges single paths, remembering the folders on the way.
    pub fn matcher(&self) -> Matcher<'_> {
        Matcher { file: self, folders: HashMap::new() }
    }

    /// Whether a path (relative to the context, with `/`) is left out.
    pub fn ignored(&self, path: impl AsRef<[u8]>) -> bool {
        self.matcher().ignored(path)
    }

    /// The place of the line that decided, for those who ask why.
    pub fn deciding_line(&self, verdict: &Verdict) -> Option<Span> {
        verdict.line.map(|line| self.inner.lines[line].span)
    }
}

/// Judges paths in any order.
#[derive(Debug)]
pub struct Matcher<'a> {
    file: &'a IgnoreFile,
    folders: HashMap<Vec<u8>, Folder>,
}

#[derive(Clone, Debug)]
struct Folder {
    verdict: Verdict,
    skipped: bool,
}

impl Matcher<'_> {
    /// Whether a path (relative to the context, with `/`) is left out.
    pub fn ignored(&mut self, path: impl AsRef<[u8]>) -> bool {
        let (file, path) = (self.file, path.as_ref());
        match path.iter().rposition(|byte| *byte == b'/') {
            None => file.judge(path, None).ignored,
            Some(slash) => {
                let folder = self.folder(&path[..slash]);
                folder.skipped || file.judge(path, Some(&folder.verdict)).ignored
            }
        }
    }

    /// Whether a folder is left out with all that lies in it.
    pub fn can_skip_folder(&mut self, path: impl AsRef<[u8]>) -> bool {
        self.folder(path.as_ref()).skipped
    }

    fn folder(&mut self, path: &[u8]) -> &Folder {
        // From the root down to `path`, without recursion: paths may be long.
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let mut above: Option<Folder> = None;
        for end in slashes.chain([path.len()]) {
            let part = &path[..end];
            let folder = match (self.folders.get(part), above) {
                (Some(known), _) => known.clone(),
                (None, Some(above)) if above.skipped => above,
                (None, above) => {
                    let verdict = self.file.judge(part, above.as_ref().map(|a| &a.verdict));
                    Folder { skipped: self.file.can_skip(part, &verdict), verdict }
                }
            };
            self.folders.entry(part.to_owned()).or_insert_with(|| folder.clone());
            above = Some(folder);
        }
        &self.folders[path]
    }
}

fn problem(source: &Source, message: Problem, span: Span) -> Diagnostic {
    Diagnostic::new(Rule::BadIgnoreLine, message)
        .at(source, span, "")
        .hint("write `\\` before a character that is to stand for itself")
}

/// Reads one line that begins at byte `start`: nothing for a blank or a comment.
///
/// Docker cleans a line twice, once when it reads the file and once when it makes the matcher,
/// and looks for the `!` both times.
fn read_line(line: &str, start: usize) -> Result<Option<Line>, (Problem, Span)> {
    if line.len() >= LINE_LIMIT {
        let message = format!("the line has {} bytes; Docker reads none that long", line.len());
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
    // Where cleaning changed the text, no byte of it has a place of its own.
    read_pattern(&once, span, |text, at| match written.find(text) {
        Some(found) => Span::new(offset + found + at.start, offset + found + at.end),
        None => span,
    })
}

/// The second cleaning. `place` says where a part of the cleaned pattern is written.
fn read_pattern(
    text: &str,
    span: Span,
    place: impl Fn(&str, Range<usize>) -> Span,
) -> Result<Option<Line>, (Problem, Span)> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Ok(None);
    }
    let cleaned = clean(trimmed);
    let (exception, text) = match cleaned.strip_prefix('!') {
        Some("") => return Err(("the `!` brings nothing back".into(), span)),
        Some(rest) => (true, rest),
        None => (false, cleaned.as_str()),
    };
    match Pattern::new(text) {
        Ok(pattern) => Ok(Some(Line { exception, pattern, span })),
        Err(Fault { at, message }) => {
            Err((format!("`{text}` is no pattern: {message}").into(), place(text, at)))
        }
    }
}

/// The cleaned text without one leading `/`; nothing stays nothing.
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

/// Go's `filepath.Clean`: no `.`, no empty parts, no `..` but at the start.
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
