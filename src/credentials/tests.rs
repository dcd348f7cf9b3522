//! Table tests of credentials.
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::*;

const CONFIG: &str = r#"{
    "auths": {
        "https://index.docker.io/v1/": {"auth": "aHVibmFtZTpwdzp3aXRo"},
        "https://old.example.com/v1/": {"auth": "b2xkOnB3AAA="},
        "token.example.com": {"auth": "eDp5", "identitytoken": "t0ken"},
        "plain.example.com": {"username": "u", "password": "p"},
        "empty.example.com": {},
        "broken.example.com": {"auth": "?"}
    },
    "credHelpers": {"helped.example.com": "layers-test-that-does-not-exist"}
}"#;

fn store(config: &str) -> (tempfile::TempDir, CredentialStore) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.json"), config).unwrap();
    let store = CredentialStore::new(Some(directory.path().to_owned()));
    (directory, store)
}

#[test]
fn credentials_are_found_by_host() {
    let (_directory, store) = store(CONFIG);
    let check = |host: &str, expected: Option<(&str, &str)>| {
        let found = store.lookup(host).unwrap();
        let found = found.as_ref().map(|c| (c.username.as_str(), c.secret.as_str()));
        assert_eq!(found, expected, "{host}");
    };
    check("registry-1.docker.io", Some(("hubname", "pw:with")));
    check("old.example.com", Some(("old", "pw")));
    check("token.example.com", Some(("", "t0ken")));
    check("plain.example.com", Some(("u", "p")));
    check("empty.example.com", None);
    check("unknown.example.com", None);
}

#[test]
fn credential_errors_do_not_contain_the_secret() {
    let (_directory, store) = store(CONFIG);
    let check = |host: &str, expected: &str| {
        let error = store.lookup(host).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check("broken.example.com", "the `auth` of `broken.example.com` in Docker's");
    check("helped.example.com", "program `docker-credential-layers-test-that");
    let credential = Credential { username: "u".into(), secret: "hidden".into() };
    assert!(!format!("{credential:?}").contains("hidden"));
}

#[test]
fn access_is_anonymous_without_a_docker_configuration() {
    assert_eq!(CredentialStore::new(None).lookup("a").unwrap(), None);
    let directory = tempfile::tempdir().unwrap();
    let store = CredentialStore::new(Some(directory.path().to_owned()));
    assert_eq!(store.lookup("a").unwrap(), None);
}

#[test]
fn credential_helper_output_is_parsed() {
    let check = |code: i32, stdout: &str, expected: Result<Option<(&str, &str)>, &str>| {
        let status = ExitStatus::from_raw(code << 8);
        let finished = ProgramOutput { status, stdout: stdout.into(), stderr: Vec::new() };
        let found = read_answer("helper", "a.example.com", &finished);
        let found = found.map_err(|error| error.to_string());
        let found = found.as_ref().map(|found| {
            found.as_ref().map(|found| (found.username.as_str(), found.secret.as_str()))
        });
        assert_eq!(found.map_err(String::as_str), expected, "{stdout}");
    };
    check(0, r#"{"ServerURL":"a","Username":"u","Secret":"s"}"#, Ok(Some(("u", "s"))));
    check(0, r#"{"ServerURL":"a","Username":"<token>","Secret":"t"}"#, Ok(Some(("", "t"))));
    check(1, "credentials not found in native keychain\n", Ok(None));
    check(1, "locked\n", Err("`helper` failed to get credentials for `a.example.com`: locked"));
    check(0, "{\"Secret\":\"hidden\"", Err("`helper` printed invalid output"));
}
