//! The other playbooks: each is killed around requests, resumed, and undone.

use std::time::Duration;

use crate::support::{Lab, at_once, census, consent};
use crate::{die_at, full, succeeded, trials};

#[test]
fn killed_around_requests_every_playbook_resumes() {
    let home = Lab::warm();
    home.cloud().set_role_delay(Duration::ZERO).unwrap();
    let listed = home.run(&["--output", "json", "list"]).expect(0).json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|playbook| playbook["id"].as_str().unwrap()).collect();
    at_once(&ids, |&id| {
        let run = [&["--output", "json", "run", id, "--yes"], consent(id)].concat();
        let undisturbed = home.copy();
        let trace = undisturbed.home().join("gates");
        undisturbed.run_with(&run, &[("SEALBOOK_GATES", trace.to_str().unwrap())]).expect(0);
        let gates = std::fs::read_to_string(&trace).unwrap();
        let made = census(&undisturbed.inventory());
        undisturbed.run(&["--output", "json", "undo", "--yes"]).expect(0);
        let left = census(&undisturbed.inventory());

        let sent = gates.lines().filter(|gate| *gate == "after:commit").count();
        let tried = if full() { sent } else { 2 };
        let instants: Vec<String> =
            (1..=tried).map(|n| format!("after:commit:{}", (n * sent / (tried + 1)).max(1))).collect();
        println!("{id}: {sent} requests, killed after {tried}");
        trials(&instants, |gate| {
            let lab = home.copy();
            die_at(&lab, &run, gate);
            let what = format!("{id} killed at {gate}");
            succeeded(lab.run(&["--output", "json", "resume", "--yes"]), &what);
            assert_eq!(census(&lab.inventory()), made, "{what}: the cloud must hold exactly one of each thing");
            lab.run(&["--output", "json", "undo", "--yes"]).expect(0);
            assert_eq!(census(&lab.inventory()), left, "{what}: undo must leave only what soft delete keeps");
        });
    });
}
