# The OS disk of a confidential VM under a key of your own, in a vault.

az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.name = "$SEALBOOK_USER"

# The service that hands the key to the machine is a principal that a tenant has to know, once and for all its machines.
# That takes rights in the directory, not in the subscription; and it stays when the lab is over.
ORCHESTRATOR=bf7b6499-ff71-4aa2-97a4-f372087be7f0
#= ok

az ad sp show --id "$ORCHESTRATOR" || az ad sp create --id "$ORCHESTRATOR"
#= .appId = "bf7b6499-ff71-4aa2-97a4-f372087be7f0"

az ad sp list --filter "appId eq '$ORCHESTRATOR'" --query '[].displayName'
#= . = ["Confidential VM Orchestrator"]

ORCHESTRATOR_OID=$(az ad sp show --id "$ORCHESTRATOR" --query id --output tsv)
#= $ORCHESTRATOR_OID has "-"

az provider register --namespace Microsoft.KeyVault --wait
#= ok

az provider register --namespace Microsoft.Compute --wait
#= ok

az provider register --namespace Microsoft.Network --wait
#= ok

GROUP=cvm-disk-$SUFFIX VAULT=cvm-disk-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku premium \
    --enable-purge-protection true --retention-days 7
#= .properties.sku.name = "premium"

VAULT_ID=$(az keyvault show --name "$VAULT" --resource-group "$GROUP" --query id --output tsv)
#= $VAULT_ID has "/vaults/$VAULT"

az role assignment create --role "Key Vault Crypto Officer" --assignee "$SEALBOOK_USER" --scope "$VAULT_ID"
#= .scope = "$VAULT_ID"

# A key that may leave the HSM, but only for a machine whose attestation fulfils its policy. A policy it must have.
patiently az keyvault key create --vault-name "$VAULT" --name NoPolicy --kty RSA-HSM --size 3072 --exportable true
#= refused 1 policy

patiently az keyvault key create --vault-name "$VAULT" --name OsDiskKey --kty RSA-HSM --size 3072 \
    --ops wrapKey unwrapKey --exportable true --default-cvm-policy
#= .key.kty = "RSA-HSM"
#= .attributes.exportable = true

KID=$(az keyvault key show --vault-name "$VAULT" --name OsDiskKey --query key.kid --output tsv)
#= $KID has "/keys/OsDiskKey/"

az keyvault key show --vault-name "$VAULT" --name OsDiskKey --query releasePolicy
#= .contentType has "application/json"
#= .encodedPolicy has "x-ms-compliance-status"
#= .encodedPolicy has "azure-compliant-cvm"
#= .encodedPolicy has "attest.azure.net"

az disk-encryption-set create --name cvm-des --resource-group "$GROUP" --location "$REGION" \
    --encryption-type ConfidentialVmEncryptedWithCustomerKey --source-vault "$VAULT_ID" --key-url "$KID"
#= .encryptionType = "ConfidentialVmEncryptedWithCustomerKey"
#= .activeKey.keyUrl = "$KID"

DES_ID=$(az disk-encryption-set show --name cvm-des --resource-group "$GROUP" --query id --output tsv)
#= $DES_ID has "/diskEncryptionSets/cvm-des"

DES_OID=$(az disk-encryption-set show --name cvm-des --resource-group "$GROUP" \
    --query identity.principalId --output tsv)
#= $DES_OID has "-"

# The set wraps with the key, the orchestrator has it released.
az role assignment create --role "Key Vault Crypto Service Encryption User" --scope "$VAULT_ID/keys/OsDiskKey" \
    --assignee-object-id "$DES_OID" --assignee-principal-type ServicePrincipal
#= .scope = "$VAULT_ID/keys/OsDiskKey"

az role assignment create --role "Key Vault Crypto Service Release User" --scope "$VAULT_ID/keys/OsDiskKey" \
    --assignee-object-id "$ORCHESTRATOR_OID" --assignee-principal-type ServicePrincipal
#= .principalId = "$ORCHESTRATOR_OID"
#= .roleDefinitionId has "08bbd89e-9f13-488c-ac41-acfcb10c90ab"

az network vnet create --name cvm-vnet --resource-group "$GROUP" --location "$REGION" \
    --address-prefixes 10.0.0.0/24 --subnet-name vm --subnet-prefixes 10.0.0.0/27
#= .newVNet.provisioningState = "Succeeded"

az network nic create --name cvm-nic --resource-group "$GROUP" --location "$REGION" --vnet-name cvm-vnet --subnet vm
#= .NewNIC.provisioningState = "Succeeded"

patiently az vm create --name cvm --resource-group "$GROUP" --location "$REGION" --nics cvm-nic \
    --size Standard_DC2as_v5 --image Canonical:0001-com-ubuntu-confidential-vm-jammy:22_04-lts-cvm:latest \
    --admin-username azureuser --generate-ssh-keys --ssh-key-values "$WORK/lab.pub" \
    --security-type ConfidentialVM --enable-secure-boot true --enable-vtpm true --assign-identity '[system]' \
    --os-disk-security-encryption-type DiskWithVMGuestState --os-disk-secure-vm-disk-encryption-set cvm-des
#= .powerState = "VM running"

az vm show --name cvm --resource-group "$GROUP"
#= .securityProfile.securityType = "ConfidentialVM"
#= .securityProfile.uefiSettings.secureBootEnabled = true
#= .securityProfile.uefiSettings.vTpmEnabled = true
#= .identity.type = "SystemAssigned"
#= .storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType = "DiskWithVMGuestState"
#= .storageProfile.osDisk.managedDisk.securityProfile.diskEncryptionSet.id ~ "$DES_ID"

# A set for one kind of disk is none for the other.
az disk create --name probe --resource-group "$GROUP" --location "$REGION" --size-gb 4 --sku Standard_LRS \
    --encryption-type EncryptionAtRestWithCustomerKey --disk-encryption-set cvm-des
#= refused 1

# All of it goes, but for the deleted vault and the orchestrator.
az vm delete --name cvm --resource-group "$GROUP" --yes
#= ok

az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false
