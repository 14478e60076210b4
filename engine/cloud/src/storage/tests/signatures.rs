//! Shared access signatures of all three kinds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{
    API, BLOB_CONTRIBUTOR, BLOB_READER, HOST, access_keys, account_path, assign, blob, elements, outcome, ready,
    set_property, sign, strip_tools, text, upload,
};
use crate::testing::{Reply, TestCloud};

const KEY: &str = "/?restype=service&comp=userdelegationkey";

/// The cloud's clock when [`ready`] is done is a few minutes after 03:04:05.
const SOON: &str = "2026-01-02T05:00:00Z";
const PAST: &str = "2026-01-02T03:00:00Z";

/// A user delegation key as a client has it.
struct Key {
    fields: String,
    value: Vec<u8>,
}

async fn user_delegation_key(client: &crate::testing::Client<'_>) -> Key {
    let body = format!("<KeyInfo><Start>{PAST}</Start><Expiry>{SOON}</Expiry></KeyInfo>");
    let reply = blob(client, "POST", KEY, &[], body).await;
    assert_eq!(reply.status, 200, "{}", text(&reply));
    let get = |name: &str| elements(&reply, name).concat();
    assert_eq!((get("SignedStart").as_str(), get("SignedExpiry").as_str()), (PAST, SOON));
    let names = ["SignedOid", "SignedTid", "SignedStart", "SignedExpiry", "SignedService", "SignedVersion"];
    Key { fields: names.map(get).join("\n"), value: STANDARD.decode(get("Value")).unwrap() }
}

/// A query with a signature; `sr` and the resource come first, then `sp` and what else `fields` names.
fn signature(key: &Key, resource: &str, fields: &[(&str, &str)]) -> String {
    let get = |name: &str| fields.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value);
    let lines = [
        get("sp"),
        get("st"),
        get("se"),
        &format!("/blob/labdata01{resource}"),
        &key.fields,
        "\n\n", // saoid, suoid, scid
        get("sip"),
        get("spr"),
        "2024-08-04",
        get("sr"),
        "", // snapshot
        "", // encryption scope
        get("rscc"),
        get("rscd"),
        get("rsce"),
        get("rscl"),
        get("rsct"),
    ];
    let names = ["skoid", "sktid", "skt", "ske", "sks", "skv"];
    let own = names.into_iter().zip(key.fields.split('\n'));
    query(own.chain(fields.iter().copied()), "2024-08-04", &sign(&key.value, &lines.join("\n")))
}

fn query<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>, version: &str, signature: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("sv", version).extend_pairs(fields).append_pair("sig", signature);
    query.finish()
}

async fn send(cloud: &TestCloud, method: &str, path: &str, query: &str, headers: &[(&str, &str)]) -> Reply {
    let separator = if path.contains('?') { '&' } else { '?' };
    blob(&cloud.anonymous(), method, &format!("{path}{separator}{query}"), headers, "x").await
}

#[tokio::test]
async fn delegation_keys_are_for_those_who_may() {
    let cloud = ready().await;
    let me = cloud.learner();
    user_delegation_key(&me).await;
    strip_tools(&cloud).await;
    let tools = cloud.tools();
    let good = format!("<KeyInfo><Start>{PAST}</Start><Expiry>{SOON}</Expiry></KeyInfo>");
    assert_eq!(outcome(&blob(&tools, "POST", KEY, &[], good).await), "403 AuthorizationPermissionMismatch");
    for (body, expected) in [
        ("<KeyInfo><Expiry>2026-01-08T00:00:00Z</Expiry></KeyInfo>", "200"),
        ("<KeyInfo><Start/><Expiry>2026-01-10T00:00:00Z</Expiry></KeyInfo>", "400 InvalidXmlNodeValue"),
        ("<KeyInfo><Expiry>2026-01-02T03:00:00Z</Expiry></KeyInfo>", "400 InvalidXmlNodeValue"),
        ("<KeyInfo><Expiry>soon</Expiry></KeyInfo>", "400 InvalidXmlNodeValue"),
        (
            "<KeyInfo><Expiry>2026-01-02T05:00:00Z</Expiry><DelegatedUserTid>x</DelegatedUserTid></KeyInfo>",
            "400 InvalidXmlNodeValue",
        ),
        ("<KeyInfo/>", "400 InvalidXmlDocument"),
        ("<Other></Other>", "400 InvalidXmlDocument"),
        ("", "400 InvalidXmlDocument"),
    ] {
        assert_eq!(outcome(&blob(&me, "POST", KEY, &[], body).await), expected, "{body}");
    }
}

#[tokio::test]
async fn delegated_signatures() {
    let cloud = ready().await;
    let me = cloud.learner();
    assert_eq!(upload(&me, "/data/dir/a%20b", "hello").await.status, 201);
    let key = user_delegation_key(&me).await;
    const ONE: &str = "/data/dir/a b";
    let of_blob = |fields: &[(&str, &str)]| signature(&key, ONE, &[&[("sr", "b"), ("se", SOON)], fields].concat());
    let of_container =
        |fields: &[(&str, &str)]| signature(&key, "/data", &[&[("sr", "c"), ("se", SOON)], fields].concat());
    const PUT: (&str, &str) = ("x-ms-blob-type", "BlockBlob");
    const MISMATCH: &str = "403 AuthorizationPermissionMismatch";
    const FAILED: &str = "403 AuthenticationFailed";
    let path = "/data/dir/a%20b";
    for (method, path, query, expected) in [
        ("GET", path, of_blob(&[("sp", "r")]), "200"),
        ("HEAD", path, of_blob(&[("sp", "r")]), "200"),
        ("PUT", path, of_blob(&[("sp", "r")]), MISMATCH),
        ("DELETE", path, of_blob(&[("sp", "rw")]), MISMATCH),
        ("PUT", path, of_blob(&[("sp", "c")]), "403 UnauthorizedBlobOverwrite"),
        ("PUT", path, of_blob(&[("sp", "cw")]), "201"),
        ("GET", "/data/other", of_blob(&[("sp", "r")]), FAILED),
        ("GET", "/data?restype=container&comp=list", of_blob(&[("sp", "rl")]), FAILED),
        ("GET", "/data?restype=container&comp=list", of_container(&[("sp", "l")]), "200"),
        ("GET", "/data?restype=container&comp=list", of_container(&[("sp", "r")]), MISMATCH),
        ("GET", "/data?restype=container", of_container(&[("sp", "rl")]), MISMATCH),
        ("PUT", "/data/new", of_container(&[("sp", "c")]), "201"),
        ("PUT", "/data/new?comp=block&blockid=YQ==", of_container(&[("sp", "c")]), MISMATCH),
        ("GET", "/data/new", of_container(&[("sp", "r"), ("st", PAST)]), "200"),
        ("GET", "/data/new", of_container(&[("sp", "r"), ("st", "2026-01-02T04:00Z")]), FAILED),
        ("GET", "/data/new", of_container(&[("sp", "r"), ("spr", "https")]), "200"),
        ("GET", "/data/new", of_container(&[("sp", "r"), ("spr", "http")]), "403 AuthorizationProtocolMismatch"),
        ("GET", "/data/new", of_container(&[("sp", "r"), ("sip", "127.0.0.1")]), "200"),
        ("GET", "/data/new", of_container(&[("sp", "r"), ("sip", "10.0.0.1")]), "403 AuthorizationSourceIPMismatch"),
        ("DELETE", "/data/new", of_container(&[("sp", "d")]), "202"),
        ("GET", path, of_blob(&[("sp", "r")]).replace("sp=r", "sp=rw"), FAILED),
        ("GET", path, of_blob(&[("sp", "r"), ("si", "policy")]), FAILED),
        ("POST", KEY, of_container(&[("sp", "r")]), FAILED),
    ] {
        let reply = send(&cloud, method, path, &query, &[PUT]).await;
        assert_eq!(outcome(&reply), expected, "{method} {path} {query}");
    }
    let disposition = of_blob(&[("sp", "r"), ("rscd", "attachment"), ("rsct", "text/html")]);
    let reply = send(&cloud, "GET", path, &disposition, &[]).await;
    assert_eq!((reply.header("content-disposition"), reply.header("content-type")), ("attachment", "text/html"));
    // The signature's own version counts when the request names none.
    let bare = format!("{HOST}{path}?{}", of_blob(&[("sp", "r")]));
    assert_eq!(cloud.anonymous().raw("GET", &bare, &[], "".into()).await.unwrap().status, 200);

    let link = of_blob(&[("sp", "r")]);
    cloud.advance_wall(3600 * 3);
    let late = send(&cloud, "GET", path, &link, &[]).await;
    assert_eq!(outcome(&late), FAILED);
    assert!(text(&late).contains("<AuthenticationErrorDetail>Signed expiry time [Fri, 02 Jan 2026 05:00:00 GMT]"));
}

#[tokio::test]
async fn a_delegator_gives_only_what_it_has() {
    let cloud = ready().await;
    let me = cloud.learner();
    assert_eq!(upload(&me, "/data/one", "hello").await.status, 201);
    let scope = account_path(&cloud, "lab", "labdata01");
    strip_tools(&cloud).await;
    assign(&cloud, &scope, BLOB_READER, &cloud.seed.client_oid, "ServicePrincipal").await;
    let key = user_delegation_key(&cloud.tools()).await;
    let link = signature(&key, "/data", &[("sr", "c"), ("se", SOON), ("sp", "racwdl")]);
    const PUT: &[(&str, &str)] = &[("x-ms-blob-type", "BlockBlob")];
    assert_eq!(outcome(&send(&cloud, "GET", "/data/one", &link, &[]).await), "200");
    assert_eq!(outcome(&send(&cloud, "PUT", "/data/two", &link, PUT).await), "403 AuthorizationPermissionMismatch");
    assign(&cloud, &scope, BLOB_CONTRIBUTOR, &cloud.seed.client_oid, "ServicePrincipal").await;
    assert_eq!(outcome(&send(&cloud, "PUT", "/data/two", &link, PUT).await), "201");
    // Such signatures need no account key, so an account that wants none of those takes them.
    set_property(&cloud, "allowSharedKeyAccess", Value::Bool(false)).await;
    assert_eq!(outcome(&send(&cloud, "GET", "/data/one", &link, &[]).await), "200");

    // Another principal's name on the same key is a lie.
    let forged = link.replace(&cloud.seed.client_oid, &cloud.seed.user_oid);
    assert_eq!(outcome(&send(&cloud, "GET", "/data/one", &forged, &[]).await), "403 AuthenticationFailed");

    let revoke = format!("{scope}/revokeUserDelegationKeys{API}");
    assert_eq!(cloud.tools().arm("POST", &revoke, Value::Null).await.status, 403);
    assert_eq!(me.arm("POST", &revoke, Value::Null).await.status, 200);
    assert_eq!(outcome(&send(&cloud, "GET", "/data/one", &link, &[]).await), "403 AuthenticationFailed");
    let key = user_delegation_key(&cloud.tools()).await;
    let link = signature(&key, "/data", &[("sr", "c"), ("se", SOON), ("sp", "r")]);
    assert_eq!(outcome(&send(&cloud, "GET", "/data/one", &link, &[]).await), "200");
}

#[tokio::test]
async fn signatures_of_an_account_key() {
    let cloud = ready().await;
    let me = cloud.learner();
    assert_eq!(upload(&me, "/data/one", "hello").await.status, 201);
    let keys = access_keys(&cloud).await;
    let service = |key: &[u8], sp: &str, sr: &str, resource: &str| {
        let string = format!("{sp}\n\n{SOON}\n/blob/labdata01{resource}\n\n\nhttps\n2024-08-04\n{sr}\n\n\n\n\n\n\n");
        let fields = [("sp", sp), ("se", SOON), ("spr", "https"), ("sr", sr)];
        query(fields.into_iter(), "2024-08-04", &sign(key, &string))
    };
    let account = |sp: &str, ss: &str, srt: &str| {
        let string = format!("labdata01\n{sp}\n{ss}\n{srt}\n\n{SOON}\n\n\n2024-08-04\n\n");
        let fields = [("sp", sp), ("se", SOON), ("ss", ss), ("srt", srt)];
        query(fields.into_iter(), "2024-08-04", &sign(&keys[1], &string))
    };
    const LIST: &str = "/data?restype=container&comp=list";
    for (method, path, query, expected) in [
        ("GET", "/data/one", service(&keys[0], "r", "b", "/data/one"), "200"),
        ("GET", "/data/one", service(&keys[1], "r", "c", "/data"), "200"),
        ("GET", "/data/one", service(&[0; 64], "r", "c", "/data"), "403 AuthenticationFailed"),
        ("GET", LIST, service(&keys[0], "l", "c", "/data"), "200"),
        (
            "DELETE",
            "/data?restype=container",
            service(&keys[0], "rd", "c", "/data"),
            "403 AuthorizationPermissionMismatch",
        ),
        ("GET", "/data/one", account("r", "b", "o"), "200"),
        ("GET", LIST, account("rl", "b", "sco"), "200"),
        ("GET", LIST, account("rl", "b", "so"), "403 AuthorizationResourceTypeMismatch"),
        ("GET", LIST, account("r", "b", "sco"), "403 AuthorizationPermissionMismatch"),
        ("GET", "/data/one", account("r", "qf", "o"), "403 AuthorizationServiceMismatch"),
        ("GET", "/?comp=list", account("l", "b", "s"), "200"),
        ("PUT", "/more?restype=container", account("c", "b", "c"), "201"),
        ("DELETE", "/more?restype=container", account("d", "b", "c"), "202"),
        ("POST", KEY, account("rwdlac", "b", "sco"), "403 AuthorizationPermissionMismatch"),
    ] {
        let reply = send(&cloud, method, path, &query, &[]).await;
        assert_eq!(outcome(&reply), expected, "{method} {path} {query}");
    }
    let link = service(&keys[0], "r", "c", "/data");
    set_property(&cloud, "allowSharedKeyAccess", Value::Bool(false)).await;
    assert_eq!(outcome(&send(&cloud, "GET", "/data/one", &link, &[]).await), "403 KeyBasedAuthenticationNotPermitted");
}
