//! The hosts that are asked, and the patience with them.
//!
//! Owns the connections to each host, how many questions it gets at once, whether it is spoken to
//! through TLS, tries after faults that may pass, and redirects. It knows no credentials but those
//! that a request brings, and those never reach another host, nor the open network in the clear.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::clock;
use crate::base::error::{ErrorKind, InfrastructureError, permanent, transient};
use crate::base::screen::visible_path;
use crate::base::text::count;

use super::Settings;
use super::address::{Address, is_loopback};
use super::complaint::said_in;
use super::gate::Gate;
use super::http::{Broken, Client, Method, Request, Response, in_words};
use super::probe::speaks_tls;
use super::proxies::Proxies;
use super::retry::{PATIENCE, TRIES, chance, pause, pause_after, wanted};
use super::trust::Trust;

/// How long a host that was asked in vain is left alone: whoever asks meanwhile gets the same answer,
/// and need not find it out again.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// How often an answer may lead elsewhere.
const REDIRECTS: usize = 5;

/// All hosts that were asked.
pub(super) struct Network {
    plain_http: Vec<String>,
    proxies: Proxies,
    trust: Trust,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    /// Of hosts that may be spoken to without TLS: whether they are spoken to through it.
    tls: Mutex<HashMap<String, Arc<Mutex<Option<bool>>>>>,
    /// Hosts that were asked in vain: when, and what was said of it.
    down: Mutex<HashMap<String, (Instant, InfrastructureError)>>,
}

/// One host, by its scheme and port.
struct Host {
    client: Client,
    gate: Gate,
}

/// What became of one try.
enum Try {
    Answered(Response),
    /// Another may do better; after a pause, where the host said how long.
    Again(String, Option<Duration>),
    /// No answer came.
    Broken(String),
}

impl Network {
    /// Nothing is connected yet.
    pub(super) fn new(settings: &Settings) -> Network {
        Network {
            plain_http: settings.plain_http.clone(),
            proxies: settings.proxies.clone(),
            trust: Trust::new(settings.certificates.clone()),
            hosts: Mutex::default(),
            tls: Mutex::default(),
            down: Mutex::default(),
        }
    }

    /// The address of a path on a registry.
    ///
    /// # Errors
    /// Where the registry may be spoken to without TLS and nobody answers there.
    pub(super) fn address(&self, authority: &str, path: String) -> anyhow::Result<Address> {
        let tls = !self.may_be_plain(authority) || self.speaks_tls(authority)?;
        Ok(Address { tls, authority: authority.to_owned(), path })
    }

    /// Whether a host may be spoken to without TLS.
    fn may_be_plain(&self, authority: &str) -> bool {
        is_loopback(authority) || self.plain_http.iter().any(|listed| listed == authority)
    }

    /// Whether TLS is spoken there: asked once, by one while the others wait.
    fn speaks_tls(&self, authority: &str) -> anyhow::Result<bool> {
        let known = {
            let mut all = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(authority.to_owned()).or_default())
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        self.refuse_down(authority)?;
        for attempt in 1.. {
            match speaks_tls(authority) {
                Ok(speaks) => {
                    *known = Some(speaks);
                    return Ok(speaks);
                }
                Err(error) if attempt >= TRIES => {
                    let said = format!("can't be asked: {}", in_words(&error));
                    let hint = format!("`curl -v http://{authority}/v2/` shows what is in the way");
                    return Err(self.goes_down(authority, &said, &hint));
                }
                Err(_) => pause(pause_after(attempt, chance())),
            }
        }
        Ok(true)
    }

    /// The error of a host that was asked in vain just now.
    fn refuse_down(&self, authority: &str) -> anyhow::Result<()> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        match down.get(authority) {
            Some((since, said)) if since.elapsed() < LEFT_ALONE => Err(said.clone().into()),
            _ => Ok(()),
        }
    }

    /// The error of a host that was asked in vain.
    fn goes_down(&self, authority: &str, why: &str, hint: &str) -> anyhow::Error {
        let message = format!("`{authority}` {why}, {TRIES} times");
        let error = InfrastructureError::new(ErrorKind::Unreachable, message).hint(hint);
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.insert(authority.to_owned(), (Instant::now(), error.clone()));
        error.into()
    }

    /// Asks, also where the answer leads, and again after faults that may pass.
    ///
    /// # Errors
    /// Where no answer comes, or one that only another try might better.
    pub(super) fn send(&self, mut request: Request) -> anyhow::Result<Response> {
        for _ in 0..=REDIRECTS {
            let response = self.ask(&request)?;
            let follows = matches!(request.method, Method::GET | Method::HEAD)
                && matches!(response.status, 301 | 302 | 303 | 307 | 308);
            if !follows {
                return Ok(response);
            }
            let location = response.header("location").unwrap_or_default();
            let Some(next) = request.address.join(location) else {
                let host = &request.address.authority;
                return Err(odd_answer(host, "it leads to an address that can't be read"));
            };
            if request.address.tls && !next.tls {
                let why = format!("it leads from TLS to `{next}`");
                return Err(odd_answer(&request.address.authority, &why));
            }
            if !next.is_at(&request.address) {
                request.authorization = None;
            }
            request.address = next;
        }
        Err(odd_answer(&request.address.authority, "it leads in circles"))
    }

    /// Asks one host until it answers.
    fn ask(&self, request: &Request) -> anyhow::Result<Response> {
        let host = &request.address.authority;
        if !request.address.tls && !self.may_be_plain(host) {
            let address = &request.address;
            let message =
                format!("`{host}` is not spoken to without TLS, but `{address}` leads there");
            return Err(permanent(message).hint("let it answer by HTTPS").into());
        }
        self.refuse_down(host)?;
        let at = self.host(&request.address)?;
        for attempt in 1.. {
            let (why, wanted) = match self.try_once(&at, request)? {
                Try::Answered(response) => return Ok(response),
                Try::Again(why, wanted) => (why, wanted),
                Try::Broken(why) if attempt >= TRIES => {
                    let hint = reach_hint(&request.address);
                    return Err(self.goes_down(host, &why, &hint));
                }
                Try::Broken(why) => (why, None),
            };
            if let Some(wanted) = wanted.filter(|wanted| *wanted > PATIENCE) {
                let seconds = usize::try_from(wanted.as_secs()).unwrap_or(usize::MAX);
                let seconds = count(seconds, "second");
                let message = format!("`{host}` {why}, and wants to be left alone for {seconds}");
                return Err(transient(message).hint(rate_hint(host)).into());
            }
            if attempt >= TRIES {
                return Err(transient(format!("`{host}` {why}, {TRIES} times"))
                    .hint(match wanted {
                        Some(_) => rate_hint(host),
                        None => reach_hint(&request.address),
                    })
                    .into());
            }
            pause(wanted.unwrap_or_else(|| pause_after(attempt, chance())));
        }
        Err(odd_answer(host, "nothing came"))
    }

    fn try_once(&self, host: &Host, request: &Request) -> anyhow::Result<Try> {
        let name = &request.address.authority;
        let answer = {
            let _passed = host.gate.pass();
            host.client.exchange(request)
        };
        match answer {
            Ok(response) if response.status == 429 || response.status >= 500 => {
                let header = response.header("retry-after");
                let wanted = header.and_then(|value| wanted(value, clock::now()));
                let said = said_in(&response.body).unwrap_or_default();
                let why = match response.status {
                    429 => format!("gets too many questions (429){said}"),
                    status => format!("answers with {status}{said}"),
                };
                Ok(Try::Again(why, wanted))
            }
            Ok(response) => Ok(Try::Answered(response)),
            Err(Broken::Passing(why)) => Ok(Try::Broken(format!("can't be asked: {why}"))),
            Err(Broken::Untrusted(why)) => {
                let message = format!("the certificate of `{name}` is not trusted: {why}");
                let place = self.trust.place(name);
                let place = visible_path(&place);
                let hint = format!(
                    "put its authority's certificate into `{place}`, or name it in SSL_CERT_FILE"
                );
                Err(permanent(message).hint(hint).into())
            }
            Err(Broken::Lasting(why)) => Err(permanent(format!("`{name}` can't be asked: {why}"))
                .hint(reach_hint(&request.address))
                .into()),
        }
    }

    fn host(&self, address: &Address) -> anyhow::Result<Arc<Host>> {
        let key = address.origin();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return Ok(Arc::clone(host));
        }
        // Reading the system's certificates takes a while, and plain hosts show none.
        let trusted = match address.tls {
            true => self.trust.for_host(&address.authority)?,
            false => Vec::new(),
        };
        let client = Client::new(&trusted, self.proxies.of(address), super::AT_ONCE);
        let client = client.map_err(|broken| match broken {
            Broken::Passing(why) | Broken::Untrusted(why) | Broken::Lasting(why) => permanent(why)
                .hint(
                    "HTTPS_PROXY and HTTP_PROXY hold an address such as \
                     `http://proxy.example.com:3128`",
                ),
        })?;
        let host = Arc::new(Host { client, gate: Gate::new(super::AT_ONCE) });
        hosts.insert(key, Arc::clone(&host));
        Ok(host)
    }
}

fn reach_hint(address: &Address) -> String {
    format!("`curl -v {}/v2/` shows what is in the way", address.origin())
}

fn rate_hint(host: &str) -> String {
    format!("try again later; `docker login {host}` may raise what it allows")
}

/// An answer that makes no sense.
pub(super) fn odd_answer(host: &str, why: &str) -> anyhow::Error {
    permanent(format!("`{host}` does not answer as a registry does: {why}"))
        .hint(format!("`curl -v https://{host}/v2/` shows what is there"))
        .into()
}
