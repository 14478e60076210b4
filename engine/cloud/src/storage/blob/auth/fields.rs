//! The fields of shared access signatures: times, addresses, and the texts that are signed.

use std::net::Ipv4Addr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::http::Request;

/// Reads a time in one of the forms that signatures have: a date, minutes, seconds or fractions, in UTC.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    if let Ok(time) = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ") {
        return Some(time.and_utc());
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(|time| time.and_utc())
}

/// Whether an address lies in `sip`: one address, or two with a hyphen. None: not well-formed.
pub(super) fn covers(range: &str, address: Ipv4Addr) -> Option<bool> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (Ipv4Addr, Ipv4Addr) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    Some((first..=last).contains(&address))
}

/// What all three kinds need of a request.
pub(super) struct Fields<'a>(pub &'a Request);

impl<'a> Fields<'a> {
    /// A field; empty when it is absent.
    pub fn get(&self, name: &str) -> &'a str {
        self.0.query(name).unwrap_or_default()
    }

    fn all(&self, names: &[&str]) -> Vec<String> {
        names.iter().map(|name| self.get(name).to_owned()).collect()
    }

    /// The resource that is signed: the request's container, or its blob.
    fn resource(&self, account: &str) -> String {
        let container = self.0.segments.first().map_or("", String::as_str);
        match self.get("sr") {
            "c" => format!("/blob/{account}/{container}"),
            _ => format!("/blob/{account}/{container}/{}", self.0.tail(1)),
        }
    }

    /// What the signer of an account signature signed.
    pub fn of_account(&self, account: &str) -> String {
        let mut lines = vec![account.to_owned()];
        lines.extend(self.all(&["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"]));
        if self.get("sv") >= "2020-12-06" {
            lines.push(self.get("ses").to_owned());
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// What the signer of a service signature signed.
    pub fn of_service(&self, account: &str) -> String {
        let version = self.get("sv");
        let mut lines = self.all(&["sp", "st", "se"]);
        lines.push(self.resource(account));
        lines.extend(self.all(&["si", "sip", "spr", "sv"]));
        if version >= "2018-11-09" {
            lines.extend([self.get("sr").to_owned(), String::new()]);
        }
        if version >= "2020-12-06" {
            lines.push(self.get("ses").to_owned());
        }
        lines.extend(self.all(&OVERRIDES.map(|(field, _)| field)));
        lines.join("\n")
    }

    /// What the signer of a user delegation signature signed.
    pub fn of_delegation(&self, account: &str) -> String {
        let version = self.get("sv");
        let mut lines = self.all(&["sp", "st", "se"]);
        lines.push(self.resource(account));
        lines.extend(self.all(&["skoid", "sktid", "skt", "ske", "sks", "skv"]));
        if version >= "2020-02-10" {
            lines.extend(self.all(&["saoid", "suoid", "scid"]));
        }
        if version >= "2025-07-05" {
            lines.extend(self.all(&["skdutid", "sduoid"]));
        }
        lines.extend(self.all(&["sip", "spr", "sv", "sr"]));
        lines.push(String::new());
        if version >= "2020-12-06" {
            lines.push(self.get("ses").to_owned());
        }
        if version >= "2026-04-06" {
            lines.extend([self.bound_headers(), self.bound_query()]);
        }
        lines.extend(self.all(&OVERRIDES.map(|(field, _)| field)));
        lines.join("\n")
    }

    /// `srh`: headers that the request must have with the values that were signed.
    fn bound_headers(&self) -> String {
        let names = self.get("srh").split(',').filter(|name| !name.is_empty());
        names.map(|name| format!("{name}:{}\n", self.0.header(name).unwrap_or_default())).collect()
    }

    /// `srq`: the same for query parameters.
    fn bound_query(&self) -> String {
        let names = self.get("srq").split(',').filter(|name| !name.is_empty());
        names.map(|name| format!("\n{name}:{}", self.0.query(name).unwrap_or_default())).collect()
    }
}

/// Fields that replace a header of an answer that carries a blob.
pub(super) const OVERRIDES: [(&str, &str); 5] = [
    ("rscc", "cache-control"),
    ("rscd", "content-disposition"),
    ("rsce", "content-encoding"),
    ("rscl", "content-language"),
    ("rsct", "content-type"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn times() {
        for (text, expected) in [
            ("2026-01-02", Some("2026-01-02T00:00:00+00:00")),
            ("2026-01-02T03:04Z", Some("2026-01-02T03:04:00+00:00")),
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05+00:00")),
            ("2026-01-02T03:04:05.5Z", Some("2026-01-02T03:04:05.500+00:00")),
            ("2026-01-02T03:04:05", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(time(text).map(|time| time.to_rfc3339()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn addresses() {
        for (range, expected) in [
            ("127.0.0.1", Some(true)),
            ("127.0.0.0-127.0.0.9", Some(true)),
            ("10.0.0.1", Some(false)),
            ("10.0.0.1-10.0.0.2", Some(false)),
            ("nowhere", None),
        ] {
            assert_eq!(covers(range, Ipv4Addr::LOCALHOST), expected, "{range}");
        }
    }

    fn shown(query: &str, write: impl Fn(&Fields<'_>) -> String) -> String {
        let request = http::Request::get(format!("https://a.blob.core.windows.net/c/d%20e/f?{query}"));
        let request = Request::parse(request.header("x-ms-a", "1").body(Bytes::new()).unwrap()).unwrap();
        write(&Fields(&request)).replace('\n', "|")
    }

    #[test]
    fn texts_by_version() {
        let service = |fields: &Fields<'_>| fields.of_service("a");
        let delegation = |fields: &Fields<'_>| fields.of_delegation("a");
        let account = |fields: &Fields<'_>| fields.of_account("a");
        let common = "sp=r&st=S&se=E&spr=https";
        for (query, text) in [
            ("sv=2017-11-09&sr=b&rscc=x", "r|S|E|/blob/a/c/d e/f|||https|2017-11-09|x||||"),
            ("sv=2018-11-09&sr=c", "r|S|E|/blob/a/c|||https|2018-11-09|c||||||"),
            ("sv=2021-06-08&sr=b", "r|S|E|/blob/a/c/d e/f|||https|2021-06-08|b|||||||"),
        ] {
            assert_eq!(shown(&format!("{common}&{query}"), service), text, "{query}");
        }
        let key = "skoid=O&sktid=T&skt=1&ske=2&sks=b&skv=V&sr=c&scid=C";
        for (query, text) in [
            ("sv=2018-11-09", "r|S|E|/blob/a/c|O|T|1|2|b|V||https|2018-11-09|c||||||"),
            ("sv=2020-02-10", "r|S|E|/blob/a/c|O|T|1|2|b|V|||C||https|2020-02-10|c||||||"),
            ("sv=2021-06-08", "r|S|E|/blob/a/c|O|T|1|2|b|V|||C||https|2021-06-08|c|||||||"),
            ("sv=2025-07-05", "r|S|E|/blob/a/c|O|T|1|2|b|V|||C||||https|2025-07-05|c|||||||"),
            ("sv=2026-04-06", "r|S|E|/blob/a/c|O|T|1|2|b|V|||C||||https|2026-04-06|c|||||||||"),
            (
                "sv=2026-04-06&srh=x-ms-a&srq=sks",
                "r|S|E|/blob/a/c|O|T|1|2|b|V|||C||||https|2026-04-06|c|||x-ms-a:1|||sks:b|||||",
            ),
        ] {
            assert_eq!(shown(&format!("{common}&{key}&{query}"), delegation), text, "{query}");
        }
        for (query, text) in [
            ("sv=2020-10-02", "a|r|b|sco|S|E||https|2020-10-02|"),
            ("sv=2020-12-06", "a|r|b|sco|S|E||https|2020-12-06||"),
        ] {
            assert_eq!(shown(&format!("{common}&ss=b&srt=sco&{query}"), account), text, "{query}");
        }
    }

    /// Signatures that the official Python client (azure-storage-blob 12.31.1) made with keys of counting bytes.
    #[test]
    fn the_official_client_signs_the_same_texts() {
        use base64::Engine as _;
        type Write = fn(&Fields<'_>) -> String;
        let key: Vec<u8> = (0..64).collect();
        let common = "st=2026-01-02T03:00:00Z&se=2026-01-02T05:00:00Z&sip=127.0.0.1&spr=https&sv=2026-10-06";
        let delegated = "skoid=11111111-1111-1111-1111-111111111111&sktid=22222222-2222-2222-2222-222222222222\
                         &skt=2026-01-02T03:00:00Z&ske=2026-01-02T06:00:00Z&sks=b&skv=2026-10-06&sp=r";
        let rows: [(&[u8], Write, String, &str); 5] = [
            (
                &key,
                |fields| fields.of_service("labdata01"),
                "sp=r&sr=b&rscd=attachment%3B%20x%3D1".to_owned(),
                "Qakxh3fp92sj0BZNVMhqdgkcotwvV70mzO5QJZ0KC0k=",
            ),
            (
                &key,
                |fields| fields.of_service("labdata01"),
                "sp=r&sr=c".to_owned(),
                "ulKgrFS0KbqKyz9sbInTGd9Cl3f6+vwEja1Lm0oMUQI=",
            ),
            (
                &key[..32],
                |fields| fields.of_delegation("labdata01"),
                format!("sr=b&{delegated}"),
                "3jlEl0xIeMULxiflaxKSWCkZFR2xHL8KUyJ66kPUFDU=",
            ),
            (
                &key[..32],
                |fields| fields.of_delegation("labdata01"),
                format!("sr=c&{delegated}&srh=x-ms-a&srq=zz&zz=2"),
                "+HMHXU0kZS+86hsLA7S6vqjXW2fedxkiNXIPyD1GUnE=",
            ),
            (
                &key,
                |fields| fields.of_account("labdata01"),
                "sp=rwl&ss=b&srt=sco".to_owned(),
                "yQh4q93my7eFV+qD3GA8MUzal3+tdvqa5HLRrnPanRk=",
            ),
        ];
        for (key, write, query, expected) in rows {
            let request =
                http::Request::get(format!("https://a.blob.core.windows.net/data/dir/a%20b?{common}&{query}"));
            let request = Request::parse(request.header("x-ms-a", "1").body(Bytes::new()).unwrap()).unwrap();
            let tag = sealbook_crypto::hmac_sha256(key, write(&Fields(&request)).as_bytes());
            assert_eq!(base64::engine::general_purpose::STANDARD.encode(tag), expected, "{query}");
        }
    }
}
