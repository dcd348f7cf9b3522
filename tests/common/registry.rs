//! A registry that belongs to a test: the real `docker-registry` on a free port of this machine, with a
//! directory that is removed with it. Also small images that can be pushed without an engine.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::json;

/// The media type of manifests that are pushed here.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type that engines push.
pub const OF_ENGINE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The user `login` with the password `secret`, as bcrypt because the registry requires it.
const USERS: &str = "login:$2y$05$90YwwR/2yFKHdvv7wW8hjeyDwOjZQ/9vmsMlfVnAT9tmWczyIwwqu\n";

/// The user and the password of a registry that requires a login.
pub const USER: (&str, &str) = ("login", "secret");

/// A running registry.
pub struct Registry {
    directory: tempfile::TempDir,
    main: Server,
    /// A second server on the same directory, without login and TLS, if the main one has them.
    door: Option<Server>,
}

/// The options of a registry.
#[derive(Default)]
pub struct Plan {
    auth: bool,
    tls: bool,
    is_own_authority: bool,
}

struct Server {
    child: Child,
    address: String,
}

impl Plan {
    /// Requires a login as [`USER`].
    pub fn with_auth(mut self) -> Plan {
        self.auth = true;
        self
    }

    /// Enables TLS, with a certificate of [`Registry::authority`].
    pub fn with_tls(mut self) -> Plan {
        self.tls = true;
        self
    }

    /// Enables TLS, with a certificate that is its own authority, as `openssl req -x509` makes them.
    pub fn with_own_authority(mut self) -> Plan {
        (self.tls, self.is_own_authority) = (true, true);
        self
    }

    /// Starts the registry. Without `docker-registry`, prints a note and returns `None`.
    pub fn start(self) -> Option<Registry> {
        if Command::new("docker-registry").arg("--version").output().is_err() {
            eprintln!("skipped: there is no `docker-registry` (Debian's package of that name)");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("users"), USERS).unwrap();
        if self.tls {
            make_certificates(directory.path(), self.is_own_authority);
        }
        let main = Server::start(directory.path(), &self);
        let door =
            (self.auth || self.tls).then(|| Server::start(directory.path(), &Plan::default()));
        Some(Registry { directory, main, door })
    }
}

impl Registry {
    /// Starts a registry without login and TLS.
    pub fn start() -> Option<Registry> {
        Plan::default().start()
    }

    /// Returns the options of a registry with login or TLS.
    pub fn plan() -> Plan {
        Plan::default()
    }

    /// Returns its address: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.main.address
    }

    /// Returns its address as `localhost:PORT`.
    pub fn by_name(&self) -> String {
        self.address().replace("127.0.0.1", "localhost")
    }

    /// Returns the certificate of the authority that signed its certificate.
    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// Returns its directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops the registry. Its content remains until it is dropped.
    pub fn stop(&mut self) {
        self.main.stop();
        if let Some(door) = &mut self.door {
            door.stop();
        }
    }

    /// Pushes a blob to a repository. Returns its digest.
    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let door = &self.door.as_ref().unwrap_or(&self.main).address;
        let (head, _) = ask(door, "POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        assert!(head.starts_with("HTTP/1.1 202"), "{head}");
        let location = header(&head, "location").unwrap();
        let path = location
            .split_once("//")
            .map_or(location.as_str(), |(_, rest)| &rest[rest.find('/').unwrap()..]);
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}digest={digest}");
        let (head, _) = ask(door, "PUT", &path, "application/octet-stream", bytes);
        assert!(head.starts_with("HTTP/1.1 201"), "{head}");
        digest
    }

    /// Pushes a manifest with a tag or its digest. Returns its digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, kind: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        let door = &self.door.as_ref().unwrap_or(&self.main).address;
        let path = format!("/v2/{repository}/manifests/{tag}");
        let (head, body) = ask(door, "PUT", &path, kind, bytes);
        assert!(head.starts_with("HTTP/1.1 201"), "{head}{}", String::from_utf8_lossy(&body));
        digest
    }

    /// Pushes an image with one file that contains `word`. Returns the digest of its manifest.
    pub fn push(&self, repository: &str, tag: &str, word: &str) -> String {
        self.push_for(repository, tag, word, "linux/amd64")
    }

    /// Pushes such an image for a platform.
    pub fn push_for(&self, repository: &str, tag: &str, word: &str, platform: &str) -> String {
        let (config, layer) = self.push_parts(repository, word, platform);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(&config), "size": config.len()},
            "layers": [{"mediaType": LAYER, "digest": digest_of(&layer), "size": layer.len()}],
        });
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let version = if tag.is_empty() { digest_of(&bytes) } else { tag.to_owned() };
        self.push_manifest(repository, &version, MANIFEST, &bytes)
    }

    /// Pushes an index of such images. Returns its digest and those of the images.
    pub fn push_index(
        &self,
        repository: &str,
        tag: &str,
        images: &[(&str, &str)],
    ) -> (String, Vec<String>) {
        let mut entries = Vec::new();
        let mut digests = Vec::new();
        for (word, platform) in images {
            let digest = self.push_for(repository, "", word, platform);
            let (os, architecture) = platform.split_once('/').unwrap();
            let (architecture, variant) =
                architecture.split_once('/').unwrap_or((architecture, ""));
            entries.push(json!({
                "mediaType": MANIFEST, "digest": digest, "size": 1,
                "platform": {"os": os, "architecture": architecture, "variant": variant},
            }));
            digests.push(digest);
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        let bytes = serde_json::to_vec(&index).unwrap();
        (self.push_manifest(repository, tag, INDEX, &bytes), digests)
    }

    /// Pushes the configuration and the layer of an image.
    fn push_parts(&self, repository: &str, word: &str, platform: &str) -> (Vec<u8>, Vec<u8>) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(word.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "word", word.as_bytes()).unwrap();
        let layer = tar.into_inner().unwrap();
        let (os, architecture) = platform.split_once('/').unwrap();
        let (architecture, variant) = architecture.split_once('/').unwrap_or((architecture, ""));
        let config = json!({
            "os": os, "architecture": architecture, "variant": variant,
            "config": {"Env": [format!("WORD={word}")]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(&layer)]},
            "history": [{"created_by": format!("COPY {word} /word")}],
        });
        let config = serde_json::to_vec(&config).unwrap();
        self.push_blob(repository, &config);
        self.push_blob(repository, &layer);
        (config, layer)
    }
}

impl Server {
    /// Starts a server on a free port, and waits until it listens.
    fn start(directory: &Path, plan: &Plan) -> Server {
        // Another process can take the port before the server starts.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let settings = directory.join(format!("{port}.yml"));
            fs::write(&settings, settings_of(directory, plan, &address)).unwrap();
            let mut child = Command::new("docker-registry")
                .arg("serve")
                .arg(&settings)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            if lines.any(|line| line.is_ok_and(|line| line.contains("listening on"))) {
                // A process that writes to a full pipe would block.
                thread::spawn(move || lines.for_each(drop));
                return Server { child, address };
            }
            child.wait().unwrap();
        }
        panic!("docker-registry does not start");
    }

    fn stop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn settings_of(directory: &Path, plan: &Plan, address: &str) -> String {
    let mut settings = json!({
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": directory.join("data")},
            "delete": {"enabled": true},
        },
        "http": {"addr": address},
    });
    if plan.auth {
        settings["auth"] = json!({"htpasswd": {"realm": "test", "path": directory.join("users")}});
    }
    if plan.tls {
        settings["http"]["tls"] =
            json!({"certificate": directory.join("own.crt"), "key": directory.join("own.key")});
    }
    // JSON is valid YAML.
    settings.to_string()
}

/// Creates an authority, and a certificate signed by it for this machine, or one that is both.
fn make_certificates(directory: &Path, is_own_authority: bool) {
    let run = |line: &str| {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(directory).output();
        let output = output.expect("tests with TLS need `openssl`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    if is_own_authority {
        let names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
        run(&format!("req -x509 {key} -keyout own.key -out own.crt {names}"));
        fs::copy(directory.join("own.crt"), directory.join("ca.crt")).unwrap();
        return;
    }
    run(&format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=layers-test-ca"));
    run(&format!("req {key} -keyout own.key -out own.csr -subj /CN=localhost"));
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n";
    fs::write(directory.join("names"), names).unwrap();
    let sign = "-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names";
    run(&format!("x509 -req -in own.csr {sign} -out own.crt"));
}

/// Returns the digest of bytes.
pub fn digest_of(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Makes a plain request on a new connection. Returns the head of the response and its body.
pub fn ask(address: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{kind}\
         Accept: {MANIFEST}, {INDEX}, {OF_ENGINE}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a whole head") + 4;
    let body = answer.split_off(end);
    (String::from_utf8(answer).unwrap(), body)
}

/// Returns the value of a header.
pub fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
