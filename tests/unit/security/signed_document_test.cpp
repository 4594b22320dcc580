// The last verified document survives power cuts, rot and restarts; an older one never replaces it.

#include "skerry/security/signed_document.hpp"

#include <gmock/gmock.h>

#include "skerry/security/rbac.hpp"

#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::security {
namespace {

using ::testing::HasSubstr;

std::string versioned_policy(int version) {
  return R"({"format":"skerry-policy/1","version":)" + std::to_string(version) +
         R"(,"roles":[],"bindings":[]})";
}

SignedDocument candidate(const std::string& bytes) {
  SignedDocument document;
  document.target = "security/policy/default";
  document.role = "security";
  document.role_version = 3;
  document.bytes = bytes;
  document.verified_at = WallTime{std::chrono::hours{500'000}};
  return document;
}

SignedDocumentStore::Options options_in(const std::filesystem::path& folder,
                                        std::int64_t floor = 0) {
  SignedDocumentStore::Options options;
  options.path = folder / "policy.signed.json";
  options.what = "policy";
  options.limit = PolicyLimits::kBytes;
  options.floor = floor;
  options.check = [](std::string_view text) -> Result<std::int64_t> {
    auto policy = Policy::parse(text);
    if (!policy) {
      return policy.error();
    }
    return policy->version();
  };
  return options;
}

class SignedDocumentTest : public ::testing::Test {
 protected:
  std::unique_ptr<SignedDocumentStore> open(std::int64_t floor = 0) {
    return SignedDocumentStore::open(fs_, options_in(dir_.path(), floor));
  }
  test::TempDir dir_;
  SystemFileSystem fs_;
};

TEST_F(SignedDocumentTest, IsKeptWithWhereItCameFrom) {
  {
    const auto store = open();
    EXPECT_EQ(store->current(), nullptr);
    EXPECT_FALSE(store->lost());
    ASSERT_TRUE(store->accept(candidate(versioned_policy(4))));
  }
  const auto again = open(4);
  ASSERT_NE(again->current(), nullptr);
  EXPECT_EQ(again->current()->version, 4);
  EXPECT_EQ(again->current()->target, "security/policy/default");
  EXPECT_EQ(again->current()->role, "security");
  EXPECT_EQ(again->current()->role_version, 3);
  EXPECT_EQ(again->current()->bytes, versioned_policy(4));
}

TEST_F(SignedDocumentTest, OlderAndBrokenOnesAreRefusedAndTheGoodOneStays) {
  const auto store = open();
  ASSERT_TRUE(store->accept(candidate(versioned_policy(4))));
  struct Row {
    std::string bytes;
    Error::Code code;
  };
  for (const Row& row :
       std::vector<Row>{{versioned_policy(3), Error::Code::kRollback},
                        {versioned_policy(4) + " ", Error::Code::kRollback},
                        {"{}", Error::Code::kPolicyInvalid},
                        {"", Error::Code::kPolicyInvalid},
                        {std::string(PolicyLimits::kBytes + 1, ' '), Error::Code::kTooLarge}}) {
    const auto taken = store->accept(candidate(row.bytes));
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code(), row.code) << taken.error().to_string();
    EXPECT_EQ(store->current()->version, 4);
  }
  ASSERT_TRUE(store->accept(candidate(versioned_policy(4)))) << "the same bytes change nothing";
  ASSERT_TRUE(store->accept(candidate(versioned_policy(9))));
  EXPECT_EQ(open()->current()->version, 9);
}

TEST_F(SignedDocumentTest, ADamagedCopyCostsOneVersion) {
  {
    const auto store = open();
    ASSERT_TRUE(store->accept(candidate(versioned_policy(4))));
    ASSERT_TRUE(store->accept(candidate(versioned_policy(5))));
  }
  auto text = read_file(fs_, dir_ / "policy.signed.json", 1U << 20U);
  ASSERT_TRUE(text);
  const std::size_t at = text->find("\\\"version\\\":5");
  ASSERT_NE(at, std::string::npos);
  (*text)[at + 12] = '6';
  ASSERT_TRUE(write_file_atomic(fs_, dir_ / "policy.signed.json", *text));
  const auto store = open(4);
  ASSERT_NE(store->current(), nullptr);
  EXPECT_EQ(store->current()->version, 4);
  ASSERT_EQ(store->damage().size(), 1U);
  EXPECT_THAT(store->damage().front(), HasSubstr("not the one that was verified"));
  EXPECT_FALSE(store->lost());
}

TEST_F(SignedDocumentTest, AnOlderCopyPutBackIsNotTaken) {
  {
    const auto store = open();
    ASSERT_TRUE(store->accept(candidate(versioned_policy(4))));
  }
  const auto store = open(7);
  EXPECT_EQ(store->current(), nullptr);
  EXPECT_TRUE(store->lost()) << "what version 7 forbade must not be allowed";
  EXPECT_EQ(store->accept(candidate(versioned_policy(6))).error().code(), Error::Code::kRollback);
  ASSERT_TRUE(store->accept(candidate(versioned_policy(7)))) << "the lost one comes back";
  EXPECT_FALSE(store->lost());
}

TEST_F(SignedDocumentTest, ACopyThatIsGoneIsALossWhereTheFloorRemembersIt) {
  EXPECT_TRUE(open(3)->lost());
  EXPECT_FALSE(open(0)->lost());
}

// Every operation of a replacement fails, or is the last one before the power goes: what is opened
// next is the old document or the new one.
TEST(SignedDocumentFaults, AReplacementIsWholeOrDidNotHappen) {
  std::uint64_t points = 0;
  for (const test::Fault fault :
       {test::Fault::kPowerCut, test::Fault::kIoError, test::Fault::kNoSpace}) {
    for (const test::Loss loss : {test::Loss::kUnsynced, test::Loss::kTorn, test::Loss::kNothing}) {
      bool fired = true;
      for (std::uint64_t k = 0; fired; ++k) {
        test::TempDir dir;
        test::FaultFileSystem fs{dir.path()};
        bool accepted = false;
        {
          const auto store = SignedDocumentStore::open(fs, options_in(dir.path()));
          ASSERT_TRUE(store->accept(candidate(versioned_policy(1))));
          ASSERT_TRUE(store->accept(candidate(versioned_policy(2))));
          fs.fail_at(k, fault);
          accepted = static_cast<bool>(store->accept(candidate(versioned_policy(3))));
          EXPECT_EQ(store->current()->version, accepted ? 3 : 2);
          fired = fs.fired();
        }
        fs.restart(loss);
        const auto next = SignedDocumentStore::open(fs, options_in(dir.path(), 2));
        ASSERT_NE(next->current(), nullptr) << k;
        const auto version = next->current()->version;
        EXPECT_TRUE(version == 3 || (version == 2 && !accepted)) << k << ": " << version;
        ++points;
      }
    }
  }
  EXPECT_GT(points, 30U);
}

}  // namespace
}  // namespace skerry::security
