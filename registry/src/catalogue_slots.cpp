// The slots of the catalogue: every change is one transaction, and its COMMIT is what makes it so.

#include "skerry/registry/catalogue.hpp"

#include "activation_check.hpp"
#include "catalogue_impl.hpp"

namespace skerry::registry {
namespace {

constexpr std::string_view kSlotColumns =
    "SELECT name, tenant, site, revision, on_trial, trial_starts, changed_at FROM slot";

BindRow bind_slot(const SlotName& slot) {
  return [&slot](sqlite::Statement& statement) { statement.bind(1, slot.str()); };
}

Slot read_slot_row(const sqlite::Statement& row) {
  Slot slot;
  slot.name = SlotName{row.column_text(0)};
  slot.tenant = TenantId{row.column_text(1)};
  slot.site = SiteId{row.column_text(2)};
  slot.revision = from_row(row.column_int(3));
  slot.on_trial = row.column_int(4) != 0;
  slot.trial_starts = static_cast<std::uint32_t>(row.column_int(5));
  slot.changed_at = time_from_row(row.column_int(6));
  return slot;
}

Result<void> read_generations(sqlite::Database& database, Slot& slot) {
  return for_each_row(database,
                      "SELECT g.role, g.generation, g.manifest, g.variant, g.reason, "
                      "g.activated_at, m.team, m.name, "
                      "m.version, m.release_counter FROM slot_generation g JOIN manifest m ON "
                      "m.digest = g.manifest "
                      "WHERE g.slot = ?",
                      bind_slot(slot.name),
                      [&slot](sqlite::Statement& row) -> Result<void> {
                        SlotGeneration generation;
                        generation.generation = from_row(row.column_int(1));
                        generation.manifest = digest_from_row(row, 2);
                        generation.variant = row.column_text(3);
                        generation.reason = row.column_text(4);
                        generation.activated_at = time_from_row(row.column_int(5));
                        generation.model = ModelName{row.column_text(6), row.column_text(7)};
                        generation.version = row.column_text(8);
                        generation.release_counter = from_row(row.column_int(9));
                        (row.column_text(0) == "active" ? slot.active : slot.previous) =
                            std::move(generation);
                        return {};
                      });
}

Result<std::vector<Slot>> read_slots(sqlite::Database& database,
                                     std::string_view sql,
                                     const BindRow& bind) {
  std::vector<Slot> slots;
  auto done = for_each_row(database, sql, bind, [&](sqlite::Statement& row) -> Result<void> {
    slots.push_back(read_slot_row(row));
    return {};
  });
  if (!done) {
    return done.error();
  }
  for (auto& slot : slots) {
    if (auto ok = read_generations(database, slot); !ok) {
      return ok.error();
    }
  }
  return slots;
}

Result<Slot> read_slot(sqlite::Database& database, const SlotName& name) {
  auto slots = read_slots(database, joined(kSlotColumns, " WHERE name = ?"), bind_slot(name));
  if (!slots) {
    return slots.error();
  }
  if (slots->empty()) {
    return Error{Error::Code::kNotFound, "slot " + name.str() + " was never used"};
  }
  return std::move(slots->front());
}

Result<void> write_generation(sqlite::Database& database,
                              const SlotName& slot,
                              std::string_view role,
                              const std::optional<SlotGeneration>& generation) {
  if (!generation) {
    return execute(
        database,
        "DELETE FROM slot_generation WHERE slot = ? AND role = ?",
        [&](sqlite::Statement& statement) { statement.bind(1, slot.str()).bind(2, role); });
  }
  return execute(
      database,
      "INSERT OR REPLACE INTO slot_generation (slot, role, generation, manifest, variant, reason, "
      "activated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
      [&](sqlite::Statement& statement) {
        statement.bind(1, slot.str())
            .bind(2, role)
            .bind(3, as_row(generation->generation))
            .bind_blob(4, generation->manifest.bytes())
            .bind(5, generation->variant)
            .bind(6, generation->reason)
            .bind(7, std::int64_t{generation->activated_at.time_since_epoch().count()});
      });
}

// Writes `slot` as it is now, with the next revision and a row of what happened.
Result<Slot> store_slot(sqlite::Database& database,
                        Slot slot,
                        std::string_view action,
                        std::string_view reason,
                        std::int64_t now) {
  ++slot.revision;
  slot.changed_at = time_from_row(now);
  const std::uint64_t generation = slot.active ? slot.active->generation : 0;
  auto written = execute(
      database,
      "INSERT INTO slot (name, tenant, site, revision, highest_generation, on_trial, trial_starts, "
      "changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (name) DO UPDATE SET tenant "
      "= "
      "?2, site = ?3, revision = ?4, highest_generation = max(highest_generation, ?5), on_trial = "
      "?6, "
      "trial_starts = ?7, changed_at = ?8",
      [&](sqlite::Statement& statement) {
        statement.bind(1, slot.name.str())
            .bind(2, slot.tenant.str())
            .bind(3, slot.site.str())
            .bind(4, as_row(slot.revision))
            .bind(5, as_row(generation))
            .bind(6, static_cast<std::int64_t>(slot.on_trial))
            .bind(7, static_cast<std::int64_t>(slot.trial_starts))
            .bind(8, now);
      });
  if (written) {
    written = write_generation(database, slot.name, "active", slot.active);
  }
  if (written) {
    written = write_generation(database, slot.name, "previous", slot.previous);
  }
  if (written) {
    written = execute(database,
                      "INSERT INTO slot_change (slot, revision, action, generation, manifest, "
                      "variant, reason, at) "
                      "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                      [&](sqlite::Statement& statement) {
                        statement.bind(1, slot.name.str())
                            .bind(2, as_row(slot.revision))
                            .bind(3, action)
                            .bind(4, as_row(generation))
                            .bind_blob(5, (slot.active ? slot.active->manifest : Digest{}).bytes())
                            .bind(6, slot.active ? slot.active->variant : std::string{})
                            .bind(7, reason)
                            .bind(8, now);
                      });
  }
  if (!written) {
    return written.error();
  }
  return slot;
}

Result<void> raise_release_counter(sqlite::Database& database, const SlotGeneration& generation) {
  return execute(
      database,
      "INSERT INTO release_counter (team, name, counter) VALUES (?1, ?2, ?3) ON CONFLICT "
      "(team, name) DO UPDATE SET counter = max(counter, ?3)",
      [&](sqlite::Statement& statement) {
        statement.bind(1, generation.model.team)
            .bind(2, generation.model.name)
            .bind(3, as_row(generation.release_counter));
      });
}

}  // namespace

Result<Slot> Catalogue::activate(const ActivationRequest& request) {
  if (auto ok = check_name(request.slot.str(), "slot"); !ok) {
    return ok.error();
  }
  return transact<Slot>(*impl_, [&](sqlite::Database& database) -> Result<Slot> {
    const auto now = impl_->now();
    auto generation = check_activation(database, request, now);
    if (!generation) {
      return std::move(generation).error();
    }
    auto slot = read_slot(database, request.slot);
    if (!slot && slot.error().code() != Error::Code::kNotFound) {
      return slot;
    }
    Slot next = slot ? std::move(*slot) : Slot{};
    next.name = request.slot;
    next.tenant = request.tenant;
    next.site = request.site;
    // A trial that did not end is not what a rollback should lead to.
    if (next.active && !next.on_trial) {
      next.previous = std::move(next.active);
    }
    next.active = std::move(*generation);
    next.on_trial = request.probation;
    next.trial_starts = 0;
    if (!request.probation) {
      if (auto ok = raise_release_counter(database, *next.active); !ok) {
        return ok.error();
      }
    }
    return store_slot(database, std::move(next), "activated", request.reason, now);
  });
}

Result<Slot> Catalogue::commit_probation(const SlotName& name, std::uint64_t generation) {
  return transact<Slot>(*impl_, [&](sqlite::Database& database) -> Result<Slot> {
    auto slot = read_slot(database, name);
    if (!slot) {
      return slot;
    }
    if (!slot->on_trial || !slot->active || slot->active->generation != generation) {
      return Error{
          Error::Code::kFailedPrecondition,
          "generation " + std::to_string(generation) + " is not on trial in slot " + name.str()};
    }
    slot->on_trial = false;
    if (auto ok = raise_release_counter(database, *slot->active); !ok) {
      return ok.error();
    }
    return store_slot(database, std::move(*slot), "committed", "probation passed", impl_->now());
  });
}

namespace {

Result<void> mark_known_bad(sqlite::Database& database,
                            const SlotGeneration& what,
                            std::string_view reason,
                            std::int64_t now) {
  return execute(
      database,
      "INSERT OR REPLACE INTO known_bad (manifest, variant, reason, since) VALUES (?, ?, ?, ?)",
      [&](sqlite::Statement& statement) {
        statement.bind_blob(1, what.manifest.bytes())
            .bind(2, what.variant)
            .bind(3, reason)
            .bind(4, now);
      });
}

// A previous generation that nobody vouches for is not gone back to: by hand that is an error,
// after a failed trial the slot has none.
Result<void> check_previous(sqlite::Database& database,
                            Slot& slot,
                            bool failed_trial,
                            const std::optional<Digest>& barred) {
  if (!slot.previous) {
    return {};
  }
  const auto unvouched = nobody_vouches(database, slot.previous->manifest);
  if (!unvouched) {
    return unvouched.error();
  }
  if (!*unvouched && slot.previous->manifest != barred) {
    return {};
  }
  if (!failed_trial) {
    return Error{Error::Code::kFailedPrecondition,
                 "what slot " + slot.name.str() +
                     " ran before was imported and nobody vouches for it any more"};
  }
  slot.previous.reset();
  return {};
}

}  // namespace

Result<Slot> Catalogue::rollback(const SlotName& name,
                                 std::string_view reason,
                                 bool mark_bad,
                                 const std::optional<Digest>& barred) {
  return transact<Slot>(*impl_, [&](sqlite::Database& database) -> Result<Slot> {
    auto slot = read_slot(database, name);
    if (!slot) {
      return slot;
    }
    if (!slot->previous && !(mark_bad && slot->active)) {
      return Error{Error::Code::kFailedPrecondition,
                   "slot " + name.str() + " has no previous generation to go back to"};
    }
    if (auto checked = check_previous(database, *slot, mark_bad, barred); !checked) {
      return checked.error();
    }
    const auto now = impl_->now();
    if (mark_bad && slot->active) {
      if (auto marked = mark_known_bad(database, *slot->active, reason, now); !marked) {
        return marked.error();
      }
    }
    // Neither what is bad nor a trial that did not end is something to come back to.
    if (mark_bad || slot->on_trial) {
      slot->active.reset();
    }
    std::swap(slot->active, slot->previous);
    slot->on_trial = false;
    slot->trial_starts = 0;
    return store_slot(database, std::move(*slot), "rolled_back", reason, now);
  });
}

Result<Slot> Catalogue::deactivate(const SlotName& name, std::string_view reason) {
  return transact<Slot>(*impl_, [&](sqlite::Database& database) -> Result<Slot> {
    auto slot = read_slot(database, name);
    if (!slot) {
      return slot;
    }
    if (!slot->active) {
      return Error{Error::Code::kFailedPrecondition, "slot " + name.str() + " runs nothing"};
    }
    if (!slot->on_trial) {
      slot->previous = std::move(slot->active);
    }
    slot->active.reset();
    slot->on_trial = false;
    slot->trial_starts = 0;
    return store_slot(database, std::move(*slot), "deactivated", reason, impl_->now());
  });
}

Result<Slot> Catalogue::slot(const SlotName& name) {
  const std::lock_guard lock{impl_->mutex};
  return read_slot(*impl_->database, name);
}

Result<std::vector<Slot>> Catalogue::list_slots() {
  const std::lock_guard lock{impl_->mutex};
  return read_slots(
      *impl_->database, joined(kSlotColumns, " ORDER BY name"), [](sqlite::Statement&) {});
}

Result<std::uint32_t> Catalogue::count_trial_start(const SlotName& name) {
  return transact<std::uint32_t>(*impl_, [&](sqlite::Database& database) -> Result<std::uint32_t> {
    const auto count = find_integer(database,
                                    "UPDATE slot SET trial_starts = trial_starts + 1 WHERE name "
                                    "= ? AND on_trial = 1 RETURNING trial_starts",
                                    bind_slot(name));
    if (!count) {
      return count.error();
    }
    if (!count->has_value()) {
      return Error{Error::Code::kFailedPrecondition,
                   "slot " + name.str() + " has nothing on trial"};
    }
    return static_cast<std::uint32_t>(**count);
  });
}

Result<std::vector<SlotChange>> Catalogue::changes_after(std::uint64_t sequence,
                                                         std::size_t limit) {
  return collect<SlotChange>(
      *impl_,
      "SELECT sequence, slot, revision, action, generation, manifest, variant, reason, at FROM "
      "slot_change WHERE sequence > ? ORDER BY sequence LIMIT ?",
      [&](sqlite::Statement& statement) {
        statement.bind(1, as_row(sequence)).bind(2, as_row(limit));
      },
      [](sqlite::Statement& row) -> Result<SlotChange> {
        SlotChange change;
        change.sequence = from_row(row.column_int(0));
        change.slot = SlotName{row.column_text(1)};
        change.revision = from_row(row.column_int(2));
        change.action = row.column_text(3);
        change.generation = from_row(row.column_int(4));
        change.manifest = digest_from_row(row, 5);
        change.variant = row.column_text(6);
        change.reason = row.column_text(7);
        change.at = time_from_row(row.column_int(8));
        return change;
      });
}

}  // namespace skerry::registry
