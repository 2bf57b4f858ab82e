// SPDX-License-Identifier: MIT
//! Extended attributes: an inode's header (`struct erofs_xattr_ibody_header`, 12 bytes) with numbers of shared entries, then entries of
//! its own (`struct erofs_xattr_entry`, 4 bytes, then name and value, filled up to a multiple of 4).
//!
//! A shared entry's number is its offset in the shared area, divided by 4.

use super::{u16_at, u32_at};

/// The length of an inode's header.
pub(crate) const HEADER: usize = 12;
/// The length of an entry without name and value.
pub(crate) const ENTRY: usize = 4;
/// The unit of lengths and numbers.
pub(crate) const UNIT: usize = 4;
/// How many shared entries an inode can refer to.
pub(crate) const SHARED_MOST: usize = u8::MAX as usize;
/// How long an inode's attributes can be: `i_xattr_icount` has 16 bits.
pub(crate) const BODY_MOST: usize = body_length(u16::MAX);

/// Prefixes and their numbers (`EROFS_XATTR_INDEX_*`). The two of access control lists are whole names.
const PREFIXES: [(u8, &[u8]); 5] = [
    (1, b"user."),
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (4, b"trusted."),
    (6, b"security."),
];

/// The flag of a long prefix (`EROFS_XATTR_LONG_PREFIX`).
const LONG_PREFIX: u8 = 0x80;

/// Whether EROFS can hold an attribute of this name. Linux knows others, which only some filesystems have.
#[must_use]
pub fn is_supported_xattr(name: &[u8]) -> bool {
    name.len() <= 255 && !name.contains(&0) && split(name).is_some()
}

/// Separates a name into the number of its prefix and the rest.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|(index, prefix)| {
        let rest = name.strip_prefix(*prefix)?;
        let whole = matches!(index, 2 | 3);
        (whole == rest.is_empty()).then_some((*index, rest))
    })
}

/// Encodes an entry. `None` for a name that is not supported, or a value that is too long.
pub(crate) fn encode_entry(name: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    if !is_supported_xattr(name) {
        return None;
    }
    let (index, rest) = split(name)?;
    let mut bytes = Vec::with_capacity((ENTRY + rest.len() + value.len()).next_multiple_of(UNIT));
    bytes.push(u8::try_from(rest.len()).ok()?);
    bytes.push(index);
    bytes.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(UNIT), 0);
    Some(bytes)
}

/// Encodes an inode's header with its numbers of shared entries, of which there are at most [`SHARED_MOST`].
pub(crate) fn encode_header(shared: &[u32], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
    out.push(u8::try_from(shared.len()).expect("at most 255 are shared"));
    out.extend_from_slice(&[0; 7]);
    for number in shared {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// How long an inode's attributes are (`erofs_xattr_ibody_size`).
pub(crate) const fn body_length(count: u16) -> usize {
    match count {
        0 => 0,
        count => HEADER + UNIT * (count as usize - 1),
    }
}

/// The reverse, for a length that is one.
pub(crate) fn body_count(length: usize) -> u16 {
    if length == 0 {
        return 0;
    }
    u16::try_from((length - HEADER) / UNIT + 1).expect("the length of all attributes was checked")
}

/// The head of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryHead {
    pub(crate) name_length: usize,
    pub(crate) index: u8,
    pub(crate) value_length: usize,
}

impl EntryHead {
    pub(crate) fn decode(bytes: [u8; ENTRY]) -> Self {
        Self {
            name_length: bytes[0].into(),
            index: bytes[1],
            value_length: u16_at(&bytes, 2).into(),
        }
    }

    /// Name and value, filled up.
    pub(crate) fn payload(&self) -> usize {
        (self.name_length + self.value_length).next_multiple_of(UNIT)
    }

    /// The whole name; `None` when the prefix is not known. `long` are the image's own prefixes: the number of the prefix they go on
    /// from, and what comes then.
    pub(crate) fn name(&self, rest: &[u8], long: &[(u8, Vec<u8>)]) -> Option<Vec<u8>> {
        let (index, infix) = if self.index & LONG_PREFIX != 0 {
            let (index, infix) = long.get(usize::from(self.index & !LONG_PREFIX))?;
            (*index, infix.as_slice())
        } else {
            (self.index, &[][..])
        };
        let (_, prefix) = PREFIXES.iter().find(|(known, _)| *known == index)?;
        Some([prefix, infix, rest].concat())
    }
}

/// Numbers of shared entries from a header; the error says what is wrong. `body` are all attributes of the inode.
pub(crate) fn decode_header(body: &[u8]) -> Result<(Vec<u32>, &[u8]), &'static str> {
    let (header, rest) = body.split_at_checked(HEADER).ok_or("shorter than its header")?;
    let length = usize::from(header[4]) * UNIT;
    let (shared, own) = rest
        .split_at_checked(length)
        .ok_or("shorter than its list of shared ones")?;
    Ok((shared.chunks_exact(UNIT).map(|number| u32_at(number, 0)).collect(), own))
}

#[cfg(test)]
mod tests {
    use super::{
        BODY_MOST, EntryHead, body_count, body_length, decode_header, encode_entry, encode_header, is_supported_xattr,
    };

    #[test]
    fn names() {
        let cases: [(&[u8], bool); 12] = [
            (b"user.x", true),
            (b"user.", false),
            (b"user", false),
            (b"trusted.overlay.opaque", true),
            (b"security.capability", true),
            (b"system.posix_acl_access", true),
            (b"system.posix_acl_default", true),
            (b"system.posix_acl_other", false),
            (b"system.posix_acl_access.more", false),
            (b"btrfs.compression", false),
            (b"", false),
            (b"user.a\0b", false),
        ];
        for (name, supported) in cases {
            assert_eq!(is_supported_xattr(name), supported, "{}", name.escape_ascii());
        }
        assert!(!is_supported_xattr(&[b"user.".as_slice(), &[b'x'; 251]].concat()));
        assert!(is_supported_xattr(&[b"user.".as_slice(), &[b'x'; 250]].concat()));
    }

    #[test]
    fn entries() {
        let bytes = encode_entry(b"user.abc", b"12").unwrap();
        assert_eq!(bytes, *b"\x03\x01\x02\x00abc12\0\0\0");
        let head = EntryHead::decode([3, 1, 2, 0]);
        assert_eq!((head.name_length, head.value_length, head.payload()), (3, 2, 8));
        assert_eq!(head.name(b"abc", &[]).unwrap(), b"user.abc");
        let long = [(4, b"overlay.".to_vec())];
        let head = EntryHead { index: 0x80, ..head };
        assert_eq!(head.name(b"opaque", &long).unwrap(), b"trusted.overlay.opaque");
        assert_eq!(EntryHead { index: 0x81, ..head }.name(b"x", &long), None);
        assert_eq!(EntryHead { index: 5, ..head }.name(b"x", &long), None);
        assert_eq!(
            encode_entry(b"system.posix_acl_access", b"1234").unwrap(),
            *b"\x00\x02\x04\x001234"
        );
        assert!(encode_entry(b"user.x", &[0; 65_535]).is_some());
        assert!(encode_entry(b"user.x", &[0; 65_536]).is_none());
    }

    #[test]
    fn headers() {
        let mut bytes = Vec::new();
        encode_header(&[7, 1 << 20], &mut bytes);
        assert_eq!((bytes.len(), bytes[4]), (20, 2));
        bytes.push(9);
        assert_eq!(decode_header(&bytes), Ok((vec![7, 1 << 20], &[9][..])));
        assert!(decode_header(&bytes[..19]).is_err());
        assert!(decode_header(&bytes[..11]).is_err());
    }

    #[test]
    fn lengths() {
        for (length, count) in [(0, 0), (12, 1), (16, 2), (BODY_MOST, u16::MAX)] {
            assert_eq!((body_count(length), body_length(count)), (count, length));
        }
    }
}
