//! Streaming search for several words at once.
//!
//! Owns the state between two bytes: how much of which word has matched. Each byte takes constant time, regardless
//! of the length of the words.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError};

/// The words to find.
pub(super) struct Search {
    automaton: NFA,
    start: StateID,
    /// For each state except the start: the number of bytes matched so far, and the length of the longest word that
    /// ends in the state, or 0.
    states: HashMap<StateID, (usize, usize)>,
    /// The length of the longest word in bytes.
    pub(super) longest: usize,
}

impl Search {
    /// Prepares the search; no word may be empty.
    pub(super) fn new(words: &[Vec<u8>]) -> Result<Search, BuildError> {
        let automaton = NFA::new(words)?;
        let start = automaton.start_state(Anchored::No).unwrap_or(StateID::ZERO);
        let mut states = HashMap::with_capacity(words.iter().map(Vec::len).sum());
        for word in words {
            let mut state = start;
            for (at, byte) in word.iter().enumerate() {
                state = automaton.next_state(Anchored::No, state, *byte);
                states.entry(state).or_insert_with(|| (at + 1, longest_at(&automaton, state)));
            }
        }
        let longest = words.iter().map(Vec::len).max().unwrap_or_default();
        Ok(Search { automaton, start, states, longest })
    }
}

/// Returns the length of the longest word that ends in a state, or 0.
fn longest_at(automaton: &NFA, state: StateID) -> usize {
    if !automaton.is_match(state) {
        return 0;
    }
    let words = (0..automaton.match_len(state)).map(|it| automaton.match_pattern(state, it));
    words.map(|word| automaton.pattern_len(word)).max().unwrap_or_default()
}

/// Where a byte of the text comes from in the output.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByteOrigin {
    /// The range to mask in order to hide the byte.
    pub(super) start: u64,
    pub(super) end: u64,
    /// The byte's own position.
    pub(super) own: u64,
}

/// The state of the search in one reading of the text.
#[derive(Default)]
pub(super) struct Cursor {
    state: Option<StateID>,
    /// The bytes that may begin a word.
    open: VecDeque<ByteOrigin>,
}

impl Cursor {
    /// Consumes the next byte. If words end with it, returns the origins of the first and the last byte of the
    /// longest one.
    pub(super) fn take(
        &mut self,
        search: &Search,
        byte: u8,
        origin: ByteOrigin,
    ) -> Option<(ByteOrigin, ByteOrigin)> {
        let state = self.state.unwrap_or(search.start);
        let state = search.automaton.next_state(Anchored::No, state, byte);
        self.state = Some(state);
        let Some((depth, longest)) = search.states.get(&state).copied() else {
            self.open.clear();
            return None;
        };
        self.open.push_back(origin);
        self.open.drain(..self.open.len().saturating_sub(depth));
        if longest == 0 {
            return None;
        }
        let first = self.open.get(self.open.len().checked_sub(longest)?)?;
        Some((*first, origin))
    }

    /// Returns the first byte at or after `from` that may belong to an incomplete word and is not inside a range in
    /// `hidden`.
    pub(super) fn undecided(&self, from: u64, hidden: &VecDeque<Range<u64>>) -> Option<u64> {
        let mut from = from;
        loop {
            let at = self.open.partition_point(|origin| origin.start < from);
            let start = self.open.get(at)?.start;
            let covering = hidden.partition_point(|range| range.end <= start);
            match hidden.get(covering).filter(|range| range.start <= start) {
                Some(range) => from = range.end,
                None => return Some(start),
            }
        }
    }

    /// Returns the end of the bytes that may begin a word.
    pub(super) fn end(&self) -> Option<u64> {
        self.open.back().map(|origin| origin.end)
    }

    /// Forgets the bytes consumed so far.
    pub(super) fn reset(&mut self) {
        self.state = None;
        self.open.clear();
    }
}
