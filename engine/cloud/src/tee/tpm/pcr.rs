//! Platform configuration registers (part 3, §22).

use tpm2_protocol::basic::TpmList;
use tpm2_protocol::data::{TpmAlgId, TpmRcBase, TpmlDigest, TpmlPcrSelection, TpmsPcrSelect, TpmsPcrSelection, TpmuHa};
use tpm2_protocol::frame::{TpmPcrExtendCommand, TpmPcrExtendResponse, TpmPcrReadCommand, TpmPcrReadResponse};

use super::session::Role;
use super::{Outcome, Serve, Tpm, buffer, parameter, plain, sha256};
use crate::tee::boot::{PCRS, extended};

/// How many registers one answer holds.
const AT_ONCE: usize = 8;
/// Registers that an operating system may extend: those of the static root of trust, and the one for applications.
const EXTENDABLE: [std::ops::RangeInclusive<u32>; 2] = [0..=16, 23..=23];

/// Registers whose changes do not count: those for debugging and for applications (`TPM_PT_PCR_NO_INCREMENT`).
const UNCOUNTED: [u32; 2] = [16, 23];

/// The numbers of the registers that a bitmap selects.
fn numbers(bitmap: &[u8]) -> impl Iterator<Item = usize> + '_ {
    (0..PCRS).filter(|pcr| bitmap.get(pcr / 8).is_some_and(|byte| byte >> (pcr % 8) & 1 == 1))
}

fn bitmap(selected: &[usize], length: usize) -> Outcome<TpmsPcrSelect> {
    let mut bytes = vec![0; length.max(3)];
    for pcr in selected {
        if let Some(byte) = bytes.get_mut(pcr / 8) {
            *byte |= 1 << (pcr % 8);
        }
    }
    TpmsPcrSelect::try_from(bytes.as_slice()).map_err(|_| plain(TpmRcBase::Failure))
}

fn push<T: Copy, const N: usize>(list: &mut TpmList<T, N>, item: T) -> Outcome<()> {
    list.try_push(item).map_err(|_| plain(TpmRcBase::Failure))
}

impl Tpm<'_> {
    /// A selection as this TPM carries it out (no register of a bank that it does not have), and the digest of what is
    /// selected.
    pub(super) fn selected(&self, given: &TpmlPcrSelection) -> Outcome<(TpmlPcrSelection, [u8; 32])> {
        let (mut selection, mut values) = (TpmlPcrSelection::new(), Vec::new());
        for part in given.iter() {
            let chosen: Vec<usize> = match part.hash {
                TpmAlgId::Sha256 => numbers(&part.pcr_select).collect(),
                _ => Vec::new(),
            };
            for pcr in &chosen {
                values.extend_from_slice(self.machine.pcrs.get(*pcr).map_or(&[][..], |value| value));
            }
            let pcr_select = bitmap(&chosen, part.pcr_select.len())?;
            push(&mut selection, TpmsPcrSelection { hash: part.hash, pcr_select })?;
        }
        Ok((selection, sha256(&[&values])))
    }
}

impl Serve for TpmPcrReadCommand {
    type Response = TpmPcrReadResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let (mut selection, mut values) = (TpmlPcrSelection::new(), TpmlDigest::new());
        for part in self.pcr_selection_in.iter() {
            let mut read = Vec::new();
            if part.hash == TpmAlgId::Sha256 {
                for pcr in numbers(&part.pcr_select).take(AT_ONCE.saturating_sub(values.len())) {
                    let value = tpm.machine.pcrs.get(pcr).ok_or(plain(TpmRcBase::Failure))?;
                    push(&mut values, buffer(value)?)?;
                    read.push(pcr);
                }
            }
            let pcr_select = bitmap(&read, part.pcr_select.len())?;
            push(&mut selection, TpmsPcrSelection { hash: part.hash, pcr_select })?;
        }
        Ok(TpmPcrReadResponse {
            handles: [],
            pcr_update_counter: tpm.machine.pcr_updates.into(),
            pcr_selection_out: selection,
            pcr_values: values,
        })
    }
}

impl Serve for TpmPcrExtendCommand {
    type Response = TpmPcrExtendResponse;
    const ROLES: &'static [Role] = &[Role::User];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let done = TpmPcrExtendResponse { handles: [] };
        let [given] = self.handles;
        // TPM_RH_NULL stands for no register at all.
        if given.value() == tpm2_protocol::data::TpmRh::Null.value() {
            return Ok(done);
        }
        if !EXTENDABLE.iter().any(|range| range.contains(&given.value())) {
            return Err(plain(TpmRcBase::Locality));
        }
        let mut digests = Vec::new();
        for digest in self.digests.iter() {
            let (TpmAlgId::Sha256, TpmuHa::Digest(bytes)) = (digest.hash_alg, &digest.digest) else {
                return Err(parameter(TpmRcBase::Hash, 1));
            };
            digests.push(<[u8; 32]>::try_from(&bytes[..]).map_err(|_| parameter(TpmRcBase::Size, 1))?);
        }
        let pcr = usize::try_from(given.value()).unwrap_or(usize::MAX);
        let register = tpm.machine.pcrs.get_mut(pcr).ok_or(plain(TpmRcBase::Failure))?;
        for digest in digests {
            *register = extended(register, &digest);
            if !UNCOUNTED.contains(&given.value()) {
                tpm.machine.pcr_updates = tpm.machine.pcr_updates.wrapping_add(1);
            }
        }
        Ok(done)
    }
}
