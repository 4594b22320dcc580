// The log under failing disks and power cuts: every durable record that was acknowledged is there
// afterwards, nothing that is there was not appended, and the log always opens and verifies.

#include <set>

#include <gtest/gtest.h>

#include "skerry/common/json.hpp"

#include "audit_fixture.hpp"
#include "fault_file_system.hpp"
#include "temp_dir.hpp"

namespace skerry::security {
namespace {

using test::AuditFixture;
using test::Fault;
using test::FaultFileSystem;
using test::Loss;

struct Attempt {
  std::set<std::string> tried;
  // Durable and acknowledged.
  std::set<std::string> acknowledged;
};

// Twelve records over several segments, some grouped; stops at nothing.
void scenario(FileSystem& fs, const AuditFixture& device, Attempt& attempt) {
  for (int run = 0; run < 2; ++run) {
    auto log = device.open(fs);
    if (!log) {
      continue;
    }
    for (int i = 0; i < 6; ++i) {
      const std::string action = "act." + std::to_string(run) + "." + std::to_string(i);
      attempt.tried.insert(action);
      const bool durable = i % 2 == 0;
      const auto receipt =
          (*log)->append(durable ? AuditFixture::durable(action) : AuditFixture::grouped(action));
      if (durable && receipt) {
        attempt.acknowledged.insert(action);
      }
      EXPECT_TRUE(durable || receipt) << "a grouped record must not fail a request";
    }
  }
}

void check(FileSystem& fs, const AuditFixture& device, const Attempt& attempt, std::uint64_t k) {
  {
    const auto log = device.open(fs);
    ASSERT_TRUE(log) << "operation " << k << ": " << log.error().to_string();
    const auto entries = (*log)->read(0, 1000);
    ASSERT_TRUE(entries) << entries.error().to_string();
    std::set<std::string> found;
    for (const AuditEntry& entry : *entries) {
      const auto record = Json::parse(entry.record);
      const std::string action = *record->get_string("action");
      if (!action.starts_with("audit.")) {
        EXPECT_TRUE(attempt.tried.contains(action)) << action;
        EXPECT_TRUE(found.insert(action).second) << action << " is there twice";
      }
    }
    for (const std::string& action : attempt.acknowledged) {
      EXPECT_TRUE(found.contains(action)) << "operation " << k << " lost " << action;
    }
    ASSERT_TRUE((*log)->append(AuditFixture::durable("after")));
  }
  const auto verified = device.verify(fs, device.options.directory);
  ASSERT_TRUE(verified);
  EXPECT_TRUE(verified->ok()) << "operation " << k << ": "
                              << verified->findings.front().to_string();
}

void run_with_each_fault(Fault fault, Loss loss, bool until_cleared) {
  for (std::uint64_t k = 0;; ++k) {
    test::TempDir dir;
    FaultFileSystem fs{dir.path()};
    AuditFixture device{dir / "audit"};
    device.options.segment_bytes = 2500;
    device.options.checkpoint_records = 2;
    Attempt attempt;
    fs.fail_at(k, fault, until_cleared);
    scenario(fs, device, attempt);
    const bool fired = fs.fired();
    fs.restart(loss);
    check(fs, device, attempt, k);
    if (!fired) {
      EXPECT_GT(k, 20U);
      EXPECT_EQ(attempt.acknowledged.size(), 6U);
      return;
    }
  }
}

TEST(AuditFaults, PowerCutAtEveryOperation) {
  run_with_each_fault(Fault::kPowerCut, Loss::kUnsynced, false);
}

TEST(AuditFaults, PowerCutThatLeavesTornAppends) {
  run_with_each_fault(Fault::kPowerCut, Loss::kTorn, false);
}

TEST(AuditFaults, ProcessKilledAtEveryOperation) {
  run_with_each_fault(Fault::kPowerCut, Loss::kNothing, false);
}

TEST(AuditFaults, OneFailedOperation) {
  run_with_each_fault(Fault::kIoError, Loss::kNothing, false);
}

TEST(AuditFaults, OneShortWriteThenAPowerCut) {
  run_with_each_fault(Fault::kShortWrite, Loss::kUnsynced, false);
}

TEST(AuditFaults, AFullDiskFromAnyMomentOn) {
  run_with_each_fault(Fault::kNoSpace, Loss::kNothing, true);
}

TEST(AuditFaults, DurableFailsClosedAndGroupedIsCountedWhileTheDiskIsFull) {
  test::TempDir dir;
  FaultFileSystem fs{dir.path()};
  AuditFixture device{dir / "audit"};
  const auto log = device.open(fs);
  ASSERT_TRUE((*log)->append(AuditFixture::durable("before")));
  fs.fail_at(0, Fault::kNoSpace, true);
  const auto durable = (*log)->append(AuditFixture::durable("refused"));
  ASSERT_FALSE(durable);
  EXPECT_EQ(durable.error().code(), Error::Code::kNoSpace);
  for (int i = 0; i < 3; ++i) {
    const auto grouped = (*log)->append(AuditFixture::grouped());
    ASSERT_TRUE(grouped);
    EXPECT_FALSE(grouped->recorded);
  }
  EXPECT_EQ((*log)->status().lost, 3U);
  fs.clear();
  ASSERT_TRUE((*log)->append(AuditFixture::durable("after")));
  const auto entries = (*log)->read(0, 10);
  ASSERT_EQ(entries->size(), 3U);
  const auto lost = Json::parse((*entries)[1].record);
  EXPECT_EQ(*lost->get_string("action"), "audit.lost");
  EXPECT_EQ(*lost->find("details")->get_int("records"), 3);
  EXPECT_TRUE(device.verify(fs, device.options.directory)->ok());
}

TEST(AuditFaults, ATornRecordIsSetAsideAndToldOf) {
  test::TempDir dir;
  SystemFileSystem fs;
  AuditFixture device{dir / "audit"};
  {
    const auto log = device.open(fs);
    ASSERT_TRUE((*log)->append(AuditFixture::durable("before")));
  }
  const auto segment = device.options.directory / "seg-00000000000000000000.log";
  const std::string torn{"\0\x40\0\0\0{\"torn\"", 13};
  {
    const auto file = fs.open(segment, OpenMode::kReadWrite, 0);
    ASSERT_TRUE((*file)->write_at((*file)->status()->size, as_bytes(torn)));
  }
  EXPECT_FALSE(device.verify(fs, device.options.directory)->ok());
  EXPECT_TRUE(device.verify(fs, device.options.directory, true)->ok());
  const auto log = device.open(fs);
  ASSERT_TRUE(log) << log.error().to_string();
  EXPECT_EQ((*log)->status().recovered_bytes, torn.size());
  ASSERT_TRUE((*log)->append(AuditFixture::durable("after")));
  const auto entries = (*log)->read(0, 10);
  ASSERT_EQ(entries->size(), 3U);
  const auto told = Json::parse((*entries)[1].record);
  EXPECT_EQ(*told->get_string("action"), "audit.recovered");
  EXPECT_EQ(*told->find("details")->get_int("bytes"), static_cast<std::int64_t>(torn.size()));
  const auto copy = *told->find("details")->get_string("copy");
  EXPECT_EQ(*read_file(fs, device.options.directory / copy, 1000), torn);
  EXPECT_TRUE(device.verify(fs, device.options.directory)->ok());
}

}  // namespace
}  // namespace skerry::security
