// The end of a worker: why it ended, who is told, what its requests get.

#include <csignal>
#include <utility>

#include "model_host.hpp"

namespace skerry::runtime {

void ModelHost::finish(const std::shared_ptr<WorkerLink>& link,
                       const ProcessEnd& end,
                       const Result<void>& outcome,
                       TimePoint started) {
  const bool stopped = phase_ == Phase::kStopping;
  const auto lifetime = std::chrono::steady_clock::now() - started;
  // An engine that refuses a model has failed, not crashed.
  const bool refused =
      !outcome && !described_ && outcome.error().code() != Error::Code::kWorkerLost;
  WorkerExit exit;
  exit.model = spec_.model;
  exit.plugin = spec_.plugin;
  exit.pid = link->pid();
  exit.clean = stopped || refused;
  exit.error = explain(*link, end, outcome);
  // Killed for what it did, or by a signal that nobody sends to another process.
  const bool of_itself = !outcome || link->reason() || end.exited || end.status != SIGKILL;
  exit.lifetime = lifetime;

  link_.reset();
  deadline_.reset();
  watched_ = false;
  watching_.notify();
  last_error_ = exit.error;
  if (stopped) {
    restarts_.on_clean_exit();
  } else {
    restarts_.on_unclean_exit(context_->clock.boot_now(), lifetime);
  }
  {
    const std::lock_guard lock{status_mutex_};
    status_.last_exit = exit.error.message();
    if (!exit.clean) {
      ++status_.unclean_exits;
    }
  }
  // Before the sinks hear of it: a request that they submit now meets the back-off.
  set_phase(Phase::kStopped);
  exit.requests_lost = stopped ? cancel_all() : settle(exit.error, of_itself);
  const std::vector<LogField> fields{
      {"plugin", spec_.plugin},
      {"model", spec_.model.to_string()},
      {"pid", exit.pid},
      {"reason", exit.error.message()},
      {"requests_lost", exit.requests_lost},
      {"requests_replayed", static_cast<std::uint32_t>(requests_.size())}};
  if (exit.clean) {
    context_->log.info("worker.ended", fields);
  } else {
    context_->log.warning("worker.lost", fields);
  }
  if (context_->options.on_exit) {
    context_->options.on_exit(exit);
  }
}

Error ModelHost::explain(const WorkerLink& link,
                         const ProcessEnd& end,
                         const Result<void>& outcome) const {
  if (!outcome && !outcome.error().message().empty()) {
    return outcome.error();
  }
  const std::string who = "the worker (pid " + std::to_string(link.pid()) + ") ";
  if (link.reason() && !link.reason()->message().empty()) {
    return Error{link.reason()->code(), who + link.reason()->message()};
  }
  std::string text = who + to_string(end);
  if (spec_.memory_limit != 0 && !end.exited) {
    text += "; its memory limit was " + std::to_string(spec_.memory_limit >> 20U) + " MiB";
  }
  return Error{Error::Code::kWorkerLost, std::move(text)};
}

std::uint32_t ModelHost::cancel_all() {
  std::map<RequestKey, InFlight> ended = std::exchange(requests_, {});
  update_status();
  for (auto& [key, request] : ended) {
    if (request.sent) {
      request.sink(
          Done{.reason = FinishReason::kCancelled, .usage = {}, .timing = {}, .stop_match = {}});
    } else {
      request.sink(Failure{.error = Error{Error::Code::kUnavailable, "the model is being unloaded"},
                           .retryable = true});
    }
  }
  return static_cast<std::uint32_t>(ended.size());
}

}  // namespace skerry::runtime
