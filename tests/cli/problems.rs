//! Every folder of `tests/problems` is a bad playbook with what is said of it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Lab, repository};

#[test]
fn every_bad_playbook_is_refused_in_the_expected_words() {
    let lab = Lab::warm();
    let folder = repository("tests/problems");
    let mut cases: Vec<_> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|path| path.join("expected.txt").exists());
    cases.sort();
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let expected = fs::read_to_string(case.join("expected.txt")).unwrap();
                    let name = case.file_name().unwrap().to_str().unwrap();
                    let done = lab.run_in(&folder, &["check", name]);
                    // What only looks bad is let pass: nothing is said of it.
                    let code = if expected.is_empty() { 0 } else { 10 };
                    if done.code != Some(code) || done.stderr != expected {
                        wrong.lock().unwrap().insert(format!("{name}: exit {:?}\n{}", done.code, done.stderr));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} cases differ:\n{}", wrong.len(), wrong.into_iter().collect::<Vec<_>>().join("\n"));
}
