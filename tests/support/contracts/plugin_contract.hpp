#pragma once

// The conformance suite of the plugin ABI: what skerry/runtime/plugin.h promises, asked of a real
// plugin through the host. Include it in one test file of a program and instantiate:
//
//   INSTANTIATE_TEST_SUITE_P(Mine, PluginContract, ::testing::Values(PluginUnderTest{…}));
//
// A test that asks for what the plugin does not offer is skipped.

#include <atomic>
#include <chrono>
#include <cmath>
#include <fcntl.h>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "skerry/common/unique_fd.hpp"
#include "skerry/runtime/plugin_host.hpp"
#include "skerry/runtime/scheduler.hpp"

namespace skerry::runtime::test {

struct PluginUnderTest {
  std::string name;
  std::string library;
  // Empty: the plugin needs no file.
  std::string model;
  // A request that the model answers, for plugins that infer.
  std::vector<Tensor> inputs;
  std::string quantize_type;
};

inline void PrintTo(const PluginUnderTest& plugin, std::ostream* out) {
  *out << plugin.name;
}

class PluginContract : public ::testing::TestWithParam<PluginUnderTest> {
 protected:
  void SetUp() override {
    HostServices services;
    services.heartbeat = [this] { ++heartbeats_; };
    services.should_stop = [this] { return stop_.load(); };
    auto plugin = Plugin::open(GetParam().library, {}, services);
    ASSERT_TRUE(plugin) << plugin.error().to_string();
    plugin_ = std::move(*plugin);
    if (!GetParam().model.empty()) {
      fd_.reset(::open(GetParam().model.c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_TRUE(fd_) << GetParam().model;
      struct stat status {};
      ASSERT_EQ(fstat(fd_.get(), &status), 0);
      length_ = static_cast<std::uint64_t>(status.st_size);
    }
  }

  [[nodiscard]] PluginLoad load_job() const {
    PluginLoad job;
    job.model = Digest::of("model under test");
    job.context_length = 128;
    job.max_sequences = 3;
    job.max_rows = 64;
    if (fd_) {
      job.files.push_back({"model", "model", fd_.get(), 0, length_, Digest::of("file")});
    }
    return job;
  }
  void load() {
    auto model = plugin_->load(load_job());
    ASSERT_TRUE(model) << model.error().to_string();
    model_ = std::move(*model);
  }
  [[nodiscard]] bool makes_tokens() const {
    return model_ && model_->steps() && model_->info().can_generate;
  }
  [[nodiscard]] bool takes_tensors() const { return model_ && model_->info().can_infer; }

  std::vector<std::int32_t> some_tokens(std::size_t count) {
    std::string text;
    while (text.size() < 8 * count) {
      text += "kernel: link eth0 is up again; ";
    }
    auto tokens = model_->tokenize(text, true, false);
    EXPECT_TRUE(tokens);
    tokens->resize(count);
    return *tokens;
  }
  static std::vector<Row> prompt_rows(std::uint32_t sequence,
                                      const std::vector<std::int32_t>& tokens,
                                      Want want_last = Want::kLogits,
                                      std::size_t from = 0) {
    std::vector<Row> rows;
    for (std::size_t i = from; i < tokens.size(); ++i) {
      rows.push_back({sequence,
                      static_cast<std::int32_t>(i),
                      tokens[i],
                      i + 1 == tokens.size() ? want_last : Want::kNothing});
    }
    return rows;
  }
  std::vector<float> last_logits(const std::vector<Row>& rows) {
    const DecodeOutcome outcome = model_->decode(rows);
    EXPECT_EQ(outcome.status, DecodeStatus::kOk) << outcome.message;
    const auto logits = model_->logits(rows.size() - 1);
    return {logits.begin(), logits.end()};
  }

  // Runs requests through the real scheduler and gives the text of each.
  std::vector<std::string> generate(const std::vector<std::string>& prompts,
                                    const SamplingParams& sampling,
                                    std::uint32_t max_tokens = 12) {
    SchedulerOptions options;
    options.model = model_->info().digest;
    options.max_sequences = model_->info().max_sequences;
    options.context_length = model_->info().context_length;
    options.context_total = model_->info().context_total;
    options.vocabulary = model_->info().vocabulary;
    options.max_rows = model_->max_rows();
    std::vector<std::string> texts(prompts.size());
    Scheduler scheduler{*model_, options, clock_, [&](RequestKey key, Event event) {
                          if (const auto* delta = std::get_if<TextDelta>(&event)) {
                            texts[key] += delta->text;
                          } else if (const auto* failed = std::get_if<Failure>(&event)) {
                            texts[key] = "failure: " + failed->error.to_string();
                          }
                        }};
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      GenerateRequest request;
      request.meta.model = options.model;
      request.prompt = Prompt{prompts[i]};
      request.sampling = sampling;
      request.max_tokens = max_tokens;
      scheduler.submit(i, std::move(request));
    }
    while (!scheduler.idle() && !scheduler.dead()) {
      scheduler.step();
    }
    return texts;
  }

  // Greedy answers to token prompts, asked in this order and all at once, and how much of their
  // prompts was not computed.
  std::pair<std::vector<std::vector<std::int32_t>>, std::uint32_t> answers(
      const std::vector<std::vector<std::int32_t>>& prompts, bool cache, bool together) {
    SchedulerOptions options;
    options.model = model_->info().digest;
    options.max_sequences = model_->info().max_sequences;
    options.slots = model_->sequences();
    options.prefix_cache = cache;
    options.context_length = model_->info().context_length;
    options.context_total = model_->info().context_total;
    options.vocabulary = model_->info().vocabulary;
    options.max_rows = model_->max_rows();
    std::vector<std::vector<std::int32_t>> texts(prompts.size());
    std::uint32_t cached = 0;
    Scheduler scheduler{*model_, options, clock_, [&](RequestKey key, Event event) {
                          if (const auto* delta = std::get_if<TextDelta>(&event)) {
                            texts[key].insert(
                                texts[key].end(), delta->tokens.begin(), delta->tokens.end());
                          } else if (const auto* done = std::get_if<Done>(&event)) {
                            cached += done->usage.cached_tokens;
                          } else if (const auto* failed = std::get_if<Failure>(&event)) {
                            ADD_FAILURE() << failed->error.to_string();
                          }
                        }};
    const auto run = [&] {
      while (!scheduler.idle() && !scheduler.dead()) {
        scheduler.step();
      }
    };
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      GenerateRequest request;
      request.meta.model = options.model;
      request.prompt = PromptTokens{prompts[i]};
      request.sampling.temperature = 0;
      request.max_tokens = 10;
      scheduler.submit(i, std::move(request));
      if (!together) {
        run();
      }
    }
    run();
    return {std::move(texts), cached};
  }

  InferRequest infer_request() const {
    InferRequest request;
    request.meta.model = model_->info().digest;
    request.inputs = GetParam().inputs;
    return request;
  }

  SystemClock clock_;
  std::atomic<std::uint64_t> heartbeats_{0};
  std::atomic<bool> stop_{false};
  UniqueFd fd_;
  std::uint64_t length_ = 0;
  std::unique_ptr<Plugin> plugin_;
  std::unique_ptr<PluginModel> model_;
};

TEST_P(PluginContract, NamesItselfAndItsEngine) {
  const PluginCapabilities& capabilities = plugin_->capabilities();
  EXPECT_EQ(capabilities.name, GetParam().name);
  EXPECT_FALSE(capabilities.version.empty());
  EXPECT_FALSE(capabilities.engine_version.empty());
  EXPECT_NE(std::find(capabilities.accelerators.begin(), capabilities.accelerators.end(), "cpu"),
            capabilities.accelerators.end());
}

TEST_P(PluginContract, DescribesTheLoadedModel) {
  load();
  const ModelInfo& info = model_->info();
  EXPECT_EQ(info.accelerator, "cpu");
  EXPECT_FALSE(info.architecture.empty());
  EXPECT_TRUE(info.can_generate || info.can_embed || info.can_infer);
  EXPECT_GE(model_->max_concurrency(), 1U);
  if (model_->steps()) {
    EXPECT_GT(info.vocabulary, 0U);
    EXPECT_EQ(info.context_length, 128U);
    EXPECT_EQ(info.max_sequences, 3U);
    EXPECT_GE(info.context_total, info.context_length);
    EXPECT_LE(model_->max_rows(), 64U);
  }
}

TEST_P(PluginContract, LoadsTwiceAndUnloadsInAnyOrder) {
  load();
  auto second = plugin_->load(load_job());
  ASSERT_TRUE(second) << second.error().to_string();
  model_.reset();
  EXPECT_FALSE((*second)->info().architecture.empty());
}

TEST_P(PluginContract, RefusesAnAcceleratorThatIsNotThere) {
  PluginLoad job = load_job();
  job.accelerator = "abacus";
  const auto model = plugin_->load(job);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("abacus"), std::string::npos) << model.error().message();
}

TEST_P(PluginContract, RefusesAnUnknownOption) {
  PluginLoad job = load_job();
  job.options.emplace_back("no_such_option", "1");
  const auto model = plugin_->load(job);
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message().find("no_such_option"), std::string::npos);
}

TEST_P(PluginContract, RefusesAFileThatIsNoModel) {
  if (!fd_) {
    GTEST_SKIP() << "needs no file";
  }
  PluginLoad job = load_job();
  job.files[0].offset = length_ / 2;
  job.files[0].length = length_ - length_ / 2;
  const auto model = plugin_->load(job);
  ASSERT_FALSE(model);
  EXPECT_FALSE(model.error().message().empty());
}

TEST_P(PluginContract, StopsLoadingWhenTold) {
  if (!fd_) {
    GTEST_SKIP() << "loads nothing";
  }
  stop_ = true;
  const auto model = plugin_->load(load_job());
  // A small model may be loaded before the engine asks for the first time.
  if (!model) {
    EXPECT_EQ(model.error().code(), Error::Code::kCancelled) << model.error().to_string();
  }
}

TEST_P(PluginContract, TokenizesAndDetokenizes) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const std::string text = "usb 1-2: reset, grüße";
  const auto tokens = model_->tokenize(text, false, false);
  ASSERT_TRUE(tokens) << tokens.error().to_string();
  std::string back;
  for (const std::int32_t token : *tokens) {
    const auto piece = model_->piece(token);
    ASSERT_TRUE(piece);
    back += *piece;
  }
  // SentencePiece vocabularies put a blank in front.
  EXPECT_TRUE(back == text || back == " " + text) << back;
  EXPECT_FALSE(model_->piece(-1));
  EXPECT_FALSE(model_->piece(static_cast<std::int32_t>(model_->info().vocabulary)));
  const auto nothing = model_->tokenize("", false, false);
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->empty());
}

TEST_P(PluginContract, LogitsAreFiniteAndOnlyWhereWanted) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto rows = prompt_rows(0, some_tokens(8));
  const std::vector<float> logits = last_logits(rows);
  ASSERT_EQ(logits.size(), model_->info().vocabulary);
  for (const float logit : logits) {
    ASSERT_TRUE(std::isfinite(logit));
  }
  EXPECT_TRUE(model_->logits(0).empty());
  EXPECT_TRUE(model_->embedding(rows.size() - 1).empty());
  EXPECT_GT(heartbeats_.load(), 0U);
}

TEST_P(PluginContract, ChunkedPromptGivesTheSameToken) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(40);
  const auto whole = last_logits(prompt_rows(0, tokens));
  const std::vector<std::int32_t> head(tokens.begin(), tokens.begin() + 17);
  ASSERT_EQ(model_->decode(prompt_rows(1, head, Want::kNothing)).status, DecodeStatus::kOk);
  const auto chunked = last_logits(prompt_rows(1, tokens, Want::kLogits, head.size()));
  const auto best = [](const std::vector<float>& logits) {
    return std::max_element(logits.begin(), logits.end()) - logits.begin();
  };
  EXPECT_EQ(best(whole), best(chunked));
}

TEST_P(PluginContract, ThreadsChangeBetweenDecodesAndNotTheAnswer) {
  PluginLoad job = load_job();
  job.threads = 3;
  auto loaded = plugin_->load(job);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  model_ = std::move(*loaded);
  if (!makes_tokens() || !model_->sets_threads()) {
    GTEST_SKIP() << "keeps its own threads";
  }
  const auto tokens = some_tokens(40);
  const auto before = last_logits(prompt_rows(0, tokens));
  std::uint32_t sequence = 1;
  for (const auto& [threads, poll] : {std::pair{1U, 0U}, std::pair{2U, 2U}, std::pair{3U, 0U}}) {
    const auto set = model_->set_threads(threads, poll);
    ASSERT_TRUE(set) << set.error().to_string();
    const auto after = last_logits(prompt_rows(sequence, tokens));
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      ASSERT_NEAR(before[i], after[i], 1e-3) << threads << " threads";
    }
    model_->remove_sequence(sequence);
    sequence = sequence % 2 + 1;
  }
  EXPECT_FALSE(model_->set_threads(0, 0));
  EXPECT_FALSE(model_->set_threads(4, 0)) << "more than at load";
  EXPECT_FALSE(model_->set_threads(1, 101));
  EXPECT_EQ(last_logits(prompt_rows(1, tokens)).size(), before.size()) << "still at work";
}

TEST_P(PluginContract, SequencesDoNotSeeEachOther) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(12);
  const auto alone = last_logits(prompt_rows(0, tokens));
  model_->remove_sequence(0);
  // Another sequence with other text fills the cache first.
  std::vector<std::int32_t> other(tokens.rbegin(), tokens.rend());
  last_logits(prompt_rows(2, other));
  const auto beside = last_logits(prompt_rows(0, tokens));
  ASSERT_EQ(alone.size(), beside.size());
  for (std::size_t i = 0; i < alone.size(); ++i) {
    ASSERT_NEAR(alone[i], beside[i], 0.05F) << "token " << i;
  }
}

TEST_P(PluginContract, RemovedSequenceStartsAnew) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(6);
  const auto first = last_logits(prompt_rows(1, tokens));
  model_->remove_sequence(1);
  EXPECT_EQ(last_logits(prompt_rows(1, tokens)), first);
}

TEST_P(PluginContract, BadRowsAreRefusedAndChangeNothing) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto tokens = some_tokens(6);
  const auto expected = last_logits(prompt_rows(0, tokens));
  model_->remove_sequence(0);
  const auto refused = [&](Row row) {
    const DecodeStatus status = model_->decode(std::vector<Row>{row}).status;
    return status == DecodeStatus::kFailed;
  };
  EXPECT_TRUE(refused({99, 0, tokens[0], Want::kLogits}));
  EXPECT_TRUE(refused({0, 0, -1, Want::kLogits}));
  EXPECT_TRUE(refused({0, 0, 1 << 30, Want::kLogits}));
  EXPECT_TRUE(refused({0, -5, tokens[0], Want::kLogits}));
  EXPECT_EQ(model_->decode({}).status, DecodeStatus::kFailed);
  EXPECT_EQ(last_logits(prompt_rows(0, tokens)), expected);
}

TEST_P(PluginContract, ManyLogitsInOneBatch) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  auto rows = prompt_rows(0, some_tokens(model_->max_rows()));
  for (Row& row : rows) {
    row.want = Want::kLogits;
  }
  ASSERT_EQ(model_->decode(rows).status, DecodeStatus::kOk);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(model_->logits(i).size(), model_->info().vocabulary) << i;
  }
}

TEST_P(PluginContract, GreedyTextIsTheSameAloneAndInCompany) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const SamplingParams greedy{.temperature = 0.0F};
  const std::string prompt = "kernel: out of memory";
  const std::string alone = generate({prompt}, greedy)[0];
  EXPECT_EQ(alone, generate({prompt}, greedy)[0]);
  const auto together = generate({prompt, "another one", "and a third prompt"}, greedy);
  EXPECT_EQ(together[0], alone);
  EXPECT_EQ(alone.find("failure"), std::string::npos) << alone;
}

TEST_P(PluginContract, SharedPrefixesAreIndependentOfTheirSource) {
  PluginLoad job = load_job();
  job.spare_sequences = 2;
  auto loaded = plugin_->load(job);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  model_ = std::move(*loaded);
  if (!makes_tokens() || !model_->can_copy()) {
    GTEST_SKIP() << "cannot share prefixes";
  }
  EXPECT_LE(model_->sequences(), 5U);
  const auto tokens = some_tokens(48);
  const auto whole = last_logits(prompt_rows(0, tokens));
  const std::uint32_t to = model_->sequences() - 1;
  ASSERT_TRUE(model_->copy_sequence(0, to, 32));
  // The source goes on and ends; the copy does not see it.
  auto longer = tokens;
  longer.push_back(tokens[1]);
  last_logits(prompt_rows(0, longer, Want::kLogits, tokens.size()));
  model_->remove_sequence(0);
  const auto copied = last_logits(prompt_rows(to, tokens, Want::kLogits, 32));
  ASSERT_EQ(copied.size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    ASSERT_NEAR(whole[i], copied[i], 0.05F) << "token " << i;
  }
  // Cut back, it goes on from there.
  model_->trim_sequence(to, 16);
  const auto again = last_logits(prompt_rows(to, tokens, Want::kLogits, 16));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    ASSERT_NEAR(whole[i], again[i], 0.05F) << "token " << i;
  }
  EXPECT_FALSE(model_->copy_sequence(to, 99, 4));
}

TEST_P(PluginContract, GreedyTextIsTheSameWithThePrefixCache) {
  PluginLoad job = load_job();
  job.spare_sequences = 4;
  auto loaded = plugin_->load(job);
  ASSERT_TRUE(loaded) << loaded.error().to_string();
  model_ = std::move(*loaded);
  if (!makes_tokens() || !model_->can_copy()) {
    GTEST_SKIP() << "cannot share prefixes";
  }
  std::vector<std::vector<std::int32_t>> prompts;
  for (const std::size_t length : {70U, 97U, 70U, 80U, 64U}) {
    prompts.push_back(some_tokens(length));
  }
  std::reverse(prompts[3].begin() + 40, prompts[3].end());
  const auto [plain, none] = answers(prompts, false, false);
  EXPECT_EQ(none, 0U);
  for (const bool together : {false, true}) {
    const auto [shared, cached] = answers(prompts, true, together);
    EXPECT_EQ(shared, plain) << (together ? "all at once" : "one after another");
    EXPECT_GE(cached, 4 * 32U);
  }
  const auto [after, again] = answers({prompts[1]}, false, false);
  EXPECT_EQ(after[0], plain[1]) << "nothing was left behind";
}

TEST_P(PluginContract, SameSeedSameText) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const SamplingParams seeded{.temperature = 1.2F, .seed = 11};
  EXPECT_EQ(generate({"abc"}, seeded), generate({"abc"}, seeded));
}

TEST_P(PluginContract, EmbedsWhatItClaims) {
  load();
  if (!model_ || !model_->steps() || !model_->info().can_embed) {
    GTEST_SKIP() << "does not embed";
  }
  auto rows = prompt_rows(0, some_tokens(5));
  for (Row& row : rows) {
    row.want = Want::kEmbedding;
  }
  ASSERT_EQ(model_->decode(rows).status, DecodeStatus::kOk);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(model_->embedding(i).size(), model_->info().embedding_length);
    EXPECT_TRUE(std::isfinite(model_->embedding(i)[0]));
  }
  EXPECT_TRUE(model_->logits(0).empty());
  // And logits work again afterwards.
  if (model_->info().can_generate) {
    model_->remove_sequence(0);
    EXPECT_FALSE(last_logits(prompt_rows(0, some_tokens(3))).empty());
  }
}

TEST_P(PluginContract, InterruptEndsALongDecodeOrComesTooLate) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const auto rows = prompt_rows(0, some_tokens(model_->max_rows()));
  std::thread interrupter{[this] { model_->interrupt(); }};
  const DecodeOutcome outcome = model_->decode(rows);
  interrupter.join();
  EXPECT_TRUE(outcome.status == DecodeStatus::kOk || outcome.status == DecodeStatus::kCancelled)
      << outcome.message;
  if (outcome.status == DecodeStatus::kCancelled) {
    EXPECT_FALSE(last_logits(rows).empty()) << "nothing was left behind";
  }
}

TEST_P(PluginContract, ChatTemplateRendersOrSaysWhyNot) {
  load();
  if (!makes_tokens()) {
    GTEST_SKIP() << "no token engine";
  }
  const std::vector<ChatMessage> messages{{"user", "is the fan broken?"}};
  const auto text = model_->apply_template(messages);
  if (text) {
    EXPECT_NE(text->find("is the fan broken?"), std::string::npos);
  } else {
    EXPECT_EQ(text.error().code(), Error::Code::kUnimplemented);
    EXPECT_FALSE(text.error().message().empty());
  }
}

TEST_P(PluginContract, InfersAndEmitsCheckedTensors) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "no tensor engine";
  }
  const auto outputs = model_->run(1, infer_request());
  ASSERT_TRUE(outputs) << outputs.error().to_string();
  ASSERT_FALSE(outputs->outputs.empty());
  for (const Tensor& tensor : outputs->outputs) {
    EXPECT_TRUE(check_tensor(tensor));
  }
  const auto again = model_->run(2, infer_request());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->outputs[0].data, outputs->outputs[0].data);
}

TEST_P(PluginContract, GivesTheOutputsAskedForAndNoOthers) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "no tensor engine";
  }
  const auto all = model_->run(1, infer_request());
  ASSERT_TRUE(all);
  InferRequest request = infer_request();
  request.outputs = {all->outputs.front().name};
  const auto one = model_->run(2, request);
  ASSERT_TRUE(one) << one.error().to_string();
  ASSERT_EQ(one->outputs.size(), 1U);
  EXPECT_EQ(one->outputs[0].name, all->outputs.front().name);
  request.outputs = {"no such output"};
  EXPECT_FALSE(model_->run(3, request));
}

TEST_P(PluginContract, RefusesARequestForAnotherModel) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "no tensor engine";
  }
  InferRequest request = infer_request();
  request.meta.model = Digest::of("another model");
  const auto outputs = model_->run(1, request);
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().code(), Error::Code::kInvalidArgument);
}

TEST_P(PluginContract, ServesSeveralThreadsAtOnce) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "no tensor engine";
  }
  const std::uint32_t threads = model_->max_concurrency();
  std::atomic<std::uint32_t> good{0};
  std::vector<std::thread> running;
  for (std::uint32_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] { good += model_->run(i + 1, infer_request()) ? 1U : 0U; });
  }
  for (std::thread& thread : running) {
    thread.join();
  }
  EXPECT_EQ(good.load(), threads);
}

TEST_P(PluginContract, CancelOfAnUnknownRunIsHarmless) {
  load();
  if (!takes_tensors()) {
    GTEST_SKIP() << "no tensor engine";
  }
  model_->cancel(12345);
  EXPECT_TRUE(model_->run(1, infer_request()));
}

TEST_P(PluginContract, UnknownQuantizationTypeIsRefusedByName) {
  if (GetParam().quantize_type.empty()) {
    GTEST_SKIP() << "does not quantize";
  }
  EXPECT_FALSE(plugin_->capabilities().quantize_types.empty());
  PluginQuantize job;
  job.files = load_job().files;
  job.type = "q77_z";
  const auto outcome = plugin_->quantize(job);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), Error::Code::kInvalidArgument);
  EXPECT_NE(outcome.error().message().find(GetParam().quantize_type), std::string::npos)
      << outcome.error().message();
}

}  // namespace skerry::runtime::test
