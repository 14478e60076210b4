//! What machines measure and sign, and what a learner can make go wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_crypto::rsa::{Padding, RsaPublic, SignaturePadding};
use sealbook_crypto::{Hash, sha256};
use serde_json::{Value, json};
use tpm2_protocol::data::{TpmAlgId, TpmaNv, TpmtRsaDecrypt, TpmuAttest, TpmuPublicId, TpmuSignature};
use tpm2_protocol::frame::{TpmRsaDecryptCommand, TpmRsaDecryptResponse};

use super::guest::{
    AK_CERTIFICATE, Guest, NULL, REPORT, USER_DATA, bytes, decryption_key, guest, machine, metadata, password,
};
use crate::compute::{self, lab};
use crate::testing::{self, TestCloud};
use crate::{Fault, FaultKind, Tee, TeeError};

const OPEN: TpmaNv = TpmaNv::OWNERREAD;

fn rw() -> TpmaNv {
    OPEN | TpmaNv::OWNERWRITE
}

/// The SNP report and the runtime data of a paravisor's report.
fn parts(hcl: &[u8]) -> (&[u8], Value) {
    assert_eq!((&hcl[..4], hcl.len()), (&b"HCLA"[..], 2600));
    let length = u32::from_le_bytes(hcl[0x4d0..0x4d4].try_into().unwrap()) as usize;
    let runtime = &hcl[0x4d4..0x4d4 + length];
    let report = &hcl[0x20..0x4c0];
    assert_eq!(report[0x50..0x70], sha256(runtime), "the report is bound to the runtime data");
    (report, serde_json::from_slice(runtime).unwrap())
}

fn ak(runtime: &Value) -> RsaPublic {
    let n = URL_SAFE_NO_PAD.decode(runtime["keys"][0]["n"].as_str().unwrap()).unwrap();
    RsaPublic { n, e: vec![1, 0, 1] }
}

fn lasting(kind: FaultKind) -> Fault {
    Fault { times: None, ..Fault::once(kind) }
}

#[tokio::test]
async fn a_report_binds_the_keys_of_the_tpm_and_what_the_guest_wrote() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let mut guest = guest(&cloud, &id);
    let first = guest.read(REPORT).unwrap();
    let (report, runtime) = parts(&first);
    assert_eq!(runtime["user-data"], "00".repeat(64));
    assert_eq!(runtime["vm-configuration"]["secure-boot"], true);
    let vm_id = lab.shown("cvm").await["properties"]["vmId"].as_str().unwrap().to_ascii_uppercase();
    assert_eq!(runtime["vm-configuration"]["vmUniqueId"], vm_id);
    assert_eq!(report[0x08..0x10], 0x3_001f_u64.to_le_bytes(), "no debugging");

    // Undefined, then defined and written, then read back in a new report.
    assert_eq!(guest.write(USER_DATA, &[7; 64]), Err(0x28b));
    guest.define(USER_DATA, 64, rw()).unwrap();
    assert_eq!(guest.define(USER_DATA, 64, rw()), Err(0x14c));
    guest.write(USER_DATA, &[7; 64]).unwrap();
    let second = guest.read(REPORT).unwrap();
    let (again, runtime) = parts(&second);
    assert_eq!(runtime["user-data"], "07".repeat(64));
    assert_eq!(again[0x90..0xc0], report[0x90..0xc0], "the same launch");
    assert_eq!(again[0x1a0..0x1e0], report[0x1a0..0x1e0], "the same chip");

    // The quote is signed by the key that the report names.
    let quote = guest.quote(b"a nonce");
    let TpmuSignature::Rsassa(signature) = &quote.signature.signature else { panic!("{quote:?}") };
    let statement = bytes(&quote.quoted.inner);
    let digest = Hash::Sha256.digest(&statement);
    ak(&runtime).verify(SignaturePadding::Pkcs1v15, &digest, &signature.sig).unwrap();
    assert_eq!(&quote.quoted.inner.extra_data[..], b"a nonce");
    let TpmuAttest::Quote(quoted) = &quote.quoted.inner.attested else { panic!("{quote:?}") };
    let registers: Vec<u8> = (0..24).flat_map(|n| guest.register(n)).collect();
    assert_eq!(quoted.pcr_digest[..], sha256(&registers));

    // Nothing of the platform can be changed, and the certificate is there.
    assert_eq!(guest.write(REPORT, &[0; 8]), Err(0x149));
    let certificate = guest.read(AK_CERTIFICATE).unwrap();
    assert_eq!((certificate.len(), certificate[0]), (4096, 0x30));
}

#[tokio::test]
async fn the_log_replays_to_the_registers_and_secure_boot_shows_in_them() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let secure = machine(&lab, "secure", |_| {}).await;
    let loose = machine(&lab, "loose", |body| {
        let properties = &mut body["properties"];
        properties["securityProfile"]["uefiSettings"]["secureBootEnabled"] = false.into();
        properties["storageProfile"]["osDisk"]["managedDisk"]["securityProfile"]["securityEncryptionType"] =
            "VMGuestStateOnly".into();
    })
    .await;
    let mut seen = Vec::new();
    for (id, on) in [(&secure, true), (&loose, false)] {
        let mut guest = guest(&cloud, id);
        let replayed = replay(&guest.tee.event_log().unwrap());
        let registers: Vec<Vec<u8>> = (0..16).map(|n| guest.register(n)).collect();
        assert_eq!(registers, replayed[..16].iter().map(|r| r.to_vec()).collect::<Vec<_>>());
        let hcl = guest.read(REPORT).unwrap();
        let (report, runtime) = parts(&hcl);
        assert_eq!(runtime["vm-configuration"]["secure-boot"], on);
        seen.push((registers[7].clone(), report[0x90..0xc0].to_vec(), registers[4].clone()));
    }
    assert_ne!(seen[0].0, seen[1].0, "register 7 tells secure boot apart");
    assert_ne!(seen[0].1, seen[1].1, "so does the launch measurement");
    assert_eq!(seen[0].2, seen[1].2, "the same programs were started");
}

/// Replays a crypto-agile log with SHA-256 alone.
fn replay(mut log: &[u8]) -> [[u8; 32]; 24] {
    fn take<'a>(log: &mut &'a [u8], n: usize) -> &'a [u8] {
        let (head, rest) = log.split_at(n);
        *log = rest;
        head
    }
    fn number(log: &mut &[u8]) -> usize {
        u32::from_le_bytes(take(log, 4).try_into().unwrap()) as usize
    }
    let log = &mut log;
    assert_eq!((number(log), number(log)), (0, 3));
    take(log, 20);
    let size = number(log);
    assert!(take(log, size).starts_with(b"Spec ID Event03\0"));
    let mut registers = [[0_u8; 32]; 24];
    while !log.is_empty() {
        let (pcr, _kind, count) = (number(log), number(log), number(log));
        assert_eq!((count, take(log, 2)), (1, &[0x0b, 0][..]));
        let digest = take(log, 32).to_vec();
        registers[pcr] = sha256(&[&registers[pcr][..], &digest].concat());
        let size = number(log);
        take(log, size);
    }
    registers
}

#[tokio::test]
async fn a_restart_makes_new_boot_state_and_keeps_keys() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let mut first = guest(&cloud, &id);
    let runtime = parts(&first.read(REPORT).unwrap()).1;
    let kept = first.create(super::guest::OWNER, decryption_key(&[])).unwrap();
    let lost = first.create(NULL, decryption_key(&[])).unwrap();
    let same = first.create(NULL, decryption_key(&[])).unwrap();
    assert_eq!(lost.out_public, same.out_public, "the same template gives the same key");
    assert_ne!(kept.out_public, lost.out_public);
    extend(&mut first, 8);
    let changed = first.register(8);

    // Another process, and a restart: the open connection loses its objects.
    let mut other = guest(&cloud.again(), &id);
    assert_eq!(other.register(8), changed, "registers belong to the machine");
    assert_eq!(lab.vm("POST", "cvm/restart", Value::Null).await.status, 202);
    cloud.advance(60);
    assert_ne!(first.register(8), changed);
    assert_eq!(decrypt(&mut first, lost.handles[0].value(), &[0; 256]), Err(0x910));
    assert_eq!(parts(&first.read(REPORT).unwrap()).1["keys"], runtime["keys"], "the TPM is the same");
    let again = first.create(super::guest::OWNER, decryption_key(&[])).unwrap();
    assert_eq!(again.out_public, kept.out_public);
    let fresh = first.create(NULL, decryption_key(&[])).unwrap();
    assert_ne!(fresh.out_public, lost.out_public, "the null hierarchy has a new seed");
    assert_eq!(first.quote(b"n").quoted.inner.clock_info.reset_count.value(), 2);

    // Off, there is nothing to talk to.
    assert_eq!(lab.vm("POST", "cvm/powerOff", Value::Null).await.status, 202);
    cloud.advance(60);
    assert_eq!(first.tee.transmit(&[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 4])[6..], [0, 0, 1, 1]);
    assert!(matches!(Tee::open(&cloud.cloud, &id), Err(TeeError::NotRunning(_))));
}

fn extend(guest: &mut Guest, pcr: u32) {
    use tpm2_protocol::data::{TpmtHa, TpmuHa};
    use tpm2_protocol::frame::{TpmPcrExtendCommand, TpmPcrExtendResponse};
    let mut digests = tpm2_protocol::basic::TpmList::new();
    let digest = TpmuHa::Digest((&[1; 32][..]).try_into().unwrap());
    digests.try_push(TpmtHa { hash_alg: TpmAlgId::Sha256, digest }).unwrap();
    guest.ask::<TpmPcrExtendResponse>(&TpmPcrExtendCommand { handles: [pcr.into()], digests }, &[password()]).unwrap();
}

fn decrypt(guest: &mut Guest, key: u32, ciphertext: &[u8]) -> Result<Vec<u8>, u32> {
    let in_scheme = TpmtRsaDecrypt { scheme: TpmAlgId::Rsaes, ..Default::default() };
    let cipher_text = ciphertext.try_into().unwrap();
    let decrypt = TpmRsaDecryptCommand { handles: [key.into()], cipher_text, in_scheme, label: Default::default() };
    guest.ask::<TpmRsaDecryptResponse>(&decrypt, &[password()]).map(|answer| answer.message.to_vec())
}

#[tokio::test]
async fn a_key_of_the_tpm_opens_what_was_made_for_it() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let mut guest = guest(&cloud, &id);
    let made = guest.create(NULL, decryption_key(&[])).unwrap();
    let TpmuPublicId::Rsa(n) = made.out_public.inner.unique else { panic!("{made:?}") };
    let public = RsaPublic { n: n.to_vec(), e: vec![1, 0, 1] };
    let ciphertext = public.encrypt(Padding::Pkcs1v15, b"a session key").unwrap();
    assert_eq!(decrypt(&mut guest, made.handles[0].value(), &ciphertext).unwrap(), b"a session key");
    assert_eq!(decrypt(&mut guest, super::guest::AK, &ciphertext), Err(0x182), "an attestation key only signs");
}

#[tokio::test]
async fn flaws_hold_from_the_next_start_and_show_in_the_report() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let mut guest = guest(&cloud, &id);
    let sound = guest.read(REPORT).unwrap();
    let programs = guest.register(4);
    let named = |name: &str| Some(name.to_owned());
    cloud.fault(lasting(FaultKind::DebuggableGuest { machine: named("other") }));
    cloud.fault(lasting(FaultKind::TamperedImage { machine: named("CVM") }));
    cloud.fault(lasting(FaultKind::OutdatedHost { machine: None }));
    assert_eq!(guest.read(REPORT).unwrap(), sound, "a running machine stays what it was");
    restart(&lab, &cloud).await;
    let hcl = guest.read(REPORT).unwrap();
    let (before, after) = (parts(&sound).0, parts(&hcl).0);
    assert_eq!(after[0x08..0x10], before[0x08..0x10]);
    assert_ne!(after[0x90..0xc0], before[0x90..0xc0], "another launch measurement");
    assert_ne!(guest.register(4), programs);
    assert_eq!(after[0x180..0x188], [2, 0, 0, 0, 0, 0, 5, 68]);
    cloud.cloud.clear_faults().unwrap();
    cloud.fault(lasting(FaultKind::DebuggableGuest { machine: None }));
    restart(&lab, &cloud).await;
    let hcl = guest.read(REPORT).unwrap();
    let last = parts(&hcl).0;
    assert_eq!(last[0x90..0xc0], before[0x90..0xc0]);
    assert_eq!(u64::from_le_bytes(last[0x08..0x10].try_into().unwrap()), 0xb_001f);
}

async fn restart(lab: &compute::Lab<'_>, cloud: &TestCloud) {
    assert_eq!(lab.vm("POST", "cvm/restart", Value::Null).await.status, 202);
    cloud.advance(60);
}

#[tokio::test]
async fn the_host_certificates_are_for_confidential_machines() {
    let cloud = testing::cloud();
    let lab = lab(&cloud).await;
    let id = machine(&lab, "cvm", |_| {}).await;
    let plain = lab.machine("plain").await["id"].as_str().unwrap().to_owned();
    const PATH: &str = "/metadata/THIM/amd/certification";
    let (status, body) = metadata(&cloud, Some(&id), PATH).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["tcbm"], "DB18000000000004");
    assert_eq!(body["cacheControl"], "86400");
    let count = |member: &str| body[member].as_str().unwrap().matches("BEGIN CERTIFICATE").count();
    assert_eq!((count("vcekCert"), count("certificateChain")), (1, 2));
    assert_eq!(metadata(&cloud, Some(&id), PATH).await.1, body, "the chip's key stays");
    let chain = body["certificateChain"].as_str().unwrap();
    let roots = cloud.cloud.test_roots().unwrap();
    let last = chain.rfind("-----BEGIN").unwrap();
    assert!(roots.contains(&chain[last..]), "the chain ends at the published root");
    assert!(roots.starts_with("# root amd/milan test \"SEALBOOK TEST"), "{roots}");
    for other in [None, Some(plain.as_str())] {
        assert_eq!(metadata(&cloud, other, PATH).await.0, 404, "{other:?}");
    }
    assert!(matches!(Tee::open(&cloud.cloud, &plain), Err(TeeError::NotConfidential(_))));
    assert!(matches!(Tee::open(&cloud.cloud, "/subscriptions/none"), Err(TeeError::NoMachine(_))));
    assert_eq!(lab.vm("DELETE", "cvm", json!(null)).await.status, 202);
    cloud.advance(60);
    assert!(matches!(Tee::open(&cloud.cloud, &id), Err(TeeError::NoMachine(_))));
}
