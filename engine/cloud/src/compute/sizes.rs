//! Virtual machine sizes that the labs and their clients ask for.

/// A virtual machine size.
#[derive(Debug)]
pub(super) struct Size {
    /// Name, such as `Standard_DC2as_v5`.
    pub name: &'static str,
    /// Quota family.
    pub family: &'static str,
    /// vCPUs.
    pub cpus: u32,
    /// Memory in MB.
    pub memory: u32,
    /// GPUs.
    pub gpus: u32,
    /// Temporary disk in MB.
    pub temporary: u32,
    /// How many data disks it takes.
    pub data_disks: u32,
    /// How many network interfaces it takes.
    pub interfaces: usize,
    /// `SNP` or `TDX` for confidential sizes.
    pub confidential: Option<&'static str>,
    regions: &'static [&'static str],
}

impl Size {
    /// Whether a region offers it; no list means everywhere.
    pub fn offered_in(&self, location: &str) -> bool {
        self.regions.is_empty() || self.regions.contains(&location)
    }
}

/// A quota family.
#[derive(Debug)]
pub(super) struct Family {
    /// Name, as sizes state it.
    pub name: &'static str,
    /// Name for people.
    pub text: &'static str,
    /// Quota of vCPUs per region in a fresh subscription.
    pub limit: u32,
}

const fn family(name: &'static str, text: &'static str, limit: u32) -> Family {
    Family { name, text, limit }
}

/// The quota families.
pub(super) static FAMILIES: &[Family] = &[
    family("standardBSFamily", "Standard BS Family vCPUs", 20),
    family("standardDSv2Family", "Standard DSv2 Family vCPUs", 20),
    family("standardDSv3Family", "Standard DSv3 Family vCPUs", 20),
    family("standardDSv5Family", "Standard DSv5 Family vCPUs", 20),
    family("standardDASv5Family", "Standard DASv5 Family vCPUs", 20),
    family("standardDCASv5Family", "Standard DCASv5 Family vCPUs", 20),
    family("standardDCADSv5Family", "Standard DCADSv5 Family vCPUs", 20),
    family("standardDCasv6Family", "Standard DCasv6 Family vCPUs", 20),
    family("standardECASv5Family", "Standard ECASv5 Family vCPUs", 20),
    family("standardDCEV5Family", "Standard DCEV5 Family vCPUs", 10),
    family("StandardNCCads2023Family", "Standard NCCads2023 Family vCPUs", 40),
];

const V5: &[&str] = &[
    "eastus",
    "eastus2",
    "westus",
    "westus2",
    "westus3",
    "centralus",
    "southcentralus",
    "canadacentral",
    "northeurope",
    "westeurope",
    "germanywestcentral",
    "italynorth",
    "francecentral",
    "swedencentral",
    "switzerlandnorth",
    "uksouth",
    "uaenorth",
    "qatarcentral",
    "centralindia",
    "southeastasia",
    "eastasia",
    "japaneast",
    "koreacentral",
    "australiaeast",
    "southafricanorth",
    "brazilsouth",
];
const V6: &[&str] = &[
    "eastus",
    "eastus2",
    "westus2",
    "westus3",
    "centralus",
    "canadacentral",
    "northeurope",
    "westeurope",
    "germanywestcentral",
    "italynorth",
    "swedencentral",
    "switzerlandnorth",
    "uksouth",
    "southeastasia",
    "japaneast",
    "koreacentral",
    "australiaeast",
];
const TDX: &[&str] = &["centralus", "eastus2", "northeurope", "westeurope"];
const H100: &[&str] = &["eastus2", "westeurope"];

/// A size without anything special. Memory is in GB.
const fn plain(name: &'static str, family: &'static str, cpus: u32, memory: u32, data_disks: u32) -> Size {
    let interfaces = if cpus >= 8 { 4 } else { 2 };
    let memory = memory * 1_024;
    Size { name, family, cpus, memory, gpus: 0, temporary: 0, data_disks, interfaces, confidential: None, regions: &[] }
}

const fn snp(
    name: &'static str,
    family: &'static str,
    cpus: u32,
    memory: u32,
    data_disks: u32,
    regions: &'static [&'static str],
) -> Size {
    Size { confidential: Some("SNP"), regions, ..plain(name, family, cpus, memory, data_disks) }
}

/// With a temporary disk; its size is in GB.
const fn with_disk(size: Size, temporary: u32) -> Size {
    Size { temporary: temporary * 1_024, ..size }
}

/// One H100 with 94 GB, in confidential mode. Linux in eastus2 costs 6.98 US dollars an hour (Azure Retail Prices, meter
/// `NCC40adsH100v5` of `Virtual Machines NCCadsv5 Srs`, July 2026).
///
/// Source: <https://learn.microsoft.com/azure/virtual-machines/sizes/gpu-accelerated/nccadsh100v5-series>.
const NCC40: Size = Size {
    gpus: 1,
    interfaces: 8,
    ..with_disk(snp("Standard_NCC40ads_H100_v5", "StandardNCCads2023Family", 40, 320, 8, H100), 800)
};

/// The sizes.
///
/// Source: <https://learn.microsoft.com/azure/virtual-machines/sizes/overview>.
pub(super) static SIZES: &[Size] = &[
    with_disk(plain("Standard_B1ms", "standardBSFamily", 1, 2, 2), 4),
    with_disk(plain("Standard_B2s", "standardBSFamily", 2, 4, 4), 8),
    with_disk(plain("Standard_B2ms", "standardBSFamily", 2, 8, 4), 16),
    with_disk(plain("Standard_B4ms", "standardBSFamily", 4, 16, 8), 32),
    with_disk(Size { memory: 3_584, ..plain("Standard_DS1_v2", "standardDSv2Family", 1, 4, 4) }, 7),
    with_disk(plain("Standard_DS2_v2", "standardDSv2Family", 2, 7, 8), 14),
    with_disk(plain("Standard_D2s_v3", "standardDSv3Family", 2, 8, 4), 16),
    with_disk(plain("Standard_D4s_v3", "standardDSv3Family", 4, 16, 8), 32),
    plain("Standard_D2s_v5", "standardDSv5Family", 2, 8, 4),
    plain("Standard_D4s_v5", "standardDSv5Family", 4, 16, 8),
    plain("Standard_D8s_v5", "standardDSv5Family", 8, 32, 16),
    plain("Standard_D2as_v5", "standardDASv5Family", 2, 8, 4),
    plain("Standard_D4as_v5", "standardDASv5Family", 4, 16, 8),
    snp("Standard_DC2as_v5", "standardDCASv5Family", 2, 8, 4, V5),
    snp("Standard_DC4as_v5", "standardDCASv5Family", 4, 16, 8, V5),
    snp("Standard_DC8as_v5", "standardDCASv5Family", 8, 32, 16, V5),
    snp("Standard_DC16as_v5", "standardDCASv5Family", 16, 64, 32, V5),
    with_disk(snp("Standard_DC2ads_v5", "standardDCADSv5Family", 2, 8, 4, V5), 75),
    with_disk(snp("Standard_DC4ads_v5", "standardDCADSv5Family", 4, 16, 8, V5), 150),
    snp("Standard_EC2as_v5", "standardECASv5Family", 2, 16, 4, V5),
    snp("Standard_EC4as_v5", "standardECASv5Family", 4, 32, 8, V5),
    snp("Standard_DC2as_v6", "standardDCasv6Family", 2, 8, 4, V6),
    snp("Standard_DC4as_v6", "standardDCasv6Family", 4, 16, 8, V6),
    snp("Standard_DC8as_v6", "standardDCasv6Family", 8, 32, 16, V6),
    Size { confidential: Some("TDX"), regions: TDX, ..plain("Standard_DC2es_v5", "standardDCEV5Family", 2, 8, 4) },
    Size { confidential: Some("TDX"), regions: TDX, ..plain("Standard_DC4es_v5", "standardDCEV5Family", 4, 16, 8) },
    NCC40,
];

/// Finds a size by name, without case.
pub(super) fn find(name: &str) -> Option<&'static Size> {
    SIZES.iter().find(|size| size.name.eq_ignore_ascii_case(name))
}
