"""Which addresses a webhook may name: public ones, however a private one is dressed up."""

from ipaddress import ip_address, ip_network

import pytest

from leaktrace.addresses import AddressRefused, AddressRules, is_public

LOOPBACK = AddressRules((ip_network("127.0.0.0/8"), ip_network("::1/128")))


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_pass(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.0.8", "198.18.0.1", "192.88.99.1"),
        *(
            "::",
            "::1",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "2001:db8::1",
        ),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
        *("2002:7f00:1::", "2002:a00:1::", "2001:0:7f00:1::", "fec0::1"),
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/", "https://", "https://user@example.com/", "https://example.com/#part"),
        *("https://[89564a73bc9213091a]", "https://example.com:99999/", "https://example.com:0/"),
        *("http://example.com/", "https://127.0.0.1/", "https://[::1]:8443/", "https://[::ffff:10.0.0.1]/"),
        *("https://169.254.169.254/latest/meta-data", "https://example.com:99999/", "https://exa mple.com/"),
        *("https://example.com\\@10.0.0.1/", "https://example.com/\r\nX: y"),
    ],
)
def test_unusable_urls_are_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        AddressRules().check_url(url)


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://h.example:8443/a/b?c=d", "https://[2606:4700::1]/"]
)
def test_usable_urls_pass(url: str) -> None:
    AddressRules().check_url(url)


def test_named_network_is_allowed_alone() -> None:
    LOOPBACK.check_url("http://127.0.0.1:8000/hook")
    with pytest.raises(AddressRefused):
        LOOPBACK.check_url("http://10.0.0.1/")
    assert (LOOPBACK.permits(ip_address("::ffff:127.0.0.1")), LOOPBACK.permits(ip_address("10.0.0.1"))) == (
        True,
        False,
    )
