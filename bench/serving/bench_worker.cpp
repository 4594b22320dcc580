#include "bench_worker.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <optional>
#include <spawn.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <sys/stat.h>
#include <sys/wait.h>

#include "skerry/runtime/supervisor.hpp"

namespace skerry::bench {
namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

void give_up(const std::string& why) {
  std::fprintf(stderr, "skerry-bench-serving: %s\n", why.c_str());
  std::exit(1);
}

Neighbour::Neighbour(bool present) {
  if (!present) {
    return;
  }
  const std::string program = std::filesystem::canonical("/proc/self/exe").string();
  std::string name = "skerry-bench-serving";
  std::string argument = "--spin";
  char* const arguments[] = {name.data(), argument.data(), nullptr};
  char* const environment[] = {nullptr};
  if (posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments, environment) != 0) {
    give_up("cannot start the neighbour");
  }
}

Neighbour::~Neighbour() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

double Answer::tokens_per_second() const {
  if (tokens.size() < 2) {
    return 0;
  }
  return static_cast<double>(tokens.size() - 1) / (tokens.back() - tokens.front());
}

std::vector<double> Answer::gaps(const Answer& other) const {
  std::vector<double> list;
  const double until = other.tokens.empty() ? other.asked : other.tokens.front();
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    if (tokens[i] > other.asked && tokens[i - 1] < until) {
      list.push_back(tokens[i] - tokens[i - 1]);
    }
  }
  return list;
}

struct BenchWorker::Running {
  Answer answer;
  runtime::RequestHandle handle;
  bool ended = false;
  std::function<void()> on_end;
};

struct BenchWorker::Parts {
  SystemClock clock;
  boost::asio::io_context io;
  std::unique_ptr<runtime::Supervisor> supervisor;
  std::shared_ptr<runtime::LoadedModel> model;
  int asked = 0;

  void run_until(const std::function<bool()>& done) {
    while (!done()) {
      io.restart();
      io.run_one_for(std::chrono::milliseconds{20});
    }
  }
  static Task<void> hold(Task<Result<std::shared_ptr<runtime::LoadedModel>>> task,
                         std::optional<Result<std::shared_ptr<runtime::LoadedModel>>>& result) {
    result.emplace(co_await std::move(task));
  }
};

BenchWorker::BenchWorker(const std::string& model, const WorkerPlan& plan)
    : parts_(std::make_unique<Parts>()) {
  const auto bin = std::filesystem::canonical("/proc/self/exe").parent_path();
  runtime::SupervisorOptions options;
  options.worker = bin / "skerry-worker";
  options.plugin_dir = bin.parent_path() / "lib/skerry/plugins";
  options.start_timeout = std::chrono::seconds{60};
  options.prefix_shelf = plan.shelf;
  parts_->supervisor = runtime::Supervisor::make(
      parts_->io.get_executor(), std::move(options), parts_->clock, Log{});
  runtime::LoadSpec spec;
  spec.model = Digest::of("bench");
  spec.plugin = "llamacpp";
  spec.threads = plan.threads;
  spec.adapt_threads = plan.adapt;
  spec.context_length = 4096;
  spec.drafting = plan.drafting;
  if (!plan.poll.empty()) {
    spec.options.emplace_back("poll", plan.poll);
  }
  runtime::ModelFile file;
  file.fd.reset(::open(model.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!file.fd || ::fstat(file.fd.get(), &status) != 0) {
    give_up("cannot open " + model);
  }
  file.name = "model.gguf";
  file.role = "model";
  file.length = static_cast<std::uint64_t>(status.st_size);
  spec.files.push_back(std::move(file));
  std::optional<Result<std::shared_ptr<runtime::LoadedModel>>> loaded;
  boost::asio::co_spawn(parts_->io,
                        Parts::hold(parts_->supervisor->load(std::move(spec)), loaded),
                        [](const std::exception_ptr& thrown) {
                          if (thrown) {
                            give_up("the load was interrupted");
                          }
                        });
  parts_->run_until([&] { return loaded.has_value(); });
  if (!*loaded) {
    give_up(loaded->error().to_string());
  }
  parts_->model = **loaded;
}

BenchWorker::~BenchWorker() {
  bool ended = false;
  boost::asio::co_spawn(parts_->io,
                        parts_->supervisor->stop(std::chrono::milliseconds{0}),
                        [&ended](const std::exception_ptr&) { ended = true; });
  parts_->run_until([&] { return ended; });
  parts_->model.reset();
}

std::uint32_t BenchWorker::context() const {
  return parts_->model->info().context_length;
}

std::string BenchWorker::state() const {
  const runtime::WorkerStatus status = parts_->model->status();
  return status.threads == 0 ? "fixed"
                             : std::to_string(status.threads) + "/" +
                                   std::to_string(status.most_threads) + " " + status.cpu_state;
}

std::shared_ptr<BenchWorker::Running> BenchWorker::begin(const std::string& principal,
                                                         std::vector<std::int32_t> prompt,
                                                         std::uint32_t tokens) {
  runtime::GenerateRequest request;
  request.meta.principal = principal;
  request.prompt = runtime::PromptTokens{std::move(prompt)};
  request.sampling.temperature = 0;
  request.max_tokens = tokens;
  return submit(std::move(request));
}

std::shared_ptr<BenchWorker::Running> BenchWorker::submit(runtime::GenerateRequest request) {
  request.meta.id = RequestId{"r" + std::to_string(++parts_->asked)};
  request.meta.model = parts_->model->info().digest;
  auto running = std::make_shared<Running>();
  running->answer.asked = seconds_now();
  running->handle = parts_->model->submit(std::move(request), [running](runtime::Event event) {
    if (const auto* delta = std::get_if<runtime::TextDelta>(&event)) {
      running->answer.tokens.insert(
          running->answer.tokens.end(), delta->tokens.size(), seconds_now());
    } else if (const auto* failed = std::get_if<runtime::Failure>(&event)) {
      running->answer.failure = failed->error.to_string();
    }
    if (runtime::is_last(event)) {
      running->ended = true;
      if (running->on_end) {
        running->on_end();
      }
    }
  });
  return running;
}

void BenchWorker::wait_for_tokens(const Running& running, std::size_t count) {
  parts_->run_until([&] { return running.ended || running.answer.tokens.size() >= count; });
}

void BenchWorker::wait_for(const std::function<bool()>& condition, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  parts_->run_until([&] { return condition() || std::chrono::steady_clock::now() >= end; });
}

bool BenchWorker::ended(const Running& running) {
  return running.ended;
}

void BenchWorker::cancel(const Running& running) {
  running.handle.cancel();
}

Answer BenchWorker::finish(const Running& running) {
  parts_->run_until([&] { return running.ended; });
  if (!running.answer.failure.empty()) {
    give_up(running.answer.failure);
  }
  return running.answer;
}

Answer BenchWorker::generate(const std::string& principal,
                             std::vector<std::int32_t> prompt,
                             std::uint32_t tokens) {
  return finish(*begin(principal, std::move(prompt), tokens));
}

Answer BenchWorker::write(const std::string& grammar,
                          float temperature,
                          std::uint64_t seed,
                          std::uint32_t tokens) {
  runtime::GenerateRequest request;
  request.meta.principal = "writer";
  request.prompt = runtime::PromptTokens{{1, 300, 301, 302}};
  request.sampling.temperature = temperature;
  request.sampling.seed = seed;
  request.grammar = grammar;
  request.max_tokens = tokens;
  return finish(*submit(std::move(request)));
}

void BenchWorker::generate_for(std::chrono::milliseconds time, const std::string& principal) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
    const auto running = begin(principal, {1, 300, 301, 302}, 512);
    parts_->run_until([&] { return running->ended || std::chrono::steady_clock::now() >= end; });
    cancel(*running);
    finish(*running);
  }
}

std::pair<std::size_t, std::size_t> BenchWorker::compete(std::chrono::seconds time,
                                                         int flood,
                                                         int modest,
                                                         const std::vector<std::int32_t>& prompt,
                                                         std::uint32_t tokens) {
  const auto end = std::chrono::steady_clock::now() + time;
  std::vector<std::shared_ptr<Running>> all[2];
  bool over = false;
  // Each end begins the next.
  std::function<void(int)> next = [&](int who) {
    auto running = begin(who == 0 ? "flooding" : "modest", prompt, tokens);
    all[who].push_back(running);
    running->on_end = [&, who] {
      if (!over) {
        next(who);
      }
    };
  };
  for (int i = 0; i < flood; ++i) {
    next(0);
  }
  for (int i = 0; i < modest; ++i) {
    next(1);
  }
  parts_->run_until([&] { return std::chrono::steady_clock::now() >= end; });
  over = true;
  std::size_t sums[2] = {};
  for (int who = 0; who < 2; ++who) {
    for (const auto& running : all[who]) {
      sums[who] += running->answer.tokens.size();
      cancel(*running);
    }
  }
  for (int who = 0; who < 2; ++who) {
    for (const auto& running : all[who]) {
      parts_->run_until([&] { return running->ended; });
    }
  }
  return {sums[0], sums[1]};
}

}  // namespace skerry::bench
