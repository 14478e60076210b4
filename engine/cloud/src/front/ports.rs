//! Where a machine's process says on which ports it listens, through its door: `PUT http://ports.internal/443` with
//! `{"at": 40123, "proof": "…"}` means that connections to port 443 of the machine go to 127.0.0.1:40123, and
//! `DELETE http://ports.internal/443` takes that back.
//!
//! The door connects to the loopback port and demands the 32 bytes of the proof there before it believes: a machine can
//! publish a listener of its own and no other one, such as that of another machine past whose rules it would lead. Which
//! machine it is, the door knows. What was published ends with the door, with the process that holds it and with the boot.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use sealbook_crypto::constant_time_eq;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::answers::{not_found, off, refusal};
use super::relay::{Answer, Closed};
use crate::cloud::Mark;
use crate::ports::Unpublished;
use crate::{Cloud, CloudError, Machine};

/// Longest body in bytes.
const BODY: usize = 256;

/// Length of a proof in bytes.
pub(super) const PROOF: usize = 32;

/// How long a listener may take to show its proof.
const PROVE: Duration = Duration::from_secs(5);

/// What is said of a port.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    /// The loopback port that stands for it.
    pub at: u16,
    /// What the listener there writes to the door's connection.
    #[serde(with = "hex::serde")]
    pub proof: [u8; PROOF],
}

/// The ports of one machine, as its process publishes them through one door.
pub(super) struct Ports {
    cloud: Cloud,
    machine: Machine,
    hold: Mutex<Hold>,
}

/// What keeps published ports: the mark of the door.
enum Hold {
    /// Nothing was published yet.
    Free,
    Held(Arc<Mark>),
    /// The door is gone.
    Closed,
}

impl Ports {
    pub fn new(cloud: Cloud, machine: Machine) -> Self {
        Self { cloud, machine, hold: Mutex::new(Hold::Free) }
    }

    /// Ends all that was published.
    pub fn close(&self) {
        *self.hold.lock().unwrap_or_else(PoisonError::into_inner) = Hold::Closed;
    }

    /// The door's mark, made at first; none once the door is gone.
    fn mark(&self) -> Result<Option<Arc<Mark>>, CloudError> {
        let mut hold = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if let Hold::Free = &*hold {
            *hold = Hold::Held(Arc::new(self.cloud.mark()?));
        }
        Ok(match &*hold {
            Hold::Held(mark) => Some(Arc::clone(mark)),
            Hold::Free | Hold::Closed => None,
        })
    }

    pub async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Answer {
        let port = request.uri().path().trim_start_matches('/').parse().ok().filter(|port| *port > 0);
        let Some(port) = port else { return Ok(not_found()) };
        let at = match *request.method() {
            Method::DELETE => None,
            Method::PUT => {
                let Ok(body) = Limited::new(request.into_body(), BODY).collect().await else {
                    return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, format!("a body has at most {BODY} bytes\n")));
                };
                let Ok(said) = serde_json::from_slice::<Published>(&body.to_bytes()) else {
                    let text = "the body is not {\"at\": a loopback port, \"proof\": 32 bytes in hex}\n";
                    return Ok(refusal(StatusCode::BAD_REQUEST, text.to_owned()));
                };
                if !proved(&said).await {
                    let text = format!("the listener at 127.0.0.1:{} did not write the proof\n", said.at);
                    return Ok(refusal(StatusCode::FORBIDDEN, text));
                }
                Some(said.at)
            }
            _ => return Ok(refusal(StatusCode::METHOD_NOT_ALLOWED, "PUT or DELETE\n".to_owned())),
        };
        let ports = Arc::clone(self);
        tokio::task::spawn_blocking(move || ports.keep(port, at)).await.map_err(|_| Closed)
    }

    /// Notes a port, or takes it back.
    fn keep(&self, port: u16, at: Option<u16>) -> Response<Full<Bytes>> {
        let done = self.mark().and_then(|mark| {
            let Some(mark) = mark else { return Ok(None) };
            match at {
                Some(at) => self.cloud.publish_port(&self.machine, (port, at), &mark),
                None => self.cloud.withdraw_port(&self.machine, port, &mark).map(|()| Some(Ok(()))),
            }
        });
        match done {
            Ok(None) => off(),
            Ok(Some(Ok(()))) => refusal(StatusCode::NO_CONTENT, String::new()),
            Ok(Some(Err(why @ (Unpublished::InUse | Unpublished::TooMany)))) => {
                refusal(StatusCode::CONFLICT, format!("{why}\n"))
            }
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

/// Whether whoever listens at the loopback port is whoever said so.
async fn proved(said: &Published) -> bool {
    let read = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, said.at)).await?;
        let mut shown = [0; PROOF];
        stream.read_exact(&mut shown).await.map(|_| shown)
    };
    let shown = tokio::time::timeout(PROVE, read).await;
    matches!(shown, Ok(Ok(shown)) if constant_time_eq(&shown, &said.proof))
}
