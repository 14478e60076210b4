//! The contract's imports: blobs.

use serde_json::json;

use super::super::Fake;
use super::{Ownership, Result, artifacts, ownership, with_world};

fn properties(uri: &str, bytes: &[u8], mark: Option<&str>) -> super::Value {
    json!({ "uri": uri, "bytes": bytes.len(), "etag": format!("\"{}\"", &artifacts::sha256(bytes)[..8]), "sha256": artifacts::sha256(bytes),
            "content_type": "text/plain", "metadata": mark.map_or_else(|| json!({}), |m| json!({ "sealbookrun": m })) })
}

pub fn head(uri: &str) -> Result<Option<String>> {
    with_world(|w| {
        w.pass("blob", "read", uri, None)?;
        Ok(w.blobs.get(uri).map(|(bytes, mark)| properties(uri, bytes, mark.as_deref()).to_string()))
    })
}

pub fn create_container(effect: &str, uri: &str) -> Result<bool> {
    with_world(|w| {
        w.pass("blob", "create", uri, None)?;
        let made = w.effect((effect, "container-create", uri), "", |w| {
            let made = w.containers.insert(uri.into());
            Ok((json!(made), if made { Ownership::Ours } else { Ownership::Foreign }))
        })?;
        Ok(made == json!(true))
    })
}

pub fn put(effect: &str, uri: &str, source: &artifacts::Artifact, _: &str) -> Result<String> {
    with_world(|w| {
        w.pass("blob", "write", uri, None)?;
        w.effect((effect, "blob-put", uri), &source.sha256(), |w| {
            let standing = w.blobs.get(uri).map(|(bytes, mark)| properties(uri, bytes, mark.as_deref()));
            let whose = ownership(w, standing.as_ref(), uri)?;
            w.blobs.insert(uri.into(), (source.bytes.clone(), Some(Fake::RUN.into())));
            Ok((properties(uri, &source.bytes, Some(Fake::RUN)), whose))
        })
        .map(|v| v.to_string())
    })
}

pub fn get(uri: &str, name: &str) -> Result<artifacts::Artifact> {
    with_world(|w| {
        w.pass("blob", "read", uri, None)?;
        let (bytes, _) = w.blobs.get(uri).ok_or_else(|| super::Problem::permanent(format!("{uri} is not there")))?;
        let artifact = artifacts::Artifact { reference: format!("artifact:{name}"), bytes: bytes.clone() };
        w.artifacts.insert(artifact.reference.clone(), artifact.bytes.clone());
        Ok(artifact)
    })
}

pub fn delete(effect: &str, uri: &str) -> Result<bool> {
    with_world(|w| {
        w.pass("blob", "write", uri, None)?;
        let gone = w.effect((effect, "blob-delete", uri), "", |w| {
            Ok((json!(w.blobs.remove(uri).is_some() || w.containers.remove(uri)), Ownership::Ours))
        })?;
        Ok(gone == json!(true))
    })
}
