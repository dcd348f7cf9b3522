//! Registries: reading the images that they have, and moving tags.
//!
//! Owns the types for registries (`Remote`, `Manifest`, `RemoteImage`) and the requests. It neither uploads nor
//! downloads layers: the engine does that, with its own connections and cache. Calls block; several threads may
//! call at once.
//!
//! The protocol is that of the OCI Distribution Specification 1.1 ("Pulling manifests", "Pushing manifests") and of
//! Docker's token server (distribution, `docs/spec/auth/token`).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::error::{self, ErrorKind, InfrastructureError, denied, permanent};
use crate::base::{Platform, parallel};
use crate::credentials::CredentialStore;

mod address;
mod digest;
mod error_response;
mod http;
mod image;
mod login;
pub mod moves;
mod network;
mod probe;
mod proxies;
pub mod release_record;
mod request_limit;
mod retry;
mod tls;
mod trust;

pub use proxies::Proxies;

use address::{Address, authority_of};
use digest::{check_bytes, check_form, digest_of, is_digest};
use error_response::{error_text, error_text_in, has_errors, is_nothing};
use http::{Method, Request, Response};
use image::{Configuration, Descriptor, Document, ImageManifest};
use login::{Actions, Login, LoginContext};
use network::{Network, odd_answer};

/// The maximum number of concurrent requests to one registry; preparing more has no benefit.
pub const AT_ONCE: usize = 8;

/// The maximum size of a manifest in bytes: what registries allow (distribution, `manifests`).
const LONGEST_MANIFEST: usize = 4 << 20;

/// The maximum size of a configuration in bytes.
const LONGEST_CONFIGURATION: usize = 8 << 20;

/// A location in a registry: a repository, and a tag or a digest in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Remote {
    /// The registry as references name it, such as `docker.io` or `localhost:5000`.
    pub registry: String,
    /// The repository in the registry, such as `library/alpine`.
    pub repository: String,
    /// A tag, or a digest (`sha256:…`).
    pub version: String,
}

/// A manifest as the registry stores it: its digest is computed from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest of `bytes` (`sha256:…`).
    pub digest: String,
    /// The media type.
    pub media_type: String,
    /// The bytes of the manifest.
    pub bytes: Vec<u8>,
}

/// An image in a registry for one platform, as its manifest and configuration describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteImage {
    /// The digest by which it was found: that of its manifest, or of the index that contains it.
    pub digest: String,
    /// The digest of the configuration, which Docker's classic store uses as the ID.
    pub id: String,
    /// The platform that the image is for.
    pub platform: Platform,
    /// The digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<String>,
    /// The runtime configuration: the `config` object of the OCI image configuration.
    pub config: Value,
    /// The author; empty if there is none.
    pub author: String,
    /// The version of the operating system; only Windows images have one.
    pub os_version: String,
    /// The instruction that created each history entry, oldest first, in the builder's wording.
    pub history: Vec<String>,
    /// The compressed size of the layers in bytes.
    pub size: u64,
}

impl RemoteImage {
    /// Returns the labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.config["Labels"].as_object().into_iter().flatten();
        let texts = labels.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.into())));
        texts.collect()
    }

    /// Returns the `ONBUILD` triggers, which run at the start of a child's build.
    pub fn on_build(&self) -> Vec<String> {
        let triggers = self.config["OnBuild"].as_array().into_iter().flatten();
        triggers.filter_map(|trigger| Some(trigger.as_str()?.to_owned())).collect()
    }
}

/// How to connect to registries.
#[derive(Debug, Clone, Default)]
pub struct RegistrySettings {
    /// The directory of Docker's configuration, for credentials.
    pub docker_config: Option<PathBuf>,
    /// Registries to connect to without TLS, in addition to those on this machine.
    pub plain_http: Vec<String>,
    /// The directory of registry certificates, by `HOST[:PORT]/*.crt`; Docker's own directory by default.
    pub certificates: Option<PathBuf>,
    /// The proxies from the environment.
    pub proxies: Proxies,
}

/// A client for all registries. Connections and tokens are kept for its lifetime.
pub struct Registries {
    credentials: CredentialStore,
    network: Network,
    logins: Mutex<HashMap<String, Arc<Login>>>,
}

impl Registries {
    /// Creates the client, without connecting.
    pub fn new(settings: RegistrySettings) -> Registries {
        let network = Network::new(&settings);
        let credentials = CredentialStore::new(settings.docker_config);
        Registries { credentials, network, logins: Mutex::default() }
    }

    /// Returns the digest that a tag points to; `None` if it does not exist. Takes one `HEAD` request.
    ///
    /// # Errors
    /// Returns an error with a hint if the registry cannot be reached, or refuses.
    pub fn digest(&self, at: &Remote) -> anyhow::Result<Option<String>> {
        let response = self.request(Method::HEAD, at, "manifests", None)?;
        if response.status == 200
            && let Some(digest) = response.header("docker-content-digest")
        {
            check_form(digest, at)?;
            if is_digest(&at.version) && digest != at.version {
                let why = format!("it returned the digest {digest} for `{at}`");
                return Err(odd_answer(&at.registry, &why));
            }
            return Ok(Some(digest.to_owned()));
        }
        // The response to a `HEAD` request cannot contain the reason.
        Ok(self.manifest(at)?.map(|manifest| manifest.digest))
    }

    /// Returns the manifest at a location, verified against its digest; `None` if it does not exist.
    ///
    /// # Errors
    /// Returns the same errors as [`Registries::digest`], and an error if the bytes do not match their digest.
    pub fn manifest(&self, at: &Remote) -> anyhow::Result<Option<Manifest>> {
        if is_digest(&at.version) {
            check_form(&at.version, at)?;
        }
        let response = self.request(Method::GET, at, "manifests", None)?;
        match response.status {
            200 => {}
            404 if is_nothing(&response) => return Ok(None),
            _ => return Err(refusal(at, &response)),
        }
        let digest = digest_of(&response.body);
        let named = response.header("docker-content-digest");
        for expected in named.into_iter().chain(Some(&*at.version).filter(|name| is_digest(name))) {
            check_bytes(&response.body, expected, at)?;
        }
        let media_type = response.header("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim().to_lowercase();
        if !image::is_manifest(&response.body) {
            let media_type = if media_type.is_empty() { "no media type" } else { &media_type };
            let why = format!("the response for `{at}` is not a manifest ({media_type})");
            return Err(odd_answer(&at.registry, &why));
        }
        Ok(Some(Manifest { digest, media_type, bytes: response.body }))
    }

    /// Returns the image at a location for a platform (`linux/amd64`); `None` if there is none, or none for that
    /// platform. Takes two requests per image, or three with an index.
    ///
    /// # Errors
    /// Returns the same errors as [`Registries::manifest`], and an error if the location does not contain an image.
    pub fn image(&self, at: &Remote, target: &Platform) -> anyhow::Result<Option<RemoteImage>> {
        let Some(manifest) = self.manifest(at)? else { return Ok(None) };
        let digest = manifest.digest.clone();
        let Some(image) = self.image_manifest(at, &manifest, target)? else { return Ok(None) };
        let mut configuration = self.configuration(at, &image)?;
        let mut platform = configuration.platform();
        if platform.is_blank() {
            platform = target.clone();
        } else if platform.fits(target).is_none() {
            return Ok(None);
        }
        Ok(Some(RemoteImage {
            digest,
            platform,
            diff_ids: configuration.diff_ids(),
            history: configuration.history(),
            author: configuration.author.unwrap_or_default(),
            os_version: configuration.os_version.unwrap_or_default(),
            config: configuration.config,
            size: image.size,
            id: image.config.digest,
        }))
    }

    /// Returns the manifest of an image for a platform: a manifest itself, or one of an index.
    fn image_manifest(
        &self,
        at: &Remote,
        manifest: &Manifest,
        target: &Platform,
    ) -> anyhow::Result<Option<ImageManifest>> {
        let entries = match read(at, manifest)? {
            Document::Image(image) => return Ok(Some(image)),
            Document::Index(entries) => entries,
        };
        let Some(entry) = image::choose(&entries, target) else { return Ok(None) };
        let part = Remote { version: entry.digest.clone(), ..at.clone() };
        let Some(manifest) = self.manifest(&part)? else {
            return Err(no_image(at, "its index refers to a missing manifest"));
        };
        let Document::Image(image) = read(&part, &manifest)? else {
            return Err(no_image(at, "its index refers to another index"));
        };
        Ok(Some(image))
    }

    /// Returns whether a registry has all parts of an image. Takes one request per layer.
    ///
    /// # Errors
    /// Returns an error if the registry cannot be reached, or refuses.
    pub fn is_complete(&self, at: &Remote, platform: &Platform) -> anyhow::Result<bool> {
        let Some(manifest) = self.manifest(at)? else { return Ok(false) };
        let image = match self.image_manifest(at, &manifest, platform) {
            Ok(Some(image)) => image,
            Err(error) if error::kind(&error) != ErrorKind::Corrupt => return Err(error),
            _ => return Ok(false),
        };
        let blobs: Vec<&Descriptor> = image.layers.iter().chain([&image.config]).collect();
        let found = parallel::each(&blobs, AT_ONCE, |blob| {
            let at = Remote { version: blob.digest.clone(), ..at.clone() };
            let response = self.request(Method::HEAD, &at, "blobs", None)?;
            match response.status {
                200..=399 => Ok(true),
                404 => Ok(false),
                _ => Err(refusal(&at, &response)),
            }
        });
        Ok(!found.into_iter().collect::<anyhow::Result<Vec<bool>>>()?.contains(&false))
    }

    /// Pushes a manifest to a tag. Everything that the manifest refers to must be in the repository.
    ///
    /// # Errors
    /// Returns the same errors as [`Registries::digest`].
    pub fn put(&self, at: &Remote, manifest: &Manifest) -> anyhow::Result<()> {
        let content = (manifest.media_type.clone().into(), manifest.bytes.clone());
        let response = self.request(Method::PUT, at, "manifests", Some(content))?;
        if !matches!(response.status, 200..=202) {
            return Err(refusal(at, &response));
        }
        match response.header("docker-content-digest") {
            Some(digest) if digest != manifest.digest => {
                let why = format!("it returned the digest {digest} for {}", manifest.digest);
                Err(odd_answer(&at.registry, &why))
            }
            _ => Ok(()),
        }
    }

    /// Removes a tag, but not the image that it points to (OCI Distribution Specification, "Deleting tags").
    ///
    /// # Errors
    /// Returns the same errors as [`Registries::digest`], and an error if the registry cannot remove tags.
    pub fn remove_tag(&self, at: &Remote) -> anyhow::Result<()> {
        let response = self.request(Method::DELETE, at, "manifests", None)?;
        match response.status {
            200..=204 | 404 => Ok(()),
            _ => Err(refusal(at, &response)),
        }
    }

    /// Returns the configuration that a manifest names.
    fn configuration(&self, at: &Remote, image: &ImageManifest) -> anyhow::Result<Configuration> {
        let Descriptor { digest, size, .. } = &image.config;
        if usize::try_from(*size).map_or(true, |size| size > LONGEST_CONFIGURATION) {
            let why = format!("its configuration exceeds {LONGEST_CONFIGURATION} bytes");
            return Err(no_image(at, &why));
        }
        check_form(digest, at)?;
        let blob = Remote { version: digest.clone(), ..at.clone() };
        let response = self.request(Method::GET, &blob, "blobs", None)?;
        match response.status {
            200 => check_bytes(&response.body, digest, &blob)?,
            404 => return Err(no_image(at, "its configuration is missing")),
            _ => return Err(refusal(at, &response)),
        }
        Configuration::read(&response.body, image.layers.len()).map_err(|why| no_image(at, &why))
    }

    /// Sends a request about a repository, and authenticates if required.
    fn request(
        &self,
        method: Method,
        at: &Remote,
        kind: &str,
        content: Option<(Cow<'static, str>, Vec<u8>)>,
    ) -> anyhow::Result<Response> {
        let actions = match method {
            Method::GET | Method::HEAD => Actions::Pull,
            _ => Actions::PullAndPush,
        };
        let login = self.login(&at.registry);
        let context = LoginContext { network: &self.network, credentials: &self.credentials };
        let accept = match kind {
            "manifests" => Some([image::MANIFESTS, image::INDEXES].concat().join(", ").into()),
            _ => None,
        };
        let most = if kind == "blobs" { LONGEST_CONFIGURATION } else { LONGEST_MANIFEST };
        let address = self.address(at, kind)?;
        let request = Request { method, address, authorization: None, accept, content, most };
        let before = login.lookups();
        let mut response = self.authorized(&request, &login, &at.repository, actions)?;
        let is_refused = |response: &Response| matches!(response.status, 401 | 403);
        if is_refused(&response) && login.renew_credential(before, context) {
            response = self.authorized(&request, &login, &at.repository, actions)?;
            if is_refused(&response) {
                login.give_up();
            }
        }
        match response.status {
            401 => Err(login.refused(&at.repository, &error_text(&response))),
            _ => Ok(response),
        }
    }

    /// Sends a request with the authorization that the registry requires.
    fn authorized(
        &self,
        request: &Request,
        login: &Login,
        repository: &str,
        actions: Actions,
    ) -> anyhow::Result<Response> {
        let context = LoginContext { network: &self.network, credentials: &self.credentials };
        let authorization = login.ahead(repository, actions, context)?;
        let mut request = Request { authorization, ..request.clone() };
        let response = self.network.send(request.clone())?;
        if response.status != 401 {
            return Ok(response);
        }
        let refused = request.authorization.take();
        let fresh = login.answer(&response, refused.as_deref(), repository, actions, context)?;
        if refused.as_deref() == Some(fresh.as_str()) {
            return Ok(response);
        }
        request.authorization = Some(fresh);
        self.network.send(request)
    }

    fn address(&self, at: &Remote, kind: &str) -> anyhow::Result<Address> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:+=".contains(c);
        let is_whole = !at.repository.is_empty() && !at.version.is_empty();
        if !is_whole || ![&at.repository, &at.version].iter().all(|part| part.chars().all(is_plain))
        {
            return Err(permanent(format!("`{at}` is not a valid reference"))
                .hint("correct the name")
                .into());
        }
        let path = format!("/v2/{}/{kind}/{}", at.repository, at.version);
        self.network.address(authority_of(&at.registry), path)
    }

    fn login(&self, registry: &str) -> Arc<Login> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let login =
            logins.entry(registry.to_owned()).or_insert_with(|| Arc::new(Login::new(registry)));
        Arc::clone(login)
    }
}

impl Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joint = if is_digest(&self.version) { '@' } else { ':' };
        write!(f, "{}/{}{joint}{}", self.registry, self.repository, self.version)
    }
}

fn read(at: &Remote, manifest: &Manifest) -> anyhow::Result<Document> {
    image::read_document(&manifest.media_type, &manifest.bytes).map_err(|why| no_image(at, &why))
}

fn no_image(at: &Remote, why: &str) -> anyhow::Error {
    InfrastructureError::new(ErrorKind::Corrupt, format!("`{at}` is not a valid image: {why}"))
        .hint("correct the name, or push the image again")
        .into()
}

/// Returns the error for an unexpected response.
fn refusal(at: &Remote, response: &Response) -> anyhow::Error {
    let Remote { registry, repository, .. } = at;
    match response.status {
        403 => denied(format!(
            "access to `{repository}` on `{registry}` was denied{}",
            error_text(response)
        ))
        .hint(format!("run `docker login {registry}` with an account that has access"))
        .into(),
        404 if !has_errors(response) => odd_answer(registry, &format!("404 for `{at}`")),
        status => permanent(format!(
            "`{registry}` rejected the request for `{at}` with {status}{}",
            error_text_in(&response.body).unwrap_or_default()
        ))
        .hint("correct the name, or contact the registry's operator")
        .into(),
    }
}
