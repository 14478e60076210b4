//! Commands one by one, against a machine that was never started by a cloud.

use proptest::prelude::*;
use sealbook_crypto::rsa::{Padding, RsaBits, RsaKey, RsaPublic};
use tpm2_protocol::data::{
    Tpm2bNvPublic, TpmAlgId, TpmCap, TpmCc, TpmPt, TpmRh, TpmSe, TpmaNv, TpmsAuthCommand, TpmsNvPublic, TpmtHa,
    TpmtRsaDecrypt, TpmtSymDef, TpmuCapabilities, TpmuHa, TpmuPublicId,
};
use tpm2_protocol::frame::{
    TpmFlushContextCommand, TpmFlushContextResponse, TpmGetCapabilityCommand, TpmGetCapabilityResponse,
    TpmGetRandomCommand, TpmGetRandomResponse, TpmNvDefineSpaceCommand, TpmNvDefineSpaceResponse,
    TpmNvUndefineSpaceCommand, TpmNvUndefineSpaceResponse, TpmPcrExtendCommand, TpmPcrExtendResponse,
    TpmPolicyGetDigestCommand, TpmPolicyGetDigestResponse, TpmPolicyPcrCommand, TpmPolicyPcrResponse,
    TpmPolicySecretCommand, TpmPolicySecretResponse, TpmReadPublicCommand, TpmReadPublicResponse, TpmResponse,
    TpmRsaDecryptCommand, TpmRsaDecryptResponse, TpmStartAuthSessionCommand, TpmStartAuthSessionResponse,
};

use super::keys::{AK, EK};
use super::*;
use crate::tee::boot::Boot;
use crate::tee::tests::guest::{NULL, OWNER, decryption_key, frame, password, registers};

struct Bench {
    machine: Machine,
    volatile: Volatile,
}

fn bench() -> Bench {
    let boot = Boot { number: 1, image: "a:b:c:1".into(), secure_boot: true, ..Boot::default() };
    let machine = Machine::bare(boot, &RsaKey::generate(RsaBits::B2048), &RsaKey::generate(RsaBits::B2048));
    Bench { machine, volatile: Volatile::default() }
}

impl Bench {
    fn send(&mut self, command: &[u8]) -> Vec<u8> {
        Tpm { machine: &mut self.machine, volatile: &mut self.volatile, clock: 7 }.transmit(command)
    }

    fn ask<R: TpmUnmarshalBody>(&mut self, command: &impl TpmFrame, sessions: &[TpmsAuthCommand]) -> Result<R, u32> {
        let answer = self.send(&frame(command, sessions));
        let response = TpmResponse::cast(&answer).unwrap();
        match response.rc().unwrap().value() {
            0 => Ok(response.unmarshal().unwrap()),
            code => Err(code),
        }
    }

    fn session(&mut self, session_type: TpmSe) -> u32 {
        let start = TpmStartAuthSessionCommand {
            handles: [NULL.into(), NULL.into()],
            nonce_caller: (&[1; 16][..]).try_into().unwrap(),
            encrypted_salt: Default::default(),
            session_type,
            symmetric: TpmtSymDef::default(),
            auth_hash: TpmAlgId::Sha256,
        };
        self.ask::<TpmStartAuthSessionResponse>(&start, &[]).unwrap().handles[0].value()
    }

    fn policy_pcr(&mut self, session: u32, digest: &[u8]) -> Result<TpmPolicyPcrResponse, u32> {
        let pcr_digest = digest.try_into().unwrap();
        self.ask(&TpmPolicyPcrCommand { handles: [session.into()], pcr_digest, pcrs: registers(&[7, 8]) }, &[])
    }

    fn digest(&mut self, session: u32) -> Vec<u8> {
        let get = TpmPolicyGetDigestCommand { handles: [session.into()] };
        self.ask::<TpmPolicyGetDigestResponse>(&get, &[]).unwrap().policy_digest.to_vec()
    }

    fn extend(&mut self, pcr: u32, hash_alg: TpmAlgId, digest: &[u8]) -> Result<TpmPcrExtendResponse, u32> {
        let mut digests = tpm2_protocol::basic::TpmList::new();
        digests.try_push(TpmtHa { hash_alg, digest: TpmuHa::Digest(digest.try_into().unwrap()) }).unwrap();
        self.ask(&TpmPcrExtendCommand { handles: [pcr.into()], digests }, &[password()])
    }

    fn create(&mut self, template: tpm2_protocol::data::TpmtPublic) -> Result<(u32, RsaPublic), u32> {
        use tpm2_protocol::data::{Tpm2bPublic, Tpm2bSensitiveCreate};
        use tpm2_protocol::frame::TpmCreatePrimaryResponse;
        let create = TpmCreatePrimaryCommand {
            handles: [NULL.into()],
            in_sensitive: Tpm2bSensitiveCreate::default(),
            in_public: Tpm2bPublic { inner: template },
            outside_info: Default::default(),
            creation_pcr: tpm2_protocol::basic::TpmList::new(),
        };
        let made: TpmCreatePrimaryResponse = self.ask(&create, &[password()])?;
        let TpmuPublicId::Rsa(n) = made.out_public.inner.unique else { panic!("{made:?}") };
        Ok((made.handles[0].value(), RsaPublic { n: n.to_vec(), e: vec![1, 0, 1] }))
    }
}

fn with(session: u32, keep: bool) -> TpmsAuthCommand {
    use tpm2_protocol::data::TpmaSession;
    let session_attributes = if keep { TpmaSession::CONTINUE_SESSION } else { TpmaSession::empty() };
    TpmsAuthCommand { session_handle: session.into(), session_attributes, ..Default::default() }
}

fn decrypt(key: u32, ciphertext: &[u8]) -> TpmRsaDecryptCommand {
    TpmRsaDecryptCommand {
        handles: [key.into()],
        cipher_text: ciphertext.try_into().unwrap(),
        in_scheme: TpmtRsaDecrypt { scheme: TpmAlgId::Rsaes, ..Default::default() },
        label: Default::default(),
    }
}

#[test]
fn a_key_under_a_policy_opens_while_the_registers_are_what_they_were() {
    let mut bench = bench();
    let trial = bench.session(TpmSe::Trial);
    bench.policy_pcr(trial, &[]).unwrap();
    let policy = bench.digest(trial);
    let (key, public) = bench.create(decryption_key(&policy)).unwrap();
    let ciphertext = public.encrypt(Padding::Pkcs1v15, b"secret").unwrap();
    let open = decrypt(key, &ciphertext);
    // A password is not enough, nor a session that has not met the policy, nor one for trial.
    assert_eq!(bench.ask::<TpmRsaDecryptResponse>(&open, &[password()]), Err(0x12f));
    let session = bench.session(TpmSe::Policy);
    assert_eq!(bench.ask::<TpmRsaDecryptResponse>(&open, &[with(session, true)]), Err(0x99d));
    assert_eq!(bench.ask::<TpmRsaDecryptResponse>(&open, &[with(trial, true)]), Err(0x982));
    assert_eq!(bench.policy_pcr(session, &[9; 32]), Err(0x1c4), "other registers");
    bench.policy_pcr(session, &[]).unwrap();
    let opened: TpmRsaDecryptResponse = bench.ask(&open, &[with(session, true)]).unwrap();
    assert_eq!(&opened.message[..], b"secret");
    // Once met is once used.
    assert_eq!(bench.ask::<TpmRsaDecryptResponse>(&open, &[with(session, true)]), Err(0x99d));
    bench.policy_pcr(session, &[]).unwrap();
    bench.extend(16, TpmAlgId::Sha256, &[1; 32]).unwrap();
    assert!(
        bench.ask::<TpmRsaDecryptResponse>(&open, &[with(session, true)]).is_ok(),
        "a register that does not count"
    );
    bench.policy_pcr(session, &[]).unwrap();
    bench.extend(15, TpmAlgId::Sha256, &[1; 32]).unwrap();
    assert_eq!(bench.ask::<TpmRsaDecryptResponse>(&open, &[with(session, true)]), Err(0x128), "registers changed");
    let second = bench.session(TpmSe::Policy);
    bench.policy_pcr(second, &[]).unwrap();
    assert!(bench.ask::<TpmRsaDecryptResponse>(&open, &[with(second, false)]).is_ok(), "not one of the policy's");
    assert_eq!(bench.policy_pcr(second, &[]), Err(0x18b), "the session ended with its use");
    bench.extend(8, TpmAlgId::Sha256, &[1; 32]).unwrap();
    let third = bench.session(TpmSe::Policy);
    bench.policy_pcr(third, &[]).unwrap();
    assert_eq!(bench.ask::<TpmRsaDecryptResponse>(&open, &[with(third, true)]), Err(0x99d), "another state");
}

/// The policy of the endorsement key in the TCG's credential profile is what the commands compute.
#[test]
fn a_policy_with_a_secret_is_that_of_the_endorsement_key() {
    let mut bench = bench();
    let session = bench.session(TpmSe::Policy);
    let endorsement = (TpmRh::Endorsement as u32).into();
    let mut secret = TpmPolicySecretCommand {
        handles: [endorsement, session.into()],
        nonce_tpm: Default::default(),
        cp_hash_a: Default::default(),
        policy_ref: Default::default(),
        expiration: 0.into(),
    };
    bench.ask::<TpmPolicySecretResponse>(&secret, &[password()]).unwrap();
    let read = TpmReadPublicCommand { handles: [EK.into()] };
    let ek: TpmReadPublicResponse = bench.ask(&read, &[]).unwrap();
    assert_eq!(bench.digest(session), ek.out_public.inner.auth_policy.to_vec());
    secret.expiration = (-1).into();
    assert_eq!(bench.ask::<TpmPolicySecretResponse>(&secret, &[password()]), Err(0x4c4));
    assert_eq!(bench.ask::<TpmPolicySecretResponse>(&secret, &[]), Err(0x125));
    let wrong = TpmsAuthCommand { hmac: (&b"guess"[..]).try_into().unwrap(), ..password() };
    assert_eq!(bench.ask::<TpmPolicySecretResponse>(&secret, &[wrong]), Err(0x9a2));
}

#[test]
fn templates_of_other_keys_are_refused_by_what_is_wrong() {
    use tpm2_protocol::data::{TpmaObject, TpmsRsaParms, TpmuPublicParms};
    type Change = fn(&mut tpm2_protocol::data::TpmtPublic);
    fn parameters(template: &mut tpm2_protocol::data::TpmtPublic) -> &mut TpmsRsaParms {
        let TpmuPublicParms::Rsa(parameters) = &mut template.parameters else { panic!("no RSA key") };
        parameters
    }
    let rows: [(Change, u32); 6] = [
        (|t| t.name_alg = TpmAlgId::Sha1, 0x2c3),
        (|t| t.object_attributes |= TpmaObject::SIGN_ENCRYPT, 0x2c2),
        (|t| t.object_attributes |= TpmaObject::RESTRICTED, 0x2c2),
        (|t| t.auth_policy = (&[0; 20][..]).try_into().unwrap(), 0x2d5),
        (|t| parameters(t).key_bits = 1024.into(), 0x2c4),
        (|t| parameters(t).exponent = 3.into(), 0x2cd),
    ];
    let mut bench = bench();
    for (change, code) in rows {
        let mut template = decryption_key(&[]);
        change(&mut template);
        assert_eq!(bench.create(template.clone()), Err(code), "{template:?}");
    }
    let handles: Vec<u32> = (0..8).map(|_| bench.create(decryption_key(&[])).unwrap().0).collect();
    assert_eq!(bench.create(decryption_key(&[])), Err(0x902), "the memory is full");
    let flush = TpmFlushContextCommand { handles: [], flush_handle: handles[3].into() };
    bench.ask::<TpmFlushContextResponse>(&flush, &[]).unwrap();
    assert_eq!(bench.ask::<TpmFlushContextResponse>(&flush, &[]), Err(0x1cb));
    assert_eq!(bench.create(decryption_key(&[])).unwrap().0, handles[3]);
}

#[test]
fn memory_belongs_to_who_may_use_it() {
    const INDEX: u32 = 0x0150_0000;
    let mut bench = bench();
    let define = |index: u32, attributes: TpmaNv, size: u16| TpmNvDefineSpaceCommand {
        handles: [OWNER.into()],
        auth: Default::default(),
        public_info: Tpm2bNvPublic {
            inner: TpmsNvPublic {
                nv_index: index.into(),
                name_alg: TpmAlgId::Sha256,
                attributes,
                auth_policy: Default::default(),
                data_size: size.into(),
            },
        },
    };
    let own = TpmaNv::OWNERREAD | TpmaNv::OWNERWRITE;
    for (command, code) in [
        (define(INDEX, TpmaNv::OWNERREAD, 8), 0x2c2),
        (define(INDEX, own | TpmaNv::COUNTER, 8), 0x2c2),
        (define(INDEX, own, 4097), 0x2d5),
        (define(0x8000_0000, own, 8), 0x2c4),
    ] {
        assert_eq!(bench.ask::<TpmNvDefineSpaceResponse>(&command, &[password()]), Err(code));
    }
    bench.ask::<TpmNvDefineSpaceResponse>(&define(INDEX, own, 8), &[password()]).unwrap();
    let read = |by: u32, size: u16, offset: u16| tpm2_protocol::frame::TpmNvReadCommand {
        handles: [by.into(), INDEX.into()],
        size: size.into(),
        offset: offset.into(),
    };
    use tpm2_protocol::frame::{TpmNvReadResponse, TpmNvWriteCommand, TpmNvWriteResponse};
    assert_eq!(bench.ask::<TpmNvReadResponse>(&read(OWNER, 8, 0), &[password()]), Err(0x14a), "never written");
    let data = (&b"content!"[..]).try_into().unwrap();
    let write = TpmNvWriteCommand { handles: [OWNER.into(), INDEX.into()], data, offset: 0.into() };
    bench.ask::<TpmNvWriteResponse>(&write, &[password()]).unwrap();
    let answer: TpmNvReadResponse = bench.ask(&read(OWNER, 4, 4), &[password()]).unwrap();
    assert_eq!(&answer.data[..], b"ent!");
    assert_eq!(
        bench.ask::<TpmNvReadResponse>(&read(INDEX, 8, 0), &[password()]),
        Err(0x149),
        "not by its own password"
    );
    assert_eq!(bench.ask::<TpmNvReadResponse>(&read(OWNER, 8, 1), &[password()]), Err(0x146), "beyond its end");
    let undefine = TpmNvUndefineSpaceCommand { handles: [OWNER.into(), INDEX.into()] };
    bench.ask::<TpmNvUndefineSpaceResponse>(&undefine, &[password()]).unwrap();
    assert_eq!(bench.ask::<TpmNvUndefineSpaceResponse>(&undefine, &[password()]), Err(0x28b));
}

#[test]
fn registers_and_capabilities_are_those_of_the_profile() {
    let mut bench = bench();
    assert_eq!(bench.extend(17, TpmAlgId::Sha256, &[0; 32]), Err(0x907), "another locality's");
    assert_eq!(bench.extend(8, TpmAlgId::Sha1, &[0; 20]), Err(0x1c3), "a bank that is not there");
    let random = TpmGetRandomCommand { handles: [], bytes_requested: 64.into() };
    assert_eq!(bench.ask::<TpmGetRandomResponse>(&random, &[]).unwrap().random_bytes.len(), 32);
    let mut capability = |cap: TpmCap, property: u32| {
        let get = TpmGetCapabilityCommand { handles: [], cap, property: property.into(), property_count: 64.into() };
        bench.ask::<TpmGetCapabilityResponse>(&get, &[]).map(|answer| answer.capability_data.data)
    };
    let Ok(TpmuCapabilities::TpmProperties(list)) = capability(TpmCap::TpmProperties, TpmPt::NvBufferMax as u32) else {
        panic!("no properties")
    };
    assert_eq!((list.len(), list[0].value.value()), (1, 1024));
    let Ok(TpmuCapabilities::Commands(list)) = capability(TpmCap::Commands, 0) else { panic!("no commands") };
    let codes: Vec<u16> = list.iter().map(|entry| entry.command_index()).collect();
    assert!(codes.is_sorted() && codes.len() == COMMANDS.len(), "{codes:x?}");
    let quote = list.iter().find(|entry| u32::from(entry.command_index()) == TpmCc::Quote as u32).unwrap();
    assert_eq!(quote.c_handles(), 1);
    let Ok(TpmuCapabilities::Handles(list)) = capability(TpmCap::Handles, 0x8100_0000) else { panic!("no handles") };
    assert_eq!(list.iter().map(|handle| handle.value()).collect::<Vec<_>>(), [AK, EK]);
    assert_eq!(capability(TpmCap::EccCurves, 0), Err(0x1c4));
}

#[test]
fn what_is_not_here_has_its_own_answer() {
    let mut bench = bench();
    let code = |answer: Vec<u8>| u32::from_be_bytes(answer[6..10].try_into().unwrap());
    let rows: [(&[u8], u32, &str); 6] = [
        (&[], 0x142, "nothing"),
        (&[0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x43], 0x143, "self test: not implemented"),
        (&[0x80, 0x01, 0, 0, 0, 10, 0xff, 0xff, 0xff, 0xff], 0x143, "no command at all"),
        (&[0x80, 0x05, 0, 0, 0, 10, 0, 0, 0x01, 0x7b], 0x01e, "another tag"),
        (&[0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0], 0x100, "startup: it is done"),
        (&[0x80, 0x01, 0, 0, 0, 11, 0, 0, 0x01, 0x7b, 0], 0x09a, "half a number"),
    ];
    for (command, expected, what) in rows {
        assert_eq!(code(bench.send(command)), expected, "{what}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever is sent, something well-formed comes back.
    #[test]
    fn no_command_breaks_it(code in 0x11f_u16..0x1a0, sessions: bool, body in prop::collection::vec(any::<u8>(), 0..200)) {
        thread_local! {
            static BENCH: std::cell::RefCell<Bench> = std::cell::RefCell::new(bench());
        }
        let tag = if sessions { [0x80, 0x02] } else { [0x80, 0x01] };
        let size = u32::try_from(body.len() + 10).unwrap().to_be_bytes();
        let command = [&tag[..], &size, &[0, 0], &code.to_be_bytes(), &body].concat();
        let answer = BENCH.with(|bench| bench.borrow_mut().send(&command));
        prop_assert!(answer.len() >= 10);
        prop_assert_eq!(u32::from_be_bytes(answer[2..6].try_into().unwrap()) as usize, answer.len());
    }
}
