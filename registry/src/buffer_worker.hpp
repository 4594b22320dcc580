#pragma once

// Threads that take buffers and work on them, behind a bounded queue: what overlaps hashing and
// writing with reading and the network. One thread works in the order of `push`; several do not.

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "skerry/common/bytes.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

// Bytes that are not zeroed first, aligned for direct I/O.
class Buffer {
 public:
  explicit Buffer(std::size_t capacity);

  [[nodiscard]] std::span<std::uint8_t> space() { return {bytes_.get(), capacity_}; }
  void set_size(std::size_t size) { size_ = size; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] ByteView view() const { return {bytes_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::uint8_t* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<std::uint8_t, Free> bytes_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

// Buffers of one capacity that are used again and again: fresh memory would be cleared by the
// kernel page by page. Thread-safe; a buffer may outlive the pool.
class BufferPool {
 public:
  explicit BufferPool(std::size_t capacity) : shared_(std::make_shared<Shared>(capacity)) {}
  // An empty one, back in the pool when the last copy of the pointer goes.
  std::shared_ptr<Buffer> take();

 private:
  struct Shared {
    explicit Shared(std::size_t bytes) : capacity(bytes) {}
    const std::size_t capacity;
    std::mutex mutex;
    std::vector<std::unique_ptr<Buffer>> free;
  };
  std::shared_ptr<Shared> shared_;
};

// How many threads hash at once here: one per core, four at most.
unsigned hashing_threads();

// push, drain and reset belong to one thread; `work` runs on the others.
class BufferWorker {
 public:
  struct Item {
    std::uint64_t position;
    std::shared_ptr<const Buffer> buffer;
  };
  // Is given one buffer, or two if two were waiting: some work is cheaper in pairs.
  using Work = std::function<Result<void>(std::span<const Item> items)>;

  // At most `queue_limit` buffers wait while each thread works on one or two. Works inside `push`
  // where the system gives no thread.
  BufferWorker(std::size_t queue_limit, Work work, unsigned threads = 1);
  // Drops what is still queued.
  ~BufferWorker();
  BufferWorker(const BufferWorker&) = delete;
  BufferWorker& operator=(const BufferWorker&) = delete;

  // Blocks while the queue is full. The first error of `work` comes back from here or `drain`; from
  // then on buffers are dropped until `reset`.
  Result<void> push(std::uint64_t position, std::shared_ptr<const Buffer> buffer);
  // Waits until everything that was pushed has been worked on.
  Result<void> drain();
  void reset();

 private:
  void run();
  void finish(const Result<void>& result);

  const std::size_t queue_limit_;
  const Work work_;
  mutable std::mutex mutex_;
  std::condition_variable queued_;  // for the workers
  std::condition_variable taken_;   // for the owner
  std::deque<Item> queue_;
  unsigned busy_ = 0;
  bool stopping_ = false;
  std::optional<Error> error_;
  std::vector<std::thread> threads_;
};

}  // namespace skerry::registry
