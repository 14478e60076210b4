//! What is written in a step.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::lab::Price;
use super::Text;
use crate::document::{At, LooseAt};

/// A step: a plugin (`use`), a part (`part`) or a choice (`choose`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a step")]
pub(crate) struct StepSpec {
    /// Its name, snake_case; later steps use its outputs under it.
    #[schemars(required, with = "String", regex(pattern = r"^[a-z][a-z0-9_]{0,62}$"), extend("x-name" = true), example = &"key_store")]
    pub(crate) name: Option<Text>,
    /// The plugin to run.
    #[serde(rename = "use")]
    #[schemars(with = "Option<String>", length(max = 80), example = &"storage-account@0.1")]
    pub(crate) uses: Option<Text>,
    /// The part to run.
    #[schemars(with = "Option<String>", length(max = 80), example = &"key-vault-premium@1")]
    pub(crate) part: Option<Text>,
    /// The question of a choice.
    #[schemars(with = "Option<String>", length(min = 1, max = 500))]
    pub(crate) choose: Option<Text>,
    /// The option taken when nobody answers.
    #[schemars(with = "Option<String>", length(max = 64))]
    pub(crate) default: Option<Text>,
    /// The options of a choice.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(crate) option: Vec<At<OptionSpec>>,
    /// Inputs of the plugin or part.
    #[serde(default)]
    pub(crate) with: BTreeMap<Text, LooseAt>,
    /// Steps that must be done first, beyond those it mentions.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub(crate) needs: Vec<Text>,
    /// A condition; when it is false the step is skipped.
    #[schemars(with = "Option<String>")]
    pub(crate) when: Option<Text>,
    /// Where it runs.
    #[serde(rename = "where")]
    #[schemars(with = "Option<WhereSpec>")]
    pub(crate) place: Option<At<WhereSpec>>,
    /// The confidential VM of this guest step, when it is not the file's `[guest]`.
    #[schemars(with = "Option<GuestSpec>")]
    pub(crate) guest: Option<At<GuestSpec>>,
    /// What the plugin may do: `azure:read,write /subscriptions/…`.
    #[schemars(with = "Option<Vec<String>>", length(max = 64))]
    pub(crate) grants: Option<At<Vec<Text>>>,
    /// Whether it may build on things that it finds and did not make.
    #[schemars(with = "Option<bool>")]
    pub(crate) adopt: Option<At<bool>>,
    /// How long to try again after failures that may pass.
    #[schemars(with = "Option<RetrySpec>")]
    pub(crate) retry: Option<At<RetrySpec>>,
    /// How long one attempt may take.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]{1,6}(s|m|h)$"), example = &"10m")]
    pub(crate) timeout: Option<Text>,
    /// What the step costs, where its plugin can't know: an option's cost is told with the option.
    #[schemars(with = "Option<CostSpec>")]
    pub(crate) cost: Option<At<CostSpec>>,
    /// What a person would type.
    #[schemars(with = "Option<String>", length(max = 4000))]
    pub(crate) by_hand: Option<Text>,
    /// Hints, each saying more than the one before.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub(crate) hints: Vec<Text>,
    /// Conditions on the outputs (`out`): the verdict.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub(crate) expect: Vec<At<ExpectSpec>>,
    /// An action whose expected result may be a failure.
    #[schemars(with = "Option<LessonSpec>")]
    pub(crate) lesson: Option<At<LessonSpec>>,
    /// A question to the learner.
    #[schemars(with = "Option<QuizSpec>")]
    pub(crate) quiz: Option<At<QuizSpec>>,
    /// What to look at before going on.
    #[schemars(with = "Option<String>", length(min = 1, max = 2000))]
    pub(crate) pause: Option<Text>,
}

/// One option of a choice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "an option")]
pub(crate) struct OptionSpec {
    /// Its id, given as the answer.
    #[schemars(required, with = "String", regex(pattern = r"^[a-z][a-z0-9_-]{0,62}$"), example = &"vault")]
    pub(crate) id: Option<Text>,
    /// The part it runs.
    #[schemars(required, with = "String", length(max = 80), example = &"key-vault-premium@1")]
    pub(crate) part: Option<Text>,
    /// Inputs of the part.
    #[serde(default)]
    pub(crate) with: BTreeMap<Text, LooseAt>,
    /// When a person should choose it.
    #[schemars(length(max = 500))]
    pub(crate) when: Option<String>,
    /// An input of the playbook: when it is given, this option is taken without asking.
    #[schemars(with = "Option<String>", length(max = 64), example = &"vault")]
    pub(crate) given: Option<Text>,
    /// What it costs.
    #[schemars(with = "Option<CostSpec>")]
    pub(crate) cost: Option<CostSpec>,
    /// What the learner types before it is taken; `--yes` does not answer it.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) confirm: Option<String>,
}

/// What an option or a step costs.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a cost")]
pub(crate) struct CostSpec {
    /// US dollars per hour while it stands.
    #[schemars(required, with = "f64", range(min = 0, max = 1000000), example = 3.2)]
    pub(crate) usd_per_hour: Option<f64>,
    /// US dollars that undo can't stop.
    #[schemars(range(min = 0, max = 100000000))]
    pub(crate) usd_after_undo: Option<f64>,
}

impl CostSpec {
    pub(crate) fn price(self) -> Price {
        Price {
            usd_per_hour: self.usd_per_hour.unwrap_or_default(),
            usd_after_undo: self.usd_after_undo.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhereSpec {
    /// On this machine.
    Host,
    /// Inside a confidential VM.
    Guest,
}

/// The confidential VM that guest steps run in, and how they are brought there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a guest")]
pub(crate) struct GuestSpec {
    /// The VM's resource id.
    #[schemars(required, with = "String", length(max = 1000), example = &"${vm.id}")]
    pub(crate) vm: Option<Text>,
    /// A container that this machine and the VM's identity can write: steps go in, answers come out.
    #[schemars(required, with = "String", length(max = 1000), example = &"${account.blob_uri}guest")]
    pub(crate) mailbox: Option<Text>,
}

/// How long to try again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "retry")]
pub(crate) struct RetrySpec {
    /// Altogether, `5m`.
    #[schemars(required, with = "String", regex(pattern = r"^[0-9]{1,6}(s|m|h)$"), example = &"5m")]
    pub(crate) within: Option<Text>,
}

/// One condition of the verdict.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "an expectation")]
pub(crate) struct ExpectSpec {
    /// What must hold, over `out` and earlier outputs.
    #[schemars(required, with = "String")]
    pub(crate) that: Option<Text>,
    /// What to say when it does not.
    #[serde(rename = "else")]
    #[schemars(required, with = "String", length(min = 1, max = 2000))]
    pub(crate) otherwise: Option<Text>,
}

/// An action whose expected result may be a failure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a lesson")]
pub(crate) struct LessonSpec {
    /// The blob to read afterwards. Without it, the step itself is the action.
    #[schemars(with = "Option<String>")]
    pub(crate) read: Option<Text>,
    /// The failure to be seen.
    #[schemars(with = "Option<FailsSpec>")]
    pub(crate) fails: Option<At<FailsSpec>>,
    /// What must hold of what was read (`out`).
    #[schemars(with = "Option<String>")]
    pub(crate) that: Option<Text>,
    /// How long to wait for it, `10m`.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9]{1,6}(s|m|h)$"), example = &"10m")]
    pub(crate) within: Option<Text>,
}

/// A refusal by Azure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a failure")]
pub(crate) struct FailsSpec {
    /// HTTP status.
    #[schemars(range(min = 400, max = 599))]
    pub(crate) status: Option<u16>,
    /// Azure's error code.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) code: Option<String>,
    /// Codes that are not it: refusals for another reason, which pass.
    #[serde(default)]
    #[schemars(length(max = 8), inner(length(min = 1, max = 100)))]
    pub(crate) not: Vec<String>,
}

/// A question to the learner.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "a quiz")]
pub(crate) struct QuizSpec {
    /// The question.
    #[schemars(required, with = "String", length(min = 1, max = 500))]
    pub(crate) ask: Option<String>,
    /// The possible answers.
    #[schemars(required, with = "Vec<String>", length(min = 2, max = 9))]
    pub(crate) options: Option<Vec<Text>>,
    /// The right one, counted from 0.
    #[schemars(required, with = "u32", example = 1)]
    pub(crate) answer: Option<At<u32>>,
    /// Why it is right.
    #[schemars(required, with = "String", length(min = 1, max = 2000))]
    pub(crate) why: Option<String>,
}
