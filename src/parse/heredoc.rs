//! Detection of the here-documents that a line opens.
//!
//! Owns only the detection; `lexer` reads the bodies.

use crate::base::Span;

use super::expand::ExpandError;
use super::shell::shell_words;
use super::splitting::{ByteRange, Json, is_blank, read_json, split_instruction};
use super::syntax::Heredoc;

/// The opening of a here-document: the part after `<<`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    /// The terminator without quotes.
    pub(super) name: String,
    /// Whether no part of the terminator was quoted.
    pub(super) expand: bool,
    /// Whether the opening was `<<-`.
    pub(super) chomp: bool,
}

impl Opening {
    /// Returns the here-document with this opening and body.
    pub(super) fn with(self, content: String, span: Span) -> Heredoc {
        let Opening { name, expand, chomp } = self;
        Heredoc { name, expand, chomp, content, span }
    }
}

/// Returns the here-documents that the line of an instruction opens, in order.
///
/// # Errors
/// Returns an error if a terminator is malformed.
pub(super) fn openings(line: &str, escape: char) -> Result<Vec<Opening>, ExpandError> {
    if !line.contains("<<") || !may_have_heredocs(line, escape) {
        return Ok(Vec::new());
    }
    // A line that BuildKit's shell lexer cannot split has no here-documents. The escape character
    // is always the backslash here.
    let words = shell_words(line, true, true).unwrap_or_default();
    let openings = words.iter().map(|word| read_opening(word).transpose());
    openings.flatten().collect()
}

/// Returns whether the instruction can have here-documents: `ADD`, `COPY`, and `RUN` can, unless
/// they are in JSON form, and so can `ONBUILD` followed by one of them.
fn may_have_heredocs(line: &str, escape: char) -> bool {
    let is = |range: ByteRange, keyword: &str| line[range].eq_ignore_ascii_case(keyword);
    let mut parts = split_instruction(line, 0..line.len(), escape);
    if is(parts.keyword.clone(), "ONBUILD") {
        parts = split_instruction(line, parts.arguments, escape);
    }
    ["ADD", "COPY", "RUN"].into_iter().any(|keyword| is(parts.keyword.clone(), keyword))
        && !matches!(read_json(line, parts.arguments), Json::Words(_))
}

/// Parses `[number]<<[-]word`. Returns `None` for any other text.
///
/// # Errors
/// Returns an error if the word is malformed.
pub(super) fn read_opening(text: &str) -> Result<Option<Opening>, ExpandError> {
    let Some(rest) = text.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")
    else {
        return Ok(None);
    };
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start_matches(|c| is_blank(c) && c != '\x0b');
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let mut words = shell_words(rest, false, false)?;
    let (Some(name), true) = (words.pop(), words.is_empty()) else { return Ok(None) };
    let quoted = shell_words(rest, true, false)?.concat();
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    let expand = quotes(&name) == quotes(&quoted);
    Ok(Some(Opening { name, expand, chomp }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heredoc_openings_are_parsed_from_a_line() {
        let check = |line: &str, expected: &[(&str, bool, bool)]| {
            let read = openings(line, '\\').unwrap();
            let read: Vec<_> =
                read.iter().map(|doc| (doc.name.as_str(), doc.expand, doc.chomp)).collect();
            assert_eq!(read, expected, "{line}");
        };
        check("RUN <<EOF", &[("EOF", true, false)]);
        check("RUN << EOF", &[("EOF", true, false)]);
        check("RUN <<- EOF", &[]);
        check("RUN 3<<-'E F' <<\"G\"H", &[("E F", false, true), ("GH", false, false)]);
        check("RUN <<\\EOF", &[("EOF", true, false)]);
        check("RUN x<<EOF", &[]);
        check("RUN cat <<<EOF", &[]);
        check("RUN $(( 1 << 2 ))", &[("2", true, false)]);
        check("RUN $((1<<2))", &[]);
        check("RUN it's <<EOF", &[]);
        check("RUN ${X^^} <<EOF", &[]);
        check("RUN ${X:-a b} <<EOF", &[("EOF", true, false)]);
        check("RUN <<$X <<${Y}", &[("$X", true, false), ("${Y}", true, false)]);
        // The nested word makes BuildKit discard the `<<E` before it.
        check("RUN <<E${X:-c}", &[]);
        check("CMD <<EOF", &[]);
        check("ONBUILD COPY <<EOF /x", &[("EOF", true, false)]);
        check("ONBUILD CMD <<EOF", &[]);
        check("RUN [\"<<EOF\"]", &[]);
        check("RUN --x=\"<<EOF\" a", &[]);
    }
}
