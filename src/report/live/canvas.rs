//! The part of a terminal on which the live view is drawn: the last lines of it.
//!
//! indicatif alone fills each line up to the edge and ends none, so a terminal that becomes narrower breaks
//! them anew and keeps what was there (six rows of nine); it writes 2.4 kB in three writes where this writes 0.7 in one.
//!
//! Owns the bytes that reach the terminal, and that nothing is left behind. indicatif says which lines there
//! are and how many of those before them go away; here that only changes what is to be seen, until it is
//! shown as a whole, in one write of the lines that differ. What a narrower terminal has broken is counted
//! as it stands there now.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

use super::super::clean::{Allowed, printed};
use unicode_width::UnicodeWidthStr;

/// Says how many columns and rows a terminal has now.
pub type Size = Arc<dyn Fn() -> (usize, usize) + Send + Sync>;

/// Wider than any terminal.
const WIDE: u16 = 4096;

/// The last lines of a terminal. Clones are the same.
#[derive(Clone)]
pub struct Canvas {
    size: Size,
    rewraps: bool,
    state: Arc<Mutex<State>>,
}

struct State {
    to: Box<dyn Write + Send>,
    /// The lines that stand on the terminal, the cursor behind the last of them.
    shown: Vec<String>,
    /// The lines that are to stand there.
    wanted: Vec<String>,
    /// How many columns there were when it was shown.
    columns: usize,
    /// How many of the wanted lines go away, as far as indicatif has told.
    leaving: usize,
    /// The lines that come in their place likewise.
    coming: Vec<String>,
    /// Whether the next piece is what a line is to be filled up with.
    is_filler: bool,
}

impl Canvas {
    /// On a terminal of some size that `to` leads to; whether it breaks lines anew when it becomes
    /// narrower.
    pub fn new(to: Box<dyn Write + Send>, size: Size, rewraps: bool) -> Canvas {
        let state = State {
            to,
            shown: Vec::new(),
            wanted: Vec::new(),
            columns: 0,
            leaving: 0,
            coming: Vec::new(),
            is_filler: false,
        };
        Canvas { size, rewraps, state: Arc::new(Mutex::new(state)) }
    }

    /// Shows what is wanted by now.
    ///
    /// # Errors
    /// Where the terminal can't be written to.
    pub fn show(&self) -> io::Result<()> {
        let (columns, rows) = (self.size)();
        self.lock().show(columns.max(1), rows, self.rewraps)
    }

    /// Shows it, and leaves the cursor where whatever comes next does not stand behind a line of ours.
    ///
    /// # Errors
    /// Where the terminal can't be written to.
    pub fn leave(&self) -> io::Result<()> {
        self.show()?;
        let mut state = self.lock();
        if state.shown.is_empty() {
            return Ok(());
        }
        state.shown.clear();
        state.wanted.clear();
        state.to.write_all(b"\r\n")?;
        state.to.flush()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn show(&mut self, columns: usize, rows: usize, rewraps: bool) -> io::Result<()> {
        let both = self.shown.iter().zip(&self.wanted);
        let mut same = both.take_while(|(shown, wanted)| shown == wanted).count();
        if same == self.shown.len() && same == self.wanted.len() && columns == self.columns {
            return Ok(());
        }
        // The cursor stands in the last line, so that is written anew where more are to come or go.
        same = same.min(self.shown.len().saturating_sub(1));
        let height = |line: &String| match rewraps {
            true => width(line).div_ceil(columns).max(1),
            false => 1,
        };
        let up: usize = self.shown[same..].iter().map(height).sum();
        let mut bytes = String::new();
        match up {
            0 => {}
            1 => bytes.push('\r'),
            more => write!(bytes, "\x1b[{}A\r", more - 1).map_err(io::Error::other)?,
        }
        let lines = &self.wanted[same.min(self.wanted.len())..];
        for (index, line) in lines.iter().enumerate() {
            // Cleared before and not behind: behind a line that reaches the edge stands its own end.
            bytes.push_str(if index == 0 { "\x1b[K" } else { "\r\n\x1b[K" });
            bytes.push_str(line);
        }
        let down: usize = lines.iter().map(height).sum();
        match lines.last() {
            None => bytes.push_str("\x1b[J"),
            Some(last) if up > down => {
                // What stands below goes away; then back to where the last line ends, for what is
                // typed to stand there.
                let end = (width(last).max(1) - 1) % columns + 1;
                write!(bytes, "\r\n\x1b[J\x1b[A\r\x1b[{end}C").map_err(io::Error::other)?;
            }
            Some(_) => {}
        }
        self.columns = columns;
        self.shown.clone_from(&self.wanted);
        // Lines that have left the screen never change again.
        let over = self.shown.len().saturating_sub(rows.max(1) * 2);
        self.shown.drain(..over);
        self.wanted.drain(..over);
        self.to.write_all(bytes.as_bytes())?;
        self.to.flush()
    }
}

/// A line without what would move the cursor, whatever came into it.
fn shown(text: &str) -> String {
    printed(text, Allowed { colors: true, commands: true }).into_owned()
}

fn width(line: &str) -> usize {
    anstream::adapter::strip_str(line).to_string().width()
}

impl Debug for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canvas").finish_non_exhaustive()
    }
}

/// What indicatif does with a terminal: it clears as many lines as are to go away, moving up and down
/// between them; it writes each new line, and then blanks up to the right edge; it flushes.
impl TermLike for Canvas {
    fn width(&self) -> u16 {
        // To indicatif every line is one row: how many it takes is counted here, when it is shown.
        WIDE
    }

    fn height(&self) -> u16 {
        u16::try_from((self.size)().1).unwrap_or(u16::MAX)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.lock().coming.push(shown(text));
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.is_filler, true) {
            state.is_filler = false;
        } else {
            state.coming.push(shown(text));
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.lock().leaving += 1;
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.lock();
        let left = state.wanted.len().saturating_sub(std::mem::take(&mut state.leaving));
        state.wanted.truncate(left);
        let coming = std::mem::take(&mut state.coming);
        state.wanted.extend(coming);
        Ok(())
    }
}
