//! A run on a terminal: one line per finished image, one row per image that is being built, and one bar for
//! the run. Only this module uses indicatif.
//!
//! One thread owns the screen: it receives events through a channel, and updates the clocks between them. It
//! draws only to stderr, and clears its rows at the end of the run. `lines` decides what the lines contain
//! and makes them fit.

mod activity;
mod canvas;
mod lines;
mod remaining;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, RunImage, Tally, TimedEvent};

use self::activity::Activities;
use self::canvas::{Canvas, Size};
use self::lines::RunProgress;
use self::remaining::RemainingWork;
use super::paint::Paint;
use super::{Reporter, clean, phrases, reasons};

/// The maximum number of rows. More would push finished images off the screen.
const MOST_ROWS: usize = 8;

/// If more images than this are fresh from the start, they share one line: hundreds of lines with the same
/// message would not help.
const MOST_FRESH: usize = 10;

/// The interval at which clocks are updated.
const TICK: Duration = Duration::from_millis(100);

/// The maximum delay of changes, which are collected so that a build with much output costs little.
const SHOWN_WITHIN: Duration = Duration::from_millis(50);

/// The interval at which the remaining time is estimated.
const ESTIMATE_EVERY: Duration = Duration::from_secs(1);

/// The assumed size of a terminal that does not report it, in columns and rows.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// The columns kept free after the last line for the echo of what is typed, such as `^C`.
const FOR_ECHO: usize = 2;

/// A terminal to draw on.
pub struct Terminal {
    /// The stream to draw to.
    pub to: Box<dyn Write + Send>,
    /// Returns the current number of columns and rows.
    pub size: Size,
    /// Whether the terminal rewraps lines when it becomes narrower.
    pub rewraps: bool,
}

impl Terminal {
    /// Returns the terminal of stderr.
    pub fn of_stderr(rewraps: bool) -> Terminal {
        let size = || {
            let size = terminal_size::terminal_size_of(io::stderr());
            size.map_or(USUAL_SIZE, |(width, height)| (width.0.into(), height.0.into()))
        };
        Terminal { to: Box::new(io::stderr()), size: Arc::new(size), rewraps }
    }
}

/// The live view. Dropping it or ending the run restores the terminal.
pub struct Live {
    to_screen: Option<Sender<TimedEvent>>,
    screen: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts the thread that owns the screen.
    pub fn start(terminal: Terminal, paint: Paint) -> Live {
        let (to_screen, events) = mpsc::channel();
        let start = Instant::now();
        let clock = Box::new(move || start.elapsed());
        let screen = Screen::new(terminal, paint, clock);
        let screen = std::thread::spawn(move || screen.run(&events));
        Live { to_screen: Some(to_screen), screen: Some(screen) }
    }
}

impl Reporter for Live {
    fn show(&mut self, event: &TimedEvent) -> io::Result<()> {
        if let Some(to_screen) = &self.to_screen {
            // The screen's thread ends only after this sender is dropped.
            drop(to_screen.send(event.clone()));
        }
        if matches!(event.event, Event::RunFinished) {
            self.finish();
        }
        Ok(())
    }
}

impl Live {
    /// Waits until everything is drawn and the rows are cleared.
    fn finish(&mut self) {
        self.to_screen = None;
        if let Some(screen) = self.screen.take() {
            drop(screen.join());
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}

type Clock = Box<dyn Fn() -> Duration + Send>;

/// The content of the screen, owned by one thread.
struct Screen {
    all: MultiProgress,
    canvas: Canvas,
    size: Size,
    paint: Paint,
    overall: ProgressBar,
    rows: BTreeMap<Arc<str>, ProgressRow>,
    /// The lines of the images that were fresh before any image was started.
    fresh: Vec<String>,
    tally: Tally,
    /// The time since the start of the run.
    clock: Clock,
    remaining: RemainingWork,
    /// The last estimate of the remaining time, and the time of that estimate.
    estimate: (Option<Duration>, Option<Duration>),
    /// Whether the run is stopping. The remaining time is then unknown.
    is_stopping: bool,
    /// The terminal's width when the screen was last drawn.
    width: usize,
}

/// An image that is being built.
struct ProgressRow {
    /// Its row, or `None` if there are more images than rows.
    bar: Option<ProgressBar>,
    since: Duration,
    activities: Activities,
}

impl Screen {
    fn new(terminal: Terminal, paint: Paint, clock: Clock) -> Screen {
        let Terminal { to, size, rewraps } = terminal;
        let width = size().0;
        let canvas = Canvas::new(to, Arc::clone(&size), rewraps);
        // This module decides how often to draw.
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(canvas.clone()), u8::MAX);
        let all = MultiProgress::with_draw_target(target);
        let overall = all.add(ProgressBar::new(0));
        overall.set_style(bare());
        Screen {
            all,
            canvas,
            width,
            size,
            paint,
            overall,
            rows: BTreeMap::new(),
            fresh: Vec::new(),
            tally: Tally::default(),
            clock,
            remaining: RemainingWork::default(),
            estimate: (None, None),
            is_stopping: false,
        }
    }

    fn run(mut self, events: &Receiver<TimedEvent>) {
        let mut drawn = Instant::now();
        let mut wait = TICK;
        loop {
            match events.recv_timeout(wait) {
                Ok(event) => {
                    self.take(&event);
                    wait = SHOWN_WITHIN.saturating_sub(drawn.elapsed());
                    if !wait.is_zero() {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.draw();
            (drawn, wait) = (Instant::now(), TICK);
        }
        self.report_fresh();
        for row in self.rows.values() {
            if let Some(bar) = &row.bar {
                bar.finish_and_clear();
            }
        }
        self.overall.finish_and_clear();
        // A closed terminal is not an error.
        drop(self.canvas.leave());
    }

    fn take(&mut self, stamped: &TimedEvent) {
        self.tally.take(stamped);
        self.remaining.take(stamped);
        match (&stamped.event, &stamped.image) {
            (Event::Interrupted { signal }, _) => {
                self.is_stopping = true;
                self.line(&format!(
                    "{}; press Ctrl-C again to quit now",
                    phrases::interrupted(*signal)
                ));
            }
            (Event::Waiting { what }, _) => self.line(&phrases::waiting(what)),
            (event, Some(image)) => self.take_of(image, event),
            _ => {}
        }
    }

    fn take_of(&mut self, image: &RunImage, event: &Event) {
        match event {
            Event::ImageStarted => {
                self.report_fresh();
                self.open(image);
            }
            Event::PushStarted => {
                self.open(image);
                self.of_row(image, |row| row.note("pushing"));
            }
            Event::PushProgress { sent, total } => {
                let words = format!("pushing  {}", phrases::part(*sent, *total));
                self.of_row(image, |row| row.note(words));
            }
            Event::StepStarted { step } => {
                let now = (self.clock)();
                self.of_row(image, |row| row.start_step(step, now));
            }
            Event::StepFinished { step, .. } => self.of_row(image, |row| row.end_step(step)),
            Event::Output { step, line } => {
                self.of_row(image, |row| row.write(step, clean::line(line)));
            }
            Event::OperationStarted { operation } => {
                let now = (self.clock)();
                self.of_row(image, |row| row.start_operation(*operation, now));
            }
            Event::OperationProgress { operation, sent, total } => {
                self.of_row(image, |row| row.advance(*operation, *sent, *total));
            }
            Event::OperationFinished { operation, .. } => {
                self.of_row(image, |row| row.end_operation(*operation));
            }
            Event::ImageStale { reason } => {
                self.of_row(image, |row| row.note(reasons::describe(reason)));
            }
            Event::Warning { message } => self.warn(image, &clean::line(message)),
            Event::ImageRetried { attempt, message, wait } => {
                self.warn(image, &phrases::tried_again(*attempt, message, *wait));
                self.of_row(image, |row| *row = Activities::default());
            }
            Event::PushQueued => {}
            ended => self.report(image, ended),
        }
    }

    /// Changes what an image is doing, if it has a row.
    fn of_row(&mut self, image: &RunImage, change: impl FnOnce(&mut Activities)) {
        if let Some(row) = self.rows.get_mut(&image.name) {
            change(&mut row.activities);
        }
    }

    /// Prints an event that stays on the screen.
    fn report(&mut self, image: &RunImage, event: &Event) {
        let ended = lines::ended(&image.name, event, self.width, self.paint);
        match event {
            Event::ImageFresh { .. } if !self.rows.contains_key(&image.name) => {
                self.fresh.extend(ended);
                return;
            }
            Event::ImagePulled { .. } => {}
            _ => self.close(image),
        }
        if let Some(line) = ended {
            self.line(&line);
        }
    }

    fn warn(&self, image: &RunImage, message: &str) {
        self.line(&format!("{} {}  {message}", self.paint.careful("!"), image.name));
    }

    /// Prints the images that were fresh from the start.
    fn report_fresh(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        if fresh.len() > MOST_FRESH {
            self.line(&lines::many_fresh(fresh.len(), self.paint));
        } else {
            fresh.iter().for_each(|line| self.line(line));
        }
    }

    fn open(&mut self, image: &RunImage) {
        let since = (self.clock)();
        let row = ProgressRow { bar: None, since, activities: Activities::default() };
        self.rows.insert(Arc::clone(&image.name), row);
        self.give_rows();
    }

    /// Assigns rows to images that have none, as long as there are free rows.
    fn give_rows(&mut self) {
        let used = self.rows.values().filter(|row| row.bar.is_some()).count();
        let mut waiting: Vec<&mut ProgressRow> =
            self.rows.values_mut().filter(|row| row.bar.is_none()).collect();
        waiting.sort_by_key(|row| row.since);
        for row in waiting.into_iter().take(MOST_ROWS.saturating_sub(used)) {
            let bar = self.all.insert_before(&self.overall, ProgressBar::new_spinner());
            bar.set_style(bare());
            row.bar = Some(bar);
        }
    }

    /// Ends the row of an image.
    fn close(&mut self, image: &RunImage) {
        if let Some(bar) = self.rows.remove(&image.name).and_then(|row| row.bar) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        self.give_rows();
    }

    fn line(&self, line: &str) {
        // A closed terminal is not a reason to stop building.
        drop(self.all.println(line));
    }

    fn draw(&mut self) {
        self.width = (self.size)().0;
        let now = (self.clock)();
        let drawn: Vec<(&Arc<str>, &ProgressRow, &ProgressBar)> = self
            .rows
            .iter()
            .filter_map(|(image, row)| Some((image, row, row.bar.as_ref()?)))
            .collect();
        let names = drawn.iter().map(|(image, ..)| &***image);
        let names = lines::names_width(names, self.width);
        for (image, row, bar) in drawn {
            let time = now.saturating_sub(row.since);
            let (activity, last) = row.activities.describe(now);
            let row = lines::ImageLine { name: image, time, activity: &activity, last: &last };
            say(bar, lines::row(&row, names, self.width, self.paint));
        }
        let run = RunProgress {
            done: self.tally.arrived(),
            total: self.tally.images,
            running: self.rows.len(),
            failed: self.tally.failed,
            time: now,
            remaining: self.estimate(now),
        };
        say(&self.overall, lines::overall(&run, self.width.saturating_sub(FOR_ECHO), self.paint));
        // Draw updates that indicatif skipped because they came too soon after the last one.
        self.overall.force_draw();
        drop(self.canvas.show());
    }

    /// Returns the remaining time, estimated at intervals.
    fn estimate(&mut self, now: Duration) -> Option<Duration> {
        if self.is_stopping {
            return None;
        }
        let (remaining, when) = self.estimate;
        if when.is_none_or(|when| now.saturating_sub(when) >= ESTIMATE_EVERY) {
            let remaining = self.remaining.at(now);
            // Less than a second has passed before it can be read.
            let remaining = remaining.filter(|remaining| *remaining >= Duration::from_secs(1));
            self.estimate = (remaining, Some(now));
            return remaining;
        }
        remaining
    }
}

/// Updates a line only if it has changed, to prevent flicker.
fn say(bar: &ProgressBar, line: String) {
    if bar.message() != line {
        bar.set_message(line);
    }
}

/// Returns the style of a line that consists only of its message.
fn bare() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}
