//! Quotes and certified keys (part 3, §18; part 2, §10.12).

use sealbook_crypto::Hash;
use sealbook_crypto::rsa::SignaturePadding;
use tpm2_protocol::data::{
    Tpm2bAttest, Tpm2bData, TpmAlgId, TpmRcBase, TpmSt, TpmaObject, TpmsAttest, TpmsCertifyInfo, TpmsClockInfo,
    TpmsQuoteInfo, TpmsSchemeHash, TpmsSignatureRsa, TpmtSigScheme, TpmtSignature, TpmuAttest, TpmuSigScheme,
    TpmuSignature,
};
use tpm2_protocol::frame::{TpmCertifyCommand, TpmCertifyResponse, TpmQuoteCommand, TpmQuoteResponse};

use super::session::Role;
use super::{Outcome, Serve, Tpm, buffer, handle, parameter, plain, wire};

/// Version of this TPM's firmware, as its statements carry it.
pub(super) const FIRMWARE: (u32, u32) = (0x2026_0101, 0x0001_0000);

/// Whether a scheme is the signing key's own, or leaves the choice to it.
fn fits(scheme: &TpmtSigScheme) -> bool {
    let own = TpmuSigScheme::Hash(TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 });
    scheme.scheme == TpmAlgId::Null || (scheme.scheme == TpmAlgId::Rsassa && scheme.details == own)
}

impl Tpm<'_> {
    /// A statement of the TPM, signed by the key of the handle with this number.
    fn state(
        &self,
        (given, number): (u32, u8),
        scheme: &TpmtSigScheme,
        qualifying: Tpm2bData,
        (kind, attested): (TpmSt, TpmuAttest),
    ) -> Outcome<(Tpm2bAttest, TpmtSignature)> {
        let signer = self.loaded(given, number)?;
        if !signer.public.object_attributes.contains(TpmaObject::SIGN_ENCRYPT) {
            return Err(handle(TpmRcBase::Key, number));
        }
        if !fits(scheme) {
            return Err(parameter(TpmRcBase::Scheme, 2));
        }
        let statement = TpmsAttest {
            attest_type: kind,
            qualified_signer: buffer(&signer.qualified_name()?)?,
            extra_data: qualifying,
            clock_info: TpmsClockInfo {
                clock: self.clock.into(),
                reset_count: self.machine.boot.number.into(),
                restart_count: 0.into(),
                safe: true.into(),
            },
            firmware_version: (u64::from(FIRMWARE.0) << 32 | u64::from(FIRMWARE.1)).into(),
            attested,
        };
        let digest = Hash::Sha256.digest(&wire(&statement)?);
        let signature = self.private(&signer)?.sign(SignaturePadding::Pkcs1v15, &digest);
        let sig = buffer(&signature.map_err(|_| plain(TpmRcBase::Failure))?)?;
        let signature = TpmuSignature::Rsassa(TpmsSignatureRsa { hash: TpmAlgId::Sha256, sig });
        Ok((Tpm2bAttest { inner: statement }, TpmtSignature { sig_alg: TpmAlgId::Rsassa, signature }))
    }
}

impl Serve for TpmQuoteCommand {
    type Response = TpmQuoteResponse;
    const ROLES: &'static [Role] = &[Role::User];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [signer] = self.handles;
        let (pcr_select, digest) = tpm.selected(&self.pcr_select)?;
        let attested = TpmuAttest::Quote(TpmsQuoteInfo { pcr_select, pcr_digest: buffer(&digest)? });
        let signer = (signer.value(), 1);
        let (quoted, signature) =
            tpm.state(signer, &self.in_scheme, self.qualifying_data, (TpmSt::AttestQuote, attested))?;
        Ok(TpmQuoteResponse { handles: [], quoted, signature })
    }
}

impl Serve for TpmCertifyCommand {
    type Response = TpmCertifyResponse;
    const ROLES: &'static [Role] = &[Role::Admin, Role::User];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [object, signer] = self.handles;
        let object = tpm.loaded(object.value(), 1)?;
        let attested = TpmuAttest::Certify(TpmsCertifyInfo {
            name: buffer(&object.name()?)?,
            qualified_name: buffer(&object.qualified_name()?)?,
        });
        let signer = (signer.value(), 2);
        let (certify_info, signature) =
            tpm.state(signer, &self.in_scheme, self.qualifying_data, (TpmSt::AttestCertify, attested))?;
        Ok(TpmCertifyResponse { handles: [], certify_info, signature })
    }
}
