//! A run on a terminal: a line for each image that ended, a row for each that is being built,
//! and one bar for all, by indicatif, which appears in this file only.
//!
//! One thread owns the screen: events reach it through a channel, and between events it keeps
//! the clocks going. It draws to stderr only and clears what it drew when the run is over.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::{Event, Stamped, StepInfo};

use super::paint::Paint;
use super::{Reporter, clean, reasons, words};

/// More rows than this would push what has ended off the screen.
const MOST_ROWS: usize = 8;

/// The last line that is drawn fills the terminal, so the `^C` that it echoes begins another. Without
/// going back from there, the topmost row would stay behind for ever.
const BACK_FROM_ECHO: &[u8] = b"\r\x1b[K\x1b[1A";

/// How often the clocks on the screen move.
const TICK: Duration = Duration::from_millis(100);

/// The live view. Dropping it, or the end of the run, leaves the terminal as it was.
pub struct Live {
    to_screen: Option<Sender<Stamped>>,
    screen: Option<JoinHandle<()>>,
}

impl Live {
    /// Starts the thread that owns the screen.
    pub fn start(paint: Paint) -> Live {
        let target = ProgressDrawTarget::stderr_with_hz(20);
        let echoes = io::stdin().is_terminal() && io::stderr().is_terminal();
        Live::spawn(Screen { echoes, ..Screen::new(target, paint) })
    }

    /// The same on another draw target, so that tests can look at the screen.
    pub fn start_on(target: ProgressDrawTarget, paint: Paint) -> Live {
        Live::spawn(Screen::new(target, paint))
    }

    fn spawn(screen: Screen) -> Live {
        let (to_screen, events) = mpsc::channel();
        let screen = std::thread::spawn(move || screen.run(&events));
        Live { to_screen: Some(to_screen), screen: Some(screen) }
    }
}

impl Reporter for Live {
    fn show(&mut self, event: &Stamped) -> io::Result<()> {
        if let Some(to_screen) = &self.to_screen {
            // The screen's thread only ends when this end hangs up.
            drop(to_screen.send(event.clone()));
        }
        if matches!(event.event, Event::RunFinished) {
            self.finish();
        }
        Ok(())
    }
}

impl Live {
    /// Waits until all is drawn and the rows are gone.
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

/// All that is on the screen, owned by one thread.
struct Screen {
    all: MultiProgress,
    paint: Paint,
    overall: ProgressBar,
    rows: BTreeMap<String, Row>,
    done: usize,
    total: usize,
    start: Instant,
    /// Whether the terminal shows by itself what is typed.
    echoes: bool,
}

/// An image that is being built.
struct Row {
    /// Its line; more images than rows wait without one.
    bar: Option<ProgressBar>,
    since: Instant,
    step: Option<StepInfo>,
    last_line: String,
}

impl Screen {
    fn new(target: ProgressDrawTarget, paint: Paint) -> Screen {
        let all = MultiProgress::with_draw_target(target);
        let overall = all.add(ProgressBar::new(0));
        overall.set_style(style("{bar:24} {wide_msg}"));
        let rows = BTreeMap::new();
        let start = Instant::now();
        Screen { all, paint, overall, rows, done: 0, total: 0, start, echoes: false }
    }

    fn run(mut self, events: &Receiver<Stamped>) {
        loop {
            match events.recv_timeout(TICK) {
                Ok(event) => self.take(event.event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // What has come meanwhile is drawn in one go.
            while let Ok(event) = events.try_recv() {
                self.take(event.event);
            }
            self.draw();
        }
        for row in self.rows.values() {
            if let Some(bar) = &row.bar {
                bar.finish_and_clear();
            }
        }
        self.overall.finish_and_clear();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::RunStarted { images, .. } => {
                self.total = images.len();
                self.overall.set_length(images.len() as u64);
            }
            Event::ImageStarted { image } => self.open(image),
            Event::StepStarted { image, step } => {
                if let Some(row) = self.rows.get_mut(&image).filter(|_| step.number > 0) {
                    row.step = Some(step);
                    row.last_line.clear();
                }
            }
            Event::Output { image, line, .. } => {
                if let Some(row) = self.rows.get_mut(&image) {
                    row.last_line = clean::line(&line);
                }
            }
            Event::ImageStale { image, reason } => {
                if let Some(row) = self.rows.get_mut(&image) {
                    row.last_line = reasons::describe(&reason);
                }
            }
            Event::ImageBlocked { image } => {
                if let Some(row) = self.rows.get_mut(&image) {
                    words::BLOCKED.clone_into(&mut row.last_line);
                }
            }
            Event::StepFinished { .. } | Event::RunFinished => {}
            other => self.tell(other),
        }
    }

    /// What is said once and stays on the screen.
    fn tell(&mut self, event: Event) {
        match event {
            Event::ImageBuilt { image, steps, took, .. } => {
                let time = words::duration(took);
                let all_cached = steps.ran == 0 && steps.cached > 0;
                let how = if all_cached { "  all steps cached" } else { "" };
                let mark = self.paint.good("✓");
                self.close(&image, &format!("{mark} {image}  {time}  built{how}"));
            }
            // What is fresh is counted; hundreds of lines that say so would tell nothing.
            Event::ImageFresh { image, .. } => self.close_silently(&image),
            Event::ImageFailed { image, failure, took } => {
                let mark = self.paint.bad("✗");
                let at = words::failed_at(&failure);
                let time = words::duration(took);
                self.close(&image, &format!("{mark} {image}  {time}  failed{at}"));
            }
            Event::ImageSkipped { image, because } => {
                let why = words::skipped_because(&because);
                self.close(&image, &format!("- {image}  skipped{why}"));
            }
            Event::ImageCancelled { image, .. } => {
                let mark = self.paint.careful("-");
                self.close(&image, &format!("{mark} {image}  cancelled"));
            }
            Event::Interrupted { signal } => {
                if self.echoes && signal == signal_hook::consts::SIGINT {
                    // A screen that has gone away is no reason to fail.
                    drop(io::stderr().write_all(BACK_FROM_ECHO));
                }
                let name = words::signal_name(signal);
                self.line(&format!("stopping after {name}; once more to leave at once"));
            }
            Event::Warning { image, message } => {
                let mark = self.paint.careful("!");
                self.line(&format!("{mark} {image}  {}", clean::line(&message)));
            }
            Event::ImageRetried { image, attempt, message, wait } => {
                let mark = self.paint.careful("!");
                let again = words::tried_again(attempt, &message, wait);
                self.line(&format!("{mark} {image}  {again}"));
                if let Some(row) = self.rows.get_mut(&image) {
                    row.step = None;
                    row.last_line.clear();
                }
            }
            // Those that only move rows.
            _ => {}
        }
    }

    fn open(&mut self, image: String) {
        let since = Instant::now();
        let row = Row { bar: None, since, step: None, last_line: String::new() };
        self.rows.insert(image, row);
        self.give_rows();
    }

    /// Gives a line to each image that has none, as long as there are lines.
    fn give_rows(&mut self) {
        let used = self.rows.values().filter(|row| row.bar.is_some()).count();
        let mut waiting: Vec<&mut Row> =
            self.rows.values_mut().filter(|row| row.bar.is_none()).collect();
        waiting.sort_by_key(|row| row.since);
        for row in waiting.into_iter().take(MOST_ROWS.saturating_sub(used)) {
            let bar = self.all.insert_before(&self.overall, ProgressBar::new_spinner());
            bar.set_style(style("{wide_msg}"));
            row.bar = Some(bar);
        }
    }

    fn close(&mut self, image: &str, line: &str) {
        self.close_silently(image);
        self.line(line);
    }

    fn close_silently(&mut self, image: &str) {
        self.done += 1;
        if let Some(bar) = self.rows.remove(image).and_then(|row| row.bar) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        self.give_rows();
    }

    fn line(&self, line: &str) {
        // A terminal that has gone away is no reason to stop building.
        drop(self.all.println(line));
    }

    fn draw(&self) {
        for (image, row) in &self.rows {
            let Some(bar) = &row.bar else { continue };
            let time = words::duration(row.since.elapsed());
            let step = row.step.as_ref().map(words::describe_step).unwrap_or_default();
            let last = self.paint.faint(&row.last_line);
            let name = self.paint.strong(image);
            bar.set_message(format!("  {time:>6}  {name}  {step}  {last}"));
        }
        let running = self.rows.len();
        let waiting = self.total.saturating_sub(self.done + running);
        let time = words::duration(self.start.elapsed());
        let total = self.total;
        let done = self.done;
        self.overall.set_position(done as u64);
        self.overall.set_message(format!(
            "{done}/{total} images, {running} running, {waiting} waiting  {time}"
        ));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
