//! The machine owner's policy: which clouds, subscriptions and plugins, and how much of money, memory and time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::CloudName;
use crate::document::{self, At, Source};
use crate::id::Digest;
use crate::plugin::{Limits, PluginRef};
use crate::problem::{Problem, codes};

/// What this machine allows. Without a file: both clouds, any subscription, and the plugins that come with Sealbook.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Clouds that may be used.
    pub clouds: BTreeSet<CloudName>,
    /// Ids of the subscriptions that may be acted on with `--cloud azure`; none: any.
    pub subscriptions: Option<BTreeSet<String>>,
    /// Plugins that do not come with Sealbook, by the digest of their bytes.
    pub plugins: BTreeMap<PluginRef, BTreeSet<Digest>>,
    /// Whether plugins that are not listed may run too.
    pub unlisted_plugins: bool,
    /// The most that what stands at one time may cost.
    pub usd_per_hour: Option<f64>,
    /// Ceilings per call; 0: none.
    pub limits: Limits,
    /// How long a step may go on retrying.
    pub retry_within: Option<Duration>,
    digest: Digest,
    /// Where it stands, for messages; none: there is no file yet.
    file: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            clouds: [CloudName::Azure, CloudName::Embedded].into(),
            subscriptions: None,
            plugins: BTreeMap::new(),
            unlisted_plugins: false,
            usd_per_hour: None,
            limits: Limits::default(),
            retry_within: None,
            digest: Digest::of(b""),
            file: None,
        }
    }
}

/// `policy.toml` as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[schemars(title = "a policy")]
struct Authored {
    /// Version of the format.
    #[schemars(required, with = "u32", range(min = 1, max = 1), example = 1)]
    #[expect(dead_code, reason = "checked by the schema")]
    version: Option<u32>,
    /// Clouds that may be used.
    clouds: Option<Vec<CloudName>>,
    /// Subscriptions that may be acted on with `--cloud azure`.
    subscriptions: Option<Vec<String>>,
    /// Other plugins, by the digest of their bytes.
    #[serde(default)]
    plugins: BTreeMap<At<String>, Vec<At<String>>>,
    /// Whether plugins that are not listed may run: `refuse` or `allow`.
    unlisted_plugins: Option<Unlisted>,
    /// The most that what stands at one time may cost, in US dollars per hour.
    #[schemars(range(min = 0))]
    usd_per_hour: Option<f64>,
    /// Ceilings per call.
    limits: Option<AuthoredLimits>,
    /// How long a step may go on retrying, `30m`.
    #[schemars(regex(pattern = r"^[0-9]{1,6}(s|m|h)$"), example = &"30m")]
    retry_within: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Unlisted {
    Refuse,
    Allow,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[schemars(title = "limits")]
struct AuthoredLimits {
    /// Memory of a component, in MiB.
    #[serde(default)]
    #[schemars(range(min = 1))]
    memory_mib: u32,
    /// Fuel, in millions of units.
    #[serde(default)]
    #[schemars(range(min = 1))]
    fuel_millions: u32,
    /// Calls into the host.
    #[serde(default)]
    #[schemars(range(min = 1))]
    host_calls: u32,
}

static SCHEMA: LazyLock<Value> = LazyLock::new(|| schemars::schema_for!(Authored).to_value());

impl Policy {
    /// JSON Schema of `policy.toml`.
    #[must_use]
    pub fn schema() -> Value {
        SCHEMA.clone()
    }

    /// Reads `policy.toml`; `file` is its name for messages.
    ///
    /// # Errors
    /// All problems of the file. A policy that can't be read allows nothing.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let source = Source { file, text };
        let mut problems = Vec::new();
        let authored = document::read::<Authored>(source, &SCHEMA, &mut problems);
        let mut policy = Self { digest: Digest::of(text.as_bytes()), file: Some(file.to_owned()), ..Self::default() };
        if let Some(authored) = authored {
            policy.plugins = plugins(source, &authored, &mut problems);
            if let Some(clouds) = authored.clouds {
                policy.clouds = clouds.into_iter().collect();
            }
            policy.subscriptions =
                authored.subscriptions.map(|s| s.into_iter().map(|g| g.to_ascii_lowercase()).collect());
            policy.unlisted_plugins = authored.unlisted_plugins == Some(Unlisted::Allow);
            policy.usd_per_hour = authored.usd_per_hour;
            policy.retry_within = authored.retry_within.as_deref().and_then(duration);
            if let Some(AuthoredLimits { memory_mib, fuel_millions, host_calls }) = authored.limits {
                policy.limits = Limits { memory_mib, fuel_millions, host_calls };
            }
        }
        // The codes name the kind of mistake; that it is the policy's makes it a matter of usage.
        let of_policy = |mut p: Problem| {
            p.what = format!("the policy can't be used: {}", p.what);
            p.code = codes::BAD_POLICY;
            p
        };
        if problems.is_empty() { Ok(policy) } else { Err(problems.into_iter().map(of_policy).collect()) }
    }

    /// Digest of the file, for the journal.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a cloud may be used.
    ///
    /// # Errors
    /// A problem with the line that would allow it.
    pub fn admits_cloud(&self, cloud: CloudName) -> Result<(), Problem> {
        if self.clouds.contains(&cloud) {
            return Ok(());
        }
        let all: Vec<String> = self.clouds.iter().chain([&cloud]).map(|c| format!("\"{c}\"")).collect();
        let what = format!("the cloud `{cloud}` may not be used");
        Err(self.forbidden(what, &format!("clouds = [{}]", all.join(", "))))
    }

    /// Whether a subscription of the real cloud may be acted on.
    ///
    /// # Errors
    /// A problem with the line that would allow it.
    pub fn admits_subscription(&self, guid: &str) -> Result<(), Problem> {
        if self.allows_subscription(guid) {
            return Ok(());
        }
        let what = format!("the subscription {guid} may not be acted on");
        Err(self.forbidden(what, &format!("subscriptions = [\"{guid}\"]")))
    }

    pub(crate) fn allows_subscription(&self, guid: &str) -> bool {
        self.subscriptions.as_ref().is_none_or(|allowed| allowed.contains(&guid.to_ascii_lowercase()))
    }

    /// Whether a plugin may run.
    ///
    /// # Errors
    /// A problem with the line that would allow it.
    pub fn admits_plugin(&self, plugin: &PluginRef, digest: &Digest, built_in: bool) -> Result<(), Problem> {
        let listed = self.plugins.get(plugin);
        if built_in || self.unlisted_plugins && listed.is_none() || listed.is_some_and(|d| d.contains(digest)) {
            return Ok(());
        }
        let why = match listed {
            Some(_) => "the policy lists it with another digest",
            None => "the policy does not list it",
        };
        Err(Problem::new(codes::PLUGIN_NOT_ADMITTED, format!("the plugin {plugin} may not run on this machine"))
            .because(why)
            .fix(match &self.file {
                Some(file) => format!("add to {file} under [plugins]: \"{plugin}\" = [\"{digest}\"]"),
                None => format!("sealbook doctor names the policy's file; write into it: version = 1, and under [plugins]: \"{plugin}\" = [\"{digest}\"]"),
            }))
    }

    fn forbidden(&self, what: String, line: &str) -> Problem {
        let file = self.file.as_deref().unwrap_or("policy.toml");
        Problem::new(codes::FORBIDDEN_BY_POLICY, what)
            .because("the machine's policy does not list it")
            .fix(format!("set in {file}: {line}"))
    }

    /// Whether what stands at one time may cost so much.
    ///
    /// # Errors
    /// A problem with the line that would allow it.
    pub fn admits_cost(&self, usd_per_hour: f64) -> Result<(), Problem> {
        match self.usd_per_hour {
            Some(limit) if usd_per_hour > limit => {
                Err(Problem::new(codes::COST_LIMIT, format!("this would cost {usd_per_hour:.2} USD an hour"))
                    .because(format!("the machine's policy allows {limit:.2}"))
                    .fix(format!("choose another option, or set in policy.toml: usd_per_hour = {usd_per_hour:.2}")))
            }
            _ => Ok(()),
        }
    }

    /// A plugin's own ceilings, lowered to the machine's.
    #[must_use]
    pub fn cap(&self, wanted: Limits) -> Limits {
        let lower = |wanted: u32, cap: u32| match (wanted, cap) {
            (wanted, 0) => wanted,
            (0, cap) => cap,
            (wanted, cap) => wanted.min(cap),
        };
        Limits {
            memory_mib: lower(wanted.memory_mib, self.limits.memory_mib),
            fuel_millions: lower(wanted.fuel_millions, self.limits.fuel_millions),
            host_calls: lower(wanted.host_calls, self.limits.host_calls),
        }
    }

    /// A step's retry budget, lowered to the machine's.
    #[must_use]
    pub fn cap_retry(&self, wanted: Duration) -> Duration {
        self.retry_within.map_or(wanted, |cap| wanted.min(cap))
    }
}

fn plugins(
    source: Source<'_>,
    authored: &Authored,
    problems: &mut Vec<Problem>,
) -> BTreeMap<PluginRef, BTreeSet<Digest>> {
    let mut out: BTreeMap<PluginRef, BTreeSet<Digest>> = BTreeMap::new();
    for (name, digests) in &authored.plugins {
        let plugin = match name.parse::<PluginRef>() {
            Ok(plugin) => plugin,
            Err(e) => {
                problems.push(Problem::new(codes::BAD_POLICY, e.to_string()).at(source.span(name.span())));
                continue;
            }
        };
        for digest in digests {
            match digest.parse() {
                Ok(digest) => _ = out.entry(plugin.clone()).or_default().insert(digest),
                Err(e) => {
                    let e: crate::id::InvalidId = e;
                    problems.push(Problem::new(codes::BAD_POLICY, e.to_string()).at(source.span(digest.span())));
                }
            }
        }
    }
    out
}

/// Reads `90s`, `10m`, `2h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
version = 1
clouds = ["embedded"]
subscriptions = ["1B4DF8A5-4c55-4fb6-9a24-4c5f6e7a8b9c"]
unlisted_plugins = "refuse"
usd_per_hour = 1.5
retry_within = "30m"
[limits]
memory_mib = 64
[plugins]
"vault-firewall@0.1" = ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]
"#;

    #[test]
    fn a_full_policy_is_enforced() {
        let policy = Policy::parse("policy.toml", FULL).unwrap();
        let firewall: PluginRef = "vault-firewall@0.1".parse().unwrap();
        let zero: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        assert!(policy.admits_cloud(CloudName::Embedded).is_ok());
        assert!(policy.admits_subscription("1b4df8a5-4C55-4fb6-9a24-4c5f6e7a8b9c").is_ok());
        assert!(policy.admits_plugin(&firewall, &zero, false).is_ok());
        assert!(policy.admits_cost(1.5).is_ok());
        let problems = [
            policy.admits_cloud(CloudName::Azure),
            policy.admits_subscription("2"),
            policy.admits_plugin(&firewall, &Digest::of(b"other"), false),
            policy.admits_plugin(&"other@0.1".parse().unwrap(), &zero, false),
            policy.admits_cost(3.2),
        ];
        let lines: Vec<String> = problems.map(|p| p.unwrap_err().to_string()).into();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        SB0203 the cloud `azure` may not be used — the machine's policy does not list it; set in policy.toml: clouds = ["embedded", "azure"]
        SB0203 the subscription 2 may not be acted on — the machine's policy does not list it; set in policy.toml: subscriptions = ["2"]
        SB0206 the plugin vault-firewall@0.1 may not run on this machine — the policy lists it with another digest; add to policy.toml under [plugins]: "vault-firewall@0.1" = ["sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"]
        SB0206 the plugin other@0.1 may not run on this machine — the policy does not list it; add to policy.toml under [plugins]: "other@0.1" = ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]
        SB0207 this would cost 3.20 USD an hour — the machine's policy allows 1.50; choose another option, or set in policy.toml: usd_per_hour = 3.20
        "#);
        let wanted = Limits { memory_mib: 0, fuel_millions: 5, host_calls: 7 };
        assert_eq!(policy.cap(wanted), Limits { memory_mib: 64, fuel_millions: 5, host_calls: 7 });
        assert_eq!(policy.cap_retry(Duration::from_secs(7200)), Duration::from_secs(1800));
    }

    #[test]
    fn without_a_file_only_what_comes_with_sealbook_runs() {
        let policy = Policy::default();
        let plugin: PluginRef = "x@0.1".parse().unwrap();
        assert!(policy.admits_cloud(CloudName::Azure).is_ok() && policy.admits_subscription("any").is_ok());
        assert!(policy.admits_plugin(&plugin, &Digest::of(b""), true).is_ok());
        assert!(policy.admits_plugin(&plugin, &Digest::of(b""), false).is_err());
        assert!(policy.admits_cost(1e9).is_ok());
    }

    #[test]
    fn a_bad_policy_is_refused_whole() {
        let text =
            "version = 2\nclouds = [\"aws\"]\nusd = 1\nretry_within = \"soon\"\n[plugins]\n\"x\" = [\"md5:1\"]\n";
        let problems = Policy::parse("policy.toml", text).unwrap_err();
        let lines: Vec<String> = problems.iter().map(|p| p.plain(&|_| Some(text))).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        policy.toml:1:11: SB0205 the policy can't be used: `version` can't be 2; it is always 1
        policy.toml:2:11: SB0205 the policy can't be used: `clouds[1]` can't be `aws`; it may be `azure` or `embedded`
        policy.toml:3:1: SB0205 the policy can't be used: a policy has no key `usd`; its keys are `clouds`, `limits`, `plugins`, `retry_within`, `subscriptions`, `unlisted_plugins`, `usd_per_hour` and `version`
        policy.toml:4:16: SB0205 the policy can't be used: `retry_within` can't be `soon`; write it like "30m"
        policy.toml:6:1: SB0205 the policy can't be used: `x` is not a plugin (name@0.1)
        "#);
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("2h", Some(7200)),
            ("", None),
            ("h", None),
            ("1d", None),
            ("9é", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_secs()), seconds, "{text}");
        }
    }
}
