//! A proxy between a client and a registry that changes answers as a test requires: a simple HTTP/1.1 proxy
//! that streams bodies, so that an engine can push and pull through it. It can also be a small server without
//! a registry.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// It is forwarded, and so is the response.
    Pass,
    /// The proxy responds by itself.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// It is forwarded. The connection breaks after this many bytes of the response body.
    CutAfter(usize),
    /// The connection breaks immediately.
    Close,
    /// It is forwarded after a delay.
    Late(Duration),
    /// It is forwarded, and the response arrives with a different body of the same length.
    Lie,
    /// It is forwarded, and the response arrives without this header.
    Without(&'static str),
    /// It is forwarded, and the body of the response arrives at one byte per second.
    Drip,
    /// The proxy responds with these bytes, and closes the connection.
    Raw(&'static str),
    /// The proxy responds with a body that does not end.
    Endless,
}

impl Fault {
    /// Returns a response without a body.
    pub fn status(status: u16) -> Fault {
        Fault::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Returns a JSON response.
    pub fn json(status: u16, text: &str) -> Fault {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Fault::Answer { status, headers, body: text.into() }
    }

    /// Returns a response with one header.
    pub fn header(status: u16, name: &'static str, value: impl Into<String>) -> Fault {
        Fault::Answer { status, headers: vec![(name, value.into())], body: Vec::new() }
    }
}

/// A request to the proxy.
pub struct ReceivedRequest {
    pub method: String,
    /// The path with its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// The body, if it is small and was sent with its length; otherwise empty.
    pub body: Vec<u8>,
    /// How often this request has been made, from 1.
    pub count: usize,
}

impl ReceivedRequest {
    /// Returns a header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(&ReceivedRequest) -> Fault + Send + Sync;

/// A proxy for a registry.
pub struct Faults {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    target: Option<String>,
    script: Box<Script>,
    counts: Mutex<HashMap<String, usize>>,
    seen: Mutex<Vec<String>>,
    now: AtomicUsize,
    most: AtomicUsize,
    ended: AtomicBool,
}

impl Faults {
    /// Creates a proxy for the registry at an address.
    pub fn before(
        target: &str,
        script: impl Fn(&ReceivedRequest) -> Fault + Send + Sync + 'static,
    ) -> Faults {
        Faults::start(Some(target.to_owned()), Box::new(script))
    }

    /// Creates a server without a registry: the script responds to all requests.
    pub fn alone(script: impl Fn(&ReceivedRequest) -> Fault + Send + Sync + 'static) -> Faults {
        Faults::start(None, Box::new(script))
    }

    fn start(target: Option<String>, script: Box<Script>) -> Faults {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            target,
            script,
            counts: Mutex::default(),
            seen: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_thread.ended.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&of_thread);
                // A client that closes the connection ends only that connection.
                thread::spawn(move || drop(converse(&stream, &shared)));
            }
        });
        Faults { address, shared }
    }

    /// Returns the address: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns all requests, such as `GET /v2/a/manifests/latest`, in the order in which they arrived.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Clears the list of requests.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// Returns the maximum number of concurrent requests.
    pub fn most_at_once(&self) -> usize {
        self.shared.most.load(Ordering::SeqCst)
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(&self.address));
    }
}

/// How the end of a body is determined.
#[derive(Clone, Copy)]
enum Frame {
    None,
    Length(u64),
    Chunks,
    Close,
}

struct Head {
    first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Reads the head of a message. Returns `None` if the other side has closed the connection or does not
    /// speak HTTP.
    fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        let mut first = String::new();
        if from.fill_buf()?.first().is_none_or(|byte| !byte.is_ascii_alphabetic()) {
            return Ok(None);
        }
        from.read_line(&mut first)?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Some(Head { first: first.trim_end().to_owned(), headers }))
    }

    /// Returns the status of a response.
    fn status(&self) -> u16 {
        self.first.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn without(&self, names: &[&str]) -> Vec<(String, String)> {
        let keeps = |key: &str| !names.iter().any(|name| key.eq_ignore_ascii_case(name));
        self.headers.iter().filter(|(key, _)| keeps(key)).cloned().collect()
    }

    /// Returns how the body ends. `open` is used if the headers do not define it.
    fn frame(&self, open: Frame) -> Frame {
        if self.value("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return Frame::Chunks;
        }
        match self.value("content-length").and_then(|value| value.parse().ok()) {
            Some(length) => Frame::Length(length),
            None => open,
        }
    }
}

fn write_head(to: &mut impl Write, first: &str, headers: &[(String, String)]) -> io::Result<()> {
    let mut text = format!("{first}\r\n");
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    text.push_str("\r\n");
    to.write_all(text.as_bytes())
}

/// Forwards a body. Fails after `most` bytes.
fn pass_body(
    from: &mut impl BufRead,
    to: &mut impl Write,
    frame: Frame,
    most: usize,
) -> io::Result<()> {
    let mut to = LimitedWriter { to, left: most };
    match frame {
        Frame::None => {}
        Frame::Length(length) => {
            if io::copy(&mut from.take(length), &mut to)? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Frame::Close => drop(io::copy(from, &mut to)?),
        Frame::Chunks => loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            to.write_all(line.as_bytes())?;
            let size = u64::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16);
            let size = size.map_err(io::Error::other)?;
            if size == 0 {
                // Skip trailers, up to an empty line.
                while line.trim_end() != "" || line.starts_with('0') {
                    line.clear();
                    from.read_line(&mut line)?;
                    to.write_all(line.as_bytes())?;
                }
                break;
            }
            io::copy(&mut from.take(size + 2), &mut to)?;
        },
    }
    to.flush()
}

struct LimitedWriter<'a, W> {
    to: &'a mut W,
    left: usize,
}

impl<W: Write> Write for LimitedWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(&bytes[..bytes.len().min(self.left)])?;
        self.left -= count;
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Counts a request while it is in progress.
struct ActiveRequest<'a>(&'a Shared);

impl<'a> ActiveRequest<'a> {
    fn new(shared: &'a Shared) -> ActiveRequest<'a> {
        let now = shared.now.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        ActiveRequest(shared)
    }
}

impl Drop for ActiveRequest<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Handles all requests of a connection.
fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut near = BufReader::new(stream.try_clone()?);
    while let Some(head) = Head::read(&mut near)? {
        let counted = ActiveRequest::new(shared);
        let stays = respond(&mut near, stream, &head, shared);
        drop(counted);
        if !stays.unwrap_or(false) {
            break;
        }
    }
    // A client that tries TLS must learn that it is not supported.
    if !near.buffer().is_empty() {
        (&*stream).write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
    }
    stream.shutdown(Shutdown::Both)
}

/// The maximum size of a body that a script can read.
const SMALL: u64 = 64 << 10;

/// Responds to a request. Returns whether the connection stays open.
fn respond(
    near: &mut BufReader<TcpStream>,
    mut back: &TcpStream,
    head: &Head,
    shared: &Shared,
) -> io::Result<bool> {
    let mut words = head.first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let name = format!("{method} {path}");
    let count = {
        let mut counts = shared.counts.lock().unwrap();
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        *count
    };
    shared.seen.lock().unwrap().push(name);
    if head.value("expect").is_some() {
        back.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut frame = head.frame(Frame::None);
    let mut body = Vec::new();
    if let Frame::Length(length) = frame
        && length <= SMALL
    {
        near.take(length).read_to_end(&mut body)?;
        frame = Frame::None;
    }
    let headers = head.headers.clone();
    let request = ReceivedRequest { method, path, headers, body, count };
    let fault = (shared.script)(&request);
    match fault {
        Fault::Close => return Ok(false),
        Fault::Answer { status, headers, body } => {
            pass_body(near, &mut io::sink(), frame, usize::MAX)?;
            let mut all: Vec<(String, String)> =
                headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            all.push(("Content-Length".to_owned(), body.len().to_string()));
            write_head(&mut back, &format!("HTTP/1.1 {status} Scripted"), &all)?;
            if request.method != "HEAD" {
                back.write_all(&body)?;
            }
            return Ok(true);
        }
        Fault::Raw(text) => {
            pass_body(near, &mut io::sink(), frame, usize::MAX)?;
            back.write_all(text.as_bytes())?;
            return Ok(false);
        }
        Fault::Endless => {
            pass_body(near, &mut io::sink(), frame, usize::MAX)?;
            write_head(&mut back, "HTTP/1.1 200 Scripted", &[])?;
            io::copy(&mut io::repeat(b' '), &mut back)?;
        }
        Fault::Late(time) => thread::sleep(time),
        _ => {}
    }
    let target = shared.target.as_ref().expect("a script that answers all");
    let far = TcpStream::connect(target)?;
    let mut sent = head.without(&["connection", "expect"]);
    sent.push(("Connection".to_owned(), "close".to_owned()));
    write_head(&mut &far, &head.first, &sent)?;
    (&far).write_all(&request.body)?;
    pass_body(near, &mut &far, frame, usize::MAX)?;
    answer(&far, back, &request.method, &fault)
}

/// Forwards a response.
fn answer(far: &TcpStream, mut back: &TcpStream, method: &str, fault: &Fault) -> io::Result<bool> {
    let mut far = BufReader::new(far);
    let head = loop {
        let head = Head::read(&mut far)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        // Interim responses (100 Continue) are not forwarded.
        if !(100..200).contains(&head.status()) {
            break head;
        }
    };
    let is_bare = method == "HEAD" || matches!(head.status(), 204 | 304);
    let frame = if is_bare { Frame::None } else { head.frame(Frame::Close) };
    let mut hidden = vec!["connection"];
    if let Fault::Without(name) = fault {
        hidden.push(name);
    }
    write_head(&mut back, &head.first, &head.without(&hidden))?;
    match fault {
        Fault::CutAfter(most) => pass_body(&mut far, &mut back, frame, *most)?,
        Fault::Drip => {
            let mut body = Vec::new();
            pass_body(&mut far, &mut body, frame, usize::MAX)?;
            for byte in body {
                back.write_all(&[byte])?;
                thread::sleep(Duration::from_secs(1));
            }
        }
        Fault::Lie => {
            let mut body = Vec::new();
            pass_body(&mut far, &mut body, frame, usize::MAX)?;
            // Replacing a brace with a space would invalidate the JSON; replacing a digit with another one
            // does not.
            let place = body.iter().rposition(u8::is_ascii_digit).unwrap_or_default();
            if let Some(byte) = body.get_mut(place) {
                *byte = if *byte == b'1' { b'2' } else { b'1' };
            }
            back.write_all(&body)?;
        }
        _ => pass_body(&mut far, &mut back, frame, usize::MAX)?,
    }
    Ok(!matches!(frame, Frame::Close))
}
