//! Resource types of the test provider that do everything in the common way, one for each style of answers.

use chrono::Duration;
use serde_json::{Value, json};

use crate::arm::kind::{Draft, Facts, Kind, Style};
use crate::arm::linked;
use crate::arm::rows::{part_type, polling, tracked_type};
use crate::cx::Cx;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

const API: &[&str] = &["2026-01-01"];

pub(super) static KINDS: &[&dyn Kind] = &[
    &Gadget::new("Test.Fixture/gadgets", Style::Accepted),
    &Gadget::new("Test.Fixture/widgets", Style::Created),
    &Gadget::new("Test.Fixture/quiets", Style::Location),
    &Gadget::new("Test.Fixture/gadgets/screws", Style::AtOnce),
];

static GADGETS: &[Operation] = &tracked_type!("Gadgets", "Test.Fixture", "gadgets", API, long: true);
static WIDGETS: &[Operation] = &tracked_type!("Widgets", "Test.Fixture", "widgets", API, long: true);
static QUIETS: &[Operation] = &tracked_type!("Quiets", "Test.Fixture", "quiets", API, long: true);
static SCREWS: &[Operation] =
    &part_type!("Screws", "Test.Fixture", "gadgets/screws", "gadgets/{gadget}/screws", API, long: false);
static POLLS: &[Operation] = &polling!("Test.Fixture", "operations", API);

pub(super) fn tables() -> Vec<&'static [Operation]> {
    vec![GADGETS, WIDGETS, QUIETS, SCREWS, POLLS]
}

struct Gadget(Facts);

impl Gadget {
    const fn new(name: &'static str, style: Style) -> Self {
        Self(Facts {
            takes: Duration::seconds(5),
            tracked: !matches!(style, Style::AtOnce),
            identities: matches!(style, Style::Accepted),
            etag: matches!(style, Style::Created),
            ..Facts::new(name, API, style)
        })
    }
}

impl Kind for Gadget {
    fn facts(&self) -> &Facts {
        &self.0
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        if name.starts_with("bad") { Err(Refusal::new(400, "InvalidName", "A bad name.")) } else { Ok(()) }
    }

    fn apply(&self, cx: &mut Cx<'_>, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        if let Some(friend) = draft.asked()["friend"].as_str() {
            linked::require(cx, &draft.id, friend, "Test.Fixture/gadgets/join/action")?;
        }
        draft.take(&["friend", "size", "fails"]);
        Ok(())
    }

    fn finish(&self, _: &mut Cx<'_>, verb: &str, _: &Value, resource: &mut Resource) -> Result<Option<Value>, Refusal> {
        if resource.body["properties"]["fails"] == true {
            return Err(Refusal::new(400, "Failing", "As asked."));
        }
        resource.body["properties"]["last"] = verb.into();
        Ok((verb == "delete").then(|| json!({ "gone": true })))
    }

    fn may_delete(&self, cx: &Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        match linked::users(cx, &resource.id)?.first() {
            None => Ok(()),
            Some(user) => Err(Refusal::new(409, "InUse", format!("{} uses it.", user.name))),
        }
    }
}
