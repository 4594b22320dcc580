// The content store where it encrypts: nothing plain on the disk, the same behaviour for who uses
// it, and the two forms side by side.

#include <cstring>
#include <fstream>
#include <unistd.h>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/store_key.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::store_file;

constexpr std::size_t kUnit = kMinChunkSize;

class SealedStoreTest : public ::testing::Test {
 protected:
  SealedStoreTest() { reopen(true); }

  Result<void> try_open(bool seal, std::shared_ptr<const StoreKey> key) {
    store_.reset();
    catalogue_.reset();
    catalogue_ = std::move(*Catalogue::open(dir_ / "registry.db", clock_));
    BlobStoreOptions options;
    options.key = std::move(key);
    options.seal = seal;
    auto opened = BlobStore::open(fs_, *catalogue_, clock_, dir_.path(), options);
    if (!opened) {
      return opened.error();
    }
    store_ = std::move(*opened);
    return {};
  }

  void reopen(bool seal) {
    const auto opened = try_open(seal, key_);
    ASSERT_TRUE(opened) << opened.error().message();
  }

  Bytes read_all(const Digest& digest) {
    auto bytes = store_->read(digest, 64U << 20U);
    EXPECT_TRUE(bytes) << bytes.error().message();
    return bytes ? *bytes : Bytes{};
  }

  // True if some 32 bytes of the content lie anywhere under the store's folder.
  bool is_on_disk(ByteView content) {
    const std::string marker{as_text(content.subspan(content.size() / 2, 32))};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
      if (entry.is_regular_file()) {
        std::ifstream file{entry.path(), std::ios::binary};
        const std::string all{std::istreambuf_iterator<char>{file}, {}};
        if (all.find(marker) != std::string::npos) {
          return true;
        }
      }
    }
    return false;
  }

  void flip(const std::filesystem::path& path, std::size_t at) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::fstream file{path, std::ios::in | std::ios::out | std::ios::binary};
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1));
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{std::chrono::milliseconds{1'700'000'000'000}}};
  std::shared_ptr<const StoreKey> key_ = StoreKey::in_memory();
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> store_;
};

TEST_F(SealedStoreTest, NothingPlainIsOnTheDiskAtAnyStep) {
  const auto file = make_file(FileRole::kWeights, "w", 4 * kUnit + 100, 1);
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  const auto place = ingest->shelter(file.chunk(2));
  EXPECT_FALSE(is_on_disk(file.chunk(2)));
  for (const std::uint64_t chunk : {3U, 0U, 4U, 2U, 1U}) {
    ASSERT_TRUE(ingest->write_chunk(chunk, file.chunk(chunk)));
    EXPECT_FALSE(is_on_disk(file.chunk(chunk)));
  }
  ingest->release(place);
  ASSERT_TRUE(ingest->finish());
  ingest.reset();
  EXPECT_FALSE(is_on_disk(file.bytes));
  EXPECT_EQ(read_all(file.digest()), file.bytes);
  EXPECT_TRUE(store_->path_of(file.digest()).string().ends_with(".sealed"));
  // Small blobs, of sizes around a chunk of the message, too.
  for (const std::size_t size : {1U, 16383U, 16384U, 16385U}) {
    const auto small = test::random_bytes(size, size);
    EXPECT_EQ(read_all(*store_->put(small)), small);
  }
}

TEST_F(SealedStoreTest, ReadsAnyRange) {
  const auto file = make_file(FileRole::kWeights, "w", 3 * kUnit + 5000, 2);
  ASSERT_TRUE(store_file(*store_, file));
  const auto blob = store_->open_verified(file.digest());
  ASSERT_TRUE(blob);
  EXPECT_EQ(blob->size, file.bytes.size());
  FakeRandom random{3};
  for (int i = 0; i < 300; ++i) {
    const auto offset = random.below(file.bytes.size());
    const auto length = 1 + random.below(i % 2 == 0 ? 100 : 2 * kUnit);
    Bytes out(length);
    const auto count = blob->file->read_at(offset, out);
    ASSERT_TRUE(count) << count.error().message();
    const auto expected = ByteView{file.bytes}.subspan(offset).first(
        std::min<std::size_t>(length, file.bytes.size() - offset));
    ASSERT_EQ(*count, expected.size());
    ASSERT_TRUE(std::equal(expected.begin(), expected.end(), out.begin())) << offset;
  }
}

TEST_F(SealedStoreTest, AnInterruptedIngestGoesOn) {
  const auto file = make_file(FileRole::kWeights, "w", 6 * kUnit + 100, 4);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(1, file.chunk(1)));
    ASSERT_TRUE(ingest->write_chunk(6, file.chunk(6)));
    (void)ingest->shelter(file.chunk(3));  // arrived, not checked
    (void)ingest->shelter(file.chunk(4));
  }
  // One chunk that was written is torn.
  flip(dir_ / "staging" / (file.digest().hex() + ".part"), 56 + (kUnit / 16384) * 16400 + 100);
  reopen(true);
  EXPECT_EQ(store_->recovery().staged, 1U);
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  EXPECT_EQ(ingest->missing(), (std::vector<ChunkRun>{{0, 3}, {5, 1}}));
  for (const std::uint64_t chunk : {0U, 1U, 2U, 5U}) {
    ASSERT_TRUE(ingest->write_chunk(chunk, file.chunk(chunk)));
  }
  ASSERT_TRUE(ingest->finish());
  EXPECT_EQ(read_all(file.digest()), file.bytes);
}

TEST_F(SealedStoreTest, AShortLastChunkIsTakenFromAUsedPlaceOfTheInbox) {
  const auto file = make_file(FileRole::kWeights, "w", 2 * kUnit + 20'000, 5);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ingest->release(ingest->shelter(file.chunk(0)));
    (void)ingest->shelter(file.chunk(2));  // in the place of the longer one
  }
  reopen(true);
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  EXPECT_TRUE(ingest->has_chunk(2));
  EXPECT_FALSE(ingest->has_chunk(0));
}

TEST_F(SealedStoreTest, AnUnchangedFileIsNotReadAgainAndAChangedOneIsQuarantined) {
  const auto file = make_file(FileRole::kWeights, "w", 2 * kUnit, 6);
  ASSERT_TRUE(store_file(*store_, file));
  const auto wanted = WantedBlob::from(file.entry);
  EXPECT_FALSE(store_->open_verified(wanted)->rehashed);
  for (const std::size_t at : {std::size_t{30}, std::size_t{56 + 16400 * 3 + 9}}) {
    flip(store_->path_of(file.digest()), at);
    const auto opened = store_->open_verified(wanted);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Error::Code::kDigestMismatch);
    EXPECT_FALSE(*store_->contains(file.digest()));
    EXPECT_TRUE(fs_.exists(dir_ / "quarantine" / (file.digest().hex() + ".sealed")));
    ASSERT_TRUE(store_file(*store_, file));
  }
  EXPECT_TRUE(store_->reverify(file.digest()));
}

TEST_F(SealedStoreTest, LocalFilesAreTakenInBothWays) {
  const auto file = make_file(FileRole::kWeights, "w", 5 * kUnit + 1, 7);
  // Outside the store's folder: the source is plain, of course.
  const test::TempDir outside;
  std::ofstream{outside / "source", std::ios::binary} << as_text(file.bytes);
  const auto unknown = store_->ingest_file(outside / "source", kUnit);
  ASSERT_TRUE(unknown) << unknown.error().message();
  EXPECT_EQ(unknown->digest, file.digest());
  EXPECT_EQ(read_all(file.digest()), file.bytes);
  ASSERT_TRUE(store_->remove(file.digest()));
  ASSERT_TRUE(store_->ingest_file(outside / "source", file.digest(), file.index));
  EXPECT_EQ(read_all(file.digest()), file.bytes);
  EXPECT_FALSE(is_on_disk(file.bytes));
}

TEST_F(SealedStoreTest, AWorkerGetsAPlainCopyThatNobodyCanChange) {
  const auto file = make_file(FileRole::kWeights, "w", 9 * kUnit + 77, 8);
  ASSERT_TRUE(store_file(*store_, file));
  const auto blob = store_->open_verified(WantedBlob::from(file.entry));
  ASSERT_TRUE(blob);
  EXPECT_TRUE(blob->sealed);
  const auto fd = blob->plain_fd();
  ASSERT_TRUE(fd) << fd.error().message();
  struct stat status {};
  ASSERT_EQ(::fstat(fd->get(), &status), 0);
  ASSERT_EQ(static_cast<std::size_t>(status.st_size), file.bytes.size());
  void* mapped = ::mmap(nullptr, file.bytes.size(), PROT_READ, MAP_SHARED, fd->get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(std::memcmp(mapped, file.bytes.data(), file.bytes.size()), 0);
  ::munmap(mapped, file.bytes.size());
  EXPECT_LT(::pwrite(fd->get(), "x", 1, 0), 0);
  EXPECT_NE(::ftruncate(fd->get(), 1), 0);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0), MAP_FAILED);
}

TEST_F(SealedStoreTest, AStoreIsConvertedBlobByBlobAndBack) {
  const auto first = make_file(FileRole::kWeights, "a", 3 * kUnit, 9);
  const auto second = make_file(FileRole::kWeights, "b", kUnit + 1, 10);
  reopen(false);
  ASSERT_TRUE(store_file(*store_, first));
  ASSERT_TRUE(store_file(*store_, second));
  EXPECT_TRUE(is_on_disk(first.bytes));
  // What a reader has open stays as it is.
  const auto open_before = store_->open_verified(first.digest());
  for (const bool seal : {true, false}) {
    reopen(seal);
    // Read as they are until they are converted.
    EXPECT_EQ(read_all(first.digest()), first.bytes);
    int converted = 0;
    while (*store_->convert_one()) {
      ++converted;
    }
    EXPECT_EQ(converted, 4);  // two files, two chunk indexes
    const auto forms = *store_->forms();
    EXPECT_EQ(forms.sealed, seal ? 4U : 0U);
    EXPECT_EQ(forms.plain, seal ? 0U : 4U);
    EXPECT_EQ(is_on_disk(first.bytes), !seal);
    const auto blob = store_->open_verified(WantedBlob::from(first.entry));
    ASSERT_TRUE(blob);
    EXPECT_FALSE(blob->rehashed);
    EXPECT_EQ(read_all(first.digest()), first.bytes);
    EXPECT_EQ(read_all(second.digest()), second.bytes);
    reopen(seal);
    EXPECT_EQ(store_->recovery().blobs, 4U);
  }
  Bytes bytes(first.bytes.size());
  EXPECT_EQ(*open_before->file->read_at(0, bytes), bytes.size());
  EXPECT_EQ(bytes, first.bytes);
}

TEST_F(SealedStoreTest, ABlobThatRottedIsNotConverted) {
  const auto file = make_file(FileRole::kWeights, "w", 2 * kUnit, 11);
  reopen(false);
  ASSERT_TRUE(store_file(*store_, file));
  flip(store_->path_of(file.digest()), 1000);
  reopen(true);
  while (*store_->convert_one()) {
  }
  EXPECT_FALSE(*store_->contains(file.digest()));
  EXPECT_TRUE(fs_.exists(dir_ / "quarantine" / file.digest().hex()));
}

TEST_F(SealedStoreTest, PlainLeftoversOfAnIngestAreSweptWhenEncryptionGoesOn) {
  const auto file = make_file(FileRole::kWeights, "w", 4 * kUnit, 12);
  reopen(false);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(2, file.chunk(2)));
  }
  EXPECT_TRUE(is_on_disk(file.chunk(2)));
  reopen(true);
  EXPECT_FALSE(is_on_disk(file.chunk(2)));
}

TEST_F(SealedStoreTest, BlobsOfAKeyThatWasGivenUpAreRemovedAndPlainOnesStay) {
  const auto sealed = make_file(FileRole::kWeights, "a", 2 * kUnit, 13);
  const auto plain = make_file(FileRole::kWeights, "b", 2 * kUnit, 14);
  reopen(false);
  ASSERT_TRUE(store_file(*store_, plain));
  reopen(true);
  ASSERT_TRUE(store_file(*store_, sealed));
  key_ = StoreKey::in_memory();
  reopen(true);
  EXPECT_EQ(store_->recovery().unreadable, 2U);
  EXPECT_FALSE(*store_->contains(sealed.digest()));
  EXPECT_EQ(read_all(plain.digest()), plain.bytes);
  ASSERT_TRUE(store_file(*store_, sealed)) << "it can be fetched again";
  EXPECT_EQ(read_all(sealed.digest()), sealed.bytes);
}

TEST_F(SealedStoreTest, WithoutAKeyAnEncryptedStoreIsRefusedByName) {
  const auto file = make_file(FileRole::kWeights, "w", kUnit, 15);
  ASSERT_TRUE(store_file(*store_, file));
  const auto opened = try_open(false, nullptr);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Error::Code::kKeyInvalid);
  EXPECT_NE(opened.error().message().find("storage.encryption_key"), std::string::npos);
  reopen(true);
  EXPECT_EQ(read_all(file.digest()), file.bytes) << "nothing was lost";
}

class StoreKeyTest : public ::testing::Test {
 protected:
  [[nodiscard]] security::KeyUri uri(const std::string& name) const {
    return *security::KeyUri::parse("file:" + (dir_ / name).string());
  }
  Bytes secret(const std::string& name) {
    auto key = StoreKey::open_or_create(fs_, dir_.path(), uri(name));
    EXPECT_TRUE(key) << key.error().message();
    return key ? Bytes{(*key)->bytes().begin(), (*key)->bytes().end()} : Bytes{};
  }
  void pretend_sealed_blob() {
    std::filesystem::create_directories(dir_ / "blobs" / "sha256" / "ab");
    const std::string name = std::string(64, 'a').append(".sealed");
    std::ofstream{dir_ / "blobs" / "sha256" / "ab" / name} << "x";
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
};

TEST_F(StoreKeyTest, IsMadeOnceAndOpenedAgain) {
  const auto first = secret("kek.pem");
  EXPECT_EQ(secret("kek.pem"), first);
  EXPECT_EQ(fs_.status(dir_ / "store.key")->mode & 0777U, 0600U);
  const auto text = *read_file(fs_, dir_ / "store.key", 4096);
  EXPECT_EQ(StoreKeyFile::parse(text)->serialise(), text);
  EXPECT_EQ(text.find(to_base64(first)), std::string::npos);
}

TEST_F(StoreKeyTest, MovesToAnotherWrappingKeyWithoutChange) {
  const auto first = secret("old.pem");
  ASSERT_TRUE(StoreKey::rewrap(fs_, dir_.path(), uri("old.pem"), uri("new.pem")));
  EXPECT_EQ(secret("new.pem"), first);
  const auto old = StoreKey::open_or_create(fs_, dir_.path(), uri("old.pem"));
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code(), Error::Code::kKeyInvalid);
  EXPECT_NE(old.error().message().find("rekey --from"), std::string::npos);
}

TEST_F(StoreKeyTest, ALostWrappingKeyIsAnErrorThatSaysWhatToDo) {
  const auto first = secret("kek.pem");
  std::filesystem::remove(dir_ / "kek.pem");
  const auto opened = StoreKey::open_or_create(fs_, dir_.path(), uri("kek.pem"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Error::Code::kKeyInvalid);
  EXPECT_NE(opened.error().message().find("rekey --lost"), std::string::npos);
  EXPECT_FALSE(fs_.exists(dir_ / "kek.pem")) << "no other key is made in its place";
  ASSERT_TRUE(StoreKey::replace_lost(fs_, dir_.path(), uri("kek.pem")));
  EXPECT_NE(secret("kek.pem"), first);
}

TEST_F(StoreKeyTest, ALostFileIsNotReplacedWhileSealedBlobsAreThere) {
  (void)secret("kek.pem");
  std::filesystem::remove(dir_ / "store.key");
  pretend_sealed_blob();
  const auto opened = StoreKey::open_or_create(fs_, dir_.path(), uri("kek.pem"));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Error::Code::kKeyInvalid);
}

TEST_F(StoreKeyTest, AChangedFileIsRefused) {
  (void)secret("kek.pem");
  const auto text = *read_file(fs_, dir_ / "store.key", 4096);
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"skerry-store-key", "skerry-other-key"},
                                                        {"\"version\": 1", "\"version\": 2"},
                                                        {"\"wrapped\"", "\"wrapping\""},
                                                        {"\"wrapped\": \"B", "\"wrapped\": \"C"}}) {
    auto changed = text;
    const auto at = changed.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    std::ofstream{dir_ / "store.key"} << changed;
    EXPECT_FALSE(StoreKey::open_or_create(fs_, dir_.path(), uri("kek.pem"))) << from;
  }
}

}  // namespace
}  // namespace skerry::registry
