//! The rules of Azure that the labs lean on, and what stands behind each: one check, one refusal, one test.
//!
//! A check asks its rule before it refuses. In the product every rule holds, as a constant. Under test one rule can be
//! switched off, which must make exactly the test of its name fail: that is how the tests show that they are about
//! their rule and about nothing else (docs/rules.md).

#[cfg(test)]
mod tests;

/// What is known of a rule besides its name.
#[cfg(test)]
#[derive(Debug)]
struct Stated {
    rule: Rule,
    /// The file of its test.
    topic: &'static str,
    /// The rule as a sentence.
    says: &'static [&'static str],
    /// What Azure answers to those who break it.
    answer: &'static str,
}

macro_rules! rules {
    ($($topic:ident { $($(#[doc = $says:literal])+ $rule:ident: $answer:literal,)+ })+) => {
        /// A rule of Azure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Rule { $($($(#[doc = $says])+ $rule,)+)+ }

        /// All rules in the order of the page.
        #[cfg(test)]
        static ALL: &[Stated] = &[$($(Stated {
            rule: Rule::$rule,
            topic: stringify!($topic),
            says: &[$($says),+],
            answer: $answer,
        },)+)+];
    };
}

rules! {
    protection {
        /// A key of a customer encrypts a storage account only in a vault with purge protection.
        StorageKeysArePurgeProtected: "400 `KeyVaultPolicyError`",
        /// A key of a customer encrypts an AI Services account only in a vault with purge protection.
        AiKeysArePurgeProtected: "400 `KeyVaultPolicyError`",
        /// A disk encryption set takes a key that can be purged, with a warning in the log: Azure dropped that check.
        DiskSetsOnlyWarnOfPurges: "202, and a warning",
    }
    fitting {
        /// A disk encryption set is in the region of its vault.
        DiskSetsAreInTheRegionOfTheirVault: "400 `InvalidParameter`",
        /// A disk encryption set names its key with a version.
        DiskSetsNameAKeyVersion: "400 `InvalidParameter`",
        /// An AI Services account is encrypted with RSA keys of 2048 bits, and no other.
        AiKeysHave2048Bits: "400 `InvalidResourceProperties`",
        /// An AI Services account is in the region of its vault.
        AiKeysAreInTheRegion: "400 `InvalidResourceProperties`",
        /// An AI Services account under a key of a customer never goes back to one of Microsoft's.
        AiAccountsDoNotGoBack: "400 `InvalidResourceProperties`",
    }
    reach {
        /// A service takes a key only when the identity may wrap with it.
        UpdatesNeedWrapKey: "400 `KeyVaultAuthenticationFailure`; disk encryption sets 403 `KeyVaultAccessForbidden`",
        /// Data is out of reach while the identity may not unwrap with the key, and comes back with the role.
        DataNeedsUnwrapKey: "403 `KeyVaultEncryptionKeyNotFound`; disks 403 `KeyVaultAccessForbidden`",
        /// Data is out of reach while the key is disabled, and comes back when it is enabled.
        DataNeedsTheKeyEnabled: "403 `KeyVaultEncryptionKeyNotFound`; disks 400 `KeyVaultKeyNotEnabled`",
        /// Data is out of reach while the key is deleted, and comes back when it is recovered.
        DataNeedsTheKeyUndeleted: "403 `KeyVaultEncryptionKeyNotFound`; disks 400 `KeyVaultKeyNotFound`",
        /// A virtual machine does not start while the key of its disk is out of reach.
        MachinesStartOnlyWithTheirKeys: "202, then `KeyVaultAccessForbidden` or `KeyVaultKeyNotEnabled`",
    }
    vaults {
        /// A standard vault holds no HSM keys.
        StandardVaultsHoldNoHsmKeys: "400 `BadParameter`",
        /// A standard vault makes no keys that could be released.
        StandardVaultsExportNoKeys: "400 `BadParameter` (AKV.SKR.1001)",
        /// An exportable key has a release policy.
        ExportableKeysHaveAPolicy: "400 `BadParameter` (AKV.SKR.1004)",
        /// A managed HSM does nothing until its security domain has been downloaded.
        HsmsNeedActivation: "403 `Forbidden`",
    }
    release {
        /// A key is released to none but the authorities that its policy names.
        ReleasesNeedAnAuthorityOfThePolicy: "403 `Forbidden` (`AccessDenied`)",
        /// A token lets no key out after its time.
        ReleasesNeedAFreshToken: "403 `Forbidden` (`AccessDenied`)",
        /// A key is released to an environment that is what the policy wants, and to no other.
        ReleasesNeedTheClaimsOfThePolicy: "403 `Forbidden` (`AccessDenied`)",
        /// A release policy that is immutable stays what it is.
        ImmutablePoliciesStay: "400 `BadParameter` (AKV.SKR.1020)",
    }
    names {
        /// The name of a vault is taken for everybody.
        VaultNamesAreGlobal: "409 `VaultAlreadyExists`",
        /// A deleted vault keeps its name until it is purged.
        DeletedVaultsKeepTheirNames: "409 `ConflictError`",
        /// The name of a managed HSM is taken for everybody.
        HsmNamesAreGlobal: "409 `ManagedHsmAlreadyExists`",
        /// A deleted managed HSM keeps its name until it is purged.
        DeletedHsmsKeepTheirNames: "409 `ConflictError`",
        /// The name of a storage account is taken for everybody.
        StorageNamesAreGlobal: "409 `StorageAccountAlreadyTaken`, `StorageAccountInAnotherResourceGroup`",
        /// The subdomain of an AI Services account is taken for everybody, also while the account is deleted.
        AiSubdomainsAreGlobal: "409 `CustomDomainInUse`",
        /// A deleted AI Services account keeps its name until it is purged.
        DeletedAiAccountsKeepTheirNames: "409 `FlagMustBeSetForRestore`",
    }
    waiting {
        /// A role assignment takes a while to work, in Azure's access control as in a managed HSM's own.
        RoleAssignmentsPropagate: "403 `Forbidden` (`ForbiddenByRbac`); managed HSMs 403 `AccessDenied`",
        /// What takes time is answered with 201 or 202 and the address at which to ask how it stands.
        OperationsSayWhereTheyStand: "201 or 202 with `Azure-AsyncOperation`",
        /// What takes time passes through the provisioning states.
        ResourcesPassThroughStates: "`Creating` or `Updating`, then `Succeeded`",
    }
}

impl Rule {
    /// Whether the rule is enforced: always.
    #[cfg(not(test))]
    pub const fn holds(self) -> bool {
        true
    }

    /// Whether the rule is enforced: unless this process was started to do without it.
    #[cfg(test)]
    pub fn holds(self) -> bool {
        tests::off() != Some(self)
    }
}
