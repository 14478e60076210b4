//! Benchmarks with their goals: `cargo bench` prints one line each. Every ratio is of two figures of the same run, so
//! that a slow machine slows both. `cargo bench -- calls runs` takes only these. Method and results: docs/benchmarks.md.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

mod calls;
mod journal;
mod playbooks;
mod start;
mod vault;

use std::time::{Duration, Instant};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let all: [(&str, fn()); 5] = [
        ("calls", calls::bench),
        ("journal", journal::bench),
        ("playbooks", playbooks::bench),
        ("start", start::bench),
        ("vault", vault::bench),
    ];
    println!("{:<58} {:>14}  {:>12}  met", "what", "measured", "goal");
    for (name, bench) in all {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            bench();
        }
    }
}

/// Seconds that one of `count` repetitions takes: the median of seven rounds.
fn median(count: u32, mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            let begun = Instant::now();
            (0..count).for_each(|_| work());
            begun.elapsed().as_secs_f64() / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[3]
}

/// A figure without a goal.
fn figure(what: &str, value: String) {
    println!("{what:<58} {value:>14}");
}

/// A figure with the most that it may be.
fn at_most(what: &str, value: f64, goal: f64, unit: &str) {
    let met = if value <= goal { "yes" } else { "NO" };
    println!("{what:<58} {value:>12.2} {unit:<2} {goal:>10.2} {unit:<2} {met}");
}

/// A figure with the least that it must be.
fn at_least(what: &str, value: f64, goal: f64, unit: &str) {
    let met = if value >= goal { "yes" } else { "NO" };
    println!("{what:<58} {value:>12.2} {unit:<2} {goal:>10.2} {unit:<2} {met}");
}

fn micros(seconds: f64) -> String {
    format!("{:.1} µs", seconds * 1e6)
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Resident memory of this process in KiB; none where the system does not tell.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}
