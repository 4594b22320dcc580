#pragma once

// The inside of `Catalogue`: one database behind one lock. Its parts are catalogue.cpp (blobs,
// manifests, floors), catalogue_slots.cpp, catalogue_journal.cpp and catalogue_references.cpp.

#include <functional>
#include <memory>
#include <mutex>

#include "skerry/common/sqlite.hpp"
#include "skerry/registry/catalogue.hpp"

namespace skerry::registry {

struct Catalogue::Impl {
  const Clock& clock;
  std::unique_ptr<sqlite::Database> database;
  std::mutex mutex;

  Impl(const Clock& wall, std::unique_ptr<sqlite::Database> opened)
      : clock(wall), database(std::move(opened)) {}

  [[nodiscard]] std::int64_t now() const { return clock.wall_now().time_since_epoch().count(); }
};

inline std::int64_t as_row(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

inline std::uint64_t from_row(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

inline WallTime time_from_row(std::int64_t value) {
  return WallTime{std::chrono::milliseconds{value}};
}

// A digest column; zero if the column does not hold 32 bytes.
inline Digest digest_from_row(const sqlite::Statement& statement, int column) {
  auto digest = Digest::from_bytes(statement.column_blob(column));
  return digest ? *digest : Digest{};
}

// Runs `work` in one transaction under the lock; an error rolls everything back.
template <class T>
Result<T> transact(Catalogue::Impl& impl, const std::function<Result<T>(sqlite::Database&)>& work) {
  const std::lock_guard lock{impl.mutex};
  auto transaction = sqlite::Transaction::begin(*impl.database);
  if (!transaction) {
    return transaction.error().with_context("catalogue");
  }
  auto result = work(*impl.database);
  if (!result) {
    return result;
  }
  if (auto ok = transaction->commit(); !ok) {
    return ok.error().with_context("catalogue");
  }
  return result;
}

// The columns of a query and its conditions.
inline std::string joined(std::string_view columns, std::string_view conditions) {
  std::string sql;
  sql.reserve(columns.size() + conditions.size());
  sql.append(columns).append(conditions);
  return sql;
}

using BindRow = std::function<void(sqlite::Statement&)>;
using ReadRow = std::function<Result<void>(sqlite::Statement&)>;

// Prepares, binds and runs `sql` to its end, handing each row to `read`.
Result<void> for_each_row(sqlite::Database& database,
                          std::string_view sql,
                          const BindRow& bind,
                          const ReadRow& read);

// The same for a statement without rows.
Result<void> execute(sqlite::Database& database, std::string_view sql, const BindRow& bind);

// The first column of the first row as an integer; none without a row.
Result<std::optional<std::int64_t>> find_integer(sqlite::Database& database,
                                                 std::string_view sql,
                                                 const BindRow& bind);

// A row of `manifest` and those of its files; the whole of `Catalogue::record_manifest` but for its
// transaction. `bytes` must be those of `digest`.
struct NewManifest {
  std::string_view bytes;
  const Digest& digest;
  std::string_view repository;
  std::uint64_t targets_version = 0;
  std::optional<WallTime> not_after;
  TenantId tenant;
  std::int64_t now = 0;
  // Leaves who vouches for a manifest that is known already as it is.
  bool keep_known = false;
};
Result<void> insert_manifest(sqlite::Database& database, const NewManifest& row);

// True for an imported manifest that no repository signed and nobody vouches for: it must not
// become live, neither by an activation nor by a rollback.
Result<bool> nobody_vouches(sqlite::Database& database, const Digest& manifest);

// Reads without a transaction, under the lock.
template <class Row>
Result<std::vector<Row>> collect(Catalogue::Impl& impl,
                                 std::string_view sql,
                                 const BindRow& bind,
                                 const std::function<Result<Row>(sqlite::Statement&)>& make) {
  const std::lock_guard lock{impl.mutex};
  std::vector<Row> rows;
  auto done =
      for_each_row(*impl.database, sql, bind, [&](sqlite::Statement& statement) -> Result<void> {
        auto row = make(statement);
        if (!row) {
          return row.error();
        }
        rows.push_back(std::move(*row));
        return {};
      });
  if (!done) {
    return done.error();
  }
  return rows;
}

}  // namespace skerry::registry
