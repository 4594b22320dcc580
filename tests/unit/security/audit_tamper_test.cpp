// A changed byte anywhere in the log, or in an export, is found and named.

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "audit_fixture.hpp"
#include "audit_frame.hpp"
#include "temp_dir.hpp"

namespace skerry::security {
namespace {

using test::AuditFixture;

struct Place {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class AuditTamperTest : public ::testing::Test {
 protected:
  AuditTamperTest() {
    device_.options.segment_bytes = 1500;
    const auto log = device_.open(fs_);
    for (int i = 0; i < 2; ++i) {
      EXPECT_TRUE((*log)->append(AuditFixture::durable("act." + std::to_string(i))));
      EXPECT_TRUE((*log)->append(AuditFixture::grouped()));
    }
    EXPECT_TRUE((*log)->flush());
    // The last segment holds records too.
    EXPECT_TRUE((*log)->append(AuditFixture::durable("act.last")));
    EXPECT_TRUE((*log)->append(AuditFixture::durable("act.end")));
    const auto segments = list_segments(fs_, device_.options.directory);
    for (const SegmentFile& segment : *segments) {
      names_.push_back(segment.name);
    }
  }

  [[nodiscard]] std::filesystem::path path(const std::string& name) const {
    return device_.options.directory / name;
  }

  std::string load(const std::filesystem::path& file) { return *read_file(fs_, file, 1U << 20U); }

  static void save(const std::filesystem::path& file, const std::string& bytes) {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  // Where each frame of a file lies.
  std::vector<Place> frames(const std::filesystem::path& file) {
    auto opened = fs_.open(file, OpenMode::kRead, 0);
    FrameReader reader{**opened, (*opened)->status()->size};
    std::vector<Place> out{{0, kAuditMagic.size()}};
    for (auto step = reader.begin(); step && step->kind == FrameStep::Kind::kFrame;
         step = reader.next()) {
      out.push_back(Place{step->offset, reader.offset()});
    }
    return out;
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  AuditFixture device_{dir_ / "audit"};
  std::vector<std::string> names_;
};

TEST_F(AuditTamperTest, EveryFlippedByteIsFoundInItsFrame) {
  ASSERT_GT(names_.size(), 2U);
  for (const std::string& name : names_) {
    const std::string whole = load(path(name));
    const auto places = frames(path(name));
    for (std::size_t i = 0; i < whole.size(); ++i) {
      std::string broken = whole;
      broken[i] = static_cast<char>(static_cast<unsigned char>(broken[i]) ^ (1U << (i % 8)));
      save(path(name), broken);
      const auto verified = device_.verify(fs_, device_.options.directory);
      ASSERT_TRUE(verified) << verified.error().to_string();
      ASSERT_FALSE(verified->ok()) << name << " byte " << i;
      const AuditFinding& finding = verified->findings.front();
      EXPECT_EQ(finding.file, name);
      const auto place = std::find_if(places.begin(), places.end(), [&](const Place& candidate) {
        return candidate.begin <= i && i < candidate.end;
      });
      ASSERT_NE(place, places.end());
      EXPECT_EQ(finding.offset, place->begin) << name << " byte " << i;
    }
    save(path(name), whole);
  }
  EXPECT_TRUE(device_.verify(fs_, device_.options.directory)->ok());
}

TEST_F(AuditTamperTest, EveryFlippedByteOfAnExportIsFound) {
  const auto file = dir_ / "export.audit";
  ASSERT_TRUE(export_audit_log(fs_, device_.options.directory, file));
  const std::string whole = load(file);
  for (std::size_t i = 0; i < whole.size(); i += 7) {
    std::string broken = whole;
    broken[i] = static_cast<char>(static_cast<unsigned char>(broken[i]) ^ 0x20U);
    save(file, broken);
    EXPECT_FALSE(device_.verify(fs_, file)->ok()) << "byte " << i;
  }
}

TEST_F(AuditTamperTest, EveryCutIsFoundOrLeavesAnOlderSealedLog) {
  const std::string& name = names_.back();
  const std::string whole = load(path(name));
  const auto places = frames(path(name));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    save(path(name), whole.substr(0, size));
    const auto verified = device_.verify(fs_, device_.options.directory);
    const bool between = std::any_of(
        places.begin() + 2, places.end(), [&](const Place& place) { return place.end == size; });
    EXPECT_EQ(verified->ok(), between) << "cut at " << size;
  }
}

TEST_F(AuditTamperTest, TheWitnessSeesATruncatedLog) {
  AuditVerifyOptions options;
  {
    const auto log = device_.open(fs_);
    options.witness = (*log)->checkpoint();
  }
  EXPECT_TRUE(
      verify_audit_log(fs_, device_.options.directory, device_.key->public_key(), options)->ok());
  std::filesystem::remove(path(names_.back()));
  const auto alone = device_.verify(fs_, device_.options.directory);
  EXPECT_TRUE(alone->ok()) << alone->findings.front().to_string();
  const auto verified =
      verify_audit_log(fs_, device_.options.directory, device_.key->public_key(), options);
  ASSERT_FALSE(verified->ok());
  EXPECT_NE(verified->findings.front().message.find("the log was cut"), std::string::npos);
}

TEST_F(AuditTamperTest, TheWitnessSeesAFork) {
  AuditVerifyOptions options;
  options.witness = Checkpoint{device_.options.origin, 5, Digest::of("another history")};
  const auto verified =
      verify_audit_log(fs_, device_.options.directory, device_.key->public_key(), options);
  EXPECT_FALSE(verified->ok());
}

TEST_F(AuditTamperTest, AMissingOrSwappedSegmentIsFound) {
  const std::string first = load(path(names_[0]));
  const std::string second = load(path(names_[1]));
  std::filesystem::remove(path(names_[1]));
  EXPECT_FALSE(device_.verify(fs_, device_.options.directory)->ok());
  save(path(names_[1]), first);
  EXPECT_FALSE(device_.verify(fs_, device_.options.directory)->ok());
  save(path(names_[1]), second);
  EXPECT_TRUE(device_.verify(fs_, device_.options.directory)->ok());
}

// Someone with the files but not the key rewrites a record and all hashes behind it.
TEST_F(AuditTamperTest, ARewrittenRecordDoesNotLeadToItsCheckpoint) {
  auto opened = fs_.open(path(names_[0]), OpenMode::kRead, 0);
  FrameReader reader{**opened, (*opened)->status()->size};
  std::string forged{kAuditMagic};
  bool changed = false;
  for (auto step = reader.begin(); step->kind == FrameStep::Kind::kFrame; step = reader.next()) {
    std::string payload = step->frame.payload;
    const std::size_t at = payload.find("act.0");
    if (at != std::string::npos) {
      payload[at] = 'A';
      changed = true;
    }
    append_frame(forged, step->frame.type, payload);
  }
  ASSERT_TRUE(changed);
  save(path(names_[0]), forged);
  const auto verified = device_.verify(fs_, device_.options.directory);
  ASSERT_FALSE(verified->ok());
  EXPECT_EQ(verified->findings.front().file, names_[0]);
  EXPECT_NE(verified->findings.front().message.find("do not lead to the signed checkpoint"),
            std::string::npos);
}

TEST_F(AuditTamperTest, AnotherKeyVerifiesNothing) {
  const auto other = make_memory_signer(KeyAlgorithm::kEd25519);
  const auto verified =
      verify_audit_log(fs_, device_.options.directory, (*other)->public_key(), {});
  EXPECT_FALSE(verified->ok());
  EXPECT_EQ(verified->sealed, 0U);
}

// The daemon must not "repair" a log that somebody changed.
TEST_F(AuditTamperTest, OpeningRefusesAChangedRecordAndKeepsTheEvidence) {
  const std::string& name = names_.back();
  const std::string whole = load(path(name));
  const auto places = frames(path(name));
  ASSERT_GT(places.size(), 4U);
  for (std::size_t i = places[2].begin; i < places[places.size() - 2].end; i += 7) {
    std::string broken = whole;
    broken[i] = static_cast<char>(static_cast<unsigned char>(broken[i]) ^ 0x10U);
    save(path(name), broken);
    const auto log = device_.open(fs_);
    ASSERT_FALSE(log) << name << " byte " << i << " of " << whole.size();
    EXPECT_EQ(log.error().code(), Error::Code::kAuditCorrupt) << log.error().to_string();
    EXPECT_EQ(load(path(name)), broken);
  }
}

}  // namespace
}  // namespace skerry::security
