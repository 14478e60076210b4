//! Templates: which resources a deployment makes, in which order.
//!
//! Source: <https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax>.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::evaluate::{self, Scope, full_id, invalid};
use super::expression::Expression;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

/// Most resources of a template.
const MOST: usize = 800;

/// Most of what else a template names ("Template limits").
const LIMITS: &[(&str, usize)] = &[("parameters", 256), ("variables", 256), ("outputs", 64)];

/// A resource of a template.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Planned {
    /// Id that it will have.
    pub id: String,
    /// Type with namespace.
    pub kind: String,
    /// Names of its parts, joined by slashes.
    pub name: String,
    /// Api-version.
    pub api: String,
    /// Body of its PUT, with expressions in it.
    pub body: Value,
    /// Positions of the resources that must be there first.
    pub after: Vec<usize>,
}

/// Where a deployment happens.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub subscription: String,
    pub group: String,
}

/// Members of a resource that are not part of its body.
const OWN: &[&str] =
    &["type", "apiVersion", "name", "dependsOn", "resources", "comments", "condition", "metadata", "copy", "scope"];

/// Refuses members that mean something that the embedded Azure can't do.
fn only(given: &Value, known: &[&str], gaps: &[&str]) -> Result<(), Refusal> {
    for (name, value) in given.as_object().into_iter().flatten() {
        let silent = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if gaps.contains(&name.as_str()) && !silent {
            return Err(invalid(format!("'{name}' is not supported")).gap(format!("deployments: {name}")));
        }
        if !known.is_empty() && !known.contains(&name.as_str()) && !silent {
            return Err(
                invalid(format!("The template member '{name}' is not known")).gap(format!("deployments: {name}"))
            );
        }
    }
    Ok(())
}

/// Checks a template as a whole: its members, and how many there are of each.
pub(super) fn check(template: &Value) -> Result<(), Refusal> {
    const KNOWN: &[&str] =
        &["$schema", "contentVersion", "metadata", "parameters", "variables", "resources", "outputs"];
    only(template, KNOWN, &["functions", "apiProfile", "languageVersion", "definitions", "imports"])?;
    let schema = template["$schema"].as_str().unwrap_or_default();
    if !schema.trim_end_matches('#').to_ascii_lowercase().ends_with("/deploymenttemplate.json") {
        return Err(invalid(format!("The template schema '{schema}' is not supported")));
    }
    if !template["resources"].is_array() {
        return Err(invalid("The template has no list 'resources'"));
    }
    for (member, limit) in LIMITS {
        let actual = template[member].as_object().map_or(0, Map::len);
        if actual > *limit {
            return Err(invalid(format!(
                "The number of template {member} limit exceeded. Limit: '{limit}' and actual: '{actual}'"
            )));
        }
    }
    evaluate::check(template)
}

/// The values of the parameters, and the document that shows them.
pub(super) fn parameters(template: &Value, given: &Value) -> Result<(Map<String, Value>, Value), Refusal> {
    let empty = Map::new();
    let (declared, given) = (template["parameters"].as_object().unwrap_or(&empty), given.as_object().unwrap_or(&empty));
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    if let Some((unknown, _)) = given.iter().find(|(name, _)| !declared.keys().any(|d| same(d, name))) {
        return Err(invalid(format!(
            "The template parameters '{unknown}' in the parameters file are not valid; they are not present in the \
             original template and can therefore not be provided at deployment time"
        )));
    }
    let (mut values, mut shown) = (Map::new(), Map::new());
    for (name, declaration) in declared {
        let value = match given.iter().find(|(n, _)| same(n, name)).map(|(_, value)| value) {
            Some(value) if !value["reference"].is_null() => {
                return Err(invalid(format!("The parameter '{name}' refers to a key vault"))
                    .gap("deployments: parameters out of a key vault"));
            }
            Some(value) => value["value"].clone(),
            None if !declaration["defaultValue"].is_null() => {
                let scope = Scope::new(values.clone(), Map::new(), Value::Null, Value::Null);
                scope.plain(&declaration["defaultValue"])?
            }
            None => return Err(invalid(format!("The value for the template parameter '{name}' is not provided"))),
        };
        let kind = declaration["type"].as_str().unwrap_or_default().to_ascii_lowercase();
        let (fits, word) = match kind.as_str() {
            "string" => (value.is_string(), "String"),
            "securestring" => (value.is_string(), "SecureString"),
            "int" => (value.is_i64(), "Int"),
            "bool" => (value.is_boolean(), "Bool"),
            "object" => (value.is_object(), "Object"),
            "secureobject" => (value.is_object(), "SecureObject"),
            "array" => (value.is_array(), "Array"),
            _ => return Err(invalid(format!("The parameter '{name}' has the unknown type '{kind}'"))),
        };
        if !fits {
            return Err(invalid(format!("The provided value for the template parameter '{name}' is no {word}")));
        }
        if declaration["allowedValues"].as_array().is_some_and(|allowed| !allowed.contains(&value)) {
            return Err(invalid(format!(
                "The provided value for the template parameter '{name}' is not part of the allowed value(s)"
            )));
        }
        let secret = kind.starts_with("secure");
        shown.insert(
            name.clone(),
            if secret { json!({ "type": word }) } else { json!({ "type": word, "value": value }) },
        );
        values.insert(name.clone(), value);
    }
    Ok((values, shown.into()))
}

/// The resources of a template, nested ones after those that they are nested in.
pub(super) fn resources(template: &Value, scope: &Scope, place: &Place) -> Result<Vec<Planned>, Refusal> {
    let mut all = Vec::new();
    collect(&template["resources"], None, scope, place, &mut all)?;
    let planned: Vec<Planned> = all.iter().map(|(planned, _)| planned.clone()).collect();
    for (at, one) in planned.iter().enumerate() {
        if planned[..at].iter().any(|other| other.id.eq_ignore_ascii_case(&one.id)) {
            return Err(invalid(format!("The resource '{}' is defined multiple times in a template", one.id)));
        }
    }
    let names = Names::of(&planned);
    let mut ordered = Vec::new();
    for (mut one, named) in all {
        for name in named {
            let found = names.position(&name).ok_or_else(|| {
                invalid(format!(
                    "The resource '{}' depends on '{name}', which is not defined in the template",
                    one.name
                ))
            })?;
            one.after.push(found);
        }
        one.after.extend(referenced(&one.body, scope, &names));
        one.after.sort_unstable();
        one.after.dedup();
        ordered.push(one);
    }
    acyclic(&ordered)?;
    Ok(ordered)
}

fn collect(
    given: &Value,
    parent: Option<(&str, &str)>,
    scope: &Scope,
    place: &Place,
    all: &mut Vec<(Planned, Vec<String>)>,
) -> Result<(), Refusal> {
    for resource in given.as_array().into_iter().flatten() {
        only(resource, &[], &["copy", "scope", "subscriptionId", "resourceGroup", "existing"])?;
        let text = |member: &str| match scope.plain(&resource[member])? {
            Value::String(text) => Ok(text),
            _ => Err(invalid(format!("A resource has no text '{member}'"))),
        };
        let (mut kind, mut name) = (text("type")?, text("name")?);
        if let Some((outer, of)) = parent {
            kind = format!("{outer}/{kind}");
            name = format!("{of}/{name}");
        }
        if kind.eq_ignore_ascii_case("Microsoft.Resources/deployments") {
            return Err(invalid(format!("The nested deployment '{name}' is not supported"))
                .gap("deployments: nested templates"));
        }
        match scope.plain(&resource["condition"])? {
            Value::Null | Value::Bool(true) => {}
            Value::Bool(false) => continue,
            _ => return Err(invalid(format!("The condition of the resource '{name}' is no boolean"))),
        }
        let names: Vec<&str> = name.split('/').collect();
        let Some(id) = full_id(&place.subscription, &place.group, &kind, &names) else {
            return Err(invalid(format!(
                "The template resource '{name}' for type '{kind}' has incorrect segment lengths. A nested resource type \
                 must have identical number of segments as its resource name. A root resource type must have segment \
                 length one greater than its resource name"
            )));
        };
        let mut body = resource.clone();
        if let Some(body) = body.as_object_mut() {
            body.retain(|member, _| !OWN.contains(&member.as_str()));
        }
        let mut named = Vec::new();
        for other in resource["dependsOn"].as_array().into_iter().flatten() {
            match scope.plain(other)? {
                Value::String(other) => named.push(other),
                _ => return Err(invalid(format!("The resource '{name}' depends on something that is no text"))),
            }
        }
        if all.len() == MOST {
            return Err(invalid(format!("The template has more than {MOST} resources")));
        }
        let planned =
            Planned { id, kind: kind.clone(), name: name.clone(), api: text("apiVersion")?, body, after: Vec::new() };
        all.push((planned, named));
        collect(&resource["resources"], Some((&kind, &name)), scope, place, all)?;
    }
    Ok(())
}

/// The resources of a template by what may name them, in lower case.
struct Names {
    /// By full id, by type and name, by what follows `/providers/`.
    exact: HashMap<String, usize>,
    /// By name alone, where only one has it.
    alone: HashMap<String, Option<usize>>,
}

impl Names {
    fn of(planned: &[Planned]) -> Self {
        let (mut exact, mut alone) = (HashMap::new(), HashMap::new());
        for (at, one) in planned.iter().enumerate() {
            let relative = one.id.split_once("/providers/").map_or("", |(_, rest)| rest);
            let typed = format!("{}/{}", one.kind, one.name);
            for name in [one.id.trim_start_matches('/'), &typed, relative] {
                exact.entry(name.to_ascii_lowercase()).or_insert(at);
            }
            alone.entry(one.name.to_ascii_lowercase()).and_modify(|other| *other = None).or_insert(Some(at));
        }
        Self { exact, alone }
    }

    fn position(&self, name: &str) -> Option<usize> {
        let name = name.trim_matches('/').to_ascii_lowercase();
        self.exact.get(&name).copied().or_else(|| self.alone.get(&name).copied().flatten())
    }
}

/// Which of the resources a text names: by full id, by type and name, or by a name that only one has.
pub(super) fn position(planned: &[Planned], name: &str) -> Option<usize> {
    Names::of(planned).position(name)
}

/// Positions of the resources that a body reads with `reference()`.
fn referenced(body: &Value, scope: &Scope, names: &Names) -> Vec<usize> {
    let mut found = Vec::new();
    let mut look = |expression: &Expression| {
        if let Expression::Call(name, arguments) = expression
            && name.eq_ignore_ascii_case("reference")
            && let Some(argument) = arguments.first()
            && let Ok(Value::String(target)) =
                scope.expression(argument, &mut |_, _, _| Err(invalid("a reference within a reference")), 0)
        {
            found.extend(names.position(&target));
        }
        Ok(())
    };
    // The expressions have been read before.
    let _ = evaluate::visit(body, 0, &mut look);
    found
}

fn acyclic(planned: &[Planned]) -> Result<(), Refusal> {
    let mut done = vec![false; planned.len()];
    loop {
        let ready = |(at, one): &(usize, &Planned)| !done[*at] && one.after.iter().all(|before| done[*before]);
        let Some((at, _)) = planned.iter().enumerate().find(ready) else { break };
        done[at] = true;
    }
    match done.iter().position(|done| !done) {
        None => Ok(()),
        Some(at) => Err(invalid(format!("Circular dependency detected on resource: '{}'", planned[at].id))),
    }
}

/// Dependencies, as a deployment shows them.
pub(super) fn dependencies(planned: &[Planned]) -> Value {
    let basic = |one: &Planned| json!({ "id": one.id, "resourceType": one.kind, "resourceName": one.name });
    let with = planned.iter().filter(|one| !one.after.is_empty()).map(|one| {
        let mut shown = basic(one);
        shown["dependsOn"] = one.after.iter().map(|at| basic(&planned[*at])).collect();
        shown
    });
    with.collect()
}

/// Providers, as a deployment shows them.
pub(super) fn providers(planned: &[Planned]) -> Value {
    let mut providers: Vec<(String, Vec<Value>)> = Vec::new();
    for one in planned {
        let Some((namespace, kind)) = one.kind.split_once('/') else { continue };
        let location = one.body["location"].as_str().unwrap_or("global");
        let entry = json!({ "resourceType": kind, "locations": [location] });
        match providers.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(namespace)) {
            Some((_, types)) if types.contains(&entry) => {}
            Some((_, types)) => types.push(entry),
            None => providers.push((namespace.to_owned(), vec![entry])),
        }
    }
    let shown =
        providers.into_iter().map(|(namespace, types)| json!({ "namespace": namespace, "resourceTypes": types }));
    shown.collect()
}

/// Whether a text is the id of a resource.
pub(super) fn is_id(text: &str) -> bool {
    text.starts_with('/') && ResourceId::parse(text).is_some_and(|id| id.namespace().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(resources: Value) -> Result<Vec<(String, Vec<usize>)>, String> {
        let template = json!({ "$schema": "https://x/2015-01-01/deploymentTemplate.json#", "resources": resources });
        let place = Place { subscription: "S".to_owned(), group: "G".to_owned() };
        let scope = Scope::new(Map::new(), Map::new(), json!({ "subscriptionId": "S" }), json!({ "name": "G" }));
        check(&template).and_then(|()| super::resources(&template, &scope, &place)).map_or_else(
            |refusal| Err(refusal.message),
            |planned| Ok(planned.into_iter().map(|one| (one.name, one.after)).collect()),
        )
    }

    fn resource(kind: &str, name: &str, depends: &[&str]) -> Value {
        json!({ "type": kind, "name": name, "apiVersion": "1", "dependsOn": depends, "properties": {} })
    }

    #[test]
    fn order_comes_from_dependencies_and_references() {
        let net = || resource("Microsoft.Network/virtualNetworks", "net", &[]);
        let ways = [
            "net",
            "Microsoft.Network/VirtualNetworks/net",
            "[resourceId('Microsoft.Network/virtualNetworks', 'net')]",
            "/subscriptions/s/resourcegroups/g/providers/microsoft.network/virtualnetworks/net",
        ];
        for way in ways {
            let nic = resource("Microsoft.Network/networkInterfaces", "nic", &[way]);
            let planned = plan(json!([nic, net()])).unwrap();
            assert_eq!(planned, [("nic".to_owned(), vec![1]), ("net".to_owned(), vec![])], "{way}");
        }
        let mut reads = resource("A/b", "c", &[]);
        reads["properties"]["x"] = "[reference('net').y]".into();
        assert_eq!(plan(json!([reads, net()])).unwrap()[0].1, [1]);
        let mut outer = net();
        outer["resources"] = json!([resource("subnets", "s", &["net"])]);
        assert_eq!(plan(json!([outer])).unwrap()[1], ("net/s".to_owned(), vec![0]));
    }

    #[test]
    fn bad_templates_are_refused() {
        let with = |member: &str, value: Value| {
            let mut one = resource("A/b", "c", &[]);
            one[member] = value;
            json!([one])
        };
        let table = [
            (json!([resource("A/b", "c", &["d"])]), "not defined"),
            (json!([resource("A/b", "c", &["d"]), resource("A/b", "d", &["c"])]), "Circular"),
            (json!([resource("A/b", "c", &[]), resource("A/b", "C", &[])]), "multiple times"),
            (json!([resource("A/b", "c/d", &[])]), "segment lengths"),
            (json!([resource("Microsoft.Resources/deployments", "d", &[])]), "nested deployment"),
            (with("copy", json!({ "count": 2 })), "'copy'"),
            (with("name", json!(1)), "'name'"),
            (with("name", json!("[reference('x')]")), "not expected"),
            (with("condition", json!("yes")), "no boolean"),
            (with("tags", json!({ "a": "[if(true(), 1, 2)]" })), "template function"),
            (with("tags", json!("[concat(]")), "In '"),
            (json!({}), "no list"),
        ];
        for (resources, text) in table {
            let why = plan(resources.clone()).unwrap_err();
            assert!(why.contains(text), "{resources}: {why}");
        }
        assert_eq!(plan(with("condition", json!(false))).unwrap(), []);
    }

    #[test]
    fn parameters_have_values_of_their_types() {
        let template = json!({ "parameters": {
            "name": { "type": "string", "defaultValue": "vm", "allowedValues": ["vm", "other"] },
            "password": { "type": "securestring" },
        } });
        let secret = json!({ "password": { "value": "p" } });
        let (values, shown) = parameters(&template, &secret).unwrap();
        assert_eq!(values["name"], "vm");
        assert_eq!(
            shown,
            json!({
                "name": { "type": "String", "value": "vm" }, "password": { "type": "SecureString" },
            })
        );
        let table = [
            json!({}),
            json!({ "password": { "value": 1 } }),
            json!({ "password": { "value": "p" }, "more": { "value": 1 } }),
            json!({ "password": { "value": "p" }, "name": { "value": "none" } }),
            json!({ "password": { "reference": { "keyVault": {} } } }),
        ];
        for given in table {
            assert!(parameters(&template, &given).is_err(), "{given}");
        }
    }
}
