//! Shamir's secret sharing modulo 257, byte by byte, as the security domain of Azure's managed HSM writes it.
//!
//! Each byte of the secret is the constant term of a polynomial of its own. A share of one byte is a 16-bit number:
//! the place at which the polynomial was evaluated in the upper seven bits, its value (0 to 256) in the lower nine. A
//! share of a secret is these numbers in order, little-endian.

use zeroize::Zeroizing;

use crate::{SecretBytes, random};

/// The modulus: the smallest prime above all bytes.
const MODULUS: u32 = 257;

/// The most shares that fit the seven bits of a place.
pub const MOST_SHARES: u8 = 126;

/// Why there is no secret or there are no shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// A quorum below two or above the number of shares, or too many shares.
    #[error("a secret is split into at most 126 shares, of which at least two are required")]
    Quorum,
    /// Shares that are too few, of different lengths, from the same place, or of no secret of bytes.
    #[error("the shares do not make up a secret")]
    Shares,
}

/// Splits a secret into `count` shares, `required` of which give it back.
///
/// # Errors
/// [`ShareError::Quorum`].
pub fn split(secret: &[u8], required: u8, count: u8) -> Result<Vec<SecretBytes>, ShareError> {
    if required < 2 || required > count || count > MOST_SHARES {
        return Err(ShareError::Quorum);
    }
    let mut shares = vec![Zeroizing::new(Vec::with_capacity(secret.len() * 2)); usize::from(count)];
    for byte in secret {
        let mut polynomial = Zeroizing::new(vec![u32::from(*byte)]);
        polynomial.extend((1..required).map(|_| coefficient()));
        for (share, place) in shares.iter_mut().zip(1_u16..) {
            let x = u32::from(place);
            let value = polynomial.iter().rev().fold(0, |sum, term| (sum * x + term) % MODULUS);
            let word = place << 9 | (value & 0x1ff) as u16;
            share.extend_from_slice(&word.to_le_bytes());
        }
    }
    Ok(shares.into_iter().map(|mut share| SecretBytes::new(std::mem::take(&mut *share))).collect())
}

/// Puts a secret together from its first `required` shares.
///
/// # Errors
/// [`ShareError::Quorum`] for a quorum below two, [`ShareError::Shares`]. Shares of another secret give another one.
pub fn join(shares: &[SecretBytes], required: u8) -> Result<SecretBytes, ShareError> {
    if required < 2 {
        return Err(ShareError::Quorum);
    }
    let shares = shares.get(..usize::from(required)).ok_or(ShareError::Shares)?;
    let length = shares.first().map_or(0, SecretBytes::len);
    if !length.is_multiple_of(2) || shares.iter().any(|share| share.len() != length) {
        return Err(ShareError::Shares);
    }
    let mut secret = Zeroizing::new(Vec::with_capacity(length / 2));
    for position in 0..length / 2 {
        let points: Vec<(u32, u32)> = shares.iter().map(|share| point(share.expose(), position)).collect();
        let byte = constant_term(&points).ok_or(ShareError::Shares)?;
        secret.push(u8::try_from(byte).map_err(|_| ShareError::Shares)?);
    }
    Ok(SecretBytes::new(std::mem::take(&mut *secret)))
}

/// A coefficient, each of the 257 with the same probability.
fn coefficient() -> u32 {
    loop {
        let drawn = u32::from(u16::from_le_bytes(random()));
        // 65 535 is a multiple of the modulus: what lies below maps evenly.
        if drawn < 65_535 {
            return drawn % MODULUS;
        }
    }
}

fn point(share: &[u8], position: usize) -> (u32, u32) {
    let word = u16::from_le_bytes([share[position * 2], share[position * 2 + 1]]);
    (u32::from(word >> 9), u32::from(word & 0x1ff))
}

/// The value at zero of the polynomial through the points (Lagrange); `None` when two have the same place.
fn constant_term(points: &[(u32, u32)]) -> Option<u32> {
    let mut sum = 0;
    for (i, (x, y)) in points.iter().enumerate() {
        let (mut above, mut below) = (1, 1);
        for (_, (other, _)) in points.iter().enumerate().filter(|(j, _)| *j != i) {
            above = above * other % MODULUS;
            below = below * (MODULUS + other - x) % MODULUS;
        }
        if below == 0 {
            return None;
        }
        sum = (sum + y * above % MODULUS * inverse(below)) % MODULUS;
    }
    Some(sum)
}

/// The inverse of a number that is not zero: its power 255 (Fermat).
fn inverse(number: u32) -> u32 {
    (0..7).fold(number, |power, _| power * power % MODULUS * number % MODULUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_number_has_its_inverse() {
        for number in 1..MODULUS {
            assert_eq!(number * inverse(number) % MODULUS, 1, "{number}");
        }
    }

    #[test]
    fn words_are_places_and_values() {
        // p(x) = 65 + 3 x at the places 1 and 2.
        let shares = [(1 << 9 | 68_u16), (2 << 9 | 71)].map(|word| SecretBytes::new(word.to_le_bytes().to_vec()));
        assert_eq!(join(&shares, 2).unwrap().expose(), b"A");
        assert_eq!(split(b"ab", 2, 3).unwrap()[2].expose()[1] >> 1, 3, "the place of the third share");
    }

    #[test]
    fn what_is_no_quorum_is_refused() {
        for (required, count) in [(0, 3), (1, 3), (4, 3), (2, 127)] {
            assert_eq!(split(b"secret", required, count).unwrap_err(), ShareError::Quorum, "{required} of {count}");
        }
        let shares = split(b"secret", 3, 5).unwrap();
        assert_eq!(join(&shares[..2], 3).unwrap_err(), ShareError::Shares);
        assert_eq!(join(&shares, 1).unwrap_err(), ShareError::Quorum);
        let twice = [shares[0].clone(), shares[0].clone(), shares[1].clone()];
        assert_eq!(join(&twice, 3).unwrap_err(), ShareError::Shares);
        let short = [shares[0].clone(), shares[1].clone(), SecretBytes::new(vec![0; 2])];
        assert_eq!(join(&short, 3).unwrap_err(), ShareError::Shares);
    }

    /// One share less than required leaves every value of every byte possible: for each there is a last share.
    #[test]
    fn fewer_shares_tell_nothing() {
        let shares = split(b"x", 2, 3).unwrap();
        let known = point(shares[0].expose(), 0);
        let possible = (0..MODULUS).map(|value| constant_term(&[known, (2, value)]).unwrap());
        let mut seen: Vec<u32> = possible.collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..MODULUS).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_quorum_gives_the_secret_back(
            secret in proptest::collection::vec(any::<u8>(), 0..40),
            (required, count) in (2u8..=10).prop_flat_map(|required| (Just(required), required..=12)),
            skip in any::<proptest::sample::Index>(),
        ) {
            let mut shares = split(&secret, required, count).unwrap();
            shares.rotate_left(skip.index(usize::from(count)));
            let joined = join(&shares, required).unwrap();
            prop_assert_eq!(joined.expose(), &secret[..]);
        }
    }
}
