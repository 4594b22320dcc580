#!/usr/bin/env python3
"""Drives tests/conformance/oms as the conformance suite of ossf/model-signing-spec does; prints TAP.

The cases are those of the suite's key and certificate methods. What the client signs is checked by an implementation of
the format that shares nothing with it (oms_reference.py), and the client checks what that one signs.
usage: run.py CLIENT
"""

import base64
import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import oms_reference as oms
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

CLIENT = sys.argv[1]
VECTORS = pathlib.Path(__file__).resolve().parents[2] / "vectors" / "oms"
ROOT = pathlib.Path(tempfile.mkdtemp(prefix="oms-suite-"))
results = []


def report(good, name, detail=""):
    results.append(good)
    print(("ok" if good else "not ok") + f" {len(results)} - {name}")
    if not good:
        print("# " + detail.replace("\n", "\n# "))


def client(*arguments):
    done = subprocess.run([CLIENT, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr.strip()


def pem(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


class Keys:
    """The keys and certificates of the suite, made fresh."""

    def __init__(self, folder):
        self.folder = folder
        self.signing = ec.generate_private_key(ec.SECP384R1())
        self.root_key = ec.generate_private_key(ec.SECP384R1())
        self.middle_key = ec.generate_private_key(ec.SECP384R1())
        self.root = oms.certificate("root-ca", self.root_key, ca=True)
        self.middle = oms.certificate("intermediate-ca", self.middle_key, self.root, self.root_key, ca=True)
        self.leaf = oms.certificate("signing-key", self.signing, self.middle, self.middle_key)
        self.private = pem(folder / "signing-key.pem", oms.private_pem(self.signing))
        self.public = pem(folder / "signing-key-pub.pem", oms.public_pem(self.signing.public_key()))
        self.ca = self.save("ca-cert.pem", self.root)
        self.int_ca = self.save("int-ca-cert.pem", self.middle)
        self.cert = self.save("signing-key-cert.pem", self.leaf)

    def save(self, name, certificate):
        return pem(self.folder / name, certificate.public_bytes(serialization.Encoding.PEM))

    def sign_args(self, method):
        if method == "key":
            return ["--method", "key", "--private-key", self.private]
        return ["--method", "certificate", "--private-key", self.private, "--signing-cert", self.cert,
                "--cert-chain", self.int_ca]

    def verify_args(self, method):
        if method == "key":
            return ["--method", "key", "--public-key", self.public]
        return ["--method", "certificate", "--cert-chain", self.ca]


KEYS = Keys(ROOT / "keys")
MODELS = {
    "simple": {"signme-1": b"signme-1\n", "signme-2": b"signme-2", "ignore-me": b""},
    "multi-file": {"config.json": b"{}", "weights.bin": bytes(1024), "subdir/adapter.bin": b"\xab" * 512},
    "binary-content": {"header.bin": b"\x89PNG\r\n\x1a\n\x00\xff", "weights.bin": bytes(range(256)) * 4},
    "with-dotfiles": {".config": b"c", ".env.example": b"e", "model.bin": b"m"},
    "with-empty-file": {"empty.bin": b"", "signme-1": b"signme-1"},
    "with-git-dir": {"model.bin": b"m", ".git/HEAD": b"ref", ".github/ci.yml": b"on", ".gitignore": b"x",
                     ".gitattributes": b"x"},
    "hidden-subdir": {"model.bin": b"m", ".cache/weights.bin": b"w", ".local/share/data.bin": b"d"},
    "with-nested-gitignore": {"model.bin": b"m", "subdir/.gitignore": b"x"},
    "with-nested-ignore": {"ignore-me": b"i", "signme-1": b"s", "subdir/ignore-me": b"n"},
    "unicode-names": {"weights.bin": b"w", "模型.bin": b"m"},
    "special-chars": {"file (copy).bin": b"c", "normal.bin": b"n", "path with spaces/model.bin": b"m"},
    "deeply-nested": {"a/very/deep/directory/tree/model.bin": b"m", ".git/HEAD": b"ref"},
    "with-assets-subdir": {"config.json": b"{}", "assets/vocab.txt": b"v", "assets/tokenizer.bin": b"\xaa" * 128},
    "multi-git-dirs": {"model.bin": b"m", ".git/HEAD": b"r", "submodule/model.bin": b"s", "submodule/.git/HEAD": b"s"},
    "multi-gitignore": {"model.bin": b"m", ".gitignore": b"", "subdir/data.bin": b"d", "subdir/.gitignore": b"n"},
    "with-git-and-ignore": {"model.bin": b"m", ".git/HEAD": b"r", ".gitattributes": b"", "ignored-file.tmp": b"i"},
    "empty": {".gitignore": b"x"},
}


def make_model(name, case):
    folder = ROOT / "cases" / case / name
    for path, content in MODELS[name].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def ignore_args(model, paths):
    return [a for p in paths for a in ("--ignore-paths", model / p)]


def round_trip(case, method, model, ignore=(), inside=False, expected=None, keys=KEYS):
    bundle = (model if inside else model.parent) / "bundle.sig"
    code, text = client("sign-model", "--model-path", model, "--output-bundle", bundle, *keys.sign_args(method),
                        *ignore_args(model, ignore))
    if code != 0:
        return report(False, f"roundtrip {case}", "sign: " + text)
    try:
        root = keys.root if method == "certificate" else None
        statement = oms.check_bundle(json.loads(bundle.read_text()), model, keys.signing.public_key(), root)
    except Exception as error:  # every way to be wrong is a failure of the client
        return report(False, f"roundtrip {case}", f"the independent check refused the bundle: {error!r}")
    names = [r["name"] for r in statement["predicate"]["resources"]]
    if expected is not None and names != expected:
        return report(False, f"roundtrip {case}", f"signed {names}, expected {expected}")
    code, text = client("verify-model", "--model-path", model, "--bundle", bundle, *keys.verify_args(method),
                        *ignore_args(model, ignore))
    report(code == 0, f"roundtrip {case}", "verify: " + text)


def round_trips():
    simple = ["signme-1", "signme-2"]
    round_trip("key-simple", "key", make_model("simple", "key-simple"), ["ignore-me"], expected=simple)
    round_trip("certificate-simple", "certificate", make_model("simple", "certificate-simple"), ["ignore-me"],
               expected=simple)
    round_trip("certificate-multi-file", "certificate", make_model("multi-file", "certificate-multi-file"))
    expected = {"multi-file": ["config.json", "subdir/adapter.bin", "weights.bin"],
                "with-git-dir": ["model.bin"], "deeply-nested": ["a/very/deep/directory/tree/model.bin"],
                "with-nested-gitignore": ["model.bin", "subdir/.gitignore"],
                "multi-git-dirs": ["model.bin", "submodule/model.bin"],
                "multi-gitignore": ["model.bin", "subdir/data.bin"], "with-git-and-ignore": ["model.bin"]}
    ignored = {"multi-git-dirs": [".git/HEAD", "submodule/.git/HEAD"],
               "multi-gitignore": [".gitignore", "subdir/.gitignore"],
               "with-git-and-ignore": [".git/HEAD", ".gitattributes", "ignored-file.tmp"]}
    for name in MODELS:
        if name not in ("simple", "empty", "with-nested-ignore"):
            round_trip("key-" + name, "key", make_model(name, "key-" + name), ignored.get(name, ()),
                       expected=expected.get(name))
    round_trip("key-ignore-paths-exact-match", "key", make_model("with-nested-ignore", "key-exact"), ["ignore-me"],
               expected=["signme-1", "subdir/ignore-me"])
    round_trip("key-sig-inside-model", "key", make_model("simple", "key-inside"), ["ignore-me"], inside=True,
               expected=simple)
    single = make_model("simple", "key-single-file") / "signme-1"
    round_trip("key-single-file", "key", single, expected=["signme-1"])
    for name, curve in oms.CURVES.items():
        keys = copy.copy(KEYS)
        keys.signing = ec.generate_private_key(curve)
        keys.private = pem(ROOT / name / "signing-key.pem", oms.private_pem(keys.signing))
        keys.public = pem(ROOT / name / "signing-key-pub.pem", oms.public_pem(keys.signing.public_key()))
        round_trip("key-" + name, "key", make_model("multi-file", "key-" + name), keys=keys)
    self_signed()
    determinism()


def self_signed():
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = oms.certificate("self-signed-test", key)
    private = pem(ROOT / "self" / "key.pem", oms.private_pem(key))
    cert = pem(ROOT / "self" / "cert.pem", leaf.public_bytes(serialization.Encoding.PEM))
    model = make_model("simple", "certificate-self-signed")
    bundle = model.parent / "bundle.sig"
    signed = client("sign-model", "--method", "certificate", "--model-path", model, "--output-bundle", bundle,
                    "--private-key", private, "--signing-cert", cert, "--cert-chain", cert)
    verified = client("verify-model", "--method", "certificate", "--model-path", model, "--bundle", bundle,
                      "--cert-chain", cert)
    report(signed[0] == 0 and verified[0] == 0, "roundtrip certificate-self-signed", signed[1] + verified[1])


def determinism():
    model = make_model("multi-file", "key-deterministic")
    statements = []
    for name in ("one.sig", "two.sig"):
        bundle = model.parent / name
        client("sign-model", "--model-path", model, "--output-bundle", bundle, *KEYS.sign_args("key"))
        statements.append(json.loads(bundle.read_text())["dsseEnvelope"]["payload"])
    report(statements[0] == statements[1], "roundtrip key-simple-deterministic")


def refused_models():
    def refuse(case, prepare, base="simple"):
        model = make_model(base, "refused-" + case)
        prepare(model)
        code, text = client("sign-model", "--model-path", model, "--output-bundle", model.parent / "bundle.sig",
                            *KEYS.sign_args("key"))
        report(code == 1 and text != "" and not (model.parent / "bundle.sig").exists(), f"sign refuses {case}", text)

    refuse("key-empty-model", lambda m: None, "empty")
    refuse("key-symlink-default", lambda m: (m / "link").symlink_to("signme-1"))
    refuse("key-symlink-outside-root", lambda m: (m / "link").symlink_to("/nonexistent-target"))
    refuse("key-symlink-cycle", lambda m: (m / "loop").symlink_to("."))


def expect(good, case, bundle, model, *arguments):
    path = ROOT / "bundles" / (case + ".sig")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode())
    code, text = client("verify-model", "--model-path", model, "--bundle", path, *arguments)
    report((code == 0) == good and code in (0, 1) and (good or text != ""), f"verify {case}", f"exit code {code}: {text}")


def foreign_bundles():
    """What the other implementation signed."""
    key, certificate = KEYS.verify_args("key"), KEYS.verify_args("certificate")
    chain = [KEYS.leaf, KEYS.middle]
    for name in ("multi-file", "binary-content", "unicode-names", "special-chars", "hidden-subdir", "with-git-dir"):
        model = make_model(name, "foreign-" + name)
        statement = oms.statement_of(model)
        expect(True, f"key-{name}", oms.bundle_of(statement, KEYS.signing), model, *key)
        expect(True, f"certificate-{name}", oms.bundle_of(statement, KEYS.signing, chain), model, *certificate)
        shards = oms.statement_of(model, shard_size=100)
        expect(True, f"key-{name}-shards", oms.bundle_of(shards, KEYS.signing), model, *key)
    model = make_model("multi-file", "foreign-shards")
    bundle = oms.bundle_of(oms.statement_of(model, shard_size=100), KEYS.signing)
    (model / "weights.bin").write_bytes(bytes(1023) + b"x")
    expect(False, "key-shards-tampered", bundle, model, *key)
    (model / "weights.bin").write_bytes(bytes(1025))
    expect(False, "key-shards-longer", bundle, model, *key)


def published_bundles():
    """The suite's historical cases: bundles of the reference, version by version, and of the Go implementation."""
    of_one_file = ("v0.3.1-elliptic-key", "v1.0.0-elliptic-key")
    for path in sorted([*VECTORS.glob("model-transparency/*/model.sig"),
                        *VECTORS.glob("model-signing-spec/conformance/*/bundle.sig")]):
        case = path.parent.name
        method = "certificate" if "certificate" in case else "key"
        model = ROOT / "published" / case / "model"
        model.mkdir(parents=True)
        # The reference's certificate bundles were made over a signme-1 without a final line feed.
        bare = method == "certificate" and not case.endswith("-go")
        contents = {"signme-1": b"signme-1" if bare else b"signme-1\n", "signme-2": b"signme-2"}
        for name, content in contents.items():
            (model / name).write_bytes(content)
        keys = ["--method", method, "--public-key", VECTORS / "keys" / "signing-key-pub.pem"]
        if method == "certificate":
            keys = ["--method", method, "--cert-chain", VECTORS / "keys" / "intermediate-ca.pem"]
        what, signed = (model, contents) if case not in of_one_file else (model / "signme-1", ["signme-1"])
        if what == model:
            (model / "ignore-me").write_bytes(b"")
            keys += ["--ignore-paths", model / "ignore-me"]
        expect(True, f"historical-{case}", path.read_bytes(), what, *keys)
        for name in signed:
            (model / name).write_bytes(bytes([contents[name][0] ^ 1]) + contents[name][1:])
            expect(False, f"historical-{case}-flipped-{name}_fail", path.read_bytes(), what, *keys)
            (model / name).write_bytes(contents[name])
        bundle = json.loads(path.read_text())
        signature = bytearray(base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"]))
        signature[-1] ^= 1
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
        expect(False, f"historical-{case}-flipped-signature_fail", bundle, what, *keys)


def changed_models():
    key = KEYS.verify_args("key")

    def change(case, good, edit, *arguments):
        model = make_model("simple", "changed-" + case)
        bundle = oms.bundle_of(oms.statement_of(model, ["ignore-me"]), KEYS.signing)
        edit(model)
        expect(good, case, bundle, model, *key, *arguments)

    def extra(model):
        (model / "extra.bin").write_bytes(b"x")

    def tamper(model):
        (model / "signme-1").write_bytes(b"TAMPERED")

    lenient = "--ignore-unsigned-files"
    change("key-simple", True, lambda m: None)
    change("key-simple-tampered-content_fail", False, tamper)
    change("key-simple-missing-file_fail", False, lambda m: (m / "signme-2").unlink())
    change("key-simple-extra-file_fail", False, extra)
    change("key-simple-ignore-unsigned-files", True, extra, lenient)
    change("key-tampered-with-ignore-unsigned_fail", False, tamper, lenient)
    change("key-missing-file-with-ignore-unsigned_fail", False, lambda m: (m / "signme-2").unlink(), lenient)
    change("key-symlink-added_fail", False, lambda m: (m / "link").symlink_to("signme-1"))


def changed_bundles():
    model = make_model("simple", "bundles")
    statement = oms.statement_of(model, ["ignore-me"])
    bundle = oms.bundle_of(statement, KEYS.signing)
    key, certificate = KEYS.verify_args("key"), KEYS.verify_args("certificate")
    chained = oms.bundle_of(statement, KEYS.signing, [KEYS.leaf, KEYS.middle])

    def altered(edit, of=bundle):
        changed = copy.deepcopy(of)
        edit(changed)
        return changed

    def resigned(edit):
        changed = copy.deepcopy(statement)
        edit(changed)
        return oms.bundle_of(changed, KEYS.signing)

    certificate_of_leaf = {"rawBytes": chained["verificationMaterial"]["x509CertificateChain"]["certificates"][0]["rawBytes"]}
    keyless = altered(lambda b: b.update(verificationMaterial={"certificate": certificate_of_leaf, "tlogEntries": [{}]}))
    expect(False, "sigstore-verify-as-key_fail", keyless, model, *key)
    expect(False, "sigstore-verify-as-certificate_fail", keyless, model, *certificate)
    for case, signed in (("key", bundle), ("certificate", chained)):
        path = ROOT / (case + "-as-sigstore.sig")
        path.write_text(json.dumps(signed))
        code, text = client("verify-model", "--method", "sigstore", "--model-path", model, "--bundle", path, "--identity",
                            "test@example.com", "--identity-provider", "https://accounts.example.com")
        report(code != 0 and text != "", f"verify {case}-verify-as-sigstore_fail", text)

    def of_ml_dsa(b):
        b["verificationMaterial"]["publicKey"]["hint"] = "ML_DSA_65:" + "9a" * 32
        b["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(bytes(3309)).decode()

    expect(False, "ml-dsa_fail", altered(of_ml_dsa), model, *key)
    wrong = ec.generate_private_key(ec.SECP256R1())
    wrong_pub = pem(ROOT / "wrong" / "wrong-key-pub.pem", oms.public_pem(wrong.public_key()))
    wrong_ca = KEYS.save("wrong-ca-cert.pem", oms.certificate("Wrong CA", wrong, ca=True))
    expect(False, "key-simple-wrong-key_fail", bundle, model, "--method", "key", "--public-key", wrong_pub)
    expect(False, "certificate-simple-wrong-ca_fail", chained, model, "--method", "certificate", "--cert-chain", wrong_ca)
    expect(False, "certificate-without-anchor_fail", chained, model, "--method", "certificate")
    expect(False, "key-verify-as-certificate_fail", bundle, model, *certificate)
    expect(False, "certificate-verify-as-key_fail", chained, model, *key)
    text = json.dumps(bundle).encode()
    expect(False, "malformed-empty-bundle_fail", b"", model, *key)
    expect(False, "key-simple-truncated-bundle_fail", text[:100], model, *key)
    expect(False, "key-simple-corrupted-bundle_fail", b'{"garbage": true}', model, *key)
    expect(False, "trailing-bytes_fail", text + b"{}", model, *key)
    expect(False, "duplicate-key_fail", b'{"mediaType": "x", ' + text[1:], model, *key)
    expect(False, "malformed-missing-envelope_fail", altered(lambda b: b.pop("dsseEnvelope")), model, *key)
    expect(False, "key-simple-wrong-mediatype_fail", altered(lambda b: b.update(mediaType="application/json")), model,
           *key)
    expect(False, "key-simple-no-signature_fail", altered(lambda b: b["dsseEnvelope"].update(signatures=[])), model, *key)
    expect(False, "key-simple-wrong-payload-type_fail",
           oms.bundle_of(statement, KEYS.signing, payload_type="application/octet-stream"), model, *key)
    expect(False, "key-simple-wrong-statement-type_fail",
           resigned(lambda s: s.update(_type="https://in-toto.io/Statement/v0.1")), model, *key)
    expect(False, "malformed-wrong-predicate_fail",
           resigned(lambda s: s.update(predicateType="https://example.com/wrong/v1.0")), model, *key)
    expect(False, "key-simple-empty-resources_fail", resigned(lambda s: s["predicate"].update(resources=[])), model, *key)
    expect(False, "key-simple-missing-serialization_fail", resigned(lambda s: s["predicate"].pop("serialization")), model,
           *key)
    expect(False, "malformed-no-subject_fail", resigned(lambda s: s.pop("subject")), model, *key)
    expect(False, "malformed-no-predicate_fail", resigned(lambda s: s.pop("predicate")), model, *key)
    expect(False, "root-digest_fail", resigned(lambda s: s["subject"][0]["digest"].update(sha256="0" * 64)), model, *key)
    expect(False, "unsupported-hash_fail", resigned(lambda s: s["predicate"]["serialization"].update(hash_type="md5")),
           model, *key)
    outside = {"name": "../signme-1", "algorithm": "sha256", "digest": "0" * 64}
    expect(False, "path-traversal_fail", resigned(lambda s: s["predicate"]["resources"].append(outside)), model, *key)
    expect(True, "keyid-null", altered(lambda b: b["dsseEnvelope"]["signatures"][0].update(keyid=None)), model, *key)
    expect(True, "keyid-absent", altered(lambda b: b["dsseEnvelope"]["signatures"][0].pop("keyid")), model, *key)
    expect(True, "tlog-entries-absent", altered(lambda b: b["verificationMaterial"].pop("tlogEntries")), model, *key)
    raw = {"rawBytes": base64.b64encode(KEYS.public.read_bytes()).decode(), "keyDetails": "PKIX_ECDSA_P384_SHA_384"}
    expect(True, "raw-bytes-instead-of-hint", altered(lambda b: b["verificationMaterial"].update(publicKey=raw)), model,
           *key)


def certificates():
    model = make_model("simple", "certificates")
    statement = oms.statement_of(model)

    def chain(case, good=False, leaf=None, middle=None, root=None):
        """Each argument is what differs in that certificate."""
        top = oms.certificate("root-ca", KEYS.root_key, ca=True, **(root or {}))
        between = oms.certificate("intermediate-ca", KEYS.middle_key, top, KEYS.root_key, ca=True, **(middle or {}))
        end = oms.certificate("signing-key", KEYS.signing, between, KEYS.middle_key, **(leaf or {}))
        anchor = KEYS.save(case + "-ca.pem", top)
        bundle = oms.bundle_of(statement, KEYS.signing, [end, between])
        expect(good, case, bundle, model, "--method", "certificate", "--cert-chain", anchor)
        return KEYS.save(case + "-leaf.pem", end)

    past, future = {"days": (-30, -1)}, {"days": (1, 30)}
    chain("certificate-simple", good=True)
    expired = chain("certificate-expired_fail", leaf=past)
    chain("certificate-not-yet-valid_fail", leaf=future)
    chain("certificate-expired-intermediate_fail", middle=past)
    chain("certificate-not-yet-valid-intermediate_fail", middle=future)
    chain("certificate-expired-root_fail", root=past)
    chain("certificate-not-yet-valid-root_fail", root=future)
    chain("certificate-expired-intermediate-expired-leaf_fail", leaf=past, middle=past)
    chain("certificate-all-expired_fail", leaf={"days": (-20, -10)}, middle=past, root=past)
    no_usage = chain("certificate-no-code-signing-eku_fail", leaf={"eku": False})
    chain("certificate-no-digital-signature_fail", leaf={"signs": False})
    for name, cert in (("certificate-expired", expired), ("certificate-no-code-signing-eku", no_usage)):
        made = ROOT / f"{name}-by-the-client.sig"
        code, text = client("sign-model", "--method", "certificate", "--model-path", model, "--output-bundle", made,
                            "--private-key", KEYS.private, "--signing-cert", cert)
        report(code == 0 and made.exists(), f"sign with {name}", text)
        code, text = client("verify-model", "--method", "certificate", "--model-path", model, "--bundle", made,
                            "--cert-chain", str(cert).replace("-leaf.pem", "-ca.pem"))
        report(code == 1 and text != "", f"verify refuses the client's own {name}", text)


try:
    round_trips()
    refused_models()
    foreign_bundles()
    published_bundles()
    changed_models()
    changed_bundles()
    certificates()
finally:
    shutil.rmtree(ROOT)
print(f"1..{len(results)}")
print(f"# {sum(results)} of {len(results)} cases as expected")
sys.exit(0 if all(results) else 1)
