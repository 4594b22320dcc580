#include "device_session.hpp"

#include <span>

#include <gtest/gtest.h>

#include "skerry/security/checkpoint.hpp"
#include "skerry/security/merkle.hpp"

#include "temp_dir.hpp"

namespace skerry::controller {
namespace {

namespace pb = fleet::v1;
using namespace std::chrono_literals;

TEST(Protocol, TheLowerOfTheTwoNewestIsSpoken) {
  EXPECT_EQ(*negotiate_protocol(1, 1), 1U);
  EXPECT_EQ(*negotiate_protocol(9, 1), 1U);
}

TEST(Protocol, ARefusalNamesBothSidesAndWhoMustUpdate) {
  EXPECT_EQ(negotiate_protocol(0, 0).error(),
            Error(Error::Code::kProtocolMismatch,
                  "the device speaks protocol 0, this controller (0.1.0) speaks 1: "
                  "update the agent on the device"));
  EXPECT_EQ(negotiate_protocol(9, 4).error().message(),
            "the device speaks protocol 4 to 9, this controller (0.1.0) speaks 1: "
            "update the controller");
}

class SessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = std::move(*Store::open("sqlite3", (dir_.path() / "controller.db").string()));
    TokenRecord token;
    token.token_id = "t";
    ASSERT_TRUE(store_->add_token(token));
    DeviceRecord device;
    device.device_id = "gw-1";
    device.tenant_id = "default";
    ASSERT_TRUE(store_->enrol("t", device, {}));
    session_ = std::make_unique<DeviceSession>(*store_, clock_, Log{}, "gw-1", "default");
  }

  static pb::DeviceMessage hello() {
    pb::DeviceMessage message;
    message.mutable_hello()->set_protocol_version(1);
    message.mutable_hello()->set_min_protocol_version(1);
    message.mutable_hello()->mutable_info()->set_hostname("gateway");
    return message;
  }

  void greet() { ASSERT_TRUE(session_->on_message(hello())); }

  Error refusal(const pb::DeviceMessage& message) {
    const auto outcome = session_->on_message(message);
    EXPECT_FALSE(outcome);
    return outcome ? Error{Error::Code::kInternal, "accepted"} : outcome.error();
  }

  test::TempDir dir_;
  FakeClock clock_{WallTime{1'700'000'000'000ms}};
  std::unique_ptr<Store> store_;
  std::unique_ptr<DeviceSession> session_;
};

TEST_F(SessionTest, AHelloIsAnsweredAndRecorded) {
  const auto outcome = session_->on_message(hello());
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->greeted);
  ASSERT_EQ(outcome->replies.size(), 1U);
  EXPECT_EQ(outcome->replies[0].hello().protocol_version(), 1U);
  EXPECT_EQ(outcome->replies[0].hello().wall_time_unix_ms(), 1'700'000'000'000U);
  const auto device = **store_->find_device("gw-1");
  EXPECT_EQ(device.last_seen_ms, 1'700'000'000'000);
  EXPECT_EQ(device.protocol_version, 1);
}

TEST_F(SessionTest, BothHellosSayWhetherTheyKnowTheDirector) {
  DeviceSession directing{*store_, clock_, Log{}, "gw-1", "default", true};
  auto message = hello();
  message.mutable_hello()->add_capabilities("director");
  message.mutable_hello()->set_director_version(42);
  message.mutable_hello()->set_director_root_version(3);
  message.mutable_hello()->mutable_info()->set_machine("aarch64");
  const auto outcome = directing.on_message(message);
  ASSERT_TRUE(outcome);
  const auto& offered = outcome->replies[0].hello().capabilities();
  EXPECT_NE(std::find(offered.begin(), offered.end(), "director"), offered.end());
  EXPECT_TRUE(directing.takes_director());
  EXPECT_EQ(directing.director_version(), 42);
  EXPECT_EQ(directing.director_root_version(), 3);
  EXPECT_EQ(directing.directed().machine, "aarch64");
  // An older agent, and a controller without a director.
  const auto plain = session_->on_message(hello());
  ASSERT_TRUE(plain);
  const auto& none = plain->replies[0].hello().capabilities();
  EXPECT_EQ(std::find(none.begin(), none.end(), "director"), none.end());
  EXPECT_FALSE(session_->takes_director());
}

TEST_F(SessionTest, NothingComesBeforeTheHelloAndNoSecondOne) {
  pb::DeviceMessage heartbeat;
  heartbeat.mutable_heartbeat();
  EXPECT_EQ(refusal(heartbeat).message(), "the first message must be a hello");
  greet();
  EXPECT_EQ(refusal(hello()).message(), "a second hello on one stream");
}

TEST_F(SessionTest, AMismatchedHelloLeavesNoTrace) {
  auto message = hello();
  message.mutable_hello()->set_protocol_version(0);
  EXPECT_EQ(refusal(message).code(), Error::Code::kProtocolMismatch);
  EXPECT_EQ((**store_->find_device("gw-1")).last_seen_ms, 0);
  EXPECT_FALSE(session_->established());
}

TEST_F(SessionTest, GenerationsPassWhatTheDeviceHasSeen) {
  DesiredSlotRecord slot;
  slot.device_id = "gw-1";
  slot.slot = "default";
  slot.target = "models/acme/a/1.0.0";
  ASSERT_TRUE(store_->set_desired(slot));
  auto message = hello();
  (*message.mutable_hello()->mutable_generations())["default"] = 17;
  ASSERT_TRUE(session_->on_message(message));
  EXPECT_EQ(store_->desired("gw-1")->front().generation, 18);
}

TEST_F(SessionTest, AReportReachesTheStoreAndOldOnesAreNoNews) {
  greet();
  pb::DeviceMessage message;
  message.mutable_report()->set_slot("default");
  message.mutable_report()->set_generation(2);
  message.mutable_report()->set_state("REJECTED");
  message.mutable_report()->set_reason_code("no_fitting_variant");
  message.mutable_report()->set_reason("needs 4 GiB");
  EXPECT_TRUE(session_->on_message(message)->reports_changed);
  const auto report = store_->reports("gw-1")->front();
  EXPECT_EQ(report.status, DeviceStatus::kRejected);
  EXPECT_EQ(report.detail, "REJECTED: no_fitting_variant: needs 4 GiB");
  message.mutable_report()->set_generation(1);
  EXPECT_FALSE(session_->on_message(message)->reports_changed);
}

TEST_F(SessionTest, HostileReportsAreRefused) {
  greet();
  pb::DeviceMessage message;
  message.mutable_report()->set_slot("../../etc");
  EXPECT_EQ(refusal(message).code(), Error::Code::kInvalidArgument);
  message.mutable_report()->set_slot("default");
  message.mutable_report()->set_generation(~0ULL);
  EXPECT_NE(refusal(message).message().find("out of range"), std::string::npos);
  message.mutable_report()->set_generation(1);
  message.mutable_report()->set_reason(std::string(20'000, 'x'));
  EXPECT_EQ(refusal(message).code(), Error::Code::kTooLarge);
}

TEST_F(SessionTest, AnOutboxBatchIsAcknowledgedByStream) {
  greet();
  pb::DeviceMessage message;
  auto* chunk = message.mutable_outbox()->add_records();
  chunk->set_stream("telemetry");
  chunk->set_seq(1);
  chunk->mutable_telemetry()->add_offset_ms(5);
  auto* gap = message.mutable_outbox()->add_records();
  gap->set_stream("telemetry");
  gap->set_seq(9);
  gap->mutable_gap()->set_first_seq(2);
  gap->mutable_gap()->set_last_seq(9);
  auto* event = message.mutable_outbox()->add_records();
  event->set_stream("events");
  event->set_seq(1);
  event->mutable_report()->set_slot("default");
  event->mutable_report()->set_state("COMMITTED");
  const auto outcome = session_->on_message(message);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_TRUE(outcome->reports_changed);
  ASSERT_EQ(outcome->replies.size(), 1U);
  EXPECT_EQ(outcome->replies[0].ack().acknowledged().at("telemetry"), 9U);
  EXPECT_EQ(outcome->replies[0].ack().acknowledged().at("events"), 1U);
  EXPECT_EQ(store_->reports("gw-1")->front().status, DeviceStatus::kCommitted);
}

TEST_F(SessionTest, HostileOutboxRecordsAreRefusedWhole) {
  greet();
  const auto with = [](auto change) {
    pb::DeviceMessage message;
    auto* good = message.mutable_outbox()->add_records();
    good->set_stream("telemetry");
    good->set_seq(1);
    good->mutable_telemetry();
    auto* bad = message.mutable_outbox()->add_records();
    bad->set_stream("telemetry");
    bad->set_seq(2);
    bad->mutable_telemetry();
    change(*bad);
    return message;
  };
  EXPECT_NE(refusal(with([](auto& r) { r.set_stream("secrets"); })).message().find("no outbox"),
            std::string::npos);
  EXPECT_FALSE(session_->on_message(with([](auto& r) { r.set_seq(0); })));
  EXPECT_FALSE(session_->on_message(with([](auto& r) { r.set_seq(~0ULL); })));
  EXPECT_FALSE(session_->on_message(with([](auto& r) { r.clear_body(); })));
  EXPECT_FALSE(session_->on_message(with([](auto& r) {
    r.mutable_gap()->set_first_seq(5);
    r.mutable_gap()->set_last_seq(4);
  })));
  EXPECT_FALSE(
      session_->on_message(with([](auto& r) { r.mutable_telemetry()->set_start_unix_ms(~0ULL); })));
  EXPECT_TRUE(store_->outbox_marks("gw-1")->empty());
}

// A device's log, its checkpoints and its proofs.
class WitnessedDevice {
 public:
  void grow(int records, const std::string& what = "record ") {
    for (int i = 0; i < records; ++i) {
      leaves_.push_back(security::merkle_leaf(as_bytes(what + std::to_string(leaves_.size()))));
    }
  }
  void rewrite_from(std::size_t first) {
    const auto size = leaves_.size();
    leaves_.resize(first);
    grow(static_cast<int>(size - first), "forged ");
  }
  [[nodiscard]] pb::AuditCheckpoint head() const {
    const security::Checkpoint head{
        "skerry.audit/gw-1", leaves_.size(), security::merkle_root(leaves_)};
    pb::AuditCheckpoint out;
    out.set_size(head.size);
    out.set_root(head.root.raw());
    out.set_note(*security::sign_checkpoint(head, head.origin, *key_));
    out.set_verifier_key(*security::note_verifier_key(head.origin, key_->public_key()));
    return out;
  }
  [[nodiscard]] pb::DeviceMessage answer(const pb::AuditProofRequest& request) const {
    pb::DeviceMessage message;
    pb::AuditProof& proof = *message.mutable_audit_proof();
    proof.set_old_size(request.old_size());
    proof.set_new_size(request.new_size());
    const std::span<const Digest> log{leaves_.data(), request.new_size()};
    const auto hashes = security::consistency_proof(log, request.old_size());
    for (const Digest& hash : *hashes) {
      proof.add_hashes(hash.raw());
    }
    return message;
  }
  [[nodiscard]] pb::DeviceMessage outbox(std::uint64_t seq) const {
    pb::DeviceMessage message;
    auto* record = message.mutable_outbox()->add_records();
    record->set_stream("audit");
    record->set_seq(seq);
    *record->mutable_audit() = head();
    return message;
  }

 private:
  std::vector<Digest> leaves_;
  std::unique_ptr<security::Signer> key_ =
      std::move(*security::make_memory_signer(security::KeyAlgorithm::kEd25519));
};

TEST_F(SessionTest, ALogThatGrewIsProvenBeforeItIsWitnessed) {
  WitnessedDevice device;
  device.grow(5);
  auto message = hello();
  message.mutable_hello()->add_capabilities("audit_consistency");
  *message.mutable_hello()->mutable_audit() = device.head();
  ASSERT_TRUE(session_->on_message(message));
  EXPECT_EQ((*store_->witness("gw-1"))->size, 5) << "the first head is trusted";

  device.grow(4);
  const auto asked = session_->on_message(device.outbox(1));
  ASSERT_TRUE(asked) << asked.error().to_string();
  ASSERT_EQ(asked->replies.size(), 2U);
  EXPECT_EQ(asked->replies[1].audit_proof().old_size(), 5U);
  EXPECT_EQ(asked->replies[1].audit_proof().new_size(), 9U);
  EXPECT_EQ((*store_->witness("gw-1"))->size, 5);
  // Two more while the proof is on its way: one request at a time, then the largest.
  device.grow(1);
  EXPECT_EQ(session_->on_message(device.outbox(2))->replies.size(), 1U);
  device.grow(6);
  EXPECT_EQ(session_->on_message(device.outbox(3))->replies.size(), 1U);
  const auto next = session_->on_message(device.answer(asked->replies[1].audit_proof()));
  ASSERT_TRUE(next) << next.error().to_string();
  EXPECT_EQ((*store_->witness("gw-1"))->size, 9);
  ASSERT_EQ(next->replies.size(), 1U);
  EXPECT_EQ(next->replies[0].audit_proof().old_size(), 9U);
  EXPECT_EQ(next->replies[0].audit_proof().new_size(), 16U);
  ASSERT_TRUE(session_->on_message(device.answer(next->replies[0].audit_proof())));
  EXPECT_EQ((*store_->witness("gw-1"))->size, 16);
  EXPECT_EQ((*store_->witness("gw-1"))->flag, "");
  EXPECT_EQ(refusal(device.answer(next->replies[0].audit_proof())).code(),
            Error::Code::kFailedPrecondition);
}

TEST_F(SessionTest, ADeviceThatRewroteItsLogIsFoundOut) {
  WitnessedDevice device;
  device.grow(9);
  auto message = hello();
  message.mutable_hello()->add_capabilities("audit_consistency");
  *message.mutable_hello()->mutable_audit() = device.head();
  ASSERT_TRUE(session_->on_message(message));
  device.rewrite_from(3);
  device.grow(5);
  const auto asked = session_->on_message(device.outbox(1));
  ASSERT_EQ(asked->replies.size(), 2U);
  ASSERT_TRUE(session_->on_message(device.answer(asked->replies[1].audit_proof())));
  const auto held = *store_->witness("gw-1");
  EXPECT_EQ(held->size, 9);
  EXPECT_TRUE(held->flag.starts_with("fork: the signed log of 14 records")) << held->flag;
}

TEST_F(SessionTest, AnOldAgentThatCannotProveKeepsItsOldHead) {
  WitnessedDevice device;
  device.grow(5);
  auto message = hello();
  *message.mutable_hello()->mutable_audit() = device.head();
  ASSERT_TRUE(session_->on_message(message));
  device.grow(5);
  EXPECT_EQ(session_->on_message(device.outbox(1))->replies.size(), 1U) << "only the ack";
  EXPECT_EQ((*store_->witness("gw-1"))->size, 5);
  EXPECT_EQ((*store_->witness("gw-1"))->flag, "") << "an old program is no fork";
}

TEST_F(SessionTest, AMessageOfANewerProtocolIsIgnored) {
  greet();
  const auto outcome = session_->on_message(pb::DeviceMessage{});
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(outcome->replies.empty());
}

}  // namespace
}  // namespace skerry::controller
