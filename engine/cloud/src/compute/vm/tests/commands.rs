//! Run command against a room that notes what it was given.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::kit::{Lab, lab, ordinary};
use crate::testing::{self, Reply, TestCloud};
use crate::{Cloud, Machine, MachineRoom, NotUnderstood, Output};

/// Understands `echo`, and answers with its parameters once it may.
#[derive(Debug)]
struct Room {
    may: Semaphore,
    ran: Mutex<Vec<Machine>>,
    discarded: Mutex<Vec<String>>,
    says: fn(&[(String, String)]) -> Output,
}

impl Room {
    /// A room that answers `permits` scripts.
    fn new(permits: usize) -> Arc<Self> {
        Self::that(permits, |parameters| Output {
            stdout: parameters.iter().map(|(name, value)| format!("{name}={value}\n")).collect(),
            stderr: String::new(),
            ok: true,
        })
    }

    fn that(permits: usize, says: fn(&[(String, String)]) -> Output) -> Arc<Self> {
        let may = Semaphore::new(permits);
        Arc::new(Self { may, ran: Mutex::default(), discarded: Mutex::default(), says })
    }

    fn ran(&self) -> Vec<Machine> {
        self.ran.lock().unwrap().clone()
    }
}

impl MachineRoom for Room {
    fn understands(&self, script: &[String], _: &[(String, String)]) -> Result<(), NotUnderstood> {
        if script == ["echo"] { Ok(()) } else { Err(NotUnderstood("only echo is known".to_owned())) }
    }

    fn run<'a>(
        &'a self,
        _: &'a Cloud,
        machine: &'a Machine,
        _: &'a [String],
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Output> {
        self.ran.lock().unwrap().push(machine.clone());
        async {
            self.may.acquire().await.unwrap().forget();
            (self.says)(parameters)
        }
        .boxed()
    }

    fn discard(&self, vm_id: &str) -> std::io::Result<()> {
        self.discarded.lock().unwrap().push(vm_id.to_owned());
        Ok(())
    }
}

fn echo() -> Value {
    json!({ "commandId": "RunShellScript", "script": ["echo"], "parameters": [{ "name": "word", "value": "hush-hush" }] })
}

/// Polls until an operation has ended; its status document.
async fn ended(lab: &Lab<'_>, started: &Reply) -> Value {
    let url = started.header("azure-asyncoperation").to_owned();
    let poll = async {
        loop {
            let reply = lab.me.send("GET", &url, None).await;
            if reply.body["status"] != "InProgress" {
                return reply.body;
            }
            assert_eq!(reply.header("retry-after"), "1");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), poll).await.unwrap()
}

async fn machine(cloud: &TestCloud) -> Lab<'_> {
    let lab = lab(cloud).await;
    lab.machine("vm").await;
    lab
}

#[tokio::test]
async fn a_script_runs_and_its_output_is_polled() {
    let room = Room::new(9);
    let cloud = testing::with_room(room.clone());
    let lab = machine(&cloud).await;
    let started = lab.vm("POST", "vm/runCommand", echo()).await;
    assert_eq!(started.status, 202, "{started:?}");
    let done = ended(&lab, &started).await;
    let expected = json!({ "value": [{
        "code": "ProvisioningState/succeeded",
        "level": "Info",
        "displayStatus": "Provisioning succeeded",
        "message": "Enable succeeded: \n[stdout]\nword=hush-hush\n\n[stderr]\n",
    }] });
    assert_eq!((&done["status"], &done["properties"]["output"]), (&json!("Succeeded"), &expected), "{done}");
    let result = lab.me.send("GET", started.header("location"), None).await;
    assert_eq!((result.status, &result.body), (200, &expected));
    let shown = lab.shown("vm").await;
    let of = Machine {
        id: shown["id"].as_str().unwrap().to_owned(),
        vm_id: shown["properties"]["vmId"].as_str().unwrap().to_owned(),
        boot: 1,
    };
    assert_eq!(room.ran(), [of]);
    // What a script was given and what it said may be secrets.
    for file in std::fs::read_dir(cloud.dir.path().join("cloud")).unwrap().map(Result::unwrap) {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"hush-hush"), "{:?}", file.path());
    }
}

#[tokio::test]
async fn a_failed_script_says_so() {
    let says = |_: &[(String, String)]| Output { stdout: String::new(), stderr: "no way\n".to_owned(), ok: false };
    let cloud = testing::with_room(Room::that(1, says));
    let lab = machine(&cloud).await;
    let started = lab.vm("POST", "vm/runCommand", echo()).await;
    let status = &ended(&lab, &started).await["properties"]["output"]["value"][0];
    assert_eq!((&status["code"], &status["level"]), (&json!("ProvisioningState/failed/1"), &json!("Error")));
    assert!(status["message"].as_str().unwrap().ends_with("[stderr]\nno way\n"), "{status}");
    // A room that fails is no reason to wait for ever.
    let cloud = testing::with_room(Room::that(1, |_| panic!("oh")));
    let lab = machine(&cloud).await;
    let started = lab.vm("POST", "vm/runCommand", echo()).await;
    let done = ended(&lab, &started).await;
    assert!(done.to_string().contains("the machine room failed"), "{done}");
}

#[tokio::test]
async fn what_is_no_script_for_this_machine_is_refused() {
    let room = Room::new(0);
    let cloud = testing::with_room(room.clone());
    let lab = machine(&cloud).await;
    let with = |member: &str, value: Value| {
        let mut body = echo();
        body[member] = value;
        body
    };
    let gap = "shell scripts: the embedded Azure's machines run the Sealbook guest agent only";
    let table = [
        (json!({}), 400, "InvalidParameter", ""),
        (with("commandId", json!("RunPowerShellScript")), 400, "InvalidParameter", "run command: RunPowerShellScript"),
        (with("script", json!("echo")), 400, "InvalidParameter", ""),
        (with("script", json!([1])), 400, "InvalidParameter", ""),
        (with("parameters", json!([{ "name": "a" }])), 400, "InvalidParameter", ""),
        (with("runAsUser", json!("root")), 400, "InvalidParameter", "virtual machines: RunCommandInput.runAsUser"),
        (with("script", json!(["id"])), 409, "OperationNotAllowed", gap),
        (with("script", Value::Null), 409, "OperationNotAllowed", gap),
    ];
    for (body, status, code, lacks) in table {
        let reply = lab.vm("POST", "vm/runCommand", body.clone()).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{body}: {reply:?}");
        assert_eq!(reply.header("x-sealbook-gap"), lacks, "{body}");
    }
    assert_eq!(lab.vm("POST", "none/runCommand", echo()).await.code(), "ResourceNotFound");
    lab.vm("POST", "vm/deallocate", Value::Null).await;
    cloud.advance(2);
    assert_eq!(lab.vm("POST", "vm/runCommand", echo()).await.code(), "OperationNotAllowed");
    // Whoever may only read machines runs nothing on them.
    lab.demote(&["Microsoft.Compute/virtualMachines/read"]).await;
    let url = format!("{}?api-version=2024-07-01", lab.id("Microsoft.Compute/virtualMachines/vm/runCommand"));
    let reply = cloud.tools().arm("POST", &url, echo()).await;
    assert_eq!((reply.status, reply.code()), (403, "AuthorizationFailed"));
    assert_eq!(room.ran(), []);
}

#[tokio::test]
async fn scripts_run_one_at_a_time_and_end_with_their_boot() {
    let room = Room::new(0);
    let cloud = testing::with_room(room.clone());
    let lab = machine(&cloud).await;
    let first = lab.vm("POST", "vm/runCommand", echo()).await;
    let second = lab.vm("POST", "vm/runCommand", echo()).await;
    assert_eq!((second.status, second.code()), (409, "Conflict"), "{second:?}");
    assert!(second.body["error"]["message"].as_str().unwrap().contains("execution is in progress"));
    // The machine is restarted under the script.
    assert_eq!(lab.vm("POST", "vm/restart", Value::Null).await.status, 202);
    cloud.advance(2);
    room.may.add_permits(1);
    let done = ended(&lab, &first).await;
    assert_eq!((&done["status"], &done["error"]["code"]), (&json!("Failed"), &json!("OperationPreempted")), "{done}");
    let restart = lab.vm("POST", "vm/restart", Value::Null).await;
    let busy = lab.vm("POST", "vm/runCommand", echo()).await;
    assert_eq!((restart.status, busy.status, busy.code()), (202, 409, "Conflict"), "{busy:?}");
    cloud.advance(2);
    room.may.add_permits(1);
    let third = lab.vm("POST", "vm/runCommand", echo()).await;
    assert_eq!(ended(&lab, &third).await["status"], "Succeeded");
    let boots: Vec<u64> = room.ran().iter().map(|machine| machine.boot).collect();
    assert_eq!(boots, [1, 3]);
}

#[tokio::test]
async fn a_script_that_takes_too_long_fails() {
    let cloud = testing::with_room(Room::new(0));
    let lab = machine(&cloud).await;
    let started = lab.vm("POST", "vm/runCommand", echo()).await;
    cloud.advance(89 * 60);
    let url = started.header("azure-asyncoperation").to_owned();
    assert_eq!(lab.me.send("GET", &url, None).await.body["status"], "InProgress");
    cloud.advance(2 * 60);
    let done = lab.me.send("GET", &url, None).await.body;
    assert_eq!(done["error"]["code"], "VMExtensionProvisioningTimeout", "{done}");
    assert_eq!(lab.shown("vm").await["properties"]["provisioningState"], "Succeeded");
}

/// A process dies over a script; the next one that answers a request takes it up.
#[test]
fn a_script_survives_the_process_that_ran_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = Room::new(0);
    let cloud = testing::with_room(first.clone());
    let dies = runtime();
    let url = dies.block_on(async {
        let lab = machine(&cloud).await;
        let started = lab.vm("POST", "vm/runCommand", echo()).await;
        // While the one lives, another leaves the script alone.
        let idle = Room::new(9);
        let other = cloud.again_with(idle.clone());
        other.learner().send("GET", started.header("azure-asyncoperation"), None).await;
        assert_eq!((first.ran().len(), idle.ran().len()), (1, 0));
        started.header("azure-asyncoperation").to_owned()
    });
    let second = Room::new(9);
    let after = cloud.again_with(second.clone());
    drop(cloud);
    drop(dies);
    runtime().block_on(async {
        let lab = Lab { me: after.learner(), cloud: &after, group: String::new() };
        let poll = async {
            while lab.me.send("GET", &url, None).await.body["status"] != "Succeeded" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), poll).await.unwrap();
        assert_eq!(second.ran(), first.ran());
    });
}

#[tokio::test]
async fn a_room_forgets_deleted_machines() {
    let room = Room::new(9);
    let cloud = testing::with_room(room.clone());
    let lab = machine(&cloud).await;
    let mut gone = Vec::new();
    for again in ["delete", "reset"] {
        let started = lab.vm("POST", "vm/runCommand", echo()).await;
        ended(&lab, &started).await;
        let vm_id = lab.shown("vm").await["properties"]["vmId"].as_str().unwrap().to_owned();
        assert_eq!(*room.discarded.lock().unwrap(), gone, "{again}");
        gone.push(vm_id);
        if again == "reset" {
            cloud.cloud.reset().unwrap();
            break;
        }
        lab.vm("DELETE", "vm", Value::Null).await;
        cloud.advance(2);
        assert_eq!(lab.vm("GET", "vm", Value::Null).await.status, 404);
        let made = lab.vm("PUT", "vm", ordinary(&lab.id("Microsoft.Network/networkInterfaces/vm-nic"))).await;
        assert_eq!(made.status, 201, "{made:?}");
        cloud.advance(2);
    }
    assert_eq!(*room.discarded.lock().unwrap(), gone);
}

/// A start and a restart boot a machine; nothing else does.
#[tokio::test]
async fn boots_are_counted() {
    let cloud = testing::cloud();
    let lab = machine(&cloud).await;
    let id = lab.id("Microsoft.Compute/virtualMachines/vm");
    for (action, boots) in
        [("start", 1), ("restart", 2), ("powerOff", 2), ("start", 3), ("deallocate", 3), ("start", 4), ("restart", 5)]
    {
        assert_eq!(lab.vm("POST", &format!("vm/{action}"), Value::Null).await.status, 202, "{action}");
        cloud.advance(2);
        assert!(lab.shown("vm").await["boot"].is_null());
        let stored = cloud.within(|cx| cx.resource(&id).unwrap().unwrap());
        assert_eq!(stored.body["boot"], boots, "{action}");
    }
}
