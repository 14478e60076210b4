//! IPv4 address prefixes in CIDR notation (RFC 4632).

use std::fmt;
use std::net::Ipv4Addr;

/// How many addresses at the start of a subnet Azure keeps: the network, the gateway and two for DNS.
const RESERVED: u32 = 4;

/// An IPv4 prefix without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    base: u32,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Not of the form `a.b.c.d/n`.
    Format,
    /// There are bits behind the prefix; without them it would be this one.
    HostBits(Prefix),
    /// An IPv6 prefix.
    Version6,
}

impl Prefix {
    /// Parses `a.b.c.d/n`.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let (address, length) = text.split_once('/').ok_or(Flaw::Format)?;
        if address.parse::<std::net::Ipv6Addr>().is_ok() {
            return Err(Flaw::Version6);
        }
        let address: Ipv4Addr = address.parse().map_err(|_| Flaw::Format)?;
        let digits = !length.is_empty() && length.len() <= 2 && length.bytes().all(|b| b.is_ascii_digit());
        let length: u8 = length.parse().ok().filter(|n| digits && *n <= 32).ok_or(Flaw::Format)?;
        let base = u32::from(address);
        let prefix = Self { base: base & mask(length), length };
        if prefix.base == base { Ok(prefix) } else { Err(Flaw::HostBits(prefix)) }
    }

    /// The prefix of an address and a number of leading bits; without host bits by its caller's word.
    pub const fn of(address: Ipv4Addr, length: u8) -> Self {
        Self { base: address.to_bits(), length }
    }

    /// The address `n` places after the first.
    pub fn at(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base.saturating_add(n))
    }

    /// Number of leading bits.
    pub fn length(self) -> u8 {
        self.length
    }

    fn last(self) -> u32 {
        self.base | !mask(self.length)
    }

    /// Whether an address lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.length) == self.base
    }

    /// Whether it lies wholly in another one.
    pub fn within(self, outer: Self) -> bool {
        self.length >= outer.length && self.base & mask(outer.length) == outer.base
    }

    /// Whether the two have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.within(other) || other.within(self)
    }

    /// Whether Azure keeps an address of this subnet for itself: the first four and the last.
    pub fn reserves(self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        self.contains(address.into()) && (address - self.base < RESERVED || address == self.last())
    }

    /// The addresses of this subnet that resources may have, in order.
    pub fn usable(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.base.saturating_add(RESERVED)..self.last()).map(Ipv4Addr::from)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.length)
    }
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    #[test]
    fn texts() {
        let table = [
            ("10.0.0.0/16", Ok("10.0.0.0/16")),
            ("0.0.0.0/0", Ok("0.0.0.0/0")),
            ("192.0.2.7/32", Ok("192.0.2.7/32")),
            ("10.0.0.5/24", Err(Flaw::HostBits(p("10.0.0.0/24")))),
            ("10.0.0.0", Err(Flaw::Format)),
            ("10.0.0.0/33", Err(Flaw::Format)),
            ("10.0.0.0/+8", Err(Flaw::Format)),
            ("10.0.0/8", Err(Flaw::Format)),
            ("fd00::/8", Err(Flaw::Version6)),
            ("", Err(Flaw::Format)),
        ];
        for (text, expected) in table {
            assert_eq!(Prefix::parse(text).map(|p| p.to_string()), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn inside_and_overlapping() {
        let table = [
            ("10.0.0.0/24", "10.0.0.0/16", true, true),
            ("10.0.0.0/16", "10.0.0.0/24", false, true),
            ("10.1.0.0/24", "10.0.0.0/16", false, false),
            ("10.0.0.0/16", "10.0.0.0/16", true, true),
            ("10.0.0.0/8", "0.0.0.0/0", true, true),
        ];
        for (a, b, within, overlaps) in table {
            assert_eq!((p(a).within(p(b)), p(a).overlaps(p(b))), (within, overlaps), "{a} {b}");
        }
    }

    #[test]
    fn azure_keeps_five_addresses_of_a_subnet() {
        let table = [("10.0.0.0/27", 27), ("10.0.0.0/29", 3), ("10.0.0.0/30", 0), ("255.255.255.255/32", 0)];
        for (text, count) in table {
            assert_eq!(p(text).usable().count(), count, "{text}");
        }
        let subnet = p("10.0.0.0/27");
        assert_eq!(subnet.usable().next(), Some(Ipv4Addr::new(10, 0, 0, 4)));
        for (last, reserved) in [(0, true), (3, true), (4, false), (30, false), (31, true), (32, false)] {
            assert_eq!(subnet.reserves(Ipv4Addr::new(10, 0, 0, last)), reserved, "{last}");
        }
    }
}
