"""Does one step of a lab by hand, with the official SDKs and nothing but the environment of `sealbook cloud exec`."""

import os
import sys
from urllib.parse import urlsplit

from azure.identity import UsernamePasswordCredential
from azure.keyvault.keys import KeyClient

# The Azure CLI's public client: the one that a person's sign-in by password uses.
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


def learner():
    return UsernamePasswordCredential(
        AZURE_CLI, os.environ["SEALBOOK_USER"], os.environ["SEALBOOK_PASSWORD"], tenant_id=os.environ["AZURE_TENANT_ID"]
    )


def key(uri):
    url = urlsplit(uri)
    client = KeyClient(f"https://{url.netloc}", learner())
    made = client.create_rsa_key(url.path.split("/")[2], size=2048, hardware_protected=True)
    print(made.id)


STEPS = {"key": key}

if __name__ == "__main__":
    STEPS[sys.argv[1]](sys.argv[2])
