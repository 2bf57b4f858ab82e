// SPDX-License-Identifier: MIT
//! Modes of files as Go writes them (`io/fs.FileMode`, <https://pkg.go.dev/io/fs#FileMode>), and as inodes have them. Pure.

/// Bits that say what a file is.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const PIPE: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SET_USER: u32 = 1 << 23;
const SET_GROUP: u32 = 1 << 22;
const CHARACTER: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;
const IRREGULAR: u32 = 1 << 19;

/// `ModeType`: none of these is set for a plain file, and only of plain files are bytes asked for.
const TYPE: u32 = DIRECTORY | SYMLINK | DEVICE | PIPE | SOCKET | CHARACTER | IRREGULAR;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileType {
    /// A plain file.
    Plain,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device of characters.
    CharacterDevice,
    /// A device of blocks.
    BlockDevice,
    /// A named pipe.
    Pipe,
    /// What no layer has: a socket, or what Go has no name for.
    Other,
}

/// The set-id and sticky bits: Go's, and those of `st_mode` (inode(7)).
const SPECIAL: [(u32, u32); 3] = [(SET_USER, 0o4000), (SET_GROUP, 0o2000), (STICKY, 0o1000)];

/// Reads a mode: what the file is, and `st_mode & 07777`.
pub(super) fn parse(mode: u32) -> (FileType, u32) {
    let kind = match mode & TYPE {
        0 => FileType::Plain,
        DIRECTORY => FileType::Directory,
        SYMLINK => FileType::Symlink,
        DEVICE => FileType::BlockDevice,
        PIPE => FileType::Pipe,
        kind if kind == DEVICE | CHARACTER => FileType::CharacterDevice,
        _ => FileType::Other,
    };
    let special = SPECIAL.iter().filter(|(go, _)| mode & go != 0);
    (kind, special.fold(mode & 0o777, |bits, (_, inode)| bits | inode))
}

/// Writes a mode.
pub(super) fn format(kind: FileType, mode: u32) -> u32 {
    let kind = match kind {
        FileType::Plain => 0,
        FileType::Directory => DIRECTORY,
        FileType::Symlink => SYMLINK,
        FileType::CharacterDevice => DEVICE | CHARACTER,
        FileType::BlockDevice => DEVICE,
        FileType::Pipe => PIPE,
        FileType::Other => IRREGULAR,
    };
    let special = SPECIAL.iter().filter(|(_, inode)| mode & inode != 0);
    special.fold(kind | (mode & 0o777), |bits, (go, _)| bits | go)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_go() {
        assert_eq!(TYPE, 0x8f28_0000);
        for (go, kind, mode) in [
            (0o644, FileType::Plain, 0o644),
            (0x8000_01ed, FileType::Directory, 0o755),
            (0x8010_01ff, FileType::Directory, 0o1777),
            (0x0800_01ff, FileType::Symlink, 0o777),
            (0x0420_01b6, FileType::CharacterDevice, 0o666),
            (0x0400_01b0, FileType::BlockDevice, 0o660),
            (0x0200_01a4, FileType::Pipe, 0o644),
            (0x00c0_01ed, FileType::Plain, 0o6755),
        ] {
            assert_eq!(parse(go), (kind, mode), "{go:#x}");
            assert_eq!(format(kind, mode), go, "{go:#x}");
        }
        for strange in [0x0100_01ed, 0x0008_01a4, 0x8800_0000, 0x0020_01a4, u32::MAX] {
            assert_eq!(parse(strange).0, FileType::Other, "{strange:#x}");
        }
    }
}
