"""Kubernetes clusters whose node disks are under a customer's key."""

from base64 import b64decode
from functools import cache
from typing import Any

from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.containerservice.models import (
    AgentPool,
    ManagedCluster,
    ManagedClusterAgentPoolProfile,
    ManagedClusterIdentity,
    TagsObject,
)

from sdk_customer_key import compute, customer_key, encryption_set, encryption_set_of
from sdk_support import PAUSE, REGION, Lab, check, equal, refused

SIZE = "Standard_D4s_v5"


@cache
def clusters(lab: Lab) -> ContainerServiceClient:
    """Client for clusters and their pools."""
    lab.register("Microsoft.ContainerService", "Microsoft.Compute", "Microsoft.Network")
    return ContainerServiceClient(lab.credential, lab.subscription, polling_interval=PAUSE)


def cluster_of(size: str = SIZE, **properties: Any) -> ManagedCluster:
    """The body of a cluster with one node."""
    pool = ManagedClusterAgentPoolProfile(name="system", count=1, vm_size=size, mode="System", os_type="Linux")
    return ManagedCluster(
        location=REGION,
        identity=ManagedClusterIdentity(type="SystemAssigned"),
        dns_prefix="lab",
        agent_pool_profiles=[pool],
        **properties,
    )


@cache
def shared_cluster(lab: Lab) -> ManagedCluster:
    """A cluster under the shared encryption set, which checks share."""
    body = cluster_of(disk_encryption_set_id=encryption_set(lab).id)
    return clusters(lab).managed_clusters.begin_create_or_update(lab.group, "shared", body).result()


@check("clusters: a cluster under an encryption set")
def cluster_life(lab: Lab) -> None:
    """A cluster is made with its node group and identities, found, listed, tagged, stopped and started."""
    client = clusters(lab).managed_clusters
    made = shared_cluster(lab)
    equal((made.provisioning_state, made.power_state.code), ("Succeeded", "Running"))
    equal(made.disk_encryption_set_id.lower(), encryption_set(lab).id.lower())
    assert made.identity.principal_id and made.identity_profile["kubeletidentity"].object_id
    assert made.fqdn.endswith(f".hcp.{REGION}.azmk8s.io"), made.fqdn
    assert lab.resources.resource_groups.check_existence(made.node_resource_group)
    equal(client.get(lab.group, "shared").id, made.id)
    assert made.id in [found.id for found in client.list_by_resource_group(lab.group)]
    assert made.id in [found.id for found in client.list()]
    tagged = client.begin_update_tags(lab.group, "shared", TagsObject(tags={"lab": "yes"})).result()
    equal(tagged.tags, {"lab": "yes"})
    client.begin_stop(lab.group, "shared").wait()
    equal(client.get(lab.group, "shared").power_state.code, "Stopped")
    client.begin_start(lab.group, "shared").wait()
    equal(client.get(lab.group, "shared").power_state.code, "Running")


@check("clusters: pools come and go, all but the last")
def pools(lab: Lab) -> None:
    """A second pool is made, listed and deleted; the last system pool stays."""
    client = clusters(lab).agent_pools
    shared_cluster(lab)
    body = AgentPool(count=1, vm_size=SIZE, mode="User", os_type="Linux")
    made = client.begin_create_or_update(lab.group, "shared", "more", body).result()
    equal((made.provisioning_state, made.count, made.vm_size), ("Succeeded", 1, SIZE))
    equal(sorted(found.name for found in client.list(lab.group, "shared")), ["more", "system"])
    equal(client.get(lab.group, "shared", "more").mode, "User")
    client.begin_delete(lab.group, "shared", "more").wait()
    with refused(404):
        client.get(lab.group, "shared", "more")
    with refused(400):
        client.begin_delete(lab.group, "shared", "system").wait()


@check("clusters: credentials and versions")
def credentials(lab: Lab) -> None:
    """A kubeconfig names the cluster's own server, and the region lists its versions."""
    client = clusters(lab).managed_clusters
    made = shared_cluster(lab)
    for answer in (
        client.list_cluster_user_credentials(lab.group, "shared"),
        client.list_cluster_admin_credentials(lab.group, "shared"),
    ):
        config = bytes(answer.kubeconfigs[0].value)
        text = (config if config.startswith(b"apiVersion") else b64decode(config)).decode()
        assert f"https://{made.fqdn}:443" in text, text
    versions = client.list_kubernetes_versions(REGION).values_property
    assert any(made.current_kubernetes_version.startswith(found.version) for found in versions), versions


@check("clusters: clusters that are refused")
def cluster_refused(lab: Lab) -> None:
    """A size that does not exist, a set that is not there, another set later, and no pool at all are refused."""
    client = clusters(lab).managed_clusters
    with refused(400):
        client.begin_create_or_update(lab.group, "bad", cluster_of("Standard_Nothing")).result()
    nowhere = encryption_set(lab).id.replace("shared-set", "no-set")
    with refused(400, "InvalidResourceReference"):
        client.begin_create_or_update(lab.group, "bad", cluster_of(disk_encryption_set_id=nowhere)).result()
    poolless = cluster_of()
    poolless.agent_pool_profiles = []
    with refused(400):
        client.begin_create_or_update(lab.group, "bad", poolless).result()
    shared_cluster(lab)
    other = compute(lab).disk_encryption_sets.begin_create_or_update(
        lab.group, "other-set", encryption_set_of(lab, customer_key(lab).key.id)
    )
    with refused(400, "PropertyChangeNotAllowed"):
        body = cluster_of(disk_encryption_set_id=other.result().id)
        client.begin_create_or_update(lab.group, "shared", body).result()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "bad")


@check("clusters: a cluster is deleted with its node group")
def cluster_deleted(lab: Lab) -> None:
    """What the cluster made for its nodes goes with it."""
    client = clusters(lab).managed_clusters
    made = shared_cluster(lab)
    client.begin_delete(lab.group, "shared").wait()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "shared")
    assert not lab.resources.resource_groups.check_existence(made.node_resource_group)
