// Guesses at what is said again: skerryd as a process, with the null engine, whose batches take the
// same time however many rows they have.

#include <chrono>
#include <string>

#include <gmock/gmock.h>

#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace pb = inference::v1;
using test::DaemonHarness;
using ::testing::HasSubstr;

constexpr const char* kDrafts = "vllm:spec_decode_num_drafts_total";
constexpr const char* kGuessed = "vllm:spec_decode_num_draft_tokens_total";
constexpr const char* kAccepted = "vllm:spec_decode_num_accepted_tokens_total";

class Drafting : public ::testing::Test {
 protected:
  Drafting() {
    for (int i = 0; i < 20; ++i) {
      text_ += "disk sda is full\n";
    }
  }
  std::string ask() {
    auto stub = pb::InferenceService::NewStub(daemon_.channel("api"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    pb::GenerateRequest request;
    request.set_model("default");
    request.set_prompt(text_);
    request.mutable_sampling()->set_temperature(0);
    auto reader = stub->Generate(&context, request);
    std::string answer;
    for (pb::GenerateEvent event; reader->Read(&event);) {
      answer += event.has_delta() ? event.delta().text() : "";
      tokens_ = event.has_done() ? event.done().usage().completion_tokens() : tokens_;
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message() << daemon_.log();
    return answer;
  }

  DaemonHarness daemon_;
  std::string text_;
  std::size_t tokens_ = 0;
};

TEST_F(Drafting, WhatIsSaidAgainIsGuessedAndCounted) {
  daemon_.activate_echo("1.0.0", 1, {{"step_ms", "5"}, {"drafts", "1"}});
  daemon_.start();
  EXPECT_EQ(ask(), text_);
  EXPECT_EQ(tokens_, text_.size());
  const double accepted = daemon_.metric(kAccepted);
  EXPECT_GT(accepted, static_cast<double>(text_.size()) / 4);
  EXPECT_LT(accepted, static_cast<double>(text_.size()));
  EXPECT_GE(daemon_.metric(kGuessed), accepted);
  EXPECT_GT(daemon_.metric(kDrafts), 0);
}

TEST_F(Drafting, OffIsOff) {
  daemon_.activate_echo("1.0.0", 1, {{"drafts", "1"}});
  daemon_.start({}, {}, "drafting = \"off\"\n");
  EXPECT_EQ(ask(), text_);
  EXPECT_EQ(daemon_.metric(kDrafts), 0);
}

// As an engine says that cannot take tokens back.
TEST_F(Drafting, AnEngineWithoutIsLeftAlone) {
  daemon_.activate_echo("1.0.0", 1);
  daemon_.start();
  EXPECT_EQ(ask(), text_);
  EXPECT_EQ(daemon_.metric(kDrafts), 0);
}

}  // namespace
}  // namespace skerry
