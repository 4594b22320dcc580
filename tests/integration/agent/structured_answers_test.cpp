// Answers that follow a grammar or a schema, and log-probabilities, over gRPC and through a real
// worker with the null engine, which would answer with what it was asked.
#include <cmath>

#include <gmock/gmock.h>

#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace inference_pb = inference::v1;
using ::testing::HasSubstr;

class StructuredAnswers : public ::testing::Test {
 protected:
  struct Told {
    std::string text;
    std::vector<inference_pb::TokenLogProb> log_probs;
    std::string failure;
    grpc::Status status;
  };
  void SetUp() override {
    daemon_.activate_echo("1.0.0", 1);
    daemon_.start();
    stub_ = inference_pb::InferenceService::NewStub(daemon_.channel("api"));
  }
  static inference_pb::GenerateRequest request(const std::string& prompt) {
    inference_pb::GenerateRequest request;
    request.set_model("default");
    request.set_prompt(prompt);
    return request;
  }
  Told ask(const inference_pb::GenerateRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    auto reader = stub_->Generate(&context, request);
    Told told;
    inference_pb::GenerateEvent event;
    while (reader->Read(&event)) {
      told.text += event.delta().text();
      told.log_probs.insert(
          told.log_probs.end(), event.delta().logprobs().begin(), event.delta().logprobs().end());
      told.failure += event.failure().message();
    }
    told.status = reader->Finish();
    return told;
  }

  test::DaemonHarness daemon_;
  std::unique_ptr<inference_pb::InferenceService::Stub> stub_;
};

TEST_F(StructuredAnswers, FollowAGrammarASchemaOrAnyObject) {
  auto asked = request("maybe");
  asked.mutable_format()->set_gbnf("root ::= \"yes\" | \"no\"");
  EXPECT_THAT(ask(asked).text, testing::AnyOf("yes", "no"));
  asked.mutable_format()->set_json_schema(R"({"enum":["maybe not","yes"]})");
  asked.set_prompt("\"yes\" and no");
  EXPECT_EQ(ask(asked).text, "\"yes\"");
  asked.mutable_format()->set_json_object(true);
  asked.set_prompt("{\"a\": [1, 2]} and more");
  EXPECT_EQ(ask(asked).text, "{\"a\": [1, 2]}");
}

TEST_F(StructuredAnswers, WhatIsWrongIsToldBeforeAnythingIsAnswered) {
  auto asked = request("x");
  asked.mutable_format()->set_gbnf("root ::= \"a");
  const Told grammar = ask(asked);
  EXPECT_EQ(grammar.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(grammar.status.error_message(), HasSubstr("line 1, column 10"));
  asked.mutable_format()->set_json_schema(R"({"type":"string","pattern":"a"})");
  const Told schema = ask(asked);
  EXPECT_EQ(schema.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(schema.status.error_message(), HasSubstr("pattern"));
  asked.clear_format();
  asked.set_logprobs(21);
  EXPECT_EQ(ask(asked).status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// Hostile grammars cost their own request, and the worker goes on.
TEST_F(StructuredAnswers, AHostileGrammarHurtsNobodyElse) {
  auto hostile = request(std::string(60, ' '));
  hostile.mutable_format()->set_gbnf(
      "root ::= \" \" root p | \" \" root q | \"x\"\np ::= \"y\"\nq ::= \"y\"\n");
  hostile.set_max_tokens(60);
  EXPECT_EQ(ask(hostile).text, std::string(60, ' '));
  std::string wide = "root ::= ";
  for (int i = 0; i < 9000; ++i) {
    wide += "\"" + std::to_string(i) + "\"? ";
  }
  hostile.mutable_format()->set_gbnf(wide);
  EXPECT_THAT(ask(hostile).status.error_message(), HasSubstr("too many ways"));
  EXPECT_EQ(ask(request("still here")).text, "still here");
}

// 9 for what it says and 0 for its 257 other tokens.
TEST_F(StructuredAnswers, LogProbabilitiesAreThoseOfTheModel) {
  auto asked = request("ab");
  asked.set_logprobs(1);
  asked.mutable_format()->set_gbnf("root ::= \"ax\"");
  const Told told = ask(asked);
  ASSERT_EQ(told.log_probs.size(), 2U);
  const double total = std::log(std::exp(9.0) + 257.0);
  EXPECT_EQ(told.log_probs[0].chosen().piece(), "a");
  EXPECT_NEAR(told.log_probs[0].chosen().logprob(), 9.0 - total, 1e-5);
  EXPECT_EQ(told.log_probs[1].chosen().piece(), "x");
  EXPECT_NEAR(told.log_probs[1].chosen().logprob(), -total, 1e-5);
  ASSERT_EQ(told.log_probs[1].top_size(), 1);
  EXPECT_EQ(told.log_probs[1].top(0).piece(), "b");
}

}  // namespace
}  // namespace skerry
