//! What a run needs to know before it starts: inputs, choices and consent, from the command line or asked for.

use std::collections::BTreeMap;
use std::path::Path;

use sealbook_engine::run::Runs;
use sealbook_model::CloudName;
use sealbook_model::expr::Context;
use sealbook_model::inputs::{InputSpec, Resolved, resolve};
use sealbook_model::journal::Consent;
use sealbook_model::plan::Plan;
use sealbook_model::playbook::{Answers, Choice, Lab};
use sealbook_model::problem::{Problem, codes};
use serde_json::Value;

use super::input;
use crate::app::{App, Failure};
use crate::args::InputArgs;
use crate::connect::Connection;
use crate::library::Rejected;
use crate::render::text::usd;
use crate::{out, prompt};

/// Longest input from a file, in bytes: it is sealed with the run and held in memory.
const LONGEST: u64 = 16 << 20;

/// What the learner gave and chose.
pub struct Answered {
    /// Values and secrets.
    pub inputs: Resolved,
    /// The inputs that were asked for.
    pub prompted: Vec<String>,
    /// The options that were chosen.
    pub answers: Answers,
}

/// Asks for what is missing, once each.
pub struct Asker<'a> {
    app: &'a App,
    given: BTreeMap<String, Given>,
    /// The run to go on from.
    from: Option<String>,
    confirmed: Vec<String>,
    quiet: bool,
}

/// A value from the command line.
struct Given {
    value: String,
    /// Whether it stood among the arguments, where every process of the machine can read it.
    in_the_open: bool,
}

impl<'a> Asker<'a> {
    /// Takes what the command line gives. `quiet`: take defaults without asking; `confirmed`: typed consent.
    pub fn new(app: &'a App, args: &InputArgs, quiet: bool, confirmed: &[String]) -> Result<Self, Problem> {
        Ok(Self { app, given: given(args)?, from: args.from.clone(), confirmed: confirmed.to_vec(), quiet })
    }

    /// Choices first, since they decide which steps there are; then inputs.
    pub fn answer(&mut self, lab: &Lab, context: &Context) -> Result<Answered, Failure> {
        self.take_from(lab)?;
        let answers = self.choices(lab)?;
        self.refuse_open_secrets(&lab.inputs)?;
        let mut asked: BTreeMap<String, String> =
            self.given.iter().map(|(name, given)| (name.clone(), given.value.clone())).collect();
        let resolved = resolve(&lab.inputs, &asked, context).map_err(unfit)?;
        for name in &resolved.missing {
            let Some(spec) = lab.inputs.iter().find(|i| i.name == *name) else { continue };
            prompt::needs_terminal(&self.app.ui(), &format!("the playbook needs the input `{name}`"), &spec.flag())?;
            asked.insert(name.clone(), ask_input(spec)?);
        }
        let prompted = resolved.missing;
        let inputs = resolve(&lab.inputs, &asked, context).map_err(unfit)?;
        Ok(Answered { inputs, prompted, answers })
    }

    /// Takes from an earlier run what was not given otherwise.
    fn take_from(&mut self, lab: &Lab) -> Result<(), Problem> {
        let Some(run) = &self.from else { return Ok(()) };
        let runs = Runs::new(self.app.home());
        let run = runs.resolve(Some(run))?;
        let outputs = runs.state(&run)?.outputs.unwrap_or_default();
        let mut taken = false;
        for (spec, path) in lab.inputs.iter().filter_map(|spec| Some((spec, spec.from.as_ref()?))) {
            let found = path.split('.').try_fold(&outputs, |value, name| value.get(name)).and_then(Value::as_str);
            if let Some(value) = found {
                taken = true;
                spec.parse(value).map_err(|problem| problem.because(format!("run {run} has it as its {path}")))?;
                let given = Given { value: value.to_owned(), in_the_open: true };
                self.given.entry(spec.name.clone()).or_insert(given);
            }
        }
        if taken {
            return Ok(());
        }
        let wanted: Vec<&str> = lab.inputs.iter().filter_map(|spec| spec.from.as_deref()).collect();
        let problem = Problem::new(codes::USAGE, format!("run {run} made nothing that `{}` could go on from", lab.id));
        Err(match wanted.as_slice() {
            [] => problem.because("the playbook takes nothing over from other runs"),
            wanted => problem.because(format!("it has no output {}", wanted.join(" nor "))).fix("sealbook runs"),
        })
    }

    /// Other programs can read arguments, and shells keep them.
    fn refuse_open_secrets(&self, specs: &[InputSpec]) -> Result<(), Problem> {
        let open = |spec: &&InputSpec| spec.secret && self.given.get(&spec.name).is_some_and(|g| g.in_the_open);
        specs.iter().find(open).map_or(Ok(()), |spec| {
            let name = &spec.name;
            Err(Problem::new(codes::USAGE, format!("the input `{name}` is secret, and --set shows it to others"))
                .because("arguments stand in the list of processes and in the shell's history")
                .fix(format!("put it in a file: --set-file {name}=FILE; or pipe it: --set-file {name}=-")))
        })
    }

    fn choices(&mut self, lab: &Lab) -> Result<Answers, Failure> {
        let mut answers = Answers::new();
        // Answering one choice may open another.
        while let Some(choice) = lab.choices(&answers).into_iter().find(|c| !answers.contains_key(&c.path)) {
            let option = self.choose(&choice)?;
            answers.insert(choice.path, option);
        }
        Ok(answers)
    }

    fn choose(&mut self, choice: &Choice) -> Result<String, Failure> {
        let ids: Vec<&str> = choice.options.iter().map(|o| o.id.as_str()).collect();
        if let Some(Given { value: given, .. }) = self.given.remove(choice.path.as_str()) {
            if ids.contains(&given.as_str()) {
                return Ok(given);
            }
            return Err(Problem::new(codes::USAGE, format!("`{given}` is no option of `{}`", choice.path))
                .fix(format!("one of: {}", ids.join(", ")))
                .into());
        }
        let is_given = |name: &String| self.given.get(name).is_some_and(|given| !given.value.is_empty());
        if let Some(option) = choice.options.iter().find(|option| option.given.as_ref().is_some_and(is_given)) {
            return Ok(option.id.clone());
        }
        if let (Some(default), true) = (&choice.default, self.quiet || !self.app.ui().can_ask || ids.len() == 1) {
            return Ok(default.clone());
        }
        prompt::needs_terminal(
            &self.app.ui(),
            &choice.question,
            &format!("--set {}=<{}>", choice.path, ids.join("|")),
        )?;
        let options: Vec<String> = choice
            .options
            .iter()
            .map(|o| {
                let cost = o.cost.as_ref().map_or_else(String::new, |c| {
                    format!(" ({} an hour, {} after clean-up)", usd(c.usd_per_hour), usd(c.usd_after_undo))
                });
                format!("{}: {}{cost}", o.id, o.when.as_deref().unwrap_or(""))
            })
            .collect();
        let default = choice.default.as_ref().and_then(|d| ids.iter().position(|id| id == d));
        let picked = prompt::choose(&choice.question, &options, default).map_err(|e| prompt::broken_off(&e))?;
        Ok(ids[picked].to_owned())
    }

    /// Consent to the plan, and typed consent to what is costly. On Azure itself, to the account too.
    pub fn consent(&self, plan: &Plan, connection: &Connection, yes: bool) -> Result<Vec<Consent>, Failure> {
        let mut consents = Vec::new();
        for choice in plan.choices.iter() {
            let Some(text) = &choice.confirm else { continue };
            if !self.confirmed.contains(text) {
                prompt::needs_terminal(
                    &self.app.ui(),
                    &format!("`{}` costs {text}", choice.option),
                    &format!("--confirm {text:?}"),
                )?;
                let typed =
                    prompt::ask(&format!("Type this to agree: {text}\n>")).map_err(|e| prompt::broken_off(&e))?;
                if typed != *text {
                    return Err(Problem::new(codes::NOT_CONFIRMED, "you did not agree to the cost")
                        .fix("choose another option, or type the text exactly")
                        .into());
                }
            }
            consents.push(Consent { subject: choice.path.to_string(), text: text.clone() });
        }
        if connection.cloud == CloudName::Azure && !yes {
            prompt::needs_terminal(&self.app.ui(), "the run works on Azure itself", "--yes")?;
            super::run::confirm_account(&connection.account)?;
        }
        if !yes && self.app.ui().can_ask && !prompt::yes("Start?", true).map_err(|e| prompt::broken_off(&e))? {
            return Err(Problem::new(codes::NOT_CONFIRMED, "the run was not started").into());
        }
        // The embedded Azure costs nothing and touches nothing outside the home: without a terminal it needs no --yes.
        consents.push(Consent {
            subject: "plan".into(),
            text: format!(
                "{} steps, {} an hour, {} after clean-up",
                plan.steps.len(),
                usd(plan.usd_per_hour),
                usd(plan.usd_after_undo)
            ),
        });
        Ok(consents)
    }
}

fn ask_input(spec: &InputSpec) -> Result<String, Failure> {
    let question = spec.prompt.clone().unwrap_or_else(|| spec.name.clone());
    loop {
        let answer = if spec.secret {
            prompt::ask_secret(&format!("{question}:"))
        } else {
            prompt::ask(&format!("{question}:"))
        };
        let answer = answer.map_err(|e| prompt::broken_off(&e))?;
        match spec.parse(&answer) {
            Ok(_) => return Ok(answer),
            Err(problem) => out::note(&problem.what),
        }
    }
}

/// The `--set` and `--set-file` pairs.
fn given(args: &InputArgs) -> Result<BTreeMap<String, Given>, Problem> {
    let mut given = BTreeMap::new();
    let pair = |text: &str, flag: &str| {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Problem::new(codes::USAGE, format!("`{flag} {text}` has no `=`")).fix(format!("{flag} name=value"))
        })?;
        Ok::<_, Problem>((name.trim().to_owned(), value.to_owned()))
    };
    let mut once = |name: String, given_now: Given| match given.insert(name.clone(), given_now) {
        Some(_) => Err(Problem::new(codes::USAGE, format!("`{name}` is given twice")).fix("give it once")),
        None => Ok(()),
    };
    if args.set_file.iter().filter(|text| text.ends_with("=-")).count() > 1 {
        return Err(Problem::new(codes::USAGE, "only one input can come from standard input"));
    }
    for text in &args.set {
        let (name, value) = pair(text, "--set")?;
        once(name, Given { value, in_the_open: true })?;
    }
    for text in &args.set_file {
        let (name, path) = pair(text, "--set-file")?;
        let bytes = input::read(Path::new(&path), LONGEST, "an input")?;
        let value = String::from_utf8(bytes)
            .map_err(|e| Problem::new(codes::USAGE, format!("`{path}` is no text")).because(e.to_string()))?;
        let value = value.trim_end_matches(['\r', '\n']).to_owned();
        once(name, Given { value, in_the_open: false })?;
    }
    Ok(given)
}

fn unfit(problems: Vec<Problem>) -> Failure {
    Failure::Rejected(Rejected { problems, files: BTreeMap::new() })
}
