//! Platform images: what a disk made from one says about itself.

use crate::compute::images::{self, Image};
use crate::resource_id::ResourceId;

/// Bytes of a boot sector.
const SECTOR: usize = 512;
/// Bytes of a boot sector that come before its partition table.
const CODE: usize = 446;

/// A version of a platform image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlatformImage {
    /// Publisher.
    pub publisher: String,
    /// Offer.
    pub offer: String,
    /// SKU.
    pub sku: String,
    /// Exact version.
    pub version: String,
}

impl PlatformImage {
    /// Parses an id as disks name images:
    /// `/Subscriptions/…/Providers/Microsoft.Compute/Locations/…/Publishers/…/ArtifactTypes/VMImage/Offers/…/Skus/…/Versions/…`.
    pub fn parse(id: &str) -> Option<Self> {
        let id = ResourceId::parse(id)?;
        let segments = id.segments();
        let names =
            ["Subscriptions", "Providers", "Locations", "Publishers", "ArtifactTypes", "Offers", "Skus", "Versions"];
        let mut values = Vec::new();
        for (pair, name) in segments.chunks(2).zip(names) {
            let [given, value] = pair else { return None };
            if !given.eq_ignore_ascii_case(name) {
                return None;
            }
            values.push(value.clone());
        }
        let [_, provider, _, publisher, artifact, offer, sku, version] = <[String; 8]>::try_from(values).ok()?;
        let numbers = version.split('.').count() == 3 && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        (segments.len() == 16
            && provider.eq_ignore_ascii_case("Microsoft.Compute")
            && artifact.eq_ignore_ascii_case("VMImage")
            && numbers)
            .then_some(Self { publisher, offer, sku, version })
    }

    /// Its id in a region, as disks name it.
    pub fn id(&self, subscription: &str, location: &str) -> String {
        format!(
            "/Subscriptions/{subscription}/Providers/Microsoft.Compute/Locations/{location}/Publishers/{}/ArtifactTypes\
             /VMImage/Offers/{}/Skus/{}/Versions/{}",
            self.publisher, self.offer, self.sku, self.version
        )
    }

    /// What disks made from it are like; None when there is no such image.
    pub fn traits(&self) -> Option<&'static Image> {
        images::find(&self.publisher, &self.offer, &self.sku)
    }

    /// The boot sector of a disk made from it: one line of text that names the image, zeros, and the two bytes that
    /// end every boot sector.
    pub fn boot_sector(&self) -> [u8; SECTOR] {
        let text = format!("platform image {}:{}:{}:{}\n", self.publisher, self.offer, self.sku, self.version);
        let mut sector = [0; SECTOR];
        for (target, byte) in sector.iter_mut().zip(text.bytes().take(CODE)) {
            *target = byte;
        }
        if let Some(end) = sector.last_chunk_mut() {
            *end = [0x55, 0xAA];
        }
        sector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_with_their_version() {
        let image = PlatformImage {
            publisher: "Canonical".to_owned(),
            offer: "ubuntu-24_04-lts".to_owned(),
            sku: "server".to_owned(),
            version: "24.04.202601010".to_owned(),
        };
        let id = image.id("s", "westeurope");
        assert_eq!(PlatformImage::parse(&id), Some(image.clone()));
        assert_eq!(PlatformImage::parse(&id.to_ascii_lowercase()).unwrap().version, image.version);
        for wrong in [
            id.replace("24.04.202601010", "latest"),
            id.replace("VMImage", "Other"),
            format!("{id}/more/x"),
            id.replace("/Skus/server", ""),
            "/".to_owned(),
            String::new(),
        ] {
            assert_eq!(PlatformImage::parse(&wrong), None, "{wrong}");
        }
        let sector = image.boot_sector();
        assert!(sector.starts_with(b"platform image Canonical:ubuntu-24_04-lts:server:24.04.202601010\n"));
        assert!(sector.ends_with(&[0, 0x55, 0xAA]));
    }
}
