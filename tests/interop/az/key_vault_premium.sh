# Key Vault Premium: a vault for keys that never leave an HSM, and what its owner may not do before he has a role.

# Who you are.
az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.type = "user"
#= .[0].user.name = "$SEALBOOK_USER"

az ad signed-in-user show
#= .userPrincipalName = "$SEALBOOK_USER"

USER_OID=$(az ad signed-in-user show --query id --output tsv)
#= $USER_OID has "-"

# A subscription that never had a vault has to register the provider first.
az provider register --namespace Microsoft.KeyVault --wait
#= ok

az provider show --namespace Microsoft.KeyVault --query registrationState
#= . = "Registered"

# The machines that later labs put behind the key: offered in the region, and within the quota of their family.
az vm list-skus --location "$REGION" --resource-type virtualMachines --size Standard_DC2as_v5 \
    --query '[?length(restrictions)==`0`].name'
#= . has "Standard_DC2as_v5"

FAMILY=$(az vm list-skus --location "$REGION" --resource-type virtualMachines --size Standard_DC2as_v5 \
    --query '[0].family' --output tsv)
#= $FAMILY has "DCAS"

az vm list-usage --location "$REGION" --query "length([?name.value=='$FAMILY'])"
#= . = 1

# A group, and a name for the vault that nobody else in the world has.
GROUP=cmk-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .location = "$REGION"
#= .properties.provisioningState = "Succeeded"

VAULT=cmk-lab-$(az group show --name "$GROUP" --query id --output tsv | md5sum | cut -c1-8)
#= $VAULT has "cmk-lab-"

az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku premium \
    --enable-rbac-authorization true --enable-purge-protection true --retention-days 7
#= .name = "$VAULT"
#= .properties.provisioningState = "Succeeded"

az keyvault show --name "$VAULT"
#= .properties.sku.name = "premium"
#= .properties.enableRbacAuthorization = true
#= .properties.enablePurgeProtection = true
#= .properties.enableSoftDelete = true
#= .properties.softDeleteRetentionInDays = 7
#= .properties.vaultUri = "https://$VAULT.vault.azure.net/"
#= .properties.tenantId = "$AZURE_TENANT_ID"

VAULT_ID=$(az keyvault show --name "$VAULT" --resource-group "$GROUP" --query id --output tsv)
#= $VAULT_ID has "/vaults/$VAULT"

az keyvault list --resource-group "$GROUP" --query '[].name'
#= . = ["$VAULT"]

# Neither of two promises can be taken back.
az keyvault update --name "$VAULT" --resource-group "$GROUP" --enable-purge-protection false
#= refused 1 enablePurgeProtection

az keyvault update --name "$VAULT" --resource-group "$GROUP" --retention-days 10
#= refused 1 softDeleteRetentionInDays

# An owner's rights end at the vault: none of them is about keys.
az keyvault key create --vault-name "$VAULT" --name lab-key --kty RSA-HSM --size 3072
#= refused 1 ForbiddenByRbac

az role assignment create --role "Key Vault Crypto Officer" --scope "$VAULT_ID" \
    --assignee-object-id "$USER_OID" --assignee-principal-type User
#= .principalId = "$USER_OID"
#= .principalType = "User"
#= .roleDefinitionId has "14b46e9e-c2b7-41b4-b07b-48a6ebf60603"

az role assignment list --scope "$VAULT_ID" --query "[?principalId=='$USER_OID'].roleDefinitionName"
#= . has "Key Vault Crypto Officer"

# A key of the HSM.
patiently az keyvault key create --vault-name "$VAULT" --name lab-key --kty RSA-HSM --size 3072 \
    --ops wrapKey unwrapKey
#= .key.kty = "RSA-HSM"
#= .key.keyOps = ["wrapKey", "unwrapKey"]
#= .attributes.enabled = true
#= .attributes.recoverableDays = 7
#= .attributes.recoveryLevel = "CustomizedRecoverable"
#= .key.d = null

FIRST=$(az keyvault key show --vault-name "$VAULT" --name lab-key --query key.kid --output tsv)
#= $FIRST has "https://$VAULT.vault.azure.net/keys/lab-key/"

az keyvault key list --vault-name "$VAULT" --query '[].name'
#= . = ["lab-key"]

# Rotation: by hand, and by a policy.
az keyvault key rotate --vault-name "$VAULT" --name lab-key
#= .key.kty = "RSA-HSM"
#= .key.keyOps = ["wrapKey", "unwrapKey"]

az keyvault key list-versions --vault-name "$VAULT" --name lab-key --query '[].kid'
#= .# = 2
#= . has "$FIRST"

cat > "$WORK/rotation.json" <<'POLICY'
{
  "lifetimeActions": [
    {"trigger": {"timeAfterCreate": "P6M"}, "action": {"type": "Rotate"}},
    {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}
  ],
  "attributes": {"expiryTime": "P1Y"}
}
POLICY
#= ok

az keyvault key rotation-policy update --vault-name "$VAULT" --name lab-key --value "$WORK/rotation.json"
#= .expiresIn = "P1Y"

az keyvault key rotation-policy show --vault-name "$VAULT" --name lab-key
#= .expiresIn = "P1Y"
#= .lifetimeActions.# = 2

# A backup is sealed: only a vault of the same subscription and geography opens it, and not over a key that is there.
az keyvault key backup --vault-name "$VAULT" --name lab-key --file "$WORK/lab-key.backup"
#= ok

test -s "$WORK/lab-key.backup"
#= ok

az keyvault key restore --vault-name "$VAULT" --file "$WORK/lab-key.backup"
#= refused 1 Conflict

# What is deleted can be had back, and can't be destroyed before its time.
az keyvault key delete --vault-name "$VAULT" --name lab-key
#= .recoveryId has "/deletedkeys/lab-key"

until_it_says lab-key az keyvault key list-deleted --vault-name "$VAULT" --query '[].name'
#= . has "lab-key"

az keyvault key show --vault-name "$VAULT" --name lab-key
#= refused 3 KeyNotFound

az keyvault key purge --vault-name "$VAULT" --name lab-key
#= refused 1 Forbidden

az keyvault key recover --vault-name "$VAULT" --name lab-key
#= .key.kty = "RSA-HSM"

until_it_says lab-key az keyvault key list --vault-name "$VAULT" --query '[].name'
#= . has "lab-key"

# The same goes for the vault, whose name stays taken.
az keyvault delete --name "$VAULT" --resource-group "$GROUP"
#= ok

az keyvault list-deleted --resource-type vault --query '[].name'
#= . has "$VAULT"

az keyvault show-deleted --name "$VAULT" --location "$REGION"
#= .name = "$VAULT"
#= .properties.vaultId ~ "$VAULT_ID"
#= .properties.purgeProtectionEnabled = true

az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku premium \
    --enable-purge-protection true --retention-days 7
#= refused 1 ConflictError

az keyvault purge --name "$VAULT" --location "$REGION"
#= refused 1 DeletedVaultPurge

az keyvault recover --name "$VAULT" --location "$REGION"
#= .name = "$VAULT"

az keyvault show --name "$VAULT" --resource-group "$GROUP"
#= .properties.sku.name = "premium"
#= .properties.softDeleteRetentionInDays = 7

# All of it goes, but for the deleted vault, which costs nothing and goes by itself after seven days.
az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false

az keyvault list-deleted --resource-type vault --query '[].name'
#= . has "$VAULT"
