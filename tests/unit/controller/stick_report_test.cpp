// Reports that came on a stick: whose word counts, and that it counts once.

#include "stick_report.hpp"

#include <functional>

#include <gtest/gtest.h>

#include "skerry/security/checkpoint.hpp"
#include "skerry/security/merkle.hpp"
#include "skerry/security/stick_report.hpp"

#include "device_session.hpp"
#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;
using security::CertificateAuthority;
using security::SpiffeId;
using std::chrono::hours;

constexpr std::string_view kDomain = "skerry.local";

pb::OutboxRecord stick_telemetry(std::uint64_t seq) {
  pb::OutboxRecord record;
  record.set_stream("telemetry");
  record.set_seq(seq);
  record.mutable_telemetry()->set_start_unix_ms(1'000'000 + seq);
  record.mutable_telemetry()->add_offset_ms(0);
  auto* series = record.mutable_telemetry()->add_series();
  series->set_name("requests_total");
  series->add_values(static_cast<double>(seq));
  return record;
}

class StickReportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder : {"certificates", "keys"}) {
      ASSERT_TRUE(fs_.create_directories(dir_.path() / folder, 0700));
    }
    Config config;
    config.state_directory = dir_.path();
    authorities_ =
        std::move(*Authorities::open(fs_, clock_, *Settings::finalize(std::move(config))));
    certificate_ = certificate_of("dev-1", *key_);
    report_.set_device_id("dev-1");
    *report_.add_records() = stick_telemetry(1);
  }

  std::string certificate_of(const std::string& id,
                             const security::Signer& key,
                             SpiffeId::Kind kind = SpiffeId::Kind::kDevice,
                             std::string_view domain = kDomain) {
    return authorities_->issue(key.public_key(), grant_of(id, kind, domain))->pem();
  }

  security::CertificateGrant grant_of(const std::string& id,
                                      SpiffeId::Kind kind,
                                      std::string_view domain) const {
    security::CertificateGrant grant;
    grant.names.common_name = id;
    grant.names.spiffe_id = SpiffeId{std::string{domain}, kind, id}.to_string();
    grant.not_before = clock_.wall_now();
    return grant;
  }

  std::string sealed(const security::Signer& key, const std::string& certificate) const {
    pb::SignedStickReport out;
    out.set_report(report_.SerializeAsString());
    const auto signature = key.sign(as_bytes(security::stick_report_statement(out.report())));
    out.set_signature(std::string{as_text(*signature)});
    out.set_certificate_chain_pem(certificate);
    return out.SerializeAsString();
  }

  Result<pb::StickReport> open(const std::string& bytes) {
    return open_stick_report(bytes, *authorities_, kDomain, clock_.wall_now());
  }
  Error::Code refusal(const std::string& bytes) {
    const auto opened = open(bytes);
    EXPECT_FALSE(opened);
    return opened ? Error::Code::kInternal : opened.error().code();
  }

  static std::unique_ptr<security::Signer> make_key() {
    return std::move(*security::make_memory_signer(security::KeyAlgorithm::kEcdsaP256));
  }

  test::TempDir dir_;
  FakeClock clock_{*parse_rfc3339("2026-11-23T12:00:00Z")};
  SystemFileSystem fs_;
  std::unique_ptr<Authorities> authorities_;
  std::unique_ptr<security::Signer> key_ = make_key();
  std::string certificate_;
  pb::StickReport report_;
};

TEST_F(StickReportTest, TheDevicesSignatureIsTaken) {
  const auto opened = open(sealed(*key_, certificate_));
  ASSERT_TRUE(opened) << opened.error().to_string();
  EXPECT_EQ(opened->device_id(), "dev-1");
  EXPECT_EQ(opened->records_size(), 1);
}

TEST_F(StickReportTest, NobodyElsesIs) {
  // The thief of a stick has the certificate, which is in it, and a key of his own.
  const auto other = make_key();
  EXPECT_EQ(refusal(sealed(*other, certificate_)), Error::Code::kSignatureInvalid);
  // Another device says that it is this one.
  EXPECT_EQ(refusal(sealed(*other, certificate_of("dev-2", *other))),
            Error::Code::kPermissionDenied);
  EXPECT_EQ(refusal(sealed(*other, certificate_of("dev-1", *other, SpiffeId::Kind::kOperator))),
            Error::Code::kPermissionDenied);
  EXPECT_EQ(refusal(sealed(
                *other, certificate_of("dev-1", *other, SpiffeId::Kind::kDevice, "other.local"))),
            Error::Code::kPermissionDenied);
  const auto foreign =
      CertificateAuthority::create(make_key(), "foreign", clock_.wall_now(), hours{24 * 365});
  const auto leaf =
      foreign->issue(other->public_key(), grant_of("dev-1", SpiffeId::Kind::kDevice, kDomain));
  EXPECT_EQ(refusal(sealed(*other, leaf->pem())), Error::Code::kUnauthenticated);
}

TEST_F(StickReportTest, EveryChangedByteIsNoticed) {
  const std::string good = sealed(*key_, certificate_);
  pb::SignedStickReport parsed;
  ASSERT_TRUE(parsed.ParseFromString(good));
  for (std::size_t i = 0; i < parsed.report().size(); ++i) {
    pb::SignedStickReport changed = parsed;
    (*changed.mutable_report())[i] = static_cast<char>(changed.report()[i] ^ 1);
    EXPECT_EQ(refusal(changed.SerializeAsString()), Error::Code::kSignatureInvalid) << i;
  }
  EXPECT_EQ(refusal("no report"), Error::Code::kParse);
  EXPECT_EQ(refusal(std::string(5U << 20U, 'x')), Error::Code::kTooLarge);
  EXPECT_FALSE(open(""));
  // A signature that the same key made of something else.
  pb::SignedStickReport bare = parsed;
  bare.set_signature(std::string{as_text(*key_->sign(as_bytes(bare.report())))});
  EXPECT_EQ(refusal(bare.SerializeAsString()), Error::Code::kSignatureInvalid);
}

TEST_F(StickReportTest, ALongAbsenceIsNoReasonToRefuseAStolenAuthorityIs) {
  const std::string sent = sealed(*key_, certificate_);
  clock_.advance(hours{24 * 500});
  EXPECT_TRUE(open(sent)) << "its certificate ended";
  ASSERT_TRUE(authorities_->rotate(clock_.wall_now()));
  ASSERT_TRUE(authorities_->retire(1, false));
  EXPECT_TRUE(open(sent)) << "its authority was retired";
  ASSERT_TRUE(authorities_->retire(1, true));
  EXPECT_EQ(refusal(sent), Error::Code::kUnauthenticated);
}

// Runs something whenever the time is asked for: what another thread may do at that moment.
class BusyClock final : public Clock {
 public:
  BusyClock(const Clock& clock, std::function<void()> work)
      : clock_(clock), work_(std::move(work)) {}
  [[nodiscard]] WallTime wall_now() const override {
    work_();
    return clock_.wall_now();
  }
  [[nodiscard]] BootTime boot_now() const override { return clock_.boot_now(); }

 private:
  const Clock& clock_;
  std::function<void()> work_;
};

// What is in a report counts once, by whatever ways and in whatever pieces it comes.
class StickSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(*Store::open("sqlite3", (dir_.path() / "controller.db").string()));
    audit_ = std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
    for (std::uint64_t i = 0; i < 20; ++i) {
      leaves_.push_back(security::merkle_leaf(as_bytes("record " + std::to_string(i))));
    }
  }

  Result<DeviceSession::Outcome> take(const pb::StickReport& report,
                                      const pb::AuditProof* proof = nullptr) {
    DeviceSession session{*store_, clock_, Log{}, "dev-1", "default"};
    return session.take_report(report, proof);
  }

  pb::OutboxRecord checkpoint(std::uint64_t seq, std::uint64_t size) const {
    const security::Checkpoint head{
        "skerry.audit/sim", size, security::merkle_root(std::span{leaves_}.first(size))};
    pb::OutboxRecord record;
    record.set_stream("audit");
    record.set_seq(seq);
    record.mutable_audit()->set_size(size);
    record.mutable_audit()->set_root(head.root.raw());
    record.mutable_audit()->set_note(*security::sign_checkpoint(head, head.origin, *audit_));
    record.mutable_audit()->set_verifier_key(
        *security::note_verifier_key(head.origin, audit_->public_key()));
    return record;
  }

  pb::AuditProof proof(std::uint64_t from, std::uint64_t to) const {
    pb::AuditProof out;
    out.set_old_size(from);
    out.set_new_size(to);
    const auto hashes = security::consistency_proof(std::span{leaves_}.first(to), from);
    for (const Digest& hash : *hashes) {
      out.add_hashes(hash.raw());
    }
    return out;
  }

  static const pb::AuditProofRequest* asked(const DeviceSession::Outcome& outcome) {
    for (const auto& reply : outcome.replies) {
      if (reply.has_audit_proof()) {
        return &reply.audit_proof();
      }
    }
    return nullptr;
  }

  test::TempDir dir_;
  FakeClock clock_{*parse_rfc3339("2026-11-23T12:00:00Z")};
  std::unique_ptr<Store> store_;
  std::unique_ptr<security::Signer> audit_;
  std::vector<Digest> leaves_;
};

TEST_F(StickSessionTest, RecordsCountOnce) {
  pb::StickReport report;
  report.set_device_id("dev-1");
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    *report.add_records() = stick_telemetry(seq);
  }
  auto* slot = report.add_slots();
  slot->set_slot("default");
  slot->set_generation(4);
  slot->set_state("COMMITTED");
  slot->set_at_unix_ms(2000);
  const auto first = take(report);
  ASSERT_TRUE(first) << first.error().to_string();
  EXPECT_EQ(first->applied, 3U);
  EXPECT_TRUE(first->reports_changed);
  const auto again = take(report);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->applied, 0U);
  // A longer one of the same gateway, with an older word on the slot.
  *report.add_records() = stick_telemetry(4);
  report.mutable_slots(0)->set_generation(3);
  const auto longer = take(report);
  ASSERT_TRUE(longer);
  EXPECT_EQ(longer->applied, 1U);
  EXPECT_FALSE(longer->reports_changed);
  const auto marks = store_->outbox_marks("dev-1");
  ASSERT_EQ(marks->size(), 1U);
  EXPECT_EQ(marks->front().highest_seq, 4);
  EXPECT_EQ(marks->front().records, 4);
  EXPECT_EQ(store_->reports("dev-1")->front().generation, 4);
  EXPECT_EQ(store_->telemetry("dev-1", 0, 2'000'000, 100)->size(), 4U);
}

// Whoever carries the stick could leave out the first part: what the second one skips would be a
// hole for good, since its numbers count as seen.
TEST_F(StickSessionTest, APartMayNotBeSkipped) {
  pb::StickReport first;
  first.set_device_id("dev-1");
  // Nobody has the numbers before these: the device dropped them.
  *first.add_records() = stick_telemetry(5);
  pb::StickReport second;
  second.set_device_id("dev-1");
  (*second.mutable_after())["telemetry"] = 5;
  *second.add_records() = stick_telemetry(6);
  const auto skipped = take(second);
  ASSERT_FALSE(skipped);
  EXPECT_EQ(skipped.error().code(), Error::Code::kFailedPrecondition);
  EXPECT_TRUE(store_->outbox_marks("dev-1")->empty());
  EXPECT_EQ(take(first)->applied, 1U);
  EXPECT_EQ(take(second)->applied, 1U);
  EXPECT_EQ(store_->outbox_marks("dev-1")->front().highest_seq, 6);
  EXPECT_EQ(take(first)->applied, 0U) << "in any order, once they are here";
}

TEST_F(StickSessionTest, TheAuditLogGrowsByProofAlone) {
  pb::StickReport report;
  report.set_device_id("dev-1");
  *report.add_records() = checkpoint(1, 5);
  ASSERT_TRUE(take(report));
  EXPECT_EQ((*store_->witness("dev-1"))->size, 5);
  *report.add_records() = checkpoint(2, 9);
  *report.add_records() = checkpoint(3, 16);
  const auto unproven = take(report);
  ASSERT_TRUE(unproven);
  ASSERT_NE(asked(*unproven), nullptr);
  EXPECT_EQ(asked(*unproven)->old_size(), 5U);
  EXPECT_EQ(asked(*unproven)->new_size(), 16U);
  EXPECT_EQ((*store_->witness("dev-1"))->size, 5);
  // Made of another log: refused, and no mark against the device, which did not make it.
  auto wrong = proof(5, 16);
  wrong.mutable_hashes(0)->front() ^= 1;
  const auto refused = take(report, &wrong);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kAuditCorrupt);
  EXPECT_EQ((*store_->witness("dev-1"))->flag, "");
  const auto right = proof(5, 16);
  const auto proven = take(report, &right);
  ASSERT_TRUE(proven) << proven.error().to_string();
  EXPECT_EQ(asked(*proven), nullptr);
  EXPECT_EQ(proven->applied, 0U);
  EXPECT_EQ((*store_->witness("dev-1"))->size, 16);
  const auto late = take(report);
  ASSERT_TRUE(late);
  EXPECT_EQ(asked(*late), nullptr) << "nothing is left to prove";
}

// The device is connected while its stick is handed in. Whoever judges later judges by what the
// other one left: the head that is held never goes back.
TEST_F(StickSessionTest, AStreamMayMoveTheHeadMeanwhile) {
  TokenRecord token;
  token.token_id = "t";
  ASSERT_TRUE(store_->add_token(token));
  DeviceRecord device;
  device.device_id = "dev-1";
  device.tenant_id = "default";
  ASSERT_TRUE(store_->enrol("t", device, {}));
  pb::StickReport report;
  report.set_device_id("dev-1");
  *report.add_records() = checkpoint(1, 5);

  DeviceSession stream{*store_, clock_, Log{}, "dev-1", "default"};
  const auto greet = [&] {
    pb::DeviceMessage hello;
    hello.mutable_hello()->set_protocol_version(1);
    hello.mutable_hello()->set_min_protocol_version(1);
    hello.mutable_hello()->add_capabilities("audit_consistency");
    *hello.mutable_hello()->mutable_audit() = checkpoint(0, 9).audit();
    ASSERT_TRUE(stream.on_message(hello));
  };
  int asked_for_time = 0;
  const BusyClock greeting{clock_, [&] {
                             if (++asked_for_time == 1) {
                               greet();
                             }
                           }};
  DeviceSession first{*store_, greeting, Log{}, "dev-1", "default"};
  ASSERT_TRUE(first.take_report(report, nullptr));
  ASSERT_TRUE(stream.established());
  EXPECT_EQ((*store_->witness("dev-1"))->size, 9) << "two first heads: the second is judged";

  *report.add_records() = checkpoint(2, 12);
  const auto unproven = take(report);
  ASSERT_NE(asked(*unproven), nullptr);
  EXPECT_EQ(asked(*unproven)->new_size(), 12U);
  pb::DeviceMessage longer;
  auto* record = longer.mutable_outbox()->add_records();
  *record = checkpoint(3, 16);
  ASSERT_EQ(stream.on_message(longer)->replies.size(), 2U);
  pb::DeviceMessage proven;
  *proven.mutable_audit_proof() = proof(9, 16);
  asked_for_time = 0;
  // After the report's checkpoint was judged, before its proof is.
  const BusyClock proving{clock_, [&] {
                            if (++asked_for_time == 2) {
                              ASSERT_TRUE(stream.on_message(proven));
                            }
                          }};
  DeviceSession second{*store_, proving, Log{}, "dev-1", "default"};
  const auto of_report = proof(9, 12);
  const auto taken = second.take_report(report, &of_report);
  ASSERT_TRUE(taken) << taken.error().to_string();
  EXPECT_GE(asked_for_time, 2);
  EXPECT_EQ(asked(*taken), nullptr) << "an older head needs no proof";
  EXPECT_EQ((*store_->witness("dev-1"))->size, 16);
  EXPECT_EQ((*store_->witness("dev-1"))->flag, "");
}

TEST_F(StickSessionTest, AForkedLogIsNamed) {
  pb::StickReport report;
  report.set_device_id("dev-1");
  *report.add_records() = checkpoint(1, 5);
  ASSERT_TRUE(take(report));
  leaves_[2] = security::merkle_leaf(as_bytes("something else"));
  pb::StickReport forked;
  forked.set_device_id("dev-1");
  *forked.add_records() = checkpoint(2, 5);
  ASSERT_TRUE(take(forked));
  EXPECT_NE((*store_->witness("dev-1"))->flag.find("fork"), std::string::npos);
}

}  // namespace
}  // namespace skerry::controller
