//! Masking of a stream of lines.
//!
//! Owns which lines are held back: a line whose end may begin a value is held until the following lines decide.
//! Each byte is searched once per way of reading, so the time is linear. The pending lines never exceed the longest
//! value plus [`MOST_PENDING`] bytes.

use std::collections::VecDeque;
use std::ops::Range;

use crate::base::screen::{self, ScreenPiece};

use super::search::{ByteOrigin, Cursor, Search};
use super::{HIDDEN, Mask, SecretSearches};

/// The maximum number of bytes held in addition to the length of the longest value. The margin is for control
/// sequences and empty lines, which are not part of a value.
const MOST_PENDING: usize = 64 << 10;

/// Masks a stream of lines.
#[derive(Default)]
pub struct MaskStream {
    mask: Mask,
    pending: VecDeque<PendingLine>,
    /// The number of bytes received, and the number of those that are held.
    end: u64,
    pending_bytes: usize,
    /// The ranges to mask in the pending lines, in order.
    hidden: VecDeque<Range<u64>>,
    raw: Cursor,
    shown: Cursor,
    screen: Cursor,
    dense: Cursor,
    /// How many of the pending lines are ready.
    decided: usize,
    /// Whether the last line returned was an incomplete piece that ended inside a masked range.
    is_in_hidden: bool,
}

/// A line, or a piece of one that is too long.
struct PendingLine {
    at: u64,
    bytes: Vec<u8>,
}

impl MaskStream {
    /// Creates a stream that masks lines.
    pub fn new(mask: Mask) -> MaskStream {
        MaskStream { mask, ..MaskStream::default() }
    }

    /// Adds the next line with its line break, or a piece of a line.
    pub fn feed(&mut self, line: Vec<u8>) {
        let at = self.end;
        self.end += line.len() as u64;
        self.pending_bytes += line.len();
        let words = self.mask.words.clone();
        if let Some(words) = &words {
            self.search(words, &line, at);
        }
        self.pending.push_back(PendingLine { at, bytes: line });
        self.decide(words.as_deref());
    }

    /// Makes all pending lines ready, because no more will follow.
    pub fn finish(&mut self) {
        self.each_cursor().into_iter().for_each(Cursor::reset);
        self.decided = self.pending.len();
    }

    /// Returns whether no lines are held.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Returns the next line that is ready, masked.
    pub fn next_ready(&mut self) -> Option<Vec<u8>> {
        self.decided = self.decided.checked_sub(1)?;
        let line = self.pending.pop_front()?;
        self.pending_bytes -= line.bytes.len();
        Some(self.without_hidden(line))
    }

    fn each_cursor(&mut self) -> [&mut Cursor; 4] {
        [&mut self.raw, &mut self.shown, &mut self.screen, &mut self.dense]
    }

    fn search(&mut self, words: &SecretSearches, line: &[u8], at: u64) {
        let mut found: Vec<Range<u64>> = Vec::new();
        for (offset, byte) in line.iter().enumerate() {
            if !matches!(byte, b'\n' | b'\r') {
                let own = at + offset as u64;
                let origin = ByteOrigin { start: own, end: own + 1, own };
                found.extend(self.raw.take(&words.raw, *byte, origin).map(between));
            }
        }
        let seen = VisibleLine::of(line);
        for (shown, _) in seen.trimmed() {
            take_all(&mut self.shown, &words.shown, line, shown, at, &mut found);
            let is_blank = line[shown.clone()].first().is_some_and(u8::is_ascii_whitespace);
            if let Some(dense) = words.dense.as_ref().filter(|_| !is_blank) {
                take_all(&mut self.dense, dense, line, shown, at, &mut found);
            }
        }
        self.add(found);
        self.search_screen(words, line, &seen, at);
    }

    /// Searches the line as a terminal finally displays it. If characters were overwritten, no part of the line
    /// corresponds to what is visible, so the whole line is masked.
    fn search_screen(&mut self, words: &SecretSearches, line: &[u8], seen: &VisibleLine, at: u64) {
        let line_range = at..at + line.len() as u64;
        let mut found = Vec::new();
        for cell in seen.screen() {
            let own = at + cell.start as u64;
            let range = match seen.overwrites {
                true => line_range.clone(),
                false => own..at + cell.end as u64,
            };
            let origin = ByteOrigin { start: range.start, end: range.end, own };
            for byte in &line[cell.clone()] {
                let Some((first, last)) = self.screen.take(&words.shown, *byte, origin) else {
                    continue;
                };
                if !(self.is_hidden(first.own) && self.is_hidden(last.own)) {
                    found.push(between((first, last)));
                }
            }
        }
        self.add(found);
    }

    fn is_hidden(&self, at: u64) -> bool {
        let range = self.hidden.partition_point(|range| range.end <= at);
        self.hidden.get(range).is_some_and(|range| range.start <= at)
    }

    /// Adds the ranges found in the last line; some may begin in earlier lines.
    fn add(&mut self, mut found: Vec<Range<u64>>) {
        let Some(first) = found.iter().map(|range| range.start).min() else { return };
        while self.hidden.back().is_some_and(|range| range.end >= first) {
            found.extend(self.hidden.pop_back());
        }
        found.sort_unstable_by_key(|range| (range.start, range.end));
        for range in found {
            match self.hidden.back_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => self.hidden.push_back(range),
            }
        }
    }

    /// Updates how many lines contain nothing undecided.
    fn decide(&mut self, words: Option<&SecretSearches>) {
        let from = self.pending.front().map_or(self.end, |line| line.at);
        let hidden = std::mem::take(&mut self.hidden);
        let undecided = |cursor: &mut Cursor| cursor.undecided(from, &hidden).zip(cursor.end());
        let open: Vec<(u64, u64)> = self.each_cursor().into_iter().filter_map(undecided).collect();
        self.hidden = hidden;
        let mut limit = open.iter().map(|(start, _)| *start).min().unwrap_or(self.end);
        if self.pending_bytes > MOST_PENDING + words.map_or(0, SecretSearches::longest) {
            // Mask whatever may begin a value, and release the rest.
            self.add(open.into_iter().map(|(start, end)| start..end).collect());
            self.each_cursor().into_iter().for_each(Cursor::reset);
            limit = self.end;
        }
        let is_decided = |line: &PendingLine| line.at + line.bytes.len() as u64 <= limit;
        while self.pending.get(self.decided).is_some_and(is_decided) {
            self.decided += 1;
        }
    }

    fn without_hidden(&mut self, line: PendingLine) -> Vec<u8> {
        let PendingLine { at, bytes } = line;
        let end = at + bytes.len() as u64;
        let mut continues = std::mem::take(&mut self.is_in_hidden);
        let is_cut = bytes.last() != Some(&b'\n');
        let breaks = bytes.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let body = bytes.len() - breaks;
        let mut output = Vec::with_capacity(bytes.len());
        let mut from = 0;
        while let Some(range) = self.hidden.front().filter(|range| range.start < end) {
            let (start, stop) =
                (offset(range.start, at).min(body), offset(range.end, at).min(body));
            output.extend_from_slice(&bytes[from..start.max(from)]);
            if stop > start && !std::mem::take(&mut continues) {
                output.extend_from_slice(HIDDEN.as_bytes());
            }
            continues = false;
            from = stop.max(from);
            if range.end > end {
                self.is_in_hidden = is_cut;
                break;
            }
            self.hidden.pop_front();
        }
        output.extend_from_slice(&bytes[from..]);
        output
    }
}

impl SecretSearches {
    /// Returns the length of the longest value.
    fn longest(&self) -> usize {
        self.raw.longest.max(self.shown.longest)
    }
}

/// Returns the index of a position in a line that begins at `at`; 0 if the position is before the line.
fn offset(position: u64, at: u64) -> usize {
    usize::try_from(position.saturating_sub(at)).unwrap_or(usize::MAX)
}

fn between((first, last): (ByteOrigin, ByteOrigin)) -> Range<u64> {
    first.start..last.end
}

/// Searches the bytes of one character.
fn take_all(
    cursor: &mut Cursor,
    search: &Search,
    line: &[u8],
    character: &Range<usize>,
    at: u64,
    found: &mut Vec<Range<u64>>,
) {
    let (start, end) = (at + character.start as u64, at + character.end as u64);
    for byte in &line[character.clone()] {
        let origin = ByteOrigin { start, end, own: start };
        found.extend(cursor.take(search, *byte, origin).map(between));
    }
}

/// The visible characters of a line.
struct VisibleLine {
    /// The characters in the order in which they were written, and whether each is a blank.
    characters: Vec<(Range<usize>, bool)>,
    /// The characters that remain visible, by column.
    cells: Vec<Range<usize>>,
    /// Whether any character overwrote another.
    overwrites: bool,
}

impl VisibleLine {
    fn of(line: &[u8]) -> VisibleLine {
        let (mut characters, mut cells) = (Vec::new(), Vec::new());
        let (mut column, mut overwrites) = (0, false);
        screen::scan(line, |piece, at| match piece {
            ScreenPiece::Shown => {
                characters.push((at.clone(), line[at.start] == b' '));
                match cells.get_mut(column) {
                    Some(cell) => {
                        overwrites = true;
                        *cell = at;
                    }
                    None => cells.push(at),
                }
                column += 1;
            }
            // Tabs take no column here: values that contain tabs are searched for without them.
            ScreenPiece::Tab => {}
            ScreenPiece::Return => column = 0,
            ScreenPiece::Left(columns) => column = column.saturating_sub(columns),
            ScreenPiece::Column(to) => column = to.min(cells.len()),
        });
        VisibleLine { characters, cells, overwrites }
    }

    /// Returns the characters without leading and trailing blanks: programs that wrap lines also indent them.
    fn trimmed(&self) -> &[(Range<usize>, bool)] {
        let is_text = |(_, is_blank): &(Range<usize>, bool)| !is_blank;
        let first = self.characters.iter().position(is_text).unwrap_or(self.characters.len());
        let last = self.characters.iter().rposition(is_text).map_or(first, |last| last + 1);
        &self.characters[first..last]
    }

    fn screen(&self) -> impl Iterator<Item = &Range<usize>> {
        // Without overwriting, both readings are the same.
        let plain = self.trimmed().iter().map(|(at, _)| at);
        let (plain, cells) =
            if self.overwrites { (None, Some(&self.cells)) } else { (Some(plain), None) };
        plain.into_iter().flatten().chain(cells.into_iter().flatten())
    }
}
