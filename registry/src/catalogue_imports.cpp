// Imported models: who brought them, who vouches for them.

#include "skerry/registry/catalogue.hpp"

#include "catalogue_impl.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kImportPin = "imported";

BindRow bind_import(const Digest& manifest) {
  return [&manifest](sqlite::Statement& statement) { statement.bind_blob(1, manifest.bytes()); };
}

Result<Vouch> read_vouch(sqlite::Statement& row) {
  Vouch vouch;
  vouch.kind = row.column_int(0) == 0 ? VouchKind::kRole : VouchKind::kSigner;
  vouch.who = row.column_text(1);
  vouch.identity = row.column_text(2);
  vouch.reason = row.column_text(3);
  vouch.at = time_from_row(row.column_int(4));
  if (!row.column_is_null(5)) {
    vouch.revoked_at = time_from_row(row.column_int(5));
  }
  vouch.revoked_by = row.column_text(6);
  vouch.revoked_reason = row.column_text(7);
  return vouch;
}

// The imports that `conditions` leaves, each with its vouches. Under the lock.
Result<std::vector<ImportedModel>> read_imports(sqlite::Database& database,
                                                std::string_view conditions,
                                                const BindRow& bind) {
  std::vector<ImportedModel> imports;
  auto done = for_each_row(
      database,
      joined("SELECT i.manifest, i.source, i.format, i.imported_by, i.imported_at FROM import i "
             "JOIN manifest m ON m.digest = i.manifest",
             conditions),
      bind,
      [&](sqlite::Statement& row) -> Result<void> {
        ImportedModel import;
        import.manifest = digest_from_row(row, 0);
        import.source = row.column_text(1);
        import.format = row.column_text(2);
        import.imported_by = row.column_text(3);
        import.imported_at = time_from_row(row.column_int(4));
        imports.push_back(std::move(import));
        return {};
      });
  for (ImportedModel& import : imports) {
    if (!done) {
      break;
    }
    done = for_each_row(database,
                        "SELECT kind, who, identity, reason, at, revoked_at, revoked_by, "
                        "revoked_reason FROM vouch WHERE manifest = ?1 ORDER BY at, kind, who",
                        bind_import(import.manifest),
                        [&](sqlite::Statement& row) -> Result<void> {
                          auto vouch = read_vouch(row);
                          import.vouches.push_back(*std::move(vouch));
                          return {};
                        });
  }
  if (!done) {
    return done.error();
  }
  return imports;
}

Result<void> require_import(sqlite::Database& database, const Digest& manifest) {
  const auto known =
      find_integer(database, "SELECT 1 FROM import WHERE manifest = ?1", bind_import(manifest));
  if (!known) {
    return known.error();
  }
  if (!known->has_value()) {
    return Error{Error::Code::kNotFound, "no imported model " + manifest.to_string()};
  }
  return {};
}

}  // namespace

Result<bool> nobody_vouches(sqlite::Database& database, const Digest& manifest) {
  const auto found =
      find_integer(database,
                   "SELECT 1 FROM manifest WHERE digest = ?1 AND repository = 'import' AND NOT "
                   "EXISTS (SELECT 1 FROM vouch WHERE manifest = ?1 AND revoked_at IS NULL)",
                   bind_import(manifest));
  if (!found) {
    return found.error();
  }
  return found->has_value();
}

std::string_view to_string(VouchKind kind) noexcept {
  return kind == VouchKind::kRole ? "role" : "signer";
}

Result<void> Catalogue::record_import(std::string_view bytes, const ImportedModel& origin) {
  if (Digest::of(bytes) != origin.manifest) {
    return Error{Error::Code::kDigestMismatch,
                 "the manifest is not that of " + origin.manifest.to_string()};
  }
  return transact<void>(*impl_, [&](sqlite::Database& database) -> Result<void> {
    NewManifest row{bytes, origin.manifest, "import", 0, {}, {}, impl_->now(), true};
    if (auto ok = insert_manifest(database, row); !ok) {
      return ok;
    }
    auto ok = execute(database,
                      "INSERT OR IGNORE INTO import (manifest, source, format, imported_by, "
                      "imported_at) VALUES (?, ?, ?, ?, ?)",
                      [&](sqlite::Statement& statement) {
                        statement.bind_blob(1, origin.manifest.bytes())
                            .bind(2, origin.source)
                            .bind(3, origin.format)
                            .bind(4, origin.imported_by)
                            .bind(5, impl_->now());
                      });
    if (!ok) {
      return ok;
    }
    return execute(database,
                   "INSERT OR IGNORE INTO pin (manifest, variant, reason) VALUES (?1, '', ?2)",
                   [&](sqlite::Statement& statement) {
                     statement.bind_blob(1, origin.manifest.bytes()).bind(2, kImportPin);
                   });
  });
}

Result<std::vector<ImportedModel>> Catalogue::list_imports() {
  const std::lock_guard lock{impl_->mutex};
  return read_imports(
      *impl_->database, " ORDER BY m.team, m.name, m.version", [](sqlite::Statement&) {});
}

Result<ImportedModel> Catalogue::find_import(const Digest& manifest) {
  const std::lock_guard lock{impl_->mutex};
  auto found = read_imports(*impl_->database, " WHERE i.manifest = ?1", bind_import(manifest));
  if (!found) {
    return found.error();
  }
  if (found->empty()) {
    return Error{Error::Code::kNotFound, "no imported model " + manifest.to_string()};
  }
  return std::move(found->front());
}

Result<void> Catalogue::vouch(const Digest& manifest, const Vouch& vouch) {
  return transact<void>(*impl_, [&](sqlite::Database& database) -> Result<void> {
    if (auto known = require_import(database, manifest); !known) {
      return known;
    }
    return execute(
        database,
        "INSERT INTO vouch (manifest, kind, who, identity, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, "
        "?6) ON CONFLICT (manifest, kind, who) DO UPDATE SET identity = ?4, reason = ?5, at = ?6, "
        "revoked_at = NULL, revoked_by = '', revoked_reason = '' WHERE revoked_at IS NOT NULL",
        [&](sqlite::Statement& statement) {
          statement.bind_blob(1, manifest.bytes())
              .bind(2, std::int64_t{vouch.kind == VouchKind::kRole ? 0 : 1})
              .bind(3, vouch.who)
              .bind(4, vouch.identity)
              .bind(5, vouch.reason)
              .bind(6, impl_->now());
        });
  });
}

Result<void> Catalogue::revoke_vouch(const Digest& manifest,
                                     std::string_view who,
                                     std::string_view reason) {
  return transact<void>(*impl_, [&](sqlite::Database& database) -> Result<void> {
    if (auto known = require_import(database, manifest); !known) {
      return known;
    }
    auto ok = execute(database,
                      "UPDATE vouch SET revoked_at = ?2, revoked_by = ?3, revoked_reason = ?4 "
                      "WHERE manifest = ?1 AND revoked_at IS NULL",
                      [&](sqlite::Statement& statement) {
                        statement.bind_blob(1, manifest.bytes())
                            .bind(2, impl_->now())
                            .bind(3, who)
                            .bind(4, reason);
                      });
    if (ok && database.changes() == 0) {
      return Error{Error::Code::kFailedPrecondition, "nobody vouches for " + manifest.to_string()};
    }
    if (!ok) {
      return ok;
    }
    return {};
  });
}

Result<void> Catalogue::remove_import(const Digest& manifest) {
  return transact<void>(*impl_, [&](sqlite::Database& database) -> Result<void> {
    if (auto known = require_import(database, manifest); !known) {
      return known;
    }
    const auto user = find_integer(database,
                                   "SELECT 1 FROM slot_generation WHERE manifest = ?1 UNION ALL "
                                   "SELECT 1 FROM desired WHERE manifest = ?1",
                                   bind_import(manifest));
    if (!user) {
      return user.error();
    }
    if (user->has_value()) {
      return Error{Error::Code::kFailedPrecondition,
                   "a slot runs, ran or wants " + manifest.to_string()};
    }
    auto ok =
        execute(database,
                "DELETE FROM pin WHERE manifest = ?1 AND variant = '' AND reason = 'imported'",
                bind_import(manifest));
    if (ok) {
      ok = execute(database, "DELETE FROM import WHERE manifest = ?1", bind_import(manifest));
    }
    if (ok) {
      // What a repository signed meanwhile stays.
      ok = execute(database,
                   "DELETE FROM manifest WHERE digest = ?1 AND repository = 'import'",
                   bind_import(manifest));
    }
    return ok;
  });
}

}  // namespace skerry::registry
