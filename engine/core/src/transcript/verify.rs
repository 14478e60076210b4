//! Judging a transcript, offline: everything that can be checked without the home that wrote it.

use std::collections::BTreeSet;
use std::io::BufRead;

use sealbook_attestation::{Outcome, Roots, Verdict};
use sealbook_crypto::{constant_time_eq, sha256};
use sealbook_model::CloudName;
use sealbook_model::journal::{Record, RunStarted, RunState};

use super::evidence::{believed, judged, worlds as test_worlds};
use super::order::Order;
use super::read::{Claimed, read};
use crate::journal::chain;
use crate::run::Status;

/// Verifies a transcript: its format, the chain of hashes, the signatures over it, whether the records can be those of a
/// run, the digests, and the evidence in the outputs. `key` is the home's public key (Ed25519, 32 bytes) as the reader
/// knows it from elsewhere; without it nobody has said whose transcript this must be. `roots` are believed besides the
/// built-in ones; test roots among them only for a run on the embedded Azure, for which no others are believed.
///
/// Checks: `transcript.format`, `transcript.home`, `transcript.key`, `chain.records`, `chain.signatures`, `chain.head`,
/// `run.records`, `run.digests`, `transcript.roots` where test roots are in play, and `evidence.<step>.…` for each
/// document. The fact `test_roots` names the test worlds whose roots were believed.
#[must_use]
pub fn verify(from: impl BufRead, key: Option<&[u8; 32]>, roots: &Roots) -> Verdict {
    let mut verdict = Verdict::default();
    let told = |claimed: &Claimed| {
        format!(
            "{} records and {} signatures of run {}, from home {}",
            claimed.records.len(),
            claimed.seals.len(),
            claimed.head.run,
            claimed.head.home
        )
    };
    if let Some(claimed) = verdict.demand("transcript.format", read(from), told) {
        let signed = whose(&mut verdict, &claimed, key);
        let hashes = records(&mut verdict, &claimed);
        let signed = signatures(&mut verdict, &claimed, &hashes, signed);
        run(&mut verdict, &claimed, signed);
        digests(&mut verdict, &claimed);
        let roots = believe(&mut verdict, &claimed, roots);
        evidence(&mut verdict, &claimed, &roots);
    }
    verdict
}

/// Whose transcript it is. Returns whether there is a signature at all.
fn whose(verdict: &mut Verdict, claimed: &Claimed, key: Option<&[u8; 32]>) -> bool {
    let (head, signed) = (&claimed.head, !claimed.seals.is_empty());
    let id = hex::encode(&sha256(&head.public)[..8]);
    verdict.check("transcript.home", id == head.home, format!("home {}; its public key makes it home {id}", head.home));
    let public = hex::encode(&head.public);
    match key {
        None => {
            let why = format!("no key was given to compare the home's with, which says of itself that it is {public}");
            verdict.note("transcript.key", Outcome::NotApplicable, why);
        }
        Some(_) if !signed => {
            verdict.check("transcript.key", false, "nothing in it is signed, with this key or another");
        }
        Some(key) => {
            let same = constant_time_eq(key, &head.public);
            let detail = if same {
                format!("the home's key is the given one, {public}")
            } else {
                format!("the home's key is {public}, and {} was expected", hex::encode(key))
            };
            verdict.check("transcript.key", same, detail);
        }
    }
    signed
}

/// Whether each record follows from the one before. Returns the hashes as they are.
fn records(verdict: &mut Verdict, claimed: &Claimed) -> Vec<chain::Link> {
    let head = &claimed.head;
    let mut last = chain::genesis(head.journal, &head.home, &head.run);
    let mut hashes = Vec::with_capacity(claimed.records.len());
    let mut broken = None;
    for (seq, line) in (1..).zip(&claimed.records) {
        last = chain::link(&last, seq, &line.text);
        if last != line.hash && broken.is_none() {
            broken = Some(seq);
        }
        hashes.push(last);
    }
    match broken {
        None => verdict.check("chain.records", true, format!("the chain ends with {}", hex::encode(last))),
        Some(seq) => {
            let why = format!(
                "record {seq} does not follow from what stands before it: something was changed, removed, added or moved"
            );
            verdict.check("chain.records", false, why)
        }
    };
    hashes
}

/// Whether every signature holds. Returns the last record that one covers.
fn signatures(verdict: &mut Verdict, claimed: &Claimed, hashes: &[chain::Link], signed: bool) -> Option<u64> {
    if !signed {
        verdict.note("chain.signatures", Outcome::NotApplicable, "there is none");
        return None;
    }
    let head = &claimed.head;
    let bad = claimed.seals.iter().find(|seal| !seal.covers(&head.run, &head.public, hashes));
    let upto = claimed.seals.iter().map(|seal| seal.seq).max();
    let detail = match bad {
        Some(seal) => {
            format!("the signature over the records up to {} is not this home's over these records", seal.seq)
        }
        None => format!("{} by the home's key", claimed.seals.len()),
    };
    verdict.check("chain.signatures", bad.is_none(), detail).then_some(upto).flatten()
}

/// Whether the records can be those of a run, and whether its home vouches for the last of them.
fn run(verdict: &mut Verdict, claimed: &Claimed, signed: Option<u64>) {
    let mut order = Order::default();
    let broken = claimed.records.iter().find_map(|line| order.take(&line.entry).err());
    let state = RunState::fold(claimed.records.iter().map(|line| line.entry.clone()));
    let of = state.started.as_ref().map(|started| started.run().clone());
    let status = Status::of(&state).word();
    let (holds, detail) = match (broken, of) {
        (Some(why), _) => (false, why),
        (None, None) => (false, "there are no records".to_owned()),
        (None, Some(run)) if run != claimed.head.run => (false, format!("the records are those of run {run}")),
        (None, Some(_)) => (true, format!("{} attempts and {} steps; {status}", state.attempts, state.order.len())),
    };
    verdict.check("run.records", holds, detail);
    head(verdict, claimed, signed);
    if let Some(started) = &state.started {
        verdict.fact("run", started.run().as_str());
        verdict.fact("playbook", started.playbook.as_str());
        verdict.fact("cloud", started.context.cloud.as_str());
    }
    verdict.fact("status", status);
    verdict.fact("home", claimed.head.home.as_str());
    verdict.fact("public_key", hex::encode(&claimed.head.public));
    verdict.fact("records", state.records);
    verdict.fact("signed", signed);
}

/// Whether the home vouches for the chain's end. It signs when an attempt ends, so a run that goes on, or was killed,
/// has records that nobody vouches for; one that ended has none.
fn head(verdict: &mut Verdict, claimed: &Claimed, signed: Option<u64>) {
    let records = claimed.records.len() as u64;
    let ends = |record: &Record| {
        matches!(record, Record::RunFinished { .. } | Record::UndoFinished { .. } | Record::RunInterrupted)
    };
    let ended = (1..).zip(&claimed.records).filter(|(_, line)| ends(&line.entry.record)).map(|(seq, _)| seq).last();
    let (outcome, detail) = match (signed, ended) {
        (Some(signed), _) if signed == records => {
            (Outcome::Passed, format!("record {records} is the last, and it is signed"))
        }
        (_, Some(end)) if ended > signed => {
            (Outcome::Failed, format!("record {end} ended an attempt, and no signature that holds covers it"))
        }
        (Some(signed), _) => (
            Outcome::NotApplicable,
            format!("records {} to {records} came after the last signature: nobody vouches for them yet", signed + 1),
        ),
        (None, _) if !claimed.seals.is_empty() => (Outcome::Failed, "no signature that holds covers it".to_owned()),
        (None, _) => (
            Outcome::NotApplicable,
            "no attempt has ended, so the home has not signed: anybody could have written this".to_owned(),
        ),
    };
    verdict.note("chain.head", outcome, detail);
}

/// Whose word counts for the evidence: only the first line of a run on the embedded Azure may bring roots, and only test
/// roots.
fn believe(verdict: &mut Verdict, claimed: &Claimed, given: &Roots) -> Roots {
    const CHECK: &str = "transcript.roots";
    let Some(started) = started(claimed) else { return Roots::none() };
    let cloud = started.context.cloud;
    let mut roots = believed(cloud, given);
    let brought = match claimed.head.roots.as_deref().map(Roots::from_pem).transpose() {
        Ok(brought) => brought,
        Err(why) => {
            verdict.check(CHECK, false, format!("the roots that it brings can't be read: {why}"));
            return roots;
        }
    };
    if let Some(brought) = brought {
        let own = believed(cloud, &brought);
        if cloud != CloudName::Embedded || own.iter().count() != brought.iter().count() {
            let why = "it brings roots of its own; only a run on the embedded Azure may, and only test roots";
            verdict.check(CHECK, false, why);
            return roots;
        }
        roots = roots.and(own);
    }
    let worlds = test_worlds(&roots);
    if !worlds.is_empty() {
        let why = format!(
            "the run was on the embedded Azure: its evidence is judged under TEST roots ({}), which shows nothing about \
             real hardware",
            worlds.join(", ")
        );
        verdict.note(CHECK, Outcome::NotApplicable, why);
        verdict.fact("test_roots", worlds);
    } else if !test_worlds(given).is_empty() {
        verdict.note(
            CHECK,
            Outcome::NotApplicable,
            "the run was on Azure: the test roots that were given are not used",
        );
    }
    roots
}

/// How the run began.
fn started(claimed: &Claimed) -> Option<&RunStarted> {
    claimed.records.first().and_then(|line| match &line.entry.record {
        Record::RunStarted(started) => Some(&**started),
        _ => None,
    })
}

/// Whether the first line names the playbook and the plugins that the records name.
fn digests(verdict: &mut Verdict, claimed: &Claimed) {
    let Some(started) = started(claimed) else {
        verdict.check("run.digests", false, "no record says which playbook was run");
        return;
    };
    let plugins = started.plugins.iter().map(|(name, pinned)| (name, &pinned.component));
    let same = started.bundle == claimed.head.playbook && plugins.eq(claimed.head.plugins.iter());
    let detail = match same {
        true => format!("playbook {}, {} plugins", claimed.head.playbook, claimed.head.plugins.len()),
        false => "the first line names another playbook or other plugins than the records".to_owned(),
    };
    verdict.check("run.digests", same, detail);
}

/// Judges the evidence in the outputs, each as of when it was recorded, and whether it is this run's: a machine's evidence
/// carries the digest of the component that had it collected, and the hash of the run's last record by then.
fn evidence(verdict: &mut Verdict, claimed: &Claimed, roots: &Roots) {
    let mut components: BTreeSet<[u8; 32]> = BTreeSet::new();
    let mut earlier: BTreeSet<[u8; 32]> = BTreeSet::new();
    for line in &claimed.records {
        if let Record::RunStarted(started) = &line.entry.record {
            components.extend(started.plugins.values().map(|pinned| *pinned.component.bytes()));
        }
        earlier.insert(line.hash);
        let Record::StepSucceeded { step, outputs, .. } = &line.entry.record else { continue };
        for judged in judged(outputs, roots, line.entry.at) {
            if let Some(data) = judged.verdict.facts.get("vm.user_data") {
                let data = data.as_str().and_then(|text| hex::decode(text).ok()).unwrap_or_default();
                let half = |part: Option<&[u8]>| part.and_then(|part| <[u8; 32]>::try_from(part).ok());
                let (component, record) = (half(data.get(..32)), half(data.get(32..)));
                let ours = component.is_some_and(|it| components.contains(&it))
                    && record.is_some_and(|it| earlier.contains(&it));
                let what = "the evidence names a plugin of this run, and a record of it that is older";
                verdict.check(format!("evidence.{step}.bound"), ours, what);
            }
            for check in judged.verdict.checks {
                let name = check.name.strip_prefix("evidence.").unwrap_or(&check.name);
                verdict.note(format!("evidence.{step}.{name}"), check.outcome, check.detail);
            }
        }
    }
}
