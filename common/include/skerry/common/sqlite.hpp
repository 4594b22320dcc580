#pragma once

// A thin SQLite handle: WAL, synchronous=FULL, foreign keys, trusted_schema off, numbered
// migrations. The registry catalogue, the audit index and the outbox each keep one. Faults are
// injected below it, by the VFS that tests/support registers (`OpenOptions::vfs`).
//
// One `Database` is used by one thread at a time. `Statement` is valid while its database lives.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::sqlite {

class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  // Parameters are numbered from 1. Text and blobs are copied.
  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, double value);
  Statement& bind(int index, std::string_view text);
  Statement& bind_blob(int index, ByteView blob);
  Statement& bind_null(int index);

  // True: a row is ready. False: done. Errors of earlier binds surface here.
  Result<bool> step();
  // Steps to the end of a statement that returns no rows, then resets it.
  Result<void> run();
  // Makes the statement ready to run again with new parameters.
  void reset();

  // Columns are numbered from 0; a NULL reads as 0 or empty.
  [[nodiscard]] std::int64_t column_int(int column) const;
  [[nodiscard]] double column_double(int column) const;
  [[nodiscard]] std::string column_text(int column) const;
  [[nodiscard]] Bytes column_blob(int column) const;
  [[nodiscard]] bool column_is_null(int column) const;

 private:
  friend class Database;
  struct Impl;
  explicit Statement(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Migration `n` (counted from 1) brings user_version from n-1 to n. Never edit one that was
// released: append another.
struct Migration {
  std::string_view name;
  std::string_view sql;
};

struct OpenOptions {
  // Name of a registered VFS; empty for the default.
  std::string vfs;
  // Durable commits. False gives synchronous=NORMAL: a power cut may lose the last commits, never
  // consistency.
  bool full_sync = true;
  // Written to PRAGMA application_id of a new database and required of an existing one; 0 skips the
  // check.
  std::int32_t application_id = 0;
};

class Database {
 public:
  // Opens or creates `path` and applies missing migrations, each in a transaction of its own.
  // kDatabase if the file is newer than the last migration known here (a downgrade), belongs to
  // another application, or is corrupt.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& path,
                                                std::span<const Migration> migrations,
                                                const OpenOptions& options);

  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one or more statements without parameters or rows.
  Result<void> exec(const std::string& sql);
  // Compiles a statement.
  Result<Statement> prepare(std::string_view sql);

  [[nodiscard]] std::int64_t last_insert_rowid() const;
  // Rows changed by the last statement that ran.
  [[nodiscard]] std::int64_t changes() const;
  // PRAGMA integrity_check; kDatabase with the first finding.
  Result<void> check_integrity();

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// BEGIN IMMEDIATE on construction through `begin`; rolls back unless `commit` succeeded.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace skerry::sqlite
