//! Key wrap made of single AES blocks, for keys of 192 bits, which the library's own key wrap does not take.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use super::SEMIBLOCK;

/// The initial value of RFC 3394 §2.2.3.1.
const INITIAL: [u8; SEMIBLOCK] = [0xa6; SEMIBLOCK];
/// The constant half of the alternative initial value of RFC 5649 §3; the length in bytes follows.
const ALTERNATIVE: [u8; 4] = [0xa6, 0x59, 0x59, 0xa6];

/// A key with both of its schedules.
pub(super) struct Blocks {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl Blocks {
    pub fn new(key: &[u8]) -> Result<Self, Unspecified> {
        let algorithm: &'static Algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            32 => &AES_256,
            _ => return Err(Unspecified),
        };
        let unbound = || UnboundCipherKey::new(algorithm, key);
        Ok(Self { encrypting: EncryptingKey::ecb(unbound()?)?, decrypting: DecryptingKey::ecb(unbound()?)? })
    }

    /// Wraps whole semiblocks; returns the length.
    pub fn wrap(&self, plaintext: &[u8], out: &mut [u8]) -> Result<usize, Unspecified> {
        self.forward(INITIAL, plaintext, out)
    }

    /// Unwraps whole semiblocks; returns the length.
    pub fn unwrap(&self, wrapped: &[u8], out: &mut [u8]) -> Result<usize, Unspecified> {
        let head = self.back(wrapped, out)?;
        verify_slices_are_equal(&head, &INITIAL)?;
        Ok(wrapped.len() - SEMIBLOCK)
    }

    /// Pads and wraps; returns the length.
    pub fn wrap_padded(&self, plaintext: &[u8], out: &mut [u8]) -> Result<usize, Unspecified> {
        let length = u32::try_from(plaintext.len()).map_err(|_| Unspecified)?;
        let mut head = [0; SEMIBLOCK];
        head[..4].copy_from_slice(&ALTERNATIVE);
        head[4..].copy_from_slice(&length.to_be_bytes());
        let mut padded = Zeroizing::new(vec![0; plaintext.len().next_multiple_of(SEMIBLOCK)]);
        padded[..plaintext.len()].copy_from_slice(plaintext);
        self.forward(head, &padded, out)
    }

    /// Unwraps and checks the padding; returns the length.
    pub fn unwrap_padded(&self, wrapped: &[u8], out: &mut [u8]) -> Result<usize, Unspecified> {
        let head = self.back(wrapped, out)?;
        let (constant, length) = head.split_first_chunk::<4>().ok_or(Unspecified)?;
        verify_slices_are_equal(constant, &ALTERNATIVE)?;
        let length = u32::from_be_bytes(length.try_into().map_err(|_| Unspecified)?);
        let length = usize::try_from(length).map_err(|_| Unspecified)?;
        let body = &out[..wrapped.len() - SEMIBLOCK];
        // Fewer than eight bytes of padding, all of them zero.
        let padding = body.len().checked_sub(length).filter(|padding| *padding < SEMIBLOCK).ok_or(Unspecified)?;
        verify_slices_are_equal(&body[length..], &[0; SEMIBLOCK][..padding])?;
        Ok(length)
    }

    /// RFC 3394 §2.2.1 with an initial value; a single semiblock is one block (RFC 5649 §4.1).
    pub(super) fn forward(&self, head: [u8; SEMIBLOCK], body: &[u8], out: &mut [u8]) -> Result<usize, Unspecified> {
        let length = body.len() + SEMIBLOCK;
        out[SEMIBLOCK..length].copy_from_slice(body);
        let mut block = [0; 2 * SEMIBLOCK];
        block[..SEMIBLOCK].copy_from_slice(&head);
        let count = body.len() / SEMIBLOCK;
        let rounds = if count == 1 { 1 } else { 6 };
        for step in 0..rounds * count {
            let at = SEMIBLOCK * (1 + step % count);
            block[SEMIBLOCK..].copy_from_slice(&out[at..at + SEMIBLOCK]);
            self.encrypting.encrypt(&mut block)?;
            if count > 1 {
                number(&mut block, step + 1);
            }
            out[at..at + SEMIBLOCK].copy_from_slice(&block[SEMIBLOCK..]);
        }
        out[..SEMIBLOCK].copy_from_slice(&block[..SEMIBLOCK]);
        Ok(length)
    }

    /// The inverse: fills `out` with the body and returns the initial value.
    fn back(&self, wrapped: &[u8], out: &mut [u8]) -> Result<[u8; SEMIBLOCK], Unspecified> {
        let (head, body) = wrapped.split_at_checked(SEMIBLOCK).ok_or(Unspecified)?;
        out[..body.len()].copy_from_slice(body);
        let mut block = Zeroizing::new([0; 2 * SEMIBLOCK]);
        block[..SEMIBLOCK].copy_from_slice(head);
        let count = body.len() / SEMIBLOCK;
        let rounds = if count == 1 { 1 } else { 6 };
        for step in (0..rounds * count).rev() {
            let at = SEMIBLOCK * (step % count);
            if count > 1 {
                number(&mut block, step + 1);
            }
            block[SEMIBLOCK..].copy_from_slice(&out[at..at + SEMIBLOCK]);
            self.decrypting.decrypt(&mut *block, DecryptionContext::None)?;
            out[at..at + SEMIBLOCK].copy_from_slice(&block[SEMIBLOCK..]);
        }
        let mut initial = [0; SEMIBLOCK];
        initial.copy_from_slice(&block[..SEMIBLOCK]);
        Ok(initial)
    }
}

/// Adds the number of a step to the first semiblock of a block, without carry.
fn number(block: &mut [u8; 2 * SEMIBLOCK], step: usize) {
    for (byte, bits) in block[..SEMIBLOCK].iter_mut().zip((step as u64).to_be_bytes()) {
        *byte ^= bits;
    }
}
