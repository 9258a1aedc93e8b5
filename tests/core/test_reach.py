"""Addresses that mail to strangers may be sent to."""

import pytest

from channels.reach import is_public


@pytest.mark.parametrize("address", ["8.8.8.8", "142.250.102.27", "2a00:1450:4025:401::1a", "::ffff:8.8.8.8"])
def test_hosts_of_the_internet_may_be_reached(address):
    assert is_public(address)


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104 -- an address to be refused
    "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2001:0:1::1",
    "", "mx.acme.net", "2130706433", "127.1", "0x7f000001",
])
def test_this_machine_private_networks_groups_wrapped_addresses_and_nonsense_may_not(address):
    assert not is_public(address)
