//! `plan`, `run`, `resume`, `undo`, `verify`: everything that meets a cloud.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::sync::Arc;

use sealbook_azure::Account;
use sealbook_engine::event::Events;
use sealbook_engine::host::{HostSettings, PluginHost};
use sealbook_engine::run::{self, Engine, RunSummary, Runs, Session, StartRequest, Status};
use sealbook_model::expr::{Context, Me};
use sealbook_model::id::{RunId, StepPath};
use sealbook_model::inputs::{InputSpec, Resolved, resolve};
use sealbook_model::journal::{Consent, Mode};
use sealbook_model::plan::{Plan, plan as make_plan};
use sealbook_model::playbook::{Answers, Choice, Lab};
use sealbook_model::problem::{Problem, codes};
use serde_json::json;

use crate::app::{App, Failure};
use crate::args::{AzureArgs, CloudChoice, InputArgs, Output, PlanArgs, ResumeArgs, RunArgs};
use crate::connect::{self, Connection};
use crate::learner::Terminal;
use crate::library::{self, Loaded, Rejected};
use crate::render::text::{Tone, command, line, usd};
use crate::render::{Reporter, narrate, plan as show_plan};
use crate::{out, prompt, signals};

/// What the learner gave and chose.
struct Answered {
    inputs: Resolved,
    prompted: Vec<String>,
    answers: Answers,
}

/// Shows what a run would do.
pub async fn plan(app: &App, args: PlanArgs) -> Result<u8, Failure> {
    let loaded = library::load(&args.playbook, &app.runtime()?).await.map_err(Failure::Rejected)?;
    // A plan is pure: it needs no sign-in, so who and where stay to be seen.
    let context = unknown_place(connect::name(args.cloud))?;
    let mut asker = Asker { app, given: given(&args.inputs)?, confirmed: Vec::new(), quiet: true };
    let answered = asker.answer(&loaded.lab, &context).map_err(|r| with_files(r, &loaded))?;
    let plan = make_plan(&loaded.lab, &answered.answers, &answered.inputs.values, &context)
        .map_err(|p| rejected(p, &loaded))?;
    match app.output() {
        Output::Json => out::json(&plan),
        Output::Human => app.data(&show_plan::lines(&plan, true)),
    }
    Ok(0)
}

/// Runs a playbook.
pub async fn run(app: &App, args: RunArgs) -> Result<u8, Failure> {
    let runtime = app.runtime()?;
    let loaded = library::load(&args.playbook, &runtime).await.map_err(Failure::Rejected)?;
    if args.hands_on && !args.yes {
        prompt::needs_terminal(
            &app.ui(),
            "--hands-on lets you do the steps yourself",
            "a terminal, or leave --hands-on out",
        )?;
    }
    let connection = connect::connect(app, args.cloud, &args.azure).await?;
    let context = context(&connection, Runs::new(app.home()).fresh_id());
    let mut asker = Asker { app, given: given(&args.inputs)?, confirmed: args.confirm.clone(), quiet: args.yes };
    let answered = asker.answer(&loaded.lab, &context).map_err(|r| with_files(r, &loaded))?;
    let plan = make_plan(&loaded.lab, &answered.answers, &answered.inputs.values, &context)
        .map_err(|p| rejected(p, &loaded))?;
    app.policy().admits_cost(plan.usd_per_hour)?;

    let reporter = Arc::new(Reporter::new(app.ui()));
    reporter.lines(&show_plan::lines(&plan, false));
    let consents = asker.consent(&plan, &connection, args.yes)?;
    let request = StartRequest {
        bundle: loaded.bundle,
        plugins: loaded.plugins,
        context,
        inputs: answered.inputs.values,
        secrets: answered.inputs.secrets,
        prompted: answered.prompted,
        answers: answered.answers,
        consents,
        mode: if args.hands_on { Mode::HandsOn } else { Mode::Auto },
    };
    let work = Work::new(app, runtime, connection, reporter, args.yes);
    let summary = work.engine.start(request, &work.session).await;
    work.conclude(app, summary)
}

/// Goes on with a run.
pub async fn resume(app: &App, args: ResumeArgs) -> Result<u8, Failure> {
    let (run, connection) = reconnect(app, args.run.as_deref(), &args.azure, args.yes, "resume").await?;
    let work = Work::new(app, app.runtime()?, connection, Arc::new(Reporter::new(app.ui())), args.yes);
    let summary = work.engine.resume(&run, &work.session).await;
    work.conclude(app, summary)
}

/// Cleans up after a run.
pub async fn undo(app: &App, run: Option<&str>, yes: bool, azure: &AzureArgs) -> Result<u8, Failure> {
    let id = Runs::new(app.home()).resolve(run)?;
    if !yes {
        prompt::needs_terminal(&app.ui(), "undo deletes what the run made", "--yes")?;
        let question = format!("Delete what run {id} made?");
        if !prompt::yes(&question, false).map_err(|e| prompt::broken_off(&e))? {
            out::note("Nothing was changed.");
            return Ok(0);
        }
    }
    let (run, connection) = reconnect(app, Some(id.as_str()), azure, yes, "undo").await?;
    let work = Work::new(app, app.runtime()?, connection, Arc::new(Reporter::new(app.ui())), yes);
    let summary = work.engine.undo(&run, &work.session).await;
    work.conclude(app, summary)
}

/// Looks again at what a run proved.
pub async fn verify(app: &App, run: &str, step: Option<&str>, azure: &AzureArgs) -> Result<u8, Failure> {
    let step: Option<StepPath> =
        step.map(str::parse).transpose().map_err(|e| Problem::new(codes::USAGE, format!("{e}")))?;
    let (run, connection) = reconnect(app, Some(run), azure, true, "verify").await?;
    let work = Work::new(app, app.runtime()?, connection, Arc::new(Reporter::new(app.ui())), true);
    let verdicts = work.engine.verify(&run, step.as_ref(), &work.session).await?;
    let failed = verdicts.iter().filter(|v| !v.passed).count();
    if app.output() == Output::Json {
        out::json(&verdicts);
    } else {
        let mut lines = Vec::new();
        for verdict in &verdicts {
            lines.push(line(
                if verdict.passed { Tone::Good } else { Tone::Bad },
                if verdict.passed { "ok" } else { "not so" },
                verdict.step.to_string(),
            ));
            lines.extend(verdict.evidence.iter().map(narrate::seen));
            lines.extend(verdict.error.iter().flat_map(|e| narrate::failure("It could not be verified.", &e.error)));
        }
        app.data(&lines);
    }
    Ok(if failed == 0 { 0 } else { 21 })
}

/// A session's engine and its surroundings.
struct Work {
    engine: Engine,
    session: Session,
    reporter: Arc<Reporter>,
}

impl Work {
    fn new(
        app: &App,
        runtime: Arc<sealbook_engine::host::Runtime>,
        connection: Connection,
        reporter: Arc<Reporter>,
        yes: bool,
    ) -> Self {
        let cancel = signals::listen();
        let host = PluginHost::new(HostSettings {
            runtime,
            azure: connection.azure,
            artifacts: app.home().root().join("artifacts"),
            policy: Arc::new(app.policy().clone()),
        });
        let mut settings = run::Settings::new(Arc::new(app.policy().clone()), env!("CARGO_PKG_VERSION"));
        settings.gates = app.gates();
        let engine = Engine::new(app.home(), Arc::new(host), settings);
        let shown = reporter.clone();
        let session = Session {
            learner: Arc::new(Terminal::new(app.ui(), yes, reporter.clone(), cancel.clone())),
            events: Events::new(move |event| shown.event(&event)),
            cancel,
        };
        Self { engine, session, reporter }
    }

    /// Shows how it ended. The last line of a failure is the command that continues.
    fn conclude(self, app: &App, summary: Result<RunSummary, Problem>) -> Result<u8, Failure> {
        self.reporter.finish();
        let summary = summary?;
        let code = summary.exit_code();
        if app.output() == Output::Json {
            out::json_line(&json!({
                "event": "run-finished", "run": summary.run, "status": summary.status.word(),
                "outputs": summary.outputs, "leftovers": summary.leftovers, "leaves": summary.leaves, "problem": summary.problem, "next": summary.next,
            }));
            return Ok(code);
        }
        let mut lines = Vec::new();
        let (tone, word) = match summary.status {
            Status::Succeeded | Status::Undone => (Tone::Good, "done"),
            Status::Interrupted => (Tone::Warn, "stopped"),
            _ => (Tone::Bad, "failed"),
        };
        lines.push(line(Tone::Head, "", ""));
        lines.push(line(tone, word, format!("Run {} {}.", summary.run, summary.status.word())));
        for live in summary.live.iter().filter(|l| l.usd_per_hour > 0.0) {
            lines.push(line(
                Tone::Warn,
                "costs",
                format!("{} ({}): {} an hour", live.item, live.step, usd(live.usd_per_hour)),
            ));
        }
        lines.extend(summary.leftovers.iter().map(narrate::leftover));
        // Once undone, what really stays has been listed above.
        let foreseen = summary.leaves.iter().filter(|_| summary.status != Status::Undone);
        lines.extend(foreseen.map(|l| line(Tone::Warn, "stays", l.clone())));
        if let Some(problem) = &summary.problem {
            lines.extend(problem.fix.iter().map(|f| line(Tone::Plain, "fix", f.clone())));
            lines.push(command("more", format!("sealbook explain {}", problem.code)));
        }
        if let Some(next) = &summary.next {
            let word = if summary.status == Status::Succeeded { "clean up" } else { "continue" };
            lines.push(line(Tone::Plain, "", format!("To {word}:")));
            lines.push(command("", next.clone()));
        }
        self.reporter.lines(&lines);
        Ok(code)
    }
}

/// Connects to the cloud that a run was started on, and makes sure that it is the same account.
async fn reconnect(
    app: &App,
    run: Option<&str>,
    azure: &AzureArgs,
    yes: bool,
    verb: &str,
) -> Result<(RunId, Connection), Failure> {
    let runs = Runs::new(app.home());
    let run = runs.resolve(run)?;
    let started = runs.state(&run)?.started.map(|s| s.context);
    let Some(began) = started else {
        return Err(Problem::new(codes::UNKNOWN_RUN, format!("run {run} never began"))
            .fix("start a new one: sealbook run")
            .into());
    };
    let cloud = if began.cloud == "azure" { CloudChoice::Azure } else { CloudChoice::Embedded };
    let args = AzureArgs {
        tenant: Some(began.tenant.clone()),
        subscription: Some(began.subscription.clone()),
        credential: azure.credential,
    };
    let connection = connect::connect(app, cloud, &args).await?;
    let now = &connection.account;
    if (&now.tenant, &now.subscription_id) != (&began.tenant, &began.subscription) {
        return Err(Problem::new(codes::WRONG_SUBSCRIPTION, format!("run {run} belongs to another cloud"))
            .because(format!(
                "it was started in subscription {} of tenant {}; this is {} of {}",
                began.subscription, began.tenant, now.subscription_id, now.tenant
            ))
            .fix("sign in there; on an embedded Azure that was reset, `sealbook runs rm` removes the run")
            .into());
    }
    if cloud == CloudChoice::Azure && !yes {
        prompt::needs_terminal(&app.ui(), format!("{verb} works on Azure itself").as_str(), "--yes")?;
        confirm_account(now)?;
    }
    Ok((run, connection))
}

/// Asks for what is missing, once each.
struct Asker<'a> {
    app: &'a App,
    given: BTreeMap<String, String>,
    confirmed: Vec<String>,
    quiet: bool,
}

impl Asker<'_> {
    /// Choices first, since they decide which steps there are; then inputs.
    fn answer(&mut self, lab: &Lab, context: &Context) -> Result<Answered, Failure> {
        let answers = self.choices(lab)?;
        let resolved = resolve(&lab.inputs, &self.given, context).map_err(unfit)?;
        let mut asked = self.given.clone();
        for name in &resolved.missing {
            let Some(spec) = lab.inputs.iter().find(|i| i.name == *name) else { continue };
            prompt::needs_terminal(
                &self.app.ui(),
                &format!("the playbook needs the input `{name}`"),
                &format!("--set {name}=…"),
            )?;
            asked.insert(name.clone(), ask_input(spec)?);
        }
        let prompted = resolved.missing;
        let inputs = resolve(&lab.inputs, &asked, context).map_err(unfit)?;
        Ok(Answered { inputs, prompted, answers })
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
        if let Some(given) = self.given.remove(choice.path.as_str()) {
            if ids.contains(&given.as_str()) {
                return Ok(given);
            }
            return Err(Problem::new(codes::USAGE, format!("`{given}` is no option of `{}`", choice.path))
                .fix(format!("one of: {}", ids.join(", ")))
                .into());
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
    fn consent(&self, plan: &Plan, connection: &Connection, yes: bool) -> Result<Vec<Consent>, Failure> {
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
        if connection.cloud == "azure" && !yes {
            prompt::needs_terminal(&self.app.ui(), "the run works on Azure itself", "--yes")?;
            confirm_account(&connection.account)?;
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

/// Names the account and asks.
fn confirm_account(account: &Account) -> Result<(), Failure> {
    let question = format!(
        "Use subscription {} ({}) in tenant {} as {}?",
        account.subscription_name, account.subscription_id, account.tenant, account.principal_name
    );
    if prompt::yes(&question, false).map_err(|e| prompt::broken_off(&e))? {
        return Ok(());
    }
    Err(Problem::new(codes::NOT_CONFIRMED, "the account was not confirmed")
        .fix("name another one with --tenant and --subscription")
        .into())
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
fn given(args: &InputArgs) -> Result<BTreeMap<String, String>, Problem> {
    let mut given = BTreeMap::new();
    let pair = |text: &str, flag: &str| {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            Problem::new(codes::USAGE, format!("`{flag} {text}` has no `=`")).fix(format!("{flag} name=value"))
        })?;
        Ok::<_, Problem>((name.trim().to_owned(), value.to_owned()))
    };
    for text in &args.set {
        let (name, value) = pair(text, "--set")?;
        given.insert(name, value);
    }
    for text in &args.set_file {
        let (name, path) = pair(text, "--set-file")?;
        let read = if path == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(&path)
        };
        let value =
            read.map_err(|e| Problem::new(codes::USAGE, format!("`{path}` can't be read")).because(e.to_string()))?;
        given.insert(name, value.trim_end_matches(['\r', '\n']).to_owned());
    }
    Ok(given)
}

/// The context of a run that is about to start.
fn context(connection: &Connection, run: RunId) -> Context {
    let account = &connection.account;
    Context {
        run,
        cloud: connection.cloud.into(),
        tenant: account.tenant.clone(),
        subscription: account.subscription_id.clone(),
        subscription_name: account.subscription_name.clone(),
        me: Me {
            id: account.principal_id.clone(),
            name: account.principal_name.clone(),
            kind: account.principal_type.clone(),
        },
    }
}

fn unknown_place(cloud: &str) -> Result<Context, Problem> {
    // The id that names will be made of is drawn when the run starts; this one only shows where it goes.
    let run = "yourid".parse().map_err(|e| Problem::new(codes::USAGE, format!("{e}")))?;
    let nobody = "00000000-0000-0000-0000-000000000000".to_owned();
    Ok(Context {
        run,
        cloud: cloud.into(),
        tenant: nobody.clone(),
        subscription: nobody.clone(),
        subscription_name: "your subscription".into(),
        me: Me { id: nobody, name: "you".into(), kind: "User".into() },
    })
}

fn unfit(problems: Vec<Problem>) -> Failure {
    Failure::Rejected(Rejected { problems, files: BTreeMap::new() })
}

fn rejected(problems: Vec<Problem>, loaded: &Loaded) -> Failure {
    Failure::Rejected(Rejected { problems, files: loaded.bundle.files.clone() })
}

fn with_files(failure: Failure, loaded: &Loaded) -> Failure {
    match failure {
        Failure::Rejected(r) => rejected(r.problems, loaded),
        other => other,
    }
}
