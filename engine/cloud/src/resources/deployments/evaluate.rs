//! What expressions and whole documents of a template come to.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::expression::{self, Expression, Text};
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;

/// How many characters and members a deployment's expressions may produce together.
const BUDGET: usize = 4 << 20;
/// How deep variables may refer to variables, and documents may nest.
const DEEPEST: usize = 64;

/// Reads the properties of a resource, or the whole resource: id or name, api-version, whole.
pub(super) type Reference<'a> = dyn FnMut(&str, Option<&str>, bool) -> Result<Value, Refusal> + 'a;

/// What expressions see.
#[derive(Debug)]
pub(super) struct Scope {
    /// Values of the parameters.
    pub parameters: Map<String, Value>,
    /// Variables as the template has them.
    pub variables: Map<String, Value>,
    /// What `subscription()` is.
    pub subscription: Value,
    /// What `resourceGroup()` is.
    pub group: Value,
    left: Cell<usize>,
}

/// `InvalidTemplate`.
pub(super) fn invalid(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(400, "InvalidTemplate", format!("Deployment template validation failed: '{why}.'."))
}

fn find<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).or_else(|| members.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

/// The functions that expressions may call.
const FUNCTIONS: &[&str] = &[
    "parameters",
    "variables",
    "resourceId",
    "reference",
    "concat",
    "format",
    "subscription",
    "resourceGroup",
    "toLower",
    "toUpper",
];

/// Refuses a document with an expression that can't be read or calls an unknown function.
pub(super) fn check(document: &Value) -> Result<(), Refusal> {
    visit(document, 0, &mut |expression| match expression {
        Expression::Call(name, _) if !FUNCTIONS.iter().any(|f| f.eq_ignore_ascii_case(name)) => {
            Err(invalid(format!("The template function '{name}' is not valid"))
                .gap(format!("deployments: the function {name}()")))
        }
        _ => Ok(()),
    })
}

/// Calls `with` for every expression in a document, inner ones too.
pub(super) fn visit(
    document: &Value,
    depth: usize,
    with: &mut dyn FnMut(&Expression) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if depth > DEEPEST {
        return Err(invalid("the template is nested too deep"));
    }
    let mut text = |text: &str| match expression::read(text).map_err(|why| invalid(format!("In '{text}', {why}")))? {
        Text::Literal(_) => Ok(()),
        Text::Expression(expression) => inner(&expression, with),
    };
    match document {
        Value::String(given) => text(given),
        Value::Array(items) => items.iter().try_for_each(|item| visit(item, depth + 1, with)),
        Value::Object(members) => {
            members.keys().try_for_each(|name| text(name))?;
            members.values().try_for_each(|value| visit(value, depth + 1, with))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn inner(expression: &Expression, with: &mut dyn FnMut(&Expression) -> Result<(), Refusal>) -> Result<(), Refusal> {
    with(expression)?;
    match expression {
        Expression::Text(_) | Expression::Number(_) => Ok(()),
        Expression::Call(_, arguments) => arguments.iter().try_for_each(|argument| inner(argument, with)),
        Expression::Member(of, _) => inner(of, with),
        Expression::Index(of, at) => {
            inner(of, with)?;
            inner(at, with)
        }
    }
}

impl Scope {
    /// A scope with a fresh budget.
    pub fn new(
        parameters: Map<String, Value>,
        variables: Map<String, Value>,
        subscription: Value,
        group: Value,
    ) -> Self {
        Self { parameters, variables, subscription, group, left: Cell::new(BUDGET) }
    }

    fn spend(&self, amount: usize) -> Result<(), Refusal> {
        let left = self.left.get().checked_sub(amount.saturating_add(1));
        self.left.set(left.unwrap_or_default());
        left.map(|_| ()).ok_or_else(|| invalid("the expressions of the template produce too much"))
    }

    /// What a document comes to.
    pub fn document(&self, document: &Value, reference: &mut Reference<'_>) -> Result<Value, Refusal> {
        self.value(document, reference, 0)
    }

    /// What a document without references comes to.
    pub fn plain(&self, document: &Value) -> Result<Value, Refusal> {
        self.document(document, &mut |_, _, _| {
            Err(invalid("The template function 'reference' is not expected at this location"))
        })
    }

    fn value(&self, document: &Value, reference: &mut Reference<'_>, depth: usize) -> Result<Value, Refusal> {
        check_depth(depth)?;
        self.spend(0)?;
        Ok(match document {
            Value::String(text) => self.text(text, reference, depth)?,
            Value::Array(items) => {
                items.iter().map(|item| self.value(item, reference, depth + 1)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Value::Object(members) => {
                let mut all = Map::new();
                for (name, value) in members {
                    let name = match self.text(name, reference, depth)? {
                        Value::String(name) => name,
                        other => return Err(invalid(format!("the name of a member is {other}"))),
                    };
                    all.insert(name, self.value(value, reference, depth + 1)?);
                }
                Value::Object(all)
            }
            other => other.clone(),
        })
    }

    fn text(&self, text: &str, reference: &mut Reference<'_>, depth: usize) -> Result<Value, Refusal> {
        self.spend(text.len())?;
        match expression::read(text).map_err(|why| invalid(format!("In '{text}', {why}")))? {
            Text::Literal(text) => Ok(text.into()),
            Text::Expression(expression) => self.expression(&expression, reference, depth),
        }
    }

    /// What one expression comes to.
    pub fn expression(
        &self,
        expression: &Expression,
        reference: &mut Reference<'_>,
        depth: usize,
    ) -> Result<Value, Refusal> {
        // A variable's own depth comes on top of the depth of the expression that names it.
        check_depth(depth)?;
        self.spend(0)?;
        let depth = depth + 1;
        match expression {
            Expression::Text(text) => Ok(text.clone().into()),
            Expression::Number(number) => Ok((*number).into()),
            Expression::Member(of, name) => {
                let of = self.expression(of, reference, depth)?;
                let found = of.as_object().and_then(|members| find(members, name)).cloned();
                found.ok_or_else(|| missing(name))
            }
            Expression::Index(of, at) => {
                let of = self.expression(of, reference, depth)?;
                let at = self.expression(at, reference, depth)?;
                let found = match (&of, &at) {
                    (Value::Array(items), Value::Number(at)) => {
                        at.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?)).cloned()
                    }
                    (Value::Object(members), Value::String(name)) => find(members, name).cloned(),
                    _ => None,
                };
                found.ok_or_else(|| missing(&at.to_string()))
            }
            Expression::Call(name, arguments) => {
                let arguments: Vec<Value> =
                    arguments.iter().map(|a| self.expression(a, reference, depth)).collect::<Result<_, _>>()?;
                let value = self.call(name, &arguments, reference, depth)?;
                self.spend(size(&value))?;
                Ok(value)
            }
        }
    }

    fn call(
        &self,
        name: &str,
        arguments: &[Value],
        reference: &mut Reference<'_>,
        depth: usize,
    ) -> Result<Value, Refusal> {
        let bad = || invalid(format!("The template function '{name}' has arguments that it does not take"));
        let text = |at: usize| arguments.get(at).and_then(Value::as_str).ok_or_else(bad);
        match name.to_ascii_lowercase().as_str() {
            "parameters" => find(&self.parameters, text(0)?).cloned().ok_or_else(|| {
                invalid(format!("The template parameter '{}' is not found", arguments[0].as_str().unwrap_or_default()))
            }),
            "variables" => {
                let variable = find(&self.variables, text(0)?);
                let Some(variable) = variable else {
                    return Err(invalid(format!("The template variable {} is not found", arguments[0])));
                };
                self.value(variable, reference, depth + 1)
            }
            "subscription" => Ok(self.subscription.clone()),
            "resourcegroup" => Ok(self.group.clone()),
            "tolower" => Ok(text(0)?.to_lowercase().into()),
            "toupper" => Ok(text(0)?.to_uppercase().into()),
            "concat" => concat(arguments).ok_or_else(bad),
            "format" => format(text(0)?, &arguments[1..]).ok_or_else(bad).map(Value::from),
            "resourceid" => self.resource_id(arguments).ok_or_else(bad).map(Value::from),
            "reference" => {
                let whole = arguments.get(2).and_then(Value::as_str);
                if whole.is_some_and(|word| !word.eq_ignore_ascii_case("Full")) {
                    return Err(bad());
                }
                reference(text(0)?, arguments.get(1).and_then(Value::as_str), whole.is_some())
            }
            _ => Err(invalid(format!("The template function '{name}' is not valid"))
                .gap(format!("deployments: the function {name}()"))),
        }
    }

    /// `resourceId([subscription], [group], type, name, …)`: the names are as many as the parts of the type.
    fn resource_id(&self, arguments: &[Value]) -> Option<String> {
        let texts: Vec<&str> = arguments.iter().map(Value::as_str).collect::<Option<_>>()?;
        let kind = texts.iter().position(|text| text.contains('/') && !text.starts_with('/'))?;
        let group = self.group["name"].as_str()?;
        let subscription = self.subscription["subscriptionId"].as_str()?;
        let (subscription, group) = match texts[..kind] {
            [] => (subscription, group),
            [group] => (subscription, group),
            [subscription, group] => (subscription, group),
            _ => return None,
        };
        full_id(subscription, group, texts[kind], &texts[kind + 1..])
    }
}

/// Id of a resource by the full type and the names of its parts.
pub(super) fn full_id(subscription: &str, group: &str, kind: &str, names: &[&str]) -> Option<String> {
    let (namespace, types) = kind.split_once('/')?;
    let types: Vec<&str> = types.split('/').collect();
    if types.len() != names.len() {
        return None;
    }
    let mut id = format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}");
    for (kind, name) in types.iter().zip(names) {
        id = format!("{id}/{kind}/{name}");
    }
    ResourceId::parse(&id).map(|id| id.to_string())
}

fn check_depth(depth: usize) -> Result<(), Refusal> {
    if depth <= DEEPEST {
        return Ok(());
    }
    Err(invalid("the template is nested too deep, or a variable refers to itself"))
}

fn missing(name: &str) -> Refusal {
    invalid(format!("The language expression property '{name}' doesn't exist"))
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum::<usize>() + items.len(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + size(value) + 1).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// A value as it stands in a text; lists and objects have no such form here.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn concat(arguments: &[Value]) -> Option<Value> {
    if arguments.first().is_some_and(Value::is_array) {
        let lists: Vec<&Vec<Value>> = arguments.iter().map(Value::as_array).collect::<Option<_>>()?;
        return Some(lists.into_iter().flatten().cloned().collect());
    }
    let texts: Vec<String> = arguments.iter().map(as_text).collect::<Option<_>>()?;
    (!texts.is_empty()).then(|| texts.concat().into())
}

/// `format('{0}-{1}', …)`; `{{` and `}}` stand for braces. Number formats are refused.
fn format(pattern: &str, arguments: &[Value]) -> Option<String> {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
            continue;
        }
        let (index, after) = after.split_once('}').filter(|_| brace == "{")?;
        text.push_str(&as_text(arguments.get(index.trim().parse::<usize>().ok()?)?)?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        let members = |value: Value| value.as_object().cloned().unwrap();
        Scope::new(
            members(json!({ "name": "vm", "list": ["a"], "count": 2, "deep": { "er": { "Est": "x" } } })),
            members(json!({
                "nic": "[concat(parameters('name'), 'Nic')]", "loop": "[variables('pool')]", "pool": "[variables('loop')]",
                "v0": "xxxxxxxxxxxxxxxx", "v1": "[concat(variables('v0'), variables('v0'), variables('v0'), variables('v0'))]",
                "v2": "[concat(variables('v1'), variables('v1'), variables('v1'), variables('v1'))]",
                "v3": "[concat(variables('v2'), variables('v2'), variables('v2'), variables('v2'))]",
                "v4": "[concat(variables('v3'), variables('v3'), variables('v3'), variables('v3'))]",
                "v5": "[concat(variables('v4'), variables('v4'), variables('v4'), variables('v4'))]",
                "v6": "[concat(variables('v5'), variables('v5'), variables('v5'), variables('v5'))]",
                "v7": "[concat(variables('v6'), variables('v6'), variables('v6'), variables('v6'))]",
                "v8": "[concat(variables('v7'), variables('v7'), variables('v7'), variables('v7'))]",
                "v9": "[concat(variables('v8'), variables('v8'), variables('v8'), variables('v8'))]",
            })),
            json!({ "subscriptionId": "S", "id": "/subscriptions/S" }),
            json!({ "name": "G", "location": "westeurope" }),
        )
    }

    #[test]
    fn expressions_come_to_values() {
        let table = [
            ("plain", json!("plain")),
            ("[parameters('NAME')]", json!("vm")),
            ("[variables('nic')]", json!("vmNic")),
            ("[concat('a', 1, parameters('name'))]", json!("a1vm")),
            ("[concat(parameters('list'), parameters('list'))]", json!(["a", "a"])),
            ("[format('{0}-{1}{{}}', parameters('name'), 7)]", json!("vm-7{}")),
            ("[parameters('deep').er.est]", json!("x")),
            ("[parameters('list')[0]]", json!("a")),
            ("[parameters('count')]", json!(2)),
            ("[resourceGroup().location]", json!("westeurope")),
            ("[subscription().subscriptionId]", json!("S")),
            ("[toUpper(toLower('Ab'))]", json!("AB")),
            (
                "[resourceId('Microsoft.Network/virtualNetworks/subnets', 'v', 's')]",
                json!("/subscriptions/S/resourceGroups/G/providers/Microsoft.Network/virtualNetworks/v/subnets/s"),
            ),
            ("[resourceId('T', 'H', 'A/b', 'c')]", json!("/subscriptions/T/resourceGroups/H/providers/A/b/c")),
        ];
        for (text, expected) in table {
            assert_eq!(scope().plain(&json!({ "a": [text] })).unwrap()["a"][0], expected, "{text}");
        }
        assert_eq!(scope().plain(&json!({ "[parameters('name')]": 1 })).unwrap(), json!({ "vm": 1 }));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let table = [
            "[parameters('none')]",
            "[variables('none')]",
            "[variables('loop')]",
            "[variables('v9')]",
            "[parameters('list')[1]]",
            "[parameters('deep').none]",
            "[parameters('list').none]",
            "[concat(parameters('deep'))]",
            "[concat()]",
            "[format('{1}', 'a')]",
            "[format('{0', 'a')]",
            "[format()]",
            "[resourceId('A/b')]",
            "[resourceId('A/b', 'c', 'd')]",
            "[resourceId('A/b', '..')]",
            "[reference('x')]",
            "[uniqueString('x')]",
        ];
        for text in table {
            assert_eq!(scope().plain(&json!(text)).unwrap_err().code, "InvalidTemplate", "{text}");
        }
        assert!(check(&json!({ "a": ["[concat(uniqueString('x'))]"] })).unwrap_err().gap.is_some());
    }
}
