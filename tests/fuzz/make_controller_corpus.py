#!/usr/bin/env python3
"""Writes the seed corpora of the fuzz targets authorities, backup_list and report_file (needs openssl for certificates)."""

import json
import pathlib
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent


def write(target, name, data):
    folder = HERE / target / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def certificate(name):
    with tempfile.TemporaryDirectory() as folder:
        key = pathlib.Path(folder) / "key.pem"
        return subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
             "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:1", "-keyout", str(key)],
            check=True, capture_output=True, text=True,
        ).stdout


def authorities():
    first, second, third = (certificate(f"Skerry fleet CA {i} (skerry.local)") for i in (1, 2, 3))

    def listed(*entries, form="skerry-authorities/1"):
        return json.dumps({"format": form, "authorities": list(entries)}, indent=1)

    def one(generation, state, pem, **more):
        return {"generation": generation, "state": state, "key": f"file:/k/ca-{generation}.pem", "certificate": pem, **more}

    one_issues = one(1, "issuing", first)
    write("authorities", "first", listed(one_issues))
    write("authorities", "overlap", listed(one(1, "accepted", first), one(2, "issuing", second, cross=second)))
    write("authorities", "years", listed(
        one(1, "distrusted", first), one(2, "retired", second, cross=second), one(3, "issuing", third, cross=third)))
    write("authorities", "none_issues", listed(one(1, "retired", first)))
    write("authorities", "two_issue", listed(one_issues, one(2, "issuing", second)))
    write("authorities", "not_in_order", listed(one(2, "accepted", second), one_issues))
    write("authorities", "generation_zero", listed(one(0, "issuing", first)))
    write("authorities", "generation_huge", listed(one(2**53, "issuing", first)))
    write("authorities", "state_unknown", listed(one(1, "sleeping", first)))
    write("authorities", "no_certificate", listed(one(1, "issuing", "-----BEGIN CERTIFICATE-----\n")))
    write("authorities", "no_cross", listed(one(1, "issuing", first, cross="x")))
    write("authorities", "member_missing", listed({"generation": 1, "state": "issuing"}))
    write("authorities", "other_format", listed(one_issues, form="skerry-authorities/2"))
    write("authorities", "no_list", '{"format": "skerry-authorities/1", "authorities": {}}')


def backups():
    digest = "ab" * 32

    def listed(*paths, **more):
        files = [{"path": path, "size": 5, "sha256": digest} for path in paths]
        return json.dumps({"format": "skerry-controller-backup/1", "taken": "2026-11-23T12:00:00Z", "files": files, **more})

    write("backup_list", "good", listed("controller.db", "keys/ca.pem", "blobs/sha256/ab/" + digest))
    write("backup_list", "empty", listed())
    write("backup_list", "absolute", listed("/etc/passwd"))
    write("backup_list", "parent", listed("keys/../../x"))
    write("backup_list", "dot", listed("./keys"))
    write("backup_list", "double_slash", listed("keys//ca.pem"))
    write("backup_list", "trailing_slash", listed("keys/"))
    write("backup_list", "nul", listed("keys\x00/ca.pem"))
    write("backup_list", "twice", listed("keys/ca.pem", "keys/ca.pem"))
    write("backup_list", "no_time", listed("a", taken="yesterday"))
    write("backup_list", "negative", listed("a").replace('"size": 5', '"size": -5'))
    write("backup_list", "short_digest", listed("a").replace(digest, "abcd"))
    write("backup_list", "cut", listed("a")[:60])


def reports():
    def part(data):
        return struct.pack("<I", len(data)) + data

    magic = b"SKREPRT1"
    write("report_file", "none", magic)
    write("report_file", "one", magic + part(b"\x0a\x03abc"))
    write("report_file", "three", magic + part(b"a") + part(b"bb" * 300) + part(b"c"))
    write("report_file", "cut_head", magic + part(b"a") + b"\x01\x00")
    write("report_file", "cut_part", magic + part(b"abcdef")[:-2])
    write("report_file", "empty_part", magic + part(b""))
    write("report_file", "huge_part", magic + struct.pack("<I", 0xFFFFFFFF) + b"x")
    write("report_file", "other_magic", b"SKAUDIT1" + part(b"a"))
    write("report_file", "short_magic", b"SKREP")


if __name__ == "__main__":
    authorities()
    backups()
    reports()
