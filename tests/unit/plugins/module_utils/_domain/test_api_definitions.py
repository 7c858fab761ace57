# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.api_definitions import (
    CLASSIC,
    EXTENSION,
    OAS,
    VOLATILE,
    canonical,
    diff,
    digest,
    document_of,
    from_dashboard_item,
    get_bundle,
    kind_of,
    with_bundle,
    without_volatile,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import DomainError


def classic(**fields):
    return {
        "id": "5e9d9544a1dcd60001d0ed20",
        "api_id": "orders-1",
        "name": "orders",
        "active": True,
        "is_oas": False,
        "use_keyless": True,
        "proxy": {"listen_path": "/orders/", "target_url": "http://upstream/"},
        "custom_middleware_bundle": "header-1.zip",
        "custom_middleware_bundle_disabled": False,
        "custom_middleware": {"driver": "goplugin", "pre": [{"name": "AddHeader", "path": "Header.so"}]},
        "updated_at": "2026-01-01T00:00:00Z",
        **fields,
    }


def oas(global_middleware=None, **extension):
    return {
        "openapi": "3.0.3",
        "info": {"title": "Shipments", "version": "1"},
        "paths": {"/a": {"get": {"operationId": "aget"}}},
        "components": {"schemas": {"Parcel": {"properties": {"updated_at": {"type": "string"}}}}},
        EXTENSION: {
            "info": {
                "id": "shipments-1",
                "dbId": "5e9d9544a1dcd60001d0ed21",
                "name": "shipments",
                "state": {"active": True},
                "updatedAt": "2026-01-01T00:00:00Z",
            },
            "server": {"listenPath": {"value": "/shipments/", "strip": True}},
            "middleware": {
                "global": {"pluginConfig": {"driver": "goplugin", "bundle": {"enabled": True, "path": "header-1.zip"}}}
                if global_middleware is None
                else global_middleware
            },
            **extension,
        },
    }


def wrapped(definition, document=None):
    return {
        "api_definition": definition,
        "oas": document,
        "hook_references": [{"event_name": "QuotaExceeded"}],
        "is_site": False,
        "sort_by": 3,
        "user_owners": ["5e9d"],
        "user_group_owners": ["7a1b"],
        "categories": ["logistics"],
        "some_future_key": {"kept": True},
    }


CLASSIC_ITEM = wrapped(classic())
OAS_ITEM = wrapped(classic(is_oas=True, api_id="shipments-1"), oas())
FORMS = [classic(), oas(), CLASSIC_ITEM, OAS_ITEM]
FORM_NAMES = ["classic", "oas", "classic item", "oas item"]

words = st.text(max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)
documents = st.dictionaries(words, values, max_size=5)
bundle_names = st.from_regex(r"[a-z][a-z0-9-]{0,10}\.zip", fullmatch=True)
forms = st.sampled_from(FORMS)


def shuffled(value):
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(list(value))}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("definition", "kind"),
    [
        (classic(), CLASSIC),
        (oas(), OAS),
        (CLASSIC_ITEM, CLASSIC),
        (OAS_ITEM, OAS),
        (classic(is_oas=True), OAS),
        (wrapped(classic(is_oas=True)), OAS),
        (wrapped(classic(), {}), CLASSIC),
        (wrapped(classic(), {"openapi": "", "paths": None}), CLASSIC),
        (wrapped({}, oas()), OAS),
    ],
)
def test_kinds(definition, kind):
    assert kind_of(definition) == kind


def test_reading_a_classic_item():
    api = from_dashboard_item(CLASSIC_ITEM)
    assert api.to_dict() == {
        "id": "orders-1",
        "db_id": "5e9d9544a1dcd60001d0ed20",
        "name": "orders",
        "kind": "classic",
        "active": True,
        "listen_path": "/orders/",
        "bundle": "header-1.zip",
        "bundle_enabled": True,
        "driver": "goplugin",
        "endpoint_plugins": [],
        "analytics_plugin": "",
        "auth_plugin": False,
        "digest": digest(CLASSIC_ITEM),
    }
    assert from_dashboard_item(classic()) == api


def test_reading_an_oas_item():
    api = from_dashboard_item(OAS_ITEM)
    assert api.to_dict() == {
        "id": "shipments-1",
        "db_id": "5e9d9544a1dcd60001d0ed21",
        "name": "shipments",
        "kind": "oas",
        "active": True,
        "listen_path": "/shipments/",
        "bundle": "header-1.zip",
        "bundle_enabled": True,
        "driver": "goplugin",
        "endpoint_plugins": [],
        "analytics_plugin": "",
        "auth_plugin": False,
        "digest": digest(oas()),
    }
    assert from_dashboard_item(oas()) == api


def test_reading_an_oas_item_without_its_document_says_that_it_is_oas():
    assert from_dashboard_item(wrapped(classic(is_oas=True))).kind == "oas"


@pytest.mark.parametrize("definition", [{}, {"api_definition": {}}, {EXTENSION: None}, {"openapi": "3.0.3"}])
def test_reading_a_bare_definition(definition):
    api = from_dashboard_item(definition)
    assert (api.id, api.bundle, api.bundle_enabled, api.active, api.endpoint_plugins) == ("", "", False, False, ())


def test_an_oas_api_without_a_name_of_its_own_has_its_title():
    assert from_dashboard_item(oas(info={"id": "x"})).name == "Shipments"


@pytest.mark.parametrize("flag", ["custom_plugin_auth_enabled", "use_go_plugin_auth", "enable_coprocess_auth"])
def test_classic_plugin_authentication(flag):
    assert from_dashboard_item(classic(**{flag: True})).auth_plugin
    assert not from_dashboard_item(classic(**{flag: False})).auth_plugin


def test_oas_plugin_authentication():
    assert from_dashboard_item(oas(server={"authentication": {"custom": {"enabled": True}}})).auth_plugin


def test_a_bundle_can_be_switched_off():
    assert not from_dashboard_item(classic(custom_middleware_bundle_disabled=True)).bundle_enabled
    off = {"pluginConfig": {"driver": "goplugin", "bundle": {"enabled": False, "path": "header-1.zip"}}}
    assert not from_dashboard_item(oas(off)).bundle_enabled


def test_classic_plugins_outside_the_bundle():
    per_endpoint = {
        "versions": {
            "Default": {
                "extended_paths": {
                    "go_plugin": [
                        {"path": "/a", "plugin_path": "/opt/b.so", "func_name": "F"},
                        {"path": "/b", "plugin_path": "/opt/a.so", "func_name": "F", "disabled": False},
                        {"path": "/c", "plugin_path": "/opt/off.so", "func_name": "F", "disabled": True},
                    ]
                }
            },
            "v2": {"extended_paths": {"go_plugin": None}},
        }
    }
    api = from_dashboard_item(
        classic(version_data=per_endpoint, analytics_plugin={"enable": True, "plugin_path": "/opt/analytics.so"})
    )
    assert api.endpoint_plugins == ("/opt/a.so", "/opt/analytics.so", "/opt/b.so")
    assert api.analytics_plugin == "/opt/analytics.so"
    assert from_dashboard_item(classic(analytics_plugin={"plugin_path": "/opt/analytics.so"})).endpoint_plugins == ()


@pytest.mark.parametrize(("driver", "paths"), [("goplugin", ("/opt/auth.so", "/opt/x.so")), ("otto", ())])
def test_classic_hooks_by_path_count_when_no_bundle_replaces_them(driver, paths):
    by_path = {
        "driver": driver,
        "pre": [{"name": "A", "path": "/opt/x.so"}],
        "auth_check": {"name": "B", "path": "/opt/auth.so"},
    }
    assert (
        from_dashboard_item(classic(custom_middleware=by_path, custom_middleware_bundle="")).endpoint_plugins == paths
    )
    assert from_dashboard_item(classic(custom_middleware=by_path)).endpoint_plugins == ()
    switched_off = classic(custom_middleware=by_path, custom_middleware_bundle_disabled=True)
    assert from_dashboard_item(switched_off).endpoint_plugins == paths


def test_oas_plugins_outside_the_bundle():
    document = oas()
    document[EXTENSION]["middleware"]["operations"] = {
        "aget": {
            "postPlugins": [
                {"enabled": True, "functionName": "F", "path": "/opt/a.so"},
                {"enabled": False, "functionName": "F", "path": "/opt/off.so"},
            ]
        }
    }
    assert from_dashboard_item(document).endpoint_plugins == ("/opt/a.so",)
    assert from_dashboard_item(document).analytics_plugin == ""


@pytest.mark.parametrize("kind", ["mcpTools", "mcpResources", "mcpPrompts"])
def test_oas_plugins_of_mcp(kind):
    document = oas()
    document[EXTENSION]["middleware"][kind] = {"weather": {"postPlugins": [{"enabled": True, "path": "/opt/a.so"}]}}
    assert from_dashboard_item(document).endpoint_plugins == ("/opt/a.so",)


@pytest.mark.parametrize(
    ("plugins", "path"),
    [
        ([{"enabled": True, "functionName": "F", "path": "/opt/analytics.so"}], "/opt/analytics.so"),
        ([{"enabled": False, "functionName": "F", "path": "/opt/analytics.so"}], ""),
        ([{"enabled": False, "path": "/opt/off.so"}, {"enabled": True, "path": "/opt/second.so"}], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_oas_analytics_plugin(plugins, path):
    api = from_dashboard_item(
        oas({"pluginConfig": oas()[EXTENSION]["middleware"]["global"]["pluginConfig"], "trafficLogs": {"plugins": plugins}})
    )
    assert api.analytics_plugin == path
    assert api.endpoint_plugins == ((path,) if path else ())


@pytest.mark.parametrize(
    "hooks",
    [
        {"prePlugins": [{"enabled": True, "functionName": "F", "path": "/opt/x.so"}]},
        {"responsePlugins": [{"enabled": True, "functionName": "F", "path": "/opt/x.so"}]},
        {"prePlugin": {"plugins": [{"enabled": True, "functionName": "F", "path": "/opt/x.so"}]}},
    ],
)
def test_oas_hooks_by_path_count_when_no_bundle_replaces_them(hooks):
    custom = {"authentication": {"custom": {"enabled": True, "config": {"path": "/opt/auth.so"}}}}
    assert from_dashboard_item(
        oas({"pluginConfig": {"driver": "goplugin"}, **hooks}, server=custom)
    ).endpoint_plugins == (
        "/opt/auth.so",
        "/opt/x.so",
    )


@pytest.mark.parametrize("definition", FORMS, ids=FORM_NAMES)
def test_switching_changes_the_bundle_and_nothing_else(definition):
    before = copy.deepcopy(definition)
    after = with_bundle(definition, "header-2.zip")
    assert definition == before
    assert get_bundle(after) == "header-2.zip"
    assert json.dumps(after).replace("header-2.zip", "header-1.zip") == json.dumps(
        {**before, "api_definition": after["api_definition"]} if "api_definition" in before else before
    ).replace("header-2.zip", "header-1.zip")
    assert set(after) == set(before)


@pytest.mark.parametrize("item", [CLASSIC_ITEM, OAS_ITEM], ids=["classic", "oas"])
def test_of_an_item_every_key_is_kept(item):
    after = with_bundle(item, "header-2.zip")
    switched = "oas" if item is OAS_ITEM else "api_definition"
    assert {key: after[key] for key in after if key != switched} == {key: item[key] for key in item if key != switched}


def test_the_classic_form_of_an_oas_api_is_never_written():
    for definition in (classic(is_oas=True), wrapped(classic(is_oas=True))):
        with pytest.raises(DomainError, match="orders is an OAS API, but its classic form was given") as caught:
            with_bundle(definition, "header-2.zip")
        assert caught.value.finding.code == "oas-migration"


def test_a_bundle_that_is_switched_off_stays_off():
    off = {"pluginConfig": {"driver": "goplugin", "bundle": {"enabled": False, "path": "header-1.zip"}}}
    assert not from_dashboard_item(with_bundle(oas(off), "header-2.zip")).bundle_enabled
    assert not from_dashboard_item(with_bundle(classic(custom_middleware_bundle_disabled=True), "b.zip")).bundle_enabled


def test_an_oas_document_gets_a_bundle_where_it_had_none():
    after = with_bundle(oas({}), "header-2.zip")
    assert after[EXTENSION]["middleware"]["global"]["pluginConfig"] == {
        "driver": "goplugin",
        "bundle": {"enabled": True, "path": "header-2.zip"},
    }
    assert get_bundle(with_bundle({"openapi": "3.0.3"}, "b.zip")) == "b.zip"


@given(forms)
def test_writing_the_bundle_that_is_there_changes_nothing(definition):
    assert with_bundle(definition, get_bundle(definition)) == definition


@pytest.mark.parametrize(
    "definition", [{"api_id": "x"}, classic(custom_middleware_bundle=""), oas({}), {"openapi": "3.0.3"}]
)
def test_writing_no_bundle_where_there_is_none_changes_nothing(definition):
    assert with_bundle(definition, "") == definition


@given(forms, bundle_names)
def test_the_way_back_restores_the_definition(definition, name):
    there = with_bundle(definition, name)
    assert get_bundle(there) == name
    assert with_bundle(there, get_bundle(definition)) == definition


@pytest.mark.parametrize("definition", FORMS, ids=FORM_NAMES)
def test_a_bundle_can_be_taken_out(definition):
    assert get_bundle(with_bundle(definition, "")) == ""


@given(documents)
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(document):
    assert canonical(shuffled(document)) == canonical(document)


@given(forms)
def test_a_definition_has_one_digest_in_all_its_forms(definition):
    assert digest(definition) == digest(document_of(definition)) == digest(shuffled(definition))


@given(documents, words, values)
def test_any_other_value_is_drift(document, key, value):
    if (key,) in VOLATILE[CLASSIC]:
        return
    after = {**document, key: value}
    same = json.dumps(after, sort_keys=True) == json.dumps(document, sort_keys=True)
    assert (digest(after) == digest(document)) == same


def placed(definition, place, value):
    changed = copy.deepcopy(definition)
    holder = changed
    for key in place[:-1]:
        holder = holder.setdefault(key, {})
    holder[place[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("definition", "place"),
    [(classic(graphql={"supergraph": {}}), place) for place in VOLATILE[CLASSIC]]
    + [(oas(), place) for place in VOLATILE[OAS]],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_what_the_server_fills_in_is_no_drift(definition, place):
    assert digest(placed(definition, place, "2026-02-02T00:00:00Z")) == digest(definition)
    assert diff(definition, placed(definition, place, "2026-02-02T00:00:00Z")) == {"before": {}, "after": {}}


@pytest.mark.parametrize(
    ("definition", "place"),
    [
        (classic(), ("custom_middleware_bundle",)),
        (classic(), ("proxy", "target_url")),
        (classic(), ("config_data", "updated_at")),
        (oas(), ("components", "schemas", "Parcel", "properties", "updated_at")),
        (oas(), (EXTENSION, "upstream", "url")),
        (oas(), ("updated_at",)),
        (oas(), ("info", "updated_at")),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_the_users_own_fields_are_drift_even_if_called_alike(definition, place):
    assert digest(placed(definition, place, "other")) != digest(definition)


def test_the_order_of_a_list_is_drift():
    assert digest({"tags": ["a", "b"]}) != digest({"tags": ["b", "a"]})


def test_ownership_is_the_dashboards_business():
    assert digest({**CLASSIC_ITEM, "user_owners": []}) == digest(CLASSIC_ITEM)


def test_volatile_fields_are_stripped_from_every_part_of_an_item():
    stripped = without_volatile({**OAS_ITEM, "updated_at": "now"})
    assert "updated_at" not in stripped
    assert "updated_at" not in stripped["api_definition"]
    assert "updatedAt" not in stripped["oas"][EXTENSION]["info"]
    assert "updatedAt" in OAS_ITEM["oas"][EXTENSION]["info"]


def test_a_diff_shows_only_what_changed():
    assert diff(CLASSIC_ITEM, with_bundle(CLASSIC_ITEM, "header-2.zip")) == {
        "before": {"api_definition": {"custom_middleware_bundle": "header-1.zip"}},
        "after": {"api_definition": {"custom_middleware_bundle": "header-2.zip"}},
    }
    place = {"middleware": {"global": {"pluginConfig": {"bundle": {"path": "header-2.zip"}}}}}
    assert diff(oas(), with_bundle(oas(), "header-2.zip"))["after"] == {EXTENSION: place}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1}, ({}, {})),
        ({"a": 1}, {}, ({"a": 1}, {})),
        ({}, {"a": None}, ({}, {"a": None})),
        ({"a": True}, {"a": 1}, ({"a": True}, {"a": 1})),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ({"a": {"c": 2}}, {"a": {"c": 3}})),
        ({"a": {"b": 1}}, {"a": []}, ({"a": {"b": 1}}, {"a": []})),
        ({"a": [1, 2]}, {"a": [1, 3]}, ({"a": [1, 2]}, {"a": [1, 3]})),
    ],
)
def test_diffs(before, after, expected):
    assert diff(before, after) == {"before": expected[0], "after": expected[1]}


@given(documents, documents)
def test_a_diff_is_empty_just_when_nothing_changed(before, after):
    empty = diff(before, after) == {"before": {}, "after": {}}
    assert empty == (
        json.dumps(without_volatile(before), sort_keys=True) == json.dumps(without_volatile(after), sort_keys=True)
    )
