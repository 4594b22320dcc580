#include "skerry/agent/outbox.hpp"

#include <gtest/gtest.h>

#include "temp_dir.hpp"

namespace skerry::agent {
namespace {

std::unique_ptr<Outbox> open_outbox(const std::filesystem::path& path,
                                    std::uint64_t max_bytes = 1U << 20U) {
  OutboxOptions options;
  options.max_bytes = max_bytes;
  Result<std::unique_ptr<Outbox>> outbox = Outbox::open(path, options);
  EXPECT_TRUE(outbox) << outbox.error().to_string();
  return outbox ? *std::move(outbox) : nullptr;
}

std::uint64_t append(Outbox& outbox, std::string_view stream, std::string_view body) {
  Result<std::uint64_t> seq = outbox.append(stream, body);
  EXPECT_TRUE(seq) << seq.error().to_string();
  return seq.value_or(0U);
}

std::vector<OutboxEntry> read_all(Outbox& outbox,
                                  const std::map<std::string, std::uint64_t>& after = {}) {
  Result<std::vector<OutboxEntry>> entries = outbox.read(after, 1U << 30U);
  EXPECT_TRUE(entries);
  return entries ? *entries : std::vector<OutboxEntry>{};
}

TEST(Outbox, NumbersEachStreamFromOneWithoutHoles) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db");
  EXPECT_EQ(append(*outbox, kTelemetryStream, "a"), 1U);
  EXPECT_EQ(append(*outbox, kAuditStream, "b"), 1U);
  EXPECT_EQ(append(*outbox, kTelemetryStream, "c"), 2U);
  const auto entries = read_all(*outbox);
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].stream, kAuditStream);
  EXPECT_EQ(entries[2].body, "c");
}

TEST(Outbox, SurvivesAReopenAndKeepsNumbering) {
  test::TempDir dir;
  {
    auto outbox = open_outbox(dir / "outbox.db");
    append(*outbox, kTelemetryStream, "a");
    append(*outbox, kTelemetryStream, "b");
    ASSERT_TRUE(outbox->acknowledge({{"telemetry", 2}}));
  }
  auto outbox = open_outbox(dir / "outbox.db");
  EXPECT_TRUE(read_all(*outbox).empty());
  EXPECT_EQ(append(*outbox, kTelemetryStream, "c"), 3U);
}

TEST(Outbox, KeepsWhatWasNotAcknowledged) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db");
  for (int i = 0; i < 5; ++i) {
    append(*outbox, kTelemetryStream, std::to_string(i));
  }
  ASSERT_TRUE(outbox->acknowledge({{"telemetry", 3}}));
  ASSERT_TRUE(outbox->acknowledge({{"telemetry", 2}}));
  const auto entries = read_all(*outbox);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].seq, 4U);
  EXPECT_EQ(read_all(*outbox, {{"telemetry", 4}}).size(), 1U);
}

TEST(Outbox, RefusesAnAcknowledgementOfWhatWasNeverSent) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db");
  append(*outbox, kTelemetryStream, "a");
  Result<void> done = outbox->acknowledge({{"telemetry", 9}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Error::Code::kInvalidArgument);
  EXPECT_EQ(read_all(*outbox).size(), 1U);
}

TEST(Outbox, DropsTheOldestTelemetryIntoOneGapWhenFull) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db", 64U << 10U);
  const std::string body(4096, 'x');
  append(*outbox, kAuditStream, "kept");
  for (int i = 0; i < 40; ++i) {
    append(*outbox, kTelemetryStream, body);
  }
  Result<OutboxStatus> status = outbox->status();
  ASSERT_TRUE(status);
  EXPECT_LE(status->bytes, 64U << 10U);
  EXPECT_EQ(status->gaps, 1U);
  const auto entries = read_all(*outbox);
  ASSERT_GE(entries.size(), 3U);
  EXPECT_EQ(entries[0].stream, kAuditStream);
  EXPECT_TRUE(entries[1].gap);
  EXPECT_EQ(entries[1].first_seq, 1U);
  // The gap and what follows it cover every number once.
  std::uint64_t next = 1;
  for (std::size_t i = 1; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].first_seq, next);
    next = entries[i].seq + 1;
  }
  EXPECT_EQ(next, 41U);
}

TEST(Outbox, NeverDropsAuditOrEvents) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db", 64U << 10U);
  const std::string body(4096, 'x');
  bool full = false;
  for (int i = 0; i < 20 && !full; ++i) {
    Result<std::uint64_t> seq = outbox->append(kEventStream, body);
    full = !seq;
    if (full) {
      EXPECT_EQ(seq.error().code(), Error::Code::kResourceExhausted);
    }
  }
  EXPECT_TRUE(full);
  const auto entries = read_all(*outbox);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].seq, i + 1);
    EXPECT_FALSE(entries[i].gap);
  }
}

TEST(Outbox, ContinuesAfterWhatTheControllerHolds) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db");
  append(*outbox, kTelemetryStream, "new");
  ASSERT_TRUE(outbox->skip_to({{"telemetry", 100}}));
  const auto entries = read_all(*outbox);
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].seq, 101U);
  EXPECT_EQ(append(*outbox, kTelemetryStream, "next"), 102U);
}

TEST(Outbox, ReadsInBoundedPieces) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db");
  for (int i = 0; i < 10; ++i) {
    append(*outbox, kTelemetryStream, std::string(1000, 'x'));
  }
  Result<std::vector<OutboxEntry>> some = outbox->read({}, 2500);
  ASSERT_TRUE(some);
  EXPECT_EQ(some->size(), 2U);
  Result<std::vector<OutboxEntry>> one = outbox->read({}, 1);
  ASSERT_TRUE(one);
  EXPECT_EQ(one->size(), 1U);
}

TEST(Outbox, RefusesARecordThatWouldFillIt) {
  test::TempDir dir;
  auto outbox = open_outbox(dir / "outbox.db", 64U << 10U);
  Result<std::uint64_t> seq = outbox->append(kTelemetryStream, std::string(32U << 10U, 'x'));
  ASSERT_FALSE(seq);
  EXPECT_EQ(seq.error().code(), Error::Code::kTooLarge);
}

}  // namespace
}  // namespace skerry::agent
