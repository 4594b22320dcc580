#include "skerry/registry/catalogue.hpp"

#include <gtest/gtest.h>

#include "skerry/common/sqlite.hpp"
#include "skerry/registry/metadata_store.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::make_variant;

class CatalogueTest : public ::testing::Test {
 protected:
  CatalogueTest() { reopen(); }

  void reopen() {
    catalogue_.reset();
    auto opened = Catalogue::open(dir_ / "registry.db", clock_);
    ASSERT_TRUE(opened) << opened.error().message();
    catalogue_ = std::move(*opened);
  }

  // A verified manifest of two variants, its files marked present.
  Digest add_version(std::string_view version, std::uint64_t counter, std::uint64_t seed) {
    const auto manifest = test::make_manifest(
        version,
        counter,
        {make_variant("q4_k_m", {make_file(FileRole::kWeights, "q4.gguf", 1000, seed)}),
         make_variant("q8_0", {make_file(FileRole::kWeights, "q8.gguf", 2000, seed + 100)})});
    for (const auto& file : manifest.all_files()) {
      BlobRecord record;
      record.digest = file.digest;
      record.size = file.size;
      EXPECT_TRUE(catalogue_->put_blob(record));
    }
    auto digest = test::record(*catalogue_, manifest);
    EXPECT_TRUE(digest) << digest.error().message();
    return *digest;
  }

  ActivationRequest request(std::uint64_t generation, const Digest& manifest) const {
    ActivationRequest r;
    r.slot = slot_;
    r.generation = generation;
    r.manifest = manifest;
    r.variant = "q4_k_m";
    r.reason = "test";
    return r;
  }

  // Activates and ends the trial.
  void run(std::uint64_t generation, const Digest& manifest) {
    ASSERT_TRUE(catalogue_->activate(request(generation, manifest)));
    ASSERT_TRUE(catalogue_->commit_probation(slot_, generation));
  }

  test::TempDir dir_;
  FakeClock clock_{WallTime{std::chrono::milliseconds{1'700'000'000'000}}};
  std::unique_ptr<Catalogue> catalogue_;
  const SlotName slot_{"default"};
};

TEST_F(CatalogueTest, RemembersVerifiedManifests) {
  const auto digest = add_version("1.0.0", 1, 1);
  reopen();
  const auto found = catalogue_->manifest(digest);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->manifest.version.to_string(), "1.0.0");
  EXPECT_EQ(found->target_path, "models/acme/log-triage/1.0.0");
  EXPECT_EQ(found->verified_at, clock_.wall_now());
  EXPECT_EQ(Digest::of(found->bytes), digest);
  EXPECT_TRUE(catalogue_->manifest(found->manifest.model, found->manifest.version));
  EXPECT_EQ(catalogue_->manifest(Digest::of("x")).error().code(), Error::Code::kNotFound);
  EXPECT_EQ(catalogue_->list_manifests()->size(), 1U);
}

TEST_F(CatalogueTest, RefusesManifestBytesThatAreNotWhatWasVerified) {
  const auto bytes =
      *test::make_manifest(
           "1.0.0", 1, {make_variant("q4", {make_file(FileRole::kWeights, "w", 9, 1)})})
           .serialise();
  EXPECT_EQ(catalogue_->record_manifest(bytes, Digest::of("x"), "image", 1).error().code(),
            Error::Code::kDigestMismatch);
  EXPECT_EQ(catalogue_->record_manifest("{}", Digest::of("{}"), "image", 1).error().code(),
            Error::Code::kManifestInvalid);
}

TEST_F(CatalogueTest, AVersionCannotChangeItsContent) {
  add_version("1.0.0", 1, 1);
  const auto other = test::make_manifest(
      "1.0.0", 2, {make_variant("q4", {make_file(FileRole::kWeights, "w", 9, 7)})});
  EXPECT_EQ(test::record(*catalogue_, other).error().code(), Error::Code::kAlreadyExists);
}

TEST_F(CatalogueTest, RecordingAgainRefreshesTheEvidence) {
  const auto digest = add_version("1.0.0", 1, 1);
  const auto bytes = catalogue_->manifest(digest)->bytes;
  clock_.advance(std::chrono::hours{1});
  const WallTime until{std::chrono::milliseconds{2'000'000'000'000}};
  ASSERT_TRUE(catalogue_->record_manifest(bytes, digest, "image", 9, until));
  const auto found = catalogue_->manifest(digest);
  EXPECT_EQ(found->targets_version, 9U);
  EXPECT_EQ(found->verified_at, clock_.wall_now());
  EXPECT_EQ(found->not_after, until);
}

TEST_F(CatalogueTest, ActivationIsATrialThatBecomesActive) {
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto slot = catalogue_->activate(request(1, v1));
  ASSERT_TRUE(slot) << slot.error().message();
  EXPECT_TRUE(slot->on_trial);
  EXPECT_FALSE(slot->previous);
  reopen();
  EXPECT_EQ(*catalogue_->slot(slot_), *slot);
  EXPECT_EQ(catalogue_->commit_probation(slot_, 2).error().code(),
            Error::Code::kFailedPrecondition);
  const auto committed = catalogue_->commit_probation(slot_, 1);
  ASSERT_TRUE(committed);
  EXPECT_FALSE(committed->on_trial);
  EXPECT_EQ(committed->active->manifest, v1);
  EXPECT_EQ(committed->revision, 2U);
  EXPECT_EQ(*catalogue_->release_counter({"acme", "log-triage"}), 1U);
}

TEST_F(CatalogueTest, KeepsThePreviousGenerationAndGoesBackAndForth) {
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto v2 = add_version("1.1.0", 2, 2);
  run(1, v1);
  run(2, v2);
  auto slot = catalogue_->slot(slot_);
  EXPECT_EQ(slot->active->manifest, v2);
  EXPECT_EQ(slot->previous->manifest, v1);
  slot = catalogue_->rollback(slot_, "an operator asked", false);
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->active->manifest, v1);
  EXPECT_EQ(slot->active->version, "1.0.0");
  EXPECT_EQ(slot->previous->manifest, v2);
  slot = catalogue_->rollback(slot_, "and back", false);
  EXPECT_EQ(slot->active->manifest, v2);
}

TEST_F(CatalogueTest, AFailedTrialGoesBackAndIsRememberedAsBad) {
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto v2 = add_version("1.1.0", 2, 2);
  run(1, v1);
  ASSERT_TRUE(catalogue_->activate(request(2, v2)));
  const auto slot = catalogue_->rollback(slot_, "three crashes", true);
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->active->manifest, v1);
  EXPECT_FALSE(slot->previous);
  EXPECT_FALSE(slot->on_trial);
  EXPECT_EQ(*catalogue_->bad_reason(v2, "q4_k_m"), "three crashes");
  EXPECT_EQ(*catalogue_->bad_reason(v2, "q8_0"), std::nullopt);
  EXPECT_EQ(catalogue_->activate(request(3, v2)).error().code(), Error::Code::kQuarantined);
  // The failed trial did not raise the release counter.
  EXPECT_EQ(*catalogue_->release_counter({"acme", "log-triage"}), 1U);
  ASSERT_TRUE(catalogue_->forgive(v2, "q4_k_m"));
  EXPECT_TRUE(catalogue_->activate(request(3, v2)));
}

TEST_F(CatalogueTest, ATrialOnTopOfATrialKeepsTheCommittedGeneration) {
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto v2 = add_version("1.1.0", 2, 2);
  const auto v3 = add_version("1.2.0", 3, 3);
  run(1, v1);
  ASSERT_TRUE(catalogue_->activate(request(2, v2)));
  const auto slot = catalogue_->activate(request(3, v3));
  ASSERT_TRUE(slot);
  EXPECT_EQ(slot->active->manifest, v3);
  EXPECT_EQ(slot->previous->manifest, v1);
}

TEST_F(CatalogueTest, TheFirstTrialThatFailsLeavesTheSlotEmpty) {
  const auto v1 = add_version("1.0.0", 1, 1);
  EXPECT_EQ(catalogue_->rollback(slot_, "x", true).error().code(), Error::Code::kNotFound);
  ASSERT_TRUE(catalogue_->activate(request(1, v1)));
  EXPECT_EQ(catalogue_->rollback(slot_, "x", false).error().code(),
            Error::Code::kFailedPrecondition);
  const auto slot = catalogue_->rollback(slot_, "x", true);
  ASSERT_TRUE(slot);
  EXPECT_FALSE(slot->active);
  EXPECT_FALSE(slot->previous);
}

TEST_F(CatalogueTest, ActivationRefusesWhatMayNotRun) {
  const auto v2 = add_version("1.1.0", 2, 2);
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto code = [&](const ActivationRequest& r) {
    return catalogue_->activate(r).error().code();
  };
  EXPECT_EQ(code(request(1, Digest::of("never verified"))), Error::Code::kNotFound);
  auto other = request(1, v2);
  other.variant = "q2_k";
  EXPECT_EQ(code(other), Error::Code::kNotFound);
  other.variant = "";
  EXPECT_EQ(code(other), Error::Code::kNotFound);
  other = request(1, v2);
  other.slot = SlotName{"no/slot"};
  EXPECT_EQ(code(other), Error::Code::kInvalidArgument);
  EXPECT_EQ(code(request(0, v2)), Error::Code::kRollback);
  run(5, v2);
  EXPECT_EQ(code(request(5, v2)), Error::Code::kRollback);
  EXPECT_EQ(code(request(4, v2)), Error::Code::kRollback);
  EXPECT_EQ(code(request(6, v1)), Error::Code::kRollback);
  auto permitted = request(6, v1);
  permitted.permit_downgrade = true;
  EXPECT_TRUE(catalogue_->activate(permitted));
  ASSERT_TRUE(catalogue_->mark_bad(v1, "", "revoked"));
  permitted.generation = 7;
  EXPECT_EQ(code(permitted), Error::Code::kQuarantined);
  // Nothing of all that changed what runs.
  EXPECT_EQ(catalogue_->slot(slot_)->active->generation, 6U);
}

TEST_F(CatalogueTest, ActivationNeedsEveryFilePresent) {
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto file = catalogue_->manifest(v1)->manifest.variants[0].files[0];
  ASSERT_TRUE(catalogue_->erase_blob(file.digest));
  const auto refused = catalogue_->activate(request(1, v1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kFailedPrecondition);
  EXPECT_NE(refused.error().message().find(file.digest.to_string()), std::string::npos);
  BlobRecord deleting;
  deleting.digest = file.digest;
  deleting.state = BlobState::kDeleting;
  ASSERT_TRUE(catalogue_->put_blob(deleting));
  EXPECT_FALSE(catalogue_->activate(request(1, v1)));
  auto other = request(1, v1);
  other.variant = "q8_0";
  EXPECT_TRUE(catalogue_->activate(other));
}

TEST_F(CatalogueTest, WithoutProbationItIsActiveAtOnce) {
  const auto v1 = add_version("1.0.0", 4, 1);
  auto r = request(1, v1);
  r.probation = false;
  EXPECT_FALSE(catalogue_->activate(r)->on_trial);
  EXPECT_EQ(*catalogue_->release_counter({"acme", "log-triage"}), 4U);
}

TEST_F(CatalogueTest, DeactivateKeepsTheLastAsPrevious) {
  const auto v1 = add_version("1.0.0", 1, 1);
  run(1, v1);
  auto slot = catalogue_->deactivate(slot_, "maintenance");
  ASSERT_TRUE(slot);
  EXPECT_FALSE(slot->active);
  EXPECT_EQ(slot->previous->manifest, v1);
  EXPECT_EQ(catalogue_->deactivate(slot_, "x").error().code(), Error::Code::kFailedPrecondition);
  slot = catalogue_->rollback(slot_, "on again", false);
  EXPECT_EQ(slot->active->manifest, v1);
}

TEST_F(CatalogueTest, CountsTheStartsOfATrial) {
  const auto v1 = add_version("1.0.0", 1, 1);
  ASSERT_TRUE(catalogue_->activate(request(1, v1)));
  EXPECT_EQ(*catalogue_->count_trial_start(slot_), 1U);
  reopen();
  EXPECT_EQ(*catalogue_->count_trial_start(slot_), 2U);
  ASSERT_TRUE(catalogue_->commit_probation(slot_, 1));
  EXPECT_EQ(catalogue_->count_trial_start(slot_).error().code(), Error::Code::kFailedPrecondition);
}

TEST_F(CatalogueTest, EveryChangeOfASlotIsListedOnce) {
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto v2 = add_version("1.1.0", 2, 2);
  run(1, v1);
  ASSERT_TRUE(catalogue_->activate(request(2, v2)));
  ASSERT_FALSE(catalogue_->activate(request(2, v2)));  // refused: not listed
  ASSERT_TRUE(catalogue_->rollback(slot_, "bad answers", true));
  const auto changes = catalogue_->changes_after(0, 100);
  ASSERT_TRUE(changes);
  std::vector<std::string> actions;
  for (const auto& change : *changes) {
    actions.push_back(change.action);
  }
  EXPECT_EQ(actions,
            (std::vector<std::string>{"activated", "committed", "activated", "rolled_back"}));
  EXPECT_EQ(changes->back().manifest, v1);
  EXPECT_EQ(changes->back().reason, "bad answers");
  EXPECT_EQ(catalogue_->changes_after(changes->at(1).sequence, 1)->front().sequence,
            changes->at(2).sequence);
}

TEST_F(CatalogueTest, SlotsAreIndependent) {
  const auto v1 = add_version("1.0.0", 1, 1);
  run(1, v1);
  auto r = request(1, v1);
  r.slot = SlotName{"second"};
  r.tenant = TenantId{"plant-7"};
  r.site = SiteId{"hall-2"};
  ASSERT_TRUE(catalogue_->activate(r));
  const auto slots = catalogue_->list_slots();
  ASSERT_EQ(slots->size(), 2U);
  EXPECT_FALSE(slots->at(0).on_trial);
  EXPECT_TRUE(slots->at(1).on_trial);
  EXPECT_EQ(slots->at(1).tenant.str(), "plant-7");
  EXPECT_EQ(slots->at(1).site.str(), "hall-2");
}

TEST_F(CatalogueTest, KeepsTheDesiredState) {
  DesiredSlot desired;
  desired.slot = slot_;
  desired.generation = 3;
  desired.manifest = Digest::of("m");
  desired.target_path = "models/acme/log-triage/1.0.0";
  desired.allowed_variants = {"q4_k_m", "q8_0"};
  desired.rollout = RolloutId{"r1"};
  desired.goal = "speed";
  desired.permit_downgrade = true;
  ASSERT_TRUE(catalogue_->set_desired(desired));
  reopen();
  EXPECT_EQ(*catalogue_->list_desired(), std::vector<DesiredSlot>{desired});
  desired.generation = 2;
  EXPECT_EQ(catalogue_->set_desired(desired).error().code(), Error::Code::kRollback);
  ASSERT_TRUE(catalogue_->clear_desired(slot_));
  EXPECT_TRUE(catalogue_->list_desired()->empty());
}

TEST_F(CatalogueTest, JournalsAndTrims) {
  for (std::uint64_t i = 1; i <= 5; ++i) {
    ActivationStep step;
    step.slot = slot_;
    step.generation = i;
    step.state = "FETCHING";
    step.detail = "{\"n\":" + std::to_string(i) + "}";
    EXPECT_EQ(*catalogue_->journal(step), i);
  }
  EXPECT_EQ((*catalogue_->last_step(slot_))->generation, 5U);
  EXPECT_FALSE((*catalogue_->last_step(SlotName{"other"})).has_value());
  EXPECT_EQ(catalogue_->steps_after(2, 2)->size(), 2U);
  ASSERT_TRUE(catalogue_->trim_journal(2));
  EXPECT_EQ(catalogue_->steps_after(0, 100)->size(), 2U);
  ActivationStep large;
  large.detail.resize((64U << 10U) + 1);
  EXPECT_FALSE(catalogue_->journal(large));
}

TEST_F(CatalogueTest, FloorsNeverGoBack) {
  EXPECT_EQ(*catalogue_->floor("time"), 0U);
  EXPECT_EQ(*catalogue_->raise_floor("time", 50), 50U);
  EXPECT_EQ(*catalogue_->raise_floor("time", 40), 50U);
  reopen();
  EXPECT_EQ(*catalogue_->floor("time"), 50U);
}

TEST_F(CatalogueTest, ForgetsOnlyWhatNothingUses) {
  const auto v1 = add_version("1.0.0", 1, 1);
  const auto v2 = add_version("1.1.0", 2, 2);
  run(1, v1);
  EXPECT_EQ(catalogue_->forget_manifest(v1).error().code(), Error::Code::kFailedPrecondition);
  ASSERT_TRUE(catalogue_->pin(v2, "", "kept for the audit"));
  EXPECT_EQ(catalogue_->forget_manifest(v2).error().code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ(catalogue_->list_pins()->size(), 1U);
  ASSERT_TRUE(catalogue_->unpin(v2, ""));
  EXPECT_TRUE(catalogue_->forget_manifest(v2));
  EXPECT_FALSE(catalogue_->manifest(v2));
}

TEST_F(CatalogueTest, RefusesAnotherProgramsDatabase) {
  catalogue_.reset();
  {
    sqlite::OpenOptions options;
    options.application_id = 77;
    ASSERT_TRUE(sqlite::Database::open(dir_ / "other.db", {}, options));
  }
  const auto opened = Catalogue::open(dir_ / "other.db", clock_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Error::Code::kDatabase);
}

TEST_F(CatalogueTest, ListsModelsPageByPageNewestFirst) {
  std::vector<ModelSummary> all;
  for (const std::uint64_t counter : {1U, 3U, 2U}) {
    const auto manifest = test::make_manifest(
        "1.0." + std::to_string(counter),
        counter,
        {test::make_variant("q4_k_m", {test::make_file(FileRole::kWeights, "w", 10, counter)})});
    ASSERT_TRUE(test::record(*catalogue_, manifest));
  }
  const auto whole = catalogue_->list_models(100);
  ASSERT_TRUE(whole) << whole.error().message();
  ASSERT_EQ(whole->size(), 3U);
  EXPECT_EQ((*whole)[0].version, "1.0.3");
  EXPECT_EQ((*whole)[2].release_counter, 1U);
  std::optional<ModelSummary> after;
  for (const auto& expected : *whole) {
    const auto page = catalogue_->list_models(1, after);
    ASSERT_TRUE(page);
    EXPECT_EQ(*page, std::vector<ModelSummary>{expected});
    after = expected;
  }
  EXPECT_TRUE(catalogue_->list_models(1, after)->empty());
}

TEST_F(CatalogueTest, IsSoundAndNumbered) {
  EXPECT_EQ(*catalogue_->schema_version(), 5);
  EXPECT_TRUE(catalogue_->check_integrity());
}

TEST_F(CatalogueTest, KeepsTufMetadataByRepository) {
  using security::tuf::MetadataUpdate;
  using security::tuf::Role;
  auto image = make_metadata_store(*catalogue_, "image");
  auto director = make_metadata_store(*catalogue_, "director");
  MetadataUpdate update;
  update.files = {
      {Role::kRoot, 1, "root 1"}, {Role::kRoot, 2, "root 2"}, {Role::kTimestamp, 5, "timestamp 5"}};
  ASSERT_TRUE(image->commit(update));
  EXPECT_EQ(**image->load(Role::kRoot), "root 2");
  EXPECT_FALSE((*director->load(Role::kRoot)).has_value());
  MetadataUpdate newer;
  newer.files = {{Role::kTimestamp, 6, "timestamp 6"}};
  newer.removed = {Role::kSnapshot};
  ASSERT_TRUE(image->commit(newer));
  reopen();
  image = make_metadata_store(*catalogue_, "image");
  EXPECT_EQ(**image->load(Role::kTimestamp), "timestamp 6");
  MetadataUpdate removal;
  removal.removed = {Role::kTimestamp};
  ASSERT_TRUE(image->commit(removal));
  EXPECT_FALSE((*image->load(Role::kTimestamp)).has_value());
  EXPECT_EQ(**image->load(Role::kRoot), "root 2");
}

TEST_F(CatalogueTest, NoticesMetadataThatWasChangedInTheFile) {
  auto image = make_metadata_store(*catalogue_, "image");
  security::tuf::MetadataUpdate update;
  update.files = {{security::tuf::Role::kRoot, 1, "root 1"}};
  ASSERT_TRUE(image->commit(update));
  ASSERT_TRUE(catalogue_->with_database([](sqlite::Database& database) {
    return database.exec("UPDATE tuf_metadata SET bytes = x'00'");
  }));
  EXPECT_EQ(image->load(security::tuf::Role::kRoot).error().code(), Error::Code::kDatabase);
}

}  // namespace
}  // namespace skerry::registry
