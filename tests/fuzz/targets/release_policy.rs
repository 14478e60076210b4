//! Whatever a release policy and claims hold: what is read is written back to what is the same, also in its envelope; it
//! releases to no issuer that it does not name, nor where its tree of conditions, folded a second time, does not hold; a
//! claim that is not there fulfils nothing but `"exists": false`; and the policy that is written from a token releases to
//! that token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealbook_attestation::policy::{
    AuthorityResult, Encoded, Node, Operator, ReleasePolicy, Selection, from_claims, lint,
};
use serde_json::Value;

#[path = "common/mod.rs"]
mod common;

const NOBODY: &str = "https://nobody.example";

fuzz_target!(|data: &[u8]| {
    let [policy, claims] = common::parts(data);
    let claims: Value = serde_json::from_slice(claims).unwrap_or_default();
    if let Ok(encoded) = Encoded::read(policy) {
        let again = Encoded::envelope(&encoded.to_envelope()).expect("what was written can be read");
        assert_eq!((again.policy, again.immutable), (encoded.policy, Some(encoded.immutable.unwrap_or(false))));
    }
    if let Ok(policy) = ReleasePolicy::parse(policy) {
        let again = ReleasePolicy::parse(policy.document().to_string().as_bytes()).expect("what was read can be read");
        assert_eq!(again, policy);
        _ = (policy.to_string(), lint(&policy, Some(true)), lint(&policy, None));
        let stranger = policy.evaluate(NOBODY, &claims);
        assert!(!stranger.released || policy.authorities().iter().any(|issuer| issuer.starts_with(NOBODY)));
        for issuer in policy.authorities() {
            let evaluation = policy.evaluate(issuer, &claims);
            let any = evaluation.authorities.iter().any(held);
            assert_eq!(evaluation.released, any, "{evaluation:?}");
            assert!(evaluation.released || !evaluation.reason().is_empty());
            _ = evaluation.to_string();
        }
    }
    if let Ok(written) = from_claims(NOBODY, &claims, Selection::default()) {
        assert!(written.evaluate(NOBODY, &claims).released, "{written}");
    }
});

fn held(authority: &AuthorityResult) -> bool {
    authority.condition.as_ref().is_some_and(|condition| authority.issued && fold(condition))
}

fn fold(node: &Node) -> bool {
    match node {
        Node::AllOf { conditions, .. } => conditions.iter().map(fold).fold(true, |all, one| all & one),
        Node::AnyOf { conditions, .. } => conditions.iter().map(fold).fold(false, |any, one| any | one),
        Node::Clause(clause) => {
            let absence = clause.operator == Operator::Exists && clause.expected.as_str() == Some("false")
                || clause.operator == Operator::Exists && clause.expected == false;
            assert!(!clause.met || clause.seen.is_some() || absence, "{clause:?}");
            clause.met
        }
    }
}
