#include <fstream>
#include <set>
#include <sstream>

#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

using WorkerServeTest = WorkerTest;

TEST_F(WorkerServeTest, AnswersAPromptAndDescribesTheModel) {
  const auto model = load(null_spec());
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->info().plugin, "null");
  EXPECT_TRUE(model->info().can_generate);
  EXPECT_EQ(model->status().state, WorkerState::kReady);
  EXPECT_GT(model->status().pid, 0);
  const auto answer = ask(*model, prompt(*model, "grüße"));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->text, "grüße");
  EXPECT_EQ(answer->done.reason, FinishReason::kStop);
  EXPECT_EQ(answer->done.usage.prompt_tokens, 8U);  // begin token and seven bytes
  EXPECT_EQ(answer->done.usage.completion_tokens, 7U);
}

TEST_F(WorkerServeTest, StartsWithStartedAndEndsWithDoneOnce) {
  const auto model = load(null_spec());
  const auto collected = start(*model, prompt(*model, "ab"));
  EXPECT_TRUE(collected->events.empty()) << "nothing is delivered from inside submit";
  run_until([&] { return collected->ended(); });
  EXPECT_TRUE(std::holds_alternative<Started>(collected->events.front()));
  ASSERT_NE(collected->done(), nullptr);
  EXPECT_EQ(collected->text(), "ab");
}

TEST_F(WorkerServeTest, BatchesTwoClientsTogether) {
  const auto model = load(null_spec({{"step_ms", "4"}}));
  const auto one = start(*model, prompt(*model, "first first first"));
  const auto two = start(*model, prompt(*model, "second second sec"));
  bool overlapped = false;
  run_until([&] {
    overlapped = overlapped ||
                 (!one->text().empty() && !one->ended() && !two->text().empty() && !two->ended());
    return one->ended() && two->ended();
  });
  EXPECT_TRUE(overlapped) << "both were answered at the same time";
  EXPECT_EQ(one->text(), "first first first");
  EXPECT_EQ(two->text(), "second second sec");
}

TEST_F(WorkerServeTest, CancelTakesEffectInTheMiddle) {
  const auto model = load(null_spec({{"step_ms", "10"}}));
  const auto collected = start(*model, prompt(*model, std::string(2000, 'x')));
  run_until([&] { return collected->text().size() >= 3; });
  collected->handle.cancel();
  run_until([&] { return collected->ended(); });
  ASSERT_NE(collected->done(), nullptr);
  EXPECT_EQ(collected->done()->reason, FinishReason::kCancelled);
  EXPECT_LT(collected->text().size(), 200U);
  EXPECT_TRUE(exits_.empty()) << "the worker serves on";
  EXPECT_TRUE(ask(*model, prompt(*model, "a")));
}

TEST_F(WorkerServeTest, SharesThePrefixOfARunningRequestWithItsPrincipalAlone) {
  const auto model = load(null_spec({{"step_ms", "20"}}));
  ASSERT_NE(model, nullptr);
  const std::string text(400, 'x');
  const auto owner = start(*model, prompt(*model, text));
  run_until([&] { return owner->text().size() >= 3; });
  GenerateRequest same = prompt(*model, text + "tail");
  same.max_tokens = 3;
  const auto shared = ask(*model, same);
  ASSERT_TRUE(shared);
  EXPECT_FALSE(owner->ended());
  EXPECT_EQ(shared->done.usage.cached_tokens, 384U) << "whole blocks of 401";
  EXPECT_EQ(shared->text, "xxx");
  same.meta.principal = "uid:2";
  const auto other = ask(*model, same);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->done.usage.cached_tokens, 0U);
  owner->handle.cancel();
  run_until([&] { return owner->ended(); });
}

TEST_F(WorkerServeTest, AnswersOfALlamaModelDoNotDependOnThePrefixCache) {
  std::string text;
  for (int i = 0; i < 12; ++i) {
    text += "eth0: link down, renegotiating at 100 Mbit\n";
  }
  std::vector<Completion> answers;
  for (const bool cache : {false, true}) {
    LoadSpec spec = log_triage_spec();
    spec.prefix_cache = cache;
    const auto model = load(std::move(spec));
    ASSERT_NE(model, nullptr);
    for (const char* tail : {"oom-killer: killed 812\n", "usb 1-2: reset\n", "usb 1-2: reset\n"}) {
      GenerateRequest request = prompt(*model, text + tail);
      request.max_tokens = 24;
      const auto answer = ask(*model, std::move(request));
      ASSERT_TRUE(answer) << answer.error().to_string();
      answers.push_back(*answer);
    }
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(answers[i].tokens, answers[i + 3].tokens) << i;
    EXPECT_EQ(answers[i].done.usage.cached_tokens, 0U);
  }
  EXPECT_EQ(answers[3].done.usage.cached_tokens, 0U);
  EXPECT_GT(answers[4].done.usage.cached_tokens, 64U);
  EXPECT_GE(answers[5].done.usage.cached_tokens, answers[4].done.usage.cached_tokens);
}

// Greedy: which tokens are guessed depends on time, and batches of other sizes round differently.
TEST_F(WorkerServeTest, AnswersOfALlamaModelDoNotDependOnGuesses) {
  std::string text;
  for (int i = 0; i < 6; ++i) {
    text += "eth0: link down, renegotiating at 100 Mbit\n";
  }
  std::vector<Completion> answers;
  for (const bool drafting : {false, true}) {
    LoadSpec spec = log_triage_spec();
    spec.drafting = drafting;
    const auto model = load(std::move(spec));
    ASSERT_NE(model, nullptr);
    for (const char* tail : {"eth0: link down,", "usb 1-2: reset\n"}) {
      GenerateRequest request = prompt(*model, text + tail);
      request.max_tokens = 96;
      const auto answer = ask(*model, std::move(request));
      ASSERT_TRUE(answer) << answer.error().to_string();
      answers.push_back(*answer);
    }
  }
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(answers[i].tokens, answers[i + 2].tokens) << i;
    EXPECT_EQ(answers[i].done.usage.drafts, 0U);
    EXPECT_LE(answers[i + 2].done.usage.accepted_tokens, answers[i + 2].done.usage.draft_tokens);
  }
}

TEST_F(WorkerServeTest, WhatIsSaidAgainIsGuessedWhereBatchesCostTheSame) {
  LoadSpec spec = null_spec({{"step_ms", "5"}, {"drafts", "1"}});
  spec.drafting = true;
  const auto model = load(std::move(spec));
  ASSERT_NE(model, nullptr);
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += "disk sda is full\n";
  }
  const auto answer = ask(*model, prompt(*model, text));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, text);
  const Usage& usage = answer->done.usage;
  EXPECT_EQ(usage.completion_tokens, text.size());
  EXPECT_GT(usage.accepted_tokens, text.size() / 4);
  EXPECT_GT(usage.drafts, 0U);
}

TEST_F(WorkerServeTest, StopStringEndsTheText) {
  const auto model = load(null_spec());
  GenerateRequest request = prompt(*model, "one END two");
  request.stop = {"END"};
  const auto answer = ask(*model, std::move(request));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "one ");
  EXPECT_EQ(answer->done.stop_match, "END");
}

TEST_F(WorkerServeTest, LengthLimitIsReported) {
  const auto model = load(null_spec());
  GenerateRequest request = prompt(*model, "abcdef");
  request.max_tokens = 3;
  const auto answer = ask(*model, std::move(request));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "abc");
  EXPECT_EQ(answer->done.reason, FinishReason::kLength);
}

TEST_F(WorkerServeTest, PenaltiesReachTheWorkerOfTheNullEngine) {
  const auto model = load(null_spec());
  GenerateRequest request = prompt(*model, std::string(9, 'a'));
  request.sampling.frequency_penalty = 2.0F;
  const auto answer = ask(*model, request);
  ASSERT_TRUE(answer);
  // The echo stands 9 above the rest: five times 2 is more.
  EXPECT_TRUE(answer->text.starts_with("aaaaa")) << answer->text;
  EXPECT_FALSE(answer->text.starts_with("aaaaaa")) << answer->text;
  EXPECT_EQ(answer->text, ask(*model, request)->text);
}

TEST_F(WorkerServeTest, PenaltiesChangeWhatALlamaModelSays) {
  const auto model = load(log_triage_spec());
  ASSERT_NE(model, nullptr);
  GenerateRequest request = prompt(*model, "eth0: link down, link down, link down\n");
  request.max_tokens = 48;
  const auto plain = ask(*model, request);
  request.sampling.frequency_penalty = 2.0F;
  request.sampling.presence_penalty = 2.0F;
  const auto varied = ask(*model, request);
  ASSERT_TRUE(plain && varied);
  const auto kinds = [](const Completion& answer) {
    return std::set<std::int32_t>(answer.tokens.begin(), answer.tokens.end()).size();
  };
  EXPECT_NE(plain->tokens, varied->tokens);
  EXPECT_GT(kinds(*varied) * plain->tokens.size(), kinds(*plain) * varied->tokens.size())
      << "fewer repetitions for its length";
  EXPECT_EQ(varied->tokens, ask(*model, request)->tokens);
}

TEST_F(WorkerServeTest, RefusesWhatDoesNotFitTheContext) {
  LoadSpec spec = null_spec();
  spec.context_length = 16;
  const auto model = load(std::move(spec));
  const auto answer = ask(*model, prompt(*model, std::string(16, 'x')));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Error::Code::kContextTooLong);
}

TEST_F(WorkerServeTest, RefusesAnotherModelsRequest) {
  const auto model = load(null_spec());
  GenerateRequest request = prompt(*model, "a");
  request.meta.model = Digest::of("another");
  const auto answer = ask(*model, std::move(request));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), Error::Code::kInvalidArgument);
}

TEST_F(WorkerServeTest, EmbedsScoresAndTokenizes) {
  const auto model = load(null_spec());
  EmbedRequest embed_request;
  embed_request.meta.model = model->info().digest;
  embed_request.texts = {"a", "b"};
  const auto embeddings = run(embed(*model, std::move(embed_request)));
  ASSERT_TRUE(embeddings);
  EXPECT_EQ(embeddings->vectors.size(), 2U);
  EXPECT_NE(embeddings->vectors[0], embeddings->vectors[1]);

  ScoreRequest score_request;
  score_request.meta.model = model->info().digest;
  score_request.prompt = Prompt{"abc"};
  score_request.top = 2;
  const auto scores = run(score(*model, std::move(score_request)));
  ASSERT_TRUE(scores);
  ASSERT_EQ(scores->tokens.size(), 4U);
  EXPECT_LT(scores->tokens[1].log_prob, 0.0F);
  EXPECT_EQ(scores->tokens[1].top.size(), 2U);

  TokenizeRequest tokenize_request;
  tokenize_request.meta.model = model->info().digest;
  tokenize_request.input = Prompt{"hé"};
  const auto tokens = run(tokenize(*model, std::move(tokenize_request)));
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->tokens.size(), 4U);
  EXPECT_EQ(tokens->text, "hé");
}

TEST_F(WorkerServeTest, EchoesTensors) {
  const auto model = load(null_spec());
  InferRequest request;
  request.meta.model = model->info().digest;
  request.inputs.push_back(Tensor{
      .name = "x", .type = DataType::kInt16, .shape = {2}, .data = std::string{"\1\0\2\0", 4}});
  const auto outputs = run(infer(*model, std::move(request)));
  ASSERT_TRUE(outputs) << outputs.error().to_string();
  ASSERT_EQ(outputs->outputs.size(), 1U);
  EXPECT_EQ(outputs->outputs[0].name, "x");
  EXPECT_EQ(outputs->outputs[0].data, (std::string{"\1\0\2\0", 4}));
}

TEST_F(WorkerServeTest, LargeTensorsCrossTheSocket) {
  const auto model = load(null_spec());
  InferRequest request;
  request.meta.model = model->info().digest;
  request.inputs.push_back(Tensor{.name = "x",
                                  .type = DataType::kUint8,
                                  .shape = {8, 1 << 20},
                                  .data = std::string(8U << 20U, 'z')});
  const auto outputs = run(infer(*model, std::move(request)));
  ASSERT_TRUE(outputs);
  EXPECT_EQ(outputs->outputs.at(0).data.size(), 8U << 20U);
}

TEST_F(WorkerServeTest, UnloadLetsRunningRequestsFinish) {
  const auto model = load(null_spec({{"step_ms", "5"}}));
  const auto collected = start(*model, prompt(*model, "a few bytes"));
  run_until([&] { return !collected->text().empty(); });
  run_void(model->unload(std::chrono::seconds{30}));
  ASSERT_NE(collected->done(), nullptr);
  EXPECT_EQ(collected->text(), "a few bytes");
  ASSERT_EQ(exits_.size(), 1U);
  EXPECT_TRUE(exits_[0].clean);
  EXPECT_EQ(model->status().pid, 0);
  EXPECT_TRUE(ask(*model, prompt(*model, "again"))) << "it starts at the next request";
}

TEST_F(WorkerServeTest, LastReferenceStopsTheWorker) {
  auto model = load(null_spec());
  model.reset();
  run_until([&] { return !exits_.empty(); });
  EXPECT_TRUE(exits_[0].clean);
  EXPECT_TRUE(supervisor_->models().empty());
}

TEST_F(WorkerServeTest, LlamaCppAnswersInsideTheSandbox) {
  const auto model = load(log_triage_spec());
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->info().architecture, "llama");
  EXPECT_EQ(model->info().context_length, 512U);
  EXPECT_TRUE(model->info().sandbox.achieved(security::SandboxLayer::kSeccomp));
  EXPECT_GT(model->info().memory.kv, 0U);
  GenerateRequest request = prompt(*model,
                                   "[INST] nut: primary gateway: supply too low, brownout reset of "
                                   "the board; up for 2 d [/INST]");
  request.max_tokens = 64;
  const auto answer = ask(*model, std::move(request));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_NE(answer->text.find("\"severity\""), std::string::npos) << answer->text;
  EXPECT_EQ(answer->done.reason, FinishReason::kStop);
}

TEST_F(WorkerServeTest, SameSeedGivesTheSameText) {
  const auto model = load(log_triage_spec());
  const auto with_seed = [&](std::uint64_t seed) {
    GenerateRequest request = prompt(*model, "[INST] kernel: something odd");
    request.sampling.temperature =
        5.0F;  // the model is sure of itself: little is left to chance at 1
    request.sampling.seed = seed;
    request.max_tokens = 32;
    const auto answer = ask(*model, std::move(request));
    return answer ? answer->text : answer.error().to_string();
  };
  const std::string first = with_seed(7);
  EXPECT_EQ(first, with_seed(7));
  EXPECT_NE(first, with_seed(8));
}

TEST_F(WorkerServeTest, ChatUsesTheModelsTemplate) {
  const auto model = load(log_triage_spec());
  GenerateRequest request = prompt(*model, "");
  request.prompt = PromptChat{{{"user", "kernel: filesystem /data at 97% capacity; fan ok"}}};
  const auto answer = ask(*model, std::move(request));
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->text.front(), '{') << answer->text;
}

}  // namespace
}  // namespace skerry::runtime::test
