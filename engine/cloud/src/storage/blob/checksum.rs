//! The checksums of Blob Storage: MD5 as the protocol's content digest, and its CRC-64.
//!
//! Both guard against damage on the way, not against forgery: that is what the encryption's tags are for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::headers;
use crate::http::Request;
use crate::refusal::Refusal;

/// MD5 (RFC 1321) in base64, as `Content-MD5` carries it.
pub(crate) fn md5(bytes: &[u8]) -> String {
    STANDARD.encode(Md5::digest(bytes))
}

/// CRC-64 of Blob Storage in base64, as `x-ms-content-crc64` carries it: the reflected NVMe polynomial, little endian.
pub(super) fn crc64(bytes: &[u8]) -> String {
    const TABLE: [u64; 256] = table();
    let mut crc = u64::MAX;
    for byte in bytes {
        crc = TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    }
    STANDARD.encode((!crc).to_le_bytes())
}

const fn table() -> [u64; 256] {
    const POLYNOMIAL: u64 = 0x9A6C_9329_AC4B_C9B5;
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { POLYNOMIAL ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// Refuses a body that does not have the checksum its headers claim.
pub(crate) fn check(request: &Request) -> Result<(), Refusal> {
    if let Some(given) = request.header("content-md5") {
        well_formed(given, 16, "Content-MD5", "InvalidMd5")?;
        if given != md5(&request.body) {
            return Err(Refusal::new(
                400,
                "Md5Mismatch",
                "The MD5 value specified in the request did not match with the MD5 value calculated by the server.",
            ));
        }
    }
    if let Some(given) = request.header("x-ms-content-crc64") {
        well_formed(given, 8, "x-ms-content-crc64", "InvalidHeaderValue")?;
        if given != crc64(&request.body) {
            return Err(Refusal::new(
                400,
                "Crc64Mismatch",
                "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.",
            ));
        }
    }
    Ok(())
}

/// Refuses a header that is no base64 of so many bytes.
pub(super) fn well_formed(given: &str, bytes: usize, name: &str, code: &str) -> Result<(), Refusal> {
    if STANDARD.decode(given).is_ok_and(|decoded| decoded.len() == bytes) {
        return Ok(());
    }
    let mut refusal = headers::invalid(name);
    refusal.code = code.to_owned();
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors() {
        assert_eq!(hex::encode(STANDARD.decode(md5(b"abc")).unwrap()), "900150983cd24fb0d6963f7d28e17f72");
        // The check value of CRC-64/NVME in the catalogue of parametrised CRC algorithms.
        assert_eq!(STANDARD.decode(crc64(b"123456789")).unwrap(), 0xAE8B_1486_0A79_9888_u64.to_le_bytes());
        assert_eq!(crc64(b""), "AAAAAAAAAAA=");
    }
}
