// Crash safety by exhaustion: every scenario that changes the registry runs with its k-th
// operation, of files, folders or the database under one count, failing or being the last one
// before the power goes, for k = 0, 1, 2 … until it runs through. After each, everything is opened
// again, must be sound, and the scenario must succeed when it is tried again. Prints how many crash
// points ran.

#include <cstdio>
#include <fstream>

#include <gtest/gtest.h>

#include "skerry/common/sqlite.hpp"
#include "skerry/registry/gc.hpp"
#include "skerry/registry/scrub.hpp"

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

constexpr std::size_t kPiece = kMinChunkSize;
constexpr std::uint64_t kLimit = 3000;

const FakeClock& fixed_clock() {
  static const FakeClock clock{WallTime{std::chrono::milliseconds{1'700'000'000'000}}};
  return clock;
}

struct Release {
  SampleFile weights;
  Manifest manifest;
  Digest digest;
};

Release make_release(std::string_view version, std::uint64_t counter) {
  Release release{test::make_file(FileRole::kWeights, "w.gguf", 2 * kPiece + 11, counter), {}, {}};
  release.manifest =
      test::make_manifest(version, counter, {test::make_variant("q4_k_m", {release.weights})});
  release.digest = Digest::of(*release.manifest.serialise());
  return release;
}

const Release& first_release() {
  static const Release release = make_release("1.0.0", 1);
  return release;
}

const Release& second_release() {
  static const Release release = make_release("1.1.0", 2);
  return release;
}

VfsFault as_vfs_fault(const std::optional<Fault>& fault) {
  if (!fault) {
    return VfsFault::kNone;
  }
  switch (*fault) {
    case Fault::kNoSpace:
    case Fault::kQuota:
      return VfsFault::kDiskFull;
    case Fault::kShortWrite:
      return VfsFault::kShortWrite;
    case Fault::kIoError:
    case Fault::kPowerCut:
      break;
  }
  return VfsFault::kIoError;
}

// A machine: files and database under one fault counter.
struct Machine {
  TempDir dir;
  FaultVfs vfs;
  std::unique_ptr<FaultFileSystem> fs;
  std::unique_ptr<Catalogue> catalogue;
  std::unique_ptr<BlobStore> store;
  // New blobs are sealed. The key is always there, as on a machine where encryption was on once.
  bool seal = false;

  Machine() {
    std::filesystem::create_directories(dir / "store");
    std::filesystem::create_directories(dir / "db");
    fs = std::make_unique<FaultFileSystem>(dir / "store");
    vfs.follow([this] { return as_vfs_fault(fs->count_operation()); });
  }

  Result<void> open() {
    auto opened =
        Catalogue::open(dir / "db" / "registry.db", fixed_clock(), CatalogueOptions{vfs.name()});
    if (!opened) {
      return opened.error();
    }
    catalogue = std::move(*opened);
    static const auto key = StoreKey::in_memory();
    BlobStoreOptions options;
    options.key = key;
    options.seal = seal;
    auto blobs = BlobStore::open(*fs, *catalogue, fixed_clock(), dir / "store", options);
    if (!blobs) {
      return blobs.error();
    }
    store = std::move(*blobs);
    return {};
  }

  void close() {
    store.reset();
    catalogue.reset();
  }

  // The end of this life: what survives `loss` is there for the next one.
  void crash(Loss loss) {
    close();
    fs->restart(loss);
    if (loss != Loss::kNothing) {
      vfs.lose_unsynced(dir / "db", loss == Loss::kTorn);
    }
  }

  Result<void> fetch(const Release& release) {
    test::MemorySource source{"memory"};
    source.add(release.weights);
    FetchOptions options;
    options.attempts_per_source = 1;
    Fetcher fetcher{*store, {&source}, fixed_clock(), [](auto) {}, Log{}, options};
    const std::vector<WantedBlob> wanted{WantedBlob::from(release.weights.entry)};
    const CancelFlag cancel;
    auto done = fetcher.fetch(wanted, cancel);
    return done ? Result<void>{} : done.error();
  }

  Result<void> activate(const Release& release, std::uint64_t generation, bool probation) {
    auto recorded = test::record(*catalogue, release.manifest);
    if (!recorded) {
      return recorded.error();
    }
    ActivationRequest request;
    request.slot = SlotName{"default"};
    request.generation = generation;
    request.manifest = *recorded;
    request.variant = "q4_k_m";
    request.probation = probation;
    auto slot = catalogue->activate(request);
    // Done before the crash is as good as done now.
    if (!slot && slot.error().code() == Error::Code::kRollback) {
      return {};
    }
    return slot ? Result<void>{} : slot.error();
  }
};

using Step = Result<void> (*)(Machine&);

Result<void> install_first(Machine& machine) {
  if (auto ok = machine.fetch(first_release()); !ok) {
    return ok;
  }
  return machine.activate(first_release(), 1, false);
}

Result<void> install_both(Machine& machine) {
  if (auto ok = install_first(machine); !ok) {
    return ok;
  }
  if (auto ok = machine.fetch(second_release()); !ok) {
    return ok;
  }
  return machine.activate(second_release(), 2, true);
}

Result<void> first_and_a_spare(Machine& machine) {
  if (auto ok = install_first(machine); !ok) {
    return ok;
  }
  return machine.fetch(second_release());
}

// The weights of the first release changed on disk below the file system: the recorded identity
// still holds.
Result<void> first_gone_bad(Machine& machine) {
  if (auto ok = first_and_a_spare(machine); !ok) {
    return ok;
  }
  const auto& digest = second_release().weights.digest();
  const auto path = machine.store->path_of(digest);
  std::filesystem::permissions(
      path, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
  {
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(100);  // behind the head of a sealed one
    file.put('\0');
    file.put('\1');
  }
  machine.close();
  machine.fs->restart(Loss::kNothing);
  if (auto ok = machine.open(); !ok) {
    return ok;
  }
  auto record = *machine.catalogue->find_blob(digest);
  record->ctime_ns = machine.fs->status(path)->ctime_ns;
  return machine.catalogue->put_blob(*record);
}

Result<void> fetch_and_activate(Machine& machine) {
  if (auto ok = machine.fetch(second_release()); !ok) {
    return ok;
  }
  return machine.activate(second_release(), 2, true);
}

Result<void> ingest_local(Machine& machine) {
  const auto path = machine.dir / "local.gguf";
  const auto& weights = second_release().weights;
  std::ofstream{path, std::ios::binary} << as_text(weights.bytes);
  if (auto ok = machine.store->ingest_file(path, weights.digest(), weights.index); !ok) {
    return ok;
  }
  auto unknown = machine.store->ingest_file(path, kPiece);
  return unknown ? Result<void>{} : unknown.error();
}

Result<void> commit(Machine& machine) {
  auto slot = machine.catalogue->slot(SlotName{"default"});
  if (slot && !slot->on_trial) {
    return {};
  }
  auto done = machine.catalogue->commit_probation(SlotName{"default"}, 2);
  return done ? Result<void>{} : done.error();
}

Result<void> roll_back(Machine& machine) {
  auto slot = machine.catalogue->slot(SlotName{"default"});
  if (slot && slot->active && slot->active->generation == 1) {
    return {};
  }
  auto done = machine.catalogue->rollback(SlotName{"default"}, "worse answers", true);
  return done ? Result<void>{} : done.error();
}

Result<void> collect(Machine& machine) {
  auto done = run_gc(*machine.catalogue, *machine.store, {}, GcGoal{.high = 1, .low = 1});
  return done ? Result<void>{} : done.error();
}

Result<void> scrub(Machine& machine) {
  const CancelFlag cancel;
  Scrubber scrubber{*machine.store, *machine.catalogue, fixed_clock(), [](auto) {}};
  auto report =
      scrubber.run({}, cancel, [&](const WantedBlob&) { return machine.fetch(second_release()); });
  return report ? Result<void>{} : report.error();
}

// A registry as an older version left it.
Result<void> first_in_the_old_schema(Machine& machine) {
  if (auto ok = install_first(machine); !ok) {
    return ok;
  }
  auto settled = machine.store->settle(first_release().weights.digest());
  if (!settled) {
    return settled.error();
  }
  auto done = machine.catalogue->with_database([](sqlite::Database& database) -> Result<void> {
    return database.exec(
        "DROP TABLE vouch; DROP TABLE import; ALTER TABLE blob DROP COLUMN verity; "
        "DROP INDEX manifest_by_model; ALTER TABLE blob DROP COLUMN chunks; PRAGMA user_version = "
        "1;");
  });
  machine.close();
  return done;
}

Result<void> migrate(Machine& machine) {
  machine.close();
  return machine.open();
}

// The store changes its mind about encryption: what is there is brought into the other form.
Result<void> change_form(Machine& machine, bool seal) {
  machine.seal = seal;
  machine.close();
  if (auto ok = machine.open(); !ok) {
    return ok;
  }
  for (;;) {
    const auto more = machine.store->convert_one();
    if (!more) {
      return more.error();
    }
    if (!*more) {
      break;
    }
  }
  const auto forms = machine.store->forms();
  if (!forms) {
    return forms.error();
  }
  return (seal ? forms->plain : forms->sealed) == 0
             ? Result<void>{}
             : Error{Error::Code::kInternal, "a blob was left in the old form"};
}

Result<void> encrypt_all(Machine& machine) {
  return change_form(machine, true);
}

Result<void> decrypt_all(Machine& machine) {
  return change_form(machine, false);
}

// What must hold in every life.
void check_sound(Machine& machine) {
  ASSERT_TRUE(machine.catalogue->check_integrity());
  const auto slot = machine.catalogue->slot(SlotName{"default"});
  ASSERT_TRUE(slot) << slot.error().message();
  ASSERT_TRUE(slot->active) << "the active generation was lost";
  EXPECT_EQ(machine.catalogue->changes_after(0, 100)->size(), slot->revision);
  const auto manifest = machine.catalogue->manifest(slot->active->manifest);
  ASSERT_TRUE(manifest) << "what is live was never verified";
  EXPECT_FALSE(machine.catalogue->bad_reason(slot->active->manifest, "q4_k_m")->has_value());
  for (const auto& file : manifest->manifest.find_variant("q4_k_m")->files) {
    const auto blob = machine.store->reverify(file.digest);
    ASSERT_TRUE(blob) << "what is live cannot be opened: " << blob.error().message();
  }
  if (slot->active->generation == 2) {
    ASSERT_TRUE(slot->previous) << "the generation to go back to was lost";
    EXPECT_TRUE(machine.store->reverify(first_release().weights.digest()));
  }
  // Catalogue and files agree.
  std::set<std::string> recorded;
  const auto records = machine.catalogue->list_blobs();
  ASSERT_TRUE(records);
  for (const auto& blob : *records) {
    EXPECT_EQ(blob.state, BlobState::kPresent);
    EXPECT_TRUE(machine.store->open_unverified(blob.digest));
    recorded.insert(blob.digest.hex());
  }
  const auto blobs = machine.dir / "store" / "blobs" / "sha256";
  const auto folders = machine.fs->list(blobs);
  ASSERT_TRUE(folders);
  for (const auto& folder : *folders) {
    const auto names = machine.fs->list(blobs / folder);
    ASSERT_TRUE(names);
    for (const auto& name : *names) {
      const auto hex = name.substr(0, name.find('.'));
      EXPECT_EQ(recorded.count(hex), 1U) << name << " has no record";
      EXPECT_NE(std::count(names->begin(), names->end(), hex),
                std::count(names->begin(), names->end(), hex + ".sealed"))
          << name << " is there in both forms";
    }
  }
  const auto staged = machine.fs->list(machine.dir / "store" / "staging");
  ASSERT_TRUE(staged);
  for (const auto& name : *staged) {
    EXPECT_TRUE(name.ends_with(".part") || name.ends_with(".map") || name.ends_with(".inbox"))
        << name;
  }
}

struct Scenario {
  const char* name;
  Step prepare;
  Step act;
  bool sealed = false;
};

class CrashExhaustion : public ::testing::TestWithParam<Scenario> {
 protected:
  static std::uint64_t total;
  static void TearDownTestSuite() {
    std::printf("crash points run: %llu\n", static_cast<unsigned long long>(total));
  }
};
std::uint64_t CrashExhaustion::total = 0;

TEST_P(CrashExhaustion, EveryOperationMayBeTheLast) {
  const std::vector<std::pair<Fault, Loss>> ways{{Fault::kPowerCut, Loss::kUnsynced},
                                                 {Fault::kPowerCut, Loss::kTorn},
                                                 {Fault::kPowerCut, Loss::kNothing},
                                                 {Fault::kIoError, Loss::kNothing},
                                                 {Fault::kNoSpace, Loss::kNothing},
                                                 {Fault::kQuota, Loss::kNothing},
                                                 {Fault::kShortWrite, Loss::kNothing}};
  std::uint64_t points = 0;
  for (const auto& [fault, loss] : ways) {
    bool fired = true;
    for (std::uint64_t k = 0; fired; ++k) {
      ASSERT_LT(k, kLimit);
      SCOPED_TRACE("fault " + std::to_string(static_cast<int>(fault)) + ", loss " +
                   std::to_string(static_cast<int>(loss)) + ", operation " + std::to_string(k));
      Machine machine;
      machine.seal = GetParam().sealed;
      ASSERT_TRUE(machine.open());
      const auto prepared = GetParam().prepare(machine);
      ASSERT_TRUE(prepared) << prepared.error().message();
      machine.fs->fail_at(k, fault);
      const auto acted = GetParam().act(machine);
      fired = machine.fs->fired();
      if (!fired) {
        ASSERT_TRUE(acted) << acted.error().message();
      }
      points += fired ? 1U : 0U;
      if (fault != Fault::kPowerCut) {
        machine.fs->clear();
      }
      machine.crash(loss);
      const auto reopened = machine.open();
      ASSERT_TRUE(reopened) << reopened.error().message();
      check_sound(machine);
      const auto again = GetParam().act(machine);
      ASSERT_TRUE(again) << again.error().message();
      check_sound(machine);
      if (HasFatalFailure()) {
        return;
      }
    }
  }
  EXPECT_GT(points, 7U);
  std::printf(
      "%-18s %llu crash points\n", GetParam().name, static_cast<unsigned long long>(points));
  total += points;
}

INSTANTIATE_TEST_SUITE_P(
    All,
    CrashExhaustion,
    ::testing::Values(Scenario{"activation", install_first, fetch_and_activate},
                      Scenario{"ingest", install_first, ingest_local},
                      Scenario{"commit", install_both, commit},
                      Scenario{"rollback", install_both, roll_back},
                      Scenario{"collection", first_and_a_spare, collect},
                      Scenario{"scrub", first_gone_bad, scrub},
                      Scenario{"migration", first_in_the_old_schema, migrate},
                      Scenario{"sealed_activation", install_first, fetch_and_activate, true},
                      Scenario{"sealed_ingest", install_first, ingest_local, true},
                      Scenario{"sealed_collection", first_and_a_spare, collect, true},
                      Scenario{"sealed_scrub", first_gone_bad, scrub, true},
                      Scenario{"encrypting", first_and_a_spare, encrypt_all, false},
                      Scenario{"decrypting", first_and_a_spare, decrypt_all, true}),
    [](const auto& scenario) { return std::string{scenario.param.name}; });

}  // namespace
}  // namespace skerry::registry
