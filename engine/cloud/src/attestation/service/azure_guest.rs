//! `Attestation_AttestAzureGuest`: a confidential machine with its paravisor and virtual TPM, protocol 2.0. The token is
//! encrypted for a key of that TPM: nobody else can present it.
//!
//! Source: <https://learn.microsoft.com/azure/confidential-computing/guest-attestation-confidential-virtual-machines-design>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealbook_attestation::azure_guest::{
    AttestationInfo, AzureGuestError, EncryptedToken, EncryptionParams, PROTOCOL, TOKEN_AAD, TpmInfo,
};
use sealbook_attestation::azure_vm::{self, Endorsement, Evidence};
use sealbook_attestation::event_log::{self, Event};
use sealbook_attestation::hcl::{Hardware, HclReport, RuntimeData};
use sealbook_attestation::snp::{Endorsements, Report};
use sealbook_attestation::tpm::Quote;
use sealbook_crypto::aes::{AesBits, AesKey};
use sealbook_crypto::rsa::{Padding, RsaPublic, SignaturePadding};
use sealbook_crypto::{Hash, sha256};
use serde_json::{Map, Value, json};
use tpm2_protocol::TpmUnmarshal as _;
use tpm2_protocol::data::{Tpm2bPublic, TpmaObject, TpmsAttest, TpmuAttest, TpmuPublicId, TpmuPublicParms};

use super::{authorize, body, claims, invalid, policies, require, roots, sev_snp};
use crate::cx::Cx;
use crate::http::Answer;
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::tee;

fn failed(message: &str) -> Refusal {
    Refusal::new(400, "AttestationFailed", message)
}

fn unreadable(error: AzureGuestError) -> Refusal {
    invalid(format!("The attestation information can't be read: {error}."))
}

/// A machine whose evidence holds.
struct Machine {
    report: Report,
    runtime: RuntimeData,
    /// The firmware's log, replayed against the quote; empty when there is none.
    events: Vec<Event>,
}

/// `Attestation_AttestAzureGuest`.
pub(super) fn attest(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    authorize(cx, true)?;
    let info = AttestationInfo::from_body(&body(cx.request)?).map_err(unreadable)?;
    if info.attestation_protocol_version != PROTOCOL {
        let version = &info.attestation_protocol_version;
        let refusal = invalid(format!("The protocol version '{version}' is not supported; it must be '{PROTOCOL}'."));
        return Err(refusal.gap("attestation of guests: other versions than 2.0"));
    }
    if info.isolation_info.kind != "SevSnp" {
        let kind = &info.isolation_info.kind;
        let refusal = invalid(format!("The isolation type '{kind}' is not supported."));
        return Err(refusal.gap(format!("attestation of guests: isolation {kind}")));
    }
    let machine = verify(cx, &info)?;
    let encryption = certified(&info.tpm_info, &machine.runtime.attestation_key)?;
    let token = claims::token(cx, claims(&info, &machine, &encryption), policies::AZURE_GUEST)?;
    Ok(Answer::ok(&json!({ "token": encrypt(&token, &encryption)?.text() })))
}

/// Hardware report, runtime data, quote and log, each bound to the one before.
fn verify(cx: &Cx<'_>, info: &AttestationInfo) -> Result<Machine, Refusal> {
    let (report, chain) = info.isolation_info.evidence.proof().map_err(unreadable)?;
    let runtime = info.isolation_info.evidence.runtime_data.0.clone();
    let endorsements = Endorsements::parse(chain.as_bytes())
        .map_err(|error| invalid(format!("The certificates of the report can't be read: {error}.")))?;
    let tpm = &info.tpm_info;
    let mut pcrs = sealbook_attestation::tpm::Pcrs::new();
    for pcr in &tpm.pcrs {
        let value = <[u8; 32]>::try_from(pcr.digest.0.as_slice());
        let value = value.map_err(|_| invalid(format!("The value of register {} is not 32 bytes.", pcr.index)))?;
        if pcrs.insert(pcr.index, value).is_some() {
            return Err(invalid(format!("The register {} occurs twice.", pcr.index)));
        }
    }
    let hcl =
        HclReport { version: 2, hardware: Hardware::Snp(report.clone()), hash: Hash::Sha256, runtime: runtime.clone() };
    let evidence = Evidence {
        hcl_report: hcl.encode(),
        endorsement: Endorsement::Snp(endorsements),
        quote: Some(Quote { message: tpm.pcr_quote.0.clone(), signature: tpm.pcr_signature.0.clone(), pcrs }),
        event_log: Some(info.tcg_logs.0.clone()).filter(|log| !log.is_empty()),
    };
    let mut rules = azure_vm::Rules { snp: sev_snp::rules(), ..azure_vm::Rules::default() };
    rules.quote.selection.clone_from(&tpm.pcr_set);
    require(&azure_vm::verify(&evidence, &rules, &roots(cx)?, cx.wall.timestamp()))?;
    let runtime = RuntimeData::parse(&runtime).map_err(|error| invalid(error.to_string()))?;
    if public(&tpm.aik_pub.0, "AikPub")?.0 != runtime.attestation_key {
        return Err(failed("The attestation key is not the one that the hardware vouches for."));
    }
    Ok(Machine {
        report: Report::parse(&report).map_err(|error| invalid(error.to_string()))?,
        runtime,
        events: evidence.event_log.map_or_else(Vec::new, |log| event_log::parse(&log).unwrap_or_default()),
    })
}

/// The RSA key of a `TPM2B_PUBLIC`, with its attributes.
fn public(bytes: &[u8], name: &str) -> Result<(RsaPublic, TpmaObject), Refusal> {
    let unreadable = || invalid(format!("The member '{name}' is no TPM2B_PUBLIC of an RSA key."));
    let (public, rest) = Tpm2bPublic::unmarshal(bytes).map_err(|_| unreadable())?;
    let area = public.inner;
    match (area.parameters, area.unique) {
        // Zero stands for the usual exponent, 65537 (TPM 2.0 Library, part 2, §12.2.3.5).
        (TpmuPublicParms::Rsa(parameters), TpmuPublicId::Rsa(n))
            if rest.is_empty() && matches!(parameters.exponent.value(), 0 | 65_537) =>
        {
            Ok((RsaPublic { n: n.to_vec(), e: vec![1, 0, 1] }, area.object_attributes))
        }
        _ => Err(unreadable()),
    }
}

/// The key that the token is encrypted for: the attestation key must have certified that it is the same TPM's.
pub(super) fn certified(tpm: &TpmInfo, ak: &RsaPublic) -> Result<RsaPublic, Refusal> {
    let statement = &tpm.enc_key_certify_info.0;
    let digest = Hash::Sha256.digest(statement);
    ak.verify(SignaturePadding::Pkcs1v15, &digest, &tpm.enc_key_certify_info_signature.0)
        .map_err(|_| failed("The attestation key has not signed the statement about the encryption key."))?;
    let unreadable = || invalid("The member 'EncKeyCertifyInfo' is no TPMS_ATTEST about a key.");
    let (attest, rest) = TpmsAttest::unmarshal(statement).map_err(|_| unreadable())?;
    let TpmuAttest::Certify(certified) = attest.attested else { return Err(unreadable()) };
    // The name of an object: its hash algorithm and the digest of its public area (TPM 2.0 Library, part 1, §16).
    let area = tpm.enc_key_pub.0.get(2..).unwrap_or_default();
    let name = [&[0x00, 0x0b][..], &sha256(area)].concat();
    if !rest.is_empty() || certified.name[..] != name {
        return Err(failed("The statement is about another key than the encryption key."));
    }
    let (key, attributes) = public(&tpm.enc_key_pub.0, "EncKeyPub")?;
    // A TPM certifies whatever is loaded, also what was made elsewhere: then others have it, too.
    if !attributes.contains(TpmaObject::FIXED_TPM | TpmaObject::SENSITIVE_DATA_ORIGIN | TpmaObject::DECRYPT) {
        return Err(failed("The encryption key was not made by the TPM for decryption."));
    }
    Ok(key)
}

/// Value of the last event about a variable of the firmware (`UEFI_VARIABLE_DATA`).
fn variable<'a>(events: &'a [Event], name: &str) -> Option<&'a [u8]> {
    const DRIVER_CONFIG: u32 = 0x8000_0001;
    let wanted: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let value = |event: &'a Event| {
        let number = |at: usize| {
            let bytes = event.data.get(at..at.checked_add(8)?)?;
            usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
        };
        let (characters, length) = (number(16)?, number(24)?);
        let start = characters.checked_mul(2)?.checked_add(32)?;
        let found = event.data.get(32..start)? == wanted;
        event.data.get(start..start.checked_add(length)?).filter(|_| found)
    };
    // Digest and event must agree: a log can say one thing and have measured another.
    let measured =
        |event: &&Event| event.pcr == 7 && event.kind == DRIVER_CONFIG && sha256(&event.data) == event.digest;
    events.iter().filter(measured).filter_map(value).next_back()
}

fn claims(info: &AttestationInfo, machine: &Machine, encryption: &RsaPublic) -> Map<String, Value> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let system = text(&info.os_type.0);
    let genuine =
        |name: &str| variable(&machine.events, name).is_some_and(|value| tee::is_factory_variable(name, value));
    // With a log, what was measured counts; the hardware vouches for the configuration either way.
    let configured = machine.runtime.vm_configuration.secure_boot;
    let booted = variable(&machine.events, "SecureBoot").is_none_or(|value| value == [1]);
    let key = json!({
        "e": URL_SAFE_NO_PAD.encode(&encryption.e),
        "key_ops": ["encrypt"],
        "kid": "TpmEphemeralEncryptionKey",
        "kty": "RSA",
        "n": URL_SAFE_NO_PAD.encode(&encryption.n),
    });
    let mut tee = claims::sev_snp(&machine.report, Some(&machine.runtime.document));
    tee.sort_keys();
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("x-ms-attestation-type", "azurevm".into());
    put("secureboot", (configured && booted).into());
    put("x-ms-isolation-tee", Value::Object(tee));
    put("x-ms-runtime", json!({ "client-payload": info.client_payload, "keys": [key] }));
    for (name, value) in [
        ("attestation-protocol-ver", info.attestation_protocol_version.clone().into()),
        ("attested-pcrs", info.tpm_info.pcr_set.clone().into()),
        ("bootdebug-enabled", false.into()),
        ("dbvalidated", genuine("db").into()),
        ("dbxvalidated", genuine("dbx").into()),
        ("debuggersdisabled", true.into()),
        ("default-securebootkeysvalidated", (genuine("PK") && genuine("KEK")).into()),
        ("elam-enabled", false.into()),
        ("flightsigning-enabled", false.into()),
        ("hvci-policy", 0.into()),
        ("hypervisordebug-enabled", false.into()),
        ("is-windows", system.eq_ignore_ascii_case("windows").into()),
        ("kerneldebug-enabled", false.into()),
        ("osbuild", text(&info.os_build.0).into()),
        ("osdistro", text(&info.os_distro.0).into()),
        ("ostype", system.into()),
        ("osversion-major", info.os_version_major.into()),
        ("osversion-minor", info.os_version_minor.into()),
        ("signingdisabled", true.into()),
        ("testsigning-enabled", false.into()),
        ("vmid", machine.runtime.vm_configuration.vm_unique_id.clone().into()),
    ] {
        put(&format!("x-ms-azurevm-{name}"), value);
    }
    claims
}

/// Encrypts a token for a key of the machine's TPM.
fn encrypt(token: &str, key: &RsaPublic) -> Result<EncryptedToken, Refusal> {
    let inner = AesKey::generate(AesBits::B256);
    let sealed = inner.encrypt_gcm(TOKEN_AAD, token.as_bytes()).map_err(Refusal::internal)?;
    let wrapped = key
        .encrypt(Padding::Pkcs1v15, inner.expose().expose())
        .map_err(|_| invalid("The encryption key can't be used for encryption."))?;
    Ok(EncryptedToken {
        jwt: sealed.ciphertext.into(),
        encrypted_inner_key: wrapped.into(),
        encryption_params: EncryptionParams { iv: sealed.nonce.to_vec().into() },
        authentication_data: sealed.tag.to_vec().into(),
    })
}
