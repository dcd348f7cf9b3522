//! Masking of secrets in output.
//!
//! Owns which parts of a text reveal a secret. Engines do not mask: a step that prints a secret shows it. The mask
//! searches for each line of each value, with surrounding blanks removed, because values of several lines are
//! printed line by line. Lines shorter than [`SHORTEST`] bytes are not masked: such short values can be guessed,
//! and masking every `}` or `on` would make the output unreadable while the gaps would reveal what was masked.
//!
//! A value is found wherever a reader could reassemble it: verbatim, with control sequences and invisible
//! characters in between, across line breaks, and where a terminal would overwrite other text with it. Values that
//! a program has encoded, reversed, or truncated are not found, with one exception: quoting as in messages.

mod search;
mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;

use crate::base::screen::{self, ScreenPiece};

use search::Search;
pub use stream::MaskStream;

/// The text that replaces a masked value.
pub const HIDDEN: &str = "***";

/// The minimum length in bytes of a line that is masked.
pub const SHORTEST: usize = 4;

/// The minimum length in bytes of a line that is also searched for with its inner blanks removed.
const SHORTEST_WITHOUT_BLANKS: usize = 8;

/// The maximum length in bytes of a value that is also searched for as a whole if some of its lines are too short.
const LONGEST_WHOLE: usize = 4096;

/// The values to mask. Cheap to clone; masks nothing by default.
#[derive(Clone, Default)]
pub struct Mask {
    words: Option<Arc<SecretSearches>>,
}

/// The values, prepared for each way of reading a text.
struct SecretSearches {
    /// For the raw bytes, without line breaks.
    raw: Arc<Search>,
    /// For the visible characters.
    shown: Arc<Search>,
    /// For the visible characters without blanks; `None` if no value contains blanks. Output can be wrapped at
    /// them.
    dense: Option<Arc<Search>>,
}

impl Mask {
    /// Creates a mask for every line of these values.
    ///
    /// # Errors
    /// Returns an error if the values are too large to search for.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> anyhow::Result<Mask> {
        let mut words: BTreeSet<Vec<u8>> = BTreeSet::new();
        for value in values {
            words.extend(words_of(value));
        }
        let quoted: Vec<Vec<u8>> = words.iter().filter_map(|word| quote(word)).collect();
        words.extend(quoted);
        let long = |words: BTreeSet<Vec<u8>>, least: usize| -> Vec<Vec<u8>> {
            words.into_iter().filter(|word| word.len() >= least).collect()
        };
        let dense = words.iter().filter(|word| word.iter().any(u8::is_ascii_whitespace));
        let dense = dense.map(|word| without_blanks(&shown(word))).collect();
        let dense = long(dense, SHORTEST_WITHOUT_BLANKS);
        let seen = long(words.iter().map(|word| shown(word)).collect(), SHORTEST);
        let words = words.iter().map(|word| without_breaks(word)).collect();
        let words = long(words, SHORTEST);
        if words.is_empty() {
            return Ok(Mask::default());
        }
        let search = |words: &[Vec<u8>]| {
            Search::new(words).context("the secrets are too large to be hidden from the output")
        };
        let raw = Arc::new(search(&words)?);
        let shown = if seen == words { Arc::clone(&raw) } else { Arc::new(search(&seen)?) };
        let dense = if dense.is_empty() { None } else { Some(Arc::new(search(&dense)?)) };
        Ok(Mask { words: Some(Arc::new(SecretSearches { raw, shown, dense })) })
    }

    /// Returns the text with all values masked.
    pub fn hide_in(&self, text: String) -> String {
        if self.words.is_none() {
            return text;
        }
        let mut stream = MaskStream::new(self.clone());
        let mut output = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            stream.feed(line.as_bytes().to_vec());
        }
        stream.finish();
        while let Some(line) = stream.next_ready() {
            output.push_str(&String::from_utf8_lossy(&line));
        }
        output
    }
}

/// Returns the lines of a value that are long enough, and the whole value if some are not.
fn words_of(value: &[u8]) -> Vec<Vec<u8>> {
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let (mut long, short): (Vec<&[u8]>, Vec<&[u8]>) =
        lines.clone().filter(|line| !line.is_empty()).partition(|line| line.len() >= SHORTEST);
    let single_line: Vec<u8> = lines.flatten().copied().collect();
    if !short.is_empty() && (SHORTEST..=LONGEST_WHOLE).contains(&single_line.len()) {
        long.push(&single_line);
    }
    long.into_iter().map(<[u8]>::to_vec).collect()
}

/// Returns a word as an engine's message or JSON quotes it; `None` if quoting does not change it.
fn quote(word: &[u8]) -> Option<Vec<u8>> {
    let has_meaning = |byte: &u8| matches!(byte, b'"' | b'\\');
    word.iter().any(has_meaning).then(|| {
        let escaped = |byte: &u8| if has_meaning(byte) { vec![b'\\', *byte] } else { vec![*byte] };
        word.iter().flat_map(escaped).collect()
    })
}

fn without_breaks(word: &[u8]) -> Vec<u8> {
    word.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect()
}

fn without_blanks(word: &[u8]) -> Vec<u8> {
    word.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// Returns the visible characters of a word.
fn shown(word: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(word.len());
    screen::scan(word, |piece, at| {
        if piece == ScreenPiece::Shown {
            shown.extend_from_slice(&word[at]);
        }
    });
    shown
}

#[cfg(test)]
mod tests;
