#include "skerry/security/audit_log.hpp"

#include <thread>

#include <gtest/gtest.h>

#include "skerry/common/json.hpp"
#include "skerry/security/merkle.hpp"

#include "audit_fixture.hpp"
#include "temp_dir.hpp"

namespace skerry::security {
namespace {

using test::AuditFixture;

class AuditLogTest : public ::testing::Test {
 protected:
  test::TempDir dir_;
  SystemFileSystem fs_;
  AuditFixture device_{dir_ / "audit"};
};

TEST_F(AuditLogTest, ADurableRecordIsSealedWhenAppendReturns) {
  const auto log = device_.open(fs_);
  ASSERT_TRUE(log) << log.error().to_string();
  const auto receipt = (*log)->append(AuditFixture::durable("model.activate"));
  ASSERT_TRUE(receipt) << receipt.error().to_string();
  EXPECT_EQ(receipt->seq, 0U);
  EXPECT_EQ((*log)->status().sealed, 1U);
  EXPECT_EQ((*log)->checkpoint().size, 1U);
  EXPECT_TRUE(verify_checkpoint(
      (*log)->checkpoint_note(), device_.options.origin, device_.key->public_key()));
}

TEST_F(AuditLogTest, GroupedRecordsAreSealedByCountTimeAndFlush) {
  device_.options.checkpoint_records = 4;
  const auto log = device_.open(fs_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE((*log)->append(AuditFixture::grouped()));
  }
  EXPECT_EQ((*log)->status().sealed, 0U);
  ASSERT_TRUE((*log)->append(AuditFixture::grouped()));
  EXPECT_EQ((*log)->status().sealed, 4U);

  ASSERT_TRUE((*log)->append(AuditFixture::grouped()));
  ASSERT_TRUE((*log)->tick());
  EXPECT_EQ((*log)->status().sealed, 4U);
  device_.clock.advance(std::chrono::seconds{6});
  ASSERT_TRUE((*log)->tick());
  EXPECT_EQ((*log)->status().sealed, 5U);

  ASSERT_TRUE((*log)->append(AuditFixture::grouped()));
  ASSERT_TRUE((*log)->flush());
  EXPECT_EQ((*log)->status().sealed, 6U);
}

TEST_F(AuditLogTest, ReadsBackWhatWasAppended) {
  device_.options.segment_bytes = 2000;
  const auto log = device_.open(fs_);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE((*log)->append(AuditFixture::durable("act." + std::to_string(i))));
  }
  const auto some = (*log)->read(7, 5);
  ASSERT_TRUE(some) << some.error().to_string();
  ASSERT_EQ(some->size(), 5U);
  for (std::size_t i = 0; i < some->size(); ++i) {
    const auto record = Json::parse((*some)[i].record);
    ASSERT_TRUE(record);
    EXPECT_EQ((*some)[i].seq, 7 + i);
    EXPECT_EQ(*record->get_string("action"), "act." + std::to_string(7 + i));
    EXPECT_EQ(*record->get_string("device"), "gw-17");
    EXPECT_EQ(*record->get_int("seq"), static_cast<std::int64_t>(7 + i));
  }
  EXPECT_EQ((*log)->read(0, 1000)->size(), 20U);
  EXPECT_TRUE((*log)->read(20, 10)->empty());
  const auto verified = device_.verify(fs_, device_.options.directory);
  ASSERT_TRUE(verified);
  EXPECT_TRUE(verified->ok()) << verified->findings.front().to_string();
  EXPECT_EQ(verified->size, 20U);
  EXPECT_EQ(verified->sealed, 20U);
}

TEST_F(AuditLogTest, ContinuesAfterARestart) {
  device_.options.segment_bytes = 3000;
  for (std::uint64_t round = 0; round < 5; ++round) {
    const auto log = device_.open(fs_);
    ASSERT_TRUE(log) << log.error().to_string();
    EXPECT_EQ((*log)->status().size, round * 3);
    ASSERT_TRUE((*log)->append(AuditFixture::durable("daemon.start")));
    ASSERT_TRUE((*log)->append(AuditFixture::grouped()));
    ASSERT_TRUE((*log)->append(AuditFixture::grouped()));
  }
  const auto verified = device_.verify(fs_, device_.options.directory);
  EXPECT_TRUE(verified->ok());
  EXPECT_EQ(verified->sealed, 15U);
}

TEST_F(AuditLogTest, AnotherKeyCannotContinueTheLog) {
  {
    const auto log = device_.open(fs_);
    ASSERT_TRUE((*log)->append(AuditFixture::durable("a")));
  }
  device_.key = std::move(*make_memory_signer(KeyAlgorithm::kEd25519));
  const auto log = device_.open(fs_);
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().code(), Error::Code::kAuditCorrupt);
}

TEST_F(AuditLogTest, ProvesInclusionAndConsistency) {
  device_.options.segment_bytes = 2000;
  const auto log = device_.open(fs_);
  std::vector<Checkpoint> heads;
  for (int i = 0; i < 17; ++i) {
    ASSERT_TRUE((*log)->append(AuditFixture::durable("a")));
    heads.push_back((*log)->checkpoint());
  }
  const Checkpoint& now = heads.back();
  for (std::uint64_t seq = 0; seq < now.size; ++seq) {
    const auto proof = (*log)->prove_inclusion(seq, now.size);
    ASSERT_TRUE(proof) << proof.error().to_string();
    const auto entry = (*log)->read(seq, 1);
    EXPECT_TRUE(verify_inclusion(
        merkle_leaf(as_bytes(entry->front().record)), seq, now.size, *proof, now.root));
  }
  for (const Checkpoint& before : heads) {
    const auto proof = (*log)->prove_consistency(before.size, now.size);
    EXPECT_TRUE(verify_consistency(before.size, before.root, now.size, now.root, *proof));
  }
  EXPECT_EQ((*log)->prove_inclusion(0, 18).error().code(), Error::Code::kInvalidArgument);
}

TEST_F(AuditLogTest, AnExportFromARecordBeginsAtTheCheckpointBeforeIt) {
  device_.options.segment_bytes = 6000;
  device_.options.checkpoint_records = 4;
  const auto log = device_.open(fs_);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE((*log)->append(AuditFixture::grouped()));
  }
  ASSERT_TRUE((*log)->flush());
  for (std::uint64_t from = 0; from <= 50; ++from) {
    const auto file = dir_ / ("from-" + std::to_string(from));
    const auto exported = export_audit_log(fs_, device_.options.directory, file, from);
    ASSERT_TRUE(exported) << from << ": " << exported.error().to_string();
    const auto verified = device_.verify(fs_, file);
    ASSERT_TRUE(verified) << from;
    EXPECT_TRUE(verified->ok()) << from << ": " << verified->findings.front().to_string();
    EXPECT_EQ(verified->size, 50U) << from;
    EXPECT_LE(verified->first_seq, from);
    EXPECT_LT(from - verified->first_seq, 4U) << "a checkpoint is never further away";
    EXPECT_EQ(verified->sealed, 50U) << from;
  }
  const auto beyond = export_audit_log(fs_, device_.options.directory, dir_ / "beyond", 51);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code(), Error::Code::kInvalidArgument);
  EXPECT_FALSE(fs_.exists(dir_ / "beyond"));
  EXPECT_FALSE(fs_.exists(dir_ / "beyond.new"));
}

TEST_F(AuditLogTest, ExportsOneFileThatVerifiesAlone) {
  device_.options.segment_bytes = 2000;
  const auto log = device_.open(fs_);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE((*log)->append(AuditFixture::durable("a")));
  }
  ASSERT_TRUE(export_audit_log(fs_, device_.options.directory, dir_ / "gw-17.audit"));
  const auto verified = device_.verify(fs_, dir_ / "gw-17.audit");
  ASSERT_TRUE(verified) << verified.error().to_string();
  EXPECT_TRUE(verified->ok());
  EXPECT_EQ(verified->sealed, 12U);
  EXPECT_EQ(verified->checkpoint->root, (*log)->checkpoint().root);
}

TEST_F(AuditLogTest, VerifiesWithoutItsOldestSegments) {
  device_.options.segment_bytes = 2000;
  const auto log = device_.open(fs_);
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE((*log)->append(AuditFixture::durable("a")));
  }
  std::filesystem::remove(device_.options.directory / "seg-00000000000000000000.log");
  const auto verified = device_.verify(fs_, device_.options.directory);
  EXPECT_TRUE(verified->ok());
  EXPECT_GT(verified->first_seq, 0U);
  EXPECT_EQ((*log)->prove_inclusion(11, 12).error().code(), Error::Code::kFailedPrecondition);
}

TEST_F(AuditLogTest, ManyThreadsAppend) {
  device_.options.checkpoint_records = 50;
  const auto log = device_.open(fs_);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 100; ++i) {
          EXPECT_TRUE((*log)->append(AuditFixture::grouped())->recorded);
        }
      });
    }
  }
  ASSERT_TRUE((*log)->flush());
  EXPECT_EQ((*log)->status().sealed, 400U);
  EXPECT_TRUE(device_.verify(fs_, device_.options.directory)->ok());
}

TEST_F(AuditLogTest, RefusesAnEventThatSaysNothing) {
  const auto log = device_.open(fs_);
  EXPECT_EQ((*log)->append(AuditFixture::durable("")).error().code(),
            Error::Code::kInvalidArgument);
  AuditEvent event = AuditFixture::durable("a");
  Json::Object details;
  details["ratio"] = Json{0.5};
  event.details = Json{details};
  EXPECT_EQ((*log)->append(event).error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ((*log)->status().size, 0U);
}

}  // namespace
}  // namespace skerry::security
