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

void BufferWorker::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) {
      return;
    }
    Item item = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    auto result = work_(item.position, *item.buffer);
    lock.lock();
    busy_ = false;
    finish_item(item, std::move(result));
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
    changed_.notify_all();
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
