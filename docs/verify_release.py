#!/usr/bin/env python3
"""Verifies signed objects of a Besa alliance with public libraries only.

    pip install cryptography rfc8785
    python3 verify_release.py BUNDLE.json [FINGERPRINT-HASH-OF-THE-FIRST-CHARTER]

BUNDLE.json holds the first charter, releases and their objects. Prints one line for each thing
verified and ends with code 1 at the first that does not hold. It checks hashes, ids, signatures,
the chain of each log and the objects; not roles, limits, later charters or revocations.
"""
import hashlib, json, sys, uuid
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
import rfc8785

NAMESPACE = uuid.UUID("5f3a9c52-7d0e-4b86-9a41-c7e2d8b1f604")


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"a key stands twice in one object: {keys}"
    return dict(pairs)


def sha256(value):
    return hashlib.sha256(rfc8785.dumps(value)).digest()


def check_signed(obj):
    """The hash of a signed object whose id follows and whose signatures are right."""
    body = {name: value for name, value in obj.items() if name not in ("id", "signatures")}
    digest, kind = sha256(body), obj["type"]
    assert obj["id"] == f"{kind}--{uuid5(digest)}", f"{obj['id']}: the id does not follow"
    message = b"besa-alliance-1\n" + kind.encode() + b"\n" + digest
    for one in obj["signatures"]:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(one["public_key"]))
        key.verify(bytes.fromhex(one["ed25519"]), message)
    return digest.hex()


def uuid5(name):
    raw = bytearray(hashlib.sha1(NAMESPACE.bytes + name).digest()[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x50, raw[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(raw))


def main(path, trusted=None):
    objects = json.load(open(path, encoding="utf-8"), object_pairs_hook=no_duplicates)["objects"]
    charter = next(obj for obj in objects if obj["type"] == "besa-charter" and obj["sequence"] == 0)
    alliance = check_signed(charter)
    assert trusted in (None, alliance), f"the first charter is {alliance}"
    signers = {one["public_key"] for one in charter["signatures"]}
    members = {member["identity_ref"]: member for member in charter["members"]}
    assert all(m["authority_key"] in signers for m in members.values() if m["state"] == "active")
    print("charter", alliance)
    bodies = {(obj["id"], obj.get("modified")): obj for obj in objects}
    heads = {}
    for entry in sorted((o for o in objects if o["type"] == "besa-release"), key=lambda o: o["sequence"]):
        member, digest = members[entry["created_by_ref"]], check_signed(entry)
        (signature,) = entry["signatures"]
        assert signature["public_key"] in [key["node_key"] for key in member["node_keys"]], "a foreign key"
        assert entry["alliance"] == alliance, "another alliance's"
        log = (entry["created_by_ref"], tuple(entry["audience"]))
        assert heads.get(log, (0, None)) == (entry["sequence"] - 1, entry.get("previous")), "the chain breaks"
        heads[log] = (entry["sequence"], digest)
        for line in entry["objects"]:
            body = bodies[line["object_ref"], line.get("object_modified")]
            assert sha256(body).hex() == line["object_sha256"], f"{body['id']} was altered"
            creator = body.get("created_by_ref")
            assert creator == entry["created_by_ref"] or creator not in members, "another's object"
        print("release", entry["created_by_ref"], entry["sequence"], digest, len(entry["objects"]), "objects")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except Exception as error:
        sys.exit(f"not verified: {error or type(error).__name__}")
