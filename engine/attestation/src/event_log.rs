//! The event log of a measured boot, replayed into the registers that a quote vouches for.
//!
//! Format: TCG PC Client Platform Firmware Profile 1.06, §10: one `TCG_PCR_EVENT` with the list of algorithms
//! (`Spec ID Event03`), then `TCG_PCR_EVENT2` each. Little endian. The log itself is signed by nobody: what it says
//! counts as far as its replay gives the quoted values.

use crate::bytes::Reader;
use crate::tpm::{Bank, PCRS, Pcrs};
use crate::verdict::{Outcome, Verdict};

const EV_NO_ACTION: u32 = 3;
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
const LOCALITY: &[u8; 16] = b"StartupLocality\0";
/// Larger logs are refused; real ones have some 50 KiB.
const LARGEST: usize = 4 * 1024 * 1024;

/// Why bytes are no event log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventLogError {
    /// It ends within something.
    #[error("the log ends within event {0}")]
    Short(usize),
    /// Its head is another one.
    #[error("the log does not begin with the list of algorithms (Spec ID Event03)")]
    Head,
    /// Something is not understood.
    #[error("event {number}: {why}")]
    Event {
        /// Counted from zero; the head is 0.
        number: usize,
        /// What is wrong.
        why: String,
    },
    /// It is too large.
    #[error("{0} bytes are too many for a log")]
    Large(usize),
}

/// One event, with its digest in the SHA-256 bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The register that it extends.
    pub pcr: u8,
    /// What kind of event (`EV_…`).
    pub kind: u32,
    /// SHA-256 that it extends the register with.
    pub digest: [u8; 32],
    /// What happened.
    pub data: Vec<u8>,
}

/// Reads a log.
///
/// # Errors
/// [`EventLogError`] names the event and what is wrong with it.
pub fn parse(log: &[u8]) -> Result<Vec<Event>, EventLogError> {
    if log.len() > LARGEST {
        return Err(EventLogError::Large(log.len()));
    }
    let mut reader = Reader::new(log);
    let banks = head(&mut reader).ok_or(EventLogError::Head)?;
    let mut events = Vec::new();
    // A log is stored in a buffer with more room: zeros, or ones, stand for its end.
    while !(reader.rest().iter().all(|byte| *byte == 0) || reader.rest().iter().all(|byte| *byte == 0xff)) {
        let number = events.len().saturating_add(1);
        events.push(event(&mut reader, &banks, number)?);
    }
    Ok(events)
}

fn event(reader: &mut Reader<'_>, banks: &[(u16, usize)], number: usize) -> Result<Event, EventLogError> {
    let short = || EventLogError::Short(number);
    let refuse = |why: String| EventLogError::Event { number, why };
    let pcr = reader.u32_le().ok_or_else(short)?;
    let pcr = u8::try_from(pcr).ok().filter(|pcr| *pcr < PCRS);
    let pcr = pcr.ok_or_else(|| refuse("it extends a register above 23".into()))?;
    let kind = reader.u32_le().ok_or_else(short)?;
    let count = reader.u32_le().ok_or_else(short)?;
    if usize::try_from(count).ok() != Some(banks.len()) {
        return Err(refuse(format!("it has {count} digests, the log has {} algorithms", banks.len())));
    }
    let mut digest = None;
    for _ in 0..count {
        let id = reader.u16_le().ok_or_else(short)?;
        let length = banks.iter().find(|(known, _)| *known == id).map(|(_, length)| *length);
        let length = length.ok_or_else(|| refuse(format!("the algorithm {id:#06x} is not in the log's list")))?;
        let bytes = reader.take(length).ok_or_else(short)?;
        if id == Bank::Sha256.id() {
            digest = <[u8; 32]>::try_from(bytes).ok();
        }
    }
    let digest = digest.ok_or_else(|| refuse("it has no SHA-256 digest".into()))?;
    let length = reader.u32_le().ok_or_else(short)?;
    let data = usize::try_from(length).ok().and_then(|length| reader.take(length)).ok_or_else(short)?;
    Ok(Event { pcr, kind, digest, data: data.to_vec() })
}

/// The list of algorithms with the lengths of their digests.
fn head(reader: &mut Reader<'_>) -> Option<Vec<(u16, usize)>> {
    let (pcr, kind) = (reader.u32_le()?, reader.u32_le()?);
    reader.take(20)?;
    let length = reader.u32_le()?;
    let mut data = Reader::new(reader.take(usize::try_from(length).ok()?)?);
    if (pcr, kind) != (0, EV_NO_ACTION) || &data.array::<16>()? != SPEC_ID {
        return None;
    }
    // Platform class, version, errata, size of a native number.
    data.take(8)?;
    let count = data.u32_le()?;
    let mut banks = Vec::new();
    for _ in 0..count.min(16) {
        banks.push((data.u16_le()?, usize::from(data.u16_le()?)));
    }
    (count <= 16).then_some(banks)
}

/// Writes a log with SHA-256 digests alone.
#[must_use]
pub fn encode(events: &[Event]) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut spec = SPEC_ID.to_vec();
    spec.extend([0, 0, 0, 0, 0, 2, 106, 2]);
    spec.extend(1_u32.to_le_bytes());
    spec.extend(Bank::Sha256.id().to_le_bytes());
    spec.extend([32, 0, 0]);
    let mut out = Vec::new();
    out.extend(0_u32.to_le_bytes());
    out.extend(EV_NO_ACTION.to_le_bytes());
    out.extend([0; 20]);
    out.extend(size(&spec));
    out.extend(spec);
    for Event { pcr, kind, digest, data } in events {
        out.extend(u32::from(*pcr).to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(Bank::Sha256.id().to_le_bytes());
        out.extend(digest);
        out.extend(size(data));
        out.extend(data);
    }
    out
}

/// The registers after all events: 0 to 16 and 23 begin with zeros, 17 to 22 with ones (PC Client profile, §6); register
/// 0 with the locality that an event states.
#[must_use]
pub fn replay(events: &[Event]) -> Pcrs {
    let first = |pcr: u8| [if (17..=22).contains(&pcr) { 0xff } else { 0 }; 32];
    let mut pcrs: Pcrs = (0..PCRS).map(|pcr| (pcr, first(pcr))).collect();
    for event in events {
        let Some(value) = pcrs.get_mut(&event.pcr) else { continue };
        if event.kind == EV_NO_ACTION {
            if let Some([locality]) = event.data.strip_prefix(LOCALITY) {
                value[31] = *locality;
            }
            continue;
        }
        *value = sealbook_crypto::sha256(&[*value, event.digest].concat());
    }
    pcrs
}

/// Notes `log.format` and `log.pcrs`: whether the replay gives the quoted values, in the registers that the log touches.
pub fn verify(log: &[u8], quoted: Option<&Pcrs>, verdict: &mut Verdict) -> Option<Vec<Event>> {
    let events = verdict.demand("log.format", parse(log), |events| format!("{} events", events.len()))?;
    let Some(quoted) = quoted else {
        verdict.check("log.pcrs", false, "there is no quote that holds, so nobody vouches for the log");
        return None;
    };
    let replayed = replay(&events);
    let touched: std::collections::BTreeSet<u8> = events.iter().map(|event| event.pcr).collect();
    let wrong = touched.iter().filter(|pcr| quoted.get(pcr).is_none() || quoted.get(pcr) != replayed.get(pcr));
    let wrong: Vec<String> = wrong.map(u8::to_string).collect();
    if touched.is_empty() {
        verdict.note("log.pcrs", Outcome::NotApplicable, "the log has no events");
        return None;
    }
    let detail = if wrong.is_empty() {
        format!("the replay gives the quoted values of {} registers", touched.len())
    } else {
        format!("the replay does not give the quoted values of the registers {}", wrong.join(", "))
    };
    verdict.check("log.pcrs", wrong.is_empty(), detail).then_some(events)
}
