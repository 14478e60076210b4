//! Everything that the machine can prove of itself, in one piece.

use sealbook_attestation::azure_guest::{
    AttestationInfo, Bytes, IsolationEvidence, IsolationInfo, PROTOCOL, Pcr, TpmInfo,
};
use sealbook_attestation::hcl::{Hardware, HclReport, RuntimeData};
use serde_json::json;

use crate::tpm::{self, AK_CERTIFICATE, REPORT, Statement, Tpm, TpmError};

/// Why the machine's evidence can't be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The TPM.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The paravisor's report.
    #[error("the paravisor's report can't be read: {0}")]
    Report(String),
    /// The machine is confidential by another technology.
    #[error("this machine's memory is not protected by AMD SEV-SNP; its evidence is not collected here")]
    NotSnp,
    /// The report does not show the user data yet: the paravisor makes a new one in a while.
    #[error("the paravisor's report does not show the user data yet")]
    NotYet,
}

/// What was collected.
#[derive(Debug)]
pub struct Collected {
    /// The paravisor's report.
    pub hcl_report: Vec<u8>,
    /// The quote.
    pub quote: Statement,
    /// Values of the registers, from number 0.
    pub registers: Vec<Vec<u8>>,
    /// Modulus of the key that a token and a released key are encrypted for.
    pub transfer_key: Vec<u8>,
    /// The request to the attestation provider.
    pub info: AttestationInfo,
}

/// Collects evidence with `user_data` in it (without it: with that which the report shows), which answers `nonce`.
/// `certificates` are those of the processor, PEM.
///
/// # Errors
/// [`CollectError`]; after [`CollectError::NotYet`] it is worth trying again in a second.
pub fn collect(
    tpm: &mut Tpm,
    certificates: &str,
    user_data: Option<&[u8; 64]>,
    nonce: &[u8],
) -> Result<Collected, CollectError> {
    if let Some(wanted) = user_data
        && tpm.nv_find(tpm::USER_DATA)?.as_deref() != Some(wanted)
    {
        tpm.write_user_data(wanted)?;
    }
    let hcl_report = tpm.nv_read(REPORT)?;
    let wrong = |why: String| CollectError::Report(why);
    let report = HclReport::parse(&hcl_report).map_err(|error| wrong(error.to_string()))?;
    let runtime = RuntimeData::parse(&report.runtime).map_err(|error| wrong(error.to_string()))?;
    if user_data.is_some_and(|wanted| runtime.user_data.as_ref() != Some(wanted)) {
        return Err(CollectError::NotYet);
    }
    let Hardware::Snp(snp_report) = &report.hardware else { return Err(CollectError::NotSnp) };
    let event_log = tpm.event_log();
    let quote = tpm.quote(nonce)?;
    let registers = tpm.registers()?;
    let transfer = tpm.transfer_key()?;
    let (transfer_key, enc_key_pub) = (transfer.n.clone(), Bytes(transfer.public.clone()));
    let certified = tpm.certify(&transfer);
    tpm.forget(transfer)?;
    let certified = certified?;
    let pcr = |(index, digest): &(u8, Vec<u8>)| Pcr { digest: Bytes(digest.clone()), index: *index };
    let info = AttestationInfo {
        attestation_protocol_version: PROTOCOL.into(),
        client_payload: [("nonce".to_owned(), json!(Bytes(nonce.to_vec())))].into_iter().collect(),
        isolation_info: IsolationInfo {
            kind: "SevSnp".into(),
            evidence: IsolationEvidence::new(snp_report, certificates, report.runtime.clone()),
        },
        os_build: "sealbook".into(),
        os_distro: "sealbook".into(),
        os_type: "Linux".into(),
        os_version_major: 0,
        os_version_minor: 0,
        tcg_logs: Bytes(event_log.unwrap_or_default()),
        tpm_info: TpmInfo {
            aik_cert: Bytes(tpm.nv_find(AK_CERTIFICATE)?.unwrap_or_default()),
            aik_pub: Bytes(tpm.attestation_key()?),
            enc_key_certify_info: Bytes(certified.message),
            enc_key_certify_info_signature: Bytes(certified.signature),
            enc_key_pub,
            pcrs: registers.iter().map(pcr).collect(),
            pcr_quote: Bytes(quote.message.clone()),
            pcr_set: registers.iter().map(|(index, _)| *index).collect(),
            pcr_signature: Bytes(quote.signature.clone()),
        },
    };
    let registers = registers.into_iter().map(|(_, value)| value).collect();
    Ok(Collected { hcl_report, quote, registers, transfer_key, info })
}
