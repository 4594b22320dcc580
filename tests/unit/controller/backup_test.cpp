#include "skerry/controller/backup.hpp"

#include <gtest/gtest.h>

#include "skerry/controller/store.hpp"

#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

class BackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder :
         {"keys", "certificates", "audit", "blobs/sha256/ab", "blobs/staging"}) {
      ASSERT_TRUE(fs_.create_directories(state() / folder, 0700));
    }
    put("keys/ca.pem", "a private key");
    put("certificates/ca.crt", "a certificate");
    put("audit/000001.log", std::string(3'000'000, 'a'));
    put("blobs/sha256/ab/cd", std::string(5'000'001, 'b'));
    put("blobs/staging/half", "not yet");
    put("lock", "");
    const auto store = Store::open("sqlite3", (state() / "controller.db").string());
    ASSERT_TRUE(store) << store.error().to_string();
    TokenRecord token;
    token.token_id = "t-1";
    ASSERT_TRUE((*store)->add_token(token));
    // Left open by a running controller: its log is part of the database.
    running_ = std::move(*Store::open("sqlite3", (state() / "controller.db").string()));
    token.token_id = "t-2";
    ASSERT_TRUE(running_->add_token(token));
  }
  [[nodiscard]] std::filesystem::path state() const { return dir_.path() / "state"; }
  [[nodiscard]] std::filesystem::path copy() const { return dir_.path() / "copy"; }
  void put(const std::string& name, const std::string& content) {
    ASSERT_TRUE(write_file_atomic(fs_, state() / name, content, 0600));
  }
  Settings settings(const std::filesystem::path& directory) {
    Config config;
    config.state_directory = directory;
    return *Settings::finalize(std::move(config));
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{*parse_rfc3339("2026-11-22T12:00:00Z")};
  std::unique_ptr<Store> running_;
};

TEST_F(BackupTest, IsTakenFromARunningControllerAndRestoresWhatWasThere) {
  const auto made = make_backup(fs_, clock_, settings(state()), copy());
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(made->files, 5U);
  EXPECT_EQ(check_backup(fs_, copy())->bytes, made->bytes);
  const auto elsewhere = dir_.path() / "new" / "state";
  const auto restored = restore_backup(fs_, settings(elsewhere), copy());
  ASSERT_TRUE(restored) << restored.error().to_string();
  EXPECT_EQ(*read_file(fs_, elsewhere / "keys/ca.pem", 100), "a private key");
  EXPECT_EQ(read_file(fs_, elsewhere / "blobs/sha256/ab/cd", 10'000'000)->size(), 5'000'001U);
  EXPECT_EQ(fs_.status(elsewhere / "blobs/sha256/ab/cd")->mode & 0777U, 0440U);
  EXPECT_EQ(fs_.status(elsewhere / "keys/ca.pem")->mode & 0777U, 0600U);
  EXPECT_FALSE(fs_.exists(elsewhere / "blobs/staging/half"));
  EXPECT_FALSE(fs_.exists(elsewhere / kRestoreMark));
  const auto store = Store::open("sqlite3", (elsewhere / "controller.db").string());
  ASSERT_TRUE(store);
  EXPECT_TRUE(*(*store)->find_token("t-1"));
  EXPECT_TRUE(*(*store)->find_token("t-2"));
}

TEST_F(BackupTest, NeverWritesOverWhatIsThere) {
  ASSERT_TRUE(make_backup(fs_, clock_, settings(state()), copy()));
  EXPECT_EQ(make_backup(fs_, clock_, settings(state()), copy()).error().code(),
            Error::Code::kAlreadyExists);
  EXPECT_EQ(restore_backup(fs_, settings(state()), copy()).error().code(),
            Error::Code::kAlreadyExists);
}

TEST_F(BackupTest, DamageIsFoundAndNamed) {
  ASSERT_TRUE(make_backup(fs_, clock_, settings(state()), copy()));
  const auto victim = copy() / "files" / "keys/ca.pem";
  ASSERT_TRUE(write_file_atomic(fs_, victim, "a private kex", 0600));
  const auto checked = check_backup(fs_, copy());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code(), Error::Code::kDigestMismatch);
  EXPECT_NE(checked.error().message().find("keys/ca.pem"), std::string::npos);
  const auto elsewhere = dir_.path() / "other";
  EXPECT_FALSE(restore_backup(fs_, settings(elsewhere), copy()));
  // What was begun cannot be taken for a state directory.
  EXPECT_TRUE(fs_.exists(elsewhere / kRestoreMark));
  ASSERT_TRUE(fs_.remove(victim));
  EXPECT_EQ(check_backup(fs_, copy()).error().code(), Error::Code::kNotFound);
}

TEST_F(BackupTest, WhatIsNoBackupIsRefused) {
  EXPECT_EQ(check_backup(fs_, dir_.path()).error().code(), Error::Code::kParse);
  ASSERT_TRUE(fs_.create_directories(copy(), 0700));
  for (const char* text :
       {"",
        "{}",
        "{\"format\":\"skerry-controller-backup/1\",\"taken\":\"2026-11-22T12:00:00Z\"}",
        "{\"format\":\"skerry-controller-backup/1\",\"taken\":\"2026-11-22T12:00:00Z\",\"files\":[{"
        "\"path\":\"../evil\",\"size\":1,\"sha256\":"
        "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}]}"}) {
    ASSERT_TRUE(write_file_atomic(fs_, copy() / "backup.json", text, 0600));
    EXPECT_EQ(check_backup(fs_, copy()).error().code(), Error::Code::kParse) << text;
  }
}

TEST_F(BackupTest, KeysThatLiveElsewhereAreNotForgottenSilently) {
  Config config;
  config.state_directory = state();
  config.identity.online_key = "pkcs11:token=x";
  const auto made = make_backup(fs_, clock_, *Settings::finalize(std::move(config)), copy());
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message().find("identity.online_key"), std::string::npos);
}

}  // namespace
}  // namespace skerry::controller
