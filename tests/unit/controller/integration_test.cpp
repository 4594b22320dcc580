// What operators and devices see of a controller, by the calls that they make.

#include "skerry/security/checkpoint.hpp"
#include "skerry/security/tuf/client.hpp"

#include "controller_rig.hpp"

namespace skerry::controller {
namespace {

bool is_ack(const pb::ControllerMessage& message) {
  return message.has_ack();
}

std::function<bool(const pb::ControllerMessage&)> desires(const std::string& target) {
  return [target](const pb::ControllerMessage& message) {
    return message.has_desired() && message.desired().slots_size() > 0 &&
           message.desired().slots(0).target() == target;
  };
}

pb::DeviceMessage report(const pb::DesiredSlot& slot, const std::string& state) {
  pb::DeviceMessage message;
  auto* out = message.mutable_report();
  out->set_slot(slot.slot());
  out->set_generation(slot.generation());
  out->set_state(state);
  out->set_target(slot.target());
  out->set_rollout_id(slot.rollout_id());
  if (state == "QUARANTINED") {
    out->set_reason_code("gate_failed");
    out->set_reason("3 of 10 answers were wrong");
  }
  return message;
}

pb::OutboxRecord telemetry(std::uint64_t seq, double value) {
  pb::OutboxRecord record;
  record.set_stream("telemetry");
  record.set_seq(seq);
  auto* chunk = record.mutable_telemetry();
  chunk->set_start_unix_ms(1'000'000 + seq * 1000);
  chunk->add_offset_ms(0);
  chunk->add_offset_ms(500);
  auto* series = chunk->add_series();
  series->set_name("requests_total");
  (*series->mutable_labels())["slot"] = "default";
  series->add_values(value);
  series->add_values(value + 1);
  return record;
}

TEST_F(ControllerIntegration, ADeviceEnrolsGetsItsDesiredStateAndReportsIt) {
  const auto model = publish("1.0.0");
  const auto device = enrol();
  Mailbox mailbox;
  device->connect(mailbox.handler());
  const auto hello = mailbox.next(is_hello);
  ASSERT_TRUE(hello.has_hello());
  EXPECT_EQ(hello.hello().protocol_version(), 1U);

  const auto created = operator_->roll_out(model, 1);
  ASSERT_TRUE(created) << created.error().to_string();
  const auto message = mailbox.next(desires(model.target));
  ASSERT_TRUE(message.has_desired());
  const auto& slot = message.desired().slots(0);
  EXPECT_EQ(slot.manifest_digest(), model.manifest_digest);
  EXPECT_EQ(slot.rollout_id(), created->rollout_id());
  EXPECT_EQ(slot.generation(), 1U);
  device->send(report(slot, "FETCHING"));
  device->send(report(slot, "COMMITTED"));

  const auto states = watch(created->rollout_id());
  ASSERT_FALSE(states.empty());
  EXPECT_EQ(states.back(), pb::ROLLOUT_STATE_DONE);
  const auto end = rollout(created->rollout_id());
  ASSERT_EQ(end.devices_size(), 1);
  EXPECT_EQ(end.devices(0).status(), "committed");
  EXPECT_EQ(end.devices(0).report().state(), "COMMITTED");

  grpc::ClientContext context;
  pb::ListDevicesResponse devices;
  ASSERT_TRUE(operator_->fleet().ListDevices(&context, {}, &devices).ok());
  ASSERT_EQ(devices.devices_size(), 1);
  EXPECT_EQ(devices.devices(0).device_id(), device->id());
  EXPECT_TRUE(devices.devices(0).connected());
  EXPECT_EQ(devices.devices(0).slots(0).state(), "COMMITTED");
}

TEST_F(ControllerIntegration, ATokenWorksOnceAndARefusalIsAudited) {
  const auto token = operator_->token();
  ASSERT_TRUE(token);
  ASSERT_TRUE(SimDevice::enrol(address_, operator_->ca_pem(), *token));
  const auto second = SimDevice::enrol(address_, operator_->ca_pem(), *token);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find("already used"), std::string::npos);
  const auto unknown =
      SimDevice::enrol(address_, operator_->ca_pem(), "skt_" + std::string(81, '0'));
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message().find("not valid"), std::string::npos);
  int refused = 0;
  for (const auto& record : audit()) {
    refused += record.find("device.enrol") != std::string::npos &&
                       record.find("enrolment_refused") != std::string::npos
                   ? 1
                   : 0;
  }
  EXPECT_EQ(refused, 2);
}

TEST_F(ControllerIntegration, CallsWithoutTheRightCertificateAreRefused) {
  const auto anonymous = sim::connect_tls(address_, operator_->ca_pem(), "", "");
  const auto fleet = pb::FleetService::NewStub(anonymous);
  pb::ListDevicesResponse devices;
  {
    grpc::ClientContext context;
    EXPECT_EQ(fleet->ListDevices(&context, {}, &devices).error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
  }
  {
    grpc::ClientContext context;
    pb::GetMetadataResponse metadata;
    EXPECT_EQ(
        pb::DeviceService::NewStub(anonymous)->GetMetadata(&context, {}, &metadata).error_code(),
        grpc::StatusCode::UNAUTHENTICATED);
  }
  const auto device = enrol();
  grpc::ClientContext context;
  const auto status =
      pb::FleetService::NewStub(device->channel())->ListDevices(&context, {}, &devices);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_NE(status.error_message().find("/operator/"), std::string::npos);
}

TEST_F(ControllerIntegration, AnOldAgentIsToldToUpdateItself) {
  const auto device = enrol();
  Mailbox mailbox;
  pb::Hello hello;
  hello.set_protocol_version(0);
  device->connect(mailbox.handler(), hello);
  const auto status = device->wait_closed();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("the device speaks protocol 0"), std::string::npos)
      << status.error_message();
  EXPECT_NE(status.error_message().find("update the agent"), std::string::npos);
}

TEST_F(ControllerIntegration, ANewAgentThatNoLongerSpeaksOursSaysSo) {
  const auto device = enrol();
  Mailbox mailbox;
  pb::Hello hello;
  hello.set_protocol_version(7);
  hello.set_min_protocol_version(5);
  device->connect(mailbox.handler(), hello);
  const auto status = device->wait_closed();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("5 to 7"), std::string::npos) << status.error_message();
  EXPECT_NE(status.error_message().find("update the controller"), std::string::npos);
}

TEST_F(ControllerIntegration, ANewAgentThatStillSpeaksOursWorks) {
  const auto device = enrol();
  Mailbox mailbox;
  pb::Hello hello;
  hello.set_protocol_version(7);
  hello.set_min_protocol_version(1);
  hello.add_capabilities("something-new");
  device->connect(mailbox.handler(), hello);
  EXPECT_TRUE(mailbox.next(is_hello).has_hello());
}

TEST_F(ControllerIntegration, ABlobWithAnotherDigestIsNotStored) {
  const std::string claimed = Digest::of("what was announced").raw();
  const auto pushed = operator_->push_blob(claimed, "something of another digest");
  ASSERT_FALSE(pushed);
  EXPECT_NE(pushed.error().message().find("nothing was stored"), std::string::npos);
  grpc::ClientContext context;
  pb::MissingBlobsRequest request;
  request.add_digests(claimed);
  pb::MissingBlobsResponse missing;
  ASSERT_TRUE(operator_->fleet().MissingBlobs(&context, request, &missing).ok());
  EXPECT_EQ(missing.digests_size(), 1);
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() / "state" / "blobs" / "staging"));
}

TEST_F(ControllerIntegration, ABlobIsPushedOnceAndServedWholeAndInRanges) {
  std::string content(3'500'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = static_cast<char>(i * 31 + i / 997);
  }
  const std::string digest = Digest::of(content).raw();
  ASSERT_TRUE(operator_->push_blob(digest, content));
  const auto again = operator_->push_blob(digest, content);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->existed());

  const auto device = enrol();
  const auto whole = get_blob(*device, digest);
  ASSERT_TRUE(whole.status.ok()) << whole.status.error_message();
  std::string joined;
  for (const auto& chunk : whole.chunks) {
    EXPECT_EQ(chunk.offset(), joined.size());
    joined += chunk.data();
  }
  EXPECT_TRUE(joined == content);

  const auto parts = get_blob(*device, digest, {{2'000'000, 1'200'000}, {0, 1}, {3'499'999, 1}});
  ASSERT_TRUE(parts.status.ok());
  ASSERT_EQ(parts.chunks.size(), 4U);
  EXPECT_EQ(parts.chunks[0].offset(), 2'000'000U);
  EXPECT_EQ(parts.chunks[0].data() + parts.chunks[1].data(), content.substr(2'000'000, 1'200'000));
  EXPECT_EQ(parts.chunks[2].data(), content.substr(0, 1));
  EXPECT_EQ(parts.chunks[3].offset(), 3'499'999U);

  EXPECT_EQ(get_blob(*device, digest, {{3'499'999, 2}}).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(get_blob(*device, Digest::of("absent").raw()).status.error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(get_blob(*device, "short").status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ControllerIntegration, TelemetryIsStoredOnceHoweverOftenItIsSent) {
  const auto device = enrol();
  pb::DeviceMessage batch;
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    *batch.mutable_outbox()->add_records() = telemetry(seq, static_cast<double>(seq));
  }
  for (int round = 0; round < 2; ++round) {
    Mailbox mailbox;
    device->connect(mailbox.handler());
    const auto hello = mailbox.next(is_hello);
    EXPECT_EQ(hello.hello().acknowledged().count("telemetry"), round == 0 ? 0U : 1U);
    device->send(batch);
    EXPECT_EQ(mailbox.next(is_ack).ack().acknowledged().at("telemetry"), 3U);
    EXPECT_TRUE(device->close().ok());
  }
  grpc::ClientContext context;
  pb::QueryTelemetryRequest request;
  request.set_device_id(device->id());
  request.set_series("requests_total");
  pb::QueryTelemetryResponse response;
  ASSERT_TRUE(operator_->fleet().QueryTelemetry(&context, request, &response).ok());
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).points_size(), 6);
  EXPECT_EQ(response.results(0).labels().at("slot"), "default");
  ASSERT_EQ(response.streams_size(), 1);
  EXPECT_EQ(response.streams(0).records(), 3U);
  EXPECT_EQ(response.streams(0).duplicates_ignored(), 3U);
}

TEST_F(ControllerIntegration, MalformedOutboxRecordsEndTheStreamAndStoreNothing) {
  const auto device = enrol();
  Mailbox mailbox;
  device->connect(mailbox.handler());
  ASSERT_TRUE(mailbox.next(is_hello).has_hello());
  pb::DeviceMessage batch;
  *batch.mutable_outbox()->add_records() = telemetry(1, 1);
  auto bad = telemetry(2, 2);
  bad.mutable_telemetry()->mutable_series(0)->add_values(9);
  *batch.mutable_outbox()->add_records() = bad;
  device->send(batch);
  const auto status = device->wait_closed();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("3 values for 2 times"), std::string::npos);
  grpc::ClientContext context;
  pb::QueryTelemetryResponse response;
  ASSERT_TRUE(operator_->fleet().QueryTelemetry(&context, {}, &response).ok());
  EXPECT_EQ(response.streams_size(), 0);
}

TEST_F(ControllerIntegration, AFailedCanaryHaltsTheRolloutBeforeTheOthersGetIt) {
  const auto model = publish("1.0.0");
  const auto first = enrol();
  const auto second = enrol();
  Mailbox boxes[2];
  first->connect(boxes[0].handler());
  second->connect(boxes[1].handler());
  ASSERT_TRUE(boxes[0].next(is_hello).has_hello());
  ASSERT_TRUE(boxes[1].next(is_hello).has_hello());
  const auto created = operator_->roll_out(model, 1);
  ASSERT_TRUE(created);
  SimDevice& canary = created->devices(0).device_id() == first->id() ? *first : *second;
  Mailbox& mailbox = &canary == first.get() ? boxes[0] : boxes[1];
  const auto desired = mailbox.next(desires(model.target));
  ASSERT_TRUE(desired.has_desired());
  canary.send(report(desired.desired().slots(0), "QUARANTINED"));
  EXPECT_EQ(watch(created->rollout_id()).back(), pb::ROLLOUT_STATE_HALTED);
  const auto end = rollout(created->rollout_id());
  EXPECT_NE(end.reason().find(canary.id()), std::string::npos) << end.reason();
  EXPECT_NE(end.reason().find("3 of 10 answers were wrong"), std::string::npos) << end.reason();
  EXPECT_EQ(end.devices(0).status(), "failed");
  EXPECT_EQ(end.devices(1).status(), "waiting");
}

TEST_F(ControllerIntegration, ADeviceThatReturnsGetsTheNewestStateOnly) {
  const auto device = enrol();
  const auto old_model = publish("1.0.0", "old");
  const auto created = operator_->roll_out(old_model, 1);
  ASSERT_TRUE(created);
  grpc::ClientContext context;
  pb::RolloutActionRequest abort;
  abort.set_rollout_id(created->rollout_id());
  pb::Rollout aborted;
  ASSERT_TRUE(operator_->fleet().AbortRollout(&context, abort, &aborted).ok());
  EXPECT_EQ(aborted.state(), pb::ROLLOUT_STATE_ABORTED);
  const auto new_model = publish("1.1.0", "new");
  ASSERT_TRUE(operator_->roll_out(new_model, 1));
  Mailbox mailbox;
  device->connect(mailbox.handler());
  const auto message = mailbox.next([](const pb::ControllerMessage& m) { return m.has_desired(); });
  ASSERT_EQ(message.desired().slots_size(), 1);
  EXPECT_EQ(message.desired().slots(0).target(), new_model.target);
  EXPECT_EQ(message.desired().slots(0).generation(), 3U);
}

TEST_F(ControllerIntegration, APausedRolloutOffersNothingUntilItIsResumed) {
  const auto model = publish("1.0.0");
  const auto first = enrol();
  const auto second = enrol();
  Mailbox boxes[2];
  first->connect(boxes[0].handler());
  second->connect(boxes[1].handler());
  ASSERT_TRUE(boxes[0].next(is_hello).has_hello());
  ASSERT_TRUE(boxes[1].next(is_hello).has_hello());
  const auto created = operator_->roll_out(model, 1);
  ASSERT_TRUE(created);
  const bool first_is_canary = created->devices(0).device_id() == first->id();
  pb::RolloutActionRequest request;
  request.set_rollout_id(created->rollout_id());
  pb::Rollout out;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(operator_->fleet().PauseRollout(&context, request, &out).ok());
    EXPECT_EQ(out.state(), pb::ROLLOUT_STATE_PAUSED);
  }
  SimDevice& canary = first_is_canary ? *first : *second;
  SimDevice& other = first_is_canary ? *second : *first;
  const auto offered = boxes[first_is_canary ? 0 : 1].next(desires(model.target));
  canary.send(report(offered.desired().slots(0), "COMMITTED"));
  {
    grpc::ClientContext context;
    ASSERT_TRUE(operator_->fleet().ResumeRollout(&context, request, &out).ok());
  }
  const auto next = boxes[first_is_canary ? 1 : 0].next(desires(model.target));
  ASSERT_TRUE(next.has_desired());
  other.send(report(next.desired().slots(0), "COMMITTED"));
  EXPECT_EQ(watch(created->rollout_id()).back(), pb::ROLLOUT_STATE_DONE);
  grpc::ClientContext context;
  EXPECT_EQ(operator_->fleet().PauseRollout(&context, request, &out).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ControllerIntegration, MetadataByAnotherKeyIsNotPublished) {
  publish("1.0.0");
  const auto intruder = security::make_memory_signer(security::KeyAlgorithm::kEd25519);
  ASSERT_TRUE(intruder);
  const auto forged = operator_->sign_targets(**intruder);
  ASSERT_TRUE(forged) << forged.error().to_string();
  grpc::ClientContext context;
  pb::PublishRequest request;
  auto* file = request.add_metadata();
  file->set_name("2.targets.json");
  file->set_content(*forged);
  pb::PublishResponse response;
  const auto status = operator_->fleet().Publish(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
  grpc::ClientContext second;
  pb::GetControllerResponse controller;
  ASSERT_TRUE(operator_->fleet().GetController(&second, {}, &controller).ok());
  EXPECT_EQ(controller.image_targets_version(), 1U);
}

// Fetches as a device does.
class GrpcFetcher final : public security::tuf::Fetcher {
 public:
  explicit GrpcFetcher(SimDevice& device) : device_(device) {}
  Result<std::string> fetch(std::string_view name, std::size_t) override {
    grpc::ClientContext context;
    pb::GetMetadataRequest request;
    request.set_repository("image");
    request.set_name(std::string{name});
    pb::GetMetadataResponse response;
    const auto status = device_.stub().GetMetadata(&context, request, &response);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      return Error{Error::Code::kNotFound, status.error_message()};
    }
    if (!status.ok()) {
      return Error{Error::Code::kUnavailable, status.error_message()};
    }
    return response.content();
  }

 private:
  SimDevice& device_;
};

TEST_F(ControllerIntegration, ADeviceVerifiesWhatIsPublishedAndIsToldOfMore) {
  const auto model = publish("1.0.0");
  const auto device = enrol();
  Mailbox mailbox;
  device->connect(mailbox.handler());
  ASSERT_TRUE(mailbox.next(is_hello).has_hello());
  GrpcFetcher fetcher{*device};
  security::tuf::DirectoryMetadataStore store{fs_, dir_.path() / "device-meta"};
  security::tuf::Client client{store, fetcher};
  const auto root = fetcher.fetch("1.root.json", 1U << 20U);
  ASSERT_TRUE(root) << root.error().to_string();
  ASSERT_TRUE(client.bootstrap(*root));
  const security::TrustedTime time{clock_.wall_now(), security::TimeQuality::kSynchronised};
  const auto refreshed = client.refresh(time);
  ASSERT_TRUE(refreshed) << refreshed.error().to_string();
  ASSERT_NE(client.find_target(model.target), nullptr);
  EXPECT_EQ(client.find_target(model.target)->sha256()->to_string(), model.manifest_digest);

  const auto newer = publish("1.1.0", "newer");
  EXPECT_TRUE(mailbox.next([](const pb::ControllerMessage& m) { return m.has_metadata_changed(); })
                  .has_metadata_changed());
  ASSERT_TRUE(client.refresh(time));
  EXPECT_NE(client.find_target(newer.target), nullptr);
  // The manifest itself is a blob, by the digest that was signed.
  const auto digest = client.find_target(newer.target)->sha256();
  EXPECT_TRUE(get_blob(*device, digest->raw()).status.ok());
}

TEST_F(ControllerIntegration, AShrunkAuditLogIsFlaggedAtTheDevice) {
  const auto device = enrol();
  const auto key = security::make_memory_signer(security::KeyAlgorithm::kEd25519);
  ASSERT_TRUE(key);
  const auto hello_with = [&](std::uint64_t size) {
    security::Checkpoint checkpoint{"skerry.audit/sim", size, Digest::of(std::to_string(size))};
    pb::Hello hello;
    hello.set_protocol_version(1);
    hello.set_min_protocol_version(1);
    hello.mutable_audit()->set_size(size);
    hello.mutable_audit()->set_root(checkpoint.root.raw());
    hello.mutable_audit()->set_note(
        *security::sign_checkpoint(checkpoint, checkpoint.origin, **key));
    hello.mutable_audit()->set_verifier_key(
        *security::note_verifier_key(checkpoint.origin, (*key)->public_key()));
    return hello;
  };
  const auto flag_after = [&](std::uint64_t size) {
    Mailbox mailbox;
    device->connect(mailbox.handler(), hello_with(size));
    EXPECT_TRUE(mailbox.next(is_hello).has_hello());
    device->close();
    grpc::ClientContext context;
    pb::GetDeviceRequest request;
    request.set_device_id(device->id());
    pb::Device view;
    EXPECT_TRUE(operator_->fleet().GetDevice(&context, request, &view).ok());
    return view.audit_flag();
  };
  EXPECT_EQ(flag_after(20), "");
  EXPECT_EQ(flag_after(15), "rollback: the log had 20 records, now it has 15");
}

TEST_F(ControllerIntegration, ARestartKeepsDevicesRolloutsAndMarks) {
  const auto model = publish("1.0.0");
  const auto device = enrol();
  ASSERT_TRUE(operator_->roll_out(model, 1));
  const int port = controller_->port();
  controller_.reset();
  start(port);
  Mailbox mailbox;
  device->connect(mailbox.handler());
  const auto message = mailbox.next(desires(model.target));
  ASSERT_TRUE(message.has_desired());
  EXPECT_EQ(message.desired().slots(0).generation(), 1U);
}

TEST_F(ControllerIntegration, ASecondControllerOnTheSameStateIsRefused) {
  Config config;
  config.state_directory = dir_.path() / "state";
  config.server.listen = "127.0.0.1:0";
  const auto second =
      Controller::start(*Settings::finalize(std::move(config)), fs_, clock_, random_, Log{});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find("another controller is running"), std::string::npos);
}

TEST_F(ControllerIntegration, SecretsAreReadableByTheirOwnerAlone) {
  for (const auto* name : {"operator/operator.key",
                           "operator/operator.crt",
                           "operator/ca.crt",
                           "keys/ca.pem",
                           "keys/online.pem",
                           "keys/server.pem"}) {
    const auto status = fs_.status(dir_.path() / "state" / name);
    ASSERT_TRUE(status) << name;
    EXPECT_EQ(status->mode & 0777U, 0600U) << name;
  }
}

}  // namespace
}  // namespace skerry::controller
