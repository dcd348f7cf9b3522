//! Logins: which credentials are sent where, when they are requested, and when they are looked up again.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layers::base::error;

use super::common::faults::{Fault, Faults, ReceivedRequest};
use super::common::registry::{Registry, USER};
use super::{Client, at, login};

#[test]
fn passwords_are_sent_only_after_the_registry_requests_them() {
    let Some(registry) = Registry::plan().with_auth().start() else { return };
    let digest = registry.push("a/b", "1", "one");
    let faults = Faults::before(registry.address(), |_| Fault::Pass);
    let client = Client::with(&login(faults.address(), USER));
    assert_eq!(client.digest(faults.address(), "1").unwrap(), Some(digest.clone()));
    assert_eq!(faults.seen().len(), 2, "refused, then let in");
    client.image(faults.address(), "1").unwrap().unwrap();
    assert_eq!(faults.seen().len(), 4, "sent ahead from then on");

    let error = error::text(&Client::new().fault(faults.address(), "1"));
    assert!(error.contains("requires a username and password\nhint: run `docker login 127.0.0.1:"));
    let wrong = Client::with(&login(faults.address(), ("login", "hidden")));
    let error = error::text(&wrong.fault(faults.address(), "1"));
    assert!(
        error.contains("access to `a/b` on `127.0.0.1:")
            && error.contains("` was denied: authentication required"),
        "{error}"
    );
    assert!(error.contains("\nhint: run `docker login 127.0.0.1:") && !error.contains("hidden"));
}

/// A token server that accepts `user:secret`, an identity token, and anonymous users.
fn answer_for_token(request: &ReceivedRequest, count: usize) -> Fault {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let basic = format!("Basic {}", STANDARD.encode("user:secret"));
    let who = match request.header("authorization") {
        Some(value) if value == basic => "user",
        Some(_) => return Fault::status(401),
        None if form.ends_with("&refresh_token=id%2Ftoken") => "identity",
        None if request.method == "GET" => "anonymous",
        None => return Fault::status(401),
    };
    let what = if request.method == "POST" { &form } else { &request.path };
    assert!(what.contains("service=tests"), "{what}");
    let actions = match () {
        () if what.contains("scope=repository%3Aa%2Fb%3Apull%2Cpush") => "push",
        () if what.contains("scope=repository%3Aa%2Fb%3Apull") => "pull",
        () => panic!("{what}"),
    };
    Fault::json(200, &format!(r#"{{"token":"{who}-{actions}-{count}","expires_in":300}}"#))
}

/// Starts a registry that accepts tokens of its own server; `takes` decides which.
fn with_tokens(
    registry: &Registry,
    takes: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Faults, Arc<Mutex<Vec<String>>>) {
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&tokens);
    let count = AtomicUsize::new(0);
    let faults = Faults::before(registry.address(), move |request| {
        if request.path.starts_with("/token") {
            return answer_for_token(request, count.fetch_add(1, Ordering::SeqCst));
        }
        let sent = request.header("authorization").map(str::to_owned);
        kept.lock().unwrap().push(sent.clone().unwrap_or_default());
        if sent.is_some_and(|sent| sent.strip_prefix("Bearer ").is_some_and(&takes)) {
            return Fault::Pass;
        }
        let host = request.header("host").unwrap();
        let value = format!(r#"Bearer realm="http://{host}/token",service="tests""#);
        Fault::header(401, "WWW-Authenticate", value)
    });
    (faults, tokens)
}

#[test]
fn tokens_are_requested_once_and_reused() {
    let Some(registry) = Registry::start() else { return };
    let digest = registry.push("a/b", "1", "one");
    let check = |config: &dyn Fn(&str) -> String, who: &'static str| {
        let (faults, tokens) = with_tokens(&registry, move |token| token.starts_with(who));
        let client = Client::with(&config(faults.address()));
        assert_eq!(client.digest(faults.address(), "1").unwrap().as_ref(), Some(&digest));
        assert_eq!(faults.seen().len(), 3, "{:?}", faults.seen());
        client.image(faults.address(), "1").unwrap().unwrap();
        assert_eq!(faults.seen().len(), 5, "the token is kept: {:?}", faults.seen());
        let manifest = client.registries.manifest(&at(faults.address(), "1")).unwrap().unwrap();
        client.registries.put(&at(faults.address(), "moved"), &manifest).unwrap();
        let pulls = format!("Bearer {who}-pull-0");
        let pushes = format!("Bearer {who}-push-1");
        let pulls: Vec<&str> = vec![""; 1].into_iter().chain(vec![pulls.as_str(); 4]).collect();
        assert_eq!(*tokens.lock().unwrap(), [pulls, vec![&*pushes]].concat());
    };
    check(&|_| "{}".to_owned(), "anonymous");
    check(&|address| login(address, ("user", "secret")), "user");
    let identity =
        |address: &str| format!(r#"{{"auths":{{"{address}":{{"identitytoken":"id/token"}}}}}}"#);
    check(&identity, "identity");
}

#[test]
fn expired_tokens_are_renewed_and_rejected_tokens_are_errors() {
    let Some(registry) = Registry::start() else { return };
    registry.push("a/b", "1", "one");
    let at_least = Arc::new(AtomicUsize::new(0));
    let least = Arc::clone(&at_least);
    let (faults, _) = with_tokens(&registry, move |token| {
        let number: usize = token.rsplit('-').next().unwrap().parse().unwrap();
        number >= least.load(Ordering::SeqCst)
    });
    let client = Client::new();
    client.image(faults.address(), "1").unwrap().unwrap();
    at_least.store(1, Ordering::SeqCst);
    client.image(faults.address(), "1").unwrap().unwrap();
    at_least.store(99, Ordering::SeqCst);
    let error = error::text(&client.fault(faults.address(), "1"));
    assert!(
        error.contains("access to `a/b` on `127.0.0.1:")
            && error.contains("` was denied (401)\nhint: run `docker login 127"),
        "{error}"
    );
    let wrong = Client::with(&login(faults.address(), ("user", "hidden")));
    let error = error::text(&wrong.fault(faults.address(), "1"));
    assert!(
        error.contains("login to `127.0.0.1:")
            && error.contains("was denied")
            && !error.contains("hidden"),
        "{error}"
    );
}

#[test]
fn credentials_are_sent_only_to_their_own_registry() {
    let authorizations = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&authorizations);
    let elsewhere = Faults::alone(move |request| {
        all.lock().unwrap().push(request.header("authorization").map(str::to_owned));
        Fault::status(404)
    });
    let target = elsewhere.address().to_owned();
    let faults = Faults::alone(move |request| match request.header("authorization") {
        Some(_) => Fault::header(307, "Location", format!("http://{target}/v2/")),
        None => Fault::header(401, "WWW-Authenticate", "Basic realm=\"x\""),
    });
    let client = Client::with(&login(faults.address(), USER));
    client.fault(faults.address(), "1");
    assert_eq!(*authorizations.lock().unwrap(), [None]);

    // Nothing is sent unencrypted over the network.
    let check = |script: fn(&ReceivedRequest) -> Fault| {
        let faults = Faults::alone(script);
        let client = Client::with(&login(faults.address(), USER));
        let error = error::text(&client.fault(faults.address(), "1"));
        assert!(error.contains("`example.invalid` must use HTTPS"), "{error}");
    };
    check(|_| Fault::header(302, "Location", "http://example.invalid/"));
    check(|_| {
        let challenge = "Bearer realm=\"http://example.invalid/token\"";
        Fault::header(401, "WWW-Authenticate", challenge)
    });
    let round = Faults::alone(|_| Fault::header(302, "Location", "/again"));
    let error = error::text(&Client::new().fault(round.address(), "1"));
    assert!(error.contains("too many redirects"), "{error}");
}

#[test]
fn refused_credentials_are_looked_up_again() {
    let Some(registry) = Registry::start() else { return };
    registry.push("a/b", "1", "one");
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("user:{secret}")));
    let check = |status: u16, with_token: bool| {
        let now = Arc::new(Mutex::new(basic("one")));
        let accepted = Arc::clone(&now);
        let faults = Faults::before(registry.address(), move |request| {
            let sent = request.header("authorization").unwrap_or_default();
            let accepted = accepted.lock().unwrap();
            let token = format!("Bearer {}", STANDARD.encode(&*accepted));
            let expected = if with_token { &token } else { &*accepted };
            let realm = format!("realm=\"http://{}/token\"", request.header("host").unwrap());
            match () {
                () if request.path.starts_with("/token") && sent == *accepted => {
                    Fault::json(200, &format!(r#"{{"token":"{}"}}"#, &token[7..]))
                }
                () if request.path.starts_with("/token") => Fault::status(status),
                () if sent == expected => Fault::Pass,
                () if with_token => {
                    Fault::header(401, "WWW-Authenticate", format!("Bearer {realm}"))
                }
                () if sent.is_empty() => {
                    Fault::header(401, "WWW-Authenticate", "Basic realm=\"x\"")
                }
                () => Fault::header(status, "WWW-Authenticate", "Basic realm=\"x\""),
            }
        });
        let write = |client: &Client, secret| {
            let config = login(faults.address(), ("user", secret));
            fs::write(client.directory.path().join("config.json"), config).unwrap();
        };
        let client = Client::new();
        write(&client, "one");
        assert!(client.digest(faults.address(), "1").unwrap().is_some());
        // The token of a cloud expires during a long build; its helper then returns another one.
        *now.lock().unwrap() = basic("two");
        write(&client, "two");
        assert!(client.digest(faults.address(), "1").unwrap().is_some(), "{status} {with_token}");
        // One that is refused although it was just looked up is not looked up each time.
        *now.lock().unwrap() = basic("three");
        faults.forget();
        let error = error::text(&client.fault(faults.address(), "1"));
        assert!(error.contains("denied") && error.contains("docker login"), "{error}");
        let first = faults.seen().len();
        client.fault(faults.address(), "1");
        assert!(faults.seen().len() <= 2 * first, "{:?}", faults.seen());
    };
    for status in [401, 403] {
        check(status, false);
        check(status, true);
    }
}
