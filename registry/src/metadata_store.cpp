#include "skerry/registry/metadata_store.hpp"

#include "catalogue_impl.hpp"

namespace skerry::registry {
namespace {

namespace tuf = security::tuf;

class CatalogueMetadataStore final : public tuf::MetadataStore {
 public:
  CatalogueMetadataStore(Catalogue& catalogue, std::string repository)
      : catalogue_(catalogue), repository_(std::move(repository)) {}

  Result<std::optional<std::string>> load(const tuf::RoleName& role) override {
    std::optional<std::string> bytes;
    Digest digest;
    auto done = catalogue_.with_database([&](sqlite::Database& database) {
      return for_each_row(
          database,
          "SELECT bytes, digest FROM tuf_metadata WHERE repository = ? AND role = ? "
          "ORDER BY version DESC LIMIT 1",
          bind(role),
          [&](sqlite::Statement& row) -> Result<void> {
            bytes = std::string{as_text(row.column_blob(0))};
            digest = digest_from_row(row, 1);
            return {};
          });
    });
    if (!done) {
      return done.error();
    }
    if (bytes && Digest::of(*bytes) != digest) {
      return Error{Error::Code::kDatabase,
                   "the stored " + role.text() + " metadata of repository " + repository_ +
                       " was changed; the catalogue is damaged"};
    }
    return bytes;
  }

  Result<void> commit(const tuf::MetadataUpdate& update) override {
    return catalogue_.with_database([&](sqlite::Database& database) -> Result<void> {
      auto transaction = sqlite::Transaction::begin(database);
      if (!transaction) {
        return transaction.error();
      }
      for (const auto& file : update.files) {
        if (auto ok = put(database, file); !ok) {
          return ok;
        }
      }
      for (const auto& role : update.removed) {
        if (auto ok = execute(
                database, "DELETE FROM tuf_metadata WHERE repository = ? AND role = ?", bind(role));
            !ok) {
          return ok;
        }
      }
      return transaction->commit();
    });
  }

 private:
  BindRow bind(const tuf::RoleName& role) const {
    return [this, role](sqlite::Statement& statement) {
      statement.bind(1, repository_).bind(2, role.text());
    };
  }

  Result<void> put(sqlite::Database& database, const tuf::MetadataUpdate::File& file) {
    // TUF 5.3.8 keeps the chain of roots; of the other roles only the trusted file counts.
    if (file.role != tuf::RoleName{tuf::Role::kRoot}) {
      if (auto ok = execute(database,
                            "DELETE FROM tuf_metadata WHERE repository = ? AND role = ?",
                            bind(file.role));
          !ok) {
        return ok;
      }
    }
    return execute(database,
                   "INSERT OR REPLACE INTO tuf_metadata (repository, role, version, digest, "
                   "verified_at, bytes) "
                   "VALUES (?, ?, ?, ?, ?, ?)",
                   [&](sqlite::Statement& statement) {
                     bind(file.role)(statement);
                     statement.bind(3, file.version)
                         .bind_blob(4, Digest::of(file.bytes).bytes())
                         .bind(5, std::int64_t{catalogue_.now().time_since_epoch().count()})
                         .bind_blob(6, as_bytes(file.bytes));
                   });
  }

  Catalogue& catalogue_;
  const std::string repository_;
};

}  // namespace

std::unique_ptr<tuf::MetadataStore> make_metadata_store(Catalogue& catalogue,
                                                        std::string repository) {
  return std::make_unique<CatalogueMetadataStore>(catalogue, std::move(repository));
}

}  // namespace skerry::registry
