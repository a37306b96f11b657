"""Where the service may be made to send: to the public internet, and to networks that the operator names.

A tenant chooses the addresses of its webhooks, so each is refused unless it is public: nothing on this machine, in its
private networks or of its cloud's metadata can be reached through them. Resolves and connects nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from leaktrace.errors import InvalidInput

Network = IPv4Network | IPv6Network
URL_PATTERN = r"^https?://([A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?(/[\x21\x22\x24-\x7e]*)?$"
GLOBAL_UNICAST = IPv6Network("2000::/3")
# Addresses that stand for an IPv4 one, which a router or host on the way may turn into it.
TRANSLATED = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))
SPECIAL = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))


class AddressRefused(InvalidInput):
    """The service does not send there: it is no public address, or not encrypted."""

    code = "address_refused"


@dataclass(frozen=True)
class AddressRules:
    """`allowed` networks may be reached although they are not public, and without TLS; for development."""

    allowed: Sequence[Network] = ()

    def check_url(self, url: str) -> None:
        """Refuse what can be refused before any name is resolved.

        Raises:
            AddressRefused: it is no http(s) URL, not encrypted without need, or names an address that is not permitted.
        """
        if not re.fullmatch(URL_PATTERN, url):
            raise AddressRefused(f"{url!r} is no address of a receiver; give https://host/path")
        parts = _split(url)
        if parts is None:
            raise AddressRefused(f"{url!r} names no host or port that there is")
        if parts.scheme == "http" and not self.allowed:
            raise AddressRefused(f"{url!r} is not encrypted; give an https address")
        literal = _literal(str(parts.hostname))
        if literal is not None and not self.permits(literal):
            raise AddressRefused(f"{literal} is not a public address")

    def permits(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the service may connect there."""
        return is_public(address) or self.allows(address)

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the operator has named a network that holds the address."""
        plain = _plain(address)
        return any(plain in network for network in self.allowed)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address belongs to one host of the public internet, whatever form it is written in."""
    plain = _plain(address)
    if isinstance(plain, IPv6Address):
        usual = plain in GLOBAL_UNICAST and not any(plain in network for network in TRANSLATED)
    else:
        usual = not any(plain in network for network in SPECIAL)
    return usual and plain.is_global and not (plain.is_private or plain.is_multicast or plain.is_reserved)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one is mapped to, or itself."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:  # brackets that hold no address, or a port beyond the last
        return None
