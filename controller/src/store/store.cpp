#include "skerry/controller/store.hpp"

#include <soci/sqlite3/soci-sqlite3.h>

#include "store_impl.hpp"

namespace skerry::controller {

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& backend,
                                           const std::string& connection) {
  const std::string what = "opening the store " + connection;
  if (backend != "sqlite3") {
    return Error{Error::Code::kUnimplemented, what + ": no backend \"" + backend + "\""};
  }
  if (connection.find_first_of("\"'") != std::string::npos) {
    return Error{Error::Code::kInvalidArgument, what + ": the path must not hold quotes"};
  }
  auto impl = std::make_unique<Impl>();
  try {
    impl->session.open(soci::sqlite3, "dbname=\"" + connection + "\" timeout=10");
    impl->session << "PRAGMA journal_mode = WAL";
    impl->session << "PRAGMA synchronous = FULL";
    impl->session << "PRAGMA trusted_schema = OFF";
    if (const auto migrated = migrate(impl->session); !migrated) {
      return migrated.error().with_context(what);
    }
  } catch (const std::exception& error) {
    return Error{Error::Code::kDatabase, what + ": " + error.what()};
  }
  return std::unique_ptr<Store>{new Store{std::move(impl)}};
}

Result<std::int64_t> Store::schema_version() {
  return impl_->read("reading the schema version", [](soci::session& sql) {
    long long version = 0;
    sql << "SELECT version FROM schema_version", soci::into(version);
    return Result<std::int64_t>{version};
  });
}

}  // namespace skerry::controller
