//! Operation tables: the one description of what the embedded Azure offers.
//!
//! Routing, the api-version check, authorisation and the request log all read these tables.

use std::cmp::Ordering;

use http::Method;

use crate::cx::Cx;
use crate::http::{Answer, Request};
use crate::refusal::Refusal;

/// What a caller must show before an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: the operation is public or judges its caller itself.
    Open,
    /// A valid token, no permission.
    Authenticated,
    /// A valid token and this control-plane action at the service's scope.
    Control(&'static str),
    /// A valid token and this data action at the service's scope.
    Data(&'static str),
}

/// The function behind an operation.
pub(crate) type Run = fn(&mut Cx<'_>, &Params) -> Result<Answer, Refusal>;

/// One operation of one service.
///
/// A path template is literals (matched without case), `{name}` for one segment, `{*name}` last for the whole
/// rest (double slashes kept), `{+name}` first for a leading scope of any length, including none.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Official operation id, such as `Vaults_CreateOrUpdate`.
    pub name: &'static str,
    /// Verb.
    pub method: Method,
    /// Path template.
    pub path: &'static str,
    /// Query parameters that select this operation among those with the same path: `("comp", "list")`.
    /// A parameter that the service calls a discriminator must be listed here or be absent. A name that begins with
    /// `x-ms-` is a header, and the value `*` stands for any: some operations differ in nothing else.
    pub when: &'static [(&'static str, &'static str)],
    /// Accepted versions; empty when the service does not check them.
    pub api: &'static [&'static str],
    /// What the caller must show.
    pub access: Access,
    /// Whether it answers with a long-running operation.
    pub lro: bool,
    /// The work.
    pub run: Run,
}

impl Operation {
    /// The same operation, for requests with these query parameters.
    pub const fn only(mut self, when: &'static [(&'static str, &'static str)]) -> Self {
        self.when = when;
        self
    }

    /// The same operation, answered with a long-running one or not.
    pub const fn lasting(mut self, lro: bool) -> Self {
        self.lro = lro;
        self
    }
}

/// Rows of one list of api-versions, each an operation that an action of one plane guards.
pub(crate) struct Rows {
    api: &'static [&'static str],
    data: bool,
}

impl Rows {
    /// Rows whose actions are of the control plane.
    pub const fn control(api: &'static [&'static str]) -> Self {
        Self { api, data: false }
    }

    /// Rows whose actions are data actions.
    pub const fn data(api: &'static [&'static str]) -> Self {
        Self { api, data: true }
    }

    /// An operation that is done when it is answered.
    pub const fn row(
        &self,
        name: &'static str,
        method: Method,
        path: &'static str,
        action: &'static str,
        run: Run,
    ) -> Operation {
        let access = if self.data { Access::Data(action) } else { Access::Control(action) };
        Operation { name, method, path, when: &[], api: self.api, access, lro: false, run }
    }
}

/// Path parameters by template name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(&'static str, String)>);

impl Params {
    /// Value of a parameter of the matched template.
    ///
    /// # Panics
    /// When the template has no such parameter: a mistake in an operation table, answered with 500.
    pub fn get(&self, name: &str) -> &str {
        match self.find(name) {
            Some(value) => value,
            None => panic!("the operation's path template has no parameter `{name}`"),
        }
    }

    /// Value of a parameter, when the matched template has it.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }
}

/// How a path and query met the tables.
pub(crate) enum Found {
    /// This operation.
    One(&'static Operation, Params),
    /// The path exists with other verbs.
    OtherMethods(Vec<Method>),
    /// Nothing like it.
    Nothing,
}

/// Finds the most specific operation for a request: literals beat parameters, more conditions beat fewer.
pub(crate) fn find(tables: &[&'static [Operation]], discriminators: &[&str], request: &Request) -> Found {
    let mut best: Option<(&'static Operation, Params)> = None;
    let mut others = Vec::new();
    for op in tables.iter().copied().flatten() {
        let Some(params) = matches(op.path, request) else { continue };
        if !selected(op, discriminators, request) {
            continue;
        }
        if op.method != request.method {
            others.push(op.method.clone());
            continue;
        }
        let better = best.as_ref().is_none_or(|(b, _)| specificity(op, b) == Ordering::Less);
        if better {
            best = Some((op, params));
        }
    }
    match best {
        Some((op, params)) => Found::One(op, params),
        None if !others.is_empty() => Found::OtherMethods(others),
        None => Found::Nothing,
    }
}

fn selected(op: &Operation, discriminators: &[&str], request: &Request) -> bool {
    let listed = |name: &str| op.when.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    op.when.iter().all(|(name, value)| holds(name, value, request))
        && discriminators.iter().all(|name| listed(name) || request.query(name).is_none())
}

fn holds(name: &str, value: &str, request: &Request) -> bool {
    let given = if name.starts_with("x-ms-") { request.header(name) } else { request.query(name) };
    given.is_some_and(|given| value == "*" || given.eq_ignore_ascii_case(value))
}

fn kind(segment: &str) -> u8 {
    match segment.as_bytes() {
        [b'{', b'+', ..] => 3,
        [b'{', b'*', ..] => 2,
        [b'{', ..] => 1,
        _ => 0,
    }
}

/// `Less` when `a` is the more specific template. Compared from the end, where templates of one service differ:
/// scopes lead, actions follow.
fn specificity(a: &Operation, b: &Operation) -> Ordering {
    let kinds = |op: &Operation| -> Vec<u8> { op.path.rsplit('/').filter(|s| !s.is_empty()).map(kind).collect() };
    kinds(a).cmp(&kinds(b)).then(b.when.len().cmp(&a.when.len()))
}

/// Matches a template against a request's path.
pub(crate) fn matches(template: &'static str, request: &Request) -> Option<Params> {
    let mut template: Vec<&'static str> = template.split('/').filter(|s| !s.is_empty()).collect();
    let mut segments = request.segments.as_slice();
    let mut params = Vec::new();
    if template.first().is_some_and(|s| kind(s) == 3) {
        let name = template.remove(0);
        let scope = segments.len().checked_sub(template.len())?;
        let value: String = segments[..scope].iter().flat_map(|s| ["/", s]).collect();
        params.push((&name[2..name.len() - 1], value));
        segments = &segments[scope..];
    }
    let mut position = 0;
    for part in &template {
        match kind(part) {
            0 if !segments.get(position)?.eq_ignore_ascii_case(part) => return None,
            0 => {}
            2 => {
                segments.get(position)?;
                params.push((&part[2..part.len() - 1], request.tail(position)));
                return Some(Params(params));
            }
            _ => params.push((&part[1..part.len() - 1], segments.get(position)?.clone())),
        }
        position += 1;
    }
    (position == segments.len()).then_some(Params(params))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn request(path: &str) -> Request {
        let uri = format!("https://x.vault.azure.net{path}");
        Request::parse(http::Request::get(uri).body(Bytes::new()).unwrap()).unwrap()
    }

    fn shown(template: &'static str, path: &str) -> String {
        match matches(template, &request(path)) {
            None => "-".to_owned(),
            Some(p) => p.0.iter().map(|(n, v)| format!("{n}={v};")).collect(),
        }
    }

    #[test]
    fn templates() {
        let table = [
            ("/keys/{key}", "/keys/a", "key=a;"),
            ("/keys/{key}", "/KEYS/a/", "key=a;"),
            ("/keys/{key}", "/keys/a/b", "-"),
            ("/keys/{key}/release", "/keys/a//release", "key=a;"),
            ("/keys/{key}", "/keys", "-"),
            ("/keys", "/keys/", ""),
            ("/{container}/{*blob}", "/c/a/b//c%20d", "container=c;blob=a/b//c d;"),
            ("/{container}/{*blob}", "/c", "-"),
            (
                "/{+scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
                "/subscriptions/s/resourceGroups/g/providers/microsoft.authorization/roleassignments/n",
                "scope=/subscriptions/s/resourceGroups/g;name=n;",
            ),
            (
                "/{+scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
                "/providers/Microsoft.Authorization/roleAssignments/n",
                "scope=;name=n;",
            ),
        ];
        for (template, path, expected) in table {
            assert_eq!(shown(template, path), expected, "{template} on {path}");
        }
    }

    fn nothing(_: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
        Ok(Answer::empty(200))
    }

    const fn op(name: &'static str, path: &'static str, when: &'static [(&'static str, &'static str)]) -> Operation {
        Operation { name, method: Method::GET, path, when, api: &[], access: Access::Open, lro: false, run: nothing }
    }

    static TABLE: [Operation; 5] = [
        op("version", "/keys/{key}/{version}", &[]),
        op("versions", "/keys/{key}/versions", &[]),
        op("container", "/{container}", &[("restype", "container")]),
        op("list", "/{container}", &[("restype", "container"), ("comp", "list")]),
        op("blob", "/{container}/{*blob}", &[]),
    ];

    #[test]
    fn most_specific_operation_wins() {
        let table = [
            ("/keys/a/versions", "versions"),
            ("/keys/a/123", "version"),
            ("/c?restype=container", "container"),
            ("/c?restype=container&comp=list", "list"),
            ("/c/b/d/e", "blob"),
            ("/c/b/d/e?comp=tier", "-"),
            ("/c?restype=container&comp=lease", "-"),
        ];
        for (path, expected) in table {
            let found = match find(&[&TABLE], &["comp", "restype"], &request(path)) {
                Found::One(op, _) => op.name,
                _ => "-",
            };
            assert_eq!(found, expected, "{path}");
        }
    }
}
