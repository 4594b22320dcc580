#pragma once

// Runs a supervisor with real workers on the test's own thread.

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "skerry/runtime/supervisor.hpp"

namespace skerry::runtime::test {

inline SupervisorOptions worker_options() {
  SupervisorOptions options;
  options.worker = SKERRY_TEST_WORKER;
  options.plugin_dir = SKERRY_TEST_PLUGIN_DIR;
  options.start_timeout = std::chrono::seconds{60};
  return options;
}

class WorkerTest : public ::testing::Test {
 protected:
  WorkerTest() { restart(worker_options()); }
  ~WorkerTest() override { stop(); }

  void restart(SupervisorOptions options) {
    stop();
    options.on_exit = [this](const WorkerExit& exit) { exits_.push_back(exit); };
    supervisor_ = Supervisor::make(io_.get_executor(), std::move(options), clock_, Log{});
  }

  void stop() {
    if (supervisor_) {
      run_void(supervisor_->stop(std::chrono::milliseconds{0}));
      supervisor_.reset();
    }
  }

  // Runs a coroutine to its end and returns what it returns.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    bool ended = false;
    boost::asio::co_spawn(
        io_, hold(std::move(task), result), [&ended](const std::exception_ptr& thrown) {
          ended = true;
          if (thrown) {
            std::rethrow_exception(thrown);
          }
        });
    run_until([&ended] { return ended; });
    return std::move(*result);
  }
  void run_void(Task<void> task) {
    bool ended = false;
    boost::asio::co_spawn(
        io_, std::move(task), [&ended](const std::exception_ptr&) { ended = true; });
    run_until([&ended] { return ended; });
  }

  // Runs handlers until the condition holds; fails the test if it does not within a minute.
  template <class Condition>
  void run_until(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    io_.restart();
    while (!condition()) {
      if (io_.run_one_until(limit) == 0 && !io_.stopped()) {
        FAIL() << "nothing happened for a minute";
      }
      if (io_.stopped()) {
        io_.restart();
      }
      if (std::chrono::steady_clock::now() > limit) {
        FAIL() << "the condition did not come true within a minute";
      }
    }
  }

  static LoadSpec null_spec(std::vector<std::pair<std::string, std::string>> options = {}) {
    LoadSpec spec;
    spec.model = Digest::of("null");
    spec.plugin = "null";
    spec.threads = 1;
    spec.options = std::move(options);
    return spec;
  }

  std::shared_ptr<LoadedModel> load(LoadSpec spec) {
    auto model = run(supervisor_->load(std::move(spec)));
    EXPECT_TRUE(model) << (model ? "" : model.error().to_string());
    return model ? *model : nullptr;
  }
  Error load_error(LoadSpec spec) {
    auto model = run(supervisor_->load(std::move(spec)));
    EXPECT_FALSE(model);
    return model ? Error{Error::Code::kInternal, "it loaded"} : model.error();
  }

  static GenerateRequest prompt(const LoadedModel& model, std::string text) {
    GenerateRequest request;
    request.meta.id = RequestId{"r"};
    request.meta.principal = "uid:1";
    request.meta.model = model.info().digest;
    request.prompt = Prompt{std::move(text)};
    request.sampling.temperature = 0.0F;
    return request;
  }

  Result<Completion> ask(LoadedModel& model, GenerateRequest request) {
    return run(generate(model, std::move(request)));
  }

  // Submits and collects; `events` grows while `run_until` runs.
  struct Collected {
    std::vector<Event> events;
    RequestHandle handle;
    [[nodiscard]] bool ended() const { return !events.empty() && is_last(events.back()); }
    [[nodiscard]] std::string text() const {
      std::string all;
      for (const Event& event : events) {
        if (const auto* delta = std::get_if<TextDelta>(&event)) {
          all += delta->text;
        }
      }
      return all;
    }
    [[nodiscard]] const Failure* failure() const {
      return events.empty() ? nullptr : std::get_if<Failure>(&events.back());
    }
    [[nodiscard]] const Done* done() const {
      return events.empty() ? nullptr : std::get_if<Done>(&events.back());
    }
  };
  static std::shared_ptr<Collected> start(LoadedModel& model, Request request) {
    auto collected = std::make_shared<Collected>();
    collected->handle = model.submit(std::move(request), [collected](Event event) {
      collected->events.push_back(std::move(event));
    });
    return collected;
  }

  boost::asio::io_context io_;
  SystemClock clock_;
  std::vector<WorkerExit> exits_;
  std::unique_ptr<Supervisor> supervisor_;

 private:
  template <class T>
  static Task<void> hold(Task<T> task, std::optional<T>& result) {
    result = co_await std::move(task);
  }
};

// An open model file with what the registry would know about it.
inline ModelFile open_model(const std::string& path) {
  ModelFile file;
  file.fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(file.fd) << path;
  struct stat status {};
  fstat(file.fd.get(), &status);
  file.name = "model.gguf";
  file.role = "model";
  file.length = static_cast<std::uint64_t>(status.st_size);
  return file;
}

inline LoadSpec log_triage_spec() {
  LoadSpec spec;
  spec.model = Digest::of("log-triage");
  spec.plugin = "llamacpp";
  spec.threads = 1;
  spec.context_length = 512;
  spec.files.push_back(
      open_model(std::string{SKERRY_TEST_MODELS} + "/log-triage/log-triage-f16.gguf"));
  return spec;
}

}  // namespace skerry::runtime::test
