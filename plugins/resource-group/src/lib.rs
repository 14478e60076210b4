//! Makes a resource group of the run's own.
use sealbook_sdk::prelude::*;

/// Which group, and where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The subscription to make it in.
    subscription: ArmId,
    /// The group's name.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_().-]{1,89}[A-Za-z0-9_()-]$"))]
    name: String,
    /// The Azure region that keeps the group's metadata.
    location: String,
}

/// The group.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id.
    #[schemars(extend("x-is" = "${inputs.subscription}/resourceGroups/${inputs.name}"))]
    id: ArmId,
    /// Its name.
    #[schemars(extend("x-is" = "${inputs.name}"))]
    name: String,
    /// Its region.
    #[schemars(extend("x-is" = "${inputs.location}"))]
    location: String,
}

/// Makes a resource group.
pub struct ResourceGroup;

impl Step for ResourceGroup {
    const ASKS: &'static [&'static str] = &["azure:read,write ${inputs.subscription}/resourceGroups/${inputs.name}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let id = i.id()?;
        let Some(group) = cx.azure().find(&id)? else {
            return Ok(Check::needed(format!("Create the resource group {} in {}", i.name, i.location))
                .az(format!("az group create --name {} --location {}", i.name, i.location)));
        };
        cx.claim(&format!("A resource group {}", i.name), &id, &group)?;
        let found = group["location"].as_str().unwrap_or_default();
        if !found.eq_ignore_ascii_case(&i.location) {
            let message =
                format!("The resource group {} lies in {found}, and a group can't move to {}", i.name, i.location);
            return Err(Problem::conflict(message, [id.to_string()]));
        }
        Ok(Check::Satisfied(i.out(id)))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let id = i.id()?;
        cx.azure().put("create", &id, json!({ "location": i.location }))?;
        Ok(i.out(id))
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        let id = i.id()?;
        let Some(group) = cx.azure().find(&id)? else { return Ok(Undone::clean()) };
        // Deleting a group deletes what is in it, so a stranger's thing in it keeps it.
        let inside = cx.azure().list(&id.join("resources")?)?;
        let strangers: Vec<_> =
            inside.iter().filter(|r| mark(r) != mark(&group)).filter_map(|r| r["id"].as_str()).collect();
        let what = format!("resource group {}", i.name);
        if past.may_restore("create") && !strangers.is_empty() {
            let why = format!("it holds what this run did not make: {}", strangers.join(", "));
            return Ok(Undone::clean().leaving(what, why, None));
        }
        Ok(cx.azure().take_back(cx, &past, "create", &what, &id)?.into())
    }
}

impl In {
    fn id(&self) -> Result<ArmId> {
        Ok(self.subscription.join(&format!("resourceGroups/{}", self.name))?)
    }

    fn out(&self, id: ArmId) -> Out {
        Out { id, name: self.name.clone(), location: self.location.clone() }
    }
}

sealbook_sdk::export!(ResourceGroup);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const ID: &str = "/subscriptions/s/resourceGroups/g";

    fn step(fake: &Fake) -> Tested<ResourceGroup> {
        fake.step(json!({ "subscription": "/subscriptions/s", "name": "g", "location": "italynorth" }))
    }

    #[test]
    fn it_makes_a_group_and_deletes_it() {
        let fake = Fake::new();
        let done = step(&fake).run().unwrap();
        assert_eq!(done.outputs.as_ref().unwrap()["id"], ID);
        assert!(done.evidence[0].passed);
        assert!(step(&fake).check().unwrap().satisfied().is_some());
        assert_eq!(step(&fake).undo(done).unwrap(), Undone::clean());
        assert!(fake.arm(ID).is_none());
    }

    #[test]
    fn a_stranger_in_the_group_keeps_it() {
        let fake = Fake::new();
        let done = step(&fake).run().unwrap();
        let ours = json!({ "id": format!("{ID}/x"), "tags": { "sealbook-run": Fake::RUN } });
        let fake = fake.collection(&format!("{ID}/resources"), [ours, json!({ "id": format!("{ID}/theirs") })]);
        let left = step(&fake).undo(done).unwrap().0;
        assert!(left[0].why.ends_with(&format!("did not make: {ID}/theirs")), "{left:?}");
        assert!(fake.arm(ID).is_some());
    }

    #[test]
    fn another_runs_group_is_named_with_its_owner() {
        let fake = Fake::new().foreign(ID, json!({ "location": "italynorth", "tags": { "sealbook-run": "other2" } }));
        let Err(Problem::Conflict(c)) = step(&fake).check() else { panic!("no conflict") };
        assert!(c.message.contains("belongs to run other2") && c.message.contains("adopt = true"), "{c:?}");
        assert_eq!(c.candidates, [ID]);
    }

    #[test]
    fn a_group_elsewhere_is_a_conflict() {
        let fake = Fake::new().own(ID, json!({ "location": "westeurope" }));
        assert!(matches!(step(&fake).check(), Err(Problem::Conflict(_))));
    }

    #[test]
    fn a_name_that_would_leave_the_subscription_is_refused() {
        let step = Fake::new()
            .step::<ResourceGroup>(json!({ "subscription": "/subscriptions/s", "name": "../t", "location": "l" }));
        assert!(matches!(step.check(), Err(Problem::InvalidInput(_))));
    }
}
