#include "infer_pool.hpp"

#include <algorithm>

namespace skerry::runtime {

InferPool::InferPool(PluginModel& model,
                     const Clock& clock,
                     std::uint32_t max_queued,
                     Scheduler::Emit emit)
    : model_(model), clock_(clock), max_queued_(max_queued), emit_(std::move(emit)) {
  for (std::uint32_t i = 0; i < model.max_concurrency(); ++i) {
    threads_.emplace_back([this] { serve(); });
  }
}

void InferPool::submit(RequestKey key, InferRequest request) {
  const BootTime now = clock_.boot_now();
  {
    const std::lock_guard lock{mutex_};
    if (queue_.size() < max_queued_) {
      const PriorityClass priority = request.meta.priority;
      queue_.emplace(priority, Waiting{key, std::move(request), now});
      ready_.notify_one();
      return;
    }
  }
  emit_(key,
        Failure{.error = Error{Error::Code::kQueueFull, "too many requests wait for this model"},
                .retryable = true});
}

void InferPool::cancel(RequestKey key) {
  {
    const std::lock_guard lock{mutex_};
    const auto found = std::find_if(
        queue_.begin(), queue_.end(), [key](const auto& item) { return item.second.key == key; });
    if (found == queue_.end()) {
      if (running_.contains(key)) {
        model_.cancel(key);
      }
      return;
    }
    queue_.erase(found);
  }
  emit_(
      key,
      Failure{.error = Error{Error::Code::kCancelled, "the request was cancelled while it waited"},
              .retryable = false});
}

bool InferPool::busy() const {
  const std::lock_guard lock{mutex_};
  return !running_.empty() || !queue_.empty();
}

void InferPool::serve() {
  for (;;) {
    std::unique_lock lock{mutex_};
    ready_.wait(lock, [this] { return !queue_.empty(); });
    Waiting waiting = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    running_.insert(waiting.key);
    lock.unlock();
    const RequestKey key = waiting.key;
    run(waiting);
    lock.lock();
    running_.erase(key);
  }
}

void InferPool::run(const Waiting& waiting) {
  const BootTime started = clock_.boot_now();
  const RequestMeta& meta = waiting.request.meta;
  if (meta.deadline && *meta.deadline <= started) {
    emit_(waiting.key,
          Failure{.error = Error{Error::Code::kDeadlineExceeded,
                                 "the request's deadline has passed while it waited"},
                  .retryable = false});
    return;
  }
  emit_(waiting.key,
        Started{.prompt_tokens = 0, .cached_tokens = 0, .queue_wait = started - waiting.submitted});
  auto outputs = model_.run(waiting.key, waiting.request);
  const BootTime ended = clock_.boot_now();
  Done done;
  done.timing = {.queue = started - waiting.submitted,
                 .prefill = {},
                 .decode = ended - started,
                 .total = ended - waiting.submitted};
  if (outputs) {
    emit_(waiting.key, std::move(*outputs));
    emit_(waiting.key, std::move(done));
  } else if (outputs.error().code() == Error::Code::kCancelled) {
    done.reason = FinishReason::kCancelled;
    emit_(waiting.key, std::move(done));
  } else {
    emit_(waiting.key, Failure{.error = outputs.error(), .retryable = false});
  }
}

}  // namespace skerry::runtime
