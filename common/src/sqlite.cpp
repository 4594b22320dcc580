#include "skerry/common/sqlite.hpp"

#include <array>
#include <sqlite3.h>

namespace skerry::sqlite {
namespace {

Error database_error(sqlite3* handle, std::string_view what) {
  const int code = sqlite3_errcode(handle);
  const auto kind = code == SQLITE_FULL ? Error::Code::kNoSpace : Error::Code::kDatabase;
  return {kind, std::string{what} + ": " + sqlite3_errmsg(handle)};
}

constexpr std::array<const char*, 5> kPragmas{
    "PRAGMA journal_mode=WAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    "PRAGMA busy_timeout=5000",
};

}  // namespace

struct Statement::Impl {
  sqlite3* handle = nullptr;
  sqlite3_stmt* statement = nullptr;
  int bind_result = SQLITE_OK;
  Impl(sqlite3* database, sqlite3_stmt* compiled) : handle(database), statement(compiled) {}
  ~Impl() { sqlite3_finalize(statement); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  void note(int result) {
    if (bind_result == SQLITE_OK) {
      bind_result = result;
    }
  }
};

Statement::Statement(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::bind(int index, std::int64_t value) {
  impl_->note(sqlite3_bind_int64(impl_->statement, index, value));
  return *this;
}

Statement& Statement::bind(int index, double value) {
  impl_->note(sqlite3_bind_double(impl_->statement, index, value));
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  impl_->note(sqlite3_bind_text64(impl_->statement,
                                  index,
                                  text.empty() ? "" : text.data(),
                                  text.size(),
                                  SQLITE_TRANSIENT,
                                  SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int index, ByteView blob) {
  const void* data = blob.empty() ? static_cast<const void*>("") : blob.data();
  impl_->note(sqlite3_bind_blob64(impl_->statement, index, data, blob.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null(int index) {
  impl_->note(sqlite3_bind_null(impl_->statement, index));
  return *this;
}

Result<bool> Statement::step() {
  if (impl_->bind_result != SQLITE_OK) {
    return Error{Error::Code::kDatabase,
                 std::string{"binding a parameter of \""} + sqlite3_sql(impl_->statement) +
                     "\": " + sqlite3_errstr(impl_->bind_result)};
  }
  switch (sqlite3_step(impl_->statement)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default: {
      Error error = database_error(impl_->handle, sqlite3_sql(impl_->statement));
      sqlite3_reset(impl_->statement);
      return error;
    }
  }
}

Result<void> Statement::run() {
  for (;;) {
    const auto row = step();
    if (!row) {
      return row.error();
    }
    if (!*row) {
      break;
    }
  }
  reset();
  return {};
}

void Statement::reset() {
  sqlite3_reset(impl_->statement);
  sqlite3_clear_bindings(impl_->statement);
  impl_->bind_result = SQLITE_OK;
}

std::int64_t Statement::column_int(int column) const {
  return sqlite3_column_int64(impl_->statement, column);
}

double Statement::column_double(int column) const {
  return sqlite3_column_double(impl_->statement, column);
}

std::string Statement::column_text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(impl_->statement, column));
  if (text == nullptr) {
    return {};
  }
  return {text, static_cast<std::size_t>(sqlite3_column_bytes(impl_->statement, column))};
}

Bytes Statement::column_blob(int column) const {
  const auto* data =
      static_cast<const std::uint8_t*>(sqlite3_column_blob(impl_->statement, column));
  if (data == nullptr) {
    return {};
  }
  return {data, data + sqlite3_column_bytes(impl_->statement, column)};
}

bool Statement::column_is_null(int column) const {
  return sqlite3_column_type(impl_->statement, column) == SQLITE_NULL;
}

struct Database::Impl {
  sqlite3* handle = nullptr;
  Impl() = default;
  ~Impl() { sqlite3_close_v2(handle); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> exec(const std::string& sql) const {
    if (sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
      return database_error(handle, sql.substr(0, 120));
    }
    return {};
  }

  [[nodiscard]] Result<std::int64_t> pragma(const std::string& name) const {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(handle, ("PRAGMA " + name).c_str(), -1, &statement, nullptr) !=
            SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW) {
      Error error = database_error(handle, "PRAGMA " + name);
      sqlite3_finalize(statement);
      return error;
    }
    const std::int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
  }

  Result<void> claim(std::int32_t application_id) const {
    if (application_id == 0) {
      return {};
    }
    const auto found = pragma("application_id");
    const auto version = pragma("user_version");
    if (!found || !version) {
      return found ? version.error() : found.error();
    }
    if (*found == 0 && *version == 0) {
      return exec("PRAGMA application_id=" + std::to_string(application_id));
    }
    if (*found != application_id) {
      return Error{Error::Code::kDatabase,
                   "the file belongs to another application (application_id " +
                       std::to_string(*found) + ")"};
    }
    return {};
  }

  Result<void> migrate(std::span<const Migration> migrations) const {
    const auto version = pragma("user_version");
    if (!version) {
      return version.error();
    }
    if (*version > static_cast<std::int64_t>(migrations.size())) {
      return Error{Error::Code::kDatabase,
                   "the database has schema version " + std::to_string(*version) +
                       ", this program knows up to " + std::to_string(migrations.size()) +
                       "; install the newer program again"};
    }
    for (auto i = static_cast<std::size_t>(*version); i < migrations.size(); ++i) {
      const std::string sql = "BEGIN IMMEDIATE;" + std::string{migrations[i].sql} +
                              ";PRAGMA user_version=" + std::to_string(i + 1) + ";COMMIT";
      if (auto applied = exec(sql); !applied) {
        sqlite3_exec(handle, "ROLLBACK", nullptr, nullptr, nullptr);
        return applied.error().with_context("migration " + std::to_string(i + 1) + " (" +
                                            std::string{migrations[i].name} + ")");
      }
    }
    return {};
  }
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& path,
                                                 std::span<const Migration> migrations,
                                                 const OpenOptions& options) {
  auto impl = std::make_unique<Impl>();
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const char* vfs = options.vfs.empty() ? nullptr : options.vfs.c_str();
  const std::string context = "opening database " + path.string();
  if (sqlite3_open_v2(path.c_str(), &impl->handle, flags, vfs) != SQLITE_OK) {
    return database_error(impl->handle, context);
  }
  for (const char* pragma : kPragmas) {
    if (auto set = impl->exec(pragma); !set) {
      return set.error().with_context(context);
    }
  }
  if (auto set =
          impl->exec(options.full_sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
      !set) {
    return set.error().with_context(context);
  }
  if (auto claimed = impl->claim(options.application_id); !claimed) {
    return claimed.error().with_context(context);
  }
  if (auto migrated = impl->migrate(migrations); !migrated) {
    return migrated.error().with_context(context);
  }
  return std::unique_ptr<Database>{new Database(std::move(impl))};
}

Result<void> Database::exec(const std::string& sql) {
  return impl_->exec(sql);
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(
          impl_->handle, sql.data(), static_cast<int>(sql.size()), &statement, nullptr) !=
      SQLITE_OK) {
    return database_error(impl_->handle, sql);
  }
  return Statement{std::make_unique<Statement::Impl>(impl_->handle, statement)};
}

std::int64_t Database::last_insert_rowid() const {
  return sqlite3_last_insert_rowid(impl_->handle);
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(impl_->handle);
}

Result<void> Database::check_integrity() {
  auto statement = prepare("PRAGMA integrity_check(1)");
  if (!statement) {
    return statement.error();
  }
  const auto row = statement->step();
  if (!row) {
    return row.error();
  }
  if (const std::string finding = statement->column_text(0); finding != "ok") {
    return Error{Error::Code::kDatabase, "integrity check: " + finding};
  }
  return {};
}

Result<Transaction> Transaction::begin(Database& database) {
  if (auto begun = database.exec("BEGIN IMMEDIATE"); !begun) {
    return begun.error();
  }
  return Transaction{database};
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  if (database_ != nullptr) {
    // Fails only if SQLite has rolled back already, which is what is wanted.
    (void)database_->exec("ROLLBACK");
  }
}

Result<void> Transaction::commit() {
  if (auto committed = database_->exec("COMMIT"); !committed) {
    return committed;
  }
  database_ = nullptr;
  return {};
}

}  // namespace skerry::sqlite
