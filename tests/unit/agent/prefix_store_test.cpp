// States of prefixes on disk: found again, bounded, never believed without proof, and no failure of
// the disk is anybody's failure.

#include "models/prefix_store.hpp"

#include <algorithm>
#include <fcntl.h>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fault_file_system.hpp"
#include "models/prefix_file.hpp"
#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

using namespace std::chrono_literals;
using runtime::PrefixBytes;
using runtime::PrefixState;
using test::Fault;
using test::FaultFileSystem;
using test::Loss;
using test::TempDir;

constexpr std::uint32_t kBlock = 32;
const std::string kFormat = "engine 1";

const Digest& model() {
  static const Digest digest = Digest::of("model");
  return digest;
}

std::vector<Digest> chain(const std::string& text, std::size_t blocks) {
  std::vector<Digest> names;
  for (std::size_t i = 0; i < blocks; ++i) {
    names.push_back(Digest::of(text + std::to_string(i)));
  }
  return names;
}

std::vector<Digest> question(std::vector<Digest> names) {
  std::reverse(names.begin(), names.end());
  return names;
}

PrefixState state_of(const std::vector<Digest>& names,
                     std::chrono::nanoseconds recompute = std::chrono::seconds{1}) {
  PrefixState state;
  state.names = names;
  state.tokens = static_cast<std::uint32_t>(names.size()) * kBlock;
  state.format = kFormat;
  state.recompute = recompute;
  return state;
}

std::string some_bytes(std::size_t size, char salt) {
  std::string bytes(size, salt);
  for (std::size_t i = 0; i < size; i += 7) {
    bytes[i] = static_cast<char>(i * 31 + static_cast<unsigned char>(salt));
  }
  return bytes;
}

PrefixBytes memory_of(const std::string& bytes) {
  PrefixBytes made;
  made.fd.reset(::memfd_create("test", MFD_CLOEXEC));
  made.size = bytes.size();
  EXPECT_EQ(::pwrite(made.fd.get(), bytes.data(), bytes.size(), 0),
            static_cast<ssize_t>(bytes.size()));
  return made;
}

std::string text_of(const PrefixBytes& bytes) {
  std::string text(bytes.size, '\0');
  EXPECT_EQ(::pread(bytes.fd.get(), text.data(), text.size(), 0),
            static_cast<ssize_t>(text.size()));
  return text;
}

class PrefixStoreTest : public ::testing::Test {
 protected:
  PrefixStoreTest() { reopen(); }

  void reopen() {
    store_.reset();
    store_ = std::make_unique<PrefixStore>(fs_, clock_, log(), options_for(dir_ / "prefixes"));
    store_->open();
  }
  PrefixStore::Options options_for(const std::filesystem::path& folder) const {
    return {.folder = folder, .budget = budget_, .reserve = reserve_, .key = key_};
  }
  Log log() {
    return Log{LogLevel::kInfo,
               [this](const LogRecord& record) { events_.push_back(record.event); }};
  }
  void save(const std::vector<Digest>& names,
            const std::string& bytes,
            std::chrono::nanoseconds recompute = 1s) {
    clock_.advance(6h);  // the day's writes are not what most tests are about
    store_->save(model(), state_of(names, recompute), memory_of(bytes));
  }
  std::optional<runtime::PrefixShelf::Found> find(const std::vector<Digest>& names) {
    const auto match = store_->look(model(), kFormat, question(names));
    return match ? store_->read(*match) : std::nullopt;
  }
  [[nodiscard]] std::vector<std::string> files() const {
    auto names = fs_.list(dir_ / "prefixes");
    EXPECT_TRUE(names);
    return names ? *names : std::vector<std::string>{};
  }
  [[nodiscard]] std::filesystem::path only_file() const {
    const auto names = files();
    EXPECT_EQ(names.size(), 1U);
    return dir_ / "prefixes" / names.at(0);
  }

  TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{}};
  std::uint64_t budget_ = 4U << 20U;
  std::uint64_t reserve_ = 0;
  Bytes key_ = Bytes(32, 7);
  std::vector<std::string> events_;
  std::unique_ptr<PrefixStore> store_;
};

TEST_F(PrefixStoreTest, WhatWasSavedIsFoundInAnotherLife) {
  // Around the sizes of chunks and of what is read at once.
  constexpr std::size_t kChunk = 16384;
  std::size_t number = 0;
  for (const std::size_t size : {std::size_t{1},
                                 kChunk - 1,
                                 kChunk,
                                 kChunk + 1,
                                 64 * kChunk - 1,
                                 64 * kChunk,
                                 64 * kChunk + kChunk,
                                 64 * kChunk + 5}) {
    const auto names = chain("chain " + std::to_string(++number), 20);
    const std::string bytes = some_bytes(size, static_cast<char>(number));
    save(names, bytes);
    for (const bool again : {false, true}) {
      if (again) {
        reopen();
      }
      const auto found = find(names);
      ASSERT_TRUE(found) << size;
      EXPECT_EQ(found->tokens, 20 * kBlock);
      EXPECT_EQ(found->common, 20 * kBlock);
      EXPECT_EQ(text_of(found->bytes), bytes) << size;
    }
    store_->drop(model(), names[0]);
    EXPECT_TRUE(files().empty());
  }
}

TEST_F(PrefixStoreTest, BytesAreSealedAndFilesPrivate) {
  const auto names = chain("a", 10);
  save(names, some_bytes(1000, 'x'));
  const auto found = find(names);
  ASSERT_TRUE(found);
  const int seals = ::fcntl(found->bytes.fd.get(), F_GET_SEALS);
  EXPECT_EQ(seals & (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW),
            F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
  const auto file = fs_.status(only_file());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->mode & 0777U, 0600U);
  EXPECT_EQ(fs_.status(dir_ / "prefixes")->mode & 0777U, 0700U);
  std::ifstream in{only_file(), std::ios::binary};
  const std::string raw{std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
  EXPECT_EQ(raw.find(some_bytes(1000, 'x').substr(0, 50)), std::string::npos);
  EXPECT_EQ(raw.find(kFormat), std::string::npos);
}

TEST_F(PrefixStoreTest, ThePartThatIsSharedIsSaid) {
  const auto names = chain("a", 20);
  save(names, "state");
  auto other = chain("a", 12);
  const auto tail = chain("b", 30);
  other.insert(other.end(), tail.begin(), tail.end());
  const auto found = find(other);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tokens, 20 * kBlock);
  EXPECT_EQ(found->common, 12 * kBlock);
  EXPECT_FALSE(find(chain("c", 20)));
  const auto counts = store_->counts();
  EXPECT_EQ(counts.hits, 1U);
  EXPECT_EQ(counts.misses, 1U);
  EXPECT_EQ(counts.saved, 1U);
}

TEST_F(PrefixStoreTest, OnlyTheSameModelAndFormatFindIt) {
  const auto names = chain("a", 20);
  save(names, "state");
  EXPECT_FALSE(store_->look(Digest::of("another model"), kFormat, question(names)));
  EXPECT_FALSE(store_->look(model(), "engine 2", question(names)));
  EXPECT_TRUE(store_->look(model(), kFormat, question(names)));
  store_->drop(Digest::of("another model"), names[0]);
  EXPECT_TRUE(store_->look(model(), kFormat, question(names)));
}

TEST_F(PrefixStoreTest, ALongerOneReplacesAndAShorterOneIsNotWritten) {
  save(chain("a", 10), "ten");
  save(chain("a", 20), "twenty");
  EXPECT_EQ(files().size(), 1U);
  save(chain("a", 15), "fifteen");
  save(chain("a", 20), "twenty again");
  EXPECT_EQ(files().size(), 1U);
  EXPECT_EQ(store_->counts().saved, 2U);
  const auto found = find(chain("a", 10));
  ASSERT_TRUE(found);
  EXPECT_EQ(text_of(found->bytes), "twenty");
  EXPECT_EQ(found->common, 10 * kBlock);
}

TEST_F(PrefixStoreTest, PinnedOnesStayInHalfOfTheRoom) {
  const std::string bytes = some_bytes(900U << 10U, 'b');
  const auto pin = [&](const std::string& name) {
    clock_.advance(6h);
    PrefixState state = state_of(chain(name, 10), 1s);
    state.pinned = true;
    store_->save(model(), state, memory_of(bytes));
  };
  pin("first");
  pin("second");
  EXPECT_EQ(store_->counts().pinned, 2U);
  pin("third");
  EXPECT_EQ(store_->counts().pinned, 2U) << "the others of half of the room are ordinary";
  for (int i = 0; i < 6; ++i) {
    save(chain("dear " + std::to_string(i), 10), bytes, 1000s);
  }
  EXPECT_TRUE(find(chain("first", 10)));
  EXPECT_TRUE(find(chain("second", 10)));
  EXPECT_FALSE(find(chain("third", 10)));
  EXPECT_LE(store_->counts().bytes, budget_);
  // In another life too; and a longer one does not take its place.
  reopen();
  EXPECT_EQ(store_->counts().pinned, 2U);
  save(chain("first", 12), "longer", 1000s);
  EXPECT_EQ(store_->counts().pinned, 2U);
}

TEST_F(PrefixStoreTest, OneThatIsThereBecomesPinned) {
  save(chain("a", 10), "ten");
  store_->hold(model(), chain("a", 10)[3]);
  EXPECT_EQ(store_->counts().pinned, 0U) << "that is a part of it";
  store_->hold(model(), chain("a", 10)[9]);
  EXPECT_EQ(store_->counts().pinned, 1U);
  EXPECT_EQ(store_->counts().states, 1U);
}

TEST_F(PrefixStoreTest, TheBoundHoldsAndTheCheapestPerByteGoes) {
  const std::string bytes = some_bytes(900U << 10U, 'b');
  save(chain("dear", 10), bytes, 60s);
  save(chain("cheap", 10), bytes, 1s);
  save(chain("middle", 10), bytes, 20s);
  save(chain("fourth", 10), bytes, 30s);
  EXPECT_LE(store_->counts().bytes, budget_);
  EXPECT_EQ(store_->counts().dropped, 0U);
  save(chain("fifth", 10), bytes, 10s);
  EXPECT_LE(store_->counts().bytes, budget_);
  EXPECT_FALSE(find(chain("cheap", 10)));
  EXPECT_TRUE(find(chain("middle", 10)));
  EXPECT_TRUE(find(chain("dear", 10)));
  EXPECT_EQ(store_->counts().dropped, 1U);
  std::uint64_t on_disk = 0;
  for (const std::string& name : files()) {
    on_disk += fs_.status(dir_ / "prefixes" / name)->size;
  }
  EXPECT_EQ(on_disk, store_->counts().bytes);
  save(chain("huge", 10), some_bytes(5U << 20U, 'h'), 1000s);
  EXPECT_EQ(files().size(), 4U) << "larger than all may be together";
}

TEST_F(PrefixStoreTest, WhatNobodyAsksForAges) {
  const std::string bytes = some_bytes(900U << 10U, 'b');
  save(chain("once dear", 10), bytes, 12s);
  for (int i = 0; i < 40; ++i) {
    save(chain("stream " + std::to_string(i), 10), bytes, 5s);
  }
  EXPECT_FALSE(find(chain("once dear", 10)));
  EXPECT_TRUE(find(chain("stream 39", 10)));
}

TEST_F(PrefixStoreTest, ASmallerBudgetHoldsAfterARestart) {
  for (int i = 0; i < 4; ++i) {
    save(chain("c" + std::to_string(i), 10), some_bytes(900U << 10U, 'b'));
  }
  EXPECT_EQ(files().size(), 4U);
  budget_ = 2U << 20U;
  reopen();
  EXPECT_EQ(files().size(), 2U);
  EXPECT_LE(store_->counts().bytes, budget_);
  PrefixStore::remove_all(fs_, dir_ / "prefixes");
  EXPECT_TRUE(files().empty());
  PrefixStore::remove_all(fs_, dir_ / "no such folder");
}

TEST_F(PrefixStoreTest, ModelsThatAreGoneTakeTheirsAlong) {
  save(chain("a", 10), "state");
  store_->save(Digest::of("gone"), state_of(chain("b", 10)), memory_of("other"));
  EXPECT_EQ(files().size(), 2U);
  store_->retain([](const Digest& one) { return one == model(); });
  EXPECT_EQ(files().size(), 1U);
  EXPECT_TRUE(find(chain("a", 10)));
}

// Any byte of the file, its length and its place: nothing of it is given out.
TEST_F(PrefixStoreTest, AChangedFileIsFoundOutWhereverItWasChanged) {
  const auto names = chain("a", 10);
  const std::string bytes = some_bytes(40'000, 'x');
  for (const std::uint64_t place : {0U, 30U, 60U, 10'000U, 16'500U, 40'000U, 56'000U}) {
    save(names, bytes);
    {
      std::fstream file{only_file(), std::ios::binary | std::ios::in | std::ios::out};
      file.seekg(static_cast<std::streamoff>(place));
      const char old = static_cast<char>(file.get());
      file.seekp(static_cast<std::streamoff>(place));
      file.put(static_cast<char>(old ^ 1));
    }
    EXPECT_FALSE(find(names)) << place;
    EXPECT_TRUE(files().empty()) << "and it is gone";
    EXPECT_FALSE(find(names));
  }
  for (const std::uint64_t size : {0U, 10U, 56U, 16'000U, 40'000U}) {
    save(names, bytes);
    std::filesystem::resize_file(only_file(), size);
    reopen();
    EXPECT_FALSE(find(names)) << size;
    EXPECT_TRUE(files().empty());
  }
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "prefix_cache.disk_rests"), 0)
      << "the disk is well";
}

TEST_F(PrefixStoreTest, AnotherOnesFileUnderItsNameIsRefused) {
  save(chain("a", 10), "state of a");
  const auto mine = only_file();
  store_->save(Digest::of("another model"), state_of(chain("b", 10)), memory_of("state of b"));
  std::filesystem::path other;
  for (const std::string& name : files()) {
    other = dir_ / "prefixes" / name == mine ? other : dir_ / "prefixes" / name;
  }
  std::filesystem::copy_file(other, mine, std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(find(chain("a", 10)));
  // Nor is it taken in under a name that is not its own.
  std::filesystem::copy_file(other, mine, std::filesystem::copy_options::overwrite_existing);
  reopen();
  EXPECT_FALSE(fs_.exists(mine));
  EXPECT_TRUE(fs_.exists(other));
}

TEST_F(PrefixStoreTest, AnotherKeyOpensNothing) {
  save(chain("a", 10), "state");
  key_ = Bytes(32, 8);
  reopen();
  EXPECT_FALSE(find(chain("a", 10)));
  EXPECT_TRUE(files().empty());
}

TEST_F(PrefixStoreTest, LeftoversAndForeignFilesGo) {
  save(chain("a", 10), "state");
  for (const char* name : {"3.tmp", "notes.txt", "0000.kv"}) {
    std::ofstream{dir_ / "prefixes" / name} << "something";
  }
  reopen();
  EXPECT_EQ(files().size(), 1U);
  EXPECT_TRUE(find(chain("a", 10)));
}

TEST_F(PrefixStoreTest, ADayHasItsWrites) {
  const std::string bytes = some_bytes(900U << 10U, 'b');
  const auto save_now = [&](std::uint64_t number) {
    store_->save(model(), state_of(chain("s" + std::to_string(number), 10)), memory_of(bytes));
    return store_->counts().saved;
  };
  for (std::uint64_t i = 1; i <= 8; ++i) {
    EXPECT_EQ(save_now(i), std::min<std::uint64_t>(i, 4)) << "as much as the budget at once";
  }
  EXPECT_TRUE(find(chain("s4", 10)));
  clock_.advance(30min);
  EXPECT_EQ(save_now(9), 4U);
  clock_.advance(90min);
  EXPECT_EQ(save_now(10), 5U) << "a third of the budget has come back";
  EXPECT_EQ(save_now(11), 5U);
}

TEST_F(PrefixStoreTest, AFullDiskRests) {
  reserve_ = ~std::uint64_t{0};
  reopen();
  store_->save(model(), state_of(chain("a", 10)), memory_of("state"));
  store_->save(model(), state_of(chain("b", 10)), memory_of("state"));
  EXPECT_TRUE(files().empty());
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "prefix_cache.disk_rests"), 1);
  EXPECT_EQ(store_->counts().bytes, 0U) << "no room stays set aside";
}

TEST_F(PrefixStoreTest, AWorkerThatPromisedMoreBytesIsNotBelieved) {
  PrefixBytes bytes = memory_of("short");
  bytes.size = 100;
  store_->save(model(), state_of(chain("a", 10)), bytes);
  EXPECT_TRUE(files().empty());
  EXPECT_FALSE(find(chain("a", 10)));
}

// The k-th operation on the disk fails, for every k, in each way and with what each leaves: no call
// fails, what is found is right, and the next life works. False: there is no k-th operation.
class PrefixStoreFaults : public PrefixStoreTest {
 protected:
  bool survives(Fault fault, Loss loss, std::uint64_t k) {
    TempDir dir;
    FaultFileSystem faulty{dir.path()};
    const auto options = options_for(dir / "prefixes");
    PrefixStore store{faulty, clock_, Log{}, options};
    faulty.fail_at(k, fault);
    store.open();
    store.save(model(), state_of(chain("a", 10)), memory_of(first_));
    store.save(model(), state_of(chain("b", 10)), memory_of(second_));
    store.drop(model(), chain("a", 10)[0]);
    looks_right(store);
    const bool fired = faulty.fired();
    faulty.restart(loss);
    PrefixStore again{faulty, clock_, Log{}, options};
    again.open();
    looks_right(again);
    again.save(model(), state_of(chain("b", 10)), memory_of(second_));
    const auto match = again.look(model(), kFormat, question(chain("b", 10)));
    EXPECT_TRUE(match && again.read(*match)) << k;
    return fired;
  }
  void looks_right(PrefixStore& store) const {
    for (const auto& [text, bytes] : {std::pair{"a", &first_}, std::pair{"b", &second_}}) {
      const auto match = store.look(model(), kFormat, question(chain(text, 10)));
      const auto found = match ? store.read(*match) : std::nullopt;
      if (found) {
        EXPECT_EQ(text_of(found->bytes), *bytes);
      }
    }
  }

  const std::string first_ = some_bytes(100'000, '1');
  const std::string second_ = some_bytes(150'000, '2');
};

TEST_F(PrefixStoreFaults, NoFailureOfTheDiskIsAnybodysFailure) {
  for (const Fault fault :
       {Fault::kIoError, Fault::kNoSpace, Fault::kShortWrite, Fault::kPowerCut}) {
    for (const Loss loss : {Loss::kNothing, Loss::kTorn, Loss::kUnsynced}) {
      std::uint64_t k = 0;
      while (survives(fault, loss, k)) {
        ASSERT_LT(++k, 200U);
      }
      EXPECT_GT(k, 10U);
    }
  }
}

TEST_F(PrefixStoreTest, ItRestsTenMinutesAfterAFailure) {
  FaultFileSystem faulty{dir_.path()};
  PrefixStore store{faulty, clock_, log(), options_for(dir_ / "other")};
  store.open();
  faulty.fail_at(0, Fault::kNoSpace, true);
  store.save(model(), state_of(chain("a", 10)), memory_of("a"));
  faulty.clear();
  clock_.advance(9min);
  store.save(model(), state_of(chain("a", 10)), memory_of("a"));
  EXPECT_FALSE(store.look(model(), kFormat, question(chain("a", 10))));
  clock_.advance(2min);
  store.save(model(), state_of(chain("a", 10)), memory_of("a"));
  EXPECT_TRUE(store.look(model(), kFormat, question(chain("a", 10))));
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "prefix_cache.disk_rests"), 1);
}

}  // namespace
}  // namespace skerry::agent
