#include "skerry/runtime/quantize.hpp"

#include <csignal>
#include <optional>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/stat.h>

#include "spawn.hpp"
#include "wire.hpp"
#include "worker_link.hpp"

namespace skerry::runtime {
namespace {

namespace asio = boost::asio;

worker::v1::File describe(const ModelFile& file) {
  worker::v1::File out;
  wire::put_file(PluginFile{.name = file.name,
                            .role = file.role,
                            .fd = -1,
                            .offset = file.offset,
                            .length = file.length,
                            .digest = file.digest},
                 out);
  return out;
}

Result<void> send_setup(WorkerLink& link,
                        const SupervisorOptions& options,
                        const QuantizeJob& job) {
  worker::v1::ToWorker message;
  worker::v1::Setup& setup = *message.mutable_setup();
  setup.set_plugin_path((options.plugin_dir / ("skerry-" + job.plugin + ".so")).string());
  setup.set_engine_dir(options.engine_dir.string());
  // No change of user: the engine opens the files again, with this user's rights.
  setup.set_niceness(options.niceness);
  setup.set_data_limit(job.memory_limit);
  std::vector<int> numbers;
  for (const ModelFile& file : job.files) {
    numbers.push_back(file.fd.get());
  }
  if (job.data.fd) {
    numbers.push_back(job.data.fd.get());
  }
  setup.set_reopen_read(static_cast<std::uint32_t>(numbers.size()));
  numbers.push_back(job.output.get());
  return link.send(message, numbers);
}

Result<void> send_job(WorkerLink& link, const QuantizeJob& job) {
  worker::v1::ToWorker message;
  worker::v1::Quantize& quantize = *message.mutable_quantize();
  for (const ModelFile& file : job.files) {
    *quantize.add_files() = describe(file);
  }
  if (job.data.fd) {
    *quantize.mutable_data() = describe(job.data);
  }
  quantize.set_type(job.type);
  quantize.set_threads(job.threads == 0 ? usable_cores() : job.threads);
  for (const auto& [key, value] : job.options) {
    worker::v1::Option& option = *quantize.add_options();
    option.set_key(key);
    option.set_value(value);
  }
  return link.send(message);
}

// The next message that is neither progress nor a log line; nothing at the end of the stream.
Task<Result<std::optional<worker::v1::FromWorker>>> next_answer(std::shared_ptr<WorkerLink> link,
                                                                const QuantizeJob& job) {
  for (;;) {
    auto message = co_await link->receive();
    if (!message || !message->has_value()) {
      co_return std::move(message);
    }
    const worker::v1::FromWorker& one = **message;
    if (one.has_failed()) {
      co_return wire::parse_error(one.failed().code(), one.failed().message());
    }
    if (one.has_quantize_progress() && job.progress) {
      job.progress(one.quantize_progress().fraction());
    }
    if (!one.has_quantize_progress() && !one.has_log()) {
      co_return std::move(message);
    }
  }
}

Task<Result<QuantizeResult>> converse(std::shared_ptr<WorkerLink> link,
                                      const SupervisorOptions& options,
                                      const QuantizeJob& job) {
  if (auto sent = send_setup(*link, options, job); !sent) {
    co_return sent.error();
  }
  auto message = co_await next_answer(link, job);
  if (!message) {
    co_return message.error();
  }
  if (!message->has_value() || !(*message)->has_setup_done()) {
    co_return Error(Error::Code::kWorkerLost, "");
  }
  QuantizeResult result;
  result.engine_version = (*message)->setup_done().engine_version();
  if (!job.engine.empty() && result.engine_version != job.engine) {
    co_return Error(Error::Code::kFailedPrecondition,
                    "the engine here is " + result.engine_version + ", not " + job.engine);
  }
  const auto report = wire::parse_sandbox((*message)->setup_done());
  if (auto met = security::check_requirement(report, job.sandbox); !met) {
    co_return met.error();
  }
  if (auto sent = send_job(*link, job); !sent) {
    co_return sent.error();
  }
  message = co_await next_answer(link, job);
  if (!message) {
    co_return message.error();
  }
  if (!message->has_value() || !(*message)->has_quantize_done()) {
    co_return Error(Error::Code::kWorkerLost, "");
  }
  struct stat status {};
  if (fstat(job.output.get(), &status) != 0) {
    co_return errno_error(errno, "reading the size of the quantized model");
  }
  result.bytes = static_cast<std::uint64_t>(status.st_size);
  co_return result;
}

constexpr std::chrono::milliseconds kCancelPoll{100};

// Outlives the coroutine that ends first.
struct CancelWatch {
  bool over = false;
  bool cancelled = false;
};

// What ended shows in the outcome.
void ignore_end(const std::exception_ptr& /*error*/) {}

// Kills the worker when the job is not wanted any more; the conversation ends by that.
Task<void> watch_for_cancel(std::shared_ptr<WorkerLink> link,
                            const QuantizeJob& job,
                            std::shared_ptr<CancelWatch> watch) {
  asio::steady_timer timer{co_await asio::this_coro::executor};
  while (!watch->over && !watch->cancelled) {
    timer.expires_after(kCancelPoll);
    co_await timer.async_wait(asio::use_awaitable);
    if (!watch->over && job.cancelled()) {
      watch->cancelled = true;
      link->signal(SIGKILL);
    }
  }
}

Task<void> run(asio::any_io_executor executor,
               const SupervisorOptions& options,
               const QuantizeJob& job,
               std::optional<Result<QuantizeResult>>& outcome) {
  auto spawned = spawn_worker(options.worker);
  if (!spawned) {
    outcome = spawned.error();
    co_return;
  }
  const auto link = std::make_shared<WorkerLink>(executor, std::move(*spawned));
  // Less CPU weight than who answers requests, like every worker.
  SystemFileSystem files;
  const WorkerCgroup cgroup(files, options.cgroup, link->pid(), job.memory_limit);
  const auto watch = std::make_shared<CancelWatch>();
  if (job.cancelled) {
    asio::co_spawn(executor, watch_for_cancel(link, job, watch), ignore_end);
  }
  outcome = co_await converse(link, options, job);
  watch->over = true;
  // It has nothing more to do, whatever came of it.
  const bool died = !*outcome && outcome->error().message().empty();
  if (!died) {
    link->signal(SIGKILL);
  }
  const ProcessEnd end = co_await link->ended();
  if (watch->cancelled) {
    outcome = Error(Error::Code::kCancelled, "the quantization was cancelled");
  } else if (died) {
    outcome = Error(Error::Code::kWorkerLost, "the quantizing worker " + to_string(end));
  }
}

}  // namespace

Result<QuantizeResult> quantize_model(const SupervisorOptions& supervisor, QuantizeJob job) {
  if (!job.output) {
    return Error{Error::Code::kInvalidArgument, "there is no output file"};
  }
  asio::io_context io;
  std::optional<Result<QuantizeResult>> outcome;
  asio::co_spawn(
      io, run(io.get_executor(), supervisor, job, outcome), [](const std::exception_ptr&) {});
  io.run();
  if (!outcome) {
    return Error{Error::Code::kInternal, "quantization ended without a result"};
  }
  return std::move(*outcome);
}

}  // namespace skerry::runtime
