// A client that asks for a stream and does not read it: others are answered meanwhile, and after
// the write timeout its request is cancelled and forgotten, over gRPC and over HTTP.
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <grpc/impl/codegen/grpc_types.h>

#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace inference_v1 = inference::v1;

using ::testing::HasSubstr;
using ::testing::Not;

// Two milliseconds each: the whole answer takes longer than the timeout.
constexpr std::size_t kTokens = 2000;
constexpr std::chrono::seconds kSoon{20};

class SlowReader : public ::testing::Test {
 protected:
  SlowReader() {
    daemon_.activate_echo("1.0.0", 1, {{"step_ms", "2"}});
    daemon_.start("[http]\nwrite_timeout = \"500ms\"\n", "write_timeout = \"500ms\"\n");
  }

  static bool eventually(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + kSoon;
    while (std::chrono::steady_clock::now() < deadline) {
      if (holds()) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    return holds();
  }

  double aborted() const {
    return daemon_.metric("vllm:request_success_total", "finished_reason=\"abort\"");
  }
  double in_flight() const {
    return daemon_.metric("vllm:num_requests_running") +
           daemon_.metric("vllm:num_requests_waiting");
  }

  // It is repeated.
  static inference_v1::GenerateRequest question(std::size_t length) {
    inference_v1::GenerateRequest request;
    request.set_model("default");
    request.set_prompt(std::string(length, 'x'));
    return request;
  }

  // A short question of somebody who reads.
  void expect_others_answered() {
    auto stub = inference_v1::InferenceService::NewStub(daemon_.channel("api"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kSoon);
    const auto reader = stub->Generate(&context, question(5));
    inference_v1::GenerateEvent event;
    std::string text;
    while (reader->Read(&event)) {
      text += event.delta().text();
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message() << daemon_.log();
    EXPECT_EQ(text, "xxxxx");
  }

  test::DaemonHarness daemon_;
};

TEST_F(SlowReader, OverGrpcLosesItsCallAndHoldsNobodyUp) {
  grpc::ChannelArguments small;
  // What the client's transport takes ahead of its reader.
  small.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 512);
  small.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  auto stub = inference_v1::InferenceService::NewStub(grpc::CreateCustomChannel(
      "unix:" + daemon_.socket("api"), grpc::InsecureChannelCredentials(), small));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kSoon * 2);
  const auto reader = stub->Generate(&context, question(kTokens));
  reader->WaitForInitialMetadata();
  expect_others_answered();
  EXPECT_TRUE(eventually([&] { return aborted() == 1; })) << daemon_.log();
  EXPECT_TRUE(eventually([&] { return in_flight() == 0; })) << daemon_.log();
  EXPECT_THAT(daemon_.log(), HasSubstr("event=grpc.slow_reader"));
  inference_v1::GenerateEvent event;
  std::size_t got = 0;
  while (reader->Read(&event)) {
    got += event.delta().text().size();
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_LT(got, kTokens);
  expect_others_answered();
}

TEST_F(SlowReader, OverHttpIsDisconnectedAndHoldsNobodyUp) {
  const UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = daemon_.socket("http");
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            0);
  const std::string request = test::post(
      "/v1/completions",
      R"({"model":"default","stream":true,"temperature":0,"max_tokens":2000,"prompt":")" +
          std::string(kTokens, 'x') + R"("})");
  ASSERT_EQ(::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  ASSERT_TRUE(eventually([&] { return in_flight() >= 1; })) << daemon_.log();
  expect_others_answered();
  EXPECT_TRUE(eventually([&] { return aborted() == 1; })) << daemon_.log();
  EXPECT_TRUE(eventually([&] { return in_flight() == 0; })) << daemon_.log();
  std::string answer;
  char buffer[4096];
  for (ssize_t n = ::recv(socket.get(), buffer, sizeof buffer, 0); n > 0;
       n = ::recv(socket.get(), buffer, sizeof buffer, 0)) {
    answer.append(buffer, static_cast<std::size_t>(n));
  }
  EXPECT_THAT(answer, HasSubstr("data: "));
  EXPECT_THAT(answer, Not(HasSubstr("[DONE]")));
  expect_others_answered();
}

}  // namespace
}  // namespace skerry
