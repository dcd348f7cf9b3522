//! A headless Chromium, controlled with WebDriver (<https://www.w3.org/TR/webdriver2/>).
//!
//! Owns the processes, and the few commands that the tests need, as JSON over plain HTTP to a chromedriver on
//! this machine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// The required Debian packages.
const HINT: &str = "hint: apt install chromium chromium-driver, or set LAYERS_TEST_NO_BROWSER=1 to \
                    leave out the tests that need a browser";

/// The maximum time for a response. Whatever takes longer hangs.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// A browser with one window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a browser with a window of this size. Returns `None` if `LAYERS_TEST_NO_BROWSER=1` is set.
    pub fn open(width: u32, height: u32) -> Option<Browser> {
        if std::env::var_os("LAYERS_TEST_NO_BROWSER").is_some_and(|value| value == "1") {
            eprintln!("skipped: LAYERS_TEST_NO_BROWSER=1 says that there is no browser");
            return None;
        }
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = started.unwrap_or_else(|error| panic!("no chromedriver: {error}\n{HINT}"));
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| {
                let line = line.ok()?;
                line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
            .unwrap_or_else(|| panic!("chromedriver names no port\n{HINT}"));
        // The driver must not block on its output.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let arguments = [
            "--headless=new".to_owned(),
            // The browser can run as root in a container with little shared memory.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
            format!("--window-size={width},{height}"),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.ask("POST", "/session", &wanted);
        browser.session = format!("/session/{}", answer["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Sends a command. Returns the body of the response.
    fn send(&self, method: &str, path: &str, body: &Value) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(LONGEST_ANSWER))?;
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        read_answer(&stream)
    }

    /// Runs a command. An error of the driver fails the test.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let json = self.send(method, path, body).unwrap();
        let mut answer: Value = serde_json::from_slice(&json).unwrap();
        let value = answer["value"].take();
        let error = value.get("error").filter(|error| !error.is_null());
        assert!(error.is_none(), "{method} {path}: {} {HINT}", value["message"]);
        value
    }

    fn report(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), body)
    }

    /// Opens a file and waits until its script has drawn it.
    pub fn visit(&self, page: &Path) {
        let url = format!("file://{}", page.display());
        // Opening the same address again would only jump within the page.
        self.report("/url", &json!({"url": "about:blank"}));
        self.report("/url", &json!({"url": url}));
        assert_eq!(self.run("return document.body.dataset.ready"), "true", "{:?}", self.errors());
    }

    /// Returns the result of a script.
    pub fn run(&self, script: &str) -> Value {
        self.report("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Returns the value of an expression as a number.
    #[track_caller]
    pub fn number(&self, expression: &str) -> f64 {
        let value = self.run(&format!("return {expression}"));
        value.as_f64().unwrap_or_else(|| panic!("{expression} is {value}"))
    }

    /// Returns the value of an expression as text.
    #[track_caller]
    pub fn text(&self, expression: &str) -> String {
        let value = self.run(&format!("return {expression}"));
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Clicks the first element that a selector matches, as a user does.
    pub fn click(&self, selector: &str) {
        let found = self.report("/element", &json!({"using": "css selector", "value": selector}));
        let id = found.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.report(&format!("/element/{id}/click"), &json!({}));
    }

    /// Presses keys one after the other, wherever the focus is.
    pub fn keys(&self, keys: &[&str]) {
        let press = |key: &&str| {
            [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
        };
        let actions: Vec<Value> = keys.iter().flat_map(press).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.report("/actions", &json!({"actions": [keyboard]}));
    }

    /// Sets the size of the window's content, which can be narrower than a window can be.
    pub fn resize(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!(
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}),
        );
    }

    /// Sets the system's preference for light or dark.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Shows the page as it is printed.
    pub fn print(&self) {
        self.devtools("Emulation.setEmulatedMedia", &json!({"media": "print"}));
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        self.report("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}));
    }

    /// Returns the errors that the page has reported.
    pub fn errors(&self) -> Vec<String> {
        let log = self.report("/se/log", &json!({"type": "browser"}));
        let lines = log.as_array().unwrap().iter();
        lines.map(|line| line["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Saves a screenshot in the tests' output directory.
    pub fn picture(&self, name: &str) {
        use base64::Engine;
        let picture = self.ask("GET", &format!("{}/screenshot", self.session), &Value::Null);
        let png = base64::engine::general_purpose::STANDARD.decode(picture.as_str().unwrap());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{name}.png"));
        std::fs::write(path, png.unwrap()).unwrap();
    }
}

/// Reads the body of a response. The driver keeps the connection open, so the length determines the end.
fn read_answer(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(body)
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Also after a failed test: the browser would outlive its driver.
        drop(self.send("DELETE", &self.session, &Value::Null));
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
