#pragma once

// The whole controller in this process, spoken to over real mTLS on loopback by simulated operators
// and devices. For the integration tests of this folder.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include <gtest/gtest.h>

#include "skerry/controller/controller.hpp"

#include "fleet_sim.hpp"
#include "temp_dir.hpp"

namespace skerry::controller {

namespace pb = fleet::v1;
using sim::SimDevice;
using sim::SimOperator;

constexpr std::chrono::seconds kPatience{20};

// Messages of one device, waited for without sleeping.
class Mailbox {
 public:
  void put(const pb::ControllerMessage& message) {
    const std::lock_guard lock{mutex_};
    messages_.push_back(message);
    changed_.notify_all();
  }

  // The next message that `wanted` likes; earlier ones are dropped. Default-constructed at timeout.
  pb::ControllerMessage next(const std::function<bool(const pb::ControllerMessage&)>& wanted) {
    std::unique_lock lock{mutex_};
    pb::ControllerMessage found;
    const bool got = changed_.wait_for(lock, kPatience, [&] {
      while (!messages_.empty()) {
        found = std::move(messages_.front());
        messages_.pop_front();
        if (wanted(found)) {
          return true;
        }
      }
      return false;
    });
    return got ? found : pb::ControllerMessage{};
  }

  SimDevice::Handler handler() {
    return [this](SimDevice&, const pb::ControllerMessage& message) { put(message); };
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<pb::ControllerMessage> messages_;
};

inline bool is_hello(const pb::ControllerMessage& message) {
  return message.has_hello();
}
class ControllerIntegration : public ::testing::Test {
 protected:
  void SetUp() override { start(); }

  void start(int port = 0) {
    Config config;
    config.state_directory = dir_.path() / "state";
    config.server.listen = "127.0.0.1:" + std::to_string(port);
    config.server.drain = std::chrono::milliseconds{500};
    auto settings = Settings::finalize(std::move(config));
    ASSERT_TRUE(settings) << settings.error().to_string();
    auto started = Controller::start(std::move(*settings), fs_, clock_, random_, Log{});
    ASSERT_TRUE(started) << started.error().to_string();
    controller_ = std::move(*started);
    address_ = "127.0.0.1:" + std::to_string(controller_->port());
    if (!operator_) {
      operator_ = std::make_unique<SimOperator>(address_, dir_.path() / "state" / "operator");
    }
  }

  std::unique_ptr<SimDevice> enrol() {
    const auto token = operator_->token();
    EXPECT_TRUE(token) << token.error().to_string();
    auto device = SimDevice::enrol(address_, operator_->ca_pem(), *token);
    EXPECT_TRUE(device) << device.error().to_string();
    return std::move(*device);
  }

  sim::PublishedModel publish(const std::string& version, const std::string& weights = "weights") {
    const auto model = operator_->publish_model("log-triage", version, weights);
    EXPECT_TRUE(model) << model.error().to_string();
    return model ? *model : sim::PublishedModel{};
  }

  pb::Rollout rollout(const std::string& id) {
    grpc::ClientContext context;
    pb::GetRolloutRequest request;
    request.set_rollout_id(id);
    pb::Rollout out;
    const auto status = operator_->fleet().GetRollout(&context, request, &out);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return out;
  }

  // Every state that WatchRollout shows until the rollout ends.
  std::vector<pb::RolloutState> watch(const std::string& id) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    pb::GetRolloutRequest request;
    request.set_rollout_id(id);
    const auto reader = operator_->fleet().WatchRollout(&context, request);
    std::vector<pb::RolloutState> states;
    pb::Rollout message;
    while (reader->Read(&message)) {
      states.push_back(message.state());
    }
    const auto status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return states;
  }

  std::vector<std::string> audit() {
    grpc::ClientContext context;
    pb::TailControllerAuditRequest request;
    request.set_last(1000);
    const auto reader = operator_->fleet().TailAudit(&context, request);
    std::vector<std::string> records;
    pb::ControllerAuditRecord record;
    while (reader->Read(&record)) {
      records.push_back(record.json());
    }
    EXPECT_TRUE(reader->Finish().ok());
    return records;
  }

  // Blobs as the bytes of BlobChunk messages.
  struct Fetched {
    grpc::Status status;
    std::vector<pb::BlobChunk> chunks;
  };
  static Fetched get_blob(SimDevice& device,
                          const std::string& digest,
                          const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges = {}) {
    grpc::ClientContext context;
    pb::GetBlobRequest request;
    request.set_digest(digest);
    for (const auto& [offset, length] : ranges) {
      auto* range = request.add_ranges();
      range->set_offset(offset);
      range->set_length(length);
    }
    const auto reader = device.stub().GetBlob(&context, request);
    Fetched out;
    pb::BlobChunk chunk;
    while (reader->Read(&chunk)) {
      out.chunks.push_back(chunk);
    }
    out.status = reader->Finish();
    return out;
  }

  test::TempDir dir_;
  SystemFileSystem fs_;
  SystemClock clock_;
  SystemRandom random_;
  std::unique_ptr<Controller> controller_;
  std::string address_;
  std::unique_ptr<SimOperator> operator_;
};

}  // namespace skerry::controller
