//! Proxies for builds, from Docker's configuration.
//!
//! Owns the interpretation of `proxies` in `config.json`, and the resulting build arguments: those of Docker's own
//! `ParseProxyConfig` (docker/cli, `cli/config/configfile`), with names in both upper and lower case. A proxy that
//! is set in another way takes precedence, in either case: BuildKit uses only one of the two. URLs may contain
//! passwords, so messages never contain them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::read_json;

/// The key of the proxies for engines without an entry of their own.
const DEFAULT: &str = "default";

/// All build arguments for proxies, in upper case.
const NAMES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY"];

/// The proxies of one engine; none by default. Cheap enough to clone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BuildProxies {
    /// The values by the upper-case names of their arguments.
    values: BTreeMap<&'static str, String>,
}

impl fmt::Debug for BuildProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BuildProxies(…)")
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProxiesConfig {
    proxies: Option<HashMap<String, ProxySettings>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProxySettings {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    ftp_proxy: String,
    all_proxy: String,
}

impl BuildProxies {
    /// Reads the proxies of the engine at an address such as `unix:///var/run/docker.sock` from `config.json` in
    /// this directory; without a directory, there are none.
    ///
    /// # Errors
    /// Returns an error with a hint if the configuration cannot be read.
    pub fn read(directory: Option<&Path>, address: &str) -> anyhow::Result<BuildProxies> {
        let Some(directory) = directory else { return Ok(BuildProxies::default()) };
        let config: Option<ProxiesConfig> = read_json(&directory.join("config.json"))?;
        let mut entries = config.and_then(|config| config.proxies).unwrap_or_default();
        let entry = entries.remove(address).or_else(|| entries.remove(DEFAULT));
        let ProxySettings { http_proxy, https_proxy, no_proxy, ftp_proxy, all_proxy } =
            entry.unwrap_or_default();
        let values = [http_proxy, https_proxy, no_proxy, ftp_proxy, all_proxy];
        let values = NAMES.into_iter().zip(values).filter(|(_, value)| !value.is_empty());
        Ok(BuildProxies { values: values.collect() })
    }

    /// Returns the build arguments to add to those in `build_args`.
    pub fn beside(&self, build_args: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let names: BTreeSet<String> = build_args.keys().map(|name| name.to_uppercase()).collect();
        let added = self.values.iter().filter(|(name, _)| !names.contains(**name));
        let both = added.flat_map(|(name, value)| {
            [(*name).to_owned(), name.to_lowercase()].map(|name| (name, value.clone()))
        });
        both.collect()
    }

    /// Returns the values to mask: URLs with passwords, and the forms in which programs print them. URLs without a
    /// password are printed, as by `docker build`.
    pub fn secrets(&self) -> Vec<Vec<u8>> {
        let addresses = self.values.iter().filter(|(name, _)| **name != "NO_PROXY");
        addresses.flat_map(|(_, address)| secrets_of(address)).collect()
    }
}

/// Returns whether a build argument is a proxy. BuildKit passes these to every step, in both cases, without a
/// declaration.
pub fn is_proxy(argument: &str) -> bool {
    let upper = argument.to_uppercase();
    NAMES.contains(&upper.as_str()) && (argument == upper || argument == upper.to_lowercase())
}

fn secrets_of(address: &str) -> Vec<Vec<u8>> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    // A password may contain an `@` or a `/` that should have been escaped.
    let Some((user, _)) = rest.rsplit_once('@') else { return Vec::new() };
    let password = user.split_once(':').map_or(user, |(_, password)| password);
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let header = STANDARD.encode(decoded(user)).into_bytes();
    let plain = [address, rest, user, password].map(|text| text.as_bytes().to_vec());
    plain.into_iter().chain([decoded(user), decoded(password), header]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(config: &str, address: &str) -> BuildProxies {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("config.json"), config).unwrap();
        BuildProxies::read(Some(directory.path()), address).unwrap()
    }

    fn beside(proxies: &BuildProxies, build_args: &[(&str, &str)]) -> Vec<String> {
        let build_args =
            build_args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let added = proxies.beside(&build_args.collect());
        added.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn proxies_become_build_arguments_in_upper_and_lower_case() {
        let all = r#"{"proxies": {"default": {"httpProxy": "http://h", "httpsProxy": "http://s",
            "noProxy": "n", "ftpProxy": "http://f", "allProxy": "http://a"}}}"#;
        let expected = [
            "ALL_PROXY=http://a",
            "FTP_PROXY=http://f",
            "HTTPS_PROXY=http://s",
            "HTTP_PROXY=http://h",
            "NO_PROXY=n",
            "all_proxy=http://a",
            "ftp_proxy=http://f",
            "http_proxy=http://h",
            "https_proxy=http://s",
            "no_proxy=n",
        ];
        let proxies = read(all, "unix:///x");
        assert_eq!(beside(&proxies, &[]), expected);
        // A proxy that is set takes precedence in either case, even if it is empty.
        let some = read(
            r#"{"proxies": {"default": {"httpProxy": "http://h", "noProxy": "", "other": "x"}}}"#,
            "",
        );
        assert_eq!(beside(&some, &[("X", "1")]), ["HTTP_PROXY=http://h", "http_proxy=http://h"]);
        assert_eq!(beside(&some, &[("http_proxy", "")]), Vec::<String>::new());
        assert_eq!(beside(&some, &[("HTTP_PROXY", "http://x")]), Vec::<String>::new());
    }

    #[test]
    fn engines_can_have_their_own_proxies() {
        let config = r#"{"proxies": {"default": {"httpProxy": "http://d"},
            "tcp://10.0.0.1:2376": {"httpProxy": "http://t"}, "tcp://10.0.0.2:2376": {}}}"#;
        let check = |address: &str, expected: Option<&str>| {
            let found = read(config, address).values.remove("HTTP_PROXY");
            assert_eq!(found.as_deref(), expected, "{address}");
        };
        check("unix:///var/run/docker.sock", Some("http://d"));
        check("tcp://10.0.0.1:2376", Some("http://t"));
        check("tcp://10.0.0.2:2376", None);
        for none in ["{}", r#"{"proxies": null}"#, r#"{"proxies": {}}"#] {
            assert_eq!(read(none, "unix:///x"), BuildProxies::default());
        }
        let missing = BuildProxies::read(Some(Path::new("/nowhere/at/all")), "").unwrap();
        assert_eq!(missing, BuildProxies::default());
        assert_eq!(BuildProxies::read(None, "").unwrap(), BuildProxies::default());
    }

    #[test]
    fn proxy_passwords_are_secrets_in_every_common_encoding() {
        let check = |address: &str, expected: &[&str]| {
            let found = secrets_of(address);
            let found: Vec<&str> =
                found.iter().map(|it| std::str::from_utf8(it).unwrap()).collect();
            assert_eq!(found, expected);
        };
        check("http://proxy:3128", &[]);
        check(
            "http://me:p%40ss@proxy:3128/",
            &[
                "http://me:p%40ss@proxy:3128/",
                "me:p%40ss@proxy:3128/",
                "me:p%40ss",
                "p%40ss",
                "me:p@ss",
                "p@ss",
                "bWU6cEBzcw==",
            ],
        );
        let found = secrets_of("token@proxy");
        assert!(found.contains(&b"token".to_vec()), "{found:?}");
        assert!(secrets_of("http://u:a/b@c@proxy").contains(&b"a/b@c".to_vec()));
        let proxies = read(
            r#"{"proxies": {"default": {"httpProxy": "http://u:hunter2@h", "noProxy": "a@b"}}}"#,
            "",
        );
        assert!(!format!("{proxies:?}").contains("hunter2"));
        assert!(!proxies.secrets().contains(&b"a@b".to_vec()));
    }

    #[test]
    fn errors_do_not_contain_the_password() {
        for config in [
            r#"{"proxies": {"default": "http://u:hunter2@h"}}"#,
            r#"{"proxies": "http://u:hunter2@h"}"#,
            r#"{"proxies": {"default": {"httpProxy": ["http://u:hunter2@h"]}}}"#,
            r#"{"proxies": {"default": {"httpProxy": "http://u:hunter2@h"#,
        ] {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("config.json"), config).unwrap();
            let error = BuildProxies::read(Some(directory.path()), "").unwrap_err();
            let error = crate::base::error::text(&error);
            assert!(
                error.contains("is not a valid Docker configuration") && error.contains("hint:")
            );
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn proxy_variable_names_match_buildkit() {
        for name in ["HTTP_PROXY", "no_proxy", "ALL_PROXY"] {
            assert!(is_proxy(name), "{name}");
        }
        for name in ["Http_Proxy", "HTTP_PROXY_", "PROXY", ""] {
            assert!(!is_proxy(name), "{name}");
        }
    }
}
