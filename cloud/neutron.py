"""A stand-in for neutron: neutron.py PORT KEYSTONE. It says so in its list of versions.

It has one network, `stand-in`, with one subnet, and ports that are always bound to Open vSwitch.
No packet is filtered, no address is leased.
"""

import itertools
import json
import secrets
import sys
from urllib.request import Request as Call
from urllib.request import urlopen
from uuid import uuid4

from cloud.rest import Refused, Request, Row, chosen, get, serve

NETWORK, SUBNET = str(uuid4()), str(uuid4())
VIF_DETAILS = {
    "port_filter": False,
    "ovs_hybrid_plug": False,
    "bridge_name": "br-int",
    "datapath_type": "netdev",
    "connectivity": "l2",
}
EXTENSIONS = ("binding", "binding-extended", "security-group", "port-security", "quotas")

networks: dict[str, Row] = {
    NETWORK: {
        "id": NETWORK,
        "name": "stand-in",
        "subnets": [SUBNET],
        "tenant_id": "",
        "project_id": "",
        "shared": True,
        "admin_state_up": True,
        "status": "ACTIVE",
        "router:external": False,
        "port_security_enabled": False,
        "provider:network_type": "local",
        "provider:physical_network": None,
        "provider:segmentation_id": None,
        "mtu": 1500,
    }
}
subnets: dict[str, Row] = {
    SUBNET: {
        "id": SUBNET,
        "name": "stand-in",
        "network_id": NETWORK,
        "cidr": "203.0.113.0/24",
        "gateway_ip": None,
        "ip_version": 4,
        "enable_dhcp": False,
        "dns_nameservers": [],
        "host_routes": [],
        "allocation_pools": [{"start": "203.0.113.2", "end": "203.0.113.254"}],
    }
}
ports: dict[str, Row] = {}
bindings: dict[str, dict[str, Row]] = {}
"""The bindings of a port by their hosts; one of them is ACTIVE."""


def create_port(request: Request) -> Row:
    """Make a port: of the project of who asks, unless it names one, as Nova does."""
    wanted = request.body["port"]
    project = wanted.get("project_id") or wanted.get("tenant_id") or _project_of(request.token)
    used = {port["fixed_ips"][0]["ip_address"] for port in ports.values()}
    address = next(a for n in itertools.count(2) if (a := f"203.0.113.{n}") not in used)
    tail = ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
    port = {
        "id": str(uuid4()),
        "name": "",
        "network_id": NETWORK,
        "tenant_id": project,
        "project_id": project,
        "mac_address": f"fa:16:3e:{tail}",
        "fixed_ips": [{"subnet_id": SUBNET, "ip_address": address}],
        "device_id": "",
        "device_owner": "",
        "admin_state_up": True,
        "status": "DOWN",
        "security_groups": [],
        "port_security_enabled": False,
        "allowed_address_pairs": [],
        "binding:vnic_type": "normal",
        "binding:host_id": "",
        "binding:profile": {},
        "resource_request": None,
    }
    kept = {name: value for name, value in wanted.items() if name != "fixed_ips"}
    ports[port["id"]] = port | {name: value for name, value in kept.items() if name in port}
    bindings[port["id"]] = {}
    return _bind(port["id"])


def _project_of(token: str) -> str:
    """Return the project that a TOKEN is for, as keystone says; empty for no token."""
    if not token:
        return ""
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    with urlopen(Call(f"{sys.argv[2]}/auth/tokens", headers=headers), timeout=30) as answer:
        return str(json.load(answer)["token"]["project"]["id"])


def update_port(request: Request, key: str) -> Row:
    """Change a port; the host it is bound to, too."""
    wanted = request.body["port"]
    port = get(ports, key)
    before = port["binding:host_id"]
    port |= {name: value for name, value in wanted.items() if name in port}
    if port["binding:host_id"] != before:  # its binding moves; neutron leaves none behind
        bindings[key].pop(before, None)
    return _bind(key)


def _bind(key: str) -> Row:
    """Bind the port to its host, if it has one, and return it."""
    port = ports[key]
    host = port["binding:host_id"]
    if not host:
        port |= {"binding:vif_type": "unbound", "binding:vif_details": {}, "status": "DOWN"}
    else:
        port |= {"binding:vif_type": "ovs", "binding:vif_details": VIF_DETAILS, "status": "ACTIVE"}
        bindings[key].setdefault(host, _binding(host))
        for name, binding in bindings[key].items():
            binding["status"] = "ACTIVE" if name == host else "INACTIVE"
    return {"port": port}


def _binding(host: str) -> Row:
    return {
        "host": host,
        "vnic_type": "normal",
        "vif_type": "ovs",
        "vif_details": VIF_DETAILS,
        "profile": {},
        "status": "INACTIVE",
    }


def create_binding(request: Request, key: str) -> Row:
    """Make a binding of a port to a further host."""
    get(ports, key)
    wanted = request.body["binding"]
    if wanted["host"] in bindings[key]:
        raise Refused(409, f"Binding for port {key} on host {wanted['host']} already exists.")
    bindings[key][wanted["host"]] = _binding(wanted["host"]) | wanted
    return {"binding": bindings[key][wanted["host"]]}


def activate_binding(request: Request, key: str, host: str) -> Row:
    """Make the port that host's."""
    get(bindings[key], host)
    ports[key]["binding:host_id"] = host
    _bind(key)
    return {"binding": bindings[key][host]}


def delete_port(request: Request, key: str) -> None:
    """Remove a port."""
    get(ports, key)
    del ports[key], bindings[key]


def delete_binding(request: Request, key: str, host: str) -> None:
    """Remove a binding."""
    get(bindings[key], host)
    del bindings[key][host]


def extensions(request: Request) -> Row:
    """Return the extensions that Nova asks about."""
    return {
        "extensions": [
            {"alias": name, "name": name, "description": "", "links": [], "updated": ""}
            for name in EXTENSIONS
        ]
    }


def versions(request: Request) -> Row:
    """Return neutron's versions, and whose they are."""
    return {
        "stand-in": "This is no neutron, but a stand-in for it in novadev's test cloud.",
        "versions": [{"id": "v2.0", "status": "CURRENT", "links": []}],
    }


ROUTES = {
    ("GET", "/"): versions,
    ("GET", "/v2.0"): lambda request: {"resources": []},
    ("GET", "/v2.0/extensions"): extensions,
    ("GET", "/v2.0/networks"): lambda request: {"networks": chosen(networks, request.query)},
    ("GET", "/v2.0/networks/([^/]+)"): lambda request, key: {"network": get(networks, key)},
    ("GET", "/v2.0/subnets"): lambda request: {"subnets": chosen(subnets, request.query)},
    ("GET", "/v2.0/subnets/([^/]+)"): lambda request, key: {"subnet": get(subnets, key)},
    ("GET", "/v2.0/floatingips"): lambda request: {"floatingips": []},
    ("GET", "/v2.0/security-groups"): lambda request: {"security_groups": []},
    ("GET", "/v2.0/quotas/[^/]+"): lambda request: {"quota": {"port": -1, "network": -1}},
    ("GET", "/v2.0/ports"): lambda request: {"ports": chosen(ports, request.query)},
    ("POST", "/v2.0/ports"): create_port,
    ("GET", "/v2.0/ports/([^/]+)"): lambda request, key: {"port": get(ports, key)},
    ("PUT", "/v2.0/ports/([^/]+)"): update_port,
    ("DELETE", "/v2.0/ports/([^/]+)"): delete_port,
    ("GET", "/v2.0/ports/([^/]+)/bindings"): lambda request, key: {
        "bindings": list(bindings[get(ports, key)["id"]].values())
    },
    ("POST", "/v2.0/ports/([^/]+)/bindings"): create_binding,
    ("GET", "/v2.0/ports/([^/]+)/bindings/([^/]+)"): lambda request, key, host: {
        "binding": get(bindings[key], host)
    },
    ("PUT", "/v2.0/ports/([^/]+)/bindings/([^/]+)/activate"): activate_binding,
    ("DELETE", "/v2.0/ports/([^/]+)/bindings/([^/]+)"): delete_binding,
}

if __name__ == "__main__":
    serve(int(sys.argv[1]), ROUTES)
