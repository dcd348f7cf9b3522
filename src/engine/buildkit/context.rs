//! A context as it is known before it is sent.
//!
//! Owns the one look at a context's tar that a build begins with: whether it holds anything, the whole
//! of it where it is small, and its SHA-256 where it is not.

use std::io::{self, Write};

use super::{hex, sha256_hex};
use crate::engine::{Cancel, ContextFiles};

/// Up to this many bytes a tar travels in the build's own request. That saves the engine asking
/// for it, and a copy on its disk: of the 90 ms that a small image took it was 15 (Docker 28).
/// Requests stay far below the 4 MiB that the oldest engines take.
const SMALL: usize = 512 << 10;

/// A context's tar, as it goes to the engine.
pub(super) enum Looked {
    /// It holds nothing: it consists of its end mark, which is all zeros.
    Empty,
    /// All of it.
    Small(Vec<u8>),
    /// It is sent when it is asked for; its SHA-256, in hexadecimal, is its name until then.
    Large(String),
}

impl Looked {
    /// The same, with no file of it in the build's request. A provenance of mode `max` holds all of
    /// that request, and would publish files of which the image has none.
    pub(super) fn apart(self) -> Looked {
        match self {
            Looked::Small(tar) => Looked::Large(sha256_hex(&tar)),
            other => other,
        }
    }
}

/// Writes a context's tar to no end but to know it; `None` where it was cancelled meanwhile.
pub(super) fn look(context: &dyn ContextFiles, cancel: &Cancel) -> io::Result<Option<Looked>> {
    let mut look = Look { begun: Vec::new(), hash: None, cancel };
    match context.write_tar(&mut look) {
        _ if cancel.is_set() => Ok(None),
        Ok(()) => Ok(Some(match look.hash {
            Some(hash) => Looked::Large(hex(hash.finish().as_ref())),
            // The first entry's name begins the tar, so this looks at one byte of all but empty ones.
            None if look.begun.iter().all(|byte| *byte == 0) => Looked::Empty,
            None => Looked::Small(look.begun),
        })),
        Err(error) => Err(error),
    }
}

struct Look<'a> {
    /// The tar, as long as it is small.
    begun: Vec<u8>,
    /// The hash of all of it once it is not.
    hash: Option<ring::digest::Context>,
    cancel: &'a Cancel,
}

impl Write for Look<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.is_set() {
            return Err(io::Error::other("cancelled"));
        }
        match &mut self.hash {
            Some(hash) => hash.update(bytes),
            None if self.begun.len() + bytes.len() <= SMALL => self.begun.extend_from_slice(bytes),
            none => {
                let hash = none.insert(ring::digest::Context::new(&ring::digest::SHA256));
                hash.update(&std::mem::take(&mut self.begun));
                hash.update(bytes);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
