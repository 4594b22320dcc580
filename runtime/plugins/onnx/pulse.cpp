#include "pulse.hpp"

#include <algorithm>

namespace skerry_onnx {

namespace {

constexpr auto kInterval = std::chrono::milliseconds{250};
// After this many quiet intervals the thread sleeps until there is work again.
constexpr int kQuietIntervals = 8;
// A single run or load longer than this is reported as alive no more: the watchdog may end it.
constexpr auto kLongestWork = std::chrono::minutes{5};

}  // namespace

Pulse::Pulse(const skerry_host* host) : host_(host), thread_([this] { loop(); }) {}

Pulse::~Pulse() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Pulse::Work::Work(Pulse& pulse, const skerry_model* model, std::uint64_t id, OrtRunOptions* options)
    : pulse_(pulse) {
  const std::lock_guard lock{pulse_.mutex_};
  key_ = pulse_.next_key_++;
  pulse_.entries_[key_] = Entry{model, id, options, Clock::now(), false};
  if (pulse_.asleep_) {
    pulse_.wake_.notify_one();
  }
}

Pulse::Work::~Work() {
  const std::lock_guard lock{pulse_.mutex_};
  pulse_.entries_.erase(key_);
}

bool Pulse::Work::cancelled() const {
  const std::lock_guard lock{pulse_.mutex_};
  return pulse_.entries_.at(key_).cancelled;
}

void Pulse::cancel(const skerry_model* model, std::uint64_t id) {
  const std::lock_guard lock{mutex_};
  for (auto& [key, entry] : entries_) {
    if (entry.model == model && entry.id == id && entry.options != nullptr) {
      terminate(entry);
    }
  }
}

bool Pulse::should_stop() const {
  return host_->should_stop != nullptr && host_->should_stop(host_->ctx) != 0;
}

// The entry's options live as long as the entry: `Work` goes first, under the same mutex.
void Pulse::terminate(Entry& entry) {
  entry.cancelled = true;
  if (entry.options != nullptr) {
    if (OrtStatus* status = ort()->RunOptionsSetTerminate(entry.options); status != nullptr) {
      ort()->ReleaseStatus(status);
    }
  }
}

void Pulse::loop() {
  std::unique_lock lock{mutex_};
  int quiet = 0;
  while (!stopping_) {
    if (entries_.empty() && quiet >= kQuietIntervals) {
      asleep_ = true;
      wake_.wait(lock, [this] { return stopping_ || !entries_.empty(); });
      asleep_ = false;
    }
    quiet = entries_.empty() ? quiet + 1 : 0;
    wake_.wait_for(lock, kInterval, [this] { return stopping_; });
    const auto now = Clock::now();
    const bool alive = std::any_of(entries_.begin(), entries_.end(), [now](const auto& item) {
      return now - item.second.since < kLongestWork;
    });
    if (entries_.empty()) {
      continue;
    }
    if (alive && host_->heartbeat != nullptr) {
      host_->heartbeat(host_->ctx);
    }
    if (should_stop()) {
      for (auto& [key, entry] : entries_) {
        terminate(entry);
      }
    }
  }
}

}  // namespace skerry_onnx
