#pragma once

// A model and the worker that holds it at present: starts, loads, feeds, watches and replaces the
// worker. On the supervisor's executor, except where a method says so. Private to the supervisor.

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "skerry/common/file_system.hpp"
#include "skerry/runtime/supervisor.hpp"

#include "restart_policy.hpp"
#include "signal.hpp"
#include "suspects.hpp"
#include "worker_link.hpp"

namespace skerry::runtime {

// What the hosts of one supervisor share; outlives them.
struct SupervisorContext {
  SupervisorContext(boost::asio::any_io_executor the_executor,
                    SupervisorOptions the_options,
                    const Clock& the_clock,
                    Log the_log)
      : executor(std::move(the_executor)),
        options(std::move(the_options)),
        clock(the_clock),
        log(std::move(the_log)),
        changed(executor) {}

  boost::asio::any_io_executor executor;
  SupervisorOptions options;
  const Clock& clock;
  Log log;
  SystemFileSystem files;
  int tasks = 0;   // coroutines that run
  Signal changed;  // `tasks` fell
};

// Starts a coroutine that the supervisor waits for when it stops.
void spawn_counted(const std::shared_ptr<SupervisorContext>& context, Task<void> task);

class ModelHost : public std::enable_shared_from_this<ModelHost> {
 public:
  ModelHost(std::shared_ptr<SupervisorContext> context, LoadSpec spec);

  // Starts a worker unless there is one and waits until it is ready.
  Task<Result<void>> load();
  void submit(RequestKey key, Request request, EventSink sink);
  void cancel(RequestKey key);
  Task<void> unload(std::chrono::milliseconds grace);
  // Kills the worker without waiting.
  void abandon();

  // Any thread; `info` only after a load succeeded.
  [[nodiscard]] const ModelInfo& info() const { return info_; }
  [[nodiscard]] WorkerStatus status() const;
  [[nodiscard]] const std::shared_ptr<SupervisorContext>& context() const { return context_; }
  [[nodiscard]] RequestKey next_key() { return ++last_key_; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  enum class Phase { kStopped, kStarting, kReady, kStopping };

  struct InFlight {
    EventSink sink;
    // What a worker is given; gone once it has answered something, or was too large to keep.
    std::optional<worker::v1::ToWorker> message;
    std::optional<Digest> content;  // of what the engine computes on
    bool sent = false;              // to the present worker
    bool begun = false;             // the present worker has begun it
    bool answered = false;
    bool replayed = false;
  };

  void start_worker();
  static Task<void> run(std::shared_ptr<ModelHost> self);
  static Task<void> watch(std::shared_ptr<ModelHost> self, std::shared_ptr<WorkerLink> link);
  Task<Result<void>> serve(std::shared_ptr<WorkerLink> link);
  Task<Result<worker::v1::FromWorker>> answer(std::shared_ptr<WorkerLink> link);
  Result<void> send_setup(WorkerLink& link);
  Result<void> take_setup(const worker::v1::SetupDone& done);
  Result<void> send_load(WorkerLink& link);
  Result<void> take_message(WorkerLink& link, worker::v1::FromWorker& message);
  // model_host_prefix.cpp
  [[nodiscard]] std::uint64_t state_limit() const;
  [[nodiscard]] std::string shelf_format(const std::string& engine) const;
  Result<void> take_prefix(const worker::v1::PrefixSave& save, UniqueFd descriptor);
  Result<void> take_question(const worker::v1::PrefixQuery& query);
  Result<void> take_drop(const worker::v1::PrefixDrop& drop);
  static Task<void> keep_prefix(std::shared_ptr<ModelHost> self,
                                std::shared_ptr<WorkerLink> link,
                                PrefixState state,
                                PrefixBytes bytes);
  static Task<void> look_for_prefix(std::shared_ptr<ModelHost> self,
                                    std::shared_ptr<WorkerLink> link,
                                    RequestKey key,
                                    std::string format,
                                    std::vector<Digest> names);
  Result<void> take_event(worker::v1::Event& event);
  void take_pong(const worker::v1::Pong& pong);
  Result<void> take_pins(const worker::v1::PromptStates& states);
  void take_log(const worker::v1::LogLine& line);
  void send_request(RequestKey key, InFlight& request);
  void become_ready();
  void check(WorkerLink& link, TimePoint now);
  TimePoint next_check() const;
  void finish(const std::shared_ptr<WorkerLink>& link,
              const ProcessEnd& end,
              const Result<void>& outcome,
              TimePoint started);
  Error explain(const WorkerLink& link, const ProcessEnd& end, const Result<void>& outcome) const;
  // Ends every request, because the model is stopped.
  std::uint32_t cancel_all();
  // Ends those of a worker that died or gives them to the next one; how many were lost.
  // `of_itself`: it was not killed from outside.
  std::uint32_t settle(const Error& error, bool of_itself);
  static Task<void> replay(std::shared_ptr<ModelHost> self);
  static void remember(InFlight& request);
  std::optional<Error> refuse_suspect(const InFlight& request) const;
  void set_phase(Phase phase);
  void update_status();

  std::shared_ptr<SupervisorContext> context_;
  LoadSpec spec_;
  ModelInfo info_;
  bool described_ = false;

  Phase phase_ = Phase::kStopped;
  Signal changed_;   // the phase, or the number of requests, changed
  Signal watching_;  // the watch should look again
  std::shared_ptr<WorkerLink> link_;
  std::map<RequestKey, InFlight> requests_;
  std::optional<Error> last_error_;  // why the last worker ended
  RestartPolicy restarts_;
  Suspects suspects_;

  // Of the present worker: it may hand over one state at a time, and ask a few questions.
  bool keeping_ = false;
  std::size_t looking_ = 0;

  // Watch.
  std::optional<TimePoint> deadline_;  // of the present phase
  std::string deadline_reason_;
  std::uint64_t pings_ = 0;
  std::uint64_t progress_ = 0;
  TimePoint last_pong_;
  TimePoint last_progress_;
  bool watched_ = false;  // pings are being sent

  std::atomic<RequestKey> last_key_{0};
  mutable std::mutex status_mutex_;
  WorkerStatus status_;
  BootTime back_off_until_{0};
};

}  // namespace skerry::runtime
