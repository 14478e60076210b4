//! The TPM commands that attestation and key release need, over any [`Hardware`].
//!
//! Marshalling is the crate `tpm2-protocol`'s; what is here is which commands are sent, with which templates. The keys
//! and indices are those of Azure's paravisor ("vTPMs in Azure confidential VMs").
//!
//! Source: TCG, Trusted Platform Module Library Specification, Family 2.0, parts 2 and 3.

use std::io;

use sealbook_crypto::SecretBytes;
use tpm2_protocol::basic::{TpmBuffer, TpmList};
use tpm2_protocol::data::{
    Tpm2bNvPublic, Tpm2bPublic, Tpm2bSensitiveCreate, TpmAlgId, TpmRh, TpmSe, TpmSt, TpmaNv, TpmaObject, TpmaSession,
    TpmlPcrSelection, TpmsAuthCommand, TpmsNvPublic, TpmsPcrSelect, TpmsPcrSelection, TpmsRsaParms, TpmsSchemeHash,
    TpmsSensitiveCreate, TpmtPublic, TpmtRsaDecrypt, TpmtSigScheme, TpmtSymDef, TpmuAsymScheme, TpmuPublicId,
    TpmuPublicParms, TpmuSignature,
};
use tpm2_protocol::frame::{
    TpmCertifyCommand, TpmCertifyResponse, TpmCreatePrimaryCommand, TpmCreatePrimaryResponse, TpmFlushContextCommand,
    TpmFlushContextResponse, TpmFrame, TpmNvDefineSpaceCommand, TpmNvDefineSpaceResponse, TpmNvReadCommand,
    TpmNvReadPublicCommand, TpmNvReadPublicResponse, TpmNvReadResponse, TpmNvWriteCommand, TpmNvWriteResponse,
    TpmPcrReadCommand, TpmPcrReadResponse, TpmPolicyGetDigestCommand, TpmPolicyGetDigestResponse, TpmPolicyPcrCommand,
    TpmPolicyPcrResponse, TpmQuoteCommand, TpmQuoteResponse, TpmReadPublicCommand, TpmReadPublicResponse, TpmResponse,
    TpmRsaDecryptCommand, TpmRsaDecryptResponse, TpmStartAuthSessionCommand, TpmStartAuthSessionResponse,
    TpmUnmarshalBody, tpm_marshal_command,
};
use tpm2_protocol::{TpmMarshal, TpmResult, TpmWriter};

use crate::hardware::Hardware;

/// The paravisor's report.
pub const REPORT: u32 = 0x0140_0001;
/// User data that the report carries.
pub const USER_DATA: u32 = 0x0140_0002;
/// Certificate of the attestation key.
pub const AK_CERTIFICATE: u32 = 0x01c1_01d0;
/// The attestation key.
const AK: u32 = 0x8100_0003;
/// `TPM_RC_NV_UNINITIALIZED`, `TPM_RC_HANDLE` for the first handle: an index that was never written, or is not defined.
const NV_UNINITIALIZED: u32 = 0x14a;
const NO_SUCH_HANDLE: u32 = 0x18b;
/// `TPM_RC_NV_DEFINED`.
const NV_DEFINED: u32 = 0x14c;
/// Registers of the SHA-256 bank.
pub const PCRS: u8 = 24;
/// Bytes that are read from non-volatile memory at a time.
const PIECE: u16 = 1024;

/// Why the TPM did not do it.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The device can't be reached.
    #[error("the TPM can't be reached: {0}")]
    Device(#[from] io::Error),
    /// The TPM refused, with its response code.
    #[error("the TPM refused {command} with TPM_RC 0x{code:03x}")]
    Refused {
        /// The command.
        command: &'static str,
        /// The response code (part 2, §6.6).
        code: u32,
    },
    /// What the TPM answered can't be read, or what was asked can't be said.
    #[error("{0} does not fit the TPM's protocol")]
    Protocol(&'static str),
}

/// A statement of the TPM and its signature by the attestation key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// `TPMS_ATTEST`.
    pub message: Vec<u8>,
    /// RSASSA with SHA-256.
    pub signature: Vec<u8>,
}

/// A key that only this TPM can decrypt with, as long as the registers stay what they are.
#[derive(Debug)]
pub struct TransferKey {
    handle: u32,
    /// `TPM2B_PUBLIC`.
    pub public: Vec<u8>,
    /// Its modulus, big endian.
    pub n: Vec<u8>,
}

/// How a ciphertext for a transfer key is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// RSAES-PKCS1-v1_5.
    Pkcs1,
    /// RSAES-OAEP.
    Oaep(TpmAlgId),
}

/// A TPM.
pub struct Tpm {
    hardware: Box<dyn Hardware>,
}

type Registers = Vec<(u8, Vec<u8>)>;

impl Tpm {
    /// Talks to a TPM.
    #[must_use]
    pub fn new(hardware: Box<dyn Hardware>) -> Self {
        Self { hardware }
    }

    /// The firmware's event log; none where the operating system shows none.
    pub fn event_log(&mut self) -> Option<Vec<u8>> {
        self.hardware.event_log().ok()
    }

    /// Reads an index of non-volatile memory with the owner's (empty) authorisation.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn nv_read(&mut self, index: u32) -> Result<Vec<u8>, TpmError> {
        let public = TpmNvReadPublicCommand { handles: [index.into()] };
        let public: TpmNvReadPublicResponse = self.ask("NV_ReadPublic", &public, &[])?;
        let size = public.nv_public.inner.data_size.value();
        let mut data = Vec::with_capacity(size.into());
        while data.len() < usize::from(size) {
            let offset = u16::try_from(data.len()).map_err(|_| TpmError::Protocol("an index"))?;
            let read = TpmNvReadCommand {
                handles: [owner().into(), index.into()],
                size: size.saturating_sub(offset).min(PIECE).into(),
                offset: offset.into(),
            };
            let part: TpmNvReadResponse = self.ask("NV_Read", &read, &[password()])?;
            if part.data.is_empty() {
                return Err(TpmError::Protocol("an empty piece of an index"));
            }
            data.extend_from_slice(&part.data);
        }
        Ok(data)
    }

    /// Writes the user data that the paravisor puts into its report, defining its index on first use.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn write_user_data(&mut self, data: &[u8]) -> Result<(), TpmError> {
        let size = u16::try_from(data.len()).map_err(|_| TpmError::Protocol("the user data"))?;
        let inner = TpmsNvPublic {
            nv_index: USER_DATA.into(),
            name_alg: TpmAlgId::Sha256,
            attributes: TpmaNv::OWNERREAD | TpmaNv::OWNERWRITE | TpmaNv::AUTHREAD | TpmaNv::AUTHWRITE,
            auth_policy: TpmBuffer::default(),
            data_size: size.into(),
        };
        let handles = [owner().into()];
        let define =
            TpmNvDefineSpaceCommand { handles, auth: TpmBuffer::default(), public_info: Tpm2bNvPublic { inner } };
        match self.ask::<TpmNvDefineSpaceResponse>("NV_DefineSpace", &define, &[password()]) {
            Ok(_) | Err(TpmError::Refused { code: NV_DEFINED, .. }) => {}
            Err(error) => return Err(error),
        }
        let handles = [owner().into(), USER_DATA.into()];
        let write = TpmNvWriteCommand { handles, data: buffer(data)?, offset: 0.into() };
        self.ask::<TpmNvWriteResponse>("NV_Write", &write, &[password()]).map(drop)
    }

    /// Whether an index is there and was written.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn nv_find(&mut self, index: u32) -> Result<Option<Vec<u8>>, TpmError> {
        match self.nv_read(index) {
            Ok(data) => Ok(Some(data)),
            Err(TpmError::Refused { code: NV_UNINITIALIZED | NO_SUCH_HANDLE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The attestation key, as `TPM2B_PUBLIC`.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn attestation_key(&mut self) -> Result<Vec<u8>, TpmError> {
        let read = TpmReadPublicCommand { handles: [AK.into()] };
        let answer: TpmReadPublicResponse = self.ask("ReadPublic", &read, &[])?;
        wire(&answer.out_public)
    }

    /// All registers of the SHA-256 bank.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn registers(&mut self) -> Result<Registers, TpmError> {
        let mut values = Vec::new();
        for number in 0..PCRS {
            let read = TpmPcrReadCommand { handles: [], pcr_selection_in: selection([number])? };
            let answer: TpmPcrReadResponse = self.ask("PCR_Read", &read, &[])?;
            let value = answer.pcr_values.iter().next().ok_or(TpmError::Protocol("a register"))?;
            values.push((number, value.to_vec()));
        }
        Ok(values)
    }

    /// A quote over all registers of the SHA-256 bank.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn quote(&mut self, nonce: &[u8]) -> Result<Statement, TpmError> {
        let quote = TpmQuoteCommand {
            handles: [AK.into()],
            qualifying_data: buffer(nonce)?,
            in_scheme: TpmtSigScheme::default(),
            pcr_select: selection(0..PCRS)?,
        };
        let answer: TpmQuoteResponse = self.ask("Quote", &quote, &[password()])?;
        Ok(Statement { message: wire(&answer.quoted.inner)?, signature: rsassa(&answer.signature.signature)? })
    }

    /// Makes the transfer key: a primary key of the null hierarchy, usable while the registers are what they are now.
    /// As long as the machine is not restarted, it is the same one every time.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn transfer_key(&mut self) -> Result<TransferKey, TpmError> {
        let (digest, session) = (self.register_digest()?, self.session(TpmSe::Trial)?);
        let policy = self.policy_digest(session, &digest);
        self.flush(session)?;
        let template = TpmtPublic {
            object_type: TpmAlgId::Rsa,
            name_alg: TpmAlgId::Sha256,
            object_attributes: TpmaObject::FIXED_TPM
                | TpmaObject::FIXED_PARENT
                | TpmaObject::SENSITIVE_DATA_ORIGIN
                | TpmaObject::DECRYPT
                | TpmaObject::NO_DA,
            auth_policy: buffer(&policy?)?,
            parameters: TpmuPublicParms::Rsa(TpmsRsaParms { key_bits: 2048.into(), ..TpmsRsaParms::default() }),
            unique: TpmuPublicId::Rsa(TpmBuffer::default()),
        };
        let create = TpmCreatePrimaryCommand {
            handles: [(TpmRh::Null as u32).into()],
            in_sensitive: Tpm2bSensitiveCreate { inner: TpmsSensitiveCreate::default() },
            in_public: Tpm2bPublic { inner: template },
            outside_info: TpmBuffer::default(),
            creation_pcr: TpmlPcrSelection::new(),
        };
        let made: TpmCreatePrimaryResponse = self.ask("CreatePrimary", &create, &[password()])?;
        let [handle] = made.handles;
        let TpmuPublicId::Rsa(n) = &made.out_public.inner.unique else {
            return Err(TpmError::Protocol("the transfer key"));
        };
        Ok(TransferKey { handle: handle.value(), public: wire(&made.out_public)?, n: n.to_vec() })
    }

    /// The TPM's statement that the transfer key is its own.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn certify(&mut self, key: &TransferKey) -> Result<Statement, TpmError> {
        let certify = TpmCertifyCommand {
            handles: [key.handle.into(), AK.into()],
            qualifying_data: TpmBuffer::default(),
            in_scheme: TpmtSigScheme::default(),
        };
        let answer: TpmCertifyResponse = self.ask("Certify", &certify, &[password(), password()])?;
        Ok(Statement { message: wire(&answer.certify_info.inner)?, signature: rsassa(&answer.signature.signature)? })
    }

    /// Decrypts with a transfer key.
    ///
    /// # Errors
    /// [`TpmError::Refused`] when it was encrypted for another key, or the registers have changed.
    pub fn decrypt(&mut self, key: &TransferKey, padding: Padding, ciphertext: &[u8]) -> Result<SecretBytes, TpmError> {
        let (digest, session) = (self.register_digest()?, self.session(TpmSe::Policy)?);
        let in_scheme = match padding {
            Padding::Pkcs1 => TpmtRsaDecrypt { scheme: TpmAlgId::Rsaes, details: TpmuAsymScheme::Null },
            Padding::Oaep(hash_alg) => {
                TpmtRsaDecrypt { scheme: TpmAlgId::Oaep, details: TpmuAsymScheme::Hash(TpmsSchemeHash { hash_alg }) }
            }
        };
        let decrypt = TpmRsaDecryptCommand {
            handles: [key.handle.into()],
            cipher_text: buffer(ciphertext)?,
            in_scheme,
            label: TpmBuffer::default(),
        };
        let authorised = TpmsAuthCommand {
            session_handle: session.into(),
            session_attributes: TpmaSession::CONTINUE_SESSION,
            ..Default::default()
        };
        let done = self.satisfy(session, &digest).and_then(|()| {
            let answer: TpmRsaDecryptResponse = self.ask("RSA_Decrypt", &decrypt, &[authorised])?;
            Ok(SecretBytes::new(answer.message.to_vec()))
        });
        self.flush(session)?;
        done
    }

    /// Forgets a transfer key.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn forget(&mut self, key: TransferKey) -> Result<(), TpmError> {
        self.flush(key.handle)
    }

    fn register_digest(&mut self) -> Result<Vec<u8>, TpmError> {
        let values: Vec<u8> = self.registers()?.into_iter().flat_map(|(_, value)| value).collect();
        Ok(sealbook_crypto::sha256(&values).to_vec())
    }

    fn session(&mut self, session_type: TpmSe) -> Result<u32, TpmError> {
        let null = || (TpmRh::Null as u32).into();
        let start = TpmStartAuthSessionCommand {
            handles: [null(), null()],
            nonce_caller: buffer(&sealbook_crypto::random::<32>())?,
            encrypted_salt: TpmBuffer::default(),
            session_type,
            symmetric: TpmtSymDef::default(),
            auth_hash: TpmAlgId::Sha256,
        };
        let started: TpmStartAuthSessionResponse = self.ask("StartAuthSession", &start, &[])?;
        let [session] = started.handles;
        Ok(session.value())
    }

    fn satisfy(&mut self, session: u32, digest: &[u8]) -> Result<(), TpmError> {
        let policy =
            TpmPolicyPcrCommand { handles: [session.into()], pcr_digest: buffer(digest)?, pcrs: selection(0..PCRS)? };
        self.ask::<TpmPolicyPcrResponse>("PolicyPCR", &policy, &[]).map(drop)
    }

    fn policy_digest(&mut self, session: u32, digest: &[u8]) -> Result<Vec<u8>, TpmError> {
        self.satisfy(session, digest)?;
        let get = TpmPolicyGetDigestCommand { handles: [session.into()] };
        Ok(self.ask::<TpmPolicyGetDigestResponse>("PolicyGetDigest", &get, &[])?.policy_digest.to_vec())
    }

    fn flush(&mut self, handle: u32) -> Result<(), TpmError> {
        let flush = TpmFlushContextCommand { flush_handle: handle.into(), handles: [] };
        self.ask::<TpmFlushContextResponse>("FlushContext", &flush, &[]).map(drop)
    }

    /// Sends a command and reads its response.
    fn ask<R: TpmUnmarshalBody>(
        &mut self,
        name: &'static str,
        command: &impl TpmFrame,
        sessions: &[TpmsAuthCommand],
    ) -> Result<R, TpmError> {
        let tag = if sessions.is_empty() { TpmSt::NoSessions } else { TpmSt::Sessions };
        let frame = marshalled(|writer| tpm_marshal_command(command, tag, sessions, writer))?;
        // It may be a key that was decrypted.
        let answer = SecretBytes::new(self.hardware.transmit(&frame)?);
        let response = TpmResponse::cast(answer.expose()).map_err(|_| TpmError::Protocol(name))?;
        match response.rc().map_err(|_| TpmError::Protocol(name))?.value() {
            0 => response.unmarshal().map_err(|_| TpmError::Protocol(name)),
            code => Err(TpmError::Refused { command: name, code }),
        }
    }
}

fn owner() -> u32 {
    TpmRh::Owner as u32
}

/// The empty password.
fn password() -> TpmsAuthCommand {
    TpmsAuthCommand { session_handle: (TpmRh::Pw as u32).into(), ..TpmsAuthCommand::default() }
}

/// Registers of the SHA-256 bank.
fn selection(numbers: impl IntoIterator<Item = u8>) -> Result<TpmlPcrSelection, TpmError> {
    let wrong = TpmError::Protocol("a selection of registers");
    let mut map = [0_u8; PCRS as usize / 8];
    for number in numbers {
        if let Some(byte) = map.get_mut(usize::from(number / 8)) {
            *byte |= 1 << (number % 8);
        }
    }
    let Ok(pcr_select) = TpmsPcrSelect::try_from(&map[..]) else { return Err(wrong) };
    let mut list = TpmList::new();
    match list.try_push(TpmsPcrSelection { hash: TpmAlgId::Sha256, pcr_select }) {
        Ok(()) => Ok(list),
        Err(_) => Err(wrong),
    }
}

fn rsassa(signature: &TpmuSignature) -> Result<Vec<u8>, TpmError> {
    match signature {
        TpmuSignature::Rsassa(signature) => Ok(signature.sig.to_vec()),
        _ => Err(TpmError::Protocol("a signature")),
    }
}

fn buffer<const N: usize>(bytes: &[u8]) -> Result<TpmBuffer<N>, TpmError> {
    TpmBuffer::try_from(bytes).map_err(|_| TpmError::Protocol("a buffer"))
}

fn wire(value: &impl TpmMarshal) -> Result<Vec<u8>, TpmError> {
    marshalled(|writer| value.marshal(writer))
}

fn marshalled(write: impl FnOnce(&mut TpmWriter<'_>) -> TpmResult<()>) -> Result<Vec<u8>, TpmError> {
    let mut buffer = vec![0; tpm2_protocol::constant::TPM_MAX_COMMAND_SIZE];
    let mut writer = TpmWriter::new(&mut buffer);
    write(&mut writer).map_err(|_| TpmError::Protocol("a command"))?;
    let length = writer.len();
    buffer.truncate(length);
    Ok(buffer)
}
