//! Any Azure Resource Manager resource, without writing a plugin for it.
mod shape;

use sealbook_sdk::prelude::*;
use shape::{Gap, faults, fits, gaps, project};

/// One thing to do with one resource: exactly one of `get`, `put`, `patch`, `delete` and `post`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Id of a resource to look at. The step succeeds when it is as expected.
    #[serde(default)]
    get: Option<ArmId>,
    /// Id of a resource to create. Undo deletes it.
    #[serde(default)]
    put: Option<ArmId>,
    /// Id of a resource to change. Undo puts the prior values back.
    #[serde(default)]
    patch: Option<ArmId>,
    /// Id of a resource to delete. Undo can't bring it back.
    #[serde(default)]
    delete: Option<ArmId>,
    /// Id of a resource to run `action` on. It runs unless the resource is as `expect` says already; repeated, it must
    /// do no harm. Undo does nothing.
    #[serde(default)]
    post: Option<ArmId>,
    /// The action of `post`, such as `start` or `deallocate`.
    #[serde(default)]
    #[schemars(regex(pattern = r"^[A-Za-z]+$"))]
    action: Option<String>,
    /// Id of what is to be as `expect` says after `post`, where it is not the resource itself (`…/instanceView`). The
    /// outputs are what is found there.
    #[serde(default)]
    look: Option<ArmId>,
    /// The api-version; Sealbook's own when it knows the type.
    #[serde(default)]
    api_version: Option<String>,
    /// What to send: the resource for `put`, the members to change for `patch`, the parameters for `post`.
    #[serde(default)]
    body: Option<Value>,
    /// What the resource must hold afterwards: every member named here, with this value. Not given: what `body` says.
    #[serde(default)]
    expect: Option<Value>,
    /// How undo takes a `put` or `patch` back, where the usual way will not do.
    #[serde(default)]
    undo: Option<Undo>,
    /// Id under which Azure keeps the resource after its deletion; undo deletes that, too.
    #[serde(default)]
    purge: Option<ArmId>,
}

/// A way to take something back.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Undo {
    /// Do nothing.
    Keep,
    /// Send these members.
    Patch(Value),
}

/// What the step does.
enum Task<'a> {
    Get,
    Put(&'a Value),
    Patch(&'a Value),
    Delete,
    Post(&'a str),
}

/// The resource itself, as Azure shows it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend(
    "x-az" = "az resource show --ids ${has(inputs.put) ? inputs.put : has(inputs.patch) ? inputs.patch : has(inputs.get) ? inputs.get : inputs.post} --query ${path} --output tsv"
))]
pub struct Out(Value);

/// Does one thing with one resource.
pub struct Arm;

impl Step for Arm {
    const ASKS: &'static [&'static str] = &[
        "azure:read ${inputs.get}",
        "azure:read,write ${inputs.put}",
        "azure:read,write ${inputs.patch}",
        "azure:read,write ${inputs.delete}",
        "azure:read ${inputs.post}",
        "azure:read ${inputs.look}",
        "azure:read,write ${inputs.purge}",
        "azure:write ${inputs.post}/${inputs.action}",
    ];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let (task, id) = i.task()?;
        let name = id.name();
        let found = i.azure(cx).find(id)?;
        if let Task::Get = task {
            let found = found.ok_or_else(|| missing(id))?;
            return if fits(i.expected(), &found) {
                Ok(Check::Satisfied(Out(found)))
            } else {
                Err(i.unexpected(id, &found))
            };
        }
        if let Some(found) = &found {
            cx.claim(name, id, found)?;
        }
        match (task, found) {
            (Task::Delete, Some(_)) => Ok(Check::needed(format!("Delete {name}"))
                .leaves(format!("nothing of {name}: undo can't bring it back"))
                .az(format!("az resource delete --ids {id}"))),
            (Task::Put(wanted) | Task::Patch(wanted), Some(found)) => {
                if fits(wanted, &found) && fits(i.expected(), &found) {
                    return Ok(Check::Satisfied(Out(found)));
                }
                let change = gaps(wanted, &found).iter().map(Gap::change).collect::<Vec<_>>().join(", ");
                let change = format!("Change {name}: {change}");
                Ok(Check::needed(change).before(project(wanted, &found)).az(i.az(id, wanted)))
            }
            (Task::Put(wanted), None) => Ok(Check::needed(format!("Create {name}")).az(i.az(id, wanted))),
            (Task::Post(action), Some(found)) => match i.looked(cx, found)? {
                found if i.expect.is_some() && fits(i.expected(), &found) => Ok(Check::Satisfied(Out(found))),
                _ => Ok(Check::needed(format!("Run {action} on {name}"))
                    .az(format!("az resource invoke-action --ids {id} --action {action}"))),
            },
            (Task::Patch(_) | Task::Post(_), None) => Err(missing(id)),
            (Task::Get | Task::Delete, _) => Ok(Check::Satisfied(Out(Value::Null))),
        }
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let azure = i.azure(cx);
        let (task, id) = i.task()?;
        let now = match task {
            Task::Get => azure.get(id)?,
            Task::Put(body) => azure.put("put", id, body.clone())?,
            Task::Patch(body) => azure.patch("patch", id, body.clone())?,
            Task::Delete => {
                azure.delete("delete", id)?;
                return Ok(Out(Value::Null));
            }
            Task::Post(action) => {
                let target = format!("{id}/{action}").parse()?;
                azure.post("post", &target, i.body.clone().unwrap_or_default())?;
                i.looked(cx, azure.get(id)?)?
            }
        };
        if fits(i.expected(), &now) { Ok(Out(now)) } else { Err(i.unexpected(id, &now)) }
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let (task, id) = i.task()?;
        let name = id.name();
        let found = match (&task, i.azure(cx).find(id)?) {
            (Task::Post(_), Some(found)) => Some(i.looked(cx, found)?),
            (_, found) => found,
        };
        Ok(vec![match (task, found) {
            (Task::Delete, found) => {
                Evidence::new(format!("{name} is gone"), found.is_none(), "Azure was asked for it again")
            }
            (_, None) => Evidence::new(format!("{name} is there"), false, id.as_str()),
            (_, Some(found)) => {
                let gaps = gaps(i.expected(), &found);
                let detail = if gaps.is_empty() { "every expected member has its value".into() } else { faults(&gaps) };
                Evidence::new(format!("{name} is as expected"), gaps.is_empty(), detail)
            }
        }])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let azure = i.azure(cx);
        let (task, id) = i.task()?;
        let (Task::Put(wanted) | Task::Patch(wanted)) = task else { return Ok(Undone::clean()) };
        let effect = if i.put.is_some() { "put" } else { "patch" };
        if !past.may_restore(effect) || matches!(i.undo, Some(Undo::Keep)) {
            return Ok(Undone::clean());
        }
        if let Some(Undo::Patch(body)) = &i.undo {
            azure.patch("restore", id, body.clone())?;
        } else if past.before.is_null() {
            let taken = azure.take_back(cx, &past, effect, id.name(), id)?;
            if let Some(kept) = i.purge.as_ref().filter(|_| past.may_restore(effect))
                && azure.find(kept)?.is_some()
            {
                azure.delete("purge", kept)?;
            }
            return Ok(taken.into());
        } else if azure.find(id)?.is_some_and(|now| fits(wanted, &now)) {
            // Unless somebody has changed it again since: then it is not this step's to put back.
            azure.patch("restore", id, past.before)?;
        }
        Ok(Undone::clean())
    }
}

impl In {
    fn task(&self) -> Result<(Task<'_>, &ArmId)> {
        let body = || self.body.as_ref().ok_or_else(|| Problem::invalid_input("body", "say what to send"));
        let action =
            || self.action.as_deref().ok_or_else(|| Problem::invalid_input("action", "say which action to run"));
        match (&self.get, &self.put, &self.patch, &self.delete, &self.post) {
            (Some(id), None, None, None, None) => Ok((Task::Get, id)),
            (None, Some(id), None, None, None) => Ok((Task::Put(body()?), id)),
            (None, None, Some(id), None, None) => Ok((Task::Patch(body()?), id)),
            (None, None, None, Some(id), None) => Ok((Task::Delete, id)),
            (None, None, None, None, Some(id)) => Ok((Task::Post(action()?), id)),
            _ => Err(Problem::invalid_input("get", "give exactly one of `get`, `put`, `patch`, `delete` and `post`")),
        }
    }

    /// What is judged after `post`.
    fn looked(&self, cx: &Cx, resource: Value) -> Result<Value> {
        match &self.look {
            Some(id) => self.azure(cx).get(id),
            None => Ok(resource),
        }
    }

    fn azure(&self, cx: &Cx) -> sealbook_sdk::Azure {
        cx.azure().api(self.api_version.as_deref())
    }

    fn expected(&self) -> &Value {
        let body = self.body.as_ref().filter(|_| self.post.is_none());
        self.expect.as_ref().or(body).unwrap_or(&Value::Null)
    }

    fn unexpected(&self, id: &ArmId, found: &Value) -> Problem {
        let message = format!("{} is not as expected: {}", id.name(), faults(&gaps(self.expected(), found)));
        Problem::precondition(message, "Bring it into that state, or correct `expect` in the playbook.")
    }

    fn az(&self, id: &ArmId, body: &Value) -> String {
        let method = if self.put.is_some() { "put" } else { "patch" };
        let body = body.to_string().replace('\'', "'\\''");
        let version = self.api_version.as_deref().unwrap_or("…");
        format!("az rest --method {method} --url '{id}?api-version={version}' --body '{body}'")
    }
}

fn missing(id: &ArmId) -> Problem {
    Problem::precondition(format!("{id} does not exist"), "Run the step that creates it, or correct the id.")
}

sealbook_sdk::export!(Arm);

#[cfg(test)]
mod tests;
