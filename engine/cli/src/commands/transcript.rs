//! `transcript` and `verify-transcript`: what a home recorded of a run, and whether that holds.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use sealbook_attestation::Outcome;
use sealbook_engine::transcript::{self, Transcript};
use sealbook_model::problem::{Problem, codes};
use serde_json::json;

use super::attest;
use super::print;
use super::read::find;
use super::report::deliver;
use crate::app::{App, Failure};
use crate::args::{Global, Output};
use crate::out;
use crate::render::verdict;
use crate::trust;

/// Writes a run's transcript.
pub fn transcript(app: &App, run: Option<&str>, to: Option<PathBuf>) -> Result<u8, Failure> {
    let (_, run) = find(app, run)?;
    let mut transcript = Transcript::of(&app.home(), &run)?;
    if let Some(context) = transcript.wants_test_roots() {
        match trust::test_roots(app, &context.tenant, &context.subscription) {
            Ok(roots) => transcript = transcript.with_test_roots(&roots),
            Err(why) => out::note(&format!("Nobody will be able to judge its evidence again: {why}.")),
        }
    }
    deliver(&run, "ndjson", to, &transcript.to_ndjson()?)?;
    let head = transcript.head();
    let signed = match transcript.signed() {
        Some(signed) if signed == head.records => "all signed".to_owned(),
        Some(signed) => format!("signed up to record {signed}; the rest came later"),
        None => "not signed yet: the home signs when an attempt ends".to_owned(),
    };
    out::note(&format!("{} records, {signed}. Their home's key, for verify-transcript --key:", head.records));
    out::note(&hex::encode(&head.public));
    Ok(0)
}

/// Verifies a transcript and shows every check.
pub fn verify(global: &Global, file: &Path, key: Option<&str>, roots: Option<&Path>) -> Result<u8, Failure> {
    let key = key.map(parse_key).transpose()?;
    let roots = roots.map(attest::roots).transpose()?.unwrap_or_default();
    let unreadable = |e: io::Error| {
        Problem::new(codes::FILE_UNUSABLE, format!("`{}` can't be read", file.display()))
            .because(e.to_string())
            .fix("sealbook transcript RUN writes a transcript")
    };
    let from: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let metadata = std::fs::metadata(file).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()).into());
        }
        Box::new(BufReader::new(File::open(file).map_err(unreadable)?))
    };
    let verdict = transcript::verify(from, key.as_ref(), &roots);
    let passed = verdict.passed();
    if global.output == Output::Json {
        out::json(&json!({ "passed": passed, "checks": verdict.checks, "facts": verdict.facts }));
        return Ok(if passed { 0 } else { 21 });
    }
    print(global, &verdict::checks(&verdict));
    let Some(deciding) = verdict.deciding() else {
        let open = verdict.checks.iter().filter(|check| check.outcome == Outcome::NotApplicable).count();
        let rest = if open > 0 { format!("; what could not be asked is marked n/a ({open})") } else { String::new() };
        out::note(&format!("The transcript verifies{rest}."));
        if verdict.facts.contains_key("test_roots") {
            out::note("Its evidence was judged under TEST roots: it shows nothing about real hardware.");
        }
        return Ok(0);
    };
    Err(Problem::new(codes::TRANSCRIPT_REFUSED, "the transcript does not verify")
        .because(format!("{}: {}", deciding.name, deciding.detail))
        .fix("do not rely on it; ask whoever gave it to you for the one that the home wrote")
        .into())
}

fn parse_key(text: &str) -> Result<[u8; 32], Problem> {
    let mut key = [0; 32];
    match hex::decode_to_slice(text, &mut key) {
        Ok(()) => Ok(key),
        Err(_) => Err(Problem::new(codes::USAGE, "the key is not a home's public key")
            .because("it has 64 hex digits")
            .fix("sealbook transcript and sealbook report print it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_64_hex_digits() {
        assert_eq!(parse_key(&"Ab".repeat(32)).unwrap(), [0xab; 32]);
        for text in ["", "ab", &"zz".repeat(32), &"+a".repeat(32), &"é".repeat(32), &"ab".repeat(33)] {
            assert_eq!(parse_key(text).unwrap_err().code, codes::USAGE, "{text}");
        }
    }
}
