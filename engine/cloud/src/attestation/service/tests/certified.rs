//! What is demanded of the key that a token is encrypted for, with statements of a TPM that would state anything.

use sealbook_attestation::azure_guest::{Bytes, TpmInfo};
use sealbook_crypto::rsa::{RsaBits, RsaKey, SignaturePadding};
use sealbook_crypto::{Hash, sha256};
use tpm2_protocol::data::{
    Tpm2bPublic, TpmSt, TpmaObject, TpmsAttest, TpmsCertifyInfo, TpmsClockInfo, TpmtPublic, TpmuAttest, TpmuPublicId,
    TpmuPublicParms,
};

use super::super::azure_guest::certified;
use crate::tee::tests::guest::{bytes, decryption_key};

fn statement(ak: &RsaKey, area: &TpmtPublic) -> TpmInfo {
    let public = bytes(&Tpm2bPublic { inner: area.clone() });
    let name = [&[0x00, 0x0b][..], &sha256(&public[2..])].concat();
    let attest = TpmsAttest {
        attest_type: TpmSt::AttestCertify,
        qualified_signer: Default::default(),
        extra_data: Default::default(),
        clock_info: TpmsClockInfo::default(),
        firmware_version: 0.into(),
        attested: TpmuAttest::Certify(TpmsCertifyInfo {
            name: name.as_slice().try_into().unwrap(),
            qualified_name: Default::default(),
        }),
    };
    let stated = bytes(&attest);
    let signature = ak.sign(SignaturePadding::Pkcs1v15, &Hash::Sha256.digest(&stated)).unwrap();
    TpmInfo {
        aik_cert: Bytes::default(),
        aik_pub: Bytes::default(),
        enc_key_certify_info: Bytes(stated),
        enc_key_certify_info_signature: Bytes(signature),
        enc_key_pub: Bytes(public),
        pcrs: Vec::new(),
        pcr_quote: Bytes::default(),
        pcr_set: Vec::new(),
        pcr_signature: Bytes::default(),
    }
}

#[test]
fn a_key_that_was_made_elsewhere_gets_no_token() {
    let (ak, key) = (RsaKey::generate(RsaBits::B2048), RsaKey::generate(RsaBits::B2048).public());
    let mut area = decryption_key(&[]);
    area.unique = TpmuPublicId::Rsa(key.n.as_slice().try_into().unwrap());
    let judged = |area: &TpmtPublic| certified(&statement(&ak, area), &ak.public()).map_err(|refusal| refusal.code);
    assert_eq!(judged(&area), Ok(key));
    let without = |attribute: TpmaObject| {
        let bits = area.object_attributes.bits() & !attribute.bits();
        TpmtPublic { object_attributes: TpmaObject::from_bits_truncate(bits), ..area.clone() }
    };
    for attribute in [TpmaObject::FIXED_TPM, TpmaObject::SENSITIVE_DATA_ORIGIN, TpmaObject::DECRYPT] {
        assert_eq!(judged(&without(attribute)), Err("AttestationFailed".to_owned()), "{attribute:?}");
    }
    let mut exponent = area.clone();
    let TpmuPublicParms::Rsa(parameters) = &mut exponent.parameters else { panic!("no RSA key") };
    parameters.exponent = 3.into();
    assert_eq!(judged(&exponent), Err("InvalidParameter".to_owned()));
}
