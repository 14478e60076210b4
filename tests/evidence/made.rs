//! Evidence made here, under keys of a test world: every part can be bent.

#![allow(dead_code, reason = "every test binary uses another part of it")]

use std::sync::OnceLock;

use sealbook_attestation::azure_vm::{Endorsement, Evidence};
use sealbook_attestation::event_log::{self, Event};
use sealbook_attestation::hcl::{self, Hardware, HclReport, RuntimeData, VmConfiguration};
use sealbook_attestation::roots::{Kind, Roots};
use sealbook_attestation::snp::report::{Firmware, PlatformInfo, SIGNED_BYTES};
use sealbook_attestation::snp::{Endorsements, GuestPolicy, KeyCertificate, Product, Report, SigningKey, Tcb};
use sealbook_attestation::tpm::{Attest, Bank, Pcrs, Quote, QuoteSignature, Selection};
use sealbook_attestation::x509::issue::{Profile, Signer, issue};
use sealbook_attestation::x509::{Certificate, PublicKey};
use sealbook_crypto::Hash;
use sealbook_crypto::ec::{Curve, EcKey};
use sealbook_crypto::rsa::{RsaBits, RsaKey, SignaturePadding};

/// When everything made here is judged: 2026-01-01.
pub const NOW: i64 = 1_767_225_600;
const YEAR: i64 = 365 * 86_400;
/// The challenge of a quote made here.
pub const NONCE: &[u8] = b"a fresh challenge";

/// Bends one thing.
pub type Bend<T> = fn(&mut T);

/// A hierarchy of a test world.
pub struct World {
    pub ark: Certificate,
    pub ask: Certificate,
    pub ask_key: RsaKey,
    pub chip_key: EcKey,
    pub ak: RsaKey,
    pub other_ak: RsaKey,
}

/// The one that is trusted, and one that nobody trusts.
pub fn worlds() -> &'static [World; 2] {
    static WORLDS: OnceLock<[World; 2]> = OnceLock::new();
    WORLDS.get_or_init(|| ["TRUSTED", "STRANGE"].map(World::new))
}

impl World {
    fn new(name: &str) -> Self {
        let key = || RsaKey::generate(RsaBits::B2048);
        let (ark_key, ask_key) = (key(), key());
        let (ark_name, ask_name) = (format!("CN={name} TEST ARK-Milan"), format!("CN={name} TEST SEV-Milan"));
        let signer = Signer::RsaPss(&ark_key);
        let authority = |subject: &str, key: &RsaKey, below| {
            let profile = Profile {
                serial: 1,
                issuer: &ark_name,
                subject,
                key: &PublicKey::Rsa(key.public()),
                not_before: NOW - YEAR,
                not_after: NOW + 20 * YEAR,
                authority: Some(below),
                extensions: &[],
            };
            issue(&profile, &signer).unwrap()
        };
        let ark = authority(&ark_name, &ark_key, 1);
        let ask = authority(&ask_name, &ask_key, 0);
        Self { ark, ask, ask_key, chip_key: EcKey::generate(Curve::P384), ak: key(), other_ak: key() }
    }

    /// Trusts this world alone.
    pub fn roots(&self) -> Roots {
        Roots::none().with_test("TRUSTED", Kind::Amd(Product::Milan), self.ark.clone(), vec![self.ask.clone()])
    }
}

/// What a test bends before everything is signed and put together.
pub struct Made {
    pub world: &'static World,
    pub report: Report,
    pub key: KeyCertificate,
    pub validity: (i64, i64),
    pub hash: Hash,
    pub vm: VmConfiguration,
    pub user_data: [u8; 64],
    pub attest: Attest,
    pub pcrs: Pcrs,
    pub events: Vec<Event>,
    pub signed_by_other_ak: bool,
}

/// A sound VM.
pub fn made() -> Made {
    let tcb = Tcb { fmc: None, bootloader: 4, tee: 0, snp: 24, microcode: 219 };
    let firmware = Firmware { major: 1, minor: 55, build: 29 };
    let chip = [0xc1; 64];
    let report = Report {
        version: 3,
        guest_svn: 7,
        policy: GuestPolicy(0x3_001f),
        family_id: [1; 16],
        image_id: [2; 16],
        vmpl: 0,
        signature_algorithm: 1,
        current_tcb: tcb,
        platform: PlatformInfo(0x25),
        key_flags: 0,
        report_data: [0; 64],
        measurement: [0x4d; 48],
        host_data: [0x48; 32],
        id_key_digest: [3; 48],
        author_key_digest: [4; 48],
        report_id: [5; 32],
        report_id_ma: [0xff; 32],
        reported_tcb: tcb,
        cpuid: Some((0x19, 0x01, 1)),
        chip_id: chip,
        committed_tcb: tcb,
        current_firmware: firmware,
        committed_firmware: firmware,
        launch_tcb: tcb,
        mitigations: None,
        signature_r: [0; 72],
        signature_s: [0; 72],
    };
    let key = KeyCertificate {
        kind: SigningKey::Vcek,
        product: Some(Product::Milan),
        product_name: "Milan-B0".into(),
        tcb,
        hwid: Some(chip.to_vec()),
        csp_id: None,
    };
    let vm = VmConfiguration {
        root_cert_thumbprint: None,
        console_enabled: true,
        secure_boot: true,
        tpm_enabled: true,
        tpm_persisted: None,
        filtered_vpci_devices_allowed: None,
        vm_unique_id: "11111111-2222-3333-4444-555555555555".into(),
        other: serde_json::Map::new(),
    };
    let event = |pcr, text: &str| Event {
        pcr,
        kind: 0x8000_0008,
        digest: sealbook_crypto::sha256(text.as_bytes()),
        data: text.as_bytes().to_vec(),
    };
    let events = vec![event(0, "firmware"), event(4, "boot loader"), event(4, "kernel"), event(7, "secure boot")];
    let attest = Attest {
        qualified_signer: vec![0; 34],
        extra_data: NONCE.to_vec(),
        clock: 1,
        reset_count: 2,
        restart_count: 3,
        safe: true,
        firmware_version: 4,
        selections: vec![Selection { bank: Bank::Sha256, pcrs: (0..24).collect() }],
        pcr_digest: Vec::new(),
    };
    Made {
        world: &worlds()[0],
        report,
        key,
        validity: (NOW - YEAR, NOW + 6 * YEAR),
        hash: Hash::Sha256,
        vm,
        user_data: [0x55; 64],
        attest,
        pcrs: event_log::replay(&events),
        events,
        signed_by_other_ak: false,
    }
}

impl Made {
    /// The certificate of the chip's key.
    pub fn vcek(&self) -> Certificate {
        let subject = if self.key.kind == SigningKey::Vlek { "CN=SEV-VLEK" } else { "CN=SEV-VCEK" };
        let extensions = self.key.extensions();
        let profile = Profile {
            serial: 0,
            issuer: &self.world.ask.subject(),
            subject,
            key: &PublicKey::Ec(self.world.chip_key.public()),
            not_before: self.validity.0,
            not_after: self.validity.1,
            authority: None,
            extensions: &extensions,
        };
        issue(&profile, &Signer::RsaPss(&self.world.ask_key)).unwrap()
    }

    /// The endorsements, the way up included.
    pub fn endorsements(&self) -> Endorsements {
        Endorsements { leaf: self.vcek(), intermediates: vec![self.world.ask.clone(), self.world.ark.clone()] }
    }

    /// The report, signed.
    pub fn report(&self) -> Vec<u8> {
        let mut report = self.report.clone();
        let digest = Hash::Sha384.digest(&report.encode()[..SIGNED_BYTES]);
        report.set_signature(&self.world.chip_key.sign(&digest).unwrap());
        report.encode()
    }

    /// Everything, put together.
    pub fn evidence(mut self) -> Evidence {
        let runtime =
            RuntimeData::new(self.world.ak.public(), self.world.other_ak.public(), self.vm.clone(), self.user_data);
        self.report.report_data = hcl::binding(self.hash, &runtime.encode());
        let hcl = HclReport {
            version: 1,
            hardware: Hardware::Snp(self.report()),
            hash: self.hash,
            runtime: runtime.encode(),
        };
        let joined: Vec<u8> = self.pcrs.values().flatten().copied().collect();
        self.attest.pcr_digest = sealbook_crypto::sha256(&joined).to_vec();
        let message = self.attest.encode();
        let ak = if self.signed_by_other_ak { &self.world.other_ak } else { &self.world.ak };
        let (padding, hash) = (SignaturePadding::Pkcs1v15, Hash::Sha256);
        let signature = ak.sign(padding, &hash.digest(&message)).unwrap();
        let signature = QuoteSignature::Rsa { padding, hash, signature }.encode();
        Evidence {
            hcl_report: hcl.encode(),
            endorsement: Endorsement::Snp(self.endorsements()),
            quote: Some(Quote { message, signature, pcrs: self.pcrs }),
            event_log: Some(event_log::encode(&self.events)),
        }
    }
}
