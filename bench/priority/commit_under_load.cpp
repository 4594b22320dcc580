// How long a durable SQLite commit takes on a gateway whose cores are taken by computing workers:
// without load, with workers at the daemon's own priority, and with workers as shipped (niceness
// 10, or a CPU weight of 20 where a cgroup v2 directory is given). Real workers, real engine, one
// thread each; the three cases take turns in one run, because neighbours are noisy.
//
//   skerry-bench-priority --model FILE.gguf [--commits N] [--rounds N] [--workers N]
//                         [--folder DIR] [--cgroup DIR]

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <sys/stat.h>

#include "skerry/common/sqlite.hpp"
#include "skerry/runtime/supervisor.hpp"

namespace {

using namespace skerry;
using Milliseconds = std::chrono::duration<double, std::milli>;

struct Options {
  std::filesystem::path bin;
  std::string model;
  std::filesystem::path folder = std::filesystem::temp_directory_path();
  std::filesystem::path cgroup;
  int commits = 400;
  int rounds = 3;
  int workers = 2;
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "skerry-bench-priority: %s\n", why.c_str());
  std::exit(1);
}

Options parse(int argc, char** argv) {
  Options options;
  options.bin = std::filesystem::canonical("/proc/self/exe").parent_path();
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const std::string value = argv[i + 1];
    if (key == "--model") {
      options.model = value;
    } else if (key == "--commits") {
      options.commits = std::max(10, std::atoi(value.c_str()));
    } else if (key == "--rounds") {
      options.rounds = std::max(1, std::atoi(value.c_str()));
    } else if (key == "--workers") {
      options.workers = std::max(1, std::atoi(value.c_str()));
    } else if (key == "--folder") {
      options.folder = value;
    } else if (key == "--cgroup") {
      options.cgroup = value;
    } else {
      give_up("unknown option " + key);
    }
  }
  if (options.model.empty()) {
    give_up("--model FILE.gguf is needed");
  }
  return options;
}

// Workers that generate without a pause until they are stopped.
class Load {
 public:
  Load(const Options& options, int niceness, const std::filesystem::path& cgroup)
      : guard_(boost::asio::make_work_guard(io_)) {
    runtime::SupervisorOptions supervisor;
    supervisor.worker = options.bin / "skerry-worker";
    supervisor.plugin_dir = options.bin.parent_path() / "lib/skerry/plugins";
    supervisor.niceness = niceness;
    supervisor.cgroup = cgroup;
    supervisor.start_timeout = std::chrono::seconds{60};
    supervisor_ =
        runtime::Supervisor::make(io_.get_executor(), std::move(supervisor), clock_, Log{});
    thread_ = std::thread{[this] { io_.run(); }};
    for (int i = 0; i < options.workers; ++i) {
      auto loaded = boost::asio::co_spawn(io_, load(options, i), boost::asio::use_future).get();
      if (!loaded) {
        give_up(loaded->error().to_string());
      }
      models_.push_back(**loaded);
      boost::asio::post(io_, [this, model = models_.back().get()] { ask(*model); });
    }
    while (answers_ < options.workers) {
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
  }
  ~Load() {
    stopping_ = true;
    boost::asio::co_spawn(
        io_, supervisor_->stop(std::chrono::milliseconds{0}), boost::asio::use_future)
        .get();
    guard_.reset();
    models_.clear();
    thread_.join();
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  [[nodiscard]] long tokens() const { return tokens_; }

 private:
  using Loaded = Result<std::shared_ptr<runtime::LoadedModel>>;

  // In an optional: `co_spawn` wants a value that can be made empty.
  Task<std::optional<Loaded>> load(const Options& options, int number) {
    runtime::LoadSpec spec;
    spec.model = Digest::of("bench " + std::to_string(number));
    spec.plugin = "llamacpp";
    spec.threads = 1;
    spec.context_length = 512;
    runtime::ModelFile file;
    file.fd.reset(::open(options.model.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (!file.fd || ::fstat(file.fd.get(), &status) != 0) {
      give_up("cannot open " + options.model);
    }
    file.name = "model.gguf";
    file.role = "model";
    file.length = static_cast<std::uint64_t>(status.st_size);
    spec.files.push_back(std::move(file));
    std::optional<Loaded> result;
    result.emplace(co_await supervisor_->load(std::move(spec)));
    co_return result;
  }

  void ask(runtime::LoadedModel& model) {
    runtime::GenerateRequest request;
    request.meta.id = RequestId{"r" + std::to_string(++asked_)};
    request.meta.principal = "bench";
    request.meta.model = model.info().digest;
    request.prompt = runtime::Prompt{"kernel: eth0: link is down\n"};
    request.sampling.temperature = 1.0F;
    request.max_tokens = 400;
    model.submit(std::move(request), [this, &model](runtime::Event event) {
      if (const auto* delta = std::get_if<runtime::TextDelta>(&event)) {
        tokens_ += static_cast<long>(delta->tokens.size());
        ++answers_;
      } else if (runtime::is_last(event) && !stopping_) {
        boost::asio::post(io_, [this, &model] { ask(model); });
      }
    });
  }

  SystemClock clock_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::unique_ptr<runtime::Supervisor> supervisor_;
  std::vector<std::shared_ptr<runtime::LoadedModel>> models_;
  std::thread thread_;
  std::atomic<long> tokens_{0};
  std::atomic<int> answers_{0};
  std::atomic<bool> stopping_{false};
  int asked_ = 0;
};

// Commits of one row each, as the control thread makes them: with pauses in between.
void commit(const Options& options, std::vector<double>& samples) {
  constexpr sqlite::Migration kSchema[] = {{"bench", "CREATE TABLE t (id INTEGER, text TEXT)"}};
  const auto path = options.folder / "skerry-bench-priority.db";
  {
    auto database = sqlite::Database::open(path, kSchema, {});
    if (!database) {
      give_up(database.error().to_string());
    }
    for (int i = 0; i < options.commits; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds{2});
      const auto began = std::chrono::steady_clock::now();
      if (auto done = (*database)->exec("INSERT INTO t VALUES (1, 'a row of an audit or a slot')");
          !done) {
        give_up(done.error().to_string());
      }
      samples.push_back(Milliseconds{std::chrono::steady_clock::now() - began}.count());
    }
  }
  for (const char* end : {"", "-wal", "-shm"}) {
    std::filesystem::remove(path.string() + end);
  }
}

double at(std::vector<double> samples, double share) {
  std::sort(samples.begin(), samples.end());
  return samples[std::min(samples.size() - 1,
                          static_cast<std::size_t>(share * static_cast<double>(samples.size())))];
}

void print(const char* name, const std::vector<double>& samples, double rate) {
  std::printf(
      "%-34s n=%zu  p50 %7.3f ms  p90 %7.3f ms  p99 %7.3f ms  max %7.3f ms  %6.0f tokens/s\n",
      name,
      samples.size(),
      at(samples, 0.5),
      at(samples, 0.9),
      at(samples, 0.99),
      at(samples, 1.0),
      rate);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  struct Case {
    const char* name;
    int niceness;
    bool loaded;
    bool weighed;
    std::vector<double> samples;
    double tokens = 0;
    double seconds = 0;
  };
  std::vector<Case> cases{{"no workers", 0, false, false, {}},
                          {"workers at equal priority", 0, true, false, {}},
                          {"workers as shipped (niceness 10)", 10, true, false, {}}};
  if (!options.cgroup.empty()) {
    cases.push_back({"workers with cpu.weight 20", 0, true, true, {}});
  }
  for (int round = 0; round < options.rounds; ++round) {
    for (Case& one : cases) {
      std::optional<Load> load;
      if (one.loaded) {
        load.emplace(options, one.niceness, one.weighed ? options.cgroup : std::filesystem::path{});
      }
      const long before = load ? load->tokens() : 0;
      const auto began = std::chrono::steady_clock::now();
      commit(options, one.samples);
      one.seconds +=
          std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      one.tokens += static_cast<double>(load ? load->tokens() - before : 0);
    }
  }
  for (const Case& one : cases) {
    print(one.name, one.samples, one.tokens / one.seconds);
  }
  std::printf("p99, equal priority over shipped: %.1f\n",
              at(cases[1].samples, 0.99) / at(cases[2].samples, 0.99));
  return 0;
}
