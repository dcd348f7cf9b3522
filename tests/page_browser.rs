//! The page of a run in a real browser: it draws its content, responds to mouse and keyboard, is legible in
//! light and dark mode, and works in narrow windows and with 300 images.
//!
//! Needs Debian's chromium and chromium-driver. Set `LAYERS_TEST_NO_BROWSER=1` if they are missing.
//! Screenshots are saved in the tests' output directory as `page-*.png`.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use layers::base::clock::UnixTime;
use layers::report::page::{self, PreviousRun, RunMetadata};
use layers::report::timeline::Timeline;

#[path = "page_browser/driver.rs"]
mod driver;
#[path = "page_browser/runs.rs"]
mod runs;

use driver::Browser;
use runs::{Recipe, events, name, run};

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const TAB: &str = "\u{e004}";
const DOWN: &str = "\u{e015}";
const RIGHT: &str = "\u{e014}";
const LEFT: &str = "\u{e012}";

const SMALL: Recipe = Recipe { images: 8, jobs: 3, fails: false, seed: 1 };
const FAILED: Recipe = Recipe { images: 24, jobs: 4, fails: true, seed: 5 };
const LARGE: Recipe = Recipe { images: 300, jobs: 8, fails: false, seed: 3 };

/// Writes the page of a run, compared with a run with other random results, to the tests' output directory.
fn page(file: &str, recipe: Recipe) -> PathBuf {
    let older = run(Recipe { seed: recipe.seed + 1, fails: false, ..recipe });
    let prior = PreviousRun {
        id: "20261126-101500-7",
        began: UnixTime::from_seconds(1_795_688_100),
        run: &older,
    };
    let began = UnixTime::from_seconds(1_795_757_400);
    let metadata = RunMetadata { id: "20261127-053000-9", began, is_written: false };
    let text = page::of_run(&run(recipe), &metadata, Some(&prior));
    let path = artifact(&format!("{file}.html"));
    fs::write(&path, text).unwrap();
    path
}

fn artifact(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}"))
}

/// Returns the image whose details are shown, or an empty string.
fn shown(browser: &Browser) -> String {
    browser.text("document.querySelector('#details-title')?.lastChild.textContent.trim() ?? ''")
}

fn visible(browser: &Browser, selector: &str) -> f64 {
    browser.number(&format!(
        "[...document.querySelectorAll('{selector}')].filter((it) => it.getClientRects().length > 0).length"
    ))
}

fn first_row(browser: &Browser) -> String {
    browser.text("document.querySelector('#table tbody tr:not([hidden]) .name').textContent")
}

/// Returns the minimum contrast of all visible texts with their backgrounds, and the text that has it
/// (<https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio>).
const CONTRAST: &str = r#"
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgba = (color) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const light = ([r, g, b]) => [r, g, b].map((it) => it / 255)
  .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4))
  .reduce((sum, it, at) => sum + it * [0.2126, 0.7152, 0.0722][at], 0);
const behind = (element) => {
  if (element.ownerSVGElement) {
    const box = element.parentNode.querySelector('rect, circle');
    if (box) return rgba(getComputedStyle(box).fill);
  }
  for (let at = element; at; at = at.parentElement) {
    const color = rgba(getComputedStyle(at).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255, 255];
};
let least = [99, 'nothing'];
let seen = 0;
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || element.closest('script, title, .unseen, .tip')) continue;
  if (element.getClientRects().length === 0) continue;
  const style = getComputedStyle(element);
  const [a, b] = [light(rgba(element.ownerSVGElement ? style.fill : style.color)), light(behind(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  seen += 1;
  if (contrast < least[0]) least = [contrast, `${element.tagName}.${element.className.baseVal ?? element.className} ${walk.currentNode.data}`];
}
return [...least, seen];
"#;

#[track_caller]
fn assert_contrast(browser: &Browser, what: &str) {
    let found = browser.run(CONTRAST);
    assert!(found[2].as_f64().unwrap() > 60.0, "{what}: too few texts: {found}");
    assert!(found[0].as_f64().unwrap() >= 4.5, "{what}: {found}");
}

#[test]
fn the_page_opens_from_disk_and_shows_every_image() {
    let Some(browser) = Browser::open(1280, 1000) else { return };
    browser.visit(&page("small", SMALL));
    assert_eq!(browser.errors(), Vec::<String>::new());
    // One image is fresh and had no slot.
    assert_eq!(visible(&browser, ".bar"), 7.0);
    assert_eq!(visible(&browser, "#table tbody tr"), 8.0);
    assert_eq!(visible(&browser, ".node"), 8.0);
    assert!(browser.text("document.title").contains("20261127-053000-9"));
    for kind in ["waiting-for-run", "sending-context", "exporting", "unpacking"] {
        assert!(visible(&browser, &format!(".bar .operation.p-{kind}")) > 0.0, "{kind}");
        assert_eq!(visible(&browser, &format!("#chart-legend .swatch.p-{kind}")), 1.0, "{kind}");
    }
    assert_eq!(visible(&browser, "#chart-legend .p-pulling"), 0.0, "nothing was pulled");
    let legend = browser.text("document.querySelector('#chart-legend').textContent");
    assert!(legend.contains("waiting for another run") && legend.contains("exporting"), "{legend}");
    // The export is at the end of the bar, followed by unpacking.
    let ends = "[...document.querySelectorAll('.bar[data-image=\"0\"] .operation')].map((it) => \
        Math.round(100 * (it.offsetLeft + it.offsetWidth) / it.parentNode.offsetWidth)).join()";
    assert_eq!(browser.text(ends), "10,95,100");
    browser.picture("small-light");
    browser.click("#chart-tools button:nth-child(2)");
    assert_eq!(visible(&browser, ".bar"), 7.0);
    assert_eq!(visible(&browser, ".lane"), 7.0);
    browser.picture("small-by-image");
}

#[test]
fn clicking_an_image_in_any_view_shows_its_details() {
    let Some(browser) = Browser::open(1280, 1400) else { return };
    browser.visit(&page("click", SMALL));
    assert_eq!(shown(&browser), "");
    browser.click(".bar[data-image='4']");
    assert_eq!(shown(&browser), name(4));
    let printed = browser.text("document.querySelector('[role=status]').textContent");
    assert!(printed.starts_with(&format!("{}, built", name(4))), "{printed}");
    assert!(
        browser.number("document.querySelectorAll('.bar[data-image=\"4\"] .step').length") >= 2.0
    );
    browser.click("#table tr[data-image='2'] th");
    assert_eq!(shown(&browser), name(2));
    browser.click(".node[data-image='5'] .node-name");
    assert_eq!(shown(&browser), name(5));
    // Select its parent there.
    let need = browser.text("document.querySelector('#details .name-button').textContent");
    browser.click("#details .name-button");
    assert_eq!(shown(&browser), need);
    browser.click("#details [aria-label=Close]");
    assert_eq!(visible(&browser, "#details"), 0.0);
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn search_filters_all_views() {
    let Some(browser) = Browser::open(1280, 1000) else { return };
    browser.visit(&page("search", FAILED));
    browser.keys(&["/", "s", "e", "r", "v", "i", "c", "e", "-", "2"]);
    let found = (0..24).filter(|image| name(*image).contains("service-2")).count();
    assert_eq!(visible(&browser, "#table tbody tr"), f64::from(u32::try_from(found).unwrap()));
    assert_eq!(browser.number("document.querySelectorAll('.node.found').length"), 4.0);
    assert_eq!(browser.number("document.querySelectorAll('.node.dim').length"), 20.0);
    assert_eq!(browser.text("document.querySelector('#found').textContent"), "4 of 24");
    assert!(browser.number("document.querySelectorAll('.bar:not(.dim)').length") <= 4.0);
    browser.keys(&[ESCAPE]);
    assert_eq!(visible(&browser, "#table tbody tr"), 24.0);
    browser.click(".chip");
    assert_eq!(visible(&browser, "#table tbody tr"), 1.0, "failures come first");
}

#[test]
fn every_column_sorts_in_both_directions() {
    let Some(browser) = Browser::open(1280, 1000) else { return };
    browser.visit(&page("sort", FAILED));
    let columns = browser.number("document.querySelectorAll('thead th').length");
    assert_eq!(columns, 10.0);
    let sort = "document.querySelector('thead th:nth-child(4)').getAttribute('aria-sort')";
    let times = "[...document.querySelectorAll('#table tbody tr')].map((row) => \
        document.querySelector(`.bar[data-image=\"${row.dataset.image}\"]`)?.offsetWidth ?? -1)\
        .filter((it) => it >= 0)";
    let order = |compare: &str| {
        browser.number(&format!(
            "({times}).every((it, at, all) => at === 0 || all[at - 1] {compare} it + 1) ? 1 : 0"
        ))
    };
    browser.click("thead th:nth-child(4) button");
    assert_eq!((browser.text(sort), order("<=")), ("ascending".to_owned(), 1.0));
    browser.click("thead th:nth-child(4) button");
    assert_eq!(browser.text(sort), "descending");
    let longest = first_row(&browser);
    browser.run("document.querySelector('thead th:nth-child(1) button').focus()");
    browser.keys(&[ENTER]);
    assert_eq!(browser.text(sort), "none");
    assert_eq!(first_row(&browser), "base");
    browser.keys(&[ENTER]);
    assert_eq!(first_row(&browser), "worker");
    assert_ne!(longest, "base");
    for column in 1..=10 {
        let ways: Vec<String> = (0..2)
            .map(|_| {
                browser.click(&format!("thead th:nth-child({column}) button"));
                browser.text(&format!(
                    "document.querySelector('thead th:nth-child({column})').getAttribute('aria-sort')"
                ))
            })
            .collect();
        // The first column was just sorted in descending order.
        let expected =
            if column == 1 { ["none", "ascending"] } else { ["ascending", "descending"] };
        assert_eq!(ways, expected, "column {column}");
    }
}

#[test]
fn the_page_works_with_only_the_keyboard() {
    let Some(browser) = Browser::open(1280, 1400) else { return };
    browser.visit(&page("keys", SMALL));
    let focus = "document.activeElement.dataset.image ?? document.activeElement.id";
    // To the chart, only with Tab.
    let mut presses = 0;
    while browser.number("document.activeElement.closest('#lanes') ? 1 : 0") == 0.0 {
        browser.keys(&[TAB]);
        presses += 1;
        assert!(presses < 40, "Tab does not lead to the chart");
    }
    let first = browser.text(focus);
    browser.keys(&[RIGHT]);
    assert_ne!(browser.text(focus), first);
    browser.keys(&[ENTER]);
    assert!(!shown(&browser).is_empty());
    let outline = browser.text("getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "the focus can be seen");
    browser.keys(&[ESCAPE]);
    assert_eq!(shown_panels(&browser), 0.0);
    browser.run("document.querySelector('#table tbody tr[tabindex=\"0\"]').focus()");
    browser.keys(&[DOWN, ENTER]);
    assert_eq!(
        shown(&browser),
        browser.text("document.activeElement.querySelector('.name').textContent")
    );
    browser.run("document.querySelector('.node[data-image=\"0\"]').focus()");
    browser.keys(&[RIGHT]);
    let child = browser.text(focus);
    assert_ne!(child, "0");
    browser.keys(&[ENTER]);
    assert_eq!(shown(&browser), name(child.parse().unwrap()));
    browser.keys(&[LEFT]);
    assert_eq!(browser.text(focus), "0");
    // Folding hides all dependents, and unfolding shows them again.
    let before = visible(&browser, ".node");
    browser.keys(&["c"]);
    assert!(visible(&browser, ".node") < before);
    browser.keys(&["c"]);
    assert_eq!(visible(&browser, ".node"), before);
    browser.keys(&["?"]);
    assert_eq!(visible(&browser, "dialog[open] kbd"), 12.0);
    browser.keys(&[ESCAPE]);
    assert_eq!(visible(&browser, "dialog[open]"), 0.0);
}

fn shown_panels(browser: &Browser) -> f64 {
    visible(browser, "#details")
}

#[test]
fn light_and_dark_modes_are_legible() {
    let Some(browser) = Browser::open(1280, 1600) else { return };
    browser.visit(&page("failed", FAILED));
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.run(
            "document.querySelector('.chip').click(); document.querySelector('.chip').click()",
        );
        assert_contrast(&browser, scheme);
        browser.run("document.querySelector('.bar.o-failed').click()");
        assert_eq!(shown(&browser), name(12));
        assert!(
            browser
                .text("document.querySelector('#details').textContent")
                .contains("<script>alert(1)")
        );
        assert_contrast(&browser, &format!("{scheme} with details"));
        browser.picture(&format!("failed-{scheme}"));
        browser.keys(&["?"]);
        assert_contrast(&browser, &format!("{scheme} with keys"));
        browser.picture(&format!("keys-{scheme}"));
        browser.keys(&[ESCAPE, ESCAPE]);
    }
    // The button inverts the system's setting.
    browser.click("#theme");
    let light = browser.text("getComputedStyle(document.body).backgroundColor");
    browser.click("#theme");
    assert_ne!(browser.text("getComputedStyle(document.body).backgroundColor"), light);
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn a_page_with_three_hundred_images_does_not_overflow() {
    let path = page("large", LARGE);
    let size = fs::metadata(&path).unwrap().len();
    assert!(size < 350_000, "{size} bytes");
    let Some(browser) = Browser::open(1280, 1400) else { return };
    browser.visit(&path);
    assert_eq!(browser.errors(), Vec::<String>::new());
    assert_eq!(visible(&browser, ".bar"), 299.0);
    assert_eq!(visible(&browser, "#table tbody tr"), 300.0);
    for (width, height) in [(1280, 1400), (400, 900)] {
        browser.resize(width, height);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            let overflow =
                "document.documentElement.scrollWidth - document.documentElement.clientWidth";
            assert_eq!(browser.number(overflow), 0.0, "at {width}");
            browser.picture(&format!("large-{width}-{scheme}"));
        }
    }
    browser.run("document.querySelector('.bar').click()");
    assert_eq!(visible(&browser, "#details"), 1.0);
    browser.picture("large-400-details");
    browser.keys(&[ESCAPE]);
    browser.resize(1280, 1400);
    browser.run("document.querySelector('#graph').scrollIntoView()");
    browser.picture("large-graph");
    browser.click("#graph-tools .joined button:last-child");
    browser.picture("large-graph-whole");
    browser.run("window.scrollTo(0, 0)");
    browser.click("#chart-tools button:nth-child(2)");
    browser.picture("large-by-image");
}

#[test]
fn the_chart_can_be_zoomed() {
    let Some(browser) = Browser::open(1280, 1000) else { return };
    browser.visit(&page("zoom", FAILED));
    let width = || browser.number("document.querySelector('.bar').getBoundingClientRect().width");
    let whole = width();
    browser.click("[aria-label='Zoom in']");
    let nearer = width();
    assert!(nearer > whole * 1.4, "{whole} {nearer}");
    browser.keys(&["+"]);
    assert!(width() > nearer * 1.4);
    browser.keys(&["0"]);
    assert!((width() - whole).abs() < 1.0);
    browser.run(
        "document.querySelector('#chart-scroll').dispatchEvent(new WheelEvent('wheel', \
         {deltaY: -300, ctrlKey: true, bubbles: true, cancelable: true, clientX: 300, clientY: 200}))",
    );
    assert!(width() > whole * 1.4);
}

#[test]
fn an_interrupted_run_shows_its_progress() {
    let Some(browser) = Browser::open(1280, 1000) else { return };
    let all = events(FAILED);
    let half = Timeline::of(&all[..all.len() / 2]);
    let metadata =
        RunMetadata { id: "20261127-053000-9", began: UnixTime::default(), is_written: false };
    let path = artifact("died.html");
    fs::write(&path, page::of_run(&half, &metadata, None)).unwrap();
    browser.visit(&path);
    assert_eq!(browser.errors(), Vec::<String>::new());
    assert!(browser.text("document.querySelector('.facts').textContent").starts_with("died"));
    assert_eq!(visible(&browser, "#table thead th"), 9.0, "there is nothing to compare it with");
    browser.click(".bar.o-running");
    assert!(browser.text("document.querySelector('#details').textContent").contains("interrupted"));
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        assert_contrast(&browser, scheme);
        browser.picture(&format!("died-{scheme}"));
    }
    // A run without any events can also be shown.
    fs::write(&path, page::of_run(&Timeline::default(), &metadata, None)).unwrap();
    browser.visit(&path);
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn a_graph_page_does_not_require_a_run() {
    let Some(browser) = Browser::open(1280, 800) else { return };
    let root = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("base", "FROM debian:bookworm-slim\n"),
        ("dev", "FROM acme/shop-base\nRUN --mount=from=acme/shop-tools,target=/t true\n"),
        ("tools", "FROM scratch\nCOPY --from=acme/shop-base / /\n"),
    ] {
        let directory = root.path().join("docker").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("Dockerfile"), text).unwrap();
    }
    let mut layers = Command::new(env!("CARGO_BIN_EXE_layers"));
    let made = layers.current_dir(root.path()).args(["graph", "-o"]).arg(artifact("graph.html"));
    assert!(made.status().unwrap().success());
    browser.visit(&artifact("graph.html"));
    assert_eq!(browser.errors(), Vec::<String>::new());
    assert_eq!((visible(&browser, ".node"), visible(&browser, "section[hidden]")), (3.0, 0.0));
    let dashes = |kind: &str| {
        browser.text(&format!(
            "getComputedStyle(document.querySelector('path.k-{kind}')).strokeDasharray"
        ))
    };
    assert_eq!(dashes("from"), "none");
    assert_ne!(dashes("copy"), dashes("mount"));
    browser.click(".node[data-image='1'] .node-name");
    let printed = browser.text("document.querySelector('#details').textContent");
    assert!(
        printed.contains("docker/dev/Dockerfile:1:6") && printed.contains("acme/shop-dev:latest"),
        "{printed}"
    );
    browser.keys(&["/", "t", "o", "o", "l"]);
    assert_eq!(browser.number("document.querySelectorAll('.node.found').length"), 1.0);
    browser.picture("graph-alone");
}

#[test]
fn the_page_can_be_printed() {
    let Some(browser) = Browser::open(1000, 1400) else { return };
    browser.visit(&page("print", FAILED));
    browser.prefer("dark");
    browser.keys(&["t", "t"]);
    browser.print();
    assert_eq!(
        browser.text("getComputedStyle(document.body).backgroundColor"),
        "rgb(255, 255, 255)"
    );
    assert_contrast(&browser, "print");
    assert_eq!(visible(&browser, ".tools"), 0.0);
    for frame in ["#chart-scroll", "#table-scroll"] {
        let hidden = format!(
            "document.querySelector('{frame}').scrollHeight - document.querySelector('{frame}').clientHeight"
        );
        assert_eq!(browser.number(&hidden), 0.0, "{frame} is whole");
    }
    browser.picture("print");
}
