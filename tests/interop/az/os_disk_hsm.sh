# The OS disk of a confidential VM under a key of your own, in a managed HSM. The difference is who gives the roles.
#
# On Azure the pool costs 3.20 USD an hour, also when it is deleted, until it is purged. Azure's pages ask for purge
# protection of keys that disks depend on, and such a pool can't be purged: its seven days cost 537.60 USD more.

az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.name = "$SEALBOOK_USER"

USER_OID=$(az ad signed-in-user show --query id --output tsv)
#= $USER_OID has "-"

ORCHESTRATOR=bf7b6499-ff71-4aa2-97a4-f372087be7f0
#= ok

az ad sp show --id "$ORCHESTRATOR" || az ad sp create --id "$ORCHESTRATOR"
#= .appId = "bf7b6499-ff71-4aa2-97a4-f372087be7f0"

ORCHESTRATOR_OID=$(az ad sp show --id "$ORCHESTRATOR" --query id --output tsv)
#= $ORCHESTRATOR_OID has "-"

az provider register --namespace Microsoft.KeyVault --wait
#= ok

az provider register --namespace Microsoft.Compute --wait
#= ok

az provider register --namespace Microsoft.Network --wait
#= ok

GROUP=cvm-hsm-$SUFFIX HSM=cvm-hsm-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

az keyvault create --hsm-name "$HSM" --resource-group "$GROUP" --location "$REGION" \
    --administrators "$USER_OID" --retention-days 7 --enable-purge-protection true
#= .properties.enablePurgeProtection = true

for n in 1 2 3; do
    openssl req -newkey rsa:2048 -nodes -keyout "$WORK/domain$n.key" -x509 -days 365 \
        -subj "/CN=security domain $n" -out "$WORK/domain$n.cer"
done
#= ok

az keyvault security-domain download --hsm-name "$HSM" --sd-quorum 2 --security-domain-file "$WORK/domain.json" \
    --sd-wrapping-keys "$WORK/domain1.cer" "$WORK/domain2.cer" "$WORK/domain3.cer"
#= ok

az keyvault role assignment create --hsm-name "$HSM" --role "Managed HSM Crypto Officer" --scope / \
    --assignee-object-id "$USER_OID" --assignee-principal-type User
#= .roleName = "Managed HSM Crypto Officer"

az keyvault role assignment create --hsm-name "$HSM" --role "Managed HSM Crypto User" --scope /keys \
    --assignee-object-id "$USER_OID" --assignee-principal-type User
#= .roleName = "Managed HSM Crypto User"

patiently az keyvault key create --hsm-name "$HSM" --name OsDiskKey --kty RSA-HSM --size 3072 \
    --ops wrapKey unwrapKey --exportable true --default-cvm-policy
#= .key.kty = "RSA-HSM"
#= .attributes.exportable = true
#= .releasePolicy.encodedPolicy has "azure-compliant-cvm"

KID=$(az keyvault key show --hsm-name "$HSM" --name OsDiskKey --query key.kid --output tsv)
#= $KID has "https://$HSM.managedhsm.azure.net/keys/OsDiskKey/"

# No source vault: the key's address says it all.
az disk-encryption-set create --name hsm-des --resource-group "$GROUP" --location "$REGION" \
    --encryption-type ConfidentialVmEncryptedWithCustomerKey --key-url "$KID"
#= .encryptionType = "ConfidentialVmEncryptedWithCustomerKey"
#= .activeKey.keyUrl = "$KID"

DES_ID=$(az disk-encryption-set show --name hsm-des --resource-group "$GROUP" --query id --output tsv)
#= $DES_ID has "/diskEncryptionSets/hsm-des"

DES_OID=$(az disk-encryption-set show --name hsm-des --resource-group "$GROUP" \
    --query identity.principalId --output tsv)
#= $DES_OID has "-"

az keyvault role assignment create --hsm-name "$HSM" --role "Managed HSM Crypto Service Encryption User" \
    --scope /keys/OsDiskKey --assignee-object-id "$DES_OID" --assignee-principal-type ServicePrincipal
#= .scope = "/keys/OsDiskKey"
#= .principalId = "$DES_OID"

az keyvault role assignment create --hsm-name "$HSM" --role "Managed HSM Crypto Service Release User" \
    --scope /keys/OsDiskKey --assignee-object-id "$ORCHESTRATOR_OID" --assignee-principal-type ServicePrincipal
#= .scope = "/keys/OsDiskKey"
#= .roleName = "Managed HSM Crypto Service Release User"

az keyvault role assignment list --hsm-name "$HSM" --scope /keys/OsDiskKey --query 'sort([].roleName)'
#= . = ["Managed HSM Crypto Service Encryption User", "Managed HSM Crypto Service Release User"]

az network vnet create --name hsm-vnet --resource-group "$GROUP" --location "$REGION" \
    --address-prefixes 10.0.0.0/24 --subnet-name vm --subnet-prefixes 10.0.0.0/27
#= .newVNet.provisioningState = "Succeeded"

az network nic create --name hsm-nic --resource-group "$GROUP" --location "$REGION" --vnet-name hsm-vnet --subnet vm
#= .NewNIC.provisioningState = "Succeeded"

patiently az vm create --name cvm --resource-group "$GROUP" --location "$REGION" --nics hsm-nic \
    --size Standard_DC2as_v5 --image Canonical:0001-com-ubuntu-confidential-vm-jammy:22_04-lts-cvm:latest \
    --admin-username azureuser --generate-ssh-keys --ssh-key-values "$WORK/lab.pub" \
    --security-type ConfidentialVM --enable-secure-boot true --enable-vtpm true \
    --os-disk-security-encryption-type DiskWithVMGuestState --os-disk-secure-vm-disk-encryption-set hsm-des
#= .powerState = "VM running"

az vm show --name cvm --resource-group "$GROUP" --query storageProfile.osDisk.managedDisk.securityProfile
#= .securityEncryptionType = "DiskWithVMGuestState"
#= .diskEncryptionSet.id ~ "$DES_ID"

# All of it goes, but the pool stays for seven days, deleted and paid for.
az vm delete --name cvm --resource-group "$GROUP" --yes
#= ok

az keyvault delete --hsm-name "$HSM" --resource-group "$GROUP"
#= ok

az keyvault purge --hsm-name "$HSM" --location "$REGION"
#= refused 1

az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false

az keyvault list-deleted --resource-type hsm --query '[].name'
#= . has "$HSM"
