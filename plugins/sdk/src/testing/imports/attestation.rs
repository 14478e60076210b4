//! The contract's imports: attestation. The double is no confidential VM unless a test says what it answers.

use super::{Problem, Result, parse, with_world};

#[derive(Debug)]
pub struct Token {
    pub(super) claims: super::Value,
    /// Whether it was issued for this machine.
    pub(super) ours: bool,
}

impl Token {
    pub fn claims(&self) -> String {
        self.claims.to_string()
    }

    pub fn document(&self) -> String {
        serde_json::json!({ "type": "azure-guest", "version": 1, "claims": self.claims }).to_string()
    }

    pub fn reference(&self) -> String {
        "token:attested".into()
    }
}

#[derive(Debug)]
pub struct Proof {
    verdict: super::Value,
}

impl Proof {
    pub fn verdict(&self) -> String {
        self.verdict.to_string()
    }

    pub fn document(&self) -> String {
        serde_json::json!({ "type": "nvidia-gpu", "version": 1 }).to_string()
    }

    pub fn reference(&self) -> String {
        "proof:gpu".into()
    }
}

/// The double's GPU verifies when the verdict that a test gives it holds.
pub fn attest_gpu(rules: &str) -> Result<Proof> {
    let rules = parse(rules)?;
    with_world(|w| {
        w.pass("attestation", "use", "gpu", None)?;
        let verdict = w.verdict.clone();
        let verdict =
            verdict.ok_or_else(|| Problem::precondition("this machine has no GPU", "run it in one that has"))?;
        let failed = |check: &super::Value| check["outcome"] == "failed";
        if verdict["checks"].as_array().is_some_and(|checks| checks.iter().any(failed)) {
            return Err(Problem::permanent("the machine's GPU does not verify"));
        }
        w.judged.push((super::Value::Null, rules));
        Ok(Proof { verdict })
    })
}

pub fn attest(provider: &str) -> Result<Token> {
    with_world(|w| {
        w.pass("attestation", "use", provider, None)?;
        let claims = w.claims.clone();
        let claims = claims.ok_or_else(|| Problem::precondition("this is no confidential VM", "run it in one"))?;
        w.attested = true;
        Ok(Token { claims, ours: true })
    })
}

pub fn open(reference: &str) -> Result<Token> {
    with_world(|w| match (w.attested && reference == "token:attested", &w.claims) {
        (true, Some(claims)) => Ok(Token { claims: claims.clone(), ours: true }),
        _ => Err(Problem::permanent(format!("there is no {reference}"))),
    })
}

/// A document whose claims are the double's own was issued for it.
pub fn present(document: &str) -> Result<Token> {
    let document = parse(document)?;
    with_world(|w| {
        w.pass("attestation", "use", document["provider"].as_str().unwrap_or_default(), None)?;
        match (&w.claims, &document["claims"]) {
            (None, _) => Err(Problem::precondition("this is no confidential VM", "run it in one")),
            (_, super::Value::Null) => Err(Problem::invalid_input("document", "it holds no token")),
            (Some(own), theirs) => Ok(Token { ours: own == theirs, claims: theirs.clone() }),
        }
    })
}

pub fn verify(document: &str, rules: &str) -> Result<String> {
    let (document, rules) = (parse(document)?, parse(rules)?);
    with_world(|w| {
        w.pass("attestation", "use", document["provider"].as_str().unwrap_or_default(), None)?;
        let verdict = w.verdict.clone().unwrap_or_else(|| serde_json::json!({ "checks": [], "facts": {} }));
        w.judged.push((document, rules));
        Ok(verdict.to_string())
    })
}
