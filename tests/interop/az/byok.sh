# Bring your own key: a key made outside goes into the vault's HSM without ever being readable on its way.
#
# Signed in is an application here, as it would be in a ceremony that is scripted. The target key is made with openssl;
# in earnest an HSM of yours makes and wraps it.

az login --service-principal --username "$AZURE_CLIENT_ID" --password "$AZURE_CLIENT_SECRET" --tenant "$AZURE_TENANT_ID"
#= .[0].user.type = "servicePrincipal"
#= .[0].user.name = "$AZURE_CLIENT_ID"

APP_OID=$(az ad sp show --id "$AZURE_CLIENT_ID" --query id --output tsv)
#= $APP_OID has "-"

# An application has no `me`.
az ad signed-in-user show
#= refused 1

az provider register --namespace Microsoft.KeyVault --wait
#= ok

GROUP=byok-$SUFFIX VAULT=byok-$SUFFIX
#= ok

az group create --name "$GROUP" --location "$REGION"
#= .properties.provisioningState = "Succeeded"

az keyvault create --name "$VAULT" --resource-group "$GROUP" --location "$REGION" --sku premium --retention-days 7
#= .properties.sku.name = "premium"

VAULT_ID=$(az keyvault show --name "$VAULT" --resource-group "$GROUP" --query id --output tsv)
#= $VAULT_ID has "/vaults/$VAULT"

az role assignment create --role "Key Vault Crypto Officer" --assignee "$AZURE_CLIENT_ID" --scope "$VAULT_ID"
#= .principalId = "$APP_OID"
#= .principalType = "ServicePrincipal"

# The key exchange key, which may do nothing else.
patiently az keyvault key create --vault-name "$VAULT" --name kek --kty RSA-HSM --size 4096 --ops import
#= .key.kty = "RSA-HSM"
#= .key.keyOps = ["import"]

KEK=$(az keyvault key show --vault-name "$VAULT" --name kek --query key.kid --output tsv)
#= $KEK has "/keys/kek/"

az keyvault key download --vault-name "$VAULT" --name kek --encoding PEM --file "$WORK/kek.pem"
#= ok

# The target key, and an AES key that wraps it (CKM_RSA_AES_KEY_WRAP): the AES key travels under the exchange key.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$WORK/target.pem"
#= ok

openssl pkcs8 -topk8 -nocrypt -in "$WORK/target.pem" -outform DER -out "$WORK/target.der"
#= ok

openssl rand -out "$WORK/aes.bin" 32
#= ok

openssl pkeyutl -encrypt -pubin -inkey "$WORK/kek.pem" -in "$WORK/aes.bin" -out "$WORK/aes.wrapped" \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha1
#= ok

openssl enc -e -id-aes256-wrap-pad -iv A65959A6 -K "$(od -An -v -tx1 "$WORK/aes.bin" | tr -d ' \n')" \
    -in "$WORK/target.der" -out "$WORK/target.wrapped"
#= ok

BLOB=$(cat "$WORK/aes.wrapped" "$WORK/target.wrapped" | base64 | tr -d '=\n' | tr '+/' '-_')
#= ok

cat > "$WORK/target.byok" <<BYOK
{
  "schema_version": "1.0.0",
  "header": {"kid": "$KEK", "alg": "dir", "enc": "CKM_RSA_AES_KEY_WRAP"},
  "ciphertext": "$BLOB",
  "generator": "openssl"
}
BYOK
#= ok

az keyvault key import --vault-name "$VAULT" --name mine --byok-file "$WORK/target.byok" --ops wrapKey unwrapKey
#= .key.kty = "RSA-HSM"
#= .key.keyOps = ["wrapKey", "unwrapKey"]
#= .key.d = null
#= .attributes.enabled = true

az keyvault key show --vault-name "$VAULT" --name mine --query 'attributes.exportable || `false`'
#= . = false

# It is the key that was sent.
az keyvault key download --vault-name "$VAULT" --name mine --encoding DER --file "$WORK/mine.der"
#= ok

openssl pkey -in "$WORK/target.pem" -pubout -outform DER -out "$WORK/target.pub.der"
#= ok

cmp "$WORK/mine.der" "$WORK/target.pub.der"
#= ok

# And it works there: what anybody encrypts with the public half, the HSM decrypts, once the key may do so.
az keyvault key set-attributes --vault-name "$VAULT" --name mine --ops encrypt decrypt
#= .key.keyOps = ["encrypt", "decrypt"]

RESULT=$(az keyvault key encrypt --vault-name "$VAULT" --name mine --algorithm RSA-OAEP-256 --value hello \
    --data-type plaintext --query result --output tsv)
#= ok

az keyvault key decrypt --vault-name "$VAULT" --name mine --algorithm RSA-OAEP-256 --value "$RESULT" \
    --data-type plaintext
#= .result = "hello"

# A blob for another exchange key, or a damaged one, is none.
sed 's/"ciphertext": "..../"ciphertext": "AAAA/' "$WORK/target.byok" > "$WORK/damaged.byok"
#= ok

az keyvault key import --vault-name "$VAULT" --name damaged --byok-file "$WORK/damaged.byok" --ops wrapKey unwrapKey
#= refused 1 BadParameter

# All of it goes; without purge protection the vault's name is free again.
az group delete --name "$GROUP" --yes
#= ok

az keyvault purge --name "$VAULT" --location "$REGION"
#= ok

az keyvault list-deleted --resource-type vault --query "length([?name=='$VAULT'])"
#= . = 0
