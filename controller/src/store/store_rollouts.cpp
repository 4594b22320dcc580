// Rollouts and what they offer.

#include <algorithm>

#include "slot_rows.hpp"
#include "store_impl.hpp"

namespace skerry::controller {
namespace {

constexpr const char* kRolloutColumns =
    "SELECT rollout_id, tenant_id, target, manifest_digest, slot, state, resume_state, wave, "
    "waves, "
    "canary_devices, max_failures, soak_seconds, note, reason, created_by, created_ms, changed_ms, "
    "since_ms FROM rollouts ";

RolloutRecord read_rollout(const soci::row& row) {
  const auto small = [&row](std::size_t i) {
    return static_cast<std::uint32_t>(row.get<long long>(i));
  };
  RolloutRecord rollout;
  rollout.rollout_id = row.get<std::string>(0);
  rollout.tenant_id = row.get<std::string>(1);
  rollout.target = row.get<std::string>(2);
  rollout.manifest_digest = row.get<std::string>(3);
  rollout.slot = row.get<std::string>(4);
  rollout.state = static_cast<RolloutState>(small(5));
  rollout.resume_state = static_cast<RolloutState>(small(6));
  rollout.wave = small(7);
  rollout.waves = small(8);
  rollout.canary_devices = small(9);
  rollout.max_failures = small(10);
  rollout.soak_seconds = small(11);
  rollout.note = row.get<std::string>(12);
  rollout.reason = row.get<std::string>(13);
  rollout.created_by = row.get<std::string>(14);
  rollout.created_ms = row.get<long long>(15);
  rollout.changed_ms = row.get<long long>(16);
  rollout.since_ms = row.get<long long>(17);
  return rollout;
}

std::vector<RolloutRecord> read_rollouts(soci::session& sql,
                                         const std::string& where,
                                         const std::string& value) {
  const soci::rowset<soci::row> rows =
      (sql.prepare << std::string{kRolloutColumns} + where, soci::use(value));
  std::vector<RolloutRecord> found;
  for (const auto& row : rows) {
    found.push_back(read_rollout(row));
  }
  return found;
}

Result<std::vector<RolloutDeviceRecord>> read_rollout_devices(soci::session& sql,
                                                              const std::string& rollout_id) {
  const soci::rowset<soci::row> rows =
      (sql.prepare << "SELECT rollout_id, device_id, wave, status, detail, generation, "
                      "previous_target, previous_digest FROM rollout_devices "
                      "WHERE rollout_id = :r ORDER BY wave, device_id",
       soci::use(rollout_id));
  std::vector<RolloutDeviceRecord> found;
  for (const auto& row : rows) {
    RolloutDeviceRecord device;
    device.rollout_id = row.get<std::string>(0);
    device.device_id = row.get<std::string>(1);
    device.wave = static_cast<std::uint32_t>(row.get<long long>(2));
    const auto status = parse_device_status(row.get<std::string>(3));
    if (!status) {
      return status.error();
    }
    device.status = *status;
    device.detail = row.get<std::string>(4);
    device.generation = row.get<long long>(5);
    device.previous_target = row.get<std::string>(6);
    device.previous_digest = row.get<std::string>(7);
    found.push_back(std::move(device));
  }
  return found;
}

Result<void> write_rollout_state(soci::session& sql,
                                 const RolloutRecord& rollout,
                                 RolloutState expected) {
  const int state = static_cast<int>(rollout.state);
  const int resume = static_cast<int>(rollout.resume_state);
  const int was = static_cast<int>(expected);
  const auto wave = static_cast<int>(rollout.wave);
  const long long changed = rollout.changed_ms;
  const long long since = rollout.since_ms;
  soci::statement update =
      (sql.prepare << "UPDATE rollouts SET state = :s, resume_state = :u, wave = :w, reason = :r, "
                      "changed_ms = :c, since_ms = :i WHERE rollout_id = :id AND state = :was",
       soci::use(state),
       soci::use(resume),
       soci::use(wave),
       soci::use(rollout.reason),
       soci::use(changed),
       soci::use(since),
       soci::use(rollout.rollout_id),
       soci::use(was));
  update.execute(true);
  if (affected(update) != 1) {
    return Error{
        Error::Code::kFailedPrecondition,
        "rollout " + rollout.rollout_id + " is no longer " + std::string{to_string(expected)}};
  }
  return {};
}

void write_rollout_device(soci::session& sql, const RolloutDeviceRecord& device) {
  const std::string status{to_string(device.status)};
  const long long generation = device.generation;
  sql << "UPDATE rollout_devices SET status = :s, detail = :e, generation = :g, "
         "previous_target = :t, previous_digest = :p WHERE rollout_id = :r AND device_id = :d",
      soci::use(status), soci::use(device.detail), soci::use(generation),
      soci::use(device.previous_target), soci::use(device.previous_digest),
      soci::use(device.rollout_id), soci::use(device.device_id);
}

// A device of a wave that waits for its offer, and what its slot runs now.
struct WaveMember {
  std::string device_id;
  std::string target;
  std::string digest;
  // 0: nothing was ever desired of the slot.
  long long desired_generation = 0;
  long long next_generation = 1;
};

std::vector<WaveMember> read_wave(soci::session& sql, const RolloutRecord& rollout) {
  const auto wave = static_cast<int>(rollout.wave);
  WaveMember member;
  long long reported = 0;
  soci::statement select =
      (sql.prepare << "SELECT d.device_id, COALESCE(s.generation, 0), COALESCE(s.target, ''), "
                      "COALESCE(s.manifest_digest, ''), COALESCE(p.generation, 0) "
                      "FROM rollout_devices d "
                      "LEFT JOIN desired_slots s ON s.device_id = d.device_id AND s.slot = :s1 "
                      "LEFT JOIN slot_reports p ON p.device_id = d.device_id AND p.slot = :s2 "
                      "WHERE d.rollout_id = :r AND d.wave = :w AND d.status = 'waiting' "
                      "ORDER BY d.device_id",
       soci::use(rollout.slot, "s1"),
       soci::use(rollout.slot, "s2"),
       soci::use(rollout.rollout_id, "r"),
       soci::use(wave, "w"),
       soci::into(member.device_id),
       soci::into(member.desired_generation),
       soci::into(member.target),
       soci::into(member.digest),
       soci::into(reported));
  select.execute();
  std::vector<WaveMember> members;
  while (select.fetch()) {
    member.next_generation = std::max(member.desired_generation, reported) + 1;
    members.push_back(member);
  }
  return members;
}

// Statements are compiled once for the whole wave: a thousand devices cost milliseconds.
void offer(soci::session& sql,
           const RolloutRecord& rollout,
           const std::vector<WaveMember>& members) {
  WaveMember member;
  soci::statement replace =
      (sql.prepare << "UPDATE desired_slots SET generation = :g, target = :t, "
                      "manifest_digest = :m, rollout_id = :r, not_after_ms = 0 "
                      "WHERE device_id = :d AND slot = :s",
       soci::use(member.next_generation),
       soci::use(rollout.target),
       soci::use(rollout.manifest_digest),
       soci::use(rollout.rollout_id),
       soci::use(member.device_id),
       soci::use(rollout.slot));
  soci::statement insert =
      (sql.prepare << "INSERT INTO desired_slots (device_id, slot, generation, target, "
                      "manifest_digest, rollout_id, not_after_ms) "
                      "VALUES (:d, :s, :g, :t, :m, :r, 0)",
       soci::use(member.device_id),
       soci::use(rollout.slot),
       soci::use(member.next_generation),
       soci::use(rollout.target),
       soci::use(rollout.manifest_digest),
       soci::use(rollout.rollout_id));
  soci::statement mark =
      (sql.prepare << "UPDATE rollout_devices SET status = 'offered', detail = '', "
                      "generation = :g, previous_target = :t, previous_digest = :p "
                      "WHERE rollout_id = :r AND device_id = :d",
       soci::use(member.next_generation),
       soci::use(member.target),
       soci::use(member.digest),
       soci::use(rollout.rollout_id),
       soci::use(member.device_id));
  for (const auto& next : members) {
    member = next;
    (member.desired_generation > 0 ? replace : insert).execute(true);
    mark.execute(true);
  }
}

}  // namespace

Result<void> Store::add_rollout(const RolloutRecord& rollout,
                                const std::vector<RolloutDeviceRecord>& devices) {
  return impl_->transact("adding a rollout", [&](soci::session& sql) {
    const int state = static_cast<int>(rollout.state);
    const int resume = static_cast<int>(rollout.resume_state);
    const auto waves = static_cast<long long>(rollout.waves);
    const auto canary = static_cast<long long>(rollout.canary_devices);
    const auto failures = static_cast<long long>(rollout.max_failures);
    const auto soak = static_cast<long long>(rollout.soak_seconds);
    const long long created = rollout.created_ms;
    const long long since = rollout.since_ms;
    sql << "INSERT INTO rollouts (rollout_id, tenant_id, target, manifest_digest, slot, state, "
           "resume_state, wave, waves, canary_devices, max_failures, soak_seconds, note, reason, "
           "created_by, created_ms, changed_ms, since_ms) VALUES (:i, :t, :n, :m, :s, :st, :rs, 0, "
           ":w, :c, :f, :k, :o, '', :b, :cr, :ch, :si)",
        soci::use(rollout.rollout_id), soci::use(rollout.tenant_id), soci::use(rollout.target),
        soci::use(rollout.manifest_digest), soci::use(rollout.slot), soci::use(state),
        soci::use(resume), soci::use(waves), soci::use(canary), soci::use(failures),
        soci::use(soak), soci::use(rollout.note), soci::use(rollout.created_by), soci::use(created),
        soci::use(created), soci::use(since);
    std::string device_id;
    int wave = 0;
    soci::statement insert =
        (sql.prepare << "INSERT INTO rollout_devices (rollout_id, device_id, wave, status, detail, "
                        "generation, previous_target, previous_digest) "
                        "VALUES (:r, :d, :w, 'waiting', '', 0, '', '')",
         soci::use(rollout.rollout_id),
         soci::use(device_id),
         soci::use(wave));
    for (const auto& device : devices) {
      device_id = device.device_id;
      wave = static_cast<int>(device.wave);
      insert.execute(true);
    }
    return Result<void>{};
  });
}

Result<std::optional<RolloutRecord>> Store::find_rollout(const std::string& rollout_id) {
  using Found = std::optional<RolloutRecord>;
  return impl_->read("reading a rollout", [&](soci::session& sql) -> Result<Found> {
    auto found = read_rollouts(sql, "WHERE rollout_id = :r", rollout_id);
    return found.empty() ? Found{} : Found{std::move(found.front())};
  });
}

Result<std::vector<RolloutRecord>> Store::rollouts(const std::string& tenant) {
  using Found = std::vector<RolloutRecord>;
  return impl_->read("listing rollouts", [&](soci::session& sql) {
    return Result<Found>{
        read_rollouts(sql, "WHERE tenant_id = :t ORDER BY created_ms, rollout_id", tenant)};
  });
}

Result<std::vector<RolloutRecord>> Store::open_rollouts() {
  using Found = std::vector<RolloutRecord>;
  return impl_->read("listing open rollouts", [&](soci::session& sql) {
    // States up to PAUSED are open.
    auto found =
        read_rollouts(sql, "WHERE state <= 6 AND rollout_id <> :none ORDER BY created_ms", "");
    return Result<Found>{std::move(found)};
  });
}

Result<std::vector<RolloutDeviceRecord>> Store::rollout_devices(const std::string& rollout_id) {
  return impl_->read("reading a rollout's devices",
                     [&](soci::session& sql) { return read_rollout_devices(sql, rollout_id); });
}

Result<void> Store::update_rollout(const RolloutRecord& rollout, RolloutState expected) {
  return impl_->transact("changing a rollout", [&](soci::session& sql) {
    return write_rollout_state(sql, rollout, expected);
  });
}

Result<std::vector<std::string>> Store::start_wave(const RolloutRecord& rollout,
                                                   RolloutState expected) {
  using Changed = std::vector<std::string>;
  return impl_->transact("starting a wave", [&](soci::session& sql) -> Result<Changed> {
    if (auto moved = write_rollout_state(sql, rollout, expected); !moved) {
      return moved.error();
    }
    Changed changed;
    const auto members = read_wave(sql, rollout);
    offer(sql, rollout, members);
    for (const auto& member : members) {
      changed.push_back(member.device_id);
    }
    return changed;
  });
}

Result<std::vector<std::string>> Store::end_rollout(const RolloutRecord& rollout,
                                                    RolloutState expected) {
  using Changed = std::vector<std::string>;
  return impl_->transact("ending a rollout", [&](soci::session& sql) -> Result<Changed> {
    if (auto moved = write_rollout_state(sql, rollout, expected); !moved) {
      return moved.error();
    }
    auto devices = read_rollout_devices(sql, rollout.rollout_id);
    if (!devices) {
      return devices.error();
    }
    Changed changed;
    for (auto& device : *devices) {
      if (device.status != DeviceStatus::kOffered) {
        continue;
      }
      const auto now = read_desired(sql, device.device_id, rollout.slot);
      if (!now || now->generation != device.generation) {
        continue;  // another rollout has taken the slot over
      }
      DesiredSlotRecord slot;
      slot.device_id = device.device_id;
      slot.slot = rollout.slot;
      slot.target = device.previous_target;
      slot.manifest_digest = device.previous_digest;
      write_desired(sql, slot, 0);
      device.status = DeviceStatus::kWaiting;
      device.detail = "the offer was withdrawn";
      device.generation = 0;
      write_rollout_device(sql, device);
      changed.push_back(device.device_id);
    }
    return changed;
  });
}

}  // namespace skerry::controller
