"""A TUF repository in memory that a case can make misbehave, and what it was asked for.

The signed parts are plain dictionaries: a case changes them by hand, chooses who signs, and
publishes. Nothing here knows how a client works.
"""

import copy
import datetime
import hashlib
import json
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

TOP = ("root", "timestamp", "snapshot", "targets")


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def stamp(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def days(count):
    """A moment so many days from now, as metadata writes it."""
    return stamp(now() + datetime.timedelta(days=count))


def canonical(value):
    """OLPC canonical JSON, written from its definition and not with the product's code."""
    if isinstance(value, dict):
        members = (canonical(k) + b":" + canonical(value[k]) for k in sorted(value))
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(canonical(v) for v in value) + b"]"
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return b'"' + text.encode() + b'"'
    return json.dumps(value).encode()


class Key:
    """A key pair and its TUF key object."""

    def __init__(self, keytype="ecdsa", scheme="ecdsa-sha2-nistp256", extra=None):
        self.scheme = scheme
        if keytype == "ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
            raw = self.private.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw
            )
            public = raw.hex()
        else:
            if keytype == "rsa":
                self.private = rsa.generate_private_key(65537, 2048)
            elif scheme.endswith("384"):
                self.private = ec.generate_private_key(ec.SECP384R1())
            else:
                self.private = ec.generate_private_key(ec.SECP256R1())
            public = (
                self.private.public_key()
                .public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
                .decode()
            )
        self.value = {"keytype": keytype, "scheme": scheme, "keyval": {"public": public}}
        self.value.update(extra or {})
        self.keyid = hashlib.sha256(canonical(self.value)).hexdigest()

    def sign(self, data):
        if self.scheme == "ed25519":
            return self.private.sign(data).hex()
        if self.scheme == "rsassa-pss-sha256":
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256().digest_size)
            return self.private.sign(data, pss, hashes.SHA256()).hex()
        if self.scheme == "rsa-pkcs1v15-sha256":
            return self.private.sign(data, padding.PKCS1v15(), hashes.SHA256()).hex()
        digest = hashes.SHA384() if self.scheme.endswith("384") else hashes.SHA256()
        return self.private.sign(data, ec.ECDSA(digest)).hex()


class Repository:
    """Signed parts by role, who signs each, and every version that is served."""

    def __init__(self):
        self.parts = {role: self._part(role) for role in TOP}
        self.parts["root"].update(consistent_snapshot=True, keys={}, roles={})
        self.parts["timestamp"]["meta"] = {"snapshot.json": {"version": 1}}
        self.parts["snapshot"]["meta"] = {"targets.json": {"version": 1}}
        self.signers = {role: [] for role in TOP}
        self.served = {}
        self.artifacts = {}
        self.with_hashes = False
        self.metadata_asked = []
        self.artifacts_asked = []
        for role in TOP:
            self.parts["root"]["roles"][role] = {"keyids": [], "threshold": 1}
            self.add_key(role)
        self.publish("targets", "snapshot", "timestamp", "root")

    @staticmethod
    def _part(role, expires=None):
        part = {
            "_type": role if role in TOP else "targets",
            "spec_version": "1.0.34",
            "version": 1,
            "expires": expires or days(30),
        }
        if part["_type"] == "targets":
            part["targets"] = {}
        return part

    def __getattr__(self, name):
        if name in TOP:
            return self.parts[name]
        raise AttributeError(name)

    # Keys and delegations.

    def _keys_and_entry(self, role, delegator):
        if role in TOP:
            return self.root["keys"], self.root["roles"][role]
        delegations = self.parts[delegator]["delegations"]
        if "succinct_roles" in delegations:
            return delegations["keys"], delegations["succinct_roles"]
        entry = next(r for r in delegations["roles"] if r["name"] == role)
        return delegations["keys"], entry

    def trust_key(self, role, key, delegator=None):
        """Lists the key for the role; it does not sign yet."""
        keys, entry = self._keys_and_entry(role, delegator)
        keys[key.keyid] = key.value
        entry["keyids"].append(key.keyid)

    def add_key(self, role, key=None, delegator=None):
        key = key or Key()
        self.trust_key(role, key, delegator)
        self.signers.setdefault(role, []).append(key)
        return key

    def rotate_keys(self, role):
        entry = self.root["roles"][role]
        entry["keyids"].clear()
        self.signers[role].clear()
        for _ in range(entry["threshold"]):
            self.add_key(role)

    def delegate(self, delegator, name, sign=True, expires=None, **entry):
        """One more delegation, last in its delegator's list, with one new key."""
        delegations = self.parts[delegator].setdefault("delegations", {"keys": {}, "roles": []})
        role = {"name": name, "keyids": [], "threshold": 1, "terminating": False}
        if "path_hash_prefixes" not in entry:
            role["paths"] = ["*"]
        role.update(entry)
        delegations["roles"].append(role)
        self.parts.setdefault(name, self._part(name, expires))
        key = Key()
        self.trust_key(name, key, delegator)
        self.signers.setdefault(name, [])
        if sign:
            self.signers[name].append(key)
        return key

    def delegate_bins(self, delegator, bit_length, prefix):
        """TAP 15: 2^bit_length bins with one key."""
        self.parts[delegator]["delegations"] = {
            "keys": {},
            "succinct_roles": {
                "keyids": [],
                "threshold": 1,
                "bit_length": bit_length,
                "name_prefix": prefix,
            },
        }
        key = Key()
        width = len(f"{2**bit_length - 1:x}")
        self.trust_key(prefix, key, delegator)
        names = [f"{prefix}-{number:0{width}x}" for number in range(2**bit_length)]
        for name in names:
            self.parts[name] = self._part(name)
            self.signers[name] = [key]
        return names

    def add_artifact(self, role, path, data, algorithms=("sha256",)):
        digests = {name: hashlib.new(name, data).hexdigest() for name in algorithms}
        self.parts[role]["targets"][path] = {"length": len(data), "hashes": digests}
        self.artifacts[path] = data

    # Publishing and serving.

    def signed(self, role):
        part = copy.deepcopy(self.parts[role])
        data = canonical(part)
        signatures = [{"keyid": k.keyid, "sig": k.sign(data)} for k in self.signers[role]]
        return {"signed": part, "signatures": signatures}

    def publish(self, *roles):
        """Signs each with the next version and names it in what refers to it."""
        for role in roles:
            part = self.parts[role]
            if role in self.served:
                part["version"] += 1
            data = json.dumps(self.signed(role), indent=1).encode()
            self.served.setdefault(role, []).append(data)
            meta = {"version": part["version"]}
            if self.with_hashes:
                meta["length"] = len(data)
                meta["hashes"] = {"sha256": hashlib.sha256(data).hexdigest()}
            if role == "snapshot":
                self.timestamp["meta"] = {"snapshot.json": meta}
            elif part["_type"] == "targets":
                self.snapshot["meta"][f"{role}.json"] = meta

    def start_again(self, role, version=1):
        """Forgets what was published of a role: the next publication has this version."""
        self.served.pop(role, None)
        self.parts[role]["version"] = version

    def change_served(self, role, change):
        """`change` alters the newest file of a role after it was signed."""
        document = json.loads(self.served[role].pop())
        change(document)
        self.served[role].append(json.dumps(document).encode())

    def newest(self, role):
        return self.served[role][-1]

    def fetch(self, path):
        """The body for a URL path, or None. Paths come as they stood in the request line."""
        if path.startswith("metadata/") and path.endswith(".json"):
            return self._fetch_metadata(path[len("metadata/") : -len(".json")])
        if path.startswith("targets/"):
            folder, slash, name = path[len("targets/") :].rpartition("/")
            prefix = None
            if self.root["consistent_snapshot"]:
                prefix, _, name = name.partition(".")
            target = urllib.parse.unquote(folder + slash + name)
            self.artifacts_asked.append((target, prefix))
            known = [
                digest
                for part in self.parts.values()
                for digest in part.get("targets", {}).get(target, {}).get("hashes", {}).values()
            ]
            if prefix is not None and prefix not in known:
                return None
            return self.artifacts.get(target)
        return None

    def _fetch_metadata(self, name):
        version = None
        number, _, rest = name.partition(".")
        if rest == "root" or (self.root["consistent_snapshot"] and name != "timestamp"):
            name, version = rest, int(number)
        self.metadata_asked.append((name, version))
        files = self.served.get(urllib.parse.unquote(name), [])
        if version is None:
            return files[-1] if files else None
        return files[version - 1] if 1 <= version <= len(files) else None
