#include <cerrno>

#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

using security::SandboxLayer;
using security::SandboxRequirement;
using WorkerSandboxTest = WorkerTest;

TEST_F(WorkerSandboxTest, PathsSocketsAndSignalsAreDenied) {
  const auto model = load(null_spec({{"commands", "1"}}));
  const auto answer = ask(*model, prompt(*model, "!probe"));
  ASSERT_TRUE(answer) << answer.error().to_string();
  const std::string denied = std::to_string(EACCES);
  const std::string not_permitted = std::to_string(EPERM);
  EXPECT_EQ(answer->text,
            "open=" + denied + " create=" + denied + " socket=" + not_permitted +
                " unix=" + not_permitted + " kill=" + not_permitted);
}

TEST_F(WorkerSandboxTest, ReportNamesEveryLayer) {
  const auto model = load(null_spec());
  const security::SandboxReport& report = model->info().sandbox;
  EXPECT_EQ(report.layers.size(), security::all_sandbox_layers().size());
  EXPECT_TRUE(report.achieved(SandboxLayer::kNoNewPrivileges));
  EXPECT_TRUE(report.achieved(SandboxLayer::kSeccomp));
  EXPECT_TRUE(report.achieved(SandboxLayer::kLimits));
  EXPECT_TRUE(report.achieved(SandboxLayer::kNotDumpable));
  std::printf("sandbox: %s\n", report.summary().c_str());
}

TEST_F(WorkerSandboxTest, StrictWorksWhereLandlockAndNamespacesDo) {
  const auto model = load(null_spec());
  const bool able = model->info().sandbox.achieved(SandboxLayer::kLandlock) &&
                    model->info().sandbox.achieved(SandboxLayer::kNetworkNamespace);
  LoadSpec spec = null_spec();
  spec.sandbox = SandboxRequirement::kStrict;
  if (able) {
    EXPECT_NE(load(std::move(spec)), nullptr);
  } else {
    EXPECT_EQ(load_error(std::move(spec)).code(), Error::Code::kWorkerSetup);
  }
}

TEST_F(WorkerSandboxTest, NewProgramsEndTheWorker) {
  const auto model = load(null_spec({{"fault", "exec"}}));
  const auto answer = ask(*model, prompt(*model, "a"));
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message().find("SIGSYS"), std::string::npos) << answer.error().message();
}

TEST_F(WorkerSandboxTest, RootGivesTheWorkerAUserOfItsOwn) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can change users";
  }
  SupervisorOptions options = worker_options();
  options.worker_uid = 65534;
  options.worker_gid = 65534;
  restart(std::move(options));
  const auto model = load(null_spec({{"commands", "1"}}));
  ASSERT_NE(model, nullptr);
  EXPECT_TRUE(model->info().sandbox.achieved(SandboxLayer::kUser));
  struct stat status {};
  const std::string process = "/proc/" + std::to_string(model->status().pid) + "/status";
  ASSERT_EQ(stat(process.c_str(), &status), 0);
  EXPECT_TRUE(ask(*model, prompt(*model, "a")));
}

TEST_F(WorkerSandboxTest, LlamaCppRunsUnderAMemoryLimitAndAnotherUser) {
  SupervisorOptions options = worker_options();
  if (geteuid() == 0) {
    options.worker_uid = 65534;
    options.worker_gid = 65534;
  }
  restart(std::move(options));
  LoadSpec spec = log_triage_spec();
  spec.memory_limit = 128U << 20U;
  const auto model = load(std::move(spec));
  ASSERT_NE(model, nullptr);
  GenerateRequest request = prompt(*model, "[INST] fan ok [/INST]");
  request.max_tokens = 8;
  EXPECT_TRUE(ask(*model, std::move(request)));
}

}  // namespace
}  // namespace skerry::runtime::test
