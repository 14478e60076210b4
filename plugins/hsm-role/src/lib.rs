//! Assigns a local role of a managed HSM.
use sealbook_sdk::prelude::*;

/// Who may do what, and where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Where the role is to hold: the managed HSM's address for all of it, the same with `keys` for all its keys, a key's
    /// address for that key.
    at: String,
    /// Object id of who is to hold it.
    principal: String,
    /// The role's name: `Managed HSM Crypto User`, `Managed HSM Crypto Officer`, …
    role: String,
}

/// The assignment.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its name.
    name: String,
    /// Its scope in the managed HSM.
    scope: String,
    /// The role's full name.
    #[schemars(extend("x-is" = "${inputs.role}"))]
    role: String,
}

/// Assigns a local role.
pub struct HsmRole;

impl Step for HsmRole {
    const ASKS: &'static [&'static str] = &["hsm:assign ${inputs.at} role='${inputs.role}'"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let (uri, scope) = i.place()?;
        if let Some(found) = cx.hsm().assigned(&uri, &scope, &i.principal, &i.role)? {
            return Ok(Check::Satisfied(Out { name: found.name, scope, role: i.role.clone() }));
        }
        let name = uri.as_str().trim_start_matches("https://").split('.').next().unwrap_or_default().to_owned();
        Ok(Check::needed(format!("Give {} the local role {} of {name} at {scope}", i.principal, i.role)).az(format!(
            "az keyvault role assignment create --hsm-name {name} --role \"{}\" --scope {scope} --assignee-object-id {}",
            i.role, i.principal
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let (uri, scope) = i.place()?;
        let made = cx.hsm().assign("assign", &uri, &scope, &i.principal, &i.role)?;
        Ok(Out { name: made.name, scope, role: i.role.clone() })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let (uri, scope) = i.place()?;
        let found = cx.hsm().assigned(&uri, &scope, &i.principal, &i.role)?;
        let detail = found.as_ref().map_or("nobody holds it there", |a| a.name.as_str());
        Ok(vec![Evidence::new(
            format!("{} holds {} at {scope}", i.principal, i.role),
            found.as_ref().is_some_and(|a| a.name == outputs.name),
            detail,
        )])
    }

    fn undo(cx: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        // The name derives from this run, so an assignment of that name is this run's even when its answer was lost.
        if past.may_restore("assign")
            && let Some(op) = past.operation("assign")
        {
            let (uri, scope) = i.place()?;
            let name = op.target.rsplit('/').next().unwrap_or_default();
            cx.hsm().unassign("unassign", &uri, &scope, name, &i.role)?;
        }
        Ok(Undone::clean())
    }
}

impl In {
    /// The managed HSM and the scope within it.
    fn place(&self) -> Result<(StoreUri, String)> {
        let wrong = || Problem::invalid_input("at", format!("{} is no place in a managed HSM", self.at));
        let host = self.at.strip_prefix("https://").and_then(|rest| rest.split('/').next()).ok_or_else(wrong)?;
        let uri: StoreUri = format!("https://{host}/").parse().map_err(|_| wrong())?;
        let rest = self.at.get(uri.as_str().len()..).unwrap_or_default().trim_end_matches('/');
        match rest.split('/').collect::<Vec<_>>()[..] {
            _ if !host.ends_with(".managedhsm.azure.net") => Err(wrong()),
            [""] | ["keys"] | ["keys", _] => Ok((uri, format!("/{rest}"))),
            // A role holds for all versions of a key.
            ["keys", key, _] => Ok((uri, format!("/keys/{key}"))),
            _ => Err(wrong()),
        }
    }
}

sealbook_sdk::export!(HsmRole);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const HSM: &str = "https://h.managedhsm.azure.net/";
    const ROLE: &str = "Managed HSM Crypto User";

    fn step(fake: &Fake, at: &str) -> Tested<HsmRole> {
        fake.step(json!({ "at": at, "principal": "p", "role": ROLE }))
    }

    #[test]
    fn it_assigns_and_takes_away_at_every_kind_of_scope() {
        for (rest, scope) in [("", "/"), ("keys", "/keys"), ("keys/k", "/keys/k")] {
            let fake = Fake::new();
            let step = step(&fake, &format!("{HSM}{rest}"));
            let done = step.run().unwrap();
            assert!(done.evidence[0].passed, "{:?}", done.evidence);
            assert_eq!(done.outputs.as_ref().unwrap()["scope"], scope);
            assert_eq!(fake.roles(), [format!("{ROLE} to p at {HSM}{rest}")]);
            step.undo(done).unwrap();
            assert!(fake.roles().is_empty());
        }
    }

    #[test]
    fn an_equal_assignment_of_others_is_used_and_stays() {
        let fake = Fake::new().role(&format!("{HSM}keys"), "p", ROLE);
        let step = step(&fake, &format!("{HSM}keys"));
        assert!(step.check().unwrap().satisfied().is_some());
        let out = step.apply().unwrap();
        step.undo_from(&Value::Null, Some(&out)).unwrap();
        assert_eq!(fake.roles().len(), 1);
    }

    #[test]
    fn other_places_are_refused() {
        for at in [
            "https://v.vault.azure.net/keys",
            "https://h.managedhsm.azure.net/secrets",
            "/keys",
            "https://evil.example/",
        ] {
            assert!(matches!(step(&Fake::new(), at).check(), Err(Problem::InvalidInput(_))), "{at}");
        }
    }
}
