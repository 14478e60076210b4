//! `plan`, `run`, `resume`, `undo`, `verify`: everything that meets a cloud.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealbook_azure::Account;
use sealbook_engine::event::Events;
use sealbook_engine::guest::{GuestSettings, Guests};
use sealbook_engine::host::{HostSettings, PluginHost};
use sealbook_engine::run::{self, Engine, RunSummary, Runs, Session, StartRequest, Status};
use sealbook_model::CloudName;
use sealbook_model::expr::{Context, Me};
use sealbook_model::id::{RunId, StepPath};
use sealbook_model::journal::Mode;
use sealbook_model::plan::plan as make_plan;
use sealbook_model::problem::{Problem, codes};
use serde_json::json;

use super::asker::Asker;
use crate::app::{App, Failure};
use crate::args::{AzureArgs, Output, PlanArgs, ResumeArgs, RunArgs};
use crate::connect::{self, Connection};
use crate::learner::Terminal;
use crate::library::{self, Loaded};
use crate::render::text::{Tone, command, line, usd};
use crate::render::{Reporter, narrate, plan as show_plan};
use crate::{out, prompt, signals};

/// Shows what a run would do.
pub async fn plan(app: &App, args: PlanArgs) -> Result<u8, Failure> {
    let loaded = library::load(&args.playbook, &app.runtime()?, app.policy()).await.map_err(Failure::Rejected)?;
    // A plan is pure: it needs no sign-in, so who and where stay to be seen.
    // Nor is its id drawn yet, of which names are made; this one only shows where it goes.
    let context = unknown_place(args.cloud.into(), "yourid")?;
    let mut asker = Asker::new(app, &args.inputs, true, &[])?;
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
    let loaded = library::load(&args.playbook, &runtime, app.policy()).await.map_err(Failure::Rejected)?;
    if args.hands_on && !args.yes {
        prompt::needs_terminal(
            &app.ui(),
            "--hands-on lets you do the steps yourself",
            "a terminal, or leave --hands-on out",
        )?;
    }
    let connection = connect::connect(app, args.cloud.into(), &args.azure).await?;
    let context = context(&connection, Runs::new(app.home()).fresh_id());
    let mut asker = Asker::new(app, &args.inputs, args.yes, &args.confirm)?;
    let answered = asker.answer(&loaded.lab, &context).map_err(|r| with_files(r, &loaded))?;
    let plan = make_plan(&loaded.lab, &answered.answers, &answered.inputs.values, &context)
        .map_err(|p| rejected(p, &loaded))?;
    app.policy().admits_cost(plan.usd_per_hour)?;

    let reporter = Arc::new(Reporter::new(app.ui()));
    reporter.lines(&show_plan::lines(&plan, false));
    let consents = asker.consent(&plan, &connection, args.yes)?;
    let source = loaded.source();
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
        quiet: args.yes,
        source,
    };
    let work = Work::new(app, runtime, connection, reporter, args.yes);
    let summary = work.engine.start(request, &work.session).await;
    work.conclude(app, summary)
}

/// Goes on with a run.
pub async fn resume(app: &App, args: ResumeArgs) -> Result<u8, Failure> {
    let (run, connection) = reconnect(app, args.run.as_deref(), &args.azure, args.yes, "resume").await?;
    let started = Runs::new(app.home()).state(&run)?.started;
    // A run that was started to ask nobody keeps to it.
    let quiet = args.yes || started.as_ref().is_some_and(|started| started.quiet && !args.ask);
    let reporter = Arc::new(Reporter::new(app.ui()));
    let changes = started.map_or_else(Vec::new, |started| library::changes(&app.home(), &started));
    if !changes.is_empty() {
        match app.output() {
            Output::Json => out::json_line(&json!({ "event": "playbook-changed", "run": run, "changes": changes })),
            Output::Human => reporter.lines(&[line(
                Tone::Warn,
                "note",
                format!(
                    "The playbook is not what it was when this run began: {}. The run goes on with what it began with; a new run takes the playbook as it is now.",
                    changes.join("; ")
                ),
            )]),
        }
    }
    let work = Work::new(app, app.runtime()?, connection, reporter, quiet);
    let summary = work.engine.resume(&run, &work.session).await;
    work.conclude(app, summary)
}

/// Cleans up after a run.
pub async fn undo(app: &App, run: Option<&str>, yes: bool, azure: &AzureArgs) -> Result<u8, Failure> {
    let runs = Runs::new(app.home());
    let id = match run {
        Some(_) => runs.resolve(run)?,
        // The latest one may be undone already, and an earlier one still standing.
        None => match runs.latest_to_undo()? {
            Some(id) => id,
            None => runs.resolve(None)?,
        },
    };
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
pub async fn verify(app: &App, run: Option<&str>, step: Option<&str>, azure: &AzureArgs) -> Result<u8, Failure> {
    let step: Option<StepPath> =
        step.map(str::parse).transpose().map_err(|e| Problem::new(codes::USAGE, format!("{e}")))?;
    let (run, connection) = reconnect(app, run, azure, true, "verify").await?;
    let work = Work::new(app, app.runtime()?, connection, Arc::new(Reporter::new(app.ui())), true);
    let verdicts = work.engine.verify(&run, step.as_ref(), &work.session).await?;
    let failed = verdicts.iter().any(|v| v.passed == Some(false));
    if app.output() == Output::Json {
        out::json(&verdicts);
    } else {
        let mut lines = Vec::new();
        for verdict in &verdicts {
            let (tone, word) = match verdict.passed {
                Some(true) => (Tone::Good, "ok"),
                Some(false) => (Tone::Bad, "not so"),
                None => (Tone::Dim, "gone"),
            };
            lines.push(line(tone, word, verdict.step.to_string()));
            lines.extend(verdict.gone.iter().map(|why| line(Tone::Dim, "", why.clone())));
            lines.extend(verdict.evidence.iter().map(narrate::seen));
            lines.extend(verdict.error.iter().flat_map(|e| narrate::failure("It could not be verified.", &e.error)));
        }
        let looked = |step: &StepPath| verdicts.iter().any(|v| v.step == *step);
        let info = Runs::new(app.home()).info(&run)?;
        let passed_over: Vec<&str> = info.steps.iter().filter(|s| !looked(&s.step)).map(|s| s.step.as_str()).collect();
        if step.is_none() && !passed_over.is_empty() {
            let text = format!(
                "not looked at again: {}. What is undone, was there before or showed a passing moment has nothing to look at.",
                passed_over.join(", ")
            );
            lines.push(line(Tone::Dim, "note", text));
        }
        app.data(&lines);
    }
    Ok(if failed { 21 } else { 0 })
}

/// What runs in a confidential VM of Azure: this program, unless `SEALBOOK_GUEST_PROGRAM` names its twin for Linux.
fn guest_program() -> Option<PathBuf> {
    let named = std::env::var_os("SEALBOOK_GUEST_PROGRAM").filter(|path| !path.is_empty());
    named.map(PathBuf::from).or_else(|| std::env::current_exe().ok())
}

/// A session's engine and its surroundings.
struct Work {
    engine: Engine,
    session: Session,
    reporter: Arc<Reporter>,
    /// Whether faults were set on the embedded Azure.
    misbehaves: bool,
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
        let embedded = connection.cloud == CloudName::Embedded;
        let guests = GuestSettings {
            azure: connection.azure.clone(),
            components: runtime.components(),
            // The embedded Azure's machines are this program.
            binary: if embedded { None } else { guest_program() },
            look_after: Duration::from_secs(if embedded { 3 } else { 60 }),
            notice_within: Duration::from_secs(if embedded { 60 } else { 900 }),
        };
        let here = PluginHost::new(HostSettings {
            runtime,
            azure: connection.azure,
            artifacts: app.home().artifacts(),
            policy: Arc::new(app.policy().clone()),
            judge: connection.judge,
            tee: None,
        });
        let host = Guests::new(here, guests);
        let mut settings = run::Settings::new(Arc::new(app.policy().clone()), env!("CARGO_PKG_VERSION"));
        settings.gates = app.hooks().gates;
        let engine = Engine::new(app.home(), Arc::new(host), settings);
        let shown = reporter.clone();
        let session = Session {
            learner: Arc::new(Terminal::new(app.ui(), yes, embedded, reporter.clone(), cancel.clone())),
            events: Events::new(move |event| shown.event(&event)),
            cancel,
        };
        Self { engine, session, reporter, misbehaves: connection.misbehaves }
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
            let text = format!("{} ({}): on Azure {} an hour", live.item, live.step, usd(live.usd_per_hour));
            lines.push(line(Tone::Warn, "costs", text));
        }
        if summary.status == Status::Failed && self.misbehaves {
            let text = "The embedded Azure was told to misbehave: `sealbook cloud fault` shows how, `sealbook cloud fault --clear` ends it.";
            lines.push(line(Tone::Warn, "note", text));
        }
        lines.extend(summary.leftovers.iter().map(narrate::leftover));
        // Once undone, what really stays has been listed above.
        let foreseen = summary.leaves.iter().filter(|_| summary.status != Status::Undone);
        lines.extend(foreseen.map(|l| line(Tone::Warn, "stays", l.clone())));
        // What happened and its cure were told when it happened.
        if let Some(problem) = &summary.problem {
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
    let args = AzureArgs {
        tenant: Some(began.tenant.clone()),
        subscription: Some(began.subscription.clone()),
        credential: azure.credential,
    };
    let connection = connect::connect(app, began.cloud, &args).await?;
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
    if began.cloud == CloudName::Azure && !yes {
        prompt::needs_terminal(&app.ui(), format!("{verb} works on Azure itself").as_str(), "--yes")?;
        confirm_account(now)?;
    }
    Ok((run, connection))
}

/// Names the account and asks.
pub fn confirm_account(account: &Account) -> Result<(), Failure> {
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

/// The context of a run that is about to start.
fn context(connection: &Connection, run: RunId) -> Context {
    let account = &connection.account;
    Context {
        run,
        cloud: connection.cloud,
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

/// A context for what needs no sign-in.
pub fn unknown_place(cloud: CloudName, run: &str) -> Result<Context, Problem> {
    let run = run.parse().map_err(|e| Problem::new(codes::USAGE, format!("{e}")))?;
    let nobody = "00000000-0000-0000-0000-000000000000".to_owned();
    Ok(Context {
        run,
        cloud,
        tenant: nobody.clone(),
        subscription: nobody.clone(),
        subscription_name: "your subscription".into(),
        me: Me { id: nobody, name: "you".into(), kind: "User".into() },
    })
}

/// Problems that came up after compiling.
pub fn rejected(problems: Vec<Problem>, loaded: &Loaded) -> Failure {
    Failure::Rejected(loaded.rejected(problems))
}

/// Gives problems the files that they speak of.
pub fn with_files(failure: Failure, loaded: &Loaded) -> Failure {
    match failure {
        Failure::Rejected(r) => rejected(r.problems, loaded),
        other => other,
    }
}
