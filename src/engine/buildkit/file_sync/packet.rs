//! The messages of a synchronization.
//!
//! Owns what goes into a `Packet` of fsutil (`types/wire.proto`, `types/stat.proto`). Owners are 0:0, and extended
//! attributes are not sent.

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};

use crate::base::EntryKind;
use crate::engine::FileHeader;

/// Returns the metadata of an entry, whose path and target are UTF-8.
pub fn stat(header: &FileHeader) -> Packet {
    let (major, minor) = header.device().unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stat = Stat {
        path: text(header.bytes()),
        mode: go_mode(header),
        size: i64::try_from(header.size).unwrap_or(i64::MAX),
        mod_time: header.mtime,
        linkname: text(header.link()),
        devmajor: major.into(),
        devminor: minor.into(),
        ..Stat::default()
    };
    Packet { stat: Some(stat), ..of(PacketType::PacketStat) }
}

/// Returns the end of the list.
pub fn end_of_list() -> Packet {
    of(PacketType::PacketStat)
}

/// Returns a piece of the content of the file with this position in the list. An empty piece ends the file.
pub fn data(id: u32, bytes: &[u8]) -> Packet {
    Packet { id, data: bytes.to_vec(), ..of(PacketType::PacketData) }
}

/// Returns the end of the transfer.
pub fn end() -> Packet {
    of(PacketType::PacketFin)
}

fn of(kind: PacketType) -> Packet {
    Packet { r#type: kind.into(), ..Packet::default() }
}

/// Returns the type and the mode of an entry as Go's `io/fs.FileMode` represents them.
fn go_mode(header: &FileHeader) -> u32 {
    let kind = match header.kind {
        EntryKind::File => 0,
        EntryKind::Directory => 1 << 31,
        // The engine's copy has a symlink with all permissions, as Linux creates it.
        EntryKind::Symlink(_) => return 1 << 27 | 0o777,
        EntryKind::BlockDevice { .. } => 1 << 26,
        EntryKind::CharDevice { .. } => 1 << 26 | 1 << 21,
        EntryKind::Fifo => 1 << 25,
    };
    let bit = |unix: u32, go: u32| if header.mode & unix == 0 { 0 } else { 1 << go };
    kind | header.mode & 0o777 | bit(0o4000, 23) | bit(0o2000, 22) | bit(0o1000, 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_go() {
        let check = |kind: EntryKind, mode: u32, expected: u32| {
            let header = FileHeader { path: "a".into(), kind, mode, size: 0, mtime: 0 };
            assert_eq!(go_mode(&header), expected, "{header:?}");
        };
        // As printed by Go's `uint32(fs.ModeSetuid | 0o755)` and so on.
        check(EntryKind::File, 0o644, 0o644);
        check(EntryKind::File, 0o4755, 8_388_608 | 0o755);
        check(EntryKind::File, 0o2755, 4_194_304 | 0o755);
        check(EntryKind::Directory, 0o1777, 2_147_483_648 | 1_048_576 | 0o777);
        check(EntryKind::Symlink("b".into()), 0o777, 134_217_728 | 0o777);
        check(EntryKind::Fifo, 0o600, 33_554_432 | 0o600);
        check(EntryKind::CharDevice { major: 1, minor: 3 }, 0o666, 69_206_016 | 0o666);
        check(EntryKind::BlockDevice { major: 8, minor: 0 }, 0o660, 67_108_864 | 0o660);
    }
}
