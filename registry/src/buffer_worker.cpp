#include "buffer_worker.hpp"

#include <algorithm>
#include <new>
#include <system_error>

namespace skerry::registry {

Buffer::Buffer(std::size_t capacity) : capacity_(capacity) {
  const std::size_t rounded = (std::max<std::size_t>(capacity, 1) + kDirectAlignment - 1) /
                              kDirectAlignment * kDirectAlignment;
  bytes_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kDirectAlignment, rounded)));
  if (!bytes_) {
    throw std::bad_alloc{};
  }
}

std::shared_ptr<Buffer> BufferPool::take() {
  std::unique_ptr<Buffer> buffer;
  {
    const std::lock_guard lock{shared_->mutex};
    if (!shared_->free.empty()) {
      buffer = std::move(shared_->free.back());
      shared_->free.pop_back();
    }
  }
  if (!buffer) {
    buffer = std::make_unique<Buffer>(shared_->capacity);
  }
  buffer->set_size(0);
  return {buffer.release(), [shared = shared_](Buffer* used) {
            std::unique_ptr<Buffer> owned{used};
            const std::lock_guard lock{shared->mutex};
            shared->free.push_back(std::move(owned));
          }};
}

unsigned hashing_threads() {
  return std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
}

BufferWorker::BufferWorker(std::size_t queue_limit, Work work, unsigned threads)
    : queue_limit_(queue_limit), work_(std::move(work)) {
  try {
    for (unsigned i = 0; i < threads; ++i) {
      threads_.emplace_back([this] { run(); });
    }
  } catch (const std::system_error&) {
    // Fewer threads than wanted, or none: then `push` works by itself, only slower.
  }
}

BufferWorker::~BufferWorker() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
    queue_.clear();
  }
  queued_.notify_all();
  for (auto& thread : threads_) {
    thread.join();
  }
}

void BufferWorker::finish(const Result<void>& result) {
  if (!result && !error_) {
    error_ = result.error();
    queue_.clear();
  }
}

void BufferWorker::run() {
  std::vector<Item> items;
  std::unique_lock lock{mutex_};
  for (;;) {
    queued_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) {
      return;
    }
    while (items.size() < 2 && !queue_.empty()) {
      items.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    ++busy_;
    // One wake-up for several free places: on a busy machine each costs a wait for the CPU.
    if (queue_.size() <= queue_limit_ / 2) {
      taken_.notify_one();
    }
    lock.unlock();
    const auto result = work_(items);
    items.clear();
    lock.lock();
    finish(result);
    --busy_;
    if (error_ || (busy_ == 0 && queue_.empty())) {
      taken_.notify_one();
    }
  }
}

Result<void> BufferWorker::push(std::uint64_t position, std::shared_ptr<const Buffer> buffer) {
  const Item item{position, std::move(buffer)};
  std::unique_lock lock{mutex_};
  if (threads_.empty() && !error_) {
    finish(work_({&item, 1}));
  } else {
    taken_.wait(lock, [this] { return error_.has_value() || queue_.size() < queue_limit_; });
  }
  if (error_) {
    return *error_;
  }
  if (!threads_.empty()) {
    queue_.push_back(item);
    queued_.notify_one();
  }
  return {};
}

Result<void> BufferWorker::drain() {
  std::unique_lock lock{mutex_};
  taken_.wait(lock, [this] { return busy_ == 0 && queue_.empty(); });
  if (error_) {
    return *error_;
  }
  return {};
}

void BufferWorker::reset() {
  std::unique_lock lock{mutex_};
  queue_.clear();
  taken_.wait(lock, [this] { return busy_ == 0; });
  error_.reset();
}

}  // namespace skerry::registry
