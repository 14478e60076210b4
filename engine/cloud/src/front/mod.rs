//! The front doors of the embedded Azure: how requests from outside this process reach [`crate::Cloud`].
//!
//! One loopback listener serves all of them, told apart by the form of the request:
//!
//! | door | request | what it demands |
//! | --- | --- | --- |
//! | proxy | `CONNECT host:443`, then HTTPS; `GET http://169.254.169.254/…` | `Proxy-Authorization` of this server |
//! | proxy | `CONNECT label.region.cloudapp.azure.com:port`, then what the machine there speaks | the same |
//! | engine | any method with the header `x-sealbook-door` | the door's secret in that header |
//! | managed identity | `GET /metadata/identity/oauth2/token`, `GET /msi/token` | `Metadata: true`; `X-IDENTITY-HEADER` |
//!
//! A virtual machine that has a process gets a listener of its own ([`MachineDoor`]), so that the process is that machine
//! to the cloud and nothing else.
//!
//! A host that the embedded Azure does not know is refused. Nothing is ever forwarded to elsewhere: a tunnel to a virtual
//! machine ends at the machine's process on this host.

mod answers;
mod authority;
pub mod client;
mod doors;
mod endpoint;
mod host;
mod lock;
mod machine;
#[cfg(test)]
mod machine_tests;
mod ports;
mod publish;
mod relay;
mod server;
#[cfg(test)]
mod tests;
mod tpm;
mod tunnel;
#[cfg(test)]
mod tunnel_tests;

pub use endpoint::{Endpoint, FOREIGN_VARIABLES, SignIn, environment};
pub use machine::MachineDoor;
pub use publish::PublishError;
pub use server::{Options, ServeError, Server};
