// The catalogue's lists: desired state, activation journal, known-bad digests, pins.

#include <algorithm>

#include "skerry/registry/catalogue.hpp"

#include "catalogue_impl.hpp"

namespace skerry::registry {
namespace {

constexpr std::size_t kMaxDetail = 64U << 10U;
constexpr std::string_view kStepColumns =
    "SELECT sequence, slot, generation, manifest, variant, state, detail, at FROM journal";

Result<ActivationStep> read_step(sqlite::Statement& row) {
  ActivationStep step;
  step.sequence = from_row(row.column_int(0));
  step.slot = SlotName{row.column_text(1)};
  step.generation = from_row(row.column_int(2));
  step.manifest = digest_from_row(row, 3);
  step.variant = row.column_text(4);
  step.state = row.column_text(5);
  step.detail = row.column_text(6);
  step.at = time_from_row(row.column_int(7));
  return step;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) {
    text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> names;
  while (!text.empty()) {
    const auto space = text.find(' ');
    names.emplace_back(text.substr(0, space));
    text = space == std::string_view::npos ? std::string_view{} : text.substr(space + 1);
  }
  return names;
}

BindRow bind_variant(const Digest& manifest, std::string_view variant) {
  return [&manifest, variant](sqlite::Statement& statement) {
    statement.bind_blob(1, manifest.bytes()).bind(2, variant);
  };
}

}  // namespace

Result<void> Catalogue::set_desired(const DesiredSlot& desired) {
  if (auto ok = check_name(desired.slot.str(), "slot"); !ok) {
    return ok;
  }
  for (const auto& variant : desired.allowed_variants) {
    if (auto ok = check_name(variant, "variant"); !ok) {
      return ok;
    }
  }
  return transact<void>(*impl_, [&](sqlite::Database& database) -> Result<void> {
    const auto stored =
        find_integer(database,
                     "SELECT generation FROM desired WHERE slot = ?",
                     [&](sqlite::Statement& statement) { statement.bind(1, desired.slot.str()); });
    if (!stored) {
      return stored.error();
    }
    if (desired.generation < from_row(stored->value_or(0))) {
      return Error{Error::Code::kRollback,
                   "desired generation " + std::to_string(desired.generation) + " of slot " +
                       desired.slot.str() + " is below the stored one, " +
                       std::to_string(stored->value_or(0))};
    }
    return execute(
        database,
        "INSERT OR REPLACE INTO desired (slot, generation, manifest, target_path, "
        "allowed_variants, rollout, goal, permit_downgrade) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [&](sqlite::Statement& statement) {
          statement.bind(1, desired.slot.str())
              .bind(2, as_row(desired.generation))
              .bind_blob(3, desired.manifest.bytes())
              .bind(4, desired.target_path)
              .bind(5, join(desired.allowed_variants))
              .bind(6, desired.rollout.str())
              .bind(7, desired.goal)
              .bind(8, static_cast<std::int64_t>(desired.permit_downgrade));
        });
  });
}

Result<std::vector<DesiredSlot>> Catalogue::list_desired() {
  return collect<DesiredSlot>(
      *impl_,
      "SELECT slot, generation, manifest, target_path, allowed_variants, rollout, goal, "
      "permit_downgrade FROM desired ORDER BY slot",
      [](sqlite::Statement&) {},
      [](sqlite::Statement& row) -> Result<DesiredSlot> {
        DesiredSlot desired;
        desired.slot = SlotName{row.column_text(0)};
        desired.generation = from_row(row.column_int(1));
        desired.manifest = digest_from_row(row, 2);
        desired.target_path = row.column_text(3);
        desired.allowed_variants = split(row.column_text(4));
        desired.rollout = RolloutId{row.column_text(5)};
        desired.goal = row.column_text(6);
        desired.permit_downgrade = row.column_int(7) != 0;
        return desired;
      });
}

Result<void> Catalogue::clear_desired(const SlotName& slot) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(database,
                   "DELETE FROM desired WHERE slot = ?",
                   [&](sqlite::Statement& statement) { statement.bind(1, slot.str()); });
  });
}

Result<std::uint64_t> Catalogue::journal(const ActivationStep& step) {
  if (step.detail.size() > kMaxDetail) {
    return Error{
        Error::Code::kInvalidArgument,
        "journal detail of " + std::to_string(step.detail.size()) + " bytes, at most 65536 fit"};
  }
  return transact<std::uint64_t>(*impl_, [&](sqlite::Database& database) -> Result<std::uint64_t> {
    auto written =
        execute(database,
                "INSERT INTO journal (slot, generation, manifest, variant, state, detail, "
                "at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [&](sqlite::Statement& statement) {
                  statement.bind(1, step.slot.str())
                      .bind(2, as_row(step.generation))
                      .bind_blob(3, step.manifest.bytes())
                      .bind(4, step.variant)
                      .bind(5, step.state)
                      .bind(6, step.detail)
                      .bind(7, impl_->now());
                });
    if (!written) {
      return written.error();
    }
    return from_row(database.last_insert_rowid());
  });
}

Result<std::optional<ActivationStep>> Catalogue::last_step(const SlotName& slot) {
  auto rows = collect<ActivationStep>(
      *impl_,
      joined(kStepColumns, " WHERE slot = ? ORDER BY sequence DESC LIMIT 1"),
      [&](sqlite::Statement& statement) { statement.bind(1, slot.str()); },
      read_step);
  if (!rows) {
    return rows.error();
  }
  return rows->empty() ? std::nullopt : std::optional{std::move(rows->front())};
}

Result<std::vector<ActivationStep>> Catalogue::steps_after(std::uint64_t sequence,
                                                           std::size_t limit) {
  return collect<ActivationStep>(
      *impl_,
      joined(kStepColumns, " WHERE sequence > ? ORDER BY sequence LIMIT ?"),
      [&](sqlite::Statement& statement) {
        statement.bind(1, as_row(sequence)).bind(2, as_row(limit));
      },
      read_step);
}

Result<void> Catalogue::trim_journal(std::size_t keep) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(
        database,
        "DELETE FROM journal WHERE sequence IN (SELECT sequence FROM (SELECT sequence, "
        "row_number() OVER (PARTITION BY slot ORDER BY sequence DESC) AS age FROM journal) "
        "WHERE age > ?)",
        [&](sqlite::Statement& statement) { statement.bind(1, as_row(keep)); });
  });
}

Result<void> Catalogue::mark_bad(const Digest& manifest,
                                 std::string_view variant,
                                 std::string_view reason) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(
        database,
        "INSERT OR REPLACE INTO known_bad (manifest, variant, reason, since) VALUES (?, ?, ?, ?)",
        [&](sqlite::Statement& statement) {
          bind_variant(manifest, variant)(statement);
          statement.bind(3, reason).bind(4, impl_->now());
        });
  });
}

Result<void> Catalogue::forgive(const Digest& manifest, std::string_view variant) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(database,
                   "DELETE FROM known_bad WHERE manifest = ? AND variant = ?",
                   bind_variant(manifest, variant));
  });
}

Result<std::optional<std::string>> Catalogue::bad_reason(const Digest& manifest,
                                                         std::string_view variant) {
  auto rows = collect<std::string>(
      *impl_,
      "SELECT reason FROM known_bad WHERE manifest = ? AND variant IN ('', ?) ORDER BY variant",
      bind_variant(manifest, variant),
      [](sqlite::Statement& row) -> Result<std::string> { return row.column_text(0); });
  if (!rows) {
    return rows.error();
  }
  return rows->empty() ? std::nullopt : std::optional{std::move(rows->front())};
}

Result<std::vector<KnownBad>> Catalogue::list_bad() {
  return collect<KnownBad>(
      *impl_,
      "SELECT manifest, variant, reason, since FROM known_bad ORDER BY since, manifest, variant",
      [](sqlite::Statement&) {},
      [](sqlite::Statement& row) -> Result<KnownBad> {
        return KnownBad{digest_from_row(row, 0),
                        row.column_text(1),
                        row.column_text(2),
                        time_from_row(row.column_int(3))};
      });
}

Result<void> Catalogue::pin(const Digest& manifest,
                            std::string_view variant,
                            std::string_view reason) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(database,
                   "INSERT OR REPLACE INTO pin (manifest, variant, reason) VALUES (?, ?, ?)",
                   [&](sqlite::Statement& statement) {
                     bind_variant(manifest, variant)(statement);
                     statement.bind(3, reason);
                   });
  });
}

Result<void> Catalogue::unpin(const Digest& manifest, std::string_view variant) {
  return transact<void>(*impl_, [&](sqlite::Database& database) {
    return execute(database,
                   "DELETE FROM pin WHERE manifest = ? AND variant = ?",
                   bind_variant(manifest, variant));
  });
}

Result<std::vector<Pin>> Catalogue::list_pins() {
  return collect<Pin>(
      *impl_,
      "SELECT manifest, variant, reason FROM pin ORDER BY manifest, variant",
      [](sqlite::Statement&) {},
      [](sqlite::Statement& row) -> Result<Pin> {
        return Pin{digest_from_row(row, 0), row.column_text(1), row.column_text(2)};
      });
}

}  // namespace skerry::registry
