//! The certificates that stand behind a report: VCEK or VLEK, and the authorities above it (AMD 57230, §3).

use serde_json::Value;

use super::product::{Product, Tcb};
use super::report::SigningKey;
use crate::x509::{Certificate, X509Error};

/// Object identifiers of the extensions (AMD 57230, table 8): product name.
pub const PRODUCT_NAME: &str = "1.3.6.1.4.1.3704.1.2";
/// The chip's id.
pub const HWID: &str = "1.3.6.1.4.1.3704.1.4";
/// The cloud provider's id.
pub const CSP_ID: &str = "1.3.6.1.4.1.3704.1.5";
/// Security versions: boot loader, TEE, SNP, microcode, FMC.
pub const SPL: [(&str, &str); 5] = [
    ("bootloader", "1.3.6.1.4.1.3704.1.3.1"),
    ("tee", "1.3.6.1.4.1.3704.1.3.2"),
    ("snp", "1.3.6.1.4.1.3704.1.3.3"),
    ("microcode", "1.3.6.1.4.1.3704.1.3.8"),
    ("fmc", "1.3.6.1.4.1.3704.1.3.9"),
];
/// More certificates in one bundle are refused.
const MOST: usize = 16;

/// Endorsements of a report: the certificate of the key that signed it, and those above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsements {
    /// VCEK or VLEK.
    pub leaf: Certificate,
    /// ASK or ASVK, perhaps the ARK: in any order. Those that AMD publishes are built in (except ASVK).
    pub intermediates: Vec<Certificate>,
}

impl Endorsements {
    /// Reads one bundle (see [`certificates`]).
    ///
    /// # Errors
    /// [`X509Error`] when there is not exactly one endorsement key among at most 16 certificates.
    pub fn parse(bytes: &[u8]) -> Result<Self, X509Error> {
        Self::of(certificates(bytes)?)
    }

    /// Finds the endorsement key among certificates.
    ///
    /// # Errors
    /// [`X509Error`] when there is not exactly one among at most 16 certificates.
    pub fn of(mut certificates: Vec<Certificate>) -> Result<Self, X509Error> {
        if certificates.len() > MOST {
            return Err(X509Error::Unsupported(format!("{} certificates are too many", certificates.len())));
        }
        let leaves: Vec<_> = certificates.iter().enumerate().filter(|(_, c)| is_endorsement_key(c)).collect();
        let [(index, _)] = leaves.as_slice() else {
            let found =
                format!("{} of {} certificates are VCEK or VLEK; one must be", leaves.len(), certificates.len());
            return Err(X509Error::Unsupported(found));
        };
        let leaf = certificates.remove(*index);
        Ok(Self { leaf, intermediates: certificates })
    }

    /// Adds authorities.
    ///
    /// # Errors
    /// [`X509Error`] when one is broken, an endorsement key, or they become more than 16.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), X509Error> {
        let mut all = certificates(bytes)?;
        all.append(&mut self.intermediates);
        all.push(self.leaf.clone());
        *self = Self::of(all)?;
        Ok(())
    }
}

/// Reads certificates: DER, a PEM bundle in any order, or the JSON that Azure's THIM service answers with
/// (`{"vcekCert", "certificateChain", …}`).
///
/// # Errors
/// [`X509Error`] when there is none or one is broken.
pub fn certificates(bytes: &[u8]) -> Result<Vec<Certificate>, X509Error> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(thim)) => {
            let part = |name: &str| thim.get(name).and_then(Value::as_str).unwrap_or_default();
            Certificate::bundle(format!("{}\n{}", part("vcekCert"), part("certificateChain")).as_bytes())
        }
        _ => Certificate::bundle(bytes),
    }
}

fn is_endorsement_key(certificate: &Certificate) -> bool {
    let [(_, bootloader), ..] = SPL;
    certificate.extension(bootloader).is_some()
}

/// What the certificate of an endorsement key says in its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCertificate {
    /// VCEK or VLEK.
    pub kind: SigningKey,
    /// Generation, and the name as it stands there.
    pub product: Option<Product>,
    /// The product's name as it stands there.
    pub product_name: String,
    /// The TCB that the key is derived for.
    pub tcb: Tcb,
    /// The chip, 64 bytes or on Turin eight; a VLEK has none.
    pub hwid: Option<Vec<u8>>,
    /// The cloud provider that a VLEK belongs to.
    pub csp_id: Option<String>,
}

impl KeyCertificate {
    /// Reads the extensions.
    ///
    /// # Errors
    /// Which one is missing or has no sense.
    pub fn parse(certificate: &Certificate) -> Result<Self, String> {
        let text = |oid: &str| certificate.extension(oid).map(|content| ia5(content).unwrap_or_default());
        let number = |name: &str, oid: &str| match certificate.extension(oid) {
            None => Ok(None),
            Some([2, 1, value @ 0..=0x7f]) | Some([2, 2, 0, value @ 0x80..=0xff]) => Ok(Some(*value)),
            Some(_) => Err(format!("the extension {oid} ({name}) is no small number")),
        };
        let mut found = [None; SPL.len()];
        for (slot, (name, oid)) in found.iter_mut().zip(SPL) {
            *slot = number(name, oid)?;
        }
        let [Some(bootloader), Some(tee), Some(snp), Some(microcode), fmc] = found else {
            return Err("it does not say all security versions".into());
        };
        let product_name = text(PRODUCT_NAME).unwrap_or_default();
        let csp_id = text(CSP_ID);
        // The content is the id itself; the specification shows an octet string around it.
        let hwid = certificate.extension(HWID).map(|content| match content {
            [4, length, id @ ..] if usize::from(*length) == id.len() => id.to_vec(),
            id => id.to_vec(),
        });
        let kind = match (certificate.name().as_str(), &hwid, &csp_id) {
            ("SEV-VCEK", Some(_), None) => SigningKey::Vcek,
            ("SEV-VLEK", None, Some(_)) => SigningKey::Vlek,
            (name, ..) => return Err(format!("{name} is neither a VCEK with a chip nor a VLEK with a provider")),
        };
        let tcb = Tcb { fmc, bootloader, tee, snp, microcode };
        Ok(Self { kind, product: Product::from_name(&product_name), product_name, tcb, hwid, csp_id })
    }
}

impl KeyCertificate {
    /// Writes the extensions, for [`crate::x509::issue`].
    #[must_use]
    pub fn extensions(&self) -> Vec<(&'static str, Vec<u8>)> {
        let text = |text: &str| [&[0x16, u8::try_from(text.len()).unwrap_or(0x7f)], text.as_bytes()].concat();
        let number = |number: u8| if number < 0x80 { vec![2, 1, number] } else { vec![2, 2, 0, number] };
        let Tcb { fmc, bootloader, tee, snp, microcode } = self.tcb;
        let numbers = SPL.into_iter().zip([Some(bootloader), Some(tee), Some(snp), Some(microcode), fmc]);
        let mut extensions = vec![(PRODUCT_NAME, text(&self.product_name))];
        extensions.extend(numbers.filter_map(|((_, oid), value)| value.map(|value| (oid, number(value)))));
        extensions.extend(self.hwid.iter().map(|id| (HWID, id.clone())));
        extensions.extend(self.csp_id.iter().map(|id| (CSP_ID, text(id))));
        extensions
    }
}

/// The content of an IA5String.
fn ia5(content: &[u8]) -> Option<String> {
    let [0x16, length @ 0..=0x7f, text @ ..] = content else { return None };
    let text = (text.len() == usize::from(*length)).then_some(text)?;
    text.is_ascii().then(|| String::from_utf8_lossy(text).into_owned())
}
