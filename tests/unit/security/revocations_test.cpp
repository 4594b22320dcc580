// What a revocation names, how strong it is, and what no document may say; the same for permits.

#include "skerry/security/revocations.hpp"

#include <gmock/gmock.h>

#include "skerry/security/downgrade_permits.hpp"

namespace skerry::security {
namespace {

using ::testing::HasSubstr;

std::string revocations_of(const std::string& entries, const std::string& version = "1") {
  return R"({"format":"skerry-revocations/1","version":)" + version + R"(,"entries":[)" + entries +
         "]}";
}

std::string entry_of(const std::string& what, const std::string& effect = "stop") {
  return R"({"id":"r1","effect":")" + effect + R"(",)" + what + R"(,"reason":"because"})";
}

std::string quoted(const Digest& digest) {
  return "\"" + digest.to_string() + "\"";
}

RevocationSubject subject_of(const std::string& model,
                             const std::string& version,
                             std::uint64_t counter) {
  RevocationSubject subject;
  subject.model = model;
  subject.version = version;
  subject.release_counter = counter;
  subject.manifest = Digest::of("manifest " + model + version);
  subject.blobs = {Digest::of("weights " + model + version), Digest::of("shared")};
  return subject;
}

TEST(Revocations, NamesByManifestBlobModelVersionAndCounter) {
  const RevocationSubject subject = subject_of("acme/log-triage", "1.2.0", 7);
  struct Row {
    std::string what;
    bool named;
  };
  for (const Row& row : std::vector<Row>{{"\"manifest\":" + quoted(subject.manifest), true},
                                         {"\"manifest\":" + quoted(Digest::of("other")), false},
                                         {"\"blob\":" + quoted(Digest::of("shared")), true},
                                         {"\"blob\":" + quoted(Digest::of("other")), false},
                                         {R"("model":"acme/log-triage")", true},
                                         {R"("model":"acme/*")", true},
                                         {R"("model":"*")", true},
                                         {R"("model":"acme/other-*")", false},
                                         {R"("model":"other/*")", false},
                                         {R"("model":"acme/*","versions":["1.2.*"])", true},
                                         {R"("model":"acme/*","versions":["1.1.*","1.2.0"])", true},
                                         {R"("model":"acme/*","versions":["1.3.*"])", false},
                                         {R"("model":"acme/*","below_counter":8)", true},
                                         {R"("model":"acme/*","below_counter":7)", false},
                                         {R"("model":"other/*","below_counter":8)", false}}) {
    const auto document = Revocations::parse(revocations_of(entry_of(row.what)));
    ASSERT_TRUE(document) << row.what << document.error().to_string();
    EXPECT_EQ(document->find(subject) != nullptr, row.named) << row.what;
  }
}

TEST(Revocations, TheStrongestEntryCounts) {
  const auto document = Revocations::parse(
      revocations_of(R"({"id":"w","effect":"warn","model":"*","reason":"old"},)"
                     R"({"id":"s","effect":"stop","model":"acme/a","reason":"poisoned"},)"
                     R"({"id":"b","effect":"block-new","model":"acme/*","reason":"licence"})"));
  ASSERT_TRUE(document);
  EXPECT_EQ(document->find(subject_of("acme/a", "1.0.0", 1))->id, "s");
  EXPECT_EQ(document->find(subject_of("acme/b", "1.0.0", 1))->id, "b");
  EXPECT_EQ(document->find(subject_of("other/c", "1.0.0", 1))->id, "w");
  EXPECT_EQ(document->find(subject_of("acme/a", "1.0.0", 1))->describe(),
            "revoked (stop) by s: poisoned");
  EXPECT_EQ(Revocations{}.find(subject_of("acme/a", "1.0.0", 1)), nullptr);
}

TEST(Revocations, BadDocumentsNameTheirPath) {
  struct Bad {
    std::string text;
    std::string names;
  };
  const std::string model = R"("model":"acme/*")";
  for (const Bad& bad : std::vector<Bad>{
           {"", "byte 0"},
           {"[]", "object"},
           {R"({"format":"skerry-revocations/2","version":1,"entries":[]})", "format"},
           {revocations_of("", "0"), "version"},
           {R"({"format":"skerry-revocations/1","version":1})", "entries: missing"},
           {R"({"format":"skerry-revocations/1","version":1,"entries":[],"x":1})", "x: unknown"},
           {revocations_of("1"), "entries[0]"},
           {revocations_of(entry_of(model, "kill")), "entries[0].effect"},
           {revocations_of(R"({"id":"a","effect":"stop","reason":"x"})"), "exactly one"},
           {revocations_of(entry_of(model + ",\"blob\":" + quoted(Digest::of("x")))),
            "exactly one"},
           {revocations_of(entry_of(R"("manifest":"sha256:00")")), "entries[0].manifest"},
           {revocations_of(entry_of(R"("model":"acme")")), "entries[0].model"},
           {revocations_of(entry_of(R"("model":"acme/x y")")), "entries[0].model"},
           {revocations_of(entry_of(model + R"(,"versions":[])")), "entries[0].versions"},
           {revocations_of(entry_of(model + R"(,"versions":["1 2"])")), "entries[0].versions"},
           {revocations_of(entry_of(model + R"(,"versions":["1"],"below_counter":2)")), "not both"},
           {revocations_of(entry_of(model + R"(,"below_counter":0)")), "entries[0].below_counter"},
           {revocations_of(
                entry_of("\"blob\":" + quoted(Digest::of("x")) + ",\"below_counter\":2")),
            "go with a model"},
           {revocations_of(entry_of(model) + "," + entry_of(model)), "entries[1].id"},
           {revocations_of(R"({"id":"Bad Id","effect":"stop","model":"*","reason":"x"})"),
            "entries[0].id"},
           {revocations_of(R"({"id":"a","effect":"stop","model":"*"})"), "entries[0].reason"},
           {revocations_of(entry_of(model + R"(,"until":1)")), "entries[0].until: unknown"}}) {
    const auto parsed = Revocations::parse(bad.text);
    ASSERT_FALSE(parsed) << bad.text;
    EXPECT_EQ(parsed.error().code(), Error::Code::kParse) << bad.text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(bad.names)) << bad.text;
  }
}

TEST(Revocations, HasLimits) {
  std::string many;
  for (std::size_t i = 0; i <= RevocationLimits::kEntries; ++i) {
    many += (i == 0 ? "" : ",") + std::string{R"({"id":"r)"} + std::to_string(i) +
            R"(","effect":"warn","model":"*","reason":"x"})";
  }
  EXPECT_THAT(Revocations::parse(revocations_of(many)).error().message(), HasSubstr("10000"));
  EXPECT_FALSE(Revocations::parse(std::string(RevocationLimits::kBytes + 1, ' ')));
}

TEST(Revocations, IsWrittenAsItIsRead) {
  Revocations document;
  Revocation entry;
  entry.id = "cve-2026-7";
  entry.effect = RevocationEffect::kStop;
  entry.model = "acme/log-*";
  entry.versions = {"1.2.*"};
  entry.reason = "poisoned weights";
  ASSERT_TRUE(document.put(entry));
  entry.reason = "poisoned weights, seen in hall 3";
  ASSERT_TRUE(document.put(entry)) << "the same id is replaced";
  EXPECT_EQ(document.entries().size(), 1U);
  Revocation bad = entry;
  bad.blob = Digest::of("x");
  EXPECT_EQ(document.put(bad).error().code(), Error::Code::kInvalidArgument);
  document.set_version(3);
  const auto again = Revocations::parse(document.document());
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->version(), 3);
  EXPECT_EQ(again->document(), document.document());
  EXPECT_EQ(document.remove("other").error().code(), Error::Code::kNotFound);
  EXPECT_TRUE(document.remove("cve-2026-7"));
}

DowngradePermit permit_of(const std::string& nonce) {
  DowngradePermit permit;
  permit.nonce = nonce;
  permit.devices = {"gw-*", "lab"};
  permit.model = "acme/log-triage";
  permit.from_counter = 9;
  permit.to_counter = 7;
  permit.expires = WallTime{std::chrono::hours{500'000}};
  permit.reason = "1.3.0 is slow on ARM";
  return permit;
}

TEST(DowngradePermits, ArePickedByDeviceModelAndCounters) {
  DowngradePermits permits;
  ASSERT_TRUE(permits.add(permit_of("00112233445566ff")));
  struct Row {
    std::string device;
    std::string model;
    std::uint64_t held;
    std::uint64_t wanted;
    bool good;
  };
  for (const Row& row : std::vector<Row>{{"gw-7", "acme/log-triage", 9, 7, true},
                                         {"gw-7", "acme/log-triage", 8, 8, true},
                                         {"lab", "acme/log-triage", 9, 8, true},
                                         {"gw-7", "acme/log-triage", 10, 7, false},
                                         {"gw-7", "acme/log-triage", 9, 6, false},
                                         {"gw-7", "acme/log-triage2", 9, 7, false},
                                         {"office", "acme/log-triage", 9, 7, false},
                                         {"", "acme/log-triage", 9, 7, false}}) {
    EXPECT_EQ(permits.matching(row.device, row.model, row.held, row.wanted).size(),
              row.good ? 1U : 0U)
        << row.device << " " << row.held << " " << row.wanted;
  }
  permits.drop_expired(WallTime{std::chrono::hours{500'001}});
  EXPECT_TRUE(permits.permits().empty());
}

TEST(DowngradePermits, BadOnesAreRefusedByPathAndTheRestIsWrittenAsRead) {
  DowngradePermits permits;
  ASSERT_TRUE(permits.add(permit_of("00112233445566ff")));
  EXPECT_EQ(permits.add(permit_of("00112233445566ff")).error().code(), Error::Code::kAlreadyExists);
  permits.set_version(2);
  const std::string good = permits.document();
  const auto again = DowngradePermits::parse(good);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(again->document(), good);
  struct Bad {
    std::string from;
    std::string to;
    std::string names;
  };
  for (const Bad& bad :
       std::vector<Bad>{{"skerry-permits/1", "skerry-permits/2", "format"},
                        {"\"version\": 2", "\"version\": -1", "version"},
                        {"00112233445566ff", "0011", "permits[0].nonce"},
                        {"00112233445566ff", "00112233445566FF", "permits[0].nonce"},
                        {"acme/log-triage", "acme/*", "permits[0].model"},
                        {"acme/log-triage", "acme", "permits[0].model"},
                        {"\"to_counter\": 7", "\"to_counter\": 9", "permits[0].to_counter"},
                        {"2027-", "27-", "permits[0].expires"},
                        {"\"devices\"", "\"device\"", "permits[0].devices"},
                        {"\"reason\"", "\"why\"", "permits[0].reason"}}) {
    std::string text = good;
    const std::size_t at = text.find(bad.from);
    ASSERT_NE(at, std::string::npos) << bad.from << "\n" << good;
    text.replace(at, bad.from.size(), bad.to);
    const auto parsed = DowngradePermits::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message(), HasSubstr(bad.names)) << text;
  }
}

}  // namespace
}  // namespace skerry::security
