//! What is written in a playbook: the types that the parser fills and that the JSON Schema comes from.

mod step;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use step::{ExpectSpec, GuestSpec, LessonSpec, OptionSpec, QuizSpec, StepSpec, WhereSpec};

use crate::document::{At, LooseAt};

/// A text with its place.
pub(crate) type Text = At<String>;

/// A lab: what it teaches, what it asks, and its steps in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a playbook")]
pub(crate) struct PlaybookSpec {
    /// Version of the format.
    #[schemars(required, with = "u32", range(min = 1, max = 1), example = 1)]
    #[expect(dead_code, reason = "checked by the schema")]
    pub(crate) schema: Option<u32>,
    /// The playbook's id: its folder's name, lower case with hyphens.
    #[schemars(required, with = "String", regex(pattern = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"), length(max = 64), example = &"my-lab")]
    pub(crate) id: Option<Text>,
    /// Its name for people.
    #[schemars(required, with = "String", length(min = 1, max = 200))]
    pub(crate) title: Option<String>,
    /// What it is about, in a sentence or two.
    #[schemars(required, with = "String", length(min = 1, max = 1000))]
    pub(crate) summary: Option<String>,
    /// How much it takes for granted.
    #[schemars(required, with = "LevelSpec")]
    pub(crate) level: Option<LevelSpec>,
    /// How long it takes.
    #[schemars(required, with = "MinutesSpec")]
    pub(crate) minutes: Option<MinutesSpec>,
    /// Folder of the texts, `texts` unless said otherwise; one file per step.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]*$"), length(max = 64), example = &"texts")]
    pub(crate) texts: Option<String>,
    /// What remains after undo; may use `undo.at`.
    #[serde(default)]
    pub(crate) leaves: Vec<Text>,
    /// What the learner is asked.
    #[serde(default)]
    pub(crate) inputs: BTreeMap<Text, InputSpec>,
    /// The confidential VM of its guest steps.
    #[schemars(with = "Option<GuestSpec>")]
    pub(crate) guest: Option<At<GuestSpec>>,
    /// The steps, in order.
    #[schemars(required, with = "Vec<StepSpec>", length(min = 1, max = 2000))]
    pub(crate) step: Option<Vec<At<StepSpec>>>,
}

/// A reusable list of steps that exports names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a part")]
pub(crate) struct PartSpec {
    /// Version of the format.
    #[schemars(required, with = "u32", range(min = 1, max = 1), example = 1)]
    #[expect(dead_code, reason = "checked by the schema")]
    pub(crate) schema: Option<u32>,
    /// The part's id: its folder's name.
    #[schemars(required, with = "String", regex(pattern = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"), length(max = 64), example = &"my-part")]
    pub(crate) id: Option<Text>,
    /// The version that playbooks name: `part = "id@1"`.
    #[schemars(required, with = "u32", range(min = 1, max = 9999), example = 1)]
    pub(crate) version: Option<At<u32>>,
    /// Its name for people.
    #[schemars(required, with = "String", length(min = 1, max = 200))]
    #[expect(dead_code, reason = "for authors")]
    pub(crate) title: Option<String>,
    /// What it is about.
    #[schemars(length(max = 1000))]
    #[expect(dead_code, reason = "for authors")]
    pub(crate) summary: Option<String>,
    /// Folder of the texts, `texts` unless said otherwise.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_-]*$"), length(max = 64), example = &"texts")]
    pub(crate) texts: Option<String>,
    /// What the caller's `with` has to give.
    #[serde(default)]
    pub(crate) inputs: BTreeMap<Text, InputSpec>,
    /// The confidential VM of its guest steps.
    #[schemars(with = "Option<GuestSpec>")]
    pub(crate) guest: Option<At<GuestSpec>>,
    /// The steps, in order.
    #[schemars(required, with = "Vec<StepSpec>", length(min = 1, max = 2000))]
    pub(crate) step: Option<Vec<At<StepSpec>>>,
    /// Names for the caller, over this part's steps and inputs.
    #[serde(default)]
    pub(crate) exports: BTreeMap<Text, Text>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LevelSpec {
    Beginner,
    Intermediate,
    Advanced,
}

/// How long a lab takes, per cloud.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "minutes")]
pub(crate) struct MinutesSpec {
    /// On the embedded Azure.
    #[schemars(required, with = "u32", range(min = 1, max = 10000), example = 15)]
    pub(crate) embedded: Option<u32>,
    /// On Azure.
    #[schemars(required, with = "u32", range(min = 1, max = 10000), example = 30)]
    pub(crate) azure: Option<u32>,
}

/// One input.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "an input")]
pub(crate) struct InputSpec {
    /// What it takes.
    #[serde(rename = "type")]
    #[schemars(required, with = "KindSpec")]
    pub(crate) kind: Option<KindSpec>,
    /// Its value when none is given; a text may use `run`, `cloud`, `me`, `subscription` and `tenant`.
    pub(crate) default: Option<LooseAt>,
    /// What to ask.
    #[schemars(length(min = 1, max = 500))]
    pub(crate) prompt: Option<Text>,
    /// A regular expression that the value must match.
    #[schemars(length(max = 500))]
    pub(crate) pattern: Option<Text>,
    /// Where `--from RUN` takes it from: an output of a step or part of that run.
    #[schemars(with = "Option<String>", regex(pattern = r"^[a-z][a-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$"), example = &"key_store.id")]
    pub(crate) from: Option<Text>,
    /// Whether to keep it out of expressions, journal and logs. A default stands in the playbook, for all to read.
    pub(crate) secret: Option<At<bool>>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KindSpec {
    String,
    Int,
    Bool,
}

pub(crate) static PLAYBOOK: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(PlaybookSpec).to_value());
pub(crate) static PART: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(PartSpec).to_value());

/// JSON Schema (draft 2020-12) of `playbook.toml`. The parser works from the same schema.
#[must_use]
pub fn schema() -> Value {
    PLAYBOOK.clone()
}

/// JSON Schema of `part.toml`.
#[must_use]
pub fn part_schema() -> Value {
    PART.clone()
}
