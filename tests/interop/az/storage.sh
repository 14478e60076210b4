# Customer-managed keys for Storage: an account that encrypts with a key of yours, and what it can't do without it.

az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.name = "$SEALBOOK_USER"

USER_OID=$(az ad signed-in-user show --query id --output tsv)
#= $USER_OID has "-"

az provider register --namespace Microsoft.KeyVault --wait
#= ok

az provider register --namespace Microsoft.Storage --wait
#= ok

GROUP=cmk-storage-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

UNIQ=$(az group show --name "$GROUP" --query id --output tsv | md5sum | cut -c1-8)
VAULT=cmk-lab-$UNIQ ACCOUNT=cmklab$UNIQ
#= $VAULT = "cmk-lab-$UNIQ"

# The vault lacks purge protection, by mistake.
az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku premium --retention-days 7
#= .properties.enablePurgeProtection = null

VAULT_ID=$(az keyvault show --name "$VAULT" --query id --output tsv)
#= $VAULT_ID has "/vaults/$VAULT"

az role assignment create --role "Key Vault Crypto Officer" --assignee "$SEALBOOK_USER" --scope "$VAULT_ID"
#= .principalId = "$USER_OID"

patiently az keyvault key create --vault-name "$VAULT" --name cmk-lab-storage --kty RSA-HSM --size 2048
#= .key.kty = "RSA-HSM"

KTY=$(az keyvault key show --vault-name "$VAULT" --name cmk-lab-storage --query key.kty --output tsv)
#= $KTY = "RSA-HSM"

# An account with an identity of its own.
az storage account check-name --name "$ACCOUNT"
#= .nameAvailable = true

az storage account create --name "$ACCOUNT" --resource-group "$GROUP" --location "$REGION" --sku Standard_LRS \
    --kind StorageV2 --assign-identity --min-tls-version TLS1_2 --allow-blob-public-access false
#= .provisioningState = "Succeeded"
#= .encryption.keySource = "Microsoft.Storage"
#= .identity.type = "SystemAssigned"
#= .minimumTlsVersion = "TLS1_2"
#= .allowBlobPublicAccess = false

ACCOUNT_ID=$(az storage account show --name "$ACCOUNT" --resource-group "$GROUP" --query id --output tsv)
#= $ACCOUNT_ID has "/storageAccounts/$ACCOUNT"

ACCOUNT_OID=$(az storage account show --name "$ACCOUNT" --resource-group "$GROUP" \
    --query identity.principalId --output tsv)
#= $ACCOUNT_OID has "-"

az role assignment create --role "Key Vault Crypto Service Encryption User" --scope "$VAULT_ID" \
    --assignee-object-id "$ACCOUNT_OID" --assignee-principal-type ServicePrincipal
#= .principalId = "$ACCOUNT_OID"
#= .roleDefinitionId has "e147488a-f6f5-4113-8e2d-b22465e65bf6"

# A key that anybody with the right role could destroy for ever is no key to encrypt with.
patiently az storage account update --name "$ACCOUNT" --resource-group "$GROUP" \
    --encryption-key-source Microsoft.Keyvault --encryption-key-name cmk-lab-storage \
    --encryption-key-vault "https://$VAULT.vault.azure.net"
#= refused 1 KeyVaultPolicyError

az keyvault update --name "$VAULT" --resource-group "$GROUP" --enable-purge-protection true
#= .properties.enablePurgeProtection = true

# No version: the account follows the key when it is rotated.
patiently az storage account update --name "$ACCOUNT" --resource-group "$GROUP" \
    --encryption-key-source Microsoft.Keyvault --encryption-key-name cmk-lab-storage \
    --encryption-key-vault "https://$VAULT.vault.azure.net"
#= .encryption.keySource = "Microsoft.Keyvault"

KID=$(az keyvault key show --vault-name "$VAULT" --name cmk-lab-storage --query key.kid --output tsv)
#= $KID has "/keys/cmk-lab-storage/"

az storage account show --name "$ACCOUNT" --query encryption
#= .keySource = "Microsoft.Keyvault"
#= .keyVaultProperties.keyName = "cmk-lab-storage"
#= .keyVaultProperties.keyVaultUri has "https://$VAULT.vault.azure.net"
#= .keyVaultProperties.keyVersion = null
#= .keyVaultProperties.currentVersionedKeyIdentifier = "$KID"

# A container is a matter of managing the account; what is in it is not.
az storage container create --account-name "$ACCOUNT" --name notes --auth-mode login
#= .created = true

az role assignment create --role "Storage Blob Data Contributor" --scope "$ACCOUNT_ID" \
    --assignee-object-id "$USER_OID" --assignee-principal-type User
#= .roleDefinitionId has "ba92f5b4-2d11-453d-a403-e96b0029c9fe"

patiently az storage container create --account-name "$ACCOUNT" --name notes --auth-mode login
#= .created = false

echo "What only its owner may read." > "$WORK/note.txt"
#= ok

az storage blob upload --account-name "$ACCOUNT" --container-name notes --name note.txt --file "$WORK/note.txt" \
    --auth-mode login --no-progress
#= .request_server_encrypted = true

az storage blob list --account-name "$ACCOUNT" --container-name notes --auth-mode login --query '[].name'
#= . = ["note.txt"]

az storage blob show --account-name "$ACCOUNT" --container-name notes --name note.txt --auth-mode login
#= .properties.contentLength = 30
#= .properties.serverEncrypted = true

az storage blob download --account-name "$ACCOUNT" --container-name notes --name note.txt --file "$WORK/copy.txt" \
    --auth-mode login --no-progress
#= .name = "note.txt"

cmp "$WORK/note.txt" "$WORK/copy.txt"
#= ok

# Take the key away, and nobody reads, with whatever role. Give it back, and all is as before.
az keyvault key set-attributes --id "$KID" --enabled false
#= .attributes.enabled = false

az storage blob download --account-name "$ACCOUNT" --container-name notes --name note.txt --file "$WORK/none.txt" \
    --auth-mode login --no-progress
#= refused 1 KeyVaultEncryptionKeyNotFound

az storage container list --account-name "$ACCOUNT" --auth-mode login --query '[].name'
#= . = ["notes"]

az keyvault key set-attributes --id "$KID" --enabled true
#= .attributes.enabled = true

az storage blob download --account-name "$ACCOUNT" --container-name notes --name note.txt --file "$WORK/again.txt" \
    --auth-mode login --no-progress
#= .name = "note.txt"

az storage blob delete --account-name "$ACCOUNT" --container-name notes --name note.txt --auth-mode login
#= ok

# All of it goes, but for the deleted vault.
az storage account delete --name "$ACCOUNT" --resource-group "$GROUP" --yes
#= ok

az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false
