//! What each request must show before it reaches the cloud, and the URL it is taken for.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::Scheme;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ServerConfig;
use sealbook_crypto::constant_time_eq;

use super::answers::{imds_error, not_found, refusal, refuse_metadata, unknown, unreached};
use super::authority::Authority;
use super::client::DOOR;
use super::endpoint::Endpoint;
use super::host::{self, METADATA};
use super::relay::{Answer, IDENTITY_HEADER, Relay, target};
use super::server::{Handler, Options, ServeError};
use super::tunnel::{self, Dial, End, Tunnel};
use crate::network::route::is_machines;

/// The doors of one server.
pub(super) struct Doors {
    relay: Relay,
    dial: Dial,
    authority: Authority,
    endpoint: Arc<Endpoint>,
    options: Options,
}

impl Doors {
    pub(super) fn new(
        (handler, dial): (Handler, Dial),
        authority: Authority,
        endpoint: Arc<Endpoint>,
        options: Options,
    ) -> Self {
        let relay = Relay::new(handler, options.body_limit);
        Self { relay, dial, authority, endpoint, options }
    }

    /// The TLS settings for a host that [`Doors::outer`] accepted.
    pub(super) fn tls(&self, host: &str) -> Result<Arc<ServerConfig>, ServeError> {
        self.authority.config(host, (self.options.wall)())
    }

    /// Answers a request on the plain port.
    pub(super) async fn outer(&self, request: Request<Incoming>, tunnel: &Tunnel) -> Answer {
        if request.method() == Method::CONNECT {
            return Ok(self.connect(request, tunnel).await);
        }
        if request.headers().contains_key(DOOR) {
            return self.engine(request).await;
        }
        if request.uri().scheme().is_some() {
            return self.plain_proxy(request).await;
        }
        self.identity(request).await
    }

    /// Answers a request inside the tunnel to `host`.
    pub(super) async fn inner(&self, request: Request<Incoming>, host: &str) -> Answer {
        // A client that names another host inside the tunnel is confused or probing (RFC 9110, section 15.5.20).
        let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
        let same = named.is_none_or(|named| named.strip_suffix(":443").unwrap_or(named).eq_ignore_ascii_case(host));
        if !same {
            return Ok(refusal(StatusCode::MISDIRECTED_REQUEST, format!("this connection is for {host} only\n")));
        }
        self.pass(request, Scheme::HTTPS, host).await
    }

    /// Accepts a tunnel to a host of the embedded Azure or to one of its machines, or refuses it. Never opens a connection to
    /// anywhere else.
    async fn connect(&self, request: Request<Incoming>, tunnel: &Tunnel) -> Response<Full<Bytes>> {
        if let Some(refused) = self.refuse_stranger(request.headers()) {
            return refused;
        }
        let Some(target) = request.uri().authority().cloned() else {
            return refusal(StatusCode::BAD_REQUEST, "CONNECT needs host:port\n".to_owned());
        };
        let host = target.host().to_ascii_lowercase();
        let end = match target.port_u16() {
            Some(443) if host::known(&host) => End::Azure(host),
            Some(port) if is_machines(&host) => match (self.dial)(host, port).await {
                Ok(machine) => End::Machine(machine),
                Err(error) => {
                    let failed = || refusal(StatusCode::BAD_GATEWAY, format!("{error}\n"));
                    return tunnel::reason(&error).map_or_else(failed, unreached);
                }
            },
            _ => return unknown(target.as_str()),
        };
        tunnel.set(end, hyper::upgrade::on(request));
        Response::new(Full::default())
    }

    /// The engine's door.
    async fn engine(&self, request: Request<Incoming>) -> Answer {
        let whose = "read the endpoint file of the running server again";
        let (scheme, target) = match target(&request, &self.endpoint.door, whose) {
            Ok(found) => found,
            Err(refused) => return Ok(*refused),
        };
        let host = target.host();
        match (scheme.as_str(), target.port_u16()) {
            ("https", None | Some(443)) if host::known(host) => self.pass(request, Scheme::HTTPS, host).await,
            ("http", None | Some(80)) if host == METADATA => self.metadata(request).await,
            _ => Ok(unknown(target.as_str())),
        }
    }

    /// A proxied request without TLS: Azure's only such address is the instance metadata service.
    async fn plain_proxy(&self, request: Request<Incoming>) -> Answer {
        if let Some(refused) = self.refuse_stranger(request.headers()) {
            return Ok(refused);
        }
        let uri = request.uri();
        let metadata = uri.scheme() == Some(&Scheme::HTTP)
            && uri.host() == Some(METADATA)
            && uri.port_u16().is_none_or(|port| port == 80);
        if metadata { self.metadata(request).await } else { Ok(unknown(&uri.to_string())) }
    }

    /// The managed-identity door, for clients that are given its address by the environment.
    async fn identity(&self, request: Request<Incoming>) -> Answer {
        // A web page that rebinds its name to this port sends its own name as Host.
        let local = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).is_some_and(|named| {
            let port = self.endpoint.port;
            named == format!("127.0.0.1:{port}") || named == format!("localhost:{port}")
        });
        if !local {
            return Ok(not_found());
        }
        match request.uri().path() {
            path if path.starts_with("/metadata/") => self.metadata(request).await,
            "/msi/token" => {
                let shown = request.headers().get(IDENTITY_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
                if !constant_time_eq(shown, self.endpoint.identity.expose().as_bytes()) {
                    return Ok(imds_error(StatusCode::UNAUTHORIZED, "unauthorized", "X-IDENTITY-HEADER is not right"));
                }
                let (mut parts, body) = request.into_parts();
                parts.headers.insert("metadata", HeaderValue::from_static("true"));
                let Ok(uri) = app_service_as_imds(parts.uri.query().unwrap_or_default()).parse() else {
                    return Ok(imds_error(StatusCode::BAD_REQUEST, "invalid_request", "the query is not valid"));
                };
                parts.uri = uri;
                self.metadata(Request::from_parts(parts, body)).await
            }
            _ => Ok(not_found()),
        }
    }

    /// Passes a request to the instance metadata service, which no page in a browser and no redirect may reach.
    async fn metadata(&self, request: Request<Incoming>) -> Answer {
        if let Some(refused) = refuse_metadata(request.headers()) {
            return Ok(refused);
        }
        self.pass(request, Scheme::HTTP, METADATA).await
    }

    /// Hands a request to the cloud; whose identities a machine holds is for this door to say.
    async fn pass(&self, request: Request<Incoming>, scheme: Scheme, host: &str) -> Answer {
        let note = |extensions: &mut Extensions| {
            if host == METADATA {
                extensions.insert(self.options.identities.clone());
            }
        };
        self.relay.pass(request, scheme, host, note).await
    }

    /// The refusal of a request without the proxy's credentials (RFC 7617).
    fn refuse_stranger(&self, headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
        let expected = format!("{}:{}", self.endpoint.proxy_user, self.endpoint.proxy_secret.expose());
        let shown = headers
            .get(header::PROXY_AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
            .unwrap_or_default();
        if constant_time_eq(&shown, expected.as_bytes()) {
            return None;
        }
        let mut refused = refusal(
            StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            "the proxy of the embedded Azure wants the credentials of its home: use `sealbook cloud env` or \
             `sealbook cloud exec`\n"
                .to_owned(),
        );
        let challenge = HeaderValue::from_static("Basic realm=\"Sealbook embedded Azure\"");
        refused.headers_mut().insert(header::PROXY_AUTHENTICATE, challenge);
        Some(refused)
    }
}

/// The query of an App Service identity request (2019-08-01) as the metadata service's.
fn app_service_as_imds(query: &str) -> String {
    let mut path = "/metadata/identity/oauth2/token?api-version=2018-02-01".to_owned();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = match name {
            "" | "api-version" => continue,
            "principal_id" => "object_id",
            "mi_res_id" => "msi_res_id",
            other => other,
        };
        path.push('&');
        path.push_str(name);
        path.push('=');
        path.push_str(value);
    }
    path
}
