//! Whatever a security domain, or what carries one to another managed HSM, holds: it opens to what was put in or not at
//! all, by a quorum or not at all. An input is a JSON document, or an object of places in a sound one and what to put
//! there.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sealbook_crypto::rsa::{RsaBits, RsaKey};
use sealbook_crypto::security_domain::{Datum, DomainError, Holder, carry, open, receive, write};
use serde_json::Value;

struct Sound {
    keys: [RsaKey; 3],
    domain: Value,
    carried: Value,
}

const TAGS: [&str; 2] = ["SecurityDomainId", "BackupKey"];

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let keys = [(); 3].map(|()| RsaKey::generate(RsaBits::B2048));
        let holder = |key: &RsaKey| Holder { key: key.public(), thumbprint: "t".into() };
        let data = TAGS.map(|tag| Datum { tag: tag.into(), secret: tag.as_bytes().to_vec().into() });
        let domain = write(&data, &[holder(&keys[0]), holder(&keys[1])], 2).expect("a domain");
        let carried = carry(&data, &holder(&keys[0])).expect("a domain");
        Sound { keys, domain, carried }
    })
}

/// What came out is some of what went in: entries can be left out or said twice, not made.
fn known(data: &[Datum]) {
    for datum in data {
        assert!(TAGS.contains(&&*datum.tag) && datum.secret.expose() == datum.tag.as_bytes(), "{}", datum.tag);
    }
}

fn judge(document: &Value) {
    let Sound { keys, .. } = sound();
    match open(document, &[&keys[0], &keys[1]]) {
        Ok(opened) => {
            known(&opened.data);
            assert!(opened.required == 2 && opened.shares >= 1);
        }
        Err(DomainError::Quorum { have, required }) => assert!(have < required && have <= 2),
        Err(DomainError::Malformed) => {}
    }
    assert!(open(document, &[&keys[2]]).is_err(), "a stranger's key");
    if let Ok(data) = receive(document, &keys[0], "t") {
        known(&data);
    }
    assert!(receive(document, &keys[2], "t").is_err(), "a stranger's key");
}

fuzz_target!(|data: &[u8]| {
    if let Some(holder) = Holder::of_certificate(data) {
        assert!(!holder.key.n.is_empty() && !holder.thumbprint.is_empty());
    }
    let Ok(document) = serde_json::from_slice::<Value>(data) else { return };
    judge(&document);
    let Some(members) = document.as_object().filter(|members| members.len() < 8) else { return };
    let Sound { domain, carried, .. } = sound();
    for whole in [domain, carried] {
        let mut bent = whole.clone();
        for (place, value) in members {
            // A text that is a place in the document takes what stands there.
            let value = value.as_str().and_then(|from| whole.pointer(from)).unwrap_or(value).clone();
            if let Some(target) = bent.pointer_mut(place) {
                *target = value;
            }
        }
        if bent != *whole {
            judge(&bent);
        }
    }
});
