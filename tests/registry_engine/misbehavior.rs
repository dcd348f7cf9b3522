//! What each command does if a registry misbehaves: the table in `misbehavior.txt`.
//!
//! Each row has the exit code, the time limit in seconds, after which the command would count as hanging, and the first
//! thing that is reported.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use layers::base::parallel;

use crate::common::faults::{Fault, Faults, ReceivedRequest};
use crate::common::registry::Registry;
use crate::expect;
use crate::world::{Machine, Tree};

/// How many commands run at the same time. Most of them wait.
const AT_ONCE: usize = 48;

/// The time limit of commands that do not depend on a registry's silence.
const SOON: u64 = 30;

/// The time limit of commands that wait for a registry: that of a request, and some time for everything else.
const SILENCE: u64 = 100;

/// The time limit of pushes of which Docker's classic store repeats each upload five times.
const REPEATED: u64 = 240;

const ALL: &[&str] = &["plan", "affected", "build", "push", "update", "outdated"];
const PUSH: &[&str] = &["push"];

/// A way to misbehave.
struct Case {
    name: &'static str,
    commands: &'static [&'static str],
    limit: u64,
    script: Arc<dyn Fn(&ReceivedRequest) -> Fault + Send + Sync>,
}

fn case(name: &'static str, limit: u64, script: fn(&ReceivedRequest) -> Fault) -> Case {
    Case { name, commands: ALL, limit, script: Arc::new(script) }
}

/// A case of pushes: the response to requests with a method and a part of the path.
fn of_push(
    name: &'static str,
    limit: u64,
    (method, part): (&'static str, &'static str),
    response: Fault,
) -> Case {
    let script = move |it: &ReceivedRequest| only(it, method, part, response.clone());
    Case { name, commands: PUSH, limit, script: Arc::new(script) }
}

/// Applies a fault to requests with a method and a part of the path.
fn only(request: &ReceivedRequest, method: &str, part: &str, fault: Fault) -> Fault {
    if request.method == method && request.path.contains(part) { fault } else { Fault::Pass }
}

fn is_reading(request: &ReceivedRequest) -> bool {
    ["GET", "HEAD"].contains(&&*request.method) && request.path.contains("/manifests/")
}

/// Applies a fault to requests for manifests.
fn manifests(request: &ReceivedRequest, fault: Fault) -> Fault {
    if is_reading(request) { fault } else { Fault::Pass }
}

fn body(status: u16, media_type: &str, text: &str) -> Fault {
    let headers = vec![("Content-Type", media_type.to_owned())];
    Fault::Answer { status, headers, body: text.into() }
}

fn error(status: u16, code: &str) -> Fault {
    Fault::json(status, &format!(r#"{{"errors":[{{"code":"{code}","message":"not now"}}]}}"#))
}

fn challenge(request: &ReceivedRequest) -> String {
    let host = request.header("host").unwrap();
    format!(r#"Bearer realm="http://{host}/token",service="x""#)
}

fn reading() -> Vec<Case> {
    const NEVER: Duration = Duration::from_secs(3600);
    vec![
        case("never answers", SILENCE, |_| Fault::Late(NEVER)),
        case("never answers about manifests", SILENCE, |it| manifests(it, Fault::Late(NEVER))),
        case("sends a byte per second", SILENCE, |it| manifests(it, Fault::Drip)),
        case("closes every connection", SOON, |_| Fault::Close),
        case("closes connections within manifests", SOON, |it| manifests(it, Fault::CutAfter(10))),
        case("cuts off headers", SOON, |_| Fault::Raw("HTTP/1.1 200 OK\r\nContent-Le")),
        case("does not speak HTTP", SOON, |_| Fault::Raw("SSH-2.0-OpenSSH_9.2\r\n")),
        case("sends an endless body", SOON, |it| manifests(it, Fault::Endless)),
        case("sends a page", SOON, |it| {
            manifests(it, body(200, "text/html", "<html>Log in</html>"))
        }),
        case("sends JSON that is no manifest", SOON, |it| {
            manifests(it, body(200, "application/json", "{}"))
        }),
        case("sends nothing", SOON, |it| manifests(it, Fault::status(200))),
        case("sends a different manifest", SOON, |it| manifests(it, Fault::Lie)),
        case("omits the digest", SOON, |it| manifests(it, Fault::Without("docker-content-digest"))),
        case("has lost configurations", SOON, |it| {
            only(it, "GET", "/blobs/", error(404, "BLOB_UNKNOWN"))
        }),
        case("sends a different configuration", SOON, |it| only(it, "GET", "/blobs/", Fault::Lie)),
        case("redirects forever", SOON, |it| {
            manifests(it, Fault::header(307, "Location", it.path.clone()))
        }),
        case("redirects to an unknown host", SOON, |it| {
            manifests(it, Fault::header(302, "Location", "https://host.invalid/"))
        }),
        case("redirects to nothing", SOON, |it| manifests(it, Fault::header(302, "Location", ""))),
        case("responds with 400", SOON, |it| manifests(it, error(400, "UNSUPPORTED"))),
        case("responds with 403", SOON, |it| manifests(it, error(403, "DENIED"))),
        case("responds with 404 like a web server", SOON, |it| {
            manifests(it, body(404, "text/html", "<html>Not found</html>"))
        }),
        case("responds with 418", SOON, |it| manifests(it, Fault::status(418))),
        case("responds with 429", SOON, |it| manifests(it, error(429, "TOOMANYREQUESTS"))),
        case("responds with 429 for an hour", SOON, |it| {
            manifests(it, Fault::header(429, "Retry-After", "3600"))
        }),
        case("responds with 500", SOON, |it| manifests(it, Fault::status(500))),
        case("responds with 503", SOON, |it| manifests(it, error(503, "UNAVAILABLE"))),
    ]
}

fn logins() -> Vec<Case> {
    vec![
        case("responds with 401 without a challenge", REPEATED, |_| error(401, "UNAUTHORIZED")),
        case("requires an unknown scheme", REPEATED, |_| {
            Fault::header(401, "WWW-Authenticate", "Negotiate")
        }),
        case("requires a password", REPEATED, |_| {
            Fault::header(401, "WWW-Authenticate", "Basic realm=\"x\"")
        }),
        case("refuses tokens", REPEATED, |it| match it.path.starts_with("/token") {
            true => Fault::status(403),
            false => Fault::header(401, "WWW-Authenticate", challenge(it)),
        }),
        case("accepts no token", REPEATED, |it| match it.path.starts_with("/token") {
            true => Fault::json(200, r#"{"token":"x"}"#),
            false => Fault::header(401, "WWW-Authenticate", challenge(it)),
        }),
        case("sends a page for a token", REPEATED, |it| match it.path.starts_with("/token") {
            true => body(200, "text/html", "<html>Log in</html>"),
            false => Fault::header(401, "WWW-Authenticate", challenge(it)),
        }),
        case("never sends a token", SILENCE, |it| match it.path.starts_with("/token") {
            true => Fault::Late(Duration::from_secs(3600)),
            false => Fault::header(401, "WWW-Authenticate", challenge(it)),
        }),
    ]
}

fn pushing() -> Vec<Case> {
    const START: (&str, &str) = ("POST", "/uploads/");
    const DATA: (&str, &str) = ("PATCH", "/uploads/");
    const END: (&str, &str) = ("PUT", "/uploads/");
    const MANIFEST: (&str, &str) = ("PUT", "/manifests/layers-");
    const TAG: (&str, &str) = ("PUT", "/manifests/latest");
    let digest = format!("sha256:{}", "0".repeat(64));
    let wrong = Fault::header(201, "Docker-Content-Digest", digest);
    vec![
        of_push("refuses uploads with 401", REPEATED, START, error(401, "UNAUTHORIZED")),
        of_push("refuses uploads with 403", REPEATED, START, error(403, "DENIED")),
        of_push("refuses uploads with 404", REPEATED, START, error(404, "NAME_UNKNOWN")),
        of_push("refuses uploads with 500", REPEATED, START, Fault::status(500)),
        of_push("refuses data with 400", REPEATED, DATA, error(400, "BLOB_UPLOAD_INVALID")),
        of_push("refuses data with 507", REPEATED, DATA, Fault::status(507)),
        of_push("refuses the end of uploads", REPEATED, END, error(400, "DIGEST_INVALID")),
        of_push("refuses manifests with 400", SOON, MANIFEST, error(400, "MANIFEST_INVALID")),
        of_push("refuses manifests with 413", SOON, MANIFEST, Fault::status(413)),
        of_push("refuses tags with 403", SOON, TAG, error(403, "DENIED")),
        of_push("refuses tags with 409", SOON, TAG, error(409, "TAG_IMMUTABLE")),
        of_push("refuses tags with 500", SOON, TAG, Fault::status(500)),
        of_push("accepts a manifest that it does not keep", SOON, MANIFEST, Fault::status(201)),
        of_push("accepts a tag under a wrong digest", SOON, TAG, wrong),
    ]
}

/// What all cases have in common.
struct Setting<'a> {
    machine: &'a Machine,
    /// A checkout of which the registry has all images.
    tree: &'a Tree,
    /// The repository of an external that the registry has.
    external: &'a str,
    registry: &'a str,
}

/// Returns the text with everything replaced that differs from run to run.
fn normalized(text: &str, address: &str, tree: &Tree) -> String {
    let namespace = tree.repository("").replace("/shop-", "");
    let text = text.replace(address, "REGISTRY").replace(&namespace, "NAMESPACE");
    let mut plain = String::new();
    let mut word = String::new();
    let end = |word: &mut String, plain: &mut String| {
        let is_hash = word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.push_str(if is_hash { "HASH" } else { word });
        word.clear();
    };
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            word.push(character);
            continue;
        }
        end(&mut word, &mut plain);
        plain.push(character);
    }
    end(&mut word, &mut plain);
    plain
}

/// Returns the first thing that is reported, in one line.
fn first_report(text: &str) -> String {
    let is_report = |line: &&str| {
        ["error: ", "warning: ", "unknown for "].iter().any(|start| line.starts_with(start))
    };
    let mut lines = text.lines().skip_while(|line| !is_report(line));
    let Some(first) = lines.next() else { return "nothing".to_owned() };
    let details =
        lines.take_while(|line| line.starts_with("  ") && !line.trim().starts_with("hint:"));
    std::iter::once(first).chain(details.map(str::trim)).collect::<Vec<_>>().join(" / ")
}

/// Runs a command to its end, and kills it after the limit. Returns its exit code and what it wrote to stderr.
fn run(mut command: Command, limit: u64) -> (String, String) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let end = Instant::now() + Duration::from_secs(limit);
    let code = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.code().unwrap().to_string(),
            None if Instant::now() >= end => {
                child.kill().unwrap();
                child.wait().unwrap();
                break "hangs".to_owned();
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    (code, reader.join().unwrap())
}

/// A checkout with one image on the external, which is pinned.
fn on_external(setting: &Setting<'_>, address: &str) -> Tree {
    let tree = Tree::new(&[("one", "", &[])]);
    let text = format!("FROM {address}/{}:1\nCOPY file /\n", setting.external);
    tree.write("docker/one/Dockerfile", &text);
    setting.machine.layers(&tree, address, "update").well();
    tree
}

/// Returns the row of a command.
fn row(setting: &Setting<'_>, case: &Case, name: &str) -> String {
    let is_active = Arc::new(AtomicBool::new(false));
    let (active, script) = (Arc::clone(&is_active), Arc::clone(&case.script));
    let faults = Faults::before(setting.registry, move |request| {
        if active.load(Ordering::SeqCst) { script(request) } else { Fault::Pass }
    });
    let address = faults.address();
    let of_two = || Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    let (tree, words) = match name {
        "plan" => (setting.tree.clone_of(), "plan --engine none"),
        "affected" => (setting.tree.clone_of(), "affected --missing"),
        "update" => (on_external(setting, address), "update"),
        "outdated" => (on_external(setting, address), "outdated --engine none"),
        "push" => (of_two(), "build --all -q --push"),
        _ => (of_two(), "build --all -q"),
    };
    is_active.store(true, Ordering::SeqCst);
    let (code, text) = run(setting.machine.command(&tree, address, words), case.limit);
    let report = normalized(&first_report(&text), address, &tree);
    format!("{} | {name} | {code} | {} | {report}\n", case.name, case.limit)
}

#[test]
fn every_misbehavior_of_a_registry_has_a_known_outcome() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let tree = Tree::new(&[("base", "", &[]), ("dev", "base", &[])]);
    machine.build(&tree, registry.address(), "--all --push").well();
    registry.push("acme/external", "1", "one");
    let setting = Setting {
        machine: &machine,
        tree: &tree,
        external: "acme/external",
        registry: registry.address(),
    };
    // Those that take longest are first.
    let cases: Vec<Case> = pushing().into_iter().chain(logins()).chain(reading()).collect();
    assert!(cases.len() >= 30);
    let mut all: Vec<(&Case, &str)> = Vec::new();
    for case in &cases {
        all.extend(case.commands.iter().map(|command| (case, *command)));
    }
    let rows = parallel::each(&all, AT_ONCE, |(case, command)| row(&setting, case, command));
    let head = "misbehavior | command | exit code | limit in seconds | first report\n";
    expect::expect_file(
        "tests/registry_engine/misbehavior.txt",
        &(head.to_owned() + &rows.concat()),
    );
}
