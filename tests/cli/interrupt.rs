//! Signals: no new builds start, running ones are canceled, and the process dies of the signal.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::harness::Project;

/// Starts a build that never ends by itself, and sends a signal after it has started. Returns the signal that
/// the process died of and its output.
fn interrupt(signal: &str) -> (Option<i32>, String) {
    let project =
        Project::shop().script(r#"{"images": [{"reference": "shop-base", "gate": "canceled"}]}"#);
    let mut child = project
        .command(&["build", "--all", "--engine", "fake", "-j1", "--progress", "plain"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut printed = String::new();
    while !printed.contains("base: started") {
        assert!(stderr.read_line(&mut printed).unwrap() > 0, "{printed}");
    }
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    stderr.read_to_string(&mut printed).unwrap();
    (child.wait().unwrap().signal(), printed)
}

#[test]
fn the_process_prints_a_summary_before_it_dies_of_the_signal() {
    for (name, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let (signal, printed) = interrupt(name);
        assert_eq!(signal, Some(number), "{printed}");
        assert!(printed.contains("base: canceled"), "{printed}");
        assert!(printed.contains("not started: "), "{printed}");
        assert!(!printed.contains("builder: started"), "{printed}");
    }
}
