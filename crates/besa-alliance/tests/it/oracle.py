#!/usr/bin/env python3
"""The release policy a second time, from docs/RELEASE-POLICY.md, for the test `noninterference`.

One case a line on standard input, one answer a line on standard output: for each object its text
or null. Standard library only. Slow and plain on purpose: every round computes everything anew.
"""
import json
import re
import sys
import uuid
from datetime import datetime, timezone

LEVELS = ["clear", "green", "amber", "amber+strict", "red"]
T = "marking-definition--"
TLP2 = {
    T + "94868c89-83c2-464b-929b-a1a8aa3c8487": "clear",
    T + "bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "green",
    T + "55d920b0-5e8b-4f79-9ee9-91f868d9b421": "amber",
    T + "939a9414-2ddd-4d32-a0cd-375ea402b003": "amber+strict",
    T + "e828b379-4e03-4974-9ac4-e53a884c97c1": "red",
}
TLP1 = {
    T + "613f2e26-407d-48c7-9eca-b8e91df99dc9": "white",
    T + "34098fce-860f-48ae-8e50-ebd3cc5e41da": "green",
    T + "f88d31f6-486f-44da-b317-01333bde0b82": "amber",
    T + "5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "red",
}
PAP = {
    T + "ad15a0cd-55b6-4588-a14c-a66105329b92",
    T + "a3bea94c-b469-41dc-9cfe-d6e7daba7730",
    T + "c43594d1-4b11-4c59-93ab-1c9b14d53ce9",
    T + "60f8932b-e51e-4458-b265-a2e8be9a80ab",
    T + "740d36e5-7714-4c30-961a-3ae632ceee0e",
}
E = "extension-definition--"
EXT_TLP = E + "60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
EXT_PAP = E + "f8d78575-edfd-406e-8e84-6162a8450f5b"
EXT_IEP = E + "762e2e97-ee51-43e5-a9ea-165fbb862c4a"
EXT_AUDIENCE = E + "f036aa16-4b04-4030-b803-722d6213aa7f"
EXT_REDACTED = E + "252aa03d-0b25-471c-af66-60852e523795"
NAMESPACE = uuid.UUID("1b6f4e80-a182-45fa-b689-4337e21f7d5a")
# exit: (ceiling, encrypted, granular markings arrive)
EXITS = {
    "release": ("red", True, True),
    "taxii": ("red", True, True),
    "misp": ("amber+strict", True, False),
    "export": ("amber+strict", False, True),
    "page": ("amber", True, False),
    "mail": ("green", False, False),
    "log": ("clear", False, False),
}
SCO = """artifact autonomous-system directory domain-name email-addr email-message file ipv4-addr
ipv6-addr mac-addr mutex network-traffic process software url user-account windows-registry-key
x509-certificate""".split()
PROTECTED = "type id spec_version created modified revoked object_marking_refs granular_markings".split()
WHOLE = {
    ("relationship", "source_ref"), ("relationship", "target_ref"), ("sighting", "sighting_of_ref"),
    ("observed-data", "object_refs"), ("observed-data", "objects"),
    ("note", "object_refs"), ("opinion", "object_refs"),
}
# What the types of the test need; the MUSTs of STIX 2.1 as far as cutting can break them.
REQUIRED = {
    "indicator": ["pattern", "pattern_type", "valid_from"],
    "malware": ["is_family"],
    "report": ["name", "published", "object_refs"],
    "grouping": ["context", "object_refs"],
    "note": ["content", "object_refs"],
    "opinion": ["opinion", "object_refs"],
    "relationship": ["relationship_type", "source_ref", "target_ref"],
    "sighting": ["sighting_of_ref"],
    "observed-data": ["first_observed", "last_observed", "number_observed"],
    "identity": ["name"],
    "threat-actor": ["name"],
}
MENTION = re.compile(r"--(?=([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}))")
RUN = re.compile(r"[A-Za-z0-9-]+\Z")


def stricter(a, b):
    if a is None or b is None:
        return a or b
    return max(a, b, key=LEVELS.index)


def no_twice(pairs):
    if len({k for k, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def jcs(value):
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def when(text):
    text = text.rstrip("Z")
    head, _, tail = text.partition(".")
    return datetime.fromisoformat(head).replace(tzinfo=timezone.utc), tail.ljust(9, "0")


def mentions(text):
    found = []
    for match in MENTION.finditer(text):
        run = RUN.search(text[: match.start()])
        if run:
            found.append((run.group() + "--" + match.group(1)).lower())
    return found


def shown(path):
    return ".".join(f"[{p}]" if isinstance(p, int) else p for p in path)


def follow(obj, selector):
    """The path of a selector, or None."""
    path = []
    for part in selector.split("."):
        if part.startswith("[") and part.endswith("]"):
            if not re.fullmatch("[0-9]+", part[1:-1]) or not isinstance(obj, list):
                return None
            at = int(part[1:-1])
            if at >= len(obj):
                return None
            path.append(at)
            obj = obj[at]
        else:
            if not isinstance(obj, dict) or part not in obj:
                return None
            path.append(part)
            obj = obj[part]
    return tuple(path)


def under(paths, path):
    return any(path[:n] in paths for n in range(1, len(path) + 1))


class Meaning:
    def __init__(self):
        self.tlp, self.unknown, self.audience = None, False, None
        self.encrypt, self.attribution = False, "may"


def unknown():
    m = Meaning()
    m.tlp, m.unknown = "red", True
    return m


def read_marking(obj, now):
    m = Meaning()
    if obj.get("type") != "marking-definition":
        return unknown()
    has = [k in obj for k in ("definition_type", "definition")]
    if has == [True, True]:
        if obj["definition_type"] == "statement":
            if not isinstance(obj["definition"].get("statement"), str):
                return unknown()
        elif obj["definition_type"] == "tlp":
            level = TLP1.get(obj["id"].lower())
            if level is None or obj["definition"].get("tlp") != level:
                return unknown()
            m.tlp = "clear" if level == "white" else level
        else:
            return unknown()
    elif has != [False, False] or not obj.get("extensions"):
        return unknown()
    for key, ext in (obj.get("extensions") or {}).items():
        if key == EXT_TLP:
            level = TLP2.get(obj["id"].lower())
            if level is None or ext.get("tlp_2_0") != level:
                return unknown()
            m.tlp = level
        elif key == EXT_PAP:
            if ext.get("pap") not in ("clear", "white", "green", "amber", "red"):
                return unknown()
        elif key == EXT_IEP:
            if ext.get("iep_version") != 2 or "start_date" not in ext:
                return unknown()
            if when(now) < when(ext["start_date"]):
                return unknown()
            if "end_date" in ext and when(now) >= when(ext["end_date"]):
                return unknown()
            level = {"white": "clear"}.get(ext.get("tlp"), ext.get("tlp"))
            if level not in LEVELS or ext.get("encrypt_in_transit") not in ("may", "must"):
                return unknown()
            if ext.get("provider_attribution") not in ("may", "must", "must-not"):
                return unknown()
            if ext.get("permitted_actions") not in (
                "none", "contact-for-instruction", "internally-visible-actions",
                "externally-visible-indirect-actions", "externally-visible-direct-actions",
            ):
                return unknown()
            m.tlp = level
            m.encrypt = ext["encrypt_in_transit"] == "must"
            m.attribution = ext["provider_attribution"]
        elif key == EXT_AUDIENCE:
            if set(ext) - {"extension_type", "members", "groups"} or not set(ext) & {"members", "groups"}:
                return unknown()
            m.audience = (set(ext.get("members", [])), set(ext.get("groups", [])))
        else:
            return unknown()
    return m


class Case:
    def __init__(self, case):
        self.__dict__.update(case)
        self.state = {m["identity_ref"]: m["state"] for m in self.members}
        self.held = []
        for o in self.objects:
            try:
                obj = json.loads(o["raw"], object_pairs_hook=no_twice)
            except ValueError:
                obj = None
            self.held.append((obj, o))
        self.newest = {}
        for at, (obj, o) in enumerate(self.held):
            if o["newest"]:
                self.newest[o["id"].lower()] = at

    def active(self, member):
        return self.state.get(member) == "active"

    def known(self, i):
        return i in TLP1 or i in TLP2 or i in PAP or i == self.releaser or self.active(i)

    def meaning(self, i):
        i = i.lower()
        m = Meaning()
        if i in TLP1 or i in TLP2:
            m.tlp = TLP2.get(i) or TLP1[i].replace("white", "clear")
            return m
        if i in PAP:
            return m
        at = self.newest.get(i)
        if at is None or self.held[at][0] is None:
            return unknown()
        return read_marking(self.held[at][0], self.now)

    def passes(self, obj, held, level, meanings):
        """Rules 4 to 7 on markings taken together."""
        own = held["from"] is None and obj.get("created_by_ref", self.releaser).lower() == self.releaser
        holder = self.recipient == self.releaser
        back = self.recipient != "public" and obj.get("created_by_ref", "").lower() == self.recipient
        audiences = [m.audience for m in meanings if m.audience]
        if not (holder or back):
            for members, groups in audiences:
                in_group = self.active(self.recipient) and any(
                    self.recipient in self.groups.get(g, []) for g in groups
                )
                if self.recipient not in members and not in_group:
                    return False
            active = self.active(self.recipient)
            if level == "green" and not active:
                return False
            if level in ("amber", "amber+strict", "red"):
                if not own or not active:
                    return False
                if level == "amber+strict" and not audiences:
                    return False
                if level == "red" and not any(self.recipient in members for members, _ in audiences):
                    return False
            if not own and any(m.attribution == "must-not" for m in meanings):
                return False
        ceiling, encrypted, _ = EXITS[self.exit]
        if LEVELS.index(level) > LEVELS.index(ceiling):
            return False
        return encrypted or not any(m.encrypt for m in meanings)

    def alone(self, at):
        """Rules 1 to 8: None if it stays, else what is cut and the level."""
        obj, held = self.held[at]
        if obj is None or obj.get("type") == "bundle":
            return None
        if self.recipient not in ("public", self.releaser) and not self.active(self.recipient):
            return None
        own = held["from"] is None and obj.get("created_by_ref", self.releaser).lower() == self.releaser
        meanings = [self.meaning(i) for i in obj.get("object_marking_refs", []) + held["under"]]
        must = not own and any(m.attribution == "must" for m in meanings)
        is_marking = obj["type"] == "marking-definition"
        if is_marking:
            m, itself = Meaning(), read_marking(obj, self.now)
            m.audience = itself.audience
            if itself.unknown:
                m.tlp = "red"
            meanings.append(m)
        level = None
        for m in meanings:
            level = stricter(level, m.tlp)
        if level is None:
            level = "clear" if is_marking else self.unmarked
        if not self.passes(obj, held, level, meanings):
            return None
        selected = []
        for g in obj.get("granular_markings", []):
            if "marking_ref" in g:
                paths = [follow(obj, s) for s in g["selectors"]]
                if None in paths:
                    return None
                selected.append((g["marking_ref"].lower(), self.meaning(g["marking_ref"]), paths))
        cut = set()
        for path in {p for _, _, paths in selected for p in paths}:
            here, at_level = list(meanings), level
            for _, m, paths in selected:
                if any(path[: len(p)] == p for p in paths):
                    here.append(m)
                    at_level = stricter(at_level, m.tlp)
            if not EXITS[self.exit][2] or not self.passes(obj, held, at_level, here):
                cut.add(path)
        if any(p[0] in PROTECTED or (obj["type"], p[0]) in WHOLE for p in cut):
            return None
        bound = [(i, p) for i, _, paths in selected for p in paths if not under(cut, p)]
        blamed = [p for _, m, paths in selected for p in paths
                  if m.attribution == "must" and not own and not under(cut, p)]
        return {"cut": cut, "level": level, "must": must, "bound": bound, "blamed": blamed,
                "under": held["under"]}

    def answer(self):
        alone = [self.alone(at) for at in range(len(self.held))]
        goes = [a is not None for a in alone]
        texts = [o["raw"] if g else None for (_, o), g in zip(self.held, goes)]
        whole = list(goes)
        while True:
            now = [self.one(at, alone[at], goes, whole) if goes[at] else None for at in range(len(goes))]
            after = [t is not None for t in now]
            after_whole = [t is not None and t == self.held[at][1]["raw"] for at, t in enumerate(now)]
            if after == goes and after_whole == whole and now == texts:
                return texts
            goes, whole, texts = after, after_whole, now

    def one(self, at, alone, goes, whole):
        obj, held = self.held[at]
        kind = obj["type"]

        def hidden(i):
            if self.known(i):
                return False
            there = self.newest.get(i)
            return there is None or not goes[there]

        own = obj["id"].lower()
        newest = self.newest.get(own)
        same = newest is None or all(self.held[newest][1][k] == held[k] for k in ("raw", "from", "under"))
        if not same and not goes[newest]:
            return None
        redactable = (
            obj.get("spec_version") == "2.1" and "created" in obj and "modified" in obj and kind not in SCO
            and kind not in ("marking-definition", "language-content", "extension-definition")
            and not alone["must"]
        )
        if any(hidden(i.lower()) for i in obj.get("object_marking_refs", []) + alone["under"]):
            return None
        cut = set(alone["cut"])
        for i, path in alone["bound"]:
            if hidden(i):
                cut.add(path)
        found = []

        def search(value, path):
            if isinstance(value, str):
                found.extend((path, i) for i in mentions(value))
            elif isinstance(value, list):
                for n, v in enumerate(value):
                    search(v, path + (n,))
            elif isinstance(value, dict):
                for k, v in value.items():
                    if path != ("extensions",):
                        found.extend((path + (k,), i) for i in mentions(k))
                    search(v, path + (k,))

        for key, value in obj.items():
            if key not in ("id", "created_by_ref", "object_marking_refs", "granular_markings"):
                found.extend(((key,), i) for i in mentions(key))
                search(value, (key,))
        for path, i in found:
            if i == own or under(alone["cut"], path):
                continue
            if kind == "language-content" and path[0] == "object_ref":
                if not self.known(i) and (i not in self.newest or not whole[self.newest[i]]):
                    return None
            elif hidden(i):
                cut.add(path)
        creator = obj.get("created_by_ref")
        anonymous = creator is not None and ("created_by_ref",) not in alone["cut"] and hidden(creator.lower())
        if not cut and not anonymous:
            return held["raw"]
        cut.update(alone["blamed"])
        if not redactable or any(p[0] in PROTECTED or (kind, p[0]) in WHOLE for p in cut):
            return None
        return self.copy(obj, cut, alone["level"])

    def copy(self, obj, cut, level):
        cut = {
            p[:2]
            if len(p) > 2
            and (
                p[0] in ("external_references", "kill_chain_phases")
                or (p[0] == "extensions" and p[2] == "extension_type")
            )
            else p
            for p in cut
        }
        if obj["type"] == "sighting" and any(p[0] in ("observed_data_refs", "where_sighted_refs") for p in cut):
            cut = cut | {("count",)}
        moved = {}

        def keep(value, old, new):
            if old in cut:
                return None
            if isinstance(value, list):
                left = []
                for n, v in enumerate(value):
                    v = keep(v, old + (n,), new + (len(left),))
                    if v is not None:
                        left.append(v)
                if value and not left:
                    return None
                value = left
            elif isinstance(value, dict):
                left = {}
                for k, v in value.items():
                    v = keep(v, old + (k,), new + (k,))
                    if v is not None:
                        left[k] = v
                if value and not left:
                    return None
                value = left
            moved[old] = new
            return value

        out = {}
        for k, v in obj.items():
            v = keep(v, (k,), (k,))
            if v is not None:
                out[k] = v
        marks = []
        for g in obj.get("granular_markings", []):
            left = [shown(moved[p]) for p in (follow(obj, s) for s in g["selectors"]) if p in moved]
            if left:
                marks.append({**g, "selectors": left})
        out.pop("granular_markings", None)
        if marks:
            out["granular_markings"] = marks
        leaves = []

        def leaf(value, path):
            if isinstance(value, list) and value:
                for n, v in enumerate(value):
                    leaf(v, path + (n,))
            elif isinstance(value, dict) and value:
                for k, v in value.items():
                    leaf(v, path + (k,))
            else:
                leaves.append(shown(path))

        for k, v in out.items():
            if k not in ("id", "modified", "revoked", "created_by_ref", "granular_markings"):
                leaf(v, (k,))
        name = jcs([self.releaser, obj["id"], sorted(set(leaves))])
        out["id"] = obj["type"] + "--" + str(uuid.uuid5(NAMESPACE, name))
        out["created_by_ref"] = self.releaser
        refs = out.get("object_marking_refs", [])
        levels = [TLP2.get(i.lower()) or TLP1.get(i.lower(), "").replace("white", "clear") for i in refs]
        if level not in levels:
            out["object_marking_refs"] = refs + [next(i for i, v in TLP2.items() if v == level)]
        source, modified = obj["id"], obj["modified"]
        out["external_references"] = out.get("external_references", []) + [{
            "source_name": "besa-redacted",
            "external_id": source,
            "description": f"Redacted copy of {source} of {modified}: parts that may not go here are left out.",
        }]
        out["extensions"] = {**out.get("extensions", {}), EXT_REDACTED: {
            "extension_type": "property-extension",
            "redacted": True,
            "derived_from_ref": source,
            "derived_from_modified": modified,
        }}
        if any(k not in out for k in REQUIRED.get(out["type"], [])):
            return None
        if out["type"] == "malware" and out.get("is_family") and "name" not in out:
            return None
        for reference in out["external_references"]:
            if "source_name" not in reference or not set(reference) & {"description", "url", "external_id"}:
                return None
        for key, extension in out["extensions"].items():
            if key.startswith(E) and "extension_type" not in extension:
                return None
        return jcs(out)


for line in sys.stdin:
    print(json.dumps(Case(json.loads(line)).answer()), flush=True)
