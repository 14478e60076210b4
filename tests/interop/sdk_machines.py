"""Machines: what a region offers, and a machine whose OS disk is under a customer's key."""

from functools import cache

from azure.mgmt.compute.models import (
    DiskEncryptionSetParameters,
    HardwareProfile,
    ImageReference,
    ManagedDiskParameters,
    NetworkInterfaceReference,
    NetworkProfile,
    OSDisk,
    OSProfile,
    StorageProfile,
    VirtualMachine,
    VirtualMachineIdentity,
    VirtualMachineUpdate,
)
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.network.models import (
    AddressSpace,
    NetworkInterface,
    NetworkInterfaceIPConfiguration,
    Subnet,
    VirtualNetwork,
)

from sdk_customer_key import compute, customer_key, encryption_set
from sdk_support import PAUSE, REGION, Lab, check, equal, patient, refused

PUBLISHER, OFFER, SKU = "Canonical", "ubuntu-24_04-lts", "server"
SIZE = "Standard_D2s_v5"


@cache
def network(lab: Lab) -> NetworkManagementClient:
    """Client for virtual networks and interfaces."""
    lab.register("Microsoft.Network")
    return NetworkManagementClient(lab.credential, lab.subscription, polling_interval=PAUSE)


@cache
def subnet(lab: Lab) -> Subnet:
    """The subnet that checks share."""
    body = VirtualNetwork(
        location=REGION,
        address_space=AddressSpace(address_prefixes=["10.0.0.0/16"]),
        subnets=[Subnet(name="default", address_prefix="10.0.0.0/24")],
    )
    return network(lab).virtual_networks.begin_create_or_update(lab.group, "vnet", body).result().subnets[0]


def new_interface(lab: Lab, name: str) -> NetworkInterface:
    """Makes a network interface in the shared subnet."""
    address = NetworkInterfaceIPConfiguration(name="ipconfig1", subnet=Subnet(id=subnet(lab).id))
    body = NetworkInterface(location=REGION, ip_configurations=[address])
    return network(lab).network_interfaces.begin_create_or_update(lab.group, name, body).result()


def machine_of(lab: Lab, interface: NetworkInterface, size: str = SIZE) -> VirtualMachine:
    """The body of a machine whose OS disk is under the shared encryption set."""
    under = DiskEncryptionSetParameters(id=encryption_set(lab).id)
    return VirtualMachine(
        location=REGION,
        identity=VirtualMachineIdentity(type="SystemAssigned"),
        hardware_profile=HardwareProfile(vm_size=size),
        storage_profile=StorageProfile(
            image_reference=ImageReference(publisher=PUBLISHER, offer=OFFER, sku=SKU, version="latest"),
            os_disk=OSDisk(
                create_option="FromImage",
                delete_option="Delete",
                managed_disk=ManagedDiskParameters(storage_account_type="Premium_LRS", disk_encryption_set=under),
            ),
        ),
        os_profile=OSProfile(
            computer_name="lab", admin_username="learner", admin_password=f"Pw-{lab.suffix}-{lab.suffix.upper()}"
        ),
        network_profile=NetworkProfile(network_interfaces=[NetworkInterfaceReference(id=interface.id)]),
    )


def power(lab: Lab, name: str) -> str:
    """The power state of a machine."""
    statuses = compute(lab).virtual_machines.instance_view(lab.group, name).statuses
    return next(status.code for status in statuses if status.code.startswith("PowerState/"))


@check("compute: what a region offers")
def region(lab: Lab) -> None:
    """Images are found step by step; sizes, quotas and restrictions are listed; what is not there is refused."""
    client = compute(lab)
    images = client.virtual_machine_images
    assert PUBLISHER in [found.name for found in images.list_publishers(REGION)]
    assert OFFER in [found.name for found in images.list_offers(REGION, PUBLISHER)]
    assert SKU in [found.name for found in images.list_skus(REGION, PUBLISHER, OFFER)]
    newest = images.list(REGION, PUBLISHER, OFFER, SKU, top=1, orderby="name desc")[0].name
    image = images.get(REGION, PUBLISHER, OFFER, SKU, newest)
    equal((image.os_disk_image.operating_system, image.hyper_v_generation), ("Linux", "V2"))
    with refused(404):
        images.get(REGION, PUBLISHER, OFFER, SKU, "0.0.0")
    sizes = {size.name: size for size in client.virtual_machine_sizes.list(REGION)}
    equal((sizes[SIZE].number_of_cores, sizes[SIZE].memory_in_mb), (2, 8192))
    usage = {found.name.value: found for found in client.usage.list(REGION)}
    assert usage["cores"].limit > 0, usage["cores"]
    skus = [found for found in client.resource_skus.list(filter=f"location eq '{REGION}'") if found.name == SIZE]
    equal(len(skus), 1)


@check("compute: a machine from creation to deletion")
def machine_life(lab: Lab) -> None:
    """A machine is made, looked at, stopped, started, changed and deleted; its OS disk is under the customer's key."""
    client, under = compute(lab).virtual_machines, encryption_set(lab)
    interface = new_interface(lab, "life-nic")
    made = client.begin_create_or_update(lab.group, "life-vm", machine_of(lab, interface)).result()
    equal(made.provisioning_state, "Succeeded")
    assert made.identity.principal_id and made.vm_id and made.os_profile.admin_password is None
    os_disk = made.storage_profile.os_disk
    disk = compute(lab).disks.get(lab.group, os_disk.name)
    equal((disk.disk_state, disk.managed_by.lower()), ("Attached", made.id.lower()))
    equal(disk.encryption.disk_encryption_set_id.lower(), under.id.lower())
    equal(power(lab, "life-vm"), "PowerState/running")
    attached = network(lab).network_interfaces.get(lab.group, "life-nic").virtual_machine
    equal(attached.id.lower(), made.id.lower())
    assert made.id in [found.id for found in client.list(lab.group)]
    assert made.id in [found.id for found in client.list_all()]

    with refused(400, "NicInUse"):
        network(lab).network_interfaces.begin_delete(lab.group, "life-nic").wait()
    client.begin_power_off(lab.group, "life-vm").wait()
    equal(power(lab, "life-vm"), "PowerState/stopped")
    client.begin_deallocate(lab.group, "life-vm").wait()
    equal(power(lab, "life-vm"), "PowerState/deallocated")
    client.begin_start(lab.group, "life-vm").wait()
    client.begin_restart(lab.group, "life-vm").wait()
    equal(power(lab, "life-vm"), "PowerState/running")
    changed = client.begin_update(lab.group, "life-vm", VirtualMachineUpdate(tags={"lab": "yes"})).result()
    equal(changed.tags, {"lab": "yes"})

    client.begin_delete(lab.group, "life-vm").wait()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "life-vm")
    with refused(404, "ResourceNotFound"):
        compute(lab).disks.get(lab.group, os_disk.name)
    network(lab).network_interfaces.begin_delete(lab.group, "life-nic").wait()


@check("compute: machines that are refused")
def machine_refused(lab: Lab) -> None:
    """A size that does not exist, and an interface that is not there, are refused."""
    client = compute(lab).virtual_machines
    interface = new_interface(lab, "bad-nic")
    with refused(400, "InvalidParameter"):
        client.begin_create_or_update(lab.group, "bad-vm", machine_of(lab, interface, "Standard_Nothing")).result()
    interface.id = interface.id.replace("bad-nic", "no-nic")
    with refused(400, "InvalidResourceReference"):
        client.begin_create_or_update(lab.group, "bad-vm", machine_of(lab, interface)).result()
    with refused(404, "ResourceNotFound"):
        client.get(lab.group, "bad-vm")


@check("compute: a machine does not start without its key")
def machine_without_key(lab: Lab) -> None:
    """While the customer's key is disabled the machine can't start, and afterwards it does."""
    client, customer = compute(lab).virtual_machines, customer_key(lab)
    interface = new_interface(lab, "key-nic")
    client.begin_create_or_update(lab.group, "key-vm", machine_of(lab, interface)).result()
    client.begin_deallocate(lab.group, "key-vm").wait()
    keys = lab.keys(customer.vault)

    def start() -> None:
        client.begin_start(lab.group, "key-vm").wait()

    keys.update_key_properties("customer", version=customer.key.properties.version, enabled=False)
    try:
        # The start is accepted, and what it started fails: the answer that says so is a poll's.
        with refused(200, "KeyVaultKeyNotEnabled"):
            start()
    finally:
        keys.update_key_properties("customer", version=customer.key.properties.version, enabled=True)
    patient(start, status=200)
    equal(power(lab, "key-vm"), "PowerState/running")
    client.begin_delete(lab.group, "key-vm").wait()
