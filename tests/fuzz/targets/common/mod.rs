//! What several targets need.

#![allow(dead_code, reason = "every target uses another part of it")]

/// A value that no recorded evidence answers: where it is demanded, whatever verifies was forged.
pub const NOBODYS: [u8; 64] = [0x5a; 64];

/// The parts between lines of dashes, as many as are wanted; missing ones are empty.
pub fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    const LINE: &[u8] = b"\n----\n";
    let mut rest = data;
    let mut all = [&data[..0]; N];
    for (number, part) in all.iter_mut().enumerate() {
        let end = (number + 1 < N).then(|| rest.windows(LINE.len()).position(|window| window == LINE)).flatten();
        *part = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[][..], |end| &rest[end + LINE.len()..]);
    }
    all
}

/// Does something to sound bytes: two bytes say where, one what, the rest with what. Whether they are others now.
pub fn damage(bytes: &mut Vec<u8>, how: &[u8]) -> bool {
    let [low, high, what, with @ ..] = how else { return false };
    let before = bytes.clone();
    let at = usize::from(u16::from_le_bytes([*low, *high])) % (bytes.len() + 1);
    match what % 4 {
        0 => bytes.iter_mut().skip(at).zip(with).for_each(|(to, by)| *to ^= by),
        1 => drop(bytes.splice(at..at, with.iter().copied())),
        2 => drop(bytes.drain(at..(at + with.len()).min(before.len()))),
        _ => bytes.iter_mut().skip(at).zip(with).for_each(|(to, by)| *to = *by),
    }
    *bytes != before
}
