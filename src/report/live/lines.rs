//! The lines of the live view as text, made to fit a width.
//!
//! Owns what is said and what is left out where there is little room. It draws nothing and knows no
//! clock. Every line is at most as wide as it is told, in columns: one that is wider would wrap, and
//! leave something behind when it is cleared.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use crate::base::text::count;
use crate::event::{Event, Skip, StepInfo};

use super::super::paint::Paint;
use super::super::{Words, clean, words};

/// How wide the bar is at most on a terminal of at least so many columns: it must not change its width
/// with every second that the clock shows.
const BARS: [(usize, usize); 3] = [(96, 24), (56, 12), (0, 6)];

/// Names in rows stand one below the other, as long as none is longer than this.
const LONGEST_NAME: usize = 28;

/// An image that is being built.
pub struct Row<'a> {
    /// Its name.
    pub name: &'a str,
    /// Since it was begun.
    pub time: Duration,
    /// The step that began last.
    pub step: Option<&'a StepInfo>,
    /// What that wrote last, or what is to be said of the image.
    pub last: &'a str,
}

/// `   12.4s  dev  [2/5] RUN make  gcc -o x x.c`, where names take at least `names` columns.
pub fn row(row: &Row<'_>, names: usize, width: usize, paint: Paint) -> String {
    let time = format!("{:>8}  ", words::duration(row.time));
    let name = clean::fit(row.name, width.saturating_sub(time.width()));
    let pad = names.saturating_sub(name.width());
    let left = width.saturating_sub(time.width() + name.width() + pad);
    let step = row.step.map(words::describe_step).unwrap_or_default();
    let rest = describe(&step, row.last, left, paint);
    let pad = if rest.is_empty() { String::new() } else { " ".repeat(pad) };
    format!("{time}{}{pad}{rest}", paint.strong(&name))
}

/// How many columns the names of some rows take.
pub fn names_width<'a>(names: impl Iterator<Item = &'a str>, width: usize) -> usize {
    names.map(UnicodeWidthStr::width).max().unwrap_or_default().min(LONGEST_NAME).min(width / 4)
}

/// A step and what it wrote last, each after two blanks. What was written yields first, but where the
/// step is long it gets half of the room.
fn describe(step: &str, last: &str, width: usize, paint: Paint) -> String {
    let room = width.saturating_sub(2);
    // Less than a few columns say nothing.
    if room < 4 {
        return String::new();
    }
    if step.is_empty() {
        return format!("  {}", paint.faint(&clean::fit(last, room)));
    }
    let wanted = if last.is_empty() { 0 } else { last.width() + 2 };
    let for_step = room.saturating_sub(wanted).max(room / 2);
    let step = clean::fit(step, for_step);
    let for_last = room.saturating_sub(step.width() + 2);
    if last.is_empty() || for_last < 4 {
        return format!("  {step}");
    }
    format!("  {step}  {}", paint.faint(&clean::fit(last, for_last)))
}

/// A run as a whole.
pub struct Overall {
    /// Images that have ended.
    pub done: usize,
    /// All images.
    pub total: usize,
    /// Those that are being built.
    pub running: usize,
    /// Those that failed.
    pub failed: usize,
    /// Since the run began.
    pub time: Duration,
    /// How long it will take, where that can be said.
    pub left: Option<Duration>,
}

/// `━━━━────  12/40 images  3 running  25 waiting  1m02s  about 2m10s left`
pub fn overall(run: &Overall, width: usize, paint: Paint) -> String {
    let waiting = run.total.saturating_sub(run.done + run.running);
    let counts = format!("{}/{}", run.done, run.total);
    let mut facts = vec![format!("{counts} images")];
    if run.failed > 0 {
        facts.push(format!("{} failed", run.failed));
    }
    facts.extend([format!("{} running", run.running), format!("{waiting} waiting")]);
    let time = words::duration(run.time);
    let left = run.left.map(|left| format!("about {} left", words::rough(left)));
    let all: Vec<String> =
        facts.iter().chain([&time]).chain(left.as_ref()).cloned().collect::<Vec<_>>();
    let short = [facts[..facts.len() - 1].to_vec(), vec![time.clone()]].concat();
    // What failed matters more than what runs.
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

fn draw_bar(run: &Overall, width: usize, paint: Paint) -> String {
    let full = (run.done * width).checked_div(run.total).unwrap_or(width).min(width);
    let (bar, rest) = ("━".repeat(full), "─".repeat(width - full));
    let bar = if run.failed > 0 { paint.bad(&bar) } else { paint.good(&bar) };
    format!("{bar}{}", paint.faint(&rest))
}

/// What stays on the screen of an image that ended; nothing where it did not.
pub fn ended(image: &str, event: &Event, width: usize, paint: Paint) -> Option<String> {
    let (mark, time, what) = match event {
        Event::ImageBuilt { steps, size, took, .. } => {
            let how = if steps.are_all_cached() { "built, all steps cached" } else { "built" };
            let size = size.map(|size| format!("  {}", words::size(size))).unwrap_or_default();
            (paint.good("✓"), Some(took), format!("{how}{size}").into())
        }
        Event::ImageFresh { tagged, registry, .. } => {
            (paint.faint("•"), None, words::fresh(tagged, registry.is_some()).into())
        }
        Event::ImagePulled { reference, took } => {
            (paint.faint("↓"), Some(took), format!("pulled {}", clean::line(reference)).into())
        }
        Event::ImagePushed { took, .. } => (paint.good("↑"), Some(took), Words::from("pushed")),
        Event::PushFailed { message } => (paint.bad("✗"), None, words::push_failed(message).into()),
        Event::ImageFailed { failure, took } => {
            (paint.bad("✗"), Some(took), format!("failed{}", words::failed_at(failure)).into())
        }
        // The end lists all that was not started in one line.
        Event::ImageSkipped { because: Skip::Stopped } => return None,
        Event::ImageSkipped { because } => {
            (paint.careful("-"), None, format!("skipped: {}", words::why_skipped(because)).into())
        }
        Event::ImageCancelled { took } => (paint.careful("-"), Some(took), "cancelled".into()),
        _ => return None,
    };
    let time = time.map(|took| format!("{}  ", words::duration(*took))).unwrap_or_default();
    let text = format!("{image}  {time}{what}");
    Some(format!("{mark} {}", clean::fit(&text, width.saturating_sub(2))))
}

/// What stands for many images that were fresh from the beginning.
pub fn many_fresh(images: usize, paint: Paint) -> String {
    format!("{} {}  fresh", paint.faint("•"), count(images, "image"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StepCounts;

    fn step() -> StepInfo {
        let text = "RUN make all && make install".to_owned();
        StepInfo { id: 0, stage: Some("builder".to_owned()), number: 2, total: 5, text }
    }

    #[test]
    fn rows_fit_any_width() {
        let step = step();
        let draw = |name: &str, last: &str, width| {
            let time = Duration::from_millis(12_400);
            row(&Row { name, time, step: Some(&step), last }, 6, width, Paint::plain())
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
    fn the_whole_fits_any_width() {
        let left = Some(Duration::from_secs(130));
        let time = Duration::from_secs(62);
        let run = Overall { done: 12, total: 40, running: 3, failed: 0, time, left };
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
            let run = Overall { failed: 2, ..run };
            assert!(overall(&run, width, Paint::plain()).width() <= width, "{width}");
        }
    }

    #[test]
    fn what_ended_is_one_line() {
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
