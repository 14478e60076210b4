//! Non-volatile memory (part 3, §31).

use serde::{Deserialize, Serialize};
use tpm2_protocol::constant::MAX_NV_BUFFER_SIZE;
use tpm2_protocol::data::{Tpm2bNvPublic, TpmAlgId, TpmRcBase, TpmRh, TpmaNv, TpmsNvPublic};
use tpm2_protocol::frame::{
    TpmNvDefineSpaceCommand, TpmNvDefineSpaceResponse, TpmNvReadCommand, TpmNvReadPublicCommand,
    TpmNvReadPublicResponse, TpmNvReadResponse, TpmNvUndefineSpaceCommand, TpmNvUndefineSpaceResponse,
    TpmNvWriteCommand, TpmNvWriteResponse,
};

use super::session::Role;
use super::{Outcome, Serve, Tpm, buffer, handle, name_of, parameter, plain, wire};

/// The paravisor's report. It is made anew when [`USER_DATA`] is written.
pub(crate) const REPORT: u32 = 0x0140_0001;
/// What the guest wants in its report: 64 bytes. The guest defines it.
pub(crate) const USER_DATA: u32 = 0x0140_0002;
/// The certificate of the attestation key, padded with zeros.
pub(crate) const AK_CERTIFICATE: u32 = 0x01c1_01d0;

/// Longest index in bytes, and most indices of a machine.
const LONGEST: u16 = 4096;
const MOST: usize = 64;

/// An index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    attributes: u32,
    #[serde(with = "hex::serde")]
    pub(super) auth: Vec<u8>,
    #[serde(with = "hex::serde")]
    policy: Vec<u8>,
    #[serde(with = "hex::serde")]
    pub(crate) data: Vec<u8>,
}

impl Index {
    /// One that the platform made and the guest may read.
    pub fn of_platform(data: Vec<u8>) -> Self {
        let attributes = TpmaNv::PPWRITE
            | TpmaNv::PPREAD
            | TpmaNv::OWNERREAD
            | TpmaNv::AUTHREAD
            | TpmaNv::NO_DA
            | TpmaNv::PLATFORMCREATE
            | TpmaNv::WRITTEN;
        Self { attributes: attributes.bits(), auth: Vec::new(), policy: Vec::new(), data }
    }

    fn has(&self, attribute: TpmaNv) -> bool {
        self.attributes & attribute.bits() != 0
    }

    /// Its public area.
    pub(super) fn public(&self, index: u32) -> Outcome<TpmsNvPublic> {
        Ok(TpmsNvPublic {
            nv_index: index.into(),
            name_alg: TpmAlgId::Sha256,
            attributes: TpmaNv::from_bits_truncate(self.attributes),
            auth_policy: buffer(&self.policy)?,
            data_size: u16::try_from(self.data.len()).unwrap_or(u16::MAX).into(),
        })
    }

    /// Whether a handle gives access: the owner's or the index's own, each if the index allows it.
    fn open_to(&self, by: u32, index: u32, owner: TpmaNv, auth: TpmaNv) -> Outcome<()> {
        let allowed = (by == TpmRh::Owner.value() && self.has(owner)) || (by == index && self.has(auth));
        if allowed { Ok(()) } else { Err(plain(TpmRcBase::NvAuthorization)) }
    }
}

/// Where a part of an index lies.
fn part(offset: u16, length: usize, whole: usize) -> Outcome<std::ops::Range<usize>> {
    let start = usize::from(offset);
    let end = start.checked_add(length).filter(|end| *end <= whole).ok_or(plain(TpmRcBase::NvRange))?;
    Ok(start..end)
}

impl Tpm<'_> {
    /// The index of the handle with this number, counted from one.
    pub(super) fn index(&self, given: u32, number: u8) -> Outcome<&Index> {
        self.machine.nv.get(&given).ok_or(handle(TpmRcBase::Handle, number))
    }
}

impl Serve for TpmNvReadPublicCommand {
    type Response = TpmNvReadPublicResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [given] = self.handles;
        let public = tpm.index(given.value(), 1)?.public(given.value())?;
        let nv_name = buffer(&name_of(&wire(&public)?))?;
        Ok(TpmNvReadPublicResponse { handles: [], nv_public: Tpm2bNvPublic { inner: public }, nv_name })
    }
}

impl Serve for TpmNvReadCommand {
    type Response = TpmNvReadResponse;
    const ROLES: &'static [Role] = &[Role::User];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [by, given] = self.handles;
        let index = tpm.index(given.value(), 2)?;
        index.open_to(by.value(), given.value(), TpmaNv::OWNERREAD, TpmaNv::AUTHREAD)?;
        if !index.has(TpmaNv::WRITTEN) {
            return Err(plain(TpmRcBase::NvUninitialized));
        }
        let size = usize::from(self.size.value());
        if size > MAX_NV_BUFFER_SIZE {
            return Err(parameter(TpmRcBase::Value, 1));
        }
        let part = part(self.offset.value(), size, index.data.len())?;
        Ok(TpmNvReadResponse { handles: [], data: buffer(index.data.get(part).unwrap_or_default())? })
    }
}

impl Serve for TpmNvWriteCommand {
    type Response = TpmNvWriteResponse;
    const ROLES: &'static [Role] = &[Role::User];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [by, given] = self.handles;
        let index = tpm.index(given.value(), 2)?;
        index.open_to(by.value(), given.value(), TpmaNv::OWNERWRITE, TpmaNv::AUTHWRITE)?;
        let part = part(self.offset.value(), self.data.len(), index.data.len())?;
        if index.has(TpmaNv::WRITEALL) && part.len() != index.data.len() {
            return Err(plain(TpmRcBase::NvRange));
        }
        let index = tpm.machine.nv.get_mut(&given.value()).ok_or(handle(TpmRcBase::Handle, 2))?;
        if let Some(place) = index.data.get_mut(part) {
            place.copy_from_slice(&self.data);
        }
        index.attributes |= TpmaNv::WRITTEN.bits();
        tpm.machine.report_stale |= given.value() == USER_DATA;
        Ok(TpmNvWriteResponse { handles: [] })
    }
}

impl Serve for TpmNvDefineSpaceCommand {
    type Response = TpmNvDefineSpaceResponse;
    const ROLES: &'static [Role] = &[Role::User];

    /// Ordinary indices of the owner. Counters, bit fields, registers, locks and policies are refused by their attributes.
    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [by] = self.handles;
        if by.value() != TpmRh::Owner.value() {
            return Err(handle(TpmRcBase::Hierarchy, 1));
        }
        let public = &self.public_info.inner;
        let given = public.nv_index.value();
        if !(0x0100_0000..=0x01ff_ffff).contains(&given) {
            return Err(parameter(TpmRcBase::Value, 2));
        }
        if public.name_alg != TpmAlgId::Sha256 {
            return Err(parameter(TpmRcBase::Hash, 2));
        }
        let allowed = TpmaNv::OWNERWRITE
            | TpmaNv::AUTHWRITE
            | TpmaNv::OWNERREAD
            | TpmaNv::AUTHREAD
            | TpmaNv::WRITEALL
            | TpmaNv::NO_DA;
        let bits = public.attributes.bits();
        let reads = bits & (TpmaNv::OWNERREAD | TpmaNv::AUTHREAD).bits() != 0;
        let writes = bits & (TpmaNv::OWNERWRITE | TpmaNv::AUTHWRITE).bits() != 0;
        if bits & !allowed.bits() != 0 || !reads || !writes {
            return Err(parameter(TpmRcBase::Attributes, 2));
        }
        if !matches!(public.auth_policy.len(), 0 | 32) || public.data_size.value() > LONGEST || self.auth.len() > 32 {
            return Err(parameter(TpmRcBase::Size, 2));
        }
        if tpm.machine.nv.contains_key(&given) {
            return Err(plain(TpmRcBase::NvDefined));
        }
        if tpm.machine.nv.len() >= MOST {
            return Err(plain(TpmRcBase::NvSpace));
        }
        let end = self.auth.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let index = Index {
            attributes: bits,
            auth: self.auth.get(..end).unwrap_or_default().to_vec(),
            policy: public.auth_policy.to_vec(),
            data: vec![0xff; usize::from(public.data_size.value())],
        };
        tpm.machine.nv.insert(given, index);
        Ok(TpmNvDefineSpaceResponse { handles: [] })
    }
}

impl Serve for TpmNvUndefineSpaceCommand {
    type Response = TpmNvUndefineSpaceResponse;
    const ROLES: &'static [Role] = &[Role::User];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let [by, given] = self.handles;
        let index = tpm.index(given.value(), 2)?;
        if by.value() != TpmRh::Owner.value() || index.has(TpmaNv::PLATFORMCREATE) {
            return Err(plain(TpmRcBase::NvAuthorization));
        }
        tpm.machine.nv.remove(&given.value());
        tpm.machine.report_stale |= given.value() == USER_DATA;
        Ok(TpmNvUndefineSpaceResponse { handles: [] })
    }
}
