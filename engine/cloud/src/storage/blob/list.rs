//! Listing containers and blobs, page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::headers::{COPY, MD5};
use super::lease::{self, Lease, Place};
use super::rows::{self, Blob, Container};
use super::xml::Xml;
use super::{Open, account, container};
use crate::cx::Cx;
use crate::http::{Answer, Request};
use crate::operation::Params;
use crate::refusal::Refusal;
use crate::time::http_date;

/// Items per page, at most and by default.
const PAGE: usize = 5000;

/// What both listings share.
struct Page {
    prefix: String,
    marker: String,
    /// First name of this page.
    from: String,
    limit: usize,
    shown_limit: Option<String>,
    include: Vec<String>,
}

impl Page {
    /// Reads the query; `known` are the values that `include` may have.
    fn read(request: &Request, known: &[&str]) -> Result<Self, Refusal> {
        let text = |name: &str| request.query(name).unwrap_or_default().to_owned();
        let (prefix, marker) = (text("prefix"), text("marker"));
        let limit = match request.query("maxresults").filter(|text| !text.is_empty()) {
            None => PAGE,
            Some(text) => match text.parse::<usize>() {
                Ok(0) | Err(_) => return Err(out_of_range("maxresults")),
                Ok(limit) => limit.min(PAGE),
            },
        };
        let next = match marker.as_str() {
            "" => String::new(),
            marker => decode(marker).ok_or_else(|| out_of_range("marker"))?,
        };
        let include: Vec<String> = text("include")
            .split(',')
            .map(|word| word.trim().to_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        if let Some(word) = include.iter().find(|word| !known.contains(&word.as_str())) {
            return Err(invalid_query("include").gap(format!("include={word} in a listing")));
        }
        Ok(Self {
            from: next.max(prefix.clone()),
            prefix,
            marker,
            limit,
            shown_limit: request.query("maxresults").map(str::to_owned),
            include,
        })
    }

    fn includes(&self, what: &str) -> bool {
        self.include.iter().any(|word| word == what)
    }

    /// Writes what the client asked for, as Azure repeats it.
    fn echo(&self, xml: &mut Xml) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        xml.optional("Prefix", some(&self.prefix).as_deref());
        xml.optional("Marker", some(&self.marker).as_deref());
        xml.optional("MaxResults", self.shown_limit.as_deref());
    }
}

fn out_of_range(name: &str) -> Refusal {
    Refusal::new(
        400,
        "OutOfRangeQueryParameterValue",
        format!("One of the query parameters specified in the request URI is outside the permissible range: {name}."),
    )
}

fn invalid_query(name: &str) -> Refusal {
    Refusal::new(
        400,
        "InvalidQueryParameterValue",
        format!("Value for one of the query parameters specified in the request URI is invalid: {name}."),
    )
}

/// A marker names the first item of the next page; clients pass it back as they got it.
fn encode(name: &str) -> String {
    format!("2!{}", URL_SAFE_NO_PAD.encode(name))
}

fn decode(marker: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(marker.strip_prefix("2!")?).ok()?).ok()
}

fn endpoint(cx: &Cx<'_>) -> String {
    format!("https://{}/", cx.request.host)
}

/// List Containers. Works without the account's key.
pub(super) fn containers(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    let account = account(cx)?;
    let page = Page::read(cx.request, &["metadata", "deleted", "system"])?;
    let mut items: Vec<Container> = Vec::new();
    let mut next = None;
    rows::containers(cx.tx, &account, &page.from, |container| {
        if !container.name.starts_with(&page.prefix) {
            return false;
        }
        if items.len() == page.limit {
            next = Some(encode(&container.name));
            return false;
        }
        items.push(container);
        true
    })?;
    let mut xml = Xml::default();
    xml.open("EnumerationResults", &[("ServiceEndpoint", &endpoint(cx))]);
    page.echo(&mut xml);
    xml.open("Containers", &[]);
    for item in &items {
        xml.open("Container", &[]);
        xml.text("Name", &item.name);
        xml.open("Properties", &[]);
        xml.text("Last-Modified", &http_date(item.modified));
        xml.text("Etag", &item.etag);
        lease_words(&mut xml, cx, lease::find(cx.tx, Place::container(item))?.as_ref());
        xml.text("DefaultEncryptionScope", "$account-encryption-key");
        xml.text("DenyEncryptionScopeOverride", "false");
        xml.text("HasImmutabilityPolicy", "false");
        xml.text("HasLegalHold", "false");
        xml.text("ImmutableStorageWithVersioningEnabled", "false");
        xml.close("Properties");
        if page.includes("metadata") {
            xml.metadata(container::pairs(&item.metadata));
        }
        xml.close("Container");
    }
    xml.close("Containers");
    xml.text("NextMarker", &next.unwrap_or_default());
    xml.close("EnumerationResults");
    Ok(Answer::xml(200, &xml.finish()))
}

/// One line of a listing of blobs.
enum Item {
    Blob(Box<Blob>),
    /// The common beginning of names, up to and with the delimiter.
    Prefix(String),
}

/// List Blobs, flat or by delimiter. Needs the account's key only for metadata.
pub(super) fn blobs(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    // What can't exist here (snapshots, versions, deleted blobs) may be asked for: the answer is the same.
    let page = Page::read(
        cx.request,
        &[
            "metadata",
            "snapshots",
            "versions",
            "deleted",
            "deletedwithversions",
            "copy",
            "tags",
            "legalhold",
            "immutabilitypolicy",
        ],
    )?;
    let delimiter = cx.request.query("delimiter").unwrap_or_default().to_owned();
    let container = container::existing(cx, params)?;
    let open = if page.includes("metadata") { Some(Open::new(cx)?) } else { None };
    let leases = lease::of_blobs(cx.tx, &container)?;
    let mut items: Vec<Item> = Vec::new();
    let mut next = None;
    rows::blobs(cx.tx, &container, &page.from, |blob| {
        let Some(rest) = blob.name.strip_prefix(page.prefix.as_str()) else { return Ok(false) };
        let common = match rest.find(&delimiter) {
            Some(position) if !delimiter.is_empty() => {
                Some(blob.name[..page.prefix.len() + position + delimiter.len()].to_owned())
            }
            _ => None,
        };
        if let (Some(common), Some(Item::Prefix(last))) = (&common, items.last())
            && common == last
        {
            return Ok(true);
        }
        if items.len() == page.limit {
            next = Some(encode(common.as_deref().unwrap_or(&blob.name)));
            return Ok(false);
        }
        items.push(common.map_or_else(|| Item::Blob(Box::new(blob)), Item::Prefix));
        Ok(true)
    })?;
    let mut xml = Xml::default();
    xml.open("EnumerationResults", &[("ServiceEndpoint", &endpoint(cx)), ("ContainerName", &container.name)]);
    page.echo(&mut xml);
    if !delimiter.is_empty() {
        xml.text("Delimiter", &delimiter);
    }
    xml.open("Blobs", &[]);
    for item in &items {
        match item {
            Item::Prefix(prefix) => {
                xml.open("BlobPrefix", &[]);
                xml.name(prefix);
                xml.close("BlobPrefix");
            }
            Item::Blob(blob) => {
                xml.open("Blob", &[]);
                xml.name(&blob.name);
                xml.open("Properties", &[]);
                properties(&mut xml, blob);
                lease_words(&mut xml, cx, leases.get(&blob.name));
                if page.includes("copy") {
                    for (name, element) in COPY {
                        xml.optional(element, blob.headers[name].as_str());
                    }
                }
                xml.text("ServerEncrypted", "true");
                xml.close("Properties");
                if let Some(open) = &open {
                    let metadata = open.metadata(&container, blob)?;
                    xml.metadata(metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                }
                xml.close("Blob");
            }
        }
    }
    xml.close("Blobs");
    xml.text("NextMarker", &next.unwrap_or_default());
    xml.close("EnumerationResults");
    Ok(Answer::xml(200, &xml.finish()))
}

fn properties(xml: &mut Xml, blob: &Blob) {
    let header = |name: &str| blob.headers[name].as_str();
    xml.text("Creation-Time", &http_date(blob.created));
    xml.text("Last-Modified", &http_date(blob.modified));
    // In listings Azure writes entity tags without quotes.
    xml.text("Etag", blob.etag.trim_matches('"'));
    xml.text("Content-Length", &blob.length.to_string());
    xml.optional("Content-Type", header("content-type"));
    xml.optional("Content-Encoding", header("content-encoding"));
    xml.optional("Content-Language", header("content-language"));
    xml.optional("Content-MD5", header(MD5));
    xml.optional("Cache-Control", header("cache-control"));
    xml.optional("Content-Disposition", header("content-disposition"));
    xml.text("BlobType", "BlockBlob");
    xml.text("AccessTier", blob.tier.as_deref().unwrap_or("Hot"));
    if blob.tier.is_none() {
        xml.text("AccessTierInferred", "true");
    }
}

fn lease_words(xml: &mut Xml, cx: &Cx<'_>, lease: Option<&Lease>) {
    let (status, state, duration) = lease::words(cx, lease);
    xml.text("LeaseStatus", status);
    xml.text("LeaseState", state);
    xml.optional("LeaseDuration", duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers() {
        for name in ["a", "a/b c", "ä\u{1}"] {
            assert_eq!(decode(&encode(name)).as_deref(), Some(name));
        }
        for marker in ["a", "2!%%", "1!YQ", "2!YQ=="] {
            assert_eq!(decode(marker), None, "{marker}");
        }
    }
}
