// What becomes of requests whose worker died: which run again, which never do.

#include <csignal>

#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

class WorkerReplayTest : public WorkerTest {
 protected:
  WorkerReplayTest() {
    SupervisorOptions options = worker_options();
    options.first_back_off = std::chrono::milliseconds{1};
    restart(std::move(options));
  }
  std::shared_ptr<LoadedModel> load_null(std::uint32_t sequences, const std::string& step_ms) {
    LoadSpec spec = null_spec({{"commands", "1"}, {"step_ms", step_ms}});
    spec.max_sequences = sequences;
    return load(std::move(spec));
  }
  static bool has_begun(const Collected& collected) { return !collected.events.empty(); }
};

TEST_F(WorkerReplayTest, APromptThatKillsTheWorkerIsNeverRunTwice) {
  const auto model = load_null(1, "0");
  const auto poison = start(*model, prompt(*model, "!abort"));
  run_until([&] { return poison->ended(); });
  ASSERT_NE(poison->failure(), nullptr);
  EXPECT_EQ(poison->failure()->error.code(), Error::Code::kWorkerLost);
  EXPECT_FALSE(poison->failure()->retryable);
  run_until([&] { return model->status().state == WorkerState::kStopped; });

  GenerateRequest by_another = prompt(*model, "!abort");
  by_another.meta.principal = "uid:2";
  by_another.sampling.seed = 7;
  const auto again = ask(*model, std::move(by_another));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Error::Code::kQuarantined) << again.error().to_string();
  EXPECT_NE(again.error().message().find("10 minutes"), std::string::npos);
  EXPECT_EQ(model->status().starts, 1U) << "not even a worker was started for it";

  const auto other = ask(*model, prompt(*model, "fine"));
  EXPECT_TRUE(other) << other.error().to_string();
  EXPECT_EQ(exits_.size(), 1U);
}

TEST_F(WorkerReplayTest, APromptIsRefusedWithTheGrammarThatItHad) {
  const auto model = load_null(1, "0");
  GenerateRequest bound = prompt(*model, "!abort");
  bound.grammar = "root ::= [a-z]*";
  const auto poison = start(*model, bound);
  run_until([&] { return poison->ended(); });
  run_until([&] { return model->status().state == WorkerState::kStopped; });
  const auto again = ask(*model, bound);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Error::Code::kQuarantined) << again.error().to_string();
  // Whoever asks the same without it is not refused for what may have been the grammar's fault.
  const auto plain = ask(*model, prompt(*model, "!abort"));
  ASSERT_FALSE(plain);
  EXPECT_EQ(plain.error().code(), Error::Code::kWorkerLost) << plain.error().to_string();
}

TEST_F(WorkerReplayTest, RequestsThatHadNotBegunAreAnsweredByTheNextWorker) {
  const auto model = load_null(1, "5");
  const auto poison = start(*model, prompt(*model, "!abort"));
  const auto second = start(*model, prompt(*model, "second"));
  const auto third = start(*model, prompt(*model, "third"));
  run_until([&] { return poison->ended() && second->ended() && third->ended(); });
  ASSERT_NE(poison->failure(), nullptr);
  EXPECT_EQ(second->text(), "second");
  EXPECT_EQ(third->text(), "third");
  EXPECT_EQ(model->status().starts, 2U);
  ASSERT_EQ(exits_.size(), 1U);
  EXPECT_EQ(exits_[0].requests_lost, 1U);
}

TEST_F(WorkerReplayTest, KilledFromOutsideAnUnansweredRequestRunsOnceMore) {
  const auto model = load_null(1, "300");
  const auto asked = start(*model, prompt(*model, "abc"));
  run_until([&] { return has_begun(*asked); });
  kill(model->status().pid, SIGKILL);
  run_until([&] { return asked->ended(); });
  EXPECT_EQ(asked->text(), "abc");
  EXPECT_EQ(model->status().starts, 2U);
}

TEST_F(WorkerReplayTest, ASecondDeathEndsIt) {
  const auto model = load_null(1, "300");
  const auto asked = start(*model, prompt(*model, "abc"));
  for (std::size_t begun = 1; begun <= 2; ++begun) {
    run_until([&] { return asked->events.size() == begun; });
    kill(model->status().pid, SIGKILL);
  }
  run_until([&] { return asked->ended(); });
  ASSERT_NE(asked->failure(), nullptr);
  EXPECT_EQ(asked->failure()->error.code(), Error::Code::kWorkerLost);
  EXPECT_TRUE(asked->failure()->retryable) << "it was not the request's fault";
  EXPECT_EQ(model->status().starts, 2U);
}

TEST_F(WorkerReplayTest, AnAnswerThatHasBegunIsNotRepeated) {
  const auto model = load_null(1, "20");
  const auto asked = start(*model, prompt(*model, std::string(500, 'x')));
  run_until([&] { return !asked->text().empty(); });
  kill(model->status().pid, SIGKILL);
  run_until([&] { return asked->ended(); });
  ASSERT_NE(asked->failure(), nullptr);
  EXPECT_FALSE(asked->failure()->retryable);
  EXPECT_EQ(model->status().starts, 1U);
}

TEST_F(WorkerReplayTest, InCompanyASecondDeathNamesTheCulprit) {
  const auto model = load_null(2, "5");
  for (const char* companion : {"one companion", "another companion"}) {
    const auto innocent = start(*model, prompt(*model, companion));
    const auto poison = start(*model, prompt(*model, "!abort"));
    run_until([&] { return poison->ended() && innocent->ended(); });
    ASSERT_NE(poison->failure(), nullptr);
    EXPECT_EQ(poison->failure()->error.code(), Error::Code::kWorkerLost);
    run_until([&] { return model->status().state == WorkerState::kStopped; });
  }
  const auto third = ask(*model, prompt(*model, "!abort"));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code(), Error::Code::kQuarantined);
  EXPECT_TRUE(ask(*model, prompt(*model, "one companion"))) << "who was there once is not refused";
}

TEST_F(WorkerReplayTest, UnloadingEndsWhatWaitsForTheNextWorker) {
  SupervisorOptions options = worker_options();
  options.first_back_off = std::chrono::seconds{5};
  restart(std::move(options));
  const auto model = load_null(1, "5");
  const auto poison = start(*model, prompt(*model, "!abort"));
  const auto waits = start(*model, prompt(*model, "waits"));
  run_until([&] { return poison->ended(); });
  EXPECT_FALSE(waits->ended());
  run_void(model->unload(std::chrono::milliseconds{0}));
  run_until([&] { return waits->ended(); });
  ASSERT_NE(waits->failure(), nullptr);
  EXPECT_EQ(waits->failure()->error.code(), Error::Code::kUnavailable);
  EXPECT_EQ(model->status().starts, 1U);
}

TEST_F(WorkerReplayTest, AWaitingRequestCanBeCancelled) {
  SupervisorOptions options = worker_options();
  options.first_back_off = std::chrono::seconds{5};
  restart(std::move(options));
  const auto model = load_null(1, "5");
  const auto poison = start(*model, prompt(*model, "!abort"));
  const auto waits = start(*model, prompt(*model, "waits"));
  run_until([&] { return poison->ended(); });
  waits->handle.cancel();
  run_until([&] { return waits->ended(); });
  ASSERT_NE(waits->failure(), nullptr);
  EXPECT_EQ(waits->failure()->error.code(), Error::Code::kCancelled);
}

}  // namespace
}  // namespace skerry::runtime::test
