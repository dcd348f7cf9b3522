//! The part of a terminal on which the live view is drawn: the last lines of it.
//!
//! Owns the bytes that reach the terminal, and that nothing is left behind. indicatif says which lines
//! there are and how many of those before them go away; it would write each filled up with blanks to
//! the right edge, so that the terminal takes all of them for one long line and breaks it anew when it
//! becomes narrower. Here a line ends where its text ends, all of a drawing is one write, and what a
//! narrower terminal has broken is counted as it stands there now.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;
use unicode_width::UnicodeWidthStr;

/// Says how many columns and rows a terminal has now.
pub type Size = Box<dyn Fn() -> (usize, usize) + Send + Sync>;

/// The last lines of a terminal.
pub struct Canvas {
    size: Size,
    rewraps: bool,
    state: Mutex<State>,
}

struct State {
    to: Box<dyn Write + Send>,
    /// The lines that were drawn last, as they stand on the terminal.
    drawn: Vec<String>,
    /// How many columns it had then.
    columns: usize,
    /// How many of them go away, as far as is told.
    leaving: usize,
    /// The lines that come in their place, as far as they are told.
    coming: Vec<String>,
    /// Whether the next piece is what a line is to be filled up with.
    is_filler: bool,
    /// Whether the cursor stands at the beginning of a line that nothing stands in.
    at_start: bool,
}

impl Canvas {
    /// On a terminal of some size that `to` leads to; whether it breaks lines anew when it becomes
    /// narrower.
    pub fn new(to: Box<dyn Write + Send>, size: Size, rewraps: bool) -> Canvas {
        let state = State {
            to,
            drawn: Vec::new(),
            columns: 0,
            leaving: 0,
            coming: Vec::new(),
            is_filler: false,
            at_start: true,
        };
        Canvas { size, rewraps, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Draws what is told, over what was drawn before.
    fn draw(&mut self, columns: usize, rewraps: bool) -> io::Result<()> {
        let coming = std::mem::take(&mut self.coming);
        let leaving = std::mem::take(&mut self.leaving).min(self.drawn.len());
        let is_same = leaving == self.drawn.len() && coming == self.drawn;
        if is_same && columns == self.columns {
            return Ok(());
        }
        let old = &self.drawn[self.drawn.len() - leaving..];
        let height = |line: &String| match rewraps {
            true => width(line).div_ceil(columns.max(1)).max(1),
            false => 1,
        };
        let rows: usize = old.iter().map(height).sum();
        let mut bytes = String::new();
        match rows {
            0 if self.at_start => {}
            0 => bytes.push_str("\r\n"),
            1 => bytes.push('\r'),
            more => write!(bytes, "\x1b[{}A\r", more - 1).map_err(io::Error::other)?,
        }
        for (index, line) in coming.iter().enumerate() {
            // Cleared before and not behind: behind a line that reaches the edge stands its own end.
            let begin = if index == 0 { "\x1b[K" } else { "\r\n\x1b[K" };
            bytes.push_str(begin);
            bytes.push_str(line);
        }
        let behind = if coming.is_empty() { "\x1b[J" } else { "\r\n\x1b[J\x1b[A" };
        if rows > coming.len() {
            bytes.push_str(behind);
            if let Some(last) = coming.last() {
                // Back to where the last line ends, for what is typed to stand there.
                write!(bytes, "\r\x1b[{}C", width(last).max(1)).map_err(io::Error::other)?;
            }
        }
        if !coming.is_empty() || rows > 0 {
            self.at_start = coming.is_empty();
        }
        self.drawn = coming;
        self.columns = columns;
        self.to.write_all(bytes.as_bytes())?;
        self.to.flush()
    }
}

fn width(line: &str) -> usize {
    anstream::adapter::strip_str(line).to_string().width()
}

impl Drop for State {
    fn drop(&mut self) {
        if !self.at_start {
            // What comes next must not stand behind the last line. A terminal that has gone away needs none.
            drop(self.to.write_all(b"\r\n"));
        }
    }
}

impl Debug for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canvas").finish_non_exhaustive()
    }
}

fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// What indicatif does with a terminal: it clears as many lines as are to go away, moving up and down
/// between them; it writes each new line, and then blanks up to the right edge; it flushes.
impl TermLike for Canvas {
    fn width(&self) -> u16 {
        small((self.size)().0)
    }

    fn height(&self) -> u16 {
        small((self.size)().1)
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
        self.lock().coming.push(text.to_owned());
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_filler, true) {
            state.coming.push(text.to_owned());
            return Ok(());
        }
        state.is_filler = false;
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.lock().leaving += 1;
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let (columns, _) = (self.size)();
        self.lock().draw(columns, self.rewraps)
    }
}
