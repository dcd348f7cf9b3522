//! Takes values that must not be seen out of what is said.
//!
//! Owns which parts of a text give a secret away. Engines do not mask: a step that prints a
//! secret prints it. What is looked for is each line of each value, without the blanks around it,
//! because a value of several lines is printed line by line. Lines of fewer than
//! [`SHORTEST`] bytes are let through: so short a value can be guessed, and hiding `}` or `on`
//! wherever they stand would make the output unreadable and show by its holes what was hidden.
//! Only what is printed as it is can be found, not what a program has encoded, reversed or cut.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use anyhow::Context;

/// What stands where something was hidden.
pub const HIDDEN: &str = "***";

/// Shorter lines of a value are not hidden.
pub const SHORTEST: usize = 4;

/// What is to be hidden. Cheap to clone; hides nothing by default.
#[derive(Clone, Default)]
pub struct Mask {
    words: Option<Arc<Words>>,
}

struct Words {
    words: Vec<Vec<u8>>,
    longest: usize,
    search: AhoCorasick,
}

impl Mask {
    /// Hides every line of the values.
    ///
    /// # Errors
    /// Where there is more to look for than can be looked for.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> anyhow::Result<Mask> {
        let lines = values.into_iter().flat_map(|value| value.split(|byte| *byte == b'\n'));
        let words: BTreeSet<&[u8]> =
            lines.map(<[u8]>::trim_ascii).filter(|line| line.len() >= SHORTEST).collect();
        let words: Vec<Vec<u8>> = words.into_iter().map(<[u8]>::to_vec).collect();
        let Some(longest) = words.iter().map(Vec::len).max() else { return Ok(Mask::default()) };
        // The other kind that is fast would take hundreds of bytes for each byte of a value.
        let search = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&words)
            .context("the secrets are too large to be hidden from the output")?;
        Ok(Mask { words: Some(Arc::new(Words { words, longest, search })) })
    }

    /// The bytes without what is to be hidden.
    pub fn hide<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let found = self.find(bytes);
        if found.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut kept = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for range in found {
            kept.extend_from_slice(&bytes[at..range.start]);
            kept.extend_from_slice(HIDDEN.as_bytes());
            at = range.end;
        }
        kept.extend_from_slice(&bytes[at..]);
        Cow::Owned(kept)
    }

    /// The text without what is to be hidden.
    pub fn hide_in(&self, text: String) -> String {
        match self.hide(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(kept) => String::from_utf8_lossy(&kept).into_owned(),
        }
    }

    /// How much of a line whose end has not come yet can be taken off, about `wanted` bytes,
    /// without cutting through something that is to be hidden, or that may become such when more
    /// comes. Nothing where that is not known yet.
    pub fn cut(&self, line: &[u8], wanted: usize) -> Option<usize> {
        let whole = self.certain(line);
        let cut = wanted.min(whole);
        let around = self.find(line).into_iter().find(|at| at.start < cut && cut < at.end);
        match around {
            Some(range) if range.start > 0 => Some(range.start),
            Some(range) if range.end <= whole || self.is_endless(line, wanted) => Some(range.end),
            Some(_) => None,
            None => (cut > 0).then_some(cut),
        }
    }

    /// Whether a line has become so long that to wait for more of it would fill the memory: it is
    /// a value over and over, without anything between.
    fn is_endless(&self, line: &[u8], wanted: usize) -> bool {
        let longest = self.words.as_ref().map_or(0, |words| words.longest);
        line.len() > 2 * (wanted + longest)
    }

    /// How many of the bytes belong to nothing that may still become a thing to be hidden.
    fn certain(&self, line: &[u8]) -> usize {
        let Some(words) = &self.words else { return line.len() };
        let first = line.len().saturating_sub(words.longest - 1);
        let may_begin = |start: &usize| {
            let rest = &line[*start..];
            words.words.iter().any(|word| word.len() > rest.len() && word.starts_with(rest))
        };
        (first..line.len()).find(may_begin).unwrap_or(line.len())
    }

    /// Where something is to be hidden, in order; what overlaps or touches is one.
    fn find(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let Some(words) = &self.words else { return Vec::new() };
        let mut found: Vec<Range<usize>> =
            words.search.find_overlapping_iter(bytes).map(|found| found.range()).collect();
        found.sort_unstable_by_key(|range| (range.start, range.end));
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(values: &[&str]) -> Mask {
        Mask::new(values.iter().map(|value| value.as_bytes())).unwrap()
    }

    #[test]
    fn values_are_hidden_wherever_they_stand() {
        let check = |values: &[&str], text: &str, expected: &str| {
            assert_eq!(mask(values).hide_in(text.to_owned()), expected, "{values:?}: {text}");
        };
        check(&[], "hunter2", "hunter2");
        check(&["hunter2"], "hunter2", "***");
        check(&["hunter2"], "a hunter2, hunter2hunter2.", "a ***, ***.");
        check(&["hunter2"], "hunter", "hunter");
        check(&[" hunter2 \r\n"], "<hunter2>", "<***>");
        check(&["one1\ntwo2\n\nx"], "one1 x two2", "*** x ***");
        // What is too short to be a secret stays.
        check(&["abc", "}"], "abc }", "abc }");
        check(&["abcd"], "abcd", "***");
        // One inside the other, and one over the end of the other.
        check(&["abcd", "abcdefgh"], "abcdefgh abcd", "*** ***");
        check(&["abcd", "cdef"], "abcdef", "***");
        check(&["pä55"], "é pä55 é", "é *** é");
    }

    #[test]
    fn a_line_is_cut_beside_what_is_hidden() {
        let check = |line: &str, wanted: usize, expected: Option<usize>| {
            assert_eq!(mask(&["secret", "se11"]).cut(line.as_bytes(), wanted), expected, "{line}");
        };
        check("aaaaaaaa", 4, Some(4));
        check("aasecretaa", 4, Some(2));
        check("secretaa", 4, Some(6));
        check("aaaaaasec", 8, Some(6));
        check("sec", 2, None);
        check("aaaasec", 4, Some(4));
        assert_eq!(Mask::default().cut(b"secret", 3), Some(3));
        // Something that repeats itself without an end is hidden all the same.
        let (endless, line) = (mask(&["aaaa"]), "a".repeat(100));
        assert_eq!(endless.cut(&line.as_bytes()[..20], 10), None);
        assert_eq!(endless.cut(line.as_bytes(), 10), Some(100));
    }
}
