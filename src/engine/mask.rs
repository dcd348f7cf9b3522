//! Takes values that must not be seen out of what is shown.
//!
//! Owns which parts of a text give a secret away. Engines do not mask: a step that prints a
//! secret prints it. What is looked for is each line of each value, without the blanks around it,
//! because a value of several lines is printed line by line. Lines of fewer than
//! [`SHORTEST`] bytes are let through: so short a value can be guessed, and hiding `}` or `on`
//! wherever they stand would make the output unreadable and show by its holes what was hidden.
//!
//! A value is found where a reader could put it together again: as it is, with control sequences and
//! unseen characters in between, across line breaks, and where a terminal would write it over
//! something else. What a program has encoded, reversed or cut is not found, but for the quoting of
//! messages.

mod search;
mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;

use crate::base::screen::{self, Piece};

use search::Search;
pub use stream::Stream;

/// What stands where something was hidden.
pub const HIDDEN: &str = "***";

/// Shorter lines of a value are not hidden.
pub const SHORTEST: usize = 4;

/// Shorter lines of a value are not looked for without the blanks inside them.
const SHORTEST_WITHOUT_BLANKS: usize = 8;

/// A value with shorter lines in it is looked for as a whole too, where it is not longer than this.
const LONGEST_WHOLE: usize = 4096;

/// What is to be hidden. Cheap to clone; hides nothing by default.
#[derive(Clone, Default)]
pub struct Mask {
    words: Option<Arc<Words>>,
}

/// The values, as each way of reading a text may find them.
struct Words {
    /// In the bytes as they are, but for line breaks.
    raw: Arc<Search>,
    /// In what is seen.
    shown: Arc<Search>,
    /// In what is seen but for blanks, where a value has blanks inside: it may be broken there.
    dense: Option<Arc<Search>>,
}

impl Mask {
    /// Hides every line of the values.
    ///
    /// # Errors
    /// Where there is more to look for than can be looked for.
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
        Ok(Mask { words: Some(Arc::new(Words { raw, shown, dense })) })
    }

    /// The text without what is to be hidden.
    pub fn hide_in(&self, text: String) -> String {
        if self.words.is_none() {
            return text;
        }
        let mut stream = Stream::new(self.clone());
        let mut kept = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            stream.feed(line.as_bytes().to_vec());
        }
        stream.finish();
        while let Some(line) = stream.next_ready() {
            kept.push_str(&String::from_utf8_lossy(&line));
        }
        kept
    }
}

/// The lines of a value that are long enough, and the whole where some are not.
fn words_of(value: &[u8]) -> Vec<Vec<u8>> {
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let (mut long, short): (Vec<&[u8]>, Vec<&[u8]>) =
        lines.clone().filter(|line| !line.is_empty()).partition(|line| line.len() >= SHORTEST);
    let whole: Vec<u8> = lines.flatten().copied().collect();
    if !short.is_empty() && (SHORTEST..=LONGEST_WHOLE).contains(&whole.len()) {
        long.push(&whole);
    }
    long.into_iter().map(<[u8]>::to_vec).collect()
}

/// A word as it stands between quotes in a message of an engine or in JSON, where that differs.
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

/// What is seen of a word.
fn shown(word: &[u8]) -> Vec<u8> {
    let mut shown = Vec::with_capacity(word.len());
    screen::scan(word, |piece, at| {
        if piece == Piece::Shown {
            shown.extend_from_slice(&word[at]);
        }
    });
    shown
}

#[cfg(test)]
mod tests;
