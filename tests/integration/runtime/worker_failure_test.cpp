// Each way a worker can die: its own requests fail with a reason, the supervisor lives on.

#include <csignal>

#include <sys/types.h>

#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

class WorkerFailureTest : public WorkerTest {
 protected:
  // The failure of a request that the fault hits.
  Failure fail_with(LoadedModel& model, const std::string& text = "some text") {
    const auto collected = start(model, prompt(model, text));
    run_until([&] { return collected->ended(); });
    EXPECT_NE(collected->failure(), nullptr);
    return collected->failure() != nullptr ? *collected->failure() : Failure{};
  }
  static std::vector<std::pair<std::string, std::string>> fault(const std::string& name,
                                                                const std::string& at = "2") {
    return {{"fault", name}, {"fault_at", at}};
  }
};

TEST_F(WorkerFailureTest, AbortFailsTheRequestAndSaysWhy) {
  const auto model = load(null_spec(fault("abort")));
  const Failure failure = fail_with(*model);
  EXPECT_EQ(failure.error.code(), Error::Code::kWorkerLost);
  EXPECT_NE(failure.error.message().find("signal 6 (SIGABRT)"), std::string::npos)
      << failure.error.message();
  EXPECT_FALSE(failure.retryable) << "tokens had been answered";
  ASSERT_EQ(exits_.size(), 1U);
  EXPECT_FALSE(exits_[0].clean);
  EXPECT_EQ(exits_[0].requests_lost, 1U);
  EXPECT_EQ(model->status().unclean_exits, 1U);
  EXPECT_EQ(model->status().state, WorkerState::kBackOff);
}

TEST_F(WorkerFailureTest, SegfaultFailsTheRequest) {
  const auto model = load(null_spec(fault("segv")));
  EXPECT_NE(fail_with(*model).error.message().find("signal 11 (SIGSEGV)"), std::string::npos);
}

TEST_F(WorkerFailureTest, KillFromOutsideFailsTheRequest) {
  const auto model = load(null_spec({{"step_ms", "20"}}));
  const auto collected = start(*model, prompt(*model, std::string(500, 'x')));
  run_until([&] { return collected->text().size() > 1; });
  kill(model->status().pid, SIGKILL);
  run_until([&] { return collected->ended(); });
  ASSERT_NE(collected->failure(), nullptr);
  EXPECT_NE(collected->failure()->error.message().find("signal 9 (SIGKILL)"), std::string::npos);
}

TEST_F(WorkerFailureTest, ExitFailsTheRequest) {
  const auto model = load(null_spec(fault("exit")));
  EXPECT_NE(fail_with(*model).error.message().find("status 7"), std::string::npos);
}

TEST_F(WorkerFailureTest, HangIsFoundByTheWatchdog) {
  SupervisorOptions options = worker_options();
  options.ping_interval = std::chrono::milliseconds{50};
  options.hang_timeout = std::chrono::milliseconds{500};
  restart(std::move(options));
  const auto model = load(null_spec(fault("hang")));
  const Failure failure = fail_with(*model);
  EXPECT_EQ(failure.error.code(), Error::Code::kWorkerLost);
  EXPECT_NE(failure.error.message().find("no progress"), std::string::npos)
      << failure.error.message();
}

TEST_F(WorkerFailureTest, StoppedProcessIsFoundByThePings) {
  SupervisorOptions options = worker_options();
  options.ping_interval = std::chrono::milliseconds{50};
  options.pong_timeout = std::chrono::milliseconds{500};
  restart(std::move(options));
  const auto model = load(null_spec({{"step_ms", "20"}}));
  const auto collected = start(*model, prompt(*model, std::string(500, 'x')));
  run_until([&] { return collected->text().size() > 1; });
  kill(model->status().pid, SIGSTOP);
  run_until([&] { return collected->ended(); });
  ASSERT_NE(collected->failure(), nullptr);
  EXPECT_NE(collected->failure()->error.message().find("did not answer"), std::string::npos);
}

TEST_F(WorkerFailureTest, SlowIsNotHung) {
  SupervisorOptions options = worker_options();
  options.ping_interval = std::chrono::milliseconds{20};
  options.hang_timeout = std::chrono::milliseconds{300};
  restart(std::move(options));
  const auto model = load(null_spec({{"step_ms", "600"}}));
  const auto answer = ask(*model, prompt(*model, "a"));
  EXPECT_TRUE(answer) << answer.error().to_string();
}

TEST_F(WorkerFailureTest, LeakEndsAtTheMemoryLimit) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "no memory limits under a sanitizer";
#endif
  LoadSpec spec = null_spec(fault("leak"));
  spec.memory_limit = 64U << 20U;
  const auto model = load(std::move(spec));
  const Failure failure = fail_with(*model);
  EXPECT_EQ(failure.error.code(), Error::Code::kOutOfMemory) << failure.error.message();
}

TEST_F(WorkerFailureTest, GarbageIsATypedOutcome) {
  const auto model = load(null_spec(fault("garbage")));
  const Failure failure = fail_with(*model);
  EXPECT_EQ(failure.error.code(), Error::Code::kWorkerLost);
  EXPECT_NE(failure.error.message().find("garbage"), std::string::npos) << failure.error.message();
}

TEST_F(WorkerFailureTest, EngineBeyondRepairIsReplaced) {
  SupervisorOptions options = worker_options();
  options.first_back_off = std::chrono::milliseconds{1};
  restart(std::move(options));
  const auto model = load(null_spec({{"commands", "1"}}));
  EXPECT_EQ(fail_with(*model, "!fatal").error.code(), Error::Code::kWorkerLost);
  run_until([&] { return !exits_.empty(); });
  run_until([&] { return model->status().state == WorkerState::kStopped; });
  const auto answer = ask(*model, prompt(*model, "fine"));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(model->status().starts, 2U);
}

TEST_F(WorkerFailureTest, OneFailingSequenceFailsAlone) {
  const auto model = load(null_spec({{"commands", "1"}, {"step_ms", "2"}}));
  const auto good = start(*model, prompt(*model, "a long enough answer"));
  const auto bad = start(*model, prompt(*model, "!fail"));
  run_until([&] { return good->ended() && bad->ended(); });
  EXPECT_EQ(good->text(), "a long enough answer");
  ASSERT_NE(bad->failure(), nullptr);
  EXPECT_TRUE(exits_.empty());
}

TEST_F(WorkerFailureTest, RestartWaitsForTheBackOff) {
  const auto model = load(null_spec(fault("abort")));
  fail_with(*model);
  const auto refused = ask(*model, prompt(*model, "again"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Error::Code::kUnavailable);
  EXPECT_NE(refused.error().message().find("SIGABRT"), std::string::npos);
  EXPECT_NE(refused.error().message().find("start again in"), std::string::npos);
  EXPECT_EQ(model->status().starts, 1U);
}

TEST_F(WorkerFailureTest, LoadErrorsAreTyped) {
  EXPECT_EQ(load_error(null_spec({{"load_fault", "model"}})).code(), Error::Code::kModelLoad);
  EXPECT_EQ(load_error(null_spec({{"no_such_option", "1"}})).code(), Error::Code::kInvalidArgument);
  ASSERT_EQ(exits_.size(), 2U);
  EXPECT_TRUE(exits_[0].clean) << "a refused model is no crash";
}

TEST_F(WorkerFailureTest, CrashWhileLoadingIsACrash) {
  const Error error = load_error(null_spec({{"load_fault", "abort"}}));
  EXPECT_EQ(error.code(), Error::Code::kWorkerLost);
  EXPECT_NE(error.message().find("SIGABRT"), std::string::npos) << error.message();
  ASSERT_EQ(exits_.size(), 1U);
  EXPECT_FALSE(exits_[0].clean);
}

TEST_F(WorkerFailureTest, HangWhileLoadingIsEnded) {
  SupervisorOptions options = worker_options();
  options.load_timeout = std::chrono::milliseconds{300};
  restart(std::move(options));
  const Error error = load_error(null_spec({{"load_fault", "hang"}}));
  EXPECT_NE(error.message().find("did not load the model in time"), std::string::npos)
      << error.message();
}

TEST_F(WorkerFailureTest, MissingPluginAndProgramAreNamed) {
  LoadSpec spec = null_spec();
  spec.plugin = "absent";
  const Error plugin = load_error(std::move(spec));
  EXPECT_EQ(plugin.code(), Error::Code::kPluginInvalid);
  EXPECT_NE(plugin.message().find("skerry-absent.so"), std::string::npos);
  LoadSpec path = null_spec();
  path.plugin = "../../evil";
  EXPECT_EQ(load_error(std::move(path)).code(), Error::Code::kPluginInvalid);

  SupervisorOptions options = worker_options();
  options.worker = "/no/such/worker";
  restart(std::move(options));
  const Error worker = load_error(null_spec());
  EXPECT_EQ(worker.code(), Error::Code::kWorkerSetup);
  EXPECT_NE(worker.message().find("/no/such/worker"), std::string::npos);
}

TEST_F(WorkerFailureTest, BadModelFileIsRefusedNotFatal) {
  LoadSpec spec = log_triage_spec();
  spec.files.clear();
  spec.files.push_back(open_model(SKERRY_TEST_WORKER));  // an ELF file
  const Error error = load_error(std::move(spec));
  EXPECT_EQ(error.code(), Error::Code::kModelLoad) << error.message();
}

TEST_F(WorkerFailureTest, StopWithRequestsRunningCancelsThem) {
  const auto model = load(null_spec({{"step_ms", "20"}}));
  const auto collected = start(*model, prompt(*model, std::string(500, 'x')));
  run_until([&] { return collected->text().size() > 1; });
  run_void(supervisor_->stop(std::chrono::milliseconds{0}));
  ASSERT_NE(collected->done(), nullptr);
  EXPECT_EQ(collected->done()->reason, FinishReason::kCancelled);
}

}  // namespace
}  // namespace skerry::runtime::test
