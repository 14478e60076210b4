//! A virtual TPM 2.0: the commands that attestation and key release need, in the TPM's own wire format.
//!
//! Pure: a command in, the machine's state and the connection's state changed, a response out. What is not here is answered
//! with `TPM_RC_COMMAND_CODE`, as by any TPM that does not implement a command. Hash algorithm and bank of registers are
//! SHA-256; sessions are for passwords and policies, not for HMACs or the encryption of parameters.
//!
//! - `session`: who may use what
//! - `keys`: public areas, primary keys, decryption
//! - `attest`: quotes and certified keys
//! - `nv`, `pcr`, `policy`, `info`: the other commands, by their chapter
//!
//! Source: TCG, Trusted Platform Module Library Specification, Family 2.0, revision 1.59, parts 1 to 3.

mod attest;
mod info;
mod keys;
mod nv;
mod pcr;
mod policy;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use tpm2_protocol::basic::TpmBuffer;
use tpm2_protocol::data::{TpmCc, TpmRc, TpmRcBase, TpmRcFmt1, TpmRcIndex, TpmsAuthCommand, TpmsAuthResponse};
use tpm2_protocol::frame::{
    TpmCertifyCommand, TpmCommand, TpmCreatePrimaryCommand, TpmFlushContextCommand, TpmFrame, TpmGetCapabilityCommand,
    TpmGetRandomCommand, TpmHeader, TpmNvDefineSpaceCommand, TpmNvReadCommand, TpmNvReadPublicCommand,
    TpmNvUndefineSpaceCommand, TpmNvWriteCommand, TpmPcrExtendCommand, TpmPcrReadCommand, TpmPolicyGetDigestCommand,
    TpmPolicyPcrCommand, TpmPolicySecretCommand, TpmQuoteCommand, TpmReadPublicCommand, TpmRsaDecryptCommand,
    TpmStartAuthSessionCommand, TpmStartupCommand, TpmUnmarshalBody, tpm_marshal_response,
};
use tpm2_protocol::{TpmError, TpmMarshal, TpmResult, TpmUnmarshal, TpmWriter};

pub(crate) use self::nv::{AK_CERTIFICATE, Index, REPORT, USER_DATA};
use self::session::{Role, Session};
use super::machine::Machine;

/// Longest command and response in bytes.
const BUFFER: usize = tpm2_protocol::constant::TPM_MAX_COMMAND_SIZE;

/// What a TPM keeps until it is restarted or the connection to it ends, as the resource manager of an operating system
/// sees to: transient objects and sessions.
#[derive(Default)]
pub(crate) struct Volatile {
    /// The start of the machine that this belongs to.
    boot: u32,
    objects: BTreeMap<u32, keys::Object>,
    sessions: BTreeMap<u32, Session>,
}

/// A TPM at work on one command.
pub(crate) struct Tpm<'a> {
    /// What outlives a connection.
    pub machine: &'a mut Machine,
    /// What does not.
    pub volatile: &'a mut Volatile,
    /// Milliseconds since the machine was started.
    pub clock: u64,
}

type Outcome<T> = Result<T, TpmRc>;

/// A command that this TPM has.
trait Serve: TpmUnmarshalBody {
    type Response: TpmFrame + TpmHeader;
    /// What its first handles must be authorised for, one session each.
    const ROLES: &'static [Role];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response>;
}

/// A command: its code, its attributes (`TPMA_CC`) and what serves it.
struct Entry {
    code: TpmCc,
    attributes: u32,
    answer: fn(&mut Tpm<'_>, &TpmCommand) -> Outcome<Vec<u8>>,
}

/// The commands, in the order of their codes.
static COMMANDS: &[Entry] = &[
    entry::<TpmNvUndefineSpaceCommand>(),
    entry::<TpmNvDefineSpaceCommand>(),
    entry::<TpmCreatePrimaryCommand>(),
    entry::<TpmNvWriteCommand>(),
    entry::<TpmStartupCommand>(),
    entry::<TpmCertifyCommand>(),
    entry::<TpmNvReadCommand>(),
    entry::<TpmPolicySecretCommand>(),
    entry::<TpmQuoteCommand>(),
    entry::<TpmRsaDecryptCommand>(),
    entry::<TpmFlushContextCommand>(),
    entry::<TpmNvReadPublicCommand>(),
    entry::<TpmReadPublicCommand>(),
    entry::<TpmStartAuthSessionCommand>(),
    entry::<TpmGetCapabilityCommand>(),
    entry::<TpmGetRandomCommand>(),
    entry::<TpmPcrReadCommand>(),
    entry::<TpmPolicyPcrCommand>(),
    entry::<TpmPcrExtendCommand>(),
    entry::<TpmPolicyGetDigestCommand>(),
];

const fn entry<C: Serve>() -> Entry {
    let (takes, gives) = (<C as TpmHeader>::HANDLES as u32, <C::Response as TpmHeader>::HANDLES as u32);
    let code = <C as TpmHeader>::CC;
    Entry { code, attributes: code as u32 | takes << 25 | gives << 28, answer: |tpm, command| tpm.answer::<C>(command) }
}

impl Tpm<'_> {
    /// Carries a command out and returns the response; a refusal is one, too.
    pub fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        if self.volatile.boot != self.machine.boot.number {
            *self.volatile = Volatile { boot: self.machine.boot.number, ..Volatile::default() };
        }
        self.run(command).unwrap_or_else(refused)
    }

    fn run(&mut self, bytes: &[u8]) -> Outcome<Vec<u8>> {
        let command = TpmCommand::cast(bytes).map_err(envelope)?;
        let code = command.cc().map_err(envelope)?;
        let entry = COMMANDS.iter().find(|entry| entry.code == code).ok_or(plain(TpmRcBase::CommandCode))?;
        (entry.answer)(self, command)
    }

    fn answer<C: Serve>(&mut self, frame: &TpmCommand) -> Outcome<Vec<u8>> {
        let sessions = sessions(frame.auth_area().map_err(malformed)?)?;
        let handles: Vec<u32> = frame
            .handles()
            .map_err(malformed)?
            .chunks_exact(4)
            .filter_map(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
            .collect();
        let command: C = frame.unmarshal().map_err(malformed)?;
        if sessions.len() < C::ROLES.len() {
            return Err(plain(TpmRcBase::AuthMissing));
        }
        if sessions.len() > C::ROLES.len() {
            return Err(plain(TpmRcBase::AuthContext));
        }
        for (i, (role, session)) in C::ROLES.iter().zip(&sessions).enumerate() {
            let handle = handles.get(i).copied().unwrap_or_default();
            self.authorize(handle, i, *role, session)?;
        }
        let response = command.serve(self)?;
        let answers: Vec<TpmsAuthResponse> = sessions.iter().map(|session| self.acknowledge(session)).collect();
        marshalled(|writer| tpm_marshal_response(&response, plain(TpmRcBase::Success), &answers, writer))
    }
}

fn sessions(mut area: &[u8]) -> Outcome<Vec<TpmsAuthCommand>> {
    let mut sessions = Vec::new();
    while !area.is_empty() {
        let (session, rest) = TpmsAuthCommand::unmarshal(area).map_err(|_| plain(TpmRcBase::AuthSize))?;
        sessions.push(session);
        area = rest;
    }
    Ok(sessions)
}

/// A response code without a place.
fn plain(base: TpmRcBase) -> TpmRc {
    match base.value() {
        fmt1 if fmt1 & 0x80 != 0 => TpmRc::Fmt1(TpmRcFmt1 { base, index: None }),
        warning if warning & 0x900 == 0x900 => TpmRc::Warn(base),
        _ => TpmRc::Fmt0(base),
    }
}

/// A response code that names a parameter, counted from one.
fn parameter(base: TpmRcBase, number: u8) -> TpmRc {
    TpmRc::Fmt1(TpmRcFmt1 { base, index: Some(TpmRcIndex::Parameter(number)) })
}

/// A response code that names a handle, counted from one.
fn handle(base: TpmRcBase, number: u8) -> TpmRc {
    TpmRc::Fmt1(TpmRcFmt1 { base, index: Some(TpmRcIndex::Handle(number)) })
}

/// A response code that names a session, counted from zero.
fn at_session(base: TpmRcBase, index: usize) -> TpmRc {
    // In a response code, sessions are counted from one.
    let number = u8::try_from(index).unwrap_or_default().saturating_add(1);
    TpmRc::Fmt1(TpmRcFmt1 { base, index: Some(TpmRcIndex::Session(number)) })
}

fn refused(code: TpmRc) -> Vec<u8> {
    let mut response = vec![0x80, 0x01, 0, 0, 0, 10];
    response.extend_from_slice(&code.value().to_be_bytes());
    response
}

/// What is wrong with the header of a command.
fn envelope(error: TpmError) -> TpmRc {
    plain(match error {
        TpmError::InvalidTag { .. } => TpmRcBase::BadTag,
        TpmError::InvalidCc { .. } => TpmRcBase::CommandCode,
        _ => TpmRcBase::CommandSize,
    })
}

/// What is wrong with the handles or parameters of a command.
fn malformed(error: TpmError) -> TpmRc {
    plain(match error {
        TpmError::UnexpectedEnd { .. } => TpmRcBase::Insufficient,
        TpmError::TrailingData { .. } | TpmError::TooManyBytes { .. } | TpmError::TooManyItems { .. } => {
            TpmRcBase::Size
        }
        TpmError::VariantNotAvailable { .. } => TpmRcBase::Selector,
        _ => TpmRcBase::Value,
    })
}

fn marshalled(write: impl FnOnce(&mut TpmWriter<'_>) -> TpmResult<()>) -> Outcome<Vec<u8>> {
    let mut buffer = vec![0; BUFFER];
    let mut writer = TpmWriter::new(&mut buffer);
    write(&mut writer).map_err(|_| plain(TpmRcBase::Failure))?;
    let length = writer.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// The wire form of a structure.
fn wire(value: &impl TpmMarshal) -> Outcome<Vec<u8>> {
    marshalled(|writer| value.marshal(writer))
}

/// A sized buffer; what does not fit is a mistake of this TPM.
fn buffer<const N: usize>(bytes: &[u8]) -> Outcome<TpmBuffer<N>> {
    TpmBuffer::try_from(bytes).map_err(|_| plain(TpmRcBase::Failure))
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    sealbook_crypto::sha256(&parts.concat())
}

/// A name (part 1, §16): the hash algorithm and the digest of a public area.
fn name_of(public: &[u8]) -> Vec<u8> {
    const SHA256: [u8; 2] = [0x00, 0x0b];
    [&SHA256[..], &sha256(&[public])].concat()
}
