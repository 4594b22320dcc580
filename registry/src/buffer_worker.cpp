#include "buffer_worker.hpp"

#include <system_error>

namespace skerry::registry {

BufferWorker::BufferWorker(std::size_t queue_limit, Work work)
    : queue_limit_(queue_limit), work_(std::move(work)) {
  try {
    thread_ = std::thread{[this] { run(); }};
  } catch (const std::system_error&) {
    // No thread to be had: `push` works by itself, only slower.
  }
}

BufferWorker::~BufferWorker() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    queue_.clear();
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void BufferWorker::finish_item(const Item& item, Result<void> result) {
  if (!result && !error_) {
    error_ = result.error();
    failed_position_ = item.position;
    queue_.clear();
  }
}

// Takes all that is queued at once: on a busy machine every hand-over costs a wait for the CPU.
void BufferWorker::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    std::deque<Item> batch;
    batch.swap(queue_);
    busy_ = true;
    changed_.notify_all();
    for (auto& item : batch) {
      if (stopping_) {
        return;
      }
      if (error_) {
        break;
      }
      lock.unlock();
      auto result = work_(item.position, *item.buffer);
      item.buffer.reset();
      lock.lock();
      finish_item(item, std::move(result));
    }
    busy_ = false;
    if (stopping_) {
      return;
    }
    changed_.notify_all();
  }
}

Result<void> BufferWorker::push(std::uint64_t position, std::shared_ptr<const Buffer> buffer) {
  Item item{position, std::move(buffer)};
  std::unique_lock lock{mutex_};
  if (!thread_.joinable() && !error_) {
    finish_item(item, work_(item.position, *item.buffer));
  } else {
    changed_.wait(lock, [this] { return error_.has_value() || queue_.size() < queue_limit_; });
  }
  if (error_) {
    return *error_;
  }
  if (thread_.joinable()) {
    queue_.push_back(std::move(item));
    if (queue_.size() == 1) {
      changed_.notify_all();
    }
  }
  return {};
}

Result<void> BufferWorker::drain() {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return !busy_ && (queue_.empty() || !thread_.joinable()); });
  if (error_) {
    return *error_;
  }
  return {};
}

std::optional<std::uint64_t> BufferWorker::failed_position() const {
  const std::lock_guard lock{mutex_};
  return failed_position_;
}

void BufferWorker::reset() {
  std::unique_lock lock{mutex_};
  queue_.clear();
  changed_.wait(lock, [this] { return !busy_; });
  error_.reset();
  failed_position_.reset();
}

}  // namespace skerry::registry
