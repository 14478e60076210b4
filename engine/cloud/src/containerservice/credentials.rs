//! What opens a cluster's API server: its certificate authority, the certificate of its administrator, a token.
//!
//! They are made once for each cluster. The authority's key is not kept: nothing else is ever signed with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Datelike, Days, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rusqlite::{OptionalExtension, params};
use sealbook_crypto::SecretBytes;

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::store::resources::Resource;

/// Table of the credentials.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS cluster_credentials (
    resource    TEXT PRIMARY KEY COLLATE NOCASE,
    authority   TEXT NOT NULL,
    certificate TEXT NOT NULL,
    secret      BLOB NOT NULL
) STRICT;
";

const AUTHORITY_DAYS: u64 = 30 * 365;
const CLIENT_DAYS: u64 = 2 * 365;
/// Length of the token in bytes.
const TOKEN: usize = 64;

fn place(resource: &str) -> String {
    format!("cluster-credentials/{}", resource.to_ascii_lowercase())
}

fn params(name: &[(DnType, &str)], now: DateTime<Utc>, days: u64) -> Result<CertificateParams, Refusal> {
    let mut params = CertificateParams::new(Vec::new()).map_err(Refusal::internal)?;
    let mut distinguished = DistinguishedName::new();
    for (kind, value) in name {
        distinguished.push(kind.clone(), *value);
    }
    params.distinguished_name = distinguished;
    let today = now.date_naive();
    let instant = |day: chrono::NaiveDate| {
        // A month and a day of the month always fit in a byte.
        rcgen::date_time_ymd(day.year(), day.month() as u8, day.day() as u8)
    };
    params.not_before = instant(today);
    params.not_after = instant(today.checked_add_days(Days::new(days)).unwrap_or(today));
    Ok(params)
}

/// Makes the credentials of a new cluster.
pub(super) fn create(cx: &Cx<'_>, resource: &str) -> Result<(), Refusal> {
    let failed = |error: rcgen::Error| Refusal::internal(error);
    let key = KeyPair::generate().map_err(failed)?;
    let mut authority = params(&[(DnType::CommonName, "ca")], cx.now, AUTHORITY_DAYS)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = authority.self_signed(&key).map_err(failed)?.pem();
    let issuer = Issuer::new(authority, key);

    let client_key = KeyPair::generate().map_err(failed)?;
    let name = [(DnType::OrganizationName, "system:masters"), (DnType::CommonName, "masterclient")];
    let mut client = params(&name, cx.now, CLIENT_DAYS)?;
    client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = client.signed_by(&client_key, &issuer).map_err(failed)?.pem();

    let mut secret = cx.random::<TOKEN>().to_vec();
    secret.extend_from_slice(client_key.serialize_pem().as_bytes());
    let secret = SecretBytes::new(secret);
    cx.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO cluster_credentials (resource, authority, certificate, secret)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![resource, certificate, client, cx.seal(&place(resource), secret.expose())])?;
    Ok(())
}

/// Removes the credentials of a cluster.
pub(super) fn delete(cx: &Cx<'_>, resource: &str) -> Result<(), Refusal> {
    cx.tx.prepare_cached("DELETE FROM cluster_credentials WHERE resource = ?1")?.execute([resource])?;
    Ok(())
}

/// A kubeconfig for `kubectl`. `user` is `clusterAdmin` or `clusterUser`. The context has the cluster's name; clients
/// that merge both rename the administrator's.
pub(super) fn kubeconfig(cx: &Cx<'_>, cluster: &Resource, user: &str) -> Result<SecretBytes, Refusal> {
    let row: Option<(String, String, Vec<u8>)> = cx
        .tx
        .prepare_cached("SELECT authority, certificate, secret FROM cluster_credentials WHERE resource = ?1")?
        .query_row([&cluster.id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (authority, certificate, sealed) =
        row.ok_or_else(|| Refusal::internal(format!("the cluster {} has no credentials", cluster.id)))?;
    let secret = cx.open(&place(&cluster.id), &sealed)?;
    let (token, key) = secret
        .expose()
        .split_at_checked(TOKEN)
        .ok_or_else(|| Refusal::internal("the secret of a cluster is too short"))?;
    let name = &cluster.name;
    let server = cluster.body["properties"]["fqdn"].as_str().unwrap_or_default();
    let account = format!("{user}_{}_{name}", cluster.group);
    let text = format!(
        "apiVersion: v1\n\
         clusters:\n\
         - cluster:\n    \
             certificate-authority-data: {}\n    \
             server: https://{server}:443\n  \
           name: {name}\n\
         contexts:\n\
         - context:\n    \
             cluster: {name}\n    \
             user: {account}\n  \
           name: {name}\n\
         current-context: {name}\n\
         kind: Config\n\
         preferences: {{}}\n\
         users:\n\
         - name: {account}\n  \
           user:\n    \
             client-certificate-data: {}\n    \
             client-key-data: {}\n    \
             token: {}\n",
        STANDARD.encode(authority),
        STANDARD.encode(certificate),
        STANDARD.encode(key),
        hex::encode(token),
    );
    Ok(SecretBytes::new(text.into_bytes()))
}
