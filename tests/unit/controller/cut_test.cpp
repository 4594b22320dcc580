// A device that is revoked while a blob is being sent to it.

#include <optional>

#include <grpcpp/support/client_callback.h>

#include "controller_rig.hpp"

namespace skerry::controller {
namespace {

// More than the windows of a connection hold.
constexpr std::size_t kLargeBlob = 64U << 20U;

class CutTest : public ControllerIntegration {
 protected:
  void SetUp() override {
    ControllerIntegration::SetUp();
    std::string content(kLargeBlob, '\0');
    for (std::size_t i = 0; i < content.size(); i += 4096) {
      content[i] = static_cast<char>(i / 4096);
    }
    digest_ = Digest::of(content).raw();
    ASSERT_TRUE(operator_->push_blob(digest_, content));
    device_ = enrol();
  }

  grpc::Status act(grpc::Status (pb::FleetService::Stub::*call)(grpc::ClientContext*,
                                                                const pb::DeviceActionRequest&,
                                                                pb::Device*)) {
    grpc::ClientContext context;
    pb::DeviceActionRequest request;
    request.set_device_id(device_->id());
    request.set_reason("lost");
    pb::Device out;
    return (operator_->fleet().*call)(&context, request, &out);
  }
  grpc::Status revoke() { return act(&pb::FleetService::Stub::RevokeDevice); }

  pb::GetBlobRequest whole() const {
    pb::GetBlobRequest request;
    request.set_digest(digest_);
    return request;
  }

  std::string digest_;
  std::unique_ptr<SimDevice> device_;
};

TEST_F(CutTest, ATransferThatRunsEndsAndSaysWhy) {
  grpc::ClientContext context;
  const auto reader = device_->stub().GetBlob(&context, whole());
  pb::BlobChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  std::size_t received = chunk.data().size();
  const auto revoked = revoke();
  ASSERT_TRUE(revoked.ok()) << revoked.error_message();
  while (reader->Read(&chunk)) {
    received += chunk.data().size();
  }
  const auto status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_NE(status.error_message().find("revoked"), std::string::npos) << status.error_message();
  EXPECT_LT(received, kLargeBlob);

  // No new one either, until an operator takes it back.
  EXPECT_EQ(get_blob(*device_, digest_, {{0, 1}}).status.error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  ASSERT_TRUE(act(&pb::FleetService::Stub::ReinstateDevice).ok());
  EXPECT_TRUE(get_blob(*device_, digest_, {{0, 1}}).status.ok());
}

// What a simulated device's channel takes without being read
// (GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES).
constexpr std::size_t kStreamWindow = std::size_t{8} << 20U;

// Takes one message and then none, until it is told to take what has come.
class StalledReader final : public grpc::ClientReadReactor<pb::BlobChunk> {
 public:
  StalledReader(pb::DeviceService::Stub& stub, const pb::GetBlobRequest& request) {
    stub.async()->GetBlob(&context_, &request, this);
    StartRead(&chunk_);
    // Reads begin from outside of reactions.
    AddHold();
    StartCall();
  }
  bool wait_first() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, kPatience, [&] { return received_ > 0; });
  }
  // Nothing is read for that long.
  void stall(std::chrono::seconds time) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, time, [&] { return ended_.has_value(); });
  }
  grpc::Status drain() {
    {
      const std::lock_guard lock{mutex_};
      draining_ = true;
    }
    StartRead(&chunk_);
    RemoveHold();
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return ended_.has_value(); });
    return *ended_;
  }
  [[nodiscard]] std::size_t received() const { return received_; }

 private:
  void OnReadDone(bool ok) override {
    bool more = false;
    {
      const std::lock_guard lock{mutex_};
      received_ += ok ? chunk_.data().size() : 0;
      more = ok && draining_;
      changed_.notify_all();
    }
    if (more) {
      StartRead(&chunk_);
    }
  }
  void OnDone(const grpc::Status& status) override {
    const std::lock_guard lock{mutex_};
    ended_ = status;
    changed_.notify_all();
  }

  grpc::ClientContext context_;
  pb::BlobChunk chunk_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t received_ = 0;
  bool draining_ = false;
  std::optional<grpc::Status> ended_;
};

// Its message is never taken, so that it cannot be told why; the call ends a second later. (One
// that still ran would give the reason now that the device reads.)
TEST_F(CutTest, ATransferThatTheDeviceDoesNotReadEndsToo) {
  const auto request = whole();
  StalledReader reader{device_->stub(), request};
  ASSERT_TRUE(reader.wait_first());
  ASSERT_TRUE(revoke().ok());
  reader.stall(std::chrono::seconds{4});
  const auto status = reader.drain();
  // Revoked while no message waited for the window, there was still room to give the reason.
  const bool told = status.error_code() == grpc::StatusCode::PERMISSION_DENIED &&
                    reader.received() <= kStreamWindow;
  EXPECT_TRUE(told || status.error_code() == grpc::StatusCode::CANCELLED)
      << status.error_code() << " " << status.error_message() << " after " << reader.received();
  EXPECT_LT(reader.received(), kLargeBlob);
}

TEST_F(CutTest, TransfersOfOthersGoOn) {
  const auto other = enrol();
  grpc::ClientContext context;
  const auto reader = other->stub().GetBlob(&context, whole());
  pb::BlobChunk chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  std::size_t received = chunk.data().size();
  ASSERT_TRUE(revoke().ok());
  while (reader->Read(&chunk)) {
    received += chunk.data().size();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(received, kLargeBlob);
}

}  // namespace
}  // namespace skerry::controller
