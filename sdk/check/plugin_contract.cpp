#include "plugin_contract.hpp"

#include <fcntl.h>
#include <utility>

#include <sys/stat.h>

#include "skerry/runtime/scheduler.hpp"

namespace skerry::runtime::test {

namespace {

// Zeroes of the declared type and shape; texts are empty.
Tensor example_of(const TensorInfo& info, std::int64_t open_size) {
  Tensor tensor{.name = info.name, .type = info.type, .shape = info.shape, .data = {}};
  std::size_t count = 1;
  for (std::int64_t& extent : tensor.shape) {
    extent = extent < 0 ? open_size : extent;
    count *= static_cast<std::size_t>(extent);
  }
  // An element of BYTES is its length, four bytes, and then so many.
  const std::size_t size = info.type == DataType::kBytes ? 4 : element_size(info.type);
  tensor.data.assign(count * size, '\0');
  return tensor;
}

}  // namespace

void PluginContract::SetUp() {
  HostServices services;
  services.log = GetParam().log;
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

PluginLoad PluginContract::load_job() const {
  PluginLoad job;
  job.model = Digest::of("model under test");
  job.context_length = 128;
  job.max_sequences = 3;
  job.max_rows = 64;
  job.options = GetParam().options;
  if (fd_) {
    job.files.push_back({"model", "model", fd_.get(), 0, length_, Digest::of("file")});
  }
  return job;
}
void PluginContract::load() {
  auto model = plugin_->load(load_job());
  ASSERT_TRUE(model) << model.error().to_string();
  model_ = std::move(*model);
}

bool PluginContract::makes_tokens() const {
  return model_ && model_->steps() && model_->info().can_generate;
}

bool PluginContract::takes_tensors() const {
  return model_ && model_->info().can_infer && !infer_request().inputs.empty();
}

std::string PluginContract::quantize_type() const {
  const std::vector<std::string>& offered = plugin_->capabilities().quantize_types;
  if (!GetParam().quantize_type.empty() || offered.empty()) {
    return GetParam().quantize_type;
  }
  return offered.front();
}

std::vector<std::int32_t> PluginContract::some_tokens(std::size_t count) {
  std::string text;
  while (text.size() < 8 * count) {
    text += "kernel: link eth0 is up again; ";
  }
  auto tokens = model_->tokenize(text, true, false);
  EXPECT_TRUE(tokens);
  tokens->resize(count);
  return *tokens;
}
std::vector<Row> PluginContract::prompt_rows(std::uint32_t sequence,
                                             const std::vector<std::int32_t>& tokens,
                                             Want want_last,
                                             std::size_t from) {
  std::vector<Row> rows;
  for (std::size_t i = from; i < tokens.size(); ++i) {
    rows.push_back({sequence,
                    static_cast<std::int32_t>(i),
                    tokens[i],
                    i + 1 == tokens.size() ? want_last : Want::kNothing});
  }
  return rows;
}
std::vector<float> PluginContract::last_logits(const std::vector<Row>& rows) {
  const DecodeOutcome outcome = model_->decode(rows);
  EXPECT_EQ(outcome.status, DecodeStatus::kOk) << outcome.message;
  const auto logits = model_->logits(rows.size() - 1);
  return {logits.begin(), logits.end()};
}

std::vector<std::string> PluginContract::generate(const std::vector<std::string>& prompts,
                                                  const SamplingParams& sampling,
                                                  std::uint32_t max_tokens) {
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

std::pair<std::vector<std::vector<std::int32_t>>, std::uint32_t> PluginContract::answers(
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

InferRequest PluginContract::infer_request() const {
  InferRequest request;
  request.meta.model = model_->info().digest;
  request.inputs = GetParam().inputs;
  if (request.inputs.empty()) {
    for (const TensorInfo& info : model_->info().inputs) {
      request.inputs.push_back(example_of(info, GetParam().open_size));
    }
  }
  return request;
}

}  // namespace skerry::runtime::test
