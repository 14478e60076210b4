//! Kills the process at chosen and at random instants, during `run`, `resume` and `undo`, with the embedded Azure in
//! the process and with one that survives it; then resumes, and looks at what the cloud holds.
//!
//! The sample in CI takes a couple of minutes; `SEALBOOK_CRASH=full cargo test --test crash` tries every passing of
//! every gate and 200 random instants.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod others;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use sealbook_cloud::Item;
use support::{Done, Lab, census};

const RUN: [&str; 5] = ["--output", "json", "run", "cmk-storage", "--yes"];

/// A home with a run that is not ours: a stranger's equal resources. Everything of it must outlive every trial.
struct Scene {
    home: Lab,
    strangers: Vec<Item>,
    /// Census of what one undisturbed run makes.
    made: BTreeMap<String, usize>,
    /// Census of what its undo leaves.
    left: BTreeMap<String, usize>,
    /// Passings of each gate in an undisturbed run, and in its undo.
    run_gates: Vec<String>,
    undo_gates: Vec<String>,
    /// How long the undisturbed run and undo took.
    run_time: Duration,
    undo_time: Duration,
}

fn full() -> bool {
    std::env::var("SEALBOOK_CRASH").is_ok_and(|v| v == "full")
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let home = Lab::warm();
        home.cloud().set_role_delay(Duration::ZERO).unwrap();
        home.run(&RUN).expect(0);
        let strangers = home.inventory();
        let undisturbed = home.copy();
        let trace = undisturbed.home().join("gates");
        let traced = |args: &[&str]| {
            let _ = std::fs::remove_file(&trace);
            let start = Instant::now();
            undisturbed.run_with(args, &[("SEALBOOK_GATES", trace.to_str().unwrap())]).expect(0);
            let gates: Vec<String> = std::fs::read_to_string(&trace).unwrap().lines().map(str::to_owned).collect();
            (gates, start.elapsed())
        };
        let (run_gates, run_time) = traced(&RUN);
        let made = census(&without(undisturbed.inventory(), &strangers));
        let (undo_gates, undo_time) = traced(&["--output", "json", "undo", "--yes"]);
        let left = census(&without(undisturbed.inventory(), &strangers));
        assert!(
            made.values().sum::<usize>() > left.values().sum::<usize>(),
            "undo must remove something: {made:?} {left:?}"
        );
        for kind in ["Microsoft.Resources/resourceGroups", "Microsoft.Storage/storageAccounts", "blob", "key"] {
            assert!(made.contains_key(kind), "the lab makes a {kind}: {made:?}");
            assert!(!left.contains_key(kind), "undo removes every {kind}: {left:?}");
        }
        Scene { home, strangers, made, left, run_gates, undo_gates, run_time, undo_time }
    })
}

/// What is there beyond the stranger's things, which must all be there unchanged.
#[track_caller]
fn without(items: Vec<Item>, strangers: &[Item]) -> Vec<Item> {
    for stranger in strangers {
        assert!(items.contains(stranger), "a stranger's thing was touched: {stranger:?}");
    }
    items.into_iter().filter(|i| !strangers.contains(i)).collect()
}

/// The run of a trial: the one that is not the stranger's.
fn own_run(lab: &Lab) -> Option<String> {
    let stranger = scene().home.run(&["--output", "json", "runs"]).expect(0).json()[0]["run"].clone();
    let runs = lab.run(&["--output", "json", "runs"]).expect(0).json();
    runs.as_array().unwrap().iter().map(|r| &r["run"]).find(|r| **r != stranger).map(|r| r.as_str().unwrap().to_owned())
}

/// Finishes a killed run, and demands that the cloud holds exactly one of each thing; then undoes it, and demands that
/// nothing is left but what soft delete keeps.
fn finish_and_judge(lab: &Lab, what: &str) {
    let scene = scene();
    let run = match own_run(lab) {
        Some(run) => {
            let done = lab.run(&["--output", "json", "resume", &run, "--yes"]);
            // A run that was killed after its last record has nothing left to resume.
            if done.code != Some(2) {
                succeeded(done, what);
            }
            run
        }
        // Killed before the first record: nothing had begun.
        None => {
            succeeded(lab.run(&RUN), what);
            own_run(lab).unwrap()
        }
    };
    let made = without(lab.inventory(), &scene.strangers);
    assert_eq!(census(&made), scene.made, "{what}: the cloud must hold exactly one of each thing: {made:#?}");
    undo_and_judge(lab, &run, what);
}

/// Undoes a run; what is there afterwards beyond the stranger's things.
fn left_after_undo(lab: &Lab, run: &str, what: &str) -> Vec<Item> {
    let done = lab.run(&["--output", "json", "undo", run, "--yes"]);
    assert!(
        done.code == Some(0) || done.stderr.contains("SB0507"),
        "{what}: undo: {:?} {}{}",
        done.code,
        done.stdout,
        done.stderr
    );
    without(lab.inventory(), &scene().strangers)
}

fn undo_and_judge(lab: &Lab, run: &str, what: &str) {
    let (scene, left) = (scene(), left_after_undo(lab, run, what));
    assert_eq!(census(&left), scene.left, "{what}: undo must leave only what soft delete keeps: {left:#?}");
}

#[track_caller]
fn succeeded(done: Done, what: &str) {
    assert_eq!(done.code, Some(0), "{what}\n{}\n{}", done.stdout, done.stderr);
    assert_eq!(done.last()["status"], "succeeded", "{what}");
}

/// Runs trials on all cores, and reports every failure.
fn trials<T: Sync>(all: &[T], trial: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    // Trials mostly wait for long-running operations: more of them than cores.
    let workers = 4 * std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(t) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| trial(t))) {
                        let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a trial panicked".into());
                        failed.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} trials failed:\n{}", failed.len(), all.len(), failed.join("\n"));
}

/// Which passings of which gates to try: all of them, or the first, the middle and the last of each.
fn instants(passed: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for gate in passed {
        *counts.entry(gate).or_default() += 1;
    }
    let mut out = Vec::new();
    for (gate, count) in counts {
        let chosen: BTreeSet<usize> = match full() {
            true => (1..=count).collect(),
            // Around a request is where outcomes get lost: more of those.
            false if !gate.contains("record") => (0..6).map(|n| 1 + n * (count - 1) / 5).collect(),
            false => [count / 2 + 1].into(),
        };
        out.extend(chosen.into_iter().map(|n| format!("{gate}:{n}")));
    }
    out
}

/// Starts a command that dies at a gate, and makes sure that it did.
fn die_at(lab: &Lab, args: &[&str], gate: &str) {
    let done = lab.run_with(args, &[("SEALBOOK_CRASH_AT", gate)]);
    assert_eq!(done.code, None, "{args:?} should have died at {gate}:\n{}\n{}", done.stdout, done.stderr);
}

#[test]
fn killed_at_every_kind_of_instant_a_run_resumes() {
    let instants = instants(&scene().run_gates);
    let kinds: BTreeSet<&str> = instants.iter().filter_map(|i| i.rsplit_once(':')).map(|(g, _)| g).collect();
    println!(
        "gates hit during run: {} kinds, {} instants\n  {}",
        kinds.len(),
        instants.len(),
        kinds.iter().copied().collect::<Vec<_>>().join("\n  ")
    );
    for gate in [
        "before:send",
        "after:commit",
        "after:response",
        "before-record:effect-intended",
        "after-record:effect-intended",
        "before-record:effect-completed",
    ] {
        assert!(kinds.contains(gate), "the run never passed {gate}");
    }
    trials(&instants, |gate| {
        let lab = scene().home.copy();
        die_at(&lab, &RUN, gate);
        finish_and_judge(&lab, &format!("run killed at {gate}"));
    });
}

#[test]
fn killed_again_while_resuming_a_run_resumes() {
    let instants = instants(&scene().run_gates);
    let around: Vec<&String> =
        instants.iter().filter(|i| i.starts_with("after:commit") || i.contains("effect-")).collect();
    let second =
        ["after:commit:1", "before-record:effect-completed:1", "after-record:effect-intended:1", "before:send:2"];
    let pairs: Vec<(&str, &str)> =
        around.iter().enumerate().map(|(n, first)| (first.as_str(), second[n % second.len()])).collect();
    trials(&pairs, |(first, second)| {
        let lab = scene().home.copy();
        die_at(&lab, &RUN, first);
        let run = own_run(&lab).unwrap();
        // Near the end there may be no second gate left: then the resume simply succeeds.
        let again = lab.run_with(&["--output", "json", "resume", &run, "--yes"], &[("SEALBOOK_CRASH_AT", second)]);
        assert!(
            matches!(again.code, None | Some(0)),
            "resume after {first}: {:?}\n{}\n{}",
            again.code,
            again.stdout,
            again.stderr
        );
        finish_and_judge(&lab, &format!("run killed at {first}, resume at {second}"));
    });
}

#[test]
fn killed_while_undoing_an_undo_goes_on() {
    let finished = scene().home.copy();
    finished.run(&RUN).expect(0);
    let run = own_run(&finished).unwrap();
    let instants = instants(&scene().undo_gates);
    println!("gates hit during undo: {}", instants.join(" "));
    trials(&instants, |gate| {
        let lab = finished.copy();
        die_at(&lab, &["--output", "json", "undo", &run, "--yes"], gate);
        undo_and_judge(&lab, &run, &format!("undo killed at {gate}"));
    });
}

#[test]
fn killed_at_random_instants_with_the_cloud_in_the_process() {
    random(false);
}

#[test]
fn killed_at_random_instants_with_a_cloud_that_survives() {
    random(true);
}

/// Half of the trials of `SEALBOOK_CRASH`: at random instants of run, resume and undo.
fn random(served: bool) {
    let count = if full() { 100 } else { 12 };
    let seeds: Vec<u64> = (0..count).map(|_| u64::from_le_bytes(sealbook_crypto::random())).collect();
    let hit = AtomicUsize::new(0);
    trials(&seeds, |seed| {
        let scene = scene();
        let at =
            |span: Duration, salt: u32| span.mul_f64(f64::from((seed.rotate_left(salt) & 0xffff) as u32) / 65536.0);
        let lab = scene.home.copy();
        let _server = served.then(|| lab.serve());
        let (first, second, third) = (at(scene.run_time, 0), at(scene.run_time, 16), at(scene.undo_time, 32));
        let what =
            format!("served {served}, run killed after {first:?}, resume after {second:?}, undo after {third:?}");
        let mut kills = usize::from(lab.kill_after(&RUN, first));
        let Some(run) = own_run(&lab) else { return finish_and_judge(&lab, &what) };
        kills += usize::from(lab.kill_after(&["--output", "json", "resume", &run, "--yes"], second));
        if seed % 2 == 0 {
            finish_and_judge(&lab, &what);
        } else {
            // Undo a run that never finished.
            kills += usize::from(lab.kill_after(&["--output", "json", "undo", &run, "--yes"], third));
            undo_unfinished(&lab, &run, &what);
        }
        hit.fetch_add(kills, Ordering::Relaxed);
    });
    let hit = hit.into_inner();
    println!("random kills that hit: {hit}");
    assert!(hit * 2 >= seeds.len(), "too few of the kills came before the end: {hit}");
}

/// Undo of an unfinished run leaves nothing of the run but what soft delete keeps of what it had made.
fn undo_unfinished(lab: &Lab, run: &str, what: &str) {
    let (scene, left) = (scene(), census(&left_after_undo(lab, run, what)));
    for (kind, count) in &left {
        assert!(
            scene.left.get(kind).is_some_and(|most| count <= most),
            "{what}: {count} {kind} left, a whole run leaves {:?}",
            scene.left
        );
    }
}

/// A disk that is full: no file of the process may grow beyond a limit, which the journal meets at some write. The run
/// stops with a problem that says so, and once there is room it goes on as if nothing had been.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_stops_a_run_with_a_problem_and_loses_nothing() {
    let step = if full() { 8 } else { 160 };
    let limits: Vec<u32> = (24..1900).step_by(step).collect();
    let stopped = AtomicUsize::new(0);
    trials(&limits, |kib| {
        let lab = scene().home.copy();
        // The cloud has room: it is another process.
        let _served = lab.serve();
        let what = format!("no file above {kib} KiB");
        let own = lab.command(&RUN);
        let limited = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &limited]).arg(own.get_program()).args(own.get_args()).env_clear();
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        match output.status.code() {
            Some(0) => {}
            Some(code) => {
                stopped.fetch_add(1, Ordering::Relaxed);
                let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap_or("{}")).unwrap();
                assert!(last["problems"][0]["code"].is_string(), "{what}: exit {code}: {said}");
            }
            None => panic!("{what}: killed: {}", String::from_utf8_lossy(&output.stderr)),
        }
        finish_and_judge(&lab, &what);
    });
    let stopped = stopped.into_inner();
    println!("full disks that stopped a run: {stopped} of {}", limits.len());
    assert!(stopped >= limits.len() / 3, "{stopped} of {} limits were met", limits.len());
}
