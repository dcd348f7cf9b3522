//! Table tests of `trace`.
use bollard_buildkit_proto::moby::buildkit::v1::{VertexLog, VertexWarning};

use super::*;

#[test]
fn vertex_names_are_parsed_into_steps() {
    let check = |name, stage: Option<&str>, number, total, text: &str| {
        let stage = stage.map(str::to_owned);
        assert_eq!(
            parse_name(name),
            BuildStep { stage, number, total, text: text.into() },
            "{name}"
        );
    };
    check("[2/3] RUN make", None, 2, 3, "RUN make");
    check("[build 2/3] RUN make", Some("build"), 2, 3, "RUN make");
    check("[stage-1 1/9] FROM a", Some("stage-1"), 1, 9, "FROM a");
    check("[linux/arm64 2/3] RUN x", None, 2, 3, "RUN x");
    check("[linux/arm/v7 b 2/3] RUN x", Some("b"), 2, 3, "RUN x");
    check("[linux/amd64->arm64 b 2/3] RUN x", Some("b"), 2, 3, "RUN x");
    check("[internal] load build context", None, 0, 0, "load build context");
    check("[auth] library/a:pull token", None, 0, 0, "[auth] library/a:pull token");
    check("exporting to image", None, 0, 0, "exporting to image");
    check("[ -f x ] && y", None, 0, 0, "[ -f x ] && y");
    check("[1/2] RUN [ a ] ", None, 1, 2, "RUN [ a ] ");
    check("", None, 0, 0, "");
}

fn stamp(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 500_000_000 })
}

fn vertex(name: &str, started: Option<Timestamp>, completed: Option<Timestamp>) -> Vertex {
    let digest = format!("sha256:{name}");
    Vertex { digest, name: name.into(), started, completed, ..Vertex::default() }
}

fn updates_of(trace: &mut StatusTrace, status: StatusResponse) -> Vec<String> {
    let mut lines = Vec::new();
    trace.take(status, &mut |update| {
        lines.push(match update {
            BuildUpdate::StepStarted(step) => format!("start {}", step.text),
            BuildUpdate::StepFinished { step, cached, took } => {
                format!("end {} cached={cached} {}ms", step.text, took.as_millis())
            }
            BuildUpdate::Output { step, bytes } => format!("out {} {bytes:?}", step.text),
            BuildUpdate::Warning(text) => format!("warn {text}"),
            BuildUpdate::Restarted(text) => format!("restarted {text}"),
        });
    });
    lines
}

#[test]
fn step_events_are_emitted_once() {
    let mut trace = StatusTrace::default();
    let log = VertexLog {
        vertex: "sha256:[1/2] RUN a".into(),
        msg: vec![0xff, b'\n'],
        ..VertexLog::default()
    };
    let warning = VertexWarning { short: b"odd".to_vec(), ..VertexWarning::default() };
    let status = StatusResponse {
        vertexes: vec![
            vertex("[1/2] RUN a", stamp(1), stamp(3)),
            vertex("[2/2] RUN b", None, None),
        ],
        logs: vec![log],
        warnings: vec![warning],
        ..StatusResponse::default()
    };
    let first = updates_of(&mut trace, status.clone());
    let expected =
        ["start RUN a", "out RUN a [255, 10]", "end RUN a cached=false 2000ms", "warn odd"];
    assert_eq!(first, expected);
    let again = StatusResponse { logs: Vec::new(), warnings: Vec::new(), ..status };
    assert_eq!(updates_of(&mut trace, again), [""; 0]);
    let mut cached = vertex("[2/2] RUN b", stamp(9), stamp(8));
    cached.cached = true;
    let status = StatusResponse { vertexes: vec![cached], ..StatusResponse::default() };
    assert_eq!(updates_of(&mut trace, status), ["start RUN b", "end RUN b cached=true 0ms"]);
    assert_eq!(trace.into_failed(), None);
}

#[test]
fn canceled_steps_are_not_reported_as_the_failed_step() {
    let mut trace = StatusTrace::default();
    let failing = |name: &str, error: &str| Vertex {
        error: error.into(),
        ..vertex(name, stamp(1), stamp(2))
    };
    let vertexes = vec![
        failing("[a 1/2] RUN a", "context canceled: context canceled"),
        failing("[b 1/2] RUN b", "exit code: 3"),
        failing("[c 1/2] RUN c", "exit code: 4"),
    ];
    updates_of(&mut trace, StatusResponse { vertexes, ..StatusResponse::default() });
    let (step, message) = trace.into_failed().unwrap();
    assert_eq!((step.stage.as_deref(), message.as_str()), (Some("b"), "exit code: 3"));
}
