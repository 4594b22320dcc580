#include "skerry/controller/blob_vault.hpp"

#include <gtest/gtest.h>

#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

class BlobVaultTest : public ::testing::Test {
 protected:
  void SetUp() override { reopen(); }
  void reopen() { vault_ = std::move(*BlobVault::open(fs_, dir_.path() / "blobs", 1000)); }

  test::TempDir dir_;
  SystemFileSystem fs_;
  std::unique_ptr<BlobVault> vault_;
};

TEST_F(BlobVaultTest, KeepsABlobUnderItsDigestReadOnly) {
  const auto digest = vault_->put("hello");
  ASSERT_TRUE(digest);
  EXPECT_TRUE(vault_->has(*digest));
  EXPECT_EQ(as_text((*vault_->map(*digest))->bytes()), "hello");
  const auto path = dir_.path() / "blobs" / "sha256" / digest->hex().substr(0, 2) / digest->hex();
  EXPECT_EQ(fs_.status(path)->mode & 0777U, 0440U);
  EXPECT_TRUE(vault_->put("hello")) << "the same again is fine";
}

TEST_F(BlobVaultTest, NothingIsVisibleBeforeTheDigestIsRight) {
  const auto digest = Digest::of("expected");
  auto upload = vault_->begin(digest, 8);
  ASSERT_TRUE(upload);
  ASSERT_TRUE((*upload)->write(as_bytes("unexpect")));
  const auto committed = (*upload)->commit();
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code(), Error::Code::kDigestMismatch);
  EXPECT_FALSE(vault_->has(digest));
  upload->reset();
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() / "blobs" / "staging"));
}

TEST_F(BlobVaultTest, MoreOrFewerBytesThanAnnouncedAreRefused) {
  auto longer = vault_->begin(Digest::of("abc"), 3);
  EXPECT_EQ((*longer)->write(as_bytes("abcd")).error().code(), Error::Code::kSizeMismatch);
  auto shorter = vault_->begin(Digest::of("abc"), 3);
  ASSERT_TRUE((*shorter)->write(as_bytes("ab")));
  EXPECT_EQ((*shorter)->commit().error().code(), Error::Code::kSizeMismatch);
}

TEST_F(BlobVaultTest, SizesOutsideTheLimitsAreRefused) {
  EXPECT_EQ(vault_->begin(Digest::of(""), 0).error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ(vault_->begin(Digest::of("x"), 1001).error().code(), Error::Code::kTooLarge);
}

TEST_F(BlobVaultTest, AnInterruptedUploadIsClearedAtTheNextStart) {
  auto upload = vault_->begin(Digest::of("abc"), 3);
  ASSERT_TRUE((*upload)->write(as_bytes("ab")));
  reopen();
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() / "blobs" / "staging"));
}

TEST_F(BlobVaultTest, TwoUploadsOfOneBlobBothSucceed) {
  auto first = vault_->begin(Digest::of("abc"), 3);
  auto second = vault_->begin(Digest::of("abc"), 3);
  ASSERT_TRUE((*first)->write(as_bytes("abc")));
  ASSERT_TRUE((*second)->write(as_bytes("abc")));
  EXPECT_TRUE((*first)->commit());
  EXPECT_TRUE((*second)->commit());
  EXPECT_TRUE(vault_->has(Digest::of("abc")));
}

TEST_F(BlobVaultTest, AnAbsentBlobIsNotFound) {
  EXPECT_EQ(vault_->map(Digest::of("nothing")).error().code(), Error::Code::kNotFound);
}

}  // namespace
}  // namespace skerry::controller
