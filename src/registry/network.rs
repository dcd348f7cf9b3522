//! Requests to hosts, with retries and redirects.
//!
//! Owns the connections to each host, the number of concurrent requests, the use of TLS, retries after transient
//! errors, and redirects. Its only credentials are those in a request. They are never sent to another host, nor
//! unencrypted over the network.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::base::error::{ErrorKind, InfrastructureError, permanent, transient};
use crate::base::screen::visible_path;
use crate::base::text::count;
use crate::base::waiting::{self, WaitError};

use super::RegistrySettings;
use super::address::{Address, is_loopback};
use super::error_response::error_text_in;
use super::http::{Client, HttpError, LONGEST, Method, Request, Response, TIMED_OUT, in_words};
use super::probe::speaks_tls;
use super::proxies::Proxies;
use super::request_limit::RequestLimit;
use super::retry::{LIMITED, PATIENCE, TOTAL, TRIES, chance, pause_after, retry_after};
use super::trust::Trust;

/// How long an unreachable host is not contacted again: other requests fail immediately with the same error.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// The maximum number of redirects.
const REDIRECTS: usize = 5;

/// All hosts that were contacted.
pub(super) struct Network {
    plain_http: Vec<String>,
    proxies: Proxies,
    trust: Trust,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    /// Whether hosts that may be used without TLS support it.
    tls: Mutex<HashMap<String, Arc<Mutex<Option<bool>>>>>,
    /// Unreachable hosts: when they were contacted, and the error.
    down: Mutex<HashMap<String, (Instant, InfrastructureError)>>,
}

/// One host with a scheme and a port.
struct Host {
    client: Client,
    limit: RequestLimit,
}

/// The result of one attempt.
enum AttemptOutcome {
    Answered(Response),
    /// A retry may succeed.
    Again {
        why: String,
        /// Whether there were too many requests.
        is_limited: bool,
        /// The pause that the host requested.
        delay: Option<Duration>,
    },
    /// There was no response.
    Broken(String),
    /// A signal interrupted the run.
    Interrupted,
}

impl Network {
    /// Creates the network, without connecting.
    pub(super) fn new(settings: &RegistrySettings) -> Network {
        Network {
            plain_http: settings.plain_http.clone(),
            proxies: settings.proxies.clone(),
            trust: Trust::new(settings.certificates.clone()),
            hosts: Mutex::default(),
            tls: Mutex::default(),
            down: Mutex::default(),
        }
    }

    /// Returns the URL of a path on a registry.
    ///
    /// # Errors
    /// Returns an error if the registry may be used without TLS and does not answer.
    pub(super) fn address(&self, authority: &str, path: String) -> anyhow::Result<Address> {
        let tls = !self.may_be_plain(authority) || self.speaks_tls(authority)?;
        Ok(Address { tls, authority: authority.to_owned(), path })
    }

    /// Returns whether a host may be used without TLS.
    fn may_be_plain(&self, authority: &str) -> bool {
        is_loopback(authority) || self.plain_http.iter().any(|listed| listed == authority)
    }

    /// Returns whether a host supports TLS. Only one thread checks; the others wait for the result.
    fn speaks_tls(&self, authority: &str) -> anyhow::Result<bool> {
        let support = {
            let mut all = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(authority.to_owned()).or_default())
        };
        let mut support = support.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(support) = *support {
            return Ok(support);
        }
        self.refuse_down(authority)?;
        let start = Instant::now();
        for attempt in 1.. {
            let (host, limit) = (authority.to_owned(), TOTAL.saturating_sub(start.elapsed()));
            let why = match waiting::wait(&to_respond(authority), limit, move || speaks_tls(&host))
            {
                Ok(Ok(speaks)) => {
                    *support = Some(speaks);
                    return Ok(speaks);
                }
                Ok(Err(error)) => in_words(&error),
                Err(WaitError::TimedOut) => TIMED_OUT.into(),
                Err(WaitError::Interrupted) => return Err(self.interrupted(authority)),
            };
            if attempt >= TRIES || start.elapsed() >= TOTAL {
                let hint = format!("check the connection: `curl -v http://{authority}/v2/`");
                return Err(self.goes_down(authority, &unreachable(&why, attempt), &hint));
            }
            self.pause(authority, &to_respond(authority), pause_after(attempt, chance()))?;
        }
        Ok(true)
    }

    /// Returns the error of a host that was just found to be unreachable.
    fn refuse_down(&self, authority: &str) -> anyhow::Result<()> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        match down.get(authority) {
            Some((since, error_text)) if since.elapsed() < LEFT_ALONE => {
                Err(error_text.clone().into())
            }
            _ => Ok(()),
        }
    }

    /// Records a host as unreachable, and returns the error.
    fn goes_down(&self, authority: &str, why: &str, hint: &str) -> anyhow::Error {
        let message = format!("`{authority}` {why}");
        let error = InfrastructureError::new(ErrorKind::Unreachable, message).hint(hint);
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.insert(authority.to_owned(), (Instant::now(), error.clone()));
        error.into()
    }

    /// Returns the error of a request that a signal interrupted. Requests that wait for the same host end with it.
    fn interrupted(&self, authority: &str) -> anyhow::Error {
        self.goes_down(authority, "was not waited for: interrupted", "run the command again")
    }

    /// Pauses before another request to a host. `what` is announced if the pause is long.
    fn pause(&self, authority: &str, what: &str, time: Duration) -> anyhow::Result<()> {
        waiting::pause(what, time).map_err(|_| self.interrupted(authority))
    }

    /// Sends a request, follows redirects, and retries after transient errors.
    ///
    /// # Errors
    /// Returns an error if there is no response, or only one that calls for a retry.
    pub(super) fn send(&self, mut request: Request) -> anyhow::Result<Response> {
        let first = request.address.clone();
        for _ in 0..=REDIRECTS {
            let response = self.request(&request)?;
            let follows = matches!(request.method, Method::GET | Method::HEAD)
                && matches!(response.status, 301 | 302 | 303 | 307 | 308);
            if !follows {
                return Ok(response);
            }
            let location = response.header("location").unwrap_or_default();
            let Some(next) = request.address.join(location) else {
                let host = &request.address.authority;
                return Err(odd_answer(host, "the redirect's location is not valid"));
            };
            if request.address.tls && !next.tls {
                let why = format!("it redirects from HTTPS to `{}`", next.origin());
                return Err(odd_answer(&request.address.authority, &why));
            }
            if !next.is_at(&request.address) {
                request.authorization = None;
            }
            request.address = next;
        }
        let last = request.address.origin();
        let why = format!("too many redirects (more than {REDIRECTS}, the last one to `{last}`)");
        Err(odd_answer(&first.authority, &why))
    }

    /// Sends a request to one host until it responds.
    fn request(&self, request: &Request) -> anyhow::Result<Response> {
        let host = &request.address.authority;
        if !request.address.tls && !self.may_be_plain(host) {
            let address = &request.address;
            let message =
                format!("`{host}` must use HTTPS, but the registry refers to `{address}`");
            return Err(permanent(message).hint("serve it over HTTPS").into());
        }
        let at = self.host(&request.address)?;
        let (mut took, mut granted) = (Duration::ZERO, Duration::ZERO);
        for attempt in 1.. {
            let (why, is_limited, delay) = match self.try_once(&at, request, &mut took)? {
                AttemptOutcome::Answered(response) => return Ok(response),
                AttemptOutcome::Interrupted => return Err(self.interrupted(host)),
                AttemptOutcome::Again { why, is_limited, delay } => (why, is_limited, delay),
                AttemptOutcome::Broken(why) if attempt >= TRIES || took >= TOTAL => {
                    let hint = reach_hint(&request.address);
                    return Err(self.goes_down(host, &unreachable(&why, attempt), &hint));
                }
                AttemptOutcome::Broken(why) => (why, false, None),
            };
            granted = granted.saturating_add(delay.unwrap_or_default());
            if let Some(delay) = delay.filter(|_| granted > PATIENCE) {
                let seconds = usize::try_from(delay.as_secs()).unwrap_or(usize::MAX);
                let seconds = count(seconds, "second");
                let message = format!("`{host}` {why}; retry after {seconds}");
                return Err(transient(message).hint(rate_hint(host)).into());
            }
            if attempt >= TRIES || took >= TOTAL {
                return Err(transient(format!("`{host}` {why} ({})", attempts(attempt)))
                    .hint(match is_limited {
                        true => rate_hint(host),
                        false => reach_hint(&request.address),
                    })
                    .into());
            }
            let pause = delay.unwrap_or_else(|| {
                let pause = pause_after(attempt, chance());
                let pause = if is_limited { pause * LIMITED } else { pause };
                took += pause;
                pause
            });
            let what = match is_limited {
                true => format!("`{host}`, which {why}"),
                false => to_respond(host),
            };
            self.pause(host, &what, pause)?;
        }
        Err(odd_answer(host, "no response"))
    }

    /// Sends a request once. Adds the time that it takes to `took`, without the time until it can be sent.
    fn try_once(
        &self,
        host: &Arc<Host>,
        request: &Request,
        took: &mut Duration,
    ) -> anyhow::Result<AttemptOutcome> {
        let name = &request.address.authority;
        let answer = {
            let _permit = host.limit.acquire();
            // The host may have turned out to be unreachable in the meantime.
            self.refuse_down(name)?;
            let (start, limit) = (Instant::now(), LONGEST.min(TOTAL.saturating_sub(*took)));
            let (host, request) = (Arc::clone(host), request.clone());
            let answer =
                waiting::wait(&to_respond(name), limit, move || host.client.exchange(&request));
            *took += start.elapsed();
            match answer {
                Ok(answer) => answer,
                Err(WaitError::TimedOut) => Err(HttpError::Transient(TIMED_OUT.into())),
                Err(WaitError::Interrupted) => return Ok(AttemptOutcome::Interrupted),
            }
        };
        self.outcome(answer, request)
    }

    /// Returns what follows from the result of an exchange.
    fn outcome(
        &self,
        answer: Result<Response, HttpError>,
        request: &Request,
    ) -> anyhow::Result<AttemptOutcome> {
        let name = &request.address.authority;
        match answer {
            Ok(response) if response.status == 429 || response.status >= 500 => {
                let header = response.header("retry-after");
                let delay = header.and_then(|value| retry_after(value, clock::now()));
                let error_text = error_text_in(&response.body).unwrap_or_default();
                let why = match response.status {
                    429 => format!("returned 429 Too Many Requests{error_text}"),
                    status => format!("returned {status}{error_text}"),
                };
                let is_limited = response.status == 429;
                Ok(AttemptOutcome::Again { why, is_limited, delay })
            }
            Ok(response) => Ok(AttemptOutcome::Answered(response)),
            Err(HttpError::Transient(why)) => Ok(AttemptOutcome::Broken(why.into_owned())),
            Err(HttpError::Untrusted(why)) => {
                let message = format!("the certificate of `{name}` is not trusted: {why}");
                let path = self.trust.certificate_path(name);
                let path = visible_path(&path);
                let hint =
                    format!("save its authority's certificate as `{path}`, or set SSL_CERT_FILE");
                Err(permanent(message).hint(hint).into())
            }
            Err(HttpError::Permanent(why)) => {
                Err(permanent(format!("request to `{name}` failed: {why}"))
                    .hint(reach_hint(&request.address))
                    .into())
            }
        }
    }

    fn host(&self, address: &Address) -> anyhow::Result<Arc<Host>> {
        let key = address.origin();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return Ok(Arc::clone(host));
        }
        // Reading the system's certificates takes a while, and hosts without TLS do not need them.
        let trusted = match address.tls {
            true => self.trust.for_host(&address.authority)?,
            false => Vec::new(),
        };
        let client = Client::new(&trusted, self.proxies.of(address), super::AT_ONCE);
        let client = client.map_err(|broken| match broken {
            HttpError::Transient(why) | HttpError::Untrusted(why) | HttpError::Permanent(why) => {
                permanent(why).hint(
                    "set HTTPS_PROXY and HTTP_PROXY to an address such as \
                     `http://proxy.example.com:3128`",
                )
            }
        })?;
        let host = Arc::new(Host { client, limit: RequestLimit::new(super::AT_ONCE) });
        hosts.insert(key, Arc::clone(&host));
        Ok(host)
    }
}

/// Returns what is announced while a host does not respond.
fn to_respond(host: &str) -> String {
    format!("`{host}` to respond")
}

fn attempts(attempt: u32) -> String {
    count(usize::try_from(attempt).unwrap_or(usize::MAX), "attempt")
}

fn unreachable(why: &str, attempt: u32) -> String {
    format!("is unreachable: {why} ({})", attempts(attempt))
}

fn reach_hint(address: &Address) -> String {
    format!("check the connection: `curl -v {}/v2/`", address.origin())
}

fn rate_hint(host: &str) -> String {
    format!("try again later, or raise the limit: `docker login {host}`")
}

/// Returns the error for a response that makes no sense.
pub(super) fn odd_answer(host: &str, why: &str) -> anyhow::Error {
    let scheme = if is_loopback(host) { "http" } else { "https" };
    permanent(format!("unexpected response from `{host}`: {why}"))
        .hint(format!("check that this is a registry: `curl -v {scheme}://{host}/v2/`"))
        .into()
}
