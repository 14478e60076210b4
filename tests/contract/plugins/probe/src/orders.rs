//! Orders to the capabilities.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::bindings::sealbook::plugin::types::Problem;
use crate::bindings::sealbook::plugin::{
    artifacts, attestation, azure, blob, crypto, directory, hsm, keyvault, log, ownership, progress,
};
use crate::{parse, rogue};

/// Handles by the name that an order gave them, and the answer that one may have set.
#[derive(Default)]
pub struct Orders {
    keys: HashMap<String, crypto::Key>,
    pairs: HashMap<String, crypto::Pair>,
    artifacts: HashMap<String, artifacts::Artifact>,
    drafts: HashMap<String, artifacts::Draft>,
    pub answer: Option<String>,
}

impl Orders {
    pub fn run(&mut self, orders: &Value) -> Result<Value, Problem> {
        let mut results = Vec::new();
        for order in orders.as_array().into_iter().flatten() {
            results.push(match self.one(order) {
                Err(problem) if order["try"] == true => json!({ "problem": format!("{problem:?}") }),
                result => result?,
            });
        }
        Ok(results.into())
    }

    fn one(&mut self, order: &Value) -> Result<Value, Problem> {
        // In pieces, a text stands in the inputs without being one of their values.
        let text = |name: &str| match &order[name] {
            Value::Array(pieces) => pieces.iter().filter_map(Value::as_str).collect(),
            value => value.as_str().unwrap_or_default().to_owned(),
        };
        let json = |name: &str| match &order[name] {
            Value::String(raw) => raw.clone(),
            value => value.to_string(),
        };
        let number = |name: &str| order[name].as_u64().unwrap_or_default();
        let api = order["api"].as_str();
        let (effect, id, uri, name) = (text("effect"), text("id"), text("uri"), text("name"));
        Ok(match text("do").as_str() {
            "azure.get" => optional(azure::get(&id, api)?),
            "azure.list" => azure::list(&id, api)?.iter().map(|t| parse(t)).collect(),
            "azure.query" => parse(&azure::query(&id, &json("body"), api)?),
            "azure.put" => parse(&azure::put(&effect, &id, &json("body"), api)?),
            "azure.patch" => parse(&azure::patch(&effect, &id, &json("body"), api)?),
            "azure.delete" => azure::delete(&effect, &id, api)?.into(),
            "azure.post" => optional(azure::post(&effect, &id, &json("body"), api)?),
            "azure.assigned" => match azure::assigned(&id, &text("principal"), &text("role"))? {
                Some(a) => json!({ "id": a.id, "already": a.already }),
                None => Value::Null,
            },
            "azure.assign" => {
                let a = azure::assign(&effect, &id, &text("principal"), &text("type"), &text("role"))?;
                json!({ "id": a.id, "already": a.already })
            }
            "keyvault.get" => optional(keyvault::get(&uri)?),
            "keyvault.versions" => keyvault::versions(&uri)?.iter().map(|t| parse(t)).collect(),
            "keyvault.create" => parse(&keyvault::create(&effect, &uri, &json("parameters"))?),
            "keyvault.import" => parse(&keyvault::import(&effect, &uri, &json("parameters"), &self.artifacts[&name])?),
            "keyvault.update" => parse(&keyvault::update(&effect, &uri, &json("parameters"))?),
            "keyvault.rotate" => parse(&keyvault::rotate(&effect, &uri)?),
            "keyvault.delete" => optional(keyvault::delete(&effect, &uri)?),
            "keyvault.wrap" => keyvault::wrap(&uri, &text("algorithm"), self.key(&name))?.into(),
            "keyvault.wrap-unwrap" => {
                let wrapped = keyvault::wrap(&uri, &text("algorithm"), self.key(&name))?;
                let key = keyvault::unwrap(&uri, &text("algorithm"), &wrapped)?;
                json!({ "same": crypto::same(self.key(&name), &key), "reference": key.reference() })
            }
            "blob.head" => optional(blob::head(&uri)?),
            "blob.create-container" => blob::create_container(&effect, &uri)?.into(),
            "blob.put" => parse(&blob::put(&effect, &uri, &self.artifacts[&name], "text/plain")?),
            "blob.get" => {
                let artifact = blob::get(&uri, &name)?;
                self.opened(name, artifact)
            }
            "blob.delete" => blob::delete(&effect, &uri)?.into(),
            "artifacts.write" => {
                let draft = artifacts::create(&name)?;
                let content = text("text").into_bytes();
                for _ in 0..number("times").max(1) {
                    draft.append(&content)?;
                }
                let artifact = artifacts::finish(draft)?;
                self.opened(name, artifact)
            }
            "artifacts.append" => {
                let draft = artifacts::create(&name)?;
                let appended = draft.append(&vec![0; number("bytes") as usize]);
                self.drafts.insert(name, draft);
                appended.map(|()| Value::Null)?
            }
            "artifacts.open" => {
                let artifact = artifacts::open(&text("reference"))?;
                self.opened(name, artifact)
            }
            "artifacts.read" => {
                let bytes = self.artifacts[&name].read(number("offset"), number("length") as u32)?;
                String::from_utf8_lossy(&bytes).into_owned().into()
            }
            "crypto.generate" => {
                let key = crypto::generate(&name, number("bits") as u32)?;
                let result = json!({ "bits": key.bits(), "reference": key.reference() });
                self.keys.insert(name, key);
                result
            }
            "crypto.open" => {
                let key = crypto::open(&text("reference"))?;
                let result = json!({ "bits": key.bits() });
                self.keys.insert(name, key);
                result
            }
            "crypto.generate-pair" => {
                let pair = crypto::generate_pair(&name, number("bits") as u32)?;
                self.paired(name, pair)
            }
            "crypto.open-pair" => {
                let pair = crypto::open_pair(&text("reference"))?;
                self.paired(name, pair)
            }
            "crypto.transfer-blob" => {
                let blob = crypto::transfer_blob(&self.pairs[&text("pair")], &json("exchange"), &name)?;
                self.opened(name, blob)
            }
            "crypto.seal-unwrap" => {
                let sealed = crypto::seal(&self.pairs[&text("pair")], self.key(&name))?;
                let key = keyvault::unwrap(&uri, "RSA-OAEP-256", &sealed)?;
                crypto::same(self.key(&name), &key).into()
            }
            "crypto.same" => crypto::same(self.key(&name), self.key(&text("other"))).into(),
            "hsm.download" => {
                let quorum = number("quorum") as u32;
                let domain = hsm::download(&effect, &id, &uri, &self.holders(order), quorum, &name)?;
                self.opened(name, domain)
            }
            "hsm.examine" => parse(&hsm::examine(&self.artifacts[&name], &self.holders(order))?),
            "hsm.upload" => {
                hsm::upload(&effect, &id, &uri, &self.artifacts[&name], &self.holders(order))?;
                Value::Null
            }
            "hsm.assigned" => match hsm::assigned(&uri, &text("scope"), &text("principal"), &text("role"))? {
                Some(a) => json!({ "name": a.name, "already": a.already }),
                None => Value::Null,
            },
            "hsm.assign" => {
                let a = hsm::assign(&effect, &uri, &text("scope"), &text("principal"), &text("role"))?;
                json!({ "name": a.name, "already": a.already })
            }
            "hsm.unassign" => hsm::unassign(&effect, &uri, &text("scope"), &name, &text("role"))?.into(),
            "directory.find" => optional(directory::find(&text("app"))?),
            "directory.register" => parse(&directory::register(&effect, &text("app"))?),
            "attestation.attest" => parse(&attestation::attest(&text("provider"))?.claims()),
            "attestation.gpu" => {
                let proof = attestation::attest_gpu(&json("rules"))?;
                json!({ "verdict": parse(&proof.verdict()), "reference": proof.reference() })
            }
            "keyvault.release" => {
                let token = attestation::attest(&text("provider"))?;
                let pair = keyvault::release(&uri, &token, "RSA_AES_KEY_WRAP_256")?;
                self.paired(name, pair)
            }
            "crypto.unseal" => {
                let sealed: Vec<u8> = hex(&text("sealed"));
                let key = crypto::unseal(&self.pairs[&text("pair")], &sealed)?;
                let result = json!({ "reference": key.reference() });
                self.keys.insert(name, key);
                result
            }
            "attestation.open" => attestation::open(&text("reference"))?.reference().into(),
            "attestation.verify" => {
                parse(&attestation::verify(&order["document"].to_string(), &order["rules"].to_string())?)
            }
            "log" => {
                for _ in 0..number("times").max(1) {
                    log::write(log::Level::Warn, &text("text"));
                }
                Value::Null
            }
            "progress" => {
                for i in 0..number("times").max(1) {
                    progress::report(i, None, &text("text"));
                }
                Value::Null
            }
            "ownership" => ownership::usable(order["mark"].as_str()).into(),
            "answer" => {
                self.answer = Some(text("text"));
                Value::Null
            }
            "answer.bytes" => {
                self.answer = Some(format!("\"{}\"", "x".repeat(number("bytes") as usize)));
                Value::Null
            }
            "refuse" => return Err(refusal(&text("kind"), text("text"))),
            rogue => rogue::act(rogue, order),
        })
    }

    fn key(&self, name: &str) -> &crypto::Key {
        &self.keys[name]
    }

    fn holders(&self, order: &Value) -> Vec<&crypto::Pair> {
        let names = order["holders"].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.map(|name| &self.pairs[name]).collect()
    }

    fn paired(&mut self, name: String, pair: crypto::Pair) -> Value {
        let result = json!({ "public": parse(&pair.public()), "reference": pair.reference() });
        self.pairs.insert(name, pair);
        result
    }

    fn opened(&mut self, name: String, artifact: artifacts::Artifact) -> Value {
        let result =
            json!({ "length": artifact.length(), "sha256": artifact.sha256(), "reference": artifact.reference() });
        self.artifacts.insert(name, artifact);
        result
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).filter_map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

fn optional(text: Option<String>) -> Value {
    text.map_or(Value::Null, |t| parse(&t))
}

fn refusal(kind: &str, text: String) -> Problem {
    use crate::bindings::sealbook::plugin::types::{Denied, Transient};
    match kind {
        "denied" => Problem::Denied(Denied { capability: text.clone(), scope: text }),
        "transient" => Problem::Transient(Transient { message: text, retry_after: Some(1500) }),
        "cancelled" => Problem::Cancelled,
        _ => Problem::Permanent(text),
    }
}
