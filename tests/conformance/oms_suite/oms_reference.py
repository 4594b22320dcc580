"""OpenSSF Model Signing 1.0 a second time, on python3-cryptography: makes and checks bundles without our library.

Written from the specification, for tests; it trusts its input where the product must not.
"""

import base64
import datetime
import hashlib
import json
import os
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
GIT_PATHS = [".git", ".gitattributes", ".github", ".gitignore"]
CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


def signature_hash(key):
    return {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[key.curve.key_size]


def encoding(payload, payload_type=PAYLOAD_TYPE):
    return b"DSSEv1 %d %s %d %s" % (len(payload_type), payload_type.encode(), len(payload), payload)


def files_of(model, ignore):
    """Relative names of the files of a model, without what is ignored."""
    if model.is_file():
        return {model.name: model}
    out = {}
    for folder, folders, names in os.walk(model):
        relative = pathlib.Path(folder).relative_to(model)
        folders[:] = [f for f in folders if (relative / f).as_posix() not in ignore]
        for name in names:
            path = (relative / name).as_posix()
            if path not in ignore:
                out[path] = pathlib.Path(folder) / name
    return out


def resources_of(model, ignore, shard_size=None):
    out = []
    for name, path in files_of(model, ignore).items():
        content = path.read_bytes()
        if shard_size is None:
            out.append((name, content))
            continue
        for start in range(0, len(content), shard_size):
            end = min(start + shard_size, len(content))
            out.append((f"{name}:{start}:{end}", content[start:end]))
    return [{"name": name, "algorithm": "sha256", "digest": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(out)]


def root_digest(resources):
    return hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()


def statement_of(model, ignore=(), shard_size=None):
    model = pathlib.Path(model)
    ignored = set(GIT_PATHS) | set(ignore)
    resources = resources_of(model, ignored, shard_size)
    serialization_ = {"method": "files" if shard_size is None else "shards", "hash_type": "sha256",
                      "allow_symlinks": False, "ignore_paths": sorted(ignored)}
    if shard_size is not None:
        serialization_["shard_size"] = shard_size
    return {"_type": STATEMENT_TYPE,
            "subject": [{"name": model.name, "digest": {"sha256": root_digest(resources)}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"serialization": serialization_, "resources": resources}}


def hint_of(public_key):
    return hashlib.sha256(public_pem(public_key)).hexdigest()


def public_pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                             serialization.NoEncryption())


def bundle_of(statement, key, certificates=None, payload_type=PAYLOAD_TYPE):
    """A bundle over `statement`, with a good signature whatever the statement says."""
    payload = statement if isinstance(statement, bytes) else json.dumps(statement, indent=2).encode()
    signature = key.sign(encoding(payload, payload_type), ec.ECDSA(signature_hash(key)))
    if certificates is None:
        material = {"publicKey": {"hint": hint_of(key.public_key())}, "tlogEntries": []}
    else:
        chain = [{"rawBytes": base64.b64encode(c.public_bytes(serialization.Encoding.DER)).decode()}
                 for c in certificates]
        material = {"x509CertificateChain": {"certificates": chain}, "tlogEntries": []}
    return {"mediaType": MEDIA_TYPE, "verificationMaterial": material,
            "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": payload_type,
                             "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}]}}


def check_bundle(bundle, model, public_key, root=None):
    """The statement of a bundle, or an AssertionError: signature, form, and the model's files."""
    assert bundle["mediaType"] == MEDIA_TYPE
    envelope = bundle["dsseEnvelope"]
    assert envelope["payloadType"] == PAYLOAD_TYPE and len(envelope["signatures"]) == 1
    material = bundle["verificationMaterial"]
    if root is None:
        assert material["publicKey"]["hint"] == hint_of(public_key)
    else:
        chain = [x509.load_der_x509_certificate(base64.b64decode(c["rawBytes"]))
                 for c in material["x509CertificateChain"]["certificates"]] + [root]
        for child, issuer in zip(chain, chain[1:]):
            issuer.public_key().verify(child.signature, child.tbs_certificate_bytes,
                                       ec.ECDSA(child.signature_hash_algorithm))
        public_key = chain[0].public_key()
    payload = base64.b64decode(envelope["payload"], validate=True)
    public_key.verify(base64.b64decode(envelope["signatures"][0]["sig"], validate=True), encoding(payload),
                      ec.ECDSA(signature_hash(public_key)))
    statement = json.loads(payload)
    assert statement["_type"] == STATEMENT_TYPE and statement["predicateType"] == PREDICATE_TYPE
    predicate = statement["predicate"]
    resources = predicate["resources"]
    names = [r["name"] for r in resources]
    assert names == sorted(names) and len(set(names)) == len(names)
    model = pathlib.Path(model)
    assert statement["subject"] == [{"name": model.name, "digest": {"sha256": root_digest(resources)}}]
    how = predicate["serialization"]
    assert ("shard_size" in how) == (how["method"] == "shards") and how["allow_symlinks"] is False
    assert resources == resources_of(model, set(how["ignore_paths"]), how.get("shard_size"))
    return statement


def certificate(name, key, issuer=None, issuer_key=None, ca=False, days=(-1, 3650), eku=True, signs=True):
    """A certificate valid from `days[0]` to `days[1]` from now; self-signed where there is no issuer."""
    now = datetime.datetime.utcnow()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (x509.CertificateBuilder().subject_name(subject)
               .issuer_name(subject if issuer is None else issuer.subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=days[0]))
               .not_valid_after(now + datetime.timedelta(days=days[1]))
               .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
               .add_extension(x509.KeyUsage(digital_signature=signs and not ca, content_commitment=False,
                                            key_encipherment=False, data_encipherment=False, key_agreement=False,
                                            key_cert_sign=ca, crl_sign=False, encipher_only=False,
                                            decipher_only=False), critical=True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False))
    if eku and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    return builder.sign(key if issuer_key is None else issuer_key, hashes.SHA384())
