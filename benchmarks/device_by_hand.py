"""The bare loop: the libvirt calls that aliases take, over every domain of a host.

Run as ``python -m benchmarks.device_by_hand alias URI``, ``read URI …``,
``compare URI HOST CONFIG-FILE`` or ``show URI UUID CONFIG-FILE``. But for the last two it
looks nothing up, checks nothing and keeps nothing: the limit that the device commands are measured
against.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import libvirt
from lxml import etree

PERSISTENT = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


def alias(uri: str) -> None:
    """Give every volume and port of every domain its alias, reading back after each."""
    connection = libvirt.open(uri)
    for domain in connection.listAllDomains():
        root = etree.fromstring(domain.XMLDesc(PERSISTENT))
        for device in list(_with_alias(root)):
            text = etree.tostring(device, encoding="unicode")
            domain.updateDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
            etree.fromstring(domain.XMLDesc(PERSISTENT))
    connection.close()


def _with_alias(root: etree._Element) -> Iterator[etree._Element]:
    for disk in root.iterfind("devices/disk"):
        if disk.findtext("serial"):
            etree.SubElement(disk, "alias", name=f"ua-{disk.findtext('serial')}")
            yield disk
    for interface in root.iterfind("devices/interface"):
        parameters = interface.find("virtualport/parameters")
        if parameters is not None:
            etree.SubElement(interface, "alias", name=f"ua-{parameters.get('interfaceid')}")
            yield interface


def read(*uris: str) -> None:
    """Read what every domain has now: what it runs with, or its definition."""
    for uri in uris:
        connection = libvirt.open(uri)
        read_all(connection)
        connection.close()


def read_all(connection: Any) -> None:
    """Read what every domain has now, on a connection that is open."""
    for domain in connection.listAllDomains():
        etree.fromstring(domain.XMLDesc(0))


def compare(uri: str, host: str, config_file: str) -> None:
    """Read what every domain of HOST has now, and print those that are not as they are recorded.

    By the least that answers this: which servers the cell has there, and the digests of the state
    database.
    """
    import hashlib

    import sqlalchemy as sa
    from oslo_config import cfg

    options = cfg.ConfigOpts()
    options.register_opts([cfg.StrOpt("connection")], group="api_database")
    options.register_opts([cfg.StrOpt("state_connection")], group="novadev")
    options(args=[], default_config_files=[config_file])
    with sa.create_engine(options.api_database.connection).connect() as connection:
        cells = connection.execute(sa.text("SELECT database_connection FROM cell_mappings"))
        urls = [url for (url,) in cells if not url.startswith("none:")]
    servers: set[str] = set()
    query = sa.text("SELECT uuid FROM instances WHERE host=:host AND deleted=0")
    for url in urls:
        with sa.create_engine(url).connect() as connection:
            servers.update(connection.scalars(query, {"host": host}))
    with sa.create_engine(options.novadev.state_connection).connect() as connection:
        known = connection.execute(sa.text("SELECT vm_id, fingerprint FROM vm_dynamic"))
        digests = {row.vm_id: row.fingerprint for row in known}
    for domain in libvirt.open(uri).listAllDomains():
        text, uuid = domain.XMLDesc(0), domain.UUIDString()
        digest = hashlib.sha256(text[text.find("<devices>") :].encode()).hexdigest()
        if uuid in servers and digests.get(uuid) != digest:
            print(uuid)


def show(uri: str, uuid: str, config_file: str) -> None:
    """Read what Nova has attached and both definitions, and print the devices as JSON."""
    attached = _attached(uuid, config_file)
    domain = libvirt.open(uri).lookupByUUIDString(uuid)
    domain.isPersistent(), domain.isActive(), domain.hasManagedSaveImage()
    texts = [domain.XMLDesc(PERSISTENT), domain.XMLDesc()]
    found = [etree.fromstring(text).find("devices") for text in texts]
    devices = [{"tag": str(item.tag), **item.attrib} for item in found[0]]
    print(json.dumps([devices, attached]))


def _attached(uuid: str, config_file: str) -> list[int]:
    """Return the number of rows in each table that says what is attached."""
    import sqlalchemy as sa

    tables = ("block_device_mapping", "instance_info_caches", "pci_devices", "migrations")
    wanted = {"u": uuid}
    with sa.create_engine(_cell_url(uuid, config_file)).connect() as connection:
        found = [connection.execute(sa.text("SELECT * FROM instances WHERE uuid=:u"), wanted)]
        for table in tables:
            query = sa.text(f"SELECT * FROM {table} WHERE instance_uuid=:u AND deleted=0")
            found.append(connection.execute(query, wanted))
        return [len(result.all()) for result in found]


def _cell_url(uuid: str, config_file: str) -> str:
    """Return where the instance's cell is, as the API database of this nova.conf says."""
    import sqlalchemy as sa
    from oslo_config import cfg

    options = cfg.ConfigOpts()
    options.register_opts([cfg.StrOpt("connection")], group="api_database")
    options(args=[], default_config_files=[config_file])
    query = sa.text(
        "SELECT database_connection FROM cell_mappings JOIN instance_mappings"
        " ON cell_id = cell_mappings.id WHERE instance_uuid = :u"
    )
    with sa.create_engine(options.api_database.connection).connect() as connection:
        return str(connection.scalar(query, {"u": uuid}))


if __name__ == "__main__":
    {"alias": alias, "read": read, "compare": compare, "show": show}[sys.argv[1]](*sys.argv[2:])
