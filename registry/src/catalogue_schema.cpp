#include "catalogue_schema.hpp"

#include <array>

namespace skerry::registry {
namespace {

// Never edit a migration that was released: append another.
constexpr std::array<sqlite::Migration, 5> kMigrations{{{"first schema", R"sql(
CREATE TABLE blob (
  digest BLOB PRIMARY KEY,
  size INTEGER NOT NULL,
  state INTEGER NOT NULL,            -- 0 present, 1 deleting
  verified_at INTEGER NOT NULL,      -- milliseconds since 1970, as all times here
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE manifest (
  digest BLOB PRIMARY KEY,
  tenant TEXT NOT NULL,
  team TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  release_counter INTEGER NOT NULL,
  target_path TEXT NOT NULL,
  repository TEXT NOT NULL,
  targets_version INTEGER NOT NULL,
  verified_at INTEGER NOT NULL,
  not_after INTEGER,
  bytes BLOB NOT NULL,
  UNIQUE (tenant, team, name, version)
) STRICT;

CREATE TABLE manifest_blob (
  manifest BLOB NOT NULL REFERENCES manifest (digest) ON DELETE CASCADE,
  variant TEXT NOT NULL,             -- empty: a shared file that no variant needs to run
  blob BLOB NOT NULL,
  kind INTEGER NOT NULL,             -- 0 file, 1 chunk index
  PRIMARY KEY (manifest, variant, blob, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_blob_by_blob ON manifest_blob (blob);

CREATE TABLE slot (
  name TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  site TEXT NOT NULL,
  revision INTEGER NOT NULL,
  highest_generation INTEGER NOT NULL,
  on_trial INTEGER NOT NULL,
  trial_starts INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE slot_generation (
  slot TEXT NOT NULL REFERENCES slot (name),
  role TEXT NOT NULL CHECK (role IN ('active', 'previous')),
  generation INTEGER NOT NULL,
  manifest BLOB NOT NULL REFERENCES manifest (digest),
  variant TEXT NOT NULL,
  reason TEXT NOT NULL,
  activated_at INTEGER NOT NULL,
  PRIMARY KEY (slot, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE slot_change (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  slot TEXT NOT NULL,
  revision INTEGER NOT NULL,
  action TEXT NOT NULL,
  generation INTEGER NOT NULL,
  manifest BLOB NOT NULL,
  variant TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE desired (
  slot TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  manifest BLOB NOT NULL,
  target_path TEXT NOT NULL,
  allowed_variants TEXT NOT NULL,    -- names joined by a space
  rollout TEXT NOT NULL,
  goal TEXT NOT NULL,
  permit_downgrade INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  slot TEXT NOT NULL,
  generation INTEGER NOT NULL,
  manifest BLOB NOT NULL,
  variant TEXT NOT NULL,
  state TEXT NOT NULL,
  detail TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX journal_by_slot ON journal (slot, sequence);

CREATE TABLE known_bad (
  manifest BLOB NOT NULL,
  variant TEXT NOT NULL,             -- empty: every variant
  reason TEXT NOT NULL,
  since INTEGER NOT NULL,
  PRIMARY KEY (manifest, variant)
) STRICT, WITHOUT ROWID;

CREATE TABLE pin (
  manifest BLOB NOT NULL,
  variant TEXT NOT NULL,             -- empty: every variant
  reason TEXT NOT NULL,
  PRIMARY KEY (manifest, variant)
) STRICT, WITHOUT ROWID;

CREATE TABLE release_counter (
  team TEXT NOT NULL,
  name TEXT NOT NULL,
  counter INTEGER NOT NULL,
  PRIMARY KEY (team, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE floor (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tuf_metadata (
  repository TEXT NOT NULL,
  role TEXT NOT NULL,
  version INTEGER NOT NULL,
  digest BLOB NOT NULL,
  verified_at INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (repository, role, version)
) STRICT;
)sql"},
                                                        {"what a blob was checked against", R"sql(
-- The digest of the chunk index; NULL: the whole file was hashed.
ALTER TABLE blob ADD COLUMN chunks BLOB;
)sql"},
                                                        {"models by name", R"sql(
-- Holds everything a list shows, so that no manifest is read for it.
CREATE INDEX manifest_by_model
  ON manifest (team, name, -release_counter, version, digest, release_counter);
)sql"},
                                                        {"fs-verity", R"sql(
-- The kernel's measure of the blob's file; NULL: it has none.
ALTER TABLE blob ADD COLUMN verity BLOB;
)sql"},
                                                        {"imported models and who vouches", R"sql(
CREATE TABLE import (
  manifest BLOB PRIMARY KEY REFERENCES manifest (digest) ON DELETE CASCADE,
  source TEXT NOT NULL,
  format TEXT NOT NULL,
  imported_by TEXT NOT NULL,
  imported_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE vouch (
  manifest BLOB NOT NULL REFERENCES import (manifest) ON DELETE CASCADE,
  kind INTEGER NOT NULL,             -- 0 role, 1 OMS signer
  who TEXT NOT NULL,
  identity TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  revoked_at INTEGER,                -- NULL: stands
  revoked_by TEXT NOT NULL DEFAULT '',
  revoked_reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (manifest, kind, who)
) STRICT, WITHOUT ROWID;
)sql"}}};

}  // namespace

std::span<const sqlite::Migration> catalogue_migrations() {
  return kMigrations;
}

}  // namespace skerry::registry
