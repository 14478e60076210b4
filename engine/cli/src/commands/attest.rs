//! `attest`: verifies evidence of confidential computing offline, and shows what is in it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sealbook_attestation::azure_vm::{self, Evidence};
use sealbook_attestation::snp::{self, Endorsements};
use sealbook_attestation::tdx::{self, Collateral};
use sealbook_attestation::{Roots, Verdict, sniff};
use sealbook_model::problem::{Problem, codes};
use serde_json::{Value, json};

use crate::app::{App, Failure};
use crate::args::{AttestCommand, AttestVerifyArgs, EvidenceType, Output};
use crate::out;
use crate::render::verdict as render;

/// Evidence, certificates and collateral are small; what is larger is none.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Dispatches `attest`.
pub fn attest(app: &App, command: AttestCommand) -> Result<u8, Failure> {
    match command {
        AttestCommand::Verify(args) => verify(app, &args),
        AttestCommand::Show { file } => show(app, &file),
    }
}

fn verify(app: &App, args: &AttestVerifyArgs) -> Result<u8, Failure> {
    let now = instant(args.at.as_deref())?;
    let nonce = args.nonce.as_deref().map(nonce).transpose()?;
    let roots = match &args.roots {
        None => Roots::builtin(),
        Some(path) => Roots::builtin().and(roots(path)?),
    };
    let mut files = Vec::new();
    for path in &args.files {
        files.push((path.clone(), read(path)?));
    }
    let asked = Asked { kind: args.kind, files, nonce, allow_debug: args.allow_debug, roots, now };
    let verdict = match args.kind {
        EvidenceType::Snp => snp_verdict(&asked)?,
        EvidenceType::Tdx => tdx_verdict(&asked)?,
        EvidenceType::AzSnpVtpm | EvidenceType::AzTdxVtpm => vm_verdict(&asked)?,
    };
    let passed = verdict.passed();
    match app.output() {
        Output::Json => out::json(&json!({
            "verified": passed,
            "at": DateTime::<Utc>::from_timestamp(now, 0).map(|at| at.to_rfc3339()),
            "deciding": verdict.deciding().map(|check| check.name.as_str()),
            "checks": verdict.checks,
            "facts": verdict.facts,
        })),
        Output::Human => app.data(&render::verdict(&verdict)),
    }
    Ok(if passed { 0 } else { 21 })
}

/// What is judged, and by which rules.
struct Asked {
    kind: EvidenceType,
    /// The evidence, then what vouches for it.
    files: Vec<(PathBuf, Vec<u8>)>,
    nonce: Option<Vec<u8>>,
    allow_debug: bool,
    roots: Roots,
    /// Unix seconds.
    now: i64,
}

impl Asked {
    /// The nonce as a hardware report carries it, in 64 bytes: a shorter one is followed by zeros.
    fn report_data(&self) -> Result<Option<[u8; 64]>, Failure> {
        let Some(nonce) = &self.nonce else { return Ok(None) };
        let mut data = [0; 64];
        let place = data.get_mut(..nonce.len()).ok_or_else(|| {
            Problem::new(codes::USAGE, format!("a nonce of {} bytes does not fit into a report", nonce.len()))
                .fix("at most 64 bytes: 128 digits")
        })?;
        place.copy_from_slice(nonce);
        Ok(Some(data))
    }
}

fn snp_verdict(asked: &Asked) -> Result<Verdict, Failure> {
    let [(_, report), certificates @ ..] = &asked.files[..] else {
        return Err(wants("a report, then its certificates").into());
    };
    let endorsements = endorsements(certificates)?;
    let mut rules = snp::Rules { report_data: asked.report_data()?, ..snp::Rules::default() };
    rules.guest.allow_debug = asked.allow_debug;
    Ok(snp::verify(report, &endorsements, &rules, &asked.roots, asked.now))
}

fn tdx_verdict(asked: &Asked) -> Result<Verdict, Failure> {
    let [(_, quote), collateral @ ..] = &asked.files[..] else {
        return Err(wants("a quote, then its collateral").into());
    };
    let collateral = self::collateral(collateral)?;
    let rules =
        tdx::Rules { allow_debug: asked.allow_debug, report_data: asked.report_data()?, ..tdx::Rules::default() };
    Ok(tdx::verify(quote, collateral.as_ref(), &rules, &asked.roots, asked.now))
}

fn vm_verdict(asked: &Asked) -> Result<Verdict, Failure> {
    let [(path, evidence), more @ ..] = &asked.files[..] else { return Err(wants("evidence in JSON").into()) };
    let mut evidence = Evidence::from_json(evidence).map_err(|e| unusable(path, &e.to_string()))?;
    match (&mut evidence.endorsement, asked.kind) {
        (azure_vm::Endorsement::Snp(own), EvidenceType::AzSnpVtpm) => {
            for (path, bytes) in more {
                own.add(bytes).map_err(|e| unusable(path, &e.to_string()))?;
            }
        }
        (azure_vm::Endorsement::Tdx { collateral, .. }, EvidenceType::AzTdxVtpm) => {
            *collateral = self::collateral(more)?;
        }
        _ => return Err(unusable(path, "it is evidence of the other kind of VM").into()),
    }
    let mut rules = azure_vm::Rules::default();
    rules.snp.guest.allow_debug = asked.allow_debug;
    rules.tdx.allow_debug = asked.allow_debug;
    rules.quote.nonce.clone_from(&asked.nonce);
    Ok(azure_vm::verify(&evidence, &rules, &asked.roots, asked.now))
}

fn endorsements(files: &[(PathBuf, Vec<u8>)]) -> Result<Endorsements, Failure> {
    let mut bundle = Vec::new();
    for (path, bytes) in files {
        bundle.extend(snp::certificates(bytes).map_err(|e| unusable(path, &e.to_string()))?);
    }
    let from = files.first().map_or_else(PathBuf::new, |(path, _)| path.clone());
    if files.is_empty() {
        return Err(wants("the report's certificates after it: the VCEK or VLEK, and what stands above it").into());
    }
    Ok(Endorsements::of(bundle).map_err(|e| unusable(&from, &e.to_string()))?)
}

fn collateral(files: &[(PathBuf, Vec<u8>)]) -> Result<Option<Collateral>, Failure> {
    match files {
        [] => Ok(None),
        [(path, bytes)] => Ok(Some(Collateral::parse(bytes).map_err(|e| unusable(path, &e.to_string()))?)),
        _ => Err(wants("one file of collateral").into()),
    }
}

fn show(app: &App, path: &Path) -> Result<u8, Failure> {
    let bytes = read(path)?;
    let Some(found) = sniff::look(&bytes) else {
        return Err(unusable(path, "it is no evidence that is understood").into());
    };
    match app.output() {
        Output::Json => out::json(&json!({ "kind": found.kind, "facts": found.facts })),
        Output::Human => {
            let facts: Vec<(String, Value)> = found.facts.into_iter().collect();
            app.data(&render::facts(found.kind, &facts));
        }
    }
    Ok(0)
}

fn instant(at: Option<&str>) -> Result<i64, Failure> {
    let Some(at) = at else { return Ok(Utc::now().timestamp()) };
    DateTime::parse_from_rfc3339(at).map(|at| at.timestamp()).map_err(|_| {
        let problem = Problem::new(codes::USAGE, format!("`{at}` is no instant"));
        problem.fix("for example --at 2026-01-31T12:00:00Z").into()
    })
}

fn nonce(digits: &str) -> Result<Vec<u8>, Failure> {
    hex::decode(digits)
        .map_err(|_| Problem::new(codes::USAGE, "the nonce is not written in hex").fix("two digits a byte").into())
}

/// Reads roots that the reader trusts.
pub(super) fn roots(path: &Path) -> Result<Roots, Failure> {
    Ok(Roots::from_pem(&String::from_utf8_lossy(&read(path)?)).map_err(|e| unusable(path, &e.to_string()))?)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    // A device or a pipe does not say beforehand how much will come out of it.
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    read.map_err(|e| unusable(path, &e.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(unusable(path, "it is longer than 8 MiB, which no evidence is").into());
    }
    Ok(bytes)
}

fn unusable(path: &Path, why: &str) -> Problem {
    Problem::new(codes::USAGE, format!("`{}` can't be used", path.display())).because(why)
}

fn wants(what: &str) -> Problem {
    Problem::new(codes::USAGE, "a file is missing").because(format!("this type of evidence takes {what}"))
}
