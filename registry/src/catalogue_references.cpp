// Who needs which blob. The two statements here must agree: one explains, the other decides.

#include "skerry/registry/catalogue.hpp"

#include "catalogue_impl.hpp"

namespace skerry::registry {
namespace {

// A row per reference: blob, what refers (active, previous, pin, desired), where, model, version,
// variant. The desired state keeps every variant, since the choice may still change.
constexpr std::string_view kReferences = R"sql(
SELECT f.blob, CASE WHEN g.role = 'active' AND s.on_trial = 1 THEN 'on trial' ELSE g.role END,
       'slot ' || g.slot, m.team, m.name, m.version, f.variant
  FROM slot_generation g JOIN slot s ON s.name = g.slot
  JOIN manifest_blob f ON f.manifest = g.manifest AND f.variant = g.variant
  JOIN manifest m ON m.digest = g.manifest
UNION ALL
SELECT f.blob, 'pinned', p.reason, m.team, m.name, m.version, f.variant
  FROM pin p JOIN manifest_blob f ON f.manifest = p.manifest AND p.variant IN ('', f.variant)
  JOIN manifest m ON m.digest = p.manifest
UNION ALL
SELECT f.blob, 'desired', 'slot ' || d.slot, m.team, m.name, m.version, f.variant
  FROM desired d JOIN manifest_blob f ON f.manifest = d.manifest
  JOIN manifest m ON m.digest = d.manifest
)sql";

constexpr std::string_view kIsReferenced = R"sql(
SELECT 1 FROM manifest_blob f WHERE f.blob = ?1 AND (
  EXISTS (SELECT 1 FROM slot_generation g WHERE g.manifest = f.manifest AND g.variant = f.variant)
  OR EXISTS (SELECT 1 FROM pin p WHERE p.manifest = f.manifest AND p.variant IN ('', f.variant))
  OR EXISTS (SELECT 1 FROM desired d WHERE d.manifest = f.manifest)) LIMIT 1
)sql";

}  // namespace

Result<bool> Catalogue::names_blob(const Digest& blob) {
  const std::lock_guard lock{impl_->mutex};
  const auto found =
      find_integer(*impl_->database,
                   "SELECT 1 FROM manifest_blob WHERE blob = ? LIMIT 1",
                   [&](sqlite::Statement& statement) { statement.bind_blob(1, blob.bytes()); });
  if (!found) {
    return found.error();
  }
  return found->has_value();
}

Result<std::vector<BlobReference>> Catalogue::references() {
  return collect<BlobReference>(
      *impl_,
      kReferences,
      [](sqlite::Statement&) {},
      [](sqlite::Statement& row) -> Result<BlobReference> {
        const std::string where = row.column_text(2);
        std::string why = row.column_text(1);
        if (!where.empty()) {
          why += (why == "pinned" ? ": " : " in ") + where;
        }
        why += " (" + row.column_text(3) + "/" + row.column_text(4) + " " + row.column_text(5) +
               (row.column_text(6).empty() ? "" : " " + row.column_text(6)) + ")";
        return BlobReference{digest_from_row(row, 0), std::move(why)};
      });
}

Result<std::map<Digest, WallTime>> Catalogue::last_used() {
  std::map<Digest, WallTime> used;
  const std::lock_guard lock{impl_->mutex};
  auto done = for_each_row(
      *impl_->database,
      "SELECT f.blob, max(c.at) FROM slot_change c "
      "JOIN manifest_blob f ON f.manifest = c.manifest AND f.variant = c.variant GROUP BY f.blob",
      [](sqlite::Statement&) {},
      [&](sqlite::Statement& row) -> Result<void> {
        used.emplace(digest_from_row(row, 0), time_from_row(row.column_int(1)));
        return {};
      });
  if (!done) {
    return done.error();
  }
  return used;
}

Result<bool> Catalogue::claim_for_deletion(const Digest& blob) {
  const auto bind = [&](sqlite::Statement& statement) { statement.bind_blob(1, blob.bytes()); };
  return transact<bool>(*impl_, [&](sqlite::Database& database) -> Result<bool> {
    const auto referenced = find_integer(database, kIsReferenced, bind);
    if (!referenced) {
      return referenced.error();
    }
    if (referenced->has_value()) {
      return false;
    }
    auto marked = execute(database, "UPDATE blob SET state = 1 WHERE digest = ?1", bind);
    if (!marked) {
      return marked.error();
    }
    return database.changes() > 0;
  });
}

}  // namespace skerry::registry
