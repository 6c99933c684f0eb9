"""Owns the question where a request came from, when there are proxies in front of the server."""

import ipaddress
from collections.abc import Mapping

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


def client_address(peer: str, fields: Mapping[bytes, bytes], trusted: Networks) -> str:
    """Who made the request: the peer, or what trusted proxies say of it, read from the right.

    X-Forwarded-For counts only as far as each address to its right is that of a trusted proxy.
    """
    forwarded = fields.get(b"x-forwarded-for")
    if forwarded is None or not trusted:
        return peer
    address = peer
    for hop in reversed(forwarded.split(b",")):
        if not _is_in(address, trusted):
            break
        claimed = hop.strip().decode("latin-1")
        try:
            ipaddress.ip_address(claimed)
        except ValueError:
            break
        address = claimed
    return address


def _is_in(address: str, networks: Networks) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
