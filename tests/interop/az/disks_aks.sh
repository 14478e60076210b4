# Customer-managed keys for disks: of a virtual machine, and of the nodes of a Kubernetes cluster.

az login --username "$SEALBOOK_USER" --password "$SEALBOOK_PASSWORD"
#= .[0].user.name = "$SEALBOOK_USER"

az provider register --namespace Microsoft.KeyVault --wait
#= ok

az provider register --namespace Microsoft.Compute --wait
#= ok

az provider register --namespace Microsoft.Network --wait
#= ok

az provider register --namespace Microsoft.ContainerService --wait
#= ok

GROUP=cmk-disks-$SUFFIX VAULT=cmk-lab-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku premium \
    --enable-purge-protection true --retention-days 7
#= .properties.enableRbacAuthorization = true

VAULT_ID=$(az keyvault show --name "$VAULT" --resource-group "$GROUP" --query id --output tsv)
#= $VAULT_ID has "/vaults/$VAULT"

az role assignment create --role "Key Vault Crypto Officer" --assignee "$SEALBOOK_USER" --scope "$VAULT_ID"
#= .scope = "$VAULT_ID"

patiently az keyvault key create --vault-name "$VAULT" --name cmk-disk-key --kty RSA-HSM --size 4096
#= .key.kty = "RSA-HSM"

KID=$(az keyvault key show --vault-name "$VAULT" --name cmk-disk-key --query key.kid --output tsv)
#= $KID has "https://$VAULT.vault.azure.net/keys/cmk-disk-key/"

# A disk encryption set stands between a key and the disks. It holds one version of the key.
az disk-encryption-set create --name cmk-lab-none --resource-group "$GROUP" --location "$REGION" \
    --source-vault "$VAULT" --key-url "https://$VAULT.vault.azure.net/keys/cmk-disk-key"
#= refused 1

az disk-encryption-set create --name cmk-lab-des --resource-group "$GROUP" --location "$REGION" \
    --encryption-type EncryptionAtRestWithCustomerKey --source-vault "$VAULT" --key-url "$KID"
#= .provisioningState = "Succeeded"
#= .encryptionType = "EncryptionAtRestWithCustomerKey"
#= .activeKey.keyUrl = "$KID"
#= .activeKey.sourceVault.id ~ "$VAULT_ID"
#= .identity.type = "SystemAssigned"

DES_ID=$(az disk-encryption-set show --name cmk-lab-des --resource-group "$GROUP" --query id --output tsv)
#= $DES_ID has "/diskEncryptionSets/cmk-lab-des"

DES_OID=$(az disk-encryption-set show --name cmk-lab-des --resource-group "$GROUP" \
    --query identity.principalId --output tsv)
#= $DES_OID has "-"

# Its identity has no right to the key yet, so no disk can be made with it.
az disk create --name probe --resource-group "$GROUP" --location "$REGION" --size-gb 4 --sku Standard_LRS \
    --encryption-type EncryptionAtRestWithCustomerKey --disk-encryption-set cmk-lab-des
#= refused 1 KeyVaultAccessForbidden

az role assignment create --role "Key Vault Crypto Service Encryption User" --scope "$VAULT_ID/keys/cmk-disk-key" \
    --assignee-object-id "$DES_OID" --assignee-principal-type ServicePrincipal
#= .scope = "$VAULT_ID/keys/cmk-disk-key"
#= .principalId = "$DES_OID"

patiently az disk create --name probe --resource-group "$GROUP" --location "$REGION" --size-gb 4 --sku Standard_LRS \
    --encryption-type EncryptionAtRestWithCustomerKey --disk-encryption-set cmk-lab-des
#= .provisioningState = "Succeeded"
#= .encryption.type = "EncryptionAtRestWithCustomerKey"
#= .encryption.diskEncryptionSetId ~ "$DES_ID"

# A network with a part for the machine and one for the cluster.
az network nsg create --name vm-nsg --resource-group "$GROUP" --location "$REGION"
#= .NewNSG.provisioningState = "Succeeded"

az network nsg rule create --nsg-name vm-nsg --resource-group "$GROUP" --name ssh --priority 1000 \
    --direction Inbound --access Allow --protocol Tcp --destination-port-ranges 22
#= .destinationPortRange = "22"
#= .access = "Allow"

az network nsg create --name aks-nsg --resource-group "$GROUP" --location "$REGION"
#= .NewNSG.name = "aks-nsg"

az network nsg rule create --nsg-name aks-nsg --resource-group "$GROUP" --name api --priority 1000 \
    --direction Inbound --access Allow --protocol Tcp --destination-port-ranges 443 6443
#= .destinationPortRanges = ["443", "6443"]

az network vnet create --name cmk-vnet --resource-group "$GROUP" --location "$REGION" \
    --address-prefixes 10.0.0.0/22 --subnet-name vm --subnet-prefixes 10.0.0.0/27 --network-security-group vm-nsg
#= .newVNet.addressSpace.addressPrefixes = ["10.0.0.0/22"]
#= .newVNet.subnets.[0].name = "vm"

az network vnet subnet create --vnet-name cmk-vnet --name aks --resource-group "$GROUP" \
    --address-prefixes 10.0.1.0/24 --network-security-group aks-nsg
#= .addressPrefix = "10.0.1.0/24"
#= .provisioningState = "Succeeded"

AKS_SUBNET=$(az network vnet subnet show --vnet-name cmk-vnet --name aks --resource-group "$GROUP" \
    --query id --output tsv)
#= $AKS_SUBNET has "/subnets/aks"

az network nic create --name vm-nic --resource-group "$GROUP" --location "$REGION" --vnet-name cmk-vnet --subnet vm
#= .NewNIC.provisioningState = "Succeeded"
#= .NewNIC.ipConfigurations.[0].subnet.id has "/subnets/vm"

# The machine.
az vm create --name cmk-vm --resource-group "$GROUP" --location "$REGION" --nics vm-nic --size Standard_B2s \
    --image Canonical:ubuntu-24_04-lts:server:latest --admin-username azureuser \
    --generate-ssh-keys --ssh-key-values "$WORK/lab.pub" \
    --security-type TrustedLaunch --enable-secure-boot true --enable-vtpm true --os-disk-encryption-set cmk-lab-des
#= .powerState = "VM running"
#= .privateIpAddress has "10.0.0."

az vm show --name cmk-vm --resource-group "$GROUP"
#= .provisioningState = "Succeeded"
#= .hardwareProfile.vmSize = "Standard_B2s"
#= .storageProfile.osDisk.managedDisk.diskEncryptionSet.id ~ "$DES_ID"
#= .securityProfile.securityType = "TrustedLaunch"
#= .securityProfile.uefiSettings.secureBootEnabled = true
#= .securityProfile.uefiSettings.vTpmEnabled = true

OS_DISK=$(az vm show --name cmk-vm --resource-group "$GROUP" --query storageProfile.osDisk.managedDisk.id --output tsv)
#= $OS_DISK has "/disks/"

az disk show --ids "$OS_DISK" --query encryption
#= .type = "EncryptionAtRestWithCustomerKey"
#= .diskEncryptionSetId ~ "$DES_ID"

az disk-encryption-set list-associated-resources --name cmk-lab-des --resource-group "$GROUP"
#= .# = 2

# The cluster, whose nodes' disks get their key now or never.
az aks create --name cmk-aks --resource-group "$GROUP" --location "$REGION" --node-count 1 \
    --node-vm-size Standard_B2s --vnet-subnet-id "$AKS_SUBNET" --service-cidr 10.240.0.0/24 \
    --dns-service-ip 10.240.0.10 --node-osdisk-diskencryptionset-id "$DES_ID" --enable-secure-boot --enable-vtpm \
    --enable-managed-identity --ssh-key-value "$WORK/lab.pub"
#= .provisioningState = "Succeeded"

az aks show --name cmk-aks --resource-group "$GROUP"
#= .diskEncryptionSetId ~ "$DES_ID"
#= .identity.type = "SystemAssigned"
#= .networkProfile.serviceCidr = "10.240.0.0/24"
#= .networkProfile.dnsServiceIp = "10.240.0.10"
#= .agentPoolProfiles.[0].count = 1
#= .agentPoolProfiles.[0].vnetSubnetId ~ "$AKS_SUBNET"
#= .agentPoolProfiles.[0].securityProfile.enableSecureBoot = true
#= .agentPoolProfiles.[0].securityProfile.enableVtpm = true

# Rotate: a new version of the key, which the set has to be told. The disks' keys are wrapped again in the background.
az keyvault key rotate --vault-name "$VAULT" --name cmk-disk-key
#= .key.kty = "RSA-HSM"

NEXT=$(az keyvault key show --vault-name "$VAULT" --name cmk-disk-key --query key.kid --output tsv)
#= $NEXT has "/keys/cmk-disk-key/"

az disk-encryption-set update --name cmk-lab-des --resource-group "$GROUP" --source-vault "$VAULT" --key-url "$NEXT"
#= .activeKey.keyUrl = "$NEXT"

az disk-encryption-set show --name cmk-lab-des --resource-group "$GROUP"
#= .activeKey.keyUrl = "$NEXT"
#= .lastKeyRotationTimestamp has "T"

# Without the key the machine does not start. With it, it does.
az vm deallocate --name cmk-vm --resource-group "$GROUP"
#= ok

az vm get-instance-view --name cmk-vm --resource-group "$GROUP" --query 'instanceView.statuses[].code'
#= . has "PowerState/deallocated"

az keyvault key set-attributes --id "$NEXT" --enabled false
#= .attributes.enabled = false

az vm start --name cmk-vm --resource-group "$GROUP"
#= refused 1 KeyVaultKeyNotEnabled

az keyvault key set-attributes --id "$NEXT" --enabled true
#= .attributes.enabled = true

az vm start --name cmk-vm --resource-group "$GROUP"
#= ok

az vm show --show-details --name cmk-vm --resource-group "$GROUP" --query powerState
#= . = "VM running"

# All of it goes. A set that disks still use does not.
az disk-encryption-set delete --name cmk-lab-des --resource-group "$GROUP"
#= refused 1

az aks delete --name cmk-aks --resource-group "$GROUP" --yes
#= ok

az vm delete --name cmk-vm --resource-group "$GROUP" --yes
#= ok

az disk delete --ids "$OS_DISK" --yes
#= ok

az disk delete --name probe --resource-group "$GROUP" --yes
#= ok

az disk-encryption-set delete --name cmk-lab-des --resource-group "$GROUP"
#= ok

az group delete --name "$GROUP" --yes
#= ok

az group exists --name "$GROUP"
#= . = false
