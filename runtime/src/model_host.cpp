#include "model_host.hpp"

#include <csignal>
#include <cstdio>
#include <utility>

#include <boost/asio/co_spawn.hpp>

#include "wire.hpp"

namespace skerry::runtime {
namespace {

namespace asio = boost::asio;
using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kCancelTime{500};

Failure failure(const Error& error, bool retryable) {
  return Failure{.error = error, .retryable = retryable};
}

}  // namespace

void spawn_counted(const std::shared_ptr<SupervisorContext>& context, Task<void> task) {
  ++context->tasks;
  asio::co_spawn(context->executor, std::move(task), [context](const std::exception_ptr& thrown) {
    --context->tasks;
    context->changed.notify();
    if (thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& exception) {
        // Cancellation by the owner of the executor.
        context->log.debug("supervisor.task_ended", {{"reason", exception.what()}});
      }
    }
  });
}

ModelHost::ModelHost(std::shared_ptr<SupervisorContext> context, LoadSpec spec)
    : context_(std::move(context)),
      spec_(std::move(spec)),
      changed_(context_->executor),
      watching_(context_->executor),
      restarts_(context_->options.first_back_off, context_->options.longest_back_off) {
  if (spec_.threads == 0) {
    spec_.threads = usable_cores();
  }
}

Task<Result<void>> ModelHost::load() {
  const auto self = shared_from_this();
  if (phase_ == Phase::kStopped) {
    start_worker();
  }
  while (phase_ == Phase::kStarting) {
    co_await changed_.wait();
  }
  if (phase_ == Phase::kReady) {
    co_return Result<void>();
  }
  co_return last_error_.value_or(Error(Error::Code::kCancelled, "the worker was stopped"));
}

void ModelHost::submit(RequestKey key, Request request, EventSink sink) {
  if (phase_ == Phase::kStopping) {
    sink(failure(Error{Error::Code::kUnavailable, "the model is being unloaded"}, true));
    return;
  }
  if (phase_ == Phase::kStopped) {
    const auto wait = restarts_.wait(context_->clock.boot_now());
    if (wait > std::chrono::nanoseconds{0}) {
      char seconds[32] = {};
      std::snprintf(seconds, sizeof seconds, "%.1f s", std::chrono::duration<double>(wait).count());
      const std::string why = last_error_ ? last_error_->message() : "the worker ended";
      sink(failure(Error{Error::Code::kUnavailable, why + "; it may start again in " + seconds},
                   true));
      return;
    }
  }
  InFlight made;
  made.sink = std::move(sink);
  wire::put_request(key, std::move(request), *made.message.emplace().mutable_submit());
  remember(made);
  if (const auto refused = refuse_suspect(made)) {
    made.sink(failure(*refused, false));
    return;
  }
  if (phase_ == Phase::kStopped) {
    start_worker();
  }
  InFlight& entry = requests_[key] = std::move(made);
  if (phase_ == Phase::kReady) {
    send_request(key, entry);
  }
  update_status();
}

void ModelHost::send_request(RequestKey key, InFlight& request) {
  const auto sent = link_->send(*request.message);
  request.sent = true;
  if (!request.content) {
    request.message.reset();
  }
  if (!sent) {
    const EventSink sink = std::move(request.sink);
    requests_.erase(key);
    sink(failure(sent.error(), false));
    return;
  }
  if (!watched_) {
    watching_.notify();
  }
}

void ModelHost::cancel(RequestKey key) {
  const auto found = requests_.find(key);
  if (found == requests_.end()) {
    return;
  }
  if (!found->second.sent) {
    const EventSink sink = std::move(found->second.sink);
    requests_.erase(found);
    update_status();
    sink(failure(Error{Error::Code::kCancelled, "the request was cancelled while it waited"},
                 false));
    return;
  }
  if (link_) {
    worker::v1::ToWorker message;
    message.mutable_cancel()->set_key(key);
    // A cancel is small: it can only fail if the worker is gone, which ends the request anyway.
    static_cast<void>(link_->send(message));
  }
}

void ModelHost::abandon() {
  if (link_) {
    link_->kill(Error{Error::Code::kCancelled, "the worker was stopped"});
  }
}

Task<void> ModelHost::unload(std::chrono::milliseconds grace) {
  const auto self = shared_from_this();
  if (phase_ == Phase::kStopped && !requests_.empty()) {
    // They waited for the next worker.
    cancel_all();
    changed_.notify();
  }
  if (phase_ == Phase::kStarting) {
    set_phase(Phase::kStopping);
    abandon();
  } else if (phase_ == Phase::kReady) {
    set_phase(Phase::kStopping);
    const auto drained = SteadyClock::now() + grace;
    while (!requests_.empty() && link_ && SteadyClock::now() < drained) {
      co_await changed_.wait_until(drained);
    }
    for (const auto& [key, request] : requests_) {
      worker::v1::ToWorker message;
      message.mutable_cancel()->set_key(key);
      if (link_) {
        static_cast<void>(link_->send(message));
      }
    }
    const auto cancelled = SteadyClock::now() + kCancelTime;
    while (!requests_.empty() && link_ && SteadyClock::now() < cancelled) {
      co_await changed_.wait_until(cancelled);
    }
    if (link_) {
      worker::v1::ToWorker message;
      message.mutable_stop();
      static_cast<void>(link_->send(message));
      const auto terminate = SteadyClock::now() + context_->options.stop_timeout / 2;
      while (phase_ != Phase::kStopped && SteadyClock::now() < terminate) {
        co_await changed_.wait_until(terminate);
      }
    }
    if (link_) {
      link_->signal(SIGTERM);
      deadline_ = SteadyClock::now() + context_->options.stop_timeout / 2;
      deadline_reason_ = "did not stop in time";
      watching_.notify();
    }
  }
  while (phase_ != Phase::kStopped) {
    co_await changed_.wait();
  }
}

void ModelHost::start_worker() {
  set_phase(Phase::kStarting);
  {
    const std::lock_guard lock{status_mutex_};
    ++status_.starts;
  }
  spawn_counted(context_, run(shared_from_this()));
}

Task<void> ModelHost::run(std::shared_ptr<ModelHost> self) {
  const auto started = SteadyClock::now();
  auto spawned = spawn_worker(self->context_->options.worker);
  if (!spawned) {
    self->last_error_ = spawned.error();
    self->restarts_.on_unclean_exit(self->context_->clock.boot_now(), std::chrono::nanoseconds(0));
    self->set_phase(Phase::kStopped);
    self->settle(spawned.error(), false);
    co_return;
  }
  const auto link = std::make_shared<WorkerLink>(self->context_->executor, std::move(*spawned));
  const WorkerCgroup cgroup(
      self->context_->files, self->context_->options.cgroup, link->pid(), self->spec_.memory_limit);
  if (!cgroup.problem().empty()) {
    const std::vector<LogField> fields{{"pid", link->pid()}, {"problem", cgroup.problem()}};
    self->context_->log.warning("worker.cgroup_incomplete", fields);
  }
  self->link_ = link;
  self->keeping_ = false;
  self->looking_ = 0;
  self->deadline_ = started + self->context_->options.start_timeout;
  self->deadline_reason_ = "did not start in time";
  self->update_status();
  spawn_counted(self->context_, watch(self, link));

  const Result<void> outcome = co_await self->serve(link);
  if (!outcome) {
    // A failed start or a broken protocol: nothing more is expected of it.
    link->kill(outcome.error());
  } else {
    // It closed its end, as one that exits does; it gets a moment to finish dying.
    self->deadline_ = SteadyClock::now() + self->context_->options.stop_timeout;
    self->deadline_reason_ = "closed its socket and did not end";
    self->watching_.notify();
  }
  const ProcessEnd end = co_await link->ended();
  self->finish(link, end, outcome, started);
}

Task<Result<worker::v1::FromWorker>> ModelHost::answer(std::shared_ptr<WorkerLink> link) {
  for (;;) {
    auto message = co_await link->receive();
    if (!message) {
      co_return Error(Error::Code::kWorkerLost,
                      "the worker sent garbage: " + message.error().message());
    }
    if (!message->has_value()) {
      // `finish` says how it ended.
      co_return Error(Error::Code::kWorkerLost, "");
    }
    if ((*message)->has_failed()) {
      const worker::v1::Failed& failed = (*message)->failed();
      co_return wire::parse_error(failed.code(), failed.message());
    }
    if ((*message)->has_log()) {
      take_log((*message)->log());
    } else if ((*message)->has_pong()) {
      take_pong((*message)->pong());
    } else {
      co_return std::move(**message);
    }
  }
}

Task<Result<void>> ModelHost::serve(std::shared_ptr<WorkerLink> link) {
  if (auto sent = send_setup(*link); !sent) {
    co_return sent.error();
  }
  auto message = co_await answer(link);
  if (!message) {
    co_return message.error();
  }
  if (!message->has_setup_done()) {
    co_return wire::malformed("answer to Setup");
  }
  if (auto taken = take_setup(message->setup_done()); !taken) {
    co_return taken.error();
  }
  if (auto sent = send_load(*link); !sent) {
    co_return sent.error();
  }
  message = co_await answer(link);
  if (!message) {
    co_return message.error();
  }
  if (!message->has_loaded()) {
    co_return wire::malformed("answer to Load");
  }
  if (!described_) {
    if (auto parsed = wire::parse_model(message->loaded(), info_); !parsed) {
      co_return parsed.error();
    }
    described_ = true;
  }
  become_ready();
  for (;;) {
    auto next = co_await link->receive();
    if (!next) {
      co_return Error(Error::Code::kWorkerLost,
                      "the worker sent garbage: " + next.error().message());
    }
    if (!next->has_value()) {
      co_return Result<void>();
    }
    if (auto taken = take_message(*link, **next); !taken) {
      co_return taken.error();
    }
  }
}

void ModelHost::become_ready() {
  if (phase_ != Phase::kStarting) {
    return;  // stopped meanwhile
  }
  deadline_.reset();
  last_error_.reset();
  set_phase(Phase::kReady);
  std::vector<RequestKey> waiting;
  for (const auto& [key, request] : requests_) {
    waiting.push_back(key);
  }
  for (const RequestKey key : waiting) {
    const auto found = requests_.find(key);
    if (found != requests_.end() && !found->second.sent) {
      send_request(key, found->second);
    }
  }
  watching_.notify();
}

Result<void> ModelHost::take_message(WorkerLink& link, worker::v1::FromWorker& message) {
  if (message.has_event()) {
    return take_event(*message.mutable_event());
  }
  if (message.has_pong()) {
    take_pong(message.pong());
    return {};
  }
  if (message.has_log()) {
    take_log(message.log());
    return {};
  }
  if (message.has_prefix_save()) {
    return take_prefix(message.prefix_save(), link.take_descriptor());
  }
  if (message.has_prefix_query()) {
    return take_question(message.prefix_query());
  }
  if (message.has_prefix_drop()) {
    return take_drop(message.prefix_drop());
  }
  if (message.has_prompt_states()) {
    return take_pins(message.prompt_states());
  }
  if (message.has_failed()) {
    return Error{Error::Code::kWorkerLost, "the worker gave up: " + message.failed().message()};
  }
  return Error{Error::Code::kWorkerLost, "the worker sent a message that is out of order"};
}

Result<void> ModelHost::take_event(worker::v1::Event& event) {
  const RequestKey key = event.key();
  auto parsed = wire::parse_event(event);
  if (!parsed) {
    return Error{Error::Code::kWorkerLost, "the worker sent garbage: " + parsed.error().message()};
  }
  const auto found = requests_.find(key);
  if (found == requests_.end()) {
    return {};
  }
  if (!is_last(*parsed)) {
    found->second.begun = true;
    if (!std::holds_alternative<Started>(*parsed)) {
      found->second.answered = true;
      found->second.message.reset();
    }
    // The sink may cancel, which changes `requests_`.
    const EventSink sink = found->second.sink;
    sink(std::move(*parsed));
    return {};
  }
  if (found->second.content && std::holds_alternative<Done>(*parsed)) {
    suspects_.on_answered(*found->second.content);
  }
  const EventSink sink = std::move(found->second.sink);
  requests_.erase(found);
  update_status();
  changed_.notify();
  sink(std::move(*parsed));
  return {};
}

void ModelHost::take_log(const worker::v1::LogLine& line) {
  const std::vector<LogField> fields{
      {"plugin", spec_.plugin}, {"model", spec_.model.to_string()}, {"message", line.message()}};
  context_->log.warning("worker.engine", fields);
}

}  // namespace skerry::runtime
