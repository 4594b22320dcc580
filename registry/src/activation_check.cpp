#include "activation_check.hpp"

#include "catalogue_impl.hpp"

namespace skerry::registry {
namespace {

// The manifest that is to go live, if it may: verified, known variant, complete, not bad, not
// older.
class Check {
 public:
  Check(sqlite::Database& database, const ActivationRequest& request)
      : database_(database), request_(request) {}

  Result<SlotGeneration> run(std::int64_t now) {
    SlotGeneration generation;
    generation.generation = request_.generation;
    generation.manifest = request_.manifest;
    generation.variant = request_.variant;
    generation.reason = request_.reason;
    generation.activated_at = time_from_row(now);
    for (const auto step : {&Check::find_manifest,
                            &Check::check_vouched,
                            &Check::check_files,
                            &Check::check_bad,
                            &Check::check_counter,
                            &Check::check_generation}) {
      if (auto ok = (this->*step)(generation); !ok) {
        return ok.error().with_context("activating slot " + request_.slot.str());
      }
    }
    return generation;
  }

 private:
  void bind_variant(sqlite::Statement& statement) const {
    statement.bind_blob(1, request_.manifest.bytes()).bind(2, request_.variant);
  }

  Result<void> find_manifest(SlotGeneration& generation) {
    bool found = false;
    auto done = for_each_row(
        database_,
        "SELECT team, name, version, release_counter, bytes FROM manifest WHERE digest = ?",
        [&](sqlite::Statement& statement) { statement.bind_blob(1, request_.manifest.bytes()); },
        [&](sqlite::Statement& row) -> Result<void> {
          found = true;
          generation.model = ModelName{row.column_text(0), row.column_text(1)};
          generation.version = row.column_text(2);
          generation.release_counter = from_row(row.column_int(3));
          manifest_bytes_ = std::string{as_text(row.column_blob(4))};
          return {};
        });
    if (done && !found) {
      return Error{Error::Code::kNotFound,
                   "manifest " + request_.manifest.to_string() + " was never verified"};
    }
    return done;
  }

  // An imported manifest was signed by nobody whom the fleet knows: somebody here must vouch for
  // it.
  Result<void> check_vouched(SlotGeneration& generation) {
    const auto refused = nobody_vouches(database_, request_.manifest);
    if (!refused) {
      return refused.error();
    }
    if (*refused) {
      return Error{Error::Code::kFailedPrecondition,
                   generation.model.to_string() + " " + generation.version +
                       " was imported and nobody vouches for it"};
    }
    return {};
  }

  // Each file must have been checked as this manifest names it: as a whole, or against the very
  // chunk index that stands beside its digest here.
  Result<void> check_files(SlotGeneration& /*generation*/) {
    const auto manifest = Manifest::parse(manifest_bytes_);
    if (!manifest) {
      return manifest.error().with_context("stored manifest");
    }
    const auto* variant = manifest->find_variant(request_.variant);
    if (variant == nullptr) {
      return Error{Error::Code::kNotFound,
                   "the manifest has no variant \"" + request_.variant + "\""};
    }
    for (const auto& file : manifest->files_for(*variant)) {
      const auto held = find_integer(
          database_,
          "SELECT 1 FROM blob WHERE digest = ?1 AND state = 0 AND (chunks IS NULL OR chunks = ?2)",
          [&](sqlite::Statement& statement) {
            statement.bind_blob(1, file.digest.bytes()).bind_blob(2, file.chunks.bytes());
          });
      if (!held) {
        return held.error();
      }
      if (!held->has_value()) {
        return Error{Error::Code::kFailedPrecondition,
                     "blob " + file.digest.to_string() + " of the variant is not in the store"};
      }
    }
    return {};
  }

  Result<void> check_bad(SlotGeneration& /*generation*/) {
    std::optional<std::string> reason;
    auto done = for_each_row(
        database_,
        "SELECT reason FROM known_bad WHERE manifest = ? AND variant IN ('', ?) LIMIT 1",
        [this](sqlite::Statement& statement) { bind_variant(statement); },
        [&](sqlite::Statement& row) -> Result<void> {
          reason = row.column_text(0);
          return {};
        });
    if (done && reason) {
      return Error{Error::Code::kQuarantined, "it is known bad here: " + *reason};
    }
    return done;
  }

  Result<void> check_counter(SlotGeneration& generation) {
    const auto counter =
        find_integer(database_,
                     "SELECT counter FROM release_counter WHERE team = ? AND name = ?",
                     [&](sqlite::Statement& statement) {
                       statement.bind(1, generation.model.team).bind(2, generation.model.name);
                     });
    if (!counter) {
      return counter.error();
    }
    if (!request_.permit_downgrade && generation.release_counter < from_row(counter->value_or(0))) {
      return Error{Error::Code::kRollback,
                   "release counter " + std::to_string(generation.release_counter) + " of " +
                       generation.model.to_string() + " " + generation.version + " is below " +
                       std::to_string(counter->value_or(0)) +
                       ", which ran here; a signed downgrade permit is needed"};
    }
    return {};
  }

  Result<void> check_generation(SlotGeneration& /*generation*/) {
    const auto highest = find_integer(
        database_,
        "SELECT highest_generation FROM slot WHERE name = ?",
        [this](sqlite::Statement& statement) { statement.bind(1, request_.slot.str()); });
    if (!highest) {
      return highest.error();
    }
    if (request_.generation == 0 || request_.generation <= from_row(highest->value_or(0))) {
      return Error{Error::Code::kRollback,
                   "generation " + std::to_string(request_.generation) +
                       " is not above the slot's highest, " + std::to_string(highest->value_or(0))};
    }
    return {};
  }

  sqlite::Database& database_;
  const ActivationRequest& request_;
  std::string manifest_bytes_;
};

}  // namespace

Result<SlotGeneration> check_activation(sqlite::Database& database,
                                        const ActivationRequest& request,
                                        std::int64_t now) {
  return Check{database, request}.run(now);
}

}  // namespace skerry::registry
