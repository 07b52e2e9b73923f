#!/usr/bin/env python3
"""Verifies signed objects of a Besa alliance with public libraries only.

    pip install cryptography rfc8785
    python3 verify_release.py BUNDLE.json [HASH-OF-THE-FIRST-CHARTER]

BUNDLE.json holds the first charter, releases and their objects. Prints one line for each thing
verified and ends with code 1 at the first that does not hold. It checks hashes, ids, signatures,
the chain of each log and the objects; not roles, limits, later charters or revocations.
"""
import hashlib, json, sys, uuid
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
import rfc8785

NAMESPACE = uuid.UUID("5f3a9c52-7d0e-4b86-9a41-c7e2d8b1f604")

def no_duplicates(pairs):
    assert len(pairs) == len(dict(pairs)), f"a key stands twice: {[key for key, _ in pairs]}"
    return dict(pairs)

def sha256(value):
    return hashlib.sha256(rfc8785.dumps(value)).digest()

def check_signed(obj):  # gives the hash, if the id follows from it and the signatures are right
    digest = sha256({name: value for name, value in obj.items() if name not in ("id", "signatures")})
    name = uuid.UUID(bytes=hashlib.sha1(NAMESPACE.bytes + digest).digest()[:16], version=5)
    assert obj["id"] == f"{obj['type']}--{name}", f"{obj['id']}: the id does not follow"
    for one in obj["signatures"]:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(one["public_key"]))
        key.verify(bytes.fromhex(one["ed25519"]), b"besa-alliance-1\n%s\n" % obj["type"].encode() + digest)
    return digest.hex()

def main(path, trusted=None):
    objects = json.load(open(path, encoding="utf-8"), object_pairs_hook=no_duplicates)["objects"]
    charter = next(obj for obj in objects if obj["type"] == "besa-charter" and obj["sequence"] == 0)
    alliance, members = check_signed(charter), {one["identity_ref"]: one for one in charter["members"]}
    assert trusted in (None, alliance), f"the first charter is {alliance}"
    signers = {one["public_key"] for one in charter["signatures"]}
    assert all(m["authority_key"] in signers for m in members.values() if m["state"] == "active"), "not all signed"
    print("charter", alliance)
    bodies, heads = {(obj["id"], obj.get("modified")): obj for obj in objects}, {}
    for entry in sorted((o for o in objects if o["type"] == "besa-release"), key=lambda o: o["sequence"]):
        member, digest = entry["created_by_ref"], check_signed(entry)
        keys = [key["node_key"] for key in members[member]["node_keys"]]
        assert [one["public_key"] in keys for one in entry["signatures"]] == [True], "not one key of the member"
        assert entry["alliance"] == alliance, "another alliance's"
        log = (member, tuple(entry["audience"]))
        assert heads.get(log, (0, None)) == (entry["sequence"] - 1, entry.get("previous")), "the chain breaks"
        heads[log] = (entry["sequence"], digest)
        for line in entry["objects"]:
            body = bodies[line["object_ref"], line.get("object_modified")]
            assert sha256(body).hex() == line["object_sha256"], f"{body['id']} was altered"
            assert body.get("created_by_ref", member) == member or body["created_by_ref"] not in members, "another's"
        print("release", member, entry["sequence"], digest, len(entry["objects"]), "objects")

try:
    main(*sys.argv[1:3])
except Exception as error:
    sys.exit(f"not verified: {error or type(error).__name__}")
