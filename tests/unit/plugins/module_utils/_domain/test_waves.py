# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.waves import batches, count, order, sizes, split


@dataclass(frozen=True)
class Gateway:
    host: str
    deployment: str = "docker"
    ready: bool = True


counts = st.one_of(
    st.integers(min_value=1, max_value=60),
    st.integers(min_value=1, max_value=100).map(lambda percent: f"{percent}%"),
    st.integers(min_value=1, max_value=60).map(str),
)
waves = st.lists(counts, min_size=1, max_size=5)
fleets = st.integers(min_value=0, max_value=50).map(lambda total: [f"gw{number}" for number in range(total)])


@pytest.mark.parametrize(
    ("spec", "total", "gates"),
    [
        ([1, "25%", "100%"], 8, [1, 2, 8]),
        ([1, "25%", "100%"], 3, [1, 3]),
        ([1, "25%", "100%"], 100, [1, 25, 100]),
        ([1, "25%", "100%"], 1, [1]),
        ([1, "25%", "100%"], 0, []),
        ([1, "100%"], 3, [1, 3]),
        (["1", "50 %", "100%"], 10, [1, 5, 10]),
        ([1, 2], 5, [1, 2, 5]),
        ([10], 3, [3]),
        (["1%"], 3, [1, 3]),
        ([3, 1, "100%"], 5, [3, 5]),
    ],
)
def test_gates_are_cumulative(spec, total, gates):
    assert sizes(spec, total) == gates


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, None, "", "0%", "101%", "0", "-3", "all", "25%%"])
def test_a_gate_that_is_no_count_is_refused(wrong):
    with pytest.raises(DomainError) as caught:
        sizes([1, wrong], 5)
    assert caught.value.finding.code == "setting-invalid"
    assert caught.value.finding.subject == "tyk_waves"
    assert repr(wrong) in caught.value.finding.message


@pytest.mark.parametrize("wrong", [[], "100%", None, 1])
def test_waves_must_be_a_list(wrong):
    with pytest.raises(DomainError, match="not a list of gates"):
        sizes(wrong, 5)


def test_a_wrong_max_unavailable_names_its_setting():
    with pytest.raises(DomainError, match="tyk_max_unavailable contains 0"):
        batches(["gw1"], [1], 0)


@given(counts, st.integers(min_value=1, max_value=500))
def test_a_count_is_at_least_one_and_at_most_all(value, total):
    assert 1 <= count(value, total, "tyk_waves") <= total


@given(waves, st.integers(min_value=0, max_value=200))
def test_gates_rise_to_the_total(spec, total):
    gates = sizes(spec, total)
    assert gates == sorted(set(gates))
    assert gates[-1:] == ([total] if total else [])


@given(fleets, waves)
def test_gates_are_waves_themselves(hosts, spec):
    gates = sizes(spec, len(hosts))
    if gates:
        assert split(hosts, gates) == split(hosts, spec)


@given(fleets, waves, counts)
def test_batches_cover_every_host_once_in_order_and_never_exceed_max_unavailable(hosts, spec, at_once):
    planned = batches(hosts, spec, at_once)
    assert [host for batch in planned for host in batch] == hosts
    assert all(1 <= len(batch) <= max(1, count(at_once, len(hosts), "x")) for batch in planned)


@given(fleets, waves, counts)
def test_no_batch_crosses_a_gate(hosts, spec, at_once):
    wave_of = {host: number for number, wave in enumerate(split(hosts, spec)) for host in wave}
    assert all(len({wave_of[host] for host in batch}) == 1 for batch in batches(hosts, spec, at_once))


def test_the_canary_goes_alone():
    assert batches(["gw1", "gw2", "gw3"], [1, "100%"], 2) == [["gw1"], ["gw2", "gw3"]]
    assert split(["gw1", "gw2", "gw3"], [1, "100%"]) == [["gw1"], ["gw2", "gw3"]]


gateways = st.lists(
    st.builds(
        Gateway,
        st.integers(min_value=0, max_value=99).map(lambda number: f"gw{number}"),
        st.sampled_from(["docker", "package", "helm"]),
        st.booleans(),
    ),
    unique_by=lambda gateway: gateway.host,
    max_size=12,
)


@given(gateways, st.sets(st.integers(min_value=0, max_value=99).map(lambda number: f"gw{number}")))
def test_order_keeps_every_gateway_and_puts_the_unready_first(fleet, canaries):
    ordered = order(fleet, canaries)
    assert sorted(gateway.host for gateway in ordered) == sorted(gateway.host for gateway in fleet)
    readiness = [gateway.ready for gateway in ordered]
    assert readiness == sorted(readiness)


@given(gateways)
def test_every_kind_is_tried_once_before_any_goes_on(fleet):
    ready = [gateway for gateway in order(fleet) if gateway.ready]
    kinds = {gateway.deployment for gateway in ready}
    assert {gateway.deployment for gateway in ready[: len(kinds)]} == kinds


@given(gateways)
def test_order_is_stable(fleet):
    assert order(order(fleet)) == order(fleet)


def test_a_named_canary_is_first_of_its_kind():
    fleet = [
        Gateway("gw1"),
        Gateway("gw2"),
        Gateway("vm1", "package"),
        Gateway("vm2", "package"),
        Gateway("gw3", ready=False),
    ]
    assert [gateway.host for gateway in order(fleet)] == ["gw3", "gw1", "vm1", "gw2", "vm2"]
    assert [gateway.host for gateway in order(fleet, ["gw2", "vm2"])] == ["gw3", "gw2", "vm2", "gw1", "vm1"]
