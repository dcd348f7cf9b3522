//! The lines of the live view as text that fits a width.
//!
//! Owns the content, and what is left out if there is little space. It draws nothing and has no clock. Every
//! line is at most as wide as requested, in columns: a wider line would wrap, and clearing it would leave
//! some of it behind.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::base::text::count;
use crate::event::{Event, Skip};

use super::super::paint::Paint;
use super::super::{Phrase, clean, phrases};

/// The minimum width of a terminal and the width of the bar, in columns. The bar must not change its width
/// each time the displayed time changes.
const BARS: [(usize, usize); 3] = [(96, 24), (56, 12), (0, 6)];

/// The maximum width of the names column in rows.
const LONGEST_NAME: usize = 28;

/// An image that is being built.
pub struct ImageLine<'a> {
    /// Its name.
    pub name: &'a str,
    /// The time since it was started.
    pub time: Duration,
    /// The step or the operation that started last.
    pub activity: &'a str,
    /// The last output of that step, the progress of the operation, or a note about the image.
    pub last: &'a str,
}

/// Formats a row: `   12.4s  dev  [2/5] RUN make  gcc -o x x.c`. The column of names is at least `names`
/// wide.
pub fn row(row: &ImageLine<'_>, names: usize, width: usize, paint: Paint) -> String {
    let time = format!("{:>8}  ", phrases::duration(row.time));
    let name = clean::fit(row.name, width.saturating_sub(time.width()));
    let pad = names.saturating_sub(name.width());
    let remaining = width.saturating_sub(time.width() + name.width() + pad);
    let rest = describe(row.activity, row.last, remaining, paint);
    let pad = if rest.is_empty() { String::new() } else { " ".repeat(pad) };
    format!("{time}{}{pad}{rest}", paint.strong(&name))
}

/// Returns the width of the names column of some rows.
pub fn names_width<'a>(names: impl Iterator<Item = &'a str>, width: usize) -> usize {
    names.map(UnicodeWidthStr::width).max().unwrap_or_default().min(LONGEST_NAME).min(width / 4)
}

/// Formats a step and its last output, each after two spaces. The output is shortened first, but next to a
/// long step it gets half of the space.
fn describe(step: &str, last: &str, width: usize, paint: Paint) -> String {
    let room = width.saturating_sub(2);
    // A few columns are too narrow to be useful.
    if room < 4 {
        return String::new();
    }
    if step.is_empty() {
        return format!("  {}", paint.faint(&clean::fit(last, room)));
    }
    let last_width = if last.is_empty() { 0 } else { last.width() + 2 };
    let for_step = room.saturating_sub(last_width).max(room / 2);
    let step = clean::fit(step, for_step);
    let for_last = room.saturating_sub(step.width() + 2);
    if last.is_empty() || for_last < 4 {
        return format!("  {step}");
    }
    format!("  {step}  {}", paint.faint(&clean::fit(last, for_last)))
}

/// The state of a whole run.
pub struct RunProgress {
    /// Finished images.
    pub done: usize,
    /// All images.
    pub total: usize,
    /// Images that are being built.
    pub running: usize,
    /// Images that failed.
    pub failed: usize,
    /// The time since the start of the run.
    pub time: Duration,
    /// The estimated remaining time, if known.
    pub remaining: Option<Duration>,
}

/// Formats the bar: `━━━━────  12/40 images  3 running  25 waiting  1m02s  about 2m10s left`.
pub fn overall(run: &RunProgress, width: usize, paint: Paint) -> String {
    let waiting = run.total.saturating_sub(run.done + run.running);
    let counts = format!("{}/{}", run.done, run.total);
    let mut facts = vec![format!("{counts} images")];
    if run.failed > 0 {
        facts.push(format!("{} failed", run.failed));
    }
    facts.extend([format!("{} running", run.running), format!("{waiting} waiting")]);
    let time = phrases::duration(run.time);
    let remaining = run.remaining.map(|time| format!("about {} left", phrases::rough(time)));
    let all: Vec<String> =
        facts.iter().chain([&time]).chain(remaining.as_ref()).cloned().collect::<Vec<_>>();
    let short = [facts[..facts.len() - 1].to_vec(), vec![time.clone()]].concat();
    // Failed images matter more than running ones.
    let shorter = vec![counts.clone(), facts[1].clone(), time.clone()];
    for facts in [all, short, shorter] {
        let text = facts.join("  ");
        let bar = BARS.into_iter().find(|(least, _)| width >= *least).map_or(0, |(_, bar)| bar);
        if bar + 2 + text.width() <= width {
            return format!("{}  {text}", draw_bar(run, bar, paint));
        }
    }
    clean::fit(&format!("{counts}  {time}"), width).into_owned()
}

fn draw_bar(run: &RunProgress, width: usize, paint: Paint) -> String {
    let full = (run.done * width).checked_div(run.total).unwrap_or(width).min(width);
    let (bar, rest) = ("━".repeat(full), "─".repeat(width - full));
    let bar = if run.failed > 0 { paint.bad(&bar) } else { paint.good(&bar) };
    format!("{bar}{}", paint.faint(&rest))
}

/// Formats the line about a finished image, which stays on the screen. Returns `None` for other events.
pub fn ended(image: &str, event: &Event, width: usize, paint: Paint) -> Option<String> {
    let (mark, time, what) = match event {
        Event::ImageBuilt { steps, size, took, .. } => {
            let how = if steps.are_all_cached() { "built, all steps cached" } else { "built" };
            let size = size.map(|size| format!("  {}", phrases::size(size))).unwrap_or_default();
            (paint.good("✓"), Some(took), format!("{how}{size}").into())
        }
        Event::ImageFresh { tagged, registry, .. } => {
            (paint.good("•"), None, phrases::fresh(tagged, registry.is_some()).into())
        }
        Event::ImagePulled { reference, took } => {
            (paint.faint("↓"), Some(took), format!("pulled {}", clean::line(reference)).into())
        }
        Event::ImagePushed { took, .. } => (paint.good("↑"), Some(took), Phrase::from("pushed")),
        Event::PushFailed { message } => {
            (paint.bad("✗"), None, phrases::push_failed(message).into())
        }
        Event::PushCanceled => (paint.careful("-"), None, "push canceled".into()),
        Event::ImageFailed { failure, took } => {
            (paint.bad("✗"), Some(took), format!("failed{}", phrases::failed_at(failure)).into())
        }
        // The summary lists all images that were not started in one line.
        Event::ImageSkipped { because: Skip::Stopped } => return None,
        Event::ImageSkipped { because } => {
            (paint.careful("-"), None, format!("skipped: {}", phrases::why_skipped(because)).into())
        }
        Event::ImageCanceled { took } => (paint.careful("-"), Some(took), "canceled".into()),
        _ => return None,
    };
    let time = time.map(|took| format!("{}  ", phrases::duration(*took))).unwrap_or_default();
    let text = format!("{image}  {time}{what}");
    Some(format!("{mark} {}", clean::fit(&text, width.saturating_sub(2))))
}

/// Formats the line about many images that were fresh from the start.
pub fn many_fresh(images: usize, paint: Paint) -> String {
    format!("{} {}  fresh", paint.good("•"), count(images, "image"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepCounts;

    #[test]
    fn rows_fit_any_width() {
        let activity = "[builder 2/5] RUN make all && make install";
        let draw = |name: &str, last: &str, width| {
            let time = Duration::from_millis(12_400);
            row(&ImageLine { name, time, activity, last }, 6, width, Paint::plain())
        };
        let check = |name, last, width, expected: &str| {
            assert_eq!(draw(name, last, width), expected);
        };
        let long = "   12.4s  dev     [builder 2/5] RUN make all && make install  gcc -o x x.c";
        check("dev", "gcc -o x x.c", 80, long);
        check("dev", "", 40, "   12.4s  dev     [builder 2/5] RUN mak…");
        check("dev", "gcc -o x x.c", 40, "   12.4s  dev     [builder 2…  gcc -o x…");
        check("漢字漢字", "", 24, "   12.4s  漢字漢字  [bu…");
        check("a-name-that-is-long", "x", 20, "   12.4s  a-name-th…");
        for width in 0..120 {
            for name in ["x", "漢字漢字漢字", "a-name-that-is-long"] {
                assert!(draw(name, "漢字 gcc -o x x.c", width).width() <= width.max(10), "{width}");
            }
        }
    }

    #[test]
    fn the_progress_line_fits_any_width() {
        let remaining = Some(Duration::from_secs(130));
        let time = Duration::from_secs(62);
        let run = RunProgress { done: 12, total: 40, running: 3, failed: 0, time, remaining };
        let check = |width, expected: &str| {
            assert_eq!(overall(&run, width, Paint::plain()), expected, "{width}");
        };
        let facts = "12/40 images  3 running  25 waiting  1m02s  about 2m10s left";
        check(200, &format!("━━━━━━━─────────────────  {facts}"));
        check(80, &format!("━━━─────────  {facts}"));
        check(60, "━━━─────────  12/40 images  3 running  1m02s");
        check(40, "━─────  12/40 images  3 running  1m02s");
        check(32, "━─────  12/40  3 running  1m02s");
        check(14, "12/40  1m02s");
        for width in 0..120 {
            let run = RunProgress { failed: 2, ..run };
            assert!(overall(&run, width, Paint::plain()).width() <= width, "{width}");
        }
    }

    #[test]
    fn finished_images_are_shown_on_one_line() {
        let event = |ran| Event::ImageBuilt {
            image_id: String::new(),
            references: Vec::new(),
            steps: StepCounts { ran, cached: 1 },
            size: Some(312_000_000),
            took: Duration::from_millis(12_400),
        };
        let check = |event: &Event, width, expected: &str| {
            assert_eq!(ended("builder", event, width, Paint::plain()).as_deref(), Some(expected));
        };
        check(&event(1), 80, "✓ builder  12.4s  built  312 MB");
        check(&event(0), 80, "✓ builder  12.4s  built, all steps cached  312 MB");
        check(&event(1), 20, "✓ builder  12.4s  b…");
        assert_eq!(ended("builder", &Event::RunFinished, 80, Paint::plain()), None);
    }
}
