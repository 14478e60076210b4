//! The hardware of a confidential machine, as the machine's process reaches it through its door: `POST /` with a TPM 2.0
//! command answers the TPM's response, `GET /event-log` the firmware's log.
//!
//! A door has one TPM, as a machine has: what a process loads and does not flush stays until the machine is booted again.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::answers::{not_found, off, refusal};
use super::relay::{Answer, Closed};
use crate::{Cloud, Machine, Tee};

/// Longest command in bytes.
const COMMAND: usize = 4096;

/// The hardware of one machine.
pub(super) struct Hardware {
    cloud: Cloud,
    machine: Machine,
    tee: Arc<Mutex<Option<Tee>>>,
}

enum Ask {
    Command(Bytes),
    Log,
}

impl Hardware {
    pub fn new(cloud: Cloud, machine: Machine) -> Self {
        Self { cloud, machine, tee: Arc::default() }
    }

    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let ask = match (request.method(), request.uri().path()) {
            (&Method::POST, "/") => match Limited::new(request.into_body(), COMMAND).collect().await {
                Ok(body) => Ask::Command(body.to_bytes()),
                Err(_) => {
                    return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("a command has {COMMAND} bytes\n")));
                }
            },
            (&Method::GET, "/event-log") => Ask::Log,
            (_, "/") => Ask::Command(Bytes::new()),
            _ => return Ok(not_found()),
        };
        let (cloud, machine, tee) = (self.cloud.clone(), self.machine.clone(), Arc::clone(&self.tee));
        // Keys may have to be made.
        tokio::task::spawn_blocking(move || serve(&cloud, &machine, &tee, &ask)).await.map_err(|_| Closed)
    }
}

fn serve(cloud: &Cloud, machine: &Machine, tee: &Mutex<Option<Tee>>, ask: &Ask) -> Response<Full<Bytes>> {
    if !cloud.is_on(machine).unwrap_or(false) {
        return off();
    }
    let mut tee = tee.lock().unwrap_or_else(PoisonError::into_inner);
    let lacking = |error: crate::TeeError| refusal(StatusCode::NOT_FOUND, format!("{error}\n"));
    let hardware = match tee.take().map_or_else(|| Tee::open(cloud, &machine.id), Ok) {
        Ok(hardware) => tee.insert(hardware),
        Err(error) => return lacking(error),
    };
    let bytes = match ask {
        Ask::Command(command) => Ok(hardware.transmit(command)),
        Ask::Log => hardware.event_log(),
    };
    match bytes {
        Ok(bytes) => {
            let mut answer = Response::new(Full::from(bytes));
            let binary = HeaderValue::from_static("application/octet-stream");
            answer.headers_mut().insert(header::CONTENT_TYPE, binary);
            answer
        }
        Err(error) => lacking(error),
    }
}
