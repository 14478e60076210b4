# Customer-managed keys for AI Foundry: from a key of Microsoft's to one of yours, once and for all.

az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.name = "$SEALBOOK_USER"

az provider register --namespace Microsoft.KeyVault --wait
#= ok

az provider register --namespace Microsoft.CognitiveServices --wait
#= ok

GROUP=aifoundry-cmkencryption-$SUFFIX VAULT=ai-cmk-$SUFFIX AI=ai-cmk-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

# A Standard vault is enough; purge protection is a must.
az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku standard \
    --enable-rbac-authorization true --enable-purge-protection true --retention-days 7
#= .properties.sku.name = "standard"

VAULT_ID=$(az keyvault show --name "$VAULT" --resource-group "$GROUP" --query id --output tsv)
#= $VAULT_ID has "/vaults/$VAULT"

az role assignment create --role "Key Vault Administrator" --assignee "$SEALBOOK_USER" --scope "$VAULT_ID"
#= .roleDefinitionId has "00482a5a-887f-4fb3-b363-3b7fe8e74483"

# RSA with 2048 bits: the only kind of key that the service takes.
patiently az keyvault key create --vault-name "$VAULT" --name aifoundry-encryption-key --kty RSA --size 2048
#= .key.kty = "RSA"

az keyvault key create --vault-name "$VAULT" --name hsm-key --kty RSA-HSM --size 2048
#= refused 1

cat > "$WORK/rotation.json" <<'POLICY'
{
  "lifetimeActions": [{"trigger": {"timeAfterCreate": "P6M"}, "action": {"type": "Rotate"}}],
  "attributes": {"expiryTime": "P210D"}
}
POLICY
#= ok

az keyvault key rotation-policy update --vault-name "$VAULT" --name aifoundry-encryption-key \
    --value "$WORK/rotation.json"
#= .expiresIn = "P210D"
#= .lifetimeActions.[0].timeAfterCreate = "P6M"

# The account with its first project, still with a key of Microsoft's.
az cognitiveservices account create --name "$AI" --resource-group "$GROUP" --location "$REGION" --kind AIServices \
    --sku S0 --custom-domain "$AI" --assign-identity --allow-project-management --yes
#= .kind = "AIServices"
#= .properties.provisioningState = "Succeeded"
#= .properties.customSubDomainName = "$AI"
#= .properties.allowProjectManagement = true
#= .identity.type = "SystemAssigned"

az cognitiveservices account project create --name "$AI" --project-name first --resource-group "$GROUP" \
    --location "$REGION" --assign-identity
#= .name has "first"

az cognitiveservices account project list --name "$AI" --resource-group "$GROUP"
#= .# = 1

AI_OID=$(az cognitiveservices account show --name "$AI" --resource-group "$GROUP" \
    --query identity.principalId --output tsv)
#= $AI_OID has "-"

KID=$(az keyvault key show --vault-name "$VAULT" --name aifoundry-encryption-key --query key.kid --output tsv)
#= $KID has "/keys/aifoundry-encryption-key/"

# The right to the key, and to this key alone.
az role assignment create --role "Key Vault Crypto Service Encryption User" \
    --scope "$VAULT_ID/keys/aifoundry-encryption-key" \
    --assignee-object-id "$AI_OID" --assignee-principal-type ServicePrincipal
#= .scope = "$VAULT_ID/keys/aifoundry-encryption-key"

az keyvault key create --vault-name "$VAULT" --name too-long --kty RSA --size 3072
#= .key.kty = "RSA"

LONG=$(az keyvault key show --vault-name "$VAULT" --name too-long --query key.kid --output tsv)
#= $LONG has "/keys/too-long/"

az role assignment create --role "Key Vault Crypto Service Encryption User" --scope "$VAULT_ID/keys/too-long" \
    --assignee-object-id "$AI_OID" --assignee-principal-type ServicePrincipal
#= .principalId = "$AI_OID"

az cognitiveservices account update --name "$AI" --resource-group "$GROUP" --encryption "{
    \"keySource\": \"Microsoft.KeyVault\",
    \"keyVaultProperties\": {
        \"keyVaultUri\": \"https://$VAULT.vault.azure.net/\",
        \"keyName\": \"too-long\", \"keyVersion\": \"${LONG##*/}\"}}"
#= refused 1

# The version is part of it: after each rotation it has to be set again, before the old one expires.
patiently az cognitiveservices account update --name "$AI" --resource-group "$GROUP" --encryption "{
    \"keySource\": \"Microsoft.KeyVault\",
    \"keyVaultProperties\": {
        \"keyVaultUri\": \"https://$VAULT.vault.azure.net/\",
        \"keyName\": \"aifoundry-encryption-key\", \"keyVersion\": \"${KID##*/}\"}}"
#= .properties.encryption.keySource ~ "Microsoft.KeyVault"

VERSION=${KID##*/}
#= ok

az cognitiveservices account show --name "$AI" --resource-group "$GROUP" --query properties.encryption
#= .keySource ~ "Microsoft.KeyVault"
#= .keyVaultProperties.keyName = "aifoundry-encryption-key"
#= .keyVaultProperties.keyVersion = "$VERSION"
#= .keyVaultProperties.keyVaultUri has "https://$VAULT.vault.azure.net"

# There is no way back.
az cognitiveservices account update --name "$AI" --resource-group "$GROUP" \
    --encryption '{"keySource": "Microsoft.CognitiveServices"}'
#= refused 1

# Rotate, and tell the account.
az keyvault key rotate --vault-name "$VAULT" --name aifoundry-encryption-key
#= .key.kty = "RSA"

NEXT=$(az keyvault key show --vault-name "$VAULT" --name aifoundry-encryption-key --query key.kid --output tsv)
VERSION=${NEXT##*/}
#= $NEXT has "/keys/aifoundry-encryption-key/"

az cognitiveservices account update --name "$AI" --resource-group "$GROUP" --encryption "{
    \"keySource\": \"Microsoft.KeyVault\",
    \"keyVaultProperties\": {
        \"keyVaultUri\": \"https://$VAULT.vault.azure.net/\",
        \"keyName\": \"aifoundry-encryption-key\", \"keyVersion\": \"$VERSION\"}}"
#= .properties.encryption.keyVaultProperties.keyVersion = "$VERSION"

# A deleted account holds its name for two days, unless it is purged.
az cognitiveservices account project delete --name "$AI" --project-name first --resource-group "$GROUP"
#= ok

az cognitiveservices account delete --name "$AI" --resource-group "$GROUP"
#= ok

az cognitiveservices account list-deleted --query '[].name'
#= . has "$AI"

az cognitiveservices account purge --name "$AI" --resource-group "$GROUP" --location "$REGION"
#= ok

az cognitiveservices account list-deleted --query "length([?name=='$AI'])"
#= . = 0

az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false
