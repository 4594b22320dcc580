#include "skerry/runtime/evaluate.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include "skerry/common/json.hpp"

#include "signal.hpp"

namespace skerry::runtime {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMaxMismatches = 10;
constexpr std::size_t kMaxShown = 160;

// Everything that the sinks of one evaluation share; they may outlive the coroutine if it is
// cancelled.
struct Run {
  explicit Run(const asio::any_io_executor& executor) : changed(executor) {}
  GoldenSet golden;
  EvaluationOptions options;
  EvaluationReport report;
  std::uint32_t in_flight = 0;
  std::uint32_t ended = 0;
  std::optional<Error> fatal;
  std::vector<RequestHandle> handles;
  Signal changed;
};

struct Answer {
  std::string text;
  std::vector<Tensor> outputs;
};

std::string shorten(std::string text) {
  if (text.size() > kMaxShown) {
    text.resize(kMaxShown);
    text += "…";
  }
  return text;
}

void note_mismatch(Run& run, std::size_t index, const std::string& got) {
  if (run.report.mismatches.size() < kMaxMismatches) {
    run.report.mismatches.push_back("case " + std::to_string(index) + ": expected " +
                                    shorten(run.golden.cases[index].expect) + ", got " +
                                    shorten(got));
  }
}

// Counts each member of `expect`; true if all agree.
bool match_fields(EvaluationReport& report, const Json& expected, const Result<Json>& got) {
  bool all = true;
  const Json::Object* members = expected.object();
  if (members == nullptr) {
    return got && *got == expected;
  }
  for (const auto& [key, value] : *members) {
    const Json* answered = got ? got->find(key) : nullptr;
    const bool same = answered != nullptr && *answered == value;
    ++report.field_total[key];
    report.field_correct[key] += same ? 1 : 0;
    all = all && same;
  }
  return all;
}

// Index of the largest value of the output; -1 if there is none.
std::int64_t largest(const GoldenCase& one, const std::vector<Tensor>& outputs) {
  for (const Tensor& tensor : outputs) {
    if ((!one.output.empty() && tensor.name != one.output) || tensor.type != DataType::kFp32) {
      continue;
    }
    std::int64_t best = -1;
    float best_value = 0;
    for (std::size_t at = 0; at + 4 <= tensor.data.size(); at += 4) {
      std::uint32_t bits = 0;
      for (std::size_t byte = 4; byte-- > 0;) {
        bits = (bits << 8U) | static_cast<std::uint8_t>(tensor.data[at + byte]);
      }
      const auto value = std::bit_cast<float>(bits);
      if (best < 0 || value > best_value) {
        best = static_cast<std::int64_t>(at / 4);
        best_value = value;
      }
    }
    return best;
  }
  return -1;
}

bool matches(Run& run, std::size_t index, const Answer& answer) {
  const GoldenCase& one = run.golden.cases[index];
  switch (one.match) {
    case MatchRule::kExact:
      return answer.text == one.expect;
    case MatchRule::kJson: {
      const auto got = Json::parse(answer.text);
      const auto expected = Json::parse(one.expect);
      return got && expected && *got == *expected;
    }
    case MatchRule::kJsonFields: {
      const auto expected = Json::parse(one.expect);
      return expected && match_fields(run.report, *expected, Json::parse(answer.text));
    }
    case MatchRule::kArgmax:
      return largest(one, answer.outputs) == one.expect_class;
  }
  return false;
}

// Errors after which the rest of the set makes no sense.
bool ends_run(Error::Code code) {
  return code == Error::Code::kWorkerLost || code == Error::Code::kOutOfMemory ||
         code == Error::Code::kUnavailable || code == Error::Code::kCancelled;
}

void take_end(Run& run, std::size_t index, const Answer& answer, Event& event) {
  --run.in_flight;
  ++run.ended;
  ++run.report.cases;
  if (auto* failed = std::get_if<Failure>(&event)) {
    ++run.report.failed;
    note_mismatch(run, index, failed->error.to_string());
    if (ends_run(failed->error.code()) && !run.fatal) {
      run.fatal = failed->error.with_context("case " + std::to_string(index));
    }
  } else {
    const Done& done = std::get<Done>(event);
    run.report.prompt_tokens += done.usage.prompt_tokens;
    run.report.completion_tokens += done.usage.completion_tokens;
    if (matches(run, index, answer)) {
      ++run.report.exact;
    } else {
      const bool tensors = run.golden.cases[index].match == MatchRule::kArgmax;
      note_mismatch(
          run,
          index,
          tensors ? "class " + std::to_string(largest(run.golden.cases[index], answer.outputs))
                  : answer.text);
    }
  }
  const std::uint32_t wrong = run.report.cases - run.report.exact;
  if (run.options.give_up_after != 0 && wrong >= run.options.give_up_after && !run.fatal) {
    run.fatal = Error{Error::Code::kGateFailed,
                      std::to_string(wrong) + " of " + std::to_string(run.report.cases) +
                          " cases do not match, the first: " + run.report.mismatches.front()};
  }
  if (run.options.progress) {
    run.options.progress(run.ended, static_cast<std::uint32_t>(run.golden.cases.size()));
  }
  run.changed.notify();
}

Request make_request(const Run& run, const LoadedModel& model, std::size_t index) {
  const GoldenCase& one = run.golden.cases[index];
  RequestMeta meta;
  meta.id = RequestId{"evaluate-" + std::to_string(index)};
  meta.principal = run.options.principal;
  meta.priority = run.options.priority;
  meta.model = model.info().digest;
  if (one.match == MatchRule::kArgmax) {
    InferRequest request;
    request.meta = std::move(meta);
    request.inputs = one.inputs;
    if (!one.output.empty()) {
      request.outputs.push_back(one.output);
    }
    return request;
  }
  GenerateRequest request;
  request.meta = std::move(meta);
  request.prompt = Prompt{one.prompt};
  request.sampling.temperature = 0.0F;
  request.max_tokens = one.max_tokens != 0 ? one.max_tokens : run.options.max_tokens;
  return request;
}

void start_case(const std::shared_ptr<Run>& run, LoadedModel& model, std::size_t index) {
  const auto answer = std::make_shared<Answer>();
  ++run->in_flight;
  run->handles.push_back(
      model.submit(make_request(*run, model, index), [run, answer, index](Event event) {
        if (auto* delta = std::get_if<TextDelta>(&event)) {
          answer->text += delta->text;
        } else if (auto* tensors = std::get_if<Tensors>(&event)) {
          answer->outputs = std::move(tensors->outputs);
        } else if (is_last(event)) {
          take_end(*run, index, *answer, event);
        }
      }));
}

// Cancels what is in flight when the evaluation ends early.
class CancelRest {
 public:
  explicit CancelRest(std::shared_ptr<Run> run) : run_(std::move(run)) {}
  ~CancelRest() {
    for (const RequestHandle& handle : run_->handles) {
      handle.cancel();
    }
  }
  CancelRest(const CancelRest&) = delete;
  CancelRest& operator=(const CancelRest&) = delete;

 private:
  std::shared_ptr<Run> run_;
};

}  // namespace

Task<Result<EvaluationReport>> evaluate(LoadedModel& model,
                                        GoldenSet golden,
                                        EvaluationOptions options) {
  const auto executor = co_await asio::this_coro::executor;
  const auto run = std::make_shared<Run>(executor);
  run->golden = std::move(golden);
  run->options = std::move(options);
  const CancelRest guard(run);
  const std::uint32_t parallel = std::max(run->options.parallel, 1U);
  const auto started = std::chrono::steady_clock::now();
  std::size_t next = 0;
  const std::size_t total = run->golden.cases.size();
  while (!run->fatal && (next < total || run->in_flight > 0)) {
    while (next < total && run->in_flight < parallel) {
      start_case(run, model, next++);
    }
    co_await run->changed.wait();
  }
  if (run->fatal) {
    co_return *run->fatal;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  EvaluationReport report = std::move(run->report);
  if (took.count() > 0) {
    report.tokens_per_second = static_cast<double>(report.completion_tokens) / took.count();
    report.cases_per_second = static_cast<double>(report.cases) / took.count();
  }
  report.peak_resident_bytes = model.status().peak_resident_bytes;
  co_return std::move(report);
}

namespace {

Task<void> evaluate_alone(std::unique_ptr<Supervisor>& supervisor,
                          LoadSpec spec,
                          GoldenSet golden,
                          EvaluationOptions options,
                          ModelInfo* info,
                          std::optional<Result<EvaluationReport>>& outcome) {
  auto model = co_await supervisor->load(std::move(spec));
  if (!model) {
    outcome = model.error();
  } else {
    if (info != nullptr) {
      *info = (*model)->info();
    }
    outcome = co_await evaluate(**model, std::move(golden), std::move(options));
    co_await (*model)->unload(std::chrono::milliseconds(0));
  }
  model = Error(Error::Code::kCancelled, "done");
  co_await supervisor->stop(std::chrono::milliseconds(0));
}

}  // namespace

Result<EvaluationReport> evaluate_model(SupervisorOptions supervisor,
                                        LoadSpec spec,
                                        GoldenSet golden,
                                        EvaluationOptions options,
                                        ModelInfo* info) {
  asio::io_context io;
  const SystemClock clock;
  auto own = Supervisor::make(io.get_executor(), std::move(supervisor), clock, Log{});
  std::optional<Result<EvaluationReport>> outcome;
  std::exception_ptr thrown;
  asio::co_spawn(
      io,
      evaluate_alone(own, std::move(spec), std::move(golden), std::move(options), info, outcome),
      [&thrown](const std::exception_ptr& error) { thrown = error; });
  io.run();
  if (!outcome) {
    return Error{Error::Code::kInternal, "the evaluation ended without a result"};
  }
  return std::move(*outcome);
}

}  // namespace skerry::runtime
