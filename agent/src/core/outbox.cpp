#include "skerry/agent/outbox.hpp"

#include <array>
#include <mutex>
#include <optional>
#include <utility>

#include "skerry/common/bytes.hpp"
#include "skerry/common/sqlite.hpp"

namespace skerry::agent {
namespace {

constexpr std::int32_t kApplicationId = 0x534b4f42;  // "SKOB"

constexpr std::array kMigrations{
    sqlite::Migration{"streams and records",
                      "CREATE TABLE stream (name TEXT PRIMARY KEY, last INTEGER NOT NULL, "
                      "rank INTEGER NOT NULL) WITHOUT ROWID;"
                      "CREATE TABLE record (stream TEXT NOT NULL REFERENCES stream(name), "
                      "seq INTEGER NOT NULL, first_seq INTEGER NOT NULL, gap INTEGER NOT NULL, "
                      "body BLOB NOT NULL, PRIMARY KEY (stream, seq)) WITHOUT ROWID;"},
};

// What a row costs besides its body.
constexpr std::uint64_t kRowBytes = 64;

std::int64_t rank_of(std::string_view stream) {
  if (stream == kAuditStream) {
    return 0;
  }
  return stream == kEventStream ? 1 : 2;
}

}  // namespace

struct Outbox::Impl {
  std::mutex mutex;
  std::unique_ptr<sqlite::Database> database;
  OutboxOptions options;
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::uint64_t gaps = 0;

  Result<void> recount() {
    Result<sqlite::Statement> sum = database->prepare(
        "SELECT count(*), coalesce(sum(length(body)), 0), coalesce(sum(gap), 0) FROM record");
    if (!sum) {
      return sum.error();
    }
    if (Result<bool> row = sum->step(); !row) {
      return row.error();
    }
    records = static_cast<std::uint64_t>(sum->column_int(0));
    bytes = static_cast<std::uint64_t>(sum->column_int(1)) + records * kRowBytes;
    gaps = static_cast<std::uint64_t>(sum->column_int(2));
    return {};
  }

  Result<std::uint64_t> last_of(std::string_view stream) {
    Result<sqlite::Statement> query = database->prepare("SELECT last FROM stream WHERE name = ?");
    if (!query) {
      return query.error();
    }
    query->bind(1, stream);
    Result<bool> row = query->step();
    if (!row) {
      return row.error();
    }
    return *row ? static_cast<std::uint64_t>(query->column_int(0)) : 0;
  }

  Result<void> set_last(std::string_view stream, std::uint64_t seq) {
    Result<sqlite::Statement> upsert = database->prepare(
        "INSERT INTO stream (name, last, rank) VALUES (?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET last = excluded.last");
    if (!upsert) {
      return upsert.error();
    }
    upsert->bind(1, stream).bind(2, static_cast<std::int64_t>(seq)).bind(3, rank_of(stream));
    return upsert->run();
  }

  // Replaces the oldest telemetry by one gap record until `needed` bytes fit. Inside a
  // transaction.
  Result<void> make_room(std::uint64_t needed) {
    if (bytes + needed <= options.max_bytes) {
      return {};
    }
    const std::uint64_t must_free = bytes + needed + 2 * kRowBytes - options.max_bytes;
    Result<sqlite::Statement> oldest = database->prepare(
        "SELECT seq, first_seq, length(body) FROM record WHERE stream = ? ORDER BY seq");
    if (!oldest) {
      return oldest.error();
    }
    oldest->bind(1, kTelemetryStream);
    std::uint64_t freed = 0;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    while (freed < must_free) {
      Result<bool> row = oldest->step();
      if (!row) {
        return row.error();
      }
      if (!*row) {
        return Error{Error::Code::kResourceExhausted,
                     "the outbox is full of records that may not be dropped"};
      }
      if (last == 0) {
        first = static_cast<std::uint64_t>(oldest->column_int(1));
      }
      last = static_cast<std::uint64_t>(oldest->column_int(0));
      freed += static_cast<std::uint64_t>(oldest->column_int(2)) + kRowBytes;
    }
    oldest->reset();
    return replace_by_gap(first, last);
  }

  Result<void> replace_by_gap(std::uint64_t first, std::uint64_t last) {
    Result<sqlite::Statement> drop =
        database->prepare("DELETE FROM record WHERE stream = ? AND seq <= ?");
    if (!drop) {
      return drop.error();
    }
    drop->bind(1, kTelemetryStream).bind(2, static_cast<std::int64_t>(last));
    if (Result<void> done = drop->run(); !done) {
      return done;
    }
    return insert(OutboxEntry{std::string{kTelemetryStream}, last, first, true, "outbox full"});
  }

  Result<void> insert(const OutboxEntry& entry) {
    Result<sqlite::Statement> insert = database->prepare(
        "INSERT INTO record (stream, seq, first_seq, gap, body) VALUES (?, ?, ?, ?, ?)");
    if (!insert) {
      return insert.error();
    }
    insert->bind(1, entry.stream)
        .bind(2, static_cast<std::int64_t>(entry.seq))
        .bind(3, static_cast<std::int64_t>(entry.first_seq))
        .bind(4, std::int64_t{entry.gap ? 1 : 0})
        .bind_blob(5, as_bytes(entry.body));
    return insert->run();
  }

  // Runs `work` in a transaction and refreshes the totals.
  template <class Work>
  Result<void> change(Work work) {
    Result<sqlite::Transaction> transaction = sqlite::Transaction::begin(*database);
    if (!transaction) {
      return transaction.error();
    }
    if (Result<void> done = work(); !done) {
      return done;
    }
    if (Result<void> done = transaction->commit(); !done) {
      return done;
    }
    return recount();
  }
};

Outbox::Outbox(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Outbox::~Outbox() = default;

Result<std::unique_ptr<Outbox>> Outbox::open(const std::filesystem::path& path,
                                             const OutboxOptions& options) {
  sqlite::OpenOptions open_options;
  open_options.vfs = options.vfs;
  open_options.application_id = kApplicationId;
  Result<std::unique_ptr<sqlite::Database>> database =
      sqlite::Database::open(path, kMigrations, open_options);
  if (!database) {
    return database.error().with_context("outbox");
  }
  auto impl = std::make_unique<Impl>();
  impl->database = *std::move(database);
  impl->options = options;
  if (Result<void> counted = impl->recount(); !counted) {
    return counted.error().with_context("outbox");
  }
  return std::unique_ptr<Outbox>(new Outbox(std::move(impl)));
}

Result<std::uint64_t> Outbox::append(std::string_view stream, std::string_view body) {
  const std::lock_guard lock{impl_->mutex};
  if (body.size() > impl_->options.max_bytes / 8) {
    return Error{Error::Code::kTooLarge,
                 "outbox: a record of " + std::to_string(body.size()) + " bytes"};
  }
  std::uint64_t seq = 0;
  Result<void> done = impl_->change([&]() -> Result<void> {
    Result<std::uint64_t> last = impl_->last_of(stream);
    if (!last) {
      return last.error();
    }
    seq = *last + 1;
    if (Result<void> stored = impl_->set_last(stream, seq); !stored) {
      return stored;
    }
    if (Result<void> room = impl_->make_room(body.size() + kRowBytes); !room) {
      return room;
    }
    return impl_->insert(OutboxEntry{std::string{stream}, seq, seq, false, std::string{body}});
  });
  if (!done) {
    return done.error().with_context("outbox");
  }
  return seq;
}

Result<std::vector<OutboxEntry>> Outbox::read(const std::map<std::string, std::uint64_t>& after,
                                              std::size_t max_bytes) {
  const std::lock_guard lock{impl_->mutex};
  std::vector<OutboxEntry> entries;
  std::size_t total = 0;
  for (const std::string_view stream : {kAuditStream, kEventStream, kTelemetryStream}) {
    const auto from = after.find(std::string{stream});
    Result<sqlite::Statement> query = impl_->database->prepare(
        "SELECT seq, first_seq, gap, body FROM record WHERE stream = ? AND seq > ? ORDER BY seq");
    if (!query) {
      return query.error().with_context("outbox");
    }
    query->bind(1, stream).bind(2,
                                static_cast<std::int64_t>(from == after.end() ? 0 : from->second));
    while (true) {
      Result<bool> row = query->step();
      if (!row) {
        return row.error().with_context("outbox");
      }
      if (!*row) {
        break;
      }
      const Bytes body = query->column_blob(3);
      if (!entries.empty() && total + body.size() > max_bytes) {
        return entries;
      }
      total += body.size();
      entries.push_back(OutboxEntry{std::string{stream},
                                    static_cast<std::uint64_t>(query->column_int(0)),
                                    static_cast<std::uint64_t>(query->column_int(1)),
                                    query->column_int(2) != 0,
                                    std::string{as_text(body)}});
    }
  }
  return entries;
}

Result<void> Outbox::acknowledge(const std::map<std::string, std::uint64_t>& acknowledged) {
  const std::lock_guard lock{impl_->mutex};
  Result<void> done = impl_->change([&]() -> Result<void> {
    for (const auto& [stream, seq] : acknowledged) {
      Result<std::uint64_t> last = impl_->last_of(stream);
      if (!last) {
        return last.error();
      }
      if (seq > *last) {
        return Error{Error::Code::kInvalidArgument,
                     "acknowledged " + stream + " " + std::to_string(seq) + ", but only " +
                         std::to_string(*last) + " were sent"};
      }
      Result<sqlite::Statement> drop =
          impl_->database->prepare("DELETE FROM record WHERE stream = ? AND seq <= ?");
      if (!drop) {
        return drop.error();
      }
      drop->bind(1, stream).bind(2, static_cast<std::int64_t>(seq));
      if (Result<void> dropped = drop->run(); !dropped) {
        return dropped;
      }
    }
    return {};
  });
  if (!done) {
    return done.error().with_context("outbox");
  }
  return {};
}

Result<void> Outbox::skip_to(const std::map<std::string, std::uint64_t>& acknowledged) {
  const std::lock_guard lock{impl_->mutex};
  Result<void> done = impl_->change([&]() -> Result<void> {
    for (const auto& [stream, seq] : acknowledged) {
      Result<std::uint64_t> last = impl_->last_of(stream);
      if (!last) {
        return last.error();
      }
      if (seq <= *last) {
        continue;
      }
      // Records that wait under lower numbers would be taken for duplicates: they move up.
      Result<sqlite::Statement> move = impl_->database->prepare(
          "UPDATE record SET seq = seq + ?2, first_seq = first_seq + ?2 WHERE stream = ?1");
      if (!move) {
        return move.error();
      }
      move->bind(1, stream).bind(2, static_cast<std::int64_t>(seq));
      if (Result<void> moved = move->run(); !moved) {
        return moved;
      }
      const std::uint64_t next = *last + seq;
      if (Result<void> stored = impl_->set_last(stream, next); !stored) {
        return stored;
      }
    }
    return {};
  });
  if (!done) {
    return done.error().with_context("outbox");
  }
  return {};
}

Result<std::map<std::string, std::uint64_t>> Outbox::last() {
  const std::lock_guard lock{impl_->mutex};
  Result<sqlite::Statement> query = impl_->database->prepare("SELECT name, last FROM stream");
  if (!query) {
    return query.error().with_context("outbox");
  }
  std::map<std::string, std::uint64_t> last;
  while (true) {
    Result<bool> row = query->step();
    if (!row) {
      return row.error().with_context("outbox");
    }
    if (!*row) {
      return last;
    }
    last.emplace(query->column_text(0), static_cast<std::uint64_t>(query->column_int(1)));
  }
}

Result<OutboxStatus> Outbox::status() {
  const std::lock_guard lock{impl_->mutex};
  return OutboxStatus{impl_->records, impl_->bytes, impl_->gaps};
}

}  // namespace skerry::agent
