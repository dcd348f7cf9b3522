//! Cuts what steps write into lines, and keeps the last ones of each step.
//!
//! Owns bytes that arrive in any pieces. It changes nothing in them beyond replacing invalid
//! UTF-8 and hiding secrets, which must be done here, before a line is kept or told; making it fit
//! to be shown is `report/`'s affair.

use std::collections::{HashMap, VecDeque};

use crate::engine::Step;
use crate::engine::mask::Mask;

/// Longer lines are cut into pieces of this many bytes, so that a build that writes no line end
/// can't fill the memory.
const LONGEST_LINE: usize = 16 * 1024;

/// How many last lines of a step are kept.
const TAIL: usize = 20;

/// The lines of all steps of one build.
#[derive(Default)]
pub struct Lines {
    steps: HashMap<Step, StepLines>,
    mask: Mask,
}

#[derive(Default)]
struct StepLines {
    /// What was written since the last line end.
    open: Vec<u8>,
    tail: VecDeque<String>,
}

impl Lines {
    /// Lines in which something is to be hidden.
    pub fn hiding(mask: Mask) -> Lines {
        Lines { steps: HashMap::new(), mask }
    }

    /// Takes what a step wrote and hands over each line that it completes.
    pub fn push(&mut self, step: &Step, bytes: &[u8], mut line: impl FnMut(String)) {
        let entry = self.steps.entry(step.clone()).or_default();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            entry.open.extend_from_slice(piece);
            let ended = entry.open.last() == Some(&b'\n');
            while ended && !entry.open.is_empty() || entry.open.len() > LONGEST_LINE {
                let Some(taken) = entry.take_line(&self.mask, ended) else { break };
                line(taken);
            }
        }
    }

    /// Hands over what the steps wrote last without a line end, step by step in their order.
    pub fn finish(&mut self, mut line: impl FnMut(&Step, String)) {
        let mut steps: Vec<(&Step, &mut StepLines)> = self.steps.iter_mut().collect();
        steps.sort_by(|a, b| a.0.cmp(b.0));
        for (step, entry) in steps {
            while let Some(taken) = entry.take_line(&self.mask, true) {
                line(step, taken);
            }
        }
    }

    /// The last lines of a step, oldest first.
    pub fn tail(&self, step: &Step) -> Vec<String> {
        self.steps.get(step).map(|entry| entry.tail.iter().cloned().collect()).unwrap_or_default()
    }
}

impl StepLines {
    /// Takes one line, or as much of it as is allowed; nothing where it can't be told yet what of
    /// it is to be hidden, because more may come.
    fn take_line(&mut self, mask: &Mask, ended: bool) -> Option<String> {
        if self.open.is_empty() {
            return None;
        }
        let end = self.open.iter().position(|byte| *byte == b'\n');
        let length = match end {
            Some(end) if end <= LONGEST_LINE => end + 1,
            _ if self.open.len() <= LONGEST_LINE => self.open.len(),
            _ => {
                let boundary = character_boundary(&self.open, LONGEST_LINE);
                match mask.cut(&self.open, boundary) {
                    Some(cut) => cut,
                    None if ended => self.open.len(),
                    None => return None,
                }
            }
        };
        let rest = self.open.split_off(length);
        let mut bytes = std::mem::replace(&mut self.open, rest);
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        let line = String::from_utf8_lossy(&mask.hide(&bytes)).into_owned();
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        Some(line)
    }
}

/// The last boundary between characters at or before `at`, so that cutting a long line does not
/// break a character; `at` itself where there is none near.
fn character_boundary(bytes: &[u8], at: usize) -> usize {
    if at == bytes.len() {
        return at;
    }
    (at.saturating_sub(3)..=at).rev().find(|at| bytes[*at] & 0xC0 != 0x80).unwrap_or(at).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step { stage: None, number: 2, total: 3, text: "RUN make".to_owned() }
    }

    fn check(pieces: &[&[u8]], expected: &[&str], rest: &[&str]) {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in pieces {
            lines.push(&step(), piece, |line| seen.push(line));
        }
        assert_eq!(seen, expected);
        let mut last = Vec::new();
        lines.finish(|_, line| last.push(line));
        assert_eq!(last, rest);
    }

    #[test]
    fn pieces_become_lines() {
        check(&[b"a\nb\n"], &["a", "b"], &[]);
        check(&[b"a", b"b\nc"], &["ab"], &["c"]);
        check(&[b"\n\n"], &["", ""], &[]);
        check(&[b"a\r\n"], &["a"], &[]);
        check(&[b"10%\r20%\r", b"30%\n"], &["10%\r20%\r30%"], &[]);
        check(&[b"\xff\xfe\n"], &["\u{fffd}\u{fffd}"], &[]);
        check(&[], &[], &[]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let text = "é".repeat(LONGEST_LINE);
        lines.push(&step(), text.as_bytes(), |line| seen.push(line));
        lines.finish(|_, line| seen.push(line));
        assert!(seen.iter().all(|line| line.len() <= LONGEST_LINE && !line.contains('\u{fffd}')));
        assert_eq!(seen.concat(), text);
    }

    #[test]
    fn secrets_are_hidden_however_they_arrive() {
        let check = |pieces: &[&[u8]], expected: &[&str]| {
            let values: [&[u8]; 2] = [b"hunter2", b"first line\nlast line\n"];
            let mut lines = Lines::hiding(Mask::new(values).unwrap());
            let mut seen = Vec::new();
            for piece in pieces {
                lines.push(&step(), piece, |line| seen.push(line));
            }
            lines.finish(|_, line| seen.push(line));
            assert_eq!(seen, expected);
            assert_eq!(lines.tail(&step()), seen);
        };
        check(&[b"a hunter2 b\n"], &["a *** b"]);
        check(&[b"a hun", b"ter2"], &["a ***"]);
        check(&[b"h", b"u", b"n", b"t", b"e", b"r", b"2", b"\n"], &["***"]);
        check(&[b"first li", b"ne\r\nlast line\n"], &["***", "***"]);
        check(&[b"hunter\n2"], &["hunter", "2"]);
    }

    #[test]
    fn a_long_line_is_not_cut_through_a_secret() {
        let secret = "hunter2".repeat(10);
        let mask = Mask::new([secret.as_bytes()]).unwrap();
        for before in LONGEST_LINE - 80..LONGEST_LINE + 10 {
            let text = format!("{}{secret}{}", "x".repeat(before), "y".repeat(100));
            let mut lines = Lines::hiding(mask.clone());
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(LONGEST_LINE - 40) {
                lines.push(&step(), piece, |line| seen.push(line));
            }
            lines.finish(|_, line| seen.push(line));
            assert_eq!(seen.concat(), text.replace(&secret, "***"), "{before}");
            assert!(seen.len() <= 3, "{before}");
        }
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut lines = Lines::default();
        for number in 0..TAIL + 5 {
            lines.push(&step(), format!("{number}\n").as_bytes(), |_| {});
        }
        let tail = lines.tail(&step());
        assert_eq!((tail.len(), tail[0].as_str()), (TAIL, "5"));
    }
}
