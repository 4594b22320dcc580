// What the director assigns, and when the image repository agrees with it.

#include "skerry/security/tuf/assignment.hpp"

#include <gtest/gtest.h>

#include "skerry/common/digest.hpp"

namespace skerry::security::tuf {
namespace {

constexpr const char* kPath = "models/acme/log-triage/1.0.0";

TargetFile image_entry() {
  TargetFile file;
  file.length = 7;
  file.hashes["sha256"] = Digest::of("content").hex();
  file.custom = Json{Json::Object{{"type", "model-manifest"}, {"release_counter", 3}}};
  return file;
}

Assignment assignment() {
  Assignment out;
  out.slot = "default";
  out.generation = 5;
  out.target = kPath;
  out.rollout = "r-1";
  out.hardware = "x86_64";
  out.not_after = *parse_rfc3339("2027-01-01T00:00:00Z");
  out.file = image_entry();
  return out;
}

Targets list_of(const std::string& path, const TargetFile& file) {
  Targets targets;
  targets.targets.emplace(path, file);
  return targets;
}

TEST(Assignment, AreReadAsTheyWereWritten) {
  const auto read = parse_assignments(
      "dev-1", list_of(assignment_path("dev-1", "default"), encode_assignment(assignment())));
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->size(), 1U);
  const Assignment& one = read->front();
  EXPECT_EQ(one.slot, "default");
  EXPECT_EQ(one.generation, 5U);
  EXPECT_EQ(one.target, kPath);
  EXPECT_EQ(one.rollout, "r-1");
  EXPECT_EQ(one.hardware, "x86_64");
  EXPECT_EQ(one.not_after, assignment().not_after);
  EXPECT_EQ(one.file.release_counter(), 3);
  EXPECT_TRUE(check_agreement(one, kPath, image_entry(), "x86_64"));
}

TEST(Assignment, AnEmptySlotIsTheEntryOfAnEmptyFile) {
  Assignment empty;
  empty.slot = "default";
  empty.generation = 2;
  const TargetFile file = encode_assignment(empty);
  EXPECT_EQ(file.length, 0U);
  EXPECT_TRUE(file.check(""));
  const auto read = parse_assignments("d", list_of(assignment_path("d", "default"), file));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_TRUE(read->front().target.empty());
}

TEST(Assignment, OfOtherDevicesAndOtherFormsAreRefused) {
  const TargetFile good = encode_assignment(assignment());
  for (const char* path : {"devices/dev-2/default",
                           "devices/dev-1/a/b",
                           "devices/dev-1/",
                           "devices/dev-10/default",
                           "models/acme/log-triage/1.0.0"}) {
    EXPECT_EQ(parse_assignments("dev-1", list_of(path, good)).error().code(),
              Error::Code::kMetadataMismatch)
        << path;
  }
  struct Row {
    const char* key;
    Json value;
  };
  for (const Row& row : {Row{"type", "model-manifest"},
                         Row{"type", 1},
                         Row{"generation", 0},
                         Row{"generation", -1},
                         Row{"generation", "5"},
                         Row{"target", 7},
                         Row{"target", "../models/x"},
                         Row{"rollout", std::string(2000, 'r')},
                         Row{"hardware", Json::Array{}}}) {
    TargetFile bad = good;
    (*bad.custom.object())[row.key] = row.value;
    EXPECT_FALSE(parse_assignments("dev-1", list_of("devices/dev-1/default", bad)))
        << row.key << " " << row.value.dump();
  }
  Targets many;
  for (int i = 0; i < 257; ++i) {
    many.targets.emplace(assignment_path("d", "s" + std::to_string(i)), good);
  }
  EXPECT_EQ(parse_assignments("d", many).error().code(), Error::Code::kTooLarge);
}

struct Disagreement {
  const char* what;
  void (*change)(Assignment& director, TargetFile& image, std::string& path);
  const char* word;
};

class AgreementTest : public ::testing::TestWithParam<Disagreement> {};

TEST_P(AgreementTest, IsRefusedWithWhatDiffers) {
  Assignment director = assignment();
  TargetFile image = image_entry();
  std::string path = kPath;
  GetParam().change(director, image, path);
  const auto agreed = check_agreement(director, path, image, "x86_64");
  ASSERT_FALSE(agreed) << GetParam().what;
  EXPECT_EQ(agreed.error().code(), Error::Code::kMetadataMismatch);
  EXPECT_NE(agreed.error().message().find(GetParam().word), std::string::npos)
      << agreed.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    EachMember,
    AgreementTest,
    ::testing::Values(
        Disagreement{"path",
                     [](Assignment&, TargetFile&, std::string& path) { path += "-rc.1"; },
                     "the path"},
        Disagreement{
            "length", [](Assignment&, TargetFile& image, auto&) { ++image.length; }, "the length"},
        Disagreement{"hash",
                     [](Assignment&, TargetFile& image, auto&) {
                       image.hashes["sha256"] = Digest::of("other").hex();
                     },
                     "sha256"},
        Disagreement{"one of two hashes",
                     [](Assignment& director, TargetFile& image, auto&) {
                       director.file.hashes["sha512"] = std::string(128, 'a');
                       image.hashes["sha512"] = std::string(128, 'b');
                     },
                     "sha512"},
        Disagreement{"no hash in common",
                     [](Assignment& director, TargetFile&, auto&) {
                       director.file.hashes = {{"sha512", std::string(128, 'a')}};
                     },
                     "no hash"},
        Disagreement{"only a hash that nobody checks",
                     [](Assignment& director, TargetFile& image, auto&) {
                       director.file.hashes = {{"md5", "aa"}};
                       image.hashes = {{"md5", "aa"}};
                     },
                     "no hash"},
        Disagreement{"counter",
                     [](Assignment&, TargetFile& image, auto&) {
                       (*image.custom.object())["release_counter"] = 4;
                     },
                     "release counter"},
        Disagreement{
            "machine",
            [](Assignment& director, TargetFile&, auto&) { director.hardware = "aarch64"; },
            "aarch64"},
        Disagreement{"signed for other machines",
                     [](Assignment&, TargetFile& image, auto&) {
                       (*image.custom.object())["hardware"] = Json::Array{"aarch64"};
                     },
                     "not signed for"},
        Disagreement{"hardware of a strange form",
                     [](Assignment&, TargetFile& image, auto&) {
                       (*image.custom.object())["hardware"] = "x86_64";
                     },
                     "not signed for"}));

TEST(Agreement, HoldsForAModelOfSeveralMachinesAndADirectorThatNamesNone) {
  TargetFile image = image_entry();
  (*image.custom.object())["hardware"] = Json::Array{"aarch64", "x86_64"};
  Assignment director = assignment();
  EXPECT_TRUE(check_agreement(director, kPath, image, "x86_64"));
  director.hardware.clear();
  EXPECT_TRUE(check_agreement(director, kPath, image, "aarch64"));
  EXPECT_FALSE(check_agreement(director, kPath, image, "riscv64"));
}

}  // namespace
}  // namespace skerry::security::tuf
