//! Trusted certificates.
//!
//! Owns the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` if they are set), and those that Docker keeps
//! per registry in `certs.d/HOST[:PORT]/*.crt` (docker, "Verify repository client with certificates"). It does not
//! verify connections.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::base::error::permanent;
use crate::base::screen::visible_path;
use crate::credentials::is_missing;

/// Docker's directory of registry certificates.
pub(super) const DIRECTORY: &str = "/etc/docker/certs.d";

/// The certificates of all trusted authorities.
pub(super) struct Trust {
    directory: PathBuf,
    system: OnceLock<Vec<CertificateDer<'static>>>,
}

impl Trust {
    /// Creates the set, without reading any files.
    pub(super) fn new(directory: Option<PathBuf>) -> Trust {
        let directory = directory.unwrap_or_else(|| PathBuf::from(DIRECTORY));
        Trust { directory, system: OnceLock::new() }
    }

    /// Returns the certificates to trust for a host.
    ///
    /// # Errors
    /// Returns an error if a certificate for this host exists, but cannot be read. Unreadable system certificates
    /// are skipped: if one of them is needed, the connection fails with an error.
    pub(super) fn for_host(&self, authority: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let system = self.system.get_or_init(|| rustls_native_certs::load_native_certs().certs);
        let mut all = self.of_docker(authority)?;
        all.extend(system.iter().cloned());
        Ok(all)
    }

    /// Returns the path of a certificate for a host.
    pub(super) fn certificate_path(&self, authority: &str) -> PathBuf {
        self.directory.join(authority).join("ca.crt")
    }

    fn of_docker(&self, authority: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let directory = self.directory.join(authority);
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(&directory, error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&directory, error))?.path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut found = Vec::new();
        for path in paths {
            let pem = fs::read(&path).map_err(|error| unreadable(&path, error))?;
            let read: Vec<_> = CertificateDer::pem_slice_iter(&pem)
                .collect::<Result<_, _>>()
                .map_err(|error| unreadable(&path, error))?;
            if read.is_empty() {
                return Err(unreadable(&path, "it contains no certificate"));
            }
            found.extend(read);
        }
        Ok(found)
    }
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> anyhow::Error {
    let hint = "make it readable; `.crt` files there must contain PEM certificates";
    permanent(format!("can't read `{}`: {why}", visible_path(path))).hint(hint).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_certificates_are_loaded_or_the_invalid_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let trust = Trust::new(Some(directory.path().to_owned()));
        assert_eq!(trust.of_docker("a.example.com:5000").unwrap().len(), 0);
        let host = directory.path().join("a.example.com:5000");
        fs::create_dir(&host).unwrap();
        fs::write(host.join("notes.txt"), "x").unwrap();
        assert_eq!(trust.of_docker("a.example.com:5000").unwrap().len(), 0);
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(host.join("ca.crt"), format!("{pem}{pem}")).unwrap();
        assert_eq!(trust.of_docker("a.example.com:5000").unwrap().len(), 2);
        assert_eq!(trust.of_docker("a.example.com").unwrap().len(), 0);
        let check = |text: &str, expected: &str| {
            fs::write(host.join("bad.crt"), text).unwrap();
            let error =
                crate::base::error::text(&trust.of_docker("a.example.com:5000").unwrap_err());
            assert!(error.contains("bad.crt`: ") && error.contains(expected), "{error}");
        };
        check("nothing", "it contains no certificate");
        check("-----BEGIN CERTIFICATE-----\n", "hint: make it readable");
        assert_eq!(trust.certificate_path("b"), directory.path().join("b/ca.crt"));
    }
}
