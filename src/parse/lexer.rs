//! Splitting of a text into logical lines: directives, comments, continuations, and here-documents.
//!
//! Owns the lexical quirks of Dockerfiles. All it knows about instructions is which of them take
//! here-documents. Its pieces cover the text without gaps or overlaps.
//!
//! The rules are those of moby/buildkit `frontend/dockerfile/parser`.

use crate::base::{Diagnostic, Rule, Source, Span};

use super::heredoc::{self, Opening};
use super::logical::TextMap;
use super::syntax::{Directives, Heredoc, Piece, PieceKind};
use super::{directive, splitting};

/// The length in bytes of the longest line that BuildKit accepts.
const LONGEST_LINE: usize = 65_535;

/// A text split into logical lines.
#[derive(Default)]
pub(super) struct LogicalLines {
    pub(super) directives: Directives,
    pub(super) lines: Vec<LogicalLine>,
    pub(super) pieces: Vec<Piece>,
    /// The comments in instructions: between continuation lines.
    pub(super) inner_comments: Vec<Span>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// The joined line of an instruction, without leading and trailing white space.
pub(super) struct LogicalLine {
    pub(super) text: String,
    /// The trailing white space that was removed.
    pub(super) tail: String,
    pub(super) map: TextMap,
    /// From the first line to the last, including here-documents, without the last line ending.
    pub(super) span: Span,
    pub(super) heredocs: Vec<Heredoc>,
}

/// Splits a text into logical lines.
pub(super) fn lex(source: &Source) -> LogicalLines {
    let text = source.text();
    let mut lexer = Lexer {
        source,
        text,
        at: 0,
        directives_done: false,
        seen: [None; 3],
        lexed: LogicalLines::default(),
    };
    while let Some(line) = lexer.next_line() {
        let content = SourceLine { start: line.content_start(text), ..line };
        let kind = match content.text(text).bytes().next() {
            None => {
                lexer.directives_done = true;
                PieceKind::Blank
            }
            Some(b'#') => lexer.comment(content),
            Some(_) => {
                lexer.directives_done = true;
                let line = lexer.instruction(content);
                lexer.lexed.lines.push(line);
                PieceKind::Instruction
            }
        };
        lexer.lexed.pieces.push(Piece { kind, span: Span::new(line.start, lexer.at) });
    }
    lexer.lexed.directives.syntax = directive::detect_syntax(text);
    let check = directive::detect_check(text);
    if let Some(check) = check.as_ref().filter(|one| !directive::is_check(&one.value)) {
        let message = format!("`{}` is not a valid option for `check`", check.value);
        let hint = "use `skip=…` or `error=true`, separated by `;`, without spaces";
        lexer.fail(Diagnostic::new(Rule::InvalidCheck, message).hint(hint), check.span);
    }
    lexer.lexed.directives.check = check;
    lexer.lexed
}

/// A line without its line ending.
#[derive(Clone, Copy)]
struct SourceLine {
    start: usize,
    end: usize,
}

impl SourceLine {
    fn text(self, text: &str) -> &str {
        &text[self.start..self.end]
    }

    /// Returns the offset of the line's content after a byte-order mark and leading white space.
    fn content_start(self, text: &str) -> usize {
        let mut line = self.text(text);
        if self.start == 0 {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        self.end - line.trim_start().len()
    }
}

struct Lexer<'a> {
    source: &'a Source,
    text: &'a str,
    /// The offset of the next line.
    at: usize,
    directives_done: bool,
    /// The spans of the directives found so far.
    seen: [Option<Span>; 3],
    lexed: LogicalLines,
}

impl Lexer<'_> {
    /// Returns the next line, without `\n` and the `\r`s before it.
    fn next_line(&mut self) -> Option<SourceLine> {
        let start = self.at;
        let rest = &self.text[start..];
        if rest.is_empty() {
            return None;
        }
        let end = rest.find('\n');
        self.at = start + end.map_or(rest.len(), |end| end + 1);
        let length = end.unwrap_or(rest.len());
        if length > LONGEST_LINE {
            let message =
                format!("the line has {length} bytes, more than the limit of {LONGEST_LINE}");
            let diagnostic = Diagnostic::new(Rule::LineTooLong, message);
            let hint = "split the line with continuations";
            self.fail(diagnostic.hint(hint), Span::new(start, start));
        }
        Some(SourceLine { start, end: start + rest[..length].trim_end_matches('\r').len() })
    }

    fn fail(&mut self, diagnostic: Diagnostic, span: Span) {
        self.lexed.diagnostics.push(diagnostic.at(self.source, span, ""));
    }

    /// Classifies a line that starts with `#`.
    fn comment(&mut self, line: SourceLine) -> PieceKind {
        if self.directives_done {
            return PieceKind::Comment;
        }
        let Some(found) = directive::read(line.text(self.text), "#") else {
            self.directives_done = true;
            return PieceKind::Comment;
        };
        let span = Span::new(line.start + found.range.start, line.start + found.range.end);
        let index = usize::from(found.name == "escape") + 2 * usize::from(found.name == "check");
        if let Some(first) = self.seen[index] {
            let message = format!("only one `{}` directive can be used", found.name);
            let diagnostic = Diagnostic::new(Rule::DuplicateDirective, message)
                .at(self.source, span, "used again here")
                .at(self.source, first, "first used here");
            self.lexed.diagnostics.push(diagnostic.hint("remove one of them"));
            return PieceKind::Directive;
        }
        self.seen[index] = Some(span);
        match (found.name, found.value) {
            ("escape", "\\") => self.lexed.directives.escape = '\\',
            ("escape", "`") => self.lexed.directives.escape = '`',
            ("escape", value) => {
                let message = format!("`{value}` is not a valid escape character");
                let hint = "use `# escape=\\` or `# escape=` and a backtick";
                self.fail(Diagnostic::new(Rule::InvalidEscape, message).hint(hint), span);
            }
            _ => {}
        }
        PieceKind::Directive
    }

    /// Reads an instruction, starting at its first line.
    fn instruction(&mut self, first: SourceLine) -> LogicalLine {
        let (mut line, mut continues) = self.without_escape(first);
        let mut text = line.text(self.text).to_owned();
        let mut map = TextMap::starting_at(line.start);
        let mut span = Span::new(first.start, first.end);
        let mut empty = None;
        while continues {
            let Some(next) = self.next_line() else { break };
            span.end = Span::new(next.end, next.end).end;
            match next.text(self.text).trim_start().bytes().next() {
                Some(b'#') => {
                    self.lexed.inner_comments.push(Span::new(next.start, next.end));
                    continue;
                }
                None => {
                    empty.get_or_insert(Span::new(next.start, next.end));
                    continue;
                }
                Some(_) => {}
            }
            (line, continues) = self.without_escape(next);
            map.push(text.len(), line.start);
            text.push_str(line.text(self.text));
        }
        if let Some(empty) = empty {
            let diagnostic = Diagnostic::new(Rule::EmptyContinuation, "empty continuation line");
            self.fail(diagnostic.hint("remove the empty line"), empty);
        }
        let range = splitting::trim(&text, 0..text.len());
        let tail = text[range.end..].to_owned();
        if range.start > 0 {
            map = map.without_first(range.start);
            text = text[range].to_owned();
        } else {
            text.truncate(range.end);
        }
        let mut logical = LogicalLine { text, tail, map, span, heredocs: Vec::new() };
        self.read_heredocs(&mut logical);
        logical
    }

    /// Returns the line without a trailing escape, and whether it had one. Blanks may follow the
    /// escape. An escape that follows another one does not continue the line.
    fn without_escape(&self, line: SourceLine) -> (SourceLine, bool) {
        let text = line.text(self.text).trim_end_matches([' ', '\t']);
        match text.strip_suffix(self.lexed.directives.escape) {
            Some(before) if !before.ends_with(self.lexed.directives.escape) => {
                (SourceLine { start: line.start, end: line.start + before.len() }, true)
            }
            _ => (line, false),
        }
    }

    fn read_heredocs(&mut self, logical: &mut LogicalLine) {
        let openings = match heredoc::openings(&logical.text, self.lexed.directives.escape) {
            Ok(openings) => openings,
            Err(error) => {
                let message = format!("can't parse the delimiter of a here-document: {error}");
                let span = logical.map.span(0..logical.text.len());
                self.fail(Diagnostic::new(Rule::ParseError, message), span);
                return;
            }
        };
        for opening in openings {
            let start = self.at;
            let Some(end) = self.find_end(&opening) else {
                let message = format!("unterminated here-document `{}`", opening.name);
                let at = logical.text.find("<<").unwrap_or_default();
                let span = logical.map.span(at..logical.text.len());
                let hint = format!("end it with a line that contains only `{}`", opening.name);
                self.fail(Diagnostic::new(Rule::UnterminatedHeredoc, message).hint(hint), span);
                logical.span.end = Span::new(self.at, self.at).end;
                return;
            };
            let content = self.text[start..end.start].to_owned();
            logical.heredocs.push(opening.with(content, Span::new(start, end.start)));
            logical.span.end = Span::new(end.end, end.end).end;
        }
    }

    /// Finds the line that ends a here-document.
    fn find_end(&mut self, opening: &Opening) -> Option<SourceLine> {
        while let Some(line) = self.next_line() {
            let text = line.text(self.text);
            let text = if opening.chomp { text.trim_start_matches('\t') } else { text };
            if text == opening.name {
                return Some(line);
            }
        }
        None
    }
}
