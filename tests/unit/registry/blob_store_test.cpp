#include "skerry/registry/blob_store.hpp"

#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "skerry/registry/catalogue.hpp"

#include "registry_fixtures.hpp"
#include "temp_dir.hpp"

namespace skerry::registry {
namespace {

using test::make_file;
using test::SampleFile;
using test::store_file;

constexpr std::size_t kChunk = kMinChunkSize;

class BlobStoreTest : public ::testing::Test {
 protected:
  BlobStoreTest() { reopen(); }

  void reopen() {
    store_.reset();
    catalogue_.reset();
    catalogue_ = std::move(*Catalogue::open(dir_ / "registry.db", clock_));
    auto opened = BlobStore::open(fs_, *catalogue_, clock_, dir_.path());
    ASSERT_TRUE(opened) << opened.error().message();
    store_ = std::move(*opened);
  }

  void overwrite(const Digest& digest, std::string_view content) {
    const auto path = store_->path_of(digest);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::ofstream{path, std::ios::binary} << content;
  }

  Bytes read_all(const Digest& digest) {
    auto bytes = store_->read(digest, 64U << 20U);
    EXPECT_TRUE(bytes) << bytes.error().message();
    return bytes ? *bytes : Bytes{};
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{std::chrono::milliseconds{1'700'000'000'000}}};
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> store_;
};

TEST_F(BlobStoreTest, StoresChunksInAnyOrder) {
  const auto file = make_file(FileRole::kWeights, "w", 4 * kChunk + 100, 1);
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  for (const std::uint64_t chunk : {3U, 0U, 4U, 2U}) {
    ASSERT_TRUE(ingest->write_chunk(chunk, file.chunk(chunk)));
  }
  EXPECT_EQ(ingest->missing(), (std::vector<ChunkRun>{{1, 1}}));
  EXPECT_EQ(ingest->finish().error().code(), Error::Code::kFailedPrecondition);
  EXPECT_EQ(ingest->verified_bytes(), file.bytes.size() - kChunk);
  ASSERT_TRUE(ingest->write_chunk(1, file.chunk(1)));
  ASSERT_TRUE(ingest->write_chunk(1, file.chunk(1)));  // again: ignored
  ASSERT_TRUE(ingest->finish());
  EXPECT_TRUE(*store_->contains(file.digest()));
  EXPECT_EQ(read_all(file.digest()), file.bytes);
  EXPECT_EQ(fs_.status(store_->path_of(file.digest()))->mode, 0440U);
  EXPECT_TRUE(fs_.list(dir_ / "staging")->empty());
}

TEST_F(BlobStoreTest, AWrongChunkIsRefusedAndCanBeSentAgain) {
  auto file = make_file(FileRole::kWeights, "w", 2 * kChunk, 1);
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  file.bytes[5] ^= 0x80U;
  EXPECT_EQ(ingest->write_chunk(0, file.chunk(0)).error().code(), Error::Code::kDigestMismatch);
  EXPECT_EQ(ingest->verified_bytes(), 0U);
  file.bytes[5] ^= 0x80U;
  EXPECT_TRUE(ingest->write_chunk(0, file.chunk(0)));
  EXPECT_TRUE(ingest->write_chunk(1, file.chunk(1)));
  EXPECT_TRUE(ingest->finish());
}

TEST_F(BlobStoreTest, ResumesWithoutTheVerifiedChunks) {
  const auto file = make_file(FileRole::kWeights, "w", 5 * kChunk, 1);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(0, file.chunk(0)));
    ASSERT_TRUE(ingest->write_chunk(3, file.chunk(3)));
  }
  EXPECT_EQ(*store_->in_flight(), std::vector<Digest>{file.digest()});
  reopen();
  EXPECT_EQ(store_->recovery().staged, 1U);
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  EXPECT_EQ(ingest->missing(), (std::vector<ChunkRun>{{1, 2}, {4, 1}}));
  for (const std::uint64_t chunk : {1U, 2U, 4U}) {
    ASSERT_TRUE(ingest->write_chunk(chunk, file.chunk(chunk)));
  }
  ASSERT_TRUE(ingest->finish());
  EXPECT_EQ(read_all(file.digest()), file.bytes);
}

TEST_F(BlobStoreTest, DoesNotBelieveAStagedChunkThatChanged) {
  const auto file = make_file(FileRole::kWeights, "w", 3 * kChunk, 1);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(0, file.chunk(0)));
    ASSERT_TRUE(ingest->write_chunk(1, file.chunk(1)));
  }
  {
    std::fstream part{dir_ / "staging" / (file.digest().hex() + ".part"),
                      std::ios::in | std::ios::out | std::ios::binary};
    part.seekp(kChunk + 3);
    part.put('x');
  }
  auto ingest = std::move(*store_->begin(file.digest(), file.index));
  EXPECT_EQ(ingest->missing(), (std::vector<ChunkRun>{{1, 2}}));
}

TEST_F(BlobStoreTest, StartsAfreshWhenTheChunkIndexIsAnother) {
  const auto file = make_file(FileRole::kWeights, "w", 4 * kChunk, 1);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(0, file.chunk(0)));
  }
  const auto coarser = test::index_of(file.bytes, 2 * kChunk);
  auto ingest = std::move(*store_->begin(file.digest(), coarser));
  EXPECT_EQ(ingest->missing(), (std::vector<ChunkRun>{{0, 2}}));
  ASSERT_TRUE(ingest->write_chunk(0, ByteView{file.bytes}.first(2 * kChunk)));
  ASSERT_TRUE(ingest->write_chunk(1, ByteView{file.bytes}.subspan(2 * kChunk)));
  EXPECT_TRUE(ingest->finish());
}

WantedBlob pair_of(const Digest& digest, const ChunkIndex& index) {
  return {digest, index.size(), index.chunk_size(), index.digest()};
}

// A signed manifest with a chunk index that is true to other bytes must not have those bytes used
// by whoever names the digest with the right index, or by the digest alone.
TEST_F(BlobStoreTest, AChunkIndexOfOtherBytesCannotPoisonADigest) {
  const auto wanted = make_file(FileRole::kWeights, "w", 3 * kChunk, 1);
  const auto other = make_file(FileRole::kWeights, "w", 3 * kChunk, 2);
  const auto store_other = [&] {
    auto ingest = std::move(*store_->begin(wanted.digest(), other.index));
    for (std::uint64_t chunk = 0; chunk < 3; ++chunk) {
      ASSERT_TRUE(ingest->write_chunk(chunk, other.chunk(chunk)));
    }
    ASSERT_TRUE(ingest->finish());
  };
  store_other();
  EXPECT_TRUE(*store_->holds(pair_of(wanted.digest(), other.index)));
  EXPECT_FALSE(*store_->holds(pair_of(wanted.digest(), wanted.index)));
  EXPECT_EQ(store_->open_verified(pair_of(wanted.digest(), wanted.index)).error().code(),
            Error::Code::kDigestMismatch);
  EXPECT_FALSE(*store_->contains(wanted.digest()));
  EXPECT_EQ(fs_.list(dir_ / "quarantine")->size(), 1U);

  store_other();
  EXPECT_EQ(store_->open_verified(wanted.digest()).error().code(), Error::Code::kDigestMismatch);
  store_other();
  EXPECT_EQ(*store_->put(wanted.bytes), wanted.digest());
  EXPECT_EQ(*store_->read(wanted.digest(), wanted.bytes.size()), wanted.bytes);
  const auto small = make_file(FileRole::kWeights, "s", 10, 3);
  EXPECT_EQ(
      store_->begin(small.digest(), make_file(FileRole::kWeights, "s", 10, 4).index).error().code(),
      Error::Code::kDigestMismatch);
}

TEST_F(BlobStoreTest, TheIndexIsTheVerificationForWhoNamesIt) {
  const auto file = make_file(FileRole::kWeights, "w", 3 * kChunk + 5, 1);
  const auto pair = pair_of(file.digest(), file.index);
  ASSERT_TRUE(store_file(*store_, file));
  EXPECT_FALSE(store_->open_verified(pair)->rehashed);
  EXPECT_TRUE(store_->open_verified(file.digest())->rehashed);  // once, for everyone
  EXPECT_FALSE(store_->open_verified(file.digest())->rehashed);
  EXPECT_FALSE(store_->open_verified(pair)->rehashed);
  const auto coarser = test::index_of(file.bytes, 2 * kChunk);
  EXPECT_TRUE(*store_->holds(pair_of(file.digest(), coarser)));
}

TEST_F(BlobStoreTest, AddsALocalFileByItsIndex) {
  const auto file = make_file(FileRole::kWeights, "w", 5 * kChunk + 4097, 1);
  const auto path = dir_ / "local";
  ASSERT_TRUE(write_file_atomic(fs_, path, as_text(file.bytes)));
  ASSERT_TRUE(store_->ingest_file(path, file.digest(), file.index));
  EXPECT_FALSE(store_->open_verified(pair_of(file.digest(), file.index))->rehashed);
  EXPECT_EQ(*store_->read(file.digest(), file.bytes.size()), file.bytes);
  EXPECT_TRUE(*store_->contains(file.index.digest()));
  EXPECT_TRUE(store_->ingest_file(path, file.digest(), file.index));

  const auto other = make_file(FileRole::kWeights, "w", 5 * kChunk + 4097, 2);
  EXPECT_EQ(store_->ingest_file(path, other.digest(), other.index).error().code(),
            Error::Code::kDigestMismatch);
  const auto longer = make_file(FileRole::kWeights, "w", 6 * kChunk, 2);
  EXPECT_EQ(store_->ingest_file(path, longer.digest(), longer.index).error().code(),
            Error::Code::kSizeMismatch);
  EXPECT_TRUE(fs_.list(dir_ / "staging")->empty());
}

TEST_F(BlobStoreTest, OneIngestOfABlobAtATime) {
  const auto file = make_file(FileRole::kWeights, "w", 2 * kChunk, 1);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    EXPECT_EQ(store_->begin(file.digest(), file.index).error().code(),
              Error::Code::kFailedPrecondition);
    EXPECT_EQ(store_->discard_staged(file.digest()).error().code(),
              Error::Code::kFailedPrecondition);
  }
  ASSERT_TRUE(store_file(*store_, file));
  EXPECT_EQ(store_->begin(file.digest(), file.index).error().code(), Error::Code::kAlreadyExists);
}

TEST_F(BlobStoreTest, DiscardForgetsWhatWasStaged) {
  const auto file = make_file(FileRole::kWeights, "w", 2 * kChunk, 1);
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(0, file.chunk(0)));
    ASSERT_TRUE(ingest->discard());
  }
  EXPECT_TRUE(store_->in_flight()->empty());
  {
    auto ingest = std::move(*store_->begin(file.digest(), file.index));
    ASSERT_TRUE(ingest->write_chunk(0, file.chunk(0)));
  }
  ASSERT_TRUE(store_->discard_staged(file.digest()));
  EXPECT_TRUE(store_->in_flight()->empty());
}

TEST_F(BlobStoreTest, OpensWithoutHashingWhileTheFileIsTheVerifiedOne) {
  const auto digest = *store_->put(as_bytes("hello"));
  EXPECT_FALSE(store_->open_verified(digest)->rehashed);
  EXPECT_TRUE(store_->reverify(digest)->rehashed);
  EXPECT_FALSE(store_->open_verified(digest)->rehashed);
  EXPECT_EQ(store_->open_verified(Digest::of("x")).error().code(), Error::Code::kNotFound);
}

TEST_F(BlobStoreTest, HashesAgainWhenTheFileWasTouched) {
  const auto digest = *store_->put(as_bytes("hello"));
  overwrite(digest, "hello");  // the same bytes: another change time
  EXPECT_TRUE(store_->open_verified(digest)->rehashed);
  EXPECT_FALSE(store_->open_verified(digest)->rehashed);
}

TEST_F(BlobStoreTest, QuarantinesAFileThatWasChanged) {
  const auto digest = *store_->put(as_bytes("hello"));
  overwrite(digest, "hellO");
  EXPECT_EQ(store_->open_verified(digest).error().code(), Error::Code::kDigestMismatch);
  EXPECT_FALSE(*store_->contains(digest));
  EXPECT_EQ(*fs_.list(dir_ / "quarantine"), std::vector<std::string>{digest.hex()});
  EXPECT_EQ(*store_->put(as_bytes("hello")), digest);
  EXPECT_TRUE(store_->open_verified(digest));
}

TEST_F(BlobStoreTest, SaysWhenTheFileIsGone) {
  const auto digest = *store_->put(as_bytes("hello"));
  std::filesystem::remove(store_->path_of(digest));
  EXPECT_EQ(store_->open_verified(digest).error().code(), Error::Code::kNotFound);
  EXPECT_FALSE(*store_->contains(digest));
}

TEST_F(BlobStoreTest, ReadsWithinALimit) {
  const auto digest = *store_->put(as_bytes("hello"));
  EXPECT_EQ(as_text(*store_->read(digest, 5)), "hello");
  EXPECT_EQ(store_->read(digest, 4).error().code(), Error::Code::kTooLarge);
  EXPECT_FALSE(store_->put({}));
}

TEST_F(BlobStoreTest, AddsALocalFileAndItsIndex) {
  const auto file = make_file(FileRole::kWeights, "w", 3 * kChunk + 1, 1);
  std::ofstream{dir_ / "w.gguf", std::ios::binary} << as_text(file.bytes);
  const auto added = store_->ingest_file(dir_ / "w.gguf", kChunk, file.digest());
  ASSERT_TRUE(added) << added.error().message();
  EXPECT_EQ(added->digest, file.digest());
  EXPECT_EQ(added->index, file.index);
  EXPECT_EQ(read_all(file.digest()), file.bytes);
  EXPECT_EQ(read_all(file.index.digest()), file.index.serialise());
  EXPECT_TRUE(store_->ingest_file(dir_ / "w.gguf", kChunk));  // again: fine
  EXPECT_TRUE(fs_.list(dir_ / "staging")->empty());
  const auto wrong = store_->ingest_file(dir_ / "w.gguf", kChunk, Digest::of("x"));
  EXPECT_EQ(wrong.error().code(), Error::Code::kDigestMismatch);
  EXPECT_EQ(store_->ingest_file(dir_ / "none").error().code(), Error::Code::kNotFound);
  EXPECT_FALSE(store_->ingest_file(dir_.path()));
}

TEST_F(BlobStoreTest, KeepsTheReserveFree) {
  store_.reset();
  BlobStoreOptions options;
  options.reserve = std::uint64_t{1} << 62U;
  store_ = std::move(*BlobStore::open(fs_, *catalogue_, clock_, dir_.path(), options));
  const auto file = make_file(FileRole::kWeights, "w", 2 * kChunk, 1);
  EXPECT_EQ(store_->begin(file.digest(), file.index).error().code(), Error::Code::kNoSpace);
  EXPECT_EQ(store_->put(as_bytes("x")).error().code(), Error::Code::kNoSpace);
  // The refusal leaves nothing behind and does not hold the blob.
  EXPECT_EQ(store_->begin(file.digest(), file.index).error().code(), Error::Code::kNoSpace);
}

TEST_F(BlobStoreTest, OneProcessHoldsTheStore) {
  const auto second = BlobStore::open(fs_, *catalogue_, clock_, dir_.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Error::Code::kUnavailable);
}

TEST_F(BlobStoreTest, RecoveryAdoptsWhatIsRightAndQuarantinesTheRest) {
  const auto good = Digest::of("good");
  const auto bad = Digest::of("bad");
  for (const auto& [digest, content] : {std::pair{good, "good"}, std::pair{bad, "evil"}}) {
    std::filesystem::create_directories(store_->path_of(digest).parent_path());
    std::ofstream{store_->path_of(digest)} << content;
  }
  std::ofstream{dir_ / "blobs/sha256" / good.hex().substr(0, 2) / "README"} << "x";
  std::ofstream{dir_ / "staging/7.tmp"} << "x";
  std::ofstream{dir_ / "staging" / (good.hex() + ".map")} << "x";
  const auto kept = *store_->put(as_bytes("kept"));
  const auto lost = *store_->put(as_bytes("lost"));
  std::filesystem::remove(store_->path_of(lost));
  reopen();
  const auto& report = store_->recovery();
  EXPECT_EQ(report.adopted, 1U);
  EXPECT_EQ(report.blobs, 2U);
  EXPECT_EQ(report.records_dropped, 1U);
  EXPECT_EQ(report.swept, 2U);
  EXPECT_EQ(report.quarantined.size(), 2U);
  EXPECT_EQ(as_text(*store_->read(good, 10)), "good");
  EXPECT_TRUE(store_->open_verified(kept));
  EXPECT_FALSE(*store_->contains(bad));
  EXPECT_FALSE(*store_->contains(lost));
}

TEST_F(BlobStoreTest, RemovesInTwoPhases) {
  const auto digest = *store_->put(as_bytes("hello"));
  // A crash after the first phase: the record says deleting, the file is there.
  auto row = **catalogue_->find_blob(digest);
  row.state = BlobState::kDeleting;
  ASSERT_TRUE(catalogue_->put_blob(row));
  EXPECT_FALSE(*store_->contains(digest));
  EXPECT_EQ(store_->open_verified(digest).error().code(), Error::Code::kNotFound);
  reopen();
  EXPECT_EQ(store_->recovery().deletions_finished, 1U);
  EXPECT_FALSE(fs_.exists(store_->path_of(digest)));
  EXPECT_EQ(store_->remove(digest).error().code(), Error::Code::kNotFound);
}

TEST_F(BlobStoreTest, NeverResurrectsWhatIsBeingDeleted) {
  const auto digest = *store_->put(as_bytes("hello"));
  auto row = **catalogue_->find_blob(digest);
  row.state = BlobState::kDeleting;
  ASSERT_TRUE(catalogue_->put_blob(row));
  overwrite(digest, "trash");
  EXPECT_EQ(*store_->put(as_bytes("hello")), digest);
  EXPECT_EQ(as_text(*store_->read(digest, 10)), "hello");
}

TEST_F(BlobStoreTest, QuarantineTakesABlobOutOfUse) {
  const auto digest = *store_->put(as_bytes("hello"));
  ASSERT_TRUE(store_->quarantine(digest));
  EXPECT_FALSE(*store_->contains(digest));
  EXPECT_EQ(store_->quarantine(digest).error().code(), Error::Code::kNotFound);
}

// A kernel with fs-verity: what was enabled is measured until the file is another one.
class FakeVerity final : public FileVerity {
 public:
  Result<bool> enable(FileSystem& fs, const std::filesystem::path& path) override {
    enabled_.insert(fs.status(path)->inode);
    return true;
  }
  std::optional<Digest> measure(const File& file) override {
    const auto inode = file.status()->inode;
    return enabled_.count(inode) == 0 ? std::nullopt
                                      : std::optional{Digest::of(std::to_string(inode))};
  }

 private:
  std::set<std::uint64_t> enabled_;
};

TEST_F(BlobStoreTest, VerityTakesThePlaceOfTheChangeTime) {
  FakeVerity verity;
  store_.reset();
  BlobStoreOptions options;
  options.verity = &verity;
  store_ = std::move(*BlobStore::open(fs_, *catalogue_, clock_, dir_.path(), options));
  const auto digest = *store_->put(as_bytes("hello"));
  EXPECT_TRUE((*catalogue_->find_blob(digest))->verity);
  // The change time moves, as when a backup is restored: the kernel vouches for the bytes.
  const auto path = store_->path_of(digest);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  const auto opened = store_->open_verified(digest);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_FALSE(opened->rehashed);
  // Another file in its place has another measure, or none.
  std::filesystem::remove(path);
  std::ofstream{path, std::ios::binary} << "jello";
  EXPECT_EQ(store_->open_verified(digest).error().code(), Error::Code::kDigestMismatch);
}

TEST_F(BlobStoreTest, TheKernelsVerityIsUsedWhereItIs) {
  const auto digest = *store_->put(as_bytes("hello"));
  const auto row = **catalogue_->find_blob(digest);
  const auto enabled = system_verity().enable(fs_, store_->path_of(digest));
  ASSERT_TRUE(enabled) << enabled.error().message();
  if (!*enabled) {
    EXPECT_FALSE(row.verity);
    GTEST_SKIP() << "this kernel or file system has no fs-verity";
  }
  ASSERT_TRUE(row.verity);
  // Root itself cannot write to it.
  std::filesystem::permissions(store_->path_of(digest), std::filesystem::perms::owner_all);
  EXPECT_FALSE(fs_.open(store_->path_of(digest), OpenMode::kReadWrite, 0));
  const auto opened = store_->open_verified(digest);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_FALSE(opened->rehashed);
}

}  // namespace
}  // namespace skerry::registry
