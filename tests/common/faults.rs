//! What stands between a client and a registry, and does to its answers what a test says: a plain
//! HTTP/1.1 proxy that passes bodies on as they come, so that an engine can push and pull through it.
//! It can also be a small server by itself.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What is done with a question.
pub enum Fault {
    /// Nothing: it is passed on, and so is its answer.
    Pass,
    /// It is answered here.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: Vec<u8> },
    /// It is passed on; of the answer's body so many bytes arrive, then the connection breaks.
    CutAfter(usize),
    /// The connection breaks at once.
    Close,
    /// It is passed on after a while.
    Late(Duration),
    /// It is passed on, and its answer arrives with another body of the same length.
    Lie,
    /// It is passed on, and its answer arrives without a header.
    Without(&'static str),
}

impl Fault {
    /// An answer without more.
    pub fn status(status: u16) -> Fault {
        Fault::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    /// An answer of JSON.
    pub fn json(status: u16, text: &str) -> Fault {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Fault::Answer { status, headers, body: text.into() }
    }

    /// An answer with one header.
    pub fn header(status: u16, name: &'static str, value: impl Into<String>) -> Fault {
        Fault::Answer { status, headers: vec![(name, value.into())], body: Vec::new() }
    }
}

/// A question that came.
pub struct Asked {
    pub method: String,
    /// The path with its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// The body, where it was sent with its length and is small; otherwise nothing.
    pub body: Vec<u8>,
    /// How often this was asked by now: 1 for the first time.
    pub count: usize,
}

impl Asked {
    /// A header of it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

type Script = dyn Fn(&Asked) -> Fault + Send + Sync;

/// Stands before a registry.
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
    /// Before the registry at an address.
    pub fn before(
        target: &str,
        script: impl Fn(&Asked) -> Fault + Send + Sync + 'static,
    ) -> Faults {
        Faults::start(Some(target.to_owned()), Box::new(script))
    }

    /// Before nothing: the script answers all.
    pub fn alone(script: impl Fn(&Asked) -> Fault + Send + Sync + 'static) -> Faults {
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
                // Who hangs up ends the conversation, and nothing else.
                thread::spawn(move || drop(converse(&stream, &shared)));
            }
        });
        Faults { address, shared }
    }

    /// Where it is: `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// All that was asked, such as `GET /v2/a/manifests/latest`, in the order in which it came.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// How many were asked at once at most.
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

/// A body's end.
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
    /// Reads one; nothing where the other side has hung up, or speaks something else.
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

    /// The status of an answer.
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

    /// How the body ends; `open` is the way where nothing is said.
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

/// Passes a body on; at most `most` bytes of it, after which it fails.
fn pass_body(
    from: &mut impl BufRead,
    to: &mut impl Write,
    frame: Frame,
    most: usize,
) -> io::Result<()> {
    let mut to = Bounded { to, left: most };
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
                // Trailers, up to an empty line.
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

struct Bounded<'a, W> {
    to: &'a mut W,
    left: usize,
}

impl<W: Write> Write for Bounded<'_, W> {
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

/// Counts while it lives.
struct Counted<'a>(&'a Shared);

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared) -> Counted<'a> {
        let now = shared.now.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most.fetch_max(now, Ordering::SeqCst);
        Counted(shared)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All questions of one connection.
fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut near = BufReader::new(stream.try_clone()?);
    while let Some(head) = Head::read(&mut near)? {
        let counted = Counted::new(shared);
        let stays = respond(&mut near, stream, &head, shared);
        drop(counted);
        if !stays.unwrap_or(false) {
            break;
        }
    }
    // Who tries TLS here must hear that it is not spoken.
    if !near.buffer().is_empty() {
        (&*stream).write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
    }
    stream.shutdown(Shutdown::Both)
}

/// The largest body that a script sees.
const SMALL: u64 = 64 << 10;

/// Answers one question; says whether the connection stays.
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
    let asked = Asked { method, path, headers, body, count };
    let fault = (shared.script)(&asked);
    match fault {
        Fault::Close => return Ok(false),
        Fault::Answer { status, headers, body } => {
            pass_body(near, &mut io::sink(), frame, usize::MAX)?;
            let mut all: Vec<(String, String)> =
                headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            all.push(("Content-Length".to_owned(), body.len().to_string()));
            write_head(&mut back, &format!("HTTP/1.1 {status} Scripted"), &all)?;
            if asked.method != "HEAD" {
                back.write_all(&body)?;
            }
            return Ok(true);
        }
        Fault::Late(time) => thread::sleep(time),
        _ => {}
    }
    let target = shared.target.as_ref().expect("a script that answers all");
    let far = TcpStream::connect(target)?;
    let mut sent = head.without(&["connection", "expect"]);
    sent.push(("Connection".to_owned(), "close".to_owned()));
    write_head(&mut &far, &head.first, &sent)?;
    (&far).write_all(&asked.body)?;
    pass_body(near, &mut &far, frame, usize::MAX)?;
    answer(&far, back, &asked.method, &fault)
}

/// Passes an answer on.
fn answer(far: &TcpStream, mut back: &TcpStream, method: &str, fault: &Fault) -> io::Result<bool> {
    let mut far = BufReader::new(far);
    let head = loop {
        let head = Head::read(&mut far)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        // What comes before the answer itself (100 Continue) is not passed on.
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
        Fault::Lie => {
            let mut body = Vec::new();
            pass_body(&mut far, &mut body, frame, usize::MAX)?;
            // A blank for a brace is JSON no more, but a digit for a digit is.
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
