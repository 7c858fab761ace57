# Copyright (c) 2026 tyk.upgrade contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places in a user's own files that say which version runs, and what each must say. Texts in, edits out.

Only what is understood is edited; everything else is `Unclear` and carries the edit that a person has to make. An edit
replaces the fewest characters within one line, so comments, order and quotes stay as they are.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

#: What may be written without a thought about quoting, in YAML, shell, env files and package pins alike.
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+~*^-]*")
VERSION_WORD = re.compile(r"(v?)(\d+\.\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Request:
    """Which place of which file shall say what."""

    kind: str
    path: str
    version: str = ""
    image: str = ""
    key: str = ""
    package: str = ""
    container: str = ""
    service: str = ""
    #: Compose only: the files of the project in the order that Compose reads them, and its env files likewise.
    files: Tuple[str, ...] = ()
    env_files: Tuple[str, ...] = ()
    #: Variables that win over every env file, for they are in the environment already.
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Characters `start` to `end` of a file; `name` says to a person what they are."""

    path: str
    name: str
    start: int
    end: int
    raw: str
    #: Compose services that read the same place.
    shared_with: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Edit:
    """What a place shall say."""

    place: Place
    after: str


@dataclass(frozen=True)
class Located:
    """Every place that decides the value, and the edits that make it the wanted one."""

    places: Tuple[Place, ...]
    edits: Tuple[Edit, ...]


class Unclear(Exception):
    """The file is not understood well enough to be edited; `manual` is what a person has to do."""

    def __init__(self, reason: str, manual: str) -> None:
        super().__init__(f"{reason} {manual}".strip())
        self.reason = reason
        self.manual = manual


def edited(text: str, edits: Sequence[Edit]) -> str:
    """The text with all edits made; they do not overlap."""
    for edit in sorted(edits, key=lambda one: one.place.start, reverse=True):
        text = text[: edit.place.start] + edit.after + text[edit.place.end :]
    return text


def line_of(text: str, place: Place) -> int:
    """The line of a place, counted from 1."""
    return text.count("\n", 0, place.start) + 1


def make_edits(places: Sequence[Place], after: str) -> Located:
    """Edits for those of the places that do not say `after` yet."""
    if not PLAIN.fullmatch(after):
        raise Unclear(f"'{after}' cannot be written without quoting.", by_hand(places[0].path, places[0].name, after))
    return Located(tuple(places), tuple(Edit(place, after) for place in places if place.raw != after))


def by_hand(path: str, name: str, value: str) -> str:
    """The exact edit, for a person."""
    return f"By hand: in {path} set {name} to {value}."


# --- versions and images -----------------------------------------------------------------------------------------------


def split_image(reference: str) -> Tuple[str, str]:
    """An image reference as repository and tag; a digest belongs to neither."""
    bare = reference.partition("@")[0]
    head, dummy, tail = bare.rpartition(":")
    return (head, tail) if head and "/" not in tail else (bare, "")


def same_repository(one: str, other: str) -> bool:
    """Whether two spellings mean one repository; Docker Hub may be named or left out."""

    def full(name: str) -> str:
        first = name.partition("/")[0]
        if "/" not in name:
            return f"docker.io/library/{name}"
        return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"

    return full(one) == full(other)


def respelled(value: str, version: str) -> str:
    """A version, a tag or an image reference with the version in it replaced, spelled as before; empty if it holds none."""
    match = VERSION_WORD.fullmatch(value)
    if match:
        return match.group(1) + version
    repository, tag = split_image(value)
    match = VERSION_WORD.fullmatch(tag)
    return f"{repository}:{match.group(1)}{version}" if match and "@" not in value else ""


def respelled_place(place: Place, version: str) -> Located:
    """The edit that puts another version into a place that holds a version or an image."""
    after = respelled(place.raw, version)
    if not after:
        raise Unclear(
            f"{place.name} in {place.path} says '{place.raw}', which is neither a version nor an image with one.",
            by_hand(place.path, place.name, f"what means {version}"),
        )
    return make_edits([place], after)


# --- templates: image references with variables in them ------------------------------------------------------------------

TOKEN = re.compile(r"(?P<literal>[^$]+)|\$\{(?P<name>\w+)(?:(?P<op>:?[-?])(?P<default>[^{}$]*))?\}|\$(?P<bare>\w+)")


@dataclass(frozen=True)
class Token:
    """A stretch of literal text, or a variable with what counts when it is not set. `start` is its offset."""

    start: int
    literal: str = ""
    name: str = ""
    operator: str = ""
    default: str = ""
    default_start: int = 0

    def value(self, values: Mapping[str, str]) -> str:
        """What it stands for. Raises KeyError for a variable that nothing sets."""
        if not self.name:
            return self.literal
        found = values.get(self.name)
        if found is not None and (found or not self.operator.startswith(":")):
            return found
        if self.operator in (":-", "-"):
            return self.default
        raise KeyError(self.name)


def tokens_of(template: str) -> List[Token]:
    """The template taken apart. Raises ValueError for anything but plain variables and their defaults."""
    found: List[Token] = []
    position = 0
    while position < len(template):
        match = TOKEN.match(template, position)
        if match is None:
            raise ValueError(template)
        found.append(
            Token(
                position,
                match.group("literal") or "",
                match.group("name") or match.group("bare") or "",
                match.group("op") or "",
                match.group("default") or "",
                match.start("default"),
            )
        )
        position = match.end()
    return found


def names_in(tokens: Sequence[Token]) -> List[str]:
    """The variables of a template, each once, in order."""
    return list(dict.fromkeys(token.name for token in tokens if token.name))


def resolved(tokens: Sequence[Token], values: Mapping[str, str]) -> str:
    """What the template stands for. Raises KeyError for a variable that nothing sets."""
    return "".join(token.value(values) for token in tokens)


def solution(tokens: Sequence[Token], values: Mapping[str, str], wanted: str) -> Tuple[str, str]:
    """The one variable, and the value for it, that makes the template stand for `wanted`; ("", "") if there is none.

    The last variable is tried first: an image reference ends with its tag.
    """
    for name in reversed(names_in(tokens)):
        pattern, seen = "", False
        try:
            for token in tokens:
                if token.name != name:
                    pattern += re.escape(token.value(values))
                else:
                    pattern += "(?P=wanted)" if seen else "(?P<wanted>.+)"
                    seen = True
        except KeyError:
            continue
        match = re.fullmatch(pattern, wanted)
        if match:
            return name, match.group("wanted")
    return "", ""


def literal_end(tokens: Sequence[Token], values: Mapping[str, str], wanted: str) -> Tuple[int, str]:
    """Where the literal end of the template starts and what it must be; (-1, "") if that cannot do."""
    if not tokens or tokens[-1].name:
        return -1, ""
    try:
        before = resolved(tokens[:-1], values)
    except KeyError:
        return -1, ""
    if not wanted.startswith(before) or wanted == before:
        return -1, ""
    return tokens[-1].start, wanted[len(before) :]


# --- env files ----------------------------------------------------------------------------------------------------------

ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")


@dataclass(frozen=True)
class Assignment:
    """One line of an env file; `start` to `end` is the value without its quotes."""

    name: str
    start: int
    end: int
    raw: str
    quote: str

    @property
    def literal(self) -> bool:
        """Whether the value stands for itself."""
        return "\n" not in self.raw and "\\" not in self.raw and (self.quote == "'" or "$" not in self.raw)


def assignments_in(text: str) -> List[Assignment]:
    """What an env file sets, in order. Values in quotes may have several lines."""
    found: List[Assignment] = []
    position = 0
    while position < len(text):
        match = ASSIGNMENT.match(text, position)
        if match is None:
            position = _next_line(text, position)
            continue
        start = match.end()
        quote = text[start : start + 1]
        if quote and quote in "'\"":
            start += 1
            end = _closing(text, start, quote)
            position = _next_line(text, end)
        else:
            quote = ""
            position = _next_line(text, start)
            line = text[start:position]
            comment = re.search(r"(^|[ \t])#", line)
            end = start + len((line[: comment.start()] if comment else line).rstrip())
        found.append(Assignment(match.group("name"), start, end, text[start:end], quote))
    return found


def _next_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1


def _closing(text: str, start: int, quote: str) -> int:
    position = start
    while position < len(text) and text[position] != quote:
        position += 2 if quote == '"' and text[position] == "\\" else 1
    return min(position, len(text))


def locate_env(request: Request, texts: Mapping[str, str]) -> Located:
    """The last assignment of a variable; it is the one that counts."""
    found = [one for one in assignments_in(texts[request.path]) if one.name == request.key]
    if not found:
        raise Unclear(
            f"{request.path} does not set {request.key}.",
            by_hand(request.path, request.key, f"what means {request.version}"),
        )
    last = found[-1]
    if not last.literal:
        raise Unclear(
            f"{request.path} makes {request.key} of something else.",
            by_hand(request.path, request.key, f"what means {request.version}"),
        )
    return respelled_place(Place(request.path, request.key, last.start, last.end, last.raw), request.version)


# --- shell scripts with docker run -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A word of a shell command; `raw` keeps its quotes."""

    start: int
    raw: str

    @property
    def text(self) -> str:
        """Without quotes."""
        return re.sub(r"['\"]", "", self.raw)


def commands_in(text: str) -> List[List[Word]]:
    """The commands of a shell script as words. Raises ValueError where a quote does not end."""
    commands: List[List[Word]] = [[]]
    position = 0
    while position < len(text):
        character = text[position]
        if text.startswith("\\\n", position):
            position += 2
        elif character in " \t\r":
            position += 1
        elif character == "#":
            position = _next_line(text, position) - 1 if "\n" in text[position:] else len(text)
        elif character in "\n;&|()":
            if commands[-1]:
                commands.append([])
            position += 1
        else:
            end = _word_end(text, position)
            commands[-1].append(Word(position, text[position:end]))
            position = end
    return [command for command in commands if command]


def _word_end(text: str, position: int) -> int:
    while position < len(text) and text[position] not in " \t\r\n;&|()":
        character = text[position]
        if character in "'\"":
            end = _closing(text, position + 1, character)
            if end >= len(text):
                raise ValueError("a quote does not end")
            position = end + 1
        elif character == "\\":
            if text.startswith("\\\n", position):
                return position
            position += 2
        elif text.startswith("${", position):
            end = text.find("}", position)
            position = len(text) if end < 0 else end + 1
        elif text.startswith("$(", position):
            end = text.find(")", position)
            position = len(text) if end < 0 else end + 1
        else:
            position += 1
    return position


def _engine_verb(command: Sequence[Word]) -> Tuple[str, int]:
    """run, create or pull, and the index of the word after it; empty for any other command."""
    texts = [word.text for word in command]
    for index, text in enumerate(texts[:-1]):
        if text.rpartition("/")[2] not in ("docker", "podman", "nerdctl"):
            continue
        verb = index + 2 if texts[index + 1] in ("container", "image") else index + 1
        if verb < len(texts) and texts[verb] in ("run", "create", "pull"):
            return texts[verb], verb + 1
    return "", 0


def _container_name(command: Sequence[Word]) -> str:
    texts = [word.text for word in command]
    for index, text in enumerate(texts):
        if text.startswith("--name="):
            return text.partition("=")[2]
        if text == "--name" and index + 1 < len(texts):
            return texts[index + 1]
    return ""


def _shell_variables(commands: Sequence[Sequence[Word]]) -> Dict[str, List[Place]]:
    """What the script sets, by name; the places are those of the bare values."""
    found: Dict[str, List[Place]] = {}
    for command in commands:
        for word in command:
            match = re.match(r"([A-Za-z_]\w*)=(['\"]?)(.*?)(['\"]?)$", word.raw, re.DOTALL)
            if match is None:
                if word.text in ("export", "readonly", "local", "declare", "typeset"):
                    continue
                break
            if match.group(2) == match.group(4):
                start = word.start + match.start(3)
                found.setdefault(match.group(1), []).append(
                    Place("", match.group(1), start, start + len(match.group(3)), match.group(3))
                )
    return found


@dataclass(frozen=True)
class _ImageWord:
    verb: str
    container: str
    place: Place
    tokens: Tuple[Token, ...]


def locate_docker_run(request: Request, texts: Mapping[str, str]) -> Located:
    """The image words of `docker run`, `create` and `pull` with the wanted repository, for one container or for all."""
    text = texts[request.path]
    manual = by_hand(request.path, "the image of docker run", request.image)
    try:
        commands = commands_in(text)
    except ValueError as problem:
        raise Unclear(f"The script {request.path} is not understood: {problem}.", manual) from problem
    variables = _shell_variables(commands)
    values = {
        name: places[0].raw for name, places in variables.items() if len(places) == 1 and "$" not in places[0].raw
    }
    found = _chosen(list(_image_words(request, commands, values)), request)
    if not found:
        whose = f" for the container {request.container}" if request.container else ""
        raise Unclear(
            f"The script {request.path} has no docker run{whose} with an image of {split_image(request.image)[0]}.",
            manual,
        )
    places: Dict[int, Place] = {}
    edits: Dict[int, Edit] = {}
    for one in found:
        located = _locate_template(one, request, variables, values, manual)
        places.update((place.start, place) for place in located.places)
        edits.update((edit.place.start, edit) for edit in located.edits)
    return Located(tuple(places.values()), tuple(edits.values()))


def _image_words(
    request: Request, commands: Sequence[Sequence[Word]], values: Mapping[str, str]
) -> Iterator[_ImageWord]:
    wanted = split_image(request.image)[0]
    for command in commands:
        verb, first = _engine_verb(command)
        if not verb:
            continue
        name = _container_name(command)
        for word in command[first:]:
            if word.text.startswith("-"):
                continue
            quote = word.raw[0] if word.raw[0] in "'\"" and word.raw[-1] == word.raw[0] and len(word.raw) > 1 else ""
            inner = word.raw[1:-1] if quote else word.raw
            try:
                tokens = tokens_of(inner)
                repository = split_image(resolved(tokens, values))[0]
            except (ValueError, KeyError):
                continue
            if same_repository(repository, wanted):
                start = word.start + len(quote)
                place = Place(
                    request.path, f"the image of docker {verb} {name}".strip(), start, start + len(inner), inner
                )
                yield _ImageWord(verb, name, place, tuple(tokens))


def _chosen(found: List[_ImageWord], request: Request) -> List[_ImageWord]:
    """Those of the wanted container; a pull goes with them when no other container's image would move."""
    if not request.container:
        return found
    runs = [one for one in found if one.verb != "pull"]
    mine = [one for one in runs if one.container == request.container]
    if len(mine) == len(runs):
        return found if mine else []
    return mine


def _locate_template(
    one: _ImageWord,
    request: Request,
    variables: Mapping[str, Sequence[Place]],
    values: Mapping[str, str],
    manual: str,
) -> Located:
    used = [
        Place(request.path, name, place.start, place.end, place.raw)
        for name in names_in(one.tokens)
        for place in variables.get(name, ())
    ]
    places = (one.place, *used)
    if resolved(one.tokens, values) == request.image:
        return Located(places, ())
    if not names_in(one.tokens):
        return make_edits([one.place], request.image)
    name, value = solution(one.tokens, values, request.image)
    if name in values:
        target = next(place for place in used if place.name == name)
        return Located(places, make_edits([target], value).edits)
    if name:
        token = next(token for token in one.tokens if token.name == name)
        if token.default:
            start = one.place.start + token.default_start
            target = Place(request.path, f"the default of {name}", start, start + len(token.default), token.default)
            return Located(places, make_edits([target], value).edits)
    start, value = literal_end(one.tokens, values, request.image)
    if start >= 0:
        begin = one.place.start + start
        raw = one.place.raw[start:]
        return Located(places, (Edit(Place(request.path, one.place.name, begin, begin + len(raw), raw), value),))
    raise Unclear(
        f"{one.place.name} in {request.path} is '{one.place.raw}', whose parts do not fit {request.image}.", manual
    )


# --- pins of package managers ------------------------------------------------------------------------------------------------


def locate_apt_pin(request: Request, texts: Mapping[str, str]) -> Located:
    """The version pin of a package in apt's preferences; a pin that the version fits already stays as it is."""
    text = texts[request.path]
    manual = by_hand(request.path, f"the pin of {request.package}", f"version {request.version}")
    for stanza in re.finditer(r"(?:^[^\n]*\S[^\n]*(?:\n|\Z))+", text, re.MULTILINE):
        packages = re.search(r"^Package:[ \t]*(.*)$", stanza.group(), re.MULTILINE | re.IGNORECASE)
        names = packages.group(1).split() if packages else []
        if request.package not in names:
            if any(fnmatch.fnmatchcase(request.package, name) for name in names if name != "*"):
                raise Unclear(f"{request.path} pins {' '.join(names)}, which is more than {request.package}.", manual)
            continue
        pin = re.search(r"^Pin:[ \t]*version[ \t]+(\S+)[ \t]*$", stanza.group(), re.MULTILINE | re.IGNORECASE)
        if pin is None:
            return Located((), ())
        start = stanza.start() + pin.start(1)
        place = Place(request.path, f"the pin of {request.package}", start, start + len(pin.group(1)), pin.group(1))
        if fnmatch.fnmatchcase(request.version, place.raw):
            return Located((place,), ())
        if len(names) > 1:
            raise Unclear(f"{request.path} pins {' '.join(names)} together.", manual)
        return make_edits([place], _pin_value(place.raw, request, manual))
    raise Unclear(f"{request.path} has no pin of {request.package}.", manual)


def _pin_value(raw: str, request: Request, manual: str) -> str:
    match = re.fullmatch(r"(\d+:)?\d+(?:\.\d+)*(.*)", raw)
    if match is None:
        raise Unclear(f"{request.path} pins {request.package} to '{raw}', which holds no version.", manual)
    epoch, rest = match.group(1) or "", match.group(2)
    if rest.startswith("."):
        rest = "*"
    if "-" in request.version and rest.startswith("-"):
        rest = "*" if rest.endswith("*") else ""
    return epoch + request.version + rest


def locate_versionlock(request: Request, texts: Mapping[str, str]) -> Located:
    """The entry of a package in dnf's (list of lines) or dnf5's (TOML) version lock; the release of the package stays."""
    text = texts[request.path]
    find = _toml_lock if re.search(r"^\s*\[\[packages\]\]", text, re.MULTILINE) else _line_lock
    place = find(request, text)
    if place is None:
        raise Unclear(
            f"{request.path} does not lock {request.package}.",
            by_hand(request.path, f"the lock of {request.package}", request.version),
        )
    version, dash, release = request.version.partition("-")
    locked_release = place.raw.partition("-")[2]
    if dash and locked_release and locked_release != "*":
        arch = re.search(r"\.(?:x86_64|aarch64|noarch|\*)$", locked_release)
        return make_edits([place], f"{version}-{release}{arch.group() if arch else ''}")
    return make_edits([place], f"{version}-{locked_release}" if locked_release else version)


def _line_lock(request: Request, text: str) -> Optional[Place]:
    name = re.escape(request.package)
    match = re.search(rf"^(?:{name}-(?:\d+:)?|(?:\d+:)?{name}-)(?P<evr>\d[^-\s]*(?:-\S+)?)[ \t]*$", text, re.MULTILINE)
    if match is None:
        return None
    return Place(
        request.path, f"the lock of {request.package}", match.start("evr"), match.end("evr"), match.group("evr")
    )


def _toml_lock(request: Request, text: str) -> Optional[Place]:
    blocks = re.split(r"(?m)^(?=[ \t]*\[\[packages\]\])", text)
    position = 0
    for block in blocks:
        if re.search(rf"^[ \t]*name[ \t]*=[ \t]*[\"']{re.escape(request.package)}[\"']", block, re.MULTILINE):
            comparators = re.findall(r"^[ \t]*comparator[ \t]*=[ \t]*[\"']([^\"']*)[\"']", block, re.MULTILINE)
            value = re.search(r"^[ \t]*value[ \t]*=[ \t]*[\"'](?:\d+:)?([^\"']*)[\"']", block, re.MULTILINE)
            if comparators != ["="] or value is None:
                raise Unclear(
                    f"{request.path} locks {request.package} by more than one version.",
                    by_hand(request.path, f"the lock of {request.package}", request.version),
                )
            start = position + value.start(1)
            return Place(
                request.path, f"the lock of {request.package}", start, start + len(value.group(1)), value.group(1)
            )
        position += len(block)
    return None
