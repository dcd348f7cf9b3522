//! A context as a tar archive, for contexts that are part of a build request.
//!
//! Owns the format: entries in the order of their headers, owner 0:0 without names, GNU headers (which support names of
//! any length and any bytes, and files larger than 8 GiB), hard links as copies, as BuildKit counts them. Files are
//! streamed.
//!
//! Times are exact to the nanosecond, as in BuildKit's own transfer. They affect no keys, neither BuildKit's nor those
//! of this program, but they end up in the image's files, where programs compare them (make, Python's bytecode). GNU
//! headers have whole seconds, so a PAX record precedes each header whose time has more.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::{ContextFiles, FileHeader};
use crate::base::EntryKind;

/// The size in bytes of the blocks that a tar consists of; it ends with two blocks of zeros.
const BLOCK: usize = 512;
const ZEROS: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The longest name or symlink target, in bytes, that fits into a header.
const LONGEST_PLAIN: usize = 100;

/// Returns the size in bytes of an archive with these entries.
pub fn len(headers: &[FileHeader]) -> u64 {
    let blocks = |bytes: usize| bytes.div_ceil(BLOCK) * BLOCK;
    let long = |bytes: usize| if bytes > LONGEST_PLAIN { BLOCK + blocks(bytes + 1) } else { 0 };
    let entry_len = |header: &FileHeader| {
        let time = time_record(header).map_or(0, |record| BLOCK + blocks(record.len()));
        let names = long(name_of(header).len()) + long(header.link().len());
        let content = content_len(header).div_ceil(BLOCK as u64) * BLOCK as u64;
        (time + names + BLOCK) as u64 + content
    };
    headers.iter().map(entry_len).sum::<u64>() + ZEROS.len() as u64
}

/// Writes the archive of a context.
///
/// # Errors
/// Returns an error if a file cannot be read or has changed (the message names it), or if `to` fails. Readers recognize
/// the output up to then as incomplete: the end mark is missing.
pub fn write(
    files: &dyn ContextFiles,
    headers: &[FileHeader],
    to: &mut dyn Write,
) -> io::Result<()> {
    for (index, header) in headers.iter().enumerate() {
        write_head(to, header)?;
        if header.kind == EntryKind::File {
            files.read(index, &mut |bytes| to.write_all(bytes))?;
            pad(to, header.size)?;
        }
    }
    to.write_all(&ZEROS)?;
    to.flush()
}

fn content_len(header: &FileHeader) -> u64 {
    if header.kind == EntryKind::File { header.size } else { 0 }
}

/// Fills the last block of a content with zeros.
fn pad(to: &mut dyn Write, content: u64) -> io::Result<()> {
    let used = usize::try_from(content % BLOCK as u64).unwrap_or(0);
    if used > 0 { to.write_all(&ZEROS[..BLOCK - used]) } else { Ok(()) }
}

/// Returns the entry's name in the archive; directories end with `/`.
fn name_of(header: &FileHeader) -> Vec<u8> {
    let mut name = header.bytes().to_vec();
    if header.kind == EntryKind::Directory {
        name.push(b'/');
    }
    name
}

/// Returns a header's time as a GNU header has it: whole seconds. Tar readers do not agree on the representation of
/// times before 1970, which a PAX record has too.
fn seconds_of(header: &FileHeader) -> u64 {
    u64::try_from(header.mtime.div_euclid(NANOS)).unwrap_or(0)
}

const NANOS: i64 = 1_000_000_000;

/// Returns the PAX record of a time that a GNU header cannot have: its own length, the name, and a decimal number.
fn time_record(header: &FileHeader) -> Option<String> {
    if header.mtime >= 0 && header.mtime % NANOS == 0 {
        return None;
    }
    let (sign, time) = if header.mtime < 0 {
        ("-", header.mtime.unsigned_abs())
    } else {
        ("", header.mtime.unsigned_abs())
    };
    let (seconds, nanos) = (time / NANOS.unsigned_abs(), time % NANOS.unsigned_abs());
    let rest = format!(" mtime={sign}{seconds}.{nanos:09}\n");
    // The length counts its own digits, of which there are two for any time.
    Some(format!("{}{rest}", rest.len() + 2))
}

fn write_head(to: &mut dyn Write, entry: &FileHeader) -> io::Result<()> {
    let (name, link) = (name_of(entry), entry.link());
    let kind = match entry.kind {
        EntryKind::File => EntryType::Regular,
        EntryKind::Directory => EntryType::Directory,
        EntryKind::Symlink(_) => EntryType::Symlink,
        EntryKind::Fifo => EntryType::Fifo,
        EntryKind::CharDevice { .. } => EntryType::Char,
        EntryKind::BlockDevice { .. } => EntryType::Block,
    };
    let mut header = header_of(kind, entry.mode, seconds_of(entry), content_len(entry));
    if let Some((major, minor)) = entry.device() {
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    if let Some(record) = time_record(entry) {
        write_extra(to, EntryType::XHeader, b"PaxHeaders/mtime", record.as_bytes())?;
    }
    // The crate's setters normalize names (`a//b`, `./x`), but a symlink's target must stay as written. Names that
    // are too long are truncated here: the full name precedes the header.
    if link.len() > LONGEST_PLAIN {
        write_extra(to, EntryType::GNULongLink, LONG_NAME, &with_nul(link))?;
    }
    if name.len() > LONGEST_PLAIN {
        write_extra(to, EntryType::GNULongName, LONG_NAME, &with_nul(&name))?;
    }
    put(&mut header.as_old_mut().name, &name);
    put(&mut header.as_old_mut().linkname, link);
    header.set_cksum();
    to.write_all(header.as_bytes())
}

/// The name of entries whose content is a long name, in the GNU format.
const LONG_NAME: &[u8] = b"././@LongLink";

fn with_nul(name: &[u8]) -> Vec<u8> {
    [name, &[0]].concat()
}

/// Writes an entry that says more about the next one.
fn write_extra(to: &mut dyn Write, kind: EntryType, name: &[u8], content: &[u8]) -> io::Result<()> {
    let mut header = header_of(kind, 0o644, 0, content.len() as u64);
    put(&mut header.as_old_mut().name, name);
    header.set_cksum();
    to.write_all(header.as_bytes())?;
    to.write_all(content)?;
    pad(to, content.len() as u64)
}

fn header_of(kind: EntryType, mode: u32, mtime: u64, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_size(size);
    header
}

fn put(field: &mut [u8; LONGEST_PLAIN], bytes: &[u8]) {
    let len = bytes.len().min(field.len());
    field[..len].copy_from_slice(&bytes[..len]);
}
