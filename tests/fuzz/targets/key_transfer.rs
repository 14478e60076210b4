//! Whatever a key transfer blob holds: what is read is written back to what says the same, and it opens to what was
//! wrapped, for the exchange key alone, or not at all. The three wraps alike.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{RsaAesWrap, RsaBits, RsaKey, TransferBlob};

#[path = "common/mod.rs"]
mod common;

const TARGET: &[u8] = b"the key that travels, forty bytes of it.";

struct Sound {
    exchange: RsaKey,
    blobs: [Vec<u8>; 3],
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let exchange = RsaKey::generate(RsaBits::B2048);
        let target = SecretBytes::from(TARGET.to_vec());
        let blobs = RsaAesWrap::ALL.map(|wrap| wrap.wrap(&exchange.public(), &target).expect("it can be wrapped"));
        Sound { exchange, blobs }
    })
}

fuzz_target!(|data: &[u8]| {
    let Sound { exchange, blobs } = sound();
    if let Ok(blob) = TransferBlob::parse(data) {
        assert_eq!(TransferBlob::parse(&blob.encode("fuzz")).as_ref(), Ok(&blob));
        assert!(blob.unwrap(exchange).is_err(), "nobody wrapped this");
    }
    let Some((which, how)) = data.split_first().filter(|_| data.len() < 512) else { return };
    let (wrap, sound) = (RsaAesWrap::ALL[usize::from(which % 3)], &blobs[usize::from(which % 3)]);
    let mut bent = sound.clone();
    let changed = common::damage(&mut bent, how);
    match wrap.unwrap(exchange, &bent) {
        Ok(opened) => assert!(!changed && opened.expose() == TARGET),
        Err(_) => assert!(changed),
    }
    assert!(wrap.unwrap(exchange, data).is_err());
});
