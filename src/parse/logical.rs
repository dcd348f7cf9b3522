//! The map from positions in joined lines to positions in the file.
//!
//! Owns only the map; `lexer` joins the lines.

use std::ops::Range;

use crate::base::Span;

/// A map from byte offsets in a text assembled from a file to offsets in that file.
///
/// It is a list of runs. The text from the start of one run to the start of the next one is
/// contiguous in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextMap {
    first: MapRun,
    more: Vec<MapRun>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct MapRun {
    text: u32,
    file: u32,
}

impl TextMap {
    /// Returns the map of a text that begins at the offset `file` and has no gaps yet.
    pub fn starting_at(file: usize) -> TextMap {
        TextMap { first: MapRun { text: 0, file: narrow(file) }, more: Vec::new() }
    }

    /// Records that the bytes from `text` on begin at `file` in the file.
    pub(super) fn push(&mut self, text: usize, file: usize) {
        self.more.push(MapRun { text: narrow(text), file: narrow(file) });
    }

    /// Returns the map of the text without its first `count` bytes.
    #[must_use]
    pub fn without_first(&self, count: usize) -> TextMap {
        let count = narrow(count);
        let (run, later) = self.run_of(count);
        let later = later.iter();
        TextMap {
            first: MapRun { text: 0, file: run.file + (count - run.text) },
            more: later.map(|run| MapRun { text: run.text - count, file: run.file }).collect(),
        }
    }

    /// Returns the run that contains a byte of the text, and the runs after it.
    fn run_of(&self, text: u32) -> (MapRun, &[MapRun]) {
        let at = self.more.partition_point(|run| run.text <= text);
        (if at == 0 { self.first } else { self.more[at - 1] }, &self.more[at..])
    }

    /// Returns the offset in the file of a byte of the text.
    pub fn offset(&self, text: usize) -> usize {
        let text = narrow(text);
        let (run, _) = self.run_of(text);
        (run.file + (text - run.text)) as usize
    }

    /// Returns the span from the first to the last byte of a part of the text. If the part extends
    /// over several lines, the span includes what is between them.
    pub fn span(&self, text: Range<usize>) -> Span {
        let start = self.offset(text.start);
        if text.is_empty() {
            return Span::new(start, start);
        }
        Span::new(start, self.offset(text.end - 1) + 1)
    }
}

fn narrow(n: usize) -> u32 {
    Span::new(n, n).start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_map_back_to_the_source() {
        let mut map = TextMap::starting_at(10);
        map.push(5, 20);
        map.push(8, 40);
        let check = |map: &TextMap, range: Range<usize>, expected: (usize, usize)| {
            assert_eq!(map.span(range.clone()), Span::new(expected.0, expected.1), "{range:?}");
        };
        check(&map, 0..5, (10, 15));
        check(&map, 4..6, (14, 21));
        check(&map, 5..5, (20, 20));
        check(&map, 8..9, (40, 41));
        let rest = map.without_first(6);
        check(&rest, 0..2, (21, 23));
        check(&rest, 2..3, (40, 41));
        check(&map.without_first(2), 0..3, (12, 15));
    }
}
