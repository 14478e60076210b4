//! Assigns a built-in Azure role on one key.
//!
//! Vaults take Azure roles on a single key; a Managed HSM has roles of its own, which this step will learn with it.
use sealbook_sdk::prelude::*;

/// Who may do what with which key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Resource id of the key: `<vault's resource id>/keys/<name>`.
    key: ArmId,
    /// Object id of the identity that is to use it.
    principal: String,
    /// The role's name, as in the portal.
    role: String,
}

/// The assignment.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id.
    id: String,
    /// The role's full name.
    role: String,
}

/// Assigns a role on a key.
pub struct KeyRole;

impl Step for KeyRole {
    const ASKS: &'static [&'static str] = &["azure:assign ${inputs.key} role='${inputs.role}'"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        i.on_a_key()?;
        if let Some(found) = cx.azure().assigned(&i.key, &i.principal, &i.role)? {
            return Ok(Check::Satisfied(Out { id: found.id, role: i.role.clone() }));
        }
        Ok(Check::needed(format!("Let {} use the key {} as {}", i.principal, i.key.name(), i.role)).az(format!(
            "az role assignment create --role \"{}\" --assignee-object-id {} --assignee-principal-type ServicePrincipal --scope {}",
            i.role, i.principal, i.key
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        i.on_a_key()?;
        let made = cx.azure().assign("assign", &i.key, &i.principal, "ServicePrincipal", &i.role)?;
        Ok(Out { id: made.id, role: i.role.clone() })
    }

    fn verify(cx: &Cx, i: &In, _: &Out) -> Result<Vec<Evidence>> {
        let found = cx.azure().assigned(&i.key, &i.principal, &i.role)?;
        let detail = found.map_or_else(|| "nobody holds it there".to_owned(), |a| a.id);
        let held = detail.starts_with('/');
        Ok(vec![Evidence::new(format!("{} may use this key, and by this role no other", i.principal), held, detail)])
    }

    fn undo(cx: &Cx, _: &In, past: Past<Out>) -> Result<Undone> {
        // The name derives from this run, so an assignment of that name is this run's even when its answer was lost.
        if past.may_restore("assign")
            && let Some(op) = past.operation("assign")
        {
            cx.azure().delete("unassign", &op.target.parse()?)?;
        }
        Ok(Undone::clean())
    }
}

impl In {
    fn on_a_key(&self) -> Result<()> {
        match self.key.as_str().rsplit('/').nth(1) {
            Some("keys") => Ok(()),
            _ => Err(Problem::invalid_input(
                "key",
                format!("{} is not a key: it has no /keys/<name> at its end", self.key),
            )),
        }
    }
}

sealbook_sdk::export!(KeyRole);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const KEY: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/keys/k";
    const ROLE: &str = "Key Vault Crypto Service Encryption User";

    fn step(fake: &Fake, key: &str) -> Tested<KeyRole> {
        fake.step(json!({ "key": key, "principal": "p", "role": ROLE }))
    }

    #[test]
    fn it_assigns_on_the_key_and_takes_away() {
        let fake = Fake::new();
        let done = step(&fake, KEY).run().unwrap();
        assert!(done.evidence[0].passed);
        assert_eq!(fake.roles(), [format!("{ROLE} to p at {KEY}")]);
        step(&fake, KEY).undo(done).unwrap();
        assert!(fake.roles().is_empty());
    }

    #[test]
    fn a_vault_is_not_a_key() {
        let vault = KEY.trim_end_matches("/keys/k");
        assert!(matches!(step(&Fake::new(), vault).check(), Err(Problem::InvalidInput(_))));
    }
}
