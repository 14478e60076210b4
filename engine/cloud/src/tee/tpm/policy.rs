//! Sessions and policies (part 3, §11 and §23).

use tpm2_protocol::basic::TpmUint32;
use tpm2_protocol::data::{TpmAlgId, TpmCc, TpmRcBase, TpmRh, TpmSe, TpmSt, TpmtTkAuth};
use tpm2_protocol::frame::{
    TpmFlushContextCommand, TpmFlushContextResponse, TpmPolicyGetDigestCommand, TpmPolicyGetDigestResponse,
    TpmPolicyPcrCommand, TpmPolicyPcrResponse, TpmPolicySecretCommand, TpmPolicySecretResponse,
    TpmStartAuthSessionCommand, TpmStartAuthSessionResponse,
};

use super::session::{Role, Session};
use super::{Outcome, Serve, Tpm, buffer, handle, parameter, sha256, wire};

/// Shortest nonce of a caller in bytes (part 1, §19.6.3).
const NONCE: usize = 16;

impl Serve for TpmStartAuthSessionCommand {
    type Response = TpmStartAuthSessionResponse;
    const ROLES: &'static [Role] = &[];

    /// Sessions are neither salted nor bound: both serve HMACs and encryption, which this TPM does not offer.
    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let null = |given: TpmUint32| given.value() == TpmRh::Null.value();
        let [salted, bound] = self.handles;
        if !null(salted) {
            return Err(handle(TpmRcBase::Value, 1));
        }
        if !null(bound) {
            return Err(handle(TpmRcBase::Value, 2));
        }
        if !(NONCE..=32).contains(&self.nonce_caller.len()) {
            return Err(parameter(TpmRcBase::Size, 1));
        }
        if !self.encrypted_salt.is_empty() {
            return Err(parameter(TpmRcBase::Value, 2));
        }
        let trial = match self.session_type {
            TpmSe::Policy => false,
            TpmSe::Trial => true,
            _ => return Err(parameter(TpmRcBase::Value, 3)),
        };
        if self.symmetric.algorithm != TpmAlgId::Null {
            return Err(parameter(TpmRcBase::Symmetric, 4));
        }
        if self.auth_hash != TpmAlgId::Sha256 {
            return Err(parameter(TpmRcBase::Hash, 5));
        }
        let session = tpm.open_session(Session::new(trial))?;
        let nonce_tpm = buffer(&sealbook_crypto::random::<32>())?;
        Ok(TpmStartAuthSessionResponse { handles: [session.into()], nonce_tpm })
    }
}

impl Serve for TpmFlushContextCommand {
    type Response = TpmFlushContextResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let given = self.flush_handle.value();
        let gone = tpm.volatile.objects.remove(&given).is_some() || tpm.volatile.sessions.remove(&given).is_some();
        if gone { Ok(TpmFlushContextResponse { handles: [] }) } else { Err(parameter(TpmRcBase::Handle, 1)) }
    }
}

impl Serve for TpmPolicyPcrCommand {
    type Response = TpmPolicyPcrResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let (selection, digest) = tpm.selected(&self.pcrs)?;
        let updates = tpm.machine.pcr_updates;
        let [given] = self.handles;
        let session = tpm.session(given, 1)?;
        let expected = &self.pcr_digest;
        if !session.trial && !expected.is_empty() && expected[..] != digest {
            return Err(parameter(TpmRcBase::Value, 1));
        }
        if session.pcrs.is_some_and(|seen| seen != updates) {
            return Err(super::plain(TpmRcBase::PcrChanged));
        }
        // A trial session takes the caller's word for the digest, when there is one.
        let digest = if session.trial && !expected.is_empty() { expected.to_vec() } else { digest.to_vec() };
        let code = (TpmCc::PolicyPcr as u32).to_be_bytes();
        session.digest = sha256(&[&session.digest, &code, &wire(&selection)?, &digest]);
        session.pcrs = Some(updates);
        Ok(TpmPolicyPcrResponse { handles: [] })
    }
}

impl Serve for TpmPolicySecretCommand {
    type Response = TpmPolicySecretResponse;
    const ROLES: &'static [Role] = &[Role::User];

    /// The policy holds for this session alone: no expiration and no restriction to parameters, hence no ticket.
    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [entity, given] = self.handles;
        if !self.cp_hash_a.is_empty() {
            return Err(parameter(TpmRcBase::Value, 2));
        }
        if self.expiration.value() != 0 {
            return Err(parameter(TpmRcBase::Value, 4));
        }
        let name = tpm.name(entity.value(), 1)?;
        let session = tpm.session(given, 2)?;
        let code = (TpmCc::PolicySecret as u32).to_be_bytes();
        let with_name = sha256(&[&session.digest, &code, &name]);
        session.digest = sha256(&[&with_name, &self.policy_ref]);
        Ok(TpmPolicySecretResponse {
            handles: [],
            timeout: buffer(&[])?,
            policy_ticket: TpmtTkAuth { tag: TpmSt::AuthSecret, hierarchy: TpmRh::Null, digest: buffer(&[])? },
        })
    }
}

impl Serve for TpmPolicyGetDigestCommand {
    type Response = TpmPolicyGetDigestResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [given] = self.handles;
        let policy_digest = buffer(&tpm.session(given, 1)?.digest)?;
        Ok(TpmPolicyGetDigestResponse { handles: [], policy_digest })
    }
}
