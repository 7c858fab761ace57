# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in YAML: Compose projects and inventory variables. PyYAML says where a value stands; the text around it is not touched.

A Compose image may be made of variables. What decides it then is their value in an env file or their default in the
template, by Compose's own precedence: the environment, then the last env file, then the default.
"""

from __future__ import annotations

import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.tyk.upgrade.plugins.module_utils._domain.source_files import (
    Assignment,
    Edit,
    Located,
    Place,
    Request,
    Unclear,
    assignments_in,
    by_hand,
    literal_end,
    make_edits,
    names_in,
    resolved,
    respelled_place,
    solution,
    tokens_of,
)

try:
    import yaml

    YAML_IMPORT_ERROR = None
except ImportError as _problem:
    yaml = None  # type: ignore[assignment,unused-ignore]
    YAML_IMPORT_ERROR = _problem


def _tree(path: str, text: str, manual: str) -> Any:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise Unclear(f"{path} is not one document of valid YAML{where}.", manual) from problem


def _child(node: Any, key: str) -> Optional[Any]:
    """The value of a key in a mapping, from its merge keys if it is not there itself; a number counts in a sequence."""
    if isinstance(node, yaml.SequenceNode):
        return node.value[int(key)] if key.isdigit() and int(key) < len(node.value) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    merged: List[Any] = []
    found = None
    for name, value in node.value:
        if name.value == key:
            found = value
        elif name.value == "<<":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
    if found is not None:
        return found
    for one in merged:
        inherited = _child(one, key)
        if inherited is not None:
            return inherited
    return None


def _place(path: str, name: str, text: str, node: Any, manual: str) -> Place:
    """The characters of a scalar without its quotes."""
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in ("'", '"'):
        start, end = start + 1, end - 1
    raw = text[start:end]
    if node.style in ("|", ">") or raw != node.value:
        raise Unclear(f"{name} in {path} is written in a way that is not edited here.", manual)
    return Place(path, name, start, end, raw)


# --- inventory variables -------------------------------------------------------------------------------------------------


def locate_variable(request: Request, texts: Mapping[str, str]) -> Located:
    """A variable by its path of keys (a.b.0.c)."""
    text = texts[request.path]
    manual = by_hand(request.path, request.key, f"what means {request.version}")
    node = _tree(request.path, text, manual)
    for key in re.split(r"[.\[\]]+", request.key.rstrip("]")):
        node = _child(node, key)
        if node is None:
            raise Unclear(f"{request.path} has no {request.key}.", manual)
    if not isinstance(node, yaml.ScalarNode):
        raise Unclear(f"{request.key} in {request.path} is not a single value.", manual)
    if "{{" in node.value or node.tag.startswith("!"):
        raise Unclear(f"{request.key} in {request.path} is made of something else.", manual)
    return respelled_place(_place(request.path, request.key, text, node, manual), request.version)


# --- Compose projects ----------------------------------------------------------------------------------------------------


class _Project:
    """The files of a Compose project, and where the image of one service comes from."""

    def __init__(self, request: Request, texts: Mapping[str, str]) -> None:
        self.request = request
        self.texts = texts
        self.name = f"services.{request.service}.image"
        self.manual = by_hand(request.files[-1] if request.files else request.path, self.name, request.image)
        self.trees = {path: _tree(path, texts[path], self.manual) for path in request.files}
        self.assignments: Dict[str, Tuple[str, Assignment]] = {}
        for path in request.env_files:
            for one in assignments_in(texts[path]):
                self.assignments[one.name] = (path, one)
        self.values = {name: one.raw for name, (dummy, one) in self.assignments.items() if one.literal}
        self.values.update(request.environment)

    def services(self) -> Iterator[Tuple[str, str, Any]]:
        """File, name and node of every service."""
        for path, tree in self.trees.items():
            services = _child(tree, "services")
            if isinstance(services, yaml.MappingNode):
                for name, node in services.value:
                    yield path, str(name.value), node

    def image(self) -> Tuple[str, Any]:
        """The file and node that decide the image: the last file that names one wins."""
        found: Optional[Tuple[str, Any]] = None
        known = False
        for path, name, node in self.services():
            if name != self.request.service:
                continue
            known = True
            if _child(node, "build") is not None:
                raise Unclear(f"The service {name} in {path} is built from source (build).", self.manual)
            image = _child(node, "image")
            if image is not None:
                found = (path, image)
        if found is None or not isinstance(found[1], yaml.ScalarNode):
            what = "no image there" if known else "not there"
            raise Unclear(
                f"The service {self.request.service} has {what}"
                if known
                else f"The service {self.request.service} is not in {', '.join(self.request.files)}"
                ", or comes from an include or extends that is not followed here.",
                self.manual,
            )
        return found

    def sharing(self, node: Any, names: Sequence[str]) -> Tuple[str, ...]:
        """Other services that read the same scalar or any of the variables."""
        found = []
        for _path, name, service in self.services():
            image = _child(service, "image")
            if name == self.request.service or image is None or not isinstance(image, yaml.ScalarNode):
                continue
            try:
                used = names_in(tokens_of(image.value.replace("$$", "")))
            except ValueError:
                used = []
            if image is node or set(used) & set(names):
                found.append(name)
        return tuple(dict.fromkeys(found))


def locate_compose(request: Request, texts: Mapping[str, str]) -> Located:
    """The image of a service, or the variable that it is made of."""
    project = _Project(request, texts)
    path, node = project.image()
    if not names_or_empty(node.value):
        scalar = _place(path, project.name, texts[path], node, project.manual)
        scalar = _shared(scalar, project.sharing(node, []))
        return make_edits([scalar], request.image)
    return _from_template(project, path, node)


def names_or_empty(template: str) -> List[str]:
    """The variables of a template; a template that is not understood has one without a name."""
    try:
        return names_in(tokens_of(template))
    except ValueError:
        return [""]


def _shared(place: Place, names: Sequence[str]) -> Place:
    return Place(place.path, place.name, place.start, place.end, place.raw, tuple(names))


def _from_template(project: _Project, path: str, node: Any) -> Located:
    request, manual = project.request, project.manual
    scalar = _place(path, project.name, project.texts[path], node, manual)
    try:
        tokens = tokens_of(scalar.raw)
    except ValueError:
        raise Unclear(
            f"{project.name} in {path} is '{scalar.raw}', which is more than plain variables.", manual
        ) from None
    names = names_in(tokens)
    for name in names:
        if name in project.assignments and name not in request.environment and not project.assignments[name][1].literal:
            raise Unclear(
                f"{project.assignments[name][0]} makes {name}, which {project.name} uses, of something else.", manual
            )
    places = [_shared(scalar, project.sharing(node, []))]
    for name in names:
        if name in project.assignments:
            places.append(_assignment_place(project, node, name))
    try:
        if resolved(tokens, project.values) == request.image:
            return Located(tuple(places), ())
    except KeyError:
        pass
    name, value = solution(tokens, project.values, request.image)
    if name:
        return Located(tuple(places), _variable_edit(project, path, node, tokens, name, value))
    start, value = literal_end(tokens, project.values, request.image)
    if start >= 0:
        part = Place(path, project.name, scalar.start + start, scalar.end, scalar.raw[start:], places[0].shared_with)
        return Located(tuple(places), (Edit(part, value),))
    raise Unclear(f"{project.name} in {path} is '{scalar.raw}', whose parts do not fit {request.image}.", manual)


def _assignment_place(project: _Project, node: Any, name: str) -> Place:
    path, one = project.assignments[name]
    return Place(path, name, one.start, one.end, one.raw, project.sharing(node, [name]))


def _variable_edit(
    project: _Project, path: str, node: Any, tokens: Sequence[Any], name: str, value: str
) -> Tuple[Edit, ...]:
    if name in project.request.environment:
        raise Unclear(
            f"{project.name} in {path} takes {name} from the environment of the one who runs docker compose, which wins "
            f"over every file.",
            f"By hand: set {name}={value} there, or remove it there.",
        )
    if name in project.assignments:
        target = _assignment_place(project, node, name)
        return make_edits([target], value).edits
    token = next(token for token in tokens if token.name == name)
    if token.default:
        start = node.start_mark.index + (1 if node.style in ("'", '"') else 0) + token.default_start
        place = Place(
            path,
            f"the default of {name} in {project.name}",
            start,
            start + len(token.default),
            token.default,
            project.sharing(node, []),
        )
        return make_edits([place], value).edits
    wanted = project.request.env_files[-1] if project.request.env_files else ".env"
    raise Unclear(
        f"{project.name} in {path} takes {name} from somewhere that is not known here.", by_hand(wanted, name, value)
    )
