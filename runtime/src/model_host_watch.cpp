// The watch over a worker: deadlines of its start and stop, pings while requests run. An idle
// worker is left alone, so that it costs nothing.

#include <algorithm>
#include <cmath>

#include "model_host.hpp"
#include "thread_governor.hpp"

namespace skerry::runtime {

using std::chrono::steady_clock;

Task<void> ModelHost::watch(std::shared_ptr<ModelHost> self, std::shared_ptr<WorkerLink> link) {
  while (self->link_ == link) {
    const TimePoint next = self->next_check();
    co_await self->watching_.wait_until(next);
    if (self->link_ == link) {
      self->check(*link, steady_clock::now());
    }
  }
}

ModelHost::TimePoint ModelHost::next_check() const {
  if (deadline_) {
    return *deadline_;
  }
  const bool busy = phase_ == Phase::kReady || phase_ == Phase::kStopping;
  if (!busy || requests_.empty()) {
    return TimePoint::max();
  }
  return steady_clock::now() + context_->options.ping_interval;
}

void ModelHost::check(WorkerLink& link, TimePoint now) {
  if (deadline_) {
    if (now >= *deadline_) {
      link.kill(Error{Error::Code::kWorkerLost, deadline_reason_});
    }
    return;
  }
  if (requests_.empty()) {
    watched_ = false;
    return;
  }
  if (!watched_) {
    // Work begins: the clocks start now.
    watched_ = true;
    last_pong_ = now;
    last_progress_ = now;
  }
  const auto seconds = [](std::chrono::nanoseconds time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
  };
  if (now - last_pong_ > context_->options.pong_timeout) {
    link.kill(Error{Error::Code::kWorkerLost, "did not answer for " + seconds(now - last_pong_)});
    return;
  }
  if (now - last_progress_ > context_->options.hang_timeout) {
    link.kill(Error{Error::Code::kWorkerLost,
                    "hung: the engine made no progress for " + seconds(now - last_progress_)});
    return;
  }
  worker::v1::ToWorker message;
  message.mutable_ping()->set_number(++pings_);
  static_cast<void>(link.send(message));
}

void ModelHost::take_pong(const worker::v1::Pong& pong) {
  const TimePoint now = steady_clock::now();
  last_pong_ = now;
  if (!pong.busy() || pong.progress() != progress_) {
    last_progress_ = now;
    progress_ = pong.progress();
  }
  const std::lock_guard lock{status_mutex_};
  status_.resident_bytes = pong.resident_bytes();
  status_.peak_resident_bytes = pong.peak_resident_bytes();
  if (pong.threads() > 0 && pong.cpu_state() <= static_cast<std::uint32_t>(CpuState::kSlow)) {
    status_.threads = pong.threads();
    status_.most_threads = pong.most_threads();
    status_.other_cores = std::isfinite(pong.other_cores()) ? pong.other_cores() : 0;
    status_.cpu_state = to_string(static_cast<CpuState>(pong.cpu_state()));
  }
}

void ModelHost::set_phase(Phase phase) {
  phase_ = phase;
  update_status();
  changed_.notify();
}

void ModelHost::update_status() {
  const std::lock_guard lock{status_mutex_};
  status_.pid = link_ ? link_->pid() : 0;
  status_.in_flight = static_cast<std::uint32_t>(requests_.size());
  const BootTime now = context_->clock.boot_now();
  status_.back_off = restarts_.wait(now);
  back_off_until_ = now + status_.back_off;
  switch (phase_) {
    case Phase::kStopped:
      status_.state = status_.back_off > std::chrono::nanoseconds{0} ? WorkerState::kBackOff
                                                                     : WorkerState::kStopped;
      if (!described_ && last_error_) {
        status_.state = WorkerState::kFailed;
      }
      break;
    case Phase::kStarting:
      status_.state = WorkerState::kStarting;
      break;
    case Phase::kReady:
    case Phase::kStopping:
      status_.state = WorkerState::kReady;
      break;
  }
}

WorkerStatus ModelHost::status() const {
  WorkerStatus status;
  {
    const std::lock_guard lock{status_mutex_};
    status = status_;
    // The back-off passes without an event.
    const auto left = back_off_until_ - context_->clock.boot_now();
    status.back_off = std::max<std::chrono::nanoseconds>(left, std::chrono::nanoseconds{0});
  }
  if (status.state == WorkerState::kBackOff && status.back_off == std::chrono::nanoseconds{0}) {
    status.state = WorkerState::kStopped;
  }
  if (status.pid != 0) {
    const ProcessMemoryUse use = memory_of(status.pid);
    if (use.resident != 0) {
      status.resident_bytes = use.resident;
      status.peak_resident_bytes = use.peak;
    }
  }
  return status;
}

}  // namespace skerry::runtime
