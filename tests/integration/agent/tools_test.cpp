// Tools and thoughts over gRPC and through a real worker with the null engine, which answers with
// what it was asked: its calls look like Qwen's.
#include <gmock/gmock.h>

#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace inference_pb = inference::v1;
using ::testing::HasSubstr;

class Tools : public ::testing::Test {
 protected:
  struct Told {
    std::string text;
    std::string reasoning;
    std::vector<std::string> calls;  // "name arguments"
    std::vector<std::string> ids;
    inference_pb::FinishReason reason = inference_pb::FINISH_REASON_UNSPECIFIED;
    grpc::Status status;
  };
  void SetUp() override {
    daemon_.activate_echo("1.0.0", 1);
    daemon_.start();
    stub_ = inference_pb::InferenceService::NewStub(daemon_.channel("api"));
  }
  static inference_pb::ChatRequest asking(const std::string& content) {
    inference_pb::ChatRequest request;
    request.set_model("default");
    inference_pb::Message& message = *request.add_messages();
    message.set_role("user");
    message.set_content(content);
    return request;
  }
  static inference_pb::ChatRequest with_tool(const std::string& content) {
    inference_pb::ChatRequest request = asking(content);
    inference_pb::Tool& tool = *request.add_tools();
    tool.set_name("f");
    tool.set_parameters_json(
        R"({"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":false})");
    return request;
  }
  Told ask(const inference_pb::ChatRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    auto reader = stub_->Chat(&context, request);
    Told told;
    inference_pb::GenerateEvent event;
    while (reader->Read(&event)) {
      told.text += event.delta().text();
      told.reasoning += event.reasoning().text();
      if (event.has_tool_call()) {
        const inference_pb::ToolCallDelta& call = event.tool_call();
        if (!call.name().empty()) {
          told.calls.push_back(call.name() + " ");
          told.ids.push_back(call.id());
        }
        EXPECT_EQ(call.index() + 1, told.calls.size());
        told.calls.back() += call.arguments();
      }
      if (event.has_done()) {
        told.reason = event.done().reason();
      }
    }
    told.status = reader->Finish();
    return told;
  }

  test::DaemonHarness daemon_;
  std::unique_ptr<inference_pb::InferenceService::Stub> stub_;
};

TEST_F(Tools, ACallIsTakenOutOfTheAnswer) {
  const Told told = ask(with_tool(
      "One moment.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 12}}\n</tool_call>"));
  EXPECT_TRUE(told.status.ok()) << told.status.error_message();
  EXPECT_EQ(told.text, "One moment.");
  EXPECT_THAT(told.calls, testing::ElementsAre("f {\"a\": 12}"));
  EXPECT_EQ(told.ids.at(0).size(), 9U);
  EXPECT_EQ(told.reason, inference_pb::FINISH_REASON_TOOL_CALLS);
}

TEST_F(Tools, AnAnswerWithoutACallIsText) {
  const Told told = ask(with_tool("no <tool call> at all"));
  EXPECT_EQ(told.text, "no <tool call> at all");
  EXPECT_TRUE(told.calls.empty());
  EXPECT_EQ(told.reason, inference_pb::FINISH_REASON_STOP);
}

TEST_F(Tools, ACallCanBeForcedOrForbidden) {
  auto forced = with_tool("{\"name\": \"f\", \"arguments\": {}}</tool_call>");
  forced.mutable_tool_choice()->set_mode(inference_pb::ToolChoice::MODE_REQUIRED);
  forced.set_no_parallel_tool_calls(true);
  EXPECT_THAT(ask(forced).calls, testing::ElementsAre("f {}"));
  forced.mutable_tool_choice()->set_mode(inference_pb::ToolChoice::MODE_NAMED);
  forced.mutable_tool_choice()->set_name("f");
  EXPECT_THAT(ask(forced).calls, testing::ElementsAre("f {}"));
  forced.mutable_tool_choice()->set_name("g");
  EXPECT_EQ(ask(forced).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  auto forbidden = with_tool("<tool_call>{}");
  forbidden.mutable_tool_choice()->set_mode(inference_pb::ToolChoice::MODE_NONE);
  EXPECT_EQ(ask(forbidden).text, "<tool_call>{}");
}

TEST_F(Tools, ThoughtsAreToldApart) {
  const Told told = ask(asking("<think>\nlet me see\n</think>\n\nyes"));
  EXPECT_EQ(told.reasoning, "let me see");
  EXPECT_EQ(told.text, "yes");
  EXPECT_EQ(told.reason, inference_pb::FINISH_REASON_STOP);
}

TEST_F(Tools, WhatIsWrongIsToldBeforeAnythingIsAnswered) {
  auto request = with_tool("x");
  request.mutable_tools(0)->set_name("a b");
  EXPECT_THAT(ask(request).status.error_message(), HasSubstr("tools.name"));
  request = with_tool("x");
  *request.add_tools() = request.tools(0);
  EXPECT_THAT(ask(request).status.error_message(), HasSubstr("another tool"));
  request = with_tool("x");
  request.mutable_tools(0)->set_parameters_json("[");
  EXPECT_THAT(ask(request).status.error_message(), HasSubstr("parameters_json"));
  request = with_tool("x");
  request.mutable_tools(0)->set_strict(true);
  request.mutable_tools(0)->set_parameters_json(
      R"({"type":"object","properties":{"a":{"type":"string","pattern":"x"}}})");
  EXPECT_THAT(ask(request).status.error_message(), HasSubstr("pattern"));
  request = with_tool("x");
  request.mutable_format()->set_json_object(true);
  EXPECT_THAT(ask(request).status.error_message(), HasSubstr("format"));
}

}  // namespace
}  // namespace skerry
