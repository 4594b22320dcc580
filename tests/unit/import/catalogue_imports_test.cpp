// Imported models in the catalogue: they become live only while somebody vouches.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/gc.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::make_variant;

class CatalogueImports : public ::testing::Test {
 protected:
  CatalogueImports() { reopen(); }

  void reopen() {
    catalogue_.reset();
    auto opened = Catalogue::open(dir_ / "registry.db", clock_);
    ASSERT_TRUE(opened) << opened.error().message();
    catalogue_ = std::move(*opened);
  }

  Digest import(const std::string& version, std::uint64_t seed) {
    Manifest manifest = test::make_manifest(
        version, 1, {make_variant("q8_0", {make_file(FileRole::kWeights, "m.gguf", 999, seed)})});
    manifest.model = {"local", "tiny"};
    for (const auto& file : manifest.all_files()) {
      BlobRecord record;
      record.digest = file.digest;
      record.size = file.size;
      EXPECT_TRUE(catalogue_->put_blob(record));
    }
    const std::string bytes = *manifest.serialise();
    ImportedModel origin;
    origin.manifest = Digest::of(bytes);
    origin.source = "/tmp/m.gguf";
    origin.format = "gguf";
    origin.imported_by = "uid:0";
    const auto recorded = catalogue_->record_import(bytes, origin);
    EXPECT_TRUE(recorded) << recorded.error().to_string();
    blob_ = manifest.all_files().front().digest;
    bytes_ = bytes;
    return origin.manifest;
  }

  Result<Slot> activate(const Digest& manifest, std::uint64_t generation) {
    ActivationRequest request;
    request.slot = SlotName{"lab"};
    request.generation = generation;
    request.manifest = manifest;
    request.variant = "q8_0";
    request.probation = false;
    return catalogue_->activate(request);
  }

  static Vouch by(const std::string& who) {
    Vouch vouch;
    vouch.who = who;
    vouch.reason = "looked at it";
    return vouch;
  }

  test::TempDir dir_;
  SystemClock clock_;
  std::unique_ptr<Catalogue> catalogue_;
  Digest blob_;
  std::string bytes_;
};

TEST_F(CatalogueImports, RunOnlyWhileSomebodyVouches) {
  const Digest model = import("1.0.0", 1);
  EXPECT_EQ(catalogue_->find_import(model)->state(), "unsigned");
  EXPECT_EQ(activate(model, 1).error().code(), Error::Code::kFailedPrecondition);
  ASSERT_TRUE(catalogue_->vouch(model, by("uid:0")));
  reopen();
  EXPECT_EQ(catalogue_->find_import(model)->state(), "vouched");
  ASSERT_TRUE(activate(model, 1));
  ASSERT_TRUE(catalogue_->revoke_vouch(model, "uid:7", "second thoughts"));
  reopen();
  const auto revoked = catalogue_->find_import(model);
  EXPECT_EQ(revoked->state(), "revoked");
  ASSERT_EQ(revoked->vouches.size(), 1U);
  EXPECT_EQ(revoked->vouches[0].revoked_by, "uid:7");
  EXPECT_EQ(revoked->vouches[0].revoked_reason, "second thoughts");
  // What runs goes on; it does not become live again.
  EXPECT_EQ(catalogue_->slot(SlotName{"lab"})->active->manifest, model);
  EXPECT_EQ(activate(model, 2).error().code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ(catalogue_->revoke_vouch(model, "uid:7", "").error().code(),
            Error::Code::kFailedPrecondition);
  ASSERT_TRUE(catalogue_->vouch(model, by("uid:0")));
  EXPECT_TRUE(activate(model, 2));
}

TEST_F(CatalogueImports, ARollbackDoesNotReviveWhatNobodyVouchesFor) {
  const Digest first = import("1.0.0", 1);
  const Digest second = import("2.0.0", 2);
  ASSERT_TRUE(catalogue_->vouch(first, by("uid:0")));
  ASSERT_TRUE(catalogue_->vouch(second, by("uid:0")));
  ASSERT_TRUE(activate(first, 1));
  ASSERT_TRUE(activate(second, 2));
  ASSERT_TRUE(catalogue_->revoke_vouch(first, "uid:0", ""));
  const SlotName lab{"lab"};
  EXPECT_EQ(catalogue_->rollback(lab, "by hand", false).error().code(),
            Error::Code::kFailedPrecondition);
  EXPECT_EQ(catalogue_->slot(lab)->active->manifest, second);
  // A failed trial leaves nothing rather than what nobody wants.
  const auto rolled = catalogue_->rollback(lab, "crashed", true);
  ASSERT_TRUE(rolled) << rolled.error().to_string();
  EXPECT_FALSE(rolled->active);
}

TEST_F(CatalogueImports, ARollbackDoesNotReviveWhatTheCallerBars) {
  const Digest first = import("1.0.0", 1);
  const Digest second = import("2.0.0", 2);
  ASSERT_TRUE(catalogue_->vouch(first, by("uid:0")));
  ASSERT_TRUE(catalogue_->vouch(second, by("uid:0")));
  ASSERT_TRUE(activate(first, 1));
  ASSERT_TRUE(activate(second, 2));
  const SlotName lab{"lab"};
  EXPECT_EQ(catalogue_->rollback(lab, "by hand", false, first).error().code(),
            Error::Code::kFailedPrecondition);
  // Another one is barred: that is not what the slot ran before.
  EXPECT_EQ(catalogue_->rollback(lab, "by hand", false, second)->active->manifest, first);
  EXPECT_EQ(catalogue_->rollback(lab, "and back", false)->active->manifest, second);
  const auto rolled = catalogue_->rollback(lab, "crashed", true, first);
  ASSERT_TRUE(rolled) << rolled.error().to_string();
  EXPECT_FALSE(rolled->active);
  EXPECT_FALSE(rolled->previous);
}

TEST_F(CatalogueImports, TheSameAgainChangesNothing) {
  const Digest model = import("1.0.0", 1);
  ASSERT_TRUE(catalogue_->vouch(model, by("uid:0")));
  EXPECT_EQ(import("1.0.0", 1), model);
  EXPECT_EQ(catalogue_->list_imports()->size(), 1U);
  EXPECT_EQ(catalogue_->find_import(model)->state(), "vouched");
  // The same name with other content is not quietly another model.
  Manifest other = *Manifest::parse(bytes_);
  other.description = "changed";
  const std::string bytes = *other.serialise();
  ImportedModel origin;
  origin.manifest = Digest::of(bytes);
  EXPECT_EQ(catalogue_->record_import(bytes, origin).error().code(), Error::Code::kAlreadyExists);
}

TEST_F(CatalogueImports, ASignedManifestStaysSigned) {
  const Digest model = import("1.0.0", 1);
  ASSERT_TRUE(catalogue_->record_manifest(bytes_, model, "image", 3));
  EXPECT_TRUE(activate(model, 1)) << "a repository signed it";
  EXPECT_EQ(import("1.0.0", 1), model);
  EXPECT_EQ(catalogue_->manifest(model)->repository, "image");
}

TEST_F(CatalogueImports, BlobsStayUntilItIsRemoved) {
  const Digest model = import("1.0.0", 1);
  EXPECT_FALSE(*catalogue_->claim_for_deletion(blob_));
  ASSERT_TRUE(catalogue_->vouch(model, by("uid:0")));
  ASSERT_TRUE(activate(model, 1));
  EXPECT_EQ(catalogue_->remove_import(model).error().code(), Error::Code::kFailedPrecondition);
  const Digest unused = import("2.0.0", 2);
  ASSERT_TRUE(catalogue_->remove_import(unused));
  EXPECT_TRUE(*catalogue_->claim_for_deletion(blob_));
  EXPECT_EQ(catalogue_->find_import(unused).error().code(), Error::Code::kNotFound);
  EXPECT_EQ(catalogue_->manifest(unused).error().code(), Error::Code::kNotFound);
  EXPECT_EQ(catalogue_->vouch(unused, by("uid:0")).error().code(), Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry::registry
