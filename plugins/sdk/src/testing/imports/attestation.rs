//! The contract's imports: attestation. The double is no confidential VM unless a test says what it answers.

use super::{Problem, Result, parse, with_world};

#[derive(Debug)]
pub struct Token {
    pub(super) claims: super::Value,
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

pub fn attest(provider: &str) -> Result<Token> {
    with_world(|w| {
        w.pass("attestation", "use", provider, None)?;
        let claims = w.claims.clone();
        let claims = claims.ok_or_else(|| Problem::precondition("this is no confidential VM", "run it in one"))?;
        w.attested = true;
        Ok(Token { claims })
    })
}

pub fn open(reference: &str) -> Result<Token> {
    with_world(|w| match (w.attested && reference == "token:attested", &w.claims) {
        (true, Some(claims)) => Ok(Token { claims: claims.clone() }),
        _ => Err(Problem::permanent(format!("there is no {reference}"))),
    })
}

pub fn verify(document: &str, rules: &str) -> Result<String> {
    let (document, rules) = (parse(document)?, parse(rules)?);
    with_world(|w| {
        let verdict = w.verdict.clone().unwrap_or_else(|| serde_json::json!({ "checks": [], "facts": {} }));
        w.judged.push((document, rules));
        Ok(verdict.to_string())
    })
}
