use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::shared::shared;

const WEU: &str = "https://sharedweu.weu.attest.azure.net";

fn parse(policy: &Value) -> Result<ReleasePolicy, PolicyError> {
    ReleasePolicy::parse(policy.to_string().as_bytes())
}

/// A policy of one authority with one condition.
fn of(condition: Value) -> ReleasePolicy {
    parse(&json!({"anyOf": [{"authority": WEU, "allOf": [condition]}]})).unwrap()
}

/// The claims of a guest attestation's token, with the nesting that the service gives them.
fn guest() -> Value {
    json!({
        "iss": WEU, "secureboot": true, "x-ms-attestation-type": "azurevm",
        "x-ms-isolation-tee": {
            "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-cvm",
            "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-guestsvn": 2, "x-ms-sevsnpvm-vmpl": 0,
            "x-ms-sevsnpvm-launchmeasurement": "04a1", "x-ms-sevsnpvm-reportdata": "beef",
            "x-ms-runtime": {"keys": [], "user-data": "00ff"},
        },
        "x-ms-policy": {"list": [1]}, "nothing": null, "my.claim": "x",
    })
}

#[test]
fn every_rule_of_the_grammar_is_checked_and_the_place_is_named() {
    let claim = json!({"claim": "a", "equals": "1"});
    let one = |statement: Value| json!({"version": "1.0.0", "anyOf": [statement]});
    let all = |condition: Value| one(json!({"authority": WEU, "allOf": [condition]}));
    let table = [
        (json!([]), "$: this is an array; an object belongs here"),
        (json!({}), "$: `anyOf` is missing"),
        (json!({"anyOf": {}}), "$.anyOf: this is an object; an array belongs here"),
        (json!({"anyOf": []}), "$.anyOf: the list is empty; at least one condition is required"),
        (json!({"allOf": [claim]}), "$: `allOf` does not belong here; a policy has `version` and `anyOf`"),
        (json!({"version": "2.0.0", "anyOf": []}), "$.version: version \"2.0.0\" of the grammar is unknown"),
        (json!({"version": 1, "anyOf": []}), "$.version: this is a number; a string belongs here"),
        (one(json!("x")), "$.anyOf[0]: this is a string; an object belongs here"),
        (one(json!({"allOf": [claim]})), "$.anyOf[0]: `authority` is missing"),
        (one(json!({"authority": 1, "allOf": [claim]})), "$.anyOf[0].authority: this is a number; a string"),
        (one(json!({"authority": "/", "allOf": [claim]})), "$.anyOf[0].authority: the authority is empty"),
        (one(json!({"authority": "https://a b", "allOf": [claim]})), "$.anyOf[0].authority: the authority is written"),
        (one(json!({"authority": WEU})), "$.anyOf[0]: `allOf` is missing"),
        (
            one(json!({"authority": WEU, "allOf": [claim], "anyOf": [claim]})),
            "$.anyOf[0]: `anyOf` and `allOf` are both here",
        ),
        (one(json!({"authority": WEU, "allOf": [claim], "x": 1})), "$.anyOf[0]: `x` does not belong here"),
        (one(json!({"authority": WEU, "allOf": claim})), "$.anyOf[0].allOf: this is an object; an array"),
        (one(json!({"authority": WEU, "anyOf": []})), "$.anyOf[0].anyOf: the list is empty"),
        (all(json!(null)), "$.anyOf[0].allOf[0]: this is null; an object belongs here"),
        (all(json!({})), "$.anyOf[0].allOf[0]: `claim` is missing"),
        (all(json!({"anyof": [claim]})), "$.anyOf[0].allOf[0]: `anyof` does not belong here"),
        (all(json!({"anyOf": [claim], "allOf": [claim]})), "$.anyOf[0].allOf[0]: `anyOf` and `allOf` are both here"),
        (all(json!({"anyOf": [claim], "claim": "a"})), "$.anyOf[0].allOf[0]: `claim` does not belong here; nothing"),
        (all(json!({"allOf": [{"anyOf": []}]})), "$.anyOf[0].allOf[0].allOf[0].anyOf: the list is empty"),
        (all(json!({"claim": 1, "equals": 1})), "$.anyOf[0].allOf[0].claim: this is a number; a string"),
        (all(json!({"claim": "", "equals": 1})), "$.anyOf[0].allOf[0].claim: the claim's path is empty"),
        (all(json!({"claim": "a..b", "equals": 1})), "$.anyOf[0].allOf[0].claim: the claim's path is empty or has"),
        (all(json!({"claim": "a"})), "$.anyOf[0].allOf[0]: the claim is compared with nothing; add one of equals"),
        (
            all(json!({"claim": "a", "equals": 1, "less": 2})),
            "$.anyOf[0].allOf[0]: `equals` and `less` are both here; one condition makes one comparison",
        ),
        (
            all(json!({"claim": "x-ms-sgx-svn", "greater-than": 1})),
            "$.anyOf[0].allOf[0]: `greater-than` is no operator (did you mean `greater`?); operators are equals, \
             notEquals, less, lessOrEquals, greater, greaterOrEquals, exists",
        ),
        (all(json!({"claim": "a", "lessThanOrEqual": 1})), "`lessThanOrEqual` is no operator (did you mean `lessOrEq"),
        (all(json!({"claim": "a", "Equals": 1})), "`Equals` is no operator (did you mean `equals`?)"),
        (all(json!({"claim": "a", "contains": 1})), "`contains` is no operator; operators are"),
        (all(json!({"claim": "a", "equals": null})), "$.anyOf[0].allOf[0].equals: this is null; a string, a number"),
        (all(json!({"claim": "a", "equals": [1]})), "$.anyOf[0].allOf[0].equals: this is an array; a string, a nu"),
        (all(json!({"claim": "a", "equals": {"b": 1}})), "$.anyOf[0].allOf[0].equals: this is an object; a string"),
        (all(json!({"claim": "a", "less": "many"})), "$.anyOf[0].allOf[0].less: `less` takes a decimal number, and th"),
        (all(json!({"claim": "a", "greater": true})), "`greater` takes a decimal number, and this is true"),
        (all(json!({"claim": "a", "exists": 1})), "$.anyOf[0].allOf[0].exists: `exists` takes true or false, and"),
        (all(json!({"claim": "a", "\u{1b}[31m": 1})), "`\\u{1b}[31m` is no operator"),
    ];
    for (policy, expected) in table {
        let why = parse(&policy).expect_err(&policy.to_string()).to_string();
        assert!(why.contains(expected), "{policy}\n got {why}\nwant {expected}");
    }
    let doubled = format!(r#"{{"anyOf":[{{"authority":"{WEU}","authority":"x","allOf":[{claim}]}}]}}"#);
    let why = ReleasePolicy::parse(doubled.as_bytes()).unwrap_err().to_string();
    assert!(why.starts_with("$: the policy cannot be read: the name \"authority\" is there twice"), "{why}");
}

#[test]
fn bombs_are_refused_before_they_are_built() {
    let deep = "{\"allOf\":[".repeat(20_000);
    let nested = |levels: usize| {
        let condition = (0..levels).fold(json!({"claim": "a", "equals": 1}), |inner, _| json!({"anyOf": [inner]}));
        parse(&json!({"anyOf": [{"authority": WEU, "allOf": [condition]}]}))
    };
    assert!(nested(29).is_ok());
    let table = [
        (nested(30), "deeper than 64 levels"),
        (ReleasePolicy::parse(format!("{{\"anyOf\":[{deep}").as_bytes()), "more than 65536 are not read"),
        (ReleasePolicy::parse(&deep.as_bytes()[..MAX_BYTES]), "deeper than 64 levels"),
        (ReleasePolicy::parse(&vec![b' '; MAX_BYTES + 1]), "more than 65536 are not read"),
    ];
    for (got, expected) in table {
        let why = got.unwrap_err();
        assert!(why.path == "$" && why.to_string().contains(expected), "{why}");
    }
}

#[test]
fn the_stored_document_has_the_version_and_is_read_again_as_the_same() {
    for version in [None, Some("1.0"), Some("1.0.0")] {
        let mut policy = json!({"anyOf": [{"authority": WEU, "anyOf": [{"claim": "a.b", "exists": "true"}]}]});
        if let Some(version) = version {
            policy["version"] = version.into();
        }
        let read = parse(&policy).unwrap();
        assert_eq!(read.document()["version"], "1.0.0");
        assert_eq!(read.document()["anyOf"], policy["anyOf"]);
        assert_eq!(parse(read.document()).unwrap(), read);
        assert!(read.trusts(WEU));
    }
}

#[test]
fn comparison_is_by_text_and_what_is_not_there_fulfils_nothing() {
    let svn = "x-ms-isolation-tee.x-ms-sevsnpvm-guestsvn";
    let table = [
        (json!({"claim": "secureboot", "equals": "true"}), true, "is true, as asked: equal to true"),
        (json!({"claim": "secureboot", "equals": true}), true, "is true, as asked"),
        (json!({"claim": "secureboot", "equals": "True"}), false, "is true and must be equal to True"),
        (json!({"claim": "x-ms-isolation-tee.x-ms-sevsnpvm-is-debuggable", "equals": "false"}), true, "is false"),
        (json!({"claim": "x-ms-isolation-tee.x-ms-sevsnpvm-vmpl", "equals": "0"}), true, "is 0, as asked"),
        (json!({"claim": svn, "equals": 2}), true, "is 2"),
        (json!({"claim": svn, "equals": "02"}), false, "is 2 and must be equal to 02"),
        (json!({"claim": svn, "notEquals": "3"}), true, "is 2, as asked: other than 3"),
        (json!({"claim": svn, "notEquals": 2}), false, "is 2 and must be other than 2"),
        (json!({"claim": svn, "greater": 1}), true, "is 2, as asked: greater than 1"),
        (json!({"claim": svn, "greater": "2"}), false, "is 2 and must be greater than 2"),
        (json!({"claim": svn, "greaterOrEquals": 2}), true, "at least 2"),
        (json!({"claim": svn, "less": 10}), true, "less than 10"),
        (json!({"claim": svn, "lessOrEquals": "1.99"}), false, "is 2 and must be at most 1.99"),
        (json!({"claim": "x-ms-attestation-type", "less": 5}), false, "is azurevm, which is no decimal number"),
        (json!({"claim": "gone", "equals": "x"}), false, "is not in the token"),
        (json!({"claim": "gone", "notEquals": "x"}), false, "is not in the token"),
        (json!({"claim": "gone", "less": 1}), false, "is not in the token"),
        (json!({"claim": "gone", "exists": true}), false, "is not in the token"),
        (json!({"claim": "gone", "exists": "false"}), true, "is not in the token"),
        (json!({"claim": "secureboot", "exists": "true"}), true, "is in the token"),
        (json!({"claim": "secureboot", "exists": false}), false, "is in the token, and must not be"),
        (json!({"claim": "nothing", "exists": true}), false, "is not in the token"),
        (json!({"claim": "nothing", "notEquals": "x"}), false, "is not in the token"),
        (json!({"claim": "x-ms-policy", "exists": true}), true, "is in the token"),
        (json!({"claim": "x-ms-policy", "notEquals": "x"}), false, "is an object of 1, which is compared with nothing"),
        (json!({"claim": "x-ms-policy.list", "equals": "[1]"}), false, "is an array of 1, which is compared with"),
        (json!({"claim": "x-ms-policy.list.0", "equals": 1}), false, "is not in the token"),
        (json!({"claim": "my.claim", "equals": "x"}), false, "is a name with dots of its own"),
        (json!({"claim": "my.claim", "exists": false}), false, "is a name with dots of its own"),
        (
            json!({"claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm"}),
            false,
            "is not in the token, but x-ms-isolation-tee.x-ms-compliance-status is",
        ),
        (
            json!({"claim": "x-ms-attestation-type", "equals": "sevsnpvm"}),
            false,
            "is azurevm and must be equal to sevsnpvm",
        ),
    ];
    for (condition, released, why) in table {
        let evaluation = of(condition.clone()).evaluate(WEU, &guest());
        assert_eq!(evaluation.released, released, "{condition}");
        let Some(Node::AllOf { conditions, .. }) = &evaluation.authorities[0].condition else { panic!() };
        let Node::Clause(clause) = &conditions[0] else { panic!() };
        assert!(clause.why.contains(why), "{condition}\n got {}\nwant {why}", clause.why);
        assert_eq!(evaluation.deciding().len(), usize::from(!released));
    }
    for claims in [json!(null), json!([]), json!("x")] {
        assert!(!of(json!({"claim": "a", "equals": "1"})).evaluate(WEU, &claims).released);
    }
}

#[test]
fn an_issuer_is_an_authority_by_its_text() {
    let asked = |authority: &str| {
        let policy = json!({"anyOf": [{"authority": authority, "allOf": [{"claim": "a", "equals": 1}]}]});
        parse(&policy).unwrap()
    };
    let table = [
        (WEU, WEU, true),
        ("https://sharedweu.weu.attest.azure.net/", WEU, true),
        (WEU, "https://sharedweu.weu.attest.azure.net/", true),
        ("https://sharedweu.weu.attest.azure.net//", WEU, false),
        ("HTTPS://sharedweu.weu.attest.azure.net", WEU, false),
        ("http://sharedweu.weu.attest.azure.net", WEU, false),
        (WEU, "https://sharedweu.weu.attest.azure.net.evil.example", false),
        (WEU, "", false),
        ("sharedweu.weu.attest.azure.net", WEU, false),
    ];
    for (authority, issuer, released) in table {
        let evaluation = asked(authority).evaluate(issuer, &json!({"a": 1}));
        assert_eq!(evaluation.released, released, "{authority} {issuer}");
        assert_eq!(evaluation.authorities[0].issued, released);
    }
    let reason = asked(WEU).evaluate("https://evil.example", &json!({"a": 1})).reason();
    assert_eq!(reason, format!("the token was issued by https://evil.example; the policy trusts {WEU}"));
}

#[test]
fn conditions_nest_and_the_tree_shows_what_failed() {
    let policy = parse(&json!({"anyOf": [
        {"authority": "https://other.example", "allOf": [{"claim": "a", "equals": 1}]},
        {"authority": WEU, "allOf": [
            {"claim": "a", "equals": 1},
            {"anyOf": [{"claim": "b", "equals": 2}, {"allOf": [{"claim": "c", "equals": 3}, {"claim": "d", "equals": 4}]}]},
        ]},
    ]}))
    .unwrap();
    let table = [
        (json!({"a": 1, "b": 2}), true, vec![]),
        (json!({"a": 1, "c": 3, "d": 4}), true, vec![]),
        (json!({"a": 1, "c": 3}), false, vec!["allOf[1].anyOf[0]", "allOf[1].anyOf[1].allOf[1]"]),
        (json!({"a": 0, "b": 2, "d": 4}), false, vec!["allOf[0]"]),
    ];
    for (claims, released, paths) in table {
        let evaluation = policy.evaluate(WEU, &claims);
        assert_eq!(evaluation.released, released, "{claims}");
        let expected: Vec<_> = paths.iter().map(|path| format!("$.anyOf[1].{path}")).collect();
        assert_eq!(evaluation.deciding().iter().map(|clause| clause.path.clone()).collect::<Vec<_>>(), expected);
    }
    let evaluation = policy.evaluate(WEU, &json!({"a": 1, "c": 3}));
    assert_eq!(
        evaluation.to_string(),
        "https://other.example: issued by another authority, not asked\n\
         https://sharedweu.weu.attest.azure.net:\n\
         not met  all of:\n\
         met        a is 1, as asked: equal to 1\n\
         not met    any of:\n\
         not met      b is not in the token\n\
         not met      all of:\n\
         met            c is 3, as asked: equal to 3\n\
         not met        d is not in the token\n\
         not released"
    );
    assert_eq!(
        policy.to_string(),
        "The key is released to a token of https://other.example of which all hold:\n  - a is 1\n\
         Or to a token of https://sharedweu.weu.attest.azure.net of which all hold:\n  - a is 1\n  \
         - at least one of:\n    - b is 2\n    - all of:\n      - c is 3\n      - d is 4\n"
    );
    let shown = serde_json::to_value(&evaluation).unwrap();
    assert_eq!(shown["authorities"][1]["condition"]["conditions"][1]["conditions"][0]["operator"], "equals");
}

/// Claims with the shape of the three tokens that the published matrix was made with.
fn matrix_tokens() -> [(&'static str, &'static str, Value); 3] {
    let cvm = json!({"x-ms-attestation-type": "azurevm", "x-ms-isolation-tee": {
        "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-sevsnpvm-is-debuggable": false,
    }});
    [
        ("sharedeus2-2024-12-20.jwt", "https://sharedeus2.eus2.attest.azure.net", cvm.clone()),
        ("sharedweu-2022-12-23.jwt", WEU, cvm),
        (
            "sharedeus2-2022-04-14.jwt",
            "https://sharedeus2.eus2.attest.azure.net",
            json!({"x-ms-attestation-type": "azurevm", "secureboot": true}),
        ),
    ]
}

#[test]
fn published_policies_are_read_and_judge_as_the_matrix_says() {
    let Some(folder) = shared("evidence/release-policies") else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let matrix: Value = serde_json::from_slice(&read("expected-matrix.json")).unwrap();
    let rows = matrix["release"].as_object().unwrap();
    assert_eq!(rows.len(), 13);
    for (name, row) in rows {
        let policy = ReleasePolicy::parse(&read(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(row.as_object().unwrap().len(), 3);
        for (token, issuer, claims) in matrix_tokens() {
            let evaluation = policy.evaluate(issuer, &claims);
            assert_eq!(row[token], evaluation.released, "{name} {token}\n{evaluation}");
        }
    }
    // Two files of the folder are configurations of a tool, not policies.
    for name in ["sidecar-encfs-importkeyconfig.json", "sidecar-skr-importkeyconfig.json"] {
        assert_eq!(ReleasePolicy::parse(&read(name)).unwrap_err().path, "$", "{name}");
    }
    // The recording of a live Managed HSM: it released to a token whose claim is the boolean.
    let recorded = ReleasePolicy::parse(&read("mhsm-recorded-2021.json")).unwrap();
    let issuer = recorded.authorities[0].issuer.trim_end_matches('/').to_owned();
    assert!(recorded.evaluate(&issuer, &json!({"sdk-test": true})).released);
    // The published default for confidential VMs asks at the top level for what guest attestation nests.
    let default = ReleasePolicy::parse(&read("workshop-ml-0.json")).unwrap();
    let names: Vec<_> =
        lint(&default, None).into_iter().filter(|w| w.level == Level::Warning).map(|w| w.name).collect();
    assert_eq!(names, ["top_level"; 4]);
}

#[test]
fn what_usually_goes_wrong_is_said() {
    let tee = |claim: &str, value: &str| json!({"claim": format!("x-ms-isolation-tee.{claim}"), "equals": value});
    let kind = tee("x-ms-attestation-type", "sevsnpvm");
    let debug = tee("x-ms-sevsnpvm-is-debuggable", "false");
    let measured = tee("x-ms-sevsnpvm-launchmeasurement", "00");
    let top = |claim: &str, value: &str| json!({"claim": claim, "equals": value});
    let table = [
        (WEU, Some(true), json!([kind, debug, measured]), vec![]),
        (WEU, Some(false), json!([kind, debug, measured]), vec!["mutable"]),
        (WEU, None, json!([kind, debug]), vec!["any_software"]),
        (WEU, None, json!([kind, measured]), vec!["no_debug_clause"]),
        (WEU, None, json!([debug, measured]), vec!["any_kind"]),
        ("sharedweu.weu.attest.azure.net", None, json!([kind, debug, measured]), vec!["authority_url"]),
        ("https://attest.example", None, json!([kind, debug, measured]), vec!["authority_host"]),
        ("https://.attest.azure.net", None, json!([kind, debug, measured]), vec!["authority_host"]),
        ("https://x.attest.azure.net@evil.example", None, json!([kind, debug, measured]), vec!["authority_url"]),
        ("https://evil.example/.attest.azure.net", None, json!([kind, debug, measured]), vec!["authority_host"]),
        ("https://x.attest.azure.us/", None, json!([kind, debug, measured]), vec![]),
        (WEU, None, json!([top("x-ms-attestation-type", "sevsnpvm"), debug, measured]), vec!["top_level"]),
        (
            WEU,
            None,
            json!([
                top("x-ms-compliance-status", "azure-compliant-uvm"),
                top("x-ms-sevsnpvm-hostdata", "00"),
                top("x-ms-sevsnpvm-is-debuggable", "false")
            ]),
            vec![],
        ),
        (WEU, None, json!([kind, tee("x-ms-sevsnpvm-is-debuggable", "true"), measured]), vec!["debug_wanted"]),
    ];
    for (authority, immutable, conditions, expected) in table {
        let policy = parse(&json!({"anyOf": [{"authority": authority, "allOf": conditions}]})).unwrap();
        let names: Vec<_> = lint(&policy, immutable).iter().map(|warning| warning.name).collect();
        assert_eq!(names, expected, "{policy}");
    }
}

#[test]
fn a_policy_made_from_a_token_releases_to_it_and_not_to_others() {
    let both = Selection { measurement: true, user_data: true };
    let container = json!({
        "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-uvm",
        "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-launchmeasurement": "aa", "x-ms-sevsnpvm-reportdata": "bb",
    });
    let tdx = json!({"x-ms-isolation-tee": {
        "x-ms-attestation-type": "tdxvm", "x-ms-compliance-status": "azure-compliant-cvm", "tdx_mrtd": "aa",
        "x-ms-runtime": {"user-data": "cc"},
    }});
    let sgx = json!({"x-ms-attestation-type": "sgx", "x-ms-sgx-is-debuggable": false, "x-ms-sgx-mrenclave": "aa",
        "x-ms-sgx-report-data": "bb"});
    let measurement = |claims: &Value| -> Vec<&'static str> {
        match claims.get("x-ms-isolation-tee") {
            Some(tee) if tee.get("tdx_mrtd").is_some() => vec!["x-ms-isolation-tee", "tdx_mrtd"],
            Some(_) => vec!["x-ms-isolation-tee", "x-ms-sevsnpvm-launchmeasurement"],
            None if claims.get("x-ms-sgx-mrenclave").is_some() => vec!["x-ms-sgx-mrenclave"],
            None => vec!["x-ms-sevsnpvm-launchmeasurement"],
        }
    };
    for claims in [guest(), container, tdx, sgx] {
        for selection in [Selection::default(), both] {
            let policy = from_claims(WEU, &claims, selection).unwrap();
            assert!(policy.evaluate(WEU, &claims).released, "{policy}");
            assert!(!policy.evaluate("https://other.example", &claims).released);
            assert!(!lint(&policy, Some(true)).iter().any(|w| w.level == Level::Warning), "{policy}");
            let mut other = claims.clone();
            let place = measurement(&claims).into_iter().fold(&mut other, |value, name| &mut value[name]);
            *place = "another".into();
            assert_eq!(policy.evaluate(WEU, &other).released, selection == Selection::default(), "{policy}");
        }
    }
    assert_eq!(
        from_claims(WEU, &guest(), both).unwrap().document()["anyOf"][0]["allOf"],
        json!([
            {"claim": "x-ms-isolation-tee.x-ms-attestation-type", "equals": "sevsnpvm"},
            {"claim": "x-ms-isolation-tee.x-ms-compliance-status", "equals": "azure-compliant-cvm"},
            {"claim": "x-ms-isolation-tee.x-ms-sevsnpvm-is-debuggable", "equals": "false"},
            {"claim": "x-ms-isolation-tee.x-ms-sevsnpvm-launchmeasurement", "equals": "04a1"},
            {"claim": "x-ms-isolation-tee.x-ms-runtime.user-data", "equals": "00ff"},
        ])
    );
    let mut debug = guest();
    debug["x-ms-isolation-tee"]["x-ms-sevsnpvm-is-debuggable"] = true.into();
    let plain = json!({"x-ms-attestation-type": "azurevm"});
    let bare = json!({"x-ms-attestation-type": "sevsnpvm"});
    let refusals = [
        (WEU, plain, Selection::default(), "names no confidential machine"),
        (WEU, debug, Selection::default(), "x-ms-sevsnpvm-is-debuggable` is true"),
        (
            WEU,
            bare.clone(),
            Selection { measurement: true, user_data: false },
            "x-ms-sevsnpvm-launchmeasurement is not",
        ),
        (
            WEU,
            bare.clone(),
            Selection { measurement: false, user_data: true },
            "x-ms-runtime.user-data or x-ms-sevsnpvm",
        ),
        ("", bare, Selection::default(), "$.anyOf[0].authority: the authority is empty"),
    ];
    for (issuer, claims, selection, expected) in refusals {
        let why = from_claims(issuer, &claims, selection).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn envelopes_are_read_in_every_form_that_people_have() {
    use base64::prelude::{BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD, Engine as _};
    let policy = of(json!({"claim": "a", "equals": "ä?>"}));
    let text = policy.document().to_string();
    let bare = BASE64_URL_SAFE_NO_PAD.encode(&text);
    let table = [
        (text.clone(), None),
        (format!("\n {text}\n"), None),
        (bare.clone(), None),
        (BASE64_URL_SAFE.encode(&text) + "\n", None),
        (json!({"contentType": CONTENT_TYPE, "data": bare, "immutable": true}).to_string(), Some(true)),
        (json!({"data": bare}).to_string(), None),
        (json!({"contentType": "application/json; charset=utf-8", "encodedPolicy": bare}).to_string(), None),
        (
            json!({"key": {}, "release_policy": {"contentType": null, "data": bare, "immutable": false}}).to_string(),
            Some(false),
        ),
        (json!({"releasePolicy": {"encodedPolicy": bare, "immutable": true}}).to_string(), Some(true)),
    ];
    for (document, immutable) in table {
        let read = Encoded::read(document.as_bytes()).unwrap_or_else(|why| panic!("{document}: {why}"));
        assert_eq!(read, Encoded { policy: policy.clone(), immutable }, "{document}");
    }
    let once = Encoded { policy, immutable: Some(true) };
    assert_eq!(Encoded::envelope(&once.to_envelope()).unwrap(), once);
    let refused = [
        (String::new(), "EOF"),
        ("{".to_owned(), "EOF"),
        (json!({"data": 1}).to_string(), "`data` of the envelope is not a string"),
        (json!({"data": "?"}).to_string(), "`data` of the envelope is not BASE64URL"),
        (json!({"data": bare, "immutable": "yes"}).to_string(), "`immutable` of the envelope is not true or false"),
        (json!({"data": bare, "contentType": "text/plain"}).to_string(), "the content type is \"text/plain\""),
        (json!({"data": "e30"}).to_string(), "$: `anyOf` is missing"),
        ("e30".to_owned(), "$: `anyOf` is missing"),
        ("A".repeat(200_000), "more than 131072 are not read"),
    ];
    for (document, expected) in refused {
        let why = Encoded::read(document.as_bytes()).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~]{0,8}".prop_map(Value::from)
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let name = "[a-c](\\.[a-c]){0,2}";
    let clause = prop_oneof![
        (name, scalar()).prop_map(|(claim, value)| json!({"claim": claim, "equals": value})),
        (name, scalar()).prop_map(|(claim, value)| json!({"claim": claim, "notEquals": value})),
        (name, any::<i16>()).prop_map(|(claim, value)| json!({"claim": claim, "less": value})),
        (name, any::<bool>()).prop_map(|(claim, value)| json!({"claim": claim, "exists": value})),
    ];
    clause.prop_recursive(3, 12, 3, |inner| {
        let several = proptest::collection::vec(inner, 1..3);
        (any::<bool>(), several).prop_map(|(all, inner)| json!({if all { "allOf" } else { "anyOf" }: inner}))
    })
}

fn claims() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        proptest::collection::btree_map("[a-c](\\.[a-c])?", inner, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    })
}

/// What the tree must say, computed from the document alone.
fn expected(condition: &Value, claims: &Value) -> bool {
    if let Some(inner) = condition.get("allOf") {
        return inner.as_array().unwrap().iter().all(|c| expected(c, claims));
    }
    if let Some(inner) = condition.get("anyOf") {
        return inner.as_array().unwrap().iter().any(|c| expected(c, claims));
    }
    of(condition.clone()).evaluate(WEU, claims).released
}

proptest! {
    #[test]
    fn nothing_makes_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = ReleasePolicy::parse(&bytes);
        let _ = Encoded::read(&bytes);
    }

    #[test]
    fn policies_survive_their_journey_and_judge_the_same(condition in condition(), claims in claims()) {
        let policy = of(condition.clone());
        let evaluation = policy.evaluate(WEU, &claims);
        prop_assert_eq!(evaluation.released, expected(&condition, &claims));
        prop_assert_eq!(evaluation.released, evaluation.deciding().is_empty());
        let sent = Encoded { policy, immutable: Some(true) }.to_envelope();
        let again = Encoded::read(sent.to_string().as_bytes()).unwrap().policy;
        prop_assert_eq!(again.evaluate(WEU, &claims), evaluation);
    }
}
