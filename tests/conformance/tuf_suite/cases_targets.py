"""Targets and delegations: search order, patterns, bins, downloads, names. Names as in
theupdateframework/tuf-conformance."""

import datetime
import hashlib
import urllib.parse

from harness import StaticRepository, case, versions
from simulator import days, now

CHAIN = ("targets", "snapshot", "timestamp")


def later(count):
    return now() + datetime.timedelta(days=count)


def publish_all(repo):
    delegated = [role for role in repo.parts if role not in ("root", *CHAIN)]
    repo.publish(*delegated, *CHAIN)


def visits(repo):
    return [role for role, _ in repo.metadata_asked[4:]]


# Graphs: (delegator, role, options)..., and the order of the visits.

GRAPHS = (
    ("basic-delegation", "A", (("targets", "A"),)),
    ("single-level-delegations", "AB", (("targets", "A"), ("targets", "B"))),
    ("two-level-delegations", "ABC", (("targets", "A"), ("targets", "B"), ("B", "C"))),
    (
        "two-level-test-DFS-order-of-traversal",
        "ACDB",
        (("targets", "A"), ("targets", "B"), ("A", "C"), ("A", "D")),
    ),
    (
        "three-level-delegation-test-DFS-order-of-traversal",
        "ACDB",
        (("targets", "A"), ("targets", "B"), ("A", "C"), ("C", "D")),
    ),
    (
        "two-level-terminating-ignores-all-but-roles-descendants",
        "AC",
        (("targets", "A"), ("targets", "B"), ("A", "C", {"terminating": True}), ("A", "D")),
    ),
    (
        "three-level-terminating-ignores-all-but-roles-descendants",
        "ACD",
        (("targets", "A"), ("targets", "B"), ("A", "C", {"terminating": True}), ("C", "D")),
    ),
    (
        "two-level-ignores-all-branches-not-matching-paths",
        "B",
        (("targets", "A", {"paths": ["*.py"]}), ("targets", "B"), ("A", "C")),
    ),
    (
        "three-level-ignores-all-branches-not-matching-paths",
        "AB",
        (("targets", "A"), ("targets", "B"), ("A", "C", {"paths": ["*.py"]}), ("C", "D")),
    ),
    (
        "cyclic-graph",
        "ABCD",
        (("targets", "A"), ("targets", "B"), ("B", "C"), ("C", "D"), ("D", "B")),
    ),
    (
        "two-roles-delegating-to-a-third",
        "ACB",
        (("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C")),
    ),
    (
        "two-roles-delegating-to-a-third-different-paths",
        "ABC",
        (("targets", "A"), ("targets", "B"), ("B", "C"), ("A", "C", {"paths": ["*.py"]})),
    ),
)


@case(*GRAPHS)
def graph_traversal(client, order, edges):
    repo = client.repo
    assert client.init()
    for delegator, role, *options in edges:
        repo.delegate(delegator, role, **(options[0] if options else {}))
    publish_all(repo)
    assert not client.download("missingpath")
    assert repo.metadata_asked[4:] == [(role, 1) for role in order]
    # Once more: all that was verified is in the store.
    repo.metadata_asked.clear()
    assert not client.download("missingpath")
    assert repo.metadata_asked == [("root", 2), ("timestamp", None)]


SEARCHES = (
    ("no delegations", "targetfile", True, ""),
    ("targetpath matches wildcard", "README.md", True, "A"),
    ("targetpath with separators x", "releases/x/x_v1", True, "BC"),
    ("targetpath with separators y", "releases/y/y_v1.zip", True, "BD"),
    ("targetpath is not delegated by all roles in the chain", "releases/z/z_v1.zip", False, "B"),
    ("wildcard does not match path separator", "releases/README.md", False, ""),
    ("targetpath matches question mark wildcard", "foo-1.tgz", True, "A"),
    ("targetpath does not match question mark wildcard", "foo-alpha.tgz", False, ""),
    ("targetpath matching is case sensitive", "README.MD", False, ""),
)


@case(*SEARCHES)
def targetfile_search(client, path, found, order):
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "A", paths=["*.doc", "*.md", "foo-?.tgz"])
    repo.delegate("targets", "B", paths=["releases/*/*"])
    repo.delegate("B", "C", paths=["releases/x/*"])
    repo.delegate("B", "D", paths=["releases/y/*.zip"])
    for role, name in (
        ("targets", "targetfile"),
        ("A", "README.md"),
        ("A", "releases/README.md"),
        ("A", "foo-1.tgz"),
        ("A", "foo-alpha.tgz"),
        ("C", "releases/x/x_v1"),
        ("D", "releases/y/y_v1.zip"),
        ("D", "releases/z/z_v1.zip"),
    ):
        repo.add_artifact(role, name, f"{name} by {role}".encode())
    publish_all(repo)
    assert client.download(path) == found
    assert visits(repo) == list(order)
    assert client.downloaded() == ([repo.artifacts[path]] if found else [])


@case(
    ("star-stays-in-its-component", "*", "a/b", False),
    ("star-matches-a-leading-dot", "*", ".hidden", True),
    ("question-mark", "v?.bin", "v1.bin", True),
    ("question-mark-is-not-a-slash", "a?b", "a/b", False),
    ("question-mark-is-one-character", "v?", "v\u4e16", True),
    ("set", "v[0-4]", "v3", True),
    ("set-does-not-hold-it", "v[!0-4]", "v3", False),
    ("too-few-components", "models/*/*", "models/acme", False),
    ("too-many-components", "models/*", "models/acme/x", False),
    ("many-stars", "*a*a*a*a*a*a*a*a*a*b", "a" * 200, False),
)
def path_pattern(client, pattern, path, covered):
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "A", paths=[pattern])
    repo.add_artifact("A", path, b"content")
    publish_all(repo)
    assert client.download(path) == covered
    assert visits(repo) == (["A"] if covered else [])


@case(*((f"bins-{2**bits}", bits) for bits in (1, 4, 6)))
def hash_bins_graph_traversal(client, bits):
    # Bins by path_hash_prefixes of two digits, as repositories make them.
    repo = client.repo
    assert client.init()
    count = 2**bits
    size = 256 // count
    for number in range(count):
        prefixes = [f"{value:02x}" for value in range(number * size, (number + 1) * size)]
        repo.delegate("targets", f"bin-{number:02x}", path_hash_prefixes=prefixes)
    path = "models/acme/log-triage"
    mine = hashlib.sha256(path.encode()).digest()[0] // size
    repo.add_artifact(f"bin-{mine:02x}", path, b"manifest")
    publish_all(repo)
    assert client.download(path)
    assert visits(repo) == [f"bin-{mine:02x}"]


@case(("2-bins", 1), ("8-bins", 3), ("16-bins", 4), ("256-bins", 8))
def succinct_roles_graph_traversal(client, bits):
    repo = client.repo
    assert client.init()
    repo.delegate_bins("targets", bits, "bin")
    path = "models/acme/log-triage"
    number = int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") >> (32 - bits)
    name = f"bin-{number:0{len(f'{2**bits - 1:x}')}x}"
    repo.add_artifact(name, path, b"manifest")
    publish_all(repo)
    assert client.download(path)
    assert visits(repo) == [name]


@case()
def cached_role_is_verified_against_current_delegator(client):
    # C is reached through A and through B; only A's key signed it.
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "A", paths=["path-a"])
    repo.delegate("targets", "B", paths=["path-b"])
    repo.delegate("A", "C", paths=["path-a"])
    key_of_b = repo.delegate("B", "C", sign=False, paths=["path-b"])
    repo.add_artifact("C", "path-a", b"through A")
    repo.add_artifact("C", "path-b", b"through B")
    publish_all(repo)
    assert not client.download("path-a", "path-b")
    assert client.downloaded() == [b"through A"]
    assert not client.download("path-b")
    # Signed for both, it is found both ways.
    repo.signers["C"].append(key_of_b)
    repo.publish("C", "snapshot", "timestamp")
    assert client.download("path-a", "path-b")
    assert sorted(client.downloaded()) == [b"through A", b"through B"]


@case(
    ("unsigned", "unsigned"),
    ("not listed in the snapshot", "unlisted"),
    ("not served", "gone"),
    ("another version", "version"),
    ("another type", "type"),
)
def invalid_delegated_metadata(client, fault):
    # A role that cannot be verified ends the search: B, which has the target, is not asked.
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "A")
    repo.delegate("targets", "B")
    repo.add_artifact("B", "target", b"content")
    if fault == "unsigned":
        repo.signers["A"].clear()
    if fault == "type":
        repo.parts["A"]["_type"] = "snapshot"
        repo.parts["A"]["meta"] = {"targets.json": {"version": 1}}
    repo.publish("A", "B", "targets")
    if fault == "type":
        repo.snapshot["meta"]["A.json"] = {"version": 1}
        repo.snapshot["meta"].setdefault("targets.json", {"version": 2})
    if fault == "unlisted":
        del repo.snapshot["meta"]["A.json"]
    if fault == "gone":
        del repo.served["A"]
    if fault == "version":
        repo.snapshot["meta"]["A.json"]["version"] = 2
        repo.served["A"].append(repo.served["A"][0])
    repo.publish("snapshot", "timestamp")
    assert not client.download("target")
    assert "B" not in visits(repo)
    assert "A" not in client.trusted()
    assert client.downloaded() == []


@case()
def delegation_not_in_snapshot(client):
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "delegated", paths=["delegatedpath/*"])
    repo.publish("delegated", "targets")
    del repo.snapshot["meta"]["delegated.json"]
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    repo.metadata_asked.clear()
    assert not client.download("delegatedpath/foo")
    assert "delegated" not in client.trusted()
    assert repo.metadata_asked == [("root", 2), ("timestamp", None)]


@case()
def delegation_depth_is_bounded(client):
    repo = client.repo
    assert client.init()
    above = "targets"
    for number in range(40):
        repo.delegate(above, f"r{number}")
        above = f"r{number}"
    repo.add_artifact(above, "deep", b"content")
    publish_all(repo)
    assert not client.download("deep")
    assert len(visits(repo)) < 40


@case()
def consistent_snapshot_disabled(client):
    repo = client.repo
    assert client.init()
    repo.root["consistent_snapshot"] = False
    for role in ("role1", "..", "."):
        repo.delegate("targets", role, paths=["*/*"])
    repo.add_artifact(".", "folder/target", b"content")
    repo.publish("root")
    publish_all(repo)
    assert client.download("folder/target")
    asked = [("root", 2), ("root", 3), ("timestamp", None), ("snapshot", None), ("targets", None)]
    asked += [("role1", None), ("..", None), (".", None)]
    assert repo.metadata_asked == asked
    assert repo.artifacts_asked == [("folder/target", None)]


# Expiry of delegated roles.


@case()
def delegated_targets_expired(client):
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "delegated", paths=["delegatedpath/*"], expires=days(-1))
    repo.add_artifact("delegated", "delegatedpath/target", b"delegated content")
    publish_all(repo)
    assert client.refresh()
    assert not client.download("delegatedpath/target")
    assert client.downloaded() == []
    assert client.trusted() == versions(1, 2, 2, 2)


def expiring_role(client):
    repo = client.repo
    assert client.init()
    repo.delegate("targets", "delegated", paths=["delegatedpath/*"], expires=days(7))
    repo.add_artifact("delegated", "delegatedpath/first", b"first")
    repo.add_artifact("delegated", "delegatedpath/second", b"second")
    publish_all(repo)
    assert client.download("delegatedpath/first")
    assert client.downloaded() == [b"first"]
    return repo


@case()
def expired_local_delegated_targets(client):
    expiring_role(client)
    assert not client.download("delegatedpath/second", at=later(18))
    assert client.downloaded() == [b"first"]


@case()
def expired_local_delegated_targets_updates(client):
    repo = expiring_role(client)
    repo.parts["delegated"]["expires"] = days(21)
    repo.publish("delegated", "snapshot", "timestamp")
    assert client.download("delegatedpath/second", at=later(18))
    assert client.downloaded() == [b"first", b"second"]


# Downloads.


def with_artifact(client, path, content=b"target file contents", **options):
    assert client.init()
    client.repo.add_artifact("targets", path, content, **options)
    client.repo.publish(*CHAIN)
    return content


@case()
def client_downloads_expected_file(client):
    content = with_artifact(client, "target_file.txt")
    assert client.refresh()
    assert client.downloaded() == []
    assert client.download("target_file.txt")
    assert client.downloaded() == [content]


@case()
def artifact_cache(client):
    with_artifact(client, "target_file.txt")
    assert client.download("target_file.txt")
    assert client.download("target_file.txt")
    assert len(client.repo.artifacts_asked) == 1


@case()
def client_downloads_expected_file_in_sub_dir(client):
    content = with_artifact(client, "path/to/a/target_file.txt")
    assert client.download("path/to/a/target_file.txt")
    assert client.downloaded() == [content]


@case()
def repository_substitutes_target_file(client):
    repo = client.repo
    repo.add_artifact("targets", "another_target_file.txt", b"content")
    content = with_artifact(client, "target_file.txt")
    assert client.download("target_file.txt")
    for path in repo.artifacts:
        repo.artifacts[path] = b"malicious data - should not download"
    client.download("target_file.txt")
    assert client.downloaded() == [content]
    assert not client.download("another_target_file.txt")
    assert client.downloaded() == [content]


@case()
def multiple_changes_to_target(client):
    repo = client.repo
    expected = [with_artifact(client, "target_file.txt")]
    assert client.download("target_file.txt")
    current = expected[0]
    for number in range(11):
        changed = f"modified file contents {number}".encode()
        added = f"new file contents {number}".encode()
        repo.add_artifact("targets", "target_file.txt", changed)
        repo.add_artifact("targets", f"new-target-{number}", added)
        repo.publish(*CHAIN)
        if number % 5:
            continue
        assert client.download("target_file.txt")
        expected.remove(current)
        expected.append(changed)
        current = changed
        assert client.downloaded() == expected
        assert client.download(f"new-target-{number}")
        expected.append(added)
        assert client.downloaded() == expected
        repo.artifacts["target_file.txt"] = b"malicious contents"
        repo.publish(*CHAIN)
        client.download("target_file.txt")
        assert client.downloaded() == expected


@case(
    ("hashes0", ("sha256",)), ("hashes1", ("sha512",)), ("hashes2", ("sha256", "sha512"))
)
def download_with_hash_algorithms(client, algorithms):
    content = with_artifact(client, "target_file.txt", algorithms=algorithms)
    assert client.download("target_file.txt")
    assert client.download("target_file.txt")
    hashes = client.repo.targets["targets"]["target_file.txt"]["hashes"]
    assert client.repo.artifacts_asked in [[("target_file.txt", h)] for h in hashes.values()]
    assert client.downloaded() == [content]


@case()
def download_with_unknown_hash_algorithm(client):
    repo = client.repo
    with_artifact(client, "target_file.txt")
    hashes = repo.targets["targets"]["target_file.txt"]["hashes"]
    hashes["unknown-hash"] = hashes.pop("sha256")
    repo.publish(*CHAIN)
    assert not client.download("target_file.txt")
    assert client.downloaded() == []


@case(("shorter", -1), ("longer", 1))
def download_with_wrong_length(client, change):
    repo = client.repo
    with_artifact(client, "target_file.txt")
    repo.targets["targets"]["target_file.txt"]["length"] += change
    repo.publish(*CHAIN)
    assert not client.download("target_file.txt")
    assert client.downloaded() == []


@case()
def endless_target(client):
    with_artifact(client, "target_file.txt")
    client.repo.artifacts["target_file.txt"] += b"x" * (64 << 20)
    assert not client.download("target_file.txt")
    assert client.downloaded() == []


@case(*((role, role) for role in ("?", "#", "/delegatedrole", "../delegatedrole")))
def unusual_role_name(client, role):
    repo = client.repo
    repo.delegate("targets", role)
    publish_all(repo)
    assert client.init()
    assert not client.download("nonexistent target")
    assert (urllib.parse.quote(role, ""), 1) in repo.metadata_asked
    assert len(client.trusted()) == 5


@case(*((path, path) for path in ("a b", "100%", "#?&", "\u4e16\u754c", ".hidden")))
def unusual_target_path(client, path):
    content = with_artifact(client, path)
    assert client.download(path)
    assert client.downloaded() == [content]


@case(*((path, path) for path in ("../escape", "/etc/passwd", "a//b", "a/./b")))
def target_path_that_leaves_the_folder(client, path):
    with_artifact(client, path)
    assert not client.download(path)
    assert client.downloaded() == []


# A repository that another tool made: keys and roles with fields of its own, empty signatures.


@case(("tuf-on-ci-0.11", "tuf-on-ci-0.11", "delegatedrole/artifact"))
def static_repository(client, name, target):
    then = datetime.datetime(2025, 2, 9, 9, 17, 23, tzinfo=datetime.timezone.utc)
    client.serve(StaticRepository(name))
    assert client.init(client.repo.first_root)
    assert client.refresh(then)
    assert client.download(target, at=then)
    assert client.downloaded() == [b"artifact for tuf-on-ci repository\n"]
