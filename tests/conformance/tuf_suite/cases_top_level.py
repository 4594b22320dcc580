"""Top-level roles: refresh, versions, thresholds, expiry, rollback, rotation. The names are those of
theupdateframework/tuf-conformance, so that a result here can be compared with one there."""

import datetime
import json

from harness import case, versions
from simulator import Key, canonical, days, now

ALL = ("root", "targets", "snapshot", "timestamp")
BASIC_REQUESTS = [("root", 2), ("timestamp", None), ("snapshot", 1), ("targets", 1)]


def later(count):
    return now() + datetime.timedelta(days=count)


def started(client):
    assert client.init()
    assert client.refresh()
    return client.repo


# Basic.


@case()
def basic_refresh_requests(client):
    assert started(client).metadata_asked == BASIC_REQUESTS


@case()
def basic_refresh_trusted_data(client):
    repo = started(client)
    for role in ALL:
        assert client.kept(role) == repo.newest(role)


@case()
def implicit_refresh(client):
    assert client.init()
    assert not client.download("nonexistent artifact")
    assert client.repo.metadata_asked == BASIC_REQUESTS
    for role in ALL:
        assert client.kept(role) == client.repo.newest(role)


@case()
def invalid_initial_root(client):
    root = json.loads(client.first_root)
    del root["signed"]["version"]
    client.init(json.dumps(root).encode())
    assert not client.refresh()
    assert client.repo.metadata_asked == []


@case()
def unsigned_initial_root(client):
    root = json.loads(client.first_root)
    root["signatures"][0]["sig"] = Key().sign(b"something else")
    client.init(json.dumps(root).encode())
    assert not client.refresh()
    assert client.repo.metadata_asked == []


@case(
    ("root", "root", {"root": 1}),
    ("timestamp", "timestamp", {"root": 2}),
    ("snapshot", "snapshot", {"root": 2, "timestamp": 2}),
    ("targets", "targets", {"root": 2, "snapshot": 2, "timestamp": 2}),
)
def unsigned_metadata(client, role, trusted):
    client.repo.signers[role].pop()
    client.repo.publish(*ALL)
    assert client.init()
    assert not client.refresh()
    assert client.trusted() == trusted


@case(
    ("root", "root", {"root": 1}),
    ("snapshot", "snapshot", {"root": 2, "timestamp": 2}),
    ("targets", "targets", {"root": 2, "snapshot": 2, "timestamp": 2}),
)
def url_and_metadata_version_mismatch(client, role, trusted):
    # Signed as version 3, served as version 2.
    repo = client.repo
    repo.parts[role]["version"] += 1
    repo.publish(*ALL)
    if role != "root":
        listing = repo.timestamp if role == "snapshot" else repo.snapshot
        listing["meta"][f"{role}.json"]["version"] = 2
        for again in ("snapshot", "timestamp"):
            if again != role:
                repo.parts[again]["version"] -= 1
                repo.served[again].pop()
                repo.publish(again)
        if role == "targets":
            repo.timestamp["meta"]["snapshot.json"]["version"] = 2
    assert client.init()
    assert not client.refresh()
    assert client.trusted() == trusted


@case()
def timestamp_content_changes(client):
    repo = started(client)
    repo.timestamp["meta"]["snapshot.json"]["version"] = 100
    repo.start_again("timestamp")
    repo.publish("timestamp")
    assert client.refresh()
    assert repo.metadata_asked[-1] == ("timestamp", None)
    kept = json.loads(client.kept("timestamp"))
    assert kept["signed"]["meta"]["snapshot.json"]["version"] == 1


@case()
def basic_metadata_hash_support(client):
    repo = client.repo
    repo.with_hashes = True
    repo.publish("targets", "snapshot", "timestamp")
    started(client)
    repo.publish("targets")
    repo.snapshot["meta"]["targets.json"]["hashes"]["sha256"] = "46" * 32
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted() == versions(1, 3, 2, 3)


@case()
def metadata_bytes_match(client):
    repo = client.repo
    data = repo.served["timestamp"][-1] + b" "
    repo.served["timestamp"][-1] = data
    started(client)
    assert client.kept("timestamp") == data


@case()
def custom_fields(client):
    repo = started(client)
    repo.add_key("root", Key(extra={"extra-field": {"a": 1, "b": 2}}))
    repo.root["custom-field"] = "value"
    repo.root["roles"]["root"]["another-field"] = "value"
    repo.publish("root")
    assert client.refresh()
    assert client.trusted()["root"] == 2


@case()
def deprecated_keyid_hash_algorithms(client):
    repo = client.repo
    assert client.init()
    repo.root["roles"]["snapshot"]["keyids"].clear()
    repo.signers["snapshot"].clear()
    repo.add_key("snapshot", Key(extra={"keyid_hash_algorithms": "md5"}))
    repo.publish("root", "snapshot", "timestamp")
    assert client.refresh()
    assert client.trusted() == versions(2, 2, 1, 2)


@case()
def snapshot_404(client):
    repo = started(client)
    repo.timestamp["meta"]["snapshot.json"]["version"] += 1
    repo.publish("timestamp")
    assert not client.refresh()
    assert repo.metadata_asked[-1] == ("snapshot", 2)
    assert client.trusted() == versions(1, 1, 1, 2)


@case()
def targets_404(client):
    repo = started(client)
    repo.snapshot["meta"]["targets.json"]["version"] += 1
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert repo.metadata_asked[-1] == ("targets", 2)
    assert client.trusted() == versions(1, 2, 1, 2)


@case()
def timestamp_404(client):
    repo = started(client)
    del repo.served["timestamp"]
    assert not client.refresh()
    assert repo.metadata_asked[-1] == ("timestamp", None)


@case()
def incorrect_metadata_type(client):
    # A snapshot that is a well-formed timestamp but for its type, signed by the timestamp's key.
    repo = client.repo
    assert client.init()
    repo.add_key("snapshot", repo.signers["timestamp"][0])
    repo.snapshot["meta"] = {"snapshot.json": {"version": 1}}
    repo.publish("root", "snapshot")
    repo.served["timestamp"].append(repo.served["snapshot"].pop())
    assert not client.refresh()
    assert client.trusted() == {"root": 2}


@case()
def faketime(client):
    assert client.init()
    client.repo.root["expires"] = days(7)
    client.repo.publish("root")
    assert client.refresh()
    assert not client.refresh(later(8))


# Expiry.


@case()
def root_expired(client):
    repo = started(client)
    repo.publish("root")
    assert client.refresh()
    repo.root["expires"] = days(-1)
    repo.publish("root")
    repo.targets["version"] += 1
    assert not client.refresh()
    assert client.trusted() == versions(3, 1, 1, 1)


@case()
def timestamp_expired(client):
    repo = started(client)
    repo.timestamp["expires"] = days(-5)
    repo.publish("timestamp")
    assert not client.refresh()
    assert client.trusted() == versions(1, 1, 1, 1)


@case()
def snapshot_expired(client):
    repo = started(client)
    repo.snapshot["expires"] = days(-5)
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted() == versions(1, 1, 1, 2)


@case()
def targets_expired(client):
    repo = started(client)
    repo.targets["expires"] = days(-5)
    repo.publish("targets", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted() == versions(1, 2, 1, 2)


@case()
def expired_local_root(client):
    repo = client.repo
    assert client.init()
    repo.root["expires"] = days(7)
    repo.publish("root")
    assert client.refresh()
    repo.root["expires"] = days(21)
    repo.publish("root")
    assert client.refresh(later(18))
    assert client.trusted()["root"] == 3


def expired_local(client, *chain):
    # An expired file in the store neither stops the update nor is good for anything else.
    repo = client.repo
    role = chain[0]
    assert client.init()
    repo.parts[role]["expires"] = days(7)
    repo.publish(*chain)
    assert client.refresh()
    assert not client.refresh(later(18))
    repo.parts[role]["expires"] = days(21)
    repo.publish("targets", "snapshot", "timestamp")
    assert client.refresh(later(18))
    assert client.kept(role) == repo.newest(role)


@case()
def expired_local_timestamp(client):
    expired_local(client, "timestamp")


@case()
def expired_local_snapshot(client):
    expired_local(client, "snapshot", "timestamp")


@case()
def expired_local_targets(client):
    expired_local(client, "targets", "snapshot", "timestamp")


# Keys.


@case()
def snapshot_does_not_meet_threshold(client):
    repo = client.repo
    repo.root["roles"]["snapshot"]["threshold"] = 3
    repo.add_key("snapshot")
    repo.add_key("snapshot")
    repo.publish(*ALL)
    started(client)
    repo.signers["snapshot"].pop()
    repo.publish("targets", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted()["snapshot"] == 2


@case()
def snapshot_has_too_few_keys(client):
    repo = client.repo
    assert client.init()
    for _ in range(4):
        repo.add_key("snapshot")
    repo.root["roles"]["snapshot"]["threshold"] = 6
    repo.publish("root", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted() == {"root": 2, "timestamp": 2}


@case()
def duplicate_keys(client):
    repo = client.repo
    assert client.init()
    key = Key()
    for _ in range(9):
        repo.trust_key("snapshot", key)
    repo.signers["snapshot"].append(key)
    repo.root["roles"]["snapshot"]["threshold"] = 6
    repo.publish("root", "snapshot", "timestamp")

    def sign_eight_times_more(document):
        document["signatures"] += [document["signatures"][-1]] * 8

    repo.change_served("snapshot", sign_eight_times_more)
    assert not client.refresh()
    assert "snapshot" not in client.trusted()


@case()
def duplicate_keys_under_other_ids(client):
    # One key in six key objects that differ in an unknown field: six ids, one signer.
    repo = client.repo
    assert client.init()
    key = Key()
    for number in range(6):
        twin = Key(extra={"number": number})
        twin.private = key.private
        twin.value["keyval"] = key.value["keyval"]
        repo.add_key("snapshot", twin)
    repo.root["roles"]["snapshot"]["threshold"] = 6
    repo.publish("root", "snapshot", "timestamp")
    assert not client.refresh()
    assert "snapshot" not in client.trusted()


@case()
def duplicate_sig_keyids(client):
    assert client.init()
    client.repo.change_served(
        "snapshot", lambda document: document["signatures"].append(document["signatures"][0])
    )
    assert not client.refresh()
    assert "snapshot" not in client.trusted()


@case(
    ("rsa/rsassa-pss-sha256", "rsa", "rsassa-pss-sha256"),
    ("rsa/rsa-pkcs1v15-sha256", "rsa", "rsa-pkcs1v15-sha256"),
    ("ecdsa/ecdsa-sha2-nistp256", "ecdsa", "ecdsa-sha2-nistp256"),
    ("ecdsa/ecdsa-sha2-nistp384", "ecdsa", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp256/ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ed25519/ed25519", "ed25519", "ed25519"),
)
def keytype_and_scheme(client, keytype, scheme):
    repo = client.repo
    assert client.init()
    key = repo.add_key("root", Key(keytype, scheme))
    repo.root["roles"]["root"]["threshold"] += 1
    repo.publish("root")
    assert client.refresh()
    assert client.trusted()["root"] == 2
    repo.publish("root")

    def forge(document):
        for signature in document["signatures"]:
            if signature["keyid"] == key.keyid:
                signature["sig"] = key.sign(b"another message")

    repo.change_served("root", forge)
    assert not client.refresh()
    assert client.trusted()["root"] == 2


@case()
def invalid_sig_in_valid_metadata(client):
    repo = client.repo
    assert client.init()
    first = repo.signers["timestamp"][0].keyid
    repo.add_key("timestamp")
    repo.publish("root", "timestamp")
    for text in (Key().sign(b"x"), "", "not hexadecimal"):

        def spoil(document, text=text):
            for signature in document["signatures"]:
                if signature["keyid"] == first:
                    signature["sig"] = text

        repo.change_served("timestamp", spoil)
        assert client.refresh()
        repo.publish("timestamp")


# Rollback and the way out of a fast-forward.


@case()
def simple_snapshot_rollback(client):
    repo = client.repo
    assert client.init()
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    repo.publish("snapshot")
    assert client.refresh()
    assert client.trusted()["snapshot"] == 2
    assert repo.metadata_asked[-1] == ("timestamp", None)


@case()
def new_timestamp_version_rollback(client):
    repo = client.repo
    assert client.init()
    repo.publish("timestamp")
    assert client.refresh()
    repo.start_again("timestamp")
    repo.publish("timestamp")
    assert not client.refresh()
    assert client.trusted()["timestamp"] == 2
    assert repo.metadata_asked[-1] == ("timestamp", None)


@case(("basic", False), ("with hashes", True))
def snapshot_rollback(client, with_hashes):
    repo = client.repo
    assert client.init()
    repo.with_hashes = with_hashes
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    repo.start_again("snapshot")
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted() == versions(1, 2, 1, 2)
    assert repo.metadata_asked[-1] == ("timestamp", None)


@case()
def targets_fast_forward_recovery(client):
    # With the snapshot's key go what was known of targets: their versions, and which roles there are.
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "delegated", paths=["delegatedpath/*"])
    repo.publish("delegated")
    for _ in range(99):
        repo.publish("targets")
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    assert client.trusted()["targets"] == 100
    repo.rotate_keys("snapshot")
    repo.start_again("targets")
    del repo.snapshot["meta"]["delegated.json"]
    repo.publish(*ALL)
    assert client.refresh()
    assert client.trusted()["targets"] == 1


@case()
def new_snapshot_fast_forward_recovery(client):
    repo = client.repo
    assert client.init()
    for _ in range(99):
        repo.publish("snapshot")
    repo.publish("timestamp")
    assert client.refresh()
    assert client.trusted()["snapshot"] == 100
    repo.rotate_keys("snapshot")
    repo.rotate_keys("timestamp")
    repo.start_again("snapshot")
    repo.publish(*ALL)
    assert client.refresh()
    assert client.trusted()["snapshot"] == 1


@case()
def new_timestamp_fast_forward_recovery(client):
    repo = client.repo
    assert client.init()
    for _ in range(99):
        repo.publish("timestamp")
    assert client.refresh()
    assert client.trusted()["timestamp"] == 100
    repo.rotate_keys("timestamp")
    repo.start_again("timestamp")
    repo.publish("root", "targets", "snapshot", "timestamp")
    assert client.refresh()
    assert client.trusted()["timestamp"] == 1


@case()
def new_snapshot_version_mismatch(client):
    repo = client.repo
    assert client.init()
    repo.publish("snapshot")
    repo.timestamp["meta"]["snapshot.json"]["version"] -= 1
    repo.publish("root", "timestamp")
    assert client.refresh()
    assert client.trusted() == versions(2, 1, 1, 2)


@case()
def new_targets_version_mismatch(client):
    repo = started(client)
    repo.publish("targets")
    assert client.refresh()
    assert client.trusted()["targets"] == 1
    assert repo.metadata_asked[-1] == ("timestamp", None)


@case(("basic", False), ("with hashes", True))
def targets_rollback(client, with_hashes):
    repo = client.repo
    assert client.init()
    repo.with_hashes = with_hashes
    repo.publish("targets", "snapshot", "timestamp")
    assert client.refresh()
    repo.start_again("targets")
    repo.publish("targets", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted()["snapshot"] == 2
    assert client.trusted()["targets"] == 2


@case()
def targets_role_removal(client):
    repo = client.repo
    repo.delegate("targets", "A")
    repo.publish("A", "targets", "snapshot", "timestamp")
    started(client)
    del repo.snapshot["meta"]["A.json"]
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.trusted()["snapshot"] == 2


# Key rotation. Each step of a root rotation: keys, threshold, who signs, and whether it is taken.

ROOT_ROTATIONS = (
    ("1-of-1-key-rotation", ([1], 1, [1]), ([2], 1, [2, 1]), ([2], 1, [2])),
    (
        "1-of-1-key-rotation-unused-signatures",
        ([1], 1, [3, 1, 4]),
        ([2], 1, [3, 2, 1, 4]),
        ([2], 1, [3, 2, 4]),
    ),
    (
        "3-of-5-sign-with-different-keycombos",
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([0, 1, 2, 3, 4], 3, [0, 4, 1]),
        ([0, 1, 2, 3, 4], 3, [0, 1, 3]),
        ([0, 1, 2, 3, 4], 3, [0, 1, 3]),
    ),
    (
        "3-of-5-one-key-rotated",
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([0, 1, 3, 4, 5], 3, [0, 4, 1]),
    ),
    (
        "3-of-5-one-key-rotated-with-intermediate-step",
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([0, 1, 3, 4, 5], 3, [0, 2, 4, 5]),
        ([0, 1, 3, 4, 5], 3, [0, 4, 5]),
    ),
    (
        "3-of-5-all-keys-rotated-with-intermediate-step",
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]),
        ([5, 6, 7, 8, 9], 3, [5, 6, 7]),
    ),
    ("1-of-3-threshold-increase-to-2-of-3", ([1, 2, 3], 1, [1]), ([1, 2, 3], 2, [1, 2])),
    (
        "2-of-3-threshold-decrease-to-1-of-3",
        ([1, 2, 3], 2, [1, 2]),
        ([1, 2, 3], 1, [1, 2]),
        ([1, 2, 3], 1, [1]),
    ),
    ("1-of-2-threshold-increase-to-2-of-2", ([1], 1, [1]), ([1, 2], 2, [1, 2])),
    (
        "1-of-1-key-rotation-fail-not-signed-with-old-key",
        ([1], 1, [1]),
        ([2], 1, [2, 3, 4], False),
    ),
    (
        "1-of-1-key-rotation-fail-not-signed-with-new-key",
        ([1], 1, [1]),
        ([2], 1, [1, 3, 4], False),
    ),
    (
        "3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys",
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([0, 1, 3, 4, 5], 3, [0, 2, 4], False),
    ),
    (
        "3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys",
        ([0, 1, 2, 3, 4], 3, [0, 2, 4]),
        ([0, 1, 3, 4, 5], 3, [0, 4, 5], False),
    ),
    (
        "1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached",
        ([1, 2, 3], 1, [1]),
        ([1, 2, 3], 2, [2], False),
    ),
    (
        "2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-eached",
        ([1, 2, 3], 2, [1, 2]),
        ([1, 2, 3], 1, [1], False),
    ),
)


def set_role(repo, role, keys, step):
    entry = repo.root["roles"][role]
    entry["keyids"].clear()
    entry["threshold"] = step[1]
    for number in step[0]:
        repo.trust_key(role, keys[number])
    repo.signers[role] = [keys[number] for number in step[2]]


@case(*ROOT_ROTATIONS)
def root_rotation(client, *steps):
    repo = client.repo
    keys = [Key("ed25519", "ed25519") for _ in range(10)]
    repo.start_again("root")
    for step in steps:
        set_role(repo, "root", keys, step)
        repo.publish("root")
    repo.publish("targets", "snapshot", "timestamp")
    taken = len(steps[-1]) == 3
    assert client.init(repo.served["root"][0])
    assert client.refresh() == taken
    assert client.kept("root") == repo.served["root"][-1 if taken else -2]


@case(
    ("1-of-1-key-rotation", ([2], 1, [2])),
    ("1-of-1-key-rotation-unused-signatures", ([1], 1, [3, 1, 4])),
    ("1-of-1-key-rotation-fail-not-signed-with-new-key", ([2], 1, [1, 3, 4], False)),
    (
        "3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys",
        ([0, 1, 3, 4, 5], 3, [0, 2, 4], False),
    ),
    (
        "2-of-5-one-key-signature-mising-threshold-not-reached",
        ([0, 1, 3, 4, 5], 3, [0, 4], False),
    ),
    ("3-of-5-sign-first-combo", ([0, 1, 2, 3, 4], 3, [0, 2, 4])),
    ("3-of-5-sign-second-combo", ([0, 1, 2, 3, 4], 3, [0, 4, 1])),
    ("3-of-5-sign-third-combo", ([0, 1, 2, 3, 4], 3, [0, 1, 3])),
    ("3-of-5-sign-fourth-combo", ([0, 1, 2, 3, 4], 3, [1, 2, 3])),
    ("3-of-5-sign-fifth-combo", ([0, 1, 2, 3, 4], 3, [2, 3, 4])),
)
def non_root_rotations(client, step):
    repo = client.repo
    assert client.init()
    keys = [Key("ed25519", "ed25519") for _ in range(10)]
    for role in ("timestamp", "snapshot", "targets"):
        set_role(repo, role, keys, step)
        repo.publish(*ALL)
        assert client.refresh() == (len(step) == 3)
        if len(step) == 3:
            assert client.kept(role) == repo.newest(role)


# What the specification bounds.


@case(
    ("root", "root"), ("timestamp", "timestamp"), ("snapshot", "snapshot"), ("targets", "targets")
)
def endless_metadata(client, role):
    repo = started(client)
    repo.publish(*ALL)
    repo.served[role][-1] += b" " * (9 << 20)
    assert not client.refresh()
    assert client.trusted()[role] == 1


@case()
def length_of_snapshot_is_kept(client):
    repo = client.repo
    assert client.init()
    repo.with_hashes = True
    repo.publish("targets", "snapshot", "timestamp")
    repo.served["snapshot"][-1] += b" "
    assert not client.refresh()
    assert "snapshot" not in client.trusted()


@case()
def canonical_form_is_not_the_served_form(client):
    # White space, order of members and escapes do not matter to a signature.
    repo = client.repo
    assert client.init()
    repo.targets["note"] = 'quote " back\\slash \u00e9\u4e16'
    repo.publish("targets", "snapshot", "timestamp")
    document = json.loads(repo.newest("targets"))
    assert canonical(document["signed"])
    repo.served["targets"][-1] = json.dumps(document, indent=7, sort_keys=True).encode()
    assert client.refresh()
    assert client.trusted()["targets"] == 2
