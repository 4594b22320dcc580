// Prompts that the operator pinned with a model: skerryd as a process, with the null engine.

#include "skerry/registry/pinned_prompts.hpp"

#include <chrono>
#include <thread>

#include <gmock/gmock.h>

#include "skerry/admin/v1/admin.grpc.pb.h"
#include "skerry/inference/v1/inference.grpc.pb.h"
#include "skerry/models/v1/models.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace pb = inference::v1;
using test::DaemonHarness;
using ::testing::HasSubstr;
using ::testing::Not;

class PinnedPrompts : public ::testing::Test {
 protected:
  // A chat's prompt is all that was said; reading it takes long enough to be worth a file.
  void activate(const std::string& pinned) {
    daemon_.activate_echo("1.0.0", 1, {{"step_ms", "40"}, {"chat", "whole"}}, "default", pinned);
  }
  std::string prompts() const {
    auto text = registry::serialise_pinned_prompts({{"support", {{"system", system_}}}});
    EXPECT_TRUE(text);
    return *text;
  }
  // The tokens of the prompt that were not computed.
  std::uint32_t ask() {
    auto stub = pb::InferenceService::NewStub(daemon_.channel("api"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    pb::ChatRequest request;
    request.set_model("default");
    request.set_max_tokens(2);
    auto* first = request.add_messages();
    first->set_role("system");
    first->set_content(system_);
    auto* second = request.add_messages();
    second->set_role("user");
    second->set_content("hello");
    auto reader = stub->Chat(&context, request);
    std::uint32_t cached = 0;
    for (pb::GenerateEvent event; reader->Read(&event);) {
      cached = event.has_done() ? event.done().usage().cached_tokens() : cached;
    }
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message() << daemon_.log();
    return cached;
  }
  models::v1::Model load() {
    auto stub = models::v1::ModelService::NewStub(daemon_.channel("api"));
    {
      grpc::ClientContext context;
      models::v1::LoadModelRequest request;
      request.set_model("default");
      auto reader = stub->LoadModel(&context, request);
      for (models::v1::LoadProgress progress; reader->Read(&progress);) {
      }
      EXPECT_TRUE(reader->Finish().ok()) << daemon_.log();
    }
    // Until nothing is computed any more.
    models::v1::Model model;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    bool computing = true;
    while (computing && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
      grpc::ClientContext context;
      models::v1::GetModelRequest request;
      request.set_model("default");
      EXPECT_TRUE(stub->GetModel(&context, request, &model).ok());
      computing = model.pinned_prompts().empty() || model.pinned_prompts(0).state() == "computing";
    }
    return model;
  }
  admin::v1::GetStatusResponse status() {
    auto stub = admin::v1::AdminService::NewStub(daemon_.channel("admin"));
    grpc::ClientContext context;
    admin::v1::GetStatusResponse response;
    EXPECT_TRUE(stub->GetStatus(&context, {}, &response).ok());
    return response;
  }
  void wait_for(const std::string& metric, double value) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (daemon_.metric(metric) < value) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << metric << daemon_.log();
      std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
  }

  DaemonHarness daemon_;
  const std::string system_ = std::string(400, 'x');
};

TEST_F(PinnedPrompts, AreWarmBeforeAnybodyAsksAndAfterARestart) {
  activate(prompts());
  daemon_.start();
  const models::v1::Model model = load();
  ASSERT_EQ(model.pinned_prompts_size(), 1) << daemon_.log();
  EXPECT_EQ(model.pinned_prompts(0).name(), "support");
  EXPECT_EQ(model.pinned_prompts(0).state(), "ready") << model.pinned_prompts(0).problem();
  const std::uint32_t kept = model.pinned_prompts(0).tokens();
  EXPECT_EQ(kept, 384U) << "whole blocks";
  EXPECT_EQ(ask(), kept) << "the first request";
  EXPECT_EQ(daemon_.metric("skerry_pinned_prompts", "state=\"ready\""), 1);
  EXPECT_EQ(daemon_.metric("skerry_pinned_prompt_tokens"), kept);
  wait_for("skerry_prefix_disk_saved_total", 1);
  const auto seen = status();
  ASSERT_EQ(seen.workers_size(), 1);
  EXPECT_EQ(seen.workers(0).pinned_prompts_size(), 1);
  EXPECT_GE(seen.prefix_disk().pinned(), 1U);
  EXPECT_GT(seen.prefix_disk().bytes(), 0U);
  EXPECT_EQ(seen.prefix_disk().limit_bytes(), 256U << 20U);
  daemon_.process().stop(SIGTERM);
  EXPECT_THAT(daemon_.log(), Not(HasSubstr("level=error")));
  std::filesystem::remove(daemon_.dir() / "log");

  daemon_.start();
  EXPECT_EQ(status().prefix_disk().pinned(), 1U);
  EXPECT_EQ(load().pinned_prompts(0).state(), "ready");
  EXPECT_GE(daemon_.metric("skerry_prefix_disk_hits_total"), 1) << "read, not computed";
  EXPECT_EQ(ask(), kept);
}

TEST_F(PinnedPrompts, ABrokenOneIsAWarning) {
  activate("{}");
  daemon_.start();
  const models::v1::Model model = load();
  ASSERT_EQ(model.pinned_prompts_size(), 1);
  EXPECT_EQ(model.pinned_prompts(0).state(), "failed");
  EXPECT_THAT(daemon_.log(), HasSubstr("model.prompts_refused"));
  EXPECT_EQ(ask(), 0U);
}

TEST_F(PinnedPrompts, OneThatIsTooLongIsAWarning) {
  auto text = registry::serialise_pinned_prompts(
      {{"long", {{"system", std::string(60'000, 'y')}}}, {"support", {{"system", system_}}}});
  ASSERT_TRUE(text);
  activate(*text);
  daemon_.start();
  const models::v1::Model model = load();
  ASSERT_EQ(model.pinned_prompts_size(), 2);
  EXPECT_EQ(model.pinned_prompts(0).state(), "failed");
  EXPECT_THAT(model.pinned_prompts(0).problem(), HasSubstr("context window"));
  EXPECT_THAT(daemon_.log(), HasSubstr("worker.prompt_not_kept"));
}

}  // namespace
}  // namespace skerry
