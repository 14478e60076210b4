//! The contract as a plugin's author meets it, on the double of the host.

use sealbook_sdk::prelude::*;
use sealbook_sdk::testing::{Fake, Tested};
use sealbook_sdk::{Operation, guest};

const ID: &str = "/subscriptions/s/resourceGroups/g/providers/Example.Thing/things/t";

/// Which thing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Its resource id.
    id: ArmId,
    /// How large.
    #[serde(default = "one")]
    size: u8,
}

fn one() -> u8 {
    1
}

/// A step that leaves `verify` and `undo` to their defaults.
struct Thing;

impl Step for Thing {
    const ASKS: &'static [&'static str] = &["azure:read,write ${inputs.id}"];
    type In = In;
    type Out = Value;

    fn check(cx: &Cx, i: &In) -> Result<Check<Value>> {
        let wanted = json!({ "size": i.size });
        Ok(match cx.azure().find(&i.id)? {
            Some(thing) if thing["properties"] == wanted => Check::Satisfied(thing),
            _ => {
                Check::needed("make it").also("of that size").costs("thing", 0.5).leaves("a mark").az("az thing create")
            }
        })
    }

    fn apply(cx: &Cx, i: &In) -> Result<Value> {
        cx.log("making it");
        cx.azure().put("make", &i.id, json!({ "properties": { "size": i.size } }))
    }
}

fn step(fake: &Fake) -> Tested<Thing> {
    fake.step(json!({ "id": ID }))
}

#[test]
fn the_description_is_made_of_types_and_doc_comments() {
    let description = guest::describe::<Thing>("Makes a thing");
    let inputs: Value = serde_json::from_str(&description.inputs).unwrap();
    assert_eq!(inputs["properties"]["id"]["description"], "Its resource id.");
    assert_eq!(inputs["properties"]["size"]["default"], 1);
    assert_eq!((&inputs["required"], &inputs["additionalProperties"]), (&json!(["id"]), &json!(false)));
    assert_eq!(description.asks, ["azure:read,write ${inputs.id}"]);
    assert_eq!(description.summary, "Makes a thing");
}

#[test]
fn inputs_that_do_not_fit_name_their_field() {
    for (inputs, field) in [
        (json!({ "id": ID, "sise": 2 }), "sise"),
        (json!({ "size": 2 }), "id"),
        (json!({ "id": "not an id" }), "inputs"),
    ] {
        let Err(Problem::InvalidInput(problem)) = Fake::new().step::<Thing>(inputs).check() else { panic!("accepted") };
        assert_eq!(problem.field, field, "{problem:?}");
    }
}

#[test]
fn a_preview_carries_what_consent_needs() {
    let preview = step(&Fake::new()).check().unwrap().needed().unwrap();
    assert_eq!(preview.changes, ["make it", "of that size"]);
    assert_eq!((preview.costs[0].usd_per_hour, preview.leaves.len()), (0.5, 1));
    assert_eq!(preview.az.as_deref(), Some("az thing create"));
}

#[test]
fn verify_checks_again_unless_told_otherwise() {
    let fake = Fake::new();
    let done = step(&fake).run().unwrap();
    assert!(done.evidence[0].passed);
    fake.set(ID, json!({ "properties": { "size": 9 } }));
    let evidence = step(&fake).verify(&json!({})).unwrap();
    assert_eq!((evidence[0].passed, evidence[0].detail.as_str()), (false, "still to do: make it; of that size"));
    assert_eq!(fake.log(), ["Info: making it"]);
}

#[test]
fn a_step_with_effects_and_no_undo_does_not_pretend() {
    let fake = Fake::new();
    let done = step(&fake).run().unwrap();
    assert!(matches!(step(&fake).undo(done), Err(Problem::Permanent(_))));
    assert_eq!(step(&Fake::new()).undo_from(&Value::Null, None).unwrap(), Undone::clean());
}

#[test]
fn effects_are_remembered_and_their_names_are_not_reused() {
    let fake = Fake::new();
    step(&fake).apply().unwrap();
    fake.set(ID, json!({ "properties": { "size": 9 } }));
    // The same effect again is answered from the ledger; another request under its name is refused.
    assert_eq!(step(&fake).apply().unwrap()["properties"]["size"], 1);
    let other = fake.step::<Thing>(json!({ "id": ID, "size": 3 }));
    assert!(matches!(other.apply(), Err(Problem::Permanent(_))));
}

#[test]
fn what_was_not_asked_for_is_denied() {
    struct Greedy;
    impl Step for Greedy {
        const ASKS: &'static [&'static str] = &["azure:read ${inputs.id}"];
        type In = In;
        type Out = Value;
        fn check(cx: &Cx, i: &In) -> Result<Check<Value>> {
            cx.azure().get(&i.id.join("nested")?).map(Check::Satisfied)
        }
        fn apply(cx: &Cx, i: &In) -> Result<Value> {
            cx.azure().put("make", &i.id, json!({}))
        }
    }
    let fake = Fake::new().own(&format!("{ID}/nested"), json!({}));
    let greedy = fake.step::<Greedy>(json!({ "id": ID }));
    assert!(greedy.check().is_ok());
    let Err(Problem::Denied(denied)) = greedy.apply() else { panic!("allowed") };
    assert_eq!((denied.capability.as_str(), denied.scope.as_str()), ("azure:write", ID));
}

#[test]
fn undo_removes_only_what_is_this_runs() {
    /// Answers whether it might remove what carries the mark in `id`'s last segment.
    struct Judge;
    impl Step for Judge {
        const ASKS: &'static [&'static str] = &[];
        type In = In;
        type Out = Value;
        fn check(cx: &Cx, i: &In) -> Result<Check<Value>> {
            let operation = |kind: &str, ownership| Operation {
                name: "make".into(),
                kind: kind.into(),
                target: ID.into(),
                ownership,
                outcome: None,
            };
            let mark = Some(i.id.name()).filter(|name| *name != "none");
            let may =
                |op| Past::<Value> { before: Value::Null, outputs: None, operations: op }.may_remove(cx, "make", mark);
            Ok(Check::Satisfied(json!([
                may(vec![operation("arm-put", Ownership::Ours)]),
                may(vec![operation("arm-put", Ownership::Unknown)]),
                may(vec![operation("arm-put", Ownership::Foreign)]),
                may(vec![operation("arm-put-untagged", Ownership::Ours)]),
                may(vec![]),
            ])))
        }
        fn apply(_: &Cx, _: &In) -> Result<Value> {
            Ok(Value::Null)
        }
    }
    for (mark, adopting, expected) in [
        (Fake::RUN, false, [true, true, false, true, false]),
        ("other2", false, [false, false, false, true, false]),
        ("none", false, [false, false, false, true, false]),
        (Fake::RUN, true, [true, false, false, true, false]),
        ("none", true, [true, false, false, true, false]),
    ] {
        let fake = if adopting { Fake::new().adopting() } else { Fake::new() };
        let answer = fake.step::<Judge>(json!({ "id": format!("/subscriptions/{mark}") })).check().unwrap();
        assert_eq!(answer.satisfied(), Some(json!(expected)), "{mark} {adopting}");
    }
}

/// Reads an artifact as a whole and says how long it is.
struct Reader;

/// Which artifact, and how much of it.
#[derive(Deserialize, JsonSchema)]
pub struct Which {
    data: String,
    most: usize,
}

impl Step for Reader {
    const ASKS: &'static [&'static str] = &["artifacts:use"];
    type In = Which;
    type Out = usize;

    fn check(cx: &Cx, i: &Which) -> Result<Check<usize>> {
        let content = cx.artifacts().open(&i.data)?.content(i.most)?;
        assert!(content.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8));
        Ok(Check::Satisfied(content.len()))
    }

    fn apply(_: &Cx, _: &Which) -> Result<usize> {
        Err(Problem::permanent("there is nothing to do"))
    }
}

#[test]
fn an_artifact_of_many_chunks_is_read_as_one_up_to_a_limit() {
    let long: Vec<u8> = (0..2_500_000).map(|n| (n % 251) as u8).collect();
    let fake = Fake::new().artifact("long", &long).artifact("empty", b"").secret("s", b"x");
    let read = |data: &str, most: usize| fake.step::<Reader>(json!({ "data": data, "most": most })).check();
    assert_eq!(read("artifact:long", 2_500_000).unwrap().satisfied(), Some(json!(2_500_000)));
    assert_eq!(read("artifact:empty", 0).unwrap().satisfied(), Some(json!(0)));
    let told = format!("{:?}", read("artifact:long", 2_499_999).unwrap_err());
    assert!(told.contains("2500000 bytes are too many: at most 2499999"), "{told}");
    assert!(read("secret:s", 10).is_err());
}
