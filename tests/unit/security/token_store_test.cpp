#include "skerry/security/token_store.hpp"

#include <gtest/gtest.h>

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::security {
namespace {

using namespace std::chrono_literals;

class TokenStoreTest : public ::testing::Test {
 protected:
  test::TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{WallTime{std::chrono::seconds{1795000000}}};
  FakeRandom random_{1};
};

TEST_F(TokenStoreTest, ASecretIsShownOnceAndVerifies) {
  auto store = TokenStore::open(fs_, dir_ / "tokens.json");
  ASSERT_TRUE(store) << store.error().to_string();
  const auto token = (*store)->create("ci", TenantId{"acme"}, std::nullopt, clock_, random_);
  ASSERT_TRUE(token) << token.error().to_string();
  EXPECT_EQ(token->secret.size(), 68U);
  const auto principal = (*store)->verify(token->secret, clock_);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->to_string(), "token:ci");
  EXPECT_EQ(principal->tenant, TenantId{"acme"});
  const auto file = read_file(fs_, dir_ / "tokens.json", 1U << 16U);
  EXPECT_EQ(file->find(token->secret.substr(4)), std::string::npos);
  EXPECT_EQ(fs_.status(dir_ / "tokens.json")->mode & 0777U, 0600U);
}

TEST_F(TokenStoreTest, WrongRevokedAndEndedTokensGetTheSameAnswer) {
  auto store = TokenStore::open(fs_, dir_ / "tokens.json");
  const auto ended = (*store)->create("a", {}, 1h, clock_, random_);
  const auto revoked = (*store)->create("b", {}, std::nullopt, clock_, random_);
  EXPECT_TRUE((*store)->verify(ended->secret, clock_));
  clock_.advance(2h);
  ASSERT_TRUE((*store)->revoke("b"));
  const Error expected{Error::Code::kUnauthenticated, "the bearer token is not valid"};
  EXPECT_EQ((*store)->verify(ended->secret, clock_).error(), expected);
  EXPECT_EQ((*store)->verify(revoked->secret, clock_).error(), expected);
  EXPECT_EQ((*store)->verify("skt_nonsense", clock_).error(), expected);
  EXPECT_EQ((*store)->verify("", clock_).error(), expected);
}

TEST_F(TokenStoreTest, SurvivesARestartAndAnotherProcess) {
  auto store = TokenStore::open(fs_, dir_ / "tokens.json");
  auto other = TokenStore::open(fs_, dir_ / "tokens.json");
  const auto token = (*store)->create("ci", {}, 24h, clock_, random_);
  EXPECT_FALSE((*other)->verify(token->secret, clock_));
  ASSERT_TRUE((*other)->reload());
  EXPECT_TRUE((*other)->verify(token->secret, clock_));
  ASSERT_EQ((*other)->list().size(), 1U);
  EXPECT_EQ((*other)->list()[0].expires, clock_.wall_now() + 24h);
}

TEST_F(TokenStoreTest, RefusesBadInput) {
  auto store = TokenStore::open(fs_, dir_ / "tokens.json");
  EXPECT_EQ((*store)->create("Bad Name", {}, std::nullopt, clock_, random_).error().code(),
            Error::Code::kInvalidArgument);
  EXPECT_EQ((*store)->create("x", {}, 0s, clock_, random_).error().code(),
            Error::Code::kInvalidArgument);
  ASSERT_TRUE((*store)->create("x", {}, std::nullopt, clock_, random_));
  EXPECT_EQ((*store)->create("x", {}, std::nullopt, clock_, random_).error().code(),
            Error::Code::kAlreadyExists);
  EXPECT_EQ((*store)->revoke("y").error().code(), Error::Code::kNotFound);
}

TEST_F(TokenStoreTest, RefusesAFileThatIsDamagedOrOpenToOthers) {
  for (const char* text : {"", "{}", R"({"format":"skerry-tokens/1","tokens":[{"name":"x"}]})"}) {
    ASSERT_TRUE(write_file_atomic(fs_, dir_ / "tokens.json", text, 0600));
    EXPECT_FALSE(TokenStore::open(fs_, dir_ / "tokens.json")) << text;
  }
  ASSERT_TRUE(write_file_atomic(
      fs_, dir_ / "tokens.json", R"({"format":"skerry-tokens/1","tokens":[]})", 0644));
  EXPECT_EQ(TokenStore::open(fs_, dir_ / "tokens.json").error().code(),
            Error::Code::kPermissionDenied);
}

TEST_F(TokenStoreTest, AFailedWriteChangesNothing) {
  test::TempDir dir;
  test::FaultFileSystem fs{dir.path()};
  auto store = TokenStore::open(fs, dir / "tokens.json");
  fs.fail_at(0, test::Fault::kNoSpace, true);
  EXPECT_FALSE((*store)->create("x", {}, std::nullopt, clock_, random_));
  EXPECT_TRUE((*store)->list().empty());
  fs.clear();
  EXPECT_TRUE((*store)->create("x", {}, std::nullopt, clock_, random_));
  fs.fail_at(0, test::Fault::kIoError, true);
  EXPECT_FALSE((*store)->revoke("x"));
  EXPECT_EQ((*store)->list().size(), 1U);
}

}  // namespace
}  // namespace skerry::security
