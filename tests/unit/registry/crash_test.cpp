// What a crash costs, and a database that fails at its k-th call, once or from then on. That every
// operation may be the last one is shown by crash_exhaustion_test.cpp.

#include <gtest/gtest.h>

#include "fault_file_system.hpp"
#include "fault_vfs.hpp"
#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::Fault;
using test::FaultFileSystem;
using test::FaultVfs;
using test::Loss;
using test::SampleFile;
using test::TempDir;
using test::VfsFault;

constexpr std::size_t kChunk = kMinChunkSize;
constexpr std::uint64_t kTooMany = 2000;

const FakeClock& test_clock() {
  static const FakeClock clock{WallTime{std::chrono::milliseconds{1'700'000'000'000}}};
  return clock;
}

struct Model {
  SampleFile weights;
  Manifest manifest;
};

Model make_model(std::string_view version, std::uint64_t counter) {
  Model model{test::make_file(FileRole::kWeights, "w.gguf", 3 * kChunk + 11, counter), {}};
  model.manifest =
      test::make_manifest(version, counter, {test::make_variant("q4_k_m", {model.weights})});
  return model;
}

const Model& old_model() {
  static const Model model = make_model("1.0.0", 1);
  return model;
}

const Model& new_model() {
  static const Model model = make_model("1.1.0", 2);
  return model;
}

// A registry over one folder: database in one place, blobs in another that the file faults meet.
struct Registry {
  std::unique_ptr<Catalogue> catalogue;
  std::unique_ptr<BlobStore> store;

  static Result<Registry> open(FileSystem& fs, const TempDir& dir, const std::string& vfs = {}) {
    Registry registry;
    auto catalogue = Catalogue::open(dir / "registry.db", test_clock(), CatalogueOptions{vfs});
    if (!catalogue) {
      return catalogue.error();
    }
    registry.catalogue = std::move(*catalogue);
    auto store = BlobStore::open(fs, *registry.catalogue, test_clock(), dir / "store");
    if (!store) {
      return store.error();
    }
    registry.store = std::move(*store);
    return registry;
  }

  // Fetches `model` (from memory), records its manifest, makes it live.
  Result<FetchProgress> install(const Model& model, std::uint64_t generation) const {
    test::MemorySource source{"memory"};
    source.add(model.weights);
    FetchOptions options;
    options.attempts_per_source = 1;
    options.max_request = kChunk;
    Fetcher fetcher{*store, {&source}, test_clock(), [](auto) {}, Log{}, options};
    const std::vector<WantedBlob> wanted{WantedBlob::from(model.weights.entry)};
    CancelFlag cancel;
    auto progress = fetcher.fetch(wanted, cancel);
    if (!progress) {
      return progress;
    }
    auto manifest = test::record(*catalogue, model.manifest);
    if (!manifest) {
      return manifest.error();
    }
    ActivationRequest request;
    request.slot = SlotName{"default"};
    request.generation = generation;
    request.manifest = *manifest;
    request.variant = "q4_k_m";
    request.probation = false;
    if (auto slot = catalogue->activate(request); !slot) {
      return slot.error();
    }
    return progress;
  }
};

// The process dies (nothing written is lost) at operation k: of the chunks that were verified
// before, at most the one in flight is fetched again.
TEST(CrashTest, AKilledProcessFetchesAtMostOneChunkAgain) {
  bool fired = true;
  for (std::uint64_t k = 0; fired; ++k) {
    ASSERT_LT(k, kTooMany);
    SCOPED_TRACE("operation " + std::to_string(k));
    TempDir dir;
    std::filesystem::create_directories(dir / "store");
    FaultFileSystem fs{dir / "store"};
    const auto& file = new_model().weights;
    std::uint64_t written = 0;
    {
      auto registry = Registry::open(fs, dir);
      ASSERT_TRUE(registry);
      fs.fail_at(k, Fault::kPowerCut);
      auto ingest = registry->store->begin(file.digest(), file.index);
      for (std::uint64_t chunk = 0; ingest && chunk < file.index.count(); ++chunk) {
        if (!(*ingest)->write_chunk(chunk, file.chunk(chunk))) {
          break;
        }
        ++written;
      }
      fired = fs.fired();
    }
    fs.restart(Loss::kNothing);
    auto registry = Registry::open(fs, dir);
    ASSERT_TRUE(registry);
    auto ingest = registry->store->begin(file.digest(), file.index);
    ASSERT_TRUE(ingest);
    std::uint64_t kept = 0;
    for (std::uint64_t chunk = 0; chunk < file.index.count(); ++chunk) {
      kept += (*ingest)->has_chunk(chunk) ? 1U : 0U;
    }
    EXPECT_GE(kept, written);
    EXPECT_LE(kept, written + 1);
  }
}

class DatabaseFaults : public ::testing::TestWithParam<std::tuple<VfsFault, bool>> {};

TEST_P(DatabaseFaults, EveryFailedWriteLeavesASoundRegistry) {
  const auto [fault, until_cleared] = GetParam();
  bool fired = true;
  std::uint64_t failures = 0;
  for (std::uint64_t k = 0; fired; ++k) {
    ASSERT_LT(k, kTooMany);
    SCOPED_TRACE("database call " + std::to_string(k));
    TempDir dir;
    std::filesystem::create_directories(dir / "store");
    SystemFileSystem fs;
    FaultVfs vfs;
    {
      auto registry = Registry::open(fs, dir, vfs.name());
      ASSERT_TRUE(registry) << registry.error().message();
      ASSERT_TRUE(registry->install(old_model(), 1));
      vfs.fail_at(k, fault, until_cleared);
      const auto installed = registry->install(new_model(), 2);
      bool done = installed.has_value();
      if (installed) {
        done =
            registry->catalogue->rollback(SlotName{"default"}, "worse answers", true).has_value();
      }
      fired = vfs.fired();
      failures += done ? 0U : 1U;
      vfs.clear();
    }
    auto registry = Registry::open(fs, dir, vfs.name());
    ASSERT_TRUE(registry) << registry.error().message();
    const auto slot = registry->catalogue->slot(SlotName{"default"});
    ASSERT_TRUE(slot && slot->active);
    // The slot and the record of what is bad changed together or not at all.
    const auto& new_manifest = Digest::of(*new_model().manifest.serialise());
    const auto bad = registry->catalogue->bad_reason(new_manifest, "q4_k_m");
    ASSERT_TRUE(bad);
    if (bad->has_value()) {
      EXPECT_NE(slot->active->manifest, new_manifest);
    }
    EXPECT_EQ(registry->catalogue->changes_after(0, 100)->size(), slot->revision);
    ASSERT_TRUE(registry->catalogue->check_integrity());
    const auto manifest = registry->catalogue->manifest(slot->active->manifest);
    ASSERT_TRUE(manifest);
    for (const auto& file : manifest->manifest.variants[0].files) {
      EXPECT_TRUE(registry->store->reverify(file.digest));
    }
  }
  EXPECT_GT(failures, 3U);
}

INSTANTIATE_TEST_SUITE_P(All,
                         DatabaseFaults,
                         ::testing::Values(std::tuple{VfsFault::kIoError, false},
                                           std::tuple{VfsFault::kIoError, true},
                                           std::tuple{VfsFault::kDiskFull, false},
                                           std::tuple{VfsFault::kDiskFull, true}));

}  // namespace
}  // namespace skerry::registry
