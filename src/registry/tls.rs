//! TLS connections to registries.
//!
//! Owns which certificates of servers are accepted: those that a trusted authority has issued, and those that are
//! trusted themselves. A self-signed certificate is often its own authority (`openssl req -x509` makes it one), which
//! webpki rejects and Go, and so docker, accepts (`crypto/x509`, `Certificate.Verify`).

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore,
    SignatureScheme, StreamOwned,
};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

/// Connects with TLS where the URL requires it.
pub(super) struct TlsConnector {
    config: Arc<ClientConfig>,
}

impl TlsConnector {
    /// Creates a connector that trusts these certificates.
    ///
    /// # Errors
    /// Returns an error if the TLS versions are not supported, which does not happen with this provider.
    pub(super) fn new(trusted: &[CertificateDer<'static>]) -> Result<TlsConnector, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(HostVerifier::new(trusted, &provider));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(TlsConnector { config: Arc::new(config) })
    }
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let name = ServerName::try_from(super::address::host_of(host).to_owned())
            .map_err(|_| ureq::Error::Tls("the host's name is not valid"))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.config), name)?;
        let mut socket = TransportAdapter::new(
            Box::new(transport) as Box<dyn Transport>,
            Arc::clone(&details.current_time),
        );
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let sizes = (details.config.input_buffer_size(), details.config.output_buffer_size());
        let buffers = LazyBuffers::new(sizes.0, sizes.1);
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned::new(connection, socket) })))
    }
}

/// A connection with TLS.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let TlsTransport { buffers, stream } = self;
        stream.sock.set_timeout(timeout);
        let output = buffers.output().get(..amount).unwrap_or_default();
        stream.write_all(output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let TlsTransport { buffers, stream } = self;
        stream.sock.set_timeout(timeout);
        let count = stream.read(buffers.input_append_buf())?;
        buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// Verifies the certificate of a server.
#[derive(Debug)]
struct HostVerifier {
    trusted: Vec<CertificateDer<'static>>,
    /// Verifies what an authority has issued; `None` if no certificate is trusted.
    issued: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl HostVerifier {
    fn new(trusted: &[CertificateDer<'static>], provider: &Arc<CryptoProvider>) -> HostVerifier {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let issued =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        HostVerifier {
            trusted: trusted.to_vec(),
            issued: issued.build().ok(),
            provider: Arc::clone(provider),
        }
    }
}

/// Returns whether a certificate was rejected only because it is an authority's. webpki checks its dates before.
fn is_of_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

impl ServerCertVerifier for HostVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let issued = self.issued.as_ref().ok_or_else(|| unknown.clone())?;
        match issued.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
            Err(error) if !is_of_authority(&error) => Err(error),
            Err(_) if !self.trusted.contains(end_entity) => Err(unknown),
            Err(_) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;

    use super::*;
    use crate::process::{self, ProgramCommand};

    /// Makes a self-signed certificate for `localhost`.
    fn make_certificate(
        directory: &Path,
        name: &str,
        is_authority: &str,
    ) -> CertificateDer<'static> {
        let path = directory.join(name);
        let subject = format!("/CN={name}");
        let constraints = format!("basicConstraints=critical,CA:{is_authority}");
        let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
             -keyout /dev/null -addext subjectAltName=DNS:localhost -addext";
        let mut arguments: Vec<&OsStr> = words.split_whitespace().map(OsStr::new).collect();
        arguments.extend([&constraints, "-subj", &subject, "-out"].map(OsStr::new));
        arguments.push(path.as_os_str());
        let made = process::run(ProgramCommand {
            program: "openssl",
            arguments: &arguments,
            variables: &[],
            stdin: None,
            most: 1 << 20,
            get: "install openssl",
            limit: None,
        });
        let made = made.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        CertificateDer::from_pem_file(path).unwrap()
    }

    #[test]
    fn certificates_that_are_their_own_authority_are_accepted_if_they_are_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // The certificates are made in the meantime, and are not valid before.
        let now = UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + 60));
        let check = |trusted: &[&CertificateDer<'static>],
                     shown: &CertificateDer<'_>,
                     name: &str,
                     at: UnixTime,
                     expected: &str| {
            let trusted: Vec<_> = trusted.iter().map(|it| (*it).clone()).collect();
            let verifier = HostVerifier::new(&trusted, &provider);
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let result = verifier.verify_server_cert(shown, &[], &name, &[], at);
            let text = result.map_or_else(|error| format!("{error:?}"), |_| "accepted".to_owned());
            assert!(text.contains(expected), "{text}");
        };
        for is_authority in ["TRUE", "FALSE"] {
            let own = make_certificate(directory.path(), "own", is_authority);
            let other = make_certificate(directory.path(), "other", is_authority);
            check(&[&other, &own], &own, "localhost", now, "accepted");
            check(&[&own], &own, "example.com", now, "NotValidForName");
            let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() + 3 * 86_400));
            check(&[&own], &own, "localhost", later, "Expired");
            let early = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() - 86_400));
            check(&[&own], &own, "localhost", early, "NotValidYet");
            check(&[&other], &own, "localhost", now, "UnknownIssuer");
            check(&[], &own, "localhost", now, "UnknownIssuer");
        }
    }
}
