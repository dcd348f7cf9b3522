//! The content of a page, parsed from its HTML.

use serde_json::{Value, json};

use super::super::timeline::Timeline;
use super::super::timeline::fixture::{
    at, begun, built, edge, events, fresh, operated, operates, shop, started,
};
use super::{PreviousRun, RunMetadata, escape, of_run};
use std::time::Duration;

use crate::base::clock::UnixTime;
use crate::event::{Event, Operation};
use crate::graph::evaluate::DependencyKind;

const STANDING: RunMetadata<'_> = RunMetadata {
    id: "20261127-053000-1",
    began: UnixTime::after_epoch(Duration::from_secs(1_795_757_400)),
    is_written: false,
};

/// Returns the data of a page as a browser reads it.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn of(run: &Timeline, prior: Option<&PreviousRun<'_>>) -> Value {
    data(&of_run(run, &STANDING, prior))
}

fn image<'a>(data: &'a Value, name: &str) -> &'a Value {
    data["images"].as_array().unwrap().iter().find(|image| image["name"] == name).unwrap()
}

#[test]
fn a_page_is_self_contained() {
    let page = of_run(&shop(), &STANDING, None);
    assert_eq!(page.matches("<style>").count(), 1);
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert_eq!(page.matches("</script>").count(), 2);
    for address in ["http://", "https://", "url(\"", "src=\"", "href=", "@import"] {
        let found: Vec<&str> = page.lines().filter(|line| line.contains(address)).collect();
        // The name of SVG's namespace is not a request.
        assert!(found.iter().all(|line| line.contains("www.w3.org/2000/svg")), "{found:?}");
    }
    for mark in ["{policy}", "{title}", "{style}", "{data}", "{script}"] {
        assert!(!page.contains(mark), "{mark}");
    }
}

#[test]
fn scripts_contain_no_closing_tags() {
    for script in super::SCRIPTS {
        assert!(!script.contains("</") && !script.contains("<!--"));
    }
}

#[test]
fn build_output_is_sanitized_and_escaped() {
    let page = of_run(&shop(), &STANDING, None);
    assert!(!page.contains('\u{1b}'));
    let data = data(&page);
    let failure = &image(&data, "web")["failure"];
    assert_eq!(failure["excerpt"], json!({"line": 3, "lines": ["RUN </script> make"]}));
    assert_eq!(failure["tail"], json!(["no rule <b>"]));
    assert_eq!(failure["location"], "docker/web/Dockerfile:3:1");
    assert_eq!(image(&data, "base")["tail"], json!(["done"]));
    assert_eq!(escape("<b>&"), "&lt;b&gt;&amp;");
}

#[test]
fn images_have_times_slots_and_sizes() {
    let data = of(&shop(), None);
    let dev = image(&data, "dev");
    assert_eq!(
        [&dev["start"], &dev["end"], &dev["ready"], &dev["slot"]],
        [1000, 3000, 1000, 0].map(Value::from).each_ref()
    );
    assert_eq!(dev["outcome"], "built");
    // `dev` is based only on `base`, and copies from `old`.
    assert_eq!((&dev["size"], &dev["added"]), (&json!(130), &json!(30)));
    let parents = json!([{"image": 1, "kind": "from"}, {"image": 3, "kind": "copy"}]);
    assert_eq!(dev["parents"], parents);
    let step = json!({"from": 1100, "took": 0, "cached": true, "text": "[1/3] FROM base"});
    assert_eq!(dev["steps"], json!([step]));
    let tools = image(&data, "tools");
    assert_eq!(
        (&tools["start"], &tools["ready"]),
        (&json!(2000), &json!(0)),
        "ready from the start"
    );
    assert_eq!(image(&data, "base")["expected"], 2000);
    assert_eq!(image(&data, "base")["why"], "no image in the engine");
    assert_eq!(image(&data, "site")["why"], "web failed");
    assert_eq!(image(&data, "site")["end"], Value::Null);
    assert_eq!(image(&data, "old")["start"], Value::Null);
    assert_eq!(image(&data, "agent")["outcome"], "cached");
}

#[test]
fn the_run_is_described() {
    let run = &of(&shop(), None)["run"];
    assert_eq!(run["state"], "finished");
    assert_eq!(run["counts"], "4 built, 1 fresh, 1 failed, 1 skipped of 7 images");
    assert_eq!(run["began"], "2026-11-27T05:30:00.000Z");
    assert_eq!(run["took"], 4000);
    let link = |image: usize, waited: &str| json!({"image": image, "waited": waited});
    assert_eq!(run["chain"], json!([link(0, "nothing"), link(4, "slot"), link(5, "dependency")]));
    assert_eq!(run["prior"], Value::Null);
}

#[test]
fn incomplete_runs_are_reported_as_incomplete() {
    let all = events();
    let torn = Timeline::of(&all[..all.len() - 1]);
    assert_eq!(of(&torn, None)["run"]["state"], "died");
    let running = RunMetadata { is_written: true, ..STANDING };
    assert_eq!(data(&of_run(&torn, &running, None))["run"]["state"], "still running");
    let mut stopped = Timeline::of(&all[..5]);
    stopped.take(&at(9, ("", Event::Interrupted { signal: 2 })));
    assert_eq!(of(&stopped, None)["run"]["state"], "stopped by SIGINT");
    assert_eq!(data(&of_run(&stopped, &running, None))["run"]["state"], "still running");
    // A run without any events also has a page.
    assert_eq!(of(&Timeline::default(), None)["images"], json!([]));
}

#[test]
fn a_run_is_compared_with_the_previous_run() {
    let earlier = Timeline::of(&[
        at(0, started("base")),
        at(700, built("base", 1, 90)),
        at(700, fresh("dev", None)),
    ]);
    let prior = PreviousRun { id: "earlier", began: UnixTime::default(), run: &earlier };
    let data = of(&shop(), Some(&prior));
    assert_eq!(data["run"]["prior"]["id"], "earlier");
    assert_eq!(image(&data, "base")["prior"], json!({"outcome": "built", "took": 700}));
    assert_eq!(image(&data, "dev")["prior"], json!({"outcome": "fresh"}));
    assert_eq!(image(&data, "agent")["prior"], Value::Null);
}

#[test]
fn edges_bend_around_levels_and_show_the_strongest_kind() {
    let edges = vec![
        edge("b", "a", DependencyKind::Mount),
        edge("b", "a", DependencyKind::Copy),
        edge("c", "b", DependencyKind::From),
        edge("c", "a", DependencyKind::Context),
    ];
    let data = of(&Timeline::of(&[at(0, begun(1, &["a", "b", "c"], edges))]), None);
    let lines = data["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 3);
    let first = json!({"parent": 0, "child": 1, "kind": "copy", "bends": []});
    assert_eq!(lines[0], first, "copy before mount");
    let long = lines.iter().find(|line| line["parent"] == 0 && line["child"] == 2).unwrap();
    assert_eq!((&long["kind"], long["bends"].as_array().unwrap().len()), (&json!("context"), 1));
    assert_eq!(data["extent"][0], 3);
}

#[test]
fn operations_are_part_of_their_images() {
    let (operation, sent) = (Operation::SendingContext, Some(9));
    let took = Duration::from_millis(45);
    let run = Timeline::of(&[
        at(0, started("a")),
        at(60, ("a", Event::OperationFinished { operation, sent, took })),
        at(70, operates("a", Operation::Exporting)),
        at(90, operated("a", Operation::Exporting, 20)),
        at(90, operates("a", Operation::Unpacking)),
        at(99, ("a", Event::ImageCanceled { took })),
        at(100, started("b")),
        at(100, operates("b", Operation::WaitingForRun)),
    ]);
    let data = of(&run, None);
    let expected = json!([
        {"kind": "sending-context", "from": 15, "took": 45, "sent": 9},
        {"kind": "exporting", "from": 70, "took": 20},
        {"kind": "unpacking", "from": 90, "took": 9, "broke": true},
    ]);
    assert_eq!(image(&data, "a")["operations"], expected);
    let open = json!([{"kind": "waiting-for-run", "from": 100, "took": 0, "open": true}]);
    assert_eq!(image(&data, "b")["operations"], open);
    assert_eq!(image(&data, "b")["notes"], Value::Null);
    // The page names each kind, and has a color for it.
    let page = of_run(&run, &STANDING, None);
    for kind in ["waiting-for-run", "pulling", "sending-context", "exporting", "unpacking"] {
        assert!(page.contains(&format!(".p-{kind}:is(.operation, .swatch")), "{kind}");
        let names = [format!("  \"{kind}\": \""), format!("  {kind}: \"")];
        assert!(names.iter().any(|name| page.contains(name.as_str())), "{kind}");
    }
}
