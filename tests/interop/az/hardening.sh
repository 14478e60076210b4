# After the lab, before production: least privilege, a log of every use, a firewall.
#
# Not typed here: private endpoints, Azure Policy and Defender for Key Vault, which change more than this lab's group.
# `az monitor log-analytics query` is an extension; `az rest` asks the same without one.

az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.name = "$SEALBOOK_USER"

USER_OID=$(az ad signed-in-user show --query id --output tsv)
#= $USER_OID has "-"

az provider register --namespace Microsoft.KeyVault --wait
#= ok

az provider register --namespace Microsoft.ManagedIdentity --wait
#= ok

az provider register --namespace Microsoft.OperationalInsights --wait
#= ok

az provider register --namespace Microsoft.Insights --wait
#= ok

GROUP=harden-$SUFFIX VAULT=harden-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku premium \
    --enable-purge-protection true --retention-days 90
#= .properties.softDeleteRetentionInDays = 90

VAULT_ID=$(az keyvault show --name "$VAULT" --resource-group "$GROUP" --query id --output tsv)
#= $VAULT_ID has "/vaults/$VAULT"

# A log of every use of the vault.
az monitor log-analytics workspace create --resource-group "$GROUP" --workspace-name "harden-$SUFFIX" \
    --location "$REGION" --retention-time 30
#= .provisioningState = "Succeeded"
#= .retentionInDays = 30

WORKSPACE_ID=$(az monitor log-analytics workspace show --resource-group "$GROUP" --workspace-name "harden-$SUFFIX" \
    --query id --output tsv)
#= $WORKSPACE_ID has "/workspaces/harden-$SUFFIX"

CUSTOMER_ID=$(az monitor log-analytics workspace show --resource-group "$GROUP" --workspace-name "harden-$SUFFIX" \
    --query customerId --output tsv)
#= $CUSTOMER_ID has "-"

az monitor diagnostic-settings categories list --resource "$VAULT_ID" --query 'value[].name'
#= . has "AuditEvent"

az monitor diagnostic-settings create --name audit --resource "$VAULT_ID" --workspace "$WORKSPACE_ID" \
    --logs '[{"category": "AuditEvent", "enabled": true}]'
#= .name = "audit"
#= .workspaceId ~ "$WORKSPACE_ID"

az monitor diagnostic-settings show --name audit --resource "$VAULT_ID"
#= .logs.[0].category = "AuditEvent"
#= .logs.[0].enabled = true

az monitor diagnostic-settings list --resource "$VAULT_ID" --query '[].name'
#= . = ["audit"]

# Rights for one key instead of all, for an identity instead of a person.
az role assignment create --role "Key Vault Crypto Officer" --assignee "$SEALBOOK_USER" --scope "$VAULT_ID"
#= .principalId = "$USER_OID"

patiently az keyvault key create --vault-name "$VAULT" --name app-key --kty RSA-HSM --size 3072 --ops wrapKey unwrapKey
#= .key.kty = "RSA-HSM"

az identity create --name app --resource-group "$GROUP" --location "$REGION"
#= .name = "app"
#= .tenantId = "$AZURE_TENANT_ID"

APP_OID=$(az identity show --name app --resource-group "$GROUP" --query principalId --output tsv)
#= $APP_OID has "-"

az role assignment create --role "Key Vault Crypto User" --scope "$VAULT_ID/keys/app-key" \
    --assignee-object-id "$APP_OID" --assignee-principal-type ServicePrincipal
#= .scope = "$VAULT_ID/keys/app-key"
#= .roleDefinitionId has "12338af0-0e69-4776-bea7-57ae8d297424"

az role assignment list --scope "$VAULT_ID/keys/app-key" --assignee-object-id "$APP_OID" \
    --query '[].roleDefinitionName'
#= . = ["Key Vault Crypto User"]

az role assignment delete --role "Key Vault Crypto User" --scope "$VAULT_ID/keys/app-key" \
    --assignee-object-id "$APP_OID"
#= ok

az role assignment list --scope "$VAULT_ID/keys/app-key" --assignee-object-id "$APP_OID"
#= . = []

# The log has seen it. On Azure that takes minutes: TRIES=900.
QUERY="AzureDiagnostics | where ResourceProvider == 'MICROSOFT.KEYVAULT' | where OperationName == 'KeyCreate'"
#= ok

until_it_says KeyCreate az rest --method post --resource https://api.loganalytics.io \
    --url "https://api.loganalytics.io/v1/workspaces/$CUSTOMER_ID/query" --body "{\"query\": \"$QUERY\"}"
#= .tables.[0].name = "PrimaryResult"

until_it_says Microsoft.KeyVault/vaults/write az monitor activity-log list --resource-group "$GROUP" --offset 1h \
    --query '[].authorization.action'
#= . has "Microsoft.KeyVault/vaults/write"

# A firewall: this machine is not of the network that may use the keys.
az keyvault network-rule add --name "$VAULT" --resource-group "$GROUP" --ip-address 198.51.100.0/24
#= .properties.networkAcls.ipRules.[0].value = "198.51.100.0/24"

az keyvault update --name "$VAULT" --resource-group "$GROUP" --default-action Deny --bypass AzureServices
#= .properties.networkAcls.defaultAction = "Deny"
#= .properties.networkAcls.bypass = "AzureServices"

az keyvault network-rule list --name "$VAULT" --resource-group "$GROUP"
#= .ipRules.[0].value = "198.51.100.0/24"
#= .defaultAction = "Deny"

az keyvault key list --vault-name "$VAULT"
#= refused 1 ForbiddenByFirewall

# Its settings are another matter: Azure Resource Manager is not behind it.
az keyvault show --name "$VAULT" --resource-group "$GROUP"
#= .properties.networkAcls.defaultAction = "Deny"

az keyvault update --name "$VAULT" --resource-group "$GROUP" --default-action Allow
#= .properties.networkAcls.defaultAction = "Allow"

patiently az keyvault key list --vault-name "$VAULT" --query '[].name'
#= . = ["app-key"]

# All of it goes. A setting does not go with its vault: a new one of the same name would have it again.
az monitor diagnostic-settings delete --name audit --resource "$VAULT_ID"
#= ok

az monitor diagnostic-settings list --resource "$VAULT_ID"
#= . = []

az monitor log-analytics workspace delete --resource-group "$GROUP" --workspace-name "harden-$SUFFIX" --force true --yes
#= ok

az identity delete --name app --resource-group "$GROUP"
#= ok

az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false
