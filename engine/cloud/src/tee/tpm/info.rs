//! What the TPM says of itself, random numbers, and starting up (part 3, §9.3, §16.1, §30.2).

use tpm2_protocol::basic::TpmList;
use tpm2_protocol::data::{
    TpmAlgId, TpmCap, TpmPt, TpmRcBase, TpmaAlgorithm, TpmaCc, TpmlAlgProperty, TpmlCca, TpmlHandle, TpmlPcrSelection,
    TpmlTaggedTpmProperty, TpmsAlgProperty, TpmsCapabilityData, TpmsPcrSelect, TpmsPcrSelection, TpmsTaggedProperty,
    TpmuCapabilities,
};
use tpm2_protocol::frame::{
    TpmGetCapabilityCommand, TpmGetCapabilityResponse, TpmGetRandomCommand, TpmGetRandomResponse, TpmStartupCommand,
    TpmStartupResponse,
};

use super::keys::{AK, EK};
use super::session::Role;
use super::{BUFFER, COMMANDS, Outcome, Serve, Tpm, attest, buffer, parameter, plain};
use crate::tee::boot::PCRS;

/// Most random bytes at a time: the length of the longest digest.
const RANDOM: u16 = 32;

impl Serve for TpmStartupCommand {
    type Response = TpmStartupResponse;
    const ROLES: &'static [Role] = &[];

    /// The firmware has done it before a guest can ask.
    fn serve(self, _: &mut Tpm<'_>) -> Outcome<Self::Response> {
        Err(plain(TpmRcBase::Initialize))
    }
}

impl Serve for TpmGetRandomCommand {
    type Response = TpmGetRandomResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, _: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let length = self.bytes_requested.value().min(RANDOM);
        let random_bytes = buffer(&sealbook_crypto::random_bytes(usize::from(length)))?;
        Ok(TpmGetRandomResponse { handles: [], random_bytes })
    }
}

fn text(four: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*four)
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn properties() -> Vec<(TpmPt, u32)> {
    vec![
        (TpmPt::FamilyIndicator, text(b"2.0\0")),
        (TpmPt::Level, 0),
        (TpmPt::Revision, 159),
        (TpmPt::Manufacturer, text(b"SEAL")),
        (TpmPt::VendorString1, text(b"BOOK")),
        (TpmPt::VendorString2, text(b" TES")),
        (TpmPt::VendorString3, text(b"T vT")),
        (TpmPt::VendorString4, text(b"PM\0\0")),
        (TpmPt::FirmwareVersion1, attest::FIRMWARE.0),
        (TpmPt::FirmwareVersion2, attest::FIRMWARE.1),
        (TpmPt::PcrCount, number(PCRS)),
        (TpmPt::PcrSelectMin, 3),
        (TpmPt::MaxCommandSize, number(BUFFER)),
        (TpmPt::MaxResponseSize, number(BUFFER)),
        (TpmPt::MaxDigest, u32::from(RANDOM)),
        (TpmPt::TotalCommands, number(COMMANDS.len())),
        (TpmPt::LibraryCommands, number(COMMANDS.len())),
        (TpmPt::NvBufferMax, number(tpm2_protocol::constant::MAX_NV_BUFFER_SIZE)),
    ]
}

fn algorithms() -> Vec<TpmsAlgProperty> {
    let asymmetric = TpmaAlgorithm::ASYMMETRIC;
    let encrypting = asymmetric | TpmaAlgorithm::ENCRYPTING;
    vec![
        TpmsAlgProperty { alg: TpmAlgId::Rsa, alg_properties: asymmetric | TpmaAlgorithm::OBJECT },
        TpmsAlgProperty { alg: TpmAlgId::Sha256, alg_properties: TpmaAlgorithm::HASH },
        TpmsAlgProperty { alg: TpmAlgId::Rsassa, alg_properties: asymmetric | TpmaAlgorithm::SIGNING },
        TpmsAlgProperty { alg: TpmAlgId::Rsaes, alg_properties: encrypting },
        TpmsAlgProperty { alg: TpmAlgId::Oaep, alg_properties: encrypting },
    ]
}

/// At most `count` items, and whether there are more.
fn page<T: Copy, const N: usize>(items: impl Iterator<Item = T>, count: u32) -> (TpmList<T, N>, bool) {
    let most = usize::try_from(count).unwrap_or(N).min(N);
    let (mut list, mut more) = (TpmList::new(), false);
    for item in items {
        if list.len() >= most || list.try_push(item).is_err() {
            more = true;
            break;
        }
    }
    (list, more)
}

impl Tpm<'_> {
    /// Handles of the type of the first one, in order.
    fn handles_from(&self, first: u32) -> Outcome<Vec<u32>> {
        let all: Vec<u32> = match first >> 24 {
            0x00 => (0..number(PCRS)).collect(),
            0x01 => self.machine.nv.keys().copied().collect(),
            // Loaded sessions are asked for by the handle type of HMAC sessions (part 2, §7.3).
            0x02 | 0x03 => self.volatile.sessions.keys().copied().collect(),
            0x80 => self.volatile.objects.keys().copied().collect(),
            0x81 => vec![AK, EK],
            _ => return Err(parameter(TpmRcBase::Handle, 2)),
        };
        let sessions = first >> 24 == 0x02;
        Ok(all.into_iter().filter(|given| sessions || *given >= first).collect())
    }
}

impl Serve for TpmGetCapabilityCommand {
    type Response = TpmGetCapabilityResponse;
    const ROLES: &'static [Role] = &[];

    fn serve(self, tpm: &mut Tpm<'_>) -> Outcome<Self::Response> {
        let (first, count) = (self.property.value(), self.property_count.value());
        let (data, more) = match self.cap {
            TpmCap::Algs => {
                let from = algorithms().into_iter().filter(|a| u32::from(a.alg.value()) >= first);
                let (list, more): (TpmlAlgProperty, _) = page(from, count);
                (TpmuCapabilities::Algs(list), more)
            }
            TpmCap::Handles => {
                let handles = tpm.handles_from(first)?;
                let (list, more): (TpmlHandle, _) = page(handles.into_iter().map(Into::into), count);
                (TpmuCapabilities::Handles(list), more)
            }
            TpmCap::Commands => {
                let from = COMMANDS.iter().filter(|entry| entry.code as u32 >= first);
                let attributes = from.map(|entry| TpmaCc::from_bits_truncate(entry.attributes));
                let (list, more): (TpmlCca, _) = page(attributes, count);
                (TpmuCapabilities::Commands(list), more)
            }
            TpmCap::Pcrs => {
                let all = TpmsPcrSelect::try_from(&[0xff; PCRS / 8][..]).map_err(|_| plain(TpmRcBase::Failure))?;
                let banks = [TpmsPcrSelection { hash: TpmAlgId::Sha256, pcr_select: all }];
                let (list, more): (TpmlPcrSelection, _) = page(banks.into_iter(), count);
                (TpmuCapabilities::Pcrs(list), more)
            }
            TpmCap::TpmProperties => {
                let from = properties().into_iter().filter(|(property, _)| property.value() >= first);
                let tagged = from.map(|(property, value)| TpmsTaggedProperty { property, value: value.into() });
                let (list, more): (TpmlTaggedTpmProperty, _) = page(tagged, count);
                (TpmuCapabilities::TpmProperties(list), more)
            }
            _ => return Err(parameter(TpmRcBase::Value, 1)),
        };
        let capability_data = TpmsCapabilityData { capability: self.cap, data };
        Ok(TpmGetCapabilityResponse { handles: [], more_data: more.into(), capability_data })
    }
}
