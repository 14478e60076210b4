//! The reconcile table: for each kind of effect, how a run knows its own work.
//!
//! Nobody offers exactly-once calls. What a run offers instead is this: before it acts it looks, and after a crash it
//! looks again and decides by what stands there. [`decide`] is that decision, a pure function of how the kind is known
//! ([`Knows`]), of whether the ledger has seen the effect before ([`Before`]), and of what stands at the target
//! ([`Seen`]).

use sealbook_model::id::Digest;
use sealbook_model::problem::codes;
use serde_json::Value;

use super::marks::Bearer;
use crate::step::{Failure, Intent, Operation, Ownership, StepError};

/// How a run recognises what an effect of some kind did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// By tags or metadata that name run and effect: what carries them is this effect's, what does not is not.
    Mark,
    /// By a mark, and by its content: what carries the mark but has other content is what this effect did earlier, and is
    /// replaced. Such an effect may be repeated with another request.
    Content,
    /// By a name that is derived from run and effect: what has that name is this effect's. An equal thing under another
    /// name does as well, and is foreign.
    Name,
    /// By what was there before: nothing, then what was asked for, is taken for this effect's.
    Prior,
    /// By what was there before, as a list: exactly one more entry is this effect's.
    OneMore,
    /// By what was there before, as a switch: it was off, and it is on. On a thing of this run that is this effect's;
    /// on anybody else's it can't be told who turned it.
    Turned,
    /// By absence: what is to go is gone.
    Gone,
    /// It need not know: doing it again has the same effect as doing it once.
    Repeat,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The kind, as journals have it.
    pub kind: &'static str,
    /// How the effect is recognised.
    pub knows: Knows,
    /// The same in words.
    pub how: &'static str,
}

/// One row per kind of effect.
pub const TABLE: [Row; 20] = [
    Row { kind: "arm-put", knows: Knows::Mark, how: "tags of run and effect on the resource" },
    Row {
        kind: "arm-put-untagged",
        knows: Knows::Prior,
        how: "a resource that can't be tagged: absent before, now as it was asked for",
    },
    Row { kind: "key-rotation-policy", knows: Knows::Repeat, how: "sets the same policy again" },
    Row { kind: "arm-patch", knows: Knows::Repeat, how: "sets the same values again" },
    Row {
        kind: "arm-post",
        knows: Knows::Repeat,
        how: "runs the action again; actions of plugins are idempotent by contract",
    },
    Row { kind: "arm-delete", knows: Knows::Gone, how: "the resource is absent" },
    Row { kind: "role-assignment", knows: Knows::Name, how: "the assignment's name is a UUIDv5 of run and effect" },
    Row { kind: "key-create", knows: Knows::Mark, how: "a version of the key with tags of run and effect" },
    Row { kind: "key-import", knows: Knows::Mark, how: "a version of the key with tags of run and effect" },
    Row { kind: "key-update", knows: Knows::Repeat, how: "sets the same values again" },
    Row {
        kind: "key-rotate",
        knows: Knows::OneMore,
        how: "the key's versions were recorded before: exactly one is new",
    },
    Row { kind: "key-delete", knows: Knows::Gone, how: "the key is absent" },
    Row {
        kind: "hsm-download",
        knows: Knows::Turned,
        how: "the managed HSM was not active before; one of this run gives its security domain again",
    },
    Row {
        kind: "hsm-upload",
        knows: Knows::Turned,
        how: "the managed HSM was not active before; one of this run that is active now has it",
    },
    Row {
        kind: "hsm-role-assignment",
        knows: Knows::Name,
        how: "the local assignment's name is a UUIDv5 of run and effect",
    },
    Row { kind: "hsm-role-unassign", knows: Knows::Gone, how: "the local assignment is absent" },
    Row {
        kind: "service-principal",
        knows: Knows::Prior,
        how: "the application had no service principal in the tenant before, and has one now",
    },
    Row {
        kind: "blob-put",
        knows: Knows::Content,
        how: "metadata of run and effect on the blob; one that has other content is replaced",
    },
    Row { kind: "container-create", knows: Knows::Mark, how: "metadata of run and effect on the container" },
    Row { kind: "blob-delete", knows: Knows::Gone, how: "the blob or container is absent" },
];

/// Finds a row.
pub(crate) fn row(kind: &str) -> Option<&'static Row> {
    // A table of twenty rows is searched faster than it is hashed.
    static ROWS: [Row; 20] = TABLE;
    ROWS.iter().find(|row| row.kind == kind)
}

/// What a ledger answers of an effect that it knows: nothing, where it is repeated with another request and may be.
///
/// # Errors
/// SB0514: it is repeated with another request.
pub fn standing(known: Option<Operation>, request: &Digest) -> Result<Option<Operation>, Failure> {
    let Some(Intent { name, kind, request: recorded, .. }) = known.as_ref().map(|known| &known.intent) else {
        return Ok(None);
    };
    if recorded == request {
        return Ok(known);
    }
    if row(kind).is_some_and(|row| row.knows == Knows::Content) {
        return Ok(None);
    }
    let message = format!("the effect `{name}` was begun with another request: recorded: {recorded}, now: {request}");
    Err(StepError::Component { code: codes::EFFECT_CHANGED.into(), message }.into())
}

/// What the ledger knows of the effect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Before<'a> {
    /// Nothing: it was never intended.
    Never,
    /// It was intended, and what came of it was never learnt. This is what was there before.
    Intended { prior: &'a Value },
}

/// What stands at the target.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The thing, as the plugin would get it. For [`Knows::OneMore`] an array of entries.
    pub(crate) thing: Value,
    /// Whose mark it carries. Things that carry no marks: a stranger's.
    pub(crate) bearer: Bearer,
    /// How far Azure has come with it.
    pub(crate) state: Progress,
    /// For [`Knows::Prior`] and [`Knows::Content`]: whether it has all that was asked for. For [`Knows::Turned`]: whether all that the plugin
    /// gets stands at the target, so that nothing has to be sent again.
    pub(crate) as_asked: bool,
}

/// How far Azure has come with a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Settled,
    Working,
    Failed,
}

/// What may be done with a stranger's thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strangers {
    /// Leave it alone: a conflict.
    Refuse,
    /// Use it as it is (playbook `adopt`, hands-on, or a kind for which an equal thing is as good).
    Use,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// Send the request; record this as what was there before.
    Act { prior: Value },
    /// Do nothing: it is done, and this is what it brought.
    Done { result: Value, ownership: Ownership },
    /// Do nothing and record nothing: there is nothing to do.
    Nothing,
    /// Wait: Azure is still at work on what this effect began.
    Wait,
    /// Leave it alone.
    Refuse(StepError),
}

/// Decides what to do about an effect.
pub(crate) fn decide(
    knows: Knows,
    target: &str,
    before: Before<'_>,
    seen: Option<&Seen>,
    strangers: Strangers,
) -> Decision {
    match knows {
        Knows::Repeat => Decision::Act { prior: Value::Null },
        Knows::Content if seen.is_some_and(|seen| seen.bearer == Bearer::Effect && !seen.as_asked) => {
            Decision::Act { prior: Value::Null }
        }
        Knows::Mark | Knows::Content | Knows::Name => match seen {
            None => Decision::Act { prior: Value::Null },
            Some(seen) => marked(target, seen, strangers),
        },
        Knows::Prior => match (before, seen) {
            (_, None) => Decision::Act { prior: Value::Null },
            (Before::Intended { prior: Value::Null }, Some(seen)) if seen.as_asked => match seen.state {
                Progress::Settled => done(seen, Ownership::Ours),
                Progress::Working => Decision::Wait,
                Progress::Failed => Decision::Act { prior: Value::Null },
            },
            (_, Some(seen)) => stranger(target, seen, strangers),
        },
        Knows::OneMore => one_more(target, before, seen),
        Knows::Turned => turned(target, before, seen, strangers),
        Knows::Gone => match (before, seen) {
            (Before::Never, None) => Decision::Nothing,
            (Before::Intended { prior }, None) => Decision::Done { result: prior.clone(), ownership: Ownership::Ours },
            (Before::Intended { .. }, Some(seen)) if seen.state == Progress::Working => Decision::Wait,
            (_, Some(seen)) => match &seen.bearer {
                Bearer::Effect | Bearer::Run { .. } => Decision::Act { prior: seen.thing.clone() },
                Bearer::Stranger { .. } if strangers == Strangers::Use => Decision::Act { prior: seen.thing.clone() },
                Bearer::Stranger { run } => Decision::Refuse(not_ours(target, run.as_deref(), "not deleted")),
            },
        },
    }
}

fn marked(target: &str, seen: &Seen, strangers: Strangers) -> Decision {
    match (&seen.bearer, seen.state) {
        (Bearer::Effect, Progress::Settled) => done(seen, Ownership::Ours),
        (Bearer::Effect, Progress::Working) => Decision::Wait,
        // The request can be sent again: it meets its own half-made thing.
        (Bearer::Effect, Progress::Failed) => Decision::Act { prior: Value::Null },
        (Bearer::Run { .. } | Bearer::Stranger { .. }, _) => stranger(target, seen, strangers),
    }
}

fn stranger(target: &str, seen: &Seen, strangers: Strangers) -> Decision {
    match (strangers, &seen.bearer) {
        (Strangers::Use, _) => done(seen, Ownership::Foreign),
        (Strangers::Refuse, Bearer::Run { op }) => Decision::Refuse(StepError::Conflict {
            message: format!(
                "{target} was made by another effect of this run ({op}); change it with `patch`, do not create it again"
            ),
            candidates: vec![target.into()],
        }),
        (Strangers::Refuse, Bearer::Stranger { run }) => {
            Decision::Refuse(not_ours(target, run.as_deref(), "not touched"))
        }
        (Strangers::Refuse, Bearer::Effect) => Decision::Refuse(not_ours(target, None, "not touched")),
    }
}

/// Whether a switch (`active`) is to be turned. Without the thing the request itself says what is wrong.
fn turned(target: &str, before: Before<'_>, seen: Option<&Seen>, strangers: Strangers) -> Decision {
    let Some(seen) = seen else { return Decision::Act { prior: Value::Null } };
    let ours = !matches!(seen.bearer, Bearer::Stranger { .. });
    let act = || Decision::Act { prior: seen.thing.clone() };
    let on = seen.thing["active"] == true;
    match before {
        Before::Never if !ours && strangers == Strangers::Refuse => stranger(target, seen, strangers),
        Before::Never if !on => act(),
        Before::Never if strangers == Strangers::Use && seen.as_asked => done(seen, Ownership::Foreign),
        // What is given out again is the same as before.
        Before::Never if !seen.as_asked && (ours || strangers == Strangers::Use) => act(),
        Before::Never => Decision::Refuse(StepError::Conflict {
            message: format!("{target} is active already, and not by this step"),
            candidates: vec![target.into()],
        }),
        Before::Intended { prior } if on == (prior["active"] == true) => act(),
        Before::Intended { .. } if !ours => Decision::Refuse(StepError::Conflict {
            message: format!(
                "{target} was activated since this run was stopped, and it can't be told by whom: its security domain may \
                 be in other hands"
            ),
            candidates: vec![target.into()],
        }),
        Before::Intended { .. } if seen.as_asked => done(seen, Ownership::Ours),
        Before::Intended { .. } => act(),
    }
}

fn one_more(target: &str, before: Before<'_>, seen: Option<&Seen>) -> Decision {
    let empty = Vec::new();
    let now = seen.and_then(|s| s.thing.as_array()).unwrap_or(&empty);
    let ids = |entries: &[Value]| -> Vec<String> {
        entries.iter().filter_map(|e| e["kid"].as_str().or(e.as_str())).map(Into::into).collect()
    };
    let Before::Intended { prior } = before else { return Decision::Act { prior: ids(now).into() } };
    let old = ids(prior.as_array().map_or(&[], Vec::as_slice));
    let new: Vec<_> = now.iter().filter(|e| !old.iter().any(|id| e["kid"] == *id)).collect();
    match new[..] {
        [] => Decision::Act { prior: old.into() },
        [one] => Decision::Done { result: one.clone(), ownership: Ownership::Ours },
        ref several => Decision::Refuse(StepError::Conflict {
            message: format!(
                "{} versions of {target} are new since this run was stopped, and only one can be its own",
                several.len()
            ),
            candidates: several.iter().filter_map(|e| e["kid"].as_str()).map(Into::into).collect(),
        }),
    }
}

fn done(seen: &Seen, ownership: Ownership) -> Decision {
    Decision::Done { result: seen.thing.clone(), ownership }
}

fn not_ours(target: &str, run: Option<&str>, what: &str) -> StepError {
    let whose = match run {
        Some(run) => format!("it is marked as made by run {}", super::text::one_line(run, 40)),
        None => "it does not carry this run's mark".into(),
    };
    StepError::Conflict {
        message: format!(
            "{target} is there already and was {what}: {whose}. To use it as it is, say `adopt = true` in the step"
        ),
        candidates: vec![target.into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const T: &str = "/target";

    fn seen(bearer: Bearer) -> Seen {
        Seen { thing: json!({ "id": T }), bearer, state: Progress::Settled, as_asked: true }
    }

    fn stranger() -> Bearer {
        Bearer::Stranger { run: None }
    }

    fn act() -> Decision {
        Decision::Act { prior: Value::Null }
    }

    fn is(knows: Knows, before: Before<'_>, seen: Option<Seen>, strangers: Strangers) -> Decision {
        decide(knows, T, before, seen.as_ref(), strangers)
    }

    fn conflicts(decision: &Decision) -> bool {
        matches!(decision, Decision::Refuse(StepError::Conflict { .. }))
    }

    #[test]
    fn kinds_are_unique_and_found() {
        for (i, row) in TABLE.iter().enumerate() {
            assert_eq!(super::row(row.kind), Some(row));
            assert!(TABLE[..i].iter().all(|other| other.kind != row.kind), "{}", row.kind);
        }
        assert_eq!(super::row("none"), None);
    }

    #[test]
    fn marked_things_are_adopted_and_others_are_not() {
        let null = Value::Null;
        let ours = Decision::Done { result: json!({ "id": T }), ownership: Ownership::Ours };
        let foreign = Decision::Done { result: json!({ "id": T }), ownership: Ownership::Foreign };
        for before in [Before::Never, Before::Intended { prior: &null }] {
            for knows in [Knows::Mark, Knows::Content, Knows::Name] {
                assert_eq!(is(knows, before, None, Strangers::Refuse), act());
                assert_eq!(is(knows, before, Some(seen(Bearer::Effect)), Strangers::Refuse), ours);
                let mut working = seen(Bearer::Effect);
                working.state = Progress::Working;
                assert_eq!(is(knows, before, Some(working.clone()), Strangers::Refuse), Decision::Wait);
                working.state = Progress::Failed;
                assert_eq!(is(knows, before, Some(working), Strangers::Refuse), act());
                for other in
                    [stranger(), Bearer::Run { op: "x/0/y".into() }, Bearer::Stranger { run: Some("zzz222".into()) }]
                {
                    assert!(conflicts(&is(knows, before, Some(seen(other.clone())), Strangers::Refuse)));
                    assert_eq!(is(knows, before, Some(seen(other)), Strangers::Use), foreign);
                }
            }
        }
    }

    #[test]
    fn other_content_is_replaced_where_it_is_ours_and_nowhere_else() {
        let null = Value::Null;
        for before in [Before::Never, Before::Intended { prior: &null }] {
            let other = |bearer| Some(Seen { as_asked: false, ..seen(bearer) });
            assert_eq!(is(Knows::Content, before, other(Bearer::Effect), Strangers::Refuse), act());
            for bearer in [stranger(), Bearer::Run { op: "x/0/y".into() }, Bearer::Stranger { run: Some("z".into()) }] {
                assert!(conflicts(&is(Knows::Content, before, other(bearer), Strangers::Refuse)));
            }
            // A resource with other properties is no reason to make it again.
            assert_ne!(is(Knows::Mark, before, other(Bearer::Effect), Strangers::Refuse), act());
        }
    }

    #[test]
    fn unmarked_things_are_ours_only_if_nothing_was_there_before() {
        let (null, something) = (Value::Null, json!({}));
        let after_crash = Before::Intended { prior: &null };
        assert_eq!(is(Knows::Prior, Before::Never, None, Strangers::Refuse), act());
        assert!(conflicts(&is(Knows::Prior, Before::Never, Some(seen(stranger())), Strangers::Refuse)));
        assert_eq!(is(Knows::Prior, after_crash, None, Strangers::Refuse), act());
        let found = is(Knows::Prior, after_crash, Some(seen(stranger())), Strangers::Refuse);
        assert_eq!(found, Decision::Done { result: json!({ "id": T }), ownership: Ownership::Ours });
        let mut other = seen(stranger());
        other.as_asked = false;
        assert!(conflicts(&is(Knows::Prior, after_crash, Some(other), Strangers::Refuse)));
        assert!(conflicts(&is(
            Knows::Prior,
            Before::Intended { prior: &something },
            Some(seen(stranger())),
            Strangers::Refuse
        )));
    }

    #[test]
    fn deletes_take_only_what_is_ours() {
        let prior = json!({ "id": T });
        let again = Before::Intended { prior: &prior };
        let go = Decision::Act { prior: json!({ "id": T }) };
        assert_eq!(is(Knows::Gone, Before::Never, None, Strangers::Refuse), Decision::Nothing);
        assert_eq!(
            is(Knows::Gone, again, None, Strangers::Refuse),
            Decision::Done { result: prior.clone(), ownership: Ownership::Ours }
        );
        for before in [Before::Never, again] {
            assert_eq!(is(Knows::Gone, before, Some(seen(Bearer::Effect)), Strangers::Refuse), go);
            assert_eq!(is(Knows::Gone, before, Some(seen(Bearer::Run { op: String::new() })), Strangers::Refuse), go);
            assert_eq!(is(Knows::Gone, before, Some(seen(stranger())), Strangers::Use), go);
            assert!(conflicts(&is(Knows::Gone, before, Some(seen(stranger())), Strangers::Refuse)));
        }
    }

    #[test]
    fn of_a_list_exactly_one_new_entry_is_ours() {
        let list = |kids: &[&str]| {
            let thing = kids.iter().map(|k| json!({ "kid": k })).collect::<Vec<_>>().into();
            Some(Seen { thing, ..seen(stranger()) })
        };
        assert_eq!(
            is(Knows::OneMore, Before::Never, list(&["a"]), Strangers::Refuse),
            Decision::Act { prior: json!(["a"]) }
        );
        let prior = json!(["a"]);
        let again = Before::Intended { prior: &prior };
        assert_eq!(is(Knows::OneMore, again, list(&["a"]), Strangers::Refuse), Decision::Act { prior: json!(["a"]) });
        assert_eq!(
            is(Knows::OneMore, again, list(&["a", "b"]), Strangers::Refuse),
            Decision::Done { result: json!({ "kid": "b" }), ownership: Ownership::Ours }
        );
        let Decision::Refuse(StepError::Conflict { candidates, .. }) =
            is(Knows::OneMore, again, list(&["a", "b", "c"]), Strangers::Refuse)
        else {
            panic!("two new versions can't both be ours");
        };
        assert_eq!(candidates, ["b", "c"]);
    }

    #[test]
    fn a_switch_is_turned_once_and_never_behind_somebodys_back() {
        let at = |active: bool, bearer: &Bearer, as_asked: bool| {
            Some(Seen {
                thing: json!({ "active": active }),
                bearer: bearer.clone(),
                state: Progress::Settled,
                as_asked,
            })
        };
        let (off, on) = (json!({ "active": false }), json!({ "active": true }));
        let (ours, theirs) = (Bearer::Run { op: "x/0/y".into() }, stranger());
        let (refuse, adopt) = (Strangers::Refuse, Strangers::Use);
        let knows = Knows::Turned;
        let act = |prior: &Value| Decision::Act { prior: prior.clone() };
        let done = |ownership| Decision::Done { result: on.clone(), ownership };
        for as_asked in [false, true] {
            // Nothing was sent yet.
            assert_eq!(is(knows, Before::Never, at(false, &ours, false), refuse), act(&off));
            assert!(conflicts(&is(knows, Before::Never, at(false, &theirs, false), refuse)));
            assert_eq!(is(knows, Before::Never, at(false, &theirs, false), adopt), act(&off));
            assert!(conflicts(&is(knows, Before::Never, at(true, &theirs, as_asked), refuse)));
            // Something was sent, and it did not arrive.
            let again = Before::Intended { prior: &off };
            for bearer in [&ours, &theirs] {
                assert_eq!(is(knows, again, at(false, bearer, false), refuse), act(&off));
            }
            // It is on now: whose doing that is can be told of a thing of this run alone.
            assert!(conflicts(&is(knows, again, at(true, &theirs, as_asked), adopt)));
        }
        let again = Before::Intended { prior: &off };
        assert_eq!(is(knows, again, at(true, &ours, false), refuse), act(&on));
        assert_eq!(is(knows, again, at(true, &ours, true), refuse), done(Ownership::Ours));
        // On before this step came to it.
        assert_eq!(is(knows, Before::Never, at(true, &ours, false), refuse), act(&on));
        assert!(conflicts(&is(knows, Before::Never, at(true, &ours, true), refuse)));
        assert_eq!(is(knows, Before::Never, at(true, &theirs, true), adopt), done(Ownership::Foreign));
        assert_eq!(is(knows, Before::Never, at(true, &theirs, false), adopt), act(&on));
    }

    #[test]
    fn repeats_are_always_sent() {
        let null = Value::Null;
        for before in [Before::Never, Before::Intended { prior: &null }] {
            assert_eq!(is(Knows::Repeat, before, Some(seen(stranger())), Strangers::Refuse), act());
        }
    }
}
