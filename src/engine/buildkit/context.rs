//! How a build gets its contexts.
//!
//! Owns the choice for each: nothing, a small tar in the build's own request, or a synchronization of the copy that the
//! engine keeps of the files.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use super::{llb, sha256_hex};
use crate::base::EntryKind;
use crate::engine::{BuildRequest, Cancel, ContextFiles, EngineCopy, FileHeader, context_tar};

/// The maximum size in bytes of a tar that is part of the build's own request. The engine then keeps no copy of the
/// files, and no synchronization delays the build. Requests stay far below the 4 MiB that the oldest engines accept.
const SMALL: u64 = 512 << 10;

/// The maximum size in bytes of the tars of all named contexts in a request.
const MOST_IN_REQUEST: u64 = 1 << 20;

/// A context, in the form in which the engine gets it.
pub(super) enum BuildContext {
    /// The context has no files.
    Empty,
    /// The whole tar.
    Small(Vec<u8>),
    /// The files that the engine's copy is to have.
    Synchronized(SynchronizedFiles),
}

/// The files of a context, and the engine's copy of them.
#[derive(Clone)]
pub(super) struct SynchronizedFiles {
    /// The files.
    pub(super) files: Arc<dyn ContextFiles>,
    /// Their metadata, as it is sent.
    pub(super) headers: Arc<[FileHeader]>,
    /// The copy.
    pub(super) copy: EngineCopy,
    /// Whether the only file is a tar of the context.
    pub(super) is_packed: bool,
}

impl SynchronizedFiles {
    fn of(files: &Arc<dyn ContextFiles>, mut headers: Vec<FileHeader>) -> SynchronizedFiles {
        let (mut copy, mut files) = (files.engine_copy(&mut headers), Arc::clone(files));
        // Messages to a newer BuildKit must be UTF-8. A tar need not be.
        let is_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok();
        let is_packed = !headers.iter().all(|it| is_text(it.bytes()) && is_text(it.link()));
        if is_packed {
            copy.name = format!("{} packed", copy.name);
            let packed = PackedFiles { files, headers, state: copy.state.clone() };
            (headers, files) = (packed.headers(), Arc::new(packed));
        }
        SynchronizedFiles { files, headers: headers.into(), copy, is_packed }
    }
}

/// A context as one file, a tar.
struct PackedFiles {
    files: Arc<dyn ContextFiles>,
    headers: Vec<FileHeader>,
    state: String,
}

impl ContextFiles for PackedFiles {
    fn headers(&self) -> Vec<FileHeader> {
        // The time of the tar means its content, and nothing sees it.
        let time = sha256_hex(self.state.as_bytes());
        let mtime = i64::from_str_radix(&time[..15], 16).unwrap_or_default();
        let (path, size) = (llb::PACKED.into(), context_tar::len(&self.headers));
        vec![FileHeader { path, kind: EntryKind::File, mode: 0o644, size, mtime }]
    }

    fn read(&self, _: usize, piece: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut to = io::BufWriter::with_capacity(128 << 10, PieceWriter(piece));
        context_tar::write(self.files.as_ref(), &self.headers, &mut to)
    }
}

struct PieceWriter<'a>(&'a mut dyn FnMut(&[u8]) -> io::Result<()>);

impl Write for PieceWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.0)(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The contexts of a build.
pub(super) struct BuildContexts {
    /// The image's own context.
    pub(super) own: BuildContext,
    /// The named contexts that are directories, by name.
    pub(super) named: BTreeMap<String, BuildContext>,
}

/// Reads as much of a build's contexts as is necessary before the build; `None` if the build was canceled.
///
/// # Errors
/// Returns an error if a file cannot be read.
pub(super) fn read_all(
    request: &BuildRequest,
    cancel: &Cancel,
) -> io::Result<Option<BuildContexts>> {
    // A provenance with `mode=max` publishes the build's request. No file is then in it, because not all of them are in
    // the image.
    let most = if request.attestations.provenance.is_some() { 0 } else { SMALL };
    let Some(own) = read(&request.context, most, cancel)? else { return Ok(None) };
    let mut named = BTreeMap::new();
    // All of them are part of one request.
    let mut room = MOST_IN_REQUEST;
    for (name, source) in &request.contexts {
        let Some(files) = source.files() else { continue };
        let Some(context) = read(files, most.min(room), cancel)? else { return Ok(None) };
        if let BuildContext::Small(tar) = &context {
            room = room.saturating_sub(tar.len() as u64);
        }
        named.insert(name.clone(), context);
    }
    Ok(Some(BuildContexts { own, named }))
}

/// Reads as much of a context as is necessary before the build; `None` if the build was canceled. `most` is the maximum
/// size in bytes of a tar that may be part of the request.
fn read(
    files: &Arc<dyn ContextFiles>,
    most: u64,
    cancel: &Cancel,
) -> io::Result<Option<BuildContext>> {
    let headers = files.headers();
    if headers.is_empty() {
        return Ok(Some(BuildContext::Empty));
    }
    let size = context_tar::len(&headers);
    if size > most {
        return Ok(Some(BuildContext::Synchronized(SynchronizedFiles::of(files, headers))));
    }
    let mut tar = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    let mut to = Cancelable { to: &mut tar, cancel };
    let written = context_tar::write(files.as_ref(), &headers, &mut to);
    match written {
        _ if cancel.is_set() => Ok(None),
        Ok(()) => Ok(Some(BuildContext::Small(tar))),
        Err(error) => Err(error),
    }
}

/// A writer that fails once the build is canceled.
struct Cancelable<'a> {
    to: &'a mut Vec<u8>,
    cancel: &'a Cancel,
}

impl Write for Cancelable<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.cancel.is_set() {
            return Err(io::Error::other("canceled"));
        }
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
