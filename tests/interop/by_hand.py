"""Does one step of a lab by hand, with the official SDKs and nothing but the environment of `sealbook cloud exec`."""

import sys
from urllib.parse import urlsplit

from azure.identity import DefaultAzureCredential
from azure.keyvault.keys import KeyClient

def key(uri):
    url = urlsplit(uri)
    client = KeyClient(f"https://{url.netloc}", DefaultAzureCredential())
    made = client.create_rsa_key(url.path.split("/")[2], size=2048, hardware_protected=True)
    print(made.id)


STEPS = {"key": key}

if __name__ == "__main__":
    STEPS[sys.argv[1]](sys.argv[2])
