//! Positions in text: byte spans, and files that convert them to lines and columns.
//!
//! Owns positions. It does not know what the text means.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::RelPath;

/// A half-open range of bytes in the text of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Creates the span from byte `start` to byte `end`, exclusive.
    ///
    /// # Panics
    /// Panics if a bound does not fit into 32 bits. Files of 4 GiB or more are rejected earlier.
    pub fn new(start: usize, end: usize) -> Span {
        let narrow = |n: usize| u32::try_from(n).expect("a file smaller than 4 GiB");
        Span { start: narrow(start), end: narrow(end) }
    }

    /// Returns the span as a range of indexes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Returns the smallest span that contains both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the number of bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the span is empty.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A value and its position in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its position.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Creates a value with a position.
    pub fn new(value: T, span: Span) -> Spanned<T> {
        Spanned { value, span }
    }
}

/// A text file of the repository. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    inner: Arc<SourceInner>,
}

struct SourceInner {
    path: RelPath,
    text: String,
    /// The byte offset of the start of each line.
    lines: Vec<u32>,
}

impl Source {
    /// Creates a source from a path and its text.
    pub fn new(path: RelPath, text: impl Into<String>) -> Source {
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = ends.map(|(at, _)| Span::new(at + 1, at + 1).start);
        let lines = std::iter::once(0).chain(starts).collect();
        Source { inner: Arc::new(SourceInner { path, text, lines }) }
    }

    /// Returns the file's path.
    pub fn path(&self) -> &RelPath {
        &self.inner.path
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Returns the text that a span covers.
    pub fn slice(&self, span: Span) -> &str {
        &self.inner.text[span.range()]
    }

    /// Returns the line (from 1) that contains a byte offset.
    pub fn line_of(&self, offset: u32) -> u32 {
        let line = self.inner.lines.partition_point(|start| *start <= offset);
        u32::try_from(line).expect("fewer lines than bytes")
    }

    /// Returns the file, line, and column of the start of a span.
    pub fn location(&self, span: Span) -> Location {
        let line = self.line_of(span.start);
        let start = self.inner.lines[line as usize - 1] as usize;
        let before = &self.inner.text[start..span.start as usize];
        let column = u32::try_from(before.chars().count()).expect("a line shorter than 4 GiB") + 1;
        Location { file: self.path().clone(), line, column }
    }

    /// Returns the span of a line (from 1) without its line ending, or `None` after the end of the file.
    pub fn line_span(&self, line: u32) -> Option<Span> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.inner.lines.get(index)? as usize;
        let text = &self.inner.text[start..];
        let line = text.split('\n').next().unwrap_or(text);
        Some(Span::new(start, start + line.trim_end_matches('\r').len()))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.path())
    }
}

/// A position in a file that a person can open: `docker/dev/Dockerfile:3:6`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The file.
    pub file: RelPath,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl serde::Serialize for Location {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Location { file, line, column } = self;
        serializer.collect_str(&format_args!("{}:{line}:{column}", file.as_str()))
    }
}

impl<'de> serde::Deserialize<'de> for Location {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Location, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        let read = || {
            let (rest, column) = text.rsplit_once(':')?;
            let (file, line) = rest.rsplit_once(':')?;
            let file = RelPath::new(file)?;
            Some(Location { file, line: line.parse().ok()?, column: column.parse().ok()? })
        };
        read().ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a position in a file"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_count_lines_and_characters_from_one() {
        let source = Source::new(RelPath::new("d/Dockerfile").unwrap(), "FROM a\r\nRUN é x\n");
        assert_eq!(source.location(Span::new(0, 4)).to_string(), "d/Dockerfile:1:1");
        assert_eq!(source.location(Span::new(5, 6)).to_string(), "d/Dockerfile:1:6");
        assert_eq!(source.location(Span::new(15, 16)).to_string(), "d/Dockerfile:2:7");
        assert_eq!(source.slice(source.line_span(1).unwrap()), "FROM a");
        assert_eq!(source.slice(source.line_span(2).unwrap()), "RUN é x");
        assert_eq!(source.slice(source.line_span(3).unwrap()), "");
        assert_eq!(source.line_span(4), None);
    }

    #[test]
    fn an_empty_file_has_one_line() {
        let source = Source::new(RelPath::root(), "");
        assert_eq!(source.location(Span::new(0, 0)).line, 1);
        assert_eq!(source.line_span(1), Some(Span::new(0, 0)));
    }
}
