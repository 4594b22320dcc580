#pragma once

// What the store's source files share: the SOCI session, its lock, and the guards that turn SOCI's
// exceptions into errors. Portable SQL only: BIGINT, TEXT; bytes travel as base64 text.

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <soci/soci.h>

#include "skerry/common/bytes.hpp"
#include "skerry/controller/store.hpp"

namespace skerry::controller {

struct Store::Impl {
  std::mutex mutex;
  soci::session session;

  // Runs `work(session)`, which returns a Result, in a transaction that commits only on success.
  template <class Work>
  auto transact(std::string_view what, Work work) -> decltype(work(session)) {
    const std::lock_guard lock{mutex};
    try {
      soci::transaction transaction{session};
      auto result = work(session);
      if (result) {
        transaction.commit();
      }
      return result;
    } catch (const std::exception& error) {
      return Error{Error::Code::kDatabase, std::string{what} + ": " + error.what()};
    }
  }

  // The same without a transaction, for single reads.
  template <class Work>
  auto read(std::string_view what, Work work) -> decltype(work(session)) {
    const std::lock_guard lock{mutex};
    try {
      return work(session);
    } catch (const std::exception& error) {
      return Error{Error::Code::kDatabase, std::string{what} + ": " + error.what()};
    }
  }
};

// Applies what is missing of the numbered migrations; kDatabase if the database is newer.
Result<void> migrate(soci::session& session);
// How many migrations this program knows.
std::int64_t latest_schema() noexcept;

void insert_certificate(soci::session& sql, const CertificateRecord& certificate);

inline std::string pack(std::string_view bytes) {
  return to_base64(as_bytes(bytes));
}

inline Result<std::string> unpack(std::string_view text, std::string_view what) {
  const auto bytes = from_base64(text);
  if (!bytes) {
    return Error{Error::Code::kDatabase, std::string{what} + " is damaged in the store"};
  }
  return std::string{as_text(*bytes)};
}

inline std::int64_t affected(soci::statement& statement) {
  return static_cast<std::int64_t>(statement.get_affected_rows());
}

}  // namespace skerry::controller
