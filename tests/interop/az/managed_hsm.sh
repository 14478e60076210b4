# Managed HSM: a pool of your own, which does nothing before it is activated, and which has roles of its own.
#
# On Azure a pool costs 3.20 USD an hour, 76.80 a day, from its creation to its purge: a deleted pool is paid for too.

az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.name = "$SEALBOOK_USER"

USER_OID=$(az ad signed-in-user show --query id --output tsv)
#= $USER_OID has "-"

az provider register --namespace Microsoft.KeyVault --wait
#= ok

GROUP=hsm-$SUFFIX HSM=cmk-hsm-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

az keyvault check-name --name "$HSM" --resource-type hsm
#= .nameAvailable = true

# Seven days is the shortest retention, and it can't be changed later. Purge protection would make it last, and cost.
az keyvault create --hsm-name "$HSM" --resource-group "$GROUP" --location "$REGION" \
    --administrators "$USER_OID" --retention-days 7
#= .name = "$HSM"
#= .properties.provisioningState = "Succeeded"

az keyvault show --hsm-name "$HSM" --resource-group "$GROUP"
#= .sku.name = "Standard_B1"
#= .properties.hsmUri has "https://$HSM.managedhsm.azure.net"
#= .properties.initialAdminObjectIds = ["$USER_OID"]
#= .properties.softDeleteRetentionInDays = 7
#= .properties.securityDomainProperties.activationStatus = "NotActivated"

az keyvault check-name --name "$HSM" --resource-type hsm
#= .nameAvailable = false

az keyvault list --resource-type hsm --resource-group "$GROUP" --query '[].name'
#= . = ["$HSM"]

# Before its activation it makes no keys.
az keyvault key create --hsm-name "$HSM" --name lab-key --kty RSA-HSM --size 3072
#= refused 1

# Three key pairs, of which any two open the security domain. Keep them apart from each other, and offline.
for n in 1 2 3; do
    openssl req -newkey rsa:2048 -nodes -keyout "$WORK/domain$n.key" -x509 -days 365 \
        -subj "/CN=security domain $n" -out "$WORK/domain$n.cer"
done
#= ok

az keyvault security-domain download --hsm-name "$HSM" --sd-quorum 2 --security-domain-file "$WORK/domain.json" \
    --sd-wrapping-keys "$WORK/domain1.cer" "$WORK/domain2.cer" "$WORK/domain3.cer"
#= ok

grep -c EncData "$WORK/domain.json"
#= . = 1

az keyvault show --hsm-name "$HSM" --resource-group "$GROUP" \
    --query properties.securityDomainProperties.activationStatus
#= . = "Active"

# Roles are the pool's own. Its administrator gives them, and may not use a key himself.
az keyvault role definition list --hsm-name "$HSM" --query '[].roleName'
#= . has "Managed HSM Administrator"
#= . has "Managed HSM Crypto Officer"
#= . has "Managed HSM Crypto User"
#= . has "Managed HSM Crypto Service Encryption User"
#= . has "Managed HSM Crypto Service Release User"
#= . has "Managed HSM Crypto Auditor"

az keyvault role assignment list --hsm-name "$HSM" --query "[?principalId=='$USER_OID'].roleName"
#= . = ["Managed HSM Administrator"]

az keyvault key create --hsm-name "$HSM" --name lab-key --kty RSA-HSM --size 3072
#= refused 1 AccessDenied

az keyvault role assignment create --hsm-name "$HSM" --role "Managed HSM Crypto Officer" --scope / \
    --assignee-object-id "$USER_OID" --assignee-principal-type User
#= .roleName = "Managed HSM Crypto Officer"
#= .scope = "/"
#= .principalId = "$USER_OID"

# An officer removes keys and gives roles. To make one takes a user.
az keyvault key create --hsm-name "$HSM" --name lab-key --kty RSA-HSM --size 3072
#= refused 1 AccessDenied

az keyvault role assignment create --hsm-name "$HSM" --role "Managed HSM Crypto User" --scope /keys \
    --assignee "$SEALBOOK_USER"
#= .roleName = "Managed HSM Crypto User"
#= .scope = "/keys"
#= .principalName = "$SEALBOOK_USER"

patiently az keyvault key create --hsm-name "$HSM" --name lab-key --kty RSA-HSM --size 3072 --ops wrapKey unwrapKey
#= .key.kty = "RSA-HSM"
#= .key.keyOps = ["wrapKey", "unwrapKey"]
#= .attributes.recoverableDays = 7

KID=$(az keyvault key show --hsm-name "$HSM" --name lab-key --query key.kid --output tsv)
#= $KID has "https://$HSM.managedhsm.azure.net/keys/lab-key/"

# AES keys exist nowhere else.
az keyvault key create --hsm-name "$HSM" --name lab-aes --kty oct-HSM --size 256 --ops wrapKey unwrapKey
#= .key.kty = "oct-HSM"
#= .key.k = null

az keyvault key list --hsm-name "$HSM" --query 'sort([].name)'
#= . = ["lab-aes", "lab-key"]

az keyvault key rotate --hsm-name "$HSM" --name lab-key
#= .key.kty = "RSA-HSM"

az keyvault key list-versions --hsm-name "$HSM" --name lab-key --query '[].kid'
#= .# = 2
#= . has "$KID"

az keyvault key backup --hsm-name "$HSM" --name lab-key --file "$WORK/lab-key.backup"
#= ok

az keyvault key restore --hsm-name "$HSM" --file "$WORK/lab-key.backup"
#= refused 1 Conflict

az keyvault role assignment list --hsm-name "$HSM" --scope /keys --query '[].roleName'
#= . = ["Managed HSM Crypto User"]

az keyvault role assignment delete --hsm-name "$HSM" --role "Managed HSM Crypto User" --scope /keys \
    --assignee-object-id "$USER_OID"
#= ok

az keyvault role assignment list --hsm-name "$HSM" --scope /keys
#= . = []

# Delete, and purge: only then the bill ends, and the name is free again.
az keyvault delete --hsm-name "$HSM" --resource-group "$GROUP"
#= ok

az keyvault list-deleted --resource-type hsm --query '[].name'
#= . has "$HSM"

az keyvault show-deleted --hsm-name "$HSM" --location "$REGION"
#= .name = "$HSM"
#= .properties.location = "$REGION"

az keyvault purge --hsm-name "$HSM" --location "$REGION"
#= ok

az keyvault list-deleted --resource-type hsm --query "length([?name=='$HSM'])"
#= . = 0

az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false
