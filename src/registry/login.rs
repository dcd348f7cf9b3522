//! Authentication with one registry.
//!
//! Owns the parsing of challenges, the credentials of one registry, and its tokens with their expiry times. Nothing
//! is sent before the registry requests it; from then on, it is sent with every request. Messages never contain
//! secrets.
//!
//! Sources: RFC 7617 (Basic), and distribution, `docs/spec/auth/token` and `docs/spec/auth/oauth` (tokens; identity
//! tokens are exchanged by `POST`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_auth::ChallengeParser;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::base::error::{ErrorKind, InfrastructureError, denied, permanent};
use crate::credentials::{Credential, CredentialStore};

use super::address::Address;
use super::http::{Method, Request, Response};
use super::network::{Network, odd_answer};

/// The lifetime of a token in seconds if its server does not specify one.
const LIFE: u64 = 60;

/// How long before its expiry a token is no longer used: it must still be valid on arrival.
const MARGIN: Duration = Duration::from_secs(5);

/// The maximum size of a token server's response in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// The actions to perform in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Actions {
    Pull,
    PullAndPush,
}

impl Actions {
    fn name(self) -> &'static str {
        match self {
            Actions::Pull => "pull",
            Actions::PullAndPush => "pull,push",
        }
    }
}

/// How a registry requests authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// The token for one repository and set of actions.
struct CachedToken {
    token: Option<(String, Instant)>,
    /// The scope that the registry requested, or the default one.
    scope: String,
}

impl CachedToken {
    /// Returns the token, unless it has expired or was refused.
    fn valid(&self, refused: Option<&str>) -> Option<String> {
        let (token, end) = self.token.as_ref()?;
        (Some(token.as_str()) != refused && Instant::now() < *end).then(|| token.clone())
    }
}

/// The credential of a registry. It is looked up when it is first needed, and again only if it is refused, because
/// helpers are slow.
#[derive(Default)]
struct CachedCredential {
    found: Option<Result<Option<Credential>, InfrastructureError>>,
    /// How often it was looked up.
    lookups: usize,
    /// Whether looking it up again would not help.
    is_final: bool,
}

impl CachedCredential {
    /// Returns the credential, which is looked up if it is not known.
    fn get(
        &mut self,
        registry: &str,
        credentials: &CredentialStore,
    ) -> &Result<Option<Credential>, InfrastructureError> {
        self.found.get_or_insert_with(|| {
            self.lookups += 1;
            let found = credentials.lookup(registry);
            found.map_err(|error| InfrastructureError::restate(ErrorKind::Permanent, &error))
        })
    }
}

type TokenScope = (String, Actions);

/// The state of the authentication with one registry.
#[derive(Default)]
pub(super) struct Login {
    registry: String,
    challenge: Mutex<Option<Challenge>>,
    credential: Mutex<CachedCredential>,
    tokens: Mutex<HashMap<TokenScope, Arc<Mutex<CachedToken>>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenAnswer {
    token: String,
    access_token: String,
    expires_in: Option<u64>,
}

/// What authentication requires: the network and the credentials.
#[derive(Clone, Copy)]
pub(super) struct LoginContext<'a> {
    pub(super) network: &'a Network,
    pub(super) credentials: &'a CredentialStore,
}

impl Login {
    /// Creates the initial state. `registry` is its name in references.
    pub(super) fn new(registry: &str) -> Login {
        Login { registry: registry.to_owned(), ..Login::default() }
    }

    /// Returns the authorization to send with a request, if the registry has requested one before.
    ///
    /// # Errors
    /// Returns an error if the credentials or a token cannot be obtained.
    pub(super) fn ahead(
        &self,
        repository: &str,
        actions: Actions,
        context: LoginContext<'_>,
    ) -> anyhow::Result<Option<String>> {
        let challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => self.basic(context).map(Some),
            Some(Challenge::Bearer { realm, service, .. }) => {
                let cached = self.cached_token(repository, actions);
                let mut cached = cached.lock().unwrap_or_else(PoisonError::into_inner);
                match cached.valid(None) {
                    Some(token) => Ok(Some(token)),
                    None => {
                        self.renew(&mut cached, (&realm, service.as_deref()), context).map(Some)
                    }
                }
            }
        }
    }

    /// Returns the authorization to send after the registry has refused `refused`; its response says what it
    /// requires.
    ///
    /// # Errors
    /// Returns an error if the credentials are missing, or if the required scheme is unknown.
    pub(super) fn answer(
        &self,
        response: &Response,
        refused: Option<&str>,
        repository: &str,
        actions: Actions,
        context: LoginContext<'_>,
    ) -> anyhow::Result<String> {
        let Some(challenge) = read_challenges(&response.headers("www-authenticate")) else {
            let why = match response.header("www-authenticate") {
                None => "401 without a `WWW-Authenticate` header",
                Some(_) => "unsupported authentication scheme",
            };
            return Err(odd_answer(&self.registry, why));
        };
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge.clone());
        let Challenge::Bearer { realm, service, scope } = challenge else {
            return self.basic(context);
        };
        let cached = self.cached_token(repository, actions);
        let mut cached = cached.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may already have obtained a token.
        if let Some(token) = cached.valid(refused) {
            return Ok(token);
        }
        let scope = scope.filter(|scope| !scope.is_empty());
        cached.scope = scope.unwrap_or_else(|| scope_of(repository, actions));
        self.renew(&mut cached, (&realm, service.as_deref()), context)
    }

    /// Replaces a cached token by another one.
    fn renew(
        &self,
        cached: &mut CachedToken,
        (realm, service): (&str, Option<&str>),
        context: LoginContext<'_>,
    ) -> anyhow::Result<String> {
        let (token, end) = self.fetch(realm, service, &cached.scope, context)?;
        cached.token = Some((token.clone(), end));
        Ok(token)
    }

    /// Returns the error for a registry that refuses the authorization.
    pub(super) fn refused(&self, repository: &str, error_text: &str) -> anyhow::Error {
        let registry = &self.registry;
        denied(format!("access to `{repository}` on `{registry}` was denied{error_text}"))
            .hint(format!(
                "run `docker login {registry}` with an account that has access, or correct the name"
            ))
            .into()
    }

    fn cached_token(&self, repository: &str, actions: Actions) -> Arc<Mutex<CachedToken>> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = tokens.entry((repository.to_owned(), actions)).or_insert_with(|| {
            let scope = scope_of(repository, actions);
            Arc::new(Mutex::new(CachedToken { token: None, scope }))
        });
        Arc::clone(cached)
    }

    fn credential(&self, context: LoginContext<'_>) -> anyhow::Result<Option<Credential>> {
        let mut cached = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(cached.get(&self.registry, context.credentials).clone()?)
    }

    /// Returns how often the credential was looked up so far.
    pub(super) fn lookups(&self) -> usize {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).lookups
    }

    /// Looks up the credential again after a request with it was refused: the tokens of clouds expire during a
    /// long run. Returns whether it is another one. `before` is the number of lookups before the request: a
    /// credential that was looked up for it is not looked up again.
    pub(super) fn renew_credential(&self, before: usize, context: LoginContext<'_>) -> bool {
        let mut cached = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        if before == 0 || cached.lookups > before || cached.is_final {
            // Another thread may have looked it up in the meantime.
            return before > 0 && cached.lookups > before;
        }
        let Some(Ok(Some(refused))) = cached.found.take() else { return false };
        let found = cached.get(&self.registry, context.credentials).as_ref();
        let is_new = found.is_ok_and(|it| it.as_ref().is_some_and(|it| *it != refused));
        cached.is_final = !is_new;
        drop(cached);
        if is_new {
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        is_new
    }

    /// Records that a credential was refused although it had just been looked up.
    pub(super) fn give_up(&self) {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).is_final = true;
    }

    fn basic(&self, context: LoginContext<'_>) -> anyhow::Result<String> {
        match self.credential(context)? {
            Some(credential) if !credential.username.is_empty() => Ok(basic_of(&credential)),
            // Only a token server accepts an identity token.
            _ => Err(permanent(format!("`{}` requires a username and password", self.registry))
                .hint(format!("run `docker login {}`", self.registry))
                .into()),
        }
    }

    /// Obtains a token, and returns it with its expiry time.
    fn fetch(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        context: LoginContext<'_>,
    ) -> anyhow::Result<(String, Instant)> {
        let why = "the address of its token server is not valid";
        let address = Address::parse(realm).ok_or_else(|| odd_answer(&self.registry, why))?;
        let host = address.authority.clone();
        let send = || -> anyhow::Result<_> {
            let credential = self.credential(context)?;
            let request = token_request(address.clone(), service, scope, credential.as_ref());
            let start = Instant::now();
            Ok((context.network.send(request)?, start))
        };
        let before = self.lookups();
        let (mut response, mut start) = send()?;
        if is_denied(&response) && self.renew_credential(before, context) {
            (response, start) = send()?;
        }
        self.read_token(&response, &host, start)
    }

    fn read_token(
        &self,
        response: &Response,
        host: &str,
        start: Instant,
    ) -> anyhow::Result<(String, Instant)> {
        match response.status {
            200 => {}
            _ if is_denied(response) => {
                let who = if host == self.registry { "" } else { &format!(" by `{host}`") };
                let (registry, status) = (&self.registry, response.status);
                return Err(permanent(format!("login to `{registry}` was denied{who} ({status})"))
                    .hint(format!("run `docker login {registry}`"))
                    .into());
            }
            status => {
                return Err(odd_answer(host, &format!("{status} for a token request")));
            }
        }
        let answer: Option<TokenAnswer> = serde_json::from_slice(&response.body).ok();
        let unreadable = || odd_answer(host, "no token for a token request");
        let answer = answer.ok_or_else(unreadable)?;
        let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(unreadable());
        }
        let life = Duration::from_secs(answer.expires_in.unwrap_or(LIFE).min(24 * 3600));
        let end = start + life.saturating_sub(MARGIN.min(life / 2));
        Ok((format!("Bearer {token}"), end))
    }
}

/// Returns whether a token server refused the credential.
fn is_denied(response: &Response) -> bool {
    matches!(response.status, 400 | 401 | 403)
}

/// Returns the request for a token. A registry may require several scopes, separated by spaces.
fn token_request(
    mut address: Address,
    service: Option<&str>,
    scope: &str,
    credential: Option<&Credential>,
) -> Request {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    fields.extend(service.map(|service| ("service", service)));
    let (mut method, mut content, mut authorization) = (Method::GET, None, None);
    if let Some(identity) = credential.filter(|credential| credential.username.is_empty()) {
        method = Method::POST;
        fields.extend([
            ("grant_type", "refresh_token"),
            ("client_id", "layers"),
            ("scope", scope),
            ("refresh_token", &identity.secret),
        ]);
        let form = form_of(&fields).into_bytes();
        content = Some(("application/x-www-form-urlencoded".into(), form));
    } else {
        let scopes = scope.split(' ').filter(|scope| !scope.is_empty());
        fields.extend(scopes.map(|scope| ("scope", scope)));
        if let Some(credential) = credential {
            fields.extend([("account", credential.username.as_str()), ("client_id", "layers")]);
            authorization = Some(basic_of(credential));
        }
        let joint = if address.path.contains('?') { '&' } else { '?' };
        address.path = format!("{}{joint}{}", address.path, form_of(&fields));
    }
    let accept = Some("application/json".into());
    Request { method, address, authorization, accept, content, most: LONGEST_ANSWER }
}

fn basic_of(credential: &Credential) -> String {
    let pair = format!("{}:{}", credential.username, credential.secret);
    format!("Basic {}", STANDARD.encode(pair))
}

fn scope_of(repository: &str, actions: Actions) -> String {
    format!("repository:{repository}:{}", actions.name())
}

/// Returns the preferred challenge of those that a registry offers: a token rather than a password.
fn read_challenges(headers: &[&str]) -> Option<Challenge> {
    let mut found = None;
    for challenge in headers.iter().flat_map(|header| ChallengeParser::new(header)).flatten() {
        let value = |name: &str| {
            let of_name = |(key, _): &&(&str, _)| key.eq_ignore_ascii_case(name);
            challenge.params.iter().find(of_name).map(|(_, value)| value.to_unescaped())
        };
        if challenge.scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = value("realm")
        {
            let (service, scope) = (value("service"), value("scope"));
            return Some(Challenge::Bearer { realm, service, scope });
        }
        if challenge.scheme.eq_ignore_ascii_case("basic") {
            found = Some(Challenge::Basic);
        }
    }
    found
}

/// The characters to escape in a form or a query (RFC 3986, 2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes fields for a form or a query.
fn form_of(fields: &[(&str, &str)]) -> String {
    let escape = |text| utf8_percent_encode(text, ESCAPED);
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_challenges_are_parsed() {
        let check = |headers: &[&str], expected: Option<Challenge>| {
            assert_eq!(read_challenges(headers), expected, "{headers:?}");
        };
        let bearer = |service: Option<&str>, scope: Option<&str>| {
            let (service, scope) = (service.map(str::to_owned), scope.map(str::to_owned));
            Some(Challenge::Bearer { realm: "https://a.example.com/token".into(), service, scope })
        };
        let realm = r#"realm="https://a.example.com/token""#;
        check(&[&format!("Bearer {realm}")], bearer(None, None));
        check(
            &[&format!(r#"bearer {realm},service="x y",scope="repository:a/b:pull,push""#)],
            bearer(Some("x y"), Some("repository:a/b:pull,push")),
        );
        check(&[r#"Basic realm="x""#], Some(Challenge::Basic));
        check(&[r#"Basic realm="x""#, &format!("Bearer {realm}")], bearer(None, None));
        check(&[&format!(r#"Basic realm="x", Bearer {realm}"#)], bearer(None, None));
        check(&["Negotiate"], None);
        check(&["Bearer service=\"x\""], None);
        check(&[], None);
    }

    #[test]
    fn form_values_are_percent_encoded() {
        let form = form_of(&[("a", "x&y=z +"), ("b", "ä-._~")]);
        assert_eq!(form, "a=x%26y%3Dz%20%2B&b=%C3%A4-._~");
        assert_eq!(scope_of("a/b", Actions::PullAndPush), "repository:a/b:pull,push");
    }
}
