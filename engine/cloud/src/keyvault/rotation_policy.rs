//! Rotation policies of keys (`KeyRotationPolicy`): their rules, how they are written, when a rotation falls due.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::duration::Span;
use super::requests::bad;
use super::store::Version;
use crate::refusal::Refusal;

/// The shortest expiry time ("Configure key auto-rotation", and the data-plane specification).
const LEAST_EXPIRY: Duration = Duration::days(28);

/// The shortest time from creation to rotation, and from rotation to expiry.
const LEAST_ROTATION: Duration = Duration::days(7);

/// What happens near the end of a key's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// A new version is made.
    Rotate,
    /// Event Grid is told.
    Notify,
}

/// When it happens, as an ISO 8601 duration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Trigger {
    /// So long after the version was made.
    TimeAfterCreate(String),
    /// So long before the version expires.
    TimeBeforeExpiry(String),
}

impl Trigger {
    fn text(&self) -> &str {
        match self {
            Self::TimeAfterCreate(text) | Self::TimeBeforeExpiry(text) => text,
        }
    }
}

/// One action of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LifetimeAction {
    /// What.
    pub kind: Kind,
    /// When.
    pub trigger: Trigger,
}

/// A rotation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// At most one of each kind.
    pub actions: Vec<LifetimeAction>,
    /// How long new versions live, as an ISO 8601 duration.
    pub expiry: Option<String>,
    /// When it was first set (Unix seconds).
    pub created: i64,
    /// When it was last set (Unix seconds).
    pub updated: i64,
    /// Nothing falls due before.
    pub since: DateTime<Utc>,
}

fn span(text: &str, property: &str) -> Result<Span, Refusal> {
    Span::parse(text).ok_or_else(|| {
        bad(format!("Property {property} has invalid value {text}: it must be an ISO 8601 duration, such as P90D."))
    })
}

/// The notification that every policy has unless it says another.
fn default_notification() -> LifetimeAction {
    LifetimeAction { kind: Kind::Notify, trigger: Trigger::TimeBeforeExpiry("P30D".to_owned()) }
}

impl LifetimeAction {
    fn read(given: &Value) -> Result<Self, Refusal> {
        let kind = match given["action"]["type"].as_str() {
            Some(text) if text.eq_ignore_ascii_case("rotate") => Kind::Rotate,
            Some(text) if text.eq_ignore_ascii_case("notify") => Kind::Notify,
            _ => return Err(bad("Property lifetimeActions.action.type is required: it must be Rotate or Notify.")),
        };
        let text = |name: &str| match &given["trigger"][name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            other => Err(bad(format!("Property lifetimeActions.trigger.{name} has invalid value {other}."))),
        };
        let trigger = match (text("timeAfterCreate")?, text("timeBeforeExpiry")?) {
            (Some(after), None) => Trigger::TimeAfterCreate(after),
            (None, Some(before)) => Trigger::TimeBeforeExpiry(before),
            _ => {
                return Err(bad(
                    "Property lifetimeActions.trigger has invalid value: it must have timeAfterCreate or timeBeforeExpiry, \
                     one of them.",
                ));
            }
        };
        Ok(Self { kind, trigger })
    }

    /// Refuses what Azure's rules on lengths exclude.
    fn check(&self, expiry: Option<Span>) -> Result<(), Refusal> {
        let name = match &self.trigger {
            Trigger::TimeAfterCreate(_) => "lifetimeActions.trigger.timeAfterCreate",
            Trigger::TimeBeforeExpiry(_) => "lifetimeActions.trigger.timeBeforeExpiry",
        };
        let length = span(self.trigger.text(), name)?;
        let wrong = |why: &str| Err(bad(format!("Property {name} has invalid value {}: {why}.", self.trigger.text())));
        if length.nominal() < LEAST_ROTATION {
            return wrong("it must be at least 7 days");
        }
        match (self.kind, &self.trigger, expiry) {
            (Kind::Notify, Trigger::TimeAfterCreate(_), _) => {
                wrong("a notification can only be timed before the expiry, by timeBeforeExpiry")
            }
            (Kind::Notify, ..) => Ok(()),
            (Kind::Rotate, Trigger::TimeBeforeExpiry(_), None) => {
                wrong("a rotation before the expiry needs attributes.expiryTime")
            }
            (Kind::Rotate, _, Some(expiry)) if expiry.nominal() - length.nominal() < LEAST_ROTATION => {
                wrong("a rotation must be at least 7 days from the creation and from attributes.expiryTime")
            }
            (Kind::Rotate, ..) => Ok(()),
        }
    }
}

impl Policy {
    /// What a key has before a policy is set: a notification, no rotation.
    pub fn initial() -> Self {
        Self {
            actions: vec![default_notification()],
            expiry: None,
            created: 0,
            updated: 0,
            since: DateTime::UNIX_EPOCH,
        }
    }

    /// Reads a policy as it is set now, in the place of `old`.
    pub fn read(body: &Value, old: Option<&Self>, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let expiry = match &body["attributes"]["expiryTime"] {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => return Err(bad(format!("Property attributes.expiryTime has invalid value {other}."))),
        };
        let length = expiry.as_deref().map(|text| span(text, "attributes.expiryTime")).transpose()?;
        if let Some(length) = length
            && length.nominal() < LEAST_EXPIRY
        {
            return Err(bad(format!(
                "Property attributes.expiryTime has invalid value {}: it must be at least 28 days.",
                expiry.unwrap_or_default()
            )));
        }
        let mut actions = match &body["lifetimeActions"] {
            Value::Null => Vec::new(),
            Value::Array(given) => given.iter().map(LifetimeAction::read).collect::<Result<_, _>>()?,
            _ => return Err(bad("Property lifetimeActions has invalid value: it must be a list.")),
        };
        for kind in [Kind::Rotate, Kind::Notify] {
            if actions.iter().filter(|action: &&LifetimeAction| action.kind == kind).count() > 1 {
                return Err(bad(format!("Property lifetimeActions has invalid value: {kind:?} is in it twice.")));
            }
        }
        for action in &actions {
            action.check(length)?;
        }
        if !actions.iter().any(|action| action.kind == Kind::Notify) {
            actions.push(default_notification());
        }
        let created = old.map_or(now.timestamp(), |old| old.created);
        Ok(Self { actions, expiry, created, updated: now.timestamp(), since: now })
    }

    /// How it is written on the wire, for the key at `kid`.
    pub fn document(&self, kid: &str) -> Value {
        let actions: Vec<Value> = self
            .actions
            .iter()
            .map(|action| json!({ "trigger": action.trigger, "action": { "type": action.kind } }))
            .collect();
        let mut attributes = Map::new();
        if let Some(expiry) = &self.expiry {
            attributes.insert("expiryTime".into(), expiry.as_str().into());
        }
        if self.created != 0 {
            attributes.insert("created".into(), self.created.into());
            attributes.insert("updated".into(), self.updated.into());
        }
        json!({ "id": format!("{kid}/rotationpolicy"), "lifetimeActions": actions, "attributes": attributes })
    }

    /// When a version that is made at `at` expires (Unix seconds).
    pub fn expires(&self, at: DateTime<Utc>) -> Option<i64> {
        let length = Span::parse(self.expiry.as_deref()?)?;
        length.after(at).map(|end| end.timestamp())
    }

    /// When the newest version of the key is to be followed by another; `None` when nothing says so. A version is at
    /// least seven days old by then, and changes of the version or the policy do not work backwards in time.
    pub fn due(&self, newest: &Version) -> Option<DateTime<Utc>> {
        let action = self.actions.iter().find(|action| action.kind == Kind::Rotate)?;
        let length = Span::parse(action.trigger.text())?;
        let created = DateTime::from_timestamp(newest.created, 0)?;
        let due = match action.trigger {
            Trigger::TimeAfterCreate(_) => length.after(created)?,
            Trigger::TimeBeforeExpiry(_) => length.before(DateTime::from_timestamp(newest.exp?, 0)?)?,
        };
        let changed = DateTime::from_timestamp(newest.updated, 0)?;
        Some(due.max(created + LEAST_ROTATION).max(changed).max(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: &str, trigger: &str, length: &str, expiry: Value) -> Value {
        json!({
            "lifetimeActions": [{ "trigger": { trigger: length }, "action": { "type": kind } }],
            "attributes": { "expiryTime": expiry },
        })
    }

    #[test]
    fn rules_on_lengths_and_kinds() {
        let none = Value::Null;
        let rows = [
            (json!({}), None),
            (body("Rotate", "timeAfterCreate", "P7D", none.clone()), None),
            (body("rotate", "timeAfterCreate", "P18M", json!("P2Y")), None),
            (body("Rotate", "timeBeforeExpiry", "P30D", json!("P90D")), None),
            (body("Notify", "timeBeforeExpiry", "P30D", none.clone()), None),
            (body("Rotate", "timeAfterCreate", "P6D", none.clone()), Some("at least 7 days")),
            (body("Rotate", "timeBeforeExpiry", "PT48H", json!("P90D")), Some("at least 7 days")),
            (body("Rotate", "timeBeforeExpiry", "P30D", none.clone()), Some("needs attributes.expiryTime")),
            (body("Rotate", "timeBeforeExpiry", "P84D", json!("P90D")), Some("7 days from the creation")),
            (body("Rotate", "timeAfterCreate", "P85D", json!("P90D")), Some("7 days from the creation")),
            (body("Notify", "timeAfterCreate", "P30D", json!("P90D")), Some("only be timed before the expiry")),
            (body("Rotate", "timeAfterCreate", "P10D", json!("P27D")), Some("at least 28 days")),
            (body("Rotate", "timeAfterCreate", "ten days", none.clone()), Some("ISO 8601")),
            (body("Rotate", "timeAfterCreate", "P10D", json!("later")), Some("ISO 8601")),
            (body("Rotate", "timeAfterCreate", "P10D", json!(28)), Some("expiryTime has invalid value")),
            (body("Erase", "timeAfterCreate", "P10D", none.clone()), Some("Rotate or Notify")),
            (body("Rotate", "sometime", "P10D", none), Some("one of them")),
            (json!({ "lifetimeActions": {} }), Some("must be a list")),
        ];
        for (body, expected) in rows {
            match (Policy::read(&body, None, DateTime::UNIX_EPOCH), expected) {
                (Ok(policy), None) => assert!(policy.actions.iter().any(|action| action.kind == Kind::Notify)),
                (Err(refusal), Some(text)) => assert!(refusal.message.contains(text), "{body}: {}", refusal.message),
                (read, _) => panic!("{read:?} for {body}"),
            }
        }
        let twice = json!({ "lifetimeActions": [
            { "trigger": { "timeAfterCreate": "P10D" }, "action": { "type": "Rotate" } },
            { "trigger": { "timeAfterCreate": "P20D" }, "action": { "type": "Rotate" } },
        ] });
        assert!(Policy::read(&twice, None, DateTime::UNIX_EPOCH).unwrap_err().message.contains("twice"));
    }
}
