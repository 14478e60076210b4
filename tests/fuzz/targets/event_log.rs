//! Whatever an event log holds: what is read can be written and read again, replays alike each time, and gives no value
//! that was not measured: registers that nobody could have extended so are not vouched for. Memory stays within a few
//! times the log's length. An input is a log, and the events behind a sound head.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::Verdict;
use sealbook_attestation::event_log::{encode, parse, replay, verify};
use sealbook_attestation::tpm::Pcrs;

fuzz_target!(|data: &[u8]| {
    judge(data);
    judge(&[&encode(&[]), data].concat());
});

fn judge(data: &[u8]) {
    let nobodys: Pcrs = (0..24).map(|number| (number, [0xab; 32])).collect();
    assert!(verify(data, Some(&nobodys), &mut Verdict::default()).is_none());
    assert!(verify(data, None, &mut Verdict::default()).is_none());
    let Ok(events) = parse(data) else { return };
    let held: usize = events.iter().map(|event| event.data.len() + 50).sum();
    assert!(held <= data.len(), "{held} bytes of events out of {}", data.len());
    let registers = replay(&events);
    assert_eq!(registers.len(), 24);
    let touched: BTreeSet<u8> = events.iter().map(|event| event.pcr).collect();
    let untouched = replay(&[]);
    assert!(registers.iter().all(|(number, value)| touched.contains(number) || untouched[number] == *value));
    assert_eq!(parse(&encode(&events)).as_ref(), Ok(&events));
    assert_eq!(verify(data, Some(&registers), &mut Verdict::default()).is_some(), !events.is_empty());
}
