#include "skerry/registry/catalogue.hpp"

#include "catalogue_impl.hpp"
#include "catalogue_schema.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kBlobColumns =
    "SELECT digest, size, state, verified_at, device, inode, ctime_ns, chunks, verity FROM blob";
constexpr std::string_view kManifestColumns =
    "SELECT digest, bytes, target_path, repository, targets_version, verified_at, not_after, "
    "tenant "
    "FROM manifest";

void bind_nothing(sqlite::Statement&) {}

void bind_digest(sqlite::Statement& statement, int index, const std::optional<Digest>& digest) {
  if (digest) {
    statement.bind_blob(index, digest->bytes());
  } else {
    statement.bind_null(index);
  }
}

Result<BlobRecord> read_blob(sqlite::Statement& row) {
  BlobRecord record;
  record.digest = digest_from_row(row, 0);
  record.size = from_row(row.column_int(1));
  record.state = row.column_int(2) == 0 ? BlobState::kPresent : BlobState::kDeleting;
  record.verified_at = time_from_row(row.column_int(3));
  record.device = from_row(row.column_int(4));
  record.inode = from_row(row.column_int(5));
  record.ctime_ns = row.column_int(6);
  if (!row.column_is_null(7)) {
    record.chunks = digest_from_row(row, 7);
  }
  if (!row.column_is_null(8)) {
    record.verity = digest_from_row(row, 8);
  }
  return record;
}

Result<VerifiedManifest> read_manifest(sqlite::Statement& row) {
  VerifiedManifest verified;
  verified.digest = digest_from_row(row, 0);
  verified.bytes = std::string{as_text(row.column_blob(1))};
  verified.target_path = row.column_text(2);
  verified.repository = row.column_text(3);
  verified.targets_version = from_row(row.column_int(4));
  verified.verified_at = time_from_row(row.column_int(5));
  if (!row.column_is_null(6)) {
    verified.not_after = time_from_row(row.column_int(6));
  }
  verified.tenant = TenantId{row.column_text(7)};
  if (Digest::of(verified.bytes) != verified.digest) {
    return Error{Error::Code::kDatabase,
                 "the stored manifest " + verified.digest.to_string() +
                     " has other bytes; the catalogue is damaged"};
  }
  auto manifest = Manifest::parse(verified.bytes);
  if (!manifest) {
    return manifest.error().with_context("stored manifest");
  }
  verified.manifest = std::move(*manifest);
  return verified;
}

// For each variant the files it needs to run and their chunk indexes; under the empty name the
// rest.
Result<void> insert_files(sqlite::Database& database,
                          const Digest& digest,
                          const Manifest& manifest) {
  const auto insert = [&](std::string_view variant, const ManifestFile& file) -> Result<void> {
    for (const bool is_index : {false, true}) {
      auto ok = execute(
          database,
          "INSERT OR IGNORE INTO manifest_blob (manifest, variant, blob, kind) VALUES (?, ?, ?, ?)",
          [&](sqlite::Statement& statement) {
            statement.bind_blob(1, digest.bytes())
                .bind(2, variant)
                .bind_blob(3, (is_index ? file.chunks : file.digest).bytes())
                .bind(4, static_cast<std::int64_t>(is_index));
          });
      if (!ok) {
        return ok;
      }
    }
    return {};
  };
  for (const auto& variant : manifest.variants) {
    for (const auto& file : manifest.files_for(variant)) {
      if (auto ok = insert(variant.name, file); !ok) {
        return ok;
      }
    }
  }
  for (const auto& file : manifest.shared) {
    if (auto ok = insert("", file); !ok) {
      return ok;
    }
  }
  return {};
}

}  // namespace

Result<void> for_each_row(sqlite::Database& database,
                          std::string_view sql,
                          const BindRow& bind,
                          const ReadRow& read) {
  auto statement = database.prepare(sql);
  if (!statement) {
    return statement.error().with_context("catalogue");
  }
  bind(*statement);
  for (;;) {
    const auto row = statement->step();
    if (!row) {
      return row.error().with_context("catalogue");
    }
    if (!*row) {
      return {};
    }
    if (auto ok = read(*statement); !ok) {
      return ok;
    }
  }
}

Result<void> execute(sqlite::Database& database, std::string_view sql, const BindRow& bind) {
  return for_each_row(database, sql, bind, [](sqlite::Statement&) -> Result<void> { return {}; });
}

Result<std::optional<std::int64_t>> find_integer(sqlite::Database& database,
                                                 std::string_view sql,
                                                 const BindRow& bind) {
  std::optional<std::int64_t> found;
  auto done = for_each_row(database, sql, bind, [&](sqlite::Statement& row) -> Result<void> {
    if (!found) {
      found = row.column_int(0);
    }
    return {};
  });
  if (!done) {
    return done.error();
  }
  return found;
}

Catalogue::Catalogue(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalogue::~Catalogue() = default;

Result<std::unique_ptr<Catalogue>> Catalogue::open(const std::filesystem::path& path,
                                                   const Clock& clock,
                                                   const CatalogueOptions& options) {
  sqlite::OpenOptions database_options;
  database_options.vfs = options.vfs;
  database_options.application_id = kCatalogueApplicationId;
  auto database = sqlite::Database::open(path, catalogue_migrations(), database_options);
  if (!database) {
    return database.error().with_context("opening the catalogue");
  }
  return std::unique_ptr<Catalogue>{
      new Catalogue(std::make_unique<Impl>(clock, std::move(*database)))};
}

Result<std::optional<BlobRecord>> Catalogue::find_blob(const Digest& digest) {
  auto rows = collect<BlobRecord>(
      *impl_,
      joined(kBlobColumns, " WHERE digest = ?"),
      [&](sqlite::Statement& statement) { statement.bind_blob(1, digest.bytes()); },
      read_blob);
  if (!rows) {
    return rows.error();
  }
  return rows->empty() ? std::nullopt : std::optional{rows->front()};
}

Result<void> Catalogue::put_blob(const BlobRecord& record) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(database,
                   "INSERT OR REPLACE INTO blob (digest, size, state, verified_at, device, inode, "
                   "ctime_ns, chunks, verity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   [&](sqlite::Statement& statement) {
                     statement.bind_blob(1, record.digest.bytes())
                         .bind(2, as_row(record.size))
                         .bind(3, std::int64_t{record.state == BlobState::kPresent ? 0 : 1})
                         .bind(4, std::int64_t{record.verified_at.time_since_epoch().count()})
                         .bind(5, as_row(record.device))
                         .bind(6, as_row(record.inode))
                         .bind(7, record.ctime_ns);
                     bind_digest(statement, 8, record.chunks);
                     bind_digest(statement, 9, record.verity);
                   });
  });
}

Result<void> Catalogue::erase_blob(const Digest& digest) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(database,
                   "DELETE FROM blob WHERE digest = ?",
                   [&](sqlite::Statement& statement) { statement.bind_blob(1, digest.bytes()); });
  });
}

Result<std::vector<BlobRecord>> Catalogue::list_blobs() {
  return collect<BlobRecord>(
      *impl_, joined(kBlobColumns, " ORDER BY digest"), bind_nothing, read_blob);
}

Result<void> insert_manifest(sqlite::Database& database, const NewManifest& row) {
  const auto manifest = Manifest::parse(row.bytes);
  if (!manifest) {
    return manifest.error();
  }
  const auto bind_name = [&](sqlite::Statement& statement) {
    statement.bind(1, row.tenant.str())
        .bind(2, manifest->model.team)
        .bind(3, manifest->model.name)
        .bind(4, manifest->version.to_string())
        .bind_blob(5, row.digest.bytes());
  };
  const auto other = find_integer(database,
                                  "SELECT 1 FROM manifest WHERE tenant = ? AND team = ? AND name "
                                  "= ? AND version = ? AND digest <> ?",
                                  bind_name);
  if (!other) {
    return other.error();
  }
  if (other->has_value()) {
    return Error{Error::Code::kAlreadyExists,
                 "version " + manifest->version.to_string() + " of " + manifest->model.to_string() +
                     " is known with other content; publish changes as a new version"};
  }
  const std::string_view again =
      row.keep_known ? "DO NOTHING"
                     : "DO UPDATE SET repository = ?8, targets_version = ?9, verified_at = ?10, "
                       "not_after = ?11";
  auto inserted = execute(
      database,
      joined("INSERT INTO manifest (tenant, team, name, version, digest, release_counter, "
             "target_path, repository, targets_version, verified_at, not_after, bytes) VALUES "
             "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (digest) ",
             again),
      [&](sqlite::Statement& statement) {
        bind_name(statement);
        statement.bind(6, as_row(manifest->release_counter))
            .bind(7, manifest->target_path())
            .bind(8, row.repository)
            .bind(9, as_row(row.targets_version))
            .bind(10, row.now);
        if (row.not_after) {
          statement.bind(11, std::int64_t{row.not_after->time_since_epoch().count()});
        } else {
          statement.bind_null(11);
        }
        statement.bind_blob(12, as_bytes(row.bytes));
      });
  if (!inserted) {
    return inserted;
  }
  return insert_files(database, row.digest, *manifest);
}

Result<void> Catalogue::record_manifest(std::string_view bytes,
                                        const Digest& digest,
                                        std::string_view repository,
                                        std::uint64_t targets_version,
                                        std::optional<WallTime> not_after,
                                        const TenantId& tenant) {
  if (const auto found = Digest::of(bytes); found != digest) {
    return Error{Error::Code::kDigestMismatch,
                 "manifest has the digest " + found.to_string() + ", not " + digest.to_string()};
  }
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return insert_manifest(
        database,
        NewManifest{
            bytes, digest, repository, targets_version, not_after, tenant, impl_->now(), false});
  });
}

Result<VerifiedManifest> Catalogue::manifest(const Digest& digest) {
  auto rows = collect<VerifiedManifest>(
      *impl_,
      joined(kManifestColumns, " WHERE digest = ?"),
      [&](sqlite::Statement& statement) { statement.bind_blob(1, digest.bytes()); },
      read_manifest);
  if (!rows) {
    return rows.error();
  }
  if (rows->empty()) {
    return Error{Error::Code::kNotFound, "no verified manifest " + digest.to_string()};
  }
  return std::move(rows->front());
}

Result<VerifiedManifest> Catalogue::manifest(const ModelName& model,
                                             const SemanticVersion& version) {
  auto rows = collect<VerifiedManifest>(
      *impl_,
      joined(kManifestColumns, " WHERE team = ? AND name = ? AND version = ?"),
      [&](sqlite::Statement& statement) {
        statement.bind(1, model.team).bind(2, model.name).bind(3, version.to_string());
      },
      read_manifest);
  if (!rows) {
    return rows.error();
  }
  if (rows->empty()) {
    return Error{Error::Code::kNotFound,
                 "no verified manifest of " + model.to_string() + " " + version.to_string()};
  }
  return std::move(rows->front());
}

Result<std::vector<VerifiedManifest>> Catalogue::list_manifests() {
  return collect<VerifiedManifest>(
      *impl_,
      joined(kManifestColumns, " ORDER BY team, name, release_counter DESC, version"),
      bind_nothing,
      read_manifest);
}

Result<std::vector<ModelSummary>> Catalogue::list_models(std::size_t limit,
                                                         const std::optional<ModelSummary>& after) {
  const ModelSummary from = after.value_or(ModelSummary{});
  return collect<ModelSummary>(
      *impl_,
      "SELECT digest, team, name, version, release_counter FROM manifest "
      "WHERE (team, name, -release_counter, version) > (?1, ?2, ?3, ?4) "
      "ORDER BY team, name, -release_counter, version LIMIT ?5",
      [&](sqlite::Statement& statement) {
        statement.bind(1, from.model.team)
            .bind(2, from.model.name)
            .bind(3, -as_row(from.release_counter))
            .bind(4, from.version)
            .bind(5, as_row(limit));
      },
      [](sqlite::Statement& row) -> Result<ModelSummary> {
        return ModelSummary{digest_from_row(row, 0),
                            ModelName{row.column_text(1), row.column_text(2)},
                            row.column_text(3),
                            from_row(row.column_int(4))};
      });
}

Result<void> Catalogue::forget_manifest(const Digest& digest) {
  const auto bind = [&](sqlite::Statement& statement) { statement.bind_blob(1, digest.bytes()); };
  return transact<void>(*impl_, [&](sqlite::Database& database) -> Result<void> {
    const auto user = find_integer(database,
                                   "SELECT 1 FROM slot_generation WHERE manifest = ?1 UNION ALL "
                                   "SELECT 1 FROM pin WHERE manifest = ?1 UNION ALL "
                                   "SELECT 1 FROM desired WHERE manifest = ?1",
                                   bind);
    if (!user) {
      return user.error();
    }
    if (user->has_value()) {
      return Error{Error::Code::kFailedPrecondition,
                   "manifest " + digest.to_string() + " is in use by a slot, a pin or a wish"};
    }
    return execute(database, "DELETE FROM manifest WHERE digest = ?", bind);
  });
}

Result<std::uint64_t> Catalogue::release_counter(const ModelName& model) {
  const std::lock_guard lock{impl_->mutex};
  const auto counter = find_integer(
      *impl_->database,
      "SELECT counter FROM release_counter WHERE team = ? AND name = ?",
      [&](sqlite::Statement& statement) { statement.bind(1, model.team).bind(2, model.name); });
  if (!counter) {
    return counter.error();
  }
  return from_row(counter->value_or(0));
}

Result<std::uint64_t> Catalogue::raise_floor(std::string_view name, std::uint64_t value) {
  return transact<std::uint64_t>(*impl_, [&](sqlite::Database& database) -> Result<std::uint64_t> {
    const auto stored = find_integer(
        database,
        "INSERT INTO floor (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE "
        "SET value = max(value, ?2) RETURNING value",
        [&](sqlite::Statement& statement) { statement.bind(1, name).bind(2, as_row(value)); });
    if (!stored) {
      return stored.error();
    }
    return from_row(stored->value_or(0));
  });
}

Result<std::uint64_t> Catalogue::floor(std::string_view name) {
  const std::lock_guard lock{impl_->mutex};
  const auto value = find_integer(*impl_->database,
                                  "SELECT value FROM floor WHERE name = ?",
                                  [&](sqlite::Statement& statement) { statement.bind(1, name); });
  if (!value) {
    return value.error();
  }
  return from_row(value->value_or(0));
}

Result<std::int64_t> Catalogue::schema_version() {
  const std::lock_guard lock{impl_->mutex};
  const auto version = find_integer(*impl_->database, "PRAGMA user_version", bind_nothing);
  if (!version) {
    return version.error();
  }
  return version->value_or(0);
}

Result<void> Catalogue::check_integrity() {
  const std::lock_guard lock{impl_->mutex};
  return impl_->database->check_integrity();
}

WallTime Catalogue::now() const {
  return impl_->clock.wall_now();
}

Result<void> Catalogue::with_database(const std::function<Result<void>(sqlite::Database&)>& work) {
  const std::lock_guard lock{impl_->mutex};
  return work(*impl_->database);
}

}  // namespace skerry::registry
