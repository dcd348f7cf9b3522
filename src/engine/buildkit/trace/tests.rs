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

fn millis(millis: i64) -> Option<Timestamp> {
    let nanos = i32::try_from(millis % 1000).unwrap() * 1_000_000;
    Some(Timestamp { seconds: millis / 1000, nanos })
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
            BuildUpdate::OperationStarted(operation) => format!("start {operation:?}"),
            BuildUpdate::OperationFinished { operation, took } => {
                format!("end {operation:?} {}ms", took.as_millis())
            }
            BuildUpdate::ContextProgress { sent, total } => format!("{sent} of {total}"),
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

/// Returns the updates of a build whose vertices and statuses arrive one message each.
fn operations(trace: &mut StatusTrace, messages: Vec<StatusResponse>) -> Vec<String> {
    messages.into_iter().flat_map(|message| updates_of(trace, message)).collect()
}

fn of_vertex(name: &str, started: i64, completed: Option<i64>) -> StatusResponse {
    let vertexes = vec![vertex(name, millis(started), completed.and_then(millis))];
    StatusResponse { vertexes, ..StatusResponse::default() }
}

fn of_status(vertex: &str, id: &str, started: i64, completed: Option<i64>) -> StatusResponse {
    let status = VertexStatus {
        vertex: format!("sha256:{vertex}"),
        id: id.to_owned(),
        started: millis(started),
        completed: completed.and_then(millis),
        ..VertexStatus::default()
    };
    StatusResponse { statuses: vec![status], ..StatusResponse::default() }
}

const EXPORTING: &str = "exporting to image";

/// What Docker 20.10 and 28 report with the classic store.
#[test]
fn an_export_is_an_operation_and_not_a_step() {
    let messages = vec![
        of_vertex(EXPORTING, 410_965, None),
        of_status(EXPORTING, "exporting layers", 410_965, None),
        of_status(EXPORTING, "exporting layers", 410_965, Some(412_593)),
        of_status(EXPORTING, "writing image sha256:c52b", 412_594, Some(412_594)),
        of_status(EXPORTING, "naming to docker.io/acme/x:latest", 412_594, Some(412_595)),
        of_vertex(EXPORTING, 410_965, Some(412_595)),
        of_vertex(EXPORTING, 410_965, Some(412_595)),
    ];
    let updates = operations(&mut StatusTrace::default(), messages);
    assert_eq!(updates, ["start Exporting", "end Exporting 1630ms"]);
}

/// What Docker 28 reports with containerd's store, for an image with two names.
#[test]
fn unpacking_follows_the_export() {
    let messages = vec![
        of_vertex(EXPORTING, 422_349, None),
        of_status(EXPORTING, "exporting layers", 422_349, Some(426_329)),
        of_status(EXPORTING, "naming to docker.io/acme/x:latest", 426_333, Some(426_334)),
        of_status(EXPORTING, "unpacking to docker.io/acme/x:latest", 426_334, None),
        of_status(EXPORTING, "unpacking to docker.io/acme/x:latest", 426_334, Some(427_838)),
        of_status(EXPORTING, "naming to layers.invalid/parent:1", 427_840, Some(427_841)),
        of_status(EXPORTING, "unpacking to layers.invalid/parent:1", 427_841, Some(427_844)),
        of_vertex(EXPORTING, 422_349, Some(427_857)),
    ];
    let updates = operations(&mut StatusTrace::default(), messages);
    let expected =
        ["start Exporting", "end Exporting 3985ms", "start Unpacking", "end Unpacking 1523ms"];
    assert_eq!(updates, expected);
    // The step is still known if the export fails.
    let mut trace = StatusTrace::default();
    let mut failed = of_vertex(EXPORTING, 1, Some(2));
    failed.vertexes[0].error = "no space left on device".to_owned();
    assert_eq!(updates_of(&mut trace, failed), ["start Exporting"]);
    assert_eq!(trace.into_failed().unwrap().0.text, EXPORTING);
}

/// The vertex is reported first for its cache key, and then for its files. Only the latter has a status. A small context
/// may start and end in one message.
#[test]
fn a_context_is_sent_once_per_transfer() {
    let context = "[internal] load build context";
    let sent = |started, completed| of_status(context, "transferring context:", started, completed);
    let messages = vec![
        of_vertex(context, 414_568, None),
        of_vertex(context, 414_568, Some(414_568)),
        of_vertex(context, 414_569, None),
        sent(414_570, None),
        sent(414_570, Some(415_456)),
        of_vertex(context, 414_569, Some(415_457)),
        of_vertex(context, 414_569, Some(415_457)),
        sent(414_570, Some(415_456)),
    ];
    let updates = operations(&mut StatusTrace::default(), messages);
    assert_eq!(updates, ["start SendingContext", "end SendingContext 887ms"]);
    let mut whole = of_vertex(context, 1_000, Some(1_040));
    whole.statuses = sent(1_000, Some(1_039)).statuses;
    let updates = operations(&mut StatusTrace::default(), vec![whole]);
    assert_eq!(updates, ["start SendingContext", "end SendingContext 40ms"]);
    // If no step needs the files, nothing is sent.
    let lookup = vec![of_vertex(context, 1_000, Some(1_000))];
    assert_eq!(operations(&mut StatusTrace::default(), lookup), Vec::<String>::new());
}
