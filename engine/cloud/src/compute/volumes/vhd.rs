//! The footer of a fixed virtual hard disk, in which form Azure exports and takes disks.
//!
//! Source: Virtual Hard Disk Image Format Specification, version 1.0.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Bytes of a footer.
pub(super) const FOOTER: u64 = 512;

/// 2000-01-01T00:00:00Z, from which the format counts seconds.
const EPOCH: i64 = 946_684_800;

/// The footer for content of a length.
pub(super) fn footer(length: u64, time: DateTime<Utc>, uid: Uuid) -> [u8; FOOTER as usize] {
    let mut footer = [0; FOOTER as usize];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(target) = footer.get_mut(at..at + bytes.len()) {
            target.copy_from_slice(bytes);
        }
    };
    let seconds = u32::try_from(time.timestamp() - EPOCH).unwrap_or_default();
    let (cylinders, heads, sectors) = geometry(length / 512);
    put(0, b"conectix");
    put(8, &2_u32.to_be_bytes());
    put(12, &0x0001_0000_u32.to_be_bytes());
    put(16, &u64::MAX.to_be_bytes());
    put(24, &seconds.to_be_bytes());
    put(28, b"win ");
    put(32, &0x000A_0000_u32.to_be_bytes());
    put(36, b"Wi2k");
    put(40, &length.to_be_bytes());
    put(48, &length.to_be_bytes());
    put(56, &cylinders.to_be_bytes());
    put(58, &[heads, sectors]);
    put(60, &2_u32.to_be_bytes());
    put(68, uid.as_bytes());
    let sum: u32 = footer.iter().map(|byte| u32::from(*byte)).sum();
    let checksum = (!sum).to_be_bytes();
    if let Some(target) = footer.get_mut(64..68) {
        target.copy_from_slice(&checksum);
    }
    footer
}

/// Cylinders, heads and sectors per track for a number of sectors (appendix of the specification).
fn geometry(sectors: u64) -> (u16, u8, u8) {
    let total = sectors.min(65_535 * 16 * 255);
    let fit = |per_track: u64| total / per_track;
    let (per_track, heads, by_heads) = if total >= 65_535 * 16 * 63 {
        (255, 16, fit(255))
    } else {
        let heads = fit(17).div_ceil(1024).max(4);
        if fit(17) < heads * 1024 && heads <= 16 {
            (17, heads, fit(17))
        } else if fit(31) < 16 * 1024 {
            (31, 16, fit(31))
        } else {
            (63, 16, fit(63))
        }
    };
    let narrow = |number: u64| u8::try_from(number).unwrap_or(u8::MAX);
    (u16::try_from(by_heads / heads).unwrap_or(u16::MAX), narrow(heads), narrow(per_track))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footers_follow_the_format() {
        let gib = 1 << 30;
        let footer = footer(30 * gib, DateTime::from_timestamp(EPOCH + 258, 0).unwrap(), Uuid::nil());
        assert_eq!(&footer[..8], b"conectix");
        assert_eq!(footer[24..28], [0, 0, 1, 2]);
        assert_eq!(footer[40..48], (30 * gib).to_be_bytes());
        let sum: u32 =
            footer.iter().enumerate().filter(|(at, _)| !(64..68).contains(at)).map(|(_, b)| u32::from(*b)).sum();
        assert_eq!(footer[64..68], (!sum).to_be_bytes());
    }

    #[test]
    fn geometries() {
        for (gib, expected) in
            [(1, (2_080, 16, 63)), (30, (62_415, 16, 63)), (32, (16_448, 16, 255)), (2_048, (65_535, 16, 255))]
        {
            assert_eq!(geometry((gib << 30) / 512), expected, "{gib}");
        }
    }
}
