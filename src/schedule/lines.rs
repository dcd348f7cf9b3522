//! Splits the output of steps into lines, and keeps the last lines of each step.
//!
//! Owns bytes that arrive in pieces of any size. It changes them only by replacing invalid UTF-8 and masking secrets,
//! which must happen before a line is kept or reported. `report/` makes lines safe to print.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::base::screen;
use crate::engine::BuildStep;
use crate::engine::mask::{Mask, MaskStream};
use crate::event::{Event, StepInfo, TAIL};

/// Longer lines are split into pieces of this many bytes, so that a build that writes no line feed cannot fill the
/// memory.
const LONGEST_LINE: usize = 16 * 1024;

/// The lines of all steps of a build.
#[derive(Default)]
pub struct BuildOutput {
    steps: HashMap<BuildStep, StepLines>,
    mask: Mask,
}

#[derive(Default)]
struct StepLines {
    info: Arc<StepInfo>,
    /// The output since the last line feed.
    open: Vec<u8>,
    /// Complete lines that are being masked.
    whole: MaskStream,
    tail: VecDeque<String>,
}

impl BuildOutput {
    /// Returns lines in which secrets are masked.
    pub fn hiding(mask: Mask) -> BuildOutput {
        BuildOutput { steps: HashMap::new(), mask }
    }

    fn step(&mut self, step: &BuildStep) -> &mut StepLines {
        let (id, mask) = (self.steps.len(), &self.mask);
        self.steps.entry(step.clone()).or_insert_with(|| {
            let info = StepInfo {
                id,
                stage: step.stage.clone().map(|stage| mask.hide_in(stage)),
                number: step.number,
                total: step.total,
                text: mask.hide_in(step.text.clone()),
            };
            let (info, whole) = (Arc::new(info), MaskStream::new(mask.clone()));
            StepLines { info, whole, ..StepLines::default() }
        })
    }

    /// Returns a step as events name it. An engine may put the values of variables into the instruction.
    pub fn name(&mut self, step: &BuildStep) -> Arc<StepInfo> {
        Arc::clone(&self.step(step).info)
    }

    /// Takes output of a step and passes on each line that it completes. A line that may contain part of a secret,
    /// whose other part has not arrived yet, is passed on later.
    pub fn push(&mut self, step: &BuildStep, bytes: &[u8], mut line: impl FnMut(Event)) {
        let entry = self.step(step);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            entry.open.extend_from_slice(piece);
            while entry.open.len() > LONGEST_LINE + 1 {
                entry.close(cut(&entry.open));
            }
            if entry.open.last() == Some(&b'\n') {
                entry.close(entry.open.len());
            }
            entry.hand_over(&mut line);
        }
    }

    /// Passes on the complete lines of a step that has ended: no part of a secret can follow them.
    pub fn end(&mut self, step: &BuildStep, mut line: impl FnMut(Event)) {
        if let Some(entry) = self.steps.get_mut(step).filter(|entry| entry.open.is_empty()) {
            entry.whole.finish();
            entry.hand_over(&mut line);
        }
    }

    /// Passes on the last output of all steps that has no line feed, in the order of the steps.
    pub fn finish(&mut self, mut line: impl FnMut(Event)) {
        let mut steps: Vec<(&BuildStep, &mut StepLines)> = self.steps.iter_mut().collect();
        steps.sort_by(|a, b| a.0.cmp(b.0));
        for (_, entry) in steps {
            entry.end(&mut line);
        }
    }

    /// Returns the last lines of a step, oldest first.
    pub fn tail(&self, step: &BuildStep) -> Vec<String> {
        self.steps.get(step).map(|entry| entry.tail.iter().cloned().collect()).unwrap_or_default()
    }
}

impl StepLines {
    /// Feeds the first bytes through the mask.
    fn close(&mut self, length: usize) {
        let rest = self.open.split_off(length);
        self.whole.feed(std::mem::replace(&mut self.open, rest));
    }

    fn end(&mut self, line: &mut impl FnMut(Event)) {
        if !self.open.is_empty() {
            self.close(self.open.len());
        }
        self.whole.finish();
        self.hand_over(line);
    }

    fn hand_over(&mut self, line: &mut impl FnMut(Event)) {
        while let Some(mut bytes) = self.whole.next_ready() {
            while matches!(bytes.last(), Some(b'\n' | b'\r')) {
                bytes.pop();
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(text.clone());
            line(Event::Output { step: Arc::clone(&self.info), line: text });
        }
    }
}

/// Returns where to split a line that is too long: not within a character, and not within a control sequence, because
/// the rest of it would become text.
fn cut(line: &[u8]) -> usize {
    let boundary = character_boundary(line, LONGEST_LINE);
    match screen::scan(&line[..boundary], |_, _| {}) {
        0 => boundary,
        complete => complete,
    }
}

/// Returns the last boundary between characters at or before `at`, so that a character is not split. Returns `at`
/// itself if there is no boundary near it.
fn character_boundary(bytes: &[u8], at: usize) -> usize {
    if at == bytes.len() {
        return at;
    }
    (at.saturating_sub(3)..=at).rev().find(|at| bytes[*at] & 0xC0 != 0x80).unwrap_or(at).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> BuildStep {
        BuildStep { stage: None, number: 2, total: 3, text: "RUN make".to_owned() }
    }

    fn written(event: Event) -> String {
        match event {
            Event::Output { line, .. } => line,
            other => panic!("{other:?}"),
        }
    }

    fn check(pieces: &[&[u8]], expected: &[&str], rest: &[&str]) {
        let mut lines = BuildOutput::default();
        let mut seen = Vec::new();
        for piece in pieces {
            lines.push(&step(), piece, |line| seen.push(written(line)));
        }
        assert_eq!(seen, expected);
        let mut last = Vec::new();
        lines.finish(|line| last.push(written(line)));
        assert_eq!(last, rest);
    }

    #[test]
    fn output_chunks_are_split_into_lines() {
        check(&[b"a\nb\n"], &["a", "b"], &[]);
        check(&[b"a", b"b\nc"], &["ab"], &["c"]);
        check(&[b"\n\n"], &["", ""], &[]);
        check(&[b"a\r\n"], &["a"], &[]);
        check(&[b"10%\r20%\r", b"30%\n"], &["10%\r20%\r30%"], &[]);
        check(&[b"\xff\xfe\n"], &["\u{fffd}\u{fffd}"], &[]);
        check(&[], &[], &[]);
    }

    #[test]
    fn very_long_lines_are_split() {
        let mut lines = BuildOutput::default();
        let mut seen = Vec::new();
        let text = "é".repeat(LONGEST_LINE);
        lines.push(&step(), text.as_bytes(), |line| seen.push(written(line)));
        lines.finish(|line| seen.push(written(line)));
        assert!(seen.iter().all(|line| line.len() <= LONGEST_LINE && !line.contains('\u{fffd}')));
        assert_eq!(seen.concat(), text);
    }

    #[test]
    fn secrets_are_masked_even_if_split_across_chunks_or_lines() {
        let check = |pieces: &[&[u8]], expected: &[&str]| {
            let values: [&[u8]; 2] = [b"hunter2", b"first line\nlast line\n"];
            let mut lines = BuildOutput::hiding(Mask::new(values).unwrap());
            let mut seen = Vec::new();
            for piece in pieces {
                lines.push(&step(), piece, |line| seen.push(written(line)));
            }
            lines.finish(|line| seen.push(written(line)));
            assert_eq!(seen, expected);
            assert_eq!(lines.tail(&step()), seen);
        };
        check(&[b"a hunter2 b\n"], &["a *** b"]);
        check(&[b"a hun", b"ter2"], &["a ***"]);
        check(&[b"h", b"u", b"n", b"t", b"e", b"r", b"2", b"\n"], &["***"]);
        check(&[b"first li", b"ne\r\nlast line\n"], &["***", "***"]);
        // A secret is masked even if it is split across lines.
        check(&[b"hunter\n2"], &["***", "***"]);
        check(&[b"a hunt\n", b"  er\r\n", b"2 b\nhunter\n"], &["a ***", "***", "*** b", "hunter"]);
        check(&[b"hu\x1b[3", b"1mnt\x1b]0;t\x07er\x9b0m2\n"], &["***"]);
    }

    #[test]
    fn long_lines_are_not_split_inside_a_secret() {
        let secret = "hunter2".repeat(10);
        let mask = Mask::new([secret.as_bytes()]).unwrap();
        for before in LONGEST_LINE - 80..LONGEST_LINE + 10 {
            let text = format!("{}{secret}{}", "x".repeat(before), "y".repeat(100));
            let mut lines = BuildOutput::hiding(mask.clone());
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(LONGEST_LINE - 40) {
                lines.push(&step(), piece, |line| seen.push(written(line)));
            }
            lines.finish(|line| seen.push(written(line)));
            assert_eq!(seen.concat(), text.replace(&secret, "***"), "{before}");
            assert!(seen.len() <= 3, "{before}");
        }
    }

    #[test]
    fn the_tail_keeps_the_last_lines() {
        let mut lines = BuildOutput::default();
        for number in 0..TAIL + 5 {
            lines.push(&step(), format!("{number}\n").as_bytes(), |_| {});
        }
        let tail = lines.tail(&step());
        assert_eq!((tail.len(), tail[0].as_str()), (TAIL, "5"));
    }
}
