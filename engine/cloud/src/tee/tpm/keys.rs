//! Keys: those that the paravisor made, and primary keys for decryption (part 3, §12.4, §14.3, §24.1).

use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{Padding, RsaBits, RsaKey, RsaPublic};
use tpm2_protocol::basic::TpmUint16;
use tpm2_protocol::data::{
    Tpm2bCreationData, Tpm2bPublic, TpmAlgId, TpmRcBase, TpmRh, TpmSt, TpmaLocality, TpmaObject, TpmsCreationData,
    TpmsRsaParms, TpmsSchemeHash, TpmtPublic, TpmtRsaScheme, TpmtSymDef, TpmtTkCreation, TpmuAsymScheme, TpmuPublicId,
    TpmuPublicParms, TpmuSymKeyBits, TpmuSymMode,
};
use tpm2_protocol::frame::{
    TpmCreatePrimaryCommand, TpmCreatePrimaryResponse, TpmReadPublicCommand, TpmReadPublicResponse,
    TpmRsaDecryptCommand, TpmRsaDecryptResponse,
};

use super::session::Role;
use super::{Outcome, Serve, Tpm, buffer, handle, name_of, parameter, plain, sha256, wire};

/// The attestation key, where Azure's paravisor keeps it.
pub(crate) const AK: u32 = 0x8100_0003;
/// The endorsement key (TCG EK Credential Profile, §7.8).
pub(crate) const EK: u32 = 0x8101_0001;
/// First handle of transient objects.
const FIRST: u32 = 0x8000_0000;
/// Most transient objects at a time.
const MOST: usize = 8;
/// Most primary keys that a machine remembers.
const REMEMBERED: usize = 64;
const EXPONENT: u32 = 65_537;

/// `TPM2_PolicySecret` of the endorsement hierarchy (TCG EK Credential Profile, §B.3).
const EK_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// A loaded key.
#[derive(Clone)]
pub(super) struct Object {
    pub public: TpmtPublic,
    /// Its name in the machine's store of keys.
    pub key: String,
    pub auth: Vec<u8>,
    /// Its hierarchy.
    pub hierarchy: u32,
}

impl Object {
    pub fn name(&self) -> Outcome<Vec<u8>> {
        Ok(name_of(&wire(&self.public)?))
    }

    /// The name of a primary key below its hierarchy (part 1, §16.3).
    pub fn qualified_name(&self) -> Outcome<Vec<u8>> {
        Ok(name_of(&[&self.hierarchy.to_be_bytes()[..], &self.name()?].concat()))
    }
}

/// Whether a handle is that of a hierarchy whose authorisation is empty.
pub(super) fn is_hierarchy(given: u32) -> bool {
    [TpmRh::Owner, TpmRh::Endorsement, TpmRh::Null].iter().any(|hierarchy| hierarchy.value() == given)
}

fn rsa(attributes: TpmaObject, policy: &[u8], parameters: TpmsRsaParms, n: &[u8]) -> Outcome<TpmtPublic> {
    Ok(TpmtPublic {
        object_type: TpmAlgId::Rsa,
        name_alg: TpmAlgId::Sha256,
        object_attributes: attributes,
        auth_policy: buffer(policy)?,
        parameters: TpmuPublicParms::Rsa(parameters),
        unique: TpmuPublicId::Rsa(buffer(n)?),
    })
}

fn own() -> TpmaObject {
    TpmaObject::FIXED_TPM | TpmaObject::FIXED_PARENT | TpmaObject::SENSITIVE_DATA_ORIGIN
}

/// The public area of the attestation key: it signs what the TPM states, with RSASSA and SHA-256.
pub(crate) fn attestation_key(public: &RsaPublic) -> Outcome<TpmtPublic> {
    let scheme = TpmtRsaScheme {
        scheme: TpmAlgId::Rsassa,
        details: TpmuAsymScheme::Hash(TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 }),
    };
    let parameters = TpmsRsaParms { scheme, key_bits: 2048.into(), ..TpmsRsaParms::default() };
    let uses = TpmaObject::USER_WITH_AUTH | TpmaObject::NO_DA | TpmaObject::RESTRICTED | TpmaObject::SIGN_ENCRYPT;
    rsa(own() | uses, &[], parameters, &public.n)
}

/// The public area of the endorsement key, by template L-1.
pub(crate) fn endorsement_key(public: &RsaPublic) -> Outcome<TpmtPublic> {
    let symmetric = TpmtSymDef {
        algorithm: TpmAlgId::Aes,
        key_bits: TpmuSymKeyBits::Aes(TpmUint16::from(128)),
        mode: TpmuSymMode::Aes(TpmAlgId::Cfb),
    };
    let parameters = TpmsRsaParms { symmetric, key_bits: 2048.into(), ..TpmsRsaParms::default() };
    let uses = TpmaObject::ADMIN_WITH_POLICY | TpmaObject::RESTRICTED | TpmaObject::DECRYPT;
    rsa(own() | uses, &EK_POLICY, parameters, &public.n)
}

impl Tpm<'_> {
    /// The object with a handle.
    pub(super) fn object(&self, given: u32) -> Option<Object> {
        let kept = |public: Outcome<TpmtPublic>, key: &str| {
            let hierarchy = TpmRh::Endorsement.value();
            Some(Object { public: public.ok()?, key: key.to_owned(), auth: Vec::new(), hierarchy })
        };
        match given {
            AK => kept(attestation_key(&self.machine.ak), "ak"),
            EK => kept(endorsement_key(&self.machine.ek), "ek"),
            _ => self.volatile.objects.get(&given).cloned(),
        }
    }

    /// The object of the handle with this number, counted from one.
    pub(super) fn loaded(&self, given: u32, number: u8) -> Outcome<Object> {
        self.object(given).ok_or(handle(TpmRcBase::Handle, number))
    }

    /// The private key of an object.
    pub(super) fn private(&self, object: &Object) -> Outcome<RsaKey> {
        let pkcs8 = self.machine.keys.get(&object.key).ok_or(plain(TpmRcBase::Failure))?;
        RsaKey::from_pkcs8(pkcs8.expose()).map_err(|_| plain(TpmRcBase::Failure))
    }

    /// The name of what a handle stands for (part 1, §16); `number` is that of the handle.
    pub(super) fn name(&self, given: u32, number: u8) -> Outcome<Vec<u8>> {
        match given {
            0x0100_0000..=0x01ff_ffff => Ok(name_of(&wire(&self.index(given, number)?.public(given)?)?)),
            0x8000_0000..=0x81ff_ffff => self.loaded(given, number)?.name(),
            _ => Ok(given.to_be_bytes().to_vec()),
        }
    }

    /// A primary key: the same template in the same hierarchy gives the same key for as long as the hierarchy's seed
    /// lives, which for the null hierarchy is until the next start. RSA keys can't be derived with the library, so they
    /// are drawn and remembered.
    fn primary(&mut self, hierarchy: u32, template: &[u8]) -> Outcome<(String, RsaPublic)> {
        let kind = if hierarchy == TpmRh::Null.value() { "null" } else { "kept" };
        let seed = hierarchy.to_be_bytes();
        let name = format!("{}/{kind}/{}", super::super::machine::PRIMARY, hex::encode(sha256(&[&seed, template])));
        if let Some(known) = self.machine.keys.get(&name) {
            let key = RsaKey::from_pkcs8(known.expose()).map_err(|_| plain(TpmRcBase::Failure))?;
            return Ok((name, key.public()));
        }
        let remembered = |name: &&String| name.starts_with(super::super::machine::PRIMARY);
        if self.machine.keys.keys().filter(remembered).count() >= REMEMBERED {
            return Err(plain(TpmRcBase::ObjectMemory));
        }
        let key = RsaKey::generate(RsaBits::B2048);
        self.machine.keys.insert(name.clone(), key.to_pkcs8());
        Ok((name, key.public()))
    }
}

impl Serve for TpmReadPublicCommand {
    type Response = TpmReadPublicResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [given] = self.handles;
        let object = tpm.loaded(given.value(), 1)?;
        Ok(TpmReadPublicResponse {
            handles: [],
            name: buffer(&object.name()?)?,
            qualified_name: buffer(&object.qualified_name()?)?,
            out_public: Tpm2bPublic { inner: object.public },
        })
    }
}

/// Refuses a template that is not one of an RSA key of 2048 bits for decryption alone.
fn check(template: &TpmtPublic) -> Outcome<TpmsRsaParms> {
    const TEMPLATE: u8 = 2;
    let TpmuPublicParms::Rsa(parameters) = template.parameters else {
        return Err(parameter(TpmRcBase::Type, TEMPLATE));
    };
    if template.name_alg != TpmAlgId::Sha256 {
        return Err(parameter(TpmRcBase::Hash, TEMPLATE));
    }
    let allowed = own()
        | TpmaObject::DECRYPT
        | TpmaObject::USER_WITH_AUTH
        | TpmaObject::ADMIN_WITH_POLICY
        | TpmaObject::NO_DA
        | TpmaObject::ST_CLEAR;
    let needed = own() | TpmaObject::DECRYPT;
    let asked = template.object_attributes;
    if !asked.contains(needed) || asked.bits() & !allowed.bits() != 0 {
        return Err(parameter(TpmRcBase::Attributes, TEMPLATE));
    }
    if !matches!(template.auth_policy.len(), 0 | 32) {
        return Err(parameter(TpmRcBase::Size, TEMPLATE));
    }
    if parameters.symmetric.algorithm != TpmAlgId::Null {
        return Err(parameter(TpmRcBase::Symmetric, TEMPLATE));
    }
    let scheme = parameters.scheme;
    if scheme.scheme != TpmAlgId::Null && padding(scheme.scheme, &scheme.details).is_none() {
        return Err(parameter(TpmRcBase::Scheme, TEMPLATE));
    }
    if parameters.key_bits.value() != 2048 {
        return Err(parameter(TpmRcBase::Value, TEMPLATE));
    }
    if !matches!(parameters.exponent.value(), 0 | EXPONENT) {
        return Err(parameter(TpmRcBase::Range, TEMPLATE));
    }
    Ok(parameters)
}

impl Serve for TpmCreatePrimaryCommand {
    type Response = TpmCreatePrimaryResponse;
    const ROLES: &'static [Role] = &[Role::User];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [given] = self.handles;
        let hierarchy = given.value();
        if !is_hierarchy(hierarchy) {
            return Err(handle(TpmRcBase::Hierarchy, 1));
        }
        let sensitive = &self.in_sensitive.inner;
        if !sensitive.data.is_empty() {
            return Err(parameter(TpmRcBase::Attributes, 1));
        }
        let template = &self.in_public.inner;
        let parameters = check(template)?;
        let taken = &tpm.volatile.objects;
        let mut numbers = (0..MOST).filter_map(|n| Some(FIRST + u32::try_from(n).ok()?));
        let number = numbers.find(|n| !taken.contains_key(n)).ok_or(plain(TpmRcBase::ObjectMemory))?;
        let (pcr_select, pcr_digest) = tpm.selected(&self.creation_pcr)?;
        let (key, public) = tpm.primary(hierarchy, &wire(template)?)?;
        let public = rsa(template.object_attributes, &template.auth_policy, parameters, &public.n)?;
        let end = sensitive.user_auth.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let auth = sensitive.user_auth.get(..end).unwrap_or_default().to_vec();
        let object = Object { public, key, auth, hierarchy };
        let name = object.name()?;
        let parent = hierarchy.to_be_bytes();
        let creation = TpmsCreationData {
            pcr_select,
            pcr_digest: if self.creation_pcr.is_empty() { buffer(&[])? } else { buffer(&pcr_digest)? },
            locality: TpmaLocality::LOC_ZERO,
            parent_name_alg: TpmAlgId::Null,
            parent_name: buffer(&parent)?,
            parent_qualified_name: buffer(&parent)?,
            outside_info: self.outside_info,
        };
        let creation_hash = sha256(&[&wire(&creation)?]);
        let proof = tpm.machine.keys.get("proof").map(SecretBytes::expose).unwrap_or_default();
        let ticketed = [&(TpmSt::Creation as u16).to_be_bytes()[..], &parent, &name, &creation_hash].concat();
        let hierarchy = TpmRh::try_from(hierarchy).map_err(|_| plain(TpmRcBase::Failure))?;
        let ticket = TpmtTkCreation {
            tag: TpmSt::Creation,
            hierarchy,
            digest: buffer(&sealbook_crypto::hmac_sha256(proof, &ticketed))?,
        };
        let response = TpmCreatePrimaryResponse {
            handles: [number.into()],
            out_public: Tpm2bPublic { inner: object.public.clone() },
            creation_data: Tpm2bCreationData { inner: creation },
            creation_hash: buffer(&creation_hash)?,
            creation_ticket: ticket,
            name: buffer(&name)?,
        };
        tpm.volatile.objects.insert(number, object);
        Ok(response)
    }
}

/// The padding of a scheme; `None` for one that is not offered.
fn padding(scheme: TpmAlgId, details: &TpmuAsymScheme) -> Option<Padding> {
    match (scheme, details) {
        (TpmAlgId::Rsaes, _) => Some(Padding::Pkcs1v15),
        (TpmAlgId::Oaep, TpmuAsymScheme::Hash(hash)) => match hash.hash_alg {
            TpmAlgId::Sha1 => Some(Padding::OaepSha1),
            TpmAlgId::Sha256 => Some(Padding::OaepSha256),
            TpmAlgId::Sha384 => Some(Padding::OaepSha384),
            _ => None,
        },
        _ => None,
    }
}

impl Serve for TpmRsaDecryptCommand {
    type Response = TpmRsaDecryptResponse;
    const ROLES: &'static [Role] = &[Role::User];

    /// Decrypts with the key's scheme, else with the one that is asked for. Without padding nothing is decrypted here.
    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [given] = self.handles;
        let object = tpm.loaded(given.value(), 1)?;
        let TpmuPublicParms::Rsa(parameters) = object.public.parameters else {
            return Err(handle(TpmRcBase::Key, 1));
        };
        let attributes = object.public.object_attributes;
        if attributes.contains(TpmaObject::RESTRICTED) || !attributes.contains(TpmaObject::DECRYPT) {
            return Err(handle(TpmRcBase::Attributes, 1));
        }
        let (own, asked) = (parameters.scheme, self.in_scheme);
        let fits = asked.scheme == TpmAlgId::Null || (asked.scheme, asked.details) == (own.scheme, own.details);
        let scheme = match own.scheme {
            TpmAlgId::Null => (asked.scheme, asked.details),
            _ if fits => (own.scheme, own.details),
            _ => return Err(parameter(TpmRcBase::Scheme, 2)),
        };
        let padding = padding(scheme.0, &scheme.1).ok_or(parameter(TpmRcBase::Scheme, 2))?;
        if !self.label.is_empty() {
            return Err(parameter(TpmRcBase::Value, 3));
        }
        if self.cipher_text.len() != RsaBits::B2048.bytes() {
            return Err(parameter(TpmRcBase::Size, 1));
        }
        let key = tpm.private(&object)?;
        let message = key.decrypt(padding, &self.cipher_text).map_err(|_| parameter(TpmRcBase::Value, 1))?;
        Ok(TpmRsaDecryptResponse { handles: [], message: buffer(message.expose())? })
    }
}
