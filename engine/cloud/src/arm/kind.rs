//! What a resource type says about itself. Everything that all types of Azure Resource Manager have in common
//! (ids, locations, tags, identities, entity tags, provisioning states, long-running operations, lists) is done once,
//! in [`super::resource`].
//!
//! Source: <https://github.com/Azure/azure-resource-manager-rpc>.

use chrono::Duration;
use serde_json::Value;

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::Resource;

/// How a type answers what takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing takes time: 201 or 200.
    AtOnce,
    /// 201 or 200 with the resource and `Azure-AsyncOperation`; DELETE answers 202.
    Created,
    /// 202 with the resource as it will be, `Azure-AsyncOperation` and `Location`.
    Accepted,
    /// 202 without a body, `Location` only.
    Location,
}

/// What is asked of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// PUT of what was not there.
    Create,
    /// PUT of what is there.
    Replace,
    /// PATCH.
    Update,
}

/// A resource that is being made or changed.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// Its id, spelled as Azure spells it.
    pub id: ResourceId,
    /// What is asked.
    pub change: Change,
    /// What it was before.
    pub old: Option<&'a Resource>,
    /// The caller's body.
    pub given: &'a Value,
    /// The document as it will be. On entry: the old one, or `location`, `tags` and an empty `properties`; `identity`
    /// is in place.
    pub body: Value,
}

impl Draft<'_> {
    /// The caller's `properties`.
    pub fn asked(&self) -> &Value {
        &self.given["properties"]
    }

    /// The `properties` of the document.
    pub fn properties(&mut self) -> &mut Value {
        &mut self.body["properties"]
    }

    /// Region of the document.
    pub fn location(&self) -> &str {
        self.body["location"].as_str().unwrap_or_default()
    }

    /// Copies members of the caller's `properties` into the document, those that are there.
    pub fn take(&mut self, names: &[&str]) {
        for name in names {
            let value = &self.given["properties"][name];
            if !value.is_null() {
                self.body["properties"][name] = value.clone();
            }
        }
    }
}

/// What is always so of a type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Type with namespace, such as `Microsoft.Compute/disks`.
    pub name: &'static str,
    /// Api-versions, newest first.
    pub api: &'static [&'static str],
    /// How it answers what takes time.
    pub style: Style,
    /// How long making, changing and deleting take on the cloud clock; ignored by [`Style::AtOnce`].
    pub takes: Duration,
    /// Whether it has a region and tags of its own. A part of another resource (a subnet) has neither.
    pub tracked: bool,
    /// Whether it may have managed identities.
    pub identities: bool,
    /// Whether it shows an `etag` and honours `If-Match` and `If-None-Match`.
    pub etag: bool,
    /// Folder of its polling URLs below `locations/{location}`.
    pub polls: &'static str,
}

impl Facts {
    /// A type with a region, without identities and entity tags.
    pub const fn new(name: &'static str, api: &'static [&'static str], style: Style) -> Self {
        Self {
            name,
            api,
            style,
            takes: Duration::milliseconds(300),
            tracked: true,
            identities: false,
            etag: false,
            polls: "operations",
        }
    }
}

/// One resource type.
pub(crate) trait Kind: Sync {
    /// What is always so.
    fn facts(&self) -> &Facts;

    /// Refuses a name that the type's rules don't allow.
    fn check_name(&self, _name: &str) -> Result<(), Refusal> {
        Ok(())
    }

    /// Checks what the caller asks and writes the document. Nothing is stored yet, but the managed identities are.
    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal>;

    /// Makes what hangs on the stored document: rows of other tables, parts of other resources.
    fn stored(&self, _cx: &mut Cx<'_>, _resource: &Resource) -> Result<(), Refusal> {
        Ok(())
    }

    /// Finishes a long-running operation: `put` and `delete` are done by [`super::resource`] after this hook, other
    /// verbs are the type's own ([`super::resource::act`]). Changes to the resource are stored. What it returns is the
    /// operation's result; for `put`, the document when it returns `None`. A refusal fails the operation.
    fn finish(
        &self,
        _cx: &mut Cx<'_>,
        _verb: &str,
        _payload: &Value,
        _resource: &mut Resource,
    ) -> Result<Option<Value>, Refusal> {
        Ok(None)
    }

    /// What the stored result of a finished operation is answered as. Results that hold secrets are not stored: they
    /// are made here, whenever somebody asks.
    fn result(&self, _cx: &Cx<'_>, _verb: &str, _resource: &str, stored: Value) -> Result<Value, Refusal> {
        Ok(stored)
    }

    /// Refuses a deletion while the resource is in use. Not asked when its whole resource group goes.
    fn may_delete(&self, _cx: &Cx<'_>, _resource: &Resource) -> Result<(), Refusal> {
        Ok(())
    }

    /// Removes what the resource has besides its document and its identity.
    fn destroy(&self, _cx: &mut Cx<'_>, _resource: &Resource) -> Result<(), Refusal> {
        Ok(())
    }

    /// The document as it is answered. Most types show no `systemData`.
    fn shown(&self, _cx: &Cx<'_>, resource: &Resource) -> Result<Value, Refusal> {
        let mut body = resource.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.shift_remove("systemData");
        }
        Ok(body)
    }
}
