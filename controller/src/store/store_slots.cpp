// Desired state and reports.

#include <algorithm>

#include "slot_rows.hpp"
#include "store_impl.hpp"

namespace skerry::controller {
namespace {

// The generation also passes what the device last reported, in case the store was restored.
std::int64_t reported_generation(soci::session& sql,
                                 const std::string& device_id,
                                 const std::string& slot) {
  long long generation = 0;
  sql << "SELECT generation FROM slot_reports WHERE device_id = :d AND slot = :s",
      soci::use(device_id), soci::use(slot), soci::into(generation);
  return sql.got_data() ? generation : 0;
}

}  // namespace

std::optional<DesiredSlotRecord> read_desired(soci::session& sql,
                                              const std::string& device_id,
                                              const std::string& slot) {
  DesiredSlotRecord desired;
  desired.device_id = device_id;
  desired.slot = slot;
  long long generation = 0;
  long long not_after = 0;
  sql << "SELECT generation, target, manifest_digest, rollout_id, not_after_ms FROM desired_slots "
         "WHERE device_id = :d AND slot = :s",
      soci::use(device_id), soci::use(slot), soci::into(generation), soci::into(desired.target),
      soci::into(desired.manifest_digest), soci::into(desired.rollout_id), soci::into(not_after);
  if (!sql.got_data()) {
    return std::nullopt;
  }
  desired.generation = generation;
  desired.not_after_ms = not_after;
  return desired;
}

std::int64_t write_desired(soci::session& sql,
                           const DesiredSlotRecord& slot,
                           std::int64_t at_least) {
  const auto old = read_desired(sql, slot.device_id, slot.slot);
  const std::int64_t generation = std::max({old ? old->generation : 0,
                                            reported_generation(sql, slot.device_id, slot.slot),
                                            at_least}) +
                                  1;
  const long long stored = generation;
  const long long not_after = slot.not_after_ms;
  sql << "DELETE FROM desired_slots WHERE device_id = :d AND slot = :s", soci::use(slot.device_id),
      soci::use(slot.slot);
  sql << "INSERT INTO desired_slots (device_id, slot, generation, target, manifest_digest, "
         "rollout_id, not_after_ms) VALUES (:d, :s, :g, :t, :m, :r, :n)",
      soci::use(slot.device_id), soci::use(slot.slot), soci::use(stored), soci::use(slot.target),
      soci::use(slot.manifest_digest), soci::use(slot.rollout_id), soci::use(not_after);
  return generation;
}

bool write_report(soci::session& sql, const SlotReportRecord& report) {
  const long long generation = report.generation;
  const long long at = report.at_ms;
  const std::string status{to_string(report.status)};
  const std::string packed = pack(report.report);
  long long stored_generation = 0;
  long long stored_at = 0;
  sql << "SELECT generation, at_ms FROM slot_reports WHERE device_id = :d AND slot = :s",
      soci::use(report.device_id), soci::use(report.slot), soci::into(stored_generation),
      soci::into(stored_at);
  const bool known = sql.got_data();
  if (known &&
      (generation < stored_generation || (generation == stored_generation && at < stored_at))) {
    return false;
  }
  if (known) {
    sql << "DELETE FROM slot_reports WHERE device_id = :d AND slot = :s",
        soci::use(report.device_id), soci::use(report.slot);
  }
  sql << "INSERT INTO slot_reports (device_id, slot, generation, at_ms, rollout_id, status, "
         "detail, report) VALUES (:d, :s, :g, :a, :r, :t, :e, :p)",
      soci::use(report.device_id), soci::use(report.slot), soci::use(generation), soci::use(at),
      soci::use(report.rollout_id), soci::use(status), soci::use(report.detail), soci::use(packed);
  // Only the generation that the rollout offered counts for it.
  sql << "UPDATE rollout_devices SET status = :t, detail = :e "
         "WHERE device_id = :d AND generation = :g AND generation > 0 AND rollout_id IN "
         "(SELECT rollout_id FROM rollouts WHERE slot = :s)",
      soci::use(status), soci::use(report.detail), soci::use(report.device_id),
      soci::use(generation), soci::use(report.slot);
  return true;
}

Result<std::vector<DesiredSlotRecord>> Store::desired(const std::string& device_id) {
  using Found = std::vector<DesiredSlotRecord>;
  return impl_->read("reading desired state", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << "SELECT slot, generation, target, manifest_digest, rollout_id, "
                        "not_after_ms FROM desired_slots WHERE device_id = :d ORDER BY slot",
         soci::use(device_id));
    Found found;
    for (const auto& row : rows) {
      DesiredSlotRecord slot;
      slot.device_id = device_id;
      slot.slot = row.get<std::string>(0);
      slot.generation = row.get<long long>(1);
      slot.target = row.get<std::string>(2);
      slot.manifest_digest = row.get<std::string>(3);
      slot.rollout_id = row.get<std::string>(4);
      slot.not_after_ms = row.get<long long>(5);
      found.push_back(std::move(slot));
    }
    return found;
  });
}

Result<std::map<std::string, std::vector<DesiredSlotRecord>>> Store::desired_of(
    const std::vector<std::string>& device_ids) {
  using Found = std::map<std::string, std::vector<DesiredSlotRecord>>;
  return impl_->read("reading desired states", [&](soci::session& sql) -> Result<Found> {
    Found found;
    std::string id;
    DesiredSlotRecord slot;
    long long generation = 0;
    long long not_after = 0;
    soci::statement select =
        (sql.prepare << "SELECT slot, generation, target, manifest_digest, rollout_id, "
                        "not_after_ms FROM desired_slots WHERE device_id = :d ORDER BY slot",
         soci::use(id),
         soci::into(slot.slot),
         soci::into(generation),
         soci::into(slot.target),
         soci::into(slot.manifest_digest),
         soci::into(slot.rollout_id),
         soci::into(not_after));
    for (const auto& device_id : device_ids) {
      id = device_id;
      auto& slots = found[device_id];
      select.execute();
      while (select.fetch()) {
        slot.device_id = device_id;
        slot.generation = generation;
        slot.not_after_ms = not_after;
        slots.push_back(slot);
      }
    }
    return found;
  });
}

Result<std::int64_t> Store::set_desired(const DesiredSlotRecord& slot, std::int64_t at_least) {
  return impl_->transact("setting desired state", [&](soci::session& sql) {
    return Result<std::int64_t>{write_desired(sql, slot, at_least)};
  });
}

Result<std::int64_t> Store::director_floor(const std::string& device_id) {
  return impl_->read("reading a director version", [&](soci::session& sql) -> Result<std::int64_t> {
    long long floor = 0;
    sql << "SELECT floor FROM director_floors WHERE device_id = :d", soci::use(device_id),
        soci::into(floor);
    return sql.got_data() ? std::int64_t{floor} : std::int64_t{0};
  });
}

Result<void> Store::set_director_floor(const std::string& device_id, std::int64_t floor) {
  return impl_->transact("setting a director version", [&](soci::session& sql) -> Result<void> {
    const long long stored = floor;
    sql << "DELETE FROM director_floors WHERE device_id = :d", soci::use(device_id);
    sql << "INSERT INTO director_floors (device_id, floor) VALUES (:d, :f)", soci::use(device_id),
        soci::use(stored);
    return {};
  });
}

Result<bool> Store::apply_report(const SlotReportRecord& report) {
  return impl_->transact("storing a report", [&](soci::session& sql) {
    return Result<bool>{write_report(sql, report)};
  });
}

Result<std::vector<SlotReportRecord>> Store::reports(const std::string& device_id) {
  using Found = std::vector<SlotReportRecord>;
  return impl_->read("reading reports", [&](soci::session& sql) -> Result<Found> {
    const soci::rowset<soci::row> rows =
        (sql.prepare << "SELECT slot, generation, at_ms, rollout_id, status, detail, report "
                        "FROM slot_reports WHERE device_id = :d ORDER BY slot",
         soci::use(device_id));
    Found found;
    for (const auto& row : rows) {
      SlotReportRecord record;
      record.device_id = device_id;
      record.slot = row.get<std::string>(0);
      record.generation = row.get<long long>(1);
      record.at_ms = row.get<long long>(2);
      record.rollout_id = row.get<std::string>(3);
      const auto status = parse_device_status(row.get<std::string>(4));
      auto report = unpack(row.get<std::string>(6), "a report of " + device_id);
      if (!status || !report) {
        return status ? report.error() : status.error();
      }
      record.status = *status;
      record.detail = row.get<std::string>(5);
      record.report = std::move(*report);
      found.push_back(std::move(record));
    }
    return found;
  });
}

}  // namespace skerry::controller
