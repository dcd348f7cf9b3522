//! What a page holds, read back from it.

use serde_json::{Value, json};

use super::super::timeline::Timeline;
use super::super::timeline::fixture::{at, built, edge, events, shop, started};
use super::{Prior, Standing, escape, of_run};
use std::time::Duration;

use crate::base::clock::UnixTime;
use crate::event::Event;
use crate::graph::evaluate::NeedKind;

const STANDING: Standing<'_> = Standing {
    id: "20261127-053000-1",
    began: UnixTime::after_epoch(Duration::from_secs(1_795_757_400)),
    is_written: false,
};

/// The data of a page, as a browser reads it.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn of(run: &Timeline, prior: Option<&Prior<'_>>) -> Value {
    data(&of_run(run, &STANDING, prior))
}

fn image<'a>(data: &'a Value, name: &str) -> &'a Value {
    data["i"].as_array().unwrap().iter().find(|image| image["n"] == name).unwrap()
}

#[test]
fn a_page_is_whole() {
    let page = of_run(&shop(), &STANDING, None);
    assert_eq!(page.matches("<style>").count(), 1);
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert_eq!(page.matches("</script>").count(), 2);
    for address in ["http://", "https://", "url(\"", "src=\"", "href=", "@import"] {
        let found: Vec<&str> = page.lines().filter(|line| line.contains(address)).collect();
        // The name of SVG's namespace is no address that anybody asks for.
        assert!(found.iter().all(|line| line.contains("www.w3.org/2000/svg")), "{found:?}");
    }
    for mark in ["{policy}", "{title}", "{style}", "{data}", "{script}"] {
        assert!(!page.contains(mark), "{mark}");
    }
}

#[test]
fn scripts_end_no_element() {
    for script in super::SCRIPTS {
        assert!(!script.contains("</") && !script.contains("<!--"));
    }
}

#[test]
fn what_builds_wrote_is_cleaned_and_ends_no_element() {
    let page = of_run(&shop(), &STANDING, None);
    assert!(!page.contains('\u{1b}'));
    let data = data(&page);
    let failure = &image(&data, "web")["f"];
    assert_eq!(failure["x"], json!([3, ["RUN </script> make"]]));
    assert_eq!(failure["t"], json!(["no rule <b>"]));
    assert_eq!(failure["p"], "docker/web/Dockerfile:3:1");
    assert_eq!(image(&data, "base")["t"], json!(["done"]));
    assert_eq!(escape("<b>&"), "&lt;b&gt;&amp;");
}

#[test]
fn images_have_their_times_places_and_sizes() {
    let data = of(&shop(), None);
    let dev = image(&data, "dev");
    assert_eq!(
        [&dev["s"], &dev["e"], &dev["q"], &dev["k"]],
        [1000, 3000, 1000, 0].map(Value::from).each_ref()
    );
    assert_eq!(dev["o"], "b");
    // dev is built on base alone, and copies from old.
    assert_eq!((&dev["z"], &dev["a"]), (&json!(130), &json!(30)));
    assert_eq!(dev["p"], json!([[1, 0], [3, 1]]));
    assert_eq!(dev["m"], json!([[1100, 0, 1, "[1/3] FROM base"]]));
    let tools = image(&data, "tools");
    assert_eq!((&tools["s"], &tools["q"]), (&json!(2000), &Value::Null), "ready from the start");
    assert_eq!(image(&data, "base")["x"], 2000);
    assert_eq!(image(&data, "base")["w"], "no image in the engine");
    assert_eq!(image(&data, "site")["w"], "web failed");
    assert_eq!(image(&data, "site")["e"], Value::Null);
    assert_eq!(image(&data, "old")["s"], Value::Null);
    assert_eq!(image(&data, "agent")["o"], "c");
}

#[test]
fn the_run_is_described() {
    let run = &of(&shop(), None)["r"];
    assert_eq!(run["s"], "finished");
    assert_eq!(run["k"], "4 built, 1 fresh, 1 failed, 1 skipped of 7 images");
    assert_eq!(run["b"], "2026-11-27T05:30:00.000Z");
    assert_eq!(run["t"], 4000);
    assert_eq!(run["c"], json!([[0, 0], [4, 2], [5, 1]]));
    assert_eq!(run["p"], Value::Null);
}

#[test]
fn runs_without_an_end_say_so() {
    let all = events();
    let torn = Timeline::of(&all[..all.len() - 1]);
    assert_eq!(of(&torn, None)["r"]["s"], "died");
    let running = Standing { is_written: true, ..STANDING };
    assert_eq!(data(&of_run(&torn, &running, None))["r"]["s"], "still running");
    let mut stopped = Timeline::of(&all[..5]);
    stopped.take(&at(9, Event::Interrupted { signal: 2 }));
    assert_eq!(of(&stopped, None)["r"]["s"], "stopped by SIGINT");
    // Nothing at all is a page, too.
    assert_eq!(of(&Timeline::default(), None)["i"], json!([]));
}

#[test]
fn the_run_before_is_compared() {
    let earlier = Timeline::of(&[
        at(0, started("base")),
        at(700, built("base", 1, 90)),
        at(
            700,
            Event::ImageFresh {
                image: "dev".to_owned(),
                image_id: String::new(),
                tagged: vec![],
                size: None,
                registry: None,
            },
        ),
    ]);
    let prior = Prior { id: "earlier", began: UnixTime::default(), run: &earlier };
    let data = of(&shop(), Some(&prior));
    assert_eq!(data["r"]["p"]["n"], "earlier");
    assert_eq!(image(&data, "base")["y"], json!(["b", 700]));
    assert_eq!(image(&data, "dev")["y"], json!(["f", null]));
    assert_eq!(image(&data, "agent")["y"], Value::Null);
}

#[test]
fn lines_bend_and_show_the_kind_that_binds_most() {
    let begun = Event::RunStarted {
        engine: String::new(),
        jobs: 1,
        images: ["a", "b", "c"].map(str::to_owned).to_vec(),
        edges: vec![
            edge("b", "a", NeedKind::Mount),
            edge("b", "a", NeedKind::Copy),
            edge("c", "b", NeedKind::From),
            edge("c", "a", NeedKind::Context),
        ],
        expected: Default::default(),
    };
    let data = of(&Timeline::of(&[at(0, begun)]), None);
    let lines = data["l"].as_array().unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], json!([0, 1, 1, []]), "copy before mount");
    let long = lines.iter().find(|line| line[0] == 0 && line[1] == 2).unwrap();
    assert_eq!((&long[2], long[3].as_array().unwrap().len()), (&json!(4), 1));
    assert_eq!(data["g"][0], 3);
}
