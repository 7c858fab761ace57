#!/usr/bin/python
# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let the user's own file say which version runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: source_file
short_description: Let your own file say which version of a Tyk component runs
version_added: 0.1.0
author:
  - tyk.upgrade contributors (@tyk-upgrade)
description:
  - Edits the one place of a Compose project, env file, shell script, inventory or package pin that says which version of a
    component runs, so that the next run of your own tooling does not take the component back.
  - Only the version or the image is replaced; comments, order and quotes stay. A place that is not understood is not
    edited; the exact edit is said instead.
  - What is shown, in the difference as well, is the edited value and nothing else of the file, which may hold secrets.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
extends_documentation_fragment:
  - tyk.upgrade.attributes
options:
  kind:
    description:
      - What the file is.
      - V(compose) is a project of Docker Compose. If the image of O(service) is made of variables, the variable is edited
        where it is set, in an env file or as a default.
      - V(env) is a file of C(NAME=value) lines; O(key) is the name.
      - V(docker_run) is a shell script with C(docker run), C(docker create) or C(docker pull), or with Podman's.
      - V(variables) is YAML, such as an inventory or C(group_vars); O(key) is the path of keys.
      - V(apt_preferences) is a file of apt preferences with a version pin of O(package).
      - V(dnf_versionlock) is the list of the version lock plugin of dnf or yum, or the TOML file of dnf5.
    type: str
    choices: [compose, env, docker_run, variables, apt_preferences, dnf_versionlock]
    required: true
  path:
    description:
      - The file. A link is followed, and the file that it names is edited.
      - If O(kind=compose), the project's only file or its folder; O(project_dir) may be given instead.
    type: path
  state:
    description:
      - V(present) lets the file say O(version) or O(image).
      - V(returned) makes the lines that decide the value as they were before this module edited them.
    type: str
    choices: [present, returned]
    default: present
  version:
    description:
      - The version, for example V(5.8.9). How the place spells it, with or without a C(v) and as an image's tag, is kept.
      - Required unless O(kind) is V(compose) or V(docker_run).
    type: str
  image:
    description:
      - The full reference of the image.
      - Required if O(kind) is V(compose) or V(docker_run).
    type: str
  key:
    description:
      - Name of the variable if O(kind=env), path such as C(tyk.versions.gateway) or C(hosts.0.version) if O(kind=variables).
    type: str
  package:
    description:
      - Name of the package if O(kind) is V(apt_preferences) or V(dnf_versionlock).
    type: str
  container:
    description:
      - Name of the container if O(kind=docker_run) and the script starts several of the same image.
    type: str
  service:
    description:
      - The service if O(kind=compose).
    type: str
  project_dir:
    description:
      - Folder of the Compose project.
    type: path
  files:
    description:
      - Files of the Compose project in order, relative to its folder. If empty, those that Compose finds by itself.
    type: list
    elements: str
    default: []
  env_files:
    description:
      - Env files of the Compose project in order, relative to its folder. If empty, C(.env) if there is one.
    type: list
    elements: str
    default: []
  unclear:
    description:
      - What to do with a file that is missing or not understood.
      - V(refuse) fails, V(report) goes on; both say the edit to make by hand.
    type: str
    choices: [refuse, report]
    default: refuse
  backup_dir:
    description:
      - Folder in which the file is saved before it is edited, readable by its owner only.
    type: path
  state_dir:
    description:
      - Folder in which edited lines are remembered for O(state=returned). If not set, C(/var/lib/tyk-upgrade/source) for
        root and C(~/.tyk-upgrade/source) for others.
    type: path
requirements:
  - "PyYAML if O(kind) is V(compose) or V(variables)"
seealso:
  - module: tyk.upgrade.container_upgrade
"""

EXAMPLES = r"""
- name: Let the Compose project name the new image
  tyk.upgrade.source_file:
    kind: compose
    project_dir: /srv/tyk
    service: gateway
    image: docker.io/tykio/tyk-gateway:v5.8.9
    backup_dir: /var/backups/tyk

- name: Let group_vars say the new version
  tyk.upgrade.source_file:
    kind: variables
    path: "{{ inventory_dir }}/group_vars/tyk_gateways.yml"
    key: tyk_target_version
    version: 5.8.9
  delegate_to: localhost

- name: Move the pin, or say what to do
  tyk.upgrade.source_file:
    kind: apt_preferences
    path: /etc/apt/preferences.d/tyk
    package: tyk-gateway
    version: 5.8.9
    unclear: report
"""

RETURN = r"""
edits:
  description: What was edited, or in check mode would be.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
    line:
      description: The line, counted from 1.
      type: int
    name:
      description: What is said there.
      type: str
    before:
      description: The value as it was.
      type: str
    after:
      description: The value as it is.
      type: str
    shared_with:
      description: Other services of the Compose project that read the same place.
      type: list
      elements: str
manual:
  description: The edit to make by hand, empty if there is none.
  returned: always
  type: str
backups:
  description: Where the files were saved.
  returned: success
  type: list
  elements: str
findings:
  description: What is wrong.
  returned: always
  type: list
  elements: dict
"""

import os
import traceback
from typing import Any, Callable, Dict, List, Mapping

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ansible_collections.tyk.upgrade.plugins.module_utils._clients.errors import ClientError
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.host_lock import host_lock
from ansible_collections.tyk.upgrade.plugins.module_utils._clients.source_store import (
    Remembered,
    SourceStore,
    changed_part,
    compose_files,
    read_text,
    real,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.findings import (
    DomainError,
    Finding,
    error,
    to_dicts,
    warning,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.source_files import (
    Edit,
    Located,
    Request,
    Unclear,
    line_of,
    locate_apt_pin,
    locate_docker_run,
    locate_env,
    locate_versionlock,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._domain.yaml_places import (
    YAML_IMPORT_ERROR,
    locate_compose,
    locate_variable,
)
from ansible_collections.tyk.upgrade.plugins.module_utils._module import Module

LOCATORS: Dict[str, Callable[[Request, Mapping[str, str]], Located]] = {
    "compose": locate_compose,
    "env": locate_env,
    "docker_run": locate_docker_run,
    "variables": locate_variable,
    "apt_preferences": locate_apt_pin,
    "dnf_versionlock": locate_versionlock,
}


def request_from(params: Mapping[str, Any]) -> Request:
    """What is asked for, with links followed and Compose's own files found."""
    path, kind = params["path"] or "", params["kind"]
    words = {name: params[name] or "" for name in ("version", "image", "key", "package", "container", "service")}
    if kind != "compose":
        return Request(kind, real(path), **words)
    files, folder = list(params["files"]), params["project_dir"] or path
    if path and not os.path.isdir(path) and not params["project_dir"]:
        folder, files = os.path.dirname(path), [os.path.basename(path)]
    environment = dict(os.environ)
    found, env_files = compose_files(folder, files, params["env_files"], environment)
    paths, env_paths = tuple(real(one) for one in found), tuple(real(one) for one in env_files)
    return Request(kind, paths[0], files=paths, env_files=env_paths, environment=environment, **words)


def described(text: str, edit: Edit) -> Dict[str, Any]:
    place = edit.place
    return {
        "path": place.path,
        "line": line_of(text, place),
        "name": place.name,
        "before": place.raw,
        "after": edit.after,
        "shared_with": list(place.shared_with),
    }


def described_return(path: str, one: Remembered) -> Dict[str, Any]:
    before, after = changed_part(one)
    return {"path": path, "line": one.line, "name": one.name, "before": before, "after": after, "shared_with": []}


def difference(edits: List[Dict[str, Any]]) -> List[Dict[str, str]]:
    return [
        {
            "before_header": f"{edit['path']}:{edit['line']}",
            "after_header": f"{edit['path']}:{edit['line']}",
            "before": f"{edit['name']}: {edit['before']}\n",
            "after": f"{edit['name']}: {edit['after']}\n",
        }
        for edit in edits
    ]


def work(module: AnsibleModule) -> Dict[str, Any]:
    params = module.params
    request = request_from(params)
    store = SourceStore(params["state_dir"] or "", params["backup_dir"] or "", module.atomic_move)
    edits: List[Dict[str, Any]] = []
    backups: List[str] = []
    with host_lock(f"the source file {request.path}"):
        texts = {path: read_text(path) for path in {request.path, *request.files, *request.env_files}}
        located = LOCATORS[request.kind](request, texts)
        paths = sorted({place.path for place in located.places} | {edit.place.path for edit in located.edits})
        for path in paths:
            if params["state"] == "present":
                here = [edit for edit in located.edits if edit.place.path == path]
                edits += [described(texts[path], edit) for edit in here]
                if here and not module.check_mode:
                    backups.append(store.write(path, texts[path], here))
            else:
                places = [place for place in located.places if place.path == path]
                returns = store.returns(path, texts[path], places)
                edits += [described_return(path, one) for one in returns]
                if returns and not module.check_mode:
                    backups.append(store.put_back(path, texts[path], returns))
    return {
        "changed": bool(edits),
        "edits": edits,
        "manual": "",
        "backups": [one for one in backups if one],
        "diff": difference(edits),
        "findings": to_dicts(sharing(edits)),
    }


def sharing(edits: List[Dict[str, Any]]) -> List[Finding]:
    """A place that several services read says the new version for all of them at once."""
    return [
        warning(
            "source-of-truth",
            edit["path"],
            f"{edit['name']} in {edit['path']} is read by {', '.join(edit['shared_with'])} as well: until these are "
            f"upgraded, docker compose up without a service's name would upgrade them all at once.",
            "Nothing to do while the upgrade goes on; finish it before you run docker compose by hand.",
        )
        for edit in edits
        if edit["shared_with"]
    ]


def unclear(module: AnsibleModule, reason: str, manual: str) -> None:
    subject = str(module.params["path"] or module.params["project_dir"])
    if module.params["unclear"] == "refuse":
        finding = error("source-of-truth", subject, reason, manual)
        module.fail_json(msg=finding.sentence(), manual=manual, findings=to_dicts([finding]))
    finding = warning("source-of-truth", subject, reason, manual)
    module.exit_json(changed=False, edits=[], manual=manual, backups=[], diff=[], findings=to_dicts([finding]))


def wanted(params: Mapping[str, Any]) -> str:
    """The edit as it can be said without having read the file."""
    what = {
        "compose": f"the image of the service {params['service']}",
        "docker_run": "the image of docker run",
        "apt_preferences": f"the pin of {params['package']}",
        "dnf_versionlock": f"the lock of {params['package']}",
    }.get(params["kind"], str(params["key"]))
    value = params["image"] if params["kind"] in ("compose", "docker_run") else params["version"]
    return f"By hand: in {params['path'] or params['project_dir']} set {what} to {value}."


def main() -> None:
    module = Module(
        argument_spec={
            "kind": {"type": "str", "required": True, "choices": list(LOCATORS)},
            "path": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "returned"], "default": "present"},
            "version": {"type": "str"},
            "image": {"type": "str"},
            "key": {"type": "str", "no_log": False},
            "package": {"type": "str"},
            "container": {"type": "str"},
            "service": {"type": "str"},
            "project_dir": {"type": "path"},
            "files": {"type": "list", "elements": "str", "default": []},
            "env_files": {"type": "list", "elements": "str", "default": []},
            "unclear": {"type": "str", "choices": ["refuse", "report"], "default": "refuse"},
            "backup_dir": {"type": "path"},
            "state_dir": {"type": "path"},
        },
        required_one_of=[("path", "project_dir")],
        required_if=[
            ("kind", "compose", ["service", "image"]),
            ("kind", "env", ["path", "key", "version"]),
            ("kind", "docker_run", ["path", "image"]),
            ("kind", "variables", ["path", "key", "version"]),
            ("kind", "apt_preferences", ["path", "package", "version"]),
            ("kind", "dnf_versionlock", ["path", "package", "version"]),
        ],
        supports_check_mode=True,
    )
    if YAML_IMPORT_ERROR is not None and module.params["kind"] in ("compose", "variables"):
        module.fail_json(
            msg=missing_required_lib("PyYAML"),
            exception="".join(traceback.format_exception_only(type(YAML_IMPORT_ERROR), YAML_IMPORT_ERROR)),
            findings=[],
        )
    try:
        result = work(module)
    except Unclear as problem:
        unclear(module, problem.reason, problem.manual)
    except ClientError as problem:
        unclear(module, problem.sentence, f"{problem.finding.remedy} {wanted(module.params)}")
    except DomainError as problem:
        module.fail_json(msg=problem.finding.sentence(), manual="", findings=to_dicts([problem.finding]))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
