// A client that leaves, or whose deadline passes, while a call with one answer is under way: the
// worker stops within one chunk and the daemon forgets the request. The null engine is slowed down
// so that without cancellation each of these calls would run for minutes.
#include <atomic>
#include <functional>
#include <thread>

#include <gmock/gmock.h>

#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"
#include "inference/grpc_predict_v2.grpc.pb.h"

namespace skerry {
namespace {

namespace inference_v1 = inference::v1;

constexpr int kTexts = 600;
// Far below what an uncancelled call takes, far above one chunk.
constexpr std::chrono::seconds kSoon{10};

class ClientLeaves : public ::testing::Test {
 protected:
  void start(const std::string& step_ms) {
    daemon_.activate_echo("1.0.0", 1, {{"step_ms", step_ms}});
    daemon_.start();
    stub_ = inference_v1::InferenceService::NewStub(daemon_.channel("api"));
  }

  bool eventually(const std::function<bool()>& holds) const {
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (std::chrono::steady_clock::now() < deadline) {
      if (holds()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    return holds();
  }

  bool cancel_by_id(const std::string& id) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kSoon);
    inference_v1::CancelRequest request;
    request.set_request_id(id);
    inference_v1::CancelResponse response;
    return stub_->Cancel(&context, request, &response).ok() && response.found();
  }

  inference_v1::EmbedRequest long_embedding() const {
    inference_v1::EmbedRequest request;
    request.set_model("default");
    for (int i = 0; i < kTexts; ++i) {
      request.add_input(std::string(2000, 'x'));
    }
    return request;
  }

  static inference_v1::InferRequest tensor_request() {
    inference_v1::InferRequest request;
    request.set_model("default");
    auto& input = *request.add_inputs();
    input.set_name("x");
    input.set_datatype("UINT8");
    input.add_shape(1);
    input.set_data("x");
    return request;
  }

  // In a worker; what only waits for the model to be loaded is not counted.
  double running() const { return daemon_.metric("vllm:num_requests_running"); }
  double failed(const std::string& code) const {
    return daemon_.metric("skerry_request_failure_total", "code=\"" + code + "\"");
  }

  // That the worker is free again: it answers a short call of its own at once.
  void expect_worker_free() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kSoon);
    inference_v1::EmbedRequest request;
    request.set_model("default");
    request.add_input("x");
    inference_v1::EmbedResponse response;
    const grpc::Status status = stub_->Embed(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message() << daemon_.log();
  }

  test::DaemonHarness daemon_;
  std::unique_ptr<inference_v1::InferenceService::Stub> stub_;
};

TEST_F(ClientLeaves, AnEmbeddingWhoseClientGoesIsStoppedInTheWorker) {
  start("100");
  expect_worker_free();
  grpc::ClientContext context;
  std::atomic<bool> answered{false};
  grpc::Status status;
  std::thread client{[&] {
    inference_v1::EmbedResponse response;
    status = stub_->Embed(&context, long_embedding(), &response);
    answered = true;
  }};
  ASSERT_TRUE(eventually([&] { return running() == 1; })) << daemon_.log();
  EXPECT_FALSE(answered);
  context.TryCancel();
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(eventually([&] { return running() == 0; })) << daemon_.log();
  EXPECT_EQ(failed("cancelled"), 1);
  expect_worker_free();
}

TEST_F(ClientLeaves, ATensorCallWhoseDeadlinePassesIsStoppedInTheEngine) {
  start("120000");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds{700});
  inference_v1::InferResponse response;
  const grpc::Status status = stub_->Infer(&context, tensor_request(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(eventually([&] { return running() == 0; })) << daemon_.log();
  EXPECT_EQ(failed("cancelled") + failed("deadline_exceeded"), 1);
}

TEST_F(ClientLeaves, ATensorCallOfBothProtocolsIsStoppedInTheEngine) {
  // One step is longer than this test may last.
  start("120000");
  auto kserve = ::inference::GRPCInferenceService::NewStub(daemon_.channel("api"));
  grpc::ClientContext first;
  grpc::ClientContext second;
  std::thread ours{[&] {
    inference_v1::InferResponse response;
    EXPECT_EQ(stub_->Infer(&first, tensor_request(), &response).error_code(),
              grpc::StatusCode::CANCELLED);
  }};
  std::thread theirs{[&] {
    ::inference::ModelInferRequest request;
    request.set_model_name("default");
    auto& input = *request.add_inputs();
    input.set_name("x");
    input.set_datatype("UINT8");
    input.add_shape(1);
    request.add_raw_input_contents("x");
    ::inference::ModelInferResponse response;
    EXPECT_EQ(kserve->ModelInfer(&second, request, &response).error_code(),
              grpc::StatusCode::CANCELLED);
  }};
  EXPECT_TRUE(eventually([&] { return running() == 2; })) << daemon_.log();
  first.TryCancel();
  second.TryCancel();
  ours.join();
  theirs.join();
  EXPECT_TRUE(eventually([&] { return running() == 0; })) << daemon_.log();
  EXPECT_EQ(failed("cancelled"), 2);
}

TEST_F(ClientLeaves, CancelReachesACallWithOneAnswer) {
  start("120000");
  grpc::Status status;
  std::thread client{[&] {
    grpc::ClientContext context;
    inference_v1::InferRequest request = tensor_request();
    request.set_request_id("slow-1");
    inference_v1::InferResponse response;
    status = stub_->Infer(&context, request, &response);
  }};
  EXPECT_TRUE(eventually([&] { return running() == 1; })) << daemon_.log();
  EXPECT_TRUE(cancel_by_id("slow-1"));
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED) << status.error_message();
}

}  // namespace
}  // namespace skerry
