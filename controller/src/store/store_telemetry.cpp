// The outbox, applied exactly once, and the telemetry chunks it brings.

#include <algorithm>
#include <map>

#include "slot_rows.hpp"
#include "store_impl.hpp"

namespace skerry::controller {
namespace {

OutboxMark read_mark(soci::session& sql, const std::string& device, const std::string& stream) {
  OutboxMark mark;
  mark.device_id = device;
  mark.stream = stream;
  long long highest = 0;
  long long records = 0;
  long long gaps = 0;
  long long duplicates = 0;
  sql << "SELECT highest_seq, records, gap_records, duplicates FROM outbox_marks "
         "WHERE device_id = :d AND stream = :s",
      soci::use(device), soci::use(stream), soci::into(highest), soci::into(records),
      soci::into(gaps), soci::into(duplicates);
  if (sql.got_data()) {
    mark.highest_seq = highest;
    mark.records = records;
    mark.gap_records = gaps;
    mark.duplicates = duplicates;
  }
  return mark;
}

void write_mark(soci::session& sql, const OutboxMark& mark) {
  const long long highest = mark.highest_seq;
  const long long records = mark.records;
  const long long gaps = mark.gap_records;
  const long long duplicates = mark.duplicates;
  sql << "DELETE FROM outbox_marks WHERE device_id = :d AND stream = :s", soci::use(mark.device_id),
      soci::use(mark.stream);
  sql << "INSERT INTO outbox_marks (device_id, stream, highest_seq, records, gap_records, "
         "duplicates) VALUES (:d, :s, :h, :r, :g, :u)",
      soci::use(mark.device_id), soci::use(mark.stream), soci::use(highest), soci::use(records),
      soci::use(gaps), soci::use(duplicates);
}

void write_gap(soci::session& sql,
               const OutboxMark& mark,
               std::int64_t first_seq,
               std::int64_t last_seq,
               bool declared) {
  const long long first = first_seq;
  const long long last = last_seq;
  const int said = declared ? 1 : 0;
  sql << "INSERT INTO outbox_gaps (device_id, stream, first_seq, last_seq, declared) "
         "VALUES (:d, :s, :f, :l, :c)",
      soci::use(mark.device_id), soci::use(mark.stream), soci::use(first), soci::use(last),
      soci::use(said);
}

void write_chunk(soci::session& sql,
                 const std::string& device,
                 const std::string& tenant,
                 const TelemetryChunkRecord& chunk) {
  const long long seq = chunk.seq;
  const long long start = chunk.start_ms;
  const long long end = chunk.end_ms;
  const long long points = chunk.points;
  const std::string packed = pack(chunk.chunk);
  sql << "INSERT INTO telemetry_chunks (device_id, seq, tenant_id, start_ms, end_ms, points, "
         "chunk) VALUES (:d, :q, :t, :s, :e, :p, :c)",
      soci::use(device), soci::use(seq), soci::use(tenant), soci::use(start), soci::use(end),
      soci::use(points), soci::use(packed);
}

// True if the entry is new; moves the mark.
bool advance_mark(soci::session& sql, OutboxMark& mark, const OutboxEntry& entry) {
  const std::int64_t last = std::max(entry.seq, entry.last_seq);
  if (last <= mark.highest_seq) {
    ++mark.duplicates;
    return false;
  }
  if (entry.seq > mark.highest_seq + 1) {
    // The device no longer has what came before (a restored store, a lost disk): say so, go on.
    write_gap(sql, mark, mark.highest_seq + 1, entry.seq - 1, false);
    mark.gap_records += entry.seq - 1 - mark.highest_seq;
  }
  if (entry.kind == OutboxEntry::Kind::kGap) {
    const std::int64_t first = std::max(entry.seq, mark.highest_seq + 1);
    write_gap(sql, mark, first, last, true);
    mark.gap_records += last - first + 1;
  } else {
    ++mark.records;
  }
  mark.highest_seq = last;
  return true;
}

}  // namespace

Result<Store::OutboxOutcome> Store::apply_outbox(const std::string& device_id,
                                                 const std::string& tenant,
                                                 const std::vector<OutboxEntry>& entries) {
  return impl_->transact(
      "applying a device's outbox", [&](soci::session& sql) -> Result<OutboxOutcome> {
        OutboxOutcome outcome;
        std::map<std::string, OutboxMark> marks;
        for (std::size_t i = 0; i < entries.size(); ++i) {
          const OutboxEntry& entry = entries[i];
          auto mark = marks.find(entry.stream);
          if (mark == marks.end()) {
            mark = marks.emplace(entry.stream, read_mark(sql, device_id, entry.stream)).first;
          }
          if (!advance_mark(sql, mark->second, entry)) {
            continue;
          }
          outcome.applied.push_back(i);
          if (entry.kind == OutboxEntry::Kind::kTelemetry) {
            write_chunk(sql, device_id, tenant, entry.telemetry);
          } else if (entry.kind == OutboxEntry::Kind::kReport) {
            write_report(sql, entry.report);
          }
        }
        for (const auto& [stream, mark] : marks) {
          write_mark(sql, mark);
          outcome.marks.push_back(mark);
        }
        return outcome;
      });
}

Result<std::vector<OutboxMark>> Store::outbox_marks(const std::string& device_id) {
  using Found = std::vector<OutboxMark>;
  return impl_->read("reading outbox marks", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << "SELECT device_id, stream, highest_seq, records, gap_records, duplicates "
                        "FROM outbox_marks WHERE (:d1 = '' OR device_id = :d2) "
                        "ORDER BY device_id, stream",
         soci::use(device_id, "d1"),
         soci::use(device_id, "d2"));
    Found found;
    for (const auto& row : rows) {
      OutboxMark mark;
      mark.device_id = row.get<std::string>(0);
      mark.stream = row.get<std::string>(1);
      mark.highest_seq = row.get<long long>(2);
      mark.records = row.get<long long>(3);
      mark.gap_records = row.get<long long>(4);
      mark.duplicates = row.get<long long>(5);
      found.push_back(std::move(mark));
    }
    return found;
  });
}

Result<std::vector<TelemetryChunkRecord>> Store::telemetry(const std::string& device_id,
                                                           std::int64_t from_ms,
                                                           std::int64_t to_ms,
                                                           std::size_t limit) {
  using Found = std::vector<TelemetryChunkRecord>;
  return impl_->read("reading telemetry", [&](soci::session& sql) -> Result<Found> {
    const long long from = from_ms;
    const long long to = to_ms;
    const auto most = static_cast<long long>(limit);
    const soci::rowset<soci::row> rows =
        (sql.prepare << "SELECT seq, start_ms, end_ms, points, chunk FROM telemetry_chunks "
                        "WHERE device_id = :d AND end_ms >= :f AND start_ms <= :t "
                        "ORDER BY start_ms, seq LIMIT :m",
         soci::use(device_id),
         soci::use(from),
         soci::use(to),
         soci::use(most));
    Found found;
    for (const auto& row : rows) {
      TelemetryChunkRecord record;
      record.seq = row.get<long long>(0);
      record.start_ms = row.get<long long>(1);
      record.end_ms = row.get<long long>(2);
      record.points = row.get<long long>(3);
      auto chunk = unpack(row.get<std::string>(4), "a telemetry chunk of " + device_id);
      if (!chunk) {
        return chunk.error();
      }
      record.chunk = std::move(*chunk);
      found.push_back(std::move(record));
    }
    return found;
  });
}

Result<void> Store::drop_telemetry(std::int64_t before_ms) {
  return impl_->transact("dropping old telemetry", [&](soci::session& sql) {
    const long long before = before_ms;
    sql << "DELETE FROM telemetry_chunks WHERE end_ms < :b", soci::use(before);
    return Result<void>{};
  });
}

}  // namespace skerry::controller
